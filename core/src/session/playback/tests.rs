use std::string::String;
use std::vec::Vec;

use super::*;
use crate::message::playback::Window;

const STATES: [State; 10] = [
    State::Opening,
    State::Idle,
    State::Loaded,
    State::SourcesAttached,
    State::Buffering,
    State::Paused,
    State::Playing,
    State::EndOfStream,
    State::Failed,
    State::Closing,
];
const ORDERS: [Order; 14] = [
    Order::Load { live: false },
    Order::Attach { source: SourceId(0), stream: MediaKind::Video },
    Order::AllAttached,
    Order::Play,
    Order::Pause,
    Order::Stop,
    Order::SetPosition { position_ns: 7, epoch: 1 },
    Order::Flush { source: SourceId(0), reset_time: true, epoch: 1 },
    Order::SetVolume { permille: 500 },
    Order::SetMute { muted: true },
    Order::RemoveSource { source: SourceId(0) },
    Order::SetPlaybackRate { permille: 2000 },
    Order::SetVideoWindow { window: Window { x: 0, y: 0, width: 640, height: 360 } },
    Order::SetSourceMute { source: SourceId(0), muted: true },
];
const SAID: [PlaybackState; 6] = [
    PlaybackState::Idle,
    PlaybackState::Buffering,
    PlaybackState::Paused,
    PlaybackState::Playing,
    PlaybackState::EndOfStream,
    PlaybackState::Failed,
];
const NOW: Instant = Instant::from_millis(1000);
const ID: SessionId = SessionId { index: 0, generation: 1 };

fn session(state: State) -> Playback {
    let mut session = Playback::new(ClientId::from_parts(0, 1), SlotOf::Connection(0), 1);
    session.open_due = false;
    session.opening = None;
    session.sources = [Some(MediaKind::Video), Some(MediaKind::Text), None];
    session.state = state;
    session
}

fn run(session: &mut Playback, order: Order, result: Result<(), PlaybackError>) -> Late {
    session.order(NOW, 9, order).unwrap();
    let Some(Want::Give { token, .. }) = session.poll_decoder() else { panic!("nothing was given") };
    session.completed(token, result).unwrap()
}

#[test]
fn every_order_is_lawful_in_its_states_only() {
    // load, attach, all attached, play, pause, stop, set position, flush, volume, mute, remove, rate, window, source mute
    let table = [
        "--------------", // Opening
        "x-------xx--x-", // Idle
        "-xx--x--xxxxxx", // Loaded
        "---xxxxxxxxxxx", // SourcesAttached
        "---xxxxxxxxxxx", // Buffering
        "---xxxxxxxxxxx", // Paused
        "---xxxxxxxxxxx", // Playing
        "---xxxxxxxxxxx", // EndOfStream
        "--------------", // Failed
        "--------------", // Closing
    ];
    for (state, row) in STATES.into_iter().zip(table) {
        let found = ORDERS.map(|order| if session(state).order(NOW, 9, order).is_ok() { 'x' } else { '-' });
        assert_eq!(String::from_iter(found), row, "{state:?}");
    }
}

/// Field failure 31
#[test]
fn what_a_decoder_says_counts_only_while_there_is_a_pipeline() {
    // idle, buffering, paused, playing, end of stream, failed
    let table = [
        "------", // Opening
        "------", // Idle
        "------", // Loaded
        "-BpPE-", // SourcesAttached
        "-BpPE-", // Buffering
        "-BpPE-", // Paused
        "-BpPE-", // Playing
        "-BpPE-", // EndOfStream
        "------", // Failed
        "------", // Closing
    ];
    let letter = |state| match state {
        Some(State::Buffering) => 'B',
        Some(State::Paused) => 'p',
        Some(State::Playing) => 'P',
        Some(State::EndOfStream) => 'E',
        Some(other) => panic!("a decoder cannot lead to {other:?}"),
        None => '-',
    };
    for (state, row) in STATES.into_iter().zip(table) {
        let found = SAID.map(|said| letter(after_decoder_state(state, said, false)));
        assert_eq!(String::from_iter(found), row, "{state:?}");
    }
    let building = SAID.map(|said| letter(after_decoder_state(State::Loaded, said, true)));
    assert_eq!(String::from_iter(building), "-BpPE-", "while the pipeline is built");
}

