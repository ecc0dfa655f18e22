//! The network: TCP, and TLS 1.3 where a device has a certificate.
//!
//! ```no_run
//! use greenroom_core::hal::{Network, Protection, Trust};
//! use greenroom_hal_linux::network::{Identity, LinuxNetwork};
//!
//! let identity = Identity::load_or_make("/var/lib/greenroom/identity.pem".as_ref())?;
//! let mut network = LinuxNetwork::new(&identity)?;
//! let listener = network.listen("[::]:0".parse().expect("an address"), Protection::Encrypted)?;
//! let announced = network.fingerprint();
//! let stream = network.connect("192.0.2.7:40123".parse().expect("an address"), Trust::Pinned(announced))?;
//! # Ok::<(), greenroom_hal_linux::error::LinuxError>(())
//! ```

mod either;
mod identity;
mod known_devices;
mod tcp;
#[cfg(test)]
mod tests;
mod tls;

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use embedded_io::{Read, ReadReady, Write, WriteReady};
use greenroom_core::hal::{
    Addresses, Arrived, ByteStream, ErrorKind, ErrorType, Fingerprint, Interest, Network, Protection, Random,
    StreamListener, Trust,
};
use if_addrs::{IfOperStatus, Interface};

pub use either::EitherStream;
pub use identity::Identity;
pub use known_devices::{KNOWN_DEVICES_MAX, KnownDeviceFile};
pub use tcp::{TcpListener, TcpStream};
pub use tls::TlsStream;

use crate::error::LinuxError;
use tls::Credentials;

/// Connects and listens as the device with this identity.
#[derive(Clone, Debug)]
pub struct LinuxNetwork {
    credentials: Credentials,
    fingerprint: Fingerprint,
}

impl LinuxNetwork {
    /// The network, as this device sees it. Fails for a key that TLS cannot use.
    pub fn new(identity: &Identity) -> Result<Self, LinuxError> {
        Ok(Self { credentials: Credentials::new(identity)?, fingerprint: identity.fingerprint() })
    }

    /// Listens as [`Network::listen`] does, for who encrypts and for who does not: the first byte tells. Only for a
    /// protocol in which the side that connects speaks first, and never with the byte 0x16.
    pub fn listen_for_both(&mut self, at: SocketAddr) -> Result<LinuxListener, LinuxError> {
        Ok(LinuxListener { tcp: TcpListener::listen(at)?, takes: Takes::Both(self.credentials.clone()) })
    }
}

impl ErrorType for LinuxNetwork {
    type Error = LinuxError;
}

impl Network for LinuxNetwork {
    type Stream = LinuxStream;
    type Listener = LinuxListener;

    fn listen(&mut self, at: SocketAddr, protection: Protection) -> Result<LinuxListener, LinuxError> {
        let takes = match protection {
            Protection::None => Takes::Plain,
            Protection::Encrypted => Takes::Encrypted(self.credentials.clone()),
        };
        Ok(LinuxListener { tcp: TcpListener::listen(at)?, takes })
    }

    fn connect(&mut self, to: SocketAddr, trust: Trust) -> Result<LinuxStream, LinuxError> {
        let tcp = TcpStream::connect(to)?;
        match trust {
            Trust::Plain => Ok(LinuxStream::Plain(tcp)),
            Trust::Pinned(fingerprint) => Ok(LinuxStream::Tls(Box::new(self.credentials.connect(tcp, fingerprint)?))),
        }
    }

    fn addresses(&mut self) -> Result<Addresses, LinuxError> {
        const STEP: &str = "list the own addresses";
        let interfaces = if_addrs::get_if_addrs().map_err(|cause| LinuxError::other(STEP, ErrorKind::Other, cause))?;
        Ok(best_first(&interfaces))
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

impl Random for LinuxNetwork {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), LinuxError> {
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            filled += rustix::io::retry_on_intr(|| {
                rustix::rand::getrandom(&mut *rest, rustix::rand::GetRandomFlags::empty())
            })
            .map_err(|errno| LinuxError::new("get random numbers", errno))?;
        }
        Ok(())
    }
}

/// IPv4 first, which Mozilla's peers look at alone. An IPv6 address of one link is of no use to who does not know the link.
fn best_first(interfaces: &[Interface]) -> Addresses {
    let reachable = interfaces.iter().filter(|interface| interface.oper_status != IfOperStatus::Down);
    let mut ranked: Vec<(u8, IpAddr)> = reachable.filter_map(|found| Some((rank(found)?, found.ip()))).collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    let has_others = ranked.iter().any(|(rank, _)| *rank < LOOPBACK_RANK);
    let offered = ranked.into_iter().filter(|(rank, _)| !has_others || *rank < LOOPBACK_RANK);
    offered.map(|(_, address)| address).take(Addresses::new().capacity()).collect()
}

