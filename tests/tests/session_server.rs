//! The real session server: its process, its sockets, its memory. The test is the manager and the app.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use greenroom_core::driver::{Connection, Incoming};
use greenroom_core::hal::{Child, Descriptors, ExitStatus, Interest, Signal, Socket, Spawn, Token, Watch};
use greenroom_core::limits::MESSAGE_BYTES_MAX;
use greenroom_core::message::playback::{
    Answer, Codec, Command as Call, Event, Message, Refusal, Request, SessionId, Shape, SourceDescription, SourceId,
};
use greenroom_core::message::{AppId, AppState, LogLevels, Reason, Resources, ServerState, TargetState, link};
use greenroom_hal_linux::clock::Clock;
use greenroom_hal_linux::event_loop::EventLoop;
use greenroom_hal_linux::memory;
use greenroom_hal_linux::process::{PidChild, Program, Spawner};
use greenroom_hal_linux::socket::SeqPacket;
use serde::de::DeserializeOwned;

/// Far more than anything here needs; a test fails when it passes, and never depends on it otherwise.
const PATIENCE: Duration = Duration::from_secs(20);

/// The program under test, which `make e2e` builds before these tests.
fn program() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests.ancestors().nth(2).unwrap().join("greenroom-session");
    assert!(program.exists(), "{} is not built; run 'make e2e'", program.display());
    program
}

/// Waits until the socket has something, and receives it. `None`: the peer has closed.
fn receive<M: DeserializeOwned>(
    connection: &mut Connection<SeqPacket>,
    descriptors: &mut Descriptors<OwnedFd>,
) -> Option<M> {
    let deadline = Clock.now().after(PATIENCE);
    let mut events = EventLoop::new().unwrap();
    let token = Token { kind: 0, index: 0, generation: 0 };
    events.watch(connection.socket(), token, Interest::Read).unwrap();
    let mut buffer = [0; MESSAGE_BYTES_MAX];
    loop {
        match connection.receive(&mut buffer, descriptors).unwrap() {
            Incoming::Message { message, .. } => return Some(message),
            Incoming::Closed => return None,
            Incoming::Nothing => {}
        }
        assert!(!events.wait(Some(deadline)).unwrap().is_empty(), "nothing was said in time");
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::yield_now();
    }
}

/// A session server, and the manager's end of its link.
struct Server {
    child: PidChild,
    link: Connection<SeqPacket>,
    directory: tempfile::TempDir,
}

