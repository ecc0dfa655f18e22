//! What an app is told without asking.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;

use greenroom_core::client::{LostReason, Notification};
use greenroom_core::message::playback::{Event, SessionId, SourceId, Text};

use super::deadline::Deadline;
use super::keys::KeyNotice;

/// Events that wait for one receiver. An app that reads none for a minute misses some; it is told so.
const EVENTS_MAX: usize = 256;

/// A text that is to be shown from now on, for as long as it lasts or until the next one of its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueText {
    /// Which source it came from.
    pub source: SourceId,
    /// When it begins, from the start of the media.
    pub start: Duration,
    /// How long it lasts, where its frame said so.
    pub duration: Option<Duration>,
    /// Texts of its session before this one that were lost.
    pub missed: u32,
    /// What its frame held; nothing: show nothing.
    pub body: String,
}

impl From<Text<'_>> for DueText {
    fn from(text: Text<'_>) -> Self {
        Self {
            source: text.source,
            start: Duration::from_nanos(text.start_ns),
            duration: text.duration_ns.map(Duration::from_nanos),
            missed: text.missed,
            body: text.body.into(),
        }
    }
}

/// Something that an app is told without asking.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// The session server's word.
    Server(Event),
    /// A text of a session is due.
    Text {
        /// Which session.
        session: SessionId,
        /// The text.
        text: DueText,
    },
    /// A key session says something; see also [`Event::Keys`].
    Keys(KeyNotice),
    /// The connection has ended; every session and the shared memory are gone. [`Self::Reconnected`] or
    /// [`Self::GivenUp`] follows.
    ConnectionLost(LostReason),
    /// This receiver was read too seldom: so many events before the next one are lost.
    Missed(u32),
    /// There is a connection again (SM-36). The application state follows; sessions are made anew.
    Reconnected,
    /// There is no connection, and the library tries no more: the last event. Connect again.
    GivenUp(LostReason),
}

impl From<Notification> for ClientEvent {
    fn from(notification: Notification) -> Self {
        match notification {
            Notification::Event(event) => Self::Server(event),
            Notification::ConnectionLost(reason) => Self::ConnectionLost(reason),
            Notification::Reconnected { .. } => Self::Reconnected,
            Notification::GivenUp(reason) => Self::GivenUp(reason),
            // Core and library are of one release; a later kind of notification is an event that was missed.
            _ => Self::Missed(1),
        }
    }
}

/// Receives every event from its making on. Dropping it ends that.
#[derive(Debug)]
pub struct Events {
    queue: Arc<Queue>,
}

impl Events {
    /// The next event, if one comes within `timeout`.
    ///
    /// After [`ClientEvent::GivenUp`] there are no more.
    pub fn next(&self, timeout: Duration) -> Option<ClientEvent> {
        let deadline = Deadline::after(timeout);
        let mut waiting = self.queue.lock();
        loop {
            if let Some(event) = waiting.pop() {
                return Some(event);
            }
            waiting =
                self.queue.arrived.wait_timeout(waiting, deadline.left()?).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The next event, if there is one already.
    pub fn try_next(&self) -> Option<ClientEvent> {
        self.queue.lock().pop()
    }
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<ClientEvent>,
    missed: u32,
}

impl Queue {
    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn pop(&mut self) -> Option<ClientEvent> {
        match std::mem::take(&mut self.missed) {
            0 => self.events.pop_front(),
            missed => Some(ClientEvent::Missed(missed)),
        }
    }

    /// Of positions only the latest is worth anything; of anything else the oldest goes first.
    fn push(&mut self, event: ClientEvent) {
        if let Some(last) = self.events.back_mut().filter(|last| are_of_one_position(last, &event)) {
            *last = event;
            return;
        }
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
            self.missed = self.missed.saturating_add(1);
        }
        self.events.push_back(event);
    }
}

fn are_of_one_position(one: &ClientEvent, other: &ClientEvent) -> bool {
    use ClientEvent::Server;
    match (one, other) {
        (Server(Event::Position { session: one, .. }), Server(Event::Position { session: other, .. })) => one == other,
        _ => false,
    }
}

/// Everybody who receives events.
#[derive(Debug, Default)]
pub(super) struct Receivers {
    queues: Mutex<Vec<Weak<Queue>>>,
}

impl Receivers {
    pub(super) fn add(&self) -> Events {
        let queue = Arc::new(Queue::default());
        self.lock().push(Arc::downgrade(&queue));
        Events { queue }
    }

    pub(super) fn tell(&self, event: &ClientEvent) {
        self.lock().retain(|queue| {
            let Some(queue) = queue.upgrade() else { return false };
            queue.lock().push(event.clone());
            queue.arrived.notify_all();
            true
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Queue>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use greenroom_core::message::AppState;

    use super::*;

    const SESSION: SessionId = SessionId { index: 0, generation: 1 };

    fn position(position_ns: u64) -> ClientEvent {
        ClientEvent::Server(Event::Position { session: SESSION, position_ns })
    }

    #[test]
    fn of_positions_only_the_latest_waits() {
        let receivers = Receivers::default();
        let events = receivers.add();
        receivers.tell(&position(1));
        receivers.tell(&position(2));
        assert_eq!(events.try_next(), Some(position(2)));
        assert_eq!(events.try_next(), None);
    }

    #[test]
    fn a_receiver_that_is_not_read_is_told_how_much_it_missed() {
        let receivers = Receivers::default();
        let events = receivers.add();
        let state = ClientEvent::Server(Event::ApplicationState(AppState::Running));
        for _ in 0..EVENTS_MAX + 3 {
            receivers.tell(&state);
        }
        assert_eq!(events.try_next(), Some(ClientEvent::Missed(3)));
        assert_eq!(std::iter::from_fn(|| events.try_next()).count(), EVENTS_MAX);
    }

    #[test]
    fn every_receiver_gets_every_event_from_its_making_on() {
        let receivers = Receivers::default();
        let early = receivers.add();
        receivers.tell(&position(1));
        let late = receivers.add();
        assert_eq!((early.try_next(), late.try_next()), (Some(position(1)), None));
        assert_eq!(late.next(Duration::ZERO), None);
    }
}
