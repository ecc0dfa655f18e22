//! The traces of several machines in one file, which can be carried to another box.
//!
//! ```text
//! file  = "GRTRACE\n" | version: u16 LE | part... | end
//! part  = frame with 1 | origin | segments...      (length, checksum, content)
//! end   = frame with 0
//! ```
//!
//! Each part has a checksum over all of it, so a file that was damaged or cut short on its way is refused as a whole, while a
//! segment that its machine could not finish is what it is.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use core::fmt;

use serde::{Deserialize, Serialize};

use super::frame::{self, HEAD_BYTES};
use super::{MachineKind, Segment, SegmentError, segments};
use crate::hal::ExitStatus;
use crate::message::AppId;

const MAGIC: &[u8; 8] = b"GRTRACE\n";
/// The version of the file that this release writes, and the only one that it reads.
pub const VERSION: u16 = 1;
/// So a part and the end differ in their checksums, too.
const SEED: u32 = 0x7472_6163;
const PART: u8 = 1;
const END: u8 = 0;
/// Bytes before what a part's segment consists of.
const LENGTH_BYTES: usize = 4;

/// Whose trace it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Origin {
    /// Which machine.
    pub machine: MachineKind,
    /// The app that a session server is for; one that waits for its app has none.
    pub app: Option<AppId>,
    /// The number of its process.
    pub process_id: u32,
    /// How its process has ended, if it has.
    pub ended: Option<ExitStatus>,
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.machine, &self.app) {
            (MachineKind::Manager, _) => out.write_str("manager")?,
            (MachineKind::Session, Some(app)) => write!(out, "session server of {app}")?,
            (MachineKind::Session, None) => out.write_str("spare session server")?,
            (MachineKind::Client, Some(app)) => write!(out, "client of {app}")?,
            (MachineKind::Client, None) => out.write_str("client")?,
        }
        write!(out, " (process {}", self.process_id)?;
        match self.ended {
            None => out.write_str(")"),
            Some(ExitStatus::Exited(status)) => write!(out, ", ended with status {status})"),
            Some(ExitStatus::Killed(signal)) => write!(out, ", killed by signal {signal})"),
        }
    }
}

/// Why bytes are no trace file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileError {
    /// Caller: it is something else.
    NoTrace,
    /// Caller: it is of a version that this release does not read.
    Version {
        /// The file's.
        found: u16,
    },
    /// Peer: it ends too early.
    Truncated,
    /// Peer: its bytes are not those that were written.
    Damaged {
        /// Which of its parts, counted from 1.
        part: u32,
    },
    /// Caller: a segment in it is of a format that this release does not read.
    Segment {
        /// In which of its parts, counted from 1.
        part: u32,
        /// What is wrong.
        error: SegmentError,
    },
}

impl fmt::Display for FileError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTrace => out.write_str("this is no trace file; 'greenroomctl trace save' makes one"),
            Self::Version { found } => write!(
                out,
                "the trace file is of version {found}, and this release reads version {VERSION}; use the greenroomctl of the \
                 release that saved it"
            ),
            Self::Truncated => out.write_str("the trace file ends too early; save or copy it again"),
            Self::Damaged { part } => write!(out, "part {part} of the trace file is damaged; save or copy it again"),
            Self::Segment { part, error } => write!(out, "part {part} of the trace file: {error}"),
        }
    }
}

impl core::error::Error for FileError {}

/// The trace of one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Whose it is.
    pub origin: Origin,
    segments: &'a [u8],
}

impl<'a> Part<'a> {
    /// The segments, oldest first.
    pub const fn segments(&self) -> Segments<'a> {
        Segments { rest: self.segments }
    }
}

/// The segments of a [`Part`].
#[derive(Clone, Debug)]
pub struct Segments<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        let (segment, rest) = split_segment(self.rest).ok()??;
        self.rest = rest;
        Some(segment)
    }
}

type Split<'a> = Option<(Segment<'a>, &'a [u8])>;

/// Takes one segment off the front. It must be whole: what it was cut to when it was written has its length.
fn split_segment(bytes: &[u8]) -> Result<Split<'_>, SegmentError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>().ok_or(SegmentError::NoStart)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| SegmentError::NoStart)?;
    let (bytes, rest) = rest.split_at_checked(length).ok_or(SegmentError::NoStart)?;
    let segment = Segment::read(bytes)?;
    if segment.bytes().len() != bytes.len() {
        return Err(SegmentError::NoStart);
    }
    Ok(Some((segment, rest)))
}

