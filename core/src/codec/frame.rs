//! Messages that keep their bounds on a stream of bytes: the framed transport of a presentation (PS-19).
//!
//! ```text
//!   bytes 0 to 3          4      5 ...
//! ┌────────────────────┬──────┬─────────────────┐
//! │ payload's bytes    │ kind │ payload         │
//! │ (higher byte first)│      │                 │
//! └────────────────────┴──────┴─────────────────┘
//! ```
//!
//! | kind | name | payload | from |
//! |---|---|---|---|
//! | 0 | hello | version (1 byte), ticket (16 bytes) | who connects, first |
//! | 1 | welcome | version (1 byte) | who accepts, first |
//! | 2 | text | UTF-8 | both |
//! | 3 | binary | anything | both |
//! | 4 | close | reason (4 bytes, higher byte first) | both, last |
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use core::fmt;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

/// Bytes before the payload.
pub const HEADER_BYTES: usize = 5;
/// The version of this framing.
pub const VERSION: u8 = 1;
/// Bytes of a [`Frame::Close`] on the wire.
pub const CLOSE_BYTES: usize = HEADER_BYTES + 4;

const TICKET_BYTES: usize = 16;
/// Bytes of a [`Frame::Hello`]'s payload, and so of the longest one that is not a message.
const HELLO_BYTES: usize = 1 + TICKET_BYTES;

/// What lets a device into a session: whoever connects shows it first (PS-34). It comes with the offer, over the control
/// channel. Its text is 32 digits.
#[derive(Clone, Copy, Eq, Serialize, Deserialize)]
pub struct Ticket(pub [u8; TICKET_BYTES]);

impl Ticket {
    /// Reads the text.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: &[u8; 2 * TICKET_BYTES] = text.as_bytes().try_into().ok()?;
        let mut bytes = [0; TICKET_BYTES];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair =
                core::str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|digit| digit.is_ascii_hexdigit()));
            *byte = u8::from_str_radix(pair?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

/// Takes as long whichever byte differs: a stranger learns nothing from it.
impl PartialEq for Ticket {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

/// It is a secret, so that no log has it.
impl fmt::Debug for Ticket {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Ticket(..)")
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Ticket {
    fn format(&self, out: defmt::Formatter<'_>) {
        defmt::write!(out, "Ticket(..)");
    }
}

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// Who connects: I may.
    Hello {
        /// The highest version that it speaks.
        version: u8,
        /// The proof.
        ticket: Ticket,
    },
    /// Who accepts: you may.
    Welcome {
        /// The version that both speak.
        version: u8,
    },
    /// A message.
    Text(&'a str),
    /// A message.
    Binary(&'a [u8]),
    /// I leave, for this reason; 0 is none in particular.
    Close {
        /// A number of the control protocol.
        reason: u32,
    },
}

/// Why bytes are no frame, or a message does not go into one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FrameError {
    /// Peer, or caller for what is to be sent: a message may have `max` bytes.
    TooLong {
        /// What it has.
        bytes: u32,
        /// What it may have.
        max: u32,
    },
    /// Peer: no version has a frame of this kind.
    UnknownKind(u8),
    /// Peer: a frame of this kind with so many bytes, or such bytes, has no meaning.
    Malformed {
        /// Its kind.
        kind: u8,
    },
    /// Peer: a text that is no UTF-8.
    NotText,
    /// Caller: the buffer has less room than the frame needs.
    NoRoom,
}

impl fmt::Display for FrameError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes, max } => write!(out, "the message has {bytes} bytes, and may have {max}"),
            Self::UnknownKind(kind) => write!(out, "no version has frames of kind {kind}"),
            Self::Malformed { kind } => write!(out, "the frame of kind {kind} has no meaning"),
            Self::NotText => out.write_str("the text is no UTF-8"),
            Self::NoRoom => out.write_str("the frame does not fit its buffer"),
        }
    }
}

impl core::error::Error for FrameError {}

impl Frame<'_> {
    const fn kind(&self) -> u8 {
        match self {
            Self::Hello { .. } => 0,
            Self::Welcome { .. } => 1,
            Self::Text(_) => 2,
            Self::Binary(_) => 3,
            Self::Close { .. } => 4,
        }
    }

    const fn payload_bytes(&self) -> usize {
        match self {
            Self::Hello { .. } => HELLO_BYTES,
            Self::Welcome { .. } => 1,
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
            Self::Close { .. } => 4,
        }
    }

    /// How many bytes it has on the wire. Nothing is longer than a message.
    pub const fn bytes(&self) -> usize {
        self.payload_bytes().saturating_add(HEADER_BYTES)
    }
}

