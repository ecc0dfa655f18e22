//! The memory of a playback slot, in which the shipped and the bare ring have their payload in the same place.

use std::os::fd::OwnedFd;

use greenroom_core::hal::{Descriptors, SharedMemory};
use greenroom_core::message::playback::{MediaKind, RingPlace};
use greenroom_core::ring::SlotLayout;
use greenroom_hal_linux::memory::{LinuxMemory, OwnRegion, PeerRegion, attach_own, attach_peer};

use super::Load;
use crate::Failure;

const LAYOUT: SlotLayout = SlotLayout::STANDARD;

/// A video ring that holds as many bytes as the load has in flight.
pub(super) fn place(load: Load) -> RingPlace {
    RingPlace { payload_bytes: load.ring_bytes(), ..LAYOUT.ring(MediaKind::Video) }
}

/// Both regions as the receiver maps them, and what the sender maps them by.
pub(super) struct Slot {
    pub(super) senders: PeerRegion,
    pub(super) receivers: OwnRegion,
    pub(super) descriptors: [OwnedFd; 2],
}

impl Slot {
    /// Makes a slot with all memory that the load needs.
    pub(super) fn make(load: Load) -> Result<Self, Failure> {
        let ((senders, one), (receivers, other)) = LinuxMemory.create(LAYOUT.client_bytes(), LAYOUT.server_bytes())?;
        let place = place(load);
        LinuxMemory.populate(&one, 0, place.payload_offset + place.payload_bytes)?;
        LinuxMemory.populate(&other, 0, LAYOUT.server_bytes())?;
        Ok(Self { senders, receivers, descriptors: [one, other] })
    }
}

/// Both regions as the sender maps them.
pub(super) fn attach(descriptors: Descriptors<OwnedFd>) -> Result<(OwnRegion, PeerRegion), Failure> {
    let [senders, receivers] = descriptors.into_array().map_err(|_| "two regions were expected")?;
    Ok((attach_senders(&senders)?, attach_peer(receivers, LAYOUT.server_bytes())?))
}

/// The region of frames, mapped by who may write it.
pub(super) fn attach_senders(senders: &OwnedFd) -> Result<OwnRegion, Failure> {
    Ok(attach_own(senders, LAYOUT.client_bytes())?)
}
