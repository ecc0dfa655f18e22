//! Listening sockets that have a name in the file system.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use greenroom_core::hal::{ErrorKind, ErrorType, Listen, Listener, Peer, SocketPlace};
use greenroom_core::limits::SOCKET_PATH_BYTES_MAX;
use greenroom_core::message::Ids;
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketType, accept_with, bind, connect, listen, socket_with, sockopt,
};

use crate::credentials;
use crate::error::LinuxError;
use crate::owner;
use crate::socket::{self, SeqPacket};

/// Connections that may wait to be accepted, e.g. while a session server is replaced.
const BACKLOG: i32 = 16;

/// A socket that listens. Dropping it closes it and leaves its file.
#[derive(Debug)]
pub struct ListeningSocket {
    socket: OwnedFd,
}

impl ErrorType for ListeningSocket {
    type Error = LinuxError;
}

impl Listener for ListeningSocket {
    type Socket = SeqPacket;

    fn accept(&mut self) -> Result<Option<(SeqPacket, Peer)>, LinuxError> {
        loop {
            match accept_with(&self.socket, socket::flags()) {
                Ok(accepted) => {
                    let accepted = SeqPacket::accepted(accepted);
                    let peer = accepted.peer()?;
                    let groups = groups_of(&accepted, &peer);
                    return Ok(Some((accepted, Peer { groups, ..peer })));
                }
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(errno) => return Err(LinuxError::new("accept a connection", errno)),
            }
        }
    }
}

/// The peer's supplementary groups, as the kernel knows them; an old kernel does not tell, but the group database does.
fn groups_of(socket: &SeqPacket, peer: &Peer) -> Ids {
    match credentials::groups(socket.as_fd()) {
        Ok(groups) => Ids::first_of(&groups),
        Err(_) => Ids::first_of(&owner::groups_of(peer.user_id, peer.group_id)),
    }
}

impl AsFd for ListeningSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Makes listening sockets, and remembers their files so that it removes no other's.
#[derive(Debug, Default)]
pub struct SocketFiles {
    /// Each descriptor holds a file's number: while it is open no other file can get it.
    files: BTreeMap<String, OwnedFd>,
}

impl SocketFiles {
    /// No files yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Removes the sockets in this directory whose names end with `ending` and that nobody listens on: those of session
    /// servers that were killed, where the manager that would have removed them was killed as well (SM-34).
    pub fn sweep(directory: &Path, ending: &str) {
        let entries = std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
        let sockets = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_socket()));
        for path in sockets.filter_map(|entry| entry.path().into_os_string().into_string().ok()) {
            if path.ends_with(ending) {
                // One that is in use stays, and so does one that may not be removed.
                let _ = address(&path).and_then(|address| clear_way(&path, &address));
            }
        }
    }

    fn remember(&mut self, path: &str) -> Result<(), Errno> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        self.files.insert(path.to_owned(), file);
        Ok(())
    }
}

impl ErrorType for SocketFiles {
    type Error = LinuxError;
}

impl Listen for SocketFiles {
    type Listener = ListeningSocket;
    type Descriptor = OwnedFd;

    /// The socket cannot be connected to before it has its owner and its mode: it listens last.
    fn listen(&mut self, place: &SocketPlace<'_>) -> Result<ListeningSocket, LinuxError> {
        let path = place.path;
        let address = address(path)?;
        let (user, group) = (owner::user(place.owner)?, owner::group(place.group)?);
        clear_way(path, &address)?;
        let because = |errno| LinuxError::new("listen at", errno).about(path);
        let socket = new_socket().map_err(because)?;
        bind(&socket, &address).map_err(because)?;
        let listening = self.remember(path).and_then(|()| open_to(&socket, path, place.mode, user, group));
        if let Err(errno) = listening {
            self.remove(path);
            return Err(because(errno));
        }
        Ok(ListeningSocket { socket })
    }

