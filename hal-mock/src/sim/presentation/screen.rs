//! A process that shows a page: launched, loaded, talked to, ended.

use std::time::Duration;

use greenroom_core::hal::{ExitStatus, Signal};
use greenroom_core::message::presentation::{Command, ConnectionState, LaunchToken};
use greenroom_core::time::Instant;

use super::builder::Mischief;
use super::lan::Around;
use super::presenter::{News, Presenter};
use super::witness::Asked;
use crate::party::Party;
use crate::process::Process;
use crate::receivers::Launched;
use crate::world::World;

/// Of whom processes are that show pages.
const SCREEN_USER: u32 = 2000;
/// What a page hears before it lets others have a turn.
const NEWS_MAX: usize = 16;

/// What a process is going to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Its page loads so long; for ever, if there is nothing.
    pub(super) loads: Option<Duration>,
    /// It says that it cannot be shown.
    pub(super) fails: bool,
    /// It ends as a crash does, so long after it was started.
    pub(super) crashes: Option<Duration>,
    /// It closes its connection and lives on, so long after it was started.
    pub(super) hangs_up: Option<Duration>,
    /// It wants to know of connections.
    pub(super) listens: bool,
    /// It builds data channels.
    pub(super) builds: bool,
    /// What goes wrong with its first data channel.
    pub(super) mischief: Option<Mischief>,
    pub(super) ignores_terminate: bool,
    /// It ends so long after it was killed.
    pub(super) exits_late: Option<Duration>,
    /// It only answers.
    pub(super) is_steady: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            loads: Some(Duration::from_millis(100)),
            fails: false,
            crashes: None,
            hangs_up: None,
            listens: true,
            builds: true,
            mischief: None,
            ignores_terminate: false,
            exits_late: None,
            is_steady: false,
        }
    }
}

/// One of them.
pub(super) struct Screen {
    world: World,
    pub(super) station: u16,
    pub(super) presentation_id: String,
    token: LaunchToken,
    process: Process,
    pub(super) presenter: Presenter,
    plan: Plan,
    started: Instant,
    is_loaded: bool,
    next_at: Option<Instant>,
    exits_at: Option<Instant>,
    /// It does nothing by chance any more.
    pub(super) rests: bool,
}

impl Screen {
    pub(super) fn new(
        around: &Around,
        (station, number): (u16, u16),
        path: &str,
        launched: Launched,
        plan: Plan,
    ) -> Self {
        let party = Party::Presenter { station, client: number };
        let Launched { presentation_id, token, process, .. } = launched;
        if plan.ignores_terminate {
            process.ignore_terminate();
        }
        if plan.exits_late.is_some() {
            process.linger();
        }
        let mut presenter = Presenter::new(around, party, path, SCREEN_USER).showing(&presentation_id);
        presenter.builder.mischief = plan.mischief;
        presenter.builder.is_spared = plan.is_steady;
        Self {
            world: around.world.clone(),
            station,
            presenter,
            presentation_id,
            token,
            process,
            plan,
            started: around.world.now(),
            is_loaded: false,
            next_at: None,
            exits_at: None,
            rests: false,
        }
    }

    pub(super) fn is_alive(&self) -> bool {
        self.process.is_alive()
    }

    fn at(&self, after: Option<Duration>) -> Option<Instant> {
        after.map(|after| self.started.after(after))
    }

    pub(super) fn wakes_at(&self) -> Option<Instant> {
        let loads = self.at(self.plan.loads).filter(|_| !self.is_loaded);
        let hangs_up = self.at(self.plan.hangs_up).filter(|_| self.presenter.is_connected());
        let all = [loads, hangs_up, self.at(self.plan.crashes), self.next_at, self.exits_at, self.presenter.wakes_at()];
        all.into_iter().flatten().min()
    }

    fn was_killed(&self) -> bool {
        self.exits_at.is_none() && self.process.signals().contains(&Signal::Kill)
    }

    pub(super) fn is_runnable(&self, now: Instant) -> bool {
        let is_due = self.wakes_at().is_some_and(|at| at <= now);
        !self.is_alive() || self.was_killed() || is_due || self.presenter.has_ready()
    }

    /// One that has ended is left alone after this.
    pub(super) fn turn(&mut self, now: Instant) {
        let is_past = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if is_past(self.at(self.plan.crashes)) || is_past(self.exits_at) {
            self.process.exit(ExitStatus::Killed(11));
        }
        if !self.is_alive() {
            return self.presenter.leave();
        }
        if self.was_killed() {
            self.exits_at = Some(now.after(self.plan.exits_late.unwrap_or_default()));
        }
        if is_past(self.at(self.plan.hangs_up)) {
            self.presenter.leave();
        }
        if !self.is_loaded && is_past(self.at(self.plan.loads)) {
            self.load();
        }
        self.hear();
        self.presenter.look_after_channels(now);
        if self.presenter.was_killed {
            return self.process.exit(ExitStatus::Killed(9));
        }
        if is_past(self.next_at) {
            self.next_at = Some(now.after(Duration::from_millis(500 + self.world.random(5000))));
            self.act();
        }
    }

    fn load(&mut self) {
        self.is_loaded = true;
        if !self.presenter.connect() {
            return self.process.exit(ExitStatus::Exited(1));
        }
        if self.plan.fails {
            self.presenter.ask(Command::ReceiverFailed { token: self.token }, Asked::Claim { is_rightful: true });
            return;
        }
        if self.plan.builds {
            self.presenter.ask(Command::RegisterBuilder, Asked::Anything);
        }
        self.presenter.claim(self.token, true);
        if self.plan.listens {
            self.presenter.ask(Command::ListenForConnections, Asked::Anything);
        }
        self.next_at = Some(self.world.now().after(Duration::from_millis(1000)));
    }

    /// Who shows a page for a service that has gone has nothing more to do.
    fn hear(&mut self) {
        let was_connected = self.presenter.is_connected();
        for _ in 0..NEWS_MAX {
            let Some(news) = self.presenter.hear() else { break };
            self.take(&news);
        }
        if was_connected && !self.presenter.is_connected() && !self.presenter.was_killed {
            self.process.exit(ExitStatus::Exited(0));
        }
    }

    fn take(&mut self, news: &News) {
        match news {
            News::Message(connection) if self.world.random(3) == 0 || self.plan.is_steady => {
                let padding = self.world.random(200) as usize;
                self.presenter.send(*connection, padding, false);
            }
            _ => {}
        }
    }

    fn act(&mut self) {
        if self.plan.is_steady || self.rests {
            return;
        }
        let connections = self.presenter.witness.in_state(ConnectionState::Connected);
        let Some(&connection) = connections.first() else { return };
        match self.world.random(24) {
            0..=8 => {
                let padding = self.world.random(3000) as usize;
                self.presenter.send(connection, padding, true);
            }
            9 => self.presenter.close(connection, self.world.random(2) == 0),
            10 => self.presenter.terminate(connection),
            11 => {
                // Twice is once too often.
                self.presenter.claim(self.token, false);
            }
            12 => self.process.exit(ExitStatus::Exited(0)),
            _ => {}
        }
    }

    /// Whether it wants to know of connections.
    pub(super) fn listens(&self) -> bool {
        self.plan.listens
    }
}
