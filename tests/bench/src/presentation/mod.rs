//! The presentation service: what its transports carry, how long a page waits for its connection, what a crowd of devices
//! and of sessions costs.
//!
//! Both devices are on this machine, over its loopback interface: who asks is on the processor of the app, who shows on
//! the other one, and so are the bare programs beside them.

mod bare_device;
mod crowd;
mod device;
mod end;
mod far;
mod sessions;
mod starting;
mod transports;
mod visitor;

use std::os::fd::AsFd;
use std::time::Duration;

use greenroom_core::hal::Interest;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub(crate) use bare_device::{Orders as BareDeviceOrders, run as bare_device};
pub(crate) use far::{Orders as FarOrders, run as far};

use crate::Failure;
use crate::pinning::Pinning;
use crate::report::Report;

/// What takes longer is stuck.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn measure(report: &mut Report, pinning: Pinning, rounds: u32) -> Result<(), Failure> {
    sessions::measure(report, rounds)?;
    transports::measure(report, pinning, rounds)?;
    starting::measure(report, pinning, rounds)?;
    crowd::measure(report, pinning, rounds)
}

/// Waits until a descriptor is ready for something, or has failed.
fn wait_for(what: &impl AsFd, interest: Interest) -> Result<(), Failure> {
    let flags = match interest {
        Interest::None => PollFlags::empty(),
        Interest::Read => PollFlags::IN,
        Interest::Write => PollFlags::OUT,
        Interest::ReadWrite => PollFlags::IN | PollFlags::OUT,
    };
    match poll(&mut [PollFd::new(what, flags)], Some(&Timespec::try_from(PATIENCE)?))? {
        0 => Err("the other process is silent".into()),
        _ => Ok(()),
    }
}
