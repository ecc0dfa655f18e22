//! The transports of presentations on the simulated network, which lets little through at once.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use greenroom_core::codec::frame::{FrameError, Ticket};
use greenroom_core::hal::{ByteStream, ErrorKind, Fingerprint, Interest, Network, Protection, StreamListener, Trust};
use greenroom_core::transport::{Admission, Framed, Incoming, Message, SendError, Transport, TransportError, Unframed};
use greenroom_hal_mock::{Host, MockStream, World};

const TICKET: Ticket = Ticket([7; 16]);
const ADMISSION: Admission = Admission { ticket: TICKET, fingerprint: None, address: None };
/// A message's longest, in these tests: each buffer holds it and the overhead.
const MESSAGE_BYTES_MAX: usize = 1000;
const BUFFER_BYTES: usize = MESSAGE_BYTES_MAX + 5 + 9;
const PHONE: Fingerprint = Fingerprint([1; 32]);
const TV: Fingerprint = Fingerprint([2; 32]);
const PHONE_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

type FramedMock = Framed<MockStream, Vec<u8>>;
type UnframedMock = Unframed<MockStream, Vec<u8>>;

/// Streams of a phone, and of the TV that it connects to.
fn streams(world: &World, protection: Protection) -> (MockStream, MockStream) {
    let mut phone = Host::new(world, &[PHONE_ADDRESS], PHONE);
    let mut tv = Host::new(world, &[IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2))], TV);
    let at = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 2), 0));
    let mut listener = tv.listen(at, protection).unwrap();
    let trust = if protection == Protection::Encrypted { Trust::Pinned(TV) } else { Trust::Plain };
    let client = phone.connect(listener.local_address(), trust).unwrap();
    (client, listener.accept().unwrap().unwrap())
}

fn buffer() -> Vec<u8> {
    vec![0; BUFFER_BYTES]
}

fn unkind(seed: u64) -> World {
    let world = World::new(seed);
    world.be_unkind();
    world
}

fn framed_of(
    (client, server): (MockStream, MockStream),
    ticket: Ticket,
    admission: Admission,
) -> (FramedMock, FramedMock) {
    (Framed::connecting(client, ticket, buffer(), buffer()), Framed::accepting(server, admission, buffer(), buffer()))
}

/// Lets both get on until both are open.
fn open<T: Transport<Stream = MockStream>>(one: &mut T, other: &mut T) {
    for _ in 0..10_000 {
        let up = (one.advance().unwrap(), other.advance().unwrap());
        if up == (true, true) {
            return;
        }
    }
    panic!("they never met");
}

fn framed(world: &World) -> (FramedMock, FramedMock) {
    let (mut phone, mut tv) = framed_of(streams(world, Protection::None), TICKET, ADMISSION);
    open(&mut phone, &mut tv);
    (phone, tv)
}

fn unframed(world: &World) -> (UnframedMock, UnframedMock) {
    let (client, server) = streams(world, Protection::None);
    let (mut phone, mut tv) = (Unframed::new(client, buffer(), buffer()), Unframed::new(server, buffer(), buffer()));
    open(&mut phone, &mut tv);
    (phone, tv)
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kept {
    Text(String),
    Binary(Vec<u8>),
}

impl Kept {
    fn message(&self) -> Message<'_> {
        match self {
            Self::Text(text) => Message::Text(text),
            Self::Binary(bytes) => Message::Binary(bytes),
        }
    }
}

/// Takes what is there now; gives the reason once the peer has closed.
fn take(transport: &mut impl Transport<Stream = MockStream>, into: &mut Vec<Kept>) -> Option<u32> {
    loop {
        match transport.receive().unwrap() {
            Incoming::Message(Message::Text(text)) => into.push(Kept::Text(text.to_owned())),
            Incoming::Message(Message::Binary(bytes)) => into.push(Kept::Binary(bytes.to_owned())),
            Incoming::Nothing => return None,
            Incoming::Closed(reason) => return Some(reason),
        }
    }
}

fn messages(world: &World, count: usize) -> Vec<Kept> {
    (0..count)
        .map(|_| {
            let bytes = world.random(MESSAGE_BYTES_MAX as u64 + 1) as usize;
            match world.random(3) {
                0 => Kept::Text("é".repeat(bytes / 2)),
                1 => Kept::Text("x".repeat(bytes)),
                _ => Kept::Binary((0..bytes).map(|_| world.random(256) as u8).collect()),
            }
        })
        .collect()
}

/// Sends them all, waiting where it must; the peer reads in between. Then closes.
fn carry(
    from: &mut impl Transport<Stream = MockStream>,
    to: &mut impl Transport<Stream = MockStream>,
    all: &[Kept],
) -> (Vec<Kept>, u32) {
    let (mut received, mut unsent) = (Vec::new(), all.iter());
    let mut next = unsent.next();
    loop {
        from.advance().unwrap();
        to.advance().unwrap();
        match next.map(|message| from.send(message.message())) {
            Some(Ok(())) => next = unsent.next(),
            Some(Err(SendError::WouldBlock)) => assert!(from.buffered_bytes() > 0),
            Some(Err(error)) => panic!("{error:?}"),
            None => from.close(17),
        }
        if let Some(reason) = take(to, &mut received) {
            return (received, reason);
        }
    }
}

