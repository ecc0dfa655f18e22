//! From one state to another: controller, manager, session server, and back. Beside it the same four messages between
//! three processes of which the last one makes the shared memory.

use std::cell::RefCell;
use std::time::Instant;

use greenroom_core::message::TargetState;
use greenroom_tests::tv_box::Setup;

use super::bare::{Part, Process};
use super::milliseconds_since;
use super::stage::{APP, Stage};
use crate::Failure;
use crate::figure::{Figure, Target};
use crate::pinning::Pinning;
use crate::report::{Report, progress};
use crate::rounds::{Spread, interleave};

/// Changes in one turn, whose median it gives.
const CHANGES: usize = 11;
const RATIO_MAX: f64 = 3.0;

pub(crate) fn measure(report: &mut Report, pinning: Pinning, rounds: u32) -> Result<(), Failure> {
    let mut relay = Process::beside(Part::Relay, pinning)?;
    let mut stage = Stage::set_up(Setup::new(), pinning)?;
    stage.controller.bring_up(APP, TargetState::Inactive);
    let controller = RefCell::new(stage.controller);
    let change = |target| {
        let start = Instant::now();
        controller.borrow_mut().bring_to(APP, target);
        milliseconds_since(start)
    };
    let bar = progress("states", 3 * rounds);
    let spreads = interleave(
        [
            &mut || Ok(median(|| (change(TargetState::Active), change(TargetState::Inactive)).0)),
            &mut || Ok(median(|| (change(TargetState::Active), change(TargetState::Inactive)).1)),
            &mut || {
                let trips = (0..CHANGES).map(|_| {
                    let start = Instant::now();
                    relay.ask()?;
                    Ok(milliseconds_since(start))
                });
                Ok(Spread::of(trips.collect::<Result<_, Failure>>()?).median)
            },
        ],
        rounds,
        || bar.inc(1),
    )?;
    bar.finish_and_clear();
    let [active, inactive, relay] = spreads;
    let active = Figure::new("inactive_to_active", "ms", active, "four hops and a memfd", relay);
    report.add(active.target(Target::RatioMax(RATIO_MAX)));
    report.add(Figure::new("active_to_inactive", "ms", inactive, "four hops and a memfd", relay));
    Ok(())
}

fn median(mut change_ms: impl FnMut() -> f64) -> f64 {
    Spread::of((0..CHANGES).map(|_| change_ms()).collect()).median
}
