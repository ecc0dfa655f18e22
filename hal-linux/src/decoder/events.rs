//! What has happened and was not fetched yet.
//!
//! Bounded by construction: a session has one place for each kind of event. Positions are latest-wins; the others stay
//! until they are fetched.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use greenroom_core::hal::DecoderEvent;
use greenroom_core::limits::{SOURCES_MAX, TEXTS_MAX};
use greenroom_core::message::playback::{PlaybackError, PlaybackState, SourceId};

use super::text::Caption;
use super::wake::Wake;
use crate::error::LinuxError;

/// States in the order in which a playback runs through them. Idle comes with the completion of a stop, a failure with
/// its reason.
const STATES: [PlaybackState; 4] =
    [PlaybackState::Buffering, PlaybackState::Paused, PlaybackState::Playing, PlaybackState::EndOfStream];

/// What one source has to tell: bits that stay until they are fetched, and of numbers the latest.
#[derive(Clone, Copy, Debug, Default)]
struct SourceNews {
    first_frame: bool,
    underflow: bool,
    /// Pixels across and down.
    picture_size: Option<(u32, u32)>,
    /// Frames rendered and dropped.
    quality: Option<(u32, u32)>,
}

impl SourceNews {
    fn take(&mut self, session: u16, source: SourceId) -> Option<DecoderEvent> {
        if let Some((width, height)) = self.picture_size.take() {
            return Some(DecoderEvent::PictureSize { session, source, width, height });
        }
        if std::mem::take(&mut self.first_frame) {
            return Some(DecoderEvent::FirstFrame { session, source });
        }
        if std::mem::take(&mut self.underflow) {
            return Some(DecoderEvent::Underflow { session, source });
        }
        let (frames_rendered, frames_dropped) = self.quality.take()?;
        Some(DecoderEvent::QualityOfService { session, source, frames_rendered, frames_dropped })
    }
}

/// Texts that are due and were not fetched.
#[derive(Debug, Default)]
struct Texts {
    due: VecDeque<Caption>,
    /// How many of them were not told of.
    untold: usize,
    missed: u32,
}

impl Texts {
    /// Of too many the oldest goes.
    fn add(&mut self, caption: Caption) {
        if self.due.len() >= TEXTS_MAX {
            self.due.pop_front();
            self.missed = self.missed.saturating_add(1);
        }
        self.due.push_back(caption);
        self.untold = self.due.len().min(self.untold.saturating_add(1));
    }

    fn take_told(&mut self) -> bool {
        let is_untold = self.untold > 0;
        self.untold = self.untold.saturating_sub(1);
        is_untold
    }

    fn forget(&mut self, source: SourceId) {
        self.due.retain(|caption| caption.source != source);
        self.untold = self.untold.min(self.due.len());
    }
}

#[derive(Debug, Default)]
struct Pending {
    completed: Option<(u32, Result<(), PlaybackError>)>,
    /// A bit for each of [`STATES`].
    states: u8,
    sources: [SourceNews; SOURCES_MAX],
    position_ns: Option<u64>,
    failed: Option<PlaybackError>,
    texts: Texts,
    /// Nothing more is told of the session but its end.
    closing: bool,
    closed: bool,
}

impl Pending {
    /// Adds a state. What waits of this and later states is over: playback went back.
    fn add_state(&mut self, state: PlaybackState) {
        let Some(place) = STATES.iter().position(|&known| known == state) else { return };
        let bit = 1u8 << place;
        self.states = self.states & (bit - 1) | bit;
    }

    fn take_state(&mut self) -> Option<PlaybackState> {
        let state = STATES.get(self.states.trailing_zeros() as usize)?;
        self.states &= self.states - 1;
        Some(*state)
    }

    fn take_of_sources(&mut self, session: u16) -> Option<DecoderEvent> {
        self.sources.iter_mut().zip(0u8..).find_map(|(news, number)| news.take(session, SourceId(number)))
    }

    fn take(&mut self, session: u16) -> Option<DecoderEvent> {
        if self.closing {
            return std::mem::take(&mut self.closed).then_some(DecoderEvent::Closed { session });
        }
        if let Some((token, result)) = self.completed.take() {
            return Some(DecoderEvent::Completed { session, token, result });
        }
        if let Some(event) = self.take_of_sources(session) {
            return Some(event);
        }
        if let Some(position_ns) = self.position_ns.take() {
            return Some(DecoderEvent::Position { session, position_ns });
        }
        if let Some(state) = self.take_state() {
            return Some(DecoderEvent::State { session, state });
        }
        if let Some(error) = self.failed.take() {
            return Some(DecoderEvent::Failed { session, error });
        }
        self.texts.take_told().then_some(DecoderEvent::Text { session })
    }
}

#[derive(Debug, Default)]
struct Sessions {
    pending: BTreeMap<u16, Pending>,
    /// The session that was asked last: the next one has its turn.
    last: u16,
}

