//! Drives the [`Manager`] machine: the control socket, the links to the session servers, and their processes.

mod controllers;
mod servers;
mod spares;
mod traces;

use heapless::Deque;

use self::controllers::{Asked, Controllers};
use self::servers::{Heard, Kinds, Servers};
use self::traces::Crashes;
use super::Machine;
use super::overslept::Overslept;
use crate::fmt::{info, warning};
use crate::hal::{
    Authority, Descriptors, Error, ErrorKind, Interest, Launcher, Listen, Listener, Peer, Ready, Right, Socket, Spawn,
    Token, Watch,
};
use crate::limits::{APPS_MAX, MESSAGE_BYTES_MAX, MESSAGES_PER_TURN_MAX, SPARES_MAX};
use crate::manager::{Action, App, AppHandle, Facts, Input, Manager, Spare, SpareEvent, SpareHandle, Ticket};
use crate::message::control::{Answer, Command, Event, LastRefusal, Refusal};
use crate::message::{AppId, LogLevels, SocketPath, link};
use crate::table::Handle;
use crate::time::{Instant, earliest};
use crate::trace::{NoRecorder, Recorder, Traced};

/// Kinds of the tokens that the driver uses; lower ones are served first.
mod kind {
    pub(super) const CHILD: u8 = 0;
    pub(super) const LINK: u8 = 1;
    pub(super) const LISTENER: u8 = 2;
    pub(super) const CONTROLLER: u8 = 3;
    pub(super) const SPARE_CHILD: u8 = 4;
    pub(super) const SPARE_LINK: u8 = 5;
}

/// Tokens of this kind and above are the program's own.
pub const FIRST_FREE_KIND: u8 = 8;

/// Messages that are still read from a process that has ended: more than one says on its way out, and a bound, because a
/// child of its own may have inherited the link.
const LAST_WORDS_MAX: usize = 64;

/// When no connection can be accepted, for want of descriptors, it is tried again after this.
const ACCEPT_PAUSE: core::time::Duration = core::time::Duration::from_millis(100);

/// Where a manager lives.
pub trait ManagerHost: Launcher + Authority {
    /// The control socket.
    type Control: Listener;
    /// What starts session servers.
    type Spawn: Spawn;
    /// What takes over the sockets that session servers made, so that the next server of an app gets the same one, and
    /// none is left when the last has ended.
    type Listen: Listen<Descriptor = LinkDescriptor<Self>>;
    /// What watches all of them.
    type Watch: Watch<Self::Control>
        + Watch<<Self::Control as Listener>::Socket>
        + Watch<<Self::Spawn as Spawn>::Child>
        + Watch<<Self::Spawn as Spawn>::Socket>;

    /// What watches.
    fn watch(&mut self) -> &mut Self::Watch;
    /// What starts session servers.
    fn spawn(&mut self) -> &mut Self::Spawn;
    /// What takes over sockets.
    fn listen(&mut self) -> &mut Self::Listen;
    /// From now on the manager's own process logs as this says (SM-39).
    fn apply_log_levels(&mut self, levels: &LogLevels);

    /// The number of the manager's own process, and a descriptor from which its trace can be read, if it is recorded.
    fn own_trace(&mut self) -> Option<(u32, ControlDescriptor<Self>)>
    where
        Self: Sized,
    {
        None
    }

    /// A descriptor from which the trace of a session server can be read, if it is recorded.
    fn trace_of(&mut self, _child: &<Self::Spawn as Spawn>::Child) -> Option<ControlDescriptor<Self>>
    where
        Self: Sized,
    {
        None
    }

    /// Another descriptor of the same trace.
    fn duplicate_trace(&mut self, _trace: &ControlDescriptor<Self>) -> Option<ControlDescriptor<Self>>
    where
        Self: Sized,
    {
        None
    }
}

type ControlDescriptor<H> = <<<H as ManagerHost>::Control as Listener>::Socket as Socket>::Descriptor;
type LinkDescriptor<H> = <<<H as ManagerHost>::Spawn as Spawn>::Socket as Socket>::Descriptor;

/// What follows a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The next one, when something is ready or the deadline has come.
    Next,
    /// The manager has ended; its process is to end too.
    Exit,
}

