//! The manager's machine: one per box; starts, moves and ends the session servers (SM-01 to SM-21, SM-37 to SM-40).
//!
//! ```text
//!   requests ---+                       +--> replies, notifications
//!   links    ---+--> one app's phase ---+--> spawn, requests on its link, signals
//!   children ---+    (`app`)            +--> exit
//!   ticks    ---+         |
//!                         +-- ledger of the box's decoders
//!                         +-- `spare` session servers
//! ```
//!
//! Nothing is queued: what is to be done is derived from the state of the apps that an input has touched. An input
//! touches one app, but for [`Input::Terminate`] and a new log level, which concern them all. Where spares are wanted a
//! tick is due from the start.

mod app;
pub mod companion;
mod phase;
mod registry;
mod request;
mod restarts;
mod settings;
mod socket_path;
mod spare;
#[cfg(test)]
mod tests;

use core::time::Duration;

use heapless::Deque;
use serde::{Deserialize, Serialize};

use self::phase::{Deed, Event, Late, Phase, Scene};
use self::registry::Registry;

pub use self::settings::Settings;
use self::spare::Spares;
use crate::driver::Machine;
use crate::hal::{ErrorKind, ExitStatus, Signal};
use crate::health::HealthCheck;
use crate::limits::APPS_MAX;
use crate::message::control::{Answer, AppStatus, BoxStatus, Command, LastRefusal, Refusal};
use crate::message::{AppId, LogLevels, Reason, Resources, ServerState, SocketPath, TargetState, link};
use crate::resources::Ledger;
use crate::table::Handle;
use crate::table::deadlines::Deadlines;
use crate::time::{Instant, earliest};

/// What [`AppHandle`] names: one stay of one app in the manager's table.
pub use self::app::App;
pub use self::spare::{Spare, SpareDeed, SpareEvent, SpareHandle};

/// Names an app from its initiation to its end, over all its session servers. Initiated again it has another handle.
pub type AppHandle = Handle<App>;

/// What [`Ticket::controller`] names: a connection to the control socket, in the driver's table.
#[derive(Debug)]
pub struct Controller;

/// Where an answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ticket {
    /// The connection that asked. It may have gone when the answer is there, which is then dropped.
    pub controller: Handle<Controller>,
    /// The request's number.
    pub sequence: u32,
}

/// What the integrator's policy says of an app that is to be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Facts<'a> {
    /// What the app may hold.
    pub resources: Resources,
    /// Where its socket lies when the request gives no full path.
    pub socket_directory: &'a str,
}

/// What the manager is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Input<'a> {
    /// A controller asks. Exactly one [`Action::Reply`] with this ticket follows, now or later.
    Request {
        /// Who.
        from: Ticket,
        /// What.
        #[serde(borrow)]
        command: Command<'a>,
        /// The policy; needed for [`Command::Initiate`], else `None`.
        #[serde(borrow)]
        facts: Option<Facts<'a>>,
    },
    /// A controller asked what it may not. Exactly one [`Action::Reply`] with this ticket follows.
    Denied {
        /// Who.
        from: Ticket,
        /// What.
        #[serde(borrow)]
        command: Command<'a>,
        /// The controller's user.
        user_id: u32,
    },
    /// What came of an [`Action::Spawn`]: the number of the process, or the kind of failure.
    Spawned {
        /// Which app.
        app: AppHandle,
        /// The process.
        result: Result<u32, ErrorKind>,
    },
    /// A session server sent a message.
    Link {
        /// Which app's.
        app: AppHandle,
        /// What it says.
        message: link::Message,
    },
    /// A session server closed its link.
    LinkClosed {
        /// Which app's.
        app: AppHandle,
    },
    /// A session server sent what is no message, or its link failed.
    LinkBroken {
        /// Which app's.
        app: AppHandle,
    },
    /// A session server's process has ended and was reaped.
    ChildExited {
        /// Which app's.
        app: AppHandle,
        /// How.
        status: ExitStatus,
    },
    /// The manager itself is to end (SM-38).
    Terminate,
    /// A deadline has come.
    Tick,
    /// Something happened to a spare session server.
    Spare {
        /// Which one.
        spare: SpareHandle,
        /// What.
        event: SpareEvent,
    },
}

