//! Where pictures are shown: told to whatever sink can place them. The sink here keeps what it is told.

use std::sync::Mutex;

use greenroom_core::message::playback::{Codec, PlaybackState, Window};
use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer::subclass::prelude::*;
use gstreamer_base::subclass::prelude::*;
use gstreamer_video::VideoOverlay;
use gstreamer_video::subclass::prelude::*;

use super::clip;
use super::player::{Command, Player, sinks};

static TOLD: Mutex<Vec<[i32; 4]>> = Mutex::new(Vec::new());

mod imp {
    use super::*;

    #[derive(Default)]
    pub(crate) struct PlacedSink;

    #[glib::object_subclass]
    impl ObjectSubclass for PlacedSink {
        const NAME: &'static str = "GreenroomTestPlacedSink";
        type Type = super::PlacedSink;
        type ParentType = gstreamer_video::VideoSink;
        type Interfaces = (VideoOverlay,);
    }

    impl ObjectImpl for PlacedSink {}
    impl GstObjectImpl for PlacedSink {}
    impl ElementImpl for PlacedSink {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: std::sync::LazyLock<gst::subclass::ElementMetadata> = std::sync::LazyLock::new(|| {
                gst::subclass::ElementMetadata::new("Placed sink", "Sink/Video", "Keeps its window", "Greenroom")
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: std::sync::LazyLock<Vec<gst::PadTemplate>> = std::sync::LazyLock::new(|| {
                let raw = gst::Caps::builder("video/x-raw").build();
                gst::PadTemplate::new("sink", gst::PadDirection::Sink, gst::PadPresence::Always, &raw)
                    .into_iter()
                    .collect()
            });
            &TEMPLATES
        }
    }
    impl BaseSinkImpl for PlacedSink {}
    impl VideoSinkImpl for PlacedSink {
        fn show_frame(&self, _: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
            Ok(gst::FlowSuccess::Ok)
        }
    }

    unsafe extern "C" fn keep(_: *mut gstreamer_video::ffi::GstVideoOverlay, x: i32, y: i32, width: i32, height: i32) {
        TOLD.lock().unwrap().push([x, y, width, height]);
    }

    // SAFETY: what is put into the interface is a function of its signature.
    unsafe impl IsImplementable<PlacedSink> for VideoOverlay {
        fn interface_init(interface: &mut glib::Interface<Self>) {
            interface.as_mut().set_render_rectangle = Some(keep);
        }
    }
}

glib::wrapper! {
    pub(crate) struct PlacedSink(ObjectSubclass<imp::PlacedSink>)
        @extends gstreamer_video::VideoSink, gstreamer_base::BaseSink, gst::Element, gst::Object,
        @implements VideoOverlay;
}

fn window(x: u32) -> Window {
    Window { x, y: 20, width: 640, height: 360 }
}

#[test]
fn a_window_is_kept_until_there_is_a_sink_and_changed_while_it_plays() {
    gst::init().unwrap();
    gst::Element::register(None, "greenroomtestplacedsink", gst::Rank::NONE, PlacedSink::static_type()).unwrap();
    let clip = clip::video(Codec::H264, 10);
    let mut player = Player::open(sinks("queue ! greenroomtestplacedsink", "fake"));
    player.does(Command::SetVideoWindow { window: window(1) });
    player.does(Command::Load { live: false });
    player.does(Command::SetVideoWindow { window: window(2) });
    let feed = player.attach(0, clip.description());
    assert!(TOLD.lock().unwrap().is_empty());
    player.does(Command::AllAttached);
    assert_eq!(*TOLD.lock().unwrap(), [[2, 20, 640, 360]]);
    feed.frames(0, &clip.frames);
    feed.end(0);
    player.does(Command::Play);
    player.does(Command::SetVideoWindow { window: window(3) });
    player.does(Command::SetVideoWindow { window: window(u32::MAX) });
    assert_eq!(TOLD.lock().unwrap()[1..], [[3, 20, 640, 360], [i32::MAX, 20, 640, 360]]);
    player.until_state(PlaybackState::EndOfStream);
}

#[test]
fn a_sink_that_cannot_place_its_pictures_plays_all_the_same() {
    let clip = clip::video(Codec::H264, 5);
    let (mut player, feeds) = Player::attached(sinks("fake", "fake"), &[&clip]);
    player.does(Command::SetVideoWindow { window: window(1) });
    player.does(Command::AllAttached);
    player.does(Command::SetVideoWindow { window: window(2) });
    feeds[0].frames(0, &clip.frames);
    feeds[0].end(0);
    player.does(Command::Play);
    player.until_state(PlaybackState::EndOfStream);
}
