//! One seed: minutes of some boxes under faults, then none, then their end.
//!
//! ```text
//! warm-up --> storm: faults, what must hold always --> calm: all is settled --> fresh: all works --> end: nothing is left
//! ```

use std::time::Duration;

use greenroom_core::limits::{CLOSED_KEPT, ESTABLISH_TIMEOUT, SELECTION_TIMEOUT, TERMINATE_ACK_TIMEOUT};
use greenroom_core::message::presentation::{ConnectionState, TransportKind};

use super::doom::PHASES;
use super::fault::{FAULTS, Fault};
use super::lan::{Lan, STEADY_CHANNEL_PAGE, STEADY_PAGE, STEADY_STATION};
use super::page::Manner;
use super::weather::{Weather, spare};
use crate::sim::book::Violation;

/// How many boxes there are, and pages on each.
const BOXES: u16 = 3;
const PAGES: u16 = 2;
/// Who has nothing in the way is connected within this.
const SOON: Duration = Duration::from_secs(15);
/// Once nothing goes wrong any more, everything is settled within this: whoever was asked for a device has answered.
const SETTLED: Duration = Duration::from_secs(SELECTION_TIMEOUT.as_secs() + 10);
/// When everybody has gone, nothing is left after this.
const LEFT: Duration = Duration::from_secs(CLOSED_KEPT.as_secs() + 120);

/// What is run.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// What chance follows from.
    pub seed: u64,
    /// How long the storm lasts.
    pub storm: Duration,
    /// The classes of faults that may strike.
    pub faults: &'static [Fault],
    /// A random half of them is off.
    pub is_swarm: bool,
    /// What happens is kept.
    pub keeps_lines: bool,
}

impl Run {
    /// Ten minutes with all faults, of which a random half is off.
    pub const fn usual(seed: u64) -> Self {
        Self { seed, storm: Duration::from_secs(600), faults: Fault::ALL, is_swarm: true, keeps_lines: false }
    }
}

/// What became of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was run.
    pub seed: u64,
    /// Time of the boxes in milliseconds, but for the time when they were suspended.
    pub box_ms: u64,
    /// Connections that were asked for and began to connect, those of other makes included.
    pub sessions: u64,
    /// Times that an end of a connection was connected.
    pub connected: u64,
    /// Messages and pieces of streams.
    pub inputs: u64,
    /// How often each class of faults struck.
    pub faults: [u64; FAULTS],
    /// How many processes were killed in each of [`PHASES`].
    pub killed: [u64; PHASES.len()],
    /// What must hold and did not; the first of them.
    pub violations: Vec<Violation>,
    /// How many there were.
    pub violation_count: u64,
    /// The hash of all that was sent, with its times.
    pub log_hash: u64,
    /// What happened, if that was kept.
    pub lines: Vec<String>,
}

impl Run {
    /// Runs it.
    pub fn run(&self) -> Outcome {
        let mut lan = Lan::new(self.seed, BOXES, PAGES, self.keeps_lines);
        warm_up(&mut lan);
        let suspended = self.storm(&mut lan);
        for phase in [calm, fresh, end, fresh, end] {
            if lan.book.violation_count() == 0 {
                phase(&mut lan);
            }
        }
        let (sessions, connected) = {
            let referee = lan.book.referee.borrow();
            (referee.sessions, referee.connected)
        };
        Outcome {
            seed: self.seed,
            box_ms: lan.now().as_millis().saturating_sub(suspended.as_millis() as u64),
            sessions,
            connected,
            inputs: lan.book.inputs(),
            faults: lan.book.faults(),
            killed: lan.around.doom.killed(),
            violations: lan.book.violations(),
            violation_count: lan.book.violation_count(),
            log_hash: lan.book.log_hash(),
            lines: lan.book.take_lines(),
        }
    }

    /// Gives how long the boxes were suspended.
    fn storm(&self, lan: &mut Lan) -> Duration {
        let mut weather = Weather::of_seed(lan, self.faults, self.is_swarm);
        let start = lan.now();
        while !lan.is_stuck() && lan.now().since(start) < self.storm + weather.suspended {
            lan.run_to(weather.due());
            weather.act(lan);
        }
        weather.clear(lan);
        weather.suspended
    }
}

/// One page has its connection before anything goes wrong.
fn warm_up(lan: &mut Lan) {
    lan.run_for(Duration::from_secs(1));
    let device = lan.stations[STEADY_STATION].name.clone();
    for (page, kind) in [(STEADY_PAGE, TransportKind::Tcp), (STEADY_CHANNEL_PAGE, TransportKind::DataChannel)] {
        lan.start_undisturbed(page, &device, kind);
        if !lan.run_until(SOON, |lan| !lan.in_state(page, ConnectionState::Connected).is_empty()) {
            lan.book.violation("convergence", "nothing goes wrong, and a page is not connected".to_owned());
        }
    }
    spare(lan);
}

/// Nothing goes wrong any more: then nobody waits, and both ends are of one mind.
fn calm(lan: &mut Lan) {
    lan.pages.iter_mut().filter(|page| page.manner == Manner::Busy).for_each(super::page::Page::rest);
    lan.screens.iter_mut().for_each(|screen| screen.rests = true);
    lan.run_for(SETTLED);
    check_waiting(lan);
    check_both_ends(lan);
    check_steady(lan);
    for page in lan.pages.iter().filter(|page| page.presenter.is_connected() && page.manner != Manner::Obedient) {
        if page.presenter.witness.availability != Some(true) {
            let what = format!("{} does not know that there are devices", page.presenter.party);
            lan.book.violation("PS-22", what);
        }
    }
}

