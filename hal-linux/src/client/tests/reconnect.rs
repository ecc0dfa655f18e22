//! The library against a session server that is restarted.

use super::*;

/// The events up to this one, without it.
fn until_event(events: &Events, last: ClientEvent) -> Vec<ClientEvent> {
    let mut before = Vec::new();
    loop {
        match events.next(SOON).unwrap_or_else(|| panic!("no {last:?} came, only {before:?}")) {
            event if event == last => return before,
            event => before.push(event),
        }
    }
}

fn restart(server: &FakeServer, events: &Events) {
    server.restart(Manner::Honest);
    until_event(events, ClientEvent::Reconnected);
}

/// SM-29, SM-36
///
/// Field failure 13
#[test]
fn an_app_is_told_of_the_loss_and_of_the_new_connection_and_makes_its_sessions_anew() {
    let Playing { server, client, session, mut source, far_end: _far_end } = playing();
    let events = client.events();
    server.restart(Manner::Honest);
    let before = until_event(&events, ClientEvent::Reconnected);
    let ended = ClientEvent::Server(Event::SessionEnded { session: SESSION });
    assert_eq!(before, [ended, ClientEvent::ConnectionLost(LostReason::Closed)]);
    client.wait_for_application_state(AppState::Running, SOON).expect("told");
    assert_eq!((client.lost(), client.given_up()), (None, None));
    assert_eq!(source.try_push(&frame(b"x")), Err(PushError::Ended(SessionEnd::ConnectionLost)));
    assert_eq!(session.end(), Some(SessionEnd::ConnectionLost));
    client.set_application_state(AppState::Running).expect("memory");
    let another = client.create_session().expect("a session");
    let mut source = another.attach_source(H264).expect("a source");
    let mut far_end = server.sources.recv_timeout(SOON).expect("the server's end");
    source.push(&frame(b"again"), SOON).expect("room");
    assert_eq!(far_end.take().expect("a frame").1, b"again");
}

/// The new server gives the new session the number of the old one.
///
/// Field failure 24
#[test]
fn what_is_said_of_a_session_of_the_connection_before_never_reaches_the_new_one() {
    let Playing { server, client, session: old, mut source, far_end: _far_end } = playing();
    restart(&server, &client.events());
    client.set_application_state(AppState::Running).expect("memory");
    let new = client.create_session().expect("a session");
    assert_eq!(old.id(), new.id(), "only the connection tells them apart");
    while server.commands.try_recv().is_ok() {}
    let refused = CallError::NotTaken(NotTaken::SessionEnded);
    assert_eq!(old.play(), Err(refused.clone()));
    assert_eq!(old.attach_source(H264).map(drop), Err(refused));
    assert_eq!(source.try_push(&frame(b"old")), Err(PushError::Ended(SessionEnd::ConnectionLost)));
    drop(old);
    assert_eq!(new.end(), None);
    new.pause().expect("the new session is as it was");
    assert!(server.commands.recv_timeout(SOON).expect("a command").starts_with("Pause"), "and nothing came before");
}

/// The old memory is unmapped, and the new is another.
///
/// Field failure 24
#[test]
fn memory_of_the_connection_before_is_unmapped_under_sources_that_are_kept() {
    let Playing { server, client, session: _session, source: _source, far_end } = playing();
    let before = server.memories.recv_timeout(SOON).expect("leased");
    let events = client.events();
    drop(far_end);
    restart(&server, &events);
    client.set_application_state(AppState::Running).expect("memory");
    let after = server.memories.recv_timeout(SOON).expect("leased again");
    assert_eq!((mappings(before), mappings(after)), (0, 2), "the server's mapping and the app's");
}

/// SM-30
///
/// Field failures 1, 23
#[test]
fn calls_that_wait_when_the_server_goes_fail_at_once_and_the_next_ones_go_to_the_new_server() {
    for _ in 0..20 {
        let Playing { server, client, session, source: _source, far_end: _far_end } = playing();
        let events = client.events();
        server.set_manner(Manner::Mute);
        let before = Instant::now();
        thread::scope(|scope| {
            let callers: Vec<_> = (0..4).map(|_| scope.spawn(|| session.position())).collect();
            callers.iter().for_each(|_| drop(server.await_command("GetPosition")));
            restart(&server, &events);
            for caller in callers {
                assert_eq!(caller.join().expect("no panic"), Err(CallError::ConnectionLost));
            }
        });
        assert!(before.elapsed() < CALL_TIMEOUT, "nobody waited for a deadline");
        client.set_application_state(AppState::Running).expect("memory");
        assert_eq!(client.create_session().expect("a session").position(), Ok(Duration::from_millis(1_500)));
    }
}

