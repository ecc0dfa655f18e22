//! A run that was recorded comes to the same once more, and one that does not says where.

use std::time::Duration;

use greenroom_core::client::{self, Client};
use greenroom_core::hal::{DecoderEvent, ExitStatus, Peer};
use greenroom_core::health::HealthCheck;
use greenroom_core::limits::CAPACITIES;
use greenroom_core::manager::{self, Facts, Manager, Settings, Ticket};
use greenroom_core::message::playback::{Answer, Command, Event, Message, PlaybackState, SessionId};
use greenroom_core::message::{Allowed, AppState, LogLevels, Resources, ServerState, TargetState, control, link};
use greenroom_core::session::{self, Action, ClientId, Server};
use greenroom_core::table::Handle;
use greenroom_core::time::Instant;
use greenroom_core::trace::file::{self, File, Origin};
use greenroom_core::trace::{
    BUILD, CapacitiesDiffer, MachineKind, Polled, Record, Recorder, Replayable, SEGMENTS, TraceBuffer, Traced,
    checksum_of, segments,
};
use greenroom_hal_mock::World;
use greenroom_hal_mock::replay::{Difference, Outcome, ReplayError, Told, file_of, replay};
use serde::Serialize;

type Recorded<M> = Traced<M, TraceBuffer<Vec<u8>>>;

const BYTES: usize = 64 * 1024;

fn recorded<M>(machine: M, bytes: usize) -> Recorded<M> {
    Traced::new(machine, TraceBuffer::new(vec![0; bytes]))
}

fn origin(machine: MachineKind) -> Origin {
    Origin { machine, app: None, process_id: 1, ended: None }
}

fn replayed(kind: MachineKind, memory: &[u8]) -> Result<Outcome, ReplayError> {
    let bytes = file_of([(&origin(kind), memory)]);
    replay(&File::parse(&bytes).unwrap(), |_| {}).map(|outcomes| outcomes[0].clone())
}

/// A manager that is told anything.
struct AnyManager {
    world: World,
    machine: Recorded<Manager>,
    spawns: Vec<manager::AppHandle>,
    asked: Vec<(manager::AppHandle, u32)>,
}

impl AnyManager {
    fn new(seed: u64, bytes: usize) -> Self {
        let settings = Settings { decoders: 2, spares: 1, ..Settings::default() };
        let machine = recorded(Manager::new(settings), bytes);
        Self { world: World::new(seed), machine, spawns: Vec::new(), asked: Vec::new() }
    }

    fn chance(&self, bound: u64) -> usize {
        self.world.random(bound) as usize
    }

    fn tell(&mut self, input: manager::Input<'_>) {
        let _ = self.machine.handle(self.world.now(), input);
        while let Some(action) = self.machine.poll_action() {
            match action {
                manager::Action::Spawn { app } => self.spawns.push(app),
                manager::Action::Configure { app, sequence } | manager::Action::SetState { app, sequence, .. } => {
                    self.asked.push((app, sequence));
                }
                _ => {}
            }
        }
    }

    fn step(&mut self, number: u32) {
        while let Some(app) = self.spawns.pop() {
            self.tell(manager::Input::Spawned { app, result: Ok(number) });
        }
        let app = Handle::from_parts(self.chance(4) as u16, 1 + self.chance(3) as u16);
        let names = ["app1", "app2", "com.example.a-longer-name", "no/name"];
        let name = names[self.chance(4)];
        let state = [TargetState::Active, TargetState::Inactive, TargetState::NotRunning][self.chance(3)];
        let from = Ticket { controller: Handle::from_parts(0, 1), sequence: number };
        let resources = Resources { max_playback_sessions: 1, max_web_audio_players: 0, max_key_sessions: 0 };
        let facts = Some(Facts { resources, socket_directory: "/run/greenroom" });
        let states = [ServerState::Uninitialized, ServerState::Inactive, ServerState::Active, ServerState::Error];
        let input = match self.chance(9) {
            0 | 1 => {
                let command = control::Command::Initiate { app: name, state, socket: "" };
                manager::Input::Request { from, command, facts }
            }
            2 => manager::Input::Request { from, command: control::Command::ChangeState { app: name, state }, facts },
            3 | 4 if !self.asked.is_empty() => {
                let (app, sequence) = self.asked.remove(0);
                manager::Input::Link { app, message: link::Message::Reply { sequence, result: Ok(()) } }
            }
            5 | 6 => {
                let message = link::Message::StateChanged { state: states[self.chance(4)], reason: None };
                manager::Input::Link { app, message }
            }
            7 => manager::Input::ChildExited { app, status: ExitStatus::Killed(9) },
            _ => {
                self.world.advance(Duration::from_millis(self.world.random(700)));
                manager::Input::Tick
            }
        };
        self.tell(input);
        if self.chance(2) == 0 {
            self.machine.settle();
        }
    }
}

