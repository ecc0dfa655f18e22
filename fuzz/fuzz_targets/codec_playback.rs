//! Any bytes as what a session server and a client say.
#![no_main]

use greenroom_hal_mock::fuzzing::messages::playback;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| playback(bytes));
