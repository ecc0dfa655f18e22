//! Who may drive which app, and who may connect to it: real processes of other users. Only root can start those.

use std::fs;
use std::io::{Write, stderr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Output, Stdio};

use greenroom_core::message::{ServerState, TargetState};
use greenroom_tests::programs;
use greenroom_tests::tv_box::{Setup, TvBox};

/// Users and a group that nobody else on a box has.
const PLAYER: u32 = 64_001;
const STRANGER: u32 = 64_009;
const GROUP: u32 = 64_100;

/// Whether this process may become other users; if not, says so.
fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        // Past the harness, which keeps what a passed test prints to itself.
        let _ = writeln!(stderr(), "SKIPPED: only root can start processes of other users; run this test as root");
    }
    root
}

/// A box whose sockets let every user in, so that only the lists decide.
fn open_box(apps: &str) -> TvBox {
    let setup = Setup::new().control("mode = 0o666").socket("mode = 0o666").more(apps);
    fs::set_permissions(setup.place(), fs::Permissions::from_mode(0o755)).unwrap();
    setup.start()
}

/// A copy of a program that every user can reach: the build's directory may be private. A process of its own writes it: a
/// child that another test starts meanwhile would inherit our descriptor, and what somebody may write cannot be run.
fn reachable(tv_box: &TvBox, name: &str) -> PathBuf {
    let copy = tv_box.place().join(name);
    if !copy.exists() {
        let copied = Process::new("cp").arg(programs::path(name)).arg(&copy).status();
        assert!(copied.unwrap().success());
    }
    copy
}

/// Runs a program as a user with one supplementary group.
fn run_as(user: u32, group: u32, program: &Path, arguments: &[&str]) -> Output {
    Process::new("setpriv")
        .args(["--reuid", &user.to_string(), "--regid", &user.to_string(), "--groups", &group.to_string()])
        .arg(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("setpriv, of util-linux, is there")
}

fn ctl_as(tv_box: &TvBox, (user, group): (u32, u32), arguments: &[&str]) -> (Option<i32>, String) {
    let control = tv_box.control();
    let all = [&["--control", control.to_str().unwrap()], arguments].concat();
    let output = run_as(user, group, &reachable(tv_box, "greenroomctl"), &all);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

/// SM-35
#[test]
fn a_user_drives_its_own_app_and_is_refused_every_other_with_what_to_do() {
    if !is_root() {
        return;
    }
    let tv_box = open_box(&format!("[app.own]\ncontrollers = ['{PLAYER}']\n[app.clubs]\ncontrollers = ['@{GROUP}']"));
    let mut root = tv_box.watch();
    root.bring_up("other", TargetState::Inactive);
    let player = (PLAYER, PLAYER);
    assert_eq!(ctl_as(&tv_box, player, &["initiate", "own", "--wait"]), (Some(0), String::new()));
    for arguments in [&["initiate", "clubs"][..], &["state", "other", "not-running"], &["connection-info", "other"]] {
        let (status, said) = ctl_as(&tv_box, player, arguments);
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains(&format!("user {PLAYER} may not drive")) && said.contains("] controllers"), "{said}");
    }
    for arguments in [&["stop"][..], &["log-level", "default", "debug"]] {
        let (status, said) = ctl_as(&tv_box, player, arguments);
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains("whole box") && said.contains("allow_groups"), "{said}");
    }
    let (_, seen) = ctl_as(&tv_box, player, &["list"]);
    assert!(seen.contains("own") && !seen.contains("other"), "{seen}");
    assert_eq!(
        ctl_as(&tv_box, (STRANGER, GROUP), &["initiate", "clubs", "--wait"]).0,
        Some(0),
        "a member of the group"
    );
    let (status, said) = ctl_as(&tv_box, (STRANGER, STRANGER), &["list"]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("may drive no app"), "{said}");
    assert_eq!(root.status("other").and_then(|status| status.state), Some(ServerState::Inactive));
}

#[test]
fn users_and_groups_of_the_control_section_drive_everything() {
    if !is_root() {
        return;
    }
    let setup = Setup::new().control(&format!("mode = 0o666\nallow_users = ['{PLAYER}']\nallow_groups = ['{GROUP}']"));
    fs::set_permissions(setup.place(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut tv_box = setup.start();
    assert_eq!(ctl_as(&tv_box, (PLAYER, PLAYER), &["initiate", "app1", "--wait"]).0, Some(0));
    assert_eq!(ctl_as(&tv_box, (STRANGER, STRANGER), &["stop"]).0, Some(1));
    assert_eq!(ctl_as(&tv_box, (STRANGER, GROUP), &["stop"]).0, Some(0));
    assert!(tv_box.wait().success());
}

fn connect_as(tv_box: &TvBox, (user, group): (u32, u32), socket: &Path) -> String {
    let output = run_as(user, group, &reachable(tv_box, "connecting-app"), &[socket.to_str().unwrap()]);
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// SM-35
#[test]
fn an_app_socket_serves_those_who_are_named_and_tells_others_why_not() {
    if !is_root() {
        return;
    }
    let tv_box = open_box(&format!("[app.app1]\nclients = ['{PLAYER}', '@{GROUP}']"));
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Inactive);
    controller.bring_up("app2", TargetState::Inactive);
    let (guarded, open) = (controller.socket_of("app1"), controller.socket_of("app2"));
    for peer in [(PLAYER, PLAYER), (STRANGER, GROUP), (0, 0)] {
        assert_eq!(connect_as(&tv_box, peer, &guarded), "connected", "{peer:?}");
    }
    let said = connect_as(&tv_box, (STRANGER, STRANGER), &guarded);
    assert!(said.contains(&format!("user {STRANGER} may not connect")) && said.contains("clients"), "{said}");
    assert!(said.contains(guarded.to_str().unwrap()) && !said.contains("no session server"), "{said}");
    assert_eq!(connect_as(&tv_box, (STRANGER, STRANGER), &open), "connected");
    assert!(tv_box.log().contains(&format!("of user {STRANGER} may not connect")), "{}", tv_box.log());
}
