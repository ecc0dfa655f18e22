//! What Linux says when it says no.

use std::fmt;

use greenroom_core::hal::{self, Distrust, ErrorKind};
use rustix::io::Errno;

/// A system call failed: which step, on what, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinuxError {
    step: &'static str,
    subject: String,
    kind: ErrorKind,
    cause: String,
    distrust: Option<Distrust>,
}

impl LinuxError {
    /// A failed call; `step` reads as in "cannot {step}".
    pub fn new(step: &'static str, errno: Errno) -> Self {
        Self { step, subject: String::new(), kind: kind_of(errno), cause: errno.to_string(), distrust: None }
    }

    /// A failure that has no error number.
    pub fn other(step: &'static str, kind: ErrorKind, cause: impl fmt::Display) -> Self {
        Self { step, subject: String::new(), kind, cause: cause.to_string(), distrust: None }
    }

    /// The peer is not who it should be.
    pub fn untrusted(step: &'static str, distrust: Distrust) -> Self {
        Self { distrust: Some(distrust), ..Self::other(step, ErrorKind::Untrusted, distrust) }
    }

    /// Names the thing that the step was about, such as a path.
    #[must_use]
    pub fn about(mut self, subject: impl fmt::Display) -> Self {
        self.subject = subject.to_string();
        self
    }
}

fn kind_of(errno: Errno) -> ErrorKind {
    match errno {
        Errno::NOMEM
        | Errno::NOSPC
        | Errno::DQUOT
        | Errno::MFILE
        | Errno::NFILE
        | Errno::AGAIN
        | Errno::NOBUFS
        | Errno::TOOMANYREFS => ErrorKind::Exhausted,
        Errno::ACCESS | Errno::PERM | Errno::ROFS => ErrorKind::Denied,
        Errno::PIPE
        | Errno::CONNRESET
        | Errno::CONNREFUSED
        | Errno::CONNABORTED
        | Errno::SRCH
        | Errno::NOTCONN
        | Errno::TIMEDOUT
        | Errno::HOSTDOWN
        | Errno::HOSTUNREACH
        | Errno::NETDOWN
        | Errno::NETUNREACH => ErrorKind::Gone,
        Errno::NOENT | Errno::NOTDIR | Errno::ADDRNOTAVAIL => ErrorKind::NotFound,
        Errno::ADDRINUSE | Errno::EXIST | Errno::BUSY => ErrorKind::Busy,
        Errno::NOSYS | Errno::OPNOTSUPP | Errno::AFNOSUPPORT => ErrorKind::Unsupported,
        _ => ErrorKind::Other,
    }
}

/// The same number of the other crate's type.
#[cfg(any(feature = "manager", feature = "presentation", feature = "session"))]
pub(crate) fn from_nix(errno: nix::Error) -> Errno {
    Errno::from_io_error(&errno.into()).unwrap_or(Errno::IO)
}

impl fmt::Display for LinuxError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "cannot {}", self.step)?;
        if !self.subject.is_empty() {
            write!(out, " {}", self.subject)?;
        }
        write!(out, ": {}", self.cause)
    }
}

impl std::error::Error for LinuxError {}

impl hal::Error for LinuxError {
    fn kind(&self) -> ErrorKind {
        self.kind
    }

    fn distrust(&self) -> Option<Distrust> {
        self.distrust
    }
}
