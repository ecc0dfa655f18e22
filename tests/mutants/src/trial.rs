//! One bug, and who may notice it.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use greenroom_core::planted::Bug;

use crate::Failure;
use crate::attempt::{Ended, attempt};
use crate::programs::Test;
use crate::seeds::SEEDS;

/// How a bug came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A test that names what the bug breaks has failed.
    Killed(Killer),
    /// Only a test that names something else has failed.
    KilledByAnother(Killer),
    /// No test has failed.
    Survived,
}

/// Who noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Killer {
    pub(crate) test: String,
    /// It did not fail but hang.
    pub(crate) has_hung: bool,
}

/// A seed that noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seed {
    pub(crate) number: u64,
    /// What it saw broken.
    pub(crate) rule: String,
}

/// What is known of a bug in the end.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    pub(crate) bug: Bug,
    pub(crate) verdict: Verdict,
    /// Tests that name what it breaks.
    pub(crate) naming: usize,
    /// How long it took until a test noticed.
    pub(crate) took: Duration,
    pub(crate) seed: Option<Seed>,
}

/// Wakes a bug, and runs the tests that name what it breaks, those first that name least beside it; then the others. Then
/// the same without tests: hours of a box under faults.
pub(crate) fn run(bug: Bug, tests: &[Test]) -> Result<Trial, Failure> {
    let started = Instant::now();
    let (mut naming, others): (Vec<&Test>, Vec<&Test>) = tests.iter().partition(|test| test.named(bug.breaks));
    naming.sort_by_key(|test| (test.is_slow, test.names.len()));
    let verdict = match first_that_fails(bug.name, &naming)? {
        Some(killer) => Verdict::Killed(killer),
        None => first_that_fails(bug.name, &others)?.map_or(Verdict::Survived, Verdict::KilledByAnother),
    };
    let (naming, took) = (naming.len(), started.elapsed());
    Ok(Trial { bug, verdict, naming, took, seed: first_seed_that_fails(bug)? })
}

fn first_that_fails(bug: &str, tests: &[&Test]) -> Result<Option<Killer>, Failure> {
    for test in tests {
        let ended = attempt(bug, Command::new(&test.program).args(["--exact", "--quiet", &test.name]))?;
        if ended != Ended::Passed {
            return Ok(Some(Killer { test: test.name.clone(), has_hung: ended == Ended::Hung }));
        }
    }
    Ok(None)
}

/// What breaks a requirement of presentation is left to the tests: nobody shows pages in a box whose apps play.
fn first_seed_that_fails(bug: Bug) -> Result<Option<Seed>, Failure> {
    if bug.breaks.starts_with("PS-") { Ok(None) } else { first_seed_of_box(bug.name) }
}

fn first_seed_of_box(bug: &str) -> Result<Option<Seed>, Failure> {
    let program = std::env::current_exe()?;
    for number in 0..SEEDS {
        match attempt(bug, Command::new(&program).arg("--seed").arg(number.to_string()))? {
            Ended::Passed => {}
            Ended::Failed(rule) => return Ok(Some(Seed { number, rule: rule.trim().to_owned() })),
            Ended::Hung => return Ok(Some(Seed { number, rule: "it hangs".to_owned() })),
        }
    }
    Ok(None)
}

/// Without a bug all must pass.
pub(crate) fn control(tests: &[Test]) -> Result<(), Failure> {
    let mut programs: Vec<&PathBuf> = tests.iter().map(|test| &test.program).collect();
    programs.dedup();
    for program in programs {
        match attempt("", Command::new(program).arg("--quiet"))? {
            Ended::Passed => {}
            Ended::Failed(said) => return Err(Failure::Control { program: program.clone(), said }),
            Ended::Hung => return Err(Failure::Control { program: program.clone(), said: "it hangs".to_owned() }),
        }
    }
    match first_seed_of_box("")? {
        None => Ok(()),
        Some(Seed { number, rule }) => Err(Failure::Seed { number, rule }),
    }
}
