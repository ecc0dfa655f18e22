//! Whose turn it is in a box, and how its time passes.

use std::time::Duration;

use greenroom_core::time::Instant;

use super::server::ServerProcess;
use super::tv_box::{Grain, TvBox};
use super::viewer::Viewer;
use crate::party::Party;

/// A session server that nothing delays is up after this.
const BOOT: Duration = Duration::from_millis(20);
/// So many turns at one instant, and nobody gets on.
const TURNS_PER_INSTANT_MAX: u32 = 20_000;

impl TvBox {
    /// One turn of somebody, or the time passes to the next one. False: nothing more happens before `end`.
    pub(super) fn step(&mut self, end: Instant) -> bool {
        if self.is_stuck {
            return false;
        }
        let count = self.actors();
        let start = self.world.random(count as u64) as usize;
        let now = self.now();
        let runnable = (start..count).chain(0..start).find(|actor| self.is_runnable(*actor, now));
        match runnable {
            Some(actor) => {
                self.turn_of(actor, now);
                self.note_turn(now);
                true
            }
            None => {
                self.note_turn(now);
                self.pass(now, end)
            }
        }
    }

    fn pass(&mut self, now: Instant, end: Instant) -> bool {
        let next = (0..self.actors()).filter_map(|actor| self.wakes_at(actor)).min();
        let Some(next) = next.filter(|next| *next <= end) else {
            self.world.advance_to(end);
            return false;
        };
        let Grain(grain) = self.grain;
        let coarse = next.as_millis().div_ceil(grain).saturating_mul(grain);
        self.world.advance_to(Instant::from_millis(coarse.max(now.as_millis())));
        true
    }

    fn note_turn(&mut self, now: Instant) {
        self.turns += 1;
        if self.turns_at.0 != now {
            self.turns_at = (now, 0);
        }
        self.turns_at.1 += 1;
        if self.turns_at.1 > TURNS_PER_INSTANT_MAX {
            self.is_stuck = true;
            self.book.violation("progress", format!("the clock stands still at {} ms", now.as_millis()));
        }
        if self.plan.takes_time && self.world.random(4) == 0 {
            self.world.advance(Duration::from_millis(1));
        }
    }

    /// The manager, then servers, their decoders, apps and controllers.
    fn actors(&self) -> usize {
        1 + 2 * self.servers.len() + self.viewers.len() + self.controllers.len()
    }

    fn actor(&self, number: usize) -> Actor {
        let Some(rest) = number.checked_sub(1) else { return Actor::Manager };
        let servers = self.servers.len();
        match rest {
            _ if rest < servers => Actor::Server(rest),
            _ if rest < 2 * servers => Actor::Decoder(rest - servers),
            _ if rest < 2 * servers + self.viewers.len() => Actor::Viewer(rest - 2 * servers),
            _ => Actor::Controller(rest - 2 * servers - self.viewers.len()),
        }
    }

    /// Whatever was done from outside, everybody's deadline is known anew.
    pub(super) fn refresh(&mut self) {
        self.due.manager = self.manager.due();
        self.servers.retain(|server| !server.has_ended);
        self.servers.iter_mut().for_each(ServerProcess::refresh);
        self.viewers.iter_mut().for_each(Viewer::refresh);
    }

    fn is_runnable(&mut self, number: usize, now: Instant) -> bool {
        let is_due = |due: Option<Instant>| due.is_some_and(|at| at <= now);
        match self.actor(number) {
            Actor::Manager => {
                self.manager.stalled_until <= now && (is_due(self.due.manager) || self.manager.has_ready())
            }
            Actor::Server(place) => {
                let server = &self.servers[place];
                server.is_killed(now)
                    || (server.stalled_until <= now && (is_due(server.wakes_at) || server.has_ready()))
            }
            Actor::Decoder(place) => {
                let server = &self.servers[place];
                server.stalled_until <= now && is_due(server.decoder_wakes_at)
            }
            Actor::Viewer(place) => {
                let viewer = &self.viewers[place];
                viewer.client.stalled_until <= now && (is_due(viewer.wakes_at) || viewer.has_ready())
            }
            Actor::Controller(place) => {
                let controller = &self.controllers[place];
                controller.stalled_until <= now && controller.has_ready()
            }
        }
    }

