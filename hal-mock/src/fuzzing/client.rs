//! Operations on the client library's machine, against what its app knows and its platform has.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use arbitrary::{Arbitrary, Result, Unstructured};
use greenroom_core::client::{Action, CallId, Client, ConnectionState, Input, LostReason, Notification, Outcome};
use greenroom_core::codec::postcard::{decode, encode};
use greenroom_core::driver::Machine;
use greenroom_core::hal::ErrorKind;
use greenroom_core::message::audio::{self, DeviceInfo, PcmFormat, PlayerId, PlayerState, SampleFormat};
use greenroom_core::message::keys::{self, KeySessionId};
use greenroom_core::message::playback::{
    Answer, Codec, Command, Event, Message, PlaybackState, Refusal, RingPlace, SessionId, Shape, SourceDescription,
    SourceId, Statistics, Text,
};
use greenroom_core::message::{AppState, LogLevels};
use greenroom_core::time::Instant;

use super::steps::{below, one_of, steps};

/// Actions that one input can lead to at most, with much to spare.
const ACTIONS_MAX: usize = 64;
/// Bytes of a client when it is written down.
const WRITTEN_BYTES_MAX: usize = 8 * 1024;
const PCM: PcmFormat = PcmFormat { rate_hz: 48_000, channels: 2, sample: SampleFormat::S16Le };
const PLACE: RingPlace =
    RingPlace { client_offset: 0, server_offset: 0, payload_offset: 65_536, payload_bytes: 65_536 };

/// Names of what the server gives out: few, so that one is often another's, or somebody else's before.
type Name = (u16, u16);

