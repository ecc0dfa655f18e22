//! What a ring does, and what it refuses.

use core::cell::{Cell, RefCell};
use core::convert::Infallible;
use core::fmt;

use std::rc::Rc;
use std::vec::Vec;

use super::*;
use crate::hal::{self, Doorbell, ErrorKind, OutOfRegion, Region, RegionMut};
use crate::message::playback::{MediaKind, RingPlace};

const SLOTS: usize = 4;
const PAYLOAD_BYTES: u32 = 100;
const HEAD: u32 = 0;
const WAITING: u32 = LINE_BYTES;
const FIRST_DESCRIPTOR: u32 = 2 * LINE_BYTES;
const TAIL: u32 = 0;
const SLEEPING: u32 = LINE_BYTES;
const NUMBER_OF_PLACES: u32 = 2 * LINE_BYTES;

const PLACE: RingPlace = RingPlace {
    client_offset: 0,
    server_offset: 0,
    payload_offset: client_block_bytes(SLOTS),
    payload_bytes: PAYLOAD_BYTES,
};

/// Memory that both sides hold, and that notes which stretches were read.
#[derive(Clone, Debug)]
struct Memory {
    bytes: Rc<RefCell<Vec<u8>>>,
    reads: Rc<RefCell<Vec<(u32, usize)>>>,
}

impl Memory {
    fn new(bytes: u32) -> Self {
        Self { bytes: Rc::new(RefCell::new(std::vec![0; bytes as usize])), reads: Rc::default() }
    }

    fn range(&self, offset: u32, bytes: usize) -> Result<core::ops::Range<usize>, OutOfRegion> {
        let end = offset as usize + bytes;
        if end > self.bytes.borrow().len() { Err(OutOfRegion) } else { Ok(offset as usize..end) }
    }

    fn word(&self, offset: u32) -> u32 {
        self.load(offset).unwrap()
    }

    fn set(&self, offset: u32, word: u32) {
        self.store(offset, word).unwrap();
    }
}

impl Region for Memory {
    fn bytes(&self) -> u32 {
        self.bytes.borrow().len() as u32
    }

    fn load(&self, offset: u32) -> Result<u32, OutOfRegion> {
        let range = self.range(offset, 4)?;
        Ok(u32::from_le_bytes(self.bytes.borrow()[range].try_into().unwrap()))
    }

    fn read(&self, offset: u32, into: &mut [u8]) -> Result<(), OutOfRegion> {
        let range = self.range(offset, into.len())?;
        self.reads.borrow_mut().push((offset, into.len()));
        into.copy_from_slice(&self.bytes.borrow()[range]);
        Ok(())
    }

    fn fence(&self) {}
}

impl RegionMut for Memory {
    fn store(&self, offset: u32, word: u32) -> Result<(), OutOfRegion> {
        self.write(offset, &word.to_le_bytes())
    }

    fn write(&self, offset: u32, from: &[u8]) -> Result<(), OutOfRegion> {
        let range = self.range(offset, from.len())?;
        self.bytes.borrow_mut()[range].copy_from_slice(from);
        Ok(())
    }
}

/// Counts how often it was rung.
#[derive(Clone, Debug, Default)]
struct Bell(Rc<Cell<u32>>);

#[derive(Debug)]
struct NoError(Infallible);

impl fmt::Display for NoError {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {}
    }
}

impl hal::Error for NoError {
    fn kind(&self) -> ErrorKind {
        match self.0 {}
    }
}

impl hal::ErrorType for Bell {
    type Error = NoError;
}

impl Doorbell for Bell {
    fn ring(&self) -> Result<(), NoError> {
        self.0.set(self.0.get() + 1);
        Ok(())
    }

    fn clear(&self) -> Result<(), NoError> {
        self.0.set(0);
        Ok(())
    }
}

/// Both regions, both ends and the bell that the app hears.
struct Ring {
    client: Memory,
    server: Memory,
    producer: Producer<Memory, Memory, SLOTS>,
    source: RingSource<Memory, Memory, Bell, SLOTS>,
    space: Bell,
}

fn regions() -> (Memory, Memory) {
    (Memory::new(PLACE.payload_offset + PAYLOAD_BYTES), Memory::new(SERVER_BLOCK_BYTES))
}

