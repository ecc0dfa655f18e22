//! What goes in comes out, complete, in order and at its pace.

use std::path::Path;
use std::time::{Duration, Instant};

use greenroom_core::hal::DecoderEvent;
use greenroom_core::message::playback::{Codec, PlaybackState, SourceId};

use super::clip::{self, Clip, PICTURE_NS, PICTURE_PIXELS, brightness};
use super::player::{Command, Player, sinks};

fn to_file(caps: &str, path: &Path) -> String {
    format!("capsfilter caps={caps} ! filesink location={}", path.display())
}

/// The brightness of each picture of a raw file.
pub(crate) fn brightnesses(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap();
    let picture_bytes = PICTURE_PIXELS * PICTURE_PIXELS * 3 / 2;
    assert_eq!(bytes.len() % picture_bytes, 0, "a picture is cut");
    let middle = PICTURE_PIXELS * PICTURE_PIXELS / 2 + PICTURE_PIXELS / 2;
    bytes.chunks(picture_bytes).map(|picture| picture[middle]).collect()
}

/// Coding is lossy, but neighbours are 4 apart.
pub(crate) fn assert_pictures(shown: &[u8], numbers: impl ExactSizeIterator<Item = usize>) {
    assert_eq!(shown.len(), numbers.len(), "{shown:?}");
    for (&shown, number) in shown.iter().zip(numbers) {
        assert!(
            shown.abs_diff(brightness(number)) <= 1,
            "picture {number} is {} and came out as {shown}",
            brightness(number)
        );
    }
}

pub(crate) fn video_to(path: &Path) -> greenroom_hal_linux::decoder::SinkConfig {
    sinks(&to_file("video/x-raw,format=I420", path), "fake")
}

/// Plays a clip to its end into a file.
fn play_into(clip: &Clip, path: &Path) -> Player {
    let audio = to_file("audio/x-raw,format=S16LE,rate=48000,channels=2", path);
    let config = sinks(&to_file("video/x-raw,format=I420", path), &audio);
    let (mut player, feeds) = Player::built(config, &[clip]);
    feeds[0].frames(0, &clip.frames);
    feeds[0].end(0);
    player.does(Command::Play);
    player.until_state(PlaybackState::EndOfStream);
    player
}

/// Field failure 35
#[test]
fn every_picture_of_every_video_codec_comes_out_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("raw");
    let codecs =
        [Codec::H264, Codec::H264Avc, Codec::H265, Codec::H265Hvc, Codec::Vp8, Codec::Vp9, Codec::Av1].into_iter();
    for codec in codecs.filter(|&codec| clip::can_make(codec)) {
        let clip = clip::video(codec, 30);
        let mut player = play_into(&clip, &path);
        let statistics = player.statistics(0);
        player.close();
        println!("{codec:?}: {statistics:?}");
        assert_pictures(&brightnesses(&path), 0..30);
        assert_eq!(statistics.frames_taken as usize, clip.frames.len());
        assert_eq!((statistics.frames_rendered, statistics.frames_dropped, statistics.frames_stale), (30, 0, 0));
    }
}

/// The tone that `audiotestsrc` makes.
const TONE_HZ: u64 = 440;

/// The tone of a raw file of 16 bit samples in stereo at 48 kHz: it goes from below to above zero once in each period.
pub(crate) fn tone_hz(path: &Path) -> u64 {
    let bytes = std::fs::read(path).unwrap();
    let (samples, _) = bytes.as_chunks::<4>();
    // At their ends codecs add what is no tone.
    let middle = &samples[samples.len() / 4..samples.len() * 3 / 4];
    let left: Vec<i16> = middle.iter().map(|&[low, high, ..]| i16::from_le_bytes([low, high])).collect();
    let rises = left.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count() as u64;
    rises * 48_000 / left.len() as u64
}

