//! What the integrator decides: what apps are given, and who may drive them.

use super::Peer;
use crate::message::{Allowed, AppId, Resources};

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
