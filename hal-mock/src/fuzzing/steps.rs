//! Bytes that a fuzzer makes up, as a sequence of operations.

use arbitrary::{Arbitrary, Result, Unstructured};

/// A sequence is no longer than this: what takes longer to go wrong is for the simulator.
const STEPS_MAX: usize = 128;

/// The operations that these bytes are: one after the other until they are used up.
pub(super) fn steps<'a, Operation: Arbitrary<'a>>(bytes: &'a [u8]) -> impl Iterator<Item = Operation> {
    let mut input = Unstructured::new(bytes);
    let next = move || if input.is_empty() { None } else { input.arbitrary().ok() };
    std::iter::from_fn(next).take(STEPS_MAX)
}

/// The same bytes in pieces of at most so many, 1 at least; which sizes these are follows from the number.
pub(super) fn pieces(bytes: &[u8], most: u8) -> impl Iterator<Item = &[u8]> {
    let (mut rest, mut state) = (bytes, u32::from(most));
    std::iter::from_fn(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let wanted = 1 + (state >> 16) as usize % usize::from(most).max(1);
        let (piece, after) = rest.split_at(wanted.min(rest.len()));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// A number below `bound`, which is not 0: one byte for a small one.
pub(super) fn below(input: &mut Unstructured<'_>, bound: u8) -> Result<u8> {
    input.int_in_range(0..=bound - 1)
}

/// One of these.
pub(super) fn one_of<T: Copy>(input: &mut Unstructured<'_>, choices: &[T]) -> Result<T> {
    input.choose(choices).copied()
}
