//! What the service manager, systemd, is told (sd_notify(3)): that the manager is up, that it makes progress, what it
//! has in use, that it ends.
//!
//! What is told is a datagram, sent at once. It waits only while systemd's queue is full: a system whose first process reads
//! no more is not saved by a manager that goes on.
//!
//! Without `NOTIFY_SOCKET` in the environment nothing is told, and no loop is woken for it.

use std::env;
use std::time::Duration;

use greenroom_core::time::Instant;
use sd_notify::NotifyState;
use tracing::warn;

/// The service manager of this process, if there is one.
#[derive(Debug)]
pub struct Service {
    is_present: bool,
    keep_alive: Option<KeepAlive>,
    /// What it was told last.
    told: Option<InUse>,
    is_stopping: bool,
}

/// What is in use, for `systemctl status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InUse {
    /// Apps that there are.
    pub apps: usize,
    /// Decoders that apps hold.
    pub decoders_held: u8,
    /// Decoders that there are.
    pub decoders: u8,
}

/// A watchdog that bites after twice the interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct KeepAlive {
    interval: Duration,
    due: Instant,
}

impl KeepAlive {
    /// Instants have milliseconds: a shorter interval would be none.
    fn new(watchdog: Duration, now: Instant) -> Self {
        let interval = (watchdog / 2).max(Duration::from_millis(1));
        Self { interval, due: now.after(interval) }
    }

    fn take_due(&mut self, now: Instant) -> bool {
        let is_due = now >= self.due;
        if is_due {
            self.due = now.after(self.interval);
        }
        is_due
    }
}

impl Service {
    /// The one that the environment names.
    pub fn from_environment(now: Instant) -> Self {
        let is_present = env::var_os("NOTIFY_SOCKET").is_some();
        let watchdog = sd_notify::watchdog_enabled().filter(|_| is_present);
        let keep_alive = watchdog.map(|watchdog| KeepAlive::new(watchdog, now));
        Self { is_present, keep_alive, told: None, is_stopping: false }
    }

    /// When [`progressed`](Self::progressed) is due at the latest: at half the watchdog's time.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.keep_alive.map(|keep_alive| keep_alive.due)
    }

    /// The manager is up: whoever was waiting for it can ask it now.
    pub fn ready(&self) {
        self.tell(&[NotifyState::Ready]);
    }

    /// The manager's loop has gone round once. It is for the loop alone to call, so that a watchdog that is kept quiet
    /// proves progress.
    pub fn progressed(&mut self, now: Instant, in_use: InUse) {
        if self.is_present && self.told.replace(in_use) != Some(in_use) {
            self.tell(&[NotifyState::Status(&in_use.to_string())]);
        }
        if self.keep_alive.as_mut().is_some_and(|keep_alive| keep_alive.take_due(now)) {
            self.tell(&[NotifyState::Watchdog]);
        }
    }

    /// The manager ends from now on. Said once, however often it is called.
    pub fn stopping(&mut self) {
        if !std::mem::replace(&mut self.is_stopping, true) {
            self.tell(&[NotifyState::Stopping]);
        }
    }

    fn tell(&self, states: &[NotifyState<'_>]) {
        if let Err(error) = sd_notify::notify(states) {
            warn!("the service manager cannot be told {states:?}: {error}");
        }
    }
}

impl std::fmt::Display for InUse {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} app(s); {} of {} decoder(s) in use", self.apps, self.decoders_held, self.decoders)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watchdog_is_fed_twice_in_its_time() {
        let at = Instant::from_millis;
        let mut keep_alive = KeepAlive::new(Duration::from_millis(200), at(0));
        assert!(!keep_alive.take_due(at(99)));
        assert!(keep_alive.take_due(at(100)));
        assert!(!keep_alive.take_due(at(199)));
        assert!(keep_alive.take_due(at(230)));
        assert_eq!(keep_alive.due, at(330));
    }

    #[test]
    fn a_watchdog_too_quick_to_count_does_not_make_the_loop_spin() {
        let keep_alive = KeepAlive::new(Duration::from_micros(1), Instant::from_millis(7));
        assert_eq!(keep_alive.due, Instant::from_millis(8));
    }
}
