//! Every configuration that is kept for the fuzzer, where bugs are planted.

#[path = "../../../fuzz/checks/config.rs"]
mod check;

use std::fs;
use std::path::Path;

use check::config;
use check::daemon::{keys, log, names, runtime};
use greenroom_hal_mock::fuzzing::corpus;

/// FUZZ
#[test]
fn every_configuration_that_is_kept_is_taken_as_it_must_be() {
    for directory in ["seeds", "corpus"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(directory).join("config.hex");
        let inputs = corpus::read(&fs::read_to_string(&file).unwrap()).unwrap();
        assert!(!inputs.is_empty(), "{} holds nothing", file.display());
        inputs.iter().filter_map(|input| str::from_utf8(input).ok()).for_each(config);
    }
}
