mod audio;
mod health;
mod keys;

use std::string::String;
use std::vec::Vec;

use super::playback::Order;
use super::{Action, ClientId, Input, NotTaken, Response, Server};
use crate::driver::Machine;
use crate::hal::{DecoderEvent, ErrorKind, Peer};
use crate::health::HealthCheck;
use crate::limits::{CLIENTS_MAX, DECODER_TIMEOUT, GREETING_TIMEOUT, STOP_TIMEOUT};
use crate::message::link::{self, Configuration, Message};
use crate::message::playback::{
    Codec, Command, Event, MediaKind, PlaybackError, PlaybackState, Refusal, SessionId, Shape, SourceDescription,
    SourceId, TableName, Window,
};
use crate::message::{
    Allowed, AppState, Component, Ids, LogLevel, LogLevels, Reason, Resources, ServerState, TargetState,
};
use crate::time::Instant;

const PEER: Peer = Peer::new(7, 1000, 1000);
const STRANGER: Peer = Peer::new(8, 1001, 1001);
const LEAVES_ITS_FILE: Action = Action::Unbind { leaves_file: true };
const SESSION: SessionId = SessionId { index: 0, generation: 1 };
const SOURCE: SourceId = SourceId(0);
const VIDEO: SourceDescription<'static> = SourceDescription {
    codec: Codec::H264,
    shape: Shape {
        width: 0,
        height: 0,
        frame_rate_numerator: 0,
        frame_rate_denominator: 0,
        sample_rate: 0,
        channels: 0,
    },
    codec_data: &[],
};

fn configuration(state: TargetState) -> Configuration<'static> {
    Configuration {
        app: "app1",
        socket: "/run/app1",
        socket_mode: 0o660,
        socket_owner: "",
        socket_group: "video",
        state,
        resources: Resources { max_playback_sessions: 2, max_web_audio_players: 2, max_key_sessions: 0 },
        log_levels: LogLevels::default(),
        video_sink: "fake",
        audio_sink: "fake",
        clients: Allowed::default(),
        health: HealthCheck::OFF,
    }
}

/// A server on a stage where every platform call goes well at once, unless a test plays it by hand.
struct Stage {
    server: Server,
    now: Instant,
}

impl Stage {
    fn started() -> Self {
        let mut stage = Self { server: Server::new(), now: Instant::from_millis(1000) };
        stage.take(Input::Started(Ok(())));
        stage
    }

    fn inactive() -> Self {
        let mut stage = Self::started();
        stage.configure(TargetState::Inactive);
        stage.take(Input::Bound(Ok(())));
        stage
    }

    fn active() -> Self {
        let mut stage = Self::started();
        stage.configure(TargetState::Active);
        stage.take(Input::Bound(Ok(())));
        stage.take(Input::Allocated(Ok(())));
        stage
    }

    fn drain(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.server.poll_action()).collect()
    }

    fn take(&mut self, input: Input<'_>) -> Vec<Action> {
        self.server.handle(self.now, input).unwrap();
        self.drain()
    }

    fn ask_link(&mut self, command: link::Command<'_>) -> Vec<Action> {
        self.take(Input::Link(link::Request { sequence: 7, command }))
    }

    fn configure(&mut self, state: TargetState) -> Vec<Action> {
        self.ask_link(link::Command::SetConfiguration(configuration(state)))
    }

    fn set(&mut self, state: TargetState) -> Vec<Action> {
        self.ask_link(link::Command::SetState(state))
    }

    fn connect(&mut self) -> ClientId {
        self.connect_as(PEER)
    }

    fn connect_as(&mut self, peer: Peer) -> ClientId {
        let actions = self.take(Input::ClientConnected { peer });
        actions
            .iter()
            .find_map(|action| if let Action::Admit { client } = action { Some(*client) } else { None })
            .unwrap()
    }

    fn greeted(&mut self) -> ClientId {
        let client = self.connect();
        self.call(client, Command::Hello);
        client
    }

    fn call(&mut self, client: ClientId, command: Command<'_>) -> Vec<Action> {
        self.take(Input::Call { client, sequence: 5, command })
    }

    /// A client that has its memory and a session in it.
    fn playing_client(&mut self) -> (ClientId, SessionId) {
        let client = self.greeted();
        self.call(client, Command::GetSharedMemory);
        let opened = self.call(client, Command::CreateSession);
        let index =
            opened.iter().find_map(|action| if let Action::Open { session } = action { Some(*session) } else { None });
        let actions = self.take(Input::Opened { session: index.unwrap(), result: Ok(()) });
        let [Action::Reply { response: Response::Session { session, .. }, .. }] = actions[..] else {
            panic!("{actions:?}")
        };
        (client, session)
    }

    /// A session beside those that the client has.
    fn further_session(&mut self, client: ClientId) -> SessionId {
        let opened = self.call(client, Command::CreateSession);
        let [Action::Open { session }] = opened[..] else { panic!("{opened:?}") };
        let actions = self.take(Input::Opened { session, result: Ok(()) });
        let [Action::Reply { response: Response::Session { session, slot: Some(_) }, .. }] = actions[..] else {
            panic!("{actions:?}")
        };
        session
    }

    /// An order of a client, carried out by its decoder.
    fn ordered(&mut self, client: ClientId, command: Command<'_>) -> Vec<Action> {
        let given = self.call(client, command);
        let Some(&Action::Command { session, token, .. }) = given.first() else { panic!("{given:?}") };
        self.take(Input::Decoder(DecoderEvent::Completed { session, token, result: Ok(()) }))
    }

    fn pass(&mut self, duration: core::time::Duration) -> Vec<Action> {
        self.now = self.now.after(duration);
        self.take(Input::Tick)
    }
}

fn reply(result: Result<(), link::Refusal>) -> Action {
    Action::Link(Message::Reply { sequence: 7, result })
}

fn state(state: ServerState) -> Action {
    Action::Link(Message::StateChanged { state, reason: None })
}

fn last_word(state: ServerState, reason: Reason) -> Action {
    Action::Link(Message::StateChanged { state, reason: Some(reason) })
}

fn answer(client: ClientId, response: Response) -> Action {
    Action::Reply { client, sequence: 5, response }
}

fn refuse(client: ClientId, refusal: Refusal) -> Action {
    answer(client, Response::Refused(refusal))
}