#[test]
fn all_sound_of_every_audio_codec_comes_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("raw");
    let coded = [Codec::Aac, Codec::AacAdts, Codec::Opus, Codec::Mp3, Codec::Vorbis, Codec::Flac];
    let codecs = coded.into_iter().chain([Codec::PcmS16Le, Codec::PcmS24Le, Codec::PcmS32Le, Codec::PcmF32Le]);
    for codec in codecs.filter(|&codec| clip::can_make(codec)) {
        let clip = clip::audio(codec, 50);
        let mut player = play_into(&clip, &path);
        let statistics = player.statistics(0);
        player.close();
        let samples = std::fs::metadata(&path).unwrap().len() / 4;
        println!("{codec:?}: {samples} samples of 51200, {statistics:?}");
        // Codecs add and cut some at the ends, but no more than two of their own frames.
        assert!(samples.abs_diff(50 * 1024) <= 4096, "{codec:?}: {samples} samples");
        let hertz = tone_hz(&path);
        assert!(hertz.abs_diff(TONE_HZ) <= 10, "{codec:?}: a tone of {hertz} Hz");
        assert_eq!(statistics.frames_taken as usize, clip.frames.len());
    }
}

#[test]
fn an_app_hears_how_playback_goes() {
    let clip = clip::video(Codec::Vp9, 20);
    let (mut player, feeds) = Player::built(sinks("fake", "fake"), &[&clip]);
    player.until_state(PlaybackState::Buffering);
    feeds[0].frames(0, &clip.frames);
    feeds[0].end(0);
    player.until_state(PlaybackState::Paused);
    assert_eq!(player.position_ns(), Some(0));
    player.does(Command::Play);
    player.until_state(PlaybackState::Playing);
    player.until(|event| matches!(event, DecoderEvent::Position { position_ns: 1.., .. }));
    player.until_state(PlaybackState::EndOfStream);
    let first_frames =
        player.seen.iter().filter(|event| matches!(event, DecoderEvent::FirstFrame { source: SourceId(0), .. }));
    assert_eq!(first_frames.count(), 1);
}

#[test]
fn a_sink_that_waits_for_the_clock_keeps_the_pace() {
    let clip = clip::video(Codec::H264, 20);
    let (mut player, feeds) = Player::built(sinks("fake", "fake"), &[&clip]);
    feeds[0].frames(0, &clip.frames);
    feeds[0].end(0);
    player.until_state(PlaybackState::Paused);
    let start = Instant::now();
    player.does(Command::Play);
    player.until_state(PlaybackState::EndOfStream);
    // The first picture is shown at once, the last is due after all others but is not waited out by every sink.
    assert!(start.elapsed() >= Duration::from_nanos(18 * PICTURE_NS), "{:?}", start.elapsed());
}

#[test]
fn a_sink_that_does_not_wait_goes_as_fast_as_the_decoder() {
    let mut clip = clip::video(Codec::H264, 20);
    for (number, frame) in clip.frames.iter_mut().enumerate() {
        frame.presentation_ns = Some(number as u64 * 60_000_000_000);
        frame.decode_ns = None;
    }
    let (mut player, feeds) = Player::built(sinks("fakesink sync=false", "fake"), &[&clip]);
    feeds[0].frames(0, &clip.frames);
    feeds[0].end(0);
    player.does(Command::Play);
    player.until_state(PlaybackState::EndOfStream);
    assert_eq!(player.statistics(0).frames_rendered, 20);
}

#[test]
fn one_stream_can_go_to_two_sinks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("raw");
    let clip = clip::video(Codec::H264, 10);
    let text = format!(
        "tee name=t ! queue ! fakesink sync=true t. ! queue ! capsfilter caps=video/x-raw,format=I420 ! filesink location={}",
        path.display()
    );
    let (mut player, feeds) = Player::built(sinks(&text, "fake"), &[&clip]);
    feeds[0].frames(0, &clip.frames);
    feeds[0].end(0);
    player.does(Command::Play);
    player.until_state(PlaybackState::EndOfStream);
    assert_eq!(player.statistics(0).frames_rendered, 10);
    player.close();
    assert_pictures(&brightnesses(&path), 0..10);
}

