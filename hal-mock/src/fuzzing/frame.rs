//! Our own framing: bytes that are split anyhow, as frames, and as what the other end of a transport sends.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use embedded_io::{Read, ReadReady, Write, WriteReady};
use greenroom_core::codec::frame::{CLOSE_BYTES, Frame, FrameError, HEADER_BYTES, Ticket, VERSION, decode, encode};
use greenroom_core::hal::{ByteStream, Error, ErrorKind};
use greenroom_core::transport::{Admission, Framed, Incoming, Message, Transport, TransportError};

use super::steps::pieces;

/// The longest message here.
const MESSAGE_BYTES_MAX: u32 = 48;
const BUFFER_BYTES: usize = MESSAGE_BYTES_MAX as usize + HEADER_BYTES + CLOSE_BYTES;
/// What a peer must know.
pub(super) const TICKET: [u8; 16] = [7; 16];

/// A frame that is not borrowed.
#[derive(Clone, Debug, PartialEq)]
enum Owned {
    Hello(u8, [u8; 16]),
    Welcome(u8),
    Text(String),
    Binary(Vec<u8>),
    Close(u32),
}

impl Owned {
    fn of(frame: &Frame<'_>) -> Self {
        match frame {
            Frame::Hello { version, ticket } => Self::Hello(*version, ticket.0),
            Frame::Welcome { version } => Self::Welcome(*version),
            Frame::Text(text) => Self::Text((*text).to_owned()),
            Frame::Binary(bytes) => Self::Binary(bytes.to_vec()),
            Frame::Close { reason } => Self::Close(*reason),
        }
    }
}

/// How the frames of a stream go on.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rest {
    /// A frame is not all there yet.
    Waits,
    Wrong(FrameError),
}

/// Frames as somebody reads them who has the whole stream before him.
fn naively_read(mut bytes: &[u8]) -> (Vec<Owned>, Rest) {
    let mut frames = Vec::new();
    loop {
        let Some((header, rest)) = bytes.split_at_checked(HEADER_BYTES) else { return (frames, Rest::Waits) };
        let length = header[..4].iter().fold(0_u32, |length, byte| length << 8 | u32::from(*byte));
        let kind = header[4];
        let wrong = match (kind, length) {
            (0, 17) | (1, 1) | (4, 4) | (2 | 3, ..=MESSAGE_BYTES_MAX) => None,
            (0 | 1 | 4, _) => Some(FrameError::Malformed { kind }),
            (2 | 3, bytes) => Some(FrameError::TooLong { bytes, max: MESSAGE_BYTES_MAX }),
            _ => Some(FrameError::UnknownKind(kind)),
        };
        if let Some(wrong) = wrong {
            return (frames, Rest::Wrong(wrong));
        }
        let Some((payload, rest)) = rest.split_at_checked(length as usize) else { return (frames, Rest::Waits) };
        frames.push(match kind {
            0 => Owned::Hello(payload[0], payload[1..].try_into().expect("16 bytes")),
            1 => Owned::Welcome(payload[0]),
            2 => match String::from_utf8(payload.to_vec()) {
                Ok(text) => Owned::Text(text),
                Err(_) => return (frames, Rest::Wrong(FrameError::NotText)),
            },
            3 => Owned::Binary(payload.to_vec()),
            _ => Owned::Close(payload.iter().fold(0, |reason, byte| reason << 8 | u32::from(*byte))),
        });
        bytes = rest;
    }
}

/// The bytes behind the first one, in pieces of at most as many as that says: read frame by frame, and by a transport that
/// waits for its peer and sends back what it hears.
///
/// # Panics
///
/// When other frames are read than are there, a frame is not written as it was read, or a transport gives out anything but
/// what a peer with the ticket has sent.
pub fn frame(input: &[u8]) {
    let Some((&most, bytes)) = input.split_first() else { return };
    let (frames, rest) = naively_read(bytes);
    assert_eq!(read_in_pieces(bytes, most), (frames.clone(), rest));
    accepts(bytes, most, &frames, rest);
}

fn read_in_pieces(bytes: &[u8], most: u8) -> (Vec<Owned>, Rest) {
    let (mut frames, mut read, mut arrived) = (Vec::new(), 0, 0);
    for piece in pieces(bytes, most) {
        arrived += piece.len();
        loop {
            let there = &bytes[read..arrived];
            match decode(there, MESSAGE_BYTES_MAX) {
                Ok(Some((frame, taken))) => {
                    let mut again = [0; BUFFER_BYTES];
                    assert_eq!(encode(&frame, MESSAGE_BYTES_MAX, &mut again), Ok(taken));
                    assert_eq!(again[..taken], there[..taken]);
                    frames.push(Owned::of(&frame));
                    read += taken;
                }
                Ok(None) => break,
                Err(error) => return (frames, Rest::Wrong(error)),
            }
        }
    }
    (frames, Rest::Waits)
}

/// How a transport has come to its end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Closed(u32),
    Failed(TransportError<Never>),
}

