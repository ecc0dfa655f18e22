//! Any text as the manager's configuration file.
#![no_main]

#[path = "../checks/config.rs"]
mod check;

use check::config;
use check::daemon::{keys, log, names, runtime};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| config(text));
