//! A seed of the simulated box that fails leaves a trace that can be replayed and drawn.

use std::process::Command;
use std::thread;
use std::time::Duration;

use greenroom_core::planted::VARIABLE;
use greenroom_core::trace::MachineKind;
use greenroom_core::trace::file::File;
use greenroom_hal_mock::replay::replay;
use greenroom_hal_mock::sequence::trace::{Story, sequence_of};
use greenroom_hal_mock::sim::{Outcome, Run};

/// A machine's bug that the referee sees within minutes.
const BUG: &str = "units_granted_twice";
const STACK_BYTES: usize = 16 * 1024 * 1024;

fn failing_outcome() -> Outcome {
    let run = Run { storm: Duration::from_secs(1200), keeps_events: true, ..Run::hour(0) };
    let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn(move || run.run());
    thread.unwrap().join().unwrap()
}

/// The bug is awake in a process of its own, which is this test once more.
#[test]
fn a_seed_that_fails_leaves_a_trace_that_replays_to_the_same_and_can_be_drawn() {
    if std::env::var(VARIABLE).as_deref() != Ok(BUG) {
        let test = thread::current().name().unwrap().to_owned();
        let again = Command::new(std::env::current_exe().unwrap()).args(["--exact", &test]).env(VARIABLE, BUG).output();
        let again = again.unwrap();
        return assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stdout));
    }
    let outcome = failing_outcome();
    assert!(outcome.violation_count > 0, "the bug is not noticed");
    let file = File::parse(&outcome.trace).unwrap();
    let replayed = replay(&file, |_| {}).unwrap_or_else(|error| panic!("{error}"));
    let of = |kind| replayed.iter().filter(|machine| machine.origin.machine == kind).count();
    assert!(of(MachineKind::Manager) > 0 && of(MachineKind::Session) > 0 && of(MachineKind::Client) > 0);
    let latest = replayed.iter().map(|machine| machine.to.as_millis()).max();
    assert!(latest.unwrap().abs_diff(outcome.violations[0].at_ms) < 1000, "it ends where the bug was noticed");
    let drawn = sequence_of(&[file], &Story::default()).unwrap().finish();
    assert!(drawn.iter().count() > 10);
}
