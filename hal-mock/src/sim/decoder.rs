//! The decoders of one session server: they take frames out of the shipping rings, in virtual time.
//!
//! ```text
//! Idle --AllAttached--> Prerolling --a frame of each source--> Ready --Play--> Playing <-> (starved)
//!                           ^                                    |                |
//!                           +------------- SetPosition ----------+----------------+--> Ended
//! ```

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use greenroom_core::driver::Frames;
use greenroom_core::hal::{Decoder, DecoderCommand, DecoderEvent, Doorbell, ErrorKind, ErrorType, Stream};
use greenroom_core::limits::{SESSIONS_MAX, SOURCES_MAX, TEXT_BYTES_MAX, WEB_AUDIO_PLAYERS_MAX};
use greenroom_core::message::playback::{PlaybackError, PlaybackState, SourceId, Statistics, Text};
use greenroom_core::ring::{FrameSource, RecordKind, RingError};
use greenroom_core::session::FIRST_PLAYER;
use greenroom_core::time::Instant;

use super::book::Book;
use super::event::What;
use super::fault::Fault;
use super::hardware::{Hardware, Mood};
use super::payload::Payload;
use crate::error::{Call, SimulatedError};
use crate::event_loop::{Readiness, Source};
use crate::memory::Memory;
use crate::party::Party;
use crate::world::World;

/// Sessions that one server can have: playback sessions, then web audio players.
const SESSIONS: usize = SESSIONS_MAX + WEB_AUDIO_PLAYERS_MAX;
/// How often a decoder looks for frames.
const PULL_INTERVAL: Duration = Duration::from_millis(500);
/// Frames of a source that a decoder takes at a time.
const FRAMES_PER_PULL: usize = 4;
/// How often it tells where it is, in pulls.
const PULLS_PER_POSITION: u32 = 4;

type Ring = Frames<Memory>;
type Given = DecoderCommand<()>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Idle,
    Prerolling,
    Ready,
    Starved,
    Ended,
}

struct Feed {
    ring: Ring,
    is_asleep: bool,
    /// Records that were there when it fell asleep: their time had not come.
    left: u32,
    has_shown: bool,
    has_ended: bool,
    taken: u32,
    payload: Payload,
}

struct Session {
    feeds: [Option<Feed>; SOURCES_MAX],
    pending: Option<(u32, Given, Option<Instant>)>,
    stage: Stage,
    is_playing: bool,
    position_ns: u64,
    pulls: u32,
    next_pull: Option<Instant>,
}

struct Shared {
    world: World,
    book: Rc<Book>,
    process_id: u32,
    hardware: Rc<Hardware>,
    sessions: RefCell<[Option<Session>; SESSIONS]>,
    events: RefCell<VecDeque<DecoderEvent>>,
    mood: Cell<Mood>,
    /// Commands take a while.
    is_slow: bool,
}

impl Readiness for Shared {
    fn is_readable(&self) -> bool {
        !self.events.borrow().is_empty()
    }

    fn has_ended(&self) -> bool {
        false
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.sessions.borrow().iter().take(SESSIONS_MAX).flatten().for_each(|_| self.hardware.give_back());
    }
}

/// The decoders of one session server. Clones are the same decoders.
#[derive(Clone)]
pub(super) struct SimDecoder {
    shared: Rc<Shared>,
}

impl SimDecoder {
    pub(super) fn new(world: &World, book: &Rc<Book>, hardware: &Rc<Hardware>, process_id: u32, is_slow: bool) -> Self {
        let shared = Shared {
            world: world.clone(),
            book: Rc::clone(book),
            process_id,
            hardware: Rc::clone(hardware),
            sessions: RefCell::new(std::array::from_fn(|_| None)),
            events: RefCell::default(),
            mood: Cell::default(),
            is_slow,
        };
        Self { shared: Rc::new(shared) }
    }

    /// Sessions and players that are open.
    pub(super) fn open_sessions(&self) -> usize {
        self.shared.sessions.borrow().iter().flatten().count()
    }

    /// Playback sessions, and web audio players.
    pub(super) fn open(&self) -> (usize, usize) {
        let sessions = self.shared.sessions.borrow();
        let (playback, players) = sessions.split_at(SESSIONS_MAX);
        (playback.iter().flatten().count(), players.iter().flatten().count())
    }

