//! Operations on a ledger.
#![no_main]

use greenroom_hal_mock::fuzzing::ledger::ledger;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| ledger(bytes));
