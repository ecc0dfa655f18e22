//! The library as an app sees it, against a session server that does as it is told.

mod fake_server;
mod reconnect;

use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use fake_server::{FakeServer, FakeSource, Manner, SESSION};
use greenroom_core::limits::CALL_TIMEOUT;
use greenroom_core::message::playback::{Codec, Event, PlaybackState, Refusal, Shape, SourceDescription, TableName};
use greenroom_core::ring::RecordKind;

use super::*;

const SOON: Duration = Duration::from_secs(10);
const H264: SourceDescription<'_> = SourceDescription { codec: Codec::H264, shape: ZERO, codec_data: b"avcC" };
const OPUS: SourceDescription<'_> = SourceDescription { codec: Codec::Opus, shape: ZERO, codec_data: &[] };
const ZERO: Shape =
    Shape { width: 0, height: 0, frame_rate_numerator: 0, frame_rate_denominator: 0, sample_rate: 0, channels: 0 };

fn running(server: &FakeServer) -> Client {
    let client = Client::connect(server.path()).expect("welcomed");
    client.set_application_state(AppState::Running).expect("memory");
    client
}

struct Playing {
    server: FakeServer,
    client: Client,
    session: Session,
    source: Source,
    far_end: FakeSource,
}

fn playing() -> Playing {
    let server = FakeServer::start(Manner::Honest);
    let client = running(&server);
    let session = client.create_session().expect("a session");
    let source = session.attach_source(H264).expect("a source");
    let far_end = server.sources.recv_timeout(SOON).expect("the server's end");
    Playing { server, client, session, source, far_end }
}

fn frame(data: &[u8]) -> Frame<'_> {
    Frame { presentation: Some(Duration::from_millis(40)), data, ..Frame::default() }
}

/// Pushes until the ring is full.
fn fill(source: &mut Source) {
    while source.try_push(&frame(b"x")).is_ok() {}
    assert_eq!(source.try_push(&frame(b"x")), Err(PushError::Full));
}

/// How often the memory of this inode is mapped into this process.
fn mappings(inode: u64) -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
    maps.lines().filter(|line| line.split_whitespace().nth(4) == Some(&inode.to_string())).count()
}

/// Waits until it is so.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        thread::yield_now();
    }
}

/// SM-22
///
/// Field failure 69
#[test]
fn connecting_where_there_is_no_server_names_the_path_and_the_reason() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("nobody.sock");
    let error = Client::connect(&path).expect_err("nobody is there");
    assert_eq!(error, ConnectError::NoServer { path, reason: LostReason::Unreachable(ErrorKind::NotFound) });
    assert!(error.to_string().contains("is the app's session server started?"), "{error}");
}

#[test]
fn a_path_that_is_too_long_for_a_socket_is_the_callers_fault() {
    let error = Client::connect("/".repeat(108)).expect_err("too long");
    assert!(matches!(error, ConnectError::Path { .. }));
}

/// SM-22, SM-29
#[test]
fn a_connected_app_knows_its_state() {
    let server = FakeServer::start(Manner::Honest);
    let client = Client::connect(server.path()).expect("welcomed");
    assert_eq!(client.application_state(), AppState::Running);
    let events = client.events();
    server.say(Event::ApplicationState(AppState::Inactive));
    client.wait_for_application_state(AppState::Inactive, SOON).expect("told");
    assert_eq!(events.next(SOON), Some(ClientEvent::Server(Event::ApplicationState(AppState::Inactive))));
}

#[test]
fn a_server_that_is_full_refuses_with_its_numbers() {
    let full = Refusal::Full { table: TableName::Clients, capacity: 8, in_use: 8 };
    let server = FakeServer::start(Manner::Refusing(full));
    let error = Client::connect(server.path()).expect_err("full");
    assert_eq!(error, ConnectError::NoServer { path: server.path(), reason: LostReason::Refused(full) });
}

/// SM-30
///
/// Field failure 72
#[test]
fn a_server_that_never_greets_is_given_up() {
    let server = FakeServer::start(Manner::Mute);
    let error = Client::connect(server.path()).expect_err("silent");
    assert_eq!(error, ConnectError::NoServer { path: server.path(), reason: LostReason::Silent });
}

