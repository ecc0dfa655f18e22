//! Key (CDM) sessions.

use std::sync::Arc;

use greenroom_core::client::NotTaken;
use greenroom_core::message::keys::{self, InitDataKind, KeyId, KeySessionId, KeyStatus, LicenseMessageKind, Notice};
use greenroom_core::message::playback::Command;

use super::error::CallError;
use super::link::{Ask, Link};
use super::session::Session;

/// A call about keys that brings bytes, on its way to the I/O thread.
#[derive(Debug)]
pub(super) enum AskKeys {
    Create { key_system: Box<str> },
    GenerateRequest { key_session: KeySessionId, kind: InitDataKind, init_data: Box<[u8]> },
    Update { key_session: KeySessionId, response: Box<[u8]> },
}

impl AskKeys {
    pub(super) fn command(&self) -> Command<'_> {
        Command::Keys(match self {
            Self::Create { key_system } => keys::Command::Create { key_system },
            Self::GenerateRequest { key_session, kind, init_data } => {
                keys::Command::GenerateRequest { key_session: *key_session, kind: *kind, init_data }
            }
            Self::Update { key_session, response } => keys::Command::Update { key_session: *key_session, response },
        })
    }
}

/// What an app is told of a key session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyNotice {
    /// This is for the licence server; what it says goes to [`KeySession::update`].
    License {
        /// From which key session.
        key_session: KeySessionId,
        /// What it is.
        kind: LicenseMessageKind,
        /// What is to be sent.
        body: Arc<[u8]>,
    },
    /// The keys are these now.
    KeyStatuses {
        /// Of which key session.
        key_session: KeySessionId,
        /// All of them.
        statuses: Arc<[(KeyId, KeyStatus)]>,
    },
    /// Something that this version does not know.
    Other {
        /// Of which key session.
        key_session: KeySessionId,
    },
}

impl From<Notice<'_>> for KeyNotice {
    fn from(notice: Notice<'_>) -> Self {
        match notice {
            Notice::License { key_session, message } => {
                Self::License { key_session, kind: message.kind, body: message.body.into() }
            }
            Notice::KeyStatuses { key_session, statuses } => {
                Self::KeyStatuses { key_session, statuses: statuses.iter().map(|(id, status)| (*id, status)).collect() }
            }
            other => Self::Other { key_session: other.key_session() },
        }
    }
}

/// A key session: one licence's keys. Dropping it closes it.
///
/// Every call is answered within [`greenroom_core::limits::CALL_TIMEOUT`], or fails.
#[derive(Debug)]
pub struct KeySession {
    link: Arc<Link>,
    id: KeySessionId,
    connection: u32,
    is_closed: bool,
}

impl KeySession {
    pub(super) fn new(link: Arc<Link>, id: KeySessionId, connection: u32) -> Self {
        Self { link, id, connection, is_closed: false }
    }

    /// Its number, as it stands in events.
    pub fn id(&self) -> KeySessionId {
        self.id
    }

    /// Has a licence request made; [`KeyNotice::License`] brings it before this returns.
    pub fn generate_request(&self, kind: InitDataKind, init_data: &[u8]) -> Result<(), CallError> {
        self.ask(Ask::Keys(AskKeys::GenerateRequest { key_session: self.id, kind, init_data: init_data.into() }))
    }

    /// Hands over what the licence server said.
    pub fn update(&self, response: &[u8]) -> Result<(), CallError> {
        self.ask(Ask::Keys(AskKeys::Update { key_session: self.id, response: response.into() }))
    }

    /// Forgets the keys.
    pub fn remove(&self) -> Result<(), CallError> {
        self.ask(self.command(keys::Command::Remove { key_session: self.id }))
    }

    /// Lets a playback session use the keys, to its end.
    pub fn bind(&self, session: &Session) -> Result<(), CallError> {
        if session.connection() != Some(self.connection) {
            return Err(CallError::NotTaken(NotTaken::SessionEnded));
        }
        self.ask(self.command(keys::Command::Bind { key_session: self.id, session: session.id() }))
    }

    /// Closes it. Its keys stay for the playback sessions that use them, to their end.
    pub fn close(mut self) -> Result<(), CallError> {
        self.is_closed = true;
        self.ask(self.command(keys::Command::Close { key_session: self.id }))
    }

    fn command(&self, command: keys::Command<'static>) -> Ask {
        Ask::Command(Command::Keys(command))
    }

    fn ask(&self, ask: Ask) -> Result<(), CallError> {
        self.link.call_on(Some(self.connection), ask).map(drop)
    }
}

impl Drop for KeySession {
    fn drop(&mut self) {
        if !self.is_closed {
            self.link.tell(self.connection, Command::Keys(keys::Command::Close { key_session: self.id }));
        }
    }
}
