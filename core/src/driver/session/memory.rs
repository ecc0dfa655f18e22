//! The shared memory of a session server: one slot for each playback session that the app may have.

use crate::hal::{Descriptors, Error, ErrorKind, SharedMemory};
use crate::limits::{SESSIONS_MAX, WEB_AUDIO_PLAYERS_MAX};
use crate::message::playback::MediaKind;
use crate::ring::{Consumer, RingSource, SlotLayout};

use super::Frames;
use crate::session::FIRST_PLAYER;

/// Playback slots, then those of web audio players.
const SLOTS: usize = SESSIONS_MAX + WEB_AUDIO_PLAYERS_MAX;

const fn is_player(slot: u8) -> bool {
    slot as u16 >= FIRST_PLAYER
}

const fn layout_of(slot: u8) -> &'static SlotLayout {
    if is_player(slot) { &SlotLayout::WEB_AUDIO } else { &SlotLayout::STANDARD }
}

/// Two regions, ours and the client's, and the descriptors that the client has not got yet.
struct Slot<M: SharedMemory> {
    client: (M::PeerRegion, M::Descriptor),
    server: (M::OwnRegion, M::Descriptor),
    bells: Descriptors<M::Descriptor>,
    /// A client has seen it.
    is_lent: bool,
}

pub(super) struct Slots<M: SharedMemory> {
    slots: [Option<Slot<M>>; SLOTS],
}

impl<M> Slots<M>
where
    M: SharedMemory<PeerRegion: Clone, OwnRegion: Clone>,
{
    pub(super) const fn new() -> Self {
        Self { slots: [const { None }; SLOTS] }
    }

    /// Makes the slots of so many playback sessions and web audio players, or none.
    pub(super) fn allocate(&mut self, memory: &mut M, sessions: u8, players: u8) -> Result<(), ErrorKind> {
        // The machine has checked that a byte numbers all slots.
        let first_player = FIRST_PLAYER as u8;
        for slot in (0..sessions).chain(first_player..first_player.saturating_add(players)) {
            if let Err(kind) = self.make(memory, slot) {
                self.free(memory);
                return Err(kind);
            }
        }
        Ok(())
    }

    /// Makes a slot anew: who saw the old one sees nothing of the new one.
    pub(super) fn make(&mut self, memory: &mut M, slot: u8) -> Result<(), ErrorKind> {
        let place = self.slots.get_mut(usize::from(slot)).ok_or(ErrorKind::Exhausted)?;
        let layout = layout_of(slot);
        clear(memory, slot, place);
        let made = memory.create(layout.client_bytes(), layout.server_bytes());
        let (client, server) = made.map_err(|error| error.kind())?;
        *place = Some(Slot { client, server, bells: Descriptors::new(), is_lent: false });
        Ok(())
    }

    pub(super) fn free(&mut self, memory: &mut M) {
        (0..).zip(&mut self.slots).for_each(|(slot, place)| clear(memory, slot, place));
    }

    /// What a client gets of its slot: the region that it writes, then the one that we write (SM-23).
    pub(super) fn descriptors(&self, memory: &mut M, slot: u8) -> Result<Descriptors<M::Descriptor>, ErrorKind> {
        let slot = self.slots.get(usize::from(slot)).and_then(Option::as_ref).ok_or(ErrorKind::NotFound)?;
        let both = [&slot.client.1, &slot.server.1];
        both.into_iter().map(|region| memory.duplicate(region).map_err(|error| error.kind())).collect()
    }

    /// Makes a slot anew if a client has seen it: a player that has gone may still be mapped there.
    fn renew_lent(&mut self, memory: &mut M, slot: u8) -> Result<(), ErrorKind> {
        if self.slots.get(usize::from(slot)).and_then(Option::as_ref).is_some_and(|place| place.is_lent) {
            self.make(memory, slot)?;
        }
        let place = self.slots.get_mut(usize::from(slot)).and_then(Option::as_mut).ok_or(ErrorKind::NotFound)?;
        place.is_lent = true;
        Ok(())
    }

    /// A source that takes frames out of one of a slot's rings. Its bells for the client are kept until they are sent.
    pub(super) fn frames(&mut self, memory: &mut M, slot: u8, kind: MediaKind) -> Result<Frames<M>, ErrorKind> {
        let ring = layout_of(slot).ring(kind);
        let slot = self.slots.get_mut(usize::from(slot)).and_then(Option::as_mut).ok_or(ErrorKind::NotFound)?;
        memory.populate(&slot.client.1, ring.payload_offset, ring.payload_bytes).map_err(|error| error.kind())?;
        let (data, data_of_client) = memory.doorbell().map_err(|error| error.kind())?;
        let (space, space_of_client) = memory.doorbell().map_err(|error| error.kind())?;
        // The places are our own, so they lie within the regions.
        let consumer =
            Consumer::new(slot.client.0.clone(), slot.server.0.clone(), &ring).map_err(|_| ErrorKind::Other)?;
        slot.bells = [data_of_client, space_of_client].into_iter().collect();
        Ok(RingSource::new(consumer, data, space))
    }

    /// The source of a web audio player, whose client gets all at once: the regions and the bells. Here is all that can
    /// fail of it.
    pub(super) fn player_frames(&mut self, memory: &mut M, slot: u8) -> Result<Frames<M>, ErrorKind> {
        self.renew_lent(memory, slot)?;
        let frames = self.frames(memory, slot, MediaKind::Audio)?;
        let regions = self.descriptors(memory, slot)?;
        if let Some(place) = self.slots.get_mut(usize::from(slot)).and_then(Option::as_mut) {
            let bells = core::mem::take(&mut place.bells);
            place.bells = regions.into_iter().chain(bells).collect();
        }
        Ok(frames)
    }

    /// The client's ends of the bells of the source that was made last; of a web audio player behind its regions.
    pub(super) fn take_bells(&mut self, slot: u8) -> Descriptors<M::Descriptor> {
        let slot = self.slots.get_mut(usize::from(slot)).and_then(Option::as_mut);
        slot.map_or_else(Descriptors::new, |slot| core::mem::take(&mut slot.bells))
    }
}

fn clear<M: SharedMemory>(memory: &mut M, slot: u8, place: &mut Option<Slot<M>>) {
    if let Some(old) = place.take() {
        memory.give_back(&old.client.1, layout_of(slot).client_bytes());
    }
}
