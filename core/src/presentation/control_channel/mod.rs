//! One control channel: the connection on which two devices agree, from its opening to its end.
//!
//! It says hello, passes on what fits the state and the side, answers pings, and ends: in order, or because a time limit
//! has passed. It knows no presentation: what a `launch` means is the service's matter. It holds no text either; who
//! carries out [`Deed::Say`] puts in what belongs there.

#[cfg(test)]
mod tests;
mod word;

use core::mem::take;

use serde::{Deserialize, Serialize};

pub use self::word::Word;
use super::Todo;
use crate::codec::papi::Garbage;
use crate::limits::{
    CHANNEL_CLOSE_TIMEOUT, CHANNEL_GARBAGE_MAX, CHANNEL_GREETING_TIMEOUT, CHANNEL_OPEN_TIMEOUT, CHANNEL_PING_INTERVAL,
    CHANNEL_PINGS_MAX, CHANNEL_UNUSED_TIMEOUT,
};
use crate::message::papi::{EXTENSION, Reason};
use crate::time::Instant;

/// Which end of a channel this is. Who opens the connection is the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Side {
    /// It opened the connection.
    Controller,
    /// It accepted the connection.
    Receiver,
}

/// How far a channel is.
///
/// ```text
/// Opening --opened--> Greeting --connect / connect-ack--> Connected --disconnect said--> Closing
///    |   (OPEN)           |   (GREETING)                     |                              |  (CLOSE)
///    |                    |                                  | disconnect heard, lost       | closed, or its limit
///    +--- failed ---------+---- lost, sent away -------------+------------------------------+--> Closed
/// ```
/// In brackets stands the time limit of a phase. In `Connected` a peer that is one of us is pinged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Phase {
    /// TCP, and TLS where it is used, are under way.
    Opening,
    /// The controller has said who it is, or is to.
    Greeting,
    /// Everything may be said.
    Connected,
    /// This side said that it leaves; the other one is to close.
    Closing,
    /// Nothing comes after this.
    Closed,
}

/// What happens to a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The connection can be used.
    Opened,
    /// The connection could not be made.
    OpenFailed(Reason),
    /// The other side said something.
    Heard(Word),
    /// The other side sent what is no message.
    Garbage(Garbage),
    /// The connection has ended.
    Lost,
    /// Something is to be said.
    Say(Word),
    /// The channel is to be left.
    Leave(Reason),
    /// A deadline has come.
    Tick,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Send this.
    Say(Word),
    /// Close the connection; what was said before is sent first.
    Close,
    /// Tell the owner.
    Tell(News),
}

/// What the owner of a channel is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Everything may be said now.
    Connected,
    /// The other side said this, and it fits.
    Heard(Word),
    /// The channel has ended, for this reason. Nothing comes after this.
    Ended(Reason),
}

/// Caller: this cannot be said now, or not by this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsayable;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Step {
    Hello,
    Given,
    Pong,
    Ping,
    Disconnect,
    TellConnected,
    TellHeard,
    Close,
    TellEnded,
}

const STEPS: &[Step] = &[
    Step::Hello,
    Step::Given,
    Step::Pong,
    Step::Ping,
    Step::Disconnect,
    Step::TellConnected,
    Step::TellHeard,
    Step::Close,
    Step::TellEnded,
];

/// One end of one control channel.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Channel {
    side: Side,
    phase: Phase,
    deadline: Option<Instant>,
    /// Why it ends.
    reason: Reason,
    /// The version of our additions that the other side speaks; 0 for one that is not one of us.
    extension: u8,
    pings: u8,
    garbage: u8,
    is_used: bool,
    todo: Todo<Step>,
    /// What is said, or was heard, with this input.
    word: Option<Word>,
}

impl Channel {
    /// A channel that is being opened from this side, or was accepted.
    pub fn new(now: Instant, side: Side) -> Self {
        Self {
            side,
            phase: Phase::Opening,
            deadline: Some(now.after(CHANNEL_OPEN_TIMEOUT)),
            reason: Reason::NORMAL,
            extension: 0,
            pings: 0,
            garbage: 0,
            is_used: side == Side::Controller,
            todo: Todo::default(),
            word: None,
        }
    }

    /// How far it is.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Which end it is.
    pub const fn side(&self) -> Side {
        self.side
    }

