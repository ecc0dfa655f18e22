//! The shipped ring under every interleaving and every order of memory that loom can think of.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p greenroom-core --release --test ring_loom`
//!
//! Control words are loom's atomics with the orders that [`Region`] demands. Descriptors and payload are plain memory
//! whose accesses loom checks: touching it from two sides at once, without the cursors between, fails the model. A bell
//! that is never rung for a side that sleeps is a deadlock, which loom reports.
#![cfg(loom)]

use std::sync::Mutex as Plain;

use greenroom_core::hal::{OutOfRegion, Region, RegionMut};
use greenroom_core::message::playback::RingPlace;
use greenroom_core::ring::{
    Consumer, DESCRIPTOR_BYTES, FrameHeader, LINE_BYTES, Producer, PushError, Pushed, Record, RecordKind,
    SERVER_BLOCK_BYTES, client_block_bytes,
};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, Ordering, fence};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

const SLOTS: usize = 2;
const PAYLOAD_BYTES: u32 = 4;
const HEAD: u32 = 0;

const PLACE: RingPlace = RingPlace {
    client_offset: HEAD,
    server_offset: 0,
    payload_offset: client_block_bytes(SLOTS),
    payload_bytes: PAYLOAD_BYTES,
};

/// Memory of two threads, made of loom's parts.
#[derive(Clone)]
struct LoomRegion(Arc<Memory>);

struct Memory {
    /// One control word at the start of each line that has one.
    words: Vec<AtomicU32>,
    /// Watches who touches each descriptor and each byte of payload.
    watched: Vec<UnsafeCell<()>>,
    /// What is in them. Loom switches threads at its own parts only, so this lock is never contended.
    bytes: Plain<Vec<u8>>,
}

impl LoomRegion {
    fn new(words: u32, bytes: u32) -> Self {
        Self(Arc::new(Memory {
            words: (0..words).map(|_| AtomicU32::new(0)).collect(),
            watched: (0..bytes).map(|_| UnsafeCell::new(())).collect(),
            bytes: Plain::new(vec![0; bytes as usize]),
        }))
    }

    fn word(&self, offset: u32) -> &AtomicU32 {
        &self.0.words[(offset / LINE_BYTES) as usize]
    }

    /// The cells that watch a stretch: one for a descriptor, one for each byte of payload.
    fn watched(&self, offset: u32, bytes: usize) -> &[UnsafeCell<()>] {
        let cells = if bytes == DESCRIPTOR_BYTES as usize { 1 } else { bytes };
        &self.0.watched[offset as usize..][..cells]
    }
}

impl Region for LoomRegion {
    fn bytes(&self) -> u32 {
        (self.0.words.len() as u32 * LINE_BYTES).max(self.0.watched.len() as u32)
    }

    fn load(&self, offset: u32) -> Result<u32, OutOfRegion> {
        Ok(self.word(offset).load(Ordering::Acquire))
    }

    fn read(&self, offset: u32, into: &mut [u8]) -> Result<(), OutOfRegion> {
        self.watched(offset, into.len()).iter().for_each(|cell| cell.with(|_| ()));
        into.copy_from_slice(&self.0.bytes.lock().expect("uncontended")[offset as usize..][..into.len()]);
        Ok(())
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }
}

impl RegionMut for LoomRegion {
    fn store(&self, offset: u32, word: u32) -> Result<(), OutOfRegion> {
        self.word(offset).store(word, Ordering::Release);
        Ok(())
    }

    fn write(&self, offset: u32, from: &[u8]) -> Result<(), OutOfRegion> {
        self.watched(offset, from.len()).iter().for_each(|cell| cell.with_mut(|_| ()));
        self.0.bytes.lock().expect("uncontended")[offset as usize..][..from.len()].copy_from_slice(from);
        Ok(())
    }
}

/// A bell that stays rung until it is cleared, as an eventfd does.
#[derive(Clone)]
struct Bell(Arc<(Mutex<bool>, Condvar)>);

impl Bell {
    fn new() -> Self {
        Self(Arc::new((Mutex::new(false), Condvar::new())))
    }

    fn ring(&self) {
        *self.0.0.lock().expect("unpoisoned") = true;
        self.0.1.notify_one();
    }

    /// Blocks until it was rung, and clears it.
    fn wait(&self) {
        let mut is_rung = self.0.0.lock().expect("unpoisoned");
        while !*is_rung {
            is_rung = self.0.1.wait(is_rung).expect("unpoisoned");
        }
        *is_rung = false;
    }
}

struct App {
    producer: Producer<LoomRegion, LoomRegion, SLOTS>,
    data: Bell,
    space: Bell,
}

