//! Where a decoder gets its frames from.

use core::fmt;

use super::FrameHeader;

/// Peer: what stands in the ring breaks its rules. It stays broken: the session of that client ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RingError {
    /// More records are claimed than the ring has places.
    CursorBeyondCapacity,
    /// A record's payload lies outside the ring.
    PayloadOutside,
    /// A record is of no known kind.
    UnknownKind,
    /// The ring lies outside the shared memory.
    Outside,
    /// A cursor went back.
    CursorWentBack,
    /// The other side counts with another number of places: both must be built with the same `RING_SLOTS`.
    OtherLayout,
    /// The two sides do not start at the same record: the source must be attached anew.
    NotAtStart,
}

impl fmt::Display for RingError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::CursorBeyondCapacity => "more records are claimed than the ring has places",
            Self::PayloadOutside => "a record's payload lies outside the ring",
            Self::UnknownKind => "a record is of no known kind",
            Self::Outside => "the ring lies outside the shared memory",
            Self::CursorWentBack => "a cursor went back",
            Self::OtherLayout => "the two sides are built with different numbers of places (RING_SLOTS)",
            Self::NotAtStart => "the two sides do not start at the same record",
        })
    }
}

impl core::error::Error for RingError {}

/// Gives the frames of one source in their order. It is used by one thread, a streaming thread of the decoder; so that
/// another layout of shared memory can feed the same decoder, this is all that a decoder knows of a ring.
///
/// ```text
/// loop:  next() -> Some(header)   copy_payload(buffer), release()
///        next() -> None           prepare_to_sleep() -> true: block on bell(), then again
///                                                    -> false: something came meanwhile, again
/// ```
pub trait FrameSource {
    /// What wakes a sleeping decoder; a platform's bell.
    type Bell;

    /// The next record of the present epoch, if there is one. Records of older epochs are dropped on the way. The same
    /// record is given again until it is released.
    fn next(&mut self) -> Result<Option<FrameHeader>, RingError>;

    /// Copies the payload of the record that [`Self::next`] gave, or as much of it as `into` has room for.
    fn copy_payload(&mut self, into: &mut [u8]) -> Result<(), RingError>;

    /// Is done with that record: its place is free, and a producer that waits for space is woken.
    fn release(&mut self);

    /// Announces that this side will sleep. False: do not, there is something; look again.
    fn prepare_to_sleep(&mut self) -> Result<bool, RingError>;

    /// The bell to block on, and to clear after it rang.
    fn bell(&self) -> &Self::Bell;

    /// Frames of this epoch are wanted from now on, older ones are not (a flush). Nobody rings for that: who sleeps must be
    /// woken to look again, since what was held back may be due.
    fn set_epoch(&mut self, epoch: u32);

    /// Records that were dropped because their epoch was over.
    fn stale_records(&self) -> u32;

    /// Records that wait now, those of older epochs included: the peer's word, for statistics.
    fn waiting_records(&self) -> u32;
}
