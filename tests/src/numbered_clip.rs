//! Clips for tests and the demo, made by GStreamer: test cards that say which one they are, and a tone.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gstreamer::{self as gst, prelude::*};
use gstreamer_app::AppSrc;

use crate::picture::{HEIGHT, WIDTH};
use crate::test_card::{self, Style};

/// Pictures a second of every clip.
pub const RATE_HZ: u32 = 25;
/// The encoders are given up after this; a clip takes a second or two.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(60);

/// How a clip is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// H.264 with pictures that are shown in another order than they are decoded, and AAC, in an MP4 file.
    H264Aac,
    /// VP9 and Opus in a WebM file.
    Vp9Opus,
}

impl Coding {
    /// The end of the file's name.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::H264Aac => "mp4",
            Self::Vp9Opus => "webm",
        }
    }

    /// The encoder of pictures, with a key frame each second; the encoder of sound; the container.
    const fn elements(self) -> [&'static str; 3] {
        match self {
            Self::H264Aac => [
                "x264enc speed-preset=veryfast key-int-max=25 bframes=2 bitrate=1500 ! h264parse",
                "avenc_aac ! aacparse",
                "mp4mux",
            ],
            Self::Vp9Opus => [
                "vp9enc deadline=1 cpu-used=8 threads=2 keyframe-max-dist=25 target-bitrate=1500000",
                "opusenc",
                "webmmux",
            ],
        }
    }
}

/// What is in a clip.
#[derive(Clone, Copy, Debug)]
pub struct Content {
    /// How many pictures; their numbers start at 0.
    pub pictures: u16,
    /// How they look.
    pub style: Style,
    /// The tone's frequency.
    pub tone_hz: u32,
}

/// Why there is no clip.
#[derive(Debug, thiserror::Error)]
#[error("the clip {path} cannot be made: {cause}; 'make packages' installs what is needed")]
pub struct ClipError {
    path: PathBuf,
    cause: String,
}

/// When a picture of a clip is to be shown, from the clip's start.
pub fn presentation_of(number: u16) -> Duration {
    Duration::from_secs(1) * u32::from(number) / RATE_HZ
}

/// Makes a clip. The file appears when it is complete.
pub fn make(path: &Path, coding: Coding, content: &Content) -> Result<(), ClipError> {
    let failed = |cause: String| ClipError { path: path.to_owned(), cause };
    let unfinished = path.with_extension("unfinished");
    let pipeline = build(&unfinished, coding, content).map_err(|error| failed(error.to_string()))?;
    let made = fill(&pipeline, content);
    let stopped = pipeline.set_state(gst::State::Null);
    made.map_err(failed)?;
    stopped.map_err(|error| failed(error.to_string()))?;
    std::fs::rename(&unfinished, path).map_err(|error| failed(error.to_string()))
}

fn build(path: &Path, coding: Coding, content: &Content) -> Result<gst::Pipeline, gst::glib::Error> {
    gst::init()?;
    let [video, audio, container] = coding.elements();
    let samples = u32::from(content.pictures) * 48_000 / RATE_HZ;
    let text = format!(
        "{container} name=container ! filesink name=file \
         appsrc name=cards format=time block=true max-buffers=8 \
         caps=video/x-raw,format=I420,width={WIDTH},height={HEIGHT},framerate={RATE_HZ}/1 ! {video} ! queue ! container. \
         audiotestsrc volume=0.1 freq={} samplesperbuffer=960 num-buffers={} ! audio/x-raw,rate=48000,channels=2 \
         ! {audio} ! queue ! container.",
        content.tone_hz,
        samples / 960,
    );
    let pipeline = gst::parse::launch(&text)?.downcast::<gst::Pipeline>().expect("several elements are a pipeline");
    pipeline.by_name("file").expect("it was named").set_property("location", path.to_string_lossy().as_ref());
    Ok(pipeline)
}

fn fill(pipeline: &gst::Pipeline, content: &Content) -> Result<(), String> {
    let bus = pipeline.bus().expect("a pipeline has a bus");
    let cards = pipeline.by_name("cards").and_downcast::<AppSrc>().expect("it was named");
    pipeline.set_state(gst::State::Playing).map_err(|error| error.to_string())?;
    for number in 0..content.pictures {
        // What went wrong is told by the bus.
        if cards.push_buffer(card(number, content.style)).is_err() {
            break;
        }
    }
    let _ = cards.end_of_stream();
    let message = bus.timed_pop_filtered(PATIENCE, &[gst::MessageType::Eos, gst::MessageType::Error]);
    match message.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Eos(_)) => Ok(()),
        Some(gst::MessageView::Error(error)) => Err(error.error().to_string()),
        _ => Err("the encoders did not come to an end".into()),
    }
}

fn card(number: u16, style: Style) -> gst::Buffer {
    let time = |number| gst::ClockTime::try_from(presentation_of(number)).unwrap_or(gst::ClockTime::MAX);
    let mut buffer = gst::Buffer::from_slice(test_card::draw(number, style).into_bytes());
    if let Some(buffer) = buffer.get_mut() {
        buffer.set_pts(time(number));
        buffer.set_duration(time(1));
    }
    buffer
}
