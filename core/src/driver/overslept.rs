//! Time limits that passed while this process did not run.
//!
//! A box that was suspended, or a process that was kept from running for long, finds many time limits passed at once. Those
//! who owe it an answer did not run either: they get a moment to show that they are there before anybody is given up.
//!
//! ```text
//! deadline            found, more than LATE_MAX later        + GRACE
//! ---+--------------------------+------------------------------+----> now the tick, if it is still due
//!    | this process did not run | messages are taken           |
//! ```

use core::time::Duration;

use crate::time::Instant;

/// A time limit that is found to have passed longer ago than this was missed for want of a processor. A busy box is a few
/// hundred milliseconds late.
const LATE_MAX: Duration = Duration::from_secs(1);
/// How long everybody has then.
const GRACE: Duration = Duration::from_secs(1);

/// What a driver knows of the time limits of its machine.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Overslept {
    /// When it was looked last: until then this process ran.
    looked_at: Option<Instant>,
    grace_until: Option<Instant>,
}

impl Overslept {
    pub(super) const fn new() -> Self {
        Self { looked_at: None, grace_until: None }
    }

    /// When the driver is to be woken for a machine that wants its tick then.
    pub(super) fn wakes_at(&self, deadline: Option<Instant>) -> Option<Instant> {
        deadline.map(|deadline| self.grace_until.map_or(deadline, |until| until.max(deadline)))
    }

    /// Whether the machine is to have its tick now.
    pub(super) fn is_due(&mut self, now: Instant, deadline: Option<Instant>) -> bool {
        let looked_at = self.looked_at.replace(now);
        let Some(deadline) = deadline.filter(|deadline| *deadline <= now) else {
            self.grace_until = None;
            return false;
        };
        // What has been due since before the last look, such as a first start, was not missed meanwhile.
        let is_late = looked_at.is_some_and(|looked| now.since(looked.max(deadline)) > LATE_MAX);
        if self.grace_until.is_none() && planted!("late_for_want_of_time", false, is_late) {
            self.grace_until = Some(now.after(GRACE));
        }
        if self.grace_until.is_some_and(|until| until > now) {
            return false;
        }
        self.grace_until = None;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(milliseconds: u64) -> Option<Instant> {
        Some(Instant::from_millis(milliseconds))
    }

    fn is_due(overslept: &mut Overslept, now_ms: u64, deadline_ms: u64) -> bool {
        overslept.is_due(Instant::from_millis(now_ms), at(deadline_ms))
    }

    /// Of a process that ran in time.
    fn awake() -> Overslept {
        let mut overslept = Overslept::new();
        assert!(!is_due(&mut overslept, 99, 100));
        overslept
    }

    #[test]
    fn who_is_woken_in_time_or_a_little_late_ticks_at_once() {
        let mut overslept = awake();
        assert!(is_due(&mut overslept, 100, 100));
        assert!(is_due(&mut overslept, 1100, 100));
        assert_eq!(overslept.wakes_at(at(5)), at(5));
    }

    /// The first spare of a box is due from the start.
    #[test]
    fn what_is_due_for_ever_is_due_at_once() {
        let mut overslept = Overslept::new();
        assert!(is_due(&mut overslept, 10_000, 0));
        assert!(is_due(&mut overslept, 10_500, 0));
    }

    /// Field failure 10
    #[test]
    fn who_was_kept_from_running_waits_a_moment_and_then_ticks() {
        let mut overslept = awake();
        assert!(!is_due(&mut overslept, 10_000, 100));
        assert_eq!(overslept.wakes_at(at(100)), at(11_000));
        assert!(!is_due(&mut overslept, 10_999, 100));
        assert!(is_due(&mut overslept, 11_000, 100));
    }

    #[test]
    fn who_has_its_answer_meanwhile_has_nothing_to_wait_for() {
        let mut overslept = awake();
        assert!(!is_due(&mut overslept, 10_000, 100));
        assert!(!is_due(&mut overslept, 10_001, 20_000));
        assert_eq!(overslept.wakes_at(at(20_000)), at(20_000));
        assert!(is_due(&mut overslept, 20_000, 20_000));
    }

    #[test]
    fn who_is_suspended_again_and_again_ticks_in_the_end() {
        let mut overslept = awake();
        assert!(!is_due(&mut overslept, 10_000, 100));
        assert!(is_due(&mut overslept, 50_000, 100));
    }
}
