//! What a session's worker is waiting for.
//!
//! Bounded by construction: one command, the wish to close, and news of the pipeline that are told by flags.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use greenroom_core::message::playback::PlaybackError;
use gstreamer as gst;
use gstreamer::prelude::*;

use super::command::Command;
use super::failure;

/// What the pipeline has said since it was asked last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// Its state may be another one.
    pub(super) changed: bool,
    /// Every sink has played its last frame.
    pub(super) ended: bool,
    /// The latency of an element is another one.
    pub(super) latency: bool,
    /// The clock went away.
    pub(super) clock_lost: bool,
    /// A text was read.
    pub(super) text: bool,
    /// The first error; what follows is its consequence.
    pub(super) failed: Option<PlaybackError>,
}

/// What the worker is woken for, the most urgent first.
pub(super) enum Input {
    Close,
    News(News),
    Command(u32, Command),
    /// Nothing came until the deadline.
    Deadline,
}

#[derive(Default)]
struct Waiting {
    close: bool,
    news: News,
    command: Option<(u32, Command)>,
}

impl Waiting {
    fn take(&mut self) -> Option<Input> {
        if self.close {
            return Some(Input::Close);
        }
        if self.news != News::default() {
            return Some(Input::News(std::mem::take(&mut self.news)));
        }
        self.command.take().map(|(token, command)| Input::Command(token, command))
    }
}

/// The worker waits here; the control thread and the pipeline's threads put in.
#[derive(Default)]
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

impl Inbox {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn close(&self) {
        self.waiting().close = true;
        self.arrived.notify_one();
    }

    /// The caller gives no second command before the first has ended.
    pub(super) fn command(&self, token: u32, command: Command) {
        self.waiting().command = Some((token, command));
        self.arrived.notify_one();
    }

    fn tell(&self, news: impl FnOnce(&mut News)) {
        news(&mut self.waiting().news);
        self.arrived.notify_one();
    }

    /// A text was read; it may be due.
    pub(super) fn text_came(&self) {
        self.tell(|news| news.text = true);
    }

    /// A source that is no part of the pipeline has failed.
    pub(super) fn fail(&self, error: PlaybackError) {
        self.tell(|news| news.failed = news.failed.or(Some(error)));
    }

    /// Notes what matters of a message of the pipeline, in the thread that posts it.
    pub(super) fn hear(&self, message: &gst::MessageRef) {
        use gst::MessageView;
        match message.view() {
            MessageView::Error(error) => {
                self.fail(failure::of_message(error));
            }
            MessageView::Warning(warning) => tracing::warn!(error = %warning.error(), "the decoder warns"),
            MessageView::Eos(_) => self.tell(|news| news.ended = true),
            MessageView::StateChanged(_) if message.src().is_some_and(|source| source.is::<gst::Pipeline>()) => {
                self.tell(|news| news.changed = true);
            }
            MessageView::AsyncDone(_) => self.tell(|news| news.changed = true),
            MessageView::Latency(_) => self.tell(|news| news.latency = true),
            MessageView::ClockLost(_) => self.tell(|news| news.clock_lost = true),
            _ => {}
        }
    }

    /// Forgets what was told so far, because it is about what is over.
    pub(super) fn forget_end(&self) {
        self.waiting().news.ended = false;
    }

    pub(super) fn forget_news(&self) {
        self.waiting().news = News::default();
    }

    /// Why the pipeline failed, if it has just said so.
    pub(super) fn take_failure(&self) -> Option<PlaybackError> {
        self.waiting().news.failed.take()
    }

    /// Waits for the next thing to do.
    pub(super) fn wait(&self, deadline: Option<Instant>) -> Input {
        let mut waiting = self.waiting();
        loop {
            if let Some(input) = waiting.take() {
                return input;
            }
            waiting = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => return Input::Deadline,
                Some(left) => self.arrived.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_comes_before_news_and_news_before_commands() {
        let inbox = Inbox::default();
        inbox.command(7, Command::Play);
        inbox.tell(|news| news.ended = true);
        assert!(matches!(inbox.wait(None), Input::News(News { ended: true, changed: false, .. })));
        assert!(matches!(inbox.wait(None), Input::Command(7, Command::Play)));
        inbox.command(8, Command::Pause);
        inbox.tell(|news| news.changed = true);
        inbox.close();
        assert!(matches!(inbox.wait(None), Input::Close));
        assert!(matches!(inbox.wait(None), Input::Close), "it stays closed");
    }

    #[test]
    fn of_many_errors_the_first_is_kept() {
        let inbox = Inbox::default();
        gst::init().unwrap();
        for kind in [gst::StreamError::Decode, gst::StreamError::Format] {
            inbox.hear(&gst::message::Error::new(kind, "made up"));
        }
        assert_eq!(inbox.take_failure(), Some(PlaybackError::Decode));
    }

    #[test]
    fn a_deadline_that_is_past_does_not_hide_what_has_come() {
        let inbox = Inbox::default();
        assert!(matches!(inbox.wait(Some(Instant::now())), Input::Deadline));
        inbox.command(1, Command::Play);
        assert!(matches!(inbox.wait(Some(Instant::now())), Input::Command(1, _)));
    }
}
