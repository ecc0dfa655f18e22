//! Clients that come and go.

use super::{Server, Slot};
use crate::hal::Peer;
use crate::limits::CLIENTS_MAX;
use crate::message::playback::{self, TableName};
use crate::session::client::Client;
use crate::session::phase::Phase;
use crate::session::{ClientId, NotTaken};
use crate::time::Instant;

impl Server {
    pub(super) fn on_client_connected(&mut self, now: Instant, peer: &Peer) -> Result<(), NotTaken> {
        match self.phase {
            Phase::Allocating | Phase::Inactive | Phase::Active | Phase::Deactivating { .. } | Phase::Failed => {}
            Phase::Starting | Phase::Uninitialized | Phase::Binding { .. } | Phase::Leaving(_) | Phase::Gone => {
                return Err(NotTaken::Unexpected);
            }
        }
        let served = self.clients.iter().filter(|(_, client)| client.turned_away.is_none()).count();
        let turned_away = self.why_not(peer, served);
        if turned_away.is_some() && usize::from(self.clients.in_use()) > served {
            return Err(NotTaken::Full);
        }
        let client = self.clients.insert(Client::new(now, turned_away)).map_err(|_| NotTaken::Full)?;
        self.due.admit = Some(client);
        self.link.clients_untold = true;
        Ok(())
    }

    /// Why this peer is not served, if it is not.
    fn why_not(&self, peer: &Peer, served: usize) -> Option<playback::Refusal> {
        if !self.permits(peer) {
            return Some(playback::Refusal::NotPermitted { user_id: peer.user_id });
        }
        let capacity = CLIENTS_MAX as u16;
        let full = playback::Refusal::Full { table: TableName::Clients, capacity, in_use: capacity };
        (served >= CLIENTS_MAX).then_some(full)
    }

    /// Whether this peer may connect, as configured.
    pub fn permits(&self, peer: &Peer) -> bool {
        self.clients_allowed.is_empty() || self.clients_allowed.names(peer)
    }

    /// SM-35: what it had goes, and nothing else.
    pub(super) fn on_client_closed(&mut self, now: Instant, id: ClientId) -> Result<(), NotTaken> {
        let client = self.clients.remove(id).ok_or(NotTaken::Stale)?;
        self.link.clients_untold = true;
        self.end_lease(client.slot);
        self.close_keys(now, |owner| owner == id);
        self.settle(now);
        Ok(())
    }

    /// SM-35: a client that does not get on loses what it holds, and nobody else anything.
    pub(super) fn look_at_clients(&mut self, now: Instant) {
        for index in 0..self.clients.capacity() {
            let Some(id) = self.clients.handle_at(index) else { continue };
            let (holds, check) = (self.holds_anything(id), self.health_check);
            if self.clients.get_mut(id).is_some_and(|client| client.tick(now, holds, check))
                && !planted!("silent_client_kept")
            {
                // It was there just now, and there are as many places as clients.
                let _ = self.on_client_closed(now, id);
                let _ = self.due.evicted.push(id);
            }
        }
    }

    pub(super) fn holds_anything(&self, id: ClientId) -> bool {
        self.clients.get(id).is_some_and(|client| client.slot.is_some())
            || self.sessions.iter().any(|(_, session)| session.owner == id)
            || self.audio.has_any_of(id)
            || self.keys.has_any_of(id)
    }

    pub(in crate::session) fn end_lease(&mut self, slot: Option<u8>) {
        if let Some(place) = slot.and_then(|slot| self.slots.get_mut(usize::from(slot))) {
            *place = planted!("used_memory_lent", Slot::Fresh, Slot::Used);
        }
    }
}