/// A file that was checked as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File<'a> {
    parts: &'a [u8],
}

impl<'a> File<'a> {
    /// Checks the bytes of a file. Whatever they are, this ends in time that grows with their number only.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FileError> {
        let parts = strip_opening(bytes)?;
        let mut rest = parts;
        for part in 1_u32.. {
            match split_part(rest, part)? {
                Some((found, next)) => {
                    check_segments(&found, part)?;
                    rest = next;
                }
                None => break,
            }
        }
        Ok(Self { parts })
    }

    /// The machines' traces, in the order in which they were written.
    pub fn parts(&self) -> impl Iterator<Item = Part<'a>> + use<'a> {
        let mut rest = self.parts;
        core::iter::from_fn(move || {
            let (part, next) = split_part(rest, 0).ok()??;
            rest = next;
            Some(part)
        })
    }
}

fn strip_opening(bytes: &[u8]) -> Result<&[u8], FileError> {
    let Some(rest) = bytes.strip_prefix(MAGIC) else {
        return Err(if !bytes.is_empty() && MAGIC.starts_with(bytes) {
            FileError::Truncated
        } else {
            FileError::NoTrace
        });
    };
    let (version, rest) = rest.split_first_chunk::<2>().ok_or(FileError::Truncated)?;
    match u16::from_le_bytes(*version) {
        VERSION => Ok(rest),
        found => Err(FileError::Version { found }),
    }
}

/// Takes part number `part` off the front; `None` is the end.
fn split_part(bytes: &[u8], part: u32) -> Result<Option<(Part<'_>, &[u8])>, FileError> {
    let damaged = FileError::Damaged { part };
    let (sum, content, rest) = frame::split(bytes).ok_or(FileError::Truncated)?;
    if sum != frame::checksum(SEED, content) {
        return Err(damaged);
    }
    match content.split_first() {
        Some((&END, [])) if rest.is_empty() => Ok(None),
        Some((&PART, content)) => {
            let (origin, segments) = postcard::take_from_bytes(content).map_err(|_| damaged)?;
            Ok(Some((Part { origin, segments }, rest)))
        }
        _ => Err(damaged),
    }
}

fn check_segments(part: &Part<'_>, number: u32) -> Result<(), FileError> {
    let mut rest = part.segments;
    loop {
        match split_segment(rest) {
            Ok(Some((_, next))) => rest = next,
            Ok(None) => return Ok(()),
            Err(SegmentError::NoStart) => return Err(FileError::Damaged { part: number }),
            Err(error) => return Err(FileError::Segment { part: number, error }),
        }
    }
}

/// Writes the opening of a file. Parts follow, and then the [`end`].
pub fn opening(write: &mut impl FnMut(&[u8])) {
    write(MAGIC);
    write(&VERSION.to_le_bytes());
}

/// Writes the trace of one machine: what is whole in its memory. Gives the segments that it has.
pub fn part(origin: &Origin, memory: &[u8], write: &mut impl FnMut(&[u8])) -> usize {
    // More than a name and four numbers need.
    let mut buffer = [0; crate::limits::APP_ID_BYTES_MAX.saturating_add(32)];
    let origin = postcard::to_slice(&(PART, origin), &mut buffer).map(|written| &*written).unwrap_or_default();
    let mut bytes = origin.len();
    let mut sum = frame::checksum(SEED, origin);
    let mut count = 0_usize;
    for segment in segments(memory) {
        let length = length_of(segment.bytes());
        sum = frame::checksum(frame::checksum(sum, &length), segment.bytes());
        bytes = bytes.saturating_add(LENGTH_BYTES).saturating_add(segment.bytes().len());
        count = count.saturating_add(1);
    }
    write(&(bytes as u32).to_le_bytes());
    write(&sum.to_le_bytes());
    write(origin);
    for segment in segments(memory) {
        write(&length_of(segment.bytes()));
        write(segment.bytes());
    }
    count
}

/// Writes the end of a file.
pub fn end(write: &mut impl FnMut(&[u8])) {
    let mut buffer = [0; HEAD_BYTES.saturating_add(1)];
    if let Ok(bytes) = frame::write(&mut buffer, SEED, &END) {
        buffer.get(..bytes).into_iter().for_each(write);
    }
}

/// A trace's memory is far smaller than 4 GiB.
fn length_of(segment: &[u8]) -> [u8; LENGTH_BYTES] {
    (segment.len() as u32).to_le_bytes()
}
