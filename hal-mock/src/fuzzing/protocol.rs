//! Every message of the protocol as it is written, apart from the types that the codec reads.
//!
//! What stands at which place is a number on the wire, so this list grows at its ends only, as the types do.

pub(super) mod presentation;

use greenroom_core::limits::{HOLDERS_MAX, IDS_MAX, SOCKET_PATH_BYTES_MAX};

use super::naive::Shape::{
    self, AppName, Bool, Byte, ByteArray, Bytes, Fields, List, Number, OneOf, Optional, Text, Unit,
};

const U16: Shape = Number(16);
const U32: Shape = Number(32);
const U64: Shape = Number(64);
/// A text that is borrowed from the message, and so as long as that allows.
const LONG_TEXT: Shape = Text(usize::MAX);

// What several conversations share.

const SERVER_STATE: Shape =
    OneOf(&[("Uninitialized", Unit), ("Inactive", Unit), ("Active", Unit), ("NotRunning", Unit), ("Error", Unit)]);
const TARGET_STATE: Shape = OneOf(&[("Inactive", Unit), ("Active", Unit), ("NotRunning", Unit)]);
const APP_STATE: Shape = OneOf(&[("Unknown", Unit), ("Inactive", Unit), ("Running", Unit)]);
const RESOURCES: Shape =
    Fields(&[("max_playback_sessions", Byte), ("max_web_audio_players", Byte), ("max_key_sessions", Byte)]);
const REASON: Shape = OneOf(&[
    ("Asked", Unit),
    ("ReadyTimeout", Unit),
    ("LinkTimeout", Unit),
    ("LinkBroken", Unit),
    ("Exited", Byte),
    ("Killed", Byte),
    ("Initialization", Unit),
    ("SocketTaken", Unit),
    ("SocketDirectoryMissing", Unit),
    ("SocketDenied", Unit),
    ("SocketOwner", Unit),
    ("SocketFailed", Unit),
    ("SharedMemory", Unit),
    ("DecoderStuck", Unit),
    ("ManagerGone", Unit),
    ("ConfigurationRefused", Unit),
    ("ProgramMissing", Unit),
    ("ProgramDenied", Unit),
    ("SpawnFailed", Unit),
    ("DecodersTaken", Unit),
    ("SocketPathNotSocket", Unit),
    ("Unhealthy", Unit),
    ("KeySystemStuck", Unit),
]);
const LOG_LEVEL: Shape =
    OneOf(&[("Fatal", Unit), ("Error", Unit), ("Warning", Unit), ("Milestone", Unit), ("Info", Unit), ("Debug", Unit)]);
const COMPONENT: Shape = OneOf(&[
    ("Default", Unit),
    ("Client", Unit),
    ("SessionServer", Unit),
    ("Ipc", Unit),
    ("Manager", Unit),
    ("Common", Unit),
]);
const LOG_LEVELS: Shape = Fields(&[
    ("default", LOG_LEVEL),
    ("client", Optional(&LOG_LEVEL)),
    ("session_server", Optional(&LOG_LEVEL)),
    ("ipc", Optional(&LOG_LEVEL)),
    ("manager", Optional(&LOG_LEVEL)),
    ("common", Optional(&LOG_LEVEL)),
]);
const SOCKET_PATH: Shape = Text(SOCKET_PATH_BYTES_MAX);
const IDS: Shape = List(&U32, IDS_MAX);
const ID: Shape = Fields(&[("index", U16), ("generation", U16)]);

// The control socket.

/// What is asked of the manager.
pub(super) const CONTROL_REQUEST: Shape = Fields(&[("sequence", U32), ("command", CONTROL_COMMAND)]);
const CONTROL_COMMAND: Shape = OneOf(&[
    ("Hello", Unit),
    ("Initiate", Fields(&[("app", LONG_TEXT), ("state", TARGET_STATE), ("socket", LONG_TEXT)])),
    ("ChangeState", Fields(&[("app", LONG_TEXT), ("state", TARGET_STATE)])),
    ("ConnectionInfo", Fields(&[("app", LONG_TEXT)])),
    ("SetLogLevel", Fields(&[("component", COMPONENT), ("level", LOG_LEVEL)])),
    ("List", Fields(&[("from", U16)])),
    ("Watch", Unit),
    ("Stop", Unit),
    ("Trace", Fields(&[("from", U16)])),
]);

