//! One stream: frames into its ring.

use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use greenroom_core::hal::Doorbell;
use greenroom_core::message::playback::SourceId;
use greenroom_core::ring::{Producer, PushError as RingPushError, Pushed, Record};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::deadline::Deadline;
use super::error::{PushError, SessionEnd};
use crate::error::LinuxError;
use crate::memory::{EventFd, OwnRegion, PeerRegion};

pub(super) type RingProducer = Producer<OwnRegion, PeerRegion>;

/// One coded frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame<'a> {
    /// When it is presented, from the start of the media.
    pub presentation: Option<Duration>,
    /// When it is decoded, from the start of the media; where it is not known, in the order of pushing.
    pub decode: Option<Duration>,
    /// How long it lasts.
    pub duration: Option<Duration>,
    /// Whether decoding can start with it.
    pub is_key: bool,
    /// Its bytes.
    pub data: &'a [u8],
}

impl<'a> Frame<'a> {
    fn record(&self) -> Record<'a> {
        Record {
            presentation_ns: self.presentation.map(nanoseconds),
            decode_ns: self.decode.map(nanoseconds),
            duration_ns: self.duration.map(nanoseconds),
            is_key: self.is_key,
            ..Record::frame(self.data)
        }
    }
}

/// Nanoseconds of a time in a media: 584 years are enough.
pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// One stream of a session. It is sent to the thread that pushes its frames.
///
/// Frames belong to the position that playback is at when they are pushed: after [`set_position`] or [`flush`] the
/// next push, or the one that waits, fails once with [`PushError::Flushed`]; what is pushed then belongs to
/// the new position.
///
/// [`set_position`]: super::Session::set_position
/// [`flush`]: super::Session::flush
#[derive(Debug)]
pub struct Source {
    id: SourceId,
    gate: Arc<Gate>,
    data: EventFd,
    space: EventFd,
}

impl Source {
    pub(super) fn new(id: SourceId, gate: Arc<Gate>, data: EventFd, space: EventFd) -> Self {
        Self { id, gate, data, space }
    }

    /// Its number in its session.
    pub fn id(&self) -> SourceId {
        self.id
    }

    /// Sends a frame; waits up to `timeout` while the ring is full.
    pub fn push(&mut self, frame: &Frame<'_>, timeout: Duration) -> Result<(), PushError> {
        self.send(&frame.record(), timeout)
    }

    /// Sends a frame if there is room now.
    pub fn try_push(&mut self, frame: &Frame<'_>) -> Result<(), PushError> {
        self.send(&frame.record(), Duration::ZERO)
    }

    /// Says that no more frames come, unless there is a seek or a flush; waits up to `timeout` while the ring is full.
    pub fn end_of_stream(&mut self, timeout: Duration) -> Result<(), PushError> {
        self.send(&Record::end_of_stream(), timeout)
    }

    /// Sends the codec's configuration that holds for the frames from here on; waits up to `timeout` while the ring is
    /// full.
    pub fn set_codec_data(&mut self, codec_data: &[u8], timeout: Duration) -> Result<(), PushError> {
        self.send(&Record::codec_data(codec_data), timeout)
    }

    fn send(&mut self, record: &Record<'_>, timeout: Duration) -> Result<(), PushError> {
        let deadline = Deadline::after(timeout);
        loop {
            match self.gate.put(record)? {
                Put::Done(Pushed::Awake) => return Ok(()),
                Put::Done(Pushed::Asleep) => return self.data.ring().map_err(PushError::Bell),
                Put::Again => {}
                Put::Wait => self.wait(deadline)?,
            }
        }
    }

    /// Waits until there may be room, the gate has changed, or the deadline has come.
    fn wait(&self, deadline: Deadline) -> Result<(), PushError> {
        let left = deadline.left().ok_or(PushError::Full)?;
        wait_for_either(&self.space, &self.gate.changed, left).map_err(PushError::Bell)?;
        // Forgotten before the gate is looked at again: what changes after that rings again.
        self.space.clear().and_then(|()| self.gate.changed.clear()).map_err(PushError::Bell)
    }
}

