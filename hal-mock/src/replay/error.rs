//! Why a run cannot be had once more.

use std::fmt;

use greenroom_core::time::Instant;
use greenroom_core::trace::file::Origin;
use greenroom_core::trace::{BUILD, CapacitiesDiffer};

use super::show::Seconds;

/// Why a trace was not replayed to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplayError {
    /// Caller: another release has recorded it.
    Build {
        /// Which one.
        recorded: String,
    },
    /// Caller: it was recorded with other capacities.
    Capacity(CapacitiesDiffer),
    /// Peer: a machine's trace has nothing in it.
    Empty {
        /// Whose.
        origin: Origin,
    },
    /// Peer: a segment does not begin with a machine of this build.
    Snapshot {
        /// Whose.
        origin: Origin,
        /// The segment's number.
        segment: u32,
    },
    /// Peer: an entry is whole, and no input of this build.
    Unreadable {
        /// Whose.
        origin: Origin,
        /// Which input it would have been.
        number: usize,
    },
    /// The machine came to something else than it did in the run: the two builds differ, or it depends on more than its
    /// inputs.
    Diverged {
        /// Which machine.
        origin: Origin,
        /// At which input.
        number: usize,
        /// When that was.
        at: Instant,
        /// What was seen there.
        what: String,
        /// What differs.
        difference: Difference,
    },
}

/// In what a replay differs from the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The input led to another number of actions.
    Actions {
        /// In the run.
        recorded: usize,
        /// Now.
        replayed: usize,
    },
    /// The input led to another state.
    State {
        /// Its checksum in the run.
        recorded: u32,
        /// Its checksum now.
        replayed: u32,
    },
}

impl fmt::Display for ReplayError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // It is what a session server has written, and may be shown by a terminal.
            Self::Build { recorded } => write!(
                out,
                "the trace was recorded by release {}, and this is {BUILD}; use the programs of that release",
                recorded.escape_debug()
            ),
            Self::Capacity(CapacitiesDiffer { name: "", .. }) => {
                out.write_str("the trace was recorded by a build with other capacities; use the programs of that build")
            }
            Self::Capacity(CapacitiesDiffer { name, recorded }) => write!(
                out,
                "the trace was recorded with {name} = {recorded}; use programs that were built with GREENROOM_{name}={recorded}"
            ),
            Self::Empty { origin } => write!(out, "{origin}: nothing was recorded"),
            Self::Snapshot { origin, segment } => {
                write!(out, "{origin}: segment {segment} holds no state of this build; use the programs that ran")
            }
            Self::Unreadable { origin, number } => {
                write!(out, "{origin}: input {number} is none of this build; use the programs that ran")
            }
            Self::Diverged { origin, number, at, what, difference } => {
                write!(out, "{origin}: the replay differs from the run at input {number}, {}: ", Seconds(*at))?;
                match difference {
                    Difference::Actions { recorded, replayed } => {
                        write!(out, "{replayed} action(s) instead of {recorded} after {what}")
                    }
                    Difference::State { recorded, replayed } => {
                        write!(out, "state {replayed:08x} instead of {recorded:08x}: {what}")
                    }
                }
            }
        }
    }
}

impl std::error::Error for ReplayError {}