fn ring_from(start: u32) -> Ring {
    let (client, server) = regions();
    client.set(HEAD, start);
    let consumer = Consumer::new(client.clone(), server.clone(), &PLACE).unwrap();
    let producer = Producer::new(client.clone(), server.clone(), &PLACE).unwrap();
    let space = Bell::default();
    let source = RingSource::new(consumer, Bell::default(), space.clone());
    Ring { client, server, producer, source, space }
}

fn ring() -> Ring {
    ring_from(0)
}

impl Ring {
    fn push(&mut self, payload: &[u8]) {
        let _ = self.producer.push(&Record::frame(payload)).unwrap();
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let header = self.source.next().unwrap()?;
        let mut payload = std::vec![0; header.bytes as usize];
        self.source.copy_payload(&mut payload).unwrap();
        self.source.release();
        Some(payload)
    }

    /// Takes one record that was pushed honestly, after which `spoil` changed the client's region.
    fn next_after(&mut self, spoil: impl FnOnce(&Memory)) -> Result<Option<FrameHeader>, RingError> {
        self.push(b"frame");
        spoil(&self.client);
        self.source.next()
    }
}

const KINDS: [MediaKind; 3] = [MediaKind::Video, MediaKind::Audio, MediaKind::Text];

/// Field failure 29
#[test]
fn the_rings_of_a_slot_share_no_byte_and_payload_lies_on_pages_of_its_own() {
    let layout = SlotLayout::STANDARD;
    let mut payloads = Vec::new();
    for (number, kind) in (0..).zip(KINDS) {
        let place = layout.ring(kind);
        assert_eq!(place.client_offset, number * client_block_bytes(crate::limits::RING_SLOTS));
        assert_eq!(place.server_offset, number * SERVER_BLOCK_BYTES);
        assert!(place.payload_offset.is_multiple_of(PAGE_BYTES) && place.payload_bytes.is_multiple_of(PAGE_BYTES));
        payloads.push((place.payload_offset, place.payload_offset + place.payload_bytes));
    }
    assert!(payloads[0].0 >= 3 * client_block_bytes(crate::limits::RING_SLOTS));
    assert!(payloads.is_sorted_by(|one, next| one.1 == next.0));
    assert_eq!(payloads[2].1, layout.client_bytes());
    assert!(3 * SERVER_BLOCK_BYTES <= layout.server_bytes());
}

/// Field failure I
#[test]
fn a_layout_that_32_bits_do_not_reach_is_refused() {
    assert_eq!(SlotLayout::new(u32::MAX, 1, 1), None);
    assert_eq!(SlotLayout::new(1 << 31, 1 << 31, 1), None);
    assert_eq!(SlotLayout::new((1 << 31) - PAGE_BYTES, 1 << 31, 1), None);
    assert!(SlotLayout::new(1 << 31, 1, 1).is_some());
}

/// SM-35
#[test]
fn a_place_that_a_hostile_server_made_up_is_refused() {
    let places = [
        RingPlace { payload_bytes: PAYLOAD_BYTES + 1, ..PLACE },
        RingPlace { payload_bytes: 0, ..PLACE },
        RingPlace { payload_bytes: u32::MAX, ..PLACE },
        RingPlace { payload_offset: u32::MAX, ..PLACE },
        RingPlace { payload_offset: PLACE.payload_offset - 1, ..PLACE },
        RingPlace { client_offset: u32::MAX - 63, ..PLACE },
        RingPlace { client_offset: LINE_BYTES, ..PLACE },
        RingPlace { client_offset: 4, ..PLACE },
        RingPlace { server_offset: 4, ..PLACE },
        RingPlace { server_offset: LINE_BYTES, ..PLACE },
        RingPlace { server_offset: u32::MAX, ..PLACE },
    ];
    for place in places {
        let (client, server) = regions();
        let refused = Producer::<_, _, SLOTS>::new(client, server, &place).err();
        assert_eq!(refused, Some(RingError::Outside), "{place:?}");
    }
}

#[test]
fn a_peer_that_was_built_with_another_number_of_places_is_refused() {
    let ring = ring();
    ring.server.set(NUMBER_OF_PLACES, 8);
    let refused = Producer::<_, _, SLOTS>::new(ring.client, ring.server, &PLACE).err();
    assert_eq!(refused, Some(RingError::OtherLayout));
}

#[test]
fn a_producer_that_finds_the_ring_in_use_is_refused() {
    let mut ring = ring();
    ring.push(b"left over");
    let refused = Producer::<_, _, SLOTS>::new(ring.client, ring.server, &PLACE).err();
    assert_eq!(refused, Some(RingError::NotAtStart));
}

