//! Session server states, from the first word to the last (SM-05 to SM-21).

use super::*;
use crate::limits::{BIND_PATIENCE, LINK_TIMEOUT};

/// SM-05
#[test]
fn its_first_message_says_that_it_is_up() {
    let mut server = Server::new();
    server.handle(Instant::default(), Input::Started(Ok(()))).unwrap();
    assert_eq!(server.poll_action(), Some(state(ServerState::Uninitialized)));
    assert_eq!(server.poll_action(), None);
}

/// SM-11
#[test]
fn what_cannot_start_says_so_and_exits() {
    let mut server = Server::new();
    server.handle(Instant::default(), Input::Started(Err(ErrorKind::Other))).unwrap();
    let actions: Vec<_> = std::iter::from_fn(|| server.poll_action()).collect();
    let word = last_word(ServerState::Error, Reason::Initialization);
    assert_eq!(actions, [LEAVES_ITS_FILE, word, Action::Exit { status: 1 }]);
}

/// SM-07, SM-08
#[test]
fn configured_for_inactive_it_answers_binds_hands_the_listener_up_and_notifies() {
    let mut stage = Stage::started();
    let levels = Action::SetLogLevels(LogLevels::default());
    assert_eq!(stage.configure(TargetState::Inactive), [reply(Ok(())), levels, Action::Bind]);
    assert_eq!(stage.server.place().path, "/run/app1");
    assert_eq!(stage.server.place().group, "video");
    let listener = Action::Link(Message::Listener);
    assert_eq!(stage.take(Input::Bound(Ok(()))), [listener, state(ServerState::Inactive)]);
}

/// SM-13, SM-16: only Active is notified.
#[test]
fn configured_for_active_it_allocates_after_the_socket_was_made() {
    let mut stage = Stage::started();
    stage.configure(TargetState::Active);
    let bound = stage.take(Input::Bound(Ok(())));
    assert_eq!(bound, [Action::Allocate { slots: 2, players: 2 }, Action::Link(Message::Listener)]);
    assert_eq!(stage.take(Input::Allocated(Ok(()))), [state(ServerState::Active)]);
}

/// SM-38: the server of a manager that was killed is about to leave it.
#[test]
fn a_path_that_somebody_else_leaves_soon_is_taken_then() {
    let mut stage = Stage::started();
    stage.configure(TargetState::Inactive);
    assert_eq!(stage.take(Input::Bound(Err(ErrorKind::Busy))), []);
    stage.now = stage.server.next_deadline().unwrap();
    assert_eq!(stage.take(Input::Tick), [Action::Bind]);
    assert_eq!(stage.take(Input::Bound(Ok(()))), [Action::Link(Message::Listener), state(ServerState::Inactive)]);
    assert_eq!(stage.server.next_deadline(), None);
}

/// SM-10, SM-34
#[test]
fn a_path_that_somebody_else_keeps_is_given_up_within_the_managers_patience() {
    let mut stage = Stage::started();
    let start = stage.now;
    stage.configure(TargetState::Inactive);
    let mut actions = stage.take(Input::Bound(Err(ErrorKind::Busy)));
    while let Some(next) = stage.server.next_deadline() {
        assert_eq!(actions, []);
        stage.now = next;
        assert_eq!(stage.take(Input::Tick), [Action::Bind]);
        actions = stage.take(Input::Bound(Err(ErrorKind::Busy)));
    }
    assert_eq!(stage.now, start.after(BIND_PATIENCE));
    assert!(BIND_PATIENCE < LINK_TIMEOUT);
    assert!(actions.contains(&last_word(ServerState::Error, Reason::SocketTaken)), "{actions:?}");
    assert!(actions.contains(&Action::Exit { status: 1 }), "{actions:?}");
}

