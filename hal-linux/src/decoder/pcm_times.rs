//! When PCM without times is due.

use greenroom_core::ring::FrameHeader;
use gstreamer as gst;

use super::command::Description;
use super::pcm::{Pcm, is_complete};
use super::status::PcmProgress;
use super::time::clock_time;

/// Frames that come later than this are not the last one's neighbours any more: the stream had run dry. Sinks take less
/// for jitter.
const LATENESS_MAX: gst::ClockTime = gst::ClockTime::from_mseconds(40);
/// A stream that had run dry goes on this much later, so that its first frames reach the sink in time.
const RESUME_AFTER: gst::ClockTime = gst::ClockTime::from_mseconds(20);

/// When one record is due.
pub(super) struct Times {
    pub(super) start_ns: u64,
    pub(super) duration_ns: u64,
    /// The stream had run dry before it.
    pub(super) resumes: bool,
}

/// Gives records without times theirs, by counting frames.
pub(super) struct PcmTimes {
    frame_bytes: u32,
    rate_hz: u32,
    /// Where the stream began, or went on after it had run dry, and the frames since.
    anchor_ns: u64,
    since_anchor: u64,
    frames: u64,
}

impl PcmTimes {
    /// Of this stream, if it is PCM of a known form.
    pub(super) fn of(description: &Description) -> Option<Self> {
        let frame_bytes = u32::try_from(Pcm::of(description.codec)?.frame_bytes(&description.shape)).ok()?;
        let rate_hz = description.shape.sample_rate;
        is_complete(&description.shape).then_some(Self {
            frame_bytes,
            rate_hz,
            anchor_ns: 0,
            since_anchor: 0,
            frames: 0,
        })
    }

    /// The next record begins at this media time.
    pub(super) fn begin_at(&mut self, media: gst::ClockTime) {
        (self.anchor_ns, self.since_anchor) = (media.nseconds(), 0);
    }

    /// When this record is due; one that has a time of its own is due then. `lateness` says how long ago a media time
    /// was due.
    pub(super) fn next(
        &mut self,
        header: &FrameHeader,
        lateness: impl FnOnce(gst::ClockTime) -> gst::ClockTime,
    ) -> Times {
        let mut resumes = false;
        if let Some(own_ns) = header.presentation_ns {
            self.begin_at(clock_time(own_ns));
        } else {
            let due = clock_time(self.end_ns());
            let late = lateness(due);
            resumes = late > LATENESS_MAX;
            if resumes {
                self.begin_at(due.saturating_add(late).saturating_add(RESUME_AFTER));
            }
        }
        let start_ns = self.end_ns();
        let frames = u64::from(header.bytes / self.frame_bytes);
        (self.since_anchor, self.frames) = (self.since_anchor + frames, self.frames + frames);
        Times { start_ns, duration_ns: self.end_ns().saturating_sub(start_ns), resumes }
    }

    fn end_ns(&self) -> u64 {
        let since_ns = u128::from(self.since_anchor) * 1_000_000_000 / u128::from(self.rate_hz);
        self.anchor_ns.saturating_add(u64::try_from(since_ns).unwrap_or(u64::MAX))
    }

    pub(super) fn progress(&self) -> PcmProgress {
        PcmProgress { frames: self.frames, end_ns: self.end_ns(), rate_hz: self.rate_hz }
    }
}

#[cfg(test)]
mod tests {
    use greenroom_core::message::playback::{Codec, Shape};
    use greenroom_core::ring::RecordKind;

    use super::*;

    const STEREO: Shape = Shape {
        width: 0,
        height: 0,
        frame_rate_numerator: 0,
        frame_rate_denominator: 0,
        sample_rate: 44_100,
        channels: 2,
    };

    fn stream(shape: Shape) -> Description {
        Description { codec: Codec::PcmS16Le, shape, codec_data: Vec::new() }
    }

    fn record(frames: u32, presentation_ns: Option<u64>) -> FrameHeader {
        let bytes = frames * 4;
        let kind = RecordKind::Frame;
        FrameHeader { kind, epoch: 0, presentation_ns, decode_ns: None, duration_ns: None, is_key: false, bytes }
    }

    fn in_time(_: gst::ClockTime) -> gst::ClockTime {
        gst::ClockTime::ZERO
    }

    #[test]
    fn records_follow_each_other_and_no_rounding_adds_up() {
        let mut times = PcmTimes::of(&stream(STEREO)).unwrap();
        let mut end_ns = 0;
        for _ in 0..44_100 {
            let next = times.next(&record(1, None), in_time);
            assert_eq!(next.start_ns, end_ns);
            end_ns = next.start_ns + next.duration_ns;
        }
        assert_eq!(end_ns, 1_000_000_000);
    }

    #[test]
    fn what_comes_after_the_stream_had_run_dry_begins_now() {
        let mut times = PcmTimes::of(&stream(STEREO)).unwrap();
        times.next(&record(44_100, None), in_time);
        let late = times.next(&record(441, None), |_| gst::ClockTime::from_mseconds(40));
        assert!(!late.resumes && late.start_ns == 1_000_000_000, "this is jitter");
        let dry = times.next(&record(441, None), |due| gst::ClockTime::from_seconds(5) - due);
        assert!(dry.resumes);
        assert_eq!(dry.start_ns, 5_020_000_000);
        assert_eq!(times.progress().frames, 44_982);
    }

    #[test]
    fn a_record_with_a_time_of_its_own_keeps_it_and_the_next_follows() {
        let mut times = PcmTimes::of(&stream(STEREO)).unwrap();
        assert_eq!(times.next(&record(441, Some(7)), in_time).start_ns, 7);
        assert_eq!(times.next(&record(441, None), in_time).start_ns, 10_000_007);
    }

    #[test]
    fn a_stream_whose_form_is_not_known_has_no_times() {
        assert!(PcmTimes::of(&stream(Shape { channels: 0, ..STEREO })).is_none());
        assert!(PcmTimes::of(&stream(Shape { sample_rate: 0, ..STEREO })).is_none());
        assert!(PcmTimes::of(&Description { codec: Codec::Opus, ..stream(STEREO) }).is_none());
    }
}
