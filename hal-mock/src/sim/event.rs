//! What happens in a box, as somebody sees it who stands outside.

use std::fmt;

use greenroom_core::codec::postcard::{decode, decode_first};
use greenroom_core::hal::{DecoderCommand, DecoderEvent, ErrorKind, ExitStatus, Signal};
use greenroom_core::message::{control, link, playback, presentation};
use greenroom_core::time::Instant;
use serde::Deserialize;

use super::fault::Fault;
use crate::party::{Party, Said};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When.
    pub at: Instant,
    /// Who did it.
    pub from: Party,
    /// To whom; the same as `from` where it concerns nobody else.
    pub to: Party,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A message arrived.
    Said {
        /// When it was sent.
        sent_at: Instant,
        /// The message as it was on the wire; [`Event::message`] reads it.
        bytes: Vec<u8>,
        /// How many descriptors came with it.
        descriptors: usize,
    },
    /// A process was started.
    Spawned,
    /// A process could not be started.
    SpawnFailed(ErrorKind),
    /// A process was sent a signal.
    Signalled(Signal),
    /// A process has ended.
    Exited(ExitStatus),
    /// A decoder of a session was told something.
    Ordered {
        /// Which session.
        session: u16,
        /// What.
        command: DecoderCommand<()>,
    },
    /// A decoder of a session is to let go of everything.
    Closed {
        /// Which session.
        session: u16,
    },
    /// A decoder said something.
    Decoded(DecoderEvent),
    /// So many frames went through the rings of a session.
    Frames {
        /// Which session.
        session: u16,
        /// How many.
        count: u32,
    },
    /// Something went wrong, because the world wanted it to.
    Fault(Fault),
    /// What must hold did not.
    Violation(String),
}

impl Event {
    /// The message that arrived, as text; `None` where it is none.
    pub fn message(&self) -> Option<String> {
        let What::Said { bytes, .. } = &self.what else { return None };
        Some(match (self.from, self.to) {
            (Party::Controller(_), _) => read::<control::Request<'_>>(bytes),
            (Party::Manager, Party::Controller(_)) => read::<control::Message>(bytes),
            (Party::Manager, _) => read::<link::Request<'_>>(bytes),
            (Party::Server(_), Party::Manager) => read::<link::Message>(bytes),
            (Party::Server(_), _) => read::<playback::Message<'_>>(bytes),
            (Party::Client { .. }, _) => read::<playback::Request<'_>>(bytes),
            (Party::Presenter { .. }, _) => read::<presentation::Request<'_>>(bytes),
            (Party::Presentation(_), _) => read::<presentation::Message<'_>>(bytes),
            (Party::Nobody | Party::Decoder(_), _) => format!("{} bytes", bytes.len()),
        })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:>10} ms  {} -> {}: ", self.at.as_millis(), self.from, self.to)?;
        match self.message() {
            Some(message) => out.write_str(&message),
            None => write!(out, "{:?}", self.what),
        }
    }
}

fn read<'b, M: Deserialize<'b> + fmt::Debug>(bytes: &'b [u8]) -> String {
    if let Ok((_, message)) = decode_first::<M>(bytes) {
        return format!("{message:?}");
    }
    decode::<M>(bytes).map_or_else(|_| format!("garbage {bytes:x?}"), |message| format!("{message:?}"))
}

impl Said<'_> {
    /// The same, as something that happened now.
    pub(super) fn to_event(self, at: Instant) -> Event {
        let what = What::Said { sent_at: self.sent_at, bytes: self.bytes.to_vec(), descriptors: self.descriptors };
        Event { at, from: self.from, to: self.to, what }
    }
}
