//! Hours of a whole box under faults: whether what looks at it from outside notices a bug, too.

use std::process::ExitCode;
use std::time::Duration;
use std::{io, thread};

use greenroom_hal_mock::sim::{Run, presentation};

/// How long each box is under faults.
const STORM: Duration = Duration::from_secs(3600);
/// A bug that so many seeds do not notice is left to the tests.
pub(crate) const SEEDS: u64 = 4;
/// Machines are large, and are made on the stack before they are moved.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// Runs a seed in this process; fails and names the rule that was broken, if one was.
pub(crate) fn run(seed: u64, is_presentation: bool) -> io::Result<ExitCode> {
    let body = move || match is_presentation {
        true => presentation::Run { is_swarm: false, ..presentation::Run::usual(seed) }.run().violations,
        false => Run { storm: STORM, ..Run::hour(seed) }.run().violations,
    };
    let violations = thread::Builder::new().stack_size(STACK_BYTES).spawn(body)?.join();
    let broken = match &violations {
        Ok(violations) => violations.first().map(|violation| violation.rule.to_string()),
        Err(_) => Some("a panic".to_owned()),
    };
    Ok(match broken {
        Some(rule) => {
            println!("{rule}");
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    })
}
