//! One playback session: what its decoder does, and what may be asked of it now.

mod news;
mod order;
#[cfg(test)]
mod tests;

use core::mem;

use serde::{Deserialize, Serialize};

use self::news::{News, SourceNews};
pub use self::order::Order;
use self::order::{State, after_decoder_state, breaks_the_session, is_lawful};
use super::beat::Beat;
use super::{ClientId, Response};
use crate::limits::{DECODER_TIMEOUT, SOURCES_MAX};
use crate::message::playback::{
    Event, MediaKind, PlaybackError, PlaybackState, Refusal, SessionId, SourceId, TableName,
};
use crate::time::Instant;

/// The one call of a session that has not been answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Pending {
    sequence: u32,
    token: u32,
    order: Order,
    given: bool,
    deadline: Instant,
}

/// Who waits for the end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Farewell {
    /// The call that is answered when it has ended.
    pub(super) sequence: Option<u32>,
    /// Whether the client did not ask for this session's end, so that it must be told.
    pub(super) unasked: bool,
}

/// An answer for the client of a session: the number of the call, and what came of it.
pub(super) type Late = (u32, Response);

/// A slot that a session plays from, and with whom it goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum SlotOf {
    /// The connection has leased it and keeps it.
    Connection(u8),
    /// It was leased with the session.
    Session(u8),
}

/// One playback session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Playback {
    pub(super) owner: ClientId,
    slot: SlotOf,
    state: State,
    live: bool,
    sources: [Option<MediaKind>; SOURCES_MAX],
    pending: Option<Pending>,
    /// The call that goes to the decoder when it has ended what it does.
    parked: Option<(u32, Order)>,
    pub(super) beat: Beat,
    last_token: u32,
    position_ns: u64,
    pub(super) duration_ns: Option<u64>,
    news: News,
    open_due: bool,
    opening: Option<u32>,
    close_due: bool,
    close_deadline: Option<Instant>,
    farewell: Farewell,
}

/// What a session wants of its decoder.
pub(super) enum Want {
    Open,
    Close,
    Give { token: u32, order: Order },
}

impl Playback {
    /// A session that waits for its decoder; `sequence` is the call that asked for it.
    pub(super) fn new(owner: ClientId, slot: SlotOf, sequence: u32) -> Self {
        Self {
            owner,
            slot,
            state: State::Opening,
            live: false,
            sources: [None; SOURCES_MAX],
            pending: None,
            parked: None,
            beat: Beat::NONE,
            last_token: 0,
            position_ns: 0,
            duration_ns: None,
            news: News::default(),
            open_due: true,
            opening: Some(sequence),
            close_due: false,
            close_deadline: None,
            farewell: Farewell { sequence: None, unasked: false },
        }
    }

    /// The slot that it plays from.
    pub(super) fn slot(&self) -> u8 {
        let (SlotOf::Connection(slot) | SlotOf::Session(slot)) = self.slot;
        slot
    }

    /// The slot that was leased with it, if one was.
    pub(super) fn leased_slot(&self) -> Option<u8> {
        match self.slot {
            SlotOf::Session(slot) => Some(slot),
            SlotOf::Connection(_) => None,
        }
    }

    pub(super) fn state(&self) -> PlaybackState {
        self.state.into()
    }

    pub(super) fn is_closing(&self) -> bool {
        self.state == State::Closing
    }

    pub(super) fn is_failed(&self) -> bool {
        self.state == State::Failed
    }

    /// Whether what its decoder says matters to anybody.
    fn is_alive(&self) -> bool {
        !matches!(self.state, State::Failed | State::Closing)
    }

    /// Whether an order is under way, so that the next one must wait.
    pub(super) fn is_busy(&self) -> bool {
        self.pending.is_some() || self.opening.is_some()
    }

    pub(super) fn has_parked(&self) -> bool {
        self.parked.is_some()
    }

    /// Keeps an order of the client until the decoder has ended what it does.
    pub(super) fn park(&mut self, sequence: u32, order: Order) {
        self.parked = Some((sequence, order));
    }

    /// Gives out the order that was kept, if its turn has come; answers its call if it cannot be given any more.
    pub(super) fn resume(&mut self, now: Instant) -> Option<Late> {
        let is_busy = self.is_busy();
        let (sequence, order) = self.parked.take_if(|_| !is_busy)?;
        let refusal =
            if self.is_closing() { Some(Refusal::Interrupted) } else { self.order(now, sequence, order).err() };
        refusal.map(|refusal| (sequence, Response::Refused(refusal)))
    }

    pub(super) fn has_source(&self, source: SourceId) -> bool {
        self.sources.get(usize::from(source.0)).is_some_and(Option::is_some)
    }

    fn source_count(&self) -> usize {
        self.sources.iter().flatten().count()
    }

    pub(super) fn position_ns(&self) -> u64 {
        self.position_ns
    }

    pub(super) fn farewell(&self) -> Farewell {
        self.farewell
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        crate::time::earliest(self.pending.map(|pending| pending.deadline), self.close_deadline)
    }

