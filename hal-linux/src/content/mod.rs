//! The presentation service's client in the process of a page, which builds the page's data channels itself.
//!
//! | module | what is in it | Mozilla's name |
//! |---|---|---|
//! | here | [`ContentClient`]: asks the service, and passes messages by | `PresentationIPCService` |
//! | `session` | one connection, driven by the core's machine | `PresentationIPCSessionInfo` |
//! | `channel` | one data channel: ICE, DTLS and SCTP by `str0m` | `PresentationDataChannelSessionTransport` |
//! | `description` | what the two sides write to each other | |
//! | `sockets` | datagrams, from each address of this box | |
//!
//! ```text
//!  page --- request, event ---> ContentClient <--- presentation.sock ---> greenroom-presentation
//!                                     |                                    (a proxy of what is built here)
//!                                     +---------- datagrams ------------> the other page's process
//! ```

mod channel;
mod description;
mod session;
mod sockets;

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

use greenroom_core::codec::postcard;
use greenroom_core::limits::DATA_CHANNEL_BUFFERED_BYTES_MAX;
use greenroom_core::message::presentation::{Answer, Command, ConnectionId, Event, Message, Payload};
pub use greenroom_core::presentation::content::Phase;
use rustix::event::{PollFd, PollFlags};

use crate::presenter::{ANSWER_TIMEOUT, Heard, Link, PresenterError, wait};
use channel::Received;
use session::{Said, Session};

/// Channels are looked after so often at least, even by a page that finds an event whenever it asks.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// Bytes of messages that the page, or a connection that it does not listen to, has not read; with more nothing is read from the network, and the other side waits.
const UNREAD_BYTES_MAX: usize = 2 * DATA_CHANNEL_BUFFERED_BYTES_MAX;

/// What the page is told next.
enum News {
    /// As the service has said it.
    Told(Vec<u8>),
    /// By a data channel.
    Received(ConnectionId, Received),
}

/// A connection to the presentation service that builds data channels (PS-06, PS-20).
///
/// It is used like [`PresenterClient`](crate::presenter::PresenterClient), and what a page sends and hears is the same
/// whichever way it takes: messages of a data channel just never reach the service. As there is no thread, channels live
/// from the calls: a page that asks nothing and waits for no event for some ten seconds is gone for the other side.
pub struct ContentClient {
    link: Link,
    sessions: Vec<Session>,
    /// What the sessions have to say, while the service does not read.
    sayings: VecDeque<(ConnectionId, Said)>,
    /// The requests that say it, which are answered, too.
    unanswered: VecDeque<u32>,
    reply: Option<(u32, Vec<u8>)>,
    news: VecDeque<News>,
    unread_bytes: usize,
    /// What was given to the page last, which borrows from it.
    current: Option<News>,
    looked_at: Instant,
}

impl ContentClient {
    /// Connects and agrees on the protocol's version. A receiver, and who reconnects, has a data channel if it has said
    /// [`Command::RegisterBuilder`] before; who starts says so by the transport.
    pub fn connect(path: &Path) -> Result<Self, PresenterError> {
        let mut client = Self {
            link: Link::connect(path)?,
            sessions: Vec::new(),
            sayings: VecDeque::new(),
            unanswered: VecDeque::new(),
            reply: None,
            news: VecDeque::new(),
            unread_bytes: 0,
            current: None,
            looked_at: Instant::now(),
        };
        match client.request(Command::Hello)? {
            Answer::Welcome { .. } => Ok(client),
            _ => Err(PresenterError::Protocol),
        }
    }

