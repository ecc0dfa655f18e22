//! The end of a ring out of which a session server takes frames.

use core::cmp::Ordering;

use super::descriptor::{Bytes, Descriptor};
use super::layout::Words;
use super::{FrameHeader, RingError};
use crate::hal::{Region, RegionMut};
use crate::limits::RING_SLOTS;
use crate::message::playback::RingPlace;

/// Takes records out of a ring. `C` is the client's region, which is not trusted; `S` the server's, which we write.
///
/// Nothing of the client's region is read twice for one decision: a cursor is loaded and the loaded one checked, a
/// descriptor is copied and the copy checked.
#[derive(Debug)]
pub struct Consumer<C, S, const SLOTS: usize = RING_SLOTS> {
    client: C,
    server: S,
    words: Words,
    epoch: u32,
    /// The last head of the peer that was found good.
    head: u32,
    tail: u32,
    /// The checked copy of the record at the tail.
    front: Option<Descriptor>,
    /// Whether `front` was given out by `next_record`.
    is_given: bool,
    is_sleeping: bool,
    producer_waits: bool,
    stale_records: u32,
    broken: Option<RingError>,
}

impl<C: Region, S: RegionMut, const SLOTS: usize> Consumer<C, S, SLOTS> {
    /// Opens the ring at `place`, in epoch 0, before the client is told of it. The ring starts where the head word in the
    /// client's region says: whatever was in it is forgotten, and any number is a good one.
    pub fn new(client: C, server: S, place: &RingPlace) -> Result<Self, RingError> {
        let words = Words::locate::<SLOTS>(place, &client, &server)?;
        let start = client.load(words.head)?;
        server.store(words.slots, SLOTS as u32)?;
        server.store(words.sleeping, 0)?;
        server.store(words.tail, start)?;
        Ok(Self {
            client,
            server,
            words,
            epoch: 0,
            head: start,
            tail: start,
            front: None,
            is_given: false,
            is_sleeping: false,
            producer_waits: false,
            stale_records: 0,
            broken: None,
        })
    }

    /// The next record of the present epoch, if there is one; older ones are dropped on the way, at most twice as
    /// many as the ring has places. A record of a newer epoch is held back. The same record is given again until it is released.
    pub fn next_record(&mut self) -> Result<Option<FrameHeader>, RingError> {
        let tail = self.tail;
        let sought = self.wake_up().and_then(|()| self.seek());
        if self.tail != tail {
            self.publish();
        }
        self.is_given = sought.inspect_err(|&error| self.broken = Some(error)).unwrap_or(false);
        sought.map(|_| self.given().map(|front| front.header))
    }

    /// The record that was given out and not released yet.
    fn given(&self) -> Option<&Descriptor> {
        self.front.as_ref().filter(|_| self.is_given)
    }

    /// Copies the payload of the record that [`Self::next_record`] gave into `into`, or as much of it as fits.
    pub fn copy_payload(&self, into: &mut [u8]) -> Result<(), RingError> {
        let Some(front) = self.given() else { return Ok(()) };
        let bytes = into.len().min(front.header.bytes as usize);
        let Some(into) = into.get_mut(..bytes) else { return Ok(()) };
        let (first, first_bytes, second) = self.words.stretches(front.start, bytes);
        let Some((before_end, after_end)) = into.split_at_mut_checked(first_bytes) else { return Ok(()) };
        self.client.read(first, before_end)?;
        if !after_end.is_empty() {
            self.client.read(second, after_end)?;
        }
        Ok(())
    }

    /// Is done with the record that [`Self::next_record`] gave: its place is free.
    pub fn release(&mut self) {
        if self.is_given {
            self.step();
            self.publish();
        }
    }

    /// Announces that this side will sleep. False: do not, there is something; look again.
    pub fn prepare_to_sleep(&mut self) -> Result<bool, RingError> {
        self.announce_sleep().inspect_err(|&error| self.broken = Some(error))
    }

    /// Whether the producer waits for a place that was freed since this was last asked: ring the space bell.
    pub fn take_producer_waits(&mut self) -> bool {
        core::mem::take(&mut self.producer_waits)
    }

    /// Frames of this epoch are wanted from now on, older ones are not. Look again: what was held back may be due.
    pub fn set_epoch(&mut self, epoch: u32) {
        self.epoch = epoch;
    }

    /// Records that were dropped because their epoch was over; it stops at the largest number.
    pub fn stale_records(&self) -> u32 {
        self.stale_records
    }

