//! Processes that are killed while they build: in which phase, how often, and what the other side must learn of it.

#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use greenroom_core::presentation::content::Phase;
use greenroom_core::time::Instant;

use super::book::Book;
use super::witness::Key;
use crate::party::Party;

/// The phases in which a process has something to lose.
pub const PHASES: [Phase; 11] = [
    Phase::Waiting,
    Phase::Relayed,
    Phase::Describing,
    Phase::Offering,
    Phase::Listening,
    Phase::Answering,
    Phase::Opening,
    Phase::Open { told: false },
    Phase::Open { told: true },
    Phase::Draining,
    Phase::Lost,
];

/// The other side has learnt within this that a page has gone: as long as anything may take that it waits for.
pub(super) const LEARNT: Duration = Duration::from_secs(40);

/// Somebody whose other side was killed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bereft {
    pub(super) party: Party,
    pub(super) connection: Key,
    /// It knows until then.
    pub(super) until: Instant,
}

/// Who is to be killed, and who was.
pub(super) struct Doom {
    book: Rc<Book>,
    /// Whoever is the next in one of these phases is killed.
    armed: Cell<[bool; PHASES.len()]>,
    killed: Cell<[u64; PHASES.len()]>,
    pub(super) bereft: RefCell<Vec<Bereft>>,
}

fn place_of(phase: Phase) -> Option<usize> {
    PHASES.iter().position(|it| *it == phase)
}

impl Doom {
    pub(super) fn new(book: &Rc<Book>) -> Rc<Self> {
        let (armed, killed, bereft) = (Cell::default(), Cell::default(), RefCell::default());
        Rc::new(Self { book: Rc::clone(book), armed, killed, bereft })
    }

    /// Whoever is in this phase next is killed.
    pub(super) fn arm(&self, phase: Phase) {
        let mut armed = self.armed.get();
        place_of(phase).into_iter().for_each(|place| armed[place] = true);
        self.armed.set(armed);
    }

    pub(super) fn disarm(&self) {
        self.armed.set(Default::default());
    }

    pub(super) fn is_armed(&self, phase: Phase) -> bool {
        place_of(phase).is_some_and(|place| self.armed.get()[place])
    }

    /// Somebody is killed in this phase, and these are left.
    pub(super) fn kill(&self, victim: Party, phase: Phase, others: &[(Party, Key)]) {
        let (mut armed, mut killed) = (self.armed.get(), self.killed.get());
        let Some(place) = place_of(phase) else { return };
        armed[place] = false;
        killed[place] += 1;
        self.armed.set(armed);
        self.killed.set(killed);
        self.book.note(place as u64);
        self.book.tell(|| format!("{victim} is killed in phase {phase:?}"));
        let until = self.book.waits_from().after(LEARNT);
        let bereft = others.iter().map(|(party, connection)| Bereft { party: *party, connection: *connection, until });
        self.bereft.borrow_mut().extend(bereft);
    }

    /// How many were killed in each of [`PHASES`].
    pub(super) const fn killed(&self) -> [u64; PHASES.len()] {
        self.killed.get()
    }

    /// So long nobody could get on.
    pub(super) fn excuse(&self, duration: Duration) {
        self.bereft.borrow_mut().iter_mut().for_each(|it| it.until = it.until.after(duration));
    }
}
