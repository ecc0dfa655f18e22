//! Which processor each side of a comparison runs on.

use std::fmt;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Failure;

/// The two processors of a comparison: the first two that this program may use, or twice the only one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pinning {
    /// Where this process runs, which takes frames.
    pub(crate) receiver: usize,
    /// Where the other process or thread runs, which sends them.
    pub(crate) sender: usize,
}

impl Pinning {
    pub(crate) fn choose() -> Result<Self, Failure> {
        let allowed = sched_getaffinity(None)?;
        let mut processors = (0..CpuSet::MAX_CPU).filter(|&processor| allowed.is_set(processor));
        let receiver = processors.next().ok_or("this program may use no processor")?;
        Ok(Self { receiver, sender: processors.next().unwrap_or(receiver) })
    }
}

impl fmt::Display for Pinning {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "sender on processor {}, receiver on processor {}", self.sender, self.receiver)
    }
}

/// Lets the calling thread, and what it starts from now on, run on this processor alone.
pub(crate) fn pin(processor: usize) -> Result<(), Failure> {
    let mut only = CpuSet::new();
    only.set(processor);
    Ok(sched_setaffinity(None, &only)?)
}
