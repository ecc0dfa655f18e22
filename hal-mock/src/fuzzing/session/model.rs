//! What is around a session server, seen from outside: its manager, its clients, its memory, its decoders.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use greenroom_core::limits::{CLIENTS_MAX, DECODER_TIMEOUT, KEYS_TIMEOUT};
use greenroom_core::message::playback::{Command, Event};
use greenroom_core::message::{AppState, ServerState, link};
use greenroom_core::session::{Action, ClientId, FIRST_PLAYER, Order, Response, Server};
use greenroom_core::time::Instant;

use super::known::Known;

/// The manager's end of the link.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) is_open: bool,
    pub(super) is_blocked: bool,
    pub(super) unanswered: BTreeSet<u32>,
    told: Option<ServerState>,
}

#[derive(Debug)]
struct Client {
    id: ClientId,
    is_blocked: bool,
    has_greeted: bool,
    unanswered: BTreeSet<u32>,
}

/// A decoder or a key session, as its platform has it.
#[derive(Debug, Default)]
struct Worker {
    /// What it was told and has not done, and since when.
    pending: Option<(u32, Instant)>,
    /// That is a beat, which no worker that gets on fails to do.
    is_at_a_beat: bool,
    /// From when to when it was at its last beat.
    last_beat: Option<(Instant, Instant)>,
    last_token: u32,
    /// From when on it was to let go.
    closing: Option<Instant>,
    has_failed: bool,
    slot: Option<u8>,
}

impl Worker {
    fn give(&mut self, now: Instant, token: u32, patience: Duration) {
        assert!(self.closing.is_none(), "it was told to let go");
        assert_ne!(token, self.last_token, "a number that was used");
        let is_given_up = |since: Instant| self.has_failed || now.since(since) >= patience;
        if let Some((_, since)) = self.pending {
            assert!(is_given_up(since), "it is at something else");
        }
        // What waited for the end of a beat may have been asked as early as that was: its time runs from then on.
        let asked = self.last_beat.filter(|(_, ended)| *ended == now).map_or(now, |(began, _)| began);
        self.pending = Some((token, asked));
        self.last_token = token;
    }

    fn close(&mut self, now: Instant) {
        assert!(self.closing.is_none(), "closed twice");
        self.closing = Some(now);
    }

    fn is_stuck(&self, now: Instant, patience: Duration) -> bool {
        self.closing.is_some_and(|since| now.since(since) >= patience)
    }
}

#[derive(Debug)]
pub(super) struct Model {
    pub(super) link: Link,
    clients: Vec<Client>,
    was_admitted: bool,
    is_bound: bool,
    is_unbound: bool,
    /// Slots of sessions and of players, while there is memory.
    memory: Option<(u8, u8)>,
    decoders: BTreeMap<u16, Worker>,
    keys: BTreeMap<u16, Worker>,
    pub(super) known: Known,
    exits: u32,
}

impl Default for Model {
    fn default() -> Self {
        let link = Link { is_open: true, is_blocked: false, unanswered: BTreeSet::new(), told: None };
        Self {
            link,
            clients: Vec::new(),
            was_admitted: false,
            is_bound: false,
            is_unbound: false,
            memory: None,
            decoders: BTreeMap::new(),
            keys: BTreeMap::new(),
            known: Known::default(),
            exits: 0,
        }
    }
}

pub(super) fn nth<T: Copy>(mut of: impl ExactSizeIterator<Item = T>, number: u8) -> Option<T> {
    let number = usize::from(number).checked_rem(of.len())?;
    of.nth(number)
}

// What is there, for operations to choose from.
impl Model {
    pub(super) fn client(&self, number: u8) -> Option<ClientId> {
        nth(self.clients.iter().map(|client| client.id), number)
    }

    pub(super) fn clients(&self) -> Vec<ClientId> {
        self.clients.iter().map(|client| client.id).collect()
    }

    pub(super) fn decoder(&self, number: u8) -> Option<u16> {
        nth(self.decoders.keys().copied(), number)
    }

    pub(super) fn decoders(&self) -> Vec<u16> {
        self.decoders.keys().copied().collect()
    }

    pub(super) fn key_session(&self, number: u8) -> Option<u16> {
        nth(self.keys.keys().copied(), number)
    }

