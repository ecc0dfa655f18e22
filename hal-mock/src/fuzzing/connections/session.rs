//! A session server's clients, and its link to the manager.

use std::time::Duration;

use arbitrary::{Arbitrary, Result, Unstructured};
use greenroom_core::codec::postcard::decode;
use greenroom_core::driver::{Frames, SessionDriver};
use greenroom_core::hal::{DecoderEvent, ErrorKind, KeyEvent, Peer};
use greenroom_core::health::HealthCheck;
use greenroom_core::limits::{CLIENTS_MAX, KEY_SESSIONS_MAX, MESSAGE_BYTES_MAX, SESSIONS_MAX, WEB_AUDIO_PLAYERS_MAX};
use greenroom_core::message::keys::KeyError;
use greenroom_core::message::playback::{Answer, Message, PlaybackError, PlaybackState, Request, SourceId};
use greenroom_core::message::{Allowed, LogLevels, Resources, ServerState, TargetState, audio, keys, link};
use greenroom_core::trace::NoRecorder;

use super::{End, MadeUp, TURNS_MAX};
use crate::fuzzing::session::deed::Call as ClientCall;
use crate::fuzzing::session::known::Known;
use crate::fuzzing::steps::{below, one_of, steps};
use crate::{Call, DueText, Memory, MockDecoder, SeqPacket, ServerHome, World};

const PATH: &str = "/run/greenroom/app1";
const DECODERS: u16 = (SESSIONS_MAX + WEB_AUDIO_PLAYERS_MAX) as u16;
/// Rounds of everybody doing what is due until the server has ended, with much to spare.
const ROUNDS_MAX: usize = 64;

type Decoders = MockDecoder<Frames<Memory>>;

type Home = ServerHome<Decoders>;

#[derive(Clone, Debug)]
enum Operation {
    Set(TargetState),
    Ping,
    SendFromAbove(MadeUp),
    CloseLink,
    Connect,
    /// By the client with this number, counted from the first.
    Call(u8, ClientCall, u8),
    Send(u8, MadeUp),
    Close(u8),
    Listens(u8, bool),
    Complete(u16, bool),
    LetGo(u16),
    Say(DecoderEvent),
    ShowText(u16),
    CompleteKeys(u16, bool),
    SayOfKeys(KeyEvent),
    Fail(Call, ErrorKind),
    Pass(u16),
    PassToDeadline,
}

fn decoder_event(input: &mut Unstructured<'_>) -> Result<DecoderEvent> {
    use PlaybackState::{Buffering, EndOfStream, Paused, Playing};
    let (session, source) = (u16::from(below(input, DECODERS as u8)?), SourceId(below(input, 3)?));
    Ok(match below(input, 6)? {
        0..3 => DecoderEvent::State { session, state: one_of(input, &[Playing, Paused, Buffering, EndOfStream])? },
        3 => DecoderEvent::Failed { session, error: PlaybackError::Sink },
        4 => DecoderEvent::FirstFrame { session, source },
        _ => DecoderEvent::Closed { session },
    })
}

fn key_event(input: &mut Unstructured<'_>) -> Result<KeyEvent> {
    let key_session = u16::from(below(input, KEY_SESSIONS_MAX as u8)?);
    Ok(match below(input, 3)? {
        0 => KeyEvent::Message { key_session },
        1 => KeyEvent::KeyStatuses { key_session },
        _ => KeyEvent::Closed { key_session },
    })
}

