//! The server: what it is told by the manager and by its platform.

mod admission;
mod place;

use heapless::{Deque, String, Vec};
use serde::{Deserialize, Serialize};

use self::place::{PathTaken, Place, checked};
use super::audio::{FIRST_PLAYER, Players};
use super::client::{Client, Waiting};
use super::keys::KeySessions;
use super::phase::{Cause, End, Phase, Verdict, bind_failure, next};
use super::playback::{Farewell, Late, Playback, SlotOf};
use super::{Action, ClientId, Input, NotTaken, Response};
use crate::driver::Machine;
use crate::hal::{DecoderEvent, ErrorKind, SocketPlace};
use crate::health::HealthCheck;
use crate::limits::{CLIENTS_MAX, SESSIONS_MAX, STOP_TIMEOUT, WEB_AUDIO_PLAYERS_MAX};
use crate::message::link::{Command, Configuration, Refusal, Request};
use crate::message::playback::{PlaybackError, SessionId};
use crate::message::{Allowed, AppState, Ids, LogLevels, Reason, Resources, ServerState};
use crate::resources::Ledger;
use crate::table::{Handle, Table};
use crate::time::{Instant, earliest};

/// One place more than there may be clients, for one that is not served: it is told why. Another one that comes meanwhile
/// is closed without a word, so that strangers take no place from who may be here.
const CLIENT_PLACES: usize = CLIENTS_MAX + 1;
/// Notifications that can wait while the manager does not read: it asks nothing meanwhile, so there are at most the one that
/// a request led to, the end of what was under way, and the last word.
const NOTIFICATIONS_MAX: usize = 4;

/// What waits for the manager.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Link {
    pub(super) is_open: bool,
    pub(super) is_blocked: bool,
    pub(super) reply: Option<(u32, Result<(), Refusal>)>,
    pub(super) listener_untold: bool,
    pub(super) notifications: Deque<(ServerState, Option<Reason>), NOTIFICATIONS_MAX>,
    pub(super) clients_untold: bool,
}

/// One part of the shared memory, for one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Slot {
    /// No client has seen it.
    Fresh,
    /// A client that has gone may still look at it: it is replaced before the next one gets it.
    Used,
    /// It is being replaced for this client.
    Renewing { client: ClientId, asked: bool },
    /// This client has it.
    Leased,
}

/// What the platform is to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Due {
    pub(super) levels: bool,
    pub(super) bind: bool,
    pub(super) unbind: bool,
    pub(super) allocate: bool,
    pub(super) free: bool,
    pub(super) admit: Option<ClientId>,
    /// Connections of clients that were given up: all are closed before the next input.
    pub(super) evicted: Vec<ClientId, CLIENT_PLACES>,
}

