//! Connections that carry bytes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;

use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use greenroom_core::hal::{ByteStream, Distrust, ErrorKind, Fingerprint, Trust};
use greenroom_core::time::Instant;

use crate::cable::Cable;
use crate::error::{Call, SimulatedError};
use crate::event_loop::{Readiness, Source};
use crate::world::World;

/// Bytes that wait for their receiver before the sender has to.
pub const STREAM_CAPACITY: usize = 256 * 1024;

/// What flows in one direction.
#[derive(Debug)]
pub(crate) struct Pipe {
    bytes: VecDeque<u8>,
    /// The last of the bytes, and when they arrive.
    under_way: VecDeque<(Instant, usize)>,
    capacity: usize,
    /// Nothing more is taken for now.
    pub(crate) is_clogged: bool,
    /// Bytes that still pass before the connection is cut off.
    pub(crate) passes: Option<usize>,
    /// The sender sends nothing more; its end is seen then.
    finished: Option<Instant>,
    /// The receiver receives nothing more.
    closed: bool,
    /// The connection was cut off: what is on its way is lost.
    cut: bool,
}

impl Pipe {
    fn new() -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            bytes: VecDeque::new(),
            under_way: VecDeque::new(),
            capacity: STREAM_CAPACITY,
            is_clogged: false,
            passes: None,
            finished: None,
            closed: false,
            cut: false,
        }))
    }

    pub(crate) fn cut(&mut self) {
        self.bytes.clear();
        self.under_way.clear();
        self.cut = true;
    }

    fn room(&self) -> usize {
        if self.is_clogged { 0 } else { self.capacity.saturating_sub(self.bytes.len()) }
    }

    /// Bytes that can be received now.
    fn arrived(&self, now: Instant) -> usize {
        let under_way: usize = self.under_way.iter().filter(|(at, _)| *at > now).map(|(_, bytes)| bytes).sum();
        self.bytes.len().saturating_sub(under_way)
    }

    fn has_finished(&self, now: Instant) -> bool {
        self.finished.is_some_and(|at| at <= now) && self.arrived(now) == self.bytes.len()
    }

    /// Takes the bytes; nothing overtakes what was sent before.
    fn carry(&mut self, bytes: &[u8], world: &World) {
        self.bytes.extend(bytes);
        let arrives = world.arrival().max(self.under_way.back().map_or(world.now(), |(at, _)| *at));
        if arrives > world.now() {
            self.under_way.push_back((arrives, bytes.len()));
            world.note_arrival(arrives);
        }
        self.passes = self.passes.map(|left| left.saturating_sub(bytes.len()));
    }

    fn finish(&mut self, world: &World) {
        if self.finished.is_none() {
            let arrives = world.arrival();
            self.finished = Some(arrives);
            world.note_arrival(arrives);
        }
    }

    fn take(&mut self, buffer: &mut [u8], bytes: usize, now: Instant) {
        buffer.iter_mut().zip(self.bytes.drain(..bytes)).for_each(|(place, byte)| *place = byte);
        while self.under_way.front().is_some_and(|(at, _)| *at <= now) {
            self.under_way.pop_front();
        }
    }
}

/// What became of the attempt to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// The other side is there.
    Made,
    /// Nobody answers.
    Unanswered,
    /// Nobody listens.
    Refused,
}

/// Who is at one end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side {
    pub(crate) address: SocketAddr,
    /// The certificate that it shows.
    pub(crate) shows: Option<Fingerprint>,
}

/// The two directions, as one end sees them.
#[derive(Debug)]
pub(crate) struct StreamEnd {
    world: World,
    incoming: Rc<RefCell<Pipe>>,
    outgoing: Rc<RefCell<Pipe>>,
    attempt: Attempt,
    /// Before this the other side has not answered.
    made_at: Instant,
}

impl StreamEnd {
    fn is_made(&self) -> bool {
        self.attempt == Attempt::Made && self.made_at <= self.world.now()
    }
}

