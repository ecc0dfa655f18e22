//! Key systems of a session server.
//!
//! A box brings its own content decryption module by another implementation of [`KeyProvider`]. Here is none, and one for
//! tests: the key system [`TEST_SYSTEM`]. Its licence request is the initialization data as it came; a response is a list
//! of keys, each with its name: 16 bytes and 16 bytes. It keeps them as long as their key session lives.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd};

use greenroom_core::hal::{Doorbell, ErrorKind, ErrorType, KEY_STATUSES_BYTES_MAX, KeyCommand, KeyEvent, KeyProvider};
use greenroom_core::limits::{KEYS_MAX, LICENSE_BYTES_MAX};
use greenroom_core::message::keys::{
    KEY_ID_BYTES, KEY_STATUS_BYTES, KeyError, KeyId, KeyStatus, KeyStatuses, LicenseMessage, LicenseMessageKind,
};

use crate::error::LinuxError;
use crate::memory::EventFd;

/// The name of the key system for tests.
pub const TEST_SYSTEM: &str = "greenroom.test";
/// Bytes of a key.
const KEY_BYTES: usize = 16;

/// One key session.
#[derive(Debug, Default)]
struct Session {
    message: Option<Vec<u8>>,
    keys: BTreeMap<KeyId, [u8; KEY_BYTES]>,
}

/// The key systems of a session server. Readable while [`KeyProvider::next_event`] has something to tell.
#[derive(Debug)]
pub struct KeySystems {
    has_test: bool,
    sessions: BTreeMap<u16, Session>,
    events: VecDeque<KeyEvent>,
    ready: EventFd,
}

impl KeySystems {
    /// None at all.
    ///
    /// # Errors
    /// Platform: no descriptor is left.
    pub fn none() -> Result<Self, LinuxError> {
        let ready = EventFd::new()?;
        Ok(Self { has_test: false, sessions: BTreeMap::new(), events: VecDeque::new(), ready })
    }

    /// Adds the one for tests.
    pub fn add_test(&mut self) {
        self.has_test = true;
    }

    fn say(&mut self, event: KeyEvent) {
        self.events.push_back(event);
        // This bell is ours alone, so its count is never at its end.
        let _ = self.ready.ring();
    }
}

/// The keys that a response holds.
fn keys_of(response: &[u8]) -> Result<BTreeMap<KeyId, [u8; KEY_BYTES]>, KeyError> {
    let (entries, []) = response.as_chunks::<{ KEY_ID_BYTES + KEY_BYTES }>() else { return Err(KeyError::Response) };
    if entries.is_empty() || entries.len() > KEYS_MAX {
        return Err(KeyError::Response);
    }
    let entry = |entry: &[u8; KEY_ID_BYTES + KEY_BYTES]| {
        let (id, key) = entry.split_at(KEY_ID_BYTES);
        Some((id.try_into().ok()?, key.try_into().ok()?))
    };
    Ok(entries.iter().filter_map(entry).collect())
}

impl AsFd for KeySystems {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }
}

impl ErrorType for KeySystems {
    type Error = LinuxError;
}

impl KeyProvider for KeySystems {
    fn open(&mut self, key_session: u16, key_system: &str) -> Result<(), LinuxError> {
        if !self.has_test || key_system != TEST_SYSTEM {
            let error = LinuxError::other("open key session", ErrorKind::NotFound, "there is no such key system");
            return Err(error.about(key_system));
        }
        self.sessions.insert(key_session, Session::default());
        Ok(())
    }

    fn command(&mut self, key_session: u16, token: u32, command: KeyCommand<'_>) -> Result<(), LinuxError> {
        let Some(session) = self.sessions.get_mut(&key_session) else {
            return Err(LinuxError::other("command key session", ErrorKind::NotFound, "it is not open"));
        };
        let (result, event) = match command {
            KeyCommand::GenerateRequest { init_data: [], .. } => (Err(KeyError::InitData), None),
            KeyCommand::GenerateRequest { init_data, .. } => {
                session.message = Some(init_data.to_vec());
                (Ok(()), Some(KeyEvent::Message { key_session }))
            }
            KeyCommand::Update { response } => match keys_of(response) {
                Ok(keys) => {
                    session.keys = keys;
                    (Ok(()), Some(KeyEvent::KeyStatuses { key_session }))
                }
                Err(error) => (Err(error), None),
            },
            KeyCommand::Remove => {
                session.keys.clear();
                (Ok(()), Some(KeyEvent::KeyStatuses { key_session }))
            }
        };
        event.into_iter().for_each(|event| self.say(event));
        self.say(KeyEvent::Completed { key_session, token, result });
        Ok(())
    }

