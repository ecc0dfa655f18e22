//! Files as the player finds them, made by GStreamer itself.

use std::fs;
use std::time::{Duration, Instant};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);
const PICTURES: &str = "videotestsrc num-buffers=60 ! video/x-raw,width=160,height=120,framerate=30/1";
const SOUND: &str = "audiotestsrc num-buffers=90 samplesperbuffer=1024 ! audio/x-raw,rate=48000,channels=2";

/// A media file that this pipeline makes; its muxer is called m.
fn file(name: &str, pipeline: &str) -> (tempfile::TempDir, PathBuf) {
    gst::init().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    let made = gst::parse::launch(&format!("{pipeline} m. ! filesink location={}", path.display())).unwrap();
    made.set_state(gst::State::Playing).unwrap();
    let done = made
        .bus()
        .unwrap()
        .timed_pop_filtered(gst::ClockTime::try_from(PATIENCE).ok(), &[gst::MessageType::Eos, gst::MessageType::Error]);
    assert_eq!(done.map(|message| message.type_()), Some(gst::MessageType::Eos), "the file is made");
    made.set_state(gst::State::Null).unwrap();
    (directory, path)
}

fn mp4() -> (tempfile::TempDir, PathBuf) {
    file(
        "clip.mp4",
        &format!(
            "mp4mux name=m {PICTURES} ! x264enc key-int-max=10 ! h264parse ! m. {SOUND} ! avenc_aac ! aacparse ! m."
        ),
    )
}

fn open(path: &Path) -> Result<Media, MediaError> {
    Media::open(path, &mut || false)
}

fn codecs(media: &Media) -> Vec<Codec> {
    media.streams.iter().map(|stream| stream.description.codec).collect()
}

/// Every frame until the end.
fn pull_all(stream: &Stream) -> Vec<CodedFrame> {
    let deadline = Instant::now() + PATIENCE;
    let mut frames = Vec::new();
    loop {
        match stream.pull(Duration::from_millis(50)) {
            Pulled::Frame(frame) => frames.push(frame),
            Pulled::End => return frames,
            Pulled::Nothing => assert!(Instant::now() < deadline, "the stream ends"),
        }
    }
}

#[test]
fn an_mp4_gives_video_first_then_sound_with_their_configurations() {
    let (_directory, path) = mp4();
    let media = open(&path).unwrap();
    assert_eq!(codecs(&media), [Codec::H264Avc, Codec::Aac]);
    let video = &media.streams[0].description;
    assert_eq!((video.shape.width, video.shape.height), (160, 120));
    assert_eq!(video.codec_data[0], 1, "an avcC has version 1");
    assert_eq!(media.streams[1].description.codec_data[0] >> 3, 2, "an AudioSpecificConfig of AAC-LC");
    assert!(media.duration.is_some_and(|duration| duration.as_millis().abs_diff(2_000) < 150));
}

#[test]
fn every_frame_comes_out_once_with_its_times() {
    let (_directory, path) = mp4();
    let media = open(&path).unwrap();
    let sound = media.streams[1].clone();
    let sound = std::thread::spawn(move || pull_all(&sound).len());
    let frames = pull_all(&media.streams[0]);
    assert_eq!(frames.len(), 60);
    assert!(frames[0].as_frame().is_key);
    let mut times: Vec<_> = frames.iter().map(|frame| frame.presentation.unwrap()).collect();
    times.sort();
    assert_eq!(times[0], Duration::ZERO);
    assert!(times.windows(2).all(|pair| (pair[1] - pair[0]).as_millis().abs_diff(33) <= 1));
    assert!(frames.windows(2).all(|pair| pair[0].decode <= pair[1].decode));
    assert!(sound.join().unwrap() > 80);
}

#[test]
fn a_jump_goes_to_the_key_frame_before_it_also_from_the_end() {
    let (_directory, path) = mp4();
    let media = open(&path).unwrap();
    let sound = media.streams[1].clone();
    std::thread::spawn(move || pull_all(&sound));
    pull_all(&media.streams[0]);
    media.seek(Duration::from_millis(1_100)).unwrap();
    let frames = pull_all(&media.streams[0]);
    let first = frames[0].as_frame();
    assert!(first.is_key);
    assert_eq!(first.presentation, Some(Duration::from_secs(1)));
    assert_eq!(frames.len(), 30);
}

