//! What one client is told, and whether it may be.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use greenroom_core::limits::{ESTABLISH_TIMEOUT, SELECTION_TIMEOUT, TERMINATE_ACK_TIMEOUT};
use greenroom_core::message::presentation::{Answer, CloseReason, ConnectionId, ConnectionState, Payload, Refusal};
use greenroom_core::time::Instant;

use super::book::Book;
use super::referee::{Broken, Incoming};

/// What is late by less than this is not late: a service that missed a deadline gives everybody another second.
const SLACK: Duration = Duration::from_secs(3);

/// A connection, as a key.
pub(super) type Key = (u16, u16);

pub(super) const fn key(connection: ConnectionId) -> Key {
    (connection.index, connection.generation)
}

pub(super) const fn id((index, generation): Key) -> ConnectionId {
    ConnectionId { index, generation }
}

/// What a client asks, as far as it matters for what may come of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// What is answered at once.
    Anything,
    /// To start this presentation, on a device or on one that is to be chosen.
    Start { presentation_id: String, is_device_known: bool },
    /// To take it up again.
    Reconnect { presentation_id: String },
    /// Something with a connection.
    On(Key),
    /// To send on a connection.
    Send(Key),
    /// To end a presentation, by a connection or by its name.
    End(Option<Key>),
    /// What only the platform may ask.
    PlatformOnly,
    /// To be a receiver.
    Claim { is_rightful: bool },
}

impl Asked {
    /// How long its answer may take.
    fn limit(&self) -> Duration {
        SLACK
            + match self {
                Self::Start { is_device_known: false, .. } => SELECTION_TIMEOUT,
                // The other device is reached and asked, or the process is asked to end and killed.
                Self::End(_) => ESTABLISH_TIMEOUT + 2 * TERMINATE_ACK_TIMEOUT,
                Self::Start { is_device_known: true, .. }
                | Self::Anything
                | Self::Reconnect { .. }
                | Self::On(_)
                | Self::Send(_)
                | Self::PlatformOnly
                | Self::Claim { .. } => Duration::ZERO,
            }
    }
}

/// A connection, as its client has been told of it.
#[derive(Debug)]
pub(super) struct View {
    pub(super) presentation_id: String,
    /// `None` before it was told anything.
    pub(super) state: Option<ConnectionState>,
    since: Instant,
    may_resume: bool,
    incoming: Incoming,
    /// As whom it sends, and how many it has sent.
    pub(super) outgoing: Option<(usize, u64)>,
    is_sending: bool,
    is_overdue: bool,
    /// Its page has left it by itself.
    pub(super) leaves: bool,
    /// Why it is closed.
    pub(super) reason: Option<CloseReason>,
}

impl View {
    fn new(presentation_id: &str, now: Instant) -> Self {
        Self {
            presentation_id: presentation_id.to_owned(),
            state: None,
            since: now,
            may_resume: false,
            incoming: Incoming::default(),
            outgoing: None,
            is_sending: false,
            is_overdue: false,
            leaves: false,
            reason: None,
        }
    }

    pub(super) const fn is_open(&self) -> bool {
        self.is_connecting() || matches!(self.state, Some(ConnectionState::Connected))
    }

    pub(super) const fn is_connecting(&self) -> bool {
        matches!(self.state, None | Some(ConnectionState::Connecting))
    }

    /// PS-30: what may come after what.
    fn may_become(&self, next: ConnectionState) -> bool {
        use ConnectionState as S;
        match (self.state, next) {
            (None, S::Connecting | S::Connected | S::Closed | S::Terminated)
            | (Some(S::Connecting), S::Connected | S::Closed | S::Terminated)
            | (Some(S::Connected), S::Closed | S::Terminated)
            | (Some(S::Closed), S::Terminated) => true,
            // It may have failed before there was a moment to say that it connects.
            (Some(S::Closed), S::Connecting | S::Closed) => self.may_resume,
            (Some(S::Connecting), S::Connecting)
            | (Some(S::Connected), S::Connecting | S::Connected)
            | (Some(S::Closed), S::Connected)
            | (Some(S::Terminated), _) => false,
        }
    }
}

/// Who looks at what one client is told, from its connect to the service to its end.
pub(super) struct Witness {
    book: Rc<Book>,
    who: String,
    is_platform: bool,
    /// The presentation whose page it is.
    shows: Option<String>,
    waiting: BTreeMap<u32, (Asked, Instant)>,
    pub(super) views: BTreeMap<Key, View>,
    /// What it was told of the devices last.
    pub(super) availability: Option<bool>,
    /// Connections whose transports it builds, or has built.
    has_built: BTreeSet<Key>,
    deaf_until: Instant,
}

