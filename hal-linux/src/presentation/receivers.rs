//! The processes that show pages for other devices (PS-11, PS-36).

use greenroom_core::hal::{Child, ErrorKind, ErrorType, Launch, Receivers};
use rustix::process::{Pid, getpgid};

use super::Policy;
use crate::error::LinuxError;
use crate::presenter::{LAUNCH_TOKEN_VARIABLE, text_of};
use crate::process::{self, PidChild};

/// Processes that are remembered as receivers: more than there are places for presentations, as one may live on for a
/// moment.
const STARTED_MAX: usize = 256;

/// Runs what the policy says.
#[derive(Debug)]
pub(super) struct ReceiverPrograms<P> {
    policy: P,
    /// Numbers of the processes that were started last, and of their groups.
    started: Vec<u32>,
}

impl<P> ReceiverPrograms<P> {
    pub(super) fn new(policy: P) -> Self {
        Self { policy, started: Vec::new() }
    }

    /// Whether this process was started here, or by one that was: those are of one process group.
    pub(super) fn has_started(&self, process_id: u32) -> bool {
        let process = i32::try_from(process_id).ok().and_then(Pid::from_raw);
        let group = process.and_then(|process| getpgid(Some(process)).ok());
        group.is_some_and(|group| self.started.contains(&group.as_raw_nonzero().get().unsigned_abs()))
    }
}

impl<P> ErrorType for ReceiverPrograms<P> {
    type Error = LinuxError;
}

impl<P: Policy> Receivers for ReceiverPrograms<P> {
    type Receiver = PidChild;

    fn start(&mut self, launch: &Launch<'_>) -> Result<PidChild, LinuxError> {
        let mut program = self.policy.program(launch).ok_or_else(|| {
            LinuxError::other("show", ErrorKind::NotFound, "no command is configured for it").about(launch.url)
        })?;
        program.environment.push((LAUNCH_TOKEN_VARIABLE.to_owned(), text_of(launch.token)));
        let child = process::run(&program)?;
        if self.started.len() == STARTED_MAX {
            self.started.remove(0);
        }
        self.started.push(child.process_id());
        Ok(child)
    }
}
