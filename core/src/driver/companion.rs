//! Keeps the manager's companion running on any platform.

use super::overslept::Overslept;
use crate::fmt::{Said, info, warning};
use crate::hal::{Child, Descriptors, Interest, Ready, Received, Signal, Socket, Spawn, Token, Watch};
use crate::manager::companion::{Companion, CompanionAction, CompanionInput};
use crate::time::Instant;

/// What progress is said with. What is in a message does not matter.
const MESSAGE_BYTES_MAX: usize = 16;

/// The companion, its process and the link on which it says that it makes progress.
///
/// The link also tells it when the manager has gone: it ends then, so that no manager leaves an orphan (SM-34).
#[derive(Debug)]
pub struct CompanionDriver<S: Spawn> {
    machine: Companion,
    child: Option<S::Child>,
    link: Option<S::Socket>,
    kind: u8,
    /// What is heard of an earlier process is no news.
    generation: u16,
    overslept: Overslept,
}

impl<S: Spawn> CompanionDriver<S> {
    const CHILD: u16 = 0;
    const LINK: u16 = 1;

    /// Will start it in the first turn; it is watched under tokens of this kind.
    pub fn new(machine: Companion, kind: u8) -> Self {
        Self { machine, child: None, link: None, kind, generation: 0, overslept: Overslept::new() }
    }

    /// When [`Self::turn`] is due, if time matters now.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.overslept.wakes_at(self.machine.next_deadline())
    }

    /// Whether it has ended after it was asked to.
    pub fn is_over(&self) -> bool {
        self.machine.is_over()
    }

    /// Takes what is ready and what is due.
    pub fn turn<W>(&mut self, now: Instant, spawner: &mut S, events: &mut W, ready: &[Ready])
    where
        W: Watch<S::Child> + Watch<S::Socket>,
    {
        for ready in ready {
            if ready.token == self.token(Self::LINK) {
                self.hear(now, spawner, events);
            } else if ready.token == self.token(Self::CHILD) {
                self.look(now, spawner, events);
            }
        }
        if self.overslept.is_due(now, self.machine.next_deadline()) {
            self.take(now, CompanionInput::Tick, spawner, events);
        }
    }

    /// Asks it to end; to be called when the manager ends.
    pub fn stop<W>(&mut self, now: Instant, spawner: &mut S, events: &mut W)
    where
        W: Watch<S::Child> + Watch<S::Socket>,
    {
        self.take(now, CompanionInput::Stop, spawner, events);
    }

    const fn token(&self, index: u16) -> Token {
        Token { kind: self.kind, index, generation: self.generation }
    }

    fn take<W>(&mut self, now: Instant, input: CompanionInput, spawner: &mut S, events: &mut W)
    where
        W: Watch<S::Child> + Watch<S::Socket>,
    {
        match self.machine.handle(now, input) {
            Some(CompanionAction::Start) if self.start(spawner, events) => {}
            // It does nothing but wait for the next attempt.
            Some(CompanionAction::Start) => drop(self.machine.handle(now, CompanionInput::Ended)),
            Some(CompanionAction::Terminate) => self.signal(Signal::Terminate),
            Some(CompanionAction::Kill) => {
                warning!("the presentation service hangs; it is killed");
                self.signal(Signal::Kill);
            }
            None => {}
        }
    }

    fn start<W>(&mut self, spawner: &mut S, events: &mut W) -> bool
    where
        W: Watch<S::Child> + Watch<S::Socket>,
    {
        let (mut child, link) = match spawner.spawn() {
            Ok(started) => started,
            Err(error) => {
                warning!("the presentation service cannot be started: {}", Said(&error));
                return false;
            }
        };
        self.generation = self.generation.wrapping_add(1);
        if events.watch(&child, self.token(Self::CHILD), Interest::Read).is_err() {
            // Whose end nobody would see does not begin.
            let _ = child.signal(Signal::Kill);
            return false;
        }
        info!("the presentation service is process {}", child.process_id());
        // Of one that is not heard it is believed that it hangs.
        self.link = events.watch(&link, self.token(Self::LINK), Interest::Read).is_ok().then_some(link);
        self.child = Some(child);
        true
    }

    fn signal(&mut self, signal: Signal) {
        if let Some(child) = &mut self.child
            && let Err(error) = child.signal(signal)
        {
            warning!("the presentation service was not told to end: {}", Said(&error));
        }
    }

    fn hear<W>(&mut self, now: Instant, spawner: &mut S, events: &mut W)
    where
        W: Watch<S::Child> + Watch<S::Socket>,
    {
        let Some(link) = &mut self.link else { return };
        match link.receive(&mut [0; MESSAGE_BYTES_MAX], &mut Descriptors::new()) {
            // One a turn: how much it says is its own affair.
            Ok(Received::Message { .. }) => self.take(now, CompanionInput::Heard, spawner, events),
            Ok(Received::WouldBlock) => {}
            Ok(Received::Unusable | Received::Closed) | Err(_) => self.unwatch_link(events),
        }
    }

    fn unwatch_link<W: Watch<S::Socket>>(&mut self, events: &mut W) {
        if let Some(link) = self.link.take() {
            events.unwatch(&link);
        }
    }

    fn look<W>(&mut self, now: Instant, spawner: &mut S, events: &mut W)
    where
        W: Watch<S::Child> + Watch<S::Socket>,
    {
        let Some(child) = &mut self.child else { return };
        match child.try_wait() {
            Ok(None) => return,
            Ok(Some(status)) => info!("the presentation service has ended: {:?}", status),
            Err(error) => warning!("the presentation service cannot be asked how it ended: {}", Said(&error)),
        }
        if let Some(child) = self.child.take() {
            events.unwatch(&child);
        }
        self.unwatch_link(events);
        self.take(now, CompanionInput::Ended, spawner, events);
    }
}
