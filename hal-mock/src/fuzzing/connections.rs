//! Drivers whose peers send what they like: any bytes, any descriptors, at any time.
//!
//! The machines behind the drivers have their own targets; here it is the edge that is looked at: openings, answers, queues
//! that are full, calls of the platform that fail, and whether anything is left at the end.

mod manager;
mod session;

use std::collections::BTreeMap;
use std::rc::Rc;

use arbitrary::{Arbitrary, Result, Unstructured};
use greenroom_core::codec::postcard::{self, encode, encode_first};
use greenroom_core::hal::{Descriptors, Received, Socket};
use greenroom_core::limits::MESSAGE_BYTES_MAX;
pub use manager::manager;
use serde::Serialize;
pub use session::session;

use super::steps::below;
use crate::descriptor::Descriptor;
use crate::socket::{CAPACITY, SeqPacket};

/// Turns until nothing is ready any more, with much to spare.
const TURNS_MAX: usize = 1000;
/// Bytes of a message that is made up: what is longer is for the codecs' targets.
const MADE_UP_BYTES_MAX: u8 = 24;

/// A message out of any bytes, with any descriptors.
#[derive(Clone, Debug)]
struct MadeUp {
    bytes: Vec<u8>,
    descriptors: u8,
    /// Sent as the first of a connection, behind an opening.
    has_opening: bool,
}

impl<'a> Arbitrary<'a> for MadeUp {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        let length = usize::from(below(input, MADE_UP_BYTES_MAX)?);
        let length = length.min(input.len());
        let bytes = input.bytes(length)?.to_vec();
        Ok(Self { bytes, descriptors: below(input, 8)?.saturating_sub(2), has_opening: below(input, 2)? == 1 })
    }
}

/// The end of a connection that is ours: it keeps count of what it asked.
#[derive(Debug)]
struct End {
    socket: SeqPacket,
    has_greeted: bool,
    sequence: u32,
    /// How often each number was asked and not answered.
    asked: BTreeMap<u32, u32>,
    is_closed: bool,
}

impl End {
    fn new(socket: SeqPacket) -> Self {
        Self { socket, has_greeted: false, sequence: 0, asked: BTreeMap::new(), is_closed: false }
    }

    fn send(&mut self, message: &impl Serialize, descriptors: &[&Descriptor]) {
        let mut buffer = [0; 1024];
        let is_first = !std::mem::replace(&mut self.has_greeted, true);
        let bytes = if is_first { encode_first(message, &mut buffer) } else { encode(message, &mut buffer) };
        self.deliver(bytes.expect("it fits"), descriptors);
    }

    fn send_made_up(&mut self, made_up: &MadeUp) {
        let mut bytes = made_up.bytes.clone();
        if made_up.has_opening {
            bytes.splice(0..0, *b"\xC7GR\x01\x01");
        }
        self.has_greeted = true;
        let descriptors: Vec<_> = (0..made_up.descriptors).map(|number| Descriptor::new(Rc::new(number))).collect();
        self.deliver(&bytes, &descriptors.iter().collect::<Vec<_>>());
    }

    /// Which is taken for the first of a connection is the other side's matter, so it may have either number.
    fn deliver(&mut self, bytes: &[u8], descriptors: &[&Descriptor]) {
        for is_first in [true, false] {
            if let Some(sequence) = postcard::sequence(bytes, is_first) {
                *self.asked.entry(sequence).or_default() += 1;
            }
        }
        self.socket.send_anything(bytes, descriptors);
    }

    /// SM-30: what was not asked is not answered, and nothing twice.
    fn is_answered(&mut self, sequence: u32) {
        let asked = self.asked.get_mut(&sequence).filter(|asked| **asked > 0);
        *asked.unwrap_or_else(|| panic!("an answer to {sequence}, which was not asked")) -= 1;
    }

    /// Whether there is anything to hear. Most often there is not, and no buffer is made ready for it.
    fn has_news(&self) -> bool {
        self.socket.waiting() > 0 || self.socket.has_ended()
    }

    /// The next message, if there is one.
    fn receive<'b>(&mut self, buffer: &'b mut [u8; MESSAGE_BYTES_MAX]) -> Option<(&'b [u8], Descriptors<Descriptor>)> {
        let mut descriptors = Descriptors::new();
        match self.socket.receive(buffer, &mut descriptors) {
            Ok(Received::Message { bytes }) => Some((&buffer[..bytes], descriptors)),
            Ok(Received::Closed) => {
                self.is_closed = true;
                None
            }
            Ok(Received::Unusable) => panic!("it sent what cannot be received"),
            Ok(Received::WouldBlock) | Err(_) => None,
        }
    }

    fn listen(&self, does_listen: bool) {
        self.socket.set_capacity(if does_listen { CAPACITY } else { 0 });
    }
}
