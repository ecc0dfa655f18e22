//! Decoders that do what a test says.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::fmt;
use std::rc::Rc;

use greenroom_core::hal::{Decoder, DecoderCommand, DecoderEvent, ErrorKind, ErrorType, Stream};
use greenroom_core::limits::{TEXT_BYTES_MAX, TEXTS_MAX};
use greenroom_core::message::playback::{PlaybackError, SourceId, Statistics, Text};

use crate::error::{Call, SimulatedError};
use crate::event_loop::{Readiness, Source};
use crate::world::World;

/// The decoder of one session.
#[derive(Debug)]
struct Session<F> {
    frames: BTreeMap<u8, F>,
    pending: Option<(u32, Given)>,
    texts: VecDeque<DueText>,
    missed: u32,
}

/// A text that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueText {
    /// Which source it came from.
    pub source: SourceId,
    /// When it begins.
    pub start_ns: u64,
    /// How long it lasts.
    pub duration_ns: Option<u64>,
    /// What it says.
    pub body: String,
}

/// What a decoder was told to do, without the frames.
pub type Given = DecoderCommand<()>;

struct Shared<F> {
    sessions: RefCell<BTreeMap<u16, Session<F>>>,
    events: RefCell<VecDeque<DecoderEvent>>,
    /// Every command that was ever given, in order.
    history: RefCell<Vec<(u16, Given)>>,
    statistics: Cell<Statistics>,
    completes: Cell<bool>,
    lets_go: Cell<bool>,
    position_ns: Cell<Option<u64>>,
    duration_ns: Cell<Option<u64>>,
    frames_played: Cell<u64>,
}

impl<F> Readiness for Shared<F> {
    fn is_readable(&self) -> bool {
        !self.events.borrow().is_empty()
    }

    fn has_ended(&self) -> bool {
        false
    }
}

/// Decoders whose frames come from sources of type `F`. Clones are the same decoders, so that a test keeps one and a
/// driver has the other.
///
/// At first they do at once what they are told. After [`MockDecoder::wait_for_me`] a command ends when the test ends it,
/// and a closed session lets go when the test says so.
pub struct MockDecoder<F> {
    world: World,
    shared: Rc<Shared<F>>,
}

impl<F> MockDecoder<F> {
    /// No session yet.
    pub fn new(world: &World) -> Self {
        let shared = Shared {
            sessions: RefCell::default(),
            events: RefCell::default(),
            history: RefCell::default(),
            statistics: Cell::default(),
            completes: Cell::new(true),
            lets_go: Cell::new(true),
            position_ns: Cell::default(),
            duration_ns: Cell::default(),
            frames_played: Cell::default(),
        };
        Self { world: world.clone(), shared: Rc::new(shared) }
    }

    /// From now on nothing ends by itself.
    pub fn wait_for_me(&self) {
        self.shared.completes.set(false);
        self.shared.lets_go.set(false);
    }

    /// From now on a command ends when the test ends it, but who is closed lets go at once.
    pub fn wait_for_me_but_let_go(&self) {
        self.shared.completes.set(false);
    }

    /// Sessions that are open, those included that were closed and have not let go.
    pub fn open_sessions(&self) -> usize {
        self.shared.sessions.borrow().len()
    }

    /// What a session has been told and not ended.
    pub fn pending(&self, session: u16) -> Option<Given> {
        self.shared.sessions.borrow().get(&session)?.pending.map(|(_, given)| given)
    }

    /// Ends what a session has been told. Without anything pending it does nothing.
    pub fn complete(&self, session: u16, result: Result<(), PlaybackError>) {
        let mut sessions = self.shared.sessions.borrow_mut();
        if let Some((token, _)) = sessions.get_mut(&session).and_then(|found| found.pending.take()) {
            self.say(DecoderEvent::Completed { session, token, result });
        }
    }

    /// A closed session lets go.
    pub fn let_go(&self, session: u16) {
        if self.shared.sessions.borrow_mut().remove(&session).is_some() {
            self.say(DecoderEvent::Closed { session });
        }
    }

    /// A decoder says something.
    pub fn say(&self, event: DecoderEvent) {
        self.shared.events.borrow_mut().push_back(event);
    }

    /// Where playback is, from now on.
    pub fn set_position_ns(&self, position_ns: u64) {
        self.shared.position_ns.set(Some(position_ns));
    }

    /// How long the media is, from now on.
    pub fn set_duration_ns(&self, duration_ns: u64) {
        self.shared.duration_ns.set(Some(duration_ns));
    }

    /// What every source has done, from now on.
    pub fn set_statistics(&self, statistics: Statistics) {
        self.shared.statistics.set(statistics);
    }

    /// What a session was told from its opening on, in order.
    pub fn history(&self, session: u16) -> Vec<Given> {
        let history = self.shared.history.borrow();
        history.iter().filter(|(told, _)| *told == session).map(|(_, given)| *given).collect()
    }

