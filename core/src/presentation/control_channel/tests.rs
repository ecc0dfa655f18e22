//! Every phase of both sides with every event, and what the two sides make of each other.

use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use super::*;
use crate::limits::CHANNEL_PING_INTERVAL;

const OURS: u8 = EXTENSION;

fn at(milliseconds: u64) -> Instant {
    Instant::from_millis(milliseconds)
}

fn give(channel: &mut Channel, event: Event) -> Result<Vec<Deed>, Unsayable> {
    give_at(channel, at(0), event)
}

fn give_at(channel: &mut Channel, now: Instant, event: Event) -> Result<Vec<Deed>, Unsayable> {
    channel.handle(now, event)?;
    Ok(core::iter::from_fn(|| channel.poll()).collect())
}

/// A channel in this phase; the other side is one of us when `extension` is not 0.
fn channel_in(side: Side, phase: Phase, extension: u8) -> Channel {
    let mut channel = Channel::new(at(0), side);
    let hello = match side {
        Side::Controller => Word::ConnectAck { extension },
        Side::Receiver => Word::Connect { extension },
    };
    let way = [Event::Opened, Event::Heard(hello), Event::Leave(Reason::ABORTED), Event::Lost];
    for event in way.into_iter().take(phase as usize) {
        give(&mut channel, event).unwrap();
    }
    assert_eq!(channel.phase(), phase);
    channel
}

const PHASES: [Phase; 5] = [Phase::Opening, Phase::Greeting, Phase::Connected, Phase::Closing, Phase::Closed];

const EVENTS: [Event; 31] = [
    Event::Opened,
    Event::OpenFailed(Reason::NETWORK_TIMEOUT),
    Event::Heard(Word::Connect { extension: 0 }),
    Event::Heard(Word::ConnectAck { extension: 0 }),
    Event::Heard(Word::Disconnect(Reason::NORMAL)),
    Event::Heard(Word::Launch),
    Event::Heard(Word::LaunchAck),
    Event::Heard(Word::Terminate),
    Event::Heard(Word::TerminateAck),
    Event::Heard(Word::Reconnect),
    Event::Heard(Word::ReconnectAck),
    Event::Heard(Word::Offer),
    Event::Heard(Word::Answer),
    Event::Heard(Word::IceCandidate),
    Event::Heard(Word::Ping),
    Event::Heard(Word::Pong),
    Event::Heard(Word::Unknown),
    Event::Garbage(Garbage::NotJson),
    Event::Garbage(Garbage::TooLong),
    Event::Lost,
    Event::Say(Word::Launch),
    Event::Say(Word::LaunchAck),
    Event::Say(Word::Terminate),
    Event::Say(Word::TerminateAck),
    Event::Say(Word::Reconnect),
    Event::Say(Word::ReconnectAck),
    Event::Say(Word::Offer),
    Event::Say(Word::Answer),
    Event::Say(Word::IceCandidate),
    Event::Leave(Reason::ABORTED),
    Event::Tick,
];

/// One letter an event: the phase that comes next (`g`reeting, `c`onnected, `l`eaving, that is Closing, `x` Closed),
/// `!` passed on, `>` said, `p`ong, `P`ing, `.` nothing, `R`efused.
fn letter(side: Side, phase: Phase, extension: u8, event: Event) -> char {
    let mut channel = channel_in(side, phase, extension);
    let now = channel.deadline().filter(|_| event == Event::Tick).unwrap_or(at(0));
    let Ok(deeds) = give_at(&mut channel, now, event) else { return 'R' };
    if channel.phase() != phase {
        assert!(!deeds.is_empty() || channel.phase() == Phase::Greeting, "{phase:?} {event:?}");
        return match channel.phase() {
            Phase::Opening => 'o',
            Phase::Greeting => 'g',
            Phase::Connected => 'c',
            Phase::Closing => 'l',
            Phase::Closed => 'x',
        };
    }
    match deeds.as_slice() {
        [] => '.',
        [Deed::Say(Word::Pong)] => 'p',
        [Deed::Say(Word::Ping)] => 'P',
        [Deed::Say(_)] => '>',
        [Deed::Tell(News::Heard(_))] => '!',
        deeds => panic!("{deeds:?}"),
    }
}

fn row(side: Side, phase: Phase, extension: u8) -> String {
    EVENTS.into_iter().map(|event| letter(side, phase, extension, event)).collect()
}

