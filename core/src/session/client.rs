//! One connection of a client: what waits until its socket takes it.

use core::mem;

use heapless::{Deque, Vec};
use serde::{Deserialize, Serialize};

use super::Response;
use crate::health::{Health, HealthCheck, Look};
use crate::limits::{GREETING_TIMEOUT, KEY_SESSIONS_MAX, SESSIONS_MAX, WEB_AUDIO_PLAYERS_MAX};
use crate::message::audio::{self, PlayerId};
use crate::message::keys::{self, KeySessionId};
use crate::message::playback::{Event, Refusal, SessionId};
use crate::message::{AppState, LogLevels};
use crate::time::Instant;

/// Answers that can wait for one connection. No call is taken while one waits. So what can come meanwhile is what was open
/// when the last call was taken, and that call's own: of each session the order that its decoder has and the one that is
/// parked behind it, of each web audio player and each key
/// session one order.
const REPLIES_MAX: usize = 2 * SESSIONS_MAX + WEB_AUDIO_PLAYERS_MAX + KEY_SESSIONS_MAX + 1;

/// A call that is answered when something else is done. No other is taken meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Waiting {
    /// A slot is renewed, to be leased.
    Lease { sequence: u32 },
    /// A slot is renewed, to be leased with a session.
    Session { sequence: u32 },
    /// Sessions and players end, and with them the leases.
    Release { sequence: u32 },
}

impl Waiting {
    /// The number of the call.
    pub(super) const fn sequence(self) -> u32 {
        let (Self::Lease { sequence } | Self::Session { sequence } | Self::Release { sequence }) = self;
        sequence
    }
}

/// One connection of a client.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Client {
    /// Whether it has said Hello. Before, nothing is sent to it.
    pub(super) is_greeted: bool,
    health: Health,
    ping_untold: bool,
    greet_by: Instant,
    /// Why it is not served, if it is not: it is told so and closed.
    pub(super) turned_away: Option<Refusal>,
    /// Whether its socket takes nothing now.
    pub(super) is_blocked: bool,
    /// Whether it is to be closed once its answers are sent.
    pub(super) is_leaving: bool,
    /// The call that is answered later, if there is one.
    pub(super) waiting: Option<Waiting>,
    /// The slot that it has leased for itself; others may be leased with a session.
    pub(super) slot: Option<u8>,
    replies: Deque<(u32, Response), REPLIES_MAX>,
    /// The app has left Active since it was told the state. It is told so even when the app is Active again: what it
    /// had leased is gone.
    inactive_untold: bool,
    running_untold: bool,
    levels_untold: bool,
    ended: Vec<SessionId, SESSIONS_MAX>,
    /// Players that the server ended. While they wait it asks for no other, so there are no more than places.
    ended_players: Vec<PlayerId, WEB_AUDIO_PLAYERS_MAX>,
    ended_keys: Vec<KeySessionId, KEY_SESSIONS_MAX>,
}

impl Client {
    pub(super) fn new(now: Instant, turned_away: Option<Refusal>) -> Self {
        Self {
            is_greeted: false,
            health: Health::new(),
            ping_untold: false,
            greet_by: now.after(GREETING_TIMEOUT),
            turned_away,
            is_blocked: false,
            is_leaving: false,
            waiting: None,
            slot: None,
            replies: Deque::new(),
            inactive_untold: false,
            running_untold: false,
            levels_untold: false,
            ended: Vec::new(),
            ended_players: Vec::new(),
            ended_keys: Vec::new(),
        }
    }

    /// Whether a call of it can be taken now.
    pub(super) fn can_call(&self) -> bool {
        !self.is_blocked && !self.is_leaving && self.waiting.is_none() && self.replies.is_empty()
    }

    pub(super) fn answer(&mut self, sequence: u32, response: Response) {
        // No more calls are open than their answers have places.
        let _ = self.replies.push_back((sequence, response));
    }

    /// When it is let go if it has said nothing, or looked at if it holds something.
    pub(super) fn deadline(&self, holds_anything: bool) -> Option<Instant> {
        match (self.is_leaving, self.is_greeted) {
            (true, _) => None,
            (false, false) => Some(self.greet_by),
            (false, true) => self.health.deadline().filter(|_| holds_anything),
        }
    }

    /// It has said something.
    pub(super) fn heard(&mut self, now: Instant, check: HealthCheck) {
        self.ping_untold = false;
        self.health.proved();
        self.health.rest(now, check);
    }

    /// Time has passed; whether it is given up. A socket that takes nothing is no answer either.
    pub(super) fn tick(&mut self, now: Instant, holds_anything: bool, check: HealthCheck) -> bool {
        if self.deadline(holds_anything).is_none_or(|deadline| deadline > now) {
            return false;
        }
        if !self.is_greeted {
            self.is_leaving = planted!("silent_stranger_kept", false, true);
            return false;
        }
        let look = self.health.look(now, check, true);
        // Asked again as long as it owes an answer: one that was lost on its way costs it nothing.
        self.ping_untold |= look != Look::GiveUp;
        look == Look::GiveUp
    }

    /// It has said Hello: from now on it hears events.
    pub(super) fn greet(&mut self) {
        self.is_greeted = true;
        self.levels_untold = true;
        (self.inactive_untold, self.running_untold) = (false, false);
    }

    pub(super) fn app_state_changed(&mut self, state: AppState) {
        let is_running = state == AppState::Running;
        self.running_untold = self.is_greeted && is_running;
        self.inactive_untold = self.is_greeted && (self.inactive_untold || !is_running);
    }

    pub(super) fn levels_changed(&mut self) {
        self.levels_untold = self.is_greeted;
    }

    /// The server ended a session of it. It makes no other before it was told, so there are no more than places.
    pub(super) fn session_ended(&mut self, session: SessionId) {
        // No more sessions end than there are.
        let _ = self.ended.push(session);
    }

    /// The server ended a web audio player of it.
    pub(super) fn player_ended(&mut self, player: PlayerId) {
        // No more players than places can have ended.
        let _ = self.ended_players.push(player);
    }

    /// A key session of it has ended, and it did not wait for that.
    pub(super) fn key_session_ended(&mut self, key_session: KeySessionId) {
        // No more key sessions than places can have ended.
        let _ = self.ended_keys.push(key_session);
    }

    pub(super) fn poll_reply(&mut self) -> Option<(u32, Response)> {
        self.replies.pop_front()
    }

    /// What it is to be told next, apart from what its session says.
    pub(super) fn poll_event(&mut self, levels: LogLevels) -> Option<Event> {
        if let Some(session) = self.ended.pop() {
            return Some(Event::SessionEnded { session });
        }
        if let Some(key_session) = self.ended_keys.pop() {
            return Some(Event::Keys(keys::Event::Ended { key_session }));
        }
        if let Some(player) = self.ended_players.pop() {
            return Some(Event::Audio(audio::Event::Ended { player }));
        }
        if mem::take(&mut self.inactive_untold) {
            return Some(Event::ApplicationState(AppState::Inactive));
        }
        if mem::take(&mut self.running_untold) {
            return Some(Event::ApplicationState(AppState::Running));
        }
        if mem::take(&mut self.ping_untold) {
            return Some(Event::Ping);
        }
        mem::take(&mut self.levels_untold).then_some(Event::LogLevels(levels))
    }
}
