//! A ring between two processes: this one is the session server, and starts itself again as the app.

use std::env;
use std::io::stdin;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};

use greenroom_core::hal::{Descriptors, Doorbell, Received, Sent, SharedMemory, Socket};
use greenroom_core::message::playback::{MediaKind, RingPlace};
use greenroom_core::ring::{
    Consumer, FrameSource, Producer, PushError, Pushed, Record, RecordKind, RingSource, SlotLayout,
};
use greenroom_hal_linux::memory::{EventFd, LinuxMemory, OwnRegion, PeerRegion, attach_own, attach_peer};
use greenroom_hal_linux::socket::SeqPacket;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

const LAYOUT: SlotLayout = SlotLayout::STANDARD;
/// How many frames the app sends; set only in the app.
const FRAMES: &str = "RING_TEST_FRAMES";

/// So small that the app has to wait for space, and no multiple of anything.
fn place() -> RingPlace {
    RingPlace { payload_bytes: 20_011, ..LAYOUT.ring(MediaKind::Video) }
}

fn wait_for(source: &impl AsFd) {
    let deadline = Timespec { tv_sec: 20, tv_nsec: 0 };
    assert_eq!(poll(&mut [PollFd::new(source, PollFlags::IN)], Some(&deadline)), Ok(1), "nothing within 20 s");
}

/// A frame whose every byte and length follow from its number.
fn frame(number: u64) -> Vec<u8> {
    (0..number * 131 % 9_000).map(|at| (number ^ at) as u8).collect()
}

struct App {
    producer: Producer<OwnRegion, PeerRegion>,
    data: EventFd,
    space: EventFd,
}

impl App {
    /// What a client does with the descriptors that its session server sent.
    fn attach(descriptors: Descriptors<OwnedFd>) -> Self {
        let [client, server, data, space] = descriptors.into_array().expect("four descriptors");
        let own = attach_own(client, LAYOUT.client_bytes()).expect("sealed");
        let peer = attach_peer(server, LAYOUT.server_bytes()).expect("sealed");
        let producer = Producer::new(own, peer, &place()).expect("a good place");
        Self { producer, data: EventFd::attach(data), space: EventFd::attach(space) }
    }

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
        if self.producer.prepare_to_wait(bytes).expect("an honest server") {
            wait_for(&self.space);
            self.space.clear().expect("cleared");
        }
    }
}

/// The other process. Started by hand it does nothing.
#[test]
#[ignore = "it is the app that the other tests start"]
fn the_app() {
    let Ok(frames) = env::var(FRAMES) else { return };
    let inherited = stdin().as_fd().try_clone_to_owned().expect("the socket");
    let mut link = SeqPacket::from_descriptor(inherited).expect("the socket");
    wait_for(&link);
    let mut descriptors = Descriptors::new();
    let received = link.receive(&mut [0; 8], &mut descriptors).expect("a message");
    assert_eq!(received, Received::Message { bytes: 2 });
    let mut app = App::attach(descriptors);
    for number in 0..frames.parse().expect("a number") {
        let payload = frame(number);
        app.push(&Record { presentation_ns: Some(number), ..Record::frame(&payload) });
    }
    app.push(&Record::end_of_stream());
}

struct Server {
    app: Child,
    source: RingSource<PeerRegion, OwnRegion, EventFd>,
    taken: u64,
}

impl Server {
    /// Makes a slot and starts an app that sends so many frames through it.
    fn start(frames: u64) -> Self {
        let (client, server) = LinuxMemory.create(LAYOUT.client_bytes(), LAYOUT.server_bytes()).expect("memory");
        let (data, client_data) = LinuxMemory.doorbell().expect("bell");
        let (space, client_space) = LinuxMemory.doorbell().expect("bell");
        let consumer = Consumer::new(client.0, server.0, &place()).expect("a good place");
        let (mut ours, theirs) = SeqPacket::pair().expect("a link");
        let sent = ours.send(b"go", &[&client.1, &server.1, &client_data, &client_space]);
        assert_eq!(sent, Ok(Sent::Whole));
        Self { app: start_app(theirs, frames), source: RingSource::new(consumer, data, space), taken: 0 }
    }

    /// Takes and checks one record, if one is there.
    fn take(&mut self) -> Option<RecordKind> {
        let header = self.source.next().expect("an honest app")?;
        if header.kind == RecordKind::Frame {
            let mut payload = vec![0; header.bytes as usize];
            self.source.copy_payload(&mut payload).expect("inside");
            assert_eq!((header.presentation_ns, payload), (Some(self.taken), frame(self.taken)));
            self.taken += 1;
        }
        self.source.release();
        Some(header.kind)
    }

    fn take_or_sleep(&mut self) -> Option<RecordKind> {
        let taken = self.take();
        if taken.is_none() && self.source.prepare_to_sleep().expect("an honest app") {
            wait_for(self.source.bell());
            self.source.bell().clear().expect("cleared");
        }
        taken
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.app.kill();
        let _ = self.app.wait();
    }
}

fn start_app(link: SeqPacket, frames: u64) -> Child {
    Command::new(env::current_exe().expect("this test"))
        .args(["--exact", "the_app", "--ignored", "--nocapture", "--quiet"])
        .env(FRAMES, frames.to_string())
        .stdin(link.into_descriptor())
        .stdout(Stdio::null())
        .spawn()
        .expect("started")
}

/// SM-23
#[test]
fn frames_of_another_process_arrive_whole_and_in_order() {
    let mut server = Server::start(5_000);
    while server.take_or_sleep() != Some(RecordKind::EndOfStream) {}
    assert_eq!(server.taken, 5_000);
    assert!(server.app.wait().expect("reaped").success());
}

/// SM-35
#[test]
fn an_app_that_is_killed_in_the_middle_leaves_whole_frames_and_a_ring_that_sleeps() {
    let mut server = Server::start(u64::MAX);
    while server.taken < 200 {
        server.take_or_sleep();
    }
    server.app.kill().expect("killed");
    server.app.wait().expect("reaped");
    while server.take().is_some() {}
    assert_eq!(server.source.prepare_to_sleep(), Ok(true));
}
