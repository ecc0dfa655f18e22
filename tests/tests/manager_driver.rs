//! The manager's driver in the simulated world: the test plays the controllers and the session servers.

use std::time::Duration;

use greenroom_core::codec::postcard;
use greenroom_core::driver::{Machine, ManagerDriver, Turn};
use greenroom_core::hal::{
    Descriptors, ErrorKind, ExitStatus, Listen, Listener, Peer, Received, Signal, Socket, SocketPlace,
};
use greenroom_core::health::HealthCheck;
use greenroom_core::limits::{CONTROLLERS_MAX, MESSAGE_BYTES_MAX, OBSERVER_BACKLOG_MAX};
use greenroom_core::manager::{Manager, Settings};
use greenroom_core::message::control::{Answer, BoxStatus, Command, Event, Message, Refusal, Request};
use greenroom_core::message::{
    AppId, AppState, Component, LogLevel, Reason, Resources, ServerState, TargetState, link,
};
use greenroom_hal_mock::process::Process;
use greenroom_hal_mock::{
    CONTROL, Call, Descriptor, Grants, ListeningSocket, ManagerHome, SeqPacket, SocketFiles, Spawner, World,
};
use greenroom_tests::recording::{Recorder, recorder, replays_to};

/// Of the app "app1".
const SOCKET: &str = "/run/greenroom/app1.sock";
const ME: Peer = Peer::new(2, 1000, 1000);
/// Who may drive "app1" only.
const PARTIAL: Peer = Peer::new(4, 1002, 1002);
const STRANGER: Peer = Peer::new(3, 1001, 1001);

/// A box with a manager.
struct Stage {
    world: World,
    driver: Box<ManagerDriver<ManagerHome, Recorder>>,
    last: Turn,
}

/// Nobody is asked whether they get on, so that time passes for what a test is about.
fn calm() -> Settings {
    Settings { health: HealthCheck::OFF, ..Settings::default() }
}

impl Stage {
    /// One that restarts nothing, so that an end is the end.
    fn new() -> Self {
        Self::with(Settings { restart: false, ..calm() })
    }

    fn with(settings: Settings) -> Self {
        let world = World::new(7);
        let grants = Grants::new().everything(ME.user_id).app(PARTIAL.user_id, "app1");
        let mut home = ManagerHome::new(&world, Spawner::new(&world), grants);
        home.resources = Resources { max_playback_sessions: 1, max_web_audio_players: 2, max_key_sessions: 0 };
        let control = home.open_control().unwrap();
        let machine = Manager::new(settings);
        let mut driver = Box::new(ManagerDriver::new(machine, home, control, recorder()));
        driver.start().unwrap();
        Self { world, driver, last: Turn::Next }
    }

    /// Takes turns until nothing is ready.
    fn settle(&mut self) {
        for _ in 0..1_000 {
            let ready = self.driver.host().events.ready();
            let due = self.driver.next_deadline().is_some_and(|at| at <= self.world.now());
            if ready.is_empty() && !due {
                return;
            }
            self.last = self.driver.turn(self.world.now(), &ready);
        }
        panic!("it does not come to rest");
    }

    /// Lets time pass up to the next deadline.
    fn time_out(&mut self) {
        self.world.advance_to(self.driver.next_deadline().expect("something has a time limit"));
        self.settle();
    }

    fn connect(&mut self) -> Controller {
        self.connect_as(ME)
    }

    fn connect_as(&mut self, peer: Peer) -> Controller {
        let socket = self.world.connect(CONTROL, peer).unwrap();
        let mut controller = Controller { socket, sequence: 0, events: Vec::new() };
        controller.greet();
        self.settle();
        assert_eq!(controller.answer(), Ok(Answer::Welcome { version: 1 }));
        controller
    }

    fn observe(&mut self) -> Controller {
        let mut observer = self.connect();
        assert_eq!(self.ask(&mut observer, Command::Watch), Ok(Answer::Done));
        observer
    }

    fn ask(&mut self, controller: &mut Controller, command: Command<'_>) -> Result<Answer, Refusal> {
        controller.ask(command);
        self.settle();
        controller.answer()
    }

    fn initiate(&mut self, controller: &mut Controller, app: &str) -> Server {
        let command = Command::Initiate { app, state: TargetState::Inactive, socket: "" };
        assert_eq!(self.ask(controller, command), Ok(Answer::Done));
        self.next_server().unwrap()
    }

    /// A session server that is Inactive.
    fn run(&mut self, controller: &mut Controller, app: &str) -> Server {
        let server = self.initiate(controller, app);
        self.bring_up(server).0
    }

