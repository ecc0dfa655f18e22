//! The session server's driver in the simulated world: real messages, real descriptors, no hardware.

use greenroom_core::codec::postcard;
use greenroom_core::driver::Connection;
use greenroom_core::driver::SessionDriver;
use greenroom_core::hal::{DecoderEvent, Descriptors, ErrorKind, Socket};
use greenroom_core::health::HealthCheck;
use greenroom_core::limits::{CLIENTS_MAX, DECODER_TIMEOUT, MESSAGE_BYTES_MAX, RING_SLOTS};
use greenroom_core::message::playback::{
    Answer, Codec, Command, Event, PlaybackError, PlaybackState, Refusal, Request, RingPlace, Shape, SourceDescription,
    SourceId, TableName,
};
use greenroom_core::message::{AppState, LogLevels, Reason, ServerState, TargetState, link};
use greenroom_core::ring::{FrameSource, Producer, Record, RecordKind};
use greenroom_hal_mock::decoder::Given;
use greenroom_hal_mock::memory::{OwnRegion, PeerRegion};
use greenroom_hal_mock::{Call, EventLoop, SeqPacket, World};
use greenroom_tests::recording::recorder;
use greenroom_tests::session_stage::{App, OK, PATH, PEER, Stage, configuration, last_word, state};

const VIDEO: SourceDescription<'static> = SourceDescription {
    codec: Codec::H264Avc,
    shape: Shape {
        width: 1280,
        height: 720,
        frame_rate_numerator: 0,
        frame_rate_denominator: 0,
        sample_rate: 0,
        channels: 0,
    },
    codec_data: &[1, 2, 3],
};

/// SM-07, SM-08, SM-39
///
/// Field failure 18
#[test]
fn a_configured_server_listens_with_its_permissions_and_hands_its_listener_up() {
    let mut stage = Stage::configured(TargetState::Inactive);
    assert_eq!(stage.heard(), [OK, link::Message::Listener, state(ServerState::Inactive)]);
    assert_eq!(stage.world.permissions(PATH), Some((0o660, "root".to_owned(), "root".to_owned())));
    assert_eq!((stage.home.levels, stage.home.video_sink.as_str()), (Some(LogLevels::default()), "fake"));
}

/// SM-10
///
/// Field failure G
#[test]
fn a_socket_that_is_taken_or_cannot_be_placed_is_reported_with_its_reason() {
    for (break_it, reason) in [
        ((|world| world.write_file(PATH)) as fn(&World), Reason::SocketPathNotSocket),
        (|world| world.fail_next(Call::Listen, ErrorKind::NotFound), Reason::SocketDirectoryMissing),
        (|world| world.fail_next(Call::Listen, ErrorKind::Denied), Reason::SocketDenied),
        (|world| world.fail_next(Call::Listen, ErrorKind::Owner), Reason::SocketOwner),
    ] {
        let mut stage = Stage::started();
        break_it(&stage.world);
        stage.ask(link::Command::SetConfiguration(configuration(TargetState::Inactive)));
        assert_eq!(stage.heard(), [OK, last_word(ServerState::Error, reason)]);
        assert_eq!(stage.driver.exit_status(), Some(1));
    }
}

/// SM-36: who connected while the old server was gone is served by the new one.
#[test]
fn a_replacement_serves_the_socket_that_it_is_handed() {
    let mut old = Stage::configured(TargetState::Inactive);
    let mut buffer = [0; MESSAGE_BYTES_MAX];
    let mut kept = Descriptors::new();
    while old.manager.receive::<link::Message>(&mut buffer, &mut kept).is_ok() && kept.is_empty() {}
    let mut waiting = App::new(old.world.connect(PATH, PEER).unwrap());
    waiting.send(Command::Hello);
    let mut new = Stage::in_world(old.world.clone());
    drop(old);
    let command = link::Command::SetConfiguration(configuration(TargetState::Inactive));
    new.manager.send(&link::Request { sequence: 1, command }, kept).unwrap();
    new.run();
    assert_eq!(new.heard()[..3], [OK, link::Message::Listener, state(ServerState::Inactive)]);
    assert!(waiting.answer().is_ok());
}

