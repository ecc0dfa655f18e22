//! Connections that carry bytes.

use core::net::SocketAddr;

use embedded_io::{Read, ReadReady, Write, WriteReady};

use super::{Error, Fingerprint, Interest};

/// What a [`ByteStream::receive`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Arrived {
    /// So many bytes, at least one: as many as were there, however many were sent at once.
    Bytes(usize),
    /// Nothing is there now.
    WouldBlock,
    /// The peer sends nothing more. Everything that it has sent was received.
    End,
}

/// One connection that carries bytes, both ways, reliably and in order. It may be encrypted.
///
/// It is a stream of `embedded-io`; no call blocks. A [`Read::read`] or [`Write::write`] where the stream is not ready is
/// not waited for: it fails with [`ErrorKind::Exhausted`](super::ErrorKind::Exhausted). [`ByteStream::receive`] and
/// [`ByteStream::send`] ask and act in one call.
///
/// What drives it keeps three rules, whichever stream it is:
///
/// 1. When its loop reports it, [`ByteStream::advance`] comes first, and nothing else until that has given `true` once.
/// 2. Whatever was done, it is then watched for what [`ByteStream::interest`] says.
/// 3. Who stops reading before [`Arrived::WouldBlock`] looks at [`ByteStream::has_pending`] before it waits.
///
/// After an error only dropping it is left. Dropping it closes the connection; bytes that were not read then make the peer
/// see a reset instead of an end.
pub trait ByteStream: embedded_io::ErrorType<Error: Error> + Read + ReadReady + Write + WriteReady {
    /// Goes on with what the stream itself has to do: to connect, to agree on keys, to pass on what was sent.
    ///
    /// Gives `true` once the connection is there. It fails with [`ErrorKind::Gone`](super::ErrorKind::Gone) when nobody
    /// listens there, and with [`ErrorKind::Untrusted`](super::ErrorKind::Untrusted) when somebody else does.
    fn advance(&mut self) -> Result<bool, Self::Error>;

    /// Receives what is there, at most as much as fits. A peer that has closed without reading all, or was cut off, is
    /// [`ErrorKind::Gone`](super::ErrorKind::Gone). The buffer is not empty.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<Arrived, Self::Error> {
        if !self.read_ready()? {
            return Ok(Arrived::WouldBlock);
        }
        Ok(match self.read(buffer)? {
            0 => Arrived::End,
            bytes => Arrived::Bytes(bytes),
        })
    }

    /// Sends as much as can be taken now; gives how many bytes that is. 0 means to wait until it is writable.
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        if bytes.is_empty() || !self.write_ready()? { Ok(0) } else { self.write(bytes) }
    }

    /// Says that nothing more will be sent; what was sent before still arrives. The peer may go on.
    ///
    /// Gives `true` once that is said. Until then it is called again when the stream is writable.
    fn finish(&mut self) -> Result<bool, Self::Error>;

    /// What the loop has to watch the stream for, where its user waits for `wanted`.
    fn interest(&self, wanted: Interest) -> Interest {
        wanted
    }

    /// Whether something has arrived that lies in the stream itself, where the loop does not see it.
    fn has_pending(&self) -> bool {
        false
    }

    /// Our own address, as this peer reaches it.
    fn local_address(&self) -> SocketAddr;

    /// The peer's address.
    fn peer_address(&self) -> SocketAddr;

    /// The peer's certificate, if it has shown one. Known once the connection is there.
    fn peer_fingerprint(&self) -> Option<Fingerprint> {
        None
    }
}
