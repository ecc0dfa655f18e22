//! Drives the session [`Server`] on any platform: link, listener, clients, shared memory and decoders.

mod carry_out;
mod key_systems;
mod memory;
mod port;

use heapless::Vec;

use self::memory::Slots;
use self::port::Port;
use super::overslept::Overslept;
use super::{Connection, ConnectionError, Incoming, Machine};
use crate::codec::postcard::CodecError;
use crate::fmt::{Said, debug, info, warning};
use crate::hal::{
    Decoder, DecoderEvent, Descriptors, Error, Interest, KeyProvider, Listen, Listener, Peer, Ready, Sent,
    SharedMemory, Socket, Token, Watch,
};
use crate::limits::{CLIENTS_MAX, MESSAGE_BYTES_MAX, MESSAGES_PER_TURN_MAX, SESSIONS_MAX, WEB_AUDIO_PLAYERS_MAX};
use crate::message::link::{Command, Configuration, Request};
use crate::message::playback::{PlaybackError, SourceDescription};
use crate::message::{LogLevels, keys, link, playback};
use crate::ring::RingSource;
use crate::session::{ClientId, Input, NotTaken, Server};
use crate::time::{Instant, earliest};
use crate::trace::{NoRecorder, Recorder, Traced};

/// One more than may be served: the last one is told so.
const PORTS: usize = CLIENTS_MAX + 1;
/// Events of decoders in one turn: some of every session.
const DECODER_EVENTS_PER_TURN_MAX: usize = SESSIONS_MAX * MESSAGES_PER_TURN_MAX;
/// A box without descriptors is not asked for another connection before this: it would say no at once, again and again.
const ACCEPT_RETRY_INTERVAL: core::time::Duration = core::time::Duration::from_millis(100);

const KIND_LINK: u8 = 1;
const KIND_LISTENER: u8 = 2;
const KIND_DECODER: u8 = 3;
const KIND_CLIENT: u8 = 4;
const KIND_KEYS: u8 = 5;

/// Where the decoders of a session server take their frames from.
pub type Frames<M> =
    RingSource<<M as SharedMemory>::PeerRegion, <M as SharedMemory>::OwnRegion, <M as SharedMemory>::Doorbell>;

/// The parts of a platform that a session server needs.
#[derive(Debug)]
pub struct Platform<F, M, D, E> {
    /// Makes its socket.
    pub files: F,
    /// Makes its shared memory.
    pub memory: M,
    /// Its decoders.
    pub decoder: D,
    /// What is ready.
    pub events: E,
}

/// Where a session server lives.
pub trait SessionHost {
    /// A descriptor that is owned.
    type Descriptor;
    /// A connection.
    type Socket: Socket<Descriptor = Self::Descriptor>;
    /// Where clients come in.
    type Listener: Listener<Socket = Self::Socket>;
    /// Makes sockets.
    type Files: Listen<Listener = Self::Listener, Descriptor = Self::Descriptor>;
    /// Makes shared memory. Clones of a region are the same region.
    type Memory: SharedMemory<Descriptor = Self::Descriptor, PeerRegion: Clone, OwnRegion: Clone>;
    /// Decodes.
    type Decoder: Decoder<Frames = Frames<Self::Memory>>;
    /// Its key systems.
    type Keys: KeyProvider;
    /// Watches sockets.
    type Events: Watch<Self::Socket> + Watch<Self::Listener>;

    /// Its parts.
    #[allow(clippy::type_complexity, reason = "four parts are what they are")]
    fn platform(&mut self) -> &mut Platform<Self::Files, Self::Memory, Self::Decoder, Self::Events>;

    /// Its key systems.
    fn keys(&mut self) -> &mut Self::Keys;

