//! Seeking, flushing, stopping, closing: in every state.

use greenroom_core::hal::{Decoder, DecoderEvent};
use greenroom_core::message::playback::{Codec, PlaybackState, SourceId};

use super::clip::{self, PICTURE_NS};
use super::playback::{assert_pictures, brightnesses, video_to};
use super::player::{Command, Player, sinks};

pub(crate) const FAST: &str = "fakesink sync=false";

pub(crate) fn seek(picture: u64, epoch: u32) -> Command<'static> {
    Command::SetPosition { position_ns: picture * PICTURE_NS, epoch }
}

pub(crate) fn flush(source: u8, reset_time: bool, epoch: u32) -> Command<'static> {
    Command::Flush { source: SourceId(source), reset_time, epoch }
}

#[test]
fn after_a_seek_only_frames_of_the_new_epoch_come_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("raw");
    let clip = clip::video(Codec::H264, 40);
    let (mut player, feeds) = Player::built(video_to(&path), &[&clip]);
    feeds[0].frames(0, &clip.frames[..15]);
    player.until_state(PlaybackState::Paused);
    player.does(seek(20, 1));
    assert_eq!(player.position_ns(), Some(20 * PICTURE_NS));
    feeds[0].frames(0, &clip.frames[15..18]);
    feeds[0].frames(1, &clip.frames[20..]);
    feeds[0].end(1);
    player.does(Command::Play);
    player.until_state(PlaybackState::EndOfStream);
    let statistics = player.statistics(0);
    player.close();
    // The one that was shown while it was paused is in the file, too.
    let shown = brightnesses(&path);
    let behind = shown.len().checked_sub(20).unwrap();
    assert!(behind <= 1, "{shown:?}");
    assert_pictures(&shown[behind..], 20..40);
    assert_eq!(statistics.frames_taken + statistics.frames_stale, 15 + 3 + 20);
    assert!(statistics.frames_stale >= 3);
}

#[test]
fn a_seek_between_key_frames_shows_nothing_of_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("raw");
    let clip = clip::video(Codec::Vp9, 30);
    let (mut player, feeds) = Player::attached(video_to(&path), &[&clip]);
    player.does(seek(15, 4));
    player.does(Command::AllAttached);
    feeds[0].frames(4, &clip.frames[10..]);
    feeds[0].end(4);
    player.does(Command::Play);
    player.until_state(PlaybackState::EndOfStream);
    player.close();
    assert_pictures(&brightnesses(&path), 15..30);
}

/// Field failures 38, 39
#[test]
fn after_the_end_a_seek_plays_again() {
    let clip = clip::video(Codec::H264, 10);
    let (mut player, feeds) = Player::built(sinks(FAST, FAST), &[&clip]);
    player.does(Command::Play);
    for epoch in 0..5 {
        feeds[0].frames(epoch, &clip.frames);
        feeds[0].end(epoch);
        player.until_state(PlaybackState::EndOfStream);
        let statistics = player.statistics(0);
        assert_eq!(statistics.frames_rendered, 10 * (epoch + 1));
        player.does(seek(0, epoch + 1));
        player.does(Command::Play);
    }
}

#[test]
fn two_sources_seek_together_and_neither_ends_early() {
    let video = clip::video(Codec::H264, 10);
    let audio = clip::audio(Codec::Opus, 20);
    let (mut player, feeds) = Player::built(sinks(FAST, FAST), &[&video, &audio]);
    player.does(Command::Play);
    for epoch in 0..20 {
        feeds[0].frames(epoch, &video.frames);
        feeds[0].end(epoch);
        let before = player.seen.len();
        feeds[1].frames(epoch, &audio.frames);
        feeds[1].end(epoch);
        player.until_state(PlaybackState::EndOfStream);
        let ends = player.seen[before..]
            .iter()
            .filter(|event| matches!(event, DecoderEvent::State { state: PlaybackState::EndOfStream, .. }));
        assert_eq!(ends.count(), 1);
        player.does(seek(0, epoch + 1));
    }
    assert_eq!(player.statistics(0).frames_taken as usize, 20 * video.frames.len());
    assert_eq!(player.statistics(1).frames_taken as usize, 20 * audio.frames.len());
}

/// Field failures 40, 41, 43
#[test]
fn fifty_seeks_in_a_row_do_not_hang() {
    let video = clip::video(Codec::H264, 30);
    let audio = clip::audio(Codec::Aac, 40);
    let (mut player, feeds) = Player::built(sinks("fake", "fake"), &[&video, &audio]);
    player.does(Command::Play);
    for epoch in 1..=50 {
        feeds[0].frames(epoch - 1, &video.frames);
        feeds[1].frames(epoch - 1, &audio.frames);
        player.does(seek(u64::from(epoch) % 20, epoch));
    }
    feeds[0].frames(50, &video.frames);
    feeds[0].end(50);
    feeds[1].frames(50, &audio.frames);
    feeds[1].end(50);
    player.until_state(PlaybackState::EndOfStream);
    let statistics = player.statistics(0);
    assert_eq!((statistics.frames_taken + statistics.frames_stale) as usize, 51 * video.frames.len());
}

