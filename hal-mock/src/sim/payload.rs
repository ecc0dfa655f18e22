//! What the frames of an honest app hold, so that whoever takes them out of a ring sees that none is lost, doubled or changed.

use greenroom_core::ring::FrameHeader;

/// The frames of one source, numbered.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Payload {
    stream: u32,
    next: u32,
    is_known: bool,
}

impl Payload {
    /// Bytes of a frame.
    pub(super) const BYTES: usize = 48;
    /// A frame of an app that is not honest, or not any more.
    const HONEST: u32 = 0x6e6f_7368;

    /// The frames of a source that nobody else has.
    pub(super) fn of_stream(stream: u32) -> Self {
        Self { stream, next: 0, is_known: true }
    }

    /// The next frame.
    pub(super) fn next_frame(&mut self) -> [u8; Self::BYTES] {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        Self::frame(self.stream, number)
    }

    fn frame(stream: u32, number: u32) -> [u8; Self::BYTES] {
        let mut bytes = [number as u8; Self::BYTES];
        for (place, word) in [Self::HONEST, stream, number].iter().enumerate() {
            bytes[place * 4..place * 4 + 4].copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// Frames may be missing from here on, but not come back.
    pub(super) fn flushed(&mut self) {
        self.is_known = false;
    }

    /// Checks a frame that came out of a ring. Frames of apps that break the rules are not checked: they say nothing.
    pub(super) fn follows(&mut self, header: &FrameHeader, bytes: &[u8; Self::BYTES]) -> Result<(), String> {
        let word = |place: usize| bytes[place * 4..place * 4 + 4].try_into().map_or(0, u32::from_ne_bytes);
        let (mark, stream, number) = (word(0), word(1), word(2));
        if mark != Self::HONEST {
            return Ok(());
        }
        let is_new = self.stream != stream;
        let is_due = is_new || number == self.next || (!self.is_known && number > self.next);
        let expected = self.next;
        (self.stream, self.next, self.is_known) = (stream, number.wrapping_add(1), true);
        if !is_due {
            return Err(format!("frame {number} of stream {stream} came where frame {expected} was due"));
        }
        if header.bytes as usize != Self::BYTES || *bytes != Self::frame(stream, number) {
            return Err(format!("frame {number} of stream {stream} is not what was sent"));
        }
        Ok(())
    }
}
