//! Connections that carry whole messages, with descriptors.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::time::{Duration, Instant};

use greenroom_core::hal::{Descriptors, ErrorKind, ErrorType, Peer, Received, Sent, Socket};
use greenroom_core::limits::DESCRIPTORS_MAX;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, RecvMsg, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, recvmsg, sendmsg, socket_with,
    socketpair, sockopt,
};

use crate::credentials;
use crate::error::LinuxError;

const INHERIT: &str = "use the inherited descriptor";

const ANCILLARY_BYTES: usize = rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX));

/// One end of a connected `SOCK_SEQPACKET` socket. It never blocks and is never inherited by a child.
///
/// An empty message cannot be sent: its receiver could not always tell it from the end.
#[derive(Debug)]
pub struct SeqPacket {
    socket: OwnedFd,
}

impl SeqPacket {
    /// Two ends of a new connection.
    pub fn pair() -> Result<(Self, Self), LinuxError> {
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags(), None)
            .map(|(one, other)| (Self { socket: one }, Self { socket: other }))
            .map_err(|errno| LinuxError::new("make a socket pair", errno))
    }

    /// Connects to the socket at `path`. While its queue of connections is full this waits, up to `timeout`: the one
    /// call here that blocks.
    ///
    /// Fails with [`ErrorKind::NotFound`] when there is no such file, [`ErrorKind::Gone`] when nobody listens on it,
    /// [`ErrorKind::Denied`] when its permissions say so, and [`ErrorKind::Busy`] after `timeout`.
    pub fn connect(path: &Path, timeout: Duration) -> Result<Self, LinuxError> {
        let address = SocketAddrUnix::new(path).map_err(|errno| connect_error(path, errno))?;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(|errno| connect_error(path, errno))?;
        connect_within(&socket, &address, timeout).map_err(|errno| connect_error(path, errno))?;
        rustix::io::ioctl_fionbio(&socket, true).map_err(|errno| connect_error(path, errno))?;
        Ok(Self { socket })
    }

    /// Takes over the connected socket that this process inherited as this descriptor. To be called before a child is
    /// started, which makes sure that it inherits nothing of ours.
    ///
    /// Fails with [`ErrorKind::NotFound`] when no descriptor of this number was inherited, or it has been taken, and with
    /// [`ErrorKind::Unsupported`] when it is something else.
    pub fn from_inherited(number: RawFd) -> Result<Self, LinuxError> {
        let socket = inherited(number).ok_or_else(|| {
            LinuxError::other(INHERIT, ErrorKind::NotFound, "it was not inherited, or is in use").about(number)
        })?;
        Self::from_descriptor(socket).map_err(|error| error.about(number))
    }

    /// Takes over a connected socket that another process handed to this one.
    ///
    /// Fails with [`ErrorKind::Unsupported`] when the descriptor is something else.
    pub fn from_descriptor(socket: OwnedFd) -> Result<Self, LinuxError> {
        if !is_seqpacket(&socket) || sockopt::socket_acceptconn(&socket).unwrap_or(true) {
            return Err(LinuxError::other(
                INHERIT,
                ErrorKind::Unsupported,
                "it is no connected AF_UNIX SOCK_SEQPACKET",
            ));
        }
        prepare(&socket).map_err(|errno| LinuxError::new(INHERIT, errno))?;
        Ok(Self { socket })
    }

    /// A socket that `accept` has made with [`flags`].
    #[cfg(any(feature = "manager", feature = "presentation", feature = "session"))]
    pub(crate) fn accepted(socket: OwnedFd) -> Self {
        Self { socket }
    }

    /// Who is at the other end: the process that connected, listened or made the pair, as it was then.
    pub fn peer(&self) -> Result<Peer, LinuxError> {
        credentials::peer(self.socket.as_fd()).map_err(|errno| LinuxError::new("ask who the peer is", errno))
    }

    /// Lets messages of so many bytes be sent, which may be more than the system's default.
    #[cfg(any(feature = "content", feature = "presentation"))]
    pub fn make_room_for(&self, message_bytes: usize) -> Result<(), LinuxError> {
        sockopt::set_socket_send_buffer_size(&self.socket, message_bytes)
            .map_err(|errno| LinuxError::new("make room for messages", errno))
    }

    /// The descriptor, e.g. to hand it to another process.
    pub fn into_descriptor(self) -> OwnedFd {
        self.socket
    }

    /// A peer that closes before it has read everything leaves one `ECONNRESET` in front of what it has sent.
    fn read(&self, buffer: &mut [u8], ancillary: &mut RecvAncillaryBuffer<'_>) -> Result<RecvMsg, Errno> {
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        loop {
            match recvmsg(&self.socket, &mut [IoSliceMut::new(buffer)], ancillary, flags) {
                Err(Errno::INTR | Errno::CONNRESET) => {}
                read => return read,
            }
        }
    }

    /// Whether the peer has closed: tells the end from an empty message, which also reads as no bytes. An empty
    /// message of a peer that has closed since is taken for the end.
    fn has_ended(&self) -> bool {
        let mut socket = [PollFd::new(&self.socket, PollFlags::RDHUP)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        match retry_on_intr(|| poll(&mut socket, Some(&now))) {
            Ok(_) => socket[0].revents().intersects(PollFlags::RDHUP | PollFlags::HUP),
            Err(_) => true,
        }
    }
}

