//! Keys: the key (CDM) sessions of a session server, and what clients ask of them.

mod key_session;

use serde::{Deserialize, Serialize};

pub use key_session::{KeyOrder, KeySession};

use self::key_session::Want;
use super::calls::{Outcome, Taken, refused};
use super::phase::Phase;
use super::playback::{Farewell, Late};
use super::server::Server;
use super::{Action, ClientId, NotTaken, Response};
use crate::hal::KeyEvent;
use crate::limits::{INIT_DATA_BYTES_MAX, KEY_SESSIONS_MAX, KEY_SYSTEM_BYTES_MAX, LICENSE_BYTES_MAX};
use crate::message::keys::{Command, KeyError, KeySessionId};
use crate::message::playback::{Refusal, SessionId, TableName};
use crate::resources::{Ledger, Shortage};
use crate::table::{Handle, Table};
use crate::time::Instant;

/// The key sessions of a session server.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeySessions {
    /// How many the app may have, and how many of them are taken.
    pub(super) shares: Ledger,
    table: Table<KeySession, KEY_SESSIONS_MAX>,
}

fn key_session_id(handle: Handle<KeySession>) -> KeySessionId {
    KeySessionId { index: handle.index(), generation: handle.generation() }
}

fn handle_of(key_session: KeySessionId) -> Handle<KeySession> {
    Handle::from_parts(key_session.index, key_session.generation)
}

impl KeySessions {
    pub(super) const fn new() -> Self {
        Self { shares: Ledger::new(0), table: Table::new() }
    }

    /// How many there are, those that are being closed included.
    pub(super) const fn in_use(&self) -> u16 {
        self.table.in_use()
    }

    pub(super) fn has_any_of(&self, owner: ClientId) -> bool {
        self.table.iter().any(|(_, keys)| keys.owner == owner)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.table.iter().filter_map(|(_, keys)| keys.deadline()).min()
    }

    pub(super) fn next_for_provider(&mut self) -> Option<Action> {
        self.table.iter_mut().find_map(|(handle, keys)| {
            let key_session = handle.index();
            keys.poll_provider().map(|want| match want {
                Want::Open => Action::OpenKeys { key_session },
                Want::Close => Action::CloseKeys { key_session },
                Want::Bind { session } => Action::BindKeys { key_session, session: session.index },
                Want::Give { token, order } => Action::CommandKeys { key_session, token, order },
            })
        })
    }

    /// What a client is to be told of its key sessions next.
    pub(super) fn next_notice(&mut self, client: ClientId) -> Option<Action> {
        let mut own = self.table.iter_mut().filter(|(_, keys)| keys.owner == client);
        own.find_map(|(handle, keys)| {
            let key_session = key_session_id(handle);
            if keys.poll_message() {
                return Some(Action::LicenseMessage { client, key_session });
            }
            keys.poll_statuses().then_some(Action::KeyStatuses { client, key_session })
        })
    }
}

impl Server {
    /// Key sessions that it has, those that are being closed included.
    pub fn key_sessions(&self) -> u16 {
        self.keys.in_use()
    }

    pub(super) fn call_keys(&mut self, now: Instant, id: ClientId, sequence: u32, command: Command<'_>) -> Outcome {
        if !fits(&command) {
            return refused(Refusal::OutOfRange);
        }
        match command {
            Command::Create { .. } => self.create_key_session(id, sequence),
            Command::GenerateRequest { key_session, .. } => {
                self.order_keys(now, id, sequence, (key_session, KeyOrder::GenerateRequest))
            }
            Command::Update { key_session, .. } => self.order_keys(now, id, sequence, (key_session, KeyOrder::Update)),
            Command::Remove { key_session } => self.order_keys(now, id, sequence, (key_session, KeyOrder::Remove)),
            Command::Bind { key_session, session } => self.bind_keys(id, key_session, session),
            Command::Close { key_session } => self.release_keys(now, id, sequence, key_session),
        }
    }

    /// SM-32, SM-33
    fn create_key_session(&mut self, id: ClientId, sequence: u32) -> Outcome {
        if planted!("keys_outside_active", false, self.phase != Phase::Active) {
            return refused(Refusal::NotActive);
        }
        let share = match self.keys.shares.reserve(1) {
            Ok(share) => share,
            Err(shortage) => return refused(no_share(shortage)),
        };
        match self.keys.table.insert(KeySession::new(id, share, sequence)) {
            Ok(_) => Ok(Taken::Pending),
            // The configuration was checked: there are no more shares than places.
            Err(full) => {
                self.keys.shares.release(full.0.share);
                refused(no_share(Shortage { wanted: 1, free: 0, total: self.keys.shares.total() }))
            }
        }
    }

    /// A key session that this connection made and can still ask.
    fn own_keys(&mut self, id: ClientId, key_session: KeySessionId) -> Option<&mut KeySession> {
        self.keys.table.get_mut(handle_of(key_session)).filter(|keys| keys.owner == id && keys.is_known())
    }

    fn order_keys(
        &mut self,
        now: Instant,
        id: ClientId,
        sequence: u32,
        (key_session, order): (KeySessionId, KeyOrder),
    ) -> Outcome {
        let Some(keys) = self.own_keys(id, key_session) else { return refused(Refusal::UnknownKeySession) };
        if keys.order(now, sequence, order) { Ok(Taken::Pending) } else { Err(NotTaken::Later) }
    }

