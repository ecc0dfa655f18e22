//! Messages that are late, changed, or said in somebody else's name.

use std::time::Duration;

use greenroom_core::codec::postcard::encode;
use greenroom_core::limits::MESSAGE_BYTES_MAX;
use greenroom_core::message::{ServerState, TargetState, link};

use super::{Later, Weather};
use crate::meddling::Meddling;
use crate::party::Party;
use crate::sim::fault::Fault;
use crate::sim::tv_box::TvBox;
use crate::world::Felt;

impl Weather {
    pub(super) fn strike_message(&mut self, tv: &mut TvBox, fault: Fault) -> Option<Party> {
        let chance = tv.world.random(8);
        if fault == Fault::StaleMessage {
            let states = [ServerState::Inactive, ServerState::Active, ServerState::NotRunning, ServerState::Error];
            let message = match chance {
                0..4 => link::Message::StateChanged { state: states[chance as usize], reason: None },
                4 => link::Message::Listener,
                _ => return self.answer_late(tv),
            };
            return forge(tv, self.server(tv)?, &message);
        }
        let meddling = match fault {
            Fault::WouldBlock => Meddling::Clog,
            Fault::LateMessage => Meddling::Repeat,
            Fault::MissingDescriptors => Meddling::DropDescriptors,
            Fault::WrongDescriptors if chance < 4 => Meddling::SwapDescriptors,
            Fault::WrongDescriptors => Meddling::AddDescriptor,
            _ => Meddling::Garble,
        };
        let party = match (chance, fault) {
            // Only these send descriptors.
            (_, Fault::MissingDescriptors | Fault::WrongDescriptors) | (0..4, _) => {
                let server = &tv.servers[self.server(tv)?];
                tv.book.referee.borrow_mut().forged(server.id());
                server.party()
            }
            (4..6, Fault::WouldBlock | Fault::Garbage) if self.controller(tv).is_some() => {
                tv.controllers[self.controller(tv)?].party
            }
            (6, Fault::Garbage) => return self.rave(tv),
            _ => tv.viewers[self.viewer(tv, |viewer| viewer.client.is_connected())?].client.party,
        };
        tv.world.meddle_next_of(party, meddling);
        self.planned.push((Felt::Message(party, meddling), fault));
        if matches!(meddling, Meddling::Clog | Meddling::Repeat) {
            self.later(tv, 100, 20_000, Later::LetGo);
        }
        Some(party)
    }

    /// An answer of long ago comes while the manager waits for that to another order.
    fn answer_late(&mut self, tv: &mut TvBox) -> Option<Party> {
        let place = self.server(tv)?;
        let process_id = tv.servers[place].id();
        let app = tv.book.referee.borrow().app_of(process_id)?.to_owned();
        let state = match tv.state(&app)? {
            ServerState::Inactive => TargetState::Active,
            ServerState::Active => TargetState::Inactive,
            ServerState::Uninitialized | ServerState::NotRunning | ServerState::Error => return None,
        };
        tv.change(&app, state);
        let until = tv.now().after(Duration::from_millis(100));
        let server = &mut tv.servers[place];
        server.stalled_until = server.stalled_until.max(until);
        self.later(tv, 30, 80, Later::StaleReply(process_id));
        None
    }

    fn rave(&mut self, tv: &mut TvBox) -> Option<Party> {
        let leaves_at = tv.now().after(Duration::from_secs(1));
        let mut guest = self.guest(tv, tv.world.random(2) == 0, leaves_at)?;
        if tv.world.random(2) == 0 {
            guest.greet();
        }
        guest.rave();
        tv.book.struck(Fault::Garbage);
        self.guests.push(guest);
        Some(Party::Nobody)
    }
}

/// Somebody says in a session server's name what it did not say.
pub(super) fn forge(tv: &TvBox, place: usize, message: &link::Message) -> Option<Party> {
    let server = &tv.servers[place];
    let party = server.party();
    tv.book.referee.borrow_mut().forged(server.id());
    let mut buffer = [0; MESSAGE_BYTES_MAX];
    let bytes = encode(message, &mut buffer).ok()?;
    tv.world.act_as(party);
    server.process.open_link().send_anything(bytes, &[]);
    tv.world.act_as(Party::Nobody);
    Some(party)
}
