//! The thread of one session: the only one that calls what may block.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use greenroom_core::message::playback::{MediaKind, PlaybackError, PlaybackState, SourceId, Window};
use gstreamer as gst;
use gstreamer::glib;

use super::branch::Attached;
use super::command::{Command, OwnedStream};
use super::events::Events;
use super::inbox::{Inbox, Input, News};
use super::pipeline::{Condition, Order, Pipeline};
use super::sinks::SinkConfig;
use super::source::{Anchor, Beginning};
use super::status::Status;
use super::text::TextSource;
use super::time::clock_time;

/// While it plays, the position is told this often: apps draw a progress bar.
const POSITION_INTERVAL: Duration = Duration::from_millis(200);

/// Whether a text is due is not looked for more often than this: a position may stand still.
const TEXT_INTERVAL_MIN: Duration = Duration::from_millis(5);

const RATE_AS_RECORDED_PERMILLE: u16 = 1000;

/// Where media begins unless something else is asked for.
const START: Beginning = Beginning::At(gst::ClockTime::ZERO);

/// What the control thread and the worker of a session share.
pub(super) struct Link {
    pub(super) session: u16,
    pub(super) inbox: Arc<Inbox>,
    pub(super) status: Arc<Status>,
    pub(super) events: Arc<Events>,
}

/// Serves a session until it is closed, and frees everything of it.
pub(super) fn run(link: Link, sinks: SinkConfig) {
    let events = Arc::clone(&link.events);
    let session = link.session;
    // GLib would keep streaming threads that have ended their work for the next one.
    glib::ThreadPool::set_max_unused_threads(Some(0));
    let unusable = gst::init().err().map(|error| {
        tracing::error!(%error, "GStreamer cannot be used");
        PlaybackError::Decoder
    });
    let mut worker = Worker::new(link, sinks, unusable);
    worker.serve();
    drop(worker);
    events.closed(session);
}

struct Worker {
    link: Link,
    sinks: SinkConfig,
    is_live: bool,
    attached: Vec<Attached>,
    /// Sources of texts, when there is a pipeline.
    texts: Vec<TextSource>,
    pipeline: Option<Pipeline>,
    /// Where the media begins, when there is a pipeline.
    beginning: Beginning,
    volume_permille: u16,
    is_muted: bool,
    /// Sources that are silent although the session is not.
    muted_sources: BTreeSet<u8>,
    rate_permille: u16,
    window: Option<Window>,
    /// What it was told to do last.
    wants_to_play: bool,
    /// Whether every sink has had something to show since the last flush.
    has_prerolled: bool,
    has_ended: bool,
    /// A source has run dry: it waits, paused, until every sink has something to show again.
    is_starving: bool,
    /// Why GStreamer must not be called, if it could not be initialised. Nothing changes that.
    unusable: Option<PlaybackError>,
    /// Why nothing but to stop is possible.
    failed: Option<PlaybackError>,
    shown: PlaybackState,
    next_position: Instant,
    /// When the next text is due, if playback goes on as it does.
    next_text: Option<Instant>,
}

/// What an app is told that its session does.
fn visible(condition: Condition, has_prerolled: bool, has_ended: bool) -> PlaybackState {
    match (has_ended, condition.is_settled && condition.is_playing, has_prerolled) {
        (true, _, _) => PlaybackState::EndOfStream,
        (false, true, _) => PlaybackState::Playing,
        (false, false, true) => PlaybackState::Paused,
        (false, false, false) => PlaybackState::Buffering,
    }
}

impl Worker {
    fn new(link: Link, sinks: SinkConfig, unusable: Option<PlaybackError>) -> Self {
        Self {
            link,
            sinks,
            is_live: false,
            attached: Vec::new(),
            texts: Vec::new(),
            pipeline: None,
            beginning: START,
            volume_permille: 1000,
            is_muted: false,
            muted_sources: BTreeSet::new(),
            rate_permille: RATE_AS_RECORDED_PERMILLE,
            window: None,
            wants_to_play: false,
            has_prerolled: false,
            has_ended: false,
            is_starving: false,
            unusable,
            failed: unusable,
            shown: PlaybackState::Idle,
            next_position: Instant::now(),
            next_text: None,
        }
    }

    fn serve(&mut self) {
        loop {
            match self.link.inbox.wait(self.deadline()) {
                Input::Close => return,
                Input::News(news) => self.hear(news),
                Input::Command(token, command) => {
                    let result = self.carry_out(command);
                    self.link.events.completed(self.link.session, token, result);
                    self.show_state();
                }
                Input::Deadline => self.look(),
            }
            self.tell_texts();
        }
    }

    /// Nothing changes by itself but while it plays.
    fn deadline(&self) -> Option<Instant> {
        let is_playing = self.shown == PlaybackState::Playing;
        is_playing.then(|| self.next_text.map_or(self.next_position, |next| next.min(self.next_position)))
    }

