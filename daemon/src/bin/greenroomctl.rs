//! Drives the manager from a command line or a script.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use greenroom_core::message::control::{Answer, Command, Event, Refusal};
use greenroom_core::message::{Reason, ServerState, TargetState};
use greenroom_daemon::command_line::ctl::{Arguments, Order, TraceOrder, Wait};
use greenroom_daemon::control::{ControlClient, ControlError};
use greenroom_daemon::ctl::live::{self, LiveError};
use greenroom_daemon::ctl::present::{self, PresentError};
use greenroom_daemon::ctl::report;
use greenroom_daemon::ctl::trace::{self, TraceError};
use greenroom_daemon::names;
use greenroom_daemon::runtime;
use greenroom_hal_linux::presentation::PresenterError;
use greenroom_hal_mock::sequence::Detail;
use serde_json::{Value, json};

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Control(#[from] ControlError),
    #[error("{0}")]
    Live(LiveError),
    #[error("{0}")]
    Trace(TraceError),
    #[error("{0}")]
    Present(#[from] PresentError),
    #[error("app {app}: {refusal}")]
    Refused { app: String, refusal: Refusal },
    #[error("app {app} is {} and will not be {}: {why}", names::state(*is), names::state(*wanted))]
    Elsewhere { app: String, is: ServerState, wanted: ServerState, why: String },
    #[error("app {app} was not {} within {seconds} s; it is {is}; see 'greenroomctl list' and the manager's log", names::state(*wanted))]
    Late { app: String, wanted: ServerState, seconds: f64, is: String },
}

impl From<LiveError> for Failure {
    fn from(error: LiveError) -> Self {
        match error {
            LiveError::Control(error) => Self::Control(error),
            other => Self::Live(other),
        }
    }
}

impl From<TraceError> for Failure {
    fn from(error: TraceError) -> Self {
        match error {
            TraceError::Control(error) => Self::Control(error),
            other => Self::Trace(other),
        }
    }
}

impl Failure {
    fn status(&self) -> u8 {
        match self {
            Self::Refused { .. }
            | Self::Elsewhere { .. }
            | Self::Live(_)
            | Self::Trace(_)
            | Self::Control(ControlError::Refused(_)) => 1,
            Self::Present(error) => error.status(),
            Self::Control(ControlError::TooLong) => 2,
            Self::Late { .. } | Self::Control(ControlError::Timeout) => 4,
            Self::Control(_) => 3,
        }
    }

    fn json(&self) -> Value {
        let refusal = match self {
            Self::Refused { refusal, .. } | Self::Control(ControlError::Refused(refusal)) => {
                Some(format!("{refusal:?}"))
            }
            Self::Present(PresentError::Presenter(PresenterError::Refused(refusal))) => Some(format!("{refusal:?}")),
            Self::Control(_)
            | Self::Live(_)
            | Self::Trace(_)
            | Self::Present(_)
            | Self::Elsewhere { .. }
            | Self::Late { .. } => None,
        };
        json!({"error": self.to_string(), "refusal": refusal, "status": self.status()})
    }
}

/// Prints a line. Who reads may have heard enough, which is no failure.
macro_rules! say {
    ($($all:tt)*) => {
        if writeln!(std::io::stdout(), $($all)*).is_err() {
            std::process::exit(0);
        }
    };
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let json = arguments.json;
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if json {
                say!("{}", failure.json());
            }
            eprintln!("greenroomctl: {failure}");
            ExitCode::from(failure.status())
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Order::Trace { order: TraceOrder::Replay { file, quiet } } => return replay(file, *quiet, arguments.json),
        Order::Trace { order: TraceOrder::Diagram { files, notation, all, output } } => {
            let drawn = trace::draw_files(files, *notation, if *all { Detail::All } else { Detail::Steps })?;
            return show(&drawn, output.as_deref(), arguments.json);
        }
        Order::Present { service, order } => {
            let path = service.clone().unwrap_or_else(runtime::presentation_socket);
            return Ok(present::run(&path, order, arguments.json, &mut |line| say!("{line}"))?);
        }
        _ => {}
    }
    let path = arguments.control.unwrap_or_else(runtime::control_socket);
    let mut session = Session { client: ControlClient::connect(&path)?, json: arguments.json };
    match &arguments.command {
        Order::Initiate { app, state, socket, wait } => session.initiate(app, (*state).into(), socket, wait)?,
        Order::State { app, state, wait } => session.change_state(app, (*state).into(), wait)?,
        Order::ConnectionInfo { app } => return session.connection_info(app),
        Order::Wait { app, state, timeout } => session.wait_now(app, (*state).into(), *timeout)?,
        Order::LogLevel { component, level } => {
            session.order(Command::SetLogLevel { component: (*component).into(), level: (*level).into() })?;
        }
        Order::List => return session.list(),
        Order::Watch { lines } => return session.watch(*lines),
        Order::Stop => session.order(Command::Stop)?,
        Order::Trace { order: TraceOrder::Save { file } } => return session.save_trace(file),
        // They need no manager.
        Order::Trace { order: TraceOrder::Replay { .. } | TraceOrder::Diagram { .. } } | Order::Present { .. } => {}
    }
    session.tell_done();
    Ok(())
}