impl Sessions {
    fn next(&mut self) -> Option<DecoderEvent> {
        let after = (Bound::Excluded(self.last), Bound::Unbounded);
        let found = take_first(self.pending.range_mut(after));
        let (session, event) = found.or_else(|| take_first(self.pending.range_mut(..=self.last)))?;
        self.last = session;
        Some(event)
    }
}

/// The first event of these sessions, and whose it is.
fn take_first<'a>(mut sessions: impl Iterator<Item = (&'a u16, &'a mut Pending)>) -> Option<(u16, DecoderEvent)> {
    sessions.find_map(|(&session, pending)| Some((session, pending.take(session)?)))
}

/// The events of all sessions; readable while there are any.
#[derive(Debug)]
pub(super) struct Events {
    sessions: Mutex<Sessions>,
    ready: Wake,
}

impl Events {
    pub(super) fn new() -> Result<Self, LinuxError> {
        Ok(Self { sessions: Mutex::default(), ready: Wake::new()? })
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, session: u16, event: impl FnOnce(&mut Pending)) {
        if let Some(pending) = self.sessions().pending.get_mut(&session) {
            event(pending);
            self.ready.set();
        }
    }

    /// Starts to keep the events of a session. False: it is not closed yet.
    pub(super) fn open(&self, session: u16) -> bool {
        let mut sessions = self.sessions();
        let is_new = !sessions.pending.contains_key(&session);
        sessions.pending.entry(session).or_default();
        is_new
    }

    /// A source had nothing to decode while it played.
    pub(super) fn underflow(&self, session: u16, source: SourceId) {
        self.tell_of(session, source, |news| news.underflow = true);
    }

    /// Ends to keep the events of a session whose worker could not be started.
    pub(super) fn forget(&self, session: u16) {
        self.sessions().pending.remove(&session);
    }

    /// From here on nothing is told of the session but its end.
    pub(super) fn closing(&self, session: u16) {
        self.add(session, |pending| pending.closing = true);
    }

    pub(super) fn closed(&self, session: u16) {
        self.add(session, |pending| pending.closed = true);
    }

    pub(super) fn completed(&self, session: u16, token: u32, result: Result<(), PlaybackError>) {
        self.add(session, |pending| pending.completed = Some((token, result)));
    }

    pub(super) fn state(&self, session: u16, state: PlaybackState) {
        self.add(session, |pending| pending.add_state(state));
    }

    pub(super) fn position(&self, session: u16, position_ns: u64) {
        self.add(session, |pending| pending.position_ns = Some(position_ns));
    }

    /// Forgets where playback was and what it did, because it goes elsewhere.
    pub(super) fn forget_playback(&self, session: u16) {
        self.add(session, |pending| {
            pending.position_ns = None;
            pending.states = 0;
            pending.sources.iter_mut().for_each(|news| news.underflow = false);
        });
    }

    /// Forgets all that happened, because the sources that it happened to are gone.
    pub(super) fn forget_sources(&self, session: u16) {
        self.forget_playback(session);
        self.add(session, |pending| {
            pending.sources = Default::default();
            pending.texts = Texts::default();
            pending.failed = None;
        });
    }

    /// Forgets all that happened to one source, because it is gone.
    pub(super) fn forget_source(&self, session: u16, source: SourceId) {
        self.tell_of(session, source, |news| *news = SourceNews::default());
        self.forget_texts(session, source);
    }

    /// A text is due.
    pub(super) fn text(&self, session: u16, caption: Caption) {
        self.add(session, |pending| pending.texts.add(caption));
    }

    /// So many texts could not be read.
    pub(super) fn texts_missed(&self, session: u16, missed: u32) {
        self.add(session, |pending| pending.texts.missed = pending.texts.missed.saturating_add(missed));
    }

    /// Forgets the texts of a source that are due, because playback goes elsewhere.
    pub(super) fn forget_texts(&self, session: u16, source: SourceId) {
        self.add(session, |pending| pending.texts.forget(source));
    }

    /// The text that is due for the longest, and how many were missed before it.
    pub(super) fn next_text(&self, session: u16) -> Option<(Caption, u32)> {
        let mut sessions = self.sessions();
        let texts = &mut sessions.pending.get_mut(&session).filter(|pending| !pending.closing)?.texts;
        let caption = texts.due.pop_front()?;
        texts.untold = texts.untold.min(texts.due.len());
        Some((caption, std::mem::take(&mut texts.missed)))
    }

    fn tell_of(&self, session: u16, source: SourceId, news: impl FnOnce(&mut SourceNews)) {
        self.add(session, |pending| pending.sources.get_mut(usize::from(source.0)).map_or((), news));
    }

    pub(super) fn failed(&self, session: u16, error: PlaybackError) {
        self.add(session, |pending| pending.failed = Some(error));
    }

