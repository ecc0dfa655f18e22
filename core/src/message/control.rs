//! What an application manager or `greenroomctl` says to the manager, and hears.

use core::fmt;

use heapless::Vec;
use serde::{Deserialize, Serialize};

use super::{AppId, Component, LogLevel, Reason, Resources, ServerState, SocketPath, TargetState};
use crate::limits::HOLDERS_MAX;
use crate::trace::file::Origin;

/// One request, with the number that its one answer repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Request<'a> {
    /// Chosen by the asker, repeated by the answer.
    pub sequence: u32,
    /// What is asked.
    #[serde(borrow)]
    pub command: Command<'a>,
}

/// What can be asked of the manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Command<'a> {
    /// First on every connection. Answered by [`Answer::Welcome`].
    Hello,
    /// Start the session server of an app (SM-01). Answered when its process was started.
    Initiate {
        /// The app's name.
        app: &'a str,
        /// The state that it is to reach: Inactive or Active.
        state: TargetState,
        /// Its socket: empty for a name of the manager's choice, a bare name for one in the default directory, or a
        /// full path.
        socket: &'a str,
    },
    /// Move a session server to another state (SM-14). Answered when the server has answered.
    ChangeState {
        /// The app's name.
        app: &'a str,
        /// The state that it is to reach.
        state: TargetState,
    },
    /// Where an app's clients connect (SM-09). Answered by [`Answer::ConnectionInfo`].
    ConnectionInfo {
        /// The app's name.
        app: &'a str,
    },
    /// Set a log level everywhere (SM-39).
    SetLogLevel {
        /// Of which part.
        component: Component,
        /// To which level.
        level: LogLevel,
    },
    /// The next app in the table, from this place on: [`Answer::App`], or [`Answer::Box`] after the last.
    List {
        /// 0 at first, then [`Answer::App::next`].
        from: u16,
    },
    /// From now on send events. Answered by [`Answer::Done`]; a list taken after it misses nothing.
    Watch,
    /// End every app in order and then the manager (SM-38).
    Stop,
    /// The next trace, from this place on: [`Answer::Trace`], or [`Answer::Done`] after the last. It tells of all apps, so
    /// only who may drive the whole box gets it.
    Trace {
        /// 0 at first, then [`Answer::Trace::next`].
        from: u16,
    },
}

impl<'a> Command<'a> {
    /// The app that it is about, if it is about one.
    pub const fn app(&self) -> Option<&'a str> {
        match *self {
            Self::Initiate { app, .. } | Self::ChangeState { app, .. } | Self::ConnectionInfo { app } => Some(app),
            Self::Hello
            | Self::SetLogLevel { .. }
            | Self::List { .. }
            | Self::Watch
            | Self::Stop
            | Self::Trace { .. } => None,
        }
    }

    /// Whether it says where an app's socket is to lie.
    pub const fn chooses_socket(&self) -> bool {
        matches!(self, Self::Initiate { socket, .. } if !socket.is_empty())
    }
}

/// What the manager sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Message {
    /// The one answer to a request.
    Reply {
        /// The request's number.
        sequence: u32,
        /// What came of it.
        result: Result<Answer, Refusal>,
    },
    /// Something happened; sent to those that asked to watch.
    Event(Event),
}

/// A request that went well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Answer {
    /// The connection is open.
    Welcome {
        /// The protocol version that both sides speak from now on.
        version: u8,
    },
    /// It was done, or is on its way; events tell how it ends.
    Done,
    /// Where the app's clients connect.
    ConnectionInfo {
        /// The full path.
        socket: SocketPath,
    },
    /// One app.
    App {
        /// Where the list goes on.
        next: u16,
        /// How the app is.
        status: AppStatus,
    },
    /// After the last app: how the box is.
    Box(BoxStatus),
    /// One trace. With it goes a descriptor of its memory, to read it from; who is recorded goes on to write there.
    Trace {
        /// Where the traces go on.
        next: u16,
        /// Whose it is.
        origin: Origin,
    },
}

