//! What an app may do with its sessions, and in which order: the driver that ships, decoders that do as the test says.

use greenroom_core::hal::DecoderEvent;
use greenroom_core::limits::TEXTS_MAX;
use greenroom_core::message::playback::{
    Answer, Codec, Command, Event, Message, PlaybackState, Refusal, SessionId, Shape, SourceDescription, SourceId,
    Statistics, Window,
};
use greenroom_hal_mock::DueText;
use greenroom_hal_mock::decoder::Given;
use greenroom_tests::session_stage::{App, Stage};

const VIDEO: SourceDescription<'_> = source(Codec::H264);
const SOUND: SourceDescription<'_> = source(Codec::Opus);
const TEXT: SourceDescription<'_> = source(Codec::TextUtf8);
const DONE: Result<Answer, Refusal> = Ok(Answer::Done);

const fn source(codec: Codec) -> SourceDescription<'static> {
    let shape =
        Shape { width: 0, height: 0, frame_rate_numerator: 0, frame_rate_denominator: 0, sample_rate: 0, channels: 0 };
    SourceDescription { codec, shape, codec_data: &[] }
}

/// An app whose session has these sources and its pipeline.
fn built(stage: &mut Stage, sources: &[SourceDescription<'_>]) -> (App, SessionId) {
    let (mut app, session) = stage.with_session();
    assert_eq!(stage.call(&mut app, Command::Load { session, live: false }), DONE);
    for &source in sources {
        let attached = stage.call(&mut app, Command::AttachSource { session, source });
        assert!(matches!(attached, Ok(Answer::Source { .. })), "{attached:?}");
    }
    assert_eq!(stage.call(&mut app, Command::AllSourcesAttached { session }), DONE);
    (app, session)
}

fn say(stage: &mut Stage, state: PlaybackState) {
    stage.decoders.say(DecoderEvent::State { session: 0, state });
    stage.run();
}

/// A second session on a connection that has one.
fn further(stage: &mut Stage, app: &mut App) -> SessionId {
    let made = stage.call(app, Command::CreateSession);
    let Ok(Answer::SessionWithMemory { session, .. }) = made else { panic!("{made:?}") };
    assert_eq!(app.descriptors.len(), 2, "its memory comes along");
    session
}

/// Field failure 41, 43: however fast they come, each is done and answered in its turn.
#[test]
fn fifty_seeks_in_a_row_are_done_in_order_and_each_is_answered() {
    const AT_ONCE: u32 = 10;
    let mut stage = Stage::active();
    let (mut app, session) = built(&mut stage, &[VIDEO]);
    stage.decoders.wait_for_me();
    let place = |second: u32| u64::from(second) * 1_000_000_000;
    for storm in 0..5 {
        let seconds = storm * AT_ONCE + 1..=(storm + 1) * AT_ONCE;
        for second in seconds.clone() {
            app.send(Command::SetPosition { session, position_ns: place(second), epoch: second });
        }
        for second in seconds {
            stage.run();
            let expected = Given::SetPosition { position_ns: place(second), epoch: second };
            assert_eq!(stage.decoders.pending(0), Some(expected));
            stage.decoders.complete(0, Ok(()));
            stage.run();
            assert_eq!(app.answer(), DONE);
        }
    }
    let position = stage.call(&mut app, Command::GetPosition { session });
    assert_eq!(position, Ok(Answer::Position { position_ns: place(50) }));
}

/// Field failure 40, 42: a flush of one source while the pipeline is still on its way, with the other one playing on.
#[test]
fn flushes_of_two_sources_in_mid_preroll_are_done_in_order() {
    let mut stage = Stage::active();
    let (mut app, session) = built(&mut stage, &[VIDEO, SOUND]);
    say(&mut stage, PlaybackState::Buffering);
    let flush = |source, epoch| Command::Flush { session, source: SourceId(source), reset_time: false, epoch };
    stage.decoders.wait_for_me();
    app.send(Command::Play { session });
    app.send(flush(0, 1));
    app.send(flush(1, 2));
    for _ in 0..3 {
        stage.run();
        stage.decoders.complete(0, Ok(()));
    }
    stage.run();
    assert_eq!([app.answer(), app.answer(), app.answer()], [DONE; 3]);
    let given = stage.decoders.history(0);
    let expected = [
        Given::Play,
        Given::Flush { source: SourceId(0), reset_time: false, epoch: 1 },
        Given::Flush { source: SourceId(1), reset_time: false, epoch: 2 },
    ];
    assert_eq!(given[given.len() - 3..], expected);
}

/// Field failure 48, 68: what counts is what the decoder says last, not what an earlier order led to.
#[test]
fn pause_and_play_in_quick_succession_end_where_the_last_one_leads() {
    let mut stage = Stage::active();
    let (mut app, session) = built(&mut stage, &[VIDEO]);
    stage.decoders.wait_for_me();
    for command in [Command::Play { session }, Command::Pause { session }, Command::Play { session }] {
        app.send(command);
    }
    stage.run();
    stage.decoders.complete(0, Ok(()));
    stage.run();
    // The first order's state comes when the second is under way.
    say(&mut stage, PlaybackState::Playing);
    stage.decoders.complete(0, Ok(()));
    stage.run();
    say(&mut stage, PlaybackState::Paused);
    stage.decoders.complete(0, Ok(()));
    stage.run();
    say(&mut stage, PlaybackState::Playing);
    let mut states = Vec::new();
    while let Some(message) = app.hear() {
        states.extend(if let Message::Event(Event::PlaybackState { state, .. }) = message {
            Some(state)
        } else {
            None
        });
    }
    assert_eq!(states, [PlaybackState::Playing, PlaybackState::Paused, PlaybackState::Playing]);
    assert_eq!(stage.decoders.pending(0), None);
}

/// Field failure 38, 39: the end of the stream is no end of the session.
#[test]
fn after_the_end_of_the_stream_a_session_goes_back_plays_on_and_is_loaded_again() {
    let mut stage = Stage::active();
    let (mut app, session) = built(&mut stage, &[VIDEO]);
    say(&mut stage, PlaybackState::EndOfStream);
    assert_eq!(stage.call(&mut app, Command::SetPosition { session, position_ns: 0, epoch: 1 }), DONE);
    assert_eq!(stage.call(&mut app, Command::Play { session }), DONE);
    say(&mut stage, PlaybackState::Playing);
    say(&mut stage, PlaybackState::EndOfStream);
    assert_eq!(stage.call(&mut app, Command::Stop { session }), DONE);
    assert_eq!(stage.call(&mut app, Command::Load { session, live: false }), DONE);
    let attached = stage.call(&mut app, Command::AttachSource { session, source: SOUND });
    assert!(matches!(attached, Ok(Answer::Source { source: SourceId(0), .. })), "{attached:?}");
}

/// Field failure 65: nothing of what was loaded before is left.
#[test]
fn a_session_that_is_stopped_and_loaded_again_starts_from_defaults() {
    let mut stage = Stage::active();
    let (mut app, session) = built(&mut stage, &[VIDEO, TEXT]);
    assert_eq!(stage.call(&mut app, Command::SetDuration { session, duration_ns: 9 }), DONE);
    assert_eq!(stage.call(&mut app, Command::SetPosition { session, position_ns: 5, epoch: 1 }), DONE);
    stage.decoders.show_text(0, text(1, "of before"));
    stage.decoders.say(DecoderEvent::QualityOfService {
        session: 0,
        source: SourceId(0),
        frames_rendered: 1,
        frames_dropped: 1,
    });
    app.send(Command::Stop { session });
    stage.run();
    assert_eq!(app.answer(), DONE);
    assert_eq!(stage.call(&mut app, Command::GetDuration { session }), Ok(Answer::Duration { duration_ns: None }));
    assert_eq!(stage.call(&mut app, Command::GetPosition { session }), Ok(Answer::Position { position_ns: 0 }));
    let statistics = Command::GetStatistics { session, source: SourceId(0) };
    assert_eq!(stage.call(&mut app, statistics), Err(Refusal::UnknownSource));
    assert_eq!(stage.call(&mut app, Command::Load { session, live: true }), DONE);
    let rate = Command::SetPlaybackRate { session, rate_permille: 2000 };
    assert!(matches!(stage.call(&mut app, rate), Err(Refusal::WrongState { .. })), "it is live now");
}

#[test]
fn the_length_is_the_apps_word_before_the_decoders() {
    let mut stage = Stage::active();
    let (mut app, session) = built(&mut stage, &[VIDEO]);
    stage.decoders.set_duration_ns(7);
    assert_eq!(stage.call(&mut app, Command::GetDuration { session }), Ok(Answer::Duration { duration_ns: Some(7) }));
    assert_eq!(stage.call(&mut app, Command::SetDuration { session, duration_ns: 9 }), DONE);
    assert_eq!(stage.call(&mut app, Command::GetDuration { session }), Ok(Answer::Duration { duration_ns: Some(9) }));
}

/// A window and a rate that are set before there is a pipeline are the decoder's to keep.
#[test]
fn window_and_rate_can_be_set_as_soon_as_they_mean_something() {
    let mut stage = Stage::active();
    let (mut app, session) = stage.with_session();
    let window = Window { x: 1, y: 2, width: 3, height: 4 };
    assert_eq!(stage.call(&mut app, Command::SetVideoWindow { session, window }), DONE);
    let rate = Command::SetPlaybackRate { session, rate_permille: 500 };
    assert_eq!(stage.call(&mut app, rate), Err(Refusal::WrongState { state: PlaybackState::Idle }));
    assert_eq!(stage.call(&mut app, Command::Load { session, live: false }), DONE);
    assert_eq!(stage.call(&mut app, rate), DONE);
    let expected =
        [Given::SetVideoWindow { window }, Given::Load { live: false }, Given::SetPlaybackRate { permille: 500 }];
    assert_eq!(stage.decoders.history(0), expected);
}

#[test]
fn a_source_that_is_removed_is_asked_for_in_vain_and_the_other_one_is_there() {
    let mut stage = Stage::active();
    let (mut app, session) = built(&mut stage, &[VIDEO, SOUND]);
    stage.decoders.set_statistics(Statistics { frames_queued: 3, ..Statistics::default() });
    assert_eq!(stage.call(&mut app, Command::RemoveSource { session, source: SourceId(0) }), DONE);
    let of = |source| Command::GetStatistics { session, source: SourceId(source) };
    assert_eq!(stage.call(&mut app, of(0)), Err(Refusal::UnknownSource));
    let statistics = stage.call(&mut app, of(1));
    assert!(matches!(statistics, Ok(Answer::Statistics(Statistics { frames_queued: 3, .. }))), "{statistics:?}");
    stage.decoders.say(DecoderEvent::FirstFrame { session: 0, source: SourceId(0) });
    stage.run();
    assert_eq!(app.events(), []);
}

fn text(source: u8, body: &str) -> DueText {
    DueText { source: SourceId(source), start_ns: 40, duration_ns: Some(2), body: body.into() }
}

/// The texts that an app hears, each with how many were lost before it.
fn texts(app: &mut App) -> Vec<(String, u32)> {
    let mut texts = Vec::new();
    while let Some(message) = app.hear() {
        texts.extend(if let Message::Text { text, .. } = message {
            Some((text.body.into(), text.missed))
        } else {
            None
        });
    }
    texts
}

#[test]
fn texts_come_in_order_and_what_a_deaf_app_loses_is_counted() {
    let mut stage = Stage::active();
    let (mut app, _) = built(&mut stage, &[VIDEO, TEXT]);
    for body in ["one", "two", ""] {
        stage.decoders.show_text(0, text(1, body));
    }
    stage.run();
    assert_eq!(texts(&mut app), [("one".into(), 0), ("two".into(), 0), (String::new(), 0)]);
    app.connection.socket().set_capacity(0);
    for number in 0..TEXTS_MAX + 5 {
        stage.decoders.show_text(0, text(1, &number.to_string()));
        stage.run();
    }
    app.connection.socket().set_capacity(16);
    stage.run();
    let told = texts(&mut app);
    let lost: u32 = told.iter().map(|(_, missed)| missed).sum();
    assert_eq!(told.len() + lost as usize, TEXTS_MAX + 5, "every one is told or counted: {told:?}");
    assert_eq!(told.last().map(|(body, _)| body.clone()), Some((TEXTS_MAX + 4).to_string()));
}

/// Field failure 42: what was due before a seek is not shown after it.
#[test]
fn a_text_of_before_a_seek_is_not_told_after_it() {
    let mut stage = Stage::active();
    let (mut app, session) = built(&mut stage, &[VIDEO, TEXT]);
    app.connection.socket().set_capacity(0);
    stage.decoders.show_text(0, text(1, "first, and on its way"));
    stage.decoders.show_text(0, text(1, "of before"));
    stage.run();
    app.connection.socket().set_capacity(16);
    app.send(Command::SetPosition { session, position_ns: 5, epoch: 1 });
    stage.run();
    stage.decoders.show_text(0, text(1, "of after"));
    stage.run();
    let bodies: Vec<String> = texts(&mut app).into_iter().map(|(body, _)| body).collect();
    assert!(bodies.contains(&"of after".into()), "{bodies:?}");
}

/// Field failure 32: a decoder that takes its time, and then hangs, is no matter of the session beside it.
#[test]
fn a_session_whose_decoder_hangs_leaves_the_other_of_its_connection_alone() {
    let mut stage = Stage::active();
    let (mut app, first) = built(&mut stage, &[VIDEO]);
    let second = further(&mut stage, &mut app);
    stage.decoders.wait_for_me();
    app.send(Command::Play { session: first });
    app.send(Command::Pause { session: first });
    app.send(Command::Load { session: second, live: false });
    stage.run();
    stage.decoders.complete(second.index, Ok(()));
    stage.run();
    assert_eq!(app.answer(), DONE, "the second one's, although two calls about the first wait");
    stage.pass(greenroom_core::limits::DECODER_TIMEOUT);
    stage.run();
    assert!(app.answer().is_err() && app.answer().is_err(), "both of the first");
    app.send(Command::SetMute { session: second, muted: true });
    stage.run();
    stage.decoders.complete(second.index, Ok(()));
    stage.run();
    assert_eq!(app.answer(), DONE);
}

/// Field failure F: not even the sessions of the same app on another connection.
#[test]
fn a_further_session_is_its_connections_alone() {
    let mut stage = Stage::active();
    let (mut app, _) = stage.with_session();
    let session = further(&mut stage, &mut app);
    let mut other = stage.greeted();
    assert_eq!(stage.call(&mut other, Command::DestroySession { session }), Err(Refusal::UnknownSession));
    assert_eq!(stage.call(&mut app, Command::DestroySession { session }), DONE);
    let shared = stage.call(&mut other, Command::GetSharedMemory);
    assert!(matches!(shared, Ok(Answer::SharedMemory { .. })), "its slot is free again: {shared:?}");
}

/// What the answer needs cannot be had: the session does not stay behind unknown to anybody.
#[test]
fn a_further_session_whose_memory_cannot_be_sent_is_refused_and_gone() {
    let mut stage = Stage::active();
    let (mut app, _) = stage.with_session();
    stage.world.fail_next(greenroom_hal_mock::Call::DuplicateRegion, greenroom_core::hal::ErrorKind::Exhausted);
    let refused = stage.call(&mut app, Command::CreateSession);
    assert!(matches!(refused, Err(Refusal::Failed(_))), "{refused:?}");
    stage.run();
    assert_eq!(stage.driver.machine().sessions(), 1);
    further(&mut stage, &mut app);
}
