//! The memory of a trace: it is read by other processes while this one writes it, and stays when this one is gone.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use greenroom_core::hal::ErrorKind;
use rustix::fs::SealFlags;
use rustix::io::Errno;

use super::mapping::Mapping;
use super::{memfd, seal};
use crate::error::LinuxError;
use crate::socket::inherited;

/// Holds the size for good, and leaves the writer to seal it against all other writers.
const SIZE_SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW);
/// Leaves the one mapping that writes the only one.
const WRITER_SEALS: SealFlags = SealFlags::FUTURE_WRITE.union(SealFlags::SEAL);
const STEP: &str = "use the memory of a trace";

/// Makes a trace's memory, for another process to write. A page of it costs memory once it is written.
pub fn create(bytes: u32) -> Result<OwnedFd, LinuxError> {
    let memory = memfd("greenroom-trace", bytes)?;
    seal(&memory, SIZE_SEALS)?;
    Ok(memory)
}

/// A trace's memory, which this process writes. Nobody else can any more.
#[derive(Debug)]
pub struct TraceMemory {
    descriptor: OwnedFd,
    mapping: Mapping,
}

impl TraceMemory {
    /// New memory, of this process's own.
    pub fn new(bytes: u32) -> Result<Self, LinuxError> {
        Self::adopt(create(bytes)?)
    }

    /// Takes over the memory that came through `exec` under this number.
    pub fn from_inherited(number: RawFd) -> Result<Self, LinuxError> {
        let descriptor = inherited(number).ok_or_else(|| LinuxError::new(STEP, Errno::BADF).about(number))?;
        Self::adopt(descriptor)
    }

    /// Memory that [`create`] made for this process. Its size must be sealed, or whoever else has it could end this process
    /// by cutting it short.
    pub fn adopt(descriptor: OwnedFd) -> Result<Self, LinuxError> {
        let because = |errno| LinuxError::new(STEP, errno);
        let seals = rustix::fs::fcntl_get_seals(&descriptor).map_err(because)?;
        if !seals.contains(SIZE_SEALS) {
            return Err(because(Errno::PERM));
        }
        let size = rustix::fs::fstat(&descriptor).map_err(because)?.st_size;
        let bytes = u32::try_from(size).map_err(|_| because(Errno::FBIG))?;
        let mapping = Mapping::read_write(descriptor.as_fd(), bytes)?;
        seal(&descriptor, WRITER_SEALS)?;
        Ok(Self { descriptor, mapping })
    }
}

impl AsMut<[u8]> for TraceMemory {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: mapped for writing, for that many bytes and for as long as `self`. No other mapping that writes can be made
        // after ours (FUTURE_WRITE), and none was made before: who made the memory handed it to one process, and `share`s it
        // when it is sealed. What other processes read meanwhile is nothing that this one could see.
        unsafe { self.mapping.as_mut_slice() }
    }
}

impl AsFd for TraceMemory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Another descriptor of a trace's memory, for somebody who reads it; none while its writer has not sealed it yet, because
/// whoever had it before could write there, too.
pub fn share(memory: BorrowedFd<'_>) -> Result<Option<OwnedFd>, LinuxError> {
    const STEP: &str = "share the memory of a trace";
    let seals = rustix::fs::fcntl_get_seals(memory).map_err(|errno| LinuxError::new(STEP, errno))?;
    if !seals.contains(WRITER_SEALS) {
        return Ok(None);
    }
    let shared = memory.try_clone_to_owned();
    shared.map(Some).map_err(|cause| LinuxError::other(STEP, ErrorKind::Exhausted, cause))
}

/// Copies the memory of a trace, as it is just now. At most `bytes_max` bytes of it.
pub fn read(descriptor: impl AsFd, bytes_max: u32) -> Result<Vec<u8>, LinuxError> {
    let because = |errno| LinuxError::new("read the memory of a trace", errno);
    let size = rustix::fs::fstat(&descriptor).map_err(because)?.st_size;
    let size = u32::try_from(size).ok().filter(|&size| size <= bytes_max).ok_or_else(|| because(Errno::FBIG))?;
    let mut copy = vec![0; size as usize];
    let mut filled = 0;
    while filled < copy.len() {
        match rustix::io::pread(&descriptor, &mut copy[filled..], filled as u64) {
            Ok(0) => break,
            Ok(bytes) => filled += bytes,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(because(errno)),
        }
    }
    copy.truncate(filled);
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read_and_not_be_written_by_others() {
        let mut memory = TraceMemory::new(8192).unwrap();
        memory.as_mut()[5000] = 7;
        let other = memory.as_fd().try_clone_to_owned().unwrap();
        assert_eq!(read(&other, 8192).unwrap()[5000], 7);
        assert_eq!(rustix::io::pwrite(&other, &[1], 0), Err(Errno::PERM));
        assert!(Mapping::read_write(other.as_fd(), 8192).is_err());
        assert!(rustix::fs::ftruncate(&other, 0).is_err());
    }

    #[test]
    fn memory_whose_size_could_change_is_not_used() {
        let memory = memfd("greenroom-trace", 8192).unwrap();
        assert!(TraceMemory::adopt(memory).is_err());
    }

    #[test]
    fn memory_is_shared_when_nobody_else_can_write_it_any_more() {
        let descriptor = create(8192).unwrap();
        assert!(share(descriptor.as_fd()).unwrap().is_none());
        let _memory = TraceMemory::adopt(descriptor.try_clone().unwrap()).unwrap();
        let shared = share(descriptor.as_fd()).unwrap().unwrap();
        assert!(Mapping::read_write(shared.as_fd(), 8192).is_err());
    }

    #[test]
    fn memory_outlives_the_mapping_of_its_writer() {
        let descriptor = create(8192).unwrap();
        let mut memory = TraceMemory::adopt(descriptor.try_clone().unwrap()).unwrap();
        memory.as_mut()[0] = 9;
        drop(memory);
        assert_eq!(read(&descriptor, 8192).unwrap()[0], 9);
    }

    #[test]
    fn more_than_is_wanted_is_not_read() {
        assert!(read(create(8192).unwrap(), 4096).is_err());
    }
}
