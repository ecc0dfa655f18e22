//! What a page and the bridge say to each other, against a decoder that looks the fields up by hand.
//!
//! The codec is taken as source and not out of the daemon's library, which links GStreamer.

#[allow(dead_code, reason = "the bridge uses the rest")]
#[path = "../../daemon/src/web/codec.rs"]
mod codec;

use std::fmt;

use greenroom_core::codec::postcard;
use greenroom_core::message::presentation::{Event, Message, Payload};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use codec::{Asked, Frame, Order};

/// The first byte says what the others are: a frame of a page, or what the service says.
///
/// # Panics
///
/// When a frame is taken that a naive reader refuses, or the other way round, when what is taken is another order, or when a
/// page would be told what is no object, or somebody else's message.
pub(crate) fn bridge(input: &[u8]) {
    match input.split_first() {
        Some((0..128, bytes)) => {
            binary(bytes);
            str::from_utf8(bytes).into_iter().for_each(asked);
        }
        Some((_, bytes)) => told(bytes),
        None => {}
    }
}

/// Two numbers of two bytes each stand in front of the bytes.
fn binary(frame: &[u8]) {
    match (codec::split_binary(frame), frame) {
        (Some((connection, bytes)), [a, b, c, d, rest @ ..]) => {
            assert_eq!(connection.index, u16::from(*a) + 256 * u16::from(*b));
            assert_eq!(connection.generation, u16::from(*c) + 256 * u16::from(*d));
            assert_eq!(bytes, rest);
        }
        (taken, _) => assert!(taken.is_none() && frame.len() < 4, "{taken:?}"),
    }
}

/// The fields of an object as they stand there, those that come twice too.
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Fields;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        input.deserialize_map(All)
    }
}

/// Why a naive reader takes nothing.
#[derive(Debug, PartialEq, Eq)]
enum Naive {
    Refuses,
    /// A field stands there twice, or something that no page writes: it has no opinion.
    Abstains,
}

impl Fields {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(its, _)| its == name).map(|(_, value)| value)
    }

    fn text(&self, name: &str) -> Result<String, Naive> {
        self.get(name).and_then(Value::as_str).map(str::to_owned).ok_or(Naive::Refuses)
    }

    fn optional(&self, name: &str) -> Result<Option<String>, Naive> {
        if self.get(name).is_none_or(Value::is_null) { Ok(None) } else { self.text(name).map(Some) }
    }

    fn texts(&self, name: &str) -> Result<Vec<String>, Naive> {
        let all = self.get(name).and_then(Value::as_array).ok_or(Naive::Refuses)?;
        all.iter().map(|it| it.as_str().map(str::to_owned).ok_or(Naive::Refuses)).collect()
    }

    fn numbers(&self, name: &str) -> Result<(u16, u16), Naive> {
        let text = self.text(name)?;
        let number = |text: &str| text.parse().map_err(|_| Naive::Refuses);
        let (index, generation) = text.split_once('.').ok_or(Naive::Refuses)?;
        Ok((number(index)?, number(generation)?))
    }

    fn flag(&self, name: &str) -> Result<bool, Naive> {
        self.get(name).map_or(Some(false), Value::as_bool).ok_or(Naive::Refuses)
    }

    fn transport(&self) -> Result<codec::Transport, Naive> {
        match self.get("transport") {
            None => Ok(codec::Transport::DataChannel),
            Some(Value::String(name)) if name == "data-channel" => Ok(codec::Transport::DataChannel),
            Some(Value::String(name)) if name == "tcp" => Ok(codec::Transport::Tcp),
            Some(Value::Object(_)) => Err(Naive::Abstains),
            Some(_) => Err(Naive::Refuses),
        }
    }

    fn is_doubtful(&self) -> bool {
        let is_twice = |place: usize| self.0[..place].iter().any(|(name, _)| *name == self.0[place].0);
        // Serde takes the place of an order in the list for its name.
        (0..self.0.len()).any(is_twice) || self.get("do").is_some_and(Value::is_number)
    }
}

fn connection(fields: &Fields) -> Result<codec::Connection, Naive> {
    let (index, generation) = fields.numbers("connection")?;
    Ok(codec::Connection(greenroom_core::message::presentation::ConnectionId { index, generation }))
}

