//! What a page and the bridge say to each other: one JSON object a text frame; a message of bytes is a binary frame that
//! begins with its connection. `docs/web.md` has the list.

use greenroom_core::message::presentation::{
    CloseReason, Command, ConnectionId, ConnectionState, ConnectionStatus, DeviceStatus, Event, NoDevice, Payload,
    Piece, Refusal, SelectionId, TransportKind, Urls,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Bytes in front of a message of bytes: the two numbers of its connection, in little-endian order.
pub(super) const BINARY_HEAD_BYTES: usize = 4;

/// What a page asks for, and the number that its answer repeats.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    /// Chosen by the page.
    pub(super) id: u32,
    /// What.
    #[serde(flatten)]
    pub(super) order: Order,
}

/// How the data is to travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Transport {
    /// From page to page.
    #[default]
    DataChannel,
    /// Through the services, for a receiver that knows no data channels.
    Tcp,
}

/// What a page can ask for.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "do", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum Order {
    /// First.
    Hello {
        /// What lets it in; empty for none.
        #[serde(default)]
        token: String,
        /// What it was launched with.
        launch: Option<String>,
    },
    /// PS-01
    Start {
        /// The pages, the preferred one first.
        urls: Vec<String>,
        /// Persons only: the device.
        device: Option<String>,
        /// How the data is to travel.
        #[serde(default)]
        transport: Transport,
    },
    /// PS-09
    Reconnect {
        /// Which.
        presentation: String,
        /// Its page is one of these.
        urls: Vec<String>,
    },
    /// Leave a connection.
    Close {
        /// Which.
        connection: Connection,
        /// Whether the page goes away.
        #[serde(default)]
        went_away: bool,
    },
    /// PS-10
    Terminate {
        /// By one of its connections.
        connection: Connection,
    },
    /// PS-18, over a transport of the service.
    Send {
        /// On which.
        connection: Connection,
        /// What.
        text: String,
    },
    /// PS-22
    WatchAvailability {
        /// Of which pages.
        urls: Vec<String>,
    },
    /// No more of that.
    UnwatchAvailability,
    /// PS-17
    Listen,
    /// PS-06
    Offer {
        /// For which.
        connection: Connection,
        /// The description.
        text: String,
    },
    /// PS-06
    Answer {
        /// For which.
        connection: Connection,
        /// The description.
        text: String,
    },
    /// PS-06
    Candidate {
        /// For which.
        connection: Connection,
        /// The candidate.
        text: String,
    },
    /// PS-07
    Open {
        /// Which.
        connection: Connection,
    },
    /// It could not be opened.
    Failed {
        /// Which.
        connection: Connection,
    },
    /// Persons only.
    Devices,
    /// Persons only: what is on.
    Presentations,
    /// Persons only: end one, whoever started it.
    End {
        /// Which.
        presentation: String,
    },
    /// Persons only: say whenever a device is to be chosen.
    WatchChoices,
    /// Persons only: choose one.
    Choose {
        /// For which request.
        choice: Choice,
        /// The device; none to refuse.
        device: Option<String>,
    },
    /// Persons only: say how the box is, and whenever that changes.
    WatchBox,
}

macro_rules! numbered {
    ($($(#[$doc:meta])* $name:ident as $inner:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
        #[serde(try_from = "String")]
        pub(super) struct $name(pub(super) $inner);

        impl TryFrom<String> for $name {
            type Error = &'static str;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                let numbers = text.split_once('.').and_then(|(index, generation)| {
                    Some($inner { index: index.parse().ok()?, generation: generation.parse().ok()? })
                });
                numbers.map(Self).ok_or("it is two numbers with a point between them")
            }
        }
    )*};
}

numbered! {
    /// A connection, written as `INDEX.GENERATION`.
    Connection as ConnectionId;
    /// A request that a device be chosen, written in the same way.
    Choice as SelectionId;
}

impl Order {
    /// Whether only a person may ask for it.
    pub(super) fn is_for_persons(&self) -> bool {
        match self {
            Self::Devices
            | Self::Presentations
            | Self::End { .. }
            | Self::WatchChoices
            | Self::Choose { .. }
            | Self::WatchBox
            | Self::Start { device: Some(_), .. } => true,
            Self::Hello { .. }
            | Self::Start { device: None, .. }
            | Self::Reconnect { .. }
            | Self::Close { .. }
            | Self::Terminate { .. }
            | Self::Send { .. }
            | Self::WatchAvailability { .. }
            | Self::UnwatchAvailability
            | Self::Listen
            | Self::Offer { .. }
            | Self::Answer { .. }
            | Self::Candidate { .. }
            | Self::Open { .. }
            | Self::Failed { .. } => false,
        }
    }

