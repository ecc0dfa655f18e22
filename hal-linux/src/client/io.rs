//! The I/O thread: the driver on an event loop.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use greenroom_core::client::{CallId, LostReason, NotTaken, Notification, Outcome};
use greenroom_core::driver::{AnswerDescriptors, ClientDriver, ClientHost};
use greenroom_core::hal::{Connect, Doorbell, ErrorType, Interest, Ready, Token, Watch};
use greenroom_core::limits::{CALLS_MAX, CONNECT_RETRY_INTERVAL};
use greenroom_core::message::SocketPath;
use greenroom_core::message::audio;
use greenroom_core::message::keys::{self, Notice};
use greenroom_core::message::playback::{Answer, Command, Event, SessionId, Text};
use greenroom_core::ring::Producer;
use greenroom_core::trace::NoRecorder;
use tracing::{debug, warn};

use super::ConnectOptions;
use super::audio::{AudioPlayer, Desk, Parts};
use super::error::{CallError, SessionEnd};
use super::event::ClientEvent;
use super::keys::KeySession;
use super::link::{Link, Memory, Order, Reply, Waiter};
use super::session::Session;
use crate::clock::Clock;
use crate::error::LinuxError;
use crate::event_loop::{EventLoop, ReadySources};
use crate::memory::{EventFd, attach_own, attach_peer};
use crate::socket::SeqPacket;

const WAKE: Token = Token { kind: 0, index: 0, generation: 0 };
const CONNECTION: u8 = 1;
/// The name of the first connection, once it is welcomed.
const FIRST: u32 = 1;

/// What the I/O thread owns.
pub(super) struct Io {
    host: Host,
    driver: ClientDriver<SeqPacket>,
    clock: Clock,
    options: ConnectOptions,
}

impl Io {
    /// Everything that can fail for want of a descriptor fails here, on the app's thread.
    pub(super) fn new(path: SocketPath, options: ConnectOptions, link: Arc<Link>) -> Result<Self, LinuxError> {
        let mut events = EventLoop::new()?;
        events.watch(&link.wake, WAKE, Interest::Read)?;
        let waiters = [const { None }; CALLS_MAX];
        let driver = ClientDriver::new(path, CONNECTION, NoRecorder);
        let host = Host { events, link, waiters, connection: FIRST };
        Ok(Self { host, driver, clock: Clock, options })
    }

    /// Runs until the app disconnects or the connection is lost for good.
    pub(super) fn run(mut self) {
        if self.driver.connect(&mut self.host, self.clock.now(), self.options.reconnect_for).is_ok() {
            while self.host.link.given_up().is_none() {
                self.turn();
            }
        }
        self.host.link.close();
    }

    fn turn(&mut self) {
        match self.host.events.wait(self.driver.next_deadline()) {
            Ok(ready) => self.take_in(&ready),
            Err(error) => {
                warn!("the client library cannot go on: {error}");
                self.driver.disconnect(&mut self.host, self.clock.now());
            }
        }
    }

    fn take_in(&mut self, ready: &ReadySources) {
        let now = self.clock.now();
        for ready in ready {
            self.take_ready(*ready);
        }
        if self.driver.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.driver.tick(&mut self.host, now);
        }
        while let Some(order) = self.host.link.next_order() {
            self.carry_out(order);
        }
    }

    fn take_ready(&mut self, ready: Ready) {
        match ready.token.kind {
            CONNECTION => self.driver.ready(&mut self.host, self.clock.now(), ready),
            // A bell of our own that cannot be cleared only rings again.
            _ => drop(self.host.link.wake.clear()),
        }
    }

    fn carry_out(&mut self, order: Order) {
        let now = self.clock.now();
        match order {
            Order::Call { ask, connection, waiter } => {
                let (host, command) = (&mut self.host, ask.command());
                let accepted = match connection {
                    Some(connection) => self.driver.call_on(host, now, connection, command),
                    None => self.driver.call(host, now, command),
                };
                self.host.expect(accepted, waiter);
            }
            Order::Tell { command, connection } => {
                if let Err(refusal) = self.driver.call_on(&mut self.host, now, connection, command) {
                    debug!("{command:?} was not sent: {refusal}");
                }
            }
            Order::Disconnect => self.driver.disconnect(&mut self.host, now),
        }
    }
}

