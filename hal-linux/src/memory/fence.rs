//! The full fence between a ring's cursor and the other side's flag: once a frame on each side.

/// Nothing before it moves behind it, nothing behind it before it: `fence(SeqCst)`.
///
/// For that the compiler chooses `mfence`, which on x86-64 also waits for stores that go past the caches; a locked
/// instruction orders all that there is here, in a quarter of the time.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(super) fn full_fence() {
    let mut anything = 0_u32;
    // SAFETY: it adds nothing to a word of our own. The compiler moves no access over it, as it may touch any memory.
    unsafe {
        core::arch::asm!("lock or dword ptr [{word}], 0", word = in(reg) &raw mut anything, options(nostack));
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub(super) fn full_fence() {
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const ROUNDS: usize = 20_000;

    /// Each side writes its word and reads the other's. Without the fence both miss the other's in some rounds.
    #[test]
    fn of_two_that_write_one_word_and_read_the_other_at_least_one_sees_the_other() {
        let words = [const { [const { AtomicU32::new(0) }; ROUNDS] }; 2];
        let barrier = Barrier::new(2);
        let side = |own: usize| {
            barrier.wait();
            let round = |(own, other): (&AtomicU32, &AtomicU32)| {
                own.store(1, Ordering::Relaxed);
                full_fence();
                other.load(Ordering::Relaxed)
            };
            words[own].iter().zip(&words[1 - own]).map(round).collect::<Vec<_>>()
        };
        let (one, other) = std::thread::scope(|scope| {
            let other = scope.spawn(|| side(1));
            (side(0), other.join().unwrap())
        });
        assert!(one.iter().zip(&other).all(|(one, other)| one + other > 0));
    }
}
