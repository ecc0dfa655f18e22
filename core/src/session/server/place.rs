//! Where the server listens, and what it does while somebody else listens there.

use heapless::String;
use serde::{Deserialize, Serialize};

use super::{Phase, Server};
use crate::limits::{
    BIND_PATIENCE, BIND_PAUSE, KEY_SESSIONS_MAX, OWNER_BYTES_MAX, SESSIONS_MAX, WEB_AUDIO_PLAYERS_MAX,
};
use crate::message::link::{Configuration, Refusal};
use crate::message::{AppId, SocketPath, TargetState};
use crate::time::Instant;

/// Where the server's socket is, and whose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) path: SocketPath,
    pub(super) mode: u16,
    pub(super) owner: String<OWNER_BYTES_MAX>,
    pub(super) group: String<OWNER_BYTES_MAX>,
}

/// Somebody else has the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PathTaken {
    pub(super) try_at: Instant,
    give_up_at: Instant,
}

impl Server {
    /// Whether whoever has the path is given more time to leave it (SM-38).
    pub(super) fn waits_for_path(&mut self, now: Instant) -> bool {
        if !matches!(self.phase, Phase::Binding { .. }) {
            return false;
        }
        let give_up_at = self.path_taken.map_or(now.after(BIND_PATIENCE), |taken| taken.give_up_at);
        self.path_taken = (now < give_up_at).then(|| PathTaken { try_at: now.after(BIND_PAUSE), give_up_at });
        self.path_taken.is_some()
    }

    pub(super) fn bind_again(&mut self, now: Instant) {
        let is_time = self.path_taken.is_some_and(|taken| taken.try_at <= now);
        self.due.bind |= is_time && matches!(self.phase, Phase::Binding { .. });
    }
}

/// The socket's place of a configuration that can hold.
pub(super) fn checked(configuration: &Configuration<'_>) -> Result<Place, Refusal> {
    let wrong = Refusal::Configuration;
    let Configuration { app, socket, socket_owner, socket_group, state, resources, .. } = *configuration;
    let is_sound = socket.starts_with('/')
        && AppId::new(app).is_ok()
        && state != TargetState::NotRunning
        && usize::from(resources.max_playback_sessions) <= SESSIONS_MAX
        && usize::from(resources.max_web_audio_players) <= WEB_AUDIO_PLAYERS_MAX
        && usize::from(resources.max_key_sessions) <= KEY_SESSIONS_MAX;
    if !is_sound {
        return Err(wrong);
    }
    Ok(Place {
        path: String::try_from(socket).map_err(|_| wrong)?,
        mode: planted!("socket_mode_ignored", 0o666, configuration.socket_mode),
        owner: String::try_from(socket_owner).map_err(|_| wrong)?,
        group: String::try_from(socket_group).map_err(|_| wrong)?,
    })
}
