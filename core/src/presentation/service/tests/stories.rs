//! What a page, a person and a TV live through together.

use core::time::Duration;

use super::*;
use crate::limits::{CLOSED_KEPT, ESTABLISH_TIMEOUT, PAGE_LOAD_TIMEOUT, SELECTION_TIMEOUT, TERMINATE_ACK_TIMEOUT};
use crate::message::presentation::{NoDevice, Piece};

/// PS-02 to PS-05, PS-08, PS-11 to PS-14, PS-16 to PS-18
///
/// Presentation defect 21
#[test]
fn a_page_is_started_talked_to_and_terminated() {
    let mut stage = Stage::new();
    let phone = stage.start();
    assert_eq!(stage.state(PHONE, phone), Some(ConnectionState::Connecting), "the page is not there yet");
    stage.page_is_ready();
    let tv = stage.available().expect("the receiver learns of it");
    assert_eq!(stage.state(PHONE, phone), Some(ConnectionState::Connected));
    assert_eq!(stage.state(TV, tv), Some(ConnectionState::Connected));

    assert_eq!(stage.ask(PHONE, 1, Command::Send { connection: phone.into(), payload: HELLO }), Some(Ok(Done::Done)));
    stage.settle();
    assert!(stage.boxes[TV].told.others.contains(&Action::Deliver { client: client(1), connection: tv }));
    assert_eq!(stage.ask(TV, 1, Command::Send { connection: tv.into(), payload: HELLO }), Some(Ok(Done::Done)));
    stage.settle();
    assert!(stage.boxes[PHONE].told.others.contains(&Action::Deliver { client: client(1), connection: phone }));

    assert_eq!(stage.ask(PHONE, 1, Command::Terminate { connection: phone.into() }), None, "it waits for the TV");
    let ticket = Ticket { client: client(1), sequence: stage.sequence };
    stage.settle();
    assert_eq!(stage.answer_to(PHONE, ticket), Some(Ok(Done::Done)));
    assert_eq!(stage.state(PHONE, phone), Some(ConnectionState::Terminated));
    assert_eq!(stage.state(TV, tv), Some(ConnectionState::Terminated));
    stage.settle();
    assert_nothing_left(&mut stage);
}

/// PS-35
fn assert_nothing_left(stage: &mut Stage) {
    stage.pass(ESTABLISH_TIMEOUT);
    for it in &stage.boxes {
        assert_eq!(it.service.in_use(), (0, 0, 0));
        assert_eq!(it.service.next_deadline(), None);
        assert!(it.transports.is_empty() && it.offers.is_empty() && it.processes.is_empty() && it.peers.is_empty());
    }
}

/// PS-10: whichever side asks.
///
/// Presentation defect 3
#[test]
fn the_receiver_terminates_and_the_controller_acknowledges() {
    let mut stage = Stage::new();
    let phone = stage.connected();
    let tv = stage.available().unwrap();
    let answer = stage.ask(TV, 1, Command::Terminate { connection: tv.into() });
    assert_eq!(answer, Some(Ok(Done::Done)), "it does not wait for its own end");
    stage.settle();
    assert_eq!(stage.state(PHONE, phone), Some(ConnectionState::Terminated));
    assert_nothing_left(&mut stage);
}

/// PS-10
#[test]
fn both_sides_terminate_at_once_and_both_are_answered() {
    let mut stage = Stage::new();
    let phone = stage.connected();
    let tv = stage.available().unwrap();
    assert_eq!(stage.ask(TV, 1, Command::Terminate { connection: tv.into() }), Some(Ok(Done::Done)));
    assert_eq!(stage.ask(PHONE, 1, Command::Terminate { connection: phone.into() }), None);
    let on_phone = Ticket { client: client(1), sequence: stage.sequence };
    stage.settle();
    assert_eq!(stage.answer_to(PHONE, on_phone), Some(Ok(Done::Done)));
    assert_nothing_left(&mut stage);
}

/// PS-09
///
/// Presentation defect 18
#[test]
fn a_page_leaves_and_comes_back_to_the_same_presentation() {
    let mut stage = Stage::new();
    let phone = stage.connected();
    let before = stage.available().unwrap();
    let close = Command::Close { connection: phone.into(), went_away: false };
    assert_eq!(stage.ask(PHONE, 1, close), Some(Ok(Done::Done)));
    stage.settle();
    assert_eq!(stage.state(PHONE, phone), Some(ConnectionState::Closed));
    assert_eq!(
        (stage.state(TV, before), stage.reason(TV, before)),
        (Some(ConnectionState::Closed), Some(CloseReason::Closed))
    );
    let again = stage.ask(PHONE, 1, Command::Reconnect { presentation_id: ID, urls: urls(&[URL]) });
    assert_eq!(again, Some(Ok(Done::Connection(phone))));
    stage.settle();
    assert_eq!(stage.state(PHONE, phone), Some(ConnectionState::Connected));
    assert_ne!(stage.available(), Some(before), "the receiver gets a new connection");
    assert_eq!(stage.boxes[TV].processes.len(), 1, "the page is the same one");
}

