//! Plants one bug after another, and shows which test notices it.
//!
//! ```text
//! test programs, built once --> control: no bug, all pass --> each bug, the canary first --> table, verdict
//! ```
//!
//! A bug is killed when a test fails, or hangs, that names in its documentation what the bug breaks. Beside it stands the
//! first of a few seeds of the simulated box that notices it from outside.

mod attempt;
mod names;
mod programs;
mod report;
mod seeds;
mod trial;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use std::{io, thread};

use clap::Parser;
use greenroom_core::planted::{BUGS, Bug};
use indicatif::{ProgressBar, ProgressStyle};

use crate::names::Names;
use crate::programs::Test;
use crate::trial::{Trial, Verdict};

/// Where tests are.
const SOURCES: &[&str] = &["core", "daemon/src", "hal-linux/src", "hal-mock", "tests"];
/// What the bug breaks that shows that bugs are noticed at all.
const CANARY: &str = "CANARY";
/// Requirements of session management are numbered from 1 to this.
const REQUIREMENTS: u8 = 40;
/// Requirements of presentation that a line of code can break. The others divide the same work among processes (PS-12,
/// PS-15, PS-21), or are kept where these are (PS-07, PS-08, PS-16).
const PRESENTATION: &[u8] = &[1, 2, 3, 4, 5, 6, 9, 10, 11, 13, 14, 17, 18, 19, 20, 22, 30, 31, 32, 33, 34, 35, 36];

/// Plants one bug after another, and shows which test notices it.
#[derive(Debug, Parser)]
struct Arguments {
    /// What cargo says (`--message-format=json`) that it has built: test programs with all bugs in them.
    #[arg(required_unless_present = "seed")]
    messages: Option<PathBuf>,
    /// Only bugs whose name, or what they break, contains this.
    #[arg(long)]
    only: Option<String>,
    /// Run a box from this seed in this process, with the bug that the environment names, and nothing else.
    #[arg(long)]
    seed: Option<u64>,
    /// Of the seed, run boxes that show each other's pages.
    #[arg(long)]
    presentation: bool,
}

/// Why it cannot be said which bugs are noticed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("there are no tests")]
    NoTests,
    #[error("no planted bug has '{only}' in its name or in what it breaks; there are:\n{there}")]
    NoSuchBug { only: String, there: String },
    #[error("without a bug not all tests pass in {program}: {said}")]
    Control { program: PathBuf, said: String },
    #[error("without a bug seed {number} finds something broken: {rule}")]
    Seed { number: u64, rule: String },
    #[error("the canary lives: a bug that is awake is not noticed, so nothing can be said of the others")]
    Canary,
    #[error("a thread that waits for a test has panicked")]
    Thread,
    #[error("{0}")]
    Io(#[from] io::Error),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match (arguments.seed, arguments.messages) {
        (Some(seed), _) => seeds::run(seed, arguments.presentation).map_err(Failure::from),
        (None, messages) => hunt(&messages.unwrap_or_default(), arguments.only.as_deref().unwrap_or_default()),
    };
    done.unwrap_or_else(|failure| {
        eprintln!("greenroom-mutants: {failure}");
        ExitCode::FAILURE
    })
}

/// Succeeds when every bug was killed, and every requirement has one.
fn hunt(messages: &Path, only: &str) -> Result<ExitCode, Failure> {
    let bugs = wanted(only)?;
    let tests = programs::tests(messages, &Names::read(SOURCES)?)?;
    let started = Instant::now();
    trial::control(&tests)?;
    let (count, seconds) = (tests.len(), started.elapsed().as_secs_f64());
    println!("control: {count} tests and {} seeds pass without a bug, in {seconds:.1} s", seeds::SEEDS);
    for canary in BUGS.iter().copied().filter(|bug| bug.breaks == CANARY) {
        let trial = trial::run(canary, &tests)?;
        if !matches!(trial.verdict, Verdict::Killed(_)) {
            return Err(Failure::Canary);
        }
        println!("canary: dead, in {:.2} s, as it must be", trial.took.as_secs_f64());
    }
    let trials = all(&bugs, &tests)?;
    println!("{:.1} s\n", started.elapsed().as_secs_f64());
    let missing = requirements_without_a_bug();
    missing.iter().for_each(|requirement| println!("NO BUG breaks {requirement}"));
    let all_killed = report::print(&trials);
    Ok(if all_killed && missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The bugs that are to be tried: none is no proof of anything.
fn wanted(only: &str) -> Result<Vec<Bug>, Failure> {
    let bugs = || BUGS.iter().copied().filter(|bug| bug.breaks != CANARY);
    let wanted: Vec<Bug> = bugs().filter(|bug| bug.name.contains(only) || bug.breaks.contains(only)).collect();
    if wanted.is_empty() {
        let there: Vec<String> = bugs().map(|bug| format!("  {}: {}", bug.breaks, bug.name)).collect();
        return Err(Failure::NoSuchBug { only: only.to_owned(), there: there.join("\n") });
    }
    Ok(wanted)
}

fn requirements_without_a_bug() -> Vec<String> {
    let broken: BTreeSet<&str> = BUGS.iter().map(|bug| bug.breaks).collect();
    let session = (1..=REQUIREMENTS).map(|number| format!("SM-{number:02}"));
    let all = session.chain(PRESENTATION.iter().map(|number| format!("PS-{number:02}")));
    all.filter(|requirement| !broken.contains(requirement.as_str())).collect()
}

/// Tries all bugs, as many at a time as there are processors.
fn all(bugs: &[Bug], tests: &[Test]) -> Result<Vec<Trial>, Failure> {
    let (next, trials) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let bar = bar(bugs.len());
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let work = || -> Result<(), Failure> {
        while let Some(bug) = bugs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let trial = trial::run(*bug, tests)?;
            bar.inc(1);
            trials.lock().map_err(|_| Failure::Thread)?.push(trial);
        }
        Ok(())
    };
    thread::scope(|scope| -> Result<(), Failure> {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| Failure::Thread)?)
    })?;
    bar.finish_and_clear();
    let mut trials = trials.into_inner().map_err(|_| Failure::Thread)?;
    trials.sort_by_key(|trial| bugs.iter().position(|bug| *bug == trial.bug));
    Ok(trials)
}

/// Shows itself on a terminal only.
fn bar(length: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} bugs, {elapsed}");
    ProgressBar::new(length as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who mistypes a name must not read that all is well.
    #[test]
    fn a_name_that_no_bug_has_is_a_failure_that_tells_the_names_that_there_are() {
        let failure = wanted("no such bug").unwrap_err().to_string();
        assert!(failure.contains("SM-36: any_pong_accepted"), "{failure}");
        assert!(!failure.contains("canary"), "{failure}");
        assert_eq!(wanted("any_pong_accepted").unwrap().len(), 1);
        assert!(wanted("").unwrap().len() > 50);
    }
}
