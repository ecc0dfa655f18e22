//! A session server in the simulated world; the test is its manager, its apps and its decoders.

use greenroom_core::driver::{Connection, Frames, Incoming, SessionDriver};
use greenroom_core::hal::{Descriptors, Peer};
use greenroom_core::health::HealthCheck;
use greenroom_core::limits::MESSAGE_BYTES_MAX;
use greenroom_core::message::playback::{Answer, Command, Event, Message, Refusal, Request, SessionId};
use greenroom_core::message::{Allowed, LogLevels, Reason, Resources, ServerState, TargetState, link};
use greenroom_hal_mock::{Descriptor, Memory, MockDecoder, MockKeys, SeqPacket, ServerHome, World};

use crate::recording::{Recorder, recorder};

/// Where the server listens.
pub const PATH: &str = "/run/greenroom/app1";
/// Who connects.
pub const PEER: Peer = Peer::new(7, 1000, 1000);

/// Decoders fed from the rings of this world.
pub type Decoders = MockDecoder<Frames<Memory>>;

/// Where the server lives.
pub type Home = ServerHome<Decoders>;

/// A session server in its world.
pub struct Stage {
    /// Its world.
    pub world: World,
    /// What it lives in.
    pub home: Home,
    /// What is tested.
    pub driver: SessionDriver<Home, Recorder>,
    /// The manager's end of the link.
    pub manager: Connection<SeqPacket>,
    /// Its memory.
    pub memory: Memory,
    /// Its decoders.
    pub decoders: Decoders,
    /// Its key systems.
    pub keys: MockKeys,
}

impl Stage {
    /// A server that has just started.
    pub fn started() -> Self {
        Self::in_world(World::new(1))
    }

    /// A server that has just started in a world that is there.
    pub fn in_world(world: World) -> Self {
        let (ours, theirs) = SeqPacket::pair(&world);
        let (memory, decoders) = (Memory::new(&world), MockDecoder::new(&world));
        let mut home = ServerHome::new(&world, memory.clone(), decoders.clone());
        home.watch_parts().unwrap();
        let (keys, driver) = (home.keys.clone(), SessionDriver::new(theirs, recorder()));
        let mut stage = Self { world, home, driver, manager: Connection::answering(ours), memory, decoders, keys };
        stage.driver.start(&mut stage.home, stage.world.now(), Ok(()));
        assert_eq!(stage.heard(), [state(ServerState::Uninitialized)]);
        stage
    }

    /// A server that was told its first state.
    pub fn configured(target: TargetState) -> Self {
        let mut stage = Self::started();
        stage.ask(link::Command::SetConfiguration(configuration(target)));
        stage
    }

    /// A server that is Active.
    pub fn active() -> Self {
        let mut stage = Self::configured(TargetState::Active);
        assert_eq!(stage.heard().last(), Some(&state(ServerState::Active)));
        stage
    }

    /// Lets the server work until nothing is ready.
    pub fn run(&mut self) {
        for _ in 0..100 {
            let ready = self.home.platform.events.ready();
            if ready.is_empty() || self.driver.exit_status().is_some() {
                return;
            }
            self.driver.turn(&mut self.home, self.world.now(), &ready);
        }
        panic!("the server does not come to rest");
    }

    /// Lets time pass.
    pub fn pass(&mut self, duration: std::time::Duration) {
        self.world.advance(duration);
        self.driver.turn(&mut self.home, self.world.now(), &[]);
    }

    /// Asks as the manager.
    pub fn ask(&mut self, command: link::Command<'_>) {
        self.manager.send(&link::Request { sequence: 1, command }, Descriptors::new()).unwrap();
        self.run();
    }

    /// What the manager has heard since.
    pub fn heard(&mut self) -> Vec<link::Message> {
        let mut heard = Vec::new();
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        let mut descriptors = Descriptors::new();
        while let Ok(Incoming::Message { message, .. }) = self.manager.receive(&mut buffer, &mut descriptors) {
            assert_eq!(descriptors.len(), usize::from(message == link::Message::Listener));
            heard.push(message);
        }
        heard
    }

