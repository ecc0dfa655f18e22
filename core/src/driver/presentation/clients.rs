//! The local clients' connections.

use super::touched::Touched;
use super::{Given, KIND_CLIENT, PresentationDriver, PresentationHost};
use crate::codec::postcard::{self, CodecError};
use crate::fmt::{Said, debug, info, warning};
use crate::hal::{Descriptors, Interest, Listener, Peer, Ready, Received, Sent, Socket, Token, Watch};
use crate::limits::{
    GREETING_TIMEOUT, MESSAGES_PER_TURN_MAX, PRESENTER_BACKLOG_BYTES_MAX, PRESENTER_MESSAGE_BYTES_MAX, PRESENTERS_MAX,
};
use crate::message::presentation::{Command, Event, Message, PresentationId, Refusal, Request};
use crate::presentation::service::{Access, ClientHandle, Input, Ticket};
use crate::table::deadlines::Deadlines;
use crate::table::{Handle, Table};
use crate::time::Instant;
use crate::transport::buffer::Buffer;

/// Bytes of a message's length, where it waits.
const LENGTH_BYTES: usize = 4;

/// One connection of a client, and what waits for it.
pub(super) struct ClientPort<H: PresentationHost> {
    socket: H::Socket,
    access: Access,
    /// It is told what devices are to be chosen.
    chooses: bool,
    /// It has said which versions it speaks.
    is_greeted: bool,
    is_broken: bool,
    /// Messages with their lengths; there only while some wait.
    waiting: Option<Buffer<H::Buffer>>,
    watched: Interest,
}

impl<H: PresentationHost> ClientPort<H> {
    const fn wanted(&self) -> Interest {
        if self.waiting.is_some() { Interest::Write } else { Interest::Read }
    }

    /// `false` when it has let too much wait, or there is no memory.
    fn keep(&mut self, host: &mut H, bytes: &[u8]) -> bool {
        if self.waiting.is_none() {
            self.waiting = host.lend(PRESENTER_BACKLOG_BYTES_MAX).map(Buffer::new);
        }
        let Some(waiting) = &mut self.waiting else { return false };
        let written = waiting.fill_with(0, |room| write_message(room, bytes).ok_or(()));
        written.is_ok()
    }

    /// Sends what waits, as far as it can be sent now.
    fn flush(&mut self) -> Result<(), <H::Socket as crate::hal::ErrorType>::Error> {
        while let Some(waiting) = &mut self.waiting {
            let Some(message) = first_message(waiting.filled()) else {
                self.waiting = None;
                return Ok(());
            };
            let bytes = message.len().saturating_add(LENGTH_BYTES);
            match self.socket.send(message, &[])? {
                Sent::Whole => waiting.consume(bytes),
                Sent::WouldBlock => return Ok(()),
            }
        }
        Ok(())
    }
}

fn write_message(room: &mut [u8], bytes: &[u8]) -> Option<usize> {
    let length = u32::try_from(bytes.len()).ok()?;
    let (head, rest) = room.split_at_mut_checked(LENGTH_BYTES)?;
    rest.get_mut(..bytes.len())?.copy_from_slice(bytes);
    head.copy_from_slice(&length.to_le_bytes());
    LENGTH_BYTES.checked_add(bytes.len())
}

fn first_message(waiting: &[u8]) -> Option<&[u8]> {
    let (length, rest) = waiting.split_first_chunk::<LENGTH_BYTES>()?;
    rest.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)
}

/// All of them.
pub(super) struct Clients<H: PresentationHost> {
    ports: Table<ClientPort<H>, PRESENTERS_MAX>,
    pub(super) touched: Touched<PRESENTERS_MAX>,
    /// Who has not said a word by then goes.
    pub(super) deadlines: Deadlines<PRESENTERS_MAX>,
    /// Where a message is received. It is out while it is looked at.
    incoming: Option<H::Buffer>,
    /// Where a message is written. It is out while it is sent.
    outgoing: Option<H::Buffer>,
}

impl<H: PresentationHost> Clients<H> {
    /// `None` when there is no memory.
    pub(super) fn new(host: &mut H) -> Option<Self> {
        let (incoming, outgoing) = (host.lend(PRESENTER_MESSAGE_BYTES_MAX)?, host.lend(PRESENTER_MESSAGE_BYTES_MAX)?);
        Some(Self {
            ports: Table::new(),
            touched: Touched::new(),
            deadlines: Deadlines::new(),
            incoming: Some(incoming),
            outgoing: Some(outgoing),
        })
    }

    fn port(&mut self, client: ClientHandle) -> Option<&mut ClientPort<H>> {
        self.ports.get_mut(Handle::from_parts(client.index(), client.generation()))
    }

