//! Every capacity and every time limit of the system: name, default, reason.
//!
//! Capacities are fixed when the core is built. To change one, set the environment variable of its
//! name with `GREENROOM_` in front, e.g. `GREENROOM_APPS_MAX=32 cargo build`.

use core::time::Duration;

/// Reads a capacity from the build's environment; what is no number stops the build.
const fn capacity(setting: Option<&str>, default: usize) -> usize {
    let Some(text) = setting else { return default };
    match usize::from_str_radix(text, 10) {
        Ok(number) if number > 0 && number <= 65_535 => number,
        _ => panic!("a GREENROOM_ capacity must be a number from 1 to 65535"),
    }
}

macro_rules! capacities {
    ($($(#[$doc:meta])* $name:ident = $default:literal;)*) => {
        $($(#[$doc])* pub const $name: usize = capacity(option_env!(concat!("GREENROOM_", stringify!($name))), $default);)*

        /// Name and value of every capacity, in the order of this file.
        pub const CAPACITIES: &[(&str, usize)] = &[$((stringify!($name), $name)),*];
    };
}

capacities! {
    /// Apps that the manager can run at a time, each with a session server of its own.
    APPS_MAX = 16;
    /// Session servers that can be kept ready at a time, up and without an app.
    SPARES_MAX = 4;
    /// Connections to the manager's control socket at a time.
    CONTROLLERS_MAX = 16;
    /// Events that wait for one slow observer before it gets `Missed` and a snapshot.
    OBSERVER_BACKLOG_MAX = 32;
    /// Connections of clients to one session server at a time.
    CLIENTS_MAX = 8;
    /// Playback sessions in one session server at a time; an app's resources may allow fewer.
    SESSIONS_MAX = 4;
    /// Sources (video, audio, text) of one playback session.
    SOURCES_MAX = 3;
    /// Calls of one client library that wait for their answer.
    CALLS_MAX = 16;
    /// Bytes of an app's name.
    APP_ID_BYTES_MAX = 64;
    /// Bytes of a socket's path: what `sockaddr_un` holds, less the closing zero.
    SOCKET_PATH_BYTES_MAX = 107;
    /// Bytes of one message on any socket.
    MESSAGE_BYTES_MAX = 8192;
    /// Descriptors that may travel with one message.
    DESCRIPTORS_MAX = 4;
    /// Messages that are read from one connection before the next one has its turn.
    MESSAGES_PER_TURN_MAX = 8;
    /// Holders that a refusal names.
    HOLDERS_MAX = 4;
    /// Bytes of a codec's configuration (`avcC`, `AudioSpecificConfig`, ...) at attach.
    CODEC_DATA_BYTES_MAX = 4096;
    /// Bytes of the description of a sink.
    SINK_BYTES_MAX = 512;
    /// Bytes of the name of a user or group that owns a socket.
    OWNER_BYTES_MAX = 32;
    /// Bytes of one text of a subtitle track: a TTML document of some seconds.
    TEXT_BYTES_MAX = 7168;
    /// Texts of one session that are due and that its app has not read; of more the oldest are counted and dropped.
    TEXTS_MAX = 8;
    /// Users, or groups, that one list of who may do something names; groups of a peer that are looked at.
    IDS_MAX = 32;
    /// Frames that may wait in the ring of one source; a power of two.
    RING_SLOTS = 64;
    /// Web audio players in one session server at a time; an app's resources may allow fewer.
    WEB_AUDIO_PLAYERS_MAX = 4;
    /// Key sessions in one session server at a time; an app's resources may allow fewer.
    KEY_SESSIONS_MAX = 4;
    /// Bytes of the name of a key system.
    KEY_SYSTEM_BYTES_MAX = 64;
    /// Bytes of a media's initialization data: `pssh` boxes of several key systems.
    INIT_DATA_BYTES_MAX = 4096;
    /// Bytes of a licence request, and of the response to it.
    LICENSE_BYTES_MAX = 7168;
    /// Keys of one key session.
    KEYS_MAX = 16;
    /// Control channels between this box and other devices at a time, idle ones included.
    CHANNELS_MAX = 64;
    /// Connections to presentations at a time, those that are closed and can be taken up again included.
    CONNECTIONS_MAX = 32;
    /// Presentations at a time, those that other devices show included.
    PRESENTATIONS_MAX = 16;
    /// Devices on the network that are known at a time.
    DEVICES_MAX = 32;
    /// Local clients of the presentation service at a time.
    PRESENTERS_MAX = 32;
    /// Requests that a device be chosen that wait at a time.
    SELECTIONS_MAX = 4;
    /// Bytes of a presentation's name; a UUID has 36.
    PRESENTATION_ID_BYTES_MAX = 64;
    /// Bytes of a URL that is shown.
    URL_BYTES_MAX = 1024;
    /// URLs with which one presentation can be started.
    URLS_MAX = 4;
}

/// What a message needs beside a codec's configuration or a text, in bytes: far less than this.
const ENVELOPE_BYTES_MAX: usize = 128;
const _: () = assert!(INIT_DATA_BYTES_MAX + ENVELOPE_BYTES_MAX <= MESSAGE_BYTES_MAX, "a message holds init data");
const _: () = assert!(LICENSE_BYTES_MAX + ENVELOPE_BYTES_MAX <= MESSAGE_BYTES_MAX, "a message holds a licence");
const _: () = assert!(CODEC_DATA_BYTES_MAX + ENVELOPE_BYTES_MAX <= MESSAGE_BYTES_MAX, "a message holds an attach");
const _: () = assert!(TEXT_BYTES_MAX + ENVELOPE_BYTES_MAX <= MESSAGE_BYTES_MAX, "a message holds a text");

/// Devices that have connected and not proved yet who they are, at a time: TLS takes milliseconds.
pub const ARRIVALS_MAX: usize = 16;
/// Connections of other devices from one address at a time, arrivals included: one device cannot take all places.
pub const CHANNELS_PER_ADDRESS_MAX: usize = CHANNELS_MAX.div_ceil(4);
/// Connections that are closed in order at a time; of more the oldest are cut off.
pub const DEPARTURES_MAX: usize = 16;
/// Bytes of one line on a control channel: an SDP of 70 kB whose every quote is escaped still fits.
pub const CONTROL_LINE_BYTES_MAX: usize = 128 * 1024;
/// Addresses that a description of a transport names; of more the first are used. A box has one or two of each family.
pub const TRANSPORT_ADDRESSES_MAX: usize = 8;
/// Addresses of one device that are tried; of more the first. A box has one or two of each family.
pub const DEVICE_ADDRESSES_MAX: usize = 8;
/// Bytes of what a device calls itself, for machines: a host's name.
pub const DEVICE_ID_BYTES_MAX: usize = 255;
/// Bytes of what a device calls itself, for people: a label of a domain name.
pub const DEVICE_NAME_BYTES_MAX: usize = 63;

/// Bytes of one message of a presentation on our own transport: what browsers take on a data channel.
pub const TRANSPORT_MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Bytes of one message between the presentation service and a local client: the longest one of a presentation, or a
/// description of a data channel, and what goes with it.
pub const PRESENTER_MESSAGE_BYTES_MAX: usize = TRANSPORT_MESSAGE_BYTES_MAX + 8 * 1024;
/// Bytes that wait for one local client that does not read; with more it is given up. One message of a presentation, and
/// the news of all connections.
pub const PRESENTER_BACKLOG_BYTES_MAX: usize = PRESENTER_MESSAGE_BYTES_MAX + 64 * 1024;

/// Bytes that a page has sent on a data channel and that have not arrived yet; with more it is to try again later. Four of
/// the longest messages, and far more than a network of a home holds.
pub const DATA_CHANNEL_BUFFERED_BYTES_MAX: usize = 4 * TRANSPORT_MESSAGE_BYTES_MAX;
/// A data channel is open within this after both devices have described it.
pub const DATA_CHANNEL_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of candidates of one data channel that are kept for a page that loads still. A candidate has some 200, and a
/// device a few of them.
pub const CANDIDATES_KEPT_BYTES_MAX: usize = 8 * 1024;

/// Who connects to an offered transport proves within this that it may, or the next one has its turn.
pub const TRANSPORT_GREETING_TIMEOUT: Duration = Duration::from_secs(3);
/// What was sent on a connection before it was closed has arrived within this, or is lost.
pub const DEPARTURE_TIMEOUT: Duration = Duration::from_secs(2);

/// What another device has sent before it closed waits so long for a client that does not take it.
pub const UNREAD_KEPT: Duration = Duration::from_secs(60);

/// A control channel to another device is open within this, TLS included. Mozilla's programs wait 2 s, without TLS.
pub const CHANNEL_OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// The first message of a control channel, and its answer, come within this after it was opened.
pub const CHANNEL_GREETING_TIMEOUT: Duration = Duration::from_secs(3);
/// The other device closes a control channel within this after it was told, or it is closed here.
pub const CHANNEL_CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// A device that is one of us is asked whether it is there when nothing was heard of it for this long.
pub const CHANNEL_PING_INTERVAL: Duration = Duration::from_secs(15);
/// It has gone when it did not answer so many times.
pub const CHANNEL_PINGS_MAX: u8 = 3;
/// A controller that connected and asks for nothing is sent away after this, so that its place is free for another.
pub const CHANNEL_UNUSED_TIMEOUT: Duration = Duration::from_secs(300);
/// So many lines that are no JSON are forgiven on one control channel.
pub const CHANNEL_GARBAGE_MAX: u8 = 16;
/// A connection is made within this after it was asked for (PS-30), unless the service is configured otherwise: longer than
/// the page may load.
pub const ESTABLISH_TIMEOUT: Duration = Duration::from_secs(20);
/// No service is configured to wait longer than this for a connection: who asks it waits a little longer for its answer.
pub const ESTABLISH_TIMEOUT_MAX: Duration = Duration::from_secs(120);
/// A page that is launched is there within this (PS-13), unless the service is configured otherwise.
pub const PAGE_LOAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The other device acknowledges the end of a presentation within this (PS-10).
pub const TERMINATE_ACK_TIMEOUT: Duration = Duration::from_secs(5);
/// A device is chosen within this (PS-01): a person reads a list.
pub const SELECTION_TIMEOUT: Duration = Duration::from_secs(120);
/// A connection that was closed can be taken up again for this long, and so can a presentation without connections.
pub const CLOSED_KEPT: Duration = Duration::from_secs(30 * 60);

/// Payload bytes of a video ring: two of the largest pictures that broadcast streams carry.
pub const VIDEO_RING_BYTES: u32 = 8 * 1024 * 1024;
/// Payload bytes of an audio ring.
pub const AUDIO_RING_BYTES: u32 = 1024 * 1024;
/// Payload bytes of a text ring.
pub const TEXT_RING_BYTES: u32 = 256 * 1024;
/// Payload bytes of a web audio player's ring: a third of a second of stereo, so that a game's sounds stay prompt.
pub const WEB_AUDIO_RING_BYTES: u32 = 64 * 1024;

/// A session server says that it is up within this, or it is killed (SM-04, SM-12). It needs 20 ms; a
/// loaded box at boot was seen to need half a second.
pub const READY_TIMEOUT: Duration = Duration::from_secs(1);
/// A session server answers a request of the manager within this: longer than any decoder may need.
pub const LINK_TIMEOUT: Duration = Duration::from_secs(3);
/// A session server whose path another one still has tries for this long to get it: the server of a manager that was killed
/// leaves its path as soon as it notices. Shorter than [`LINK_TIMEOUT`].
pub const BIND_PATIENCE: Duration = Duration::from_secs(1);
/// The pause between two attempts.
pub const BIND_PAUSE: Duration = Duration::from_millis(20);
/// A session server that was asked to end is sent TERM after this (SM-21).
pub const STOP_TIMEOUT: Duration = Duration::from_secs(1);
/// A session server that was sent TERM is killed after this.
pub const TERMINATE_TIMEOUT: Duration = Duration::from_millis(500);
/// Restarts of one app's session server in one [`RESTART_WINDOW`], after which it is given up (SM-36).
pub const RESTART_INTENSITY: u32 = 5;
/// Restarts are counted within this: what fails more rarely is no loop.
pub const RESTART_WINDOW: Duration = Duration::from_secs(60);
/// The pause before the second restart in a window; the first is immediate, each further pause twice as long.
pub const RESTART_PAUSE: Duration = Duration::from_millis(100);
/// No pause before a restart is longer than this.
pub const RESTART_PAUSE_MAX: Duration = Duration::from_secs(5);
/// The presentation service is to be heard of first within this: it may make its certificate before that, on a slow disk.
pub const COMPANION_READY_TIMEOUT: Duration = Duration::from_secs(10);
/// The presentation service says so often that it makes progress.
pub const COMPANION_PROGRESS_INTERVAL: Duration = Duration::from_secs(1);
/// A presentation service that has said nothing for this long hangs, and is killed.
pub const COMPANION_SILENCE_MAX: Duration = Duration::from_secs(10);
/// A presentation service that was asked to end is killed after this. It sees off receivers, each for at most [`TERMINATE_TIMEOUT`].
pub const COMPANION_STOP_TIMEOUT: Duration = Duration::from_secs(3);
/// A session server and a client that hold something are asked whether they get on once in this.
pub const HEALTH_INTERVAL: Duration = Duration::from_secs(5);
/// One that has not answered at so many looks is given up: a box under load may miss one.
pub const HEALTH_FAILURES_MAX: u8 = 3;
/// One command to a decoder ends within this, or its session fails: shorter than [`LINK_TIMEOUT`], so that the
/// session server can still answer.
pub const DECODER_TIMEOUT: Duration = Duration::from_millis(2500);
/// One command to a key system ends within this, or its key session does: shorter than [`LINK_TIMEOUT`], as a decoder's.
pub const KEYS_TIMEOUT: Duration = Duration::from_millis(2500);
/// A client greets within this after it connected, or its place goes to another. The library greets at once.
pub const GREETING_TIMEOUT: Duration = Duration::from_secs(3);
/// A call of the client library is given up after this.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(3);
/// A client that found the queue of its session server's listener full tries again after this. A server takes a whole
/// queue in one turn of its loop, far faster.
pub const CONNECT_RETRY_INTERVAL: Duration = Duration::from_millis(20);
/// A client whose session server has gone tries to reach it again for this long, unless the app says otherwise: as long as
/// the manager may take for the restarts of one [`RESTART_WINDOW`], and as long again.
pub const RECONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// The pause before the second attempt to reach a session server that has gone; the first is immediate, each further
/// pause twice as long.
pub const RECONNECT_PAUSE: Duration = Duration::from_millis(10);
/// No pause between two attempts is longer than this.
pub const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(1);
/// One address of a device is tried for this long before the next one has its turn. On a home's network an answer takes
/// milliseconds; a packet that was lost is sent again after one second.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection of which nothing is heard is asked whether it still is after this, and given up after as long again.
pub const STREAM_KEEP_ALIVE: Duration = Duration::from_secs(30);