fn event(client: ClientId, event: Event) -> Action {
    Action::Event { client, event }
}

fn clients(connected: u8, state: AppState) -> Action {
    Action::Link(Message::Clients { connected, state })
}

/// SM-05
#[test]
fn its_first_message_says_that_it_is_up() {
    let mut server = Server::new();
    server.handle(Instant::default(), Input::Started(Ok(()))).unwrap();
    assert_eq!(server.poll_action(), Some(state(ServerState::Uninitialized)));
    assert_eq!(server.poll_action(), None);
}

/// SM-11
#[test]
fn what_cannot_start_says_so_and_exits() {
    let mut server = Server::new();
    server.handle(Instant::default(), Input::Started(Err(ErrorKind::Other))).unwrap();
    let actions: Vec<_> = std::iter::from_fn(|| server.poll_action()).collect();
    let word = last_word(ServerState::Error, Reason::Initialization);
    assert_eq!(actions, [LEAVES_ITS_FILE, word, Action::Exit { status: 1 }]);
}

/// SM-07, SM-08
#[test]
fn configured_for_inactive_it_answers_binds_hands_the_listener_up_and_notifies() {
    let mut stage = Stage::started();
    let levels = Action::SetLogLevels(LogLevels::default());
    assert_eq!(stage.configure(TargetState::Inactive), [reply(Ok(())), levels, Action::Bind]);
    assert_eq!(stage.server.place().path, "/run/app1");
    assert_eq!(stage.server.place().group, "video");
    let listener = Action::Link(Message::Listener);
    assert_eq!(stage.take(Input::Bound(Ok(()))), [listener, state(ServerState::Inactive)]);
}

/// SM-13, SM-16: only Active is notified.
#[test]
fn configured_for_active_it_allocates_after_the_socket_was_made() {
    let mut stage = Stage::started();
    stage.configure(TargetState::Active);
    let bound = stage.take(Input::Bound(Ok(())));
    assert_eq!(bound, [Action::Allocate { slots: 2, players: 2 }, Action::Link(Message::Listener)]);
    assert_eq!(stage.take(Input::Allocated(Ok(()))), [state(ServerState::Active)]);
}

/// SM-07
///
/// Field failure H
#[test]
fn a_second_configuration_is_refused() {
    let mut stage = Stage::inactive();
    let refusal = link::Refusal::WrongState { state: ServerState::Inactive };
    assert_eq!(stage.configure(TargetState::Active), [reply(Err(refusal))]);
}

/// SM-07, SM-33
///
/// Field failure I
#[test]
fn a_configuration_that_cannot_hold_is_refused_and_a_better_one_taken() {
    let mut stage = Stage::started();
    let good = configuration(TargetState::Inactive);
    let long = "/".repeat(108);
    let bad = [
        Configuration { resources: Resources { max_playback_sessions: 200, ..good.resources }, ..good },
        Configuration { app: "../etc", ..good },
        Configuration { socket: "relative", ..good },
        Configuration { socket: &long, ..good },
        Configuration { state: TargetState::NotRunning, ..good },
    ];
    for configuration in bad {
        let refused = stage.ask_link(link::Command::SetConfiguration(configuration));
        assert_eq!(refused, [reply(Err(link::Refusal::Configuration))]);
    }
    assert_eq!(stage.configure(TargetState::Inactive).first(), Some(&reply(Ok(()))));
}

/// SM-10
#[test]
fn a_socket_that_cannot_be_made_is_unbound_reported_and_ends_it() {
    let mut stage = Stage::started();
    stage.configure(TargetState::Inactive);
    let actions = stage.take(Input::Bound(Err(ErrorKind::NotFound)));
    let word = last_word(ServerState::Error, Reason::SocketDirectoryMissing);
    assert_eq!(actions, [LEAVES_ITS_FILE, word, Action::Exit { status: 1 }]);
    assert_eq!(stage.drain(), [], "nothing comes after the end");
}

/// SM-15, SM-16, SM-29
#[test]
fn set_active_is_answered_before_memory_is_made_and_clients_hear_of_it() {
    let mut stage = Stage::inactive();
    let client = stage.greeted();
    assert_eq!(stage.set(TargetState::Active), [reply(Ok(())), Action::Allocate { slots: 2, players: 2 }]);
    let running = event(client, Event::ApplicationState(AppState::Running));
    let told = clients(1, AppState::Running);
    assert_eq!(stage.take(Input::Allocated(Ok(()))), [state(ServerState::Active), told, running]);
    assert_eq!(stage.set(TargetState::Active), [reply(Ok(()))], "the same again: an answer and nothing else");
}

/// SM-17, SM-32
#[test]
fn without_memory_it_holds_nothing_stays_alive_and_takes_only_not_running() {
    let mut stage = Stage::inactive();
    stage.set(TargetState::Active);
    let failed = stage.take(Input::Allocated(Err(ErrorKind::Exhausted)));
    assert_eq!(failed, [Action::Free, last_word(ServerState::Error, Reason::SharedMemory)]);
    for target in [TargetState::Active, TargetState::Inactive] {
        let refusal = link::Refusal::WrongState { state: ServerState::Error };
        assert_eq!(stage.set(target), [reply(Err(refusal))]);
    }
    let word = last_word(ServerState::NotRunning, Reason::Asked);
    let ended = stage.set(TargetState::NotRunning);
    assert_eq!(ended, [reply(Ok(())), LEAVES_ITS_FILE, word, Action::Exit { status: 0 }]);
}

/// SM-18, SM-29, SM-32
#[test]
fn set_inactive_answers_closes_decoders_frees_memory_notifies_and_tells_clients_in_this_order() {
    let mut stage = Stage::active();
    let (client, session) = stage.playing_client();
    let asked = stage.set(TargetState::Inactive);
    assert_eq!(asked, [reply(Ok(())), Action::Close { session: session.index }]);
    assert_eq!(stage.call(client, Command::GetSharedMemory), [refuse(client, Refusal::NotActive)]);
    assert_eq!(stage.call(client, Command::Play { session }), [refuse(client, Refusal::UnknownSession)]);
    let closed = stage.take(Input::Decoder(DecoderEvent::Closed { session: session.index }));
    let ended = event(client, Event::SessionEnded { session });
    let inactive = event(client, Event::ApplicationState(AppState::Inactive));
    let told = clients(1, AppState::Inactive);
    assert_eq!(closed, [Action::Free, state(ServerState::Inactive), told, ended, inactive]);
    assert_eq!(stage.server.sessions(), 0);
}