impl<'a> Arbitrary<'a> for Operation {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        const FAILURES: [Call; 10] = [
            Call::Watch,
            Call::Accept,
            Call::Send,
            Call::CreateMemory,
            Call::CreateBell,
            Call::DuplicateRegion,
            Call::Populate,
            Call::OpenDecoder,
            Call::CommandDecoder,
            Call::OpenKeys,
        ];
        let states = [TargetState::Active, TargetState::Active, TargetState::Inactive];
        let number = below(input, 8)?;
        Ok(match below(input, 32)? {
            0 => Self::Set(one_of(input, &states)?),
            1 => match below(input, 16)? {
                0 => Self::CloseLink,
                1 | 2 => Self::SendFromAbove(input.arbitrary()?),
                3 => Self::Set(TargetState::NotRunning),
                _ => Self::Ping,
            },
            2 | 3 => Self::Connect,
            4..15 => Self::Call(number, one_of(input, &ClientCall::ALL[..14])?, input.arbitrary()?),
            15..18 => Self::Call(number, one_of(input, &ClientCall::ALL)?, input.arbitrary()?),
            18 => Self::Send(number, input.arbitrary()?),
            19 => Self::Close(number),
            20 => Self::Listens(number, below(input, 3)? > 0),
            21..25 => Self::Complete(number.into(), below(input, 8)? > 0),
            25 => Self::LetGo(number.into()),
            26 => Self::Say(decoder_event(input)?),
            27 => match below(input, 4)? {
                0 => Self::ShowText(number.into()),
                1 => Self::SayOfKeys(key_event(input)?),
                _ => Self::CompleteKeys(number.into(), below(input, 4)? > 0),
            },
            28 => Self::Fail(one_of(input, &FAILURES)?, one_of(input, &[ErrorKind::Exhausted, ErrorKind::Busy])?),
            29 => Self::Pass(input.arbitrary()?),
            _ => Self::PassToDeadline,
        })
    }
}

struct Stage {
    world: World,
    home: Home,
    driver: Box<SessionDriver<Home>>,
    link: Option<End>,
    told: Option<ServerState>,
    clients: Vec<End>,
    known: Known,
    memory: Memory,
    decoders: Decoders,
}

impl Stage {
    fn new(choices: u8) -> Self {
        let world = World::new(choices.into());
        let (ours, theirs) = SeqPacket::pair(&world);
        let (memory, decoders) = (Memory::new(&world), MockDecoder::new(&world));
        let mut home = ServerHome::new(&world, memory.clone(), decoders.clone());
        home.watch_parts().expect("decoders and key systems can be watched");
        // Made where it stays: it has hundreds of kilobytes of room for messages.
        let place = Box::new_uninit();
        let driver = Box::write(place, SessionDriver::new(theirs, NoRecorder));
        let known = Known::default();
        let link = Some(End::new(ours));
        let mut stage = Self { world, home, driver, link, told: None, clients: Vec::new(), known, memory, decoders };
        stage.start(choices);
        stage
    }

    fn start(&mut self, choices: u8) {
        if choices & 1 == 1 {
            self.world.be_unkind();
        }
        match choices >> 1 & 3 {
            0 | 1 => self.decoders.wait_for_me(),
            2 => self.decoders.wait_for_me_but_let_go(),
            _ => {}
        }
        if choices & 8 == 0 {
            self.home.keys.wait_for_me();
        }
        self.driver.start(&mut self.home, self.world.now(), Ok(()));
        let health = HealthCheck { interval_ms: if choices & 16 == 0 { 500 } else { 0 }, failures_max: 2 };
        let configuration = link::Configuration {
            app: "app1",
            socket: PATH,
            socket_mode: 0o660,
            socket_owner: "",
            socket_group: "root",
            state: TargetState::Active,
            resources: Resources { max_playback_sessions: 2, max_web_audio_players: 2, max_key_sessions: 2 },
            log_levels: LogLevels::default(),
            video_sink: "fake",
            audio_sink: "fake",
            clients: Allowed::default(),
            health,
        };
        self.ask(link::Command::SetConfiguration(configuration));
    }

    fn ask(&mut self, command: link::Command<'_>) {
        if let Some(link) = &mut self.link {
            link.sequence += 1;
            // The manager is the side that answers the opening.
            link.has_greeted = true;
            let sequence = link.sequence;
            link.send(&link::Request { sequence, command }, &[]);
        }
    }

