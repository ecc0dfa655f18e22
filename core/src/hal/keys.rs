//! The key systems of a session server.

use serde::{Deserialize, Serialize};

#[cfg(doc)]
use super::ErrorKind;
use super::ErrorType;
use crate::limits::{KEYS_MAX, LICENSE_BYTES_MAX};
use crate::message::keys::{InitDataKind, KEY_STATUS_BYTES, KeyError, KeyStatuses, LicenseMessage};

/// What a key system is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum KeyCommand<'a> {
    /// Make a licence request. [`KeyEvent::Message`] says that it is there, before the command ends.
    GenerateRequest {
        /// The form of the data.
        kind: InitDataKind,
        /// The media's initialization data.
        init_data: &'a [u8],
    },
    /// Take the licence server's response.
    Update {
        /// The response.
        response: &'a [u8],
    },
    /// Forget the keys.
    Remove,
}

/// Bytes of what is said of all keys of one key session.
pub const KEY_STATUSES_BYTES_MAX: usize = KEYS_MAX * KEY_STATUS_BYTES;

/// The key systems (content decryption modules) of a session server. No call blocks: each command ends with exactly one
/// [`KeyEvent::Completed`], unless its key session is closed before, which ends with one [`KeyEvent::Closed`].
pub trait KeyProvider: ErrorType {
    /// Makes a key session of this key system. [`ErrorKind::NotFound`]: there is no such one.
    fn open(&mut self, key_session: u16, key_system: &str) -> Result<(), Self::Error>;
    /// Gives a command; one at a time. `token` comes back with its completion.
    fn command(&mut self, key_session: u16, token: u32, command: KeyCommand<'_>) -> Result<(), Self::Error>;
    /// Lets the decoder of this session use the keys, until one of the two is closed. What it wants to decrypt then without
    /// a key is its failure, and nothing else's.
    fn bind(&mut self, key_session: u16, session: u16);
    /// The latest message for the licence server, if there is one.
    fn message<'b>(&mut self, key_session: u16, buffer: &'b mut [u8; LICENSE_BYTES_MAX]) -> Option<LicenseMessage<'b>>;
    /// What the keys are good for now.
    fn key_statuses<'b>(&mut self, key_session: u16, buffer: &'b mut [u8; KEY_STATUSES_BYTES_MAX]) -> KeyStatuses<'b>;
    /// Frees everything of a key session, whatever it does.
    fn close(&mut self, key_session: u16);
    /// What happened since, one thing a call. Ready to be asked when the platform's loop says so.
    fn next_event(&mut self) -> Option<KeyEvent>;
}

/// What a key system says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum KeyEvent {
    /// A command ended.
    Completed {
        /// Of which key session.
        key_session: u16,
        /// Of which command.
        token: u32,
        /// How.
        result: Result<(), KeyError>,
    },
    /// There is a message for the licence server.
    Message {
        /// Of which key session.
        key_session: u16,
    },
    /// The keys, or what they are good for, are others now.
    KeyStatuses {
        /// Of which key session.
        key_session: u16,
    },
    /// Everything of a key session is free.
    Closed {
        /// Which one.
        key_session: u16,
    },
}

impl KeyEvent {
    /// The key session that this is about.
    pub const fn key_session(&self) -> u16 {
        match *self {
            Self::Completed { key_session, .. }
            | Self::Message { key_session }
            | Self::KeyStatuses { key_session }
            | Self::Closed { key_session } => key_session,
        }
    }
}