/// What the manager wants done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Action {
    /// Start a session server of an app, then hand in [`Input::Spawned`]. One that was there before was reaped, and its
    /// socket is for the new one to take over (SM-36).
    Spawn {
        /// Which app.
        app: AppHandle,
    },
    /// Send [`Manager::configuration`] on the link.
    Configure {
        /// Which app.
        app: AppHandle,
        /// The request's number.
        sequence: u32,
    },
    /// Send `SetState` on the link.
    SetState {
        /// Which app.
        app: AppHandle,
        /// The request's number.
        sequence: u32,
        /// The state to enter.
        state: TargetState,
    },
    /// Send a ping on the link.
    Ping {
        /// Which app.
        app: AppHandle,
        /// The request's number.
        sequence: u32,
    },
    /// Send the log levels on the link.
    SetLogLevels {
        /// Which app.
        app: AppHandle,
        /// The request's number.
        sequence: u32,
        /// The levels.
        levels: LogLevels,
    },
    /// Close the manager's end of the link.
    CloseLink {
        /// Which app's.
        app: AppHandle,
    },
    /// Send a signal to the session server's process.
    Signal {
        /// Which app's.
        app: AppHandle,
        /// Which one.
        signal: Signal,
    },
    /// Answer a controller.
    Reply {
        /// Whom.
        to: Ticket,
        /// What.
        result: Result<Answer, Refusal>,
    },
    /// Tell the observers of an app's new state.
    Notify {
        /// Which app.
        app: AppId,
        /// Its state.
        state: ServerState,
        /// Why, where it is Error, NotRunning, or Inactive instead of Active after a restart.
        reason: Option<Reason>,
    },
    /// Remove the socket that an app's session servers have left: no other follows. It comes before the observers hear
    /// of the end (SM-34).
    RemoveSocket {
        /// Which app's.
        app: AppHandle,
    },
    /// The log levels of the manager's own process are others now (SM-39).
    ApplyLogLevels(LogLevels),
    /// All apps have ended, or the time for it is up: the manager's process ends.
    Exit,
    /// The process and the link of this spare are the app's from now on, as if they had just been started for it.
    Take {
        /// Which app.
        app: AppHandle,
        /// Which spare; it is none any more.
        spare: SpareHandle,
    },
    /// Do something with a spare session server.
    Spare {
        /// Which one.
        spare: SpareHandle,
        /// What.
        deed: SpareDeed,
    },
}

/// An input that came too late, for an app that is not there any more or has moved on. It was counted and changed nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stale;

/// Time limits of one app that can pass in one tick, with much to spare: those of its phases, one after the other.
const DUE_MAX: usize = 16;

/// The machine. `APPS` is how many apps there can be at a time.
#[derive(Debug, Serialize, Deserialize)]
pub struct Manager<const APPS: usize = APPS_MAX> {
    settings: Settings,
    log_levels: LogLevels,
    ledger: Ledger,
    apps: Registry<APPS>,
    spares: Spares,
    deadlines: Deadlines<APPS>,
    /// Apps whose servers are on their way to a state.
    under_way: u16,
    /// Places of apps for which something may be to do; each is in it once at most.
    touched: Deque<u16, APPS>,
    /// The answer to the request that was handled last, if it needs no session server.
    reply: Option<(Ticket, Result<Answer, Refusal>)>,
    levels_due: bool,
    /// When the manager ends at the latest; set by [`Input::Terminate`].
    exit_by: Option<Instant>,
    exited: bool,
    refusals: u32,
    last_refusal: Option<LastRefusal>,
    stale: u32,
}

