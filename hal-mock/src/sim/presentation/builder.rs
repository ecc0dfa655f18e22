//! What builds data channels in the process of a page: the machine that ships, over a simulated way.
//!
//! It does what the client library does around that machine, and goes wrong as its page, its library and its network can.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use greenroom_core::message::presentation::{CloseReason, ConnectionState, Piece, Refusal};
use greenroom_core::presentation::content::{Content, Deed, Event, Phase, Route};
use greenroom_core::time::Instant;

use super::doom::Doom;
use super::path::{Parcel, Paths};
use super::witness::Key;
use crate::party::Party;
use crate::world::World;

/// Candidates of the other side that wait for its description.
const CANDIDATES_KEPT_MAX: usize = 32;
/// A description takes up to so long, and each candidate.
const DESCRIBES_MS_MAX: u64 = 200;
const GATHERS_MS_MAX: u64 = 100;
/// A candidate that is late comes after so long, or up to as long again.
const LATE_MS: u64 = 6_000;

/// What goes wrong with what is built next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mischief {
    /// Nothing is ever described.
    Hangs,
    /// It cannot be built.
    Fails,
    /// Candidates come seconds late.
    Late,
    /// Each candidate comes twice.
    Twice,
    /// A candidate is said before the description.
    Early,
    /// Candidates that are none come, too.
    Garbage,
    /// What is described is no description.
    Nonsense,
}

/// Something for the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Saying {
    Offer(String),
    Answer(String),
    Candidate(String),
    Open,
    Over(CloseReason),
    /// The page leaves the connection.
    Leave {
        went_away: bool,
    },
}

impl Saying {
    /// `None` when it is no piece.
    pub(super) fn piece(&self) -> Option<Piece<'_>> {
        Some(match self {
            Self::Offer(text) => Piece::Offer(text),
            Self::Answer(text) => Piece::Answer(text),
            Self::Candidate(text) => Piece::Candidate(text),
            Self::Open => Piece::Open,
            Self::Over(reason) => Piece::Over(*reason),
            Self::Leave { .. } => return None,
        })
    }
}

/// What comes of a turn, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Say(Key, Saying),
    /// The page is given a message.
    Deliver(Key, Vec<u8>),
}

/// What it is busy with.
#[derive(Clone, Debug)]
enum Work {
    Describe,
    Gather(String),
}

impl Drop for Builder {
    fn drop(&mut self) {
        self.die();
    }
}

/// One connection whose channel is built here.
struct Session {
    machine: Content,
    end: Option<u64>,
    heard_description: String,
    description: Option<Saying>,
    gathered: VecDeque<String>,
    heard_candidates: VecDeque<String>,
    unread: VecDeque<Vec<u8>>,
    work: Vec<(Instant, Work)>,
    mischief: Option<Mischief>,
    went_away: bool,
}

/// All of a page's process.
pub(super) struct Builder {
    world: World,
    paths: Rc<Paths>,
    doom: Rc<Doom>,
    party: Party,
    sessions: BTreeMap<Key, Session>,
    outcomes: VecDeque<Outcome>,
    /// The phase in which its process was killed.
    killed: Option<Phase>,
    /// Nobody kills it.
    pub(super) is_spared: bool,
    /// What goes wrong with the next one.
    pub(super) mischief: Option<Mischief>,
}

impl Builder {
    pub(super) fn new(world: &World, (paths, doom): (&Rc<Paths>, &Rc<Doom>), party: Party) -> Self {
        Self {
            world: world.clone(),
            paths: Rc::clone(paths),
            doom: Rc::clone(doom),
            party,
            sessions: BTreeMap::new(),
            outcomes: VecDeque::new(),
            killed: None,
            is_spared: false,
            mischief: None,
        }
    }

    /// Its process has gone, without a word to anybody.
    pub(super) fn die(&mut self) {
        self.sessions.values().filter_map(|session| session.end).for_each(|end| self.paths.remove(end));
        self.sessions.clear();
        self.outcomes.clear();
    }