/// PS-30, PS-31
fn check_waiting(lan: &Lan) {
    let pages = lan.pages.iter().map(|page| &page.presenter);
    for presenter in pages.chain(lan.screens.iter().map(|screen| &screen.presenter)) {
        let witness = &presenter.witness;
        let connecting = witness.views.values().filter(|view| view.is_connecting()).count();
        if presenter.is_connected() && (connecting > 0 || witness.waiting() > 0) {
            let what = format!(
                "{} has {connecting} connections that connect and {} requests without an answer",
                presenter.party,
                witness.waiting()
            );
            lan.book.violation("PS-30, PS-31 convergence", what);
        }
    }
}

/// Whoever is connected is connected to somebody.
fn check_both_ends(lan: &Lan) {
    let connected = |presenter: &super::presenter::Presenter| -> Vec<String> {
        let views = presenter.witness.views.values().filter(|_| presenter.is_connected());
        let views = views.filter(|view| view.state == Some(ConnectionState::Connected));
        views.map(|view| view.presentation_id.clone()).collect()
    };
    let ours: Vec<String> = lan.pages.iter().flat_map(|page| connected(&page.presenter)).collect();
    for screen in &lan.screens {
        let theirs = connected(&screen.presenter).len();
        let ours = ours.iter().filter(|it| **it == screen.presentation_id).count();
        let is_ours = screen.presentation_id.starts_with("box");
        if is_ours && screen.listens() && theirs != ours {
            let what = format!("{}: {ours} pages are connected to it, and it to {theirs}", screen.presentation_id);
            lan.book.violation("convergence", what);
        }
    }
    for presentation in &ours {
        if !lan.screens.iter().any(|screen| screen.presentation_id == *presentation) {
            lan.book.violation("convergence", format!("a page is connected to {presentation}, which nobody shows"));
        }
    }
}

/// PS-32, PS-33: whatever happened to the others, and to its own control channel.
fn check_steady(lan: &Lan) {
    for page in [STEADY_PAGE, STEADY_CHANNEL_PAGE] {
        if lan.in_state(page, ConnectionState::Connected).len() != 1 {
            let views = &lan.pages[page].presenter.witness.views;
            let reasons: Vec<_> = views.values().map(|view| (view.state, view.reason)).collect();
            lan.book.violation("PS-32, PS-33", format!("a page to which nothing happened is {reasons:?}"));
        }
    }
}

/// Every box can have a page shown on every other one that has a place for it.
fn fresh(lan: &mut Lan) {
    for from in 0..lan.stations.len() {
        for to in 0..lan.stations.len() {
            if from != to && lan.stations[from].has_room() && lan.stations[to].has_room() {
                fresh_from(lan, from, to);
            }
        }
    }
}

fn fresh_from(lan: &mut Lan, from: usize, to: usize) {
    let number = lan.next_number();
    lan.add_page(from as u16, number, Manner::Obedient);
    let page = lan.pages.len() - 1;
    let device = lan.stations[to].name.clone();
    lan.pages[page].connect();
    let kind = if number.is_multiple_of(2) { TransportKind::Tcp } else { TransportKind::DataChannel };
    lan.start_undisturbed(page, &device, kind);
    let limit = ESTABLISH_TIMEOUT;
    let is_connected = lan.run_until(limit, |lan| !lan.in_state(page, ConnectionState::Connected).is_empty());
    if is_connected {
        let connection = lan.in_state(page, ConnectionState::Connected)[0];
        lan.pages[page].presenter.send(connection, 10, false);
        lan.run_for(Duration::from_secs(2));
        lan.pages[page].presenter.terminate(connection);
    }
    let limit = 2 * TERMINATE_ACK_TIMEOUT;
    let is_over = |lan: &Lan| lan.pages[page].presenter.witness.waiting() == 0;
    if !is_connected || !lan.run_until(limit, is_over) {
        let views = &lan.pages[page].presenter.witness.views;
        let views: Vec<_> = views.values().map(|view| (view.state, view.reason)).collect();
        let what = format!("nothing goes wrong, and box{from} cannot have a page shown on {device}: {views:?}");
        lan.book.violation("convergence", what);
    }
    lan.pages.pop();
}

/// PS-35: everybody goes, and nothing is left.
pub(super) fn end(lan: &mut Lan) {
    lan.pages.iter_mut().for_each(|page| {
        page.presenter.leave();
        page.rest();
    });
    lan.controllers.clear();
    lan.run_for(LEFT);
    for station in &lan.stations {
        if let Some(left) = station.left(lan.clients_of(station.number)) {
            lan.book.violation("PS-35", left);
        }
    }
    if lan.around.paths.count() > 0 {
        let what = format!("{} ends of data channels are left", lan.around.paths.count());
        lan.book.violation("PS-35", what);
    }
    let (cables, listening) = (lan.world.cables().len(), lan.world.listening());
    let controls = |at: &&std::net::SocketAddr| at.port() != super::station::CONTROL_PORT;
    let offers = listening.iter().filter(controls).count();
    if !lan.screens.is_empty() || cables > 0 || offers > 0 {
        let what = format!("{} processes, {cables} connections and {offers} listeners are left", lan.screens.len());
        lan.book.violation("PS-35", what);
    }
}