impl<const APPS: usize> Manager<APPS> {
    /// A manager without apps.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            log_levels: settings.log_levels,
            ledger: Ledger::new(settings.decoders),
            apps: Registry::new(),
            spares: Spares::new(),
            deadlines: Deadlines::new(),
            under_way: 0,
            touched: Deque::new(),
            reply: None,
            levels_due: false,
            exit_by: None,
            exited: false,
            refusals: 0,
            last_refusal: None,
            stale: 0,
        }
    }

    /// The name of an app.
    pub fn app_id(&self, app: AppHandle) -> Option<&AppId> {
        self.apps.get(app).map(App::id)
    }

    /// How an app is.
    pub fn status(&self, now: Instant, app: AppHandle) -> Option<AppStatus> {
        self.apps.get(app).map(|app| app.status(now))
    }

    /// When something becomes due for an app, if time matters to it now.
    pub fn deadline(&self, app: AppHandle) -> Option<Instant> {
        self.apps.get(app).and_then(App::deadline)
    }

    /// The apps that there are, in the order of their places.
    pub fn apps(&self) -> impl Iterator<Item = AppHandle> {
        self.apps.table().iter().map(|(handle, _)| handle)
    }

    /// What is in a session server's configuration and known here; the rest is the integrator's policy (SM-07).
    pub fn configuration(&self, app: AppHandle) -> Option<Configuration<'_>> {
        let app = self.apps.get(app)?;
        Some(Configuration {
            app: app.id(),
            socket: app.socket(),
            state: app.first(),
            resources: planted!("resources_not_told", Resources::default(), app.resources()),
            log_levels: self.log_levels,
            health: self.settings.health,
        })
    }

    /// How the box is.
    pub fn box_status(&self) -> BoxStatus {
        BoxStatus {
            decoders: self.ledger.total(),
            decoders_free: self.ledger.free(),
            apps_max: self.apps.table().capacity(),
            refusals: self.refusals,
            stale: self.stale,
            spares: self.spares.waiting(),
            last_refusal: self.last_refusal.clone(),
        }
    }

    fn on_event(&mut self, now: Instant, handle: AppHandle, read: impl FnOnce(&mut App) -> Event) -> Result<(), Late> {
        let Some(app) = self.apps.get_mut(handle) else { return Err(Late) };
        let event = read(app);
        let mut scene = Scene { now, settings: &self.settings, ledger: &mut self.ledger, spares: &mut self.spares };
        let handled = app.handle(event, &mut scene);
        self.touch(handle);
        handled
    }

    /// Notes that there may be something to do for an app.
    fn touch(&mut self, handle: AppHandle) {
        let Some(app) = self.apps.get_mut(handle) else { return };
        self.deadlines.set(handle.index(), app.deadline());
        let is_under_way = app.is_under_way();
        match (app.mark_counted(is_under_way), is_under_way) {
            (false, true) => self.under_way = self.under_way.saturating_add(1),
            (true, false) => self.under_way = self.under_way.saturating_sub(1),
            (true, true) | (false, false) => {}
        }
        // A tick touches an app again when it passes two time limits at once.
        if app.mark_touched() {
            // Each app is in it once, so there is room.
            let _ = self.touched.push_back(handle.index());
        }
    }

    fn on_tick(&mut self, now: Instant) {
        // A machine may be one that was read, and then its time limits are anything.
        for _ in 0..APPS.saturating_mul(DUE_MAX) {
            let Some(place) = self.deadlines.take_due(now) else { break };
            let Some(handle) = self.apps.table().handle_at(place) else { continue };
            // An app for which nothing can become due has no deadline.
            let _ = self.on_event(now, handle, |app| app.due(now));
        }
        self.spares.on_tick(now, &self.settings);
    }

    /// Whether a spare would not compete with an app.
    fn may_start_spare(&self) -> bool {
        self.under_way == 0 && !self.is_ending()
    }

    fn for_each_app(&mut self, now: Instant, act: impl Fn(&mut App, &Scene<'_>)) {
        for place in 0..self.apps.table().capacity() {
            let Some(handle) = self.apps.table().handle_at(place) else { continue };
            if let Some(app) = self.apps.get_mut(handle) {
                let (settings, ledger, spares) = (&self.settings, &mut self.ledger, &mut self.spares);
                act(app, &Scene { now, settings, ledger, spares });
            }
            self.touch(handle);
        }
    }

    /// Takes every app down in order, and starts no more (SM-38).
    fn terminate(&mut self, now: Instant) {
        if self.exit_by.is_some() {
            return;
        }
        let settings = &self.settings;
        // Inactive: an answer and a notification; then the end, and what the platform needs to reap.
        let limits = [settings.link_timeout, settings.link_timeout, settings.stop_timeout, settings.terminate_timeout];
        let at = limits.into_iter().fold(now, Instant::after).after(Duration::from_secs(1));
        self.exit_by = Some(at);
        self.for_each_app(now, App::retire);
        self.spares.dismiss(now, &self.settings);
    }

    fn poll_apps(&mut self) -> Option<Action> {
        while let Some(&place) = self.touched.front() {
            let handle = self.apps.table().handle_at(place);
            let deed = handle.and_then(|handle| self.apps.get_mut(handle)).and_then(App::poll);
            if let (Some(app), Some(deed)) = (handle, deed) {
                return Some(self.action(app, deed));
            }
            self.touched.pop_front();
            if let Some(handle) = handle {
                self.apps.get_mut(handle).map(App::clear_touched);
                self.forget_if_reaped(handle);
            }
        }
        None
    }

    /// Frees the place of an app of which everything was told.
    fn forget_if_reaped(&mut self, handle: AppHandle) {
        if !planted!("place_never_freed") && self.apps.get(handle).is_some_and(|app| app.phase() == Phase::Reaped) {
            self.deadlines.set(handle.index(), None);
            self.apps.remove(handle);
        }
    }

    fn action(&mut self, app: AppHandle, deed: Deed) -> Action {
        match deed {
            Deed::Spawn => Action::Spawn { app },
            Deed::Take(spare) => Action::Take { app, spare },
            Deed::Reply(to, outcome) => self.answer(app, to, outcome.into_result()),
            Deed::Notify(state, reason) => match self.apps.get(app) {
                Some(entry) => Action::Notify { app: entry.id().clone(), state, reason },
                None => Action::CloseLink { app },
            },
            Deed::Signal(signal) => Action::Signal { app, signal },
            Deed::CloseLink => Action::CloseLink { app },
            Deed::RemoveSocket => Action::RemoveSocket { app },
            Deed::Configure(sequence) => Action::Configure { app, sequence },
            Deed::SetState(sequence, state) => Action::SetState { app, sequence, state },
            Deed::Ping(sequence) => Action::Ping { app, sequence },
            Deed::SetLogLevels(sequence) => Action::SetLogLevels { app, sequence, levels: self.log_levels },
        }
    }

    fn answer(&mut self, app: AppHandle, to: Ticket, result: Result<Answer, Refusal>) -> Action {
        if let Err(refusal) = &result {
            self.note_refusal(self.apps.get(app).map(|app| app.id().clone()), refusal);
        }
        Action::Reply { to, result }
    }

    fn note_refusal(&mut self, app: Option<AppId>, refusal: &Refusal) {
        self.refusals = self.refusals.saturating_add(1);
        let handle = app.as_ref().and_then(|app| self.apps.find(app.as_str()));
        if let Some(entry) = handle.and_then(|handle| self.apps.get_mut(handle)) {
            entry.count_refusal();
        }
        self.last_refusal = Some(LastRefusal { app, refusal: refusal.clone() });
    }
}

