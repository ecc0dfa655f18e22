//! Key sessions.

use super::*;
use crate::hal::KeyEvent;
use crate::limits::{INIT_DATA_BYTES_MAX, KEY_SESSIONS_MAX, KEY_SYSTEM_BYTES_MAX, KEYS_TIMEOUT, LICENSE_BYTES_MAX};
use crate::message::keys::{self, InitDataKind, KeyError, KeySessionId};
use crate::session::KeyOrder;

const SYSTEM: &str = "org.w3.clearkey";

fn create() -> Command<'static> {
    Command::Keys(keys::Command::Create { key_system: SYSTEM })
}

fn request(key_session: KeySessionId) -> Command<'static> {
    Command::Keys(keys::Command::GenerateRequest { key_session, kind: InitDataKind::Cenc, init_data: b"pssh" })
}

fn close(key_session: KeySessionId) -> Command<'static> {
    Command::Keys(keys::Command::Close { key_session })
}

fn bind(key_session: KeySessionId, session: SessionId) -> Command<'static> {
    Command::Keys(keys::Command::Bind { key_session, session })
}

fn closed(key_session: KeySessionId) -> Input<'static> {
    Input::Keys(KeyEvent::Closed { key_session: key_session.index })
}

fn ended(client: ClientId, key_session: KeySessionId) -> Action {
    event(client, Event::Keys(keys::Event::Ended { key_session }))
}

impl Stage {
    /// A server that is Active and may have two key sessions.
    fn with_keys() -> Self {
        let mut stage = Self::started();
        let mut with_keys = configuration(TargetState::Active);
        with_keys.resources.max_key_sessions = 2;
        stage.ask_link(link::Command::SetConfiguration(with_keys));
        stage.take(Input::Bound(Ok(())));
        stage.take(Input::Allocated(Ok(())));
        stage
    }

    fn keys(&mut self, client: ClientId) -> KeySessionId {
        let asked = self.call(client, create());
        let [Action::OpenKeys { key_session }] = asked[..] else { panic!("{asked:?}") };
        let opened = self.take(Input::KeysOpened { key_session, result: Ok(()) });
        let [Action::Reply { response: Response::KeySession { key_session }, .. }] = opened[..] else {
            panic!("{opened:?}")
        };
        key_session
    }
}

/// SM-32
#[test]
fn a_licence_is_asked_for_and_taken_and_the_client_hears_of_it() {
    let mut stage = Stage::with_keys();
    let client = stage.greeted();
    let key_session = stage.keys(client);
    let given = stage.call(client, request(key_session));
    let order = KeyOrder::GenerateRequest;
    assert_eq!(given, [Action::CommandKeys { key_session: 0, token: 1, order }]);
    let told = stage.take(Input::Keys(KeyEvent::Message { key_session: 0 }));
    assert_eq!(told, [Action::LicenseMessage { client, key_session }]);
    let done = stage.take(Input::Keys(KeyEvent::Completed { key_session: 0, token: 1, result: Ok(()) }));
    assert_eq!(done, [answer(client, Response::Done)]);
    let update = Command::Keys(keys::Command::Update { key_session, response: b"keys" });
    assert_eq!(stage.call(client, update).len(), 1);
    stage.take(Input::Keys(KeyEvent::Completed { key_session: 0, token: 2, result: Ok(()) }));
    let told = stage.take(Input::Keys(KeyEvent::KeyStatuses { key_session: 0 }));
    assert_eq!(told, [Action::KeyStatuses { client, key_session }]);
}

/// SM-24, SM-32, SM-33
#[test]
fn key_sessions_are_there_in_active_only_and_as_many_as_the_app_may_have() {
    let mut inactive = Stage::inactive();
    let client = inactive.greeted();
    assert_eq!(inactive.call(client, create()), [refuse(client, Refusal::NotActive)]);
    let mut stage = Stage::with_keys();
    let client = stage.greeted();
    let (first, _) = (stage.keys(client), stage.keys(client));
    let full = Refusal::Full { table: TableName::KeySessions, capacity: 2, in_use: 2 };
    assert_eq!(stage.call(client, create()), [refuse(client, full)]);
    stage.call(client, close(first));
    assert_eq!(stage.take(closed(first)), [answer(client, Response::Done)]);
    assert_ne!(stage.keys(client), first);
    assert_eq!(stage.server.key_sessions(), 2);
}

