//! What a platform must offer.
//!
//! Small traits, control apart from data. Nothing here calls back into the core: what happens later comes as
//! readiness ([`Ready`]) from the platform's loop, and the driver then asks for it. No call blocks.
//!
//! A trait stands here only with two implementations (`hal-linux`, `hal-mock`) and one generic user.

use core::fmt::{self, Debug};

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::limits::{DESCRIPTORS_MAX, KEYS_MAX, LICENSE_BYTES_MAX, TEXT_BYTES_MAX};
use crate::message::keys::{InitDataKind, KEY_STATUS_BYTES, KeyError, KeyStatuses, LicenseMessage};
use crate::message::playback::{PlaybackError, PlaybackState, SourceDescription, SourceId, Statistics, Text, Window};
use crate::message::{Allowed, AppId, Ids, Resources};

/// What kind of failure a platform's error is: what the core can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ErrorKind {
    /// Not now: too many of something, or too little of it, is there.
    Exhausted,
    /// Not permitted.
    Denied,
    /// The other side, or the thing itself, is not there any more.
    Gone,
    /// What is needed does not exist.
    NotFound,
    /// Somebody else has it.
    Busy,
    /// This platform cannot do it.
    Unsupported,
    /// A named user or group does not exist or may not be given.
    Owner,
    /// Anything else.
    Other,
    /// What is there is of another kind, e.g. a plain file where a socket is to be.
    WrongKind,
}

/// A platform's error.
pub trait Error: Debug + fmt::Display {
    /// What the core can act on.
    fn kind(&self) -> ErrorKind;
}

/// Every trait's errors are of one type a platform.
pub trait ErrorType {
    /// That type.
    type Error: Error;
}

/// Names a source of readiness; the driver chooses it, the platform gives it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Token {
    /// What the source is. Lower ones are served first in a turn.
    pub kind: u8,
    /// Its place in the driver's table of that kind.
    pub index: u16,
    /// Which stay in that place: readiness of an earlier stay is stale.
    pub generation: u16,
}

impl Token {
    /// As one number, for a platform's own tables.
    pub const fn to_bits(self) -> u64 {
        (self.kind as u64) << 32 | (self.index as u64) << 16 | self.generation as u64
    }

    /// Back from [`Token::to_bits`].
    pub const fn from_bits(bits: u64) -> Self {
        Self { kind: (bits >> 32) as u8, index: (bits >> 16) as u16, generation: bits as u16 }
    }
}

/// What a source of readiness is watched for. Its end is always reported, again and again, as readable: one that is
/// readable although reading was not asked for has ended, and is to be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Interest {
    /// Something can be read.
    Read,
    /// Something can be written: set only while there is something to write.
    Write,
    /// Either.
    ReadWrite,
    /// Nothing but its end: the reply slot is full, so the source is not read.
    None,
}

/// A source is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ready {
    /// Which one.
    pub token: Token,
    /// Something can be read, or the end can be seen.
    pub readable: bool,
    /// Something can be written.
    pub writable: bool,
}

/// Watches sources of type `S` for readiness, level-triggered.
pub trait Watch<S: ?Sized>: ErrorType {
    /// Starts to watch.
    fn watch(&mut self, source: &S, token: Token, interest: Interest) -> Result<(), Self::Error>;
    /// Watches for something else from now on.
    fn rewatch(&mut self, source: &S, token: Token, interest: Interest) -> Result<(), Self::Error>;
    /// Ends watching; before the source is dropped.
    fn unwatch(&mut self, source: &S);
}

/// What a [`Socket::send`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Sent {
    /// The whole message is on its way.
    Whole,
    /// Nothing was sent: wait until the socket is writable.
    WouldBlock,
}

/// What a [`Socket::receive`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Received {
    /// A whole message of so many bytes.
    Message {
        /// Bytes of the buffer that it fills.
        bytes: usize,
    },
    /// A message that is not to be used: longer than the buffer, or with more descriptors than the protocol knows. Its descriptors are closed.
    Unusable,
    /// Nothing is there now.
    WouldBlock,
    /// The peer has closed.
    Closed,
}

/// Descriptors that came with a message, in their order.
pub type Descriptors<D> = Vec<D, DESCRIPTORS_MAX>;

