//! Descriptions and candidates that cross both services.
#![no_main]

use greenroom_hal_mock::fuzzing::crossing::crossing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| crossing(bytes));