impl Readiness for StreamEnd {
    fn is_readable(&self) -> bool {
        let (incoming, now) = (self.incoming.borrow(), self.world.now());
        self.is_made() && (incoming.arrived(now) > 0 || incoming.has_finished(now))
    }

    fn is_writable(&self) -> bool {
        let outgoing = self.outgoing.borrow();
        match self.attempt {
            Attempt::Made => self.is_made() && (outgoing.room() > 0 || outgoing.closed || outgoing.cut),
            Attempt::Unanswered => false,
            Attempt::Refused => true,
        }
    }

    fn has_ended(&self) -> bool {
        let incoming = self.incoming.borrow();
        let has_gone = incoming.has_finished(self.world.now()) || incoming.cut;
        self.attempt == Attempt::Refused || (self.is_made() && has_gone)
    }
}

impl Drop for StreamEnd {
    /// As a kernel does it: what was sent can still be received, unless something was left unread here.
    fn drop(&mut self) {
        let mut incoming = self.incoming.borrow_mut();
        let mut outgoing = self.outgoing.borrow_mut();
        outgoing.finish(&self.world);
        if !incoming.bytes.is_empty() {
            outgoing.cut();
        }
        incoming.closed = true;
        incoming.bytes.clear();
    }
}

/// One end of a connection.
#[derive(Debug)]
pub struct MockStream {
    world: World,
    end: Rc<StreamEnd>,
    own: Side,
    peer: Side,
    trust: Option<Trust>,
}

impl MockStream {
    /// Two ends of a new connection; the first one has `trust` in the other.
    pub(crate) fn pair(world: &World, trust: Trust, one: Side, other: Side) -> (Self, Self) {
        let (there, back) = (Pipe::new(), Pipe::new());
        world.lay(Cable::new(one.address, other.address, &there, &back));
        let end = |incoming: &Rc<RefCell<Pipe>>, outgoing: &Rc<RefCell<Pipe>>, made_at| StreamEnd {
            world: world.clone(),
            incoming: Rc::clone(incoming),
            outgoing: Rc::clone(outgoing),
            attempt: Attempt::Made,
            made_at,
        };
        let made_at = world.arrival();
        world.note_arrival(made_at);
        let (first, second) = (end(&back, &there, made_at), end(&there, &back, world.now()));
        (Self::new(world, first, one, other, Some(trust)), Self::new(world, second, other, one, None))
    }

    /// An end without another.
    pub(crate) fn alone(world: &World, attempt: Attempt, own: Side, peer: Side) -> Self {
        let (incoming, outgoing, made_at) = (Pipe::new(), Pipe::new(), world.now());
        let end = StreamEnd { world: world.clone(), incoming, outgoing, attempt, made_at };
        Self::new(world, end, own, peer, None)
    }

    fn new(world: &World, end: StreamEnd, own: Side, peer: Side, trust: Option<Trust>) -> Self {
        Self { world: world.clone(), end: Rc::new(end), own, peer, trust }
    }

    /// From now on at most so many bytes wait to be received at this end.
    pub fn set_capacity(&self, bytes: usize) {
        self.end.incoming.borrow_mut().capacity = bytes;
    }

    /// Cuts the connection off, as a router that forgets it: both ends see a reset.
    pub fn cut(&self) {
        self.end.incoming.borrow_mut().cut();
        self.end.outgoing.borrow_mut().cut();
    }

    /// As much of `bytes` as an unkind world lets through at once: at least one of them.
    fn portion(&self, bytes: usize) -> usize {
        if self.world.is_unkind() && bytes > 1 { 1 + self.world.random(bytes as u64) as usize } else { bytes }
    }

