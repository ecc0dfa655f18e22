//! Times of apps, as GStreamer's.

use gstreamer as gst;

/// This many nanoseconds. The highest number means no time at all to GStreamer, whose type panics at it; from an app it is
/// the time before that.
pub(super) fn clock_time(nanoseconds: u64) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(nanoseconds.min(gst::ClockTime::MAX.nseconds()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SM-35
    #[test]
    fn every_number_of_an_app_is_a_time() {
        assert_eq!(clock_time(7).nseconds(), 7);
        assert_eq!([u64::MAX - 1, u64::MAX].map(clock_time), [gst::ClockTime::MAX; 2]);
    }
}