/// What the manager says to who asked it.
pub(super) const CONTROL_MESSAGE: Shape = OneOf(&[
    ("Reply", Fields(&[("sequence", U32), ("result", OneOf(&[("Ok", CONTROL_ANSWER), ("Err", CONTROL_REFUSAL)]))])),
    ("Event", CONTROL_EVENT),
]);
const CONTROL_ANSWER: Shape = OneOf(&[
    ("Welcome", Fields(&[("version", Byte)])),
    ("Done", Unit),
    ("ConnectionInfo", Fields(&[("socket", SOCKET_PATH)])),
    ("App", Fields(&[("next", U16), ("status", APP_STATUS)])),
    ("Box", BOX_STATUS),
    ("Trace", Fields(&[("next", U16), ("origin", TRACE_ORIGIN)])),
]);
const TRACE_ORIGIN: Shape = Fields(&[
    ("machine", OneOf(&[("Manager", Unit), ("Session", Unit), ("Client", Unit)])),
    ("app", Optional(&AppName)),
    ("process_id", U32),
    ("ended", Optional(&OneOf(&[("Exited", Byte), ("Killed", Byte)]))),
]);
const APP_STATUS: Shape = Fields(&[
    ("app", AppName),
    ("state", Optional(&SERVER_STATE)),
    ("wanted", TARGET_STATE),
    ("socket", SOCKET_PATH),
    ("process_id", U32),
    ("resources", RESOURCES),
    ("decoders", Byte),
    ("restarts", U32),
    ("clients", Byte),
    ("refusals", U32),
    ("uptime_s", U32),
    ("is_restarting", Bool),
]);
const BOX_STATUS: Shape = Fields(&[
    ("decoders", Byte),
    ("decoders_free", Byte),
    ("apps_max", U16),
    ("refusals", U32),
    ("stale", U32),
    ("spares", U16),
    ("last_refusal", Optional(&Fields(&[("app", Optional(&AppName)), ("refusal", CONTROL_REFUSAL)]))),
]);
const CONTROL_EVENT: Shape = OneOf(&[
    ("StateChanged", Fields(&[("app", AppName), ("state", SERVER_STATE), ("reason", Optional(&REASON))])),
    ("Missed", U32),
]);
const CONTROL_REFUSAL: Shape = OneOf(&[
    ("Malformed", Unit),
    ("Version", VERSIONS),
    ("AppName", Unit),
    ("UnknownApp", Unit),
    ("AlreadyRunning", Fields(&[("state", Optional(&SERVER_STATE))])),
    ("NotRunning", Unit),
    ("Busy", Unit),
    ("WrongState", Fields(&[("state", Optional(&SERVER_STATE))])),
    ("SocketPath", Unit),
    ("SocketInUse", Fields(&[("app", AppName)])),
    ("Denied", Unit),
    ("Full", Fields(&[("table", OneOf(&[("Apps", Unit), ("Controllers", Unit)])), ("capacity", U16), ("in_use", U16)])),
    (
        "Decoders",
        Fields(&[
            ("wanted", Byte),
            ("free", Byte),
            ("total", Byte),
            ("holders", List(&Fields(&[("app", AppName), ("decoders", Byte)]), HOLDERS_MAX)),
        ]),
    ),
    ("ProgramMissing", Unit),
    ("ProgramDenied", Unit),
    ("Spawn", Unit),
    ("ServerRefused", Unit),
    ("ServerTimeout", Unit),
    ("ServerGone", Unit),
    ("ShuttingDown", Unit),
    ("Superseded", Unit),
    ("AppDenied", Fields(&[("user_id", U32), ("app", AppName)])),
    ("BoxDenied", Fields(&[("user_id", U32)])),
    ("SocketDenied", Fields(&[("user_id", U32)])),
]);
const VERSIONS: Shape = Fields(&[("min", Byte), ("max", Byte)]);

// The link between the manager and a session server.

/// What the manager asks of a session server.
pub(super) const LINK_REQUEST: Shape = Fields(&[("sequence", U32), ("command", LINK_COMMAND)]);
const LINK_COMMAND: Shape = OneOf(&[
    ("SetConfiguration", CONFIGURATION),
    ("SetState", TARGET_STATE),
    ("SetLogLevels", LOG_LEVELS),
    ("Ping", Unit),
]);
const CONFIGURATION: Shape = Fields(&[
    ("app", LONG_TEXT),
    ("socket", LONG_TEXT),
    ("socket_mode", U16),
    ("socket_owner", LONG_TEXT),
    ("socket_group", LONG_TEXT),
    ("state", TARGET_STATE),
    ("resources", RESOURCES),
    ("log_levels", LOG_LEVELS),
    ("video_sink", LONG_TEXT),
    ("audio_sink", LONG_TEXT),
    ("clients", Fields(&[("users", IDS), ("groups", IDS)])),
    ("health", Fields(&[("interval_ms", U32), ("failures_max", Byte)])),
]);

