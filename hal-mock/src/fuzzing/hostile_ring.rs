//! One end of a ring whose other end does its worst: words change between any two reads, as the input says.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ops::Range;

use arbitrary::{Arbitrary, Result, Unstructured};
use greenroom_core::hal::{OutOfRegion, Region, RegionMut};
use greenroom_core::message::playback::RingPlace;
use greenroom_core::ring::{
    Consumer, DESCRIPTOR_BYTES, FrameHeader, LINE_BYTES, Producer, PushError, Record, RingError, SERVER_BLOCK_BYTES,
    client_block_bytes,
};

use super::ring::{CLIENT_BYTES, PAYLOAD_BYTES, PLACE, SLOTS};
use super::steps::below;

/// Where a cursor lies in each region: head and tail.
const CURSOR: u32 = 0;
/// Where the number of places lies in the server's region.
const SLOTS_WORD: u32 = 2 * LINE_BYTES;
/// What one call may read of the peer's region: twice the records that a ring holds, and a few words.
const READS_MAX: u32 = 2 * SLOTS as u32 + 4;
const CALLS_MAX: usize = 64;

/// A region that its owner changes while we read it.
struct Hostile<'a> {
    bytes: RefCell<Vec<u8>>,
    script: RefCell<Unstructured<'a>>,
    reads: Cell<u32>,
    /// The cursor as it was given last.
    shown_cursor: Cell<u32>,
}

impl<'a> Hostile<'a> {
    fn new(bytes: u32, script: Unstructured<'a>) -> Self {
        let bytes = RefCell::new(vec![0; bytes as usize]);
        Self { bytes, script: RefCell::new(script), reads: Cell::new(0), shown_cursor: Cell::new(0) }
    }

    fn call<T: Arbitrary<'a>>(&self) -> Option<T> {
        let mut script = self.script.borrow_mut();
        if script.is_empty() { None } else { script.arbitrary().ok() }
    }

    fn word(&self, offset: u32) -> u32 {
        let bytes = self.bytes.borrow();
        let word = &bytes[offset as usize..][..4];
        u32::from_ne_bytes(word.try_into().expect("four bytes"))
    }

    fn set_word(&self, offset: u32, word: u32) {
        self.bytes.borrow_mut()[offset as usize..][..4].copy_from_slice(&word.to_ne_bytes());
    }

    /// Changes a few words, if the script says so.
    fn change(&self) {
        self.reads.set(self.reads.get() + 1);
        let mut script = self.script.borrow_mut();
        let changes = script.arbitrary::<u8>().unwrap_or(0) % 8;
        for _ in 0..changes.saturating_sub(4) {
            let words = self.bytes.borrow().len() / 4;
            let place = usize::from(script.arbitrary::<u8>().unwrap_or(0)) % words;
            let offset = place as u32 * 4;
            let worse = worse(self.word(offset), &mut script).unwrap_or(0);
            self.set_word(offset, worse);
        }
    }

    /// What was read since this was asked last.
    fn take_reads(&self) -> u32 {
        self.reads.take()
    }
}

/// What is most likely to be taken amiss.
fn worse(word: u32, script: &mut Unstructured<'_>) -> Result<u32> {
    let few = u32::from(below(script, 6)?);
    Ok(match below(script, 10)? {
        0..3 => few,
        3 | 4 => word.wrapping_add(few),
        5 => word.wrapping_sub(few),
        6 => u32::MAX - few,
        7 => PAYLOAD_BYTES + few - 3,
        8 => (1 << 31) + few,
        _ => script.arbitrary()?,
    })
}

