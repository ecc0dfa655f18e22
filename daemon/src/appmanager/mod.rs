//! A sample application manager: it starts apps, tells them their states, and drives the manager in the right order (SM-28).
//!
//! ```text
//!            server                          app
//! start      initiated, Inactive or Active   then started with that state and the socket's name       SM-22
//! running    Active                          then told to be running                                  SM-23, SM-24
//! inactive   then Inactive                   first told to be inactive                                SM-24, SM-25
//! stop       then NotRunning                 first told to end, and ended                             SM-26
//! switch     app 1 as in inactive, up to its server's notification; only then app 2 as in running     SM-27
//! ```
//!
//! An app is any program that speaks [`crate::app_protocol`]; here it is `greenroom-play`.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use greenroom_daemon::app_protocol::ManagedState;
//! use greenroom_daemon::appmanager::{ApplicationManager, Settings};
//!
//! let settings = Settings::new(Path::new("/run/greenroom/control.sock"));
//! let mut manager = ApplicationManager::connect(settings, |step| println!("{step}"))?;
//! manager.start("app1", Path::new("one.mp4"), ManagedState::Running)?;
//! manager.start("app2", Path::new("two.mp4"), ManagedState::Inactive)?;
//! manager.switch("app1", "app2")?;
//! manager.stop_all()?;
//! # Ok::<(), greenroom_daemon::appmanager::StageError>(())
//! ```

mod app;
mod script;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use greenroom_core::message::control::{Answer, AppStatus, Command, Event};
use greenroom_core::message::{Reason, ServerState, TargetState};

pub use app::AppError;
use app::AppProcess;
pub use script::{Script, ScriptCommand, ScriptError};

use crate::app_protocol::{Line, ManagedState};
use crate::control::{ControlClient, ControlError};
use crate::names;

/// An app connects to its session server within this.
const ABANDONED_S: u32 = 2;
const CLEAR_INTERVAL: Duration = Duration::from_millis(50);

/// What an application manager needs to know of its box.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The manager's control socket.
    pub control: PathBuf,
    /// The apps' program.
    pub program: PathBuf,
    /// What every app is given beside its state, its socket and its file.
    pub arguments: Vec<String>,
    /// How long a server or an app may take for one step.
    pub step_timeout: Duration,
    /// Who hears what apps write to standard error, as the app's name and a line; None: it goes where this process's goes.
    pub words: Option<Sender<(String, String)>>,
}

impl Settings {
    /// Apps are `greenroom-play` beside this program, with ten seconds for each step.
    pub fn new(control: &Path) -> Self {
        let beside = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.join("greenroom-play")));
        Self {
            control: control.to_owned(),
            program: beside.unwrap_or_else(|| PathBuf::from("greenroom-play")),
            arguments: Vec::new(),
            step_timeout: Duration::from_secs(10),
            words: None,
        }
    }
}

/// One thing that has happened.
#[derive(Clone, Debug)]
pub struct Step {
    /// Since the application manager was connected.
    pub after: Duration,
    /// Of which app.
    pub app: String,
    /// What.
    pub what: StepKind,
}

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// The manager was asked to start its session server, or to move it.
    ServerAsked(TargetState),
    /// Its session server is in this state.
    Server(ServerState, Option<Reason>),
    /// Its process was started with this state.
    AppStarted(ManagedState),
    /// It was told this state.
    AppTold(ManagedState),
    /// It says that it is in this state.
    App(ManagedState),
    /// Its process has ended; with its exit status, unless a signal ended it.
    AppExited(Option<i32>),
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:9.3} s  {:12} {}", self.after.as_secs_f64(), self.app, self.what)
    }
}

impl fmt::Display for StepKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServerAsked(state) => write!(out, "-> server: {}", names::state((*state).into())),
            Self::Server(state, None) => write!(out, "<- server: {}", names::state(*state)),
            Self::Server(state, Some(reason)) => write!(out, "<- server: {} ({reason})", names::state(*state)),
            Self::AppStarted(state) => write!(out, "-> app: started {state}"),
            Self::AppTold(state) => write!(out, "-> app: {state}"),
            Self::App(state) => write!(out, "<- app: {state}"),
            Self::AppExited(Some(status)) => write!(out, "<- app: exited with status {status}"),
            Self::AppExited(None) => write!(out, "<- app: ended by a signal"),
        }
    }
}

