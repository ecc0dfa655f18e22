//! A real session server in its own process; the test is its manager and its app.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use greenroom_core::driver::{Connection, Incoming};
use greenroom_core::hal::{Child, Descriptors, ExitStatus, Interest, Spawn, Token, Watch};
use greenroom_core::limits::MESSAGE_BYTES_MAX;
use greenroom_core::message::playback::{Answer, Command as Call, Event, Message, Refusal, Request, SessionId};
use greenroom_core::message::{ServerState, TargetState, link};
use greenroom_hal_linux::clock::Clock;
use greenroom_hal_linux::event_loop::EventLoop;
use greenroom_hal_linux::process::{PidChild, Program, Spawner};
use greenroom_hal_linux::socket::SeqPacket;
use serde::Deserialize;

use crate::observe::TRACE;
use crate::session_stage::{OK, configuration, state};

/// Far more than anything here needs; a test fails when it passes, and never depends on it otherwise.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The program under test, which `make e2e` builds before these tests.
pub fn program() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests.ancestors().nth(2).unwrap().join("greenroom-session");
    assert!(program.exists(), "{} is not built; run 'make e2e'", program.display());
    program
}

/// Waits until the socket has something, and receives it. `None`: the peer has closed.
pub fn receive<'b, M: Deserialize<'b>>(
    connection: &mut Connection<SeqPacket>,
    buffer: &'b mut [u8; MESSAGE_BYTES_MAX],
    descriptors: &mut Descriptors<OwnedFd>,
) -> Option<M> {
    let deadline = Clock.now().after(PATIENCE);
    let mut events = EventLoop::new().unwrap();
    let token = Token { kind: 0, index: 0, generation: 0 };
    events.watch(connection.socket(), token, Interest::Read).unwrap();
    assert!(!events.wait(Some(deadline)).unwrap().is_empty(), "nothing was said in time");
    match connection.receive(buffer, descriptors).unwrap() {
        Incoming::Message { message, .. } => Some(message),
        Incoming::Closed => None,
        Incoming::Nothing => panic!("the socket was ready"),
    }
}

/// Waits until something holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::yield_now();
    }
}

/// A session server, and the manager's end of its link.
pub struct Server {
    /// Its process.
    pub child: PidChild,
    /// The manager's end.
    pub link: Connection<SeqPacket>,
    directory: tempfile::TempDir,
}

impl Server {
    /// A process that has said that it is up (SM-05).
    pub fn started() -> Self {
        let mut environment = Vec::new();
        for name in ["PATH", "HOME"] {
            environment.extend(std::env::var(name).ok().map(|value| (name.to_owned(), value)));
        }
        environment.push(("GREENROOM_KEY_PROVIDER".to_owned(), "test".to_owned()));
        let program = Program { path: program(), arguments: Vec::new(), environment };
        let (child, link) = Spawner::new(program).spawn().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let mut server = Self { child, link: Connection::answering(link), directory };
        assert_eq!(server.hear(), state(ServerState::Uninitialized));
        server
    }

    /// A process that has been told its first state and is in it.
    pub fn configured(target: TargetState) -> Self {
        let mut server = Self::started();
        let socket = server.socket();
        server.ask(link::Command::SetConfiguration(configured_at(&socket, target)));
        assert_eq!(server.hear(), OK);
        assert_eq!(server.hear(), link::Message::Listener);
        assert_eq!(server.hear(), state(target.into()));
        server
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("app1")
    }

    /// Asks as the manager.
    pub fn ask(&mut self, command: link::Command<'_>) {
        self.link.send(&link::Request { sequence: 1, command }, Descriptors::new()).unwrap();
    }

    /// Asks for a state and hears the answer.
    pub fn set(&mut self, target: TargetState) {
        self.ask(link::Command::SetState(target));
        assert_eq!(self.hear(), OK);
    }

