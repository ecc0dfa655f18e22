//! Controllers: who may ask what, and who does not listen.

use super::*;

/// SM-30
///
/// Field failure 27
#[test]
fn a_controller_that_leaves_while_it_waits_costs_nobody_anything() {
    let mut stage = Stage::new();
    let mut controller = stage.connect();
    let mut server = stage.run(&mut controller, "app1");
    controller.ask(change("app1", TargetState::Active));
    controller.ask(change("app1", TargetState::NotRunning));
    stage.settle();
    drop(controller);
    stage.settle();
    assert_eq!(stage.driver.controllers(), 0);
    server.hears(|command| assert_eq!(command, link::Command::SetState(TargetState::Active)));
    server.replies(Ok(()));
    server.says(ServerState::Active, None);
    stage.settle();
    let mut observer = stage.connect();
    let Ok(Answer::App { status, .. }) = stage.ask(&mut observer, Command::List { from: 0 }) else { panic!() };
    assert_eq!(status.state, Some(ServerState::Active));
}

/// SM-37: one place for an answer, so one request at a time on a connection; another connection is not held up.
#[test]
fn what_a_controller_asks_while_it_waits_is_taken_after_its_answer() {
    let mut stage = Stage::new();
    let mut controller = stage.connect();
    let mut server = stage.run(&mut controller, "app1");
    controller.ask(change("app1", TargetState::Active));
    stage.settle();
    controller.ask(Command::ConnectionInfo { app: "app1" });
    stage.settle();
    assert!(controller.answer_if_any().is_none());
    let mut other = stage.connect();
    assert_eq!(stage.ask(&mut other, change("app1", TargetState::Inactive)), Err(Refusal::Busy));
    server.hears(|_| {});
    server.replies(Ok(()));
    stage.settle();
    controller.sequence -= 1;
    assert_eq!(controller.answer(), Ok(Answer::Done));
    controller.sequence += 1;
    assert!(matches!(controller.answer(), Ok(Answer::ConnectionInfo { .. })));
}

/// SM-31: what it hears has no gap that it does not know of.
#[test]
fn an_observer_that_is_too_slow_is_told_how_much_it_missed() {
    let mut stage = Stage::new();
    let mut controller = stage.connect();
    let mut slow = stage.observe();
    slow.socket.set_capacity(0);
    // One event waits in the connection itself.
    for _ in 0..OBSERVER_BACKLOG_MAX + 1 + 4 {
        let server = stage.initiate(&mut controller, "app1");
        server.process.exit(ExitStatus::Exited(1));
        stage.settle();
    }
    slow.socket.set_capacity(1);
    while slow.socket.waiting() > 0 || slow.events.is_empty() {
        stage.settle();
        assert!(slow.answer_if_any().is_none());
        stage.settle();
    }
    assert_eq!(slow.events.len(), OBSERVER_BACKLOG_MAX + 2);
    assert_eq!(slow.events.last(), Some(&Event::Missed(4)));
}

/// SM-30: its request and the event that fills its queue come in one turn.
#[test]
fn an_observer_that_asks_while_its_queue_fills_up_is_answered_later() {
    let mut stage = Stage::new();
    let mut observer = stage.observe();
    let mut server = stage.initiate(&mut observer, "app1");
    observer.socket.set_capacity(0);
    server.says(ServerState::Uninitialized, None);
    observer.ask(Command::Watch);
    stage.settle();
    observer.socket.set_capacity(2);
    stage.settle();
    assert_eq!(observer.answer(), Ok(Answer::Done));
    assert_eq!(observer.heard(), [("app1".to_owned(), ServerState::Uninitialized, None)]);
}

#[test]
fn a_user_who_may_not_is_denied_and_let_go() {
    let mut stage = Stage::new();
    let socket = stage.world.connect(CONTROL, STRANGER).unwrap();
    let mut stranger = Controller { socket, sequence: 0, events: Vec::new() };
    stranger.greet();
    stage.settle();
    assert_eq!(stranger.answer(), Err(Refusal::Denied));
    assert!(stranger.is_closed());
    assert_eq!(stage.driver.controllers(), 0);
}