#[test]
fn a_new_source_in_the_place_of_an_old_one_sees_nothing_of_it() {
    let mut ring = ring();
    ring.push(b"left over");
    let mut consumer = Consumer::<_, _, SLOTS>::new(ring.client.clone(), ring.server.clone(), &PLACE).unwrap();
    let mut producer = Producer::<_, _, SLOTS>::new(ring.client, ring.server, &PLACE).unwrap();
    assert_eq!(consumer.next_record(), Ok(None));
    assert_eq!(producer.push(&Record::segment(9)), Ok(Pushed::Awake));
    assert_eq!(consumer.next_record().unwrap().unwrap().presentation_ns, Some(9));
}

#[test]
fn every_field_of_a_record_arrives() {
    let times = [None, Some(0), Some(u64::MAX), Some(1 << 32)];
    let kinds = [RecordKind::Frame, RecordKind::EndOfStream, RecordKind::Segment, RecordKind::CodecData];
    let mut ring = ring();
    ring.producer.set_epoch(7);
    ring.source.set_epoch(7);
    for (number, kind) in kinds.into_iter().enumerate() {
        let [presentation_ns, decode_ns, duration_ns] =
            [times[number], times[(number + 1) % 4], times[(number + 2) % 4]];
        let is_key = number % 2 == 0;
        let record = Record { kind, presentation_ns, decode_ns, duration_ns, is_key, payload: b"bytes" };
        assert_eq!(ring.producer.push(&record), Ok(Pushed::Awake));
        let header = FrameHeader { kind, epoch: 7, presentation_ns, decode_ns, duration_ns, is_key, bytes: 5 };
        assert_eq!(ring.source.next(), Ok(Some(header)));
        ring.source.release();
    }
}

/// SM-35
///
/// Field failure M
#[test]
fn the_same_record_is_given_until_it_is_released_and_copied_out_of_the_ring_once() {
    let mut ring = ring();
    ring.push(b"one");
    ring.push(b"two");
    let first = ring.source.next().unwrap();
    assert_eq!(ring.source.next().unwrap(), first);
    assert_eq!(*ring.client.reads.borrow(), [(FIRST_DESCRIPTOR, DESCRIPTOR_BYTES as usize)]);
    assert_eq!((ring.take().unwrap(), ring.take().unwrap(), ring.take()), (b"one".to_vec(), b"two".to_vec(), None));
}

#[test]
fn releasing_what_was_not_given_does_nothing() {
    let mut ring = ring();
    ring.source.release();
    ring.push(b"one");
    ring.source.release();
    assert!(!ring.source.prepare_to_sleep().unwrap());
    ring.source.release();
    assert_eq!(ring.take(), Some(b"one".to_vec()));
}

/// Field failure 30
#[test]
fn a_payload_over_the_end_of_the_ring_is_read_in_two_stretches() {
    let mut ring = ring();
    let payload: Vec<u8> = (0..70).collect();
    for _ in 0..10 {
        ring.push(&payload);
        assert_eq!(ring.take(), Some(payload.clone()));
    }
    let stretches = ring.client.reads.borrow().iter().filter(|(offset, _)| *offset >= PLACE.payload_offset).count();
    assert!(stretches <= 20, "{stretches} reads for 10 payloads");
}

#[test]
fn a_buffer_of_another_length_gets_as_much_as_both_have() {
    let mut ring = ring();
    ring.push(b"frame");
    ring.source.next().unwrap();
    let (mut short, mut long) = ([0; 2], [b'-'; 7]);
    ring.source.copy_payload(&mut short).unwrap();
    ring.source.copy_payload(&mut long).unwrap();
    assert_eq!((&short, &long), (b"fr", b"frame--"));
}

#[test]
fn a_ring_without_a_free_place_is_full_and_the_record_changed_nothing() {
    let mut ring = ring_from(u32::MAX - 1);
    (0..SLOTS).for_each(|_| ring.push(b""));
    let before = ring.client.bytes.borrow().clone();
    assert_eq!(ring.producer.push(&Record::frame(b"")), Err(PushError::Full));
    assert_eq!(*ring.client.bytes.borrow(), before);
    assert_eq!(ring.take(), Some(Vec::new()));
    ring.push(b"");
}

