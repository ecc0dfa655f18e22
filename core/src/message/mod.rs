//! What the processes say to each other, typed.
//!
//! There are five conversations, each on a connection that keeps message boundaries; [`papi`] puts them into lines:
//!
//! | conversation | asks | answers |
//! |---|---|---|
//! | [`control`] | `greenroomctl`, an application manager | the manager |
//! | [`link`] | the manager | a session server |
//! | [`playback`] | an app, through the client library | its session server |
//! | [`presentation`] | a page, a receiver, `greenroomctl` | the presentation service |
//! | [`papi`] | a controlling device | the device that shows the page; each may ask for the end |
//!
//! Every request but those of [`papi`] carries a sequence number that its one answer repeats; events carry none. What is
//! long is borrowed from the received bytes; what a table keeps is owned, in a field of named capacity. Enums grow at
//! their end only, because a variant's place is its number on the wire.

mod access;
pub mod audio;
pub mod control;
pub mod keys;
pub mod link;
pub mod papi;
pub mod playback;
pub mod presentation;

use core::fmt;

pub use access::{Allowed, Ids};
use heapless::String;
use serde::{Deserialize, Deserializer, Serialize};

use crate::limits::{APP_ID_BYTES_MAX, SOCKET_PATH_BYTES_MAX};

/// The lowest and highest version of the native protocol that this build speaks.
pub const VERSIONS: (u8, u8) = (1, 1);

/// Why a text is no [`AppId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum AppIdError {
    /// It is empty.
    Empty,
    /// It has more than [`APP_ID_BYTES_MAX`] bytes.
    TooLong,
    /// It has a character other than ASCII letters, digits, `.`, `_` and `-`, or starts with a dot.
    BadCharacter,
}

impl fmt::Display for AppIdError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => out.write_str("the app's name is empty; give it one"),
            Self::TooLong => write!(out, "the app's name is longer than {APP_ID_BYTES_MAX} bytes; shorten it"),
            Self::BadCharacter => out.write_str(
                "the app's name may hold only letters, digits, '.', '_' and '-', and not start with a dot; rename it",
            ),
        }
    }
}

impl core::error::Error for AppIdError {}

/// The name of an app: 1 to [`APP_ID_BYTES_MAX`] ASCII letters, digits, `.`, `_`, `-`, not starting with a dot,
/// so that it can stand in a file name and in a log line as it is.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct AppId(String<APP_ID_BYTES_MAX>);

impl AppId {
    /// Checks a name.
    pub fn new(name: &str) -> Result<Self, AppIdError> {
        if name.is_empty() {
            return Err(AppIdError::Empty);
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.starts_with('.') || !name.chars().all(plain) {
            return Err(AppIdError::BadCharacter);
        }
        String::try_from(name).map(Self).map_err(|_| AppIdError::TooLong)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for AppId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = <&str>::deserialize(deserializer)?;
        Self::new(name).map_err(|_| serde::de::Error::custom("no app name"))
    }
}

impl fmt::Debug for AppId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for AppId {
    fn format(&self, out: defmt::Formatter<'_>) {
        defmt::write!(out, "{=str}", &self.0);
    }
}

/// The path of a socket in the file system.
pub type SocketPath = String<SOCKET_PATH_BYTES_MAX>;

/// The state of a session server, as it is notified.
///
/// ```text
///                  +------------> Inactive <------------+
/// Uninitialized ---+                 |                  +----> NotRunning
///                  +------------> Active <--------------+
///          (any) ----> Error, which ends the server or leaves it able to take NotRunning only
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ServerState {
    /// Its process is up and waits for its configuration.
    Uninitialized,
    /// Its socket is there; no shared memory, no decoder.
    Inactive,
    /// It may hold shared memory and decoders.
    Active,
    /// It has ended.
    NotRunning,
    /// It failed. What comes next says the reason that travels with it.
    Error,
}

/// The state that a session server is asked to enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TargetState {
    /// Give up decoders and shared memory, keep the socket.
    Inactive,
    /// Take shared memory; decoders may be used.
    Active,
    /// End.
    NotRunning,
}

