//! Drives the [`Client`] machine over one connection, on any platform.

use core::mem::take;
use core::time::Duration;

use super::overslept::Overslept;
use super::{Connection, ConnectionError, Incoming, Machine};
use crate::client::{Action, CallId, Client, Input, LostReason, NotTaken, Notification, Outcome};
use crate::hal::{Connect, Descriptors, Error, ErrorKind, Interest, Ready, Sent, Socket, Token, Watch};
use crate::limits::{MESSAGE_BYTES_MAX, MESSAGES_PER_TURN_MAX};
use crate::message::SocketPath;
use crate::message::audio;
use crate::message::keys::Notice;
use crate::message::playback::{Answer, Command, Message, Request, SessionId, Text};
use crate::time::Instant;
use crate::trace::{NoRecorder, Recorder, Traced};

/// Descriptors that came with an answer.
pub type AnswerDescriptors<H> = Descriptors<<<H as Connect>::Socket as Socket>::Descriptor>;

/// Where a client lives: it opens and watches the connection, and hears what comes of it.
pub trait ClientHost: Connect + Watch<<Self as Connect>::Socket> {
    /// A call ended. Exactly once for every call that [`ClientDriver::call`] took, and never from within it.
    fn completed(&mut self, call: CallId, outcome: Outcome, descriptors: AnswerDescriptors<Self>);

    /// Something happened.
    fn notified(&mut self, notification: Notification);

    /// A text is due.
    fn text(&mut self, session: SessionId, text: Text<'_>);

    /// A key session says something that is long.
    fn keys(&mut self, notice: Notice<'_>);

    /// The shared memory is not the app's any more; its mapping goes away as soon as nobody writes to it. With a reason
    /// where the connection ended, too.
    fn drop_memory(&mut self, lost: Option<LostReason>);
}

/// One client machine with its connection.
///
/// The host calls [`Self::ready`] when the connection's token is ready and [`Self::tick`] at [`Self::next_deadline`].
pub struct ClientDriver<S: Socket, R: Recorder = NoRecorder> {
    machine: Traced<Client, R>,
    path: SocketPath,
    kind: u8,
    connection: Option<Connection<S>>,
    /// Which connection it is: readiness of an earlier one is stale.
    generation: u16,
    interest: Interest,
    /// What the last turn's actions came to; it is handled before anything else.
    follow_up: Option<Input<'static>>,
    overslept: Overslept,
}

impl<S: Socket, R: Recorder> ClientDriver<S, R> {
    /// A client of the session server at `path`, without a connection. Its tokens are of this `kind`.
    pub fn new(path: SocketPath, kind: u8, recorder: R) -> Self {
        Self {
            machine: Traced::new(Client::new(), recorder),
            path,
            kind,
            connection: None,
            generation: 0,
            interest: Interest::Read,
            follow_up: None,
            overslept: Overslept::new(),
        }
    }

    /// The machine, to look at.
    pub fn machine(&self) -> &Client {
        &self.machine
    }

    /// What its inputs are recorded by.
    pub fn recorder(&self) -> &R {
        self.machine.recorder()
    }

    /// Starts to connect. Notifications tell how it went. A connection that ends because the server has gone is made again
    /// within `reconnect_for` (SM-36); zero is never.
    pub fn connect<H: ClientHost<Socket = S>>(
        &mut self,
        host: &mut H,
        now: Instant,
        reconnect_for: Duration,
    ) -> Result<(), NotTaken> {
        self.handle(host, now, Input::Connect { reconnect_for })?;
        self.settle(host, now);
        Ok(())
    }

    /// Ends the connection.
    pub fn disconnect<H: ClientHost<Socket = S>>(&mut self, host: &mut H, now: Instant) {
        let _ = self.handle(host, now, Input::Disconnect);
    }

    /// Makes a call; [`ClientHost::completed`] tells how it ended.
    pub fn call<H: ClientHost<Socket = S>>(
        &mut self,
        host: &mut H,
        now: Instant,
        command: Command<'_>,
    ) -> Result<CallId, NotTaken> {
        if self.connection.as_ref().is_some_and(Connection::is_blocked) {
            return Err(NotTaken::Congested);
        }
        let call = self.handle(host, now, Input::Call(command))?;
        call.ok_or(NotTaken::NotConnected)
    }

    /// Makes a call about something of this connection, named by [`Client::connections`]; it is refused on any other. A server
    /// that was restarted may give a session the number that one of its predecessor had.
    pub fn call_on<H: ClientHost<Socket = S>>(
        &mut self,
        host: &mut H,
        now: Instant,
        connection: u32,
        command: Command<'_>,
    ) -> Result<CallId, NotTaken> {
        if connection != self.machine.connections() {
            return Err(NotTaken::SessionEnded);
        }
        self.call(host, now, command)
    }

    /// The connection is ready: takes at most [`MESSAGES_PER_TURN_MAX`] messages.
    pub fn ready<H: ClientHost<Socket = S>>(&mut self, host: &mut H, now: Instant, ready: Ready) {
        self.settle(host, now);
        if ready.token != self.token() {
            return;
        }
        if ready.writable {
            self.flush(host, now);
        }
        let mut turns = 0..MESSAGES_PER_TURN_MAX;
        while ready.readable && turns.next().is_some() && self.receive(host, now) {}
    }

    /// Time has passed.
    pub fn tick<H: ClientHost<Socket = S>>(&mut self, host: &mut H, now: Instant) {
        self.settle(host, now);
        if self.overslept.is_due(now, self.machine.next_deadline()) {
            let _ = self.handle(host, now, Input::Tick);
            self.settle(host, now);
        }
    }

    /// When [`Self::tick`] is due, if time matters now.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.follow_up.is_some() {
            return Some(Instant::default());
        }
        self.overslept.wakes_at(self.machine.next_deadline())
    }

