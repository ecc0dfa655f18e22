//! Session servers that are followed by another one, and what becomes of the app's socket (SM-34, SM-36).

use super::*;

/// SM-34: a killed server cannot remove its socket's file.
#[test]
fn the_socket_of_a_server_that_was_killed_is_removed() {
    let mut stage = Stage::new();
    let mut controller = stage.connect();
    let mut server = stage.run(&mut controller, "app1");
    let mut theirs = SocketFiles::new(&stage.world);
    stage.listen(&mut server, &mut theirs);
    server.process.exit(ExitStatus::Killed(9));
    stage.settle();
    assert_eq!(stage.world.permissions(SOCKET), None);
}

/// SM-36
#[test]
fn the_next_server_serves_who_has_connected_to_the_socket_meanwhile() {
    let mut stage = Stage::with(calm());
    let mut controller = stage.observe();
    let mut dead = stage.run(&mut controller, "app1");
    let mut theirs = SocketFiles::new(&stage.world);
    let listener = stage.listen(&mut dead, &mut theirs);
    dead.process.exit(ExitStatus::Killed(11));
    drop((listener, theirs));
    stage.settle();
    let _client = stage.world.connect(SOCKET, ME).expect("connections queue");
    let next = stage.next_server().expect("it is restarted");
    let (mut next, inherited) = stage.bring_up(next);
    let mut its = SocketFiles::new(&stage.world);
    let mut listener = its.adopt(inherited.expect("the socket is handed down")).unwrap();
    assert!(listener.accept().unwrap().is_some());
    // It hands the socket up like any other; the file stays in its place.
    next.hands_up(&its.duplicate(&listener).unwrap());
    stage.settle();
    let _later = stage.world.connect(SOCKET, ME).unwrap();
    assert!(listener.accept().unwrap().is_some());
    let crashed = (ServerState::Error, Some(Reason::Killed(11)));
    let [up, inactive] = [ServerState::Uninitialized, ServerState::Inactive].map(|state| (state, None));
    let heard: Vec<_> = controller.heard().into_iter().map(|(_, state, reason)| (state, reason)).collect();
    assert_eq!(heard, [up, inactive, crashed, up, inactive]);
}

/// SM-36: one that ends in order removes its file, and then nobody could connect to the old socket.
#[test]
fn a_server_that_has_removed_its_socket_is_followed_by_one_that_makes_its_own() {
    let mut stage = Stage::with(calm());
    let mut controller = stage.connect();
    let mut dead = stage.run(&mut controller, "app1");
    let mut theirs = SocketFiles::new(&stage.world);
    stage.listen(&mut dead, &mut theirs);
    theirs.remove(SOCKET);
    dead.process.exit(ExitStatus::Exited(0));
    stage.settle();
    let next = stage.next_server().unwrap();
    let (mut next, inherited) = stage.bring_up(next);
    assert!(inherited.is_none());
    stage.listen(&mut next, &mut theirs);
    assert!(stage.world.connect(SOCKET, ME).is_ok());
}

/// SM-34, SM-36
#[test]
fn a_socket_that_cannot_be_handed_on_is_left_to_the_next_server_to_make_anew() {
    let mut stage = Stage::with(calm());
    let mut controller = stage.connect();
    let mut dead = stage.run(&mut controller, "app1");
    let mut theirs = SocketFiles::new(&stage.world);
    drop(stage.listen(&mut dead, &mut theirs));
    dead.process.exit(ExitStatus::Killed(9));
    stage.settle();
    stage.world.fail_next(Call::Duplicate, ErrorKind::Exhausted);
    let next = stage.next_server().unwrap();
    let (mut next, inherited) = stage.bring_up(next);
    assert!(inherited.is_none());
    stage.listen(&mut next, &mut theirs);
    assert!(stage.world.connect(SOCKET, ME).is_ok());
}