#[test]
fn containers_and_codecs_of_the_web_and_of_broadcast_are_opened() {
    let cases = [
        ("webmmux name=m", "vp8enc deadline=1", "opusenc", [Codec::Vp8, Codec::Opus]),
        ("matroskamux name=m", "vp9enc deadline=1 cpu-used=8", "vorbisenc", [Codec::Vp9, Codec::Vorbis]),
        ("mpegtsmux name=m", "x264enc ! h264parse", "avenc_aac ! aacparse", [Codec::H264Avc, Codec::AacAdts]),
        ("matroskamux name=m", "x264enc ! h264parse", "flacenc", [Codec::H264Avc, Codec::Flac]),
    ];
    for (muxer, video, audio, expected) in cases {
        let (_directory, path) = file("clip", &format!("{muxer} {PICTURES} ! {video} ! m. {SOUND} ! {audio} ! m."));
        let media = open(&path).unwrap_or_else(|error| panic!("{muxer} {video} {audio}: {error}"));
        assert_eq!(codecs(&media), expected, "{muxer}");
        let needs_configuration = !matches!(expected[1], Codec::AacAdts);
        assert_eq!(!media.streams[1].description.codec_data.is_empty(), needs_configuration, "{audio}");
        assert!(media.failure().is_none());
    }
}

#[test]
fn what_cannot_be_played_says_what_it_is_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file.mp4");
    let opened = |path: &Path| open(path).map(drop).unwrap_err();
    assert!(matches!(opened(&path), MediaError::Unreadable { .. }), "not there");
    assert!(matches!(opened(directory.path()), MediaError::Unreadable { .. }), "a directory");
    let pipe = directory.path().join("pipe.mp4");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    assert!(matches!(opened(&pipe), MediaError::Unreadable { .. }), "a pipe that nobody writes to");
    fs::write(&path, "").unwrap();
    assert!(matches!(opened(&path), MediaError::NotMedia { .. }), "empty");
    fs::write(&path, "no picture at all, but words").unwrap();
    assert!(matches!(opened(&path), MediaError::NotMedia { .. }), "text");
    let (_made, whole) = mp4();
    let bytes = fs::read(whole).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 3]).unwrap();
    let error = opened(&path);
    assert!(matches!(error, MediaError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("file.mp4"), "{error}");
}

#[test]
fn a_file_with_nothing_to_play_names_what_is_in_it() {
    let (_directory, path) = file("clip.avi", &format!("avimux name=m {PICTURES} ! jpegenc ! m."));
    let error = open(&path).map(drop).unwrap_err();
    assert!(matches!(&error, MediaError::NoStream { found, .. } if found == "image/jpeg"), "{error}");
}

#[test]
fn opening_stops_when_it_is_not_wanted_any_more() {
    let (_directory, path) = mp4();
    let error = Media::open(&path, &mut || true).map(drop).unwrap_err();
    assert!(matches!(error, MediaError::Unwanted { .. }), "{error}");
}

/// The first text may come long after the first picture, or never: the file opens all the same.
#[test]
fn texts_come_with_their_times_and_nothing_waits_for_them() {
    let directory = tempfile::tempdir().unwrap();
    let texts = directory.path().join("clip.srt");
    fs::write(&texts, "1\n00:00:01,000 --> 00:00:01,500\nHello\n").unwrap();
    let texts = format!("filesrc location={} ! subparse ! m.", texts.display());
    let (_directory, path) =
        file("clip.mkv", &format!("matroskamux name=m {PICTURES} ! x264enc ! h264parse ! m. {texts}"));
    let media = open(&path).unwrap();
    let [video, text] = &media.streams[..] else { panic!("{:?}", codecs(&media)) };
    assert_eq!(text.description.codec.kind(), MediaKind::Text);
    let video = video.clone();
    let pictures = std::thread::spawn(move || pull_all(&video).len());
    let frames = pull_all(text);
    assert_eq!(pictures.join().unwrap(), 60);
    let text = frames[0].as_frame();
    assert_eq!((text.presentation, text.data), (Some(Duration::from_secs(1)), &b"Hello"[..]));
    assert_eq!(text.duration, Some(Duration::from_millis(500)));
}
