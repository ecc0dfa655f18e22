//! What must hold always, whatever comes in which order (SM-30, SM-31, SM-33, SM-34).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::*;
use crate::message::{Component, LogLevel};

const DECODERS: u8 = 2;
const CHECK: HealthCheck = HealthCheck { interval_ms: 500, failures_max: 2 };

fn key(app: AppHandle) -> (u16, u16) {
    (app.index(), app.generation())
}

fn says(state: ServerState) -> link::Message {
    let reason = (state == ServerState::Error).then_some(Reason::SharedMemory);
    link::Message::StateChanged { state, reason }
}

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// A box on which anything happens, and what its observers know.
struct Chaos {
    stage: Stage,
    chance: Chance,
    /// Handles that were given out, of apps that live and of those that have ended.
    handles: Vec<AppHandle>,
    /// Spares whose process runs.
    spares: Vec<SpareHandle>,
    /// What each server sends next, if it behaves.
    due: BTreeMap<(u16, u16), VecDeque<link::Message>>,
    waiting: BTreeSet<u32>,
    states: BTreeMap<String, ServerState>,
    /// What was seen at all: a walk that goes nowhere proves nothing.
    seen: BTreeSet<String>,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        Self {
            stage: Stage::with(Settings {
                decoders: DECODERS,
                spares: (seed % 3) as u16,
                health: CHECK,
                ..Settings::default()
            }),
            chance: Chance(seed),
            handles: Vec::new(),
            spares: Vec::new(),
            due: BTreeMap::new(),
            waiting: BTreeSet::new(),
            states: BTreeMap::new(),
            seen: BTreeSet::new(),
        }
    }

    fn step(&mut self) {
        let actions = match self.chance.below(11) {
            10 => self.spare(),
            0..=2 => self.request(),
            3..=7 => self.server(),
            8 => self.child(),
            _ => {
                let step = if self.chance.below(20) == 0 { 4_000 } else { self.chance.below(600) };
                self.stage.now = self.stage.now.after(Duration::from_millis(step));
                self.stage.give(Input::Tick)
            }
        };
        self.check(actions);
    }

    fn request(&mut self) -> Vec<Action> {
        let app = self.chance.one_of(&["app1", "app2", "app3", "app4", "app5", "a/b"]);
        let state = self.chance.one_of(&[TargetState::Active, TargetState::Inactive, TargetState::NotRunning]);
        let command = match self.chance.below(6) {
            0 | 1 => Command::Initiate {
                app,
                state,
                socket: self.chance.one_of(&["", "one", "/tmp/two", "..", "app1.sock"]),
            },
            2 | 3 => Command::ChangeState { app, state },
            4 => Command::ConnectionInfo { app },
            _ => Command::SetLogLevel { component: Component::Ipc, level: LogLevel::Info },
        };
        let actions = self.stage.ask(command);
        self.waiting.insert(self.stage.sequence);
        actions
    }

    /// A server does what it was asked; now and then anything.
    fn server(&mut self) -> Vec<Action> {
        let Some(app) = self.any_app() else { return Vec::new() };
        if self.chance.below(40) > 0 {
            let due = self.due.get_mut(&key(app)).and_then(VecDeque::pop_front);
            return due.map_or_else(Vec::new, |message| self.stage.give(Input::Link { app, message }));
        }
        let input = match self.chance.below(4) {
            0 => Input::LinkClosed { app },
            1 => Input::LinkBroken { app },
            2 => Input::Link { app, message: link::Message::Reply { sequence: 2, result: Ok(()) } },
            _ => {
                use ServerState::{Active, Error, Inactive, NotRunning, Uninitialized};
                let state = self.chance.one_of(&[Uninitialized, Inactive, Active, NotRunning, Error]);
                Input::Link { app, message: says(state) }
            }
        };
        self.stage.give(input)
    }

    /// It will answer a request, and then say that it is in the state, or that it could not get there.
    fn will_obey(&mut self, app: AppHandle, sequence: u32, state: Option<ServerState>) {
        let refuses = self.chance.below(8) == 0;
        let fails = self.chance.below(8) == 0;
        let due = self.due.entry(key(app)).or_default();
        let result = if refuses { Err(link::Refusal::Busy) } else { Ok(()) };
        due.push_back(link::Message::Reply { sequence, result });
        if let Some(state) = state.filter(|_| !refuses) {
            due.push_back(says(if fails { ServerState::Error } else { state }));
        }
    }

    fn child(&mut self) -> Vec<Action> {
        let Some(app) = self.any_app().filter(|_| self.chance.0.is_multiple_of(3)) else { return Vec::new() };
        let status = self.chance.one_of(&[ExitStatus::Exited(0), ExitStatus::Exited(1), ExitStatus::Killed(9)]);
        self.stage.give(Input::ChildExited { app, status })
    }

    /// A spare comes up; now and then anything happens to it.
    fn spare(&mut self) -> Vec<Action> {
        let Some(newest) = self.spares.len().checked_sub(1) else { return Vec::new() };
        let spare = self.spares[newest - self.chance.below(2).min(newest as u64) as usize];
        let event = match self.chance.below(12) {
            0 => SpareEvent::LinkClosed,
            1 => SpareEvent::LinkBroken,
            2 => SpareEvent::Link(says(ServerState::Error)),
            3 => SpareEvent::ChildExited(ExitStatus::Killed(9)),
            _ => SpareEvent::Link(says(ServerState::Uninitialized)),
        };
        if matches!(event, SpareEvent::ChildExited(_)) {
            self.spares.retain(|living| *living != spare);
        }
        self.stage.give(Input::Spare { spare, event })
    }

    fn any_app(&mut self) -> Option<AppHandle> {
        let newest = self.handles.len().checked_sub(1)? as u64;
        let back = self.chance.below(6).min(newest);
        self.handles.get((newest - back) as usize).copied()
    }

    /// Plays the platform, and checks what can be seen.
    fn check(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Spawn { app } => {
                    self.handles.push(app);
                    self.due.insert(key(app), VecDeque::from([says(ServerState::Uninitialized)]));
                    let result = if self.chance.below(10) == 0 { Err(ErrorKind::NotFound) } else { Ok(1) };
                    let more = self.stage.give(Input::Spawned { app, result });
                    self.check(more);
                }
                Action::Reply { to, result } => {
                    assert!(self.waiting.remove(&to.sequence), "one answer a request");
                    let answer = format!("{result:?}");
                    self.seen.insert(answer.split([' ', '{']).next().unwrap_or_default().into());
                }
                Action::Notify { app, state, reason } => self.hear(app.as_str(), state, reason),
                Action::Configure { app, sequence } => {
                    let first = self.stage.manager.configuration(app).map(|known| known.state.into());
                    self.will_obey(app, sequence, first);
                }
                Action::SetState { app, sequence, state } => self.will_obey(app, sequence, Some(state.into())),
                Action::SetLogLevels { app, sequence, .. } | Action::Ping { app, sequence } => {
                    self.will_obey(app, sequence, None);
                }
                Action::CloseLink { .. } | Action::Signal { .. } | Action::RemoveSocket { .. } => {}
                Action::ApplyLogLevels(_) | Action::Exit => {}
                Action::Take { app, spare } => {
                    assert!(self.spares.contains(&spare), "a spare that is up");
                    self.spares.retain(|living| *living != spare);
                    self.handles.push(app);
                    self.due.insert(key(app), VecDeque::new());
                    self.seen.insert("taken".into());
                }
                Action::Spare { spare, deed: SpareDeed::Spawn } => {
                    let result = if self.chance.below(10) == 0 { Err(ErrorKind::NotFound) } else { Ok(1) };
                    self.spares.extend(result.is_ok().then_some(spare));
                    assert!(self.spares.len() <= 2, "no more processes than are wanted");
                    let more = self.stage.give(Input::Spare { spare, event: SpareEvent::Spawned(result) });
                    self.check(more);
                }
                Action::Spare { .. } => {}
            }
        }
        self.count_decoders();
    }

    /// SM-31: each notification follows the diagram.
    fn hear(&mut self, app: &str, state: ServerState, reason: Option<Reason>) {
        use ServerState::{Active, Error, Inactive, NotRunning, Uninitialized};
        let before = self.states.get(app).copied();
        self.seen.insert(format!("{before:?} -> {state:?}"));
        self.seen.extend((reason == Some(Reason::Unhealthy)).then(|| "Unhealthy".into()));
        let follows = match (before, state) {
            (None, Uninitialized | NotRunning | Error) => true,
            (Some(Uninitialized), Inactive | Active | NotRunning | Error) => true,
            (Some(Inactive), Active | NotRunning | Error) | (Some(Active), Inactive | NotRunning | Error) => true,
            // One that lived on after its Error is told to have ended; or the app, while it had no server.
            (Some(Error), NotRunning) => true,
            // The next server, or that it could not be started, or has died before it was up (SM-36).
            (Some(Error), Uninitialized | Error) => true,
            _ => false,
        };
        assert!(follows, "{app}: {state:?} ({reason:?}) after {before:?}");
        let is_told_why = matches!(state, Error | NotRunning) || reason == Some(Reason::DecodersTaken);
        assert_eq!(reason.is_some(), is_told_why, "{state:?} {reason:?}");
        if reason == Some(Reason::DecodersTaken) {
            assert_eq!(state, Inactive);
            self.seen.insert("demoted".into());
        }
        let lives = self.stage.manager.apps.find(app).is_some();
        if lives {
            self.states.insert(app.into(), state);
        } else {
            assert!(matches!(state, Error | NotRunning), "the last that is told is an end");
            self.states.remove(app);
        }
    }

    /// SM-33
    fn count_decoders(&self) {
        let held: u8 = self
            .stage
            .manager
            .apps()
            .filter_map(|app| self.stage.manager.status(self.stage.now, app))
            .map(|s| s.decoders)
            .sum();
        assert_eq!(held + self.stage.free_decoders(), DECODERS);
    }

    /// SM-21, SM-30, SM-34: whatever was going on, it ends, and nothing is left.
    fn wind_down(&mut self) {
        let actions = self.stage.give(Input::Terminate);
        self.check(actions);
        for app in self.stage.manager.apps().collect::<Vec<_>>() {
            let actions = self.stage.give(Input::ChildExited { app, status: ExitStatus::Exited(0) });
            self.check(actions);
        }
        for spare in std::mem::take(&mut self.spares) {
            let event = SpareEvent::ChildExited(ExitStatus::Exited(0));
            let actions = self.stage.give(Input::Spare { spare, event });
            self.check(actions);
        }
        assert!(self.waiting.is_empty() && self.states.is_empty());
        assert_eq!((self.stage.manager.apps().count(), self.stage.free_decoders()), (0, DECODERS));
        assert_eq!(self.stage.manager.next_deadline(), None);
    }
}

/// SM-21, SM-30, SM-31, SM-33, SM-34, SM-36
///
/// Field failure 8
#[test]
fn whatever_happens_every_request_is_answered_once_and_every_life_is_told_in_order() {
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let mut chaos = Chaos::new(seed);
        for _ in 0..300 {
            chaos.step();
        }
        chaos.wind_down();
        seen.extend(chaos.seen);
    }
    for step in [
        "None -> Uninitialized",
        "Some(Uninitialized) -> Inactive",
        "Some(Uninitialized) -> Active",
        "Some(Inactive) -> Active",
        "Some(Active) -> Inactive",
        "Some(Active) -> Error",
        "Some(Inactive) -> NotRunning",
        "Some(Error) -> NotRunning",
        "Some(Error) -> Uninitialized",
        "Some(Error) -> Error",
        "demoted",
        "taken",
        "Unhealthy",
        "Ok(Done)",
        "Err(Superseded)",
        "Err(ServerRefused)",
        "Err(ServerGone)",
        "Err(ServerTimeout)",
        "Err(Decoders",
        "Err(Full",
        "Err(SocketInUse",
        "Err(ProgramMissing)",
    ] {
        assert!(seen.contains(step), "{step} is not among {seen:?}");
    }
}
