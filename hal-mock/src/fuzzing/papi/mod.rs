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
/// When it matters how they are split; when a line that is JSON is not read as the naive decoder reads it; or when what was
/// read does not survive its encoding.
pub fn papi(input: &[u8]) {
    let Some((&most, bytes)) = input.split_first() else { return };
    let mut lines = Lines::new([0; LINE_BYTES_MAX]);
    // What stands behind the last newline is not over yet.
    let mut whole = bytes.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\n"));
    for mut piece in pieces(bytes, most) {
        while let Some(line) = lines.next(&mut piece) {
            arrives(line, whole.next().expect("there are as many lines as newlines"));
        }
        assert!(piece.is_empty(), "bytes are left that belong to no line");
    }
    assert_eq!(whole.next(), None, "a line was lost");
}

/// A line that was put together is the one that was sent, and says what that says.
fn arrives(line: Result<&mut [u8], Garbage>, sent: &[u8]) {
    let expected = naive::text(sent, LINE_BYTES_MAX);
    let arrived = line.as_ref().map(|line| &**line).map_err(|garbage| *garbage);
    assert_eq!(arrived, expected.as_ref().map(|text| text.as_bytes()).map_err(|garbage| *garbage));
    let (Ok(line), Ok(text)) = (line, expected) else { return };
    let read = decode(line);
    if let Some(naive) = naive::read(&text) {
        let read = read.as_ref().map(borrowed).map_err(|garbage| *garbage);
        assert_eq!(read, naive, "{text:?}");
    }
    if let Ok(message) = read {
        survives(&message);
    }
}

/// It is written as one line of ASCII, out of which both decoders read it again.
fn survives(message: &Message<&str>) {
    let mut buffer = [0; WRITTEN_BYTES_MAX];
    let bytes = encode(message, &mut buffer).expect("what was received can be sent").len();
    let line = buffer[..bytes].strip_suffix(b"\n").expect("a line ends");
    let text = str::from_utf8(line).expect("it is ASCII");
    assert!(line.iter().all(|byte| matches!(byte, b' '..=b'~')), "{message:?}");
    assert_eq!(naive::read(text), Some(Ok(borrowed(message))), "as naively read");
    assert_eq!(decode(&mut buffer[..bytes - 1]).as_ref(), Ok(message));
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
                    papi(&changed);
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