    pub(super) fn mood(&self) -> Mood {
        self.shared.mood.get()
    }

    pub(super) fn set_mood(&self, mood: Mood) {
        self.shared.mood.set(mood);
    }

    /// The process has ended, and what it held goes.
    pub(super) fn vanish(&self) {
        let gone: Vec<Session> = {
            let mut sessions = self.shared.sessions.borrow_mut();
            sessions.iter().take(SESSIONS_MAX).flatten().for_each(|_| self.shared.hardware.give_back());
            sessions.iter_mut().filter_map(Option::take).collect()
        };
        drop(gone);
        self.shared.events.borrow_mut().clear();
    }

    /// When the decoders have something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        let sessions = self.shared.sessions.borrow();
        sessions.iter().flatten().filter_map(Session::due).min()
    }

    /// What is due is done.
    pub(super) fn act(&self, now: Instant) {
        for index in 0..SESSIONS {
            self.end_command(now, index);
            self.pull(now, index);
        }
    }

    fn say(&self, event: DecoderEvent) {
        let (world, party) = (&self.shared.book, Party::Decoder(self.shared.process_id));
        world.tell(party, Party::Server(self.shared.process_id), || What::Decoded(event));
        self.shared.events.borrow_mut().push_back(event);
    }

    fn end_command(&self, now: Instant, index: usize) {
        let mut sessions = self.shared.sessions.borrow_mut();
        let Some(session) = sessions.get_mut(index).and_then(Option::as_mut) else { return };
        if session.pending.is_none_or(|(_, _, at)| at.is_none_or(|at| at > now)) {
            return;
        }
        let Some((token, given, _)) = session.pending.take() else { return };
        let mut mood = self.mood();
        let fails = std::mem::take(&mut mood.fails) && given != Given::Beat;
        if fails {
            self.set_mood(mood);
            self.shared.book.struck(Fault::DecoderError);
        }
        let result = if fails { Err(PlaybackError::Decoder) } else { Ok(()) };
        let number = index as u16;
        self.say(DecoderEvent::Completed { session: number, token, result });
        if result.is_ok()
            && let Some(state) = session.carry_out(now, given)
        {
            self.say(DecoderEvent::State { session: number, state });
        }
    }

    fn pull(&self, now: Instant, index: usize) {
        let mut sessions = self.shared.sessions.borrow_mut();
        let Some(session) = sessions.get_mut(index).and_then(Option::as_mut) else { return };
        if session.next_pull.is_none_or(|at| at > now) {
            return;
        }
        session.next_pull = Some(now.after(PULL_INTERVAL));
        let mut mood = self.mood();
        if mood.keeps {
            return self.felt(Fault::NeverReleases);
        }
        let number = index as u16;
        if std::mem::take(&mut mood.fails_in_play) {
            self.set_mood(mood);
            self.shared.book.struck(Fault::FailsInPlay);
            return self.fail(session, number, PlaybackError::Decode);
        }
        let mut frames = 0;
        for place in 0..SOURCES_MAX {
            let Some(feed) = session.feeds.get_mut(place).and_then(Option::as_mut) else { continue };
            let most = if session.is_playing { FRAMES_PER_PULL } else { 1 };
            let may = session.is_playing || !feed.has_shown;
            match feed.pull(if may { most } else { 0 }) {
                Err(Spoilt::Ring) => return self.fail(session, number, PlaybackError::RingCorrupt),
                Err(Spoilt::Payload(what)) => self.spoilt(what),
                Ok(taken) => frames += taken,
            }
            if feed.taken > 0 && !std::mem::replace(&mut feed.has_shown, feed.taken > 0) {
                self.say(DecoderEvent::FirstFrame { session: number, source: SourceId(place as u8) });
            }
        }
        if frames > 0 {
            self.shared.book.note(u64::from(frames) << 16 | index as u64);
            let (from, to) = (Party::Server(self.shared.process_id), Party::Decoder(self.shared.process_id));
            self.shared.book.tell(from, to, || What::Frames { session: number, count: frames });
        }
        self.tell_progress(session, number, frames);
    }

    /// What lasts is counted once.
    fn felt(&self, fault: Fault) {
        let mut mood = self.mood();
        if !mood.felt.contains(fault) {
            mood.felt = mood.felt.with(fault);
            self.set_mood(mood);
            self.shared.book.struck(fault);
        }
    }

    fn spoilt(&self, what: String) {
        if !self.shared.book.is_tainted(self.shared.process_id) {
            self.shared.book.violation("ring", what);
        }
    }

    fn fail(&self, session: &mut Session, number: u16, error: PlaybackError) {
        session.next_pull = None;
        session.stage = Stage::Idle;
        self.say(DecoderEvent::Failed { session: number, error });
    }

    /// What a turn at the rings has come to.
    fn tell_progress(&self, session: &mut Session, number: u16, frames: u32) {
        let hides_end = self.mood().hides_end;
        let stage = session.next_stage(frames, hides_end);
        if hides_end && session.has_ended() && session.stage != Stage::Ended {
            self.felt(Fault::NoEndOfStream);
        }
        if stage != session.stage {
            if stage == Stage::Starved {
                let starved = session.feeds.iter().position(|feed| feed.as_ref().is_some_and(|feed| !feed.has_ended));
                let source = SourceId(starved.unwrap_or(0) as u8);
                self.say(DecoderEvent::Underflow { session: number, source });
            }
            session.stage = stage;
            self.say(DecoderEvent::State { session: number, state: session.state() });
        }
        if session.is_playing && stage == Stage::Ready {
            session.position_ns = session.position_ns.saturating_add(PULL_INTERVAL.as_nanos() as u64);
            session.pulls = session.pulls.wrapping_add(1);
            if session.pulls.is_multiple_of(PULLS_PER_POSITION) {
                self.say(DecoderEvent::Position { session: number, position_ns: session.position_ns });
            }
        }
    }

    /// How long a command takes; `None` is for ever.
    fn duration(&self, given: Given) -> Option<Duration> {
        let mut mood = self.mood();
        if mood.is_stuck {
            self.shared.book.struck(Fault::StuckDecoder);
            return None;
        }
        let own = if self.shared.is_slow { self.shared.world.random(20) as u32 } else { 0 };
        let (fault, extra) = match given {
            Given::AllAttached | Given::Play => (Fault::SlowPreroll, std::mem::take(&mut mood.slow_ms)),
            Given::Flush { .. } | Given::SetPosition { .. } => {
                (Fault::BlockedFlush, std::mem::take(&mut mood.blocked_flush_ms))
            }
            _ => (Fault::SlowPreroll, 0),
        };
        if extra > 0 {
            self.shared.book.struck(fault);
        }
        self.set_mood(mood);
        Some(Duration::from_millis(u64::from(own + extra)))
    }
}

