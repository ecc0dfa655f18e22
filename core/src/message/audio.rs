//! Web audio: what an app says of its players, and hears.
//!
//! A player takes PCM frames from a ring of its own and plays them as they come; there are no times and no seeking. The
//! end of the stream is a record of the ring, so that it stays behind the last frame.

use core::fmt;

use serde::{Deserialize, Serialize};

use super::playback::{Codec, PlaybackError, RingPlace, Shape, SourceDescription};

/// The lowest rate that a player takes, in frames per second.
const RATE_MIN_HZ: u32 = 8_000;
/// The highest rate that a player takes, in frames per second.
const RATE_MAX_HZ: u32 = 192_000;
/// More channels than any loudspeaker set-up of a home.
const CHANNELS_MAX: u8 = 8;

/// A web audio player of this connection, as the server numbered it. Another connection's number means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PlayerId {
    /// Its place in the server's table.
    pub index: u16,
    /// Which stay in that place.
    pub generation: u16,
}

/// How one sample of one channel is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SampleFormat {
    /// 16 bits, signed, little-endian.
    S16Le,
    /// 24 bits in 3 bytes, signed, little-endian.
    S24Le,
    /// 32 bits, signed, little-endian.
    S32Le,
    /// 32 bits, floating point, little-endian: what web pages compute with.
    F32Le,
}

/// The form of a player's PCM: interleaved frames of one sample for each channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PcmFormat {
    /// Frames per second: 8000 to 192000.
    pub rate_hz: u32,
    /// Samples of a frame: 1 to 8.
    pub channels: u8,
    /// How a sample is written.
    pub sample: SampleFormat,
}

impl PcmFormat {
    /// Whether a player can be made for it.
    pub const fn is_supported(&self) -> bool {
        self.rate_hz >= RATE_MIN_HZ
            && self.rate_hz <= RATE_MAX_HZ
            && self.channels >= 1
            && self.channels <= CHANNELS_MAX
    }

    /// Bytes of one frame; never 0.
    pub const fn frame_bytes(&self) -> u32 {
        let sample_bytes: u32 = match self.sample {
            SampleFormat::S16Le => 2,
            SampleFormat::S24Le => 3,
            SampleFormat::S32Le | SampleFormat::F32Le => 4,
        };
        let channels = if self.channels == 0 { 1 } else { self.channels as u32 };
        sample_bytes.saturating_mul(channels)
    }

    /// How long so many frames last, in nanoseconds.
    pub const fn duration_ns(&self, frames: u64) -> u64 {
        let rate = if self.rate_hz == 0 { 1 } else { self.rate_hz as u64 };
        // Whole seconds and the rest apart, so that no product is too large before the answer is.
        let (seconds, rest) = (frames / rate, frames % rate);
        seconds.saturating_mul(1_000_000_000).saturating_add(rest.saturating_mul(1_000_000_000) / rate)
    }

    /// The stream that a decoder takes for it.
    pub const fn description(&self) -> SourceDescription<'static> {
        let codec = match self.sample {
            SampleFormat::S16Le => Codec::PcmS16Le,
            SampleFormat::S24Le => Codec::PcmS24Le,
            SampleFormat::S32Le => Codec::PcmS32Le,
            SampleFormat::F32Le => Codec::PcmF32Le,
        };
        let shape = Shape {
            width: 0,
            height: 0,
            frame_rate_numerator: 0,
            frame_rate_denominator: 0,
            sample_rate: self.rate_hz,
            channels: self.channels as u16,
        };
        SourceDescription { codec, shape, codec_data: &[] }
    }
}

/// What an app can ask about web audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Command {
    /// Make a player. Answered by [`Answer::Player`] and four descriptors: the region that the client writes, the one
    /// that the server writes, the bell that the client rings for data, and the one that it hears for space.
    Create {
        /// The form of its frames.
        format: PcmFormat,
    },
    /// End a player.
    Destroy {
        /// Which one.
        player: PlayerId,
    },
    /// Play. Where there is no frame yet, it starts with the first one.
    Play {
        /// Which player.
        player: PlayerId,
    },
    /// Pause.
    Pause {
        /// Which player.
        player: PlayerId,
    },
    /// Set how loud the player is.
    SetVolume {
        /// Which player.
        player: PlayerId,
        /// 0 is silent, 1000 as written, 2000 twice that; more is refused.
        volume_permille: u16,
    },
    /// Answered by [`Answer::Volume`].
    GetVolume {
        /// Which player.
        player: PlayerId,
    },
    /// How much of what was written was heard. Answered by [`Answer::Played`].
    GetPlayed {
        /// Which player.
        player: PlayerId,
    },
}

