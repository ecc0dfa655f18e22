//! A process that a signal is meant for, held so that its number cannot become another's.

use std::fs;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A process of Greenroom's.
#[derive(Debug)]
pub(crate) struct Quarry {
    process: OwnedFd,
    /// Its number.
    pub(crate) id: u32,
}

impl Quarry {
    /// Takes hold of a process, unless it has gone or is none of Greenroom's.
    pub(crate) fn hold(id: u32) -> Option<Self> {
        let process = pidfd_open(Pid::from_raw(id.cast_signed())?, PidfdFlags::empty()).ok()?;
        let name = fs::read_to_string(format!("/proc/{id}/comm")).ok()?;
        // A player whose disk is slow is this program, too.
        let is_ours = name.starts_with("greenroom") || (name.starts_with("chaos") && id != std::process::id());
        is_ours.then_some(Self { process, id })
    }

    /// Whether the signal was sent: not if the process has ended meanwhile.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        pidfd_send_signal(&self.process, signal).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_none_of_greenrooms_is_not_harmed() {
        assert!(Quarry::hold(1).is_none());
        assert!(Quarry::hold(std::process::id()).is_none());
    }
}
