//! The controlling end of a connection: this box asked for the page (PS-01 to PS-10).

use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::{WrongState, lost_too_early, spoken};
use crate::limits::{CLOSED_KEPT, TERMINATE_ACK_TIMEOUT};
use crate::message::papi::Reason;
use crate::message::presentation::{CloseReason, ConnectionState, TransportKind};
use crate::presentation::Todo;
use crate::time::Instant;

/// How far a connection is.
///
/// ```text
///              +- again --> Resuming --acknowledged--+
/// Reaching ----+                                     +--> Building --offer ready--> Offering --answer AND transport--+
///   ^          +- launch said ----------------------+                                                              |
///   |                                                                                                              v
///   +------------------------- reconnect -- Closed <------- closed by either side, or lost ------------------ Connected
///
///  from all of these:   the ESTABLISH limit, a refusal, a loss    --> Closed, or Ended where it was never connected
///                       terminate                                 --> Terminating --acknowledged, or not--> Ended
///                       terminated by the other device            --> Ended
/// ```
/// From Offering a data channel goes back to Building, for TCP, when the answer says that the other device takes none.
/// The page sees Reaching to Offering as connecting, Terminating and Ended as terminated. A limit holds for the way to
/// Connected as a whole, so that nobody connects for ever (PS-30).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// The control channel is being opened.
    Reaching {
        /// For a presentation that was launched before.
        again: bool,
    },
    /// The other device was asked to take us back.
    Resuming,
    /// The transport is being built; there is no offer yet.
    Building,
    /// The offer was sent (PS-05).
    Offering {
        /// The answer is there.
        answered: bool,
        /// The transport is there.
        ready: bool,
    },
    /// Messages go both ways.
    Connected,
    /// It can be taken up again (PS-09).
    Closed,
    /// The other device is asked to end the presentation (PS-10).
    Terminating,
    /// Nothing comes after this.
    Ended,
}

/// What happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its control channel can be used.
    ChannelConnected {
        /// The other device is one of us: the channel is kept.
        is_kin: bool,
    },
    /// Its control channel has ended or could not be opened.
    ChannelLost(Reason),
    /// The other device takes us back.
    Resumed,
    /// There is something to offer.
    OfferReady,
    /// The other device has answered.
    Answered {
        /// As it was asked, and not with a transport of another kind.
        fits: bool,
    },
    /// The transport can send and receive (PS-08).
    TransportReady,
    /// The transport could not be built, or has closed.
    TransportClosed(CloseReason),
    /// The page leaves it.
    Close(CloseReason),
    /// The page takes it up again.
    Reconnect,
    /// The presentation is to end.
    Terminate,
    /// The other device ends the presentation.
    PeerTerminates,
    /// The other device acknowledges the end.
    TerminateAcked,
    /// Its deadline has come.
    TimedOut,
}

/// What is to be done, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deed {
    /// Say `launch`.
    Launch,
    /// Say `reconnect`.
    Reconnect,
    /// Say `terminate`.
    Terminate,
    /// Say `offer`.
    Offer,
    /// Build the transport and make an offer (PS-03).
    Build,
    /// Close the transport, or stop building it, for [`Controlling::reason`].
    CloseTransport,
    /// Leave the control channel for [`Controlling::channel_reason`]; it ends by itself from there.
    LeaveChannel,
    /// Open a control channel.
    OpenChannel,
    /// Tell the page [`Controlling::state`] and [`Controlling::reason`].
    Tell,
    /// Answer the request to terminate: whether the other device acknowledged.
    Settle,
    /// It has ended; nothing of it is left.
    Remove,
}

const DEEDS: &[Deed] = &[
    Deed::Launch,
    Deed::Reconnect,
    Deed::Terminate,
    Deed::Offer,
    Deed::Build,
    Deed::CloseTransport,
    Deed::LeaveChannel,
    Deed::OpenChannel,
    Deed::Tell,
    Deed::Settle,
    Deed::Remove,
];

/// The controlling end of one connection.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Controlling {
    phase: Phase,
    kind: TransportKind,
    establish_timeout: Duration,
    deadline: Option<Instant>,
    reason: Option<CloseReason>,
    channel_reason: Reason,
    has_channel: bool,
    has_transport: bool,
    is_kin: bool,
    was_connected: bool,
    is_acknowledged: bool,
    todo: Todo<Deed>,
}

