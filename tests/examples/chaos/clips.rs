//! What is played: small clips, cheap to decode.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Failure;

const PICTURES_PER_SECOND: u32 = 10;

/// Two clips of different length, made anew unless they are there.
pub(crate) fn prepare(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    [("short.mkv", 3), ("long.mkv", 25)]
        .into_iter()
        .map(|(name, seconds)| clip(&directory.join(name), seconds))
        .collect()
}

fn clip(path: &Path, seconds: u32) -> Result<PathBuf, Failure> {
    if path.exists() {
        return Ok(path.to_owned());
    }
    let unfinished = path.with_extension("unfinished");
    let (pictures, sounds) = (seconds * PICTURES_PER_SECOND, seconds * 50);
    let pipeline = format!(
        "matroskamux name=m ! filesink location={} \
         videotestsrc num-buffers={pictures} ! video/x-raw,format=I420,width=320,height=180,framerate={PICTURES_PER_SECOND}/1 \
         ! x264enc tune=zerolatency key-int-max=10 bitrate=200 ! h264parse ! queue ! m. \
         audiotestsrc wave=ticks num-buffers={sounds} samplesperbuffer=960 ! audio/x-raw,rate=48000,channels=2 \
         ! opusenc bitrate=32000 ! queue ! m.",
        unfinished.display()
    );
    let status =
        Command::new("gst-launch-1.0").arg("-q").args(pipeline.split_whitespace()).stdin(Stdio::null()).status()?;
    if !status.success() {
        return Err(format!("gst-launch-1.0 cannot make {}: {status}", path.display()).into());
    }
    std::fs::rename(&unfinished, path)?;
    Ok(path.to_owned())
}
