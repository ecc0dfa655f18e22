//! What is said about presentations: by local clients, on control channels, on the framed transport.

use greenroom_core::codec::frame::{Frame, Ticket, VERSION, encode};
use greenroom_core::codec::papi;
use greenroom_core::limits::MESSAGE_BYTES_MAX;
use greenroom_core::message::papi::{Description, Framed, Message, Reason};
use greenroom_core::message::presentation::{
    self, Answer, CloseReason, Command, ConnectionId, ConnectionState, ConnectionStatus, DeviceStatus, Event,
    LaunchToken, NoDevice, Payload, Piece, Refusal, Request, SelectionId, TableName, Traffic, TransportKind,
};

use super::{Seed, first, later};
use crate::fuzzing::frame::TICKET;

const CONNECTION: ConnectionId = ConnectionId { index: 1, generation: 300 };
const SELECTION: SelectionId = SelectionId { index: 0, generation: 200 };
const URL: &str = "https://tv.example/";

/// What local clients and the service say.
pub(super) fn messages() -> Vec<Seed> {
    [requests(), answers(), events()].concat()
}

fn requests() -> Vec<Seed> {
    use Command as C;
    let ask = |command| later(&Request { sequence: 300, command });
    let urls = || [URL, "app:tv"].into_iter().collect();
    let (presentation_id, connection, selection, token) = ("p", CONNECTION, SELECTION, LaunchToken([5; 16]));
    let (origin, device, transport) = ("test", Some("TV"), TransportKind::DataChannel);
    let start = C::Start { presentation_id, urls: urls(), origin, device, transport };
    vec![
        ("presentation", "first-hello", first(&Request { sequence: 1, command: C::Hello })),
        ("presentation", "ask-start", ask(start)),
        ("presentation", "ask-reconnect", ask(C::Reconnect { presentation_id, urls: urls() })),
        ("presentation", "ask-close", ask(C::Close { connection, went_away: true })),
        ("presentation", "ask-terminate", ask(C::Terminate { connection })),
        ("presentation", "ask-end", ask(C::End { presentation_id })),
        ("presentation", "ask-send", ask(C::Send { connection, payload: Payload::Text("hello") })),
        ("presentation", "ask-send-bytes", ask(C::Send { connection, payload: Payload::Binary(&[0, 255]) })),
        ("presentation", "ask-availability", ask(C::WatchAvailability { urls: urls() })),
        ("presentation", "ask-devices", ask(C::ListDevices { from: 3 })),
        ("presentation", "ask-selections", ask(C::WatchSelections)),
        ("presentation", "ask-select", ask(C::Select { selection, device: "TV" })),
        ("presentation", "ask-cancel", ask(C::Cancel { selection, because: NoDevice::NotFound })),
        ("presentation", "ask-ready", ask(C::ReceiverReady { token })),
        ("presentation", "ask-listen", ask(C::ListenForConnections)),
        ("presentation", "ask-built", ask(C::Built { connection, piece: Piece::Candidate("c") })),
        ("presentation", "ask-over", ask(C::Built { connection, piece: Piece::Over(CloseReason::WentAway) })),
        ("presentation", "ask-builder", ask(C::RegisterBuilder)),
        ("presentation", "ask-traffic", ask(C::Traffic)),
    ]
}

fn answers() -> Vec<Seed> {
    let answer = |result| later(&presentation::Message::Reply { sequence: 300, result });
    let (connection, presentation_id, url, device_id) = (CONNECTION, "p", URL, "TV");
    let device = DeviceStatus { next: 1, device_id, name: "Living room" };
    let state = ConnectionState::Connected;
    let listed = ConnectionStatus { next: 2, connection, presentation_id, url, device_id, state, is_receiver: true };
    let full = Refusal::Full { table: TableName::Connections, capacity: 32 };
    vec![
        ("presentation", "done", answer(Ok(Answer::Done))),
        ("presentation", "welcome", answer(Ok(Answer::Welcome { version: 1 }))),
        ("presentation", "connection", answer(Ok(Answer::Connection { connection, presentation_id, url }))),
        ("presentation", "availability", answer(Ok(Answer::Availability { available: true }))),
        ("presentation", "device", answer(Ok(Answer::Device(Some(device))))),
        ("presentation", "listed", answer(Ok(Answer::Listed(Some(listed))))),
        ("presentation", "receiver", answer(Ok(Answer::Receiver { presentation_id, url }))),
        ("presentation", "traffic", answer(Ok(Answer::Traffic(Traffic { sent_bytes: 300, ..Traffic::default() })))),
        ("presentation", "full", answer(Err(full))),
        ("presentation", "wrong", answer(Err(Refusal::WrongState { state: ConnectionState::Terminated }))),
    ]
}

