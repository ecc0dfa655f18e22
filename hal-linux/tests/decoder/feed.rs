//! A frame source in memory, and the end of it that a test puts frames into.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use greenroom_core::hal::Doorbell;
use greenroom_core::ring::{FrameHeader, FrameSource, RecordKind, RingError};
use greenroom_hal_linux::memory::EventFd;

/// One frame of a clip.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) presentation_ns: Option<u64>,
    pub(crate) decode_ns: Option<u64>,
    pub(crate) duration_ns: Option<u64>,
    pub(crate) is_key: bool,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The same, so much later.
    pub(crate) fn later(&self, by_ns: u64) -> Self {
        let later = |time: Option<u64>| time.map(|time| time + by_ns);
        Self { presentation_ns: later(self.presentation_ns), decode_ns: later(self.decode_ns), ..self.clone() }
    }
}

enum Entry {
    Record(FrameHeader, Vec<u8>),
    Broken(RingError),
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<Entry>,
    is_dropped: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    bell: EventFd,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap()
    }
}

/// The producer's end.
#[derive(Clone)]
pub(crate) struct Feed(Arc<Shared>);

impl Feed {
    pub(crate) fn new() -> (Self, MemorySource) {
        let shared = Arc::new(Shared { queue: Mutex::default(), bell: EventFd::new().unwrap() });
        (Self(Arc::clone(&shared)), MemorySource { shared, epoch: 0, stale: 0 })
    }

    fn put(&self, entry: Entry) {
        self.0.queue().entries.push_back(entry);
        self.0.bell.ring().unwrap();
    }

    pub(crate) fn frame(&self, epoch: u32, frame: &Frame) {
        let header = FrameHeader {
            kind: RecordKind::Frame,
            epoch,
            presentation_ns: frame.presentation_ns,
            decode_ns: frame.decode_ns,
            duration_ns: frame.duration_ns,
            is_key: frame.is_key,
            bytes: u32::try_from(frame.payload.len()).unwrap(),
        };
        self.put(Entry::Record(header, frame.payload.clone()));
    }

    pub(crate) fn frames(&self, epoch: u32, frames: &[Frame]) {
        frames.iter().for_each(|frame| self.frame(epoch, frame));
    }

    fn mark(&self, kind: RecordKind, epoch: u32, at: Option<u64>, payload: Vec<u8>) {
        let header = FrameHeader {
            kind,
            epoch,
            presentation_ns: at,
            decode_ns: None,
            duration_ns: None,
            is_key: false,
            bytes: u32::try_from(payload.len()).unwrap(),
        };
        self.put(Entry::Record(header, payload));
    }

    pub(crate) fn end(&self, epoch: u32) {
        self.mark(RecordKind::EndOfStream, epoch, None, Vec::new());
    }

    pub(crate) fn segment(&self, epoch: u32, start_ns: u64) {
        self.mark(RecordKind::Segment, epoch, Some(start_ns), Vec::new());
    }

    pub(crate) fn codec_data(&self, epoch: u32, codec_data: &[u8]) {
        self.mark(RecordKind::CodecData, epoch, None, codec_data.to_vec());
    }

    pub(crate) fn break_ring(&self) {
        self.put(Entry::Broken(RingError::CursorBeyondCapacity));
    }

    /// Whether the decoder has let go of its end.
    pub(crate) fn is_dropped(&self) -> bool {
        self.0.queue().is_dropped
    }
}

/// The decoder's end.
pub(crate) struct MemorySource {
    shared: Arc<Shared>,
    epoch: u32,
    stale: u32,
}

impl Drop for MemorySource {
    fn drop(&mut self) {
        self.shared.queue().is_dropped = true;
    }
}

impl FrameSource for MemorySource {
    type Bell = EventFd;

    fn next(&mut self) -> Result<Option<FrameHeader>, RingError> {
        let mut queue = self.shared.queue();
        loop {
            match queue.entries.front() {
                None => return Ok(None),
                Some(Entry::Broken(error)) => return Err(*error),
                Some(Entry::Record(header, _)) if header.epoch < self.epoch => {
                    self.stale += 1;
                    queue.entries.pop_front();
                }
                Some(Entry::Record(header, _)) if header.epoch > self.epoch => return Ok(None),
                Some(Entry::Record(header, _)) => return Ok(Some(*header)),
            }
        }
    }

    fn copy_payload(&mut self, into: &mut [u8]) -> Result<(), RingError> {
        if let Some(Entry::Record(_, payload)) = self.shared.queue().entries.front() {
            into.copy_from_slice(&payload[..into.len()]);
        }
        Ok(())
    }

    fn release(&mut self) {
        self.shared.queue().entries.pop_front();
    }

    fn prepare_to_sleep(&mut self) -> Result<bool, RingError> {
        Ok(self.next()?.is_none())
    }

    fn bell(&self) -> &EventFd {
        &self.shared.bell
    }

    fn set_epoch(&mut self, epoch: u32) {
        self.epoch = epoch;
    }

    fn stale_records(&self) -> u32 {
        self.stale
    }

    fn waiting_records(&self) -> u32 {
        u32::try_from(self.shared.queue().entries.len()).unwrap_or(u32::MAX)
    }
}
