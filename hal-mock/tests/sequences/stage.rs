//! A box in the simulated world, with the real drivers; a scenario plays the application manager and the apps.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use greenroom_core::client::Outcome;
use greenroom_core::codec::postcard;
use greenroom_core::driver::{ClientDriver, Connection, Frames, Incoming, ManagerDriver, SessionDriver};
use greenroom_core::hal::{Descriptors, ErrorKind, ExitStatus, Peer, Received, Socket};
use greenroom_core::health::HealthCheck;
use greenroom_core::limits::MESSAGE_BYTES_MAX;
use greenroom_core::manager::{Manager, Settings};
use greenroom_core::message::control::{Answer, Command, Event, Message, Refusal, Request};
use greenroom_core::message::{Resources, ServerState, SocketPath, TargetState, link, playback};
use greenroom_hal_mock::diagram::{Diagram, Frame, Lifeline};
use greenroom_hal_mock::process::Process;
use greenroom_hal_mock::sequence::AppStep;
use greenroom_hal_mock::{CONTROL, Grants, ManagerHome, Memory, MockDecoder, SeqPacket, ServerHome, Spawner, World};

use crate::app_home::AppHome;
use crate::watcher::{Log, Twins, Watcher, Who};

/// Who drives the manager.
const OPERATOR: Peer = Peer::new(9000, 0, 0);
/// How long a message is on its way, unless a scenario says otherwise: each turn of a stage takes so long.
const HOP: Duration = Duration::from_millis(1);

/// Decoders fed from the rings of this world.
type Decoders = MockDecoder<Frames<Memory>>;

/// What becomes of a process that is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It runs.
    Runs,
    /// It runs, but its initialization fails.
    FailsToInitialize,
    /// It never says anything.
    IsSilent,
    /// It runs, and stays when it should exit.
    StaysForEver,
}

/// A session server's process.
struct Server {
    process: Process,
    home: ServerHome<Decoders>,
    driver: SessionDriver<ServerHome<Decoders>, Watcher>,
    stays: bool,
    is_frozen: bool,
}

/// An app's process.
struct App {
    id: u32,
    name: &'static str,
    home: AppHome,
    driver: ClientDriver<SeqPacket, Watcher>,
}

/// The box.
pub(crate) struct Stage {
    pub(crate) world: World,
    log: Log,
    twins: Twins,
    manager: Box<ManagerDriver<ManagerHome, Watcher>>,
    application_manager: Connection<SeqPacket>,
    answers: VecDeque<Result<Answer, Refusal>>,
    states: BTreeMap<String, Vec<ServerState>>,
    fates: VecDeque<Fate>,
    servers: Vec<Server>,
    silent: Vec<Process>,
    apps: BTreeMap<&'static str, App>,
    last_process_id: u32,
    hop: Duration,
}

impl Stage {
    /// A box with one decoder and a manager that restarts nothing.
    pub(crate) fn new(title: &str) -> Self {
        Self::with(title, Settings { restart: false, health: HealthCheck::OFF, ..Settings::default() })
    }

    /// A box with this manager.
    pub(crate) fn with(title: &str, settings: Settings) -> Self {
        let world = World::new(1);
        let mut home = ManagerHome::new(&world, Spawner::new(&world), Grants::new().everything(OPERATOR.user_id));
        home.resources = Resources { max_playback_sessions: 1, max_web_audio_players: 1, max_key_sessions: 1 };
        let control = home.open_control().unwrap();
        let log = Log::default();
        let twins = Twins::new(log.clone(), settings, title);
        let driver = ManagerDriver::new(Manager::new(settings), home, control, log.of(Who::Manager));
        let socket = world.connect(CONTROL, OPERATOR).unwrap();
        let mut stage = Self {
            world,
            log,
            twins,
            manager: Box::new(driver),
            application_manager: Connection::asking(socket),
            answers: VecDeque::new(),
            states: BTreeMap::new(),
            fates: VecDeque::new(),
            servers: Vec::new(),
            silent: Vec::new(),
            apps: BTreeMap::new(),
            last_process_id: 5000,
            hop: HOP,
        };
        stage.manager.start().unwrap();
        stage.before(|stage| {
            stage.ask(Command::Hello).unwrap();
            stage.ask(Command::Watch).unwrap();
        });
        stage
    }