    fn bind_keys(&mut self, id: ClientId, key_session: KeySessionId, session: SessionId) -> Outcome {
        let handle = Handle::from_parts(session.index, session.generation);
        if !self.sessions.get(handle).is_some_and(|own| own.owner == id && !own.is_closing()) {
            return refused(Refusal::UnknownSession);
        }
        let Some(keys) = self.own_keys(id, key_session) else { return refused(Refusal::UnknownKeySession) };
        if keys.is_busy() {
            return Err(NotTaken::Later);
        }
        keys.bind(session);
        Ok(Taken::Answered(Response::Done))
    }

    fn release_keys(&mut self, now: Instant, id: ClientId, sequence: u32, key_session: KeySessionId) -> Outcome {
        let Some(keys) = self.own_keys(id, key_session) else { return refused(Refusal::UnknownKeySession) };
        if keys.is_busy() {
            return Err(NotTaken::Later);
        }
        let ends_now = keys.release(now, sequence);
        Ok(if ends_now { Taken::Pending } else { Taken::Answered(Response::Done) })
    }

    /// Starts the end of every key session that `must_end` says so of, by its owner.
    pub(super) fn close_keys(&mut self, now: Instant, must_end: impl Fn(ClientId) -> bool) {
        for index in 0..self.keys.table.capacity() {
            let Some(handle) = self.keys.table.handle_at(index) else { continue };
            let Some(keys) = self.keys.table.get_mut(handle).filter(|keys| must_end(keys.owner)) else { continue };
            let late = keys.close(now, Farewell { sequence: None, unasked: true });
            self.answer_keys_owner(handle, late);
        }
    }

    fn answer_keys_owner(&mut self, handle: Handle<KeySession>, late: Option<Late>) {
        let Some((sequence, response)) = late else { return };
        let Some(owner) = self.keys.table.get(handle).map(|keys| keys.owner) else { return };
        if let Some(client) = self.clients.get_mut(owner) {
            client.answer(sequence, response);
        }
    }

    /// A playback session has ended: it uses no keys any more.
    pub(super) fn unbind_keys(&mut self, now: Instant, session: SessionId) {
        self.keys.table.iter_mut().for_each(|(_, keys)| keys.unbind(now, session));
    }

    /// Everything of a key session is free: says so to who waits for it.
    fn remove_keys(&mut self, now: Instant, handle: Handle<KeySession>) {
        let Some(KeySession { owner, share, farewell, .. }) = self.keys.table.remove(handle) else { return };
        self.keys.shares.release(share);
        if let Some(client) = self.clients.get_mut(owner) {
            if let Some(sequence) = farewell.sequence {
                client.answer(sequence, Response::Done);
            }
            if farewell.unasked {
                client.key_session_ended(key_session_id(handle));
            }
        }
        self.settle(now);
    }

    pub(super) fn on_keys_opened(&mut self, now: Instant, place: u16, result: Result<(), KeyError>) {
        let Some(handle) = self.keys.table.handle_at(place) else { return self.count_stale() };
        let late = self.keys.table.get_mut(handle).and_then(|keys| keys.opened(key_session_id(handle), result));
        self.answer_keys_owner(handle, late);
        if result.is_err() {
            self.remove_keys(now, handle);
        }
    }

    pub(super) fn on_keys(&mut self, now: Instant, event: KeyEvent) {
        let Some(handle) = self.keys.table.handle_at(event.key_session()) else { return self.count_stale() };
        let Some(keys) = self.keys.table.get_mut(handle) else { return self.count_stale() };
        match event {
            KeyEvent::Completed { token, result, .. } => match keys.completed(token, result) {
                None => self.count_stale(),
                late => self.answer_keys_owner(handle, late),
            },
            KeyEvent::Message { .. } => keys.message_is_due(),
            KeyEvent::KeyStatuses { .. } => keys.statuses_changed(),
            KeyEvent::Closed { .. } if keys.is_closing() => self.remove_keys(now, handle),
            KeyEvent::Closed { .. } => self.count_stale(),
        }
    }

    /// Time has passed; whether the key system has not let go in time.
    pub(super) fn tick_keys(&mut self, now: Instant) -> bool {
        let mut is_stuck = false;
        for index in 0..self.keys.table.capacity() {
            let Some(handle) = self.keys.table.handle_at(index) else { continue };
            let Some(keys) = self.keys.table.get_mut(handle) else { continue };
            let late = keys.tick(now);
            is_stuck |= keys.is_stuck(now);
            self.answer_keys_owner(handle, late);
        }
        is_stuck
    }
}

/// Whether what a call brings is no longer than the limits say.
fn fits(command: &Command<'_>) -> bool {
    match command {
        Command::Create { key_system } => !key_system.is_empty() && key_system.len() <= KEY_SYSTEM_BYTES_MAX,
        Command::GenerateRequest { init_data, .. } => init_data.len() <= INIT_DATA_BYTES_MAX,
        Command::Update { response, .. } => response.len() <= LICENSE_BYTES_MAX,
        Command::Remove { .. } | Command::Bind { .. } | Command::Close { .. } => true,
    }
}

fn no_share(shortage: Shortage) -> Refusal {
    let (capacity, free) = (u16::from(shortage.total), u16::from(shortage.free));
    Refusal::Full { table: TableName::KeySessions, capacity, in_use: capacity.saturating_sub(free) }
}
