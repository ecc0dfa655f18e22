//! The elements between one source and its sink.
//!
//! ```text
//! FrameSrc ! parser ! decoder ! queue ! videoconvert ! sink
//! FrameSrc ! parser ! decoder ! queue ! audioconvert ! scaletempo ! audioconvert ! audioresample ! volume ! sink
//! FrameSrc ! audioconvert ! scaletempo ! audioconvert ! audioresample ! volume ! sink                      (PCM)
//! ```
//!
//! `scaletempo` keeps the pitch when the rate is not 1. Where it is not installed, the sink plays as well as it can; live
//! media has no rate and needs none.
//!
//! Raw sound needs no decoder; a converter stands in its place.

use std::sync::{Arc, Mutex, PoisonError};

use greenroom_core::message::playback::{Codec, MediaKind, PlaybackError, SourceId, Window};
use gstreamer as gst;
use gstreamer::prelude::*;

use super::caps::Family;
use super::command::{Description, Frames};
use super::counter::Counter;
use super::elements;
use super::events::{Events, Voice};
use super::overlay;
use super::pcm::{self, Pcm};
use super::sinks::{self, Sink};
use super::source::{Beginning, FrameSrc};
use super::status::Tally;
use super::tempo::Tempo;

/// Frames in a row that cannot be decoded before the stream is given up.
const DECODE_ERRORS_MAX: i32 = 50;
/// Decoded pictures that wait for their sink: few, because they are large and decoders own only some.
const PICTURES_MAX: u32 = 4;

/// A source that was attached and has no pipeline yet.
pub(super) struct Attached {
    pub(super) source: SourceId,
    pub(super) description: Description,
    pub(super) frames: Box<dyn Frames>,
    pub(super) tally: Arc<Tally>,
}

/// How a branch is built.
pub(super) struct Plan<'a> {
    pub(super) session: u16,
    pub(super) sink: &'a Sink,
    pub(super) is_live: bool,
    pub(super) beginning: Beginning,
    pub(super) events: &'a Arc<Events>,
    pub(super) tempo: &'a Tempo,
}

/// The elements of one source.
pub(super) struct Branch {
    pub(super) source: SourceId,
    kind: MediaKind,
    pub(super) frames: FrameSrc,
    /// From the first behind the frames to the sink.
    chain: Vec<gst::Element>,
    volume: Option<gst::Element>,
}

impl Branch {
    pub(super) fn build(
        pipeline: &gst::Pipeline,
        attached: Attached,
        plan: &Plan<'_>,
    ) -> Result<(Self, Counter), PlaybackError> {
        let Attached { source, description, frames, tally } = attached;
        let voice = Voice { events: Arc::clone(plan.events), session: plan.session, source };
        let kind = description.codec.kind();
        let chain = Chain::build(pipeline, &description, plan)?;
        let frames = FrameSrc::new(description, frames, plan.beginning.clone(), plan.is_live, Arc::clone(&tally))
            .map_err(|_| PlaybackError::Memory)?;
        pipeline.add(&frames).map_err(|_| PlaybackError::Decoder)?;
        frames.link(chain.first()).map_err(|_| PlaybackError::Format)?;
        tell_first_frame(&chain.decoder, voice.clone());
        tell_picture_size(&chain.decoder, voice.clone());
        let counter = Counter::new(voice, chain.decoder, &chain.sink, tally);
        Ok((Self { source, kind, frames, chain: chain.elements, volume: chain.volume }, counter))
    }

    pub(super) fn set_window(&self, window: Window) {
        if let Some(sink) = self.chain.last().filter(|_| self.kind == MediaKind::Video) {
            overlay::place(sink, window);
        }
    }

