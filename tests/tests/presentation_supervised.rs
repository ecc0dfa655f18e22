//! The presentation service as the manager's companion, as real processes: nothing that becomes of it touches an app.

use std::path::{Path, PathBuf};

use greenroom_core::message::{ServerState, TargetState};
use greenroom_hal_linux::presentation::PresenterClient;
use greenroom_tests::deadline::until;
use greenroom_tests::observe;
use greenroom_tests::tv_box::{Setup, TvBox};
use rustix::process::{Pid, Signal, kill_process};

const PROGRAM: &str = "greenroom-presentation";

/// On no network: nobody is to find it.
fn start() -> (TvBox, PathBuf) {
    let setup = Setup::new().decoders(1);
    let socket = setup.place().join("presentation.sock");
    let state = setup.place().join("state");
    let section = format!(
        "[presentation]\nenabled = true\nname = \"a box under test\"\ninterfaces = [\"lo\"]\n\
         socket = \"{}\"\nstate_directory = \"{}\"",
        socket.display(),
        state.display()
    );
    (setup.more(&section).start(), socket)
}

fn signal(process: u32, signal: Signal) {
    kill_process(Pid::from_raw(process.cast_signed()).unwrap(), signal).unwrap();
}

/// The one that serves now.
fn service(manager: u32, socket: &Path) -> u32 {
    until("the presentation service serves", || {
        let is_it = |process: &u32| {
            let program = std::fs::read_link(format!("/proc/{process}/exe"));
            program.is_ok_and(|program| program.ends_with(PROGRAM)) && !observe::is_zombie(*process)
        };
        let found = observe::children(manager).into_iter().find(is_it)?;
        PresenterClient::connect(socket).ok().map(|_| found)
    })
}

fn gone(process: u32) -> bool {
    !observe::exists(process) || observe::is_zombie(process)
}

/// PS-36: one that crashes or hangs is followed by another, and no app notices.
#[test]
fn a_presentation_service_that_crashes_or_hangs_is_followed_by_another_and_apps_stay_on_stage() {
    let (tv_box, socket) = start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Active);
    let server = controller.status("app1").unwrap().process_id;
    let mut service_before = service(tv_box.process_id(), &socket);
    for ends_it in [Signal::KILL, Signal::STOP] {
        signal(service_before, ends_it);
        until("it is gone", || gone(service_before).then_some(()));
        service_before = service(tv_box.process_id(), &socket);
    }
    let app = controller.status("app1").unwrap();
    assert_eq!((app.state, app.process_id), (Some(ServerState::Active), server));
    controller.expect_silence();
}

/// SM-20, PS-36
#[test]
fn a_manager_that_is_told_to_end_takes_the_presentation_service_down() {
    let (mut tv_box, socket) = start();
    let service = service(tv_box.process_id(), &socket);
    tv_box.signal(Signal::TERM);
    assert!(tv_box.wait().success());
    assert!(!observe::exists(service) && !socket.exists());
}

/// SM-34, PS-36
#[test]
fn a_killed_manager_leaves_no_presentation_service() {
    let (mut tv_box, socket) = start();
    let service = service(tv_box.process_id(), &socket);
    tv_box.signal(Signal::KILL);
    tv_box.wait();
    until("it is gone", || (gone(service) && !socket.exists()).then_some(()));
}
