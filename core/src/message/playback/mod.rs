//! What an app says to its session server through the client library, and hears.

mod media;
mod refusal;

use core::fmt;

use serde::{Deserialize, Serialize};

pub use self::media::{Codec, MediaKind, Shape, SourceDescription};
pub use self::refusal::{Refusal, TableName};
use super::audio;
use super::keys;
use super::{AppState, LogLevels};

/// One call of an app.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Request<'a> {
    /// Chosen by the client, repeated by the answer.
    pub sequence: u32,
    /// What is asked.
    #[serde(borrow)]
    pub command: Command<'a>,
}

/// A playback session of this connection, as the server numbered it. Another connection's number means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SessionId {
    /// Its place in the server's table.
    pub index: u16,
    /// Which stay in that place.
    pub generation: u16,
}

/// A source of a playback session: 0 for the first that was attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SourceId(pub u8);

/// What an app can ask of its session server.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Command<'a> {
    /// First on every connection. Answered by [`Answer::Welcome`].
    Hello,
    /// Lease one playback slot's shared memory (SM-23). Answered by [`Answer::SharedMemory`] and two descriptors:
    /// the region that the client writes, then the one that the server writes.
    GetSharedMemory,
    /// Give all leased memory back (SM-25); open sessions end.
    ReleaseSharedMemory,
    /// Make a playback session in the leased slot. Answered by [`Answer::Session`].
    ///
    /// Where the leased slot has a session already a further one is leased with the new session, as long as the app's
    /// resources have one. Then it is answered by [`Answer::SessionWithMemory`] and that slot's two descriptors, as with
    /// [`Command::GetSharedMemory`]; the slot goes back with the session.
    CreateSession,
    /// End a playback session.
    DestroySession {
        /// Which one.
        session: SessionId,
    },
    /// Prepare to play.
    Load {
        /// Which session.
        session: SessionId,
        /// No seeking, no end known.
        live: bool,
    },
    /// Add a stream. Answered by [`Answer::Source`] and two descriptors: the bell that the client rings for data,
    /// and the one that it hears for space.
    AttachSource {
        /// Which session.
        session: SessionId,
        /// What the stream is.
        #[serde(borrow)]
        source: SourceDescription<'a>,
    },
    /// No more sources will come; the pipeline can be built.
    AllSourcesAttached {
        /// Which session.
        session: SessionId,
    },
    /// Play.
    Play {
        /// Which session.
        session: SessionId,
    },
    /// Pause.
    Pause {
        /// Which session.
        session: SessionId,
    },
    /// Stop, and forget the sources' data; the session can be loaded again.
    Stop {
        /// Which session.
        session: SessionId,
    },
    /// Go to another position. Frames of epochs before `epoch` are dropped, in every source.
    SetPosition {
        /// Which session.
        session: SessionId,
        /// Where to, from the start of the media, in nanoseconds.
        position_ns: u64,
        /// The epoch that the frames from there on carry.
        epoch: u32,
    },
    /// Drop what a source has sent so far.
    Flush {
        /// Which session.
        session: SessionId,
        /// Which source.
        source: SourceId,
        /// Whether the running time starts at 0 again.
        reset_time: bool,
        /// The epoch that the frames from now on carry.
        epoch: u32,
    },
    /// Set how loud the session is.
    SetVolume {
        /// Which session.
        session: SessionId,
        /// 0 is silent, 1000 as recorded, 2000 twice that; more is refused.
        volume_permille: u16,
    },
    /// Silence the session, or let it be heard.
    SetMute {
        /// Which session.
        session: SessionId,
        /// Whether it is silent.
        muted: bool,
    },
    /// Answered by [`Answer::Position`].
    GetPosition {
        /// Which session.
        session: SessionId,
    },
    /// Tell the length of the media, where the app knows it from its container.
    SetDuration {
        /// Which session.
        session: SessionId,
        /// In nanoseconds.
        duration_ns: u64,
    },
    /// Answered by [`Answer::Duration`].
    GetDuration {
        /// Which session.
        session: SessionId,
    },
    /// Answered by [`Answer::Statistics`].
    GetStatistics {
        /// Which session.
        session: SessionId,
        /// Which source.
        source: SourceId,
    },
    /// Take a source away. Of a session that is being set up any; later the last one stays.
    RemoveSource {
        /// Which session.
        session: SessionId,
        /// Which source. Its number may go to the next that is attached.
        source: SourceId,
    },
    /// Play faster or slower; holds until the session is stopped. Live media has its own pace.
    SetPlaybackRate {
        /// Which session.
        session: SessionId,
        /// 1000 is as recorded; what is not within [`RATE_PERMILLE`] is refused.
        rate_permille: u16,
    },
    /// Show the pictures in this part of the screen.
    SetVideoWindow {
        /// Which session.
        session: SessionId,
        /// Where to; one without width or height is refused.
        window: Window,
    },
    /// Silence one source, or let it be heard; of a text source, do not tell its texts. Holds until the session is stopped.
    SetSourceMute {
        /// Which session.
        session: SessionId,
        /// Which source.
        source: SourceId,
        /// Whether it is silent.
        muted: bool,
    },
    /// About web audio.
    Audio(audio::Command),
    /// The client gets on: what it sends after [`Event::Ping`] if it has nothing else to say. Answered by [`Answer::Done`].
    Pong,
    /// About keys.
    Keys(#[serde(borrow)] keys::Command<'a>),
}

