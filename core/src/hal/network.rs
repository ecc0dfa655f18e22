//! Where byte streams come from.

use core::net::{IpAddr, SocketAddr};

use heapless::Vec;

use super::{ByteStream, ErrorType, Fingerprint, Trust};
use crate::limits::DEVICE_ADDRESSES_MAX;

/// Addresses under which one device can be reached, the best one first.
pub type Addresses = Vec<IpAddr, DEVICE_ADDRESSES_MAX>;

/// Whether a listener encrypts what it accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Protection {
    /// Everybody on the way can read and change it.
    None,
    /// TLS 1.3 with our own certificate. Who connects may show one too, and need not.
    Encrypted,
}

/// Where streams come in. Readable when one waits.
pub trait StreamListener: ErrorType {
    /// What a connection becomes.
    type Stream: ByteStream;

    /// Takes one connection, if one waits. Whether it is encrypted, and who is there, turns out in
    /// [`ByteStream::advance`]. How many there may be is for the caller to decide.
    fn accept(&mut self) -> Result<Option<Self::Stream>, Self::Error>;

    /// Where it listens; the port is the one that was chosen.
    fn local_address(&self) -> SocketAddr;
}

/// The network that this device is on.
pub trait Network: ErrorType {
    /// A connection.
    type Stream: ByteStream<Error = Self::Error>;
    /// Where they come in.
    type Listener: StreamListener<Stream = Self::Stream, Error = Self::Error>;

    /// Listens at an address. Port 0 is any free one; the unspecified IPv6 address means all addresses of both families,
    /// those included that this device will have later. A taken port is [`ErrorKind::Busy`](super::ErrorKind::Busy).
    fn listen(&mut self, at: SocketAddr, protection: Protection) -> Result<Self::Listener, Self::Error>;

    /// Begins to connect. How it goes, the stream tells: it is watched for writing at first. It has no time limit of its
    /// own.
    fn connect(&mut self, to: SocketAddr, trust: Trust) -> Result<Self::Stream, Self::Error>;

    /// Under which addresses others can reach this device, the best one first (PS-04). Loopback is among them only where
    /// there is nothing else.
    fn addresses(&mut self) -> Result<Addresses, Self::Error>;

    /// The certificate that this device shows.
    fn fingerprint(&self) -> Fingerprint;
}

/// Where numbers come from that nobody can guess.
pub trait Random: ErrorType {
    /// Fills the whole buffer.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error>;
}