    /// Brings a session server up; gives the socket that it was handed.
    fn bring_up(&mut self, mut server: Server) -> (Server, Option<Descriptor>) {
        server.says(ServerState::Uninitialized, None);
        self.settle();
        let mut inherited = server.hears(|command| assert!(matches!(command, link::Command::SetConfiguration(_))));
        server.replies(Ok(()));
        server.says(ServerState::Inactive, None);
        self.settle();
        (server, inherited.pop())
    }

    /// The session server that was started last.
    fn next_server(&mut self) -> Option<Server> {
        self.world.next_started().map(|process| Server { process, greeted: false, sequence: 0 })
    }

    /// A session server makes its socket and hands it up.
    fn listen(&mut self, server: &mut Server, theirs: &mut SocketFiles) -> ListeningSocket {
        let listener = theirs.listen(&SocketPlace { path: SOCKET, mode: 0o640, owner: "", group: "" }).unwrap();
        server.hands_up(&theirs.duplicate(&listener).unwrap());
        self.settle();
        listener
    }

    fn watched(&mut self) -> usize {
        self.driver.host().events.watched()
    }
}

struct Controller {
    socket: SeqPacket,
    sequence: u32,
    events: Vec<Event>,
}

impl Controller {
    fn greet(&mut self) {
        self.sequence += 1;
        let mut buffer = [0; 256];
        let hello = Request { sequence: self.sequence, command: Command::Hello };
        let bytes = postcard::encode_first(&hello, &mut buffer).unwrap();
        self.socket.send(bytes, &[]).unwrap();
    }

    fn ask(&mut self, command: Command<'_>) {
        self.sequence += 1;
        let mut buffer = [0; 256];
        let request = Request { sequence: self.sequence, command };
        self.socket.send(postcard::encode(&request, &mut buffer).unwrap(), &[]).unwrap();
    }

    fn receive(&mut self) -> Option<Message> {
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        match self.socket.receive(&mut buffer, &mut Descriptors::new()).unwrap() {
            Received::Message { bytes } => Some(postcard::decode(&buffer[..bytes]).unwrap()),
            _ => None,
        }
    }

    fn is_closed(&mut self) -> bool {
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        self.socket.receive(&mut buffer, &mut Descriptors::new()).unwrap() == Received::Closed
    }

    /// The answer to the last request, and nothing else.
    fn answer(&mut self) -> Result<Answer, Refusal> {
        self.answer_if_any().expect("an answer")
    }

    fn answer_if_any(&mut self) -> Option<Result<Answer, Refusal>> {
        while let Some(message) = self.receive() {
            match message {
                Message::Event(event) => self.events.push(event),
                Message::Reply { sequence, result } => {
                    assert_eq!(sequence, self.sequence);
                    return Some(result);
                }
            }
        }
        None
    }

    fn heard(&mut self) -> Vec<(String, ServerState, Option<Reason>)> {
        assert!(self.answer_if_any().is_none());
        let events = self.events.drain(..).map(|event| match event {
            Event::StateChanged { app, state, reason } => (app.to_string(), state, reason),
            other => panic!("{other:?}"),
        });
        events.collect()
    }
}

struct Server {
    process: Process,
    greeted: bool,
    sequence: u32,
}

impl Server {
    fn send(&mut self, message: &link::Message) {
        let mut buffer = [0; 256];
        let bytes = if self.greeted {
            postcard::encode(message, &mut buffer).unwrap()
        } else {
            postcard::encode_first(message, &mut buffer).unwrap()
        };
        self.greeted = true;
        self.process.link().send(bytes, &[]).unwrap();
    }

    fn says(&mut self, state: ServerState, reason: Option<Reason>) {
        self.send(&link::Message::StateChanged { state, reason });
    }

    fn replies(&mut self, result: Result<(), link::Refusal>) {
        self.send(&link::Message::Reply { sequence: self.sequence, result });
    }

    fn hands_up(&mut self, listener: &Descriptor) {
        let mut buffer = [0; 16];
        let bytes = postcard::encode(&link::Message::Listener, &mut buffer).unwrap();
        self.process.link().send(bytes, &[listener]).unwrap();
    }

    /// Takes the next request; gives the descriptors that came with it.
    fn hears(&mut self, check: impl FnOnce(link::Command<'_>)) -> Descriptors<Descriptor> {
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        let mut descriptors = Descriptors::new();
        let received = self.process.link().receive(&mut buffer, &mut descriptors).unwrap();
        let Received::Message { bytes } = received else { panic!("{received:?}") };
        let request: link::Request<'_> = postcard::decode(&buffer[..bytes]).unwrap();
        self.sequence = request.sequence;
        check(request.command);
        descriptors
    }
}

fn change(app: &str, state: TargetState) -> Command<'_> {
    Command::ChangeState { app, state }
}

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

