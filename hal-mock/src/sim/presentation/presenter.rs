//! One client's connection to the presentation service of its box.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use greenroom_core::codec::postcard::{decode, encode, encode_first};
use greenroom_core::hal::{Descriptors, Peer, Received, Sent, Socket};
use greenroom_core::limits::PRESENTER_MESSAGE_BYTES_MAX;
use greenroom_core::message::presentation::{
    Answer, CloseReason, Command, ConnectionState, Event, LaunchToken, Message, Payload, Piece, Refusal, Request,
    SelectionId,
};
use greenroom_core::time::Instant;

use super::book::Book;
use super::builder::{Builder, Outcome, Saying};
use super::lan::Around;
use super::witness::{Asked, Key, Witness, id, key};
use crate::party::Party;
use crate::presentation_home::PLATFORM_USER;
use crate::socket::SeqPacket;
use crate::world::World;

/// A service that takes nothing is tried again after this.
const SERVICE_TAKES: Duration = Duration::from_millis(50);

/// What a client has heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It was asked, and done or refused.
    Answered(Asked, Result<(), Refusal>),
    /// There is a connection.
    Connection(Key),
    /// A connection is in another state.
    State(Key, ConnectionState),
    /// A message has come.
    Message(Key),
    /// A device is to be chosen.
    Choose(SelectionId),
    /// Something else.
    Other,
}

/// A connection, or none.
pub(super) struct Presenter {
    world: World,
    book: Rc<Book>,
    pub(super) party: Party,
    path: String,
    user: u32,
    socket: Option<SeqPacket>,
    sequence: u32,
    pub(super) witness: Witness,
    /// It does not read until then.
    deaf_until: Instant,
    /// The presentation that it shows.
    shows: Option<String>,
    buffer: Vec<u8>,
    /// What builds data channels in its process.
    pub(super) builder: Builder,
    /// What that has for the service, while the service does not read.
    sayings: VecDeque<(Key, Saying)>,
    /// What has come by a data channel.
    received: VecDeque<Key>,
    /// Somebody has killed its process.
    pub(super) was_killed: bool,
}

impl Presenter {
    pub(super) fn new(around: &Around, party: Party, path: &str, user: u32) -> Self {
        let Around { world, book, paths, doom } = around;
        Self {
            world: world.clone(),
            book: Rc::clone(book),
            party,
            path: path.to_owned(),
            user,
            socket: None,
            sequence: 0,
            witness: Witness::new(book, party.to_string(), user == PLATFORM_USER, None),
            deaf_until: Instant::default(),
            shows: None,
            buffer: vec![0; PRESENTER_MESSAGE_BYTES_MAX],
            builder: Builder::new(world, (paths, doom), party),
            sayings: VecDeque::new(),
            received: VecDeque::new(),
            was_killed: false,
        }
    }

    /// As the receiver of a presentation.
    pub(super) fn showing(mut self, presentation_id: &str) -> Self {
        self.shows = Some(presentation_id.to_owned());
        self
    }

    pub(super) fn is_connected(&self) -> bool {
        self.socket.is_some()
    }

    /// Connects anew; who was before is forgotten.
    pub(super) fn connect(&mut self) -> bool {
        self.world.act_as(self.party);
        let Ok(socket) = self.world.connect(&self.path, Peer::new(1, self.user, self.user)) else { return false };
        self.forget_channels();
        let is_platform = self.user == PLATFORM_USER;
        self.witness = Witness::new(&self.book, self.party.to_string(), is_platform, self.shows.as_deref());
        (self.socket, self.sequence, self.deaf_until) = (Some(socket), 0, self.world.now());
        self.was_killed = false;
        true
    }

    pub(super) fn leave(&mut self) {
        if self.socket.take().is_some() {
            self.book.tell(|| format!("{} leaves", self.party));
        }
        self.forget_channels();
    }

    fn forget_channels(&mut self) {
        self.builder.die();
        self.sayings.clear();
        self.received.clear();
    }