/// The manager with its connections and processes.
///
/// The program calls [`Self::start`] once, then [`Self::turn`] whenever something is ready or [`Self::next_deadline`]
/// has come, until that says [`Turn::Exit`].
pub struct ManagerDriver<H: ManagerHost, R: Recorder = NoRecorder, const APPS: usize = APPS_MAX> {
    machine: Traced<Manager<APPS>, R>,
    host: H,
    control: H::Control,
    /// Set while no connection is accepted.
    accept_again_at: Option<Instant>,
    overslept: Overslept,
    controllers: Controllers<<H::Control as Listener>::Socket>,
    servers: Servers<H, App, APPS>,
    spares: Servers<H, Spare, SPARES_MAX>,
    crashes: Crashes<H, APPS>,
    /// What became of the apps' spawns; handled when all actions are carried out. Several apps can be due at one tick, each
    /// with one spawn at most.
    spawned: Deque<(AppHandle, Result<u32, ErrorKind>), APPS>,
    /// What became of a spare's spawn: one is started after the other.
    spare_spawned: Option<(SpareHandle, Result<u32, ErrorKind>)>,
    exited: bool,
}

impl<H: ManagerHost, R: Recorder, const APPS: usize> ManagerDriver<H, R, APPS> {
    /// A manager that answers at `control`.
    pub fn new(machine: Manager<APPS>, host: H, control: H::Control, recorder: R) -> Self {
        Self {
            machine: Traced::new(machine, recorder),
            host,
            control,
            accept_again_at: None,
            overslept: Overslept::new(),
            controllers: Controllers::new(),
            servers: Servers::new(Kinds { child: kind::CHILD, link: kind::LINK }),
            spares: Servers::new(Kinds { child: kind::SPARE_CHILD, link: kind::SPARE_LINK }),
            crashes: Crashes::new(),
            spawned: Deque::new(),
            spare_spawned: None,
            exited: false,
        }
    }

    /// Starts to watch the control socket. Fails when the platform cannot watch it.
    pub fn start(&mut self) -> Result<(), ErrorKind> {
        self.host.watch().watch(&self.control, CONTROL, Interest::Read).map_err(|error| error.kind())
    }

    /// The machine, to look at.
    pub fn machine(&self) -> &Manager<APPS> {
        &self.machine
    }

    /// What its inputs are recorded by.
    pub fn recorder(&self) -> &R {
        self.machine.recorder()
    }

    /// Where it lives.
    pub fn host(&mut self) -> &mut H {
        &mut self.host
    }

    /// Connections to the control socket that there are.
    pub fn controllers(&self) -> u16 {
        self.controllers.count()
    }

    /// Ends every app in order, then says [`Turn::Exit`] (SM-38).
    pub fn terminate(&mut self, now: Instant) -> Turn {
        self.feed(now, Input::Terminate);
        self.end_turn()
    }

    /// When the next turn is due at the latest.
    pub fn next_deadline(&self) -> Option<Instant> {
        earliest(self.overslept.wakes_at(self.machine.next_deadline()), self.accept_again_at)
    }

    /// Takes what is ready, in a fixed order: children, links, time, controllers. Of each connection it takes at most
    /// [`MESSAGES_PER_TURN_MAX`] messages.
    pub fn turn(&mut self, now: Instant, ready: &[Ready]) -> Turn {
        let of = |kind: u8| ready.iter().filter(move |ready| ready.token.kind == kind);
        of(kind::CHILD).for_each(|ready| self.child_ready(now, app_of(ready.token)));
        of(kind::SPARE_CHILD).for_each(|ready| self.spare_child_ready(now, ready));
        of(kind::LINK).for_each(|ready| self.link_ready(now, ready));
        of(kind::SPARE_LINK).for_each(|ready| self.spare_link_ready(now, ready));
        // What is there already is not late, however long this process was kept from running.
        self.tick(now);
        of(kind::LISTENER).for_each(|_| self.accept(now));
        of(kind::CONTROLLER).for_each(|ready| self.controller_ready(now, ready));
        self.end_turn()
    }

    fn end_turn(&mut self) -> Turn {
        self.machine.settle();
        self.controllers.rewatch(self.host.watch());
        if self.exited { Turn::Exit } else { Turn::Next }
    }

    fn tick(&mut self, now: Instant) {
        if self.accept_again_at.is_some_and(|at| at <= now) {
            self.accept_again_at = None;
            self.watch_control(Interest::Read);
        }
        self.servers.reap_unwatched();
        self.spares.reap_unwatched();
        if self.overslept.is_due(now, self.machine.next_deadline()) {
            self.feed(now, Input::Tick);
        }
    }

