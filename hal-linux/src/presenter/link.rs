//! The connection to the presentation service: requests one way, answers and events the other.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use greenroom_core::codec::postcard;
use greenroom_core::hal::{Descriptors, Received, Sent, Socket};
use greenroom_core::limits::PRESENTER_MESSAGE_BYTES_MAX;
use greenroom_core::message::presentation::{Command, Message, Request};

use super::PresenterError;
use crate::socket::SeqPacket;

/// A service that is there takes a connection within this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A message of the service.
#[derive(Debug)]
pub(crate) enum Heard {
    /// The answer to the request of this number.
    Reply(u32, Vec<u8>),
    /// Something happened.
    Event(Vec<u8>),
}

/// A connection that never blocks.
#[derive(Debug)]
pub(crate) struct Link {
    socket: SeqPacket,
    sequence: u32,
    buffer: Box<[u8]>,
}

impl Link {
    pub(crate) fn connect(path: &Path) -> Result<Self, PresenterError> {
        let socket = SeqPacket::connect(path, CONNECT_TIMEOUT)
            .map_err(|cause| PresenterError::NoService { path: path.to_owned(), cause })?;
        socket.make_room_for(PRESENTER_MESSAGE_BYTES_MAX)?;
        Ok(Self { socket, sequence: 0, buffer: vec![0; PRESENTER_MESSAGE_BYTES_MAX].into_boxed_slice() })
    }

    /// Sends a request; gives its number, or `None` when the service does not read now.
    pub(crate) fn send(&mut self, command: Command<'_>) -> Result<Option<u32>, PresenterError> {
        let sequence = self.sequence.wrapping_add(1).max(1);
        let request = Request { sequence, command };
        let message = if self.sequence == 0 {
            postcard::encode_first(&request, &mut self.buffer)?
        } else {
            postcard::encode(&request, &mut self.buffer)?
        };
        if self.socket.send(message, &[])? == Sent::WouldBlock {
            return Ok(None);
        }
        self.sequence = sequence;
        Ok(Some(sequence))
    }

    /// What the service has said; `None` when nothing waits.
    pub(crate) fn receive(&mut self) -> Result<Option<Heard>, PresenterError> {
        let bytes = match self.socket.receive(&mut self.buffer, &mut Descriptors::new())? {
            Received::Message { bytes } => bytes,
            Received::Closed => return Err(PresenterError::Closed),
            Received::Unusable => return Err(PresenterError::Protocol),
            Received::WouldBlock => return Ok(None),
        };
        let message = self.buffer.get(..bytes).unwrap_or_default().to_vec();
        Ok(Some(match answered(&message)? {
            None => Heard::Event(message),
            Some(sequence) => Heard::Reply(sequence, message),
        }))
    }
}

/// Which request a message answers, unless it is an event.
fn answered(message: &[u8]) -> Result<Option<u32>, PresenterError> {
    Ok(match postcard::decode::<Message<'_>>(message)? {
        Message::Event(_) => None,
        Message::Reply { sequence, .. } => Some(sequence),
    })
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
