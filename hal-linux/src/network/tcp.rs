//! TCP that never blocks.

use std::io::{self, ErrorKind as IoErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use embedded_io::{Read, ReadReady, Write, WriteReady};
use greenroom_core::hal::{Arrived, ByteStream, ErrorKind, Interest};
use greenroom_core::limits::STREAM_KEEP_ALIVE;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketType, accept_with, bind, connect, getpeername, getsockname,
    listen, recv, send, shutdown, socket_with, sockopt,
};

use crate::error::LinuxError;
use crate::socket::flags;

/// Connections that may wait to be accepted: a burst of a whole home's devices.
const BACKLOG: i32 = 128;
/// How often a silent peer is asked whether it still is there before it is given up.
const KEEP_ALIVE_PROBES: u32 = 3;
const RECEIVE: &str = "receive from";

/// One TCP connection, or the attempt to make one. It never blocks and is never inherited by a child.
#[derive(Debug)]
pub struct TcpStream {
    socket: OwnedFd,
    connected: bool,
    finished: bool,
    local: SocketAddr,
    peer: SocketAddr,
}

impl TcpStream {
    /// Begins to connect.
    pub fn connect(to: SocketAddr) -> Result<Self, LinuxError> {
        let because = |errno| LinuxError::new("connect to", errno).about(to);
        let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = socket_with(family, SocketType::STREAM, flags(), None).map_err(because)?;
        prepare(&socket).map_err(because)?;
        match retry_on_intr(|| connect(&socket, &to)) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(errno) => return Err(because(errno)),
        }
        let local = local_address(&socket).map_err(because)?;
        Ok(Self { socket, connected: false, finished: false, local, peer: to })
    }

    fn error(&self, step: &'static str, errno: Errno) -> LinuxError {
        LinuxError::new(step, errno).about(self.peer)
    }

    /// The first byte that was not received yet, which stays there; `None` while there is none. A peer that has gone
    /// without a word is [`ErrorKind::Gone`].
    pub(super) fn first_byte(&self) -> Result<Option<u8>, LinuxError> {
        let mut first = [0];
        match retry_on_intr(|| recv(&self.socket, &mut first[..], RecvFlags::DONTWAIT | RecvFlags::PEEK)) {
            Ok((_, 0)) => Err(LinuxError::other(RECEIVE, ErrorKind::Gone, "it left without a word").about(self.peer)),
            Ok(_) => Ok(first.first().copied()),
            Err(Errno::AGAIN) => Ok(None),
            Err(errno) => Err(self.error(RECEIVE, errno)),
        }
    }

    fn is_ready(&self, flags: PollFlags) -> Result<bool, Errno> {
        let mut socket = [PollFd::new(&self.socket, flags)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        Ok(retry_on_intr(|| poll(&mut socket, Some(&now)))? > 0)
    }

    /// Whether the attempt has come to an end, and to which.
    fn attempt(&mut self) -> Result<bool, Errno> {
        if !self.is_ready(PollFlags::OUT)? {
            return Ok(false);
        }
        sockopt::socket_error(&self.socket)??;
        getpeername(&self.socket)?;
        self.local = local_address(&self.socket)?;
        Ok(true)
    }
}

fn local_address(socket: &OwnedFd) -> Result<SocketAddr, Errno> {
    let address = getsockname(socket)?;
    SocketAddr::try_from(address).map(canonical).map_err(|_| Errno::AFNOSUPPORT)
}

/// An IPv4 peer of a socket of both families, as what it is.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ std::net::IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        // It keeps the link that it is on.
        std::net::IpAddr::V6(_) => address,
    }
}

/// Small messages go out at once, and a peer that was switched off is noticed: one that takes nothing of what was sent to
/// it as soon as one of which nothing is heard.
fn prepare(socket: &OwnedFd) -> Result<(), Errno> {
    sockopt::set_tcp_nodelay(socket, true)?;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, STREAM_KEEP_ALIVE)?;
    sockopt::set_tcp_keepintvl(socket, STREAM_KEEP_ALIVE / KEEP_ALIVE_PROBES)?;
    sockopt::set_tcp_keepcnt(socket, KEEP_ALIVE_PROBES)?;
    let longest = STREAM_KEEP_ALIVE.saturating_mul(2).as_millis();
    sockopt::set_tcp_user_timeout(socket, u32::try_from(longest).unwrap_or(u32::MAX))
}

impl embedded_io::ErrorType for TcpStream {
    type Error = LinuxError;
}

impl Read for TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LinuxError> {
        let received = retry_on_intr(|| recv(&self.socket, &mut *buffer, RecvFlags::DONTWAIT));
        received.map(|(_, bytes)| bytes).map_err(|errno| self.error(RECEIVE, errno))
    }
}

impl ReadReady for TcpStream {
    fn read_ready(&mut self) -> Result<bool, LinuxError> {
        self.is_ready(PollFlags::IN | PollFlags::RDHUP).map_err(|errno| self.error(RECEIVE, errno))
    }
}

impl Write for TcpStream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, LinuxError> {
        retry_on_intr(|| send(&self.socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT))
            .map_err(|errno| self.error("send to", errno))
    }

    /// The kernel has everything already.
    fn flush(&mut self) -> Result<(), LinuxError> {
        Ok(())
    }
}