impl Command {
    /// The player that this is about, if it is about one.
    pub const fn player(&self) -> Option<PlayerId> {
        match *self {
            Self::Create { .. } => None,
            Self::Destroy { player }
            | Self::Play { player }
            | Self::Pause { player }
            | Self::SetVolume { player, .. }
            | Self::GetVolume { player }
            | Self::GetPlayed { player } => Some(player),
        }
    }
}

/// What a player is like. It does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DeviceInfo {
    /// Frames that are best written at a time.
    pub preferred_frames: u32,
    /// Frames that its ring holds.
    pub maximum_frames: u32,
    /// Whether it can be told to play before there is a frame.
    pub supports_deferred_play: bool,
}

impl DeviceInfo {
    /// Of a player with this form whose ring has so many bytes.
    pub const fn of(format: &PcmFormat, ring_bytes: u32) -> Self {
        let maximum_frames = ring_bytes / format.frame_bytes();
        // A fiftieth of a second: seldom enough to be cheap, often enough to be prompt.
        let fiftieth = format.rate_hz / 50;
        let preferred_frames = if fiftieth < maximum_frames { fiftieth } else { maximum_frames };
        Self { preferred_frames, maximum_frames, supports_deferred_play: true }
    }
}

/// A call about web audio that went well; those without news of their own are answered by
/// [`Done`](super::playback::Answer::Done).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Answer {
    /// The new player.
    Player {
        /// Its number on this connection.
        player: PlayerId,
        /// Bytes of the region that the client writes.
        client_bytes: u32,
        /// Bytes of the region that the server writes.
        server_bytes: u32,
        /// Where its ring lies in the two regions.
        ring: RingPlace,
        /// What it is like.
        device: DeviceInfo,
        /// The form of its frames, as it was asked for.
        format: PcmFormat,
    },
    /// How loud the player is, in thousandths.
    Volume {
        /// 0 to 2000.
        volume_permille: u16,
    },
    /// How much was heard since the player was made.
    Played {
        /// Frames; what was written and is not among them waits, in the ring or in the sink.
        frames: u64,
    },
}

/// What a web audio player does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PlayerState {
    /// There was no frame yet.
    Idle,
    /// Plays.
    Playing,
    /// Has something to play, and does not.
    Paused,
    /// Has played the last frame.
    EndOfStream,
    /// Failed; destroy it.
    Failed,
}

impl fmt::Display for PlayerState {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Idle => "idle",
            Self::Playing => "playing",
            Self::Paused => "paused",
            Self::EndOfStream => "at its end",
            Self::Failed => "failed",
        })
    }
}

/// Something happened to a player.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Event {
    /// It plays, pauses, ...
    State {
        /// Which player.
        player: PlayerId,
        /// What it does now.
        state: PlayerState,
    },
    /// It failed.
    Failed {
        /// Which player.
        player: PlayerId,
        /// Why.
        error: PlaybackError,
    },
    /// It was ended by the server, because the app went Inactive or gave its memory back.
    Ended {
        /// Which player.
        player: PlayerId,
    },
}

impl Event {
    /// The player that this is about.
    pub const fn player(&self) -> PlayerId {
        match *self {
            Self::State { player, .. } | Self::Failed { player, .. } | Self::Ended { player } => player,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEREO: PcmFormat = PcmFormat { rate_hz: 48_000, channels: 2, sample: SampleFormat::S16Le };

    #[test]
    fn a_form_that_no_loudspeaker_has_is_not_supported() {
        assert!(STEREO.is_supported());
        for format in [
            PcmFormat { rate_hz: 0, ..STEREO },
            PcmFormat { rate_hz: 7_999, ..STEREO },
            PcmFormat { rate_hz: u32::MAX, ..STEREO },
            PcmFormat { channels: 0, ..STEREO },
            PcmFormat { channels: 9, ..STEREO },
        ] {
            assert!(!format.is_supported(), "{format:?}");
            assert!(format.frame_bytes() > 0 && format.duration_ns(7) > 0, "{format:?}");
        }
    }

    #[test]
    fn frames_last_as_long_as_their_rate_says_also_after_many_years() {
        assert_eq!(STEREO.duration_ns(48_000), 1_000_000_000);
        assert_eq!(STEREO.duration_ns(1), 20_833);
        assert_eq!(STEREO.duration_ns(48_000 * 1_000_000_000), 1_000_000_000_000_000_000);
        assert_eq!(STEREO.duration_ns(u64::MAX), u64::MAX);
    }

    #[test]
    fn no_more_frames_are_preferred_than_there_is_room_for() {
        let small = DeviceInfo::of(&STEREO, 1024);
        assert_eq!((small.preferred_frames, small.maximum_frames), (256, 256));
        let usual = DeviceInfo::of(&STEREO, 65_536);
        assert_eq!((usual.preferred_frames, usual.maximum_frames), (960, 16_384));
    }
}