/// SM-35
#[test]
fn who_may_drive_one_app_is_refused_every_other_and_the_box() {
    let mut stage = Stage::new();
    let mut partial = stage.connect_as(PARTIAL);
    let user_id = PARTIAL.user_id;
    let app = AppId::new("app2").unwrap();
    let denied = Err(Refusal::AppDenied { user_id, app });
    let foreign = Command::Initiate { app: "app2", state: TargetState::Inactive, socket: "" };
    assert_eq!(stage.ask(&mut partial, foreign), denied);
    assert_eq!(stage.ask(&mut partial, Command::ChangeState { app: "app2", state: TargetState::Active }), denied);
    assert_eq!(stage.ask(&mut partial, Command::ConnectionInfo { app: "app2" }), denied);
    let levels = Command::SetLogLevel { component: Component::Default, level: LogLevel::Debug };
    for command in [levels, Command::Stop, Command::Trace { from: 0 }] {
        assert_eq!(stage.ask(&mut partial, command), Err(Refusal::BoxDenied { user_id }));
    }
    for socket in ["app2.sock", "app1.sock", "/run/anywhere.sock"] {
        let own = Command::Initiate { app: "app1", state: TargetState::Inactive, socket };
        assert_eq!(stage.ask(&mut partial, own), Err(Refusal::SocketDenied { user_id }));
    }
    assert_eq!((stage.last, stage.world.next_started().is_none()), (Turn::Next, true));
    stage.run(&mut partial, "app1");
}

#[test]
fn who_may_drive_one_app_sees_no_other() {
    let mut stage = Stage::new();
    let mut full = stage.observe();
    let mut partial = stage.connect_as(PARTIAL);
    assert_eq!(stage.ask(&mut partial, Command::Watch), Ok(Answer::Done));
    let _other = stage.run(&mut full, "app0");
    let _own = stage.run(&mut full, "app1");
    let _another = stage.run(&mut full, "app2");
    let seen: Vec<_> = partial.heard().into_iter().map(|(app, state, _)| (app, state)).collect();
    let own = |state| ("app1".to_owned(), state);
    assert_eq!(seen, [own(ServerState::Uninitialized), own(ServerState::Inactive)]);
    let Ok(Answer::App { next, status }) = stage.ask(&mut partial, Command::List { from: 0 }) else { panic!("no app") };
    assert_eq!(status.app.as_str(), "app1");
    assert!(matches!(stage.ask(&mut partial, Command::List { from: next }), Ok(Answer::Box(_))));
    assert!(matches!(stage.ask(&mut full, Command::List { from: next }), Ok(Answer::App { .. })));
}

#[test]
fn a_refusal_does_not_tell_of_apps_that_its_reader_may_not_see() {
    let mut stage = Stage::new();
    let mut full = stage.connect();
    let mut partial = stage.connect_as(PARTIAL);
    let active = |app| Command::Initiate { app, state: TargetState::Active, socket: "" };
    assert_eq!(stage.ask(&mut full, active("app2")), Ok(Answer::Done));
    let refused = stage.ask(&mut partial, active("app1"));
    let Err(Refusal::Decoders { free: 0, holders, .. }) = refused else { panic!("not refused: {refused:?}") };
    assert!(holders.is_empty(), "{holders:?}");
    let repeated = stage.ask(&mut partial, Command::List { from: 9 });
    let Ok(Answer::Box(BoxStatus { last_refusal: Some(last), .. })) = repeated else { panic!("no box: {repeated:?}") };
    assert!(matches!(last.refusal, Refusal::Decoders { holders, .. } if holders.is_empty()));
    let taken = Command::Initiate { app: "app1", state: TargetState::Inactive, socket: "app2.sock" };
    let user_id = PARTIAL.user_id;
    assert_eq!(stage.ask(&mut partial, taken), Err(Refusal::SocketDenied { user_id }));
    let owner = AppId::new("app2").unwrap();
    assert_eq!(stage.ask(&mut full, taken), Err(Refusal::SocketInUse { app: owner }));
    assert!(stage.ask(&mut full, Command::ConnectionInfo { app: "app9" }).is_err());
    let last = |answer| match answer {
        Ok(Answer::Box(status)) => status.last_refusal.map(|last| last.refusal),
        other => panic!("no box: {other:?}"),
    };
    assert_eq!(last(stage.ask(&mut partial, Command::List { from: 9 })), None);
    assert_eq!(last(stage.ask(&mut full, Command::List { from: 9 })), Some(Refusal::UnknownApp));
}