    pub(super) fn key_sessions(&self) -> Vec<u16> {
        self.keys.keys().copied().collect()
    }

    pub(super) const fn has_ended(&self) -> bool {
        self.exits > 0
    }

    pub(super) fn knows(&self, client: ClientId) -> bool {
        self.clients.iter().any(|known| known.id == client)
    }

    fn of(&mut self, client: ClientId) -> &mut Client {
        let found = self.clients.iter_mut().find(|known| known.id == client);
        found.unwrap_or_else(|| panic!("{client:?} is not there"))
    }
}

// What is done to the machine.
impl Model {
    pub(super) fn close_link(&mut self) {
        self.link.is_open = false;
        self.link.unanswered.clear();
    }

    pub(super) fn is_blocked(&self, client: ClientId) -> bool {
        self.clients.iter().any(|known| known.id == client && known.is_blocked)
    }

    pub(super) fn block(&mut self, client: ClientId, is_blocked: bool) {
        self.of(client).is_blocked = is_blocked;
    }

    pub(super) fn close_client(&mut self, client: ClientId) {
        self.clients.retain(|known| known.id != client);
    }

    pub(super) fn calls(&mut self, client: ClientId, sequence: u32, command: &Command<'_>) {
        let client = self.of(client);
        client.unanswered.insert(sequence);
        client.has_greeted |= *command == Command::Hello;
    }

    pub(super) fn takes_back(&mut self, client: ClientId, sequence: u32) {
        // It may have been given up meanwhile.
        if self.knows(client) {
            assert!(self.of(client).unanswered.remove(&sequence), "what is to come later was answered");
        }
    }

    pub(super) const fn take_admitted(&mut self) -> bool {
        std::mem::replace(&mut self.was_admitted, false)
    }

    pub(super) fn bound(&mut self, is_bound: bool) {
        self.is_bound = is_bound;
    }

    pub(super) fn opened(&mut self, session: u16, is_open: bool) {
        if is_open {
            self.decoders.insert(session, Worker::default());
        }
    }

    pub(super) fn keys_opened(&mut self, key_session: u16, is_open: bool) {
        if is_open {
            self.keys.insert(key_session, Worker::default());
        }
    }

    /// Its order's number, and whether that is a beat.
    pub(super) fn complete(&mut self, now: Instant, session: u16) -> Option<(u32, bool)> {
        let decoder = self.decoders.get_mut(&session)?;
        let (token, since) = decoder.pending.take()?;
        if decoder.is_at_a_beat {
            decoder.last_beat = Some((since, now));
        }
        Some((token, decoder.is_at_a_beat))
    }

    pub(super) fn earlier_token(&self, session: u16) -> u32 {
        let decoder = &self.decoders[&session];
        let is_at_it = u32::from(decoder.pending.is_some());
        decoder.last_token.saturating_sub(is_at_it)
    }

    pub(super) fn fails(&mut self, session: u16) {
        if let Some(decoder) = self.decoders.get_mut(&session) {
            decoder.has_failed = true;
        }
    }

    pub(super) fn complete_keys(&mut self, key_session: u16) -> Option<u32> {
        let (token, _) = self.keys.get_mut(&key_session)?.pending.take()?;
        Some(token)
    }

    /// Whether it was to let go, and has not.
    pub(super) fn let_go(&mut self, session: u16) -> bool {
        let is_closing = self.decoders.get(&session).is_some_and(|decoder| decoder.closing.is_some());
        is_closing && self.decoders.remove(&session).is_some()
    }

    pub(super) fn let_keys_go(&mut self, key_session: u16) -> bool {
        let is_closing = self.keys.get(&key_session).is_some_and(|keys| keys.closing.is_some());
        is_closing && self.keys.remove(&key_session).is_some()
    }
}

// What the machine does.
impl Model {
    /// The session whose answer needs more than the machine has, if this is one.
    pub(super) const fn brings_memory(response: &Response) -> Option<u16> {
        match response {
            Response::Session { session, slot: Some(_) } => Some(session.index),
            _ => None,
        }
    }

    /// Whom an action sends something.
    pub(super) const fn is_sent_to(action: &Action) -> Option<ClientId> {
        match *action {
            Action::Reply { client, .. }
            | Action::Event { client, .. }
            | Action::Text { client, .. }
            | Action::LicenseMessage { client, .. }
            | Action::KeyStatuses { client, .. } => Some(client),
            _ => None,
        }
    }

