//! One process that is to pass, with a bug awake in it.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use greenroom_core::planted::VARIABLE;
use rustix::process::{Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, kill_process_group, prlimit, waitid};

use crate::Failure;

/// What takes longer hangs: the slowest takes some seconds where the machine is busy.
const LIMIT: Duration = Duration::from_secs(30);
/// What loops for ever may allocate for ever, too.
const MEMORY_BYTES: u64 = 4 << 30;

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Passed,
    /// With what it said.
    Failed(String),
    Hung,
}

/// Runs a program with this bug awake, or with none where its name is empty; then what it says on stderr is shown.
pub(crate) fn attempt(bug: &str, command: &mut Command) -> Result<Ended, Failure> {
    let said = if bug.is_empty() { Stdio::inherit() } else { Stdio::null() };
    command.env(VARIABLE, bug).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(said).process_group(0);
    let mut child = command.spawn()?;
    let leader = Pid::from_child(&child);
    let limit = Rlimit { current: Some(MEMORY_BYTES), maximum: Some(MEMORY_BYTES) };
    // It may have ended already.
    let _ = prlimit(Some(leader), Resource::Data, limit);
    let mut output = child.stdout.take().ok_or(Failure::Thread)?;
    let reader = thread::spawn(move || {
        let mut said = Vec::new();
        output.read_to_end(&mut said).map(|_| String::from_utf8_lossy(&said).into_owned())
    });
    let (done, ended) = channel();
    let waiter = thread::spawn(move || {
        // It is not reaped, so that its number stays its own until all that it started is ended, too.
        let _ = waitid(WaitId::Pid(leader), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        let _ = done.send(());
    });
    let has_hung = ended.recv_timeout(LIMIT).is_err();
    let _ = kill_process_group(leader, Signal::KILL);
    waiter.join().map_err(|_| Failure::Thread)?;
    let status = child.wait()?;
    let said = reader.join().map_err(|_| Failure::Thread)??;
    Ok(match (has_hung, status.success()) {
        (true, _) => Ended::Hung,
        (false, true) => Ended::Passed,
        (false, false) => Ended::Failed(said),
    })
}
