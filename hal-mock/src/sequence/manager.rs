//! Steps of the manager.

use greenroom_core::hal::ErrorKind;
use greenroom_core::manager::{Action, AppHandle, Input, Manager, SpareDeed, SpareEvent, SpareHandle, Ticket};
use greenroom_core::message::control::Command;
use greenroom_core::message::link;
use greenroom_core::time::Instant;

use super::known::{KnownApp, KnownApps, key};
use super::{Asker, Kind, Sequence, Side, words};

/// What a session server is called that waits for its app.
const SPARE: &str = "spare";

impl Sequence {
    /// The manager has handled an input, which came to these actions. `manager` is as it was right after it.
    pub fn manager<const APPS: usize>(
        &mut self,
        at: Instant,
        manager: &Manager<APPS>,
        input: &Input<'_>,
        actions: &[Action],
    ) {
        self.manager_step(at, &KnownApps::of(at, manager, input, actions), input, actions);
    }

    pub(super) fn manager_step(&mut self, at: Instant, known: &KnownApps, input: &Input<'_>, actions: &[Action]) {
        self.manager_heard(at, known, input);
        self.name_socket(at, known, input, actions);
        for action in actions {
            self.manager_did(at, known, action);
        }
    }

    /// The process of an app's session server. Where its start was not seen the manager knows it.
    fn process_of(&mut self, known: &KnownApps, app: AppHandle) -> Option<u32> {
        if let Some(process) = self.apps.get(&key(app)) {
            return Some(*process);
        }
        let app_known = known.get(app).filter(|known| known.process_id != 0)?;
        self.apps.insert(key(app), app_known.process_id);
        self.serves(app_known.process_id, app_known.id.as_str());
        Some(app_known.process_id)
    }

    fn manager_heard(&mut self, at: Instant, known: &KnownApps, input: &Input<'_>) {
        match input {
            Input::Request { from, command, .. } | Input::Denied { from, command, .. } => {
                self.requested(at, *from, command);
            }
            Input::Spawned { app, result } => self.app_spawned(at, known, *app, *result),
            Input::Link { app, message } => {
                if let Some(process) = self.process_of(known, *app) {
                    self.server_said(at, process, message, Side::Received);
                    self.ready(at, process, message);
                }
            }
            Input::ChildExited { app, status } => {
                if let Some(process) = self.process_of(known, *app) {
                    self.ready_timers.remove(&process);
                    self.ended(at, process, self.manager, &format!("reap it: {}", words::exit(*status)));
                }
            }
            Input::LinkBroken { .. } => self.work(at, self.manager, "the link is broken"),
            Input::Terminate => self.work(at, self.manager, "asked to end"),
            Input::Spare { spare, event } => self.spare_said(at, *spare, event),
            // Its process's end follows, or a time limit; what comes of them is drawn.
            Input::LinkClosed { .. } | Input::Tick => {}
        }
    }

    /// Where the request leaves it to the manager.
    fn name_socket(&mut self, at: Instant, known: &KnownApps, input: &Input<'_>, actions: &[Action]) {
        let Input::Request { command: Command::Initiate { socket: "", .. }, .. } = input else { return };
        for action in actions {
            if let Action::Spawn { app } | Action::Take { app, .. } = action
                && let Some(known) = known.get(*app)
            {
                self.work(at, self.manager, &format!("name the socket {}", known.socket));
            }
        }
    }

    fn requested(&mut self, at: Instant, from: Ticket, command: &Command<'_>) {
        let is_small_talk = matches!(command, Command::List { .. } | Command::Watch | Command::Trace { .. });
        if is_small_talk && !self.shows_all() {
            self.unshown.insert(asked_by(from));
            return;
        }
        let (from, to) = (self.platform, self.manager);
        self.tell(Side::Received, at, Kind::Call, (from, to), words::control_command(command));
    }