/// How long it took to move a session server.
#[derive(Clone, Debug)]
pub struct Move {
    /// Of which app.
    pub app: String,
    /// Where to.
    pub to: TargetState,
    /// From the request until the manager's answer that it took it.
    pub answered: Duration,
    /// From the request until the notification of the state.
    pub notified: Duration,
}

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StageError {
    /// Caller: there is no such app.
    #[error("there is no app {app}; start it first")]
    UnknownApp {
        /// Its name.
        app: String,
    },
    /// Caller: there is one already.
    #[error("app {app} is started already; stop it first")]
    AlreadyStarted {
        /// Its name.
        app: String,
    },
    /// Caller: an app starts inactive or running.
    #[error("an app starts inactive or running")]
    NotAFirstState,
    /// The manager could not be asked, or refused; the error says who is to blame.
    #[error("the manager, about {app}: {error}")]
    Control {
        /// About which app.
        app: String,
        /// What is wrong.
        error: ControlError,
    },
    /// Peer: the session server did not get where it should.
    #[error("the session server of {app} is {} instead of {}{}", names::state(*state), names::state(*wanted), because(*reason))]
    ServerFailed {
        /// Of which app.
        app: String,
        /// Where it is.
        state: ServerState,
        /// Where it should be.
        wanted: ServerState,
        /// Why, where the manager said so.
        reason: Option<Reason>,
    },
    /// Peer: the manager was silent.
    #[error("the session server of {app} was not {} in time; see the manager's log", names::state(*wanted))]
    ServerSilent {
        /// Of which app.
        app: String,
        /// Where it should be.
        wanted: ServerState,
    },
    /// Platform or peer: the app could not be started, or did not follow.
    #[error("app {app}: {error}")]
    App {
        /// Which one.
        app: String,
        /// What is wrong.
        error: AppError,
    },
}

fn because(reason: Option<Reason>) -> String {
    reason.map(|reason| format!(": {reason}")).unwrap_or_default()
}

/// Drives the apps of a box and their session servers. Each function returns when its last step has been notified.
pub struct ApplicationManager<'a> {
    settings: Settings,
    control: ControlClient,
    started: Instant,
    apps: BTreeMap<String, AppProcess>,
    servers: BTreeMap<String, (ServerState, Option<Reason>)>,
    moves: Vec<Move>,
    tell: Box<dyn FnMut(&Step) + 'a>,
}

impl<'a> ApplicationManager<'a> {
    /// Connects to the manager. `tell` hears of every step.
    pub fn connect(settings: Settings, tell: impl FnMut(&Step) + 'a) -> Result<Self, StageError> {
        let no_manager = |error| StageError::Control { app: "any app".into(), error };
        let mut control = ControlClient::connect(&settings.control).map_err(no_manager)?;
        control.request(Command::Watch).map_err(no_manager)?;
        let (apps, servers) = (BTreeMap::new(), BTreeMap::new());
        let (started, moves) = (Instant::now(), Vec::new());
        Ok(Self { settings, control, started, apps, servers, moves, tell: Box::new(tell) })
    }

    /// Starts a session server and then the app that plays `file`, both in this state (SM-22).
    pub fn start(&mut self, app: &str, file: &Path, state: ManagedState) -> Result<(), StageError> {
        if self.apps.contains_key(app) {
            return Err(StageError::AlreadyStarted { app: app.into() });
        }
        let target = match state {
            ManagedState::Inactive => TargetState::Inactive,
            ManagedState::Running => TargetState::Active,
            ManagedState::NotRunning => return Err(StageError::NotAFirstState),
        };
        self.servers.remove(app);
        self.ask_server(app, target, Command::Initiate { app, state: target, socket: "" })?;
        let socket = self.socket_of(app)?;
        self.step(app, StepKind::AppStarted(state));
        match AppProcess::start(&self.settings, app, &socket, file, state) {
            Ok(process) => self.apps.insert(app.into(), process),
            Err(error) => {
                // A server without its app is of no use; the app's error says more than one of ending it would.
                let _ = self.move_server(app, TargetState::NotRunning);
                return Err(of_app(app, error));
            }
        };
        self.await_app(app, state)
    }