    /// Whether the peer shows what it must.
    fn check(&self) -> Result<bool, SimulatedError> {
        match (self.trust, self.peer.shows) {
            (None, _) | (Some(Trust::Plain), None) => Ok(true),
            (Some(Trust::Pinned(expected)), Some(shown)) if expected == shown => Ok(true),
            (Some(Trust::Pinned(expected)), Some(shown)) => {
                Err(SimulatedError::untrusted(Distrust::OtherCertificate { expected, shown }))
            }
            // One of the two encrypts: they do not understand each other, and the first one to notice leaves.
            (Some(Trust::Pinned(_)), None) | (Some(Trust::Plain), Some(_)) => {
                Err(SimulatedError::new(Call::ConnectStream, ErrorKind::Gone))
            }
        }
    }
}

impl ErrorType for MockStream {
    type Error = SimulatedError;
}

impl Read for MockStream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, SimulatedError> {
        self.world.fault(Call::ReceiveBytes)?;
        let mut incoming = self.end.incoming.borrow_mut();
        let (now, failed) = (self.world.now(), |kind| Err(SimulatedError::new(Call::ReceiveBytes, kind)));
        let arrived = incoming.arrived(now);
        match (arrived, incoming.cut) {
            (0, true) => return failed(ErrorKind::Gone),
            (0, false) if incoming.has_finished(now) => return Ok(0),
            (0, false) => return failed(ErrorKind::Exhausted),
            _ => {}
        }
        let taken = self.portion(buffer.len().min(arrived));
        incoming.take(buffer, taken, now);
        Ok(taken)
    }
}

impl ReadReady for MockStream {
    fn read_ready(&mut self) -> Result<bool, SimulatedError> {
        let (incoming, now) = (self.end.incoming.borrow(), self.world.now());
        Ok(incoming.arrived(now) > 0 || incoming.has_finished(now) || incoming.cut)
    }
}

impl Write for MockStream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, SimulatedError> {
        self.world.fault(Call::SendBytes)?;
        let mut outgoing = self.end.outgoing.borrow_mut();
        if outgoing.passes == Some(0) {
            // What has passed can still be received.
            (outgoing.cut, self.end.incoming.borrow_mut().cut) = (true, true);
        }
        if outgoing.closed || outgoing.cut || outgoing.finished.is_some() {
            return Err(SimulatedError::new(Call::SendBytes, ErrorKind::Gone));
        }
        let taken = bytes.len().min(outgoing.room()).min(outgoing.passes.unwrap_or(usize::MAX));
        if taken == 0 {
            return Err(SimulatedError::new(Call::SendBytes, ErrorKind::Exhausted));
        }
        let sent = &bytes[..self.portion(taken)];
        outgoing.carry(sent, &self.world);
        drop(outgoing);
        self.world.carried(self.own.address, self.peer.address, sent);
        Ok(sent.len())
    }

    fn flush(&mut self) -> Result<(), SimulatedError> {
        Ok(())
    }
}

impl WriteReady for MockStream {
    fn write_ready(&mut self) -> Result<bool, SimulatedError> {
        Ok(self.end.is_writable())
    }
}

impl ByteStream for MockStream {
    fn advance(&mut self) -> Result<bool, SimulatedError> {
        match self.end.attempt {
            Attempt::Made if !self.end.is_made() => Ok(false),
            Attempt::Made => self.check(),
            Attempt::Unanswered => Ok(false),
            Attempt::Refused => Err(SimulatedError::new(Call::ConnectStream, ErrorKind::Gone)),
        }
    }

    fn finish(&mut self) -> Result<bool, SimulatedError> {
        self.end.outgoing.borrow_mut().finish(&self.world);
        Ok(true)
    }

    fn local_address(&self) -> SocketAddr {
        self.own.address
    }

    fn peer_address(&self) -> SocketAddr {
        self.peer.address
    }

    fn peer_fingerprint(&self) -> Option<Fingerprint> {
        self.peer.shows
    }
}

impl Source for MockStream {
    fn readiness(&self) -> Rc<dyn Readiness> {
        Rc::<StreamEnd>::clone(&self.end)
    }
}
