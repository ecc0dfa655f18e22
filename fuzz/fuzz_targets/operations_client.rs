//! Operations on the client library's machine.
#![no_main]

use greenroom_hal_mock::fuzzing::client::client;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| client(bytes));
