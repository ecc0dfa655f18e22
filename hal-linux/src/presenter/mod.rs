//! What a page, a receiver or a program of the platform needs of the presentation service of its own box.
//!
//! | module | what is in it |
//! |---|---|
//! | `client` | asking, and hearing events |
//! | `link` | the connection: requests one way, answers and events the other |
//! | `token` | what a receiver has inherited |

mod client;
mod link;
mod token;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use greenroom_core::codec::postcard::CodecError;
use greenroom_core::hal::{Error, ErrorKind};
use greenroom_core::limits::{ESTABLISH_TIMEOUT_MAX, SELECTION_TIMEOUT};
use greenroom_core::message::presentation::Refusal;
use rustix::event::{PollFd, Timespec, poll};
use rustix::io::Errno;

pub use client::PresenterClient;
#[cfg(feature = "content")]
pub(crate) use link::{Heard, Link};
#[cfg(feature = "presentation")]
pub(crate) use token::text_of;
pub use token::{LAUNCH_TOKEN_VARIABLE, RECEIVER_DIRECTORY_VARIABLE, inherited_directory, inherited_token};

use crate::error::LinuxError;

/// The service answers within this: a person may choose a device first.
pub(crate) const ANSWER_TIMEOUT: Duration = SELECTION_TIMEOUT.saturating_add(ESTABLISH_TIMEOUT_MAX);

/// Why the service could not be asked, or what it refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PresenterError {
    /// Caller: no service listens there.
    #[error("no presentation service: {cause} ({path}); start greenroom-presentation, or give its socket")]
    NoService {
        /// Its socket.
        path: PathBuf,
        /// What the platform said.
        cause: LinuxError,
    },
    /// The service does not do it; the refusal says who is to blame.
    #[error("{0}")]
    Refused(Refusal),
    /// Peer: the service did not answer.
    #[error("the presentation service did not answer in time; see its log")]
    Timeout,
    /// Peer: the service has closed the connection.
    #[error("the presentation service closed the connection; it ended, or lets nobody else in")]
    Closed,
    /// Peer: the service sent what is no answer to what was asked.
    #[error("the presentation service sent what this program does not understand; use programs of the same release")]
    Protocol,
    /// Caller: a text is too long.
    #[error("the request does not fit one message; shorten it")]
    TooLong,
    /// Platform: the socket failed.
    #[error("the connection to the presentation service failed: {0}")]
    Socket(LinuxError),
}

impl From<CodecError> for PresenterError {
    fn from(error: CodecError) -> Self {
        match error {
            CodecError::TooLong => Self::TooLong,
            _ => Self::Protocol,
        }
    }
}

impl From<LinuxError> for PresenterError {
    fn from(error: LinuxError) -> Self {
        if error.kind() == ErrorKind::Gone { Self::Closed } else { Self::Socket(error) }
    }
}

/// Waits until one of the descriptors is ready; `false` when the deadline has passed.
pub(crate) fn wait(descriptors: &mut [PollFd<'_>], deadline: Instant) -> Result<bool, LinuxError> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
        match poll(descriptors, Some(&timeout)) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(LinuxError::new("wait for the presentation service", errno)),
        }
    }
}
