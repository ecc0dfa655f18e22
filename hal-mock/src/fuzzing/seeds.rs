//! Inputs to start from: real messages in their encoding, and short stories out of operations, each with a name.

mod presentation;

use std::collections::BTreeMap;

use greenroom_core::codec::postcard::{encode, encode_first};
use greenroom_core::hal::ExitStatus;
use greenroom_core::health::HealthCheck;
use greenroom_core::limits::MESSAGE_BYTES_MAX;
use greenroom_core::message::audio::{self, DeviceInfo, PcmFormat, PlayerId, PlayerState, SampleFormat};
use greenroom_core::message::control::{self, Holding};
use greenroom_core::message::keys::{self, InitDataKind, KeyError, KeySessionId, KeyStatuses, LicenseMessage};
use greenroom_core::message::link::{self, Configuration};
use greenroom_core::message::playback::{self, Codec, SessionId, SourceDescription, SourceId};
use greenroom_core::message::{
    Allowed, AppId, AppState, Component, Ids, LogLevel, LogLevels, Reason, Resources, ServerState, SocketPath,
    TargetState,
};
use greenroom_core::trace::MachineKind;
use greenroom_core::trace::file::Origin;
use serde::Serialize;

pub use self::presentation::{frames, lines};
use super::{corpus, forged, trace};

/// The conversation, the name and the bytes of a message.
pub type Seed = (&'static str, &'static str, Vec<u8>);

/// The seeds of each target, as they are kept in `fuzz/seeds`.
///
/// # Panics
///
/// When one of them does not fit a message.
pub fn files() -> BTreeMap<String, String> {
    let mut seeds = BTreeMap::<String, Vec<(String, Vec<u8>)>>::new();
    let mut add = |target: String, name: &str, bytes| seeds.entry(target).or_default().push((name.to_owned(), bytes));
    for ((conversation, name, bytes), (kind, _)) in messages().into_iter().zip(differential_kinds()) {
        add("codec_differential".to_owned(), &format!("{conversation} {name}"), [&[kind], &bytes[..]].concat());
        add(format!("codec_{conversation}"), name, bytes);
    }
    for (name, line) in lines() {
        for target in ["codec_papi", "codec_papi_differential"] {
            add(target.to_owned(), name, [&[7], &line[..]].concat());
        }
    }
    for (name, stream) in frames() {
        add("codec_frame".to_owned(), name, [&[7], &stream[..]].concat());
    }
    add("trace".to_owned(), "a client and a session server", trace::seed());
    for (name, bytes) in forged::seeds() {
        add("trace_forged".to_owned(), name, bytes);
    }
    for (target, name, bytes) in STORIES {
        add((*target).to_owned(), name, bytes.to_vec());
    }
    let text = |seeds: Vec<(String, Vec<u8>)>| corpus::write(seeds.iter().map(|(name, it)| (Some(&name[..]), &it[..])));
    seeds.into_iter().map(|(target, seeds)| (target, text(seeds))).collect()
}

