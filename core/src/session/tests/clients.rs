//! Connections: who may have one, who does not read, and what is left when one ends.

use super::*;

/// Every answer that can be open has its place: two calls in each session, and the one that ends them all.
#[test]
fn a_client_that_does_not_read_has_a_place_for_every_answer() {
    let mut stage = Stage::active();
    let (client, first) = stage.playing_client();
    let second = stage.further_session(client);
    for (sequence, session) in [(10, first), (20, second)] {
        stage.take(Input::Call { client, sequence, command: Command::Load { session, live: false } });
        let mute = Command::SetMute { session, muted: true };
        stage.take(Input::Call { client, sequence: sequence + 1, command: mute });
    }
    stage
        .server
        .handle(stage.now, Input::Call { client, sequence: 30, command: Command::ReleaseSharedMemory })
        .unwrap();
    stage.take(Input::ClientBlocked { client });
    stage.take(Input::Decoder(DecoderEvent::Closed { session: 0 }));
    stage.take(Input::Decoder(DecoderEvent::Closed { session: 1 }));
    let told = stage.take(Input::ClientWritable { client });
    let answered: Vec<u32> = told
        .iter()
        .filter_map(|action| if let Action::Reply { sequence, .. } = action { Some(*sequence) } else { None })
        .collect();
    assert_eq!(answered, [10, 11, 20, 21, 30]);
    let ended = told.iter().filter(|action| matches!(action, Action::Event { event: Event::SessionEnded { .. }, .. }));
    assert_eq!(ended.count(), 2);
}

/// SM-35: the next client gets memory that the one before has never seen, once its decoder has let go.
#[test]
fn a_client_that_dies_costs_its_session_and_its_slot_is_renewed_for_the_next() {
    let mut stage = Stage::active();
    let (first, _) = stage.playing_client();
    let (second, session) = stage.playing_client();
    stage.take(Input::Call { client: first, sequence: 5, command: Command::Load { session: SESSION, live: false } });
    let closed = stage.take(Input::ClientClosed { client: first });
    assert_eq!(closed, [Action::Close { session: 0 }, clients(1, AppState::Running)]);
    let third = stage.greeted();
    let full = Refusal::Full { table: TableName::PlaybackSessions, capacity: 2, in_use: 2 };
    assert_eq!(stage.call(third, Command::GetSharedMemory), [refuse(third, full)]);
    assert_eq!(stage.take(Input::Decoder(DecoderEvent::Closed { session: 0 })), []);
    assert_eq!(stage.call(third, Command::GetSharedMemory), [Action::Renew { slot: 0 }]);
    let shared = answer(third, Response::SharedMemory { slot: 0 });
    assert_eq!(stage.take(Input::Renewed { slot: 0, result: Ok(()) }), [shared]);
    assert_eq!(stage.ordered(second, Command::Load { session, live: false }), [answer(second, Response::Done)]);
}

#[test]
fn a_slot_that_cannot_be_renewed_is_refused_and_tried_again_later() {
    let mut stage = Stage::active();
    let client = stage.greeted();
    stage.call(client, Command::GetSharedMemory);
    stage.call(client, Command::ReleaseSharedMemory);
    let other = stage.playing_client().0;
    assert_eq!(stage.call(client, Command::GetSharedMemory), [Action::Renew { slot: 0 }]);
    let failed = refuse(client, Refusal::Failed(PlaybackError::Memory));
    assert_eq!(stage.take(Input::Renewed { slot: 0, result: Err(ErrorKind::Exhausted) }), [failed]);
    assert_eq!(stage.call(client, Command::GetSharedMemory), [Action::Renew { slot: 0 }]);
    assert_eq!(stage.call(other, Command::Hello).len(), 2, "the other one is served");
}

/// SM-35
///
/// Field failure L
#[test]
fn a_client_that_does_not_read_is_told_later_how_things_are_then() {
    let mut stage = Stage::active();
    let (client, session) = stage.playing_client();
    let (other, _) = stage.playing_client();
    stage.call(client, Command::Load { session, live: false });
    stage.take(Input::ClientBlocked { client });
    assert_eq!(stage.take(Input::Decoder(DecoderEvent::Completed { session: 0, token: 1, result: Ok(()) })), []);
    for _ in 0..100 {
        let position = DecoderEvent::Position { session: 0, position_ns: 1 };
        assert_eq!(stage.take(Input::Decoder(position)), []);
    }
    stage.set(TargetState::Inactive);
    stage.take(Input::Decoder(DecoderEvent::Closed { session: 0 }));
    let closed = stage.take(Input::Decoder(DecoderEvent::Closed { session: 1 }));
    assert!(closed.contains(&event(other, Event::ApplicationState(AppState::Inactive))));
    let ended = event(client, Event::SessionEnded { session });
    let inactive = event(client, Event::ApplicationState(AppState::Inactive));
    let expected = [answer(client, Response::Done), ended, inactive];
    assert_eq!(stage.take(Input::ClientWritable { client }), expected);
}

