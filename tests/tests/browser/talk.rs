//! What two pages say to each other, and how that ends.

use rustix::process::Signal;
use serde_json::json;

use super::stage::Stage;
use super::{chromium, turn, until};

/// PS-06, PS-07, PS-09, PS-10, PS-12, PS-16 to PS-19, PS-35
#[test]
fn two_pages_talk_leave_come_back_and_end_and_no_service_touches_what_they_say() {
    if !chromium::is_there() {
        return;
    }
    let _turn = turn();
    let stage = Stage::start();
    let id = stage.start_presentation();
    for text in ["hello", "", "Grüße, 世界 👋"] {
        assert_eq!(stage.say(text), text);
    }
    assert_eq!(stage.say("count"), "1");
    let address = stage.say("address");
    assert!(!address.as_str().unwrap().contains("greenroom-launch"), "{address}");

    stage.browser.run("connection.send(new Uint8Array([0, 1, 2, 255]).subarray(1))", &[]);
    assert_eq!(stage.expect("message"), json!([1, 2, 255]));
    assert_eq!(stage.say("blob"), json!([1, 2, 3]));
    assert_eq!(stage.expect("message"), "after the blob", "PS-19: nothing overtakes a blob");

    // PS-07: what says nothing carries nothing.
    stage.services(Signal::STOP);
    assert_eq!(stage.browser.wait("await echo(16, 64 * 1024)", &[]), 1024 * 1024);
    stage.services(Signal::CONT);
    stage.expect_nothing_carried();

    stage.browser.run("connection.close()", &[]);
    assert_eq!(stage.expect("close"), json!({"reason": "closed", "message": "", "state": "closed"}));
    stage.press("reconnect", &json!({"id": id, "url": stage.site.receiver()}));
    stage.expect("connect");
    assert_eq!(stage.say("history"), json!(r#"["connected","closed","connected"]"#));
    stage.browser.run("connection.terminate()", &[]);
    assert_eq!(stage.expect("terminate"), "terminated");
    stage.expect_nothing_left();
    stage.press("reconnect", &json!({"id": id, "url": stage.site.receiver()}));
    assert_eq!(stage.expect("error")["name"], "NotFoundError");
}

/// PS-10, PS-35
#[test]
fn a_page_on_the_tv_closes_a_connection_or_ends_for_everybody() {
    if !chromium::is_there() {
        return;
    }
    let _turn = turn();
    let stage = Stage::start();
    let id = stage.start_presentation();
    stage.browser.run("connection.send('close')", &[]);
    assert_eq!(stage.expect("close")["reason"], "closed");
    stage.press("reconnect", &json!({"id": id, "url": stage.site.receiver()}));
    stage.expect("connect");
    stage.browser.run("connection.send('terminate')", &[]);
    stage.expect_end();
    stage.expect_nothing_left();
}

/// PS-09, PS-17, PS-36
#[test]
fn two_controllers_have_connections_of_their_own_and_one_that_goes_leaves_the_other() {
    if !chromium::is_there() {
        return;
    }
    let _turn = turn();
    let stage = Stage::start();
    let id = stage.start_presentation();
    let first = stage.browser.another_window();
    stage.open_controller();
    stage.press("reconnect", &json!({"id": id, "url": stage.site.receiver()}));
    stage.expect("connect");
    assert_eq!(stage.say("count"), "2");
    assert_eq!(stage.say("only mine"), "only mine");
    stage.browser.close_window();
    stage.browser.look_at(&first);
    let gone = || stage.say("history") == r#"["connected","connected","wentaway"]"#;
    until("the page on the TV knows", || gone().then_some(()));
    assert_eq!(stage.say("left"), "1", "who hears that one has closed finds a list without it");
    assert_eq!(stage.say("count"), "1");
    stage.browser.run("connection.terminate()", &[]);
    stage.expect("terminate");
    stage.expect_nothing_left();
}

/// PS-09, PS-30: a page that goes leaves a presentation that goes on.
#[test]
fn a_page_that_is_loaded_again_finds_its_presentation() {
    if !chromium::is_there() {
        return;
    }
    let _turn = turn();
    let stage = Stage::start();
    let id = stage.start_presentation();
    stage.open_controller();
    stage.press("reconnect", &json!({"id": id, "url": stage.site.receiver()}));
    stage.expect("connect");
    until("the page on the TV knows", || {
        (stage.say("history") == r#"["connected","wentaway","connected"]"#).then_some(())
    });
}

/// PS-30, PS-33, PS-35: whoever is left is told, and nothing of the page stays on the TV.
#[test]
fn who_is_left_when_a_box_or_its_bridge_is_killed_is_told() {
    if !chromium::is_there() {
        return;
    }
    let _turn = turn();
    let mut stage = Stage::start();
    stage.start_presentation();
    let receivers = stage.tv.receivers();
    stage.tv.signal(Signal::KILL);
    let closed = stage.expect("close");
    assert_eq!(closed["state"], "closed", "{closed}");
    for receiver in receivers {
        until("the TV's browser has ended", || {
            (!greenroom_tests::observe::exists(receiver) || greenroom_tests::observe::is_zombie(receiver)).then_some(())
        });
    }
    stage.phone_web.kill();
    stage.press("start", &json!(stage.site.receiver()));
    assert_eq!(stage.expect("error")["name"], "NotFoundError");
}