/// Short stories: each operation begins with the number that its `Arbitrary` reads.
const STORIES: &[(&str, &str, &[u8])] = &[
    ("operations_table", "in, out, in again", &[0, 7, 0, 8, 3, 1, 0, 9, 3, 1, 7]),
    ("operations_table", "full", &[0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 3, 0, 0, 6]),
    ("operations_ledger", "all, too many, back, all", &[1, 2, 1, 1, 8, 0, 1, 2, 15]),
    ("operations_content", "offered, answered, open, left", &[0, 6, 2, 5, 4, 7, 8, 6, 13, 15]),
    ("operations_content", "answered, open, missed, again", &[1, 5, 3, 6, 2, 7, 8, 12, 0, 10]),
    ("operations_content", "declined, by the service", &[0, 2, 9, 8, 14]),
    ("operations_content", "late", &[0, 2, 16, 255, 255, 17, 10]),
    ("codec_crossing", "an offer", b"\x00\x20\x00v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\n"),
    ("codec_crossing", "an answer, long", b"\x01\xff\xfca=\\\"\xc3\xa9\r\n"),
    ("codec_crossing", "a candidate", b"\x02\x10\x00{\"candidate\":\"candidate:1 1 udp 7 192.0.2.1 9 typ host\"}"),
    ("codec_crossing", "as it stands", b"\x03\x40\x05\\u00e9\\n\xf0\x9f\x93\xba"),
    (
        "codec_crossing",
        "too long",
        b"\x00\xff\xfd\xf0\x9f\x93\xba\x01\x02\x03\x04\x05\x06\x07\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18",
    ),
    ("operations_ring", "a frame through", &[8, 8, 0, 0, 10, 0, 0, 0, 6, 10, 20, 12, 6]),
    (
        "operations_ring",
        "full, waits, is woken",
        &[7, 8, 0, 0, 60, 1, 1, 1, 0, 0, 60, 1, 1, 1, 16, 60, 6, 12, 19, 1, 0, 0, 60, 0, 0, 0, 6, 10, 70, 12],
    ),
    (
        "operations_ring",
        "sleeps, is woken, flushes",
        &[3, 9, 15, 0, 0, 5, 0, 0, 0, 6, 18, 1, 6, 17, 1, 0, 0, 3, 0, 0, 0, 6],
    ),
    ("ring_hostile_producer", "an honest one", &[0, 0, 0, 0, 0, 4, 6]),
    (
        "ring_hostile_producer",
        "a payload that is longer than its ring",
        &[0x45, 0xfe, 0xfe, 0x5e, 0x23, 0xc9, 0xf5, 0x24, 0x0a, 0x9b, 0xf1, 0xf5, 0x6f, 0xfe],
    ),
    (
        "ring_hostile_producer",
        "a descriptor that is another one behind its check",
        &[
            0xa7, 0x20, 0xb5, 0xcb, 0x74, 0x16, 0x52, 0xa9, 0x60, 0xe8, 0x44, 0x4a, 0x80, 0x16, 0xa5, 0xfb, 0xcc, 0x36,
            0x26, 0x53, 0x45, 0xde, 0xa6, 0x2a, 0x43, 0x87, 0xf5, 0xf7, 0x6b, 0x78, 0x4c, 0x6b, 0x6a, 0x5a, 0xf2, 0xd6,
            0x93, 0x9f, 0x9e,
        ],
    ),
    ("ring_hostile_consumer", "an honest one", &[0, 0, 0, 20, 0, 0, 30, 0, 5, 60]),
    ("ring_place", "a good one", &[3, 0, 3, 0, 3, 0, 3, 0]),
    ("ring_place", "a payload over the ring's own words", &[0xa8, 0x4a, 0xa8, 0x02, 0x96, 0x57, 0x2c]),
    (
        "operations_manager",
        "a life",
        &[
            8, 0, 0, 0, 0, 1, 9, 0, 0, 9, 0, 0, 9, 0, 0, 3, 0, 1, 9, 0, 0, 9, 0, 0, 3, 0, 2, 9, 0, 0, 9, 0, 0, 9, 0,
            21, 0,
        ],
    ),
    (
        "operations_manager",
        "one that dies and comes back",
        &[8, 0, 0, 0, 0, 1, 9, 0, 0, 9, 0, 0, 9, 0, 0, 9, 0, 21, 2, 9, 0, 0, 9, 0, 0, 9, 0, 0, 9, 0, 21, 2, 25],
    ),
    ("operations_manager", "one that never is up", &[0, 0, 0, 1, 0, 1, 25, 25, 25, 25]),
    (
        "operations_session",
        "plays",
        &[
            0, 0, 0, 255, 0, 3, 0, 4, 0, 0, 0, 4, 0, 1, 0, 4, 0, 2, 0, 4, 0, 3, 0, 17, 0, 0, 4, 0, 4, 0, 17, 0, 0, 4,
            0, 5, 0, 17, 0, 0, 4, 0, 6, 0, 17, 0, 0, 17, 0, 15, 0, 4, 0, 7, 0, 17, 0, 12,
        ],
    ),
    (
        "operations_session",
        "web audio and keys",
        &[
            0, 0, 0, 255, 0, 3, 0, 4, 0, 0, 0, 4, 0, 8, 16, 17, 0, 0, 17, 0, 0, 17, 0, 0, 4, 0, 9, 0, 17, 0, 0, 4, 0,
            10, 0, 4, 0, 11, 0, 24, 0, 4, 24, 0, 0, 4, 0, 13, 0, 24, 0, 7, 0, 3, 2, 17, 0, 12,
        ],
    ),
    (
        "operations_client",
        "memory, a session, the server goes and comes back",
        &[
            0, 0, 3, 14, 0, 0, 0, 8, 0, 14, 0, 0, 0, 8, 2, 14, 0, 1, 1, 8, 7, 1, 1, 14, 0, 0, 0, 7, 0, 3, 14, 0, 0, 0,
            8, 11, 14, 0, 2, 2, 25, 0, 2, 0, 2,
        ],
    ),
    (
        "operations_presentation",
        "asks for a page, which is shown, talked to and ended",
        &[
            2, 1, 0, 0, 0, 0, 0, 12, 0, 0, 12, 0, 0, 20, 0, 0, 12, 0, 0, 12, 0, 0, 20, 0, 0, 2, 1, 0, 9, 0, 2, 1, 0, 7,
            0, 12, 0, 0,
        ],
    ),
    (
        "operations_presentation",
        "shows a page for another device, which leaves",
        &[
            10, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 12, 0, 0, 12, 0, 0, 25, 0, 0, 2, 1, 0, 18, 0, 2, 1, 0, 22, 12, 0, 0, 20,
            0, 0, 20, 0, 0, 20, 0, 0, 12, 0, 15, 30, 25, 0, 6,
        ],
    ),
    (
        "operations_presentation",
        "ends what a program has left, before it is answered",
        &[2, 1, 0, 0, 0, 0, 0, 12, 0, 0, 12, 0, 0, 2, 0, 0, 8, 1, 1, 12, 0, 0],
    ),
    (
        "connections_manager",
        "greets, watches, starts an app, which obeys and ends",
        &[0, 0, 0, 0, 0, 2, 0, 11, 0, 2, 0, 9, 0, 2, 0, 0, 0, 0, 0, 13, 0, 13, 0, 24, 0, 2, 0, 3, 2, 0, 13, 0, 25, 0],
    ),
    (
        "connections_manager",
        "garbage, and too many descriptors",
        &[3, 0, 0, 0, 0, 9, 3, 1, 2, 3, 7, 1, 0, 0, 0, 0, 9, 2, 1, 0, 0, 1],
    ),
    ("connections_manager", "a request that is cut in its number", &[0, 0, 0, 0, 0, 2, 0, 11, 0, 9, 1, 0xD7, 0, 0]),
    ("connections_session", "a call that is cut in its number", &[0, 0, 2, 0, 4, 0, 0, 0, 18, 1, 0xD7, 0, 0]),
    (
        "connections_session",
        "plays",
        &[
            6, 0, 2, 0, 4, 0, 0, 0, 4, 1, 0, 0, 4, 2, 0, 0, 4, 3, 0, 0, 4, 4, 0, 0, 4, 5, 0, 0, 4, 6, 0, 0, 26, 0, 0,
            0, 0, 4, 7, 0,
        ],
    ),
    (
        "connections_session",
        "waits for its decoder, which hangs; web audio and keys",
        &[0, 0, 2, 0, 4, 0, 0, 0, 4, 1, 0, 0, 4, 2, 0, 0, 4, 3, 0, 0, 4, 8, 16, 0, 4, 10, 0, 4, 21, 1, 0, 30, 0, 30],
    ),
    (
        "operations_manager",
        "a spare is taken, its server hangs",
        &[1, 9, 0, 0, 0, 1, 0, 0, 1, 9, 0, 0, 9, 0, 0, 25, 25, 25, 25, 25, 25],
    ),
];

