//! The connections to the control socket.

use heapless::Deque;

use super::{ManagerHost, kind};
use crate::codec::postcard::{CodecError, sequence};
use crate::driver::{Connection, ConnectionError, Incoming};
use crate::fmt::{debug, warning};
use crate::hal::{Descriptors, Error, Interest, Listener, Peer, Right, Socket, Token, Watch};
use crate::limits::{CONTROLLERS_MAX, OBSERVER_BACKLOG_MAX};
use crate::manager::Ticket;
use crate::message::control::{Answer, Command, Event, Message, Refusal, Request};
use crate::message::{AppId, VERSIONS};
use crate::table::{Full, Handle, Table};

pub(super) use crate::manager::Controller;

/// Connections at a time of users who may drive nothing: they are there for the refusal that tells them so, and silent ones
/// must leave room for those who may.
const STRANGERS_MAX: usize = CONTROLLERS_MAX / 4;

/// What came from a controller.
pub(super) enum Asked<'b> {
    Nothing,
    /// For the machine. Until it is answered nothing more is read from this controller.
    Request {
        from: Ticket,
        command: Command<'b>,
    },
    /// It has its answer already.
    Answered,
    Close,
}

/// One connection.
///
/// It is read only while none of its requests waits for an answer, so one place for an answer is enough; what it asks
/// meanwhile waits in its own queue.
struct Entry<S: Socket> {
    connection: Connection<S>,
    peer: Peer,
    is_stranger: bool,
    greeted: bool,
    /// A request was handed to the machine.
    waits: bool,
    watches: bool,
    reply: Option<Message>,
    /// What goes with the reply.
    descriptors: Descriptors<S::Descriptor>,
    backlog: Deque<Event, OBSERVER_BACKLOG_MAX>,
    missed: u32,
    /// To be closed as soon as its answer has gone.
    ends: bool,
    /// What the platform was told to watch it for.
    interest: Interest,
}

impl<S: Socket> Entry<S> {
    fn is_busy(&self) -> bool {
        self.waits || self.ends || self.reply.is_some() || self.connection.is_blocked()
    }

    fn wanted_interest(&self) -> Interest {
        if self.connection.is_blocked() {
            Interest::Write
        } else if self.is_busy() {
            Interest::None
        } else {
            Interest::Read
        }
    }

    fn publish(&mut self, event: &Event) {
        // Once one is missed, so are all until the observer is told.
        if self.missed > 0 || self.backlog.push_back(event.clone()).is_err() {
            self.missed = self.missed.saturating_add(planted!("missed_news_kept_quiet", 0, 1));
        }
    }

    fn next_message(&mut self) -> Option<(Message, Descriptors<S::Descriptor>)> {
        if let Some(reply) = self.reply.take() {
            return Some((reply, core::mem::take(&mut self.descriptors)));
        }
        let missed = |count: &mut u32| Some(core::mem::take(count)).filter(|missed| *missed > 0).map(Event::Missed);
        let event = self.backlog.pop_front().or_else(|| missed(&mut self.missed))?;
        Some((Message::Event(event), Descriptors::new()))
    }

    /// Sends what waits, as far as the socket takes it.
    fn pump(&mut self) -> Result<(), ConnectionError> {
        self.connection.flush()?;
        while !self.connection.is_blocked() {
            let Some((message, descriptors)) = self.next_message() else { break };
            self.connection.send(&message, descriptors)?;
        }
        Ok(())
    }

