//! Every phase of the three machines with every event: what comes of it is in `every_pair.txt`.
//!
//! After a change that is meant, write the table anew and read what has changed in it:
//! `GREENROOM_WRITE_TABLE=$PWD/core/src/presentation/session/every_pair.txt cargo test -p greenroom-core every_phase_meets`

use core::fmt::Debug;
use std::format;
use std::string::String;
use std::vec::Vec;

use super::*;
use crate::limits::{ESTABLISH_TIMEOUT, PAGE_LOAD_TIMEOUT};
use crate::message::presentation::{ConnectionState, TransportKind};
use crate::time::Instant;

const TABLE: &str = include_str!("every_pair.txt");
const LATER: Instant = Instant::from_millis(1_000);

/// What the three machines have in common.
trait Session: Copy {
    type Event: Copy + Debug;
    type Deed: Debug + PartialEq;

    fn give(&mut self, event: Self::Event) -> Result<(), WrongState>;
    fn next(&mut self) -> Option<Self::Deed>;
    fn at(&self) -> String;
    fn limit(&self) -> Option<Instant>;

    fn drain(&mut self) -> Vec<Self::Deed> {
        core::iter::from_fn(|| self.next()).collect()
    }

    fn after(mut self, events: &[Self::Event]) -> Self {
        self.drain();
        for event in events {
            self.give(*event).expect("the way is open");
            self.drain();
        }
        self
    }

    fn line(&self, situation: &str, event: Self::Event) -> String {
        let mut session = *self;
        let before = session.at();
        let outcome = match session.give(event) {
            Err(WrongState) => String::from("refused"),
            Ok(()) if session.at() == before => String::from("stays"),
            Ok(()) => format!("-> {}", session.at()),
        };
        let deeds: String = session.drain().iter().map(|deed| format!(", {deed:?}")).collect();
        format!("{situation:<34}{:<40}{outcome}{deeds}", format!("{event:?}"))
    }
}

macro_rules! session {
    ($machine:ty, $module:ident) => {
        impl Session for $machine {
            type Event = $module::Event;
            type Deed = $module::Deed;

            fn give(&mut self, event: Self::Event) -> Result<(), WrongState> {
                self.handle(LATER, event)
            }
            fn next(&mut self) -> Option<Self::Deed> {
                self.poll()
            }
            fn at(&self) -> String {
                format!("{:?}", self.phase())
            }
            fn limit(&self) -> Option<Instant> {
                self.deadline()
            }
        }
    };
}
session!(Controlling, controlling);
session!(Presenting, presenting);
session!(Page, page);

mod way {
    use super::controlling::Event as C;
    use super::page::Event as G;
    use super::presenting::Event as P;
    use super::{CloseReason, Reason};

    pub(super) const REACHED: C = C::ChannelConnected { is_kin: false };
    pub(super) const REACHED_KIN: C = C::ChannelConnected { is_kin: true };
    pub(super) const ANSWERED: C = C::Answered { fits: true };
    pub(super) const CONNECTED: &[C] = &[REACHED, C::OfferReady, ANSWERED, C::TransportReady];
    pub(super) const CONNECTED_KIN: &[C] = &[REACHED_KIN, C::OfferReady, C::TransportReady, ANSWERED];
    pub(super) const CLOSED: &[C] =
        &[REACHED, C::OfferReady, ANSWERED, C::TransportReady, C::Close(CloseReason::Closed)];

    pub(super) const CONTROLLING: &[C] = &[
        REACHED,
        REACHED_KIN,
        C::ChannelLost(Reason::NORMAL),
        C::ChannelLost(Reason::NOT_ALLOWED),
        C::Resumed,
        C::OfferReady,
        ANSWERED,
        C::Answered { fits: false },
        C::TransportReady,
        C::TransportClosed(CloseReason::Closed),
        C::TransportClosed(CloseReason::Terminated),
        C::Close(CloseReason::Closed),
        C::Reconnect,
        C::Terminate,
        C::PeerTerminates,
        C::TerminateAcked,
        C::TimedOut,
    ];
    pub(super) const PRESENTING: &[P] = &[
        P::Offered,
        P::Declined,
        P::PageReady,
        P::PageFailed(Reason::TIMEOUT),
        P::AnswerReady,
        P::TransportReady,
        P::TransportClosed(CloseReason::WentAway),
        P::ChannelLost(Reason::NORMAL),
        P::ChannelLost(Reason::FAILURE),
        P::Close(CloseReason::Closed),
        P::Terminate,
        P::PeerTerminates,
        P::TerminateAcked,
        P::TimedOut,
    ];
    pub(super) const PAGE: &[G] = &[
        G::Launched,
        G::LaunchFailed(Reason::NOT_FOUND),
        G::Ready,
        G::Failed,
        G::End,
        G::ProcessEnded,
        G::Connections { any: true },
        G::Connections { any: false },
        G::Connected,
        G::TimedOut,
    ];
}

