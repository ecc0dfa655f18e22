//! A network with boxes, their pages and what they show, and devices of other makes; and how its time passes.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use greenroom_core::hal::Protection;
use greenroom_core::message::presentation::{CloseReason, ConnectionState, TransportKind};
use greenroom_core::time::Instant;

use super::book::Book;
use super::controller::Controller;
use super::doom::{Bereft, Doom};
use super::page::{Manner, Page};
use super::path::Paths;
use super::screen::{Plan, Screen};
use super::station::Station;
use super::stranger::Stranger;
use super::witness::Key;
use crate::cable::Cable;
use crate::party::Party;
use crate::world::World;

/// So many turns at one instant, and nobody gets on.
const TURNS_PER_INSTANT_MAX: u32 = 20_000;
/// How often it is looked whether anybody waits for too long.
const LOOK: Duration = Duration::from_secs(1);
/// The first numbers of a box's clients are its pages'.
const FIRST_SCREEN: u16 = 100;
const STEADY_NUMBER: u16 = 99;
/// The pages and the box that must not notice anything: one whose service carries its messages, and one that has a data
/// channel.
pub(super) const STEADY_PAGE: usize = 0;
pub(super) const STEADY_CHANNEL_PAGE: usize = 1;
pub(super) const STEADY_STATION: usize = 1;

/// Somebody whose turn it may be.
#[derive(Clone, Copy, Debug)]
enum Actor {
    Station(usize),
    Page(usize),
    Screen(usize),
    Controller(usize),
    Stranger(usize),
}

/// What is around everybody.
pub(super) struct Around {
    pub(super) world: World,
    pub(super) book: Rc<Book>,
    /// The ways of data channels.
    pub(super) paths: Rc<Paths>,
    pub(super) doom: Rc<Doom>,
}

/// All of it.
pub(super) struct Lan {
    pub(super) world: World,
    pub(super) book: Rc<Book>,
    pub(super) around: Around,
    pub(super) stations: Vec<Station>,
    pub(super) pages: Vec<Page>,
    pub(super) screens: Vec<Screen>,
    pub(super) controllers: Vec<Controller>,
    pub(super) strangers: Vec<Stranger>,
    /// What the next process that is started is going to do.
    pub(super) next_plan: Option<Plan>,
    /// Connections that nothing may happen to.
    pub(super) spared: Vec<(SocketAddr, SocketAddr)>,
    /// Presentations whose processes do nothing but answer; the first must not notice anything.
    pub(super) undisturbed: Vec<String>,
    last_number: u16,
    turns_at: (Instant, u32),
    looks_at: Instant,
    is_stuck: bool,
}

impl Lan {
    /// So many boxes, each with a program that chooses devices and `pages` pages. What they are like follows from the seed.
    pub(super) fn new(seed: u64, boxes: u16, pages: u16, keeps_lines: bool) -> Self {
        let world = World::new(seed);
        let book = Book::new(&world, keeps_lines);
        let (paths, doom) = (Paths::new(&world, &book), Doom::new(&book));
        let around = Around { world: world.clone(), book: Rc::clone(&book), paths, doom };
        world.set_latency(Duration::from_millis(1), Duration::from_millis(1 + world.random(20)));
        let protection = if world.random(2) == 0 { Protection::Encrypted } else { Protection::None };
        let stations = (0..boxes).map(|number| Station::new(&world, number, protection)).collect();
        let (turns_at, looks_at) = ((world.now(), 0), world.now());
        let mut lan = Self {
            world,
            book,
            around,
            stations,
            pages: Vec::new(),
            screens: Vec::new(),
            controllers: Vec::new(),
            strangers: Vec::new(),
            next_plan: None,
            spared: Vec::new(),
            undisturbed: Vec::new(),
            last_number: FIRST_SCREEN,
            turns_at,
            looks_at,
            is_stuck: false,
        };
        lan.add_page(0, 0, Manner::Steady);
        lan.add_page(0, STEADY_NUMBER, Manner::Steady);
        for station in 0..boxes {
            lan.add_page(station, 1, Manner::Chooser);
            (0..pages).for_each(|number| lan.add_page(station, 2 + number, Manner::Busy));
        }
        lan
    }

    pub(super) fn add_page(&mut self, station: u16, number: u16, manner: Manner) {
        let place = &self.stations[usize::from(station)];
        let (name, path) = (place.name.clone(), place.home.path());
        let mut page = Page::new(&self.around, (station, number), (&name, &path), manner);
        let others = self.stations.iter().filter(|it| it.number != station).map(|it| it.name.clone());
        page.knows(others.collect());
        self.pages.push(page);
    }

    pub(super) fn now(&self) -> Instant {
        self.world.now()
    }

    pub(super) fn next_number(&mut self) -> u16 {
        self.last_number = self.last_number.wrapping_add(1).max(FIRST_SCREEN);
        self.last_number
    }