/// SM-07
///
/// Field failure H
#[test]
fn a_second_configuration_is_refused() {
    let mut stage = Stage::inactive();
    let refusal = link::Refusal::WrongState { state: ServerState::Inactive };
    assert_eq!(stage.configure(TargetState::Active), [reply(Err(refusal))]);
}

/// SM-07, SM-33
///
/// Field failure I
#[test]
fn a_configuration_that_cannot_hold_is_refused_and_a_better_one_taken() {
    let mut stage = Stage::started();
    let good = configuration(TargetState::Inactive);
    let long = "/".repeat(108);
    let bad = [
        Configuration { resources: Resources { max_playback_sessions: 200, ..good.resources }, ..good },
        Configuration { app: "../etc", ..good },
        Configuration { socket: "relative", ..good },
        Configuration { socket: &long, ..good },
        Configuration { state: TargetState::NotRunning, ..good },
    ];
    for configuration in bad {
        let refused = stage.ask_link(link::Command::SetConfiguration(configuration));
        assert_eq!(refused, [reply(Err(link::Refusal::Configuration))]);
    }
    assert_eq!(stage.configure(TargetState::Inactive).first(), Some(&reply(Ok(()))));
}

/// SM-10
#[test]
fn a_socket_that_cannot_be_made_is_unbound_reported_and_ends_it() {
    let mut stage = Stage::started();
    stage.configure(TargetState::Inactive);
    let actions = stage.take(Input::Bound(Err(ErrorKind::NotFound)));
    let word = last_word(ServerState::Error, Reason::SocketDirectoryMissing);
    assert_eq!(actions, [LEAVES_ITS_FILE, word, Action::Exit { status: 1 }]);
    assert_eq!(stage.drain(), [], "nothing comes after the end");
}

/// SM-15, SM-16, SM-29
#[test]
fn set_active_is_answered_before_memory_is_made_and_clients_hear_of_it() {
    let mut stage = Stage::inactive();
    let client = stage.greeted();
    assert_eq!(stage.set(TargetState::Active), [reply(Ok(())), Action::Allocate { slots: 2, players: 2 }]);
    let running = event(client, Event::ApplicationState(AppState::Running));
    let told = clients(1, AppState::Running);
    assert_eq!(stage.take(Input::Allocated(Ok(()))), [state(ServerState::Active), told, running]);
    assert_eq!(stage.set(TargetState::Active), [reply(Ok(()))], "the same again: an answer and nothing else");
}

/// SM-17, SM-32
#[test]
fn without_memory_it_holds_nothing_stays_alive_and_takes_only_not_running() {
    let mut stage = Stage::inactive();
    stage.set(TargetState::Active);
    let failed = stage.take(Input::Allocated(Err(ErrorKind::Exhausted)));
    assert_eq!(failed, [Action::Free, last_word(ServerState::Error, Reason::SharedMemory)]);
    for target in [TargetState::Active, TargetState::Inactive] {
        let refusal = link::Refusal::WrongState { state: ServerState::Error };
        assert_eq!(stage.set(target), [reply(Err(refusal))]);
    }
    let word = last_word(ServerState::NotRunning, Reason::Asked);
    let ended = stage.set(TargetState::NotRunning);
    assert_eq!(ended, [reply(Ok(())), LEAVES_ITS_FILE, word, Action::Exit { status: 0 }]);
}

/// SM-18, SM-29, SM-32
#[test]
fn set_inactive_answers_closes_decoders_frees_memory_notifies_and_tells_clients_in_this_order() {
    let mut stage = Stage::active();
    let (client, session) = stage.playing_client();
    let asked = stage.set(TargetState::Inactive);
    assert_eq!(asked, [reply(Ok(())), Action::Close { session: session.index }]);
    assert_eq!(stage.call(client, Command::GetSharedMemory), [refuse(client, Refusal::NotActive)]);
    assert_eq!(stage.call(client, Command::Play { session }), [refuse(client, Refusal::UnknownSession)]);
    let closed = stage.take(Input::Decoder(DecoderEvent::Closed { session: session.index }));
    let ended = event(client, Event::SessionEnded { session });
    let inactive = event(client, Event::ApplicationState(AppState::Inactive));
    let told = clients(1, AppState::Inactive);
    assert_eq!(closed, [Action::Free, state(ServerState::Inactive), told, ended, inactive]);
    assert_eq!(stage.server.sessions(), 0);
}

