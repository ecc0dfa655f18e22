//! The record of inputs from which a run can be replayed.
//!
//! A machine is a function of its inputs, so the inputs are all that is recorded: in segments that start with what
//! is needed to make the machine again. Where the bytes go is the platform's matter ([`Recorder`]).

use serde::{Deserialize, Serialize};

use crate::time::Instant;

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

/// The start of a segment: what a replay must have in common with the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentStart<'a, Snapshot> {
    /// The release that ran.
    pub build: &'a str,
    /// Whose inputs follow.
    pub machine: MachineKind,
    /// When the segment starts.
    pub at: Instant,
    /// The machine as it was then; its capacities are part of its type.
    pub snapshot: Snapshot,
}

/// One input and when it was handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record<Input> {
    /// The `now` that came with it.
    pub at: Instant,
    /// The input.
    pub input: Input,
}

/// Where a driver records the inputs of its machine.
pub trait Recorder {
    /// Takes one record. It may drop old ones, but must not block.
    fn record<Input: Serialize>(&mut self, record: Record<&Input>);
}

/// Records nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoRecorder;

impl Recorder for NoRecorder {
    fn record<Input: Serialize>(&mut self, _: Record<&Input>) {}
}