/// What is wrong with frames.
enum Spoilt {
    Ring,
    Payload(String),
}

impl From<RingError> for Spoilt {
    fn from(_: RingError) -> Self {
        Self::Ring
    }
}

impl Feed {
    /// Takes at most so many frames; how many it took.
    fn pull(&mut self, most: usize) -> Result<u32, Spoilt> {
        if self.is_asleep {
            if self.ring.bell().rings() == 0 {
                return self.sleep_on();
            }
            let _ = self.ring.bell().clear();
            self.is_asleep = false;
        }
        let mut taken = 0;
        for _ in 0..most {
            match self.ring.next()? {
                Some(header) if header.kind == RecordKind::EndOfStream => self.has_ended = true,
                Some(header) => {
                    taken += 1;
                    let mut payload = [0; Payload::BYTES];
                    self.ring.copy_payload(&mut payload)?;
                    let checked = self.payload.follows(&header, &payload);
                    if let Err(what) = checked {
                        self.ring.release();
                        return Err(Spoilt::Payload(what));
                    }
                }
                None => {
                    self.is_asleep = self.ring.prepare_to_sleep()?;
                    self.left = self.ring.waiting_records();
                    break;
                }
            }
            self.ring.release();
        }
        self.taken = self.taken.saturating_add(taken);
        Ok(taken)
    }

    /// Whoever brings a record wakes it, unless the bell was broken.
    fn sleep_on(&self) -> Result<u32, Spoilt> {
        let waiting = self.ring.waiting_records();
        if waiting > self.left && !self.ring.bell().was_lost() {
            return Err(Spoilt::Payload(format!("{waiting} records wait for a decoder that nobody has woken")));
        }
        Ok(0)
    }

