//! Raw sound: what its shape says is all that is known of it.

use greenroom_core::message::playback::{Codec, Shape};
use gstreamer as gst;

/// More than any sound system has; GStreamer's own limit.
const CHANNELS_MAX: u16 = 64;

/// How raw sound lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pcm {
    format: &'static str,
    sample_bytes: usize,
}

impl Pcm {
    /// None where the codec is not raw sound.
    pub(super) fn of(codec: Codec) -> Option<Self> {
        let (format, sample_bytes) = match codec {
            Codec::PcmS16Le => ("S16LE", 2),
            Codec::PcmS24Le => ("S24LE", 3),
            Codec::PcmS32Le => ("S32LE", 4),
            Codec::PcmF32Le => ("F32LE", 4),
            _ => return None,
        };
        Some(Self { format, sample_bytes })
    }

    /// Bytes of one sample of every channel.
    pub(super) fn frame_bytes(self, shape: &Shape) -> usize {
        self.sample_bytes * usize::from(shape.channels.max(1))
    }

    pub(super) fn set_form(self, structure: &mut gst::StructureRef, shape: &Shape) {
        structure.set("format", self.format);
        structure.set("layout", "interleaved");
        if shape.channels > 2 {
            structure.set("channel-mask", gst::Bitmask::new(channel_mask(shape.channels)));
        }
    }
}

/// Whether a shape says enough of raw sound to play it.
pub(super) fn is_complete(shape: &Shape) -> bool {
    i32::try_from(shape.sample_rate).is_ok_and(|rate| rate > 0) && (1..=CHANNELS_MAX).contains(&shape.channels)
}

/// Where the channels come from, in the order that is usual for so many; 0: nobody knows.
fn channel_mask(channels: u16) -> u64 {
    match channels {
        3 => 0x7,
        4 => 0x33,
        5 => 0x37,
        6 => 0x3f,
        7 => 0x13f,
        8 => 0xc3f,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_without_rate_or_channels_is_not_complete() {
        let shape = |sample_rate, channels| Shape { sample_rate, channels, ..Shape::default() };
        assert!(is_complete(&shape(44_100, 2)));
        for (sample_rate, channels) in [(0, 2), (48_000, 0), (u32::MAX, 2), (48_000, 65)] {
            assert!(!is_complete(&shape(sample_rate, channels)), "{sample_rate} Hz, {channels} channels");
        }
    }

    #[test]
    fn a_frame_has_a_sample_of_every_channel() {
        let bytes = |codec| Pcm::of(codec).unwrap().frame_bytes(&Shape { channels: 6, ..Shape::default() });
        assert_eq!([Codec::PcmS16Le, Codec::PcmS24Le, Codec::PcmS32Le, Codec::PcmF32Le].map(bytes), [12, 18, 24, 24]);
        assert_eq!(Pcm::of(Codec::Flac), None);
    }
}
