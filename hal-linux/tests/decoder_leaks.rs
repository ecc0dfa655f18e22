//! Nothing of a session is left when it is closed. Alone in its process, so that it can count.

#[path = "decoder/clip.rs"]
#[allow(dead_code, reason = "shared with the other test")]
mod clip;
#[path = "decoder/feed.rs"]
#[allow(dead_code, reason = "shared with the other test")]
mod feed;
#[path = "decoder/player.rs"]
#[allow(dead_code, reason = "shared with the other test")]
mod player;

use greenroom_core::message::playback::{Codec, PlaybackState};

use clip::Clip;
use player::{Command, Player, sinks};

fn entries(folder: &str) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

fn play_and_close(video: &Clip, audio: &Clip) {
    let (mut player, feeds) = Player::built(sinks("fakesink", "fakesink"), &[video, audio]);
    for (feed, clip) in feeds.iter().zip([video, audio]) {
        feed.frames(0, &clip.frames);
    }
    player.does(Command::Play);
    player.until_state(PlaybackState::Playing);
    player.does(Command::SetPosition { position_ns: 0, epoch: 1 });
    player.close();
}

/// SM-18
#[test]
fn a_closed_session_leaves_no_thread_and_no_descriptor() {
    let video = clip::video(Codec::H264, 10);
    let audio = clip::audio(Codec::Opus, 10);
    play_and_close(&video, &audio);
    let before = (entries("/proc/self/fd"), entries("/proc/self/task"));
    for _ in 0..20 {
        play_and_close(&video, &audio);
    }
    let after = (entries("/proc/self/fd"), entries("/proc/self/task"));
    assert_eq!(after.0, before.0, "descriptors");
    assert!(after.1 <= before.1, "threads: {} before, {} after", before.1, after.1);
}