/// SM-18, SM-30
#[test]
fn a_call_under_way_is_answered_when_the_app_leaves_active() {
    let mut stage = Stage::active();
    let (client, session) = stage.playing_client();
    stage.call(client, Command::Load { session, live: false });
    let asked = stage.set(TargetState::Inactive);
    assert!(asked.contains(&refuse(client, Refusal::Interrupted)), "{asked:?}");
}

/// SM-18, SM-21, SM-31
#[test]
fn a_decoder_that_does_not_let_go_ends_the_server_so_that_it_is_replaced() {
    let mut stage = Stage::active();
    let (client, _) = stage.playing_client();
    stage.set(TargetState::Inactive);
    assert_eq!(stage.server.next_deadline(), Some(stage.now.after(DECODER_TIMEOUT)));
    let actions = stage.pass(DECODER_TIMEOUT);
    let word = last_word(ServerState::Error, Reason::DecoderStuck);
    let end = Action::Exit { status: 1 };
    assert_eq!(actions, [Action::Free, Action::CloseClient { client }, LEAVES_ITS_FILE, word, end]);
}

/// SM-19
#[test]
fn not_running_from_inactive_closes_the_clients_and_the_socket_notifies_and_exits() {
    let mut stage = Stage::inactive();
    let client = stage.greeted();
    let actions = stage.set(TargetState::NotRunning);
    let word = last_word(ServerState::NotRunning, Reason::Asked);
    let end = Action::Exit { status: 0 };
    assert_eq!(actions, [reply(Ok(())), Action::CloseClient { client }, LEAVES_ITS_FILE, word, end]);
    assert_eq!(stage.server.handle(stage.now, Input::ClientConnected { peer: PEER }), Err(NotTaken::Unexpected));
}

/// SM-20
#[test]
fn not_running_from_active_first_frees_everything() {
    let mut stage = Stage::active();
    let (client, session) = stage.playing_client();
    assert_eq!(stage.set(TargetState::NotRunning), [reply(Ok(())), Action::Close { session: 0 }]);
    let actions = stage.take(Input::Decoder(DecoderEvent::Closed { session: 0 }));
    let word = last_word(ServerState::NotRunning, Reason::Asked);
    let ended = event(client, Event::SessionEnded { session });
    let close = Action::CloseClient { client };
    assert_eq!(actions, [Action::Free, ended, close, LEAVES_ITS_FILE, word, Action::Exit { status: 0 }]);
}

/// SM-19, SM-31: a request that comes while the first is under way.
#[test]
fn while_deactivating_only_not_running_is_taken() {
    let mut stage = Stage::active();
    stage.playing_client();
    stage.set(TargetState::Inactive);
    assert_eq!(stage.set(TargetState::Active), [reply(Err(link::Refusal::Busy))]);
    assert_eq!(stage.set(TargetState::NotRunning), [reply(Ok(()))]);
    let actions = stage.take(Input::Decoder(DecoderEvent::Closed { session: 0 }));
    assert_eq!(actions.last(), Some(&Action::Exit { status: 0 }));
    assert!(!actions.contains(&state(ServerState::Inactive)));
}

/// SM-38 (its server's side): the end of the link stops everything and says nothing to nobody.
///
/// Field failure B
#[test]
fn without_a_manager_it_stops_playing_frees_and_exits() {
    let mut stage = Stage::active();
    let (client, session) = stage.playing_client();
    let unbind = Action::Unbind { leaves_file: false };
    assert_eq!(stage.take(Input::LinkClosed), [unbind, Action::Close { session: 0 }]);
    let actions = stage.take(Input::Decoder(DecoderEvent::Closed { session: 0 }));
    let ended = event(client, Event::SessionEnded { session });
    let close = Action::CloseClient { client };
    assert_eq!(actions, [Action::Free, ended, close, Action::Exit { status: 0 }]);
}

