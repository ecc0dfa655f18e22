//! A producer whose consumer does its worst.
#![no_main]

use greenroom_hal_mock::fuzzing::hostile_ring::hostile_consumer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| hostile_consumer(bytes));