    /// What the server says next, apart from how many clients it has.
    pub fn hear(&mut self) -> link::Message {
        loop {
            let mut descriptors = Descriptors::new();
            let mut buffer = [0; MESSAGE_BYTES_MAX];
            match receive(&mut self.link, &mut buffer, &mut descriptors).expect("the server is there") {
                link::Message::Clients { .. } => {}
                message => {
                    assert_eq!(descriptors.len(), usize::from(message == link::Message::Listener));
                    return message;
                }
            }
        }
    }

    /// Waits until the process has ended.
    pub fn exit_status(&mut self) -> ExitStatus {
        let mut status = None;
        until("the server ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Regions of shared memory that the process holds a descriptor of, and that it has mapped.
    pub fn memory(&self) -> (usize, usize) {
        let proc = Path::new("/proc").join(self.child.process_id().to_string());
        let links = fs::read_dir(proc.join("fd")).unwrap().filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        let is_shared = |text: &str| text.contains("/memfd:greenroom") && !text.contains(TRACE);
        let open = links.filter(|link| is_shared(&link.to_string_lossy())).count();
        let maps = fs::read_to_string(proc.join("maps")).unwrap();
        (open, maps.lines().filter(|line| is_shared(line)).count())
    }

    /// An app that has said Hello.
    pub fn connect(&self) -> App {
        let mut app = App::connected_to(&self.socket());
        app.greet();
        app
    }
}

/// The app's end of a connection.
pub struct App {
    /// The connection.
    pub connection: Connection<SeqPacket>,
    /// What came with the last message.
    pub descriptors: Descriptors<OwnedFd>,
    /// The last message.
    buffer: [u8; MESSAGE_BYTES_MAX],
}

impl App {
    /// An app at this end of a connection.
    pub fn new(socket: SeqPacket) -> Self {
        let connection = Connection::asking(socket);
        Self { connection, descriptors: Descriptors::new(), buffer: [0; MESSAGE_BYTES_MAX] }
    }

    /// An app whose connection waits to be accepted, or is.
    pub fn connected_to(socket: &Path) -> Self {
        Self::new(SeqPacket::connect(socket, PATIENCE).unwrap())
    }

    /// Says Hello, and is welcome.
    pub fn greet(&mut self) {
        let answer = self.call(Call::Hello);
        assert!(matches!(answer, Ok(Answer::Welcome { .. })), "{answer:?}");
    }

    /// A call and its answer.
    pub fn call(&mut self, command: Call<'_>) -> Result<Answer, Refusal> {
        self.connection.send(&Request { sequence: 9, command }, Descriptors::new()).unwrap();
        loop {
            if let Message::Reply { sequence: 9, result } = self.hear() {
                return result;
            }
        }
    }

    /// What the server says next.
    pub fn hear(&mut self) -> Message<'_> {
        receive(&mut self.connection, &mut self.buffer, &mut self.descriptors).expect("the server is there")
    }

    /// Waits for an event.
    pub fn wait_for(&mut self, event: Event) {
        while self.hear() != Message::Event(event) {}
    }

    /// Memory and a session.
    pub fn session(&mut self) -> SessionId {
        let shared = self.call(Call::GetSharedMemory);
        assert!(matches!(shared, Ok(Answer::SharedMemory { .. })), "{shared:?}");
        match self.call(Call::CreateSession) {
            Ok(Answer::Session { session }) => session,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the server has closed.
    pub fn is_closed(&mut self) -> bool {
        while receive::<Message<'_>>(&mut self.connection, &mut self.buffer, &mut self.descriptors).is_some() {}
        true
    }
}

/// A configuration for two sessions with its socket here.
pub fn configured_at(socket: &Path, target: TargetState) -> link::Configuration<'_> {
    let socket = socket.to_str().expect("a path of a test is UTF-8");
    link::Configuration { socket, socket_mode: 0o620, socket_group: "", ..configuration(target) }
}
