//! The end of a ring into which an app puts frames.

use core::fmt;

use super::descriptor::Descriptor;
use super::layout::{Words, slot};
use super::{Record, RingError};
use crate::hal::{Region, RegionMut};
use crate::limits::RING_SLOTS;
use crate::message::playback::RingPlace;

/// What [`Producer::push`] did: the record is in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "a consumer that sleeps is woken by nobody else"]
pub enum Pushed {
    /// The consumer is awake and will find it: no system call is needed.
    Awake,
    /// The consumer sleeps: ring the data bell.
    Asleep,
}

/// Why a record was not put into the ring. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PushError {
    /// Caller: no place or too few bytes are free now. Wait for space ([`Producer::prepare_to_wait`]), or try later.
    Full,
    /// Caller: the payload will never fit.
    TooLarge {
        /// Bytes of the payload.
        bytes: usize,
        /// Bytes that fit.
        max: u32,
    },
    /// Peer: the session server broke the ring's rules. It stays broken: end the session.
    Corrupt(RingError),
}

impl From<RingError> for PushError {
    fn from(error: RingError) -> Self {
        Self::Corrupt(error)
    }
}

impl fmt::Display for PushError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => out.write_str("the ring is full; wait for space"),
            Self::TooLarge { bytes, max } => write!(out, "a frame of {bytes} bytes is larger than its ring ({max})"),
            Self::Corrupt(error) => write!(out, "the session server broke the ring's rules: {error}"),
        }
    }
}

impl core::error::Error for PushError {}

/// Puts records into a ring. `C` is the client's region, which we write; `S` the server's, which is not trusted.
///
/// ```text
/// push() -> Ok(Awake)            go on
///        -> Ok(Asleep)           ring the data bell, go on
///        -> Err(Full)            prepare_to_wait() -> true: block on the space bell, clear it, again
///                                                  -> false: there is room now, again
/// ```
///
/// What is free is known from our own books: the peer's tail only says how many of our records are done, and a tail that
/// goes back or passes our head is an error.
#[derive(Debug)]
pub struct Producer<C, S, const SLOTS: usize = RING_SLOTS> {
    client: C,
    server: S,
    words: Words,
    epoch: u32,
    head: u32,
    /// The last tail of the peer that was found good.
    tail: u32,
    /// Payload bytes ever written, wrapping.
    written: u32,
    /// Payload bytes that the peer is done with, wrapping.
    freed: u32,
    /// What `written` was behind the record in each place.
    ends: [u32; SLOTS],
    /// The byte of the payload ring where the next payload goes.
    start: u32,
    is_waiting: bool,
    broken: Option<RingError>,
}

impl<C: RegionMut, S: Region, const SLOTS: usize> Producer<C, S, SLOTS> {
    /// Opens the ring at `place`, in epoch 0, after the session server has opened its end. The ring is empty and starts
    /// where the head word in the client's region says, so that nothing has to be set back between two sources.
    pub fn new(client: C, server: S, place: &RingPlace) -> Result<Self, RingError> {
        let words = Words::locate::<SLOTS>(place, &client, &server)?;
        if server.load(words.slots)? as usize != SLOTS {
            return Err(RingError::OtherLayout);
        }
        let head = client.load(words.head)?;
        if server.load(words.tail)? != head {
            return Err(RingError::NotAtStart);
        }
        client.store(words.waiting, 0)?;
        Ok(Self {
            client,
            server,
            words,
            epoch: 0,
            head,
            tail: head,
            written: 0,
            freed: 0,
            ends: [0; SLOTS],
            start: 0,
            is_waiting: false,
            broken: None,
        })
    }

    /// Puts a record into the ring, behind those that are there.
    pub fn push(&mut self, record: &Record<'_>) -> Result<Pushed, PushError> {
        self.broken.map_or(Ok(()), Err)?;
        let bytes = self.fitting(record.payload)?;
        if !self.has_room(bytes) {
            self.look_at_tail()?;
        }
        if !self.has_room(bytes) {
            return Err(PushError::Full);
        }
        self.write(record, bytes)?;
        self.close_books(bytes);
        Ok(self.publish()?)
    }

    /// Announces that this side will wait until a payload of so many bytes fits. False: do not wait, it fits now.
    pub fn prepare_to_wait(&mut self, bytes: u32) -> Result<bool, RingError> {
        self.set_waiting(true)?;
        // The flag must be seen before the tail is read, see the module's "Sleep and wake".
        self.client.fence();
        self.look_at_tail()?;
        if self.has_room(bytes) {
            self.set_waiting(false)?;
        }
        Ok(self.is_waiting)
    }

