//! The platform's clock.

use greenroom_core::time::Instant;
use rustix::time::{ClockId, clock_gettime};

/// `CLOCK_MONOTONIC`, in whole milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock;

impl Clock {
    /// The present. The same in all processes of the box, and it never goes back.
    pub fn now(self) -> Instant {
        let now = clock_gettime(ClockId::Monotonic);
        // Neither part is ever negative.
        let milliseconds = now.tv_sec.unsigned_abs().saturating_mul(1000);
        Instant::from_millis(milliseconds.saturating_add(now.tv_nsec.unsigned_abs() / 1_000_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Field failure 59
    #[test]
    fn time_never_goes_back() {
        let earlier = Clock.now();
        assert!(Clock.now() >= earlier);
    }
}