/// The session server of one app.
#[derive(Debug, Serialize, Deserialize)]
pub struct Server {
    pub(super) phase: Phase,
    told: ServerState,
    place: Place,
    pub(super) resources: Resources,
    pub(super) levels: LogLevels,
    /// How it is seen whether a client gets on.
    pub(super) health_check: HealthCheck,
    pub(super) link: Link,
    pub(super) due: Due,
    /// The manager's ping that is to be answered when every worker has shown that it gets on.
    pub(super) ping: Option<u32>,
    has_memory: bool,
    pub(super) is_unbound: bool,
    pub(super) slots: Vec<Slot, SESSIONS_MAX>,
    pub(super) sessions: Table<Playback, SESSIONS_MAX>,
    pub(super) audio: Players,
    pub(super) keys: KeySessions,
    pub(super) clients: Table<Client, CLIENT_PLACES>,
    clients_allowed: Allowed,
    pub(super) leave_deadline: Option<Instant>,
    /// Set while somebody else has the socket's path.
    path_taken: Option<PathTaken>,
    stale: u32,
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

pub(super) fn session_id(handle: Handle<Playback>) -> SessionId {
    SessionId { index: handle.index(), generation: handle.generation() }
}

impl Server {
    /// A server whose process has just started.
    pub const fn new() -> Self {
        Self {
            phase: Phase::Starting,
            told: ServerState::Uninitialized,
            place: Place { path: String::new(), mode: 0, owner: String::new(), group: String::new() },
            resources: Resources { max_playback_sessions: 0, max_web_audio_players: 0, max_key_sessions: 0 },
            levels: LogLevels {
                default: crate::message::LogLevel::Milestone,
                client: None,
                session_server: None,
                ipc: None,
                manager: None,
                common: None,
            },
            health_check: HealthCheck::OFF,
            link: Link {
                is_open: true,
                is_blocked: false,
                reply: None,
                listener_untold: false,
                notifications: Deque::new(),
                clients_untold: false,
            },
            due: Due {
                levels: false,
                bind: false,
                unbind: false,
                allocate: false,
                free: false,
                admit: None,
                evicted: Vec::new(),
            },
            ping: None,
            has_memory: false,
            is_unbound: false,
            slots: Vec::new(),
            sessions: Table::new(),
            audio: Players::new(),
            keys: KeySessions::new(),
            clients: Table::new(),
            clients_allowed: Allowed { users: Ids::NONE, groups: Ids::NONE },
            leave_deadline: None,
            path_taken: None,
            stale: 0,
        }
    }

    /// Where its socket is to be made; [`Action::Bind`] means this.
    pub fn place(&self) -> SocketPlace<'_> {
        let Place { path, mode, owner, group } = &self.place;
        SocketPlace { path, mode: *mode, owner, group }
    }

    /// The state that its clients are told.
    pub fn app_state(&self) -> AppState {
        if self.phase == Phase::Active { AppState::Running } else { AppState::Inactive }
    }

    /// Playback sessions that it has, those that are being closed included.
    pub fn sessions(&self) -> u16 {
        self.sessions.in_use()
    }

    /// Inputs that came too late, or never could come, since the start.
    pub fn stale(&self) -> u32 {
        self.stale
    }

    fn apply(&mut self, now: Instant, cause: Cause) -> Result<(), Refusal> {
        match next(self.phase, cause, self.told) {
            Verdict::Go(phase) => self.enter(now, phase),
            Verdict::Stay => {}
            Verdict::Refuse(refusal) => return Err(refusal),
            Verdict::Ignore => self.count_stale(),
        }
        Ok(())
    }

    fn enter(&mut self, now: Instant, phase: Phase) {
        self.phase = phase;
        match phase {
            Phase::Starting | Phase::Gone => {}
            Phase::Uninitialized if planted!("up_not_said") => {}
            Phase::Uninitialized => self.notify(ServerState::Uninitialized, None),
            Phase::Binding { .. } => self.due.bind = true,
            Phase::Allocating => {
                self.has_memory = true;
                self.due.allocate = true;
            }
            Phase::Inactive => {
                self.free_memory();
                self.notify(ServerState::Inactive, None);
                self.tell_clients();
            }
            Phase::Active => {
                // Checked with the configuration: there are no more than places.
                let _ = self.slots.resize(self.resources.max_playback_sessions.into(), Slot::Fresh);
                if !planted!("active_not_said") {
                    self.notify(ServerState::Active, None);
                }
                self.tell_clients();
            }
            Phase::Deactivating { then } => {
                // Without a manager nobody new is served, and the path is for the server of the next manager.
                self.due.unbind |= then == Some(End::Orphaned) && !self.is_unbound;
                self.close_everything(now);
            }
            Phase::Failed => {
                self.free_memory();
                self.notify(ServerState::Error, Some(Reason::SharedMemory));
            }
            Phase::Leaving(end) => {
                self.free_memory();
                self.due.unbind = !self.is_unbound;
                self.leave_deadline = Some(now.after(STOP_TIMEOUT));
                if let Some((state, reason)) = end.last_word() {
                    self.notify(state, Some(reason));
                }
            }
        }
    }