/// SM-24
#[test]
fn memory_outside_active_is_refused() {
    let server = FakeServer::start(Manner::Honest);
    let client = Client::connect(server.path()).expect("welcomed");
    server.set_manner(Manner::Refusing(Refusal::NotActive));
    let error = client.set_application_state(AppState::Running).expect_err("refused");
    assert_eq!(error, CallError::Refused(Refusal::NotActive));
    assert_eq!(client.set_application_state(AppState::Unknown), Err(CallError::NotAState));
}

/// SM-35: what the server says of the memory is checked against the memory.
#[test]
fn memory_that_is_smaller_than_the_server_says_is_given_back() {
    let server = FakeServer::start(Manner::Honest);
    let client = Client::connect(server.path()).expect("welcomed");
    server.set_manner(Manner::Overstating);
    let error = client.set_application_state(AppState::Running).expect_err("too small");
    assert!(matches!(error, CallError::Memory(_)), "{error}");
    server.await_command("ReleaseSharedMemory");
}

/// SM-23, SM-25
#[test]
fn frames_arrive_with_what_is_said_about_them() {
    let Playing { mut source, mut far_end, session, client: _client, server: _server } = playing();
    let sent = Frame {
        presentation: Some(Duration::from_millis(80)),
        decode: Some(Duration::from_millis(40)),
        duration: None,
        is_key: true,
        data: b"picture",
    };
    source.push(&sent, SOON).expect("room");
    source.set_codec_data(b"new", SOON).expect("room");
    source.end_of_stream(SOON).expect("room");
    let (header, payload) = far_end.take().expect("a frame");
    assert_eq!((header.presentation_ns, header.decode_ns), (Some(80_000_000), Some(40_000_000)));
    assert_eq!((header.duration_ns, header.is_key, &payload[..]), (None, true, &b"picture"[..]));
    assert_eq!(far_end.take_kinds(), [RecordKind::CodecData, RecordKind::EndOfStream]);
    assert_eq!(session.position(), Ok(Duration::from_millis(1_500)));
    assert_eq!(session.duration(), Ok(None));
    assert_eq!(session.statistics(source.id()).expect("known").frames_taken, 3);
}

#[test]
fn a_codecs_configuration_travels_with_its_source() {
    let Playing { server, source: _source, far_end: _far_end, session: _session, client: _client } = playing();
    let command = server.await_command("AttachSource");
    assert!(command.contains(&format!("{:?}", b"avcC")), "{command}");
}

#[test]
fn a_push_waits_for_space_and_no_longer_than_it_was_told() {
    let Playing { mut source, mut far_end, session, client: _client, server: _server } = playing();
    fill(&mut source);
    let before = Instant::now();
    assert_eq!(source.push(&frame(b"x"), Duration::from_millis(30)), Err(PushError::Full));
    assert!(before.elapsed() >= Duration::from_millis(30));
    let pusher = thread::spawn(move || source.push(&frame(b"last"), SOON));
    eventually("the frame that waits arrives", || far_end.take().is_some_and(|(_, payload)| payload == b"last"));
    assert_eq!(pusher.join().expect("no panic"), Ok(()));
    drop(session);
}

/// A timeout that no clock can count to is no timeout.
#[test]
fn waiting_for_ever_is_a_timeout_like_any_other() {
    let Playing { mut source, session: _session, client, server, far_end: _far_end } = playing();
    let events = client.events();
    assert_eq!(source.push(&frame(b"x"), Duration::MAX), Ok(()));
    server.say(Event::ApplicationState(AppState::Inactive));
    client.wait_for_application_state(AppState::Inactive, Duration::MAX).expect("told");
    assert!(events.next(Duration::MAX).is_some());
}

#[test]
fn a_frame_larger_than_its_ring_is_the_callers_fault() {
    let Playing { mut source, session: _session, far_end: _far_end, client: _client, server: _server } = playing();
    let huge = vec![0; 64 * 1024 * 1024];
    assert!(matches!(source.try_push(&frame(&huge)), Err(PushError::TooLarge { .. })));
}

