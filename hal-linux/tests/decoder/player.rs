//! A decoder with one session, as the control thread drives it.

use std::time::{Duration, Instant};

use greenroom_core::hal::{Decoder, DecoderCommand, DecoderEvent, Stream};
use greenroom_core::message::playback::{PlaybackError, PlaybackState, SourceDescription, SourceId, Statistics};
use greenroom_hal_linux::decoder::{GstDecoder, SinkConfig};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::clip::Clip;
use super::feed::{Feed, MemorySource};

/// Far longer than anything takes: it only ends a test that hangs.
const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const SESSION: u16 = 3;

pub(crate) type Command<'a> = DecoderCommand<Stream<'a, MemorySource>>;

/// Takes any sink's text for both kinds.
pub(crate) fn sinks(video: &str, audio: &str) -> SinkConfig {
    SinkConfig { video: video.into(), audio: audio.into() }
}

pub(crate) struct Player {
    pub(crate) decoder: GstDecoder<MemorySource>,
    pub(crate) seen: Vec<DecoderEvent>,
    /// The session that is driven; others may still be on their way out.
    session: u16,
    token: u32,
}

impl Player {
    pub(crate) fn open(sinks: SinkConfig) -> Self {
        let mut decoder = GstDecoder::new().unwrap();
        decoder.configure(sinks);
        decoder.open(SESSION).unwrap();
        Self { decoder, seen: Vec::new(), session: SESSION, token: 0 }
    }

    /// Loaded, with these clips attached; not built yet.
    pub(crate) fn attached(sinks: SinkConfig, clips: &[&Clip]) -> (Self, Vec<Feed>) {
        let mut player = Self::open(sinks);
        player.does(Command::Load { live: false });
        let feeds = clips.iter().zip(0..).map(|(clip, source)| player.attach(source, clip.description())).collect();
        (player, feeds)
    }

    /// As [`Self::attached`], and built.
    pub(crate) fn built(sinks: SinkConfig, clips: &[&Clip]) -> (Self, Vec<Feed>) {
        let (mut player, feeds) = Self::attached(sinks, clips);
        player.does(Command::AllAttached);
        (player, feeds)
    }

    pub(crate) fn attach(&mut self, source: u8, description: SourceDescription<'_>) -> Feed {
        let (feed, frames) = Feed::new();
        self.does(Command::Attach { source: SourceId(source), stream: Stream { description, frames } });
        feed
    }

    /// Gives a command and leaves it at that.
    pub(crate) fn command(&mut self, command: Command<'_>) -> u32 {
        self.token += 1;
        self.decoder.command(self.session, self.token, command).unwrap();
        self.token
    }

    /// Carries a command out to its end.
    pub(crate) fn tries(&mut self, command: Command<'_>) -> Result<(), PlaybackError> {
        let expected = self.command(command);
        let driven = self.session;
        let is_completed =
            |event: &DecoderEvent| matches!(event, DecoderEvent::Completed { session, .. } if *session == driven);
        match self.until(is_completed) {
            DecoderEvent::Completed { token, result, .. } => {
                assert_eq!(token, expected);
                result
            }
            other => unreachable!("{other:?}"),
        }
    }

    pub(crate) fn does(&mut self, command: Command<'_>) {
        self.tries(command).unwrap();
    }

    /// The next event that is wanted; all are kept in `seen`.
    pub(crate) fn until(&mut self, wanted: impl Fn(&DecoderEvent) -> bool) -> DecoderEvent {
        let deadline = Instant::now() + PATIENCE;
        loop {
            while let Some(event) = self.decoder.next_event() {
                self.seen.push(event);
                if wanted(&event) {
                    return event;
                }
            }
            assert!(Instant::now() < deadline, "it never came; seen last: {:?}", self.last_seen());
            self.await_readiness();
        }
    }

    fn last_seen(&self) -> &[DecoderEvent] {
        &self.seen[self.seen.len().saturating_sub(20)..]
    }

    fn await_readiness(&self) {
        let mut fds = [PollFd::new(&self.decoder, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 1, tv_nsec: 0 })).unwrap();
    }

    pub(crate) fn until_state(&mut self, wanted: PlaybackState) {
        self.until(|event| matches!(event, DecoderEvent::State { state, .. } if *state == wanted));
    }

    /// Why it failed, or has failed already.
    pub(crate) fn until_failed(&mut self) -> PlaybackError {
        let error = |event: &DecoderEvent| match event {
            DecoderEvent::Failed { error, .. } => Some(*error),
            _ => None,
        };
        let before = self.seen.iter().find_map(error);
        before.or_else(|| error(&self.until(|event| error(event).is_some()))).unwrap()
    }

    pub(crate) fn position_ns(&mut self) -> Option<u64> {
        self.decoder.position_ns(self.session)
    }

    pub(crate) fn statistics(&mut self, source: u8) -> Statistics {
        self.decoder.statistics(self.session, SourceId(source))
    }

    /// The statistics of a source, as soon as they are as wanted.
    pub(crate) fn until_statistics(&mut self, source: u8, wanted: impl Fn(&Statistics) -> bool) -> Statistics {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let statistics = self.statistics(source);
            if wanted(&statistics) {
                return statistics;
            }
            assert!(Instant::now() < deadline, "it never came; last: {statistics:?}");
            std::thread::yield_now();
        }
    }

    /// Closes the session; nothing but its end may come.
    pub(crate) fn close(&mut self) {
        self.decoder.close(self.session);
        let event = self.until(|_| true);
        assert_eq!(event, DecoderEvent::Closed { session: self.session });
        assert_eq!(self.decoder.next_event(), None);
    }

    pub(crate) fn reopen(&mut self) {
        self.decoder.open(self.session).unwrap();
    }

    /// Leaves the session to its end, waits for nothing and drives another one.
    pub(crate) fn zap_to(&mut self, session: u16) {
        self.decoder.close(self.session);
        self.session = session;
        self.reopen();
    }

    /// Waits for the ends of so many sessions that were left.
    pub(crate) fn until_closed(&mut self, sessions: usize) {
        let ends =
            |seen: &[DecoderEvent]| seen.iter().filter(|event| matches!(event, DecoderEvent::Closed { .. })).count();
        while ends(&self.seen) < sessions {
            self.until(|event| matches!(event, DecoderEvent::Closed { .. }));
        }
    }
}