/// The playback rates that a session can be set to, in thousandths: a tenth to eight times.
pub const RATE_PERMILLE: core::ops::RangeInclusive<u16> = 100..=8000;

/// A part of the screen, in its pixels from the upper left corner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Window {
    /// Pixels from the left.
    pub x: u32,
    /// Pixels from the top.
    pub y: u32,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

impl Command<'_> {
    /// The session that this is about, if it is about one.
    pub fn session(&self) -> Option<SessionId> {
        match *self {
            Self::Hello
            | Self::GetSharedMemory
            | Self::ReleaseSharedMemory
            | Self::CreateSession
            | Self::Audio(_)
            | Self::Pong
            | Self::Keys(_) => None,
            Self::DestroySession { session }
            | Self::Load { session, .. }
            | Self::AttachSource { session, .. }
            | Self::AllSourcesAttached { session }
            | Self::Play { session }
            | Self::Pause { session }
            | Self::Stop { session }
            | Self::SetPosition { session, .. }
            | Self::Flush { session, .. }
            | Self::SetVolume { session, .. }
            | Self::SetMute { session, .. }
            | Self::GetPosition { session }
            | Self::SetDuration { session, .. }
            | Self::GetDuration { session }
            | Self::GetStatistics { session, .. }
            | Self::RemoveSource { session, .. }
            | Self::SetPlaybackRate { session, .. }
            | Self::SetVideoWindow { session, .. }
            | Self::SetSourceMute { session, .. } => Some(session),
        }
    }
}

/// What a session server sends to an app.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Message<'a> {
    /// The one answer to a call.
    Reply {
        /// The call's number.
        sequence: u32,
        /// What came of it.
        result: Result<Answer, Refusal>,
    },
    /// Something happened.
    Event(Event),
    /// A text of a session is due now.
    Text {
        /// Which session.
        session: SessionId,
        /// The text.
        #[serde(borrow)]
        text: Text<'a>,
    },
    /// Something of a key session.
    Keys(#[serde(borrow)] keys::Notice<'a>),
}

/// A text that is due: to be shown from now on, for as long as it lasts or until the next one of its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Text<'a> {
    /// Which source it came from.
    pub source: SourceId,
    /// When it begins, in nanoseconds from the start of the media.
    pub start_ns: u64,
    /// How long it lasts, in nanoseconds, where its frame says so.
    pub duration_ns: Option<u64>,
    /// Texts of this session before this one that were lost: longer than [`crate::limits::TEXT_BYTES_MAX`], or too many
    /// while the app did not read.
    pub missed: u32,
    /// What its frame holds; nothing: show nothing.
    pub body: &'a str,
}

/// A call that went well.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Answer {
    /// The connection is open.
    Welcome {
        /// The protocol version that both sides speak from now on.
        version: u8,
        /// The state that the app is in.
        state: AppState,
    },
    /// It was done, or is on its way; events tell how it ends.
    Done,
    /// The leased playback slot.
    SharedMemory {
        /// Bytes of the region that the client writes.
        client_bytes: u32,
        /// Bytes of the region that the server writes.
        server_bytes: u32,
    },
    /// The new session.
    Session {
        /// Its number on this connection.
        session: SessionId,
    },
    /// The new source.
    Source {
        /// Its number in its session.
        source: SourceId,
        /// Where its ring lies in the two regions.
        ring: RingPlace,
    },
    /// Where playback is, in nanoseconds from the start of the media.
    Position {
        /// The position.
        position_ns: u64,
    },
    /// How long the media is, in nanoseconds; `None` where it is not known.
    Duration {
        /// The length.
        duration_ns: Option<u64>,
    },
    /// What a source has done so far.
    Statistics(Statistics),
    /// About web audio.
    Audio(audio::Answer),
    /// About keys.
    Keys(keys::Answer),
    /// The new session, and the playback slot that was leased with it.
    SessionWithMemory {
        /// Its number on this connection.
        session: SessionId,
        /// Bytes of the region that the client writes.
        client_bytes: u32,
        /// Bytes of the region that the server writes.
        server_bytes: u32,
    },
}

/// Where the ring of one source lies in a slot's two regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RingPlace {
    /// Byte at which its control words and descriptors start, in the client's region.
    pub client_offset: u32,
    /// Byte at which its control words start, in the server's region.
    pub server_offset: u32,
    /// Byte at which its payload starts, in the client's region.
    pub payload_offset: u32,
    /// Bytes of its payload.
    pub payload_bytes: u32,
}

