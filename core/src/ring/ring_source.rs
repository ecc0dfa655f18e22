//! A ring with its bells: what a decoder pulls from.

use super::{Consumer, FrameHeader, FrameSource, RingError};
use crate::hal::{Doorbell, Region, RegionMut};
use crate::limits::RING_SLOTS;

/// Feeds a decoder from a ring. The client rings the data bell and we hear it; we ring the space bell.
///
/// A bell that cannot be rung has been rung so often that it cannot be overheard, or its platform is out of order; in
/// both cases the ring itself stays right, so that is not an error here.
#[derive(Debug)]
pub struct RingSource<C, S, B, const SLOTS: usize = RING_SLOTS> {
    consumer: Consumer<C, S, SLOTS>,
    data: B,
    space: B,
}

impl<C: Region, S: RegionMut, B: Doorbell, const SLOTS: usize> RingSource<C, S, B, SLOTS> {
    /// Joins a ring's consumer with our ends of its two bells.
    pub fn new(consumer: Consumer<C, S, SLOTS>, data: B, space: B) -> Self {
        Self { consumer, data, space }
    }

    fn wake_producer(&mut self) {
        if self.consumer.take_producer_waits() {
            let _ = self.space.ring();
        }
    }
}

impl<C: Region, S: RegionMut, B: Doorbell, const SLOTS: usize> FrameSource for RingSource<C, S, B, SLOTS> {
    type Bell = B;

    fn next(&mut self) -> Result<Option<FrameHeader>, RingError> {
        let found = self.consumer.next_record();
        self.wake_producer();
        found
    }

    fn copy_payload(&mut self, into: &mut [u8]) -> Result<(), RingError> {
        self.consumer.copy_payload(into)
    }

    fn release(&mut self) {
        self.consumer.release();
        self.wake_producer();
    }

    fn prepare_to_sleep(&mut self) -> Result<bool, RingError> {
        self.consumer.prepare_to_sleep()
    }

    fn bell(&self) -> &B {
        &self.data
    }

    fn set_epoch(&mut self, epoch: u32) {
        self.consumer.set_epoch(epoch);
    }

    fn stale_records(&self) -> u32 {
        self.consumer.stale_records()
    }

    fn waiting_records(&self) -> u32 {
        self.consumer.waiting_records()
    }
}
