//! The session servers that wait for an app.

use super::servers::Heard;
use super::{LAST_WORDS_MAX, ManagerDriver, ManagerHost};
use crate::fmt::warning;
use crate::hal::{Descriptors, Error, Ready, Spawn};
use crate::limits::MESSAGES_PER_TURN_MAX;
use crate::manager::{Input, SpareDeed, SpareEvent, SpareHandle};
use crate::message::{TargetState, link};
use crate::table::Handle;
use crate::time::Instant;
use crate::trace::Recorder;

impl<H: ManagerHost, R: Recorder, const APPS: usize> ManagerDriver<H, R, APPS> {
    pub(super) fn serve_spare(&mut self, spare: SpareHandle, deed: SpareDeed) {
        match deed {
            SpareDeed::Spawn => self.spawn_spare(spare),
            SpareDeed::Stop { sequence } => {
                self.ask_spare(spare, sequence, link::Command::SetState(TargetState::NotRunning));
            }
            SpareDeed::Ping { sequence } => self.ask_spare(spare, sequence, link::Command::Ping),
            SpareDeed::CloseLink => self.spares.close_link(&mut self.host, spare),
            SpareDeed::Signal(signal) => self.spares.signal(spare, signal),
        }
    }

    fn ask_spare(&mut self, spare: SpareHandle, sequence: u32, command: link::Command<'_>) {
        self.spares.send(spare, &link::Request { sequence, command }, Descriptors::new());
        self.spares.rewatch(&mut self.host, spare);
    }

    fn spawn_spare(&mut self, spare: SpareHandle) {
        let result = self.host.spawn().spawn().map_err(|error| {
            warning!("a spare session server could not be started: {:?}", error.kind());
            error.kind()
        });
        let result = result.and_then(|(child, socket)| self.spares.insert(&mut self.host, spare, child, socket));
        self.spare_spawned = Some((spare, result));
    }

    pub(super) fn spare_child_ready(&mut self, now: Instant, ready: &Ready) {
        let spare = spare_of(ready);
        let Some((status, child)) = self.spares.try_wait(&mut self.host, spare) else { return };
        self.note_end(None, &child, status);
        let mut messages = 0..LAST_WORDS_MAX;
        while messages.next().is_some() && self.hear_spare(now, spare) {}
        self.spares.bury(&mut self.host, spare);
        self.spares.forget(&mut self.host, spare);
        self.feed(now, Input::Spare { spare, event: SpareEvent::ChildExited(status) });
    }

    pub(super) fn spare_link_ready(&mut self, now: Instant, ready: &Ready) {
        let spare = spare_of(ready);
        if ready.writable {
            self.spares.flush(spare);
            self.spares.rewatch(&mut self.host, spare);
        }
        let mut messages = 0..MESSAGES_PER_TURN_MAX;
        while ready.readable && messages.next().is_some() && self.hear_spare(now, spare) {}
    }

    /// Takes one message of a spare; whether there may be another. A descriptor that it sends is closed: it has no socket.
    fn hear_spare(&mut self, now: Instant, spare: SpareHandle) -> bool {
        let event = match self.spares.receive(spare) {
            Heard::Nothing => return false,
            Heard::Message { message, .. } => SpareEvent::Link(message),
            Heard::Closed => SpareEvent::LinkClosed,
            Heard::Broken => SpareEvent::LinkBroken,
        };
        self.feed(now, Input::Spare { spare, event });
        matches!(event, SpareEvent::Link(_))
    }
}

const fn spare_of(ready: &Ready) -> SpareHandle {
    Handle::from_parts(ready.token.index, ready.token.generation)
}
