//! Pages in a real browser, on both ends of a presentation: two boxes, each with its service and its bridge, a Chromium as
//! the phone, and one on the TV that the launcher starts.
//!
//! Without Chromium each test says that it was skipped.

mod hostile;
mod interface;
mod lost;
mod pairs;
mod people;
mod stage;
mod talk;

use std::sync::{Mutex, MutexGuard, PoisonError};

use greenroom_tests::chromium;
use greenroom_tests::deadline::until;

/// One at a time: each test has two browsers.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