const SESSION: SessionId = SessionId { index: 1, generation: 513 };
const PLAYER: PlayerId = PlayerId { index: 1, generation: 300 };
const KEY_SESSION: KeySessionId = KeySessionId { index: 2, generation: 3 };
const STEREO: PcmFormat = PcmFormat { rate_hz: 48_000, channels: 2, sample: SampleFormat::S16Le };
const PLACE: playback::RingPlace =
    playback::RingPlace { client_offset: 64, server_offset: 64, payload_offset: 4096, payload_bytes: 1 << 23 };

/// Messages of every conversation: control, link, playback, audio, keys, presentation.
///
/// # Panics
///
/// When one of them does not fit a message.
pub fn messages() -> Vec<Seed> {
    let playback = [playback_requests(), playback_messages(), audio(), keys()].concat();
    [control_requests(), control_messages(), link(), playback, presentation::messages()].concat()
}

/// The same, each behind the byte that tells [`super::differential::second_opinion`] what it is, and that byte apart.
///
/// # Panics
///
/// When one of them does not fit a message.
pub fn differential_kinds() -> Vec<(u8, Vec<u8>)> {
    let kind = |(conversation, name, _): &Seed| match (*conversation, name.split('-').next()) {
        ("control", Some("first")) => 13,
        ("control", Some("ask")) => 0,
        ("control", _) => 1,
        ("link", Some("first")) => 14,
        ("link", Some("ask")) => 2,
        ("link", _) => 3,
        ("playback", Some("first")) => 15,
        ("playback", Some("ask")) => 4,
        ("playback", _) => 5,
        ("audio", Some("ask")) => 6,
        ("audio", Some("answer")) => 7,
        ("audio", _) => 8,
        ("keys", Some("ask")) => 9,
        ("keys", Some("answer")) => 10,
        ("keys", Some("notice")) => 11,
        ("presentation", Some("first")) => 18,
        ("presentation", Some("ask")) => 16,
        ("presentation", _) => 17,
        _ => 12,
    };
    messages().into_iter().map(|seed| (kind(&seed), seed.2)).collect()
}

