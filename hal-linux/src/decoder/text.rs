//! Texts: read ahead by a thread for each source, told by the session's worker when playback is where they begin.
//!
//! They are no part of the pipeline. Playback neither waits for a text, which may be minutes away, nor for the end of its
//! source; and a text that is not due yet is due at its new time at once when playback moves or its rate changes.
//!
//! ```text
//! reader:  next -> copy -> release -> [texts that wait, a few] -- worker: is it due? --> events
//!          nothing there: poll(bell, wake)
//! worker:  interrupt + wake -> [reader rests] -> new epoch, nothing waits -> reader goes on
//! ```

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use greenroom_core::limits::TEXT_BYTES_MAX;
use greenroom_core::message::playback::{PlaybackError, SourceId};
use greenroom_core::ring::{FrameHeader, RecordKind, RingError};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::command::Frames;
use super::inbox::Inbox;
use super::status::Tally;
use super::wake::Wake;

/// Texts of one source that are read before they are due: more than begin at the same moment.
const AHEAD_MAX: usize = 16;

/// One text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caption {
    pub(super) source: SourceId,
    pub(super) start_ns: u64,
    pub(super) duration_ns: Option<u64>,
    pub(super) body: String,
}

impl Caption {
    fn is_over_at(&self, position_ns: u64) -> bool {
        self.duration_ns.is_some_and(|duration_ns| self.start_ns.saturating_add(duration_ns) <= position_ns)
    }
}

/// What the texts of a source have come to when playback is at some place.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// To be shown now, in order.
    pub(super) captions: Vec<Caption>,
    /// Texts that could not be read: too long, or no UTF-8.
    pub(super) missed: u32,
    /// Where the next one begins, if one is known.
    pub(super) next_ns: Option<u64>,
}

#[derive(Debug, Default)]
struct Desk {
    captions: VecDeque<Caption>,
    missed: u32,
    /// The worker wants the reader to rest.
    is_interrupted: bool,
    is_closed: bool,
}

impl Desk {
    fn must_rest(&self) -> bool {
        self.is_interrupted || self.is_closed
    }

    /// Takes what is due; what is over is dropped unseen.
    fn due_at(&mut self, position_ns: u64) -> (Due, u32) {
        let mut due = Due { missed: std::mem::take(&mut self.missed), ..Due::default() };
        let mut over = 0;
        while let Some(next) = self.captions.front()
            && next.start_ns <= position_ns
            && let Some(caption) = self.captions.pop_front()
        {
            if caption.is_over_at(position_ns) {
                over += 1;
            } else {
                due.captions.push(caption);
            }
        }
        due.next_ns = self.captions.front().map(|caption| caption.start_ns);
        (due, over)
    }
}

/// Why the reader stops reading.
enum Trouble {
    Ring,
    Bell,
}

impl From<RingError> for Trouble {
    fn from(_: RingError) -> Self {
        Self::Ring
    }
}

impl From<Errno> for Trouble {
    fn from(_: Errno) -> Self {
        Self::Bell
    }
}

struct Shared {
    source: SourceId,
    /// The reader has it, but while it rests.
    frames: Mutex<Box<dyn Frames>>,
    desk: Mutex<Desk>,
    /// The reader may go on.
    resumed: Condvar,
    wake: Wake,
    tally: Arc<Tally>,
    inbox: Arc<Inbox>,
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn frames(&self) -> MutexGuard<'_, Box<dyn Frames>> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the reader may read. False: never again.
    fn may_read(&self) -> bool {
        let resumed = self.resumed.wait_while(self.desk(), |desk| desk.is_interrupted && !desk.is_closed);
        !resumed.unwrap_or_else(PoisonError::into_inner).is_closed
    }

    /// What the reader does until its source is closed.
    fn read_on(&self) {
        while self.may_read() {
            match self.read(&mut **self.frames()) {
                Ok(()) => {}
                Err(trouble) => {
                    self.inbox.fail(match trouble {
                        Trouble::Ring => PlaybackError::RingCorrupt,
                        Trouble::Bell => PlaybackError::Memory,
                    });
                    self.desk().is_interrupted = true;
                }
            }
        }
    }

    /// Reads until it must rest.
    fn read(&self, frames: &mut dyn Frames) -> Result<(), Trouble> {
        loop {
            let (must_rest, is_full) = {
                let desk = self.desk();
                (desk.must_rest(), desk.captions.len() >= AHEAD_MAX)
            };
            if must_rest {
                return Ok(());
            }
            if is_full {
                self.sleep(None)?;
                continue;
            }
            let next = frames.next();
            self.tally.stale.store(frames.stale_records(), Ordering::Relaxed);
            match next? {
                Some(header) => self.take(frames, &header)?,
                None if frames.prepare_to_sleep()? => self.sleep(Some(frames))?,
                None => {}
            }
        }
    }

    /// Blocks until the worker wants something, or the bell of these frames rings.
    fn sleep(&self, frames: Option<&dyn Frames>) -> Result<(), Trouble> {
        let bell = frames.map(|frames| frames.bell());
        let wake = PollFd::new(&self.wake, PollFlags::IN);
        let mut fds: Vec<PollFd<'_>> =
            [wake].into_iter().chain(bell.iter().map(|bell| PollFd::new(bell, PollFlags::IN))).collect();
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let has_rung = fds.get(1).is_some_and(|bell| !bell.revents().is_empty());
        self.wake.clear();
        match frames.filter(|_| has_rung) {
            Some(frames) if !frames.clear_bell() => Err(Trouble::Bell),
            _ => Ok(()),
        }
    }