    /// Gives the number of the request, unless it could not be sent now.
    pub(super) fn ask(&mut self, command: Command<'_>, asked: Asked) -> Option<u32> {
        self.world.act_as(self.party);
        let socket = self.socket.as_mut()?;
        let (request, buffer) = (Request { sequence: self.sequence + 1, command }, &mut self.buffer[..]);
        let bytes = if self.sequence == 0 { encode_first(&request, buffer) } else { encode(&request, buffer) };
        let sent = socket.send(bytes.ok()?, &[]);
        if matches!(asked, Asked::Send(_))
            && let Party::Presenter { station, .. } = self.party
        {
            self.book.asks_to_send(station);
        }
        if sent != Ok(Sent::Whole) {
            return None;
        }
        self.sequence += 1;
        self.witness.asks(self.sequence, asked);
        Some(self.sequence)
    }

    pub(super) fn say_anything(&mut self, bytes: &[u8]) {
        self.world.act_as(self.party);
        if let Some(socket) = &mut self.socket {
            let _ = socket.send(bytes, &[]);
        }
    }

    pub(super) fn claim(&mut self, token: LaunchToken, is_rightful: bool) {
        self.ask(Command::ReceiverReady { token }, Asked::Claim { is_rightful });
    }

    /// Sends the next message on a connection, with so much in it: on its data channel, if it has one (PS-07).
    pub(super) fn send(&mut self, connection: Key, padding: usize, is_binary: bool) {
        let Some(text) = self.witness.next_message(connection, padding) else { return };
        match self.builder.send(connection, &text) {
            Ok(true) => return self.witness.has_sent_past(connection),
            Ok(false) => {}
            Err(_) => return self.witness.takes_back(connection),
        }
        let payload = if is_binary { Payload::Binary(text.as_bytes()) } else { Payload::Text(&text) };
        if self.ask(Command::Send { connection: id(connection), payload }, Asked::Send(connection)).is_none() {
            self.witness.takes_back(connection);
        }
    }

    pub(super) fn piece(&mut self, connection: Key, piece: Piece<'_>) {
        self.ask(Command::Built { connection: id(connection), piece }, Asked::On(connection));
    }

    pub(super) fn close(&mut self, connection: Key, went_away: bool) {
        if !self.builder.close(connection, went_away) {
            self.ask(Command::Close { connection: id(connection), went_away }, Asked::On(connection));
        }
        self.witness.leaves(connection);
        self.follow();
    }

    /// What is due at its data channels happens.
    pub(super) fn look_after_channels(&mut self, now: Instant) {
        self.builder.turn(now);
        self.follow();
    }

    /// What has come of that is told, to the page and to the service.
    fn follow(&mut self) {
        if self.builder.take_killed() {
            self.was_killed = true;
            return self.leave();
        }
        while let Some(outcome) = self.builder.next_outcome() {
            match outcome {
                Outcome::Say(connection, saying) => self.sayings.push_back((connection, saying)),
                Outcome::Deliver(connection, message) => {
                    self.witness.message(connection, &Payload::Binary(&message));
                    self.received.push_back(connection);
                }
            }
        }
        while let Some((connection, saying)) = self.sayings.pop_front() {
            if !self.say(connection, &saying) {
                return self.sayings.push_front((connection, saying));
            }
        }
    }

    /// `false` when the service takes nothing now.
    fn say(&mut self, connection: Key, saying: &Saying) -> bool {
        let connection_id = id(connection);
        let command = match (saying, saying.piece()) {
            (_, Some(piece)) => Command::Built { connection: connection_id, piece },
            (Saying::Leave { went_away }, _) => Command::Close { connection: connection_id, went_away: *went_away },
            (_, None) => return true,
        };
        self.socket.is_none() || self.ask(command, Asked::On(connection)).is_some()
    }

    pub(super) fn terminate(&mut self, connection: Key) {
        self.ask(Command::Terminate { connection: id(connection) }, Asked::End(Some(connection)));
    }

    /// Does not read for so long.
    pub(super) fn be_deaf(&mut self, duration: Duration) {
        self.deaf_until = self.world.now().after(duration);
        self.witness.is_deaf_for(duration);
    }

    pub(super) fn hear_again(&mut self) {
        self.deaf_until = self.world.now();
    }

