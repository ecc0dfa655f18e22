//! Any bytes, split anyhow, as what two devices say on a control channel.
#![no_main]

use greenroom_hal_mock::fuzzing::papi::papi;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| papi(bytes));