    /// Server Active, then app Running (SM-23, SM-24).
    pub fn running(&mut self, app: &str) -> Result<(), StageError> {
        self.known(app)?;
        self.move_server(app, TargetState::Active)?;
        self.tell_app(app, ManagedState::Running)
    }

    /// App Inactive, then server Inactive (SM-24, SM-25).
    pub fn inactive(&mut self, app: &str) -> Result<(), StageError> {
        self.known(app)?;
        self.tell_app(app, ManagedState::Inactive)?;
        self.move_server(app, TargetState::Inactive)
    }

    /// App NotRunning, then server NotRunning (SM-26). An app that does not end by itself is ended.
    pub fn stop(&mut self, app: &str) -> Result<(), StageError> {
        self.known(app)?;
        let told = self.tell_app(app, ManagedState::NotRunning);
        if let Some(process) = self.apps.remove(app) {
            let status = process.end(self.settings.step_timeout);
            self.step(app, StepKind::AppExited(status));
        }
        self.move_server(app, TargetState::NotRunning)?;
        told
    }

    /// Takes `from` off the stage, and only when its server is Inactive puts `to` on it (SM-27).
    pub fn switch(&mut self, from: &str, to: &str) -> Result<(), StageError> {
        self.known(to)?;
        self.inactive(from)?;
        self.running(to)
    }

    /// Stops every app; what goes wrong with one does not keep the others. Gives the first error.
    pub fn stop_all(&mut self) -> Result<(), StageError> {
        let apps: Vec<String> = self.apps.keys().cloned().collect();
        apps.iter().map(|app| self.stop(app)).fold(Ok(()), Result::and)
    }

    /// Waits until the app says that it is in this state; for NotRunning, until its process has ended.
    pub fn wait(&mut self, app: &str, state: ManagedState, timeout: Duration) -> Result<(), StageError> {
        let process = self.known(app)?;
        let result = process.wait(state, timeout);
        self.tell_news(app);
        result.map_err(|error| of_app(app, error))
    }

    /// Has an app stand still, or go on.
    pub fn set_paused(&mut self, app: &str, is_paused: bool) -> Result<(), StageError> {
        let told = self.known(app)?.tell(Line::SetPaused(is_paused));
        told.map_err(|error| of_app(app, error))
    }

    /// Whether the process of an app that was started here lives.
    pub fn is_running(&mut self, app: &str) -> bool {
        self.apps.get_mut(app).is_some_and(|process| !process.has_ended())
    }

    /// Waits until no other application manager has this app, `timeout` at most. A session server that one has left
    /// behind without its app is ended.
    pub fn clear(&mut self, app: &str, timeout: Duration) -> Result<(), StageError> {
        let deadline = Instant::now() + timeout;
        while let Some(status) = self.status_of(app)? {
            if status.clients == 0 && status.uptime_s >= ABANDONED_S {
                // It may be ending already: then it is waited for like all others.
                let _ = self.request(app, Command::ChangeState { app, state: TargetState::NotRunning });
            }
            if Instant::now() > deadline {
                return Err(StageError::AlreadyStarted { app: app.into() });
            }
            self.take_event(Instant::now() + CLEAR_INTERVAL)?;
        }
        Ok(())
    }

    /// The apps' names, and what they said last.
    pub fn apps(&self) -> impl Iterator<Item = (&str, Option<ManagedState>)> {
        self.apps.iter().map(|(app, process)| (app.as_str(), process.state()))
    }

    /// How long each state change of a session server took, in the order in which they were asked for.
    pub fn moves(&self) -> &[Move] {
        &self.moves
    }

    fn known(&mut self, app: &str) -> Result<&mut AppProcess, StageError> {
        self.apps.get_mut(app).ok_or_else(|| StageError::UnknownApp { app: app.into() })
    }

    fn socket_of(&mut self, app: &str) -> Result<PathBuf, StageError> {
        match self.request(app, Command::ConnectionInfo { app })? {
            Answer::ConnectionInfo { socket } => Ok(PathBuf::from(socket.as_str())),
            _ => Err(StageError::Control { app: app.into(), error: ControlError::Protocol }),
        }
    }

