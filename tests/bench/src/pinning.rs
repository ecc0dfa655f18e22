//! Which processor each side of a comparison runs on.

use std::fmt;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Failure;

/// The two processors of a comparison: the first two that this program may use, or twice the only one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pinning {
    /// Where this process runs: what takes frames, and the app.
    pub(crate) app: usize,
    /// Where the other process or thread runs: what sends frames, and Greenroom.
    pub(crate) greenroom: usize,
}

impl Pinning {
    pub(crate) fn choose() -> Result<Self, Failure> {
        let allowed = sched_getaffinity(None)?;
        let mut processors = (0..CpuSet::MAX_CPU).filter(|&processor| allowed.is_set(processor));
        let app = processors.next().ok_or("this program may use no processor")?;
        Ok(Self { app, greenroom: processors.next().unwrap_or(app) })
    }
}

impl fmt::Display for Pinning {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "app and receivers on processor {}, Greenroom and senders on processor {}",
            self.app, self.greenroom
        )
    }
}

/// Lets the calling thread, and what it starts from now on, run on this processor alone.
pub(crate) fn pin(processor: usize) -> Result<(), Failure> {
    let mut only = CpuSet::new();
    only.set(processor);
    Ok(sched_setaffinity(None, &only)?)
}

/// Lets the calling thread, and what it starts from now on, run on both processors.
pub(crate) fn release(pinning: Pinning) -> Result<(), Failure> {
    let mut both = CpuSet::new();
    both.set(pinning.app);
    both.set(pinning.greenroom);
    Ok(sched_setaffinity(None, &both)?)
}

/// Does something on this processor, in the calling thread; what it starts stays there.
pub(crate) fn on<T>(processor: usize, back_to: usize, what: impl FnOnce() -> T) -> Result<T, Failure> {
    pin(processor)?;
    let done = what();
    pin(back_to)?;
    Ok(done)
}