    /// Takes its elements out of the pipeline, whatever they do.
    ///
    /// All have stopped before the first is unlinked: a stream that still runs would take a missing link for an error,
    /// and fail the whole session.
    pub(super) fn leave(self, pipeline: &gst::Pipeline) {
        let elements = || self.chain.iter().rev().chain([self.frames.upcast_ref()]);
        for element in elements() {
            element.set_locked_state(true);
        }
        self.chain.last().iter().for_each(|sink| cut_off(sink));
        self.frames.flush_start();
        let running = elements().filter(|element| element.set_state(gst::State::Null).is_err()).count();
        let left_behind = elements().filter(|&element| pipeline.remove(element).is_err()).count();
        if running > 0 || left_behind > 0 {
            tracing::warn!(source = self.source.0, running, left_behind, "a source did not leave in order");
        }
        self.frames.release_frames();
    }

    pub(super) fn set_volume(&self, permille: u16) {
        if let Some(volume) = &self.volume {
            volume.set_property("volume", f64::from(permille) / 1000.0);
        }
    }

    pub(super) fn set_mute(&self, muted: bool) {
        if let Some(volume) = &self.volume {
            volume.set_property("mute", muted);
        }
    }
}

/// What stands behind a source, linked, in its pipeline.
struct Chain {
    elements: Vec<gst::Element>,
    decoder: gst::Element,
    volume: Option<gst::Element>,
    sink: gst::Element,
}

impl Chain {
    /// What could be made is in the pipeline, so that it goes with it when something else could not.
    fn build(pipeline: &gst::Pipeline, description: &Description, plan: &Plan<'_>) -> Result<Self, PlaybackError> {
        let kind = description.codec.kind();
        let put = |element: gst::Element| {
            pipeline.add(&element).map_err(|_| PlaybackError::Decoder)?;
            Ok(element)
        };
        if Pcm::of(description.codec).is_some() && !pcm::is_complete(&description.shape) {
            return Err(PlaybackError::Format);
        }
        let decoder = put(decoder_for(description.codec)?)?;
        let sink = put(sinks::build(plan.sink, kind)?)?;
        let parser = Family::of(description.codec).parser.and_then(elements::find);
        let parser = parser.map(put).transpose()?;
        let between = between(description.codec, plan.is_live)?.into_iter().map(put).collect::<Result<Vec<_>, _>>()?;
        // Behind the queue, where there is one: what waits in it is to keep the pace, too.
        let paced = between.first().filter(|_| Pcm::of(description.codec).is_none()).unwrap_or(&decoder);
        paced.static_pad("src").iter().for_each(|pad| plan.tempo.pace(pad));
        let volume = between.last().filter(|_| kind == MediaKind::Audio).cloned();
        let elements = parser.iter().chain([&decoder]).chain(&between).chain([&sink]);
        let elements: Vec<gst::Element> = elements.cloned().collect();
        gst::Element::link_many(&elements).map_err(|_| PlaybackError::Sink)?;
        Ok(Self { elements, decoder, volume, sink })
    }

    fn first(&self) -> &gst::Element {
        self.elements.first().unwrap_or(&self.decoder)
    }
}

/// What stands between a decoder and its sink; for sound the last one sets the volume.
fn between(codec: Codec, is_live: bool) -> Result<Vec<gst::Element>, PlaybackError> {
    let resample = || Ok([elements::make("audioresample")?, elements::make("volume")?]);
    if Pcm::of(codec).is_some() {
        // Nobody decodes ahead of the sink, and what waits in a queue would be heard late.
        return Ok(stretch(is_live)?.into_iter().chain(resample()?).collect());
    }
    let queue = elements::make("queue")?;
    if codec.kind() == MediaKind::Video {
        queue.set_property("max-size-buffers", PICTURES_MAX);
        queue.set_property("max-size-bytes", 0u32);
        queue.set_property("max-size-time", 0u64);
        return Ok(vec![queue, elements::make("videoconvert")?]);
    }
    let converted = [queue, elements::make("audioconvert")?].into_iter();
    Ok(converted.chain(stretch(is_live)?).chain(resample()?).collect())
}

