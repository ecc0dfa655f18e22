//! How a page of one device comes to another one's screen, and leaves it.

use std::time::Duration;

use greenroom_core::limits::PAGE_LOAD_TIMEOUT;
use greenroom_core::message::presentation::{Command, Payload, Piece, TransportKind};

use crate::network::FIRST;
use crate::two_devices::TwoDevices;
use crate::{assert_part_of, between_devices};

/// A page is shown, and both ends know it.
fn connect(devices: &mut TwoDevices) {
    devices.page_starts(TransportKind::Tcp);
    devices.receiver_is_ready();
}

/// PS-01, PS-03, PS-05, PS-12, PS-15, PS-17, PS-18
#[test]
fn a_page_is_started_and_talks() {
    let diagram = between_devices("presentation-start", "A page is started, and talks", |devices| {
        connect(devices);
        devices.page_asks("Send: hello", Command::Send { connection: FIRST, payload: Payload::Text("hello") });
        devices.receiver_asks("Send: welcome", Command::Send { connection: FIRST, payload: Payload::Text("welcome") });
    });
    assert_part_of("docs/presentation.md", &diagram.to_text());
}

/// PS-09, PS-11
#[test]
fn a_page_leaves_and_comes_back() {
    between_devices("presentation-reconnect", "A page leaves, and comes back", |devices| {
        connect(devices);
        devices.page_asks("Close", Command::Close { connection: FIRST, went_away: false });
        devices.page_reconnects();
    });
}

/// PS-11
#[test]
fn the_program_of_a_page_ends() {
    between_devices("presentation-page-gone", "The program of a page ends", |devices| {
        connect(devices);
        devices.page_goes_away();
    });
}

/// PS-10, PS-14
#[test]
fn a_page_terminates_what_is_shown() {
    between_devices("presentation-terminate", "The page terminates what is shown", |devices| {
        connect(devices);
        devices.page_asks("Terminate", Command::Terminate { connection: FIRST });
    });
}

/// PS-10, PS-14
#[test]
fn what_is_shown_terminates_itself() {
    between_devices("presentation-receiver-terminates", "What is shown terminates itself", |devices| {
        connect(devices);
        devices.receiver_asks("Terminate", Command::Terminate { connection: FIRST });
    });
}

/// PS-12
#[test]
fn a_page_that_may_not_be_shown_is_refused() {
    between_devices("presentation-not-allowed", "A page that may not be shown", |devices| {
        devices.nothing_is_allowed();
        devices.page_starts(TransportKind::Tcp);
    });
}

/// PS-13
#[test]
fn a_page_that_cannot_be_shown_is_refused() {
    between_devices("presentation-receiver-fails", "A page that cannot be shown", |devices| {
        devices.page_starts(TransportKind::Tcp);
        devices.receiver_fails();
    });
}

/// PS-13
#[test]
fn a_page_that_does_not_load_is_given_up() {
    between_devices("presentation-never-loads", "A page that does not load", |devices| {
        devices.page_starts(TransportKind::Tcp);
        devices.pass(PAGE_LOAD_TIMEOUT + Duration::from_secs(5));
    });
}

/// PS-09, PS-33
#[test]
fn the_network_is_cut_and_the_page_comes_back() {
    between_devices("presentation-network-cut", "The network is cut, and the page comes back", |devices| {
        connect(devices);
        devices.network_is_cut();
        devices.page_reconnects();
    });
}

/// PS-06, PS-07, PS-15, PS-20: the data goes from page to page, and through neither service.
#[test]
fn pages_build_a_data_channel_of_their_own() {
    between_devices("presentation-data-channel", "Pages build a data channel of their own", |devices| {
        devices.page_starts(TransportKind::DataChannel);
        devices.receiver_that_builds_is_ready();
        devices.page_built("offer", Piece::Offer("its offer"));
        devices.receiver_built("answer", Piece::Answer("its answer"));
        devices.page_built("candidate", Piece::Candidate("its candidate"));
        devices.receiver_built("candidate", Piece::Candidate("its other candidate"));
        devices.page_built("open", Piece::Open);
        devices.receiver_built("open", Piece::Open);
    });
}

/// PS-30, PS-35: nobody waits for what was being built.
#[test]
fn the_program_of_a_page_ends_while_it_builds() {
    between_devices("presentation-builder-gone", "The program of a page ends while it builds", |devices| {
        devices.page_starts(TransportKind::DataChannel);
        devices.receiver_that_builds_is_ready();
        devices.page_built("offer", Piece::Offer("its offer"));
        devices.page_goes_away();
    });
}

/// PS-30, PS-35: the other page learns that it went away, at once and not only by its own channel.
#[test]
fn the_program_of_a_page_with_a_data_channel_ends() {
    between_devices("presentation-channel-gone", "The program of a page with a data channel ends", |devices| {
        devices.page_starts(TransportKind::DataChannel);
        devices.receiver_that_builds_is_ready();
        devices.page_built("offer", Piece::Offer("its offer"));
        devices.receiver_built("answer", Piece::Answer("its answer"));
        devices.page_built("open", Piece::Open);
        devices.receiver_built("open", Piece::Open);
        devices.page_goes_away();
    });
}
