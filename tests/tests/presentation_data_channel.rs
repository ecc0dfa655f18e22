//! Messages past the services: two real services, and data channels between the processes of the pages.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command as Process, Stdio};

use greenroom_core::message::presentation::{
    CloseReason, Command, ConnectionId, ConnectionState, Payload, Traffic, TransportKind,
};
use greenroom_tests::deadline::until;
use greenroom_tests::neighbour::{Neighbour, Page, Setup};
use greenroom_tests::{observe, programs};
use rustix::process::{Pid, Signal, kill_process};

const PAGE: &str = "app:answer";

/// A phone that sees a TV, whose pages answer; and the page that has seen it, which stays, so that its service has as many
/// descriptors open for it in the end as in the beginning.
fn boxes(with: &[&str]) -> (Neighbour, Neighbour, Page) {
    boxes_that_show("answering-page", with)
}

fn boxes_that_show(program: &str, with: &[&str]) -> (Neighbour, Neighbour, Page) {
    let program = programs::path(program).to_string_lossy().into_owned();
    let command: Vec<&str> = [program.as_str()].iter().chain(with).copied().collect();
    let (phone, tv) = (Setup::new("phone").start(), Setup::new("tv").page("app:*", &command).start());
    let mut page = phone.page();
    until("the phone sees the TV", || page.sees(tv.name()).then_some(()));
    (phone, tv, page)
}

/// A page on the TV, connected to this one by a data channel.
fn connected(phone: &Neighbour, tv: &Neighbour) -> (Page, ConnectionId, String) {
    let mut page = phone.page();
    let (connection, presentation) = page.start_over(TransportKind::DataChannel, PAGE, tv.name());
    page.wait_for(connection, ConnectionState::Connected);
    assert!(page.has_data_channel(connection));
    wait_for_both(tv);
    (page, connection, presentation)
}

/// Each side is connected when its own end is open; a page that never was ends with its connection.
fn wait_for_both(tv: &Neighbour) {
    until("the TV's page is connected, too", || tv.log().contains("connection is connected").then_some(()));
}

fn traffic(boxes: [&Neighbour; 2]) -> [Traffic; 2] {
    boxes.map(|it| it.page().traffic())
}

/// Everything that was sent comes back, in its order.
fn talk(page: &mut Page, connection: ConnectionId) {
    let bytes: Vec<u8> = (0..=255).cycle().take(256 * 1024).collect();
    for number in 0..100 {
        page.send(connection, Payload::Text(&number.to_string()));
    }
    for number in 0..100 {
        assert_eq!(page.receive(connection), Ok(format!("heard: {number}")));
    }
    for round in 0..20_usize {
        let long = "x".repeat(round * 3000);
        page.send(connection, Payload::Text(&format!("{round} {long}")));
        page.send(connection, Payload::Binary(&bytes[..bytes.len() * (round + 1) / 20]));
        assert_eq!(page.receive(connection), Ok(format!("heard: {round} {long}")));
        assert!(page.receive(connection) == Err(bytes[..bytes.len() * (round + 1) / 20].to_vec()), "round {round}");
    }
}

/// PS-06, PS-07, PS-15, PS-16, PS-18 to PS-20: text and binary, both ways, in order, and past both services.
#[test]
fn pages_talk_past_their_services() {
    let (phone, tv, _watcher) = boxes(&["--data-channel"]);
    let (mut page, connection, _) = connected(&phone, &tv);
    let before = traffic([&phone, &tv]);
    talk(&mut page, connection);
    assert_eq!(traffic([&phone, &tv]), before);
    assert_eq!(before, [Traffic::default(); 2]);
    page.ask(Command::Terminate { connection }).unwrap();
    page.wait_for(connection, ConnectionState::Terminated);
    until("the receiver has ended", || tv.receivers().is_empty().then_some(()));
}

/// PS-21: who builds no data channel is talked to as before, and the services count it.
#[test]
fn a_page_that_builds_no_data_channel_is_talked_to_by_tcp() {
    let (phone, tv, _watcher) = boxes(&[]);
    let mut page = phone.page();
    let (connection, _) = page.start_over(TransportKind::DataChannel, PAGE, tv.name());
    page.wait_for(connection, ConnectionState::Connected);
    assert!(!page.has_data_channel(connection));
    page.say(connection, "hello");
    assert_eq!(page.receive(connection), Ok("heard: hello".to_owned()));
    let [of_phone, of_tv] = traffic([&phone, &tv]);
    let counted = |sent: &Traffic, received: &Traffic| (sent.sent_bytes, received.received_bytes);
    assert_eq!((counted(&of_phone, &of_tv), counted(&of_tv, &of_phone)), ((5, 5), (12, 12)));
}

/// PS-09: closed from either side and taken up again, by a data channel each time; what was said before arrives.
#[test]
fn a_data_channel_is_closed_and_built_again() {
    let (phone, tv, _watcher) = boxes(&["--data-channel"]);
    let (mut page, connection, presentation) = connected(&phone, &tv);
    page.say(connection, "last words");
    page.ask(Command::Close { connection, went_away: false }).unwrap();
    assert_eq!(page.wait_for(connection, ConnectionState::Closed), Some(CloseReason::Closed));
    until("the other page knows", || tv.log().contains("is closed: Some(Closed)").then_some(()));
    let again = page.reconnect(&presentation, PAGE);
    page.wait_for(again, ConnectionState::Connected);
    assert!(page.has_data_channel(again));
    page.say(again, "leave");
    assert_eq!(page.wait_for(again, ConnectionState::Closed), Some(CloseReason::Closed));
    assert_eq!(traffic([&phone, &tv]), [Traffic::default(); 2]);
}

