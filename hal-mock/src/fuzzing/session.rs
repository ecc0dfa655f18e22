//! Operations on a session server's machine, against a platform and clients that are counted outside of it.

pub(in crate::fuzzing) mod deed;
pub(in crate::fuzzing) mod known;
mod model;

use std::time::Duration;

use greenroom_core::codec::postcard::{decode, encode};
use greenroom_core::driver::Machine;
use greenroom_core::hal::{DecoderEvent, ErrorKind, KeyEvent, Peer};
use greenroom_core::health::HealthCheck;
use greenroom_core::message::keys::KeyError;
use greenroom_core::message::link::{self, Configuration};
use greenroom_core::message::playback::PlaybackError;
use greenroom_core::message::{Allowed, Ids, LogLevels, Resources, TargetState};
use greenroom_core::session::{Action, ClientId, Input, NotTaken, Server};
use greenroom_core::time::Instant;

use self::deed::{Call, ClientDeed, DecoderDeed, Failure, KeyDeed, LinkDeed, Operation};
use self::model::Model;
use super::steps::steps;

/// Actions that one input can lead to at most, with much to spare.
const ACTIONS_MAX: usize = 256;
/// Rounds of everybody doing what is due until nobody waits for anything, with much to spare.
const ROUNDS_MAX: usize = 64;
/// Bytes of a server when it is written down.
const WRITTEN_BYTES_MAX: usize = 32 * 1024;
const STRANGER: u32 = 1001;

fn configuration(state: TargetState, shares: u8, choices: u8) -> Configuration<'static> {
    let resources = Resources {
        max_playback_sessions: shares % 4,
        max_web_audio_players: shares / 4 % 3,
        max_key_sessions: shares / 16 % 3,
    };
    let users = if choices & 1 == 0 { Ids::NONE } else { Ids::first_of(&[1000]) };
    let check = HealthCheck { interval_ms: 500, failures_max: 2 };
    Configuration {
        app: "app1",
        socket: if choices & 32 == 0 { "/run/app1" } else { "no path" },
        socket_mode: 0o660,
        socket_owner: "",
        socket_group: "video",
        state,
        resources,
        log_levels: LogLevels::default(),
        video_sink: "fake",
        audio_sink: "fake",
        clients: Allowed { users, groups: Ids::NONE },
        health: if choices & 2 == 0 { HealthCheck::OFF } else { check },
    }
}

/// What the platform is to answer next.
#[derive(Debug, Default)]
struct Failures {
    bind: Option<ErrorKind>,
    memory: bool,
    decoder: bool,
    keys: bool,
    delivery: bool,
    blocks_client: bool,
    blocks_link: bool,
}

/// The machine, and all that is around it.
struct Comparison {
    server: Server,
    model: Model,
    now: Instant,
    sequence: u32,
    failures: Failures,
}

impl Comparison {
    /// Made where it stays: a server has room for the most that there may be of everything.
    fn new() -> Box<Self> {
        let (now, failures) = (Instant::from_millis(1000), Failures::default());
        let place = Box::new_uninit();
        let comparison = Self { server: Server::new(), model: Model::default(), now, sequence: 0, failures };
        let mut comparison = Box::write(place, comparison);
        let _ = comparison.give(Input::Started(Ok(())));
        comparison
    }

    fn perform(&mut self, operation: Operation) {
        match operation {
            Operation::Link(deed) => self.link(deed),
            Operation::Connect { is_stranger } => {
                let user_id = if is_stranger { STRANGER } else { 1000 };
                let taken = self.give(Input::ClientConnected { peer: Peer::new(7, user_id, user_id) });
                assert_eq!(taken.is_ok(), self.model.take_admitted(), "who is taken is admitted: {taken:?}");
            }
            Operation::Client(number, deed) => {
                if let Some(client) = self.model.client(number) {
                    self.client(client, deed);
                }
            }
            Operation::Decoder(number, deed) => {
                if let Some(session) = self.model.decoder(number) {
                    self.decoder(session, deed);
                }
            }
            Operation::Keys(number, deed) => {
                if let Some(key_session) = self.model.key_session(number) {
                    self.keys(key_session, deed);
                }
            }
            Operation::Fail(failure) => self.fail_next(failure),
            Operation::Pass(milliseconds) => self.pass(self.now.after(Duration::from_millis(milliseconds.into()))),
            Operation::PassToDeadline => {
                if let Some(at) = self.server.next_deadline() {
                    self.pass(at.max(self.now));
                }
            }
            Operation::Terminate => {
                let _ = self.give(Input::Terminate);
            }
            Operation::WriteAndReadBack => self.write_and_read_back(),
        }
    }

    fn fail_next(&mut self, failure: Failure) {
        match failure {
            Failure::Bind(kind) => self.failures.bind = Some(kind),
            Failure::Memory => self.failures.memory = true,
            Failure::Decoder => self.failures.decoder = true,
            Failure::Keys => self.failures.keys = true,
            Failure::Delivery => self.failures.delivery = true,
            Failure::ClientBlocks => self.failures.blocks_client = true,
            Failure::LinkBlocks => self.failures.blocks_link = true,
        }
    }

