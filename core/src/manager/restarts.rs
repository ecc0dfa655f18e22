//! How often a session server that has ended is followed by another one (SM-36).

use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::Settings;
use crate::limits::RESTART_PAUSE_MAX;
use crate::time::Instant;

/// Counts restarts in windows. The first restart after a quiet time opens a window; all that come before it closes count
/// in it, and each waits longer than the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Restarts {
    total: u32,
    opened_at: Option<Instant>,
    in_window: u32,
}

impl Restarts {
    /// Restarts so far.
    pub(super) const fn total(&self) -> u32 {
        self.total
    }

    /// Counts one more, and gives the pause before it; `None` when there were too many in this window already.
    pub(super) fn next(&mut self, now: Instant, settings: &Settings) -> Option<Duration> {
        if self.closes_at(settings).is_none_or(|at| !planted!("window_stays_open") && at <= now) {
            (self.opened_at, self.in_window) = (Some(now), 0);
        }
        if planted!("no_restart_cap", false, self.in_window >= settings.restart_intensity) {
            return None;
        }
        let pause = pause_after(planted!("no_restart_pause", 0, self.in_window), settings.restart_pause);
        self.in_window = self.in_window.saturating_add(1);
        self.total = self.total.saturating_add(1);
        Some(pause)
    }

    /// When the present window closes.
    pub(super) fn closes_at(&self, settings: &Settings) -> Option<Instant> {
        self.opened_at.map(|at| at.after(settings.restart_window))
    }
}

/// None at first, then `first`, doubled each time up to [`RESTART_PAUSE_MAX`] if `first` is no longer than that.
fn pause_after(restarts: u32, first: Duration) -> Duration {
    let Some(doublings) = restarts.checked_sub(1) else { return Duration::ZERO };
    let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(RESTART_PAUSE_MAX.max(first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn settings() -> Settings {
        Settings { restart_intensity: 9, ..Settings::default() }
    }

    /// SM-36
    #[test]
    fn the_first_restart_is_immediate_and_each_further_one_in_a_window_waits_longer() {
        let (mut restarts, now) = (Restarts::default(), Instant::from_millis(5));
        let pauses = std::iter::from_fn(|| restarts.next(now, &settings()));
        let pauses: Vec<u128> = pauses.map(|pause| pause.as_millis()).collect();
        assert_eq!(pauses, [0, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        assert_eq!(restarts.total(), 9);
    }

    /// SM-36
    #[test]
    fn after_a_window_the_count_starts_anew() {
        let (mut restarts, now) = (Restarts::default(), Instant::from_millis(5));
        (0..9).for_each(|_| assert!(restarts.next(now, &settings()).is_some()));
        let just_before = now.after(settings().restart_window - Duration::from_millis(1));
        assert_eq!(restarts.next(just_before, &settings()), None);
        assert_eq!(restarts.next(now.after(settings().restart_window), &settings()), Some(Duration::ZERO));
        assert_eq!(restarts.total(), 10);
    }

    #[test]
    fn an_intensity_of_zero_allows_none_and_the_highest_one_does_not_overflow() {
        let none = Settings { restart_intensity: 0, ..settings() };
        assert_eq!(Restarts::default().next(Instant::from_millis(5), &none), None);
        assert_eq!(pause_after(u32::MAX, Duration::from_millis(100)), RESTART_PAUSE_MAX);
        assert_eq!(pause_after(u32::MAX, Duration::from_secs(60)), Duration::from_secs(60));
    }
}