impl Region for &Hostile<'_> {
    fn bytes(&self) -> u32 {
        self.bytes.borrow().len() as u32
    }

    fn load(&self, offset: u32) -> std::result::Result<u32, OutOfRegion> {
        assert!(offset.is_multiple_of(4) && offset + 4 <= self.bytes(), "a word outside the region: {offset}");
        self.change();
        let word = self.word(offset);
        if offset == CURSOR {
            self.shown_cursor.set(word);
        }
        Ok(word)
    }

    fn read(&self, offset: u32, into: &mut [u8]) -> std::result::Result<(), OutOfRegion> {
        let end = offset as usize + into.len();
        assert!(end <= self.bytes() as usize, "{} bytes outside the region at {offset}", into.len());
        self.change();
        into.copy_from_slice(&self.bytes.borrow()[offset as usize..end]);
        Ok(())
    }

    fn fence(&self) {}
}

/// Our own region, in which the peer can change nothing.
struct Own(RefCell<Vec<u8>>);

impl Own {
    fn new(bytes: u32) -> Self {
        Self(RefCell::new(vec![0; bytes as usize]))
    }

    fn word(&self, offset: u32) -> u32 {
        self.load(offset).expect("a word of ours")
    }

    fn place(&self, offset: u32, bytes: usize) -> Range<usize> {
        let (start, end) = (offset as usize, offset as usize + bytes);
        assert!(end <= self.0.borrow().len(), "{bytes} bytes outside our own region at {offset}");
        start..end
    }
}

impl Region for &Own {
    fn bytes(&self) -> u32 {
        self.0.borrow().len() as u32
    }

    fn load(&self, offset: u32) -> std::result::Result<u32, OutOfRegion> {
        let mut word = [0; 4];
        self.read(offset, &mut word)?;
        Ok(u32::from_ne_bytes(word))
    }

    fn read(&self, offset: u32, into: &mut [u8]) -> std::result::Result<(), OutOfRegion> {
        into.copy_from_slice(&self.0.borrow()[self.place(offset, into.len())]);
        Ok(())
    }

    fn fence(&self) {}
}

impl RegionMut for &Own {
    fn store(&self, offset: u32, word: u32) -> std::result::Result<(), OutOfRegion> {
        self.write(offset, &word.to_ne_bytes())
    }

    fn write(&self, offset: u32, from: &[u8]) -> std::result::Result<(), OutOfRegion> {
        let place = self.place(offset, from.len());
        self.0.borrow_mut()[place].copy_from_slice(from);
        Ok(())
    }
}

#[derive(Clone, Copy, Debug)]
enum ConsumerCall {
    Next,
    Copy(u8),
    Release,
    PrepareToSleep,
    Flush(u8),
}

impl<'a> Arbitrary<'a> for ConsumerCall {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match below(input, 8)? {
            0..3 => Self::Next,
            3 => Self::Copy(input.arbitrary()?),
            4 | 5 => Self::Release,
            6 => Self::PrepareToSleep,
            _ => Self::Flush(below(input, 3)?),
        })
    }
}

/// A consumer whose producer does its worst.
///
/// # Panics
///
/// When it reads outside the ring, reads without end, believes a record twice, or goes on after the peer broke the rules.
pub fn hostile_producer(bytes: &[u8]) {
    let client = Hostile::new(CLIENT_BYTES, Unstructured::new(bytes));
    let server = Own::new(SERVER_BLOCK_BYTES);
    let Ok(mut consumer) = Consumer::<_, _, SLOTS>::new(&client, &server, &PLACE) else { return };
    let (mut given, mut broken, mut epoch) = (None::<FrameHeader>, None::<RingError>, 0_u32);
    for call in std::iter::from_fn(|| client.call()).take(CALLS_MAX) {
        let tail = server.word(CURSOR);
        client.take_reads();
        let (outcome, steps_max) = match call {
            ConsumerCall::Next => {
                let found = consumer.next_record();
                if let (Ok(Some(again)), Some(before)) = (found, given) {
                    assert_eq!(again, before, "a record that was checked is not read again");
                }
                given = found.unwrap_or(None);
                (found.map(|_| ()), 2 * SLOTS as u32)
            }
            ConsumerCall::Copy(room) => {
                let copied = consumer.copy_payload(&mut vec![0; room.into()]);
                assert_eq!(copied, Ok(()), "the payload of a checked record lies in the ring");
                (broken.map_or(Ok(()), Err), 0)
            }
            ConsumerCall::Release => {
                consumer.release();
                let steps = u32::from(given.take().is_some());
                (broken.map_or(Ok(()), Err), steps)
            }
            ConsumerCall::PrepareToSleep => (consumer.prepare_to_sleep().map(|_| ()), 0),
            ConsumerCall::Flush(by) => {
                epoch = epoch.wrapping_add(by.into());
                consumer.set_epoch(epoch);
                given = given.filter(|_| by == 0);
                // What was given out can still be released.
                (broken.map_or(Ok(()), Err), 0)
            }
        };
        if let Some(header) = given {
            assert!(header.bytes <= PAYLOAD_BYTES, "{header:?}");
        }
        assert!(client.take_reads() <= READS_MAX, "{call:?} read without end");
        let steps = server.word(CURSOR).wrapping_sub(tail);
        assert!(steps <= steps_max || matches!(call, ConsumerCall::Release), "{call:?}: {steps} records at once");
        let shown = client.shown_cursor.get();
        assert!(consumer.waiting_records() as usize <= SLOTS);
        client.shown_cursor.set(shown);
        assert!(broken.is_none() || outcome == broken.map_or(Ok(()), Err), "{outcome:?} after {broken:?}");
        broken = broken.or(outcome.err());
    }
}

