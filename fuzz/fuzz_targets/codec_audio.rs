//! Any bytes as what is said about web audio.
#![no_main]

use greenroom_hal_mock::fuzzing::messages::audio;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| audio(bytes));
