//! The heap of this process.

/// So many threads at a time allocate without waiting for each other; more of them seldom do.
#[cfg(target_env = "gnu")]
const ARENAS: i32 = 2;

/// Lets all threads share a few parts of the heap, so that memory stays flat over any number of playbacks.
///
/// glibc gives each new thread a part of its own, up to eight for each processor, and each part keeps the most that was ever
/// used of it. Every playback starts new threads, so a process that plays all day would come to hold all of that.
/// To be called before the first thread is started. Other C libraries do not divide their heap.
pub fn share_arenas() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes two numbers, and what it refuses stays as it is.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, ARENAS);
    }
}
