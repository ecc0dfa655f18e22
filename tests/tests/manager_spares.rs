//! Session servers that were started before anybody asked, as real processes.

use std::fs;
use std::time::Instant;

use greenroom_core::message::control::Answer;
use greenroom_core::message::{Reason, ServerState, TargetState};
use greenroom_tests::deadline::until;
use greenroom_tests::observe;
use greenroom_tests::session_process::App;
use greenroom_tests::tv_box::{Controller, Setup, TvBox};
use rustix::process::{Pid, Signal, kill_process};

use ServerState::{Error, Inactive, Uninitialized};

fn with_spares(spares: u16) -> (TvBox, Controller) {
    let tv_box = Setup::new().session(&format!("spares = {spares}")).start();
    let mut controller = tv_box.watch();
    wait_for_spares(&mut controller, spares);
    (tv_box, controller)
}

fn wait_for_spares(controller: &mut Controller, spares: u16) {
    until("the spares are up", || (controller.list().1.spares == spares).then_some(()));
}

fn kill(process: u32) {
    kill_process(Pid::from_raw(process.cast_signed()).unwrap(), Signal::KILL).unwrap();
}

/// SM-03, SM-05 to SM-08
#[test]
fn a_start_takes_a_spare_and_another_one_follows() {
    let (tv_box, mut controller) = with_spares(2);
    let spares = tv_box.session_servers();
    assert_eq!((spares.len(), controller.list().0.len()), (2, 0));
    let asked = Instant::now();
    controller.bring_up("app1", TargetState::Inactive);
    println!("from the request to Inactive: {:?}", asked.elapsed());
    let taken = controller.status("app1").unwrap().process_id;
    assert!(spares.contains(&taken));
    App::connected_to(&controller.socket_of("app1")).greet();
    wait_for_spares(&mut controller, 2);
    assert_eq!(tv_box.session_servers().len(), 3);
    controller.bring_to("app1", TargetState::NotRunning);
    assert!(!observe::exists(taken));
    assert_eq!(tv_box.socket_files(), ["control.sock"]);
}

/// SM-36
#[test]
fn a_killed_server_is_followed_by_a_spare_on_the_same_socket() {
    let (tv_box, mut controller) = with_spares(1);
    controller.bring_up("app1", TargetState::Active);
    wait_for_spares(&mut controller, 1);
    let before = controller.status("app1").unwrap().process_id;
    let spare = tv_box.session_servers().into_iter().find(|process| *process != before).unwrap();
    let socket = controller.socket_of("app1");
    let killed = Instant::now();
    controller.signal_server("app1", Signal::KILL);
    let mut app = App::connected_to(&socket);
    app.greet();
    println!("from the kill to a greeted client: {:?}", killed.elapsed());
    assert_eq!(controller.expect("app1", Error), Some(Reason::Killed(9)));
    controller.expect("app1", Uninitialized);
    assert_eq!(controller.expect("app1", TargetState::Active.into()), None);
    assert_eq!(controller.status("app1").unwrap().process_id, spare);
    app.session();
}

/// SM-34, Field failure A
#[test]
fn a_spare_that_is_killed_is_replaced_and_no_app_hears_of_it() {
    let (tv_box, mut controller) = with_spares(1);
    let spare = tv_box.session_servers()[0];
    kill(spare);
    until("another one is there", || (tv_box.session_servers().first()? != &spare).then_some(()));
    wait_for_spares(&mut controller, 1);
    controller.expect_silence();
    controller.bring_up("app1", TargetState::Inactive);
}

/// Field failure A
#[test]
fn a_program_that_is_missing_gives_no_storm_of_spares() {
    let setup = Setup::new();
    let missing = setup.place().join("no-such-program");
    let tv_box = setup.session_program(missing).session("spares = 4\nrestart_intensity = 2").start();
    until("they are given up for now", || tv_box.log().contains("are of no use for now").then_some(()));
    let tries = tv_box.log().matches("a spare session server could not be started").count();
    assert_eq!(tries, 3);
}

/// SM-38
#[test]
fn a_manager_that_is_told_to_end_leaves_no_spare() {
    let (mut tv_box, mut controller) = with_spares(3);
    controller.bring_up("app1", TargetState::Active);
    wait_for_spares(&mut controller, 3);
    let servers = tv_box.session_servers();
    tv_box.signal(Signal::TERM);
    assert!(tv_box.wait().success());
    assert!(servers.iter().all(|server| !observe::exists(*server)));
    assert_eq!(tv_box.socket_files(), [""; 0]);
    assert!(!tv_box.log().contains("spare session server has ended"));
}

/// SM-38
#[test]
fn spares_of_a_manager_that_is_killed_end_by_themselves() {
    let (mut tv_box, _controller) = with_spares(2);
    let servers = tv_box.session_servers();
    tv_box.signal(Signal::KILL);
    tv_box.wait();
    until("they have ended", || servers.iter().all(|server| gone(*server)).then_some(()));
}

/// Whoever inherited it may not have reaped it yet.
fn gone(process: u32) -> bool {
    !observe::exists(process) || observe::is_zombie(process)
}

/// SM-03: a spare holds nothing of the apps that came before it.
///
/// Field failure J
#[test]
fn a_spare_has_no_descriptor_of_another_app() {
    let (tv_box, mut controller) = with_spares(1);
    controller.bring_up("app1", TargetState::Active);
    wait_for_spares(&mut controller, 1);
    let used = controller.status("app1").unwrap().process_id;
    let spare = tv_box.session_servers().into_iter().find(|process| *process != used).unwrap();
    let sockets = |process| -> Vec<_> {
        let all = observe::descriptors(process).into_iter().map(|(_, target)| target);
        all.filter(|target| target.to_string_lossy().starts_with("socket:")).collect()
    };
    let (mine, others) = (sockets(spare), sockets(used));
    assert!(mine.iter().all(|socket| !others.contains(socket)), "{mine:?} {others:?}");
    assert_eq!(observe::memfds(spare), 0);
}

/// SM-05: its first state is not told before somebody has asked for an app.
#[test]
fn a_box_that_keeps_spares_ready_tells_of_no_app() {
    let (tv_box, mut controller) = with_spares(1);
    assert_eq!(controller.list().0.len(), 0);
    controller.expect_silence();
    assert_eq!(controller.initiate("app1", TargetState::Inactive), Ok(Answer::Done));
    controller.expect("app1", Uninitialized);
    controller.expect("app1", Inactive);
    assert!(fs::metadata(tv_box.place().join("app1.sock")).is_ok());
}
