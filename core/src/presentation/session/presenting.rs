//! The presenting end of a connection: this box shows the page (PS-11 to PS-17).

use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::{WrongState, lost_too_early, spoken};
use crate::limits::TERMINATE_ACK_TIMEOUT;
use crate::message::papi::Reason;
use crate::message::presentation::{CloseReason, ConnectionState};
use crate::presentation::Todo;
use crate::time::Instant;

/// How far a connection is.
///
/// ```text
/// Waiting --offer AND page--> Building --transport ready--> Connected --closed, lost--> Ended
///    |  ^                        |  |                           |
///    |  +---- of another kind ---|--+                           |
///    +---------------------------+---- refused, lost, late -----+--> Ended
///    +---------------------------+---- terminated here ---------+--> Terminating --acknowledged, or not--> Ended
/// ```
/// A connection that is closed is gone; who reconnects gets another one. A limit holds for the way to Connected as a
/// whole (PS-30).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Something is missing still (PS-14).
    Waiting {
        /// The offer is there.
        offered: bool,
        /// The page is there.
        page: bool,
    },
    /// The transport is being built.
    Building {
        /// The answer was sent.
        answered: bool,
    },
    /// Messages go both ways.
    Connected,
    /// The controlling device was told that the presentation ends (PS-10).
    Terminating,
    /// Nothing comes after this.
    Ended,
}

/// What happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The other device has offered a transport.
    Offered,
    /// What was offered is none that the page can build: another offer may follow.
    Declined,
    /// The page is there.
    PageReady,
    /// The page cannot be shown.
    PageFailed(Reason),
    /// There is an answer: the transport was made, or the client's builder has one.
    AnswerReady,
    /// The transport can send and receive (PS-16).
    TransportReady,
    /// The transport could not be built, or has closed.
    TransportClosed(CloseReason),
    /// Its control channel has ended.
    ChannelLost(Reason),
    /// The page leaves it.
    Close(CloseReason),
    /// The presentation ends on this box.
    Terminate,
    /// The controlling device ends the presentation.
    PeerTerminates,
    /// The controlling device acknowledges the end.
    TerminateAcked,
    /// Its deadline has come.
    TimedOut,
}

/// What is to be done, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deed {
    /// Build the transport that was offered.
    Build,
    /// Say `answer`.
    Answer,
    /// Say `terminate`.
    Terminate,
    /// Close the transport, or stop building it, for [`Presenting::reason`].
    CloseTransport,
    /// Leave the control channel for [`Presenting::channel_reason`]; it ends by itself from there.
    LeaveChannel,
    /// Tell the page [`Presenting::state`] and [`Presenting::reason`].
    Tell,
    /// It has ended; nothing of it is left.
    Remove,
}

const DEEDS: &[Deed] =
    &[Deed::Build, Deed::Answer, Deed::Terminate, Deed::CloseTransport, Deed::LeaveChannel, Deed::Tell, Deed::Remove];

/// The presenting end of one connection.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Presenting {
    phase: Phase,
    deadline: Option<Instant>,
    reason: Option<CloseReason>,
    channel_reason: Reason,
    has_channel: bool,
    has_transport: bool,
    todo: Todo<Deed>,
}

impl Presenting {
    /// A connection that a device asks for on a control channel, to a page that is there, or is loading; made within
    /// `establish_timeout`, or given up.
    pub fn new(now: Instant, establish_timeout: Duration, page: bool) -> Self {
        Self {
            phase: Phase::Waiting { offered: false, page },
            deadline: Some(now.after(establish_timeout)),
            reason: None,
            channel_reason: Reason::NORMAL,
            has_channel: true,
            has_transport: false,
            todo: Todo::default(),
        }
    }

    /// How far it is.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// The state that the page sees.
    pub const fn state(&self) -> ConnectionState {
        match self.phase {
            Phase::Waiting { .. } | Phase::Building { .. } => ConnectionState::Connecting,
            Phase::Connected => ConnectionState::Connected,
            Phase::Terminating => ConnectionState::Terminated,
            Phase::Ended if matches!(self.reason, Some(CloseReason::Terminated)) => ConnectionState::Terminated,
            Phase::Ended => ConnectionState::Closed,
        }
    }

    /// Why it is in its state, where that wants a reason.
    pub const fn reason(&self) -> Option<CloseReason> {
        self.reason
    }

    /// Whether there is a transport, or one that is offered or being built.
    pub(crate) const fn has_transport(&self) -> bool {
        self.has_transport
    }

    /// Why its control channel is left.
    pub const fn channel_reason(&self) -> Reason {
        self.channel_reason
    }

    /// When [`Event::TimedOut`] is due.
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Deed> {
        self.todo.next(DEEDS)
    }

