//! `greenroomctl present`: pages of this box on other devices, and of theirs here.

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use greenroom_core::limits::ESTABLISH_TIMEOUT_MAX;
use greenroom_core::message::presentation::{
    Answer, CloseReason, Command, ConnectionId, ConnectionState, Event, Payload, Refusal, SelectionId, TransportKind,
    Urls,
};
use greenroom_hal_linux::content::ContentClient;
use greenroom_hal_linux::presenter::PresenterError;
use serde_json::{Value, json};

use crate::command_line::ctl::PresentOrder;

/// Who asks for a device, as the one who chooses it is told.
const ORIGIN: &str = "greenroomctl";
/// The service has said before this what has become of a connection that it makes.
const CONNECT_TIMEOUT: Duration = ESTABLISH_TIMEOUT_MAX.saturating_add(Duration::from_secs(10));
/// A transport that takes nothing for so long is stuck.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
const SEND_PAUSE: Duration = Duration::from_millis(20);
/// Nobody waits longer for an event that may never come.
const LONG: Duration = Duration::from_secs(365 * 24 * 3600);

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PresentError {
    /// The service could not be asked, or refused.
    #[error("{0}")]
    Presenter(#[from] PresenterError),
    /// Caller: there is no such presentation on another device.
    #[error("this box has no presentation {0} on another device; see 'greenroomctl present list'")]
    NotFound(String),
    /// Caller: no request has such a name.
    #[error("'{0}' names no request; one is like 0.1, see 'greenroomctl present requests'")]
    NoRequest(String),
    /// Peer: the connection was not made, or has ended.
    #[error("the connection is {state}: {why}")]
    Ended {
        /// How it is.
        state: ConnectionState,
        /// Why.
        why: String,
    },
    /// Peer: nothing was heard of the connection.
    #[error("nothing is heard of the connection; see the log of the presentation service")]
    Late,
}

impl PresentError {
    /// The exit status of a program that says this.
    pub fn status(&self) -> u8 {
        match self {
            Self::Presenter(PresenterError::Refused(_)) | Self::NotFound(_) | Self::Ended { .. } => 1,
            Self::Presenter(PresenterError::TooLong) | Self::NoRequest(_) => 2,
            Self::Presenter(PresenterError::Timeout) | Self::Late => 4,
            Self::Presenter(_) => 3,
        }
    }
}

/// A connection, as it is listed.
#[derive(Debug)]
struct Listed {
    presentation: String,
    url: String,
    device: String,
    state: ConnectionState,
    is_receiver: bool,
}

/// Does what is ordered; `say` is given each line.
pub fn run(path: &Path, order: &PresentOrder, json: bool, say: &mut dyn FnMut(&str)) -> Result<(), PresentError> {
    let mut session = Session { client: ContentClient::connect(path)?, json, say };
    match order {
        PresentOrder::Devices => session.devices(),
        PresentOrder::Start { urls, device, name, data_channel, stay } => {
            let transport = if *data_channel { TransportKind::DataChannel } else { TransportKind::Tcp };
            let connection = session.start(urls, device.as_deref(), name.as_deref().unwrap_or_default(), transport)?;
            if *stay { session.listen(connection) } else { Ok(()) }
        }
        PresentOrder::List => session.list(),
        PresentOrder::Send { presentation, text, data_channel } => {
            session.build(*data_channel)?;
            session.send(presentation, text)
        }
        PresentOrder::Reconnect { presentation, data_channel } => {
            session.build(*data_channel)?;
            let connection = session.reconnect(presentation)?;
            session.listen(connection)
        }
        PresentOrder::Close { presentation } => {
            let connection = session.reconnect(presentation)?;
            session.order(Command::Close { connection, went_away: false })
        }
        PresentOrder::Terminate { presentation } => session.order(Command::End { presentation_id: presentation }),
        PresentOrder::Requests { watch } => session.requests(*watch),
        PresentOrder::Traffic => session.traffic(),
        PresentOrder::Select { request, device } => {
            let selection = request_of(request).ok_or_else(|| PresentError::NoRequest(request.clone()))?;
            session.order(Command::Select { selection, device })
        }
    }
}

fn request_of(text: &str) -> Option<SelectionId> {
    let (index, generation) = text.split_once('.')?;
    Some(SelectionId { index: index.parse().ok()?, generation: generation.parse().ok()? })
}

fn protocol<T>() -> Result<T, PresentError> {
    Err(PresenterError::Protocol.into())
}

/// A connection to the presentation service, and how what it says is printed.
struct Session<'s> {
    client: ContentClient,
    json: bool,
    say: &'s mut dyn FnMut(&str),
}