impl From<TargetState> for ServerState {
    fn from(target: TargetState) -> Self {
        match target {
            TargetState::Inactive => Self::Inactive,
            TargetState::Active => Self::Active,
            TargetState::NotRunning => Self::NotRunning,
        }
    }
}

/// The state of an app, as its client library sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum AppState {
    /// There is no session server, or its state is not known yet.
    #[default]
    Unknown,
    /// The session server is Inactive.
    Inactive,
    /// The session server is Active.
    Running,
}

/// What an app may hold at most (SM-07).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Resources {
    /// Playback sessions at a time; each needs one of the box's decoders.
    pub max_playback_sessions: u8,
    /// Web audio players at a time.
    pub max_web_audio_players: u8,
    /// Key (CDM) sessions at a time.
    pub max_key_sessions: u8,
}

impl Default for Resources {
    fn default() -> Self {
        Self { max_playback_sessions: 1, max_web_audio_players: 0, max_key_sessions: 0 }
    }
}

/// Why a session server is in [`ServerState::Error`], or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Reason {
    /// It was asked to.
    Asked,
    /// It did not say that it is up within the READY time (SM-12).
    ReadyTimeout,
    /// It did not answer the manager within the link time.
    LinkTimeout,
    /// It closed its link to the manager, or sent what is no message.
    LinkBroken,
    /// Its process ended by itself with this exit status.
    Exited(u8),
    /// Its process was ended by this signal.
    Killed(u8),
    /// Its own initialization failed (SM-11).
    Initialization,
    /// Its socket could not be made at the path: another program listens there.
    SocketTaken,
    /// Its socket could not be made at the path: the directory is not there.
    SocketDirectoryMissing,
    /// Its socket could not be made at the path: not permitted.
    SocketDenied,
    /// Its socket's owner or group does not exist on this box, or may not be given.
    SocketOwner,
    /// Its socket could not be made for another reason.
    SocketFailed,
    /// Shared memory could not be had (SM-17).
    SharedMemory,
    /// A decoder did not let go in time.
    DecoderStuck,
    /// The manager has gone.
    ManagerGone,
    /// It refused its configuration.
    ConfigurationRefused,
    /// It could not be restarted: its program is not there.
    ProgramMissing,
    /// It could not be restarted: its program may not be run.
    ProgramDenied,
    /// It could not be restarted: the platform could not start a process.
    SpawnFailed,
    /// It was to come back Active, and its decoders were taken meanwhile (SM-36, SM-40).
    DecodersTaken,
    /// Its socket could not be made at the path: what is there is no socket.
    SocketPathNotSocket,
    /// It did not show that it gets on when it was asked (SM-36).
    Unhealthy,
    /// A key system did not let go in time.
    KeySystemStuck,
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => out.write_str("it was asked to"),
            Self::ReadyTimeout => out.write_str(
                "its session server was not up in time and was killed; see its log, or raise ready_timeout_ms",
            ),
            Self::LinkTimeout => out.write_str("its session server did not answer the manager in time and was ended"),
            Self::LinkBroken => out.write_str("its session server closed its link to the manager or sent garbage"),
            Self::Exited(status) => write!(out, "its session server ended with exit status {status}; see its log"),
            Self::Killed(signal) => write!(out, "its session server was ended by signal {signal}"),
            Self::Initialization => out.write_str("its session server could not initialize; see its log"),
            Self::SocketTaken => out.write_str("another program listens at the socket's path; choose another --socket"),
            Self::SocketDirectoryMissing => {
                out.write_str("the directory of the socket's path is not there; make it, or choose another --socket")
            }
            Self::SocketDenied => out.write_str(
                "the socket's path is not writable; change its directory's mode, or choose another --socket",
            ),
            Self::SocketOwner => out.write_str(
                "the socket's configured owner or group does not exist here or may not be given; see [socket]",
            ),
            Self::SocketFailed => out.write_str("the socket could not be made; see the session server's log"),
            Self::SharedMemory => {
                out.write_str("shared memory could not be had; free memory, or lower the rings' sizes")
            }
            Self::DecoderStuck => out.write_str("a decoder did not let go in time; the session server is ended"),
            Self::KeySystemStuck => out.write_str("a key system did not let go in time; the session server is ended"),
            Self::ManagerGone => out.write_str("the manager has gone"),
            Self::ConfigurationRefused => out.write_str(
                "its session server refused its configuration; lower the app's resources to what this build allows",
            ),
            Self::ProgramMissing => {
                out.write_str("the session server's program is not there; see [session] program in the configuration")
            }
            Self::ProgramDenied => {
                out.write_str("the session server's program may not be run; check its mode and its path's directories")
            }
            Self::SpawnFailed => out.write_str("the session server could not be started; see the manager's log"),
            Self::DecodersTaken => {
                out.write_str("its decoders were taken while it was restarted; make a holder inactive, then ask again")
            }
            Self::SocketPathNotSocket => {
                out.write_str("what is at the socket's path is no socket; remove it, or choose another --socket")
            }
            Self::Unhealthy => {
                out.write_str("its session server hung, or a decoder in it did, and was ended; see its log")
            }
        }
    }
}

