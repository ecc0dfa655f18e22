//! A media file, demuxed by GStreamer into coded frames.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use greenroom_core::message::playback::{Codec, MediaKind};
use greenroom_hal_linux::client::Frame;
use gstreamer::{self as gst, glib, prelude::*};
use gstreamer_app as gst_app;

use super::caps::{self, Description};

/// A file on a slow disk or stick is opened within this; what takes longer is stuck.
const OPEN_TIMEOUT: Duration = Duration::from_secs(8);
/// How often is looked whether something went wrong meanwhile.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// How far one stream may run ahead of another in a badly interleaved file, in time and bytes.
const AHEAD_MAX: gst::ClockTime = gst::ClockTime::from_seconds(10);
const AHEAD_BYTES_MAX: u32 = 64 * 1024 * 1024;

/// Why a file cannot be played.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// Caller: the file is not there or not readable.
    #[error("{file}: cannot be read: {cause}")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the platform said.
        cause: String,
    },
    /// Caller: the file is no media file, or of a kind that nothing here can take apart.
    #[error(
        "{file}: not a media file that GStreamer can take apart here ({cause}); try another file, or install more of its plugins"
    )]
    NotMedia {
        /// The file.
        file: PathBuf,
        /// What GStreamer said.
        cause: String,
    },
    /// Caller: the file is damaged.
    #[error("{file}: damaged: {cause}; get a good copy")]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What GStreamer said.
        cause: String,
    },
    /// Caller: no stream of the file can be played by a session server.
    #[error("{file}: no stream that can be played; it has {found}")]
    NoStream {
        /// The file.
        file: PathBuf,
        /// What was found.
        found: String,
    },
    /// Caller: the program was asked to end before the file was open.
    #[error("{file}: not opened: the program was asked to end")]
    Unwanted {
        /// The file.
        file: PathBuf,
    },
    /// Platform: GStreamer does not work here.
    #[error("GStreamer cannot be used: {0}; install it with its base and good plugins")]
    Platform(String),
}

/// A file that is open: its streams, ready to be pulled from.
#[derive(Debug)]
pub(super) struct Media {
    file: PathBuf,
    pipeline: gst::Pipeline,
    pub(super) streams: Vec<Stream>,
    pub(super) duration: Option<Duration>,
    /// Streams that are left out, and why.
    pub(super) notes: Vec<String>,
    is_at_start: bool,
}

/// One stream of a file.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    sink: gst_app::AppSink,
    /// What told the description, until it is pulled or the file is moved.
    first: Arc<Mutex<Option<gst::Sample>>>,
    pub(super) description: Description,
}

/// What came out of a stream.
#[derive(Debug)]
pub(super) enum Pulled {
    Frame(CodedFrame),
    /// No more, unless the file is sought.
    End,
    /// Nothing within the time.
    Nothing,
}

/// A frame that GStreamer holds.
#[derive(Debug)]
pub(super) struct CodedFrame {
    buffer: gst::MappedBuffer<gst::buffer::Readable>,
    presentation: Option<Duration>,
    decode: Option<Duration>,
}

impl CodedFrame {
    pub(super) fn as_frame(&self) -> Frame<'_> {
        Frame {
            presentation: self.presentation,
            decode: self.decode,
            duration: self.buffer.buffer().duration().map(Duration::from),
            is_key: !self.buffer.buffer().flags().contains(gst::BufferFlags::DELTA_UNIT),
            data: &self.buffer,
        }
    }
}

