//! How the connection begins, ends, and begins again.

use core::time::Duration;

use serde::{Deserialize, Serialize};

#[cfg(doc)]
use super::Notification;
use super::call::{CallKind, Caller, Outcome};
use super::{Client, LostReason, Outgoing, Retry};
use crate::fmt::debug;
use crate::hal::ErrorKind;
use crate::limits::{CALL_TIMEOUT, CONNECT_RETRY_INTERVAL};
use crate::message::AppState;
use crate::message::playback::Event;
use crate::time::Instant;

/// How far the connection to the session server is.
///
/// ```text
///                Connect               Opened              Welcome
/// Disconnected ----------> Connecting --------> Greeting ----------> Connected --+ Call, answers,
///      ^                     |  ^  |               |                  |  |  ^ ^  | events
///      |                     |  +--+ its queue is  |                  |  |  | +--+
///      |                     |       full: again   |                  |  |  |
///      +---------------------+---------------------+------------------+  |  |
///      |   not reached, refused, ended, silent; it broke the rules;      |  | Welcome
///      |   Disconnect                                                    |  |
///      |                                            the server has gone  |  |
///      |                                                      +----------+  |
///      |                                                      v             |
///      +------------------------------------------------ Reconnecting       |
///      |   Disconnect; not reached within the time        |  |  ^  ^        |
///      |                                    not reached:  |  +--+  | gone   |
///      |                                    after a pause | Opened | again  |
///      |                                                  v        |        |
///      +------------------------------------------------ GreetingAgain -----+
///          Disconnect; refused, silent; it broke the rules
/// ```
///
/// A connection that had been welcomed ends with [`Notification::ConnectionLost`] and begins again with
/// [`Notification::Reconnected`] (SM-36); where no other will be tried, [`Notification::GivenUp`] is the last word. A new
/// connection starts from nothing: [`Client::connections`] tells it from those before, so that what the app says about
/// a session of an earlier one means none of the new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ConnectionState {
    /// There is none.
    #[default]
    Disconnected,
    /// The platform opens it.
    Connecting {
        /// When it is given up.
        deadline: Instant,
        /// When it is tried again, where the server's queue was full.
        retry_at: Option<Instant>,
    },
    /// It is open; the server has not welcomed us yet.
    Greeting,
    /// Calls can be made.
    Connected,
    /// It is lost; the platform opens another.
    Reconnecting {
        /// When it is given up.
        deadline: Instant,
        /// When it is tried again, where the last attempt has failed.
        retry_at: Option<Instant>,
    },
    /// Another is open, perhaps in the queue of a server that is being restarted; nobody has welcomed us yet.
    GreetingAgain {
        /// When it is given up.
        deadline: Instant,
    },
}

impl Client {
    pub(super) fn start_connecting(&mut self, now: Instant, reconnect_for: Duration) {
        self.state = ConnectionState::Connecting { deadline: now.after(CALL_TIMEOUT), retry_at: None };
        self.retry = Retry::new(reconnect_for);
        self.open = planted!("connects_when_called", false, true);
    }

    pub(super) fn greet(&mut self, now: Instant) {
        self.state = ConnectionState::Greeting;
        self.say_hello(now.after(CALL_TIMEOUT));
    }

    /// A server that is being restarted may take long; its socket's queue keeps the greeting meanwhile.
    pub(super) fn greet_again(&mut self, deadline: Instant) {
        self.state = ConnectionState::GreetingAgain { deadline };
        self.say_hello(deadline);
    }

    fn say_hello(&mut self, deadline: Instant) {
        // The calls of the connection before have ended, so there is a place.
        if let Ok(call) = self.enter(deadline, CallKind::Hello, Caller::Machine) {
            self.outgoing = Some(Outgoing::Hello(call));
        }
    }

    /// A full queue of the listener empties by itself; anything else does not.
    pub(super) fn opening_failed(&mut self, now: Instant, deadline: Instant, kind: ErrorKind) {
        let retry_at = now.after(CONNECT_RETRY_INTERVAL);
        if kind == ErrorKind::Busy && retry_at < deadline {
            self.state = ConnectionState::Connecting { deadline, retry_at: Some(retry_at) };
        } else {
            self.give_up(LostReason::Unreachable(kind));
        }
    }

    /// The connection has ended by itself. Where a restart of the server cures that, it is tried again.
    pub(super) fn lose(&mut self, now: Instant, reason: LostReason) {
        if self.retry.is_off() || !reason.is_cured_by_restart() {
            return self.give_up(reason);
        }
        self.end_connection(reason);
        let retry_at = self.retry.after_connection(now);
        self.state = ConnectionState::Reconnecting { deadline: self.retry.deadline(now), retry_at };
        self.open = retry_at.is_none();
    }

    /// Another connection could not be had.
    pub(super) fn reconnecting_failed(&mut self, now: Instant, deadline: Instant, reason: LostReason) {
        let retry_at = self.retry.after_attempt(now);
        if retry_at >= deadline || !reason.is_cured_by_restart() {
            return self.give_up(reason);
        }
        self.end_connection(reason);
        self.state = ConnectionState::Reconnecting { deadline, retry_at: Some(retry_at) };
    }

    /// Ends the connection for good.
    pub(super) fn give_up(&mut self, reason: LostReason) {
        self.end_connection(reason);
        self.state = ConnectionState::Disconnected;
        self.given_up = Some(reason);
    }

    /// Ends everything that depends on the connection. Calls that have no outcome yet get theirs.
    fn end_connection(&mut self, reason: LostReason) {
        debug!("connection lost");
        self.lost = (self.state == ConnectionState::Connected).then_some(reason);
        self.application = AppState::Unknown;
        self.close = true;
        self.open = false;
        self.outgoing = None;
        if !planted!("memory_kept_at_the_end") {
            self.give_up_memory();
        }
        for (_, call) in self.calls.iter_mut().filter(|_| !planted!("reply_lost_on_eof")) {
            call.outcome.get_or_insert(Outcome::ConnectionLost);
        }
    }

    pub(super) fn tick(&mut self, now: Instant) {
        match self.state {
            ConnectionState::Connecting { deadline, retry_at } => {
                if self.is_to_be_opened(now, deadline, retry_at) {
                    self.state = ConnectionState::Connecting { deadline, retry_at: None };
                }
            }
            ConnectionState::Reconnecting { deadline, retry_at } => {
                if self.is_to_be_opened(now, deadline, retry_at) {
                    self.state = ConnectionState::Reconnecting { deadline, retry_at: None };
                }
            }
            ConnectionState::Disconnected
            | ConnectionState::Greeting
            | ConnectionState::GreetingAgain { .. }
            | ConnectionState::Connected => self.tick_calls(now),
        }
    }

    /// Whether the next attempt is due; without any in time nothing is attempted any more.
    fn is_to_be_opened(&mut self, now: Instant, deadline: Instant, retry_at: Option<Instant>) -> bool {
        if deadline <= now {
            self.give_up(LostReason::Unreachable(ErrorKind::Busy));
            return false;
        }
        let is_due = retry_at.is_some_and(|retry_at| retry_at <= now);
        self.open |= is_due;
        is_due
    }

    pub(super) fn welcomed(&mut self, now: Instant, state: AppState) {
        self.is_reconnected = matches!(self.state, ConnectionState::GreetingAgain { .. });
        self.state = ConnectionState::Connected;
        self.connections = self.connections.wrapping_add(1);
        self.retry.welcomed(now);
        self.application = state;
        self.event = Some(Event::ApplicationState(state));
    }
}
