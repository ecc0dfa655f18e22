//! From a request until a session server is there, and until it is gone.

use std::cell::RefCell;
use std::time::Instant;

use greenroom_core::message::TargetState;
use greenroom_tests::tv_box::{Controller, Setup};

use super::empty::EmptyProgram;
use super::milliseconds_since;
use super::stage::{APP, Stage};
use crate::Failure;
use crate::figure::{Figure, Target};
use crate::pinning::Pinning;
use crate::report::{Report, progress};
use crate::rounds::interleave;

const COLD_RATIO_MAX: f64 = 1.5;
const GONE_MS_MAX: f64 = 5.0;

pub(super) fn measure(report: &mut Report, pinning: Pinning, rounds: u32) -> Result<(), Failure> {
    let stage = Stage::set_up(Setup::new(), pinning)?;
    let controller = RefCell::new(stage.controller);
    let bar = progress("session servers start and end", 4 * rounds);
    let spreads = interleave(
        [
            &mut || {
                let cold = initiate(&mut controller.borrow_mut());
                end(&mut controller.borrow_mut());
                Ok(cold)
            },
            &mut || {
                initiate(&mut controller.borrow_mut());
                Ok(end(&mut controller.borrow_mut()))
            },
            &mut || {
                let start = Instant::now();
                let program = EmptyProgram::start(pinning)?;
                let elapsed_ms = milliseconds_since(start);
                program.end()?;
                Ok(elapsed_ms)
            },
            &mut || EmptyProgram::start(pinning)?.end(),
        ],
        rounds,
        || bar.inc(1),
    )?;
    bar.finish_and_clear();
    let [cold, gone, bare_start, bare_end] = spreads;
    let cold = Figure::new("initiate_cold", "ms", cold, "empty program starts", bare_start);
    report.add(cold.target(Target::RatioMax(COLD_RATIO_MAX)));
    let gone = Figure::new("not_running_to_gone", "ms", gone, "empty program ends", bare_end);
    report.add(gone.target(Target::ValueMax(GONE_MS_MAX)));
    Ok(())
}

/// Milliseconds from the request until the app is Inactive.
fn initiate(controller: &mut Controller) -> f64 {
    let start = Instant::now();
    controller.bring_up(APP, TargetState::Inactive);
    milliseconds_since(start)
}

/// Milliseconds from the request until the app is gone.
fn end(controller: &mut Controller) -> f64 {
    let start = Instant::now();
    controller.bring_to(APP, TargetState::NotRunning);
    milliseconds_since(start)
}
