//! Key sessions through the real session server and the real client library.

use std::time::Instant;

use greenroom_core::limits::INIT_DATA_BYTES_MAX;
use greenroom_core::message::keys::{self, InitDataKind, KeyError, KeyStatus};
use greenroom_core::message::playback::{Event, Refusal, TableName};
use greenroom_core::message::{AppState, ServerState, TargetState};
use greenroom_hal_linux::client::{CallError, Client, ClientEvent, Events, KeyNotice};
use greenroom_tests::session_process::{PATIENCE, Server};
use greenroom_tests::session_stage::state;

const SYSTEM: &str = "greenroom.test";

fn connected(server: &Server) -> (Client, Events) {
    let client = Client::connect(server.socket()).unwrap();
    client.wait_for_application_state(AppState::Running, PATIENCE).unwrap();
    let events = client.events();
    (client, events)
}

/// The next thing that is said of key sessions.
fn next(events: &Events) -> ClientEvent {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let heard = events.next(PATIENCE);
        if let Some(event @ (ClientEvent::Keys(_) | ClientEvent::Server(Event::Keys(_)))) = heard {
            return event;
        }
    }
    panic!("nothing was said of keys");
}

/// SM-32
#[test]
fn a_licence_is_asked_for_handed_over_and_given_back() {
    let server = Server::configured(TargetState::Active);
    let (client, events) = connected(&server);
    let keys = client.create_key_session(SYSTEM).unwrap();
    let init_data = vec![7; INIT_DATA_BYTES_MAX];
    keys.generate_request(InitDataKind::Cenc, &init_data).unwrap();
    let ClientEvent::Keys(KeyNotice::License { key_session, body, .. }) = next(&events) else { panic!() };
    assert_eq!((key_session, &body[..]), (keys.id(), &init_data[..]));
    keys.update(&[9; 32]).unwrap();
    let ClientEvent::Keys(KeyNotice::KeyStatuses { statuses, .. }) = next(&events) else { panic!() };
    assert_eq!(statuses[..], [([9; 16], KeyStatus::Usable)]);
    keys.remove().unwrap();
    let ClientEvent::Keys(KeyNotice::KeyStatuses { statuses, .. }) = next(&events) else { panic!() };
    assert!(statuses.is_empty());
    keys.close().unwrap();
}

/// Field failures 53 and 72
#[test]
fn what_a_key_system_cannot_use_is_refused_with_its_reason() {
    let server = Server::configured(TargetState::Active);
    let (client, _) = connected(&server);
    let refused = |result: Result<(), CallError>| match result {
        Err(CallError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    let unknown = client.create_key_session("com.example.drm").map(drop);
    assert_eq!(refused(unknown), Refusal::Keys(KeyError::UnknownKeySystem));
    let keys = client.create_key_session(SYSTEM).unwrap();
    assert_eq!(refused(keys.generate_request(InitDataKind::Cenc, &[])), Refusal::Keys(KeyError::InitData));
    assert_eq!(refused(keys.update(b"nonsense")), Refusal::Keys(KeyError::Response));
    let too_long = vec![7; INIT_DATA_BYTES_MAX + 1];
    assert_eq!(refused(keys.generate_request(InitDataKind::Cenc, &too_long)), Refusal::OutOfRange);
}

/// SM-18, SM-32, SM-33, Field failure 50: Active, Inactive and Active again with keys.
#[test]
fn key_sessions_end_at_inactive_and_their_shares_come_back() {
    let mut server = Server::configured(TargetState::Active);
    for _ in 0..3 {
        let (client, events) = connected(&server);
        let [one, _two] = [(); 2].map(|()| client.create_key_session(SYSTEM).unwrap());
        let full = Refusal::Full { table: TableName::KeySessions, capacity: 2, in_use: 2 };
        assert_eq!(client.create_key_session(SYSTEM).map(drop), Err(CallError::Refused(full)));
        server.set(TargetState::Inactive);
        assert_eq!(server.hear(), state(ServerState::Inactive));
        let ClientEvent::Server(Event::Keys(keys::Event::Ended { .. })) = next(&events) else { panic!() };
        assert!(matches!(one.remove(), Err(CallError::NotTaken(_) | CallError::Refused(_))));
        server.set(TargetState::Active);
        assert_eq!(server.hear(), state(ServerState::Active));
    }
}

/// Field failures 51 and 52: its client is told when it has ended.
#[test]
fn a_key_session_that_is_closed_in_use_ends_behind_the_playback() {
    let server = Server::configured(TargetState::Active);
    let (client, events) = connected(&server);
    client.set_application_state(AppState::Running).unwrap();
    let session = client.create_session().unwrap();
    let keys = client.create_key_session(SYSTEM).unwrap();
    keys.bind(&session).unwrap();
    let id = keys.id();
    keys.close().unwrap();
    session.load(false).unwrap();
    session.destroy().unwrap();
    assert_eq!(next(&events), ClientEvent::Server(Event::Keys(keys::Event::Ended { key_session: id })));
}
