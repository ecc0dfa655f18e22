//! Session servers that end although nobody asked: the manager starts others in their place (SM-36).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};

use greenroom_core::limits::RESTART_INTENSITY;
use greenroom_core::message::control::{Answer, Refusal};
use greenroom_core::message::{Reason, ServerState, TargetState};
use greenroom_hal_linux::socket::SeqPacket;
use greenroom_tests::deadline::PATIENCE;
use greenroom_tests::session_process::App;
use greenroom_tests::tv_box::{Controller, Setup, TvBox};
use rustix::process::Signal;

use ServerState::{Error, NotRunning, Uninitialized};

/// The server that is there now, once it is where it is to be.
fn comes_back(controller: &mut Controller, app: &str, state: TargetState) {
    controller.expect(app, Uninitialized);
    assert_eq!(controller.expect(app, state.into()), None);
}

/// SM-09, SM-34, SM-36
///
/// Field failure 12
#[test]
fn a_killed_server_comes_back_in_the_state_it_was_meant_to_be_in_on_the_same_socket() {
    for state in [TargetState::Inactive, TargetState::Active] {
        let tv_box = TvBox::start();
        let mut controller = tv_box.watch();
        controller.bring_up("app1", state);
        let (socket, before) = (controller.socket_of("app1"), controller.status("app1").unwrap());
        let file = fs::metadata(&socket).unwrap().ino();
        for restarts in 1..=2 {
            controller.signal_server("app1", Signal::KILL);
            assert_eq!(controller.expect("app1", Error), Some(Reason::Killed(9)));
            assert_eq!(controller.socket_of("app1"), socket);
            comes_back(&mut controller, "app1", state);
            let after = controller.status("app1").unwrap();
            assert_eq!((after.restarts, after.decoders, after.wanted), (restarts, before.decoders, state));
            assert_ne!(after.process_id, before.process_id);
            assert_eq!(fs::metadata(&socket).unwrap().ino(), file, "it is the same file");
            App::connected_to(&socket).greet();
        }
        assert_eq!(tv_box.session_servers(), [controller.status("app1").unwrap().process_id]);
        controller.bring_to("app1", TargetState::NotRunning);
        assert_eq!(tv_box.socket_files(), ["control.sock"]);
        controller.expect_silence();
    }
}

/// SM-36: its connection waits in the socket's queue while nobody accepts.
///
/// Field failure 13
#[test]
fn a_client_that_connects_during_a_restart_is_served_by_the_new_server() {
    let tv_box = TvBox::start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Active);
    controller.signal_server("app1", Signal::STOP);
    let mut app = App::connected_to(&controller.socket_of("app1"));
    controller.signal_server("app1", Signal::KILL);
    app.greet();
    controller.expect("app1", Error);
    comes_back(&mut controller, "app1", TargetState::Active);
    app.session();
}

/// SM-36, Field failure 13: it ends in order, and no client sees a path without a socket meanwhile.
#[test]
fn who_connects_while_a_server_ends_that_somebody_else_told_to_waits_for_the_next_one() {
    let tv_box = TvBox::start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Inactive);
    let socket = controller.socket_of("app1");
    let file = fs::metadata(&socket).unwrap().ino();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let connecting = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                SeqPacket::connect(&socket, PATIENCE).expect("the path is never without a socket");
            }
        });
        for _ in 0..3 {
            controller.signal_server("app1", Signal::TERM);
            controller.expect("app1", Error);
            comes_back(&mut controller, "app1", TargetState::Inactive);
        }
        is_over.store(true, Ordering::Relaxed);
        connecting.join().expect("every connection was taken");
    });
    assert_eq!(fs::metadata(&socket).unwrap().ino(), file, "it is the same file");
    App::connected_to(&socket).greet();
    controller.bring_to("app1", TargetState::NotRunning);
    assert_eq!(tv_box.socket_files(), ["control.sock"]);
}

/// SM-36
#[test]
fn an_app_whose_request_kills_its_server_is_inactive_again() {
    let tv_box = Setup::new().misbehaving("dies-at-active").start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Inactive);
    assert_eq!(controller.change("app1", TargetState::Active), Err(Refusal::ServerGone));
    assert_eq!(controller.expect("app1", Error), Some(Reason::Exited(9)));
    comes_back(&mut controller, "app1", TargetState::Inactive);
    assert_eq!(controller.list().1.decoders_free, 1);
}

