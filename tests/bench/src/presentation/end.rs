//! One end of a connection: the shipped transports over the shipped streams, or a bare socket.

use std::hint::black_box;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use greenroom_core::hal::{Error, ErrorKind as HalErrorKind, Interest};
use greenroom_core::transport::{Incoming, Message, SendError, TRANSPORT_BUFFER_BYTES, Transport, TransportError};
use greenroom_hal_linux::network::LinuxStream;

use super::wait_for;
use crate::Failure;

/// Sends and receives texts. Each message is handed over by itself, as a page does; what has arrived is taken as far as it
/// fits, as an event loop does.
pub(super) trait End {
    /// Waits until a message is taken.
    fn send(&mut self, message: &str) -> Result<(), Failure>;

    /// Waits until something of the other side's messages is there; how many bytes of them, or none when it has gone.
    fn receive(&mut self) -> Result<Option<usize>, Failure>;
}

pub(super) fn buffer() -> Box<[u8]> {
    vec![0; TRANSPORT_BUFFER_BYTES].into_boxed_slice()
}

/// A transport, driven as the service drives it.
pub(super) struct Shipped<T>(T);

impl<T: Transport<Stream = LinuxStream>> Shipped<T> {
    /// Waits until messages can pass.
    pub(super) fn open(mut transport: T) -> Result<Self, Failure> {
        while !transport.advance().map_err(|error| error.to_string())? {
            wait_for(transport.stream(), transport.interest(true))?;
        }
        Ok(Self(transport))
    }

    fn wait(&mut self, reads: bool) -> Result<(), Failure> {
        wait_for(self.0.stream(), self.0.interest(reads))?;
        self.0.advance().map(drop).map_err(|error| error.to_string().into())
    }
}

impl<T: Transport<Stream = LinuxStream>> End for Shipped<T> {
    fn send(&mut self, message: &str) -> Result<(), Failure> {
        loop {
            match self.0.send(Message::Text(message)) {
                Ok(()) => return Ok(()),
                Err(SendError::WouldBlock) => self.wait(false)?,
                Err(error) => return Err(error.to_string().into()),
            }
        }
    }

    fn receive(&mut self) -> Result<Option<usize>, Failure> {
        if !self.0.has_pending() {
            self.wait(true)?;
        }
        loop {
            match self.0.receive() {
                Ok(Incoming::Message(Message::Text(text))) => return Ok(Some(black_box(text).len())),
                Ok(Incoming::Message(Message::Binary(_))) => return Err("a message that nobody sent".into()),
                Ok(Incoming::Nothing) => self.wait(true)?,
                Ok(Incoming::Closed(_)) | Err(TransportError::CutOff) => return Ok(None),
                Err(TransportError::Stream(error)) if error.kind() == HalErrorKind::Gone => return Ok(None),
                Err(error) => return Err(error.to_string().into()),
            }
        }
    }
}

/// TCP with nothing on top of it: no bounds, no text, no copy.
pub(super) struct Bare {
    socket: TcpStream,
    buffer: Box<[u8]>,
}

impl Bare {
    pub(super) fn new(socket: TcpStream) -> Result<Self, Failure> {
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, buffer: buffer() })
    }
}

impl End for Bare {
    fn send(&mut self, message: &str) -> Result<(), Failure> {
        let mut left = message.as_bytes();
        while !left.is_empty() {
            match self.socket.write(left) {
                Ok(sent) => left = left.get(sent..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => wait_for(&self.socket, Interest::Write)?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<Option<usize>, Failure> {
        loop {
            wait_for(&self.socket, Interest::Read)?;
            match self.socket.read(&mut self.buffer) {
                Ok(0) => return Ok(None),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(None),
                Ok(bytes) => return Ok(Some(black_box(&self.buffer[..bytes]).len())),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
