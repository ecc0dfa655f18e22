//! What can be said of a session at once, without asking its pipeline.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use greenroom_core::limits::SOURCES_MAX;
use greenroom_core::message::playback::{SourceId, Statistics};

/// Looks how many frames wait in a ring; nothing, while its streaming thread uses it.
type Look = Box<dyn Fn() -> Option<u32> + Send>;

/// What one source has done so far. The source element and the worker write it, the control thread reads it.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) taken: AtomicU32,
    pub(super) stale: AtomicU32,
    pub(super) rendered: AtomicU32,
    pub(super) dropped: AtomicU32,
    queued: Mutex<Option<Look>>,
}

impl Tally {
    fn reset(&self) {
        for counter in [&self.taken, &self.stale, &self.rendered, &self.dropped] {
            counter.store(0, Ordering::Relaxed);
        }
        *self.look() = None;
    }

    fn look(&self) -> MutexGuard<'_, Option<Look>> {
        self.queued.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says how to look how many frames wait.
    pub(super) fn count_queued_with(&self, look: Look) {
        *self.look() = Some(look);
    }

    fn read(&self) -> Statistics {
        let number = |counter: &AtomicU32| counter.load(Ordering::Relaxed);
        Statistics {
            frames_taken: number(&self.taken),
            frames_stale: number(&self.stale),
            frames_rendered: number(&self.rendered),
            frames_dropped: number(&self.dropped),
            // A streaming thread that uses its ring has just found it empty.
            frames_queued: self.look().as_ref().and_then(|look| look()).unwrap_or(0),
        }
    }
}

/// What the worker of a session knew last.
#[derive(Default)]
pub(super) struct Status {
    position_ns: Mutex<Option<u64>>,
    sources: [Arc<Tally>; SOURCES_MAX],
}

impl Status {
    fn position(&self) -> MutexGuard<'_, Option<u64>> {
        self.position_ns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn position_ns(&self) -> Option<u64> {
        *self.position()
    }

    pub(super) fn set_position_ns(&self, position_ns: Option<u64>) {
        *self.position() = position_ns;
    }

    /// The tally of a new source, from 0; none if sessions have no such source.
    pub(super) fn start_tally(&self, source: SourceId) -> Option<Arc<Tally>> {
        let tally = self.sources.get(usize::from(source.0))?;
        tally.reset();
        Some(Arc::clone(tally))
    }

    pub(super) fn statistics(&self, source: SourceId) -> Statistics {
        self.sources.get(usize::from(source.0)).map(|tally| tally.read()).unwrap_or_default()
    }
}
