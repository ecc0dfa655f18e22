//! Time as a number that the caller gives.
//!
//! Machines never read a clock: `now` comes with every input. On Linux it is `CLOCK_MONOTONIC`, in the
//! simulator it is virtual.

use core::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in monotonic time, in milliseconds since an origin that the platform chose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Instant {
    milliseconds: u64,
}

impl Instant {
    /// The instant that lies this many milliseconds after the origin.
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self { milliseconds }
    }

    /// Milliseconds since the origin.
    pub const fn as_millis(self) -> u64 {
        self.milliseconds
    }

    /// The instant `duration` later; at the end of time it stays there.
    pub const fn after(self, duration: Duration) -> Self {
        let later = duration.as_millis();
        let later = if later > u64::MAX as u128 { u64::MAX } else { later as u64 };
        Self { milliseconds: self.milliseconds.saturating_add(later) }
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.milliseconds.saturating_sub(earlier.milliseconds))
    }
}

/// The earlier of two deadlines, of which each may be absent.
pub fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_time_is_not_passed() {
        let end = Instant::from_millis(u64::MAX);
        assert_eq!(end.after(Duration::from_secs(1)), end);
        assert_eq!(Instant::from_millis(5).after(Duration::MAX), end);
    }

    #[test]
    fn an_earlier_instant_lies_zero_after_a_later_one() {
        assert_eq!(Instant::from_millis(3).since(Instant::from_millis(9)), Duration::ZERO);
    }

    #[test]
    fn the_earliest_of_one_deadline_is_that_deadline() {
        let deadline = Some(Instant::from_millis(7));
        assert_eq!(earliest(None, deadline), deadline);
        assert_eq!(earliest(deadline, Some(Instant::from_millis(9))), deadline);
        assert_eq!(earliest(None, None), None);
    }
}