    /// Does what the machine wants done, if it may want that.
    pub(super) fn carry_out(&mut self, now: Instant, action: &Action) {
        assert_eq!(self.exits, 0, "{action:?} after the end");
        match *action {
            Action::Link(message) => self.hears(message),
            Action::SetLogLevels(_) => {}
            Action::Bind => assert!(!self.is_bound && !self.is_unbound, "bound twice"),
            Action::Unbind { .. } => {
                assert!(!self.is_unbound, "unbound twice");
                self.is_unbound = true;
            }
            Action::Allocate { slots, players } => {
                assert!(self.memory.is_none(), "there is memory already");
                self.memory = Some((slots, players));
            }
            Action::Renew { slot } => {
                assert!(self.memory.is_some_and(|(slots, _)| slot < slots), "there is no slot {slot}");
                let is_used = self.decoders.values().any(|decoder| decoder.slot == Some(slot));
                assert!(!is_used, "slot {slot} is played from");
            }
            Action::Free => self.free(now),
            Action::Open { session } => self.open(session),
            Action::Command { session, slot, token, order } => {
                let others = self.decoders.iter().filter(|(other, _)| **other != session);
                assert!(!others.into_iter().any(|(_, it)| it.slot == Some(slot)), "slot {slot} is another's");
                let decoder = self.decoders.get_mut(&session).expect("a decoder that is open");
                assert!(decoder.slot.is_none_or(|own| own == slot), "it has another slot");
                decoder.slot = Some(slot);
                decoder.give(now, token, DECODER_TIMEOUT);
                decoder.is_at_a_beat = order == Order::Beat;
            }
            Action::Close { session } => self.decoders.get_mut(&session).expect("one that is open").close(now),
            Action::Admit { client } => {
                assert!(!self.knows(client), "{client:?} is somebody else");
                assert!(self.clients.len() <= CLIENTS_MAX, "more clients than places");
                let unanswered = BTreeSet::new();
                self.clients.push(Client { id: client, is_blocked: false, has_greeted: false, unanswered });
                self.was_admitted = true;
            }
            Action::Reply { client, sequence, response } => self.reply(client, sequence, &response),
            Action::Event { client, event } => {
                self.tells(client);
                if let Event::SessionEnded { session } = event {
                    assert!(self.known.sessions.contains(&session), "the end of what nobody heard of: {session:?}");
                }
            }
            Action::Text { client, .. }
            | Action::LicenseMessage { client, .. }
            | Action::KeyStatuses { client, .. } => self.tells(client),
            Action::OpenKeys { key_session } => {
                assert!(self.memory.is_some(), "keys only while it is Active");
                assert!(!self.keys.contains_key(&key_session), "it is open");
            }
            Action::CommandKeys { key_session, token, .. } => {
                self.keys.get_mut(&key_session).expect("one that is open").give(now, token, KEYS_TIMEOUT);
            }
            Action::BindKeys { key_session, session } => {
                assert!(self.keys.contains_key(&key_session), "key session {key_session} is not open");
                assert!(self.decoders.contains_key(&session), "session {session} has no decoder");
            }
            Action::CloseKeys { key_session } => self.keys.get_mut(&key_session).expect("one that is open").close(now),
            Action::CloseClient { client } => {
                assert!(self.knows(client), "{client:?} is not there");
                self.close_client(client);
            }
            Action::Exit { .. } => self.exits += 1,
        }
    }

    /// SM-31, SM-32
    fn hears(&mut self, message: link::Message) {
        use ServerState::{Active, Error, Inactive, NotRunning, Uninitialized};
        assert!(self.link.is_open && !self.link.is_blocked, "the manager does not hear {message:?}");
        match message {
            link::Message::Reply { sequence, .. } => {
                assert!(self.link.unanswered.remove(&sequence), "a second answer to {sequence}, or one to nobody");
            }
            link::Message::StateChanged { state, .. } => {
                let follows = matches!(
                    (self.link.told, state),
                    (None, Uninitialized | Error | NotRunning)
                        | (Some(Uninitialized), Inactive | Active | NotRunning | Error)
                        | (Some(Inactive), Active | NotRunning | Error)
                        | (Some(Active), Inactive | NotRunning | Error)
                        | (Some(Error), NotRunning)
                );
                assert!(follows, "{state:?} after {:?}", self.link.told);
                self.link.told = Some(state);
                if state == Inactive {
                    let holds = self.memory.is_some() || !self.decoders.is_empty() || !self.keys.is_empty();
                    assert!(!holds, "who is Inactive holds nothing: {self:?}");
                }
            }
            link::Message::Listener => assert!(self.is_bound && !self.is_unbound, "there is no socket"),
            link::Message::Clients { connected, .. } => {
                assert!(usize::from(connected) <= self.clients.len(), "{connected} clients");
            }
            other => panic!("{other:?}"),
        }
    }