/// A seek while a thread waits for space: it is told, and its next frame is of the new position.
#[test]
fn a_seek_wakes_a_push_that_waits_and_the_next_frame_is_of_the_new_position() {
    let Playing { mut source, mut far_end, session, server, client: _client } = playing();
    fill(&mut source);
    let (started, is_started) = channel();
    let pusher = thread::spawn(move || {
        started.send(()).expect("heard");
        let waiting = source.push(&frame(b"old"), SOON);
        let after = source.push(&frame(b"new"), SOON);
        (waiting, after)
    });
    is_started.recv_timeout(SOON).expect("started");
    session.set_position(Duration::from_secs(5)).expect("done");
    assert!(server.await_command("SetPosition").contains("position_ns: 5000000000, epoch: 1"));
    far_end.set_epoch(1);
    let mut taken = None;
    eventually("the new frame arrives", || {
        taken = far_end.take();
        taken.is_some()
    });
    let (header, payload) = taken.expect("a frame");
    assert_eq!((header.epoch, &payload[..]), (1, &b"new"[..]));
    assert!(far_end.stale_records() > 0);
    assert_eq!(pusher.join().expect("no panic"), (Err(PushError::Flushed), Ok(())));
}

/// A seek bar that is dragged: however many seeks there were, the frames after them are of the last.
///
/// Field failure 41
#[test]
fn many_seeks_in_a_row_tell_the_pusher_and_leave_one_epoch() {
    let Playing { mut source, mut far_end, session, client: _client, server: _server } = playing();
    for second in 0..50 {
        session.set_position(Duration::from_secs(second)).expect("done");
    }
    assert_eq!(source.push(&frame(b"x"), SOON), Err(PushError::Flushed));
    source.push(&frame(b"x"), SOON).expect("room");
    far_end.set_epoch(50);
    assert_eq!(far_end.take().expect("a frame").0.epoch, 50);
}

#[test]
fn a_refused_seek_leaves_the_frames_where_they_were() {
    let Playing { mut source, mut far_end, session, server, client: _client } = playing();
    let refusal = Refusal::WrongState { state: PlaybackState::Idle };
    server.set_manner(Manner::Refusing(refusal));
    assert_eq!(session.set_position(Duration::ZERO), Err(CallError::Refused(refusal)));
    assert_eq!(session.flush(source.id(), true), Err(CallError::Refused(refusal)));
    source.push(&frame(b"x"), SOON).expect("it is not old");
    assert_eq!(far_end.take().expect("a frame").0.epoch, 0);
}

#[test]
fn a_flush_of_one_source_leaves_the_others_alone() {
    let Playing { mut source, session, server, far_end: _far_end, client: _client } = playing();
    let mut sound = session.attach_source(OPUS).expect("a second source");
    let mut far_sound = server.sources.recv_timeout(SOON).expect("the server's end");
    session.flush(sound.id(), true).expect("done");
    assert_eq!(source.try_push(&frame(b"picture")), Ok(()));
    assert_eq!(sound.try_push(&frame(b"sound")), Err(PushError::Flushed));
    assert_eq!(sound.try_push(&frame(b"sound")), Ok(()));
    far_sound.set_epoch(1);
    assert_eq!(far_sound.take().expect("a frame").0.epoch, 1);
}

/// The rings of a stopped session go to the sources of the next load; two writers in one ring would break it.
#[test]
fn a_stopped_session_shuts_its_sources_and_takes_others() {
    let Playing { mut source, session, server, far_end: _far_end, client: _client } = playing();
    fill(&mut source);
    let pusher = thread::spawn(move || (source.push(&frame(b"x"), SOON), source));
    session.stop().expect("done");
    let (pushed, mut source) = pusher.join().expect("no panic");
    assert_eq!(pushed, Err(PushError::Ended(SessionEnd::Stopped)));
    assert_eq!(session.end(), None);
    let mut another = session.attach_source(H264).expect("a source");
    let mut far_end = server.sources.recv_timeout(SOON).expect("the server's end");
    assert_eq!(source.try_push(&frame(b"old")), Err(PushError::Ended(SessionEnd::Stopped)));
    another.try_push(&frame(b"new")).expect("room");
    assert_eq!(far_end.take().expect("a frame").1, b"new");
}