#[test]
fn users_who_may_not_cannot_keep_out_those_who_may() {
    let mut stage = Stage::new();
    let _strangers: Vec<SeqPacket> =
        (0..CONTROLLERS_MAX).map(|_| stage.world.connect(CONTROL, STRANGER).unwrap()).collect();
    stage.settle();
    stage.connect();
}

#[test]
fn a_connection_that_does_not_begin_as_it_must_is_ended_alone() {
    let mut stage = Stage::new();
    let mut bystander = stage.connect();
    // No opening; an opening cut short; garbage behind an opening; another command than Hello.
    let list = [0xC7, b'G', b'R', 1, 1, 9, 5, 0];
    for bytes in [&[1, 0][..], &[0xC7, b'G'], &[0xC7, b'G', b'R', 1, 1, 0xFF], &list] {
        let mut socket = stage.world.connect(CONTROL, ME).unwrap();
        socket.send(bytes, &[]).unwrap();
        stage.settle();
        assert_eq!(stage.driver.controllers(), 1, "{bytes:?}");
    }
    assert_eq!(stage.ask(&mut bystander, Command::Watch), Ok(Answer::Done));
}

/// Field failure 58
#[test]
fn a_version_that_is_not_spoken_and_a_request_that_is_not_known_are_refused_by_name() {
    let mut stage = Stage::new();
    let mut socket = stage.world.connect(CONTROL, ME).unwrap();
    socket.send(&[0xC7, b'G', b'R', 9, 9, 1, 0], &[]).unwrap();
    stage.settle();
    let mut old = Controller { socket, sequence: 1, events: Vec::new() };
    assert_eq!(old.answer(), Err(Refusal::Version { min: 1, max: 1 }));
    assert!(old.is_closed());
    let mut controller = stage.connect();
    controller.sequence = 77;
    controller.socket.send(&[77, 99], &[]).unwrap();
    stage.settle();
    assert_eq!(controller.answer(), Err(Refusal::Malformed));
    assert_eq!(stage.ask(&mut controller, Command::Watch), Ok(Answer::Done));
}

#[test]
fn one_controller_too_many_is_closed_and_the_others_stay() {
    let mut stage = Stage::new();
    let mut controllers: Vec<Controller> = (0..CONTROLLERS_MAX).map(|_| stage.connect()).collect();
    let mut late = stage.world.connect(CONTROL, ME).unwrap();
    stage.settle();
    assert_eq!(late.receive(&mut [0; 8], &mut Descriptors::new()).unwrap(), Received::Closed);
    assert_eq!(stage.ask(&mut controllers[0], Command::Watch), Ok(Answer::Done));
    controllers.pop();
    stage.settle();
    stage.connect();
}

#[test]
fn when_nothing_can_be_accepted_it_is_tried_again_later_and_not_all_the_time() {
    let mut stage = Stage::new();
    stage.world.fail_next(Call::Accept, ErrorKind::Exhausted);
    let socket = stage.world.connect(CONTROL, ME).unwrap();
    stage.settle();
    let mut controller = Controller { socket, sequence: 0, events: Vec::new() };
    controller.greet();
    stage.settle();
    assert!(controller.answer_if_any().is_none());
    stage.time_out();
    assert_eq!(controller.answer(), Ok(Answer::Welcome { version: 1 }));
}

/// SM-30
#[test]
fn a_request_that_is_cut_in_the_midst_of_its_number_is_an_answer_to_nobody() {
    let mut stage = Stage::new();
    let mut controller = stage.connect();
    controller.socket.send(&[0xD7], &[]).unwrap();
    stage.settle();
    assert!(controller.is_closed(), "what has no number cannot be refused");
}
