//! Lines to messages.

use core::fmt;
use core::marker::PhantomData;

use heapless::Vec;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json_core::from_slice;
use serde_json_core::str::EscapedStr;

use super::Garbage;
use crate::limits::TRANSPORT_ADDRESSES_MAX;
use crate::message::papi::{Description, DescriptionKind, Framed, Message, Reason};

/// No message is nested deeper: the framing of the description of an offer. What is skipped is nested by the peer, and
/// the parser recurses.
const DEPTH_MAX: u8 = 8;

/// Reads the message that this line is. Its texts are borrowed from the line, in which their escapes are undone.
///
/// What is no object, or of an unknown type, changes nothing but the line.
pub fn decode(line: &mut [u8]) -> Result<Message<&str>, Garbage> {
    if line.trim_ascii().is_empty() {
        return Ok(Message::Unknown);
    }
    if !is_shallow(line) {
        return Err(Garbage::NotJson);
    }
    let found = find(line)?.map(|text| Span::of(line, text.0));
    let mut is_sound = true;
    let plain = found.map(|span| {
        unescape(line, span).unwrap_or_else(|| {
            is_sound = false;
            Span::default()
        })
    });
    let line: &[u8] = line;
    let message = plain.map(|span| span.in_line(line));
    if is_sound { Ok(message) } else { Err(Garbage::NotJson) }
}

/// Where a text lies in its line.
#[derive(Clone, Copy, Default)]
struct Span {
    start: usize,
    bytes: usize,
}

impl Span {
    fn of(line: &[u8], text: &str) -> Self {
        let start = (text.as_ptr() as usize).saturating_sub(line.as_ptr() as usize);
        Self { start, bytes: text.len() }
    }

    fn in_line(self, line: &[u8]) -> &str {
        let bytes = line.get(self.start..self.start.saturating_add(self.bytes)).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }
}

/// Whether nothing is nested deeper than a message can be. Brackets in texts do not count.
fn is_shallow(line: &[u8]) -> bool {
    let (mut depth, mut in_text, mut is_escaped) = (0_u8, false, false);
    for byte in line {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_text => is_escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'{' | b'[' => depth = depth.saturating_add(1),
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return false;
        }
    }
    true
}

/// Undoes the escapes of a text in its place: none is shorter than what it stands for.
fn unescape(line: &mut [u8], span: Span) -> Option<Span> {
    let text = line.get_mut(span.start..span.start.checked_add(span.bytes)?)?;
    let (mut from, mut to) = (0_usize, 0_usize);
    while let Some(&byte) = text.get(from) {
        let mut utf8 = [byte, 0, 0, 0];
        let (taken, given) = match byte {
            b'\\' => {
                let (taken, character) = escaped(text.get(from..)?)?;
                (taken, character.encode_utf8(&mut utf8).len())
            }
            _ => (1, 1),
        };
        let end = to.checked_add(given)?;
        text.get_mut(to..end)?.copy_from_slice(utf8.get(..given)?);
        (from, to) = (from.checked_add(taken)?, end);
    }
    Some(Span { start: span.start, bytes: to })
}

/// The escape at the start of these bytes: how many it takes, and what it stands for.
fn escaped(bytes: &[u8]) -> Option<(usize, char)> {
    Some(match bytes.get(1)? {
        plain @ (b'"' | b'\\' | b'/') => (2, char::from(*plain)),
        b'b' => (2, '\u{8}'),
        b'f' => (2, '\u{c}'),
        b'n' => (2, '\n'),
        b'r' => (2, '\r'),
        b't' => (2, '\t'),
        b'u' => {
            let units = [unit(bytes)?, bytes.get(6..).and_then(unit).unwrap_or_default()];
            // Half of a pair stands for nothing; the replacement character says so.
            match char::decode_utf16(units).next()? {
                Ok(character) => (6_usize.checked_mul(character.len_utf16())?, character),
                Err(_) => (6, char::REPLACEMENT_CHARACTER),
            }
        }
        _ => return None,
    })
}

/// The number of the `\uXXXX` at the start of these bytes.
fn unit(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.get(2..6).filter(|digits| bytes.starts_with(b"\\u") && digits.iter().all(u8::is_ascii_hexdigit));
    u16::from_str_radix(core::str::from_utf8(digits?).ok()?, 16).ok()
}