#[derive(Clone, Copy, Debug)]
enum ProducerCall {
    Push(u8),
    PrepareToWait(u8),
    AskForRoom,
    IsDrained,
}

impl<'a> Arbitrary<'a> for ProducerCall {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match below(input, 8)? {
            0..5 => Self::Push(below(input, 70)?),
            5 => Self::PrepareToWait(below(input, 70)?),
            6 => Self::AskForRoom,
            _ => Self::IsDrained,
        })
    }
}

/// A producer, and what it has put in that the consumer was not shown to be done with.
struct Pushing<'a> {
    producer: Producer<&'a Own, &'a Hostile<'a>, SLOTS>,
    server: &'a Hostile<'a>,
    client: &'a Own,
    in_ring: VecDeque<Vec<u8>>,
    head: u32,
    mark: u8,
}

impl Pushing<'_> {
    fn call(&mut self, call: ProducerCall) -> std::result::Result<(), RingError> {
        match call {
            ProducerCall::Push(bytes) => {
                self.mark = self.mark.wrapping_add(1);
                let payload: Vec<u8> = (0..bytes).map(|place| place ^ self.mark).collect();
                match self.producer.push(&Record::frame(&payload)) {
                    Ok(_) => {
                        self.head = self.head.wrapping_add(1);
                        self.in_ring.push_back(payload);
                    }
                    Err(PushError::Corrupt(error)) => return Err(error),
                    Err(PushError::Full) => {}
                    Err(PushError::TooLarge { .. }) => assert!(u32::from(bytes) > PAYLOAD_BYTES),
                }
            }
            ProducerCall::PrepareToWait(bytes) => {
                self.producer.prepare_to_wait(bytes.into())?;
            }
            ProducerCall::AskForRoom => assert!(self.producer.room_bytes()? <= PAYLOAD_BYTES),
            ProducerCall::IsDrained => {
                self.producer.is_drained()?;
            }
        }
        Ok(())
    }

    /// What the consumer may still read is as it was written.
    fn check(&mut self) {
        assert_eq!(self.client.word(CURSOR), self.head, "the head counts what was put in");
        let claimed = self.head.wrapping_sub(self.server.shown_cursor.get()) as usize;
        assert!(claimed <= self.in_ring.len(), "a tail that cannot be was believed: {claimed} are left");
        self.in_ring.drain(..self.in_ring.len() - claimed);
        assert!(self.in_ring.len() <= SLOTS, "more records than places");
        let first = self.head.wrapping_sub(self.in_ring.len() as u32);
        for (number, payload) in self.in_ring.iter().enumerate() {
            let cursor = first.wrapping_add(number as u32);
            let slot = cursor % SLOTS as u32;
            let descriptor = 2 * LINE_BYTES + slot * DESCRIPTOR_BYTES;
            let (start, bytes) = (self.client.word(descriptor + 12), self.client.word(descriptor + 16));
            assert_eq!(bytes as usize, payload.len());
            let at = |place: u32| PLACE.payload_offset + (start + place) % PAYLOAD_BYTES;
            let kept: Vec<u8> = (0..bytes).map(|place| self.client.0.borrow()[at(place) as usize]).collect();
            assert_eq!(&kept, payload, "a record was overwritten while the consumer may read it");
        }
    }
}

