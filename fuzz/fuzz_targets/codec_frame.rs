//! Any bytes, split anyhow, as what the other end of a framed transport sends.
#![no_main]

use greenroom_hal_mock::fuzzing::frame::frame;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| frame(bytes));