/// SM-18, SM-30
#[test]
fn a_call_under_way_is_answered_when_the_app_leaves_active() {
    let mut stage = Stage::active();
    let (client, session) = stage.playing_client();
    stage.call(client, Command::Load { session, live: false });
    let asked = stage.set(TargetState::Inactive);
    assert!(asked.contains(&refuse(client, Refusal::Interrupted)), "{asked:?}");
}

/// SM-18, SM-21, SM-31
#[test]
fn a_decoder_that_does_not_let_go_ends_the_server_so_that_it_is_replaced() {
    let mut stage = Stage::active();
    let (client, _) = stage.playing_client();
    stage.set(TargetState::Inactive);
    assert_eq!(stage.server.next_deadline(), Some(stage.now.after(DECODER_TIMEOUT)));
    let actions = stage.pass(DECODER_TIMEOUT);
    let word = last_word(ServerState::Error, Reason::DecoderStuck);
    let end = Action::Exit { status: 1 };
    assert_eq!(actions, [Action::Free, Action::CloseClient { client }, LEAVES_ITS_FILE, word, end]);
}

/// SM-19
#[test]
fn not_running_from_inactive_closes_the_clients_and_the_socket_notifies_and_exits() {
    let mut stage = Stage::inactive();
    let client = stage.greeted();
    let actions = stage.set(TargetState::NotRunning);
    let word = last_word(ServerState::NotRunning, Reason::Asked);
    let end = Action::Exit { status: 0 };
    assert_eq!(actions, [reply(Ok(())), Action::CloseClient { client }, LEAVES_ITS_FILE, word, end]);
    assert_eq!(stage.server.handle(stage.now, Input::ClientConnected { peer: PEER }), Err(NotTaken::Unexpected));
}

/// SM-20
#[test]
fn not_running_from_active_first_frees_everything() {
    let mut stage = Stage::active();
    let (client, session) = stage.playing_client();
    assert_eq!(stage.set(TargetState::NotRunning), [reply(Ok(())), Action::Close { session: 0 }]);
    let actions = stage.take(Input::Decoder(DecoderEvent::Closed { session: 0 }));
    let word = last_word(ServerState::NotRunning, Reason::Asked);
    let ended = event(client, Event::SessionEnded { session });
    let close = Action::CloseClient { client };
    assert_eq!(actions, [Action::Free, ended, close, LEAVES_ITS_FILE, word, Action::Exit { status: 0 }]);
}

/// SM-19, SM-31: a request that comes while the first is under way.
#[test]
fn while_deactivating_only_not_running_is_taken() {
    let mut stage = Stage::active();
    stage.playing_client();
    stage.set(TargetState::Inactive);
    assert_eq!(stage.set(TargetState::Active), [reply(Err(link::Refusal::Busy))]);
    assert_eq!(stage.set(TargetState::NotRunning), [reply(Ok(()))]);
    let actions = stage.take(Input::Decoder(DecoderEvent::Closed { session: 0 }));
    assert_eq!(actions.last(), Some(&Action::Exit { status: 0 }));
    assert!(!actions.contains(&state(ServerState::Inactive)));
}

/// SM-38 (its server's side): the end of the link stops everything and says nothing to nobody.
///
/// Field failure B
#[test]
fn without_a_manager_it_stops_playing_frees_and_exits() {
    let mut stage = Stage::active();
    let (client, session) = stage.playing_client();
    let unbind = Action::Unbind { leaves_file: false };
    assert_eq!(stage.take(Input::LinkClosed), [unbind, Action::Close { session: 0 }]);
    let actions = stage.take(Input::Decoder(DecoderEvent::Closed { session: 0 }));
    let ended = event(client, Event::SessionEnded { session });
    let close = Action::CloseClient { client };
    assert_eq!(actions, [Action::Free, ended, close, Action::Exit { status: 0 }]);
}

#[test]
fn a_signal_ends_it_in_order_and_the_manager_hears_it() {
    let mut stage = Stage::active();
    let actions = stage.take(Input::Terminate);
    let word = last_word(ServerState::NotRunning, Reason::Asked);
    assert_eq!(actions, [Action::Free, LEAVES_ITS_FILE, word, Action::Exit { status: 0 }]);
}

/// SM-21, SM-34
#[test]
fn a_manager_that_does_not_read_does_not_keep_it_alive() {
    let mut stage = Stage::inactive();
    stage.take(Input::LinkBlocked);
    assert_eq!(stage.take(Input::Terminate), [LEAVES_ITS_FILE]);
    assert_eq!(stage.server.next_deadline(), Some(stage.now.after(STOP_TIMEOUT)));
    assert_eq!(stage.pass(STOP_TIMEOUT), [Action::Exit { status: 0 }]);
    assert_eq!(stage.server.next_deadline(), None);
}

/// SM-31
///
/// Field failure L
#[test]
fn what_the_manager_did_not_read_in_time_comes_whole_and_in_order() {
    let mut stage = Stage::inactive();
    stage.set(TargetState::Active);
    stage.take(Input::LinkBlocked);
    assert_eq!(stage.take(Input::Allocated(Ok(()))), []);
    assert_eq!(stage.take(Input::Terminate), [Action::Free, LEAVES_ITS_FILE]);
    let word = last_word(ServerState::NotRunning, Reason::Asked);
    let expected = [state(ServerState::Active), word, Action::Exit { status: 0 }];
    assert_eq!(stage.take(Input::LinkWritable), expected);
}

/// SM-39
#[test]
fn log_levels_reach_the_process_and_its_clients_late_ones_too() {
    let mut stage = Stage::inactive();
    let client = stage.greeted();
    let mut levels = LogLevels::default();
    levels.set(Component::Client, LogLevel::Debug);
    let told = event(client, Event::LogLevels(levels));
    let asked = stage.ask_link(link::Command::SetLogLevels(levels));
    assert_eq!(asked, [reply(Ok(())), Action::SetLogLevels(levels), told]);
    let late = stage.connect();
    let welcome = answer(late, Response::Welcome { state: AppState::Inactive });
    assert_eq!(stage.call(late, Command::Hello), [welcome, event(late, Event::LogLevels(levels))]);
}

