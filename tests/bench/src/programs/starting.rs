//! From a request until a session server is there, and until it is gone; from its death until its successor serves.

use std::cell::RefCell;
use std::time::Instant;

use greenroom_core::message::playback::Event;
use greenroom_core::message::{AppState, TargetState};
use greenroom_hal_linux::client::{Client, ClientEvent, Events};
use greenroom_tests::deadline::until;
use greenroom_tests::tv_box::{Controller, Setup};

use rustix::process::{Pid, Signal, kill_process};

use super::empty::EmptyProgram;
use super::milliseconds_since;
use super::stage::{APP, PATIENCE, Stage};
use crate::Failure;
use crate::figure::{Figure, Target};
use crate::pinning::Pinning;
use crate::report::{Report, progress};
use crate::rounds::interleave;

const COLD_RATIO_MAX: f64 = 1.5;
const GONE_MS_MAX: f64 = 5.0;

const SPARE_MS_MAX: f64 = 0.5;
const RUNNING_MS_MAX: f64 = 10.0;

/// With one spare, which is there again before each turn. Each death is the first of its window: none is followed by a
/// pause.
const WITH_SPARE: &str = "spares = 1\nrestart_window_ms = 1";

pub(crate) fn measure(report: &mut Report, pinning: Pinning, rounds: u32) -> Result<(), Failure> {
    without_spares(report, pinning, rounds)?;
    with_a_spare(report, pinning, rounds)
}

fn without_spares(report: &mut Report, pinning: Pinning, rounds: u32) -> Result<(), Failure> {
    let stage = Stage::set_up(Setup::new(), pinning)?;
    let controller = RefCell::new(stage.controller);
    let bar = progress("session servers start and end", 4 * rounds);
    let spreads = interleave(
        [
            &mut || {
                let cold = initiate(&mut controller.borrow_mut());
                end(&mut controller.borrow_mut());
                Ok(cold)
            },
            &mut || {
                initiate(&mut controller.borrow_mut());
                Ok(end(&mut controller.borrow_mut()))
            },
            &mut || {
                let start = Instant::now();
                let program = EmptyProgram::start(pinning)?;
                let elapsed_ms = milliseconds_since(start);
                program.end()?;
                Ok(elapsed_ms)
            },
            &mut || EmptyProgram::start(pinning)?.end(),
        ],
        rounds,
        || bar.inc(1),
    )?;
    bar.finish_and_clear();
    let [cold, gone, bare_start, bare_end] = spreads;
    let cold = Figure::new("initiate_cold", "ms", cold, "empty program starts", bare_start);
    report.add(cold.target(Target::RatioMax(COLD_RATIO_MAX)));
    let gone = Figure::new("not_running_to_gone", "ms", gone, "empty program ends", bare_end);
    report.add(gone.target(Target::ValueMax(GONE_MS_MAX)));
    Ok(())
}

fn with_a_spare(report: &mut Report, pinning: Pinning, rounds: u32) -> Result<(), Failure> {
    let mut starts = Stage::set_up(Setup::new().session(WITH_SPARE), pinning)?;
    let mut deaths = Stage::set_up(Setup::new().session(WITH_SPARE), pinning)?;
    deaths.controller.bring_up(APP, TargetState::Active);
    let bar = progress("session servers with a spare", 4 * rounds);
    let spreads = interleave(
        [
            &mut || {
                await_spare(&mut starts.controller);
                let spare = initiate(&mut starts.controller);
                end(&mut starts.controller);
                Ok(spare)
            },
            &mut || {
                await_spare(&mut deaths.controller);
                kill(&mut deaths.controller)
            },
            &mut || {
                let start = Instant::now();
                let program = EmptyProgram::start(pinning)?;
                let elapsed_ms = milliseconds_since(start);
                program.end()?;
                Ok(elapsed_ms)
            },
            &mut || EmptyProgram::start(pinning)?.kill(),
        ],
        rounds,
        || bar.inc(1),
    )?;
    bar.finish_and_clear();
    let [spare, running, bare_start, bare_kill] = spreads;
    let spare = Figure::new("initiate_spare", "ms", spare, "empty program starts", bare_start);
    report.add(spare.target(Target::ValueMax(SPARE_MS_MAX)));
    let running = Figure::new("kill_to_running", "ms", running, "empty program is killed", bare_kill);
    report.add(running.target(Target::ValueMax(RUNNING_MS_MAX)));
    Ok(())
}

fn await_spare(controller: &mut Controller) {
    until("a spare is ready", || (controller.list().1.spares > 0).then_some(()));
}

/// Milliseconds from the death of the app's session server until a client is told that the app runs again.
///
/// It is a client that has lost nothing before: one that often does waits longer before it tries again.
fn kill(controller: &mut Controller) -> Result<f64, Failure> {
    let client = Client::connect(controller.socket_of(APP))?;
    client.wait_for_application_state(AppState::Running, PATIENCE)?;
    let events = client.events();
    let server = controller.status(APP).ok_or("the app is gone")?.process_id;
    let server = Pid::from_raw(server.cast_signed()).ok_or("it has no process")?;
    let start = Instant::now();
    kill_process(server, Signal::KILL)?;
    await_running(&events)?;
    Ok(milliseconds_since(start))
}

/// Waits until the client, which has lost its connection, is told that its app runs again.
fn await_running(events: &Events) -> Result<(), Failure> {
    let mut is_lost = false;
    loop {
        match events.next(PATIENCE).ok_or("nothing was told to the client")? {
            ClientEvent::ConnectionLost(_) => is_lost = true,
            ClientEvent::Server(Event::ApplicationState(AppState::Running)) if is_lost => return Ok(()),
            _ => {}
        }
    }
}

/// Milliseconds from the request until the app is Inactive.
fn initiate(controller: &mut Controller) -> f64 {
    let start = Instant::now();
    controller.bring_up(APP, TargetState::Inactive);
    milliseconds_since(start)
}

/// Milliseconds from the request until the app is gone.
fn end(controller: &mut Controller) -> f64 {
    let start = Instant::now();
    controller.bring_to(APP, TargetState::NotRunning);
    milliseconds_since(start)
}
