//! The peer has pages shown on the box.

use greenroom_core::message::papi::Reason;
use greenroom_tests::deadline::until;
use serde_json::{Value, json};

use crate::boxes::{PAGE, TvBox};
use crate::peer::{Peer, WITHOUT_TLS_AND_WITH};

const PRESENTATION: &str = "{5d4f7a3c-8a0e-4d8e-9d7b-2b6f6a1c0e11}";

fn start(peer: &mut Peer, device: &Value, url: &str) {
    peer.order(&json!({"do": "start", "presentation": PRESENTATION, "url": url, "device": device}));
}

/// A page that is shown and connected, without TLS and with it.
fn with_page(test: &str, body: impl Fn(&mut Peer, &TvBox)) {
    for is_encrypted in WITHOUT_TLS_AND_WITH {
        let Some(mut peer) = Peer::start(test, is_encrypted) else { return };
        let tv_box = TvBox::start(&format!("encrypt = {is_encrypted}"));
        start(&mut peer, &tv_box.as_device(), PAGE);
        peer.until_state(PRESENTATION, "connected");
        body(&mut peer, &tv_box);
    }
}

#[track_caller]
fn talk(peer: &mut Peer) {
    peer.send(PRESENTATION, "a stra\u{df}e \u{65e5}\u{672c} \u{1f600}");
    peer.until_text(PRESENTATION, "heard: a stra\u{df}e \u{65e5}\u{672c} \u{1f600}");
}

#[track_caller]
fn come_back(peer: &mut Peer) {
    peer.does("reconnect", PRESENTATION);
    let reconnected = peer.until(&json!({"is": "reconnected"}));
    assert_eq!(reconnected["status"], 0);
    peer.until_state(PRESENTATION, "connected");
}

/// PS-09, PS-10, PS-11, PS-14, PS-18
#[test]
fn a_peer_has_a_page_shown_talks_to_it_leaves_comes_back_and_ends_it() {
    with_page("a_peer_has_a_page_shown_talks_to_it_leaves_comes_back_and_ends_it", |peer, tv_box| {
        talk(peer);
        peer.does("close", PRESENTATION);
        peer.until_state(PRESENTATION, "closed");
        come_back(peer);
        talk(peer);
        peer.does("terminate", PRESENTATION);
        peer.until_gone(PRESENTATION);
        tv_box.until_nothing_is_shown();
    });
}

/// PS-09, PS-17
#[test]
fn a_peer_that_the_page_leaves_can_come_back() {
    with_page("a_peer_that_the_page_leaves_can_come_back", |peer, _| {
        peer.send(PRESENTATION, "leave");
        peer.until_state(PRESENTATION, "closed");
        come_back(peer);
        talk(peer);
    });
}

/// Mozilla's controllers let nobody in who tells them of the end: they see that the connection is closed, and learn the
/// rest when they come back.
///
/// PS-10, PS-35
#[test]
fn a_peer_learns_that_the_page_has_ended_when_it_comes_back() {
    with_page("a_peer_learns_that_the_page_has_ended_when_it_comes_back", |peer, tv_box| {
        peer.send(PRESENTATION, "end");
        peer.until_state(PRESENTATION, "closed");
        tv_box.until_nothing_is_shown();
        peer.does("reconnect", PRESENTATION);
        let left = peer.until(&json!({"is": "channel", "state": "disconnected", "reason": Reason::NOT_FOUND.0}));
        assert_eq!(left["presentation"], PRESENTATION);
        peer.until_gone(PRESENTATION);
    });
}

/// Its programs write the lower byte of each character, which is what there is for this one.
///
/// PS-32, Presentation defect 6
#[test]
fn a_page_that_is_not_ascii_is_the_same_one_here() {
    for is_encrypted in WITHOUT_TLS_AND_WITH {
        let Some(mut peer) = Peer::start("a_page_that_is_not_ascii_is_the_same_one_here", is_encrypted) else { return };
        let tv_box = TvBox::start(&format!("encrypt = {is_encrypted}"));
        let url = "https://tv.example/stra\u{df}e";
        start(&mut peer, &tv_box.as_device(), url);
        peer.until_state(PRESENTATION, "connected");
        assert_eq!(tv_box.pages(), [url]);
    }
}

/// PS-11: one port for both, where the box was told to take in who knows no TLS.
#[test]
fn a_peer_without_tls_and_one_with_it_come_to_the_same_box() {
    const TEST: &str = "a_peer_without_tls_and_one_with_it_come_to_the_same_box";
    let (Some(mut plain), Some(mut encrypting)) = (Peer::start(TEST, false), Peer::start(TEST, true)) else { return };
    let tv_box = TvBox::start("encrypt = true\naccept_plain = true");
    start(&mut plain, &tv_box.as_device_without_tls(), PAGE);
    plain.until_state(PRESENTATION, "connected");
    talk(&mut plain);
    plain.does("terminate", PRESENTATION);
    plain.until_gone(PRESENTATION);
    tv_box.until_nothing_is_shown();
    start(&mut encrypting, &tv_box.as_device(), PAGE);
    encrypting.until_state(PRESENTATION, "connected");
    talk(&mut encrypting);
}

/// PS-13, PS-34: a page that nobody configured, and one that cannot be shown.
#[test]
fn a_peer_is_told_why_its_page_is_not_shown() {
    for is_encrypted in WITHOUT_TLS_AND_WITH {
        let Some(mut peer) = Peer::start("a_peer_is_told_why_its_page_is_not_shown", is_encrypted) else { return };
        let tv_box = TvBox::start(&format!("encrypt = {is_encrypted}"));
        let device = tv_box.as_device();
        for (url, why) in [
            ("https://elsewhere.example/", Reason::NOT_ALLOWED),
            ("file:///etc/passwd", Reason::NOT_ALLOWED),
            ("https://broken.example/", Reason::OPERATION),
        ] {
            start(&mut peer, &device, url);
            let left = peer.until(&json!({"is": "channel", "state": "disconnected"}));
            assert_eq!(left["reason"], why.0, "{url}");
            peer.until_state(PRESENTATION, "closed");
            peer.until_gone(PRESENTATION);
        }
        tv_box.until_nothing_is_shown();
    }
}

/// PS-33, PS-35: what it started is there for who comes back.
#[test]
fn a_peer_that_dies_leaves_the_page_behind() {
    with_page("a_peer_that_dies_leaves_the_page_behind", |peer, tv_box| {
        peer.kill();
        until("the connection is gone", || tv_box.pages().is_empty().then_some(()));
    });
}
