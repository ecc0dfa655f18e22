//! The decoders of a session server.

use serde::{Deserialize, Serialize};

use super::ErrorType;
use crate::limits::TEXT_BYTES_MAX;
use crate::message::playback::{PlaybackError, PlaybackState, SourceDescription, SourceId, Statistics, Text, Window};

/// What the decoder of one session is told to do. A stream is told of in the way `S` that is needed on the road there: by
/// its kind in the machine, as a [`Stream`] at the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DecoderCommand<S> {
    /// Get ready.
    Load {
        /// No seeking, no end known.
        live: bool,
    },
    /// Take a stream.
    Attach {
        /// The source's number in its session.
        source: SourceId,
        /// What it is.
        stream: S,
    },
    /// Build the pipeline and pause it: no more sources will come.
    AllAttached,
    /// Play.
    Play,
    /// Pause.
    Pause,
    /// Stop and drop the sources.
    Stop,
    /// Go elsewhere.
    SetPosition {
        /// Nanoseconds from the start of the media.
        position_ns: u64,
        /// The epoch of the frames from there on.
        epoch: u32,
    },
    /// Drop what a source has sent so far.
    Flush {
        /// Which source.
        source: SourceId,
        /// Whether the running time starts at 0 again.
        reset_time: bool,
        /// The epoch of the frames from now on.
        epoch: u32,
    },
    /// Set how loud it is, in thousandths.
    SetVolume {
        /// 0 to 2000.
        permille: u16,
    },
    /// Silence it, or not.
    SetMute {
        /// Whether it is silent.
        muted: bool,
    },
    /// Take a source away; the others go on. Nothing of it is told any more.
    RemoveSource {
        /// Which source.
        source: SourceId,
    },
    /// Play faster or slower, also after each seek, until it is stopped.
    SetPlaybackRate {
        /// 100 to 8000; 1000 is as recorded.
        permille: u16,
    },
    /// Show the pictures here.
    SetVideoWindow {
        /// With a width and a height.
        window: Window,
    },
    /// Silence one source, or not, until it is stopped. Texts of a source that is silent are not due.
    SetSourceMute {
        /// Which source.
        source: SourceId,
        /// Whether it is silent.
        muted: bool,
    },
    /// Do nothing, and so show that the worker gets on.
    Beat,
}

impl<S> DecoderCommand<S> {
    /// The same command, with its stream, if it has one, told of in another way.
    pub fn with_stream<T, E>(self, tell: impl FnOnce(S) -> Result<T, E>) -> Result<DecoderCommand<T>, E> {
        Ok(match self {
            Self::Load { live } => DecoderCommand::Load { live },
            Self::Attach { source, stream } => DecoderCommand::Attach { source, stream: tell(stream)? },
            Self::AllAttached => DecoderCommand::AllAttached,
            Self::Play => DecoderCommand::Play,
            Self::Pause => DecoderCommand::Pause,
            Self::Stop => DecoderCommand::Stop,
            Self::SetPosition { position_ns, epoch } => DecoderCommand::SetPosition { position_ns, epoch },
            Self::Flush { source, reset_time, epoch } => DecoderCommand::Flush { source, reset_time, epoch },
            Self::SetVolume { permille } => DecoderCommand::SetVolume { permille },
            Self::SetMute { muted } => DecoderCommand::SetMute { muted },
            Self::RemoveSource { source } => DecoderCommand::RemoveSource { source },
            Self::SetPlaybackRate { permille } => DecoderCommand::SetPlaybackRate { permille },
            Self::SetVideoWindow { window } => DecoderCommand::SetVideoWindow { window },
            Self::SetSourceMute { source, muted } => DecoderCommand::SetSourceMute { source, muted },
            Self::Beat => DecoderCommand::Beat,
        })
    }
}

/// A stream as a decoder takes it.
#[derive(Debug)]
pub struct Stream<'a, F> {
    /// What it is.
    pub description: SourceDescription<'a>,
    /// Where its frames come from.
    pub frames: F,
}

