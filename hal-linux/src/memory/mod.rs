//! Shared memory and bells between a session server and its clients: sealed memfds and eventfds.
//!
//! | region | the server's mapping | the client's mapping | seals |
//! |---|---|---|---|
//! | the client's | read, and write although it never does | read and write | shrink, grow, seal |
//! | the server's | read and write | read | shrink, grow, future write, seal |
//!
//! The seals hold the size, so that no peer can cut a region short under a mapping (that would be SIGBUS), and after our
//! own mapping of the server's region nobody can make another that writes. Both sides map only what is sealed so.
//!
//! The server maps the client's region with the right to write, which a [`PeerRegion`] has no method for: small frames are
//! read an eighth faster through such a mapping than through one for reading only (measured on a virtual machine, EPYC Zen 5,
//! Linux 6.18). A client has no such choice.
//!
//! The regions are sparse: a page costs memory once it is touched. [`populate`] takes the pages of a ring's payload
//! before a session plays, so that want of memory is an error of that moment; [`punch`] gives them back.

mod bell;
mod copy;
mod fence;
mod mapping;
pub mod trace;

use std::os::fd::{AsFd, OwnedFd};

use greenroom_core::hal::{self, ErrorKind, SharedMemory};
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use rustix::io::Errno;

pub use bell::EventFd;
pub use mapping::{OwnRegion, PeerRegion};

use crate::error::LinuxError;
use mapping::Mapping;

/// What holds a region's size for good.
const SIZE_SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

/// Makes a session server's shared memory and bells.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinuxMemory;

impl hal::ErrorType for LinuxMemory {
    type Error = LinuxError;
}

impl SharedMemory for LinuxMemory {
    type Descriptor = OwnedFd;
    type PeerRegion = PeerRegion;
    type OwnRegion = OwnRegion;
    type Doorbell = EventFd;

    fn create(
        &mut self,
        client_bytes: u32,
        server_bytes: u32,
    ) -> Result<((PeerRegion, OwnedFd), (OwnRegion, OwnedFd)), LinuxError> {
        Ok((clients_region(client_bytes)?, servers_region(server_bytes)?))
    }

    fn doorbell(&mut self) -> Result<(EventFd, OwnedFd), LinuxError> {
        let ours = EventFd::new()?;
        let theirs = ours.as_fd().try_clone_to_owned();
        Ok((ours, theirs.map_err(|cause| LinuxError::other("duplicate a bell", ErrorKind::Exhausted, cause))?))
    }

    fn duplicate(&mut self, region: &OwnedFd) -> Result<OwnedFd, LinuxError> {
        let another = region.try_clone();
        another.map_err(|cause| LinuxError::other("duplicate shared memory", ErrorKind::Exhausted, cause))
    }

    fn populate(&mut self, region: &OwnedFd, offset: u32, bytes: u32) -> Result<(), LinuxError> {
        populate(region, offset, bytes)
    }

    fn give_back(&mut self, region: &OwnedFd, bytes: u32) {
        if let Err(error) = punch(region, 0, bytes) {
            tracing::warn!(%error, "the memory stays until the client unmaps it");
        }
    }
}

/// Maps, in a client, the region that the client writes. `bytes` is what the session server said.
pub fn attach_own(descriptor: impl AsFd, bytes: u32) -> Result<OwnRegion, LinuxError> {
    verify(&descriptor, bytes)?;
    Ok(Mapping::read_write(descriptor.as_fd(), bytes)?.into())
}

/// Maps, in a client, the region that the session server writes. `bytes` is what the session server said.
pub fn attach_peer(descriptor: impl AsFd, bytes: u32) -> Result<PeerRegion, LinuxError> {
    verify(&descriptor, bytes)?;
    Ok(Mapping::read_only(descriptor.as_fd(), bytes)?.into())
}

/// Takes memory for these bytes of a region now. [`ErrorKind::Exhausted`] where there is too little.
pub fn populate(descriptor: impl AsFd, offset: u32, bytes: u32) -> Result<(), LinuxError> {
    rustix::fs::fallocate(descriptor, FallocateFlags::KEEP_SIZE, offset.into(), bytes.into())
        .map_err(|errno| LinuxError::new("take memory for frames", errno))
}

/// Gives the memory of these bytes of the client's region back; they read as zero from then on. Whole pages only.
pub fn punch(descriptor: impl AsFd, offset: u32, bytes: u32) -> Result<(), LinuxError> {
    let mode = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(descriptor, mode, offset.into(), bytes.into())
        .map_err(|errno| LinuxError::new("give back memory of frames", errno))
}

fn clients_region(bytes: u32) -> Result<(PeerRegion, OwnedFd), LinuxError> {
    let memory = memfd("greenroom-client", bytes)?;
    seal(&memory, SIZE_SEALS)?;
    Ok((Mapping::read_write(memory.as_fd(), bytes)?.into(), memory))
}

fn servers_region(bytes: u32) -> Result<(OwnRegion, OwnedFd), LinuxError> {
    let memory = memfd("greenroom-server", bytes)?;
    let mapping = Mapping::read_write(memory.as_fd(), bytes)?;
    seal(&memory, SIZE_SEALS | SealFlags::FUTURE_WRITE)?;
    Ok((mapping.into(), memory))
}

fn memfd(name: &'static str, bytes: u32) -> Result<OwnedFd, LinuxError> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels before 6.3 do not know the flag that keeps programs from being run out of it.
    let memory = match rustix::fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => rustix::fs::memfd_create(name, flags),
        made => made,
    }
    .map_err(|errno| LinuxError::new("make shared memory", errno))?;
    rustix::fs::ftruncate(&memory, bytes.into()).map_err(|errno| LinuxError::new("size shared memory", errno))?;
    Ok(memory)
}

fn seal(memory: &OwnedFd, seals: SealFlags) -> Result<(), LinuxError> {
    rustix::fs::fcntl_add_seals(memory, seals).map_err(|errno| LinuxError::new("seal shared memory", errno))
}

/// Refuses what a peer could cut short under our mapping, and what is not what it was said to be.
fn verify(descriptor: impl AsFd, bytes: u32) -> Result<(), LinuxError> {
    const STEP: &str = "use shared memory from the peer";
    let seals = rustix::fs::fcntl_get_seals(&descriptor).map_err(|errno| LinuxError::new(STEP, errno))?;
    if !seals.contains(SIZE_SEALS) {
        return Err(LinuxError::other(STEP, ErrorKind::Denied, "its size is not sealed"));
    }
    let actual = rustix::fs::fstat(&descriptor).map_err(|errno| LinuxError::new(STEP, errno))?.st_size;
    if u64::try_from(actual) != Ok(bytes.into()) {
        let cause = format_args!("it has {actual} bytes instead of {bytes}").to_string();
        return Err(LinuxError::other(STEP, ErrorKind::Denied, cause));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
