//! A program that does nothing but what no session server can do without: it is loaded with all its libraries, says so,
//! and waits for the end of its link.

use std::hint::black_box;
use std::process::ExitCode;

use greenroom_core::hal::{Descriptors, Received, Socket};
use greenroom_hal_linux::process::LINK_DESCRIPTOR;
use greenroom_hal_linux::socket::SeqPacket;
use gstreamer::glib;
use rustix::event::{PollFd, PollFlags, poll};

fn main() -> ExitCode {
    need_libraries();
    match wait_for_end() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("empty-session: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The linker leaves out a library of which nothing is used.
fn need_libraries() {
    black_box(gstreamer::ffi::gst_version_string as *const ());
    black_box(gstreamer_base::ffi::gst_push_src_get_type as *const ());
    black_box(glib::gobject_ffi::g_object_new as *const ());
    black_box(glib::ffi::g_malloc as *const ());
}

fn wait_for_end() -> Result<(), Box<dyn std::error::Error>> {
    let mut link = SeqPacket::from_inherited(LINK_DESCRIPTOR)?;
    link.send(&[1], &[])?;
    loop {
        poll(&mut [PollFd::new(&link, PollFlags::IN)], None)?;
        if link.receive(&mut [0; 8], &mut Descriptors::new())? == Received::Closed {
            return Ok(());
        }
    }
}
