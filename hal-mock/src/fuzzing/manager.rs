//! Operations on the manager's machine, against a box whose processes, links and decoders are counted outside of it.

mod model;

use std::time::Duration;

use arbitrary::{Arbitrary, Result, Unstructured};
use greenroom_core::codec::postcard::{decode, encode};
use greenroom_core::driver::Machine;
use greenroom_core::hal::{ErrorKind, ExitStatus};
use greenroom_core::health::HealthCheck;
use greenroom_core::manager::{Action, Facts, Input, Manager, Settings, SpareEvent, Ticket};
use greenroom_core::message::control::Command;
use greenroom_core::message::{AppState, Component, LogLevel, Reason, Resources, ServerState, TargetState, link};
use greenroom_core::table::Handle;
use greenroom_core::time::Instant;

use self::model::{Model, Owner};
use super::steps::{below, one_of, steps};

/// Apps at a time: fewer than there are names.
const APPS: usize = 3;
const NAMES: [&str; 5] = ["app1", "app2", "app3", "app4", "a/b"];
const SOCKETS: [&str; 5] = ["", "", "one", "/tmp/two", ".."];
/// Actions that one input can lead to at most, with much to spare.
const ACTIONS_MAX: usize = 64;
/// Deadlines that pass until a box that was told to end has ended, with much to spare.
const ROUNDS_MAX: usize = 200;
/// Bytes of a manager of this size when it is written down.
const WRITTEN_BYTES_MAX: usize = 8 * 1024;

/// What a session server does.
#[derive(Clone, Copy, Debug)]
enum Deed {
    /// The next thing that it was asked to do.
    Obeys,
    Says(ServerState, Option<Reason>),
    /// An answer to a request so many before the last one on its link.
    Answers(u8, std::result::Result<(), link::Refusal>),
    SendsListener,
    TellsClients(u8),
    ClosesLink,
    SendsGarbage,
    Ends(ExitStatus),
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Initiate {
        app: &'static str,
        state: TargetState,
        socket: &'static str,
        sessions: u8,
    },
    Change {
        app: &'static str,
        state: TargetState,
    },
    Ask(Command<'static>),
    Deny(&'static str),
    NextSpawnFails(ErrorKind),
    /// By one of the processes that there are, counted from the first.
    Server(u8, Deed),
    /// The same, of an app that is not there any more.
    Late(u8, Deed),
    Pass(u16),
    PassToDeadline,
    Terminate,
    WriteAndReadBack,
}

const TARGETS: [TargetState; 3] = [TargetState::Active, TargetState::Inactive, TargetState::NotRunning];

impl<'a> Arbitrary<'a> for Deed {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        use ServerState::{Active, Error, Inactive, NotRunning, Uninitialized};
        Ok(match below(input, 24)? {
            0..14 => Self::Obeys,
            14 => {
                let state = one_of(input, &[Uninitialized, Inactive, Active, NotRunning, Error])?;
                Self::Says(state, one_of(input, &[None, Some(Reason::SharedMemory), Some(Reason::Initialization)])?)
            }
            15 | 16 => Self::Answers(below(input, 3)?, one_of(input, &[Ok(()), Err(link::Refusal::Busy)])?),
            17 => Self::SendsListener,
            18 => Self::TellsClients(input.arbitrary()?),
            19 => Self::ClosesLink,
            20 => Self::SendsGarbage,
            _ => Self::Ends(one_of(input, &[ExitStatus::Exited(0), ExitStatus::Exited(1), ExitStatus::Killed(11)])?),
        })
    }
}

impl<'a> Arbitrary<'a> for Operation {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match below(input, 32)? {
            0..3 => Self::Initiate {
                app: one_of(input, &NAMES)?,
                state: one_of(input, &TARGETS)?,
                socket: one_of(input, &SOCKETS)?,
                sessions: below(input, 3)?,
            },
            3..6 => Self::Change { app: one_of(input, &NAMES)?, state: one_of(input, &TARGETS)? },
            6 => Self::Ask(ask(input)?),
            7 => Self::Deny(one_of(input, &NAMES)?),
            8 => Self::NextSpawnFails(one_of(input, &[ErrorKind::NotFound, ErrorKind::Denied, ErrorKind::Exhausted])?),
            9..22 => Self::Server(below(input, 4)?, input.arbitrary()?),
            22 => Self::Late(input.arbitrary()?, input.arbitrary()?),
            23 | 24 => Self::Pass(input.arbitrary()?),
            25..31 => Self::PassToDeadline,
            // The one ends everything, the other takes as long as all the rest.
            _ => match below(input, 8)? {
                0 => Self::Terminate,
                1 => Self::WriteAndReadBack,
                _ => Self::PassToDeadline,
            },
        })
    }
}

