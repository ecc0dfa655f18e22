//! Session servers from their start to their end, and the manager's own end.

use super::*;

/// SM-02, SM-07, SM-08, SM-19, SM-34
#[test]
fn an_app_lives_and_ends_and_leaves_nothing() {
    let mut stage = Stage::new();
    let mut controller = stage.observe();
    let watched = stage.watched();
    let mut server = stage.initiate(&mut controller, "app1");
    server.says(ServerState::Uninitialized, None);
    stage.settle();
    server.hears(|command| {
        let link::Command::SetConfiguration(configuration) = command else { panic!("{command:?}") };
        assert_eq!((configuration.app, configuration.socket), ("app1", "/run/greenroom/app1.sock"));
        assert_eq!((configuration.socket_mode, configuration.socket_group), (0o640, "root"));
        assert_eq!(configuration.resources.max_web_audio_players, 2);
    });
    server.replies(Ok(()));
    server.says(ServerState::Inactive, None);
    stage.settle();
    controller.ask(change("app1", TargetState::NotRunning));
    stage.settle();
    server.hears(|command| assert_eq!(command, link::Command::SetState(TargetState::NotRunning)));
    server.replies(Ok(()));
    server.says(ServerState::NotRunning, Some(Reason::Asked));
    stage.settle();
    assert_eq!(controller.answer(), Ok(Answer::Done));
    server.process.exit(ExitStatus::Exited(0));
    stage.settle();
    let states: Vec<_> = controller.heard().into_iter().map(|(_, state, _)| state).collect();
    assert_eq!(states, [ServerState::Uninitialized, ServerState::Inactive, ServerState::NotRunning]);
    assert_eq!((stage.watched(), stage.driver.next_deadline()), (watched, None));
    assert_eq!(stage.driver.machine().apps().count(), 0);
}

/// SM-02
#[test]
fn each_session_server_has_a_link_of_its_own() {
    let mut stage = Stage::new();
    let mut controller = stage.observe();
    let mut servers = ["app1", "app2"].map(|app| stage.initiate(&mut controller, app));
    servers[1].says(ServerState::Uninitialized, None);
    stage.settle();
    assert_eq!(controller.heard(), [("app2".to_owned(), ServerState::Uninitialized, None)]);
    servers[1].hears(|command| {
        assert!(matches!(command, link::Command::SetConfiguration(configuration) if configuration.app == "app2"));
    });
    let received = servers[0].process.link().receive(&mut [0; 16], &mut Descriptors::new());
    assert_eq!(received.unwrap(), Received::WouldBlock);
}

/// SM-10: its end can be seen before its last words were read.
#[test]
fn the_reason_that_a_server_gave_before_it_ended_is_not_lost() {
    let mut stage = Stage::new();
    let mut controller = stage.observe();
    let mut server = stage.initiate(&mut controller, "app1");
    server.says(ServerState::Uninitialized, None);
    stage.settle();
    server.hears(|_| {});
    server.replies(Ok(()));
    server.says(ServerState::Error, Some(Reason::SocketTaken));
    server.process.exit(ExitStatus::Exited(1));
    stage.settle();
    let last = controller.heard().pop().unwrap();
    assert_eq!(last, ("app1".to_owned(), ServerState::Error, Some(Reason::SocketTaken)));
}

/// SM-36: it is sent its configuration when it does not live any more.
#[test]
fn a_server_that_crashes_right_after_it_was_up_is_told_of_with_how_it_died() {
    let mut stage = Stage::new();
    let mut controller = stage.observe();
    let mut server = stage.initiate(&mut controller, "app1");
    server.says(ServerState::Uninitialized, None);
    server.process.exit(ExitStatus::Killed(11));
    stage.settle();
    let last = controller.heard().pop().unwrap();
    assert_eq!(last, ("app1".to_owned(), ServerState::Error, Some(Reason::Killed(11))));
}

/// SM-12
#[test]
fn a_server_that_is_not_up_in_time_is_killed_and_reaped() {
    let mut stage = Stage::new();
    let mut controller = stage.observe();
    let server = stage.initiate(&mut controller, "app1");
    stage.time_out();
    assert_eq!(server.process.signals(), [Signal::Kill]);
    let error = ("app1".to_owned(), ServerState::Error, Some(Reason::ReadyTimeout));
    assert_eq!(controller.heard(), [error]);
}

/// SM-36
#[test]
fn a_server_that_sends_garbage_or_unwanted_descriptors_is_killed_alone() {
    let clients = link::Message::Clients { connected: 1, state: AppState::Inactive };
    // Without its descriptor the one would be lawful; without its lack of one the other.
    for (message, descriptors) in [(None, 0), (Some(clients), 1), (Some(link::Message::Listener), 0)] {
        let mut stage = Stage::new();
        let mut controller = stage.observe();
        let mut server = stage.run(&mut controller, "app1");
        let other = stage.run(&mut controller, "app2");
        let descriptor = greenroom_hal_mock::Descriptor::new(std::rc::Rc::new(1_u8));
        let mut buffer = [0; 16];
        let bytes = message.map_or(&[99][..], |message| postcard::encode(&message, &mut buffer).unwrap());
        server.process.link().send(bytes, &[&descriptor][..descriptors]).unwrap();
        stage.settle();
        assert_eq!((server.process.is_alive(), other.process.is_alive()), (false, true));
        let last = controller.heard().pop().unwrap();
        assert_eq!(last, ("app1".to_owned(), ServerState::Error, Some(Reason::LinkBroken)));
    }
}

