//! Any bytes as what the presentation service and its local clients say.
#![no_main]

use greenroom_hal_mock::fuzzing::messages::presentation;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| presentation(bytes));