/// PS-09, PS-36: a program that went leaves a connection that another one takes up.
#[test]
fn what_a_client_left_another_one_takes_up_and_the_first_owns_it_no_more() {
    let mut stage = Stage::new();
    let phone = stage.connected();
    stage.give(PHONE, Input::ClientLeft { client: client(1) }).unwrap();
    stage.settle();
    let tv = stage.available().unwrap();
    assert_eq!(stage.reason(TV, tv), Some(CloseReason::WentAway));
    let other = stage.ask(PHONE, 2, Command::Reconnect { presentation_id: ID, urls: urls(&[URL]) });
    assert_eq!(other, Some(Ok(Done::Connection(phone))));
    stage.settle();
    assert_eq!(stage.state(PHONE, phone), Some(ConnectionState::Connected));
}

/// PS-09: several controllers on one presentation.
///
/// Presentation defect 23
#[test]
fn a_second_page_joins_with_a_connection_of_its_own() {
    let mut stage = Stage::new();
    let first = stage.connected();
    let joined = stage.ask(PHONE, 2, Command::Reconnect { presentation_id: ID, urls: urls(&[URL]) });
    let Some(Ok(Done::Connection(second))) = joined else { panic!("{joined:?}") };
    stage.settle();
    assert_ne!(first, second);
    assert_eq!(stage.state(PHONE, second), Some(ConnectionState::Connected));
    let foreign = Command::Send { connection: first.into(), payload: HELLO };
    assert_eq!(stage.ask(PHONE, 2, foreign), Some(Err(Refusal::NotFound)), "PS-36");
    stage.ask(PHONE, 2, Command::Terminate { connection: second.into() });
    stage.settle();
    assert_eq!(stage.state(PHONE, first), Some(ConnectionState::Terminated), "it ends for all of them");
    assert_nothing_left(&mut stage);
}

/// A device of another make keeps one connection to each presentation: a second page waits until the first has left.
///
/// Presentation defect 23
#[test]
fn a_second_page_does_not_cost_the_first_one_its_presentation_on_a_device_of_another_make() {
    let mut stage = Stage::new();
    stage.are_kin = false;
    let first = stage.connected();
    let join = || Command::Reconnect { presentation_id: ID, urls: urls(&[URL]) };
    assert_eq!(stage.ask(PHONE, 2, join()), Some(Err(Refusal::OneOnly)));
    stage.settle();
    assert_eq!(stage.state(PHONE, first), Some(ConnectionState::Connected));
    stage.ask(PHONE, 1, Command::Close { connection: first.into(), went_away: false });
    stage.settle();
    let joined = stage.ask(PHONE, 2, join());
    let Some(Ok(Done::Connection(second))) = joined else { panic!("{joined:?}") };
    stage.settle();
    assert_eq!(stage.state(PHONE, second), Some(ConnectionState::Connected));
}

/// PS-13
#[test]
fn a_page_that_does_not_load_is_reported_to_the_controller_as_too_late() {
    let mut stage = Stage::new();
    let phone = stage.start();
    stage.pass(PAGE_LOAD_TIMEOUT);
    assert_eq!(stage.reason(PHONE, phone), Some(CloseReason::Error(Reason::TIMEOUT)));
    assert_nothing_left(&mut stage);
}

/// PS-13, PS-30
#[test]
fn a_page_and_a_connection_may_take_as_long_as_the_service_is_configured_with() {
    let secs = Duration::from_secs;
    for (load, establish) in [(secs(30), secs(60)), (secs(60), secs(30))] {
        let mut stage = Stage::new();
        for TheBox { service, .. } in &mut stage.boxes {
            (service.settings.page_load_timeout, service.settings.establish_timeout) = (load, establish);
        }
        let phone = stage.start();
        stage.pass(secs(29));
        assert_eq!(stage.state(PHONE, phone), Some(ConnectionState::Connecting));
        stage.pass(secs(1));
        assert_eq!(stage.reason(PHONE, phone), Some(CloseReason::Error(Reason::TIMEOUT)));
        assert_nothing_left(&mut stage);
    }
}