/// How an app is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AppStatus {
    /// Its name.
    pub app: AppId,
    /// The state that was notified last; `None` before the first of its present session server.
    pub state: Option<ServerState>,
    /// The state that it was asked to be in.
    pub wanted: TargetState,
    /// Where its clients connect.
    pub socket: SocketPath,
    /// The process of its session server; 0 while there is none.
    pub process_id: u32,
    /// What it may hold.
    pub resources: Resources,
    /// Decoders that it holds now.
    pub decoders: u8,
    /// How often its session server was restarted since the app was initiated (SM-36).
    pub restarts: u32,
    /// Clients that are connected to its session server.
    pub clients: u8,
    /// Requests about it that were refused since it was initiated.
    pub refusals: u32,
    /// Seconds since its present session server has served it; 0 while there is none.
    pub uptime_s: u32,
    /// Its session server has ended and another one follows: it is not up yet, or waited for. Otherwise Error and
    /// NotRunning are final.
    pub is_restarting: bool,
}

/// How the box is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BoxStatus {
    /// Decoders that there are.
    pub decoders: u8,
    /// Decoders that nobody holds.
    pub decoders_free: u8,
    /// Apps that there can be.
    pub apps_max: u16,
    /// Requests that were refused since the start.
    pub refusals: u32,
    /// Messages that came too late, from an earlier life of an app, since the start.
    pub stale: u32,
    /// Session servers that are up and wait for an app.
    pub spares: u16,
    /// The request that was refused last.
    pub last_refusal: Option<LastRefusal>,
}

/// The request that was refused last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LastRefusal {
    /// The app that it was about, if it was about one.
    pub app: Option<AppId>,
    /// Why it was refused.
    pub refusal: Refusal,
}

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Event {
    /// A session server is in another state.
    StateChanged {
        /// Of which app.
        app: AppId,
        /// The state it is in.
        state: ServerState,
        /// Why, where it is Error, NotRunning, or Inactive instead of Active after a restart.
        reason: Option<Reason>,
    },
    /// This observer was too slow: so many events were left out. A list shows how things are now.
    Missed(u32),
}

/// Who holds how many decoders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Holding {
    /// The app.
    pub app: AppId,
    /// Its decoders.
    pub decoders: u8,
}

/// A fixed table of the manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TableName {
    /// Apps; `APPS_MAX` of [`crate::limits`].
    Apps,
    /// Connections to the control socket; `CONTROLLERS_MAX` of [`crate::limits`].
    Controllers,
}