    fn carry_out(&mut self, command: Command) -> Result<(), PlaybackError> {
        match (self.failed, command) {
            (_, Command::Stop) => self.stop(),
            (_, Command::Beat) => Ok(()),
            (Some(error), _) => Err(error),
            (None, Command::Load { live }) => self.load(live),
            (None, Command::Attach { source, stream }) => self.attach(source, stream),
            (None, Command::AllAttached) => self.build(),
            (None, Command::Play) => self.aim(true),
            (None, Command::Pause) => self.aim(false),
            (None, Command::SetPosition { position_ns, epoch }) => self.set_position(position_ns, epoch),
            (None, Command::Flush { source, reset_time, epoch }) => self.flush(source, reset_time, epoch),
            (None, Command::SetVolume { permille }) => self.set_volume(permille),
            (None, Command::SetMute { muted }) => self.set_mute(muted),
            (None, Command::RemoveSource { source }) => self.remove(source),
            (None, Command::SetSourceMute { source, muted }) => self.set_source_mute(source, muted),
            (None, Command::SetPlaybackRate { permille }) => self.set_rate(permille),
            (None, Command::SetVideoWindow { window }) => self.set_window(window),
        }
    }

    fn load(&mut self, is_live: bool) -> Result<(), PlaybackError> {
        self.stop()?;
        self.is_live = is_live;
        self.beginning = if is_live { Beginning::FirstFrame(Anchor::default()) } else { START };
        Ok(())
    }

    fn attach(&mut self, source: SourceId, stream: OwnedStream) -> Result<(), PlaybackError> {
        let tally = self.link.status.start_tally(source).ok_or(PlaybackError::Decoder)?;
        let OwnedStream { description, frames } = stream;
        self.attached.push(Attached { source, description, frames, tally });
        Ok(())
    }

    /// Texts alone have no clock that they could follow.
    fn build(&mut self) -> Result<(), PlaybackError> {
        let is_text = |attached: &Attached| attached.description.codec.kind() == MediaKind::Text;
        if self.attached.iter().all(is_text) {
            return Err(PlaybackError::Unsupported);
        }
        let texts: Vec<Attached> = self.attached.extract_if(.., |attached| is_text(attached)).collect();
        let order = Order {
            session: self.link.session,
            sinks: &self.sinks,
            is_live: self.is_live,
            beginning: self.beginning.clone(),
            events: &self.link.events,
            inbox: &self.link.inbox,
            rate_permille: self.rate_permille,
        };
        let pipeline = Pipeline::build(std::mem::take(&mut self.attached), &order)?;
        pipeline.set_volume(self.volume_permille);
        self.window.iter().for_each(|&window| pipeline.set_window(window));
        self.pipeline = Some(pipeline);
        self.apply_mute();
        for Attached { source, frames, tally, .. } in texts {
            let text = TextSource::start(source, frames, tally, Arc::clone(&self.link.inbox));
            let text = text.map_err(|error| self.give_up(error))?;
            self.texts.push(text);
        }
        self.move_on()
    }

    fn aim(&mut self, wants_to_play: bool) -> Result<(), PlaybackError> {
        self.wants_to_play = wants_to_play;
        self.move_on()
    }

    /// Brings the pipeline, if there is one, to what was asked for last.
    fn move_on(&mut self) -> Result<(), PlaybackError> {
        let Some(pipeline) = &self.pipeline else { return Ok(()) };
        let moved = if self.wants_to_play && !self.is_starving { pipeline.play() } else { pipeline.pause() };
        moved.map_err(|error| self.give_up(error))
    }

    /// Frees the pipeline of a session that failed. Its bus may know better why it did.
    fn give_up(&mut self, error: PlaybackError) -> PlaybackError {
        let error = self.link.inbox.take_failure().unwrap_or(error);
        self.failed = Some(error);
        self.drop_pipeline();
        error
    }

    fn drop_pipeline(&mut self) {
        self.pipeline = None;
        self.attached.clear();
        self.texts.clear();
        self.link.inbox.forget_news();
    }

    fn stop(&mut self) -> Result<(), PlaybackError> {
        self.drop_pipeline();
        self.forget_playback();
        self.link.events.forget_sources(self.link.session);
        self.link.status.set_position_ns(None);
        self.beginning = START;
        self.wants_to_play = false;
        self.muted_sources.clear();
        self.rate_permille = RATE_AS_RECORDED_PERMILLE;
        self.failed = self.unusable;
        Ok(())
    }

    /// What was said of playback so far is about what is over.
    fn forget_playback(&mut self) {
        self.link.events.forget_playback(self.link.session);
        self.has_prerolled = false;
        self.has_ended = false;
        self.is_starving = false;
        self.shown = PlaybackState::Idle;
    }

