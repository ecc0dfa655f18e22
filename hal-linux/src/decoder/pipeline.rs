//! The pipeline of one session. Its methods may block: only the session's worker calls them.

use std::sync::Arc;

use greenroom_core::message::playback::{PlaybackError, SourceId, Window};
use gstreamer as gst;
use gstreamer::prelude::*;

use super::branch::{Attached, Branch, Plan};
use super::counter::Counters;
use super::events::Events;
use super::inbox::Inbox;
use super::sinks::SinkConfig;
use super::source::Beginning;
use super::tempo::Tempo;

/// What a pipeline does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    /// Whether it plays.
    pub(super) is_playing: bool,
    /// Whether it is where it was told to go: every sink has something to show.
    pub(super) is_settled: bool,
}

/// How the pipeline of a session is built.
pub(super) struct Order<'a> {
    pub(super) session: u16,
    pub(super) sinks: &'a SinkConfig,
    pub(super) is_live: bool,
    pub(super) beginning: Beginning,
    pub(super) events: &'a Arc<Events>,
    pub(super) inbox: &'a Arc<Inbox>,
    pub(super) rate_permille: u16,
}

/// A source has had nothing to decode for this long after its last frame: less would be told of apps that send just in
/// time.
const DROUGHT: gst::ClockTime = gst::ClockTime::from_mseconds(100);

/// A pipeline and its branches. Dropping it frees all that it has.
pub(super) struct Pipeline {
    pipeline: gst::Pipeline,
    branches: Vec<Branch>,
    counters: Arc<Counters>,
    tempo: Tempo,
}

impl Pipeline {
    /// Builds it, in state `NULL`; decoders and sinks are opened already.
    pub(super) fn build(sources: Vec<Attached>, order: &Order<'_>) -> Result<Self, PlaybackError> {
        let pipeline = gst::Pipeline::with_name(&format!("session-{}", order.session));
        let tempo = Tempo::new(order.rate_permille);
        let branches = Vec::with_capacity(sources.len());
        let mut built = Self { pipeline, branches, counters: Arc::default(), tempo };
        for attached in sources {
            let plan = Plan {
                session: order.session,
                sink: order.sinks.of(attached.description.codec.kind()),
                is_live: order.is_live,
                beginning: order.beginning.clone(),
                events: order.events,
                tempo: &built.tempo,
            };
            let (branch, counter) = Branch::build(&built.pipeline, attached, &plan)?;
            built.branches.push(branch);
            built.counters.add(counter);
        }
        built.listen(Arc::clone(order.inbox));
        Ok(built)
    }

    /// Has the inbox told of every message, in the thread that posts it: the bus keeps none.
    fn listen(&self, inbox: Arc<Inbox>) {
        let counters = Arc::clone(&self.counters);
        if let Some(bus) = self.pipeline.bus() {
            bus.set_sync_handler(move |_, message| {
                match message.type_() {
                    gst::MessageType::Qos => counters.hear(message),
                    _ => inbox.hear(message),
                }
                gst::BusSyncReply::Drop
            });
        }
    }

    pub(super) fn play(&self) -> Result<(), PlaybackError> {
        self.go_to(gst::State::Playing)
    }

    pub(super) fn pause(&self) -> Result<(), PlaybackError> {
        self.go_to(gst::State::Paused)
    }

    fn go_to(&self, state: gst::State) -> Result<(), PlaybackError> {
        self.pipeline.set_state(state).map(drop).map_err(|_| PlaybackError::Decoder)
    }

    pub(super) fn condition(&self) -> Condition {
        let (change, current, _) = self.pipeline.state(gst::ClockTime::ZERO);
        let is_settled = matches!(change, Ok(gst::StateChangeSuccess::Success | gst::StateChangeSuccess::NoPreroll));
        Condition { is_playing: current == gst::State::Playing, is_settled }
    }

    pub(super) fn has(&self, source: SourceId) -> bool {
        self.branches.iter().any(|branch| branch.source == source)
    }

