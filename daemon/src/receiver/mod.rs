//! `greenroom-receiver`: shows a page of another device, which is a file of this box, in an app of this box.
//!
//! ```text
//! presentation service: greenroom-receiver --app tv --media /var/lib/tv https://tv.example/film.mp4
//! manager and app:      session server Active, app Running                          SM-22, SM-23
//! service:              RegisterBuilder, for data channels are built here               PS-15, PS-20
//!                       ReceiverReady with the token that was inherited             PS-12
//!                       ListenForConnections, then every connection and message     PS-17, PS-18
//! TERM:                 app ended, then its server, then this process               SM-26, PS-35
//! ```
//!
//! A controller sends one word a message: `pause`, `play`, `where` or `stop`. It is told what is played when it connects,
//! whenever the state changes, and as the answer to each word: one JSON object a message, such as
//! `{"order":"where","file":"film.mp4","state":"playing","position_ms":1500,"duration_ms":8000}`.

mod file;
mod playing;
mod stage;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use greenroom_core::message::presentation::{
    Answer, Command, ConnectionId, ConnectionState, Event, LaunchToken, Payload,
};
use greenroom_hal_linux::content::ContentClient;
use greenroom_hal_linux::error::LinuxError;
use greenroom_hal_linux::presenter::{LAUNCH_TOKEN_VARIABLE, PresenterError, inherited_token};
use greenroom_hal_linux::signals::{Asked, Signals};
use serde::Serialize;

pub use file::FileError;
use playing::Playing;
use stage::Stage;

use crate::appmanager::StageError;

/// How long one wait lasts before signals and the app are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// What is shown, and where.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The app that plays.
    pub app: String,
    /// The directory of the files.
    pub media: PathBuf,
    /// The page.
    pub url: String,
    /// The manager's control socket.
    pub control: PathBuf,
    /// The presentation service's socket.
    pub presentation: PathBuf,
}

/// Why a page was not shown, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiverError {
    /// Caller: nobody asked for it.
    #[error("there is no launch token in {LAUNCH_TOKEN_VARIABLE}; greenroom-presentation starts this program")]
    NotLaunched,
    /// Caller: the page is no file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The app did not come on stage, or did not leave it; the error says who is to blame.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The presentation service could not be asked, or has gone.
    #[error(transparent)]
    Service(#[from] PresenterError),
    /// Peer: the app has ended.
    #[error("the app {0} has ended by itself; its last words are above")]
    AppEnded(String),
    /// Platform: no signal can be received.
    #[error(transparent)]
    Platform(#[from] LinuxError),
}

/// Shows the page until a signal says that it is to end. `signals` is made before any thread.
pub fn run(settings: &Settings, mut signals: Signals) -> Result<(), ReceiverError> {
    let token = inherited_token().ok_or(ReceiverError::NotLaunched)?;
    let mut service = ContentClient::connect(&settings.presentation)?;
    let stage = enter(settings).inspect_err(|_| {
        // Who has asked for it is told at once. Where that fails, it is told when this process has ended.
        let _ = service.request(Command::ReceiverFailed { token });
    })?;
    let mut receiver = Receiver { service, stage, connections: Vec::new() };
    let shown = receiver.show(settings, token, &mut signals);
    let left = receiver.stage.leave();
    shown.and(left.map_err(ReceiverError::from))
}

fn enter(settings: &Settings) -> Result<Stage, ReceiverError> {
    let file = file::find(&settings.media, &settings.url)?;
    Ok(Stage::enter(&settings.control, &settings.app, &file)?)
}

/// What a controller asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Pause,
    Play,
    Where,
    Stop,
}

impl Order {
    fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "pause" => Some(Self::Pause),
            "play" => Some(Self::Play),
            "where" => Some(Self::Where),
            "stop" => Some(Self::Stop),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Play => "play",
            Self::Where => "where",
            Self::Stop => "stop",
        }
    }
}

/// What a controller is told.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(flatten)]
    playing: &'a Playing,
}

/// What the service said, as far as it matters here.
enum Heard {
    Connected(ConnectionId),
    Left(ConnectionId),
    Said(ConnectionId, Option<Order>),
}

impl Heard {
    fn of(event: &Event<'_>) -> Option<Self> {
        match *event {
            Event::State { connection, state: ConnectionState::Connected, .. } => Some(Self::Connected(connection)),
            Event::State { connection, state: ConnectionState::Closed | ConnectionState::Terminated, .. } => {
                Some(Self::Left(connection))
            }
            Event::Message { connection, payload: Payload::Text(text) } => {
                Some(Self::Said(connection, Order::parse(text)))
            }
            Event::Message { connection, payload: Payload::Binary(_) } => Some(Self::Said(connection, None)),
            _ => None,
        }
    }
}

