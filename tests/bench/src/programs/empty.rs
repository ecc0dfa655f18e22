//! The empty program (see `bin/empty-session.rs`), started as the manager starts a session server.

use std::os::fd::AsFd;
use std::time::Instant;

use greenroom_core::hal::{Child, Descriptors, Received, Signal, Socket, Spawn};
use greenroom_hal_linux::process::{PidChild, Program, Spawner};
use greenroom_hal_linux::socket::SeqPacket;
use greenroom_tests::programs;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::milliseconds_since;
use crate::Failure;
use crate::pinning::{Pinning, on};

/// What takes longer is stuck.
const PATIENCE: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };

/// One that has said that it is up.
pub(crate) struct EmptyProgram {
    child: PidChild,
    link: SeqPacket,
}

impl EmptyProgram {
    /// Starts it where session servers run.
    pub(super) fn start(pinning: Pinning) -> Result<Self, Failure> {
        Self::of("empty-session", pinning)
    }

    /// Starts this program, which says over its link that it is up, and ends with it.
    pub(crate) fn of(program: &str, pinning: Pinning) -> Result<Self, Failure> {
        let mut spawner = Spawner::new(Program { path: programs::find(program)?, ..Program::default() });
        let (child, mut link) = on(pinning.greenroom, pinning.app, || spawner.spawn())??;
        wait_for(&link)?;
        match link.receive(&mut [0; 8], &mut Descriptors::new())? {
            Received::Message { .. } => Ok(Self { child, link }),
            _ => Err("the empty program did not come up".into()),
        }
    }

    pub(super) fn process_id(&self) -> u32 {
        self.child.process_id()
    }

    /// Lets it end by itself; milliseconds until that was seen.
    pub(crate) fn end(self) -> Result<f64, Failure> {
        let Self { child, link } = self;
        let start = Instant::now();
        drop(link);
        reap(child)?;
        Ok(milliseconds_since(start))
    }

    /// Kills it; milliseconds until that was seen.
    pub(super) fn kill(mut self) -> Result<f64, Failure> {
        let start = Instant::now();
        self.child.signal(Signal::Kill)?;
        reap(self.child)?;
        Ok(milliseconds_since(start))
    }
}

fn reap(mut child: PidChild) -> Result<(), Failure> {
    wait_for(&child)?;
    child.try_wait()?.map(drop).ok_or_else(|| "the empty program has not ended".into())
}

fn wait_for(descriptor: &impl AsFd) -> Result<(), Failure> {
    match poll(&mut [PollFd::new(descriptor, PollFlags::IN)], Some(&PATIENCE))? {
        0 => Err("the empty program is stuck".into()),
        _ => Ok(()),
    }
}
