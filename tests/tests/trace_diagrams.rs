//! The sequence diagram of a real run, as a person draws it from a saved trace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Output};

use greenroom_core::message::TargetState;
use greenroom_tests::playing_app::App;
use greenroom_tests::programs;
use greenroom_tests::tv_box::{Setup, TvBox};
use serde_json::Value;

fn save(tv_box: &TvBox, name: &str) -> PathBuf {
    let path = tv_box.place().join(name);
    let output = tv_box.ctl(&["trace", "save", path.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    path
}

/// Draws on a box without a manager.
fn draw(options: &[&str], traces: &[&Path]) -> Output {
    let mut program = Process::new(programs::path("greenroomctl"));
    program.args(["--control", "/nowhere", "trace", "diagram"]).args(options).args(traces).output().unwrap()
}

#[track_caller]
fn drawn(options: &[&str], traces: &[&Path]) -> String {
    let output = draw(options, traces);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Each of them is there, and stands behind the one before it.
#[track_caller]
fn assert_in_order(text: &str, words: &[&str]) {
    let mut rest = text;
    for word in words {
        let place = rest.find(word).unwrap_or_else(|| panic!("no '{word}' in its place:\n{text}"));
        rest = &rest[place + word.len()..];
    }
}

/// SM-01 to SM-09, SM-23
#[test]
fn a_saved_trace_is_drawn_with_the_participants_and_steps_of_the_specification() {
    let tv_box = Setup::new().decoders(1).start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Active);
    let app = App::of(&mut controller, "app1");
    app.play(&greenroom_tests::coded_pictures::h264_pictures(5));
    let trace = save(&tv_box, "box.trace");
    let text = drawn(&[], &[&trace]);
    let start = [
        "ApplicationManager",
        "ServerManager",
        "initiate_application(app1, Active)",
        "spawn(link)",
        "SessionServer(app1)",
        "start the READY timer",
        "state_changed(Uninitialized)",
        "cancel the READY timer",
        "state_changed(app1, Uninitialized)",
        "set_configuration(",
        "create the listening socket",
        "allocate the shared memory",
        "state_changed(Active)",
        "state_changed(app1, Active)",
        "Client(app1)",
        "get_shared_memory",
        "attach_source(H264)",
        "playback_state(Playing)",
    ];
    let heads = text.lines().nth(4).unwrap();
    assert!(heads.contains("ApplicationManager") && heads.contains("ServerManager"), "{text}");
    let steps: Vec<&str> = start.into_iter().filter(|word| !word.starts_with("Client")).collect();
    assert_in_order(&text, &steps);
    assert!(text.contains("Client(app1)"), "{text}");
    assert!(!text.contains(" ping "), "{text}");
    assert_eq!(drawn(&["--text"], &[&trace]), text);
}

#[test]
fn every_notation_is_written_where_it_is_wanted() {
    let tv_box = TvBox::start();
    tv_box.watch().bring_up("app1", TargetState::Inactive);
    let trace = save(&tv_box, "box.trace");
    let svg = tv_box.place().join("box.svg");
    assert_eq!(drawn(&["--svg", "-o", svg.to_str().unwrap()], &[&trace]), "");
    assert!(fs::read_to_string(&svg).unwrap().starts_with("<svg xmlns="));
    assert!(drawn(&["--mermaid"], &[&trace]).starts_with("sequenceDiagram\n"));
    assert!(drawn(&["--plantuml"], &[&trace]).starts_with("@startuml\n"));
    let json: Value = serde_json::from_str(&drawn(&["--json"], &[&trace])).unwrap();
    assert!(json["diagram"].as_str().unwrap().contains("initiate_application"), "{json}");
    assert_eq!(draw(&["--svg", "--text"], &[&trace]).status.code(), Some(2));
}

/// What a session server did is in its own trace, which goes with it.
#[test]
fn traces_that_were_saved_one_after_the_other_are_one_run() {
    let tv_box = TvBox::start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Inactive);
    let early = save(&tv_box, "early.trace");
    let ended = tv_box.ctl(&["state", "app1", "not-running", "--wait"]);
    assert!(ended.status.success());
    let late = save(&tv_box, "late.trace");
    let whole = drawn(&[], &[&early, &late]);
    assert_in_order(
        &whole,
        &["create the listening socket", "set_state(NotRunning)", "state_changed(app1, NotRunning)"],
    );
    assert_eq!(whole.matches("initiate_application").count(), 1, "{whole}");
    assert!(!drawn(&[], &[&late]).contains("create the listening socket"));
}

#[test]
fn what_is_no_trace_is_refused_by_name() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("no.trace");
    let missing = draw(&[], &[&path]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("no.trace"));
    fs::write(&path, b"something else").unwrap();
    let other = draw(&[], &[&path]);
    assert_eq!(other.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&other.stderr).contains("no trace"));
}