    fn token(&self) -> Token {
        Token { kind: self.kind, index: 0, generation: self.generation }
    }

    /// Handles what the last actions came to, until nothing follows. It ends because every turn gets closer to
    /// Disconnected or Connected, and only the first attempt after a loss is immediate.
    fn settle<H: ClientHost<Socket = S>>(&mut self, host: &mut H, now: Instant) {
        while let Some(input) = self.follow_up.take() {
            let _ = self.handle(host, now, input);
        }
    }

    /// Hands the machine one input without descriptors and carries out its actions.
    fn handle<H: ClientHost<Socket = S>>(
        &mut self,
        host: &mut H,
        now: Instant,
        input: Input<'_>,
    ) -> Result<Option<CallId>, NotTaken> {
        self.handle_with(host, now, input, Descriptors::new())
    }

    fn handle_with<H: ClientHost<Socket = S>>(
        &mut self,
        host: &mut H,
        now: Instant,
        input: Input<'_>,
        mut descriptors: AnswerDescriptors<H>,
    ) -> Result<Option<CallId>, NotTaken> {
        self.machine.handle(now, input)?;
        let mut accepted = None;
        while let Some(action) = self.machine.poll_action() {
            match action {
                Action::DropMemory(lost) => host.drop_memory(lost),
                Action::Open => self.open(host),
                Action::Close => self.close(host),
                Action::Send(request) => self.send(host, &request),
                Action::SendCall { call, sequence } => {
                    accepted = Some(call);
                    if let Input::Call(command) = input {
                        self.send(host, &Request { sequence, command });
                    }
                }
                Action::Complete { call, outcome } => {
                    let theirs = if brings_descriptors(&outcome) { take(&mut descriptors) } else { Descriptors::new() };
                    host.completed(call, outcome, theirs);
                }
                Action::Notify(notification) => host.notified(notification),
                Action::NotifyKeys => {
                    if let Input::Received { message: Message::Keys(notice), .. } = input {
                        host.keys(notice);
                    }
                }
                Action::NotifyText => {
                    if let Input::Received { message: Message::Text { session, text }, .. } = input {
                        host.text(session, text);
                    }
                }
            }
        }
        self.machine.settle();
        Ok(accepted)
    }

