//! What is done to single sources of a session, and what is told of each.

use greenroom_core::hal::DecoderEvent;
use greenroom_core::message::playback::{Codec, PlaybackError, PlaybackState, Shape, SourceDescription, SourceId};

use super::clip;
use super::commands::FAST;
use super::feed::Frame;
use super::player::{Command, Player, SESSION, sinks};

const SESSION_ENDS: PlaybackState = PlaybackState::EndOfStream;

fn remove(source: u8) -> Command<'static> {
    Command::RemoveSource { source: SourceId(source) }
}

#[test]
fn a_source_that_is_removed_does_not_keep_the_others_from_starting() {
    let (video, audio) = (clip::video(Codec::H264, 10), clip::audio(Codec::Opus, 10));
    let (mut player, feeds) = Player::built(sinks("fake", "fake"), &[&video, &audio]);
    player.does(Command::Play);
    feeds[0].frames(0, &video.frames);
    feeds[0].end(0);
    // The sound never comes.
    player.does(remove(1));
    assert!(feeds[1].is_dropped());
    player.until_state(SESSION_ENDS);
    assert_eq!(player.statistics(0).frames_taken, 10);
}

#[test]
fn a_source_that_is_removed_while_it_plays_leaves_the_others_playing() {
    let (video, audio) = (clip::video(Codec::H264, 20), clip::audio(Codec::Opus, 200));
    for (removed, other) in [(0u8, 1usize), (1, 0)] {
        let (mut player, feeds) = Player::built(sinks("fake", "fake"), &[&video, &audio]);
        feeds[0].frames(0, &video.frames);
        feeds[1].frames(0, &audio.frames[..60]);
        player.does(Command::Play);
        player.until_state(PlaybackState::Playing);
        player.does(remove(removed));
        assert!(feeds[usize::from(removed)].is_dropped());
        feeds[other].end(0);
        player.until_state(SESSION_ENDS);
        // It can be moved and played again.
        player.does(Command::SetPosition { position_ns: 0, epoch: 1 });
        if other == 0 {
            feeds[0].frames(1, &video.frames);
        } else {
            feeds[1].frames(1, &audio.frames[..30]);
        }
        feeds[other].end(1);
        player.until_state(SESSION_ENDS);
        assert!(player.tries(Command::Flush { source: SourceId(removed), reset_time: false, epoch: 2 }).is_err());
        player.close();
    }
}

#[test]
fn a_source_that_is_removed_while_its_frames_flow_does_not_fail_the_session() {
    let (video, audio) = (clip::video(Codec::H264, 20), clip::audio(Codec::Opus, 200));
    for round in 0..20u8 {
        let (removed, other) = (round % 2, usize::from(1 - round % 2));
        let (mut player, feeds) = Player::built(sinks(FAST, FAST), &[&video, &audio]);
        player.does(Command::Play);
        feeds[0].frames(0, &video.frames);
        feeds[1].frames(0, &audio.frames);
        player.does(remove(removed));
        feeds[other].end(0);
        player.until_state(SESSION_ENDS);
        player.close();
    }
}

#[test]
fn when_the_source_that_has_not_ended_is_removed_the_session_has_ended() {
    let (video, audio) = (clip::video(Codec::H264, 10), clip::audio(Codec::Opus, 50));
    let (mut player, feeds) = Player::built(sinks(FAST, FAST), &[&video, &audio]);
    feeds[0].frames(0, &video.frames);
    feeds[0].end(0);
    feeds[1].frames(0, &audio.frames);
    player.does(Command::Play);
    player.until_state(PlaybackState::Playing);
    player.until(|event| matches!(event, DecoderEvent::Position { position_ns: 400_000_000.., .. }));
    player.does(remove(1));
    player.until_state(SESSION_ENDS);
}

#[test]
fn the_number_of_a_removed_source_can_be_given_again() {
    let (video, audio) = (clip::video(Codec::H264, 10), clip::audio(Codec::Opus, 10));
    let (mut player, feeds) = Player::attached(sinks(FAST, FAST), &[&video, &audio]);
    player.does(remove(0));
    assert!(feeds[0].is_dropped());
    let feed = player.attach(0, video.description());
    player.does(Command::AllAttached);
    feed.frames(0, &video.frames);
    feed.end(0);
    feeds[1].frames(0, &audio.frames);
    feeds[1].end(0);
    player.does(Command::Play);
    player.until_state(SESSION_ENDS);
    assert_eq!(player.statistics(0).frames_rendered, 10);
}

