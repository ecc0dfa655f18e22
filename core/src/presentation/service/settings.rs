//! What the service does as it is configured.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limits::{ESTABLISH_TIMEOUT, PAGE_LOAD_TIMEOUT};
use crate::message::presentation::DeviceId;

/// What the service does as it is configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// What this box calls itself on the network.
    pub device_id: DeviceId,
    /// Whether a device that knows the name of a presentation may join it, and not only the one that started it.
    pub others_may_join: bool,
    /// A page that is launched is there within this (PS-13).
    pub page_load_timeout: Duration,
    /// A connection is made within this after it was asked for (PS-30): longer than the page may load. At most
    /// [`ESTABLISH_TIMEOUT_MAX`](crate::limits::ESTABLISH_TIMEOUT_MAX).
    pub establish_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            device_id: DeviceId::new(),
            others_may_join: false,
            page_load_timeout: PAGE_LOAD_TIMEOUT,
            establish_timeout: ESTABLISH_TIMEOUT,
        }
    }
}