    fn refuse(&mut self, sequence: u32, refusal: Refusal) -> Asked<'static> {
        self.reply = Some(Message::Reply { sequence, result: Err(refusal) });
        Asked::Answered
    }

    fn refuse_and_end(&mut self, sequence: u32, refusal: Refusal) -> Asked<'static> {
        self.ends = true;
        self.refuse(sequence, refusal)
    }

    fn on_request<'b>(&mut self, id: Handle<Controller>, version: Option<u8>, request: Request<'b>) -> Asked<'b> {
        let Request { sequence, command } = request;
        if self.is_stranger {
            return self.refuse_and_end(sequence, Refusal::Denied);
        }
        if let (Command::Hello, Some(version)) = (command, version) {
            self.greeted = true;
            self.reply = Some(Message::Reply { sequence, result: Ok(Answer::Welcome { version }) });
            return Asked::Answered;
        }
        if !self.greeted {
            return self.refuse_and_end(sequence, Refusal::Malformed);
        }
        self.watches |= command == Command::Watch;
        self.waits = true;
        Asked::Request { from: Ticket { controller: id, sequence }, command }
    }

    /// A request that cannot be read is refused where its number can be.
    fn on_unreadable(&mut self, error: ConnectionError, bytes: &[u8]) -> Asked<'static> {
        match error {
            ConnectionError::Codec(CodecError::Version { .. }) => match sequence(bytes, true) {
                Some(sequence) => {
                    let (min, max) = VERSIONS;
                    self.refuse_and_end(sequence, Refusal::Version { min, max })
                }
                None => Asked::Close,
            },
            ConnectionError::Codec(CodecError::Malformed) if self.greeted => match sequence(bytes, false) {
                Some(sequence) => self.refuse(sequence, Refusal::Malformed),
                None => Asked::Close,
            },
            ConnectionError::Codec(_)
            | ConnectionError::Blocked
            | ConnectionError::Unusable
            | ConnectionError::Socket(_) => Asked::Close,
        }
    }
}

/// The table of connections.
pub(super) struct Controllers<S: Socket> {
    table: Table<Entry<S>, CONTROLLERS_MAX>,
}

impl<S: Socket> Controllers<S> {
    pub(super) const fn new() -> Self {
        Self { table: Table::new() }
    }

    pub(super) const fn count(&self) -> u16 {
        self.table.in_use()
    }

    fn get(&mut self, id: Handle<Controller>) -> Option<&mut Entry<S>> {
        self.table.get_mut(entry(id))
    }

    pub(super) fn admit<H>(&mut self, host: &mut H, socket: S, peer: Peer)
    where
        H: ManagerHost<Control: Listener<Socket = S>>,
    {
        let is_stranger = !host.may(&peer, Right::Any);
        if is_stranger {
            warning!("user {} (process {}) may drive no app", peer.user_id, peer.process_id);
        }
        if is_stranger && self.strangers() >= STRANGERS_MAX {
            return warning!("too many users connect who may drive nothing; this one is closed");
        }
        let watch = host.watch();
        let fresh = Entry {
            connection: Connection::answering(socket),
            peer,
            is_stranger,
            greeted: false,
            waits: false,
            watches: false,
            reply: None,
            descriptors: Descriptors::new(),
            backlog: Deque::new(),
            missed: 0,
            ends: false,
            interest: Interest::Read,
        };
        let id = match self.table.insert(fresh) {
            Ok(id) => id,
            Err(Full(_)) => return warning!("there is no place for another control connection; it is closed"),
        };
        let watched = self.table.get(id).map(|entry| watch.watch(entry.connection.socket(), token(id), Interest::Read));
        if let Some(Err(error)) = watched {
            warning!("a control connection cannot be watched: {:?}", error.kind());
            self.table.remove(id);
        }
    }

    fn strangers(&self) -> usize {
        self.table.iter().filter(|(_, entry)| entry.is_stranger).count()
    }

    /// Whether the platform was told to read it, when it looked for what is ready.
    pub(super) fn is_read(&mut self, id: Handle<Controller>) -> bool {
        self.get(id).is_some_and(|entry| entry.interest == Interest::Read)
    }

