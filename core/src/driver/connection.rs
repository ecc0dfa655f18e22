//! One connection: a socket, its codec, and one message that waits to be sent.

use core::fmt;

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::codec::postcard::{self, CodecError};
use crate::hal::{Descriptors, Error, ErrorKind, Interest, Received, Sent, Socket};
use crate::limits::MESSAGE_BYTES_MAX;

/// Why a connection is of no more use, or a message did not go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ConnectionError {
    /// Caller: a message waits already; it must go first.
    Blocked,
    /// Caller or peer: the bytes and the message do not belong together.
    Codec(CodecError),
    /// Peer: the message was cut, or had too many descriptors.
    Unusable,
    /// Platform: the socket failed.
    Socket(ErrorKind),
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blocked => out.write_str("the message before this one has not been sent yet"),
            Self::Codec(error) => error.fmt(out),
            Self::Unusable => out.write_str("the peer sent a message that is too long or has too many descriptors"),
            Self::Socket(kind) => write!(out, "the socket failed: {kind:?}"),
        }
    }
}

impl core::error::Error for ConnectionError {}

impl From<CodecError> for ConnectionError {
    fn from(error: CodecError) -> Self {
        Self::Codec(error)
    }
}

/// What came in.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Incoming<M> {
    /// A message; `version` is set on the first one of a connection.
    Message {
        /// The version that both sides speak, where the message brought the opening.
        version: Option<u8>,
        /// The message.
        message: M,
    },
    /// Nothing now.
    Nothing,
    /// The peer has closed.
    Closed,
}

/// Whether the opening is still to be sent or to be received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    None,
    Send,
    Receive,
}

/// A socket with its codec and at most one message that waits until the socket is writable.
///
/// While a message waits nothing else can be sent, and the owner does not read the socket: what the peer asks then stays in
/// the peer's own queue.
#[derive(Debug)]
pub struct Connection<S: Socket> {
    socket: S,
    opening: Opening,
    waiting: Vec<u8, MESSAGE_BYTES_MAX>,
    waiting_descriptors: Descriptors<S::Descriptor>,
    /// Bytes of the message that was received last.
    received_bytes: usize,
}

impl<S: Socket> Connection<S> {
    /// The side that speaks first: its first message carries the opening.
    pub fn asking(socket: S) -> Self {
        Self::new(socket, Opening::Send)
    }

    /// The side that is spoken to: the first message that it receives carries the opening.
    pub fn answering(socket: S) -> Self {
        Self::new(socket, Opening::Receive)
    }

    fn new(socket: S, opening: Opening) -> Self {
        Self { socket, opening, waiting: Vec::new(), waiting_descriptors: Vec::new(), received_bytes: 0 }
    }

    /// The socket, to be watched.
    pub fn socket(&self) -> &S {
        &self.socket
    }

    /// Whether a message waits.
    pub fn is_blocked(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What the socket is to be watched for now.
    pub fn interest(&self) -> Interest {
        if self.is_blocked() { Interest::Write } else { Interest::Read }
    }

    /// Sends a message, or keeps it until the socket is writable.
    pub fn send<M: Serialize>(
        &mut self,
        message: &M,
        descriptors: Descriptors<S::Descriptor>,
    ) -> Result<Sent, ConnectionError> {
        if self.is_blocked() {
            return Err(ConnectionError::Blocked);
        }
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        let bytes = match self.opening {
            Opening::Send => postcard::encode_first(message, &mut buffer)?,
            Opening::None | Opening::Receive => postcard::encode(message, &mut buffer)?,
        };
        let sent = transmit(&mut self.socket, bytes, &descriptors)?;
        if self.opening == Opening::Send {
            self.opening = Opening::None;
        }
        if planted!("blocked_message_lost", false, sent == Sent::WouldBlock) {
            // The buffer has the same capacity, so this cannot fail.
            let _ = self.waiting.extend_from_slice(bytes);
            self.waiting_descriptors = descriptors;
        }
        Ok(sent)
    }

    /// Sends the message that waits. [`Sent::Whole`] says that nothing waits any more.
    pub fn flush(&mut self) -> Result<Sent, ConnectionError> {
        if !self.is_blocked() {
            return Ok(Sent::Whole);
        }
        let sent = transmit(&mut self.socket, &self.waiting, &self.waiting_descriptors)?;
        if sent == Sent::Whole {
            self.waiting.clear();
            self.waiting_descriptors.clear();
        }
        Ok(sent)
    }

    /// Receives one message; it borrows from `buffer`.
    pub fn receive<'b, M: Deserialize<'b>>(
        &mut self,
        buffer: &'b mut [u8],
        descriptors: &mut Descriptors<S::Descriptor>,
    ) -> Result<Incoming<M>, ConnectionError> {
        let received =
            self.socket.receive(buffer, descriptors).map_err(|error| ConnectionError::Socket(error.kind()))?;
        let bytes = match received {
            Received::Message { bytes } => {
                self.received_bytes = bytes;
                buffer.get(..bytes).ok_or(ConnectionError::Unusable)?
            }
            Received::Unusable => return Err(ConnectionError::Unusable),
            Received::WouldBlock => return Ok(Incoming::Nothing),
            Received::Closed => return Ok(Incoming::Closed),
        };
        if self.opening != Opening::Receive {
            return Ok(Incoming::Message { version: None, message: postcard::decode(bytes)? });
        }
        let (version, message) = postcard::decode_first(bytes)?;
        self.opening = Opening::None;
        Ok(Incoming::Message { version: Some(version), message })
    }

    /// What the peer sent last, of the buffer that it was received into: the rest of that is not the peer's word.
    pub fn received<'b>(&self, buffer: &'b [u8]) -> &'b [u8] {
        buffer.get(..planted!("number_made_up", buffer.len(), self.received_bytes)).unwrap_or_default()
    }
}

fn transmit<S: Socket>(
    socket: &mut S,
    bytes: &[u8],
    descriptors: &Descriptors<S::Descriptor>,
) -> Result<Sent, ConnectionError> {
    let borrowed: Descriptors<&S::Descriptor> = descriptors.iter().collect();
    socket.send(bytes, &borrowed).map_err(|error| ConnectionError::Socket(error.kind()))
}
