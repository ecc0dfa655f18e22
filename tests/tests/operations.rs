//! Greenroom as a service of a system: what the service manager is told, and what an installation holds.

use std::collections::VecDeque;
use std::fs;
use std::io::{Write, stderr};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command as Process;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use greenroom_core::message::TargetState;
use greenroom_tests::deadline::PATIENCE;
use greenroom_tests::programs;
use greenroom_tests::tv_box::{Setup, TvBox};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

/// What a service manager hears, one assignment after the other. A thread takes it: a full socket would stop the manager.
struct Notifications {
    datagrams: Receiver<String>,
    lines: VecDeque<String>,
}

impl Notifications {
    /// Listens, and tells the manager of this box where.
    fn of(setup: Setup) -> (Setup, Self) {
        let path = setup.place().join("notify.sock");
        let socket = UnixDatagram::bind(&path).unwrap();
        let (heard, datagrams) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length) = socket.recv(&mut bytes) {
                if heard.send(String::from_utf8_lossy(&bytes[..length]).into_owned()).is_err() {
                    return;
                }
            }
        });
        let setup = setup.manager_environment("NOTIFY_SOCKET", path.to_str().unwrap());
        (setup, Self { datagrams, lines: VecDeque::new() })
    }

    #[track_caller]
    fn next(&mut self) -> String {
        while self.lines.is_empty() {
            let datagram = self.datagrams.recv_timeout(PATIENCE).expect("the service manager is told something");
            self.lines.extend(datagram.lines().map(str::to_owned));
        }
        self.lines.pop_front().unwrap()
    }

    #[track_caller]
    fn until(&mut self, line: &str) {
        while self.next() != line {}
    }
}

/// Started without waiting: the first thing that is told is that it can be asked.
fn start_when_ready(setup: Setup) -> (TvBox, Notifications) {
    let (setup, mut notifications) = Notifications::of(setup);
    let tv_box = setup.spawn();
    assert_eq!(notifications.next(), "READY=1");
    (tv_box, notifications)
}

#[test]
fn a_manager_that_says_it_is_ready_can_be_asked_at_once() {
    let (tv_box, _notifications) = start_when_ready(Setup::new());
    assert!(tv_box.connect().list().0.is_empty());
}

#[test]
fn a_watchdog_is_fed_as_long_as_the_manager_runs_and_hears_that_it_ends() {
    let setup = Setup::new().manager_environment("WATCHDOG_USEC", "50000");
    let (mut tv_box, mut notifications) = start_when_ready(setup);
    for _ in 0..3 {
        notifications.until("WATCHDOG=1");
    }
    tv_box.signal(Signal::TERM);
    notifications.until("STOPPING=1");
    assert!(tv_box.wait().success());
}

#[test]
fn a_watchdog_that_is_set_for_another_process_is_not_fed() {
    let setup = Setup::new().manager_environment("WATCHDOG_USEC", "2000").manager_environment("WATCHDOG_PID", "1");
    let (mut tv_box, mut notifications) = start_when_ready(setup);
    tv_box.connect().list();
    tv_box.signal(Signal::TERM);
    while let line @ ("WATCHDOG=1" | "STATUS=0 app(s); 0 of 1 decoder(s) in use") = notifications.next().as_str() {
        assert_ne!(line, "WATCHDOG=1");
    }
    assert!(tv_box.wait().success());
}

/// SM-38: told over the control socket, it ends as orderly as when told by a signal.
#[test]
fn the_status_says_what_is_in_use_and_a_stop_by_a_controller_is_told() {
    let (mut tv_box, mut notifications) = start_when_ready(Setup::new());
    tv_box.connect().initiate("app1", TargetState::Active).unwrap();
    notifications.until("STATUS=1 app(s); 1 of 1 decoder(s) in use");
    assert!(tv_box.ctl(&["stop"]).status.success());
    notifications.until("STOPPING=1");
    assert!(tv_box.wait().success());
}

#[test]
fn session_servers_cannot_speak_to_the_service_manager() {
    let setup = Setup::new().manager_environment("WATCHDOG_USEC", "60000000");
    let (tv_box, _notifications) = start_when_ready(setup);
    tv_box.watch().bring_up("app1", TargetState::Inactive);
    let [server] = tv_box.session_servers()[..] else { panic!("one session server") };
    let environment = fs::read(format!("/proc/{server}/environ")).unwrap();
    let environment = String::from_utf8_lossy(&environment);
    assert!(!environment.contains("NOTIFY_SOCKET") && !environment.contains("WATCHDOG"), "{environment}");
}