/// PS-30, PS-35: the process of the phone's page is killed, or says that it goes away; the TV's page learns it at once.
#[test]
fn a_page_that_goes_away_is_missed_at_once() {
    let (phone, tv, _watcher) = boxes(&["--data-channel"]);
    let (mut page, connection, _) = connected(&phone, &tv);
    page.ask(Command::Close { connection, went_away: true }).unwrap();
    until("the other page knows", || tv.log().contains(WENT_AWAY).then_some(()));

    let (phone, tv, _watcher) = boxes(&["--data-channel"]);
    let quiet = descriptors(&[&phone, &tv]);
    let (mut process, presentation) = page_process(&phone, &tv);
    process.kill().unwrap();
    process.wait().unwrap();
    until("the other page knows", || tv.log().contains(WENT_AWAY).then_some(()));
    assert!(tv.ctl(&["terminate", &presentation]).status.success());
    until("nothing is left of it", || (descriptors(&[&phone, &tv]) == quiet).then_some(()));
}

/// PS-10, PS-35: the TV's page is killed, and with it its presentation ends.
#[test]
fn a_shown_page_that_is_killed_ends_its_presentation() {
    let (phone, tv, _watcher) = boxes(&["--data-channel"]);
    let quiet = descriptors(&[&phone, &tv]);
    let (mut page, connection, _) = connected(&phone, &tv);
    for receiver in tv.receivers() {
        kill_process(Pid::from_raw(receiver.cast_signed()).unwrap(), Signal::KILL).unwrap();
    }
    page.wait_for(connection, ConnectionState::Terminated);
    drop(page);
    until("nothing is left of it", || (descriptors(&[&phone, &tv]) == quiet).then_some(()));
}

/// How far a page of this process's kind is with its data channel when it dies.
const PHASES: [&str; 5] = ["asked", "described", "opening", "open", "talking"];

/// PS-30, PS-35: in whatever phase the phone's page dies, the page that it has reached on the TV learns that it went away, and
/// one that was only loaded for it goes.
#[test]
fn the_death_of_a_page_that_controls_leaves_nothing_in_any_phase() {
    let (phone, tv, _watcher) = boxes(&["--data-channel"]);
    let quiet = descriptors(&[&phone, &tv]);
    for phase in PHASES {
        let heard_before = tv.log().matches(WENT_AWAY).count();
        let mut dying = Process::new(programs::path("dying-page"));
        let dying = dying.args([phase, PAGE, tv.name()]).env("GREENROOM_PRESENTATION", phone.socket());
        let died = dying.output().unwrap();
        assert_eq!(died.status.signal(), Some(Signal::KILL.as_raw()), "{phase}");
        until("the TV's page has heard it, or has gone", || {
            let hears = tv.log().matches(WENT_AWAY).count() > heard_before;
            (hears || tv.receivers().is_empty()).then_some(())
        });
        if phase == "talking" {
            assert!(tv.log().matches(WENT_AWAY).count() > heard_before, "it was connected, and hears why it is not");
        }
        // One that has gone meanwhile is not known any more.
        tv.ctl(&["terminate", String::from_utf8_lossy(&died.stdout).trim()]);
        until("the TV shows nothing", || tv.receivers().is_empty().then_some(()));
        until("nothing is left of it", || (descriptors(&[&phone, &tv]) == quiet).then_some(()));
    }
}

const WENT_AWAY: &str = "is closed: Some(WentAway)";

/// PS-10, PS-30, PS-35: in whatever phase the TV's page dies, its presentation ends with it, and the phone's page is told.
#[test]
fn the_death_of_a_page_that_is_shown_leaves_nothing_in_any_phase() {
    for phase in PHASES {
        let (phone, tv, mut page) = boxes_that_show("dying-page", &[phase]);
        let quiet = descriptors(&[&phone, &tv]);
        let (connection, _) = page.start_over(TransportKind::DataChannel, PAGE, tv.name());
        until("the phone's page is told", || match page.next_state(connection) {
            ConnectionState::Terminated => Some(()),
            ConnectionState::Connecting => None,
            ConnectionState::Connected => {
                // It may have died already.
                let _ = page.ask(Command::Send { connection, payload: Payload::Text("hello") });
                None
            }
            ConnectionState::Closed => panic!("{phase}: nobody can come back to it"),
        });
        until("nothing is left of it", || (descriptors(&[&phone, &tv]) == quiet).then_some(()));
        for neighbour in [&phone, &tv] {
            assert!(neighbour.ctl(&["list"]).stdout.is_empty(), "{phase}");
        }
    }
}

/// `greenroomctl present start --data-channel --stay`, connected; and what its presentation is called.
fn page_process(phone: &Neighbour, tv: &Neighbour) -> (Child, String) {
    let mut command = phone.ctl_command(&["start", PAGE, "--device", tv.name(), "--data-channel", "--stay"]);
    let mut process = command.stdout(Stdio::piped()).spawn().expect("greenroomctl starts");
    let mut presentation = String::new();
    BufReader::new(process.stdout.take().expect("a pipe")).read_line(&mut presentation).expect("it says its name");
    wait_for_both(tv);
    (process, presentation.trim().to_owned())
}

/// How many descriptors each service has open.
fn descriptors(boxes: &[&Neighbour]) -> Vec<usize> {
    boxes.iter().map(|it| observe::descriptors(it.process_id()).len()).collect()
}
