//! What two devices say on a control channel: JSON lines, split anyhow, against a second decoder that is naive.

mod json;
mod naive;

use greenroom_core::codec::papi::{Garbage, Lines, decode, encode};
use greenroom_core::message::papi::Message;

use super::steps::pieces;

/// The longest line that is taken here. The driver takes longer ones.
const LINE_BYTES_MAX: usize = 256;
/// Bytes of a message that was such a line, when everything is escaped that can be.
const WRITTEN_BYTES_MAX: usize = 6 * LINE_BYTES_MAX + 256;

/// What became of a line.
type Read = Result<Message<String>, Garbage>;

fn owned(message: &Message<&str>) -> Message<String> {
    message.clone().map(str::to_owned)
}

/// What comes out of bytes that arrive in these pieces; each message is looked at while it lies in its line.
fn arriving<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, look: impl Fn(&Message<&str>)) -> Vec<Read> {
    let mut lines = Lines::new([0; LINE_BYTES_MAX]);
    let mut all = Vec::new();
    for mut piece in pieces {
        while let Some(line) = lines.next(&mut piece) {
            let read = line.and_then(decode);
            read.iter().for_each(&look);
            all.push(read.as_ref().map(owned).map_err(|garbage| *garbage));
        }
        assert!(piece.is_empty(), "bytes are left that belong to no line");
    }
    all
}

/// The bytes behind the first one, in pieces of at most as many bytes as that says, and all at once.
///
/// # Panics
///
/// When it matters how they are split; when a line that is JSON is not read as the naive decoder reads it; or when what was
/// read does not survive its encoding.
pub fn papi(input: &[u8]) {
    let Some((&most, bytes)) = input.split_first() else { return };
    let whole = arriving([bytes], survives);
    assert_eq!(arriving(pieces(bytes, most), |_| {}), whole, "in pieces of at most {most} bytes");
    let lines: Vec<_> = bytes.split(|byte| *byte == b'\n').collect();
    // What stands behind the last newline is not over yet.
    let (_, lines) = lines.split_last().expect("there is something behind it, if only nothing");
    assert_eq!(lines.len(), whole.len(), "a line for each newline");
    for (line, read) in lines.iter().zip(whole) {
        if let Some(naive) = naive::read(line, LINE_BYTES_MAX) {
            assert_eq!(read, naive, "{:?}", String::from_utf8_lossy(line));
        }
    }
}

/// It is written as one line of ASCII, out of which both decoders read it again.
fn survives(message: &Message<&str>) {
    let mut buffer = [0; WRITTEN_BYTES_MAX];
    let written = encode(message, &mut buffer).expect("what was received can be sent");
    let mut line = written.strip_suffix(b"\n").expect("a line ends").to_vec();
    assert!(line.iter().all(|byte| matches!(byte, b' '..=b'~')), "{message:?}");
    assert_eq!(naive::read(&line, WRITTEN_BYTES_MAX), Some(Ok(owned(message))), "as naively read");
    assert_eq!(decode(&mut line).as_ref(), Ok(message));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzing::seeds;

    #[test]
    fn every_seed_is_read_and_the_naive_decoder_has_a_say_in_it() {
        for (_, bytes) in seeds::lines() {
            let line = bytes.strip_suffix(b"\n").unwrap();
            assert!(naive::read(line, LINE_BYTES_MAX).is_some(), "{}", String::from_utf8_lossy(line));
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
        let read = |line: &str| naive::read(line.as_bytes(), 200);
        let launch = Message::Launch { presentation_id: "p".to_owned(), url: "é".to_owned() };
        assert_eq!(read(r#"{"url":"\u00e9","type":"launch","presentationId":"p"}"#), Some(Ok(launch)));
        assert_eq!(read("  "), Some(Ok(Message::Unknown)));
        assert_eq!(read("null"), Some(Err(Garbage::NotJson)));
        assert_eq!(read(r#"{"type":"launch"}"#), Some(Err(Garbage::Incomplete)));
        assert_eq!(read(&"x".repeat(201)), Some(Err(Garbage::TooLong)));
        assert_eq!(read("{"), None, "what is no JSON it leaves to others");
    }
}
