//! The shared memory of a session server: one slot for each playback session that the app may have.

use crate::hal::{Descriptors, Error, ErrorKind, SharedMemory};
use crate::limits::SESSIONS_MAX;
use crate::message::playback::MediaKind;
use crate::ring::{Consumer, RingSource, SlotLayout};

use super::Frames;

const LAYOUT: SlotLayout = SlotLayout::STANDARD;

/// Two regions, ours and the client's, and the bells that the client has not got yet.
struct Slot<M: SharedMemory> {
    client: (M::PeerRegion, M::Descriptor),
    server: (M::OwnRegion, M::Descriptor),
    bells: Descriptors<M::Descriptor>,
}

pub(super) struct Slots<M: SharedMemory> {
    slots: [Option<Slot<M>>; SESSIONS_MAX],
}

impl<M> Slots<M>
where
    M: SharedMemory<PeerRegion: Clone, OwnRegion: Clone>,
{
    pub(super) const fn new() -> Self {
        Self { slots: [const { None }; SESSIONS_MAX] }
    }

    /// Makes the first `count` slots, or none.
    pub(super) fn allocate(&mut self, memory: &mut M, count: u8) -> Result<(), ErrorKind> {
        for slot in 0..count {
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
        clear(memory, place);
        let made = memory.create(LAYOUT.client_bytes(), LAYOUT.server_bytes());
        let (client, server) = made.map_err(|error| error.kind())?;
        *place = Some(Slot { client, server, bells: Descriptors::new() });
        Ok(())
    }

    pub(super) fn free(&mut self, memory: &mut M) {
        self.slots.iter_mut().for_each(|place| clear(memory, place));
    }

    /// What a client gets of its slot: the region that it writes, then the one that we write (SM-23).
    pub(super) fn descriptors(&self, memory: &mut M, slot: u8) -> Result<Descriptors<M::Descriptor>, ErrorKind> {
        let slot = self.slots.get(usize::from(slot)).and_then(Option::as_ref).ok_or(ErrorKind::NotFound)?;
        let both = [&slot.client.1, &slot.server.1];
        both.into_iter().map(|region| memory.duplicate(region).map_err(|error| error.kind())).collect()
    }

    /// A source that takes frames out of one of a slot's rings. Its bells for the client are kept until they are sent.
    pub(super) fn frames(&mut self, memory: &mut M, slot: u8, kind: MediaKind) -> Result<Frames<M>, ErrorKind> {
        let slot = self.slots.get_mut(usize::from(slot)).and_then(Option::as_mut).ok_or(ErrorKind::NotFound)?;
        let ring = LAYOUT.ring(kind);
        memory.populate(&slot.client.1, ring.payload_offset, ring.payload_bytes).map_err(|error| error.kind())?;
        let (data, data_of_client) = memory.doorbell().map_err(|error| error.kind())?;
        let (space, space_of_client) = memory.doorbell().map_err(|error| error.kind())?;
        // The places are our own, so they lie within the regions.
        let consumer =
            Consumer::new(slot.client.0.clone(), slot.server.0.clone(), &ring).map_err(|_| ErrorKind::Other)?;
        slot.bells = [data_of_client, space_of_client].into_iter().collect();
        Ok(RingSource::new(consumer, data, space))
    }

    /// The client's ends of the bells of the source that was made last.
    pub(super) fn take_bells(&mut self, slot: u8) -> Descriptors<M::Descriptor> {
        let slot = self.slots.get_mut(usize::from(slot)).and_then(Option::as_mut);
        slot.map_or_else(Descriptors::new, |slot| core::mem::take(&mut slot.bells))
    }
}

fn clear<M: SharedMemory>(memory: &mut M, place: &mut Option<Slot<M>>) {
    if let Some(slot) = place.take() {
        memory.give_back(&slot.client.1, LAYOUT.client_bytes());
    }
}
