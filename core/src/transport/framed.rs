//! Our own transport: whole messages, and only who has the ticket.

use core::net::IpAddr;

use super::buffer::Buffer;
use super::{Incoming, Message, SendError, Transport, TransportError, interest};
use crate::codec::frame::{self, CLOSE_BYTES, Frame, FrameError, HEADER_BYTES, Ticket, VERSION};
use crate::hal::{Arrived, ByteStream, Fingerprint, Interest};

/// Who may connect to a session: who has the ticket and, as far as that is known, its certificate and address (PS-34).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// What was sent to it over the control channel.
    pub ticket: Ticket,
    /// The certificate that it has shown there, if it has shown one.
    pub fingerprint: Option<Fingerprint>,
    /// The address that it had there. A device with several may use another one: without a certificate this is to be
    /// set, with one it need not be.
    pub address: Option<IpAddr>,
}

impl Admission {
    fn admits<S: ByteStream>(&self, stream: &S) -> bool {
        let has_certificate = self.fingerprint.is_none_or(|expected| stream.peer_fingerprint() == Some(expected));
        has_certificate && self.address.is_none_or(|expected| stream.peer_address().ip() == expected)
    }
}

/// Which side this is.
#[derive(Clone, Copy, Debug)]
enum Side {
    Connects(Ticket),
    Accepts(Admission),
}

/// ```text
///              stream up                 hello or welcome            close()
/// Connecting ─────────────> Greeting ───────────────────────> Open ──────────> Closing
///  who connects says hello   who accepts checks it,            │                  │
///                            and says welcome                  └── peer's close ──┴──> Closed
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Connecting,
    Greeting,
    Open,
    Closing,
    Closed { reason: u32 },
}

/// Whole messages over a stream (see [`crate::codec::frame`]).
#[derive(Debug)]
pub struct Framed<S, B> {
    stream: S,
    side: Side,
    phase: Phase,
    incoming: Buffer<B>,
    /// Bytes of the frame that was given out last.
    given_bytes: usize,
    outgoing: Buffer<B>,
    finished: bool,
}

type Failure<S> = TransportError<<S as embedded_io::ErrorType>::Error>;

impl<S: ByteStream, B: AsRef<[u8]> + AsMut<[u8]>> Framed<S, B> {
    /// On a stream that this side connects, with the ticket of the offer.
    ///
    /// The longest message is what fits into each buffer beside [`super::TRANSPORT_BUFFER_BYTES`]'s overhead.
    pub fn connecting(stream: S, ticket: Ticket, incoming: B, outgoing: B) -> Self {
        Self::new(stream, Side::Connects(ticket), incoming, outgoing)
    }

    /// On a stream that was accepted. Who has no admission makes [`Transport::advance`] fail with
    /// [`TransportError::NotAdmitted`], and is to be dropped; the listener stays for the right one.
    pub fn accepting(stream: S, admission: Admission, incoming: B, outgoing: B) -> Self {
        Self::new(stream, Side::Accepts(admission), incoming, outgoing)
    }

    fn new(stream: S, side: Side, incoming: B, outgoing: B) -> Self {
        let (incoming, outgoing) = (Buffer::new(incoming), Buffer::new(outgoing));
        Self { stream, side, phase: Phase::Connecting, incoming, given_bytes: 0, outgoing, finished: false }
    }

    fn message_bytes_max(buffer: &Buffer<B>) -> u32 {
        u32::try_from(buffer.capacity().saturating_sub(HEADER_BYTES + CLOSE_BYTES)).unwrap_or(u32::MAX)
    }

    /// Puts a frame where it waits to be sent. Room for the last one is always kept.
    fn put(&mut self, frame: &Frame<'_>) -> Result<(), FrameError> {
        let max = Self::message_bytes_max(&self.outgoing);
        let kept = if matches!(frame, Frame::Close { .. }) { 0 } else { CLOSE_BYTES };
        self.outgoing.fill_with(kept, |room| frame::encode(frame, max, room))
    }

    fn begin(&mut self) -> Result<(), Failure<S>> {
        match self.side {
            Side::Connects(ticket) => {
                self.put(&Frame::Hello { version: VERSION, ticket }).map_err(TransportError::Frame)?;
            }
            Side::Accepts(admission) if !admission.admits(&self.stream) => return Err(TransportError::NotAdmitted),
            Side::Accepts(_) => {}
        }
        self.phase = Phase::Greeting;
        Ok(())
    }

    /// Reads until a whole frame is there; `false` where there is none yet. The end of the stream is a failure: who
    /// leaves in order says so first.
    fn read_frame(&mut self) -> Result<bool, Failure<S>> {
        self.incoming.consume(core::mem::take(&mut self.given_bytes));
        let max = Self::message_bytes_max(&self.incoming);
        loop {
            let whole = frame::frame_bytes(self.incoming.filled(), max).map_err(TransportError::Frame)?;
            if whole.is_some_and(|bytes| bytes <= self.incoming.bytes()) {
                return Ok(true);
            }
            match self.incoming.fill_from(&mut self.stream).map_err(TransportError::Stream)? {
                Arrived::Bytes(_) => {}
                Arrived::WouldBlock => return Ok(false),
                Arrived::End => return Err(TransportError::CutOff),
            }
        }
    }

