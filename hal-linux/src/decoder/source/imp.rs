//! The part of the source element that GStreamer calls.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

use greenroom_core::ring::{FrameHeader, RecordKind, RingError};
use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer::subclass::prelude::*;
use gstreamer_base::prelude::*;
use gstreamer_base::subclass::base_src::CreateSuccess;
use gstreamer_base::subclass::prelude::*;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::super::caps;
use super::super::command::Description;
use super::super::pcm::Pcm;
use super::super::status::Tally;
use super::super::time::clock_time;
use super::super::wake::Wake;
use super::{Beginning, Feed, Supply};

/// A live stream is played this much after it came in: longer than frames of broadcast streams jitter on their way.
const LIVE_LATENCY: gst::ClockTime = gst::ClockTime::from_mseconds(200);

/// Why no buffer could be made.
enum Trouble {
    Ring(RingError),
    Bell(Errno),
}

impl From<RingError> for Trouble {
    fn from(error: RingError) -> Self {
        Self::Ring(error)
    }
}

/// What is there when the streaming thread has looked.
enum Found {
    Record(FrameHeader),
    Interrupted,
}

/// Half a sample at the end of raw sound is none, and would shift all that follows.
fn cut_to_samples(buffer: &mut gst::Buffer, description: &Description) {
    if let Some(pcm) = Pcm::of(description.codec) {
        let bytes = buffer.size();
        buffer.make_mut().set_size(bytes - bytes % pcm.frame_bytes(&description.shape));
    }
}

/// What is set once, before the element is used.
struct Fixtures {
    wake: Wake,
    tally: Arc<Tally>,
}

#[derive(Default)]
pub(in super::super) struct FrameSrc {
    feed: Mutex<Option<Feed>>,
    caps: Mutex<Option<gst::Caps>>,
    fixtures: OnceLock<Fixtures>,
    supply: Mutex<Supply>,
    /// GStreamer wants the streaming thread back.
    unlocked: AtomicBool,
    /// The worker wants it to rest for a flush.
    interrupted: AtomicBool,
}

#[glib::object_subclass]
impl ObjectSubclass for FrameSrc {
    const NAME: &'static str = "GreenroomFrameSrc";
    type Type = super::FrameSrc;
    type ParentType = gstreamer_base::PushSrc;
}

impl ObjectImpl for FrameSrc {
    fn constructed(&self) {
        self.parent_constructed();
        let obj = self.obj();
        obj.set_format(gst::Format::Time);
        obj.set_automatic_eos(false);
    }
}

impl GstObjectImpl for FrameSrc {}

impl ElementImpl for FrameSrc {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new("Frame source", "Source", "Takes frames from a ring", "Greenroom")
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let any = gst::Caps::new_any();
            gst::PadTemplate::new("src", gst::PadDirection::Src, gst::PadPresence::Always, &any).into_iter().collect()
        });
        &TEMPLATES
    }
}

impl BaseSrcImpl for FrameSrc {
    /// Only the worker moves the stream, for all sources at once; nobody downstream does.
    fn is_seekable(&self) -> bool {
        false
    }

    fn caps(&self, filter: Option<&gst::Caps>) -> Option<gst::Caps> {
        let caps = self.present_caps().clone()?;
        Some(match filter {
            Some(filter) => filter.intersect_with_mode(&caps, gst::CapsIntersectMode::First),
            None => caps,
        })
    }

    fn unlock(&self) -> Result<(), gst::ErrorMessage> {
        self.unlocked.store(true, Ordering::SeqCst);
        self.wake();
        Ok(())
    }

    fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
        self.unlocked.store(false, Ordering::SeqCst);
        Ok(())
    }

    fn query(&self, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Latency(latency) => {
                let is_live = self.obj().is_live();
                let min = if is_live { LIVE_LATENCY } else { gst::ClockTime::ZERO };
                latency.set(is_live, min, gst::ClockTime::NONE);
                true
            }
            _ => BaseSrcImplExt::parent_query(self, query),
        }
    }
}

impl PushSrcImpl for FrameSrc {
    fn create(&self, _: Option<&mut gst::BufferRef>) -> Result<CreateSuccess, gst::FlowError> {
        let mut feed = self.feed();
        let feed = feed.as_mut().ok_or(gst::FlowError::Flushing)?;
        loop {
            let header = match self.await_record(feed) {
                Ok(Found::Record(header)) => header,
                Ok(Found::Interrupted) => return Err(gst::FlowError::Flushing),
                Err(trouble) => return Err(self.tell(&trouble)),
            };
            match header.kind {
                RecordKind::Frame => return self.take_frame(feed, &header).map(CreateSuccess::NewBuffer),
                RecordKind::EndOfStream => {
                    self.present_supply().has_ended = true;
                    feed.frames.release();
                    return Err(gst::FlowError::Eos);
                }
                RecordKind::Segment => self.begin_stretch(feed, &header),
                RecordKind::CodecData => self.change_codec_data(feed, &header)?,
            }
        }
    }
}