/// PS-19
///
/// Presentation defect 27
#[test]
fn every_message_arrives_whole_and_in_order_and_so_does_the_reason() {
    for seed in 0..50 {
        let world = unkind(seed);
        let (mut phone, mut tv) = framed(&world);
        let sent = messages(&world, 60);
        assert!(carry(&mut phone, &mut tv, &sent) == (sent.clone(), 17), "seed {seed}");
        let (mut phone, mut tv) = framed(&world);
        assert!(carry(&mut tv, &mut phone, &sent) == (sent, 17), "seed {seed}, the other way");
    }
}

/// PS-19
#[test]
fn a_message_is_taken_whole_or_not_at_all_and_what_waits_is_told() {
    let world = World::new(1);
    let (mut phone, mut tv) = framed(&world);
    tv.stream().set_capacity(500);
    let message = [9; MESSAGE_BYTES_MAX];
    assert_eq!(phone.send(Message::Binary(&message)), Ok(()));
    assert_eq!(phone.buffered_bytes(), MESSAGE_BYTES_MAX + 5 - 500);
    assert_eq!(phone.send(Message::Binary(&message)), Err(SendError::WouldBlock));
    assert_eq!(phone.buffered_bytes(), MESSAGE_BYTES_MAX + 5 - 500);
    assert_eq!(phone.interest(false), Interest::Write);
    let mut received = Vec::new();
    while received.is_empty() {
        take(&mut tv, &mut received);
        phone.advance().unwrap();
    }
    assert_eq!((received[0].message(), phone.buffered_bytes()), (Message::Binary(&message), 0));
    assert_eq!(phone.interest(false), Interest::None);
}

/// PS-19
#[test]
fn a_message_that_is_too_long_is_refused_and_the_connection_stays() {
    let world = World::new(1);
    let (mut phone, mut tv) = framed(&world);
    let (bytes, max) = (MESSAGE_BYTES_MAX as u32 + 1, MESSAGE_BYTES_MAX as u32);
    assert_eq!(phone.send(Message::Binary(&[0; MESSAGE_BYTES_MAX + 1])), Err(SendError::TooLong { bytes, max }));
    assert_eq!(phone.send(Message::Text("")), Ok(()));
    let mut received = Vec::new();
    take(&mut tv, &mut received);
    assert_eq!(received, [Kept::Text(String::new())]);
}

/// PS-34
///
/// Presentation defect 15
#[test]
fn nobody_but_the_device_of_the_session_is_let_in() {
    let other_ticket = Admission { ticket: Ticket([8; 16]), ..ADMISSION };
    let other_certificate = Admission { fingerprint: Some(TV), ..ADMISSION };
    let other_address = Admission { address: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 3))), ..ADMISSION };
    for admission in [other_ticket, other_certificate, other_address] {
        let world = World::new(1);
        let (mut phone, mut tv) = framed_of(streams(&world, Protection::Encrypted), TICKET, admission);
        assert_eq!(phone.advance(), Ok(false));
        assert_eq!(tv.advance(), Err(TransportError::NotAdmitted), "{admission:?}");
        assert_eq!(phone.send(Message::Text("let me in")), Err(SendError::NotOpen));
        drop(tv);
        assert!(phone.advance().is_err());
    }
    let world = World::new(1);
    let everything = Admission { ticket: TICKET, fingerprint: Some(PHONE), address: Some(PHONE_ADDRESS) };
    let (mut phone, mut tv) = framed_of(streams(&world, Protection::Encrypted), TICKET, everything);
    open(&mut phone, &mut tv);
}

/// What a peer that keeps no rules sends, and what becomes of it.
fn told(before: bool, bytes: &[u8]) -> Result<bool, TransportError<greenroom_hal_mock::SimulatedError>> {
    let world = World::new(1);
    let (mut stranger, server) = streams(&world, Protection::None);
    let mut tv = Framed::accepting(server, ADMISSION, buffer(), buffer());
    if !before {
        let hello: Vec<u8> = [0, 0, 0, 17, 0, 1].into_iter().chain([7; 16]).collect();
        assert_eq!(stranger.send(&hello).unwrap(), hello.len());
        assert_eq!(tv.advance(), Ok(true));
    }
    assert_eq!(stranger.send(bytes).unwrap(), bytes.len());
    let up = tv.advance()?;
    tv.receive().map(|_| up)
}