impl Controlling {
    /// A connection that is to be made, this time and each later one within `establish_timeout`: to a new presentation, or
    /// `again` to one that was launched before.
    pub fn new(now: Instant, establish_timeout: Duration, kind: TransportKind, again: bool) -> Self {
        let mut connection = Self {
            phase: Phase::Closed,
            kind,
            establish_timeout,
            deadline: None,
            reason: None,
            channel_reason: Reason::NORMAL,
            has_channel: false,
            has_transport: false,
            is_kin: false,
            was_connected: false,
            is_acknowledged: false,
            todo: Todo::default(),
        };
        connection.reach(now, again);
        connection
    }

    /// How far it is.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// The state that the page sees.
    pub const fn state(&self) -> ConnectionState {
        match self.phase {
            Phase::Reaching { .. } | Phase::Resuming | Phase::Building | Phase::Offering { .. } => {
                ConnectionState::Connecting
            }
            Phase::Connected => ConnectionState::Connected,
            Phase::Closed => ConnectionState::Closed,
            // One that never was connected was closed, as far as the page knows.
            Phase::Ended if matches!(self.reason, Some(CloseReason::Terminated)) => ConnectionState::Terminated,
            Phase::Ended => ConnectionState::Closed,
            Phase::Terminating => ConnectionState::Terminated,
        }
    }

    /// Why it is in its state, where that wants a reason.
    pub const fn reason(&self) -> Option<CloseReason> {
        self.reason
    }

    /// Why its control channel is left.
    pub const fn channel_reason(&self) -> Reason {
        self.channel_reason
    }

    /// How its data travels.
    pub const fn kind(&self) -> TransportKind {
        self.kind
    }

    /// From when it is closed on, its data is to travel like this if it is taken up again.
    pub(crate) fn carry_by(&mut self, kind: TransportKind) {
        if self.phase == Phase::Closed {
            self.kind = kind;
        }
    }

    /// Whether the other device is one of us, as far as is known.
    pub const fn is_kin(&self) -> bool {
        self.is_kin
    }

    /// Whether the other device is none of us and has this connection: a second one to the same presentation would cost
    /// it both.
    pub const fn is_the_only_one(&self) -> bool {
        match self.phase {
            Phase::Resuming | Phase::Building | Phase::Offering { .. } | Phase::Connected => !self.is_kin,
            // Nothing is known of it, or nothing is left.
            Phase::Reaching { .. } | Phase::Closed | Phase::Terminating | Phase::Ended => false,
        }
    }

    /// Whether there is a transport, or one that is being built.
    pub(crate) const fn has_transport(&self) -> bool {
        self.has_transport
    }