impl Media {
    /// Opens a file and finds its streams: at most one of a kind.
    ///
    /// `is_unwanted` is asked now and then; when it says so, the file is given up.
    pub(super) fn open(file: &Path, is_unwanted: &mut dyn FnMut() -> bool) -> Result<Self, MediaError> {
        let unreadable = |cause: String| MediaError::Unreadable { file: file.to_owned(), cause };
        // Before it is opened: a pipe that nobody writes to would be waited for, and no signal would end that.
        if !fs::metadata(file).map_err(|error| unreadable(error.to_string()))?.is_file() {
            return Err(unreadable("it is a directory, a pipe or a device; give a file".into()));
        }
        File::open(file).map_err(|error| unreadable(error.to_string()))?;
        gst::init().map_err(|error| MediaError::Platform(error.to_string()))?;
        let (pipeline, found) = build(file)?;
        let (streams, notes) = (Vec::new(), Vec::new());
        let mut media = Self { file: file.to_owned(), pipeline, streams, duration: None, notes, is_at_start: true };
        media.set_state(gst::State::Playing)?;
        media.await_streams(&found, is_unwanted)?;
        media.duration = media.pipeline.query_duration::<gst::ClockTime>().map(Duration::from);
        Ok(media)
    }

    /// Makes the next frames be those from this position on, whoever pulled before. A file that cannot be sought in can
    /// still be played once from its start.
    pub(super) fn start_from(&mut self, position: Duration) -> Result<(), MediaError> {
        if std::mem::replace(&mut self.is_at_start, false) && position.is_zero() {
            return Ok(());
        }
        self.seek(position)
    }

    /// Goes to the last key frame at or before this position; what was not pulled yet is dropped.
    pub(super) fn seek(&self, position: Duration) -> Result<(), MediaError> {
        self.streams.iter().for_each(Stream::forget_first);
        let position = gst::ClockTime::try_from(position).unwrap_or(gst::ClockTime::MAX);
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT | gst::SeekFlags::SNAP_BEFORE;
        self.pipeline.seek_simple(flags, position).map_err(|_| self.damaged("it cannot be sought in"))
    }

    /// Plays without this stream. It still has to flow, or the file would not.
    pub(super) fn leave_out(&mut self, place: usize) {
        if place < self.streams.len() {
            self.streams.remove(place).sink.set_drop(true);
        }
    }

    /// What has gone wrong since, if something has.
    pub(super) fn failure(&self) -> Option<MediaError> {
        let message = self.pipeline.bus()?.pop_filtered(&[gst::MessageType::Error])?;
        match message.view() {
            gst::MessageView::Error(error) => Some(self.classify(&error.error())),
            _ => None,
        }
    }

    /// Waits until the demuxer has told all streams and each has given a frame, which is when its caps are final.
    fn await_streams(&mut self, found: &Found, is_unwanted: &mut dyn FnMut() -> bool) -> Result<(), MediaError> {
        let deadline = Instant::now() + OPEN_TIMEOUT;
        while !found.lock().is_complete {
            self.check(deadline, is_unwanted)?;
            std::thread::sleep(LOOK_INTERVAL);
        }
        let Branches { sinks, mut left_out, .. } = std::mem::take(&mut *found.lock());
        for (sink, text) in sinks {
            if let Some(description) = text {
                self.streams.push(Stream::new(sink, description, None));
                continue;
            }
            match self.first_sample(&sink, deadline, is_unwanted)? {
                Some((description, sample)) => self.streams.push(Stream::new(sink, description, Some(sample))),
                None => left_out.push("one without frames".into()),
            }
        }
        if self.streams.is_empty() {
            let found = if left_out.is_empty() { "nothing".into() } else { left_out.join(", ") };
            return Err(MediaError::NoStream { file: self.file.clone(), found });
        }
        self.streams.sort_by_key(|stream| match stream.description.codec.kind() {
            MediaKind::Video => 0,
            MediaKind::Audio => 1,
            MediaKind::Text => 2,
        });
        self.notes.extend(left_out.into_iter().map(|what| format!("a stream is left out: {what}")));
        Ok(())
    }

    fn first_sample(
        &self,
        sink: &gst_app::AppSink,
        deadline: Instant,
        is_unwanted: &mut dyn FnMut() -> bool,
    ) -> Result<Option<(Description, gst::Sample)>, MediaError> {
        loop {
            let sample = sink.try_pull_sample(gst::ClockTime::try_from(LOOK_INTERVAL).ok());
            let description = sample.as_ref().and_then(|sample| sample.caps()).and_then(Description::of);
            match (description, sample) {
                (Some(description), Some(sample)) => return Ok(Some((description, sample))),
                (None, _) if sink.is_eos() => return Ok(None),
                _ => self.check(deadline, is_unwanted)?,
            }
        }
    }

