//! When a wait ends.

use std::time::{Duration, Instant};

/// The end of a wait; none where no clock counts so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    pub(super) fn after(timeout: Duration) -> Self {
        Self(Instant::now().checked_add(timeout))
    }

    /// What is left of the wait, if it has not ended.
    pub(super) fn left(self) -> Option<Duration> {
        let left = self.0.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
        Some(left).filter(|left| !left.is_zero())
    }
}