/// A machine is all of its state, written and read back. It cannot be cloned, because a share cannot.
fn copy_of(server: &Server) -> Server {
    let mut bytes = std::vec![0; 64 * 1024];
    postcard::from_bytes(postcard::to_slice(server, &mut bytes).unwrap()).unwrap()
}

/// What a call leads to, in one letter: `A`nswered, `o`rdered, opened or closed by a decoder, `p`arked until something else
/// has ended, not taken before that (`L`ater), or the refusal.
fn letter(stage: &mut Stage, client: ClientId, command: Command<'_>) -> char {
    let mut copy = Stage { server: copy_of(&stage.server), now: stage.now };
    if copy.server.handle(copy.now, Input::Call { client, sequence: 5, command }) == Err(NotTaken::Later) {
        return 'L';
    }
    match copy.drain()[..] {
        [Action::Reply { response: Response::Refused(refusal), .. }] => match refusal {
            Refusal::Malformed => 'm',
            Refusal::NotActive => 'n',
            Refusal::NoMemory => 'M',
            Refusal::UnknownSession => 'u',
            Refusal::UnknownSource => 's',
            Refusal::WrongState { .. } => 'w',
            other => panic!("{other:?} to {command:?}"),
        },
        [Action::Reply { .. }, ..] => 'A',
        [] => 'p',
        [Action::Command { .. } | Action::Open { .. } | Action::Close { .. }, ..] => 'o',
        ref other => panic!("{other:?} to {command:?}"),
    }
}

fn every_command(session: SessionId) -> [Command<'static>; 23] {
    [
        Command::Hello,
        Command::GetSharedMemory,
        Command::ReleaseSharedMemory,
        Command::CreateSession,
        Command::DestroySession { session },
        Command::Load { session, live: false },
        Command::AttachSource { session, source: VIDEO },
        Command::AllSourcesAttached { session },
        Command::Play { session },
        Command::Pause { session },
        Command::Stop { session },
        Command::SetPosition { session, position_ns: 1, epoch: 1 },
        Command::Flush { session, source: SOURCE, reset_time: false, epoch: 1 },
        Command::SetVolume { session, volume_permille: 2000 },
        Command::SetMute { session, muted: true },
        Command::GetPosition { session },
        Command::SetDuration { session, duration_ns: 1 },
        Command::GetDuration { session },
        Command::GetStatistics { session, source: SOURCE },
        Command::SetPlaybackRate { session, rate_permille: 8000 },
        Command::SetVideoWindow { session, window: Window { x: 0, y: 0, width: 1, height: 1 } },
        Command::SetSourceMute { session, source: SOURCE, muted: true },
        Command::RemoveSource { session, source: SOURCE },
    ]
}

/// SM-23, SM-24, SM-30: every call in every situation of a connection gets one answer, or waits for one.
///
/// Field failure 55, 64, O
#[test]
fn every_call_has_its_answer_in_every_situation() {
    let row = |stage: &mut Stage, client| {
        String::from_iter(every_command(SESSION).map(|command| letter(stage, client, command)))
    };
    let mut inactive = Stage::inactive();
    let stranger = inactive.connect();
    assert_eq!(row(&mut inactive, stranger), "Ammmmmmmmmmmmmmmmmmmmmm", "before Hello");
    inactive.call(stranger, Command::Hello);
    assert_eq!(row(&mut inactive, stranger), "AnAnuuuuuuuuuuuuuuuuuuu", "while Inactive");

    let mut stage = Stage::active();
    let client = stage.greeted();
    assert_eq!(row(&mut stage, client), "AAAMuuuuuuuuuuuuuuuuuuu", "without memory");
    stage.call(client, Command::GetSharedMemory);
    assert_eq!(row(&mut stage, client), "AAAouuuuuuuuuuuuuuuuuuu", "with memory");
    stage.call(client, Command::CreateSession);
    assert_eq!(row(&mut stage, client), "AAooopLppppppppAAAspppp", "while the decoder is made");
    stage.take(Input::Opened { session: 0, result: Ok(()) });
    let session = SESSION;
    assert_eq!(row(&mut stage, client), "AAoooowwwwwwwooAAAswoww", "with a session");
    stage.ordered(client, Command::Load { session, live: false });
    assert_eq!(row(&mut stage, client), "AAooowowwwowwooAAAsooss", "loaded, no source");
    stage.call(client, Command::AttachSource { session, source: VIDEO });
    assert_eq!(row(&mut stage, client), "AAooopLppppppppAAAspppp", "while an order is under way");
    stage.call(client, Command::AllSourcesAttached { session });
    assert_eq!(row(&mut stage, client), "AAoooLLLLLLLLLLAAAsLLLL", "while one waits behind it");
    stage.take(Input::Decoder(DecoderEvent::Completed { session: 0, token: 2, result: Ok(()) }));
    stage.take(Input::Decoder(DecoderEvent::Completed { session: 0, token: 3, result: Ok(()) }));
    assert_eq!(row(&mut stage, client), "AAooowwwoooooooAAAAooow", "attached");
    stage.take(Input::Decoder(DecoderEvent::Failed { session: 0, error: PlaybackError::Decode }));
    assert_eq!(row(&mut stage, client), "AAooowwwwwwwwwwwwwwwwww", "failed");
    stage.call(client, Command::DestroySession { session });
    assert_eq!(row(&mut stage, client), "AApouuuuuuuuuuuuuuuuuuu", "while the decoder is closed");
    stage.take(Input::Decoder(DecoderEvent::Closed { session: 0 }));
    assert_eq!(row(&mut stage, client), "AAAouuuuuuuuuuuuuuuuuuu", "destroyed");
}

/// A session from its making to its end and back to the start of the media.
#[test]
fn a_session_is_loaded_played_to_its_end_sent_back_and_destroyed() {
    let mut stage = Stage::active();
    let (client, session) = stage.playing_client();
    let done = answer(client, Response::Done);
    assert_eq!(stage.ordered(client, Command::Load { session, live: false }), [done]);
    let source = Response::Source { slot: 0, source: SOURCE, kind: MediaKind::Video };
    assert_eq!(stage.ordered(client, Command::AttachSource { session, source: VIDEO }), [answer(client, source)]);
    assert_eq!(stage.ordered(client, Command::AllSourcesAttached { session }), [done]);
    for playback in
        [PlaybackState::Buffering, PlaybackState::Paused, PlaybackState::Playing, PlaybackState::EndOfStream]
    {
        let told = stage.take(Input::Decoder(DecoderEvent::State { session: 0, state: playback }));
        assert_eq!(told, [event(client, Event::PlaybackState { session, state: playback })]);
    }
    let back = stage.ordered(client, Command::SetPosition { session, position_ns: 0, epoch: 1 });
    let buffering = Event::PlaybackState { session, state: PlaybackState::Buffering };
    assert_eq!(back, [done, event(client, buffering)]);
    assert_eq!(stage.ordered(client, Command::Play { session }), [done]);
    assert_eq!(stage.call(client, Command::DestroySession { session }), [Action::Close { session: 0 }]);
    assert_eq!(stage.take(Input::Decoder(DecoderEvent::Closed { session: 0 })), [done]);
}