/// What keeps the pitch of sound that is not played as it was recorded.
fn stretch(is_live: bool) -> Result<Vec<gst::Element>, PlaybackError> {
    match elements::find("scaletempo").filter(|_| !is_live) {
        Some(stretcher) => Ok(vec![stretcher, elements::make("audioconvert")?]),
        None => Ok(Vec::new()),
    }
}

/// The best decoder that can be used now: hardware may be taken by somebody else.
fn decoder_for(codec: Codec) -> Result<gst::Element, PlaybackError> {
    if Pcm::of(codec).is_some() {
        return elements::make("audioconvert");
    }
    let decodable = Family::of(codec).decodable;
    let mut factories: Vec<gst::ElementFactory> =
        gst::ElementFactory::factories_with_type(gst::ElementFactoryType::DECODER, gst::Rank::MARGINAL)
            .into_iter()
            .filter(|factory| factory.can_sink_any_caps(&decodable))
            .collect();
    factories.sort_by_key(|factory| std::cmp::Reverse(factory.rank()));
    let decoder = factories.iter().filter_map(elements::create).find(can_get_ready);
    let decoder = decoder.ok_or(PlaybackError::NoDecoder(codec))?;
    if decoder.has_property_with_type("max-errors", i32::static_type()) {
        decoder.set_property("max-errors", DECODE_ERRORS_MAX);
    }
    Ok(decoder)
}

/// Whether an element gets the devices that it needs; one that does keeps them.
pub(super) fn can_get_ready(element: &gst::Element) -> bool {
    let is_ready = element.set_state(gst::State::Ready).is_ok();
    if !is_ready {
        let _ = element.set_state(gst::State::Null);
        tracing::info!(element = %element.name(), "an element cannot be used");
    }
    is_ready
}

/// Stops a sink, so that nothing waits in it any more. What still comes is dropped, not refused: a decoder whose new format
/// is refused posts an error. The sink sees no flush: it would have the whole pipeline wait for its next picture.
fn cut_off(sink: &gst::Element) {
    if let Some(pad) = sink.static_pad("sink").and_then(|pad| pad.peer()) {
        pad.add_probe(gst::PadProbeType::DATA_DOWNSTREAM, |_, _| gst::PadProbeReturn::Drop);
    }
    let _ = sink.set_state(gst::State::Null);
}

fn tell_first_frame(decoder: &gst::Element, voice: Voice) {
    let Some(pad) = decoder.static_pad("src") else { return };
    pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST, move |_, _| {
        voice.first_frame();
        gst::PadProbeReturn::Remove
    });
}

fn tell_picture_size(decoder: &gst::Element, voice: Voice) {
    let Some(pad) = decoder.static_pad("src") else { return };
    let told = Mutex::new(None);
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::EventView::Caps(caps)) = info.event().map(|event| event.view())
            && let size @ Some(pixels) = picture_size(caps.caps())
            && std::mem::replace(&mut *told.lock().unwrap_or_else(PoisonError::into_inner), size) != size
        {
            voice.picture_size(pixels);
        }
        gst::PadProbeReturn::Ok
    });
}

fn picture_size(caps: &gst::CapsRef) -> Option<(u32, u32)> {
    let structure = caps.structure(0)?;
    let pixels = |field| u32::try_from(structure.get::<i32>(field).ok()?).ok();
    Some((pixels("width")?, pixels("height")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_codec_that_nothing_installed_decodes_is_named() {
        gst::init().unwrap();
        assert!(decoder_for(Codec::Flac).map(|decoder| decoder.set_state(gst::State::Null)).is_ok());
        for factory in ["flacdec", "avdec_flac"].into_iter().filter_map(gst::ElementFactory::find) {
            factory.set_rank(gst::Rank::NONE);
        }
        assert_eq!(decoder_for(Codec::Flac).err(), Some(PlaybackError::NoDecoder(Codec::Flac)));
    }
}
