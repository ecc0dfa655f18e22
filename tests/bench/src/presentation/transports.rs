//! Messages from one process to another, by each transport and by bare TCP.
//!
//! | figure | one turn |
//! |---|---|
//! | messages a second | so many messages one way, each handed over by itself, and one back when all are there |
//! | latency | a message there and one of the same size back, a thousand times: the median, or what 99 of 100 take at most |
//!
//! The bare ones wait, send and receive as the shipped ones do, with buffers of the same size. What the ratio shows is
//! what bounds, checks, copies and encryption cost.

use std::cell::RefCell;
use std::path::Path;
use std::time::Instant;

use super::end::End;
use super::far::{Far, Kind, Load, take};
use crate::Failure;
use crate::figure::Figure;
use crate::pinning::Pinning;
use crate::report::{Report, progress};
use crate::rounds::{Spread, interleave};

/// Bytes that one turn moves one way, or so many messages where that is fewer.
const TURN_BYTES: usize = 64 << 20;
const TURN_MESSAGES_MAX: usize = 20_000;
/// Messages there and back in one turn.
const TRIPS: usize = 1_000;

const SIZES: [(&str, usize); 3] = [("64B", 64), ("1KiB", 1 << 10), ("64KiB", 64 << 10)];

pub(super) fn measure(report: &mut Report, pinning: Pinning, rounds: u32) -> Result<(), Failure> {
    let directory = tempfile::tempdir()?;
    let identity = directory.path().join("identity.pem");
    for (size, message_bytes) in SIZES {
        measure_rate(report, pinning, rounds, &identity, (size, message_bytes))?;
        measure_latency(report, pinning, rounds, &identity, (size, message_bytes))?;
    }
    Ok(())
}

/// One connection, and the process at its other end.
struct Lane {
    end: Box<dyn End>,
    /// Goes last, so that it does not end before the connection.
    _far: Far,
    load: Load,
    message: String,
}

impl Lane {
    fn open(kind: Kind, load: Load, identity: &Path, pinning: Pinning) -> Result<Self, Failure> {
        let (far, end) = Far::start(kind, load, identity, pinning)?;
        Ok(Self { end, _far: far, load, message: load.message() })
    }

    /// Seconds until all messages are answered.
    fn exchange(&mut self) -> Result<f64, Failure> {
        let start = Instant::now();
        for _ in 0..self.load.messages {
            self.end.send(&self.message)?;
        }
        match take(&mut *self.end, self.load.message_bytes)? {
            true => Ok(start.elapsed().as_secs_f64()),
            false => Err("the process at the other end of a transport has ended".into()),
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "a turn has not 2^52 messages")]
    fn rate(&mut self) -> Result<f64, Failure> {
        Ok(self.load.messages as f64 / self.exchange()?)
    }

    /// What so many of a hundred trips take at most, in microseconds.
    fn latency_us(&mut self, percent: usize) -> Result<f64, Failure> {
        let mut trips = (0..TRIPS).map(|_| self.exchange()).collect::<Result<Vec<_>, _>>()?;
        trips.sort_by(f64::total_cmp);
        let place = (TRIPS * percent / 100).min(TRIPS - 1);
        Ok(trips[place] * 1e6)
    }
}

const KINDS: [Kind; 4] = [Kind::Framed, Kind::FramedTls, Kind::Unframed, Kind::Bare];
const NAMES: [&str; 3] = ["framed", "framed_tls", "unframed"];

fn open_all(load: Load, identity: &Path, pinning: Pinning) -> Result<[RefCell<Lane>; 4], Failure> {
    let [framed, framed_tls, unframed, bare] =
        KINDS.map(|kind| Lane::open(kind, load, identity, pinning).map(RefCell::new));
    Ok([framed?, framed_tls?, unframed?, bare?])
}

/// What is measured of each transport, and how.
struct Measured<'a> {
    /// What follows the transport's name in the figure's name.
    of: String,
    unit: &'static str,
    turn: &'a dyn Fn(&mut Lane) -> Result<f64, Failure>,
}

fn measure_rate(
    report: &mut Report,
    pinning: Pinning,
    rounds: u32,
    identity: &Path,
    (size, message_bytes): (&str, usize),
) -> Result<(), Failure> {
    let messages = (TURN_BYTES / message_bytes).min(TURN_MESSAGES_MAX);
    let lanes = open_all(Load { message_bytes, messages }, identity, pinning)?;
    compare(report, rounds, &lanes, &Measured { of: size.to_owned(), unit: "messages/s", turn: &Lane::rate })
}

fn measure_latency(
    report: &mut Report,
    pinning: Pinning,
    rounds: u32,
    identity: &Path,
    (size, message_bytes): (&str, usize),
) -> Result<(), Failure> {
    let lanes = open_all(Load { message_bytes, messages: 1 }, identity, pinning)?;
    for percent in [50, 99] {
        let turn = |lane: &mut Lane| lane.latency_us(percent);
        compare(report, rounds, &lanes, &Measured { of: format!("{size}_p{percent}"), unit: "us", turn: &turn })?;
    }
    Ok(())
}

fn compare(
    report: &mut Report,
    rounds: u32,
    lanes: &[RefCell<Lane>; 4],
    measured: &Measured<'_>,
) -> Result<(), Failure> {
    let Measured { of, unit, turn } = measured;
    let [framed, framed_tls, unframed, bare] = lanes;
    let bar = progress(&format!("transports, {of}, {unit}"), 4 * rounds);
    let spreads: [Spread; 4] = interleave(
        [
            &mut || turn(&mut framed.borrow_mut()),
            &mut || turn(&mut framed_tls.borrow_mut()),
            &mut || turn(&mut unframed.borrow_mut()),
            &mut || turn(&mut bare.borrow_mut()),
        ],
        rounds,
        || bar.inc(1),
    )?;
    bar.finish_and_clear();
    let [values @ .., bare] = spreads;
    for (name, value) in NAMES.into_iter().zip(values) {
        report.add(Figure::new(format!("transport_{name}_{of}"), unit, value, "bare TCP", bare));
    }
    Ok(())
}
