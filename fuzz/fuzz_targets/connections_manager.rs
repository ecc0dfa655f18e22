//! Connections to the manager's control socket, and its links, that do their worst.
#![no_main]

use greenroom_hal_mock::fuzzing::connections::manager;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| manager(bytes));
