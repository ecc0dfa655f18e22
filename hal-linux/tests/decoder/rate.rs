//! Faster and slower.

use std::time::{Duration, Instant};

use greenroom_core::hal::DecoderEvent;
use greenroom_core::message::playback::{Codec, PlaybackError, PlaybackState};

use super::clip::{self, PICTURE_NS};
use super::commands::seek;
use super::player::{Command, Player, sinks};

fn rate(permille: u16) -> Command<'static> {
    Command::SetPlaybackRate { permille }
}

/// How long a session takes from its first picture to its end.
fn plays_for(player: &mut Player) -> Duration {
    player.until_state(PlaybackState::Paused);
    let start = Instant::now();
    player.does(Command::Play);
    player.until_state(PlaybackState::EndOfStream);
    start.elapsed()
}

fn media(pictures: u64) -> Duration {
    Duration::from_nanos(pictures * PICTURE_NS)
}

#[test]
fn at_four_times_the_rate_a_clip_takes_a_quarter_of_its_time_and_every_picture_comes() {
    let (video, audio) = (clip::video(Codec::H264, 100), clip::audio(Codec::Aac, 188));
    let (mut player, feeds) = Player::attached(sinks("fake", "fake"), &[&video, &audio]);
    player.does(rate(4000));
    player.does(Command::AllAttached);
    for (feed, clip) in feeds.iter().zip([&video, &audio]) {
        feed.frames(0, &clip.frames);
        feed.end(0);
    }
    let taken = plays_for(&mut player);
    assert!(taken >= media(98) / 4, "{taken:?}");
    assert!(taken < media(100) * 3 / 4, "{taken:?}");
    let statistics = player.statistics(0);
    assert_eq!(statistics.frames_rendered + statistics.frames_dropped, 100);
    assert!(player.position_ns().unwrap() >= 98 * PICTURE_NS);
}

#[test]
fn at_half_the_rate_it_takes_twice_as_long() {
    let clip = clip::video(Codec::H264, 20);
    let (mut player, feeds) = Player::built(sinks("fake", "fake"), &[&clip]);
    player.does(rate(500));
    feeds[0].frames(0, &clip.frames);
    feeds[0].end(0);
    let taken = plays_for(&mut player);
    assert!(taken >= media(18) * 2, "{taken:?}");
    assert_eq!(player.statistics(0).frames_rendered, 20);
}

#[test]
fn a_change_on_the_way_holds_from_there_on_also_after_a_seek() {
    let (video, audio) = (clip::video(Codec::H264, 200), clip::audio(Codec::Opus, 375));
    let (mut player, feeds) = Player::built(sinks("fake", "fake"), &[&video, &audio]);
    let send = |epoch| {
        for (feed, clip) in feeds.iter().zip([&video, &audio]) {
            feed.frames(epoch, &clip.frames);
            feed.end(epoch);
        }
    };
    send(0);
    player.until_state(PlaybackState::Paused);
    let start = Instant::now();
    player.does(Command::Play);
    player.until(|event| matches!(event, DecoderEvent::Position { position_ns: 500_000_000.., .. }));
    player.does(rate(8000));
    player.until_state(PlaybackState::EndOfStream);
    let taken = start.elapsed();
    assert!(taken >= Duration::from_millis(500) + (media(198) - Duration::from_secs(2)) / 8, "{taken:?}");
    assert!(taken < media(200) * 3 / 4, "{taken:?}");

    player.does(Command::Pause);
    player.does(seek(0, 1));
    send(1);
    let taken = plays_for(&mut player);
    assert!(taken >= media(198) / 8 && taken < media(200) / 2, "{taken:?}");
}

#[test]
fn a_stop_ends_the_rate() {
    let clip = clip::video(Codec::H264, 15);
    let (mut player, _feeds) = Player::built(sinks("fake", "fake"), &[&clip]);
    player.does(rate(8000));
    player.does(Command::Stop);
    player.does(Command::Load { live: false });
    let feed = player.attach(0, clip.description());
    player.does(Command::AllAttached);
    feed.frames(0, &clip.frames);
    feed.end(0);
    assert!(plays_for(&mut player) >= media(13));
}

#[test]
fn sound_at_twice_the_rate_keeps_its_pitch_and_lasts_half_as_long() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("raw");
    let audio = clip::audio(Codec::PcmS16Le, 100);
    let sink = format!(
        "capsfilter caps=audio/x-raw,format=S16LE,rate=48000,channels=2 ! filesink location={}",
        path.display()
    );
    let (mut player, feeds) = Player::attached(sinks("fake", &sink), &[&audio]);
    player.does(rate(2000));
    player.does(Command::AllAttached);
    feeds[0].frames(0, &audio.frames);
    feeds[0].end(0);
    player.does(Command::Play);
    player.until_state(PlaybackState::EndOfStream);
    player.close();
    let samples = std::fs::metadata(&path).unwrap().len() / 4;
    assert!(samples.abs_diff(50 * 1024) < 8192, "{samples} samples");
    let hertz = super::playback::tone_hz(&path);
    assert!(hertz.abs_diff(440) < 30, "{hertz} Hz");
}

#[test]
fn live_media_has_its_own_pace() {
    let mut player = Player::open(sinks("fake", "fake"));
    player.does(Command::Load { live: true });
    assert_eq!(player.tries(rate(2000)), Err(PlaybackError::Unsupported));
}
