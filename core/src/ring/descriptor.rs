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

/// A descriptor as it lies in the ring.
pub(super) type Bytes = [u8; DESCRIPTOR_BYTES as usize];

/// A descriptor that was checked: its payload lies in the payload ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Descriptor {
    pub(super) header: FrameHeader,
    /// At which byte of the payload ring its payload starts.
    pub(super) start: u32,
}

impl Descriptor {
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

    pub(super) fn encode(&self) -> Bytes {
        let header = &self.header;
        let [presentation_low, presentation_high] = halves(header.presentation_ns);
        let [decode_low, decode_high] = halves(header.decode_ns);
        let [duration_low, duration_high] = halves(header.duration_ns);
        to_bytes([
            number(header.kind),
            flags(header),
            header.epoch,
            self.start,
            header.bytes,
            0,
            presentation_low,
            presentation_high,
            decode_low,
            decode_high,
            duration_low,
            duration_high,
            0,
            0,
            0,
            0,
        ])
    }

    /// Checks a descriptor that was copied out of the ring.
    pub(super) fn decode(copy: &Bytes, payload_bytes: u32) -> Result<Self, RingError> {
        let [kind, flags, epoch, start, bytes, _, presentation_low, presentation_high, rest @ ..] = to_words(copy);
        let [decode_low, decode_high, duration_low, duration_high, ..] = rest;
        if start >= payload_bytes || bytes > payload_bytes {
            return Err(RingError::PayloadOutside);
        }
        let time = |flag: u32, low: u32, high: u32| (flags & flag != 0).then(|| u64::from(high) << 32 | u64::from(low));
        let header = FrameHeader {
            kind: kind_of(kind)?,
            epoch,
            presentation_ns: time(PRESENTATION, presentation_low, presentation_high),
            decode_ns: time(DECODE, decode_low, decode_high),
            duration_ns: time(DURATION, duration_low, duration_high),
            is_key: flags & KEY != 0,
            bytes,
        };
        Ok(Self { header, start })
    }
}

fn number(kind: RecordKind) -> u32 {
    match kind {
        RecordKind::Frame => 1,
        RecordKind::EndOfStream => 2,
        RecordKind::Segment => 3,
        RecordKind::CodecData => 4,
    }
}

/// Zero is no kind: a place that was never written is no record.
fn kind_of(number: u32) -> Result<RecordKind, RingError> {
    match number {
        1 => Ok(RecordKind::Frame),
        2 => Ok(RecordKind::EndOfStream),
        3 => Ok(RecordKind::Segment),
        4 => Ok(RecordKind::CodecData),
        _ => Err(RingError::UnknownKind),
    }
}

fn flags(header: &FrameHeader) -> u32 {
    let flag = |is_set: bool, flag: u32| if is_set { flag } else { 0 };
    flag(header.is_key, KEY)
        | flag(header.presentation_ns.is_some(), PRESENTATION)
        | flag(header.decode_ns.is_some(), DECODE)
        | flag(header.duration_ns.is_some(), DURATION)
}

fn halves(time: Option<u64>) -> [u32; 2] {
    let time = time.unwrap_or(0);
    [time as u32, (time >> 32) as u32]
}

fn to_bytes(words: [u32; 16]) -> Bytes {
    let mut bytes = [0; DESCRIPTOR_BYTES as usize];
    for (chunk, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *chunk = word.to_le_bytes();
    }
    bytes
}

fn to_words(bytes: &Bytes) -> [u32; 16] {
    let mut words = [0; 16];
    for (word, chunk) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*chunk);
    }
    words
}
