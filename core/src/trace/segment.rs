//! One segment: a machine as it was, and what it was told from then on.

use core::fmt;
use core::marker::PhantomData;

use heapless::Vec;
use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize};

use super::frame::{self, checksum};
use super::{MachineKind, Polled, Record};
use crate::limits::CAPACITIES;
use crate::time::Instant;

/// How segments are written; another number is another way.
pub(super) const FORMAT: u8 = 1;
/// The checksum's seed of a segment's start; what follows is seeded with its number.
const START_SEED: u32 = 0;

/// What a replay must have in common with the run, and where it begins. The snapshot follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentStart<'a> {
    pub(super) format: u8,
    /// Counts a machine's segments from 1 on. One that does not follow on its predecessor leaves a number out.
    pub number: u32,
    /// The release that ran.
    pub build: &'a str,
    /// Whose inputs follow.
    pub machine: MachineKind,
    /// The values of [`CAPACITIES`], two bytes each, the higher first.
    capacities: &'a [u8],
    /// When the segment starts.
    pub at: Instant,
    /// The actions of the last input of the segment before.
    pub before: Polled,
}

/// The values of [`CAPACITIES`] as bytes.
const CAPACITY_BYTES: [u8; 2 * CAPACITIES.len()] = {
    let mut bytes = [0; 2 * CAPACITIES.len()];
    let mut place = 0;
    while place < CAPACITIES.len() {
        // A capacity is at most 65535.
        [bytes[2 * place], bytes[2 * place + 1]] = (CAPACITIES[place].1 as u16).to_be_bytes();
        place += 1;
    }
    bytes
};

/// A capacity with which a machine ran is not the one of this build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapacitiesDiffer {
    /// Its name in [`crate::limits`]; empty when the two builds do not even have the same ones.
    pub name: &'static str,
    /// What it was in the run.
    pub recorded: u16,
}

impl SegmentStart<'_> {
    pub(super) const fn new(number: u32, machine: MachineKind, at: Instant, before: Polled) -> Self {
        Self { format: FORMAT, number, build: super::BUILD, machine, capacities: &CAPACITY_BYTES, at, before }
    }

    /// The first capacity that was another one in the run.
    pub fn capacities_differ(&self) -> Option<CapacitiesDiffer> {
        if self.capacities.len() != CAPACITY_BYTES.len() {
            return Some(CapacitiesDiffer { name: "", recorded: 0 });
        }
        let pairs = self.capacities.chunks_exact(2).zip(CAPACITY_BYTES.chunks_exact(2)).zip(CAPACITIES);
        pairs.filter(|((theirs, ours), _)| theirs != ours).find_map(|((theirs, _), (name, _))| {
            let recorded = u16::from_be_bytes(theirs.try_into().ok()?);
            Some(CapacitiesDiffer { name, recorded })
        })
    }
}

/// What follows a segment's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry<Input> {
    /// The machine was told something.
    Input(Record<Input>),
    /// The machine had nothing more to do.
    Settled {
        /// The actions of the last input.
        before: Polled,
        /// The [`checksum_of`] its state, if it was summed up.
        checksum: Option<u32>,
    },
}

/// Why bytes are no segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SegmentError {
    /// No segment starts here, or its start is damaged.
    NoStart,
    /// It was written in another way than this build knows.
    Format {
        /// Its number.
        found: u8,
    },
}

impl fmt::Display for SegmentError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoStart => out.write_str("no segment of a trace starts here"),
            Self::Format { found } => write!(
                out,
                "it is written in format {found}, and this release reads {FORMAT}; use the programs of the release that ran"
            ),
        }
    }
}

impl core::error::Error for SegmentError {}

/// One segment, as far as it is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// What it says of itself.
    pub start: SegmentStart<'a>,
    /// The machine as it was, in the native encoding.
    pub snapshot: &'a [u8],
    bytes: &'a [u8],
    entries: &'a [u8],
}

