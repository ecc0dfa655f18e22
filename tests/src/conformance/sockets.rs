//! Connections.

use greenroom_core::hal::{Descriptors, ErrorKind, Received, Sent, Socket};
use greenroom_core::limits::{DESCRIPTORS_MAX, MESSAGE_BYTES_MAX};

use super::platform::{Platform, kind};

/// Receives what is there, without its descriptors.
fn receive<S: Socket>(socket: &mut S) -> (Received, Vec<u8>) {
    let mut buffer = [0; MESSAGE_BYTES_MAX];
    let received = socket.receive(&mut buffer, &mut Descriptors::new()).unwrap();
    let bytes = if let Received::Message { bytes } = received { bytes } else { 0 };
    (received, buffer[..bytes].to_vec())
}

fn fill<S: Socket>(socket: &mut S) -> usize {
    let message = [7; MESSAGE_BYTES_MAX];
    (0..10_000).find(|_| socket.send(&message, &[]).unwrap() == Sent::WouldBlock).expect("no end of room")
}

/// SM-02
pub fn messages_keep_their_boundaries_and_their_order(platform: &mut impl Platform) {
    let (mut one, mut other) = platform.pair();
    let longest = vec![1; MESSAGE_BYTES_MAX];
    for message in [b"a".as_slice(), b"bcd", &longest] {
        assert_eq!(one.send(message, &[]).unwrap(), Sent::Whole);
    }
    assert_eq!(other.send(b"back", &[]).unwrap(), Sent::Whole);
    for message in [b"a".as_slice(), b"bcd", &longest] {
        assert_eq!(receive(&mut other), (Received::Message { bytes: message.len() }, message.to_vec()));
    }
    assert_eq!(receive(&mut other).0, Received::WouldBlock);
    assert_eq!(receive(&mut one).1, b"back");
}

/// SM-23
pub fn descriptors_arrive_with_their_message_and_belong_to_the_receiver<P: Platform>(platform: &mut P) {
    let (mut one, mut other) = platform.pair();
    let (descriptors, witnesses): (Vec<_>, Vec<_>) = (0..DESCRIPTORS_MAX).map(|_| platform.descriptor()).unzip();
    one.send(b"with", &descriptors.iter().collect::<Vec<_>>()).unwrap();
    one.send(b"without", &[]).unwrap();
    drop(descriptors);
    let (mut buffer, mut taken) = ([0; 16], Descriptors::<P::Descriptor>::new());
    assert_eq!(other.receive(&mut buffer, &mut taken).unwrap(), Received::Message { bytes: 4 });
    assert_eq!(taken.len(), DESCRIPTORS_MAX);
    assert!(witnesses.iter().all(|witness| platform.is_open(witness)));
    // What came with the last message does not stay for the next one.
    assert_eq!(other.receive(&mut buffer, &mut taken).unwrap(), Received::Message { bytes: 7 });
    assert!(taken.is_empty());
    assert!(witnesses.iter().all(|witness| platform.is_closed(witness)));
}

/// SM-35
pub fn more_descriptors_than_the_protocol_knows_are_all_closed<P: Platform>(platform: &mut P) {
    for surplus in [1, 32] {
        let (mut one, mut other) = platform.pair();
        let count = DESCRIPTORS_MAX + surplus;
        let (descriptors, witnesses): (Vec<_>, Vec<_>) = (0..count).map(|_| platform.descriptor()).unzip();
        platform.send_anything(&mut one, b"many", &descriptors.iter().collect::<Vec<_>>());
        drop(descriptors);
        let mut taken = Descriptors::<P::Descriptor>::new();
        assert_eq!(other.receive(&mut [0; 16], &mut taken).unwrap(), Received::Unusable);
        assert!(taken.is_empty());
        assert!(witnesses.iter().all(|witness| platform.is_closed(witness)));
    }
}

/// SM-35
pub fn too_many_descriptors_are_not_sent<P: Platform>(platform: &mut P) {
    let (mut one, mut other) = platform.pair();
    let descriptors: Vec<_> = (0..=DESCRIPTORS_MAX).map(|_| platform.descriptor().0).collect();
    let sent = one.send(b"many", &descriptors.iter().collect::<Vec<_>>());
    assert_eq!(kind(sent), ErrorKind::Unsupported);
    assert_eq!(receive(&mut other).0, Received::WouldBlock);
}

