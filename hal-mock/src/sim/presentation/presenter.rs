//! One client's connection to the presentation service of its box.

use std::rc::Rc;
use std::time::Duration;

use greenroom_core::codec::postcard::{decode, encode, encode_first};
use greenroom_core::hal::{Descriptors, Peer, Received, Sent, Socket};
use greenroom_core::limits::PRESENTER_MESSAGE_BYTES_MAX;
use greenroom_core::message::presentation::{
    Answer, Command, ConnectionState, Event, LaunchToken, Message, Payload, Piece, Refusal, Request, SelectionId,
};
use greenroom_core::time::Instant;

use super::book::Book;
use super::witness::{Asked, Key, Witness, id, key};
use crate::party::Party;
use crate::presentation_home::PLATFORM_USER;
use crate::socket::SeqPacket;
use crate::world::World;

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
    /// A transport is to be built.
    Build { connection: Key, offers: bool },
    /// The other side's builder has something.
    Built { connection: Key, is_answer: bool, is_offer: bool },
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
}

impl Presenter {
    pub(super) fn new(world: &World, book: &Rc<Book>, party: Party, path: &str, user: u32) -> Self {
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
        let is_platform = self.user == PLATFORM_USER;
        self.witness = Witness::new(&self.book, self.party.to_string(), is_platform, self.shows.as_deref());
        (self.socket, self.sequence, self.deaf_until) = (Some(socket), 0, self.world.now());
        true
    }

    pub(super) fn leave(&mut self) {
        if self.socket.take().is_some() {
            self.book.tell(|| format!("{} leaves", self.party));
        }
    }

    /// Gives the number of the request, unless it could not be sent now.
    pub(super) fn ask(&mut self, command: Command<'_>, asked: Asked) -> Option<u32> {
        self.world.act_as(self.party);
        let socket = self.socket.as_mut()?;
        let (request, buffer) = (Request { sequence: self.sequence + 1, command }, &mut self.buffer[..]);
        let bytes = if self.sequence == 0 { encode_first(&request, buffer) } else { encode(&request, buffer) };
        let sent = socket.send(bytes.ok()?, &[]);
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

    /// Sends the next message on a connection, with so much in it.
    pub(super) fn send(&mut self, connection: Key, padding: usize, is_binary: bool) {
        let Some(text) = self.witness.next_message(connection, padding) else { return };
        let payload = if is_binary { Payload::Binary(text.as_bytes()) } else { Payload::Text(&text) };
        if self.ask(Command::Send { connection: id(connection), payload }, Asked::Send(connection)).is_none() {
            self.witness.takes_back(connection);
        }
    }

    pub(super) fn piece(&mut self, connection: Key, piece: Piece<'_>) {
        self.ask(Command::Built { connection: id(connection), piece }, Asked::On(connection));
    }

    /// The other end of these presentations has gone.
    pub(super) fn end_data_channels(&mut self, has_gone: impl Fn(&str) -> bool) {
        for (connection, presentation_id) in self.witness.built() {
            if has_gone(&presentation_id) {
                self.piece(connection, Piece::Closed);
                self.witness.has_ended(connection);
            }
        }
    }

    pub(super) fn close(&mut self, connection: Key, went_away: bool) {
        self.ask(Command::Close { connection: id(connection), went_away }, Asked::On(connection));
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
        Some(self.deaf_until).filter(|_| self.is_deaf())
    }

    pub(super) fn has_ready(&self) -> bool {
        let has_something = |socket: &SeqPacket| socket.waiting() > 0 || socket.has_ended();
        !self.is_deaf() && self.socket.as_ref().is_some_and(has_something)
    }

    /// The next thing that it hears; `None` when there is nothing now, or the service has gone.
    pub(super) fn hear(&mut self) -> Option<News> {
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
                self.witness.state(key(*connection), *state, *reason);
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
                News::Build { connection: key(*connection), offers: *offers }
            }
            Event::Built { connection, piece } => News::Built {
                connection: key(*connection),
                is_answer: matches!(piece, Piece::Answer(_)),
                is_offer: matches!(piece, Piece::Offer(_)),
            },
            _ => News::Other,
        }
    }
}