    /// From now on all happens at once, as far as the clock can tell.
    pub(crate) fn stop_the_clock(&mut self) {
        self.hop = Duration::ZERO;
    }

    /// What becomes of the next process.
    pub(crate) fn next_server(&mut self, fate: Fate) {
        self.fates.push_back(fate);
    }

    /// The application manager asks; gives the answer.
    pub(crate) fn ask(&mut self, command: Command<'_>) -> Result<Answer, Refusal> {
        self.request(command);
        self.answer().expect("each request has an answer")
    }

    /// The application manager asks, and does not wait for the answer.
    pub(crate) fn request(&mut self, command: Command<'_>) {
        let request = Request { sequence: 1, command };
        self.application_manager.send(&request, Descriptors::new()).unwrap();
        self.run();
    }

    /// The next answer, if there is one.
    pub(crate) fn answer(&mut self) -> Option<Result<Answer, Refusal>> {
        self.answers.pop_front()
    }

    pub(crate) fn initiate(&mut self, app: &str, state: TargetState) -> Result<(), Refusal> {
        self.ask(Command::Initiate { app, state, socket: "" }).map(drop)
    }

    pub(crate) fn change(&mut self, app: &str, state: TargetState) -> Result<(), Refusal> {
        self.ask(Command::ChangeState { app, state }).map(drop)
    }

    pub(crate) fn connection_info(&mut self, app: &str) -> SocketPath {
        match self.ask(Command::ConnectionInfo { app }) {
            Ok(Answer::ConnectionInfo { socket }) => socket,
            other => panic!("{other:?}"),
        }
    }

    /// The states of an app that the application manager was told since it last looked.
    pub(crate) fn told(&mut self, app: &str) -> Vec<ServerState> {
        self.states.remove(app).unwrap_or_default()
    }

    /// Lets everybody work until nothing is ready and nothing is due. What an ask takes takes some time.
    pub(crate) fn run(&mut self) {
        for _ in 0..200 {
            let worked = [self.run_manager(), self.start_servers(), self.run_servers(), self.run_apps(), self.hear()];
            self.twins.draw();
            if !worked.contains(&true) {
                return;
            }
        }
        panic!("the box does not come to rest");
    }

    /// Lets time pass to the manager's next deadline.
    pub(crate) fn time_out(&mut self) {
        self.world.advance_to(self.manager.next_deadline().expect("the manager waits for something"));
        self.run();
    }

    /// Lets time pass to the next deadline of a session server.
    pub(crate) fn server_time_out(&mut self) {
        let due = self.servers.iter().filter_map(|server| server.driver.next_deadline()).min();
        self.world.advance_to(due.expect("a session server waits for something"));
        self.run();
    }

    fn run_manager(&mut self) -> bool {
        let ready = self.manager.host().events.ready();
        let is_due = self.manager.next_deadline().is_some_and(|at| at <= self.world.now());
        if ready.is_empty() && !is_due {
            return false;
        }
        self.manager.turn(self.world.now(), &ready);
        self.world.advance(self.hop);
        true
    }

    fn start_servers(&mut self) -> bool {
        let Some(process) = self.world.next_started() else { return false };
        let fate = self.fates.pop_front().unwrap_or(Fate::Runs);
        if fate == Fate::IsSilent {
            self.silent.push(process);
            return true;
        }
        let mut home = ServerHome::new(&self.world, Memory::new(&self.world), MockDecoder::new(&self.world));
        home.watch_parts().unwrap();
        let mut driver = SessionDriver::new(process.open_link(), self.log.of(Who::Server(process.id())));
        let prepared = if fate == Fate::FailsToInitialize { Err(ErrorKind::Exhausted) } else { Ok(()) };
        driver.start(&mut home, self.world.now(), prepared);
        let stays = fate == Fate::StaysForEver;
        self.servers.push(Server { process, home, driver, stays, is_frozen: false });
        self.world.advance(self.hop);
        true
    }

