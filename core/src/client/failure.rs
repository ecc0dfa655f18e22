//! Why a connection ended, and why an input of the app was not taken.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::hal::ErrorKind;
use crate::message::playback::Refusal;

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum LostReason {
    /// Caller: the app ended it.
    Asked,
    /// Platform: the socket could not be reached.
    Unreachable(ErrorKind),
    /// Peer: the session server refused us.
    Refused(Refusal),
    /// Peer: it did not welcome us in time.
    Silent,
    /// Peer: it closed the connection, or ended.
    Closed,
    /// Peer: it sent what is no message, or no answer to what was asked.
    Misbehaved,
    /// Platform: the socket failed.
    Socket(ErrorKind),
}

impl LostReason {
    /// Whether the same server, started again, might take the connection: it has gone, or could not be reached. A
    /// server that refused us or broke the protocol will do so again.
    pub const fn is_cured_by_restart(self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Silent | Self::Closed | Self::Socket(_) => true,
            Self::Asked | Self::Refused(_) | Self::Misbehaved => false,
        }
    }
}

impl fmt::Display for LostReason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => out.write_str("the app ended the connection"),
            Self::Unreachable(ErrorKind::NotFound) => {
                out.write_str("there is no socket; is the app's session server started?")
            }
            Self::Unreachable(ErrorKind::Gone) => {
                out.write_str("nobody listens at the socket; start the app's session server again")
            }
            Self::Unreachable(ErrorKind::Denied) => {
                out.write_str("this user may not use the socket; see [socket] mode, owner and group")
            }
            Self::Unreachable(ErrorKind::Busy) => {
                out.write_str("the session server takes no connection; it may be overloaded or stuck")
            }
            Self::Unreachable(kind) => write!(out, "the socket cannot be reached ({kind:?})"),
            Self::Refused(refusal) => refusal.fmt(out),
            Self::Silent => out.write_str("the session server did not greet in time; it may be overloaded or stuck"),
            Self::Closed => out.write_str("the session server closed the connection or ended; see its log"),
            Self::Misbehaved => {
                out.write_str("the session server broke the protocol; use a library of the same release")
            }
            Self::Socket(kind) => write!(out, "the socket failed ({kind:?})"),
        }
    }
}

impl core::error::Error for LostReason {}

/// Why an input of the app was not taken. It changed nothing, and nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum NotTaken {
    /// Caller: there is no connection; connect first, or wait until there is one again.
    NotConnected,
    /// Caller: there is a connection already, or one is being made.
    AlreadyConnected,
    /// Caller: the memory is leased already, or is being leased.
    HasMemory,
    /// Caller: the session has ended, or is not of this connection.
    SessionEnded,
    /// Caller: `Hello` is not the app's to say.
    Reserved,
    /// Caller: so many calls wait for their answer already.
    TooManyCalls {
        /// [`crate::limits::CALLS_MAX`].
        capacity: u16,
    },
    /// Peer: the session server does not read; an earlier call has not gone out yet.
    Congested,
    /// Caller: the codec's configuration is too long for a message.
    CodecDataTooLong {
        /// [`crate::limits::CODEC_DATA_BYTES_MAX`].
        bytes_max: u16,
    },
    /// Caller: the web audio player has ended, or is not of this connection.
    PlayerEnded,
    /// Caller: the key session has ended, or is not of this connection.
    KeySessionEnded,
}

impl fmt::Display for NotTaken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnected => out.write_str("there is no connection to the session server now"),
            Self::AlreadyConnected => out.write_str("there is a connection already, or one is being made"),
            Self::HasMemory => out.write_str("the shared memory is leased already"),
            Self::SessionEnded => out.write_str("the session has ended; create another when the app is Running"),
            Self::KeySessionEnded => out.write_str("the key session has ended; create another when the app is Running"),
            Self::PlayerEnded => {
                out.write_str("the web audio player has ended; create another when the app is Running")
            }
            Self::Reserved => out.write_str("the greeting is sent by the library alone"),
            Self::TooManyCalls { capacity } => {
                write!(out, "{capacity} calls wait for their answer already; make fewer at a time")
            }
            Self::Congested => out.write_str("the session server does not read its messages; it may be stuck"),
            Self::CodecDataTooLong { bytes_max } => {
                write!(
                    out,
                    "the codec's configuration is longer than {bytes_max} bytes; send it as a record of the stream"
                )
            }
        }
    }
}

impl core::error::Error for NotTaken {}
