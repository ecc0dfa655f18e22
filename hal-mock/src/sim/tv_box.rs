//! One box: manager, session servers, apps and controllers, who have their turns one after the other in virtual time.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use greenroom_core::hal::ExitStatus;
use greenroom_core::manager::Settings;
use greenroom_core::message::control::{Answer, Command, Refusal};
use greenroom_core::message::{Resources, ServerState, TargetState, playback};
use greenroom_core::time::Instant;

use super::book::{Book, Violation};
use super::controller::{Controller, Heard};
use super::event::Event;
use super::fault::{FAULTS, FaultSet};
use super::hardware::Hardware;
use super::manager::ManagerProcess;
use super::server::ServerProcess;
use super::turns::Due;
use super::viewer::{Viewer, Wish};
use crate::party::Party;
use crate::world::World;

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
    /// Why it does.
    pub(super) faults: FaultSet,
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
    pub(super) due: Due,
    pub(super) turns_at: (Instant, u32),
    /// Turns so far.
    pub(super) turns: u64,
    pub(super) is_stuck: bool,
    /// A manager was killed, and nobody has seen to its apps since.
    pub(super) has_lost_apps: bool,
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
        let book = Book::new(&world, plan.settings.decoders);
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
            has_lost_apps: false,
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
    pub fn reconnect(&mut self, controller: usize) {
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

    /// An app's connection makes a call beside what it does.
    pub(super) fn extra(&mut self, viewer: usize, command: playback::Command<'_>) {
        if let Some(viewer) = self.viewers.get_mut(viewer) {
            self.world.act_as(viewer.client.party);
            viewer.extra(command);
            self.world.act_as(Party::Nobody);
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
        self.book.referee.borrow_mut().manager_ends();
        self.world.act_as(Party::Manager);
        self.manager.terminate(now);
        self.world.act_as(Party::Nobody);
    }

    /// The manager is killed, and the next one starts; it is up after so long. Who served apps of the old one ends by
    /// itself when its link ends. What keeps the manager running also ends what hangs, or was never up, within seconds.
    pub fn kill_manager(&mut self, up_after: Duration) {
        let now = self.now();
        self.book.referee.borrow_mut().manager_killed(now, self.world.paths());
        self.has_lost_apps = true;
        self.manager.replace(&self.world, &self.book, self.plan.settings, self.plan.resources);
        self.manager.stalled_until = now.after(up_after);
        for server in self.servers.iter_mut().filter(|server| server.cannot_see_its_end()) {
            let dies_at = now.after(Duration::from_millis(self.world.random(5000)));
            server.dies_at = Some(server.dies_at.map_or(dies_at, |at| at.min(dies_at)));
        }
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

    pub(super) fn hear(&mut self, place: usize) {
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

/// The socket that the manager chooses for an app.
pub(super) fn socket_of(app: &str) -> String {
    format!("/run/greenroom/{app}.sock")
}