/// SM-35
pub fn a_message_longer_than_the_buffer_is_unusable_and_the_next_one_is_whole<P: Platform>(platform: &mut P) {
    let (mut one, mut other) = platform.pair();
    let (descriptor, witness) = platform.descriptor();
    one.send(b"too long", &[&descriptor]).unwrap();
    one.send(b"fits", &[]).unwrap();
    drop(descriptor);
    let (mut buffer, mut taken) = ([0; 4], Descriptors::<P::Descriptor>::new());
    assert_eq!(other.receive(&mut buffer, &mut taken).unwrap(), Received::Unusable);
    assert!(taken.is_empty());
    assert!(platform.is_closed(&witness));
    assert_eq!(other.receive(&mut buffer, &mut taken).unwrap(), Received::Message { bytes: 4 });
    assert_eq!(&buffer, b"fits");
}

/// SM-35
pub fn an_empty_message_is_not_sent_and_is_not_taken_for_the_end(platform: &mut impl Platform) {
    let (mut one, mut other) = platform.pair();
    assert_eq!(kind(one.send(b"", &[])), ErrorKind::Unsupported);
    platform.send_anything(&mut one, b"", &[]);
    one.send(b"next", &[]).unwrap();
    assert_eq!(receive(&mut other).0, Received::Unusable);
    assert_eq!(receive(&mut other).1, b"next");
}

/// SM-34
pub fn descriptors_that_nobody_received_are_closed_with_the_connection(platform: &mut impl Platform) {
    let (mut one, other) = platform.pair();
    let (descriptor, witness) = platform.descriptor();
    one.send(b"unread", &[&descriptor]).unwrap();
    drop((descriptor, other));
    assert!(platform.is_closed(&witness));
}

/// SM-30
pub fn a_full_connection_takes_nothing_of_a_message_and_all_of_it_when_it_was_read(platform: &mut impl Platform) {
    let (mut one, mut other) = platform.pair();
    let sent = fill(&mut one);
    let received = (0..).take_while(|_| receive(&mut other).0 != Received::WouldBlock).count();
    assert_eq!(received, sent);
    assert_eq!(one.send(b"again", &[]).unwrap(), Sent::Whole);
    assert_eq!(receive(&mut other).1, b"again");
}

/// SM-31
pub fn the_end_is_seen_after_all_messages(platform: &mut impl Platform) {
    let (mut one, mut other) = platform.pair();
    one.send(b"last", &[]).unwrap();
    drop(one);
    assert_eq!(receive(&mut other).1, b"last");
    assert_eq!(receive(&mut other).0, Received::Closed);
    assert_eq!(receive(&mut other).0, Received::Closed);
}

/// SM-31
pub fn the_last_messages_of_a_peer_that_did_not_read_ours_arrive(platform: &mut impl Platform) {
    let (mut one, mut other) = platform.pair();
    other.send(b"never read", &[]).unwrap();
    one.send(b"last", &[]).unwrap();
    drop(one);
    assert_eq!(receive(&mut other).1, b"last");
    assert_eq!(receive(&mut other).0, Received::Closed);
}

/// SM-36
pub fn sending_to_a_peer_that_has_closed_says_that_it_is_gone(platform: &mut impl Platform) {
    let (mut one, other) = platform.pair();
    drop(other);
    assert_eq!(kind(one.send(b"anybody?", &[])), ErrorKind::Gone);
    assert_eq!(kind(one.send(b"anybody?", &[])), ErrorKind::Gone);
}

/// Makes a test of each claim about connections; `$platform` makes a new platform for each.
#[macro_export]
macro_rules! sockets_conformance {
    ($platform:expr) => {
        $crate::claims! { sockets, $platform;
            messages_keep_their_boundaries_and_their_order
            descriptors_arrive_with_their_message_and_belong_to_the_receiver
            more_descriptors_than_the_protocol_knows_are_all_closed
            too_many_descriptors_are_not_sent
            a_message_longer_than_the_buffer_is_unusable_and_the_next_one_is_whole
            an_empty_message_is_not_sent_and_is_not_taken_for_the_end
            descriptors_that_nobody_received_are_closed_with_the_connection
            a_full_connection_takes_nothing_of_a_message_and_all_of_it_when_it_was_read
            the_end_is_seen_after_all_messages
            the_last_messages_of_a_peer_that_did_not_read_ours_arrive
            sending_to_a_peer_that_has_closed_says_that_it_is_gone
        }
    };
}