    fn set_epoch(&mut self, epoch: u32) {
        self.ring.set_epoch(epoch);
        self.payload.flushed(epoch);
        (self.is_asleep, self.has_ended, self.has_shown, self.taken) = (false, false, false, 0);
    }
}

impl Session {
    fn new() -> Self {
        Self {
            feeds: std::array::from_fn(|_| None),
            pending: None,
            stage: Stage::Idle,
            is_playing: false,
            position_ns: 0,
            pulls: 0,
            next_pull: None,
        }
    }

    fn due(&self) -> Option<Instant> {
        let ends_at = self.pending.and_then(|(_, _, at)| at);
        greenroom_core::time::earliest(ends_at, self.next_pull)
    }

    /// What a command changes; what the decoder says about that.
    fn carry_out(&mut self, now: Instant, given: Given) -> Option<PlaybackState> {
        match given {
            Given::AllAttached => {
                (self.stage, self.next_pull) = (Stage::Prerolling, Some(now));
                return Some(PlaybackState::Buffering);
            }
            Given::Play => {
                self.is_playing = true;
                self.next_pull = Some(now);
                if self.stage == Stage::Ready {
                    return Some(PlaybackState::Playing);
                }
            }
            Given::Pause => {
                self.is_playing = false;
                if matches!(self.stage, Stage::Ready | Stage::Starved) {
                    self.stage = Stage::Ready;
                    return Some(PlaybackState::Paused);
                }
            }
            Given::Stop => *self = Self::new(),
            Given::SetPosition { position_ns, epoch } => {
                self.feeds.iter_mut().flatten().for_each(|feed| feed.set_epoch(epoch));
                (self.position_ns, self.stage, self.next_pull) = (position_ns, Stage::Prerolling, Some(now));
                return Some(PlaybackState::Buffering);
            }
            Given::Flush { source, epoch, .. } => {
                let feed = self.feeds.get_mut(usize::from(source.0)).and_then(Option::as_mut);
                feed?.set_epoch(epoch);
                if self.stage == Stage::Ended {
                    self.stage = Stage::Prerolling;
                    return Some(PlaybackState::Buffering);
                }
            }
            Given::RemoveSource { source } => {
                if let Some(feed) = self.feeds.get_mut(usize::from(source.0)) {
                    *feed = None;
                }
            }
            Given::Load { .. }
            | Given::Attach { .. }
            | Given::SetVolume { .. }
            | Given::SetMute { .. }
            | Given::SetPlaybackRate { .. }
            | Given::SetVideoWindow { .. }
            | Given::SetSourceMute { .. }
            | Given::Beat => {}
        }
        None
    }

    fn has_ended(&self) -> bool {
        let mut feeds = self.feeds.iter().flatten().peekable();
        feeds.peek().is_some() && feeds.all(|feed| feed.has_ended)
    }

    fn next_stage(&self, frames: u32, hides_end: bool) -> Stage {
        if self.stage == Stage::Idle || self.feeds.iter().all(Option::is_none) {
            return self.stage;
        }
        if self.has_ended() {
            return if hides_end { self.stage } else { Stage::Ended };
        }
        match self.stage {
            Stage::Prerolling if self.feeds.iter().flatten().all(|feed| feed.has_shown || feed.has_ended) => {
                Stage::Ready
            }
            Stage::Ready if self.is_playing && frames == 0 => Stage::Starved,
            Stage::Starved if frames > 0 => Stage::Ready,
            stage => stage,
        }
    }

    fn state(&self) -> PlaybackState {
        match self.stage {
            Stage::Idle => PlaybackState::Idle,
            Stage::Prerolling | Stage::Starved => PlaybackState::Buffering,
            Stage::Ready if self.is_playing => PlaybackState::Playing,
            Stage::Ready => PlaybackState::Paused,
            Stage::Ended => PlaybackState::EndOfStream,
        }
    }
}

impl Source for SimDecoder {
    fn readiness(&self) -> Rc<dyn Readiness> {
        Rc::<Shared>::clone(&self.shared)
    }
}

impl ErrorType for SimDecoder {
    type Error = SimulatedError;
}

impl Decoder for SimDecoder {
    type Frames = Ring;

