//! A manager that starts over what a killed one has left, as real processes.

use std::fs;

use greenroom_core::message::control::Answer;
use greenroom_core::message::{Reason, ServerState, TargetState};
use greenroom_tests::deadline::until;
use greenroom_tests::observe;
use greenroom_tests::session_process::App;
use greenroom_tests::tv_box::{Setup, TvBox};
use rustix::process::{Pid, Signal, kill_process};

use ServerState::Error;

fn signal(process: u32, signal: Signal) {
    kill_process(Pid::from_raw(process.cast_signed()).unwrap(), signal).unwrap();
}

/// Whoever inherited it may not have reaped it yet.
fn gone(process: u32) -> bool {
    !observe::exists(process) || observe::is_zombie(process)
}

/// SM-38, Field failure B: the old servers end by themselves, and the apps start again on the same paths.
#[test]
fn a_manager_that_follows_a_killed_one_at_once_starts_every_app_again() {
    let mut tv_box = Setup::new().decoders(2).session("spares = 1").start();
    let mut controller = tv_box.watch();
    for app in ["app1", "app2"] {
        controller.bring_up(app, TargetState::Active);
    }
    let sockets = ["app1", "app2"].map(|app| controller.socket_of(app));
    let mut clients = sockets.clone().map(|socket| App::connected_to(&socket));
    for client in &mut clients {
        client.greet();
        client.session();
    }
    let old = tv_box.session_servers();
    tv_box.replace_manager();
    let mut controller = tv_box.watch();
    assert_eq!(controller.list().0.len(), 0);
    for (app, socket) in ["app1", "app2"].into_iter().zip(&sockets) {
        controller.bring_up(app, TargetState::Active);
        assert_eq!(&controller.socket_of(app), socket);
        let mut client = App::connected_to(socket);
        client.greet();
        client.session();
    }
    until("the old servers end", || old.iter().all(|server| gone(*server)).then_some(()));
    assert!(sockets.iter().all(|socket| fs::metadata(socket).is_ok()), "the old ones removed nothing of the new ones");
    assert_eq!(controller.list().1.decoders_free, 0);
}

/// SM-34: a server that hangs holds its path; the app is told so, and can have another path or the same one later.
#[test]
fn a_path_that_a_hung_server_of_a_killed_manager_still_holds_is_told_of_and_never_stolen() {
    let mut tv_box = TvBox::start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Inactive);
    let (socket, hung) = (controller.socket_of("app1"), controller.status("app1").unwrap().process_id);
    signal(hung, Signal::STOP);
    tv_box.replace_manager();
    let mut controller = tv_box.watch();
    assert_eq!(controller.initiate("app1", TargetState::Inactive), Ok(Answer::Done));
    controller.expect("app1", ServerState::Uninitialized);
    assert_eq!(controller.expect("app1", Error), Some(Reason::SocketTaken));
    assert!(fs::metadata(&socket).is_ok(), "it is not ours to remove");
    controller.bring_up("app2", TargetState::Inactive);
    signal(hung, Signal::CONT);
    until("the old server ends", || gone(hung).then_some(()));
    controller.bring_up("app1", TargetState::Inactive);
    App::connected_to(&socket).greet();
}

/// SM-34: killed with its manager, it could remove nothing itself.
#[test]
fn what_a_killed_manager_and_its_killed_servers_have_left_is_replaced() {
    let mut tv_box = TvBox::start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Active);
    let server = controller.status("app1").unwrap().process_id;
    signal(server, Signal::STOP);
    tv_box.signal(Signal::STOP);
    signal(server, Signal::KILL);
    tv_box.replace_manager();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Active);
    assert_eq!(tv_box.socket_files(), ["app1.sock", "control.sock"]);
}