const LOOPBACK_RANK: u8 = 3;

fn rank(interface: &Interface) -> Option<u8> {
    match interface.ip() {
        _ if interface.is_loopback() => Some(LOOPBACK_RANK),
        IpAddr::V4(address) if address.is_link_local() => Some(2),
        IpAddr::V4(_) => Some(0),
        IpAddr::V6(address) if address.is_unicast_link_local() => None,
        IpAddr::V6(_) => Some(1),
    }
}

/// Where streams come in.
#[derive(Debug)]
pub struct LinuxListener {
    tcp: TcpListener,
    takes: Takes,
}

/// Whom a listener lets in.
#[derive(Debug)]
enum Takes {
    Plain,
    Encrypted(Credentials),
    Both(Credentials),
}

impl ErrorType for LinuxListener {
    type Error = LinuxError;
}

impl StreamListener for LinuxListener {
    type Stream = LinuxStream;

    fn accept(&mut self) -> Result<Option<LinuxStream>, LinuxError> {
        let Some(tcp) = self.tcp.accept()? else { return Ok(None) };
        Ok(Some(match &self.takes {
            Takes::Plain => LinuxStream::Plain(tcp),
            Takes::Encrypted(credentials) => LinuxStream::Tls(Box::new(credentials.accept(tcp)?)),
            Takes::Both(credentials) => LinuxStream::Either(Box::new(EitherStream::new(credentials.accept(tcp)?))),
        }))
    }

    fn local_address(&self) -> SocketAddr {
        self.tcp.local_address()
    }
}

impl AsFd for LinuxListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tcp.as_fd()
    }
}

/// A connection, encrypted or not.
#[derive(Debug)]
pub enum LinuxStream {
    /// Everybody on the way can read and change it.
    Plain(TcpStream),
    /// With the device that has the expected certificate.
    Tls(Box<TlsStream>),
    /// With somebody who says first which of both it is.
    Either(Box<EitherStream>),
}

macro_rules! either {
    ($stream:expr, $inner:ident => $call:expr) => {
        match $stream {
            Self::Plain($inner) => $call,
            Self::Tls($inner) => $call,
            Self::Either($inner) => $call,
        }
    };
}

impl embedded_io::ErrorType for LinuxStream {
    type Error = LinuxError;
}

impl Read for LinuxStream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LinuxError> {
        either!(self, inner => inner.read(buffer))
    }
}

impl ReadReady for LinuxStream {
    fn read_ready(&mut self) -> Result<bool, LinuxError> {
        either!(self, inner => inner.read_ready())
    }
}

impl Write for LinuxStream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, LinuxError> {
        either!(self, inner => inner.write(bytes))
    }

    fn flush(&mut self) -> Result<(), LinuxError> {
        either!(self, inner => inner.flush())
    }
}

impl WriteReady for LinuxStream {
    fn write_ready(&mut self) -> Result<bool, LinuxError> {
        either!(self, inner => inner.write_ready())
    }
}

impl ByteStream for LinuxStream {
    fn advance(&mut self) -> Result<bool, LinuxError> {
        either!(self, inner => inner.advance())
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<Arrived, LinuxError> {
        either!(self, inner => inner.receive(buffer))
    }

    fn send(&mut self, bytes: &[u8]) -> Result<usize, LinuxError> {
        either!(self, inner => inner.send(bytes))
    }

    fn finish(&mut self) -> Result<bool, LinuxError> {
        either!(self, inner => inner.finish())
    }

    fn interest(&self, wanted: Interest) -> Interest {
        either!(self, inner => inner.interest(wanted))
    }

    fn has_pending(&self) -> bool {
        either!(self, inner => inner.has_pending())
    }

    fn local_address(&self) -> SocketAddr {
        either!(self, inner => inner.local_address())
    }

    fn peer_address(&self) -> SocketAddr {
        either!(self, inner => inner.peer_address())
    }

    fn peer_fingerprint(&self) -> Option<Fingerprint> {
        either!(self, inner => inner.peer_fingerprint())
    }
}

impl AsFd for LinuxStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        either!(self, inner => inner.as_fd())
    }
}