    fn open(&mut self, session: u16) -> Result<(), SimulatedError> {
        self.shared.world.fault(Call::OpenDecoder)?;
        let mut sessions = self.shared.sessions.borrow_mut();
        let place = sessions.get_mut(usize::from(session));
        let place = place.ok_or(SimulatedError::new(Call::OpenDecoder, ErrorKind::NotFound))?;
        if place.is_some() {
            return Err(SimulatedError::new(Call::OpenDecoder, ErrorKind::Busy));
        }
        if session < FIRST_PLAYER && !self.shared.hardware.take() {
            if self.shared.hardware.in_use() < self.shared.hardware.total() {
                self.shared.book.struck(Fault::FewerDecoders);
            }
            return Err(SimulatedError::new(Call::OpenDecoder, ErrorKind::Exhausted));
        }
        *place = Some(Session::new());
        Ok(())
    }

    fn command(
        &mut self,
        session: u16,
        token: u32,
        command: DecoderCommand<Stream<'_, Ring>>,
    ) -> Result<(), SimulatedError> {
        self.shared.world.fault(Call::CommandDecoder)?;
        let mut sessions = self.shared.sessions.borrow_mut();
        let missing = SimulatedError::new(Call::CommandDecoder, ErrorKind::NotFound);
        let found = sessions.get_mut(usize::from(session)).and_then(Option::as_mut).ok_or(missing)?;
        if found.pending.is_some() {
            return Err(SimulatedError::new(Call::CommandDecoder, ErrorKind::Busy));
        }
        let place = if let DecoderCommand::Attach { source, .. } = &command { usize::from(source.0) } else { 0 };
        let Ok(given) = command.with_stream(|stream| {
            if let Some(feed) = found.feeds.get_mut(place) {
                let payload = Payload::default();
                let ring = stream.frames;
                *feed = Some(Feed {
                    ring,
                    is_asleep: false,
                    left: 0,
                    has_shown: false,
                    has_ended: false,
                    taken: 0,
                    payload,
                });
            }
            Ok::<_, Infallible>(())
        });
        if given != Given::Beat {
            let (from, to) = (Party::Server(self.shared.process_id), Party::Decoder(self.shared.process_id));
            self.shared.book.tell(from, to, || What::Ordered { session, command: given });
        }
        let ends_at = self.duration(given).map(|duration| self.shared.world.now().after(duration));
        found.pending = Some((token, given, ends_at));
        Ok(())
    }

    fn position_ns(&mut self, session: u16) -> Option<u64> {
        self.shared.sessions.borrow().get(usize::from(session))?.as_ref().map(|session| session.position_ns)
    }

    fn duration_ns(&mut self, _: u16) -> Option<u64> {
        None
    }

    fn statistics(&mut self, session: u16, source: SourceId) -> Statistics {
        let sessions = self.shared.sessions.borrow();
        let feed = sessions.get(usize::from(session)).and_then(Option::as_ref);
        let feed = feed.and_then(|session| session.feeds.get(usize::from(source.0))?.as_ref());
        feed.map_or_else(Statistics::default, |feed| Statistics {
            frames_taken: feed.taken,
            frames_stale: feed.ring.stale_records(),
            frames_rendered: feed.taken,
            frames_dropped: 0,
            frames_queued: feed.ring.waiting_records(),
        })
    }

    fn next_text<'b>(&mut self, _: u16, _: &'b mut [u8; TEXT_BYTES_MAX]) -> Option<Text<'b>> {
        None
    }

    fn frames_played(&mut self, session: u16) -> u64 {
        u64::from(self.statistics(session, SourceId(0)).frames_taken)
    }

    fn close(&mut self, session: u16) {
        let place = usize::from(session);
        let Some(closed) = self.shared.sessions.borrow_mut().get_mut(place).and_then(Option::take) else { return };
        drop(closed);
        if session < FIRST_PLAYER {
            self.shared.hardware.give_back();
        }
        self.shared.events.borrow_mut().retain(|event| event.session() != session);
        let (from, to) = (Party::Server(self.shared.process_id), Party::Decoder(self.shared.process_id));
        self.shared.book.tell(from, to, || What::Closed { session });
        self.say(DecoderEvent::Closed { session });
    }

    fn next_event(&mut self) -> Option<DecoderEvent> {
        self.shared.events.borrow_mut().pop_front()
    }
}
