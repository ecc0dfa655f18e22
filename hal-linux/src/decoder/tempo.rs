//! Plays faster or slower, without a gap: the time that frames are due at is changed on their way to the sinks.
//!
//! Sources and decoders know nothing of it; what has passed this point when the rate changes is played at the old one.
//!
//! ```text
//! FrameSrc ! parser ! decoder ! queue --[segments of rate 1 become those of the rate]--> converters ! sink
//!                                                            late frames: <--[and back]--
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::time::clock_time;

/// The rate at which media plays as it was recorded.
const AS_RECORDED_PERMILLE: u16 = 1000;

/// From one point of running time on media plays at one rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Course {
    /// The point, as if all were played as recorded.
    recorded_ns: i128,
    /// The point, as the pipeline's clock has it.
    real_ns: i128,
    permille: u16,
    /// Which course it is.
    number: u32,
}

impl Course {
    fn to_real_ns(self, recorded_ns: i128) -> i128 {
        self.real_ns + (recorded_ns - self.recorded_ns) * i128::from(AS_RECORDED_PERMILLE) / i128::from(self.permille)
    }

    fn to_recorded_ns(self, real_ns: i128) -> i128 {
        self.recorded_ns + (real_ns - self.real_ns) * i128::from(self.permille) / i128::from(AS_RECORDED_PERMILLE)
    }

    /// The segment whose frames are due when this course says. What was due before running time began is cut off.
    fn bend(self, segment: &gst::FormattedSegment<gst::ClockTime>) -> gst::FormattedSegment<gst::ClockTime> {
        let base_ns = self.to_real_ns(nanoseconds(segment.base()));
        let cut = time(if base_ns < 0 { self.to_recorded_ns(0) - nanoseconds(segment.base()) } else { 0 });
        let mut bent = segment.clone();
        bent.set_rate(f64::from(self.permille) / f64::from(AS_RECORDED_PERMILLE));
        bent.set_base(time(base_ns));
        let later = |moment: Option<gst::ClockTime>| moment.map(|moment| moment.saturating_add(cut));
        bent.set_start(later(segment.start()));
        bent.set_time(later(segment.time()));
        bent.set_position(later(segment.position()));
        bent
    }
}

fn nanoseconds(time: impl Into<Option<gst::ClockTime>>) -> i128 {
    time.into().map_or(0, |time| i128::from(time.nseconds()))
}

fn time(nanoseconds: i128) -> gst::ClockTime {
    clock_time(u64::try_from(nanoseconds).unwrap_or(0))
}

/// How fast a session plays. Its branches and its worker share it; it is never locked while GStreamer is called.
#[derive(Clone, Debug)]
pub(super) struct Tempo(Arc<Mutex<Course>>);

impl Tempo {
    pub(super) fn new(permille: u16) -> Self {
        Self(Arc::new(Mutex::new(Course { recorded_ns: 0, real_ns: 0, permille: permille.max(1), number: 0 })))
    }

    fn course(&self) -> MutexGuard<'_, Course> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plays at this rate from the running time `now` on.
    pub(super) fn change(&self, permille: u16, now: gst::ClockTime) {
        let mut course = self.course();
        let real_ns = nanoseconds(now);
        *course = Course {
            recorded_ns: course.to_recorded_ns(real_ns),
            real_ns,
            permille: permille.max(1),
            number: course.number.wrapping_add(1),
        };
    }

    /// Running time begins at 0 again; the rate stays.
    pub(super) fn restart(&self) {
        let mut course = self.course();
        *course = Course { recorded_ns: 0, real_ns: 0, ..*course };
    }

    /// When that is due which would be due at this running time if all were played as recorded.
    pub(super) fn to_real(&self, recorded: gst::ClockTime) -> gst::ClockTime {
        time(self.course().to_real_ns(nanoseconds(recorded)))
    }

    /// Has what passes this pad be due as the rate says.
    pub(super) fn pace(&self, pad: &gst::Pad) {
        let pacer = Pacer { tempo: self.clone(), passed: Mutex::default() };
        let kinds = gst::PadProbeType::EVENT_BOTH | gst::PadProbeType::EVENT_FLUSH;
        pad.add_probe(kinds | gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST, move |pad, info| {
            match info.event_mut() {
                Some(event) => pacer.pass(event),
                None => pacer.keep_up(pad),
            }
            gst::PadProbeReturn::Ok
        });
    }
}

