//! A place for a ring that a peer made up.
#![no_main]

use greenroom_hal_mock::fuzzing::hostile_ring::place;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| place(bytes));