/// Writes a frame at the beginning of a buffer; gives the bytes that it took. What fails has written nothing.
pub fn encode(frame: &Frame<'_>, payload_bytes_max: u32, buffer: &mut [u8]) -> Result<usize, FrameError> {
    let length = u32::try_from(frame.payload_bytes()).unwrap_or(u32::MAX);
    if length > max_of(frame.kind(), payload_bytes_max) {
        return Err(FrameError::TooLong { bytes: length, max: payload_bytes_max });
    }
    let bytes = frame.bytes();
    let place = buffer.get_mut(..bytes).ok_or(FrameError::NoRoom)?;
    let (header, payload) = place.split_at_mut_checked(HEADER_BYTES).ok_or(FrameError::NoRoom)?;
    let [a, b, c, d] = length.to_be_bytes();
    header.copy_from_slice(&[a, b, c, d, frame.kind()]);
    match frame {
        Frame::Hello { version, ticket } => {
            let (first, rest) = payload.split_first_mut().ok_or(FrameError::NoRoom)?;
            *first = *version;
            rest.copy_from_slice(&ticket.0);
        }
        Frame::Welcome { version } => payload.copy_from_slice(&[*version]),
        Frame::Text(text) => payload.copy_from_slice(text.as_bytes()),
        Frame::Binary(bytes) => payload.copy_from_slice(bytes),
        Frame::Close { reason } => payload.copy_from_slice(&reason.to_be_bytes()),
    }
    Ok(bytes)
}

/// The first frame of these bytes, and how many of them it takes. `None` where it is not all there yet.
///
/// What is wrong with a frame is seen as soon as its header is there: nobody has to wait, or make room, for what a peer
/// only claims to send.
pub fn decode(bytes: &[u8], payload_bytes_max: u32) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    let Some(frame_bytes) = frame_bytes(bytes, payload_bytes_max)? else { return Ok(None) };
    let Some(payload) = bytes.get(HEADER_BYTES..frame_bytes) else { return Ok(None) };
    // The header is there: its last byte is the kind.
    let kind = bytes.get(HEADER_BYTES - 1).copied().unwrap_or_default();
    Ok(Some((read(kind, payload)?, frame_bytes)))
}

/// How many bytes the first frame of these has, as soon as its header is there. It may not be all there yet.
pub fn frame_bytes(bytes: &[u8], payload_bytes_max: u32) -> Result<Option<usize>, FrameError> {
    let [a, b, c, d, kind, ..] = bytes else { return Ok(None) };
    let length = u32::from_be_bytes([*a, *b, *c, *d]);
    check(*kind, length, payload_bytes_max)?;
    // A length that no slice can have is longer than what is there.
    Ok(Some(usize::try_from(length).unwrap_or(usize::MAX).saturating_add(HEADER_BYTES)))
}

fn max_of(kind: u8, payload_bytes_max: u32) -> u32 {
    match kind {
        2 | 3 => payload_bytes_max,
        // None of them is longer than this.
        _ => HELLO_BYTES as u32,
    }
}

fn check(kind: u8, length: u32, payload_bytes_max: u32) -> Result<(), FrameError> {
    let is_right = match kind {
        0 => length == HELLO_BYTES as u32,
        1 => length == 1,
        2 | 3 if length > planted!("frame_length_believed", u32::MAX, payload_bytes_max) => {
            return Err(FrameError::TooLong { bytes: length, max: payload_bytes_max });
        }
        2 | 3 => true,
        4 => length == 4,
        _ => return Err(FrameError::UnknownKind(kind)),
    };
    if is_right { Ok(()) } else { Err(FrameError::Malformed { kind }) }
}