impl FrameSrc {
    pub(super) fn from_obj_ref(obj: &super::FrameSrc) -> &Self {
        Self::from_obj(obj)
    }

    pub(super) fn set_up(&self, feed: Feed, wake: Wake, tally: Arc<Tally>) {
        *self.present_caps() = Some(caps::of_source(&feed.description));
        *self.feed() = Some(feed);
        let weak = self.downgrade();
        tally.count_queued_with(Box::new(move || weak.upgrade()?.queued()));
        let _ = self.fixtures.set(Fixtures { wake, tally });
    }

    pub(super) fn interrupt(&self) {
        self.interrupted.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Begins anew; the streaming thread is at rest.
    pub(super) fn renew(&self, epoch: u32, beginning: Beginning) {
        if let Some(feed) = self.feed().as_mut() {
            *self.present_supply() = Supply::default();
            feed.frames.set_epoch(epoch);
            feed.is_discontinuous = true;
            feed.end = None;
            if let (Some(pcm), Beginning::At(media)) = (&mut feed.pcm, &beginning) {
                pcm.begin_at(*media);
            }
            if !matches!(beginning, Beginning::Unchanged) {
                feed.beginning = beginning;
            }
        }
        self.interrupted.store(false, Ordering::SeqCst);
    }

    pub(super) fn release_frames(&self) {
        *self.feed() = None;
    }

    fn feed(&self) -> MutexGuard<'_, Option<Feed>> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Frames that wait in the ring; nothing, while the streaming thread uses it.
    fn queued(&self) -> Option<u32> {
        let feed = self.feed.try_lock().ok()?;
        feed.as_ref().map(|feed| feed.frames.waiting_records())
    }

    pub(super) fn supply(&self) -> Supply {
        *self.present_supply()
    }

    fn present_supply(&self) -> MutexGuard<'_, Supply> {
        self.supply.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn present_caps(&self) -> MutexGuard<'_, Option<gst::Caps>> {
        self.caps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        if let Some(fixtures) = self.fixtures.get() {
            fixtures.wake.set();
        }
    }

    fn is_interrupted(&self) -> bool {
        self.unlocked.load(Ordering::SeqCst) || self.interrupted.load(Ordering::SeqCst)
    }

    /// The next record, or that somebody wants this thread to stop.
    fn await_record(&self, feed: &mut Feed) -> Result<Found, Trouble> {
        loop {
            if self.is_interrupted() {
                return Ok(Found::Interrupted);
            }
            let next = feed.frames.next();
            self.count_stale(feed);
            if let Some(header) = next? {
                self.present_supply().is_dry = false;
                return Ok(Found::Record(header));
            }
            if feed.frames.prepare_to_sleep()? {
                self.present_supply().is_dry = true;
                self.sleep(feed).map_err(Trouble::Bell)?;
            }
        }
    }

