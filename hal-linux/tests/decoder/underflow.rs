//! An app that sends too little.

use std::time::{Duration, Instant};

use greenroom_core::hal::DecoderEvent;
use greenroom_core::message::playback::{Codec, PlaybackState, SourceId};

use super::clip;
use super::commands::seek;
use super::player::{Command, Player, sinks};

fn count(player: &Player, wanted: impl Fn(&DecoderEvent) -> bool) -> usize {
    player.seen.iter().filter(|event| wanted(event)).count()
}

fn is_underflow(event: &DecoderEvent) -> bool {
    matches!(event, DecoderEvent::Underflow { .. })
}

/// Field failure 37
#[test]
fn a_source_that_runs_dry_is_waited_for_and_nothing_comes_late() {
    let (video, audio) = (clip::video(Codec::H264, 30), clip::audio(Codec::Opus, 57));
    // Late by less is dropped by no sink: a loaded machine is slow, too.
    let strict = "fakesink sync=true qos=true max-lateness=250000000";
    let (mut player, feeds) = Player::built(sinks(strict, "fake"), &[&video, &audio]);
    feeds[0].frames(0, &video.frames[..10]);
    feeds[1].frames(0, &audio.frames);
    feeds[1].end(0);
    player.does(Command::Play);
    let event = player.until(is_underflow);
    assert!(matches!(event, DecoderEvent::Underflow { source: SourceId(0), .. }), "{event:?}");
    player.until_state(PlaybackState::Buffering);
    // The clock stands: what comes only now is not late.
    let dry_until = Instant::now() + Duration::from_secs(1);
    player.until_statistics(0, |_| Instant::now() > dry_until);
    assert_eq!(
        count(&player, |event| matches!(event, DecoderEvent::State { state: PlaybackState::EndOfStream, .. })),
        0
    );
    feeds[0].frames(0, &video.frames[10..]);
    feeds[0].end(0);
    player.until_state(PlaybackState::Playing);
    player.until_state(PlaybackState::EndOfStream);
    assert_eq!(count(&player, is_underflow), 1);
    let statistics = player.statistics(0);
    // Had the clock gone on, each of the last 20 would have been dropped; a decoder that is behind may drop some.
    assert!(statistics.frames_rendered > 15, "{statistics:?}");
}

#[test]
fn a_pause_while_it_waits_for_data_is_a_pause() {
    let clip = clip::video(Codec::H264, 30);
    let (mut player, feeds) = Player::built(sinks("fake", "fake"), &[&clip]);
    feeds[0].frames(0, &clip.frames[..10]);
    player.does(Command::Play);
    player.until(is_underflow);
    player.until_state(PlaybackState::Buffering);
    player.does(Command::Pause);
    feeds[0].frames(0, &clip.frames[10..]);
    player.until_state(PlaybackState::Paused);
    assert_eq!(count(&player, |event| matches!(event, DecoderEvent::State { state: PlaybackState::Playing, .. })), 1);
    feeds[0].end(0);
    player.does(Command::Play);
    player.until_state(PlaybackState::EndOfStream);
}

#[test]
fn an_end_that_comes_while_it_waits_for_data_is_the_end() {
    let clip = clip::video(Codec::H264, 10);
    let (mut player, feeds) = Player::built(sinks("fake", "fake"), &[&clip]);
    feeds[0].frames(0, &clip.frames);
    player.does(Command::Play);
    player.until(is_underflow);
    feeds[0].end(0);
    player.until_state(PlaybackState::EndOfStream);
}

#[test]
fn a_seek_while_it_waits_for_data_plays_on_by_itself() {
    let clip = clip::video(Codec::H264, 20);
    let (mut player, feeds) = Player::built(sinks("fake", "fake"), &[&clip]);
    feeds[0].frames(0, &clip.frames[..10]);
    player.does(Command::Play);
    player.until(is_underflow);
    player.does(seek(0, 1));
    feeds[0].frames(1, &clip.frames);
    feeds[0].end(1);
    player.until_state(PlaybackState::Playing);
    player.until_state(PlaybackState::EndOfStream);
    assert_eq!(count(&player, is_underflow), 1);
}

#[test]
fn a_source_that_has_ended_does_not_run_dry() {
    let (video, audio) = (clip::video(Codec::H264, 5), clip::audio(Codec::Opus, 40));
    let (mut player, feeds) = Player::built(sinks("fake", "fake"), &[&video, &audio]);
    for (feed, clip) in feeds.iter().zip([&video, &audio]) {
        feed.frames(0, &clip.frames);
        feed.end(0);
    }
    player.does(Command::Play);
    player.until_state(PlaybackState::EndOfStream);
    assert_eq!(count(&player, is_underflow), 0);
}
