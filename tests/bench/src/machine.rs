//! How many inputs the manager's machine handles in a second, by the number of apps that there are.
//!
//! Whatever the number, each input concerns one app; what it costs must not grow with the others. Every app is asked in
//! its turn to become Active and then Inactive again, and its session server answers and reports: six inputs, with all
//! that the machine wants done for them. So the next input always concerns an app that was not looked at for the longest
//! time: what grows with their number is what does not fit a cache.

use std::hint::black_box;

use greenroom_core::manager::{Action, AppHandle, Facts, Input, Manager, Settings, Ticket};
use greenroom_core::message::control::Command;
use greenroom_core::message::{Resources, ServerState, TargetState, link};
use greenroom_core::table::Handle;
use greenroom_core::time::Instant;
use greenroom_core::trace::{NoRecorder, Recorder, TraceBuffer, Traced};

use crate::Failure;
use crate::figure::{Figure, Target};
use crate::report::{Report, progress};
use crate::rounds::{Contestant, interleave};

/// Inputs in one turn: some ten milliseconds.
const TURN_INPUTS: u32 = 6 * 8192;
/// Memory of a trace, as configured by default.
const TRACE_BYTES: usize = 65_536;
/// What a box with the most apps is to reach of one with the fewest.
const RATIO_MIN: f64 = 0.8;

pub(crate) fn measure(report: &mut Report, rounds: u32) -> Result<(), Failure> {
    let (mut few, mut some, mut many) = (Bench::<8>::new()?, Bench::<64>::new()?, Bench::<512>::new()?);
    let mut recorded = Bench::<8, _>::recorded_by(TraceBuffer::new(vec![0; TRACE_BYTES]))?;
    let bar = progress("the manager's machine", 4 * rounds);
    let contestants: [&mut dyn Contestant; 4] = [&mut *few, &mut *some, &mut *many, &mut *recorded];
    let [few, some, many, recorded] = interleave(contestants, rounds, || bar.inc(1))?;
    bar.finish_and_clear();
    report.add(Figure::new("core_inputs_8_recorded", "inputs/s", recorded, "core_inputs_8", few));
    for (name, value) in [("core_inputs_8", few), ("core_inputs_64", some), ("core_inputs_512", many)] {
        let figure = Figure::new(name, "inputs/s", value, "core_inputs_8", few);
        report.add(if name == "core_inputs_512" { figure.target(Target::RatioMin(RATIO_MIN)) } else { figure });
    }
    Ok(())
}

/// A machine whose places are all taken.
pub(crate) struct Bench<const APPS: usize, R = NoRecorder> {
    machine: Traced<Manager<APPS>, R>,
    apps: Vec<(String, AppHandle)>,
    next: usize,
    inputs: u32,
}

const NOW: Instant = Instant::from_millis(1);

impl<const APPS: usize> Bench<APPS> {
    pub(crate) fn new() -> Result<Box<Self>, Failure> {
        Self::recorded_by(NoRecorder)
    }
}

impl<const APPS: usize, R: Recorder> Bench<APPS, R> {
    fn recorded_by(recorder: R) -> Result<Box<Self>, Failure> {
        let machine = Traced::new(Manager::new(Settings::default()), recorder);
        let mut bench = Box::new(Self { machine, apps: vec![], next: 0, inputs: 0 });
        for number in 0..APPS {
            bench.start(format!("com.example.app{number}"))?;
        }
        Ok(bench)
    }

    fn start(&mut self, name: String) -> Result<(), Failure> {
        let command = Command::Initiate { app: &name, state: TargetState::Inactive, socket: "" };
        let spawned = self.ask(command)?;
        let Some(Action::Spawn { app }) = spawned else { return Err("an app was not to be started".into()) };
        self.give(Input::Spawned { app, result: Ok(4_711) })?;
        let configured = self.give(Input::Link { app, message: state(ServerState::Uninitialized) })?;
        self.answer(app, configured)?;
        self.give(Input::Link { app, message: state(ServerState::Inactive) })?;
        self.apps.push((name, app));
        Ok(())
    }

    fn ask(&mut self, command: Command<'_>) -> Result<Option<Action>, Failure> {
        let from = Ticket { controller: Handle::from_parts(0, 1), sequence: self.inputs };
        let resources = Resources { max_playback_sessions: 1, ..Resources::default() };
        let facts = Some(Facts { resources, socket_directory: "/run/greenroom" });
        self.give(Input::Request { from, command, facts })
    }

    /// Hands in an input and takes all that is to be done; gives what concerns the session server.
    fn give(&mut self, input: Input<'_>) -> Result<Option<Action>, Failure> {
        self.inputs += 1;
        self.machine.handle(NOW, input).map_err(|_| "an input came too late")?;
        let mut for_server = None;
        while let Some(action) = black_box(self.machine.poll_action()) {
            if matches!(action, Action::Spawn { .. } | Action::Configure { .. } | Action::SetState { .. }) {
                for_server = Some(action);
            }
        }
        self.machine.settle();
        Ok(for_server)
    }

    /// The session server does what it was asked.
    fn answer(&mut self, app: AppHandle, asked: Option<Action>) -> Result<(), Failure> {
        let Some(Action::Configure { sequence, .. } | Action::SetState { sequence, .. }) = asked else {
            return Err("a session server was not asked".into());
        };
        self.give(Input::Link { app, message: link::Message::Reply { sequence, result: Ok(()) } }).map(drop)
    }

    /// The next app becomes Active and Inactive again.
    pub(crate) fn cycle(&mut self) -> Result<(), Failure> {
        self.change(self.next, TargetState::Active)?;
        self.change(self.next, TargetState::Inactive)?;
        self.next = (self.next + 1) % APPS;
        Ok(())
    }

    fn change(&mut self, place: usize, target: TargetState) -> Result<(), Failure> {
        let (name, app) = self.apps.get_mut(place).ok_or("no such app")?;
        let (name, app) = (std::mem::take(name), *app);
        let asked = self.ask(Command::ChangeState { app: &name, state: target })?;
        self.answer(app, asked)?;
        self.give(Input::Link { app, message: state(target.into()) })?;
        self.apps[place].0 = name;
        Ok(())
    }
}

fn state(state: ServerState) -> link::Message {
    link::Message::StateChanged { state, reason: None }
}

impl<const APPS: usize, R: Recorder> Contestant for Bench<APPS, R> {
    fn turn(&mut self) -> Result<f64, Failure> {
        self.inputs = 0;
        let start = std::time::Instant::now();
        while self.inputs < TURN_INPUTS {
            self.cycle()?;
        }
        Ok(f64::from(self.inputs) / start.elapsed().as_secs_f64())
    }
}