    fn app_spawned(&mut self, at: Instant, known: &KnownApps, app: AppHandle, result: Result<u32, ErrorKind>) {
        let process = match result {
            Ok(process) => process,
            Err(kind) => return self.work(at, self.manager, &format!("spawning failed: {kind:?}")),
        };
        let known = known.get(app);
        self.spawned(at, process, known.map(|known| known.id.as_str()));
        self.apps.insert(key(app), process);
        if let Some(due) = known.and_then(|known| known.deadline) {
            let limit = due.since(at).as_secs_f64();
            self.ready_timers.insert(process);
            self.work(at, self.manager, &format!("start the READY timer, {limit} s"));
        }
    }

    fn spawned(&mut self, at: Instant, process: u32, app: Option<&str>) {
        self.work(at, self.manager, "make a socket pair for the link");
        // The number of a process that has ended can come again.
        if self.servers.get(&process).is_some_and(|known| known.has_ended) {
            self.servers.remove(&process);
            self.names.remove(&process);
        }
        if let Some(app) = app {
            self.serves(process, app);
        }
        let server = self.server(process);
        self.draw(at, Kind::Creation, (self.manager, server), "spawn(link)");
    }

    fn ready(&mut self, at: Instant, process: u32, message: &link::Message) {
        if matches!(message, link::Message::StateChanged { .. }) && self.ready_timers.remove(&process) {
            self.work(at, self.manager, "cancel the READY timer");
        }
    }

    /// A session server says something to the manager; either of them tells it here.
    pub(super) fn server_said(&mut self, at: Instant, process: u32, message: &link::Message, side: Side) {
        let server = self.server(process);
        let ends = (server, self.manager);
        match message {
            link::Message::Reply { sequence, result } => {
                let is_shown = match side {
                    Side::Sent => !self.unshown.contains(&(Asker::Manager(server), *sequence)),
                    Side::Received => !self.unshown.remove(&(Asker::Manager(server), *sequence)),
                };
                if is_shown {
                    self.tell(side, at, Kind::Answer, ends, words::link_result(result));
                }
            }
            link::Message::StateChanged { state, reason } => {
                let what = words::state_changed(None, *state, *reason);
                self.tell(side, at, Kind::Notification, ends, what);
            }
            link::Message::Listener => {
                self.kept_sockets.extend(self.names.get(&process).cloned());
                self.tell(side, at, Kind::Notification, ends, "the listening socket, to keep".to_owned());
            }
            link::Message::Clients { connected, state } => {
                if self.shows_all() {
                    self.tell(side, at, Kind::Notification, ends, format!("clients({connected}, {state:?})"));
                }
            }
            other => self.tell(side, at, Kind::Notification, ends, words::verb(other)),
        }
    }

    fn spare_said(&mut self, at: Instant, spare: SpareHandle, event: &SpareEvent) {
        let key = (spare.index(), spare.generation());
        if let SpareEvent::Spawned(Ok(process)) = event {
            self.spawned(at, *process, Some(SPARE));
            self.spares.insert(key, *process);
            return;
        }
        let Some(process) = self.spares.get(&key).copied() else { return };
        match event {
            SpareEvent::Link(message) => self.server_said(at, process, message, Side::Received),
            SpareEvent::ChildExited(status) => {
                self.ended(at, process, self.manager, &format!("reap it: {}", words::exit(*status)));
            }
            SpareEvent::Spawned(_) | SpareEvent::LinkClosed | SpareEvent::LinkBroken => {}
        }
    }