/// A session server that is told anything, and whose platform and peers block in the middle of what they are sent.
struct AnyServer {
    world: World,
    machine: Recorded<Server>,
    outcomes: Vec<session::Input<'static>>,
    clients: Vec<ClientId>,
}

fn configuration() -> link::Configuration<'static> {
    link::Configuration {
        app: "app1",
        socket: "/run/greenroom/app1",
        socket_mode: 0o660,
        socket_owner: "",
        socket_group: "root",
        state: TargetState::Active,
        resources: Resources { max_playback_sessions: 2, max_web_audio_players: 2, max_key_sessions: 2 },
        log_levels: LogLevels::default(),
        video_sink: "fake",
        audio_sink: "fake",
        clients: Allowed::default(),
        health: HealthCheck::OFF,
    }
}

impl AnyServer {
    fn new(seed: u64, bytes: usize) -> Self {
        let (world, machine) = (World::new(seed), recorded(Server::new(), bytes));
        let mut server = Self { world, machine, outcomes: Vec::new(), clients: Vec::new() };
        server.tell(session::Input::Started(Ok(())));
        let command = link::Command::SetConfiguration(configuration());
        server.tell(session::Input::Link(link::Request { sequence: 1, command }));
        server
    }

    fn chance(&self, bound: u64) -> usize {
        self.world.random(bound) as usize
    }

    fn tell(&mut self, input: session::Input<'_>) {
        if self.machine.handle(self.world.now(), input).is_ok() {
            self.drain();
        }
        while let Some(outcome) = self.outcomes.pop() {
            if self.machine.handle(self.world.now(), outcome).is_ok() {
                self.drain();
            }
        }
    }

    fn drain(&mut self) {
        while let Some(action) = self.machine.poll_action() {
            let blocks = self.chance(6) == 0;
            match action {
                Action::Bind => self.outcomes.push(session::Input::Bound(Ok(()))),
                Action::Allocate { .. } => self.outcomes.push(session::Input::Allocated(Ok(()))),
                Action::Renew { slot } => self.outcomes.push(session::Input::Renewed { slot, result: Ok(()) }),
                Action::Open { session } => self.outcomes.push(session::Input::Opened { session, result: Ok(()) }),
                Action::Admit { client } => self.clients.push(client),
                Action::Close { session } => {
                    self.outcomes.insert(0, session::Input::Decoder(DecoderEvent::Closed { session }));
                }
                Action::Command { session, token, .. } => {
                    let completed = DecoderEvent::Completed { session, token, result: Ok(()) };
                    self.outcomes.insert(0, session::Input::Decoder(completed));
                }
                Action::Link(_) if blocks => {
                    let _ = self.machine.handle(self.world.now(), session::Input::LinkBlocked);
                }
                Action::Reply { client, .. } | Action::Event { client, .. } if blocks => {
                    let _ = self.machine.handle(self.world.now(), session::Input::ClientBlocked { client });
                }
                _ => {}
            }
        }
    }