#[test]
fn pictures_and_sound_play_together_and_end_when_both_have_ended() {
    let video = clip::video(Codec::H264Avc, 15);
    let audio = clip::audio(Codec::Aac, 28);
    let (mut player, feeds) = Player::built(sinks("fake", "fake"), &[&video, &audio]);
    feeds[0].frames(0, &video.frames);
    feeds[1].frames(0, &audio.frames);
    feeds[0].end(0);
    player.does(Command::Play);
    player.until_state(PlaybackState::Playing);
    feeds[1].end(0);
    player.until_state(PlaybackState::EndOfStream);
    for source in [SourceId(0), SourceId(1)] {
        assert!(player.seen.contains(&DecoderEvent::FirstFrame { session: 3, source }));
    }
    assert_eq!(player.statistics(0).frames_taken as usize, video.frames.len());
    assert_eq!(player.statistics(1).frames_taken as usize, audio.frames.len());
    let statistics = player.statistics(0);
    assert_eq!(statistics.frames_rendered + statistics.frames_dropped, 15);
}

#[test]
fn frames_that_come_late_are_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("raw");
    let clip = clip::video(Codec::H264, 12);
    let (mut player, feeds) = Player::built(video_to(&path), &[&clip]);
    player.does(Command::Play);
    for frame in &clip.frames {
        feeds[0].frame(0, frame);
        let _ = player.statistics(0);
        std::thread::yield_now();
    }
    feeds[0].end(0);
    player.until_state(PlaybackState::EndOfStream);
    player.close();
    assert_pictures(&brightnesses(&path), 0..12);
}

#[test]
fn another_stretch_of_the_media_follows_without_a_gap() {
    let clip = clip::video(Codec::H264, 20);
    let (mut player, feeds) = Player::built(sinks("fake", "fake"), &[&clip]);
    feeds[0].frames(0, &clip.frames[..10]);
    feeds[0].segment(0, 3_600_000_000_000);
    for frame in &clip.frames[10..] {
        let mut later = frame.clone();
        later.presentation_ns = frame.presentation_ns.map(|time| time + 3_600_000_000_000 - 10 * PICTURE_NS);
        later.decode_ns = None;
        feeds[0].frame(0, &later);
    }
    feeds[0].end(0);
    player.does(Command::Play);
    player.until_state(PlaybackState::EndOfStream);
    assert!(player.position_ns().unwrap() >= 3_600_000_000_000);
    let statistics = player.statistics(0);
    assert_eq!(statistics.frames_rendered + statistics.frames_dropped, 20);
}

#[test]
fn codec_data_may_change_on_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("raw");
    let clip = clip::video(Codec::H264Avc, 20);
    let (mut player, feeds) = Player::built(video_to(&path), &[&clip]);
    let key = clip.frames.iter().rposition(|frame| frame.is_key).unwrap();
    feeds[0].frames(0, &clip.frames[..key]);
    feeds[0].codec_data(0, &clip.codec_data);
    feeds[0].frames(0, &clip.frames[key..]);
    feeds[0].end(0);
    player.does(Command::Play);
    player.until_state(PlaybackState::EndOfStream);
    player.close();
    assert_pictures(&brightnesses(&path), 0..20);
}

#[test]
fn a_live_stream_plays_from_its_first_frame_on_whatever_its_time() {
    let clip = clip::video(Codec::H264, 20);
    let mut player = Player::open(sinks("fake", "fake"));
    player.does(Command::Load { live: true });
    let feed = player.attach(0, clip.description());
    player.does(Command::AllAttached);
    player.does(Command::Play);
    for frame in &clip.frames {
        let mut late = frame.clone();
        late.presentation_ns = frame.presentation_ns.map(|time| time + 36_000_000_000_000);
        late.decode_ns = frame.decode_ns.map(|time| time + 36_000_000_000_000);
        feed.frame(0, &late);
    }
    feed.end(0);
    player.until_state(PlaybackState::EndOfStream);
    assert!(player.position_ns().unwrap() >= 36_000_000_000_000);
    let statistics = player.statistics(0);
    assert_eq!(statistics.frames_rendered + statistics.frames_dropped, 20);
    assert!(statistics.frames_rendered > 0);
}