#[test]
fn a_ring_without_enough_free_bytes_is_full_until_they_are_free() {
    let mut ring = ring();
    ring.push(&[1; 60]);
    ring.push(&[2; 30]);
    assert_eq!(ring.producer.push(&Record::frame(&[3; 11])), Err(PushError::Full));
    ring.push(&[4; 10]);
    assert_eq!(ring.take(), Some([1; 60].to_vec()));
    ring.push(&[5; 60]);
    assert_eq!(ring.producer.push(&Record::frame(&[6; 1])), Err(PushError::Full));
    for payload in [[2; 30].as_slice(), &[4; 10], &[5; 60]] {
        assert_eq!(ring.take(), Some(payload.to_vec()));
    }
}

#[test]
fn one_payload_may_fill_the_whole_ring_and_not_a_byte_more() {
    let mut ring = ring();
    for byte in 0..3 {
        ring.push(&[byte; PAYLOAD_BYTES as usize]);
        assert_eq!(ring.take(), Some([byte; PAYLOAD_BYTES as usize].to_vec()));
    }
    let too_large = PushError::TooLarge { bytes: 101, max: 100 };
    assert_eq!(ring.producer.push(&Record::frame(&[0; 101])), Err(too_large));
}

#[test]
fn cursors_go_on_over_the_largest_number() {
    let mut ring = ring_from(u32::MAX - 2);
    for number in 0..20_u8 {
        ring.push(&[number; 33]);
        ring.push(&[number; 0]);
        assert_eq!(ring.take(), Some([number; 33].to_vec()));
        assert_eq!(ring.take(), Some(Vec::new()));
    }
    assert_eq!(ring.client.word(HEAD), 37);
    assert!(ring.producer.is_drained().unwrap());
}

/// Field failure 40
#[test]
fn after_a_flush_older_records_are_dropped_and_counted() {
    let mut ring = ring();
    ring.push(b"old");
    ring.push(b"old");
    ring.source.next().unwrap();
    ring.producer.set_epoch(1);
    ring.push(b"new");
    ring.source.set_epoch(1);
    assert_eq!(ring.take(), Some(b"new".to_vec()));
    assert_eq!(ring.source.stale_records(), 2);
}

#[test]
fn a_record_of_a_later_epoch_is_held_back_until_its_flush_arrives() {
    let mut ring = ring();
    ring.producer.set_epoch(1);
    ring.push(b"early");
    assert_eq!(ring.source.next(), Ok(None));
    assert_eq!(ring.source.prepare_to_sleep(), Ok(true));
    ring.source.set_epoch(1);
    assert_eq!(ring.source.prepare_to_sleep(), Ok(false));
    assert_eq!(ring.take(), Some(b"early".to_vec()));
    assert_eq!(ring.source.stale_records(), 0);
}

#[test]
fn epochs_go_on_over_the_largest_number() {
    let mut ring = ring();
    ring.source.set_epoch(u32::MAX);
    ring.producer.set_epoch(u32::MAX - 1);
    ring.push(b"older");
    ring.producer.set_epoch(0);
    ring.push(b"newer");
    assert_eq!(ring.take(), None);
    assert_eq!(ring.source.stale_records(), 1);
    ring.source.set_epoch(0);
    assert_eq!(ring.take(), Some(b"newer".to_vec()));
}

/// Field failure 34
#[test]
fn a_sleeping_consumer_is_to_be_woken_once_it_said_so_and_not_before() {
    let mut ring = ring();
    assert_eq!(ring.producer.push(&Record::frame(b"")), Ok(Pushed::Awake));
    assert_eq!(ring.source.prepare_to_sleep(), Ok(false), "there is something");
    assert_eq!(ring.producer.push(&Record::frame(b"")), Ok(Pushed::Awake));
    (0..2).for_each(|_| assert!(ring.take().is_some()));
    assert_eq!(ring.source.prepare_to_sleep(), Ok(true));
    assert_eq!(ring.server.word(SLEEPING), 1);
    assert_eq!(ring.producer.push(&Record::frame(b"")), Ok(Pushed::Asleep));
    assert!(ring.take().is_some());
    assert_eq!(ring.producer.push(&Record::frame(b"")), Ok(Pushed::Awake));
}