    /// The next source's order, if a stream of this kind can be taken in.
    pub(super) fn attach(&self, kind: MediaKind) -> Result<Order, Refusal> {
        if !is_lawful(self.state, Order::Attach { source: SourceId(0), stream: kind }) {
            return Err(Refusal::WrongState { state: self.state() });
        }
        if self.sources.contains(&Some(kind)) {
            return Err(Refusal::DuplicateSource);
        }
        let capacity = SOURCES_MAX as u16;
        let mut places = self.sources.iter().zip(0_u8..);
        let free = places.find(|(place, _)| place.is_none());
        let (_, place) = free.ok_or(Refusal::Full { table: TableName::Sources, capacity, in_use: capacity })?;
        Ok(Order::Attach { source: SourceId(place), stream: kind })
    }

    /// Takes an order of the client, to be given to the decoder.
    pub(super) fn order(&mut self, now: Instant, sequence: u32, order: Order) -> Result<(), Refusal> {
        let wrong_state = Refusal::WrongState { state: self.state() };
        if !is_lawful(self.state, order) {
            return Err(wrong_state);
        }
        match order {
            Order::AllAttached if self.source_count() == 0 => return Err(wrong_state),
            Order::SetPosition { .. } | Order::SetPlaybackRate { .. } if self.live => return Err(wrong_state),
            Order::Flush { source, .. } | Order::RemoveSource { source } | Order::SetSourceMute { source, .. }
                if !self.has_source(source) =>
            {
                return Err(Refusal::UnknownSource);
            }
            // A pipeline without sources would be no use; Stop ends it.
            Order::RemoveSource { .. } if self.state != State::Loaded && self.source_count() == 1 => {
                return Err(wrong_state);
            }
            _ => {}
        }
        let (token, deadline) = (self.next_token(), now.after(DECODER_TIMEOUT));
        self.pending = Some(Pending { sequence, token, order, given: false, deadline });
        Ok(())
    }

    const fn next_token(&mut self) -> u32 {
        self.last_token = self.last_token.wrapping_add(1);
        self.last_token
    }

    /// The decoder is there, or could not be had; answers the call that made the session.
    pub(super) fn opened(&mut self, id: SessionId, is_open: bool) -> Option<Late> {
        let sequence = self.opening.take()?;
        if !is_open {
            return Some((sequence, Response::Refused(Refusal::Failed(PlaybackError::Decoder))));
        }
        if self.state == State::Opening {
            self.state = State::Idle;
        }
        Some((sequence, Response::Session { session: id, slot: self.leased_slot() }))
    }

    /// An order ended; answers its call. `None`: it was given up before, this comes too late.
    pub(super) fn completed(&mut self, token: u32, result: Result<(), PlaybackError>) -> Option<Late> {
        let Pending { sequence, order, .. } = self.pending.take_if(|pending| pending.token == token)?;
        let response = match result {
            Ok(()) => self.carried_out(order),
            Err(error) => {
                if breaks_the_session(order, error) {
                    let _ = self.fail(error);
                }
                Response::Refused(Refusal::Failed(error))
            }
        };
        Some((sequence, response))
    }

    fn carried_out(&mut self, order: Order) -> Response {
        match (order, self.state) {
            (Order::Load { live }, _) => {
                self.live = live;
                self.state = State::Loaded;
            }
            (Order::Attach { source, stream: kind }, _) => {
                self.set_source(source, Some(kind));
                return Response::Source { slot: self.slot(), source, kind };
            }
            // The decoder may have said more already.
            (Order::AllAttached, State::Loaded) => self.state = State::SourcesAttached,
            (Order::Stop, _) => {
                self.sources = [None; SOURCES_MAX];
                self.position_ns = 0;
                self.duration_ns = None;
                self.news.forget_sources();
                self.enter(State::Idle);
            }
            (Order::SetPosition { position_ns, .. }, state) => {
                self.position_ns = position_ns;
                self.leave_the_end(state);
            }
            (Order::Flush { .. }, state) => self.leave_the_end(state),
            (Order::RemoveSource { source }, _) => self.set_source(source, None),
            (
                Order::AllAttached
                | Order::Play
                | Order::Pause
                | Order::SetVolume { .. }
                | Order::SetMute { .. }
                | Order::SetPlaybackRate { .. }
                | Order::SetVideoWindow { .. }
                | Order::SetSourceMute { .. }
                | Order::Beat,
                _,
            ) => {}
        }
        Response::Done
    }

    /// What was to be told of the source that had this number is not about the next one that gets it.
    fn set_source(&mut self, source: SourceId, kind: Option<MediaKind>) {
        if let Some(place) = self.sources.get_mut(usize::from(source.0)) {
            *place = kind;
        }
        if let Some(news) = self.news.of(source) {
            *news = SourceNews::default();
        }
    }

    fn leave_the_end(&mut self, state: State) {
        if state == State::EndOfStream {
            self.enter(State::Buffering);
        }
    }

