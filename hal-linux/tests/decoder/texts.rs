//! Texts come out at their time, in every state that a session can be in.

use greenroom_core::hal::{Decoder, DecoderEvent};
use greenroom_core::limits::{TEXT_BYTES_MAX, TEXTS_MAX};
use greenroom_core::message::playback::{Codec, PlaybackError, PlaybackState, Shape, SourceDescription, SourceId};

use super::clip::{self, PICTURE_NS};
use super::commands::{flush, seek};
use super::feed::{Feed, Frame};
use super::player::{Command, Player, SESSION, sinks};

const TEXT: SourceId = SourceId(1);
const MS: u64 = 1_000_000;

fn frame(start_ms: u64, duration_ms: Option<u64>, body: &[u8]) -> Frame {
    let presentation_ns = Some(start_ms * MS);
    let duration_ns = duration_ms.map(|duration| duration * MS);
    Frame { presentation_ns, decode_ns: None, duration_ns, is_key: true, payload: body.to_vec() }
}

fn describe(codec: Codec) -> SourceDescription<'static> {
    SourceDescription { codec, shape: Shape::default(), codec_data: &[] }
}

/// A session with so many pictures, all of which are sent, and a source of texts.
fn stage(pictures: usize) -> (Player, Feed, Feed) {
    let clip = clip::video(Codec::H264, pictures);
    let (mut player, mut feeds) = Player::attached(sinks("fake", "fake"), &[&clip]);
    let texts = player.attach(TEXT.0, describe(Codec::TextWebVtt));
    player.does(Command::AllAttached);
    let pictures = feeds.remove(0);
    pictures.frames(0, &clip.frames);
    pictures.end(0);
    (player, pictures, texts)
}

/// What is due, and how many were missed before it.
fn next_text(player: &mut Player) -> Option<(u64, String, u32)> {
    let mut buffer = [0; TEXT_BYTES_MAX];
    let text = player.decoder.next_text(SESSION, &mut buffer)?;
    assert_eq!(text.source, TEXT);
    Some((text.start_ns / MS, text.body.to_owned(), text.missed))
}

fn until_text(player: &mut Player) -> (u64, String, u32) {
    player.until(|event| matches!(event, DecoderEvent::Text { .. }));
    next_text(player).unwrap()
}

fn has_seen_text(player: &Player) -> bool {
    player.seen.iter().any(|event| matches!(event, DecoderEvent::Text { .. }))
}

#[test]
fn a_text_is_told_when_playback_is_where_it_begins_and_not_before() {
    let (mut player, _pictures, texts) = stage(30);
    texts.frames(0, &[frame(0, Some(100), b"first"), frame(400, None, "gr\u{fc}n".as_bytes()), frame(800, None, b"")]);
    player.until_state(PlaybackState::Paused);
    assert_eq!(until_text(&mut player), (0, "first".into(), 0));
    assert_eq!(next_text(&mut player), None);
    player.does(Command::Play);
    for (start_ms, body) in [(400, "gr\u{fc}n"), (800, "")] {
        assert_eq!(until_text(&mut player), (start_ms, body.into(), 0));
        // Positions that are told later are not before it.
        let event = player.until(|event| matches!(event, DecoderEvent::Position { .. }));
        assert!(
            matches!(event, DecoderEvent::Position { position_ns, .. } if position_ns >= start_ms * MS),
            "{event:?}"
        );
    }
    player.until_state(PlaybackState::EndOfStream);
    let statistics = player.statistics(TEXT.0);
    assert_eq!((statistics.frames_taken, statistics.frames_rendered, statistics.frames_dropped), (3, 3, 0));
}

/// The source of texts neither ends nor has any: nobody waits for it.
#[test]
fn playback_does_not_wait_for_texts() {
    let (mut player, _pictures, _texts) = stage(5);
    player.does(Command::Play);
    player.until_state(PlaybackState::EndOfStream);
    assert!(!player.seen.iter().any(|event| matches!(event, DecoderEvent::Underflow { .. })));
    player.close();
}

#[test]
fn a_seek_drops_the_texts_of_before_and_shows_what_still_lasts() {
    let (mut player, pictures, texts) = stage(10);
    texts.frames(0, &[frame(0, None, b"old"), frame(100, None, b"never")]);
    player.until(|event| matches!(event, DecoderEvent::Text { .. }));
    player.does(seek(20, 1));
    assert_eq!(next_text(&mut player), None, "it was due before the seek");
    let clip = clip::video(Codec::H264, 30);
    pictures.frames(1, &clip.frames);
    pictures.end(1);
    // During the first picture: a sink that is late may leave out all others, and end with it.
    texts.frames(1, &[frame(700, Some(50), b"over"), frame(750, Some(500), b"lasts"), frame(820, None, b"new")]);
    player.does(Command::Play);
    assert_eq!(until_text(&mut player), (750, "lasts".into(), 0));
    assert_eq!(until_text(&mut player), (820, "new".into(), 0));
    player.until_state(PlaybackState::EndOfStream);
    assert_eq!(player.statistics(TEXT.0).frames_dropped, 1);
}