impl Session<'_> {
    fn print(&mut self, value: &Value, text: &str) {
        if self.json { (self.say)(&value.to_string()) } else { (self.say)(text) }
    }

    /// A script that reads JSON gets an object from every command; a person needs no word that all is well.
    fn order(&mut self, command: Command<'_>) -> Result<(), PresentError> {
        self.client.request(command)?;
        if self.json {
            self.print(&json!({"done": true}), "");
        }
        Ok(())
    }

    fn devices(&mut self) -> Result<(), PresentError> {
        let mut from = 0;
        loop {
            let (line, value) = match self.client.request(Command::ListDevices { from })? {
                Answer::Device(Some(device)) if device.next > from => {
                    from = device.next;
                    let value = json!({"device": device.device_id, "name": device.name});
                    (device.device_id.to_owned(), value)
                }
                Answer::Device(None) => return Ok(()),
                _ => return protocol(),
            };
            self.print(&value, &line);
        }
    }

    fn all(&mut self) -> Result<Vec<Listed>, PresentError> {
        let (mut all, mut from) = (Vec::new(), 0);
        loop {
            match self.client.request(Command::List { from })? {
                Answer::Listed(Some(status)) if status.next > from => {
                    from = status.next;
                    all.push(Listed {
                        presentation: status.presentation_id.to_owned(),
                        url: status.url.to_owned(),
                        device: status.device_id.to_owned(),
                        state: status.state,
                        is_receiver: status.is_receiver,
                    });
                }
                Answer::Listed(None) => return Ok(all),
                _ => return protocol(),
            }
        }
    }

    fn list(&mut self) -> Result<(), PresentError> {
        for Listed { presentation, url, device, state, is_receiver } in self.all()? {
            let state = state.to_string();
            let value = json!({
                "presentation": presentation, "url": url, "device": device, "state": state, "shown_here": is_receiver,
            });
            let way = if is_receiver { "here for" } else { "on" };
            self.print(&value, &format!("{presentation} {state} {url} {way} {device}"));
        }
        Ok(())
    }

    fn traffic(&mut self) -> Result<(), PresentError> {
        let Answer::Traffic(traffic) = self.client.request(Command::Traffic)? else { return protocol() };
        let sent = (traffic.sent_messages, traffic.sent_bytes);
        let received = (traffic.received_messages, traffic.received_bytes);
        let value = json!({
            "sent_messages": sent.0, "sent_bytes": sent.1, "received_messages": received.0, "received_bytes": received.1,
        });
        let text = format!("sent {} messages, {} bytes; received {}, {}", sent.0, sent.1, received.0, received.1);
        self.print(&value, &text);
        Ok(())
    }

    /// What is connected to from now on may have a data channel.
    fn build(&mut self, data_channel: bool) -> Result<(), PresentError> {
        if data_channel {
            self.client.request(Command::RegisterBuilder)?;
        }
        Ok(())
    }

    fn start(
        &mut self,
        urls: &[String],
        device: Option<&str>,
        name: &str,
        transport: TransportKind,
    ) -> Result<ConnectionId, PresentError> {
        let mut wanted = Urls::new();
        for url in urls {
            wanted.push(url.as_str()).map_err(|_| PresenterError::Refused(Refusal::Urls))?;
        }
        let command = Command::Start { presentation_id: name, urls: wanted, origin: ORIGIN, device, transport };
        let (connection, presentation, url) = self.connection(command)?;
        self.wait_until_connected(connection)?;
        self.print(&json!({"presentation": presentation, "url": url, "state": "connected"}), &presentation);
        Ok(connection)
    }

    fn connection(&mut self, command: Command<'_>) -> Result<(ConnectionId, String, String), PresentError> {
        match self.client.request(command)? {
            Answer::Connection { connection, presentation_id, url } => {
                Ok((connection, presentation_id.to_owned(), url.to_owned()))
            }
            _ => protocol(),
        }
    }

    fn reconnect(&mut self, presentation: &str) -> Result<ConnectionId, PresentError> {
        let all = self.all()?;
        let found = all.iter().find(|listed| listed.presentation == presentation && !listed.is_receiver);
        let url =
            found.map(|listed| listed.url.as_str()).ok_or_else(|| PresentError::NotFound(presentation.to_owned()))?;
        let urls = [url].into_iter().collect();
        let (connection, _, _) = self.connection(Command::Reconnect { presentation_id: presentation, urls })?;
        self.wait_until_connected(connection)?;
        Ok(connection)
    }

    fn wait_until_connected(&mut self, connection: ConnectionId) -> Result<(), PresentError> {
        let deadline = Instant::now() + CONNECT_TIMEOUT;
        loop {
            match self.client.next_event(deadline)? {
                None => return Err(PresentError::Late),
                Some(Event::State { connection: other, state, reason }) if other == connection => match state {
                    ConnectionState::Connecting => {}
                    ConnectionState::Connected => return Ok(()),
                    ConnectionState::Closed | ConnectionState::Terminated => return Err(ended(state, reason)),
                },
                Some(_) => {}
            }
        }
    }

    /// The connection is left when this program ends; the presentation goes on.
    fn send(&mut self, presentation: &str, text: &str) -> Result<(), PresentError> {
        let connection = self.reconnect(presentation)?;
        let deadline = Instant::now() + SEND_TIMEOUT;
        loop {
            let payload = Payload::Text(text);
            match self.order(Command::Send { connection, payload }) {
                Err(PresentError::Presenter(PresenterError::Refused(Refusal::Congested)))
                    if Instant::now() < deadline =>
                {
                    std::thread::sleep(SEND_PAUSE);
                }
                Ok(()) if self.client.flush(connection, deadline)? => return Ok(()),
                Ok(()) => return Err(PresentError::Late),
                Err(error) => return Err(error),
            }
        }
    }

    /// Prints what comes in until the connection has ended.
    fn listen(&mut self, connection: ConnectionId) -> Result<(), PresentError> {
        loop {
            let (line, value) = match self.client.next_event(Instant::now() + LONG)? {
                Some(Event::Message { connection: other, payload }) if other == connection => message(&payload),
                Some(Event::State { connection: other, state, reason }) if other == connection => match state {
                    ConnectionState::Connecting | ConnectionState::Connected => continue,
                    // That is how it ends.
                    ConnectionState::Terminated => return Ok(()),
                    ConnectionState::Closed => return Err(ended(state, reason)),
                },
                Some(_) | None => continue,
            };
            self.print(&value, &line);
        }
    }

    /// What waits already comes with the answer, so whatever is asked next is answered after it.
    fn requests(&mut self, watch: bool) -> Result<(), PresentError> {
        self.client.request(Command::WatchSelections)?;
        self.client.request(Command::List { from: 0 })?;
        loop {
            let deadline = if watch { Instant::now() + LONG } else { Instant::now() };
            let (line, value) = match self.client.next_event(deadline)? {
                Some(Event::SelectionAsked { selection, origin, urls }) => asked(selection, origin, &urls),
                Some(Event::SelectionOver { selection }) => {
                    let request = format!("{}.{}", selection.index, selection.generation);
                    (format!("{request} is over"), json!({"request": request, "over": true}))
                }
                Some(_) => continue,
                None if watch => continue,
                None => return Ok(()),
            };
            self.print(&value, &line);
        }
    }
}

