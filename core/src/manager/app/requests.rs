//! What the manager asks of an app, for a controller or because it ends itself.

use super::{App, Order};
use crate::manager::Ticket;
use crate::manager::phase::{Admission, Outcome, Phase, Scene};
use crate::message::TargetState;
use crate::message::control::Refusal;
use crate::resources::Reservation;

impl App {
    /// Starts it for who asked, with what was reserved for it.
    pub(in crate::manager) fn begin(&mut self, from: Ticket, held: Option<Reservation>, scene: &mut Scene<'_>) {
        self.requester = Some(from);
        self.reservation = held;
        self.get_server(scene);
    }

    /// Whether it may be asked to go to `target` now (SM-14, SM-37).
    pub(in crate::manager) fn admit(&self, target: TargetState) -> Result<Admission, Refusal> {
        use Phase as P;
        use TargetState as To;
        match (self.phase, target) {
            (P::Stopping | P::Terminating | P::Killing | P::Reaped, To::NotRunning)
            | (P::Inactive, To::Inactive)
            | (P::Active, To::Active) => Ok(Admission::There),
            (P::Activating, To::Inactive) if planted!("second_request_taken") => Ok(Admission::Open),
            (P::Resting | P::Spawning | P::Starting | P::Configuring, To::NotRunning)
            | (P::Activating | P::Deactivating, To::NotRunning)
            | (P::Inactive | P::Active | P::Failed, To::NotRunning)
            | (P::Inactive, To::Active)
            | (P::Active, To::Inactive) => Ok(Admission::Open),
            (P::Spawning | P::Starting, To::Inactive | To::Active) if !self.is_restarting() => Err(Refusal::NotRunning),
            (P::Resting | P::Spawning | P::Starting | P::Configuring, To::Inactive | To::Active)
            | (P::Activating | P::Deactivating, To::Inactive | To::Active)
            | (P::Stopping | P::Terminating | P::Killing | P::Reaped, To::Inactive | To::Active) => Err(Refusal::Busy),
            (P::Failed, To::Inactive | To::Active) => Err(Refusal::WrongState { state: self.notified }),
        }
    }

    /// It is where it is to be, or on its way there.
    pub(in crate::manager) const fn keep(&mut self, target: TargetState) {
        self.wanted = target;
    }

    /// Sends it to `target`, which [`App::admit`] found open.
    pub(in crate::manager) fn go(
        &mut self,
        target: TargetState,
        from: Ticket,
        held: Option<Reservation>,
        scene: &Scene<'_>,
    ) {
        self.settle(Outcome::Superseded);
        self.requester = Some(from);
        self.wanted = target;
        planted!("active_answered_unasked" => if target == TargetState::Active { self.settle(Outcome::Done) });
        match target {
            TargetState::Active => {
                self.reservation = held;
                self.enter_with_order(Phase::Activating, scene);
            }
            TargetState::Inactive => self.enter_with_order(Phase::Deactivating, scene),
            TargetState::NotRunning => self.stop(scene),
        }
    }

    /// Ends it in order, because the manager ends: Inactive first if it is Active (SM-38).
    pub(in crate::manager) fn retire(&mut self, scene: &Scene<'_>) {
        let was_asked_to_end = self.wanted == TargetState::NotRunning;
        self.wanted = planted!("restarts_while_ending", self.wanted, TargetState::NotRunning);
        if self.is_ending() || was_asked_to_end {
            return;
        }
        self.settle(Outcome::ShuttingDown);
        match self.phase {
            Phase::Active if planted!("ended_from_active") => self.stop(scene),
            Phase::Active => self.enter_with_order(Phase::Deactivating, scene),
            // Both come to a stop by themselves, because that is what is wanted now.
            Phase::Spawning | Phase::Deactivating => {}
            Phase::Resting | Phase::Starting | Phase::Configuring => self.stop(scene),
            Phase::Inactive | Phase::Activating | Phase::Failed => self.stop(scene),
            Phase::Stopping | Phase::Terminating | Phase::Killing | Phase::Reaped => {}
        }
    }

    /// The log levels have changed (SM-39). A configuration that has not gone yet will hold them.
    pub(in crate::manager) fn levels_changed(&mut self, scene: &Scene<'_>) {
        self.levels_due = match self.phase {
            Phase::Configuring => self.order != Order::Due,
            Phase::Inactive | Phase::Activating | Phase::Active | Phase::Deactivating | Phase::Failed => {
                planted!("levels_for_new_servers", false, true)
            }
            Phase::Resting | Phase::Spawning | Phase::Starting => false,
            Phase::Stopping | Phase::Terminating | Phase::Killing | Phase::Reaped => false,
        };
        // Who has not answered the last change gets no more time by the next one.
        if matches!(self.phase, Phase::Inactive | Phase::Active | Phase::Failed) && self.deadline.is_none() {
            self.arm(scene);
        }
    }
}
