//! What a program gives up first, before it reads anything.
//!
//! [`harden`] is the one place for this. A filter of system calls (seccomp) and of files (Landlock) belongs here, as
//! further steps of [`Hardening`]; there is none yet.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, setrlimit};

const FIRST_ABOVE_STANDARD: u32 = 3;

/// Whether a step of hardening holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It holds from now on.
    Enforced,
    /// The kernel does not offer it, or did not let us.
    Absent,
}

impl From<Result<(), Errno>> for Step {
    fn from(result: Result<(), Errno>) -> Self {
        if result.is_ok() { Self::Enforced } else { Self::Absent }
    }
}

/// What [`harden`] has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hardening {
    /// No program that it executes gets more rights than it has.
    pub no_new_privileges: Step,
    /// It has no descriptor but the ones that it keeps.
    pub descriptors_closed: Step,
    /// It writes no core file, in which an app's media could be found.
    pub no_core_files: Step,
}

/// Gives up what this process does not need: rights, all descriptors above standard error but `keep`, core files.
///
/// To be called once, first thing in `main`, before this process has opened anything or started a thread: what is open
/// then was inherited, and nobody owns it. What is absent is for the caller to log; nothing depends on it.
pub fn harden(keep: &[RawFd]) -> Hardening {
    Hardening {
        no_new_privileges: rustix::thread::set_no_new_privs(true).into(),
        descriptors_closed: close_inherited_but(keep).into(),
        no_core_files: setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).into(),
    }
}

/// Closes the gaps between what is kept. A second time it refuses: descriptors have owners by then.
fn close_inherited_but(keep: &[RawFd]) -> Result<(), Errno> {
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.swap(true, Ordering::Relaxed) {
        return Err(Errno::ALREADY);
    }
    let mut kept: Vec<u32> = keep.iter().filter_map(|&descriptor| u32::try_from(descriptor).ok()).collect();
    kept.sort_unstable();
    let mut first = FIRST_ABOVE_STANDARD;
    for descriptor in kept {
        if first < descriptor {
            // SAFETY: by the contract of `harden` nobody owns these yet.
            unsafe { close_range(first, descriptor - 1, 0) }?;
        }
        first = first.max(descriptor.saturating_add(1));
    }
    // SAFETY: as above.
    unsafe { close_range(first, u32::MAX, 0) }
}

/// # Safety
///
/// Without `CLOSE_RANGE_CLOEXEC` nothing in this process may own a descriptor of that range.
pub(crate) unsafe fn close_range(first: u32, last: u32, flags: u32) -> Result<(), Errno> {
    // SAFETY: it takes no pointers, and the caller vouches for the descriptors.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if result == 0 {
        return Ok(());
    }
    Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
}