/// An installation below a directory of its own, from the programs that this test was built with.
struct Installation(TempDir);

impl Installation {
    fn new() -> Self {
        let installation = Self(tempfile::tempdir().unwrap());
        installation.make("install");
        installation
    }

    fn make(&self, target: &str) {
        let built = programs::path("greenroomd").with_file_name("");
        let made = Process::new("make")
            .args(["--no-print-directory", "-C", concat!(env!("CARGO_MANIFEST_DIR"), "/.."), target, "PREFIX=/usr"])
            .arg(format!("BUILT={}", built.display()))
            .arg(format!("DESTDIR={}", self.0.path().display()))
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn has(&self, file: &str) -> bool {
        self.path(file).is_file()
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut directories = vec![self.0.path().to_owned()];
        let mut files = Vec::new();
        while let Some(directory) = directories.pop() {
            let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
            let (more, found): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
            directories.extend(more);
            files.extend(found);
        }
        files
    }
}

/// With the sections of the manual that they are in.
const COMMANDS: [(&str, u8); 7] = [
    ("greenroomd", 8),
    ("greenroomctl", 1),
    ("greenroom-play", 1),
    ("greenroom-appmanager", 1),
    ("greenroom-receiver", 8),
    ("greenroom-browser", 8),
    ("greenroom-web", 8),
];

#[test]
fn an_installation_has_programs_manual_completions_units_and_configuration() {
    let installed = Installation::new();
    for (command, section) in COMMANDS {
        for file in [
            format!("usr/bin/{command}"),
            format!("usr/share/man/man{section}/{command}.{section}"),
            format!("usr/share/bash-completion/completions/{command}.bash"),
            format!("usr/share/zsh/site-functions/_{command}"),
            format!("usr/share/fish/vendor_completions.d/{command}.fish"),
        ] {
            assert!(installed.has(&file), "{file} is missing");
        }
    }
    for file in [
        "usr/libexec/greenroom/greenroom-session",
        "usr/libexec/greenroom/greenroom-presentation",
        "usr/share/man/man8/greenroom-presentation.8",
        "usr/share/man/man8/greenroom-session.8",
        "usr/share/man/man1/greenroomctl-initiate.1",
        "usr/lib/systemd/system/greenroom.service",
        "usr/lib/sysusers.d/greenroom.conf",
        "etc/greenroom/greenroom.toml",
    ] {
        assert!(installed.has(file), "{file} is missing");
    }
}

#[test]
fn a_removed_installation_leaves_nothing_but_a_configuration_that_was_changed() {
    let installed = Installation::new();
    let configuration = installed.path("etc/greenroom/greenroom.toml");
    fs::write(&configuration, "[box]\ndecoders = 2\n").unwrap();
    installed.make("install");
    assert_eq!(fs::read_to_string(&configuration).unwrap(), "[box]\ndecoders = 2\n");
    installed.make("uninstall");
    assert_eq!(installed.files(), std::slice::from_ref(&configuration));
    fs::remove_file(configuration).unwrap();
    installed.make("install");
    installed.make("uninstall");
    assert_eq!(installed.files(), [""; 0].map(PathBuf::from));
}

#[test]
fn an_installed_manager_starts_the_installed_session_server() {
    let installed = Installation::new();
    let place = tempfile::tempdir().unwrap();
    let documented = fs::read_to_string(installed.path("etc/greenroom/greenroom.toml")).unwrap();
    let patient =
        documented.replace("ready_timeout_ms = 1000", "ready_timeout_ms = 20000").replace("\"auto\"", "\"fake\"");
    let setup = Setup::new()
        .manager_program(installed.path("usr/bin/greenroomd"))
        .configuration(&patient)
        .manager_environment("RUNTIME_DIRECTORY", place.path().to_str().unwrap());
    let (tv_box, _notifications) = start_when_ready(setup);
    let control = place.path().join("control.sock");
    let ctl = Process::new(installed.path("usr/bin/greenroomctl"))
        .env("GREENROOM_CONTROL", control)
        .args(["initiate", "app1", "--state", "active", "--wait", "--timeout", "20"])
        .output()
        .unwrap();
    assert!(ctl.status.success(), "{}", String::from_utf8_lossy(&ctl.stderr));
    let [server] = tv_box.session_servers()[..] else { panic!("one session server") };
    let program = fs::read_link(format!("/proc/{server}/exe")).unwrap();
    assert_eq!(program, installed.path("usr/libexec/greenroom/greenroom-session"));
    assert!(place.path().join("app1.sock").exists());
}

/// The highest exposure that the unit may have, in tenths of what systemd counts: 0 is a unit that may do nothing, 100 one
/// that may do everything.
const EXPOSURE_MAX: &str = "--threshold=25";

#[test]
fn systemd_understands_the_unit_and_finds_it_hardened() {
    let installed = Installation::new();
    let unit = installed.path("usr/lib/systemd/system/greenroom.service");
    // systemd looks for the program, which is not installed in the root of this machine.
    let here =
        fs::read_to_string(&unit).unwrap().replace("=/usr/bin/", &format!("={}/", installed.path("usr/bin").display()));
    fs::write(&unit, here).unwrap();
    let analyze = |arguments: &[&str]| Process::new("systemd-analyze").args(arguments).arg(&unit).output();
    let Ok(verified) = analyze(&["verify", "--man=no", "--recursive-errors=no"]) else {
        // Past the harness, which keeps what a passed test prints to itself.
        let _ = writeln!(
            stderr(),
            "SKIPPED: no systemd-analyze here, so daemon/systemd/greenroom.service.in is not verified"
        );
        return;
    };
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && said.is_empty(), "{said}");
    let assessed = analyze(&["security", "--offline=true", "--no-pager", EXPOSURE_MAX]).unwrap();
    assert!(assessed.status.success(), "{}", String::from_utf8_lossy(&assessed.stdout));
}

