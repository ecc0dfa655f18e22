//! Any bytes as what is said about keys.
#![no_main]

use greenroom_hal_mock::fuzzing::messages::keys;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| keys(bytes));