    fn run_servers(&mut self) -> bool {
        let mut worked = false;
        for server in &mut self.servers {
            worked |= server.run(&self.world, self.hop);
        }
        self.servers.retain(|server| server.process.is_alive());
        worked
    }

    fn run_apps(&mut self) -> bool {
        let mut worked = false;
        for app in self.apps.values_mut() {
            let ready = app.home.events.ready();
            worked |= !ready.is_empty();
            for ready in ready {
                app.driver.ready(&mut app.home, self.world.now(), ready);
            }
        }
        if worked {
            self.world.advance(self.hop);
        }
        worked
    }

    fn hear(&mut self) -> bool {
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        let mut descriptors = Descriptors::new();
        let mut heard = false;
        while let Ok(Incoming::Message { message, .. }) =
            self.application_manager.receive(&mut buffer, &mut descriptors)
        {
            heard = true;
            match message {
                Message::Reply { result, .. } => self.answers.push_back(result),
                Message::Event(Event::StateChanged { app, state, .. }) => {
                    self.states.entry(app.to_string()).or_default().push(state);
                }
                Message::Event(other) => panic!("{other:?}"),
            }
        }
        heard
    }

    /// The file of all traces, or of the one of this process, as they are now.
    pub(crate) fn trace_file(&self, only: Option<u32>) -> Vec<u8> {
        self.log.trace_file(only)
    }

    // The diagram.

    /// The diagram of all that has happened.
    pub(crate) fn finish(self) -> Diagram {
        self.twins.sequence.finish()
    }

    /// Does something that is not shown.
    pub(crate) fn quietly<R>(&mut self, work: impl FnOnce(&mut Self) -> R) -> R {
        let mark = self.diagram().mark();
        let result = work(self);
        self.diagram().truncate(mark);
        result
    }

    /// Does what comes before the diagram, which begins with what follows.
    pub(crate) fn before(&mut self, work: impl FnOnce(&mut Self)) {
        self.quietly(work);
        self.states.clear();
        let now = self.world.now();
        self.twins.sequence.starts_at(now);
    }

    /// The app's session server is in this state when the diagram begins.
    pub(crate) fn already(&mut self, app: &str, state: TargetState) {
        self.before(|stage| stage.initiate(app, state).unwrap());
    }

    /// Does something that another diagram shows.
    pub(crate) fn see(&mut self, title: &str, app: &str, work: impl FnOnce(&mut Self) -> Result<(), Refusal>) {
        let mark = self.diagram().mark();
        work(self).unwrap();
        let from = self.twins.sequence.application_manager();
        let to = self.twins.sequence.session_server(app).expect("it was started");
        self.diagram().fold(mark, from, to, title);
    }

    /// From this step on, up to the end, it is one of several ways in which it can go on.
    pub(crate) fn alt(&mut self, label: &str, from: &str) {
        self.diagram().enclose(Frame::Alt, label, |step| step.what.contains(from));
    }

    /// From this step on, up to the end, it does not always happen.
    pub(crate) fn opt(&mut self, label: &str, from: &str) {
        self.diagram().enclose(Frame::Opt, label, |step| step.what.contains(from));
    }

    /// A remark of the application manager.
    pub(crate) fn note(&mut self, text: &str) {
        let from = self.twins.sequence.application_manager();
        let to = self.twins.sequence.server_manager();
        self.diagram().note(from, to, text);
    }

    fn diagram(&mut self) -> &mut Diagram {
        self.twins.sequence.diagram()
    }

