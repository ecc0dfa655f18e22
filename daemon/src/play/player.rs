//! The app around the playing: on stage, off stage, and what it is told meanwhile.

use std::io::{BufRead, Write};
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use greenroom_core::client::LostReason;
use greenroom_core::message::AppState;
use greenroom_core::message::playback::{Event, Refusal};
use greenroom_hal_linux::client::{CallError, Client, ClientEvent, ConnectOptions, Events};
use greenroom_hal_linux::signals::{Asked, Signals};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::media::Media;
use super::performance::Performance;
use super::show::{Report, Show, app_state_name, milliseconds};
use super::terminal::{self, Key};
use super::{Happening, Options, PlayError, ShowAs};
use crate::app_protocol::{Line, ManagedState};
use crate::log::Logging;
use crate::terminal::KeyMode;

/// How long the player stays in one wait before it looks whether anything is wrong.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// How a stay on stage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Everything was played.
    End,
    /// The app is not Running any more; it may be again.
    OffStage,
    /// The user, a signal or the manager wants the app to end.
    Quit,
}

/// Plays a file to its end, or until it is told to stop.
///
/// `signals` is made before any thread; `logging` follows the levels that the session server passes on (SM-39).
pub fn play(options: Options, signals: Signals, logging: Option<Logging>) -> Result<(), PlayError> {
    let (told, happenings) = channel();
    tell_signals(signals, told.clone());
    let mut is_unwanted = || matches!(happenings.try_recv(), Ok(Happening::Quit));
    let media = Media::open(&options.file, &mut is_unwanted)?;
    let before = Instant::now();
    let client = Client::connect_with(&options.socket, ConnectOptions::new().reconnect_for(options.reconnect_for))?;
    tell_events(client.events(), told.clone());
    let show = Show::new(options.show_as, options.managed.is_some());
    let took_ms = milliseconds(before.elapsed());
    show.report(&Report::Connected { socket: options.socket.display().to_string(), took_ms });
    let _keys = match (options.managed, options.show_as) {
        (Some(_), _) => {
            tell_new_states(told.clone());
            None
        }
        (None, ShowAs::Bar) => KeyMode::enter().inspect(|_| terminal::tell_keys(told.clone())),
        (None, ShowAs::Lines | ShowAs::Json) => None,
    };
    Player::new(options, media, client, happenings, told, show, logging).run()
}

/// A file, a connection, and where in the file playing goes on.
#[derive(Debug)]
pub(super) struct Player {
    pub(super) options: Options,
    pub(super) media: Media,
    pub(super) client: Client,
    pub(super) show: Show,
    pub(super) place: Duration,
    pub(super) is_paused: bool,
    pub(super) told: Sender<Happening>,
    happenings: Receiver<Happening>,
    logging: Option<Logging>,
    wanted: ManagedState,
    /// The manager waits for an answer to its last word.
    owes_answer: bool,
}

impl Player {
    fn new(
        options: Options,
        media: Media,
        client: Client,
        happenings: Receiver<Happening>,
        told: Sender<Happening>,
        show: Show,
        logging: Option<Logging>,
    ) -> Self {
        let wanted = options.managed.unwrap_or(ManagedState::Running);
        let (place, is_paused) = (options.start_at, options.start_paused);
        Self { options, media, client, show, place, is_paused, told, happenings, logging, wanted, owes_answer: true }
    }

    fn run(mut self) -> Result<(), PlayError> {
        self.introduce();
        while self.wait_for_stage()? {
            match self.perform()? {
                Turn::End if self.options.managed.is_some() => self.wait_after_the_end()?,
                Turn::End | Turn::Quit => break,
                Turn::OffStage => {}
            }
        }
        self.leave()
    }

    fn introduce(&self) {
        for note in &self.media.notes {
            self.show.report(&Report::Note { text: note.clone() });
        }
        for (number, stream) in (0..).zip(&self.media.streams) {
            let kind = super::show::kind_name(stream.description.codec.kind());
            let codec = format!("{:?}", stream.description.codec);
            self.show.report(&Report::Source { source: number, kind, codec });
        }
    }

    /// Waits until the app is Running and holds its memory; false when it is to end.
    fn wait_for_stage(&mut self) -> Result<bool, PlayError> {
        let mut said = false;
        loop {
            match self.wanted {
                ManagedState::NotRunning => return Ok(false),
                ManagedState::Inactive => self.answer(ManagedState::Inactive),
                ManagedState::Running => {
                    if self.enter_stage()? {
                        return Ok(true);
                    }
                }
            }
            if !std::mem::replace(&mut said, true) {
                self.show.report(&Report::Application { state: "inactive" });
                self.show.report(&Report::Note { text: "waiting until the app is Running".into() });
            }
            if self.next().is_some_and(|happening| self.is_quit(&happening)) {
                return Ok(false);
            }
            self.check_connection()?;
        }
    }

    /// The server goes Active before the app runs (SM-24); where it is not yet, or not any more, the app waits.
    fn enter_stage(&mut self) -> Result<bool, PlayError> {
        if self.client.application_state() != AppState::Running {
            return Ok(false);
        }
        match self.client.set_application_state(AppState::Running) {
            Ok(()) => {
                self.show.report(&Report::Application { state: "running" });
                self.answer(ManagedState::Running);
                Ok(true)
            }
            Err(error) if is_off_stage(&error) => Ok(false),
            Err(error) => Err(PlayError::Call { step: "lease the shared memory", error }),
        }
    }