/// One connection that carries whole messages, with descriptors. `SOCK_SEQPACKET` on Linux.
pub trait Socket: ErrorType {
    /// A descriptor that is owned: dropping it closes it.
    type Descriptor;

    /// Sends one message and copies of the descriptors with it.
    ///
    /// Fails with [`ErrorKind::Gone`] when the peer has closed, and with [`ErrorKind::Unsupported`] for an empty message or
    /// more than [`DESCRIPTORS_MAX`] descriptors.
    fn send(&mut self, message: &[u8], descriptors: &[&Self::Descriptor]) -> Result<Sent, Self::Error>;

    /// Receives one message into `buffer`. `descriptors` is cleared first. At most [`DESCRIPTORS_MAX`] are taken.
    fn receive(
        &mut self,
        buffer: &mut [u8],
        descriptors: &mut Descriptors<Self::Descriptor>,
    ) -> Result<Received, Self::Error>;
}

/// Who is at the other end of a connection, as the platform vouches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Peer {
    /// Its process.
    pub process_id: u32,
    /// Its user.
    pub user_id: u32,
    /// Its group.
    pub group_id: u32,
    /// Its other groups, as many as are looked at.
    pub groups: Ids,
}

impl Peer {
    /// A peer without further groups.
    pub const fn new(process_id: u32, user_id: u32, group_id: u32) -> Self {
        Self { process_id, user_id, group_id, groups: Ids::NONE }
    }
}

/// Where connections come in.
pub trait Listener: ErrorType {
    /// What a connection becomes.
    type Socket: Socket;

    /// Takes one connection, if one waits.
    fn accept(&mut self) -> Result<Option<(Self::Socket, Peer)>, Self::Error>;
}

/// Opens connections to sockets with a name.
pub trait Connect: ErrorType {
    /// What a connection becomes.
    type Socket: Socket;

    /// Connects to the socket at `path`, at once or not at all. A listener whose queue is full is
    /// [`ErrorKind::Busy`], no socket [`ErrorKind::NotFound`], nobody who listens [`ErrorKind::Gone`].
    fn connect(&mut self, path: &str) -> Result<Self::Socket, Self::Error>;
}

/// Where a socket is made, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SocketPlace<'a> {
    /// The full path.
    pub path: &'a str,
    /// The mode of its file, e.g. `0o660`.
    pub mode: u16,
    /// The user that owns it; empty for our own.
    pub owner: &'a str,
    /// The group that owns it; empty for our own.
    pub group: &'a str,
}

/// Makes listening sockets with a name.
pub trait Listen: ErrorType {
    /// What it makes. Dropping it closes it and leaves its file.
    type Listener: Listener;
    /// A descriptor that is owned.
    type Descriptor;

    /// Makes the socket, gives it its owner and mode and listens. What fails leaves nothing behind. A file that nobody
    /// listens on any more is replaced; a live one is [`ErrorKind::Busy`], what is no socket [`ErrorKind::WrongKind`].
    fn listen(&mut self, place: &SocketPlace<'_>) -> Result<Self::Listener, Self::Error>;

    /// Takes over a listening socket that another process made and handed to this one. Its file is then this process's
    /// to [`remove`](Listen::remove). What is no listening socket is [`ErrorKind::Unsupported`], and closed.
    fn adopt(&mut self, descriptor: Self::Descriptor) -> Result<Self::Listener, Self::Error>;

    /// A second descriptor of the same socket, to be kept by another process.
    fn duplicate(&mut self, listener: &Self::Listener) -> Result<Self::Descriptor, Self::Error>;

    /// Whether the file of a socket that this process made or adopted is still there, and the same file.
    fn has_file(&self, path: &str) -> bool;

    /// Removes the file of a socket that this process made or adopted, if it is still the same file.
    fn remove(&mut self, path: &str);
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ExitStatus {
    /// By itself, with this status.
    Exited(u8),
    /// By this signal.
    Killed(u8),
}

/// How a process is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Signal {
    /// It may clean up.
    Terminate,
    /// It is gone.
    Kill,
}

/// A process that this one started. Readable when it has ended.
pub trait Child: ErrorType {
    /// Its number, for people to read; never used to address it.
    fn process_id(&self) -> u32;
    /// Sends a signal. To one that has ended it does nothing.
    fn signal(&mut self, signal: Signal) -> Result<(), Self::Error>;
    /// Reaps it, if it has ended.
    fn try_wait(&mut self) -> Result<Option<ExitStatus>, Self::Error>;
}

/// Starts session servers.
pub trait Spawn: ErrorType {
    /// What it starts.
    type Child: Child;
    /// The manager's end of the private channel between the two (SM-02).
    type Socket: Socket;