fn controlling(events: &[controlling::Event]) -> Controlling {
    Controlling::new(Instant::default(), ESTABLISH_TIMEOUT, TransportKind::Tcp, false).after(events)
}

fn presenting(events: &[presenting::Event]) -> Presenting {
    Presenting::new(Instant::default(), ESTABLISH_TIMEOUT, false).after(events)
}

fn page(events: &[page::Event]) -> Page {
    Page::new(Instant::default(), PAGE_LOAD_TIMEOUT).after(events)
}

fn controlling_situations() -> Vec<(&'static str, Controlling)> {
    use controlling::Event as E;
    use way::{ANSWERED, CLOSED, CONNECTED, CONNECTED_KIN, REACHED, REACHED_KIN};
    let again =
        |events: &[E]| Controlling::new(Instant::default(), ESTABLISH_TIMEOUT, TransportKind::Tcp, true).after(events);
    let data_channel = Controlling::new(Instant::default(), ESTABLISH_TIMEOUT, TransportKind::DataChannel, false);
    Vec::from([
        ("C Reaching", controlling(&[])),
        ("C Reaching again", again(&[])),
        ("C Reaching from Closed", controlling(CLOSED).after(&[E::Reconnect])),
        ("C Resuming", again(&[REACHED])),
        ("C Resuming from Closed", controlling(CLOSED).after(&[E::Reconnect, REACHED])),
        ("C Building", controlling(&[REACHED])),
        ("C Offering", controlling(&[REACHED, E::OfferReady])),
        ("C Offering, answered", controlling(&[REACHED, E::OfferReady, ANSWERED])),
        ("C Offering, transport there", controlling(&[REACHED, E::OfferReady, E::TransportReady])),
        ("C Offering a data channel", data_channel.after(&[REACHED_KIN, E::OfferReady])),
        ("C Connected", controlling(CONNECTED)),
        ("C Connected, channel kept", controlling(CONNECTED_KIN)),
        ("C Closed", controlling(CLOSED)),
        ("C Terminating, asked", controlling(CONNECTED_KIN).after(&[E::Terminate])),
        ("C Terminating, reaching", controlling(CONNECTED).after(&[E::Terminate])),
        ("C Ended", controlling(CONNECTED).after(&[E::PeerTerminates])),
    ])
}

fn presenting_situations() -> Vec<(&'static str, Presenting)> {
    use presenting::Event as E;
    let building: &[E] = &[E::Offered, E::PageReady];
    let connected: &[E] = &[E::PageReady, E::Offered, E::AnswerReady, E::TransportReady];
    Vec::from([
        ("P Waiting", presenting(&[])),
        ("P Waiting, offer there", presenting(&[E::Offered])),
        ("P Waiting, page there", presenting(&[E::PageReady])),
        ("P Building", presenting(building)),
        ("P Building, answered", presenting(building).after(&[E::AnswerReady])),
        ("P Connected", presenting(connected)),
        ("P Connected, channel gone", presenting(connected).after(&[E::ChannelLost(Reason::NORMAL)])),
        ("P Terminating", presenting(connected).after(&[E::Terminate])),
        ("P Ended", presenting(connected).after(&[E::PeerTerminates])),
    ])
}

fn page_situations() -> Vec<(&'static str, Page)> {
    use page::Event as E;
    Vec::from([
        ("G Launching", page(&[])),
        ("G Loading", page(&[E::Launched])),
        ("G Ready", page(&[E::Launched, E::Ready])),
        ("G Ready, was connected", page(&[E::Launched, E::Ready, E::Connected])),
        ("G Ending, not started yet", page(&[E::End])),
        ("G Ending", page(&[E::Launched, E::End])),
        ("G Ending, killed", page(&[E::Launched, E::End, E::TimedOut])),
        ("G Gone", page(&[E::Launched, E::ProcessEnded])),
    ])
}