/// Takes the descriptors out; `false` when there were more than fit. What is not taken is closed.
fn take_descriptors(ancillary: &mut RecvAncillaryBuffer<'_>, descriptors: &mut Descriptors<OwnedFd>) -> bool {
    let mut all_taken = true;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            for descriptor in rights {
                all_taken &= descriptors.push(descriptor).is_ok();
            }
        }
    }
    all_taken
}

impl ErrorType for SeqPacket {
    type Error = LinuxError;
}

impl Socket for SeqPacket {
    type Descriptor = OwnedFd;

    /// Fails with [`ErrorKind::Gone`] when the peer has closed.
    fn send(&mut self, message: &[u8], descriptors: &[&OwnedFd]) -> Result<Sent, LinuxError> {
        const STEP: &str = "send a message";
        if message.is_empty() {
            return Err(LinuxError::other(STEP, ErrorKind::Unsupported, "it is empty"));
        }
        if descriptors.len() > DESCRIPTORS_MAX {
            return Err(LinuxError::other(STEP, ErrorKind::Unsupported, "it has too many descriptors"));
        }
        let borrowed: Descriptors<BorrowedFd<'_>> = descriptors.iter().map(|descriptor| descriptor.as_fd()).collect();
        let mut space = [MaybeUninit::uninit(); ANCILLARY_BYTES];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !borrowed.is_empty() {
            // There is room for DESCRIPTORS_MAX.
            ancillary.push(SendAncillaryMessage::ScmRights(&borrowed));
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match retry_on_intr(|| sendmsg(&self.socket, &[IoSlice::new(message)], &mut ancillary, flags)) {
            Ok(_) => Ok(Sent::Whole),
            Err(Errno::AGAIN) => Ok(Sent::WouldBlock),
            Err(errno) => Err(LinuxError::new(STEP, errno)),
        }
    }

    fn receive(&mut self, buffer: &mut [u8], descriptors: &mut Descriptors<OwnedFd>) -> Result<Received, LinuxError> {
        descriptors.clear();
        let mut space = [MaybeUninit::uninit(); ANCILLARY_BYTES];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let arrived = match self.read(buffer, &mut ancillary) {
            Ok(arrived) => arrived,
            Err(Errno::AGAIN) => return Ok(Received::WouldBlock),
            Err(errno) => return Err(LinuxError::new("receive a message", errno)),
        };
        let all_taken = take_descriptors(&mut ancillary, descriptors);
        if arrived.bytes == 0 && descriptors.is_empty() && self.has_ended() {
            return Ok(Received::Closed);
        }
        let cut = arrived.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
        if cut || !all_taken || arrived.bytes == 0 {
            descriptors.clear();
            return Ok(Received::Unusable);
        }
        Ok(Received::Message { bytes: arrived.bytes })
    }
}

impl AsFd for SeqPacket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A descriptor that came through `exec`. It is known by not being close-on-exec: all that this process has opened is.
/// Taking it makes it so, which is why it can be taken once.
pub(crate) fn inherited(number: RawFd) -> Option<OwnedFd> {
    if number <= libc::STDERR_FILENO {
        return None;
    }
    // SAFETY: it is only asked for its flags, which is an error if it is not open.
    let seen = unsafe { BorrowedFd::borrow_raw(number) };
    if rustix::io::fcntl_getfd(seen).ok()?.contains(rustix::io::FdFlags::CLOEXEC) {
        return None;
    }
    rustix::io::fcntl_setfd(seen, rustix::io::FdFlags::CLOEXEC).ok()?;
    // SAFETY: it is open, and nobody here owns it: it was inherited and has not been taken before.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

/// How every socket here is made.
pub(crate) fn flags() -> SocketFlags {
    SocketFlags::CLOEXEC | SocketFlags::NONBLOCK
}

/// Makes a socket that came from elsewhere as if made with [`flags`].
pub(crate) fn prepare(socket: &OwnedFd) -> Result<(), Errno> {
    rustix::io::fcntl_setfd(socket, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(socket, true)
}

pub(crate) fn is_seqpacket(socket: &OwnedFd) -> bool {
    sockopt::socket_domain(socket) == Ok(AddressFamily::UNIX)
        && sockopt::socket_type(socket) == Ok(SocketType::SEQPACKET)
}

fn connect_within(socket: &OwnedFd, address: &SocketAddrUnix, timeout: Duration) -> Result<(), Errno> {
    let start = Instant::now();
    loop {
        // Zero would be no timeout at all.
        let left = timeout.saturating_sub(start.elapsed()).max(Duration::from_millis(1));
        sockopt::set_socket_timeout(socket, sockopt::Timeout::Send, Some(left))?;
        match rustix::net::connect(socket, address) {
            Err(Errno::INTR) => {}
            connected => return connected,
        }
    }
}

fn connect_error(path: &Path, errno: Errno) -> LinuxError {
    const STEP: &str = "connect to";
    let because = |kind, advice: &str| LinuxError::other(STEP, kind, advice);
    let error = match errno {
        Errno::NOENT | Errno::NOTDIR => because(ErrorKind::NotFound, "no such socket; is its server running?"),
        Errno::CONNREFUSED => because(ErrorKind::Gone, "nobody listens on it any more; start its server"),
        Errno::ACCESS | Errno::PERM => because(ErrorKind::Denied, "permission denied; see the socket's owner and mode"),
        Errno::AGAIN => because(ErrorKind::Busy, "its server takes no connections; is it stuck?"),
        Errno::PROTOTYPE => because(ErrorKind::Unsupported, "it is not a SOCK_SEQPACKET socket"),
        Errno::NAMETOOLONG => because(ErrorKind::Other, "a socket's path has at most 107 bytes"),
        errno => LinuxError::new(STEP, errno),
    };
    error.about(path.display())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::fd::AsRawFd;

    use greenroom_core::hal::Error;
    use rustix::net::{bind, listen};

    use super::*;

    fn listening(path: &Path, kind: SocketType, backlog: i32) -> OwnedFd {
        let socket = socket_with(AddressFamily::UNIX, kind, flags(), None).unwrap();
        bind(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
        listen(&socket, backlog).unwrap();
        socket
    }

    fn failure(path: &Path) -> (ErrorKind, String) {
        let error = SeqPacket::connect(path, Duration::from_millis(20)).unwrap_err();
        (error.kind(), error.to_string())
    }

    #[test]
    fn a_pair_knows_its_maker() {
        let (one, _other) = SeqPacket::pair().unwrap();
        assert_eq!(one.peer().unwrap().process_id, std::process::id());
    }

    #[test]
    fn an_empty_message_before_the_end_is_taken_for_the_end() {
        let (one, mut other) = SeqPacket::pair().unwrap();
        let mut nothing = SendAncillaryBuffer::default();
        sendmsg(&one, &[IoSlice::new(b"")], &mut nothing, SendFlags::NOSIGNAL).unwrap();
        assert_eq!(other.receive(&mut [0; 8], &mut Descriptors::new()).unwrap(), Received::Unusable);
        sendmsg(&one, &[IoSlice::new(b"")], &mut nothing, SendFlags::NOSIGNAL).unwrap();
        drop(one);
        assert_eq!(other.receive(&mut [0; 8], &mut Descriptors::new()).unwrap(), Received::Closed);
    }

    /// SM-35
    #[test]
    fn an_empty_message_with_a_descriptor_is_unusable_and_the_descriptor_closed() {
        let (one, mut other) = SeqPacket::pair().unwrap();
        let file = File::open("/dev/null").unwrap();
        let mut space = [MaybeUninit::uninit(); ANCILLARY_BYTES];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let rights = [file.as_fd()];
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&rights)));
        sendmsg(&one, &[IoSlice::new(b"")], &mut ancillary, SendFlags::NOSIGNAL).unwrap();
        drop(one);
        let mut taken = Descriptors::new();
        assert_eq!(other.receive(&mut [0; 8], &mut taken).unwrap(), Received::Unusable);
        assert!(taken.is_empty());
    }

    #[test]
    fn received_descriptors_are_not_inherited_by_children() {
        let (mut one, mut other) = SeqPacket::pair().unwrap();
        one.send(b"a", &[&OwnedFd::from(File::open("/dev/null").unwrap())]).unwrap();
        let mut taken = Descriptors::new();
        other.receive(&mut [0; 8], &mut taken).unwrap();
        assert!(rustix::io::fcntl_getfd(&taken[0]).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    }

    /// SM-22
    #[test]
    fn a_failed_connection_says_where_and_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.sock");
        let shown = path.display();
        let missing = format!("cannot connect to {shown}: no such socket; is its server running?");
        assert_eq!(failure(&path), (ErrorKind::NotFound, missing));

        let stream = listening(&path, SocketType::STREAM, 1);
        assert_eq!(failure(&path).0, ErrorKind::Unsupported);
        drop(stream);
        let stale = format!("cannot connect to {shown}: nobody listens on it any more; start its server");
        assert_eq!(failure(&path), (ErrorKind::Gone, stale));

        let long = directory.path().join("a".repeat(200));
        assert!(failure(&long).1.ends_with("a socket's path has at most 107 bytes"));
    }

    /// SM-36
    #[test]
    fn a_connection_to_a_server_that_accepts_nobody_is_given_up_and_one_that_is_accepted_late_is_made() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.sock");
        let listener = listening(&path, SocketType::SEQPACKET, 0);
        let _first = SeqPacket::connect(&path, Duration::from_secs(10)).unwrap();
        assert_eq!(failure(&path).0, ErrorKind::Busy);
        std::thread::scope(|scope| {
            let late = scope.spawn(|| SeqPacket::connect(&path, Duration::from_secs(10)));
            rustix::net::accept(&listener).unwrap();
            assert!(late.join().unwrap().is_ok());
        });
    }

    #[test]
    fn what_is_no_connected_socket_is_not_taken_for_one() {
        let directory = tempfile::tempdir().unwrap();
        let listener = listening(&directory.path().join("app.sock"), SocketType::SEQPACKET, 1);
        let file = OwnedFd::from(File::open("/dev/null").unwrap());
        for descriptor in [listener, file] {
            assert_eq!(SeqPacket::from_descriptor(descriptor).unwrap_err().kind(), ErrorKind::Unsupported);
        }
    }

    #[test]
    fn only_an_inherited_descriptor_can_be_taken_by_its_number() {
        let (ours, _other) = SeqPacket::pair().unwrap();
        for number in [ours.as_fd().as_raw_fd(), 0, -1, 1_000_000] {
            assert_eq!(SeqPacket::from_inherited(number).unwrap_err().kind(), ErrorKind::NotFound);
        }
        assert!(fs::exists(format!("/proc/self/fd/{}", ours.as_fd().as_raw_fd())).unwrap());
    }
}