    fn enter(&mut self, state: State) {
        self.news.state |= self.state != state;
        self.state = state;
    }

    /// The decoder says what it does now. False: that cannot be any more, or not yet.
    pub(super) fn decoder_state(&mut self, said: PlaybackState) -> bool {
        let is_building = self.pending.is_some_and(|pending| pending.order == Order::AllAttached);
        let Some(state) = after_decoder_state(self.state, said, is_building) else { return false };
        self.enter(state);
        true
    }

    /// The news of a source, if it is one of a session that still matters.
    fn news_of(&mut self, source: SourceId) -> Option<&mut SourceNews> {
        let is_known = self.has_source(source) && self.is_alive();
        self.news.of(source).filter(|_| is_known)
    }

    /// The first picture or sound of a source came out.
    pub(super) fn first_frame(&mut self, source: SourceId) -> bool {
        self.news_of(source).map(|news| news.first_frame = true).is_some()
    }

    /// A source had nothing to decode while it played: the session waits, it has not ended.
    pub(super) fn underflow(&mut self, source: SourceId) -> bool {
        if !matches!(self.state, State::Buffering | State::Playing) || !self.has_source(source) {
            return false;
        }
        self.enter(State::Buffering);
        self.news_of(source).map(|news| news.underflow = true).is_some()
    }

    /// Frames of a source came too late.
    pub(super) fn quality(&mut self, source: SourceId, rendered_and_dropped: (u32, u32)) -> bool {
        self.news_of(source).map(|news| news.quality = Some(rendered_and_dropped)).is_some()
    }

    /// The pictures of a source have this width and height.
    pub(super) fn picture_size(&mut self, source: SourceId, size: (u32, u32)) -> bool {
        self.news_of(source).map(|news| news.picture_size = Some(size)).is_some()
    }

    /// A text is due, and the decoder keeps it.
    pub(super) fn text_is_due(&mut self) -> bool {
        let is_known = self.is_alive() && self.sources.contains(&Some(MediaKind::Text));
        if is_known {
            self.news.text_is_due();
        }
        is_known
    }

    /// Where playback is.
    pub(super) fn decoder_position(&mut self, position_ns: u64) -> bool {
        if self.is_alive() {
            self.position_ns = position_ns;
            self.news.position_ns = Some(position_ns);
        }
        self.is_alive()
    }

    /// The session cannot go on; answers the call that was under way.
    pub(super) fn fail(&mut self, error: PlaybackError) -> Option<Late> {
        if !self.is_alive() {
            return None;
        }
        self.state = State::Failed;
        self.news = News::failed(error);
        let refused = Response::Refused(Refusal::Failed(error));
        self.pending.take().map(|pending| (pending.sequence, refused))
    }

    /// Starts the session's end; answers the call that was under way.
    pub(super) fn close(&mut self, now: Instant, farewell: Farewell) -> Option<Late> {
        if self.is_closing() {
            self.farewell.unasked |= farewell.unasked && self.farewell.sequence.is_none();
            return None;
        }
        let pending = self.pending.take().map(|pending| pending.sequence).or(self.opening.take());
        self.state = State::Closing;
        self.beat = Beat::NONE;
        self.news = News::default();
        self.farewell = farewell;
        self.close_due = true;
        self.close_deadline = Some(now.after(DECODER_TIMEOUT));
        pending.map(|sequence| (sequence, Response::Refused(Refusal::Interrupted)))
    }

    /// Time has passed: an order that is not done by now has failed; answers its call.
    pub(super) fn tick(&mut self, now: Instant) -> Option<Late> {
        self.pending.filter(|pending| pending.deadline <= now)?;
        self.fail(PlaybackError::DecoderStuck)
    }

    /// Whether the decoder should have let go by now.
    pub(super) fn is_stuck(&self, now: Instant) -> bool {
        self.close_deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Has the worker prove that it gets on. One that is opened, closed or works on an order gets on until the time limit
    /// of that has passed.
    pub(super) fn ask_for_a_beat(&mut self) {
        if !self.is_busy() && !self.is_closing() && !self.beat.is_owed() {
            let token = self.next_token();
            self.beat.ask(token);
        }
    }

    /// What the decoder is to be told next.
    pub(super) fn poll_decoder(&mut self) -> Option<Want> {
        if mem::take(&mut self.open_due) {
            return Some(Want::Open);
        }
        if mem::take(&mut self.close_due) {
            return Some(Want::Close);
        }
        if self.beat.is_owed() {
            // The worker takes one command at a time.
            return self.beat.poll();
        }
        let pending = self.pending.as_mut().filter(|pending| !pending.given)?;
        pending.given = true;
        Some(Want::Give { token: pending.token, order: pending.order })
    }

    /// What the client is to be told next.
    pub(super) fn poll_event(&mut self, session: SessionId) -> Option<Event> {
        self.news.poll(session, self.state())
    }

    /// Whether the client is to be told a text.
    pub(super) fn poll_text(&mut self) -> bool {
        self.news.poll_text()
    }
}