    /// Takes the branch of a source away, if there is one; the others go on.
    pub(super) fn remove(&mut self, source: SourceId) {
        let Some(place) = self.branches.iter().position(|branch| branch.source == source) else { return };
        self.counters.remove(source);
        self.branches.remove(place).leave(&self.pipeline);
    }

    /// Empties the branches of one source, or of all, and lets them begin again. The pipeline is paused.
    ///
    /// All stop before the first begins: none can be at its new place, or at its new end, while another is at its old.
    pub(super) fn flush(&self, only: Option<SourceId>, epoch: u32, beginning: &Beginning, resets_time: bool) {
        let flushed = || self.branches.iter().filter(|branch| only.is_none_or(|source| source == branch.source));
        for branch in flushed() {
            branch.frames.flush_start();
        }
        if resets_time {
            self.tempo.restart();
        }
        for branch in flushed() {
            branch.frames.flush_stop(epoch, beginning.clone(), resets_time);
        }
    }

    /// How long it has played, as its clock has it.
    fn running_time(&self) -> gst::ClockTime {
        let is_playing = self.pipeline.current_state() == gst::State::Playing;
        let now = if is_playing { self.pipeline.current_running_time() } else { self.pipeline.start_time() };
        now.unwrap_or_default()
    }

    /// Plays at this rate from now on. What has left the decoders' queues already is played at the old one.
    pub(super) fn set_rate(&self, permille: u16) {
        self.tempo.change(permille, self.running_time());
    }

    /// The sources whose frames have all been played, although they have not ended, and since when.
    pub(super) fn starved(&self) -> Vec<(SourceId, gst::ClockTime)> {
        let now = self.running_time();
        let since = |branch: &Branch| {
            let supply = branch.frames.supply();
            let end = supply.end.filter(|_| supply.is_dry && !supply.has_ended).map(|end| self.tempo.to_real(end));
            end.filter(|end| end.saturating_add(DROUGHT) <= now)
        };
        self.branches.iter().filter_map(|branch| Some((branch.source, since(branch)?))).collect()
    }

    /// Pauses, and has its clock stand where `since` was: what comes late is not late then.
    pub(super) fn wait_for_data(&self, since: gst::ClockTime) -> Result<(), PlaybackError> {
        self.pause()?;
        self.pipeline.set_start_time(since);
        Ok(())
    }

    pub(super) fn set_window(&self, window: Window) {
        self.branches.iter().for_each(|branch| branch.set_window(window));
    }

    pub(super) fn position_ns(&self) -> Option<u64> {
        self.pipeline.query_position::<gst::ClockTime>().map(gst::ClockTime::nseconds)
    }

    pub(super) fn set_volume(&self, permille: u16) {
        self.branches.iter().for_each(|branch| branch.set_volume(permille));
    }

    pub(super) fn set_mute(&self, is_muted: impl Fn(SourceId) -> bool) {
        self.branches.iter().for_each(|branch| branch.set_mute(is_muted(branch.source)));
    }

    pub(super) fn distribute_latency(&self) {
        if let Err(error) = self.pipeline.recalculate_latency() {
            tracing::warn!(%error, "the latency could not be set");
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        if self.pipeline.set_state(gst::State::Null).is_err() {
            tracing::warn!(pipeline = %self.pipeline.name(), "a pipeline did not stop in order");
        }
        if let Some(bus) = self.pipeline.bus() {
            bus.unset_sync_handler();
        }
        self.branches.iter().for_each(|branch| branch.frames.release_frames());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipeline_that_waits_for_data_goes_on_where_the_data_ended() {
        gst::init().unwrap();
        let inner = gst::Pipeline::new();
        let pipeline =
            Pipeline { pipeline: inner, branches: Vec::new(), counters: Arc::default(), tempo: Tempo::new(1000) };
        pipeline.play().unwrap();
        let hour = 3600 * gst::ClockTime::SECOND;
        pipeline.wait_for_data(hour).unwrap();
        assert_eq!(pipeline.running_time(), hour);
        pipeline.play().unwrap();
        assert!(pipeline.running_time() >= hour);
    }
}