#[derive(Clone, Copy, Debug)]
enum Operation {
    Connect {
        reconnects: bool,
    },
    Disconnect,
    /// The platform has opened the connection, or could not.
    Opens(std::result::Result<(), ErrorKind>),
    Breaks(LostReason),
    Call(Command<'static>),
    /// The server answers a call as it should: one of those that wait, counted from the first.
    Answers(u8, Name),
    /// It answers as it pleases.
    AnswersAnything(u8, Answer, u8),
    Refuses(u8),
    /// An answer to a call that has ended.
    AnswersLate(u8, Answer, u8),
    Tells(Event, u8),
    TellsText(Name),
    TellsKeys(Name),
    Pass(u16),
    PassToDeadline,
    WriteAndReadBack,
}

fn name(input: &mut Unstructured<'_>) -> Result<Name> {
    Ok((below(input, 5)?.into(), below(input, 3)?.into()))
}

fn session(input: &mut Unstructured<'_>) -> Result<SessionId> {
    name(input).map(|(index, generation)| SessionId { index, generation })
}

fn player(input: &mut Unstructured<'_>) -> Result<PlayerId> {
    name(input).map(|(index, generation)| PlayerId { index, generation })
}

fn key_session(input: &mut Unstructured<'_>) -> Result<KeySessionId> {
    name(input).map(|(index, generation)| KeySessionId { index, generation })
}

fn command(input: &mut Unstructured<'_>) -> Result<Command<'static>> {
    let source = SourceDescription { codec: Codec::H264, shape: Shape::default(), codec_data: &[] };
    Ok(match below(input, 16)? {
        0 | 1 => Command::GetSharedMemory,
        2 | 3 => Command::CreateSession,
        4 => Command::ReleaseSharedMemory,
        5 => Command::DestroySession { session: session(input)? },
        6 => Command::AttachSource { session: session(input)?, source },
        7 => Command::Play { session: session(input)? },
        8 => Command::GetPosition { session: session(input)? },
        9 => Command::GetStatistics { session: session(input)?, source: SourceId(0) },
        10 => Command::GetDuration { session: session(input)? },
        11 => Command::Audio(audio::Command::Create { format: PCM }),
        12 => Command::Audio(match below(input, 4)? {
            0 => audio::Command::Destroy { player: player(input)? },
            1 => audio::Command::GetVolume { player: player(input)? },
            2 => audio::Command::GetPlayed { player: player(input)? },
            _ => audio::Command::Play { player: player(input)? },
        }),
        13 => Command::Keys(keys::Command::Create { key_system: "org.w3.clearkey" }),
        14 => Command::Keys(keys::Command::Close { key_session: key_session(input)? }),
        _ => Command::Hello,
    })
}

fn answer(input: &mut Unstructured<'_>) -> Result<Answer> {
    let (client_bytes, server_bytes) = (131_072, 65_536);
    Ok(match below(input, 12)? {
        0 => Answer::Welcome { version: 1, state: state(input)? },
        1 => Answer::Done,
        2 => Answer::SharedMemory { client_bytes, server_bytes },
        3 => Answer::Session { session: session(input)? },
        4 => Answer::SessionWithMemory { session: session(input)?, client_bytes, server_bytes },
        5 => Answer::Source { source: SourceId(0), ring: PLACE },
        6 => Answer::Position { position_ns: 1 },
        7 => Answer::Duration { duration_ns: None },
        8 => Answer::Statistics(Statistics::default()),
        9 => Answer::Audio(new_player(player(input)?)),
        10 => Answer::Keys(keys::Answer::KeySession { key_session: key_session(input)? }),
        _ => Answer::Audio(audio::Answer::Volume { volume_permille: 1 }),
    })
}

fn new_player(player: PlayerId) -> audio::Answer {
    let device = DeviceInfo::of(&PCM, PLACE.payload_bytes);
    audio::Answer::Player { player, client_bytes: 131_072, server_bytes: 65_536, ring: PLACE, device, format: PCM }
}

fn state(input: &mut Unstructured<'_>) -> Result<AppState> {
    one_of(input, &[AppState::Running, AppState::Running, AppState::Inactive, AppState::Unknown])
}

fn event(input: &mut Unstructured<'_>) -> Result<Event> {
    Ok(match below(input, 10)? {
        0..3 => Event::ApplicationState(state(input)?),
        3 => Event::PlaybackState { session: session(input)?, state: PlaybackState::Playing },
        4 => Event::SessionEnded { session: session(input)? },
        5 => Event::Ping,
        6 => Event::LogLevels(LogLevels::default()),
        7 => Event::Audio(audio::Event::Ended { player: player(input)? }),
        8 => Event::Audio(audio::Event::State { player: player(input)?, state: PlayerState::Playing }),
        _ => Event::Keys(keys::Event::Ended { key_session: key_session(input)? }),
    })
}

impl<'a> Arbitrary<'a> for Operation {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        const FAILURES: [ErrorKind; 3] = [ErrorKind::Busy, ErrorKind::Gone, ErrorKind::Denied];
        Ok(match below(input, 32)? {
            0 | 1 => Self::Connect { reconnects: below(input, 4)? < 3 },
            2 => Self::Disconnect,
            3..6 => Self::Opens(Ok(())),
            6 => Self::Opens(Err(one_of(input, &FAILURES)?)),
            7 => Self::Breaks(one_of(input, &[LostReason::Closed, LostReason::Misbehaved])?),
            8..14 => Self::Call(command(input)?),
            14..22 => Self::Answers(below(input, 8)?, name(input)?),
            22 => Self::AnswersAnything(below(input, 8)?, answer(input)?, below(input, 5)?),
            23 => Self::Refuses(below(input, 8)?),
            24 => Self::AnswersLate(input.arbitrary()?, answer(input)?, below(input, 5)?),
            25..28 => Self::Tells(event(input)?, below(input, 8)?.saturating_sub(6)),
            28 => match below(input, 3)? {
                0 => Self::TellsText(name(input)?),
                1 => Self::TellsKeys(name(input)?),
                _ => Self::WriteAndReadBack,
            },
            29 => Self::Pass(input.arbitrary()?),
            _ => Self::PassToDeadline,
        })
    }
}

/// The connection, as the platform has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connection {
    None,
    Opening,
    Open,
}

/// What the app was told of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    Connected,
    Lost,
}

/// The machine, its app and its platform.
struct Comparison {
    client: Client,
    now: Instant,
    connection: Connection,
    told: Told,
    /// The app's calls that wait, with their numbers on the wire.
    calls: BTreeMap<u32, (CallId, Command<'static>)>,
    hello: Option<u32>,
    /// Numbers of calls that have ended.
    ended: Vec<u32>,
    /// What the app has.
    sessions: BTreeSet<Name>,
    players: BTreeSet<Name>,
    has_memory: bool,
}

impl Comparison {
    fn new() -> Self {
        Self {
            client: Client::new(),
            now: Instant::from_millis(1000),
            connection: Connection::None,
            told: Told::Nothing,
            calls: BTreeMap::new(),
            hello: None,
            ended: Vec::new(),
            sessions: BTreeSet::new(),
            players: BTreeSet::new(),
            has_memory: false,
        }
    }

