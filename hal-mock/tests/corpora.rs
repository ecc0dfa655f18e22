//! Every input that is kept for a fuzz target: seeds, and what fuzzers have found worth keeping.

use std::fs;
use std::path::{Path, PathBuf};

use greenroom_hal_mock::World;
use greenroom_hal_mock::fuzzing::{TARGETS, Target, corpus, seeds};

/// Inputs of each target that are tried.
const ROUNDS: usize = 500;

fn kept(directory: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz").join(directory)
}

fn replay(directory: &str) {
    TARGETS.iter().for_each(|target| replay_one(directory, target));
}

fn replay_one(directory: &str, (name, run): &Target) {
    let file = kept(directory).join(format!("{name}.hex"));
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let inputs = corpus::read(&text).unwrap_or_else(|line| panic!("{}: {line}", file.display()));
    assert!(!inputs.is_empty(), "{} holds nothing", file.display());
    inputs.iter().for_each(|input| run(input));
}

#[test]
fn every_seed_is_taken_as_it_must_be() {
    replay("seeds");
}

/// FUZZ
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

/// With bugs planted: no target is so blind that its corpus finds none.
#[cfg(feature = "planted")]
mod planted {
    use std::env;
    use std::process::{Command, Stdio};

    use greenroom_core::planted::{BUGS, VARIABLE};

    use super::*;

    /// Names the target to the test that looks at one.
    const TARGET: &str = "GREENROOM_FUZZ_TARGET";
    /// A bug for each target. With it awake its corpus is not taken as it must be.
    const NOTICED: &[(&str, &str)] = &[
        ("codec_control", "message_cut"),
        ("codec_link", "message_cut"),
        ("codec_playback", "message_cut"),
        ("codec_keys", "message_cut"),
        ("codec_audio", "message_cut"),
        ("codec_presentation", "message_cut"),
        ("codec_papi", "split_line_lost"),
        ("codec_papi_differential", "split_line_lost"),
        ("codec_crossing", "split_line_lost"),
        ("codec_frame", "frame_length_believed"),
        ("codec_differential", "message_cut"),
        ("trace", "entries_after_the_last"),
        ("trace_forged", "actions_not_counted"),
        ("ring_hostile_producer", "payload_end_unchecked"),
        ("ring_hostile_consumer", "server_tail_believed"),
        ("ring_place", "ring_over_its_words"),
        ("operations_ring", "lost_wakeup"),
        ("operations_table", "freed_place_forgotten"),
        ("operations_ledger", "units_never_returned"),
        ("operations_manager", "respawn_before_reaped"),
        ("operations_session", "memory_freed_under_players"),
        ("operations_client", "reply_lost_on_eof"),
        ("operations_presentation", "end_unanswered"),
        ("operations_content", "candidate_before_description"),
        ("connections_manager", "links_mixed_up"),
        ("connections_session", "plays_without_manager"),
    ];

    #[test]
    fn every_target_notices_a_bug() {
        for (name, _) in TARGETS {
            let (_, bug) = NOTICED.iter().find(|(target, _)| target == name).expect("a bug for each target");
            assert!(is_taken(name, ""), "{name} takes its corpus without a bug");
            assert!(!is_taken(name, bug), "{name} takes its corpus with {bug}, too");
        }
    }

    #[test]
    #[ignore = "it lists which bugs each target notices, to choose from"]
    fn what_each_target_notices() {
        for (name, _) in TARGETS {
            let noticed: Vec<_> = BUGS.iter().filter(|bug| !is_taken(name, bug.name)).map(|bug| bug.name).collect();
            println!("{name}: {noticed:?}");
        }
    }

    /// In a process of its own: one bug is awake in a process.
    fn is_taken(target: &str, bug: &str) -> bool {
        let mut child = Command::new(env::current_exe().expect("this program"));
        child.args(["--exact", "planted::one_corpus_is_taken_as_it_must_be", "--ignored", "--quiet"]);
        child.env(TARGET, target).env(VARIABLE, bug).stdout(Stdio::null()).stderr(Stdio::null());
        child.status().expect("it can be started").success()
    }

    #[test]
    #[ignore = "the one above runs it for each target"]
    fn one_corpus_is_taken_as_it_must_be() {
        let name = env::var(TARGET).expect("a target");
        let target = TARGETS.iter().find(|(target, _)| *target == name).expect("a target of this name");
        ["seeds", "corpus"].iter().for_each(|directory| replay_one(directory, target));
    }
}
