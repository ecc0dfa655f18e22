use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;

use greenroom_core::hal::{Doorbell, Error, ErrorKind, OutOfRegion, Region, RegionMut, SharedMemory};
use greenroom_core::message::playback::{MediaKind, RingPlace};
use greenroom_core::ring::{
    Consumer, FrameSource, Producer, PushError, Pushed, Record, RecordKind, RingSource, SlotLayout,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_getfl, fcntl_setfl, fstat, ftruncate, memfd_create};
use rustix::io::Errno;

use super::*;

const BYTES: u32 = 64 * 1024;

fn regions() -> ((PeerRegion, OwnedFd), (OwnRegion, OwnedFd)) {
    LinuxMemory.create(BYTES, BYTES).expect("memfds")
}

fn memfd_of(bytes: u32, seals: SealFlags) -> OwnedFd {
    let memory = memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).expect("memfd");
    ftruncate(&memory, bytes.into()).expect("sized");
    fcntl_add_seals(&memory, seals).expect("sealed");
    memory
}

fn wait_for(bell: &impl AsFd) {
    let deadline = Timespec { tv_sec: 10, tv_nsec: 0 };
    assert_eq!(poll(&mut [PollFd::new(bell, PollFlags::IN)], Some(&deadline)), Ok(1), "no bell within 10 s");
}

fn is_rung(bell: &impl AsFd) -> bool {
    poll(&mut [PollFd::new(bell, PollFlags::IN)], Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) == Ok(1)
}

/// SM-23
#[test]
fn what_the_client_writes_the_server_reads_through_its_own_mapping() {
    let ((peer, descriptor), _) = regions();
    let own = attach_own(&descriptor, BYTES).expect("attached");
    own.write(100, b"frame").expect("inside");
    own.store(64, 7).expect("inside");
    let mut copy = [0; 5];
    peer.read(100, &mut copy).expect("inside");
    assert_eq!((&copy, peer.load(64)), (b"frame", Ok(7)));
}

#[test]
fn a_client_cannot_map_the_servers_region_for_writing() {
    let (_, (_own, descriptor)) = regions();
    let error = attach_own(&descriptor, BYTES).expect_err("sealed against writing");
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!(rustix::io::write(&descriptor, b"x"), Err(Errno::PERM));
    assert!(attach_peer(&descriptor, BYTES).is_ok());
}

#[test]
fn a_client_cannot_change_the_size_of_either_region() {
    let ((_, client), (_own, server)) = regions();
    for descriptor in [client, server] {
        assert_eq!(ftruncate(&descriptor, 0), Err(Errno::PERM));
        assert_eq!(ftruncate(&descriptor, 2 * u64::from(BYTES)), Err(Errno::PERM));
        assert_eq!(fcntl_add_seals(&descriptor, SealFlags::WRITE), Err(Errno::PERM));
    }
}

#[test]
fn memory_whose_size_is_not_sealed_is_refused() {
    for missing in [SealFlags::SHRINK, SealFlags::GROW, SealFlags::SEAL] {
        let memory = memfd_of(BYTES, SIZE_SEALS - missing);
        assert_eq!(attach_own(&memory, BYTES).expect_err("unsealed").kind(), ErrorKind::Denied);
        assert_eq!(attach_peer(&memory, BYTES).expect_err("unsealed").kind(), ErrorKind::Denied);
    }
}

#[test]
fn memory_of_another_size_than_was_said_is_refused() {
    let memory = memfd_of(BYTES, SIZE_SEALS);
    for said in [BYTES - 1, BYTES + 1, 0, u32::MAX] {
        let error = attach_own(&memory, said).expect_err("another size");
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(error.to_string().contains("65536"), "{error}");
    }
}

#[test]
fn a_descriptor_of_no_memory_is_refused() {
    let null = File::open("/dev/null").expect("null");
    assert!(attach_own(&null, BYTES).is_err());
    assert!(attach_peer(&null, 0).is_err());
}

#[test]
fn regions_are_sparse_until_their_pages_are_taken_and_after_they_were_given_back() {
    let ((_peer, client), _) = regions();
    let blocks = || fstat(&client).expect("memfd").st_blocks;
    assert_eq!(blocks(), 0);
    populate(&client, 0, BYTES).expect("memory");
    assert_eq!(blocks(), i64::from(BYTES / 512));
    punch(&client, 0, BYTES).expect("given back");
    assert_eq!(blocks(), 0);
}

#[test]
fn clones_of_a_mapping_share_it_and_keep_it() {
    let ((peer, descriptor), _) = regions();
    let own = attach_own(&descriptor, BYTES).expect("attached");
    let clone = own.clone();
    drop((own, descriptor));
    clone.store(0, 5).expect("still mapped");
    assert_eq!(peer.load(0), Ok(5));
    assert_eq!(clone.load(BYTES), Err(OutOfRegion));
}

