//! Any bytes as the trace of a machine: what it was, and what it was told.
#![no_main]

use greenroom_hal_mock::fuzzing::forged::forged;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| forged(bytes));