/// SM-17, SM-32
#[test]
fn half_of_the_memory_is_freed_when_the_rest_cannot_be_had() {
    let mut stage = Stage::configured(TargetState::Inactive);
    stage.heard();
    stage.world.fail_next(Call::CreateBell, ErrorKind::Other);
    stage.ask(link::Command::SetState(TargetState::Active));
    assert_eq!(stage.heard(), [OK, state(ServerState::Active)]);
    assert_eq!(stage.memory.regions_in_use(), 8);
    stage.ask(link::Command::SetState(TargetState::Inactive));
    assert_eq!(stage.memory.regions_in_use(), 0);
    stage.heard();
    stage.world.fail_next(Call::CreateMemory, ErrorKind::Exhausted);
    stage.ask(link::Command::SetState(TargetState::Active));
    assert_eq!(stage.heard(), [OK, last_word(ServerState::Error, Reason::SharedMemory)]);
    assert_eq!((stage.memory.regions_in_use(), stage.driver.exit_status()), (0, None));
    stage.ask(link::Command::SetState(TargetState::NotRunning));
    assert_eq!(stage.driver.exit_status(), Some(0));
}

/// SM-18, SM-19, SM-20, SM-34
#[test]
fn not_running_from_active_leaves_nothing_behind() {
    let mut stage = Stage::active();
    let (mut app, session) = stage.with_session();
    app.descriptors.clear();
    stage.heard();
    stage.ask(link::Command::SetState(TargetState::NotRunning));
    assert_eq!(stage.heard(), [OK, last_word(ServerState::NotRunning, Reason::Asked)]);
    assert_eq!(app.events().last(), Some(&Event::SessionEnded { session }));
    assert!(app.is_closed());
    assert_eq!((stage.memory.regions_in_use(), stage.decoders.open_sessions()), (0, 0));
    assert!(stage.world.permissions(PATH).is_some(), "the manager has the socket too, and answers for its file");
    assert_eq!(stage.driver.exit_status(), Some(0));
}

/// The end of the manager is the end of the server.
#[test]
fn without_a_manager_the_server_frees_everything_and_ends() {
    let mut stage = Stage::active();
    let (mut app, _) = stage.with_session();
    app.descriptors.clear();
    let (unconnected, _) = SeqPacket::pair(&stage.world);
    stage.manager = Connection::answering(unconnected);
    stage.run();
    assert_eq!(stage.driver.exit_status(), Some(0));
    assert_eq!((stage.memory.regions_in_use(), stage.world.permissions(PATH)), (0, None));
}

#[test]
fn a_manager_that_talks_nonsense_is_as_good_as_gone() {
    let mut stage = Stage::active();
    let (mut garbage, theirs) = SeqPacket::pair(&stage.world);
    stage.home.platform.events = EventLoop::new(&stage.world);
    stage.driver = SessionDriver::new(theirs, recorder());
    stage.driver.start(&mut stage.home, stage.world.now(), Ok(()));
    garbage.send(&[0xFF; 40], &[]).unwrap();
    stage.run();
    assert_eq!(stage.driver.exit_status(), Some(0));
}

/// SM-23: memory, session, source; and a frame that the app puts into the ring comes out at the decoder.
#[test]
fn a_frame_goes_from_the_app_to_the_decoder() {
    let mut stage = Stage::active();
    let mut app = stage.greeted();
    let shared = stage.call(&mut app, Command::GetSharedMemory);
    let Ok(Answer::SharedMemory { client_bytes, server_bytes }) = shared else { panic!("{shared:?}") };
    let [client, server] = &app.descriptors[..] else { panic!("two regions come with the answer") };
    let client = OwnRegion::attach(client, client_bytes).unwrap();
    let server = PeerRegion::attach(server, server_bytes).unwrap();
    let Ok(Answer::Session { session }) = stage.call(&mut app, Command::CreateSession) else { panic!() };
    assert_eq!(stage.call(&mut app, Command::Load { session, live: false }), Ok(Answer::Done));
    let attached = stage.call(&mut app, Command::AttachSource { session, source: VIDEO });
    let Ok(Answer::Source { source, ring }) = attached else { panic!("{attached:?}") };
    assert_eq!(app.descriptors.len(), 2, "two bells come with the answer");
    push(client, server, &ring);
    let taken = stage.decoders.with_frames(session.index, source, |frames| {
        let header = frames.next().unwrap().unwrap();
        let mut payload = [0; 5];
        frames.copy_payload(&mut payload).unwrap();
        (header.bytes, payload)
    });
    assert_eq!(taken, Some((5, *b"hello")));
}

