//! A page in a browser and a program of ours, each at either end.

use greenroom_core::message::presentation::{
    CloseReason, Command, ConnectionId, ConnectionState, Payload, TransportKind,
};
use greenroom_tests::neighbour::Page;
use serde_json::json;

use super::stage::{PROGRAM, Stage};
use super::{chromium, turn};

/// PS-06, PS-07, PS-09, PS-10, PS-15, PS-18 to PS-21: the browser's page starts a program that builds data channels.
#[test]
fn a_page_in_a_browser_and_a_program_on_the_tv_talk_past_the_services() {
    if !chromium::is_there() {
        return;
    }
    let _turn = turn();
    let stage = Stage::start();
    stage.open_controller();
    stage.press("start", &json!(PROGRAM));
    stage.expect("connect");
    let id = stage.browser.run("return connection.id", &[]);
    for text in ["hello", "", "Grüße, 世界 👋"] {
        assert_eq!(stage.say(text), format!("heard: {text}"));
    }
    assert_eq!(stage.browser.wait("await echo(16, 64 * 1024)", &[]), 1024 * 1024);
    stage.browser.run("connection.send('leave')", &[]);
    assert_eq!(stage.expect("close")["reason"], "closed");
    stage.press("reconnect", &json!({"id": id, "url": PROGRAM}));
    stage.expect("connect");
    assert_eq!(stage.say("again"), "heard: again");
    stage.expect_nothing_carried();
    stage.browser.run("connection.terminate()", &[]);
    stage.expect("terminate");
    stage.expect_nothing_left();
}

/// PS-06, PS-07, PS-09, PS-10, PS-15, PS-18 to PS-21: a program that builds data channels starts the browser's page.
#[test]
fn a_program_and_a_page_in_the_browser_of_the_tv_talk_past_the_services() {
    if !chromium::is_there() {
        return;
    }
    let _turn = turn();
    let stage = Stage::start();
    let mut page = stage.phone.page();
    let (connection, id) = page.start_over(TransportKind::DataChannel, &stage.site.receiver(), stage.tv.name());
    page.wait_for(connection, ConnectionState::Connected);
    assert!(page.has_data_channel(connection));
    talk(&mut page, connection);
    page.ask(Command::Close { connection, went_away: false }).unwrap();
    assert_eq!(page.wait_for(connection, ConnectionState::Closed), Some(CloseReason::Closed));
    let again = page.reconnect(&id, &stage.site.receiver());
    page.wait_for(again, ConnectionState::Connected);
    assert!(page.has_data_channel(again));
    assert_eq!(said(&mut page, again, "history"), r#"["connected","closed","connected"]"#);
    stage.expect_nothing_carried();
    page.say(again, "terminate");
    page.wait_for(again, ConnectionState::Terminated);
    stage.expect_nothing_left();
}

/// PS-19: text and bytes, 1 MiB of them in pieces.
fn talk(page: &mut Page, connection: ConnectionId) {
    for text in ["hello", "Grüße, 世界 👋"] {
        assert_eq!(said(page, connection, text), text);
    }
    for piece in 0..16_u8 {
        let bytes: Vec<u8> = (0..64 * 1024_usize).map(|place| place.to_le_bytes()[0] ^ piece).collect();
        page.send(connection, Payload::Binary(&bytes));
        assert!(page.receive(connection) == Err(bytes), "piece {piece}");
    }
}

/// What the page on the TV says to this.
fn said(page: &mut Page, connection: ConnectionId, text: &str) -> String {
    page.say(connection, text);
    page.receive(connection).expect("a text")
}
