//! The datagram sockets of one data channel: one for each address of this box.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use greenroom_core::hal::ErrorKind;
use if_addrs::{IfOperStatus, Interface};
use rustix::net::sockopt;

use crate::error::LinuxError;

/// Addresses that are offered; of more the first. A box has one or two of each family.
const ADDRESSES_MAX: usize = 8;
/// What the kernel holds for a page that does something else for a moment; it gives as much of it as it may.
const SOCKET_BUFFER_BYTES: usize = 1024 * 1024;

/// They are bound to one address each, so that it is known from which one an answer goes out.
#[derive(Debug)]
pub(super) struct Sockets {
    all: Vec<(SocketAddr, UdpSocket)>,
}

impl Sockets {
    /// One for each address that another device, or another process of this box, can reach.
    ///
    /// Fails with [`ErrorKind::NotFound`] when there is no address that can be used.
    pub(super) fn open() -> Result<Self, LinuxError> {
        const STEP: &str = "list the own addresses";
        let interfaces = if_addrs::get_if_addrs().map_err(|cause| LinuxError::other(STEP, ErrorKind::Other, cause))?;
        let bound = addresses(&interfaces).into_iter().filter_map(|address| {
            bind(address).inspect_err(|cause| tracing::debug!("{address} is not offered: {cause}")).ok()
        });
        let all: Vec<_> = bound.collect();
        if all.is_empty() {
            return Err(LinuxError::other("make a data channel", ErrorKind::NotFound, "this box has no address"));
        }
        Ok(Self { all })
    }

    /// Where the other side can reach us.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.all.iter().map(|(address, _)| *address)
    }

    /// What is waited for.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.all.iter().map(|(_, socket)| socket.as_fd())
    }

    /// Sends a datagram. What is not sent is lost, as any datagram may be.
    pub(super) fn send(&self, from: SocketAddr, to: SocketAddr, datagram: &[u8]) {
        if let Some((_, socket)) = self.all.iter().find(|(address, _)| *address == from)
            && let Err(cause) = socket.send_to(datagram, to)
        {
            tracing::trace!("a datagram to {to} is lost: {cause}");
        }
    }

    /// Reads the next datagram of one of the sockets, from which and to which address; `None` when none waits.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> Option<(SocketAddr, SocketAddr, usize)> {
        self.all.iter().find_map(|(address, socket)| {
            let (bytes, source) = receive_one(socket, buffer)?;
            Some((source, *address, bytes))
        })
    }
}

/// An error is what came of a datagram that was sent before: it is the way of finding out that nobody is there.
fn receive_one(socket: &UdpSocket, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
    loop {
        match socket.recv_from(buffer) {
            Ok(received) => return Some(received),
            Err(cause) if matches!(cause.kind(), io::ErrorKind::Interrupted | io::ErrorKind::ConnectionRefused) => {}
            Err(_) => return None,
        }
    }
}

fn bind(address: IpAddr) -> io::Result<(SocketAddr, UdpSocket)> {
    let socket = UdpSocket::bind((address, 0))?;
    socket.set_nonblocking(true)?;
    // With less it is slower, and works.
    let _ = sockopt::set_socket_recv_buffer_size(&socket, SOCKET_BUFFER_BYTES);
    let _ = sockopt::set_socket_send_buffer_size(&socket, SOCKET_BUFFER_BYTES);
    Ok((socket.local_addr()?, socket))
}

/// What reaches furthest first; loopback last, for a page of this box.
fn addresses(interfaces: &[Interface]) -> Vec<IpAddr> {
    let up = interfaces.iter().filter(|interface| interface.oper_status != IfOperStatus::Down);
    let mut found: Vec<IpAddr> = up.map(Interface::ip).filter(|address| is_offered(*address)).collect();
    found.sort_by_key(IpAddr::is_loopback);
    // The order among equals is that of the interfaces.
    found.truncate(ADDRESSES_MAX);
    found
}

/// An address of one link is of no use to who does not know the link.
fn is_offered(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_unspecified() && !address.is_link_local(),
        IpAddr::V6(address) => !address.is_unspecified() && !is_link_local(address),
    }
}

fn is_link_local(address: Ipv6Addr) -> bool {
    address.segments()[0] & 0xffc0 == 0xfe80
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_one_link_is_not_offered() {
        for (address, expected) in [
            ("192.168.1.2", true),
            ("127.0.0.1", true),
            ("::1", true),
            ("2001:db8::1", true),
            ("fd00::1", true),
            ("fe80::1", false),
            ("169.254.3.4", false),
            ("0.0.0.0", false),
        ] {
            assert_eq!(is_offered(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn what_is_sent_from_one_address_arrives_at_another_one_of_the_same_box() {
        let (one, other) = (Sockets::open().unwrap(), Sockets::open().unwrap());
        let loopback = |sockets: &Sockets| sockets.addresses().find(|address| address.ip().is_loopback()).unwrap();
        let (from, to) = (loopback(&one), loopback(&other));
        assert!(from.is_ipv4() == to.is_ipv4());
        one.send(from, to, b"hello");
        let mut buffer = [0; 16];
        let received = std::iter::repeat_with(|| other.receive(&mut buffer)).flatten().next();
        assert_eq!(received, Some((from, to, 5)));
    }
}
