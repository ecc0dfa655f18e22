//! Nothing of a session is left when it is closed, whatever happened to it. Alone in its process, so that it can count.

#[path = "decoder/clip.rs"]
#[allow(dead_code, reason = "shared with the other test")]
mod clip;
#[path = "decoder/feed.rs"]
#[allow(dead_code, reason = "shared with the other test")]
mod feed;
#[path = "decoder/player.rs"]
#[allow(dead_code, reason = "shared with the other test")]
mod player;

use std::time::{Duration, Instant};

use greenroom_core::message::playback::{Codec, PlaybackState, Shape, SourceDescription, SourceId};
use gstreamer as gst;
use gstreamer::prelude::*;

use clip::Clip;
use feed::{Feed, Frame};
use player::{Command, Player, SESSION, sinks};

/// What a process has.
#[derive(Debug)]
struct Census {
    descriptors: usize,
    threads: usize,
}

impl Census {
    fn take() -> Self {
        let entries = |folder: &str| std::fs::read_dir(folder).unwrap().count();
        Self { descriptors: entries("/proc/self/fd"), threads: entries("/proc/self/task") }
    }

    /// Takes it when no more threads are left than before: who has joined a thread may still see it in the kernel.
    fn at_rest(before: &Self) -> Self {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let census = Self::take();
            if census.threads <= before.threads || Instant::now() > deadline {
                return census;
            }
            std::thread::yield_now();
        }
    }
}

/// GStreamer's own account of its elements, pads, buffers, events, messages, ...
struct Ledger(gst::Tracer);

impl Ledger {
    /// Counts from here on.
    fn open() -> Self {
        let tracer =
            gst::active_tracers().into_iter().find(|tracer| tracer.type_().name() == "GstLeaksTracer").unwrap();
        tracer.emit_by_name::<()>("activity-start-tracking", &[]);
        Self(tracer)
    }

    /// How many more there are than when it was opened or asked last.
    fn growth(&self) -> usize {
        let checkpoint: gst::Structure = self.0.emit_by_name("activity-get-checkpoint", &[]);
        let number = |field: &str| checkpoint.get::<gst::List>(field).unwrap().len();
        number("objects-created-list").saturating_sub(number("objects-removed-list"))
    }
}

/// What happens to a session, and how that is called.
type Life = (&'static str, fn(&Clips));

struct Clips {
    video: Clip,
    audio: Clip,
}

impl Clips {
    fn built(&self) -> (Player, Vec<Feed>) {
        let (player, feeds) = Player::built(sinks("fakesink", "fakesink"), &[&self.video, &self.audio]);
        self.feed(&feeds, 0);
        (player, feeds)
    }

    fn feed(&self, feeds: &[Feed], epoch: u32) {
        feeds[0].frames(epoch, &self.video.frames);
        feeds[1].frames(epoch, &self.audio.frames);
    }
}

/// Field failure 61
fn plays_and_is_closed(clips: &Clips) {
    let (mut player, _feeds) = clips.built();
    player.does(Command::Play);
    player.until_state(PlaybackState::Playing);
    player.does(Command::SetPosition { position_ns: 0, epoch: 1 });
    player.close();
}

/// Field failure 61
fn plays_to_its_end(clips: &Clips) {
    let (mut player, feeds) = clips.built();
    feeds.iter().for_each(|feed| feed.end(0));
    player.does(Command::Play);
    player.until_state(PlaybackState::EndOfStream);
    player.close();
}

/// Field failures 45, 47
fn is_closed_right_after_load(_: &Clips) {
    let mut player = Player::open(sinks("fakesink", "fakesink"));
    player.command(Command::Load { live: false });
    player.close();
}

/// Field failures 45, 47
fn is_closed_while_it_is_built(clips: &Clips) {
    let (mut player, _feeds) = Player::attached(sinks("fakesink", "fakesink"), &[&clips.video, &clips.audio]);
    player.command(Command::AllAttached);
    player.close();
}

/// Field failures 43, 44
fn is_closed_in_the_middle_of_many_seeks(clips: &Clips) {
    let (mut player, feeds) = clips.built();
    player.does(Command::Play);
    for epoch in 1..=10 {
        player.does(Command::SetPosition { position_ns: 0, epoch });
        clips.feed(&feeds, epoch);
    }
    player.command(Command::SetPosition { position_ns: 0, epoch: 11 });
    player.close();
}

/// Its texts wait to be due, and for room.
fn has_texts_that_are_never_due(clips: &Clips) {
    let (mut player, _feeds) = Player::attached(sinks("fakesink", "fakesink"), &[&clips.video]);
    let description = SourceDescription { codec: Codec::TextUtf8, shape: Shape::default(), codec_data: &[] };
    let texts = player.attach(1, description);
    player.does(Command::AllAttached);
    let text = Frame { presentation_ns: Some(u64::MAX), ..clips.video.frames[0].clone() };
    (0..30).for_each(|_| texts.frame(0, &text));
    player.does(Command::Flush { source: SourceId(1), reset_time: false, epoch: 1 });
    player.close();
    assert!(texts.is_dropped());
}

/// Its decoder gets nothing but what is none of its own.
fn fails(clips: &Clips) {
    let (mut player, feeds) = Player::attached(sinks("fakesink", "fakesink"), &[&clips.video]);
    feeds[0].break_ring();
    let _ = player.tries(Command::AllAttached);
    player.until_failed();
    player.close();
}

/// Field failure 46
fn is_one_of_many_that_are_zapped_through(clips: &Clips) {
    let mut player = Player::open(sinks("fakesink", "fakesink"));
    for number in 1..=5 {
        player.zap_to(SESSION + number);
        player.does(Command::Load { live: false });
        let feeds = [player.attach(0, clips.video.description()), player.attach(1, clips.audio.description())];
        clips.feed(&feeds, 0);
        player.command(Command::AllAttached);
    }
    player.until_closed(5);
    player.close();
}

/// How often each kind of life is lived while it is counted.
const LIVES: usize = 15;

/// SM-18
#[test]
fn a_closed_session_leaves_nothing() {
    // SAFETY: this process has no other thread that reads its environment.
    unsafe { std::env::set_var("GST_TRACERS", "leaks") };
    let clips = Clips { video: clip::video(Codec::H264, 10), audio: clip::audio(Codec::Opus, 10) };
    let lives: [Life; 8] = [
        ("has texts that are never due", has_texts_that_are_never_due),
        ("plays and is closed", plays_and_is_closed),
        ("plays to its end", plays_to_its_end),
        ("is closed right after load", is_closed_right_after_load),
        ("is closed while it is built", is_closed_while_it_is_built),
        ("is closed in the middle of many seeks", is_closed_in_the_middle_of_many_seeks),
        ("fails", fails),
        ("is zapped through", is_one_of_many_that_are_zapped_through),
    ];
    let ledger = Ledger::open();
    // What GStreamer loads for good is loaded the first time.
    plays_to_its_end(&clips);
    let before = Census::take();
    for (life, live) in lives {
        live(&clips);
        ledger.growth();
        (0..LIVES).for_each(|_| live(&clips));
        let (after, growth) = (Census::at_rest(&before), ledger.growth());
        println!("{life}: {after:?}, {growth} more objects of GStreamer");
        assert_eq!(after.descriptors, before.descriptors, "{life}");
        assert!(after.threads <= before.threads, "{life}: {before:?}, then {after:?}");
        // Some types are still met for the first time; whatever leaks leaks once in each life.
        assert!(growth < LIVES, "{life}: {growth} more objects of GStreamer after {LIVES} lives");
    }
}