    fn set_position(&mut self, position_ns: u64, epoch: u32) -> Result<(), PlaybackError> {
        let beginning = Beginning::At(clock_time(position_ns));
        self.link.status.set_position_ns(Some(position_ns));
        if self.pipeline.is_none() {
            self.attached.iter_mut().for_each(|attached| attached.frames.set_epoch(epoch));
            self.beginning = beginning;
            return Ok(());
        }
        self.texts.iter().for_each(|text| self.renew(text, epoch));
        self.begin_again(None, epoch, &beginning, true)
    }

    fn flush(&mut self, source: SourceId, resets_time: bool, epoch: u32) -> Result<(), PlaybackError> {
        let Some(pipeline) = &self.pipeline else {
            let attached = self.attached.iter_mut().find(|attached| attached.source == source);
            return attached.map(|attached| attached.frames.set_epoch(epoch)).ok_or(PlaybackError::Decoder);
        };
        if let Some(text) = self.texts.iter().find(|text| text.source() == source) {
            self.renew(text, epoch);
            return Ok(());
        }
        if !pipeline.has(source) {
            return Err(PlaybackError::Decoder);
        }
        let beginning = if resets_time { Beginning::FirstFrame(Anchor::default()) } else { Beginning::Unchanged };
        self.begin_again(Some(source), epoch, &beginning, resets_time)
    }

    fn renew(&self, text: &TextSource, epoch: u32) {
        text.renew(epoch);
        self.link.events.forget_texts(self.link.session, text.source());
    }

    /// Flushes, and goes on as before. A paused sink posts no end, so that none of before is taken for one of after.
    fn begin_again(
        &mut self,
        only: Option<SourceId>,
        epoch: u32,
        beginning: &Beginning,
        resets_time: bool,
    ) -> Result<(), PlaybackError> {
        let Some(pipeline) = &self.pipeline else { return Ok(()) };
        if let Err(error) = pipeline.pause() {
            return Err(self.give_up(error));
        }
        self.link.inbox.forget_end();
        pipeline.flush(only, epoch, beginning, resets_time);
        self.forget_playback();
        self.move_on()
    }

    fn set_volume(&mut self, permille: u16) -> Result<(), PlaybackError> {
        self.volume_permille = permille;
        self.pipeline.iter().for_each(|pipeline| pipeline.set_volume(permille));
        Ok(())
    }

    fn set_mute(&mut self, muted: bool) -> Result<(), PlaybackError> {
        self.is_muted = muted;
        self.apply_mute();
        Ok(())
    }

    fn set_source_mute(&mut self, source: SourceId, muted: bool) -> Result<(), PlaybackError> {
        if muted {
            self.muted_sources.insert(source.0)
        } else {
            self.muted_sources.remove(&source.0)
        };
        self.apply_mute();
        Ok(())
    }

    fn is_source_muted(&self, source: SourceId) -> bool {
        self.muted_sources.contains(&source.0)
    }

    fn apply_mute(&self) {
        let is_muted = |source: SourceId| self.is_muted || self.is_source_muted(source);
        self.pipeline.iter().for_each(|pipeline| pipeline.set_mute(is_muted));
    }

    /// Takes a source away. What the others have done already may be all that was missing.
    fn remove(&mut self, source: SourceId) -> Result<(), PlaybackError> {
        self.attached.retain(|attached| attached.source != source);
        self.texts.retain(|text| text.source() != source);
        self.pipeline.iter_mut().for_each(|pipeline| pipeline.remove(source));
        self.muted_sources.remove(&source.0);
        self.link.events.forget_source(self.link.session, source);
        Ok(())
    }

    /// Live media has its own pace.
    fn set_rate(&mut self, permille: u16) -> Result<(), PlaybackError> {
        if self.is_live {
            return Err(PlaybackError::Unsupported);
        }
        self.rate_permille = permille;
        self.pipeline.iter().for_each(|pipeline| pipeline.set_rate(permille));
        Ok(())
    }

    fn set_window(&mut self, window: Window) -> Result<(), PlaybackError> {
        self.window = Some(window);
        self.pipeline.iter().for_each(|pipeline| pipeline.set_window(window));
        Ok(())
    }

    fn hear(&mut self, news: News) {
        let Some(pipeline) = &self.pipeline else { return };
        if let Some(error) = news.failed {
            return self.fail(error);
        }
        if news.latency {
            pipeline.distribute_latency();
        }
        if news.clock_lost && self.wants_to_play && pipeline.pause().is_ok() {
            // The pipeline chooses another clock on its way back.
            let _ = self.move_on();
        }
        self.show_state();
        if news.ended {
            self.has_ended = true;
            self.tell_position();
            self.show_state();
        }
    }