#[test]
fn an_order_that_was_carried_out_leads_to_its_state() {
    let cases = [
        (State::Idle, Order::Load { live: false }, State::Loaded),
        (State::Loaded, Order::AllAttached, State::SourcesAttached),
        (State::Paused, Order::Play, State::Paused),
        (State::Playing, Order::Pause, State::Playing),
        (State::Playing, Order::Stop, State::Idle),
        (State::Playing, ORDERS[6], State::Playing),
        (State::EndOfStream, ORDERS[6], State::Buffering),
        (State::EndOfStream, ORDERS[7], State::Buffering),
        (State::EndOfStream, Order::Play, State::EndOfStream),
    ];
    for (before, order, after) in cases {
        let mut session = session(before);
        assert_eq!(run(&mut session, order, Ok(())), (9, Response::Done));
        assert_eq!(session.state, after, "{before:?} {order:?}");
    }
}

#[test]
fn a_failed_order_breaks_the_session_unless_it_left_it_as_it_was() {
    for (state, order, breaks) in [
        (State::Idle, ORDERS[0], false),
        (State::Loaded, Order::AllAttached, true),
        (State::Paused, Order::Play, true),
        (State::Paused, ORDERS[8], false),
    ] {
        let mut session = session(state);
        let error = PlaybackError::Decoder;
        assert_eq!(run(&mut session, order, Err(error)), (9, Response::Refused(Refusal::Failed(error))));
        assert_eq!(session.is_failed(), breaks, "{order:?}");
        assert_eq!(session.poll_event(ID).is_some(), breaks);
    }
}

/// Field failure 54
#[test]
fn a_source_that_could_not_be_attached_leaves_its_place_free() {
    let mut session = session(State::Loaded);
    let attach = session.attach(MediaKind::Audio).unwrap();
    run(&mut session, attach, Err(PlaybackError::Memory));
    assert_eq!(session.attach(MediaKind::Audio), Ok(attach));
    let source = SourceId(2);
    let kind = MediaKind::Audio;
    assert_eq!(run(&mut session, attach, Ok(())).1, Response::Source { slot: 0, source, kind });
    assert_eq!(session.attach(MediaKind::Audio), Err(Refusal::DuplicateSource));
}

/// Field failure 68
#[test]
fn a_completion_of_an_order_that_was_given_up_is_nobodys() {
    let mut session = session(State::Paused);
    session.order(NOW, 9, Order::Play).unwrap();
    let stuck = Response::Refused(Refusal::Failed(PlaybackError::DecoderStuck));
    assert_eq!(session.tick(NOW.after(DECODER_TIMEOUT)), Some((9, stuck)));
    assert_eq!(session.completed(1, Ok(())), None);
    assert!(session.is_failed());
}

#[test]
fn a_client_that_did_not_listen_hears_the_end_once_and_the_latest_position() {
    let mut session = session(State::Playing);
    session.decoder_position(1);
    session.decoder_position(2);
    session.first_frame(SourceId(0));
    session.decoder_state(PlaybackState::EndOfStream);
    let state = PlaybackState::EndOfStream;
    assert_eq!(session.poll_event(ID), Some(Event::PlaybackState { session: ID, state }));
    assert_eq!(session.poll_event(ID), Some(Event::FirstFrame { session: ID, source: SourceId(0) }));
    assert_eq!(session.poll_event(ID), Some(Event::Position { session: ID, position_ns: 2 }));
    assert_eq!(session.poll_event(ID), None);
}

#[test]
fn after_its_failure_a_session_says_nothing_more() {
    let mut session = session(State::Playing);
    assert_eq!(session.fail(PlaybackError::Sink), None);
    assert!(!session.decoder_position(1) && !session.first_frame(SourceId(0)));
    assert!(!session.decoder_state(PlaybackState::EndOfStream));
    assert_eq!(session.fail(PlaybackError::Decode), None);
    assert_eq!(session.poll_event(ID), Some(Event::Failed { session: ID, error: PlaybackError::Sink }));
    assert_eq!(session.poll_event(ID), None);
}

#[test]
fn a_session_that_was_stopped_tells_nothing_of_what_it_played() {
    let mut session = session(State::Playing);
    session.decoder_position(5);
    session.first_frame(SourceId(0));
    run(&mut session, Order::Stop, Ok(()));
    let idle = Event::PlaybackState { session: ID, state: PlaybackState::Idle };
    assert_eq!(session.poll_event(ID), Some(idle));
    assert_eq!(session.poll_event(ID), None);
}

#[test]
fn a_live_session_cannot_be_sent_elsewhere() {
    let mut session = session(State::Idle);
    run(&mut session, Order::Load { live: true }, Ok(()));
    session.state = State::Playing;
    let refusal = Refusal::WrongState { state: PlaybackState::Playing };
    assert_eq!(session.order(NOW, 9, ORDERS[6]), Err(refusal));
}

fn events(session: &mut Playback) -> Vec<Event> {
    core::iter::from_fn(|| session.poll_event(ID)).collect()
}

