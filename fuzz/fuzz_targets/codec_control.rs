//! Any bytes as what the manager and its controllers say.
#![no_main]

use greenroom_hal_mock::fuzzing::messages::control;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| control(bytes));
