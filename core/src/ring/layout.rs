//! Where things lie in a slot's two regions.

use super::RingError;
use crate::hal::{OutOfRegion, Region};
use crate::limits::{AUDIO_RING_BYTES, RING_SLOTS, TEXT_RING_BYTES, VIDEO_RING_BYTES, WEB_AUDIO_RING_BYTES};
use crate::message::playback::{MediaKind, RingPlace};

/// Control words lie this far apart, in bytes, so that no two share a cache line.
pub const LINE_BYTES: u32 = 64;
/// Bytes of one descriptor: one cache line.
pub const DESCRIPTOR_BYTES: u32 = 64;
/// Payload starts at a multiple of this, in bytes: the largest page of any Linux, so that payload pages can be given
/// and taken back without a control word on them.
pub const PAGE_BYTES: u32 = 64 * 1024;
/// Bytes of one ring's control words in the server's region.
pub const SERVER_BLOCK_BYTES: u32 = 3 * LINE_BYTES;

/// Bytes of one ring's control words and descriptors in the client's region.
pub const fn client_block_bytes(slots: usize) -> u32 {
    assert!(slots.is_power_of_two() && slots <= 32_768, "a ring has 2, 4, 8, ... 32768 places");
    (slots as u32).saturating_mul(DESCRIPTOR_BYTES).saturating_add(2 * LINE_BYTES)
}

/// How the two regions of a playback slot are divided into one ring for each kind of source.
///
/// The server computes it; a client is told a [`RingPlace`] and checks that against what it mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SlotLayout {
    video: RingPlace,
    audio: RingPlace,
    text: RingPlace,
    client_bytes: u32,
}

impl SlotLayout {
    /// The division by the payload sizes of [`crate::limits`].
    pub const STANDARD: Self = match Self::new(VIDEO_RING_BYTES, AUDIO_RING_BYTES, TEXT_RING_BYTES) {
        Some(layout) => layout,
        None => panic!("the rings of one slot must fit into 4 GiB"),
    };

    /// The slot of a web audio player: one ring, for its sound. Rings of other kinds have no bytes there, and cannot be
    /// opened.
    pub const WEB_AUDIO: Self = match Self::for_audio(WEB_AUDIO_RING_BYTES) {
        Some(layout) => layout,
        None => panic!("a web audio ring must fit into 4 GiB"),
    };

    const fn for_audio(audio_bytes: u32) -> Option<Self> {
        let Some(payload) = client_block_bytes(RING_SLOTS).checked_next_multiple_of(PAGE_BYTES) else { return None };
        let Some((audio, client_bytes)) = place(0, payload, audio_bytes) else { return None };
        let none = RingPlace { payload_bytes: 0, ..audio };
        Some(Self { video: none, audio, text: none, client_bytes })
    }

    /// A division by these payload sizes, in bytes, each rounded up to [`PAGE_BYTES`]. None where 32 bits do not reach.
    pub const fn new(video_bytes: u32, audio_bytes: u32, text_bytes: u32) -> Option<Self> {
        let control_bytes = client_block_bytes(RING_SLOTS).saturating_mul(3);
        let Some(payload) = control_bytes.checked_next_multiple_of(PAGE_BYTES) else { return None };
        let Some((video, payload)) = place(0, payload, video_bytes) else { return None };
        let Some((audio, payload)) = place(1, payload, audio_bytes) else { return None };
        let Some((text, client_bytes)) = place(2, payload, text_bytes) else { return None };
        Some(Self { video, audio, text, client_bytes })
    }

    /// Where the ring of this kind of source lies.
    pub const fn ring(&self, kind: MediaKind) -> RingPlace {
        match kind {
            MediaKind::Video => self.video,
            MediaKind::Audio => self.audio,
            MediaKind::Text => self.text,
        }
    }

    /// Bytes of the region that the client writes.
    pub const fn client_bytes(&self) -> u32 {
        self.client_bytes
    }

