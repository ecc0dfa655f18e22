//! Operations on the manager's machine.
#![no_main]

use greenroom_hal_mock::fuzzing::manager::manager;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| manager(bytes));
