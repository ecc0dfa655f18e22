//! Connections with bounded queues.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

use greenroom_core::hal::{Descriptors, ErrorKind, ErrorType, Received, Sent, Socket};
use greenroom_core::limits::DESCRIPTORS_MAX;
use greenroom_core::time::Instant;

use crate::descriptor::Descriptor;
use crate::error::{Call, SimulatedError};
use crate::event_loop::{Readiness, Source};
use crate::meddling::Meddling;
use crate::party::{Party, Said};
use crate::world::World;

/// Messages that wait for their receiver before the sender has to.
pub const CAPACITY: usize = 16;

#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) bytes: Vec<u8>,
    pub(crate) descriptors: Vec<Descriptor>,
    from: Party,
    sent_at: Instant,
}

/// What flows in one direction.
#[derive(Debug)]
struct Queue {
    messages: VecDeque<Message>,
    capacity: usize,
    closed: bool,
    /// Who receives.
    to: Party,
    connection: u64,
}

/// A queue that may have gone.
#[derive(Clone, Debug)]
pub(crate) struct QueueHandle(Weak<RefCell<Queue>>);

impl QueueHandle {
    pub(crate) fn unclog(&self) {
        if let Some(queue) = self.0.upgrade() {
            queue.borrow_mut().capacity = CAPACITY;
        }
    }

    pub(crate) fn push(&self, message: Message) {
        if let Some(queue) = self.0.upgrade().filter(|queue| !queue.borrow().closed) {
            queue.borrow_mut().messages.push_back(message);
        }
    }
}

impl Queue {
    fn new(connection: u64) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            messages: VecDeque::new(),
            capacity: CAPACITY,
            closed: false,
            to: Party::Nobody,
            connection,
        }))
    }

    fn has_room(&self) -> bool {
        self.messages.len() < self.capacity
    }
}

/// The two directions, as one end sees them.
#[derive(Debug)]
pub(crate) struct End {
    incoming: Rc<RefCell<Queue>>,
    outgoing: Rc<RefCell<Queue>>,
}

impl End {
    /// What was sent can still be received; what was not received is lost, with its descriptors.
    pub(crate) fn close(&self) {
        self.outgoing.borrow_mut().closed = true;
        let mut incoming = self.incoming.borrow_mut();
        incoming.closed = true;
        incoming.messages.clear();
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.close();
    }
}

impl Readiness for End {
    fn is_readable(&self) -> bool {
        !self.incoming.borrow().messages.is_empty()
    }

    fn is_writable(&self) -> bool {
        let outgoing = self.outgoing.borrow();
        outgoing.closed || outgoing.has_room()
    }

    fn has_ended(&self) -> bool {
        self.incoming.borrow().closed
    }

    fn is_ready(&self, reads: bool, writes: bool) -> bool {
        let incoming = self.incoming.borrow();
        incoming.closed || (reads && !incoming.messages.is_empty()) || (writes && self.is_writable())
    }
}

/// One end of a connection.
#[derive(Debug)]
pub struct SeqPacket {
    world: World,
    end: Rc<End>,
}

impl SeqPacket {
    /// Two ends of a new connection.
    pub fn pair(world: &World) -> (Self, Self) {
        let connection = world.next_connection();
        let (there, back) = (Queue::new(connection), Queue::new(connection));
        let one = End { incoming: Rc::clone(&back), outgoing: Rc::clone(&there) };
        let other = End { incoming: there, outgoing: back };
        (Self::of_end(world, Rc::new(one)), Self::of_end(world, Rc::new(other)))
    }

    pub(crate) fn of_end(world: &World, end: Rc<End>) -> Self {
        Self { world: world.clone(), end }
    }

    /// From now on at most so many messages wait to be received at this end; with 0 every message for it blocks.
    pub fn set_capacity(&self, messages: usize) {
        self.end.incoming.borrow_mut().capacity = messages;
    }

    /// From now on this end is this party's.
    pub fn belongs_to(&self, party: Party) {
        self.end.incoming.borrow_mut().to = party;
    }

    /// Whether the other end was closed. What it said before may still wait.
    pub fn has_ended(&self) -> bool {
        self.end.incoming.borrow().closed
    }

    /// Messages that wait to be received at this end.
    pub fn waiting(&self) -> usize {
        self.end.incoming.borrow().messages.len()
    }

