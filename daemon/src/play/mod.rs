//! `greenroom-play`: plays a media file through the client library, as an app would.
//!
//! The file is demuxed here; its coded frames go through the rings to the session server, one thread for each stream. Without
//! a session server, or while the app is Inactive, nothing is decoded: only the place in the file is kept.

mod caps;
mod media;
mod performance;
mod player;
mod pusher;
mod show;
mod terminal;

use std::path::PathBuf;
use std::time::Duration;

use greenroom_core::message::playback::{PlaybackError, Window};
use greenroom_hal_linux::client::{CallError, ClientEvent, ConnectError, PushError};

pub use media::MediaError;
pub use player::play;
pub use show::ShowAs;

use crate::app_protocol::ManagedState;
use terminal::Key;

/// What is to be played, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The session server's socket.
    pub socket: PathBuf,
    /// The media file.
    pub file: PathBuf,
    /// Show the first picture and wait.
    pub start_paused: bool,
    /// Where to start.
    pub start_at: Duration,
    /// How loud, in thousandths.
    pub volume_permille: u16,
    /// Silent.
    pub muted: bool,
    /// How fast, in thousandths.
    pub rate_permille: u16,
    /// Where on the screen, if not all over it.
    pub window: Option<Window>,
    /// How it is shown.
    pub show_as: ShowAs,
    /// How long a session server that has gone is waited for.
    pub reconnect_for: Duration,
    /// The first state that an application manager gave; the others come on standard input. None: nobody manages the app.
    pub managed: Option<ManagedState>,
}

/// Why a file was not played to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlayError {
    /// Caller: the file cannot be played.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// Caller or peer: there is no session server.
    #[error("{0}; give the app's socket with --socket ('greenroomctl list' shows it)")]
    Connect(#[from] ConnectError),
    /// Peer or platform: the session server did not do something.
    #[error("cannot {step}: {error}")]
    Call {
        /// What, as in "cannot {step}".
        step: &'static str,
        /// Why not.
        error: CallError,
    },
    /// The session failed while it played; the error says who is to blame.
    #[error("{file}: {error}")]
    Playback {
        /// The file.
        file: PathBuf,
        /// Why.
        error: PlaybackError,
    },
    /// Peer or caller: frames could not be sent.
    #[error("{file}: cannot send frames: {error}")]
    Push {
        /// The file.
        file: PathBuf,
        /// Why not.
        error: PushError,
    },
    /// Peer: the session server has gone.
    #[error("the session server of {socket} has gone: {reason}")]
    ServerGone {
        /// Its socket.
        socket: PathBuf,
        /// How.
        reason: greenroom_core::client::LostReason,
    },
    /// Platform: no thread or descriptor is left.
    #[error("no thread or descriptor is left: {0}")]
    Platform(String),
}

/// Something that the player has to act on.
#[derive(Debug)]
enum Happening {
    Client(ClientEvent),
    Key(Key),
    /// The application manager says so.
    NewState(ManagedState),
    /// The application manager wants it to stand still, or to go on.
    SetPaused(bool),
    /// A signal asks for the end.
    Quit,
    PushFailed(PushError),
}