    /// Takes an event. An error changed nothing.
    pub fn handle(&mut self, now: Instant, event: Event) -> Result<(), WrongState> {
        use {Event as E, Phase as P};
        match (self.phase, event) {
            (P::Waiting { page, .. }, E::Offered) => self.wait(true, page),
            (P::Waiting { offered, .. }, E::PageReady) => self.wait(offered, true),
            (P::Building { answered: false }, E::AnswerReady) => self.answer(),
            (P::Building { answered: false }, E::Declined) => self.decline(),
            (P::Building { .. }, E::TransportReady) => self.connect(),

            (P::Building { answered: true } | P::Connected, E::ChannelLost(_)) => self.has_channel = false,
            (P::Waiting { .. } | P::Building { answered: false }, E::ChannelLost(reason)) => {
                self.has_channel = false;
                self.end(lost_too_early(reason));
            }
            (P::Building { .. }, E::TransportClosed(_)) => {
                self.has_transport = false;
                self.end(CloseReason::Error(Reason::OPERATION));
            }
            (P::Connected, E::TransportClosed(reason)) => {
                self.has_transport = false;
                self.end(reason);
            }
            (P::Waiting { .. } | P::Building { .. }, E::Close(reason)) => self.call_off(reason),
            (P::Connected, E::Close(reason)) => self.end(reason),
            (P::Waiting { .. } | P::Building { .. } | P::Connected, E::PageFailed(reason)) => {
                self.end(CloseReason::Error(reason));
            }
            (P::Waiting { .. } | P::Building { .. }, E::TimedOut) => self.end(CloseReason::Error(Reason::TIMEOUT)),

            (P::Waiting { .. } | P::Building { .. } | P::Connected, E::Terminate) => self.terminate(now),
            (P::Waiting { .. } | P::Building { .. } | P::Connected, E::PeerTerminates) => {
                self.end(CloseReason::Terminated);
            }
            (P::Terminating, E::TerminateAcked | E::PeerTerminates | E::TimedOut) => self.terminated(),
            (P::Terminating, E::TransportClosed(_)) => self.has_transport = false,
            (P::Terminating, E::ChannelLost(_)) => {
                self.has_channel = false;
                self.terminated();
            }
            (P::Terminating | P::Ended, E::Close(_)) => return Err(WrongState),

            // It is late: what it is about is over, or it came twice.
            (P::Building { .. } | P::Connected | P::Terminating | P::Ended, E::Offered | E::PageReady)
            | (P::Terminating | P::Ended, E::PageFailed(_))
            | (
                P::Waiting { .. } | P::Building { answered: true } | P::Connected | P::Terminating | P::Ended,
                E::AnswerReady | E::Declined,
            )
            | (P::Waiting { .. } | P::Connected | P::Terminating | P::Ended, E::TransportReady)
            | (P::Waiting { .. } | P::Ended, E::TransportClosed(_))
            | (P::Waiting { .. } | P::Building { .. } | P::Connected | P::Ended, E::TerminateAcked)
            | (P::Connected, E::TimedOut)
            | (P::Terminating, E::Terminate)
            | (P::Ended, E::ChannelLost(_) | E::Terminate | E::PeerTerminates | E::TimedOut) => {}
        }
        Ok(())
    }

    fn add(&mut self, deed: Deed) {
        self.todo.add(DEEDS, deed);
    }

    /// PS-14
    fn wait(&mut self, offered: bool, page: bool) {
        self.phase = Phase::Waiting { offered, page };
        // The offer is kept until it is built, or forgotten.
        self.has_transport = offered;
        if offered && (page || planted!("built_before_page")) {
            self.phase = Phase::Building { answered: false };
            self.add(Deed::Build);
        }
    }

    /// The answer says what would do instead.
    fn decline(&mut self) {
        self.phase = Phase::Waiting { offered: false, page: true };
        self.has_transport = false;
        self.add(Deed::Answer);
    }

    fn answer(&mut self) {
        self.phase = Phase::Building { answered: true };
        self.add(Deed::Answer);
    }

    fn connect(&mut self) {
        self.phase = Phase::Connected;
        self.deadline = None;
        self.add(Deed::Tell);
    }

    fn call_off(&mut self, reason: CloseReason) {
        self.drop_channel(Reason::ABORTED);
        self.end(reason);
    }

    fn terminate(&mut self, now: Instant) {
        self.reason = Some(CloseReason::Terminated);
        if !self.has_channel {
            return self.end(CloseReason::Terminated);
        }
        self.phase = Phase::Terminating;
        self.deadline = Some(now.after(TERMINATE_ACK_TIMEOUT));
        self.add(Deed::Terminate);
        self.add(Deed::Tell);
    }

    /// Only now the transport closes: the other device would take its end for that of the connection alone, and leave the
    /// channel on which it is still to hear why.
    fn terminated(&mut self) {
        self.phase = Phase::Ended;
        self.deadline = None;
        self.drop_transport();
        self.drop_channel(Reason::NORMAL);
        self.add(Deed::Remove);
    }

    fn end(&mut self, reason: CloseReason) {
        self.phase = Phase::Ended;
        self.reason = Some(reason);
        self.deadline = None;
        self.drop_transport();
        self.drop_channel(spoken(reason));
        self.add(Deed::Tell);
        self.add(Deed::Remove);
    }

    fn drop_channel(&mut self, reason: Reason) {
        if core::mem::take(&mut self.has_channel) {
            self.channel_reason = reason;
            self.add(Deed::LeaveChannel);
        }
    }

    fn drop_transport(&mut self) {
        if core::mem::take(&mut self.has_transport) && !planted!("transport_kept_at_the_end") {
            self.add(Deed::CloseTransport);
        }
    }
}
