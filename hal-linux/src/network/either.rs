//! Connections of which it turns out only when the other side speaks whether they are encrypted.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use embedded_io::{Read, ReadReady, Write, WriteReady};
use greenroom_core::hal::{Arrived, ByteStream, Fingerprint, Interest};

use super::tls::TlsStream;
use crate::error::LinuxError;

/// The first byte of TLS: a record that belongs to a handshake. No line of JSON begins with it.
const HANDSHAKE: u8 = 0x16;

/// ```text
/// Unknown --the first byte is that of TLS--> Encrypted
///    +------any other byte-----------------> Plain
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spoken {
    Unknown,
    Encrypted,
    Plain,
}

/// A connection to a listener that takes both. Who connects speaks first.
#[derive(Debug)]
pub struct EitherStream {
    /// Without encryption only its TCP is used.
    tls: TlsStream,
    spoken: Spoken,
}

macro_rules! spoken {
    ($stream:expr, $inner:ident => $call:expr) => {
        match $stream.spoken {
            Spoken::Encrypted => {
                let $inner = &mut $stream.tls;
                $call
            }
            Spoken::Unknown | Spoken::Plain => {
                let $inner = $stream.tls.tcp_mut();
                $call
            }
        }
    };
}

impl EitherStream {
    pub(super) fn new(tls: TlsStream) -> Self {
        Self { tls, spoken: Spoken::Unknown }
    }

    fn listen_to(&mut self) -> Result<(), LinuxError> {
        if self.spoken == Spoken::Unknown
            && let Some(first) = self.tls.tcp().first_byte()?
        {
            self.spoken = if first == HANDSHAKE { Spoken::Encrypted } else { Spoken::Plain };
        }
        Ok(())
    }
}

impl embedded_io::ErrorType for EitherStream {
    type Error = LinuxError;
}

impl Read for EitherStream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LinuxError> {
        spoken!(self, inner => inner.read(buffer))
    }
}

impl ReadReady for EitherStream {
    fn read_ready(&mut self) -> Result<bool, LinuxError> {
        spoken!(self, inner => inner.read_ready())
    }
}

impl Write for EitherStream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, LinuxError> {
        spoken!(self, inner => inner.write(bytes))
    }

    fn flush(&mut self) -> Result<(), LinuxError> {
        spoken!(self, inner => inner.flush())
    }
}

impl WriteReady for EitherStream {
    fn write_ready(&mut self) -> Result<bool, LinuxError> {
        spoken!(self, inner => inner.write_ready())
    }
}

impl ByteStream for EitherStream {
    fn advance(&mut self) -> Result<bool, LinuxError> {
        self.listen_to()?;
        match self.spoken {
            Spoken::Unknown => Ok(false),
            Spoken::Encrypted => self.tls.advance(),
            Spoken::Plain => self.tls.tcp_mut().advance(),
        }
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<Arrived, LinuxError> {
        spoken!(self, inner => inner.receive(buffer))
    }

    fn send(&mut self, bytes: &[u8]) -> Result<usize, LinuxError> {
        spoken!(self, inner => inner.send(bytes))
    }

    fn finish(&mut self) -> Result<bool, LinuxError> {
        spoken!(self, inner => inner.finish())
    }

    fn interest(&self, wanted: Interest) -> Interest {
        match self.spoken {
            Spoken::Unknown => Interest::Read,
            Spoken::Encrypted => self.tls.interest(wanted),
            Spoken::Plain => self.tls.tcp().interest(wanted),
        }
    }

    fn has_pending(&self) -> bool {
        self.spoken == Spoken::Encrypted && self.tls.has_pending()
    }

    fn local_address(&self) -> SocketAddr {
        self.tls.local_address()
    }

    fn peer_address(&self) -> SocketAddr {
        self.tls.peer_address()
    }

    fn peer_fingerprint(&self) -> Option<Fingerprint> {
        if self.spoken == Spoken::Encrypted { self.tls.peer_fingerprint() } else { None }
    }
}

impl AsFd for EitherStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tls.as_fd()
    }
}
