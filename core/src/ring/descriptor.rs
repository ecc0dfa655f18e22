//! A descriptor's 64 bytes: sixteen little-endian words.
//!
//! ```text
//! word  0      1      2      3              4              5     6 7           8 9     10 11     12..16
//!       kind   flags  epoch  payload start  payload bytes  0     presentation  decode  duration  0
//! ```

use super::layout::DESCRIPTOR_BYTES;
use super::{FrameHeader, Record, RecordKind, RingError};

const KEY: u32 = 1;
const PRESENTATION: u32 = 1 << 1;
const DECODE: u32 = 1 << 2;
const DURATION: u32 = 1 << 3;

/// A descriptor as it lies in the ring; aligned, so that a platform can copy it in whole words.
#[repr(C, align(8))]
pub(super) struct Bytes(pub(super) [u8; DESCRIPTOR_BYTES as usize]);

impl Bytes {
    pub(super) const ZERO: Self = Self([0; DESCRIPTOR_BYTES as usize]);
}

/// A descriptor that was checked: its payload lies in the payload ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Descriptor {
    pub(super) header: FrameHeader,
    /// At which byte of the payload ring its payload starts.
    pub(super) start: u32,
}

impl Descriptor {
    #[inline]
    pub(super) fn new(record: &Record<'_>, epoch: u32, start: u32, bytes: u32) -> Self {
        let header = FrameHeader {
            kind: record.kind,
            epoch,
            presentation_ns: record.presentation_ns,
            decode_ns: record.decode_ns,
            duration_ns: record.duration_ns,
            is_key: record.is_key,
            bytes,
        };
        Self { header, start }
    }

    #[inline]
    pub(super) fn encode(&self) -> Bytes {
        let header = &self.header;
        to_bytes([
            pair(number(header.kind), flags(header)),
            pair(header.epoch, self.start),
            pair(header.bytes, 0),
            header.presentation_ns.unwrap_or(0),
            header.decode_ns.unwrap_or(0),
            header.duration_ns.unwrap_or(0),
            0,
            0,
        ])
    }

    /// Checks a descriptor that was copied out of the ring.
    #[inline]
    pub(super) fn decode(copy: &Bytes, payload_bytes: u32) -> Result<Self, RingError> {
        let [kind_and_flags, epoch_and_start, bytes_and_zero, presentation, decode, duration, ..] = to_pairs(copy);
        let (kind, flags) = halves(kind_and_flags);
        let (epoch, start) = halves(epoch_and_start);
        let (bytes, _) = halves(bytes_and_zero);
        if start >= payload_bytes || planted!("payload_end_unchecked", false, bytes > payload_bytes) {
            return Err(RingError::PayloadOutside);
        }
        let time = |flag: u32, time: u64| (flags & flag != 0).then_some(time);
        let header = FrameHeader {
            kind: kind_of(kind)?,
            epoch,
            presentation_ns: time(PRESENTATION, presentation),
            decode_ns: time(DECODE, decode),
            duration_ns: time(DURATION, duration),
            is_key: flags & KEY != 0,
            bytes,
        };
        Ok(Self { header, start })
    }
}

#[inline]
fn number(kind: RecordKind) -> u32 {
    match kind {
        RecordKind::Frame => 1,
        RecordKind::EndOfStream => 2,
        RecordKind::Segment => 3,
        RecordKind::CodecData => 4,
    }
}

/// Zero is no kind: a place that was never written is no record.
#[inline]
fn kind_of(number: u32) -> Result<RecordKind, RingError> {
    match number {
        1 => Ok(RecordKind::Frame),
        2 => Ok(RecordKind::EndOfStream),
        3 => Ok(RecordKind::Segment),
        4 => Ok(RecordKind::CodecData),
        _ => Err(RingError::UnknownKind),
    }
}

#[inline]
fn flags(header: &FrameHeader) -> u32 {
    let flag = |is_set: bool, flag: u32| if is_set { flag } else { 0 };
    flag(header.is_key, KEY)
        | flag(header.presentation_ns.is_some(), PRESENTATION)
        | flag(header.decode_ns.is_some(), DECODE)
        | flag(header.duration_ns.is_some(), DURATION)
}

/// Two words as one of twice the size: what is put together so is never taken apart by the processor on its way.
#[inline]
const fn pair(low: u32, high: u32) -> u64 {
    low as u64 | (high as u64) << 32
}

#[inline]
const fn halves(pair: u64) -> (u32, u32) {
    (pair as u32, (pair >> 32) as u32)
}

#[inline]
fn to_bytes(pairs: [u64; 8]) -> Bytes {
    let mut bytes = Bytes::ZERO;
    for (chunk, pair) in bytes.0.as_chunks_mut::<8>().0.iter_mut().zip(pairs) {
        *chunk = pair.to_le_bytes();
    }
    bytes
}

#[inline]
fn to_pairs(bytes: &Bytes) -> [u64; 8] {
    let mut pairs = [0; 8];
    for (pair, chunk) in pairs.iter_mut().zip(bytes.0.as_chunks::<8>().0) {
        *pair = u64::from_le_bytes(*chunk);
    }
    pairs
}
