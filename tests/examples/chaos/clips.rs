//! What is played: small clips, cheap to decode.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Failure;

const PICTURES_PER_SECOND: u32 = 10;
/// From one picture to the next.
pub(crate) const PICTURE_INTERVAL: Duration = Duration::from_millis(1_000 / PICTURES_PER_SECOND as u64);
/// Width and height in pixels.
pub(crate) const SIZE: (u32, u32) = (320, 180);

/// An access unit delimiter: with it every picture begins.
const DELIMITER: [u8; 5] = [0, 0, 0, 1, 9];

/// All clips.
#[derive(Debug)]
pub(crate) struct Clips {
    /// With sound; for those whose disk is fast.
    pub(crate) files: [PathBuf; 2],
    /// Coded pictures without a container; for a slow disk.
    pub(crate) pictures: Vec<Vec<u8>>,
}

/// Clips of different length, made anew unless they are there.
pub(crate) fn prepare(directory: &Path) -> Result<Clips, Failure> {
    let files = [with_sound(&directory.join("short.mkv"), 3)?, with_sound(&directory.join("long.mkv"), 25)?];
    let bare = make(
        &directory.join("bare.h264"),
        &format!("filesink name=f {} ! video/x-h264,stream-format=byte-stream,alignment=au ! f.", pictures(8)),
    )?;
    let pictures = cut(&fs::read(&bare)?);
    if pictures.is_empty() {
        return Err(format!("{} has no pictures that can be told apart", bare.display()).into());
    }
    Ok(Clips { files, pictures })
}

fn with_sound(path: &Path, seconds: u32) -> Result<PathBuf, Failure> {
    let sounds = seconds * 50;
    let pipeline = format!(
        "matroskamux name=m ! filesink name=f {} ! queue ! m. \
         audiotestsrc wave=ticks num-buffers={sounds} samplesperbuffer=960 ! audio/x-raw,rate=48000,channels=2 \
         ! opusenc bitrate=32000 ! queue ! m.",
        pictures(seconds)
    );
    make(path, &pipeline)
}

fn pictures(seconds: u32) -> String {
    let (count, (width, height)) = (seconds * PICTURES_PER_SECOND, SIZE);
    format!(
        "videotestsrc num-buffers={count} \
         ! video/x-raw,format=I420,width={width},height={height},framerate={PICTURES_PER_SECOND}/1 \
         ! x264enc tune=zerolatency key-int-max=10 bitrate=200 ! h264parse"
    )
}

fn cut(clip: &[u8]) -> Vec<Vec<u8>> {
    let starts = clip.windows(DELIMITER.len()).enumerate().filter(|(_, bytes)| *bytes == DELIMITER).map(|(at, _)| at);
    let starts: Vec<usize> = starts.chain([clip.len()]).collect();
    starts.windows(2).map(|pair| clip[pair[0]..pair[1]].to_vec()).collect()
}

/// A file is there whole or not at all.
fn make(path: &Path, pipeline: &str) -> Result<PathBuf, Failure> {
    if path.exists() {
        return Ok(path.to_owned());
    }
    let unfinished = path.with_extension("unfinished");
    let location = format!("filesink location={} name=f", unfinished.display());
    let pipeline = pipeline.replace("filesink name=f", &location);
    let status =
        Command::new("gst-launch-1.0").arg("-q").args(pipeline.split_whitespace()).stdin(Stdio::null()).status()?;
    if !status.success() {
        return Err(format!("gst-launch-1.0 cannot make {}: {status}", path.display()).into());
    }
    fs::rename(&unfinished, path)?;
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clip_is_cut_into_its_pictures() {
        let clip = [&DELIMITER[..], b"one", &DELIMITER[..], b"other"].concat();
        assert_eq!(cut(&clip), [&clip[..8], &clip[8..]]);
        assert!(cut(b"nothing").is_empty());
    }
}
