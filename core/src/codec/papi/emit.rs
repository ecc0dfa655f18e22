//! Messages to lines.

use core::fmt::{self, Write};

use crate::codec::postcard::CodecError;
use crate::message::papi::{Description, Framed, Message};

/// Writes a message as one line with its newline; gives the bytes that it took.
///
/// # Errors
/// [`CodecError::TooLong`] when it does not fit. A text needs at most six bytes for each of its own.
pub fn encode<'b>(message: &Message<&str>, buffer: &'b mut [u8]) -> Result<&'b [u8], CodecError> {
    let mut line = Line { buffer, filled: 0 };
    line.message(message).ok_or(CodecError::TooLong)?;
    let Line { buffer, filled } = line;
    buffer.get(..filled).ok_or(CodecError::TooLong)
}

struct Line<'b> {
    buffer: &'b mut [u8],
    filled: usize,
}

/// `None` when the buffer is full.
type Written = Option<()>;

impl Line<'_> {
    fn message(&mut self, message: &Message<&str>) -> Written {
        self.raw(r#"{"type":""#)?;
        self.raw(name_of(message))?;
        self.raw("\"")?;
        match message {
            Message::Connect { device_id, extension } => {
                self.text("deviceId", device_id)?;
                self.extension(*extension)?;
            }
            Message::ConnectAck { extension } => self.extension(*extension)?,
            Message::Disconnect { reason } => self.number("reason", reason.0)?,
            Message::Launch { presentation_id, url } | Message::Reconnect { presentation_id, url } => {
                self.text("presentationId", presentation_id)?;
                self.text("url", url)?;
            }
            Message::LaunchAck { presentation_id }
            | Message::Terminate { presentation_id }
            | Message::TerminateAck { presentation_id }
            | Message::ReconnectAck { presentation_id } => self.text("presentationId", presentation_id)?,
            Message::Offer(description) => self.description("offer", description)?,
            Message::Answer(description) => self.description("answer", description)?,
            Message::IceCandidate { candidate } => self.text("candidate", candidate)?,
            Message::Ping | Message::Pong | Message::Unknown => {}
        }
        self.raw("}\n")
    }

    fn extension(&mut self, extension: u8) -> Written {
        if extension == 0 {
            return Some(());
        }
        self.number("greenroom", u32::from(extension))
    }

    fn description(&mut self, name: &str, description: &Description<&str>) -> Written {
        self.name(name)?;
        self.raw(r#"{"type":"#)?;
        self.digits(description.kind() as u32)?;
        match description {
            Description::Tcp { addresses, port, framed } => {
                self.name("tcpAddress")?;
                self.raw("[")?;
                for (place, address) in addresses.iter().enumerate() {
                    self.raw(if place == 0 { "" } else { "," })?;
                    self.quoted(address)?;
                }
                self.raw("]")?;
                self.number("tcpPort", u32::from(*port))?;
                framed.iter().try_for_each(|framed| self.framed(framed))?;
            }
            Description::DataChannel { sdp } => self.text("dataChannelSDP", sdp)?,
        }
        self.raw("}")
    }

    fn framed(&mut self, framed: &Framed<&str>) -> Written {
        self.name("greenroomFramed")?;
        self.raw(r#"{"version":"#)?;
        self.digits(u32::from(framed.version))?;
        self.number("port", u32::from(framed.port))?;
        self.text("certFingerprint", framed.fingerprint)?;
        self.text("token", framed.token)?;
        self.raw("}")
    }

    fn text(&mut self, name: &str, text: &str) -> Written {
        self.name(name)?;
        self.quoted(text)
    }

    fn number(&mut self, name: &str, number: u32) -> Written {
        self.name(name)?;
        self.digits(number)
    }

    fn name(&mut self, name: &str) -> Written {
        self.raw(",\"")?;
        self.raw(name)?;
        self.raw("\":")
    }

    fn quoted(&mut self, text: &str) -> Written {
        self.raw("\"")?;
        for unit in text.encode_utf16() {
            self.unit(unit)?;
        }
        self.raw("\"")
    }

    /// JSON escapes are UTF-16: a character beyond the 65536 first is two of them.
    fn unit(&mut self, unit: u16) -> Written {
        match u8::try_from(unit) {
            Ok(plain @ (b'"' | b'\\')) => self.bytes(&[b'\\', plain]),
            Ok(plain @ b' '..=b'~') => self.bytes(&[plain]),
            Ok(_) | Err(_) => write!(self, "\\u{unit:04x}").ok(),
        }
    }

    fn digits(&mut self, number: u32) -> Written {
        write!(self, "{number}").ok()
    }

    fn raw(&mut self, text: &str) -> Written {
        self.bytes(text.as_bytes())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Written {
        let end = self.filled.checked_add(bytes.len())?;
        self.buffer.get_mut(self.filled..end)?.copy_from_slice(bytes);
        self.filled = end;
        Some(())
    }
}

impl Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.raw(text).ok_or(fmt::Error)
    }
}

const fn name_of(message: &Message<&str>) -> &'static str {
    match message {
        Message::Connect { .. } => "connect",
        Message::ConnectAck { .. } => "connect-ack",
        Message::Disconnect { .. } => "disconnect",
        Message::Launch { .. } => "launch",
        Message::LaunchAck { .. } => "launch-ack",
        Message::Terminate { .. } => "terminate",
        Message::TerminateAck { .. } => "terminate-ack",
        Message::Reconnect { .. } => "reconnect",
        Message::ReconnectAck { .. } => "reconnect-ack",
        Message::Offer(_) => "offer",
        Message::Answer(_) => "answer",
        Message::IceCandidate { .. } => "ice-candidate",
        Message::Ping => "greenroom-ping",
        Message::Pong => "greenroom-pong",
        Message::Unknown => "unknown",
    }
}