fn later(message: &impl Serialize) -> Vec<u8> {
    encode(message, &mut [0; MESSAGE_BYTES_MAX]).expect("a seed fits a message").to_vec()
}

fn first(message: &impl Serialize) -> Vec<u8> {
    encode_first(message, &mut [0; MESSAGE_BYTES_MAX]).expect("a seed fits a message").to_vec()
}

fn app() -> AppId {
    AppId::new("app1").expect("a name")
}

fn control_requests() -> Vec<Seed> {
    use control::Command as C;
    let state = TargetState::Active;
    let ask = |command| later(&control::Request { sequence: 300, command });
    vec![
        ("control", "first-hello", first(&control::Request { sequence: 1, command: C::Hello })),
        ("control", "ask-initiate", ask(C::Initiate { app: "app1", state, socket: "/run/app1" })),
        ("control", "ask-change", ask(C::ChangeState { app: "app1", state: TargetState::NotRunning })),
        ("control", "ask-where", ask(C::ConnectionInfo { app: "app1" })),
        ("control", "ask-level", ask(C::SetLogLevel { component: Component::Ipc, level: LogLevel::Debug })),
        ("control", "ask-list", ask(C::List { from: 1 })),
        ("control", "ask-watch", ask(C::Watch)),
        ("control", "ask-stop", ask(C::Stop)),
        ("control", "ask-trace", ask(C::Trace { from: 1 })),
    ]
}

fn control_messages() -> Vec<Seed> {
    use control::{Answer, Refusal};
    let answer = |result| later(&control::Message::Reply { sequence: 300, result });
    let holders = [Holding { app: app(), decoders: 2 }].into_iter().collect();
    let decoders = Refusal::Decoders { wanted: 1, free: 0, total: 2, holders };
    let refusal = Refusal::AppDenied { user_id: 1000, app: app() };
    let last_refusal = Some(control::LastRefusal { app: Some(app()), refusal });
    let of_box = control::BoxStatus {
        decoders: 2,
        decoders_free: 1,
        apps_max: 16,
        refusals: 3,
        stale: 200,
        spares: 1,
        last_refusal,
    };
    let full = Refusal::Full { table: control::TableName::Apps, capacity: 16, in_use: 16 };
    let killed =
        control::Event::StateChanged { app: app(), state: ServerState::NotRunning, reason: Some(Reason::Killed(9)) };
    let socket = SocketPath::try_from("/run/app1").expect("a path");
    let ended = Some(ExitStatus::Killed(9));
    let origin = Origin { machine: MachineKind::Session, app: Some(app()), process_id: 4242, ended };
    vec![
        ("control", "welcome", answer(Ok(Answer::Welcome { version: 1 }))),
        ("control", "where", answer(Ok(Answer::ConnectionInfo { socket }))),
        ("control", "app", answer(Ok(Answer::App { next: 1, status: app_status() }))),
        ("control", "box", answer(Ok(Answer::Box(of_box)))),
        ("control", "trace", answer(Ok(Answer::Trace { next: 1, origin }))),
        ("control", "decoders", answer(Err(decoders))),
        ("control", "full", answer(Err(full))),
        ("control", "wrong", answer(Err(Refusal::WrongState { state: Some(ServerState::Error) }))),
        ("control", "in-use", answer(Err(Refusal::SocketInUse { app: app() }))),
        ("control", "killed", later(&control::Message::Event(killed))),
        ("control", "missed", later(&control::Message::Event(control::Event::Missed(70_000)))),
    ]
}

