//! Bytes on their way in or out.

use crate::hal::{Arrived, ByteStream};

/// A stretch of bytes in the caller's memory: filled at its end, consumed at its beginning.
#[derive(Debug)]
pub(crate) struct Buffer<B> {
    memory: B,
    start: usize,
    end: usize,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Buffer<B> {
    pub(crate) fn new(memory: B) -> Self {
        Self { memory, start: 0, end: 0 }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.memory.as_ref().len()
    }

    pub(crate) fn filled(&self) -> &[u8] {
        self.memory.as_ref().get(self.start..self.end).unwrap_or_default()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.end.saturating_sub(self.start)
    }

    pub(crate) fn consume(&mut self, bytes: usize) {
        self.start = self.start.saturating_add(bytes).min(self.end);
    }

    pub(crate) fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// All the room there is, in one piece.
    fn room(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.memory.as_mut().copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.bytes());
        }
        self.memory.as_mut().get_mut(self.end..).unwrap_or_default()
    }

    /// Lets `write` fill some of the room, but for the last `kept` bytes of it; it gives how many bytes it has written.
    pub(crate) fn fill_with<E>(
        &mut self,
        kept: usize,
        write: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<(), E> {
        let room = self.room();
        let usable = room.len().saturating_sub(kept);
        let written = write(room.get_mut(..usable).unwrap_or_default())?;
        self.end = self.end.saturating_add(written.min(usable));
        Ok(())
    }

    /// Receives as much as there is room for.
    pub(crate) fn fill_from<S: ByteStream>(&mut self, stream: &mut S) -> Result<Arrived, S::Error> {
        let room = self.room();
        if room.is_empty() {
            return Ok(Arrived::WouldBlock);
        }
        let arrived = stream.receive(room)?;
        if let Arrived::Bytes(bytes) = arrived {
            self.end = self.end.saturating_add(bytes).min(self.capacity());
        }
        Ok(arrived)
    }

    /// Sends until the stream takes no more. Gives whether all is sent.
    pub(crate) fn drain_to<S: ByteStream>(&mut self, stream: &mut S) -> Result<bool, S::Error> {
        while self.bytes() > 0 {
            match stream.send(self.filled())? {
                0 => return Ok(false),
                sent => self.consume(sent),
            }
        }
        Ok(true)
    }
}
