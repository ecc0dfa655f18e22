//! The GStreamer element that pulls from a [`Frames`].
//!
//! Its streaming thread is the consumer of the ring: it copies a payload once, into the buffer that the decoder gets.
//!
//! ```text
//! streaming thread:  next -> copy -> release -> push downstream
//!                    nothing there: poll(bell, wake)
//! worker:            interrupt + flush-start -> [streaming stops] -> new epoch, new segment -> flush-stop
//! ```

use std::sync::{Arc, Mutex, PoisonError};

use greenroom_core::message::playback::MediaKind;
use greenroom_core::ring::FrameHeader;
use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;

use super::command::{Description, Frames};
use super::elements;
use super::pcm_times::PcmTimes;
use super::status::Tally;
use super::time::clock_time;
use super::wake;
use crate::error::LinuxError;

mod imp;

/// Where the media time of a stream meets the running time of its pipeline. It is shared by sources whose first frame
/// decides it, so that they stay in step.
#[derive(Clone, Debug, Default)]
pub(super) struct Anchor(Arc<Mutex<Option<Meeting>>>);

#[derive(Clone, Copy, Debug)]
struct Meeting {
    media: gst::ClockTime,
    running: gst::ClockTime,
}

impl Anchor {
    fn meet(&self, media: gst::ClockTime, running: gst::ClockTime) -> Meeting {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(Meeting { media, running })
    }
}

/// Which segment the next frame begins.
#[derive(Clone, Debug)]
pub(super) enum Beginning {
    /// The same as before.
    Unchanged,
    /// One that starts at this media time, at running time 0.
    At(gst::ClockTime),
    /// One that starts with the first frame that comes.
    FirstFrame(Anchor),
}

/// How a source is supplied with frames since the last flush.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Supply {
    /// Nothing is there, and nothing is on its way.
    pub(super) is_dry: bool,
    /// The last frame has come.
    pub(super) has_ended: bool,
    /// When the last frame that came will have been played, in running time as recorded.
    pub(super) end: Option<gst::ClockTime>,
}

/// What the streaming thread works with. Nobody else touches it while the thread runs.
struct Feed {
    frames: Box<dyn Frames>,
    description: Description,
    beginning: Beginning,
    /// Media time at which the last frame ended, if one was sent since the last flush.
    end: Option<gst::ClockTime>,
    is_discontinuous: bool,
    /// The times of PCM whose records have none.
    pcm: Option<PcmTimes>,
}

impl Feed {
    fn new(frames: Box<dyn Frames>, description: Description, beginning: Beginning) -> Self {
        let pcm = PcmTimes::of(&description);
        Self { frames, description, beginning, end: None, is_discontinuous: true, pcm }
    }

    fn stamp(&mut self, buffer: &mut gst::BufferRef, header: &FrameHeader) {
        let presentation = header.presentation_ns.map(clock_time);
        let duration = header.duration_ns.map(clock_time);
        buffer.set_pts(presentation);
        buffer.set_dts(header.decode_ns.map(clock_time));
        buffer.set_duration(duration);
        if self.description.codec.kind() == MediaKind::Video && !header.is_key {
            buffer.set_flags(gst::BufferFlags::DELTA_UNIT);
        }
        if std::mem::take(&mut self.is_discontinuous) {
            buffer.set_flags(gst::BufferFlags::DISCONT);
        }
        let end = presentation.map(|start| start.saturating_add(duration.unwrap_or_default()));
        self.end = self.end.max(end);
    }
}

glib::wrapper! {
    /// A source element that takes its frames from a [`Frames`].
    pub(super) struct FrameSrc(ObjectSubclass<imp::FrameSrc>)
        @extends gstreamer_base::PushSrc, gstreamer_base::BaseSrc, gst::Element, gst::Object;
}

impl FrameSrc {
    /// Makes the element. A live one has no frames before it plays, and its first frame decides where its time starts.
    pub(super) fn new(
        description: Description,
        frames: Box<dyn Frames>,
        beginning: Beginning,
        is_live: bool,
        tally: Arc<Tally>,
    ) -> Result<Self, LinuxError> {
        let wake = wake::Wake::new()?;
        let source = elements::construct::<Self>();
        let feed = Feed::new(frames, description, beginning);
        imp::FrameSrc::from_obj_ref(&source).set_up(feed, wake, tally);
        gstreamer_base::prelude::BaseSrcExt::set_live(&source, is_live);
        Ok(source)
    }

    /// Stops the stream and empties everything behind it. Ends when [`Self::flush_stop`] is called.
    pub(super) fn flush_start(&self) {
        imp::FrameSrc::from_obj_ref(self).interrupt();
        let _ = self.source_pad().push_event(gst::event::FlushStart::new());
    }

    /// Lets the stream begin again with the frames of `epoch`.
    pub(super) fn flush_stop(&self, epoch: u32, beginning: Beginning, resets_time: bool) {
        let pad = self.source_pad();
        // The streaming thread holds this while it is in `create`: once we have it, it is at rest.
        let _at_rest = pad.stream_lock();
        imp::FrameSrc::from_obj_ref(self).renew(epoch, beginning);
        self.send_event(gst::event::FlushStop::new(resets_time));
    }

    pub(super) fn supply(&self) -> Supply {
        imp::FrameSrc::from_obj_ref(self).supply()
    }

    /// Gives up the frames. Only in state `NULL`.
    pub(super) fn release_frames(&self) {
        imp::FrameSrc::from_obj_ref(self).release_frames();
    }

    fn source_pad(&self) -> gst::Pad {
        self.static_pad("src").expect("a base source always has its pad")
    }
}
