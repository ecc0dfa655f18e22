//! Who a peer is.

use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};

use greenroom_core::hal::Peer;
use rustix::io::Errno;

/// `SO_PEERCRED`. The process is 0 when this one's namespace does not show it, which rustix's type cannot hold.
pub(crate) fn peer(socket: BorrowedFd<'_>) -> Result<Peer, Errno> {
    let mut found = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut bytes = mem::size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the descriptor is open for the call; the kernel writes at most `bytes` bytes into `found`, which has as
    // many and takes any bits.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut found).cast(),
            &raw mut bytes,
        )
    };
    if result != 0 {
        return Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO));
    }
    Ok(Peer { process_id: found.pid.unsigned_abs(), user_id: found.uid, group_id: found.gid })
}