    fn check(&self, deadline: Instant, is_unwanted: &mut dyn FnMut() -> bool) -> Result<(), MediaError> {
        match self.failure() {
            Some(failure) => Err(failure),
            None if is_unwanted() => Err(MediaError::Unwanted { file: self.file.clone() }),
            None if Instant::now() >= deadline => Err(self.damaged("no frame came out of it")),
            None => Ok(()),
        }
    }

    fn set_state(&self, state: gst::State) -> Result<(), MediaError> {
        let failed = |_| self.failure().unwrap_or_else(|| self.damaged("the pipeline does not start"));
        self.pipeline.set_state(state).map(drop).map_err(failed)
    }

    fn damaged(&self, cause: &str) -> MediaError {
        MediaError::Damaged { file: self.file.clone(), cause: cause.to_owned() }
    }

    fn classify(&self, error: &glib::Error) -> MediaError {
        let (file, cause) = (self.file.clone(), error.message().trim_end_matches('.').to_owned());
        match error.kind::<gst::StreamError>() {
            Some(gst::StreamError::TypeNotFound | gst::StreamError::WrongType | gst::StreamError::CodecNotFound) => {
                MediaError::NotMedia { file, cause }
            }
            Some(_) => MediaError::Damaged { file, cause },
            None if error.kind::<gst::ResourceError>().is_some() => MediaError::Unreadable { file, cause },
            None => MediaError::NotMedia { file, cause },
        }
    }
}

impl Drop for Media {
    fn drop(&mut self) {
        // A pipeline that does not stop ends with the process.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

impl Stream {
    fn new(sink: gst_app::AppSink, description: Description, first: Option<gst::Sample>) -> Self {
        Self { sink, description, first: Arc::new(Mutex::new(first)) }
    }

    /// The next frame, if one comes within `timeout`.
    pub(super) fn pull(&self, timeout: Duration) -> Pulled {
        let timeout = gst::ClockTime::try_from(timeout).unwrap_or(gst::ClockTime::MAX);
        match self.take_first().or_else(|| self.sink.try_pull_sample(timeout)) {
            Some(sample) => self.frame_of(&sample).map_or(Pulled::Nothing, Pulled::Frame),
            None if self.sink.is_eos() => Pulled::End,
            None => Pulled::Nothing,
        }
    }

    fn forget_first(&self) {
        drop(self.take_first());
    }

    fn take_first(&self) -> Option<gst::Sample> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Headers that lie between the frames of some codecs are in the configuration already.
    fn frame_of(&self, sample: &gst::Sample) -> Option<CodedFrame> {
        let buffer = sample.buffer_owned()?;
        let is_xiph = matches!(self.description.codec, Codec::Opus | Codec::Vorbis | Codec::Flac);
        if is_xiph && buffer.flags().contains(gst::BufferFlags::HEADER) {
            return None;
        }
        let segment = sample.segment().and_then(|segment| segment.downcast_ref::<gst::ClockTime>());
        let in_media = |time: Option<gst::ClockTime>| media_time(segment, time?);
        // Only what is presented can be put to the start; a stream is decoded in the order in which it comes.
        let presentation = in_media(buffer.pts()).map(|time| time.unwrap_or_default());
        let decode = in_media(buffer.dts()).flatten();
        Some(CodedFrame { presentation, decode, buffer: buffer.into_mapped_buffer_readable().ok()? })
    }
}

/// A time of a demuxer as time from the start of the media; `Some(None)` where it lies before the start.
fn media_time(
    segment: Option<&gst::FormattedSegment<gst::ClockTime>>,
    time: gst::ClockTime,
) -> Option<Option<Duration>> {
    let Some(segment) = segment else { return Some(Some(time.into())) };
    match segment.to_stream_time_full(time)? {
        gst::Signed::Positive(time) => Some(Some(time.into())),
        gst::Signed::Negative(_) => Some(None),
    }
}

/// What was found in a file so far.
#[derive(Debug, Default)]
struct Branches {
    is_complete: bool,
    /// With the description of a stream of texts: its first one may come late, or never.
    sinks: Vec<(gst_app::AppSink, Option<Description>)>,
    left_out: Vec<String>,
}

#[derive(Clone, Debug, Default)]
struct Found(Arc<Mutex<Branches>>);

impl Found {
    fn lock(&self) -> std::sync::MutexGuard<'_, Branches> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn build(file: &Path) -> Result<(gst::Pipeline, Found), MediaError> {
    let missing = |error: glib::BoolError| MediaError::Platform(error.to_string());
    let source = gst::ElementFactory::make("filesrc").property("location", file).build().map_err(missing)?;
    let parse = gst::ElementFactory::make("parsebin").build().map_err(missing)?;
    let pipeline = gst::Pipeline::new();
    pipeline.add_many([&source, &parse]).and_then(|()| source.link(&parse)).map_err(missing)?;
    let found = Found::default();
    let (their_pipeline, theirs) = (pipeline.downgrade(), found.clone());
    let kinds = Mutex::new(Vec::new());
    parse.connect_pad_added(move |_, pad| {
        let Some(pipeline) = their_pipeline.upgrade() else { return };
        note_first_frame(pad, &theirs);
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let mut kinds = kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = caps::kind_of(&caps).filter(|kind| !kinds.contains(kind));
        let Some(kind) = kind else { return leave_out(&pipeline, pad, &caps, &theirs) };
        match add_branch(&pipeline, pad, &caps) {
            Ok(sink) => {
                kinds.push(kind);
                let text = Description::of(&caps).filter(|_| kind == MediaKind::Text);
                theirs.lock().sinks.push((sink, text));
            }
            Err(error) => theirs.lock().left_out.push(error.to_string()),
        }
    });
    Ok((pipeline, found))
}

/// All pads of a file are there before any of them lets a frame through.
fn note_first_frame(pad: &gst::Pad, found: &Found) {
    let found = found.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        found.lock().is_complete = true;
        gst::PadProbeReturn::Remove
    });
}

