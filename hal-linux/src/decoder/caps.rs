//! What GStreamer calls the streams that an app describes.

use greenroom_core::message::playback::{Codec, Shape};
use gstreamer as gst;

use super::command::Description;
use super::pcm::Pcm;

/// How GStreamer handles one codec.
pub(super) struct Family {
    /// Caps that every decoder of the codec takes in some form.
    pub(super) decodable: gst::Caps,
    /// The element that puts frames into the form a decoder wants. Left out where it is not installed.
    pub(super) parser: Option<&'static str>,
}

impl Family {
    pub(super) fn of(codec: Codec) -> Self {
        let (media_type, parser) = match codec {
            Codec::H264 | Codec::H264Avc => ("video/x-h264", Some("h264parse")),
            Codec::H265 | Codec::H265Hvc => ("video/x-h265", Some("h265parse")),
            Codec::Vp8 => ("video/x-vp8", None),
            Codec::Vp9 => ("video/x-vp9", Some("vp9parse")),
            Codec::Av1 => ("video/x-av1", Some("av1parse")),
            Codec::Aac | Codec::AacAdts => ("audio/mpeg", Some("aacparse")),
            Codec::Mp3 => ("audio/mpeg", Some("mpegaudioparse")),
            Codec::Opus => ("audio/x-opus", None),
            Codec::Vorbis => ("audio/x-vorbis", None),
            Codec::Flac => ("audio/x-flac", Some("flacparse")),
            Codec::PcmS16Le | Codec::PcmS24Le | Codec::PcmS32Le | Codec::PcmF32Le => ("audio/x-raw", None),
            _ => ("application/octet-stream", None),
        };
        let caps = gst::Caps::builder(media_type);
        let decodable = match codec {
            Codec::Aac | Codec::AacAdts => caps.field("mpegversion", 4).build(),
            Codec::Mp3 => caps.field("mpegversion", 1).field("layer", 3).build(),
            // The bins that decode a second stream of transparency would be chosen first, and fail without one.
            Codec::Vp8 | Codec::Vp9 => caps.field("codec-alpha", false).build(),
            _ => caps.build(),
        };
        Self { decodable, parser }
    }
}

/// The caps of the frames that an app sends.
pub(super) fn of_source(description: &Description) -> gst::Caps {
    let mut caps = Family::of(description.codec).decodable;
    let structure = caps.make_mut().structure_mut(0).expect("a family has one structure");
    set_shape(structure, &description.shape);
    set_form(structure, description);
    caps
}

fn set_shape(structure: &mut gst::StructureRef, shape: &Shape) {
    set_positive(structure, "width", shape.width);
    set_positive(structure, "height", shape.height);
    set_positive(structure, "rate", shape.sample_rate);
    set_positive(structure, "channels", u32::from(shape.channels));
    let rate = (i32::try_from(shape.frame_rate_numerator), i32::try_from(shape.frame_rate_denominator));
    if let (Ok(numerator @ 1..), Ok(denominator @ 1..)) = rate {
        structure.set("framerate", gst::Fraction::new(numerator, denominator));
    }
}

fn set_positive(structure: &mut gst::StructureRef, field: &str, number: u32) {
    if let Ok(number @ 1..) = i32::try_from(number) {
        structure.set(field, number);
    }
}

fn set_form(structure: &mut gst::StructureRef, description: &Description) {
    let codec_data = description.codec_data.as_slice();
    match description.codec {
        Codec::H264 | Codec::H265 => set_alignment(structure, "byte-stream", "au"),
        Codec::H264Avc => set_alignment(structure, "avc", "au"),
        Codec::H265Hvc => set_alignment(structure, "hvc1", "au"),
        Codec::Av1 => set_alignment(structure, "obu-stream", "tu"),
        Codec::Aac => set_framed(structure, "raw"),
        Codec::AacAdts => set_framed(structure, "adts"),
        Codec::Opus => set_opus(structure, codec_data),
        Codec::Vorbis => set_stream_header(structure, xiph_headers(codec_data)),
        Codec::Flac => {
            structure.set("framed", true);
            set_stream_header(structure, flac_headers(codec_data));
        }
        codec => {
            if let Some(pcm) = Pcm::of(codec) {
                pcm.set_form(structure, &description.shape);
            }
        }
    }
    if !codec_data.is_empty() && takes_codec_data(description.codec) {
        structure.set("codec_data", gst::Buffer::from_slice(codec_data.to_vec()));
    }
}

fn takes_codec_data(codec: Codec) -> bool {
    matches!(codec, Codec::H264Avc | Codec::H265Hvc | Codec::Av1 | Codec::Aac | Codec::Vp9)
}

fn set_alignment(structure: &mut gst::StructureRef, stream_format: &str, alignment: &str) {
    structure.set("stream-format", stream_format);
    structure.set("alignment", alignment);
}

fn set_framed(structure: &mut gst::StructureRef, stream_format: &str) {
    structure.set("stream-format", stream_format);
    structure.set("framed", true);
}

/// What an `OpusHead` says of the channels.
struct OpusHead<'a> {
    channels: u8,
    mapping: Option<OpusMapping<'a>>,
}

struct OpusMapping<'a> {
    family: u8,
    streams: u8,
    coupled: u8,
    of_channels: &'a [u8],
}

fn opus_head(codec_data: &[u8]) -> Option<OpusHead<'_>> {
    let fields = codec_data.strip_prefix(b"OpusHead")?;
    let channels = *fields.get(1)?;
    let family = *fields.get(10)?;
    if family == 0 {
        return Some(OpusHead { channels, mapping: None });
    }
    let of_channels = fields.get(13..13usize.checked_add(usize::from(channels))?)?;
    let mapping = OpusMapping { family, streams: *fields.get(11)?, coupled: *fields.get(12)?, of_channels };
    Some(OpusHead { channels, mapping: Some(mapping) })
}