    /// What no machine knows of is drawn by who does it.
    fn draw(&mut self, draw: impl FnOnce(&mut Diagram, Duration)) {
        let now = self.world.now();
        let at = self.twins.sequence.time(now);
        draw(self.twins.sequence.diagram(), at);
    }

    // The apps.

    fn app_step(&mut self, name: &str, step: AppStep) {
        let now = self.world.now();
        self.twins.sequence.app(name, now, &step);
    }

    /// The app and its client library.
    fn ends(&mut self, app: &'static str) -> (Lifeline, Lifeline) {
        let id = self.apps[app].id;
        let sequence = &mut self.twins.sequence;
        (sequence.application(app), sequence.client_of(id, app))
    }

    /// The application manager starts an app, which loads the client library, which connects (SM-22).
    pub(crate) fn start_app(&mut self, name: &'static str, state: &str, socket: &SocketPath) {
        self.last_process_id += 1;
        let id = self.last_process_id;
        let home = AppHome::new(&self.world, Peer::new(id, 1000, 1000));
        let driver = ClientDriver::new(socket.clone(), 0, self.log.of(Who::Client(id, name)));
        self.apps.insert(name, App { id, name, home, driver });
        let (app, client) = self.ends(name);
        self.app_step(name, AppStep::Started(format!("{state}, {socket}")));
        self.world.advance(self.hop);
        self.draw(|diagram, at| diagram.create(at, app, client, "load the client library"));
        self.with_app(name, |app, now| app.driver.connect(&mut app.home, now, Duration::ZERO).unwrap());
        self.run();
    }

    fn with_app<R>(
        &mut self,
        name: &'static str,
        work: impl FnOnce(&mut App, greenroom_core::time::Instant) -> R,
    ) -> R {
        let now = self.world.now();
        let result = work(self.apps.get_mut(name).expect("it was started"), now);
        self.twins.draw();
        result
    }

    /// The library tells the app how its call went.
    pub(crate) fn status(&mut self, name: &'static str, status: &str) {
        let (app, client) = self.ends(name);
        self.draw(|diagram, at| diagram.answer(at, client, app, status));
    }

    /// The app tells the application manager its state.
    pub(crate) fn report(&mut self, name: &'static str, state: &str) {
        self.app_step(name, AppStep::Said(state.to_owned()));
        self.world.advance(self.hop);
    }

    /// The application manager tells the app its new state (SM-28).
    pub(crate) fn notify_new_state(&mut self, name: &'static str, state: &str) {
        self.app_step(name, AppStep::Told(state.to_owned()));
        self.world.advance(self.hop);
    }

    /// The app sets its state in the library to Running (SM-23); whether that went well.
    pub(crate) fn set_running(&mut self, name: &'static str) -> Result<(), String> {
        self.set_application_state(name, "Running", playback::Command::GetSharedMemory)?;
        assert!(self.apps[name].home.memory.is_some());
        let (_, client) = self.ends(name);
        self.draw(|diagram, at| diagram.work(at, client, "map the shared memory"));
        Ok(())
    }

    /// The app sets its state in the library to Inactive (SM-25).
    pub(crate) fn set_inactive(&mut self, name: &'static str) {
        self.set_application_state(name, "Inactive", playback::Command::ReleaseSharedMemory).unwrap();
        assert!(self.apps[name].home.memory.is_none());
    }

    fn set_application_state(
        &mut self,
        name: &'static str,
        state: &str,
        command: playback::Command<'_>,
    ) -> Result<(), String> {
        let (app, client) = self.ends(name);
        let what = format!("set_application_state({state})");
        self.draw(|diagram, at| diagram.call(at, app, client, &what));
        self.call(name, command)
    }

    /// A call of the app that goes well, or why it does not.
    pub(crate) fn call(&mut self, name: &'static str, command: playback::Command<'_>) -> Result<(), String> {
        self.with_app(name, |app, now| app.driver.call(&mut app.home, now, command).unwrap());
        self.run();
        match self.with_app(name, |app, _| app.home.outcome.take()).expect("each call ends") {
            Outcome::Answered(_) => Ok(()),
            other => Err(other.to_string()),
        }
    }

