//! Key systems that do what a test says.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use greenroom_core::hal::{ErrorKind, ErrorType, KEY_STATUSES_BYTES_MAX, KeyCommand, KeyEvent, KeyProvider};
use greenroom_core::limits::LICENSE_BYTES_MAX;
use greenroom_core::message::keys::{
    KEY_ID_BYTES, KeyError, KeyStatus, KeyStatuses, LicenseMessage, LicenseMessageKind,
};

use crate::error::{Call, SimulatedError};
use crate::event_loop::{Readiness, Source};
use crate::world::World;

/// One key session.
#[derive(Debug, Default)]
struct Session {
    message: Option<Vec<u8>>,
    statuses: Vec<u8>,
    bound: Vec<u16>,
    pending: Option<u32>,
}

#[derive(Debug, Default)]
struct Shared {
    sessions: RefCell<BTreeMap<u16, Session>>,
    events: RefCell<VecDeque<KeyEvent>>,
    is_slow: Cell<bool>,
    is_mute: Cell<bool>,
}

impl Readiness for Shared {
    fn is_readable(&self) -> bool {
        !self.events.borrow().is_empty()
    }

    fn has_ended(&self) -> bool {
        false
    }
}

/// The key system `test`. A licence request is the initialization data; a response is a list of names of keys, which are
/// usable then. Clones are the same key system, so that a test keeps one and a driver has the other.
///
/// At first it does at once what it is told. After [`MockKeys::wait_for_me`] a command ends when the test ends it, and a
/// closed key session lets go when the test says so.
#[derive(Clone, Debug)]
pub struct MockKeys {
    world: World,
    shared: Rc<Shared>,
}

impl MockKeys {
    /// No key session yet.
    pub fn new(world: &World) -> Self {
        Self { world: world.clone(), shared: Rc::default() }
    }

    /// From now on nothing ends by itself.
    pub fn wait_for_me(&self) {
        self.shared.is_slow.set(true);
    }

    /// From now on no licence request is made.
    pub fn be_mute(&self) {
        self.shared.is_mute.set(true);
    }

    /// Key sessions that are open, those included that were closed and have not let go.
    pub fn open_sessions(&self) -> usize {
        self.shared.sessions.borrow().len()
    }

    /// Which decoders may use the keys of a key session.
    pub fn bound(&self, key_session: u16) -> Vec<u16> {
        self.shared.sessions.borrow().get(&key_session).map(|session| session.bound.clone()).unwrap_or_default()
    }

    /// Ends what a key session has been told. Without anything pending it does nothing.
    pub fn complete(&self, key_session: u16, result: Result<(), KeyError>) {
        let pending = self.shared.sessions.borrow_mut().get_mut(&key_session).and_then(|found| found.pending.take());
        if let Some(token) = pending {
            self.say(KeyEvent::Completed { key_session, token, result });
        }
    }

    /// A closed key session lets go.
    pub fn let_go(&self, key_session: u16) {
        if self.shared.sessions.borrow_mut().remove(&key_session).is_some() {
            self.say(KeyEvent::Closed { key_session });
        }
    }

    /// The key system says something.
    pub fn say(&self, event: KeyEvent) {
        self.shared.events.borrow_mut().push_back(event);
    }
}

impl Source for MockKeys {
    fn readiness(&self) -> Rc<dyn Readiness> {
        Rc::<Shared>::clone(&self.shared)
    }
}

impl ErrorType for MockKeys {
    type Error = SimulatedError;
}

impl KeyProvider for MockKeys {
    fn open(&mut self, key_session: u16, key_system: &str) -> Result<(), SimulatedError> {
        self.world.fault(Call::OpenKeys)?;
        if key_system != "test" {
            return Err(SimulatedError::new(Call::OpenKeys, ErrorKind::NotFound));
        }
        self.shared.sessions.borrow_mut().insert(key_session, Session::default());
        Ok(())
    }

    fn command(&mut self, key_session: u16, token: u32, command: KeyCommand<'_>) -> Result<(), SimulatedError> {
        self.world.fault(Call::CommandKeys)?;
        let mut sessions = self.shared.sessions.borrow_mut();
        let missing = SimulatedError::new(Call::CommandKeys, ErrorKind::NotFound);
        let session = sessions.get_mut(&key_session).ok_or(missing)?;
        session.pending = Some(token);
        match command {
            KeyCommand::GenerateRequest { .. } if self.shared.is_mute.get() => {}
            KeyCommand::GenerateRequest { init_data, .. } => {
                session.message = Some(init_data.to_vec());
                self.say(KeyEvent::Message { key_session });
            }
            KeyCommand::Update { response } => {
                let (keys, _) = response.as_chunks::<KEY_ID_BYTES>();
                let entry = |id: &[u8; KEY_ID_BYTES]| id.iter().copied().chain([KeyStatus::Usable.to_byte()]).collect();
                session.statuses = keys.iter().flat_map(|id| -> Vec<u8> { entry(id) }).collect();
                self.say(KeyEvent::KeyStatuses { key_session });
            }
            KeyCommand::Remove => {
                session.statuses.clear();
                self.say(KeyEvent::KeyStatuses { key_session });
            }
        }
        drop(sessions);
        if !self.shared.is_slow.get() {
            self.complete(key_session, Ok(()));
        }
        Ok(())
    }

    fn bind(&mut self, key_session: u16, session: u16) {
        if let Some(found) = self.shared.sessions.borrow_mut().get_mut(&key_session) {
            found.bound.push(session);
        }
    }

    fn message<'b>(&mut self, key_session: u16, buffer: &'b mut [u8; LICENSE_BYTES_MAX]) -> Option<LicenseMessage<'b>> {
        let message = self.shared.sessions.borrow_mut().get_mut(&key_session)?.message.take()?;
        let body = &mut buffer[..message.len()];
        body.copy_from_slice(&message);
        Some(LicenseMessage { kind: LicenseMessageKind::Request, body })
    }

    fn key_statuses<'b>(&mut self, key_session: u16, buffer: &'b mut [u8; KEY_STATUSES_BYTES_MAX]) -> KeyStatuses<'b> {
        let sessions = self.shared.sessions.borrow();
        let statuses = sessions.get(&key_session).map_or(&[][..], |session| &session.statuses);
        let bytes = &mut buffer[..statuses.len()];
        bytes.copy_from_slice(statuses);
        KeyStatuses(bytes)
    }

    fn close(&mut self, key_session: u16) {
        if !self.shared.is_slow.get() {
            self.let_go(key_session);
        }
    }

    fn next_event(&mut self) -> Option<KeyEvent> {
        self.shared.events.borrow_mut().pop_front()
    }
}
