//! Small clips, encoded by GStreamer itself.

use std::sync::{Arc, Mutex};

use greenroom_core::message::playback::{Codec, MediaKind, Shape, SourceDescription};
use gstreamer as gst;
use gstreamer::prelude::*;

use super::feed::Frame;

/// Width and height of the pictures.
pub(crate) const PICTURE_PIXELS: usize = 64;
/// Pictures per second.
pub(crate) const PICTURE_RATE: u64 = 25;
pub(crate) const PICTURE_NS: u64 = 1_000_000_000 / PICTURE_RATE;

/// A coded stream.
pub(crate) struct Clip {
    pub(crate) codec: Codec,
    pub(crate) codec_data: Vec<u8>,
    pub(crate) frames: Vec<Frame>,
}

impl Clip {
    pub(crate) fn description(&self) -> SourceDescription<'_> {
        let side = u32::try_from(PICTURE_PIXELS).unwrap();
        let video = Shape { width: side, height: side, ..Shape::default() };
        let audio = Shape { sample_rate: 48_000, channels: 2, ..Shape::default() };
        let is_video = self.codec.kind() == MediaKind::Video;
        SourceDescription {
            codec: self.codec,
            shape: if is_video { video } else { audio },
            codec_data: &self.codec_data,
        }
    }
}

/// The brightness of picture `number`: it tells which one it is, even after coding.
pub(crate) fn brightness(number: usize) -> u8 {
    u8::try_from(30 + 4 * (number % 50)).unwrap()
}

fn picture(number: usize) -> gst::Buffer {
    let pixels = PICTURE_PIXELS * PICTURE_PIXELS;
    let mut bytes = vec![brightness(number); pixels];
    bytes.resize(pixels * 3 / 2, 128);
    let mut buffer = gst::Buffer::from_slice(bytes);
    let start = number as u64 * PICTURE_NS;
    let made = buffer.get_mut().unwrap();
    made.set_pts(gst::ClockTime::from_nseconds(start));
    made.set_duration(gst::ClockTime::from_nseconds(PICTURE_NS));
    buffer
}

/// The elements that code a stream, from raw to the form in which an app sends it.
fn encoder(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "x264enc key-int-max=10 tune=zerolatency ! video/x-h264,stream-format=byte-stream,alignment=au",
        Codec::H264Avc => "x264enc key-int-max=10 bframes=2 ! h264parse ! video/x-h264,stream-format=avc,alignment=au",
        Codec::H265 => "x265enc key-int-max=10 tune=zerolatency ! video/x-h265,stream-format=byte-stream,alignment=au",
        Codec::H265Hvc => "x265enc key-int-max=10 ! h265parse ! video/x-h265,stream-format=hvc1,alignment=au",
        Codec::Vp8 => "vp8enc keyframe-max-dist=10 deadline=1",
        Codec::Vp9 => "vp9enc keyframe-max-dist=10 deadline=1 lag-in-frames=0",
        Codec::Av1 => "av1enc cpu-used=8 keyframe-max-dist=10 ! av1parse ! video/x-av1,alignment=tu",
        Codec::Aac => "avenc_aac ! aacparse ! audio/mpeg,stream-format=raw",
        Codec::AacAdts => "avenc_aac ! aacparse ! audio/mpeg,stream-format=adts",
        Codec::Opus => "opusenc",
        Codec::Mp3 => "lamemp3enc ! mpegaudioparse",
        Codec::Vorbis => "vorbisenc",
        Codec::Flac => "flacenc ! flacparse",
        Codec::PcmS16Le => "audioconvert ! audio/x-raw,format=S16LE",
        Codec::PcmS24Le => "audioconvert ! audio/x-raw,format=S24LE",
        Codec::PcmS32Le => "audioconvert ! audio/x-raw,format=S32LE",
        Codec::PcmF32Le => "audioconvert ! audio/x-raw,format=F32LE",
        other => panic!("{other:?} is not coded"),
    }
}

/// Whether a clip of this codec can be made here. Says loudly when it cannot: what needs it is not tested then.
pub(crate) fn can_make(codec: Codec) -> bool {
    gst::init().unwrap();
    let element = encoder(codec).split_whitespace().next().unwrap();
    let is_there = gst::ElementFactory::find(element).is_some();
    if !is_there {
        eprintln!("SKIPPED: {codec:?} is not tested, because {element} is not installed; 'make packages' installs it");
    }
    is_there
}