    /// Whether the other side is one of us, and keeps a channel open for as long as its connection lasts.
    pub const fn is_kin(&self) -> bool {
        self.extension > 0
    }

    /// When a tick is due.
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// It is used for something, so it is not sent away for want of use.
    pub fn mark_used(&mut self) {
        self.is_used = true;
        if self.phase == Phase::Connected && !self.is_kin() {
            self.deadline = None;
        }
    }

    /// Takes an event. An error changed nothing.
    pub fn handle(&mut self, now: Instant, event: Event) -> Result<(), Unsayable> {
        match (self.phase, event) {
            (Phase::Opening, Event::Opened) => self.greet(now),
            (Phase::Opening, Event::OpenFailed(reason)) => self.end(reason),
            (Phase::Opening | Phase::Greeting, Event::Lost) => self.end(Reason::CONNECTION_REFUSED),
            (Phase::Connected, Event::Lost) => self.end(Reason::FAILURE),
            (Phase::Closing, Event::Lost) => self.end(self.reason),

            (Phase::Greeting, Event::Heard(word)) => self.greeted(now, word),
            (Phase::Connected, Event::Heard(word)) => self.heard(now, word),
            // What was sent before the other side knew is not looked at.
            (Phase::Closing, Event::Heard(Word::Disconnect(_))) => self.end(self.reason),
            (Phase::Closing, Event::Heard(_)) => {}

            (Phase::Greeting | Phase::Connected, Event::Garbage(garbage)) => self.forgive(now, garbage),

            (Phase::Connected, Event::Say(word)) if word.is_sayable_by(self.side) => self.say(word),
            (Phase::Opening | Phase::Greeting | Phase::Connected | Phase::Closing | Phase::Closed, Event::Say(_)) => {
                return Err(Unsayable);
            }

            (Phase::Opening, Event::Leave(reason)) => self.end(reason),
            (Phase::Greeting, Event::Leave(reason)) => self.send_away(reason),
            (Phase::Connected, Event::Leave(reason)) => self.leave(now, reason),

            (Phase::Opening | Phase::Greeting | Phase::Connected | Phase::Closing, Event::Tick) => self.tick(now),

            // It is late: what it is about is over.
            (Phase::Closing | Phase::Closed, Event::Leave(_) | Event::Garbage(_))
            | (Phase::Closed, Event::Lost | Event::Heard(_) | Event::Tick)
            | (
                Phase::Greeting | Phase::Connected | Phase::Closing | Phase::Closed,
                Event::Opened | Event::OpenFailed(_),
            ) => {}
            // Nothing comes on a connection that is not open.
            (Phase::Opening, Event::Heard(_) | Event::Garbage(_)) => {}
        }
        Ok(())
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Deed> {
        Some(match self.todo.next(STEPS)? {
            Step::Hello if self.side == Side::Controller => Deed::Say(Word::Connect { extension: EXTENSION }),
            Step::Hello => Deed::Say(Word::ConnectAck { extension: self.extension.min(EXTENSION) }),
            Step::Given => Deed::Say(take(&mut self.word)?),
            Step::Pong => Deed::Say(Word::Pong),
            Step::Ping => Deed::Say(Word::Ping),
            Step::Disconnect => Deed::Say(Word::Disconnect(self.reason)),
            Step::TellConnected => Deed::Tell(News::Connected),
            Step::TellHeard => Deed::Tell(News::Heard(take(&mut self.word)?)),
            Step::Close => Deed::Close,
            Step::TellEnded => Deed::Tell(News::Ended(self.reason)),
        })
    }

    /// The next thing to tell the owner, before what is to be said or closed: what is heard is in the owner's hands only
    /// while it handles the input.
    pub(super) fn take_news(&mut self) -> Option<News> {
        const NEWS: [Step; 3] = [Step::TellConnected, Step::TellHeard, Step::TellEnded];
        let step = NEWS.into_iter().find(|step| self.todo.take(STEPS, *step))?;
        Some(match step {
            Step::TellConnected => News::Connected,
            Step::TellHeard => News::Heard(take(&mut self.word)?),
            _ => News::Ended(self.reason),
        })
    }

    fn add(&mut self, step: Step) {
        self.todo.add(STEPS, step);
    }

    fn greet(&mut self, now: Instant) {
        self.phase = Phase::Greeting;
        self.deadline = Some(now.after(CHANNEL_GREETING_TIMEOUT));
        if self.side == Side::Controller {
            self.add(Step::Hello);
        }
    }

    fn greeted(&mut self, now: Instant, word: Word) {
        match (self.side, word) {
            (Side::Controller, Word::ConnectAck { extension }) => self.connect(now, extension),
            (Side::Receiver, Word::Connect { extension }) => {
                self.connect(now, extension);
                self.add(Step::Hello);
            }
            (Side::Controller | Side::Receiver, Word::Disconnect(reason)) => self.end(reason),
            // Out of place.
            (Side::Controller, Word::Connect { .. })
            | (Side::Receiver, Word::ConnectAck { .. })
            | (
                Side::Controller | Side::Receiver,
                Word::Launch
                | Word::LaunchAck
                | Word::Terminate
                | Word::TerminateAck
                | Word::Reconnect
                | Word::ReconnectAck
                | Word::Offer
                | Word::Answer
                | Word::IceCandidate
                | Word::Ping
                | Word::Pong
                | Word::Unknown,
            ) => {}
        }
    }

    fn connect(&mut self, now: Instant, extension: u8) {
        self.phase = Phase::Connected;
        self.extension = extension;
        self.rest(now);
        self.add(Step::TellConnected);
    }

    fn heard(&mut self, now: Instant, word: Word) {
        self.pings = 0;
        if self.is_kin() {
            self.rest(now);
        }
        match word {
            Word::Disconnect(reason) => self.end(reason),
            Word::Ping if self.is_kin() => self.add(Step::Pong),
            word if word.is_hearable_by(self.side) => {
                self.word = Some(word);
                self.add(Step::TellHeard);
            }
            // Twice, out of place, or from the future.
            _ => {}
        }
    }

    fn forgive(&mut self, now: Instant, garbage: Garbage) {
        self.garbage = self.garbage.saturating_add(1);
        let is_forgiven =
            !planted!("no_garbage_forgiven") && garbage == Garbage::NotJson && self.garbage <= CHANNEL_GARBAGE_MAX;
        match self.phase {
            Phase::Opening | Phase::Greeting | Phase::Connected | Phase::Closing | Phase::Closed if is_forgiven => {}
            Phase::Connected => {
                self.leave(now, Reason::FAILURE);
            }
            Phase::Opening | Phase::Greeting | Phase::Closing | Phase::Closed => self.send_away(Reason::FAILURE),
        }
    }

    fn say(&mut self, word: Word) {
        self.word = Some(word);
        self.add(Step::Given);
    }

    /// In order: the other side is told, and closes.
    fn leave(&mut self, now: Instant, reason: Reason) {
        self.phase = Phase::Closing;
        self.deadline = Some(now.after(CHANNEL_CLOSE_TIMEOUT));
        self.reason = reason;
        self.add(Step::Disconnect);
    }

    /// The other side is told, and not waited for.
    fn send_away(&mut self, reason: Reason) {
        self.end(reason);
        self.add(Step::Disconnect);
    }

    fn end(&mut self, reason: Reason) {
        self.phase = Phase::Closed;
        self.deadline = None;
        self.reason = reason;
        self.add(Step::Close);
        self.add(Step::TellEnded);
    }

    fn tick(&mut self, now: Instant) {
        if self.deadline.is_none_or(|deadline| deadline > now) {
            return;
        }
        match self.phase {
            Phase::Opening => self.end(Reason::NETWORK_TIMEOUT),
            Phase::Greeting => self.send_away(Reason::TIMEOUT),
            Phase::Connected if !self.is_kin() => self.leave(now, Reason::TIMEOUT),
            Phase::Connected if self.pings >= CHANNEL_PINGS_MAX => self.send_away(Reason::NETWORK_TIMEOUT),
            Phase::Connected => {
                self.pings = self.pings.saturating_add(1);
                self.add(Step::Ping);
                self.rest(now);
            }
            Phase::Closing => self.end(self.reason),
            Phase::Closed => {}
        }
    }

    /// Until when nothing need happen in `Connected`.
    fn rest(&mut self, now: Instant) {
        self.deadline = match (self.is_kin(), self.is_used) {
            (true, _) => Some(now.after(CHANNEL_PING_INTERVAL)),
            (false, false) => Some(now.after(CHANNEL_UNUSED_TIMEOUT)),
            (false, true) => None,
        };
    }
}