    fn perform(&mut self, operation: Operation) {
        match operation {
            Operation::Connect { reconnects } => {
                let reconnect_for = Duration::from_secs(if reconnects { 20 } else { 0 });
                let is_idle = self.client.connection() == ConnectionState::Disconnected;
                assert_eq!(self.give(Input::Connect { reconnect_for }).is_ok(), is_idle);
            }
            Operation::Disconnect => self.disconnect(),
            Operation::Opens(result) => self.opens(result),
            Operation::Breaks(reason) => {
                if self.connection == Connection::Open {
                    let _ = self.give(Input::Broken(reason));
                }
            }
            Operation::Call(command) => self.call(command),
            Operation::Answers(which, name) => self.answers(which, name),
            Operation::AnswersAnything(which, answer, descriptors) => {
                if let Some(sequence) = self.waiting(which) {
                    self.replies(sequence, Ok(answer), descriptors);
                }
            }
            Operation::Refuses(which) => {
                if let Some(sequence) = self.waiting(which) {
                    self.replies(sequence, Err(Refusal::NotActive), 0);
                }
            }
            Operation::AnswersLate(back, answer, descriptors) => self.answers_late(back, answer, descriptors),
            Operation::Tells(event, descriptors) => self.receives(Message::Event(event), descriptors),
            Operation::TellsText((index, generation)) => {
                let text = Text { source: SourceId(0), start_ns: 0, duration_ns: None, missed: 0, body: "a line" };
                self.receives(Message::Text { session: SessionId { index, generation }, text }, 0);
            }
            Operation::TellsKeys((index, generation)) => {
                let key_session = KeySessionId { index, generation };
                let statuses = keys::KeyStatuses::default();
                self.receives(Message::Keys(keys::Notice::KeyStatuses { key_session, statuses }), 0);
            }
            Operation::Pass(milliseconds) => self.pass(self.now.after(Duration::from_millis(milliseconds.into()))),
            Operation::PassToDeadline => {
                if let Some(at) = self.client.next_deadline() {
                    self.pass(at.max(self.now));
                }
            }
            Operation::WriteAndReadBack => self.write_and_read_back(),
        }
    }

    fn opens(&mut self, result: std::result::Result<(), ErrorKind>) {
        if self.connection != Connection::Opening {
            return;
        }
        match result {
            Ok(()) => {
                self.connection = Connection::Open;
                let _ = self.give(Input::Opened);
            }
            Err(kind) => {
                self.connection = Connection::None;
                let _ = self.give(Input::OpenFailed(kind));
            }
        }
    }

    fn call(&mut self, command: Command<'static>) {
        let waiting = self.calls.len();
        if self.client.handle(self.now, Input::Call(command)).is_err() {
            assert_eq!(self.client.poll_action(), None, "what was not taken leads to nothing");
            return self.check();
        }
        match command {
            Command::DestroySession { session } => {
                self.sessions.remove(&(session.index, session.generation));
            }
            Command::Audio(audio::Command::Destroy { player }) => {
                self.players.remove(&(player.index, player.generation));
            }
            _ => {}
        }
        self.drain(Some(command));
        assert_eq!(self.calls.len(), waiting + 1, "a call that was taken waits for its outcome");
        self.check();
    }

    /// The number of a call that waits, the greeting among them.
    fn waiting(&self, which: u8) -> Option<u32> {
        let numbers: Vec<u32> = self.hello.iter().chain(self.calls.keys()).copied().collect();
        numbers.get(usize::from(which).checked_rem(numbers.len())?).copied()
    }