/// The manager's part of a session server's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Configuration<'a> {
    /// The app.
    pub app: &'a AppId,
    /// The socket that its server makes.
    pub socket: &'a SocketPath,
    /// The first state.
    pub state: TargetState,
    /// What the app may hold.
    pub resources: Resources,
    /// How much is logged.
    pub log_levels: LogLevels,
    /// How it is seen whether a client gets on.
    pub health: HealthCheck,
}

impl<const APPS: usize> Machine for Manager<APPS> {
    type Input<'a> = Input<'a>;
    type Action = Action;
    type Refusal = Stale;

    fn handle(&mut self, now: Instant, input: Input<'_>) -> Result<(), Stale> {
        let handled = match input {
            Input::Request { from, command, facts } => {
                self.request(now, from, command, facts);
                Ok(())
            }
            Input::Denied { from, command, user_id } => {
                self.deny(from, command, user_id);
                Ok(())
            }
            Input::Spawned { app, result } => self.on_event(now, app, |_| match result {
                Ok(process_id) => Event::Spawned(process_id),
                Err(kind) => Event::SpawnFailed(kind),
            }),
            Input::Link { app, message } => self.on_event(now, app, |entry| entry.read(message)),
            Input::LinkClosed { app } => self.on_event(now, app, |_| Event::LinkClosed),
            Input::LinkBroken { app } => self.on_event(now, app, |_| Event::LinkBroken),
            Input::ChildExited { app, status } => self.on_event(now, app, |_| Event::Exited(status)),
            Input::Terminate => {
                self.terminate(now);
                Ok(())
            }
            Input::Tick => {
                self.on_tick(now);
                Ok(())
            }
            Input::Spare { spare, event } => self.spares.on_event(now, spare, event, &self.settings),
        };
        if self.exit_by.is_some_and(|at| planted!("end_without_bound", false, at <= now)) {
            self.exited = true;
        }
        if self.may_start_spare() {
            self.spares.replenish(now, &self.settings);
        }
        handled.map_err(|Late| {
            self.stale = self.stale.wrapping_add(1);
            Stale
        })
    }

    fn poll_action(&mut self) -> Option<Action> {
        if let Some((to, result)) = self.reply.take() {
            return Some(Action::Reply { to, result });
        }
        if core::mem::take(&mut self.levels_due) {
            return Some(Action::ApplyLogLevels(self.log_levels));
        }
        if let Some(action) = self.poll_apps() {
            return Some(action);
        }
        if let Some((spare, deed)) = self.spares.poll() {
            return Some(Action::Spare { spare, deed });
        }
        let is_empty = self.apps.table().in_use() == 0 && self.spares.is_empty();
        let ends = self.exit_by.is_some() && (self.exited || is_empty);
        if ends {
            (self.exit_by, self.exited) = (None, true);
        }
        ends.then_some(Action::Exit)
    }

    fn next_deadline(&self) -> Option<Instant> {
        let spares = self.spares.next_deadline(self.may_start_spare(), &self.settings);
        earliest(earliest(self.deadlines.first(), spares), self.exit_by)
    }
}
