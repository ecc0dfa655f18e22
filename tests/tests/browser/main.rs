//! Pages in a real browser, on both ends of a presentation: two boxes, each with its service and its bridge, a Chromium as
//! the phone, and one on the TV that the launcher starts.
//!
//! Without Chromium each test says that it was skipped.

mod chromium;
mod hostile;
mod interface;
mod people;
mod stage;
mod talk;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use greenroom_tests::deadline;

/// Far longer than a browser takes to start and to load a page on a loaded machine: only a hang gets here.
const PATIENCE: Duration = Duration::from_secs(100);

/// Polls until `condition` gives something; panics with `what` when [`PATIENCE`] is over.
#[track_caller]
fn until<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    deadline::within(PATIENCE, what, condition)
}

/// One at a time: each test has two browsers.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
