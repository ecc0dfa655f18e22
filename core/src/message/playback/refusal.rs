//! Why a call of an app was refused.

use core::fmt;

use serde::{Deserialize, Serialize};

use super::{PlaybackError, PlaybackState};
use crate::message::audio::PlayerState;
use crate::message::keys::KeyError;

/// A fixed table of a session server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TableName {
    /// Connections of clients.
    Clients,
    /// Playback sessions: the app's `max_playback_sessions`.
    PlaybackSessions,
    /// Sources of one session.
    Sources,
    /// Web audio players: the app's `max_web_audio_players`.
    WebAudioPlayers,
    /// Key sessions: the app's `max_key_sessions`.
    KeySessions,
}

/// Why a call was refused. A refused call changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Refusal {
    /// Caller: no call that this version knows.
    Malformed,
    /// Caller: no protocol version that both sides speak.
    Version {
        /// The lowest that the server speaks.
        min: u8,
        /// The highest that the server speaks.
        max: u8,
    },
    /// Caller: this connection has no such session.
    UnknownSession,
    /// Caller: the session has no such source.
    UnknownSource,
    /// Caller: only while the app is Running (SM-24).
    NotActive,
    /// Caller: the connection has leased no shared memory.
    NoMemory,
    /// Caller: this cannot be asked of a session in this state.
    WrongState {
        /// What the session does.
        state: PlaybackState,
    },
    /// Caller: the session has a source of this kind already.
    DuplicateSource,
    /// Caller: a value is out of its range.
    OutOfRange,
    /// Platform: a table is full.
    Full {
        /// Which table.
        table: TableName,
        /// Its capacity.
        capacity: u16,
        /// How much of it is taken.
        in_use: u16,
    },
    /// Platform: the session failed while it did this.
    Failed(PlaybackError),
    /// Platform: the app left Active while this was done.
    Interrupted,
    /// Caller: this user may not connect to this app's session server.
    NotPermitted {
        /// The user, as the platform vouches for it.
        user_id: u32,
    },
    /// Caller: this connection has no such web audio player.
    UnknownPlayer,
    /// Caller: no web audio player takes PCM of this form.
    UnsupportedFormat,
    /// Caller: this cannot be asked of a web audio player in this state.
    WrongPlayerState {
        /// What the player does.
        state: PlayerState,
    },
    /// Caller: this connection has no such key session, or has closed it.
    UnknownKeySession,
    /// The key system did not do it; the error says who is to blame.
    Keys(KeyError),
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => {
                out.write_str("the session server does not know this call; use a library of the same release")
            }
            Self::Version { min, max } => {
                write!(out, "the session server speaks protocol versions {min} to {max} only")
            }
            Self::UnknownSession => out.write_str("this connection has no such session"),
            Self::UnknownSource => out.write_str("the session has no such source"),
            Self::NotActive => out.write_str("the app is not Running; wait until it is"),
            Self::NoMemory => out.write_str("the connection has no shared memory; go Running first"),
            Self::WrongState { state } => write!(out, "not while the session is {state:?}"),
            Self::DuplicateSource => out.write_str("the session has a source of this kind already"),
            Self::OutOfRange => out.write_str("a value is out of its range"),
            Self::Full { table, capacity, in_use } => write!(out, "{table:?}: all {capacity} are in use ({in_use})"),
            Self::Failed(error) => error.fmt(out),
            Self::Interrupted => out.write_str("the app left the Running state meanwhile"),
            Self::NotPermitted { user_id } => write!(
                out,
                "user {user_id} may not connect to this app's session server; run the app as one of its [app] clients, \
                 or add this user to them"
            ),
            Self::UnknownKeySession => out.write_str("this connection has no such key session"),
            Self::Keys(error) => error.fmt(out),
            Self::UnknownPlayer => out.write_str("this connection has no such web audio player"),
            Self::UnsupportedFormat => {
                out.write_str("no web audio player takes this form: 8 to 192 kHz and 1 to 8 channels are taken")
            }
            Self::WrongPlayerState { state } => write!(out, "not while the web audio player is {state}"),
        }
    }
}

impl core::error::Error for Refusal {}
