//! One mapped region, shared by the rings in it.

use std::ffi::c_void;
use std::fmt;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering, fence};

use greenroom_core::hal::{ErrorKind, OutOfRegion, Region, RegionMut};
use rustix::mm::{MapFlags, ProtFlags};

use super::copy::copy_racing;
use super::fence::full_fence;
use crate::error::LinuxError;

/// A region that the peer writes and we only read. Clones share one mapping, which ends with the last of them.
pub type PeerRegion = Shared<false>;
/// A region that we write and the peer only reads. Clones share one mapping, which ends with the last of them.
pub type OwnRegion = Shared<true>;

/// A shared mapping that is written through, or only read.
#[derive(Clone)]
pub struct Shared<const WRITABLE: bool>(Arc<Mapping>);

/// Memory of a memfd whose size is sealed, or is about to be.
pub(super) struct Mapping {
    base: NonNull<u8>,
    bytes: u32,
}

// SAFETY: the memory belongs to no thread; all access goes through atomics and `copy_racing`, which allow others to
// write and read it at the same time.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub(super) fn read_only(memory: BorrowedFd<'_>, bytes: u32) -> Result<Self, LinuxError> {
        Self::new(memory, bytes, ProtFlags::READ)
    }

    pub(super) fn read_write(memory: BorrowedFd<'_>, bytes: u32) -> Result<Self, LinuxError> {
        Self::new(memory, bytes, ProtFlags::READ | ProtFlags::WRITE)
    }

    fn new(memory: BorrowedFd<'_>, bytes: u32, protection: ProtFlags) -> Result<Self, LinuxError> {
        const STEP: &str = "map shared memory";
        let length = isize::try_from(bytes).map_err(|cause| LinuxError::other(STEP, ErrorKind::Unsupported, cause))?;
        // SAFETY: a new mapping at an address that the kernel chooses touches nothing of ours.
        let base = unsafe {
            rustix::mm::mmap(std::ptr::null_mut(), length.unsigned_abs(), protection, MapFlags::SHARED, memory, 0)
        };
        let base = base.map_err(|errno| LinuxError::new(STEP, errno))?.cast();
        let base =
            NonNull::new(base).ok_or_else(|| LinuxError::other(STEP, ErrorKind::Other, "it lies at address 0"))?;
        Ok(Self { base, bytes })
    }

    /// All of it.
    ///
    /// # Safety
    ///
    /// It was made by [`Self::read_write`], and nobody else writes it.
    pub(super) unsafe fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: mapped for that many bytes for as long as `self`; the caller vouches for the rest.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr(), self.bytes as usize) }
    }

    /// Where `bytes` bytes from `offset` on lie. The only place where an address is made.
    #[inline]
    fn at(&self, offset: u32, bytes: usize) -> Result<NonNull<u8>, OutOfRegion> {
        let end = u32::try_from(bytes).ok().and_then(|bytes| offset.checked_add(bytes)).ok_or(OutOfRegion)?;
        if end > self.bytes {
            return Err(OutOfRegion);
        }
        // SAFETY: `offset` is at most `self.bytes`, which is mapped and fits into an `isize`.
        Ok(unsafe { self.base.add(offset as usize) })
    }

    #[inline]
    fn word(&self, offset: u32) -> Result<&AtomicU32, OutOfRegion> {
        let word = self.at(offset, size_of::<u32>())?.cast();
        if !word.is_aligned() {
            return Err(OutOfRegion);
        }
        // SAFETY: aligned, mapped for as long as `self`, and only ever used atomically by this process.
        Ok(unsafe { AtomicU32::from_ptr(word.as_ptr()) })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: made by mmap with this length; no address of it outlives `self`.
        let unmapped = unsafe { rustix::mm::munmap(self.base.as_ptr().cast::<c_void>(), self.bytes as usize) };
        debug_assert_eq!(unmapped, Ok(()));
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Mapping").field("bytes", &self.bytes).finish()
    }
}

impl<const WRITABLE: bool> Region for Shared<WRITABLE> {
    fn bytes(&self) -> u32 {
        self.0.bytes
    }

    #[inline]
    fn load(&self, offset: u32) -> Result<u32, OutOfRegion> {
        // Of memory that is mapped for reading only, Rust allows relaxed loads alone; the fence makes it acquire.
        let word = self.0.word(offset)?.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        Ok(word)
    }

    #[inline]
    fn read(&self, offset: u32, into: &mut [u8]) -> Result<(), OutOfRegion> {
        let from = self.0.at(offset, into.len())?;
        // SAFETY: `from` is mapped for that many bytes; `into` is ours and lies outside the mapping.
        unsafe { copy_racing(from.as_ptr(), into.as_mut_ptr(), into.len()) };
        Ok(())
    }

    #[inline]
    fn fence(&self) {
        full_fence();
    }
}

impl RegionMut for OwnRegion {
    #[inline]
    fn store(&self, offset: u32, word: u32) -> Result<(), OutOfRegion> {
        self.0.word(offset)?.store(word, Ordering::Release);
        Ok(())
    }

    #[inline]
    fn write(&self, offset: u32, from: &[u8]) -> Result<(), OutOfRegion> {
        let into = self.0.at(offset, from.len())?;
        // SAFETY: `into` is mapped for writing for that many bytes; `from` is ours and lies outside the mapping.
        unsafe { copy_racing(from.as_ptr(), into.as_ptr(), from.len()) };
        Ok(())
    }
}

impl<const WRITABLE: bool> From<Mapping> for Shared<WRITABLE> {
    fn from(mapping: Mapping) -> Self {
        Self(Arc::new(mapping))
    }
}

impl<const WRITABLE: bool> fmt::Debug for Shared<WRITABLE> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Shared").field("writable", &WRITABLE).field("bytes", &self.0.bytes).finish()
    }
}