/// PS-32
#[test]
fn what_has_no_place_ends_the_connection_and_says_why() {
    let welcome = [0, 0, 0, 1, 1, 1];
    let text = [0, 0, 0, 1, 2, b'x'];
    let hello_of_version_0: Vec<u8> = [0, 0, 0, 17, 0, 0].into_iter().chain([7; 16]).collect();
    assert_eq!(told(true, &text), Err(TransportError::OutOfPlace));
    assert_eq!(told(true, &welcome), Err(TransportError::OutOfPlace));
    assert_eq!(told(true, &hello_of_version_0), Err(TransportError::Version(0)));
    assert_eq!(told(true, b"GET / HTTP/1.1\r\n"), Err(TransportError::Frame(FrameError::UnknownKind(b'/'))));
    assert_eq!(told(false, &welcome), Err(TransportError::OutOfPlace));
    let too_long = FrameError::TooLong { bytes: 0x0100_0000, max: MESSAGE_BYTES_MAX as u32 };
    assert_eq!(told(false, &[1, 0, 0, 0, 3]), Err(TransportError::Frame(too_long)));
    assert_eq!(told(false, &[0, 0, 0, 1, 2, 0xFF]), Err(TransportError::Frame(FrameError::NotText)));
    assert_eq!(told(false, &text), Ok(true));
}

/// PS-30
#[test]
fn a_peer_that_vanishes_is_not_taken_for_one_that_closes() {
    let world = World::new(1);
    let (phone, mut tv) = framed(&world);
    drop(phone);
    assert_eq!(tv.receive(), Err(TransportError::CutOff));
    let (phone, mut tv) = framed(&world);
    phone.stream().cut();
    assert!(
        matches!(tv.receive(), Err(TransportError::Stream(error)) if greenroom_core::hal::Error::kind(&error) == ErrorKind::Gone)
    );
}

/// PS-30
#[test]
fn both_sides_may_close_at_once() {
    for seed in 0..50 {
        let world = unkind(seed);
        let (mut phone, mut tv) = framed(&world);
        phone.send(Message::Text("last words")).unwrap();
        phone.close(1);
        tv.close(2);
        assert_eq!(phone.send(Message::Text("too late")), Err(SendError::NotOpen));
        let (mut one, mut other) = (None, None);
        for _ in 0..1000 {
            phone.advance().unwrap();
            tv.advance().unwrap();
            one = one.or(take(&mut phone, &mut Vec::new()));
            other = other.or(take(&mut tv, &mut Vec::new()));
        }
        assert!(one.is_some() && other.is_some(), "seed {seed}");
        assert_eq!((phone.interest(true), tv.interest(true)), (Interest::None, Interest::None));
    }
}

/// What stays unread where it is, and is seen although the loop says nothing.
///
/// PS-19
#[test]
fn who_does_not_read_finds_the_rest_later() {
    let world = World::new(1);
    let (mut phone, mut tv) = framed(&world);
    for text in ["one", "two"] {
        phone.send(Message::Text(text)).unwrap();
    }
    assert_eq!(tv.interest(false), Interest::None);
    assert_eq!(tv.receive(), Ok(Incoming::Message(Message::Text("one"))));
    assert!(tv.has_pending());
    assert_eq!(tv.receive(), Ok(Incoming::Message(Message::Text("two"))));
    assert!(!tv.has_pending());
    assert_eq!(tv.receive(), Ok(Incoming::Nothing));
}

/// PS-19
#[test]
fn text_without_frames_arrives_in_order_and_no_character_is_torn() {
    for seed in 0..50 {
        let world = unkind(seed);
        let (mut phone, mut tv) = unframed(&world);
        let sent: Vec<Kept> = (1..40).map(|count| Kept::Text("aé€😀".repeat(count))).collect();
        let (received, reason) = carry(&mut phone, &mut tv, &sent);
        let joined = |all: &[Kept]| -> String {
            all.iter()
                .map(|kept| if let Kept::Text(text) = kept { text.as_str() } else { panic!("{kept:?}") })
                .collect()
        };
        assert!(joined(&received) == joined(&sent) && reason == 0, "seed {seed}");
    }
}

/// PS-32
#[test]
fn what_is_no_text_is_replaced_and_the_rest_arrives() {
    let world = World::new(1);
    let (mut stranger, server) = streams(&world, Protection::None);
    let mut tv: UnframedMock = Unframed::new(server, buffer(), buffer());
    assert!(tv.advance().unwrap());
    stranger.send(b"good\xFF\xC3(\xE2\x82").unwrap();
    let mut received = Vec::new();
    assert_eq!(take(&mut tv, &mut received), None);
    stranger.finish().unwrap();
    assert_eq!(take(&mut tv, &mut received), Some(0));
    let texts = ["good", "\u{FFFD}", "\u{FFFD}", "(", "\u{FFFD}"].map(|text| Kept::Text(text.to_owned()));
    assert_eq!(received, texts);
}

/// PS-19
#[test]
fn what_cannot_be_said_without_frames_is_refused_and_the_connection_stays() {
    let world = World::new(1);
    let (mut phone, mut tv) = unframed(&world);
    assert_eq!(phone.send(Message::Binary(b"x")), Err(SendError::Unsupported));
    assert_eq!(phone.send(Message::Text("")), Err(SendError::Unsupported));
    let long = "x".repeat(BUFFER_BYTES + 1);
    let refused = SendError::TooLong { bytes: BUFFER_BYTES as u32 + 1, max: BUFFER_BYTES as u32 };
    assert_eq!(phone.send(Message::Text(&long)), Err(refused));
    phone.send(Message::Text("x")).unwrap();
    assert_eq!(tv.receive(), Ok(Incoming::Message(Message::Text("x"))));
}
