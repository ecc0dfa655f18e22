//! `greenroomctl` and `greenroomd` as a person or a script meets them: answers, exit statuses, errors that name the
//! thing and say what to do.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixListener;
use std::process::{Command as Process, Output, Stdio};
use std::sync::mpsc::{self, Receiver};

use greenroom_core::limits::APPS_MAX;
use greenroom_core::message::TargetState;
use greenroom_tests::deadline::{PATIENCE, until};
use greenroom_tests::programs;
use greenroom_tests::tv_box::{Setup, TvBox};
use serde_json::Value;

const OK: i32 = 0;
const REFUSED: i32 = 1;
const USAGE: i32 = 2;
const NO_MANAGER: i32 = 3;
const TIMED_OUT: i32 = 4;

/// The exit status is this one, and what was written to stderr holds each of the words.
#[track_caller]
fn assert_fails(output: &Output, status: i32, words: &[&str]) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{error}");
    for word in words {
        assert!(error.contains(word), "no '{word}' in: {error}");
    }
}

#[track_caller]
fn succeed(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(OK), "{error}");
    String::from_utf8(output.stdout.clone()).expect("text")
}

#[track_caller]
fn json(output: &Output) -> Vec<Value> {
    let text = succeed(output);
    let values: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(&text).into_iter().collect();
    values.unwrap_or_else(|error| panic!("{error} in: {text}"))
}

/// SM-01, SM-09, SM-14, SM-19
#[test]
fn a_script_takes_an_app_through_its_states() {
    let tv_box = TvBox::start();
    succeed(&tv_box.ctl(&["initiate", "app1", "--state", "inactive", "--socket", "one.sock"]));
    succeed(&tv_box.ctl(&["wait", "app1", "inactive"]));
    let socket = tv_box.place().join("one.sock");
    let info = succeed(&tv_box.ctl(&["connection-info", "app1"]));
    assert_eq!(info.trim(), socket.to_str().unwrap());
    succeed(&tv_box.ctl(&["state", "app1", "active"]));
    succeed(&tv_box.ctl(&["wait", "app1", "active"]));
    let list = succeed(&tv_box.ctl(&["list"]));
    assert!(list.contains("app1") && list.to_lowercase().contains("active"), "{list}");
    succeed(&tv_box.ctl(&["state", "app1", "not-running"]));
    succeed(&tv_box.ctl(&["wait", "app1", "not-running"]));
    assert!(!succeed(&tv_box.ctl(&["list"])).contains("app1"));
}

#[test]
fn every_answer_is_to_be_had_as_json() {
    let tv_box = TvBox::start();
    for arguments in [
        &["initiate", "app1", "--json"][..],
        &["wait", "app1", "inactive", "--json"],
        &["connection-info", "app1", "--json"],
        &["log-level", "default", "debug", "--json"],
        &["list", "--json"],
        &["state", "app1", "active", "--json"],
    ] {
        assert!(!json(&tv_box.ctl(arguments)).is_empty(), "{arguments:?}");
    }
    let refused = tv_box.ctl(&["state", "app9", "active", "--json"]);
    assert_eq!(refused.status.code(), Some(REFUSED));
    let told: Value = serde_json::from_slice(&refused.stdout).expect("a refusal is JSON too");
    assert_eq!((&told["refusal"], &told["status"]), (&Value::from("UnknownApp"), &Value::from(REFUSED)));
}

#[test]
fn a_list_says_what_an_app_takes_how_long_it_is_up_and_what_was_refused() {
    let tv_box = TvBox::start();
    tv_box.watch().bring_up("app1", TargetState::Active);
    assert_eq!(tv_box.ctl(&["initiate", "app1"]).status.code(), Some(REFUSED));
    let told = json(&tv_box.ctl(&["list", "--json"]));
    let app = &told[0]["apps"][0];
    assert!(app["rss_kib"].as_u64() > Some(1_000), "{app}");
    assert_eq!((&app["refusals"], &app["clients"]), (&Value::from(1), &Value::from(0)));
    let last = &told[0]["box"]["last_refusal"];
    assert_eq!(last["app"], "app1");
    assert!(last["explanation"].as_str().is_some_and(|text| text.contains("it runs already")), "{last}");
    let shown = succeed(&tv_box.ctl(&["list"]));
    for words in ["MEMORY", "MiB", "(app1 has 1)", "refused last: app app1: it runs already"] {
        assert!(shown.contains(words), "no '{words}' in\n{shown}");
    }
}