    /// Whether it asks for a page on another device, which a receiver has no business with.
    pub(super) fn is_controlling(&self) -> bool {
        matches!(
            self,
            Self::Start { .. } | Self::Reconnect { .. } | Self::WatchAvailability { .. } | Self::UnwatchAvailability
        )
    }

    /// What the service is asked. `None` for what the bridge answers itself. More URLs than there can be are left out.
    pub(super) fn command<'a>(&'a self, origin: &'a str) -> Option<Command<'a>> {
        let built = |connection: &Connection, piece| Command::Built { connection: connection.0, piece };
        Some(match self {
            Self::Hello { .. } | Self::WatchBox => return None,
            Self::Start { urls, device, transport } => Command::Start {
                presentation_id: "",
                urls: taken(urls),
                origin,
                device: device.as_deref(),
                transport: match transport {
                    Transport::DataChannel => TransportKind::DataChannel,
                    Transport::Tcp => TransportKind::Tcp,
                },
            },
            Self::Reconnect { presentation, urls } => {
                Command::Reconnect { presentation_id: presentation, urls: taken(urls) }
            }
            Self::Close { connection, went_away } => Command::Close { connection: connection.0, went_away: *went_away },
            Self::Terminate { connection } => Command::Terminate { connection: connection.0 },
            Self::Send { connection, text } => Command::Send { connection: connection.0, payload: Payload::Text(text) },
            Self::WatchAvailability { urls } => Command::WatchAvailability { urls: taken(urls) },
            Self::UnwatchAvailability => Command::UnwatchAvailability,
            Self::Listen => Command::ListenForConnections,
            Self::Offer { connection, text } => built(connection, Piece::Offer(text)),
            Self::Answer { connection, text } => built(connection, Piece::Answer(text)),
            Self::Candidate { connection, text } => built(connection, Piece::Candidate(text)),
            Self::Open { connection } => built(connection, Piece::Open),
            Self::Failed { connection } => built(connection, Piece::Closed),
            Self::Devices => Command::ListDevices { from: 0 },
            Self::Presentations => Command::List { from: 0 },
            Self::End { presentation } => Command::End { presentation_id: presentation },
            Self::WatchChoices => Command::WatchSelections,
            Self::Choose { choice, device: Some(device) } => Command::Select { selection: choice.0, device },
            Self::Choose { choice, device: None } => {
                Command::Cancel { selection: choice.0, because: NoDevice::Cancelled }
            }
        })
    }
}

fn taken(urls: &[String]) -> Urls<'_> {
    let mut taken = Urls::new();
    for url in urls {
        // The first ones are preferred.
        let _ = taken.push(url.as_str());
    }
    taken
}

/// The connection and the bytes of a binary frame.
pub(super) fn split_binary(frame: &[u8]) -> Option<(ConnectionId, &[u8])> {
    let (&[a, b, c, d], bytes) = frame.split_first_chunk::<BINARY_HEAD_BYTES>()?;
    Some((ConnectionId { index: u16::from_le_bytes([a, b]), generation: u16::from_le_bytes([c, d]) }, bytes))
}

/// What the bridge says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// An object.
    Text(String),
    /// A message of bytes.
    Binary(Vec<u8>),
}

/// The answer that something was done.
pub(super) fn done(id: u32, result: &impl Serialize) -> Frame {
    Frame::Text(json!({ "id": id, "ok": result }).to_string())
}

/// The answer that the service does not do it: the name of the exception that a page throws, the reason for people, and the
/// service's own name for it.
pub(super) fn refused(id: u32, refusal: Refusal) -> Frame {
    let refusal_name = format!("{refusal:?}");
    let refusal_name = refusal_name.split(' ').next();
    let error = json!({ "name": exception(refusal), "message": refusal.to_string(), "refusal": refusal_name });
    Frame::Text(json!({ "id": id, "error": error }).to_string())
}

