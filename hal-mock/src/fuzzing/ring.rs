//! Operations on both ends of a ring, against a queue.

use std::collections::VecDeque;

use arbitrary::{Arbitrary, Result, Unstructured};
use greenroom_core::hal::{RegionMut, SharedMemory};
use greenroom_core::message::playback::RingPlace;
use greenroom_core::ring::{
    Consumer, FrameHeader, Producer, PushError, Pushed, Record, RecordKind, SERVER_BLOCK_BYTES, client_block_bytes,
};

use super::steps::{below, one_of, steps};
use crate::memory::{Memory, OwnRegion, PeerRegion};
use crate::world::World;

/// Places of the ring: few, so that it is often full.
pub(super) const SLOTS: usize = 4;
/// Bytes of its payload: no power of two, so that records wrap anywhere.
pub(super) const PAYLOAD_BYTES: u32 = 61;
const CONTROL_BYTES: u32 = client_block_bytes(SLOTS);
/// Where the ring lies.
pub(super) const PLACE: RingPlace =
    RingPlace { client_offset: 0, server_offset: 0, payload_offset: CONTROL_BYTES, payload_bytes: PAYLOAD_BYTES };
/// Bytes of the region that the client writes.
pub(super) const CLIENT_BYTES: u32 = CONTROL_BYTES + PAYLOAD_BYTES;

#[derive(Clone, Copy, Debug)]
enum Operation {
    Push { kind: RecordKind, bytes: u8, is_key: bool, presentation_ns: Option<u64>, duration_ns: Option<u64> },
    Next,
    Copy(u8),
    Release,
    PrepareToSleep,
    PrepareToWait(u8),
    ProducerFlushes(u8),
    ConsumerFlushes(u8),
    AskForRoom,
    TakeProducerWaits,
}

impl<'a> Arbitrary<'a> for Operation {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        use RecordKind::{CodecData, EndOfStream, Frame, Segment};
        Ok(match below(input, 20)? {
            0..6 => Self::Push {
                kind: one_of(input, &[Frame, Frame, Frame, Frame, EndOfStream, Segment, CodecData])?,
                bytes: input.arbitrary()?,
                is_key: below(input, 2)? == 1,
                presentation_ns: below(input, 3)?.checked_sub(1).map(|step| u64::MAX * u64::from(step) / 3),
                duration_ns: below(input, 3)?.checked_sub(1).map(u64::from),
            },
            6..10 => Self::Next,
            10 | 11 => Self::Copy(input.arbitrary()?),
            12..15 => Self::Release,
            15 => Self::PrepareToSleep,
            16 => Self::PrepareToWait(input.arbitrary()?),
            17 => Self::ProducerFlushes(below(input, 3)?),
            18 => Self::ConsumerFlushes(below(input, 3)?),
            _ => match below(input, 2)? {
                0 => Self::AskForRoom,
                _ => Self::TakeProducerWaits,
            },
        })
    }
}

/// The two ends of a ring, and the queue that it must be.
struct Comparison {
    producer: Producer<OwnRegion, PeerRegion, SLOTS>,
    consumer: Consumer<PeerRegion, OwnRegion, SLOTS>,
    queue: VecDeque<(FrameHeader, Vec<u8>)>,
    produced_epoch: u32,
    wanted_epoch: u32,
    /// The record at the front was given out and not released.
    is_given: bool,
    consumer_sleeps: bool,
    producer_waits: bool,
    /// What the consumer has not taken yet: a place was freed while the producer waited.
    is_wake_due: bool,
    stale: u32,
    /// What the next payload begins with, so that no two are alike.
    mark: u8,
}

impl Comparison {
    /// A ring that starts at this record, in this epoch.
    fn new(start: u32, epoch: u32) -> Self {
        let world = World::new(0);
        let (client, server) = Memory::new(&world).create(CLIENT_BYTES, SERVER_BLOCK_BYTES).expect("memory");
        let client_writes = OwnRegion::attach(&client.1, CLIENT_BYTES).expect("the client's own");
        let client_reads = PeerRegion::attach(&server.1, SERVER_BLOCK_BYTES).expect("the server's");
        client_writes.store(PLACE.client_offset, start).expect("a word");
        let mut consumer = Consumer::new(client.0, server.0, &PLACE).expect("a sound place");
        let mut producer = Producer::new(client_writes, client_reads, &PLACE).expect("a sound place");
        consumer.set_epoch(epoch);
        producer.set_epoch(epoch);
        Self {
            producer,
            consumer,
            queue: VecDeque::new(),
            produced_epoch: epoch,
            wanted_epoch: epoch,
            is_given: false,
            consumer_sleeps: false,
            producer_waits: false,
            is_wake_due: false,
            stale: 0,
            mark: 0,
        }
    }

    fn used_bytes(&self) -> u32 {
        self.queue.iter().map(|(header, _)| header.bytes).sum()
    }

    fn fits(&self, bytes: u32) -> bool {
        self.queue.len() < SLOTS && bytes <= PAYLOAD_BYTES - self.used_bytes()
    }