    /// The next event. A session whose end was told is forgotten.
    pub(super) fn next(&self) -> Option<DecoderEvent> {
        let mut sessions = self.sessions();
        let event = sessions.next();
        match event {
            Some(DecoderEvent::Closed { session }) => drop(sessions.pending.remove(&session)),
            Some(_) => {}
            None => self.ready.clear(),
        }
        event
    }
}

/// What speaks of one source, in any thread.
#[derive(Clone)]
pub(super) struct Voice {
    pub(super) events: Arc<Events>,
    pub(super) session: u16,
    pub(super) source: SourceId,
}

impl Voice {
    fn tell(&self, news: impl FnOnce(&mut SourceNews)) {
        self.events.tell_of(self.session, self.source, news);
    }

    pub(super) fn first_frame(&self) {
        self.tell(|news| news.first_frame = true);
    }

    /// The source's pictures are so many pixels wide and high.
    pub(super) fn picture_size(&self, size: (u32, u32)) {
        self.tell(|news| news.picture_size = Some(size));
    }

    /// Frames came too late; both numbers count from the start of the source.
    pub(super) fn quality(&self, frames_rendered: u32, frames_dropped: u32) {
        self.tell(|news| news.quality = Some((frames_rendered, frames_dropped)));
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(events: &Events) -> Vec<PlaybackState> {
        let next = || match events.next() {
            Some(DecoderEvent::State { state, .. }) => Some(state),
            _ => None,
        };
        std::iter::from_fn(next).collect()
    }

    fn open() -> Events {
        let events = Events::new().unwrap();
        assert!(events.open(7));
        events
    }

    #[test]
    fn states_come_in_the_order_of_playback_and_those_that_are_over_do_not() {
        use PlaybackState::{Buffering, EndOfStream, Paused, Playing};
        let events = open();
        [Buffering, Paused, Playing, EndOfStream].into_iter().for_each(|state| events.state(7, state));
        assert_eq!(states(&events), [Buffering, Paused, Playing, EndOfStream]);
        [Playing, EndOfStream, Buffering, Playing].into_iter().for_each(|state| events.state(7, state));
        assert_eq!(states(&events), [Buffering, Playing]);
    }

    #[test]
    fn of_positions_the_latest_is_told() {
        let events = open();
        events.position(7, 1);
        events.position(7, 2);
        assert_eq!(events.next(), Some(DecoderEvent::Position { session: 7, position_ns: 2 }));
        assert_eq!(events.next(), None);
    }

    #[test]
    fn of_late_frames_the_latest_count_is_told_and_of_a_source_that_is_gone_nothing() {
        let events = Arc::new(open());
        let voice = |number| Voice { events: Arc::clone(&events), session: 7, source: SourceId(number) };
        voice(0).quality(1, 1);
        voice(0).quality(5, 2);
        voice(1).picture_size((640, 360));
        voice(1).first_frame();
        // No session has such a source.
        voice(200).first_frame();
        events.forget_source(7, SourceId(1));
        let source = SourceId(0);
        let latest = DecoderEvent::QualityOfService { session: 7, source, frames_rendered: 5, frames_dropped: 2 };
        assert_eq!(events.next(), Some(latest));
        assert_eq!(events.next(), None);
    }

    /// Who was told first that a session has stopped would take an older failure for one of the stopped session.
    ///
    /// Field failure 68
    #[test]
    fn what_happened_before_a_stop_is_not_told_after_it() {
        let events = open();
        events.tell_of(7, SourceId(0), |news| news.first_frame = true);
        events.position(7, 1);
        events.state(7, PlaybackState::Playing);
        events.failed(7, PlaybackError::Decode);
        events.forget_sources(7);
        events.completed(7, 1, Ok(()));
        assert_eq!(events.next(), Some(DecoderEvent::Completed { session: 7, token: 1, result: Ok(()) }));
        assert_eq!(events.next(), None);
    }

    #[test]
    fn after_close_only_the_end_is_told_and_the_session_can_be_opened_again() {
        let events = open();
        events.completed(7, 1, Ok(()));
        events.closing(7);
        events.failed(7, PlaybackError::Decode);
        assert_eq!(events.next(), None);
        assert!(!events.open(7), "it is not closed yet");
        events.closed(7);
        assert_eq!(events.next(), Some(DecoderEvent::Closed { session: 7 }));
        assert_eq!(events.next(), None);
        assert!(events.open(7));
    }

    #[test]
    fn a_session_with_much_to_tell_does_not_silence_another() {
        let events = open();
        events.open(8);
        events.completed(7, 1, Ok(()));
        events.state(7, PlaybackState::Buffering);
        events.completed(8, 2, Ok(()));
        assert!(matches!(
            events.next(),
            Some(DecoderEvent::Completed { session: 7, .. } | DecoderEvent::Completed { session: 8, .. })
        ));
        assert!(matches!(events.next(), Some(DecoderEvent::Completed { .. })));
    }
}
