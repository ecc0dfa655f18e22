//! What a controller asks, decided: validated as a whole first, then done.

use heapless::Vec;

use super::app::App;
use super::phase::{Admission, Scene};
use super::{AppHandle, Facts, Manager, Ticket, socket_path};
use crate::limits::HOLDERS_MAX;
use crate::message::control::{Answer, Command, Holding, Refusal, TableName};
use crate::message::{AppId, Component, LogLevel, SocketPath, TargetState, VERSIONS};
use crate::resources::{Reservation, Shortage};
use crate::table::Full;
use crate::time::Instant;

/// A request that was taken: answered at once, or when the session server has done its part.
type Taken = Result<Option<Answer>, Refusal>;

impl<const APPS: usize> Manager<APPS> {
    pub(super) fn request(&mut self, now: Instant, from: Ticket, command: Command<'_>, facts: Option<Facts<'_>>) {
        let taken = match command {
            Command::Hello => Ok(Some(Answer::Welcome { version: VERSIONS.1 })),
            Command::Initiate { app, state, socket } => self.initiate(now, from, (app, state, socket), facts),
            Command::ChangeState { app, state } => self.change_state(now, from, app, state),
            Command::ConnectionInfo { app } => self.connection_info(app).map(Some),
            Command::SetLogLevel { component, level } => Ok(Some(self.set_log_level(now, component, level))),
            Command::List { from } => Ok(Some(self.list(now, from))),
            // Who watches is the driver's matter, and so are the traces.
            Command::Watch | Command::Trace { .. } => Ok(Some(Answer::Done)),
            Command::Stop => {
                self.terminate(now);
                Ok(Some(Answer::Done))
            }
        };
        if let Err(refusal) = &taken {
            self.note_refusal(command.app().and_then(|app| AppId::new(app).ok()), refusal);
        }
        if let Some(result) = taken.transpose() {
            self.reply = Some((from, result));
        }
    }

    /// What the authority does not grant: who asked is told what it may not.
    pub(super) fn deny(&mut self, from: Ticket, command: Command<'_>, user_id: u32) {
        let app = command.app().and_then(|app| AppId::new(app).ok());
        let refusal = match &app {
            Some(_) if command.chooses_socket() => Refusal::SocketDenied { user_id },
            Some(app) => Refusal::AppDenied { user_id, app: app.clone() },
            None => Refusal::BoxDenied { user_id },
        };
        self.note_refusal(app, &refusal);
        self.reply = Some((from, Err(refusal)));
    }

    /// SM-01 to SM-04, SM-13, SM-37, SM-40
    fn initiate(
        &mut self,
        now: Instant,
        from: Ticket,
        (name, state, socket): (&str, TargetState, &str),
        facts: Option<Facts<'_>>,
    ) -> Taken {
        let id = AppId::new(name).map_err(|_| Refusal::AppName)?;
        let facts = facts.ok_or(Refusal::Denied)?;
        self.admit_start(name, state)?;
        let socket = self.place_socket(&id, socket, facts.socket_directory)?;
        let (capacity, in_use) = (self.apps.table().capacity(), self.apps.table().in_use());
        if in_use >= capacity {
            return Err(Refusal::Full { table: TableName::Apps, capacity, in_use });
        }
        let held = match state {
            TargetState::Active => Some(self.reserve(facts.resources.max_playback_sessions)?),
            TargetState::Inactive | TargetState::NotRunning => None,
        };
        let mut app = App::new(id, socket, facts.resources, state);
        let (settings, ledger, spares) = (&self.settings, &mut self.ledger, &mut self.spares);
        app.begin(from, held, &mut Scene { now, settings, ledger, spares });
        match self.apps.insert(app) {
            Ok(handle) => self.touch(handle),
            // That there is a place was seen above.
            Err(Full(_)) => return Err(Refusal::Full { table: TableName::Apps, capacity, in_use }),
        }
        Ok(None)
    }

    fn admit_start(&self, name: &str, state: TargetState) -> Result<(), Refusal> {
        if self.is_ending() {
            return Err(Refusal::ShuttingDown);
        }
        if state == TargetState::NotRunning {
            return Err(Refusal::WrongState { state: None });
        }
        match self.apps.find(name).and_then(|handle| self.apps.get(handle)) {
            None => Ok(()),
            Some(app) if planted!("started_while_ending") && app.is_ending() => Ok(()),
            Some(app) if app.is_ending() || app.is_restarting() => Err(Refusal::Busy),
            Some(app) => Err(Refusal::AlreadyRunning { state: app.notified() }),
        }
    }

