//! A stream that becomes another one on its way, in one session.

use std::path::Path;

use greenroom_core::hal::DecoderEvent;
use greenroom_core::message::playback::{Codec, PlaybackState, Shape, SourceDescription};

use super::clip::{self, Clip, PICTURE_NS};
use super::feed::Feed;
use super::player::{Command, Player, sinks};

const SMALL: (u32, u32) = (320, 240);
const LARGE: (u32, u32) = (640, 360);
const PICTURES: u32 = 10;

fn picture_bytes((width, height): (u32, u32)) -> u64 {
    u64::from(width * height) * 3 / 2
}

/// The sizes that were told.
fn sizes(player: &Player) -> Vec<(u32, u32)> {
    let size = |event: &DecoderEvent| match event {
        DecoderEvent::PictureSize { width, height, .. } => Some((*width, *height)),
        _ => None,
    };
    player.seen.iter().filter_map(size).collect()
}

/// Sends one clip and, right behind it, another, with its configuration where there is one.
fn send_both(feed: &Feed, first: &Clip, second: &Clip, second_begins_ns: u64) {
    feed.frames(0, &first.frames);
    if !second.codec_data.is_empty() {
        feed.codec_data(0, &second.codec_data);
    }
    second.frames.iter().for_each(|frame| feed.frame(0, &frame.later(second_begins_ns)));
    feed.end(0);
}

fn plays_both_sizes(codec: Codec, path: &Path) {
    let (small, large) = (clip::moving(codec, SMALL, PICTURES), clip::moving(codec, LARGE, PICTURES));
    let video = format!("capsfilter caps=video/x-raw,format=I420 ! filesink location={}", path.display());
    let mut player = Player::open(sinks(&video, "fake"));
    player.does(Command::Load { live: false });
    let shape = Shape { width: SMALL.0, height: SMALL.1, ..Shape::default() };
    let feed = player.attach(0, SourceDescription { codec, shape, codec_data: &small.codec_data });
    player.does(Command::AllAttached);
    send_both(&feed, &small, &large, u64::from(PICTURES) * PICTURE_NS);
    player.does(Command::Play);
    player.until_state(PlaybackState::EndOfStream);
    let statistics = player.statistics(0);
    assert_eq!(sizes(&player), [SMALL, LARGE], "{codec:?}");
    player.close();
    assert_eq!((statistics.frames_rendered, statistics.frames_dropped), (2 * PICTURES, 0), "{codec:?}");
    let bytes = u64::from(PICTURES) * (picture_bytes(SMALL) + picture_bytes(LARGE));
    assert_eq!(std::fs::metadata(path).unwrap().len(), bytes, "{codec:?}");
}

#[test]
fn pictures_of_another_size_come_out_in_their_size_without_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("raw");
    let codecs = [Codec::H264Avc, Codec::H264, Codec::H265Hvc, Codec::H265, Codec::Vp8, Codec::Vp9, Codec::Av1];
    for codec in codecs.into_iter().filter(|&codec| clip::can_make(codec)) {
        plays_both_sizes(codec, &path);
    }
}

#[test]
fn sound_of_another_rate_and_with_other_channels_goes_on_without_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("raw");
    for codec in [Codec::Aac, Codec::AacAdts].into_iter().filter(|&codec| clip::can_make(codec)) {
        let (stereo, mono) = (clip::tone(codec, (48_000, 2), 47), clip::tone(codec, (44_100, 1), 43));
        let caps = "audio/x-raw,format=S16LE,rate=48000,channels=2";
        let sink = format!("capsfilter caps={caps} ! filesink location={}", path.display());
        let (mut player, feeds) = Player::built(sinks("fake", &sink), &[&stereo]);
        send_both(&feeds[0], &stereo, &mono, 1_024_000_000);
        player.does(Command::Play);
        player.until_state(PlaybackState::EndOfStream);
        player.close();
        let samples = std::fs::metadata(&path).unwrap().len() / 4;
        // Two seconds, and what the codec adds at each end.
        assert!((95_000..=102_000).contains(&samples), "{codec:?}: {samples} samples");
    }
}