/// What a session server says to the manager.
pub(super) const LINK_MESSAGE: Shape = OneOf(&[
    ("Reply", Fields(&[("sequence", U32), ("result", OneOf(&[("Ok", Unit), ("Err", LINK_REFUSAL)]))])),
    ("StateChanged", Fields(&[("state", SERVER_STATE), ("reason", Optional(&REASON))])),
    ("Listener", Unit),
    ("Clients", Fields(&[("connected", Byte), ("state", APP_STATE)])),
]);
const LINK_REFUSAL: Shape =
    OneOf(&[("WrongState", Fields(&[("state", SERVER_STATE)])), ("Busy", Unit), ("Configuration", Unit)]);

// A client's connection to its session server.

const SESSION: (&str, Shape) = ("session", ID);
const SOURCE: (&str, Shape) = ("source", Byte);

/// What a client asks of its session server.
pub(super) const PLAYBACK_REQUEST: Shape = Fields(&[("sequence", U32), ("command", PLAYBACK_COMMAND)]);
const PLAYBACK_COMMAND: Shape = OneOf(&[
    ("Hello", Unit),
    ("GetSharedMemory", Unit),
    ("ReleaseSharedMemory", Unit),
    ("CreateSession", Unit),
    ("DestroySession", Fields(&[SESSION])),
    ("Load", Fields(&[SESSION, ("live", Bool)])),
    ("AttachSource", Fields(&[SESSION, ("source", SOURCE_DESCRIPTION)])),
    ("AllSourcesAttached", Fields(&[SESSION])),
    ("Play", Fields(&[SESSION])),
    ("Pause", Fields(&[SESSION])),
    ("Stop", Fields(&[SESSION])),
    ("SetPosition", Fields(&[SESSION, ("position_ns", U64), ("epoch", U32)])),
    ("Flush", Fields(&[SESSION, SOURCE, ("reset_time", Bool), ("epoch", U32)])),
    ("SetVolume", Fields(&[SESSION, ("volume_permille", U16)])),
    ("SetMute", Fields(&[SESSION, ("muted", Bool)])),
    ("GetPosition", Fields(&[SESSION])),
    ("SetDuration", Fields(&[SESSION, ("duration_ns", U64)])),
    ("GetDuration", Fields(&[SESSION])),
    ("GetStatistics", Fields(&[SESSION, SOURCE])),
    ("RemoveSource", Fields(&[SESSION, SOURCE])),
    ("SetPlaybackRate", Fields(&[SESSION, ("rate_permille", U16)])),
    (
        "SetVideoWindow",
        Fields(&[SESSION, ("window", Fields(&[("x", U32), ("y", U32), ("width", U32), ("height", U32)]))]),
    ),
    ("SetSourceMute", Fields(&[SESSION, SOURCE, ("muted", Bool)])),
    ("Audio", AUDIO_COMMAND),
    ("Pong", Unit),
    ("Keys", KEYS_COMMAND),
]);
const SOURCE_DESCRIPTION: Shape = Fields(&[
    ("codec", CODEC),
    (
        "shape",
        Fields(&[
            ("width", U32),
            ("height", U32),
            ("frame_rate_numerator", U32),
            ("frame_rate_denominator", U32),
            ("sample_rate", U32),
            ("channels", U16),
        ]),
    ),
    ("codec_data", Bytes),
]);
const CODEC: Shape = OneOf(&[
    ("H264", Unit),
    ("H264Avc", Unit),
    ("Vp9", Unit),
    ("Aac", Unit),
    ("AacAdts", Unit),
    ("Opus", Unit),
    ("H265", Unit),
    ("H265Hvc", Unit),
    ("Vp8", Unit),
    ("Av1", Unit),
    ("Mp3", Unit),
    ("Vorbis", Unit),
    ("Flac", Unit),
    ("PcmS16Le", Unit),
    ("PcmS24Le", Unit),
    ("PcmS32Le", Unit),
    ("PcmF32Le", Unit),
    ("TextUtf8", Unit),
    ("TextWebVtt", Unit),
    ("TextTtml", Unit),
]);

