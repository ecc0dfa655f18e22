//! In the app: one connection to the session server, the calls that wait for their answer, and what the app holds.
//!
//! How the connection begins, ends and begins again stands at [`ConnectionState`].
//!
//! ```text
//!                  Welcome, or the server says so (SM-29)
//! application:  Unknown <-----------> Inactive <-----------> Running
//! ```
//!
//! The application state is the server's word (SM-24); what the app does about it are two calls. `GetSharedMemory`
//! leases the memory (SM-23); `ReleaseSharedMemory` ends the sessions and gives it back (SM-25). The machine tells the platform
//! to let go of the memory as soon as the app gives it back, the server leaves Active, or the connection ends.
//!
//! A call has one outcome: its answer, a refusal, the end of its time, or the end of the connection (SM-30). An
//! answer that comes later changes nothing; what it would have given the app is given back to the server.

mod audio;
mod call;
mod connection;
mod failure;
mod keys;
mod retry;
#[cfg(test)]
mod tests;

use core::mem::take;
use core::time::Duration;

use heapless::Vec;
use serde::{Deserialize, Serialize};

use audio::Players;
pub use call::{Call, CallId, Outcome};
use call::{CallKind, Caller, UNAWAITED, call_of, sequence_of};
pub use connection::ConnectionState;
pub use failure::{LostReason, NotTaken};
use keys::KeySessions;
use retry::Retry;

use crate::driver::Machine;
use crate::hal::ErrorKind;
use crate::limits::{CALL_TIMEOUT, CALLS_MAX, CODEC_DATA_BYTES_MAX, SESSIONS_MAX};
use crate::message::AppState;
use crate::message::audio::{Answer as AudioAnswer, Command as AudioCommand, PlayerId};
use crate::message::keys::{Answer as KeysAnswer, Command as KeysCommand, KeySessionId};
use crate::message::playback::{Answer, Command, Event, Message, Refusal, Request, SessionId};
use crate::table::Table;
use crate::time::{Instant, earliest};

/// What the machine is told.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Input<'a> {
    /// App: be connected.
    Connect {
        /// A connection that the server's end or its failure has ended is tried again for so long; zero: never.
        reconnect_for: Duration,
    },
    /// Platform: the connection is open.
    Opened,
    /// Platform: the connection could not be opened.
    OpenFailed(ErrorKind),
    /// Peer: a message, with so many descriptors.
    Received {
        /// The message.
        #[serde(borrow)]
        message: Message<'a>,
        /// How many descriptors came with it.
        descriptors: u8,
    },
    /// Peer or platform: the connection is of no more use.
    Broken(LostReason),
    /// App: a call. Any [`Command`] but `Hello`.
    Call(#[serde(borrow)] Command<'a>),
    /// App: end the connection.
    Disconnect,
    /// Time has passed.
    Tick,
}

/// What the machine wants done.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Action {
    /// Let go of the shared memory: nobody may map it any more. With a reason where the connection ended, too.
    DropMemory(Option<LostReason>),
    /// Open the connection; then say [`Input::Opened`] or [`Input::OpenFailed`].
    Open,
    /// Close the connection.
    Close,
    /// Send a request of the machine's own.
    Send(Request<'static>),
    /// Send the command of the [`Input::Call`] that was just handled.
    SendCall {
        /// Which call it has become.
        call: CallId,
        /// The number that its request carries.
        sequence: u32,
    },
    /// Tell the app how a call ended. Descriptors that came with the answer belong to it.
    Complete {
        /// Which call.
        call: CallId,
        /// How.
        outcome: Outcome,
    },
    /// Tell the app what happened.
    Notify(Notification),
    /// Tell the app the text of the [`Input::Received`] that was just handled.
    NotifyText,
    /// Tell the app the notice about keys of the [`Input::Received`] that was just handled.
    NotifyKeys,
}

/// What an app is told beside the outcomes of its calls.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Notification {
    /// The server's word.
    Event(Event),
    /// The connection has ended: every session is gone, and so is the shared memory. [`Self::Reconnected`] or
    /// [`Self::GivenUp`] follows.
    ConnectionLost(LostReason),
    /// There is a connection again, and nothing on it. The application state follows.
    Reconnected {
        /// Its name, as [`Client::connections`] tells it; the first connection's is 1.
        connection: u32,
    },
    /// There is no connection, and none will be tried unless the app asks for one.
    GivenUp(LostReason),
}