#[test]
fn a_pause_in_mid_play_is_told_and_so_is_going_on() {
    let clips = [clip::video(Codec::H264, 40), clip::audio(Codec::Opus, 80)];
    let (mut player, feeds) = Player::built(sinks("fake", "fake"), &[&clips[0], &clips[1]]);
    for (feed, clip) in feeds.iter().zip(&clips) {
        feed.frames(0, &clip.frames);
    }
    player.does(Command::Play);
    player.until_state(PlaybackState::Playing);
    for _ in 0..3 {
        player.does(Command::Pause);
        player.until_state(PlaybackState::Paused);
        player.does(Command::Play);
        player.until_state(PlaybackState::Playing);
    }
    player.close();
}

/// Field failure 42
#[test]
fn a_flush_while_it_prerolls_does_not_hang() {
    let clip = clip::video(Codec::H264, 20);
    for reset_time in [false, true] {
        let (mut player, feeds) = Player::built(sinks("fake", "fake"), &[&clip]);
        for epoch in 1..=10 {
            player.does(flush(0, reset_time, epoch));
            feeds[0].frames(epoch, &clip.frames[..3]);
        }
        player.does(flush(0, reset_time, 11));
        feeds[0].frames(11, &clip.frames);
        feeds[0].end(11);
        player.until_state(PlaybackState::Paused);
        player.does(Command::Play);
        player.until_state(PlaybackState::EndOfStream);
        player.close();
    }
}

#[test]
fn a_flush_of_one_source_leaves_the_other_alone() {
    let video = clip::video(Codec::H264, 25);
    let audio = clip::audio(Codec::Opus, 46);
    let (mut player, feeds) = Player::built(sinks("fake", "fake"), &[&video, &audio]);
    feeds[0].frames(0, &video.frames);
    feeds[0].end(0);
    feeds[1].frames(0, &audio.frames[..10]);
    player.does(Command::Play);
    player.until_state(PlaybackState::Playing);
    player.does(flush(1, false, 1));
    player.until_state(PlaybackState::Buffering);
    feeds[1].frames(1, &audio.frames[10..]);
    feeds[1].end(1);
    player.until_state(PlaybackState::EndOfStream);
    let statistics = player.statistics(0);
    assert_eq!(statistics.frames_taken as usize, video.frames.len());
    assert_eq!((statistics.frames_rendered + statistics.frames_dropped, statistics.frames_stale), (25, 0));
}

/// Field failure 71
#[test]
fn a_stretch_that_begins_after_a_flush_is_due_at_its_own_time() {
    let clip = clip::video(Codec::H264, 30);
    let (mut player, feeds) = Player::built(sinks("fake", "fake"), &[&clip]);
    player.does(Command::Play);
    feeds[0].frames(0, &clip.frames[..5]);
    player.until_state(PlaybackState::Playing);
    player.does(flush(0, false, 1));
    feeds[0].segment(1, 10 * PICTURE_NS);
    feeds[0].frames(1, &clip.frames[10..]);
    feeds[0].end(1);
    player.until_state(PlaybackState::EndOfStream);
    assert!(player.position_ns().unwrap() >= 29 * PICTURE_NS);
    assert_eq!(player.statistics(0).frames_dropped, 0);
}

#[test]
fn a_flush_of_a_source_that_is_not_there_is_refused() {
    let clip = clip::video(Codec::H264, 5);
    let (mut player, _feeds) = Player::attached(sinks(FAST, FAST), &[&clip]);
    assert!(player.tries(flush(1, false, 1)).is_err());
    player.does(Command::AllAttached);
    assert!(player.tries(flush(1, false, 1)).is_err());
    player.does(flush(0, false, 1));
}

#[test]
fn pause_stops_the_clock_and_play_goes_on() {
    let clip = clip::video(Codec::H264, 30);
    let (mut player, feeds) = Player::built(sinks("fake", "fake"), &[&clip]);
    feeds[0].frames(0, &clip.frames);
    feeds[0].end(0);
    for _ in 0..5 {
        player.does(Command::Play);
        player.until_state(PlaybackState::Playing);
        player.does(Command::Pause);
        player.until_state(PlaybackState::Paused);
    }
    player.does(Command::Play);
    player.until_state(PlaybackState::EndOfStream);
}

#[test]
fn volume_and_mute_are_taken_at_any_time() {
    let audio = clip::audio(Codec::Opus, 10);
    let (mut player, feeds) = Player::attached(sinks(FAST, FAST), &[&audio]);
    player.does(Command::SetVolume { permille: 300 });
    player.does(Command::AllAttached);
    player.does(Command::SetVolume { permille: 2000 });
    player.does(Command::SetMute { muted: true });
    feeds[0].frames(0, &audio.frames);
    feeds[0].end(0);
    player.does(Command::Play);
    player.until_state(PlaybackState::EndOfStream);
    player.does(Command::SetMute { muted: false });
}