    /// Whether its process is to end now, because somebody has killed it.
    pub(super) fn take_killed(&mut self) -> bool {
        let Some(phase) = self.killed.take() else { return false };
        let ends = self.sessions.values().filter_map(|session| session.end);
        let others: Vec<(Party, Key)> = ends.filter_map(|end| self.paths.partner(end)).collect();
        self.doom.kill(self.party, phase, &others);
        true
    }

    /// One of its channels that is open.
    pub(super) fn any_open(&self) -> Option<Key> {
        let is_open = |session: &Session| session.machine.phase() == Phase::Open { told: true };
        self.sessions.iter().find(|(_, session)| is_open(session)).map(|(key, _)| *key)
    }

    pub(super) fn next_outcome(&mut self) -> Option<Outcome> {
        self.outcomes.pop_front()
    }

    pub(super) fn wakes_at(&self) -> Option<Instant> {
        let of = |session: &Session| {
            let work = session.work.iter().map(|(at, _)| *at).min();
            let due = session.end.and_then(|end| self.paths.due(end));
            // What was sent arrives without a word.
            let draining = session.end.filter(|_| session.machine.phase() == Phase::Draining);
            let drains = draining.and_then(|end| self.paths.arrives_at(end));
            [session.machine.deadline(), work, due, drains].into_iter().flatten().min()
        };
        self.sessions.values().filter_map(of).min()
    }

    /// What is due happens; what has ended is forgotten.
    pub(super) fn turn(&mut self, now: Instant) {
        let keys: Vec<Key> = self.sessions.keys().copied().collect();
        for key in keys {
            self.with(key, |site| site.advance(now));
        }
        self.sessions.retain(|_, session| session.machine.phase() != Phase::Ended);
    }

    fn with<R>(&mut self, key: Key, what: impl FnOnce(&mut Site<'_>) -> R) -> Option<R> {
        let session = self.sessions.get_mut(&key)?;
        let Self { world, paths, party, outcomes, killed, .. } = self;
        let doom = (!self.is_spared).then_some(&*self.doom);
        Some(what(&mut Site { world, paths, doom, owner: (*party, key), session, outcomes, killed }))
    }

    /// The service wants a channel.
    pub(super) fn build(&mut self, key: Key, offers: bool) {
        let mischief = self.mischief.take();
        let session = self.sessions.entry(key).or_insert_with(Session::new);
        session.mischief = mischief;
        self.with(key, |site| site.handle(Event::Build { offers }));
    }

    /// The service passes something on.
    pub(super) fn hear(&mut self, key: Key, piece: &Piece<'_>) {
        self.with(key, |site| site.hear(piece));
    }

    /// The service says how a connection is: what has come is given to the page before it learns that this was all.
    pub(super) fn be(&mut self, key: Key, state: ConnectionState, now: Instant) {
        self.with(key, |site| match state {
            ConnectionState::Connecting => {}
            ConnectionState::Connected => site.handle(Event::Connected),
            ConnectionState::Closed | ConnectionState::Terminated => {
                site.advance(now);
                site.handle(Event::Over);
            }
        });
    }

    /// Takes a message; `false` when the service is to carry it.
    pub(super) fn send(&mut self, key: Key, message: &str) -> Result<bool, Refusal> {
        self.with(key, |site| site.send(message)).unwrap_or(Ok(false))
    }

    /// The page leaves; `false` when there is nothing here to leave.
    pub(super) fn close(&mut self, key: Key, went_away: bool) -> bool {
        self.with(key, |site| site.close(went_away)).is_some()
    }
}

impl Session {
    fn new() -> Self {
        Self {
            machine: Content::new(),
            end: None,
            heard_description: String::new(),
            description: None,
            gathered: VecDeque::new(),
            heard_candidates: VecDeque::new(),
            unread: VecDeque::new(),
            work: Vec::new(),
            mischief: None,
            went_away: false,
        }
    }
}

/// One session, and what is around it.
struct Site<'a> {
    world: &'a World,
    paths: &'a Paths,
    doom: Option<&'a Doom>,
    owner: (Party, Key),
    session: &'a mut Session,
    outcomes: &'a mut VecDeque<Outcome>,
    killed: &'a mut Option<Phase>,
}

