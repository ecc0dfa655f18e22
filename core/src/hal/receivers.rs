//! The processes that show pages for other devices.

use core::net::IpAddr;

use super::{Child, ErrorType, Fingerprint};
use crate::message::presentation::LaunchToken;

/// A page that is to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch<'a> {
    /// What the presentation is called.
    pub presentation_id: &'a str,
    /// The page.
    pub url: &'a str,
    /// What the process inherits, and nobody else learns: by it the service knows the process again (PS-36).
    pub token: LaunchToken,
}

/// Starts what shows pages: a browser, or an app (PS-11).
pub trait Receivers: ErrorType {
    /// What it starts. It is over for a presentation when this was seen to end (PS-35).
    type Receiver: Child;

    /// Starts a process for this page. A page for which nothing is configured is
    /// [`ErrorKind::NotFound`](super::ErrorKind::NotFound).
    fn start(&mut self, launch: &Launch<'_>) -> Result<Self::Receiver, Self::Error>;
}

/// Who asks, over the network, for something to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visitor<'a> {
    /// What it calls itself. Nothing vouches for it (PS-34).
    pub device_id: &'a str,
    /// From where it has connected.
    pub address: IpAddr,
    /// The certificate that it has shown, if it has shown one.
    pub fingerprint: Option<Fingerprint>,
}
