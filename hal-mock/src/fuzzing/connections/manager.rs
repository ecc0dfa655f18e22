//! The manager's control socket, and its links to session servers.

use std::time::Duration;

use arbitrary::{Arbitrary, Result, Unstructured};
use greenroom_core::codec::postcard::decode;
use greenroom_core::driver::{ManagerDriver, Turn};
use greenroom_core::hal::{ErrorKind, ExitStatus, Listen, Peer, SocketPlace};
use greenroom_core::health::HealthCheck;
use greenroom_core::limits::{CONTROLLERS_MAX, MESSAGE_BYTES_MAX};
use greenroom_core::manager::{Manager, Settings};
use greenroom_core::message::control::{self, Command};
use greenroom_core::message::{Component, LogLevel, ServerState, TargetState, link};
use greenroom_core::trace::NoRecorder;

use super::{End, MadeUp, TURNS_MAX};
use crate::fuzzing::steps::{below, one_of, steps};
use crate::process::Process;
use crate::{CONTROL, Call, Descriptor, Grants, ListeningSocket, ManagerHome, SocketFiles, Spawner, World};

const APPS: usize = 3;
const NAMES: [&str; 4] = ["app1", "app2", "app3", "app4"];
/// One who may everything, one who may drive one app, one who may nothing.
const USERS: [u32; 3] = [1000, 1002, 1001];
/// Deadlines that pass until a box that was told to end has ended, with much to spare.
const ROUNDS_MAX: usize = 200;

#[derive(Clone, Debug)]
enum Operation {
    Connect(u32),
    /// Of the controller with this number, counted from the first.
    Ask(u8, Command<'static>),
    Send(u8, MadeUp),
    Close(u8),
    Listens(u8, bool),
    /// Of the server with this number.
    Obey(u8),
    Say(u8, link::Message),
    SendFromBelow(u8, MadeUp),
    HandUp(u8),
    End(u8, ExitStatus),
    IgnoreTerminate(u8),
    Fail(Call, ErrorKind),
    Pass(u16),
    PassToDeadline,
}

fn command(input: &mut Unstructured<'_>) -> Result<Command<'static>> {
    let states = [TargetState::Active, TargetState::Inactive, TargetState::NotRunning];
    let app = one_of(input, &NAMES)?;
    Ok(match below(input, 13)? {
        0..3 => Command::Initiate { app, state: one_of(input, &states)?, socket: one_of(input, &["", "", "one"])? },
        3..6 => Command::ChangeState { app, state: one_of(input, &states)? },
        6 => Command::ConnectionInfo { app },
        7 => Command::SetLogLevel { component: Component::Ipc, level: LogLevel::Debug },
        8 => Command::List { from: below(input, 4)?.into() },
        9 | 10 => Command::Watch,
        11 => Command::Trace { from: below(input, 4)?.into() },
        _ => Command::Hello,
    })
}

fn message(input: &mut Unstructured<'_>) -> Result<link::Message> {
    use ServerState::{Active, Error, Inactive, NotRunning, Uninitialized};
    Ok(match below(input, 4)? {
        0 => link::Message::Reply { sequence: below(input, 8)?.into(), result: Ok(()) },
        1 => link::Message::Listener,
        _ => {
            let state = one_of(input, &[Uninitialized, Inactive, Active, NotRunning, Error])?;
            link::Message::StateChanged { state, reason: None }
        }
    })
}

impl<'a> Arbitrary<'a> for Operation {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        const FAILURES: [Call; 7] =
            [Call::Spawn, Call::Watch, Call::Accept, Call::Send, Call::Receive, Call::Duplicate, Call::Adopt];
        let number = below(input, 4)?;
        Ok(match below(input, 32)? {
            0..2 => Self::Connect(one_of(input, &USERS)?),
            2..9 => Self::Ask(number, command(input)?),
            9 | 10 => Self::Send(number, input.arbitrary()?),
            11 => Self::Close(number),
            12 => Self::Listens(number, below(input, 3)? > 0),
            13..22 => Self::Obey(number),
            22 => Self::Say(number, message(input)?),
            23 => Self::SendFromBelow(number, input.arbitrary()?),
            24 => Self::HandUp(number),
            25 => Self::End(number, one_of(input, &[ExitStatus::Exited(0), ExitStatus::Killed(11)])?),
            26 => Self::IgnoreTerminate(number),
            27 => Self::Fail(one_of(input, &FAILURES)?, one_of(input, &[ErrorKind::Exhausted, ErrorKind::NotFound])?),
            28 => Self::Pass(input.arbitrary()?),
            _ => Self::PassToDeadline,
        })
    }
}

/// A process that was started, played by us.
struct Server {
    process: Process,
    has_greeted: bool,
    listening: Option<ListeningSocket>,
}

impl Server {
    fn send(&mut self, message: &link::Message, descriptors: &[&Descriptor]) {
        let mut buffer = [0; 256];
        let is_first = !std::mem::replace(&mut self.has_greeted, true);
        let bytes = match is_first {
            true => greenroom_core::codec::postcard::encode_first(message, &mut buffer),
            false => greenroom_core::codec::postcard::encode(message, &mut buffer),
        };
        self.process.link().send_anything(bytes.expect("it fits"), descriptors);
    }

