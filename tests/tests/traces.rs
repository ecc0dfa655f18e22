//! What was recorded on a box is replayed elsewhere to the same state, also of a session server that was killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Output};

use greenroom_core::hal::ExitStatus;
use greenroom_core::message::playback::PlaybackState;
use greenroom_core::message::{AppState, Reason, ServerState, TargetState};
use greenroom_core::trace::MachineKind;
use greenroom_core::trace::file::{File, Origin};
use greenroom_hal_mock::replay::{Outcome, Told, replay};
use greenroom_tests::coded_pictures::h264_pictures;
use greenroom_tests::deadline::PATIENCE;
use greenroom_tests::playing_app::App;
use greenroom_tests::programs;
use greenroom_tests::tv_box::{Setup, TvBox};
use rustix::process::Signal;
use serde_json::Value;

/// Saves a trace as a person does.
#[track_caller]
fn save(tv_box: &TvBox) -> PathBuf {
    let path = tv_box.place().join("box.trace");
    let output = tv_box.ctl(&["trace", "save", path.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    path
}

/// Replays as a person does, on a box without a manager.
fn replay_of(path: &Path, option: &str) -> Output {
    let mut program = Process::new(programs::path("greenroomctl"));
    program.args(["--control", "/nowhere", "trace", "replay", option]).arg(path).output().unwrap()
}

#[track_caller]
fn outcomes(path: &Path) -> Vec<Outcome> {
    let bytes = fs::read(path).unwrap();
    replay(&File::parse(&bytes).unwrap(), |_| {}).unwrap_or_else(|error| panic!("{error}"))
}

fn is_of<'o>(app: &'o str) -> impl Fn(&Origin) -> bool + 'o {
    move |origin| origin.app.as_ref().is_some_and(|of| of.as_str() == app)
}

#[test]
fn a_run_is_replayed_to_the_same_state_without_a_manager() {
    let tv_box = Setup::new().decoders(2).start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Active);
    controller.bring_up("app2", TargetState::Inactive);
    let app = App::of(&mut controller, "app1");
    let clip = h264_pictures(25);
    app.play(&clip);
    let path = save(&tv_box);
    let manager = outcomes(&path).remove(0);
    assert_eq!((manager.origin.machine, manager.origin.process_id), (MachineKind::Manager, tv_box.process_id()));
    assert_eq!((manager.inputs_since, manager.gaps), (0, 0), "{manager}");
    for shown in ["app1 Active, 1 decoder(s), 1 client(s)", "app2 Inactive, 0 decoder(s), 0 client(s)"] {
        assert!(manager.state.contains(shown), "{manager}");
    }
    let server = outcomes(&path).into_iter().find(|outcome| is_of("app1")(&outcome.origin)).unwrap();
    assert!(server.compared > 3 && server.inputs > 10, "{server}");
    drop(tv_box);
}

/// SM-36
#[test]
fn the_trace_of_a_server_that_was_killed_while_it_played_outlives_it() {
    let tv_box = TvBox::start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Active);
    let killed = controller.status("app1").unwrap().process_id;
    let app = App::of(&mut controller, "app1");
    let (session, mut source) = app.loaded();
    session.play().unwrap();
    let clip = h264_pictures(25);
    clip.iter().for_each(|picture| source.push(&picture.frame(), PATIENCE).unwrap());
    app.wait_for_state(PlaybackState::Playing);
    controller.signal_server("app1", Signal::KILL);
    assert_eq!(controller.expect("app1", ServerState::Error), Some(Reason::Killed(9)));
    controller.expect("app1", ServerState::Uninitialized);
    controller.expect("app1", ServerState::Active);
    let bytes = fs::read(save(&tv_box)).unwrap();
    let (mut sessions, mut state) = (0, AppState::Unknown);
    let outcomes = replay(&File::parse(&bytes).unwrap(), |step| {
        if let (Told::Session { machine, .. }, true) = (&step.told, step.origin.process_id == killed) {
            (sessions, state) = (machine.sessions(), machine.app_state());
        }
    });
    let outcomes = outcomes.unwrap_or_else(|error| panic!("{error}"));
    let crashed = outcomes.iter().find(|outcome| outcome.origin.process_id == killed).unwrap();
    assert_eq!(crashed.origin.ended, Some(ExitStatus::Killed(9)));
    assert!(is_of("app1")(&crashed.origin) && crashed.compared > 3, "{crashed}");
    assert_eq!((sessions, state), (1, AppState::Running), "it played: {crashed}");
    let successor = outcomes.iter().find(|outcome| is_of("app1")(&outcome.origin) && outcome.origin.ended.is_none());
    assert!(successor.is_some_and(|successor| successor.origin.process_id != killed));
    // Of the media there is nothing.
    let frame = clip[3].frame();
    let sample = &frame.data[frame.data.len() / 2..][..16];
    assert!(!bytes.windows(sample.len()).any(|found| found == sample));
}

