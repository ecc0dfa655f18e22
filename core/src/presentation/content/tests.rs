//! Every phase with every event: what comes of it is in `every_pair.txt`.
//!
//! After a change that is meant, write the table anew and read what has changed in it:
//! `GREENROOM_WRITE_TABLE=$PWD/core/src/presentation/content/every_pair.txt cargo test -p greenroom-core content::`

use core::time::Duration;
use std::format;
use std::string::String;
use std::vec::Vec;

use super::*;

const TABLE: &str = include_str!("every_pair.txt");
const LATER: Instant = Instant::from_millis(1_000);

const EVENTS: &[Event] = &[
    Event::Build { offers: true },
    Event::Build { offers: false },
    Event::Unwanted,
    Event::OfferHeard,
    Event::AnswerHeard,
    Event::CandidateHeard,
    Event::Connected,
    Event::Over,
    Event::Described,
    Event::Gathered,
    Event::Opened,
    Event::ChannelClosed,
    Event::ChannelFailed,
    Event::Close { went_away: false },
    Event::Close { went_away: true },
    Event::Drained,
    Event::TimedOut,
];

const OFFERS: &[Event] = &[Event::Build { offers: true }, Event::Described, Event::AnswerHeard, Event::Opened];
const ANSWERS: &[Event] = &[Event::Build { offers: false }, Event::OfferHeard, Event::Described, Event::Opened];

fn drain(content: &mut Content) -> Vec<Deed> {
    core::iter::from_fn(|| content.poll()).collect()
}

fn give(content: &mut Content, event: Event) -> Vec<Deed> {
    content.handle(LATER, event);
    drain(content)
}

fn after(events: &[Event]) -> Content {
    let mut content = Content::new();
    events.iter().for_each(|event| drop(give(&mut content, *event)));
    content
}

fn situations() -> Vec<(&'static str, Content)> {
    use Event as E;
    let open: Vec<E> = OFFERS.iter().copied().chain([E::Connected]).collect();
    let and = |events: &[E], last: &[E]| after(&events.iter().chain(last).copied().collect::<Vec<_>>());
    Vec::from([
        ("Waiting", after(&[])),
        ("Relayed", after(&[E::Connected])),
        ("Describing", after(&OFFERS[..1])),
        ("Describing, candidates both ways", and(&OFFERS[..1], &[E::Gathered, E::CandidateHeard])),
        ("Offering", after(&OFFERS[..2])),
        ("Offering, candidate heard", and(&OFFERS[..2], &[E::CandidateHeard])),
        ("Listening", after(&ANSWERS[..1])),
        ("Listening, candidate heard", and(&ANSWERS[..1], &[E::CandidateHeard])),
        ("Answering", after(&ANSWERS[..2])),
        ("Answering, gathered", and(&ANSWERS[..2], &[E::Gathered])),
        ("Opening", after(&OFFERS[..3])),
        ("Open", after(OFFERS)),
        ("Open, told", after(&open)),
        ("Draining", and(&open, &[E::Close { went_away: false }])),
        ("Lost", and(&OFFERS[..3], &[E::ChannelFailed])),
        ("Ended", and(&open, &[E::Over])),
    ])
}

fn line(situation: &str, content: &Content, event: Event) -> String {
    let mut content = *content;
    let before = content.phase();
    let deeds = give(&mut content, event);
    let outcome = if content.phase() == before { "stays".into() } else { format!("-> {:?}", content.phase()) };
    let deeds: String = deeds.iter().map(|deed| format!(", {deed:?}")).collect();
    format!("{situation:<34}{:<28}{outcome}{deeds}", format!("{event:?}"))
}

/// PS-06, PS-07, PS-15, PS-20, PS-30
#[test]
fn every_phase_meets_every_event_as_the_table_says() {
    let found: Vec<String> = situations()
        .iter()
        .flat_map(|(name, content)| EVENTS.iter().map(move |event| line(name, content, *event)))
        .collect();
    if let Some(path) = std::env::var_os("GREENROOM_WRITE_TABLE") {
        std::fs::write(path, found.join("\n") + "\n").unwrap();
    }
    let expected: Vec<&str> = TABLE.lines().collect();
    for (line, expected) in found.iter().zip(&expected) {
        assert_eq!(line, expected);
    }
    assert_eq!(found.len(), expected.len());
}

/// PS-06, PS-07: as the seed draws it, on both sides.
#[test]
fn a_channel_is_described_opened_and_reported_by_either_side() {
    let told = |events: &[Event]| {
        let mut content = Content::new();
        events.iter().map(|event| give(&mut content, *event)).collect::<Vec<_>>()
    };
    use Deed as D;
    assert_eq!(
        told(OFFERS),
        [&[D::Offer][..], &[D::SayDescription], &[D::TakeAnswer], &[D::SayOpen]].map(<[D]>::to_vec)
    );
    assert_eq!(told(ANSWERS), [&[][..], &[D::Answer], &[D::SayDescription], &[D::SayOpen]].map(<[D]>::to_vec));
}

