//! Where pictures and sound go.

use std::path::Path;
use std::str::FromStr;

use greenroom_core::message::playback::{MediaKind, PlaybackError};
use gstreamer as gst;
use gstreamer::prelude::*;

use super::branch::can_get_ready;
use super::elements;

/// One sink, as the configuration says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sink {
    /// `auto`: whatever display or sound card there is. Without one the stream is played to nobody, with a warning.
    #[default]
    Auto,
    /// `fake`: nobody sees or hears it, but it keeps the pace of the clock.
    Fake,
    /// Anything else: elements as `gst-launch-1.0` takes them, from the raw stream on.
    Description(String),
}

impl From<&str> for Sink {
    fn from(text: &str) -> Self {
        match text.trim() {
            "" | "auto" => Self::Auto,
            "fake" => Self::Fake,
            description => Self::Description(description.to_owned()),
        }
    }
}

impl FromStr for Sink {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.into())
    }
}

/// The sinks of the sessions that are opened from now on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkConfig {
    /// For pictures.
    pub video: Sink,
    /// For sound.
    pub audio: Sink,
}

impl SinkConfig {
    pub(super) fn of(&self, kind: MediaKind) -> &Sink {
        match kind {
            MediaKind::Video => &self.video,
            MediaKind::Audio => &self.audio,
            MediaKind::Text => &Sink::Fake,
        }
    }
}

/// Makes the sink, opened if it can be opened.
pub(super) fn build(sink: &Sink, kind: MediaKind) -> Result<gst::Element, PlaybackError> {
    rule_out_harmful();
    match sink {
        Sink::Auto => automatic(kind),
        Sink::Fake => fake(),
        Sink::Description(description) => described(description),
    }
}

fn fake() -> Result<gst::Element, PlaybackError> {
    let sink = elements::make("fakesink")?;
    sink.set_property("sync", true);
    sink.set_property("qos", true);
    Ok(sink)
}

/// Sinks that do harm where their device is missing: one has every driver of the kernel tried, for seconds; the other
/// ends the process.
const HARMFUL_WITHOUT: [(&str, &str); 2] = [("kmssink", "/dev/dri"), ("dfbvideosink", "/dev/fb0")];

/// Has no automatic sink, not even one within a description, try what would do harm.
fn rule_out_harmful() {
    let harmful = HARMFUL_WITHOUT.iter().filter(|(_, device)| !Path::new(device).exists());
    for factory in harmful.filter_map(|(element, _)| gst::ElementFactory::find(element)) {
        factory.set_rank(gst::Rank::NONE);
    }
}

fn automatic(kind: MediaKind) -> Result<gst::Element, PlaybackError> {
    let element = if kind == MediaKind::Video { "autovideosink" } else { "autoaudiosink" };
    if let Some(sink) = elements::find(element).filter(can_get_ready) {
        if !is_fake(&sink) {
            return Ok(sink);
        }
        let _ = sink.set_state(gst::State::Null);
    }
    tracing::warn!(element, "no display or sound card was found: the stream is played to nobody");
    fake()
}

/// Whether an automatic sink has found nothing and helped itself.
fn is_fake(sink: &gst::Element) -> bool {
    counting_sink(sink).and_then(|sink| sink.factory()).is_some_and(|factory| factory.name() == "fakesink")
}

fn described(description: &str) -> Result<gst::Element, PlaybackError> {
    let bin = gst::parse::bin_from_description(description, true).map_err(|error| refuse(description, &error))?;
    if bin.static_pad("sink").is_none() {
        tracing::error!(description, "a sink's description leaves no pad for the stream");
        return Err(PlaybackError::Sink);
    }
    let sink: gst::Element = bin.upcast();
    if can_get_ready(&sink) { Ok(sink) } else { Err(PlaybackError::Sink) }
}

fn refuse(description: &str, error: &gst::glib::Error) -> PlaybackError {
    tracing::error!(description, %error, "a sink's description cannot be used");
    match error.kind::<gst::ParseError>() {
        Some(gst::ParseError::NoSuchElement) => PlaybackError::NoElement,
        _ => PlaybackError::Sink,
    }
}

/// Where frames are counted as played: of several sinks at the one that waits for the clock.
pub(super) fn counting_sink(sink: &gst::Element) -> Option<gst::Element> {
    let Some(bin) = sink.dynamic_cast_ref::<gst::Bin>() else { return Some(sink.clone()) };
    let elements = bin.iterate_recurse().into_iter().flatten();
    let sinks: Vec<gst::Element> = elements.filter(|element| element.is::<gstreamer_base::BaseSink>()).collect();
    let synchronised = sinks.iter().find(|sink| sink.property::<bool>("sync"));
    synchronised.or(sinks.first()).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_element_and_a_broken_description_are_told_apart() {
        gst::init().unwrap();
        let build = |text: &str| {
            let sink = build(&text.into(), MediaKind::Video)?;
            sink.set_state(gst::State::Null).map(drop).map_err(|_| PlaybackError::Sink)
        };
        assert_eq!(build("nosuchsink sync=true"), Err(PlaybackError::NoElement));
        assert_eq!(build("fakesink ! ! fakesink"), Err(PlaybackError::Sink));
        assert_eq!(build("videotestsrc ! fakesink"), Err(PlaybackError::Sink));
        assert_eq!(build("filesink location=/nowhere/at/all"), Err(PlaybackError::Sink));
        assert_eq!(build("fakesink sync=false"), Ok(()));
    }

    #[test]
    fn of_two_sinks_the_one_that_keeps_the_pace_is_counted() {
        gst::init().unwrap();
        let text = "tee name=t ! queue ! fakesink name=fast t. ! queue ! fakesink name=paced sync=true";
        let sink = build(&text.into(), MediaKind::Video).unwrap();
        assert_eq!(counting_sink(&sink).unwrap().name(), "paced");
        sink.set_state(gst::State::Null).unwrap();
    }
}
