//! Who a peer is, as the kernel vouches for it.

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
    outcome(result)?;
    Ok(Peer::new(found.pid.unsigned_abs(), found.uid, found.gid))
}

/// Groups that are asked for at first; a process has rarely more.
#[cfg(any(feature = "manager", feature = "presentation", feature = "session"))]
const GROUPS_AT_FIRST: usize = 64;

/// The supplementary groups that the peer had when it connected: `SO_PEERGROUPS`, since Linux 4.13.
#[cfg(any(feature = "manager", feature = "presentation", feature = "session"))]
pub(crate) fn groups(socket: BorrowedFd<'_>) -> Result<Vec<u32>, Errno> {
    let mut groups = vec![0; GROUPS_AT_FIRST];
    loop {
        let has = groups.len();
        match read_groups(socket, &mut groups) {
            // It says how many there are.
            (Err(Errno::RANGE), count) if count > has => groups.resize(count, 0),
            (Err(errno), _) => return Err(errno),
            (Ok(()), count) => {
                groups.truncate(count);
                return Ok(groups);
            }
        }
    }
}

/// Whether the groups were read, and how many the peer has.
#[cfg(any(feature = "manager", feature = "presentation", feature = "session"))]
fn read_groups(socket: BorrowedFd<'_>, groups: &mut [u32]) -> (Result<(), Errno>, usize) {
    let mut bytes = libc::socklen_t::try_from(mem::size_of_val(groups)).unwrap_or(libc::socklen_t::MAX);
    // SAFETY: the descriptor is open for the call; the kernel writes at most `bytes` bytes into `groups`, which has as
    // many and takes any bits.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERGROUPS,
            groups.as_mut_ptr().cast(),
            &raw mut bytes,
        )
    };
    (outcome(result), bytes as usize / mem::size_of::<u32>())
}

fn outcome(result: libc::c_int) -> Result<(), Errno> {
    if result == 0 {
        return Ok(());
    }
    Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
}
