//! What can go wrong, who is to blame, and what to do.

use std::path::PathBuf;

use greenroom_core::client::{LostReason, NotTaken};
use greenroom_core::message::playback::Refusal;
use greenroom_core::ring::RingError;
use thiserror::Error;

use crate::error::LinuxError;

/// Why there is no connection to the session server.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Caller: the path is no socket's.
    #[error("{path}: a socket's path is UTF-8 and has at most 107 bytes; choose another")]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// Peer: the session server is not there, or did not welcome the app.
    #[error("no session server at {path}: {reason}")]
    NoServer {
        /// The socket's path.
        path: PathBuf,
        /// Why not.
        reason: LostReason,
    },
    /// Caller: the app runs as a user that the session server was told not to serve.
    #[error("{path} is not for this app's user: {refusal}")]
    NotPermitted {
        /// The socket's path.
        path: PathBuf,
        /// What the session server said.
        refusal: Refusal,
    },
    /// Platform: this process has no descriptor, memory or thread left.
    #[error(transparent)]
    Platform(#[from] LinuxError),
}

/// Why a call was not done.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum CallError {
    /// The session server refused it; the refusal says who is to blame. It changed nothing.
    #[error("{0}")]
    Refused(Refusal),
    /// Caller: it was not even sent.
    #[error("{0}")]
    NotTaken(NotTaken),
    /// Caller: an app can be Inactive or Running; Unknown is no state to go to.
    #[error("an app goes Inactive or Running; there is no other state to go to")]
    NotAState,
    /// Peer: no answer came in time. Whether it was done is not known; the session server may be stuck.
    #[error("the session server did not answer in time; it may be stuck")]
    TimedOut,
    /// Peer: there is no connection to the session server now, and every session of it has ended.
    /// [`Client::lost`](super::Client::lost) says why. Wait until there is one again
    /// ([`ClientEvent::Reconnected`](super::ClientEvent::Reconnected)), or, where the library has given up, connect again.
    #[error("there is no connection to the session server now; wait until there is one again")]
    ConnectionLost,
    /// Peer or platform: the shared memory or a bell cannot be used.
    #[error(transparent)]
    Memory(LinuxError),
    /// Peer: the place that the session server gave to a ring cannot be.
    #[error("the session server gave the source a ring that cannot be: {0}")]
    Ring(RingError),
}

/// Why a session, and its sources with it, or one source takes no more frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SessionEnd {
    /// Caller: the session was destroyed or dropped.
    #[error("the session was destroyed")]
    Destroyed,
    /// Caller: the session was stopped, which drops its sources. Load it and attach its streams again.
    #[error("the session was stopped; attach its streams again")]
    Stopped,
    /// Caller: this source was removed.
    #[error("the source was removed")]
    Removed,
    /// The app went Inactive, or the session server took the memory back. Go Running and make another session.
    #[error("the app is not Running any more; make another session when it is")]
    Inactive,
    /// Peer: the connection ended. Make another session when there is one again.
    #[error("the connection to the session server has ended")]
    ConnectionLost,
}

/// Why a frame was not sent. The session server will not see it.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum PushError {
    /// A seek or a flush made the frame old. Said once per flush; what is pushed after it belongs to the new position.
    #[error("a seek or flush made this frame old; go on with frames of the new position")]
    Flushed,
    /// The ring was full until the deadline: playback is paused or slower than the app. Push it again.
    #[error("the source's ring is full; push the frame again")]
    Full,
    /// The session has ended.
    #[error("{0}")]
    Ended(SessionEnd),
    /// Caller: the frame will never fit.
    #[error("a frame of {bytes} bytes never fits into this source's ring of {max}")]
    TooLarge {
        /// Bytes of the frame.
        bytes: usize,
        /// Bytes that fit.
        max: u32,
    },
    /// Caller: a web audio player takes whole frames.
    #[error("{bytes} bytes are not whole frames of {frame_bytes}; nothing was written")]
    NotWholeFrames {
        /// Bytes that were to be written.
        bytes: usize,
        /// Bytes of one frame.
        frame_bytes: u32,
    },
    /// Peer: the session server broke the ring's rules. Destroy the session.
    #[error("the session server broke the ring's rules: {0}")]
    Corrupt(RingError),
    /// Platform or peer: a bell cannot be rung or heard. Destroy the session.
    #[error(transparent)]
    Bell(LinuxError),
}