    fn notify(&mut self, state: ServerState, reason: Option<Reason>) {
        self.told = state;
        if self.link.is_open {
            // The manager asks nothing while notifications wait, so they are few.
            let _ = self.link.notifications.push_back((state, reason));
        }
    }

    fn tell_clients(&mut self) {
        planted!("clients_not_told" => return);
        let state = self.app_state();
        self.clients.iter_mut().for_each(|(_, client)| client.app_state_changed(state));
        self.link.clients_untold |= self.clients.in_use() > 0;
    }

    /// SM-18: in this order the key (CDM) sessions, the players, and when the last has let go the memory.
    fn close_everything(&mut self, now: Instant) {
        self.close_keys(now, |_| true);
        self.settle(now);
    }

    /// Starts the end of the sessions and players of those that must give up everything and have given up their keys: of
    /// all, in the end, and of clients that give everything back or have gone.
    fn close_what_has_no_keys(&mut self, now: Instant) {
        let is_all = matches!(self.phase, Phase::Deactivating { .. });
        if planted!("players_before_keys", false, is_all && self.keys.in_use() > 0) {
            return;
        }
        for index in 0..self.sessions.capacity() {
            let Some(handle) = self.sessions.handle_at(index) else { continue };
            if self.sessions.get(handle).is_some_and(|session| is_all || self.gives_up(session.owner)) {
                self.close_session(now, handle, Farewell { sequence: None, unasked: true });
            }
        }
        let mut owners = Vec::<ClientId, WEB_AUDIO_PLAYERS_MAX>::new();
        for owner in self.audio.owners().filter(|&owner| is_all || self.gives_up(owner)) {
            // There are as many places as players.
            let _ = owners.push(owner);
        }
        self.close_players(now, true, |owner| owners.contains(&owner));
    }

    /// Whether a client has gone or gives everything back, and has no key session left.
    fn gives_up(&self, owner: ClientId) -> bool {
        let ends = match self.clients.get(owner) {
            None => planted!("dead_client_plays_on", false, true),
            Some(client) => matches!(client.waiting, Some(Waiting::Release { .. })),
        };
        ends && !self.keys.has_any_of(owner)
    }

    /// The last decoder may just have let go: of a client that gives everything back, or of all.
    pub(super) fn settle(&mut self, now: Instant) {
        self.close_what_has_no_keys(now);
        for (id, client) in self.clients.iter_mut() {
            let has_any = self.keys.has_any_of(id)
                || self.sessions.iter().any(|(_, session)| session.owner == id)
                || self.audio.has_any_of(id);
            if let Some(&Waiting::Release { sequence }) = client.waiting.as_ref().filter(|_| !has_any) {
                client.waiting = None;
                client.answer(sequence, Response::Done);
            }
        }
        let has_sessions = planted!("memory_freed_under_players", false, self.sessions.in_use() > 0);
        let is_empty = self.keys.in_use() == 0 && !has_sessions && self.audio.in_use() == 0;
        if is_empty && matches!(self.phase, Phase::Deactivating { .. }) {
            // Lawful in this phase, as the line above says.
            let _ = self.apply(now, Cause::Emptied);
        }
    }

    fn free_memory(&mut self) {
        planted!("memory_kept_in_inactive" => self.has_memory = false);
        self.due.free |= core::mem::take(&mut self.has_memory);
        self.slots.clear();
        for (_, client) in self.clients.iter_mut() {
            client.slot = None;
            if let Some(waiting) = client.waiting.take() {
                let interrupted = crate::message::playback::Refusal::Interrupted;
                client.answer(waiting.sequence(), Response::Refused(interrupted));
            }
        }
    }

    pub(super) fn close_session(&mut self, now: Instant, handle: Handle<Playback>, farewell: Farewell) {
        let late = self.sessions.get_mut(handle).and_then(|session| session.close(now, farewell));
        self.answer_and_go_on(now, handle, late);
    }