    fn link(&mut self, deed: LinkDeed) {
        if !self.model.link.is_open {
            return;
        }
        match deed {
            LinkDeed::Configures { state, shares, choices } => {
                self.ask(link::Command::SetConfiguration(configuration(state, shares, choices)));
            }
            LinkDeed::Sets(state) => self.ask(link::Command::SetState(state)),
            LinkDeed::SetsLevels => self.ask(link::Command::SetLogLevels(LogLevels::default())),
            LinkDeed::Pings => self.ask(link::Command::Ping),
            LinkDeed::Blocks => {
                self.model.link.is_blocked = true;
                let _ = self.give(Input::LinkBlocked);
            }
            LinkDeed::IsWritable => {
                self.model.link.is_blocked = false;
                let _ = self.give(Input::LinkWritable);
            }
            LinkDeed::Closes => {
                self.model.close_link();
                let _ = self.give(Input::LinkClosed);
            }
        }
    }

    fn ask(&mut self, command: link::Command<'_>) {
        // While nothing can be sent nothing is read.
        if self.model.link.is_blocked {
            return;
        }
        self.sequence += 1;
        self.model.link.unanswered.insert(self.sequence);
        if self.give(Input::Link(link::Request { sequence: self.sequence, command })).is_err() {
            self.model.link.unanswered.remove(&self.sequence);
        }
    }

    fn client(&mut self, client: ClientId, deed: ClientDeed) {
        match deed {
            ClientDeed::Calls(call, which) => self.call(client, call, which),
            ClientDeed::Blocks => {
                self.model.block(client, true);
                let _ = self.give(Input::ClientBlocked { client });
            }
            ClientDeed::IsWritable => {
                self.model.block(client, false);
                let _ = self.give(Input::ClientWritable { client });
            }
            ClientDeed::Closes => {
                self.model.close_client(client);
                let _ = self.give(Input::ClientClosed { client });
            }
        }
    }

    fn call(&mut self, client: ClientId, call: Call, which: u8) {
        if self.model.is_blocked(client) {
            return;
        }
        self.sequence += 1;
        let (sequence, command) = (self.sequence, self.model.known.command(call, which));
        self.model.calls(client, sequence, &command);
        match self.give(Input::Call { client, sequence, command }) {
            Ok(()) => {}
            Err(NotTaken::Later) => self.model.takes_back(client, sequence),
            Err(refusal) => panic!("{refusal:?}: a call of a client that is there"),
        }
    }

    fn decoder(&mut self, session: u16, deed: DecoderDeed) {
        let event = match deed {
            DecoderDeed::Completes(is_done) => {
                let Some((token, is_beat)) = self.model.complete(self.now, session) else { return };
                let result = if is_done || is_beat { Ok(()) } else { Err(PlaybackError::Decode) };
                DecoderEvent::Completed { session, token, result }
            }
            DecoderDeed::CompletesLate => {
                DecoderEvent::Completed { session, token: self.model.earlier_token(session), result: Ok(()) }
            }
            DecoderDeed::LetsGo => {
                if !self.model.let_go(session) {
                    return;
                }
                DecoderEvent::Closed { session }
            }
            DecoderDeed::Fails => {
                self.model.fails(session);
                DecoderEvent::Failed { session, error: PlaybackError::Sink }
            }
            DecoderDeed::Says(state) => DecoderEvent::State { session, state },
            DecoderDeed::ShowsFirst(source) => DecoderEvent::FirstFrame { session, source },
            DecoderDeed::IsAt(position_ns) => DecoderEvent::Position { session, position_ns },
            DecoderDeed::Starves(source) => DecoderEvent::Underflow { session, source },
            DecoderDeed::DropsFrames(source) => {
                DecoderEvent::QualityOfService { session, source, frames_rendered: 1, frames_dropped: 2 }
            }
            DecoderDeed::HasSize(source) => DecoderEvent::PictureSize { session, source, width: 3, height: 4 },
            DecoderDeed::HasText => DecoderEvent::Text { session },
        };
        let _ = self.give(Input::Decoder(event));
    }

    fn keys(&mut self, key_session: u16, deed: KeyDeed) {
        let event = match deed {
            KeyDeed::Completes(is_done) => {
                let Some(token) = self.model.complete_keys(key_session) else { return };
                let result = if is_done { Ok(()) } else { Err(KeyError::Response) };
                KeyEvent::Completed { key_session, token, result }
            }
            KeyDeed::HasMessage => KeyEvent::Message { key_session },
            KeyDeed::HasStatuses => KeyEvent::KeyStatuses { key_session },
            KeyDeed::LetsGo => {
                if !self.model.let_keys_go(key_session) {
                    return;
                }
                KeyEvent::Closed { key_session }
            }
        };
        let _ = self.give(Input::Keys(event));
    }

