//! What a line says, as read by somebody who first has all of it as a tree.

use std::borrow::Cow;

use greenroom_core::codec::papi::Garbage;
use greenroom_core::limits::TRANSPORT_ADDRESSES_MAX;
use greenroom_core::message::papi::{Description, Framed, Message, Reason};

use super::Read;
use super::json::{Json, Text};

/// No message is nested deeper than it may be.
const DEPTH_MAX: usize = 8;

/// The text of a line without its newline.
pub(super) fn text(line: &[u8], bytes_max: usize) -> Result<Cow<'_, str>, Garbage> {
    let stripped = line.strip_suffix(b"\r").unwrap_or(line);
    let text = match str::from_utf8(stripped) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => stripped.iter().map(|byte| char::from(*byte)).collect(),
    };
    if line.len() > bytes_max || text.len() > bytes_max {
        return Err(Garbage::TooLong);
    }
    Ok(text)
}

/// What the line says; `None` where it is no JSON, or says it in a way that no peer does, and nothing is claimed.
pub(super) fn read(text: &str) -> Option<Read<'_>> {
    if text.as_bytes().trim_ascii().is_empty() {
        return Some(Ok(Message::Unknown));
    }
    let json: Json<'_> = serde_json::from_str(text).ok()?;
    if json.has_escaped_names() {
        return None;
    }
    let Json::Object(fields) = &json else { return Some(Err(Garbage::NotJson)) };
    let fields = Fields(fields);
    let kind = match fields.one("type") {
        Ok(Some(Json::Text(Text { has_escapes: true, .. }))) => return None,
        Ok(Some(Json::Text(kind))) => &*kind.text,
        Ok(None | Some(Json::Null)) => "",
        Ok(Some(_)) | Err(Wrong) => return Some(Err(Garbage::NotJson)),
    };
    if json.depth() > DEPTH_MAX {
        return Some(Err(Garbage::NotJson));
    }
    Some(message(kind, fields).map_err(|Wrong| Garbage::Incomplete))
}

/// A field is missing, there twice, or something else than it must be.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Wrong;

#[derive(Clone, Copy)]
struct Fields<'j, 'a>(&'j [(Text<'a>, Json<'a>)]);

impl<'j, 'a> Fields<'j, 'a> {
    fn one(self, name: &str) -> Result<Option<&'j Json<'a>>, Wrong> {
        let mut found = self.0.iter().filter(|(known, _)| known.text == name).map(|(_, value)| value);
        match (found.next(), found.next()) {
            (one, None) => Ok(one),
            (_, Some(_)) => Err(Wrong),
        }
    }

    /// What is `null` is not there.
    fn there(self, name: &str) -> Result<Option<&'j Json<'a>>, Wrong> {
        Ok(self.one(name)?.filter(|value| **value != Json::Null))
    }

    fn maybe_text(self, name: &str) -> Result<Option<Cow<'a, str>>, Wrong> {
        self.there(name)?.map(text_of).transpose()
    }

    fn text(self, name: &str) -> Result<Cow<'a, str>, Wrong> {
        self.maybe_text(name)?.ok_or(Wrong)
    }

    fn maybe_number<N: TryFrom<u64>>(self, name: &str) -> Result<Option<N>, Wrong> {
        match self.there(name)? {
            None => Ok(None),
            Some(Json::Number(Some(number))) => N::try_from(*number).map(Some).map_err(|_| Wrong),
            Some(_) => Err(Wrong),
        }
    }

    fn number<N: TryFrom<u64>>(self, name: &str) -> Result<N, Wrong> {
        self.maybe_number(name)?.ok_or(Wrong)
    }

    fn within(self, name: &str) -> Result<Option<Self>, Wrong> {
        match self.there(name)? {
            None => Ok(None),
            Some(Json::Object(fields)) => Ok(Some(Self(fields))),
            Some(_) => Err(Wrong),
        }
    }
}

fn text_of<'a>(value: &Json<'a>) -> Result<Cow<'a, str>, Wrong> {
    match value {
        Json::Text(text) => Ok(text.text.clone()),
        _ => Err(Wrong),
    }
}

fn message<'a>(kind: &str, fields: Fields<'_, 'a>) -> Result<Message<Cow<'a, str>>, Wrong> {
    let named = || fields.text("presentationId");
    let url = || fields.text("url");
    let greeting = || Ok((fields.maybe_text("deviceId")?, fields.maybe_number("greenroom")?.unwrap_or(0)));
    Ok(match kind {
        "connect" => {
            let (device_id, extension) = greeting()?;
            Message::Connect { device_id: device_id.ok_or(Wrong)?, extension }
        }
        "connect-ack" => Message::ConnectAck { extension: greeting()?.1 },
        "disconnect" => {
            let reason = fields.maybe_number("reason").map(|number| Reason(number.unwrap_or(0)));
            Message::Disconnect { reason: reason.unwrap_or(Reason::FAILURE) }
        }
        "launch" => Message::Launch { presentation_id: named()?, url: url()? },
        "reconnect" => Message::Reconnect { presentation_id: named()?, url: url()? },
        "launch-ack" => Message::LaunchAck { presentation_id: named()? },
        "terminate" => Message::Terminate { presentation_id: named()? },
        "terminate-ack" => Message::TerminateAck { presentation_id: named()? },
        "reconnect-ack" => Message::ReconnectAck { presentation_id: named()? },
        "offer" => Message::Offer(description(fields.within("offer")?.ok_or(Wrong)?)?),
        "answer" => Message::Answer(description(fields.within("answer")?.ok_or(Wrong)?)?),
        "ice-candidate" => Message::IceCandidate { candidate: fields.text("candidate")? },
        "greenroom-ping" => Message::Ping,
        "greenroom-pong" => Message::Pong,
        _ => Message::Unknown,
    })
}

fn description<'a>(fields: Fields<'_, 'a>) -> Result<Description<Cow<'a, str>>, Wrong> {
    let kind: u8 = fields.number("type")?;
    let addresses = match fields.there("tcpAddress")? {
        None => Vec::new(),
        Some(Json::List(items)) => {
            let there = items.iter().filter(|item| **item != Json::Null);
            there.map(text_of).collect::<Result<Vec<_>, Wrong>>()?
        }
        Some(_) => return Err(Wrong),
    };
    let port = fields.maybe_number("tcpPort")?.unwrap_or(0);
    let framed = fields.within("greenroomFramed")?.map(framed).transpose()?;
    match (kind, fields.maybe_text("dataChannelSDP")?) {
        (1, _) => {
            let addresses = addresses.into_iter().take(TRANSPORT_ADDRESSES_MAX).collect();
            Ok(Description::Tcp { addresses, port, framed })
        }
        (2, Some(sdp)) => Ok(Description::DataChannel { sdp }),
        _ => Err(Wrong),
    }
}

fn framed<'a>(fields: Fields<'_, 'a>) -> Result<Framed<Cow<'a, str>>, Wrong> {
    Ok(Framed {
        version: fields.number("version")?,
        port: fields.number("port")?,
        fingerprint: fields.text("certFingerprint")?,
        token: fields.text("token")?,
    })
}