fn ask(input: &mut Unstructured<'_>) -> Result<Command<'static>> {
    Ok(match below(input, 5)? {
        0 => Command::Hello,
        1 => Command::ConnectionInfo { app: one_of(input, &NAMES)? },
        2 => Command::SetLogLevel { component: Component::Ipc, level: LogLevel::Debug },
        3 => Command::List { from: below(input, 5)?.into() },
        _ => Command::Watch,
    })
}

/// The machine and the box that it believes to be in.
struct Comparison {
    manager: Manager<APPS>,
    world: Model,
    now: Instant,
    sequence: u32,
    spawn_fails: Option<ErrorKind>,
}

impl Comparison {
    fn new(choices: u8) -> Self {
        let check = HealthCheck { interval_ms: 500, failures_max: 2 };
        let settings = Settings {
            decoders: 2,
            spares: (choices % 3).into(),
            restart: choices & 4 == 0,
            health: if choices & 8 == 0 { check } else { HealthCheck::OFF },
            ready_timeout: if choices & 16 == 0 { Settings::default().ready_timeout } else { None },
            ..Settings::default()
        };
        let mut comparison = Self {
            manager: Manager::new(settings),
            world: Model::new(settings),
            now: Instant::from_millis(1000),
            sequence: 0,
            spawn_fails: None,
        };
        comparison.give(Input::Tick);
        comparison
    }

    fn perform(&mut self, operation: Operation) {
        match operation {
            Operation::Initiate { app, state, socket, sessions } => {
                let resources = Resources { max_playback_sessions: sessions, ..Resources::default() };
                let facts = Facts { resources, socket_directory: "/run/greenroom" };
                self.ask(Command::Initiate { app, state, socket }, Some(facts));
            }
            Operation::Change { app, state } => self.ask(Command::ChangeState { app, state }, None),
            Operation::Ask(command) => self.ask(command, None),
            Operation::Deny(app) => {
                let from = self.ticket();
                self.give(Input::Denied { from, command: Command::ConnectionInfo { app }, user_id: 1 });
            }
            Operation::NextSpawnFails(kind) => self.spawn_fails = Some(kind),
            Operation::Server(number, deed) => self.server(number, deed),
            Operation::Late(back, deed) => self.late(back, deed),
            Operation::Pass(milliseconds) => self.pass(self.now.after(Duration::from_millis(milliseconds.into()))),
            Operation::PassToDeadline => {
                if let Some(at) = self.manager.next_deadline() {
                    self.pass(at.max(self.now));
                }
            }
            Operation::Terminate => {
                self.world.terminate();
                self.give(Input::Terminate);
            }
            Operation::WriteAndReadBack => self.write_and_read_back(),
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.sequence += 1;
        self.world.waiting.insert(self.sequence);
        Ticket { controller: Handle::from_parts(0, 1), sequence: self.sequence }
    }

    fn ask(&mut self, command: Command<'_>, facts: Option<Facts<'_>>) {
        let from = self.ticket();
        self.give(Input::Request { from, command, facts });
    }

    fn pass(&mut self, to: Instant) {
        self.now = to;
        self.give(Input::Tick);
        let next = self.manager.next_deadline();
        assert!(next.is_none_or(|at| at > to), "at {to:?} it was handed its tick, and wants another at {next:?}");
    }

    fn server(&mut self, number: u8, deed: Deed) {
        let Some(owner) = self.world.owner(number) else { return };
        match deed {
            Deed::Ends(status) => {
                let status = self.world.end(owner, status);
                self.tell(owner, |app| Input::ChildExited { app, status }, SpareEvent::ChildExited(status));
            }
            Deed::ClosesLink => {
                if self.world.close_link_from_below(owner) {
                    self.tell(owner, |app| Input::LinkClosed { app }, SpareEvent::LinkClosed);
                }
            }
            Deed::SendsGarbage => {
                if self.world.can_say_anything(owner) {
                    self.tell(owner, |app| Input::LinkBroken { app }, SpareEvent::LinkBroken);
                }
            }
            Deed::Obeys | Deed::Says(..) | Deed::Answers(..) | Deed::SendsListener | Deed::TellsClients(_) => {
                if let Some(message) = self.message(owner, deed) {
                    self.world.says(owner, &message);
                    self.tell(owner, |app| Input::Link { app, message }, SpareEvent::Link(message));
                }
            }
        }
    }

    fn message(&mut self, owner: Owner, deed: Deed) -> Option<link::Message> {
        if !self.world.can_say_anything(owner) {
            return None;
        }
        let sequence = |back: u8| self.world.last_sequence(owner).wrapping_sub(back.into());
        Some(match deed {
            Deed::Obeys => return self.world.next_due(owner),
            Deed::Says(state, reason) => link::Message::StateChanged { state, reason },
            Deed::Answers(back, result) => link::Message::Reply { sequence: sequence(back), result },
            Deed::SendsListener => link::Message::Listener,
            Deed::TellsClients(connected) => link::Message::Clients { connected, state: AppState::Running },
            Deed::ClosesLink | Deed::SendsGarbage | Deed::Ends(_) => return None,
        })
    }

    fn tell(
        &mut self,
        owner: Owner,
        of_app: impl Fn(greenroom_core::manager::AppHandle) -> Input<'static>,
        event: SpareEvent,
    ) {
        match owner {
            Owner::App(app) => self.give(of_app(app)),
            Owner::Spare(spare) => self.give(Input::Spare { spare, event }),
        }
    }

    /// What comes of an app that is not there any more leads to nothing.
    fn late(&mut self, back: u8, deed: Deed) {
        let Some(app) = self.world.gone(back) else { return };
        let input = match deed {
            Deed::Says(state, reason) => Input::Link { app, message: link::Message::StateChanged { state, reason } },
            Deed::Answers(..) | Deed::Obeys => {
                Input::Link { app, message: link::Message::Reply { sequence: 1, result: Ok(()) } }
            }
            Deed::SendsListener | Deed::TellsClients(_) => Input::Link { app, message: link::Message::Listener },
            Deed::ClosesLink => Input::LinkClosed { app },
            Deed::SendsGarbage => Input::LinkBroken { app },
            Deed::Ends(status) => Input::ChildExited { app, status },
        };
        let stale = self.manager.box_status().stale;
        assert!(self.manager.handle(self.now, input).is_err(), "{input:?} of an app that has gone was believed");
        assert_eq!(self.manager.poll_action(), None);
        assert_eq!(self.manager.box_status().stale, stale + 1);
    }

    /// Hands the machine an input, does what it wants done, and hands it what comes of that.
    fn give(&mut self, input: Input<'_>) {
        let _ = self.manager.handle(self.now, input);
        let mut spawned = Vec::new();
        for number in 0.. {
            let Some(action) = self.manager.poll_action() else { break };
            assert!(number < ACTIONS_MAX, "it wants something done without end: {action:?}");
            spawned.extend(self.carry_out(&action));
        }
        for owner in spawned {
            let result = match self.spawn_fails.take() {
                Some(kind) => Err(kind),
                None => Ok(self.world.start(owner)),
            };
            self.tell(owner, |app| Input::Spawned { app, result }, SpareEvent::Spawned(result));
        }
        self.world.check(self.now, &self.manager);
    }

    /// Whose process is to be started, if that is what is wanted.
    fn carry_out(&mut self, action: &Action) -> Option<Owner> {
        let first = match action {
            Action::Configure { app, .. } => self.manager.configuration(*app).map(|known| known.state),
            _ => None,
        };
        let name = match action {
            Action::Spawn { app } | Action::Take { app, .. } => self.manager.app_id(*app).cloned(),
            _ => None,
        };
        self.world.carry_out(self.now, action, name, first)
    }

    fn write_and_read_back(&mut self) {
        let mut buffer = [0; WRITTEN_BYTES_MAX];
        let written = encode(&self.manager, &mut buffer).expect("it fits");
        self.manager = decode(written).expect("it can be read back");
        let mut again = [0; WRITTEN_BYTES_MAX];
        assert_eq!(encode(&self.manager, &mut again).expect("it fits"), written);
    }

    /// SM-21, SM-38: nobody obeys any more, and it ends all the same; nothing is left, and everybody was answered.
    fn wind_down(&mut self) {
        self.world.terminate();
        self.give(Input::Terminate);
        for _ in 0..ROUNDS_MAX {
            while let Some((owner, status)) = self.world.next_killed() {
                let status = self.world.end(owner, status);
                self.tell(owner, |app| Input::ChildExited { app, status }, SpareEvent::ChildExited(status));
            }
            match self.manager.next_deadline() {
                Some(at) => self.pass(at.max(self.now)),
                None => break,
            }
        }
        assert_eq!(self.manager.next_deadline(), None, "it does not come to an end");
        self.world.check_end(&self.manager);
    }
}

/// Performs operations on a manager, and looks after each at all that can be seen of it from outside.
///
/// # Panics
///
/// When something is seen that must not be: SM-21, SM-30, SM-31, SM-33, SM-34, SM-36, SM-37, SM-38, SM-40.
pub fn manager(bytes: &[u8]) {
    let Some((&choices, bytes)) = bytes.split_first() else { return };
    let mut comparison = Comparison::new(choices);
    for operation in steps(bytes) {
        comparison.perform(operation);
        if comparison.world.has_ended() {
            return;
        }
    }
    comparison.wind_down();
}
