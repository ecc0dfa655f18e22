//! Coded pictures for an app that pushes them itself, made by GStreamer.

use std::time::Duration;

use greenroom_core::message::playback::{Codec, Shape, SourceDescription};
use greenroom_hal_linux::client::Frame;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSink;

/// What [`h264_pictures`] are, for a source.
pub const H264: SourceDescription<'_> = SourceDescription {
    codec: Codec::H264,
    shape: Shape {
        width: 64,
        height: 64,
        frame_rate_numerator: 0,
        frame_rate_denominator: 0,
        sample_rate: 0,
        channels: 0,
    },
    codec_data: &[],
};

/// One coded picture, and when it is shown.
#[derive(Clone, Debug)]
pub struct Picture {
    bytes: Vec<u8>,
    presentation: Duration,
    is_key: bool,
}

impl Picture {
    /// As it is pushed.
    pub fn frame(&self) -> Frame<'_> {
        Frame { presentation: Some(self.presentation), is_key: self.is_key, data: &self.bytes, ..Frame::default() }
    }
}

/// So many pictures of a test pattern in H.264, 25 a second, every fifth a key frame.
///
/// # Panics
/// When GStreamer's encoder is not installed.
pub fn h264_pictures(count: usize) -> Vec<Picture> {
    gst::init().expect("GStreamer starts");
    let text = format!(
        "videotestsrc num-buffers={count} ! video/x-raw,format=I420,width=64,height=64,framerate=25/1 \
         ! x264enc tune=zerolatency key-int-max=5 ! video/x-h264,stream-format=byte-stream,alignment=au \
         ! appsink name=out sync=false"
    );
    let pipeline = gst::parse::launch(&text).expect("x264enc is installed").downcast::<gst::Pipeline>().expect("one");
    let out = pipeline.by_name("out").expect("it is there").downcast::<AppSink>().expect("an appsink");
    pipeline.set_state(gst::State::Playing).expect("it starts");
    let pictures: Vec<Picture> = std::iter::from_fn(|| out.pull_sample().ok()).map(|sample| picture(&sample)).collect();
    pipeline.set_state(gst::State::Null).expect("it stops");
    assert_eq!(pictures.len(), count);
    let start = pictures[0].presentation;
    pictures.into_iter().map(|picture| Picture { presentation: picture.presentation - start, ..picture }).collect()
}

fn picture(sample: &gst::Sample) -> Picture {
    let buffer = sample.buffer().expect("a picture");
    Picture {
        bytes: buffer.map_readable().expect("memory").to_vec(),
        presentation: Duration::from_nanos(buffer.pts().expect("a time").nseconds()),
        is_key: !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
    }
}