/// What a session server says to a client.
pub(super) const PLAYBACK_MESSAGE: Shape = OneOf(&[
    ("Reply", Fields(&[("sequence", U32), ("result", OneOf(&[("Ok", PLAYBACK_ANSWER), ("Err", PLAYBACK_REFUSAL)]))])),
    ("Event", PLAYBACK_EVENT),
    (
        "Text",
        Fields(&[
            SESSION,
            (
                "text",
                Fields(&[
                    SOURCE,
                    ("start_ns", U64),
                    ("duration_ns", Optional(&U64)),
                    ("missed", U32),
                    ("body", LONG_TEXT),
                ]),
            ),
        ]),
    ),
    ("Keys", KEYS_NOTICE),
]);
const REGIONS: [(&str, Shape); 2] = [("client_bytes", U32), ("server_bytes", U32)];
const PLAYBACK_ANSWER: Shape = OneOf(&[
    ("Welcome", Fields(&[("version", Byte), ("state", APP_STATE)])),
    ("Done", Unit),
    ("SharedMemory", Fields(&REGIONS)),
    ("Session", Fields(&[SESSION])),
    ("Source", Fields(&[SOURCE, ("ring", RING_PLACE)])),
    ("Position", Fields(&[("position_ns", U64)])),
    ("Duration", Fields(&[("duration_ns", Optional(&U64))])),
    (
        "Statistics",
        Fields(&[
            ("frames_taken", U32),
            ("frames_stale", U32),
            ("frames_rendered", U32),
            ("frames_dropped", U32),
            ("frames_queued", U32),
        ]),
    ),
    ("Audio", AUDIO_ANSWER),
    ("Keys", KEYS_ANSWER),
    ("SessionWithMemory", Fields(&[SESSION, REGIONS[0], REGIONS[1]])),
]);
const RING_PLACE: Shape =
    Fields(&[("client_offset", U32), ("server_offset", U32), ("payload_offset", U32), ("payload_bytes", U32)]);
const PLAYBACK_STATE: Shape = OneOf(&[
    ("Idle", Unit),
    ("Buffering", Unit),
    ("Paused", Unit),
    ("Playing", Unit),
    ("EndOfStream", Unit),
    ("Failed", Unit),
]);
const PLAYBACK_ERROR: Shape = OneOf(&[
    ("NoDecoder", CODEC),
    ("NoElement", Unit),
    ("Sink", Unit),
    ("Decode", Unit),
    ("Format", Unit),
    ("RingCorrupt", Unit),
    ("DecoderStuck", Unit),
    ("Decoder", Unit),
    ("Memory", Unit),
    ("Unsupported", Unit),
]);
const PLAYBACK_EVENT: Shape = OneOf(&[
    ("ApplicationState", APP_STATE),
    ("PlaybackState", Fields(&[SESSION, ("state", PLAYBACK_STATE)])),
    ("FirstFrame", Fields(&[SESSION, SOURCE])),
    ("Position", Fields(&[SESSION, ("position_ns", U64)])),
    ("Failed", Fields(&[SESSION, ("error", PLAYBACK_ERROR)])),
    ("LogLevels", LOG_LEVELS),
    ("SessionEnded", Fields(&[SESSION])),
    ("Underflow", Fields(&[SESSION, SOURCE])),
    ("QualityOfService", Fields(&[SESSION, SOURCE, ("frames_rendered", U32), ("frames_dropped", U32)])),
    ("PictureSize", Fields(&[SESSION, SOURCE, ("width", U32), ("height", U32)])),
    ("Audio", AUDIO_EVENT),
    ("Ping", Unit),
    ("Keys", KEYS_EVENT),
]);
const PLAYBACK_REFUSAL: Shape = OneOf(&[
    ("Malformed", Unit),
    ("Version", VERSIONS),
    ("UnknownSession", Unit),
    ("UnknownSource", Unit),
    ("NotActive", Unit),
    ("NoMemory", Unit),
    ("WrongState", Fields(&[("state", PLAYBACK_STATE)])),
    ("DuplicateSource", Unit),
    ("OutOfRange", Unit),
    (
        "Full",
        Fields(&[
            (
                "table",
                OneOf(&[
                    ("Clients", Unit),
                    ("PlaybackSessions", Unit),
                    ("Sources", Unit),
                    ("WebAudioPlayers", Unit),
                    ("KeySessions", Unit),
                ]),
            ),
            ("capacity", U16),
            ("in_use", U16),
        ]),
    ),
    ("Failed", PLAYBACK_ERROR),
    ("Interrupted", Unit),
    ("NotPermitted", Fields(&[("user_id", U32)])),
    ("UnknownPlayer", Unit),
    ("UnsupportedFormat", Unit),
    ("WrongPlayerState", Fields(&[("state", PLAYER_STATE)])),
    ("UnknownKeySession", Unit),
    (
        "Keys",
        OneOf(&[
            ("UnknownKeySystem", Unit),
            ("InitData", Unit),
            ("Response", Unit),
            ("NoMessage", Unit),
            ("Stuck", Unit),
            ("Provider", Unit),
        ]),
    ),
]);

