//! Pages in browsers: the polyfill of the Presentation API beside a data channel that two plain pages wire by hand.
//!
//! | figure | one turn | beside it |
//! |---|---|---|
//! | start to connect | from `start()` in a page that was just opened, over a choice that is made at once, to `connect`; the TV's box starts a browser for the other page | from `new RTCPeerConnection()` in a page that was just opened to `open`; the same browser is started in the same way for the other page, and this program hands over what the two say |
//! | reconnect to connect | from `reconnect()` to `connect`, with both pages there | from `new RTCPeerConnection()` to `open`, with both pages there |
//! | trip | a text there and back, a thousand times one after the other: the median, or what 99 of 100 take at most | the same |
//! | rate | 8 MiB in messages of bytes one way, handed over at once, and a text back when all are there | the same |
//!
//! Both run in the same two browsers, which are headless and started with the same arguments; each page is in a window of its
//! own. Browsers have many threads, so they and Greenroom run on both processors.

mod site;
mod stage;

use std::cell::RefCell;

use greenroom_tests::chromium;
use stage::{Stage, Windows};

use crate::Failure;
use crate::figure::{Figure, Target};
use crate::pinning::{self, Pinning};
use crate::report::{Report, progress};
use crate::rounds::interleave;

const RATIO_MAX: f64 = 1.3;
/// The same of what is better when it is more.
const RATE_RATIO_MIN: f64 = 0.77;
const TRIPS: usize = 1_000;
const TRIP_BYTES: usize = 256;
const RATE_MESSAGES: usize = 128;
const RATE_BYTES: usize = 64 << 10;
const REFERENCE: &str = "two plain pages";

/// Without a browser it says so, and adds nothing.
pub(crate) fn measure(report: &mut Report, pinning: Pinning, rounds: u32) -> Result<(), Failure> {
    if !chromium::is_there() {
        return Ok(());
    }
    pinning::release(pinning)?;
    let stage = RefCell::new(Stage::start());
    measure_starts(report, rounds, &stage)?;
    let windows = stage.borrow_mut().open_windows()?;
    for percent in [50, 99] {
        measure_trips(report, rounds, &stage.borrow(), &windows, percent)?;
    }
    measure_rate(report, rounds, &stage.borrow(), &windows)?;
    measure_reconnects(report, rounds, &stage.borrow(), &windows)?;
    stage.into_inner().close_windows(windows);
    pinning::pin(pinning.app)
}

fn measure_starts(report: &mut Report, rounds: u32, stage: &RefCell<Stage>) -> Result<(), Failure> {
    let bar = progress("pages in browsers start", 2 * rounds);
    let [value, plain] = interleave(
        [&mut || stage.borrow().start_presentation(), &mut || stage.borrow_mut().start_plain()],
        rounds,
        || bar.inc(1),
    )?;
    bar.finish_and_clear();
    let figure = Figure::new("browser_start_to_connect", "ms", value, "two plain pages, opened the same way", plain);
    report.add(figure.target(Target::RatioMax(RATIO_MAX)));
    Ok(())
}

/// What the two give for two expressions.
fn compare(
    stage: &Stage,
    windows: &Windows,
    rounds: u32,
    what: &str,
    [ours, plain]: [&str; 2],
) -> Result<[crate::rounds::Spread; 2], Failure> {
    let bar = progress(what, 2 * rounds);
    let spreads = interleave(
        [&mut || stage.of_presentation(windows, ours), &mut || stage.of_plain(windows, plain)],
        rounds,
        || bar.inc(1),
    )?;
    bar.finish_and_clear();
    Ok(spreads)
}

fn measure_trips(
    report: &mut Report,
    rounds: u32,
    stage: &Stage,
    windows: &Windows,
    percent: usize,
) -> Result<(), Failure> {
    let place = TRIPS * percent / 100;
    let expression = format!("(await trips(channel, {TRIPS}, {TRIP_BYTES}))[{place}] * 1000");
    let what = format!("trips between browsers, p{percent}");
    let [value, plain] = compare(stage, windows, rounds, &what, [&expression; 2])?;
    let figure = Figure::new(format!("browser_trip_256B_p{percent}"), "us", value, REFERENCE, plain);
    report.add(figure.target(Target::RatioMax(RATIO_MAX)));
    Ok(())
}

fn measure_rate(report: &mut Report, rounds: u32, stage: &Stage, windows: &Windows) -> Result<(), Failure> {
    let mebibytes = (RATE_MESSAGES * RATE_BYTES) >> 20;
    let expression = format!("{mebibytes} * 1000 / await burst(channel, {RATE_MESSAGES}, {RATE_BYTES})");
    let [value, plain] = compare(stage, windows, rounds, "rate between browsers", [&expression; 2])?;
    let figure = Figure::new("browser_rate_64KiB", "MiB/s", value, REFERENCE, plain);
    report.add(figure.target(Target::RatioMin(RATE_RATIO_MIN)));
    Ok(())
}

fn measure_reconnects(report: &mut Report, rounds: u32, stage: &Stage, windows: &Windows) -> Result<(), Failure> {
    let expressions = ["await again()", "await connect(true)"];
    let [value, plain] = compare(stage, windows, rounds, "pages in browsers reconnect", expressions)?;
    report.add(Figure::new("browser_reconnect_to_connect", "ms", value, REFERENCE, plain));
    Ok(())
}