/// The W3C's name for a refusal.
fn exception(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Urls => "NotSupportedError",
        Refusal::NotFound | Refusal::NoDevice | Refusal::NobodyChooses => "NotFoundError",
        Refusal::WrongState { .. } => "InvalidStateError",
        Refusal::Denied | Refusal::NotReceiver | Refusal::Cancelled | Refusal::SelectionTimeout => "NotAllowedError",
        Refusal::Full { .. } | Refusal::Congested => "QuotaExceededError",
        Refusal::TextOnly => "NotSupportedError",
        _ => "OperationError",
    }
}

/// How a connection is named.
pub(super) fn connection_name(connection: ConnectionId) -> String {
    format!("{}.{}", connection.index, connection.generation)
}

fn choice_name(selection: SelectionId) -> String {
    format!("{}.{}", selection.index, selection.generation)
}

/// A device, as it is listed.
pub(super) fn device(status: &DeviceStatus<'_>) -> Value {
    json!({ "device": status.device_id, "name": status.name })
}

/// A connection, as it is listed.
pub(super) fn listed(status: &ConnectionStatus<'_>) -> Value {
    json!({
        "presentation": status.presentation_id,
        "url": status.url,
        "device": status.device_id,
        "state": status.state.to_string(),
        "shownHere": status.is_receiver,
    })
}

/// What the page is told of an event. `None` for one that this version does not know.
pub(super) fn event(event: &Event<'_>) -> Option<Frame> {
    let value = match event {
        Event::Message { connection, payload: Payload::Binary(bytes) } => return Some(binary(*connection, bytes)),
        Event::Message { connection, payload: Payload::Text(text) } => {
            json!({ "event": "message", "connection": connection_name(*connection), "text": text })
        }
        Event::State { connection, state, reason } => state_event(*connection, *state, *reason),
        Event::Available { connection, device_id } => {
            json!({ "event": "available", "connection": connection_name(*connection), "device": device_id })
        }
        Event::Availability { available } => json!({ "event": "availability", "available": available }),
        Event::SelectionAsked { selection, origin, urls } => json!({
            "event": "choice", "choice": choice_name(*selection), "origin": origin, "urls": urls.as_slice(),
        }),
        Event::SelectionOver { selection } => json!({ "event": "choiceOver", "choice": choice_name(*selection) }),
        Event::Build { connection, offers } => {
            json!({ "event": "build", "connection": connection_name(*connection), "offers": offers })
        }
        Event::Built { connection, piece } => built_event(*connection, piece)?,
        _ => return None,
    };
    Some(Frame::Text(value.to_string()))
}

fn binary(connection: ConnectionId, bytes: &[u8]) -> Frame {
    let mut frame = Vec::with_capacity(BINARY_HEAD_BYTES + bytes.len());
    frame.extend_from_slice(&connection.index.to_le_bytes());
    frame.extend_from_slice(&connection.generation.to_le_bytes());
    frame.extend_from_slice(bytes);
    Frame::Binary(frame)
}

fn state_event(connection: ConnectionId, state: ConnectionState, reason: Option<CloseReason>) -> Value {
    let name = reason.map(|reason| match reason {
        CloseReason::Closed | CloseReason::Terminated => "closed",
        CloseReason::WentAway => "wentaway",
        CloseReason::Error(_) => "error",
    });
    json!({
        "event": "state",
        "connection": connection_name(connection),
        "state": state.to_string(),
        "reason": name,
        "message": reason.map(|reason| reason.to_string()),
    })
}

fn built_event(connection: ConnectionId, piece: &Piece<'_>) -> Option<Value> {
    let (event, text) = match *piece {
        Piece::Offer(text) => ("offer", Some(text)),
        Piece::Answer(text) => ("answer", Some(text)),
        Piece::Candidate(text) => ("candidate", Some(text)),
        Piece::Closed => ("unwanted", None),
        Piece::Open | Piece::Over(_) => return None,
    };
    Some(json!({ "event": event, "connection": connection_name(connection), "text": text }))
}

#[cfg(test)]
mod tests {
    use greenroom_core::message::papi::Reason;

    use super::*;

    const CONNECTION: ConnectionId = ConnectionId { index: 3, generation: 513 };