/// SM-34, SM-36
#[test]
fn a_server_that_crashes_again_and_again_is_given_up_and_its_socket_goes() {
    let mut stage = Stage::with(calm());
    let mut controller = stage.observe();
    let watched = stage.watched();
    let mut server = stage.run(&mut controller, "app1");
    let mut theirs = SocketFiles::new(&stage.world);
    drop(stage.listen(&mut server, &mut theirs));
    let (mut restarts, mut told) = (0, Vec::new());
    loop {
        server.process.exit(ExitStatus::Killed(11));
        stage.settle();
        told.extend(controller.heard());
        if stage.driver.machine().apps().count() == 0 {
            break;
        }
        assert!(stage.world.connect(SOCKET, ME).is_ok(), "connections queue");
        if restarts > 0 {
            assert!(stage.next_server().is_none(), "there is a pause");
            stage.time_out();
        }
        let next = stage.next_server().expect("it is restarted");
        server = stage.bring_up(next).0;
        restarts += 1;
    }
    assert_eq!(restarts, calm().restart_intensity);
    assert_eq!(stage.world.permissions(SOCKET), None);
    assert_eq!((stage.watched(), stage.driver.next_deadline()), (watched, None));
    assert_eq!(told.pop(), Some(("app1".to_owned(), ServerState::Error, Some(Reason::Killed(11)))));
}

/// SM-36
#[test]
fn apps_whose_pauses_end_at_once_are_all_restarted() {
    let mut stage = Stage::with(calm());
    let mut controller = stage.connect();
    let first = ["app1", "app2", "app3"].map(|app| stage.run(&mut controller, app));
    first.iter().for_each(|server| server.process.exit(ExitStatus::Killed(11)));
    stage.settle();
    let second = [(); 3].map(|()| stage.next_server().expect("the first restart is immediate"));
    second.iter().for_each(|server| server.process.exit(ExitStatus::Killed(11)));
    stage.settle();
    stage.time_out();
    let third = [(); 3].map(|()| stage.next_server().expect("it is restarted"));
    assert!(third.into_iter().all(|server| stage.bring_up(server).0.process.is_alive()));
    let status = |app| stage.driver.machine().status(stage.world.now(), app).unwrap().state;
    assert!(stage.driver.machine().apps().all(|app| status(app) == Some(ServerState::Inactive)));
}

/// SM-36, SM-37
#[test]
fn an_app_that_is_asked_to_end_during_the_pause_ends_and_its_socket_goes() {
    let mut stage = Stage::with(calm());
    let mut controller = stage.observe();
    let mut server = stage.run(&mut controller, "app1");
    let mut theirs = SocketFiles::new(&stage.world);
    drop(stage.listen(&mut server, &mut theirs));
    server.process.exit(ExitStatus::Killed(11));
    stage.settle();
    stage.next_server().unwrap().process.exit(ExitStatus::Killed(11));
    stage.settle();
    assert_eq!(stage.ask(&mut controller, change("app1", TargetState::NotRunning)), Ok(Answer::Done));
    assert_eq!(stage.world.permissions(SOCKET), None);
    assert_eq!((stage.driver.machine().apps().count(), stage.driver.next_deadline()), (0, None));
    let last = controller.heard().pop().unwrap();
    assert_eq!(last, ("app1".to_owned(), ServerState::NotRunning, Some(Reason::Asked)));
}

/// SM-36
#[test]
fn a_restart_that_the_platform_cannot_watch_is_tried_again() {
    let mut stage = Stage::with(calm());
    let mut controller = stage.connect();
    let server = stage.run(&mut controller, "app1");
    stage.world.fail_next(Call::Watch, ErrorKind::Exhausted);
    server.process.exit(ExitStatus::Killed(11));
    stage.settle();
    assert!(!stage.next_server().unwrap().process.is_alive());
    stage.time_out();
    let next = stage.next_server().expect("it is tried again");
    assert!(stage.bring_up(next).0.process.is_alive());
}
