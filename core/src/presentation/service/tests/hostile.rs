//! A device that is up to no good, and one that is only broken (PS-32, PS-34).

use super::*;
use crate::limits::{CHANNEL_CLOSE_TIMEOUT, CHANNEL_UNUSED_TIMEOUT};

/// A channel on which a device of this address and name has said hello to the TV.
pub(super) fn stranger(stage: &mut Stage, address: u8, name: &str) -> ChannelHandle {
    stage.give(TV, Input::Accepted { number: 99, origin: origin(address) }).unwrap();
    let channel = stage.boxes[TV].told.others.iter().rev().find_map(|action| match action {
        Action::Admit { number: 99, channel } => Some(*channel),
        _ => None,
    });
    let channel = channel.unwrap();
    stage.give(TV, Input::ChannelOpened { channel }).unwrap();
    // Where it answers to does not matter, so what it is told is caught on the way.
    stage.boxes[TV].peers.insert(key(channel), (PHONE, ChannelHandle::from_parts(99, 99)));
    heard(stage, channel, Message::Connect { device_id: name, extension: 0 });
    channel
}

/// What the TV says to this.
pub(super) fn heard(stage: &mut Stage, channel: ChannelHandle, message: Message<&str>) -> Vec<String> {
    heard_with(stage, channel, message, true)
}

fn heard_with(stage: &mut Stage, channel: ChannelHandle, message: Message<&str>, is_allowed: bool) -> Vec<String> {
    let offered = matches!(message, Message::Offer(_)).then_some((0, 0));
    let _ = stage.give_with(TV, Input::Received { channel, message, is_allowed }, offered);
    let lines = stage.wire.iter().filter_map(said).collect();
    stage.wire.retain(|wire| !matches!(wire, Wire::Line(_, it, _) | Wire::Closed(_, it) if key(*it) == (99, 99)));
    lines
}

