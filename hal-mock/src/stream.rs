//! Connections that carry bytes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;

use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use greenroom_core::hal::{ByteStream, Distrust, ErrorKind, Fingerprint, Trust};

use crate::error::{Call, SimulatedError};
use crate::event_loop::{Readiness, Source};
use crate::world::World;

/// Bytes that wait for their receiver before the sender has to.
pub const STREAM_CAPACITY: usize = 256 * 1024;

/// What flows in one direction.
#[derive(Debug)]
struct Pipe {
    bytes: VecDeque<u8>,
    capacity: usize,
    /// The sender sends nothing more.
    finished: bool,
    /// The receiver receives nothing more.
    closed: bool,
    /// The connection was cut off: what is on its way is lost.
    cut: bool,
}

impl Pipe {
    fn new() -> Rc<RefCell<Self>> {
        let bytes = VecDeque::new();
        Rc::new(RefCell::new(Self { bytes, capacity: STREAM_CAPACITY, finished: false, closed: false, cut: false }))
    }

    fn cut(&mut self) {
        self.bytes.clear();
        self.cut = true;
    }

    fn room(&self) -> usize {
        self.capacity.saturating_sub(self.bytes.len())
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
    incoming: Rc<RefCell<Pipe>>,
    outgoing: Rc<RefCell<Pipe>>,
    attempt: Attempt,
}

impl Readiness for StreamEnd {
    fn is_readable(&self) -> bool {
        let incoming = self.incoming.borrow();
        self.attempt == Attempt::Made && (!incoming.bytes.is_empty() || incoming.finished)
    }

    fn is_writable(&self) -> bool {
        let outgoing = self.outgoing.borrow();
        match self.attempt {
            Attempt::Made => outgoing.room() > 0 || outgoing.closed || outgoing.cut,
            Attempt::Unanswered => false,
            Attempt::Refused => true,
        }
    }

    fn has_ended(&self) -> bool {
        let (incoming, outgoing) = (self.incoming.borrow(), self.outgoing.borrow());
        self.attempt == Attempt::Refused || incoming.finished || incoming.cut || outgoing.closed
    }
}

impl Drop for StreamEnd {
    /// As a kernel does it: what was sent can still be received, unless something was left unread here.
    fn drop(&mut self) {
        let mut incoming = self.incoming.borrow_mut();
        let mut outgoing = self.outgoing.borrow_mut();
        outgoing.finished = true;
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
        let first = StreamEnd { incoming: Rc::clone(&back), outgoing: Rc::clone(&there), attempt: Attempt::Made };
        let second = StreamEnd { incoming: there, outgoing: back, attempt: Attempt::Made };
        (Self::new(world, first, one, other, Some(trust)), Self::new(world, second, other, one, None))
    }

    /// An end without another.
    pub(crate) fn alone(world: &World, attempt: Attempt, own: Side, peer: Side) -> Self {
        let end = StreamEnd { incoming: Pipe::new(), outgoing: Pipe::new(), attempt };
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
        if incoming.cut {
            return Err(SimulatedError::new(Call::ReceiveBytes, ErrorKind::Gone));
        }
        if incoming.bytes.is_empty() {
            let nothing = SimulatedError::new(Call::ReceiveBytes, ErrorKind::Exhausted);
            return if incoming.finished { Ok(0) } else { Err(nothing) };
        }
        let taken = self.portion(buffer.len().min(incoming.bytes.len()));
        buffer.iter_mut().zip(incoming.bytes.drain(..taken)).for_each(|(place, byte)| *place = byte);
        Ok(taken)
    }
}

impl ReadReady for MockStream {
    fn read_ready(&mut self) -> Result<bool, SimulatedError> {
        let incoming = self.end.incoming.borrow();
        Ok(!incoming.bytes.is_empty() || incoming.finished || incoming.cut)
    }
}

impl Write for MockStream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, SimulatedError> {
        self.world.fault(Call::SendBytes)?;
        let mut outgoing = self.end.outgoing.borrow_mut();
        if outgoing.closed || outgoing.cut || outgoing.finished {
            return Err(SimulatedError::new(Call::SendBytes, ErrorKind::Gone));
        }
        let taken = bytes.len().min(outgoing.room());
        if taken == 0 {
            return Err(SimulatedError::new(Call::SendBytes, ErrorKind::Exhausted));
        }
        let taken = self.portion(taken);
        outgoing.bytes.extend(bytes.iter().take(taken));
        Ok(taken)
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
            Attempt::Made => self.check(),
            Attempt::Unanswered => Ok(false),
            Attempt::Refused => Err(SimulatedError::new(Call::ConnectStream, ErrorKind::Gone)),
        }
    }

    fn finish(&mut self) -> Result<bool, SimulatedError> {
        self.end.outgoing.borrow_mut().finished = true;
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