/// PS-30
#[test]
fn a_device_that_is_not_there_is_not_waited_for_for_ever() {
    let mut stage = Stage::new();
    stage.is_reachable = false;
    let phone = stage.start();
    assert_eq!(stage.state(PHONE, phone), Some(ConnectionState::Connecting));
    stage.pass(ESTABLISH_TIMEOUT);
    assert_eq!(stage.reason(PHONE, phone), Some(CloseReason::Error(Reason::NETWORK_TIMEOUT)));
    assert_nothing_left(&mut stage);
}

/// PS-33
///
/// Presentation defect 19
#[test]
fn a_connection_outlives_its_control_channel_on_both_boxes() {
    let mut stage = Stage::new();
    let phone = stage.connected();
    let channel = stage.boxes[PHONE].service.channels.handle_at(0).expect("one of us keeps it");
    let (other, peer) = stage.boxes[PHONE].peers.remove(&key(channel)).unwrap();
    stage.boxes[other].peers.clear();
    stage.give(PHONE, Input::ChannelClosed { channel }).unwrap();
    stage.give(other, Input::ChannelClosed { channel: peer }).unwrap();
    let sent = stage.ask(PHONE, 1, Command::Send { connection: phone.into(), payload: HELLO });
    assert_eq!(sent, Some(Ok(Done::Done)));
    // It is terminated on a new channel.
    assert_eq!(stage.ask(PHONE, 1, Command::Terminate { connection: phone.into() }), None);
    let ticket = Ticket { client: client(1), sequence: stage.sequence };
    stage.settle();
    assert_eq!(stage.answer_to(PHONE, ticket), Some(Ok(Done::Done)));
    assert_nothing_left(&mut stage);
}

/// PS-10: who does not acknowledge is not waited for.
#[test]
fn a_device_that_has_gone_is_terminated_here_and_the_page_learns_that_it_did_not_say_so() {
    let mut stage = Stage::new();
    let phone = stage.connected();
    stage.ask(PHONE, 1, Command::Terminate { connection: phone.into() });
    let ticket = Ticket { client: client(1), sequence: stage.sequence };
    stage.wire.clear();
    stage.pass(TERMINATE_ACK_TIMEOUT);
    assert_eq!(stage.answer_to(PHONE, ticket), Some(Err(Refusal::NotAcknowledged)));
    assert_eq!(stage.state(PHONE, phone), Some(ConnectionState::Terminated));
}

/// PS-01: selected, cancelled and none are three answers.
///
/// Presentation defect 33
#[test]
fn a_device_is_chosen_by_the_platform_or_not() {
    let ask = |stage: &mut Stage, id| {
        stage.ask(
            PHONE,
            1,
            Command::Start {
                presentation_id: id,
                urls: urls(&["file:///x", "https://tv.example/"]),
                origin: "demo",
                device: None,
                transport: TransportKind::Tcp,
            },
        )
    };
    let mut stage = Stage::new();
    assert_eq!(ask(&mut stage, "one"), Some(Err(Refusal::NobodyChooses)));
    assert_eq!(stage.ask(PHONE, 2, Command::WatchSelections), Some(Err(Refusal::Denied)));
    assert_eq!(stage.ask(PHONE, 0, Command::WatchSelections), Some(Ok(Done::Done)));
    let mut outcomes = Vec::new();
    for number in 0..4 {
        assert_eq!(ask(&mut stage, ["one", "two", "three", "four"][number]), None);
        let ticket = Ticket { client: client(1), sequence: stage.sequence };
        assert_eq!(ask(&mut stage, "other"), Some(Err(Refusal::AlreadyAsking)));
        let selection = stage.boxes[PHONE].service.selections().next().map(|(it, ..)| it).unwrap().into();
        let _ = match number {
            0 => stage.ask(PHONE, 0, Command::Select { selection, device: "tv" }),
            1 => stage.ask(PHONE, 0, Command::Cancel { selection, because: NoDevice::Cancelled }),
            2 => stage.ask(PHONE, 0, Command::Cancel { selection, because: NoDevice::NotFound }),
            _ => {
                stage.pass(SELECTION_TIMEOUT);
                None
            }
        };
        outcomes.push(stage.answer_to(PHONE, ticket).expect("it is settled"));
    }
    let Ok(Done::Connection(connection)) = outcomes[0] else { panic!("{outcomes:?}") };
    assert!(stage.boxes[PHONE].service.connection(connection).is_none(), "nobody loaded the page, and time has passed");
    assert_eq!(outcomes[1..], [Err(Refusal::Cancelled), Err(Refusal::NoDevice), Err(Refusal::SelectionTimeout)]);
}

