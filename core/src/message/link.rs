//! What the manager says to a session server, and hears, on the socket pair between the two.

use core::fmt;

use serde::{Deserialize, Serialize};

use super::{Allowed, AppState, LogLevels, Reason, Resources, ServerState, TargetState};
use crate::health::HealthCheck;

/// One request of the manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Request<'a> {
    /// Chosen by the manager, repeated by the answer.
    pub sequence: u32,
    /// What is asked.
    #[serde(borrow)]
    pub command: Command<'a>,
}

/// What the manager asks of a session server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Command<'a> {
    /// Once, after the server said that it is up (SM-07).
    SetConfiguration(#[serde(borrow)] Configuration<'a>),
    /// Enter another state (SM-15, SM-18 to SM-20).
    SetState(TargetState),
    /// Log from now on as this says (SM-39).
    SetLogLevels(LogLevels),
    /// Show that you get on: answered when each worker has shown that it does, or works on what has a time limit of its
    /// own. What a client does has no part in it (SM-36).
    Ping,
}

/// What a session server needs to know to serve its app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Configuration<'a> {
    /// The app that it serves.
    pub app: &'a str,
    /// The full path of the socket that it makes.
    pub socket: &'a str,
    /// The socket's mode, e.g. `0o660`.
    pub socket_mode: u16,
    /// The user that owns the socket; empty for the server's own.
    pub socket_owner: &'a str,
    /// The group that owns the socket; empty for the server's own.
    pub socket_group: &'a str,
    /// The first state: Inactive or Active.
    pub state: TargetState,
    /// What the app may hold.
    pub resources: Resources,
    /// How much is logged.
    pub log_levels: LogLevels,
    /// Where pictures go: `auto`, `fake`, or the description of any element.
    pub video_sink: &'a str,
    /// Where sound goes: `auto`, `fake`, or the description of any element.
    pub audio_sink: &'a str,
    /// Who may connect; nobody named: everybody whom the socket's mode lets in.
    pub clients: Allowed,
    /// How it is seen whether a client that holds something gets on.
    pub health: HealthCheck,
}

/// What a session server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Message {
    /// The one answer to a request.
    Reply {
        /// The request's number.
        sequence: u32,
        /// What came of it.
        result: Result<(), Refusal>,
    },
    /// The server is in another state. Its first message says Uninitialized (SM-05).
    StateChanged {
        /// The state.
        state: ServerState,
        /// Why, where it is Error.
        reason: Option<Reason>,
    },
    /// The listening socket travels with this message, for the manager to keep over a restart.
    Listener,
    /// A client connected or left, or its state changed: how many there are.
    Clients {
        /// Connections now.
        connected: u8,
        /// The state that they were told last.
        state: AppState,
    },
}

/// Why a session server refused a request. A refused request changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Refusal {
    /// Manager: it was configured before, or is not yet.
    WrongState {
        /// The state that it is in.
        state: ServerState,
    },
    /// Manager: another change is in progress.
    Busy,
    /// Manager: a configuration that cannot hold, such as more sessions than the server's tables take.
    Configuration,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongState { state } => write!(out, "not in state {state:?}"),
            Self::Busy => out.write_str("another change is in progress"),
            Self::Configuration => out.write_str("the configuration asks for more than the server's tables hold"),
        }
    }
}

impl core::error::Error for Refusal {}
