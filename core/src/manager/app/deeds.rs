//! What is to be done for an app, derived from what it is and what it is to be.

use super::{App, Link, Notification, Order, Source, Subject};
use crate::manager::phase::{Deed, Phase};
use crate::message::TargetState;

impl App {
    /// The next thing to do for it: answers before notifications, notifications before what comes next.
    pub(in crate::manager) fn poll(&mut self) -> Option<Deed> {
        // Who hears of its end finds nothing of it any more (SM-34).
        if core::mem::take(&mut self.socket_removal_due) {
            return Some(Deed::RemoveSocket);
        }
        if let Some((ticket, outcome)) = self.outcome.take() {
            return Some(Deed::Reply(ticket, outcome));
        }
        if let Some(Notification { state, reason }) = self.notifications.pop_front() {
            return Some(Deed::Notify(state, reason));
        }
        if let Some(signal) = self.signal.take() {
            return Some(Deed::Signal(signal));
        }
        match self.link {
            Link::Open => self.next_request(),
            Link::Closing => {
                self.link = Link::Absent;
                Some(Deed::CloseLink)
            }
            // What was left of an earlier server has gone now.
            Link::Absent => self.next_server(),
        }
    }

    fn next_server(&mut self) -> Option<Deed> {
        match self.server_due.take()? {
            Source::New => Some(Deed::Spawn),
            Source::Spare(spare) => {
                self.link = Link::Open;
                Some(Deed::Take(spare))
            }
        }
    }

    /// At most one request is outstanding on a link, so that one message at most waits to be sent.
    fn next_request(&mut self) -> Option<Deed> {
        if self.outstanding.is_some() {
            return None;
        }
        if self.order == Order::Due {
            self.order = Order::Sent;
            let sequence = self.ask(Subject::Order);
            return match self.phase {
                Phase::Configuring => Some(Deed::Configure(sequence)),
                Phase::Activating => Some(Deed::SetState(sequence, TargetState::Active)),
                Phase::Deactivating => Some(Deed::SetState(sequence, TargetState::Inactive)),
                Phase::Stopping => Some(Deed::SetState(sequence, TargetState::NotRunning)),
                Phase::Spawning | Phase::Resting | Phase::Starting => None,
                Phase::Inactive | Phase::Active | Phase::Failed => None,
                Phase::Terminating | Phase::Killing | Phase::Reaped => None,
            };
        }
        if core::mem::take(&mut self.ping_due) {
            return Some(Deed::Ping(self.ask(Subject::Ping)));
        }
        if self.levels_due && !self.is_ending() {
            self.levels_due = false;
            return Some(Deed::SetLogLevels(self.ask(Subject::LogLevels)));
        }
        None
    }

    fn ask(&mut self, subject: Subject) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.outstanding = Some((self.sequence, subject));
        self.sequence
    }
}