    fn place_socket(&self, id: &AppId, socket: &str, directory: &str) -> Result<SocketPath, Refusal> {
        if socket.is_empty() {
            // Each app has one socket, so among one name more than there are apps one is free.
            let mut names = (0..=self.apps.table().capacity()).map(|attempt| socket_path::own(directory, id, attempt));
            let is_free =
                |path: &SocketPath| planted!("socket_name_taken_twice", true, self.apps.owner_of(path).is_none());
            let free = names.find(|path| path.as_ref().is_none_or(is_free));
            return free.flatten().ok_or(Refusal::SocketPath);
        }
        let path = socket_path::resolve(directory, socket).ok_or(Refusal::SocketPath)?;
        match self.apps.owner_of(&path).and_then(|owner| self.app_id(owner)) {
            Some(owner) => Err(Refusal::SocketInUse { app: owner.clone() }),
            None => Ok(path),
        }
    }

    /// SM-14 to SM-20, SM-37, SM-40
    fn change_state(&mut self, now: Instant, from: Ticket, name: &str, state: TargetState) -> Taken {
        let handle = self.find(name)?;
        if self.is_ending() && state != TargetState::NotRunning {
            return Err(Refusal::ShuttingDown);
        }
        let app = self.apps.get_mut(handle).ok_or(Refusal::UnknownApp)?;
        if app.admit(state)? == Admission::There {
            app.keep(state);
            return Ok(Some(Answer::Done));
        }
        let units = app.resources().max_playback_sessions;
        let held = match state {
            TargetState::Active => Some(self.reserve(planted!("active_for_free", 0, units))?),
            TargetState::Inactive | TargetState::NotRunning => None,
        };
        if let Some(app) = self.apps.get_mut(handle) {
            let (settings, ledger, spares) = (&self.settings, &mut self.ledger, &mut self.spares);
            let scene = Scene { now, settings, ledger, spares };
            app.go(state, from, held, &scene);
        }
        self.touch(handle);
        Ok(None)
    }

    /// SM-09
    fn connection_info(&self, name: &str) -> Result<Answer, Refusal> {
        let app = self.apps.get(self.find(name)?).ok_or(Refusal::UnknownApp)?;
        if planted!("address_before_first_state", false, !app.is_reachable()) {
            return Err(Refusal::NotRunning);
        }
        Ok(Answer::ConnectionInfo { socket: app.socket().clone() })
    }

    /// SM-39
    fn set_log_level(&mut self, now: Instant, component: Component, level: LogLevel) -> Answer {
        self.log_levels.set(component, level);
        self.levels_due = true;
        self.for_each_app(now, App::levels_changed);
        Answer::Done
    }

    fn list(&self, now: Instant, from: u16) -> Answer {
        let table = self.apps.table();
        let mut apps = (from..table.capacity()).filter_map(|place| table.get(table.handle_at(place)?).zip(Some(place)));
        match apps.next() {
            Some((app, place)) => Answer::App { next: place.saturating_add(1), status: app.status(now) },
            None => Answer::Box(self.box_status()),
        }
    }

    fn find(&self, name: &str) -> Result<AppHandle, Refusal> {
        if AppId::new(name).is_err() {
            return Err(Refusal::AppName);
        }
        let found = self.apps.find(name);
        planted!("other_app_asked", found.or(self.apps.table().handle_at(0)), found).ok_or(Refusal::UnknownApp)
    }

    /// SM-40: all of the units or a refusal that says who has them.
    pub(super) fn reserve(&mut self, units: u8) -> Result<Reservation, Refusal> {
        self.ledger.reserve(units).map_err(|shortage| self.shortage(shortage))
    }

    fn shortage(&self, Shortage { wanted, free, total }: Shortage) -> Refusal {
        let holders = self.apps.table().iter().filter(|(_, app)| app.decoders() > 0);
        let holders: Vec<Holding, HOLDERS_MAX> = holders
            .take(HOLDERS_MAX)
            .map(|(_, app)| Holding { app: app.id().clone(), decoders: app.decoders() })
            .collect();
        Refusal::Decoders { wanted, free, total, holders }
    }

    /// Whether it was told to end: it ends its apps, and then itself (SM-38).
    pub const fn is_ending(&self) -> bool {
        self.exit_by.is_some() || self.exited
    }
}