#[test]
fn a_log_for_programs_is_one_object_a_line_from_the_manager_and_its_session_servers() {
    let tv_box = Setup::new().more("[log]\nformat = 'json'").start();
    tv_box.watch().bring_up("app1", TargetState::Inactive);
    let log = tv_box.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(lines.iter().any(|line| line["target"] == "greenroom_daemon::manager"), "{log}");
    assert!(lines.iter().any(|line| line["span"]["app"] == "app1"), "{log}");
}

/// greenroomd with this base file, this drop-in and these arguments.
fn configured(base: &str, drop_in: &str, arguments: &[&str]) -> (TempDir, std::process::Output) {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("greenroom.d")).unwrap();
    fs::write(place.path().join("greenroom.toml"), base).unwrap();
    fs::write(place.path().join("greenroom.d/50-local.toml"), drop_in).unwrap();
    let base = place.path().join("greenroom.toml");
    let output = Process::new(programs::path("greenroomd")).arg("--config").arg(base).args(arguments).output().unwrap();
    (place, output)
}

/// Field failure 17
#[test]
fn a_drop_in_wins_over_the_file_and_an_option_over_both_and_each_value_says_where_it_comes_from() {
    let base = "[box]\ndecoders = 2\n[session]\nready_timeout_ms = 700";
    let (_place, output) = configured(base, "[box]\ndecoders = 3", &["--show-config", "--control", "/run/c.sock"]);
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for (value, origin) in [
        ("decoders = 3", "greenroom.d/50-local.toml:2"),
        ("ready_timeout_ms = 700", "greenroom.toml:4"),
        ("socket = \"/run/c.sock\"", "--control"),
        ("restart = true", "default"),
    ] {
        let is_it = |line: &str| line.starts_with(value) && line.ends_with(origin);
        assert!(shown.lines().any(is_it), "{value} from {origin} is not in\n{shown}");
    }
}

#[test]
fn a_configuration_is_checked_without_starting_a_manager() {
    let (_place, output) = configured("[box]\ndecoders = 2", "", &["--check-config"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains("is sound") && said.contains("50-local.toml"), "{said}");
    for (drop_in, words) in [
        ("[box]\ndecoders = 999", ["50-local.toml", "line 2", "from 0 to 255"]),
        ("[box]\ndecodres = 1", ["50-local.toml", "line 2", "decodres"]),
        ("[app.tv]\ncontrollers = ['no-such-user']", ["controllers", "no-such-user", "correct it"]),
        ("[app.tv]\nmax_playback_sessions = 4", ["50-local.toml:2", "greenroom.toml:2", "could never be active"]),
    ] {
        let (_place, output) = configured("[box]\ndecoders = 2", drop_in, &["--check-config"]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }
}