/// Whose the shared memory is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Memory {
    #[default]
    None,
    Asked(CallId),
    Leased,
}

/// A message that goes out in this turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Outgoing {
    Hello(CallId),
    Release,
    Destroy(SessionId),
    DestroyPlayer(PlayerId),
    CloseKeys(KeySessionId),
    Pong,
    Given(CallId),
}

/// The client machine. See the [module](self).
#[derive(Debug, Serialize, Deserialize)]
pub struct Client {
    state: ConnectionState,
    retry: Retry,
    connections: u32,
    application: AppState,
    memory: Memory,
    sessions: Vec<SessionId, SESSIONS_MAX>,
    players: Players,
    keys: KeySessions,
    calls: Table<Call, CALLS_MAX>,
    open: bool,
    close: bool,
    drop_memory: bool,
    outgoing: Option<Outgoing>,
    ended: Vec<SessionId, SESSIONS_MAX>,
    event: Option<Event>,
    text: bool,
    keys_notice: bool,
    lost: Option<LostReason>,
    is_reconnected: bool,
    given_up: Option<LostReason>,
    stale: u32,
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// A machine without a connection.
    pub const fn new() -> Self {
        Self {
            state: ConnectionState::Disconnected,
            retry: Retry::new(Duration::ZERO),
            connections: 0,
            application: AppState::Unknown,
            memory: Memory::None,
            sessions: Vec::new(),
            players: Players::new(),
            keys: KeySessions::new(),
            calls: Table::new(),
            open: false,
            close: false,
            drop_memory: false,
            outgoing: None,
            ended: Vec::new(),
            event: None,
            text: false,
            keys_notice: false,
            lost: None,
            is_reconnected: false,
            given_up: None,
            stale: 0,
        }
    }

    /// How far the connection is.
    pub const fn connection(&self) -> ConnectionState {
        self.state
    }

    /// How often the app was welcomed: the name of the connection that there is, or was last.
    pub const fn connections(&self) -> u32 {
        self.connections
    }

    /// The app's state, as the server said last.
    pub const fn application(&self) -> AppState {
        self.application
    }

    /// Whether the app holds shared memory.
    pub fn has_memory(&self) -> bool {
        self.memory == Memory::Leased
    }

    /// Calls that wait for their answer.
    pub const fn calls_waiting(&self) -> u16 {
        self.calls.in_use()
    }

    /// Messages that came too late to mean anything, since the start.
    pub const fn stale(&self) -> u32 {
        self.stale
    }

    /// Everything that needs the memory ends with it.
    fn give_up_memory(&mut self) {
        self.drop_memory |= self.memory == Memory::Leased || self.players.has_any();
        self.memory = Memory::None;
        // Both hold SESSIONS_MAX, and what has ended before was reported before this input.
        let _ = self.ended.extend_from_slice(&self.sessions);
        self.sessions.clear();
        self.players.end_all();
        self.keys.end_all();
    }

    fn enter(&mut self, deadline: Instant, kind: CallKind, caller: Caller) -> Result<CallId, NotTaken> {
        let call = Call { kind, caller, deadline, outcome: None };
        self.calls.insert(call).map_err(|_| NotTaken::TooManyCalls { capacity: self.calls.capacity() })
    }

    fn call(&mut self, now: Instant, command: &Command<'_>) -> Result<(), NotTaken> {
        if command.session().is_some_and(|session| !self.sessions.contains(&session)) {
            return Err(NotTaken::SessionEnded);
        }
        match command {
            Command::Hello => return Err(NotTaken::Reserved),
            Command::GetSharedMemory if self.memory != Memory::None => return Err(NotTaken::HasMemory),
            Command::AttachSource { source, .. } if source.codec_data.len() > CODEC_DATA_BYTES_MAX => {
                // A capacity is at most 65535.
                return Err(NotTaken::CodecDataTooLong { bytes_max: CODEC_DATA_BYTES_MAX as u16 });
            }
            Command::Audio(command) => self.players.check(command)?,
            Command::Keys(command) => self.keys.check(command)?,
            _ => {}
        }
        let call = self.enter(now.after(CALL_TIMEOUT), CallKind::of(command), Caller::App)?;
        match *command {
            Command::GetSharedMemory => self.memory = Memory::Asked(call),
            Command::ReleaseSharedMemory => self.give_up_memory(),
            Command::DestroySession { session } => self.sessions.retain(|known| *known != session),
            Command::Audio(command) => self.players.ask(&command),
            _ => {}
        }
        self.outgoing = Some(Outgoing::Given(call));
        Ok(())
    }