impl Site<'_> {
    fn say(&mut self, saying: Saying) {
        self.outcomes.push_back(Outcome::Say(self.owner.1, saying));
    }

    fn deliver(&mut self, message: Vec<u8>) {
        self.outcomes.push_back(Outcome::Deliver(self.owner.1, message));
    }

    fn phase(&self) -> Phase {
        self.session.machine.phase()
    }

    fn later(&mut self, most_ms: u64, work: Work) {
        let at = self.world.now().after(Duration::from_millis(self.world.random(most_ms)));
        self.session.work.push((at, work));
    }

    fn hear(&mut self, piece: &Piece<'_>) {
        match piece {
            Piece::Offer(text) => {
                (*text).clone_into(&mut self.session.heard_description);
                self.handle(Event::OfferHeard);
            }
            Piece::Answer(text) => {
                (*text).clone_into(&mut self.session.heard_description);
                self.handle(Event::AnswerHeard);
            }
            Piece::Candidate(text) if self.session.heard_candidates.len() < CANDIDATES_KEPT_MAX => {
                self.session.heard_candidates.push_back((*text).to_owned());
                self.handle(Event::CandidateHeard);
            }
            Piece::Closed | Piece::Over(_) => self.handle(Event::Unwanted),
            Piece::Candidate(_) | Piece::Open => {}
        }
    }

    fn send(&mut self, message: &str) -> Result<bool, Refusal> {
        let buffered = self.session.end.map_or(0, |end| self.paths.buffered_bytes(end));
        match self.session.machine.route(message.len(), buffered)? {
            Route::Service => return Ok(false),
            Route::Channel => self.session.end.into_iter().for_each(|end| {
                self.paths.send(end, message.as_bytes().to_vec());
            }),
        }
        Ok(true)
    }

    fn close(&mut self, went_away: bool) {
        self.session.went_away = went_away;
        self.handle(Event::Close { went_away });
    }

    fn advance(&mut self, now: Instant) {
        while let Some(parcel) = self.session.end.and_then(|end| self.paths.take(end)) {
            self.take(parcel);
        }
        while let Some(place) = self.session.work.iter().position(|(at, _)| *at <= now) {
            let (_, work) = self.session.work.remove(place);
            self.do_work(work);
        }
        let is_drained = |site: &Self| site.session.end.is_none_or(|end| site.paths.buffered_bytes(end) == 0);
        if self.phase() == Phase::Draining && is_drained(self) {
            self.handle(Event::Drained);
        }
        if self.session.machine.deadline().is_some_and(|deadline| deadline <= now) {
            self.handle(Event::TimedOut);
        }
    }

    fn take(&mut self, parcel: Parcel) {
        match parcel {
            Parcel::Opened => self.handle(Event::Opened),
            Parcel::Message(message) if self.session.machine.is_read() => self.deliver(message),
            Parcel::Message(message) => self.session.unread.push_back(message),
            Parcel::Closed => self.handle(Event::ChannelClosed),
            Parcel::Missed => self.handle(Event::ChannelFailed),
        }
    }

    fn handle(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            self.session.machine.handle(self.world.now(), event);
            if self.is_killed() {
                return;
            }
            while let Some(deed) = self.session.machine.poll() {
                events.extend(self.carry_out(deed));
            }
        }
    }

    /// Before it does anything of what it would do now.
    fn is_killed(&mut self) -> bool {
        let phase = self.phase();
        if self.killed.is_none() && self.doom.is_some_and(|doom| doom.is_armed(phase)) {
            *self.killed = Some(phase);
        }
        self.killed.is_some()
    }

    fn carry_out(&mut self, deed: Deed) -> Option<Event> {
        match deed {
            Deed::SayDescription => {
                let description = self.session.description.take();
                description.into_iter().for_each(|saying| self.say(saying));
            }
            Deed::SayCandidates => self.say_candidates(),
            Deed::SayOpen => self.say(Saying::Open),
            Deed::SayOver => self.say(Saying::Over(self.session.machine.reason())),
            Deed::CloseChannel => self.session.end.into_iter().for_each(|end| self.paths.close(end)),
            Deed::Leave => self.say(Saying::Leave { went_away: self.session.went_away }),
            Deed::Drop => self.drop_channel(),
            Deed::Offer => self.begin(),
            Deed::Answer => {
                self.begin();
                return self.take_description();
            }
            Deed::TakeAnswer => return self.take_description(),
            Deed::TakeCandidates => self.take_candidates(),
            Deed::Deliver => {
                let unread = std::mem::take(&mut self.session.unread);
                unread.into_iter().for_each(|message| self.deliver(message));
            }
        }
        None
    }

    fn begin(&mut self) {
        self.session.end = Some(self.paths.add(self.owner));
        match self.session.mischief {
            Some(Mischief::Hangs) => {}
            Some(Mischief::Early) => {
                let candidate = self.session.end.map(|end| Paths::candidate(end, 0));
                candidate.into_iter().for_each(|text| self.say(Saying::Candidate(text)));
                self.later(DESCRIBES_MS_MAX, Work::Describe);
            }
            _ => self.later(DESCRIBES_MS_MAX, Work::Describe),
        }
    }

    fn do_work(&mut self, work: Work) {
        match work {
            Work::Describe if self.session.mischief == Some(Mischief::Fails) => self.handle(Event::ChannelFailed),
            Work::Describe => self.describe(),
            Work::Gather(candidate) => {
                self.session.gathered.push_back(candidate);
                self.handle(Event::Gathered);
            }
        }
    }

    fn describe(&mut self) {
        let Some(end) = self.session.end else { return };
        let text = match self.session.mischief {
            Some(Mischief::Nonsense) => "v=0\u{7f}\r\n\\u0000".to_owned(),
            _ => self.paths.description(end),
        };
        let is_answer = self.phase() == Phase::Answering;
        self.session.description = Some(if is_answer { Saying::Answer(text) } else { Saying::Offer(text) });
        self.gather(end);
        self.handle(Event::Described);
    }

    /// Some are there at once, and others come later.
    fn gather(&mut self, end: u64) {
        let (late_ms, copies) = match self.session.mischief {
            Some(Mischief::Late) => (LATE_MS, 1),
            Some(Mischief::Twice) => (GATHERS_MS_MAX, 2),
            _ => (GATHERS_MS_MAX, 1),
        };
        for number in 0..1 + self.world.random(4) {
            let candidate = Paths::candidate(end, number);
            for _ in 0..copies {
                self.later(late_ms, Work::Gather(candidate.clone()));
            }
        }
        if self.session.mischief == Some(Mischief::Garbage) {
            for text in ["", "null", "\u{1f4fa}\\\"", r#"{"candidate":""}"#] {
                self.later(GATHERS_MS_MAX, Work::Gather(text.to_owned()));
            }
        }
    }

    fn say_candidates(&mut self) {
        while let Some(candidate) = self.session.gathered.pop_front() {
            self.say(Saying::Candidate(candidate));
        }
    }

    fn take_description(&mut self) -> Option<Event> {
        let end = self.session.end?;
        let is_taken = self.paths.take_description(end, &self.session.heard_description);
        (!is_taken).then_some(Event::ChannelFailed)
    }

    fn take_candidates(&mut self) {
        let Some(end) = self.session.end else { return };
        while let Some(candidate) = self.session.heard_candidates.pop_front() {
            self.paths.take_candidate(end, &candidate);
        }
    }

    fn drop_channel(&mut self) {
        if let Some(end) = self.session.end.take() {
            self.paths.remove(end);
        }
        self.session.description = None;
        self.session.gathered.clear();
        self.session.heard_candidates.clear();
        self.session.unread.clear();
        self.session.work.clear();
    }
}
