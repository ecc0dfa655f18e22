//! Apps whose session server crashes, with real processes: the library connects again by itself (SM-36).

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use greenroom_core::client::LostReason;
use greenroom_core::limits::CALL_TIMEOUT;
use greenroom_core::message::playback::PlaybackState;
use greenroom_core::message::{AppState, ServerState, TargetState};
use greenroom_hal_linux::client::{CallError, ClientEvent, PushError, SessionEnd, Source};
use greenroom_tests::coded_pictures::{Picture, h264_pictures};
use greenroom_tests::deadline::{PATIENCE, until};
use greenroom_tests::playing_app::App;
use greenroom_tests::tv_box::TvBox;
use rustix::process::Signal;

/// It was told of the loss, and of the new connection.
#[track_caller]
fn is_connected_again(app: &App) {
    assert_eq!(app.next_of_connection(), ClientEvent::ConnectionLost(LostReason::Closed));
    assert_eq!(app.next_of_connection(), ClientEvent::Reconnected);
}

/// Pushes the same pictures over and over, as fast as they are taken, until it must not any more.
fn push_for_ever(mut source: Source, pictures: Vec<Picture>) -> JoinHandle<PushError> {
    thread::spawn(move || {
        let refused = |picture: &Picture| source.push(&picture.frame(), PATIENCE).err();
        pictures.iter().cycle().find_map(refused).expect("it never ends by itself")
    })
}

/// SM-36: told that it is lost, connected on the same path, Running, and playing to the end, each time.
///
/// Field failures 12, 13, 28, 70
#[test]
fn an_app_whose_server_is_killed_while_it_pushes_is_connected_again_and_plays_to_the_end() {
    let pictures = h264_pictures(50);
    let tv_box = TvBox::start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Active);
    let app = App::of(&mut controller, "app1");
    for _ in 0..3 {
        let (session, source) = app.loaded();
        let old = source.id();
        session.play().unwrap();
        let pusher = push_for_ever(source, pictures.clone());
        app.wait_for_state(PlaybackState::Playing);
        controller.signal_server("app1", Signal::KILL);
        is_connected_again(&app);
        assert_eq!(pusher.join().unwrap(), PushError::Ended(SessionEnd::ConnectionLost));
        assert_eq!(session.end(), Some(SessionEnd::ConnectionLost));
        assert!(session.statistics(old).is_err(), "it means nothing to the new server");
        app.play(&pictures[..10]);
        controller.expect("app1", ServerState::Error);
        controller.expect("app1", ServerState::Uninitialized);
        controller.expect("app1", ServerState::Active);
    }
}

/// SM-30: a server that is stuck and then killed answers nobody, and nobody waits for it.
///
/// Field failures 1, 23
#[test]
fn a_call_that_waits_for_a_server_that_is_killed_fails_at_once() {
    let tv_box = TvBox::start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Active);
    let app = App::of(&mut controller, "app1");
    let (session, _source) = app.loaded();
    controller.signal_server("app1", Signal::STOP);
    let calling = thread::spawn(move || {
        let before = Instant::now();
        (session.position(), before.elapsed())
    });
    controller.signal_server("app1", Signal::KILL);
    let (position, waited) = calling.join().unwrap();
    assert_eq!(position, Err(CallError::ConnectionLost));
    assert!(waited < CALL_TIMEOUT, "it waited for {waited:?}");
    is_connected_again(&app);
}

/// SM-36: each at its own place; what one does in the meantime is not the others' business.
#[test]
fn every_app_of_a_server_that_is_killed_is_connected_again() {
    let tv_box = TvBox::start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Active);
    let apps: Vec<App> = (0..4).map(|_| App::of(&mut controller, "app1")).collect();
    controller.signal_server("app1", Signal::KILL);
    for app in &apps {
        is_connected_again(app);
        app.client.wait_for_application_state(AppState::Running, PATIENCE).unwrap();
    }
    assert_eq!(controller.status("app1").unwrap().restarts, 1);
}

/// The server of an app that was ended on purpose is not there; when it is started again, the app finds it.
#[test]
fn an_app_whose_server_was_ended_finds_the_one_that_is_started_later() {
    let tv_box = TvBox::start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Active);
    let socket = controller.socket_of("app1");
    let app = App::of(&mut controller, "app1");
    controller.bring_to("app1", TargetState::NotRunning);
    assert_eq!(app.next_of_connection(), ClientEvent::ConnectionLost(LostReason::Closed));
    assert_eq!(app.client.create_session().map(drop), Err(CallError::ConnectionLost));
    controller.bring_up("app1", TargetState::Inactive);
    assert_eq!(controller.socket_of("app1"), socket);
    assert_eq!(app.next_of_connection(), ClientEvent::Reconnected);
    app.client.wait_for_application_state(AppState::Inactive, PATIENCE).unwrap();
    assert_eq!(app.client.lost(), None);
}

/// SM-24: no event is awaited: the session is made as soon as the server lets the app have it.
///
/// Field failure P
#[test]
fn a_session_that_is_made_before_the_app_has_heard_that_it_is_running_plays() {
    let pictures = h264_pictures(5);
    let tv_box = TvBox::start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Inactive);
    for _ in 0..5 {
        let app = App::of(&mut controller, "app1");
        let playing = thread::spawn({
            let pictures = pictures.clone();
            move || {
                until("the memory is given", || app.client.set_application_state(AppState::Running).ok());
                app.play(&pictures);
            }
        });
        controller.bring_to("app1", TargetState::Active);
        playing.join().unwrap();
        controller.bring_to("app1", TargetState::Inactive);
    }
}

/// SM-34: however the connection is just then.
#[test]
fn a_client_can_be_dropped_while_its_server_is_restarted() {
    let tv_box = TvBox::start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Active);
    let app = App::of(&mut controller, "app1");
    controller.signal_server("app1", Signal::KILL);
    assert_eq!(app.next_of_connection(), ClientEvent::ConnectionLost(LostReason::Closed));
    let before = Instant::now();
    drop(app.client);
    assert!(before.elapsed() < Duration::from_secs(2), "it took {:?}", before.elapsed());
}
