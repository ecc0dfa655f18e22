//! Every message of every conversation, there and back.

use core::hint::black_box;

use greenroom_core::codec::postcard::{decode, decode_first, encode, encode_first};
use greenroom_core::message::{control, link, playback};
use serde::{Deserialize, Serialize};

pub(crate) fn exercise(bytes: &mut [u8]) {
    there_and_back::<control::Request<'_>>(bytes);
    there_and_back::<control::Message>(bytes);
    there_and_back::<link::Request<'_>>(bytes);
    there_and_back::<link::Message>(bytes);
    there_and_back::<playback::Request<'_>>(bytes);
    there_and_back::<playback::Message>(bytes);
}

fn there_and_back<'b, M: Serialize + Deserialize<'b>>(bytes: &mut [u8]) {
    let mut buffer = [0; 64];
    // Bytes that outlive the call, so that a message may borrow from them.
    let incoming: &'static [u8] = black_box(b"\xC7GR\x01\x01\x07\x01\x04app1\x01\x00");
    if let Ok(message) = decode::<M>(incoming) {
        let _ = black_box(encode(&message, bytes));
    }
    if let Ok((_, message)) = decode_first::<M>(incoming) {
        let _ = black_box(encode_first(&message, &mut buffer));
    }
}