#[test]
fn a_value_out_of_its_range_is_refused() {
    let mut stage = Stage::active();
    let (client, session) = stage.playing_client();
    let loud = Command::SetVolume { session, volume_permille: 2001 };
    assert_eq!(stage.call(client, loud), [refuse(client, Refusal::OutOfRange)]);
    stage.ordered(client, Command::Load { session, live: false });
    for rate_permille in [0, 99, 8001] {
        let rate = Command::SetPlaybackRate { session, rate_permille };
        assert_eq!(stage.call(client, rate), [refuse(client, Refusal::OutOfRange)]);
    }
    for (width, height) in [(0, 1), (1, 0)] {
        let window = Command::SetVideoWindow { session, window: Window { x: 0, y: 0, width, height } };
        assert_eq!(stage.call(client, window), [refuse(client, Refusal::OutOfRange)]);
    }
    let long = SourceDescription { codec_data: &[0; 4097], ..VIDEO };
    let attach = Command::AttachSource { session, source: long };
    assert_eq!(stage.call(client, attach), [refuse(client, Refusal::OutOfRange)]);
}

/// SM-35
///
/// Field failure F
#[test]
fn a_session_belongs_to_the_connection_that_made_it() {
    let mut stage = Stage::active();
    let (_, session) = stage.playing_client();
    let other = stage.greeted();
    for command in every_command(session).into_iter().skip(4) {
        assert_eq!(stage.call(other, command), [refuse(other, Refusal::UnknownSession)]);
    }
}

/// SM-33
#[test]
fn there_are_no_more_slots_than_the_app_may_have_sessions() {
    let mut stage = Stage::active();
    stage.playing_client();
    stage.playing_client();
    let third = stage.greeted();
    let full = Refusal::Full { table: TableName::PlaybackSessions, capacity: 2, in_use: 2 };
    assert_eq!(stage.call(third, Command::GetSharedMemory), [refuse(third, full)]);
}

/// Sessions of one connection up to what the app may have, each in a slot of its own.
#[test]
fn a_connection_has_as_many_sessions_as_the_app_may_have() {
    let mut stage = Stage::active();
    let (client, first) = stage.playing_client();
    assert_eq!(stage.call(client, Command::CreateSession), [Action::Open { session: 1 }]);
    let second = SessionId { index: 1, generation: 1 };
    let opened = stage.take(Input::Opened { session: 1, result: Ok(()) });
    assert_eq!(opened, [answer(client, Response::Session { session: second, slot: Some(1) })]);
    let full = Refusal::Full { table: TableName::PlaybackSessions, capacity: 2, in_use: 2 };
    assert_eq!(stage.call(client, Command::CreateSession), [refuse(client, full)]);
    let other = stage.greeted();
    assert_eq!(stage.call(other, Command::GetSharedMemory), [refuse(other, full)]);
    for (session, slot) in [(first, 0), (second, 1)] {
        let loaded = stage.call(client, Command::Load { session, live: false });
        let order = Order::Load { live: false };
        assert_eq!(loaded, [Action::Command { session: session.index, slot, token: 1, order }]);
    }
}

/// Field failure 32: what is left plays on, and the slot that came with a session goes back with it, to be renewed.
#[test]
fn a_session_that_is_destroyed_gives_its_slot_back_and_leaves_the_other_alone() {
    let mut stage = Stage::active();
    let (client, first) = stage.playing_client();
    let second = stage.further_session(client);
    stage.ordered(client, Command::Load { session: first, live: false });
    assert_eq!(stage.call(client, Command::DestroySession { session: second }), [Action::Close { session: 1 }]);
    let done = answer(client, Response::Done);
    assert_eq!(stage.take(Input::Decoder(DecoderEvent::Closed { session: 1 })), [done]);
    assert_eq!(stage.ordered(client, Command::SetMute { session: first, muted: true }), [done]);
    assert_eq!(stage.call(client, Command::CreateSession), [Action::Renew { slot: 1 }]);
    assert_eq!(stage.take(Input::Renewed { slot: 1, result: Ok(()) }), [Action::Open { session: 1 }]);
    let third = SessionId { index: 1, generation: 2 };
    let opened = stage.take(Input::Opened { session: 1, result: Ok(()) });
    assert_eq!(opened, [answer(client, Response::Session { session: third, slot: Some(1) })]);
}

#[test]
fn the_connections_own_slot_stays_leased_when_its_session_is_destroyed() {
    let mut stage = Stage::active();
    let (client, first) = stage.playing_client();
    stage.further_session(client);
    stage.call(client, Command::DestroySession { session: first });
    stage.take(Input::Decoder(DecoderEvent::Closed { session: 0 }));
    let other = stage.greeted();
    let full = Refusal::Full { table: TableName::PlaybackSessions, capacity: 2, in_use: 2 };
    assert_eq!(stage.call(other, Command::GetSharedMemory), [refuse(other, full)]);
    stage.call(client, Command::CreateSession);
    let opened = stage.take(Input::Opened { session: 0, result: Ok(()) });
    let session = SessionId { index: 0, generation: 2 };
    assert_eq!(opened, [answer(client, Response::Session { session, slot: None })]);
}

/// Field failure 46: zapping. The old channel's decoder may take its time while the new one's is made.
#[test]
fn a_session_can_be_made_while_another_is_being_destroyed() {
    let mut stage = Stage::active();
    let (client, first) = stage.playing_client();
    stage.call(client, Command::DestroySession { session: first });
    let second = stage.further_session(client);
    assert_eq!(second.index, 1);
    // Both slots are taken now: this one waits for the first to be free.
    let create = Input::Call { client, sequence: 6, command: Command::CreateSession };
    assert_eq!(stage.server.handle(stage.now, create), Err(NotTaken::Later));
    stage.take(Input::Decoder(DecoderEvent::Closed { session: 0 }));
    assert_eq!(stage.take(create), [Action::Open { session: 0 }]);
}