fn read(kind: u8, payload: &[u8]) -> Result<Frame<'_>, FrameError> {
    match (kind, payload) {
        (0, [version, ticket @ ..]) => {
            let ticket = ticket.try_into().map_err(|_| FrameError::Malformed { kind })?;
            Ok(Frame::Hello { version: *version, ticket: Ticket(ticket) })
        }
        (1, [version]) => Ok(Frame::Welcome { version: *version }),
        (2, text) => core::str::from_utf8(text).map(Frame::Text).map_err(|_| FrameError::NotText),
        (3, bytes) => Ok(Frame::Binary(bytes)),
        (4, [a, b, c, d]) => Ok(Frame::Close { reason: u32::from_be_bytes([*a, *b, *c, *d]) }),
        _ => Err(FrameError::Malformed { kind }),
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;
    use std::vec::Vec;

    use super::*;

    const MAX: u32 = 100;
    const TICKET: Ticket = Ticket([0x7A; 16]);

    fn encoded(frame: Frame<'_>) -> Vec<u8> {
        let mut buffer = [0; 256];
        let bytes = encode(&frame, MAX, &mut buffer).unwrap();
        buffer[..bytes].to_vec()
    }

    /// PS-19
    #[test]
    fn golden_bytes_do_not_change() {
        let hello = encoded(Frame::Hello { version: 1, ticket: TICKET });
        assert_eq!(hello[..6], [0, 0, 0, 17, 0, 1]);
        assert_eq!(hello[6..], [0x7A; 16]);
        assert_eq!(encoded(Frame::Welcome { version: 1 }), [0, 0, 0, 1, 1, 1]);
        assert_eq!(encoded(Frame::Text("hé")), [0, 0, 0, 3, 2, b'h', 0xC3, 0xA9]);
        assert_eq!(encoded(Frame::Text("")), [0, 0, 0, 0, 2]);
        assert_eq!(encoded(Frame::Binary(&[0, 255])), [0, 0, 0, 2, 3, 0, 255]);
        assert_eq!(encoded(Frame::Close { reason: 0x8053_0017 }), [0, 0, 0, 4, 4, 0x80, 0x53, 0, 0x17]);
    }

    /// PS-19, PS-32
    #[test]
    fn frames_come_out_as_they_went_in_wherever_they_are_split() {
        let frames = [
            Frame::Hello { version: 9, ticket: TICKET },
            Frame::Welcome { version: 1 },
            Frame::Text("one"),
            Frame::Text(""),
            Frame::Binary(&[7; MAX as usize]),
            Frame::Binary(&[]),
            Frame::Close { reason: 5 },
        ];
        let stream: Vec<u8> = frames.iter().flat_map(|frame| encoded(*frame)).collect();
        let mut chance = 1_u32;
        for _ in 0..2_000 {
            let (mut there, mut seen, mut rest) = (Vec::new(), 0, &stream[..]);
            while !rest.is_empty() {
                chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let (now, later) = rest.split_at((1 + (chance >> 16) as usize % 40).min(rest.len()));
                there.extend_from_slice(now);
                rest = later;
                while let Some((frame, bytes)) = decode(&there, MAX).unwrap() {
                    assert_eq!(frame, frames[seen]);
                    seen += 1;
                    there.drain(..bytes);
                }
            }
            assert_eq!((seen, there.len()), (frames.len(), 0));
        }
    }

    /// PS-32
    #[test]
    fn every_prefix_of_a_frame_waits_for_the_rest() {
        let whole = encoded(Frame::Text("a text"));
        for end in 0..whole.len() {
            assert_eq!(decode(&whole[..end], MAX), Ok(None));
        }
        assert_eq!(decode(&whole, MAX), Ok(Some((Frame::Text("a text"), whole.len()))));
    }

    /// PS-19, PS-32
    #[test]
    fn what_is_wrong_is_seen_in_the_header() {
        let too_long = FrameError::TooLong { bytes: MAX + 1, max: MAX };
        assert_eq!(decode(&[0, 0, 0, 101, 2], MAX), Err(too_long));
        assert_eq!(decode(&[255, 255, 255, 255, 3], MAX), Err(FrameError::TooLong { bytes: u32::MAX, max: MAX }));
        assert_eq!(decode(&[0, 0, 0, 0, 5], MAX), Err(FrameError::UnknownKind(5)));
        for (kind, length) in [(0, 16), (0, 18), (1, 0), (1, 2), (4, 3), (4, 0)] {
            assert_eq!(decode(&[0, 0, 0, length, kind], MAX), Err(FrameError::Malformed { kind }));
        }
        assert_eq!(decode(&[0, 0, 0, 2, 2, 0xC3, 0x28], MAX), Err(FrameError::NotText));
    }

    /// PS-19
    #[test]
    fn a_message_that_may_not_be_sent_writes_nothing() {
        let mut buffer = [9; 8];
        let long = [0; MAX as usize + 1];
        let too_long = Err(FrameError::TooLong { bytes: MAX + 1, max: MAX });
        assert_eq!(encode(&Frame::Binary(&long), MAX, &mut buffer), too_long);
        assert_eq!(encode(&Frame::Text("four"), MAX, &mut buffer), Err(FrameError::NoRoom));
        assert_eq!(buffer, [9; 8]);
    }

    /// PS-34
    #[test]
    fn a_ticket_is_read_from_its_text_and_shown_in_no_log() {
        assert_eq!(Ticket::parse(&TICKET.to_string()), Some(TICKET));
        assert_eq!(std::format!("{TICKET:?}"), "Ticket(..)");
        for text in ["", "7a", &"7a".repeat(17), &"+a".repeat(16), &"é".repeat(16)] {
            assert_eq!(Ticket::parse(text), None, "{text}");
        }
        assert_ne!(TICKET, Ticket([0; 16]));
    }
}
