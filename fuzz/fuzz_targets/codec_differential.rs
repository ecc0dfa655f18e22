//! Any bytes, read by the codec and by a second decoder.
#![no_main]

use greenroom_hal_mock::fuzzing::differential::second_opinion;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| second_opinion(bytes));
