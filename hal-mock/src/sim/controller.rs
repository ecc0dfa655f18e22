//! Who drives the manager through its control socket: an application manager, or a person.

use greenroom_core::driver::{Connection, Incoming};
use greenroom_core::hal::{Descriptors, Interest, Token, Watch};
use greenroom_core::limits::MESSAGE_BYTES_MAX;
use greenroom_core::message::ServerState;
use greenroom_core::message::control::{Answer, Command, Event, Message, Refusal, Request};
use greenroom_core::time::Instant;

use super::manager::OPERATOR;
use crate::event_loop::EventLoop;
use crate::home::CONTROL;
use crate::party::Party;
use crate::socket::SeqPacket;
use crate::world::World;

const TOKEN: Token = Token { kind: 0, index: 0, generation: 0 };

/// What a controller heard.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Heard {
    Answer { sequence: u32, result: Result<Answer, Refusal> },
    State { app: String, state: ServerState },
    Missed,
    Closed,
}

/// One connection to the control socket.
pub(super) struct Controller {
    world: World,
    pub(super) party: Party,
    connection: Option<Connection<SeqPacket>>,
    events: EventLoop,
    sequence: u32,
    /// Requests without an answer.
    unanswered: Vec<u32>,
    pub(super) stalled_until: Instant,
    pub(super) heard: Vec<Heard>,
}

impl Controller {
    pub(super) fn new(world: &World, number: u16) -> Self {
        Self {
            world: world.clone(),
            party: Party::Controller(number),
            connection: None,
            events: EventLoop::new(world),
            sequence: 0,
            unanswered: Vec::new(),
            stalled_until: Instant::default(),
            heard: Vec::new(),
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    pub(super) fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    /// How it is, for a report.
    pub(super) fn describe(&self) -> String {
        let is_connected = self.is_connected();
        format!("{}: connected {is_connected}, waits for {:?}", self.party, self.unanswered)
    }

    /// Connects, greets, and asks to be told of everything. False: it cannot now.
    pub(super) fn connect(&mut self) -> bool {
        self.close();
        let Ok(socket) = self.world.connect(CONTROL, OPERATOR) else { return false };
        if self.events.watch(&socket, TOKEN, Interest::Read).is_err() {
            return false;
        }
        self.connection = Some(Connection::asking(socket));
        self.ask(Command::Hello).is_some() && self.ask(Command::Watch).is_some()
    }

    pub(super) fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.events.unwatch(connection.socket());
        }
        self.unanswered.clear();
    }

    /// Asks; the number of the request, unless it does not go out now.
    pub(super) fn ask(&mut self, command: Command<'_>) -> Option<u32> {
        let connection = self.connection.as_mut().filter(|connection| !connection.is_blocked())?;
        self.sequence = self.sequence.wrapping_add(1);
        let request = Request { sequence: self.sequence, command };
        if connection.send(&request, Descriptors::new()).is_err() {
            self.close();
            self.heard.push(Heard::Closed);
            return None;
        }
        self.unanswered.push(self.sequence);
        self.rewatch();
        Some(self.sequence)
    }

    fn rewatch(&mut self) {
        if let Some(connection) = &self.connection {
            let interest = if connection.is_blocked() { Interest::ReadWrite } else { Interest::Read };
            // It is watched already, so this cannot fail.
            let _ = self.events.rewatch(connection.socket(), TOKEN, interest);
        }
    }

    pub(super) fn has_ready(&self) -> bool {
        self.events.has_ready()
    }

    pub(super) fn turn(&mut self) {
        if self.connection.as_mut().is_some_and(|connection| connection.flush().is_err()) {
            self.close();
            self.heard.push(Heard::Closed);
        }
        self.rewatch();
        while self.hear() {}
    }

    fn hear(&mut self) -> bool {
        let Some(connection) = &mut self.connection else { return false };
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        match connection.receive(&mut buffer, &mut Descriptors::new()) {
            Ok(Incoming::Message { message: Message::Reply { sequence, result }, .. }) => {
                let Some(place) = self.unanswered.iter().position(|asked| *asked == sequence) else {
                    // What it asked became garbage on its way: which request that was cannot be told.
                    self.close();
                    self.heard.push(Heard::Closed);
                    return false;
                };
                self.unanswered.swap_remove(place);
                self.heard.push(Heard::Answer { sequence, result });
                true
            }
            Ok(Incoming::Message { message: Message::Event(Event::StateChanged { app, state, .. }), .. }) => {
                self.heard.push(Heard::State { app: app.as_str().to_owned(), state });
                true
            }
            Ok(Incoming::Message { message: Message::Event(_), .. }) => {
                self.heard.push(Heard::Missed);
                true
            }
            Ok(Incoming::Nothing) => false,
            Ok(Incoming::Closed) | Err(_) => {
                self.close();
                self.heard.push(Heard::Closed);
                false
            }
        }
    }
}