    fn perform(&mut self, operation: Operation) {
        match operation {
            Operation::Push { kind, bytes, is_key, presentation_ns, duration_ns } => {
                self.mark = self.mark.wrapping_add(1);
                let payload: Vec<u8> = (0..bytes % 80).map(|place| place ^ self.mark).collect();
                let times = Record { presentation_ns, duration_ns, is_key, kind, ..Record::frame(&payload) };
                self.push(&times);
            }
            Operation::Next => self.next(),
            Operation::Copy(bytes) => self.copy(bytes.into()),
            Operation::Release => self.release(),
            Operation::PrepareToSleep => self.prepare_to_sleep(),
            Operation::PrepareToWait(bytes) => self.prepare_to_wait(bytes.into()),
            Operation::ProducerFlushes(by) => {
                self.produced_epoch = self.produced_epoch.wrapping_add(by.into());
                self.producer.set_epoch(self.produced_epoch);
            }
            Operation::ConsumerFlushes(by) => {
                self.wanted_epoch = self.wanted_epoch.wrapping_add(by.into());
                self.consumer.set_epoch(self.wanted_epoch);
            }
            Operation::AskForRoom => {
                let room = if self.queue.len() < SLOTS { PAYLOAD_BYTES - self.used_bytes() } else { 0 };
                assert_eq!(self.producer.room_bytes(), Ok(room));
                assert_eq!(self.producer.is_drained(), Ok(self.queue.is_empty()));
            }
            Operation::TakeProducerWaits => {
                assert_eq!(self.consumer.take_producer_waits(), std::mem::take(&mut self.is_wake_due));
            }
        }
    }

    fn push(&mut self, record: &Record<'_>) {
        let pushed = self.producer.push(record);
        if record.payload.len() > PAYLOAD_BYTES as usize {
            let too_large = PushError::TooLarge { bytes: record.payload.len(), max: PAYLOAD_BYTES };
            return assert_eq!(pushed, Err(too_large));
        }
        let bytes = record.payload.len() as u32;
        if !self.fits(bytes) {
            return assert_eq!(pushed, Err(PushError::Full));
        }
        assert_eq!(pushed, Ok(if self.consumer_sleeps { Pushed::Asleep } else { Pushed::Awake }));
        self.producer_waits = false;
        let header = FrameHeader {
            kind: record.kind,
            epoch: self.produced_epoch,
            presentation_ns: record.presentation_ns,
            decode_ns: record.decode_ns,
            duration_ns: record.duration_ns,
            is_key: record.is_key,
            bytes,
        };
        self.queue.push_back((header, record.payload.to_vec()));
    }

    /// How the record at the front stands to the epoch that is wanted: negative is stale.
    fn age_of_front(&self) -> Option<i32> {
        self.queue.front().map(|(header, _)| header.epoch.wrapping_sub(self.wanted_epoch) as i32)
    }

    fn drop_stale(&mut self) {
        while self.age_of_front().is_some_and(|age| age < 0) {
            self.queue.pop_front();
            self.stale += 1;
            self.is_wake_due |= self.producer_waits;
        }
    }

    fn next(&mut self) {
        self.drop_stale();
        self.consumer_sleeps = false;
        let due = self.queue.front().filter(|_| self.age_of_front() == Some(0)).map(|(header, _)| *header);
        assert_eq!(self.consumer.next_record(), Ok(due));
        self.is_given = due.is_some();
    }

    fn copy(&mut self, room: usize) {
        const UNTOUCHED: u8 = 0xEE;
        let mut into = vec![UNTOUCHED; room];
        assert_eq!(self.consumer.copy_payload(&mut into), Ok(()));
        let given = self.queue.front().filter(|_| self.is_given).map_or(&[][..], |(_, payload)| payload);
        let (copied, rest) = into.split_at(room.min(given.len()));
        assert_eq!(copied, &given[..copied.len()]);
        assert!(rest.iter().all(|&byte| byte == UNTOUCHED), "more was copied than the record has");
    }

    fn release(&mut self) {
        self.consumer.release();
        if std::mem::take(&mut self.is_given) {
            self.queue.pop_front();
            self.is_wake_due |= self.producer_waits;
        }
    }

    fn prepare_to_sleep(&mut self) {
        let is_due = self.age_of_front().is_some_and(|age| age <= 0);
        assert_eq!(self.consumer.prepare_to_sleep(), Ok(!is_due), "it may sleep only where nothing is due");
        self.consumer_sleeps = !is_due;
    }

    fn prepare_to_wait(&mut self, bytes: u32) {
        let fits = self.fits(bytes);
        assert_eq!(self.producer.prepare_to_wait(bytes), Ok(!fits), "it may wait only where there is no room");
        self.producer_waits = !fits;
    }

    fn check(&self) {
        assert_eq!(self.consumer.waiting_records() as usize, self.queue.len());
        assert_eq!(self.consumer.stale_records(), self.stale);
    }
}

/// Has a producer and a consumer work on one ring and compares it after each operation with a queue.
///
/// # Panics
///
/// When a record comes out other than it went in, when one is lost, or when one end may sleep and nobody will wake it.
pub fn ring(bytes: &[u8]) {
    let Some((&[start, epoch], bytes)) = bytes.split_first_chunk::<2>() else { return };
    // Cursors and epochs wrap.
    let near_the_end = |from: u8| u32::from(from).wrapping_sub(8);
    let mut comparison = Comparison::new(near_the_end(start), near_the_end(epoch));
    for operation in steps(bytes) {
        comparison.perform(operation);
        comparison.check();
    }
}
