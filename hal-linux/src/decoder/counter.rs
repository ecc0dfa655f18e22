//! Counts what a branch has played and what came too late.
//!
//! Not by the sink's own statistics: a sink forgets them with every pause, flush and segment.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use greenroom_core::message::playback::SourceId;
use gstreamer as gst;
use gstreamer::prelude::*;

use super::events::Voice;
use super::sinks::counting_sink;
use super::status::Tally;

/// Counts the frames that reach a sink, less those that it says came too late.
pub(super) struct Counter {
    voice: Voice,
    decoder: gst::Element,
    sink: Option<gst::Element>,
    tally: Arc<Tally>,
}

impl Counter {
    pub(super) fn new(voice: Voice, decoder: gst::Element, sink: &gst::Element, tally: Arc<Tally>) -> Self {
        let sink = counting_sink(sink);
        if let Some(pad) = sink.as_ref().and_then(|sink| sink.static_pad("sink")) {
            count_arrivals(&pad, Arc::clone(&tally));
        }
        Self { voice, decoder, sink, tally }
    }

    /// Notes a message about quality: sinks and decoders post one for each frame that they drop.
    fn hear(&self, message: &gst::MessageRef) {
        let is_from = |element: &gst::Element| message.src() == Some(element.upcast_ref());
        let is_dropped_by_sink = self.sink.as_ref().is_some_and(is_from);
        if is_dropped_by_sink {
            self.tally.rendered.fetch_sub(1, Ordering::Relaxed);
        }
        if is_dropped_by_sink || is_from(&self.decoder) {
            let dropped = self.tally.dropped.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            self.voice.quality(self.tally.rendered.load(Ordering::Relaxed), dropped);
        }
    }
}

/// The counters of a pipeline. They are asked in the threads that post messages, and never while GStreamer is called.
#[derive(Default)]
pub(super) struct Counters(Mutex<Vec<Counter>>);

impl Counters {
    fn all(&self) -> MutexGuard<'_, Vec<Counter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, counter: Counter) {
        self.all().push(counter);
    }

    pub(super) fn remove(&self, source: SourceId) {
        let mut all = self.all();
        let place = all.iter().position(|counter| counter.voice.source == source);
        let removed = place.map(|place| all.swap_remove(place));
        drop(all);
        // The last hold on an element may be this one.
        drop(removed);
    }

    pub(super) fn hear(&self, message: &gst::MessageRef) {
        self.all().iter().for_each(|counter| counter.hear(message));
    }
}

fn count_arrivals(pad: &gst::Pad, tally: Arc<Tally>) {
    pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST, move |_, info| {
        let frames = info.buffer_list().map_or(1, |list| list.len());
        tally.rendered.fetch_add(u32::try_from(frames).unwrap_or(u32::MAX), Ordering::Relaxed);
        gst::PadProbeReturn::Ok
    });
}
