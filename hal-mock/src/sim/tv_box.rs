//! One box: manager, session servers, apps and controllers, who have their turns one after the other in virtual time.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use greenroom_core::hal::ExitStatus;
use greenroom_core::manager::Settings;
use greenroom_core::message::control::{Answer, Command, Refusal};
use greenroom_core::message::{Resources, ServerState, TargetState};
use greenroom_core::time::Instant;

use super::book::{Book, Violation};
use super::controller::{Controller, Heard};
use super::decoder::Hardware;
use super::event::Event;
use super::fault::FAULTS;
use super::manager::ManagerProcess;
use super::server::ServerProcess;
use super::viewer::{Viewer, Wish};
use crate::party::Party;
use crate::world::World;

/// A session server that nothing delays is up after this.
const BOOT: Duration = Duration::from_millis(20);
/// So many turns at one instant, and nobody gets on.
const TURNS_PER_INSTANT_MAX: u32 = 20_000;

/// Answers that are kept for who asked.
const ANSWERS_MAX: usize = 64;

/// What a box is made of.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The manager's settings.
    pub settings: Settings,
    /// What each app may hold.
    pub resources: Resources,
    /// Turns and commands take time, by chance. Else only what says so does.
    pub takes_time: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            settings: Settings { decoders: 4, ..Settings::default() },
            resources: Resources { max_playback_sessions: 2, max_web_audio_players: 1, max_key_sessions: 2 },
            takes_time: false,
        }
    }
}

/// How the next process starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) delay_ms: Option<u32>,
    pub(super) never: bool,
    pub(super) dies_after_ms: Option<u32>,
}

/// How time is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grain(pub(super) u64);

/// A whole box in virtual time. Everything in it but the platform is what ships.
///
/// ```
/// use std::time::Duration;
/// use greenroom_core::message::{ServerState, TargetState};
/// use greenroom_hal_mock::sim::{TvBox, Wish};
///
/// let mut tv = TvBox::new(1);
/// tv.initiate("app0", TargetState::Active);
/// assert!(tv.run_until(Duration::from_secs(1), |tv| tv.state("app0") == Some(ServerState::Active)));
/// let viewer = tv.open_app("app0");
/// tv.wish(viewer, Wish::Watching);
/// assert!(tv.run_until(Duration::from_secs(5), |tv| tv.is_playing(viewer)));
/// assert_eq!(tv.violations(), []);
/// ```
pub struct TvBox {
    pub(super) world: World,
    pub(super) book: Rc<Book>,
    pub(super) hardware: Rc<Hardware>,
    pub(super) manager: ManagerProcess,
    pub(super) servers: Vec<ServerProcess>,
    pub(super) viewers: Vec<Viewer>,
    pub(super) controllers: Vec<Controller>,
    pub(super) plan: Plan,
    pub(super) next_start: Start,
    pub(super) grain: Grain,
    states: BTreeMap<String, ServerState>,
    answers: BTreeMap<u32, Result<Answer, Refusal>>,
    /// Which app each request of the first controller that has no answer is about.
    asked: BTreeMap<u32, String>,
    clients: BTreeMap<String, u16>,
    due: Due,
    turns_at: (Instant, u32),
    /// Turns so far.
    turns: u64,
    is_stuck: bool,
}

impl TvBox {
    /// A box with a manager and a controller, in which nothing goes wrong.
    pub fn new(seed: u64) -> Self {
        Self::with(seed, Plan::default())
    }

    /// The same, as planned.
    pub fn with(seed: u64, plan: Plan) -> Self {
        // Seeds that lie next to each other would give runs that are alike.
        let world = World::new(seed.wrapping_mul(0xD134_2543_DE82_EF95));
        if plan.takes_time {
            world.be_unkind();
        }
        let book = Book::new(&world);
        let hardware = Hardware::new(plan.settings.decoders);
        let manager = ManagerProcess::start(&world, &book, plan.settings, plan.resources);
        let mut tv = Self {
            world,
            book,
            hardware,
            manager,
            servers: Vec::new(),
            viewers: Vec::new(),
            controllers: Vec::new(),
            plan,
            next_start: Start::default(),
            grain: Grain(1),
            states: BTreeMap::new(),
            answers: BTreeMap::new(),
            asked: BTreeMap::new(),
            clients: BTreeMap::new(),
            due: Due::default(),
            turns_at: Default::default(),
            turns: 0,
            is_stuck: false,
        };
        tv.add_controller();
        tv
    }

