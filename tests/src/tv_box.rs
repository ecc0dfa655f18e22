//! A box under test: a real manager with a directory of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Output, Stdio};
use std::time::Instant;

use greenroom_core::message::control::{Answer, AppStatus, BoxStatus, Command, Event, Refusal};
use greenroom_core::message::{Reason, ServerState, TargetState};
use greenroom_daemon::control::{ControlClient, ControlError};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::deadline::{PATIENCE, until};
use crate::{observe, programs};

/// A running manager. Dropping it kills what is left of it.
pub struct TvBox {
    place: TempDir,
    manager: Child,
}

/// How a box is set up, before it is started.
pub struct Setup {
    place: TempDir,
    decoders: u8,
    manager_program: PathBuf,
    runs_within: Vec<String>,
    manager_environment: Vec<(String, String)>,
    session_program: Option<PathBuf>,
    environment: Vec<(String, String)>,
    ready_timeout_ms: u32,
    control: String,
    socket: String,
    session: String,
    more: String,
    configuration: Option<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Setup {
    /// A box of one decoder that runs the real session server with sinks that show nothing.
    pub fn new() -> Self {
        Self {
            place: tempfile::tempdir().expect("a directory can be made"),
            decoders: 1,
            manager_program: programs::path("greenroomd"),
            runs_within: Vec::new(),
            manager_environment: Vec::new(),
            session_program: None,
            environment: Vec::new(),
            ready_timeout_ms: 10_000,
            control: String::new(),
            socket: String::new(),
            session: String::new(),
            more: String::new(),
            configuration: None,
        }
    }

    /// How many decoders the box has.
    #[must_use]
    pub fn decoders(mut self, decoders: u8) -> Self {
        self.decoders = decoders;
        self
    }

    /// The program that is started as manager.
    #[must_use]
    pub fn manager_program(mut self, program: impl Into<PathBuf>) -> Self {
        self.manager_program = program.into();
        self
    }

    /// The program, with its arguments, that runs the manager in its own process.
    #[must_use]
    pub fn runs_within(mut self, words: &[String]) -> Self {
        self.runs_within = words.to_vec();
        self
    }

    /// A variable in the manager's environment.
    #[must_use]
    pub fn manager_environment(mut self, name: &str, value: &str) -> Self {
        self.manager_environment.push((name.into(), value.into()));
        self
    }

    /// The program that is started as session server.
    #[must_use]
    pub fn session_program(mut self, program: impl Into<PathBuf>) -> Self {
        self.session_program = Some(program.into());
        self
    }

    /// A session server that breaks the rules in one way; see `src/bin/misbehaving-session.rs`.
    #[must_use]
    pub fn misbehaving(self, behaviour: &str) -> Self {
        self.environment("GREENROOM_MISBEHAVIOUR", behaviour).session_program(programs::path("misbehaving-session"))
    }

    /// A variable in the session servers' environment.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The time within which a session server must be up.
    #[must_use]
    pub fn ready_timeout_ms(mut self, milliseconds: u32) -> Self {
        self.ready_timeout_ms = milliseconds;
        self
    }

    /// More keys of `[control]`, as they stand in the file.
    #[must_use]
    pub fn control(mut self, lines: &str) -> Self {
        self.control.push_str(lines);
        self.control.push('\n');
        self
    }

    /// More keys of `[socket]`, as they stand in the file.
    #[must_use]
    pub fn socket(mut self, lines: &str) -> Self {
        self.socket.push_str(lines);
        self.socket.push('\n');
        self
    }

    /// More keys of `[session]`, as they stand in the file.
    #[must_use]
    pub fn session(mut self, lines: &str) -> Self {
        self.session.push_str(lines);
        self.session.push('\n');
        self
    }

    /// More lines of configuration: whole tables, as they stand in the file.
    #[must_use]
    pub fn more(mut self, lines: &str) -> Self {
        self.more.push_str(lines);
        self.more.push('\n');
        self
    }

    /// This text as configuration, instead of everything else that is set here for it.
    #[must_use]
    pub fn configuration(mut self, text: &str) -> Self {
        self.configuration = Some(text.to_owned());
        self
    }

    /// The box's own directory.
    pub fn place(&self) -> &Path {
        self.place.path()
    }

    /// Writes the configuration; gives its path.
    pub fn write_configuration(&self) -> PathBuf {
        let path = self.place.path().join("greenroom.toml");
        let text = self.configuration.clone().unwrap_or_else(|| self.text());
        fs::write(&path, text).expect("the configuration can be written");
        path
    }

    fn text(&self) -> String {
        let place = self.place.path().display();
        let environment: Vec<String> =
            self.environment.iter().map(|(name, value)| format!("{name} = {value:?}")).collect();
        format!(
            "[box]\ndecoders = {}\n[control]\nsocket = \"{place}/control.sock\"\n{}[socket]\ndirectory = \"{place}\"\n{}\
             [session]\nprogram = {:?}\nready_timeout_ms = {}\nenvironment = {{ {} }}\n{}\
             [sinks]\nvideo = \"fake\"\naudio = \"fake\"\n{}",
            self.decoders,
            self.control,
            self.socket,
            self.session_program.clone().unwrap_or_else(|| programs::path("greenroom-session")),
            self.ready_timeout_ms,
            environment.join(", "),
            self.session,
            self.more
        )
    }

    /// Starts the manager and waits until it answers.
    pub fn start(self) -> TvBox {
        let mut tv_box = self.spawn();
        until("the manager answers", || {
            assert!(tv_box.manager.try_wait().expect("a child").is_none(), "the manager ended: {}", tv_box.log());
            ControlClient::connect(&tv_box.control()).ok()
        });
        tv_box
    }

    /// Starts the manager, and waits for nothing.
    pub fn spawn(self) -> TvBox {
        let configuration = self.write_configuration();
        let log = fs::File::create(self.place.path().join("manager.log")).expect("a log can be made");
        let manager = programs::command(&self.runs_within, &self.manager_program)
            .arg("--config")
            .arg(configuration)
            .envs(self.manager_environment)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("greenroomd starts");
        TvBox { place: self.place, manager }
    }
}

impl TvBox {
    /// A box of one decoder with the real session server.
    pub fn start() -> Self {
        Setup::new().start()
    }