fn push(client: OwnRegion, server: PeerRegion, ring: &RingPlace) {
    let mut producer = Producer::<_, _, RING_SLOTS>::new(client, server, ring).unwrap();
    let frame = Record {
        kind: RecordKind::Frame,
        presentation_ns: Some(0),
        decode_ns: None,
        duration_ns: None,
        is_key: true,
        payload: b"hello",
    };
    let _ = producer.push(&frame).unwrap();
}

/// SM-24
#[test]
fn outside_active_there_is_no_memory() {
    let mut stage = Stage::configured(TargetState::Inactive);
    let mut app = stage.greeted();
    assert_eq!(stage.call(&mut app, Command::GetSharedMemory), Err(Refusal::NotActive));
}

/// SM-29
#[test]
fn a_client_hears_active_and_inactive_without_asking() {
    let mut stage = Stage::configured(TargetState::Inactive);
    let mut app = stage.greeted();
    app.events();
    stage.ask(link::Command::SetState(TargetState::Active));
    assert_eq!(app.events(), [Event::ApplicationState(AppState::Running)]);
    stage.ask(link::Command::SetState(TargetState::Inactive));
    assert_eq!(app.events(), [Event::ApplicationState(AppState::Inactive)]);
}

/// Two calls of one client: the second waits for the first; what needs no decoder between them does not.
///
/// Field failure 64
#[test]
fn an_order_waits_for_the_one_before_it_and_a_question_does_not() {
    let mut stage = Stage::active();
    let (mut app, session) = stage.with_session();
    stage.decoders.wait_for_me();
    stage.decoders.set_position_ns(42);
    app.send(Command::Load { session, live: false });
    app.send(Command::GetPosition { session });
    app.send(Command::AttachSource { session, source: VIDEO });
    app.send(Command::GetPosition { session });
    stage.run();
    assert_eq!(app.answer(), Ok(Answer::Position { position_ns: 42 }));
    assert_eq!(app.hear(), None);
    assert_eq!(stage.decoders.pending(session.index), Some(Given::Load { live: false }));
    stage.decoders.complete(session.index, Ok(()));
    stage.run();
    assert_eq!(app.answer(), Ok(Answer::Done));
    assert_eq!(app.answer(), Ok(Answer::Position { position_ns: 42 }));
    assert_eq!(stage.decoders.pending(session.index), Some(Given::Attach { source: SourceId(0), stream: () }));
    stage.decoders.complete(session.index, Ok(()));
    stage.run();
    assert!(matches!(app.answer(), Ok(Answer::Source { .. })));
}

/// SM-30, SM-35
#[test]
fn a_decoder_that_hangs_costs_its_session_and_nobody_else() {
    let mut stage = Stage::active();
    let (mut app, session) = stage.with_session();
    let (mut other, others) = stage.with_session();
    stage.decoders.wait_for_me();
    app.send(Command::Load { session, live: false });
    stage.run();
    stage.pass(DECODER_TIMEOUT);
    assert_eq!(app.answer(), Err(Refusal::Failed(PlaybackError::DecoderStuck)));
    let play = Command::Play { session };
    assert_eq!(stage.call(&mut app, play), Err(Refusal::WrongState { state: PlaybackState::Failed }));
    assert!(stage.call(&mut other, Command::GetPosition { session: others }).is_ok());
}

