//! Waiting without sleeping through: a condition is polled until it holds or its time is over.

use std::thread;
use std::time::{Duration, Instant};

/// Far longer than anything takes on a loaded machine, also a browser that starts and loads a page: only a hang gets here.
pub const PATIENCE: Duration = Duration::from_secs(100);

/// Polls until `condition` gives something; panics with `what` when [`PATIENCE`] is over.
///
/// # Panics
/// When it is.
#[track_caller]
pub fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < end, "after {PATIENCE:?} still not: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}
