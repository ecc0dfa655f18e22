//! The decoders that a box has, and how they misbehave.

use std::cell::Cell;
use std::rc::Rc;

use super::fault::FaultSet;

/// The decoders that the box has: each session that is open owns one.
#[derive(Debug)]
pub(super) struct Hardware {
    total: Cell<u8>,
    usable: Cell<u8>,
    in_use: Cell<u8>,
}

impl Hardware {
    pub(super) fn new(total: u8) -> Rc<Self> {
        Rc::new(Self { total: Cell::new(total), usable: Cell::new(total), in_use: Cell::new(0) })
    }

    pub(super) fn total(&self) -> u8 {
        self.total.get()
    }

    pub(super) fn in_use(&self) -> u8 {
        self.in_use.get()
    }

    /// From now on only so many can be opened; those that are open stay.
    pub(super) fn limit(&self, usable: u8) {
        self.usable.set(usable);
    }

    pub(super) fn take(&self) -> bool {
        let is_free = self.in_use.get() < self.usable.get();
        if is_free {
            self.in_use.set(self.in_use.get() + 1);
        }
        is_free
    }

    pub(super) fn give_back(&self) {
        self.in_use.set(self.in_use.get() - 1);
    }
}

/// How a decoder misbehaves. Each lasts until it has happened, or until the weather clears.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mood {
    /// The next command takes so long.
    pub(super) slow_ms: u32,
    /// The next command fails.
    pub(super) fails: bool,
    /// The next flush or seek takes so long.
    pub(super) blocked_flush_ms: u32,
    /// The end of a stream is not told.
    pub(super) hides_end: bool,
    /// Nothing is taken out of the rings.
    pub(super) keeps: bool,
    /// Commands never end.
    pub(super) is_stuck: bool,
    /// The next pull is a failure.
    pub(super) fails_in_play: bool,
    /// What of this lasts and was felt already.
    pub(super) felt: FaultSet,
}