/// How much is logged; each level includes those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum LogLevel {
    /// The process cannot go on.
    Fatal,
    /// Something that was asked for could not be done.
    Error,
    /// Something is not as it should be.
    Warning,
    /// The few steps that tell the story: starts, states, ends.
    #[default]
    Milestone,
    /// What helps to understand a step.
    Info,
    /// Everything.
    Debug,
}

/// The parts of the system whose log level can be set apart (SM-39).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Component {
    /// All that have no level of their own.
    Default,
    /// The client library in the apps.
    Client,
    /// The session servers.
    SessionServer,
    /// Sockets and codecs, in every process.
    Ipc,
    /// The manager.
    Manager,
    /// What all processes share: tables, rings, resources.
    Common,
}

/// The level of every component; `None` follows [`Component::Default`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LogLevels {
    /// For components without a level of their own.
    pub default: LogLevel,
    /// See [`Component::Client`].
    pub client: Option<LogLevel>,
    /// See [`Component::SessionServer`].
    pub session_server: Option<LogLevel>,
    /// See [`Component::Ipc`].
    pub ipc: Option<LogLevel>,
    /// See [`Component::Manager`].
    pub manager: Option<LogLevel>,
    /// See [`Component::Common`].
    pub common: Option<LogLevel>,
}

impl LogLevels {
    /// Sets the level of one component.
    pub fn set(&mut self, component: Component, level: LogLevel) {
        match component {
            Component::Default => self.default = level,
            Component::Client => self.client = Some(level),
            Component::SessionServer => self.session_server = Some(level),
            Component::Ipc => self.ipc = Some(level),
            Component::Manager => self.manager = Some(level),
            Component::Common => self.common = Some(level),
        }
    }

    /// The level that holds for a component.
    pub fn of(&self, component: Component) -> LogLevel {
        let own = match component {
            Component::Default => None,
            Component::Client => self.client,
            Component::SessionServer => self.session_server,
            Component::Ipc => self.ipc,
            Component::Manager => self.manager,
            Component::Common => self.common,
        };
        own.unwrap_or(self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_name_fits_a_file_name_or_is_refused_with_its_reason() {
        assert!(AppId::new("org.example.tv-1_a").is_ok());
        assert_eq!(AppId::new(""), Err(AppIdError::Empty));
        assert_eq!(AppId::new("../etc"), Err(AppIdError::BadCharacter));
        assert_eq!(AppId::new("a/b"), Err(AppIdError::BadCharacter));
        assert_eq!(AppId::new(&"x".repeat(65)), Err(AppIdError::TooLong));
        assert!(AppId::new(&"x".repeat(64)).is_ok());
    }

    #[test]
    fn a_component_without_a_level_follows_the_default() {
        let mut levels = LogLevels::default();
        levels.set(Component::Ipc, LogLevel::Debug);
        levels.set(Component::Default, LogLevel::Error);
        assert_eq!((levels.of(Component::Ipc), levels.of(Component::Client)), (LogLevel::Debug, LogLevel::Error));
    }
}
