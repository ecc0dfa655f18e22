//! The manager's driver in the simulated world: the test plays the controllers and the session servers.

mod controllers;
mod lives;
mod restarts;
mod spares;

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