/// The decoders of a session server, to control. No call blocks: commands are carried out by a worker of each
/// session, one after the other, and each ends with exactly one [`DecoderEvent::Completed`], unless the session is
/// closed before, which ends with one [`DecoderEvent::Closed`]. One that ends with [`PlaybackError::Unsupported`] has
/// changed nothing.
///
/// Nothing is told of what is over: after a close only its end, so that an event is never about an earlier session in the
/// same place; after the completion of a Stop or RemoveSource nothing about the sources of before, and after that of a
/// seek or flush no state, position, underflow or text of before.
pub trait Decoder: ErrorType {
    /// Where the frames of one source come from.
    type Frames;

    /// Makes the decoder of a session and its worker.
    fn open(&mut self, session: u16) -> Result<(), Self::Error>;
    /// Gives a command to the session's worker. `token` comes back with its completion.
    fn command(
        &mut self,
        session: u16,
        token: u32,
        command: DecoderCommand<Stream<'_, Self::Frames>>,
    ) -> Result<(), Self::Error>;
    /// Where playback is, in nanoseconds, if that can be said at once.
    fn position_ns(&mut self, session: u16) -> Option<u64>;
    /// How long the media is, in nanoseconds, if the decoder knows.
    fn duration_ns(&mut self, session: u16) -> Option<u64>;
    /// What a source has done so far.
    fn statistics(&mut self, session: u16, source: SourceId) -> Statistics;
    /// Takes the text that is due for the longest, into `buffer`; none, where there is none. At most
    /// [`crate::limits::TEXTS_MAX`] of a session are kept; of more the oldest go, and so do those that are longer than the
    /// buffer: the next one says how many.
    fn next_text<'b>(&mut self, session: u16, buffer: &'b mut [u8; TEXT_BYTES_MAX]) -> Option<Text<'b>>;
    /// PCM frames of a session whose one stream is PCM without times that were heard so far.
    fn frames_played(&mut self, session: u16) -> u64;
    /// Frees everything of a session, whatever it does.
    fn close(&mut self, session: u16);
    /// What happened since, one thing a call. Ready to be asked when the platform's loop says so.
    fn next_event(&mut self) -> Option<DecoderEvent>;
}

/// What a decoder says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DecoderEvent {
    /// A command ended.
    Completed {
        /// Of which session.
        session: u16,
        /// Of which command.
        token: u32,
        /// How.
        result: Result<(), PlaybackError>,
    },
    /// A session plays, pauses, ...
    State {
        /// Which one.
        session: u16,
        /// What it does now.
        state: PlaybackState,
    },
    /// The first picture or sound of a source came out.
    FirstFrame {
        /// Which session.
        session: u16,
        /// Which source.
        source: SourceId,
    },
    /// Where playback is.
    Position {
        /// Which session.
        session: u16,
        /// In nanoseconds.
        position_ns: u64,
    },
    /// A session failed.
    Failed {
        /// Which one.
        session: u16,
        /// Why.
        error: PlaybackError,
    },
    /// Everything of a session is free.
    Closed {
        /// Which one.
        session: u16,
    },
    /// A source had nothing to decode while it played. The session is Buffering until another [`DecoderEvent::State`]
    /// says that it goes on. Never for a source that has ended.
    Underflow {
        /// Which session.
        session: u16,
        /// Which source.
        source: SourceId,
    },
    /// Frames came too late. Both numbers count from the start of the source.
    QualityOfService {
        /// Which session.
        session: u16,
        /// Which source.
        source: SourceId,
        /// Pictures or sound buffers that the sink played.
        frames_rendered: u32,
        /// Pictures or sound buffers that came too late to be played.
        frames_dropped: u32,
    },
    /// The pictures of a source have this size from now on.
    PictureSize {
        /// Which session.
        session: u16,
        /// Which source.
        source: SourceId,
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
    },
    /// A text is due: [`Decoder::next_text`] gives it. Once for each text.
    Text {
        /// Of which session.
        session: u16,
    },
}

impl DecoderEvent {
    /// The session that it is about.
    pub const fn session(&self) -> u16 {
        let (Self::Completed { session, .. }
        | Self::State { session, .. }
        | Self::FirstFrame { session, .. }
        | Self::Position { session, .. }
        | Self::Failed { session, .. }
        | Self::Closed { session }
        | Self::Underflow { session, .. }
        | Self::QualityOfService { session, .. }
        | Self::PictureSize { session, .. }
        | Self::Text { session }) = *self;
        session
    }
}