    /// Takes one request; what cannot be read is for [`Controllers::unreadable`].
    pub(super) fn receive<'b>(
        &mut self,
        id: Handle<Controller>,
        buffer: &'b mut [u8],
    ) -> Result<Asked<'b>, ConnectionError> {
        let Some(entry) = self.get(id).filter(|entry| !entry.is_busy()) else { return Ok(Asked::Nothing) };
        // What comes with a request is closed: no request brings descriptors.
        let mut descriptors = Descriptors::new();
        Ok(match entry.connection.receive(buffer, &mut descriptors)? {
            Incoming::Message { version, message } => entry.on_request(id, version, message),
            Incoming::Nothing => Asked::Nothing,
            Incoming::Closed => Asked::Close,
        })
    }

    /// Refuses a request that could not be read out of this buffer.
    pub(super) fn unreadable(
        &mut self,
        id: Handle<Controller>,
        error: ConnectionError,
        buffer: &[u8],
    ) -> Asked<'static> {
        warning!("a controller sent what is no request: {:?}", error);
        let Some(entry) = self.get(id) else { return Asked::Close };
        let bytes = entry.connection.received(buffer);
        entry.on_unreadable(error, bytes)
    }

    pub(super) fn reply<W: Watch<S>>(&mut self, watch: &mut W, to: Ticket, result: Result<Answer, Refusal>) {
        // Who asked may have gone.
        let Some(entry) = self.get(to.controller) else { return };
        entry.waits = false;
        entry.reply = Some(Message::Reply { sequence: to.sequence, result });
        self.settle(watch, to.controller);
    }

    /// Answers with descriptors.
    pub(super) fn give<W: Watch<S>>(
        &mut self,
        watch: &mut W,
        to: Ticket,
        answer: Answer,
        descriptors: Descriptors<S::Descriptor>,
    ) {
        let Some(entry) = self.get(to.controller) else { return };
        entry.descriptors = descriptors;
        self.reply(watch, to, Ok(answer));
    }

    /// Who is at the other end of a connection.
    pub(super) fn peer(&self, id: Handle<Controller>) -> Option<Peer> {
        self.table.get(entry(id)).map(|entry| entry.peer)
    }

    /// Tells an event of an app to all who watch and may see the app.
    pub(super) fn publish<H>(&mut self, host: &mut H, app: &AppId, event: &Event)
    where
        H: ManagerHost<Control: Listener<Socket = S>>,
    {
        for place in 0..self.table.capacity() {
            let Some(id) = self.table.handle_at(place) else { continue };
            let sees = |entry: &&mut Entry<S>| entry.watches && host.may(&entry.peer, Right::App(app));
            if let Some(observer) = self.table.get_mut(id).filter(sees) {
                observer.publish(event);
                self.settle(host.watch(), Handle::from_parts(id.index(), id.generation()));
            }
        }
    }

    /// Sends what waits, and closes what has ended.
    pub(super) fn settle<W: Watch<S>>(&mut self, watch: &mut W, id: Handle<Controller>) {
        let Some(entry) = self.get(id) else { return };
        let pumped = entry.pump();
        let is_said = entry.ends && !entry.connection.is_blocked();
        if pumped.is_err() || is_said {
            self.close(watch, id);
        }
    }

    /// Watches every connection for what is to come. Only at the end of a turn: what a turn is told is ready was found
    /// with what was watched before it, and is read by that.
    pub(super) fn rewatch<W: Watch<S>>(&mut self, watch: &mut W) {
        for place in 0..self.table.capacity() {
            let Some(id) = self.table.handle_at(place) else { continue };
            let Some(controller) = self.table.get_mut(id) else { continue };
            if rewatch(watch, id, controller).is_err() {
                self.close(watch, Handle::from_parts(id.index(), id.generation()));
            }
        }
    }

    pub(super) fn close<W: Watch<S>>(&mut self, watch: &mut W, id: Handle<Controller>) {
        if let Some(entry) = self.table.remove(entry(id)) {
            debug!("a control connection has ended");
            watch.unwatch(entry.connection.socket());
        }
    }
}

fn rewatch<S: Socket, W: Watch<S>>(watch: &mut W, id: Handle<Entry<S>>, entry: &mut Entry<S>) -> Result<(), W::Error> {
    let wanted = entry.wanted_interest();
    if wanted != entry.interest {
        watch.rewatch(entry.connection.socket(), token(id), wanted)?;
        entry.interest = wanted;
    }
    Ok(())
}

const fn entry<S: Socket>(id: Handle<Controller>) -> Handle<Entry<S>> {
    Handle::from_parts(id.index(), id.generation())
}

const fn token<S: Socket>(id: Handle<Entry<S>>) -> Token {
    Token { kind: kind::CONTROLLER, index: id.index(), generation: id.generation() }
}