/// SM-30: nothing waits for a connection that may never be.
#[test]
fn calls_while_there_is_no_connection_fail_at_once() {
    let Playing { server, client, session, source: _source, far_end: _far_end } = playing();
    let events = client.events();
    server.close();
    until_event(&events, ClientEvent::ConnectionLost(LostReason::Closed));
    let before = Instant::now();
    assert_eq!(session.play(), Err(CallError::ConnectionLost));
    assert_eq!(client.create_session().map(drop), Err(CallError::ConnectionLost));
    assert_eq!(client.set_application_state(AppState::Running), Err(CallError::ConnectionLost));
    assert_eq!(client.set_application_state(AppState::Inactive), Ok(()), "nothing is held");
    let waited = client.wait_for_application_state(AppState::Running, Duration::ZERO);
    assert_eq!(waited, Err(CallError::TimedOut), "it may come back");
    assert!(before.elapsed() < CALL_TIMEOUT);
}

/// SM-34: in whichever state the connection is.
#[test]
fn dropping_a_client_ends_promptly_also_while_it_reconnects() {
    for manner in [None, Some(Manner::Mute)] {
        let Playing { server, client, session: _session, source: _source, far_end: _far_end } = playing();
        let events = client.events();
        if let Some(manner) = manner {
            // Another takes the connection, and never welcomes it.
            while server.commands.try_recv().is_ok() {}
            server.restart(manner);
            server.await_command("Hello");
        } else {
            server.close();
        }
        until_event(&events, ClientEvent::ConnectionLost(LostReason::Closed));
        let before = Instant::now();
        drop(client);
        assert!(before.elapsed() < CALL_TIMEOUT, "{:?}", before.elapsed());
        assert_eq!(until_event(&events, ClientEvent::GivenUp(LostReason::Asked)), []);
    }
}

/// What a restart does not cure is not tried again, and everybody who waits is told.
#[test]
fn a_server_that_comes_back_and_refuses_the_app_is_given_up() {
    let Playing { server, client, session: _session, source: _source, far_end: _far_end } = playing();
    let events = client.events();
    let refusal = Refusal::Version { min: 7, max: 9 };
    server.restart(Manner::Refusing(refusal));
    until_event(&events, ClientEvent::GivenUp(LostReason::Refused(refusal)));
    let waited = client.wait_for_application_state(AppState::Running, SOON);
    assert_eq!(waited, Err(CallError::ConnectionLost));
    assert_eq!((client.lost(), client.given_up()), (Some(LostReason::Closed), Some(LostReason::Refused(refusal))));
    assert_eq!(client.create_session().map(drop), Err(CallError::ConnectionLost));
}

#[test]
fn an_app_that_does_not_want_to_be_connected_again_is_told_the_end_at_once() {
    let server = FakeServer::start(Manner::Honest);
    let options = ConnectOptions::new().reconnect_for(Duration::ZERO);
    let client = Client::connect_with(server.path(), options).expect("welcomed");
    let events = client.events();
    server.restart(Manner::Honest);
    until_event(&events, ClientEvent::GivenUp(LostReason::Closed));
    assert_eq!(client.given_up(), Some(LostReason::Closed));
}

#[test]
fn a_server_that_does_not_come_back_in_time_is_given_up() {
    let server = FakeServer::start(Manner::Honest);
    let options = ConnectOptions::new().reconnect_for(Duration::from_millis(100));
    let client = Client::connect_with(server.path(), options).expect("welcomed");
    let events = client.events();
    server.close();
    until_event(&events, ClientEvent::GivenUp(LostReason::Unreachable(ErrorKind::Gone)));
    assert_eq!(client.lost(), Some(LostReason::Closed), "that is how it began");
}

