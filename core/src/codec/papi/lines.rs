//! Lines out of bytes that arrive split and joined anyhow.

use core::mem::take;

use super::Garbage;

const NEWLINE: u8 = b'\n';

/// Puts lines together in a buffer of the caller's, whose length is the longest line that is taken.
///
/// A longer line is dropped up to its newline and reported once; the lines after it are as good as any.
#[derive(Debug)]
pub struct Lines<B> {
    buffer: B,
    /// How much of the buffer is filled with the line that is being put together, or was given out last.
    filled: usize,
    /// The line is longer than the buffer.
    overflows: bool,
    /// What is in the buffer was given out.
    given: bool,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Lines<B> {
    /// Puts lines together in this buffer.
    pub const fn new(buffer: B) -> Self {
        Self { buffer, filled: 0, overflows: false, given: false }
    }

    /// The next line that these bytes complete, without its newline, as UTF-8; the bytes that it took are cut off
    /// `input`. `None` when all bytes are taken.
    ///
    /// Call it until it gives `None`; then the rest of a line waits for the next bytes.
    pub fn next(&mut self, input: &mut &[u8]) -> Option<Result<&mut [u8], Garbage>> {
        if take(&mut self.given) || planted!("split_line_lost") {
            self.filled = 0;
        }
        let end = input.iter().position(|byte| *byte == NEWLINE);
        let (piece, rest) = input.split_at_checked(end.unwrap_or(input.len()))?;
        self.append(piece);
        *input = rest.get(usize::from(end.is_some())..).unwrap_or_default();
        end.is_some().then(|| self.complete())
    }

    /// Whether a part of a line waits for the rest.
    pub const fn is_partial(&self) -> bool {
        self.overflows || (self.filled > 0 && !self.given)
    }

    fn append(&mut self, piece: &[u8]) {
        let free = self.buffer.as_mut().get_mut(self.filled..).unwrap_or_default();
        match free.get_mut(..piece.len()) {
            Some(place) if !self.overflows => {
                place.copy_from_slice(piece);
                self.filled = self.filled.saturating_add(piece.len());
            }
            _ => self.overflows = true,
        }
    }

    fn complete(&mut self) -> Result<&mut [u8], Garbage> {
        self.given = true;
        if take(&mut self.overflows) {
            return Err(Garbage::TooLong);
        }
        let line = self.buffer.as_ref().get(..self.filled).unwrap_or_default();
        if line.ends_with(b"\r") {
            self.filled = self.filled.saturating_sub(1);
        }
        if core::str::from_utf8(line).is_err() {
            self.widen()?;
        }
        self.buffer.as_mut().get_mut(..self.filled).ok_or(Garbage::TooLong)
    }

    /// What is no UTF-8 is Latin-1, as Mozilla's programs write it: each byte from 0x80 on becomes two.
    fn widen(&mut self) -> Result<(), Garbage> {
        let line = self.buffer.as_ref().get(..self.filled).unwrap_or_default();
        let high = line.iter().filter(|byte| !byte.is_ascii()).count();
        let widened = self.filled.saturating_add(high);
        let place = self.buffer.as_mut().get_mut(..widened).ok_or(Garbage::TooLong)?;
        let (mut from, mut to) = (self.filled, widened);
        // From the end to the start, so that nothing is overwritten before it was read.
        while let Some(&byte) = from.checked_sub(1).and_then(|last| place.get(last)) {
            from = from.saturating_sub(1);
            let mut utf8 = [0; 2];
            let bytes = char::from(byte).encode_utf8(&mut utf8).as_bytes();
            let start = to.saturating_sub(bytes.len());
            place.get_mut(start..to).ok_or(Garbage::TooLong)?.copy_from_slice(bytes);
            to = start;
        }
        self.filled = widened;
        Ok(())
    }
}