    fn received(&mut self, now: Instant, message: Message<'_>, descriptors: u8) {
        match message {
            Message::Reply { sequence, result } => self.answered(now, call_of(sequence), result, descriptors),
            Message::Event(_) | Message::Text { .. } | Message::Keys(_) if descriptors > 0 => {
                self.give_up(LostReason::Misbehaved)
            }
            Message::Event(event) => self.happened(event),
            Message::Text { session, .. } if self.sessions.contains(&session) => self.text = true,
            Message::Text { .. } => self.came_too_late(),
            Message::Keys(notice) if self.keys.knows(notice.key_session()) => self.keys_notice = true,
            Message::Keys(_) => self.came_too_late(),
        }
    }

    fn answered(&mut self, now: Instant, id: CallId, result: Result<Answer, Refusal>, descriptors: u8) {
        if id == UNAWAITED {
            return;
        }
        let Some(call) = self.calls.get(id) else { return self.answered_late(result) };
        let kind = call.kind;
        let fits = match &result {
            Ok(answer) => kind.is_answered_by(answer, descriptors),
            Err(_) => descriptors == 0,
        };
        if !fits {
            return self.give_up(LostReason::Misbehaved);
        }
        match result {
            Ok(answer) => self.went_well(now, id, answer),
            Err(refusal) => self.was_refused(id, kind, refusal),
        }
    }

    fn went_well(&mut self, now: Instant, id: CallId, answer: Answer) {
        let mut outcome = Outcome::Answered(answer);
        match answer {
            Answer::Welcome { state, .. } => self.welcomed(now, state),
            Answer::SharedMemory { .. } if self.memory == Memory::Asked(id) => {
                self.memory = planted!("memory_not_held", Memory::None, Memory::Leased);
            }
            // The app has given the memory back before it came.
            Answer::SharedMemory { .. } => outcome = Outcome::Refused(Refusal::Interrupted),
            Answer::Session { session } | Answer::SessionWithMemory { session, .. }
                if self.sessions.contains(&session) || self.sessions.push(session).is_err() =>
            {
                return self.give_up(LostReason::Misbehaved);
            }
            Answer::Keys(KeysAnswer::KeySession { key_session }) if !self.keys.add(key_session) => {
                return self.give_up(LostReason::Misbehaved);
            }
            Answer::Audio(AudioAnswer::Player { player, .. }) if !self.players.add(player) => {
                return self.give_up(LostReason::Misbehaved);
            }
            _ => {}
        }
        self.settle(id, outcome);
    }

    fn was_refused(&mut self, id: CallId, kind: CallKind, refusal: Refusal) {
        if kind == CallKind::Hello {
            return self.give_up(LostReason::Refused(refusal));
        }
        if self.memory == Memory::Asked(id) {
            self.memory = Memory::None;
        }
        self.settle(id, Outcome::Refused(refusal));
    }

    fn settle(&mut self, id: CallId, outcome: Outcome) {
        if let Some(call) = self.calls.get_mut(id) {
            call.outcome.get_or_insert(outcome);
        }
    }

    /// Nobody waits any more for what this answer gives, so the server gets it back.
    fn answered_late(&mut self, result: Result<Answer, Refusal>) {
        self.stale = self.stale.saturating_add(1);
        self.outgoing = Some(match result {
            Ok(Answer::Session { session } | Answer::SessionWithMemory { session, .. })
                if !self.sessions.contains(&session) =>
            {
                Outgoing::Destroy(session)
            }
            Ok(Answer::Audio(AudioAnswer::Player { player, .. })) if !self.players.knows(player) => {
                Outgoing::DestroyPlayer(player)
            }
            Ok(Answer::Keys(KeysAnswer::KeySession { key_session })) if !self.keys.knows(key_session) => {
                Outgoing::CloseKeys(key_session)
            }
            Ok(Answer::SharedMemory { .. }) if self.memory == Memory::None => Outgoing::Release,
            _ => return,
        });
    }

