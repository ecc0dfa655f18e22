//! What GStreamer's errors mean to an app.

use greenroom_core::message::playback::PlaybackError;
use gstreamer as gst;
use gstreamer::prelude::*;

use super::source::FrameSrc;

/// What an error on the bus means, by what it says and by whom it came from.
pub(super) fn of_message(message: &gst::message::Error) -> PlaybackError {
    let error = message.error();
    let origin = message.src();
    let place = origin.map(GstObjectExt::path_string);
    tracing::error!(place = place.as_deref(), %error, debug = message.debug().as_deref(), "the decoder failed");
    if origin.is_some_and(|object| object.is::<FrameSrc>()) {
        return of_source(&error);
    }
    if origin.is_some_and(is_sink) {
        return PlaybackError::Sink;
    }
    of_decoder(&error)
}

/// A source itself only fails when its ring does; the rest is what it heard from downstream.
fn of_source(error: &gst::glib::Error) -> PlaybackError {
    match error.kind::<gst::ResourceError>() {
        Some(gst::ResourceError::Read) => PlaybackError::RingCorrupt,
        Some(_) => PlaybackError::Memory,
        None => PlaybackError::Format,
    }
}

fn of_decoder(error: &gst::glib::Error) -> PlaybackError {
    if let Some(stream) = error.kind::<gst::StreamError>() {
        return match stream {
            gst::StreamError::CodecNotFound => PlaybackError::NoElement,
            gst::StreamError::WrongType | gst::StreamError::TypeNotFound | gst::StreamError::Format => {
                PlaybackError::Format
            }
            _ => PlaybackError::Decode,
        };
    }
    match error.kind::<gst::CoreError>() {
        Some(gst::CoreError::MissingPlugin) => PlaybackError::NoElement,
        Some(gst::CoreError::Negotiation | gst::CoreError::Caps) => PlaybackError::Format,
        _ => PlaybackError::Decoder,
    }
}

/// Whether it is a sink, or stands in the bin of one.
fn is_sink(object: &gst::Object) -> bool {
    let ancestors = std::iter::successors(Some(object.clone()), |object| object.parent());
    let mut elements = ancestors.filter_map(|object| object.downcast::<gst::Element>().ok());
    elements.any(|element| !element.is::<gst::Pipeline>() && element.element_flags().contains(gst::ElementFlags::SINK))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(element: &str, error: gst::glib::Error) -> PlaybackError {
        gst::init().unwrap();
        let element = gst::ElementFactory::make(element).build().unwrap();
        let message = gst::message::Error::builder_from_error(error).src(&element).build();
        let gst::MessageView::Error(message) = message.view() else { unreachable!("it was built as an error") };
        of_message(message)
    }

    #[test]
    fn who_is_to_blame_follows_from_where_the_error_came_from() {
        gst::init().unwrap();
        let stream = |kind| gst::glib::Error::new::<gst::StreamError>(kind, "");
        let core = |kind| gst::glib::Error::new::<gst::CoreError>(kind, "");
        let resource = |kind| gst::glib::Error::new::<gst::ResourceError>(kind, "");
        assert_eq!(failure("fakesink", resource(gst::ResourceError::Busy)), PlaybackError::Sink);
        assert_eq!(failure("vp9dec", stream(gst::StreamError::Decode)), PlaybackError::Decode);
        assert_eq!(failure("vp9dec", stream(gst::StreamError::WrongType)), PlaybackError::Format);
        assert_eq!(failure("vp9dec", core(gst::CoreError::Negotiation)), PlaybackError::Format);
        assert_eq!(failure("vp9dec", core(gst::CoreError::MissingPlugin)), PlaybackError::NoElement);
        assert_eq!(failure("vp9dec", resource(gst::ResourceError::Busy)), PlaybackError::Decoder);
        assert_eq!(failure("vp9dec", stream(gst::StreamError::CodecNotFound)), PlaybackError::NoElement);
    }
}