impl<'a> Segment<'a> {
    /// Reads the segment that starts with these bytes. It ends before the first entry that is not whole.
    pub fn read(bytes: &'a [u8]) -> Result<Self, SegmentError> {
        let (content, rest) = frame::read(bytes, START_SEED).ok_or(SegmentError::NoStart)?;
        let format = content.first().copied().ok_or(SegmentError::NoStart)?;
        if format != FORMAT {
            return Err(SegmentError::Format { found: format });
        }
        let (start, snapshot) =
            postcard::take_from_bytes::<SegmentStart<'a>>(content).map_err(|_| SegmentError::NoStart)?;
        let mut behind = rest;
        while let Some((_, next)) = frame::read(behind, start.number) {
            behind = next;
        }
        let bytes_used = bytes.len().saturating_sub(behind.len());
        let entry_bytes = rest.len().saturating_sub(behind.len());
        let (Some(bytes), Some(entries)) = (bytes.get(..bytes_used), rest.get(..entry_bytes)) else {
            return Err(SegmentError::NoStart);
        };
        Ok(Self { start, snapshot, bytes, entries })
    }

    /// The bytes that it consists of.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What is in it, read as the entries of a machine with these inputs.
    pub const fn entries<Input: Deserialize<'a>>(&self) -> Entries<'a, Input> {
        Entries { number: self.start.number, rest: self.entries, input: PhantomData }
    }
}

/// The entries of a [`Segment`]. One that cannot be read is `None`, and the last.
#[derive(Clone, Debug)]
pub struct Entries<'a, Input> {
    number: u32,
    rest: &'a [u8],
    input: PhantomData<fn() -> Input>,
}

impl<'a, Input: Deserialize<'a>> Iterator for Entries<'a, Input> {
    type Item = Option<Entry<Input>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let Some((content, rest)) = frame::read(core::mem::take(&mut self.rest), self.number) else {
            return Some(None);
        };
        let entry = match postcard::take_from_bytes(content) {
            Ok((entry, [])) => entry,
            Ok(_) | Err(_) => {
                planted!("entries_after_the_last" => self.rest = rest);
                return Some(None);
            }
        };
        self.rest = rest;
        Some(Some(entry))
    }
}

/// Writes the start of a segment and its snapshot.
pub(super) fn write_start<M: Serialize>(
    room: &mut [u8],
    start: &SegmentStart<'_>,
    machine: &M,
) -> Result<usize, frame::NoRoom> {
    frame::write(room, START_SEED, &(start, machine))
}

/// The checksum of a machine's state, and how many bytes that has.
///
/// Two states that are told apart by nothing that follows have the same one, whatever way led to them.
pub fn checksum_of<M: Serialize>(machine: &M) -> (u32, usize) {
    let digest = Digest { sum: 0, bytes: 0, pending: Vec::new() };
    // Nothing is stored, so nothing can be full, and all that a machine consists of can be encoded.
    postcard::serialize_with_flavor(machine, digest).unwrap_or_default()
}

/// Sums up what is written to it.
struct Digest {
    sum: u32,
    bytes: usize,
    pending: Vec<u8, 256>,
}

impl Digest {
    fn flush(&mut self) {
        self.sum = checksum(self.sum, &self.pending);
        self.bytes = self.bytes.saturating_add(self.pending.len());
        self.pending.clear();
    }
}

impl Flavor for Digest {
    type Output = (u32, usize);

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        if self.pending.is_full() {
            self.flush();
        }
        self.pending.push(byte).map_err(|_| postcard::Error::SerializeBufferFull)
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        if self.pending.extend_from_slice(bytes).is_err() {
            self.flush();
            // It may be longer than all that can be pending.
            self.sum = checksum(self.sum, bytes);
            self.bytes = self.bytes.saturating_add(bytes.len());
        }
        Ok(())
    }

    fn finalize(mut self) -> postcard::Result<Self::Output> {
        self.flush();
        Ok((self.sum, self.bytes))
    }
}