    /// Bytes of the largest payload that fits now; 0 also where no more records fit.
    pub fn room_bytes(&mut self) -> Result<u32, RingError> {
        self.look_at_tail()?;
        let in_ring = self.head.wrapping_sub(self.tail) as usize;
        let used_bytes = self.written.wrapping_sub(self.freed);
        Ok(if in_ring < SLOTS { self.words.payload_bytes.saturating_sub(used_bytes) } else { 0 })
    }

    /// Records from now on belong to this epoch (a flush). What is in the ring stays until the consumer drops it.
    pub fn set_epoch(&mut self, epoch: u32) {
        self.epoch = epoch;
    }

    /// The epoch that records carry now.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The largest payload that can ever fit, in bytes.
    pub fn payload_bytes_max(&self) -> u32 {
        self.words.payload_bytes
    }

    /// Whether the consumer is done with everything that was pushed.
    pub fn is_drained(&mut self) -> Result<bool, RingError> {
        self.look_at_tail()?;
        Ok(self.tail == self.head)
    }

    fn fitting(&self, payload: &[u8]) -> Result<u32, PushError> {
        let max = self.words.payload_bytes;
        let bytes = u32::try_from(payload.len()).ok().filter(|&bytes| bytes <= max);
        bytes.ok_or(PushError::TooLarge { bytes: payload.len(), max })
    }

    fn has_room(&self, bytes: u32) -> bool {
        let in_ring = self.head.wrapping_sub(self.tail) as usize;
        let used_bytes = self.written.wrapping_sub(self.freed);
        in_ring < SLOTS && bytes <= self.words.payload_bytes.saturating_sub(used_bytes)
    }

    /// Takes over the peer's tail, if it can be true: it lies between the last one and our head.
    fn look_at_tail(&mut self) -> Result<(), RingError> {
        self.broken.map_or(Ok(()), Err)?;
        let tail = self.server.load(self.words.tail)?;
        self.check_tail(tail).inspect_err(|&error| self.broken = Some(error))?;
        if tail != self.tail {
            self.freed = self.ends.get(slot::<SLOTS>(tail.wrapping_sub(1))).copied().unwrap_or(self.freed);
            self.tail = tail;
        }
        Ok(())
    }

    fn check_tail(&self, tail: u32) -> Result<(), RingError> {
        let (in_ring, at_most) = (self.head.wrapping_sub(tail), self.head.wrapping_sub(self.tail));
        match in_ring {
            _ if planted!("server_tail_believed") || in_ring <= at_most => Ok(()),
            _ if in_ring as usize <= SLOTS => Err(RingError::CursorWentBack),
            _ => Err(RingError::CursorBeyondCapacity),
        }
    }

    /// The descriptor first: its cache line is on its way here from the consumer's processor while the payload is copied.
    fn write(&self, record: &Record<'_>, bytes: u32) -> Result<(), RingError> {
        let descriptor = Descriptor::new(record, self.epoch, self.start, bytes);
        self.client.write(self.words.descriptor::<SLOTS>(self.head), &descriptor.encode().0)?;
        let (first, first_bytes, second) = self.words.stretches(self.start, record.payload.len());
        let (before_end, after_end) = record.payload.split_at_checked(first_bytes).unwrap_or((record.payload, &[]));
        self.client.write(first, before_end)?;
        if !after_end.is_empty() {
            self.client.write(second, after_end)?;
        }
        Ok(())
    }

    fn close_books(&mut self, bytes: u32) {
        self.written = self.written.wrapping_add(bytes);
        if let Some(end) = self.ends.get_mut(slot::<SLOTS>(self.head)) {
            *end = self.written;
        }
        // Both are at most the ring's bytes, which may be nearly 2^32: their sum would need a bit more.
        let until_end = self.words.payload_bytes.saturating_sub(self.start);
        self.start = match bytes.checked_sub(until_end) {
            Some(over) => over,
            None => self.start.wrapping_add(bytes),
        };
        self.head = self.head.wrapping_add(1);
    }

    /// Shows the record to the consumer. The store releases: who sees the head sees the record.
    fn publish(&mut self) -> Result<Pushed, RingError> {
        self.set_waiting(false)?;
        self.client.store(self.words.head, self.head)?;
        // The head must be seen before the flag is read, see the module's "Sleep and wake".
        self.client.fence();
        let sleeping = self.server.load(self.words.sleeping)?;
        Ok(if planted!("lost_wakeup", 0, sleeping) == 0 { Pushed::Awake } else { Pushed::Asleep })
    }

    fn set_waiting(&mut self, is_waiting: bool) -> Result<(), RingError> {
        if self.is_waiting != is_waiting {
            self.client.store(self.words.waiting, u32::from(is_waiting))?;
            self.is_waiting = is_waiting;
        }
        Ok(())
    }
}
