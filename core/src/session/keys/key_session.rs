//! One key session: what its key system does, and what may be asked of it now.

use core::mem;

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::limits::{KEYS_TIMEOUT, SESSIONS_MAX};
use crate::message::keys::{KeyError, KeySessionId};
use crate::message::playback::{Refusal, SessionId};
use crate::resources::Reservation;
use crate::session::playback::{Farewell, Late};
use crate::session::{ClientId, Response};
use crate::time::Instant;

/// Where a key session is.
///
/// ```text
/// Opening --opened--> Ready --asked--> Working --done, or refused by the key system--> Ready
///                       |                 |
///                       | close, while a playback session uses it
///                       v                 |
///                   Released <------------+ (done)
///                       | the last use ends
///                       v
/// (any) --close, client gone, memory given back, app Inactive, stuck--> Closing --closed--> (removed)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    Opening,
    Ready,
    Working,
    /// Its client has closed it; a playback session still uses its keys.
    Released,
    Closing,
}

/// What can lead from one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The key system has it.
    Opened,
    /// Its client asks for something that takes time.
    Asked,
    /// What was asked for is done, or was not.
    Completed,
    /// Its client closes it, and a playback session uses it.
    ClosedInUse,
    /// Nobody uses it any more.
    Unused,
    /// It is to end now.
    Closed,
}

/// What comes next; `None` where that cannot be.
pub(super) fn next(state: State, cause: Cause) -> Option<State> {
    use {Cause as C, State as S};
    match (state, cause) {
        (S::Opening, C::Opened) | (S::Working, C::Completed) => Some(S::Ready),
        (S::Ready, C::Asked) => Some(S::Working),
        (S::Ready, C::ClosedInUse) => Some(S::Released),
        (S::Released, C::Unused) => Some(S::Closing),
        (S::Opening | S::Ready | S::Working | S::Released, C::Closed) => Some(S::Closing),

        // It stays its client's.
        (S::Opening | S::Ready | S::Working, C::Unused)
        // Its client waits for an answer first.
        | (S::Opening | S::Working, C::Asked | C::ClosedInUse)
        // Too late, or never asked for.
        | (S::Opening | S::Ready, C::Completed)
        | (S::Ready | S::Working, C::Opened)
        | (S::Released, C::Opened | C::Asked | C::Completed | C::ClosedInUse)
        | (S::Closing, C::Opened | C::Asked | C::Completed | C::ClosedInUse | C::Unused | C::Closed) => None,
    }
}

/// What a key system is ordered to do. What belongs to it is in the call just handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum KeyOrder {
    /// Make a licence request.
    GenerateRequest,
    /// Take the licence server's response.
    Update,
    /// Forget the keys.
    Remove,
}

/// The order under way, and the call that is answered when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Pending {
    sequence: u32,
    token: u32,
    order: KeyOrder,
    given: bool,
    deadline: Instant,
    /// A message for the licence server has come since.
    has_message: bool,
}

/// What a session wants of its key system.
pub(super) enum Want {
    Open,
    Close,
    Bind { session: SessionId },
    Give { token: u32, order: KeyOrder },
}

/// One key session.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeySession {
    pub(super) owner: ClientId,
    /// Its share of the app's key sessions; it goes back when it is removed.
    pub(super) share: Reservation,
    state: State,
    /// Playback sessions that use its keys.
    uses: Vec<SessionId, SESSIONS_MAX>,
    pending: Option<Pending>,
    last_token: u32,
    message_untold: bool,
    statuses_untold: bool,
    open_due: bool,
    opening: Option<u32>,
    bind_due: Option<SessionId>,
    close_due: bool,
    close_deadline: Option<Instant>,
    pub(super) farewell: Farewell,
}

impl KeySession {
    /// A key session that its key system does not know yet; `sequence` is the call that asked for it.
    pub(super) fn new(owner: ClientId, share: Reservation, sequence: u32) -> Self {
        Self {
            owner,
            share,
            state: State::Opening,
            uses: Vec::new(),
            pending: None,
            last_token: 0,
            message_untold: false,
            statuses_untold: false,
            open_due: true,
            opening: Some(sequence),
            bind_due: None,
            close_due: false,
            close_deadline: None,
            farewell: Farewell { sequence: None, unasked: false },
        }
    }

    /// Whether its client can still ask it.
    pub(super) fn is_known(&self) -> bool {
        matches!(self.state, State::Opening | State::Ready | State::Working)
    }

    pub(super) fn is_closing(&self) -> bool {
        self.state == State::Closing
    }

