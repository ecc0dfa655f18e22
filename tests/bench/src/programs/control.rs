//! A question and its answer.
//!
//! `control_round_trip` is the client library's cheapest call through the real session server: how long the media is. The
//! caller's thread hands it to the library's thread, which sends it, hears the answer and hands that back.
//! `control_round_trip_manager` is a controller's question to the manager, how the box is, which needs no second thread.

use std::time::Instant;

use greenroom_core::message::control::Command;
use greenroom_tests::tv_box::Setup;

use super::bare::{Part, Process};
use super::stage::Stage;
use crate::Failure;
use crate::figure::{Figure, Target};
use crate::pinning::Pinning;
use crate::report::{Report, progress};
use crate::rounds::{Spread, interleave};

/// Questions in one turn, whose median it gives.
const QUESTIONS: usize = 101;
const RATIO_MAX: f64 = 1.5;
/// Behind the last app the box itself is told.
const BOX: Command<'static> = Command::List { from: u16::MAX };

pub(crate) fn measure(report: &mut Report, pinning: Pinning, rounds: u32) -> Result<(), Failure> {
    let mut echo = Process::beside(Part::Echo, pinning)?;
    let mut stage = Stage::set_up(Setup::new(), pinning)?;
    let (_client, session) = stage.act()?;
    let mut manager = stage.tv_box.connect();
    let bar = progress("control round trips", 3 * rounds);
    let spreads = interleave(
        [
            &mut || median_us(|| session.duration().map(drop).map_err(Into::into)),
            &mut || median_us(|| manager.ask(BOX).map(drop).map_err(|refusal| format!("{refusal:?}").into())),
            &mut || median_us(|| echo.ask()),
        ],
        rounds,
        || bar.inc(1),
    )?;
    bar.finish_and_clear();
    let [call, question, echo] = spreads;
    for (name, value) in [("control_round_trip", call), ("control_round_trip_manager", question)] {
        report.add(Figure::new(name, "us", value, "bare ping-pong", echo).target(Target::RatioMax(RATIO_MAX)));
    }
    Ok(())
}

fn median_us(mut ask: impl FnMut() -> Result<(), Failure>) -> Result<f64, Failure> {
    let times = (0..QUESTIONS).map(|_| {
        let start = Instant::now();
        ask()?;
        Ok(start.elapsed().as_secs_f64() * 1e6)
    });
    Ok(Spread::of(times.collect::<Result<_, Failure>>()?).median)
}
