//! A page of one device on the screen of another: two real services, TLS and mDNS between them, and the receiver that
//! plays.

use greenroom_core::message::papi::Reason;
use greenroom_core::message::presentation::{CloseReason, Command, ConnectionState};
use greenroom_tests::deadline::until;
use greenroom_tests::neighbour::{Neighbour, Setup};
use greenroom_tests::tv_box::TvBox;
use greenroom_tests::{clip, observe};
use rustix::process::Signal;

const FILM: &str = "https://tv.example/film.mp4";

/// A phone that sees a TV, which plays what lies in its media directory.
struct TwoBoxes {
    phone: Neighbour,
    tv: Neighbour,
    tv_box: TvBox,
}

impl TwoBoxes {
    fn start() -> Self {
        let tv_box = TvBox::start();
        let tv = Setup::new("tv").control(&tv_box.control());
        clip::mp4(tv.place(), "film.mp4", 30);
        let media = tv.place().to_owned();
        let (phone, tv) = in_sight(tv.plays("https://tv.example/*", "tv", &media));
        Self { phone, tv, tv_box }
    }

    /// The receiver ends in order.
    fn expect_orderly_end(&self) {
        let ends = until("the receiver has ended", || {
            let log = self.tv.log();
            let ends: Vec<String> =
                log.lines().filter(|line| line.contains(" has ended: ")).map(String::from).collect();
            (self.tv.receivers().is_empty() && !ends.is_empty()).then_some(ends)
        });
        assert!(ends.iter().all(|end| end.ends_with("Exited(0)")), "{ends:?}");
        self.expect_empty_stage();
    }

    /// Nothing of what was shown is there any more.
    fn expect_empty_stage(&self) {
        until("the app's session server has ended", || self.tv_box.session_servers().is_empty().then_some(()));
        assert_eq!(self.tv_box.watch().list().0, []);
        assert_eq!(self.tv_box.socket_files(), ["control.sock"]);
    }
}

/// A phone that sees this device.
fn in_sight(tv: Setup) -> (Neighbour, Neighbour) {
    let (phone, tv) = (Setup::new("phone").start(), tv.start());
    let mut page = phone.page();
    until("the phone sees the TV", || page.sees(tv.name()).then_some(()));
    (phone, tv)
}

fn has_ended(process: u32) -> bool {
    !observe::exists(process) || observe::is_zombie(process)
}

/// PS-01, PS-09, PS-11, PS-12, PS-17, PS-18: the page is a file that plays in an app of the TV; who comes back finds it.
#[test]
fn a_page_plays_obeys_is_left_and_found_again() {
    let boxes = TwoBoxes::start();
    let mut page = boxes.phone.page();
    let (connection, presentation) = page.start(FILM, boxes.tv.name());
    page.wait_for(connection, ConnectionState::Connected);
    let greeting = page.hear(connection);
    assert_eq!(greeting["file"], "film.mp4");
    page.hear_until(connection, |said| said["state"] == "playing");
    page.say(connection, "pause");
    page.hear_until(connection, |said| said["order"] == "pause");
    page.hear_until(connection, |said| said["state"] == "paused");
    page.say(connection, "dance");
    assert!(page.hear(connection)["error"].as_str().unwrap().contains("where"));
    page.ask(Command::Close { connection, went_away: false }).unwrap();
    assert_eq!(boxes.tv.receivers().len(), 1, "the presentation goes on");

    let mut page = boxes.phone.page();
    let connection = page.reconnect(&presentation, FILM);
    page.wait_for(connection, ConnectionState::Connected);
    assert_eq!(page.hear(connection)["state"], "paused");
    page.say(connection, "play");
    page.hear_until(connection, |said| said["state"] == "playing");
    until("it goes on", || {
        page.say(connection, "where");
        let told = page.hear_until(connection, |said| said["order"] == "where");
        (told["position_ms"].as_u64() > Some(0)).then_some(())
    });
}