    /// Whether something is under way, so that the next call must wait.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self.state, State::Opening | State::Working)
    }

    pub(super) fn is_used(&self) -> bool {
        !self.uses.is_empty()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        crate::time::earliest(self.pending.map(|pending| pending.deadline), self.close_deadline)
    }

    fn go(&mut self, cause: Cause) -> bool {
        let Some(state) = next(self.state, cause) else { return false };
        self.state = state;
        true
    }

    /// Takes an order of the client, to be given to the key system.
    pub(super) fn order(&mut self, now: Instant, sequence: u32, order: KeyOrder) -> bool {
        let is_taken = self.go(Cause::Asked);
        if is_taken {
            self.last_token = self.last_token.wrapping_add(1);
            let deadline = now.after(KEYS_TIMEOUT);
            let token = self.last_token;
            self.pending = Some(Pending { sequence, token, order, given: false, deadline, has_message: false });
        }
        is_taken
    }

    /// A playback session is to use the keys.
    pub(super) fn bind(&mut self, session: SessionId) {
        // There are no more playback sessions than places, and each is bound once.
        if !self.uses.contains(&session) && self.uses.push(session).is_ok() {
            self.bind_due = Some(session);
        }
    }

    /// A playback session has ended.
    pub(super) fn unbind(&mut self, now: Instant, session: SessionId) {
        self.uses.retain(|used| *used != session);
        if self.uses.is_empty() && self.go(Cause::Unused) {
            self.start_closing(now, Farewell { sequence: None, unasked: true });
        }
    }

    /// The key system has it, or has not; answers the call that made it.
    pub(super) fn opened(&mut self, id: KeySessionId, result: Result<(), KeyError>) -> Option<Late> {
        let sequence = self.opening.take()?;
        let response = match result {
            Ok(()) => Response::KeySession { key_session: id },
            Err(error) => Response::Refused(Refusal::Keys(error)),
        };
        self.go(Cause::Opened);
        Some((sequence, response))
    }

    /// An order ended; answers its call. `None`: it was given up before.
    pub(super) fn completed(&mut self, token: u32, result: Result<(), KeyError>) -> Option<Late> {
        let pending = self.pending.take_if(|pending| pending.token == token)?;
        self.go(Cause::Completed);
        let is_mute = pending.order == KeyOrder::GenerateRequest && !pending.has_message;
        let response = match result {
            Ok(()) if is_mute => Response::Refused(Refusal::Keys(KeyError::NoMessage)),
            Ok(()) => Response::Done,
            Err(error) => Response::Refused(Refusal::Keys(error)),
        };
        Some((pending.sequence, response))
    }

    /// A message for the licence server is there.
    pub(super) fn message_is_due(&mut self) {
        self.message_untold = self.is_known();
        if let Some(pending) = &mut self.pending {
            pending.has_message = true;
        }
    }

    /// The keys, or what they are good for, are others now.
    pub(super) fn statuses_changed(&mut self) {
        self.statuses_untold = self.is_known();
    }

    /// Its client closes it. True: it ends now; false: behind its last use.
    pub(super) fn release(&mut self, now: Instant, sequence: u32) -> bool {
        if self.is_used() && self.go(Cause::ClosedInUse) {
            return false;
        }
        self.close(now, Farewell { sequence: Some(sequence), unasked: false });
        true
    }

    /// Starts its end; answers the call that was under way.
    pub(super) fn close(&mut self, now: Instant, farewell: Farewell) -> Option<Late> {
        let is_heard_of = self.opening.is_none();
        if !self.go(Cause::Closed) {
            self.farewell.unasked |= farewell.unasked && self.farewell.sequence.is_none();
            return None;
        }
        let interrupted = self.pending.take().map(|pending| pending.sequence).or(self.opening.take());
        self.start_closing(now, Farewell { unasked: farewell.unasked && is_heard_of, ..farewell });
        interrupted.map(|sequence| (sequence, Response::Refused(Refusal::Interrupted)))
    }

    fn start_closing(&mut self, now: Instant, farewell: Farewell) {
        (self.message_untold, self.statuses_untold) = (false, false);
        self.bind_due = None;
        self.farewell = farewell;
        self.close_due = true;
        self.close_deadline = Some(now.after(KEYS_TIMEOUT));
    }

    /// Time has passed: a key system that has not done by now what it was told loses its key session; answers its call.
    pub(super) fn tick(&mut self, now: Instant) -> Option<Late> {
        let pending = self.pending.take_if(|pending| pending.deadline <= now)?;
        self.close(now, Farewell { sequence: None, unasked: true });
        Some((pending.sequence, Response::Refused(Refusal::Keys(KeyError::Stuck))))
    }

    /// Whether the key system should have let go by now.
    pub(super) fn is_stuck(&self, now: Instant) -> bool {
        self.close_deadline.is_some_and(|deadline| deadline <= now)
    }

    /// What the key system is to be told next.
    pub(super) fn poll_provider(&mut self) -> Option<Want> {
        if mem::take(&mut self.open_due) {
            return Some(Want::Open);
        }
        if mem::take(&mut self.close_due) {
            return Some(Want::Close);
        }
        if let Some(session) = self.bind_due.take() {
            return Some(Want::Bind { session });
        }
        let pending = self.pending.as_mut().filter(|pending| !pending.given)?;
        pending.given = true;
        Some(Want::Give { token: pending.token, order: pending.order })
    }

    /// Whether the client is to be told a message for its licence server now.
    pub(super) fn poll_message(&mut self) -> bool {
        mem::take(&mut self.message_untold)
    }

    /// Whether the client is to be told what its keys are good for now.
    pub(super) fn poll_statuses(&mut self) -> bool {
        mem::take(&mut self.statuses_untold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::Ledger;
    use std::string::String;

    const STATES: [State; 5] = [State::Opening, State::Ready, State::Working, State::Released, State::Closing];
    const CAUSES: [Cause; 6] =
        [Cause::Opened, Cause::Asked, Cause::Completed, Cause::ClosedInUse, Cause::Unused, Cause::Closed];
    const NOW: Instant = Instant::from_millis(1000);
    const ID: KeySessionId = KeySessionId { index: 0, generation: 1 };
    const PLAYS: SessionId = SessionId { index: 0, generation: 1 };

    fn ready() -> KeySession {
        let share = Ledger::new(1).reserve(1).unwrap();
        let mut keys = KeySession::new(ClientId::from_parts(0, 1), share, 1);
        assert!(matches!(keys.poll_provider(), Some(Want::Open)));
        assert_eq!(keys.opened(ID, Ok(())), Some((1, Response::KeySession { key_session: ID })));
        keys
    }

    /// What every cause does in every state.
    #[test]
    fn every_cause_leads_somewhere_in_its_states_only() {
        // opened, asked, completed, closed in use, unused, closed
        let table = [
            "r----c", // Opening
            "-w-R-c", // Ready
            "--r--c", // Working
            "----cc", // Released
            "------", // Closing
        ];
        let letter = |state| match state {
            None => '-',
            Some(State::Opening) => 'o',
            Some(State::Ready) => 'r',
            Some(State::Working) => 'w',
            Some(State::Released) => 'R',
            Some(State::Closing) => 'c',
        };
        for (state, row) in STATES.into_iter().zip(table) {
            assert_eq!(String::from_iter(CAUSES.map(|cause| letter(next(state, cause)))), row, "{state:?}");
        }
    }

    /// Field failure 53: nobody waits for a message that does not come.
    #[test]
    fn a_request_that_makes_no_message_is_an_error_and_the_session_can_be_asked_again() {
        let mut keys = ready();
        assert!(keys.order(NOW, 9, KeyOrder::GenerateRequest));
        let none = Response::Refused(Refusal::Keys(KeyError::NoMessage));
        assert_eq!(keys.completed(1, Ok(())), Some((9, none)));
        assert!(keys.order(NOW, 10, KeyOrder::GenerateRequest));
        keys.message_is_due();
        assert_eq!(keys.completed(2, Ok(())), Some((10, Response::Done)));
        assert!(keys.poll_message() && !keys.poll_message());
    }

    #[test]
    fn a_response_needs_no_message() {
        let mut keys = ready();
        keys.order(NOW, 9, KeyOrder::Update);
        assert_eq!(keys.completed(1, Ok(())), Some((9, Response::Done)));
        keys.order(NOW, 9, KeyOrder::Update);
        let refused = Response::Refused(Refusal::Keys(KeyError::Response));
        assert_eq!(keys.completed(2, Err(KeyError::Response)), Some((9, refused)));
    }

    /// Field failure 53: a key system that does not answer costs its key session.
    #[test]
    fn a_key_system_that_does_not_answer_loses_its_session() {
        let mut keys = ready();
        keys.order(NOW, 9, KeyOrder::Update);
        let late = keys.tick(NOW.after(KEYS_TIMEOUT));
        assert_eq!(late, Some((9, Response::Refused(Refusal::Keys(KeyError::Stuck)))));
        assert!(keys.is_closing() && keys.farewell.unasked);
        assert_eq!(keys.completed(1, Ok(())), None);
    }

    /// Field failures 51 and 52
    #[test]
    fn one_that_is_closed_in_use_is_closed_behind_its_last_use() {
        let mut keys = ready();
        let other = SessionId { index: 1, generation: 1 };
        keys.bind(PLAYS);
        assert!(matches!(keys.poll_provider(), Some(Want::Bind { session: PLAYS })));
        keys.bind(other);
        assert!(matches!(keys.poll_provider(), Some(Want::Bind { .. })));
        assert!(!keys.release(NOW, 9));
        assert!(!keys.is_known() && keys.poll_provider().is_none());
        keys.unbind(NOW, PLAYS);
        assert!(keys.poll_provider().is_none(), "the other one still plays");
        keys.unbind(NOW, other);
        assert!(matches!(keys.poll_provider(), Some(Want::Close)));
        assert!(keys.farewell.unasked, "its client is told when");
    }

    #[test]
    fn one_that_nobody_uses_is_closed_at_once() {
        let mut keys = ready();
        keys.bind(PLAYS);
        keys.unbind(NOW, PLAYS);
        assert!(keys.is_known(), "it stays its client's");
        assert!(keys.release(NOW, 9));
        assert!(keys.is_closing());
    }
}
