//! What can be said of a session at once, without asking its pipeline.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
    pcm: Mutex<PcmProgress>,
}

/// How far a stream of PCM has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PcmProgress {
    /// Frames that were taken from the ring.
    pub(super) frames: u64,
    /// Where the last of them ends, in nanoseconds of the stream.
    pub(super) end_ns: u64,
    pub(super) rate_hz: u32,
}

impl PcmProgress {
    /// Frames that are heard when playback is here.
    fn heard_at(&self, position_ns: u64) -> u64 {
        let ahead_ns = u128::from(self.end_ns.saturating_sub(position_ns));
        // Times are cut to nanoseconds, so a frame that has not begun can seem to have.
        let ahead = (ahead_ns * u128::from(self.rate_hz)).div_ceil(1_000_000_000);
        self.frames.saturating_sub(u64::try_from(ahead).unwrap_or(u64::MAX))
    }
}

impl Tally {
    fn reset(&self) {
        for counter in [&self.taken, &self.stale, &self.rendered, &self.dropped] {
            counter.store(0, Ordering::Relaxed);
        }
        *self.look() = None;
        self.set_pcm(PcmProgress::default());
    }

    fn look(&self) -> MutexGuard<'_, Option<Look>> {
        self.queued.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says how to look how many frames wait.
    pub(super) fn count_queued_with(&self, look: Look) {
        *self.look() = Some(look);
    }

    pub(super) fn set_pcm(&self, progress: PcmProgress) {
        *self.pcm.lock().unwrap_or_else(PoisonError::into_inner) = progress;
    }

    fn pcm(&self) -> PcmProgress {
        *self.pcm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> Statistics {
        // Whoever sees something counted sees what was counted.
        let number = |counter: &AtomicU32| counter.load(Ordering::Acquire);
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

/// Where playback was when the worker looked.
#[derive(Clone, Copy, Debug)]
struct Position {
    at_ns: u64,
    looked: Instant,
}

/// What the worker of a session knew last.
#[derive(Default)]
pub(super) struct Status {
    position: Mutex<Option<Position>>,
    /// Whether it plays, so that the position moves on by itself.
    moves: AtomicBool,
    sources: [Arc<Tally>; SOURCES_MAX],
}

impl Status {
    fn position(&self) -> MutexGuard<'_, Option<Position>> {
        self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn position_ns(&self) -> Option<u64> {
        self.position().map(|position| position.at_ns)
    }

    pub(super) fn set_position_ns(&self, position_ns: Option<u64>) {
        *self.position() = position_ns.map(|at_ns| Position { at_ns, looked: Instant::now() });
    }

    pub(super) fn set_moves(&self, moves: bool) {
        self.moves.store(moves, Ordering::Relaxed);
    }

    /// PCM frames of the first source that were heard by now.
    pub(super) fn frames_heard(&self) -> u64 {
        let Some(Position { at_ns, looked }) = *self.position() else { return 0 };
        let since = if self.moves.load(Ordering::Relaxed) { looked.elapsed() } else { Duration::ZERO };
        let now_ns = at_ns.saturating_add(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
        self.sources.first().map_or(0, |tally| tally.pcm().heard_at(now_ns))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_that_wait_in_the_sink_were_not_heard() {
        let progress = PcmProgress { frames: 48_000, end_ns: 1_000_000_000, rate_hz: 48_000 };
        assert_eq!(progress.heard_at(0), 0);
        assert_eq!(progress.heard_at(750_000_000), 36_000);
        let cut = PcmProgress { frames: 16_384, end_ns: 341_333_333, rate_hz: 48_000 };
        assert_eq!(cut.heard_at(0), 0);
        assert_eq!(progress.heard_at(1_000_000_000), 48_000);
        assert_eq!(progress.heard_at(u64::MAX), 48_000, "it has run dry");
        let resumed = PcmProgress { end_ns: 9_000_000_000, ..progress };
        assert_eq!(resumed.heard_at(8_500_000_000), 24_000, "there was a gap before");
    }

    #[test]
    fn nothing_was_heard_before_there_is_a_position() {
        let status = Status::default();
        status.start_tally(SourceId(0)).unwrap().set_pcm(PcmProgress { frames: 9, end_ns: 1, rate_hz: 8000 });
        assert_eq!(status.frames_heard(), 0);
        status.set_position_ns(Some(1));
        assert_eq!(status.frames_heard(), 9);
    }
}