impl Server {
    fn started() -> Self {
        let mut environment = Vec::new();
        for name in ["PATH", "HOME"] {
            environment.extend(std::env::var(name).ok().map(|value| (name.to_owned(), value)));
        }
        let program = Program { path: program(), arguments: Vec::new(), environment };
        let (child, link) = Spawner::new(program).spawn(&AppId::new("app1").unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let mut server = Self { child, link: Connection::answering(link), directory };
        assert_eq!(server.hear(), state(ServerState::Uninitialized));
        server
    }

    fn configured(target: TargetState) -> Self {
        let mut server = Self::started();
        let socket = server.socket();
        server.ask(link::Command::SetConfiguration(configuration(socket.to_str().unwrap(), target)));
        assert_eq!(server.hear(), OK);
        assert_eq!(server.hear(), link::Message::Listener);
        assert_eq!(server.hear(), state(target.into()));
        server
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("app1")
    }

    fn ask(&mut self, command: link::Command<'_>) {
        self.link.send(&link::Request { sequence: 1, command }, Descriptors::new()).unwrap();
    }

    fn set(&mut self, target: TargetState) {
        self.ask(link::Command::SetState(target));
        assert_eq!(self.hear(), OK);
    }

    /// What the server says next, apart from how many clients it has.
    fn hear(&mut self) -> link::Message {
        loop {
            let mut descriptors = Descriptors::new();
            match receive(&mut self.link, &mut descriptors).expect("the server is there") {
                link::Message::Clients { .. } => {}
                message => {
                    assert_eq!(descriptors.len(), usize::from(message == link::Message::Listener));
                    return message;
                }
            }
        }
    }

    fn exit_status(&mut self) -> ExitStatus {
        let mut status = None;
        until("the server ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Regions of shared memory that the process holds a descriptor of, and that it has mapped.
    fn memory(&self) -> (usize, usize) {
        let proc = Path::new("/proc").join(self.child.process_id().to_string());
        let links = fs::read_dir(proc.join("fd")).unwrap().filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        let open = links.filter(|link| link.to_string_lossy().contains("memfd:greenroom")).count();
        let maps = fs::read_to_string(proc.join("maps")).unwrap();
        (open, maps.lines().filter(|line| line.contains("memfd:greenroom")).count())
    }

    fn connect(&self) -> App {
        let socket = SeqPacket::connect(&self.socket(), PATIENCE).unwrap();
        let mut app = App { connection: Connection::asking(socket), descriptors: Descriptors::new() };
        assert!(matches!(app.call(Call::Hello), Ok(Answer::Welcome { .. })));
        app
    }
}

/// The app's end of a connection.
struct App {
    connection: Connection<SeqPacket>,
    descriptors: Descriptors<OwnedFd>,
}

impl App {
    fn call(&mut self, command: Call<'_>) -> Result<Answer, Refusal> {
        self.connection.send(&Request { sequence: 9, command }, Descriptors::new()).unwrap();
        loop {
            if let Message::Reply { sequence: 9, result } = self.hear() {
                return result;
            }
        }
    }

    fn hear(&mut self) -> Message {
        receive(&mut self.connection, &mut self.descriptors).expect("the server is there")
    }

    fn wait_for(&mut self, event: Event) {
        while self.hear() != Message::Event(event) {}
    }

    fn session(&mut self) -> SessionId {
        let shared = self.call(Call::GetSharedMemory);
        assert!(matches!(shared, Ok(Answer::SharedMemory { .. })), "{shared:?}");
        match self.call(Call::CreateSession) {
            Ok(Answer::Session { session }) => session,
            other => panic!("{other:?}"),
        }
    }

    fn is_closed(&mut self) -> bool {
        while receive::<Message>(&mut self.connection, &mut self.descriptors).is_some() {}
        true
    }
}

fn configuration(socket: &str, state: TargetState) -> link::Configuration<'_> {
    link::Configuration {
        app: "app1",
        socket,
        socket_mode: 0o620,
        socket_owner: "",
        socket_group: "",
        state,
        resources: Resources { max_playback_sessions: 2, max_web_audio_players: 0 },
        log_levels: LogLevels::default(),
        video_sink: "fake",
        audio_sink: "fake",
    }
}

fn state(state: ServerState) -> link::Message {
    link::Message::StateChanged { state, reason: None }
}

fn last_word(state: ServerState, reason: Reason) -> link::Message {
    link::Message::StateChanged { state, reason: Some(reason) }
}

const OK: link::Message = link::Message::Reply { sequence: 1, result: Ok(()) };

#[test]
fn started_by_hand_it_says_who_starts_it() {
    let output = Command::new(program()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("--link-fd") && said.contains("greenroomd"), "{said}");
    let output = Command::new(program()).args(["--link-fd", "77"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "there is no such descriptor");
}

/// SM-05, SM-07, SM-08
#[test]
fn it_comes_up_is_configured_and_listens_with_its_permissions() {
    let server = Server::configured(TargetState::Inactive);
    assert_eq!(fs::metadata(server.socket()).unwrap().permissions().mode() & 0o777, 0o620);
    assert_eq!(server.memory(), (0, 0));
}

/// SM-10, SM-34
#[test]
fn a_socket_that_cannot_be_made_is_reported_with_its_reason_and_ends_it() {
    let place = tempfile::tempdir().unwrap();
    let missing = place.path().join("no/such/app1");
    let taken = place.path().join("taken");
    fs::write(&taken, "").unwrap();
    for (path, reason) in [(&missing, Reason::SocketDirectoryMissing), (&taken, Reason::SocketTaken)] {
        let mut server = Server::started();
        let configuration = configuration(path.to_str().unwrap(), TargetState::Inactive);
        server.ask(link::Command::SetConfiguration(configuration));
        assert_eq!(server.hear(), OK);
        assert_eq!(server.hear(), last_word(ServerState::Error, reason));
        assert_eq!(server.exit_status(), ExitStatus::Exited(1));
    }
    assert!(taken.exists(), "what is not its own is left alone");
    let mut server = Server::started();
    let socket = place.path().join("app1");
    let owned = configuration(socket.to_str().unwrap(), TargetState::Inactive);
    let owned = link::Configuration { socket_owner: "no-such-user", ..owned };
    server.ask(link::Command::SetConfiguration(owned));
    assert_eq!(server.hear(), OK);
    assert_eq!(server.hear(), last_word(ServerState::Error, Reason::SocketOwner));
    assert!(!socket.exists());
}

/// SM-07
#[test]
fn a_second_configuration_is_refused() {
    let mut server = Server::configured(TargetState::Inactive);
    server.ask(link::Command::SetConfiguration(configuration("/tmp/other", TargetState::Inactive)));
    let refusal = link::Refusal::WrongState { state: ServerState::Inactive };
    assert_eq!(server.hear(), link::Message::Reply { sequence: 1, result: Err(refusal) });
}

/// SM-13, SM-15, SM-16, SM-18, SM-32: two regions a slot, two slots.
#[test]
fn active_has_shared_memory_and_inactive_has_none() {
    let mut server = Server::configured(TargetState::Active);
    assert_eq!(server.memory(), (4, 4));
    server.set(TargetState::Inactive);
    assert_eq!(server.hear(), state(ServerState::Inactive));
    assert_eq!(server.memory(), (0, 0));
    server.set(TargetState::Active);
    assert_eq!(server.hear(), state(ServerState::Active));
    assert_eq!(server.memory(), (4, 4));
}

/// SM-17, SM-32: a limit on its address space leaves no room for the mappings.
#[test]
fn without_memory_it_stays_alive_holds_nothing_and_takes_not_running_only() {
    let mut server = Server::configured(TargetState::Inactive);
    let process = rustix::process::Pid::from_raw(server.child.process_id().cast_signed());
    let none = rustix::process::Rlimit { current: Some(0), maximum: None };
    rustix::process::prlimit(process, rustix::process::Resource::As, none).unwrap();
    server.set(TargetState::Active);
    assert_eq!(server.hear(), last_word(ServerState::Error, Reason::SharedMemory));
    assert_eq!(server.memory(), (0, 0));
    server.ask(link::Command::SetState(TargetState::Inactive));
    let refusal = link::Refusal::WrongState { state: ServerState::Error };
    assert_eq!(server.hear(), link::Message::Reply { sequence: 1, result: Err(refusal) });
    server.set(TargetState::NotRunning);
    assert_eq!(server.hear(), last_word(ServerState::NotRunning, Reason::Asked));
    assert_eq!(server.exit_status(), ExitStatus::Exited(0));
}

/// SM-19, SM-34
#[test]
fn not_running_closes_the_clients_removes_the_socket_and_exits_by_itself() {
    let mut server = Server::configured(TargetState::Inactive);
    let mut app = server.connect();
    server.set(TargetState::NotRunning);
    assert_eq!(server.hear(), last_word(ServerState::NotRunning, Reason::Asked));
    assert_eq!(server.exit_status(), ExitStatus::Exited(0));
    assert!(app.is_closed());
    assert!(!server.socket().exists());
}

/// SM-18, SM-20: with a session open, whose decoder is closed first.
#[test]
fn not_running_from_active_ends_its_sessions_first() {
    let mut server = Server::configured(TargetState::Active);
    let mut app = server.connect();
    let session = app.session();
    assert_eq!(app.call(Call::Load { session, live: false }), Ok(Answer::Done));
    server.set(TargetState::NotRunning);
    assert_eq!(server.hear(), last_word(ServerState::NotRunning, Reason::Asked));
    app.wait_for(Event::SessionEnded { session });
    assert!(app.is_closed());
    assert_eq!(server.exit_status(), ExitStatus::Exited(0));
}

/// SM-38, on the server's side: a manager that was killed closes the link.
#[test]
fn the_end_of_the_link_is_the_end_of_the_server() {
    let mut server = Server::configured(TargetState::Active);
    let mut app = server.connect();
    app.session();
    let (unconnected, _) = SeqPacket::pair().unwrap();
    server.link = Connection::answering(unconnected);
    assert_eq!(server.exit_status(), ExitStatus::Exited(0));
    assert!(app.is_closed());
    assert!(!server.socket().exists());
}

/// SM-21, SM-34
#[test]
fn a_signal_ends_it_in_order() {
    let mut server = Server::configured(TargetState::Active);
    server.child.signal(Signal::Terminate).unwrap();
    assert_eq!(server.hear(), last_word(ServerState::NotRunning, Reason::Asked));
    assert_eq!(server.exit_status(), ExitStatus::Exited(0));
    assert!(!server.socket().exists());
}

/// SM-24, SM-29
#[test]
fn a_client_gets_memory_only_while_active_and_hears_when_that_is() {
    let mut server = Server::configured(TargetState::Inactive);
    let mut app = server.connect();
    assert_eq!(app.call(Call::GetSharedMemory), Err(Refusal::NotActive));
    server.set(TargetState::Active);
    assert_eq!(server.hear(), state(ServerState::Active));
    app.wait_for(Event::ApplicationState(AppState::Running));
    assert!(matches!(app.call(Call::GetSharedMemory), Ok(Answer::SharedMemory { .. })));
    server.set(TargetState::Inactive);
    app.wait_for(Event::ApplicationState(AppState::Inactive));
}

/// SM-23: what it is given can be mapped, and its size holds.
#[test]
fn the_memory_of_a_client_is_sealed_and_has_the_size_that_was_said() {
    let server = Server::configured(TargetState::Active);
    let mut app = server.connect();
    let shared = app.call(Call::GetSharedMemory);
    let Ok(Answer::SharedMemory { client_bytes, server_bytes }) = shared else { panic!("{shared:?}") };
    assert_eq!(app.descriptors.len(), 2);
    memory::attach_own(&app.descriptors[0], client_bytes).unwrap();
    memory::attach_peer(&app.descriptors[1], server_bytes).unwrap();
    assert!(memory::attach_own(&app.descriptors[1], server_bytes).is_err(), "the server's own is not to be written");
}

/// SM-33, SM-35
#[test]
fn clients_do_not_reach_each_others_sessions_and_get_no_more_than_the_app_may_have() {
    let server = Server::configured(TargetState::Active);
    let (mut one, mut other, mut third) = (server.connect(), server.connect(), server.connect());
    let session = one.session();
    assert_eq!(other.call(Call::Play { session }), Err(Refusal::UnknownSession));
    assert_eq!(other.call(Call::DestroySession { session }), Err(Refusal::UnknownSession));
    other.session();
    assert!(matches!(third.call(Call::GetSharedMemory), Err(Refusal::Full { .. })));
    assert_eq!(one.call(Call::DestroySession { session }), Ok(Answer::Done));
    assert_eq!(one.call(Call::Play { session }), Err(Refusal::UnknownSession));
}

/// SM-35: the place of a client that dies is free for the next one, with memory that it has not seen.
#[test]
fn a_client_that_dies_costs_its_own_session_only() {
    let server = Server::configured(TargetState::Active);
    let (mut one, mut other) = (server.connect(), server.connect());
    let session = one.session();
    let others = other.session();
    one.connection
        .send(&Request { sequence: 1, command: Call::Load { session, live: false } }, Descriptors::new())
        .unwrap();
    drop(one);
    assert_eq!(other.call(Call::Load { session: others, live: false }), Ok(Answer::Done));
    let mut next = server.connect();
    until("the slot is free", || next.call(Call::GetSharedMemory).is_ok());
    next.session();
    assert_eq!(server.memory().0, 4);
}

/// SM-35
#[test]
fn garbage_costs_its_sender_the_connection_and_nobody_else() {
    let server = Server::configured(TargetState::Active);
    let mut other = server.connect();
    let mut hostile = SeqPacket::connect(&server.socket(), PATIENCE).unwrap();
    hostile.send(b"\x0Aprotobuf, for example", &[]).unwrap();
    let mut hostile = App { connection: Connection::asking(hostile), descriptors: Descriptors::new() };
    assert!(hostile.is_closed());
    other.session();
}

/// A source is attached with its ring and its bells; a second one of its kind is refused.
#[test]
fn a_source_gets_its_ring_and_its_bells() {
    let server = Server::configured(TargetState::Active);
    let mut app = server.connect();
    let session = app.session();
    app.call(Call::Load { session, live: false }).unwrap();
    let source = SourceDescription { codec: Codec::H264, shape: Shape::default(), codec_data: &[] };
    let attached = app.call(Call::AttachSource { session, source });
    assert!(matches!(attached, Ok(Answer::Source { source: SourceId(0), .. })), "{attached:?}");
    assert_eq!(app.descriptors.len(), 2);
    assert_eq!(app.call(Call::AttachSource { session, source }), Err(Refusal::DuplicateSource));
}

/// Active and Inactive again and again leave nothing behind.
#[test]
fn no_descriptor_is_left_after_many_changes() {
    let mut server = Server::configured(TargetState::Inactive);
    let count = |server: &Server| fs::read_dir(format!("/proc/{}/fd", server.child.process_id())).unwrap().count();
    let round = |server: &mut Server| {
        server.set(TargetState::Active);
        assert_eq!(server.hear(), state(ServerState::Active));
        let mut app = server.connect();
        app.session();
        server.set(TargetState::Inactive);
        assert_eq!(server.hear(), state(ServerState::Inactive));
        drop(app);
        let mut next = server.connect();
        assert_eq!(next.call(Call::GetSharedMemory), Err(Refusal::NotActive));
    };
    // The first one may load what stays, such as GStreamer's registry.
    round(&mut server);
    until("its clients have gone", || count(&server) <= 16);
    let before = count(&server);
    for _ in 0..10 {
        round(&mut server);
    }
    until("all is closed again", || count(&server) <= before);
}
