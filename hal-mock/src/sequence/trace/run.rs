//! What was seen of one machine, kept until it is drawn.

use std::collections::{BTreeMap, VecDeque};

use greenroom_core::codec::postcard::{decode, encode};
use greenroom_core::limits::MESSAGE_BYTES_MAX;
use greenroom_core::manager::{Action, Input};
use greenroom_core::message::{AppId, link};
use greenroom_core::time::Instant;
use greenroom_core::trace::file::Origin;
use greenroom_core::{client, session};
use serde::Serialize;

use super::order::{Channel, Word};
use crate::replay::{Step, Told};
use crate::sequence::known::{KnownApps, key};
use crate::sequence::{AppStep, Sequence};

/// More than any input needs: what is long in one is a message.
const INPUT_BYTES_MAX: usize = 2 * MESSAGE_BYTES_MAX;

/// Whose steps they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Machine(Origin),
    /// The apps' processes and the application manager, which saw all of it.
    Apps,
}

impl Whose {
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Machine(one), Self::Machine(other)) => {
                (one.machine, one.process_id) == (other.machine, other.process_id)
            }
            (one, other) => one == other,
        }
    }

    const fn process(&self) -> u32 {
        match self {
            Self::Machine(origin) => origin.process_id,
            Self::Apps => 0,
        }
    }
}

/// The steps of one machine, in their order.
pub(super) struct Run {
    pub(super) whose: Whose,
    /// The processes of the manager's session servers.
    processes: BTreeMap<(u16, u16), u32>,
    pub(super) steps: VecDeque<Seen>,
}

/// Which part a step has in the order of things: of two at the same time the first is the cause, more likely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// An app connects to its session server, or calls it.
    CallOfApp,
    /// An app says something to the application manager.
    WordOfApp,
    /// The manager is told something.
    Manager,
    /// The application manager starts an app or tells it something.
    TellsApp,
    /// Everything else.
    Other,
}

/// A step that can be kept.
pub(super) struct Seen {
    pub(super) at: Instant,
    pub(super) part: Part,
    /// The input, encoded: it borrows what is replayed.
    input: Vec<u8>,
    did: Did,
    /// What it is told by another machine.
    pub(super) hears: Option<Word>,
    /// What it tells others.
    pub(super) tells: Vec<Word>,
}

/// What a machine did.
enum Did {
    Manager { known: KnownApps, actions: Vec<Action> },
    Session(Vec<session::Action>),
    Client(Vec<client::Action>),
    App(String, AppStep),
}

impl Run {
    pub(super) const fn new(whose: Whose) -> Self {
        Self { whose, processes: BTreeMap::new(), steps: VecDeque::new() }
    }

    pub(super) fn of_apps(apps: &[(Instant, String, AppStep)]) -> Self {
        let mut run = Self::new(Whose::Apps);
        for (at, app, step) in apps {
            let part = match step {
                AppStep::Said(_) | AppStep::Ended(_) => Part::WordOfApp,
                AppStep::Started(_) | AppStep::Told(_) => Part::TellsApp,
            };
            let did = Did::App(app.clone(), step.clone());
            run.steps.push_back(Seen { at: *at, part, input: Vec::new(), did, hears: None, tells: Vec::new() });
        }
        run
    }

    /// The app that it is about.
    pub(super) fn app(&self) -> Option<&str> {
        match &self.whose {
            Whose::Machine(origin) => origin.app.as_ref().map(AppId::as_str),
            Whose::Apps => None,
        }
    }

