//! What apps do to a decoder in the field: early, late, twice, too fast, too little.

use std::time::{Duration, Instant};

use greenroom_core::hal::DecoderEvent;
use greenroom_core::message::playback::{Codec, PlaybackState, Shape, SourceDescription};

use super::clip::{self, PICTURE_NS};
use super::commands::{FAST, flush, seek};
use super::player::{Command, Player, SESSION, sinks};

/// Field failure 36
#[test]
fn an_end_that_comes_right_after_a_flush_is_an_end() {
    let clip = clip::video(Codec::H264, 10);
    for resets_time in [false, true] {
        let (mut player, feeds) = Player::built(sinks("fake", "fake"), &[&clip]);
        feeds[0].frames(0, &clip.frames);
        player.does(Command::Play);
        player.until_state(PlaybackState::Playing);
        player.does(flush(0, resets_time, 1));
        feeds[0].end(1);
        player.until_state(PlaybackState::EndOfStream);
        player.does(seek(0, 2));
        feeds[0].frames(2, &clip.frames);
        feeds[0].end(2);
        player.until_state(PlaybackState::EndOfStream);
    }
}

/// Field failure 36
#[test]
fn a_source_that_ends_without_any_data_does_not_keep_the_other_from_playing() {
    let (video, audio) = (clip::video(Codec::H264, 10), clip::audio(Codec::Opus, 1));
    let (mut player, feeds) = Player::built(sinks("fake", "fake"), &[&video, &audio]);
    player.does(Command::Play);
    feeds[1].end(0);
    feeds[0].frames(0, &video.frames);
    feeds[0].end(0);
    player.until_state(PlaybackState::EndOfStream);
    let statistics = player.statistics(0);
    assert_eq!(statistics.frames_rendered + statistics.frames_dropped, 10);
}

/// Field failure 48
#[test]
fn the_last_of_many_quick_plays_and_pauses_holds() {
    let clip = clip::video(Codec::H264, 40);
    let (mut player, feeds) = Player::built(sinks("fake", "fake"), &[&clip]);
    for _ in 0..30 {
        player.does(Command::Play);
        player.does(Command::Pause);
    }
    feeds[0].frames(0, &clip.frames);
    for _ in 0..30 {
        player.does(Command::Pause);
        player.does(Command::Play);
    }
    player.until_state(PlaybackState::Playing);
    player.does(Command::Pause);
    player.until_state(PlaybackState::Paused);
    let position_ns = player.position_ns();
    assert!(position_ns < Some(40 * PICTURE_NS), "{position_ns:?}");
    player.does(Command::Play);
    feeds[0].end(0);
    player.until_state(PlaybackState::EndOfStream);
}

/// Field failure 64: without waiting, and never a place where playback is not going.
#[test]
fn the_position_is_answered_at_any_moment() {
    let clip = clip::video(Codec::H264, 30);
    let (mut player, feeds) = Player::built(sinks("fake", "fake"), &[&clip]);
    let mut slowest = Duration::ZERO;
    let mut asked = |player: &mut Player| {
        let start = Instant::now();
        let position_ns = player.position_ns();
        slowest = slowest.max(start.elapsed());
        position_ns
    };
    assert_eq!(asked(&mut player), None, "nothing was shown yet");
    player.does(Command::Play);
    for epoch in 1..=20 {
        let token = player.command(seek(u64::from(epoch), epoch));
        asked(&mut player);
        player.until(|event| matches!(event, DecoderEvent::Completed { token: ended, .. } if *ended == token));
        assert_eq!(asked(&mut player), Some(u64::from(epoch) * PICTURE_NS), "it prerolls");
    }
    feeds[0].frames(20, &clip.frames);
    feeds[0].end(20);
    player.until_state(PlaybackState::EndOfStream);
    assert!(asked(&mut player) >= Some(29 * PICTURE_NS));
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

/// Field failure 55
#[test]
fn sound_that_comes_before_the_pictures_are_attached_waits_for_them() {
    let (video, audio) = (clip::video(Codec::H264, 15), clip::audio(Codec::Opus, 28));
    let mut player = Player::open(sinks(FAST, FAST));
    player.does(Command::Load { live: false });
    let sound = player.attach(0, audio.description());
    sound.frames(0, &audio.frames);
    sound.end(0);
    player.does(Command::Play);
    assert_eq!(player.statistics(0).frames_taken, 0);
    let pictures = player.attach(1, video.description());
    player.does(Command::AllAttached);
    pictures.frames(0, &video.frames);
    pictures.end(0);
    player.until_state(PlaybackState::EndOfStream);
    assert_eq!(player.statistics(0).frames_taken as usize, audio.frames.len());
    assert_eq!(player.statistics(1).frames_rendered, 15);
}

/// Field failure 56: what an app does not know it leaves 0, or claims nonsense; the stream itself says it.
#[test]
fn a_shape_of_nothing_or_of_nonsense_does_no_harm() {
    let clip = clip::video(Codec::H264, 10);
    let nonsense = Shape {
        width: u32::MAX,
        height: u32::MAX,
        frame_rate_numerator: u32::MAX,
        sample_rate: u32::MAX,
        channels: u16::MAX,
        ..Shape::default()
    };
    for shape in [Shape::default(), nonsense] {
        let mut player = Player::open(sinks(FAST, FAST));
        player.does(Command::Load { live: false });
        let feed = player.attach(0, SourceDescription { codec: clip.codec, shape, codec_data: &clip.codec_data });
        player.does(Command::AllAttached);
        feed.frames(0, &clip.frames);
        feed.end(0);
        player.does(Command::Play);
        player.until_state(PlaybackState::EndOfStream);
        assert_eq!(player.statistics(0).frames_rendered, 10, "{shape:?}");
    }
}

/// Field failures 45, 46: nobody waits for the end of one before the next.
#[test]
fn thirty_sessions_in_quick_succession_do_not_disturb_each_other() {
    let (video, audio) = (clip::video(Codec::H264, 10), clip::audio(Codec::Opus, 20));
    let mut player = Player::open(sinks("fake", "fake"));
    for number in 0..30 {
        player.zap_to(SESSION + 1 + number);
        player.does(Command::Load { live: number % 2 == 0 });
        let feeds = [player.attach(0, video.description()), player.attach(1, audio.description())];
        player.does(Command::AllAttached);
        player.does(Command::Play);
        feeds[0].frames(0, &video.frames);
        feeds[1].frames(0, &audio.frames);
        // Some are left before they show anything, some while they play.
        if number % 3 == 0 {
            player.until_state(PlaybackState::Playing);
        }
    }
    player.until_closed(30);
    player.until_state(PlaybackState::Playing);
    player.close();
}