fn lines<S: Session>(situations: &[(&str, S)], events: &[S::Event]) -> Vec<String> {
    let all = situations.iter().flat_map(|(name, session)| events.iter().map(move |event| session.line(name, *event)));
    all.collect()
}

/// PS-03 to PS-16, PS-30, PS-33; PS-35: what does not hear TERM is killed.
#[test]
fn every_phase_meets_every_event_as_the_table_says() {
    let mut found = lines(&controlling_situations(), way::CONTROLLING);
    found.extend(lines(&presenting_situations(), way::PRESENTING));
    found.extend(lines(&page_situations(), way::PAGE));
    if let Some(path) = std::env::var_os("GREENROOM_WRITE_TABLE") {
        std::fs::write(path, found.join("\n") + "\n").unwrap();
    }
    let expected: Vec<&str> = TABLE.lines().collect();
    for (line, expected) in found.iter().zip(&expected) {
        assert_eq!(line, expected);
    }
    assert_eq!(found.len(), expected.len());
}

/// PS-05
///
/// Presentation defect 21
#[test]
fn the_transport_is_there_when_answer_and_socket_are_in_either_order() {
    use controlling::Event as E;
    for way in [[way::ANSWERED, E::TransportReady], [E::TransportReady, way::ANSWERED]] {
        let mut session = controlling(&[way::REACHED, E::OfferReady, way[0]]);
        assert_eq!(session.state(), ConnectionState::Connecting);
        session = session.after(&way[1..]);
        assert_eq!(session.state(), ConnectionState::Connected);
    }
}

/// PS-14
#[test]
fn the_transport_is_built_exactly_when_offer_and_page_are_there() {
    use presenting::Event as E;
    for way in [[E::Offered, E::PageReady], [E::PageReady, E::Offered]] {
        let mut session = presenting(&way[..1]);
        session.give(way[0]).unwrap();
        assert_eq!(session.drain(), [], "twice is once");
        session.give(way[1]).unwrap();
        assert_eq!(session.drain(), [presenting::Deed::Build]);
    }
}

/// PS-03, PS-21: a device of another make, and a page that builds no data channel, are reached by TCP.
#[test]
fn who_takes_no_data_channel_gets_tcp() {
    use controlling::{Deed, Event as E};
    let wanted = Controlling::new(Instant::default(), ESTABLISH_TIMEOUT, TransportKind::DataChannel, false);
    assert_eq!(wanted.after(&[way::REACHED]).kind(), TransportKind::Tcp);
    let mut kin = wanted.after(&[way::REACHED_KIN, E::OfferReady]);
    assert_eq!(kin.kind(), TransportKind::DataChannel);
    kin.give(E::Answered { fits: false }).unwrap();
    assert_eq!((kin.kind(), kin.drain()), (TransportKind::Tcp, Vec::from([Deed::Build])));
    let asked = presenting(&[presenting::Event::PageReady, presenting::Event::Offered]);
    let mut declined = asked;
    declined.give(presenting::Event::Declined).unwrap();
    assert_eq!(declined.drain(), [presenting::Deed::Answer]);
    declined.give(presenting::Event::Offered).unwrap();
    assert_eq!(declined.drain(), [presenting::Deed::Build]);
}

/// PS-13: the controller is told why.
#[test]
fn a_page_that_does_not_load_in_time_is_ended_and_its_connections_are_told() {
    let mut page = page(&[page::Event::Launched]);
    assert_eq!(page.limit(), Some(Instant::default().after(PAGE_LOAD_TIMEOUT)));
    page.give(page::Event::TimedOut).unwrap();
    assert_eq!((page.drain(), page.reason()), (Vec::from([page::Deed::TellFailed, page::Deed::Stop]), Reason::TIMEOUT));
    let mut connection = presenting(&[presenting::Event::Offered]);
    connection.give(presenting::Event::PageFailed(Reason::TIMEOUT)).unwrap();
    use presenting::Deed::{CloseTransport, LeaveChannel, Remove, Tell};
    assert_eq!(connection.drain(), [CloseTransport, LeaveChannel, Tell, Remove], "the offer is not kept");
    assert_eq!(connection.channel_reason(), Reason::TIMEOUT);
}

