//! How an app's server is brought to its end, and how that is told.

use super::{App, Link};
use crate::hal::{ExitStatus, Signal};
use crate::manager::phase::{Late, Outcome, Phase, Scene};
use crate::message::{Reason, ServerState, TargetState};

impl App {
    /// Only what follows the diagram of states is passed on, only on the way to an end that was asked for, and Active
    /// only if it was granted.
    pub(super) fn said_on_its_way_out(&mut self, state: ServerState, scene: &mut Scene<'_>) -> Result<(), Late> {
        use ServerState::{Active, Inactive, Uninitialized};
        let follows = match (self.notified, state) {
            (None, Uninitialized) | (Some(Uninitialized | Active), Inactive) => true,
            (Some(Uninitialized | Inactive), Active) => self.reservation.is_some(),
            _ => false,
        };
        let was_asked = self.wanted == TargetState::NotRunning && self.cause.is_none();
        if planted!("any_state_passed_on", false, !follows || !was_asked || self.announced) {
            return Err(Late);
        }
        self.notify(state, None);
        if state == Inactive {
            self.release(scene);
        }
        Ok(())
    }

    /// Asks it to end.
    pub(super) fn stop(&mut self, scene: &Scene<'_>) {
        match self.phase {
            // It is asked as soon as it is there.
            Phase::Spawning => {}
            Phase::Resting => self.end_without_server(scene),
            _ => self.enter_with_order(Phase::Stopping, scene),
        }
    }

    /// It reported an Error that ends it (SM-10, SM-11).
    pub(super) fn end_with(&mut self, cause: Reason, scene: &Scene<'_>) {
        self.cause = Some(cause);
        self.await_end(scene);
    }

    /// It ends by itself, so it is not asked to.
    pub(super) fn await_end(&mut self, scene: &Scene<'_>) {
        self.settle(Outcome::ServerGone);
        self.enter(Phase::Stopping, scene);
    }

    pub(super) fn terminate(&mut self, scene: &Scene<'_>) {
        self.settle(Outcome::ServerTimeout);
        self.send_signal(Signal::Terminate);
        self.enter(Phase::Terminating, scene);
    }

    pub(super) fn kill(&mut self, cause: Reason, outcome: Outcome, scene: &Scene<'_>) {
        if !self.is_ending() {
            self.cause = Some(cause);
        }
        self.settle(outcome);
        self.send_signal(Signal::Kill);
        self.lose_link();
        self.enter(Phase::Killing, scene);
    }

    pub(super) fn send_signal(&mut self, signal: Signal) {
        self.signal = Some(signal);
        self.signalled = true;
    }

    pub(super) fn lose_link(&mut self) {
        if self.link == Link::Open {
            self.link = Link::Closing;
        }
        self.outstanding = None;
        self.ping_due = false;
    }

    pub(super) fn reaped(&mut self, status: ExitStatus, scene: &mut Scene<'_>) {
        let (state, reason) = self.end_state(status, self.is_kept_up(scene));
        planted!("reply_lost_on_exit" => self.requester = None);
        planted!("decoder_of_the_dead" => self.reservation = None);
        self.settle(Outcome::ServerGone);
        self.notify(state, Some(reason));
        self.release(scene);
        self.lose_link();
        (self.signal, self.process_id) = (None, 0);
        (self.started_at, self.clients) = (None, 0);
        self.carry_on(scene);
    }

    /// How the end is told: the first cause wins; what was asked for is no error. After NotRunning nothing follows, so it
    /// is not told of a server that is to be restarted (SM-31).
    pub(super) fn end_state(&self, status: ExitStatus, is_kept_up: bool) -> (ServerState, Reason) {
        let seen = match status {
            ExitStatus::Exited(status) => Reason::Exited(status),
            ExitStatus::Killed(signal) => Reason::Killed(signal),
        };
        let was_asked = self.wanted == TargetState::NotRunning;
        match self.cause {
            Some(cause) if is_kept_up => (ServerState::Error, cause),
            // Its Error was told when it happened, and did not end it.
            Some(cause) if self.notified == Some(ServerState::Error) => (ServerState::NotRunning, cause),
            Some(cause) => (ServerState::Error, cause),
            None if was_asked && seen == Reason::Exited(0) => (ServerState::NotRunning, Reason::Asked),
            None if was_asked || self.announced || self.notified == Some(ServerState::Error) => {
                let goes_on = planted!("restart_after_not_running", false, is_kept_up);
                (if goes_on { ServerState::Error } else { ServerState::NotRunning }, seen)
            }
            None if self.signalled => (ServerState::Error, Reason::LinkBroken),
            None => (ServerState::Error, seen),
        }
    }
}