fn ended(state: ConnectionState, reason: Option<CloseReason>) -> PresentError {
    let why = reason.map_or_else(|| "no reason was given".to_owned(), |reason| reason.to_string());
    PresentError::Ended { state, why }
}

fn message(payload: &Payload<'_>) -> (String, Value) {
    match payload {
        Payload::Text(text) => ((*text).to_owned(), json!({"text": text})),
        Payload::Binary(bytes) => {
            let mut digits = String::new();
            for byte in *bytes {
                // A text takes everything.
                let _ = write!(digits, "{byte:02x}");
            }
            (format!("binary {digits}"), json!({"binary": digits}))
        }
    }
}

fn asked(selection: SelectionId, origin: &str, urls: &Urls<'_>) -> (String, Value) {
    let request = format!("{}.{}", selection.index, selection.generation);
    let line = format!("{request} {origin} asks for a device for {}", urls.join(" or "));
    (line, json!({"request": request, "origin": origin, "urls": urls.as_slice()}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_named_as_it_is_printed() {
        let selection = SelectionId { index: 3, generation: 7 };
        let (line, value) = asked(selection, "page", &["app:one", "app:two"].into_iter().collect());
        assert_eq!(line, "3.7 page asks for a device for app:one or app:two");
        assert_eq!(value["request"], "3.7");
        assert_eq!(request_of("3.7"), Some(selection));
        for text in ["", "3", "3.", "x.7", "3.7.1", "70000.1"] {
            assert_eq!(request_of(text), None, "{text}");
        }
    }
}
