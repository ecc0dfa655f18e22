//! Stories of a whole box in virtual time.

use std::time::Duration;

use greenroom_core::codec::postcard::encode_first;
use greenroom_core::driver::{Connection, Incoming};
use greenroom_core::hal::{Descriptors, ExitStatus, Peer, Socket};
use greenroom_core::message::control::{Answer, Command, Message, Request};
use greenroom_core::message::{Component, LogLevel, ServerState, TargetState};
use greenroom_hal_mock::sim::{Household, Run, TvBox, What, Wish};

const SOON: Duration = Duration::from_secs(10);

fn active(tv: &mut TvBox, app: &str) {
    let request = tv.initiate(app, TargetState::Active).expect("the controller is connected");
    assert!(tv.run_until(SOON, |tv| tv.state(app) == Some(ServerState::Active)), "{app} is {:?}", tv.state(app));
    assert_eq!(tv.answer(request), Some(Ok(Answer::Done)));
}

fn playing(tv: &mut TvBox, app: &str) -> usize {
    active(tv, app);
    let viewer = tv.open_app(app);
    tv.wish(viewer, Wish::Watching);
    assert!(tv.run_until(SOON, |tv| tv.is_playing(viewer)), "{app} does not play");
    viewer
}

/// SM-01 to SM-09, SM-13, SM-16, SM-22, SM-23
#[test]
fn an_app_is_started_and_plays() {
    let mut tv = TvBox::new(1);
    let viewer = playing(&mut tv, "app0");
    tv.run_for(Duration::from_secs(60));
    assert!(tv.is_playing(viewer));
    assert_eq!(tv.violations(), []);
}

/// SM-36
#[test]
fn a_session_server_that_crashes_is_replaced_and_its_app_plays_again() {
    let mut tv = TvBox::new(1);
    let viewer = playing(&mut tv, "app0");
    assert!(tv.end_server("app0", ExitStatus::Killed(11)));
    assert!(tv.run_until(SOON, |tv| !tv.is_playing(viewer)));
    assert!(tv.run_until(SOON, |tv| tv.is_playing(viewer)));
    assert_eq!(tv.live_servers(), 1);
    assert_eq!(tv.violations(), []);
}

/// SM-19, SM-20, SM-34
#[test]
fn an_app_that_ends_leaves_nothing() {
    let mut tv = TvBox::new(1);
    playing(&mut tv, "app0");
    tv.change("app0", TargetState::NotRunning);
    assert!(tv.run_until(SOON, |tv| tv.state("app0") == Some(ServerState::NotRunning)));
    assert_eq!(tv.live_servers(), 0);
    assert_eq!(tv.violations(), []);
}

/// SM-34, SM-38, Field failure B: whatever its servers are at, whether it has heard of them or not.
#[test]
fn the_servers_of_a_killed_manager_end_and_the_next_one_starts_their_apps_again() {
    for killed_after_ms in (0..60).chain([500, 5000]) {
        let mut tv = TvBox::new(1);
        let viewer = tv.open_app("app0");
        tv.wish(viewer, Wish::Watching);
        tv.initiate("app0", TargetState::Active);
        tv.run_for(Duration::from_millis(killed_after_ms));
        tv.kill_manager(Duration::from_millis(100));
        tv.run_for(Duration::from_secs(3));
        assert_eq!((tv.live_servers(), tv.state("app0")), (0, None), "killed after {killed_after_ms} ms");
        assert!(!tv.is_playing(viewer));
        tv.reconnect(0);
        active(&mut tv, "app0");
        assert!(tv.run_until(SOON, |tv| tv.is_playing(viewer)), "killed after {killed_after_ms} ms");
        assert_eq!(tv.live_servers(), 1);
        assert_eq!(tv.violations(), []);
    }
}