    /// A service is killed, and with it what it has started; another one starts.
    pub(super) fn kill_service(&mut self, place: usize) {
        let number = self.stations[place].number;
        self.screens.retain(|screen| screen.station != number);
        self.book.forget_sends(number);
        self.stations[place].restart();
    }

    /// The connections that something may happen to.
    pub(super) fn cables(&self) -> Vec<Cable> {
        let mut cables = self.world.cables();
        cables.retain(|cable| !self.spared.contains(&(cable.from(), cable.to())));
        cables
    }

    fn actors(&self) -> usize {
        self.stations.len() + self.pages.len() + self.screens.len() + self.controllers.len() + self.strangers.len()
    }

    fn actor(&self, number: usize) -> Actor {
        let mut rest = number;
        for (count, actor) in [
            (self.stations.len(), Actor::Station as fn(usize) -> Actor),
            (self.pages.len(), Actor::Page),
            (self.screens.len(), Actor::Screen),
            (self.controllers.len(), Actor::Controller),
        ] {
            match rest.checked_sub(count) {
                None => return actor(rest),
                Some(further) => rest = further,
            }
        }
        Actor::Stranger(rest)
    }

    fn is_runnable(&self, actor: Actor, now: Instant) -> bool {
        match actor {
            Actor::Station(place) => self.stations[place].is_runnable(now),
            Actor::Page(place) => self.pages[place].is_runnable(now),
            Actor::Screen(place) => self.screens[place].is_runnable(now),
            Actor::Controller(place) => self.controllers[place].wakes_at() <= now,
            Actor::Stranger(place) => self.strangers[place].wakes_at() <= now,
        }
    }

    fn wakes_at(&self, actor: Actor, now: Instant) -> Option<Instant> {
        match actor {
            Actor::Station(place) => self.stations[place].wakes_at(now),
            Actor::Page(place) => self.pages[place].wakes_at(),
            Actor::Screen(place) => self.screens[place].wakes_at(),
            Actor::Controller(place) => Some(self.controllers[place].wakes_at()),
            Actor::Stranger(place) => Some(self.strangers[place].wakes_at()),
        }
    }

    fn turn(&mut self, actor: Actor, now: Instant) {
        self.world.act_as(Party::Nobody);
        match actor {
            Actor::Station(place) => {
                self.stations[place].turn(now);
                self.adopt(place);
            }
            Actor::Page(place) => self.pages[place].turn(now),
            Actor::Screen(place) => {
                self.screens[place].turn(now);
                if !self.screens[place].is_alive() {
                    self.screens.remove(place);
                }
            }
            Actor::Controller(place) => {
                self.controllers[place].turn(now);
                self.controllers.retain(|controller| !controller.is_over());
            }
            Actor::Stranger(place) => {
                self.strangers[place].turn(now);
                self.strangers.retain(|stranger| !stranger.is_over());
            }
        }
    }

    /// What was started begins to live. There are never two processes for one page (PS-34, PS-35).
    fn adopt(&mut self, place: usize) {
        while let Some(launched) = self.stations[place].home.platform.receivers.next_started() {
            let (number, station) = (self.next_number(), &self.stations[place]);
            let id = &launched.presentation_id;
            let is_there = |screen: &Screen| screen.station == station.number && screen.presentation_id == *id;
            if self.screens.iter().any(is_there) {
                self.book.violation("PS-35", format!("{} shows {id} twice", station.name));
            }
            let plan = match self.undisturbed.contains(id) {
                true => Plan { is_steady: true, ..Plan::default() },
                false => self.next_plan.take().unwrap_or_default(),
            };
            let path = station.home.path();
            let screen = Screen::new(&self.around, (station.number, number), &path, launched, plan);
            self.screens.push(screen);
        }
    }

    /// One turn of somebody, or the time passes to the next one. False: nothing more happens before `end`.
    fn step(&mut self, end: Instant) -> bool {
        let (count, now) = (self.actors(), self.now());
        let start = self.world.random(count as u64) as usize;
        let mut all = (start..count).chain(0..start).map(|number| self.actor(number));
        match all.find(|actor| self.is_runnable(*actor, now)) {
            Some(actor) => {
                self.turn(actor, now);
                self.note_turn(actor, now);
                !self.is_stuck
            }
            None => self.pass(now, end),
        }
    }

    fn pass(&mut self, now: Instant, end: Instant) -> bool {
        let next = (0..self.actors()).filter_map(|number| self.wakes_at(self.actor(number), now)).min();
        let next = [next, self.world.next_arrival(), Some(self.looks_at)].into_iter().flatten().min();
        let Some(next) = next.filter(|next| *next <= end) else {
            self.world.advance_to(end);
            return false;
        };
        self.world.advance_to(next);
        if self.looks_at <= self.now() {
            self.looks_at = self.now().after(LOOK);
            self.check();
        }
        true
    }