/// A clip of so many flat pictures, each brighter than the one before, with a key frame every ten.
pub(crate) fn video(codec: Codec, pictures: usize) -> Clip {
    let encoder = encoder(codec);
    let raw =
        format!("video/x-raw,format=I420,width={PICTURE_PIXELS},height={PICTURE_PIXELS},framerate={PICTURE_RATE}/1");
    let text = format!("appsrc name=raw format=time caps={raw} ! {encoder} ! fakesink name=out sync=false");
    encode(codec, &text, |pipeline| {
        let source = pipeline.by_name("raw").unwrap();
        for number in 0..pictures {
            let pushed: gst::FlowReturn = source.emit_by_name("push-buffer", &[&picture(number)]);
            assert_eq!(pushed, gst::FlowReturn::Ok);
        }
        let _: gst::FlowReturn = source.emit_by_name("end-of-stream", &[]);
    })
}

/// A clip of so many moving pictures of this size.
pub(crate) fn moving(codec: Codec, (width, height): (u32, u32), pictures: u32) -> Clip {
    let encoder = encoder(codec);
    let text = format!(
        "videotestsrc pattern=ball num-buffers={pictures} \
         ! video/x-raw,format=I420,width={width},height={height},framerate={PICTURE_RATE}/1 \
         ! {encoder} ! fakesink name=out sync=false"
    );
    encode(codec, &text, |_| {})
}

/// A clip of so many blocks of 1024 samples of a tone, in stereo at 48 kHz.
pub(crate) fn audio(codec: Codec, blocks: usize) -> Clip {
    tone(codec, (48_000, 2), blocks)
}

/// As [`audio`], with so many samples a second of so many channels.
pub(crate) fn tone(codec: Codec, (rate, channels): (u32, u16), blocks: usize) -> Clip {
    let encoder = encoder(codec);
    let text = format!(
        "audiotestsrc num-buffers={blocks} samplesperbuffer=1024 ! audioconvert ! audio/x-raw,rate={rate},channels={channels} \
         ! {encoder} ! fakesink name=out sync=false"
    );
    encode(codec, &text, |_| {})
}

fn encode(codec: Codec, text: &str, feed: impl FnOnce(&gst::Bin)) -> Clip {
    gst::init().unwrap();
    let pipeline = gst::parse::launch(text).unwrap().downcast::<gst::Pipeline>().unwrap();
    let pad = pipeline.by_name("out").unwrap().static_pad("sink").unwrap();
    let frames = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&frames);
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data {
            kept.lock().unwrap().extend(frame(buffer, pad));
        }
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    feed(pipeline.upcast_ref());
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::from_seconds(60), &ends).unwrap();
    assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
    let codec_data = codec_data(codec, &pad.current_caps().unwrap());
    pipeline.set_state(gst::State::Null).unwrap();
    let frames = std::mem::take(&mut *frames.lock().unwrap());
    assert!(!frames.is_empty());
    Clip { codec, codec_data, frames }
}

/// Headers are no frames: they are in the codec data. Some encoders do not begin at 0: their segment says where.
fn frame(buffer: &gst::Buffer, pad: &gst::Pad) -> Option<Frame> {
    let event = pad.sticky_event::<gst::event::Segment>(0).unwrap();
    let segment = event.segment().downcast_ref::<gst::ClockTime>().unwrap();
    let from_start = |time: Option<gst::ClockTime>| segment.to_running_time(time).map(gst::ClockTime::nseconds);
    buffer.pts()?;
    Some(Frame {
        presentation_ns: from_start(buffer.pts()),
        decode_ns: from_start(buffer.dts()),
        duration_ns: buffer.duration().map(gst::ClockTime::nseconds),
        is_key: !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
        payload: buffer.map_readable().unwrap().to_vec(),
    })
}

fn codec_data(codec: Codec, caps: &gst::Caps) -> Vec<u8> {
    let structure = caps.structure(0).unwrap();
    let bytes = |buffer: &gst::Buffer| buffer.map_readable().unwrap().to_vec();
    let headers = || -> Vec<Vec<u8>> {
        let headers = structure.get::<gst::Array>("streamheader").unwrap();
        headers.iter().map(|header| bytes(&header.get::<gst::Buffer>().unwrap())).collect()
    };
    match codec {
        Codec::Opus => headers()[0].clone(),
        // Ogg's own header comes before what other containers keep.
        Codec::Flac => headers().concat()[9..].to_vec(),
        Codec::Vorbis => laced(&headers()),
        _ => structure.get::<gst::Buffer>("codec_data").map(|buffer| bytes(&buffer)).unwrap_or_default(),
    }
}

fn laced(headers: &[Vec<u8>]) -> Vec<u8> {
    let mut laced = vec![2];
    for header in &headers[..2] {
        laced.extend(std::iter::repeat_n(255, header.len() / 255));
        laced.push(u8::try_from(header.len() % 255).unwrap());
    }
    laced.extend(headers.concat());
    laced
}