    fn at(&self, place: u16) -> Option<ClientHandle> {
        self.ports.handle_at(place).map(|handle| Handle::from_parts(handle.index(), handle.generation()))
    }

    /// Whether messages of a presentation can be given to it now.
    pub(super) fn is_free(&self, client: ClientHandle) -> bool {
        let port = self.ports.get(Handle::from_parts(client.index(), client.generation()));
        port.is_some_and(|port| port.waiting.is_none() && !port.is_broken)
    }

    /// The client at a place, if it chooses devices.
    pub(super) fn chooser_at(&self, place: u16) -> Option<ClientHandle> {
        let handle = self.ports.handle_at(place)?;
        self.ports.get(handle).filter(|port| port.chooses)?;
        self.at(place)
    }

    /// Sends a message now or, in order, when the client can take it. One that lets too much wait is given up.
    pub(super) fn send(&mut self, host: &mut H, client: ClientHandle, message: &Message<'_>) {
        let Some(mut buffer) = self.outgoing.take() else { return };
        match postcard::encode(message, buffer.as_mut()) {
            Ok(bytes) => self.send_bytes(host, client, bytes),
            Err(error) => warning!("a client is not told something: {}", error),
        }
        self.outgoing = Some(buffer);
    }

    fn send_bytes(&mut self, host: &mut H, client: ClientHandle, bytes: &[u8]) {
        let Some(port) = self.port(client).filter(|port| !port.is_broken) else { return };
        let sent = if port.waiting.is_some() { Ok(Sent::WouldBlock) } else { port.socket.send(bytes, &[]) };
        port.is_broken = match sent {
            Ok(Sent::Whole) => false,
            Ok(Sent::WouldBlock) => !port.keep(host, bytes),
            Err(_) => true,
        };
        self.touched.add(client.index());
    }

    fn remove(&mut self, host: &mut H, client: ClientHandle) {
        self.deadlines.set(client.index(), None);
        if let Some(port) = self.ports.remove(Handle::from_parts(client.index(), client.generation())) {
            host.platform().events.unwatch(&port.socket);
            info!("client {} has gone", client.index());
        }
    }
}

const fn token(client: ClientHandle) -> Token {
    Token { kind: KIND_CLIENT, index: client.index(), generation: client.generation() }
}

impl<H: PresentationHost> PresentationDriver<H> {
    pub(super) fn accept_clients(&mut self, host: &mut H, now: Instant) {
        for _ in 0..MESSAGES_PER_TURN_MAX {
            match self.presenters.accept() {
                Ok(Some((socket, peer))) => self.admit_client(host, now, socket, &peer),
                Ok(None) => return,
                Err(error) => {
                    warning!("a client was not accepted, trying again soon: {}", Said(&error));
                    return self.pause_accepting(now);
                }
            }
        }
    }

    fn admit_client(&mut self, host: &mut H, now: Instant, socket: H::Socket, peer: &Peer) {
        let Some(access) = host.access(peer) else {
            return warning!("process {} of user {} may not connect", peer.process_id, peer.user_id);
        };
        let port = ClientPort {
            socket,
            access,
            chooses: false,
            is_greeted: false,
            is_broken: false,
            waiting: None,
            watched: Interest::Read,
        };
        let Ok(handle) = self.clients.ports.insert(port) else {
            return warning!("{} clients are connected; another one is sent away", PRESENTERS_MAX);
        };
        let client = ClientHandle::from_parts(handle.index(), handle.generation());
        let Some(port) = self.clients.port(client) else { return };
        let is_watched = host.platform().events.watch(&port.socket, token(client), Interest::Read).is_ok();
        if !is_watched || self.take_with(host, now, Input::ClientJoined { client, access }, Given::Nothing).is_err() {
            return self.clients.remove(host, client);
        }
        info!("process {} of user {} connected as client {}", peer.process_id, peer.user_id, client.index());
        let limit = planted!("silent_client_kept", None, Some(now.after(GREETING_TIMEOUT)));
        self.clients.deadlines.set(client.index(), limit);
    }

    pub(super) fn client_ready(&mut self, host: &mut H, now: Instant, ready: Ready) {
        let client = ClientHandle::from_parts(ready.token.index, ready.token.generation);
        let Some(port) = self.clients.port(client) else { return };
        if port.watched == Interest::Read {
            for _ in 0..MESSAGES_PER_TURN_MAX {
                if !self.receive_request(host, now, client) {
                    return;
                }
            }
            return;
        }
        // It is not watched for reading, so readable is its end.
        if ready.readable || port.flush().is_err() {
            return self.lose_client(host, now, client);
        }
        self.clients.touched.add(client.index());
        if self.clients.is_free(client) {
            self.touch_transports_of(client);
        }
    }