    fn answers(&mut self, which: u8, (index, generation): Name) {
        let Some(sequence) = self.waiting(which) else { return };
        let (client_bytes, server_bytes) = (131_072, 65_536);
        let session = SessionId { index, generation };
        let (answer, descriptors) = match self.calls.get(&sequence).map(|(_, command)| *command) {
            None => (Answer::Welcome { version: 1, state: AppState::Running }, 0),
            Some(Command::GetSharedMemory) => (Answer::SharedMemory { client_bytes, server_bytes }, 2),
            Some(Command::CreateSession) if index > 2 => {
                (Answer::SessionWithMemory { session, client_bytes, server_bytes }, 2)
            }
            Some(Command::CreateSession) => (Answer::Session { session }, 0),
            Some(Command::AttachSource { .. }) => (Answer::Source { source: SourceId(0), ring: PLACE }, 2),
            Some(Command::GetPosition { .. }) => (Answer::Position { position_ns: 1 }, 0),
            Some(Command::GetDuration { .. }) => (Answer::Duration { duration_ns: Some(1) }, 0),
            Some(Command::GetStatistics { .. }) => (Answer::Statistics(Statistics::default()), 0),
            Some(Command::Audio(audio::Command::Create { .. })) => {
                (Answer::Audio(new_player(PlayerId { index, generation })), 4)
            }
            Some(Command::Audio(audio::Command::GetVolume { .. })) => {
                (Answer::Audio(audio::Answer::Volume { volume_permille: 1 }), 0)
            }
            Some(Command::Audio(audio::Command::GetPlayed { .. })) => {
                (Answer::Audio(audio::Answer::Played { frames: 1 }), 0)
            }
            Some(Command::Keys(keys::Command::Create { .. })) => {
                (Answer::Keys(keys::Answer::KeySession { key_session: KeySessionId { index, generation } }), 0)
            }
            Some(_) => (Answer::Done, 0),
        };
        self.replies(sequence, Ok(answer), descriptors);
    }

    /// What comes for a call that has ended, or for nobody, ends no other.
    fn answers_late(&mut self, back: u8, answer: Answer, descriptors: u8) {
        let Some(number) = usize::from(back).checked_rem(self.ended.len()) else { return };
        let sequence = self.ended[number];
        if self.calls.contains_key(&sequence) || self.hello == Some(sequence) {
            return;
        }
        let waiting: Vec<u32> = self.calls.keys().copied().collect();
        self.replies(sequence, Ok(answer), descriptors);
        let still: Vec<u32> = self.calls.keys().copied().collect();
        assert!(still == waiting, "a late answer has ended another call");
    }

    fn replies(&mut self, sequence: u32, result: std::result::Result<Answer, Refusal>, descriptors: u8) {
        self.receives(Message::Reply { sequence, result }, descriptors);
    }

    fn receives(&mut self, message: Message<'_>, descriptors: u8) {
        if self.connection == Connection::Open {
            let _ = self.give(Input::Received { message, descriptors });
        }
    }

    fn pass(&mut self, to: Instant) {
        self.now = to;
        let _ = self.give(Input::Tick);
        let next = self.client.next_deadline();
        assert!(next.is_none_or(|at| at > to), "at {to:?} it was handed its tick, and wants another at {next:?}");
    }

    fn give(&mut self, input: Input<'_>) -> std::result::Result<(), greenroom_core::client::NotTaken> {
        let taken = self.client.handle(self.now, input);
        self.drain(None);
        self.check();
        taken
    }

    fn drain(&mut self, given: Option<Command<'static>>) {
        for number in 0.. {
            let Some(action) = self.client.poll_action() else { return };
            assert!(number < ACTIONS_MAX, "it wants something done without end: {action:?}");
            self.carry_out(action, given);
        }
    }

    fn carry_out(&mut self, action: Action, given: Option<Command<'static>>) {
        match action {
            Action::DropMemory(_) => {
                assert!(self.has_memory || !self.players.is_empty(), "there is no memory to let go of");
                self.has_memory = false;
            }
            Action::Open => {
                assert_eq!(self.connection, Connection::None, "one connection at a time");
                self.connection = Connection::Opening;
            }
            Action::Close => self.connection = Connection::None,
            Action::Send(request) => {
                assert_eq!(self.connection, Connection::Open, "there is nobody to send {request:?}");
                if request.command == Command::Hello {
                    self.hello = Some(request.sequence);
                }
            }
            Action::SendCall { call, sequence } => {
                assert_eq!(self.connection, Connection::Open, "there is nobody to call");
                let command = given.expect("a call was handed in");
                let is_new = self.calls.insert(sequence, (call, command)).is_none();
                assert!(is_new, "number {sequence} waits for an answer");
            }
            Action::Complete { call, outcome } => self.complete(call, outcome),
            Action::Notify(notification) => self.hears(notification),
            Action::NotifyText | Action::NotifyKeys => assert_eq!(self.told, Told::Connected),
        }
    }

