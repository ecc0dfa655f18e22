//! Any bytes, read as the messages of each conversation.

use greenroom_core::codec::postcard::{decode, decode_first, encode, encode_first, sequence};
use greenroom_core::limits::MESSAGE_BYTES_MAX;
use greenroom_core::message::keys::{KEY_STATUS_BYTES, KeyStatuses};
use greenroom_core::message::{audio, control, keys, link, playback, presentation};

/// What is a message comes back as the same message from its own encoding, and that encoding is no longer than the
/// bytes were: a number may be written longer than it needs to be, never shorter.
macro_rules! survives {
    ($bytes:ident, $buffer:ident as $message:ty) => {
        if let Ok(message) = decode::<$message>($bytes) {
            let encoded = encode(&message, &mut $buffer).expect("what was received can be sent");
            assert!(encoded.len() <= $bytes.len(), "{message:?} has become longer");
            assert_eq!(decode::<$message>(encoded).as_ref(), Ok(&message));
        }
    };
}

/// The same for what can be the first message of a connection.
macro_rules! survives_as_first {
    ($bytes:ident, $buffer:ident as $message:ty) => {
        if let Ok((version, message)) = decode_first::<$message>($bytes) {
            let encoded = encode_first(&message, &mut $buffer).expect("what was received can be sent");
            assert!(encoded.len() <= $bytes.len(), "{message:?} has become longer");
            assert_eq!(decode_first::<$message>(encoded), Ok((version, message)));
        }
    };
}

/// Where a request is understood its number is, too, so that it can be refused.
macro_rules! tells_its_number {
    ($bytes:ident as $message:ty) => {
        if let Ok(request) = decode::<$message>($bytes) {
            assert_eq!(sequence($bytes, false), Some(request.sequence));
        }
        if let Ok((_, request)) = decode_first::<$message>($bytes) {
            assert_eq!(sequence($bytes, true), Some(request.sequence));
        }
    };
}

const fn is_too_long(bytes: &[u8]) -> bool {
    bytes.len() > MESSAGE_BYTES_MAX
}

