//! The box has pages shown on the peer.

use greenroom_core::message::papi::Reason;
use greenroom_core::message::presentation::{CloseReason, Command, ConnectionState, Refusal};
use greenroom_hal_linux::presentation::PresenterError;
use serde_json::json;

use crate::boxes::{Announced, PAGE, Shown, TvBox, reconnect};
use crate::peer::{Peer, WITHOUT_TLS_AND_WITH};

/// A page that the peer was asked to show, without TLS and with it.
fn with_launch(test: &str, load: &str, body: impl Fn(&mut Peer, &TvBox, &mut Shown)) {
    for is_encrypted in WITHOUT_TLS_AND_WITH {
        let Some(mut peer) = Peer::start(test, is_encrypted) else { return };
        peer.order(&json!({"do": "page", "load": load}));
        peer.until(&json!({"is": "done"}));
        let tv_box = TvBox::start(&format!("encrypt = {is_encrypted}"));
        let announced = Announced::new(&peer);
        let mut shown = Shown::start(&tv_box, &announced.name, PAGE);
        let requested = peer.until(&json!({"is": "requested"}));
        assert_eq!((&requested["presentation"], &requested["url"]), (&json!(shown.presentation), &json!(PAGE)));
        body(&mut peer, &tv_box, &mut shown);
    }
}

/// A page that the peer shows.
fn with_page(test: &str, body: impl Fn(&mut Peer, &TvBox, &mut Shown)) {
    with_launch(test, "ready", |peer, tv_box, shown| {
        connected(peer, shown);
        body(peer, tv_box, shown);
    });
}

#[track_caller]
fn connected(peer: &mut Peer, shown: &mut Shown) {
    shown.until(ConnectionState::Connected);
    peer.until_state(&shown.presentation, "connected");
}

#[track_caller]
fn talk(peer: &mut Peer, shown: &mut Shown) {
    shown.send("a stra\u{df}e \u{65e5}\u{672c}");
    peer.until_text(&shown.presentation, "a stra\u{df}e \u{65e5}\u{672c}");
    peer.send(&shown.presentation, "\u{1f600} back");
    shown.until_text("\u{1f600} back");
}

/// PS-02, PS-04, PS-05, PS-09, PS-10, PS-18
#[test]
fn a_page_is_shown_by_a_peer_talked_to_left_taken_up_again_and_ended() {
    with_page("a_page_is_shown_by_a_peer_talked_to_left_taken_up_again_and_ended", |peer, tv_box, shown| {
        talk(peer, shown);
        shown.client.request(Command::Close { connection: shown.connection, went_away: false }).unwrap();
        shown.until(ConnectionState::Closed);
        peer.until_state(&shown.presentation, "closed");
        shown.reconnect();
        connected(peer, shown);
        talk(peer, shown);
        peer.does("close", &shown.presentation);
        assert_eq!(shown.until(ConnectionState::Closed), Some(CloseReason::Closed));
        shown.reconnect();
        connected(peer, shown);
        shown.client.request(Command::Terminate { connection: shown.connection }).unwrap();
        peer.until_state(&shown.presentation, "terminated");
        peer.until_gone(&shown.presentation);
        tv_box.until_nothing_is_shown();
    });
}

/// PS-10: the peer opens a channel of its own for that, on which it calls itself as it likes, and shows no certificate.
#[test]
fn a_peer_ends_what_it_shows() {
    with_page("a_peer_ends_what_it_shows", |peer, tv_box, shown| {
        peer.order(&json!({"do": "know", "device": tv_box.as_device()}));
        peer.until(&json!({"is": "done"}));
        // It knows the box from the next connection on.
        shown.client.request(Command::Close { connection: shown.connection, went_away: false }).unwrap();
        peer.until_state(&shown.presentation, "closed");
        shown.reconnect();
        connected(peer, shown);
        peer.does("terminate", &shown.presentation);
        assert_eq!(shown.until(ConnectionState::Terminated), Some(CloseReason::Terminated));
        peer.until_gone(&shown.presentation);
        tv_box.until_nothing_is_shown();
    });
}

