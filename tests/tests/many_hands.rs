//! Apps, controllers and servers that do several things at once, with real processes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use greenroom_core::message::control::Answer;
use greenroom_core::message::playback::PlaybackState;
use greenroom_core::message::{AppState, Reason, ServerState, TargetState};
use greenroom_hal_linux::client::{CallError, Client};
use greenroom_tests::coded_pictures::h264_pictures;
use greenroom_tests::deadline::{PATIENCE, until};
use greenroom_tests::playing_app::App;
use greenroom_tests::tv_box::{Controller, Setup, TvBox};

use ServerState::{Inactive, NotRunning, Uninitialized};

/// The end of an app's server, whatever it was in between.
fn until_not_running(controller: &mut Controller, app: &str) -> Option<Reason> {
    loop {
        match controller.next_change() {
            (of, NotRunning, reason) if of == app => return reason,
            (of, state, reason) => assert!(of == app && state == Inactive, "{of} is {state:?}, {reason:?}"),
        }
    }
}

/// SM-31, SM-34, SM-37: what is asked from within a notification is taken as if it came from anywhere.
///
/// Field failure 8
#[test]
fn who_hears_of_a_state_may_end_the_app_there_and_start_it_again() {
    let tv_box = TvBox::start();
    let mut controller = tv_box.watch();
    for _ in 0..10 {
        assert_eq!(controller.initiate("app1", TargetState::Inactive), Ok(Answer::Done));
        controller.expect("app1", Uninitialized);
        assert_eq!(controller.change("app1", TargetState::NotRunning), Ok(Answer::Done));
        until_not_running(&mut controller, "app1");
    }
    assert_eq!(controller.status("app1"), None);
    assert_eq!((tv_box.session_servers().len(), tv_box.socket_files()), (0, vec!["control.sock".to_owned()]));
    controller.expect_silence();
}

/// SM-40
///
/// Field failure 16
#[test]
fn two_apps_are_active_at_once_and_both_play_to_the_end() {
    let pictures = h264_pictures(10);
    let tv_box = Setup::new().decoders(2).start();
    let mut controller = tv_box.watch();
    let apps = ["app1", "app2"].map(|app| {
        controller.bring_up(app, TargetState::Active);
        App::of(&mut controller, app)
    });
    thread::scope(|scope| {
        for app in &apps {
            scope.spawn(|| app.play(&pictures));
        }
    });
}

/// SM-05, SM-08, SM-16: nothing but a pipeline needs the list of plugins.
///
/// Field failure 15
#[test]
fn a_plugin_scan_that_hangs_keeps_no_server_from_coming_up_or_ending() {
    let setup = Setup::new();
    let scanner = setup.place().join("scanner");
    // It hears everything and says nothing, until who started it is gone.
    fs::write(&scanner, "#!/bin/sh\ntouch \"$0-was-here\"\nexec cat >/dev/null\n").unwrap();
    fs::set_permissions(&scanner, fs::Permissions::from_mode(0o755)).unwrap();
    let registry = setup.place().join("registry");
    let setup = setup.environment("GST_REGISTRY", registry.to_str().unwrap());
    let tv_box = setup.environment("GST_PLUGIN_SCANNER", scanner.to_str().unwrap()).start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Inactive);
    let client = Client::connect(controller.socket_of("app1")).unwrap();
    controller.bring_to("app1", TargetState::Active);
    client.wait_for_application_state(AppState::Running, PATIENCE).unwrap();
    client.set_application_state(AppState::Running).unwrap();
    thread::scope(|scope| {
        // It waits for the scan until it is given up.
        scope.spawn(|| client.create_session().and_then(|session| session.load(false)));
        until("the scan has begun", || tv_box.place().join("scanner-was-here").exists().then_some(()));
        assert!(!registry.exists(), "the scan came to its end");
        assert_eq!(controller.change("app1", TargetState::NotRunning), Ok(Answer::Done));
        until_not_running(&mut controller, "app1");
    });
}

/// SM-35: connections come and go in the middle of every change, and nobody else is concerned.
///
/// Field failures 20, 21, 27
#[test]
fn clients_that_come_and_go_while_their_app_changes_its_state_disturb_nothing() {
    let tv_box = TvBox::start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Inactive);
    let socket = controller.socket_of("app1");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let client = Client::connect(&socket).unwrap();
                    // It is refused or interrupted, as it comes.
                    let _ = client.set_application_state(AppState::Running).and_then(|()| client.create_session());
                }
            });
        }
        for _ in 0..20 {
            controller.bring_to("app1", TargetState::Active);
            controller.bring_to("app1", TargetState::Inactive);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(controller.status("app1").unwrap().restarts, 0);
    controller.bring_to("app1", TargetState::Active);
    App::of(&mut controller, "app1").play(&h264_pictures(5));
}

/// SM-20, SM-30: each of them has an outcome, and the server ends in order.
///
/// Field failure 49
#[test]
fn an_app_is_ended_while_its_calls_are_under_way() {
    let pictures = h264_pictures(5);
    let tv_box = TvBox::start();
    for _ in 0..5 {
        let mut controller = tv_box.watch();
        controller.bring_up("app1", TargetState::Active);
        let app = App::of(&mut controller, "app1");
        let (session, mut source) = app.loaded();
        session.play().unwrap();
        pictures.iter().for_each(|picture| source.push(&picture.frame(), PATIENCE).unwrap());
        app.wait_for_state(PlaybackState::Playing);
        let session = &session;
        thread::scope(|scope| {
            let calling = |call: fn(&greenroom_hal_linux::client::Session) -> Result<(), CallError>| {
                scope.spawn(move || {
                    loop {
                        match call(session) {
                            Err(CallError::ConnectionLost | CallError::NotTaken(_)) => return,
                            Err(CallError::TimedOut) => panic!("a call has no outcome"),
                            Ok(()) | Err(_) => {}
                        }
                    }
                });
            };
            calling(|session| session.pause().and_then(|()| session.play()));
            calling(|session| session.position().map(drop));
            calling(|session| session.set_position(std::time::Duration::ZERO));
            assert_eq!(controller.change("app1", TargetState::NotRunning), Ok(Answer::Done));
            assert_eq!(until_not_running(&mut controller, "app1"), Some(Reason::Asked));
        });
    }
}
