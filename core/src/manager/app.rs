//! One app and its session server: from the start of the first one's process to the reaping of the last one's.

mod deeds;
mod ending;
mod health;
mod requests;
mod restart;

use heapless::Deque;
use serde::{Deserialize, Serialize};

use super::Ticket;
use super::phase::{Event, Late, Outcome, Phase, Scene};
use super::restarts::Restarts;
use super::spare::SpareHandle;
use crate::fmt::debug;
use crate::hal::{ErrorKind, Signal};
use crate::health::Health;
use crate::message::control::AppStatus;
use crate::message::{AppId, Reason, Resources, ServerState, SocketPath, TargetState, link};
use crate::resources::Reservation;
use crate::time::{Instant, earliest};

/// How far the request of the present phase is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Order {
    None,
    Due,
    Sent,
    Accepted,
}

/// What the one request that is outstanding on a link is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Subject {
    Order,
    /// The order of a phase that was left before the answer came.
    EarlierOrder,
    LogLevels,
    Ping,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Link {
    Absent,
    Open,
    Closing,
}

/// Where its next server comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Source {
    /// A new process.
    New,
    /// A spare that is up.
    Spare(SpareHandle),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Notification {
    state: ServerState,
    reason: Option<Reason>,
}

/// One app and its session server.
#[derive(Debug, Serialize, Deserialize)]
pub struct App {
    id: AppId,
    socket: SocketPath,
    resources: Resources,
    /// The state that it is to be in; `phase` says where it is.
    wanted: TargetState,
    /// The state that its server's configuration names.
    first: TargetState,
    phase: Phase,
    process_id: u32,
    link: Link,
    order: Order,
    levels_due: bool,
    outstanding: Option<(u32, Subject)>,
    sequence: u32,
    /// Waits for the outcome of the present phase.
    requester: Option<Ticket>,
    outcome: Option<(Ticket, Outcome)>,
    notified: Option<ServerState>,
    notifications: Deque<Notification, 4>,
    reservation: Option<Reservation>,
    server_due: Option<Source>,
    signal: Option<Signal>,
    signalled: bool,
    /// The first cause of an end that was not asked for.
    cause: Option<Reason>,
    /// It said by itself that it ends.
    announced: bool,
    /// A server of it has been in the state that it was initiated to: from then on it is kept up (SM-36). Before that its
    /// start has failed, which is for who asked to deal with.
    is_supervised: bool,
    restarts: Restarts,
    /// Why the next server goes to another state than was wanted; told with that state.
    demotion: Option<Reason>,
    socket_removal_due: bool,
    health: Health,
    ping_due: bool,
    deadline: Option<Instant>,
    is_touched: bool,
    is_counted: bool,
    /// When its present session server became its own.
    started_at: Option<Instant>,
    /// Clients of its session server, as that said last.
    clients: u8,
    /// Requests about it that were refused.
    refusals: u32,
}

impl App {
    pub(super) fn new(id: AppId, socket: SocketPath, resources: Resources, first: TargetState) -> Self {
        Self {
            id,
            socket,
            resources,
            wanted: first,
            first,
            phase: Phase::Spawning,
            process_id: 0,
            link: Link::Absent,
            order: Order::None,
            levels_due: false,
            outstanding: None,
            sequence: 0,
            requester: None,
            outcome: None,
            notified: None,
            notifications: Deque::new(),
            reservation: None,
            server_due: None,
            signal: None,
            signalled: false,
            cause: None,
            announced: false,
            is_supervised: false,
            restarts: Restarts::default(),
            demotion: None,
            socket_removal_due: false,
            health: Health::new(),
            ping_due: false,
            deadline: None,
            is_touched: false,
            is_counted: false,
            started_at: None,
            clients: 0,
            refusals: 0,
        }
    }

    /// Notes that something may be to do for it; whether that is new.
    pub(super) const fn mark_touched(&mut self) -> bool {
        !core::mem::replace(&mut self.is_touched, true)
    }

    /// Notes whether it counts among the apps that are under way; whether it did before.
    pub(super) const fn mark_counted(&mut self, is_counted: bool) -> bool {
        core::mem::replace(&mut self.is_counted, is_counted)
    }

