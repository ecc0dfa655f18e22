//! Stretches of bytes that say themselves whether they are whole.
//!
//! ```text
//! length: u32 LE | checksum: u32 LE | so many bytes
//! ```

use crc32fast::Hasher;
use serde::Serialize;

/// Bytes before what a frame holds.
pub(super) const HEAD_BYTES: usize = 8;

/// The checksum of bytes. Two seeds never give the same one, so what was left of other frames is not taken for ours.
pub(super) fn checksum(seed: u32, bytes: &[u8]) -> u32 {
    let mut hasher = Hasher::new_with_initial(seed);
    hasher.update(bytes);
    hasher.finalize()
}

/// It does not fit.
#[derive(Debug)]
pub(super) struct NoRoom;

/// Writes one frame at the start of `room`; gives its bytes, head included.
pub(super) fn write<T: Serialize>(room: &mut [u8], seed: u32, content: &T) -> Result<usize, NoRoom> {
    let (head, body) = room.split_at_mut_checked(HEAD_BYTES).ok_or(NoRoom)?;
    let written = postcard::to_slice(content, body).map_err(|_| NoRoom)?;
    let length = u32::try_from(written.len()).map_err(|_| NoRoom)?;
    let sum = checksum(seed, written);
    let bytes = HEAD_BYTES.saturating_add(written.len());
    let (length_at, sum_at) = head.split_at_mut_checked(4).ok_or(NoRoom)?;
    length_at.copy_from_slice(&length.to_le_bytes());
    sum_at.copy_from_slice(&sum.to_le_bytes());
    Ok(bytes)
}

/// Takes one frame off the front, without a look at its checksum: that, its bytes, and the rest.
pub(super) fn split(bytes: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (content, rest) = rest.split_at_checked(length)?;
    Some((u32::from_le_bytes(*sum), content, rest))
}

/// Takes one whole frame off the front.
pub(super) fn read(bytes: &[u8], seed: u32) -> Option<(&[u8], &[u8])> {
    let (sum, content, rest) = split(bytes)?;
    (sum == checksum(seed, content)).then_some((content, rest))
}
