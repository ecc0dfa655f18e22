//! Whether a session server gets on (SM-36).

use super::{App, Subject};
use crate::health::{Health, Look};
use crate::manager::phase::{Outcome, Phase, Scene};
use crate::message::Reason;
use crate::time::Instant;

impl App {
    /// When its server is to be looked at; only while it is where it was sent.
    pub(super) fn look_at(&self) -> Option<Instant> {
        let is_there = matches!(self.phase, Phase::Inactive | Phase::Active | Phase::Failed);
        self.health.deadline().filter(|_| is_there)
    }

    /// Asks it, or gives it up when it has not answered for too long. While another request is outstanding, which has a
    /// time limit, it is not asked.
    pub(super) fn look(&mut self, scene: &mut Scene<'_>) {
        let can_ask = self.outstanding.is_none() && !self.levels_due;
        match self.health.look(scene.now, scene.settings.health, can_ask) {
            Look::Ask => self.ping_due = true,
            Look::Wait => {}
            Look::GiveUp => self.give_up(scene),
        }
    }

    /// It is asked to end, without an answer to wait for; then come TERM and KILL.
    fn give_up(&mut self, scene: &mut Scene<'_>) {
        self.cause = Some(Reason::Unhealthy);
        self.settle(Outcome::ServerTimeout);
        self.forget_health();
        self.enter_with_order(Phase::Stopping, scene);
    }

    /// Nothing is known of its server.
    pub(super) fn forget_health(&mut self) {
        self.health = Health::new();
        self.ping_due = false;
        if matches!(self.outstanding, Some((_, Subject::Ping))) {
            self.outstanding = None;
        }
    }

    /// Whether it owes an answer that has a time limit: a ping has its own.
    pub(super) const fn is_answer_due(&self) -> bool {
        matches!(self.outstanding, Some((_, Subject::Order | Subject::EarlierOrder | Subject::LogLevels)))
    }
}