    /// One request of a client; whether there may be another.
    fn receive_request(&mut self, host: &mut H, now: Instant, client: ClientHandle) -> bool {
        let Some(mut buffer) = self.clients.incoming.take() else { return false };
        let may_be_more = self.receive_into(host, now, client, buffer.as_mut());
        self.clients.incoming = Some(buffer);
        may_be_more
    }

    fn receive_into(&mut self, host: &mut H, now: Instant, client: ClientHandle, buffer: &mut [u8]) -> bool {
        let free = self.clients.port(client).filter(|port| port.waiting.is_none() && !port.is_broken);
        let Some(port) = free else { return false };
        let mut descriptors = Descriptors::new();
        let bytes = match port.socket.receive(buffer, &mut descriptors) {
            Ok(Received::Message { bytes }) => buffer.get(..bytes).unwrap_or_default(),
            Ok(Received::WouldBlock) => return false,
            Ok(Received::Closed | Received::Unusable) | Err(_) => {
                self.lose_client(host, now, client);
                return false;
            }
        };
        let is_first = !core::mem::replace(&mut port.is_greeted, true);
        let request = if is_first {
            postcard::decode_first::<Request<'_>>(bytes).map(|(_, request)| request)
        } else {
            postcard::decode::<Request<'_>>(bytes)
        };
        match request {
            Ok(request) => {
                self.clients.deadlines.set(client.index(), None);
                self.take_request(host, now, client, request);
                true
            }
            Err(error) => self.refuse_garbage(host, now, client, postcard::sequence(bytes, is_first), is_first, error),
        }
    }

    /// What cannot be read is refused if its number can be; who begins with it is no client.
    fn refuse_garbage(
        &mut self,
        host: &mut H,
        now: Instant,
        client: ClientHandle,
        sequence: Option<u32>,
        is_first: bool,
        error: CodecError,
    ) -> bool {
        warning!("client {} sent what is no request: {}", client.index(), error);
        if let Some(sequence) = sequence {
            self.clients.send(host, client, &Message::Reply { sequence, result: Err(Refusal::Malformed) });
        }
        let goes_on = sequence.is_some() && !is_first;
        if !goes_on {
            self.lose_client(host, now, client);
        }
        goes_on
    }

    fn take_request(&mut self, host: &mut H, now: Instant, client: ClientHandle, request: Request<'_>) {
        let name: PresentationId;
        let Request { sequence, mut command } = request;
        debug!("client {} asks", client.index());
        let given = match &command {
            Command::Send { payload, .. } => Given::Payload(*payload),
            Command::Built { piece, .. } => Given::Piece(*piece),
            _ => Given::Nothing,
        };
        if let Command::Start { presentation_id, .. } = &mut command
            && presentation_id.is_empty()
        {
            name = self.new_name(host);
            *presentation_id = &name;
        }
        let watches = matches!(command, Command::WatchSelections);
        let _ = self.take_with(host, now, Input::Request { from: Ticket { client, sequence }, command }, given);
        if watches {
            self.begin_to_choose(host, client);
        }
    }

    fn begin_to_choose(&mut self, host: &mut H, client: ClientHandle) {
        let Some(port) = self.clients.port(client).filter(|port| port.access == Access::Platform) else { return };
        port.chooses = true;
        for (selection, origin, urls) in self.machine.selections() {
            let event = Event::SelectionAsked { selection: selection.into(), origin, urls };
            self.clients.send(host, client, &Message::Event(event));
        }
    }

    pub(super) fn lose_client(&mut self, host: &mut H, now: Instant, client: ClientHandle) {
        self.clients.remove(host, client);
        self.take(host, now, Input::ClientLeft { client });
    }

    pub(super) fn lose_silent_clients(&mut self, host: &mut H, now: Instant) {
        while let Some(place) = self.clients.deadlines.take_due(now) {
            if let Some(client) = self.clients.at(place) {
                warning!("client {} has connected and says nothing", client.index());
                self.lose_client(host, now, client);
            }
        }
    }

    /// Watches a client for what is wanted of it now, or gives it up.
    pub(super) fn settle_client(&mut self, host: &mut H, now: Instant, place: u16) {
        let Some(client) = self.clients.at(place) else { return };
        let Some(port) = self.clients.port(client) else { return };
        let wanted = port.wanted();
        let mut is_lost = port.is_broken;
        if !is_lost && wanted != port.watched {
            is_lost = host.platform().events.rewatch(&port.socket, token(client), wanted).is_err();
            port.watched = wanted;
        }
        if is_lost {
            self.lose_client(host, now, client);
        }
    }
}