    /// Answers a call of a session's owner; the order that was parked behind it may have its turn now.
    fn answer_and_go_on(&mut self, now: Instant, handle: Handle<Playback>, late: Option<Late>) {
        self.answer_owner(handle, late);
        let parked = self.sessions.get_mut(handle).and_then(|session| session.resume(now));
        self.answer_owner(handle, parked);
    }

    fn answer_owner(&mut self, handle: Handle<Playback>, late: Option<Late>) {
        let Some((sequence, response)) = late else { return };
        let Some(owner) = self.sessions.get(handle).map(|session| session.owner) else { return };
        if let Some(client) = self.clients.get_mut(owner) {
            client.answer(sequence, response);
        }
    }

    /// Everything of a session is free: says so to who waits for it.
    fn remove_session(&mut self, now: Instant, handle: Handle<Playback>) {
        let Some(session) = self.sessions.remove(handle) else { return };
        self.end_lease(planted!("further_slot_kept", None, session.leased_slot()));
        self.unbind_keys(now, session_id(handle));
        if let Some(client) = self.clients.get_mut(session.owner) {
            let Farewell { sequence, unasked } = session.farewell();
            if let Some(sequence) = sequence {
                client.answer(sequence, Response::Done);
            }
            if unasked {
                client.session_ended(session_id(handle));
            }
        }
        self.settle(now);
    }

    fn on_request(&mut self, now: Instant, request: &Request<'_>) -> Result<(), NotTaken> {
        if self.phase == Phase::Gone || self.link.is_blocked || self.link.reply.is_some() {
            return Err(NotTaken::Unexpected);
        }
        let result = match &request.command {
            Command::Ping => return self.on_ping(request.sequence),
            Command::SetConfiguration(configuration) => self.configure(now, configuration),
            Command::SetState(target) => self.apply(now, Cause::Set(*target)),
            Command::SetLogLevels(levels) => {
                self.set_levels(*levels);
                Ok(())
            }
        };
        self.link.reply = Some((request.sequence, result));
        Ok(())
    }

    /// Every worker is to show that it gets on; the answer follows when each has. Clients have no part in it (SM-36).
    fn on_ping(&mut self, sequence: u32) -> Result<(), NotTaken> {
        if self.ping.is_some() {
            self.link.reply = Some((sequence, Err(Refusal::Busy)));
            return Ok(());
        }
        self.sessions.iter_mut().for_each(|(_, session)| session.ask_for_a_beat());
        self.audio.ask_for_beats();
        self.ping = Some(sequence);
        Ok(())
    }

    fn configure(&mut self, now: Instant, configuration: &Configuration<'_>) -> Result<(), Refusal> {
        if self.phase == Phase::Uninitialized {
            self.place = checked(configuration)?;
        }
        self.apply(now, Cause::Configure { target: configuration.state })?;
        self.resources = configuration.resources;
        self.clients_allowed = configuration.clients;
        self.audio.shares = Ledger::new(self.resources.max_web_audio_players);
        self.health_check = configuration.health;
        self.keys.shares = Ledger::new(self.resources.max_key_sessions);
        self.set_levels(configuration.log_levels);
        Ok(())
    }

    fn set_levels(&mut self, levels: LogLevels) {
        self.levels = levels;
        self.due.levels = true;
        planted!("levels_kept_from_clients" => return);
        self.clients.iter_mut().for_each(|(_, client)| client.levels_changed());
    }

    fn on_bound(&mut self, now: Instant, result: Result<(), ErrorKind>) {
        if result == Err(ErrorKind::Busy) && self.waits_for_path(now) {
            return;
        }
        let cause = result.map_or_else(|kind| Cause::BindFailed(bind_failure(kind)), |()| Cause::Bound);
        self.link.listener_untold |= matches!(self.phase, Phase::Binding { .. }) && result.is_ok();
        // What the manager did not ask cannot be refused to it.
        let _ = self.apply(now, cause);
    }