impl Witness {
    pub(super) fn new(book: &Rc<Book>, who: String, is_platform: bool, shows: Option<&str>) -> Self {
        Self {
            book: Rc::clone(book),
            who,
            is_platform,
            shows: shows.map(str::to_owned),
            waiting: BTreeMap::new(),
            views: BTreeMap::new(),
            availability: None,
            has_built: BTreeSet::new(),
            deaf_until: Instant::default(),
        }
    }

    fn broken(&self, (rule, what): Broken) {
        self.book.violation(rule, format!("{}: {what}", self.who));
    }

    pub(super) fn asks(&mut self, sequence: u32, asked: Asked) {
        let since = self.book.waits_from().max(self.deaf_until);
        self.waiting.insert(sequence, (asked, since));
    }

    /// How many requests are not answered.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// PS-31, PS-36
    pub(super) fn replied(&mut self, sequence: u32, result: &Result<Answer<'_>, Refusal>) -> Option<Asked> {
        let Some((asked, _)) = self.waiting.remove(&sequence) else {
            self.broken(("PS-31", format!("request {sequence} is answered twice, or was never asked: {result:?}")));
            return None;
        };
        if let Asked::Send(connection) = asked {
            self.views.entry(connection).and_modify(|view| view.is_sending = false);
        }
        let Ok(answer) = result else { return Some(asked) };
        let is_wrong = match &asked {
            Asked::On(connection) | Asked::Send(connection) | Asked::End(Some(connection)) => {
                !self.views.contains_key(connection) && !self.has_built.contains(connection)
            }
            Asked::PlatformOnly | Asked::End(None) => !self.is_platform,
            Asked::Claim { is_rightful } => !is_rightful,
            Asked::Anything | Asked::Start { .. } | Asked::Reconnect { .. } => false,
        };
        if let Asked::Send(connection) = asked {
            self.has_sent(connection);
        }
        if is_wrong {
            self.broken(("PS-36", format!("{asked:?} was done: {answer:?}")));
        }
        if let Answer::Connection { connection, presentation_id, .. } = answer {
            self.has_connection(key(*connection), presentation_id);
        }
        if let Answer::Availability { available } = answer {
            self.availability = Some(*available);
        }
        Some(asked)
    }

    fn has_connection(&mut self, connection: Key, presentation_id: &str) {
        let now = self.book.waits_from().max(self.deaf_until);
        let view = self.views.entry(connection).or_insert_with(|| View::new(presentation_id, now));
        view.may_resume = true;
        if view.state != Some(ConnectionState::Connected) {
            self.book.referee.borrow_mut().sessions += 1;
        }
    }

    /// PS-17, PS-34
    pub(super) fn available(&mut self, connection: Key, device: &str) {
        let presentation_id = self.shows.clone().unwrap_or_default();
        let view = View::new(&presentation_id, self.book.waits_from().max(self.deaf_until));
        if self.shows.is_none() || self.views.insert(connection, view).is_some() {
            self.broken(("PS-17", format!("connection {connection:?} is told of twice, or to no receiver")));
        }
        let referee = self.book.referee.borrow();
        let starter = referee.starter(&presentation_id).unwrap_or("nobody");
        if starter != device {
            self.broken(("PS-34", format!("{device} joins {presentation_id}, which {starter} has started")));
        }
    }

    /// PS-30
    pub(super) fn state(&mut self, connection: Key, next: ConnectionState, reason: Option<CloseReason>) {
        let now = self.book.waits_from().max(self.deaf_until);
        let Some(view) = self.views.get_mut(&connection) else {
            return self.broken(("PS-36", format!("{connection:?}, which is not its own, is {next}")));
        };
        let (is_allowed, before) = (view.may_become(next), view.state);
        let wants_reason = matches!(next, ConnectionState::Closed | ConnectionState::Terminated);
        (view.state, view.since, view.reason, view.may_resume) = (Some(next), now, reason, false);
        (view.incoming, view.outgoing) = (Incoming::default(), None);
        if next == ConnectionState::Connected {
            view.leaves = false;
            self.book.referee.borrow_mut().connected += 1;
        }
        if !is_allowed {
            self.broken(("PS-30", format!("{connection:?} is {next} after {before:?}")));
        }
        if wants_reason && reason.is_none() {
            self.broken(("PS-30", format!("{connection:?} is {next} and nobody says why")));
        }
    }

