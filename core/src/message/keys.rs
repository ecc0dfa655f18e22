//! Keys of protected media: what an app says of its key (CDM) sessions, and hears.
//!
//! A key session belongs to one key system. The app hands it the initialization data of its media, hears a request for its
//! licence server, hands the server's response back, and then the keys are there. To be decrypted with them, a playback
//! session is bound to the key session. A call's bytes lie in its message, so they are bounded: see
//! [`crate::limits::KEY_SYSTEM_BYTES_MAX`], [`crate::limits::INIT_DATA_BYTES_MAX`] and [`crate::limits::LICENSE_BYTES_MAX`].

use core::fmt;

use serde::{Deserialize, Serialize};

use super::playback::SessionId;

/// Bytes of the name of a key, as common encryption has it.
pub const KEY_ID_BYTES: usize = 16;
/// Bytes of one key's entry in [`KeyStatuses`].
pub const KEY_STATUS_BYTES: usize = KEY_ID_BYTES + 1;

/// The name of a key.
pub type KeyId = [u8; KEY_ID_BYTES];

/// A key session of this connection, as the server numbered it. Another connection's number means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct KeySessionId {
    /// Its place in the server's table.
    pub index: u16,
    /// Which stay in that place.
    pub generation: u16,
}

/// In which form initialization data is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum InitDataKind {
    /// `pssh` boxes of ISO common encryption.
    Cenc,
    /// The names of keys, as a list in JSON.
    KeyIds,
    /// The name of one key, as WebM has it.
    Webm,
}

/// What an app can ask about keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Command<'a> {
    /// Make a key session. Answered by [`Answer::KeySession`].
    Create {
        /// For which key system, e.g. `org.w3.clearkey`.
        key_system: &'a str,
    },
    /// Have a licence request made; it comes in a [`Notice::License`] before the answer.
    GenerateRequest {
        /// Which key session.
        key_session: KeySessionId,
        /// The form of the data.
        kind: InitDataKind,
        /// The media's initialization data.
        init_data: &'a [u8],
    },
    /// Hand over what the licence server said.
    Update {
        /// Which key session.
        key_session: KeySessionId,
        /// Its response.
        response: &'a [u8],
    },
    /// Forget the keys.
    Remove {
        /// Which key session.
        key_session: KeySessionId,
    },
    /// Let a playback session use the keys, from now on to its end.
    Bind {
        /// Which key session.
        key_session: KeySessionId,
        /// Which playback session, of the same connection.
        session: SessionId,
    },
    /// End a key session. One that a playback session uses is ended behind that one's end; no more calls are taken.
    Close {
        /// Which key session.
        key_session: KeySessionId,
    },
}

impl Command<'_> {
    /// The key session that this is about, if it is about one.
    pub const fn key_session(&self) -> Option<KeySessionId> {
        match *self {
            Self::Create { .. } => None,
            Self::GenerateRequest { key_session, .. }
            | Self::Update { key_session, .. }
            | Self::Remove { key_session }
            | Self::Bind { key_session, .. }
            | Self::Close { key_session } => Some(key_session),
        }
    }
}

/// A call about keys that went well; those without news of their own are answered by
/// [`Done`](super::playback::Answer::Done).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Answer {
    /// The new key session.
    KeySession {
        /// Its number on this connection.
        key_session: KeySessionId,
    },
}

/// What a message for a licence server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum LicenseMessageKind {
    /// A first request.
    Request,
    /// A request to renew what is about to expire.
    Renewal,
}

/// A message for a licence server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LicenseMessage<'a> {
    /// What it is.
    pub kind: LicenseMessageKind,
    /// What is to be sent.
    pub body: &'a [u8],
}

/// Whether a key can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum KeyStatus {
    /// It can.
    Usable,
    /// It is too old.
    Expired,
    /// Not with the outputs that there are.
    OutputRestricted,
    /// It is not known yet.
    Pending,
    /// Something went wrong with it.
    InternalError,
    /// It was given back.
    Released,
}

impl KeyStatus {
    const ALL: [Self; 6] =
        [Self::Usable, Self::Expired, Self::OutputRestricted, Self::Pending, Self::InternalError, Self::Released];

    /// As one byte of [`KeyStatuses`].
    pub const fn to_byte(self) -> u8 {
        self as u8
    }
}

/// The keys of a key session, and whether they can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct KeyStatuses<'a>(
    /// For each key its name and one byte.
    pub &'a [u8],
);

impl<'a> KeyStatuses<'a> {
    /// Key by key. One with a status that this version does not know has an error.
    pub fn iter(&self) -> impl Iterator<Item = (&'a KeyId, KeyStatus)> + use<'a> {
        self.0.as_chunks::<KEY_STATUS_BYTES>().0.iter().map(|entry| {
            let [id @ .., status] = entry;
            let status = KeyStatus::ALL.get(usize::from(*status)).copied().unwrap_or(KeyStatus::InternalError);
            (id, status)
        })
    }
}

/// Something of a key session that is long, so it is borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Notice<'a> {
    /// This is for the licence server.
    License {
        /// From which key session.
        key_session: KeySessionId,
        /// What is to be sent.
        #[serde(borrow)]
        message: LicenseMessage<'a>,
    },
    /// The keys are these now.
    KeyStatuses {
        /// Of which key session.
        key_session: KeySessionId,
        /// All of them.
        #[serde(borrow)]
        statuses: KeyStatuses<'a>,
    },
}

impl Notice<'_> {
    /// The key session that this is about.
    pub const fn key_session(&self) -> KeySessionId {
        match *self {
            Self::License { key_session, .. } | Self::KeyStatuses { key_session, .. } => key_session,
        }
    }
}

/// Something happened to a key session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Event {
    /// It has ended: behind its last use, or because the app went Inactive or gave its memory back.
    Ended {
        /// Which key session.
        key_session: KeySessionId,
    },
}

impl Event {
    /// The key session that this is about.
    pub const fn key_session(&self) -> KeySessionId {
        match *self {
            Self::Ended { key_session } => key_session,
        }
    }
}

/// Why a key session could not do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum KeyError {
    /// Platform: there is no such key system here.
    UnknownKeySystem,
    /// Caller: the initialization data is of another key system, or broken.
    InitData,
    /// Caller: the response is not one to the request, or broken.
    Response,
    /// Platform: the key system made no licence request.
    NoMessage,
    /// Platform: the key system does not answer; the key session is ended.
    Stuck,
    /// Platform: something else in the key system.
    Provider,
}

impl fmt::Display for KeyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::UnknownKeySystem => "this box has no such key system; see [keys] provider in the configuration",
            Self::InitData => "the key system cannot use this initialization data",
            Self::Response => "the key system does not take this response; ask the licence server again",
            Self::NoMessage => "the key system made no licence request; the media may need another key system",
            Self::Stuck => "the key system did not answer in time; the key session is ended",
            Self::Provider => "the key system failed; see the session server's log",
        })
    }
}

impl core::error::Error for KeyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_read_key_by_key_and_a_cut_one_is_left_out() {
        let mut bytes = std::vec::Vec::new();
        for (id, status) in [(1, KeyStatus::Usable.to_byte()), (2, KeyStatus::Released.to_byte()), (3, 99)] {
            bytes.extend([id; KEY_ID_BYTES]);
            bytes.push(status);
        }
        bytes.extend([4; 5]);
        let read: std::vec::Vec<_> = KeyStatuses(&bytes).iter().map(|(id, status)| (id[0], status)).collect();
        assert_eq!(read, [(1, KeyStatus::Usable), (2, KeyStatus::Released), (3, KeyStatus::InternalError)]);
    }
}