    fn note_turn(&mut self, actor: Actor, now: Instant) {
        self.turns_at = if self.turns_at.0 == now { (now, self.turns_at.1 + 1) } else { (now, 0) };
        if self.turns_at.1 > TURNS_PER_INSTANT_MAX && !std::mem::replace(&mut self.is_stuck, true) {
            let what = match actor {
                Actor::Station(place) => self.stations[place].awake_for(),
                _ => String::new(),
            };
            let what = format!("the clock stands still, as {actor:?} has something to do again and again: {what}");
            self.book.violation("progress", what);
        }
    }

    fn check(&mut self) {
        let pages = self.pages.iter_mut().map(|page| &mut page.presenter);
        let all = pages.chain(self.screens.iter_mut().map(|screen| &mut screen.presenter));
        all.filter(|presenter| presenter.is_connected()).for_each(|presenter| presenter.witness.check());
        self.check_bereft();
        self.stations.iter().for_each(|station| self.check_traffic(station));
    }

    /// Whose other side was killed learns it in time, and why.
    fn check_bereft(&self) {
        let now = self.now();
        let mut all = self.around.doom.bereft.take();
        all.retain(|bereft| self.is_ignorant(bereft) && now < bereft.until);
        self.around.doom.bereft.borrow_mut().extend(all);
    }

    /// Whether it does not know yet. When it will not learn it any more, or learns what is not so, something is wrong.
    fn is_ignorant(&self, bereft: &Bereft) -> bool {
        let pages = self.pages.iter().map(|page| &page.presenter);
        let mut all = pages.chain(self.screens.iter().map(|screen| &screen.presenter));
        let Some(presenter) = all.find(|it| it.party == bereft.party && it.is_connected()) else { return false };
        let Some(view) = presenter.witness.views.get(&bereft.connection) else { return false };
        let who = format!("{}: {:?}", presenter.party, bereft.connection);
        if view.is_open() && self.now() >= bereft.until && presenter.is_up_to_date() {
            let what = format!("{who} is {:?}, and who was at its other end was killed long ago", view.state);
            self.book.violation("PS-35", what);
        }
        let was_let_go = view.state == Some(ConnectionState::Closed) && view.reason == Some(CloseReason::Closed);
        if was_let_go && !view.leaves {
            self.book.violation("PS-30", format!("{who} is closed in order by who was killed"));
        }
        view.is_open()
    }

    /// PS-07: a service carries what it was asked to carry, and nothing of what goes past it.
    fn check_traffic(&self, station: &Station) {
        let (sent, asked) = (station.driver().traffic().sent_messages, self.book.sends(station.number));
        if sent > asked {
            let what = format!("{} has carried {sent} messages, and was asked for {asked}", station.name);
            self.book.violation("PS-07", what);
        }
    }

    pub(super) const fn is_stuck(&self) -> bool {
        self.is_stuck
    }

    pub(super) fn run_to(&mut self, end: Instant) {
        while !self.is_stuck && self.step(end) {}
    }

    pub(super) fn run_for(&mut self, duration: Duration) {
        self.run_to(self.now().after(duration));
    }

    /// Whether that came about within the limit.
    pub(super) fn run_until(&mut self, limit: Duration, is_so: impl Fn(&Self) -> bool) -> bool {
        let end = self.now().after(limit);
        while !is_so(self) && !self.is_stuck && self.now() < end {
            let next = self.now().after(Duration::from_millis(100));
            self.run_to(next);
        }
        is_so(self)
    }

    /// So long somebody does not get on.
    pub(super) fn be_patient(&mut self, duration: Duration) {
        self.book.be_patient(duration);
        self.excuse(duration);
    }

    /// So long nobody could get on.
    pub(super) fn excuse(&mut self, duration: Duration) {
        self.pages.iter_mut().for_each(|page| page.presenter.witness.excuse(duration));
        self.screens.iter_mut().for_each(|screen| screen.presenter.witness.excuse(duration));
        self.controllers.iter_mut().for_each(|controller| controller.excuse(duration));
        self.around.doom.excuse(duration);
    }

    /// A page starts a presentation with which nothing goes wrong by itself.
    pub(super) fn start_undisturbed(&mut self, page: usize, device: &str, kind: TransportKind) {
        let started = self.pages[page].start(Some(device), kind);
        self.undisturbed.extend(started);
    }

    /// The connections of a page that are in this state.
    pub(super) fn in_state(&self, page: usize, state: ConnectionState) -> Vec<Key> {
        self.pages[page].presenter.witness.in_state(state)
    }

    /// Clients of a box that are connected to its service.
    pub(super) fn clients_of(&self, station: u16) -> usize {
        let is_of = |party| matches!(party, Party::Presenter { station: its, .. } if its == station);
        let pages = self.pages.iter().map(|page| &page.presenter);
        let all = pages.chain(self.screens.iter().map(|screen| &screen.presenter));
        all.filter(|presenter| presenter.is_connected() && is_of(presenter.party)).count()
    }
}
