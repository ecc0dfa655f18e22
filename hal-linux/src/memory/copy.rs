//! Copies to and from memory that another process changes meanwhile.

/// Copies `bytes` bytes from `from` to `into`, of which one may be written or read by another process at the same time.
/// What arrives is then any mixture of old and new bytes, but nothing else happens: `copy_nonoverlapping` would be
/// undefined behaviour there, because the compiler may rely on memory that does not change.
///
/// The compiler knows nothing about the inside of an `asm!` block but that it may read and write memory, so the memcpy of
/// the C library, which knows this processor, is called from there. What is as short as a descriptor is copied faster in
/// words, which are also at hand at once when they are read next.
///
/// # Safety
///
/// `from` must be mapped for reading and `into` for writing, for `bytes` bytes each, and they must not overlap. No
/// reference of this process may give one of them to somebody else meanwhile.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(super) unsafe fn copy_racing(from: *const u8, into: *mut u8, bytes: usize) {
    if bytes <= SHORT_BYTES_MAX && (from.addr() | into.addr() | bytes).is_multiple_of(WORD) {
        // SAFETY: the caller vouches for both stretches, which consist of whole words.
        return unsafe { copy_words(from.cast(), into.cast(), bytes / WORD) };
    }
    // SAFETY: the caller vouches for both stretches; the stack is aligned for a call on entry to an asm block.
    unsafe {
        core::arch::asm!(
            "call {memcpy}",
            memcpy = sym memcpy,
            in("rdi") into,
            in("rsi") from,
            in("rdx") bytes,
            clobber_abi("C"),
        );
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) use copy_volatile as copy_racing;

#[cfg(target_arch = "x86_64")]
unsafe extern "C" {
    fn memcpy(into: *mut u8, from: *const u8, bytes: usize) -> *mut u8;
}

const WORD: usize = size_of::<usize>();
/// As long as a descriptor.
#[cfg(target_arch = "x86_64")]
const SHORT_BYTES_MAX: usize = 64;

/// The same for aligned words, in volatile steps, which the compiler neither merges nor repeats.
///
/// # Safety
///
/// As for `copy_racing`; both sides are aligned.
#[inline]
unsafe fn copy_words(from: *const usize, into: *mut usize, words: usize) {
    for at in 0..words {
        // SAFETY: `at` is less than `words`, for which the caller vouches.
        unsafe { into.add(at).write_volatile(from.add(at).read_volatile()) }
    }
}

/// The same in volatile steps, which the compiler neither merges nor repeats: by words where both sides can be aligned at
/// once, by bytes elsewhere.
///
/// # Safety
///
/// As for `copy_racing`.
#[cfg(any(test, not(target_arch = "x86_64")))]
pub(super) unsafe fn copy_volatile(from: *const u8, into: *mut u8, bytes: usize) {
    let is_even = from.addr() % WORD == into.addr() % WORD;
    let before = if is_even { from.align_offset(WORD).min(bytes) } else { bytes };
    let words = (bytes - before) / WORD;
    let byte_steps = (0..before).chain(before + words * WORD..bytes);
    for at in byte_steps {
        // SAFETY: `at` is less than `bytes`, for which the caller vouches.
        unsafe { into.add(at).write_volatile(from.add(at).read_volatile()) }
    }
    // SAFETY: the words end within `bytes`; both sides are aligned after `before` bytes.
    unsafe { copy_words(from.add(before).cast(), into.add(before).cast(), words) }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Copy = unsafe fn(*const u8, *mut u8, usize);

    #[test]
    fn both_ways_copy_what_is_asked_and_nothing_beside_it() {
        for copy in [copy_racing as Copy, copy_volatile as Copy] {
            for (from, into, bytes) in [(0, 0, 64), (3, 3, 40), (1, 4, 33), (5, 5, 2), (7, 2, 0), (8, 8, 7)] {
                assert_copies(copy, from, into, bytes);
            }
        }
    }

    fn assert_copies(copy: Copy, from: usize, into: usize, bytes: usize) {
        let source: Vec<u8> = (1..=80).collect();
        let mut target = [0_u8; 80];
        // SAFETY: both stretches end within 80 bytes.
        unsafe { copy(source[from..].as_ptr(), target[into..].as_mut_ptr(), bytes) };
        assert_eq!(target[into..into + bytes], source[from..from + bytes]);
        assert!(target[..into].iter().chain(&target[into + bytes..]).all(|&byte| byte == 0));
    }
}