/// PS-22
///
/// Presentation defect 30
#[test]
fn availability_is_told_once_for_each_change() {
    let mut stage = Stage::new();
    let watch = Command::WatchAvailability { urls: urls(&["https://a/", "app:netflix"]) };
    assert_eq!(stage.ask(PHONE, 1, watch), Some(Ok(Done::Availability(true))));
    let told = |stage: &mut Stage, input: Input<'_>| {
        stage.boxes[PHONE].told.others.clear();
        stage.give(PHONE, input).unwrap();
        let found = stage.boxes[PHONE].told.others.iter().filter_map(|action| match action {
            Action::TellAvailability { available, .. } => Some(*available),
            _ => None,
        });
        found.collect::<Vec<bool>>()
    };
    let found = |device_id, schemes| Input::DeviceFound { device_id, name: "x", schemes };
    assert_eq!(told(&mut stage, found("second", Schemes::WEB)), []);
    assert_eq!(told(&mut stage, Input::DeviceLost { device_id: "tv" }), []);
    assert_eq!(told(&mut stage, found("second", Schemes::APP)), []);
    assert_eq!(told(&mut stage, found("second", Schemes::default())), [false]);
    assert_eq!(told(&mut stage, found("second", Schemes::WEB)), [true]);
    assert_eq!(told(&mut stage, Input::DeviceLost { device_id: "second" }), [false]);
    assert_eq!(stage.ask(PHONE, 1, Command::UnwatchAvailability), Some(Ok(Done::Done)));
    assert_eq!(told(&mut stage, found("second", Schemes::WEB)), []);
}

/// PS-09, PS-35: what nobody takes up again goes.
#[test]
fn what_is_closed_for_long_is_ended_on_both_boxes() {
    let mut stage = Stage::new();
    let phone = stage.connected();
    stage.ask(PHONE, 1, Command::Close { connection: phone.into(), went_away: false });
    stage.settle();
    stage.pass(CLOSED_KEPT);
    assert_eq!(stage.state(PHONE, phone), Some(ConnectionState::Terminated));
    assert_nothing_left(&mut stage);
}

/// PS-12, PS-36
#[test]
fn only_the_launched_process_is_the_receiver_and_only_once() {
    let mut stage = Stage::new();
    stage.start();
    let wrong = Command::ReceiverReady { token: LaunchToken([0; 16]) };
    assert_eq!(stage.ask(TV, 2, wrong), Some(Err(Refusal::NotReceiver)));
    let token = stage.boxes[TV].processes.values().next().unwrap().1;
    stage.page_is_ready();
    assert_eq!(stage.ask(TV, 2, Command::ReceiverReady { token }), Some(Err(Refusal::NotReceiver)));
    assert_eq!(stage.ask(TV, 2, Command::ListenForConnections), Some(Err(Refusal::NotReceiver)));
}

/// PS-35: a receiver that crashes ends its presentation.
#[test]
fn a_receiver_that_ends_by_itself_ends_the_presentation_for_its_controllers() {
    let mut stage = Stage::new();
    let phone = stage.connected();
    let (presentation, _) = stage.boxes[TV].processes.pop_first().unwrap().1;
    stage.give(TV, Input::ReceiverEnded { presentation }).unwrap();
    stage.settle();
    assert_eq!(stage.state(PHONE, phone), Some(ConnectionState::Terminated));
    assert_nothing_left(&mut stage);
}

/// PS-36
///
/// Presentation defect 16
#[test]
fn a_page_sees_its_own_connections_and_the_platform_all() {
    let mut stage = Stage::new();
    stage.connected();
    assert_eq!(stage.ask(PHONE, 2, Command::List { from: 0 }), Some(Ok(Done::Listed(None))));
    assert_eq!(stage.ask(PHONE, 1, Command::List { from: 0 }), Some(Ok(Done::Listed(Some(0)))));
    assert_eq!(stage.ask(PHONE, 0, Command::List { from: 0 }), Some(Ok(Done::Listed(Some(0)))));
    let answer = stage.boxes[PHONE].service.answer(Done::Listed(Some(0)));
    let crate::message::presentation::Answer::Listed(Some(status)) = answer else { panic!("{answer:?}") };
    assert_eq!((status.presentation_id, status.device_id, status.state), (ID, "tv", ConnectionState::Connected));
    assert_eq!(stage.ask(PHONE, 1, Command::End { presentation_id: ID }), Some(Err(Refusal::Denied)));
    assert_eq!(stage.ask(PHONE, 0, Command::End { presentation_id: ID }), None);
    stage.settle();
    assert_nothing_left(&mut stage);
}