    /// Starts the program, hands it its end of a new channel and no other descriptor (SM-03). It is the same for every
    /// app, and learns over the channel which one it serves: it may be started before that is known.
    fn spawn(&mut self) -> Result<(Self::Child, Self::Socket), Self::Error>;
}

/// What the integrator's policy gives an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile<'a> {
    /// What it may hold.
    pub resources: Resources,
    /// Where its socket lies when a request gives no full path.
    pub socket_directory: &'a str,
    /// The mode of its socket, e.g. `0o660`.
    pub socket_mode: u16,
    /// The user that owns its socket; empty for the session server's own.
    pub socket_owner: &'a str,
    /// The group that owns its socket; empty for the session server's own.
    pub socket_group: &'a str,
    /// Where its pictures go: `auto`, `fake`, or the description of any element.
    pub video_sink: &'a str,
    /// Where its sound goes: `auto`, `fake`, or the description of any element.
    pub audio_sink: &'a str,
    /// Who may connect to its socket; nobody named: everybody whom the socket's mode lets in.
    pub clients: Allowed,
}

/// The integrator's policy: what each app is given.
pub trait Launcher {
    /// What this app is given. An app that the policy does not know gets what all get.
    fn profile(&self, app: &AppId) -> Profile<'_>;
}

/// What a controller asks leave for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Right<'a> {
    /// To ask anything at all: who may nothing else is a stranger.
    Any,
    /// To drive this app, and to see it.
    App(&'a AppId),
    /// What concerns the whole box, such as log levels and the manager's end. Who has it may drive every app.
    Box,
}

/// The integrator's policy: who may drive the manager, and which app.
pub trait Authority {
    /// Whether this peer has this right. It is asked for each request and each event, so it neither blocks nor logs.
    fn may(&self, peer: &Peer, right: Right<'_>) -> bool;
}

/// Memory that another process shares and may change at any moment, to read.
///
/// Offsets and lengths outside the region are [`OutOfRegion`]; nothing else can fail.
pub trait Region {
    /// Bytes of the region.
    fn bytes(&self) -> u32;
    /// Reads the control word at this byte, which is a multiple of 4, with acquire order.
    fn load(&self, offset: u32) -> Result<u32, OutOfRegion>;
    /// Copies bytes out. A peer may write them meanwhile: the copy is all that may be looked at.
    fn read(&self, offset: u32, into: &mut [u8]) -> Result<(), OutOfRegion>;
    /// Nothing before it moves behind it, nothing behind it before it.
    fn fence(&self);
}

/// Memory that another process shares and may read at any moment, to write.
pub trait RegionMut: Region {
    /// Writes the control word at this byte, which is a multiple of 4, with release order.
    fn store(&self, offset: u32, word: u32) -> Result<(), OutOfRegion>;
    /// Copies bytes in.
    fn write(&self, offset: u32, from: &[u8]) -> Result<(), OutOfRegion>;
}

/// An offset or a length that lies outside a region, or a control word that is not aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct OutOfRegion;

/// Rings and hears a bell across processes. An eventfd on Linux.
pub trait Doorbell: ErrorType {
    /// Wakes the other side.
    fn ring(&self) -> Result<(), Self::Error>;
    /// Forgets the rings so far.
    fn clear(&self) -> Result<(), Self::Error>;
}

/// Makes shared memory and the bells that go with it.
pub trait SharedMemory: ErrorType {
    /// A descriptor that is owned.
    type Descriptor;
    /// A region that this process reads and the peer writes.
    type PeerRegion: Region;
    /// A region that this process writes and the peer can only read.
    type OwnRegion: RegionMut;
    /// A bell.
    type Doorbell: Doorbell;

