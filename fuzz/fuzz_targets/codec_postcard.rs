//! Any bytes, read as every message. The oracle is [`messages_survive_their_encoding`].
#![no_main]

use greenroom_hal_mock::fuzzing::messages_survive_their_encoding;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| messages_survive_their_encoding(bytes));
