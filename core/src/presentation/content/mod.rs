//! One connection in the process of its page, which builds the data channel itself (PS-06, PS-07, PS-15, PS-20).
//!
//! It is Mozilla's `PresentationContentSessionInfo`. The service keeps a proxy of it, has it build, and carries its
//! description and its candidates to the other device; what is sent on the channel the service never sees.
//!
//! ```text
//!  this machine                    service                          other device
//!     | <-------------- Build offers  |                                   |
//!     | Built Offer ----------------> | offer --------------------------> |
//!     | Built Candidate ------------> | ice-candidate ------------------> |
//!     | <--------------- Built Answer | <------------------------- answer |
//!     | <============================ data channel =====================> |
//!     | Built Open -----------------> |                                   |
//!     | <------------ State Connected |                                   |
//! ```
//!
//! It holds no text, no socket and no message, only whether these are there; whoever drives it holds them.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::Todo;
use crate::limits::{
    DATA_CHANNEL_BUFFERED_BYTES_MAX, DATA_CHANNEL_TIMEOUT, DEPARTURE_TIMEOUT, ESTABLISH_TIMEOUT_MAX,
    TRANSPORT_MESSAGE_BYTES_MAX,
};
use crate::message::papi::Reason;
use crate::message::presentation::{CloseReason, ConnectionState, Refusal};
use crate::time::Instant;

/// How far a connection is.
///
/// ```text
///            +- we offer ---> Describing --described--> Offering --answer--+
/// Waiting ---+                                                             +--> Opening --channel open--> Open
///  |   ^     +- they offer -> Listening --offer--> Answering --described---+                              |
///  |   |                          |                                                                       |
///  |   +--- not wanted any more --+-- failed, late --> Lost               page closes it: Draining  <-----+
///  |                                                     |      (two seconds, or until all has arrived)   |
///  +-- connected without: Relayed                        |                                                |
///                           |                            |                                                |
///                           +---- the service says that it has ended ----> Ended  <-----------------------+
/// ```
/// `Ended` begins again when it is to be built once more (PS-09). Whatever is between `Waiting` and `Open` has a limit of
/// ten seconds, but for `Offering`: the other device's page may be loading, for as long as a connection may take (PS-30).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Nothing is to be built yet.
    Waiting,
    /// The service carries the messages: the other device takes no data channel.
    Relayed,
    /// Our offer is being made.
    Describing,
    /// Our offer was said.
    Offering,
    /// The other device makes the offer.
    Listening,
    /// Our answer is being made.
    Answering,
    /// Both descriptions are known, and the two ends look for each other.
    Opening,
    /// Messages go both ways.
    Open {
        /// The service has said so: the page knows.
        told: bool,
    },
    /// The page leaves it, and what it has sent is on its way still.
    Draining,
    /// The channel has gone; the service is to say what comes of it.
    Lost,
    /// It has ended, as far as the page is concerned.
    Ended,
}

/// What happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The service wants a channel.
    Build {
        /// Whether this side makes the offer.
        offers: bool,
    },
    /// The service wants none any more.
    Unwanted,
    /// The other device has made an offer.
    OfferHeard,
    /// The other device has answered.
    AnswerHeard,
    /// The other device can be reached in one more way.
    CandidateHeard,
    /// The service says that the connection is connected.
    Connected,
    /// The service says that the connection is closed or terminated, or the service has gone.
    Over,
    /// Our description is made.
    Described,
    /// This side can be reached in one more way.
    Gathered,
    /// The channel is open.
    Opened,
    /// The other side has closed the channel in order.
    ChannelClosed,
    /// The channel could not be made, or the other side is not there any more.
    ChannelFailed,
    /// The page leaves.
    Close {
        /// Because it goes away: nothing is waited for.
        went_away: bool,
    },
    /// All that was sent has arrived.
    Drained,
    /// Its deadline has come.
    TimedOut,
}

/// What is to be done, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deed {
    /// Say our description to the service.
    SayDescription,
    /// Say those of our candidates that were not said yet, in the order in which they were gathered.
    SayCandidates,
    /// Tell the service that the channel is open (PS-07).
    SayOpen,
    /// Tell the service that the channel is not, or no longer: for [`Content::reason`].
    SayOver,
    /// Close the channel in order.
    CloseChannel,
    /// Ask the service to close the connection.
    Leave,
    /// Let go of the channel, its sockets, and all that waits.
    Drop,
    /// Make a channel, and an offer.
    Offer,
    /// Make a channel, and an answer to the offer that was heard.
    Answer,
    /// Give the answer that was heard to the channel.
    TakeAnswer,
    /// Give the candidates that were heard and not given yet to the channel, in their order.
    TakeCandidates,
    /// Give the page what came before it knew that it is connected.
    Deliver,
}

const DEEDS: &[Deed] = &[
    Deed::SayDescription,
    Deed::SayCandidates,
    Deed::SayOpen,
    Deed::SayOver,
    Deed::CloseChannel,
    Deed::Leave,
    Deed::Drop,
    Deed::Offer,
    Deed::Answer,
    Deed::TakeAnswer,
    Deed::TakeCandidates,
    Deed::Deliver,
];