    /// Decoders of this platform do not decrypt, so there is nothing to do.
    fn bind(&mut self, _: u16, _: u16) {}

    fn message<'b>(&mut self, key_session: u16, buffer: &'b mut [u8; LICENSE_BYTES_MAX]) -> Option<LicenseMessage<'b>> {
        let message = self.sessions.get_mut(&key_session)?.message.take()?;
        let body = buffer.get_mut(..message.len())?;
        body.copy_from_slice(&message);
        Some(LicenseMessage { kind: LicenseMessageKind::Request, body })
    }

    fn key_statuses<'b>(&mut self, key_session: u16, buffer: &'b mut [u8; KEY_STATUSES_BYTES_MAX]) -> KeyStatuses<'b> {
        let ids = self.sessions.get(&key_session).into_iter().flat_map(|session| session.keys.keys());
        let (entries, _) = buffer.as_chunks_mut::<KEY_STATUS_BYTES>();
        let mut bytes = 0;
        for (entry, id) in entries.iter_mut().zip(ids) {
            let [into @ .., status] = entry;
            (*into, *status) = (*id, KeyStatus::Usable.to_byte());
            bytes += KEY_STATUS_BYTES;
        }
        KeyStatuses(buffer.get(..bytes).unwrap_or_default())
    }

    fn close(&mut self, key_session: u16) {
        if self.sessions.remove(&key_session).is_some() {
            self.events.retain(|event| event.key_session() != key_session);
            self.say(KeyEvent::Closed { key_session });
        }
    }

    fn next_event(&mut self) -> Option<KeyEvent> {
        let event = self.events.pop_front();
        if event.is_none() {
            // It only rings again.
            let _ = self.ready.clear();
        }
        event
    }
}

#[cfg(test)]
mod tests {
    use greenroom_core::message::keys::InitDataKind;

    use super::*;

    fn test_system() -> KeySystems {
        let mut systems = KeySystems::none().unwrap();
        systems.add_test();
        systems.open(0, TEST_SYSTEM).unwrap();
        systems
    }

    #[test]
    fn without_a_key_system_no_key_session_is_opened() {
        use greenroom_core::hal::Error;
        let mut none = KeySystems::none().unwrap();
        assert_eq!(none.open(0, TEST_SYSTEM).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(test_system().open(1, "com.widevine.alpha").unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_licence_is_asked_for_and_its_keys_are_usable() {
        let mut systems = test_system();
        systems.command(0, 1, KeyCommand::GenerateRequest { kind: InitDataKind::Cenc, init_data: b"pssh" }).unwrap();
        assert_eq!(systems.next_event(), Some(KeyEvent::Message { key_session: 0 }));
        assert_eq!(systems.message(0, &mut [0; LICENSE_BYTES_MAX]).unwrap().body, b"pssh");
        assert_eq!(systems.next_event(), Some(KeyEvent::Completed { key_session: 0, token: 1, result: Ok(()) }));
        systems.command(0, 2, KeyCommand::Update { response: &[7; 32] }).unwrap();
        let mut buffer = [0; KEY_STATUSES_BYTES_MAX];
        let statuses: Vec<_> = systems.key_statuses(0, &mut buffer).iter().collect();
        assert_eq!(statuses, [(&[7; 16], KeyStatus::Usable)]);
    }

    /// Field failure 53
    #[test]
    fn what_is_no_init_data_or_no_response_is_an_error_and_changes_nothing() {
        let mut systems = test_system();
        for (command, error) in [
            (KeyCommand::GenerateRequest { kind: InitDataKind::Webm, init_data: &[] }, KeyError::InitData),
            (KeyCommand::Update { response: &[] }, KeyError::Response),
            (KeyCommand::Update { response: &[7; 33] }, KeyError::Response),
        ] {
            systems.command(0, 3, command).unwrap();
            let refused = KeyEvent::Completed { key_session: 0, token: 3, result: Err(error) };
            assert_eq!(systems.next_event(), Some(refused));
        }
        assert_eq!(systems.key_statuses(0, &mut [0; KEY_STATUSES_BYTES_MAX]).iter().count(), 0);
    }

    #[test]
    fn of_a_closed_key_session_only_the_end_is_told() {
        let mut systems = test_system();
        systems.command(0, 1, KeyCommand::Remove).unwrap();
        systems.close(0);
        assert_eq!(systems.next_event(), Some(KeyEvent::Closed { key_session: 0 }));
        assert_eq!(systems.next_event(), None);
    }
}