#[test]
fn a_signal_ends_it_in_order_and_the_manager_hears_it() {
    let mut stage = Stage::active();
    let actions = stage.take(Input::Terminate);
    let word = last_word(ServerState::NotRunning, Reason::Asked);
    assert_eq!(actions, [Action::Free, LEAVES_ITS_FILE, word, Action::Exit { status: 0 }]);
}

/// SM-21, SM-34
#[test]
fn a_manager_that_does_not_read_does_not_keep_it_alive() {
    let mut stage = Stage::inactive();
    stage.take(Input::LinkBlocked);
    assert_eq!(stage.take(Input::Terminate), [LEAVES_ITS_FILE]);
    assert_eq!(stage.server.next_deadline(), Some(stage.now.after(STOP_TIMEOUT)));
    assert_eq!(stage.pass(STOP_TIMEOUT), [Action::Exit { status: 0 }]);
    assert_eq!(stage.server.next_deadline(), None);
}

/// SM-31
///
/// Field failure L
#[test]
fn what_the_manager_did_not_read_in_time_comes_whole_and_in_order() {
    let mut stage = Stage::inactive();
    stage.set(TargetState::Active);
    stage.take(Input::LinkBlocked);
    assert_eq!(stage.take(Input::Allocated(Ok(()))), []);
    assert_eq!(stage.take(Input::Terminate), [Action::Free, LEAVES_ITS_FILE]);
    let word = last_word(ServerState::NotRunning, Reason::Asked);
    let expected = [state(ServerState::Active), word, Action::Exit { status: 0 }];
    assert_eq!(stage.take(Input::LinkWritable), expected);
}

/// SM-39
#[test]
fn log_levels_reach_the_process_and_its_clients_late_ones_too() {
    let mut stage = Stage::inactive();
    let client = stage.greeted();
    let mut levels = LogLevels::default();
    levels.set(Component::Client, LogLevel::Debug);
    let told = event(client, Event::LogLevels(levels));
    let asked = stage.ask_link(link::Command::SetLogLevels(levels));
    assert_eq!(asked, [reply(Ok(())), Action::SetLogLevels(levels), told]);
    let late = stage.connect();
    let welcome = answer(late, Response::Welcome { state: AppState::Inactive });
    assert_eq!(stage.call(late, Command::Hello), [welcome, event(late, Event::LogLevels(levels))]);
}

/// A server that is written down and read back goes on where it was.
#[test]
fn a_snapshot_goes_on_where_the_server_was() {
    let mut stage = Stage::active();
    let (client, session) = stage.playing_client();
    stage.call(client, Command::Load { session, live: true });
    let bytes = postcard_bytes(&stage.server);
    let mut copy = Stage { server: postcard::from_bytes(&bytes).unwrap(), now: stage.now };
    let completed = Input::Decoder(DecoderEvent::Completed { session: 0, token: 1, result: Ok(()) });
    assert_eq!(copy.take(completed), stage.take(completed));
    assert_eq!(postcard_bytes(&copy.server), postcard_bytes(&stage.server));
}

/// SM-36: until the manager has the socket too, its file is the server's.
#[test]
fn a_server_that_ends_before_it_could_hand_its_socket_up_removes_the_file() {
    let mut stage = Stage::started();
    stage.configure(TargetState::Inactive);
    stage.take(Input::LinkBlocked);
    assert_eq!(stage.take(Input::Bound(Ok(()))), []);
    assert_eq!(stage.take(Input::Terminate), [Action::Unbind { leaves_file: false }]);
}
