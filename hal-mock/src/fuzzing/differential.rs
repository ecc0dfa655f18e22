//! The codec against a second decoder and encoder that know nothing of it.

use greenroom_core::codec::postcard::{decode, decode_first, encode, encode_first};
use greenroom_core::limits::MESSAGE_BYTES_MAX;
use greenroom_core::message::{audio, control, keys, link, playback, presentation};

use super::naive::{self, Shape};
use super::protocol::{self as shape, presentation as presented};
use super::value::Value;

/// Both refuse the bytes, or both read the same message; and then both write the same bytes for it, out of which both
/// read it again.
macro_rules! agree {
    ($bytes:ident as $message:ty, $shape:expr) => {{
        let naive = naive::read(&$shape, $bytes);
        let read = decode::<$message>($bytes);
        assert_eq!(read.as_ref().ok().map(Value::of), naive, "of {:02X?}", $bytes);
        if let (Ok(message), Some(naive)) = (read, naive) {
            let mut buffer = [0; MESSAGE_BYTES_MAX];
            let written = encode(&message, &mut buffer).expect("what was received can be sent");
            assert_eq!(written, naively_written(&$shape, &naive), "{message:?}");
            assert_eq!(decode::<$message>(written).as_ref(), Ok(&message));
            assert_eq!(naive::read(&$shape, written), Some(naive));
        }
    }};
}

/// The same for the first message of a connection.
macro_rules! agree_first {
    ($bytes:ident as $message:ty, $shape:expr) => {{
        let naive = naive::read_first(&$shape, $bytes);
        let read = decode_first::<$message>($bytes).ok();
        let told = read.as_ref().map(|(version, message)| (*version, Value::of(message)));
        assert_eq!(told, naive, "of {:02X?}", $bytes);
        if let Some((_, message)) = read {
            let mut buffer = [0; MESSAGE_BYTES_MAX];
            let written = encode_first(&message, &mut buffer).expect("what was received can be sent");
            assert_eq!(naive::read_first(&$shape, written), naive);
        }
    }};
}

fn naively_written(shape: &Shape, value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    naive::write(shape, value, &mut bytes);
    bytes
}

/// Has both read the bytes after the first one, which says as what.
///
/// # Panics
///
/// When the two do not agree.
pub fn second_opinion(input: &[u8]) {
    let Some((&kind, bytes)) = input.split_first() else { return };
    if bytes.len() > MESSAGE_BYTES_MAX {
        return;
    }
    match kind {
        0 => agree!(bytes as control::Request<'_>, shape::CONTROL_REQUEST),
        1 => agree!(bytes as control::Message, shape::CONTROL_MESSAGE),
        2 => agree!(bytes as link::Request<'_>, shape::LINK_REQUEST),
        3 => agree!(bytes as link::Message, shape::LINK_MESSAGE),
        4 => agree!(bytes as playback::Request<'_>, shape::PLAYBACK_REQUEST),
        5 => agree!(bytes as playback::Message<'_>, shape::PLAYBACK_MESSAGE),
        6 => agree!(bytes as audio::Command, shape::AUDIO_COMMAND),
        7 => agree!(bytes as audio::Answer, shape::AUDIO_ANSWER),
        8 => agree!(bytes as audio::Event, shape::AUDIO_EVENT),
        9 => agree!(bytes as keys::Command<'_>, shape::KEYS_COMMAND),
        10 => agree!(bytes as keys::Answer, shape::KEYS_ANSWER),
        11 => agree!(bytes as keys::Notice<'_>, shape::KEYS_NOTICE),
        12 => agree!(bytes as keys::Event, shape::KEYS_EVENT),
        13 => agree_first!(bytes as control::Request<'_>, shape::CONTROL_REQUEST),
        14 => agree_first!(bytes as link::Message, shape::LINK_MESSAGE),
        15 => agree_first!(bytes as playback::Request<'_>, shape::PLAYBACK_REQUEST),
        16 => agree!(bytes as presentation::Request<'_>, presented::PRESENTATION_REQUEST),
        17 => agree!(bytes as presentation::Message<'_>, presented::PRESENTATION_MESSAGE),
        18 => agree_first!(bytes as presentation::Request<'_>, presented::PRESENTATION_REQUEST),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzing::seeds;

    fn with_kind(kind: u8, bytes: &[u8]) -> Vec<u8> {
        [&[kind], bytes].concat()
    }

    #[test]
    fn both_decoders_agree_about_every_seed_read_as_anything() {
        for (_, _, bytes) in seeds::messages() {
            (0..19).for_each(|kind| second_opinion(&with_kind(kind, &bytes)));
        }
    }

    /// Every byte of every seed in turn has every value: what is cut, too long, unknown or out of range is refused by both.
    #[test]
    fn both_decoders_agree_about_every_seed_with_any_one_byte_changed() {
        for (kind, bytes) in seeds::differential_kinds() {
            for place in 0..bytes.len().min(64) {
                let mut changed = with_kind(kind, &bytes);
                for byte in 0..=u8::MAX {
                    changed[place + 1] = byte;
                    second_opinion(&changed);
                }
                second_opinion(&changed[..=place]);
            }
        }
    }

    #[test]
    fn a_message_is_read_with_the_names_of_its_parts() {
        let read = naive::read(&shape::LINK_MESSAGE, &[1, 4, 1, 5, 9]).expect("an end");
        let reason = Value::Some(Box::new(Value::Variant("Killed", Box::new(Value::Number(9)))));
        let state = Value::Variant("Error", Box::new(Value::Unit));
        let fields = Value::Fields(vec![("state", state), ("reason", reason)]);
        assert_eq!(read, Value::Variant("StateChanged", Box::new(fields)));
        assert_eq!(naive::read(&shape::LINK_MESSAGE, &[1, 4, 1, 5, 9, 0]), None, "nothing follows a message");
    }
}