    fn step(&mut self, number: u32) {
        self.world.advance(Duration::from_millis(self.world.random(3)));
        let known = self.clients.get(self.chance(self.clients.len().max(1) as u64)).copied();
        let client = known.unwrap_or(Handle::from_parts(0, 1));
        let session = SessionId { index: self.chance(2) as u16, generation: 1 + self.chance(4) as u16 };
        let call = |command| session::Input::Call { client, sequence: number, command };
        let input = match self.chance(16) {
            0 => session::Input::ClientConnected { peer: Peer::new(7, 1000, 1000) },
            1 | 2 => call(Command::Hello),
            3 | 4 => call(Command::GetSharedMemory),
            5 | 6 => call(Command::CreateSession),
            7 => call(Command::Load { session, live: false }),
            8 => call(Command::Play { session }),
            9 if self.chance(6) == 0 => call(Command::ReleaseSharedMemory),
            10 if self.chance(6) == 0 => session::Input::ClientClosed { client },
            11 => session::Input::ClientWritable { client },
            12 => session::Input::LinkWritable,
            13 => session::Input::Tick,
            14 => {
                session::Input::Decoder(DecoderEvent::State { session: session.index, state: PlaybackState::Playing })
            }
            _ => session::Input::Decoder(DecoderEvent::Position { session: session.index, position_ns: number.into() }),
        };
        self.tell(input);
        if self.chance(2) == 0 {
            self.machine.settle();
        }
    }
}

/// A client whose app and whose server do anything.
fn any_client(seed: u64) -> Recorded<Client> {
    let (world, mut machine) = (World::new(seed), recorded(Client::new(), BYTES));
    for number in 0..2000_u32 {
        world.advance(Duration::from_millis(world.random(40)));
        let session = SessionId { index: world.random(2) as u16, generation: 1 + world.random(3) as u16 };
        // Now and then it is the number of a call that is there.
        let sequence = ((1 + world.random(4) as u32) << 16) | world.random(4) as u32;
        let answers = [
            Answer::Welcome { version: 1, state: AppState::Running },
            Answer::Done,
            Answer::Session { session },
            Answer::Position { position_ns: number.into() },
        ];
        let result = Ok(answers[world.random(4) as usize]);
        let calls = [Command::GetSharedMemory, Command::CreateSession, Command::Play { session }, Command::Hello];
        let input = match world.random(12) {
            0 => client::Input::Connect { reconnect_for: Duration::from_secs(world.random(3)) },
            1 => client::Input::Opened,
            2..=5 => client::Input::Received { message: Message::Reply { sequence, result }, descriptors: 0 },
            6 => client::Input::Received { message: Message::Event(Event::Ping), descriptors: 0 },
            7..=9 => client::Input::Call(calls[world.random(4) as usize]),
            10 if world.random(8) == 0 => client::Input::Broken(client::LostReason::Closed),
            _ => client::Input::Tick,
        };
        if machine.handle(world.now(), input).is_ok() {
            while machine.poll_action().is_some() {}
        }
        machine.settle();
    }
    machine
}

#[test]
fn a_client_comes_to_the_same_state_whatever_it_was_told() {
    for seed in 0..20 {
        let outcome = comes_to_the_same(&mut any_client(seed));
        assert!(outcome.compared > 100 && outcome.segments > 1, "{outcome}");
    }
}