impl WriteReady for TcpStream {
    fn write_ready(&mut self) -> Result<bool, LinuxError> {
        self.is_ready(PollFlags::OUT).map_err(|errno| self.error("send to", errno))
    }
}

impl ByteStream for TcpStream {
    fn advance(&mut self) -> Result<bool, LinuxError> {
        if !self.connected {
            self.connected = self.attempt().map_err(|errno| self.error("connect to", errno))?;
        }
        Ok(self.connected)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<Arrived, LinuxError> {
        match retry_on_intr(|| recv(&self.socket, &mut *buffer, RecvFlags::DONTWAIT)) {
            Ok((_, 0)) => Ok(Arrived::End),
            Ok((_, bytes)) => Ok(Arrived::Bytes(bytes)),
            Err(Errno::AGAIN) => Ok(Arrived::WouldBlock),
            Err(errno) => Err(self.error(RECEIVE, errno)),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<usize, LinuxError> {
        match retry_on_intr(|| send(&self.socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)) {
            Err(Errno::AGAIN) => Ok(0),
            sent => sent.map_err(|errno| self.error("send to", errno)),
        }
    }

    fn finish(&mut self) -> Result<bool, LinuxError> {
        if !self.finished {
            shutdown(&self.socket, Shutdown::Write).map_err(|errno| self.error("finish sending to", errno))?;
            self.finished = true;
        }
        Ok(true)
    }

    fn interest(&self, wanted: Interest) -> Interest {
        if self.connected { wanted } else { Interest::Write }
    }

    fn local_address(&self) -> SocketAddr {
        self.local
    }

    fn peer_address(&self) -> SocketAddr {
        self.peer
    }
}

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The same for what speaks `std::io`.
impl io::Read for &TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let received = retry_on_intr(|| recv(&self.socket, &mut *buffer, RecvFlags::DONTWAIT));
        Ok(received.map(|(_, bytes)| bytes)?)
    }
}

impl io::Write for &TcpStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(retry_on_intr(|| send(&self.socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT))?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether it is only that a stream is not ready.
pub(super) fn would_block(error: &io::Error) -> bool {
    error.kind() == IoErrorKind::WouldBlock
}

/// Where TCP connections come in.
#[derive(Debug)]
pub struct TcpListener {
    socket: OwnedFd,
    local: SocketAddr,
}

impl TcpListener {
    /// Listens at an address. The unspecified IPv6 address means both families; where there is no IPv6, it means IPv4.
    pub fn listen(at: SocketAddr) -> Result<Self, LinuxError> {
        match listening(at) {
            Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) if at.is_ipv6() && at.ip().is_unspecified() => {
                listening(SocketAddr::from((Ipv4Addr::UNSPECIFIED, at.port())))
            }
            other => other,
        }
        .map_err(|errno| LinuxError::new("listen at", errno).about(at))
    }

    /// Takes one connection, if one waits.
    pub fn accept(&mut self) -> Result<Option<TcpStream>, LinuxError> {
        loop {
            match self.try_accept() {
                Ok(stream) => return Ok(Some(stream)),
                Err(Errno::AGAIN) => return Ok(None),
                // One that has gone while it waited is nobody's failure; the next one may wait.
                Err(Errno::INTR | Errno::CONNABORTED | Errno::PROTO | Errno::NOTCONN) => {}
                Err(errno) => return Err(LinuxError::new("accept a connection at", errno).about(self.local)),
            }
        }
    }

    fn try_accept(&self) -> Result<TcpStream, Errno> {
        let socket = accept_with(&self.socket, flags())?;
        prepare(&socket)?;
        let peer = getpeername(&socket)?.ok_or(Errno::NOTCONN)?;
        let peer = SocketAddr::try_from(peer).map_err(|_| Errno::PROTO)?;
        let local = local_address(&socket)?;
        Ok(TcpStream { socket, connected: true, finished: false, local, peer: canonical(peer) })
    }

    /// Where it listens; the port is the one that was chosen.
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }
}

fn listening(at: SocketAddr) -> Result<TcpListener, Errno> {
    let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, flags(), None)?;
    if at.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, !at.ip().is_unspecified())?;
    }
    // A service that is started again gets its port back, although connections of its last life linger.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &at)?;
    listen(&socket, BACKLOG)?;
    let local = SocketAddr::try_from(getsockname(&socket)?).map_err(|_| Errno::AFNOSUPPORT)?;
    Ok(TcpListener { socket, local })
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What a refused step is, for who only knows `embedded-io`.
impl embedded_io::Error for LinuxError {
    fn kind(&self) -> embedded_io::ErrorKind {
        use embedded_io::ErrorKind as Io;
        match greenroom_core::hal::Error::kind(self) {
            ErrorKind::Denied | ErrorKind::Untrusted | ErrorKind::Owner => Io::PermissionDenied,
            ErrorKind::Gone => Io::ConnectionReset,
            ErrorKind::NotFound => Io::NotFound,
            ErrorKind::Busy => Io::AddrInUse,
            ErrorKind::Unsupported => Io::Unsupported,
            _ => Io::Other,
        }
    }
}