/// PS-07
#[test]
fn no_candidate_is_said_or_given_before_its_description() {
    let mut content = after(&OFFERS[..1]);
    assert_eq!(give(&mut content, Event::Gathered), []);
    assert_eq!(give(&mut content, Event::CandidateHeard), []);
    assert_eq!(give(&mut content, Event::Described), [Deed::SayDescription, Deed::SayCandidates]);
    assert_eq!(give(&mut content, Event::Gathered), [Deed::SayCandidates]);
    assert_eq!(give(&mut content, Event::CandidateHeard), []);
    assert_eq!(give(&mut content, Event::AnswerHeard), [Deed::TakeAnswer, Deed::TakeCandidates]);
    assert_eq!(give(&mut content, Event::CandidateHeard), [Deed::TakeCandidates]);
}

/// PS-17, PS-18: a page that is not told yet that it is connected is given nothing.
#[test]
fn messages_are_given_to_the_page_when_it_was_told_and_not_before() {
    for (name, content) in situations() {
        assert_eq!(content.is_read(), content.phase() == Phase::Open { told: true }, "{name}");
    }
    assert_eq!(give(&mut after(OFFERS), Event::Connected), [Deed::Deliver]);
}

/// PS-30
#[test]
fn whatever_is_being_built_has_a_limit_and_is_reported_at_it() {
    use Phase as P;
    for (name, mut content) in situations() {
        let builds = matches!(content.phase(), P::Describing | P::Offering | P::Listening | P::Answering | P::Opening);
        let limit = if content.phase() == P::Offering { ESTABLISH_TIMEOUT_MAX } else { DATA_CHANNEL_TIMEOUT };
        match content.phase() {
            P::Draining => assert_eq!(content.deadline(), Some(LATER.after(DEPARTURE_TIMEOUT)), "{name}"),
            _ => assert_eq!(content.deadline(), builds.then(|| LATER.after(limit)), "{name}"),
        }
        if builds {
            assert_eq!(give(&mut content, Event::TimedOut), [Deed::SayOver, Deed::Drop], "{name}");
            assert_eq!(content.reason(), CloseReason::Error(Reason::TIMEOUT));
        }
    }
}

/// PS-18, PS-19: who is not connected is told so, and nothing of what was taken is lost on the way to TCP.
#[test]
fn what_is_sent_goes_on_an_open_channel_and_up_to_a_bound() {
    let most = DATA_CHANNEL_BUFFERED_BYTES_MAX;
    for (name, content) in situations() {
        let expected = match content.phase() {
            Phase::Waiting | Phase::Relayed => Ok(Route::Service),
            Phase::Open { .. } => Ok(Route::Channel),
            Phase::Draining | Phase::Lost | Phase::Ended => Err(Refusal::WrongState { state: ConnectionState::Closed }),
            Phase::Describing | Phase::Offering | Phase::Listening | Phase::Answering | Phase::Opening => {
                Err(Refusal::WrongState { state: ConnectionState::Connecting })
            }
        };
        assert_eq!(content.route(1, most - 1), expected, "{name}");
        assert_eq!(content.route(TRANSPORT_MESSAGE_BYTES_MAX, 0), expected, "{name}");
        if expected == Ok(Route::Channel) {
            assert_eq!(content.route(1, most), Err(Refusal::Congested), "{name}");
            assert_eq!(content.route(TRANSPORT_MESSAGE_BYTES_MAX + 1, 0), Err(Refusal::TextLength), "{name}");
        }
    }
}

/// PS-35: whatever happens, a channel that was made is let go of once, and nothing is done on one that is not there.
#[test]
fn a_random_walk_leaves_no_channel_behind() {
    let mut seed = 7_u64;
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize
    };
    for _ in 0..20_000 {
        let (mut content, mut is_made) = (Content::new(), false);
        for _ in 0..30 {
            let event = EVENTS[random() % EVENTS.len()];
            content.handle(LATER.after(Duration::from_millis(1)), event);
            for deed in drain(&mut content) {
                match deed {
                    Deed::Offer | Deed::Answer => {
                        assert!(!is_made, "two channels after {event:?}");
                        is_made = true;
                    }
                    Deed::Drop => is_made = false,
                    Deed::SayDescription | Deed::SayCandidates | Deed::SayOpen | Deed::CloseChannel => {
                        assert!(is_made, "{deed:?} without a channel after {event:?}");
                    }
                    Deed::TakeAnswer | Deed::TakeCandidates | Deed::Deliver => {
                        assert!(is_made, "{deed:?} without a channel after {event:?}");
                    }
                    Deed::SayOver | Deed::Leave => {}
                }
            }
        }
        give(&mut content, Event::Over);
        assert!(content.deadline().is_none());
    }
}
