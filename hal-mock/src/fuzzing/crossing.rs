//! Descriptions and candidates as they cross both services: from a page, over the control channel split anyhow, to the page
//! at its other end.

use std::cell::RefCell;

use greenroom_core::codec::papi::{self, Garbage, Lines};
use greenroom_core::codec::postcard;
use greenroom_core::limits::{CONTROL_LINE_BYTES_MAX, PRESENTER_MESSAGE_BYTES_MAX};
use greenroom_core::message::papi::{Description, Message as Spoken};
use greenroom_core::message::presentation::{Command, ConnectionId, Event, Message as Told, Piece, Request};

use super::papi::second_reading;
use super::steps::pieces;

/// Bytes of the longest text; those of browsers have some thousand.
const TEXT_BYTES_MAX: usize = 70_000;
/// From here on the third byte means a long text.
const LONG: u8 = 252;
/// Before what is said as it stands, and behind it.
const BEFORE: &[u8] = br#"{"type":"offer","offer":{"type":2,"dataChannelSDP":""#;
const BEHIND: &[u8] = b"\"}}\n";
const CONNECTION: ConnectionId = ConnectionId { index: 3, generation: 500 };

thread_local! {
    /// What a service keeps for each of its channels and clients, which nobody clears between two messages.
    static MEMORY: RefCell<Memory> = RefCell::new(Memory {
        line: vec![0; CONTROL_LINE_BYTES_MAX],
        lines: vec![0; CONTROL_LINE_BYTES_MAX],
        message: vec![0; PRESENTER_MESSAGE_BYTES_MAX],
    });
}

struct Memory {
    line: Vec<u8>,
    lines: Vec<u8>,
    message: Vec<u8>,
}

/// The first byte says what crosses, the second how it is split, the third how often the rest is repeated.
///
/// # Panics
///
/// When a text that crosses arrives as another one, when one that has room is refused, or when one is taken that has none.
pub fn crossing(input: &[u8]) {
    let [what, most, times, rest @ ..] = input else { return };
    let most = (*most).max(16);
    // Long ones are rare, as they take long.
    let doublings = if *times >= LONG { 11 } else { times % 6 };
    let count = if rest.len() > 32 { 1 } else { 1 << doublings };
    let bytes: Vec<u8> = rest.iter().copied().cycle().take((rest.len() * count).min(TEXT_BYTES_MAX)).collect();
    MEMORY.with_borrow_mut(|memory| match what % 4 {
        3 => memory.device_says(&bytes, most),
        number => memory.page_says(number, &String::from_utf8_lossy(&bytes), most),
    });
}

/// A piece, and the words of it on the control channel.
fn piece_of(number: u8, text: &str) -> (Piece<'_>, Spoken<&str>) {
    match number {
        0 => (Piece::Offer(text), Spoken::Offer(Description::DataChannel { sdp: text })),
        1 => (Piece::Answer(text), Spoken::Answer(Description::DataChannel { sdp: text })),
        _ => (Piece::Candidate(text), Spoken::IceCandidate { candidate: text }),
    }
}

/// Bytes of a text in a line, where everything that is no plain ASCII is escaped.
fn escaped_bytes(text: &str) -> usize {
    let of = |letter: char| match letter {
        '"' | '\\' => 2,
        ' '..='~' => 1,
        _ => 6 * letter.len_utf16(),
    };
    text.chars().map(of).sum()
}

impl Memory {
    fn page_says(&mut self, number: u8, text: &str, most: u8) {
        let (piece, _) = piece_of(number, text);
        let request = Request { sequence: 1, command: Command::Built { connection: CONNECTION, piece } };
        let bytes = postcard::encode(&request, &mut self.message).expect("a service takes a message as long");
        let Ok(Request { command: Command::Built { piece: taken, .. }, .. }) = postcard::decode::<Request<'_>>(bytes)
        else {
            panic!("what a page has built is not read: {text:?}");
        };
        assert_eq!(taken, piece, "as the page has said it");
        let (_, empty) = piece_of(number, "");
        let (_, spoken) = piece_of(number, text);
        let around = papi::encode(&empty, &mut self.line).expect("it is short").len();
        let has_room = around + escaped_bytes(text) <= CONTROL_LINE_BYTES_MAX;
        let said = papi::encode(&spoken, &mut self.line);
        assert_eq!(said.is_ok(), has_room, "{} bytes", text.len());
        if let Ok(said) = said {
            let bytes = said.len();
            assert_eq!(self.arrive(bytes, most), Some(text.to_owned()));
        }
    }

    /// What another device says as it stands: any bytes where a text should be.
    fn device_says(&mut self, text: &[u8], most: u8) {
        let said = [BEFORE, text, BEHIND].concat();
        // What is in two lines is for others, and so is what is no text.
        let Ok(whole) = str::from_utf8(&said[..said.len() - 1]) else { return };
        if whole.contains('\n') || said.len() > CONTROL_LINE_BYTES_MAX {
            return;
        }
        let expected = match second_reading(whole) {
            Some(Ok(Spoken::Offer(Description::DataChannel { sdp }))) => Some(sdp.into_owned()),
            Some(_) => None,
            None => return,
        };
        self.line[..said.len()].copy_from_slice(&said);
        assert_eq!(self.arrive(said.len(), most), expected);
    }

    /// What the page at the other end is told of a line that comes in pieces.
    fn arrive(&mut self, bytes: usize, most: u8) -> Option<String> {
        let Self { line, lines, message } = self;
        let (mut lines, mut told) = (Lines::new(&mut lines[..]), None);
        for mut piece in pieces(&line[..bytes], most) {
            while let Some(line) = lines.next(&mut piece) {
                told = line.and_then(|line| told_of(line, message)).ok();
            }
        }
        told
    }
}

fn told_of(line: &mut [u8], message: &mut [u8]) -> Result<String, Garbage> {
    let spoken = papi::decode(line)?;
    let piece = match &spoken {
        Spoken::Offer(Description::DataChannel { sdp }) => Piece::Offer(sdp),
        Spoken::Answer(Description::DataChannel { sdp }) => Piece::Answer(sdp),
        Spoken::IceCandidate { candidate } => Piece::Candidate(candidate),
        _ => return Err(Garbage::Incomplete),
    };
    let event = Told::Event(Event::Built { connection: CONNECTION, piece });
    let bytes = postcard::encode(&event, message).expect("a page takes a message as long");
    match postcard::decode::<Told<'_>>(bytes) {
        Ok(Told::Event(Event::Built {
            piece: Piece::Offer(text) | Piece::Answer(text) | Piece::Candidate(text),
            ..
        })) => Ok(text.to_owned()),
        other => panic!("a page is told {other:?}"),
    }
}
