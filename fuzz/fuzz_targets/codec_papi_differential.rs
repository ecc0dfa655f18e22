//! The same as `codec_papi`, with a second decoder that is naive.
#![no_main]

use greenroom_hal_mock::fuzzing::papi::papi_differential;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| papi_differential(bytes));