/// PS-30, PS-32: opened, failed | connect, connect-ack, disconnect | launch, ack, terminate, ack, reconnect, ack, offer,
/// answer, candidate, ping, pong, unknown | no JSON, too long, lost | say launch, ack, terminate, ack, reconnect, ack,
/// offer, answer, candidate | leave, tick
///
/// Presentation defect 9
#[test]
fn every_event_does_in_every_phase_of_a_side_what_the_table_says() {
    let controller = [
        "gx..................RRRRRRRRRxx".replace("..................", ".................x"),
        "...cx............".to_string() + ".xx" + "RRRRRRRRR" + "xx",
        "....x.!!!.!.!!...".to_string() + ".lx" + ">R>>>R>R>" + "l.",
        "....x............".to_string() + "..x" + "RRRRRRRRR" + ".x",
        ".................".to_string() + "..." + "RRRRRRRRR" + "..",
    ];
    let receiver = [
        "gx..................RRRRRRRRRxx".replace("..................", ".................x"),
        "..c.x............".to_string() + ".xx" + "RRRRRRRRR" + "xx",
        "....x!.!!!.!.!...".to_string() + ".lx" + "R>>>R>R>>" + "ll",
        "....x............".to_string() + "..x" + "RRRRRRRRR" + ".x",
        ".................".to_string() + "..." + "RRRRRRRRR" + "..",
    ];
    for (phase, (controller, receiver)) in PHASES.into_iter().zip(controller.into_iter().zip(receiver)) {
        assert_eq!(row(Side::Controller, phase, 0), controller, "controller {phase:?}");
        assert_eq!(row(Side::Receiver, phase, 0), receiver, "receiver {phase:?}");
    }
}

/// PS-32: who does not know a ping is never sent one, and who is one of us answers.
#[test]
fn only_one_of_us_is_pinged_and_answered() {
    let row = |side| row(side, Phase::Connected, OURS);
    assert_eq!(row(Side::Controller), "....x.!!!.!.!!p...lx>R>>>R>R>lP");
    assert_eq!(row(Side::Receiver), "....x!.!!!.!.!p...lxR>>>R>R>>lP");
}

/// PS-32
#[test]
fn a_controller_and_a_receiver_greet_and_part() {
    let (mut one, mut other) = (Channel::new(at(0), Side::Controller), Channel::new(at(0), Side::Receiver));
    assert_eq!(give(&mut one, Event::Opened).unwrap(), [Deed::Say(Word::Connect { extension: OURS })]);
    assert_eq!(give(&mut other, Event::Opened).unwrap(), []);
    let greeted = give(&mut other, Event::Heard(Word::Connect { extension: OURS })).unwrap();
    assert_eq!(greeted, [Deed::Say(Word::ConnectAck { extension: OURS }), Deed::Tell(News::Connected)]);
    let connected = give(&mut one, Event::Heard(Word::ConnectAck { extension: OURS })).unwrap();
    assert_eq!(connected, [Deed::Tell(News::Connected)]);
    let left = give(&mut one, Event::Leave(Reason::NORMAL)).unwrap();
    assert_eq!(left, [Deed::Say(Word::Disconnect(Reason::NORMAL))]);
    let ended = [Deed::Close, Deed::Tell(News::Ended(Reason::NORMAL))];
    assert_eq!(give(&mut other, Event::Heard(Word::Disconnect(Reason::NORMAL))).unwrap(), ended);
    assert_eq!(give(&mut one, Event::Lost).unwrap(), ended);
}

/// PS-30: nobody waits for ever, whatever does not happen.
#[test]
fn every_phase_ends_at_its_limit_when_nothing_happens() {
    for side in [Side::Controller, Side::Receiver] {
        let limits = [
            (Phase::Opening, Reason::NETWORK_TIMEOUT, CHANNEL_OPEN_TIMEOUT),
            (Phase::Greeting, Reason::TIMEOUT, CHANNEL_GREETING_TIMEOUT),
            (Phase::Closing, Reason::ABORTED, CHANNEL_CLOSE_TIMEOUT),
        ];
        for (phase, reason, limit) in limits {
            let mut channel = channel_in(side, phase, 0);
            let deadline = channel.deadline().unwrap();
            assert_eq!(deadline, at(0).after(limit));
            assert_eq!(give_at(&mut channel, at(deadline.as_millis() - 1), Event::Tick).unwrap(), []);
            let deeds = give_at(&mut channel, deadline, Event::Tick).unwrap();
            assert!(deeds.ends_with(&[Deed::Close, Deed::Tell(News::Ended(reason))]), "{deeds:?}");
            assert_eq!((channel.phase(), channel.deadline()), (Phase::Closed, None));
        }
    }
}