fn events() -> Vec<Seed> {
    let event = |event| later(&presentation::Message::Event(event));
    let (connection, selection) = (CONNECTION, SELECTION);
    let (state, reason) = (ConnectionState::Closed, Some(CloseReason::Error(Reason::TIMEOUT)));
    let urls = [URL].into_iter().collect();
    vec![
        ("presentation", "state", event(Event::State { connection, state, reason })),
        ("presentation", "message", event(Event::Message { connection, payload: Payload::Text("hi") })),
        ("presentation", "available", event(Event::Available { connection, device_id: "phone" })),
        ("presentation", "watched", event(Event::Availability { available: false })),
        ("presentation", "asked", event(Event::SelectionAsked { selection, origin: "test", urls })),
        ("presentation", "over", event(Event::SelectionOver { selection })),
        ("presentation", "build", event(Event::Build { connection, offers: true })),
        ("presentation", "built", event(Event::Built { connection, piece: Piece::Answer("v=0") })),
    ]
}

/// Lines of a control channel, each with its newline.
///
/// # Panics
///
/// When one of them does not fit a message.
pub fn lines() -> Vec<(&'static str, Vec<u8>)> {
    let framed = Some(Framed { version: 1, port: 40124, fingerprint: "AA:BB", token: "07" });
    let addresses = || ["192.0.2.1", "fe80::1"].into_iter().collect();
    let (presentation_id, url) = ("p", URL);
    let said: [(&str, Message<&str>); 12] = [
        ("connect", Message::Connect { device_id: "Gerät 日本", extension: 1 }),
        ("connect-ack", Message::ConnectAck { extension: 0 }),
        ("disconnect", Message::Disconnect { reason: Reason::TIMEOUT }),
        ("launch", Message::Launch { presentation_id, url }),
        ("launch-ack", Message::LaunchAck { presentation_id }),
        ("terminate", Message::Terminate { presentation_id }),
        ("reconnect", Message::Reconnect { presentation_id, url }),
        ("offer", Message::Offer(Description::Tcp { addresses: addresses(), port: 40123, framed })),
        ("answer", Message::Answer(Description::Tcp { addresses: addresses(), port: 0, framed: None })),
        ("offer of a data channel", Message::Offer(Description::DataChannel { sdp: "{\"sdp\":\"v=0\\r\\n\"}" })),
        ("candidate", Message::IceCandidate { candidate: "{\"candidate\":\"a\"}" }),
        ("ping", Message::Ping),
    ];
    let line = |message: &Message<&str>| {
        papi::encode(message, &mut [0; MESSAGE_BYTES_MAX]).expect("a seed fits a message").to_vec()
    };
    let strange: [(&str, &[u8]); 5] = [
        ("nothing", b"\r\n"),
        ("null", b"null\n"),
        ("nested", b"{\"type\":\"x\",\"y\":[[[[[[[[[1]]]]]]]]]}\n"),
        ("without its page", b"{\"type\":\"launch\",\"presentationId\":\"p\"}\n"),
        ("Latin-1", b"{\"type\":\"connect\",\"deviceId\":\"Ger\xE4t\"}\n"),
    ];
    let said = said.iter().map(|(name, message)| (*name, line(message)));
    said.chain(strange.iter().map(|(name, line)| (*name, line.to_vec()))).collect()
}

/// What the other end of a framed transport sends.
///
/// # Panics
///
/// When one of them does not fit a message.
pub fn frames() -> Vec<(&'static str, Vec<u8>)> {
    let stream = |frames: &[Frame<'_>]| {
        let mut bytes = Vec::new();
        for frame in frames {
            let mut buffer = [0; 128];
            let written = encode(frame, 100, &mut buffer).expect("a seed fits its buffer");
            bytes.extend_from_slice(&buffer[..written]);
        }
        bytes
    };
    let hello = Frame::Hello { version: VERSION, ticket: Ticket(TICKET) };
    vec![
        ("a talk", stream(&[hello, Frame::Text("hé"), Frame::Binary(&[0, 255]), Frame::Close { reason: 7 }])),
        ("empty messages", stream(&[hello, Frame::Text(""), Frame::Binary(&[])])),
        ("a stranger", stream(&[Frame::Hello { version: VERSION, ticket: Ticket([8; 16]) }])),
        ("an old one", stream(&[Frame::Hello { version: 0, ticket: Ticket(TICKET) }])),
        ("a welcome", stream(&[Frame::Welcome { version: VERSION }])),
        ("too long", stream(&[hello, Frame::Text(&"x".repeat(49))])),
        ("of no kind", [&stream(&[hello])[..], &[0, 0, 0, 0, 9]].concat()),
        ("no text", [&stream(&[hello])[..], &[0, 0, 0, 2, 2, 0xC3, 0x28]].concat()),
    ]
}
