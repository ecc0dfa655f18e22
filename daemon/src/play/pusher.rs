//! One thread a stream: from the file into the source's ring.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use greenroom_core::message::playback::SourceId;
use greenroom_hal_linux::client::{PushError, Source};

use super::Happening;
use super::media::{Pulled, Stream};

/// How long a thread stays in one wait before it looks at the turnstile again.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// What all pushing threads of a session pass between two steps. A seek closes it, waits until all have stopped in front
/// of it, moves the file, and opens it: so a frame from before the seek is never pushed behind it.
#[derive(Debug, Default)]
pub(super) struct Turnstile {
    state: Mutex<TurnstileState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct TurnstileState {
    is_closed: bool,
    is_over: bool,
    /// How often the file was moved.
    moves: u32,
    threads: usize,
    stopped: usize,
}

/// The threads are to end.
struct Over;

impl Turnstile {
    /// Closes it and waits until every thread has stopped; false when one has not in time.
    pub(super) fn close(&self, timeout: Duration) -> bool {
        let mut state = self.lock();
        state.is_closed = true;
        let waited = self.changed.wait_timeout_while(state, timeout, |state| state.stopped < state.threads);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Opens it; `moved` says that what was pulled before is old.
    pub(super) fn open(&self, moved: bool) {
        self.change(|state| {
            state.is_closed = false;
            state.moves += u32::from(moved);
        });
    }

    /// Ends the threads at their next step.
    pub(super) fn end(&self) {
        self.change(|state| state.is_over = true);
    }

    /// Waits while it is closed; tells how often the file was moved.
    fn pass(&self) -> Result<u32, Over> {
        let mut state = self.lock();
        state.stopped += 1;
        self.changed.notify_all();
        let waited = self.changed.wait_while(state, |state| state.is_closed && !state.is_over);
        state = waited.unwrap_or_else(PoisonError::into_inner);
        state.stopped -= 1;
        if state.is_over { Err(Over) } else { Ok(state.moves) }
    }

    /// Waits at the end of the file until it was moved from where it was.
    fn wait_for_move(&self, seen: u32) -> Result<(), Over> {
        let mut state = self.lock();
        state.stopped += 1;
        self.changed.notify_all();
        let waited = self.changed.wait_while(state, |state| state.moves == seen && !state.is_over);
        state = waited.unwrap_or_else(PoisonError::into_inner);
        state.stopped -= 1;
        if state.is_over { Err(Over) } else { Ok(()) }
    }

    fn enter(&self) {
        self.change(|state| state.threads += 1);
    }

    fn leave(&self) {
        self.change(|state| state.threads -= 1);
    }

    fn change(&self, change: impl FnOnce(&mut TurnstileState)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, TurnstileState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a pushing thread has sent so far.
#[derive(Debug, Default)]
pub(super) struct Sent {
    frames: AtomicU32,
    bytes: AtomicU64,
}

impl Sent {
    /// Frames and bytes.
    pub(super) fn so_far(&self) -> (u32, u64) {
        (self.frames.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    fn count(&self, bytes: usize) {
        self.frames.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// A pushing thread. It ends with its session or its turnstile.
#[derive(Debug)]
pub(super) struct Pusher {
    pub(super) source: SourceId,
    pub(super) sent: Arc<Sent>,
    thread: JoinHandle<()>,
}

impl Pusher {
    /// Starts to push. What goes wrong, but for the session's end, is told to `happenings`.
    pub(super) fn start(
        stream: Stream,
        source: Source,
        turnstile: &Arc<Turnstile>,
        happenings: &Sender<Happening>,
    ) -> std::io::Result<Self> {
        let (sent, id) = (Arc::new(Sent::default()), source.id());
        let pushing = Pushing { stream, source, turnstile: Arc::clone(turnstile), sent: Arc::clone(&sent) };
        let happenings = happenings.clone();
        turnstile.enter();
        let thread = std::thread::Builder::new().name("pusher".into()).spawn(move || {
            if let Err(error) = pushing.run() {
                // Who does not listen any more does not want to know.
                let _ = happenings.send(Happening::PushFailed(error));
            }
        });
        let thread = thread.inspect_err(|_| turnstile.leave())?;
        Ok(Self { source: id, sent, thread })
    }

    /// Waits for its end; the turnstile or the session must be over.
    pub(super) fn join(self) {
        // A thread that panicked has said so itself.
        let _ = self.thread.join();
    }
}

struct Pushing {
    stream: Stream,
    source: Source,
    turnstile: Arc<Turnstile>,
    sent: Arc<Sent>,
}

/// Why a pushing thread ends early.
enum Stop {
    Over,
    Failed(PushError),
}

impl From<Over> for Stop {
    fn from(_: Over) -> Self {
        Self::Over
    }
}

impl Pushing {
    fn run(mut self) -> Result<(), PushError> {
        let stop = loop {
            if let Err(stop) = self.step() {
                break stop;
            }
        };
        self.turnstile.leave();
        match stop {
            Stop::Over | Stop::Failed(PushError::Ended(_)) => Ok(()),
            Stop::Failed(error) => Err(error),
        }
    }

    fn step(&mut self) -> Result<(), Stop> {
        let seen = self.turnstile.pass()?;
        match self.stream.pull(LOOK_INTERVAL) {
            Pulled::Frame(frame) => {
                let frame = frame.as_frame();
                if self.deliver(seen, |source| source.push(&frame, LOOK_INTERVAL))? {
                    self.sent.count(frame.data.len());
                }
            }
            Pulled::End => {
                self.deliver(seen, |source| source.end_of_stream(LOOK_INTERVAL))?;
                self.turnstile.wait_for_move(seen)?;
            }
            Pulled::Nothing => {}
        }
        Ok(())
    }

    /// Pushes until it is in the ring, or old: false.
    fn deliver(&mut self, seen: u32, mut push: impl FnMut(&mut Source) -> Result<(), PushError>) -> Result<bool, Stop> {
        loop {
            if self.turnstile.pass()? != seen {
                return Ok(false);
            }
            match push(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(PushError::Full | PushError::Flushed) => {}
                Err(error) => return Err(Stop::Failed(error)),
            }
        }
    }
}
