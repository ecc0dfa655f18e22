//! The page on the phone: finds the TV, has the film shown there, talks to it, leaves and comes back.

use std::path::Path;
use std::time::{Duration, Instant};

use greenroom_core::message::presentation::{
    Answer, Command, ConnectionId, ConnectionState, Event, Payload, TransportKind,
};
use greenroom_hal_linux::presentation::PresenterClient;
use greenroom_hal_mock::diagram::Kind;
use serde::Deserialize;

use crate::Failure;
use crate::seen::{Seen, Who};

/// Far longer than anything takes: only a hang gets here.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// What the receiver says.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Told {
    /// To which word it is the answer.
    pub(crate) order: Option<String>,
    /// How it plays.
    pub(crate) state: String,
    /// Where it is.
    pub(crate) position_ms: u64,
}

/// A page's connection to the phone's presentation service.
pub(crate) struct Page<'a> {
    client: PresenterClient,
    seen: &'a Seen<'a>,
    connection: Option<ConnectionId>,
    /// What the presentation is called.
    pub(crate) presentation: String,
}

impl<'a> Page<'a> {
    pub(crate) fn connect(socket: &Path, seen: &'a Seen<'a>) -> Result<Self, Failure> {
        let client = PresenterClient::connect(socket)?;
        Ok(Self { client, seen, connection: None, presentation: String::new() })
    }

    /// Waits until a device is in sight.
    pub(crate) fn find(&mut self, name: &str) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        while !self.sees(name)? {
            if Instant::now() > deadline {
                return Err(format!("{name} is not found within {} s", PATIENCE.as_secs()).into());
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
        self.seen.now(Kind::Notification, Who::Phone, Who::Page, &format!("{name} is there"));
        Ok(())
    }

    fn sees(&mut self, name: &str) -> Result<bool, Failure> {
        let mut from = 0;
        loop {
            match self.client.request(Command::ListDevices { from })? {
                Answer::Device(Some(device)) if device.device_id == name => return Ok(true),
                Answer::Device(Some(device)) => from = device.next,
                _ => return Ok(false),
            }
        }
    }

    /// Has the page shown, and waits until it is connected.
    pub(crate) fn start(&mut self, url: &str, device: &str) -> Result<(), Failure> {
        self.seen.now(Kind::Call, Who::Page, Who::Phone, &format!("start {url} on {device}"));
        let urls = [url].into_iter().collect();
        let transport = TransportKind::Tcp;
        self.open(Command::Start { presentation_id: "", urls, origin: "the demo", device: Some(device), transport })
    }

    /// Takes the presentation up again.
    pub(crate) fn reconnect(&mut self, presentation: &str, url: &str) -> Result<(), Failure> {
        self.seen.now(Kind::Call, Who::Page, Who::Phone, "reconnect");
        let urls = [url].into_iter().collect();
        self.open(Command::Reconnect { presentation_id: presentation, urls })
    }

    fn open(&mut self, command: Command<'_>) -> Result<(), Failure> {
        let Answer::Connection { connection, presentation_id, .. } = self.client.request(command)? else {
            return Err("the service gives no connection".into());
        };
        presentation_id.clone_into(&mut self.presentation);
        self.connection = Some(connection);
        self.wait_for(ConnectionState::Connected)
    }

    fn wait_for(&mut self, wanted: ConnectionState) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.client.next_event(deadline)? {
                Some(Event::State { connection, state, reason }) if self.connection == Some(connection) => {
                    self.seen.now(Kind::Notification, Who::Phone, Who::Page, &state.to_string());
                    if state == wanted {
                        return Ok(());
                    }
                    if state != ConnectionState::Connecting {
                        return Err(format!("the connection is {state}: {reason:?}").into());
                    }
                }
                Some(_) => {}
                None => return Err(format!("the connection is not {wanted} within {} s", PATIENCE.as_secs()).into()),
            }
        }
    }

    fn connection(&self) -> Result<ConnectionId, Failure> {
        Ok(self.connection.ok_or("there is no connection yet")?)
    }

    /// Says a word to the receiver and hears its answer.
    pub(crate) fn say(&mut self, word: &str) -> Result<Told, Failure> {
        self.seen.now(Kind::Call, Who::Page, Who::Receiver, word);
        let send = Command::Send { connection: self.connection()?, payload: Payload::Text(word) };
        self.client.request(send)?;
        self.hear(|told| told.order.as_deref() == Some(word))
    }

    /// Hears what the receiver says until it says this.
    pub(crate) fn hear(&mut self, is_it: impl Fn(&Told) -> bool) -> Result<Told, Failure> {
        let deadline = Instant::now() + PATIENCE;
        while let Some(event) = self.client.next_event(deadline)? {
            let Event::Message { payload: Payload::Text(text), .. } = event else { continue };
            let told: Told = serde_json::from_str(text)?;
            let kind = if told.order.is_some() { Kind::Answer } else { Kind::Notification };
            let what = format!("{} at {:.1} s", told.state, told.position_ms as f64 / 1_000.0);
            self.seen.now(kind, Who::Receiver, Who::Page, &what);
            if is_it(&told) {
                return Ok(told);
            }
        }
        Err("the receiver does not say what it should".into())
    }

    /// Goes away; the presentation goes on.
    pub(crate) fn leave(mut self) -> Result<(), Failure> {
        let connection = self.connection()?;
        self.seen.now(Kind::Call, Who::Page, Who::Phone, "goes away");
        self.client.request(Command::Close { connection, went_away: true })?;
        Ok(())
    }

    /// Ends the presentation.
    pub(crate) fn terminate(mut self) -> Result<(), Failure> {
        let connection = self.connection()?;
        self.seen.now(Kind::Call, Who::Page, Who::Phone, "terminate");
        self.client.request(Command::Terminate { connection })?;
        self.wait_for(ConnectionState::Terminated)
    }
}