    /// What has waited for one that did not read is read soon after it reads again.
    pub(super) fn is_up_to_date(&self) -> bool {
        self.deaf_until.after(Duration::from_secs(5)) < self.world.now()
    }

    pub(super) fn is_deaf(&self) -> bool {
        self.deaf_until > self.world.now()
    }

    pub(super) fn wakes_at(&self) -> Option<Instant> {
        let hears = Some(self.deaf_until).filter(|_| self.is_deaf());
        let says = (!self.sayings.is_empty()).then(|| self.world.now().after(SERVICE_TAKES));
        [hears, says, self.builder.wakes_at()].into_iter().flatten().min()
    }

    pub(super) fn has_ready(&self) -> bool {
        if !self.received.is_empty() {
            return true;
        }
        let has_something = |socket: &SeqPacket| socket.waiting() > 0 || socket.has_ended();
        !self.is_deaf() && self.socket.as_ref().is_some_and(has_something)
    }

    /// The next thing that it hears; `None` when there is nothing now, or the service has gone.
    pub(super) fn hear(&mut self) -> Option<News> {
        if let Some(connection) = self.received.pop_front() {
            return Some(News::Message(connection));
        }
        self.world.act_as(self.party);
        let socket = self.socket.as_mut().filter(|_| self.deaf_until <= self.world.now())?;
        match socket.receive(&mut self.buffer, &mut Descriptors::new()) {
            Ok(Received::Message { bytes }) => {
                let buffer = std::mem::take(&mut self.buffer);
                let news = self.understand(&buffer[..bytes]);
                self.buffer = buffer;
                Some(news)
            }
            Ok(Received::WouldBlock) => None,
            Ok(Received::Closed | Received::Unusable) | Err(_) => {
                self.leave();
                None
            }
        }
    }

    fn understand(&mut self, bytes: &[u8]) -> News {
        match decode::<Message<'_>>(bytes) {
            Ok(Message::Reply { sequence, result }) => self.replied(sequence, &result),
            Ok(Message::Event(event)) => self.happened(&event),
            Err(error) => {
                self.book.violation("PS-32", format!("{} is told what is no message: {error}", self.party));
                News::Other
            }
        }
    }

    fn replied(&mut self, sequence: u32, result: &Result<Answer<'_>, Refusal>) -> News {
        let Some(asked) = self.witness.replied(sequence, result) else { return News::Other };
        match (asked, result) {
            (_, Ok(Answer::Connection { connection, .. })) => News::Connection(key(*connection)),
            (asked, result) => News::Answered(asked, result.as_ref().map(|_| ()).map_err(|refusal| *refusal)),
        }
    }

    fn happened(&mut self, event: &Event<'_>) -> News {
        match event {
            Event::State { connection, state, reason } => {
                self.be(key(*connection), *state, *reason);
                News::State(key(*connection), *state)
            }
            Event::Message { connection, payload } => {
                self.witness.message(key(*connection), payload);
                News::Message(key(*connection))
            }
            Event::Available { connection, device_id } => {
                self.witness.available(key(*connection), device_id);
                News::Other
            }
            Event::Availability { available } => {
                self.witness.availability(*available);
                News::Other
            }
            Event::SelectionAsked { selection, .. } => News::Choose(*selection),
            Event::Build { connection, offers } => {
                self.witness.builds(key(*connection));
                self.builder.build(key(*connection), *offers);
                self.follow();
                News::Other
            }
            Event::Built { connection, piece } => {
                self.builder.hear(key(*connection), piece);
                self.follow();
                News::Other
            }
            _ => News::Other,
        }
    }

    /// A page learns that it is connected before it is given a message, and that it is not any more after the last one.
    fn be(&mut self, connection: Key, state: ConnectionState, reason: Option<CloseReason>) {
        let is_end = matches!(state, ConnectionState::Closed | ConnectionState::Terminated);
        if !is_end {
            self.witness.state(connection, state, reason);
        }
        self.builder.be(connection, state, self.world.now());
        self.follow();
        if is_end {
            self.witness.state(connection, state, reason);
        }
    }
}
