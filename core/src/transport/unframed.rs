//! The transport of Mozilla's peers: text that flows.

use super::buffer::Buffer;
use super::{Incoming, Message, SendError, Transport, TransportError, interest};
use crate::hal::{Arrived, ByteStream, Interest};

/// What stands for bytes that are no text.
const REPLACEMENT: &str = "\u{FFFD}";

/// ```text
/// Connecting ──stream up──> Open ──close()──> Closing ──┐
///                            └────── peer's end ────────┴──> Closed
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Connecting,
    Open,
    Closing,
    Closed,
}

/// Text over a stream without any bounds: each piece that arrives is one message. No character is torn, and what is no
/// UTF-8 becomes U+FFFD.
///
/// Nothing tells who connects: it is for peers that know nothing better.
#[derive(Debug)]
pub struct Unframed<S, B> {
    stream: S,
    phase: Phase,
    incoming: Buffer<B>,
    given_bytes: usize,
    has_ended: bool,
    outgoing: Buffer<B>,
    finished: bool,
}

type Failure<S> = TransportError<<S as embedded_io::ErrorType>::Error>;

/// What stands at the beginning of the bytes that have arrived.
enum Piece {
    /// So many bytes of text.
    Text(usize),
    /// So many bytes that are none.
    NoText(usize),
    /// Nothing, or a part of a character.
    Incomplete,
}

impl Piece {
    fn of(bytes: &[u8]) -> Self {
        let error = match core::str::from_utf8(bytes) {
            Ok("") => return Self::Incomplete,
            Ok(text) => return Self::Text(text.len()),
            Err(error) => error,
        };
        match (error.valid_up_to(), error.error_len()) {
            (0, Some(bytes)) => Self::NoText(bytes),
            (0, None) => Self::Incomplete,
            (valid, _) => Self::Text(valid),
        }
    }
}

impl<S: ByteStream, B: AsRef<[u8]> + AsMut<[u8]>> Unframed<S, B> {
    /// On a stream that was connected or accepted. A piece is at most as long as the buffer, which has 4 bytes or more.
    pub fn new(stream: S, incoming: B, outgoing: B) -> Self {
        let (incoming, outgoing) = (Buffer::new(incoming), Buffer::new(outgoing));
        let phase = Phase::Connecting;
        Self { stream, phase, incoming, given_bytes: 0, has_ended: false, outgoing, finished: false }
    }

    fn flush(&mut self) -> Result<(), Failure<S>> {
        let sent = self.outgoing.drain_to(&mut self.stream).map_err(TransportError::Stream)?;
        if sent && matches!(self.phase, Phase::Closing | Phase::Closed) && !self.finished {
            self.finished = self.stream.finish().map_err(TransportError::Stream)?;
        }
        Ok(())
    }

    fn next_piece(&mut self) -> Result<Incoming<'_>, Failure<S>> {
        self.incoming.consume(core::mem::take(&mut self.given_bytes));
        let mut piece = Piece::of(self.incoming.filled());
        while matches!(piece, Piece::Incomplete) && !self.has_ended {
            match self.incoming.fill_from(&mut self.stream).map_err(TransportError::Stream)? {
                Arrived::Bytes(_) => piece = Piece::of(self.incoming.filled()),
                Arrived::WouldBlock => return Ok(Incoming::Nothing),
                Arrived::End => self.has_ended = true,
            }
        }
        match piece {
            Piece::Text(bytes) => self.given_bytes = bytes,
            Piece::NoText(bytes) => {
                self.given_bytes = bytes;
                return Ok(Incoming::Message(Message::Text(REPLACEMENT)));
            }
            // It will never be complete.
            Piece::Incomplete if self.incoming.bytes() > 0 => {
                self.given_bytes = self.incoming.bytes();
                return Ok(Incoming::Message(Message::Text(REPLACEMENT)));
            }
            Piece::Incomplete => {
                self.phase = Phase::Closed;
                return Ok(Incoming::Closed(0));
            }
        }
        let text = self.incoming.filled().get(..self.given_bytes).and_then(|text| core::str::from_utf8(text).ok());
        Ok(Incoming::Message(Message::Text(text.unwrap_or(REPLACEMENT))))
    }

    fn drop_incoming(&mut self) -> Incoming<'_> {
        loop {
            self.given_bytes = 0;
            self.incoming.clear();
            match self.incoming.fill_from(&mut self.stream) {
                Ok(Arrived::Bytes(_)) => {}
                Ok(Arrived::WouldBlock) => return Incoming::Nothing,
                Ok(Arrived::End) | Err(_) => {
                    self.phase = Phase::Closed;
                    return Incoming::Closed(0);
                }
            }
        }
    }
}

impl<S: ByteStream, B: AsRef<[u8]> + AsMut<[u8]>> Transport for Unframed<S, B> {
    type Stream = S;

    fn advance(&mut self) -> Result<bool, Failure<S>> {
        if !self.stream.advance().map_err(TransportError::Stream)? {
            return Ok(false);
        }
        if self.phase == Phase::Connecting {
            self.phase = Phase::Open;
        }
        self.flush()?;
        Ok(true)
    }

    fn send(&mut self, message: Message<'_>) -> Result<(), SendError<S::Error>> {
        if self.phase != Phase::Open {
            return Err(SendError::NotOpen);
        }
        let Message::Text(text) = message else { return Err(SendError::Unsupported) };
        let max = self.outgoing.capacity();
        if text.is_empty() {
            return Err(SendError::Unsupported);
        }
        if text.len() > max {
            let as_u32 = |bytes| u32::try_from(bytes).unwrap_or(u32::MAX);
            return Err(SendError::TooLong { bytes: as_u32(text.len()), max: as_u32(max) });
        }
        self.outgoing.fill_with(0, |room| {
            let place = room.get_mut(..text.len()).ok_or(SendError::WouldBlock)?;
            place.copy_from_slice(text.as_bytes());
            Ok(text.len())
        })?;
        self.outgoing.drain_to(&mut self.stream).map(drop).map_err(SendError::Stream)
    }

    fn receive(&mut self) -> Result<Incoming<'_>, Failure<S>> {
        match self.phase {
            Phase::Connecting => Ok(Incoming::Nothing),
            Phase::Open => self.next_piece(),
            Phase::Closing => Ok(self.drop_incoming()),
            Phase::Closed => Ok(Incoming::Closed(0)),
        }
    }

    /// The reason cannot be said.
    fn close(&mut self, _: u32) {
        if self.phase != Phase::Closed {
            self.phase = Phase::Closing;
        }
    }

    fn buffered_bytes(&self) -> usize {
        self.outgoing.bytes()
    }

    fn interest(&self, reads: bool) -> Interest {
        let (reads, leaves) = match self.phase {
            Phase::Connecting | Phase::Open => (reads, false),
            Phase::Closing => (true, !self.finished),
            Phase::Closed => (false, !self.finished),
        };
        self.stream.interest(interest(reads, leaves || self.outgoing.bytes() > 0))
    }

    fn has_pending(&self) -> bool {
        let unread = self.incoming.bytes() > self.given_bytes || self.has_ended;
        (unread && self.phase == Phase::Open) || self.stream.has_pending()
    }

    fn stream(&self) -> &S {
        &self.stream
    }
}