#[test]
fn a_flush_of_the_texts_leaves_the_pictures_alone_and_the_other_way_round() {
    let (mut player, _pictures, texts) = stage(20);
    texts.frames(0, &[frame(0, None, b"old")]);
    player.until(|event| matches!(event, DecoderEvent::Text { .. }));
    let before = player.seen.len();
    player.does(flush(TEXT.0, false, 1));
    assert_eq!(next_text(&mut player), None);
    texts.frames(1, &[frame(0, None, b"another language")]);
    assert_eq!(until_text(&mut player), (0, "another language".into(), 0));
    let is_state = |event: &DecoderEvent| matches!(event, DecoderEvent::State { .. });
    assert!(!player.seen[before..].iter().any(is_state), "the pictures stand as they stood");
    player.does(Command::Play);
    player.until_state(PlaybackState::EndOfStream);
    assert_eq!(player.statistics(0).frames_taken, 20);
}

#[test]
fn what_is_no_text_is_counted_and_dropped() {
    let (mut player, _pictures, texts) = stage(5);
    texts.frames(
        0,
        &[frame(0, None, b"\xff\xfe"), frame(0, None, &[b'a'; TEXT_BYTES_MAX + 1]), frame(0, None, b"good")],
    );
    assert_eq!(until_text(&mut player), (0, "good".into(), 2));
    assert_eq!(player.statistics(TEXT.0).frames_dropped, 2);
    player.close();
}

#[test]
fn of_more_texts_than_the_app_reads_the_oldest_go_and_are_counted() {
    let (mut player, _pictures, texts) = stage(5);
    let many = TEXTS_MAX + 20;
    let bodies: Vec<Frame> = (0..many).map(|number| frame(0, None, number.to_string().as_bytes())).collect();
    texts.frames(0, &bodies);
    player.until_statistics(TEXT.0, |statistics| statistics.frames_rendered as usize == many);
    assert_eq!(next_text(&mut player), Some((0, "20".into(), 20)));
    assert_eq!(std::iter::from_fn(|| next_text(&mut player)).count(), TEXTS_MAX - 1);
    player.close();
}

#[test]
fn texts_of_a_silent_source_are_not_told_and_those_after_it_are() {
    let (mut player, _pictures, texts) = stage(30);
    player.does(Command::SetSourceMute { source: TEXT, muted: true });
    texts.frames(0, &[frame(0, None, b"unheard"), frame(600, None, b"heard")]);
    player.does(Command::Play);
    player.until(|event| matches!(event, DecoderEvent::Position { position_ns: 100_000_000.., .. }));
    assert!(!has_seen_text(&player));
    player.does(Command::SetSourceMute { source: TEXT, muted: false });
    assert_eq!(until_text(&mut player), (600, "heard".into(), 0));
}

#[test]
fn texts_that_are_removed_are_let_go_and_a_broken_ring_of_texts_fails_its_session() {
    let (mut player, _pictures, texts) = stage(10);
    player.does(Command::RemoveSource { source: TEXT });
    assert!(texts.is_dropped());
    player.does(Command::Play);
    player.until_state(PlaybackState::EndOfStream);

    let (mut player, _pictures, texts) = stage(10);
    texts.break_ring();
    assert_eq!(player.until_failed(), PlaybackError::RingCorrupt);
    assert!(texts.is_dropped());
    player.close();
}

#[test]
fn texts_alone_have_no_clock_and_are_refused() {
    let mut player = Player::open(sinks("fake", "fake"));
    player.does(Command::Load { live: false });
    let _texts = player.attach(0, describe(Codec::TextUtf8));
    assert_eq!(player.tries(Command::AllAttached), Err(PlaybackError::Unsupported));
}

/// At a rate of four the second text is due in a quarter of its time; not before its place in the media.
#[test]
fn texts_follow_the_rate() {
    let (mut player, _pictures, texts) = stage(100);
    player.does(Command::SetPlaybackRate { permille: 4000 });
    texts.frames(0, &[frame(2000, None, b"soon")]);
    player.does(Command::Play);
    let start = std::time::Instant::now();
    assert_eq!(until_text(&mut player), (2000, "soon".into(), 0));
    let taken = start.elapsed();
    assert!(taken >= std::time::Duration::from_millis(400), "{taken:?}");
    player.until(|event| matches!(event, DecoderEvent::Position { .. }));
    assert!(player.position_ns().unwrap() >= 2000 * MS - 4 * PICTURE_NS);
}