/// A producer whose consumer does its worst.
///
/// # Panics
///
/// When it writes outside the ring, overwrites what the consumer may still read, reads without end, or goes on after the
/// peer broke the rules.
pub fn hostile_consumer(bytes: &[u8]) {
    let server = Hostile::new(SERVER_BLOCK_BYTES, Unstructured::new(bytes));
    let client = Own::new(CLIENT_BYTES);
    server.set_word(SLOTS_WORD, SLOTS as u32);
    let Ok(producer) = Producer::<_, _, SLOTS>::new(&client, &server, &PLACE) else { return };
    let mut pushing =
        Pushing { producer, server: &server, client: &client, in_ring: VecDeque::new(), head: 0, mark: 0 };
    for call in std::iter::from_fn(|| server.call()).take(CALLS_MAX) {
        server.take_reads();
        let outcome = pushing.call(call);
        assert!(server.take_reads() <= READS_MAX, "{call:?} read without end");
        if let Err(error) = outcome {
            let again = pushing.producer.push(&Record::frame(&[]));
            return assert_eq!(again, Err(PushError::Corrupt(error)), "what is broken stays so");
        }
        pushing.check();
    }
}

/// A place for a ring that a peer made up is taken exactly if the ring lies in the regions, and nothing overlaps.
///
/// # Panics
///
/// When another one is taken, or a good one is not.
pub fn place(bytes: &[u8]) {
    let mut input = Unstructured::new(bytes);
    let (client, server) = (Own::new(CLIENT_BYTES), Own::new(SERVER_BLOCK_BYTES));
    let Ok(place) = any_place(&mut input) else { return };
    let is_sound = is_sound(&place);
    (&server).store(0, 0).expect("a word");
    let opened = Consumer::<_, _, SLOTS>::new(&client, &server, &place).map(|_| ());
    assert_eq!(opened.is_ok(), is_sound, "{place:?}: {opened:?}");
    let opened = Producer::<_, _, SLOTS>::new(&client, &server, &place).map(|_| ());
    assert_eq!(opened != Err(RingError::Outside), is_sound, "{place:?}: {opened:?}");
}

fn any_place(input: &mut Unstructured<'_>) -> Result<RingPlace> {
    let mut number = |near: u32| -> Result<u32> { worse(near, input) };
    Ok(RingPlace {
        client_offset: number(PLACE.client_offset)?,
        server_offset: number(PLACE.server_offset)?,
        payload_offset: number(PLACE.payload_offset)?,
        payload_bytes: number(PLACE.payload_bytes)?,
    })
}

fn is_sound(place: &RingPlace) -> bool {
    let range = |offset: u32, bytes: u32| u64::from(offset)..u64::from(offset) + u64::from(bytes);
    let control = range(place.client_offset, client_block_bytes(SLOTS));
    let payload = range(place.payload_offset, place.payload_bytes);
    let theirs = range(place.server_offset, SERVER_BLOCK_BYTES);
    let lies_within = control.end <= CLIENT_BYTES.into()
        && payload.end <= CLIENT_BYTES.into()
        && theirs.end <= SERVER_BLOCK_BYTES.into();
    let is_apart = payload.start >= control.end || payload.end <= control.start;
    let is_aligned = place.client_offset.is_multiple_of(LINE_BYTES) && place.server_offset.is_multiple_of(LINE_BYTES);
    lies_within && is_apart && is_aligned && place.payload_bytes > 0
}
