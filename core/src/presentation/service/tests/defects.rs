//! What the incumbent is known to get wrong, and no test of a requirement shows (see `docs/presentation-defects.md`).

use super::hostile::{heard, stranger};
use super::*;
use crate::limits::TERMINATE_ACK_TIMEOUT;
use crate::message::presentation::Piece;

/// Presentation defect 12: who speaks more than this build knows is spoken to as far as both can.
#[test]
fn a_peer_with_later_additions_is_answered_with_ours() {
    let mut stage = Stage::new();
    let channel = stranger(&mut stage, 5, "new");
    stage.give(TV, Input::ChannelClosed { channel }).unwrap();
    stage.give(TV, Input::Accepted { number: 99, origin: origin(5) }).unwrap();
    let later = stage.boxes[TV].told.others.iter().rev().find_map(|action| match action {
        Action::Admit { channel, .. } => Some(*channel),
        _ => None,
    });
    let later = later.unwrap();
    stage.give(TV, Input::ChannelOpened { channel: later }).unwrap();
    stage.boxes[TV].peers.insert(key(later), (PHONE, ChannelHandle::from_parts(99, 99)));
    let hello = Message::Connect { device_id: "new", extension: 200 };
    assert_eq!(heard(&mut stage, later, hello), [r#"{"type":"connect-ack","greenroom":1}"#]);
}

/// Presentation defect 10, PS-32
#[test]
fn a_candidate_that_nobody_waits_for_is_dropped_and_its_channel_stays() {
    let mut stage = Stage::new();
    let channel = stranger(&mut stage, 5, "someone");
    assert_eq!(heard(&mut stage, channel, Message::IceCandidate { candidate: "c" }), [""; 0]);
    let launch = Message::Launch { presentation_id: "p", url: URL };
    assert_eq!(heard(&mut stage, channel, launch), [r#"{"type":"launch-ack","presentationId":"p"}"#]);
    assert_eq!(heard(&mut stage, channel, Message::IceCandidate { candidate: "c" }), [""; 0]);
}

/// Presentation defect 16, PS-36
#[test]
fn a_page_does_nothing_with_the_connection_of_another_one() {
    let mut stage = Stage::new();
    let phone = stage.connected();
    let tv = stage.available().unwrap();
    for (which, connection) in [(PHONE, phone.into()), (TV, tv.into())] {
        for command in [
            Command::Send { connection, payload: HELLO },
            Command::Close { connection, went_away: false },
            Command::Terminate { connection },
            Command::Built { connection, piece: Piece::Closed },
        ] {
            assert_eq!(stage.ask(which, 2, command), Some(Err(Refusal::NotFound)));
        }
    }
    stage.settle();
    assert_eq!(stage.state(PHONE, phone), Some(ConnectionState::Connected));
    assert_eq!(stage.state(TV, tv), Some(ConnectionState::Connected));
}

/// Presentation defect 18, PS-09, PS-30, PS-31
#[test]
fn a_page_that_comes_back_to_what_has_ended_is_told_so() {
    let mut stage = Stage::new();
    let phone = stage.connected();
    stage.ask(PHONE, 1, Command::Close { connection: phone.into(), went_away: false });
    stage.settle();
    let (presentation, _) = stage.boxes[TV].processes.pop_first().unwrap().1;
    stage.give(TV, Input::ReceiverEnded { presentation }).unwrap();
    let again = stage.ask(PHONE, 1, Command::Reconnect { presentation_id: ID, urls: urls(&[URL]) });
    assert_eq!(again, Some(Ok(Done::Connection(phone))));
    assert_eq!(stage.state(PHONE, phone), Some(ConnectionState::Connecting));
    stage.settle();
    assert_eq!(stage.state(PHONE, phone), Some(ConnectionState::Closed));
    assert_eq!(stage.reason(PHONE, phone), Some(CloseReason::Error(Reason::NOT_FOUND)));
}

/// Presentation defect 24, PS-10
#[test]
fn a_presentation_can_be_ended_while_it_is_connecting() {
    let mut stage = Stage::new();
    let phone = stage.start();
    assert_eq!(stage.state(PHONE, phone), Some(ConnectionState::Connecting));
    assert_eq!(stage.ask(PHONE, 1, Command::Terminate { connection: phone.into() }), None);
    let ticket = Ticket { client: client(1), sequence: stage.sequence };
    stage.settle();
    assert_eq!(stage.answer_to(PHONE, ticket), Some(Ok(Done::Done)));
    assert_eq!(stage.state(PHONE, phone), Some(ConnectionState::Terminated));
    assert!(stage.boxes[TV].processes.is_empty(), "the page is gone");
}

/// A page whose data channel is open on both sides.
fn with_data_channel(stage: &mut Stage) -> ConnectionHandle {
    stage.kind = TransportKind::DataChannel;
    let connection = stage.connected();
    assert_eq!(stage.boxes[PHONE].service.controlling(connection).unwrap().kind(), TransportKind::DataChannel);
    connection
}

/// Presentation defect 25, PS-32
#[test]
fn what_a_builder_says_too_late_reaches_nobody() {
    let mut stage = Stage::new();
    let phone = with_data_channel(&mut stage);
    let late = |piece| Command::Built { connection: phone.into(), piece };
    let channel = stage.boxes[PHONE].service.channel_of(phone).expect("one of us keeps it");
    stage.give(PHONE, Input::ChannelClosed { channel }).unwrap();
    stage.wire.clear();
    for piece in [Piece::Candidate("c"), Piece::Offer("o"), Piece::Open] {
        assert_eq!(stage.ask(PHONE, 1, late(piece)), Some(Ok(Done::Done)));
        assert!(stage.wire.is_empty());
    }
    assert_eq!(stage.state(PHONE, phone), Some(ConnectionState::Connected));
    stage.ask(PHONE, 1, Command::Terminate { connection: phone.into() });
    stage.settle();
    assert_eq!(stage.ask(PHONE, 1, late(Piece::Candidate("c"))), Some(Err(Refusal::NotFound)));
}

/// Presentation defects 26, 28, PS-10, PS-35
#[test]
fn a_data_channel_is_closed_although_nobody_acknowledges_the_end() {
    let mut stage = Stage::new();
    let phone = with_data_channel(&mut stage);
    assert!(stage.boxes[PHONE].transports.contains_key(&key(phone)));
    stage.ask(PHONE, 1, Command::Terminate { connection: phone.into() });
    let ticket = Ticket { client: client(1), sequence: stage.sequence };
    stage.wire.clear();
    stage.pass(TERMINATE_ACK_TIMEOUT);
    assert_eq!(stage.answer_to(PHONE, ticket), Some(Err(Refusal::NotAcknowledged)));
    assert!(!stage.boxes[PHONE].transports.contains_key(&key(phone)), "nothing of it is left");
    assert!(stage.boxes[PHONE].service.channel_of(phone).is_none());
}

/// Presentation defect 29, PS-02
#[test]
fn of_several_pages_the_first_that_the_device_can_show_is_taken() {
    let mut stage = Stage::new();
    stage.give(PHONE, Input::DeviceFound { device_id: "radio", name: "Radio", schemes: Schemes::APP }).unwrap();
    let start = |presentation_id, list: &[&'static str]| Command::Start {
        presentation_id,
        urls: urls(list),
        origin: "demo",
        device: Some("radio"),
        transport: TransportKind::Tcp,
    };
    assert_eq!(stage.ask(PHONE, 1, start("one", &["https://a/", "http://b/"])), Some(Err(Refusal::NoDevice)));
    let begun = stage.ask(PHONE, 1, start("two", &["https://a/", "app:one", "app:two"]));
    let Some(Ok(Done::Connection(connection))) = begun else { panic!("{begun:?}") };
    assert_eq!(stage.boxes[PHONE].service.connection(connection), Some(("two", "app:one", "radio")));
}

/// Presentation defects 30, 31, PS-22
#[test]
fn each_page_that_waits_for_a_device_is_told_of_those_that_can_show_it() {
    let mut stage = Stage::new();
    let watch = |page| Command::WatchAvailability { urls: urls(&[page]) };
    assert_eq!(stage.ask(PHONE, 1, watch("https://a/")), Some(Ok(Done::Availability(true))));
    assert_eq!(stage.ask(PHONE, 2, watch("app:one")), Some(Ok(Done::Availability(true))));
    let told = |stage: &mut Stage, input: Input<'_>| {
        stage.boxes[PHONE].told.others.clear();
        stage.give(PHONE, input).unwrap();
        let found = stage.boxes[PHONE].told.others.iter().filter_map(|action| match action {
            Action::TellAvailability { client, available } => Some((client.index(), *available)),
            _ => None,
        });
        found.collect::<Vec<_>>()
    };
    let found = |device_id, schemes| Input::DeviceFound { device_id, name: "x", schemes };
    assert_eq!(told(&mut stage, found("second", Schemes::WEB)), []);
    // What showed apps has gone, another one is left for the web.
    assert_eq!(told(&mut stage, Input::DeviceLost { device_id: "tv" }), [(2, false)]);
    // The same device is another one now.
    assert_eq!(told(&mut stage, found("second", Schemes::APP)), [(1, false), (2, true)]);
}

/// Presentation defect 33, PS-01, PS-31
#[test]
fn a_choice_of_a_device_that_is_not_there_is_refused_and_the_request_waits_on() {
    let mut stage = Stage::new();
    assert_eq!(stage.ask(PHONE, 0, Command::WatchSelections), Some(Ok(Done::Done)));
    let (device, transport) = (None, TransportKind::Tcp);
    let start = Command::Start { presentation_id: "p", urls: urls(&[URL]), origin: "demo", device, transport };
    assert_eq!(stage.ask(PHONE, 1, start), None);
    let ticket = Ticket { client: client(1), sequence: stage.sequence };
    let selection = stage.boxes[PHONE].service.selections().next().map(|(it, ..)| it).unwrap().into();
    let choose = |device| Command::Select { selection, device };
    assert_eq!(stage.ask(PHONE, 0, choose("gone")), Some(Err(Refusal::NoDevice)));
    assert_eq!(stage.answer_to(PHONE, ticket), None, "nothing was chosen yet");
    assert_eq!(stage.ask(PHONE, 0, choose("tv")), Some(Ok(Done::Done)));
    assert_eq!(stage.ask(PHONE, 0, choose("tv")), Some(Err(Refusal::NotFound)));
    assert!(matches!(stage.answer_to(PHONE, ticket), Some(Ok(Done::Connection(_)))));
    assert_eq!(stage.boxes[PHONE].told.replies.iter().filter(|(to, _)| *to == ticket).count(), 1);
}

/// Presentation defect 34, PS-17
#[test]
fn a_receiver_that_listens_late_learns_of_every_connection_that_is_still_there() {
    let mut stage = Stage::new();
    let first = stage.start();
    let joined = stage.ask(PHONE, 2, Command::Reconnect { presentation_id: ID, urls: urls(&[URL]) });
    let Some(Ok(Done::Connection(second))) = joined else { panic!("{joined:?}") };
    stage.settle();
    assert_eq!(stage.ask(TV, 1, Command::ListenForConnections), Some(Err(Refusal::NotReceiver)), "it can ask again");
    let token = stage.boxes[TV].processes.values().next().unwrap().1;
    stage.ask(TV, 1, Command::ReceiverReady { token });
    stage.settle();
    assert_eq!(stage.state(PHONE, second), Some(ConnectionState::Connected));
    stage.ask(PHONE, 2, Command::Close { connection: second.into(), went_away: false });
    stage.settle();
    assert_eq!(stage.ask(TV, 1, Command::ListenForConnections), Some(Ok(Done::Done)));
    let available = stage.boxes[TV].told.others.iter().filter(|it| matches!(it, Action::TellAvailable { .. }));
    assert_eq!(available.count(), 1, "the closed one is not there any more");
    let tv = stage.available().unwrap();
    assert_eq!(stage.state(TV, tv), Some(ConnectionState::Connected));
    assert_eq!(stage.state(PHONE, first), Some(ConnectionState::Connected));
}