#[test]
fn memory_for_a_further_session_that_cannot_be_had_refuses_it_and_changes_nothing() {
    let mut stage = Stage::active();
    let (client, _) = stage.playing_client();
    let second = stage.further_session(client);
    stage.call(client, Command::DestroySession { session: second });
    stage.take(Input::Decoder(DecoderEvent::Closed { session: 1 }));
    assert_eq!(stage.call(client, Command::CreateSession), [Action::Renew { slot: 1 }]);
    let failed = refuse(client, Refusal::Failed(PlaybackError::Memory));
    assert_eq!(stage.take(Input::Renewed { slot: 1, result: Err(ErrorKind::Exhausted) }), [failed]);
    assert_eq!(stage.server.sessions(), 1);
    assert_eq!(stage.call(client, Command::CreateSession), [Action::Renew { slot: 1 }]);
}

#[test]
fn a_session_that_its_client_cannot_be_told_of_is_closed() {
    let mut stage = Stage::active();
    let (client, _) = stage.playing_client();
    stage.further_session(client);
    assert_eq!(stage.take(Input::Undelivered { session: 1 }), [Action::Close { session: 1 }]);
    assert_eq!(stage.take(Input::Decoder(DecoderEvent::Closed { session: 1 })), []);
    assert_eq!(stage.server.sessions(), 1);
    assert_eq!(stage.call(client, Command::CreateSession), [Action::Renew { slot: 1 }]);
}

/// SM-25
///
/// Field failure N
#[test]
fn memory_that_is_given_back_ends_every_session_and_each_is_told() {
    let mut stage = Stage::active();
    let (client, first) = stage.playing_client();
    let second = stage.further_session(client);
    let closes = [Action::Close { session: 0 }, Action::Close { session: 1 }];
    assert_eq!(stage.call(client, Command::ReleaseSharedMemory), closes);
    let ended = |session| event(client, Event::SessionEnded { session });
    assert_eq!(stage.take(Input::Decoder(DecoderEvent::Closed { session: 1 })), [ended(second)]);
    let last = stage.take(Input::Decoder(DecoderEvent::Closed { session: 0 }));
    assert_eq!(last, [answer(client, Response::Done), ended(first)]);
    let slots: Vec<Action> = (0..2)
        .flat_map(|_| {
            let next = stage.greeted();
            stage.call(next, Command::GetSharedMemory)
        })
        .collect();
    assert_eq!(slots, [Action::Renew { slot: 0 }, Action::Renew { slot: 1 }]);
}

/// A session whose decoder takes its time does not delay the others of its connection.
#[test]
fn calls_about_one_session_are_taken_while_another_is_busy() {
    let mut stage = Stage::active();
    let (client, first) = stage.playing_client();
    let second = stage.further_session(client);
    stage.call(client, Command::Load { session: first, live: false });
    let mute = Command::SetMute { session: first, muted: true };
    assert_eq!(stage.take(Input::Call { client, sequence: 6, command: mute }), [], "it waits in its session");
    assert_eq!(stage.ordered(client, Command::Load { session: second, live: false }), [answer(client, Response::Done)]);
    let order = Order::SetMute { muted: true };
    let completed = stage.take(Input::Decoder(DecoderEvent::Completed { session: 0, token: 1, result: Ok(()) }));
    let parked = Action::Command { session: 0, slot: 0, token: 2, order };
    assert_eq!(completed, [parked, answer(client, Response::Done)]);
    let done = Action::Reply { client, sequence: 6, response: Response::Done };
    assert_eq!(stage.take(Input::Decoder(DecoderEvent::Completed { session: 0, token: 2, result: Ok(()) })), [done]);
}

/// Field failure 45, 49: whatever waits for a decoder is answered when the session goes.
#[test]
fn calls_that_wait_for_a_decoder_are_answered_when_their_session_ends() {
    let parked = |stage: &mut Stage| {
        let (client, session) = stage.playing_client();
        stage.call(client, Command::Load { session, live: false });
        stage.take(Input::Call { client, sequence: 6, command: Command::SetMute { session, muted: true } });
        (client, session)
    };
    let refusals = |client, refusal| {
        [5, 6].map(|sequence| Action::Reply { client, sequence, response: Response::Refused(refusal) })
    };
    let mut stage = Stage::active();
    let (client, session) = parked(&mut stage);
    let destroyed = stage.take(Input::Call { client, sequence: 7, command: Command::DestroySession { session } });
    assert_eq!(destroyed[0], Action::Close { session: 0 });
    assert_eq!(destroyed[1..], refusals(client, Refusal::Interrupted));

    let mut stage = Stage::active();
    let (client, session) = parked(&mut stage);
    let error = PlaybackError::DecoderStuck;
    let told = stage.pass(DECODER_TIMEOUT);
    assert_eq!(told[0], refuse(client, Refusal::Failed(error)));
    let wrong = Response::Refused(Refusal::WrongState { state: PlaybackState::Failed });
    assert_eq!(told[1], Action::Reply { client, sequence: 6, response: wrong });
    assert_eq!(told[2..], [event(client, Event::Failed { session, error })]);
}

/// Every answer that can be open has its place: two calls in each session, and the one that ends them all.
#[test]
fn a_client_that_does_not_read_has_a_place_for_every_answer() {
    let mut stage = Stage::active();
    let (client, first) = stage.playing_client();
    let second = stage.further_session(client);
    for (sequence, session) in [(10, first), (20, second)] {
        stage.take(Input::Call { client, sequence, command: Command::Load { session, live: false } });
        let mute = Command::SetMute { session, muted: true };
        stage.take(Input::Call { client, sequence: sequence + 1, command: mute });
    }
    stage
        .server
        .handle(stage.now, Input::Call { client, sequence: 30, command: Command::ReleaseSharedMemory })
        .unwrap();
    stage.take(Input::ClientBlocked { client });
    stage.take(Input::Decoder(DecoderEvent::Closed { session: 0 }));
    stage.take(Input::Decoder(DecoderEvent::Closed { session: 1 }));
    let told = stage.take(Input::ClientWritable { client });
    let answered: Vec<u32> = told
        .iter()
        .filter_map(|action| if let Action::Reply { sequence, .. } = action { Some(*sequence) } else { None })
        .collect();
    assert_eq!(answered, [10, 11, 20, 21, 30]);
    let ended = told.iter().filter(|action| matches!(action, Action::Event { event: Event::SessionEnded { .. }, .. }));
    assert_eq!(ended.count(), 2);
}

