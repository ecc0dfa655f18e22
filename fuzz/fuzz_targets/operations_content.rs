//! What happens to a page's connection whose data channel the page builds.
#![no_main]

use greenroom_hal_mock::fuzzing::content::content;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| content(bytes));