    /// Hands the machine an input, carries out what it wants done, and then hands it what came of that.
    fn feed(&mut self, now: Instant, input: Input<'_>) {
        self.step(now, input);
        while let Some(follow_up) = self.next_follow_up() {
            self.step(now, follow_up);
        }
    }

    fn next_follow_up(&mut self) -> Option<Input<'static>> {
        if let Some((app, result)) = self.spawned.pop_front() {
            return Some(Input::Spawned { app, result });
        }
        if let Some((spare, result)) = self.spare_spawned.take() {
            return Some(Input::Spare { spare, event: SpareEvent::Spawned(result) });
        }
        if let Some(app) = self.servers.take_broken() {
            return Some(Input::LinkBroken { app });
        }
        let spare = self.spares.take_broken()?;
        Some(Input::Spare { spare, event: SpareEvent::LinkBroken })
    }

    fn step(&mut self, now: Instant, input: Input<'_>) {
        // What is stale was counted, and is no failure.
        let _ = self.machine.handle(now, input);
        while let Some(action) = self.machine.poll_action() {
            self.carry_out(action);
        }
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Spawn { app } => self.spawn(app),
            Action::Configure { app, sequence } => self.configure(app, sequence),
            Action::SetState { app, sequence, state } => self.ask(app, sequence, link::Command::SetState(state)),
            Action::Ping { app, sequence } => self.ask(app, sequence, link::Command::Ping),
            Action::SetLogLevels { app, sequence, levels } => {
                self.ask(app, sequence, link::Command::SetLogLevels(levels));
            }
            Action::CloseLink { app } => self.servers.close_link(&mut self.host, app),
            Action::RemoveSocket { app } => self.remove_socket(app),
            Action::Signal { app, signal } => self.servers.signal(app, signal),
            Action::Reply { to, result } => self.reply(to, result),
            Action::Notify { app, state, reason } => {
                match reason {
                    Some(reason) => info!("app {} is {:?}: {:?}", app.as_str(), state, reason),
                    None => info!("app {} is {:?}", app.as_str(), state),
                }
                let event = Event::StateChanged { app: app.clone(), state, reason };
                self.controllers.publish(&mut self.host, &app, &event);
            }
            Action::ApplyLogLevels(levels) => self.host.apply_log_levels(&levels),
            Action::Exit => {
                self.exited = true;
                // Nothing is there but where the time for an end in order was over before its steps could be taken (SM-38).
                self.servers.kill_all();
                self.spares.kill_all();
            }
            Action::Take { app, spare } => {
                if let Some(moving) = self.spares.release(spare) {
                    self.servers.take_over(&mut self.host, app, moving);
                }
            }
            Action::Spare { spare, deed } => self.serve_spare(spare, deed),
        }
    }

    fn spawn(&mut self, app: AppHandle) {
        let Some(id) = self.machine.app_id(app) else { return };
        let result = self.host.spawn().spawn().map_err(|error| {
            warning!("app {}: its session server could not be started: {:?}", id.as_str(), error.kind());
            error.kind()
        });
        let result = result.and_then(|(child, socket)| self.servers.insert(&mut self.host, app, child, socket));
        // Each app is in it once, so there is room.
        let _ = self.spawned.push_back((app, result));
    }

    /// SM-07: the machine's part, and the integrator's policy. The socket of an earlier server of the app goes with it, so
    /// that clients that have connected meanwhile are served by this one (SM-36).
    fn configure(&mut self, app: AppHandle, sequence: u32) {
        let socket = self.servers.socket_to_inherit(&mut self.host, app);
        let Some(known) = self.machine.configuration(app) else { return };
        let profile = self.host.profile(known.app);
        let configuration = link::Configuration {
            app: known.app.as_str(),
            socket: known.socket,
            socket_mode: profile.socket_mode,
            socket_owner: profile.socket_owner,
            socket_group: profile.socket_group,
            state: known.state,
            resources: known.resources,
            log_levels: known.log_levels,
            video_sink: profile.video_sink,
            audio_sink: profile.audio_sink,
            clients: profile.clients,
            health: known.health,
        };
        let request = link::Request { sequence, command: link::Command::SetConfiguration(configuration) };
        self.servers.send(app, &request, socket);
        self.servers.rewatch(&mut self.host, app);
    }

    fn ask(&mut self, app: AppHandle, sequence: u32, command: link::Command<'_>) {
        self.servers.send(app, &link::Request { sequence, command }, Descriptors::new());
        self.servers.rewatch(&mut self.host, app);
    }

    /// What a process has said before it ended comes before its end, or the reason that it gave would be lost.
    fn child_ready(&mut self, now: Instant, app: AppHandle) {
        let Some((status, child)) = self.servers.try_wait(&mut self.host, app) else { return };
        self.note_end(self.machine.app_id(app).cloned(), &child, status);
        let mut messages = 0..LAST_WORDS_MAX;
        while !planted!("last_words_lost") && messages.next().is_some() && self.hear(now, app) {}
        self.servers.bury(&mut self.host, app);
        self.feed(now, Input::ChildExited { app, status });
    }

    fn link_ready(&mut self, now: Instant, ready: &Ready) {
        let app = app_of(ready.token);
        if ready.writable {
            self.servers.flush(app);
            self.servers.rewatch(&mut self.host, app);
        }
        let mut messages = 0..MESSAGES_PER_TURN_MAX;
        while ready.readable && messages.next().is_some() && self.hear(now, app) {}
    }

    /// Takes one message of a session server; whether there may be another.
    fn hear(&mut self, now: Instant, app: AppHandle) -> bool {
        let input = match self.servers.receive(app) {
            Heard::Nothing => return false,
            Heard::Message { message, listener } => {
                if let Some(descriptor) = listener {
                    self.keep_listener(app, descriptor);
                }
                Input::Link { app, message }
            }
            Heard::Closed => Input::LinkClosed { app },
            Heard::Broken => Input::LinkBroken { app },
        };
        let goes_on = matches!(input, Input::Link { .. });
        self.feed(now, input);
        goes_on
    }

    /// A server that ended before its socket was kept here has left the file: then nobody listens there (SM-34).
    fn remove_socket(&mut self, app: AppHandle) {
        self.servers.forget(&mut self.host, app);
        if let Some(known) = self.machine.configuration(app) {
            self.host.listen().remove_dead(known.socket);
        }
    }

    /// Keeps the socket of a session server, and with it the right to remove its file (SM-34).
    fn keep_listener(&mut self, app: AppHandle, descriptor: LinkDescriptor<H>) {
        let Some(known) = self.machine.configuration(app) else { return };
        match self.host.listen().adopt(descriptor) {
            Ok(listener) => self.servers.keep_listener(app, listener, known.socket.clone()),
            Err(error) => {
                warning!("app {}: what it sent is no listening socket: {:?}", known.app.as_str(), error.kind())
            }
        }
    }

    /// Takes connections to the control socket. One for which there is no place is closed at once: it has asked
    /// nothing yet that could be answered.
    fn accept(&mut self, now: Instant) {
        for _ in 0..MESSAGES_PER_TURN_MAX {
            match self.control.accept() {
                Ok(Some((socket, peer))) => {
                    self.controllers.admit(&mut self.host, socket, peer);
                }
                Ok(None) => return,
                Err(error) => {
                    warning!("no control connection can be accepted now: {:?}", error.kind());
                    self.accept_again_at = Some(now.after(ACCEPT_PAUSE));
                    return self.watch_control(Interest::None);
                }
            }
        }
    }

    fn watch_control(&mut self, interest: Interest) {
        if let Err(error) = self.host.watch().rewatch(&self.control, CONTROL, interest) {
            warning!("the control socket cannot be watched: {:?}", error.kind());
        }
    }

    fn controller_ready(&mut self, now: Instant, ready: &Ready) {
        let controller = Handle::from_parts(ready.token.index, ready.token.generation);
        if ready.readable && !self.controllers.is_read(controller) {
            // Nothing but its end can be seen of what is not read.
            return self.controllers.close(self.host.watch(), controller);
        }
        let mut messages = 0..MESSAGES_PER_TURN_MAX;
        while ready.readable && messages.next().is_some() && self.serve(now, controller) {}
        self.controllers.settle(self.host.watch(), controller);
    }

    /// Takes one request of a controller; whether there may be another.
    fn serve(&mut self, now: Instant, controller: Handle<controllers::Controller>) -> bool {
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        let asked = match self.controllers.receive(controller, &mut buffer) {
            Ok(asked) => asked,
            Err(error) => self.controllers.unreadable(controller, error, &buffer),
        };
        match asked {
            Asked::Nothing => false,
            Asked::Request { from, command } => {
                self.request(now, from, command);
                true
            }
            Asked::Answered => {
                self.controllers.settle(self.host.watch(), controller);
                true
            }
            Asked::Close => {
                self.controllers.close(self.host.watch(), controller);
                false
            }
        }
    }

    fn request(&mut self, now: Instant, from: Ticket, command: Command<'_>) {
        let Some(peer) = self.controllers.peer(from.controller) else { return };
        if !self.permits(&peer, &command) {
            return self.feed(now, Input::Denied { from, command, user_id: peer.user_id });
        }
        match command {
            Command::Initiate { app, .. } => self.initiate(now, from, command, app),
            Command::List { from: place } => {
                let command = Command::List { from: self.next_visible(&peer, place) };
                self.feed(now, Input::Request { from, command, facts: None });
            }
            Command::Trace { from: place } => self.give_trace(from, place),
            Command::Hello
            | Command::ChangeState { .. }
            | Command::ConnectionInfo { .. }
            | Command::SetLogLevel { .. }
            | Command::Watch
            | Command::Stop => self.feed(now, Input::Request { from, command, facts: None }),
        }
    }

    /// What is no app's name is let through: the refusal says so.
    fn permits(&self, peer: &Peer, command: &Command<'_>) -> bool {
        match command {
            // It could be the socket of another app, to which that app's clients would come.
            Command::Initiate { .. } if command.chooses_socket() => self.host.may(peer, Right::Box),
            Command::Initiate { app, .. } | Command::ChangeState { app, .. } | Command::ConnectionInfo { app } => {
                AppId::new(app).map_or(true, |app| self.host.may(peer, Right::App(&app)))
            }
            Command::SetLogLevel { .. } | Command::Stop | Command::Trace { .. } => self.host.may(peer, Right::Box),
            Command::Hello | Command::List { .. } | Command::Watch => true,
        }
    }

    /// The first place from this one on with an app that this peer may see, or one behind all of them.
    fn next_visible(&self, peer: &Peer, from: u16) -> u16 {
        let mut apps = self.machine.apps().filter(|app| app.index() >= from);
        let sees = |app: &AppHandle| self.machine.app_id(*app).is_some_and(|id| self.host.may(peer, Right::App(id)));
        apps.find(sees).map_or(u16::MAX, AppHandle::index)
    }

    fn reply(&mut self, to: Ticket, mut result: Result<Answer, Refusal>) {
        if let Some(peer) = self.controllers.peer(to.controller) {
            self.hide_others(&peer, &mut result);
        }
        self.controllers.reply(self.host.watch(), to, result);
    }

    /// Takes out of an answer what tells of apps that this peer may not see.
    fn hide_others(&self, peer: &Peer, result: &mut Result<Answer, Refusal>) {
        match result {
            Err(refusal) => self.hide_others_in(peer, refusal),
            Ok(Answer::Box(status)) => {
                let sees = |last: &LastRefusal| {
                    let right = last.app.as_ref().map_or(Right::Box, Right::App);
                    self.host.may(peer, right)
                };
                status.last_refusal.take_if(|last| !sees(last));
                status.last_refusal.iter_mut().for_each(|last| self.hide_others_in(peer, &mut last.refusal));
            }
            Ok(_) => {}
        }
    }

    fn hide_others_in(&self, peer: &Peer, refusal: &mut Refusal) {
        match refusal {
            Refusal::Decoders { holders, .. } => {
                holders.retain(|holding| self.host.may(peer, Right::App(&holding.app)));
            }
            // Whose it is cannot be left out of it.
            Refusal::SocketInUse { app } if !self.host.may(peer, Right::App(app)) => *refusal = Refusal::SocketPath,
            _ => {}
        }
    }

    fn initiate(&mut self, now: Instant, from: Ticket, command: Command<'_>, app: &str) {
        let Ok(id) = AppId::new(app) else {
            return self.feed(now, Input::Request { from, command, facts: None });
        };
        let profile = self.host.profile(&id);
        // A directory that does not fit leaves no room for a name in it either.
        let directory = SocketPath::try_from(profile.socket_directory).unwrap_or_default();
        let facts = Facts { resources: profile.resources, socket_directory: &directory };
        self.feed(now, Input::Request { from, command, facts: Some(facts) });
    }
}

const CONTROL: Token = Token { kind: kind::LISTENER, index: 0, generation: 0 };

const fn app_of(token: Token) -> AppHandle {
    Handle::from_parts(token.index, token.generation)
}
