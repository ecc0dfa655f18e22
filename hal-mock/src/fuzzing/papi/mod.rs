//! What two devices say on a control channel: JSON lines, split anyhow, against a second decoder that is naive.

mod json;
mod naive;

use std::borrow::Cow;

use greenroom_core::codec::papi::{Garbage, Lines, decode, encode};
use greenroom_core::message::papi::Message;

use super::steps::pieces;

/// The longest line that is taken here. The driver takes longer ones.
const LINE_BYTES_MAX: usize = 256;
/// Bytes of a message that was such a line, when everything is escaped that can be.
const WRITTEN_BYTES_MAX: usize = 6 * LINE_BYTES_MAX + 256;

/// What became of a line.
type Read<'a> = Result<Message<Cow<'a, str>>, Garbage>;

fn borrowed<'a>(message: &Message<&'a str>) -> Message<Cow<'a, str>> {
    message.clone().map(Cow::Borrowed)
}

/// The bytes behind the first one, in pieces of at most as many bytes as that says.
///
/// # Panics
///
/// When it matters how they are split, or when what was read of a line does not survive its encoding.
pub fn papi(input: &[u8]) {
    each_line(input, |line, _| {
        if let Ok(message) = decode(line) {
            let mut buffer = [0; WRITTEN_BYTES_MAX];
            assert_eq!(decode(written(&message, &mut buffer)).as_ref(), Ok(&message));
        }
    });
}

/// The same, with a second opinion about every line that is JSON.
///
/// # Panics
///
/// When it matters how the bytes are split, or when a line, as it was sent or written again, is not read as the naive
/// decoder reads it.
pub fn papi_differential(input: &[u8]) {
    each_line(input, |line, text| {
        let read = decode(line);
        if let Some(naive) = naive::read(text) {
            let read = read.as_ref().map(borrowed).map_err(|garbage| *garbage);
            assert_eq!(read, naive, "{text:?}");
        }
        if let Ok(message) = read {
            let mut buffer = [0; WRITTEN_BYTES_MAX];
            let text = str::from_utf8(written(&message, &mut buffer)).expect("it is ASCII");
            assert_eq!(naive::read(text), Some(Ok(borrowed(&message))), "as naively read");
        }
    });
}

/// What a line says to the naive decoder; `None` where it has no opinion.
pub(super) fn second_reading(line: &str) -> Option<Result<Message<Cow<'_, str>>, Garbage>> {
    naive::read(line)
}

/// Puts the lines together that were sent in pieces; with each comes its text, as it was sent.
fn each_line(input: &[u8], mut read: impl FnMut(&mut [u8], &str)) {
    let Some((&most, bytes)) = input.split_first() else { return };
    let mut lines = Lines::new([0; LINE_BYTES_MAX]);
    // What stands behind the last newline is not over yet.
    let mut whole = bytes.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\n"));
    for mut piece in pieces(bytes, most) {
        while let Some(line) = lines.next(&mut piece) {
            let sent = whole.next().expect("there are as many lines as newlines");
            if let Some((line, text)) = arrives(line, sent) {
                read(line, &text);
            }
        }
        assert!(piece.is_empty(), "bytes are left that belong to no line");
    }
    assert_eq!(whole.next(), None, "a line was lost");
}

/// A line that was put together is the one that was sent, or refused as that must be.
fn arrives<'l, 's>(line: Result<&'l mut [u8], Garbage>, sent: &'s [u8]) -> Option<(&'l mut [u8], Cow<'s, str>)> {
    let expected = naive::text(sent, LINE_BYTES_MAX);
    let arrived = line.as_ref().map(|line| &**line).map_err(|garbage| *garbage);
    assert_eq!(arrived, expected.as_ref().map(|text| text.as_bytes()).map_err(|garbage| *garbage));
    Some((line.ok()?, expected.ok()?))
}

/// It is written as one line of ASCII, of which this is what stands before the newline.
fn written<'b>(message: &Message<&str>, buffer: &'b mut [u8; WRITTEN_BYTES_MAX]) -> &'b mut [u8] {
    let bytes = encode(message, buffer).expect("what was received can be sent").len();
    let line = buffer[..bytes].strip_suffix(b"\n").expect("a line ends");
    assert!(line.iter().all(|byte| matches!(byte, b' '..=b'~')), "{message:?}");
    let end = line.len();
    &mut buffer[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzing::seeds;

    #[test]
    fn every_seed_is_read_and_the_naive_decoder_has_a_say_in_it() {
        for (_, bytes) in seeds::lines() {
            let line = naive::text(bytes.strip_suffix(b"\n").unwrap(), LINE_BYTES_MAX).unwrap();
            assert!(naive::read(&line).is_some(), "{line}");
        }
    }

    /// Every byte of every seed in turn is what JSON is made of.
    #[test]
    fn both_decoders_agree_about_every_seed_with_any_one_byte_changed() {
        for (_, bytes) in seeds::lines() {
            for place in 0..bytes.len() {
                let mut changed = [&[7], &bytes[..]].concat();
                for byte in b"{}[]\",:\\u0-1.e nt\n\r\x00\xFF" {
                    changed[place + 1] = *byte;
                    papi_differential(&changed);
                }
            }
        }
    }

    #[test]
    fn the_naive_decoder_reads_what_it_must() {
        let launch = Message::Launch { presentation_id: Cow::Borrowed("p"), url: Cow::Borrowed("é") };
        assert_eq!(naive::read(r#"{"url":"\u00e9","type":"launch","presentationId":"p"}"#), Some(Ok(launch)));
        assert_eq!(naive::read("  "), Some(Ok(Message::Unknown)));
        assert_eq!(naive::read("null"), Some(Err(Garbage::NotJson)));
        assert_eq!(naive::read(r#"{"type":"launch"}"#), Some(Err(Garbage::Incomplete)));
        assert_eq!(naive::read("{"), None, "what is no JSON it leaves to others");
        assert_eq!(naive::text(b"Ger\xE4t\r", 8), Ok(Cow::Borrowed("Gerät")));
        assert_eq!(naive::text(b"Ger\xE4t", 5), Err(Garbage::TooLong));
    }
}