    /// Nothing is to do for it any more.
    pub(super) const fn clear_touched(&mut self) {
        self.is_touched = false;
    }

    pub(super) const fn id(&self) -> &AppId {
        &self.id
    }

    pub(super) const fn socket(&self) -> &SocketPath {
        &self.socket
    }

    pub(super) const fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) const fn resources(&self) -> Resources {
        self.resources
    }

    /// The state that its server's configuration names.
    pub(super) const fn first(&self) -> TargetState {
        self.first
    }

    /// The state that was notified last.
    pub(super) const fn notified(&self) -> Option<ServerState> {
        self.notified
    }

    /// When something becomes due for it.
    pub(super) fn deadline(&self) -> Option<Instant> {
        earliest(self.deadline, self.look_at())
    }

    /// What has become due. A time limit comes first.
    pub(super) fn due(&self, now: Instant) -> Event {
        if self.deadline.is_some_and(|at| at <= now) { Event::TimedOut } else { Event::LookDue }
    }

    /// Decoders that it holds.
    pub(super) fn decoders(&self) -> u8 {
        self.reservation.as_ref().map_or(0, Reservation::units)
    }

    pub(super) const fn count_refusal(&mut self) {
        self.refusals = self.refusals.saturating_add(1);
    }

    fn uptime_s(&self, now: Instant) -> u32 {
        let uptime = self.started_at.map_or(0, |started| now.since(started).as_secs());
        u32::try_from(uptime).unwrap_or(u32::MAX)
    }

    pub(super) fn status(&self, now: Instant) -> AppStatus {
        AppStatus {
            app: self.id.clone(),
            state: self.notified,
            wanted: self.wanted,
            socket: self.socket.clone(),
            process_id: self.process_id,
            resources: self.resources,
            decoders: self.decoders(),
            restarts: self.restarts.total(),
            clients: self.clients,
            refusals: self.refusals,
            uptime_s: self.uptime_s(now),
            is_restarting: self.is_restarting(),
        }
    }

    /// Whether its server is on its way to a state, and wants the processor for itself.
    pub(super) const fn is_under_way(&self) -> bool {
        matches!(
            self.phase,
            Phase::Spawning | Phase::Starting | Phase::Configuring | Phase::Activating | Phase::Deactivating
        )
    }

    /// Whether its server is on its way out, and cannot come back.
    pub(super) const fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Stopping | Phase::Terminating | Phase::Killing | Phase::Reaped)
    }

    /// What a message of its server is to this app.
    pub(super) fn read(&mut self, message: link::Message) -> Event {
        match message {
            link::Message::StateChanged { state, reason } => Event::Said(state, reason),
            link::Message::Listener => Event::Told,
            link::Message::Clients { connected, .. } => {
                self.clients = connected;
                Event::Told
            }
            link::Message::Reply { sequence, result } => match self.outstanding {
                Some((asked, subject)) if planted!("any_pong_accepted", true, asked == sequence) => {
                    self.outstanding = None;
                    match (subject, result) {
                        (Subject::Order, Ok(())) => Event::Accepted,
                        (Subject::Order, Err(_)) => Event::Refused,
                        (Subject::EarlierOrder | Subject::LogLevels, _) => Event::Settled,
                        (Subject::Ping, _) => {
                            self.health.proved();
                            Event::Settled
                        }
                    }
                }
                Some(_) | None => Event::Unasked,
            },
        }
    }

    /// Takes one event. What is late changes nothing.
    pub(super) fn handle(&mut self, event: Event, scene: &mut Scene<'_>) -> Result<(), Late> {
        use Event as E;
        use Phase as P;
        use ServerState as S;
        planted!("unit_freed_on_timer" => if event == E::TimedOut { self.release(scene) });
        match (self.phase, event) {
            (P::Spawning, E::Spawned(process_id)) => self.spawned(process_id, scene),
            (P::Spawning, E::SpawnFailed(kind)) => self.spawn_failed(kind, scene),
            (P::Resting, E::TimedOut) => self.start_again(scene),
            // Without a process nothing can come from it.
            (
                P::Spawning | P::Resting,
                E::Said(..)
                | E::Accepted
                | E::Refused
                | E::Settled
                | E::Unasked
                | E::Told
                | E::LinkClosed
                | E::LinkBroken
                | E::LookDue
                | E::Exited(_),
            )
            | (P::Spawning, E::TimedOut)
            // Nothing comes from a process that was reaped, and a process is started once.
            | (P::Reaped, _)
            | (_, E::Spawned(_) | E::SpawnFailed(_)) => return Err(Late),

            (_, E::Exited(status)) => self.reaped(status, scene),
            (P::Inactive | P::Active | P::Failed, E::LookDue) => self.look(scene),
            // Nobody looks at one that is on its way, which has a time limit.
            (
                P::Starting
                | P::Configuring
                | P::Activating
                | P::Deactivating
                | P::Stopping
                | P::Terminating
                | P::Killing,
                E::LookDue,
            ) => return Err(Late),
            (P::Starting, E::TimedOut) => self.kill(Reason::ReadyTimeout, Outcome::ServerTimeout, scene),
            (
                P::Configuring | P::Inactive | P::Activating | P::Active | P::Deactivating | P::Failed,
                E::TimedOut,
            ) => self.kill(Reason::LinkTimeout, Outcome::ServerTimeout, scene),
            (P::Stopping, E::TimedOut) if planted!("no_escalation_to_term") => self.deadline = None,
            (P::Stopping, E::TimedOut) => self.terminate(scene),
            (P::Terminating, E::TimedOut) if planted!("no_escalation_to_kill") => self.deadline = None,
            (P::Terminating, E::TimedOut) => self.kill(Reason::LinkTimeout, Outcome::ServerTimeout, scene),

            // What a server says that is being killed, or sent TERM, changes nothing but that it ends.
            (P::Killing, E::Said(state, _)) if planted!("dead_one_believed") => self.notify(state, None),
            (P::Killing, _) => return Err(Late),
            (P::Stopping, E::Said(S::NotRunning, _)) if planted!("end_before_reaped") => {
                self.notify(S::NotRunning, None);
            }
            (P::Stopping | P::Terminating, E::Said(S::NotRunning, _)) => self.announced = true,
            (P::Stopping | P::Terminating, E::LinkClosed) => self.lose_link(),
            (P::Stopping | P::Terminating, E::LinkBroken) => {
                self.kill(Reason::LinkBroken, Outcome::ServerGone, scene);
            }
            (P::Stopping, E::Said(state @ (S::Uninitialized | S::Inactive | S::Active), _)) => {
                return self.said_on_its_way_out(state, scene);
            }
            (P::Stopping, E::Accepted) => self.settle(Outcome::Done),
            (P::Stopping, E::Refused) => self.terminate(scene),
            (P::Stopping | P::Terminating, E::Settled | E::Told) => {}
            (P::Stopping, E::Said(S::Error, _) | E::Unasked) => return Err(Late),
            (P::Terminating, E::Said(..) | E::Accepted | E::Refused | E::Unasked) => return Err(Late),

            (_, event) => self.living(event, scene),
        }
        Ok(())
    }

    /// The phases in which the server is up and is to stay so, or starts.
    fn living(&mut self, event: Event, scene: &mut Scene<'_>) {
        use Event as E;
        use Phase as P;
        use ServerState as S;
        match (self.phase, event) {
            (P::Starting, E::Said(S::Uninitialized, _)) => {
                if !planted!("up_not_passed_on") {
                    self.notify(S::Uninitialized, None);
                }
                self.enter_with_order(P::Configuring, scene);
            }
            (P::Configuring, E::Said(state @ (S::Inactive | S::Active), _)) if self.may_arrive(self.first, state) => {
                self.arrive(state, scene);
            }
            (P::Activating, E::Said(S::Active, _)) if self.order == Order::Accepted => self.arrive(S::Active, scene),
            (P::Deactivating, E::Said(S::Inactive, _)) if self.order == Order::Accepted => {
                self.arrive(S::Inactive, scene);
            }
            // One that does not say why is believed to have got no memory: there is no other reason to fail here and live.
            (P::Activating, E::Said(S::Error, reason)) if self.order == Order::Accepted => {
                self.fail(reason.unwrap_or(Reason::SharedMemory), scene);
            }
            // Its socket is there already, and stays (SM-13, SM-17).
            (P::Configuring, E::Said(S::Error, Some(Reason::SharedMemory)))
                if self.order == Order::Accepted && self.first == TargetState::Active =>
            {
                self.fail(Reason::SharedMemory, scene);
            }
            (
                P::Starting | P::Configuring | P::Inactive | P::Activating | P::Active | P::Deactivating,
                E::Said(S::Error, reason),
            ) => self.end_with(reason.unwrap_or(Reason::Initialization), scene),
            (
                P::Configuring | P::Inactive | P::Activating | P::Active | P::Deactivating | P::Failed,
                E::Said(S::NotRunning, _),
            ) => {
                self.announced = true;
                self.await_end(scene);
            }

            (P::Configuring | P::Activating | P::Deactivating, E::Accepted) => {
                planted!("decoder_free_too_soon" => if self.phase == P::Deactivating { self.release(scene) });
                self.order = Order::Accepted;
                self.settle(Outcome::Done);
                self.arm(scene);
            }
            (P::Configuring, E::Refused) => {
                self.cause = Some(Reason::ConfigurationRefused);
                self.stop(scene);
            }
            (P::Activating, E::Refused) => self.turn_back(P::Inactive, TargetState::Inactive, scene),
            (P::Deactivating, E::Refused) => self.turn_back(P::Active, TargetState::Active, scene),
            (P::Inactive | P::Active | P::Failed, E::Settled) => self.arm(scene),
            (P::Configuring | P::Activating | P::Deactivating, E::Settled) => {
                // The order had to wait for this; what it was given already has its time.
                if self.order == Order::Due {
                    self.arm(scene);
                }
            }
            (P::Configuring | P::Inactive | P::Activating | P::Active | P::Deactivating | P::Failed, E::Told) => {}
            (_, E::LinkClosed) if planted!("respawn_before_reaped") => self.carry_on(scene),
            (_, E::LinkClosed) => {
                self.lose_link();
                self.await_end(scene);
            }
            // What is left breaks the protocol's order, or is no message at all.
            (_, E::Said(..) | E::Accepted | E::Refused | E::Settled | E::Unasked | E::Told | E::LinkBroken) => {
                self.kill(Reason::LinkBroken, Outcome::ServerGone, scene)
            }
            (_, E::Spawned(_) | E::SpawnFailed(_) | E::Exited(_) | E::TimedOut | E::LookDue) => {}
        }
    }

    fn may_arrive(&self, target: TargetState, state: ServerState) -> bool {
        self.order == Order::Accepted && ServerState::from(target) == state
    }

    /// Gets a server: a spare, which is up already, else a new process.
    fn get_server(&mut self, scene: &mut Scene<'_>) {
        let Some((spare, process_id)) = scene.spares.take() else {
            self.server_due = Some(Source::New);
            return self.enter(Phase::Spawning, scene);
        };
        self.server_due = Some(Source::Spare(spare));
        self.process_id = process_id;
        self.started_at = Some(scene.now);
        self.settle(Outcome::Done);
        self.notify(ServerState::Uninitialized, None);
        self.enter_with_order(Phase::Configuring, scene);
    }

    fn spawned(&mut self, process_id: u32, scene: &Scene<'_>) {
        self.process_id = process_id;
        self.started_at = Some(scene.now);
        self.link = Link::Open;
        if self.wanted == TargetState::NotRunning {
            self.phase = Phase::Starting;
            return self.stop(scene);
        }
        self.settle(Outcome::Done);
        self.enter(Phase::Starting, scene);
    }

    fn spawn_failed(&mut self, kind: ErrorKind, scene: &mut Scene<'_>) {
        self.release(scene);
        if self.is_supervised {
            return self.restart_failed(kind, scene);
        }
        self.finish(scene);
        self.settle(match kind {
            ErrorKind::NotFound => planted!("spawn_failure_is_fine", Outcome::Done, Outcome::ProgramMissing),
            ErrorKind::Denied => Outcome::ProgramDenied,
            _ => Outcome::SpawnFailed,
        });
    }

    /// It has reached the state that it was sent to.
    fn arrive(&mut self, state: ServerState, scene: &mut Scene<'_>) {
        self.is_supervised = true;
        let demotion = self.demotion.take();
        self.notify(state, demotion);
        if state == ServerState::Active {
            return self.enter(Phase::Active, scene);
        }
        self.release(scene);
        self.enter(Phase::Inactive, scene);
        if self.wanted == TargetState::NotRunning {
            self.stop(scene);
        }
    }

    /// It could not become Active, and lives (SM-17).
    fn fail(&mut self, reason: Reason, scene: &mut Scene<'_>) {
        self.notify(ServerState::Error, Some(reason));
        if !planted!("failed_keeps_decoder") {
            self.release(scene);
        }
        self.enter(Phase::Failed, scene);
    }

    /// It refused to leave this state.
    fn turn_back(&mut self, phase: Phase, state: TargetState, scene: &mut Scene<'_>) {
        self.settle(Outcome::ServerRefused);
        if phase == Phase::Inactive {
            self.release(scene);
        }
        if self.wanted == TargetState::NotRunning {
            return self.stop(scene);
        }
        self.wanted = state;
        self.enter(phase, scene);
    }

    /// Answers who waits. Who asked for the end has what was asked for, however it came.
    fn settle(&mut self, outcome: Outcome) {
        let Some(ticket) = planted!("answered_again", self.requester, self.requester.take()) else { return };
        // A request that fails changes nothing, so it is not what the next server is to do.
        if outcome != Outcome::Done && (self.phase, self.wanted) == (Phase::Activating, TargetState::Active) {
            self.wanted = TargetState::Inactive;
        }
        let asked_to_end = self.wanted == TargetState::NotRunning && self.is_ending();
        self.outcome = Some((ticket, if asked_to_end { Outcome::Done } else { outcome }));
    }

    fn notify(&mut self, state: ServerState, reason: Option<Reason>) {
        self.notified = Some(state);
        // One input brings at most two, and they are taken before the next.
        let _ = self.notifications.push_back(Notification { state, reason });
    }

    fn release(&mut self, scene: &mut Scene<'_>) {
        if let Some(reservation) = self.reservation.take() {
            scene.ledger.release(reservation);
        }
    }

    fn enter_with_order(&mut self, phase: Phase, scene: &Scene<'_>) {
        self.enter(phase, scene);
        self.order = Order::Due;
        self.arm(scene);
    }

    fn enter(&mut self, phase: Phase, scene: &Scene<'_>) {
        debug!("{} goes from {:?} to {:?}", self.id.as_str(), self.phase, phase);
        self.phase = phase;
        self.order = Order::None;
        self.health.rest(scene.now, scene.settings.health);
        if let Some((_, subject @ Subject::Order)) = &mut self.outstanding {
            *subject = planted!("earlier_answer_believed", Subject::Order, Subject::EarlierOrder);
        }
        self.arm(scene);
    }

    /// Starts the time limit of the present phase anew.
    fn arm(&mut self, scene: &Scene<'_>) {
        planted!("ready_timer_goes_on" => if self.phase == Phase::Configuring { return });
        let settings = scene.settings;
        let limit = match self.phase {
            Phase::Spawning | Phase::Resting | Phase::Killing | Phase::Reaped => None,
            Phase::Starting => planted!("ready_timer_off", None, settings.ready_timeout),
            Phase::Configuring | Phase::Activating | Phase::Deactivating => Some(settings.link_timeout),
            Phase::Inactive | Phase::Active | Phase::Failed => {
                (self.levels_due || self.is_answer_due()).then_some(settings.link_timeout)
            }
            Phase::Stopping => Some(settings.stop_timeout),
            Phase::Terminating => Some(settings.terminate_timeout),
        };
        self.deadline = limit.map(|limit| scene.now.after(limit));
    }
}