    fn perform(&mut self, operation: Operation) {
        match operation {
            Operation::Set(state) => self.ask(link::Command::SetState(state)),
            Operation::Ping => self.ask(link::Command::Ping),
            Operation::SendFromAbove(made_up) => {
                if let Some(link) = &mut self.link {
                    link.send_made_up(&made_up);
                }
            }
            Operation::CloseLink => self.link = None,
            Operation::Connect => {
                let connected = self.world.connect(PATH, Peer::new(7, 1000, 1000));
                self.clients.extend(connected.ok().map(End::new));
            }
            Operation::Call(number, call, which) => self.call(number, call, which),
            Operation::Send(number, made_up) => {
                if let Some(client) = self.client(number) {
                    client.send_made_up(&made_up);
                }
            }
            Operation::Close(number) => {
                if let Some(number) = usize::from(number).checked_rem(self.clients.len()) {
                    self.clients.remove(number);
                }
            }
            Operation::Listens(number, does_listen) => {
                if let Some(client) = self.client(number) {
                    client.listen(does_listen);
                }
            }
            Operation::Complete(session, is_done) => {
                self.decoders.complete(session, if is_done { Ok(()) } else { Err(PlaybackError::Decode) });
            }
            Operation::LetGo(session) => self.decoders.let_go(session),
            Operation::Say(event) => self.decoders.say(event),
            Operation::ShowText(session) => {
                let text = DueText { source: SourceId(0), start_ns: 0, duration_ns: None, body: "a line".to_owned() };
                self.decoders.show_text(session, text);
            }
            Operation::CompleteKeys(key_session, is_done) => {
                self.home.keys.complete(key_session, if is_done { Ok(()) } else { Err(KeyError::Response) });
            }
            Operation::SayOfKeys(event) => self.home.keys.say(event),
            Operation::Fail(call, kind) => self.world.fail_next(call, kind),
            Operation::Pass(milliseconds) => self.world.advance(Duration::from_millis(milliseconds.into())),
            Operation::PassToDeadline => {
                if let Some(at) = self.driver.next_deadline() {
                    self.world.advance_to(at);
                }
            }
        }
    }

    fn client(&mut self, number: u8) -> Option<&mut End> {
        let number = usize::from(number).checked_rem(self.clients.len())?;
        self.clients.get_mut(number)
    }

    fn call(&mut self, number: u8, call: ClientCall, which: u8) {
        let command = self.known.command(call, which);
        let Some(client) = self.client(number) else { return };
        let command = if client.has_greeted { command } else { greenroom_core::message::playback::Command::Hello };
        client.sequence += 1;
        let sequence = client.sequence;
        client.send(&Request { sequence, command }, &[]);
    }

    /// Takes turns until nothing is ready, and hears what there is to hear.
    fn settle(&mut self) {
        for _ in 0..TURNS_MAX {
            let ready = self.home.platform.events.ready();
            let is_due = self.driver.next_deadline().is_some_and(|at| at <= self.world.now());
            if (ready.is_empty() && !is_due) || self.driver.exit_status().is_some() {
                return self.check();
            }
            self.driver.turn(&mut self.home, self.world.now(), &ready);
        }
        panic!("it does not come to rest");
    }

    fn check(&mut self) {
        if let Some(link) = self.link.as_mut().filter(|link| link.has_news()) {
            hear_server(link, &mut self.told);
        }
        let known = &mut self.known;
        self.clients.iter_mut().filter(|client| client.has_news()).for_each(|client| hear(client, known));
        self.clients.retain(|client| !client.is_closed);
        assert!(self.clients.len() <= CLIENTS_MAX + 1 + crate::listener::BACKLOG);
        assert!(self.decoders.open_sessions() <= 4, "more decoders than the app may have");
        assert!(self.home.keys.open_sessions() <= 2, "more key sessions than the app may have");
    }