    /// From now on what happens is kept, for [`Self::take_events`].
    pub fn keep_events(&self) {
        self.book.keep_events();
    }

    /// What has happened since.
    pub fn take_events(&self) -> Vec<Event> {
        self.book.take_events()
    }

    /// The present.
    pub fn now(&self) -> Instant {
        self.world.now()
    }

    /// The world that it lives in.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Inputs that its machines took so far.
    pub fn inputs(&self) -> u64 {
        self.book.inputs()
    }

    /// Turns that somebody had so far.
    pub fn turns(&self) -> u64 {
        self.turns
    }

    /// How often each class of faults has struck.
    pub fn faults(&self) -> [u64; FAULTS] {
        self.book.faults()
    }

    /// The hash of all inputs of all machines with their times, and of all faults.
    pub fn log_hash(&self) -> u64 {
        self.book.log_hash()
    }

    /// What must hold and did not.
    pub fn violations(&self) -> Vec<Violation> {
        self.book.violations()
    }

    /// How many there were, those included that are not told.
    pub fn violation_count(&self) -> u64 {
        self.book.violation_count()
    }

    /// Whether nobody gets on any more, and so time does not either.
    pub fn is_stuck(&self) -> bool {
        self.is_stuck
    }

    // ---- controllers

    /// Another controller, which is told of everything. Gives its number.
    pub fn add_controller(&mut self) -> usize {
        let number = self.controllers.len();
        let mut controller = Controller::new(&self.world, number as u16);
        self.world.act_as(controller.party);
        controller.connect();
        self.world.act_as(Party::Nobody);
        self.controllers.push(controller);
        number
    }

    /// The first controller asks; gives the number of its request, unless it is not connected.
    pub fn ask(&mut self, command: Command<'_>) -> Option<u32> {
        let request = self.ask_as(0, command)?;
        if let Some(app) = command.app() {
            self.asked.insert(request, app.to_owned());
        }
        Some(request)
    }

    /// Whether a request of the first controller about this app has no answer yet.
    pub(super) fn is_asked(&self, app: &str) -> bool {
        self.asked.values().any(|asked| asked == app)
    }

    /// Connects a controller that has lost its connection.
    pub(super) fn reconnect(&mut self, controller: usize) {
        let Some(controller) = self.controllers.get_mut(controller).filter(|it| !it.is_connected()) else { return };
        self.world.act_as(controller.party);
        controller.connect();
        self.world.act_as(Party::Nobody);
    }

    pub(super) fn ask_as(&mut self, controller: usize, command: Command<'_>) -> Option<u32> {
        let controller = self.controllers.get_mut(controller)?;
        self.world.act_as(controller.party);
        let asked = controller.ask(command);
        self.world.act_as(Party::Nobody);
        asked
    }

    /// Asks for an app to be started.
    pub fn initiate(&mut self, app: &str, state: TargetState) -> Option<u32> {
        self.ask(Command::Initiate { app, state, socket: "" })
    }

    /// Asks for another state of an app.
    pub fn change(&mut self, app: &str, state: TargetState) -> Option<u32> {
        self.ask(Command::ChangeState { app, state })
    }

    /// The answer to a request of the first controller, once it is there; it is forgotten then.
    pub fn answer(&mut self, request: u32) -> Option<Result<Answer, Refusal>> {
        self.answers.remove(&request)
    }

    /// The state of an app as the first controller was told.
    pub fn state(&self, app: &str) -> Option<ServerState> {
        self.states.get(app).copied()
    }

    // ---- apps

    /// Another connection of an app; it does nothing yet. Gives its number in the box.
    pub fn open_app(&mut self, app: &str) -> usize {
        self.open_viewer(app, false)
    }

    pub(super) fn open_viewer(&mut self, app: &str, is_playful: bool) -> usize {
        let number = app.trim_start_matches(|letter: char| !letter.is_ascii_digit()).parse().unwrap_or(0);
        let client = self.clients.entry(app.to_owned()).or_default();
        let party = Party::Client { app: number, client: *client };
        *client += 1;
        let path = socket_of(app);
        self.viewers.push(Viewer::new(&self.world, &self.book, party, &path, is_playful));
        self.viewers.len() - 1
    }

    /// Says what an app's connection is to do.
    pub fn wish(&mut self, viewer: usize, wish: Wish) {
        if let Some(viewer) = self.viewers.get_mut(viewer) {
            viewer.set_wish(wish);
        }
    }