#[test]
fn a_bell_that_a_peer_made_blocking_and_filled_holds_nobody() {
    let (ours, theirs) = LinuxMemory.doorbell().expect("bell");
    let flags = fcntl_getfl(&theirs).expect("flags");
    fcntl_setfl(&theirs, flags - rustix::fs::OFlags::NONBLOCK).expect("made blocking");
    ours.clear().expect("nothing to clear, and no wait");
    rustix::io::write(&theirs, &(u64::MAX - 1).to_ne_bytes()).expect("filled");
    ours.ring().expect("rung already, and no wait");
    ours.clear().expect("cleared");
    assert!(!is_rung(&ours));
}

/// What an app does with the descriptors that it got.
struct App {
    producer: Producer<OwnRegion, PeerRegion>,
    data: EventFd,
    space: EventFd,
}

impl App {
    fn push(&mut self, record: &Record<'_>) {
        loop {
            match self.producer.push(record) {
                Ok(Pushed::Awake) => return,
                Ok(Pushed::Asleep) => return self.data.ring().expect("rung"),
                Err(PushError::Full) => self.wait(record.payload.len() as u32),
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn wait(&mut self, bytes: u32) {
        if self.producer.prepare_to_wait(bytes).expect("honest") {
            wait_for(&self.space);
            self.space.clear().expect("cleared");
        }
    }
}

type Source = RingSource<PeerRegion, OwnRegion, EventFd>;

/// A ring over real memfds and eventfds, the client's end mapped a second time from its descriptors.
fn app_and_source(payload_bytes: u32) -> (App, Source) {
    let layout = SlotLayout::new(payload_bytes, payload_bytes, payload_bytes).expect("fits");
    let place = RingPlace { payload_bytes, ..layout.ring(MediaKind::Audio) };
    let (client, server) = LinuxMemory.create(layout.client_bytes(), layout.server_bytes()).expect("memfds");
    let (data, data_descriptor) = LinuxMemory.doorbell().expect("bell");
    let (space, space_descriptor) = LinuxMemory.doorbell().expect("bell");
    let source = RingSource::new(Consumer::new(client.0, server.0, &place).expect("server's end"), data, space);
    let own = attach_own(&client.1, layout.client_bytes()).expect("attached");
    let peer = attach_peer(&server.1, layout.server_bytes()).expect("attached");
    let producer = Producer::new(own, peer, &place).expect("client's end");
    (App { producer, data: EventFd::attach(data_descriptor), space: EventFd::attach(space_descriptor) }, source)
}

fn take(source: &mut Source, buffer: &mut Vec<u8>) -> (RecordKind, Option<u64>) {
    loop {
        if let Some(header) = source.next().expect("honest") {
            buffer.resize(header.bytes as usize, 0);
            source.copy_payload(buffer).expect("inside");
            source.release();
            return (header.kind, header.presentation_ns);
        }
        if source.prepare_to_sleep().expect("honest") {
            wait_for(source.bell());
            source.bell().clear().expect("cleared");
        }
    }
}

/// A payload whose every byte and length follow from its number.
fn payload(number: u64) -> Vec<u8> {
    let bytes = number * 37 % 900;
    (0..bytes).map(|at| (number + at) as u8).collect()
}

#[test]
fn ten_thousand_frames_arrive_whole_and_in_order_while_both_sides_sleep_and_wake() {
    const FRAMES: u64 = 10_000;
    // Not a multiple of anything, so that payloads wrap at every place, and so small that the app has to wait.
    let (mut app, mut source) = app_and_source(2_003);
    let sender = thread::spawn(move || {
        for number in 0..FRAMES {
            let payload = payload(number);
            app.push(&Record { presentation_ns: Some(number), ..Record::frame(&payload) });
        }
        app.push(&Record::end_of_stream());
    });
    let mut buffer = Vec::new();
    for number in 0..FRAMES {
        assert_eq!(take(&mut source, &mut buffer), (RecordKind::Frame, Some(number)));
        assert_eq!(buffer, payload(number), "frame {number}");
    }
    assert_eq!(take(&mut source, &mut buffer), (RecordKind::EndOfStream, None));
    sender.join().expect("the app ended well");
}

/// Field failure 34
#[test]
fn no_bell_is_rung_while_both_sides_are_awake() {
    let (mut app, mut source) = app_and_source(4_096);
    for number in 0..1_000 {
        assert_eq!(app.producer.push(&Record::frame(&payload(number))), Ok(Pushed::Awake));
        let found = source.next().expect("honest");
        assert!(found.is_some());
        source.release();
    }
    assert!(!is_rung(source.bell()) && !is_rung(&app.space));
}