    /// SM-18: when nobody uses it any more, or who should have let go has not in time.
    fn free(&mut self, now: Instant) {
        assert!(self.memory.take().is_some(), "there is no memory");
        let is_stuck = self.decoders.values().any(|decoder| decoder.is_stuck(now, DECODER_TIMEOUT))
            || self.keys.values().any(|keys| keys.is_stuck(now, KEYS_TIMEOUT));
        assert!(is_stuck || self.decoders.is_empty(), "decoders use it: {:?}", self.decoders);
        assert!(is_stuck || self.keys.is_empty(), "key sessions are open: {:?}", self.keys);
    }

    /// SM-32, SM-33
    fn open(&mut self, session: u16) {
        let (slots, players) = self.memory.expect("decoders only while it is Active");
        assert!(!self.decoders.contains_key(&session), "it is open");
        let count = |of_players: bool| {
            self.decoders.keys().filter(|&&other| (other >= FIRST_PLAYER) == of_players).count() as u8
        };
        if session < FIRST_PLAYER {
            assert!(count(false) < slots, "more sessions than the app may have");
        } else {
            assert!(count(true) < players, "more players than the app may have");
        }
    }

    fn tells(&mut self, client: ClientId) {
        let client = self.of(client);
        assert!(client.has_greeted && !client.is_blocked, "{client:?} does not hear that");
    }

    /// SM-30
    fn reply(&mut self, client: ClientId, sequence: u32, response: &Response) {
        let asker = self.of(client);
        assert!(!asker.is_blocked, "{asker:?} does not hear that");
        assert!(asker.unanswered.remove(&sequence), "a second answer to {sequence}, or one to nobody");
        match *response {
            Response::Session { session, .. } => {
                assert!(!self.known.sessions.contains(&session), "{session:?} was given before");
                self.known.sessions.push(session);
            }
            Response::Player { player, .. } => {
                assert!(!self.known.players.contains(&player), "{player:?} was given before");
                self.known.players.push(player);
            }
            Response::KeySession { key_session } => {
                assert!(!self.known.key_sessions.contains(&key_session), "{key_session:?} was given before");
                self.known.key_sessions.push(key_session);
            }
            _ => {}
        }
    }
}

// What must be.
impl Model {
    pub(super) fn check(&self, server: &Server) {
        let is_running = server.app_state() == AppState::Running;
        assert!(!is_running || self.memory.is_some(), "who is Active has memory");
        let is_player = |session: &&u16| **session >= FIRST_PLAYER;
        let players = self.decoders.keys().filter(is_player).count();
        assert!(self.decoders.len() - players <= usize::from(server.sessions()), "a decoder of no session");
        assert!(players <= usize::from(server.players()), "a decoder of no player");
        assert!(self.keys.len() <= usize::from(server.key_sessions()), "a key session of nobody");
    }

    /// Whether nobody waits for anything.
    pub(super) fn is_settled(&self) -> bool {
        let is_at_rest = |workers: &BTreeMap<u16, Worker>| {
            workers.values().all(|worker| worker.pending.is_none() && worker.closing.is_none())
        };
        is_at_rest(&self.decoders)
            && is_at_rest(&self.keys)
            && self.link.unanswered.is_empty()
            && self.clients.iter().all(|client| client.unanswered.is_empty())
    }

    pub(super) fn check_end(&self) {
        assert_eq!(self.exits, 1, "it has ended");
        assert!(self.clients.is_empty(), "left: {:?}", self.clients);
        assert!(self.memory.is_none(), "memory is left");
        assert!(self.is_unbound || !self.is_bound, "its socket is left");
    }
}
