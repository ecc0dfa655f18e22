//! Managers, apps and decoders that do anything at any time: what must hold always, holds.

use std::collections::BTreeSet;
use std::time::Duration;

use greenroom_core::driver::{Connection, Incoming};
use greenroom_core::hal::{DecoderEvent, Descriptors};
use greenroom_core::limits::{DECODER_TIMEOUT, MESSAGE_BYTES_MAX};
use greenroom_core::message::playback::{
    Answer, Codec, Command, Event, Message, PlaybackError, PlaybackState, Request, SessionId, Shape, SourceDescription,
    SourceId,
};
use greenroom_core::message::{AppState, LogLevels, Resources, ServerState, TargetState, link};
use greenroom_hal_mock::{DueText, SeqPacket, World};
use greenroom_tests::recording::replays_to;
use greenroom_tests::session_stage::{PATH, PEER, Stage, configuration};

const STEPS: usize = 1000;
const APPS: usize = 3;
/// Sessions that the app may have, on one connection or on several.
const SLOTS: u8 = 4;

/// An app that calls what it likes and remembers which of its calls are not answered.
struct Caller {
    connection: Connection<SeqPacket>,
    sequence: u32,
    unanswered: BTreeSet<u32>,
    /// Those that it was told of, and not told that they ended.
    open: Vec<SessionId>,
    sessions: usize,
    /// The most that it had at a time.
    sessions_at_a_time: usize,
    is_closed: bool,
}

impl Caller {
    fn connect(stage: &Stage) -> Option<Self> {
        let socket = stage.world.connect(PATH, PEER).ok()?;
        let connection = Connection::asking(socket);
        let mut caller = Self {
            connection,
            sequence: 0,
            unanswered: BTreeSet::new(),
            open: Vec::new(),
            sessions: 0,
            sessions_at_a_time: 0,
            is_closed: false,
        };
        caller.call(Command::Hello);
        Some(caller)
    }

    fn call(&mut self, command: Command<'_>) {
        if self.connection.is_blocked() {
            let _ = self.connection.flush();
            return;
        }
        self.sequence += 1;
        match self.connection.send(&Request { sequence: self.sequence, command }, Descriptors::new()) {
            Ok(_) => assert!(self.unanswered.insert(self.sequence)),
            Err(_) => self.is_closed = true,
        }
    }

    /// SM-30: an answer is to a call that was made and not answered before.
    fn hear(&mut self) {
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        loop {
            let mut descriptors = Descriptors::new();
            match self.connection.receive(&mut buffer, &mut descriptors) {
                Ok(Incoming::Message { message: Message::Reply { sequence, result }, .. }) => {
                    assert!(self.unanswered.remove(&sequence), "a second answer to {sequence}, or one to no call");
                    match result {
                        Ok(Answer::Session { session }) => self.opened(session),
                        Ok(Answer::SessionWithMemory { session, .. }) => {
                            assert_eq!(descriptors.len(), 2, "the memory comes with the session");
                            self.opened(session);
                        }
                        _ => {}
                    }
                }
                Ok(Incoming::Message { message: Message::Event(Event::SessionEnded { session }), .. }) => {
                    // One whose answer was refused meanwhile ended, too.
                    self.open.retain(|known| *known != session);
                }
                Ok(Incoming::Message {
                    message: Message::Event(_) | Message::Text { .. } | Message::Keys(_), ..
                }) => {}
                Ok(Incoming::Nothing) => return,
                Ok(Incoming::Closed) | Err(_) => return self.is_closed = true,
            }
        }
    }
}

impl Caller {
    fn opened(&mut self, session: SessionId) {
        assert!(!self.open.contains(&session), "a number that is in use: {session:?}");
        self.open.push(session);
        self.sessions += 1;
        self.sessions_at_a_time = self.sessions_at_a_time.max(self.open.len());
        assert!(self.open.len() <= usize::from(SLOTS), "more than the app may have");
    }
}

