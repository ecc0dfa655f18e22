//! Stories of a whole box in virtual time.

use std::time::Duration;

use greenroom_core::hal::ExitStatus;
use greenroom_core::message::control::Answer;
use greenroom_core::message::{ServerState, TargetState};
use greenroom_hal_mock::sim::{TvBox, What, Wish};

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
