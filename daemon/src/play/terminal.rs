//! What keys ask for.

use std::io::Read;
use std::sync::mpsc::Sender;

use super::Happening;

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    PauseOrPlay,
    Back,
    Forward,
    Mute,
    Louder,
    Softer,
    Faster,
    Slower,
    Statistics,
    Quit,
}

/// Tells every key that is pressed, on a thread that ends with the process or its input.
pub(super) fn tell_keys(happenings: Sender<Happening>) {
    std::thread::spawn(move || {
        let mut bytes = [0; 32];
        while let Ok(count @ 1..) = std::io::stdin().read(&mut bytes) {
            for key in keys_of(bytes.get(..count).unwrap_or_default()) {
                if happenings.send(Happening::Key(key)).is_err() {
                    return;
                }
            }
        }
    });
}

fn keys_of(mut bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    while let Some((key, rest)) = first_key(bytes) {
        keys.extend(key);
        bytes = rest;
    }
    keys
}

fn first_key(bytes: &[u8]) -> Option<(Option<Key>, &[u8])> {
    Some(match bytes {
        [] => return None,
        [0x1B, b'[' | b'O', b'C', rest @ ..] => (Some(Key::Forward), rest),
        [0x1B, b'[' | b'O', b'D', rest @ ..] => (Some(Key::Back), rest),
        [0x1B, b'[' | b'O', _, rest @ ..] => (None, rest),
        [b' ', rest @ ..] => (Some(Key::PauseOrPlay), rest),
        [b'q' | b'Q', rest @ ..] => (Some(Key::Quit), rest),
        [b'm' | b'M', rest @ ..] => (Some(Key::Mute), rest),
        [b'+' | b'=', rest @ ..] => (Some(Key::Louder), rest),
        [b'-', rest @ ..] => (Some(Key::Softer), rest),
        [b'>' | b'.', rest @ ..] => (Some(Key::Faster), rest),
        [b'<' | b',', rest @ ..] => (Some(Key::Slower), rest),
        [b's' | b'S', rest @ ..] => (Some(Key::Statistics), rest),
        [_, rest @ ..] => (None, rest),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_typed_fast_are_all_heard() {
        let keys = keys_of(b" \x1b[C\x1b[D\x1bOCm+=-><s\x1b[Axq");
        use Key::{Back, Faster, Forward, Louder, Mute, PauseOrPlay, Quit, Slower, Softer, Statistics};
        let expected =
            [PauseOrPlay, Forward, Back, Forward, Mute, Louder, Louder, Softer, Faster, Slower, Statistics, Quit];
        assert_eq!(keys, expected);
    }

    #[test]
    fn a_key_cut_short_is_no_key() {
        assert_eq!(keys_of(b"\x1b["), []);
        assert_eq!(keys_of(b""), []);
    }
}