    fn on_renewed(&mut self, slot: u8, result: Result<(), ErrorKind>) {
        let Some(place) = self.slots.get_mut(usize::from(slot)) else { return self.count_stale() };
        let Slot::Renewing { client, .. } = *place else { return self.count_stale() };
        let Some(entry) = self.clients.get_mut(client) else { return *place = Slot::Used };
        let Some(waiting) = entry.waiting.take() else { return };
        if result.is_err() {
            *place = Slot::Used;
            let failed = crate::message::playback::Refusal::Failed(PlaybackError::Memory);
            return entry.answer(waiting.sequence(), Response::Refused(failed));
        }
        *place = Slot::Leased;
        if let Waiting::Session { sequence } = waiting {
            return self.open_session(client, SlotOf::Session(slot), sequence);
        }
        entry.slot = Some(slot);
        entry.answer(waiting.sequence(), Response::SharedMemory { slot });
    }

    fn on_opened(&mut self, now: Instant, index: u16, result: Result<(), ErrorKind>) {
        if let Some(player) = index.checked_sub(FIRST_PLAYER) {
            return self.on_player_opened(now, player, result);
        }
        let Some(handle) = self.sessions.handle_at(index) else { return self.count_stale() };
        let late = self.sessions.get_mut(handle).and_then(|session| session.opened(session_id(handle), result.is_ok()));
        self.answer_and_go_on(now, handle, late);
        if result.is_err() {
            self.remove_session(now, handle);
        }
    }

    fn on_undelivered(&mut self, now: Instant, index: u16) {
        let Some(handle) = self.sessions.handle_at(index) else { return self.count_stale() };
        self.close_session(now, handle, Farewell { sequence: None, unasked: false });
    }

    fn on_decoder(&mut self, now: Instant, event: DecoderEvent) {
        if let Some(player) = event.session().checked_sub(FIRST_PLAYER) {
            return self.on_player_decoder(now, player, event);
        }
        let Some(handle) = self.sessions.handle_at(event.session()) else { return self.count_stale() };
        let Some(session) = self.sessions.get_mut(handle) else { return self.count_stale() };
        let mut late = None;
        let is_fresh = match event {
            DecoderEvent::Completed { token, result, .. } if session.beat.take(token, result) => true,
            DecoderEvent::Completed { token, result, .. } => {
                late = session.completed(token, result);
                late.is_some()
            }
            DecoderEvent::Failed { error, .. } => {
                late = session.fail(error);
                true
            }
            DecoderEvent::State { state, .. } => session.decoder_state(state),
            DecoderEvent::FirstFrame { source, .. } => session.first_frame(source),
            DecoderEvent::Position { position_ns, .. } => session.decoder_position(position_ns),
            DecoderEvent::Closed { .. } => session.is_closing(),
            DecoderEvent::Underflow { source, .. } => session.underflow(source),
            DecoderEvent::QualityOfService { source, frames_rendered, frames_dropped, .. } => {
                session.quality(source, (frames_rendered, frames_dropped))
            }
            DecoderEvent::PictureSize { source, width, height, .. } => session.picture_size(source, (width, height)),
            DecoderEvent::Text { .. } => session.text_is_due(),
        };
        self.answer_and_go_on(now, handle, late);
        if !is_fresh {
            self.count_stale();
        } else if matches!(event, DecoderEvent::Closed { .. }) {
            self.remove_session(now, handle);
        }
    }

    fn on_tick(&mut self, now: Instant) {
        for index in 0..self.sessions.capacity() {
            let Some(handle) = self.sessions.handle_at(index) else { continue };
            let Some(session) = self.sessions.get_mut(handle) else { continue };
            let late = session.tick(now);
            let is_stuck = session.is_stuck(now);
            self.answer_and_go_on(now, handle, late);
            if is_stuck && matches!(self.phase, Phase::Active | Phase::Deactivating { .. }) {
                let _ = self.apply(now, Cause::Stuck(Reason::DecoderStuck));
            }
        }
        if self.tick_players(now) && matches!(self.phase, Phase::Active | Phase::Deactivating { .. }) {
            let _ = self.apply(now, Cause::Stuck(Reason::DecoderStuck));
        }
        if self.tick_keys(now) && matches!(self.phase, Phase::Active | Phase::Deactivating { .. }) {
            let _ = self.apply(now, Cause::Stuck(Reason::KeySystemStuck));
        }
        self.bind_again(now);
        self.settle(now);
        self.look_at_clients(now);
        if self.leave_deadline.is_some_and(|deadline| deadline <= now) {
            self.link_is_gone();
        }
    }

