//! Operations on the presentation service's machine.
#![no_main]

use greenroom_hal_mock::fuzzing::presentation::presentation;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| presentation(bytes));
