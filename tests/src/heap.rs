//! How often a thread takes something from the heap. What C libraries take for themselves is not counted.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use rustix::thread::gettid;

/// Threads that can be watched in one process.
const WATCHED_MAX: usize = 16;
/// How often what is counted is done before: it may still learn how large its buffers must be.
const WARM_UPS: usize = 5;
/// How often what is counted is done.
pub const ROUNDS: usize = 50;

/// A thread, 0 for none, and how often it has taken something from the heap.
struct Watched {
    thread: AtomicI32,
    takings: AtomicUsize,
}

static WATCHED: [Watched; WATCHED_MAX] =
    [const { Watched { thread: AtomicI32::new(0), takings: AtomicUsize::new(0) } }; WATCHED_MAX];

/// The system's allocator, which counts for the threads that are watched. To be a program's `#[global_allocator]`.
pub struct Counting;

impl Counting {
    /// Whose thread it is, is asked only where somebody watches.
    fn count() {
        let mut watched = WATCHED.iter().take_while(|watched| watched.thread.load(Ordering::Relaxed) != 0).peekable();
        if watched.peek().is_some() {
            let own = gettid().as_raw_nonzero().get();
            let own = watched.find(|watched| watched.thread.load(Ordering::Relaxed) == own);
            own.inspect(|own| _ = own.takings.fetch_add(1, Ordering::Relaxed));
        }
    }
}

// SAFETY: all of it is the system's; what is done beside it takes nothing from the heap.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: the caller keeps the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        Self::count();
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, bytes) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Watches a thread of this process from now on.
fn watch(thread: i32) -> &'static AtomicUsize {
    let take = |place: &AtomicI32| place.compare_exchange(0, thread, Ordering::Relaxed, Ordering::Relaxed).is_ok();
    let free = WATCHED.iter().find(|watched| watched.thread.load(Ordering::Relaxed) == thread || take(&watched.thread));
    &free.expect("there is one for each thread that is watched").takings
}

/// Does something [`ROUNDS`] times; how often this thread of this process took something from the heap meanwhile.
///
/// # Panics
/// When too many threads were watched before.
pub fn takings_of(thread: i32, mut what: impl FnMut()) -> usize {
    (0..WARM_UPS).for_each(|_| what());
    let takings = watch(thread);
    let before = takings.load(Ordering::Relaxed);
    (0..ROUNDS).for_each(|_| what());
    takings.load(Ordering::Relaxed) - before
}