    fn link_is_gone(&mut self) {
        self.link.is_open = false;
        self.link.reply = None;
        self.ping = None;
        self.link.notifications.clear();
        self.link.listener_untold = false;
        self.link.clients_untold = false;
    }

    pub(super) fn count_stale(&mut self) {
        self.stale = self.stale.saturating_add(1);
    }

    fn on_cause(&mut self, now: Instant, cause: Cause) {
        // Only what the manager asks can be refused, and this it did not ask.
        let _ = self.apply(now, cause);
    }
}

impl Machine for Server {
    type Input<'a> = Input<'a>;
    type Action = Action;
    type Refusal = NotTaken;

    fn handle(&mut self, now: Instant, input: Input<'_>) -> Result<(), NotTaken> {
        match input {
            Input::Started(Ok(())) => self.on_cause(now, Cause::Started),
            Input::Started(Err(_)) => self.on_cause(now, Cause::StartFailed),
            Input::Link(request) => return self.on_request(now, &request),
            Input::LinkBlocked => self.link.is_blocked = true,
            Input::LinkWritable => self.link.is_blocked = false,
            Input::LinkClosed => {
                self.link_is_gone();
                self.on_cause(now, Cause::LinkClosed);
            }
            Input::Bound(result) => self.on_bound(now, result),
            Input::Allocated(Ok(())) => self.on_cause(now, Cause::Allocated),
            Input::Allocated(Err(_)) => self.on_cause(now, Cause::AllocationFailed),
            Input::Renewed { slot, result } => self.on_renewed(slot, result),
            Input::ClientConnected { peer } => return self.on_client_connected(now, &peer),
            Input::ClientBlocked { client } => {
                self.clients.get_mut(client).ok_or(NotTaken::Stale)?.is_blocked = true;
            }
            Input::ClientWritable { client } => {
                self.clients.get_mut(client).ok_or(NotTaken::Stale)?.is_blocked = false;
            }
            Input::ClientClosed { client } => return self.on_client_closed(now, client),
            Input::Call { client, sequence, command } => return self.call(now, client, sequence, command),
            Input::Opened { session, result } => self.on_opened(now, session, result),
            Input::Undelivered { session } => self.on_undelivered(now, session),
            Input::Decoder(event) => self.on_decoder(now, event),
            Input::KeysOpened { key_session, result } => self.on_keys_opened(now, key_session, result),
            Input::Keys(event) => self.on_keys(now, event),
            Input::Tick => self.on_tick(now),
            Input::Terminate => self.on_cause(now, Cause::Terminate),
        }
        Ok(())
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.next_action()
    }

    fn next_deadline(&self) -> Option<Instant> {
        let sessions = self.sessions.iter().filter_map(|(_, session)| session.deadline()).min();
        let sessions = earliest(earliest(sessions, self.audio.deadline()), self.keys.deadline());
        let clients = self.clients.iter().filter_map(|(id, client)| client.deadline(self.holds_anything(id))).min();
        match self.phase {
            Phase::Gone => None,
            Phase::Leaving(_) => self.leave_deadline.filter(|_| self.link.is_open),
            Phase::Binding { .. } => self.path_taken.map(|taken| taken.try_at),
            Phase::Starting
            | Phase::Uninitialized
            | Phase::Allocating
            | Phase::Inactive
            | Phase::Active
            | Phase::Deactivating { .. }
            | Phase::Failed => earliest(sessions, clients),
        }
    }
}
