//! Waiting without sleeping through: a condition is polled until it holds or its time is over.

use std::thread;
use std::time::{Duration, Instant};

/// Far longer than anything takes on a loaded machine: only a hang gets here.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Polls until `condition` gives something; panics with `what` when [`PATIENCE`] is over.
#[track_caller]
pub fn until<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, condition)
}

/// Polls until `condition` gives something; panics with `what` when `patience` is over.
#[track_caller]
pub fn within<T>(patience: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + patience;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < end, "after {patience:?} still not: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}