/// A queue, so that one stream does not hold up another, and a sink to pull from. No sink holds up the pipeline's way to
/// playing: what is in a stream is known only when frames flow.
fn add_branch(pipeline: &gst::Pipeline, pad: &gst::Pad, caps: &gst::Caps) -> Result<gst_app::AppSink, glib::BoolError> {
    let queue = gst::ElementFactory::make("queue")
        .property("max-size-buffers", 0_u32)
        .property("max-size-bytes", AHEAD_BYTES_MAX)
        .property("max-size-time", AHEAD_MAX.nseconds())
        .build()?;
    let name = caps.structure(0).map(|structure| structure.name().as_str()).unwrap_or_default();
    let sink = gst_app::AppSink::builder().caps(&caps::sendable(name)).sync(false).async_(false).max_buffers(1).build();
    pipeline.add_many([&queue, sink.upcast_ref()])?;
    queue.link(&sink)?;
    queue.sync_state_with_parent()?;
    sink.sync_state_with_parent()?;
    let input = queue.static_pad("sink").ok_or_else(|| glib::bool_error!("a queue has no sink pad"))?;
    pad.link(&input).map_err(|error| glib::bool_error!("a stream cannot be linked: {error}"))?;
    Ok(sink)
}

/// What is not played still has to flow, or the file would not.
fn leave_out(pipeline: &gst::Pipeline, pad: &gst::Pad, caps: &gst::Caps, found: &Found) {
    let name = caps.structure(0).map(|structure| structure.name().to_string()).unwrap_or_default();
    found.lock().left_out.push(name);
    let sink = gst::ElementFactory::make("fakesink").property("sync", false).property("async", false).build();
    let Ok(sink) = sink else { return };
    let linked = pipeline.add(&sink).and_then(|()| sink.sync_state_with_parent());
    if let (Ok(()), Some(input)) = (linked, sink.static_pad("sink")) {
        let _ = pad.link(&input);
    }
}

#[cfg(test)]
mod tests;