/// SM-25: the memory goes with the last frame that is being written, and nothing crashes.
///
/// Field failure 28
#[test]
fn a_server_that_restarts_in_the_middle_of_pushing_ends_it_with_the_reason() {
    for _ in 0..20 {
        let Playing { mut source, mut far_end, session: _session, client, server } = playing();
        let (started, is_started) = channel();
        let pusher = thread::spawn(move || {
            let picture = vec![7; 300_000];
            started.send(()).expect("heard");
            loop {
                if let Err(error) = source.push(&frame(&picture), SOON) {
                    return error;
                }
            }
        });
        is_started.recv_timeout(SOON).expect("started");
        eventually("a frame arrives", || far_end.take().is_some());
        restart(&server, &client.events());
        assert_eq!(pusher.join().expect("no panic"), PushError::Ended(SessionEnd::ConnectionLost));
    }
}

/// Whoever hears of an event may call the library there and then, also to make everything anew, or to end it.
///
/// Field failures 3, 67
#[test]
fn the_library_can_be_called_while_an_event_is_handled() {
    let Playing { server, client, session, source, far_end: _far_end } = playing();
    let events = client.events();
    let handler = thread::spawn(move || {
        let mut held = Some((session, source));
        loop {
            match events.next(SOON).expect("an event") {
                ClientEvent::ConnectionLost(_) => drop(held.take()),
                ClientEvent::Reconnected => {}
                ClientEvent::Server(Event::ApplicationState(AppState::Running)) => {
                    client.set_application_state(AppState::Running).expect("memory");
                    let session = client.create_session().expect("a session");
                    session.play().expect("done");
                    drop(client);
                    return session.end();
                }
                _ => {}
            }
        }
    });
    server.restart(Manner::Honest);
    assert_eq!(handler.join().expect("no panic"), Some(SessionEnd::ConnectionLost), "its client was dropped");
}

/// Field failure 26
#[test]
fn two_threads_that_change_the_state_at_once_both_have_it_changed() {
    for _ in 0..20 {
        let server = FakeServer::start(Manner::Honest);
        let client = Client::connect(server.path()).expect("welcomed");
        for state in [AppState::Running, AppState::Inactive] {
            thread::scope(|scope| {
                let threads: Vec<_> = (0..2).map(|_| scope.spawn(|| client.set_application_state(state))).collect();
                for thread in threads {
                    assert_eq!(thread.join().expect("no panic"), Ok(()));
                }
            });
        }
        assert!(client.set_application_state(AppState::Running).is_ok());
    }
}

/// Field failure 26
#[test]
fn the_library_can_be_used_first_by_two_threads_at_once() {
    let servers = [FakeServer::start(Manner::Honest), FakeServer::start(Manner::Honest)];
    thread::scope(|scope| {
        for path in servers.each_ref().map(FakeServer::path) {
            scope.spawn(move || {
                let client = Client::connect(path).expect("welcomed");
                client.set_application_state(AppState::Running).expect("memory");
                assert!(client.create_session().is_ok());
            });
        }
    });
}

/// Nobody waits for what a dropped session says to its server.
///
/// Field failure 22
#[test]
fn many_calls_that_nobody_waits_for_leave_nothing_behind() {
    let server = FakeServer::start(Manner::Honest);
    let client = running(&server);
    for _ in 0..2_000 {
        drop(client.create_session().expect("a session"));
    }
    let last = client.create_session().expect("a session");
    assert_eq!(last.position(), Ok(Duration::from_millis(1_500)));
    let destroyed = server.commands.try_iter().filter(|command| command.starts_with("DestroySession")).count();
    assert_eq!(destroyed, 2_000, "each was said once");
}

/// Nothing of a client is process-wide, and one connection greets once: a place at the server is taken by it alone.
///
/// Field failure 25
#[test]
fn a_client_greets_once_on_each_connection() {
    let server = FakeServer::start(Manner::Honest);
    let client = running(&server);
    let events = client.events();
    restart(&server, &events);
    client.set_application_state(AppState::Running).expect("memory");
    let said: Vec<String> = server.commands.try_iter().collect();
    assert_eq!(said, ["Hello", "GetSharedMemory", "Hello", "GetSharedMemory"]);
}