    fn happened(&mut self, event: Event) {
        if self.state != ConnectionState::Connected || session_of(&event).is_some_and(|it| !self.sessions.contains(&it))
        {
            self.stale = self.stale.saturating_add(1);
            return;
        }
        match event {
            Event::Keys(event) if !self.keys.hear(&event) => {
                self.stale = self.stale.saturating_add(1);
                return;
            }
            Event::Audio(event) if !self.players.hear(&event) => {
                self.stale = self.stale.saturating_add(1);
                return;
            }
            // The server wants to know whether the library gets on, and not what the app does.
            Event::Ping => {
                self.outgoing = Some(Outgoing::Pong);
                return;
            }
            Event::ApplicationState(state) => self.application_changed(state),
            Event::SessionEnded { session } => self.sessions.retain(|known| *known != session),
            _ => {}
        }
        self.event = Some(event);
    }

    fn application_changed(&mut self, state: AppState) {
        self.application = state;
        if state != AppState::Running {
            self.give_up_memory();
        }
    }

    fn tick_calls(&mut self, now: Instant) {
        let mut unwelcome = false;
        for (id, call) in self.calls.iter_mut().filter(|(_, call)| call.deadline <= now) {
            planted!("reply_lost_on_timeout" => continue);
            call.outcome.get_or_insert(Outcome::TimedOut);
            unwelcome |= call.kind == CallKind::Hello;
            if self.memory == Memory::Asked(id) {
                self.memory = Memory::None;
            }
        }
        if unwelcome {
            self.give_up(LostReason::Silent);
        }
    }

    fn came_too_late(&mut self) {
        self.stale = self.stale.saturating_add(1);
    }

    fn next_send(&mut self) -> Option<Action> {
        let own = |call, command| Action::Send(Request { sequence: sequence_of(call), command });
        Some(match self.outgoing.take()? {
            Outgoing::Hello(call) => own(call, Command::Hello),
            Outgoing::Release => own(UNAWAITED, Command::ReleaseSharedMemory),
            Outgoing::Destroy(session) => own(UNAWAITED, Command::DestroySession { session }),
            Outgoing::CloseKeys(key_session) => own(UNAWAITED, Command::Keys(KeysCommand::Close { key_session })),
            Outgoing::DestroyPlayer(player) => own(UNAWAITED, Command::Audio(AudioCommand::Destroy { player })),
            Outgoing::Pong => own(UNAWAITED, Command::Pong),
            Outgoing::Given(call) => Action::SendCall { call, sequence: sequence_of(call) },
        })
    }

    /// The next outcome that the app is to be told; what the machine asked itself ends silently.
    fn next_completion(&mut self) -> Option<Action> {
        loop {
            let (call, outcome) = self.calls.iter().find_map(|(id, call)| Some((id, call.outcome?)))?;
            if self.calls.remove(call)?.caller == Caller::App {
                return Some(Action::Complete { call, outcome });
            }
        }
    }

    fn next_notification(&mut self) -> Option<Action> {
        let ended = self.ended.pop().map(|session| Notification::Event(Event::SessionEnded { session }));
        ended
            .or_else(|| self.keys.next_ended().map(|event| Notification::Event(Event::Keys(event))))
            .or_else(|| self.players.next_ended().map(|event| Notification::Event(Event::Audio(event))))
            .or_else(|| self.lost.take().map(Notification::ConnectionLost))
            .or_else(|| {
                take(&mut self.is_reconnected).then_some(Notification::Reconnected { connection: self.connections })
            })
            .or_else(|| self.event.take().map(Notification::Event))
            .or_else(|| self.given_up.take().map(Notification::GivenUp))
            .map(Action::Notify)
    }
}