/// SM-34, SM-36
#[test]
fn a_crash_loop_is_given_up_after_the_limit() {
    let tv_box = Setup::new().misbehaving("dies-when-there").start();
    let mut controller = tv_box.watch();
    assert_eq!(controller.initiate("app1", TargetState::Active), Ok(Answer::Done));
    for _ in 0..=RESTART_INTENSITY {
        comes_back(&mut controller, "app1", TargetState::Active);
        assert_eq!(controller.expect("app1", Error), Some(Reason::Exited(9)));
    }
    assert_eq!((controller.status("app1"), tv_box.session_servers().len()), (None, 0));
    assert_eq!(controller.list().1.decoders_free, 1);
    controller.expect_silence();
    assert_eq!(controller.initiate("app1", TargetState::Active), Ok(Answer::Done), "its name is free again");
}

/// SM-36, SM-37
#[test]
fn a_stop_during_the_back_off_ends_it() {
    let setup = Setup::new().misbehaving("dies-when-there");
    // The first restart is immediate, the second one would come after the test is over.
    let tv_box = setup.session("restart_pause_ms = 3600000").start();
    let mut controller = tv_box.watch();
    assert_eq!(controller.initiate("app1", TargetState::Inactive), Ok(Answer::Done));
    for _ in 0..2 {
        comes_back(&mut controller, "app1", TargetState::Inactive);
        assert_eq!(controller.expect("app1", Error), Some(Reason::Exited(9)));
    }
    assert!(controller.status("app1").unwrap().is_restarting);
    assert_eq!(controller.change("app1", TargetState::Active), Err(Refusal::Busy));
    assert_eq!(controller.initiate("app1", TargetState::Active), Err(Refusal::Busy));
    assert_eq!(controller.change("app1", TargetState::NotRunning), Ok(Answer::Done));
    assert_eq!(controller.expect("app1", NotRunning), Some(Reason::Asked));
    assert_eq!(controller.status("app1"), None);
    controller.expect_silence();
}

/// SM-36
///
/// Field failure A
#[test]
fn a_program_that_is_gone_when_it_is_needed_again_is_told_of_and_given_up() {
    let setup = Setup::new();
    let program = setup.place().join("session");
    fs::hard_link(greenroom_tests::programs::path("greenroom-session"), &program)
        .or_else(|_| fs::copy(greenroom_tests::programs::path("greenroom-session"), &program).map(drop))
        .unwrap();
    let tv_box = setup.session_program(&program).session("restart_intensity = 2").start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Inactive);
    fs::remove_file(&program).unwrap();
    controller.signal_server("app1", Signal::KILL);
    assert_eq!(controller.expect("app1", Error), Some(Reason::Killed(9)));
    for _ in 0..2 {
        assert_eq!(controller.expect("app1", Error), Some(Reason::ProgramMissing));
    }
    assert_eq!(controller.status("app1"), None);
    assert_eq!(tv_box.socket_files(), ["control.sock"]);
}

/// SM-34: both were killed, the server first; nobody was left to remove its socket.
#[test]
fn a_manager_removes_dead_sockets_of_an_earlier_one_and_leaves_what_lives() {
    let setup = Setup::new();
    let at = |name: &str| setup.place().join(name);
    drop(UnixListener::bind(at("dead.sock")).unwrap());
    drop(UnixListener::bind(at("of-somebody-else")).unwrap());
    let _alive = UnixListener::bind(at("alive.sock")).unwrap();
    fs::write(at("file.sock"), "").unwrap();
    let file = at("file.sock");
    let tv_box = setup.start();
    assert_eq!(tv_box.socket_files(), ["alive.sock", "control.sock", "of-somebody-else"]);
    assert!(file.exists());
}

/// SM-38: it has to be killed, which is no reason to start another one.
///
/// Field failure 9
#[test]
fn a_manager_that_ends_restarts_no_server() {
    let mut tv_box = Setup::new().misbehaving("never-ends").start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Inactive);
    tv_box.signal(Signal::TERM);
    assert_eq!(controller.expect("app1", NotRunning), Some(Reason::Killed(9)));
    assert_eq!(controller.next_change_if_any(), None);
    assert!(tv_box.wait().success());
}
