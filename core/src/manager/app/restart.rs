//! What comes after the end of an app's server that nobody asked for (SM-36).

use core::time::Duration;

use super::App;
use crate::fmt::warning;
use crate::hal::ErrorKind;
use crate::manager::phase::{Outcome, Phase, Scene};
use crate::message::{Reason, ServerState, TargetState};

impl App {
    /// Whether a server is started, or is to be, in the place of one that has ended.
    pub(in crate::manager) const fn is_restarting(&self) -> bool {
        self.is_supervised
            && matches!(self.phase, Phase::Resting | Phase::Spawning | Phase::Starting | Phase::Configuring)
    }

    /// Whether clients can connect, now or as soon as the next server is there (SM-09).
    pub(in crate::manager) const fn is_reachable(&self) -> bool {
        self.is_supervised || self.notified.is_some()
    }

    /// Whether a server that ends now has ended although nobody asked, and may be restarted.
    pub(super) fn is_kept_up(&self, scene: &Scene<'_>) -> bool {
        self.is_supervised && self.wanted != TargetState::NotRunning && scene.settings.restart
    }

    /// After the end of its server: another one, at once or later, or nothing.
    pub(super) fn carry_on(&mut self, scene: &mut Scene<'_>) {
        if !self.is_kept_up(scene) {
            return self.finish(scene);
        }
        match self.restarts.next(scene.now, scene.settings) {
            None => {
                warning!("app {} is given up: its restarts were of no use", self.id.as_str());
                self.finish(scene);
            }
            Some(Duration::ZERO) => self.start_again(scene),
            Some(pause) => {
                self.enter(Phase::Resting, scene);
                self.deadline = Some(scene.now.after(pause));
            }
        }
    }

    /// Starts the next server, in the state that the app is to be in. If its decoders went to another app meanwhile that
    /// is Inactive, and observers are told why.
    pub(super) fn start_again(&mut self, scene: &mut Scene<'_>) {
        if self.wanted == TargetState::Active {
            match scene.ledger.reserve(self.resources.max_playback_sessions) {
                Ok(reservation) => self.reservation = Some(reservation),
                Err(_) if planted!("restart_beside_ledger") => {}
                Err(_) => (self.wanted, self.demotion) = (TargetState::Inactive, Some(Reason::DecodersTaken)),
            }
        }
        self.first = planted!("restarted_inactive", TargetState::Inactive, self.wanted);
        (self.notified, self.cause) = (None, None);
        self.forget_health();
        (self.levels_due, self.signalled, self.announced) = (false, false, false);
        self.get_server(scene);
    }

    /// The platform could not start the next server. That may pass, so it counts as one that has died.
    pub(super) fn restart_failed(&mut self, kind: ErrorKind, scene: &mut Scene<'_>) {
        if self.wanted == TargetState::NotRunning {
            return self.end_without_server(scene);
        }
        let reason = match kind {
            ErrorKind::NotFound => Reason::ProgramMissing,
            ErrorKind::Denied => Reason::ProgramDenied,
            _ => Reason::SpawnFailed,
        };
        self.notify(ServerState::Error, Some(reason));
        self.carry_on(scene);
    }

    /// It was asked to end while there was no server.
    pub(super) fn end_without_server(&mut self, scene: &Scene<'_>) {
        self.notify(ServerState::NotRunning, Some(Reason::Asked));
        self.finish(scene);
        self.settle(Outcome::Done);
    }

    /// No server follows.
    pub(super) fn finish(&mut self, scene: &Scene<'_>) {
        self.socket_removal_due = planted!("socket_left_behind", false, true);
        self.enter(Phase::Reaped, scene);
    }
}
