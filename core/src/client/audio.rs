//! The web audio players that the app has.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use super::NotTaken;
use crate::limits::WEB_AUDIO_PLAYERS_MAX;
use crate::message::audio::{Command, Event, PlayerId};

/// The players of one connection, from the answer that made them to their end.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Players {
    known: Vec<PlayerId, WEB_AUDIO_PLAYERS_MAX>,
    /// Those of whose end the app is to be told.
    ended: Vec<PlayerId, WEB_AUDIO_PLAYERS_MAX>,
}

impl Players {
    pub(super) const fn new() -> Self {
        Self { known: Vec::new(), ended: Vec::new() }
    }

    pub(super) fn knows(&self, player: PlayerId) -> bool {
        self.known.contains(&player)
    }

    pub(super) fn has_any(&self) -> bool {
        !self.known.is_empty()
    }

    /// Whether a call can be about its player.
    pub(super) fn check(&self, command: &Command) -> Result<(), NotTaken> {
        let is_known = command.player().is_none_or(|player| self.knows(player));
        is_known.then_some(()).ok_or(NotTaken::PlayerEnded)
    }

    /// A call goes out: who is destroyed is nobody's from now on.
    pub(super) fn ask(&mut self, command: &Command) {
        if let Command::Destroy { player } = command {
            self.known.retain(|known| known != player);
        }
    }

    /// A new player; false: there cannot be one more, or not this one.
    pub(super) fn add(&mut self, player: PlayerId) -> bool {
        !self.knows(player) && self.known.push(player).is_ok()
    }

    /// Something happened; false: to nobody that is there.
    pub(super) fn hear(&mut self, event: &Event) -> bool {
        let player = event.player();
        let is_known = self.knows(player);
        if matches!(event, Event::Ended { .. }) {
            self.known.retain(|known| *known != player);
        }
        is_known
    }

    /// All end; the app is told.
    pub(super) fn end_all(&mut self) {
        // Both have as many places, and what ended before was told before this.
        let _ = self.ended.extend_from_slice(&self.known);
        self.known.clear();
    }

    pub(super) fn next_ended(&mut self) -> Option<Event> {
        self.ended.pop().map(|player| Event::Ended { player })
    }
}