/// SM-25, SM-29: what it leased before is gone, and Running alone would not tell it so.
#[test]
fn a_client_that_did_not_read_while_the_app_was_inactive_hears_of_it_before_it_hears_of_running() {
    let mut stage = Stage::active();
    let client = stage.greeted();
    stage.call(client, Command::GetSharedMemory);
    stage.take(Input::ClientBlocked { client });
    stage.set(TargetState::Inactive);
    stage.set(TargetState::Active);
    stage.take(Input::Allocated(Ok(())));
    let told = [AppState::Inactive, AppState::Running].map(|state| event(client, Event::ApplicationState(state)));
    assert_eq!(stage.take(Input::ClientWritable { client }), told);
}

/// SM-35: it would keep a place from the app's other clients for ever.
#[test]
fn a_client_that_does_not_greet_in_time_is_let_go() {
    let mut stage = Stage::active();
    let (playing, _) = stage.playing_client();
    let silent: Vec<ClientId> = (1..CLIENTS_MAX).map(|_| stage.connect()).collect();
    assert_eq!(stage.server.next_deadline(), Some(stage.now.after(GREETING_TIMEOUT)));
    let closed = stage.pass(GREETING_TIMEOUT);
    assert!(silent.iter().all(|&client| closed.contains(&Action::CloseClient { client })));
    assert!(!closed.contains(&Action::CloseClient { client: playing }));
    assert_eq!(stage.server.next_deadline(), None);
    let next = stage.connect();
    let welcome = answer(next, Response::Welcome { state: AppState::Running });
    assert!(stage.call(next, Command::Hello).contains(&welcome));
}

/// Field failure O
#[test]
fn one_client_too_many_is_told_so_and_closed() {
    let mut stage = Stage::inactive();
    for _ in 0..CLIENTS_MAX {
        stage.greeted();
    }
    let surplus = stage.connect();
    assert_eq!(stage.server.handle(stage.now, Input::ClientConnected { peer: PEER }), Err(NotTaken::Full));
    let capacity = CLIENTS_MAX as u16;
    let full = refuse(surplus, Refusal::Full { table: TableName::Clients, capacity, in_use: capacity });
    let actions = stage.call(surplus, Command::Hello);
    assert_eq!(actions[..2], [full, Action::CloseClient { client: surplus }]);
}

/// A server that lets in the user of [`PEER`] and the group 44.
fn server_with_clients() -> Stage {
    let mut stage = Stage::started();
    let clients = Allowed { users: Ids::first_of(&[PEER.user_id]), groups: Ids::first_of(&[44]) };
    let only_these = Configuration { clients, ..configuration(TargetState::Inactive) };
    stage.ask_link(link::Command::SetConfiguration(only_these));
    stage.take(Input::Bound(Ok(())));
    stage
}

#[test]
fn a_user_that_may_not_connect_is_told_so_and_closed() {
    let mut stage = server_with_clients();
    let stranger = stage.connect_as(STRANGER);
    let actions = stage.call(stranger, Command::Hello);
    let refusal = refuse(stranger, Refusal::NotPermitted { user_id: 1001 });
    assert_eq!(actions[..2], [refusal, Action::CloseClient { client: stranger }]);
    for peer in [PEER, Peer { groups: Ids::first_of(&[44]), ..STRANGER }] {
        let client = stage.connect_as(peer);
        let welcome = answer(client, Response::Welcome { state: AppState::Inactive });
        assert!(stage.call(client, Command::Hello).contains(&welcome));
    }
}

/// SM-35
#[test]
fn users_that_may_not_connect_take_no_place_from_those_who_may() {
    let mut stage = server_with_clients();
    let told = |actions: &[Action], connected: u8| {
        let clients = Message::Clients { connected, state: AppState::Inactive };
        actions.contains(&Action::Link(clients))
    };
    let actions = stage.take(Input::ClientConnected { peer: STRANGER });
    assert!(told(&actions, 0), "it is no client: {actions:?}");
    let second = Input::ClientConnected { peer: STRANGER };
    assert_eq!(stage.server.handle(stage.now, second), Err(NotTaken::Full));
    for _ in 0..CLIENTS_MAX {
        stage.greeted();
    }
    assert_eq!(stage.server.handle(stage.now, Input::ClientConnected { peer: PEER }), Err(NotTaken::Full));
}

/// Field failure 21
#[test]
fn what_comes_from_a_client_or_a_session_that_has_gone_changes_nothing() {
    let mut stage = Stage::active();
    let client = stage.greeted();
    stage.take(Input::ClientClosed { client });
    let before = postcard_bytes(&stage.server);
    let call = Input::Call { client, sequence: 5, command: Command::GetSharedMemory };
    for input in [call, Input::ClientClosed { client }, Input::ClientWritable { client }] {
        assert_eq!(stage.server.handle(stage.now, input), Err(NotTaken::Stale));
    }
    assert_eq!(postcard_bytes(&stage.server), before);
    assert_eq!(stage.take(Input::Decoder(DecoderEvent::Closed { session: 3 })), []);
    assert_eq!(stage.server.stale(), 1);
}