// Web audio, inside a client's connection.

const PLAYER: (&str, Shape) = ("player", ID);
const VOLUME: (&str, Shape) = ("volume_permille", U16);
const PCM_FORMAT: Shape = Fields(&[
    ("rate_hz", U32),
    ("channels", Byte),
    ("sample", OneOf(&[("S16Le", Unit), ("S24Le", Unit), ("S32Le", Unit), ("F32Le", Unit)])),
]);

/// What a client asks about web audio.
pub(super) const AUDIO_COMMAND: Shape = OneOf(&[
    ("Create", Fields(&[("format", PCM_FORMAT)])),
    ("Destroy", Fields(&[PLAYER])),
    ("Play", Fields(&[PLAYER])),
    ("Pause", Fields(&[PLAYER])),
    ("SetVolume", Fields(&[PLAYER, VOLUME])),
    ("GetVolume", Fields(&[PLAYER])),
    ("GetPlayed", Fields(&[PLAYER])),
]);
/// What it is answered.
pub(super) const AUDIO_ANSWER: Shape = OneOf(&[
    (
        "Player",
        Fields(&[
            PLAYER,
            REGIONS[0],
            REGIONS[1],
            ("ring", RING_PLACE),
            ("device", Fields(&[("preferred_frames", U32), ("maximum_frames", U32), ("supports_deferred_play", Bool)])),
            ("format", PCM_FORMAT),
        ]),
    ),
    ("Volume", Fields(&[VOLUME])),
    ("Played", Fields(&[("frames", U64)])),
]);
const PLAYER_STATE: Shape =
    OneOf(&[("Idle", Unit), ("Playing", Unit), ("Paused", Unit), ("EndOfStream", Unit), ("Failed", Unit)]);
/// What it is told.
pub(super) const AUDIO_EVENT: Shape = OneOf(&[
    ("State", Fields(&[PLAYER, ("state", PLAYER_STATE)])),
    ("Failed", Fields(&[PLAYER, ("error", PLAYBACK_ERROR)])),
    ("Ended", Fields(&[PLAYER])),
]);

// Keys, inside a client's connection.

const KEY_SESSION: (&str, Shape) = ("key_session", ID);

/// What a client asks about keys.
pub(super) const KEYS_COMMAND: Shape = OneOf(&[
    ("Create", Fields(&[("key_system", LONG_TEXT)])),
    (
        "GenerateRequest",
        Fields(&[
            KEY_SESSION,
            ("kind", OneOf(&[("Cenc", Unit), ("KeyIds", Unit), ("Webm", Unit)])),
            ("init_data", Bytes),
        ]),
    ),
    ("Update", Fields(&[KEY_SESSION, ("response", Bytes)])),
    ("Remove", Fields(&[KEY_SESSION])),
    ("Bind", Fields(&[KEY_SESSION, SESSION])),
    ("Close", Fields(&[KEY_SESSION])),
]);
/// What it is answered.
pub(super) const KEYS_ANSWER: Shape = OneOf(&[("KeySession", Fields(&[KEY_SESSION]))]);
/// What it is told, where that is long.
pub(super) const KEYS_NOTICE: Shape = OneOf(&[
    (
        "License",
        Fields(&[
            KEY_SESSION,
            ("message", Fields(&[("kind", OneOf(&[("Request", Unit), ("Renewal", Unit)])), ("body", Bytes)])),
        ]),
    ),
    ("KeyStatuses", Fields(&[KEY_SESSION, ("statuses", Bytes)])),
]);
/// What it is told.
pub(super) const KEYS_EVENT: Shape = OneOf(&[("Ended", Fields(&[KEY_SESSION]))]);