    fn adopt(&mut self, descriptor: OwnedFd) -> Result<ListeningSocket, LinuxError> {
        const STEP: &str = "adopt a listening socket";
        if !socket::is_seqpacket(&descriptor) || sockopt::socket_acceptconn(&descriptor) != Ok(true) {
            return Err(LinuxError::other(STEP, ErrorKind::Unsupported, "it is no listening AF_UNIX SOCK_SEQPACKET"));
        }
        socket::prepare(&descriptor).map_err(|errno| LinuxError::new(STEP, errno))?;
        if let Some(path) = bound_path(&descriptor) {
            // Without its file it still accepts those who wait.
            let _ = self.remember(&path);
        }
        Ok(ListeningSocket { socket: descriptor })
    }

    fn duplicate(&mut self, listener: &ListeningSocket) -> Result<OwnedFd, LinuxError> {
        rustix::io::fcntl_dupfd_cloexec(&listener.socket, 0)
            .map_err(|errno| LinuxError::new("duplicate a listening socket", errno))
    }

    fn has_file(&self, path: &str) -> bool {
        self.files.get(path).is_some_and(|file| is_at(file, path))
    }

    fn remove(&mut self, path: &str) {
        let Some(file) = self.files.remove(path) else { return };
        if is_at(&file, path) {
            // Whoever was faster has done what is wanted.
            let _ = rustix::fs::unlink(path);
        }
    }

    fn remove_dead(&mut self, path: &str) {
        if let Ok(address) = address(path) {
            // What is in the way is to stay there.
            let _ = clear_way(path, &address);
        }
    }
}

fn is_at(file: &OwnedFd, path: &str) -> bool {
    let (Ok(ours), Ok(present)) = (rustix::fs::fstat(file), look_at(path)) else { return false };
    (ours.st_dev, ours.st_ino) == (present.st_dev, present.st_ino)
}

fn new_socket() -> Result<OwnedFd, Errno> {
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, socket::flags(), None)
}

fn address(path: &str) -> Result<SocketAddrUnix, LinuxError> {
    const STEP: &str = "listen at";
    if path.len() > SOCKET_PATH_BYTES_MAX {
        let cause = format!("a socket's path has at most {SOCKET_PATH_BYTES_MAX} bytes, this one has {}", path.len());
        return Err(LinuxError::other(STEP, ErrorKind::Unsupported, cause).about(path));
    }
    if !path.starts_with('/') {
        return Err(LinuxError::other(STEP, ErrorKind::Unsupported, "a socket's path starts with /").about(path));
    }
    SocketAddrUnix::new(path).map_err(|errno| LinuxError::new(STEP, errno).about(path))
}

/// Removes the file of a socket that nobody listens on; what else is there stays, and is a failure.
fn clear_way(path: &str, address: &SocketAddrUnix) -> Result<(), LinuxError> {
    let because = |errno| LinuxError::new("listen at", errno).about(path);
    let taken = |kind, cause: &str| Err(LinuxError::other("listen at", kind, cause).about(path));
    match look_at(path) {
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(because(errno)),
        Ok(found) if FileType::from_raw_mode(found.st_mode) != FileType::Socket => {
            return taken(ErrorKind::WrongKind, "what is there is no socket; remove it or choose another path");
        }
        Ok(_) => {}
    }
    match connect(new_socket().map_err(because)?, address) {
        Err(Errno::CONNREFUSED) => rustix::fs::unlink(path).map_err(because),
        // Another kind of socket, or one with a full queue, is as alive as one that takes the connection.
        Ok(()) | Err(Errno::AGAIN | Errno::PROTOTYPE) => taken(ErrorKind::Busy, "another process listens there"),
        Err(errno) => Err(because(errno)),
    }
}

fn look_at(path: &str) -> Result<Stat, Errno> {
    rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW)
}