/// What has passed a pad last.
#[derive(Debug, Default)]
struct Passed {
    /// As the source sent it.
    segment: Option<gst::Event>,
    course: u32,
}

struct Pacer {
    tempo: Tempo,
    passed: Mutex<Passed>,
}

impl Pacer {
    fn passed(&self) -> MutexGuard<'_, Passed> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass(&self, event: &mut gst::Event) {
        let course = *self.tempo.course();
        let bent = match event.view() {
            gst::EventView::Segment(segment) => segment.segment().downcast_ref().map(|segment| {
                let bent = course.bend(segment);
                gst::event::Segment::builder(&bent).seqnum(event.seqnum()).build()
            }),
            gst::EventView::FlushStop(_) => {
                self.passed().segment = None;
                None
            }
            gst::EventView::Qos(qos) => straighten(qos, course),
            _ => None,
        };
        let Some(bent) = bent else { return };
        let passed = std::mem::replace(event, bent);
        if passed.type_() == gst::EventType::Segment {
            *self.passed() = Passed { segment: Some(passed), course: course.number };
        }
    }

    /// Sends the last segment once more when the course is another one since: it is bent anew on its way.
    fn keep_up(&self, pad: &gst::Pad) {
        if let Some(segment) = self.outdated_segment() {
            pad.push_event(segment);
        }
    }

    fn outdated_segment(&self) -> Option<gst::Event> {
        let course = self.tempo.course().number;
        let passed = self.passed();
        // A copy: the very event that was sent last would not be sent again.
        passed.segment.as_ref().filter(|_| passed.course != course).map(|segment| gst::EventRef::to_owned(segment))
    }
}

/// Tells a decoder of late frames in its own time; nothing, where that is the same.
fn straighten(qos: &gst::event::Qos, course: Course) -> Option<gst::Event> {
    let (kind, proportion, late_by, moment) = qos.get();
    let real_ns = nanoseconds(moment?);
    let recorded = time(course.to_recorded_ns(real_ns));
    // None may be early by more than there was before it.
    let late_by = late_by.max(i64::try_from(recorded.nseconds()).map_or(i64::MIN, |nanoseconds| -nanoseconds));
    let is_same = nanoseconds(recorded) == real_ns;
    (!is_same).then(|| gst::event::Qos::new(kind, proportion, late_by, recorded))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: gst::ClockTime = gst::ClockTime::SECOND;

    #[test]
    fn what_comes_after_a_change_is_due_at_the_new_rate_from_there_on() {
        let tempo = Tempo::new(1000);
        tempo.change(2000, 10 * SECOND);
        assert_eq!(tempo.to_real(10 * SECOND), 10 * SECOND);
        assert_eq!(tempo.to_real(30 * SECOND), 20 * SECOND);
        tempo.change(500, 20 * SECOND);
        assert_eq!(tempo.to_real(30 * SECOND), 20 * SECOND);
        assert_eq!(tempo.to_real(31 * SECOND), 22 * SECOND);
        tempo.restart();
        assert_eq!(tempo.to_real(2 * SECOND), 4 * SECOND);
    }

    #[test]
    fn a_bent_segment_has_its_frames_due_when_the_course_says() {
        gst::init().unwrap();
        for (base, start) in [(0, 0), (0, 100), (7, 3600)] {
            for (permille, now) in [(1000, 0), (2000, 0), (2000, 10), (500, 10), (100, 10), (8000, 30)] {
                let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
                segment.set_base(base * SECOND);
                segment.set_start(start * SECOND);
                segment.set_time(start * SECOND);
                let tempo = Tempo::new(1000);
                tempo.change(permille, now * SECOND);
                let bent = tempo.course().bend(&segment);
                for second in 30..50 {
                    let media = (start + second) * SECOND;
                    let due = tempo.to_real(segment.to_running_time(media).unwrap());
                    let bent_due = bent.to_running_time(media).unwrap();
                    assert!(due.absdiff(bent_due) <= gst::ClockTime::from_nseconds(10), "{permille}: {due} {bent_due}");
                    assert_eq!(bent.to_stream_time(media), Some(media), "{permille}");
                }
            }
        }
    }
}