/// SM-33
#[test]
fn a_configuration_with_more_key_sessions_than_places_is_refused() {
    let mut stage = Stage::started();
    let mut too_many = configuration(TargetState::Active);
    too_many.resources.max_key_sessions = KEY_SESSIONS_MAX as u8 + 1;
    let refused = stage.ask_link(link::Command::SetConfiguration(too_many));
    assert_eq!(refused, [reply(Err(link::Refusal::Configuration))]);
}

#[test]
fn a_key_system_that_is_not_there_is_refused_and_takes_no_share() {
    let mut stage = Stage::with_keys();
    let client = stage.greeted();
    for _ in 0..3 {
        stage.call(client, create());
        let result = Err(KeyError::UnknownKeySystem);
        let refused = stage.take(Input::KeysOpened { key_session: 0, result });
        assert_eq!(refused, [refuse(client, Refusal::Keys(KeyError::UnknownKeySystem))]);
    }
    assert_eq!(stage.server.key_sessions(), 0);
}

#[test]
fn what_is_longer_than_the_limits_is_refused() {
    let mut stage = Stage::with_keys();
    let client = stage.greeted();
    let key_session = stage.keys(client);
    let (long, kind) = (std::vec![7; LICENSE_BYTES_MAX + 1], InitDataKind::Cenc);
    let name = "x".repeat(KEY_SYSTEM_BYTES_MAX + 1);
    for command in [
        keys::Command::Create { key_system: "" },
        keys::Command::Create { key_system: &name },
        keys::Command::GenerateRequest { key_session, kind, init_data: &long[..INIT_DATA_BYTES_MAX + 1] },
        keys::Command::Update { key_session, response: &long },
    ] {
        assert_eq!(stage.call(client, Command::Keys(command)), [refuse(client, Refusal::OutOfRange)]);
    }
}

/// SM-35
#[test]
fn a_key_session_of_another_connection_is_unknown() {
    let mut stage = Stage::with_keys();
    let (one, other) = (stage.greeted(), stage.greeted());
    let key_session = stage.keys(one);
    for command in [request(key_session), close(key_session)] {
        assert_eq!(stage.call(other, command), [refuse(other, Refusal::UnknownKeySession)]);
    }
    let (player, session) = stage.playing_client();
    assert_eq!(stage.call(player, bind(key_session, session)), [refuse(player, Refusal::UnknownKeySession)]);
    assert_eq!(stage.call(one, bind(key_session, session)), [refuse(one, Refusal::UnknownSession)]);
}

/// Field failures 51 and 52: its keys stay until the playback session that uses them has ended.
#[test]
fn a_key_session_that_is_closed_in_use_ends_behind_the_playback() {
    let mut stage = Stage::with_keys();
    let (client, session) = stage.playing_client();
    let key_session = stage.keys(client);
    let bound = stage.call(client, bind(key_session, session));
    let bind = Action::BindKeys { key_session: 0, session: session.index };
    assert_eq!(bound, [bind, answer(client, Response::Done)]);
    assert_eq!(stage.call(client, close(key_session)), [answer(client, Response::Done)]);
    assert_eq!(stage.call(client, request(key_session)), [refuse(client, Refusal::UnknownKeySession)]);
    stage.call(client, Command::DestroySession { session });
    let gone = stage.take(Input::Decoder(DecoderEvent::Closed { session: session.index }));
    assert_eq!(gone, [Action::CloseKeys { key_session: 0 }, answer(client, Response::Done)]);
    assert_eq!(stage.take(closed(key_session)), [ended(client, key_session)]);
}