pub(super) fn wait_for_either(one: &EventFd, other: &EventFd, timeout: Duration) -> Result<(), LinuxError> {
    let readable = |bell| PollFd::from_borrowed_fd(bell, PollFlags::IN);
    let mut bells = [readable(one.as_fd()), readable(other.as_fd())];
    let timeout = Timespec::try_from(timeout).ok();
    match poll(&mut bells, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(LinuxError::new("wait for space in a ring", errno)),
    }
}

/// What came of putting a record into the ring.
enum Put {
    Done(Pushed),
    /// There is room after all.
    Again,
    /// Not before the gate changes or the space bell rings.
    Wait,
}

/// What stands between a pushing thread and the ring: the session opens and shuts it.
#[derive(Debug)]
pub(super) struct Gate {
    flow: Mutex<Flow>,
    changed: EventFd,
}

#[derive(Debug)]
struct Flow {
    producer: Result<RingProducer, SessionEnd>,
    /// A flush is on its way to the session server: until it has answered, nobody knows which epoch holds.
    is_held: bool,
    /// What was pushed so far is old, and the pushing thread has not been told so yet.
    is_flushed: bool,
}

impl Gate {
    pub(super) fn new(producer: RingProducer) -> Result<Self, LinuxError> {
        let flow = Flow { producer: Ok(producer), is_held: false, is_flushed: false };
        Ok(Self { flow: Mutex::new(flow), changed: EventFd::new()? })
    }

    /// A flush begins: nothing is pushed until it has ended.
    pub(super) fn hold(&self) {
        let mut flow = self.lock();
        flow.is_held = true;
        self.announce(flow);
    }

    /// A flush has ended; with an epoch where it was done, or may have been: then what was pushed before it is old.
    pub(super) fn let_go(&self, epoch: Option<u32>) {
        let mut flow = self.lock();
        flow.is_held = false;
        flow.is_flushed |= epoch.is_some();
        if let (Ok(producer), Some(epoch)) = (&mut flow.producer, epoch) {
            producer.set_epoch(epoch);
        }
        self.announce(flow);
    }

    /// The session has ended. The mapping goes with the producer; a frame that is being written is written first.
    pub(super) fn shut(&self, why: SessionEnd) {
        let mut flow = self.lock();
        if flow.producer.is_ok() {
            flow.producer = Err(why);
        }
        self.announce(flow);
    }

    fn put(&self, record: &Record<'_>) -> Result<Put, PushError> {
        let mut flow = self.lock();
        if std::mem::take(&mut flow.is_flushed) && flow.producer.is_ok() {
            return Err(PushError::Flushed);
        }
        let is_held = flow.is_held;
        let producer = flow.producer.as_mut().map_err(|why| PushError::Ended(*why))?;
        if is_held {
            return Ok(Put::Wait);
        }
        match producer.push(record) {
            Ok(pushed) => Ok(Put::Done(pushed)),
            Err(RingPushError::Full) => await_space(producer, record),
            Err(RingPushError::TooLarge { bytes, max }) => Err(PushError::TooLarge { bytes, max }),
            Err(RingPushError::Corrupt(error)) => Err(PushError::Corrupt(error)),
        }
    }

    fn announce(&self, flow: MutexGuard<'_, Flow>) {
        drop(flow);
        // This bell is ours alone, so its count is never at its end.
        let _ = self.changed.ring();
    }

    fn lock(&self) -> MutexGuard<'_, Flow> {
        self.flow.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn await_space(producer: &mut RingProducer, record: &Record<'_>) -> Result<Put, PushError> {
    // A payload that does not fit 32 bits was too large before.
    let bytes = u32::try_from(record.payload.len()).unwrap_or(u32::MAX);
    match producer.prepare_to_wait(bytes) {
        Ok(true) => Ok(Put::Wait),
        Ok(false) => Ok(Put::Again),
        Err(error) => Err(PushError::Corrupt(error)),
    }
}
