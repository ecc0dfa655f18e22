//! The real programs: how long what an app waits for takes, and what they cost.
//!
//! The app is this process, on one processor. The manager and its session servers run on the other one, and so does
//! whatever stands beside them: a message from one side to the other wakes a processor in both cases.

mod app;
mod bare;
mod control;
mod empty;
mod first_frame;
mod memory;
mod sizes;
mod stage;
mod starting;
mod states;

use std::time::Instant;

pub(crate) use bare::{Orders, run as serve};

pub(crate) use empty::EmptyProgram;
pub(crate) use memory::pss_kb;

pub(crate) use control::measure as control;
pub(crate) use first_frame::measure as first_frame;
pub(crate) use memory::measure as memory;
pub(crate) use sizes::measure as sizes;
pub(crate) use starting::measure as starting;
pub(crate) use states::measure as states;

pub(crate) fn milliseconds_since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1_000.0
}
