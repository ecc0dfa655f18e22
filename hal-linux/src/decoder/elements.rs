//! Elements, made past the safe constructors.
//!
//! Those do the same, but ask GIO first whether a type is one of its own. That question alone would have every session server
//! load GIO and the four libraries behind it, at each start, for nothing: nothing here is a type of GIO's.

use greenroom_core::message::playback::PlaybackError;
use gstreamer as gst;
use gstreamer::glib;
use gstreamer::glib::translate::{FromGlibPtrNone, ToGlibPtr};
use gstreamer::prelude::*;

/// Makes an element, if it is installed.
pub(super) fn find(name: &str) -> Option<gst::Element> {
    gst::ElementFactory::find(name).and_then(|factory| create(&factory))
}

/// Makes an element that every pipeline needs.
pub(super) fn make(name: &str) -> Result<gst::Element, PlaybackError> {
    find(name).ok_or_else(|| {
        tracing::error!(element = name, "an element is not installed");
        PlaybackError::NoElement
    })
}

/// Makes an element of this kind, if its library can be loaded.
pub(super) fn create(factory: &gst::ElementFactory) -> Option<gst::Element> {
    // SAFETY: the factory lives until the call has ended; what comes is none, or an element that nobody owns yet.
    unsafe {
        let element = gst::ffi::gst_element_factory_create(factory.to_glib_none().0, std::ptr::null());
        Option::from_glib_none(element)
    }
}

/// Makes an object of a type of our own.
pub(super) fn construct<T: IsA<glib::Object>>() -> T {
    // SAFETY: our types are no `Initable`s, so nothing more has to be called before one is used.
    let object = unsafe { glib::Object::new_internal(T::static_type(), &mut []) };
    object.downcast().expect("it was made of this type")
}
