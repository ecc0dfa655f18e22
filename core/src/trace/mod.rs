//! The record of inputs from which a run can be replayed.
//!
//! A machine is a function of its inputs, so the inputs are all that is recorded. A [`TraceBuffer`] keeps the latest of them
//! in a fixed stretch of memory:
//!
//! ```text
//! memory    slot | slot | slot | slot          the oldest is overwritten as a whole
//! slot      start and snapshot, then entries   with each its length and checksum
//! entry     input: when, what                  or: the checksum of the machine's state
//! ```
//!
//! Each slot holds one [`Segment`], which can be replayed without those before it: it begins with the machine as it was. An
//! entry whose checksum is wrong is none, so memory can be read at any moment, also when its writer was killed in the middle
//! of an entry. Such memory of several machines is kept in one [`file`](mod@file).
//!
//! A driver holds its machine in a [`Traced`], which records every input on its way in. What only passes through a machine,
//! such as a licence or a subtitle, is left out ([`Replayable::strip_payload`]); frames never come near one.

mod buffer;
pub mod file;
mod frame;
mod replayable;
mod segment;
#[cfg(test)]
mod tests;

use core::ops::Deref;

use serde::{Deserialize, Serialize};

pub use self::buffer::{Fault, SEGMENTS, TraceBuffer, segments};
pub use self::segment::{CapacitiesDiffer, Entries, Entry, Segment, SegmentError, SegmentStart, checksum_of};
use crate::driver::Machine;
use crate::time::Instant;

/// What a segment can be replayed by: it says this of itself, and must be told the same.
pub const BUILD: &str = env!("CARGO_PKG_VERSION");

/// Which machine a record belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum MachineKind {
    /// [`crate::manager`].
    Manager,
    /// [`crate::session`].
    Session,
    /// [`crate::client`].
    Client,
}

/// A machine that can be recorded: its state is all serialized, and its inputs lead to the same states again.
pub trait Replayable: Machine + Serialize {
    /// Which one it is.
    const KIND: MachineKind;

    /// Takes out of an input what only passes through, being long or nobody else's business: it comes to the same.
    fn strip_payload(input: &mut Self::Input<'_>);
}

/// What was done with the actions of the input before.
///
/// Some inputs come in the middle of a drain, so a replay must know where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Polled {
    /// How many were taken out.
    pub actions: u16,
    /// Whether all were: then there was no other one.
    pub drained: bool,
}

/// One input and when it was handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record<Input> {
    /// The actions of the input before.
    pub before: Polled,
    /// The `now` that came with it.
    pub at: Instant,
    /// The input.
    pub input: Input,
}

/// Where a driver records the inputs of its machine. It may drop old records, but must not block.
pub trait Recorder {
    /// Takes one record. `machine` has not handled its input yet.
    fn record<M: Replayable, Input: Serialize>(&mut self, machine: &M, record: &Record<Input>);

    /// Nothing is to be done at the moment, and so `machine` waits for its next input. Tells the actions of the last one.
    fn settle<M: Replayable>(&mut self, machine: &M, before: Polled);

    /// Somebody is about to read the records: the machine's state is to be known at the next [`Self::settle`].
    fn expect_reader(&mut self) {}
}

/// Records nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoRecorder;

impl Recorder for NoRecorder {
    fn record<M: Replayable, Input: Serialize>(&mut self, _: &M, _: &Record<Input>) {}
    fn settle<M: Replayable>(&mut self, _: &M, _: Polled) {}
}

/// Where there may be memory for a trace, or not.
impl<R: Recorder> Recorder for Option<R> {
    fn record<M: Replayable, Input: Serialize>(&mut self, machine: &M, record: &Record<Input>) {
        if let Some(recorder) = self {
            recorder.record(machine, record);
        }
    }

    fn settle<M: Replayable>(&mut self, machine: &M, before: Polled) {
        if let Some(recorder) = self {
            recorder.settle(machine, before);
        }
    }

    fn expect_reader(&mut self) {
        if let Some(recorder) = self {
            recorder.expect_reader();
        }
    }
}

/// A machine whose inputs are recorded on their way in. It can be looked at like the machine itself.
#[derive(Debug)]
pub struct Traced<M, R> {
    machine: M,
    recorder: R,
    polled: Polled,
    is_settled: bool,
}

impl<M, R> Traced<M, R> {
    /// Records what this machine is told from now on.
    pub const fn new(machine: M, recorder: R) -> Self {
        Self { machine, recorder, polled: Polled { actions: 0, drained: false }, is_settled: true }
    }

    /// What it is recorded by.
    pub const fn recorder(&self) -> &R {
        &self.recorder
    }
}

impl<M, R: Recorder> Traced<M, R>
where
    M: Replayable,
    for<'a> M::Input<'a>: Serialize + Copy,
{
    /// Records an input and hands it in.
    pub fn handle(&mut self, at: Instant, input: M::Input<'_>) -> Result<(), M::Refusal> {
        let before = core::mem::take(&mut self.polled);
        let mut record = Record { before, at, input };
        M::strip_payload(&mut record.input);
        self.recorder.record(&self.machine, &record);
        self.is_settled = false;
        self.machine.handle(at, input)
    }

    /// The next thing to do, if there is one.
    pub fn poll_action(&mut self) -> Option<M::Action> {
        let action = self.machine.poll_action();
        match action {
            Some(_) if planted!("actions_not_counted") => {}
            Some(_) => self.polled.actions = self.polled.actions.saturating_add(1),
            None => self.polled.drained = true,
        }
        action
    }

    /// Nothing is to be done at the moment: to be called before the machine is left alone for a while.
    pub fn settle(&mut self) {
        if !core::mem::replace(&mut self.is_settled, true) {
            let before = core::mem::take(&mut self.polled);
            self.recorder.settle(&self.machine, before);
        }
    }

    /// As [`Self::settle`], for somebody who reads the records now: the machine's state is among them.
    pub fn settle_for_reader(&mut self) {
        self.recorder.expect_reader();
        self.is_settled = false;
        self.settle();
    }
}

impl<M, R> Deref for Traced<M, R> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.machine
    }
}