    /// Does what it was asked first of all that was not done.
    fn obey(&mut self) {
        if !self.has_greeted {
            return self.send(&link::Message::StateChanged { state: ServerState::Uninitialized, reason: None }, &[]);
        }
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        let mut end = greenroom_core::hal::Descriptors::new();
        let received = greenroom_core::hal::Socket::receive(self.process.link(), &mut buffer, &mut end);
        let Ok(greenroom_core::hal::Received::Message { bytes }) = received else { return };
        let request: link::Request<'_> = decode(&buffer[..bytes]).expect("the manager sends what is a message");
        self.send(&link::Message::Reply { sequence: request.sequence, result: Ok(()) }, &[]);
        let state = match request.command {
            link::Command::SetConfiguration(configuration) => configuration.state,
            link::Command::SetState(state) => state,
            _ => return,
        };
        self.send(&link::Message::StateChanged { state: state.into(), reason: None }, &[]);
        if state == TargetState::NotRunning {
            self.process.exit(ExitStatus::Exited(0));
        }
    }
}

struct Stage {
    world: World,
    driver: Box<ManagerDriver<ManagerHome, NoRecorder, APPS>>,
    controllers: Vec<End>,
    servers: Vec<Server>,
    theirs: SocketFiles,
    spares: u16,
    last: Turn,
}

impl Stage {
    fn new(choices: u8) -> Self {
        let world = World::new(choices.into());
        if choices & 1 == 1 {
            world.be_unkind();
        }
        let spares = u16::from(choices >> 1) % 3;
        let health = HealthCheck { interval_ms: if choices & 8 == 0 { 500 } else { 0 }, failures_max: 2 };
        let settings = Settings { decoders: 2, spares, restart: choices & 16 == 0, health, ..Settings::default() };
        let grants = Grants::new().everything(USERS[0]).app(USERS[1], NAMES[0]);
        let mut home = ManagerHome::new(&world, Spawner::new(&world), grants);
        let control = home.open_control().expect("nobody listens there");
        // Made where it stays: it has hundreds of kilobytes of room for messages.
        let place = Box::new_uninit();
        let mut driver = Box::write(place, ManagerDriver::new(Manager::new(settings), home, control, NoRecorder));
        driver.start().expect("the control socket can be watched");
        let theirs = SocketFiles::new(&world);
        Self { world, driver, controllers: Vec::new(), servers: Vec::new(), theirs, spares, last: Turn::Next }
    }

    fn perform(&mut self, operation: Operation) {
        match operation {
            Operation::Connect(user_id) => {
                let connected = self.world.connect(CONTROL, Peer::new(7, user_id, user_id));
                self.controllers.extend(connected.ok().map(End::new));
            }
            Operation::Ask(number, command) => {
                if let Some(end) = nth(&mut self.controllers, number) {
                    end.sequence += 1;
                    let sequence = end.sequence;
                    let command = if end.has_greeted { command } else { Command::Hello };
                    end.send(&control::Request { sequence, command }, &[]);
                }
            }
            Operation::Send(number, made_up) => {
                if let Some(end) = nth(&mut self.controllers, number) {
                    end.send_made_up(&made_up);
                }
            }
            Operation::Close(number) => {
                if let Some(number) = usize::from(number).checked_rem(self.controllers.len()) {
                    self.controllers.remove(number);
                }
            }
            Operation::Listens(number, does_listen) => {
                if let Some(end) = nth(&mut self.controllers, number) {
                    end.listen(does_listen);
                }
            }
            Operation::Obey(_)
            | Operation::Say(..)
            | Operation::SendFromBelow(..)
            | Operation::HandUp(_)
            | Operation::End(..)
            | Operation::IgnoreTerminate(_) => self.serve(&operation),
            Operation::Fail(call, kind) => self.world.fail_next(call, kind),
            Operation::Pass(milliseconds) => self.world.advance(Duration::from_millis(milliseconds.into())),
            Operation::PassToDeadline => {
                if let Some(at) = self.driver.next_deadline() {
                    self.world.advance_to(at);
                }
            }
        }
    }

