//! A ring with nothing in it that is not needed between two processes that trust each other: slots of one size, two
//! cursors, two copies, one region that both write. Payload and the sender's cursor lie where the shipped ring has its own.

use std::os::fd::OwnedFd;

use greenroom_core::hal::{Descriptors, OutOfRegion, Region, RegionMut};
use greenroom_core::message::playback::RingPlace;
use greenroom_core::ring::RingError;
use greenroom_hal_linux::memory::OwnRegion;
use zerocopy::IntoBytes;

use super::sender::{Kind, SenderProcess};
use super::slot::{Slot, attach_senders, place};
use super::{Lane, Load, Page, Receiver, Sender};
use crate::Failure;
use crate::pinning::Pinning;

/// Two cache lines, which some processors fetch as one.
const CURSOR_DISTANCE_BYTES: u32 = 128;

/// What an end knows: its own cursor, and the last one of the other end that it saw.
struct End {
    place: RingPlace,
    load: Load,
    head: u32,
    tail: u32,
    /// Where the slot lies that is this end's next one.
    slot: u32,
}

impl End {
    fn new(load: Load) -> Self {
        let place = place(load);
        Self { slot: place.payload_offset, place, load, head: 0, tail: 0 }
    }

    /// Where the receiver's cursor lies: no cache line is between the two that processors fetch together.
    const fn tail_offset(&self) -> u32 {
        self.place.client_offset + CURSOR_DISTANCE_BYTES
    }

    /// Goes on to the next slot. A division would take as long as a tenth of the copy of a page.
    const fn step(&mut self) {
        self.slot += self.load.frame_bytes;
        if self.slot == self.place.payload_offset + self.place.payload_bytes {
            self.slot = self.place.payload_offset;
        }
    }
}

pub(super) struct BareSender {
    region: OwnRegion,
    end: End,
}

impl BareSender {
    pub(super) fn attach(descriptors: Descriptors<OwnedFd>, load: Load) -> Result<Self, Failure> {
        let [senders, _] = descriptors.into_array().map_err(|_| "two regions were expected")?;
        Ok(Self { region: attach_senders(&senders)?, end: End::new(load) })
    }
}

impl Sender for BareSender {
    fn try_send(&mut self, frame: &[Page]) -> Result<bool, Failure> {
        Ok(self.put(frame.as_bytes()).map_err(RingError::from)?)
    }
}

impl BareSender {
    fn put(&mut self, frame: &[u8]) -> Result<bool, OutOfRegion> {
        let end = &mut self.end;
        if end.head.wrapping_sub(end.tail) == end.load.slots {
            end.tail = self.region.load(end.tail_offset())?;
        }
        if end.head.wrapping_sub(end.tail) == end.load.slots {
            return Ok(false);
        }
        self.region.write(end.slot, frame)?;
        end.step();
        end.head = end.head.wrapping_add(1);
        self.region.store(end.place.client_offset, end.head)?;
        Ok(true)
    }
}

struct BareReceiver {
    region: OwnRegion,
    end: End,
}

impl Receiver for BareReceiver {
    fn try_receive(&mut self, into: &mut [Page]) -> Result<bool, Failure> {
        Ok(self.take(into.as_mut_bytes()).map_err(RingError::from)?)
    }
}

impl BareReceiver {
    fn take(&mut self, into: &mut [u8]) -> Result<bool, OutOfRegion> {
        let end = &mut self.end;
        if end.head == end.tail {
            end.head = self.region.load(end.place.client_offset)?;
        }
        if end.head == end.tail {
            return Ok(false);
        }
        self.region.read(end.slot, into)?;
        end.step();
        end.tail = end.tail.wrapping_add(1);
        self.region.store(end.tail_offset(), end.tail)?;
        Ok(true)
    }
}

pub(super) fn lane(load: Load, pinning: Pinning) -> Result<Lane<SenderProcess, impl Receiver>, Failure> {
    let slot = Slot::make(load)?;
    let receiver = BareReceiver { region: attach_senders(&slot.descriptors[0])?, end: End::new(load) };
    let sender = SenderProcess::start(Kind::Bare, load, pinning, "bare", &slot.descriptors)?;
    Ok(Lane { name: "bare ring", sender, receiver, buffer: load.buffer() })
}
