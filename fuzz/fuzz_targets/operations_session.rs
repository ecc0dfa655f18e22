//! Operations on a session server's machine.
#![no_main]

use greenroom_hal_mock::fuzzing::session::session;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| session(bytes));