/// PS-30: a controller that connects and asks for nothing gives its place back, one that is used keeps it.
///
/// Presentation defect 8
#[test]
fn an_unused_channel_is_sent_away_and_a_used_one_stays() {
    let mut unused = channel_in(Side::Receiver, Phase::Connected, 0);
    assert_eq!(unused.deadline(), Some(at(0).after(CHANNEL_UNUSED_TIMEOUT)));
    let deeds = give_at(&mut unused, at(0).after(CHANNEL_UNUSED_TIMEOUT), Event::Tick).unwrap();
    assert_eq!(deeds, [Deed::Say(Word::Disconnect(Reason::TIMEOUT))]);
    let mut used = channel_in(Side::Receiver, Phase::Connected, 0);
    used.mark_used();
    assert_eq!(used.deadline(), None);
}

/// PS-30
///
/// Presentation defect 8
#[test]
fn one_of_us_that_has_fallen_silent_is_given_up_and_one_that_answers_is_not() {
    let mut channel = channel_in(Side::Controller, Phase::Connected, OURS);
    let mut now = at(0);
    for _ in 0..CHANNEL_PINGS_MAX {
        now = now.after(CHANNEL_PING_INTERVAL);
        assert_eq!(give_at(&mut channel, now, Event::Tick).unwrap(), [Deed::Say(Word::Ping)]);
    }
    assert_eq!(give_at(&mut channel, now, Event::Heard(Word::Pong)).unwrap(), []);
    for _ in 0..CHANNEL_PINGS_MAX {
        now = now.after(CHANNEL_PING_INTERVAL);
        assert_eq!(give_at(&mut channel, now, Event::Tick).unwrap(), [Deed::Say(Word::Ping)]);
    }
    now = now.after(CHANNEL_PING_INTERVAL);
    let gone = vec![
        Deed::Say(Word::Disconnect(Reason::NETWORK_TIMEOUT)),
        Deed::Close,
        Deed::Tell(News::Ended(Reason::NETWORK_TIMEOUT)),
    ];
    assert_eq!(give_at(&mut channel, now, Event::Tick).unwrap(), gone);
}

/// PS-32: a stray line costs nothing, a flood of them the channel, and the peer learns why.
///
/// Presentation defect 2
#[test]
fn garbage_is_forgiven_until_it_is_too_much() {
    let mut channel = channel_in(Side::Receiver, Phase::Connected, 0);
    for _ in 0..CHANNEL_GARBAGE_MAX {
        assert_eq!(give(&mut channel, Event::Garbage(Garbage::NotJson)).unwrap(), []);
    }
    let deeds = give(&mut channel, Event::Garbage(Garbage::NotJson)).unwrap();
    assert_eq!(deeds, [Deed::Say(Word::Disconnect(Reason::FAILURE))]);
    for garbage in [Garbage::TooLong, Garbage::Incomplete] {
        let mut channel = channel_in(Side::Receiver, Phase::Connected, 0);
        let deeds = give(&mut channel, Event::Garbage(garbage)).unwrap();
        assert_eq!(deeds, [Deed::Say(Word::Disconnect(Reason::FAILURE))]);
    }
}

/// PS-30, PS-32: whatever comes, it ends once, within its limits, and says nothing afterwards.
#[test]
fn a_random_walk_ends_once_and_leaves_no_deadline() {
    let mut seed = 11_u64;
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize
    };
    for walk in 0..5_000 {
        let mut channel = Channel::new(at(0), if walk % 2 == 0 { Side::Controller } else { Side::Receiver });
        let (mut ended, mut now) = (0, at(0));
        for _ in 0..60 {
            now = at(now.as_millis() + (random() % 2_000) as u64);
            for deed in give_at(&mut channel, now, EVENTS[random() % EVENTS.len()]).unwrap_or_default() {
                assert_eq!(ended, 0, "nothing is said after the end");
                ended += i32::from(matches!(deed, Deed::Tell(News::Ended(_))));
            }
            assert_eq!(channel.phase() == Phase::Closed, ended == 1, "{channel:?}");
            assert!(channel.phase() != Phase::Closed || channel.deadline().is_none());
        }
    }
}