/// A source whose attach is under way while another thread seeks belongs to the position behind the seek.
///
/// Field failure 31
#[test]
fn a_seek_waits_until_a_source_is_attached() {
    let Playing { source: _source, session, server, far_end: _far_end, client: _client } = playing();
    server.await_command("AttachSource");
    server.set_manner(Manner::Slow);
    let (mut sound, mut far_sound) = thread::scope(|scope| {
        let attaching = scope.spawn(|| session.attach_source(OPUS).expect("a second source"));
        server.await_command("AttachSource");
        let (started, is_started) = channel();
        let session = &session;
        let seeking = scope.spawn(move || {
            started.send(()).expect("heard");
            session.set_position(Duration::ZERO)
        });
        is_started.recv_timeout(SOON).expect("started");
        server.set_manner(Manner::Honest);
        assert_eq!(seeking.join().expect("no panic"), Ok(()));
        (attaching.join().expect("no panic"), server.sources.recv_timeout(SOON).expect("the server's end"))
    });
    assert_eq!(sound.try_push(&frame(b"sound")), Err(PushError::Flushed));
    sound.try_push(&frame(b"sound")).expect("room");
    far_sound.set_epoch(1);
    assert_eq!(far_sound.take().expect("a frame").0.epoch, 1);
}

/// SM-30: a server that hangs in a seek holds nobody longer than a call may take. Whether it was done is not known then, so
/// the frames are old.
#[test]
fn a_seek_that_is_never_answered_ends_by_itself_and_then_the_pusher_is_told() {
    let Playing { mut source, session, server, far_end: _far_end, client: _client } = playing();
    fill(&mut source);
    server.set_manner(Manner::Mute);
    let pusher = thread::spawn(move || source.push(&frame(b"old"), 2 * CALL_TIMEOUT));
    assert_eq!(session.set_position(Duration::ZERO), Err(CallError::TimedOut));
    assert_eq!(pusher.join().expect("no panic"), Err(PushError::Flushed));
}

/// SM-25: the memory goes with the last frame that is being written, and nothing crashes.
///
/// Field failure 28
#[test]
fn going_inactive_in_the_middle_of_pushing_ends_it_with_the_reason_and_unmaps() {
    for _ in 0..20 {
        let Playing { mut source, mut far_end, session, client, server } = playing();
        let (started, is_started) = channel();
        let pusher = thread::spawn(move || {
            let picture = vec![7; 300_000];
            started.send(()).expect("heard");
            loop {
                if let Err(error) = source.push(&frame(&picture), SOON) {
                    return (error, source);
                }
            }
        });
        is_started.recv_timeout(SOON).expect("started");
        eventually("frames flow", || far_end.take().is_some());
        client.set_application_state(AppState::Inactive).expect("given back");
        let (error, _source) = pusher.join().expect("no panic");
        assert_eq!(error, PushError::Ended(SessionEnd::Inactive));
        assert_eq!(session.end(), Some(SessionEnd::Inactive));
        assert!(client.link.memory().is_none());
        server.await_command("ReleaseSharedMemory");
    }
}

/// SM-25, SM-29
///
/// Field failure N
#[test]
fn a_server_that_leaves_active_ends_session_and_pushes() {
    let Playing { mut source, session, client, server, far_end: _far_end } = playing();
    fill(&mut source);
    let events = client.events();
    let pusher = thread::spawn(move || source.push(&frame(b"x"), SOON));
    server.say(Event::ApplicationState(AppState::Inactive));
    assert_eq!(pusher.join().expect("no panic"), Err(PushError::Ended(SessionEnd::Inactive)));
    assert_eq!(events.next(SOON), Some(ClientEvent::Server(Event::SessionEnded { session: SESSION })));
    assert_eq!(session.play(), Err(CallError::NotTaken(NotTaken::SessionEnded)));
}

/// SM-25, SM-34
#[test]
fn going_inactive_unmaps_the_memory_under_sources_that_are_kept() {
    let Playing { mut source, session: _session, client, server, far_end: _far_end } = playing();
    let inode = server.memories.recv_timeout(SOON).expect("leased");
    assert_eq!(mappings(inode), 2, "the server's mapping and the app's");
    client.set_application_state(AppState::Inactive).expect("given back");
    assert_eq!(mappings(inode), 1, "the server's mapping");
    assert_eq!(source.try_push(&frame(b"x")), Err(PushError::Ended(SessionEnd::Inactive)));
}

