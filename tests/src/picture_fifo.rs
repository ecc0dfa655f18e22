//! Decoded pictures, read from a named pipe that a session server writes them into.
//!
//! The session server's sink is configured to write into the pipe (see [`sink`]); nothing in the session server knows of it.
//! Each picture is stamped when it has arrived as a whole, so its pace is seen from the outside.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use rustix::io::Errno;
use rustix::pipe::fcntl_setpipe_size;

use crate::barcode;
use crate::picture::{BYTES, HEIGHT, Picture, WIDTH};

/// As much as Linux gives to everybody: more than one picture.
const PIPE_BYTES: usize = 1 << 20;
const LOOK_INTERVAL: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };

/// Whether pictures wait for their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Each picture at its time.
    RealTime,
    /// As fast as they are decoded.
    Unlimited,
}

/// The description of a sink that writes pictures into the pipe at `path`, in the size that is read here.
pub fn sink(path: &Path, pace: Pace) -> String {
    format!(
        "videoconvert ! videoscale ! video/x-raw,format=I420,width={WIDTH},height={HEIGHT},pixel-aspect-ratio=1/1 \
         ! filesink buffer-mode=2 sync={} location={}",
        pace == Pace::RealTime,
        path.display()
    )
}

/// One decoded picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When it was complete.
    pub at: Instant,
    /// What its bar code says, if it has one.
    pub number: Option<u16>,
}

/// What came through a pipe.
#[derive(Default)]
pub struct Recording {
    /// Every picture, in the order in which they came.
    pub arrivals: Vec<Arrival>,
    /// Some of them, with their places in `arrivals`.
    pub kept: Vec<(usize, Picture)>,
    /// Bytes of a last picture that was cut short.
    pub rest_bytes: usize,
}

/// A pipe that is read on a thread of its own.
pub struct PictureFifo {
    path: PathBuf,
    shared: Arc<Shared>,
    thread: JoinHandle<io::Result<Recording>>,
}

#[derive(Default)]
struct Shared {
    count: AtomicUsize,
    is_over: AtomicBool,
}

impl PictureFifo {
    /// Makes the pipe and reads it from now on. Every `keep_every`th picture is kept.
    pub fn create(path: &Path, keep_every: usize) -> io::Result<Self> {
        mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        // Open for writing, too: so it never ends, however often a session server comes and goes.
        let pipe = open(path, OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
        // A smaller pipe works as well, with more turns.
        let _ = fcntl_setpipe_size(&pipe, PIPE_BYTES);
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("pictures".into())
            .spawn(move || Reader::new(pipe, keep_every.max(1)).read(&theirs))?;
        Ok(Self { path: path.to_owned(), shared, thread })
    }

    /// How many pictures have come so far.
    pub fn count(&self) -> usize {
        self.shared.count.load(Ordering::Relaxed)
    }

    /// Reads what is still in the pipe, ends the thread and removes the pipe. Nobody may write any more.
    pub fn finish(self) -> io::Result<Recording> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let recording = self.thread.join().map_err(|_| io::Error::other("the reading thread panicked"))?;
        std::fs::remove_file(&self.path)?;
        recording
    }
}

struct Reader {
    pipe: OwnedFd,
    keep_every: usize,
    buffer: Vec<u8>,
    filled: usize,
    recording: Recording,
}

impl Reader {
    fn new(pipe: OwnedFd, keep_every: usize) -> Self {
        Self { pipe, keep_every, buffer: vec![0; BYTES], filled: 0, recording: Recording::default() }
    }

    fn read(mut self, shared: &Shared) -> io::Result<Recording> {
        loop {
            // Asked before the pipe is found empty, so that nothing is missed that was written before.
            let is_over = shared.is_over.load(Ordering::Relaxed);
            while self.read_some()? {
                shared.count.store(self.recording.arrivals.len(), Ordering::Relaxed);
            }
            if is_over {
                self.recording.rest_bytes = self.filled;
                return Ok(self.recording);
            }
            match poll(&mut [PollFd::new(&self.pipe, PollFlags::IN)], Some(&LOOK_INTERVAL)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// False when the pipe is empty.
    fn read_some(&mut self) -> io::Result<bool> {
        match rustix::io::read(&self.pipe, &mut self.buffer[self.filled..]) {
            Ok(bytes) => self.filled += bytes,
            Err(Errno::AGAIN) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        if self.filled == BYTES {
            self.take_picture(Instant::now());
        }
        Ok(true)
    }

    fn take_picture(&mut self, at: Instant) {
        self.filled = 0;
        let number = barcode::read(&self.buffer[..WIDTH * HEIGHT], WIDTH);
        let place = self.recording.arrivals.len();
        self.recording.arrivals.push(Arrival { at, number });
        if place.is_multiple_of(self.keep_every) {
            self.recording.kept.extend(Picture::from_bytes(self.buffer.clone()).map(|picture| (place, picture)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::test_card::{self, Style};

    const STYLE: Style = Style { background: [30, 60, 140], dots: 1 };

    fn pipe() -> (tempfile::TempDir, PictureFifo) {
        let place = tempfile::tempdir().unwrap();
        let fifo = PictureFifo::create(&place.path().join("pictures"), 2).unwrap();
        (place, fifo)
    }

    fn write(place: &tempfile::TempDir, bytes: &[u8]) {
        let mut pipe = std::fs::OpenOptions::new().write(true).open(place.path().join("pictures")).unwrap();
        pipe.write_all(bytes).unwrap();
    }

    #[test]
    fn pictures_are_told_apart_and_come_in_their_order_also_from_several_writers() {
        let (place, fifo) = pipe();
        for number in [3, 1, 4] {
            write(&place, &test_card::draw(number, STYLE).into_bytes());
        }
        let recording = fifo.finish().unwrap();
        let numbers: Vec<_> = recording.arrivals.iter().map(|arrival| arrival.number).collect();
        assert_eq!(numbers, [Some(3), Some(1), Some(4)]);
        assert!(recording.arrivals.is_sorted_by_key(|arrival| arrival.at));
        assert_eq!(recording.kept.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [0, 2]);
        assert!(!place.path().join("pictures").exists());
    }

    #[test]
    fn a_picture_cut_short_is_not_counted() {
        let (place, fifo) = pipe();
        write(&place, &[16; BYTES + 5]);
        let recording = fifo.finish().unwrap();
        assert_eq!((recording.arrivals.len(), recording.rest_bytes), (1, 5));
        assert_eq!(recording.arrivals[0].number, None);
    }

    #[test]
    fn a_pipe_that_nobody_writes_to_gives_nothing() {
        let (_place, fifo) = pipe();
        assert_eq!(fifo.count(), 0);
        assert!(fifo.finish().unwrap().arrivals.is_empty());
    }
}