    fn take(&self, frames: &mut dyn Frames, header: &FrameHeader) -> Result<(), Trouble> {
        match header.kind {
            RecordKind::Frame => self.take_text(frames, header),
            // A text says itself when it begins, and nothing waits for the last one.
            RecordKind::Segment | RecordKind::CodecData | RecordKind::EndOfStream => {
                frames.release();
                Ok(())
            }
        }
    }

    fn take_text(&self, frames: &mut dyn Frames, header: &FrameHeader) -> Result<(), Trouble> {
        self.tally.taken.fetch_add(1, Ordering::Relaxed);
        let body = read_body(frames, header)?;
        frames.release();
        let mut desk = self.desk();
        match body {
            Some(body) => desk.captions.push_back(Caption {
                source: self.source,
                start_ns: header.presentation_ns.unwrap_or_default(),
                duration_ns: header.duration_ns,
                body,
            }),
            None => {
                desk.missed = desk.missed.saturating_add(1);
                self.tally.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
        drop(desk);
        self.inbox.text_came();
        Ok(())
    }
}

/// What a record says; nothing, where that is too long or no UTF-8.
fn read_body(frames: &mut dyn Frames, header: &FrameHeader) -> Result<Option<String>, RingError> {
    let bytes = header.bytes as usize;
    if bytes > TEXT_BYTES_MAX {
        return Ok(None);
    }
    let mut body = vec![0; bytes];
    frames.copy_payload(&mut body)?;
    Ok(String::from_utf8(body).ok())
}

/// A source of texts. Dropping it ends its reader and lets go of its frames.
pub(super) struct TextSource {
    shared: Arc<Shared>,
    reader: Option<JoinHandle<()>>,
}

impl TextSource {
    pub(super) fn start(
        source: SourceId,
        frames: Box<dyn Frames>,
        tally: Arc<Tally>,
        inbox: Arc<Inbox>,
    ) -> Result<Self, PlaybackError> {
        let wake = Wake::new().map_err(|_| PlaybackError::Memory)?;
        let (frames, desk, resumed) = (Mutex::new(frames), Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { source, frames, desk, resumed, wake, tally, inbox });
        let reads = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("texts".into());
        let reader = thread.spawn(move || reads.read_on()).map_err(|_| PlaybackError::Memory)?;
        Ok(Self { shared, reader: Some(reader) })
    }

    pub(super) fn source(&self) -> SourceId {
        self.shared.source
    }

    /// Forgets what was read, and goes on with the texts of `epoch`.
    pub(super) fn renew(&self, epoch: u32) {
        self.shared.desk().is_interrupted = true;
        self.shared.wake.set();
        // The reader has rested once we have them.
        let mut frames = self.shared.frames();
        frames.set_epoch(epoch);
        *self.shared.desk() = Desk::default();
        drop(frames);
        self.shared.resumed.notify_one();
    }

    /// Takes what is to be told when playback is here. Those that `is_muted` are taken and not told.
    pub(super) fn due_at(&self, position_ns: u64, is_muted: bool) -> Due {
        let (mut due, over) = self.shared.desk().due_at(position_ns);
        if !due.captions.is_empty() || over > 0 {
            // There is room again.
            self.shared.wake.set();
        }
        self.shared.tally.dropped.fetch_add(over, Ordering::Relaxed);
        if is_muted {
            due.captions.clear();
        }
        due
    }

    /// One of them was told: whoever sees it counted can read it.
    pub(super) fn count_told(&self) {
        self.shared.tally.rendered.fetch_add(1, Ordering::Release);
    }
}

impl Drop for TextSource {
    fn drop(&mut self) {
        self.shared.desk().is_closed = true;
        self.shared.wake.set();
        self.shared.resumed.notify_one();
        if self.reader.take().is_some_and(|reader| reader.join().is_err()) {
            tracing::error!("a reader of texts panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caption(start_ns: u64, duration_ns: Option<u64>) -> Caption {
        Caption { source: SourceId(2), start_ns, duration_ns, body: start_ns.to_string() }
    }

    #[test]
    fn a_text_is_due_when_playback_is_where_it_begins_and_not_before() {
        let mut desk = Desk { captions: [caption(5, None), caption(9, None)].into(), ..Desk::default() };
        assert_eq!(desk.due_at(4), (Due { next_ns: Some(5), ..Due::default() }, 0));
        let due = Due { captions: vec![caption(5, None)], missed: 0, next_ns: Some(9) };
        assert_eq!(desk.due_at(5), (due, 0));
        let due = Due { captions: vec![caption(9, None)], missed: 0, next_ns: None };
        assert_eq!(desk.due_at(100), (due, 0));
    }

    #[test]
    fn a_text_that_is_over_is_not_shown_and_one_that_lasts_is() {
        let captions = [caption(1, Some(3)), caption(2, Some(30))].into();
        let mut desk = Desk { captions, missed: 2, ..Desk::default() };
        let due = Due { captions: vec![caption(2, Some(30))], missed: 2, next_ns: None };
        assert_eq!(desk.due_at(4), (due, 1));
        assert_eq!(desk.due_at(4), (Due::default(), 0), "what was missed is told once");
    }
}