fn disconnect(reason: Reason) -> Vec<String> {
    Vec::from([std::format!(r#"{{"type":"disconnect","reason":{}}}"#, reason.0)])
}

/// PS-34
///
/// Presentation defect 14
#[test]
fn a_device_that_did_not_start_a_presentation_can_do_nothing_to_it() {
    let mut stage = Stage::new();
    let phone = stage.connected();
    // Another address, or another name: each alone gives it away.
    for (address, name) in [(9, "phone"), (1, "other"), (9, "other")] {
        for message in [
            Message::Launch { presentation_id: ID, url: URL },
            Message::Reconnect { presentation_id: ID, url: URL },
            Message::Terminate { presentation_id: ID },
        ] {
            let channel = stranger(&mut stage, address, name);
            assert_eq!(heard(&mut stage, channel, message), disconnect(Reason::NOT_ALLOWED));
            stage.give(TV, Input::ChannelClosed { channel }).unwrap();
        }
    }
    assert_eq!(stage.state(PHONE, phone), Some(ConnectionState::Connected));
    assert_eq!(stage.boxes[TV].service.in_use(), (1, 1, 1));
}

/// The state of a page on the phone after a device of this name has ended it on a channel of its own.
fn after_an_end_by(mut stage: Stage, name: &str, is_known: bool) -> Option<ConnectionState> {
    let phone = stage.connected();
    stage.give(PHONE, Input::Accepted { number: 99, origin: origin(7) }).unwrap();
    let admitted = stage.boxes[PHONE].told.others.iter().rev().find_map(|action| match action {
        Action::Admit { channel, .. } => Some(*channel),
        _ => None,
    });
    let channel = admitted.unwrap();
    stage.give(PHONE, Input::ChannelOpened { channel }).unwrap();
    for message in [Message::Connect { device_id: name, extension: 0 }, Message::Terminate { presentation_id: ID }] {
        stage.give(PHONE, Input::Received { channel, message, is_allowed: is_known }).unwrap();
    }
    stage.state(PHONE, phone)
}

/// PS-10, PS-34: a device that shows our page may end it on a channel of its own, if it is that device.
///
/// Presentation defect 4
#[test]
fn the_showing_device_may_terminate_on_a_channel_that_it_opened_and_nobody_else() {
    for (name, is_known, ends) in [("tv", true, true), ("tv", false, false), ("other", true, false)] {
        let state = if ends { ConnectionState::Terminated } else { ConnectionState::Connected };
        assert_eq!(after_an_end_by(Stage::new(), name, is_known), Some(state), "{name} {is_known}");
    }
}

/// Mozilla's devices call themselves by their hosts' names on a channel, and are found under names for people.
///
/// PS-10, PS-34
#[test]
fn a_showing_device_of_another_make_terminates_under_whatever_name_from_where_it_was_found() {
    for (is_known, state) in [(true, ConnectionState::Terminated), (false, ConnectionState::Connected)] {
        let mut stage = Stage::new();
        stage.are_kin = false;
        assert_eq!(stage.boxes[PHONE].service.shower_of(ID), None);
        assert_eq!(after_an_end_by(stage, "TV-7.local", is_known), Some(state), "{is_known}");
    }
    let mut stage = Stage::new();
    stage.connected();
    assert_eq!(stage.boxes[PHONE].service.shower_of(ID), Some(("tv", true)));
    let mut strangers = Stage::new();
    strangers.are_kin = false;
    strangers.connected();
    assert_eq!(strangers.boxes[PHONE].service.shower_of(ID), Some(("tv", false)));
}

/// PS-34: a proven certificate counts, and then the address does not.
///
/// Presentation defect 13
#[test]
fn who_proves_who_it_is_may_come_from_another_address() {
    let proven = |address, certificate| Origin { certificate: Some([certificate; 32]), ..origin(address) };
    assert!(proven(1, 7).is_same(&proven(2, 7)));
    assert!(!proven(1, 7).is_same(&proven(1, 8)));
    assert!(!proven(1, 7).is_same(&origin(1)));
    assert!(!origin(1).is_same(&proven(1, 7)));
}

/// PS-11, PS-32: a refusal has no acknowledgement, and says why.
///
/// Presentation defects 5, 11
#[test]
fn a_launch_that_is_not_granted_is_refused_with_its_reason_and_not_acknowledged() {
    let refused = [
        ("file:///etc/passwd", true, Reason::NOT_ALLOWED),
        ("javascript:alert(1)", true, Reason::NOT_ALLOWED),
        (URL, false, Reason::NOT_ALLOWED),
    ];
    for (url, is_allowed, reason) in refused {
        let mut stage = Stage::new();
        let channel = stranger(&mut stage, 5, "someone");
        let launch = Message::Launch { presentation_id: "p", url };
        assert_eq!(heard_with(&mut stage, channel, launch, is_allowed), disconnect(reason), "{url}");
        assert!(stage.boxes[TV].processes.is_empty());
    }
    let mut stage = Stage::new();
    let channel = stranger(&mut stage, 5, "someone");
    let unknown = Message::Reconnect { presentation_id: "p", url: URL };
    assert_eq!(heard(&mut stage, channel, unknown), disconnect(Reason::NOT_FOUND));
}

/// PS-32
#[test]
fn the_same_launch_twice_is_one_launch() {
    let mut stage = Stage::new();
    let channel = stranger(&mut stage, 5, "someone");
    let launch = || Message::Launch { presentation_id: "p", url: URL };
    assert_eq!(heard(&mut stage, channel, launch()), [r#"{"type":"launch-ack","presentationId":"p"}"#]);
    assert_eq!(heard(&mut stage, channel, launch()), Vec::<String>::new());
    assert_eq!(stage.boxes[TV].service.in_use(), (1, 1, 1));
    let second = Message::Launch { presentation_id: "q", url: URL };
    assert_eq!(heard(&mut stage, channel, second), disconnect(Reason::OPERATION));
}

/// PS-09: another page under the same name is another presentation.
///
/// Presentation defect 18
#[test]
fn who_reconnects_with_another_url_is_told_that_there_is_no_such_presentation() {
    let mut stage = Stage::new();
    stage.connected();
    let channel = stranger(&mut stage, 1, "phone");
    let other = Message::Reconnect { presentation_id: ID, url: "http://other/" };
    assert_eq!(heard(&mut stage, channel, other), disconnect(Reason::NOT_FOUND));
}

/// PS-30: a full box says so, and what it plays goes on.
///
/// Presentation defect 22
#[test]
fn a_box_without_a_place_refuses_and_frees_what_it_took() {
    let mut stage = Stage::new();
    let mut channels = Vec::new();
    while stage.boxes[TV].service.channels.in_use() < stage.boxes[TV].service.channels.capacity() {
        channels.push(stranger(&mut stage, 5, "someone"));
    }
    assert_eq!(stage.give(TV, Input::Accepted { number: 1, origin: origin(5) }), Err(NotTaken::Full));
    let mut answers = Vec::new();
    for (number, channel) in channels.into_iter().enumerate() {
        let id = std::format!("p{number}");
        answers.extend(heard(&mut stage, channel, Message::Launch { presentation_id: &id, url: URL }));
    }
    let acknowledged = answers.iter().filter(|line| line.contains("launch-ack")).count();
    assert_eq!(acknowledged, 4, "as many presentations as there can be");
    assert!(
        answers
            .iter()
            .filter(|line| !line.contains("launch-ack"))
            .all(|line| *line == disconnect(Reason::OPERATION)[0])
    );
}

/// PS-32: whatever comes in whatever order, a session beside it plays on.
#[test]
fn a_flood_of_out_of_place_messages_does_not_reach_another_session() {
    let mut stage = Stage::new();
    let phone = stage.connected();
    let mut seed = 3_u64;
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize
    };
    let address: &[&str] = &["10.0.0.1"];
    let tcp = || Description::Tcp { addresses: address.iter().copied().collect(), port: 9, framed: None };
    for _ in 0..2_000 {
        let channel = stranger(&mut stage, 9, "attacker");
        for _ in 0..random() % 6 {
            let id = [ID, "p", ""][random() % 3];
            let message = match random() % 12 {
                0 => Message::Connect { device_id: "phone", extension: 1 },
                1 => Message::ConnectAck { extension: 1 },
                2 => Message::Launch { presentation_id: id, url: URL },
                3 => Message::LaunchAck { presentation_id: id },
                4 => Message::Terminate { presentation_id: id },
                5 => Message::TerminateAck { presentation_id: id },
                6 => Message::Reconnect { presentation_id: id, url: URL },
                7 => Message::ReconnectAck { presentation_id: id },
                8 => Message::Offer(tcp()),
                9 => Message::Answer(tcp()),
                10 => Message::IceCandidate { candidate: "x" },
                _ => Message::Ping,
            };
            heard(&mut stage, channel, message);
        }
        let _ = stage.give(TV, Input::Garbage { channel, garbage: Garbage::TooLong });
        let _ = stage.give(TV, Input::ChannelClosed { channel });
        stage.follow_up();
        stage.wire.clear();
    }
    assert_eq!(stage.state(PHONE, phone), Some(ConnectionState::Connected));
    let tv = stage.available().unwrap();
    assert_eq!(stage.state(TV, tv), Some(ConnectionState::Connected));
    let sent = stage.ask(PHONE, 1, Command::Send { connection: phone.into(), payload: HELLO });
    assert_eq!(sent, Some(Ok(Done::Done)));
}

/// PS-35: it is not kept for something that is over.
#[test]
fn a_channel_on_which_a_presentation_was_ended_does_not_stay() {
    let mut stage = Stage::new();
    stage.are_kin = false;
    stage.connected();
    let channel = stranger(&mut stage, 1, "phone");
    assert_eq!(heard(&mut stage, channel, Message::Terminate { presentation_id: ID }).len(), 1);
    stage.settle();
    stage.pass(CHANNEL_UNUSED_TIMEOUT);
    stage.pass(CHANNEL_CLOSE_TIMEOUT);
    assert_eq!(stage.boxes[TV].service.in_use(), (0, 0, 0));
}