/// PS-10, PS-35: from the TV.
#[test]
fn a_page_that_is_told_to_stop_ends_with_all_that_is_its_own() {
    let boxes = TwoBoxes::start();
    let mut page = boxes.phone.page();
    let (connection, _) = page.start(FILM, boxes.tv.name());
    page.wait_for(connection, ConnectionState::Connected);
    page.say(connection, "stop");
    page.wait_for(connection, ConnectionState::Terminated);
    boxes.expect_orderly_end();
}

/// PS-10, PS-35: from the phone, and then once more.
#[test]
fn a_page_that_is_terminated_ends_with_all_that_is_its_own_and_can_be_started_again() {
    let boxes = TwoBoxes::start();
    let mut page = boxes.phone.page();
    for _ in 0..2 {
        let (connection, _) = page.start(FILM, boxes.tv.name());
        page.wait_for(connection, ConnectionState::Connected);
        page.ask(Command::Terminate { connection }).unwrap();
        page.wait_for(connection, ConnectionState::Terminated);
    }
    boxes.expect_orderly_end();
}

/// PS-11, PS-36: what is not there, what lies elsewhere and what nobody allows is refused in time, and leaves nothing.
#[test]
fn a_page_that_may_not_or_cannot_be_shown_is_refused() {
    let boxes = TwoBoxes::start();
    let mut page = boxes.phone.page();
    for (url, reason) in [
        ("https://elsewhere.example/film.mp4", Reason::NOT_ALLOWED),
        ("https://tv.example/other.mp4", Reason::OPERATION),
        ("https://tv.example/..%2fpresentation.toml", Reason::OPERATION),
        ("https://tv.example/%2e%2e", Reason::OPERATION),
    ] {
        let (connection, _) = page.start(url, boxes.tv.name());
        let told = page.wait_for(connection, ConnectionState::Closed);
        assert_eq!(told, Some(CloseReason::Error(reason)), "{url}");
    }
    until("the receivers have ended", || boxes.tv.receivers().is_empty().then_some(()));
    boxes.expect_empty_stage();
    assert!(boxes.tv.log().contains("names no file"), "{}", boxes.tv.log());
}

/// PS-13: named so that it begins first, as it takes as long as a page may load.
#[test]
fn a_receiver_that_never_says_that_it_is_ready_is_ended() {
    let (phone, tv) = in_sight(Setup::new("tv").page("app:*", &["/bin/sleep", "1000"]));
    let mut page = phone.page();
    let (connection, _) = page.start("app:silent", tv.name());
    let receiver = until("the receiver is there", || tv.receivers().first().copied());
    let reason = page.wait_for(connection, ConnectionState::Closed);
    assert!(matches!(reason, Some(CloseReason::Error(_))), "{reason:?}");
    until("the receiver has ended", || has_ended(receiver).then_some(()));
}

/// PS-35: a service that is killed.
#[test]
fn who_is_left_when_a_service_is_killed_is_told_and_leaves_nothing() {
    let boxes = TwoBoxes::start();
    let mut page = boxes.phone.page();
    let (connection, _) = page.start(FILM, boxes.tv.name());
    page.wait_for(connection, ConnectionState::Connected);
    let receivers = boxes.tv.receivers();
    boxes.tv.signal(Signal::KILL);
    page.wait_for(connection, ConnectionState::Closed);
    for receiver in receivers {
        until("the receiver has ended", || has_ended(receiver).then_some(()));
    }
    boxes.expect_empty_stage();
}

/// PS-17: the TV is told that the phone has gone, and plays on.
#[test]
fn a_phone_that_dies_leaves_a_page_that_plays_on() {
    let boxes = TwoBoxes::start();
    let mut page = boxes.phone.page();
    let (connection, presentation) = page.start(FILM, boxes.tv.name());
    page.wait_for(connection, ConnectionState::Connected);
    boxes.phone.signal(Signal::KILL);
    until("the TV knows that nobody is connected", || {
        let listed = String::from_utf8(boxes.tv.ctl(&["list"]).stdout).unwrap();
        (!listed.contains(&presentation)).then_some(())
    });
    assert_eq!(boxes.tv.receivers().len(), 1);
    assert!(boxes.tv.ctl(&["terminate", &presentation]).status.success());
    boxes.expect_orderly_end();
}
