//! The ring of the core, with the types by which client and decoder use it.

use std::os::fd::OwnedFd;

use greenroom_core::hal::Descriptors;
use greenroom_core::ring::{Consumer, FrameSource, Producer, PushError, Record, RingSource};
use greenroom_hal_linux::memory::{EventFd, OwnRegion, PeerRegion};
use zerocopy::IntoBytes;

use super::sender::{Kind, SenderProcess};
use super::slot::{Slot, attach, place};
use super::{Lane, Load, Page, Receiver, Sender};
use crate::Failure;
use crate::pinning::Pinning;

pub(super) struct ShippedSender(Producer<OwnRegion, PeerRegion>);

impl ShippedSender {
    pub(super) fn attach(descriptors: Descriptors<OwnedFd>, load: Load) -> Result<Self, Failure> {
        let (own, peer) = attach(descriptors)?;
        Ok(Self(Producer::new(own, peer, &place(load))?))
    }
}

impl Sender for ShippedSender {
    fn try_send(&mut self, frame: &[Page]) -> Result<bool, Failure> {
        match self.0.push(&Record::frame(frame.as_bytes())) {
            Ok(_) => Ok(true),
            Err(PushError::Full) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

struct ShippedReceiver(RingSource<PeerRegion, OwnRegion, EventFd>);

impl Receiver for ShippedReceiver {
    fn try_receive(&mut self, into: &mut [Page]) -> Result<bool, Failure> {
        if self.0.next()?.is_none() {
            return Ok(false);
        }
        self.0.copy_payload(into.as_mut_bytes())?;
        self.0.release();
        Ok(true)
    }
}

pub(super) fn lane(load: Load, pinning: Pinning) -> Result<Lane<SenderProcess, impl Receiver>, Failure> {
    let slot = Slot::make(load)?;
    let consumer = Consumer::new(slot.senders, slot.receivers, &place(load))?;
    // Nobody sleeps here, so the bells are never rung.
    let receiver = ShippedReceiver(RingSource::new(consumer, EventFd::new()?, EventFd::new()?));
    let sender = SenderProcess::start(Kind::Shipped, load, pinning, "shipped", &slot.descriptors)?;
    Ok(Lane { name: "shipped ring", sender, receiver, buffer: load.buffer() })
}