/// SM-18, SM-29, SM-32, Field failures 50 and N: key sessions first, then players, then memory, then the word.
#[test]
fn set_inactive_frees_keys_then_players_then_memory_and_notifies_last() {
    let mut stage = Stage::with_keys();
    let (client, session) = stage.playing_client();
    let key_session = stage.keys(client);
    stage.call(client, bind(key_session, session));
    assert_eq!(stage.set(TargetState::Inactive), [reply(Ok(())), Action::CloseKeys { key_session: 0 }]);
    let keys_gone = stage.take(closed(key_session));
    assert_eq!(keys_gone, [Action::Close { session: session.index }, ended(client, key_session)]);
    let all_gone = stage.take(Input::Decoder(DecoderEvent::Closed { session: session.index }));
    assert_eq!(all_gone[..2], [Action::Free, state(ServerState::Inactive)]);
    assert!(all_gone.contains(&event(client, Event::SessionEnded { session })));
    stage.set(TargetState::Active);
    stage.take(Input::Allocated(Ok(())));
    stage.keys(client);
}

/// SM-20, SM-25, SM-34, SM-35: the same order when it ends, when a client gives everything back, and when it goes.
#[test]
fn keys_are_freed_before_players_however_it_ends() {
    for ends in [0, 1, 2] {
        let mut stage = Stage::with_keys();
        let (client, session) = stage.playing_client();
        let key_session = stage.keys(client);
        let first = match ends {
            0 => stage.set(TargetState::NotRunning),
            1 => stage.call(client, Command::ReleaseSharedMemory),
            _ => stage.take(Input::ClientClosed { client }),
        };
        assert!(first.contains(&Action::CloseKeys { key_session: 0 }), "{first:?}");
        assert!(!first.contains(&Action::Close { session: session.index }), "{first:?}");
        let then = stage.take(closed(key_session));
        assert!(then.contains(&Action::Close { session: session.index }), "{then:?}");
        let last = stage.take(Input::Decoder(DecoderEvent::Closed { session: session.index }));
        assert_eq!((stage.server.key_sessions(), stage.server.sessions()), (0, 0));
        assert_eq!(last.contains(&answer(client, Response::Done)), ends == 1, "{last:?}");
    }
}

/// SM-21: a key system that does not let go is as bad as a decoder that does not.
#[test]
fn a_key_system_that_does_not_let_go_ends_the_server() {
    let mut stage = Stage::with_keys();
    let client = stage.greeted();
    stage.keys(client);
    stage.set(TargetState::Inactive);
    assert_eq!(stage.server.next_deadline(), Some(stage.now.after(KEYS_TIMEOUT)));
    let actions = stage.pass(KEYS_TIMEOUT);
    assert!(actions.contains(&last_word(ServerState::Error, Reason::KeySystemStuck)), "{actions:?}");
    assert_eq!(actions.last(), Some(&Action::Exit { status: 1 }));
}

/// Field failure 53: the client hears that the key system is stuck, and its key session's end.
#[test]
fn a_key_system_that_says_nothing_costs_its_key_session() {
    let mut stage = Stage::with_keys();
    let client = stage.greeted();
    let key_session = stage.keys(client);
    stage.call(client, request(key_session));
    let late = stage.pass(KEYS_TIMEOUT);
    let stuck = refuse(client, Refusal::Keys(KeyError::Stuck));
    assert_eq!(late, [Action::CloseKeys { key_session: 0 }, stuck]);
    assert_eq!(stage.take(closed(key_session)), [ended(client, key_session)]);
}

#[test]
fn what_a_key_system_says_of_a_session_that_is_not_there_is_counted_and_ignored() {
    let mut stage = Stage::with_keys();
    for key_session in [0, 1, u16::MAX] {
        let before = stage.server.stale();
        assert_eq!(stage.take(Input::Keys(KeyEvent::Message { key_session })), []);
        assert_eq!(stage.take(Input::KeysOpened { key_session, result: Ok(()) }), []);
        assert_eq!(stage.server.stale(), before + 2);
    }
}
