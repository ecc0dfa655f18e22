//! The proof that the worker of a decoder gets on.

use serde::{Deserialize, Serialize};

use super::playback::{Order, Want};
use crate::message::playback::PlaybackError;

/// An order that nobody but the worker has a part in: that it ends is the proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Given {
    token: u32,
    is_new: bool,
    /// The worker was still at an order that was given up.
    is_refused: bool,
}

/// What a worker owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Beat(Option<Given>);

impl Beat {
    pub(super) const NONE: Self = Self(None);

    /// Asks for it, as the order with this token.
    pub(super) const fn ask(&mut self, token: u32) {
        self.0 = Some(Given { token, is_new: true, is_refused: false });
    }

    /// Whether the worker has not proved yet that it gets on.
    pub(super) const fn is_owed(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn poll(&mut self) -> Option<Want> {
        let given = self.0.as_mut()?;
        let is_new = core::mem::replace(&mut given.is_new, false);
        is_new.then_some(Want::Give { token: given.token, order: Order::Beat })
    }

    /// A command of the worker has ended; whether it was this one. If it could not be given, because the worker was still at
    /// what was given up, the end of that is the proof: it is only slow.
    pub(super) fn take(&mut self, token: u32, result: Result<(), PlaybackError>) -> bool {
        let Some(given) = &mut self.0 else { return false };
        let is_mine = given.token == token;
        let is_proof = if is_mine { result.is_ok() } else { given.is_refused };
        given.is_refused |= is_mine && result.is_err();
        if is_proof {
            *self = Self::NONE;
        }
        is_mine
    }
}