impl App {
    fn push(&mut self, record: &Record<'_>) {
        loop {
            match self.producer.push(record) {
                Ok(Pushed::Awake) => return,
                Ok(Pushed::Asleep) => return self.data.ring(),
                Err(PushError::Full) => self.wait(record.payload.len() as u32),
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn wait(&mut self, bytes: u32) {
        if self.producer.prepare_to_wait(bytes).expect("honest") {
            self.space.wait();
        }
    }

    /// Each frame tells its number twice: as its time and as its payload.
    fn push_frame(&mut self, number: u64) {
        let payload = [number as u8; 3];
        self.push(&Record { presentation_ns: Some(number), ..Record::frame(&payload) });
    }
}

struct Server {
    consumer: Consumer<LoomRegion, LoomRegion, SLOTS>,
    data: Bell,
    space: Bell,
}

impl Server {
    /// The next record and its payload; sleeps until there is one.
    fn take(&mut self) -> (FrameHeader, Vec<u8>) {
        loop {
            let found = self.consumer.next_record().expect("honest");
            self.wake_app();
            if let Some(header) = found {
                let mut payload = vec![0; header.bytes as usize];
                self.consumer.copy_payload(&mut payload).expect("inside");
                self.consumer.release();
                self.wake_app();
                return (header, payload);
            }
            if self.consumer.prepare_to_sleep().expect("honest") {
                self.data.wait();
            }
        }
    }

    fn wake_app(&mut self) {
        if self.consumer.take_producer_waits() {
            self.space.ring();
        }
    }

    fn take_frame(&mut self, number: u64) {
        let (header, payload) = self.take();
        assert_eq!((header.kind, header.presentation_ns), (RecordKind::Frame, Some(number)));
        assert_eq!(payload, [number as u8; 3]);
    }
}

/// Both ends of a ring whose cursors start at `start`.
fn ring_from(start: u32) -> (App, Server) {
    let client = LoomRegion::new(2, PLACE.payload_offset + PAYLOAD_BYTES);
    let server = LoomRegion::new(SERVER_BLOCK_BYTES / LINE_BYTES, 0);
    client.store(HEAD, start).expect("inside");
    let consumer = Consumer::new(client.clone(), server.clone(), &PLACE).expect("inside");
    let producer = Producer::new(client, server, &PLACE).expect("inside");
    let (data, space) = (Bell::new(), Bell::new());
    (App { producer, data: data.clone(), space: space.clone() }, Server { consumer, data, space })
}

/// Runs a model whose app is a thread of its own.
fn model(start: u32, app: fn(App), server: fn(Server)) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(move || {
        let (left, right) = ring_from(start);
        let thread = thread::spawn(move || app(left));
        server(right);
        thread.join().expect("the app ended well");
    });
}

/// Switches that a schedule may force beside those where a side waits. Two are enough to find any one fence missing.
const PREEMPTIONS: usize = 3;

/// Two frames of three bytes in a ring of four: the second one waits for space, and its payload goes over the end.
///
/// Field failure 33
#[test]
fn frames_arrive_in_order_with_their_payload_and_nobody_sleeps_for_ever() {
    model(0, |mut app| push_frames(&mut app, 2), |mut server| take_frames(&mut server, 2));
}

#[test]
fn cursors_that_wrap_lose_nothing() {
    for start in [u32::MAX, u32::MAX - 1] {
        model(start, |mut app| push_frames(&mut app, 3), |mut server| take_frames(&mut server, 3));
    }
}

/// Records without payload, one more than there are places: the app waits for a place.
#[test]
fn a_producer_that_waits_for_a_place_is_woken() {
    let app = |mut app: App| (0..=SLOTS as u64).for_each(|start_ns| app.push(&Record::segment(start_ns)));
    let server = |mut server: Server| {
        for start_ns in 0..=SLOTS as u64 {
            let (header, payload) = server.take();
            assert_eq!((header.presentation_ns, payload.len()), (Some(start_ns), 0));
        }
    };
    model(u32::MAX, app, server);
}

/// Field failure 35
#[test]
fn the_end_of_a_stream_comes_after_its_last_frame() {
    let app = |mut app: App| {
        app.push_frame(1);
        app.push(&Record::end_of_stream());
    };
    let server = |mut server: Server| {
        server.take_frame(1);
        assert_eq!(server.take().0.kind, RecordKind::EndOfStream);
        assert_eq!(server.consumer.next_record(), Ok(None));
    };
    model(0, app, server);
}

fn push_one_frame_of_each_of_two_epochs(mut app: App) {
    app.push_frame(1);
    app.producer.set_epoch(1);
    app.push_frame(2);
}

/// The flush overtakes the frame before it.
#[test]
fn after_a_flush_only_frames_of_its_epoch_come() {
    let server = |mut server: Server| {
        server.consumer.set_epoch(1);
        server.take_frame(2);
        assert_eq!(server.consumer.stale_records(), 1);
    };
    model(u32::MAX, push_one_frame_of_each_of_two_epochs, server);
}

/// The frame overtakes the flush.
#[test]
fn a_frame_of_a_later_epoch_waits_for_its_flush() {
    let server = |mut server: Server| {
        server.take_frame(1);
        assert_eq!(server.consumer.next_record(), Ok(None));
        server.consumer.set_epoch(1);
        server.take_frame(2);
        assert_eq!(server.consumer.stale_records(), 0);
    };
    model(0, push_one_frame_of_each_of_two_epochs, server);
}

fn push_frames(app: &mut App, frames: u64) {
    (1..=frames).for_each(|number| app.push_frame(number));
}

fn take_frames(server: &mut Server, frames: u64) {
    (1..=frames).for_each(|number| server.take_frame(number));
}