fn find(line: &[u8]) -> Result<Message<EscapedStr<'_>>, Garbage> {
    let (Kind { kind }, _) = from_slice(line).map_err(|_| Garbage::NotJson)?;
    Ok(match kind.map_or("", |kind| kind.0) {
        "connect" => {
            let Greeting { device_id, extension } = fields(line)?;
            Message::Connect { device_id: device_id.ok_or(Garbage::Incomplete)?, extension: extension.unwrap_or(0) }
        }
        "connect-ack" => Message::ConnectAck { extension: fields::<Greeting<'_>>(line)?.extension.unwrap_or(0) },
        "disconnect" => {
            // Whoever leaves has left, whatever is wrong with the reason.
            let reason = fields::<Leave>(line).map_or(Reason::FAILURE, |leave| Reason(leave.reason.unwrap_or(0)));
            Message::Disconnect { reason }
        }
        "launch" => {
            let Start { presentation_id, url } = fields(line)?;
            Message::Launch { presentation_id, url }
        }
        "reconnect" => {
            let Start { presentation_id, url } = fields(line)?;
            Message::Reconnect { presentation_id, url }
        }
        "launch-ack" => Message::LaunchAck { presentation_id: named(line)? },
        "terminate" => Message::Terminate { presentation_id: named(line)? },
        "terminate-ack" => Message::TerminateAck { presentation_id: named(line)? },
        "reconnect-ack" => Message::ReconnectAck { presentation_id: named(line)? },
        "offer" => Message::Offer(fields::<Offer<'_>>(line)?.offer.into_description()?),
        "answer" => Message::Answer(fields::<Answer<'_>>(line)?.answer.into_description()?),
        "ice-candidate" => Message::IceCandidate { candidate: fields::<Candidate<'_>>(line)?.candidate },
        "greenroom-ping" => Message::Ping,
        "greenroom-pong" => Message::Pong,
        _ => Message::Unknown,
    })
}

fn fields<'a, F: Deserialize<'a>>(line: &'a [u8]) -> Result<F, Garbage> {
    from_slice(line).map(|(fields, _)| fields).map_err(|_| Garbage::Incomplete)
}

fn named(line: &[u8]) -> Result<EscapedStr<'_>, Garbage> {
    fields::<Named<'_>>(line).map(|named| named.presentation_id)
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<EscapedStr<'a>>,
}

#[derive(Deserialize)]
struct Greeting<'a> {
    #[serde(borrow, rename = "deviceId")]
    device_id: Option<EscapedStr<'a>>,
    #[serde(rename = "greenroom")]
    extension: Option<u8>,
}

#[derive(Deserialize)]
struct Leave {
    reason: Option<u32>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow, rename = "presentationId")]
    presentation_id: EscapedStr<'a>,
}

#[derive(Deserialize)]
struct Start<'a> {
    #[serde(borrow, rename = "presentationId")]
    presentation_id: EscapedStr<'a>,
    #[serde(borrow)]
    url: EscapedStr<'a>,
}

#[derive(Deserialize)]
struct Candidate<'a> {
    #[serde(borrow)]
    candidate: EscapedStr<'a>,
}

#[derive(Deserialize)]
struct Offer<'a> {
    #[serde(borrow)]
    offer: AnyDescription<'a>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    answer: AnyDescription<'a>,
}

/// The fields of every kind of description.
#[derive(Deserialize)]
struct AnyDescription<'a> {
    #[serde(rename = "type")]
    kind: u8,
    #[serde(borrow, rename = "tcpAddress")]
    addresses: Option<Addresses<'a>>,
    #[serde(rename = "tcpPort")]
    port: Option<u16>,
    #[serde(borrow, rename = "greenroomFramed")]
    framed: Option<AnyFramed<'a>>,
    #[serde(borrow, rename = "dataChannelSDP")]
    sdp: Option<EscapedStr<'a>>,
}

#[derive(Deserialize)]
struct AnyFramed<'a> {
    version: u8,
    port: u16,
    #[serde(borrow, rename = "certFingerprint")]
    fingerprint: EscapedStr<'a>,
    #[serde(borrow)]
    token: EscapedStr<'a>,
}

impl<'a> AnyDescription<'a> {
    fn into_description(self) -> Result<Description<EscapedStr<'a>>, Garbage> {
        const TCP: u8 = DescriptionKind::Tcp as u8;
        const DATA_CHANNEL: u8 = DescriptionKind::DataChannel as u8;
        let framed = self.framed.map(|AnyFramed { version, port, fingerprint, token }| Framed {
            version,
            port,
            fingerprint,
            token,
        });
        match (self.kind, self.sdp) {
            (TCP, _) => Ok(Description::Tcp {
                addresses: self.addresses.map(|list| list.0).unwrap_or_default(),
                port: self.port.unwrap_or(0),
                framed,
            }),
            (DATA_CHANNEL, Some(sdp)) => Ok(Description::DataChannel { sdp }),
            _ => Err(Garbage::Incomplete),
        }
    }
}

/// As many addresses as are kept; the others are read and dropped, and so is what is `null`.
struct Addresses<'a>(Vec<EscapedStr<'a>, TRANSPORT_ADDRESSES_MAX>);

impl<'de: 'a, 'a> Deserialize<'de> for Addresses<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for List<'a> {
            type Value = Addresses<'a>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a list of addresses")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut addresses = Vec::new();
                while let Some(address) = list.next_element::<Option<EscapedStr<'a>>>()? {
                    // What is too many is dropped.
                    let _ = address.map(|address| addresses.push(address));
                }
                Ok(Addresses(addresses))
            }
        }
        deserializer.deserialize_seq(List(PhantomData))
    }
}