struct Receiver {
    service: ContentClient,
    stage: Stage,
    /// Those that are connected.
    connections: Vec<ConnectionId>,
}

impl Receiver {
    fn show(&mut self, settings: &Settings, token: LaunchToken, signals: &mut Signals) -> Result<(), ReceiverError> {
        self.service.request(Command::RegisterBuilder)?;
        if let Answer::Receiver { presentation_id, url } = self.service.request(Command::ReceiverReady { token })? {
            tracing::info!("{} shows {url} as {presentation_id}", settings.app);
        }
        self.service.request(Command::ListenForConnections)?;
        while !is_to_end(signals)? {
            if let Some(heard) = self.next()? {
                self.take(heard)?;
            }
            if self.stage.hear() {
                self.tell_all()?;
            }
            if !self.stage.has_app() {
                // A signal to end goes to the app as well.
                let is_told = is_to_end(signals)?;
                return if is_told { Ok(()) } else { Err(ReceiverError::AppEnded(settings.app.clone())) };
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Heard>, PresenterError> {
        let event = self.service.next_event(Instant::now() + LOOK_INTERVAL)?;
        Ok(event.as_ref().and_then(Heard::of))
    }

    fn take(&mut self, heard: Heard) -> Result<(), ReceiverError> {
        match heard {
            Heard::Connected(connection) => {
                self.connections.push(connection);
                self.tell(connection, None, None)?;
            }
            Heard::Left(connection) => self.connections.retain(|other| *other != connection),
            Heard::Said(connection, Some(order)) => self.obey(connection, order)?,
            Heard::Said(connection, None) => {
                self.tell(connection, None, Some("say pause, play, where or stop"))?;
            }
        }
        Ok(())
    }

    fn obey(&mut self, connection: ConnectionId, order: Order) -> Result<(), ReceiverError> {
        match order {
            Order::Pause => self.stage.set_paused(true)?,
            Order::Play => self.stage.set_paused(false)?,
            Order::Where | Order::Stop => {}
        }
        self.tell(connection, Some(order), None)?;
        if order == Order::Stop {
            // The service then has this process end like everything that it has launched.
            self.service.request(Command::Terminate { connection }).map(drop).or_else(unless_refused)?;
        }
        Ok(())
    }

    fn tell_all(&mut self) -> Result<(), PresenterError> {
        self.connections.clone().into_iter().try_for_each(|connection| self.tell(connection, None, None))
    }

    /// One that does not read, or has just gone, misses it.
    fn tell(
        &mut self,
        connection: ConnectionId,
        order: Option<Order>,
        error: Option<&str>,
    ) -> Result<(), PresenterError> {
        let told = Told { order: order.map(Order::name), error, playing: self.stage.playing() };
        // Texts and numbers only, so it is always JSON.
        let text = serde_json::to_string(&told).unwrap_or_default();
        let payload = Payload::Text(&text);
        self.service.request(Command::Send { connection, payload }).map(drop).or_else(unless_refused)
    }
}

fn unless_refused(error: PresenterError) -> Result<(), PresenterError> {
    match error {
        PresenterError::Refused(refusal) => {
            tracing::info!("a controller was not told: {refusal}");
            Ok(())
        }
        error => Err(error),
    }
}

fn is_to_end(signals: &mut Signals) -> Result<bool, LinuxError> {
    while let Some(asked) = signals.receive()? {
        if asked == Asked::End {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_single_words() {
        for order in [Order::Pause, Order::Play, Order::Where, Order::Stop] {
            assert_eq!(Order::parse(&format!(" {}\n", order.name())), Some(order));
        }
        for text in ["", "Pause", "pause now", "seek 3"] {
            assert_eq!(Order::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_answer_says_to_what_and_an_error_what_to_say() {
        let playing = Playing::new("film.mp4".to_owned());
        let text = |order, error| serde_json::to_string(&Told { order, error, playing: &playing }).unwrap();
        let rest = r#""file":"film.mp4","state":"idle","position_ms":0,"duration_ms":null}"#;
        assert_eq!(text(None, None), format!("{{{rest}"));
        assert_eq!(text(Some("where"), None), format!(r#"{{"order":"where",{rest}"#));
        assert_eq!(text(None, Some("what?")), format!(r#"{{"error":"what?",{rest}"#));
    }
}