/// Why a request was refused. A refused request changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Refusal {
    /// Caller: no message that this version knows.
    Malformed,
    /// Caller: no protocol version that both sides speak.
    Version {
        /// The lowest that the manager speaks.
        min: u8,
        /// The highest that the manager speaks.
        max: u8,
    },
    /// Caller: the app's name is no name.
    AppName,
    /// Caller: there is no app of this name.
    UnknownApp,
    /// Caller: the app is running already.
    AlreadyRunning {
        /// The state that was notified last.
        state: Option<ServerState>,
    },
    /// Caller: the app is not up yet, or no longer.
    NotRunning,
    /// Caller: another request for this app is in progress, its old session server is still ending (SM-37), or it is being
    /// restarted (SM-36).
    Busy,
    /// Caller: this cannot be asked of an app in this state.
    WrongState {
        /// The state that was notified last.
        state: Option<ServerState>,
    },
    /// Caller: the socket's path is too long, not a path, or that of an app which this caller may not see.
    SocketPath,
    /// Caller: another app has this socket's path.
    SocketInUse {
        /// The app that has it.
        app: AppId,
    },
    /// Caller: this user may not do that.
    Denied,
    /// Platform: a table is full.
    Full {
        /// Which table.
        table: TableName,
        /// Its capacity.
        capacity: u16,
        /// How much of it is taken.
        in_use: u16,
    },
    /// Platform: the decoders that the app may use are not free (SM-40).
    Decoders {
        /// How many the app needs.
        wanted: u8,
        /// How many are free.
        free: u8,
        /// How many the box has.
        total: u8,
        /// Who holds the others, at most [`HOLDERS_MAX`] of them.
        holders: Vec<Holding, HOLDERS_MAX>,
    },
    /// Platform: the session server's program is not there.
    ProgramMissing,
    /// Platform: the session server's program may not be run.
    ProgramDenied,
    /// Platform: the session server's process could not be started.
    Spawn,
    /// Peer: the session server answered that it cannot.
    ServerRefused,
    /// Peer: the session server did not answer in time; it is being ended.
    ServerTimeout,
    /// Peer: the session server ended before it answered.
    ServerGone,
    /// Platform: the manager is on its way out.
    ShuttingDown,
    /// Caller: a later request to end the app took this one's place (SM-37).
    Superseded,
    /// Caller: this user may drive other apps, but not this one.
    AppDenied {
        /// The user, as the platform vouches for it.
        user_id: u32,
        /// The app.
        app: AppId,
    },
    /// Caller: this user may drive some apps, and what it asked concerns the whole box.
    BoxDenied {
        /// The user, as the platform vouches for it.
        user_id: u32,
    },
    /// Caller: this user may drive some apps, and chose the place of a socket: it could be another app's.
    SocketDenied {
        /// The user, as the platform vouches for it.
        user_id: u32,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => {
                out.write_str("the manager does not know this request; use programs of the same release")
            }
            Self::Version { min, max } => {
                write!(
                    out,
                    "the manager speaks protocol versions {min} to {max} only; use programs of the same release"
                )
            }
            Self::AppName => out.write_str("this is no app name; use up to 64 letters, digits, '.', '_' and '-'"),
            Self::UnknownApp => out.write_str("there is no such app; 'greenroomctl list' shows those that run"),
            Self::AlreadyRunning { state } => {
                write!(out, "it runs already ({}); use 'greenroomctl state'", StateName(*state))
            }
            Self::NotRunning => out.write_str("its session server is not up; wait for its next state"),
            Self::Busy => out.write_str(
                "another request for it is in progress, or it is being restarted; try again when its state has changed",
            ),
            Self::WrongState { state } => write!(
                out,
                "its session server is in state {} and takes not-running only; end it and start it again",
                StateName(*state)
            ),
            Self::SocketPath => out.write_str(
                "the socket's path is too long, no plain path, or taken; use at most 107 bytes, without '..', or \
                 another one",
            ),
            Self::SocketInUse { app } => write!(out, "app {app} has this socket; choose another --socket"),
            Self::Denied => {
                out.write_str("this user may drive no app; run as the manager's user, or see [control] allow_users and [app] controllers")
            }
            Self::Full { table, capacity, in_use } => {
                write!(out, "the table of {table} is full ({in_use} of {capacity}); end one first")
            }
            Self::Decoders { wanted, free, total, holders } => {
                write!(out, "it needs {wanted} of the box's {total} decoder(s), {free} free")?;
                for holding in holders {
                    write!(out, "; {} holds {}", holding.app, holding.decoders)?;
                }
                out.write_str("; make a holder inactive first")
            }
            Self::ProgramMissing => {
                out.write_str("the session server's program is not there; see [session] program in the configuration")
            }
            Self::ProgramDenied => {
                out.write_str("the session server's program may not be run; check its mode and its path's directories")
            }
            Self::Spawn => out.write_str("the session server could not be started; see the manager's log"),
            Self::ServerRefused => out.write_str("its session server cannot do that now; see its log"),
            Self::ServerTimeout => out.write_str("its session server did not answer in time and is being ended"),
            Self::ServerGone => out.write_str("its session server ended before it answered; see its log"),
            Self::Superseded => out.write_str("a later request ended the app first; initiate it again if it is to run"),
            Self::ShuttingDown => out.write_str("the manager is shutting down; start it again first"),
            Self::AppDenied { user_id, app } => write!(
                out,
                "user {user_id} may not drive {app}; run as one of its controllers, or add this user to \
                 [app.\"{app}\"] controllers"
            ),
            Self::BoxDenied { user_id } => write!(
                out,
                "user {user_id} may drive single apps only, and this concerns the whole box; run as the manager's user, \
                 or see [control] allow_users and allow_groups"
            ),
            Self::SocketDenied { user_id } => write!(
                out,
                "user {user_id} may drive single apps only, and may not choose where a socket lies; leave --socket out, or \
                 see [control] allow_users and allow_groups"
            ),
        }
    }
}

impl core::error::Error for Refusal {}

impl fmt::Display for TableName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Apps => "apps",
            Self::Controllers => "control connections",
        })
    }
}

struct StateName(Option<ServerState>);

impl fmt::Display for StateName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => out.write_str("starting"),
            Some(state) => write!(out, "{state:?}"),
        }
    }
}
