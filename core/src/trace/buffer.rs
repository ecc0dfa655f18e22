//! The recorder that keeps the latest inputs in a fixed stretch of memory.

use core::fmt;

use serde::Serialize;

use super::segment::{Entry, Segment, SegmentStart, checksum_of, write_start};
use super::{Polled, Record, Recorder, Replayable, frame};
use crate::fmt::{Said, warning};
use crate::time::Instant;

/// Segments that the memory of a trace is divided into: three quarters of it hold what was, whatever is overwritten now.
pub const SEGMENTS: usize = 4;

/// A state is summed up when this many times the bytes of the inputs since the last time are as many as its own: so the cost
/// of an input does not grow with what is in the tables, and a small machine's state is known at the end of every turn.
const CHECK_RATIO: usize = 64;

/// A machine that was too large is tried again after as many inputs and turns: it may have become smaller, and to write it in
/// vain costs as much as some ten inputs do.
const REST: u32 = 256;

/// Why nothing is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Fault {
    /// Caller: the machine alone fills half of a segment, and so there is no room for what it is told. Give more memory.
    TooSmall,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooSmall => out.write_str("the memory of the trace is too small for this machine; give it more"),
        }
    }
}

impl core::error::Error for Fault {}

/// The latest inputs of a machine, in memory that the caller gives.
///
/// Nobody else may write that memory. It may be read at any moment: [`segments`] finds what is whole.
#[derive(Debug)]
pub struct TraceBuffer<Memory> {
    memory: Memory,
    /// The number of the segment that is written, or was last.
    number: u32,
    /// How many bytes of its slot are taken; `None` when the next record starts another one.
    position: Option<usize>,
    /// When the latest input was handled.
    latest: Instant,
    /// Bytes of inputs since the state was summed up.
    unchecked_bytes: usize,
    state_bytes: usize,
    fault: Option<Fault>,
    /// Inputs and turns that are let pass before a segment is started again.
    rest: u32,
}

impl<Memory: AsMut<[u8]>> TraceBuffer<Memory> {
    /// Will write to this memory. What is there already is overwritten.
    pub fn new(mut memory: Memory) -> Self {
        for slot in slots_mut(memory.as_mut()) {
            // Without its start no segment is there.
            slot.iter_mut().take(frame::HEAD_BYTES).for_each(|byte| *byte = 0);
        }
        Self {
            memory,
            number: 0,
            position: None,
            latest: Instant::default(),
            unchecked_bytes: 0,
            state_bytes: 0,
            fault: None,
            rest: 0,
        }
    }

    /// Why nothing is recorded at the moment. What is then left out is a gap that can be seen.
    pub const fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// The memory, to look at.
    pub const fn memory(&self) -> &Memory {
        &self.memory
    }

    fn slot(&mut self) -> &mut [u8] {
        let place = (self.number as usize) % SEGMENTS;
        slots_mut(self.memory.as_mut()).nth(place).unwrap_or_default()
    }

    fn append<T: Serialize>(&mut self, entry: &T) -> Option<usize> {
        let (position, number) = (self.position?, self.number);
        let room = self.slot().get_mut(position..)?;
        let bytes = frame::write(room, number, entry).ok()?;
        self.position = Some(position.saturating_add(bytes));
        Some(bytes)
    }

    /// Starts a segment with the machine as it is now.
    fn start<M: Replayable>(&mut self, machine: &M, before: Polled) {
        self.number = self.number.wrapping_add(1).max(1);
        let start = SegmentStart::new(self.number, M::KIND, self.latest, before);
        let slot = self.slot();
        let half = slot.len() / 2;
        match write_start(slot, &start, machine) {
            Ok(bytes) if bytes <= half => (self.position, self.fault) = (Some(bytes), None),
            Ok(_) | Err(frame::NoRoom) => self.fail(Fault::TooSmall),
        }
        self.unchecked_bytes = 0;
    }

    fn fail(&mut self, fault: Fault) {
        if self.fault.is_none() {
            warning!("the inputs of a machine are not recorded: {}", Said(&fault));
        }
        if let Some(head) = self.slot().get_mut(..frame::HEAD_BYTES) {
            // A start that was written, but leaves no room, is none.
            head.fill(0);
        }
        (self.position, self.fault, self.rest) = (None, Some(fault), REST);
        // The next try is at the same place: what lies at the others is the latest that there is.
        self.number = self.number.wrapping_add(SEGMENTS as u32 - 1);
    }

    /// Whether there is no segment, and none is to be started yet.
    fn rests(&mut self) -> bool {
        self.rest = self.rest.saturating_sub(1);
        self.rest > 0
    }

    /// An input that does not fit even there is lost; the number that is left out tells.
    fn record_first<M: Replayable, Input: Serialize>(&mut self, machine: &M, record: &Record<Input>) {
        self.start(machine, record.before);
        let first = Record { before: Polled::default(), at: record.at, input: &record.input };
        match self.append(&Entry::Input(first)) {
            Some(bytes) => self.unchecked_bytes = bytes,
            None if self.fault.is_some() => {}
            None => {
                self.position = None;
                self.number = self.number.wrapping_add(1);
            }
        }
    }
}

impl<Memory: AsMut<[u8]>> Recorder for TraceBuffer<Memory> {
    fn record<M: Replayable, Input: Serialize>(&mut self, machine: &M, record: &Record<Input>) {
        if self.rests() {
            return;
        }
        self.latest = record.at;
        let entry = Entry::Input(Record { before: record.before, at: record.at, input: &record.input });
        match self.append(&entry) {
            Some(bytes) => self.unchecked_bytes = self.unchecked_bytes.saturating_add(bytes),
            None => self.record_first(machine, record),
        }
    }

    fn expect_reader(&mut self) {
        self.state_bytes = 0;
    }

    fn settle<M: Replayable>(&mut self, machine: &M, before: Polled) {
        if self.rests() {
            return;
        }
        if self.position.is_none() {
            return self.start(machine, before);
        }
        let is_due = self.unchecked_bytes.saturating_mul(CHECK_RATIO) >= self.state_bytes;
        let checksum = is_due.then(|| checksum_of(machine));
        let entry: Entry<()> = Entry::Settled { before, checksum: checksum.map(|(sum, _)| sum) };
        if self.append(&entry).is_none() {
            self.start(machine, before);
        }
        if let Some((_, bytes)) = checksum {
            (self.state_bytes, self.unchecked_bytes) = (bytes, 0);
        }
    }
}

fn slots_mut(memory: &mut [u8]) -> impl Iterator<Item = &mut [u8]> {
    let slot_bytes = (memory.len() / SEGMENTS).max(1);
    memory.chunks_exact_mut(slot_bytes).take(SEGMENTS)
}

/// The segments that lie in a trace's memory, oldest first.
pub fn segments(memory: &[u8]) -> impl Iterator<Item = Segment<'_>> {
    let slot_bytes = (memory.len() / SEGMENTS).max(1);
    let slots = memory.chunks_exact(slot_bytes).take(SEGMENTS);
    let mut found: heapless::Vec<Segment<'_>, SEGMENTS> = slots.filter_map(|slot| Segment::read(slot).ok()).collect();
    found.sort_unstable_by_key(|segment| segment.start.number);
    found.into_iter()
}