/// The session that an event is about, if it is about one.
fn session_of(event: &Event) -> Option<SessionId> {
    match *event {
        Event::ApplicationState(_) | Event::LogLevels(_) | Event::Audio(_) | Event::Ping | Event::Keys(_) => None,
        Event::PlaybackState { session, .. }
        | Event::FirstFrame { session, .. }
        | Event::Position { session, .. }
        | Event::Failed { session, .. }
        | Event::SessionEnded { session }
        | Event::Underflow { session, .. }
        | Event::QualityOfService { session, .. }
        | Event::PictureSize { session, .. } => Some(session),
    }
}

impl Machine for Client {
    type Input<'a> = Input<'a>;
    type Action = Action;
    type Refusal = NotTaken;

    fn handle(&mut self, now: Instant, input: Input<'_>) -> Result<(), NotTaken> {
        use ConnectionState::{Connected, Connecting, Disconnected, Greeting, GreetingAgain, Reconnecting};
        match (self.state, input) {
            (Disconnected, Input::Connect { reconnect_for }) => self.start_connecting(now, reconnect_for),
            (
                Connecting { .. } | Greeting | Connected | Reconnecting { .. } | GreetingAgain { .. },
                Input::Connect { .. },
            ) => return Err(NotTaken::AlreadyConnected),

            (Connecting { .. }, Input::Opened) => self.greet(now),
            (Reconnecting { deadline, .. }, Input::Opened) => self.greet_again(deadline),
            (Connecting { deadline, .. }, Input::OpenFailed(kind)) => self.opening_failed(now, deadline, kind),
            (Reconnecting { deadline, .. }, Input::OpenFailed(kind)) => {
                self.reconnecting_failed(now, deadline, LostReason::Unreachable(kind));
            }
            (Disconnected | Greeting | Connected | GreetingAgain { .. }, Input::Opened | Input::OpenFailed(_)) => {
                self.came_too_late()
            }

            (Greeting | Connected | GreetingAgain { .. }, Input::Received { message, descriptors }) => {
                self.received(now, message, descriptors);
            }
            (Greeting, Input::Broken(reason)) => self.give_up(reason),
            (Connected, Input::Broken(reason)) => self.lose(now, reason),
            (GreetingAgain { deadline }, Input::Broken(reason)) => self.reconnecting_failed(now, deadline, reason),
            (Disconnected | Connecting { .. } | Reconnecting { .. }, Input::Received { .. } | Input::Broken(_)) => {
                self.came_too_late()
            }

            (Connected, Input::Call(command)) => return self.call(now, &command),
            (
                Disconnected | Connecting { .. } | Greeting | Reconnecting { .. } | GreetingAgain { .. },
                Input::Call(_),
            ) => return Err(NotTaken::NotConnected),

            (
                Connecting { .. } | Greeting | Connected | Reconnecting { .. } | GreetingAgain { .. },
                Input::Disconnect,
            ) => self.give_up(LostReason::Asked),
            (Disconnected, Input::Disconnect) => {}

            (
                Disconnected | Connecting { .. } | Greeting | Connected | Reconnecting { .. } | GreetingAgain { .. },
                Input::Tick,
            ) => self.tick(now),
        }
        Ok(())
    }

    fn poll_action(&mut self) -> Option<Action> {
        if take(&mut self.drop_memory) {
            return Some(Action::DropMemory(self.lost));
        }
        if take(&mut self.close) {
            return Some(Action::Close);
        }
        if take(&mut self.text) {
            return Some(Action::NotifyText);
        }
        if take(&mut self.keys_notice) {
            return Some(Action::NotifyKeys);
        }
        // Who learns that a call failed can see why; and nobody waits for that while another connection is opened.
        let told = self.next_send().or_else(|| self.next_notification()).or_else(|| self.next_completion());
        told.or_else(|| take(&mut self.open).then_some(Action::Open))
    }

    fn next_deadline(&self) -> Option<Instant> {
        let connecting = match self.state {
            ConnectionState::Connecting { deadline, retry_at }
            | ConnectionState::Reconnecting { deadline, retry_at } => earliest(Some(deadline), retry_at),
            ConnectionState::Disconnected
            | ConnectionState::Greeting
            | ConnectionState::GreetingAgain { .. }
            | ConnectionState::Connected => None,
        };
        earliest(connecting, self.calls.iter().map(|(_, call)| call.deadline).min())
    }
}
