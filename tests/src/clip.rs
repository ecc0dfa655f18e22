//! Media files for the tests, made by GStreamer.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Makes an MP4 of so many seconds, 25 small pictures each, with a key frame every second, and sound.
///
/// # Panics
/// When GStreamer's tools or its encoders are not installed.
pub fn mp4(directory: &Path, name: &str, seconds: u32) -> PathBuf {
    let path = directory.join(name);
    let (pictures, sound) = (seconds * 25, seconds * 48_000 / 1_024);
    let pipeline = format!(
        "mp4mux name=m ! filesink location={} \
         videotestsrc num-buffers={pictures} ! video/x-raw,format=I420,width=64,height=64,framerate=25/1 \
         ! x264enc tune=zerolatency key-int-max=25 ! h264parse ! queue ! m. \
         audiotestsrc num-buffers={sound} samplesperbuffer=1024 ! audio/x-raw,rate=48000,channels=2 \
         ! avenc_aac ! aacparse ! queue ! m.",
        path.display()
    );
    let made = Command::new("gst-launch-1.0")
        .arg("-q")
        .args(pipeline.split_whitespace())
        .stdin(Stdio::null())
        .status()
        .expect("gst-launch-1.0 is installed");
    assert!(made.success(), "gst-launch-1.0 makes {}", path.display());
    path
}
