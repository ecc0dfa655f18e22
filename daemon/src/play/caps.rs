//! What GStreamer's demuxers say about a stream, in the words of the session server.

use greenroom_core::message::playback::{Codec, MediaKind, Shape, SourceDescription};
use gstreamer as gst;

/// A stream that an app can send, with its description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) codec: Codec,
    pub(super) shape: Shape,
    pub(super) codec_data: Vec<u8>,
}

impl Description {
    pub(super) fn as_source(&self) -> SourceDescription<'_> {
        SourceDescription { codec: self.codec, shape: self.shape, codec_data: &self.codec_data }
    }

    /// The stream that fixed caps describe; `None` where no session server can play it.
    pub(super) fn of(caps: &gst::CapsRef) -> Option<Self> {
        let structure = caps.structure(0)?;
        let codec = codec_of(structure)?;
        Some(Self { codec, shape: shape_of(structure), codec_data: codec_data_of(codec, structure) })
    }
}

/// Which kind of stream these caps are of, also before its parser has fixed them: then they may still say too little
/// to be left out.
pub(super) fn kind_of(caps: &gst::CapsRef) -> Option<MediaKind> {
    let structure = caps.structure(0)?;
    let is_open = structure.name() == "audio/mpeg" && structure.get::<i32>("mpegversion").is_err();
    if is_open { Some(MediaKind::Audio) } else { codec_of(structure).map(Codec::kind) }
}

/// The forms in which a stream of this name is sent: whole frames.
pub(super) fn sendable(name: &str) -> gst::Caps {
    let caps = gst::Caps::builder(name);
    match name {
        "video/x-h264" => caps.field("stream-format", gst::List::new(["avc", "byte-stream"])).field("alignment", "au"),
        "video/x-h265" => caps.field("stream-format", gst::List::new(["hvc1", "byte-stream"])).field("alignment", "au"),
        "video/x-av1" => caps.field("stream-format", "obu-stream").field("alignment", "tu"),
        _ => caps,
    }
    .build()
}

fn codec_of(structure: &gst::StructureRef) -> Option<Codec> {
    let format = structure.get::<&str>("stream-format").unwrap_or_default();
    Some(match structure.name().as_str() {
        "video/x-h264" if format.starts_with("avc") => Codec::H264Avc,
        "video/x-h264" => Codec::H264,
        "video/x-h265" if matches!(format, "hvc1" | "hev1") => Codec::H265Hvc,
        "video/x-h265" => Codec::H265,
        "video/x-vp8" => Codec::Vp8,
        "video/x-vp9" => Codec::Vp9,
        "video/x-av1" => Codec::Av1,
        "audio/x-opus" => Codec::Opus,
        "audio/x-vorbis" => Codec::Vorbis,
        "audio/x-flac" => Codec::Flac,
        "audio/mpeg" => mpeg_audio(structure, format)?,
        "audio/x-raw" => raw_audio(structure)?,
        // Its tags and escapes are those of a WebVTT cue.
        "text/x-raw" if structure.get("format") == Ok("pango-markup") => Codec::TextWebVtt,
        "text/x-raw" => Codec::TextUtf8,
        "application/ttml+xml" => Codec::TextTtml,
        _ => return None,
    })
}

fn mpeg_audio(structure: &gst::StructureRef, format: &str) -> Option<Codec> {
    match (structure.get::<i32>("mpegversion").ok()?, structure.get::<i32>("layer").unwrap_or(3)) {
        (2 | 4, _) if format == "raw" => Some(Codec::Aac),
        (2 | 4, _) => Some(Codec::AacAdts),
        (1, 3) => Some(Codec::Mp3),
        _ => None,
    }
}

fn raw_audio(structure: &gst::StructureRef) -> Option<Codec> {
    let is_interleaved = structure.get::<&str>("layout").is_ok_and(|layout| layout == "interleaved");
    match structure.get::<&str>("format").ok().filter(|_| is_interleaved)? {
        "S16LE" => Some(Codec::PcmS16Le),
        "S24LE" => Some(Codec::PcmS24Le),
        "S32LE" => Some(Codec::PcmS32Le),
        "F32LE" => Some(Codec::PcmF32Le),
        _ => None,
    }
}

fn shape_of(structure: &gst::StructureRef) -> Shape {
    let number = |field| structure.get::<i32>(field).ok().and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
    let rate = structure.get::<gst::Fraction>("framerate").ok();
    let part = |part: Option<i32>| part.and_then(|part| u32::try_from(part).ok()).unwrap_or(0);
    Shape {
        width: number("width"),
        height: number("height"),
        frame_rate_numerator: part(rate.map(|rate| rate.numer())),
        frame_rate_denominator: part(rate.map(|rate| rate.denom())),
        sample_rate: number("rate"),
        channels: u16::try_from(number("channels")).unwrap_or(0),
    }
}