/// `OpusTags` of nobody, with no tags: a decoder takes both headers or none.
const OPUS_TAGS: &[u8] = b"OpusTags\0\0\0\0\0\0\0\0";

fn set_opus(structure: &mut gst::StructureRef, codec_data: &[u8]) {
    let head = opus_head(codec_data);
    let family = head.as_ref().and_then(|head| head.mapping.as_ref()).map_or(0, |mapping| mapping.family);
    structure.set("channel-mapping-family", i32::from(family));
    let Some(head) = head else { return };
    structure.set("channels", i32::from(head.channels));
    if let Some(mapping) = head.mapping {
        structure.set("stream-count", i32::from(mapping.streams));
        structure.set("coupled-count", i32::from(mapping.coupled));
        structure.set("channel-mapping", gst::Array::new(mapping.of_channels.iter().map(|&place| i32::from(place))));
    }
    set_stream_header(structure, Some(vec![codec_data, OPUS_TAGS]));
}

fn set_stream_header(structure: &mut gst::StructureRef, headers: Option<Vec<&[u8]>>) {
    let Some(headers) = headers else { return };
    structure.set("streamheader", gst::Array::new(headers.into_iter().map(header_buffer)));
}

fn header_buffer(bytes: &[u8]) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_slice(bytes.to_vec());
    buffer.make_mut().set_flags(gst::BufferFlags::HEADER);
    buffer
}

/// Takes a length in Xiph's lacing (255, 255, ..., rest) off the front.
fn laced_length<'a>(bytes: &mut &'a [u8]) -> Option<usize> {
    let mut length = 0usize;
    loop {
        let (&byte, rest): (&'a u8, &'a [u8]) = bytes.split_first()?;
        *bytes = rest;
        length = length.checked_add(usize::from(byte))?;
        if byte != u8::MAX {
            return Some(length);
        }
    }
}

/// The three headers of Vorbis, as containers lace them.
fn xiph_headers(codec_data: &[u8]) -> Option<Vec<&[u8]>> {
    let mut rest = codec_data.strip_prefix(&[2])?;
    let identification_bytes = laced_length(&mut rest)?;
    let comment_bytes = laced_length(&mut rest)?;
    let (identification, rest) = rest.split_at_checked(identification_bytes)?;
    let (comment, setup) = rest.split_at_checked(comment_bytes)?;
    Some(vec![identification, comment, setup])
}

/// The marker and the metadata blocks of FLAC, one each.
fn flac_headers(codec_data: &[u8]) -> Option<Vec<&[u8]>> {
    const BLOCK_HEADER_BYTES: usize = 4;
    let (marker, mut rest) = codec_data.split_at_checked(4).filter(|(marker, _)| marker == b"fLaC")?;
    let mut headers = vec![marker];
    while let Some(&[_, high, middle, low]) = rest.first_chunk::<BLOCK_HEADER_BYTES>() {
        let bytes = u32::from_be_bytes([0, high, middle, low]) as usize;
        let (block, behind) = rest.split_at_checked(BLOCK_HEADER_BYTES.checked_add(bytes)?)?;
        headers.push(block);
        rest = behind;
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(codec: Codec, codec_data: &[u8]) -> String {
        gst::init().unwrap();
        of_source(&Description { codec, shape: Shape::default(), codec_data: codec_data.to_vec() }).to_string()
    }

    #[test]
    fn what_is_not_known_of_a_shape_is_not_claimed() {
        gst::init().unwrap();
        let shape = Shape { width: 320, frame_rate_numerator: 25, ..Shape::default() };
        let text = of_source(&Description { codec: Codec::Vp9, shape, codec_data: Vec::new() }).to_string();
        assert!(text.contains("width=(int)320"), "{text}");
        assert!(!text.contains("height") && !text.contains("framerate") && !text.contains("rate"), "{text}");
    }

    #[test]
    fn an_opus_head_with_a_mapping_gives_every_field_of_it() {
        let head = b"OpusHead\x01\x03\x38\x01\x80\xbb\0\0\0\0\x01\x02\x01\x00\x02\x01";
        let text = caps(Codec::Opus, head);
        assert!(text.contains("channel-mapping-family=(int)1"), "{text}");
        assert!(text.contains("stream-count=(int)2") && text.contains("coupled-count=(int)1"), "{text}");
        assert!(text.contains("channel-mapping=(int)< 0, 2, 1 >"), "{text}");
    }

    #[test]
    fn codec_data_that_is_cut_short_is_left_out_and_does_no_harm() {
        for length in 0..20 {
            let head = &b"OpusHead\x01\x03\x38\x01\x80\xbb\0\0\0\0\x01\x02\x01\x00\x02\x01"[..length];
            assert!(!caps(Codec::Opus, head).contains("streamheader"));
        }
        assert!(!caps(Codec::Vorbis, b"\x02\xff\xff").contains("streamheader"));
        assert!(!caps(Codec::Flac, b"fLaC\x00\xff\xff\xff").contains("streamheader"));
    }

    #[test]
    fn laced_headers_come_apart() {
        let mut laced = vec![2, 255, 1, 2];
        laced.extend([7; 256]);
        laced.extend([8, 8, 9]);
        let headers = xiph_headers(&laced).unwrap();
        assert_eq!(headers, [&[7; 256][..], &[8, 8], &[9]]);
    }
}