/// A connection to the manager, and how what it says is printed.
struct Session {
    client: ControlClient,
    json: bool,
}

impl Session {
    /// A script that reads JSON gets an object from every command; a person needs no word that all is well.
    fn tell_done(&self) {
        if self.json {
            say!("{}", json!({"done": true}));
        }
    }

    fn order(&mut self, command: Command<'_>) -> Result<(), Failure> {
        self.client.request(command)?;
        Ok(())
    }

    fn order_about(&mut self, app: &str, command: Command<'_>) -> Result<Answer, Failure> {
        self.client.request(command).map_err(|error| match error {
            ControlError::Refused(refusal) => Failure::Refused { app: app.to_owned(), refusal },
            other => Failure::Control(other),
        })
    }

    fn initiate(&mut self, app: &str, state: TargetState, socket: &str, wait: &Wait) -> Result<(), Failure> {
        let command = Command::Initiate { app, state, socket };
        self.move_to(app, state, command, wait)
    }

    fn change_state(&mut self, app: &str, state: TargetState, wait: &Wait) -> Result<(), Failure> {
        self.move_to(app, state, Command::ChangeState { app, state }, wait)
    }

    /// Events are asked for first, so that none between the answer and the wait is missed.
    fn move_to(&mut self, app: &str, to: TargetState, command: Command<'_>, wait: &Wait) -> Result<(), Failure> {
        if !wait.wait {
            self.order_about(app, command)?;
            return Ok(());
        }
        self.client.request(Command::Watch)?;
        self.order_about(app, command)?;
        self.wait_for(app, to.into(), wait.timeout)
    }

    fn connection_info(&mut self, app: &str) -> Result<(), Failure> {
        let Answer::ConnectionInfo { socket } = self.order_about(app, Command::ConnectionInfo { app })? else {
            return Err(ControlError::Protocol.into());
        };
        match self.json {
            true => say!("{}", json!({"app": app, "socket": socket.as_str()})),
            false => say!("{socket}"),
        }
        Ok(())
    }

    fn wait_now(&mut self, app: &str, wanted: ServerState, timeout: Duration) -> Result<(), Failure> {
        self.client.request(Command::Watch)?;
        self.wait_for(app, wanted, timeout)
    }

    /// The list says whether it is there already; events say when it gets there, and whether it still can.
    fn wait_for(&mut self, app: &str, wanted: ServerState, timeout: Duration) -> Result<(), Failure> {
        let deadline = Instant::now() + timeout;
        let mut is = self.look_at(app)?;
        loop {
            if is == Some(wanted) {
                return Ok(());
            }
            match self.client.next_event(deadline)? {
                None => return Err(late(app, wanted, timeout, is)),
                Some(Event::Missed(_)) => is = self.look_at(app)?,
                Some(Event::StateChanged { app: other, state, reason }) if other.as_str() == app => {
                    is = self.after(app, state, reason, wanted)?;
                }
                Some(_) => {}
            }
        }
    }

    /// The state of an app. One that is not there does not run; one whose server is not up has no state yet.
    fn look_at(&mut self, app: &str) -> Result<Option<ServerState>, Failure> {
        Ok(self.client.status_of(app)?.map_or(Some(ServerState::NotRunning), |status| status.state))
    }

