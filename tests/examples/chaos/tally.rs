//! What has happened so far: counters, and violations of what must always hold.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Which column of the progress line a counter belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// A process was ended from outside.
    Kill,
    /// A process was stopped.
    Stop,
    /// A hostile client did its worst.
    Hostile,
    /// An app was moved to another state.
    Zap,
    /// What the system did about it.
    Response,
}

macro_rules! counters {
    ($($name:ident: $class:ident = $label:literal;)*) => {
        /// Everything that is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Count { $($name),* }

        impl Count {
            /// All of them, in the order of the report.
            pub(crate) const ALL: &[Self] = &[$(Self::$name),*];

            /// Where it belongs.
            pub(crate) const fn class(self) -> Class {
                match self { $(Self::$name => Class::$class),* }
            }

            /// What is counted.
            pub(crate) const fn label(self) -> &'static str {
                match self { $(Self::$name => $label),* }
            }
        }
    };
}

counters! {
    ManagerKilled: Kill = "manager: SIGKILL";
    ServerKilled: Kill = "session server: SIGKILL";
    ServerKilledInLoop: Kill = "session server: SIGKILL each time it comes back";
    SpareKilled: Kill = "spare session server: SIGKILL";
    ServerAborted: Kill = "session server: SIGABRT";
    ServerTerminated: Kill = "session server: SIGTERM";
    PlayerKilled: Kill = "player: SIGKILL";
    ManagerStopped: Stop = "manager: SIGSTOP, SIGCONT";
    ServerStopped: Stop = "session server: SIGSTOP, SIGCONT";
    PlayerStopped: Stop = "player: SIGSTOP, SIGCONT";
    DiskStalled: Stop = "player's disk: stalled";
    Garbage: Hostile = "hostile: garbage";
    Truncated: Hostile = "hostile: message cut short";
    Oversized: Hostile = "hostile: message of more than the limit";
    Descriptors: Hostile = "hostile: descriptors that belong to nothing";
    Flood: Hostile = "hostile: calls without reading an answer";
    Hog: Hostile = "hostile: all connections taken";
    HungUp: Hostile = "hostile: gone in the middle of a call";
    Slowpoke: Hostile = "hostile: connected, never greets";
    RingCorrupted: Hostile = "hostile: words of a leased ring overwritten";
    Zapped: Zap = "app moved to Active or Inactive";
    Ended: Zap = "app ended";
    Initiated: Zap = "app initiated";
    RuleBroken: Zap = "Active asked for while no decoder was free";
    Answers: Response = "requests answered";
    Refusals: Response = "of them refused";
    Restarts: Response = "session servers restarted by the manager";
    GivenUp: Response = "apps given up by the manager";
    ManagersStarted: Response = "managers started";
    Events: Response = "notifications checked";
    Missed: Response = "notifications left out for a slow observer";
    PlayersStarted: Response = "players started";
    FirstFrames: Response = "first frames decoded";
    PlayedToEnd: Response = "clips played to their end";
    Censuses: Response = "censuses taken";
}

/// Something that must never be, and was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// Since the start of the run.
    pub(crate) at: Duration,
    /// What, and around what.
    pub(crate) what: String,
}

/// Counters and violations of one run; every thread adds to it.
#[derive(Debug)]
pub(crate) struct Tally {
    started: Instant,
    counts: [AtomicU64; Count::ALL.len()],
    violations: Mutex<Vec<Violation>>,
    recent: Mutex<Vec<String>>,
}

/// So many of the last happenings are told with a violation.
const RECENT_MAX: usize = 12;

impl Tally {
    /// Nothing has happened yet.
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            violations: Mutex::default(),
            recent: Mutex::default(),
        }
    }

    /// How long the run has been going on.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// One more.
    pub(crate) fn count(&self, what: Count) {
        self.counts[what as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// One more, and a note of it that is told with a violation that follows.
    pub(crate) fn note(&self, what: Count, of_whom: &str) {
        self.count(what);
        self.remember(format!("{} ({of_whom})", what.label()));
    }

    /// Something that helps to understand a violation that follows.
    pub(crate) fn remember(&self, note: String) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() == RECENT_MAX {
            recent.remove(0);
        }
        recent.push(format!("{:8.2} s  {note}", self.elapsed().as_secs_f64()));
    }

    /// How often so far.
    pub(crate) fn of(&self, what: Count) -> u64 {
        self.counts[what as usize].load(Ordering::Relaxed)
    }

    /// All counters of a class together.
    pub(crate) fn sum(&self, class: Class) -> u64 {
        Count::ALL.iter().filter(|count| count.class() == class).map(|count| self.of(*count)).sum()
    }

    /// What must never be has been. It is told with what happened just before.
    pub(crate) fn violated(&self, what: impl Into<String>) {
        let (at, mut what) = (self.elapsed(), what.into());
        for note in self.recent.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let _ = write!(what, "\n      before: {note}");
        }
        self.violations.lock().unwrap_or_else(PoisonError::into_inner).push(Violation { at, what });
    }

    /// The violations from this one on.
    pub(crate) fn violations_from(&self, from: usize) -> Vec<Violation> {
        let violations = self.violations.lock().unwrap_or_else(PoisonError::into_inner);
        violations.get(from..).unwrap_or_default().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_the_sum_of_its_counters() {
        let tally = Tally::new();
        tally.count(Count::ServerKilled);
        tally.count(Count::PlayerKilled);
        tally.count(Count::PlayerStopped);
        assert_eq!((tally.sum(Class::Kill), tally.sum(Class::Stop), tally.sum(Class::Zap)), (2, 1, 0));
    }

    #[test]
    fn a_violation_tells_what_happened_before() {
        let tally = Tally::new();
        tally.note(Count::ServerKilled, "app1");
        tally.violated("two servers of app1");
        let [violation] = &tally.violations_from(0)[..] else { panic!("one violation") };
        assert!(violation.what.starts_with("two servers of app1"), "{violation:?}");
        assert!(violation.what.contains("SIGKILL (app1)"), "{violation:?}");
        assert_eq!(tally.violations_from(1), []);
    }
}