/// SM-35: the next client gets memory that the one before has never seen, once its decoder has let go.
#[test]
fn a_client_that_dies_costs_its_session_and_its_slot_is_renewed_for_the_next() {
    let mut stage = Stage::active();
    let (first, _) = stage.playing_client();
    let (second, session) = stage.playing_client();
    stage.take(Input::Call { client: first, sequence: 5, command: Command::Load { session: SESSION, live: false } });
    let closed = stage.take(Input::ClientClosed { client: first });
    assert_eq!(closed, [Action::Close { session: 0 }, clients(1, AppState::Running)]);
    let third = stage.greeted();
    let full = Refusal::Full { table: TableName::PlaybackSessions, capacity: 2, in_use: 2 };
    assert_eq!(stage.call(third, Command::GetSharedMemory), [refuse(third, full)]);
    assert_eq!(stage.take(Input::Decoder(DecoderEvent::Closed { session: 0 })), []);
    assert_eq!(stage.call(third, Command::GetSharedMemory), [Action::Renew { slot: 0 }]);
    let shared = answer(third, Response::SharedMemory { slot: 0 });
    assert_eq!(stage.take(Input::Renewed { slot: 0, result: Ok(()) }), [shared]);
    assert_eq!(stage.ordered(second, Command::Load { session, live: false }), [answer(second, Response::Done)]);
}

#[test]
fn a_slot_that_cannot_be_renewed_is_refused_and_tried_again_later() {
    let mut stage = Stage::active();
    let client = stage.greeted();
    stage.call(client, Command::GetSharedMemory);
    stage.call(client, Command::ReleaseSharedMemory);
    let other = stage.playing_client().0;
    assert_eq!(stage.call(client, Command::GetSharedMemory), [Action::Renew { slot: 0 }]);
    let failed = refuse(client, Refusal::Failed(PlaybackError::Memory));
    assert_eq!(stage.take(Input::Renewed { slot: 0, result: Err(ErrorKind::Exhausted) }), [failed]);
    assert_eq!(stage.call(client, Command::GetSharedMemory), [Action::Renew { slot: 0 }]);
    assert_eq!(stage.call(other, Command::Hello).len(), 2, "the other one is served");
}

/// SM-25
#[test]
fn memory_that_is_given_back_ends_its_session_before_the_answer() {
    let mut stage = Stage::active();
    let (client, session) = stage.playing_client();
    assert_eq!(stage.call(client, Command::ReleaseSharedMemory), [Action::Close { session: 0 }]);
    let closed = stage.take(Input::Decoder(DecoderEvent::Closed { session: 0 }));
    let ended = event(client, Event::SessionEnded { session });
    assert_eq!(closed, [answer(client, Response::Done), ended]);
    assert_eq!(stage.call(client, Command::ReleaseSharedMemory), [answer(client, Response::Done)]);
}

/// SM-30
#[test]
fn a_session_whose_decoder_cannot_be_made_is_refused_and_gone() {
    let mut stage = Stage::active();
    let client = stage.greeted();
    stage.call(client, Command::GetSharedMemory);
    stage.call(client, Command::CreateSession);
    let failed = refuse(client, Refusal::Failed(PlaybackError::Decoder));
    assert_eq!(stage.take(Input::Opened { session: 0, result: Err(ErrorKind::Exhausted) }), [failed]);
    assert_eq!(stage.server.sessions(), 0);
}

/// SM-30
#[test]
fn an_order_that_is_not_carried_out_in_time_fails_its_session_and_nothing_else() {
    let mut stage = Stage::active();
    let (client, session) = stage.playing_client();
    stage.call(client, Command::Load { session, live: false });
    let error = PlaybackError::DecoderStuck;
    let failed = event(client, Event::Failed { session, error });
    assert_eq!(stage.pass(DECODER_TIMEOUT), [refuse(client, Refusal::Failed(error)), failed]);
    let late = DecoderEvent::Completed { session: 0, token: 1, result: Ok(()) };
    assert_eq!(stage.take(Input::Decoder(late)), []);
    assert_eq!(stage.server.stale(), 1);
}

/// SM-35
///
/// Field failure L
#[test]
fn a_client_that_does_not_read_is_told_later_how_things_are_then() {
    let mut stage = Stage::active();
    let (client, session) = stage.playing_client();
    let (other, _) = stage.playing_client();
    stage.call(client, Command::Load { session, live: false });
    stage.take(Input::ClientBlocked { client });
    assert_eq!(stage.take(Input::Decoder(DecoderEvent::Completed { session: 0, token: 1, result: Ok(()) })), []);
    for _ in 0..100 {
        let position = DecoderEvent::Position { session: 0, position_ns: 1 };
        assert_eq!(stage.take(Input::Decoder(position)), []);
    }
    stage.set(TargetState::Inactive);
    stage.take(Input::Decoder(DecoderEvent::Closed { session: 0 }));
    let closed = stage.take(Input::Decoder(DecoderEvent::Closed { session: 1 }));
    assert!(closed.contains(&event(other, Event::ApplicationState(AppState::Inactive))));
    let ended = event(client, Event::SessionEnded { session });
    let inactive = event(client, Event::ApplicationState(AppState::Inactive));
    let expected = [answer(client, Response::Done), ended, inactive];
    assert_eq!(stage.take(Input::ClientWritable { client }), expected);
}

/// SM-25, SM-29: what it leased before is gone, and Running alone would not tell it so.
#[test]
fn a_client_that_did_not_read_while_the_app_was_inactive_hears_of_it_before_it_hears_of_running() {
    let mut stage = Stage::active();
    let client = stage.greeted();
    stage.call(client, Command::GetSharedMemory);
    stage.take(Input::ClientBlocked { client });
    stage.set(TargetState::Inactive);
    stage.set(TargetState::Active);
    stage.take(Input::Allocated(Ok(())));
    let told = [AppState::Inactive, AppState::Running].map(|state| event(client, Event::ApplicationState(state)));
    assert_eq!(stage.take(Input::ClientWritable { client }), told);
}