    fn perform(&mut self) -> Result<Turn, PlayError> {
        let turn = match Performance::begin(self) {
            Ok(performance) => performance.run(self),
            Err(PlayError::Call { error, .. }) if is_off_stage(&error) => Ok(Turn::OffStage),
            Err(error) => Err(error),
        };
        // What failed on a connection that has gone, failed because of that.
        turn.or_else(|error| self.check_connection().and(Err(error))).inspect(|turn| {
            if *turn == Turn::OffStage {
                self.leave_stage();
            }
        })
    }

    fn leave_stage(&mut self) {
        // It fails only with the connection, which is seen next.
        let _ = self.client.set_application_state(AppState::Inactive);
        if self.wanted != ManagedState::NotRunning {
            self.owes_answer = true;
            self.answer(ManagedState::Inactive);
            // An app that was not asked to leave says so when it is back.
            self.owes_answer = self.wanted == ManagedState::Running;
        }
    }

    /// The last picture stays until the manager wants something else.
    fn wait_after_the_end(&mut self) -> Result<(), PlayError> {
        self.place = Duration::ZERO;
        while self.wanted == ManagedState::Running && self.client.application_state() == AppState::Running {
            if self.next().is_some_and(|happening| self.is_quit(&happening)) {
                self.wanted = ManagedState::NotRunning;
            }
            if self.wanted == ManagedState::Running {
                self.answer(ManagedState::Running);
            }
            self.check_connection()?;
        }
        self.leave_stage();
        Ok(())
    }

    /// SM-26: free and unmap, report, exit.
    fn leave(mut self) -> Result<(), PlayError> {
        let _ = self.client.set_application_state(AppState::Inactive);
        self.owes_answer = true;
        self.answer(ManagedState::NotRunning);
        Ok(())
    }

    /// What happens next, if it does soon. Words of the manager and of the log are taken here.
    pub(super) fn next(&mut self) -> Option<Happening> {
        let happening = match self.happenings.recv_timeout(LOOK_INTERVAL) {
            Ok(happening) => happening,
            // One sender is ours, so it never ends.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
        };
        match &happening {
            Happening::NewState(state) => {
                self.wanted = *state;
                self.owes_answer = true;
            }
            Happening::SetPaused(is_paused) => self.is_paused = *is_paused,
            Happening::Client(ClientEvent::Server(Event::LogLevels(levels))) => {
                if let Some(Err(error)) = self.logging.as_ref().map(|logging| logging.apply(levels)) {
                    tracing::warn!("the log levels stay as they are: {error}");
                }
            }
            Happening::Client(ClientEvent::Server(Event::ApplicationState(state))) => {
                tracing::info!("the session server says that the app is {}", app_state_name(*state));
            }
            Happening::Client(ClientEvent::ConnectionLost(reason)) => {
                self.show.report(&Report::ConnectionLost { reason: reason.to_string() });
            }
            Happening::Client(ClientEvent::Reconnected) => self.show.report(&Report::Reconnected),
            _ => {}
        }
        Some(happening)
    }

    /// Whether the manager wants the app on stage; if so, it has its answer.
    pub(super) fn is_wanted_on_stage(&mut self) -> bool {
        let is_wanted = self.wanted == ManagedState::Running;
        if is_wanted {
            self.answer(ManagedState::Running);
        }
        is_wanted
    }

    pub(super) fn is_quit(&self, happening: &Happening) -> bool {
        matches!(happening, Happening::Quit | Happening::Key(Key::Quit))
    }

    pub(super) fn check_connection(&self) -> Result<(), PlayError> {
        match self.client.given_up() {
            Some(reason) => Err(self.server_gone(reason)),
            None => Ok(()),
        }
    }

    fn server_gone(&self, reason: LostReason) -> PlayError {
        PlayError::ServerGone { socket: self.options.socket.clone(), reason }
    }

    fn answer(&mut self, state: ManagedState) {
        if std::mem::take(&mut self.owes_answer) && self.options.managed.is_some() {
            // A manager that has gone is seen as the end of standard input.
            let mut stdout = std::io::stdout();
            let _ = writeln!(stdout, "{}", Line::StateChanged(state)).and_then(|()| stdout.flush());
        }
    }
}

/// Whether a call failed because the app left the stage meanwhile, be it with its session server.
pub(super) fn is_off_stage(error: &CallError) -> bool {
    use greenroom_core::client::NotTaken;
    matches!(
        error,
        CallError::Refused(Refusal::NotActive | Refusal::Interrupted | Refusal::NoMemory | Refusal::UnknownSession)
            | CallError::NotTaken(NotTaken::SessionEnded)
            | CallError::ConnectionLost
    )
}

fn tell_events(events: Events, told: Sender<Happening>) {
    std::thread::spawn(move || {
        loop {
            let Some(event) = events.next(Duration::from_secs(3_600)) else { continue };
            let is_last = matches!(event, ClientEvent::GivenUp(_));
            if told.send(Happening::Client(event)).is_err() || is_last {
                return;
            }
        }
    });
}

fn tell_signals(mut signals: Signals, told: Sender<Happening>) {
    std::thread::spawn(move || {
        loop {
            match poll(&mut [PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)], None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
            // A terminal that hangs up ends the app, too.
            let asked = signals.receive();
            if matches!(asked, Ok(Some(Asked::End | Asked::Reload))) && told.send(Happening::Quit).is_err() {
                return;
            }
        }
    });
}

/// The manager's lines; their end is its end.
fn tell_new_states(told: Sender<Happening>) {
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let _ = match Line::parse(&line) {
                Some(Line::NotifyNewState(state)) => told.send(Happening::NewState(state)),
                Some(Line::SetPaused(is_paused)) => told.send(Happening::SetPaused(is_paused)),
                Some(Line::StateChanged(_)) | None => Ok(()),
            };
        }
        let _ = told.send(Happening::NewState(ManagedState::NotRunning));
    });
}