/// Field failure 12
#[test]
fn of_each_app_the_last_crash_is_kept_also_when_it_was_given_up() {
    let tv_box = Setup::new().session("restart = false").start();
    let mut controller = tv_box.watch();
    let mut last = 0;
    for _ in 0..3 {
        controller.bring_up("app1", TargetState::Inactive);
        last = controller.status("app1").unwrap().process_id;
        controller.signal_server("app1", Signal::KILL);
        controller.expect("app1", ServerState::Error);
    }
    controller.bring_up("app2", TargetState::Inactive);
    controller.bring_to("app2", TargetState::NotRunning);
    let of_servers: Vec<_> = outcomes(&save(&tv_box)).into_iter().skip(1).map(|outcome| outcome.origin).collect();
    let processes: Vec<_> = of_servers.iter().map(|origin| (origin.process_id, origin.ended)).collect();
    assert_eq!(processes, [(last, Some(ExitStatus::Killed(9)))]);
    assert!(is_of("app1")(&of_servers[0]));
}

#[test]
fn a_replay_shows_each_step_or_the_final_states_only() {
    let tv_box = TvBox::start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Active);
    let path = save(&tv_box);
    let steps = String::from_utf8(replay_of(&path, "--control=/nowhere").stdout).unwrap();
    assert!(steps.contains("Initiate { app: \"app1\", state: Active") && steps.contains("-> Bind"), "{steps}");
    let quiet = replay_of(&path, "--quiet");
    let states = String::from_utf8(quiet.stdout).unwrap();
    assert!(quiet.status.success() && states.lines().count() == 2, "{states}");
    assert!(states.contains("the final state is the recorded one"), "{states}");
    let json = String::from_utf8(replay_of(&path, "--json").stdout).unwrap();
    let values: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(values.len() == 2 && values.iter().all(|value| value["gaps"] == 0), "{json}");
}

#[test]
fn a_file_that_cannot_be_replayed_is_refused_with_the_reason() {
    let tv_box = TvBox::start();
    let path = save(&tv_box);
    let bytes = fs::read(&path).unwrap();
    let mut other_version = bytes.clone();
    other_version[8] = 9;
    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 1;
    for (content, says) in [
        (&b"no trace"[..], "this is no trace file"),
        (&bytes[..bytes.len() - 3], "ends too early"),
        (&other_version, "is of version 9"),
        (&damaged, "part 1 of the trace file is damaged"),
    ] {
        fs::write(&path, content).unwrap();
        let output = replay_of(&path, "--quiet");
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn a_box_that_records_nothing_says_so() {
    let tv_box = Setup::new().more("[trace]\nbytes = 0").start();
    let path = tv_box.place().join("box.trace");
    let output = tv_box.ctl(&["trace", "save", path.to_str().unwrap()]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains("nothing is recorded"), "{error}");
    assert!(!path.exists());
}