#[test]
fn what_is_muted_is_silent_and_what_is_not_is_heard() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("raw");
    let audio = clip::audio(Codec::Opus, 20);
    let loudest = |permille, muted| {
        let text = format!("capsfilter caps=audio/x-raw,format=S16LE ! filesink location={}", path.display());
        let (mut player, feeds) = Player::attached(sinks("fake", &text), &[&audio]);
        player.does(Command::SetVolume { permille });
        player.does(Command::SetMute { muted });
        player.does(Command::AllAttached);
        feeds[0].frames(0, &audio.frames);
        feeds[0].end(0);
        player.does(Command::Play);
        player.until_state(PlaybackState::EndOfStream);
        player.close();
        let bytes = std::fs::read(&path).unwrap();
        let (samples, _) = bytes.as_chunks::<2>();
        samples.iter().map(|&sample| i16::from_le_bytes(sample).unsigned_abs()).max().unwrap()
    };
    let full = loudest(1000, false);
    assert!(full > 10_000, "{full}");
    assert!(loudest(500, false).abs_diff(full / 2) < full / 20);
    assert_eq!(loudest(1000, true), 0);
    assert_eq!(loudest(0, false), 0);
}

/// Field failure 39
#[test]
fn a_stopped_session_lets_go_of_its_sources_and_can_be_loaded_again() {
    let clip = clip::video(Codec::H264, 10);
    let (mut player, feeds) = Player::built(sinks("fake", "fake"), &[&clip]);
    feeds[0].frames(0, &clip.frames);
    player.does(Command::Play);
    player.until_state(PlaybackState::Playing);
    player.does(Command::Stop);
    assert!(feeds[0].is_dropped());
    assert_eq!(player.position_ns(), None);

    player.does(Command::Load { live: false });
    let feed = player.attach(0, clip.description());
    player.does(Command::AllAttached);
    assert_eq!(player.statistics(0).frames_taken, 0);
    feed.frames(0, &clip.frames);
    feed.end(0);
    player.does(Command::Play);
    player.until_state(PlaybackState::EndOfStream);
}

#[test]
fn a_second_command_has_to_wait_for_the_first() {
    let mut player = Player::open(sinks(FAST, FAST));
    let token = player.command(Command::Load { live: false });
    assert!(player.decoder.command(3, token + 1, Command::Play).is_err());
    player.until(|event| matches!(event, DecoderEvent::Completed { .. }));
    player.does(Command::Play);
}

/// Brings a session to one of its stages, the last of which is a command on its way.
fn at_stage(stage: usize) -> Player {
    let video = clip::video(Codec::H264, 20);
    let audio = clip::audio(Codec::Opus, 20);
    let clips = [&video, &audio];
    if stage == 0 {
        return Player::open(sinks("fake", "fake"));
    }
    let (mut player, feeds) = Player::attached(sinks("fake", "fake"), &clips);
    let feed = |epoch| {
        feeds[0].frames(epoch, &video.frames);
        feeds[1].frames(epoch, &audio.frames);
    };
    if stage >= 3 {
        player.does(Command::AllAttached);
    }
    match stage {
        2 => drop(player.command(Command::AllAttached)),
        4 => drop(player.command(seek(1, 1))),
        5 => feeds[0].frames(0, &video.frames),
        6.. => feed(0),
        _ => {}
    }
    if stage >= 7 {
        player.does(Command::Play);
        player.until_state(PlaybackState::Playing);
    }
    match stage {
        8 => drop(player.command(seek(1, 1))),
        9 => drop(player.command(Command::Pause)),
        10 => drop(player.command(Command::Stop)),
        11 => {
            feeds[0].end(0);
            feeds[1].end(0);
            player.until_state(PlaybackState::EndOfStream);
        }
        12 => {
            // Sound that ran dry would hold the pictures in front of the broken record.
            feeds[1].end(0);
            feeds[0].break_ring();
            player.until_failed();
        }
        _ => {}
    }
    player
}

/// Field failures 44, 45, 47
#[test]
fn close_ends_a_session_at_every_stage_and_it_can_be_opened_again() {
    for stage in 0..=12 {
        let mut player = at_stage(stage);
        player.close();
        player.reopen();
        player.does(Command::Load { live: true });
        player.close();
    }
}

#[test]
fn close_lets_go_of_the_sources() {
    let clip = clip::video(Codec::H264, 10);
    let (mut player, feeds) = Player::built(sinks("fake", "fake"), &[&clip]);
    feeds[0].frames(0, &clip.frames);
    player.until_state(PlaybackState::Paused);
    player.close();
    assert!(feeds[0].is_dropped());
}
