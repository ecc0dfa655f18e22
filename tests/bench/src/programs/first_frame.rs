//! From the moment at which an app is told that it is Active until its first picture comes out of the sink. Beside it
//! `gst-launch-1.0`, from its start until the first picture of the same stream comes out of the same elements.
//!
//! Both write pictures into a pipe as they are decoded; the first byte counts. The session server is a new one each time,
//! which has not used GStreamer before; `active_again_to_first_frame` is of one that has.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use greenroom_core::message::TargetState;
use greenroom_hal_linux::client::Client;
use greenroom_tests::tv_box::Setup;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use rustix::io::Errno;
use rustix::pipe::fcntl_setpipe_size;

use super::app::{self, Clip};
use super::milliseconds_since;
use super::stage::{APP, Stage};
use crate::Failure;
use crate::figure::{Figure, Target};
use crate::pinning::{Pinning, on};
use crate::report::{Report, progress};
use crate::rounds::interleave;

const RATIO_MAX: f64 = 1.2;
/// So few that all of them fit into the pipe: nobody waits for its reader.
const PICTURES: u32 = 8;
const PIPE_BYTES: usize = 1 << 20;
/// What takes longer never comes.
const PATIENCE: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };

pub(crate) fn measure(report: &mut Report, pinning: Pinning, rounds: u32) -> Result<(), Failure> {
    let setup = Setup::new();
    let clip = Clip::make(setup.place(), PICTURES)?;
    let pipe = RefCell::new(Pipe::make(setup.place().join("pictures"))?);
    let sink = format!("filesink buffer-mode=2 sync=false location={}", pipe.borrow().path.display());
    let setup = setup.more(&format!("[app.{APP:?}]\nvideo_sink = {sink:?}"));
    let theatre = RefCell::new(Theatre { stage: Stage::set_up(setup, pinning)?, clip: &clip, pipe: &pipe });
    let bar = progress("first pictures", 3 * rounds);
    let spreads = interleave(
        [&mut || theatre.borrow_mut().premiere(), &mut || theatre.borrow_mut().revival(), &mut || {
            let elapsed_ms = launch(&clip.path, &sink, &pipe.borrow(), pinning)?;
            pipe.borrow_mut().empty()?;
            Ok(elapsed_ms)
        }],
        rounds,
        || bar.inc(1),
    )?;
    bar.finish_and_clear();
    let [first, again, launch] = spreads;
    for (name, value) in [("active_to_first_frame", first), ("active_again_to_first_frame", again)] {
        report.add(Figure::new(name, "ms", value, "gst-launch-1.0", launch).target(Target::RatioMax(RATIO_MAX)));
    }
    Ok(())
}

/// A box whose app shows its pictures in a pipe.
struct Theatre<'a> {
    stage: Stage,
    clip: &'a Clip,
    pipe: &'a RefCell<Pipe>,
}

impl Theatre<'_> {
    /// The first performance of a session server.
    fn premiere(&mut self) -> Result<f64, Failure> {
        let client = self.open()?;
        let elapsed_ms = self.perform(&client)?;
        self.close(client);
        Ok(elapsed_ms)
    }

    /// The second one.
    fn revival(&mut self) -> Result<f64, Failure> {
        let client = self.open()?;
        self.perform(&client)?;
        let elapsed_ms = self.perform(&client)?;
        self.close(client);
        Ok(elapsed_ms)
    }

    /// The app, Inactive, with a session server of its own.
    fn open(&mut self) -> Result<Client, Failure> {
        let controller = &mut self.stage.controller;
        controller.bring_up(APP, TargetState::Inactive);
        Ok(Client::connect(controller.socket_of(APP))?)
    }

    fn close(&mut self, client: Client) {
        drop(client);
        self.stage.controller.bring_to(APP, TargetState::NotRunning);
    }

    /// Milliseconds from Active to the first picture.
    fn perform(&mut self, client: &Client) -> Result<f64, Failure> {
        self.stage.controller.bring_to(APP, TargetState::Active);
        let start = Instant::now();
        let performance = app::play(client, self.clip)?;
        self.pipe.borrow().wait()?;
        let elapsed_ms = milliseconds_since(start);
        performance.session.destroy()?;
        self.stage.controller.bring_to(APP, TargetState::Inactive);
        self.pipe.borrow_mut().empty()?;
        Ok(elapsed_ms)
    }
}

fn launch(file: &Path, sink: &str, pipe: &Pipe, pinning: Pinning) -> Result<f64, Failure> {
    let elements =
        format!("filesrc location={} ! h264parse ! avdec_h264 ! queue ! videoconvert ! {sink}", file.display());
    let mut command = Command::new("gst-launch-1.0");
    command.arg("-q").args(elements.split_whitespace()).stdin(Stdio::null());
    let start = Instant::now();
    let mut child = on(pinning.greenroom, pinning.app, || command.spawn())??;
    let came = pipe.wait();
    let elapsed_ms = milliseconds_since(start);
    child.wait()?;
    came.map(|()| elapsed_ms)
}

/// A named pipe that is emptied at once and read for nothing else.
struct Pipe {
    path: PathBuf,
    end: OwnedFd,
}

impl Pipe {
    fn make(path: PathBuf) -> Result<Self, Failure> {
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        // Open for writing, too: so it never ends, however often a writer comes and goes.
        let end = open(&path, OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
        fcntl_setpipe_size(&end, PIPE_BYTES)?;
        Ok(Self { path, end })
    }

    fn wait(&self) -> Result<(), Failure> {
        match poll(&mut [PollFd::new(&self.end, PollFlags::IN)], Some(&PATIENCE))? {
            0 => Err("no picture came".into()),
            _ => Ok(()),
        }
    }

    /// Takes out what is in it.
    fn empty(&mut self) -> Result<(), Failure> {
        let mut buffer = vec![0; PIPE_BYTES];
        loop {
            match rustix::io::read(&self.end, &mut buffer[..]) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}