/// What a transport that accepts must give out, and how it must end, when the stream ends behind these frames.
fn expected(frames: &[Owned], rest: Rest) -> (Vec<Owned>, End) {
    let end = match rest {
        Rest::Waits => End::Failed(TransportError::CutOff),
        Rest::Wrong(error) => End::Failed(TransportError::Frame(error)),
    };
    let messages = match frames.split_first() {
        None => return (Vec::new(), end),
        Some((Owned::Hello(1.., TICKET), messages)) => messages,
        Some((Owned::Hello(_, ticket), _)) if *ticket != TICKET => {
            return (Vec::new(), End::Failed(TransportError::NotAdmitted));
        }
        Some((Owned::Hello(version, _), _)) => return (Vec::new(), End::Failed(TransportError::Version(*version))),
        Some(_) => return (Vec::new(), End::Failed(TransportError::OutOfPlace)),
    };
    let is_message = |frame: &&Owned| matches!(frame, Owned::Text(_) | Owned::Binary(_));
    let given: Vec<Owned> = messages.iter().take_while(is_message).cloned().collect();
    match messages.get(given.len()) {
        None => (given, end),
        Some(Owned::Close(reason)) => (given, End::Closed(*reason)),
        Some(_) => (given, End::Failed(TransportError::OutOfPlace)),
    }
}

fn accepts(bytes: &[u8], most: u8, frames: &[Owned], rest: Rest) {
    let (given, end) = expected(frames, rest);
    let admission = Admission { ticket: Ticket(TICKET), fingerprint: None, address: None };
    let stream = Choppy { arriving: pieces(bytes, most), there: &[], blocks: false, sent: Vec::new() };
    let mut transport = Framed::accepting(stream, admission, [0; BUFFER_BYTES], [0; BUFFER_BYTES]);
    let (heard, ended) = talk(&mut transport);
    assert_eq!((&heard, ended), (&given, end));
    // It answers none but who has the ticket, and sends back what it was sent.
    let welcome = matches!(frames.first(), Some(Owned::Hello(1.., TICKET))).then_some(Owned::Welcome(VERSION));
    let answered: Vec<Owned> = welcome.into_iter().chain(given).collect();
    assert_eq!(naively_read(&transport.stream().sent), (answered, Rest::Waits));
}

/// Reads and sends back until the end.
fn talk<S: ByteStream<Error = Never>>(transport: &mut Framed<S, [u8; BUFFER_BYTES]>) -> (Vec<Owned>, End) {
    let mut heard = Vec::new();
    loop {
        if let Err(error) = transport.advance() {
            return (heard, End::Failed(error));
        }
        let message = match transport.receive() {
            Ok(Incoming::Message(Message::Text(text))) => Owned::Text(text.to_owned()),
            Ok(Incoming::Message(Message::Binary(bytes))) => Owned::Binary(bytes.to_vec()),
            Ok(Incoming::Nothing) => continue,
            Ok(Incoming::Closed(reason)) => return (heard, End::Closed(reason)),
            Err(error) => return (heard, End::Failed(error)),
        };
        let sent = transport.send(match &message {
            Owned::Text(text) => Message::Text(text),
            Owned::Binary(bytes) => Message::Binary(bytes),
            other => unreachable!("{other:?} is no message"),
        });
        assert!(sent.is_ok(), "there is room: {sent:?}");
        heard.push(message);
    }
}

/// Nothing goes wrong with the stream itself.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Never(Infallible);

impl std::fmt::Display for Never {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {}
    }
}

impl std::error::Error for Never {}

impl embedded_io::Error for Never {
    fn kind(&self) -> embedded_io::ErrorKind {
        match self.0 {}
    }
}

impl Error for Never {
    fn kind(&self) -> ErrorKind {
        match self.0 {}
    }
}

/// A stream on which bytes arrive in pieces, each a while after the last, and then the end.
struct Choppy<'a, P> {
    arriving: P,
    there: &'a [u8],
    blocks: bool,
    sent: Vec<u8>,
}

impl<P> embedded_io::ErrorType for Choppy<'_, P> {
    type Error = Never;
}

impl<P> ReadReady for Choppy<'_, P> {
    /// Not twice in a row.
    fn read_ready(&mut self) -> Result<bool, Never> {
        self.blocks = !self.blocks;
        Ok(!self.blocks)
    }
}

impl<'a, P: Iterator<Item = &'a [u8]>> Read for Choppy<'a, P> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Never> {
        if self.there.is_empty() {
            self.there = self.arriving.next().unwrap_or_default();
        }
        let bytes = self.there.len().min(buffer.len());
        let (taken, rest) = self.there.split_at(bytes);
        buffer[..bytes].copy_from_slice(taken);
        self.there = rest;
        Ok(bytes)
    }
}

impl<P> WriteReady for Choppy<'_, P> {
    fn write_ready(&mut self) -> Result<bool, Never> {
        Ok(true)
    }
}

impl<P> Write for Choppy<'_, P> {
    /// A few bytes at a time.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Never> {
        let taken = bytes.len().min(7);
        self.sent.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> Result<(), Never> {
        Ok(())
    }
}

impl<'a, P: Iterator<Item = &'a [u8]>> ByteStream for Choppy<'a, P> {
    fn advance(&mut self) -> Result<bool, Never> {
        Ok(true)
    }

    fn finish(&mut self) -> Result<bool, Never> {
        Ok(true)
    }

    fn local_address(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::from([127, 0, 0, 1]), 1)
    }

    fn peer_address(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::from([127, 0, 0, 1]), 2)
    }
}