/// PS-13, PS-30
#[test]
fn a_page_that_fails_at_a_peer_is_closed_with_the_peers_reason() {
    with_launch("a_page_that_fails_at_a_peer_is_closed_with_the_peers_reason", "fails", |_, tv_box, shown| {
        assert_eq!(shown.until(ConnectionState::Closed), Some(CloseReason::Error(Reason::OPERATION)));
        tv_box.until_nothing_is_shown();
    });
}

/// PS-30: the reason travels as it is, also one that nobody here has a name for.
#[test]
fn a_peer_that_leaves_while_its_page_loads_says_why() {
    with_launch("a_peer_that_leaves_while_its_page_loads_says_why", "never", |peer, tv_box, shown| {
        const WHY: u32 = 0x8053_001B;
        peer.order(&json!({"do": "fail", "presentation": shown.presentation, "reason": WHY}));
        assert_eq!(shown.until(ConnectionState::Closed), Some(CloseReason::Error(Reason(WHY))));
        tv_box.until_nothing_is_shown();
    });
}

/// Mozilla's devices do not acknowledge on the channel of the launch, which is left in the end for a reason that ends the
/// page.
///
/// PS-10, PS-31
#[test]
fn a_page_that_a_peer_loads_still_is_ended_although_nobody_says_so() {
    with_launch("a_page_that_a_peer_loads_still_is_ended_although_nobody_says_so", "never", |peer, tv_box, shown| {
        let ended = shown.client.request(Command::Terminate { connection: shown.connection }).map(drop);
        assert!(matches!(ended, Err(PresenterError::Refused(Refusal::NotAcknowledged))), "{ended:?}");
        peer.until_state(&shown.presentation, "terminated");
        peer.until_gone(&shown.presentation);
        tv_box.until_nothing_is_shown();
    });
}

/// PS-30, PS-35
#[test]
fn a_peer_that_dies_leaves_a_closed_connection() {
    with_page("a_peer_that_dies_leaves_a_closed_connection", |peer, _, shown| {
        peer.kill();
        shown.until(ConnectionState::Closed);
    });
}

/// PS-32, Presentation defect 6
#[test]
fn a_page_that_is_not_ascii_is_the_same_one_there() {
    let Some(mut peer) = Peer::start("a_page_that_is_not_ascii_is_the_same_one_there", true) else { return };
    let (tv_box, announced) = (TvBox::start(""), Announced::new(&peer));
    let url = "https://tv.example/\u{65e5}\u{672c}/stra\u{df}e";
    let mut shown = Shown::start(&tv_box, &announced.name, url);
    assert_eq!(peer.until(&json!({"is": "requested"}))["url"], url);
    connected(&mut peer, &mut shown);
}

/// The peer would give up the presentation over a second connection.
///
/// PS-09, Presentation defect 23
#[test]
fn a_second_page_waits_until_the_first_has_left_the_peer() {
    with_page("a_second_page_waits_until_the_first_has_left_the_peer", |peer, tv_box, shown| {
        let mut other = tv_box.client();
        let refused = reconnect(&mut other, &shown.presentation);
        assert!(matches!(refused, Err(PresenterError::Refused(Refusal::OneOnly))), "{refused:?}");
        talk(peer, shown);
        shown.client.request(Command::Close { connection: shown.connection, went_away: false }).unwrap();
        peer.until_state(&shown.presentation, "closed");
        shown.connection = reconnect(&mut other, &shown.presentation).unwrap();
        shown.client = other;
        connected(peer, shown);
        talk(peer, shown);
    });
}

/// PS-19: more than fits any buffer on the way, in order.
#[test]
fn long_texts_flow_both_ways() {
    with_page("long_texts_flow_both_ways", |peer, _, shown| {
        let text: String = (0..8000).map(|number| format!("{number} \u{65e5}")).collect();
        for _ in 0..4 {
            shown.send(&text);
            peer.until_text(&shown.presentation, &text);
            peer.send(&shown.presentation, &text);
            shown.until_text(&text);
        }
    });
}