    fn asked(text: &str) -> Asked {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_page_asks_in_objects_that_have_a_number() {
        let asked = asked(r#"{"id":7,"do":"start","urls":["https://tv.example/"],"device":null}"#);
        assert_eq!(asked.id, 7);
        let Some(Command::Start {
            presentation_id: "",
            urls,
            origin: "https://phone.example",
            device: None,
            transport,
        }) = asked.order.command("https://phone.example")
        else {
            panic!("{asked:?}")
        };
        assert_eq!((urls.as_slice(), transport), (&["https://tv.example/"][..], TransportKind::DataChannel));
    }

    #[test]
    fn connections_have_two_numbers() {
        let asked = asked(r#"{"id":1,"do":"close","connection":"3.513"}"#);
        let command = asked.order.command("");
        assert_eq!(command, Some(Command::Close { connection: CONNECTION, went_away: false }));
        for name in ["", "3", "3.", "x.1", "-1.1", "70000.1"] {
            let text = format!(r#"{{"id":1,"do":"close","connection":"{name}"}}"#);
            assert!(serde_json::from_str::<Asked>(&text).is_err(), "{name}");
        }
    }

    #[test]
    fn what_is_no_order_is_none() {
        for text in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"id":1}"#,
            r#"{"do":"listen"}"#,
            r#"{"id":-1,"do":"listen"}"#,
            r#"{"id":1,"do":"reboot"}"#,
        ] {
            assert!(serde_json::from_str::<Asked>(text).is_err(), "{text}");
        }
    }

    /// PS-36
    #[test]
    fn what_concerns_others_is_for_persons() {
        for (text, is_for_persons) in [
            (r#"{"id":1,"do":"devices"}"#, true),
            (r#"{"id":1,"do":"presentations"}"#, true),
            (r#"{"id":1,"do":"end","presentation":"x"}"#, true),
            (r#"{"id":1,"do":"watchChoices"}"#, true),
            (r#"{"id":1,"do":"choose","choice":"0.1","device":"TV"}"#, true),
            (r#"{"id":1,"do":"watchBox"}"#, true),
            (r#"{"id":1,"do":"start","urls":[],"device":"TV"}"#, true),
            (r#"{"id":1,"do":"start","urls":[]}"#, false),
            (r#"{"id":1,"do":"terminate","connection":"0.1"}"#, false),
        ] {
            assert_eq!(asked(text).order.is_for_persons(), is_for_persons, "{text}");
        }
    }

    #[test]
    fn more_urls_than_there_can_be_are_left_out() {
        let order = Order::WatchAvailability { urls: vec!["https://tv.example/".to_owned(); 9] };
        let Some(Command::WatchAvailability { urls }) = order.command("") else { panic!("it is a command") };
        assert_eq!(urls.len(), greenroom_core::limits::URLS_MAX);
    }

    #[test]
    fn bytes_travel_behind_their_connection() {
        let payload = Payload::Binary(&[1, 2]);
        let Some(Frame::Binary(frame)) = event(&Event::Message { connection: CONNECTION, payload }) else {
            panic!("it is binary")
        };
        assert_eq!(frame, [3, 0, 1, 2, 1, 2]);
        assert_eq!(split_binary(&frame), Some((CONNECTION, &[1, 2][..])));
        assert_eq!(split_binary(&[1, 2, 3]), None);
    }

    #[test]
    fn a_state_is_told_with_the_reason_that_pages_know() {
        let told = |state, reason| match event(&Event::State { connection: CONNECTION, state, reason }) {
            Some(Frame::Text(text)) => serde_json::from_str::<Value>(&text).unwrap(),
            other => panic!("{other:?}"),
        };
        let error = told(ConnectionState::Closed, Some(CloseReason::Error(Reason::TIMEOUT)));
        assert_eq!(
            (&error["connection"], &error["state"], &error["reason"]),
            (&json!("3.513"), &json!("closed"), &json!("error"))
        );
        assert_eq!(told(ConnectionState::Connected, None)["reason"], Value::Null);
        assert_eq!(told(ConnectionState::Closed, Some(CloseReason::WentAway))["reason"], "wentaway");
    }

    #[test]
    fn a_refusal_names_the_exception_that_a_page_throws() {
        assert_eq!(exception(Refusal::NoDevice), "NotFoundError");
        assert_eq!(exception(Refusal::Cancelled), "NotAllowedError");
        let Frame::Text(text) = refused(7, Refusal::WrongState { state: ConnectionState::Closed }) else {
            panic!("a text")
        };
        let error = &serde_json::from_str::<Value>(&text).unwrap()["error"];
        assert_eq!((&error["name"], &error["refusal"]), (&json!("InvalidStateError"), &json!("WrongState")));
    }
}