    fn serve(&mut self, operation: &Operation) {
        let (Operation::Obey(number)
        | Operation::Say(number, _)
        | Operation::SendFromBelow(number, _)
        | Operation::HandUp(number)
        | Operation::End(number, _)
        | Operation::IgnoreTerminate(number)) = *operation
        else {
            return;
        };
        let Some(server) = nth(&mut self.servers, number) else { return };
        match operation {
            Operation::Obey(_) => server.obey(),
            Operation::Say(_, message) => server.send(message, &[]),
            Operation::SendFromBelow(_, made_up) => {
                let descriptors: Vec<_> =
                    (0..made_up.descriptors).map(|number| Descriptor::new(std::rc::Rc::new(number))).collect();
                server.process.link().send_anything(&made_up.bytes, &descriptors.iter().collect::<Vec<_>>());
            }
            Operation::HandUp(number) => {
                let path = format!("/run/greenroom/{}.sock", NAMES[usize::from(*number) % NAMES.len()]);
                let place = SocketPlace { path: &path, mode: 0o600, owner: "", group: "" };
                server.listening = self.theirs.listen(&place).ok();
                let up = server.listening.as_ref().and_then(|listening| self.theirs.duplicate(listening).ok());
                server.send(&link::Message::Listener, &up.iter().collect::<Vec<_>>());
            }
            Operation::End(_, status) => server.process.exit(*status),
            _ => server.process.ignore_terminate(),
        }
    }

    /// Takes turns until nothing is ready, and hears what there is to hear.
    fn settle(&mut self) {
        for _ in 0..TURNS_MAX {
            let ready = self.driver.host().events.ready();
            let is_due = self.driver.next_deadline().is_some_and(|at| at <= self.world.now());
            if (ready.is_empty() && !is_due) || self.last == Turn::Exit {
                return self.check();
            }
            self.last = self.driver.turn(self.world.now(), &ready);
        }
        panic!("it does not come to rest");
    }

    fn check(&mut self) {
        while let Some(process) = self.world.next_started() {
            self.servers.push(Server { process, has_greeted: false, listening: None });
        }
        self.servers.retain(|server| server.process.is_alive());
        assert!(self.servers.len() <= APPS + usize::from(self.spares), "{} processes", self.servers.len());
        assert!(usize::from(self.driver.controllers()) <= CONTROLLERS_MAX);
        self.controllers.iter_mut().filter(|end| end.has_news()).for_each(hear);
        self.controllers.retain(|end| !end.is_closed);
    }

    /// SM-38: nobody obeys, and it ends all the same and leaves nothing.
    fn wind_down(&mut self) {
        self.controllers.clear();
        self.settle();
        if self.last == Turn::Next {
            assert_eq!(self.driver.controllers(), 0, "who has gone is still there");
            self.last = self.driver.terminate(self.world.now());
        }
        for _ in 0..ROUNDS_MAX {
            self.settle();
            if self.last == Turn::Exit {
                return assert!(self.servers.is_empty(), "{} processes are left", self.servers.len());
            }
            let at = self.driver.next_deadline().expect("something must be due until it ends");
            self.world.advance_to(at);
        }
        panic!("it does not end");
    }
}

fn nth<T>(of: &mut [T], number: u8) -> Option<&mut T> {
    let number = usize::from(number).checked_rem(of.len())?;
    of.get_mut(number)
}

fn hear(end: &mut End) {
    let mut buffer = [0; MESSAGE_BYTES_MAX];
    while let Some((bytes, descriptors)) = end.receive(&mut buffer) {
        let message = decode(bytes).expect("the manager sends what is a message");
        let is_trace = matches!(message, control::Message::Reply { result: Ok(control::Answer::Trace { .. }), .. });
        assert_eq!(descriptors.len(), usize::from(is_trace), "only a trace comes with a descriptor");
        match message {
            control::Message::Reply { sequence, .. } => end.is_answered(sequence),
            control::Message::Event(_) => {}
        }
    }
}

/// Has controllers and session servers do their worst to a manager's driver.
///
/// # Panics
///
/// When it does not come to rest, answers what was not asked, or leaves anything at its end (SM-30, SM-34, SM-38).
pub fn manager(bytes: &[u8]) {
    let Some((&choices, bytes)) = bytes.split_first() else { return };
    let mut stage = Stage::new(choices);
    stage.settle();
    for operation in steps(bytes) {
        stage.perform(operation);
        stage.settle();
        if stage.last == Turn::Exit {
            break;
        }
    }
    stage.wind_down();
}