/// SM-35: it would keep a place from the app's other clients for ever.
#[test]
fn a_client_that_does_not_greet_in_time_is_let_go() {
    let mut stage = Stage::active();
    let (playing, _) = stage.playing_client();
    let silent: Vec<ClientId> = (1..CLIENTS_MAX).map(|_| stage.connect()).collect();
    assert_eq!(stage.server.next_deadline(), Some(stage.now.after(GREETING_TIMEOUT)));
    let closed = stage.pass(GREETING_TIMEOUT);
    assert!(silent.iter().all(|&client| closed.contains(&Action::CloseClient { client })));
    assert!(!closed.contains(&Action::CloseClient { client: playing }));
    assert_eq!(stage.server.next_deadline(), None);
    let next = stage.connect();
    let welcome = answer(next, Response::Welcome { state: AppState::Running });
    assert!(stage.call(next, Command::Hello).contains(&welcome));
}

/// Field failure O
#[test]
fn one_client_too_many_is_told_so_and_closed() {
    let mut stage = Stage::inactive();
    for _ in 0..CLIENTS_MAX {
        stage.greeted();
    }
    let surplus = stage.connect();
    assert_eq!(stage.server.handle(stage.now, Input::ClientConnected { peer: PEER }), Err(NotTaken::Full));
    let capacity = CLIENTS_MAX as u16;
    let full = refuse(surplus, Refusal::Full { table: TableName::Clients, capacity, in_use: capacity });
    let actions = stage.call(surplus, Command::Hello);
    assert_eq!(actions[..2], [full, Action::CloseClient { client: surplus }]);
}

/// A server that lets in the user of [`PEER`] and the group 44.
fn server_with_clients() -> Stage {
    let mut stage = Stage::started();
    let clients = Allowed { users: Ids::first_of(&[PEER.user_id]), groups: Ids::first_of(&[44]) };
    let only_these = Configuration { clients, ..configuration(TargetState::Inactive) };
    stage.ask_link(link::Command::SetConfiguration(only_these));
    stage.take(Input::Bound(Ok(())));
    stage
}

#[test]
fn a_user_that_may_not_connect_is_told_so_and_closed() {
    let mut stage = server_with_clients();
    let stranger = stage.connect_as(STRANGER);
    let actions = stage.call(stranger, Command::Hello);
    let refusal = refuse(stranger, Refusal::NotPermitted { user_id: 1001 });
    assert_eq!(actions[..2], [refusal, Action::CloseClient { client: stranger }]);
    for peer in [PEER, Peer { groups: Ids::first_of(&[44]), ..STRANGER }] {
        let client = stage.connect_as(peer);
        let welcome = answer(client, Response::Welcome { state: AppState::Inactive });
        assert!(stage.call(client, Command::Hello).contains(&welcome));
    }
}

/// SM-35
#[test]
fn users_that_may_not_connect_take_no_place_from_those_who_may() {
    let mut stage = server_with_clients();
    let told = |actions: &[Action], connected: u8| {
        let clients = Message::Clients { connected, state: AppState::Inactive };
        actions.contains(&Action::Link(clients))
    };
    let actions = stage.take(Input::ClientConnected { peer: STRANGER });
    assert!(told(&actions, 0), "it is no client: {actions:?}");
    let second = Input::ClientConnected { peer: STRANGER };
    assert_eq!(stage.server.handle(stage.now, second), Err(NotTaken::Full));
    for _ in 0..CLIENTS_MAX {
        stage.greeted();
    }
    assert_eq!(stage.server.handle(stage.now, Input::ClientConnected { peer: PEER }), Err(NotTaken::Full));
}

/// Field failure 21
#[test]
fn what_comes_from_a_client_or_a_session_that_has_gone_changes_nothing() {
    let mut stage = Stage::active();
    let client = stage.greeted();
    stage.take(Input::ClientClosed { client });
    let before = postcard_bytes(&stage.server);
    let call = Input::Call { client, sequence: 5, command: Command::GetSharedMemory };
    for input in [call, Input::ClientClosed { client }, Input::ClientWritable { client }] {
        assert_eq!(stage.server.handle(stage.now, input), Err(NotTaken::Stale));
    }
    assert_eq!(postcard_bytes(&stage.server), before);
    assert_eq!(stage.take(Input::Decoder(DecoderEvent::Closed { session: 3 })), []);
    assert_eq!(stage.server.stale(), 1);
}

#[test]
fn the_description_of_an_attach_is_not_lost_between_the_call_and_the_order() {
    let mut stage = Stage::active();
    let (client, session) = stage.playing_client();
    stage.ordered(client, Command::Load { session, live: false });
    let order = Order::Attach { source: SOURCE, stream: MediaKind::Video };
    let given = Action::Command { session: 0, slot: 0, token: 2, order };
    assert_eq!(stage.call(client, Command::AttachSource { session, source: VIDEO }), [given]);
}

/// A server that is written down and read back goes on where it was.
#[test]
fn a_snapshot_goes_on_where_the_server_was() {
    let mut stage = Stage::active();
    let (client, session) = stage.playing_client();
    stage.call(client, Command::Load { session, live: true });
    let bytes = postcard_bytes(&stage.server);
    let mut copy = Stage { server: postcard::from_bytes(&bytes).unwrap(), now: stage.now };
    let completed = Input::Decoder(DecoderEvent::Completed { session: 0, token: 1, result: Ok(()) });
    assert_eq!(copy.take(completed), stage.take(completed));
    assert_eq!(postcard_bytes(&copy.server), postcard_bytes(&stage.server));
}

fn postcard_bytes(server: &Server) -> Vec<u8> {
    let mut bytes = std::vec![0; 16 * 1024];
    postcard::to_slice(server, &mut bytes).unwrap().to_vec()
}

/// SM-36: until the manager has the socket too, its file is the server's.
#[test]
fn a_server_that_ends_before_it_could_hand_its_socket_up_removes_the_file() {
    let mut stage = Stage::started();
    stage.configure(TargetState::Inactive);
    stage.take(Input::LinkBlocked);
    assert_eq!(stage.take(Input::Bound(Ok(()))), []);
    assert_eq!(stage.take(Input::Terminate), [Action::Unbind { leaves_file: false }]);
}
