//! Operations on a table.
#![no_main]

use greenroom_hal_mock::fuzzing::table::table;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| table(bytes));