    /// Bytes of the region that the server writes.
    pub const fn server_bytes(&self) -> u32 {
        PAGE_BYTES
    }
}

/// The place of the `number`th ring whose payload starts at `payload`, and where the next one's payload can start.
const fn place(number: u32, payload: u32, bytes: u32) -> Option<(RingPlace, u32)> {
    let Some(payload_bytes) = bytes.checked_next_multiple_of(PAGE_BYTES) else { return None };
    let Some(end) = payload.checked_add(payload_bytes) else { return None };
    let ring = RingPlace {
        client_offset: client_block_bytes(RING_SLOTS).saturating_mul(number),
        server_offset: SERVER_BLOCK_BYTES.saturating_mul(number),
        payload_offset: payload,
        payload_bytes,
    };
    Some((ring, end))
}

/// A ring's words, descriptors and payload: offsets that were checked against both regions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words {
    pub(super) head: u32,
    pub(super) waiting: u32,
    descriptors: u32,
    pub(super) tail: u32,
    pub(super) sleeping: u32,
    pub(super) slots: u32,
    payload: u32,
    pub(super) payload_bytes: u32,
}

impl Words {
    /// Checks a place, which may come from a hostile peer, against the two regions.
    pub(super) fn locate<const SLOTS: usize>(
        place: &RingPlace,
        client: &impl Region,
        server: &impl Region,
    ) -> Result<Self, RingError> {
        let control_end = end(place.client_offset, const { client_block_bytes(SLOTS) }, client.bytes())?;
        let payload_end = end(place.payload_offset, place.payload_bytes, client.bytes())?;
        end(place.server_offset, SERVER_BLOCK_BYTES, server.bytes())?;
        let apart = planted!("ring_over_its_words")
            || place.payload_offset >= control_end
            || payload_end <= place.client_offset;
        let aligned = place.client_offset.is_multiple_of(LINE_BYTES) && place.server_offset.is_multiple_of(LINE_BYTES);
        if !apart || !aligned || place.payload_bytes == 0 {
            return Err(RingError::Outside);
        }
        let line = |offset: u32, number: u32| offset.wrapping_add(number.wrapping_mul(LINE_BYTES));
        Ok(Self {
            head: place.client_offset,
            waiting: line(place.client_offset, 1),
            descriptors: line(place.client_offset, 2),
            tail: place.server_offset,
            sleeping: line(place.server_offset, 1),
            slots: line(place.server_offset, 2),
            payload: place.payload_offset,
            payload_bytes: place.payload_bytes,
        })
    }

    /// Where the descriptor of the record at this cursor lies.
    #[inline]
    pub(super) fn descriptor<const SLOTS: usize>(&self, cursor: u32) -> u32 {
        let slot = slot::<SLOTS>(cursor) as u32;
        self.descriptors.wrapping_add(slot.wrapping_mul(DESCRIPTOR_BYTES))
    }

    /// The two stretches of a payload that starts at byte `start` of the payload ring: where the first one lies, how
    /// many of `bytes` it takes, and where the rest lies.
    #[inline]
    pub(super) fn stretches(&self, start: u32, bytes: usize) -> (u32, usize, u32) {
        let until_end = self.payload_bytes.saturating_sub(start) as usize;
        (self.payload.wrapping_add(start), bytes.min(until_end), self.payload)
    }
}

/// Where `bytes` from `offset` on end, if that lies in the region.
fn end(offset: u32, bytes: u32, region_bytes: u32) -> Result<u32, RingError> {
    offset.checked_add(bytes).filter(|&end| end <= region_bytes).ok_or(RingError::Outside)
}

/// The place of the record at this cursor. Cursors wrap at 2^32 and places are a power of two, so the places follow each
/// other over the wrap, too.
#[inline]
pub(super) fn slot<const SLOTS: usize>(cursor: u32) -> usize {
    cursor as usize & SLOTS.saturating_sub(1)
}

impl From<OutOfRegion> for RingError {
    fn from(_: OutOfRegion) -> Self {
        Self::Outside
    }
}