/// What a naive reader reads.
fn naive(fields: &Fields) -> Result<(u32, Order), Naive> {
    if fields.is_doubtful() {
        return Err(Naive::Abstains);
    }
    let id = fields.get("id").and_then(Value::as_u64).and_then(|id| id.try_into().ok()).ok_or(Naive::Refuses)?;
    Ok((id, order(fields)?))
}

fn order(fields: &Fields) -> Result<Order, Naive> {
    Ok(match &fields.text("do")?[..] {
        "hello" => {
            let token = if fields.get("token").is_some() { fields.text("token")? } else { String::new() };
            Order::Hello { token, launch: fields.optional("launch")? }
        }
        "start" => {
            let (urls, device) = (fields.texts("urls")?, fields.optional("device")?);
            Order::Start { urls, device, transport: fields.transport()? }
        }
        "reconnect" => Order::Reconnect { presentation: fields.text("presentation")?, urls: fields.texts("urls")? },
        "close" => Order::Close { connection: connection(fields)?, went_away: fields.flag("wentAway")? },
        "terminate" => Order::Terminate { connection: connection(fields)? },
        "send" => Order::Send { connection: connection(fields)?, text: fields.text("text")? },
        "watchAvailability" => Order::WatchAvailability { urls: fields.texts("urls")? },
        "unwatchAvailability" => Order::UnwatchAvailability,
        "listen" => Order::Listen,
        "offer" => Order::Offer { connection: connection(fields)?, text: fields.text("text")? },
        "answer" => Order::Answer { connection: connection(fields)?, text: fields.text("text")? },
        "candidate" => Order::Candidate { connection: connection(fields)?, text: fields.text("text")? },
        "open" => Order::Open { connection: connection(fields)? },
        "failed" => Order::Failed { connection: connection(fields)? },
        "devices" => Order::Devices,
        "presentations" => Order::Presentations,
        "end" => Order::End { presentation: fields.text("presentation")? },
        "watchChoices" => Order::WatchChoices,
        "choose" => {
            let (index, generation) = fields.numbers("choice")?;
            let choice = codec::Choice(greenroom_core::message::presentation::SelectionId { index, generation });
            Order::Choose { choice, device: fields.optional("device")? }
        }
        "watchBox" => Order::WatchBox,
        _ => return Err(Naive::Refuses),
    })
}

/// What a page asks.
fn asked(text: &str) {
    let taken = serde_json::from_str::<Asked>(text);
    let Ok(fields) = serde_json::from_str::<Fields>(text) else {
        assert!(taken.is_err(), "{text} is no object, and is taken for {taken:?}");
        return;
    };
    match (naive(&fields), taken) {
        (Ok((id, order)), Ok(asked)) => {
            assert_eq!((id, &order), (asked.id, &asked.order), "{text}");
            let _ = (asked.order.is_for_persons(), asked.order.is_controlling());
            let _ = asked.order.command("https://page.example");
        }
        (Err(Naive::Refuses), Err(_)) | (Err(Naive::Abstains), _) => {}
        (naive, taken) => panic!("{text}: naively {naive:?}, and {taken:?}"),
    }
}

/// What a page is told of what the service says.
fn told(bytes: &[u8]) {
    match postcard::decode::<Message<'_>>(bytes) {
        Ok(Message::Event(event)) => event_told(&event),
        Ok(Message::Reply { sequence, result: Err(refusal) }) => {
            let answer = object(codec::refused(sequence, refusal));
            assert_eq!(answer["id"], sequence);
            assert!(answer["error"]["name"].as_str().is_some_and(|name| name.ends_with("Error")), "{answer}");
        }
        Ok(Message::Reply { .. }) | Err(_) => {}
    }
}

fn event_told(event: &Event<'_>) {
    let frame = codec::event(event);
    if let Event::Message { connection, payload: Payload::Binary(bytes) } = event {
        let Some(Frame::Binary(frame)) = frame else { panic!("bytes are told as {frame:?}") };
        return assert_eq!(codec::split_binary(&frame), Some((*connection, *bytes)));
    }
    let Some(frame) = frame else { return };
    let value = object(frame);
    assert!(value["event"].is_string(), "{value}");
    if let Event::Message { connection, payload: Payload::Text(text) } = event {
        assert_eq!(value["text"], *text);
        assert_eq!(value["connection"], codec::connection_name(*connection));
    }
}

fn object(frame: Frame) -> Value {
    let Frame::Text(text) = frame else { panic!("bytes are no answer: {frame:?}") };
    let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert!(value.is_object(), "{value}");
    value
}