/// SM-30, SM-36
///
/// Field failure 70
#[test]
fn a_server_that_dies_ends_every_wait_with_the_reason() {
    let Playing { mut source, session, client, server, far_end: _far_end } = playing();
    fill(&mut source);
    let events = client.events();
    server.set_manner(Manner::Mute);
    let pusher = thread::spawn(move || source.push(&frame(b"x"), SOON));
    let caller = thread::spawn(move || (session.position(), session));
    server.await_command("GetPosition");
    server.close();
    assert_eq!(pusher.join().expect("no panic"), Err(PushError::Ended(SessionEnd::ConnectionLost)));
    let (position, session) = caller.join().expect("no panic");
    assert_eq!(position, Err(CallError::ConnectionLost));
    assert_eq!(session.end(), Some(SessionEnd::ConnectionLost));
    assert_eq!(client.create_session().map(drop), Err(CallError::ConnectionLost));
    assert_eq!((client.application_state(), client.lost()), (AppState::Unknown, Some(LostReason::Closed)));
    eventually("the app is told", || events.next(SOON) == Some(ClientEvent::ConnectionLost(LostReason::Closed)));
    assert_eq!(client.given_up(), None, "the server may come back");
}

/// SM-36
#[test]
fn a_server_that_answers_what_was_not_asked_loses_its_client() {
    let Playing { session, client, server, source: _source, far_end: _far_end } = playing();
    server.set_manner(Manner::Lying);
    assert_eq!(session.play(), Err(CallError::ConnectionLost));
    assert_eq!(client.lost(), Some(LostReason::Misbehaved));
}

#[test]
fn a_session_that_is_dropped_is_destroyed_at_the_server() {
    let Playing { session, server, mut source, far_end: _far_end, client: _client } = playing();
    drop(session);
    server.await_command("DestroySession");
    assert_eq!(source.try_push(&frame(b"x")), Err(PushError::Ended(SessionEnd::Destroyed)));
}

#[test]
fn destroying_a_session_that_has_ended_is_done_already() {
    let Playing { session, client, server: _server, source: _source, far_end: _far_end } = playing();
    client.set_application_state(AppState::Inactive).expect("given back");
    assert_eq!(session.destroy(), Ok(()));
}

#[test]
fn a_session_knows_the_state_that_the_server_said_last() {
    let Playing { session, server, source: _source, far_end: _far_end, client: _client } = playing();
    assert_eq!(session.state(), PlaybackState::Idle);
    server.say(Event::PlaybackState { session: SESSION, state: PlaybackState::Playing });
    eventually("it plays", || session.state() == PlaybackState::Playing);
}

#[test]
fn everything_can_be_used_from_any_thread() {
    fn assert_send_and_sync<T: Send + Sync>() {}
    assert_send_and_sync::<Client>();
    assert_send_and_sync::<Session>();
    assert_send_and_sync::<Source>();
    assert_send_and_sync::<Events>();
}

/// SM-34: dropping the client leaves neither its thread nor its descriptors.
#[test]
fn a_dropped_client_ends_its_sessions_and_disconnects() {
    let Playing { client, session, mut source, server, far_end: _far_end } = playing();
    drop(client);
    assert_eq!(source.try_push(&frame(b"x")), Err(PushError::Ended(SessionEnd::ConnectionLost)));
    assert_eq!(session.play(), Err(CallError::ConnectionLost));
    drop(server);
}