    /// Sends what a peer that keeps no rules might: an empty message, or too many descriptors. It never blocks.
    pub fn send_anything(&mut self, message: &[u8], descriptors: &[&Descriptor]) {
        let message = self.message(message, descriptors);
        self.push(message);
    }

    fn message(&self, bytes: &[u8], descriptors: &[&Descriptor]) -> Message {
        Message {
            bytes: bytes.to_vec(),
            descriptors: descriptors.iter().map(|descriptor| descriptor.duplicate()).collect(),
            from: self.world.acting(),
            sent_at: self.world.now(),
        }
    }

    fn push(&self, message: Message) {
        let mut outgoing = self.end.outgoing.borrow_mut();
        if !outgoing.closed {
            outgoing.messages.push_back(message);
        }
    }

    /// Does what the world has planned for a message.
    fn meddle(&self, meddling: Meddling, message: &mut Message) {
        let queue = QueueHandle(Rc::downgrade(&self.end.outgoing));
        meddling.change(message);
        if meddling == Meddling::Repeat {
            let descriptors = message.descriptors.iter().map(Descriptor::duplicate).collect();
            let again = Message { bytes: message.bytes.clone(), descriptors, ..*message };
            self.world.meddler().kept.push((queue, again));
        }
    }

    fn clog(&self) {
        self.end.outgoing.borrow_mut().capacity = 0;
        self.world.meddler().clogged.push(QueueHandle(Rc::downgrade(&self.end.outgoing)));
    }

    pub(crate) fn end(&self) -> Rc<End> {
        Rc::clone(&self.end)
    }
}

impl ErrorType for SeqPacket {
    type Error = SimulatedError;
}

impl Socket for SeqPacket {
    type Descriptor = Descriptor;

    fn send(&mut self, message: &[u8], descriptors: &[&Descriptor]) -> Result<Sent, SimulatedError> {
        self.world.fault(Call::Send)?;
        if message.is_empty() || descriptors.len() > DESCRIPTORS_MAX {
            return Err(SimulatedError::new(Call::Send, ErrorKind::Unsupported));
        }
        let (closed, has_room) = {
            let outgoing = self.end.outgoing.borrow();
            (outgoing.closed, outgoing.has_room())
        };
        if closed {
            return Err(SimulatedError::new(Call::Send, ErrorKind::Gone));
        }
        if !has_room {
            return Ok(Sent::WouldBlock);
        }
        let meddling = self.world.meddling(descriptors.len());
        if meddling == Some(Meddling::Clog) {
            self.clog();
            return Ok(Sent::WouldBlock);
        }
        let mut sent = self.message(message, descriptors);
        let (from, sent_at) = (sent.from, sent.sent_at);
        let (to, connection) = {
            let outgoing = self.end.outgoing.borrow();
            (outgoing.to, outgoing.connection)
        };
        if let Some(meddling) = meddling {
            self.meddle(meddling, &mut sent);
        }
        self.push(sent);
        self.world.sent(&Said { from, to, connection, sent_at, bytes: message, descriptors: descriptors.len() });
        Ok(Sent::Whole)
    }

    fn receive(
        &mut self,
        buffer: &mut [u8],
        descriptors: &mut Descriptors<Descriptor>,
    ) -> Result<Received, SimulatedError> {
        descriptors.clear();
        self.world.fault(Call::Receive)?;
        let mut incoming = self.end.incoming.borrow_mut();
        let Some(message) = incoming.messages.pop_front() else {
            return Ok(if incoming.closed { Received::Closed } else { Received::WouldBlock });
        };
        let connection = incoming.connection;
        drop(incoming);
        self.world.received(&Said {
            from: message.from,
            to: self.world.acting(),
            connection,
            sent_at: message.sent_at,
            bytes: &message.bytes,
            descriptors: message.descriptors.len(),
        });
        let bytes = message.bytes.len();
        let Some(filled) = buffer.get_mut(..bytes).filter(|filled| !filled.is_empty()) else {
            return Ok(Received::Unusable);
        };
        if message.descriptors.len() > DESCRIPTORS_MAX {
            return Ok(Received::Unusable);
        }
        filled.copy_from_slice(&message.bytes);
        descriptors.extend(message.descriptors);
        Ok(Received::Message { bytes })
    }
}

impl Source for SeqPacket {
    fn readiness(&self) -> Rc<dyn Readiness> {
        self.end()
    }
}