    /// Whether the other device acknowledged the end of the presentation.
    pub const fn is_acknowledged(&self) -> bool {
        self.is_acknowledged
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
    #[allow(clippy::too_many_lines, reason = "the whole table in one place, every pair by name")]
    pub fn handle(&mut self, now: Instant, event: Event) -> Result<(), WrongState> {
        use {Event as E, Phase as P};
        match (self.phase, event) {
            (P::Reaching { again }, E::ChannelConnected { is_kin }) => self.reached(again, is_kin),
            (P::Terminating, E::ChannelConnected { .. }) => self.ask_end(now),
            (P::Resuming, E::Resumed) => self.build(),
            (P::Building, E::OfferReady) => self.offer(),
            (P::Offering { ready, .. }, E::Answered { fits: true }) => self.agreed(true, ready),
            (P::Offering { answered, .. }, E::TransportReady) => self.agreed(answered, true),
            // The other device takes no data channel, but has answered: TCP it takes.
            (P::Offering { .. }, E::Answered { fits: false }) if self.kind == TransportKind::DataChannel => {
                self.kind = TransportKind::Tcp;
                self.build();
            }
            (P::Offering { .. }, E::Answered { fits: false }) => self.fail(now, CloseReason::Error(Reason::OPERATION)),

            (P::Offering { answered: true, .. } | P::Connected | P::Closed, E::ChannelLost(_)) => {
                self.has_channel = false;
                planted!("falls_with_its_channel" => self.close(now, CloseReason::Closed));
            }
            (
                P::Reaching { .. } | P::Resuming | P::Building | P::Offering { answered: false, .. },
                E::ChannelLost(reason),
            ) => {
                self.has_channel = false;
                self.fail(now, lost_too_early(reason));
            }
            (P::Building | P::Offering { .. }, E::TransportClosed(reason)) => {
                self.has_transport = false;
                self.fail(now, worse(reason));
            }
            (P::Connected, E::TransportClosed(CloseReason::Terminated)) => {
                self.has_transport = false;
                self.end(CloseReason::Terminated);
            }
            (P::Connected, E::TransportClosed(reason)) => {
                self.has_transport = false;
                self.close(now, reason);
            }
            (P::Connected, E::Close(reason)) => self.close(now, reason),
            (P::Reaching { .. } | P::Resuming | P::Building | P::Offering { .. }, E::Close(reason)) => {
                self.call_off(now, reason)
            }
            (P::Reaching { .. } | P::Resuming | P::Building | P::Offering { .. }, E::TimedOut) => {
                self.fail(now, CloseReason::Error(Reason::TIMEOUT));
            }
            (P::Closed, E::TimedOut) => self.end(CloseReason::Terminated),

            (P::Closed, E::Reconnect) if planted!("reconnect_does_nothing") => {}
            (P::Closed, E::Reconnect) => self.reach(now, true),
            // It is there already, or on its way.
            (P::Reaching { .. } | P::Resuming | P::Building | P::Offering { .. } | P::Connected, E::Reconnect)
            | (P::Closed, E::Close(_)) => {}

            (P::Reaching { again: false }, E::Terminate) => self.terminated_before_launch(),
            (
                P::Reaching { again: true } | P::Resuming | P::Building | P::Offering { .. } | P::Connected | P::Closed,
                E::Terminate,
            ) => self.terminate(now),
            (P::Terminating, E::TerminateAcked | E::PeerTerminates) => self.terminated(true),
            (P::Terminating, E::ChannelLost(_)) => {
                self.has_channel = false;
                self.terminated(false);
            }
            (P::Terminating, E::TimedOut) => self.terminated(false),
            (P::Terminating, E::TransportClosed(_)) => self.has_transport = false,
            (
                P::Reaching { .. } | P::Resuming | P::Building | P::Offering { .. } | P::Connected | P::Closed,
                E::PeerTerminates,
            ) => self.end(CloseReason::Terminated),

            (P::Terminating | P::Ended, E::Close(_) | E::Reconnect | E::Terminate) => return Err(WrongState),

            // It is late: what it is about is over, or it came twice.
            (
                P::Resuming | P::Building | P::Offering { .. } | P::Connected | P::Closed | P::Ended,
                E::ChannelConnected { .. },
            )
            | (
                P::Reaching { .. }
                | P::Building
                | P::Offering { .. }
                | P::Connected
                | P::Closed
                | P::Terminating
                | P::Ended,
                E::Resumed,
            )
            | (
                P::Reaching { .. }
                | P::Resuming
                | P::Offering { .. }
                | P::Connected
                | P::Closed
                | P::Terminating
                | P::Ended,
                E::OfferReady,
            )
            | (
                P::Reaching { .. } | P::Resuming | P::Building | P::Connected | P::Closed | P::Terminating | P::Ended,
                E::Answered { .. } | E::TransportReady,
            )
            | (P::Reaching { .. } | P::Resuming | P::Closed | P::Ended, E::TransportClosed(_))
            | (
                P::Reaching { .. }
                | P::Resuming
                | P::Building
                | P::Offering { .. }
                | P::Connected
                | P::Closed
                | P::Ended,
                E::TerminateAcked,
            )
            | (P::Connected, E::TimedOut)
            | (P::Ended, E::ChannelLost(_) | E::PeerTerminates | E::TimedOut) => {}
        }
        Ok(())
    }

    fn add(&mut self, deed: Deed) {
        self.todo.add(DEEDS, deed);
    }

    fn reach(&mut self, now: Instant, again: bool) {
        self.drop_channel(Reason::NORMAL);
        self.phase = Phase::Reaching { again };
        self.reason = None;
        self.deadline = planted!("connects_for_ever", None, Some(now.after(self.establish_timeout)));
        self.has_channel = true;
        self.add(Deed::OpenChannel);
        self.add(Deed::Tell);
    }

    /// A device of another make is not known to take more than TCP, and does not say so when it is asked.
    fn reached(&mut self, again: bool, is_kin: bool) {
        self.is_kin = is_kin;
        if !is_kin {
            self.kind = TransportKind::Tcp;
        }
        if again {
            self.phase = Phase::Resuming;
            self.add(Deed::Reconnect);
        } else {
            self.add(Deed::Launch);
            self.build();
        }
    }

    fn build(&mut self) {
        self.phase = Phase::Building;
        self.has_transport = true;
        if !planted!("nothing_is_built") {
            self.add(Deed::Build);
        }
    }

    fn offer(&mut self) {
        self.phase = Phase::Offering { answered: false, ready: false };
        self.add(Deed::Offer);
    }

    /// PS-05, PS-07: a data channel that is open needs no word that it is.
    fn agreed(&mut self, answered: bool, ready: bool) {
        self.phase = Phase::Offering { answered, ready };
        if ready && (answered || planted!("connected_without_answer") || self.kind == TransportKind::DataChannel) {
            self.connect();
        }
    }

    fn connect(&mut self) {
        self.phase = Phase::Connected;
        self.was_connected = true;
        self.deadline = None;
        self.add(Deed::Tell);
        if !self.is_kin && self.kind == TransportKind::Tcp {
            self.drop_channel(Reason::NORMAL);
        }
    }

    /// It was connected, or is called off by its page.
    fn close(&mut self, now: Instant, reason: CloseReason) {
        self.phase = Phase::Closed;
        self.reason = Some(reason);
        self.deadline = Some(now.after(CLOSED_KEPT));
        self.drop_transport();
        self.drop_channel(spoken(reason));
        self.add(Deed::Tell);
    }

    fn call_off(&mut self, now: Instant, reason: CloseReason) {
        self.drop_channel(Reason::ABORTED);
        self.give_up(now, reason);
    }

    fn fail(&mut self, now: Instant, reason: CloseReason) {
        self.drop_channel(spoken(reason));
        self.give_up(now, reason);
    }

    /// What never was connected has nothing to go back to.
    fn give_up(&mut self, now: Instant, reason: CloseReason) {
        self.close(now, reason);
        if !self.was_connected {
            self.phase = Phase::Ended;
            self.deadline = None;
            self.add(Deed::Remove);
        }
    }

    fn terminated_before_launch(&mut self) {
        self.is_acknowledged = true;
        self.drop_channel(Reason::ABORTED);
        self.end(CloseReason::Terminated);
        self.add(Deed::Settle);
    }

    fn terminate(&mut self, now: Instant) {
        let is_reached = self.has_channel && !matches!(self.phase, Phase::Reaching { .. });
        let is_reaching = matches!(self.phase, Phase::Reaching { .. });
        self.phase = Phase::Terminating;
        self.reason = Some(CloseReason::Terminated);
        self.add(Deed::Tell);
        if is_reached {
            return self.ask_end(now);
        }
        self.deadline = Some(now.after(self.establish_timeout));
        if !is_reaching {
            self.has_channel = true;
            self.add(Deed::OpenChannel);
        }
    }

    fn ask_end(&mut self, now: Instant) {
        self.deadline = Some(now.after(TERMINATE_ACK_TIMEOUT));
        self.add(Deed::Terminate);
    }

    /// Only now the transport closes: the other device would take its end for that of the connection alone, and leave the
    /// channel on which it is still to hear why.
    fn terminated(&mut self, is_acknowledged: bool) {
        self.is_acknowledged = is_acknowledged;
        self.phase = Phase::Ended;
        self.deadline = None;
        self.drop_transport();
        self.drop_channel(if is_acknowledged { Reason::NORMAL } else { Reason::TIMEOUT });
        self.add(Deed::Settle);
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
        if core::mem::take(&mut self.has_transport) {
            self.add(Deed::CloseTransport);
        }
    }
}

/// A transport that closes before it is there was not closed in order.
const fn worse(reason: CloseReason) -> CloseReason {
    match reason {
        CloseReason::Closed | CloseReason::WentAway | CloseReason::Terminated => CloseReason::Error(Reason::OPERATION),
        CloseReason::Error(_) => reason,
    }
}