fn app_status() -> control::AppStatus {
    control::AppStatus {
        app: app(),
        state: Some(ServerState::Active),
        wanted: TargetState::Active,
        socket: SocketPath::try_from("/run/app1").expect("a path"),
        process_id: 4242,
        resources: Resources::default(),
        decoders: 1,
        restarts: 2,
        clients: 1,
        refusals: 3,
        uptime_s: 4,
        is_restarting: false,
    }
}

fn link() -> Vec<Seed> {
    let configuration = Configuration {
        app: "app1",
        socket: "/run/app1",
        socket_mode: 0o660,
        socket_owner: "tv",
        socket_group: "video",
        state: TargetState::Active,
        resources: Resources::default(),
        log_levels: LogLevels::default(),
        video_sink: "fake",
        audio_sink: "fake",
        clients: Allowed { users: Ids::first_of(&[0, 1000]), groups: Ids::first_of(&[44]) },
        health: HealthCheck::OFF,
    };
    let mut levels = LogLevels::default();
    levels.set(Component::Ipc, LogLevel::Debug);
    let ask = |command| later(&link::Request { sequence: 300, command });
    let up = link::Message::StateChanged { state: ServerState::Uninitialized, reason: None };
    let failed = link::Message::StateChanged { state: ServerState::Error, reason: Some(Reason::SharedMemory) };
    let wrong = link::Refusal::WrongState { state: ServerState::Inactive };
    vec![
        ("link", "first-up", first(&up)),
        ("link", "ask-configure", ask(link::Command::SetConfiguration(configuration))),
        ("link", "ask-end", ask(link::Command::SetState(TargetState::NotRunning))),
        ("link", "ask-levels", ask(link::Command::SetLogLevels(levels))),
        ("link", "ask-ping", ask(link::Command::Ping)),
        ("link", "done", later(&link::Message::Reply { sequence: 300, result: Ok(()) })),
        ("link", "refused", later(&link::Message::Reply { sequence: 1, result: Err(wrong) })),
        ("link", "failed", later(&failed)),
        ("link", "listener", later(&link::Message::Listener)),
        ("link", "clients", later(&link::Message::Clients { connected: 2, state: AppState::Running })),
    ]
}

fn playback_requests() -> Vec<Seed> {
    use playback::Command as C;
    let (session, source) = (SESSION, SourceId(2));
    let description =
        SourceDescription { codec: Codec::H264, shape: playback::Shape::default(), codec_data: &[1, 100] };
    let window = playback::Window { x: 0, y: 128, width: 1920, height: 1080 };
    let ask = |command| later(&playback::Request { sequence: 1_000_000, command });
    vec![
        ("playback", "first-hello", first(&playback::Request { sequence: 1, command: C::Hello })),
        ("playback", "ask-create", ask(C::CreateSession)),
        ("playback", "ask-load", ask(C::Load { session, live: true })),
        ("playback", "ask-attach", ask(C::AttachSource { session, source: description })),
        ("playback", "ask-seek", ask(C::SetPosition { session, position_ns: 40_000_000_000, epoch: 7 })),
        ("playback", "ask-flush", ask(C::Flush { session, source, reset_time: true, epoch: 8 })),
        ("playback", "ask-volume", ask(C::SetVolume { session, volume_permille: 2000 })),
        ("playback", "ask-window", ask(C::SetVideoWindow { session, window })),
        ("playback", "ask-mute", ask(C::SetSourceMute { session, source, muted: true })),
        ("playback", "ask-player", ask(C::Audio(audio::Command::Create { format: STEREO }))),
        ("playback", "ask-keys", ask(C::Keys(keys::Command::Create { key_system: "org.w3.clearkey" }))),
    ]
}

