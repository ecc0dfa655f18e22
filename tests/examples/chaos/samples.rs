//! What everybody held, over time, and whether it grows.

use std::fmt::Write as _;
use std::time::Duration;

/// What was held at one moment. 0 where there was nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) at: Duration,
    /// Which manager.
    pub(crate) life: u32,
    pub(crate) manager_bytes: u64,
    pub(crate) manager_descriptors: usize,
    pub(crate) servers: usize,
    pub(crate) servers_bytes: u64,
    pub(crate) servers_descriptors: usize,
    /// The process of the app that nobody harms.
    pub(crate) marathon: u32,
    pub(crate) marathon_bytes: u64,
    pub(crate) marathon_descriptors: usize,
}

/// All of them, in order.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    all: Vec<Sample>,
}

impl Samples {
    /// One more.
    pub(crate) fn add(&mut self, sample: Sample) {
        self.all.push(sample);
    }

    /// All of them, in order.
    pub(crate) fn all(&self) -> &[Sample] {
        &self.all
    }

    /// A table for other programs.
    pub(crate) fn csv(&self) -> String {
        let mut csv = "seconds,manager_life,manager_rss_bytes,manager_descriptors,session_servers,\
                       session_servers_rss_bytes,session_servers_descriptors,marathon_process,marathon_rss_bytes,\
                       marathon_descriptors\n"
            .to_owned();
        for s in &self.all {
            let _ = writeln!(
                csv,
                "{:.2},{},{},{},{},{},{},{},{},{}",
                s.at.as_secs_f64(),
                s.life,
                s.manager_bytes,
                s.manager_descriptors,
                s.servers,
                s.servers_bytes,
                s.servers_descriptors,
                s.marathon,
                s.marathon_bytes,
                s.marathon_descriptors
            );
        }
        csv
    }
}

/// How one quantity of one process went, from the first third of its time to the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Growth {
    /// Of what.
    pub(crate) what: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// How much more the last may be.
    pub(crate) tolerance: u64,
    /// From so many values.
    pub(crate) samples: usize,
}

/// Fewer values than this say nothing.
const SAMPLES_MIN: usize = 60;

impl Growth {
    /// Compares the first third with the last by `of`; `None` when there are too few values to say anything.
    pub(crate) fn of(
        (what, unit): (&'static str, &'static str),
        values: &[u64],
        of: fn(&[u64]) -> u64,
        tolerance: impl Fn(u64) -> u64,
    ) -> Option<Self> {
        if values.len() < SAMPLES_MIN {
            return None;
        }
        let third = values.len() / 3;
        let (first, last) = (of(values.get(..third)?), of(values.get(values.len() - third..)?));
        Some(Self { what, unit, first, last, tolerance: tolerance(first), samples: values.len() })
    }

    /// Whether it is flat.
    pub(crate) fn is_bounded(&self) -> bool {
        self.last <= self.first.saturating_add(self.tolerance)
    }
}

/// The value in the middle.
pub(crate) fn median(values: &[u64]) -> u64 {
    at_share(values, 2)
}

/// The value that a tenth of them do not exceed: what is held at the quietest, which a leak raises like everything else.
pub(crate) fn floor(values: &[u64]) -> u64 {
    at_share(values, 10)
}

fn at_share(values: &[u64], share: usize) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / share).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHAT: (&str, &str) = ("memory", "bytes");

    #[test]
    fn what_swings_is_flat() {
        let values: Vec<u64> = (0..300).map(|at| 1_000 + at % 50).collect();
        let growth = Growth::of(WHAT, &values, median, |first| first / 20).unwrap();
        assert!(growth.is_bounded(), "{growth:?}");
    }

    #[test]
    fn a_planted_leak_is_found() {
        let values: Vec<u64> = (0..300).map(|at| 1_000 + at % 50 + at).collect();
        let growth = Growth::of(WHAT, &values, median, |first| first / 20).unwrap();
        assert!(!growth.is_bounded(), "{growth:?}");
        let descriptors: Vec<u64> = (0..300).map(|at| 12 + at % 9 + at / 50).collect();
        assert!(!Growth::of(WHAT, &descriptors, floor, |_| 2).unwrap().is_bounded());
    }

    #[test]
    fn a_few_values_say_nothing() {
        assert_eq!(Growth::of(WHAT, &[1; 59], median, |_| 0), None);
    }
}