    /// Tells what the session does, if that is something else than before.
    fn show_state(&mut self) {
        let Some(pipeline) = &self.pipeline else { return };
        let condition = pipeline.condition();
        self.has_prerolled |= condition.is_settled;
        if self.is_starving && condition.is_settled {
            return self.end_starving();
        }
        let state = visible(condition, self.has_prerolled && !self.is_starving, self.has_ended);
        if state == self.shown {
            return;
        }
        if matches!(state, PlaybackState::Paused | PlaybackState::Playing) {
            self.tell_position();
        }
        self.shown = state;
        self.link.status.set_moves(state == PlaybackState::Playing);
        self.link.events.state(self.link.session, state);
    }

    fn look(&mut self) {
        if Instant::now() < self.next_position {
            return;
        }
        self.tell_position();
        if !self.is_live {
            self.look_for_starved();
        }
    }

    /// Tells the texts that begin where playback is, or have begun, and looks when the next one will.
    fn tell_texts(&mut self) {
        self.next_text = None;
        let has_a_place = !matches!(self.shown, PlaybackState::Idle | PlaybackState::Buffering | PlaybackState::Failed);
        let Some(pipeline) = self.pipeline.as_ref().filter(|_| has_a_place && !self.texts.is_empty()) else { return };
        let Some(position_ns) = pipeline.position_ns() else { return };
        for text in &self.texts {
            let due = text.due_at(position_ns, self.is_source_muted(text.source()));
            self.link.events.texts_missed(self.link.session, due.missed);
            for caption in due.captions {
                self.link.events.text(self.link.session, caption);
                text.count_told();
            }
            let next =
                due.next_ns.map(|next_ns| Instant::now() + self.time_to_play(next_ns.saturating_sub(position_ns)));
            self.next_text = [self.next_text, next].into_iter().flatten().min();
        }
    }

    fn time_to_play(&self, media_ns: u64) -> Duration {
        let real_ns = u128::from(media_ns) * u128::from(RATE_AS_RECORDED_PERMILLE) / u128::from(self.rate_permille);
        Duration::from_nanos(u64::try_from(real_ns).unwrap_or(u64::MAX)).clamp(TEXT_INTERVAL_MIN, POSITION_INTERVAL)
    }

    /// Waits where a source has nothing to play. A live stream plays on when it comes.
    fn look_for_starved(&mut self) {
        let Some(pipeline) = &self.pipeline else { return };
        let starved = pipeline.starved();
        let Some(since) = starved.iter().map(|(_, since)| *since).min() else { return };
        if let Err(error) = pipeline.wait_for_data(since) {
            return self.fail(error);
        }
        self.is_starving = true;
        starved.iter().for_each(|(source, _)| self.link.events.underflow(self.link.session, *source));
        self.show_state();
    }

    fn end_starving(&mut self) {
        self.is_starving = false;
        match self.move_on() {
            Ok(()) => self.show_state(),
            Err(error) => self.tell_failed(error),
        }
    }

    fn fail(&mut self, error: PlaybackError) {
        let error = self.give_up(error);
        self.tell_failed(error);
    }

    fn tell_failed(&mut self, error: PlaybackError) {
        self.shown = PlaybackState::Failed;
        self.link.events.failed(self.link.session, error);
    }

    fn tell_position(&mut self) {
        self.next_position = Instant::now() + POSITION_INTERVAL;
        let Some(pipeline) = &self.pipeline else { return };
        if let Some(position_ns) = pipeline.position_ns() {
            self.link.status.set_position_ns(Some(position_ns));
            self.link.events.position(self.link.session, position_ns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_app_sees_follows_from_what_the_pipeline_does() {
        use PlaybackState::{Buffering, EndOfStream, Paused, Playing};
        let condition = |is_playing, is_settled| Condition { is_playing, is_settled };
        for (is_playing, is_settled, has_prerolled, expected) in [
            (false, false, false, Buffering),
            (true, false, false, Buffering),
            (false, false, true, Paused),
            (true, false, true, Paused),
            (false, true, true, Paused),
            (true, true, true, Playing),
        ] {
            assert_eq!(visible(condition(is_playing, is_settled), has_prerolled, false), expected);
            assert_eq!(visible(condition(is_playing, is_settled), has_prerolled, true), EndOfStream);
        }
    }

    #[test]
    fn what_cannot_be_used_is_not_used_after_a_stop_either() {
        let events = Arc::new(Events::new().unwrap());
        let link = Link { session: 1, inbox: Arc::default(), status: Arc::default(), events };
        let mut worker = Worker::new(link, SinkConfig::default(), Some(PlaybackError::Decoder));
        for _ in 0..2 {
            for command in [Command::Load { live: false }, Command::AllAttached, Command::Play] {
                assert_eq!(worker.carry_out(command), Err(PlaybackError::Decoder));
            }
            assert_eq!(worker.carry_out(Command::Stop), Ok(()));
        }
    }
}
