//! The smallest platform on which the drivers run: one message comes in, one goes out.

use core::fmt;
use core::hint::black_box;

use greenroom_core::driver::Connection;
use greenroom_core::hal::{Descriptors, Error, ErrorKind, ErrorType, Received, Sent, Socket};
use greenroom_core::message::control;

/// Nothing that this platform is asked for fails.
#[derive(Debug)]
pub(crate) enum Never {}

impl fmt::Display for Never {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl Error for Never {
    fn kind(&self) -> ErrorKind {
        match *self {}
    }
}

/// A socket at which the same message arrives again and again.
#[derive(Debug)]
pub(crate) struct Loop;

impl ErrorType for Loop {
    type Error = Never;
}

impl Socket for Loop {
    type Descriptor = u8;

    fn send(&mut self, message: &[u8], _: &[&u8]) -> Result<Sent, Never> {
        Ok(if black_box(message).is_empty() { Sent::Whole } else { Sent::WouldBlock })
    }

    fn receive(&mut self, buffer: &mut [u8], descriptors: &mut Descriptors<u8>) -> Result<Received, Never> {
        descriptors.clear();
        Ok(Received::Message { bytes: black_box(buffer).len() })
    }
}

pub(crate) fn exercise(bytes: &mut [u8]) {
    let mut connection = Connection::answering(Loop);
    let mut descriptors = Descriptors::new();
    let _ = black_box(connection.receive::<control::Request<'_>>(bytes, &mut descriptors));
    let stopped = control::Message::Reply { sequence: 1, result: Err(control::Refusal::ShuttingDown) };
    let _ = black_box(connection.send(&stopped, descriptors));
    let _ = black_box(connection.flush());
}