    /// The server was configured: which app it is for, and where pictures and sound go.
    fn configured(&mut self, configuration: &Configuration<'_>);

    /// Log from now on as this says (SM-39).
    fn set_log_levels(&mut self, levels: &LogLevels);
}

/// What came with the input that is being handled; an action may refer to it.
#[derive(Clone, Copy)]
enum Given<'a> {
    Nothing,
    Configuration(Configuration<'a>),
    Source(SourceDescription<'a>),
    Keys(keys::Command<'a>),
}

/// The connection to the manager, until it ends.
struct Link<S: Socket> {
    connection: Connection<S>,
    watched: Interest,
}

/// A session server with its connections, its memory and its decoders.
///
/// A listening socket that comes with the configuration is used instead of a new one, so that a replacement serves those
/// who connected to the server before it.
///
/// The host watches its decoders as [`SessionDriver::DECODER`] and its key systems as [`SessionDriver::KEYS`], calls [`Self::start`] once and [`Self::turn`] whenever
/// something is ready or [`Self::next_deadline`] has come, until [`Self::exit_status`] says that all is over.
pub struct SessionDriver<H: SessionHost, R: Recorder = NoRecorder> {
    machine: Traced<Server, R>,
    link: Option<Link<H::Socket>>,
    listener: Option<H::Listener>,
    /// The manager was sent the socket, and answers for its file while it is there.
    is_socket_shared: bool,
    accept_again: Option<Instant>,
    overslept: Overslept,
    arriving: Option<H::Socket>,
    /// The socket of the server that this one replaces; it came with the configuration.
    inherited: Option<H::Descriptor>,
    ports: [Option<Port<H::Socket>>; PORTS],
    slots: Slots<H::Memory>,
    /// What came of an action; handled as soon as the actions are drained. No drain has two actions with an outcome.
    outcome: Option<Input<'static>>,
    /// Commands that a decoder did not take: whose, its token, and why. Each decoder is given one at most in a drain.
    refused: Vec<(u16, u32, PlaybackError), { SESSIONS_MAX + WEB_AUDIO_PLAYERS_MAX }>,
    /// Sessions whose answer could not be made.
    undelivered: Vec<u16, SESSIONS_MAX>,
    is_link_broken: bool,
    /// Whether calls that had to wait may be taken now.
    retries: bool,
    exit_status: Option<u8>,
}

impl<H: SessionHost, R: Recorder> SessionDriver<H, R> {
    /// The token under which the host watches its decoders.
    pub const DECODER: Token = Token { kind: KIND_DECODER, index: 0, generation: 0 };
    /// The token under which the host watches its key systems.
    pub const KEYS: Token = Token { kind: KIND_KEYS, index: 0, generation: 0 };
    const LINK: Token = Token { kind: KIND_LINK, index: 0, generation: 0 };
    const LISTENER: Token = Token { kind: KIND_LISTENER, index: 0, generation: 0 };

    /// A server at this end of the link. It speaks first.
    pub fn new(link: H::Socket, recorder: R) -> Self {
        Self {
            machine: Traced::new(Server::new(), recorder),
            link: Some(Link { connection: Connection::asking(link), watched: Interest::Read }),
            listener: None,
            is_socket_shared: false,
            accept_again: None,
            overslept: Overslept::new(),
            arriving: None,
            inherited: None,
            // One by one: a constant would be copied with all that is behind the `None`s.
            ports: core::array::from_fn(|_| None),
            slots: Slots::new(),
            outcome: None,
            refused: Vec::new(),
            undelivered: Vec::new(),
            is_link_broken: false,
            retries: false,
            exit_status: None,
        }
    }

    /// The machine, to look at.
    pub fn machine(&self) -> &Server {
        &self.machine
    }

    /// What its inputs are recorded by.
    pub fn recorder(&self) -> &R {
        self.machine.recorder()
    }

    /// The status with which the process is to end now, if it is.
    pub fn exit_status(&self) -> Option<u8> {
        self.exit_status
    }

    /// When [`Self::turn`] is due, if time matters now.
    pub fn next_deadline(&self) -> Option<Instant> {
        earliest(self.overslept.wakes_at(self.machine.next_deadline()), self.accept_again)
    }

    /// Says that it is up (SM-05), or that `prepared` went wrong (SM-11).
    pub fn start(&mut self, host: &mut H, now: Instant, prepared: Result<(), crate::hal::ErrorKind>) {
        let watched = self
            .link
            .as_ref()
            .map_or(Ok(()), |link| host.platform().events.watch(link.connection.socket(), Self::LINK, link.watched));
        let watched = watched.map_err(|error| error.kind());
        self.take(host, now, Input::Started(prepared.and(watched)));
        self.rewatch(host, now);
    }

    /// The process was asked to end, not by the manager.
    pub fn terminate(&mut self, host: &mut H, now: Instant) {
        self.take(host, now, Input::Terminate);
        self.rewatch(host, now);
    }

    /// Takes what is ready, lowest token first, and what is due.
    pub fn turn(&mut self, host: &mut H, now: Instant, ready: &[Ready]) {
        for ready in ready {
            if self.exit_status.is_some() {
                return self.machine.settle();
            }
            match ready.token.kind {
                KIND_LINK => self.link_ready(host, now, *ready),
                KIND_LISTENER => self.accept(host, now),
                KIND_DECODER => self.hear_decoders(host, now),
                KIND_CLIENT => self.client_ready(host, now, *ready),
                KIND_KEYS => self.hear_keys(host, now),
                // The host's own.
                _ => {}
            }
        }
        if self.overslept.is_due(now, self.machine.next_deadline()) {
            self.take(host, now, Input::Tick);
            self.retries = true;
        }
        self.retry_calls(host, now);
        self.rewatch(host, now);
    }

    fn link_ready(&mut self, host: &mut H, now: Instant, ready: Ready) {
        let Some(link) = &mut self.link else { return };
        if link.watched == Interest::Write {
            let flushed = if ready.writable { link.connection.flush() } else { Ok(Sent::WouldBlock) };
            match flushed {
                Ok(Sent::Whole) => self.take(host, now, Input::LinkWritable),
                // It is not watched for reading, so this is its end.
                Ok(Sent::WouldBlock) if !ready.readable => {}
                Ok(Sent::WouldBlock) | Err(_) => self.lose_link(host, now),
            }
            return;
        }
        for _ in 0..MESSAGES_PER_TURN_MAX {
            if !self.receive_from_manager(host, now) {
                break;
            }
        }
    }

    /// One message of the manager; whether there may be another.
    fn receive_from_manager(&mut self, host: &mut H, now: Instant) -> bool {
        let Some(link) = self.link.as_mut().filter(|link| !link.connection.is_blocked()) else { return false };
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        let mut descriptors = Descriptors::new();
        match link.connection.receive::<Request<'_>>(&mut buffer, &mut descriptors) {
            Ok(Incoming::Message { message, .. }) => {
                debug!("the manager asks: {:?}", message.command);
                let given = match message.command {
                    Command::SetConfiguration(configuration) => Given::Configuration(configuration),
                    Command::SetState(_) | Command::SetLogLevels(_) | Command::Ping => Given::Nothing,
                };
                self.inherited = descriptors.pop();
                let _ = self.take_with(host, now, Input::Link(message), given);
                // What came with anything but the first configuration is closed.
                self.inherited = None;
                return self.exit_status.is_none();
            }
            Ok(Incoming::Nothing) => {}
            Ok(Incoming::Closed) => self.lose_link(host, now),
            Err(error) => {
                warning!("the manager's message cannot be used: {}", error);
                self.lose_link(host, now);
            }
        }
        false
    }

    fn lose_link(&mut self, host: &mut H, now: Instant) {
        self.drop_link(host);
        self.take(host, now, Input::LinkClosed);
    }

    fn drop_link(&mut self, host: &mut H) {
        if let Some(link) = self.link.take() {
            host.platform().events.unwatch(link.connection.socket());
            warning!("the link to the manager has ended");
        }
    }

    fn accept(&mut self, host: &mut H, now: Instant) {
        for _ in 0..MESSAGES_PER_TURN_MAX {
            let Some(listener) = &mut self.listener else { return };
            match listener.accept() {
                Ok(Some((socket, peer))) => {
                    self.log_arrival(&peer);
                    self.arriving = Some(socket);
                    self.take(host, now, Input::ClientConnected { peer });
                    // Whom the machine did not admit is closed.
                    self.arriving = None;
                }
                Ok(None) => return,
                Err(error) => {
                    warning!("a connection was not accepted, trying again soon: {}", Said(&error));
                    return self.pause_listening(host, now);
                }
            }
        }
    }

    fn log_arrival(&self, peer: &Peer) {
        let Peer { process_id, user_id, .. } = *peer;
        if self.machine.permits(peer) {
            info!("process {} of user {} connected", process_id, user_id);
        } else {
            warning!("process {} of user {} may not connect; see this app's clients", process_id, user_id);
        }
    }

    fn pause_listening(&mut self, host: &mut H, now: Instant) {
        let Some(listener) = &self.listener else { return };
        if host.platform().events.rewatch(listener, Self::LISTENER, Interest::None).is_ok() {
            self.accept_again = Some(now.after(ACCEPT_RETRY_INTERVAL));
        }
    }

    fn hear_decoders(&mut self, host: &mut H, now: Instant) {
        for _ in 0..DECODER_EVENTS_PER_TURN_MAX {
            let Some(event) = host.platform().decoder.next_event() else { return };
            self.take(host, now, Input::Decoder(event));
            self.retries = true;
        }
    }

    fn port(&mut self, client: ClientId) -> Option<&mut Port<H::Socket>> {
        let place = self.ports.get_mut(usize::from(client.index()))?;
        place.as_mut().filter(|port| port.client == client)
    }

    fn client_ready(&mut self, host: &mut H, now: Instant, ready: Ready) {
        let client = ClientId::from_parts(ready.token.index, ready.token.generation);
        let Some(port) = self.port(client) else { return };
        if port.watched == Interest::Read {
            for _ in 0..MESSAGES_PER_TURN_MAX {
                if !self.receive_call(host, now, client) {
                    break;
                }
            }
            return;
        }
        let flushed = if ready.writable { port.connection.flush() } else { Ok(Sent::WouldBlock) };
        match flushed {
            Ok(Sent::Whole) if ready.writable => {
                self.take(host, now, Input::ClientWritable { client });
                self.retries = true;
            }
            // It is not watched for reading, so this is its end.
            Ok(Sent::WouldBlock | Sent::Whole) if !ready.readable => {}
            Ok(Sent::WouldBlock | Sent::Whole) | Err(_) => self.lose_client(host, now, client),
        }
    }

    /// One call of a client; whether there may be another.
    fn receive_call(&mut self, host: &mut H, now: Instant, client: ClientId) -> bool {
        let Some(port) = self.port(client).filter(|port| port.can_read()) else { return false };
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        let mut descriptors = Descriptors::new();
        let is_first = port.version.is_none();
        match port.connection.receive::<playback::Request<'_>>(&mut buffer, &mut descriptors) {
            Ok(Incoming::Message { version, message }) => {
                port.version = port.version.or(version);
                debug!("client {} asks: {:?}", client.index(), message.command);
                self.take_call(host, now, client, &message);
                true
            }
            Ok(Incoming::Nothing) => false,
            Ok(Incoming::Closed) => {
                self.lose_client(host, now, client);
                false
            }
            Err(ConnectionError::Codec(error)) => {
                let is_refused = self.refuse_garbage(host, now, client, &buffer, error);
                if is_first || !is_refused {
                    self.lose_client(host, now, client);
                }
                is_refused && !is_first
            }
            Err(error) => {
                warning!("a client's message cannot be used: {}", error);
                self.lose_client(host, now, client);
                false
            }
        }
    }

    /// SM-35: what cannot be read is refused if its number can be.
    fn refuse_garbage(
        &mut self,
        host: &mut H,
        now: Instant,
        client: ClientId,
        buffer: &[u8],
        error: CodecError,
    ) -> bool {
        warning!("a client sent what is no call: {}", error);
        let Some(port) = self.port(client) else { return false };
        let bytes = port.connection.received(buffer);
        let Some(sequence) = crate::codec::postcard::sequence(bytes, port.version.is_none()) else { return false };
        let refusal = match error {
            CodecError::Version { .. } => {
                let (min, max) = crate::message::VERSIONS;
                playback::Refusal::Version { min, max }
            }
            CodecError::Malformed | CodecError::NoOpening | CodecError::TooLong => playback::Refusal::Malformed,
        };
        let reply = playback::Message::Reply { sequence, result: Err(refusal) };
        let sent = port.connection.send(&reply, Descriptors::new());
        if sent == Ok(Sent::WouldBlock) {
            self.take(host, now, Input::ClientBlocked { client });
        }
        sent.is_ok()
    }

    fn take_call(&mut self, host: &mut H, now: Instant, client: ClientId, request: &playback::Request<'_>) {
        let playback::Request { sequence, command } = *request;
        let given = match command {
            playback::Command::AttachSource { source, .. } => Given::Source(source),
            playback::Command::Keys(command) => Given::Keys(command),
            _ => Given::Nothing,
        };
        let taken = self.take_with(host, now, Input::Call { client, sequence, command }, given);
        if planted!("held_call_lost", false, taken == Err(NotTaken::Later))
            && let Some(port) = self.port(client)
        {
            port.hold(request);
        }
    }

    /// Calls that had to wait are handed in again, each client's one.
    fn retry_calls(&mut self, host: &mut H, now: Instant) {
        if !core::mem::take(&mut self.retries) {
            return;
        }
        for index in 0..PORTS {
            let Some(port) = self.ports.get_mut(index).and_then(Option::as_mut) else { continue };
            let client = port.client;
            let Some(held) = port.take_held() else { continue };
            if let Ok(request) = crate::codec::postcard::decode(&held) {
                self.take_call(host, now, client, &request);
            }
        }
    }

    fn lose_client(&mut self, host: &mut H, now: Instant, client: ClientId) {
        self.drop_port(host, client);
        self.take(host, now, Input::ClientClosed { client });
    }

    fn drop_port(&mut self, host: &mut H, client: ClientId) {
        let Some(place) = self.ports.get_mut(usize::from(client.index())) else { return };
        if let Some(port) = place.take_if(|port| port.client == client) {
            host.platform().events.unwatch(port.connection.socket());
            info!("client {} has gone", client.index());
        }
    }

    /// Handles an input that cannot be refused for a reason that anybody waits for.
    fn take(&mut self, host: &mut H, now: Instant, input: Input<'_>) {
        let _ = self.take_with(host, now, input, Given::Nothing);
    }

    /// Handles an input, carries out the actions, and then handles what came of them.
    fn take_with(&mut self, host: &mut H, now: Instant, input: Input<'_>, given: Given<'_>) -> Result<(), NotTaken> {
        self.machine.handle(now, input)?;
        self.drain(host, now, given);
        while let Some(consequence) = self.next_consequence(host) {
            if self.machine.handle(now, consequence).is_ok() {
                self.drain(host, now, Given::Nothing);
            }
        }
        Ok(())
    }

    fn next_consequence(&mut self, host: &mut H) -> Option<Input<'static>> {
        if let Some(outcome) = self.outcome.take() {
            return Some(outcome);
        }
        if let Some((session, token, error)) = self.refused.pop() {
            return Some(Input::Decoder(DecoderEvent::Completed { session, token, result: Err(error) }));
        }
        if let Some(session) = self.undelivered.pop() {
            return Some(Input::Undelivered { session });
        }
        if core::mem::take(&mut self.is_link_broken) {
            self.drop_link(host);
            return Some(Input::LinkClosed);
        }
        let broken = self.ports.iter().flatten().find(|port| port.is_broken).map(|port| port.client)?;
        self.drop_port(host, broken);
        Some(Input::ClientClosed { client: broken })
    }