/// The owner first: the mode's group bits are meant for the final group.
fn open_to(socket: &OwnedFd, path: &str, mode: u16, user: Option<Uid>, group: Option<Gid>) -> Result<(), Errno> {
    if user.is_some() || group.is_some() {
        rustix::fs::chownat(CWD, path, user, group, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    rustix::fs::chmod(path, Mode::from_raw_mode(u32::from(mode) & 0o777))?;
    listen(socket, BACKLOG)
}

fn bound_path(socket: &OwnedFd) -> Option<String> {
    let address = SocketAddrUnix::try_from(rustix::net::getsockname(socket).ok()?).ok()?;
    address.path()?.to_str().ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::UnixListener;

    use greenroom_core::hal::Error;

    use super::*;

    fn place(path: &str) -> SocketPlace<'_> {
        SocketPlace { path, mode: 0o660, owner: "", group: "" }
    }

    fn directory() -> (tempfile::TempDir, String) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.sock").to_str().unwrap().to_owned();
        (directory, path)
    }

    /// SM-08
    ///
    /// Field failure 18
    #[test]
    fn the_file_gets_its_owner_and_group() {
        let (_directory, path) = directory();
        let user = rustix::process::geteuid().as_raw();
        // Only root may give files away.
        let wanted = if user == 0 { 12_345 } else { user };
        let group = if user == 0 { 12_346 } else { rustix::process::getegid().as_raw() };
        let (owner, group_name) = (wanted.to_string(), group.to_string());
        let place = SocketPlace { owner: &owner, group: &group_name, ..place(&path) };
        let _listener = SocketFiles::new().listen(&place).unwrap();
        let made = std::fs::metadata(&path).unwrap();
        assert_eq!((made.uid(), made.gid(), made.mode() & 0o777), (wanted, group, 0o660));
    }

    #[test]
    fn a_peer_comes_with_its_supplementary_groups() {
        let (_directory, path) = directory();
        let mut listener = SocketFiles::new().listen(&place(&path)).unwrap();
        let _client = SeqPacket::connect(path.as_ref(), std::time::Duration::from_secs(10)).unwrap();
        let (_, peer) = listener.accept().unwrap().unwrap();
        let own: Vec<u32> = rustix::process::getgroups().unwrap().into_iter().map(Gid::as_raw).collect();
        assert_eq!(peer.groups, Ids::first_of(&own));
        assert_eq!(peer.user_id, rustix::process::geteuid().as_raw());
    }

    /// SM-08
    #[test]
    fn another_kind_of_socket_that_is_alive_is_busy_too() {
        let (_directory, path) = directory();
        let _stream = UnixListener::bind(&path).unwrap();
        let error = SocketFiles::new().listen(&place(&path)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy);
        assert_eq!(error.to_string(), format!("cannot listen at {path}: another process listens there"));
    }

    /// SM-08
    #[test]
    fn a_server_that_is_too_busy_to_accept_is_alive() {
        let (_directory, path) = directory();
        let _listener = SocketFiles::new().listen(&place(&path)).unwrap();
        let _waiting: Vec<_> = (0..=BACKLOG)
            .map(|_| SeqPacket::connect(path.as_ref(), std::time::Duration::from_secs(10)).unwrap())
            .collect();
        assert_eq!(SocketFiles::new().listen(&place(&path)).unwrap_err().kind(), ErrorKind::Busy);
    }

    /// SM-08
    #[test]
    fn a_link_to_elsewhere_is_not_followed() {
        let (directory, path) = directory();
        let elsewhere = directory.path().join("elsewhere");
        std::fs::write(&elsewhere, "kept").unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert_eq!(SocketFiles::new().listen(&place(&path)).unwrap_err().kind(), ErrorKind::WrongKind);
        assert_eq!(std::fs::read_to_string(elsewhere).unwrap(), "kept");
    }

    /// SM-34
    #[test]
    fn what_has_failed_after_the_file_was_made_removes_it() {
        let (_directory, path) = directory();
        let mut files = SocketFiles::new();
        let socket = new_socket().unwrap();
        bind(&socket, &address(&path).unwrap()).unwrap();
        files.remember(&path).unwrap();
        assert!(files.has_file(&path));
        files.remove(&path);
        assert!(!files.has_file(&path));
        assert!(!std::fs::exists(&path).unwrap());
        assert!(files.files.is_empty());
    }
}
