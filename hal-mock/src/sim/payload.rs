//! What the frames of an honest app hold, so that whoever takes them out of a ring sees that none is lost, doubled or changed.

use greenroom_core::ring::FrameHeader;

/// The frames of one source, numbered.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Payload {
    /// Unknown before the first frame.
    stream: Option<u32>,
    next: u32,
    is_known: bool,
    /// Frames of an earlier one must not come out of the ring any more.
    epoch: u32,
}

impl Payload {
    /// Bytes of a frame.
    pub(super) const BYTES: usize = 48;
    /// A frame of an app that is not honest, or not any more.
    const HONEST: u32 = 0x6e6f_7368;

    /// The frames of a source that nobody else has.
    pub(super) fn of_stream(stream: u32) -> Self {
        Self { stream: Some(stream), next: 0, is_known: true, epoch: 0 }
    }

    /// The next frame.
    pub(super) fn next_frame(&mut self) -> [u8; Self::BYTES] {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        Self::frame(self.stream.unwrap_or(0), number, self.epoch)
    }

    fn frame(stream: u32, number: u32, epoch: u32) -> [u8; Self::BYTES] {
        let mut bytes = [number as u8; Self::BYTES];
        for (place, word) in [Self::HONEST, stream, number, epoch].iter().enumerate() {
            bytes[place * 4..place * 4 + 4].copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// The next frames are of this epoch.
    pub(super) fn begin(&mut self, epoch: u32) {
        self.epoch = epoch;
    }

    /// Frames may be missing from here on, but not come back, and all are of this epoch.
    pub(super) fn flushed(&mut self, epoch: u32) {
        (self.is_known, self.epoch) = (false, epoch);
    }

    /// Checks a frame that came out of a ring. Frames of apps that break the rules are not checked: they say nothing.
    pub(super) fn follows(&mut self, header: &FrameHeader, bytes: &[u8; Self::BYTES]) -> Result<(), String> {
        let word = |place: usize| bytes[place * 4..place * 4 + 4].try_into().map_or(0, u32::from_ne_bytes);
        let (mark, stream, number, epoch) = (word(0), word(1), word(2), word(3));
        if mark != Self::HONEST {
            return Ok(());
        }
        if self.stream.is_some_and(|its| its != stream) {
            return Err(format!("frame {number} of stream {stream} came out of the ring of {:?}", self.stream));
        }
        let is_due = self.stream.is_none() || number == self.next || (!self.is_known && number > self.next);
        let expected = self.next;
        (self.stream, self.next, self.is_known) = (Some(stream), number.wrapping_add(1), true);
        if !is_due {
            return Err(format!("frame {number} of stream {stream} came where frame {expected} was due"));
        }
        if epoch != self.epoch {
            return Err(format!("frame {number} of stream {stream} is of epoch {epoch}, not {}", self.epoch));
        }
        if header.bytes as usize != Self::BYTES || *bytes != Self::frame(stream, number, epoch) {
            return Err(format!("frame {number} of stream {stream} is not what was sent"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use greenroom_core::ring::RecordKind;

    use super::*;

    /// What the decoder sees of frames that an app sends.
    fn judged(wanted: &mut Payload, frame: [u8; Payload::BYTES]) -> Result<(), String> {
        let header = FrameHeader {
            kind: RecordKind::Frame,
            epoch: 0,
            presentation_ns: None,
            decode_ns: None,
            duration_ns: None,
            is_key: false,
            bytes: Payload::BYTES as u32,
        };
        wanted.follows(&header, &frame)
    }

    #[test]
    fn a_frame_that_is_lost_doubled_changed_anothers_or_of_before_a_flush_is_noticed() {
        let (mut app, mut decoder) = (Payload::of_stream(7), Payload::default());
        let [first, second, third] = std::array::from_fn(|_| app.next_frame());
        assert_eq!(judged(&mut decoder, first), Ok(()));
        assert!(judged(&mut decoder.clone(), first).is_err(), "it came twice");
        assert!(judged(&mut decoder.clone(), third).is_err(), "the second one is lost");
        let mut other = Payload::of_stream(8);
        other.next_frame();
        assert!(judged(&mut decoder.clone(), other.next_frame()).is_err(), "it is of another stream");
        let mut changed = second;
        changed[40] ^= 1;
        assert!(judged(&mut decoder.clone(), changed).is_err(), "it was changed");
        assert_eq!(judged(&mut decoder, second), Ok(()));
        decoder.flushed(1);
        assert!(judged(&mut decoder.clone(), third).is_err(), "it is of before the flush");
        app.begin(1);
        assert_eq!(judged(&mut decoder, app.next_frame()), Ok(()));
    }
}
