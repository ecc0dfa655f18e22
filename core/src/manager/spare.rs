//! Session servers that are started before anybody asks: each waits, up and without an app, until one takes it.

use serde::{Deserialize, Serialize};

use super::Settings;
use super::phase::Late;
use super::restarts::Restarts;
use crate::fmt::warning;
use crate::hal::{ErrorKind, ExitStatus, Signal};
use crate::health::{Health, Look};
use crate::limits::SPARES_MAX;
use crate::message::{ServerState, link};
use crate::table::{Handle, Table};
use crate::time::{Instant, earliest};

/// Names a spare from its start until an app takes it or it has ended.
pub type SpareHandle = Handle<Spare>;

/// What happens to a spare, as the driver sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SpareEvent {
    /// What came of [`SpareDeed::Spawn`]: the number of the process, or the kind of failure.
    Spawned(Result<u32, ErrorKind>),
    /// It sent a message.
    Link(link::Message),
    /// It closed its link.
    LinkClosed,
    /// It sent what is no message, or its link failed.
    LinkBroken,
    /// Its process has ended and was reaped.
    ChildExited(ExitStatus),
}

/// What is to be done with a spare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SpareDeed {
    /// Start it, then hand in [`SpareEvent::Spawned`].
    Spawn,
    /// Ask it to end.
    Stop {
        /// The request's number.
        sequence: u32,
    },
    /// Ask it whether it gets on.
    Ping {
        /// The request's number.
        sequence: u32,
    },
    /// Close the manager's end of its link.
    CloseLink,
    /// Send its process a signal.
    Signal(Signal),
}

/// Where a spare is.
///
/// ```text
///  Spawning --> Starting --> Waiting --> an app has taken it: it is that app's from here on
///     |         (READY)         |
///     |            |            |   asked to end, Error, NotRunning, link closed,
///     |            |            |   does not get on                     --> Stopping
///     |            |            |   time limit passed, garbage or a lie --> Killing
///     |            |            |
///     |   Stopping --(STOP)--> Terminating --(TERMINATE)--> Killing
///     |
///     +--> gone, when its process was seen to end, whatever the phase
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Phase {
    /// The platform is asked to start its process.
    Spawning,
    /// Its process runs; it has not said that it is up.
    Starting,
    /// It is up, and waits for an app.
    Waiting,
    /// It is to end by itself.
    Stopping,
    /// It was sent TERM.
    Terminating,
    /// It was sent KILL.
    Killing,
}

/// What happens to one spare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Event {
    Spawned(u32),
    SpawnFailed(ErrorKind),
    /// It says that it is up.
    Up,
    /// It says that it ends.
    Ends,
    /// It says what only an app's server can say.
    Lies,
    /// It answers what it was asked last.
    Answers,
    LinkClosed,
    LinkBroken,
    Exited(ExitStatus),
    TimedOut,
    /// It is time to see whether it gets on.
    LookDue,
}

/// Whether there is still something of a spare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Lives,
    Gone,
}

/// One spare session server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spare {
    phase: Phase,
    process_id: u32,
    /// It is to end because the manager does.
    is_dismissed: bool,
    sequence: u32,
    health: Health,
    ping_due: bool,
    spawn_due: bool,
    stop_due: bool,
    close_due: bool,
    signal: Option<Signal>,
    deadline: Option<Instant>,
}

impl Spare {
    pub(super) const fn new() -> Self {
        Self {
            phase: Phase::Spawning,
            process_id: 0,
            is_dismissed: false,
            sequence: 0,
            health: Health::new(),
            ping_due: false,
            spawn_due: true,
            stop_due: false,
            close_due: false,
            signal: None,
            deadline: None,
        }
    }

    #[cfg(test)]
    pub(super) const fn phase(&self) -> Phase {
        self.phase
    }

    fn read(&self, event: SpareEvent) -> Event {
        match event {
            SpareEvent::Spawned(Ok(process_id)) => Event::Spawned(process_id),
            SpareEvent::Spawned(Err(kind)) => Event::SpawnFailed(kind),
            SpareEvent::LinkClosed => Event::LinkClosed,
            SpareEvent::LinkBroken => Event::LinkBroken,
            SpareEvent::ChildExited(status) => Event::Exited(status),
            SpareEvent::Link(link::Message::StateChanged { state, .. }) => match state {
                ServerState::Uninitialized => Event::Up,
                ServerState::NotRunning | ServerState::Error => Event::Ends,
                ServerState::Inactive | ServerState::Active => Event::Lies,
            },
            SpareEvent::Link(link::Message::Reply { sequence, .. }) if self.is_asked(sequence) => Event::Answers,
            SpareEvent::Link(link::Message::Reply { .. } | link::Message::Listener | link::Message::Clients { .. }) => {
                Event::Lies
            }
        }
    }