/// The manager and those who ask it.
///
/// # Panics
///
/// When a message is read and does not survive its encoding, as with each conversation below.
pub fn control(bytes: &[u8]) {
    if is_too_long(bytes) {
        return;
    }
    let mut buffer = [0; MESSAGE_BYTES_MAX];
    survives!(bytes, buffer as control::Request<'_>);
    survives_as_first!(bytes, buffer as control::Request<'_>);
    tells_its_number!(bytes as control::Request<'_>);
    survives!(bytes, buffer as control::Message);
}

/// The manager and a session server.
///
/// # Panics
///
/// See [`control()`].
pub fn link(bytes: &[u8]) {
    if is_too_long(bytes) {
        return;
    }
    let mut buffer = [0; MESSAGE_BYTES_MAX];
    survives!(bytes, buffer as link::Request<'_>);
    tells_its_number!(bytes as link::Request<'_>);
    survives!(bytes, buffer as link::Message);
    survives_as_first!(bytes, buffer as link::Message);
}

/// A session server and a client.
///
/// # Panics
///
/// See [`control()`].
pub fn playback(bytes: &[u8]) {
    if is_too_long(bytes) {
        return;
    }
    let mut buffer = [0; MESSAGE_BYTES_MAX];
    survives!(bytes, buffer as playback::Request<'_>);
    survives_as_first!(bytes, buffer as playback::Request<'_>);
    tells_its_number!(bytes as playback::Request<'_>);
    survives!(bytes, buffer as playback::Message<'_>);
}

/// What a session server and a client say about keys, inside their messages.
///
/// # Panics
///
/// See [`control()`]; or when more keys are read out of a notice than it has bytes for.
pub fn keys(bytes: &[u8]) {
    if is_too_long(bytes) {
        return;
    }
    let mut buffer = [0; MESSAGE_BYTES_MAX];
    survives!(bytes, buffer as keys::Command<'_>);
    survives!(bytes, buffer as keys::Answer);
    survives!(bytes, buffer as keys::Notice<'_>);
    survives!(bytes, buffer as keys::Event);
    assert_eq!(KeyStatuses(bytes).iter().count(), bytes.len() / KEY_STATUS_BYTES, "each whole entry is a key");
}

/// What a session server and a client say about web audio, inside their messages.
///
/// # Panics
///
/// See [`control()`]; or when what is said of a form of PCM cannot be.
pub fn audio(bytes: &[u8]) {
    if is_too_long(bytes) {
        return;
    }
    let mut buffer = [0; MESSAGE_BYTES_MAX];
    survives!(bytes, buffer as audio::Command);
    survives!(bytes, buffer as audio::Answer);
    survives!(bytes, buffer as audio::Event);
    if let Ok(audio::Command::Create { format }) = decode(bytes) {
        let device = audio::DeviceInfo::of(&format, 65_536);
        assert!(device.preferred_frames <= device.maximum_frames, "{format:?}: {device:?}");
        assert!(format.frame_bytes() > 0 && format.duration_ns(u64::MAX) > 0, "{format:?}");
        assert_eq!(format.is_supported(), format.is_supported() && format.channels > 0 && format.rate_hz > 0);
    }
}

/// The presentation service and a page, a receiver or a program of the platform.
///
/// # Panics
///
/// See [`control()`].
pub fn presentation(bytes: &[u8]) {
    if is_too_long(bytes) {
        return;
    }
    let mut buffer = [0; MESSAGE_BYTES_MAX];
    survives!(bytes, buffer as presentation::Request<'_>);
    survives_as_first!(bytes, buffer as presentation::Request<'_>);
    tells_its_number!(bytes as presentation::Request<'_>);
    survives!(bytes, buffer as presentation::Message<'_>);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzing::seeds;

    #[test]
    fn every_seed_is_a_message_of_its_conversation() {
        for (target, name, bytes) in seeds::messages() {
            let is_read = match target {
                "control" => {
                    decode::<control::Request<'_>>(&bytes).is_ok()
                        || decode_first::<control::Request<'_>>(&bytes).is_ok()
                        || decode::<control::Message>(&bytes).is_ok()
                }
                "link" => {
                    decode::<link::Request<'_>>(&bytes).is_ok()
                        || decode::<link::Message>(&bytes).is_ok()
                        || decode_first::<link::Message>(&bytes).is_ok()
                }
                "playback" => {
                    decode::<playback::Request<'_>>(&bytes).is_ok()
                        || decode_first::<playback::Request<'_>>(&bytes).is_ok()
                        || decode::<playback::Message<'_>>(&bytes).is_ok()
                }
                "keys" => {
                    decode::<keys::Command<'_>>(&bytes).is_ok()
                        || decode::<keys::Answer>(&bytes).is_ok()
                        || decode::<keys::Notice<'_>>(&bytes).is_ok()
                        || decode::<keys::Event>(&bytes).is_ok()
                }
                "audio" => {
                    decode::<audio::Command>(&bytes).is_ok()
                        || decode::<audio::Answer>(&bytes).is_ok()
                        || decode::<audio::Event>(&bytes).is_ok()
                }
                "presentation" => {
                    decode::<presentation::Request<'_>>(&bytes).is_ok()
                        || decode_first::<presentation::Request<'_>>(&bytes).is_ok()
                        || decode::<presentation::Message<'_>>(&bytes).is_ok()
                }
                other => panic!("no conversation {other}"),
            };
            assert!(is_read, "{target}/{name} is no message");
        }
    }

    #[test]
    fn every_seed_survives_every_reading() {
        for (_, _, bytes) in seeds::messages() {
            for read in [control, link, playback, keys, audio, presentation] {
                read(&bytes);
            }
        }
    }
}
