//! A bell that is heard in another process: an eventfd.

use std::io::IoSliceMut;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use greenroom_core::hal::{self, Doorbell};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};
use rustix::io::{Errno, ReadWriteFlags};

use crate::error::LinuxError;

/// A bell. It can be polled: readable once it was rung, until it is cleared.
///
/// Both processes hold the same open file, so a hostile peer can change its flags and its count. From Linux 5.8 on neither
/// call relies on the flag that makes it non-blocking; see [`Doorbell::ring`] for what is left.
#[derive(Debug)]
pub struct EventFd(OwnedFd);

impl EventFd {
    /// Makes a bell that was not rung.
    pub fn new() -> Result<Self, LinuxError> {
        rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map(Self)
            .map_err(|errno| LinuxError::new("make a bell", errno))
    }

    /// A bell that the peer made. What is no eventfd is noticed at the first use.
    pub fn attach(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }

    /// Whether the bell can be rung without waiting: its count is not at its end.
    fn has_room(&self) -> Result<bool, Errno> {
        let mut bell = [PollFd::new(&self.0, PollFlags::OUT)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        Ok(rustix::event::poll(&mut bell, Some(&now))? > 0)
    }
}

impl hal::ErrorType for EventFd {
    type Error = LinuxError;
}

impl Doorbell for EventFd {
    /// A bell whose count is at its end is rung already. Only a peer that clears the non-blocking flag and fills the count
    /// between our look and our write can hold the calling thread, which a decoder's deadline then ends.
    fn ring(&self) -> Result<(), LinuxError> {
        let rung = match self.has_room() {
            Ok(true) => rustix::io::write(&self.0, &1_u64.to_ne_bytes()).map(drop),
            Ok(false) => Ok(()),
            Err(errno) => Err(errno),
        };
        match rung {
            Ok(()) | Err(Errno::AGAIN) => Ok(()),
            Err(errno) => Err(LinuxError::new("ring a bell", errno)),
        }
    }

    fn clear(&self) -> Result<(), LinuxError> {
        let mut count = [0; 8];
        // "No position" in the words of preadv2: an eventfd has none.
        let read = rustix::io::preadv2(&self.0, &mut [IoSliceMut::new(&mut count)], u64::MAX, ReadWriteFlags::NOWAIT);
        let read = match read {
            // Before Linux 5.8 only the flag of the open file can say that a read shall not wait.
            Err(Errno::OPNOTSUPP) => rustix::io::read(&self.0, &mut count),
            read => read,
        };
        match read {
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(errno) => Err(LinuxError::new("clear a bell", errno)),
        }
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