    fn pass(&mut self, to: Instant) {
        self.now = to;
        let _ = self.give(Input::Tick);
        let next = self.server.next_deadline();
        assert!(next.is_none_or(|at| at > to), "at {to:?} it was handed its tick, and wants another at {next:?}");
    }

    /// Hands the machine an input, does what it wants done, and hands it what comes of that.
    fn give(&mut self, input: Input<'_>) -> Result<(), NotTaken> {
        let taken = self.server.handle(self.now, input);
        let mut outcomes = Vec::new();
        for number in 0.. {
            let Some(action) = self.server.poll_action() else { break };
            assert!(number < ACTIONS_MAX, "it wants something done without end: {action:?}");
            self.model.carry_out(self.now, &action);
            outcomes.extend(self.outcome(&action));
            self.block(&action);
        }
        for outcome in outcomes {
            let _ = self.give(outcome);
        }
        self.model.check(&self.server);
        taken
    }

    /// What comes of an action, if it has an outcome.
    fn outcome(&mut self, action: &Action) -> Option<Input<'static>> {
        let memory = |fails: &mut bool| if std::mem::take(fails) { Err(ErrorKind::Exhausted) } else { Ok(()) };
        Some(match *action {
            Action::Bind => {
                let result = self.failures.bind.take().map_or(Ok(()), Err);
                self.model.bound(result.is_ok());
                Input::Bound(result)
            }
            Action::Allocate { .. } => Input::Allocated(memory(&mut self.failures.memory)),
            Action::Renew { slot } => Input::Renewed { slot, result: memory(&mut self.failures.memory) },
            Action::Open { session } => {
                let result = memory(&mut self.failures.decoder);
                self.model.opened(session, result.is_ok());
                Input::Opened { session, result }
            }
            Action::OpenKeys { key_session } => {
                let result = memory(&mut self.failures.keys).map_err(|_| KeyError::UnknownKeySystem);
                self.model.keys_opened(key_session, result.is_ok());
                Input::KeysOpened { key_session, result }
            }
            Action::Reply { response, .. } => {
                let session = Model::brings_memory(&response)?;
                if !std::mem::take(&mut self.failures.delivery) {
                    return None;
                }
                Input::Undelivered { session }
            }
            _ => return None,
        })
    }

    /// What an action sends may be the last that a socket takes.
    fn block(&mut self, action: &Action) {
        if matches!(action, Action::Link(_)) && std::mem::take(&mut self.failures.blocks_link) {
            self.model.link.is_blocked = true;
            let _ = self.server.handle(self.now, Input::LinkBlocked);
        }
        let to = Model::is_sent_to(action).filter(|&client| self.model.knows(client));
        if let Some(client) = to.filter(|_| std::mem::take(&mut self.failures.blocks_client)) {
            self.model.block(client, true);
            let _ = self.server.handle(self.now, Input::ClientBlocked { client });
        }
    }

    fn write_and_read_back(&mut self) {
        let mut buffer = vec![0; WRITTEN_BYTES_MAX];
        let written = encode(&self.server, &mut buffer).expect("it fits");
        self.server = decode(written).expect("it can be read back");
        let mut again = vec![0; WRITTEN_BYTES_MAX];
        assert_eq!(encode(&self.server, &mut again).expect("it fits"), written);
    }

    /// Everybody listens, and every decoder and key system does what it was told: then nobody waits for anything.
    fn settle(&mut self) {
        self.failures = Failures::default();
        self.link(LinkDeed::IsWritable);
        for _ in 0..ROUNDS_MAX {
            for client in self.model.clients() {
                self.client(client, ClientDeed::IsWritable);
            }
            for session in self.model.decoders() {
                self.decoder(session, DecoderDeed::Completes(true));
                self.decoder(session, DecoderDeed::LetsGo);
            }
            for key_session in self.model.key_sessions() {
                self.keys(key_session, KeyDeed::Completes(true));
                self.keys(key_session, KeyDeed::LetsGo);
            }
            // Who asks a server that ends sees its end instead of an answer.
            if self.model.has_ended() || self.model.is_settled() {
                return;
            }
        }
        panic!("somebody waits for ever: {:?}", self.model);
    }

    /// SM-18, SM-19, SM-20, SM-30: whatever was going on, all is answered, and then it ends and leaves nothing.
    fn wind_down(&mut self) {
        if !self.model.has_ended() {
            self.settle();
        }
        if !self.model.has_ended() {
            let _ = self.give(Input::Terminate);
            self.settle();
        }
        self.model.check_end();
    }
}

/// Performs operations on a session server, and looks after each at all that can be seen of it from outside.
///
/// # Panics
///
/// When something is seen that must not be: SM-05, SM-18, SM-20, SM-23 to SM-25, SM-30 to SM-35.
pub fn session(bytes: &[u8]) {
    let mut comparison = Comparison::new();
    for operation in steps(bytes) {
        if comparison.model.has_ended() {
            break;
        }
        comparison.perform(operation);
    }
    comparison.wind_down();
}
