//! The diagram of what was recorded: each machine is replayed, and what it was told and did is drawn in the order of time.

use std::collections::{BTreeMap, VecDeque};

use greenroom_core::codec::postcard::{decode, encode};
use greenroom_core::limits::MESSAGE_BYTES_MAX;
use greenroom_core::manager::{Action, Input};
use greenroom_core::message::AppId;
use greenroom_core::time::Instant;
use greenroom_core::trace::MachineKind;
use greenroom_core::trace::file::{File, Origin};
use greenroom_core::{client, session};
use serde::Serialize;

use super::known::{KnownApps, key};
use super::{AppStep, Detail, Sequence};
use crate::replay::{ReplayError, Step, Told, replay};

/// More than any input needs: what is long in one is a message.
const INPUT_BYTES_MAX: usize = 2 * MESSAGE_BYTES_MAX;

/// What was recorded, and what is known beside it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Story<'a> {
    /// What the diagram is called.
    pub title: &'a str,
    /// How much is shown.
    pub detail: Detail,
    /// What the apps' own processes did; their clocks are those of the traces.
    pub apps: &'a [(Instant, String, AppStep)],
}

/// Replays what was recorded and draws it. Of a machine that is in several files a later file goes on where the earlier ends.
/// Fails as [`replay`] does.
pub fn sequence_of(files: &[File<'_>], story: &Story<'_>) -> Result<Sequence, ReplayError> {
    let mut runs = Vec::new();
    for file in files {
        runs_of(file)?.into_iter().for_each(|run| join(&mut runs, run));
    }
    runs.extend(Run::of_apps(story.apps));
    runs.sort_by_key(Run::rank);
    let mut sequence = Sequence::new(story.title, story.detail);
    let mut in_flight = InFlight::default();
    while let Some(place) = next_of(&runs, &in_flight) {
        let run = &mut runs[place];
        let Some(seen) = run.steps.pop_front() else { break };
        in_flight.pass(&seen);
        seen.draw(&mut sequence, &run.whose);
    }
    Ok(sequence)
}

fn runs_of(file: &File<'_>) -> Result<Vec<Run>, ReplayError> {
    let mut runs: Vec<Run> = Vec::new();
    replay(file, |step| {
        let whose = Whose::Machine(step.origin.clone());
        let place = runs.iter().position(|run| run.whose.is(&whose)).unwrap_or_else(|| {
            runs.push(Run::new(whose));
            runs.len() - 1
        });
        runs[place].push(step);
    })?;
    Ok(runs)
}

fn join(runs: &mut Vec<Run>, later: Run) {
    let Some(run) = runs.iter_mut().find(|run| run.whose.is(&later.whose)) else { return runs.push(later) };
    let Some(from) = later.steps.front().map(|seen| seen.at) else { return };
    run.steps.retain(|seen| seen.at < from);
    run.steps.extend(later.steps);
}

/// The conversation between the manager and a session server's process, in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Channel {
    To(u32),
    From(u32),
}

/// Messages that were said and not heard yet.
#[derive(Debug, Default)]
struct InFlight(BTreeMap<Channel, usize>);

impl InFlight {
    fn has(&self, channel: Channel) -> bool {
        self.0.get(&channel).is_some_and(|count| *count > 0)
    }

    fn pass(&mut self, seen: &Seen) {
        if let Some(count) = seen.hears.and_then(|channel| self.0.get_mut(&channel)) {
            *count = count.saturating_sub(1);
        }
        for channel in &seen.tells {
            *self.0.entry(*channel).or_default() += 1;
        }
    }
}

/// Which machine's step is the next one: the earliest. Of several that the clock does not tell apart it is one that has not
/// to wait for the word of another.
fn next_of(runs: &[Run], in_flight: &InFlight) -> Option<usize> {
    let earliest = runs.iter().filter_map(|run| run.steps.front()).map(|seen| seen.at).min()?;
    let is_due = |run: &Run| run.steps.front().is_some_and(|seen| seen.at == earliest);
    let waits = |run: &Run| {
        let channel = run.steps.front().and_then(|seen| seen.hears);
        channel.is_some_and(|channel| {
            !in_flight.has(channel) && runs.iter().any(|other| is_due(other) && other.speaks_on(channel))
        })
    };
    let ready = runs.iter().position(|run| is_due(run) && !waits(run));
    ready.or_else(|| runs.iter().position(is_due))
}

/// Whose steps they are.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Whose {
    Machine(Origin),
    /// What apps said, and how they ended.
    Apps,
    /// What the application manager did with apps.
    ApplicationManager,
}

impl Whose {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Machine(one), Self::Machine(other)) => {
                (one.machine, one.process_id) == (other.machine, other.process_id)
            }
            (one, other) => one == other,
        }
    }

    fn is_machine(&self, machine: MachineKind) -> bool {
        matches!(self, Self::Machine(origin) if origin.machine == machine)
    }

    const fn process(&self) -> u32 {
        match self {
            Self::Machine(origin) => origin.process_id,
            Self::Apps | Self::ApplicationManager => 0,
        }
    }
}

/// The steps of one machine, in their order.
struct Run {
    whose: Whose,
    /// The processes of the manager's session servers.
    processes: BTreeMap<(u16, u16), u32>,
    steps: VecDeque<Seen>,
}