    /// The app unloads the library and exits (SM-26).
    pub(crate) fn exit_app(&mut self, name: &'static str) {
        let (app, client) = self.ends(name);
        self.draw(|diagram, at| diagram.call(at, app, client, "unload"));
        self.with_app(name, |app, now| app.driver.disconnect(&mut app.home, now));
        self.draw(|diagram, at| diagram.end(at, client, client, "unloaded"));
        self.app_step(name, AppStep::Ended(String::new()));
        let gone = self.apps.remove(name).map(|app| app.name);
        assert_eq!(gone, Some(name));
        self.run();
    }

    /// What the session servers hold, all in all: regions of memory, decoders, key sessions.
    pub(crate) fn held(&self) -> (usize, usize, usize) {
        let of = |server: &Server| {
            let platform = &server.home.platform;
            (platform.memory.regions_in_use(), platform.decoder.open_sessions(), server.home.keys.open_sessions())
        };
        self.servers.iter().map(of).fold((0, 0, 0), |sum, held| (sum.0 + held.0, sum.1 + held.1, sum.2 + held.2))
    }

    /// From now on the decoders of the session servers end nothing by themselves.
    pub(crate) fn decoders_hang(&self) {
        self.servers.iter().for_each(|server| server.home.platform.decoder.wait_for_me());
    }

    /// All session servers crash.
    pub(crate) fn crash_servers(&mut self) {
        self.servers.drain(..).for_each(|server| server.process.exit(ExitStatus::Killed(11)));
        self.run();
    }

    /// The session servers refuse what they were just asked.
    pub(crate) fn refuse_request(&mut self, refusal: link::Refusal) {
        for server in &mut self.servers {
            let mut buffer = [0; MESSAGE_BYTES_MAX];
            let link = server.process.link();
            let received = link.receive(&mut buffer, &mut Descriptors::new()).unwrap();
            let Received::Message { bytes } = received else { panic!("{received:?}") };
            let link::Request { sequence, .. } = postcard::decode(&buffer[..bytes]).unwrap();
            let reply = link::Message::Reply { sequence, result: Err(refusal) };
            let mut buffer = [0; 64];
            link.send(postcard::encode(&reply, &mut buffer).unwrap(), &[]).unwrap();
        }
        self.run();
    }

    /// From now on session servers do nothing.
    pub(crate) fn freeze_servers(&mut self) {
        self.servers.iter_mut().for_each(|server| server.is_frozen = true);
    }

    /// SM-34: no process, no file, and nothing that the manager waits for.
    pub(crate) fn nothing_is_left(&mut self) {
        assert_eq!(self.processes(), 0);
        assert_eq!(self.world.permissions("/run/greenroom/app1.sock"), None);
        assert_eq!(self.manager.next_deadline(), None);
        assert_eq!(self.manager.machine().apps().count(), 0);
    }

    /// Lets time pass, deadline by deadline, until the manager waits for nothing.
    pub(crate) fn time_out_until_nothing_is_left(&mut self) {
        while self.manager.next_deadline().is_some() {
            self.time_out();
        }
        self.nothing_is_left();
    }

    /// How many session servers live.
    pub(crate) fn processes(&self) -> usize {
        self.servers.len() + self.silent.iter().filter(|process| process.is_alive()).count()
    }
}

impl Server {
    fn run(&mut self, world: &World, hop: Duration) -> bool {
        if let Some(status) = self.driver.exit_status() {
            if !self.stays {
                self.process.exit(ExitStatus::Exited(status));
            }
            return !self.stays;
        }
        let ready = self.home.platform.events.ready();
        let is_due = self.driver.next_deadline().is_some_and(|at| at <= world.now());
        if self.is_frozen || (ready.is_empty() && !is_due) {
            return false;
        }
        self.driver.turn(&mut self.home, world.now(), &ready);
        world.advance(hop);
        true
    }
}