    pub(super) fn push(&mut self, step: &Step<'_>) {
        let at = step.at;
        let seen = match &step.told {
            Told::Manager { input, actions, machine, .. } => {
                let known = KnownApps::of(at, machine, input, actions);
                self.learn(&known, input);
                let (hears, tells) = (self.manager_hears(input), self.manager_tells(actions));
                let did = Did::Manager { known, actions: actions.to_vec() };
                Seen { at, part: Part::Manager, input: bytes(input), did, hears, tells }
            }
            Told::Session { input, actions, .. } => {
                let own = self.whose.process();
                let hears = match input {
                    session::Input::Link(request) => Some(numbered(own, request.sequence)),
                    _ => None,
                };
                let tells = actions.iter().filter_map(|action| match action {
                    session::Action::Link(message) => Some(whole(own, message)),
                    _ => None,
                });
                let tells = tells.collect();
                let part = if is_of_app(input) { Part::CallOfApp } else { Part::Other };
                Seen { at, part, input: bytes(input), did: Did::Session(actions.to_vec()), hears, tells }
            }
            Told::Client { input, actions, .. } => {
                let did = Did::Client(actions.to_vec());
                Seen { at, part: Part::Other, input: bytes(input), did, hears: None, tells: Vec::new() }
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

    fn manager_hears(&self, input: &Input<'_>) -> Option<Word> {
        match input {
            Input::Link { app, message } => Some(whole(*self.processes.get(&key(*app))?, message)),
            _ => None,
        }
    }

    fn manager_tells(&self, actions: &[Action]) -> Vec<Word> {
        let told = actions.iter().filter_map(|action| match action {
            Action::Configure { app, sequence }
            | Action::SetState { app, sequence, .. }
            | Action::Ping { app, sequence }
            | Action::SetLogLevels { app, sequence, .. } => Some(numbered(*self.processes.get(&key(*app))?, *sequence)),
            _ => None,
        });
        told.collect()
    }
}

/// A request of the manager's to a session server.
fn numbered(process: u32, sequence: u32) -> Word {
    Word { channel: Channel::To(process), what: sequence.to_le_bytes().to_vec() }
}

/// What a session server says to the manager.
fn whole(process: u32, message: &link::Message) -> Word {
    Word { channel: Channel::From(process), what: bytes(message) }
}

/// An input that cannot be written is drawn as if nothing had been said; none is so long.
fn bytes(input: &impl Serialize) -> Vec<u8> {
    let mut buffer = vec![0; INPUT_BYTES_MAX];
    encode(input, &mut buffer).map(<[u8]>::to_vec).unwrap_or_default()
}

/// Whether it is an app's doing.
const fn is_of_app(input: &session::Input<'_>) -> bool {
    use session::Input;
    matches!(input, Input::ClientConnected { .. } | Input::Call { .. } | Input::ClientClosed { .. })
}

impl Seen {
    /// The app that the application manager has to do with.
    pub(super) fn app(&self) -> Option<&str> {
        if let Did::App(app, _) = &self.did { Some(app) } else { None }
    }

    /// Draws it at a time that is not before what was drawn already.
    pub(super) fn draw(&self, sequence: &mut Sequence, whose: &Whose, at: Instant) {
        let process = whose.process();
        let app = match whose {
            Whose::Machine(origin) => origin.app.as_ref().map(AppId::as_str),
            Whose::Apps => None,
        };
        match &self.did {
            Did::Manager { known, actions } => {
                if let Ok(input) = decode(&self.input) {
                    sequence.manager_step(at, known, &input, actions);
                }
            }
            Did::Session(actions) => {
                if let Some(app) = app {
                    sequence.serves(process, app);
                }
                if let Ok(input) = decode(&self.input) {
                    sequence.session(process, at, &input, actions);
                }
            }
            Did::Client(actions) => {
                if let (Ok(input), Some(app)) = (decode(&self.input), app) {
                    sequence.client(process, app, at, &input, actions);
                }
            }
            Did::App(app, step) => sequence.app(app, at, step),
        }
    }
}

#[cfg(test)]
impl Run {
    /// The steps of an unknown machine.
    pub(super) fn of_steps(steps: impl Iterator<Item = Seen>) -> Self {
        Self { steps: steps.collect(), ..Self::new(Whose::Apps) }
    }
}

#[cfg(test)]
impl Seen {
    /// A step of which only is known what was said.
    pub(super) fn told(at: Instant, hears: Option<Word>, tells: Vec<Word>) -> Self {
        Self { at, part: Part::Other, input: Vec::new(), did: Did::Session(Vec::new()), hears, tells }
    }
}
