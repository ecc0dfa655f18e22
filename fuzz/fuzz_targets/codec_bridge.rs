//! What a page and the bridge say to each other.
#![no_main]

#[path = "../checks/bridge.rs"]
mod check;

use check::bridge;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| bridge(bytes));