    /// Kills the manager and starts another one in its place at once; waits until it answers.
    pub fn replace_manager(&mut self) {
        self.signal(Signal::KILL);
        self.wait();
        let log = fs::File::options().append(true).open(self.place.path().join("manager.log"));
        self.manager = Process::new(programs::path("greenroomd"))
            .arg("--config")
            .arg(self.place.path().join("greenroom.toml"))
            .stdin(Stdio::null())
            .stderr(log.expect("the log is there"))
            .spawn()
            .expect("greenroomd starts");
        until("the next manager answers", || ControlClient::connect(&self.control()).ok());
    }

    /// Its own directory.
    pub fn place(&self) -> &Path {
        self.place.path()
    }

    /// The path of its control socket.
    pub fn control(&self) -> PathBuf {
        self.place.path().join("control.sock")
    }

    /// What the manager and its session servers have logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.place.path().join("manager.log")).unwrap_or_default()
    }

    /// The manager's process.
    pub fn process_id(&self) -> u32 {
        self.manager.id()
    }

    /// Connects to the manager.
    pub fn connect(&self) -> Controller {
        let client = ControlClient::connect(&self.control()).expect("the manager takes a connection");
        Controller { client }
    }

    /// Connects to the manager and hears its events.
    pub fn watch(&self) -> Controller {
        let mut controller = self.connect();
        assert_eq!(controller.ask(Command::Watch), Ok(Answer::Done));
        controller
    }

    /// Runs `greenroomctl` with these arguments.
    pub fn ctl(&self, arguments: &[&str]) -> Output {
        Process::new(programs::path("greenroomctl"))
            .arg("--control")
            .arg(self.control())
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("greenroomctl runs")
    }

    /// Sends the manager a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.manager), signal).expect("the manager is there");
    }

    /// Waits until the manager has ended; gives its exit status.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        until("the manager ends", || self.manager.try_wait().expect("a child"))
    }

    /// The socket files in the box's directory.
    pub fn socket_files(&self) -> Vec<String> {
        observe::socket_files(self.place.path())
    }

    /// The session servers that live, zombies among them.
    pub fn session_servers(&self) -> Vec<u32> {
        observe::children(self.manager.id())
    }
}