/// SM-21, SM-36
#[test]
fn a_decoder_that_never_lets_go_ends_the_server() {
    let mut stage = Stage::active();
    let (_app, _) = stage.with_session();
    stage.decoders.wait_for_me();
    stage.heard();
    stage.ask(link::Command::SetState(TargetState::Inactive));
    assert_eq!(stage.heard(), [OK]);
    stage.pass(DECODER_TIMEOUT);
    assert_eq!(stage.heard(), [last_word(ServerState::Error, Reason::DecoderStuck)]);
    assert_eq!(stage.driver.exit_status(), Some(1));
}

/// SM-35
#[test]
fn a_client_that_dies_in_the_middle_costs_only_its_own_session() {
    let mut stage = Stage::active();
    let (mut app, session) = stage.with_session();
    let (mut other, others) = stage.with_session();
    app.send(Command::Load { session, live: false });
    app.send(Command::Play { session });
    drop(app);
    stage.run();
    assert_eq!(stage.decoders.open_sessions(), 1);
    assert_eq!(stage.call(&mut other, Command::Load { session: others, live: false }), Ok(Answer::Done));
    let next = stage.with_session();
    assert_eq!(next.1.index, session.index);
}

/// SM-33
#[test]
fn an_app_gets_no_more_slots_than_its_resources_say() {
    let mut stage = Stage::active();
    let _apps = [stage.with_session(), stage.with_session()];
    let mut third = stage.greeted();
    let full = Refusal::Full { table: TableName::PlaybackSessions, capacity: 2, in_use: 2 };
    assert_eq!(stage.call(&mut third, Command::GetSharedMemory), Err(full));
}

/// SM-35
///
/// Field failure K
#[test]
fn garbage_with_a_number_is_refused_and_other_garbage_ends_that_connection_only() {
    let mut stage = Stage::active();
    let mut other = stage.greeted();
    let socket = stage.world.connect(PATH, PEER).unwrap();
    let mut app = App::new(socket);
    app.send(Command::Hello);
    stage.run();
    app.answer().unwrap();
    app.connection.send(&(9_u32, 250_u8), Descriptors::new()).unwrap();
    stage.run();
    assert_eq!(app.answer(), Err(Refusal::Malformed));
    app.connection.send(&u64::MAX, Descriptors::new()).unwrap();
    stage.run();
    assert!(app.is_closed());
    assert!(stage.call(&mut other, Command::GetSharedMemory).is_ok());
}

/// Field failure 58
#[test]
fn a_client_of_another_version_is_told_which_ones_are_spoken() {
    let mut stage = Stage::active();
    let mut socket = stage.world.connect(PATH, PEER).unwrap();
    let mut buffer = [0; 16];
    let hello = postcard::encode_first(&Request { sequence: 9, command: Command::Hello }, &mut buffer).unwrap();
    let mut hello = hello.to_vec();
    (hello[3], hello[4]) = (200, 201);
    socket.send(&hello, &[]).unwrap();
    stage.run();
    let mut app = App::new(socket);
    assert_eq!(app.answer(), Err(Refusal::Version { min: 1, max: 1 }));
    assert!(app.is_closed());
}

/// SM-35
///
/// Field failures 67, C, L
#[test]
fn a_client_that_does_not_read_holds_up_nobody_and_is_told_later() {
    let mut stage = Stage::active();
    let socket = stage.world.connect(PATH, PEER).unwrap();
    socket.set_capacity(0);
    let mut deaf = App::new(socket);
    deaf.send(Command::Hello);
    deaf.send(Command::GetSharedMemory);
    stage.run();
    let (mut other, session) = stage.with_session();
    for position_ns in 0..1000 {
        stage.decoders.say(DecoderEvent::Position { session: session.index, position_ns });
    }
    stage.run();
    assert!(other.events().len() < 1000, "its queue was full");
    stage.run();
    let later = other.events();
    assert!(later.len() <= 2, "one had been sent already, and of the others only the latest is told: {later:?}");
    assert_eq!(later.last(), Some(&Event::Position { session, position_ns: 999 }));
    deaf.connection.socket().set_capacity(16);
    stage.run();
    assert!(matches!(deaf.answer(), Ok(Answer::Welcome { .. })));
    assert!(matches!(deaf.answer(), Ok(Answer::SharedMemory { .. })));
}