#[test]
fn a_producer_that_waits_for_space_hears_the_bell_and_one_that_does_not_wait_never() {
    let mut ring = ring();
    ring.push(&[0; 80]);
    assert_eq!(ring.producer.prepare_to_wait(20), Ok(false), "it fits");
    ring.push(&[0; 20]);
    assert!(ring.take().is_some());
    assert_eq!(ring.space.0.get(), 0);
    assert_eq!(ring.producer.prepare_to_wait(81), Ok(true));
    assert_eq!(ring.client.word(WAITING), 1);
    assert!(ring.take().is_some());
    assert_eq!(ring.space.0.get(), 1);
    ring.push(&[0; 81]);
    assert!(ring.take().is_some());
    assert_eq!(ring.space.0.get(), 1);
}

#[test]
fn a_producer_that_waits_is_woken_by_what_a_flush_drops() {
    let mut ring = ring();
    ring.push(&[0; 80]);
    assert_eq!(ring.producer.prepare_to_wait(80), Ok(true));
    ring.source.set_epoch(1);
    assert_eq!(ring.source.next(), Ok(None));
    assert_eq!(ring.space.0.get(), 1);
}

/// SM-35
#[test]
fn a_head_that_claims_more_than_the_ring_holds_is_refused() {
    for head in [SLOTS as u32 + 1, u32::MAX, 1 << 31] {
        let found = ring().next_after(|client| client.set(HEAD, head));
        assert_eq!(found, Err(RingError::CursorBeyondCapacity), "{head}");
    }
}

/// What the consumer knows of is taken before the cursor of the other side is read again, and with it its cache line.
#[test]
fn the_head_is_not_looked_at_while_there_are_records_that_are_known_of() {
    let mut ring = ring();
    (0..2).for_each(|_| ring.push(b"known"));
    ring.source.next().unwrap();
    ring.client.set(HEAD, 1_000);
    (0..2).for_each(|_| assert_eq!(ring.take(), Some(b"known".to_vec())));
    assert_eq!(ring.source.next(), Err(RingError::CursorBeyondCapacity));
}

/// SM-35
#[test]
fn a_head_that_goes_back_is_refused() {
    let mut ring = ring();
    ring.push(b"seen");
    ring.source.next().unwrap();
    ring.client.set(HEAD, 0);
    assert_eq!(ring.source.prepare_to_sleep(), Err(RingError::CursorWentBack));
    assert_eq!(ring.source.next(), Err(RingError::CursorWentBack));
}

/// SM-35
///
/// Field failure 57
#[test]
fn a_descriptor_that_no_honest_producer_writes_is_refused() {
    let [kind, start, bytes] = [0, 12, 16].map(|byte| FIRST_DESCRIPTOR + byte);
    let spoils = [
        (kind, 0, RingError::UnknownKind),
        (kind, 5, RingError::UnknownKind),
        (start, PAYLOAD_BYTES, RingError::PayloadOutside),
        (start, u32::MAX, RingError::PayloadOutside),
        (bytes, PAYLOAD_BYTES + 1, RingError::PayloadOutside),
        (bytes, u32::MAX, RingError::PayloadOutside),
    ];
    for (offset, word, error) in spoils {
        assert_eq!(ring().next_after(|client| client.set(offset, word)), Err(error), "{offset}: {word}");
    }
}

#[test]
fn a_ring_that_was_broken_once_stays_broken() {
    let mut ring = ring();
    ring.push(b"frame");
    ring.client.set(HEAD, 1_000);
    assert_eq!(ring.source.next(), Err(RingError::CursorBeyondCapacity));
    ring.client.set(HEAD, 1);
    assert_eq!(ring.source.next(), Err(RingError::CursorBeyondCapacity));
    assert_eq!(ring.source.prepare_to_sleep(), Err(RingError::CursorBeyondCapacity));
}

#[test]
fn a_servers_tail_that_cannot_be_true_breaks_the_producer_for_good() {
    for (tail, error) in [(5, RingError::CursorBeyondCapacity), (1, RingError::CursorWentBack)] {
        let mut ring = ring();
        (0..SLOTS).for_each(|_| ring.push(b""));
        (0..2).for_each(|_| assert!(ring.take().is_some()));
        assert_eq!(ring.producer.is_drained(), Ok(false));
        ring.server.set(TAIL, tail);
        assert_eq!(ring.producer.is_drained(), Err(error));
        ring.server.set(TAIL, 2);
        assert_eq!(ring.producer.push(&Record::frame(b"")), Err(PushError::Corrupt(error)));
        assert_eq!(ring.producer.prepare_to_wait(0), Err(error));
    }
}