impl Drop for TvBox {
    fn drop(&mut self) {
        let servers = self.session_servers();
        let _ = self.manager.kill();
        let _ = self.manager.wait();
        for server in servers {
            if let Some(process) = Pid::from_raw(server.cast_signed()) {
                let _ = kill_process(process, Signal::KILL);
            }
        }
        if std::thread::panicking() {
            eprintln!("--- log of the manager and its session servers\n{}", self.log());
        }
    }
}

/// An application manager's connection to the manager.
pub struct Controller {
    client: ControlClient,
}

/// A notification as a test compares it: app, state, reason.
pub type Change = (String, ServerState, Option<Reason>);

impl Controller {
    /// Asks; gives the answer or the refusal.
    ///
    /// # Panics
    /// When the manager gives neither.
    #[track_caller]
    pub fn ask(&mut self, command: Command<'_>) -> Result<Answer, Refusal> {
        match self.client.request(command) {
            Ok(answer) => Ok(answer),
            Err(ControlError::Refused(refusal)) => Err(refusal),
            Err(error) => panic!("{error}"),
        }
    }

    /// Starts an app's session server, with a socket of the manager's choice.
    #[track_caller]
    pub fn initiate(&mut self, app: &str, state: TargetState) -> Result<Answer, Refusal> {
        self.ask(Command::Initiate { app, state, socket: "" })
    }

    /// Asks for another state.
    #[track_caller]
    pub fn change(&mut self, app: &str, state: TargetState) -> Result<Answer, Refusal> {
        self.ask(Command::ChangeState { app, state })
    }

    /// Starts an app and waits until it is in its state.
    #[track_caller]
    pub fn bring_up(&mut self, app: &str, state: TargetState) {
        assert_eq!(self.initiate(app, state), Ok(Answer::Done));
        self.expect(app, ServerState::Uninitialized);
        self.expect(app, state.into());
    }

    /// Asks for another state and waits until it is notified, as the next thing.
    #[track_caller]
    pub fn bring_to(&mut self, app: &str, state: TargetState) {
        assert_eq!(self.change(app, state), Ok(Answer::Done));
        self.expect(app, state.into());
    }

    /// Where the app's clients connect.
    #[track_caller]
    pub fn socket_of(&mut self, app: &str) -> PathBuf {
        match self.ask(Command::ConnectionInfo { app }) {
            Ok(Answer::ConnectionInfo { socket }) => PathBuf::from(socket.as_str()),
            other => panic!("no connection info of {app}: {other:?}"),
        }
    }

    /// Every app and the box.
    #[track_caller]
    pub fn list(&mut self) -> (Vec<AppStatus>, BoxStatus) {
        self.client.list().expect("the manager lists its apps")
    }

    /// How one app is, if it is there.
    #[track_caller]
    pub fn status(&mut self, app: &str) -> Option<AppStatus> {
        self.list().0.into_iter().find(|status| status.app.as_str() == app)
    }

    /// Sends an app's session server a signal.
    #[track_caller]
    pub fn signal_server(&mut self, app: &str, signal: Signal) {
        let server = self.status(app).expect("the app is there").process_id;
        let process = Pid::from_raw(server.cast_signed()).expect("a process");
        kill_process(process, signal).expect("its session server is there");
    }

    /// The next notification.
    #[track_caller]
    pub fn next_change(&mut self) -> Change {
        match self.client.next_event(Instant::now() + PATIENCE) {
            Ok(Some(Event::StateChanged { app, state, reason })) => (app.as_str().to_owned(), state, reason),
            other => panic!("no notification came: {other:?}"),
        }
    }

    /// The next notification, or nothing once the manager has closed.
    pub fn next_change_if_any(&mut self) -> Option<Change> {
        match self.client.next_event(Instant::now() + PATIENCE) {
            Ok(Some(Event::StateChanged { app, state, reason })) => Some((app.as_str().to_owned(), state, reason)),
            _ => None,
        }
    }

    /// The next notification is this state of this app; gives its reason.
    #[track_caller]
    pub fn expect(&mut self, app: &str, state: ServerState) -> Option<Reason> {
        let (of, found, reason) = self.next_change();
        assert_eq!((of.as_str(), found), (app, state), "reason: {reason:?}");
        reason
    }

    /// No notification is there now.
    #[track_caller]
    pub fn expect_silence(&mut self) {
        let event = self.client.next_event(Instant::now()).expect("the connection lives");
        assert_eq!(event, None);
    }
}