    /// Makes one slot's two regions: the client's, which we only read, and ours, which the client can only read.
    /// Their sizes are sealed. Gives, for each, our mapping and the descriptor that the client gets.
    #[allow(clippy::type_complexity, reason = "two pairs are what they are")]
    fn create(
        &mut self,
        client_bytes: u32,
        server_bytes: u32,
    ) -> Result<((Self::PeerRegion, Self::Descriptor), (Self::OwnRegion, Self::Descriptor)), Self::Error>;

    /// Makes a bell: our end, and the descriptor that the client gets.
    fn doorbell(&mut self) -> Result<(Self::Doorbell, Self::Descriptor), Self::Error>;

    /// A second descriptor of the same region, to be sent while we keep the first.
    fn duplicate(&mut self, region: &Self::Descriptor) -> Result<Self::Descriptor, Self::Error>;

    /// Takes memory for these bytes of a region now, so that want of it is an error here and not of who writes first.
    fn populate(&mut self, region: &Self::Descriptor, offset: u32, bytes: u32) -> Result<(), Self::Error>;

    /// Gives the memory of the first `bytes` of the client's region back, also from under its own mapping.
    fn give_back(&mut self, region: &Self::Descriptor, bytes: u32);
}

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

/// What a key system is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum KeyCommand<'a> {
    /// Make a licence request. [`KeyEvent::Message`] says that it is there, before the command ends.
    GenerateRequest {
        /// The form of the data.
        kind: InitDataKind,
        /// The media's initialization data.
        init_data: &'a [u8],
    },
    /// Take the licence server's response.
    Update {
        /// The response.
        response: &'a [u8],
    },
    /// Forget the keys.
    Remove,
}

/// Bytes of what is said of all keys of one key session.
pub const KEY_STATUSES_BYTES_MAX: usize = KEYS_MAX * KEY_STATUS_BYTES;

/// The key systems (content decryption modules) of a session server. No call blocks: each command ends with exactly one
/// [`KeyEvent::Completed`], unless its key session is closed before, which ends with one [`KeyEvent::Closed`].
pub trait KeyProvider: ErrorType {
    /// Makes a key session of this key system. [`ErrorKind::NotFound`]: there is no such one.
    fn open(&mut self, key_session: u16, key_system: &str) -> Result<(), Self::Error>;
    /// Gives a command; one at a time. `token` comes back with its completion.
    fn command(&mut self, key_session: u16, token: u32, command: KeyCommand<'_>) -> Result<(), Self::Error>;
    /// Lets the decoder of this session use the keys, until one of the two is closed. What it wants to decrypt then without
    /// a key is its failure, and nothing else's.
    fn bind(&mut self, key_session: u16, session: u16);
    /// The latest message for the licence server, if there is one.
    fn message<'b>(&mut self, key_session: u16, buffer: &'b mut [u8; LICENSE_BYTES_MAX]) -> Option<LicenseMessage<'b>>;
    /// What the keys are good for now.
    fn key_statuses<'b>(&mut self, key_session: u16, buffer: &'b mut [u8; KEY_STATUSES_BYTES_MAX]) -> KeyStatuses<'b>;
    /// Frees everything of a key session, whatever it does.
    fn close(&mut self, key_session: u16);
    /// What happened since, one thing a call. Ready to be asked when the platform's loop says so.
    fn next_event(&mut self) -> Option<KeyEvent>;
}

/// What a key system says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum KeyEvent {
    /// A command ended.
    Completed {
        /// Of which key session.
        key_session: u16,
        /// Of which command.
        token: u32,
        /// How.
        result: Result<(), KeyError>,
    },
    /// There is a message for the licence server.
    Message {
        /// Of which key session.
        key_session: u16,
    },
    /// The keys, or what they are good for, are others now.
    KeyStatuses {
        /// Of which key session.
        key_session: u16,
    },
    /// Everything of a key session is free.
    Closed {
        /// Which one.
        key_session: u16,
    },
}

impl KeyEvent {
    /// The key session that this is about.
    pub const fn key_session(&self) -> u16 {
        match *self {
            Self::Completed { key_session, .. }
            | Self::Message { key_session }
            | Self::KeyStatuses { key_session }
            | Self::Closed { key_session } => key_session,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_the_platforms_number() {
        let token = Token { kind: 3, index: 65_535, generation: 7 };
        assert_eq!(Token::from_bits(token.to_bits()), token);
    }
}