/// PS-33
///
/// Presentation defect 19
#[test]
fn a_connected_session_outlives_its_control_channel() {
    let controlling = controlling(way::CONNECTED_KIN).after(&[controlling::Event::ChannelLost(Reason::FAILURE)]);
    assert_eq!((controlling.state(), controlling.limit()), (ConnectionState::Connected, None));
    use presenting::Event as E;
    let presenting = presenting(&[E::PageReady, E::Offered, E::AnswerReady, E::TransportReady])
        .after(&[E::ChannelLost(Reason::FAILURE)]);
    assert_eq!((presenting.state(), presenting.limit()), (ConnectionState::Connected, None));
}

/// PS-30: whatever is connecting has a limit, and at the limit it is not connecting any more.
///
/// Presentation defects 17, 20
#[test]
fn nobody_connects_for_ever() {
    for (name, mut session) in controlling_situations() {
        if session.state() == ConnectionState::Connecting {
            assert!(session.limit().is_some_and(|limit| limit <= LATER.after(ESTABLISH_TIMEOUT)), "{name}");
            session.give(controlling::Event::TimedOut).unwrap();
            assert_eq!(session.state(), ConnectionState::Closed, "{name}");
            assert!(session.drain().contains(&controlling::Deed::Tell), "{name}");
        }
    }
    for (name, mut session) in presenting_situations() {
        if session.state() == ConnectionState::Connecting {
            assert!(session.limit().is_some(), "{name}");
            session.give(presenting::Event::TimedOut).unwrap();
            assert_eq!(session.state(), ConnectionState::Closed, "{name}");
        }
    }
}

/// PS-30, PS-35: states change only as they may, and what ends leaves no limit, transport or channel behind.
#[test]
fn a_random_walk_keeps_to_the_states_and_leaves_nothing_behind() {
    use controlling::Deed;
    let mut seed = 5_u64;
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize
    };
    for _ in 0..20_000 {
        let mut session =
            Controlling::new(Instant::default(), ESTABLISH_TIMEOUT, TransportKind::Tcp, random() % 2 == 0);
        let (mut state, mut removed, mut open) = (session.state(), false, (0_i32, 0_i32));
        for _ in 0..40 {
            let event = way::CONTROLLING[random() % way::CONTROLLING.len()];
            let lost_channel = matches!(event, controlling::Event::ChannelLost(_)) && open.0 == 1;
            let lost_transport = matches!(event, controlling::Event::TransportClosed(_)) && open.1 == 1;
            // What is not there can neither be lost nor closed.
            if matches!(event, controlling::Event::ChannelLost(_)) && open.0 == 0
                || matches!(event, controlling::Event::TransportClosed(_)) && open.1 == 0
            {
                continue;
            }
            let _ = session.give(event);
            open.0 -= i32::from(lost_channel);
            open.1 -= i32::from(lost_transport);
            for deed in session.drain() {
                assert!(!removed, "nothing is done after the end");
                match deed {
                    Deed::OpenChannel => open.0 += 1,
                    Deed::LeaveChannel => open.0 -= 1,
                    Deed::Build => open.1 += 1,
                    Deed::CloseTransport => open.1 -= 1,
                    Deed::Remove => removed = true,
                    Deed::Launch | Deed::Reconnect | Deed::Terminate | Deed::Offer | Deed::Tell | Deed::Settle => {}
                }
            }
            assert!((0..=1).contains(&open.0) && (0..=1).contains(&open.1), "{open:?} after {event:?}");
            assert!(may_follow(state, session.state()), "{state:?} to {:?} by {event:?}", session.state());
            state = session.state();
            assert!(state != ConnectionState::Connecting || session.limit().is_some());
            if removed {
                assert_eq!((open, session.limit()), ((0, 0), None), "after {event:?}");
            }
        }
    }
}

fn may_follow(before: ConnectionState, after: ConnectionState) -> bool {
    use ConnectionState::{Closed, Connected, Connecting, Terminated};
    match (before, after) {
        (Connecting | Closed, _) | (Connected, Connected | Closed | Terminated) | (Terminated, Terminated) => {
            (before, after) != (Closed, Connected)
        }
        (Connected, Connecting) | (Terminated, Connecting | Connected | Closed) => false,
    }
}
