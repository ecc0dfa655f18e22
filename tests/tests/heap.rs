//! What runs between two inputs, and for each frame, takes nothing from the heap: neither the manager's thread nor a session
//! server's, neither end of a ring. What GLib takes for itself is not counted.
//!
//! Each test watches the thread that it is about, in this process, and lets it do the same things again and again; the
//! first times it may still learn how large its buffers must be.

use std::fs;
use std::hint::black_box;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Instant;

use greenroom_core::driver::{Connection, Frames, Platform, SessionDriver, SessionHost};
use greenroom_core::hal::{Descriptors, Interest, SharedMemory, Watch};
use greenroom_core::limits::MESSAGE_BYTES_MAX;
use greenroom_core::message::control::{Answer, Command, Event};
use greenroom_core::message::playback::{Codec, Command as Call, MediaKind, Shape, SourceDescription};
use greenroom_core::message::{LogLevels, ServerState, TargetState, link};
use greenroom_core::ring::{Consumer, FrameSource, Producer, Pushed, Record, RingSource, SlotLayout};
use greenroom_core::trace::NoRecorder;
use greenroom_daemon::config::Config;
use greenroom_daemon::control::ControlClient;
use greenroom_daemon::log::{Format, Logging};
use greenroom_daemon::manager;
use greenroom_hal_linux::clock::Clock;
use greenroom_hal_linux::decoder::{GstDecoder, SinkConfig};
use greenroom_hal_linux::event_loop::EventLoop;
use greenroom_hal_linux::keys::KeySystems;
use greenroom_hal_linux::listener::{ListeningSocket, SocketFiles};
use greenroom_hal_linux::memory::{EventFd, LinuxMemory, attach_own, attach_peer};
use greenroom_hal_linux::socket::SeqPacket;
use greenroom_tests::deadline::{PATIENCE, until};
use greenroom_tests::heap::{Counting, ROUNDS, takings_of};
use greenroom_tests::programs;
use greenroom_tests::session_process::{App, configured_at, receive};
use rustix::thread::gettid;

#[global_allocator]
static HEAP: Counting = Counting;

/// The thread of this name in this process.
fn thread_named(name: &str) -> i32 {
    until("the thread is there", || {
        let threads = fs::read_dir("/proc/self/task").unwrap().map(|entry| entry.unwrap().path());
        let mut named =
            threads.filter(|thread| fs::read_to_string(thread.join("comm")).is_ok_and(|comm| comm.trim_end() == name));
        named.next()?.file_name()?.to_str()?.parse().ok()
    })
}

#[test]
fn what_is_taken_from_the_heap_is_counted() {
    let takings = takings_of(gettid().as_raw_nonzero().get(), || drop(black_box(Box::new(1))));
    assert_eq!(takings, ROUNDS);
}

/// The manager that ships, with a real session server: it is asked, it refuses, it moves an app to and fro, it notifies.
#[test]
fn the_managers_thread_takes_nothing_from_the_heap_between_inputs() {
    let place = tempfile::tempdir().unwrap();
    let (control, configuration) = (place.path().join("control.sock"), place.path().join("greenroom.toml"));
    let text = format!(
        "[control]\nsocket = {control:?}\n[socket]\ndirectory = {:?}\n[session]\nprogram = {:?}\nready_timeout_ms = 10000\n",
        place.path(),
        programs::path("greenroom-session"),
    );
    fs::write(&configuration, text).unwrap();
    let config = Config::load(Some(&configuration)).unwrap();
    let logging = Logging::start(&config.log_levels(), Format::Text).unwrap();
    let running = thread::spawn(move || manager::run(config, None, logging));
    let mut controller = until("the manager answers", || ControlClient::connect(&control).ok());
    let initiate = Command::Initiate { app: "app1", state: TargetState::Inactive, socket: "" };
    for command in [Command::Watch, initiate] {
        assert!(matches!(controller.request(command), Ok(Answer::Done)));
    }
    expect(&mut controller, ServerState::Uninitialized);
    expect(&mut controller, ServerState::Inactive);
    let takings = takings_of(thread_named("manager"), || {
        for target in [TargetState::Active, TargetState::Inactive] {
            controller.request(Command::ChangeState { app: "app1", state: target }).unwrap();
            expect(&mut controller, target.into());
        }
        controller.list().unwrap();
        controller.request(Command::ConnectionInfo { app: "app1" }).unwrap();
        controller.request(Command::ConnectionInfo { app: "nobody" }).unwrap_err();
    });
    assert_eq!(takings, 0);
    controller.request(Command::Stop).unwrap();
    running.join().unwrap().unwrap();
}

#[track_caller]
fn expect(controller: &mut ControlClient, expected: ServerState) {
    match controller.next_event(Instant::now() + PATIENCE) {
        Ok(Some(Event::StateChanged { state, .. })) => assert_eq!(state, expected),
        other => panic!("no notification: {other:?}"),
    }
}

type Decoder = GstDecoder<Frames<LinuxMemory>>;