    fn manager_did(&mut self, at: Instant, known: &KnownApps, action: &Action) {
        match action {
            Action::Configure { app, .. } => {
                if let Some(it) = known.get(*app) {
                    let what = words::set_configuration(&it.socket, it.first, &it.resources, &it.log_levels);
                    self.ask_server(at, known, *app, what);
                }
            }
            Action::SetState { app, state, .. } => self.ask_server(at, known, *app, words::set_state(*state)),
            Action::SetLogLevels { app, .. } => self.ask_server(at, known, *app, "set_log_levels".to_owned()),
            Action::Ping { app, sequence } => {
                if let Some(process) = self.process_of(known, *app) {
                    self.ping(at, process, *sequence);
                }
            }
            Action::Signal { app, signal } => {
                if let Some(process) = self.process_of(known, *app) {
                    self.signal(at, process, words::signal(*signal));
                }
            }
            Action::Reply { to, result } => {
                if !self.unshown.remove(&asked_by(*to)) {
                    let ends = (self.manager, self.platform);
                    self.tell(Side::Sent, at, Kind::Answer, ends, words::control_result(result));
                }
            }
            Action::Notify { app, state, reason } => {
                let what = words::state_changed(Some(app.as_str()), *state, *reason);
                self.tell(Side::Sent, at, Kind::Notification, (self.manager, self.platform), what);
            }
            Action::RemoveSocket { app } => {
                let process = self.process_of(known, *app);
                if let Some(app) = process.and_then(|process| self.names.get(&process)) {
                    self.kept_sockets.remove(app);
                }
                self.work(at, self.manager, "remove what is left of the app's socket");
            }
            Action::Exit => self.draw(at, Kind::End, (self.manager, self.manager), "exit the process"),
            Action::Take { app, spare } => self.taken(at, known, *app, *spare),
            Action::Spare { spare, deed } => self.spare_deed(at, *spare, deed),
            // What came of the first is an input; the others are nobody else's business.
            Action::Spawn { .. } | Action::CloseLink { .. } | Action::ApplyLogLevels(_) => {}
        }
    }

    fn ask_server(&mut self, at: Instant, known: &KnownApps, app: AppHandle, what: String) {
        let Some(process) = self.process_of(known, app) else { return };
        let server = self.server(process);
        self.tell(Side::Sent, at, Kind::Call, (self.manager, server), what);
    }

    fn ping(&mut self, at: Instant, process: u32, sequence: u32) {
        let server = self.server(process);
        if self.shows_all() {
            self.tell(Side::Sent, at, Kind::Call, (self.manager, server), "ping".to_owned());
        } else {
            self.unshown.insert((Asker::Manager(server), sequence));
        }
    }

    fn signal(&mut self, at: Instant, process: u32, signal: &str) {
        let server = self.server(process);
        self.has_not_ended(process);
        if self.ready_timers.remove(&process) {
            self.work(at, self.manager, "the READY timer has expired");
        }
        self.draw(at, Kind::Call, (self.manager, server), signal);
    }

    fn taken(&mut self, at: Instant, known: &KnownApps, app: AppHandle, spare: SpareHandle) {
        let Some(process) = self.spares.remove(&(spare.index(), spare.generation())) else { return };
        self.apps.insert(key(app), process);
        self.serving.remove(SPARE);
        if let Some(KnownApp { id, .. }) = known.get(app) {
            self.work(at, self.manager, &format!("take the spare session server for {id}"));
            self.serves(process, id.as_str());
        }
    }

    fn spare_deed(&mut self, at: Instant, spare: SpareHandle, deed: &SpareDeed) {
        let Some(process) = self.spares.get(&(spare.index(), spare.generation())).copied() else { return };
        let server = self.server(process);
        match deed {
            SpareDeed::Stop { .. } => {
                let what = words::set_state(greenroom_core::message::TargetState::NotRunning);
                self.tell(Side::Sent, at, Kind::Call, (self.manager, server), what);
            }
            SpareDeed::Ping { sequence } => self.ping(at, process, *sequence),
            SpareDeed::Signal(signal) => self.signal(at, process, words::signal(*signal)),
            SpareDeed::Spawn | SpareDeed::CloseLink => {}
        }
    }
}

const fn asked_by(ticket: Ticket) -> (Asker, u32) {
    (Asker::Controller(ticket.controller.index(), ticket.controller.generation()), ticket.sequence)
}
