//! An app that plays a stream of which it has every frame in memory: what it takes of time and memory itself is little.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use greenroom_core::message::AppState;
use greenroom_core::message::playback::{Codec, Shape, SourceDescription};
use greenroom_hal_linux::client::{Client, Frame, Session, Source};

use super::stage::PATIENCE;
use crate::Failure;

pub(super) const WIDTH: u32 = 320;
pub(super) const HEIGHT: u32 = 180;
const RATE_HZ: u32 = 25;

/// H.264 with start codes, each picture behind an access unit delimiter.
pub(super) struct Clip {
    pub(super) path: PathBuf,
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

/// What begins each picture.
const DELIMITER: [u8; 5] = [0, 0, 0, 1, 9];

impl Clip {
    /// Has GStreamer make one of so many pictures.
    pub(super) fn make(directory: &Path, pictures: u32) -> Result<Self, Failure> {
        let path = directory.join(format!("{pictures}.h264"));
        let pipeline = format!(
            "videotestsrc num-buffers={pictures} ! video/x-raw,format=I420,width={WIDTH},height={HEIGHT},framerate={RATE_HZ}/1 \
             ! x264enc tune=zerolatency aud=true key-int-max=25 ! video/x-h264,stream-format=byte-stream,alignment=au \
             ! filesink location={}",
            path.display()
        );
        let made =
            Command::new("gst-launch-1.0").arg("-q").args(pipeline.split_whitespace()).stdin(Stdio::null()).status()?;
        if !made.success() {
            return Err("GStreamer made no clip; 'make packages' installs what is needed".into());
        }
        let bytes = fs::read(&path)?;
        let is_start = |place: &usize| bytes[*place..].starts_with(&DELIMITER);
        let starts: Vec<usize> = (0..bytes.len()).filter(is_start).collect();
        match starts.len() == pictures as usize {
            true => Ok(Self { path, bytes, starts }),
            false => Err(format!("{} pictures in the clip instead of {pictures}", starts.len()).into()),
        }
    }

    fn frames(&self) -> impl Iterator<Item = Frame<'_>> {
        let ends = self.starts.iter().skip(1).copied().chain([self.bytes.len()]);
        let frames = self.starts.iter().zip(ends).zip(0..);
        frames.map(|((start, end), number)| Frame {
            presentation: Some(Duration::from_secs(1) * number / RATE_HZ),
            duration: Some(Duration::from_secs(1) / RATE_HZ),
            is_key: number % RATE_HZ == 0,
            data: &self.bytes[*start..end],
            ..Frame::default()
        })
    }
}

/// The app while it plays.
pub(super) struct Performance {
    _source: Source,
    pub(super) session: Session,
}

/// Plays the clip from its start, once the app is Running; gives back when all frames are in the ring.
pub(super) fn play(client: &Client, clip: &Clip) -> Result<Performance, Failure> {
    client.wait_for_application_state(AppState::Running, PATIENCE)?;
    client.set_application_state(AppState::Running)?;
    let session = client.create_session()?;
    session.load(false)?;
    let shape = Shape { width: WIDTH, height: HEIGHT, ..Shape::default() };
    let mut source = session.attach_source(SourceDescription { codec: Codec::H264, shape, codec_data: &[] })?;
    session.all_sources_attached()?;
    session.play()?;
    clip.frames().try_for_each(|frame| source.push(&frame, PATIENCE))?;
    Ok(Performance { _source: source, session })
}
