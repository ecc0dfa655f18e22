//! The key systems of a session server.

use super::{Given, SessionDriver, SessionHost};
use crate::fmt::{Said, warning};
use crate::hal::{Descriptors, Error, ErrorKind, KEY_STATUSES_BYTES_MAX, KeyCommand, KeyEvent, KeyProvider};
use crate::limits::{KEY_SESSIONS_MAX, LICENSE_BYTES_MAX, MESSAGES_PER_TURN_MAX};
use crate::message::keys::{Command, KeyError, KeySessionId, Notice};
use crate::message::playback::Message;
use crate::session::{ClientId, Input, KeyOrder};
use crate::time::Instant;
use crate::trace::Recorder;

/// Events of key systems in one turn: some of every key session.
const KEY_EVENTS_PER_TURN_MAX: usize = KEY_SESSIONS_MAX * MESSAGES_PER_TURN_MAX;

impl<H: SessionHost, R: Recorder> SessionDriver<H, R> {
    pub(super) fn hear_keys(&mut self, host: &mut H, now: Instant) {
        for _ in 0..KEY_EVENTS_PER_TURN_MAX {
            let Some(event) = host.keys().next_event() else { return };
            self.take(host, now, Input::Keys(event));
            self.retries = true;
        }
    }

    pub(super) fn open_keys(&mut self, host: &mut H, key_session: u16, given: Given<'_>) {
        let result = match given {
            Given::Keys(Command::Create { key_system }) => host.keys().open(key_session, key_system).map_err(|error| {
                warning!("key session {}: {}", key_session, Said(&error));
                if error.kind() == ErrorKind::NotFound { KeyError::UnknownKeySystem } else { KeyError::Provider }
            }),
            _ => Err(KeyError::Provider),
        };
        self.comes_to(Input::KeysOpened { key_session, result });
    }

    pub(super) fn command_keys(
        &mut self,
        host: &mut H,
        (key_session, token): (u16, u32),
        order: KeyOrder,
        given: Given<'_>,
    ) {
        let command = match (order, given) {
            (KeyOrder::GenerateRequest, Given::Keys(Command::GenerateRequest { kind, init_data, .. })) => {
                Some(KeyCommand::GenerateRequest { kind, init_data })
            }
            (KeyOrder::Update, Given::Keys(Command::Update { response, .. })) => Some(KeyCommand::Update { response }),
            (KeyOrder::Remove, _) => Some(KeyCommand::Remove),
            (KeyOrder::GenerateRequest | KeyOrder::Update, _) => None,
        };
        let is_given = command.is_some_and(|command| {
            let given = host.keys().command(key_session, token, command);
            given.inspect_err(|error| warning!("key session {}: {}", key_session, Said(error))).is_ok()
        });
        if !is_given {
            let result = Err(KeyError::Provider);
            self.comes_to(Input::Keys(KeyEvent::Completed { key_session, token, result }));
        }
    }

    pub(super) fn tell_license(&mut self, host: &mut H, now: Instant, client: ClientId, key_session: KeySessionId) {
        let mut buffer = [0; LICENSE_BYTES_MAX];
        if let Some(message) = host.keys().message(key_session.index, &mut buffer) {
            let notice = Message::Keys(Notice::License { key_session, message });
            self.send_to_client(now, client, &notice, Descriptors::new());
        }
    }

    pub(super) fn tell_key_statuses(
        &mut self,
        host: &mut H,
        now: Instant,
        client: ClientId,
        key_session: KeySessionId,
    ) {
        let mut buffer = [0; KEY_STATUSES_BYTES_MAX];
        let statuses = host.keys().key_statuses(key_session.index, &mut buffer);
        let notice = Message::Keys(Notice::KeyStatuses { key_session, statuses });
        self.send_to_client(now, client, &notice, Descriptors::new());
    }
}