/// Where a message of the page goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// To the service, which carries it or says why not.
    Service,
    /// On the channel.
    Channel,
}

/// One connection of a page.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Content {
    phase: Phase,
    deadline: Option<Instant>,
    reason: CloseReason,
    /// Its own candidates that wait until the description was said.
    is_gathered: bool,
    /// The other side's candidates that wait for its description.
    is_heard: bool,
    todo: Todo<Deed>,
}

impl Default for Content {
    fn default() -> Self {
        Self::new()
    }
}

impl Content {
    /// A connection of which nothing is known but that it is the page's.
    pub const fn new() -> Self {
        Self {
            phase: Phase::Waiting,
            deadline: None,
            reason: CloseReason::Closed,
            is_gathered: false,
            is_heard: false,
            todo: Todo::new(),
        }
    }

    /// How far it is.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Why there is no channel.
    pub const fn reason(&self) -> CloseReason {
        self.reason
    }

    /// When [`Event::TimedOut`] is due.
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether the other side's messages may be given to the page: it knows that it is connected (PS-17).
    pub fn is_read(&self) -> bool {
        matches!(self.phase, Phase::Open { told } if told || planted!("given_before_told"))
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Deed> {
        self.todo.next(DEEDS)
    }

    /// Where a message of so many bytes goes, when so many wait already (PS-18, PS-19).
    ///
    /// Caller: refused when it is too long or too much waits, and, as by the service, unless the connection is connected:
    /// what was taken before would be lost when the other device takes no data channel.
    pub fn route(&self, bytes: usize, buffered_bytes: usize) -> Result<Route, Refusal> {
        let state = match self.phase {
            Phase::Waiting | Phase::Relayed => return Ok(Route::Service),
            Phase::Open { .. } => ConnectionState::Connected,
            Phase::Describing | Phase::Offering | Phase::Listening | Phase::Answering | Phase::Opening => {
                ConnectionState::Connecting
            }
            Phase::Draining | Phase::Lost | Phase::Ended => ConnectionState::Closed,
        };
        if state != ConnectionState::Connected {
            return Err(Refusal::WrongState { state });
        }
        if bytes > TRANSPORT_MESSAGE_BYTES_MAX {
            return Err(Refusal::TextLength);
        }
        // One message is always taken, however long it is.
        if buffered_bytes > 0 && buffered_bytes.saturating_add(bytes) > DATA_CHANNEL_BUFFERED_BYTES_MAX {
            return Err(Refusal::Congested);
        }
        Ok(Route::Channel)
    }

    /// Takes an event.
    #[allow(clippy::too_many_lines, reason = "the whole table in one place, every pair by name")]
    pub fn handle(&mut self, now: Instant, event: Event) {
        use {Event as E, Phase as P};
        match (self.phase, event) {
            // What was built before is not what is wanted now.
            (_, E::Build { offers }) => self.build(now, offers),

            // The service knows how long it waits for the other device, and says when it does not any more.
            (P::Describing, E::Described) => self.said(P::Offering, now.after(ESTABLISH_TIMEOUT_MAX)),
            (P::Answering, E::Described) => self.said(P::Opening, now.after(DATA_CHANNEL_TIMEOUT)),
            (P::Listening, E::OfferHeard) => {
                self.phase = P::Answering;
                self.add(Deed::Answer);
                self.take_candidates();
            }
            (P::Offering, E::AnswerHeard) => {
                self.phase = P::Opening;
                self.deadline = Some(now.after(DATA_CHANNEL_TIMEOUT));
                self.add(Deed::TakeAnswer);
                self.take_candidates();
            }
            // In order: nothing is said before its description, and nothing is given before the other's (PS-07).
            (P::Describing | P::Answering, E::Gathered) => self.is_gathered = true,
            (P::Offering | P::Opening | P::Open { .. }, E::Gathered) => self.add(Deed::SayCandidates),
            (P::Describing | P::Offering | P::Listening, E::CandidateHeard) => {
                self.is_heard = true;
                planted!("candidate_before_description" => self.add(Deed::TakeCandidates));
            }
            (P::Answering | P::Opening | P::Open { .. }, E::CandidateHeard) => self.add(Deed::TakeCandidates),

            (P::Opening, E::Opened) => self.open(),
            (P::Open { .. }, E::Connected) => {
                self.phase = P::Open { told: true };
                self.add(Deed::Deliver);
            }
            // The service went on without a channel.
            (P::Waiting, E::Connected) => self.phase = P::Relayed,
            (P::Describing | P::Offering | P::Listening | P::Answering | P::Opening, E::Connected) => {
                self.let_go(P::Relayed);
            }
            (P::Describing | P::Offering | P::Listening | P::Answering | P::Opening, E::Unwanted) => {
                self.let_go(P::Waiting);
            }

            (
                P::Describing | P::Offering | P::Listening | P::Answering | P::Opening,
                E::ChannelFailed | E::ChannelClosed,
            ) => self.lose(CloseReason::Error(Reason::OPERATION)),
            (P::Describing | P::Offering | P::Listening | P::Answering | P::Opening, E::TimedOut) => {
                self.lose(CloseReason::Error(Reason::TIMEOUT));
            }
            (P::Open { .. }, E::ChannelClosed) => self.lose(CloseReason::Closed),
            (P::Open { .. }, E::ChannelFailed) => self.lose(CloseReason::WentAway),

            (P::Open { .. }, E::Close { went_away: false }) => {
                self.phase = P::Draining;
                self.deadline = Some(now.after(DEPARTURE_TIMEOUT));
            }
            (P::Draining, E::Drained | E::TimedOut | E::ChannelClosed | E::ChannelFailed) => {
                self.add(Deed::CloseChannel);
                self.leave();
            }
            // Nobody waits for the rest.
            (P::Open { .. } | P::Draining, E::Close { went_away: true })
            | (
                P::Describing | P::Offering | P::Listening | P::Answering | P::Opening | P::Lost,
                E::Close { .. },
            ) => self.leave(),
            (P::Waiting | P::Relayed | P::Ended, E::Close { .. }) => self.add(Deed::Leave),

            (
                P::Describing
                | P::Offering
                | P::Listening
                | P::Answering
                | P::Opening
                | P::Open { .. }
                | P::Draining,
                E::Over,
            ) => self.let_go(P::Ended),
            (P::Waiting | P::Relayed | P::Lost, E::Over) => self.phase = P::Ended,

            // It is late, came twice, or is about a channel that there is not.
            (
                P::Waiting | P::Relayed | P::Lost | P::Ended,
                E::Unwanted
                | E::OfferHeard
                | E::AnswerHeard
                | E::CandidateHeard
                | E::Described
                | E::Gathered
                | E::Opened
                | E::ChannelClosed
                | E::ChannelFailed
                | E::Drained
                | E::TimedOut,
            )
            | (
                P::Describing | P::Offering | P::Answering | P::Opening | P::Open { .. } | P::Draining,
                E::OfferHeard,
            )
            | (
                P::Describing | P::Listening | P::Answering | P::Opening | P::Open { .. } | P::Draining,
                E::AnswerHeard,
            )
            | (P::Offering | P::Listening | P::Opening | P::Open { .. } | P::Draining, E::Described)
            | (
                P::Describing | P::Offering | P::Listening | P::Answering | P::Open { .. } | P::Draining,
                E::Opened,
            )
            | (
                P::Describing | P::Offering | P::Listening | P::Answering | P::Opening | P::Open { .. },
                E::Drained,
            )
            // The service says next how it is.
            | (P::Open { .. } | P::Draining, E::Unwanted)
            | (P::Listening, E::Gathered)
            | (P::Draining, E::CandidateHeard | E::Gathered | E::Close { went_away: false })
            | (P::Open { .. }, E::TimedOut)
            | (P::Relayed | P::Draining | P::Lost | P::Ended, E::Connected)
            | (P::Ended, E::Over) => {}
        }
    }

    fn add(&mut self, deed: Deed) {
        self.todo.add(DEEDS, deed);
    }

    fn build(&mut self, now: Instant, offers: bool) {
        if self.has_channel() {
            self.add(Deed::Drop);
        }
        (self.is_gathered, self.is_heard) = (false, false);
        self.deadline = Some(now.after(DATA_CHANNEL_TIMEOUT));
        self.phase = if offers { Phase::Describing } else { Phase::Listening };
        if offers {
            self.add(Deed::Offer);
        }
    }

    const fn has_channel(&self) -> bool {
        match self.phase {
            Phase::Waiting | Phase::Relayed | Phase::Lost | Phase::Ended => false,
            Phase::Describing
            | Phase::Offering
            | Phase::Listening
            | Phase::Answering
            | Phase::Opening
            | Phase::Open { .. }
            | Phase::Draining => true,
        }
    }

    fn said(&mut self, next: Phase, deadline: Instant) {
        self.phase = next;
        self.deadline = Some(deadline);
        self.add(Deed::SayDescription);
        if core::mem::take(&mut self.is_gathered) {
            self.add(Deed::SayCandidates);
        }
    }

    fn take_candidates(&mut self) {
        if core::mem::take(&mut self.is_heard) {
            self.add(Deed::TakeCandidates);
        }
    }

    fn open(&mut self) {
        self.phase = Phase::Open { told: false };
        self.deadline = None;
        self.add(Deed::SayOpen);
    }

    /// The service decides what comes of it.
    fn lose(&mut self, reason: CloseReason) {
        self.reason = reason;
        self.add(Deed::SayOver);
        self.let_go(Phase::Lost);
    }

    fn leave(&mut self) {
        self.add(Deed::Leave);
        if self.phase == Phase::Lost {
            self.phase = Phase::Ended;
        } else {
            self.let_go(Phase::Ended);
        }
    }

    fn let_go(&mut self, next: Phase) {
        self.phase = next;
        self.deadline = None;
        self.add(Deed::Drop);
    }
}