    fn greet(&mut self) -> Result<(), Failure<S>> {
        if !self.read_frame()? {
            return Ok(());
        }
        let max = Self::message_bytes_max(&self.incoming);
        let decoded = frame::decode(self.incoming.filled(), max).map_err(TransportError::Frame)?;
        let Some((greeting, bytes)) = decoded else { return Ok(()) };
        match (self.side, greeting) {
            (Side::Accepts(admission), Frame::Hello { version, ticket }) => {
                if ticket != admission.ticket {
                    return Err(TransportError::NotAdmitted);
                }
                if version < VERSION {
                    return Err(TransportError::Version(version));
                }
                self.put(&Frame::Welcome { version: VERSION }).map_err(TransportError::Frame)?;
            }
            (Side::Connects(_), Frame::Welcome { version: VERSION }) => {}
            (Side::Connects(_), Frame::Welcome { version }) => return Err(TransportError::Version(version)),
            (Side::Connects(_), Frame::Hello { .. } | Frame::Text(_) | Frame::Binary(_) | Frame::Close { .. })
            | (Side::Accepts(_), Frame::Welcome { .. } | Frame::Text(_) | Frame::Binary(_) | Frame::Close { .. }) => {
                return Err(TransportError::OutOfPlace);
            }
        }
        self.incoming.consume(bytes);
        self.phase = Phase::Open;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure<S>> {
        let sent = self.outgoing.drain_to(&mut self.stream).map_err(TransportError::Stream)?;
        let is_last = matches!(self.phase, Phase::Closing | Phase::Closed { .. });
        if sent && is_last && !self.finished {
            self.finished = self.stream.finish().map_err(TransportError::Stream)?;
        }
        Ok(())
    }

    /// Takes what comes in after we have said that we leave.
    fn drop_incoming(&mut self) -> Result<Incoming<'_>, Failure<S>> {
        loop {
            self.given_bytes = 0;
            self.incoming.clear();
            match self.incoming.fill_from(&mut self.stream) {
                Ok(Arrived::Bytes(_)) => {}
                Ok(Arrived::WouldBlock) => return Ok(Incoming::Nothing),
                // Whether it has said goodbye does not matter any more.
                Ok(Arrived::End) | Err(_) => {
                    self.phase = Phase::Closed { reason: 0 };
                    return Ok(Incoming::Closed(0));
                }
            }
        }
    }

    fn next_message(&mut self) -> Result<Incoming<'_>, Failure<S>> {
        if !self.read_frame()? {
            return Ok(Incoming::Nothing);
        }
        let max = Self::message_bytes_max(&self.incoming);
        let decoded = frame::decode(self.incoming.filled(), max).map_err(TransportError::Frame)?;
        let Some((frame, bytes)) = decoded else { return Ok(Incoming::Nothing) };
        self.given_bytes = bytes;
        match frame {
            Frame::Text(text) => Ok(Incoming::Message(Message::Text(text))),
            Frame::Binary(bytes) => Ok(Incoming::Message(Message::Binary(bytes))),
            Frame::Close { reason } => {
                self.phase = Phase::Closed { reason };
                Ok(Incoming::Closed(reason))
            }
            Frame::Hello { .. } | Frame::Welcome { .. } => Err(TransportError::OutOfPlace),
        }
    }
}

impl<S: ByteStream, B: AsRef<[u8]> + AsMut<[u8]>> Transport for Framed<S, B> {
    type Stream = S;

    fn advance(&mut self) -> Result<bool, Failure<S>> {
        if !self.stream.advance().map_err(TransportError::Stream)? {
            return Ok(false);
        }
        if self.phase == Phase::Connecting {
            self.begin()?;
        }
        if self.phase == Phase::Greeting {
            self.greet()?;
        }
        self.flush()?;
        Ok(!matches!(self.phase, Phase::Connecting | Phase::Greeting))
    }

    fn send(&mut self, message: Message<'_>) -> Result<(), SendError<S::Error>> {
        if self.phase != Phase::Open {
            return Err(SendError::NotOpen);
        }
        let frame = match message {
            Message::Text(text) => Frame::Text(text),
            Message::Binary(bytes) => Frame::Binary(bytes),
        };
        match self.put(&frame) {
            Ok(()) => {}
            Err(FrameError::TooLong { bytes, max }) => return Err(SendError::TooLong { bytes, max }),
            Err(_) => return Err(SendError::WouldBlock),
        }
        self.outgoing.drain_to(&mut self.stream).map(drop).map_err(SendError::Stream)
    }

    fn receive(&mut self) -> Result<Incoming<'_>, Failure<S>> {
        match self.phase {
            Phase::Connecting | Phase::Greeting => Ok(Incoming::Nothing),
            Phase::Open => self.next_message(),
            Phase::Closing => self.drop_incoming(),
            Phase::Closed { reason } => Ok(Incoming::Closed(reason)),
        }
    }

    fn close(&mut self, reason: u32) {
        match self.phase {
            Phase::Open => {
                // Its room is always kept.
                let _ = self.put(&Frame::Close { reason });
                self.phase = Phase::Closing;
            }
            Phase::Connecting | Phase::Greeting => self.phase = Phase::Closing,
            Phase::Closing | Phase::Closed { .. } => {}
        }
    }

    fn buffered_bytes(&self) -> usize {
        self.outgoing.bytes()
    }

    fn interest(&self, reads: bool) -> Interest {
        let (reads, leaves) = match self.phase {
            Phase::Connecting | Phase::Greeting => (true, false),
            Phase::Open => (reads, false),
            Phase::Closing => (true, !self.finished),
            Phase::Closed { .. } => (false, !self.finished),
        };
        self.stream.interest(interest(reads, leaves || self.outgoing.bytes() > 0))
    }

    fn has_pending(&self) -> bool {
        let unread = self.incoming.bytes().saturating_sub(self.given_bytes);
        let may_be_whole = unread >= HEADER_BYTES && !matches!(self.phase, Phase::Closed { .. });
        may_be_whole || self.stream.has_pending()
    }

    fn stream(&self) -> &S {
        &self.stream
    }
}