    fn is_asked(&self, sequence: u32) -> bool {
        sequence == self.sequence && (self.health.is_asked() || self.phase != Phase::Waiting)
    }

    /// Takes one event. What is late changes nothing.
    pub(super) fn handle(&mut self, event: Event, now: Instant, settings: &Settings) -> Result<Fate, Late> {
        use Event as E;
        use Phase as P;
        match (self.phase, event) {
            (P::Spawning, E::Spawned(process_id)) => self.spawned(process_id, now, settings),
            (P::Spawning, E::SpawnFailed(_)) => return Ok(Fate::Gone),
            // Nothing comes from what is not there, and a process is started once.
            (
                P::Spawning,
                E::Up
                | E::Ends
                | E::Lies
                | E::Answers
                | E::LinkClosed
                | E::LinkBroken
                | E::Exited(_)
                | E::TimedOut
                | E::LookDue,
            )
            | (_, E::Spawned(_) | E::SpawnFailed(_)) => return Err(Late),

            (_, E::Exited(_)) => return Ok(Fate::Gone),
            (P::Starting, E::Up) => self.enter(P::Waiting, now, settings),
            (P::Waiting, E::Answers) => self.health.proved(),
            (P::Waiting, E::LookDue) => self.look(now, settings),
            (P::Starting | P::Waiting, E::Ends) => self.enter(P::Stopping, now, settings),
            (P::Starting | P::Waiting, E::LinkClosed) => {
                self.close_due = true;
                self.enter(P::Stopping, now, settings);
            }
            (P::Starting, E::TimedOut)
            | (P::Waiting, E::Up)
            | (P::Starting, E::Answers)
            | (P::Starting | P::Waiting, E::Lies | E::LinkBroken)
            | (P::Stopping | P::Terminating, E::LinkBroken)
            | (P::Terminating, E::TimedOut) => self.kill(now, settings),
            (P::Stopping, E::TimedOut) => {
                self.signal = Some(Signal::Terminate);
                self.enter(P::Terminating, now, settings);
            }
            (P::Stopping | P::Terminating, E::LinkClosed) => self.close_due = true,
            (P::Stopping | P::Terminating, E::Up | E::Ends | E::Lies | E::Answers) => {}
            (P::Waiting, E::TimedOut)
            | (P::Starting | P::Stopping | P::Terminating | P::Killing, E::LookDue)
            | (P::Killing, E::Up | E::Ends | E::Lies | E::Answers | E::LinkClosed | E::LinkBroken | E::TimedOut) => {
                return Err(Late);
            }
        }
        Ok(Fate::Lives)
    }

    fn spawned(&mut self, process_id: u32, now: Instant, settings: &Settings) {
        self.process_id = process_id;
        self.enter(Phase::Starting, now, settings);
        if self.is_dismissed {
            self.stop(now, settings);
        }
    }

    /// Ends it in order, because the manager ends (SM-38).
    pub(super) fn dismiss(&mut self, now: Instant, settings: &Settings) {
        self.is_dismissed = true;
        match self.phase {
            // It is asked as soon as it is there.
            Phase::Spawning => {}
            Phase::Starting | Phase::Waiting => self.stop(now, settings),
            Phase::Stopping | Phase::Terminating | Phase::Killing => {}
        }
    }

    fn look(&mut self, now: Instant, settings: &Settings) {
        match self.health.look(now, settings.health, true) {
            Look::Ask => self.ping_due = true,
            Look::Wait => {}
            Look::GiveUp => {
                warning!("a spare session server does not get on: process {}", self.process_id);
                self.stop(now, settings);
            }
        }
    }

    fn stop(&mut self, now: Instant, settings: &Settings) {
        self.stop_due = true;
        self.enter(Phase::Stopping, now, settings);
    }

    fn kill(&mut self, now: Instant, settings: &Settings) {
        self.signal = Some(Signal::Kill);
        self.close_due = true;
        self.enter(Phase::Killing, now, settings);
    }

    fn enter(&mut self, phase: Phase, now: Instant, settings: &Settings) {
        self.phase = phase;
        let limit = match phase {
            Phase::Spawning | Phase::Waiting | Phase::Killing => None,
            Phase::Starting => settings.ready_timeout,
            Phase::Stopping => Some(settings.stop_timeout),
            Phase::Terminating => Some(settings.terminate_timeout),
        };
        self.deadline = limit.map(|limit| now.after(limit));
        self.health.rest(now, settings.health);
    }

    /// When something becomes due for it.
    fn due_at(&self) -> Option<Instant> {
        earliest(self.deadline, self.health.deadline().filter(|_| self.phase == Phase::Waiting))
    }

    /// What has become due.
    fn due(&self, now: Instant) -> Option<Event> {
        self.due_at().filter(|at| *at <= now)?;
        Some(if self.phase == Phase::Waiting { Event::LookDue } else { Event::TimedOut })
    }

