//! Every input that is kept for a fuzz target: seeds, and what fuzzers have found worth keeping.

use std::fs;
use std::path::{Path, PathBuf};

use greenroom_hal_mock::fuzzing::{TARGETS, corpus, seeds};

fn kept(directory: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz").join(directory)
}

fn replay(directory: &str) {
    for (name, run) in TARGETS {
        let file = kept(directory).join(format!("{name}.hex"));
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let inputs = corpus::read(&text).unwrap_or_else(|line| panic!("{}: {line}", file.display()));
        assert!(!inputs.is_empty(), "{} holds nothing", file.display());
        inputs.iter().for_each(|input| run(input));
    }
}

#[test]
fn every_seed_is_taken_as_it_must_be() {
    replay("seeds");
}

#[test]
fn everything_that_fuzzers_have_kept_is_taken_as_it_must_be() {
    replay("corpus");
}

#[test]
fn the_seeds_are_those_that_are_kept() {
    for (target, text) in seeds::files() {
        let kept = fs::read_to_string(kept("seeds").join(format!("{target}.hex"))).unwrap_or_default();
        assert!(kept == text, "the seeds of {target} are others now: 'make fuzz-seeds' writes them");
        assert!(TARGETS.iter().any(|(name, _)| *name == target), "{target} is no target");
    }
}