/// The driver's platform: where its actions go.
struct Host {
    events: EventLoop,
    link: Arc<Link>,
    waiters: [Option<(CallId, Waiter)>; CALLS_MAX],
    /// The name of the connection that there is, or was last.
    connection: u32,
}

impl Host {
    /// A call's outcome goes to its waiter; one that was not accepted has had its outcome.
    fn expect(&mut self, accepted: Result<CallId, NotTaken>, waiter: Waiter) {
        match accepted {
            Ok(call) => {
                if let Some(place) = self.waiters.get_mut(usize::from(call.index())) {
                    *place = Some((call, waiter));
                }
            }
            // A waiter that has gone does not matter.
            Err(NotTaken::NotConnected) => drop(waiter.send(Err(CallError::ConnectionLost))),
            Err(refusal) => drop(waiter.send(Err(CallError::NotTaken(refusal)))),
        }
    }

    fn reply(&self, outcome: Outcome, descriptors: AnswerDescriptors<Self>) -> Result<Reply, CallError> {
        match outcome {
            Outcome::Answered(answer) => self.accept(answer, descriptors),
            Outcome::Refused(refusal) => Err(CallError::Refused(refusal)),
            Outcome::TimedOut => Err(CallError::TimedOut),
            Outcome::ConnectionLost => Err(CallError::ConnectionLost),
        }
    }

    /// What an answer brings is taken here, before any event that could end it.
    fn accept(&self, answer: Answer, descriptors: AnswerDescriptors<Self>) -> Result<Reply, CallError> {
        if let Answer::Audio(audio::Answer::Player { .. }) = answer {
            return self.accept_player(answer, descriptors);
        }
        let pair = descriptors.into_array::<2>();
        match (answer, pair) {
            (Answer::SharedMemory { client_bytes, server_bytes }, Ok([client, server])) => {
                let memory = map(client, client_bytes, server, server_bytes);
                self.link.set_memory(memory.map_err(|error| self.give_back(Command::ReleaseSharedMemory, error))?);
            }
            (Answer::Keys(keys::Answer::KeySession { key_session }), _) => {
                return Ok(Reply::KeySession(KeySession::new(Arc::clone(&self.link), key_session, self.connection)));
            }
            (Answer::Session { session }, _) => {
                // The server makes no session in memory that the connection has not leased.
                let memory = self.link.memory().ok_or(CallError::NotTaken(NotTaken::SessionEnded))?;
                return Ok(self.open_session(session, memory));
            }
            (Answer::SessionWithMemory { session, client_bytes, server_bytes }, Ok([client, server])) => {
                let memory = map(client, client_bytes, server, server_bytes);
                let memory = memory.map_err(|error| self.give_back(Command::DestroySession { session }, error))?;
                return Ok(self.open_session(session, memory));
            }
            (Answer::Source { source, ring }, Ok([data, space])) => {
                let (data, space) = (EventFd::attach(data), EventFd::attach(space));
                return Ok(Reply::Source { source, ring, data, space });
            }
            _ => {}
        }
        Ok(Reply::Answer(answer))
    }

    fn open_session(&self, session: SessionId, memory: Memory) -> Reply {
        let stage = self.link.open_stage(session, self.connection, memory);
        Reply::Session(Session::new(Arc::clone(&self.link), stage))
    }