    /// A server that is there already is not asked.
    fn move_server(&mut self, app: &str, state: TargetState) -> Result<(), StageError> {
        let wanted = ServerState::from(state);
        self.take_events(Instant::now())?;
        if self.servers.get(app).is_some_and(|(state, _)| *state == wanted) {
            return Ok(());
        }
        self.ask_server(app, state, Command::ChangeState { app, state })
    }

    /// Asks the manager to move a server, and waits until it is there.
    fn ask_server(&mut self, app: &str, to: TargetState, command: Command<'_>) -> Result<(), StageError> {
        self.step(app, StepKind::ServerAsked(to));
        let asked = Instant::now();
        self.request(app, command)?;
        let answered = asked.elapsed();
        self.await_server(app, to.into())?;
        self.moves.push(Move { app: app.into(), to, answered, notified: asked.elapsed() });
        Ok(())
    }

    fn await_server(&mut self, app: &str, wanted: ServerState) -> Result<(), StageError> {
        let deadline = Instant::now() + self.settings.step_timeout;
        loop {
            match self.servers.get(app).copied() {
                Some((state, _)) if state == wanted => return Ok(()),
                Some((state @ (ServerState::Error | ServerState::NotRunning), reason))
                    if !self.is_followed(app, state)? =>
                {
                    return Err(StageError::ServerFailed { app: app.into(), state, wanted, reason });
                }
                _ => {}
            }
            if !self.take_event(deadline)? {
                return Err(StageError::ServerSilent { app: app.into(), wanted });
            }
        }
    }

    /// Whether another session server follows the one that has ended, or is there already.
    fn is_followed(&mut self, app: &str, ended: ServerState) -> Result<bool, StageError> {
        Ok(self.status_of(app)?.is_some_and(|status| status.is_restarting || status.state != Some(ended)))
    }

    fn status_of(&mut self, app: &str) -> Result<Option<AppStatus>, StageError> {
        self.control.status_of(app).map_err(|error| StageError::Control { app: app.into(), error })
    }

    fn take_events(&mut self, deadline: Instant) -> Result<(), StageError> {
        while self.take_event(deadline)? {}
        Ok(())
    }

    /// Takes one event of the manager; false when none came.
    fn take_event(&mut self, deadline: Instant) -> Result<bool, StageError> {
        let broken = |error| StageError::Control { app: "any app".into(), error };
        let Some(event) = self.control.next_event(deadline).map_err(broken)? else { return Ok(false) };
        if let Event::StateChanged { app, state, reason } = event {
            self.servers.insert(app.as_str().into(), (state, reason));
            self.step(app.as_str(), StepKind::Server(state, reason));
        }
        Ok(true)
    }

    fn tell_app(&mut self, app: &str, state: ManagedState) -> Result<(), StageError> {
        self.tell_news(app);
        let process = self.known(app)?;
        if process.state() == Some(state) {
            return Ok(());
        }
        let told = process.tell(Line::NotifyNewState(state));
        self.step(app, StepKind::AppTold(state));
        told.map_err(|error| of_app(app, error))?;
        self.await_app(app, state)
    }

    fn await_app(&mut self, app: &str, state: ManagedState) -> Result<(), StageError> {
        let timeout = self.settings.step_timeout;
        let result = self.known(app)?.wait_for_answer(state, timeout);
        self.tell_news(app);
        result.map_err(|error| of_app(app, error))
    }

    /// What the app has said since.
    fn tell_news(&mut self, app: &str) {
        let news = self.apps.get_mut(app).map(AppProcess::take_news).unwrap_or_default();
        for state in news {
            self.step(app, StepKind::App(state));
        }
    }

    fn request(&mut self, app: &str, command: Command<'_>) -> Result<Answer, StageError> {
        self.control.request(command).map_err(|error| StageError::Control { app: app.into(), error })
    }

    fn step(&mut self, app: &str, what: StepKind) {
        (self.tell)(&Step { after: self.started.elapsed(), app: app.into(), what });
    }
}

fn of_app(app: &str, error: AppError) -> StageError {
    StageError::App { app: app.into(), error }
}