#[test]
fn watch_shows_how_things_are_and_then_each_change_as_a_line() {
    let tv_box = TvBox::start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Inactive);
    let mut watch = Process::new(programs::path("greenroomctl"))
        .arg("--control")
        .arg(tv_box.control())
        .args(["watch", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = json_lines(watch.stdout.take().unwrap());
    let present = lines.recv_timeout(PATIENCE).expect("how things are");
    assert_eq!((&present["event"], &present["apps"][0]["app"]), (&Value::from("present"), &Value::from("app1")));
    controller.bring_to("app1", TargetState::Active);
    let change = lines.recv_timeout(PATIENCE).expect("the change");
    assert_eq!((&change["app"], &change["state"]), (&Value::from("app1"), &Value::from("active")));
    watch.kill().unwrap();
    watch.wait().unwrap();
}

/// Lines as they come, read by a thread so that a line that never comes can be given up.
fn json_lines(stream: impl Read + Send + 'static) -> Receiver<Value> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let _ = sender.send(serde_json::from_str(&line).expect("JSON"));
        }
    });
    lines
}

#[test]
fn an_unknown_app_is_named() {
    let tv_box = TvBox::start();
    assert_fails(&tv_box.ctl(&["state", "app7", "active"]), REFUSED, &["app7", "greenroomctl list"]);
    assert_fails(&tv_box.ctl(&["connection-info", "app7"]), REFUSED, &["app7"]);
}

#[test]
fn a_name_that_is_too_long_or_has_a_slash_is_refused_with_the_rule() {
    let tv_box = TvBox::start();
    assert_fails(&tv_box.ctl(&["initiate", &"x".repeat(65)]), REFUSED, &["64"]);
    assert_fails(&tv_box.ctl(&["initiate", "a/b"]), REFUSED, &["letters"]);
    assert_fails(&tv_box.ctl(&["initiate", "app1", "--socket", &"y".repeat(120)]), REFUSED, &["107"]);
}

/// SM-40
#[test]
fn a_refused_decoder_names_its_holder() {
    let tv_box = TvBox::start();
    succeed(&tv_box.ctl(&["initiate", "app1", "--state", "active"]));
    succeed(&tv_box.ctl(&["wait", "app1", "active"]));
    assert_fails(&tv_box.ctl(&["initiate", "app2", "--state", "active"]), REFUSED, &["app2", "app1", "decoder"]);
}

#[test]
fn an_app_that_runs_is_not_started_again() {
    let tv_box = TvBox::start();
    succeed(&tv_box.ctl(&["initiate", "app1"]));
    assert_fails(&tv_box.ctl(&["initiate", "app1"]), REFUSED, &["app1", "runs already"]);
}

#[test]
fn a_full_table_is_refused_with_its_capacity_and_takes_an_app_again_after_one_ended() {
    let tv_box = Setup::new().misbehaving("waits-for-gate").start();
    let mut controller = tv_box.watch();
    for number in 0..APPS_MAX {
        controller.bring_up(&format!("app{number}"), TargetState::Inactive);
    }
    let capacity = APPS_MAX.to_string();
    assert_fails(&tv_box.ctl(&["initiate", "one-more"]), REFUSED, &["full", &capacity]);
    let list = succeed(&tv_box.ctl(&["list"]));
    let has = |app: &str| list.lines().any(|line| line.trim_start().starts_with(app));
    assert!(!has("one-more") && has(&format!("app{} ", APPS_MAX - 1)), "{list}");
}

/// SM-10
#[test]
fn a_socket_path_that_cannot_be_had_is_told_with_what_to_do() {
    let tv_box = TvBox::start();
    let taken = tv_box.place().join("taken.sock");
    let _listener = UnixListener::bind(&taken).unwrap();
    let initiated = tv_box.ctl(&["initiate", "app1", "--wait", "--socket", taken.to_str().unwrap()]);
    assert_fails(&initiated, REFUSED, &["app1", "another program listens", "--socket"]);
    let nowhere = tv_box.ctl(&["initiate", "app1", "--wait", "--socket", "/no/such/place/app.sock"]);
    assert_fails(&nowhere, REFUSED, &["directory"]);
}

/// SM-04
#[test]
fn a_missing_session_program_is_told_with_where_it_is_configured() {
    let setup = Setup::new();
    let missing = setup.place().join("gone");
    let tv_box = setup.session_program(missing).start();
    assert_fails(&tv_box.ctl(&["initiate", "app1"]), REFUSED, &["app1", "[session] program"]);
}

#[test]
fn waiting_ends_when_its_time_is_over() {
    let tv_box = TvBox::start();
    succeed(&tv_box.ctl(&["initiate", "app1"]));
    succeed(&tv_box.ctl(&["wait", "app1", "inactive"]));
    assert_fails(&tv_box.ctl(&["wait", "app1", "active", "--timeout", "0.1"]), TIMED_OUT, &["app1"]);
}