    /// Watches every connection for what is wanted of it now. Only here, at the end of a turn: what a turn is told is
    /// ready was found with what was watched before it.
    fn rewatch(&mut self, host: &mut H, now: Instant) {
        self.rewatch_link(host, now);
        let mut lost = Vec::<ClientId, PORTS>::new();
        for port in self.ports.iter_mut().flatten() {
            if port.rewatch(&mut host.platform().events).is_err() {
                // There are as many places as ports.
                let _ = lost.push(port.client);
            }
        }
        for client in lost {
            self.lose_client(host, now, client);
        }
        if self.accept_again.take_if(|again| *again <= now).is_some()
            && let Some(listener) = &self.listener
            && host.platform().events.rewatch(listener, Self::LISTENER, Interest::Read).is_err()
        {
            self.accept_again = Some(now.after(ACCEPT_RETRY_INTERVAL));
        }
        self.machine.settle();
    }

    fn rewatch_link(&mut self, host: &mut H, now: Instant) {
        let Some(link) = &mut self.link else { return };
        let wanted = link.connection.interest();
        if wanted == link.watched {
            return;
        }
        match host.platform().events.rewatch(link.connection.socket(), Self::LINK, wanted) {
            Ok(()) => link.watched = wanted,
            Err(_) => self.lose_link(host, now),
        }
    }

    fn send_to_manager(&mut self, now: Instant, message: &link::Message, descriptors: Descriptors<H::Descriptor>) {
        let Some(link) = &mut self.link else { return };
        match link.connection.send(message, descriptors) {
            Ok(Sent::Whole) => {}
            // What it stops is the next action, so it is said at once.
            Ok(Sent::WouldBlock) => {
                let _ = self.machine.handle(now, Input::LinkBlocked);
            }
            Err(_) => self.is_link_broken = true,
        }
    }

    fn send_to_client(
        &mut self,
        now: Instant,
        client: ClientId,
        message: &playback::Message<'_>,
        descriptors: Descriptors<H::Descriptor>,
    ) {
        let Some(port) = self.port(client) else { return };
        match port.connection.send(message, descriptors) {
            Ok(Sent::Whole) => {}
            Ok(Sent::WouldBlock) => {
                let _ = self.machine.handle(now, Input::ClientBlocked { client });
            }
            Err(_) => port.is_broken = true,
        }
    }
}
