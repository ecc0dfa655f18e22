//! Pumps inputs into machines and their actions into a platform.
//!
//! A driver is generic over the traits of [`crate::hal`], so what runs on Linux is what runs in the simulator. In a
//! turn it takes what is ready in a fixed order; each input is handled and its actions are carried out before the
//! next one. It decodes and encodes at the edge and decides nothing.

mod client;
mod companion;
mod connection;
mod dialing;
mod inbox;
mod manager;
mod overslept;
mod presentation;
mod session;

pub use client::{AnswerDescriptors, ClientDriver, ClientHost};
pub use companion::CompanionDriver;
pub use connection::{Connection, ConnectionError, Incoming};
pub use dialing::{DialError, Dialing};
pub use inbox::Inbox;
pub use manager::{FIRST_FREE_KIND, ManagerDriver, ManagerHost, Turn};
pub use presentation::{PresentationDriver, PresentationHost, PresentationPlatform};
pub use session::{Frames, Platform, SessionDriver, SessionHost};

use crate::time::Instant;

/// A state machine: inputs in, actions out.
///
/// ```text
/// ┌──────────────────────────────────────────────────────────────────────────┐
/// │ After every `handle`, call `poll_action` until it gives `None`, carrying │
/// │ out each action. Only then comes the next input. `next_deadline` says    │
/// │ when the machine wants to be handed its tick at the latest.              │
/// └──────────────────────────────────────────────────────────────────────────┘
/// ```
pub trait Machine {
    /// What it is told.
    type Input<'a>;
    /// What it wants done.
    type Action;
    /// Why an input was not taken; it then changed nothing.
    type Refusal;

    /// Takes one input. Its work is bounded and does not grow with what is in the tables.
    fn handle(&mut self, now: Instant, input: Self::Input<'_>) -> Result<(), Self::Refusal>;

    /// The next thing to do, if there is one.
    fn poll_action(&mut self) -> Option<Self::Action>;

    /// When a tick is due, if time matters now.
    fn next_deadline(&self) -> Option<Instant>;
}