    /// SM-30: one outcome for each call.
    fn complete(&mut self, call: CallId, outcome: Outcome) {
        let waiting = self.calls.iter().find(|(_, (known, _))| *known == call).map(|(&sequence, _)| sequence);
        let sequence = waiting.unwrap_or_else(|| panic!("a second outcome of {call:?}: {outcome:?}"));
        self.calls.remove(&sequence);
        self.ended.push(sequence);
        match outcome {
            Outcome::Answered(Answer::SharedMemory { .. }) => self.has_memory = true,
            Outcome::Answered(Answer::Session { session } | Answer::SessionWithMemory { session, .. }) => {
                let is_new = self.sessions.insert((session.index, session.generation));
                assert!(is_new, "{session:?} is another of this app");
            }
            Outcome::Answered(Answer::Audio(audio::Answer::Player { player, .. })) => {
                assert!(self.players.insert((player.index, player.generation)), "{player:?} is another of this app");
            }
            _ => {}
        }
    }

    fn hears(&mut self, notification: Notification) {
        match notification {
            Notification::Event(Event::ApplicationState(_)) if self.told == Told::Nothing => {
                self.told = Told::Connected;
                self.hello = None;
            }
            Notification::Event(Event::SessionEnded { session }) => {
                self.sessions.remove(&(session.index, session.generation));
            }
            Notification::Event(Event::Audio(audio::Event::Ended { player })) => {
                self.players.remove(&(player.index, player.generation));
            }
            Notification::Event(_) => assert_eq!(self.told, Told::Connected, "{notification:?}"),
            Notification::ConnectionLost(_) => {
                assert_eq!(self.told, Told::Connected, "what there was not is not lost");
                assert!(self.sessions.is_empty() && self.players.is_empty(), "their end was told before");
                assert!(!self.has_memory, "the memory was let go of before");
                self.told = Told::Lost;
            }
            Notification::Reconnected { connection } => {
                assert_eq!(self.told, Told::Lost, "what was not lost is not had again");
                assert_eq!(connection, self.client.connections());
                self.told = Told::Connected;
                self.hello = None;
            }
            Notification::GivenUp(_) => {
                assert!(self.told != Told::Connected, "what is given up was lost before");
                self.told = Told::Nothing;
            }
            other => panic!("{other:?}"),
        }
    }

    fn check(&mut self) {
        if self.connection != Connection::Open {
            self.hello = None;
            assert!(self.calls.is_empty(), "calls without a connection: {:?}", self.calls);
            assert!(self.sessions.is_empty() && self.players.is_empty() && !self.has_memory);
        }
        assert_eq!(self.client.has_memory(), self.has_memory);
        let waiting = usize::from(self.client.calls_waiting());
        assert_eq!(waiting, self.calls.len() + usize::from(self.hello.is_some()));
        let is_connected = self.client.connection() == ConnectionState::Connected;
        assert_eq!(is_connected, self.told == Told::Connected);
        assert!(is_connected || self.client.application() == AppState::Unknown, "nothing is known of the app");
    }

    fn write_and_read_back(&mut self) {
        let mut buffer = [0; WRITTEN_BYTES_MAX];
        let written = encode(&self.client, &mut buffer).expect("it fits");
        self.client = decode(written).expect("it can be read back");
        let mut again = [0; WRITTEN_BYTES_MAX];
        assert_eq!(encode(&self.client, &mut again).expect("it fits"), written);
    }

    fn disconnect(&mut self) {
        let _ = self.give(Input::Disconnect);
        assert_eq!(self.client.connection(), ConnectionState::Disconnected);
        assert_eq!((self.told, self.connection), (Told::Nothing, Connection::None));
        assert_eq!(self.client.next_deadline(), None, "nothing is due");
    }
}

/// Performs operations on a client, and looks after each at all that its app and its platform see of it.
///
/// # Panics
///
/// When something is seen that must not be: SM-22 to SM-25, SM-29, SM-30, SM-36.
pub fn client(bytes: &[u8]) {
    let mut comparison = Comparison::new();
    for operation in steps(bytes) {
        comparison.perform(operation);
    }
    comparison.disconnect();
    // What is ended begins anew.
    comparison.perform(Operation::Connect { reconnects: false });
    comparison.disconnect();
}
