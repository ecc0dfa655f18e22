//! Every message of every conversation, there and back.

use core::hint::black_box;

use greenroom_core::codec::postcard::{decode, decode_first, encode, encode_first};
use greenroom_core::message::{control, link, playback};
use serde::{Deserialize, Serialize};

pub(crate) fn exercise(incoming: &'static [u8], buffer: &mut [u8]) {
    there_and_back::<control::Request<'_>>(incoming, buffer);
    there_and_back::<control::Message>(incoming, buffer);
    there_and_back::<link::Request<'_>>(incoming, buffer);
    there_and_back::<link::Message>(incoming, buffer);
    there_and_back::<playback::Request<'_>>(incoming, buffer);
    there_and_back::<playback::Message>(incoming, buffer);
}

fn there_and_back<M: Serialize + Deserialize<'static>>(incoming: &'static [u8], buffer: &mut [u8]) {
    if let Ok(message) = decode::<M>(incoming) {
        let _ = black_box(encode(&message, buffer));
    }
    if let Ok((_, message)) = decode_first::<M>(incoming) {
        let _ = black_box(encode_first(&message, buffer));
    }
}