    /// When somebody who has nothing to do now may have a turn.
    fn wakes_at(&self, number: usize) -> Option<Instant> {
        let now = self.now();
        let (due, stalled_until) = match self.actor(number) {
            Actor::Manager => (self.due.manager, self.manager.stalled_until),
            Actor::Server(place) => {
                let server = &self.servers[place];
                match server.dies_at {
                    Some(at) => return Some(at),
                    None => (server.wakes_at, server.stalled_until),
                }
            }
            Actor::Decoder(place) => (self.servers[place].decoder_wakes_at, self.servers[place].stalled_until),
            Actor::Viewer(place) => (self.viewers[place].wakes_at, self.viewers[place].client.stalled_until),
            Actor::Controller(place) => (None, self.controllers[place].stalled_until),
        };
        if stalled_until > now { Some(stalled_until) } else { due }
    }

    fn turn_of(&mut self, number: usize, now: Instant) {
        match self.actor(number) {
            Actor::Manager => {
                self.world.act_as(Party::Manager);
                self.manager.turn(now);
                self.due.manager = self.manager.due();
                self.world.act_as(Party::Nobody);
                self.bear_children(now);
            }
            Actor::Server(place) => self.turn_of_server(place, now),
            Actor::Decoder(place) => {
                self.servers[place].decoder.act(now);
                self.servers[place].refresh();
            }
            Actor::Viewer(place) => {
                self.world.act_as(self.viewers[place].client.party);
                self.viewers[place].turn(now);
                self.viewers[place].refresh();
            }
            Actor::Controller(place) => {
                self.world.act_as(self.controllers[place].party);
                self.controllers[place].turn();
                self.hear(place);
            }
        }
        self.world.act_as(Party::Nobody);
    }

    fn turn_of_server(&mut self, place: usize, now: Instant) {
        let server = &mut self.servers[place];
        self.world.act_as(server.party());
        server.hear_signals(now);
        if !server.has_ended && !server.hangs && server.stalled_until <= now {
            server.turn(now);
        }
        server.refresh();
        if server.has_ended {
            self.servers.remove(place);
        } else {
            self.check_holdings(place);
        }
    }

    /// SM-33
    fn check_holdings(&self, place: usize) {
        let server = &self.servers[place];
        let (sessions, players) = server.decoder.open();
        let Some(may) = server.resources() else { return };
        let within = sessions <= usize::from(may.max_playback_sessions)
            && players <= usize::from(may.max_web_audio_players)
            && server.key_sessions() <= usize::from(may.max_key_sessions);
        if !within {
            let what = format!("{} has {sessions} sessions, {players} players of {may:?}", server.party());
            self.book.violation("SM-33", what);
        }
        let (in_use, total) = (self.hardware.in_use(), self.hardware.total());
        if in_use > total {
            self.book.violation("SM-33, SM-40", format!("{in_use} decoders of {total} are in use"));
        }
    }

    fn bear_children(&mut self, now: Instant) {
        while let Some(process) = self.world.next_started() {
            let start = std::mem::take(&mut self.next_start);
            start.faults.iter().for_each(|fault| self.book.struck(fault));
            let mut server = ServerProcess::new(&self.world, &self.book, &self.hardware, process, self.plan.takes_time);
            let delay = start.delay_ms.map_or(BOOT, |delay_ms| Duration::from_millis(delay_ms.into()));
            server.starts_at = (!start.never).then(|| now.after(delay));
            server.dies_at = start.dies_after_ms.map(|after_ms| now.after(Duration::from_millis(after_ms.into())));
            server.refresh();
            self.servers.push(server);
        }
    }
}

/// When the manager wants to be woken, as of its last turn. The others keep theirs themselves.
#[derive(Debug, Default)]
pub(super) struct Due {
    manager: Option<Instant>,
}

#[derive(Clone, Copy)]
enum Actor {
    Manager,
    Server(usize),
    Decoder(usize),
    Viewer(usize),
    Controller(usize),
}