    /// An app that has said nothing yet.
    pub fn connect(&mut self) -> App {
        let socket = self.world.connect(PATH, PEER).unwrap();
        let app = App::new(socket);
        self.run();
        app
    }

    /// An app that has said Hello.
    pub fn greeted(&mut self) -> App {
        let mut app = self.connect();
        app.send(Command::Hello);
        self.run();
        let welcome = app.answer().unwrap();
        assert!(matches!(welcome, Answer::Welcome { version: 1, .. }), "{welcome:?}");
        app
    }

    /// A call and its answer.
    pub fn call(&mut self, app: &mut App, command: Command<'_>) -> Result<Answer, Refusal> {
        app.send(command);
        self.run();
        app.answer()
    }

    /// An app with memory and a session.
    pub fn with_session(&mut self) -> (App, SessionId) {
        let mut app = self.greeted();
        self.call(&mut app, Command::GetSharedMemory).unwrap();
        let made = self.call(&mut app, Command::CreateSession);
        let Ok(Answer::Session { session }) = made else { panic!("{made:?}") };
        (app, session)
    }
}

/// The app's end of a connection.
pub struct App {
    /// The connection.
    pub connection: Connection<SeqPacket>,
    /// What came with the last message.
    pub descriptors: Descriptors<Descriptor>,
    /// The last message.
    buffer: [u8; MESSAGE_BYTES_MAX],
}

impl App {
    /// An app at this socket.
    pub fn new(socket: SeqPacket) -> Self {
        let connection = Connection::asking(socket);
        Self { connection, descriptors: Descriptors::new(), buffer: [0; MESSAGE_BYTES_MAX] }
    }

    /// Makes a call.
    pub fn send(&mut self, command: Command<'_>) {
        self.connection.send(&Request { sequence: 9, command }, Descriptors::new()).unwrap();
    }

    /// What the server said next.
    pub fn hear(&mut self) -> Option<Message<'_>> {
        match self.connection.receive(&mut self.buffer, &mut self.descriptors) {
            Ok(Incoming::Message { message, .. }) => Some(message),
            Ok(Incoming::Nothing | Incoming::Closed) => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// The next answer; events before it are dropped.
    pub fn answer(&mut self) -> Result<Answer, Refusal> {
        loop {
            match self.hear().expect("an answer is there") {
                Message::Reply { sequence, result } => {
                    assert_eq!(sequence, 9);
                    return result;
                }
                Message::Event(_) | Message::Text { .. } | Message::Keys(_) => {}
            }
        }
    }

    /// The events that have come; answers among them are dropped.
    pub fn events(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(message) = self.hear() {
            events.extend(if let Message::Event(event) = message { Some(event) } else { None });
        }
        events
    }

    /// Whether the server has closed; what comes before is dropped.
    pub fn is_closed(&mut self) -> bool {
        loop {
            match self.connection.receive::<Message<'_>>(&mut self.buffer, &mut self.descriptors) {
                Ok(Incoming::Message { .. }) => {}
                Ok(Incoming::Nothing) => return false,
                Ok(Incoming::Closed) | Err(_) => return true,
            }
        }
    }
}

/// A configuration for two sessions.
pub fn configuration(state: TargetState) -> link::Configuration<'static> {
    link::Configuration {
        app: "app1",
        socket: PATH,
        socket_mode: 0o660,
        socket_owner: "",
        socket_group: "root",
        state,
        resources: Resources { max_playback_sessions: 2, max_web_audio_players: 2, max_key_sessions: 2 },
        log_levels: LogLevels::default(),
        video_sink: "fake",
        audio_sink: "fake",
        clients: Allowed::default(),
        health: HealthCheck::OFF,
    }
}

/// A notification without a reason.
pub fn state(state: ServerState) -> link::Message {
    link::Message::StateChanged { state, reason: None }
}

/// A notification with its reason.
pub fn last_word(state: ServerState, reason: Reason) -> link::Message {
    link::Message::StateChanged { state, reason: Some(reason) }
}

/// The manager's request was taken.
pub const OK: link::Message = link::Message::Reply { sequence: 1, result: Ok(()) };
