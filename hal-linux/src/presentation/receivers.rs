//! The processes that show pages for other devices (PS-11, PS-36).

use std::os::fd::{AsFd, BorrowedFd};

use greenroom_core::hal::{Child, ErrorKind, ErrorType, ExitStatus, Launch, Receivers, Signal};
use rustix::process::{Pid, getpgid};

use super::Policy;
use super::directories::{Directories, Directory};
use crate::error::LinuxError;
use crate::presenter::{LAUNCH_TOKEN_VARIABLE, RECEIVER_DIRECTORY_VARIABLE, text_of};
use crate::process::{self, PidChild};

/// Processes that are remembered as receivers: more than there are places for presentations, as one may live on for a
/// moment.
const STARTED_MAX: usize = 256;

/// Runs what the policy says.
#[derive(Debug)]
pub(super) struct ReceiverPrograms<P> {
    policy: P,
    directories: Directories,
    /// Numbers of the processes that were started last, and of their groups.
    started: Vec<u32>,
}

impl<P> ReceiverPrograms<P> {
    pub(super) fn new(policy: P, directories: Directories) -> Self {
        Self { policy, directories, started: Vec::new() }
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
    type Receiver = Receiver;

    fn start(&mut self, launch: &Launch<'_>) -> Result<Receiver, LinuxError> {
        let mut program = self.policy.program(launch).ok_or_else(|| {
            LinuxError::other("show", ErrorKind::NotFound, "no command is configured for it").about(launch.url)
        })?;
        let directory = self.directories.make()?;
        let path = directory.path().to_string_lossy().into_owned();
        program.environment.push((LAUNCH_TOKEN_VARIABLE.to_owned(), text_of(launch.token)));
        program.environment.push((RECEIVER_DIRECTORY_VARIABLE.to_owned(), path));
        let child = process::run(&program)?;
        if self.started.len() == STARTED_MAX {
            self.started.remove(0);
        }
        self.started.push(child.process_id());
        Ok(Receiver { child, _directory: directory })
    }
}

/// A process that shows a page, and the directory that goes with it.
#[derive(Debug)]
pub(super) struct Receiver {
    child: PidChild,
    _directory: Directory,
}

impl ErrorType for Receiver {
    type Error = LinuxError;
}

impl Child for Receiver {
    fn process_id(&self) -> u32 {
        self.child.process_id()
    }

    fn signal(&mut self, signal: Signal) -> Result<(), LinuxError> {
        self.child.signal(signal)
    }

    fn try_wait(&mut self) -> Result<Option<ExitStatus>, LinuxError> {
        self.child.try_wait()
    }
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.child.as_fd()
    }
}
