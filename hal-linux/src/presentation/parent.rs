//! The manager of which this service is the companion (PS-36).

use greenroom_core::hal::{Descriptors, Received, Socket};
use greenroom_core::limits::COMPANION_PROGRESS_INTERVAL;
use greenroom_core::time::Instant;

use crate::socket::SeqPacket;

/// The link to it.
#[derive(Debug)]
pub(super) struct Parent {
    link: SeqPacket,
    due: Instant,
}

impl Parent {
    pub(super) fn new(link: SeqPacket, now: Instant) -> Self {
        Self { link, due: now }
    }

    pub(super) fn link(&self) -> &SeqPacket {
        &self.link
    }

    pub(super) fn next_deadline(&self) -> Instant {
        self.due
    }

    /// The loop has gone round once more. Only the loop says so, so that it proves progress.
    pub(super) fn progressed(&mut self, now: Instant) {
        if now >= self.due {
            // Who does not take it, or has gone, is seen elsewhere.
            let _ = self.link.send(&[1], &[]);
            self.due = now.after(COMPANION_PROGRESS_INTERVAL);
        }
    }

    /// Whether there is none any more: nobody would take this service down.
    pub(super) fn has_gone(&mut self) -> bool {
        !matches!(
            self.link.receive(&mut [0; 1], &mut Descriptors::new()),
            Ok(Received::WouldBlock | Received::Message { .. })
        )
    }
}
