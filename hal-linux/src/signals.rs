//! The signals that tell a program to end or to read its configuration again, as something to be watched.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal as NixSignal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::error::{self, LinuxError};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// TERM, INT or QUIT: end in order.
    End,
    /// HUP: read the configuration again.
    Reload,
}

/// TERM, INT, QUIT and HUP, readable. While this process has it they do nothing by themselves.
#[derive(Debug)]
pub struct Signals {
    descriptor: SignalFd,
}

impl Signals {
    /// Blocks the signals in this thread and in those that it starts from now on. To be called before other threads
    /// start: one that does not block them would be ended by them.
    pub fn new() -> Result<Self, LinuxError> {
        let because = |errno| LinuxError::new("receive signals", error::from_nix(errno));
        let signals: SigSet =
            [NixSignal::SIGTERM, NixSignal::SIGINT, NixSignal::SIGQUIT, NixSignal::SIGHUP].into_iter().collect();
        signals.thread_block().map_err(because)?;
        let descriptor =
            SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).map_err(because)?;
        Ok(Self { descriptor })
    }

    /// The next signal that has come, if one has. Several of a kind may have become one.
    pub fn receive(&mut self) -> Result<Option<Asked>, LinuxError> {
        let signal =
            self.descriptor.read_signal().map_err(|errno| LinuxError::new("read a signal", error::from_nix(errno)))?;
        Ok(signal.map(|signal| if signal.ssi_signo == libc::SIGHUP as u32 { Asked::Reload } else { Asked::End }))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::raise;

    use super::*;

    /// SM-38
    #[test]
    fn signals_are_read_and_end_nobody() {
        let mut signals = Signals::new().unwrap();
        assert_eq!(signals.receive().unwrap(), None);
        for (signal, asked) in [
            (NixSignal::SIGTERM, Asked::End),
            (NixSignal::SIGINT, Asked::End),
            (NixSignal::SIGQUIT, Asked::End),
            (NixSignal::SIGHUP, Asked::Reload),
        ] {
            raise(signal).unwrap();
            assert_eq!(signals.receive().unwrap(), Some(asked));
        }
        assert_eq!(signals.receive().unwrap(), None);
    }
}