/// SM-36: its server dies on the way, and the next one gets there.
#[test]
fn who_waits_for_an_app_waits_over_a_restart() {
    let setup = Setup::new().misbehaving("dies-once-at-active");
    let gate = setup.place().join("gate").display().to_string();
    let tv_box = setup.environment("GREENROOM_GATE", &gate).start();
    succeed(&tv_box.ctl(&["initiate", "app1", "--wait"]));
    succeed(&tv_box.ctl(&["state", "app1", "active", "--wait"]));
    assert_eq!(tv_box.connect().status("app1").unwrap().restarts, 1);
}

/// SM-36: the Error after which no other server follows is final.
#[test]
fn who_waits_for_an_app_that_is_given_up_is_told_so() {
    let setup = Setup::new().misbehaving("dies-once-at-active").session("restart = false");
    let gate = setup.place().join("gate").display().to_string();
    let tv_box = setup.environment("GREENROOM_GATE", &gate).start();
    succeed(&tv_box.ctl(&["initiate", "app1", "--wait"]));
    assert_fails(&tv_box.ctl(&["state", "app1", "active", "--wait"]), REFUSED, &["app1", "error"]);
    succeed(&tv_box.ctl(&["wait", "app1", "not-running"]));
}

#[test]
fn an_app_that_starts_is_not_taken_for_one_that_does_not_run() {
    let tv_box = Setup::new().misbehaving("never-ready").start();
    succeed(&tv_box.ctl(&["initiate", "app1"]));
    assert_fails(&tv_box.ctl(&["wait", "app1", "not-running", "--timeout", "0.1"]), TIMED_OUT, &["app1"]);
}

#[test]
fn without_a_manager_the_socket_is_named() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("control.sock");
    let output =
        Process::new(programs::path("greenroomctl")).arg("--control").arg(&socket).arg("list").output().unwrap();
    assert_fails(&output, NO_MANAGER, &[socket.to_str().unwrap(), "greenroomd"]);
}

/// SM-38
#[test]
fn stop_ends_everything() {
    let mut tv_box = TvBox::start();
    succeed(&tv_box.ctl(&["initiate", "app1"]));
    succeed(&tv_box.ctl(&["stop"]));
    assert!(tv_box.wait().success());
    assert_eq!(tv_box.socket_files(), [""; 0]);
}

#[test]
fn a_configuration_with_an_unknown_key_names_file_line_and_key() {
    let setup = Setup::new().more("[wardrobe]\ndoors = 2");
    let configuration = setup.write_configuration();
    let output = Process::new(programs::path("greenroomd")).arg("--config").arg(&configuration).output().unwrap();
    assert_fails(&output, USAGE, &[configuration.to_str().unwrap(), "wardrobe", "line"]);
    let missing = setup.place().join("none.toml");
    let output = Process::new(programs::path("greenroomd")).arg("--config").arg(&missing).output().unwrap();
    assert_fails(&output, USAGE, &[missing.to_str().unwrap()]);
}

#[test]
fn a_second_manager_does_not_take_the_first_ones_socket() {
    let tv_box = TvBox::start();
    let configuration = tv_box.place().join("greenroom.toml");
    let output = Process::new(programs::path("greenroomd")).arg("--config").arg(configuration).output().unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("control.sock"), "{error}");
    succeed(&tv_box.ctl(&["list"]));
}

#[test]
fn a_control_socket_left_by_a_killed_manager_is_taken_over() {
    let mut tv_box = TvBox::start();
    tv_box.signal(rustix::process::Signal::KILL);
    tv_box.wait();
    assert!(tv_box.control().exists());
    let mut next = Process::new(programs::path("greenroomd"))
        .arg("--config")
        .arg(tv_box.place().join("greenroom.toml"))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("the new manager answers", || (tv_box.ctl(&["list"]).status.code() == Some(OK)).then_some(()));
    succeed(&tv_box.ctl(&["stop"]));
    assert!(next.wait().unwrap().success());
}

/// SM-39
#[test]
fn a_log_level_reaches_a_running_session_server() {
    let tv_box = TvBox::start();
    succeed(&tv_box.ctl(&["initiate", "app1", "--wait"]));
    let before = tv_box.log().len();
    succeed(&tv_box.ctl(&["log-level", "session-server", "debug"]));
    succeed(&tv_box.ctl(&["state", "app1", "active", "--wait"]));
    until("the session server logs more", || tv_box.log()[before..].contains("the manager asks").then_some(()));
    assert_fails(&tv_box.ctl(&["log-level", "session-server", "louder"]), USAGE, &["louder", "debug"]);
}

#[test]
fn programs_that_are_started_by_hand_say_what_they_are_for() {
    let output = Process::new(programs::path("greenroom-session")).stdin(Stdio::null()).output().unwrap();
    assert_fails(&output, USAGE, &["--link-fd"]);
    let file = fs::File::open("/dev/null").unwrap();
    let output =
        Process::new(programs::path("greenroom-session")).args(["--link-fd", "0"]).stdin(file).output().unwrap();
    assert_fails(&output, USAGE, &["descriptor 0", "greenroomd"]);
}
