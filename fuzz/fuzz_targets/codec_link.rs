//! Any bytes as what the manager and a session server say.
#![no_main]

use greenroom_hal_mock::fuzzing::messages::link;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| link(bytes));
