//! Operations on both ends of a ring.
#![no_main]

use greenroom_hal_mock::fuzzing::ring::ring;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| ring(bytes));