/// What a session server finds on Linux.
struct Host(Platform<SocketFiles, LinuxMemory, Decoder, EventLoop>, KeySystems);

impl SessionHost for Host {
    type Descriptor = OwnedFd;
    type Socket = SeqPacket;
    type Listener = ListeningSocket;
    type Files = SocketFiles;
    type Memory = LinuxMemory;
    type Decoder = Decoder;
    type Keys = KeySystems;
    type Events = EventLoop;

    fn platform(&mut self) -> &mut Platform<SocketFiles, LinuxMemory, Decoder, EventLoop> {
        &mut self.0
    }

    fn keys(&mut self) -> &mut KeySystems {
        &mut self.1
    }

    fn configured(&mut self, configuration: &link::Configuration<'_>) {
        let (video, audio) = (configuration.video_sink.into(), configuration.audio_sink.into());
        self.0.decoder.configure(SinkConfig { video, audio });
    }

    fn set_log_levels(&mut self, _: &LogLevels) {}
}

/// Serves until the link ends.
fn serve(socket: SeqPacket) {
    let (decoder, mut events) = (Decoder::new().unwrap(), EventLoop::new().unwrap());
    events.watch(&decoder, SessionDriver::<Host>::DECODER, Interest::Read).unwrap();
    let keys = KeySystems::none().unwrap();
    events.watch(&keys, SessionDriver::<Host>::KEYS, Interest::Read).unwrap();
    let mut host = Host(Platform { files: SocketFiles::new(), memory: LinuxMemory, decoder, events }, keys);
    let mut driver = SessionDriver::<Host>::new(socket, NoRecorder);
    driver.start(&mut host, Clock.now(), Ok(()));
    while driver.exit_status().is_none() {
        let ready = host.0.events.wait(driver.next_deadline()).unwrap();
        driver.turn(&mut host, Clock.now(), &ready);
    }
}

/// The driver that ships, with a real client that has a session and a source: it asks, is refused, and turns the volume.
#[test]
fn a_session_servers_thread_takes_nothing_from_the_heap_between_inputs() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("app1.sock");
    let (ours, theirs) = SeqPacket::pair().unwrap();
    let server = thread::Builder::new().name("server".into()).stack_size(8 << 20).spawn(move || serve(theirs)).unwrap();
    let mut manager = Connection::answering(ours);
    let configuration = link::Command::SetConfiguration(configured_at(&path, TargetState::Active));
    manager.send(&link::Request { sequence: 1, command: configuration }, Descriptors::new()).unwrap();
    let active = link::Message::StateChanged { state: ServerState::Active, reason: None };
    let mut buffer = [0; MESSAGE_BYTES_MAX];
    while receive::<link::Message>(&mut manager, &mut buffer, &mut Descriptors::new()).expect("the server is there")
        != active
    {}
    let mut app = App::connected_to(&path);
    app.greet();
    let session = app.session();
    app.call(Call::Load { session, live: false }).unwrap();
    let source = SourceDescription { codec: Codec::H264, shape: Shape::default(), codec_data: &[] };
    app.call(Call::AttachSource { session, source }).unwrap();
    let takings = takings_of(thread_named("server"), || {
        app.call(Call::SetVolume { session, volume_permille: 500 }).unwrap();
        app.call(Call::GetDuration { session }).unwrap();
        app.call(Call::GetPosition { session }).unwrap();
        app.call(Call::SetVolume { session, volume_permille: u16::MAX }).unwrap_err();
    });
    assert_eq!(takings, 0);
    drop((app, manager));
    server.join().unwrap();
}

/// Both ends in one thread, over the memory that ships; also where a side sleeps and is woken for each frame.
#[test]
fn a_frame_takes_nothing_from_the_heap() {
    const LAYOUT: SlotLayout = SlotLayout::STANDARD;
    let ((client, own), (server, peer)) =
        LinuxMemory.create(LAYOUT.client_bytes(), LAYOUT.server_bytes()).expect("memory can be had");
    let place = LAYOUT.ring(MediaKind::Video);
    let consumer: Consumer<_, _> = Consumer::new(client, server, &place).unwrap();
    let (own, peer) = (attach_own(own, LAYOUT.client_bytes()), attach_peer(peer, LAYOUT.server_bytes()));
    let mut producer: Producer<_, _> = Producer::new(own.unwrap(), peer.unwrap(), &place).unwrap();
    let mut source = RingSource::new(consumer, EventFd::new().unwrap(), EventFd::new().unwrap());
    let (frame, mut buffer) = (vec![7_u8; 64 * 1024], vec![0_u8; 64 * 1024]);
    let takings = takings_of(gettid().as_raw_nonzero().get(), || {
        assert!(source.prepare_to_sleep().unwrap());
        assert_eq!(producer.push(&Record::frame(&frame)), Ok(Pushed::Asleep));
        source.next().unwrap().expect("a frame");
        source.copy_payload(&mut buffer).unwrap();
        source.release();
    });
    assert_eq!(takings, 0);
    assert_eq!(buffer, frame);
}