/// Field failure 20
#[test]
fn a_client_that_does_not_read_and_dies_is_noticed() {
    let mut stage = Stage::active();
    let socket = stage.world.connect(PATH, PEER).unwrap();
    socket.set_capacity(0);
    let mut deaf = App::new(socket);
    deaf.send(Command::Hello);
    stage.run();
    let watched = stage.home.platform.events.watched();
    drop(deaf);
    stage.run();
    assert_eq!(stage.home.platform.events.watched(), watched - 1);
}

#[test]
fn a_box_without_descriptors_takes_the_connection_a_little_later() {
    let mut stage = Stage::active();
    stage.world.fail_next(Call::Accept, ErrorKind::Exhausted);
    let mut app = stage.connect();
    app.send(Command::Hello);
    stage.run();
    assert_eq!(app.hear(), None);
    let due = stage.driver.next_deadline().unwrap();
    stage.pass(due.since(stage.world.now()));
    stage.run();
    assert!(app.answer().is_ok());
}

#[test]
fn one_client_too_many_is_told_so() {
    let mut stage = Stage::active();
    let _apps: Vec<App> = (0..CLIENTS_MAX).map(|_| stage.greeted()).collect();
    let mut surplus = stage.connect();
    let told = stage.call(&mut surplus, Command::Hello);
    assert!(matches!(told, Err(Refusal::Full { table: TableName::Clients, .. })), "{told:?}");
    assert!(surplus.is_closed());
}

#[test]
fn an_unkind_world_changes_nothing_that_anybody_sees() {
    for seed in 0..20 {
        let mut stage = Stage::active();
        for _ in 0..seed {
            stage.world.random(2);
        }
        stage.world.be_unkind();
        let (mut app, session) = stage.with_session();
        let (mut other, _) = stage.with_session();
        assert_eq!(stage.call(&mut app, Command::Load { session, live: false }), Ok(Answer::Done));
        assert_eq!(stage.call(&mut other, Command::Play { session }), Err(Refusal::UnknownSession));
        stage.ask(link::Command::SetState(TargetState::Inactive));
        assert!(app.events().contains(&Event::SessionEnded { session }));
    }
}

/// Field failure 11
#[test]
fn a_ping_waits_for_every_worker_that_is_still_at_what_was_given_up() {
    let mut stage = Stage::active();
    let mut apps = [stage.with_session(), stage.with_session()];
    stage.decoders.wait_for_me();
    for (app, session) in &mut apps {
        app.send(Command::Load { session: *session, live: false });
    }
    stage.run();
    stage.pass(DECODER_TIMEOUT);
    stage.heard();
    stage.ask(link::Command::Ping);
    let [first, second] = apps.each_ref().map(|(_, session)| session.index);
    stage.decoders.complete(first, Ok(()));
    stage.run();
    assert_eq!(stage.heard(), []);
    stage.decoders.complete(second, Ok(()));
    stage.run();
    assert_eq!(stage.heard(), [OK]);
}

/// SM-35
///
/// Field failure C
#[test]
fn a_client_that_is_stopped_is_let_go_and_another_one_goes_on() {
    let health = HealthCheck { interval_ms: 100, failures_max: 3 };
    let mut stage = Stage::started();
    let configuration = link::Configuration { health, ..configuration(TargetState::Active) };
    stage.ask(link::Command::SetConfiguration(configuration));
    let (mut stopped, _) = stage.with_session();
    let (mut well, session) = stage.with_session();
    let mut looks = 0..20;
    while !stopped.is_closed() {
        assert!(looks.next().is_some(), "it is never let go");
        stage.pass(std::time::Duration::from_millis(100));
        stage.run();
        if well.events().contains(&Event::Ping) {
            assert_eq!(stage.call(&mut well, Command::Pong), Ok(Answer::Done));
        }
    }
    assert!(stage.call(&mut well, Command::GetPosition { session }).is_ok());
    assert_eq!(stage.decoders.open_sessions(), 1);
}
