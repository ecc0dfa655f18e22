//! What the programs hold: memory, threads, descriptors, libraries.
//!
//! Memory is the proportional set: a page that several processes share counts for each of them by its share. While one is
//! looked at, no other process of this run has GStreamer's libraries, so that it bears them alone.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use greenroom_core::message::TargetState;
use greenroom_core::message::playback::PlaybackState;
use greenroom_hal_linux::client::Client;
use greenroom_tests::deadline::until;
use greenroom_tests::tv_box::{Controller, Setup};

use super::app::{self, Clip};
use super::empty::EmptyProgram;
use super::stage::{APP, Stage};
use crate::Failure;
use crate::figure::{Figure, Target};
use crate::pinning::{Pinning, on};
use crate::report::{Report, progress};
use crate::rounds::{Spread, interleave};

const IDLE_PSS_MB_MAX: f64 = 5.0;
/// As many as the ring has places: all are pushed at once, and play for more than two seconds.
const PICTURES: u32 = 64;
/// What plays has all of its threads and buffers by then.
const PLAYING_FOR: Duration = Duration::from_millis(400);

pub(crate) fn measure(report: &mut Report, pinning: Pinning, rounds: u32) -> Result<(), Failure> {
    let stage = Stage::set_up(Setup::new(), pinning)?;
    let clip = Clip::make(stage.tv_box.place(), PICTURES)?;
    let manager = stage.tv_box.process_id();
    let controller = RefCell::new(stage.controller);
    let bar = progress("memory", 5 * rounds);
    let spreads = interleave(
        [
            &mut || while_idle(&mut controller.borrow_mut(), |_| pss_mb(manager)),
            &mut || while_idle(&mut controller.borrow_mut(), pss_mb),
            &mut || while_empty(pinning, pss_mb),
            &mut || while_playing(&mut controller.borrow_mut(), &clip, pss_mb),
            &mut || while_launched(&clip, pinning, pss_mb),
        ],
        rounds,
        || bar.inc(1),
    )?;
    bar.finish_and_clear();
    let [of_manager, idle, empty, playing, launched] = spreads;
    report.add(Figure::new("manager_pss", "MB", of_manager, "empty program", empty));
    let idle = Figure::new("session_idle_pss", "MB", idle, "empty program", empty);
    report.add(idle.target(Target::ValueMax(IDLE_PSS_MB_MAX)));
    report.add(Figure::new("session_playing_pss", "MB", playing, "gst-launch-1.0", launched));
    count(report, manager, &mut controller.borrow_mut(), &clip, pinning)
}

/// What is there or is not, and never differs from one time to the next.
fn count(
    report: &mut Report,
    manager: u32,
    controller: &mut Controller,
    clip: &Clip,
    pinning: Pinning,
) -> Result<(), Failure> {
    let empty = while_empty(pinning, Counts::of)?;
    let counted = [
        ("manager", while_idle(controller, |_| Counts::of(manager))?, "empty program", empty),
        ("session_idle", while_idle(controller, Counts::of)?, "empty program", empty),
        (
            "session_playing",
            while_playing(controller, clip, Counts::of)?,
            "gst-launch-1.0",
            while_launched(clip, pinning, Counts::of)?,
        ),
    ];
    for (who, value, reference, reference_value) in counted {
        for (what, unit, value, reference_value) in value.beside(&reference_value) {
            report.add(Figure::new(format!("{who}_{what}"), unit, value, reference, reference_value));
        }
    }
    Ok(())
}

/// Looks at the session server of an app that is Inactive.
fn while_idle<T>(controller: &mut Controller, look: impl FnOnce(u32) -> Result<T, Failure>) -> Result<T, Failure> {
    let server = start(controller, TargetState::Inactive)?;
    let seen = look(server);
    controller.bring_to(APP, TargetState::NotRunning);
    seen
}

/// Looks at the session server of an app that plays.
fn while_playing<T>(
    controller: &mut Controller,
    clip: &Clip,
    look: impl FnOnce(u32) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let server = start(controller, TargetState::Active)?;
    let client = Client::connect(controller.socket_of(APP))?;
    let performance = app::play(&client, clip)?;
    until("it plays", || (performance.session.state() == PlaybackState::Playing).then_some(()));
    thread::sleep(PLAYING_FOR);
    let seen = look(server);
    drop((performance, client));
    controller.bring_to(APP, TargetState::NotRunning);
    seen
}

/// Looks at the empty program.
fn while_empty<T>(pinning: Pinning, look: impl FnOnce(u32) -> Result<T, Failure>) -> Result<T, Failure> {
    let program = EmptyProgram::start(pinning)?;
    let seen = look(program.process_id());
    program.end()?;
    seen
}

/// Looks at `gst-launch-1.0` while it plays.
fn while_launched<T>(
    clip: &Clip,
    pinning: Pinning,
    look: impl FnOnce(u32) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let elements = format!(
        "filesrc location={} ! h264parse ! avdec_h264 ! queue ! videoconvert ! fakesink sync=true",
        clip.path.display()
    );
    let mut command = Command::new("gst-launch-1.0");
    command.args(elements.split_whitespace()).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = on(pinning.greenroom, pinning.app, || command.spawn())??;
    let said = BufReader::new(child.stdout.take().ok_or("it has no output")?).lines();
    let mut plays = said.map_while(Result::ok).skip_while(|line| !line.contains("PLAYING"));
    let seen = plays.next().ok_or_else(|| "it did not play".into()).and_then(|_| {
        thread::sleep(PLAYING_FOR);
        look(child.id())
    });
    child.kill()?;
    child.wait()?;
    seen
}

/// Starts the app; gives the process of its session server.
fn start(controller: &mut Controller, state: TargetState) -> Result<u32, Failure> {
    controller.bring_up(APP, state);
    Ok(controller.status(APP).ok_or("the app is not there")?.process_id)
}

/// The proportional set of a process, in megabytes.
fn pss_mb(process_id: u32) -> Result<f64, Failure> {
    Ok(pss_kb(process_id)? / 1e3)
}

/// The proportional set of a process, in kilobytes.
pub(crate) fn pss_kb(process_id: u32) -> Result<f64, Failure> {
    let rollup = fs::read_to_string(format!("/proc/{process_id}/smaps_rollup"))?;
    let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).ok_or("no Pss in smaps_rollup")?;
    let kibibytes: f64 = pss.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes * 1024.0 / 1e3)
}

/// What a process holds.
#[derive(Clone, Copy, Debug)]
struct Counts {
    threads: usize,
    descriptors: usize,
    libraries: usize,
}

impl Counts {
    fn of(process_id: u32) -> Result<Self, Failure> {
        let maps = fs::read_to_string(format!("/proc/{process_id}/maps"))?;
        let files = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
        let libraries: BTreeSet<&str> = files.filter(|file| file.contains(".so")).collect();
        let entries = |of: &str| Ok::<_, Failure>(fs::read_dir(format!("/proc/{process_id}/{of}"))?.count());
        Ok(Self { threads: entries("task")?, descriptors: entries("fd")?, libraries: libraries.len() })
    }

    fn beside(self, reference: &Self) -> [(&'static str, &'static str, Spread, Spread); 3] {
        [
            ("threads", self.threads, reference.threads),
            ("descriptors", self.descriptors, reference.descriptors),
            ("libraries", self.libraries, reference.libraries),
        ]
        .map(|(what, value, reference)| (what, what, exactly(value), exactly(reference)))
    }
}

#[allow(clippy::cast_precision_loss, reason = "no process holds 2^52 of anything")]
fn exactly(count: usize) -> Spread {
    Spread::exactly(count as f64)
}
