//! What goes wrong, and who is to blame.

use greenroom_core::message::playback::{Codec, PlaybackError, PlaybackState, Shape, SourceDescription};

use super::clip;
use super::feed::Frame;
use super::player::{Command, Player, sinks};

/// Field failure D
#[test]
fn a_broken_ring_fails_its_session_and_no_other() {
    let clip = clip::video(Codec::H264, 10);
    let (mut other, feeds) = Player::built(sinks("fakesink", "fake"), &[&clip]);
    feeds[0].frames(0, &clip.frames);

    let (mut player, broken) = Player::built(sinks("fake", "fake"), &[&clip]);
    broken[0].frames(0, &clip.frames);
    player.until_state(PlaybackState::Paused);
    broken[0].break_ring();
    player.does(Command::Play);
    assert_eq!(player.until_failed(), PlaybackError::RingCorrupt);
    assert!(broken[0].is_dropped());
    assert_eq!(player.tries(Command::Play), Err(PlaybackError::RingCorrupt));

    feeds[0].end(0);
    other.does(Command::Play);
    other.until_state(PlaybackState::EndOfStream);
}

#[test]
fn a_failed_session_can_be_stopped_and_loaded_again() {
    let clip = clip::video(Codec::H264, 10);
    let (mut player, feeds) = Player::built(sinks("fakesink", "fake"), &[&clip]);
    feeds[0].break_ring();
    player.until_failed();
    player.does(Command::Stop);
    player.does(Command::Load { live: false });
    let feed = player.attach(0, clip.description());
    player.does(Command::AllAttached);
    feed.frames(0, &clip.frames);
    feed.end(0);
    player.does(Command::Play);
    player.until_state(PlaybackState::EndOfStream);
}

#[test]
fn a_sink_of_an_element_that_is_not_installed_is_refused() {
    let clip = clip::video(Codec::H264, 1);
    let (mut player, feeds) = Player::attached(sinks("nosuchsink", "fake"), &[&clip]);
    assert_eq!(player.tries(Command::AllAttached), Err(PlaybackError::NoElement));
    assert!(feeds[0].is_dropped());
}

#[test]
fn a_sink_that_cannot_be_opened_is_refused() {
    let clip = clip::video(Codec::H264, 1);
    let (mut player, _feeds) = Player::attached(sinks("filesink location=/nowhere/at/all", "fake"), &[&clip]);
    assert_eq!(player.tries(Command::AllAttached), Err(PlaybackError::Sink));
}

#[test]
fn a_sink_that_fails_on_the_way_is_to_blame_itself() {
    let clip = clip::video(Codec::H264, 10);
    let (mut player, feeds) = Player::built(sinks("filesink location=/dev/full", "fake"), &[&clip]);
    feeds[0].frames(0, &clip.frames);
    feeds[0].end(0);
    player.does(Command::Play);
    assert_eq!(player.until_failed(), PlaybackError::Sink);
}

/// Bytes without any order.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let byte = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(byte).take(500).collect()
}

/// Field failure 57
#[test]
fn a_stream_that_is_noise_fails_and_the_app_is_to_blame() {
    for codec in [Codec::H264, Codec::Vp9, Codec::AacAdts] {
        let mut player = Player::open(sinks("fakesink", "fakesink"));
        player.does(Command::Load { live: false });
        let shape = Shape { sample_rate: 48_000, channels: 2, ..Shape::default() };
        let feed = player.attach(0, SourceDescription { codec, shape, codec_data: &[] });
        player.does(Command::AllAttached);
        for number in 0..200 {
            let presentation_ns = Some(number * 20_000_000);
            let payload = noise(number);
            feed.frame(0, &Frame { presentation_ns, decode_ns: None, duration_ns: None, is_key: true, payload });
        }
        feed.end(0);
        // It may have failed before it is told to play.
        let _ = player.tries(Command::Play);
        let error = player.until_failed();
        println!("{codec:?}: {error:?}");
        assert!(matches!(error, PlaybackError::Decode | PlaybackError::Format), "{codec:?}: {error:?}");
    }
}
