//! When a connection that was lost is tried again.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limits::{RECONNECT_PAUSE, RECONNECT_PAUSE_MAX};
use crate::time::Instant;

/// The policy, and the pause that has grown so far.
///
/// The first attempt after a loss is made at once, because the manager keeps the socket of a server that it restarts and a
/// connection waits in its queue. The pauses between further attempts double. A server that welcomes the app and
/// falls over again is not called more often than one that is away: a connection ends the growth only when it
/// outlived the pause.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Retry {
    /// For how long after the loss; zero is never.
    window: Duration,
    pause: Duration,
    welcomed_at: Instant,
}

impl Retry {
    pub(super) const fn new(window: Duration) -> Self {
        Self { window, pause: Duration::ZERO, welcomed_at: Instant::from_millis(0) }
    }

    pub(super) const fn is_off(&self) -> bool {
        self.window.is_zero()
    }

    /// When a connection that is lost now is given up.
    pub(super) const fn deadline(&self, now: Instant) -> Instant {
        now.after(self.window)
    }

    pub(super) const fn welcomed(&mut self, now: Instant) {
        self.welcomed_at = now;
    }

    /// The first attempt after the loss of a connection; `None` is at once.
    pub(super) fn after_connection(&mut self, now: Instant) -> Option<Instant> {
        if now.since(self.welcomed_at) >= self.pause {
            self.pause = Duration::ZERO;
        }
        let is_due = self.pause.is_zero();
        let retry_at = self.after_attempt(now);
        (!is_due).then_some(retry_at)
    }

    /// The attempt after one that failed.
    pub(super) fn after_attempt(&mut self, now: Instant) -> Instant {
        let retry_at = now.after(self.pause);
        self.pause = self.pause.saturating_mul(2).clamp(RECONNECT_PAUSE, RECONNECT_PAUSE_MAX);
        retry_at
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    const START: Instant = Instant::from_millis(1_000);

    /// Field failure 13
    #[test]
    fn the_first_attempt_is_immediate_and_the_pauses_after_it_double_up_to_the_longest() {
        let mut retry = Retry::new(Duration::from_secs(30));
        assert_eq!(retry.after_connection(START), None);
        let pauses: Vec<u128> = (0..9).map(|_| retry.after_attempt(START).since(START).as_millis()).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1_000, 1_000]);
    }

    #[test]
    fn a_connection_that_outlived_the_pause_ends_the_growth() {
        let mut retry = Retry::new(Duration::from_secs(30));
        retry.after_connection(START);
        retry.welcomed(START);
        let moment = START.after(RECONNECT_PAUSE);
        assert_eq!(retry.after_connection(moment), None);
    }

    #[test]
    fn a_server_that_welcomes_and_falls_over_is_called_ever_more_rarely() {
        let mut retry = Retry::new(Duration::from_secs(30));
        retry.after_connection(START);
        for pause in [10, 20, 40] {
            retry.welcomed(START);
            assert_eq!(retry.after_connection(START), Some(START.after(Duration::from_millis(pause))));
        }
    }
}