/// Field failure 29: each session's frames are in its own memory, and go with it.
#[test]
fn several_sessions_have_memory_of_their_own_and_dropping_one_leaves_the_others() {
    let Playing { mut source, mut far_end, session, client, server } = playing();
    let second = client.create_session().expect("a second session");
    assert_ne!(second.id(), session.id());
    let mut other = second.attach_source(H264).expect("a source");
    let mut far_other = server.sources.recv_timeout(SOON).expect("the server's end");
    source.push(&frame(b"first"), SOON).expect("room");
    other.push(&frame(b"second"), SOON).expect("room");
    assert_eq!(far_end.take().expect("a frame").1, b"first");
    assert_eq!(far_other.take().expect("a frame").1, b"second");
    let [inode, further] = [(); 2].map(|()| server.memories.recv_timeout(SOON).expect("leased"));
    drop(second);
    assert_eq!(other.try_push(&frame(b"x")), Err(PushError::Ended(SessionEnd::Destroyed)));
    assert_eq!((mappings(inode), mappings(further)), (2, 1), "of the second only the server's mapping is left");
    source.push(&frame(b"on and on"), SOON).expect("room");
    assert_eq!(far_end.take().expect("a frame").1, b"on and on");
}

#[test]
fn a_further_session_whose_memory_cannot_be_mapped_is_destroyed_and_the_first_plays_on() {
    let Playing { mut source, mut far_end, session, client, server } = playing();
    server.set_manner(Manner::Overstating);
    let error = client.create_session().expect_err("too small");
    assert!(matches!(error, CallError::Memory(_)), "{error}");
    server.await_command("DestroySession");
    source.push(&frame(b"x"), SOON).expect("room");
    assert!(far_end.take().is_some());
    assert_eq!(session.end(), None);
}

#[test]
fn going_inactive_ends_every_session_and_unmaps_all_memory() {
    let Playing { mut source, session: _session, client, server, far_end: _far_end } = playing();
    let second = client.create_session().expect("a second session");
    let mut other = second.attach_source(H264).expect("a source");
    client.set_application_state(AppState::Inactive).expect("given back");
    for source in [&mut source, &mut other] {
        assert_eq!(source.try_push(&frame(b"x")), Err(PushError::Ended(SessionEnd::Inactive)));
    }
    let inodes = [(); 2].map(|()| server.memories.recv_timeout(SOON).expect("leased"));
    assert_eq!(inodes.map(mappings), [1, 1], "the server's mappings");
}

#[test]
fn a_source_that_was_removed_takes_no_more_frames_and_the_others_do() {
    let Playing { mut source, session, server, far_end: _far_end, client: _client } = playing();
    let mut sound = session.attach_source(OPUS).expect("a second source");
    session.remove_source(sound.id()).expect("done");
    server.await_command("RemoveSource");
    assert_eq!(sound.try_push(&frame(b"x")), Err(PushError::Ended(SessionEnd::Removed)));
    assert_eq!(source.try_push(&frame(b"x")), Ok(()));
}

/// Field failure 65
#[test]
fn a_session_remembers_what_was_set_and_a_new_one_starts_from_defaults() {
    let Playing { session, client, server, source: _source, far_end: _far_end } = playing();
    session.set_volume(500).expect("done");
    session.set_mute(true).expect("done");
    session.set_playback_rate(2000).expect("done");
    server.set_manner(Manner::Refusing(Refusal::OutOfRange));
    assert!(session.set_volume(9000).is_err() && session.set_playback_rate(9000).is_err());
    server.set_manner(Manner::Honest);
    assert_eq!((session.volume(), session.is_muted(), session.playback_rate()), (500, true, 2000));
    session.stop().expect("done");
    assert_eq!((session.volume(), session.is_muted(), session.playback_rate()), (500, true, 1000));
    let next = client.create_session().expect("a session");
    assert_eq!((next.volume(), next.is_muted(), next.playback_rate()), (1000, false, 1000));
}

#[test]
fn texts_come_in_order_with_their_times_and_those_of_no_session_do_not() {
    let Playing { session, client, server, source: _source, far_end: _far_end } = playing();
    let events = client.events();
    server.show(SESSION, "one");
    server.show(greenroom_core::message::playback::SessionId { index: 7, generation: 7 }, "nobody's");
    server.show(SESSION, "two");
    for body in ["one", "two"] {
        let text = DueText {
            source: greenroom_core::message::playback::SourceId(0),
            start: Duration::from_nanos(5),
            duration: None,
            missed: 0,
            body: body.into(),
        };
        assert_eq!(events.next(SOON), Some(ClientEvent::Text { session: session.id(), text }));
    }
}