/// Field failure 37: a source that has nothing to decode makes its session wait, never end.
#[test]
fn an_underflow_leads_to_buffering_and_never_to_the_end_of_stream() {
    // Which states an underflow leads to Buffering from; in all others it is stale.
    let table = [
        (State::Opening, false),
        (State::Idle, false),
        (State::Loaded, false),
        (State::SourcesAttached, false),
        (State::Buffering, true),
        (State::Paused, false),
        (State::Playing, true),
        (State::EndOfStream, false),
        (State::Failed, false),
        (State::Closing, false),
    ];
    for (state, counts) in table {
        let mut session = session(state);
        assert_eq!(session.underflow(SourceId(0)), counts, "{state:?}");
        assert_eq!(session.state, if counts { State::Buffering } else { state });
        assert_eq!(events(&mut session).is_empty(), !counts);
    }
    let mut session = session(State::Playing);
    session.underflow(SourceId(0));
    let buffering = Event::PlaybackState { session: ID, state: PlaybackState::Buffering };
    assert_eq!(events(&mut session), [buffering, Event::Underflow { session: ID, source: SourceId(0) }]);
    assert!(session.decoder_state(PlaybackState::Playing), "it goes on by itself");
    assert_eq!(events(&mut session), [Event::PlaybackState { session: ID, state: PlaybackState::Playing }]);
    assert!(!session.underflow(SourceId(2)), "there is no such source");
}

#[test]
fn of_quality_and_picture_sizes_the_latest_of_each_source_is_told() {
    let mut session = session(State::Playing);
    let (first, second) = (SourceId(0), SourceId(1));
    session.quality(first, (10, 1));
    session.quality(second, (5, 0));
    session.quality(first, (20, 2));
    session.picture_size(first, (640, 360));
    session.picture_size(first, (1280, 720));
    let quality = |source, frames_rendered, frames_dropped| {
        let session = ID;
        Event::QualityOfService { session, source, frames_rendered, frames_dropped }
    };
    let size = Event::PictureSize { session: ID, source: first, width: 1280, height: 720 };
    assert_eq!(events(&mut session), [size, quality(first, 20, 2), quality(second, 5, 0)]);
    assert!(!session.quality(SourceId(200), (1, 1)) && !session.picture_size(SourceId(2), (1, 1)));
}

#[test]
fn each_text_that_is_due_is_told_once_and_none_after_a_stop() {
    let mut session = session(State::Playing);
    assert!(session.text_is_due() && session.text_is_due());
    assert!(session.poll_text() && session.poll_text() && !session.poll_text());
    session.text_is_due();
    run(&mut session, Order::Stop, Ok(()));
    assert!(!session.poll_text());
    assert!(!session.text_is_due(), "there is no text source any more");
}

#[test]
fn a_source_can_be_removed_and_its_place_goes_to_the_next() {
    let mut session = session(State::Loaded);
    session.first_frame(SourceId(0));
    run(&mut session, ORDERS[10], Ok(()));
    assert!(!session.has_source(SourceId(0)) && session.has_source(SourceId(1)));
    assert_eq!(session.order(NOW, 9, ORDERS[10]), Err(Refusal::UnknownSource));
    let again = Order::Attach { source: SourceId(0), stream: MediaKind::Video };
    assert_eq!(session.attach(MediaKind::Video), Ok(again));
    run(&mut session, again, Ok(()));
    assert_eq!(events(&mut session), [], "what the removed one did is not told of the new one");
}

#[test]
fn the_last_source_stays_once_the_pipeline_is_built() {
    let mut session = session(State::Playing);
    run(&mut session, ORDERS[10], Ok(()));
    let last = Order::RemoveSource { source: SourceId(1) };
    let refusal = Refusal::WrongState { state: PlaybackState::Playing };
    assert_eq!(session.order(NOW, 9, last), Err(refusal));
    session.state = State::Loaded;
    run(&mut session, last, Ok(()));
    let refusal = Refusal::WrongState { state: PlaybackState::Idle };
    assert_eq!(session.order(NOW, 9, Order::AllAttached), Err(refusal));
}

#[test]
fn what_a_decoder_cannot_do_leaves_the_session_as_it_was() {
    for order in &ORDERS[10..] {
        let mut session = session(State::Playing);
        let refused = Response::Refused(Refusal::Failed(PlaybackError::Unsupported));
        assert_eq!(run(&mut session, *order, Err(PlaybackError::Unsupported)), (9, refused));
        assert_eq!(session.state, State::Playing);
        assert!(session.has_source(SourceId(0)));
    }
}

#[test]
fn live_media_has_its_own_pace() {
    let mut session = session(State::Playing);
    session.live = true;
    let refusal = Refusal::WrongState { state: PlaybackState::Playing };
    assert_eq!(session.order(NOW, 9, ORDERS[11]), Err(refusal));
}