    fn open<H: ClientHost<Socket = S>>(&mut self, host: &mut H) {
        self.generation = self.generation.wrapping_add(1);
        let opened = host.connect(&self.path).and_then(|socket| {
            host.watch(&socket, self.token(), Interest::Read)?;
            Ok(socket)
        });
        self.follow_up = Some(match opened {
            Ok(socket) => {
                self.interest = Interest::Read;
                self.connection = Some(Connection::asking(socket));
                Input::Opened
            }
            Err(error) => Input::OpenFailed(error.kind()),
        });
    }

    fn close<H: ClientHost<Socket = S>>(&mut self, host: &mut H) {
        if let Some(connection) = self.connection.take() {
            host.unwatch(connection.socket());
        }
    }

    fn send<H: ClientHost<Socket = S>>(&mut self, host: &mut H, request: &Request<'_>) {
        let Some(connection) = &mut self.connection else { return };
        match connection.send(request, Descriptors::new()) {
            Ok(Sent::Whole | Sent::WouldBlock) => self.rewatch(host),
            // What waits proves to the server that we get on as soon as it goes out.
            Err(ConnectionError::Blocked) if matches!(request.command, Command::Pong) => {}
            Err(error) => self.follow_up = Some(Input::Broken(lost_reason(error))),
        }
    }

    fn flush<H: ClientHost<Socket = S>>(&mut self, host: &mut H, now: Instant) {
        let Some(connection) = &mut self.connection else { return };
        match connection.flush() {
            Ok(Sent::Whole | Sent::WouldBlock) => self.rewatch(host),
            Err(error) => self.follow_up = Some(Input::Broken(lost_reason(error))),
        }
        self.settle(host, now);
    }

    /// Unlike a server, a client reads also while a message waits: otherwise the two could wait for each other.
    fn rewatch<H: ClientHost<Socket = S>>(&mut self, host: &mut H) {
        let Some(connection) = &self.connection else { return };
        let wanted = if connection.is_blocked() { Interest::ReadWrite } else { Interest::Read };
        if wanted == self.interest {
            return;
        }
        match host.rewatch(connection.socket(), self.token(), wanted) {
            Ok(()) => self.interest = wanted,
            Err(error) => self.follow_up = Some(Input::Broken(LostReason::Socket(error.kind()))),
        }
    }

    /// Takes one message; whether there may be another.
    fn receive<H: ClientHost<Socket = S>>(&mut self, host: &mut H, now: Instant) -> bool {
        let Some(connection) = &mut self.connection else { return false };
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        let mut descriptors = Descriptors::new();
        let input = match connection.receive(&mut buffer, &mut descriptors) {
            Ok(Incoming::Message { message, .. }) => {
                // DESCRIPTORS_MAX is far below 255.
                Input::Received { message, descriptors: descriptors.len() as u8 }
            }
            Ok(Incoming::Nothing) => return false,
            Ok(Incoming::Closed) => Input::Broken(LostReason::Closed),
            Err(error) => Input::Broken(lost_reason(error)),
        };
        let _ = self.handle_with(host, now, input, descriptors);
        self.settle(host, now);
        true
    }
}

const fn brings_descriptors(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Answered(
            Answer::SharedMemory { .. }
                | Answer::Source { .. }
                | Answer::SessionWithMemory { .. }
                | Answer::Audio(audio::Answer::Player { .. })
        )
    )
}

const fn lost_reason(error: ConnectionError) -> LostReason {
    match error {
        ConnectionError::Codec(_) | ConnectionError::Unusable => LostReason::Misbehaved,
        ConnectionError::Blocked => LostReason::Socket(ErrorKind::Exhausted),
        ConnectionError::Socket(ErrorKind::Gone) => LostReason::Closed,
        ConnectionError::Socket(kind) => LostReason::Socket(kind),
    }
}
