//! Every input that is kept for a fuzz target: seeds, and what fuzzers have found worth keeping.

use std::fs;
use std::path::{Path, PathBuf};

use greenroom_hal_mock::World;
use greenroom_hal_mock::fuzzing::{TARGETS, corpus, seeds};

/// Inputs of each target that are tried.
const ROUNDS: usize = 500;

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

/// A little of what a fuzzer does, without one: any bytes, and every seed with a few of its bytes changed.
#[test]
fn anything_at_all_is_taken_as_it_must_be() {
    let world = World::new(7);
    let any = |bound: usize| world.random(bound as u64) as usize;
    for (name, run) in TARGETS {
        let text = fs::read_to_string(kept("seeds").join(format!("{name}.hex"))).unwrap();
        let seeds = corpus::read(&text).unwrap();
        for round in 0..ROUNDS {
            let mut input = seeds[any(seeds.len())].clone();
            if round % 4 > 0 {
                input.extend((0..any(200)).map(|_| any(256) as u8));
            }
            for _ in 0..any(4) {
                let place = any(input.len());
                input[place] = any(256) as u8;
            }
            run(&input);
        }
    }
}

#[test]
fn the_seeds_are_those_that_are_kept() {
    for (target, text) in seeds::files() {
        let kept = fs::read_to_string(kept("seeds").join(format!("{target}.hex"))).unwrap_or_default();
        assert!(kept == text, "the seeds of {target} are others now: 'make fuzz-seeds' writes them");
        assert!(TARGETS.iter().any(|(name, _)| *name == target), "{target} is no target");
    }
}