#[test]
fn the_size_of_the_pictures_is_told_whatever_the_app_claims() {
    let clip = clip::video(Codec::H264, 5);
    let mut player = Player::open(sinks(FAST, FAST));
    player.does(Command::Load { live: false });
    let shape = Shape { width: 1920, height: 1080, ..Shape::default() };
    let feed = player.attach(0, SourceDescription { codec: clip.codec, shape, codec_data: &[] });
    player.does(Command::AllAttached);
    feed.frames(0, &clip.frames);
    feed.end(0);
    player.does(Command::Play);
    player.until_state(SESSION_ENDS);
    let side = u32::try_from(clip::PICTURE_PIXELS).unwrap();
    let size = DecoderEvent::PictureSize { session: SESSION, source: SourceId(0), width: side, height: side };
    assert_eq!(player.seen.iter().filter(|event| matches!(event, DecoderEvent::PictureSize { .. })).count(), 1);
    assert!(player.seen.contains(&size), "{:?}", player.seen);
}

#[test]
fn frames_that_come_too_late_are_counted_and_told() {
    let clip = clip::video(Codec::H264, 40);
    let slow = "identity sleep-time=100000 ! fakesink sync=true qos=true max-lateness=1000000";
    let (mut player, feeds) = Player::built(sinks(slow, "fake"), &[&clip]);
    feeds[0].frames(0, &clip.frames);
    feeds[0].end(0);
    player.does(Command::Play);
    player.until(|event| {
        matches!(event, DecoderEvent::QualityOfService { frames_dropped: 3.., source: SourceId(0), .. })
    });
    player.until_state(SESSION_ENDS);
    let statistics = player.statistics(0);
    assert!(statistics.frames_dropped >= 3, "{statistics:?}");
}

#[test]
fn frames_that_wait_in_the_ring_are_counted() {
    let clip = clip::video(Codec::H264, 60);
    let (mut player, feeds) = Player::built(sinks("fake", "fake"), &[&clip]);
    assert_eq!(player.statistics(0).frames_queued, 0);
    feeds[0].frames(0, &clip.frames);
    player.until_state(PlaybackState::Paused);
    // A paused sink, and what is before it, takes only some.
    let queued = player.until_statistics(0, |statistics| (30..60).contains(&statistics.frames_queued)).frames_queued;
    feeds[0].end(0);
    player.does(Command::Play);
    player.until_state(SESSION_ENDS);
    assert!(queued > player.statistics(0).frames_queued);
    assert_eq!(player.statistics(0).frames_queued, 0);
}

#[test]
fn one_source_is_silent_and_the_session_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("raw");
    let audio = clip::audio(Codec::PcmS16Le, 20);
    for (is_silent, session_is_silent) in [(true, false), (false, true), (false, false)] {
        let text = format!("capsfilter caps=audio/x-raw,format=S16LE ! filesink location={}", path.display());
        let (mut player, feeds) = Player::attached(sinks("fake", &text), &[&audio]);
        player.does(Command::SetSourceMute { source: SourceId(0), muted: true });
        player.does(Command::SetMute { muted: session_is_silent });
        player.does(Command::AllAttached);
        player.does(Command::SetSourceMute { source: SourceId(0), muted: is_silent });
        feeds[0].frames(0, &audio.frames);
        feeds[0].end(0);
        player.does(Command::Play);
        player.until_state(SESSION_ENDS);
        player.close();
        let is_heard = std::fs::read(&path).unwrap().iter().any(|&byte| byte != 0);
        assert_eq!(is_heard, !is_silent && !session_is_silent);
    }
}

#[test]
fn raw_sound_whose_shape_says_too_little_is_refused() {
    for (sample_rate, channels) in [(0, 2), (48_000, 0)] {
        let mut player = Player::open(sinks(FAST, FAST));
        player.does(Command::Load { live: false });
        let shape = Shape { sample_rate, channels, ..Shape::default() };
        let _feed = player.attach(0, SourceDescription { codec: Codec::PcmS16Le, shape, codec_data: &[] });
        assert_eq!(player.tries(Command::AllAttached), Err(PlaybackError::Format));
    }
}

#[test]
fn raw_sound_in_odd_pieces_and_of_six_channels_plays() {
    for channels in [1, 2, 6, 8, 11] {
        let mut player = Player::open(sinks(FAST, FAST));
        player.does(Command::Load { live: false });
        let shape = Shape { sample_rate: 44_100, channels, ..Shape::default() };
        let feed = player.attach(0, SourceDescription { codec: Codec::PcmS24Le, shape, codec_data: &[] });
        player.does(Command::AllAttached);
        for (number, bytes) in [1000, 1001, 1, 0, 3, 4000].into_iter().enumerate() {
            let presentation_ns = Some(number as u64 * 20_000_000);
            let payload = vec![5; bytes];
            feed.frame(0, &Frame { presentation_ns, decode_ns: None, duration_ns: None, is_key: true, payload });
        }
        feed.end(0);
        player.does(Command::Play);
        player.until_state(SESSION_ENDS);
        assert_eq!(player.statistics(0).frames_taken, 6, "{channels} channels");
    }
}
