//! A session server that breaks the rules in one way, which the variable `GREENROOM_MISBEHAVIOUR` names; the
//! tests of the manager start it instead of the real one.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use greenroom_core::driver::{Connection, Incoming};
use greenroom_core::hal::Descriptors;
use greenroom_core::limits::MESSAGE_BYTES_MAX;
use greenroom_core::message::link::{Command, Message, Refusal, Request};
use greenroom_core::message::{Reason, ServerState, TargetState};

use greenroom_hal_linux::socket::SeqPacket;
use rustix::event::{PollFd, PollFlags, poll};

fn main() -> ExitCode {
    let behaviour = std::env::var("GREENROOM_MISBEHAVIOUR").expect("GREENROOM_MISBEHAVIOUR is set");
    let descriptor = std::env::args().nth(2).and_then(|number| number.parse().ok()).expect("--link-fd NUMBER");
    let mut server = Server {
        link: Connection::asking(SeqPacket::from_inherited(descriptor).expect("the link")),
        state: ServerState::Uninitialized,
        behaviour,
    };
    server.start()
}

struct Server {
    link: Connection<SeqPacket>,
    state: ServerState,
    behaviour: String,
}

impl Server {
    fn start(&mut self) -> ExitCode {
        match self.behaviour.as_str() {
            "never-ready" => hang(),
            "exits-at-once" => return ExitCode::from(7),
            "fails-to-initialize" => {
                self.notify(ServerState::Error, Some(Reason::Initialization));
                return ExitCode::FAILURE;
            }
            "fails-to-initialize-and-stays" => {
                self.notify(ServerState::Error, Some(Reason::Initialization));
                hang();
            }
            "ready-twice" => self.notify(ServerState::Uninitialized, None),
            "active-before-configured" => {
                self.notify(ServerState::Uninitialized, None);
                self.notify(ServerState::Active, None);
                hang();
            }
            _ => {}
        }
        self.notify(ServerState::Uninitialized, None);
        self.serve()
    }

    fn serve(&mut self) -> ExitCode {
        loop {
            let mut buffer = [0; MESSAGE_BYTES_MAX];
            let (sequence, target) = match self.receive(&mut buffer) {
                None => return ExitCode::SUCCESS,
                Some(Request { sequence, command: Command::SetState(target) }) => (sequence, target),
                Some(Request { sequence, command: Command::SetConfiguration(configuration) }) => {
                    self.reply(sequence, Ok(()));
                    self.enter(configuration.state.into(), None);
                    if self.behaviour == "dies-when-there" {
                        return ExitCode::from(9);
                    }
                    continue;
                }
                Some(Request { sequence, .. }) => {
                    self.reply(sequence, Ok(()));
                    continue;
                }
            };
            if let Some(status) = self.change(sequence, target) {
                return status;
            }
        }
    }

    fn change(&mut self, sequence: u32, target: TargetState) -> Option<ExitCode> {
        match (self.behaviour.as_str(), target) {
            ("never-ends" | "active-fails-and-never-ends", TargetState::NotRunning) => hang(),
            ("never-answers", _) => hang(),
            ("answers-and-hangs", _) => {
                self.reply(sequence, Ok(()));
                hang();
            }
            ("refuses-active", TargetState::Active) => {
                self.reply(sequence, Err(Refusal::WrongState { state: self.state }));
                return None;
            }
            ("dies-once-at-active", TargetState::Active) if first_time() => {
                self.reply(sequence, Ok(()));
                return Some(ExitCode::from(9));
            }
            ("dies-at-active", TargetState::Active) => return Some(ExitCode::from(9)),
            ("sends-garbage-at-active", TargetState::Active) => {
                let _ = rustix::net::send(self.link.socket(), &[0xFF; 100], rustix::net::SendFlags::NOSIGNAL);
                hang();
            }
            ("active-fails" | "active-fails-and-never-ends", TargetState::Active) => {
                self.reply(sequence, Ok(()));
                self.enter(ServerState::Error, Some(Reason::SharedMemory));
                return None;
            }
            ("waits-for-gate", _) => wait_for_gate(),
            _ => {}
        }
        self.reply(sequence, Ok(()));
        if target == TargetState::NotRunning {
            self.enter(ServerState::NotRunning, Some(Reason::Asked));
            return Some(ExitCode::SUCCESS);
        }
        self.enter(target.into(), None);
        None
    }

    fn enter(&mut self, state: ServerState, reason: Option<Reason>) {
        self.state = state;
        self.notify(state, reason);
    }

    fn notify(&mut self, state: ServerState, reason: Option<Reason>) {
        self.send(&Message::StateChanged { state, reason });
    }

    fn reply(&mut self, sequence: u32, result: Result<(), Refusal>) {
        self.send(&Message::Reply { sequence, result });
    }

    fn send(&mut self, message: &Message) {
        self.link.send(message, Descriptors::new()).expect("the manager listens");
    }

    /// The next request; `None` when the manager has gone.
    fn receive<'b>(&mut self, buffer: &'b mut [u8; MESSAGE_BYTES_MAX]) -> Option<Request<'b>> {
        poll(&mut [PollFd::new(self.link.socket(), PollFlags::IN)], None).expect("the link can be watched");
        match self.link.receive(buffer, &mut Descriptors::new()) {
            Ok(Incoming::Message { message, .. }) => Some(message),
            Ok(Incoming::Closed) => None,
            other => panic!("the manager sent what is no request: {other:?}"),
        }
    }
}

/// Ignores TERM too: only KILL ends it.
fn hang() -> ! {
    greenroom_hal_linux::signals::Signals::new().expect("signals can be blocked");
    loop {
        std::thread::park();
    }
}

/// Whether the file that `GREENROOM_GATE` names was not there; now it is.
fn first_time() -> bool {
    let gate = std::env::var("GREENROOM_GATE").expect("GREENROOM_GATE is set");
    std::fs::File::create_new(gate).is_ok()
}

/// Waits until the test makes the file that `GREENROOM_GATE` names.
fn wait_for_gate() {
    let gate = std::env::var("GREENROOM_GATE").expect("GREENROOM_GATE is set");
    while !Path::new(&gate).exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
}
