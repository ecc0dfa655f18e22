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

use crate::Failure;
use crate::pinning::Pinning;
use crate::report::Report;

/// Compares all of them.
pub(crate) fn measure(report: &mut Report, pinning: Pinning, rounds: u32) -> Result<(), Failure> {
    control::measure(report, pinning, rounds)?;
    starting::measure(report, pinning, rounds)?;
    states::measure(report, pinning, rounds)?;
    first_frame::measure(report, pinning, rounds)?;
    memory::measure(report, pinning, rounds)?;
    sizes::measure(report)
}

fn milliseconds_since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1_000.0
}