    /// PS-18, PS-19
    pub(super) fn message(&mut self, connection: Key, payload: &Payload<'_>) {
        let Some(view) = self.views.get_mut(&connection) else {
            return self.broken(("PS-36", format!("a message of {connection:?}, which is not its own")));
        };
        if view.state != Some(ConnectionState::Connected) {
            let state = view.state;
            return self.broken(("PS-18", format!("a message of {connection:?}, which is {state:?}")));
        }
        let bytes = match payload {
            Payload::Text(text) => text.as_bytes(),
            Payload::Binary(bytes) => bytes,
        };
        let referee = self.book.referee.borrow();
        let heard = referee.hears(&view.presentation_id, self.shows.is_some(), &mut view.incoming, bytes);
        if let Err(broken) = heard {
            self.broken(broken);
        }
    }

    /// How many messages have come on a connection since it was connected.
    #[cfg(test)]
    pub(super) fn heard(&self, connection: Key) -> u64 {
        self.views.get(&connection).map_or(0, |view| view.incoming.heard())
    }

    /// The words of the next message on a connection. One that is refused is followed by itself, so there is none before it
    /// is known what became of the last.
    pub(super) fn next_message(&mut self, connection: Key, padding: usize) -> Option<String> {
        let view = self.views.get_mut(&connection).filter(|view| !view.is_sending)?;
        view.is_sending = true;
        let mut referee = self.book.referee.borrow_mut();
        let by_receiver = self.shows.is_some();
        let begun = view.outgoing.get_or_insert_with(|| (referee.begin(&view.presentation_id, by_receiver), 0));
        Some(referee.message(begun.0, begun.1, padding))
    }

    /// It could not even be asked.
    pub(super) fn takes_back(&mut self, connection: Key) {
        self.views.entry(connection).and_modify(|view| view.is_sending = false);
    }

    /// It was sent past the service.
    pub(super) fn has_sent_past(&mut self, connection: Key) {
        self.has_sent(connection);
        self.takes_back(connection);
    }

    /// It leaves a connection by itself.
    pub(super) fn leaves(&mut self, connection: Key) {
        self.views.entry(connection).and_modify(|view| view.leaves = true);
    }

    fn has_sent(&mut self, connection: Key) {
        if let Some((_, sent)) = self.views.get_mut(&connection).and_then(|view| view.outgoing.as_mut()) {
            *sent += 1;
        }
    }

    /// PS-20: it is to build the transport of a connection.
    pub(super) fn builds(&mut self, connection: Key) {
        self.has_built.insert(connection);
    }

    /// It does not read for so long.
    pub(super) fn is_deaf_for(&mut self, duration: Duration) {
        self.excuse(duration);
        self.deaf_until = self.book.now().after(duration);
    }

    /// PS-22: who watches is told of changes only.
    pub(super) fn availability(&mut self, available: bool) {
        if self.availability == Some(available) || self.availability.is_none() {
            self.broken(("PS-22", format!("it is told {available} after {:?}", self.availability)));
        }
        self.availability = Some(available);
    }

    /// So long nobody could get on, or this client did not read.
    pub(super) fn excuse(&mut self, duration: Duration) {
        self.waiting.values_mut().for_each(|(_, since)| *since = since.after(duration));
        self.views.values_mut().for_each(|view| view.since = view.since.after(duration));
    }

    /// PS-30, PS-31: nobody waits for longer than the limits say.
    pub(super) fn check(&mut self) {
        let (now, mut late) = (self.book.now(), Vec::new());
        for (connection, view) in &mut self.views {
            let waits = now.since(view.since);
            if view.is_connecting()
                && waits > ESTABLISH_TIMEOUT + SLACK
                && !std::mem::replace(&mut view.is_overdue, true)
            {
                late.push(("PS-30", format!("{connection:?} has been connecting for {waits:?}")));
            }
        }
        self.waiting.retain(|sequence, (asked, since)| {
            let is_late = now.since(*since) > asked.limit();
            if is_late {
                late.push(("PS-31", format!("request {sequence}, {asked:?}, has no answer")));
            }
            !is_late
        });
        late.into_iter().for_each(|broken| self.broken(broken));
    }

    pub(super) fn in_state(&self, state: ConnectionState) -> Vec<Key> {
        let views = self.views.iter().filter(|(_, view)| view.state == Some(state));
        views.map(|(connection, _)| *connection).collect()
    }
}