/// All that pages are told from the start of a presentation to its end: states, answers.
fn a_life(is_split: bool, kind: TransportKind) -> [Deeds; 2] {
    let mut stage = Stage::new();
    (stage.is_split, stage.kind) = (is_split, kind);
    let phone = stage.connected();
    let send = |connection: ConnectionHandle| Command::Send { connection: connection.into(), payload: HELLO };
    let tv = stage.available().unwrap();
    stage.ask(PHONE, 1, send(phone));
    stage.ask(TV, 1, send(tv));
    stage.settle();
    stage.ask(PHONE, 1, Command::Close { connection: phone.into(), went_away: true });
    stage.settle();
    stage.ask(PHONE, 1, Command::List { from: 0 });
    stage.ask(PHONE, 0, Command::ListDevices { from: 0 });
    stage.ask(PHONE, 1, Command::Reconnect { presentation_id: ID, urls: urls(&[URL]) });
    stage.settle();
    assert_eq!(stage.state(PHONE, phone), Some(ConnectionState::Connected));
    stage.ask(TV, 1, Command::Terminate { connection: stage.available().unwrap().into() });
    stage.settle();
    assert_eq!(stage.state(PHONE, phone), Some(ConnectionState::Terminated));
    assert_nothing_left(&mut stage);
    stage.boxes.map(|it| it.told)
}

/// PS-21: with the same machine; what builds the transport makes no difference.
#[test]
fn a_page_in_the_process_of_its_service_and_one_in_another_process_live_through_the_same() {
    for kind in [TransportKind::Tcp, TransportKind::DataChannel] {
        let (one, split) = (a_life(false, kind), a_life(true, kind));
        for (one, split) in one.iter().zip(&split) {
            assert!(!one.states.is_empty() && !one.replies.is_empty());
            assert_eq!((&one.states, &one.replies), (&split.states, &split.replies));
            assert_eq!(one.others, split.others, "messages and connections among them");
        }
    }
}

/// PS-20, PS-35, PS-36: only a client that builds the transport says what became of it.
///
/// Presentation defect 16
#[test]
fn nobody_speaks_for_a_transport_that_the_service_has_built() {
    let mut stage = Stage::new();
    let phone = stage.connected();
    let tv = stage.available().unwrap();
    let refused = Some(Err(Refusal::WrongState { state: ConnectionState::Connected }));
    for (which, connection) in [(PHONE, phone), (TV, tv)] {
        for piece in [Piece::Offer("o"), Piece::Answer("a"), Piece::Candidate("c"), Piece::Open, Piece::Closed] {
            assert_eq!(stage.ask(which, 1, Command::Built { connection: connection.into(), piece }), refused);
        }
        assert!(stage.boxes[which].transports.contains_key(&key(connection)));
        assert_eq!(stage.state(which, connection), Some(ConnectionState::Connected));
    }
}

/// PS-31: who ends a page from elsewhere is answered although its owner or receiver goes first.
#[test]
fn who_asked_for_an_end_is_answered_although_the_client_that_had_it_has_gone() {
    for (which, leaves) in [(PHONE, 1), (TV, 1)] {
        let mut stage = Stage::new();
        stage.connected();
        assert_eq!(stage.ask(which, 0, Command::End { presentation_id: ID }), None);
        let ticket = Ticket { client: client(0), sequence: stage.sequence };
        stage.give(which, Input::ClientLeft { client: client(leaves) }).unwrap();
        stage.settle();
        assert_eq!(stage.answer_to(which, ticket), Some(Ok(Done::Done)), "box {which}");
        assert_nothing_left(&mut stage);
    }
}

/// PS-31: who has gone is answered no more.
#[test]
fn who_asked_for_an_end_and_has_gone_is_not_answered() {
    for which in [PHONE, TV] {
        let mut stage = Stage::new();
        stage.connected();
        assert_eq!(stage.ask(which, 0, Command::End { presentation_id: ID }), None);
        let ticket = Ticket { client: client(0), sequence: stage.sequence };
        stage.give(which, Input::ClientLeft { client: client(0) }).unwrap();
        stage.settle();
        assert_eq!(stage.answer_to(which, ticket), None);
        assert_nothing_left(&mut stage);
    }
}
