//! The library by which an app reaches its session server.
//!
//! An app connects to the socket that it was started with, goes Running when it is told to, makes a session, attaches its
//! streams, and pushes coded frames; the session server decodes and shows them.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use greenroom_core::message::AppState;
//! use greenroom_core::message::playback::{Codec, Shape, SourceDescription};
//! use greenroom_hal_linux::client::{Client, Frame};
//!
//! # fn pictures() -> Vec<(Duration, Vec<u8>)> { Vec::new() }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("/run/greenroom/app1.sock")?;
//! client.wait_for_application_state(AppState::Running, Duration::from_secs(10))?;
//! client.set_application_state(AppState::Running)?;
//!
//! let session = client.create_session()?;
//! session.load(false)?;
//! let shape = Shape { width: 1280, height: 720, ..Shape::default() };
//! let mut video = session.attach_source(SourceDescription { codec: Codec::H264, shape, codec_data: &[] })?;
//! session.all_sources_attached()?;
//! session.play()?;
//!
//! for (time, data) in pictures() {
//!     let frame = Frame { presentation: Some(time), data: &data, ..Frame::default() };
//!     video.push(&frame, Duration::from_secs(5))?;
//! }
//! video.end_of_stream(Duration::from_secs(5))?;
//! # Ok(())
//! # }
//! ```
//!
//! # Threads
//!
//! [`Client::connect`] starts one thread, which does all input and output and waits for nobody. Every type here can be
//! used from several threads; a [`Source`] is moved to the one that pushes its frames. No function blocks for ever: a call
//! ends within [`greenroom_core::limits::CALL_TIMEOUT`], what waits otherwise takes a timeout.
//!
//! # When the session server goes
//!
//! The manager starts another session server in the place of one that crashed, on the same socket (SM-36), and the library
//! connects to it by itself. The app is told [`ClientEvent::ConnectionLost`]: its sessions have ended, its memory is unmapped, calls
//! fail at once. After [`ClientEvent::Reconnected`] the application state follows the server's word again; the app goes
//! Running and makes its sessions anew. What it kept of the earlier connection stays ended. Where the server does not come
//! back within [`ConnectOptions::reconnect_for`], or refuses the app, the last event is [`ClientEvent::GivenUp`].
//!
//! # When the app leaves the stage
//!
//! Sessions need the shared memory, and both end when the app calls
//! [`set_application_state(Inactive)`](Client::set_application_state), when the session server leaves Active, and when the
//! connection ends. Calls and pushes then fail with the reason, also those that wait; a frame that is being written at that
//! moment is written into memory that is still mapped, and nothing else happens.

mod audio;
mod deadline;
mod error;
mod event;
mod io;
mod keys;
mod link;
mod session;
mod source;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use greenroom_core::client::{LostReason, NotTaken};
use greenroom_core::hal::ErrorKind;
use greenroom_core::limits::RECONNECT_TIMEOUT;
use greenroom_core::message::audio::{self as audio_message, PcmFormat};
use greenroom_core::message::playback::{Command, Refusal};
use greenroom_core::message::{AppState, SocketPath};

pub use audio::AudioPlayer;
pub use error::{CallError, ConnectError, PushError, SessionEnd};
pub use event::{ClientEvent, DueText, Events};
pub use keys::{KeyNotice, KeySession};
pub use session::Session;
pub use source::{Frame, Source};

use crate::error::LinuxError;
use io::Io;
use keys::AskKeys;
use link::{Ask, Link, Order, Reply};

/// How the library connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectOptions {
    reconnect_for: Duration,
}

impl ConnectOptions {
    /// A session server that has gone is waited for as long as the manager may take to bring it back:
    /// [`RECONNECT_TIMEOUT`].
    pub const fn new() -> Self {
        Self { reconnect_for: RECONNECT_TIMEOUT }
    }

    /// How long the library tries to reach a session server again that has gone (SM-36). Zero is never: then the connection is
    /// given up as soon as it is lost.
    #[must_use]
    pub const fn reconnect_for(mut self, time: Duration) -> Self {
        self.reconnect_for = time;
        self
    }
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// A connection to the session server of this app, made again when the server was restarted. Dropping it disconnects; every
/// session ends.
pub struct Client {
    link: Arc<Link>,
    /// One change of the application state at a time, each for at most the time of one call.
    state_change: Mutex<()>,
    io_thread: Option<JoinHandle<()>>,
}

impl Client {
    /// Connects to the session server's socket and is welcomed, or fails within a few seconds (SM-22).
    pub fn connect(path: impl AsRef<Path>) -> Result<Self, ConnectError> {
        Self::connect_with(path, ConnectOptions::new())
    }