#[track_caller]
fn comes_to_the_same<M: Replayable>(machine: &mut Recorded<M>) -> Outcome
where
    for<'a> M::Input<'a>: Serialize + Copy,
{
    machine.settle_for_reader();
    let outcome = replayed(M::KIND, machine.recorder().memory()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(outcome.checksum, checksum_of::<M>(machine).0, "{outcome}");
    assert_eq!((outcome.gaps, outcome.inputs_since), (0, 0), "{outcome}");
    outcome
}

#[test]
fn a_manager_comes_to_the_same_state_whatever_it_was_told() {
    for seed in 0..20 {
        let mut any = AnyManager::new(seed, BYTES);
        (1..=600).for_each(|number| any.step(number));
        any.machine.settle();
        let outcome = comes_to_the_same(&mut any.machine);
        assert!(outcome.compared > 100 && outcome.segments > 1, "{outcome}");
        assert!(any.machine.apps().count() > 0, "this tried too little");
    }
}

#[test]
fn a_session_server_comes_to_the_same_state_whatever_it_was_told() {
    let mut sessions = 0;
    for seed in 0..20 {
        let mut any = AnyServer::new(seed, BYTES);
        (1..=2000).for_each(|number| any.step(number));
        any.machine.settle();
        let outcome = comes_to_the_same(&mut any.machine);
        assert!(outcome.compared > 100 && outcome.segments > 1, "{outcome}");
        sessions += any.machine.sessions();
    }
    assert!(sessions > 0, "this tried too little");
}

#[test]
fn what_was_dropped_is_not_needed() {
    let mut any = AnyServer::new(1, 64 * 1024);
    (1..=5000).for_each(|number| any.step(number));
    any.machine.settle();
    let first = segments(any.machine.recorder().memory()).next().unwrap();
    assert!(first.start.number > 4, "all of it is still there");
    comes_to_the_same(&mut any.machine);
}

#[test]
fn a_process_that_was_killed_in_the_middle_of_its_actions_comes_to_its_last_input() {
    let mut any = AnyServer::new(3, BYTES);
    (1..=100).for_each(|number| any.step(number));
    any.machine.settle();
    let client = any.clients[0];
    let call = session::Input::Call { client, sequence: 1, command: Command::GetSharedMemory };
    let _ = any.machine.handle(any.world.now(), call);
    let outcome = replayed(MachineKind::Session, any.machine.recorder().memory()).unwrap();
    assert_eq!(outcome.inputs_since, 1, "{outcome}");
}

#[test]
fn each_step_says_when_who_was_told_what_and_what_followed() {
    let mut any = AnyManager::new(7, BYTES);
    (1..=50).for_each(|number| any.step(number));
    any.machine.settle();
    let bytes = file_of([(&origin(MachineKind::Manager), any.machine.recorder().memory().as_slice())]);
    let (mut lines, mut spawns, mut last) = (Vec::new(), 0, Instant::default());
    let outcomes = replay(&File::parse(&bytes).unwrap(), |step| {
        assert_eq!(step.number, lines.len() + 1);
        assert!(step.at >= last);
        last = step.at;
        if let Told::Manager { actions, .. } = &step.told {
            spawns += actions.iter().filter(|action| matches!(action, manager::Action::Spawn { .. })).count();
        }
        lines.push(step.to_string());
    });
    assert_eq!(outcomes.unwrap()[0].inputs, lines.len());
    assert!(spawns > 0);
    assert!(lines[0].contains("manager [1]  #1  "), "{}", lines[0]);
}

/// A recorder that misses one input, as if the machine had known something that nobody told it.
struct Misses {
    inner: TraceBuffer<Vec<u8>>,
    inputs_before: usize,
}

impl Recorder for Misses {
    fn record<M: Replayable, Input: Serialize>(&mut self, machine: &M, record: &Record<Input>) {
        match self.inputs_before.checked_sub(1) {
            Some(left) => self.inputs_before = left,
            None => self.inputs_before = usize::MAX,
        }
        if self.inputs_before < usize::MAX {
            self.inner.record(machine, record);
        }
    }

    fn settle<M: Replayable>(&mut self, machine: &M, before: Polled) {
        self.inner.settle(machine, before);
    }
}

#[test]
fn a_replay_that_differs_names_the_input_and_what_differs() {
    let missing = |inputs_before| {
        let inner = TraceBuffer::new(vec![0; BYTES]);
        let mut machine = Traced::new(Server::new(), Misses { inner, inputs_before });
        let configure = link::Request { sequence: 1, command: link::Command::SetConfiguration(configuration()) };
        for input in [
            session::Input::Started(Ok(())),
            session::Input::Link(configure),
            session::Input::Bound(Ok(())),
            session::Input::Allocated(Ok(())),
        ] {
            let _ = machine.handle(Instant::default(), input);
            while machine.poll_action().is_some() {}
            machine.settle();
        }
        replayed(MachineKind::Session, machine.recorder().inner.memory())
    };
    assert!(missing(4).is_ok());
    let error = missing(2).unwrap_err();
    let ReplayError::Diverged { number, difference, .. } = &error else { panic!("{error}") };
    // The third was missed; of the next one it is seen that the machine did not expect it.
    assert_eq!(*number, 3, "{error}");
    assert_eq!(*difference, Difference::Actions { recorded: 1, replayed: 0 }, "{error}");
    assert!(error.to_string().contains("differs from the run at input 3"), "{error}");
}

#[test]
fn a_trace_of_another_machine_than_it_says_is_refused() {
    let mut any = AnyManager::new(7, BYTES);
    (1..=10).for_each(|number| any.step(number));
    any.machine.settle();
    let error = replayed(MachineKind::Session, any.machine.recorder().memory()).unwrap_err();
    assert!(matches!(error, ReplayError::Snapshot { segment: 1, .. }), "{error}");
    let mut empty = Vec::new();
    let mut write = |written: &[u8]| empty.extend_from_slice(written);
    file::opening(&mut write);
    file::part(&origin(MachineKind::Session), &[], &mut write);
    file::end(&mut write);
    let error = replay(&File::parse(&empty).unwrap(), |_| {}).unwrap_err();
    assert!(matches!(error, ReplayError::Empty { .. }), "{error}");
}

/// The first segment of this memory, with other bytes at a place of its start and a checksum that is right.
fn forged(memory: &[u8], behind: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut memory = memory.to_vec();
    let (head, rest) = memory[BYTES / SEGMENTS..].split_at_mut(8);
    let length = u32::from_le_bytes(head[..4].try_into().unwrap()) as usize;
    let place = rest.windows(behind.len()).position(|found| found == behind).unwrap() + behind.len();
    rest[place..place + bytes.len()].copy_from_slice(bytes);
    head[4..].copy_from_slice(&crc32fast::hash(&rest[..length]).to_le_bytes());
    memory
}

#[test]
fn a_trace_of_another_release_or_of_other_capacities_says_which() {
    let mut any = AnyManager::new(7, BYTES);
    (1..=10).for_each(|number| any.step(number));
    any.machine.settle();
    let memory = any.machine.recorder().memory();
    // The format, the segment's number, and how long the name of the release is.
    let of_other_release = forged(memory, &[1, 1, BUILD.len() as u8], &vec![b'9'; BUILD.len()]);
    let error = replayed(MachineKind::Manager, &of_other_release).unwrap_err();
    assert_eq!(error, ReplayError::Build { recorded: "9".repeat(BUILD.len()) });
    // Behind the release stand the kind of machine and how long the capacities are; the first is that of apps.
    let mut behind = BUILD.as_bytes().to_vec();
    behind.extend([MachineKind::Manager as u8, 2 * CAPACITIES.len() as u8]);
    let with_other_capacity = forged(memory, &behind, &3_u16.to_be_bytes());
    let error = replayed(MachineKind::Manager, &with_other_capacity).unwrap_err();
    assert_eq!(error, ReplayError::Capacity(CapacitiesDiffer { name: "APPS_MAX", recorded: 3 }));
    assert!(error.to_string().contains("GREENROOM_APPS_MAX=3"), "{error}");
}

/// A licence is nobody's business, and a machine does not look at it.
#[test]
fn what_only_passes_through_is_not_recorded() {
    let mut any = AnyServer::new(1, BYTES);
    let command = greenroom_core::message::keys::Command::Update {
        key_session: greenroom_core::message::keys::KeySessionId { index: 0, generation: 1 },
        response: b"a-secret-licence",
    };
    let client = Handle::from_parts(0, 1);
    any.tell(session::Input::ClientConnected { peer: Peer::new(7, 1000, 1000) });
    any.tell(session::Input::Call { client, sequence: 1, command: Command::Hello });
    any.tell(session::Input::Call { client, sequence: 2, command: Command::Keys(command) });
    any.machine.settle();
    let memory = any.machine.recorder().memory();
    assert!(!memory.windows(8).any(|bytes| bytes == b"a-secret"));
    comes_to_the_same(&mut any.machine);
}
