//! Connections to a session server that do their worst.
#![no_main]

use greenroom_hal_mock::fuzzing::connections::session;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| session(bytes));
