//! What goes into a file comes out of the decoder: complete, in order, at its time; or an error says why not.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command as Process, Output, Stdio};
use std::time::Instant;

use greenroom_core::message::{Reason, ServerState, TargetState};
use greenroom_tests::numbered_clip::{self, Coding, Content};
use greenroom_tests::picture_fifo::{Pace, PictureFifo, Recording, sink};
use greenroom_tests::programs;
use greenroom_tests::sequence::{Order, is_never_early};
use greenroom_tests::test_card::Style;
use greenroom_tests::tv_box::{Controller, Setup, TvBox};
use rustix::process::Signal;
use serde_json::Value;

const PICTURES: u16 = 50;

fn clip(directory: &Path, coding: Coding) -> PathBuf {
    let path = directory.join("clip").with_extension(coding.extension());
    let content = Content { pictures: PICTURES, style: Style { background: [90, 30, 60], dots: 1 }, tone_hz: 440 };
    numbered_clip::make(&path, coding, &content).unwrap_or_else(|error| panic!("{error}"));
    path
}

/// A box whose one app is Active and shows its pictures with this sink.
fn stage(setup: Setup, video_sink: &str) -> (TvBox, Controller) {
    let tv_box = setup.more(&format!("[app.app1]\nvideo_sink = {video_sink:?}")).start();
    let mut controller = tv_box.watch();
    controller.bring_up("app1", TargetState::Active);
    (tv_box, controller)
}

fn play(socket: &Path, file: &Path) -> Output {
    Process::new(programs::path("greenroom-play"))
        .args(["--json", "--socket"])
        .arg(socket)
        .arg(file)
        .stdin(Stdio::null())
        .output()
        .expect("greenroom-play runs")
}

/// Plays a clip to its end; gives when that was begun, what the player said at the end, and what came out.
#[track_caller]
fn record(coding: Coding, pace: Pace) -> (Instant, Value, Recording) {
    let setup = Setup::new();
    let (file, pipe) = (clip(setup.place(), coding), setup.place().join("pictures"));
    let pictures = PictureFifo::create(&pipe, usize::MAX).unwrap();
    let (tv_box, mut controller) = stage(setup, &sink(&pipe, pace));
    let since = Instant::now();
    let output = play(&controller.socket_of("app1"), &file);
    let (told, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{error}");
    controller.bring_to("app1", TargetState::NotRunning);
    let end = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    // The pipe lies in the box's directory, which goes with the box.
    let recording = pictures.finish().unwrap();
    drop(tv_box);
    (since, end, recording)
}

#[track_caller]
fn assert_all_came(end: &Value, recording: &Recording) {
    let order = Order::of(&recording.arrivals, PICTURES);
    assert!(order.is_perfect(), "{order:?}");
    assert_eq!((order.came, recording.rest_bytes), (usize::from(PICTURES), 0));
    for source in end["sources"].as_array().unwrap() {
        assert_eq!(source["frames_sent"], source["frames_taken"], "{source}");
        assert_eq!(source["frames_dropped"], Value::from(0), "{source}");
    }
}

#[test]
fn every_picture_comes_out_once_in_order_and_not_before_its_time() {
    for coding in [Coding::H264Aac, Coding::Vp9Opus] {
        let (since, end, recording) = record(coding, Pace::RealTime);
        assert_all_came(&end, &recording);
        assert!(is_never_early(&recording.arrivals, since), "{coding:?}");
    }
}

/// Whether it is faster than real time is for a benchmark to say; that nothing is lost on the way is said here.
#[test]
fn a_sink_that_does_not_wait_gets_every_picture_too() {
    for coding in [Coding::H264Aac, Coding::Vp9Opus] {
        let (_, end, recording) = record(coding, Pace::Unlimited);
        assert_all_came(&end, &recording);
    }
}

/// The exit status is not 0, and what was written to stderr holds each of the words.
#[track_caller]
fn assert_refused(output: &Output, words: &[&str]) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    for word in words {
        assert!(error.contains(word), "no '{word}' in: {error}");
    }
}

#[test]
fn a_damaged_file_is_named_and_the_next_one_plays() {
    let setup = Setup::new();
    let good = clip(setup.place(), Coding::H264Aac);
    let cut = setup.place().join("cut.mp4");
    fs::write(&cut, &fs::read(&good).unwrap()[..2000]).unwrap();
    let (_tv_box, mut controller) = stage(setup, "fakesink sync=false");
    let socket = controller.socket_of("app1");
    assert_refused(&play(&socket, &cut), &["cut.mp4", "damaged"]);
    assert!(play(&socket, &good).status.success());
}

#[test]
fn a_missing_element_is_told_to_the_app_and_named_in_the_log() {
    let setup = Setup::new();
    let file = clip(setup.place(), Coding::H264Aac);
    let (tv_box, mut controller) = stage(setup, "curtainsink");
    assert_refused(&play(&controller.socket_of("app1"), &file), &["element is missing"]);
    assert!(tv_box.log().contains("curtainsink"), "{}", tv_box.log());
    controller.bring_to("app1", TargetState::Inactive);
    controller.bring_to("app1", TargetState::Active);
}

/// Starts to play a clip; gives the player when the app has heard that it plays.
#[track_caller]
fn begin_to_play(socket: &Path, file: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut player = Process::new(programs::path("greenroom-play"))
        .args(["--json", "--socket"])
        .arg(socket)
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("greenroom-play runs");
    let mut told = BufReader::new(player.stdout.take().expect("it is a pipe"));
    let mut line = String::new();
    while !line.contains(r#""state":"playing""#) {
        line.clear();
        assert_ne!(told.read_line(&mut line).unwrap(), 0, "it ended before it played");
    }
    (player, told)
}

/// SM-34, SM-35, SM-36: as a decoder that corrupts its memory ends its process.
#[test]
fn a_session_server_that_aborts_while_it_plays_takes_no_other_app_with_it_and_comes_back() {
    let setup = Setup::new().decoders(2);
    let file = clip(setup.place(), Coding::H264Aac);
    let tv_box = setup.start();
    let mut controller = tv_box.watch();
    for app in ["app1", "app2"] {
        controller.bring_up(app, TargetState::Active);
    }
    let sockets = ["app1", "app2"].map(|app| controller.socket_of(app));
    let (mut other, mut told) = begin_to_play(&sockets[1], &file);
    let (mut struck, _told) = begin_to_play(&sockets[0], &file);
    controller.signal_server("app1", Signal::ABORT);
    assert_eq!(controller.expect("app1", ServerState::Error), Some(Reason::Killed(6)));
    controller.expect("app1", ServerState::Uninitialized);
    controller.expect("app1", ServerState::Active);

    let mut rest = String::new();
    told.read_to_string(&mut rest).unwrap();
    assert!(other.wait().unwrap().success(), "{rest}");
    assert!(rest.lines().last().unwrap().contains("end_of_stream"), "{rest}");
    let _ = struck.kill();
    let _ = struck.wait();
    assert!(play(&sockets[0], &file).status.success());
    controller.expect_silence();
}