/// What a source has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Statistics {
    /// Frames that the decoder took from the ring.
    pub frames_taken: u32,
    /// Frames that were dropped because a flush had made them old.
    pub frames_stale: u32,
    /// Pictures or sound buffers that the sink played.
    pub frames_rendered: u32,
    /// Pictures or sound buffers that came too late to be played.
    pub frames_dropped: u32,
    /// Frames that wait to be decoded: in the ring and before the decoder.
    pub frames_queued: u32,
}

/// What a playback session does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PlaybackState {
    /// Made or stopped; nothing loaded.
    Idle,
    /// Waits for data before it can show the first picture.
    Buffering,
    /// Shows one picture.
    Paused,
    /// Plays.
    Playing,
    /// Has played the last frame.
    EndOfStream,
    /// Failed; destroy it.
    Failed,
}

/// Why a playback session failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PlaybackError {
    /// Platform: no decoder for this codec is installed.
    NoDecoder(Codec),
    /// Platform: an element that the configuration names, or that every pipeline needs, is not installed.
    NoElement,
    /// Platform: the sink could not be opened.
    Sink,
    /// Caller: the stream could not be decoded.
    Decode,
    /// Caller: the stream is not what its source was attached as.
    Format,
    /// Caller: what stood in the ring was no frame.
    RingCorrupt,
    /// Platform: the decoder did not answer in time.
    DecoderStuck,
    /// Platform: something else in the decoder.
    Decoder,
    /// Platform: shared memory or a bell could not be had.
    Memory,
    /// Platform: this decoder cannot do that. Nothing has changed.
    Unsupported,
}

impl fmt::Display for PlaybackError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDecoder(codec) => write!(
                out,
                "no decoder for {codec:?} is installed on this box; install its GStreamer plugin (e.g. gstreamer1.0-libav)"
            ),
            Self::NoElement => out.write_str(
                "a GStreamer element is missing; the session server's log names it; install its plugin, or change the sinks",
            ),
            Self::Sink => out.write_str("the sink could not be opened; see [sinks] in the manager's configuration"),
            Self::Decode => out.write_str("the stream could not be decoded; the file may be damaged"),
            Self::Format => out.write_str("the stream is not what its source was attached as"),
            Self::RingCorrupt => out.write_str("what stood in the ring was no frame; the app broke the ring's rules"),
            Self::DecoderStuck => out.write_str("the decoder did not answer in time"),
            Self::Decoder => out.write_str("the decoder failed; see the session server's log"),
            Self::Memory => out.write_str("shared memory or a doorbell could not be had"),
            Self::Unsupported => out.write_str("this box's decoder cannot do that; nothing has changed"),
        }
    }
}

impl core::error::Error for PlaybackError {}

/// Something happened.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Event {
    /// The session server's own state changed (SM-29).
    ApplicationState(AppState),
    /// A session plays, pauses, ...
    PlaybackState {
        /// Which session.
        session: SessionId,
        /// What it does now.
        state: PlaybackState,
    },
    /// The first picture or sound of a source came out of its decoder.
    FirstFrame {
        /// Which session.
        session: SessionId,
        /// Which source.
        source: SourceId,
    },
    /// Where playback is.
    Position {
        /// Which session.
        session: SessionId,
        /// In nanoseconds from the start of the media.
        position_ns: u64,
    },
    /// A session failed.
    Failed {
        /// Which session.
        session: SessionId,
        /// Why.
        error: PlaybackError,
    },
    /// Log from now on as this says (SM-39).
    LogLevels(LogLevels),
    /// A session was ended by the server, because the app went Inactive or gave its memory back.
    SessionEnded {
        /// Which session.
        session: SessionId,
    },
    /// A source had nothing to decode while it played: the session waits (Buffering) and goes on by itself when there is
    /// data again. This is no end of stream.
    Underflow {
        /// Which session.
        session: SessionId,
        /// Which source.
        source: SourceId,
    },
    /// Frames came too late to be shown or heard. Both numbers count from the start of the source.
    QualityOfService {
        /// Which session.
        session: SessionId,
        /// Which source.
        source: SourceId,
        /// Pictures or sound buffers that the sink played.
        frames_rendered: u32,
        /// Pictures or sound buffers that came too late to be played.
        frames_dropped: u32,
    },
    /// The pictures of a source have this size, from the next one on.
    PictureSize {
        /// Which session.
        session: SessionId,
        /// Which source.
        source: SourceId,
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
    },
    /// About web audio.
    Audio(audio::Event),
    /// This client has said nothing for a while although it holds shared memory. If it goes on saying nothing its connection
    /// is closed (SM-35). The client library answers by itself.
    Ping,
    /// About keys.
    Keys(keys::Event),
}
