//! Sinks that can place their pictures on the screen: those that implement GstVideoOverlay.
//!
//! The interface is found by its name. Were its library linked, every session server would load it, and another one behind
//! it, at each start; where a sink implements it, it is loaded already.

use greenroom_core::message::playback::Window;
use gstreamer as gst;
use gstreamer::glib::translate::IntoGlib;
use gstreamer::glib::{self, gobject_ffi};
use gstreamer::prelude::*;
use gstreamer_video::ffi::{GstVideoOverlay, GstVideoOverlayInterface};

/// Has a sink, or whatever can place pictures within it, show them in this window. Others show them where they do.
pub(super) fn place(sink: &gst::Element, window: Window) {
    let Some(interface) = glib::Type::from_name("GstVideoOverlay") else { return };
    for element in elements(sink).iter().filter(|element| element.type_().is_a(interface)) {
        if !place_one(element, interface, window) {
            tracing::warn!(?window, "a sink did not take its window");
        }
    }
}

/// The sink, or all that is in it.
fn elements(sink: &gst::Element) -> Vec<gst::Element> {
    match sink.dynamic_cast_ref::<gst::Bin>() {
        Some(bin) => bin.iterate_recurse().into_iter().flatten().collect(),
        None => vec![sink.clone()],
    }
}

/// Does what `gst_video_overlay_set_render_rectangle` and `gst_video_overlay_expose` do.
fn place_one(element: &gst::Element, interface: glib::Type, window: Window) -> bool {
    let [x, y, width, height] =
        [window.x, window.y, window.width, window.height].map(|pixels| i32::try_from(pixels).unwrap_or(i32::MAX));
    let instance = element.as_ptr();
    // SAFETY: an element begins with its class, which implements the interface: so what is found for it is that.
    let (overlay, functions) = unsafe {
        let class = (*instance.cast::<gobject_ffi::GTypeInstance>()).g_class;
        let functions = gobject_ffi::g_type_interface_peek(class.cast(), interface.into_glib());
        (instance.cast::<GstVideoOverlay>(), &*functions.cast::<GstVideoOverlayInterface>())
    };
    let Some(set_render_rectangle) = functions.set_render_rectangle.filter(|_| width > 0 && height > 0) else {
        return false;
    };
    // SAFETY: these are the element's own functions, and it lives while it is borrowed.
    unsafe {
        set_render_rectangle(overlay, x, y, width, height);
        if let Some(expose) = functions.expose {
            expose(overlay);
        }
    }
    true
}