    /// As [`Self::connect`], with a policy of the app's own.
    pub fn connect_with(path: impl AsRef<Path>, options: ConnectOptions) -> Result<Self, ConnectError> {
        let path = path.as_ref();
        let not_a_socket = || ConnectError::Path { path: path.to_owned() };
        let name = path.to_str().and_then(|path| SocketPath::try_from(path).ok()).ok_or_else(not_a_socket)?;
        let link = Arc::new(Link::new()?);
        let io = Io::new(name, options, Arc::clone(&link))?;
        let client = Self { link, state_change: Mutex::new(()), io_thread: Some(start(io)?) };
        let no_server = |reason: LostReason| match reason {
            LostReason::Refused(refusal @ Refusal::NotPermitted { .. }) => {
                ConnectError::NotPermitted { path: path.to_owned(), refusal }
            }
            reason => ConnectError::NoServer { path: path.to_owned(), reason },
        };
        client.link.wait_for_welcome().map_err(no_server)?;
        Ok(client)
    }

    /// Everything that happens from now on. There can be several receivers.
    pub fn events(&self) -> Events {
        self.link.receivers.add()
    }

    /// The app's state, as the session server said last (SM-29); Unknown without a connection.
    pub fn application_state(&self) -> AppState {
        self.link.application()
    }

    /// Why there is no connection now.
    pub fn lost(&self) -> Option<LostReason> {
        self.link.lost()
    }

    /// Why there will be no connection any more: the library does not try to reach the session server, or not any longer.
    pub fn given_up(&self) -> Option<LostReason> {
        self.link.given_up()
    }

    /// Waits until the session server says that the app is in this state (SM-29), also one that takes the place of the
    /// present one.
    pub fn wait_for_application_state(&self, state: AppState, timeout: Duration) -> Result<(), CallError> {
        if self.link.wait_for_application(state, timeout) {
            return Ok(());
        }
        Err(if self.link.given_up().is_some() { CallError::ConnectionLost } else { CallError::TimedOut })
    }

    /// Goes Running: leases and maps the shared memory (SM-23); the session server must be Active (SM-24). Or goes Inactive:
    /// ends the sessions and players and unmaps the memory (SM-25). Where the app is there already, nothing happens.
    pub fn set_application_state(&self, state: AppState) -> Result<(), CallError> {
        let _turn = self.state_change.lock().unwrap_or_else(PoisonError::into_inner);
        let is_mapped = self.link.memory().is_some();
        if state == AppState::Inactive && self.link.has_desks() {
            return self.link.call(Ask::Command(Command::ReleaseSharedMemory)).map(drop);
        }
        match (state, is_mapped) {
            (AppState::Running, false) => self.link.call(Ask::Command(Command::GetSharedMemory)).map(drop),
            (AppState::Inactive, true) => self.link.call(Ask::Command(Command::ReleaseSharedMemory)).map(drop),
            (AppState::Running, true) | (AppState::Inactive, false) => Ok(()),
            (AppState::Unknown, _) => Err(CallError::NotAState),
        }
    }

    /// Makes a web audio player. The app is Running; no memory needs to be leased before.
    pub fn create_audio_player(&self, format: PcmFormat) -> Result<AudioPlayer, CallError> {
        match self.link.call(Ask::Command(Command::Audio(audio_message::Command::Create { format })))? {
            Reply::Player(player) => Ok(*player),
            // The machine lets no other answer through.
            _ => Err(CallError::NotTaken(NotTaken::PlayerEnded)),
        }
    }

    /// Makes a key session of this key system. The app is Running.
    pub fn create_key_session(&self, key_system: &str) -> Result<KeySession, CallError> {
        match self.link.call(Ask::Keys(AskKeys::Create { key_system: key_system.into() }))? {
            Reply::KeySession(keys) => Ok(keys),
            // The machine lets no other answer through.
            _ => Err(CallError::NotTaken(NotTaken::KeySessionEnded)),
        }
    }

    /// Makes a playback session: as many at a time as the app's resources allow. Each has memory of its own, and none is
    /// touched by what becomes of another.
    pub fn create_session(&self) -> Result<Session, CallError> {
        match self.link.call(Ask::Command(Command::CreateSession))? {
            Reply::Session(session) => Ok(session),
            // The machine lets no other answer through.
            Reply::Answer(_) | Reply::Player(_) | Reply::KeySession(_) | Reply::Source { .. } => {
                Err(CallError::NotTaken(NotTaken::SessionEnded))
            }
        }
    }
}

fn start(io: Io) -> Result<JoinHandle<()>, LinuxError> {
    std::thread::Builder::new()
        .name("greenroom".into())
        .spawn(move || io.run())
        .map_err(|error| LinuxError::other("start the client library's thread", ErrorKind::Exhausted, error))
}

impl Drop for Client {
    fn drop(&mut self) {
        self.link.order(Order::Disconnect);
        if let Some(io_thread) = self.io_thread.take() {
            // It panics on nothing, and if it did, there would be nothing left to end.
            let _ = io_thread.join();
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (state, lost) = (self.application_state(), self.lost());
        out.debug_struct("Client").field("application", &state).field("lost", &lost).finish_non_exhaustive()
    }
}