/// A message that is cut in its number is of no number: what was in the buffer behind it was not said by anybody.
#[test]
fn a_request_that_is_cut_within_its_number_is_not_answered_by_another_number() {
    let mut tv = TvBox::new(1);
    let operator = Peer::new(9, 0, 0);
    let mut socket = tv.world().connect("/run/greenroom/control.sock", operator).unwrap();
    let mut buffer = [0; 64];
    let hello = Request { sequence: 1, command: Command::Hello };
    socket.send(encode_first(&hello, &mut buffer).unwrap(), &[]).unwrap();
    socket.send(&[0xb6], &[]).unwrap();
    tv.run_for(SOON);
    let mut connection: Connection<_> = Connection::asking(socket);
    let mut heard = || match connection.receive::<Message>(&mut [0; 256], &mut Descriptors::new()) {
        Ok(Incoming::Message { message: Message::Reply { sequence, .. }, .. }) => Some(sequence),
        _ => None,
    };
    assert_eq!((heard(), heard()), (Some(1), None));
}

/// Whoever was kept from running, as all were, blames nobody for an answer that could not come.
#[test]
fn a_box_that_was_suspended_in_the_middle_of_a_request_goes_on_with_it() {
    for suspended_after_ms in 0..40 {
        let mut tv = TvBox::new(1);
        let viewer = playing(&mut tv, "app0");
        tv.ask(Command::SetLogLevel { component: Component::Default, level: LogLevel::Debug });
        tv.initiate("app1", TargetState::Active);
        tv.run_for(Duration::from_millis(suspended_after_ms));
        tv.world().advance(Duration::from_secs(3600));
        assert!(tv.run_until(SOON, |tv| tv.state("app1") == Some(ServerState::Active)));
        assert!(tv.run_until(SOON, |tv| tv.is_playing(viewer)));
        assert_eq!(tv.state("app0"), Some(ServerState::Active));
        assert_eq!(tv.live_servers(), 2);
        assert_eq!(tv.violations(), []);
    }
}

#[test]
fn the_same_seed_gives_the_same_log_and_another_one_another() {
    let run = |seed| {
        let mut tv = TvBox::new(seed);
        playing(&mut tv, "app0");
        tv.run_for(SOON);
        tv.log_hash()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

/// SM-30 to SM-40
#[test]
fn an_hour_under_faults_violates_nothing_and_is_the_same_hour_again() {
    let run = Run { storm: Duration::from_secs(600), ..Run::hour(7) };
    let (one, other) = (run.run(), run.run());
    assert_eq!(one.violations, []);
    assert!(one.inputs > 3_000 && one.faults.iter().sum::<u64>() > 20);
    assert_eq!(one.log_hash, other.log_hash);
}

/// A harness that sees nothing is of no use: here is what it must see.
#[test]
fn the_referee_sees_a_session_server_that_is_ended_under_a_bystander() {
    let mut household = Household::up(3);
    assert!(household.harm_bystander());
    household.run_for(Duration::from_secs(30));
    let rules: Vec<&str> = household.violations().iter().map(|violation| violation.rule).collect();
    assert!(rules.contains(&"SM-35, SM-36 bystander"), "{rules:?}");
}

#[test]
fn every_message_is_seen_with_its_time_and_those_who_exchange_it() {
    let mut tv = TvBox::new(1);
    tv.keep_events();
    playing(&mut tv, "app0");
    let events = tv.take_events();
    let story: Vec<String> = events.iter().map(ToString::to_string).collect();
    let said = |part: &str| story.iter().any(|line| line.contains(part));
    assert!(said("controller 0 -> manager: Request { sequence: 3, command: Initiate"), "{story:#?}");
    assert!(said("manager -> server 2: Request { sequence: 1, command: SetConfiguration"), "{story:#?}");
    assert!(said("app0/0 -> server 2: Request { sequence: 65536, command: Hello }"), "{story:#?}");
    assert!(events.iter().any(|event| matches!(event.what, What::Frames { .. })));
}
