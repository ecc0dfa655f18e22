//! What a stream consists of.

use serde::{Deserialize, Serialize};

/// A stream that an app will send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SourceDescription<'a> {
    /// What it is coded in.
    pub codec: Codec,
    /// Its shape, as far as it is known; 0 where it is not.
    pub shape: Shape,
    /// The codec's configuration as its container gives it (`avcC`, `AudioSpecificConfig`, `OpusHead`, ...), or nothing.
    pub codec_data: &'a [u8],
}

/// What a stream is coded in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Codec {
    /// H.264 with start codes (Annex B).
    H264,
    /// H.264 with lengths, configured by `avcC`.
    H264Avc,
    /// VP9.
    Vp9,
    /// AAC frames without headers, configured by an `AudioSpecificConfig`.
    Aac,
    /// AAC with ADTS headers.
    AacAdts,
    /// Opus.
    Opus,
    /// H.265 with start codes.
    H265,
    /// H.265 with lengths, configured by `hvcC`.
    H265Hvc,
    /// VP8.
    Vp8,
    /// AV1.
    Av1,
    /// MPEG-1 layer 3.
    Mp3,
    /// Vorbis.
    Vorbis,
    /// FLAC.
    Flac,
    /// Samples of 16 bits, little-endian, channels interleaved. The shape says rate and channels, here as below.
    PcmS16Le,
    /// Samples of 24 bits in 3 bytes.
    PcmS24Le,
    /// Samples of 32 bits.
    PcmS32Le,
    /// Samples of 32 bits, floating.
    PcmF32Le,
    /// Plain text in UTF-8: one frame is one text on the screen.
    TextUtf8,
    /// The text of one WebVTT cue, as it stands below the cue's times.
    TextWebVtt,
    /// One TTML document.
    TextTtml,
}

/// Which kind of decoder and sink a stream needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum MediaKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Subtitles.
    Text,
}

impl Codec {
    /// Which kind of stream it codes.
    pub const fn kind(self) -> MediaKind {
        match self {
            Self::H264 | Self::H264Avc | Self::Vp9 | Self::H265 | Self::H265Hvc | Self::Vp8 | Self::Av1 => {
                MediaKind::Video
            }
            Self::Aac
            | Self::AacAdts
            | Self::Opus
            | Self::Mp3
            | Self::Vorbis
            | Self::Flac
            | Self::PcmS16Le
            | Self::PcmS24Le
            | Self::PcmS32Le
            | Self::PcmF32Le => MediaKind::Audio,
            Self::TextUtf8 | Self::TextWebVtt | Self::TextTtml => MediaKind::Text,
        }
    }
}

/// The shape of a stream; 0 where it is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Shape {
    /// Picture width in pixels.
    pub width: u32,
    /// Picture height in pixels.
    pub height: u32,
    /// Pictures per second: numerator.
    pub frame_rate_numerator: u32,
    /// Pictures per second: denominator.
    pub frame_rate_denominator: u32,
    /// Samples per second.
    pub sample_rate: u32,
    /// Channels of sound.
    pub channels: u16,
}