    /// The next thing to do with it.
    pub(super) fn poll(&mut self) -> Option<SpareDeed> {
        if core::mem::take(&mut self.spawn_due) {
            return Some(SpareDeed::Spawn);
        }
        if let Some(signal) = self.signal.take() {
            return Some(SpareDeed::Signal(signal));
        }
        if core::mem::take(&mut self.close_due) {
            return Some(SpareDeed::CloseLink);
        }
        if core::mem::take(&mut self.stop_due) {
            return Some(SpareDeed::Stop { sequence: self.next_sequence() });
        }
        core::mem::take(&mut self.ping_due).then(|| SpareDeed::Ping { sequence: self.next_sequence() })
    }

    const fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// Whether an app can have it: one that owes an answer may hang.
    fn is_fit(&self) -> bool {
        self.phase == Phase::Waiting && !self.health.is_asked()
    }
}

/// The spares: as many as are wanted, one started after the other, and only while no app is under way, which would have to
/// share the processor with it.
///
/// One that ends although nobody asked is followed by another as a restart is: at once, then after longer and longer
/// pauses; when there were too many, after the window has closed.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Spares {
    table: Table<Spare, SPARES_MAX>,
    failures: Restarts,
    /// None is started before.
    not_before: Instant,
}

impl Spares {
    pub(super) fn new() -> Self {
        Self { table: Table::new(), failures: Restarts::default(), not_before: Instant::default() }
    }

    /// Spares that are up.
    pub(super) fn waiting(&self) -> u16 {
        let waiting = self.table.iter().filter(|(_, spare)| spare.phase == Phase::Waiting);
        // There are at most as many as places.
        waiting.count() as u16
    }

    pub(super) fn is_empty(&self) -> bool {
        self.table.in_use() == 0
    }

    /// Gives one that is up, with the number of its process, to an app. It is none any more.
    pub(super) fn take(&mut self) -> Option<(SpareHandle, u32)> {
        let (handle, _) = self.table.iter().find(|(_, spare)| spare.is_fit())?;
        self.table.remove(handle).map(|spare| (handle, spare.process_id))
    }

    pub(super) fn on_event(
        &mut self,
        now: Instant,
        handle: SpareHandle,
        event: SpareEvent,
        settings: &Settings,
    ) -> Result<(), Late> {
        let Some(spare) = self.table.get_mut(handle) else { return Err(Late) };
        let event = spare.read(event);
        if spare.handle(event, now, settings)? == Fate::Gone {
            self.bury(now, handle, event, settings);
        }
        Ok(())
    }

    fn bury(&mut self, now: Instant, handle: SpareHandle, event: Event, settings: &Settings) {
        let Some(spare) = self.table.remove(handle) else { return };
        if spare.is_dismissed {
            return;
        }
        warning!("a spare session server has ended: {:?}", event);
        self.not_before = match (self.failures.next(now, settings), self.failures.closes_at(settings)) {
            (Some(pause), _) => now.after(pause),
            (None, closes_at) => {
                warning!("spare session servers are of no use for now: too many have ended");
                closes_at.unwrap_or(now).max(now)
            }
        };
    }

    pub(super) fn on_tick(&mut self, now: Instant, settings: &Settings) {
        for (_, spare) in self.table.iter_mut() {
            if let Some(event) = spare.due(now) {
                // Each phase takes what can become due in it; and none is gone by it.
                let _ = spare.handle(event, now, settings);
            }
        }
    }

    /// Starts the next one, if one is wanted now.
    pub(super) fn replenish(&mut self, now: Instant, settings: &Settings) {
        if self.is_short(settings) && self.not_before <= now {
            // One is short only while there is a place.
            let _ = self.table.insert(Spare::new());
        }
    }

    fn is_short(&self, settings: &Settings) -> bool {
        let is_starting = |spare: &Spare| matches!(spare.phase, Phase::Spawning | Phase::Starting);
        self.table.in_use() < settings.spares.min(self.table.capacity())
            && !self.table.iter().any(|(_, spare)| is_starting(spare))
    }

    pub(super) fn dismiss(&mut self, now: Instant, settings: &Settings) {
        self.table.iter_mut().for_each(|(_, spare)| spare.dismiss(now, settings));
    }

    pub(super) fn poll(&mut self) -> Option<(SpareHandle, SpareDeed)> {
        self.table.iter_mut().find_map(|(handle, spare)| Some((handle, spare.poll()?)))
    }

    /// When something is due. `may_start` says whether one may be started now.
    pub(super) fn next_deadline(&self, may_start: bool, settings: &Settings) -> Option<Instant> {
        let limits = self.table.iter().filter_map(|(_, spare)| spare.due_at()).min();
        let start = (may_start && self.is_short(settings)).then_some(self.not_before);
        earliest(limits, start)
    }
}