impl Stage {
    /// A manager whose one spare is up.
    fn with_spare() -> (Self, Server) {
        let mut stage = Self::with(Settings { spares: 1, ..calm() });
        let spare = stage.next_spare();
        (stage, spare)
    }

    fn next_spare(&mut self) -> Server {
        self.settle();
        let mut spare = self.next_server().expect("a spare is started");
        spare.says(ServerState::Uninitialized, None);
        self.settle();
        spare
    }
}

/// SM-05 to SM-07, SM-34: the app gets the process and the link of the spare.
#[test]
fn a_start_configures_the_spare_and_no_process_is_started_for_it() {
    let (mut stage, mut spare) = Stage::with_spare();
    let mut controller = stage.observe();
    let start = Command::Initiate { app: "app1", state: TargetState::Inactive, socket: "" };
    assert_eq!(stage.ask(&mut controller, start), Ok(Answer::Done));
    assert!(stage.next_server().is_none());
    spare.hears(|command| {
        let link::Command::SetConfiguration(configuration) = command else { panic!("{command:?}") };
        assert_eq!((configuration.app, configuration.socket), ("app1", SOCKET));
    });
    spare.replies(Ok(()));
    spare.says(ServerState::Inactive, None);
    stage.settle();
    let states: Vec<_> = controller.heard().into_iter().map(|(_, state, _)| state).collect();
    assert_eq!(states, [ServerState::Uninitialized, ServerState::Inactive]);
    let next = stage.next_spare();
    spare.process.exit(ExitStatus::Killed(11));
    stage.settle();
    assert!(next.process.is_alive(), "the end of the app's server is no business of the next spare");
    let heard = controller.heard();
    assert_eq!(heard[0], ("app1".to_owned(), ServerState::Error, Some(Reason::Killed(11))));
    assert_eq!(heard[1], ("app1".to_owned(), ServerState::Uninitialized, None));
}

/// SM-36: the socket of the dead server goes to the spare.
#[test]
fn a_restart_hands_the_socket_to_the_spare() {
    let (mut stage, spare) = Stage::with_spare();
    let mut controller = stage.connect();
    let start = Command::Initiate { app: "app1", state: TargetState::Inactive, socket: "" };
    assert_eq!(stage.ask(&mut controller, start), Ok(Answer::Done));
    let mut first = spare;
    first.hears(|_| {});
    first.replies(Ok(()));
    first.says(ServerState::Inactive, None);
    stage.settle();
    let mut theirs = SocketFiles::new(&stage.world);
    let _listener = stage.listen(&mut first, &mut theirs);
    let mut second = stage.next_spare();
    first.process.exit(ExitStatus::Killed(9));
    stage.settle();
    let mut inherited = second.hears(|command| assert!(matches!(command, link::Command::SetConfiguration(_))));
    assert!(SocketFiles::new(&stage.world).adopt(inherited.pop().expect("a socket")).is_ok());
}

/// SM-34, Field failure A
#[test]
fn a_spare_that_dies_leaves_nothing_and_is_replaced() {
    let (mut stage, spare) = Stage::with_spare();
    let watched = stage.watched();
    spare.process.exit(ExitStatus::Killed(11));
    let next = stage.next_spare();
    assert_eq!(stage.watched(), watched);
    next.process.exit(ExitStatus::Killed(11));
    stage.settle();
    assert!(stage.next_server().is_none(), "the second one waits");
    stage.time_out();
    assert!(stage.next_server().is_some());
}

/// SM-38
#[test]
fn a_manager_that_ends_asks_its_spare_to_end_and_waits_for_it() {
    let (mut stage, mut spare) = Stage::with_spare();
    let now = stage.world.now();
    assert_eq!(stage.driver.terminate(now), Turn::Next);
    spare.hears(|command| assert_eq!(command, link::Command::SetState(TargetState::NotRunning)));
    spare.replies(Ok(()));
    spare.says(ServerState::NotRunning, Some(Reason::Asked));
    stage.settle();
    assert_eq!(stage.last, Turn::Next);
    spare.process.exit(ExitStatus::Exited(0));
    stage.settle();
    assert_eq!(stage.last, Turn::Exit);
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

/// SM-30
#[test]
fn a_request_that_is_cut_in_the_midst_of_its_number_is_an_answer_to_nobody() {
    let mut stage = Stage::new();
    let mut controller = stage.connect();
    controller.socket.send(&[0xD7], &[]).unwrap();
    stage.settle();
    assert!(controller.is_closed(), "what has no number cannot be refused");
}
