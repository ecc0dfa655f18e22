//! The key sessions that the app has.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use super::NotTaken;
use crate::limits::KEY_SESSIONS_MAX;
use crate::message::keys::{Command, Event, KeySessionId};

/// The key sessions of one connection, from the answer that made them to their end.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct KeySessions {
    known: Vec<KeySessionId, KEY_SESSIONS_MAX>,
    /// Those of whose end the app is to be told.
    ended: Vec<KeySessionId, KEY_SESSIONS_MAX>,
}

impl KeySessions {
    pub(super) const fn new() -> Self {
        Self { known: Vec::new(), ended: Vec::new() }
    }

    pub(super) fn knows(&self, key_session: KeySessionId) -> bool {
        self.known.contains(&key_session)
    }

    /// Whether a call can be about its key session. One that was closed is known until it has ended: that may be later.
    pub(super) fn check(&self, command: &Command<'_>) -> Result<(), NotTaken> {
        let is_known = command.key_session().is_none_or(|key_session| self.knows(key_session));
        is_known.then_some(()).ok_or(NotTaken::KeySessionEnded)
    }

    /// A new key session. Of those that were closed at once nothing was told, so one in the same place is the end of the
    /// one before it. False: there cannot be one more, or not this one.
    pub(super) fn add(&mut self, key_session: KeySessionId) -> bool {
        if self.knows(key_session) {
            return false;
        }
        self.known.retain(|known| known.index != key_session.index);
        self.known.push(key_session).is_ok()
    }

    /// Something happened; false: to nobody that is there.
    pub(super) fn hear(&mut self, event: &Event) -> bool {
        let key_session = event.key_session();
        let is_known = self.knows(key_session);
        let Event::Ended { .. } = event;
        self.known.retain(|known| *known != key_session);
        is_known
    }

    /// All end; the app is told.
    pub(super) fn end_all(&mut self) {
        // Both have as many places, and what ended before was told before this.
        let _ = self.ended.extend_from_slice(&self.known);
        self.known.clear();
    }

    pub(super) fn next_ended(&mut self) -> Option<Event> {
        self.ended.pop().map(|key_session| Event::Ended { key_session })
    }
}