    /// Whether an app's connection plays.
    pub fn is_playing(&self, viewer: usize) -> bool {
        self.viewers.get(viewer).is_some_and(Viewer::is_playing)
    }

    // ---- processes

    /// The session server of an app, by its place.
    pub(super) fn server_of(&self, app: &str) -> Option<usize> {
        let referee = self.book.referee.borrow();
        self.servers.iter().position(|server| !server.has_ended && referee.app_of(server.id()) == Some(app))
    }

    /// Processes of session servers that have not ended.
    pub fn live_servers(&self) -> usize {
        self.servers.iter().filter(|server| !server.has_ended).count()
    }

    /// Ends the session server of an app in this way. False: it has none.
    pub fn end_server(&mut self, app: &str, status: ExitStatus) -> bool {
        let Some(place) = self.server_of(app) else { return false };
        self.servers[place].end(status);
        true
    }

    /// The manager is asked to end.
    pub fn terminate(&mut self) {
        let now = self.now();
        self.world.act_as(Party::Manager);
        self.manager.terminate(now);
        self.world.act_as(Party::Nobody);
    }

    /// Whether the manager has ended.
    pub fn has_exited(&self) -> bool {
        self.manager.has_exited
    }

    // ---- time

    /// Lets time pass.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now().after(duration);
        self.run_to(end);
    }

    /// Lets time pass up to this instant: everything that is due before it happens.
    pub fn run_to(&mut self, end: Instant) {
        self.refresh();
        while self.step(end) {}
    }

    /// Lets time pass until this is so, but not for longer. Whether it is so.
    pub fn run_until(&mut self, limit: Duration, is_so: impl Fn(&Self) -> bool) -> bool {
        let end = self.now().after(limit);
        self.refresh();
        while !is_so(self) {
            if !self.step(end) {
                return is_so(self);
            }
        }
        true
    }

    /// One turn of somebody, or the time passes to the next one. False: nothing more happens before `end`.
    fn step(&mut self, end: Instant) -> bool {
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
    fn refresh(&mut self) {
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
            let mut server = ServerProcess::new(&self.world, &self.book, &self.hardware, process, self.plan.takes_time);
            let delay = start.delay_ms.map_or(BOOT, |delay_ms| Duration::from_millis(delay_ms.into()));
            server.starts_at = (!start.never).then(|| now.after(delay));
            server.dies_at = start.dies_after_ms.map(|after_ms| now.after(Duration::from_millis(after_ms.into())));
            server.refresh();
            self.servers.push(server);
        }
    }

    fn hear(&mut self, place: usize) {
        for heard in std::mem::take(&mut self.controllers[place].heard) {
            if place != 0 {
                continue;
            }
            match heard {
                Heard::Answer { sequence, result } => {
                    self.learn(sequence, &result);
                    self.keep_answer(sequence, result);
                }
                Heard::State { app, state } => {
                    self.states.insert(app, state);
                }
                // What an app is now must be asked for.
                Heard::Missed => self.states.clear(),
                Heard::Closed => {
                    self.states.clear();
                    self.answers.clear();
                    self.asked.clear();
                }
            }
        }
    }

    /// An answer may say more of an app than was told before.
    fn learn(&mut self, sequence: u32, result: &Result<Answer, Refusal>) {
        let app = self.asked.remove(&sequence);
        match (app, result) {
            (_, Ok(Answer::App { status, .. })) => {
                self.know(status.app.as_str().to_owned(), status.state);
            }
            (Some(app), Err(Refusal::UnknownApp)) => self.know(app, None),
            (
                Some(app),
                Err(Refusal::AlreadyRunning { state: Some(state) } | Refusal::WrongState { state: Some(state) }),
            ) => self.know(app, Some(*state)),
            _ => {}
        }
    }

    fn know(&mut self, app: String, state: Option<ServerState>) {
        match state {
            Some(state) => self.states.insert(app, state),
            None => self.states.remove(&app),
        };
    }

    /// Only the latest are kept: who asks and does not look does not want them.
    fn keep_answer(&mut self, sequence: u32, result: Result<Answer, Refusal>) {
        self.answers.insert(sequence, result);
        if self.answers.len() > ANSWERS_MAX {
            self.answers.pop_first();
        }
    }
}

/// When the manager wants to be woken, as of its last turn. The others keep theirs themselves.
#[derive(Debug, Default)]
struct Due {
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

/// The socket that the manager chooses for an app.
pub(super) fn socket_of(app: &str) -> String {
    format!("/run/greenroom/{app}.sock")
}