    /// SM-19, SM-34: it ends and leaves nothing, whatever was going on.
    fn wind_down(&mut self) {
        self.link = None;
        self.clients.clear();
        for _ in 0..ROUNDS_MAX {
            self.settle();
            if self.driver.exit_status().is_some() {
                return self.check_end();
            }
            (0..DECODERS).for_each(|session| self.decoders.let_go(session));
            (0..KEY_SESSIONS_MAX as u16).for_each(|key_session| self.home.keys.let_go(key_session));
            if let Some(at) = self.driver.next_deadline() {
                self.world.advance_to(at);
            }
        }
        panic!("it does not end");
    }

    fn check_end(&mut self) {
        // Those of a process that has ended are closed for it.
        self.known = Known::default();
        (0..DECODERS).for_each(|session| self.decoders.let_go(session));
        assert_eq!(self.decoders.open_sessions(), 0, "a decoder is left");
        assert_eq!(self.memory.regions_in_use(), 0, "shared memory is left");
    }
}

fn hear_server(link: &mut End, told: &mut Option<ServerState>) {
    use ServerState::{Active, Error, Inactive, NotRunning, Uninitialized};
    let mut buffer = [0; MESSAGE_BYTES_MAX];
    while let Some((bytes, descriptors)) = link.receive(&mut buffer) {
        let message: link::Message = match told {
            None => greenroom_core::codec::postcard::decode_first(bytes).map(|(_, message)| message),
            Some(_) => decode(bytes),
        }
        .expect("a session server sends what is a message");
        assert_eq!(descriptors.len(), usize::from(message == link::Message::Listener));
        match message {
            link::Message::Reply { sequence, .. } => link.is_answered(sequence),
            link::Message::StateChanged { state, .. } => {
                let follows = matches!(
                    (*told, state),
                    (None, Uninitialized)
                        | (Some(Uninitialized), Inactive | Active | NotRunning | Error)
                        | (Some(Inactive), Active | NotRunning | Error)
                        | (Some(Active), Inactive | NotRunning | Error)
                        | (Some(Error), NotRunning)
                );
                assert!(follows, "{state:?} after {told:?}");
                *told = Some(state);
            }
            _ => {}
        }
    }
}

fn hear(client: &mut End, known: &mut Known) {
    let mut buffer = [0; MESSAGE_BYTES_MAX];
    while let Some((bytes, descriptors)) = client.receive(&mut buffer) {
        let Message::Reply { sequence, result } = decode(bytes).expect("a session server sends what is a message")
        else {
            assert!(descriptors.is_empty(), "descriptors come with answers only");
            continue;
        };
        client.is_answered(sequence);
        let expected = match result {
            Ok(Answer::SharedMemory { .. } | Answer::Source { .. } | Answer::SessionWithMemory { .. }) => 2,
            Ok(Answer::Audio(audio::Answer::Player { .. })) => 4,
            _ => 0,
        };
        assert_eq!(descriptors.len(), expected, "{result:?}");
        match result {
            Ok(Answer::Session { session } | Answer::SessionWithMemory { session, .. }) => known.sessions.push(session),
            Ok(Answer::Audio(audio::Answer::Player { player, .. })) => known.players.push(player),
            Ok(Answer::Keys(keys::Answer::KeySession { key_session })) => known.key_sessions.push(key_session),
            _ => {}
        }
    }
}

/// Has clients, decoders and a manager do their worst to a session server's driver.
///
/// # Panics
///
/// When it does not come to rest, answers what was not asked, or leaves anything at its end (SM-30, SM-31, SM-33, SM-34).
pub fn session(bytes: &[u8]) {
    let Some((&choices, bytes)) = bytes.split_first() else { return };
    let mut stage = Stage::new(choices);
    stage.settle();
    for operation in steps(bytes) {
        if stage.driver.exit_status().is_some() {
            break;
        }
        stage.perform(operation);
        stage.settle();
    }
    stage.wind_down();
}