/// The codec's configuration as its container gives it, where GStreamer keeps it in another form put together again.
fn codec_data_of(codec: Codec, structure: &gst::StructureRef) -> Vec<u8> {
    let headers = stream_headers(structure);
    match codec {
        Codec::Opus => headers.into_iter().find(|header| header.starts_with(b"OpusHead")).unwrap_or_default(),
        Codec::Vorbis => lace(&headers).unwrap_or_default(),
        Codec::Flac => flac_blocks(&headers),
        _ => structure.get::<gst::Buffer>("codec_data").ok().map(|buffer| bytes_of(&buffer)).unwrap_or_default(),
    }
}

fn stream_headers(structure: &gst::StructureRef) -> Vec<Vec<u8>> {
    let Ok(headers) = structure.get::<gst::ArrayRef<'_>>("streamheader") else { return Vec::new() };
    headers.iter().filter_map(|value| value.get::<gst::Buffer>().ok()).map(|buffer| bytes_of(&buffer)).collect()
}

fn bytes_of(buffer: &gst::Buffer) -> Vec<u8> {
    buffer.map_readable().map(|map| map.to_vec()).unwrap_or_default()
}

/// Vorbis's three headers as Matroska laces them: how many less one, the lengths of all but the last, the headers.
fn lace(headers: &[Vec<u8>]) -> Option<Vec<u8>> {
    let [identification, comment, setup] = headers else { return None };
    let mut laced = vec![2];
    for length in [identification.len(), comment.len()] {
        laced.extend(std::iter::repeat_n(u8::MAX, length / 255));
        laced.push((length % 255) as u8);
    }
    laced.extend([identification, comment, setup].into_iter().flatten());
    Some(laced)
}

/// FLAC's marker and metadata blocks, without what Ogg puts before them.
fn flac_blocks(headers: &[Vec<u8>]) -> Vec<u8> {
    let all = headers.concat();
    let marker = all.windows(4).position(|window| window == b"fLaC");
    marker.map(|start| all[start..].to_vec()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn describe(caps: &str) -> Option<Description> {
        gst::init().unwrap();
        Description::of(&caps.parse::<gst::Caps>().unwrap())
    }

    #[test]
    fn streams_are_told_apart_by_what_their_decoder_needs_to_know() {
        let cases = [
            ("video/x-h264, stream-format=avc", Some(Codec::H264Avc)),
            ("video/x-h264, stream-format=byte-stream", Some(Codec::H264)),
            ("video/x-h265, stream-format=hvc1", Some(Codec::H265Hvc)),
            ("audio/mpeg, mpegversion=4, stream-format=raw", Some(Codec::Aac)),
            ("audio/mpeg, mpegversion=4, stream-format=adts", Some(Codec::AacAdts)),
            ("audio/mpeg, mpegversion=1, layer=3", Some(Codec::Mp3)),
            ("audio/mpeg, mpegversion=1, layer=2", None),
            ("audio/x-opus", Some(Codec::Opus)),
            ("audio/x-raw, format=S16LE, layout=interleaved", Some(Codec::PcmS16Le)),
            ("audio/x-raw, format=S16LE, layout=non-interleaved", None),
            ("audio/x-raw, format=U8, layout=interleaved", None),
            ("text/x-raw, format=utf8", Some(Codec::TextUtf8)),
            ("text/x-raw, format=pango-markup", Some(Codec::TextWebVtt)),
            ("subpicture/x-dvd", None),
        ];
        for (caps, codec) in cases {
            assert_eq!(describe(caps).map(|it| it.codec), codec, "{caps}");
        }
    }

    #[test]
    fn shape_and_configuration_are_taken_over() {
        let caps =
            "video/x-h264, stream-format=avc, codec_data=(buffer)0164, width=1280, height=720, framerate=30000/1001";
        let description = describe(caps).unwrap();
        let shape = description.shape;
        assert_eq!((shape.width, shape.height), (1280, 720));
        assert_eq!((shape.frame_rate_numerator, shape.frame_rate_denominator), (30_000, 1_001));
        assert_eq!(description.codec_data, [1, 0x64]);
    }

    #[test]
    fn vorbis_headers_are_laced_as_in_a_container() {
        let headers = [vec![1; 30], vec![3; 300], vec![5; 2]];
        let laced = lace(&headers).unwrap();
        assert_eq!(laced[..4], [2, 30, 255, 45]);
        assert_eq!(laced.len(), 4 + 332);
        assert_eq!(lace(&headers[..2]), None);
    }

    #[test]
    fn the_ogg_wrapping_of_flac_is_taken_off() {
        let headers = [b"\x7fFLAC\x01\0\0\x01fLaC\0\0\0\x02ab".to_vec(), b"\x84\0\0\x01c".to_vec()];
        assert_eq!(flac_blocks(&headers), b"fLaC\0\0\0\x02ab\x84\0\0\x01c");
    }
}