fn playback_messages() -> Vec<Seed> {
    use playback::{Answer, Event, Message, Refusal};
    let (session, source) = (SESSION, SourceId(0));
    let answer = |result| later(&Message::Reply { sequence: 3, result });
    let event = |event| later(&Message::Event(event));
    let error = playback::PlaybackError::NoDecoder(Codec::Av1);
    let text = playback::Text { source, start_ns: 3, duration_ns: Some(4_000_000_000), missed: 1, body: "a line" };
    let size = Event::PictureSize { session, source, width: 1920, height: 1080 };
    let memory = Answer::SessionWithMemory { session, client_bytes: 1 << 23, server_bytes: 65_536 };
    let table = playback::TableName::KeySessions;
    vec![
        ("playback", "welcome", answer(Ok(Answer::Welcome { version: 1, state: AppState::Running }))),
        ("playback", "attached", answer(Ok(Answer::Source { source, ring: PLACE }))),
        ("playback", "memory", answer(Ok(memory))),
        ("playback", "length", answer(Ok(Answer::Duration { duration_ns: Some(1 << 40) }))),
        ("playback", "statistics", answer(Ok(Answer::Statistics(playback::Statistics::default())))),
        ("playback", "player", answer(Ok(Answer::Audio(player())))),
        ("playback", "full", answer(Err(Refusal::Full { table, capacity: 4, in_use: 4 }))),
        ("playback", "wrong", answer(Err(Refusal::WrongPlayerState { state: PlayerState::Failed }))),
        ("playback", "refused", answer(Err(Refusal::Keys(KeyError::Response)))),
        ("playback", "failed", event(Event::Failed { session, error })),
        ("playback", "levels", event(Event::LogLevels(LogLevels::default()))),
        ("playback", "size", event(size)),
        ("playback", "text", later(&Message::Text { session, text })),
        ("playback", "statuses", later(&Message::Keys(statuses()))),
    ]
}

fn player() -> audio::Answer {
    audio::Answer::Player {
        player: PLAYER,
        client_bytes: 131_072,
        server_bytes: 65_536,
        ring: PLACE,
        device: DeviceInfo::of(&STEREO, 65_536),
        format: STEREO,
    }
}

fn audio() -> Vec<Seed> {
    use audio::{Answer, Command, Event};
    let (player_id, volume_permille) = (PLAYER, 2000);
    vec![
        ("audio", "ask-create", later(&Command::Create { format: STEREO })),
        ("audio", "ask-destroy", later(&Command::Destroy { player: player_id })),
        ("audio", "ask-play", later(&Command::Play { player: player_id })),
        ("audio", "ask-volume", later(&Command::SetVolume { player: player_id, volume_permille })),
        ("audio", "ask-played", later(&Command::GetPlayed { player: player_id })),
        ("audio", "answer-player", later(&player())),
        ("audio", "answer-volume", later(&Answer::Volume { volume_permille })),
        ("audio", "answer-played", later(&Answer::Played { frames: 48_000 * 86_400 })),
        ("audio", "state", later(&Event::State { player: player_id, state: PlayerState::EndOfStream })),
        ("audio", "failed", later(&Event::Failed { player: player_id, error: playback::PlaybackError::Sink })),
        ("audio", "ended", later(&Event::Ended { player: player_id })),
    ]
}

fn statuses() -> keys::Notice<'static> {
    let statuses = KeyStatuses(b"a key of 16 byte\0the other 16 one\x05");
    keys::Notice::KeyStatuses { key_session: KEY_SESSION, statuses }
}

fn keys() -> Vec<Seed> {
    use keys::{Answer, Command, Event, Notice};
    let (key_session, kind) = (KEY_SESSION, InitDataKind::Cenc);
    let message = LicenseMessage { kind: keys::LicenseMessageKind::Renewal, body: b"a request" };
    vec![
        ("keys", "ask-create", later(&Command::Create { key_system: "org.w3.clearkey" })),
        ("keys", "ask-request", later(&Command::GenerateRequest { key_session, kind, init_data: b"pssh" })),
        ("keys", "ask-update", later(&Command::Update { key_session, response: b"a response" })),
        ("keys", "ask-remove", later(&Command::Remove { key_session })),
        ("keys", "ask-bind", later(&Command::Bind { key_session, session: SESSION })),
        ("keys", "ask-close", later(&Command::Close { key_session })),
        ("keys", "answer-session", later(&Answer::KeySession { key_session })),
        ("keys", "notice-license", later(&Notice::License { key_session, message })),
        ("keys", "notice-statuses", later(&statuses())),
        ("keys", "ended", later(&Event::Ended { key_session })),
    ]
}
