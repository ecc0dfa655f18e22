//! Whether a peer gets on: it is asked now and then, and given up when it has not answered for too long.
//!
//! The manager asks its session servers, a session server asks its clients. Any answer counts, and is never too late to:
//! as long as it comes at all before the peer is given up, the peer is healthy. The manager waits for the answer to its one
//! question; a session server repeats its own at each look.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limits::{HEALTH_FAILURES_MAX, HEALTH_INTERVAL};
use crate::time::Instant;

/// How often a peer is asked, and how many times it may leave that unanswered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct HealthCheck {
    /// Between two looks, in milliseconds; 0 asks nobody.
    pub interval_ms: u32,
    /// Looks at which the answer was not there yet, after which the peer is given up.
    pub failures_max: u8,
}

impl HealthCheck {
    /// Nobody is asked.
    pub const OFF: Self = Self { interval_ms: 0, failures_max: 1 };
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self { interval_ms: HEALTH_INTERVAL.as_millis() as u32, failures_max: HEALTH_FAILURES_MAX }
    }
}

/// What a look at a peer comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// It is to be asked now.
    Ask,
    /// Its answer is not there yet; it is looked at again.
    Wait,
    /// Its answer was not there too often.
    GiveUp,
}

/// What is known of one peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Health {
    look_at: Option<Instant>,
    is_asked: bool,
    failures: u8,
}

impl Health {
    /// Nothing is known, and nobody looks.
    pub(crate) const fn new() -> Self {
        Self { look_at: None, is_asked: false, failures: 0 }
    }

    /// When it is looked at next.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.look_at
    }

    /// Whether an answer is awaited.
    pub(crate) const fn is_asked(&self) -> bool {
        self.is_asked
    }

    /// The next look is one interval from now.
    pub(crate) fn rest(&mut self, now: Instant, check: HealthCheck) {
        let interval = Duration::from_millis(check.interval_ms.into());
        self.look_at = (check.interval_ms > 0).then(|| now.after(interval));
    }

    /// It gets on.
    pub(crate) const fn proved(&mut self) {
        (self.is_asked, self.failures) = (false, 0);
    }

    /// The time for a look has come. `can_ask`: it can be asked now.
    pub(crate) fn look(&mut self, now: Instant, check: HealthCheck, can_ask: bool) -> Look {
        self.rest(now, check);
        if !self.is_asked {
            self.is_asked = can_ask;
            return if can_ask { Look::Ask } else { Look::Wait };
        }
        self.failures = self.failures.saturating_add(1);
        if planted!("silent_server_kept", true, self.failures < check.failures_max) {
            return Look::Wait;
        }
        self.look_at = None;
        Look::GiveUp
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const CHECK: HealthCheck = HealthCheck { interval_ms: 100, failures_max: 3 };

    fn looks(health: &mut Health, count: usize) -> Vec<Look> {
        let look = |_| {
            let now = health.deadline().expect("it is looked at");
            health.look(now, CHECK, true)
        };
        (0..count).map(look).collect()
    }

    fn rested() -> Health {
        let mut health = Health::new();
        health.rest(Instant::from_millis(0), CHECK);
        health
    }

    /// Field failure 12
    #[test]
    fn who_never_answers_is_given_up_after_so_many_looks() {
        let mut health = rested();
        assert_eq!(looks(&mut health, 4), [Look::Ask, Look::Wait, Look::Wait, Look::GiveUp]);
        assert_eq!(health.deadline(), None);
    }

    /// Field failure 10
    #[test]
    fn an_answer_counts_however_late_it_comes() {
        let mut health = rested();
        for _ in 0..10 {
            assert_eq!(looks(&mut health, 3), [Look::Ask, Look::Wait, Look::Wait]);
            health.proved();
        }
    }

    #[test]
    fn who_could_not_be_asked_has_failed_nothing() {
        let mut health = rested();
        for _ in 0..10 {
            let now = health.deadline().unwrap();
            assert_eq!(health.look(now, CHECK, false), Look::Wait);
        }
        assert!(!health.is_asked());
    }

    #[test]
    fn an_interval_of_zero_looks_at_nobody() {
        let mut health = rested();
        health.rest(Instant::from_millis(5), HealthCheck::OFF);
        assert_eq!(health.deadline(), None);
    }
}
