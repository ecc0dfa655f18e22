//! Connections between devices, from outside: how long they take, and what becomes of them.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;

use greenroom_core::time::Instant;

use crate::stream::Pipe;
use crate::world::World;

/// One connection between two devices. It says nothing of what they have to do with each other.
#[derive(Clone)]
pub struct Cable {
    from: SocketAddr,
    to: SocketAddr,
    there: Weak<RefCell<Pipe>>,
    back: Weak<RefCell<Pipe>>,
}

impl Cable {
    pub(crate) fn new(from: SocketAddr, to: SocketAddr, there: &Rc<RefCell<Pipe>>, back: &Rc<RefCell<Pipe>>) -> Self {
        Self { from, to, there: Rc::downgrade(there), back: Rc::downgrade(back) }
    }

    /// Who has made it.
    pub fn from(&self) -> SocketAddr {
        self.from
    }

    /// To whom.
    pub fn to(&self) -> SocketAddr {
        self.to
    }

    /// Whether anybody has an end of it.
    pub fn is_there(&self) -> bool {
        self.there.strong_count() > 0
    }

    fn pipes(&self) -> impl Iterator<Item = Rc<RefCell<Pipe>>> {
        [self.there.upgrade(), self.back.upgrade()].into_iter().flatten()
    }

    /// Cuts it off, as a router that forgets it: both ends see a reset, and what is on its way is lost.
    pub fn cut(&self) {
        self.pipes().for_each(|pipe| pipe.borrow_mut().cut());
    }

    /// Cuts it off when so many bytes more have gone in one of the two directions.
    pub fn cut_after(&self, bytes: usize) {
        self.pipes().for_each(|pipe| pipe.borrow_mut().passes = Some(bytes));
    }

    /// From now on it takes nothing, or everything again.
    pub fn clog(&self, is_clogged: bool) {
        self.pipes().for_each(|pipe| pipe.borrow_mut().is_clogged = is_clogged);
    }

    /// Nothing is going to happen to it any more.
    fn forgive(&self) {
        self.pipes().for_each(|pipe| {
            let mut pipe = pipe.borrow_mut();
            (pipe.passes, pipe.is_clogged) = (None, false);
        });
    }
}

impl fmt::Debug for Cable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} to {}", self.from, self.to)
    }
}

/// All of them, and how long what they carry takes.
#[derive(Debug, Default)]
pub(crate) struct Cables {
    laid: Vec<Cable>,
    latency_ms: (u64, u64),
    arrivals: BinaryHeap<Reverse<Instant>>,
}

impl World {
    /// From now on what is sent on a stream arrives between `least` and `most` later. Nothing overtakes anything.
    pub fn set_latency(&self, least: Duration, most: Duration) {
        self.wires(|wires| wires.cables.latency_ms = (least.as_millis() as u64, most.as_millis() as u64));
    }

    /// When something arrives on a stream next.
    pub fn next_arrival(&self) -> Option<Instant> {
        let now = self.now();
        self.wires(|wires| {
            let arrivals = &mut wires.cables.arrivals;
            while arrivals.peek().is_some_and(|Reverse(at)| *at <= now) {
                arrivals.pop();
            }
            arrivals.peek().map(|Reverse(at)| *at)
        })
    }

    /// The connections of which anybody has an end, oldest first.
    pub fn cables(&self) -> Vec<Cable> {
        self.wires(|wires| {
            wires.cables.laid.retain(Cable::is_there);
            wires.cables.laid.clone()
        })
    }

    /// Takes back what was to happen to connections.
    pub fn mend_cables(&self) {
        self.cables().iter().for_each(Cable::forgive);
    }

    pub(crate) fn lay(&self, cable: Cable) {
        self.wires(|wires| {
            if wires.cables.laid.len() % 64 == 63 {
                wires.cables.laid.retain(Cable::is_there);
            }
            wires.cables.laid.push(cable);
        });
    }

    /// When what is sent now arrives.
    pub(crate) fn arrival(&self) -> Instant {
        let (least, most) = self.wires(|wires| wires.cables.latency_ms);
        let more = if most > least { self.random(most - least + 1) } else { 0 };
        self.now().after(Duration::from_millis(least + more))
    }

    pub(crate) fn note_arrival(&self, at: Instant) {
        if at > self.now() {
            self.wires(|wires| wires.cables.arrivals.push(Reverse(at)));
        }
    }
}