    /// Blocks until the bell rings or somebody wakes us.
    fn sleep(&self, feed: &Feed) -> Result<(), Errno> {
        let Some(fixtures) = self.fixtures.get() else { return Ok(()) };
        let bell = feed.frames.bell();
        let mut both = [PollFd::new(&bell, PollFlags::IN), PollFd::new(&fixtures.wake, PollFlags::IN)];
        match poll(&mut both, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        let [bell_ready, wake_ready] = both.map(|one| one.revents());
        if wake_ready.contains(PollFlags::IN) {
            fixtures.wake.clear();
        }
        if bell_ready.is_empty() || feed.frames.clear_bell() { Ok(()) } else { Err(Errno::BADF) }
    }

    fn count_stale(&self, feed: &Feed) {
        if let Some(fixtures) = self.fixtures.get() {
            fixtures.tally.stale.store(feed.frames.stale_records(), Ordering::Relaxed);
        }
    }

    fn take_frame(&self, feed: &mut Feed, header: &FrameHeader) -> Result<gst::Buffer, gst::FlowError> {
        let mut buffer = self.copy(feed, header)?;
        cut_to_samples(&mut buffer, &feed.description);
        let header = &self.with_times(feed, header);
        self.begin_segment(feed, header.presentation_ns.map(clock_time).unwrap_or_default());
        feed.stamp(buffer.make_mut(), header);
        self.present_supply().end = feed.end.map(|end| self.running_time_at(end));
        if let Some(fixtures) = self.fixtures.get() {
            fixtures.tally.taken.fetch_add(1, Ordering::Relaxed);
        }
        Ok(buffer)
    }

    /// PCM without times follows what came before. What comes late begins now, so that the rest is not late, too.
    fn with_times(&self, feed: &mut Feed, header: &FrameHeader) -> FrameHeader {
        let Some(pcm) = feed.pcm.as_mut() else { return *header };
        let times = pcm.next(header, |media| self.lateness(media));
        feed.is_discontinuous |= times.resumes;
        if let Some(fixtures) = self.fixtures.get() {
            fixtures.tally.set_pcm(pcm.progress());
        }
        FrameHeader { presentation_ns: Some(times.start_ns), duration_ns: Some(times.duration_ns), ..*header }
    }

    /// How long ago this media time was due, where time passes.
    fn lateness(&self, media: gst::ClockTime) -> gst::ClockTime {
        let obj = self.obj();
        let now = obj.current_running_time().filter(|_| obj.current_state() == gst::State::Playing);
        now.map_or(gst::ClockTime::ZERO, |now| now.saturating_sub(self.running_time_at(media)))
    }

    /// Copies a record's payload and gives its place back.
    fn copy(&self, feed: &mut Feed, header: &FrameHeader) -> Result<gst::Buffer, gst::FlowError> {
        let mut buffer = gst::Buffer::with_size(header.bytes as usize).map_err(|_| gst::FlowError::Error)?;
        let mut map = buffer.make_mut().map_writable().map_err(|_| gst::FlowError::Error)?;
        let copied = feed.frames.copy_payload(&mut map);
        drop(map);
        copied.map_err(|error| self.tell(&Trouble::Ring(error)))?;
        feed.frames.release();
        Ok(buffer)
    }

    /// Begins the segment that the worker wants, if it wants one, with what comes at this media time.
    fn begin_segment(&self, feed: &mut Feed, first: gst::ClockTime) {
        let (media, running) = match std::mem::replace(&mut feed.beginning, Beginning::Unchanged) {
            Beginning::Unchanged => return,
            Beginning::At(media) => (media, gst::ClockTime::ZERO),
            Beginning::FirstFrame(anchor) => {
                let meeting = anchor.meet(first, self.running_time());
                (meeting.media, meeting.running)
            }
        };
        self.push_segment(media, running);
    }

    /// Another stretch of the media begins: the first of all, or one behind what was sent, without a gap, or, after a
    /// flush that left the time alone, one that is due when its time says so.
    fn begin_stretch(&self, feed: &mut Feed, header: &FrameHeader) {
        feed.frames.release();
        let media = header.presentation_ns.map(clock_time).unwrap_or_default();
        match (feed.end.take(), &feed.beginning) {
            (Some(end), _) => self.push_segment(media, self.running_time_at(end)),
            (None, Beginning::Unchanged) => self.push_segment(media, self.running_time_at(media)),
            (None, Beginning::At(_)) => feed.beginning = Beginning::At(media),
            (None, Beginning::FirstFrame(_)) => self.begin_segment(feed, media),
        }
    }

    /// When this media time is due in the present segment; now, if it lies outside.
    fn running_time_at(&self, media: gst::ClockTime) -> gst::ClockTime {
        let segment = self.obj().segment().downcast::<gst::ClockTime>().ok();
        let due = segment.and_then(|segment| segment.to_running_time(media));
        due.or_else(|| self.obj().current_running_time()).unwrap_or_default()
    }

    fn push_segment(&self, media: gst::ClockTime, running: gst::ClockTime) {
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        segment.set_start(media);
        segment.set_position(media);
        segment.set_time(media);
        segment.set_base(running);
        if let Err(error) = self.obj().new_segment(segment.upcast_ref()) {
            tracing::warn!(%error, "a segment was not accepted");
        }
    }

    /// Where a live pipeline is: its frames are due when they come. Any other begins at 0.
    fn running_time(&self) -> gst::ClockTime {
        let obj = self.obj();
        if obj.is_live() { obj.current_running_time().unwrap_or_default() } else { gst::ClockTime::ZERO }
    }

    fn change_codec_data(&self, feed: &mut Feed, header: &FrameHeader) -> Result<(), gst::FlowError> {
        let payload = self.copy(feed, header)?;
        let codec_data = payload.map_readable().map_err(|_| gst::FlowError::Error)?;
        feed.description.change_codec_data(&codec_data);
        let changed = caps::of_source(&feed.description);
        *self.present_caps() = Some(changed.clone());
        self.obj().set_caps(&changed).map_err(|_| gst::FlowError::NotNegotiated)
    }

    fn tell(&self, trouble: &Trouble) -> gst::FlowError {
        match trouble {
            Trouble::Ring(error) => gst::element_imp_error!(self, gst::ResourceError::Read, ["{error}"]),
            Trouble::Bell(error) => gst::element_imp_error!(self, gst::ResourceError::Failed, ["the bell: {error}"]),
        }
        gst::FlowError::Error
    }
}
