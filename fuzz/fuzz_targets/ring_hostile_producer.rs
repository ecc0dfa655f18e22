//! A consumer whose producer does its worst.
#![no_main]

use greenroom_hal_mock::fuzzing::hostile_ring::hostile_producer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| hostile_producer(bytes));