    /// A text of a session is due.
    pub fn show_text(&self, session: u16, text: DueText) {
        let mut sessions = self.shared.sessions.borrow_mut();
        let Some(found) = sessions.get_mut(&session) else { return };
        found.texts.push_back(text);
        if found.texts.len() > TEXTS_MAX {
            found.texts.pop_front();
            found.missed += 1;
        }
        self.say(DecoderEvent::Text { session });
    }

    /// How many PCM frames were heard, from now on.
    pub fn set_frames_played(&self, frames: u64) {
        self.shared.frames_played.set(frames);
    }

    /// Does something with the frames of a source, as its streaming thread would.
    pub fn with_frames<R>(&self, session: u16, source: SourceId, work: impl FnOnce(&mut F) -> R) -> Option<R> {
        self.shared.sessions.borrow_mut().get_mut(&session)?.frames.get_mut(&source.0).map(work)
    }
}

impl<F> Clone for MockDecoder<F> {
    fn clone(&self) -> Self {
        Self { world: self.world.clone(), shared: Rc::clone(&self.shared) }
    }
}

impl<F> fmt::Debug for MockDecoder<F> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "MockDecoder({} open)", self.open_sessions())
    }
}

impl<F: 'static> Source for MockDecoder<F> {
    fn readiness(&self) -> Rc<dyn Readiness> {
        Rc::<Shared<F>>::clone(&self.shared)
    }
}

impl<F> ErrorType for MockDecoder<F> {
    type Error = SimulatedError;
}

impl<F> Decoder for MockDecoder<F> {
    type Frames = F;

    fn open(&mut self, session: u16) -> Result<(), SimulatedError> {
        self.world.fault(Call::OpenDecoder)?;
        let mut sessions = self.shared.sessions.borrow_mut();
        if sessions.contains_key(&session) {
            return Err(SimulatedError::new(Call::OpenDecoder, ErrorKind::Busy));
        }
        let opened = Session { frames: BTreeMap::new(), pending: None, texts: VecDeque::new(), missed: 0 };
        sessions.insert(session, opened);
        self.shared.history.borrow_mut().retain(|(told, _)| *told != session);
        Ok(())
    }

    fn command(
        &mut self,
        session: u16,
        token: u32,
        command: DecoderCommand<Stream<'_, F>>,
    ) -> Result<(), SimulatedError> {
        self.world.fault(Call::CommandDecoder)?;
        let mut sessions = self.shared.sessions.borrow_mut();
        let missing = SimulatedError::new(Call::CommandDecoder, ErrorKind::NotFound);
        let found = sessions.get_mut(&session).ok_or(missing)?;
        if found.pending.is_some() {
            return Err(SimulatedError::new(Call::CommandDecoder, ErrorKind::Busy));
        }
        let source = if let DecoderCommand::Attach { source, .. } = &command { source.0 } else { 0 };
        let Ok(given) = command.with_stream(|stream| {
            found.frames.insert(source, stream.frames);
            Ok::<_, Infallible>(())
        });
        self.shared.history.borrow_mut().push((session, given));
        match given {
            Given::Stop => (found.frames, found.texts) = Default::default(),
            Given::SetPosition { .. } | Given::Flush { .. } => found.texts.clear(),
            Given::RemoveSource { source } => {
                found.frames.remove(&source.0);
                found.texts.retain(|text| text.source != source);
            }
            _ => {}
        }
        found.pending = Some((token, given));
        drop(sessions);
        if self.shared.completes.get() {
            self.complete(session, Ok(()));
        }
        Ok(())
    }

    fn position_ns(&mut self, _: u16) -> Option<u64> {
        self.shared.position_ns.get()
    }

    fn duration_ns(&mut self, _: u16) -> Option<u64> {
        self.shared.duration_ns.get()
    }

    fn statistics(&mut self, _: u16, _: SourceId) -> Statistics {
        self.shared.statistics.get()
    }

    fn next_text<'b>(&mut self, session: u16, buffer: &'b mut [u8; TEXT_BYTES_MAX]) -> Option<Text<'b>> {
        let mut sessions = self.shared.sessions.borrow_mut();
        let found = sessions.get_mut(&session)?;
        let DueText { source, start_ns, duration_ns, body } = found.texts.pop_front()?;
        let into = &mut buffer[..body.len()];
        into.copy_from_slice(body.as_bytes());
        let body = std::str::from_utf8(into).expect("it was a text");
        Some(Text { source, start_ns, duration_ns, missed: std::mem::take(&mut found.missed), body })
    }

    fn frames_played(&mut self, _: u16) -> u64 {
        self.shared.frames_played.get()
    }

    fn close(&mut self, session: u16) {
        if self.shared.lets_go.get() {
            self.let_go(session);
        }
    }

    fn next_event(&mut self) -> Option<DecoderEvent> {
        self.shared.events.borrow_mut().pop_front()
    }
}
