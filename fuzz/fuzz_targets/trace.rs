//! Any bytes as a file of traces.
#![no_main]

use greenroom_hal_mock::fuzzing::trace::trace;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| trace(bytes));