    /// What a new state comes to for who waits. An end is final unless another server follows; and an app that came back
    /// without its decoders will not get them by itself.
    fn after(
        &mut self,
        app: &str,
        is: ServerState,
        reason: Option<Reason>,
        wanted: ServerState,
    ) -> Result<Option<ServerState>, Failure> {
        let may_be_final = matches!(is, ServerState::NotRunning | ServerState::Error);
        if is == wanted || !(may_be_final || reason == Some(Reason::DecodersTaken)) {
            return Ok(Some(is));
        }
        let status = self.client.status_of(app)?;
        match &status {
            None if wanted == ServerState::NotRunning => Ok(Some(ServerState::NotRunning)),
            Some(_) if wanted == ServerState::NotRunning => Ok(Some(is)),
            // Another one follows, or is there already.
            Some(status) if may_be_final && (status.is_restarting || status.state != Some(is)) => Ok(Some(is)),
            Some(_) | None => {
                let why = reason.map_or_else(|| "it gave no reason".to_owned(), |reason| reason.to_string());
                Err(Failure::Elsewhere { app: app.to_owned(), is, wanted, why })
            }
        }
    }

    fn list(&mut self) -> Result<(), Failure> {
        let (apps, status) = self.client.list()?;
        match self.json {
            true => say!("{}", report::json(&apps, &status)),
            false => say!("{}", report::text(&apps, &status)),
        }
        Ok(())
    }

    fn save_trace(&mut self, file: &Path) -> Result<(), Failure> {
        for saved in trace::save(&mut self.client, file)? {
            let (origin, segments) = (&saved.origin, saved.segments);
            match self.json {
                true => say!("{}", json!({"saved": origin.to_string(), "segments": segments})),
                false => say!("{origin}: {segments} segment(s)"),
            }
        }
        Ok(())
    }

    fn watch(&mut self, lines: bool) -> Result<(), Failure> {
        self.client.request(Command::Watch)?;
        if !lines && !self.json && live::can_draw() {
            return Ok(live::run(&mut self.client)?);
        }
        self.print_present()?;
        loop {
            match self.client.next_event(Instant::now() + Duration::from_secs(3600)) {
                Ok(Some(event)) => self.print(&event),
                Ok(None) => {}
                // The manager has ended, which is how a watch ends.
                Err(ControlError::Closed) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn print_present(&mut self) -> Result<(), Failure> {
        let (apps, status) = self.client.list()?;
        if self.json {
            let mut present = report::json(&apps, &status);
            present["event"] = json!("present");
            say!("{present}");
            return Ok(());
        }
        for status in &apps {
            say!("{} {}", status.app, status.state.map_or("starting", names::state));
        }
        Ok(())
    }

    fn print(&self, event: &Event) {
        match self.json {
            true => say!("{}", report::event_json(event)),
            false => say!("{}", report::event_text(event)),
        }
    }
}

/// Steps as lines, then what each machine has come to.
fn replay(file: &Path, quiet: bool, json: bool) -> Result<(), Failure> {
    let outcomes = trace::replay_file(file, |step| {
        if !quiet && !json {
            say!("{step}");
        }
    })?;
    for outcome in &outcomes {
        match json {
            true => say!("{}", report::replay_json(outcome)),
            false => say!("{outcome}"),
        }
    }
    Ok(())
}

/// Shows a diagram, or writes it. What is not in it is said beside it.
fn show(drawn: &trace::Drawn, output: Option<&Path>, json: bool) -> Result<(), Failure> {
    match output {
        Some(path) => trace::write_diagram(path, drawn)?,
        None if json => {}
        None => say!("{}", drawn.text.trim_end_matches('\n')),
    }
    if json {
        let diagram = output.is_none().then_some(&drawn.text);
        say!("{}", json!({"done": true, "left_out": drawn.left_out, "diagram": diagram}));
    } else if drawn.left_out > 0 {
        eprintln!(
            "greenroomctl: {} health checks, positions, lists and the like are left out; --all shows them",
            drawn.left_out
        );
    }
    Ok(())
}

fn late(app: &str, wanted: ServerState, timeout: Duration, is: Option<ServerState>) -> Failure {
    let is = is.map_or("not up", names::state).to_owned();
    Failure::Late { app: app.to_owned(), wanted, seconds: timeout.as_secs_f64(), is }
}
