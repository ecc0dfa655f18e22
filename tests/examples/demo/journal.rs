//! The story as it is printed: who says what to whom, and when.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use greenroom_core::message::ServerState;
use greenroom_daemon::appmanager::{Step, StepKind};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const APPLICATION_MANAGER: &str = "application manager";
const MANAGER: &str = "manager";
const SESSION_SERVER: &str = "session server";

/// Prints the story. Colours and the bar are for terminals only.
pub(crate) struct Journal {
    started: Instant,
    has_colours: bool,
    is_terminal: bool,
    bar: ProgressBar,
}

/// How far playing is.
#[derive(Clone, Copy)]
pub(crate) struct Progress {
    pub(crate) position: Duration,
    pub(crate) length: Duration,
    pub(crate) pictures: usize,
}

/// The colours that are used.
#[derive(Clone, Copy)]
pub(crate) enum Colour {
    Good,
    Waiting,
    Bad,
    Dim,
    Bold,
}

impl Journal {
    pub(crate) fn start() -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        let has_colours = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { started: Instant::now(), has_colours, is_terminal, bar: ProgressBar::hidden() }
    }

    /// A heading.
    pub(crate) fn act(&self, title: &str) {
        self.print(&format!("\n{}", self.paint(Colour::Bold, title)));
    }

    /// Something that is good to know.
    pub(crate) fn note(&self, text: &str) {
        self.print(&format!("{}{}", self.time(), self.paint(Colour::Dim, text)));
    }

    /// A line as it is.
    pub(crate) fn print(&self, line: &str) {
        self.bar.suspend(|| println!("{line}"));
    }

    pub(crate) fn complain(&self, failure: &str) {
        self.bar.finish_and_clear();
        eprintln!("\n{} {failure}", self.paint(Colour::Bad, "the demo failed:"));
    }

    /// What one of them says to another.
    pub(crate) fn said(&self, from: &str, to: &str, text: &str) {
        let arrow = self.paint(Colour::Dim, "→");
        self.print(&format!("{}{from:19} {arrow} {to:19}  {text}", self.time()));
    }

    /// What an app says to nobody in particular.
    pub(crate) fn muttered(&self, app: &str, text: &str) {
        self.print(&format!("{}{app:19}   {:19}  {}", self.time(), "", self.paint(Colour::Dim, text)));
    }

    /// What a session server tells the app.
    pub(crate) fn server_said(&self, app: &str, text: &str) {
        self.said(SESSION_SERVER, app, text);
    }

    /// The manager's refusal.
    pub(crate) fn refused(&self, refusal: &str) {
        self.said(MANAGER, APPLICATION_MANAGER, &format!("{} {refusal}", self.paint(Colour::Bad, "refused:")));
    }

    /// A step of the application manager.
    pub(crate) fn step(&self, step: &Step) {
        let app = step.app.as_str();
        match step.what {
            StepKind::ServerAsked(state) => {
                let state = self.server_state(state.into());
                self.said(APPLICATION_MANAGER, MANAGER, &format!("session server of {app}: be {state}"));
            }
            StepKind::Server(state, reason) => {
                let because = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
                let state = self.server_state(state);
                self.said(MANAGER, APPLICATION_MANAGER, &format!("session server of {app} is {state}{because}"));
            }
            StepKind::AppStarted(state) => {
                self.said(APPLICATION_MANAGER, app, &format!("started, to be {}", self.app_state(state)));
            }
            StepKind::AppTold(state) => self.said(APPLICATION_MANAGER, app, &format!("be {}", self.app_state(state))),
            StepKind::App(state) => self.said(app, APPLICATION_MANAGER, &format!("I am {}", self.app_state(state))),
            StepKind::AppExited(Some(status)) => self.muttered(app, &format!("exited with status {status}")),
            StepKind::AppExited(None) => self.muttered(app, "ended by a signal"),
        }
    }

    fn server_state(&self, state: ServerState) -> String {
        let colour = match state {
            ServerState::Active => Colour::Good,
            ServerState::Inactive => Colour::Waiting,
            ServerState::Uninitialized | ServerState::NotRunning => Colour::Dim,
            ServerState::Error => Colour::Bad,
        };
        self.paint(colour, &format!("{state:?}"))
    }

    fn app_state(&self, state: greenroom_daemon::app_protocol::ManagedState) -> String {
        use greenroom_daemon::app_protocol::ManagedState;
        let colour = match state {
            ManagedState::Running => Colour::Good,
            ManagedState::Inactive => Colour::Waiting,
            ManagedState::NotRunning => Colour::Dim,
        };
        self.paint(colour, &format!("{state:?}"))
    }

    /// A bar under the story; nothing where there is no terminal.
    pub(crate) fn show_bar(&self, app: &str) {
        let Some(style) = bar_style().filter(|_| self.is_terminal) else { return };
        self.bar.reset();
        self.bar.set_style(style);
        self.bar.set_prefix(app.to_owned());
        self.bar.set_message("");
        // Last, so that the bar is never seen half dressed.
        self.bar.set_draw_target(ProgressDrawTarget::stdout());
    }

    /// Moves the bar to `position` of `length`; where there is none, says so if it is time for a line.
    pub(crate) fn progress(&self, app: &str, at: Progress, is_time_for_a_line: bool) {
        let Progress { position, length, pictures } = at;
        self.bar.set_length(milliseconds(length));
        self.bar.set_position(milliseconds(position));
        self.bar.set_message(format!("{:.1} s, {pictures} pictures", position.as_secs_f64()));
        if !self.is_terminal && is_time_for_a_line {
            self.note(&format!("{app} at {:.1} s, {pictures} pictures", position.as_secs_f64()));
        }
    }

    pub(crate) fn hide_bar(&self) {
        self.bar.finish_and_clear();
        self.bar.set_draw_target(ProgressDrawTarget::hidden());
    }

    pub(crate) fn paint(&self, colour: Colour, text: &str) -> String {
        let code = match colour {
            Colour::Good => "32",
            Colour::Waiting => "33",
            Colour::Bad => "1;31",
            Colour::Dim => "2",
            Colour::Bold => "1",
        };
        if self.has_colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn time(&self) -> String {
        self.paint(Colour::Dim, &format!("{:7.3} s  ", self.started.elapsed().as_secs_f64()))
    }
}

fn bar_style() -> Option<ProgressStyle> {
    let style = ProgressStyle::with_template("            {prefix} [{bar:40}] {msg}").ok()?;
    Some(style.progress_chars("=> "))
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