    /// A player whose memory cannot be mapped is destroyed.
    fn accept_player(&self, answer: Answer, descriptors: AnswerDescriptors<Self>) -> Result<Reply, CallError> {
        let Answer::Audio(audio::Answer::Player { player, client_bytes, server_bytes, ring, device, format }) = answer
        else {
            return Ok(Reply::Answer(answer));
        };
        let Ok([client, server, data, space]) = descriptors.into_array::<4>() else { return Ok(Reply::Answer(answer)) };
        let open = || {
            let own = attach_own(client, client_bytes).map_err(CallError::Memory)?;
            let peer = attach_peer(server, server_bytes).map_err(CallError::Memory)?;
            let producer = Producer::new(own, peer, &ring).map_err(CallError::Ring)?;
            Desk::new(player, self.connection, producer).map(Arc::new).map_err(CallError::Memory)
        };
        let desk = open().inspect_err(|_| {
            self.link.tell(self.connection, Command::Audio(audio::Command::Destroy { player }));
        })?;
        self.link.open_desk(&desk);
        let (data, space) = (EventFd::attach(data), EventFd::attach(space));
        let parts = Parts { desk, format, device, data, space };
        Ok(Reply::Player(Box::new(AudioPlayer::new(Arc::clone(&self.link), parts))))
    }

    /// What came with memory that cannot be mapped is given back.
    fn give_back(&self, command: Command<'static>, error: LinuxError) -> CallError {
        self.link.tell(self.connection, command);
        CallError::Memory(error)
    }
}

/// Maps a slot: the region that we write, then the one that the server writes.
fn map(client: OwnedFd, client_bytes: u32, server: OwnedFd, server_bytes: u32) -> Result<Memory, LinuxError> {
    Ok(Memory { own: attach_own(client, client_bytes)?, peer: attach_peer(server, server_bytes)? })
}

impl ErrorType for Host {
    type Error = LinuxError;
}

impl Connect for Host {
    type Socket = SeqPacket;

    /// This may take as long as the next attempt would be away; who calls meanwhile waits no longer than that.
    fn connect(&mut self, path: &str) -> Result<SeqPacket, LinuxError> {
        SeqPacket::connect(Path::new(path), CONNECT_RETRY_INTERVAL)
    }
}

impl Watch<SeqPacket> for Host {
    fn watch(&mut self, source: &SeqPacket, token: Token, interest: Interest) -> Result<(), LinuxError> {
        self.events.watch(source, token, interest)
    }

    fn rewatch(&mut self, source: &SeqPacket, token: Token, interest: Interest) -> Result<(), LinuxError> {
        self.events.rewatch(source, token, interest)
    }

    fn unwatch(&mut self, source: &SeqPacket) {
        self.events.unwatch(source);
    }
}

impl ClientHost for Host {
    fn completed(&mut self, call: CallId, outcome: Outcome, descriptors: AnswerDescriptors<Self>) {
        let reply = self.reply(outcome, descriptors);
        let place = self.waiters.get_mut(usize::from(call.index()));
        if let Some((_, waiter)) = place.and_then(|place| place.take_if(|(id, _)| *id == call)) {
            // A waiter that has gone drops what it was given, and so gives it back.
            let _ = waiter.send(reply);
        }
    }

    fn notified(&mut self, notification: Notification) {
        match notification {
            Notification::Event(Event::PlaybackState { session, state }) => {
                if let Some(stage) = self.link.stage(session) {
                    stage.set_state(state);
                }
            }
            Notification::Event(Event::SessionEnded { session }) => {
                self.link.end_session(session, SessionEnd::Inactive);
            }
            Notification::Event(Event::Audio(event)) => self.link.hear_player(&event),
            Notification::Reconnected { connection } => self.connection = connection,
            _ => {}
        }
        self.link.announce(notification);
    }

    fn keys(&mut self, notice: Notice<'_>) {
        self.link.receivers.tell(&ClientEvent::Keys(notice.into()));
    }

    fn text(&mut self, session: SessionId, text: Text<'_>) {
        self.link.receivers.tell(&ClientEvent::Text { session, text: text.into() });
    }

    fn drop_memory(&mut self, lost: Option<LostReason>) {
        self.link.drop_memory(lost);
    }
}
