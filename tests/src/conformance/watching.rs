//! Readiness.

use greenroom_core::hal::{Descriptors, Interest, Ready, Received, Sent, Socket, Token, Watch};

use super::platform::Platform;

fn token(kind: u8, index: u16) -> Token {
    Token { kind, index, generation: 1 }
}

/// SM-30
pub fn what_is_ready_is_reported_until_it_was_served(platform: &mut impl Platform) {
    let (mut one, mut other) = platform.pair();
    let mut events = platform.events();
    events.watch(&other, token(0, 0), Interest::Read).unwrap();
    assert_eq!(platform.ready_now(&mut events), []);
    one.send(b"message", &[]).unwrap();
    let readable = Ready { token: token(0, 0), readable: true, writable: false };
    assert_eq!(platform.ready(&mut events), [readable]);
    assert_eq!(platform.ready(&mut events), [readable]);
    other.receive(&mut [0; 16], &mut Descriptors::new()).unwrap();
    assert_eq!(platform.ready_now(&mut events), []);
    events.unwatch(&other);
}

/// SM-30
pub fn a_blocked_connection_becomes_writable_when_its_peer_reads(platform: &mut impl Platform) {
    let (mut one, mut other) = platform.pair();
    let mut events = platform.events();
    events.watch(&one, token(0, 0), Interest::Write).unwrap();
    let message = [1; 8192];
    while one.send(&message, &[]).unwrap() == Sent::Whole {}
    assert_eq!(platform.ready_now(&mut events), []);
    let mut buffer = [0; 8192];
    while other.receive(&mut buffer, &mut Descriptors::new()).unwrap() != Received::WouldBlock {}
    assert_eq!(platform.ready(&mut events), [Ready { token: token(0, 0), readable: false, writable: true }]);
    assert_eq!(one.send(&message, &[]).unwrap(), Sent::Whole);
    events.unwatch(&one);
}

/// SM-35
pub fn a_connection_that_is_not_read_reports_its_end_and_nothing_else(platform: &mut impl Platform) {
    for interest in [Interest::None, Interest::Write] {
        let (mut one, other) = platform.pair();
        let mut events = platform.events();
        events.watch(&other, token(0, 0), interest).unwrap();
        one.send(b"message", &[]).unwrap();
        assert!(platform.ready_now(&mut events).iter().all(|ready| !ready.readable));
        drop(one);
        assert!(platform.ready(&mut events)[0].readable);
        events.unwatch(&other);
    }
}

/// SM-30
pub fn sources_come_in_the_order_of_their_tokens(platform: &mut impl Platform) {
    let pairs: Vec<_> = (0..5).map(|_| platform.pair()).collect();
    let tokens = [token(2, 0), token(0, 1), token(1, 7), token(0, 0), token(1, 3)];
    let mut events = platform.events();
    for ((source, _), token) in pairs.iter().zip(tokens) {
        events.watch(source, token, Interest::Write).unwrap();
    }
    let order: Vec<_> = platform.ready(&mut events).iter().map(|ready| ready.token).collect();
    assert_eq!(order, [token(0, 0), token(0, 1), token(1, 3), token(1, 7), token(2, 0)]);
    pairs.iter().for_each(|(source, _)| events.unwatch(source));
}

/// SM-30
pub fn a_source_is_watched_for_what_was_asked_last(platform: &mut impl Platform) {
    let (mut one, other) = platform.pair();
    let mut events = platform.events();
    one.send(b"message", &[]).unwrap();
    events.watch(&other, token(0, 0), Interest::None).unwrap();
    events.rewatch(&other, token(0, 9), Interest::ReadWrite).unwrap();
    assert_eq!(platform.ready(&mut events), [Ready { token: token(0, 9), readable: true, writable: true }]);
    events.unwatch(&other);
    assert_eq!(platform.ready_now(&mut events), []);
}

/// Makes a test of each claim about readiness; `$platform` makes a new platform for each.
#[macro_export]
macro_rules! watching_conformance {
    ($platform:expr) => {
        $crate::claims! { watching, $platform;
            what_is_ready_is_reported_until_it_was_served
            a_blocked_connection_becomes_writable_when_its_peer_reads
            a_connection_that_is_not_read_reports_its_end_and_nothing_else
            sources_come_in_the_order_of_their_tokens
            a_source_is_watched_for_what_was_asked_last
        }
    };
}