/// SM-04
#[test]
fn what_the_platform_refuses_is_a_typed_refusal_and_leaves_nothing() {
    for (call, kind, refusal) in [
        (Call::Spawn, ErrorKind::NotFound, Refusal::ProgramMissing),
        (Call::Spawn, ErrorKind::Denied, Refusal::ProgramDenied),
        (Call::Spawn, ErrorKind::Exhausted, Refusal::Spawn),
        (Call::Watch, ErrorKind::Exhausted, Refusal::Spawn),
    ] {
        let mut stage = Stage::new();
        let mut controller = stage.connect();
        let watched = stage.watched();
        stage.world.fail_next(call, kind);
        let command = Command::Initiate { app: "app1", state: TargetState::Active, socket: "" };
        assert_eq!(stage.ask(&mut controller, command), Err(refusal));
        assert_eq!((stage.watched(), stage.driver.machine().apps().count()), (watched, 0));
        assert_eq!(stage.driver.machine().box_status().decoders_free, 1);
        if let Some(process) = stage.world.next_started() {
            assert!(!process.is_alive());
        }
    }
}

/// SM-39
#[test]
fn a_log_level_reaches_the_manager_itself_and_the_servers() {
    let mut stage = Stage::new();
    let mut controller = stage.connect();
    let mut server = stage.run(&mut controller, "app1");
    let command = Command::SetLogLevel { component: Component::Manager, level: LogLevel::Debug };
    assert_eq!(stage.ask(&mut controller, command), Ok(Answer::Done));
    assert_eq!(stage.driver.host().levels.of(Component::Manager), LogLevel::Debug);
    server.hears(|command| assert!(matches!(command, link::Command::SetLogLevels(_))));
}

/// SM-38
#[test]
fn told_to_end_the_manager_ends_every_app_and_then_says_so() {
    let mut stage = Stage::new();
    let mut controller = stage.observe();
    let mut server = stage.run(&mut controller, "app1");
    assert_eq!(stage.driver.terminate(stage.world.now()), Turn::Next);
    server.hears(|command| assert_eq!(command, link::Command::SetState(TargetState::NotRunning)));
    server.replies(Ok(()));
    server.process.exit(ExitStatus::Exited(0));
    stage.settle();
    assert_eq!(stage.last, Turn::Exit);
    let last = controller.heard().pop().unwrap();
    assert_eq!(last, ("app1".to_owned(), ServerState::NotRunning, Some(Reason::Asked)));
}

/// SM-38: whatever the servers do.
#[test]
fn told_to_end_the_manager_ends_in_a_bounded_time() {
    let mut stage = Stage::new();
    let mut controller = stage.connect();
    let server = stage.run(&mut controller, "app1");
    server.process.ignore_terminate();
    stage.driver.terminate(stage.world.now());
    while stage.last == Turn::Next {
        stage.time_out();
    }
    assert!(!server.process.is_alive());
    assert!(stage.world.now().as_millis() <= Duration::from_secs(9).as_millis() as u64);
}

/// SM-30, SM-31: whatever the order in which readiness is reported.
#[test]
fn in_an_unkind_world_every_request_has_one_answer_and_every_life_one_end() {
    let mut stage = Stage::new();
    stage.world.be_unkind();
    let mut observer = stage.observe();
    for round in 0..20 {
        let app = format!("app{round}");
        let mut server = stage.run(&mut observer, &app);
        observer.ask(change(&app, TargetState::Active));
        stage.settle();
        match round % 3 {
            0 => {
                server.hears(|_| {});
                server.replies(Err(link::Refusal::Busy));
            }
            1 => server.process.exit(ExitStatus::Killed(11)),
            _ => stage.time_out(),
        }
        stage.settle();
        let expected = [Refusal::ServerRefused, Refusal::ServerGone, Refusal::ServerTimeout];
        assert_eq!(observer.answer(), Err(expected[round % 3].clone()));
        server.process.exit(ExitStatus::Exited(0));
        stage.settle();
        assert!(observer.answer_if_any().is_none());
        let ends = observer.events.drain(..).filter(|event| {
            matches!(event, Event::StateChanged { state: ServerState::Error | ServerState::NotRunning, .. })
        });
        assert_eq!(ends.count(), 1, "round {round}");
    }
    assert_eq!(stage.driver.machine().next_deadline(), None);
    replays_to(stage.driver.machine(), stage.driver.recorder());
}

/// SM-36, Field failure 10: an answer that is there is taken, however long the manager was kept from looking.
#[test]
fn a_manager_that_was_stopped_for_long_ends_no_healthy_server() {
    let health = HealthCheck { interval_ms: 1_000, failures_max: 1 };
    let mut stage = Stage::with(Settings { health, ..Settings::default() });
    let mut controller = stage.connect();
    let mut server = stage.run(&mut controller, "app1");
    for _ in 0..3 {
        stage.world.advance_to(stage.driver.next_deadline().unwrap());
        let now = stage.world.now();
        stage.driver.turn(now, &[]);
        server.hears(|command| assert_eq!(command, link::Command::Ping));
        server.replies(Ok(()));
        stage.world.advance_to(now.after(Duration::from_secs(60)));
        stage.settle();
        // Whoever overslept waits a moment before its tick.
        stage.time_out();
        server.hears(|command| assert_eq!(command, link::Command::Ping));
        server.replies(Ok(()));
        stage.settle();
    }
    assert_eq!(server.process.signals(), []);
}
