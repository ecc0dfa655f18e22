//! What the client of a session has not been told yet.

use core::mem;

use serde::{Deserialize, Serialize};

use crate::limits::SOURCES_MAX;
use crate::message::playback::{Event, PlaybackError, PlaybackState, SessionId, SourceId};

/// What is new of one source: bits that stay until they are told, and of numbers the latest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SourceNews {
    pub(super) first_frame: bool,
    pub(super) underflow: bool,
    /// Pixels across and down.
    pub(super) picture_size: Option<(u32, u32)>,
    /// Frames rendered and dropped.
    pub(super) quality: Option<(u32, u32)>,
}

impl SourceNews {
    fn poll(&mut self, session: SessionId, source: SourceId) -> Option<Event> {
        if mem::take(&mut self.first_frame) {
            return Some(Event::FirstFrame { session, source });
        }
        if mem::take(&mut self.underflow) {
            return Some(Event::Underflow { session, source });
        }
        if let Some((width, height)) = self.picture_size.take() {
            return Some(Event::PictureSize { session, source, width, height });
        }
        let (frames_rendered, frames_dropped) = self.quality.take()?;
        Some(Event::QualityOfService { session, source, frames_rendered, frames_dropped })
    }
}

/// What is new of a session. It cannot grow, however long its client does not listen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct News {
    pub(super) failure: Option<PlaybackError>,
    pub(super) state: bool,
    pub(super) sources: [SourceNews; SOURCES_MAX],
    pub(super) position_ns: Option<u64>,
    /// Texts that are due. The decoder keeps them, and no more than it can count here.
    texts: u8,
}

impl News {
    /// A session that failed says this and nothing more.
    pub(super) fn failed(error: PlaybackError) -> Self {
        Self { failure: Some(error), ..Self::default() }
    }

    /// What is to be told of a source, if there can be such a one.
    pub(super) fn of(&mut self, source: SourceId) -> Option<&mut SourceNews> {
        self.sources.get_mut(usize::from(source.0))
    }

    /// Forgets what is about sources: their numbers go to others.
    pub(super) fn forget_sources(&mut self) {
        (self.sources, self.position_ns, self.texts) = (Default::default(), None, 0);
    }

    pub(super) fn text_is_due(&mut self) {
        self.texts = self.texts.saturating_add(1);
    }

    /// Whether a text is to be told now.
    pub(super) fn poll_text(&mut self) -> bool {
        let is_due = self.texts > 0;
        self.texts = self.texts.saturating_sub(1);
        is_due
    }

    /// What is to be told next of a session that is in this state.
    pub(super) fn poll(&mut self, session: SessionId, state: PlaybackState) -> Option<Event> {
        if let Some(error) = self.failure.take() {
            return Some(Event::Failed { session, error });
        }
        if mem::take(&mut self.state) {
            return Some(Event::PlaybackState { session, state });
        }
        let mut sources = self.sources.iter_mut().zip(0_u8..);
        if let Some(event) = sources.find_map(|(news, number)| news.poll(session, SourceId(number))) {
            return Some(event);
        }
        let position_ns = self.position_ns.take()?;
        Some(Event::Position { session, position_ns })
    }
}
