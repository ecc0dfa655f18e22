//! One bug, and the tests that may notice it.

use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use greenroom_core::planted::{Bug, VARIABLE};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, prlimit};

use crate::Failure;
use crate::programs::Test;

/// A test that takes longer hangs. The slowest takes some seconds where the machine is busy.
const LIMIT: Duration = Duration::from_secs(30);
/// What loops for ever may allocate for ever, too.
const MEMORY_BYTES: u64 = 4 << 30;

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

/// What is known of a bug in the end.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    pub(crate) bug: Bug,
    pub(crate) verdict: Verdict,
    /// Tests that name what it breaks.
    pub(crate) naming: usize,
    pub(crate) took: Duration,
}

/// Wakes a bug, and runs the tests that name what it breaks, those first that name least beside it; then the others.
pub(crate) fn run(bug: Bug, tests: &[Test]) -> Result<Trial, Failure> {
    let started = Instant::now();
    let (mut naming, others): (Vec<&Test>, Vec<&Test>) = tests.iter().partition(|test| test.named(bug.breaks));
    naming.sort_by_key(|test| (test.is_slow, test.names.len()));
    let verdict = match first_that_fails(bug.name, &naming)? {
        Some(killer) => Verdict::Killed(killer),
        None => first_that_fails(bug.name, &others)?.map_or(Verdict::Survived, Verdict::KilledByAnother),
    };
    Ok(Trial { bug, verdict, naming: naming.len(), took: started.elapsed() })
}

fn first_that_fails(bug: &str, tests: &[&Test]) -> Result<Option<Killer>, Failure> {
    for test in tests {
        let ended = attempt(bug, &test.program, &[&test.name])?;
        if !ended.is_some_and(|status| status.success()) {
            return Ok(Some(Killer { test: test.name.clone(), has_hung: ended.is_none() }));
        }
    }
    Ok(None)
}

/// Runs one program of tests; `None` when it hangs. Without a bug its output is shown if it fails.
fn attempt(bug: &str, program: &PathBuf, tests: &[&str]) -> Result<Option<ExitStatus>, Failure> {
    use std::os::unix::process::CommandExt;
    let output = || if bug.is_empty() { Stdio::inherit() } else { Stdio::null() };
    let mut command = Command::new(program);
    command.args(["--exact", "--quiet"]).args(tests).env(VARIABLE, bug);
    let mut child = command.stdin(Stdio::null()).stdout(output()).stderr(output()).process_group(0).spawn()?;
    let group = Pid::from_child(&child);
    let limit = Rlimit { current: Some(MEMORY_BYTES), maximum: Some(MEMORY_BYTES) };
    // It may have ended already.
    let _ = prlimit(Some(group), Resource::Data, limit);
    let (done, ended) = channel();
    let waiter = thread::spawn(move || {
        let status = child.wait();
        let _ = done.send(());
        status
    });
    let has_hung = ended.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout);
    // With what it started.
    let _ = kill_process_group(group, Signal::KILL);
    let status = waiter.join().map_err(|_| Failure::Waiter)??;
    Ok((!has_hung).then_some(status))
}

/// Without a bug all must pass.
pub(crate) fn control(tests: &[Test]) -> Result<(), Failure> {
    let mut programs: Vec<&PathBuf> = tests.iter().map(|test| &test.program).collect();
    programs.dedup();
    for program in programs {
        if !attempt("", program, &[])?.is_some_and(|status| status.success()) {
            return Err(Failure::Control { program: program.clone() });
        }
    }
    Ok(())
}