struct Simulation {
    stage: Stage,
    callers: Vec<Caller>,
    /// Requests of the manager that are not answered.
    unanswered: usize,
    told: ServerState,
    /// Sessions that were made by apps that are gone.
    sessions: usize,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        // Seeds that lie next to each other would give runs that are alike.
        let world = World::new(seed.wrapping_mul(0xD134_2543_DE82_EF95));
        world.be_unkind();
        let stage = Stage::in_world(world);
        let mut simulation =
            Self { stage, callers: Vec::new(), unanswered: 0, told: ServerState::Uninitialized, sessions: 0 };
        let configuration = configuration(TargetState::Active);
        let resources = Resources { max_playback_sessions: SLOTS, ..configuration.resources };
        let configuration = link::Configuration { resources, ..configuration };
        simulation.ask(link::Command::SetConfiguration(configuration));
        simulation
    }

    fn chance(&self, bound: u64) -> u64 {
        self.stage.world.random(bound)
    }

    fn ask(&mut self, command: link::Command<'_>) {
        if self.stage.manager.is_blocked() {
            return;
        }
        if self.stage.manager.send(&link::Request { sequence: 1, command }, Descriptors::new()).is_ok() {
            self.unanswered += 1;
        }
        self.stage.run();
    }

    fn step(&mut self) {
        match self.chance(100) {
            0 => self.ask(link::Command::SetState(TargetState::Inactive)),
            1 | 2 => self.ask(link::Command::SetState(TargetState::Active)),
            3 => self.ask(link::Command::SetLogLevels(LogLevels::default())),
            4..=7 => self.come_or_go(),
            8..=24 => self.decoders_do_something(),
            25 => self.stage.pass(Duration::from_millis(self.chance(500))),
            26 => self.some_go_deaf(),
            _ => self.somebody_calls(),
        }
        if self.chance(4) > 0 {
            self.stage.run();
        }
        if self.chance(3) == 0 {
            self.callers.iter_mut().for_each(Caller::hear);
        }
        self.check();
    }

    fn come_or_go(&mut self) {
        self.sessions +=
            self.callers.extract_if(.., |caller| caller.is_closed).map(|gone| gone.sessions).sum::<usize>();
        if self.callers.len() < APPS {
            self.callers.extend(Caller::connect(&self.stage));
        } else if self.chance(3) == 0 {
            let gone = self.callers.remove(self.stage.world.random(APPS as u64) as usize);
            self.sessions += gone.sessions;
        }
    }

    fn decoders_do_something(&mut self) {
        let session = self.chance(u64::from(SLOTS) + 1) as u16;
        let source = SourceId(self.chance(2) as u8);
        let result = if self.chance(8) == 0 { Err(PlaybackError::Decode) } else { Ok(()) };
        match self.chance(12) {
            0..=3 => self.stage.decoders.complete(session, result),
            4 => self.stage.decoders.say(DecoderEvent::State { session, state: PlaybackState::Playing }),
            5 => self.stage.decoders.say(DecoderEvent::Position { session, position_ns: 1 }),
            6 => self.stage.decoders.say(DecoderEvent::Failed { session, error: PlaybackError::Sink }),
            7 => self.stage.decoders.say(DecoderEvent::Underflow { session, source }),
            8 => {
                let event = DecoderEvent::QualityOfService { session, source, frames_rendered: 1, frames_dropped: 1 };
                self.stage.decoders.say(event);
            }
            9 => self.stage.decoders.say(DecoderEvent::PictureSize { session, source, width: 1, height: 1 }),
            10 => {
                let body = "a line".into();
                self.stage.decoders.show_text(session, DueText { source, start_ns: 0, duration_ns: None, body });
            }
            // Nothing was said of it, so nobody may take it for another's end.
            _ => self.stage.decoders.say(DecoderEvent::FirstFrame { session, source: SourceId(9) }),
        }
    }

    fn some_go_deaf(&mut self) {
        for caller in &self.callers {
            let room = if self.stage.world.random(2) == 0 { 0 } else { 16 };
            caller.connection.socket().set_capacity(room);
        }
    }

    fn somebody_calls(&mut self) {
        if self.callers.is_empty() {
            return;
        }
        let who = self.chance(self.callers.len() as u64) as usize;
        // Now and then it names a session of somebody else.
        let whose = if self.chance(8) == 0 { self.chance(self.callers.len() as u64) as usize } else { who };
        let open = &self.callers[whose].open;
        let which = self.chance(open.len().max(1) as u64) as usize;
        let session = open.get(which).copied().unwrap_or(SessionId { index: 0, generation: 1 });
        let source = SourceDescription { codec: Codec::H264, shape: Shape::default(), codec_data: &[] };
        let command = match self.chance(18) {
            0 | 1 => Command::GetSharedMemory,
            2 | 3 => Command::CreateSession,
            4 => Command::DestroySession { session },
            5 => Command::ReleaseSharedMemory,
            6 => Command::Load { session, live: false },
            7 => Command::AttachSource { session, source },
            8 => Command::AllSourcesAttached { session },
            9 => Command::Play { session },
            10 => Command::Stop { session },
            11 => Command::SetPosition { session, position_ns: 1, epoch: 1 },
            12 => Command::GetPosition { session },
            13 => Command::SetMute { session, muted: true },
            14 => Command::RemoveSource { session, source: SourceId(0) },
            15 => Command::SetPlaybackRate { session, rate_permille: 2000 },
            16 => {
                let text = SourceDescription { codec: Codec::TextUtf8, ..source };
                Command::AttachSource { session, source: text }
            }
            _ => Command::Hello,
        };
        if let Command::DestroySession { session } = command {
            self.callers[who].open.retain(|known| *known != session);
        }
        self.callers[who].call(command);
    }

    fn check(&mut self) {
        for message in self.stage.heard() {
            match message {
                link::Message::Reply { .. } => {
                    self.unanswered = self.unanswered.checked_sub(1).expect("an answer to no request");
                }
                link::Message::StateChanged { state, .. } => {
                    assert!(follows(self.told, state), "{state:?} after {:?}", self.told);
                    self.told = state;
                }
                link::Message::Listener | link::Message::Clients { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        // SM-32: whom the clients are told is Inactive has let go of everything by the time the manager knows.
        if self.told != ServerState::Active && self.stage.driver.machine().app_state() == AppState::Inactive {
            assert_eq!(self.stage.driver.machine().sessions(), 0, "in {:?}", self.told);
        }
        // SM-33
        assert!(self.stage.decoders.open_sessions() <= usize::from(SLOTS));
    }

    /// Everybody listens again and every decoder does what it was told; then nobody waits for anything.
    fn settle(&mut self) {
        for _ in 0..10 {
            self.callers.iter().for_each(|caller| caller.connection.socket().set_capacity(16));
            (0..u16::from(SLOTS)).for_each(|session| self.stage.decoders.complete(session, Ok(())));
            self.stage.run();
            self.stage.pass(DECODER_TIMEOUT);
            self.stage.run();
            for caller in &mut self.callers {
                caller.hear();
                let _ = caller.connection.flush();
            }
        }
        self.check();
        assert_eq!(self.unanswered, 0);
        for caller in self.callers.iter().filter(|caller| !caller.is_closed) {
            assert_eq!(caller.unanswered, BTreeSet::new());
        }
    }
}

/// SM-31
fn follows(before: ServerState, after: ServerState) -> bool {
    use ServerState::{Active, Error, Inactive, NotRunning, Uninitialized};
    matches!(
        (before, after),
        (Uninitialized, Inactive | Active | NotRunning | Error)
            | (Inactive, Active | NotRunning | Error)
            | (Active, Inactive | NotRunning | Error)
            | (Error, NotRunning)
    )
}

/// SM-30, SM-31, SM-32, SM-33, SM-34, SM-35
#[test]
fn whatever_everybody_does_all_are_answered_and_nothing_is_left() {
    let (mut sessions, mut at_a_time, mut inputs) = (0, 0, 0);
    for seed in 0..24 {
        let mut simulation = Simulation::new(seed);
        // Some decoders hang until the simulation moves them; in half of the worlds they do what they are told.
        if seed % 2 == 0 {
            simulation.stage.decoders.wait_for_me_but_let_go();
        }
        for _ in 0..STEPS {
            simulation.step();
        }
        simulation.settle();
        sessions += simulation.sessions + simulation.callers.iter().map(|caller| caller.sessions).sum::<usize>();
        let most = simulation.callers.iter().map(|caller| caller.sessions_at_a_time).max();
        at_a_time = at_a_time.max(most.unwrap_or(0));
        simulation.ask(link::Command::SetState(TargetState::NotRunning));
        simulation.callers.clear();
        simulation.stage.run();
        assert_eq!(simulation.stage.driver.exit_status(), Some(0), "seed {seed}");
        inputs += replays_to(simulation.stage.driver.machine(), simulation.stage.driver.recorder()).inputs;
        assert_eq!(simulation.stage.decoders.open_sessions(), 0);
        assert_eq!(simulation.stage.memory.regions_in_use(), 0);
        assert!(simulation.stage.world.permissions(PATH).is_some(), "it is the manager's to remove");
    }
    assert!(inputs > 10_000, "only {inputs} inputs were replayed");
    assert!(sessions > 200, "only {sessions} sessions were made: this tried too little");
    assert!(at_a_time >= 3, "no connection had more than {at_a_time} sessions at a time: this tried too little");
}