/// A step that can be kept.
struct Seen {
    at: Instant,
    /// The input, encoded: it borrows what is replayed.
    input: Vec<u8>,
    did: Did,
    hears: Option<Channel>,
    tells: Vec<Channel>,
}

/// What a machine did.
enum Did {
    Manager { known: KnownApps, actions: Vec<Action> },
    Session(Vec<session::Action>),
    Client(Vec<client::Action>),
    App(String, AppStep),
}

impl Run {
    const fn new(whose: Whose) -> Self {
        Self { whose, processes: BTreeMap::new(), steps: VecDeque::new() }
    }

    fn of_apps(apps: &[(Instant, String, AppStep)]) -> [Self; 2] {
        let (mut said, mut done) = (Self::new(Whose::Apps), Self::new(Whose::ApplicationManager));
        for (at, app, step) in apps {
            let run = match step {
                AppStep::Said(_) | AppStep::Ended(_) => &mut said,
                AppStep::Started(_) | AppStep::Told(_) => &mut done,
            };
            let did = Did::App(app.clone(), step.clone());
            run.steps.push_back(Seen { at: *at, input: Vec::new(), did, hears: None, tells: Vec::new() });
        }
        [said, done]
    }

    /// Whose step is the cause, more likely, where the clock does not tell which is the earlier one.
    const fn rank(&self) -> u8 {
        match &self.whose {
            Whose::Apps => 0,
            Whose::Machine(Origin { machine: MachineKind::Manager, .. }) => 1,
            Whose::ApplicationManager => 2,
            Whose::Machine(Origin { machine: MachineKind::Session, .. }) => 3,
            Whose::Machine(Origin { machine: MachineKind::Client, .. }) => 4,
        }
    }

    fn push(&mut self, step: &Step<'_>) {
        let at = step.at;
        let seen = match &step.told {
            Told::Manager { input, actions, machine, .. } => {
                let known = KnownApps::of(at, machine, input, actions);
                self.learn(&known, input);
                let (hears, tells) = (self.manager_hears(input), self.manager_tells(actions));
                Seen { at, input: bytes(input), did: Did::Manager { known, actions: actions.to_vec() }, hears, tells }
            }
            Told::Session { input, actions, .. } => {
                let own = self.whose.process();
                let hears = matches!(input, session::Input::Link(_)).then_some(Channel::To(own));
                let words = actions.iter().filter(|action| matches!(action, session::Action::Link(_)));
                let tells = words.map(|_| Channel::From(own)).collect();
                Seen { at, input: bytes(input), did: Did::Session(actions.to_vec()), hears, tells }
            }
            Told::Client { input, actions, .. } => {
                let did = Did::Client(actions.to_vec());
                Seen { at, input: bytes(input), did, hears: None, tells: Vec::new() }
            }
        };
        self.steps.push_back(seen);
    }

    fn learn(&mut self, known: &KnownApps, input: &Input<'_>) {
        if let Input::Spawned { app, result: Ok(process) } = input {
            self.processes.insert(key(*app), *process);
        }
        for (app, process) in known.processes() {
            self.processes.insert(app, process);
        }
    }

    fn speaks_on(&self, channel: Channel) -> bool {
        match channel {
            Channel::To(_) => self.whose.is_machine(MachineKind::Manager),
            Channel::From(process) => self.whose.is_machine(MachineKind::Session) && self.whose.process() == process,
        }
    }

    fn manager_hears(&self, input: &Input<'_>) -> Option<Channel> {
        match input {
            Input::Link { app, .. } => self.processes.get(&key(*app)).copied().map(Channel::From),
            _ => None,
        }
    }

    fn manager_tells(&self, actions: &[Action]) -> Vec<Channel> {
        let told = actions.iter().filter_map(|action| match action {
            Action::Configure { app, .. }
            | Action::SetState { app, .. }
            | Action::Ping { app, .. }
            | Action::SetLogLevels { app, .. } => self.processes.get(&key(*app)).copied(),
            _ => None,
        });
        told.map(Channel::To).collect()
    }
}

/// An input that cannot be written is drawn as if nothing had been said; none is so long.
fn bytes(input: &impl Serialize) -> Vec<u8> {
    let mut buffer = vec![0; INPUT_BYTES_MAX];
    encode(input, &mut buffer).map(<[u8]>::to_vec).unwrap_or_default()
}

impl Seen {
    fn draw(&self, sequence: &mut Sequence, whose: &Whose) {
        let process = whose.process();
        let app = match whose {
            Whose::Machine(origin) => origin.app.as_ref().map(AppId::as_str),
            Whose::Apps | Whose::ApplicationManager => None,
        };
        match &self.did {
            Did::Manager { known, actions } => {
                if let Ok(input) = decode(&self.input) {
                    sequence.manager_step(self.at, known, &input, actions);
                }
            }
            Did::Session(actions) => {
                if let Some(app) = app {
                    sequence.serves(process, app);
                }
                if let Ok(input) = decode(&self.input) {
                    sequence.session(process, self.at, &input, actions);
                }
            }
            Did::Client(actions) => {
                if let (Ok(input), Some(app)) = (decode(&self.input), app) {
                    sequence.client(process, app, self.at, &input, actions);
                }
            }
            Did::App(app, step) => sequence.app(app, self.at, step),
        }
    }
}
