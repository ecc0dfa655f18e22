//! The process of a page is killed: no session, socket or proxy of it stays, and the other side is told.

use greenroom_tests::chromium::{self, Chromium, kill_pages_of};
use greenroom_tests::observe;
use serde_json::json;

use super::stage::{PROGRAM, Stage, WAITING_PROGRAM};
use super::{turn, until};

/// PS-09, PS-35
#[test]
fn a_page_that_is_killed_while_it_controls_has_gone_away_and_its_presentation_goes_on() {
    if !chromium::is_there() {
        return;
    }
    let _turn = turn();
    let mut stage = Stage::start();
    let id = stage.start_presentation();
    stage.browser.kill_pages();
    let closed = |list: &[u8]| String::from_utf8_lossy(list).contains(&format!("{id} closed"));
    until("the service knows that the page has gone", || closed(&stage.phone.ctl(&["list"]).stdout).then_some(()));
    stage.browser = Chromium::start();
    stage.open_controller();
    stage.press("reconnect", &json!({"id": id, "url": stage.site.receiver()}));
    stage.expect("connect");
    until("the page on the TV knows", || {
        (stage.say("history") == r#"["connected","wentaway","connected"]"#).then_some(())
    });
    stage.browser.run("connection.terminate()", &[]);
    stage.expect("terminate");
    stage.expect_nothing_left();
}

/// PS-01, PS-14, PS-35: while a device is chosen, while the other page loads, and while the two describe themselves.
#[test]
fn a_page_that_is_killed_before_it_is_connected_leaves_nothing_on_either_box() {
    if !chromium::is_there() {
        return;
    }
    let _turn = turn();
    let mut stage = Stage::start();
    for page in ["/empty", "/receiver?silent"] {
        stage.start_and_wait_for_tv(page);
        if page != "/empty" {
            let is_in = || stage.tv_web.log().contains("is let in as Receiver").then_some(());
            until("the page on the TV is there", is_in);
        }
        stage.browser.kill_pages();
        stage.expect_nothing_left();
        stage.browser = Chromium::start();
    }
    stage.send_chooser_away();
    let _person = stage.watch_choices();
    stage.open_controller();
    stage.press("start", &json!(stage.site.receiver()));
    let requests = || stage.phone.ctl(&["requests"]).stdout;
    until("a device is asked for", || (!requests().is_empty()).then_some(()));
    stage.browser.kill_pages();
    until("nobody asks any more", || requests().is_empty().then_some(()));
    stage.expect_nothing_left();
}

/// PS-10, PS-35: while the two describe themselves, and while they talk.
#[test]
fn a_presentation_whose_page_is_killed_on_the_tv_has_ended_and_its_controller_is_told() {
    if !chromium::is_there() {
        return;
    }
    let _turn = turn();
    let stage = Stage::start();
    stage.start_and_wait_for_tv("/receiver?silent");
    until("the page on the TV is there", || stage.tv_web.log().contains("is let in as Receiver").then_some(()));
    kill_pages_of(stage.tv.receivers()[0]);
    stage.expect_end();
    stage.expect_nothing_left();
    stage.start_presentation();
    kill_pages_of(stage.tv.receivers()[0]);
    stage.expect_end();
    stage.expect_nothing_left();
}

/// PS-35: who kills the launcher leaves nothing of what it was given.
#[test]
fn a_launcher_that_is_killed_leaves_no_browser_and_no_directory() {
    if !chromium::is_there() {
        return;
    }
    let _turn = turn();
    let stage = Stage::start();
    stage.start_presentation();
    assert_eq!(stage.tv.kept_by_receivers().len(), 1);
    chromium::kill(stage.tv.receivers()[0]);
    stage.expect_end();
    stage.expect_nothing_left();
}

/// How many descriptors each service has open: sockets of its clients, its channels and what is built.
fn descriptors(stage: &Stage) -> [usize; 2] {
    [&stage.phone, &stage.tv].map(|it| observe::descriptors(it.process_id()).len())
}

#[track_caller]
fn expect_as_quiet_as(stage: &Stage, quiet: [usize; 2]) {
    until("no socket is left", || (descriptors(stage) == quiet).then_some(()));
}

/// PS-30, PS-35: the program on the TV is told, and what was only loaded for the page ends.
#[test]
fn a_browser_that_is_killed_on_the_phone_went_away_in_whatever_state_it_was() {
    if !chromium::is_there() {
        return;
    }
    let _turn = turn();
    let mut stage = Stage::start();
    let quiet = descriptors(&stage);

    // Connecting: the page on the TV does not load before it is let.
    stage.open_controller();
    stage.press("start", &json!(WAITING_PROGRAM));
    until("the page on the TV is being loaded", || (!stage.tv.receivers().is_empty()).then_some(()));
    stage.browser.kill();
    until("the page on the TV has gone", || stage.tv.receivers().is_empty().then_some(()));
    expect_as_quiet_as(&stage, quiet);

    // Connected, in a new browser.
    stage.browser = Chromium::start();
    stage.open_controller();
    stage.press("start", &json!(PROGRAM));
    stage.expect("connect");
    let id = stage.browser.run("return connection.id", &[]).as_str().expect("it has a name").to_owned();
    until("the program is connected", || stage.tv.log().contains("connection is connected").then_some(()));
    stage.browser.kill();
    until("the program is told", || stage.tv.log().contains("is closed: Some(WentAway)").then_some(()));
    assert!(stage.tv.ctl(&["terminate", &id]).status.success());
    expect_as_quiet_as(&stage, quiet);
}
