//! What is set for the whole box.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::health::HealthCheck;
use crate::limits::{
    LINK_TIMEOUT, READY_TIMEOUT, RESTART_INTENSITY, RESTART_PAUSE, RESTART_WINDOW, STOP_TIMEOUT, TERMINATE_TIMEOUT,
};
use crate::message::LogLevels;

/// What the integrator sets; the defaults stand in [`crate::limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Settings {
    /// The box's decoders.
    pub decoders: u8,
    /// How long a session server may take to be up; `None` waits for ever (SM-04).
    pub ready_timeout: Option<Duration>,
    /// How long a session server may take to answer, and then to do what it accepted.
    pub link_timeout: Duration,
    /// How long a session server may take to end by itself.
    pub stop_timeout: Duration,
    /// How long it may take after TERM.
    pub terminate_timeout: Duration,
    /// Whether a session server that ends unasked is followed by another one (SM-36).
    pub restart: bool,
    /// How many restarts of an app there may be in one window; at the next end it is given up.
    pub restart_intensity: u32,
    /// The pause before the second restart in a window; the first is immediate, each further pause twice as long.
    pub restart_pause: Duration,
    /// How long a window is, from the first restart in it.
    pub restart_window: Duration,
    /// How much is logged at first.
    pub log_levels: LogLevels,
    /// Session servers that are kept ready for the next start; at most [`SPARES_MAX`](crate::limits::SPARES_MAX).
    pub spares: u16,
    /// How it is seen whether a session server, or a client of one, gets on (SM-36).
    pub health: HealthCheck,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            decoders: 1,
            ready_timeout: Some(READY_TIMEOUT),
            link_timeout: LINK_TIMEOUT,
            stop_timeout: STOP_TIMEOUT,
            terminate_timeout: TERMINATE_TIMEOUT,
            restart: true,
            restart_intensity: RESTART_INTENSITY,
            restart_pause: RESTART_PAUSE,
            restart_window: RESTART_WINDOW,
            log_levels: LogLevels::default(),
            spares: 0,
            health: HealthCheck::default(),
        }
    }
}