    /// Records that wait, as the producer says: never more than the ring has places. Nothing may depend on it.
    pub fn waiting_records(&self) -> u32 {
        let head = self.client.load(self.words.head).unwrap_or(self.tail);
        head.wrapping_sub(self.tail).min(SLOTS as u32)
    }

    fn announce_sleep(&mut self) -> Result<bool, RingError> {
        self.server.store(self.words.sleeping, 1)?;
        self.is_sleeping = true;
        // The flag must be seen before the head is read, see the module's "Sleep and wake".
        self.server.fence();
        self.look_at_head()?;
        self.look_at_front()?;
        let is_due = self.age_of_front().is_some_and(|age| age != Ordering::Greater);
        if is_due {
            self.wake_up()?;
        }
        Ok(!is_due)
    }

    fn wake_up(&mut self) -> Result<(), RingError> {
        if self.is_sleeping {
            self.server.store(self.words.sleeping, 0)?;
            self.is_sleeping = false;
        }
        Ok(())
    }

    /// Steps over what is stale. The head is looked at when all that is known of is taken, so that its line stays with the
    /// producer while that is ahead; and once, so that a producer that goes on and on cannot hold us here.
    ///
    /// Whether there is a record of the present epoch at the tail.
    fn seek(&mut self) -> Result<bool, RingError> {
        self.broken.map_or(Ok(()), Err)?;
        let mut may_look = true;
        loop {
            if self.tail == self.head && core::mem::take(&mut may_look) {
                self.look_at_head()?;
            }
            self.look_at_front()?;
            match self.age_of_front() {
                Some(Ordering::Less) if planted!("stale_frame_given") => return Ok(true),
                Some(Ordering::Less) => self.drop_stale(),
                Some(Ordering::Equal) => return Ok(true),
                Some(Ordering::Greater) | None => return Ok(false),
            }
        }
    }

    /// Takes over the peer's head, if it can be true: not behind the last one and not too far ahead of our tail. So the
    /// tail can never pass it. The load acquires: who sees the head sees the record.
    fn look_at_head(&mut self) -> Result<(), RingError> {
        self.broken.map_or(Ok(()), Err)?;
        let head = self.client.load(self.words.head)?;
        let claimed = head.wrapping_sub(self.tail);
        if claimed as usize > planted!("ring_bound_off_by_one", SLOTS.saturating_add(1), SLOTS) {
            return Err(RingError::CursorBeyondCapacity);
        }
        if planted!("cursor_goes_back", false, claimed < self.head.wrapping_sub(self.tail)) {
            return Err(RingError::CursorWentBack);
        }
        self.head = head;
        Ok(())
    }

    /// Copies and checks the record at the tail, if there is one, the first time; then only the copy is used.
    fn look_at_front(&mut self) -> Result<(), RingError> {
        if self.front.is_none() && self.tail != self.head {
            let mut copy = Bytes::ZERO;
            let place = self.words.descriptor::<SLOTS>(self.tail);
            self.client.read(place, &mut copy.0)?;
            let checked = Descriptor::decode(&copy, self.words.payload_bytes)?;
            planted!("descriptor_read_twice" => self.client.read(place, &mut copy.0)?);
            self.front = Some(planted!("descriptor_read_twice", Descriptor::decode(&copy, u32::MAX)?, checked));
        }
        Ok(())
    }

    /// How the epoch of the record at the tail compares with the present one. Epochs wrap: half of them lie behind, half
    /// ahead.
    fn age_of_front(&self) -> Option<Ordering> {
        let front = self.front.as_ref()?;
        Some((front.header.epoch.wrapping_sub(self.epoch) as i32).cmp(&0))
    }

    fn drop_stale(&mut self) {
        self.stale_records = self.stale_records.saturating_add(1);
        self.step();
    }

    fn step(&mut self) {
        self.front = None;
        self.is_given = false;
        self.tail = self.tail.wrapping_add(1);
    }

    fn publish(&mut self) {
        if let Err(error) = self.show_tail() {
            self.broken = Some(error);
        }
    }

    /// Gives the places before the tail back. The store releases: our reads of them are done.
    fn show_tail(&mut self) -> Result<(), RingError> {
        self.server.store(self.words.tail, self.tail)?;
        // The tail must be seen before the flag is read, see the module's "Sleep and wake".
        self.server.fence();
        self.producer_waits |= self.client.load(self.words.waiting)? != 0;
        Ok(())
    }
}
