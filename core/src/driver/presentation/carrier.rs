//! Whichever transport carries a connection.

use crate::hal::{ByteStream, Interest};
use crate::transport::{Framed, Incoming, Message, SendError, StreamError, Transport, TransportError, Unframed};

/// One of the two.
pub(super) enum Carrier<S, B> {
    Framed(Framed<S, B>),
    Unframed(Unframed<S, B>),
}

macro_rules! either {
    ($carrier:expr, $inner:ident => $call:expr) => {
        match $carrier {
            Self::Framed($inner) => $call,
            Self::Unframed($inner) => $call,
        }
    };
}

impl<S, B> Carrier<S, B> {
    pub(super) const fn is_framed(&self) -> bool {
        matches!(self, Self::Framed(_))
    }
}

impl<S: ByteStream, B: AsRef<[u8]> + AsMut<[u8]>> Transport for Carrier<S, B> {
    type Stream = S;

    fn advance(&mut self) -> Result<bool, TransportError<StreamError<Self>>> {
        either!(self, inner => inner.advance())
    }

    fn send(&mut self, message: Message<'_>) -> Result<(), SendError<StreamError<Self>>> {
        either!(self, inner => inner.send(message))
    }

    fn receive(&mut self) -> Result<Incoming<'_>, TransportError<StreamError<Self>>> {
        either!(self, inner => inner.receive())
    }

    fn close(&mut self, reason: u32) {
        either!(self, inner => inner.close(reason));
    }

    fn buffered_bytes(&self) -> usize {
        either!(self, inner => inner.buffered_bytes())
    }

    fn interest(&self, reads: bool) -> Interest {
        either!(self, inner => inner.interest(reads))
    }

    fn has_pending(&self) -> bool {
        either!(self, inner => inner.has_pending())
    }

    fn stream(&self) -> &S {
        either!(self, inner => inner.stream())
    }
}
