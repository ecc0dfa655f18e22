//! greenroomd, greenroomctl and greenroom-session as real processes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

/// A manager with a directory of its own. Killed when dropped, if it has not ended.
struct Manager {
    process: Child,
    place: TempDir,
}

impl Manager {
    fn start(configuration: &str) -> Self {
        let place = tempfile::tempdir().unwrap();
        let process = greenroomd(place.path(), configuration).stderr(Stdio::null()).spawn().unwrap();
        let manager = Self { process, place };
        until("the manager answers", || manager.ctl(&["list"]).status.success().then_some(()));
        manager
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_greenroomctl"));
        command.arg("--control").arg(self.path("control.sock")).args(arguments);
        command
    }

    fn ctl(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What it prints when it succeeds.
    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.ctl(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What it complains about when it exits with `status`.
    fn fails(&self, status: i32, arguments: &[&str]) -> String {
        let output = self.ctl(arguments);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}", said(&output));
        said(&output)
    }

    fn list(&self) -> Value {
        serde_json::from_str(&self.ok(&["list", "--json"])).unwrap()
    }

    fn process_of(&self, app: &str) -> Pid {
        let list = self.list();
        let found = list["apps"].as_array().unwrap().iter().find(|status| status["app"] == app).unwrap();
        Pid::from_raw(found["process_id"].as_i64().unwrap() as i32).unwrap()
    }

    fn watch(&self) -> Watch {
        let mut process = self.command(&["watch", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap());
        let mut watch = Watch { process, lines };
        // From its first line on it misses nothing.
        assert_eq!(watch.next()["event"], "present");
        watch
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    fn exit_status(&mut self) -> i32 {
        until("the manager has ended", || self.process.try_wait().unwrap()).code().unwrap()
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Watch {
    process: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Watch {
    fn next(&mut self) -> Value {
        let mut line = String::new();
        assert_ne!(self.lines.read_line(&mut line).unwrap(), 0, "the watch has ended");
        serde_json::from_str(&line).unwrap()
    }

    /// The next event of this state.
    fn until_state(&mut self, state: &str) -> Value {
        loop {
            let event = self.next();
            if event["state"] == state {
                return event;
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn greenroomd(place: &Path, configuration: &str) -> Command {
    let file = place.join("greenroom.toml");
    let sinks = "[sinks]\nvideo = 'fake'\naudio = 'fake'\n";
    let directory = format!("[socket]\ndirectory = '{}'\n", place.display());
    fs::write(&file, format!("{sinks}{directory}{configuration}")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_greenroomd"));
    command.arg("--config").arg(file).arg("--control").arg(place.join("control.sock"));
    command.env("XDG_RUNTIME_DIR", place).env("XDG_CACHE_HOME", place);
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn until<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::yield_now();
    }
}

fn is_alive(process: Pid) -> bool {
    test_kill_process(process).is_ok()
}

fn script(place: &Path, text: &str) -> PathBuf {
    let path = place.join("server.sh");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// SM-01 to SM-09, SM-15, SM-16, SM-18, SM-19, SM-34
#[test]
fn an_app_goes_through_its_whole_life() {
    let manager = Manager::start("");
    manager.ok(&["initiate", "app1", "--wait"]);
    let socket = manager.path("app1.sock");
    assert_eq!(manager.ok(&["connection-info", "app1"]).trim(), socket.to_str().unwrap());
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
    manager.ok(&["state", "app1", "active", "--wait"]);
    let list = manager.list();
    assert_eq!((&list["apps"][0]["state"], &list["apps"][0]["decoders"]), (&"active".into(), &1.into()));
    assert_eq!(list["box"]["decoders_free"], 0);
    let process = manager.process_of("app1");
    manager.ok(&["state", "app1", "inactive", "--wait"]);
    manager.ok(&["state", "app1", "not-running", "--wait"]);
    assert!(!is_alive(process) && !socket.exists());
    assert_eq!(manager.list()["apps"].as_array().unwrap().len(), 0);
    assert_eq!(manager.list()["box"]["decoders_free"], 1);
}

/// SM-27, SM-40
#[test]
fn the_decoders_go_from_one_app_to_the_next() {
    let manager = Manager::start("");
    manager.ok(&["initiate", "app1", "--state", "active", "--wait"]);
    manager.ok(&["initiate", "app2", "--wait"]);
    let refusal = manager.fails(1, &["state", "app2", "active"]);
    assert!(refusal.contains("app1 holds 1"), "{refusal}");
    manager.ok(&["state", "app1", "inactive", "--wait"]);
    manager.ok(&["state", "app2", "active", "--wait"]);
}

/// SM-21, SM-34, SM-36
#[test]
fn a_server_that_is_killed_and_not_restarted_leaves_nothing_and_can_be_started_again() {
    let manager = Manager::start("[session]\nrestart = false");
    manager.ok(&["initiate", "app1", "--state", "active", "--wait"]);
    manager.ok(&["initiate", "app2", "--wait"]);
    let mut watch = manager.watch();
    let process = manager.process_of("app1");
    kill_process(process, Signal::KILL).unwrap();
    let event = watch.until_state("error");
    assert_eq!((&event["app"], &event["reason"]), (&"app1".into(), &"Killed(9)".into()));
    assert!(!is_alive(process) && !manager.path("app1.sock").exists());
    assert_eq!(manager.list()["box"]["decoders_free"], 1);
    manager.ok(&["wait", "app2", "inactive"]);
    manager.ok(&["initiate", "app1", "--state", "active", "--wait"]);
}

/// SM-36: some shells and supervisors hand the signal on as ignored.
#[test]
fn how_a_server_ended_is_known_also_where_the_manager_was_started_without_child_signals() {
    let place = tempfile::tempdir().unwrap();
    let manager = greenroomd(place.path(), "");
    let mut deaf = Command::new("bash");
    deaf.args(["-c", "trap '' CHLD; exec \"$@\"", "bash"]).arg(manager.get_program()).args(manager.get_args());
    let process = deaf.env("XDG_RUNTIME_DIR", place.path()).stderr(Stdio::null()).spawn().unwrap();
    let manager = Manager { process, place };
    until("the manager answers", || manager.ctl(&["list"]).status.success().then_some(()));
    manager.ok(&["initiate", "app1", "--wait"]);
    let mut watch = manager.watch();
    kill_process(manager.process_of("app1"), Signal::KILL).unwrap();
    assert_eq!(watch.until_state("error")["reason"], "Killed(9)");
}

/// SM-10
/// SM-36
#[test]
fn a_server_that_is_killed_comes_back_and_the_list_tells_of_it() {
    let manager = Manager::start("");
    manager.ok(&["initiate", "app1", "--state", "active", "--wait"]);
    assert_eq!(manager.list()["apps"][0]["restarts"], 0);
    let process = manager.process_of("app1");
    let mut watch = manager.watch();
    kill_process(process, Signal::KILL).unwrap();
    watch.until_state("active");
    assert_ne!(manager.process_of("app1"), process);
    assert_eq!(manager.list()["apps"][0]["restarts"], 1);
    assert!(manager.ok(&["list"]).contains("RESTARTS"));
}

#[test]
fn a_socket_that_another_program_has_is_named_as_the_reason() {
    let manager = Manager::start("");
    let path = manager.path("taken.sock");
    let _other = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let why = manager.fails(1, &["initiate", "app1", "--socket", "taken.sock", "--wait"]);
    assert!(why.contains("another program listens"), "{why}");
    assert!(path.exists());
}

/// SM-12
#[test]
fn a_server_that_does_not_say_that_it_is_up_is_killed() {
    let place = tempfile::tempdir().unwrap();
    let program = script(place.path(), "#!/bin/sh\nexec sleep 1000\n");
    let manager = Manager::start(&format!("[session]\nprogram = '{}'\nready_timeout_ms = 200\n", program.display()));
    let why = manager.fails(1, &["initiate", "app1", "--wait"]);
    assert!(why.contains("ready_timeout_ms"), "{why}");
    assert_eq!(manager.list()["apps"].as_array().unwrap().len(), 0);
}

/// SM-04
#[test]
fn a_program_that_is_not_there_is_a_refusal_that_says_where_it_is_configured() {
    let manager = Manager::start("[session]\nprogram = '/nowhere/greenroom-session'\n");
    let why = manager.fails(1, &["initiate", "app1"]);
    assert!(why.contains("[session] program"), "{why}");
}

/// SM-38
#[test]
fn told_to_end_the_manager_ends_every_app_and_removes_its_socket() {
    let mut manager = Manager::start("");
    manager.ok(&["initiate", "app1", "--state", "active", "--wait"]);
    manager.ok(&["initiate", "app2", "--wait"]);
    let processes = [manager.process_of("app1"), manager.process_of("app2")];
    manager.signal(Signal::TERM);
    assert_eq!(manager.exit_status(), 0);
    assert!(!processes.into_iter().any(is_alive));
    for name in ["control.sock", "app1.sock", "app2.sock"] {
        assert!(!manager.path(name).exists(), "{name}");
    }
}

/// SM-38
#[test]
fn stop_ends_the_manager_too() {
    let mut manager = Manager::start("");
    manager.ok(&["initiate", "app1", "--wait"]);
    manager.ok(&["stop"]);
    assert_eq!(manager.exit_status(), 0);
}

/// SM-38: the servers see that their link has ended.
#[test]
fn no_server_outlives_a_manager_that_was_killed() {
    let mut manager = Manager::start("");
    manager.ok(&["initiate", "app1", "--state", "active", "--wait"]);
    let process = manager.process_of("app1");
    manager.signal(Signal::KILL);
    manager.process.wait().unwrap();
    until("the server has ended", || (!is_alive(process) || is_zombie(process)).then_some(()));
    assert!(!manager.path("app1.sock").exists());
}

/// Who adopts an orphan reaps it, at a time of its own.
fn is_zombie(process: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
    status.is_ok_and(|status| status.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
}

#[test]
fn a_manager_does_not_start_over_one_that_lives_but_over_one_that_was_killed() {
    let mut manager = Manager::start("");
    let second = greenroomd(manager.place.path(), "").output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(said(&second).contains("listens at") && said(&second).contains("greenroomctl stop"), "{}", said(&second));
    manager.ok(&["list"]);
    manager.signal(Signal::KILL);
    manager.process.wait().unwrap();
    manager.process = greenroomd(manager.place.path(), "").stderr(Stdio::null()).spawn().unwrap();
    until("the second manager answers", || manager.ctl(&["list"]).status.success().then_some(()));
}

#[test]
fn a_wrong_configuration_is_named_with_line_and_key() {
    let place = tempfile::tempdir().unwrap();
    let output = greenroomd(place.path(), "[box]\ndecodres = 1\n").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    for word in ["greenroom.toml", "line 7", "decodres"] {
        assert!(said(&output).contains(word), "{}", said(&output));
    }
}

/// SM-08: whose apps' sockets could not be made at all is told before there is any.
#[test]
fn a_manager_does_not_start_where_its_sockets_cannot_be() {
    let place = tempfile::tempdir().unwrap();
    let refusal = |configuration: &str| {
        let output = greenroomd(place.path(), configuration).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        said(&output)
    };
    let unknown = refusal("owner = 'no-such-user'\n");
    assert!(unknown.contains("[socket] owner") && unknown.contains("no-such-user"), "{unknown}");
    fs::write(place.path().join("control.sock"), "").unwrap();
    let taken = refusal("");
    assert!(taken.contains("is no socket") && !taken.contains("greenroomctl stop"), "{taken}");
    let mut command = greenroomd(place.path(), "");
    fs::write(place.path().join("greenroom.toml"), format!("[socket]\ndirectory = '/{}'", "x".repeat(101))).unwrap();
    let output = command.output().unwrap();
    assert!(output.status.code() == Some(1) && said(&output).contains("[socket] directory"), "{}", said(&output));
}

#[test]
fn exit_statuses_tell_a_refusal_from_a_missing_manager_from_a_wait_that_was_too_long() {
    let manager = Manager::start("");
    manager.fails(1, &["state", "app1", "active"]);
    manager.fails(2, &["state", "app1", "asleep"]);
    manager.fails(4, &["wait", "app1", "active", "--timeout", "0.1"]);
    let nobody = manager.path("nobody.sock");
    let missing = manager.fails(3, &["list", "--control", nobody.to_str().unwrap()]);
    assert!(missing.contains(nobody.to_str().unwrap()) && missing.contains("start greenroomd"), "{missing}");
    let json: Value = serde_json::from_str(
        String::from_utf8(manager.ctl(&["state", "app1", "active", "--json"]).stdout).unwrap().trim(),
    )
    .unwrap();
    assert_eq!((&json["refusal"], &json["status"]), (&"UnknownApp".into(), &1.into()));
}
