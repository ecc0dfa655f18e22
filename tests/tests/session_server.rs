//! The real session server: its process, its sockets, its memory. The test is the manager and the app.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use greenroom_core::driver::Connection;
use greenroom_core::hal::{Child, Descriptors, ExitStatus, Signal, Socket};
use greenroom_core::message::playback::{
    Answer, Codec, Command as Call, Event, Refusal, Request, Shape, SourceDescription, SourceId,
};
use greenroom_core::message::{AppState, Reason, ServerState, TargetState, link};
use greenroom_hal_linux::memory;
use greenroom_hal_linux::socket::SeqPacket;
use greenroom_tests::session_process::{App, PATIENCE, Server, configured_at, program, until};
use greenroom_tests::session_stage::{OK, last_word, state};

#[test]
fn started_by_hand_it_says_who_starts_it() {
    let output = Command::new(program()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("--link-fd") && said.contains("greenroomd"), "{said}");
    let output = Command::new(program()).args(["--link-fd", "77"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "there is no such descriptor");
}

/// SM-05, SM-07, SM-08
#[test]
fn it_comes_up_is_configured_and_listens_with_its_permissions() {
    let server = Server::configured(TargetState::Inactive);
    assert_eq!(fs::metadata(server.socket()).unwrap().permissions().mode() & 0o777, 0o620);
    assert_eq!(server.memory(), (0, 0));
}

/// SM-10, SM-34
#[test]
fn a_socket_that_cannot_be_made_is_reported_with_its_reason_and_ends_it() {
    let place = tempfile::tempdir().unwrap();
    let missing = place.path().join("no/such/app1");
    let taken = place.path().join("taken");
    fs::write(&taken, "").unwrap();
    for (path, reason) in [(&missing, Reason::SocketDirectoryMissing), (&taken, Reason::SocketPathNotSocket)] {
        let mut server = Server::started();
        let configuration = configured_at(path, TargetState::Inactive);
        server.ask(link::Command::SetConfiguration(configuration));
        assert_eq!(server.hear(), OK);
        assert_eq!(server.hear(), last_word(ServerState::Error, reason));
        assert_eq!(server.exit_status(), ExitStatus::Exited(1));
    }
    assert!(taken.exists(), "what is not its own is left alone");
    let mut server = Server::started();
    let socket = place.path().join("app1");
    let owned = configured_at(&socket, TargetState::Inactive);
    let owned = link::Configuration { socket_owner: "no-such-user", ..owned };
    server.ask(link::Command::SetConfiguration(owned));
    assert_eq!(server.hear(), OK);
    assert_eq!(server.hear(), last_word(ServerState::Error, Reason::SocketOwner));
    assert!(!socket.exists());
}

/// SM-07
///
/// Field failure H
#[test]
fn a_second_configuration_is_refused() {
    let mut server = Server::configured(TargetState::Inactive);
    server.ask(link::Command::SetConfiguration(configured_at(Path::new("/tmp/other"), TargetState::Inactive)));
    let refusal = link::Refusal::WrongState { state: ServerState::Inactive };
    assert_eq!(server.hear(), link::Message::Reply { sequence: 1, result: Err(refusal) });
}

/// SM-13, SM-15, SM-16, SM-18, SM-32: two regions a slot, two slots.
#[test]
fn active_has_shared_memory_and_inactive_has_none() {
    let mut server = Server::configured(TargetState::Active);
    assert_eq!(server.memory(), (8, 8));
    server.set(TargetState::Inactive);
    assert_eq!(server.hear(), state(ServerState::Inactive));
    assert_eq!(server.memory(), (0, 0));
    server.set(TargetState::Active);
    assert_eq!(server.hear(), state(ServerState::Active));
    assert_eq!(server.memory(), (8, 8));
}

/// SM-17, SM-32: a limit on its address space leaves no room for the mappings.
#[test]
fn without_memory_it_stays_alive_holds_nothing_and_takes_not_running_only() {
    let mut server = Server::configured(TargetState::Inactive);
    let process = rustix::process::Pid::from_raw(server.child.process_id().cast_signed());
    let none = rustix::process::Rlimit { current: Some(0), maximum: None };
    rustix::process::prlimit(process, rustix::process::Resource::As, none).unwrap();
    server.set(TargetState::Active);
    assert_eq!(server.hear(), last_word(ServerState::Error, Reason::SharedMemory));
    assert_eq!(server.memory(), (0, 0));
    server.ask(link::Command::SetState(TargetState::Inactive));
    let refusal = link::Refusal::WrongState { state: ServerState::Error };
    assert_eq!(server.hear(), link::Message::Reply { sequence: 1, result: Err(refusal) });
    server.set(TargetState::NotRunning);
    assert_eq!(server.hear(), last_word(ServerState::NotRunning, Reason::Asked));
    assert_eq!(server.exit_status(), ExitStatus::Exited(0));
}

/// SM-19, SM-36: its manager, which has the socket too, hands it on or removes the file.
#[test]
fn not_running_closes_the_clients_leaves_the_socket_to_the_manager_and_exits_by_itself() {
    let mut server = Server::configured(TargetState::Inactive);
    let mut app = server.connect();
    server.set(TargetState::NotRunning);
    assert_eq!(server.hear(), last_word(ServerState::NotRunning, Reason::Asked));
    assert_eq!(server.exit_status(), ExitStatus::Exited(0));
    assert!(app.is_closed());
    assert!(server.socket().exists());
}

/// SM-18, SM-20: with a session open, whose decoder is closed first.
#[test]
fn not_running_from_active_ends_its_sessions_first() {
    let mut server = Server::configured(TargetState::Active);
    let mut app = server.connect();
    let session = app.session();
    assert_eq!(app.call(Call::Load { session, live: false }), Ok(Answer::Done));
    server.set(TargetState::NotRunning);
    assert_eq!(server.hear(), last_word(ServerState::NotRunning, Reason::Asked));
    app.wait_for(Event::SessionEnded { session });
    assert!(app.is_closed());
    assert_eq!(server.exit_status(), ExitStatus::Exited(0));
}

/// SM-38, on the server's side: a manager that was killed closes the link.
#[test]
fn the_end_of_the_link_is_the_end_of_the_server() {
    let mut server = Server::configured(TargetState::Active);
    let mut app = server.connect();
    app.session();
    let (unconnected, _) = SeqPacket::pair().unwrap();
    server.link = Connection::answering(unconnected);
    assert_eq!(server.exit_status(), ExitStatus::Exited(0));
    assert!(app.is_closed());
    assert!(!server.socket().exists());
}

/// SM-21, SM-34
#[test]
fn a_signal_ends_it_in_order() {
    let mut server = Server::configured(TargetState::Active);
    server.child.signal(Signal::Terminate).unwrap();
    assert_eq!(server.hear(), last_word(ServerState::NotRunning, Reason::Asked));
    assert_eq!(server.exit_status(), ExitStatus::Exited(0));
    assert!(server.socket().exists(), "its manager has it too");
}

/// SM-24, SM-29
#[test]
fn a_client_gets_memory_only_while_active_and_hears_when_that_is() {
    let mut server = Server::configured(TargetState::Inactive);
    let mut app = server.connect();
    assert_eq!(app.call(Call::GetSharedMemory), Err(Refusal::NotActive));
    server.set(TargetState::Active);
    assert_eq!(server.hear(), state(ServerState::Active));
    app.wait_for(Event::ApplicationState(AppState::Running));
    assert!(matches!(app.call(Call::GetSharedMemory), Ok(Answer::SharedMemory { .. })));
    server.set(TargetState::Inactive);
    app.wait_for(Event::ApplicationState(AppState::Inactive));
}

/// SM-23: what it is given can be mapped, and its size holds.
#[test]
fn the_memory_of_a_client_is_sealed_and_has_the_size_that_was_said() {
    let server = Server::configured(TargetState::Active);
    let mut app = server.connect();
    let shared = app.call(Call::GetSharedMemory);
    let Ok(Answer::SharedMemory { client_bytes, server_bytes }) = shared else { panic!("{shared:?}") };
    assert_eq!(app.descriptors.len(), 2);
    memory::attach_own(&app.descriptors[0], client_bytes).unwrap();
    memory::attach_peer(&app.descriptors[1], server_bytes).unwrap();
    assert!(memory::attach_own(&app.descriptors[1], server_bytes).is_err(), "the server's own is not to be written");
}

/// SM-33, SM-35
///
/// Field failure F
#[test]
fn clients_do_not_reach_each_others_sessions_and_get_no_more_than_the_app_may_have() {
    let server = Server::configured(TargetState::Active);
    let (mut one, mut other, mut third) = (server.connect(), server.connect(), server.connect());
    let session = one.session();
    assert_eq!(other.call(Call::Play { session }), Err(Refusal::UnknownSession));
    assert_eq!(other.call(Call::DestroySession { session }), Err(Refusal::UnknownSession));
    other.session();
    assert!(matches!(third.call(Call::GetSharedMemory), Err(Refusal::Full { .. })));
    assert_eq!(one.call(Call::DestroySession { session }), Ok(Answer::Done));
    assert_eq!(one.call(Call::Play { session }), Err(Refusal::UnknownSession));
}

/// SM-35: the place of a client that dies is free for the next one, with memory that it has not seen.
#[test]
fn a_client_that_dies_costs_its_own_session_only() {
    let server = Server::configured(TargetState::Active);
    let (mut one, mut other) = (server.connect(), server.connect());
    let session = one.session();
    let others = other.session();
    one.connection
        .send(&Request { sequence: 1, command: Call::Load { session, live: false } }, Descriptors::new())
        .unwrap();
    drop(one);
    assert_eq!(other.call(Call::Load { session: others, live: false }), Ok(Answer::Done));
    let mut next = server.connect();
    until("the slot is free", || next.call(Call::GetSharedMemory).is_ok());
    next.session();
    assert_eq!(server.memory().0, 8);
}

/// SM-35
#[test]
fn garbage_costs_its_sender_the_connection_and_nobody_else() {
    let server = Server::configured(TargetState::Active);
    let mut other = server.connect();
    let mut hostile = SeqPacket::connect(&server.socket(), PATIENCE).unwrap();
    hostile.send(b"\x0Aprotobuf, for example", &[]).unwrap();
    assert!(App::new(hostile).is_closed());
    other.session();
}

/// A source is attached with its ring and its bells; a second one of its kind is refused.
///
/// Field failure 54
#[test]
fn a_source_gets_its_ring_and_its_bells() {
    let server = Server::configured(TargetState::Active);
    let mut app = server.connect();
    let session = app.session();
    app.call(Call::Load { session, live: false }).unwrap();
    let source = SourceDescription { codec: Codec::H264, shape: Shape::default(), codec_data: &[] };
    let attached = app.call(Call::AttachSource { session, source });
    assert!(matches!(attached, Ok(Answer::Source { source: SourceId(0), .. })), "{attached:?}");
    assert_eq!(app.descriptors.len(), 2);
    assert_eq!(app.call(Call::AttachSource { session, source }), Err(Refusal::DuplicateSource));
}

/// Active and Inactive again and again leave nothing behind.
#[test]
fn no_descriptor_is_left_after_many_changes() {
    let mut server = Server::configured(TargetState::Inactive);
    let count = |server: &Server| fs::read_dir(format!("/proc/{}/fd", server.child.process_id())).unwrap().count();
    let round = |server: &mut Server| {
        server.set(TargetState::Active);
        assert_eq!(server.hear(), state(ServerState::Active));
        let mut app = server.connect();
        app.session();
        server.set(TargetState::Inactive);
        assert_eq!(server.hear(), state(ServerState::Inactive));
        drop(app);
        let mut next = server.connect();
        assert_eq!(next.call(Call::GetSharedMemory), Err(Refusal::NotActive));
    };
    // The first one may load what stays, such as GStreamer's registry.
    round(&mut server);
    until("its clients have gone", || count(&server) <= 16);
    let before = count(&server);
    for _ in 0..10 {
        round(&mut server);
    }
    until("all is closed again", || count(&server) <= before);
}