    /// Asks and waits for the answer. A message for a data channel is answered at once; a connection that has one is
    /// closed when what was sent has arrived, or after two seconds.
    pub fn request(&mut self, command: Command<'_>) -> Result<Answer<'_>, PresenterError> {
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        match &command {
            Command::Send { connection, payload } if self.send(*connection, *payload)? => return Ok(Answer::Done),
            Command::Close { connection, went_away } => self.leave(*connection, *went_away, deadline)?,
            _ => {}
        }
        self.ask(&command, deadline)
    }

    /// Waits for an event until `deadline`; `None` when it has passed.
    pub fn next_event(&mut self, deadline: Instant) -> Result<Option<Event<'_>>, PresenterError> {
        if self.looked_at.elapsed() >= LOOK_INTERVAL {
            self.look(Instant::now())?;
        }
        while self.news.is_empty() {
            self.look(deadline)?;
            if self.news.is_empty() && Instant::now() >= deadline {
                return Ok(None);
            }
        }
        self.current = self.news.pop_front();
        match &self.current {
            Some(News::Received(connection, message)) => {
                self.unread_bytes = self.unread_bytes.saturating_sub(message.bytes());
                Ok(Some(Event::Message { connection: *connection, payload: message.payload() }))
            }
            Some(News::Told(message)) => match postcard::decode::<Message<'_>>(message)? {
                Message::Event(event) => Ok(Some(event)),
                Message::Reply { .. } => Err(PresenterError::Protocol),
            },
            None => Ok(None),
        }
    }

    /// `false` when the service is to carry it. Who is refused because too much waits may ask again and again.
    fn send(&mut self, connection: ConnectionId, payload: Payload<'_>) -> Result<bool, PresenterError> {
        let Some(session) = session_of(&mut self.sessions, connection) else { return Ok(false) };
        let sent = session.send(payload).map_err(PresenterError::Refused);
        if sent.is_err() || self.looked_at.elapsed() >= LOOK_INTERVAL {
            self.look(Instant::now())?;
        }
        sent
    }

    /// Bytes that were sent on the data channel of this connection and have not arrived yet (PS-19).
    pub fn buffered_bytes(&mut self, connection: ConnectionId) -> usize {
        session_of(&mut self.sessions, connection).map_or(0, Session::buffered_bytes)
    }

    /// Waits until all that was sent on this connection has arrived, or is with the service; `false` when it has not until
    /// `deadline`.
    pub fn flush(&mut self, connection: ConnectionId, deadline: Instant) -> Result<bool, PresenterError> {
        while self.buffered_bytes(connection) > 0 {
            if Instant::now() >= deadline {
                return Ok(false);
            }
            self.look(deadline)?;
        }
        Ok(true)
    }

    /// How far this process is with the data channel of this connection; `None` while nobody wants one.
    pub fn phase(&self, connection: ConnectionId) -> Option<Phase> {
        let session = self.sessions.iter().find(|session| session.connection() == connection)?;
        Some(session.phase())
    }

    /// Whether this process carries the messages of this connection itself.
    pub fn has_data_channel(&self, connection: ConnectionId) -> bool {
        self.sessions.iter().any(|session| session.connection() == connection && session.is_open())
    }

    fn ask(&mut self, command: &Command<'_>, deadline: Instant) -> Result<Answer<'_>, PresenterError> {
        let asked = loop {
            if let Some(sequence) = self.link.send(command.clone())? {
                break sequence;
            }
            self.look_until_service_reads(deadline)?;
        };
        loop {
            if let Some((sequence, message)) = self.reply.take() {
                if sequence != asked {
                    return Err(PresenterError::Protocol);
                }
                self.current = Some(News::Told(message));
                return self.answer();
            }
            if Instant::now() >= deadline {
                return Err(PresenterError::Timeout);
            }
            self.look(deadline)?;
        }
    }

    fn answer(&self) -> Result<Answer<'_>, PresenterError> {
        let Some(News::Told(message)) = &self.current else { return Err(PresenterError::Protocol) };
        match postcard::decode::<Message<'_>>(message)? {
            Message::Reply { result, .. } => result.map_err(PresenterError::Refused),
            Message::Event(_) => Err(PresenterError::Protocol),
        }
    }

    /// Waits until what the page has sent on this connection has arrived, and lets go of its channel.
    fn leave(&mut self, connection: ConnectionId, went_away: bool, deadline: Instant) -> Result<(), PresenterError> {
        let Some(session) = session_of(&mut self.sessions, connection) else { return Ok(()) };
        session.close(went_away);
        // The machine has a limit of its own, so this ends.
        while session_of(&mut self.sessions, connection).is_some_and(|session| !session.has_left()) {
            self.look(deadline)?;
        }
        self.sessions.retain(|session| session.connection() != connection);
        Ok(())
    }

    /// Waits until something has come or is due, and does what follows from it.
    fn look(&mut self, deadline: Instant) -> Result<(), PresenterError> {
        let flags = if self.sayings.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
        self.look_for(flags, deadline)
    }

    fn look_until_service_reads(&mut self, deadline: Instant) -> Result<(), PresenterError> {
        if Instant::now() >= deadline {
            return Err(PresenterError::Timeout);
        }
        self.look_for(PollFlags::IN | PollFlags::OUT, deadline)
    }

    fn look_for(&mut self, flags: PollFlags, deadline: Instant) -> Result<(), PresenterError> {
        let reads = self.unread_bytes < UNREAD_BYTES_MAX;
        let due = self.sessions.iter().filter_map(Session::deadline).fold(deadline, Instant::min);
        let mut waited = vec![PollFd::new(&self.link, flags)];
        let sessions = self.sessions.iter().filter(|_| reads).flat_map(Session::descriptors);
        waited.extend(sessions.map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN)));
        wait(&mut waited, due)?;
        self.looked_at = Instant::now();
        while let Some(heard) = self.link.receive()? {
            self.take(heard)?;
        }
        self.sessions.iter_mut().for_each(|session| session.advance(reads));
        self.gather_news();
        self.say()
    }

    fn take(&mut self, heard: Heard) -> Result<(), PresenterError> {
        match heard {
            Heard::Reply(sequence, message) if self.unanswered.front() == Some(&sequence) => {
                self.unanswered.pop_front();
                note_refusal(&message)
            }
            Heard::Reply(sequence, message) => {
                self.reply = Some((sequence, message));
                Ok(())
            }
            Heard::Event(message) => self.take_event(message),
        }
    }

    /// What is about building stays here.
    fn take_event(&mut self, message: Vec<u8>) -> Result<(), PresenterError> {
        let changed = match postcard::decode::<Message<'_>>(&message)? {
            Message::Event(Event::Build { connection, offers }) => {
                self.session_for(connection).build(offers);
                return Ok(());
            }
            Message::Event(Event::Built { connection, piece }) => {
                if let Some(session) = session_of(&mut self.sessions, connection) {
                    session.hear(piece);
                }
                return Ok(());
            }
            Message::Event(Event::State { connection, state, .. }) => Some((connection, state)),
            Message::Event(_) => None,
            Message::Reply { .. } => return Err(PresenterError::Protocol),
        };
        if let Some((connection, state)) = changed
            && let Some(session) = session_of(&mut self.sessions, connection)
        {
            session.be(state);
            self.order_news(connection, message);
        } else {
            self.news.push_back(News::Told(message));
        }
        Ok(())
    }

    /// A page learns that it is connected before it is given a message, and that it is not any more after the last one.
    fn order_news(&mut self, connection: ConnectionId, state: Vec<u8>) {
        let is_open = self.has_data_channel(connection);
        if is_open {
            self.news.push_back(News::Told(state));
            self.gather_news();
        } else {
            self.gather_news();
            self.news.push_back(News::Told(state));
        }
    }

    fn session_for(&mut self, connection: ConnectionId) -> &mut Session {
        let place = self.sessions.iter().position(|session| session.connection() == connection);
        let place = place.unwrap_or_else(|| {
            self.sessions.push(Session::new(connection));
            self.sessions.len() - 1
        });
        &mut self.sessions[place]
    }

    fn gather_news(&mut self) {
        for session in &mut self.sessions {
            let connection = session.connection();
            while let Some(message) = session.next_delivered() {
                self.unread_bytes += message.bytes();
                self.news.push_back(News::Received(connection, message));
            }
        }
    }

    /// In order, each session's; what the service does not take now waits.
    fn say(&mut self) -> Result<(), PresenterError> {
        for session in &mut self.sessions {
            let connection = session.connection();
            self.sayings.extend(std::iter::from_fn(|| session.next_said()).map(|said| (connection, said)));
        }
        self.sessions.retain(|session| !session.has_ended());
        while let Some((connection, said)) = self.sayings.front() {
            let command = Command::Built { connection: *connection, piece: said.piece() };
            let Some(sequence) = self.link.send(command)? else { break };
            self.unanswered.push_back(sequence);
            self.sayings.pop_front();
        }
        Ok(())
    }
}

fn session_of(sessions: &mut [Session], connection: ConnectionId) -> Option<&mut Session> {
    sessions.iter_mut().find(|session| session.connection() == connection)
}

/// The connection has ended meanwhile, or the other device takes no data channel: the service says so in other words, too.
fn note_refusal(message: &[u8]) -> Result<(), PresenterError> {
    match postcard::decode::<Message<'_>>(message)? {
        Message::Reply { result: Err(refusal), .. } => tracing::debug!("what was built is not wanted: {refusal}"),
        Message::Reply { result: Ok(_), .. } | Message::Event(_) => {}
    }
    Ok(())
}
