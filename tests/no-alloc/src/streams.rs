//! Streams, and the messages of presentations over them.

use core::hint::black_box;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use embedded_io::{Read, ReadReady, Write, WriteReady};
use greenroom_core::codec::frame::Ticket;
use greenroom_core::driver::Dialing;
use greenroom_core::hal::{
    Addresses, ByteStream, DeviceAddresses, ErrorType, Fingerprint, Network, Protection, StreamListener, Token, Trust,
    judge,
};
use greenroom_core::time::Instant;
use greenroom_core::transport::{Admission, Framed, Message, Transport, Unframed};

use crate::platform::{Failure, Platform, perhaps};

const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

/// A stream at which any bytes may arrive.
#[derive(Debug)]
struct AnyStream;

impl embedded_io::ErrorType for AnyStream {
    type Error = Failure;
}

impl Read for AnyStream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        perhaps(black_box(black_box(buffer).len()))
    }
}

impl ReadReady for AnyStream {
    fn read_ready(&mut self) -> Result<bool, Failure> {
        perhaps(black_box(true))
    }
}

impl Write for AnyStream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        perhaps(black_box(black_box(bytes).len()))
    }

    fn flush(&mut self) -> Result<(), Failure> {
        perhaps(())
    }
}

impl WriteReady for AnyStream {
    fn write_ready(&mut self) -> Result<bool, Failure> {
        perhaps(black_box(true))
    }
}

impl ByteStream for AnyStream {
    fn advance(&mut self) -> Result<bool, Failure> {
        perhaps(black_box(true))
    }

    fn finish(&mut self) -> Result<bool, Failure> {
        perhaps(black_box(true))
    }

    fn local_address(&self) -> SocketAddr {
        black_box(ADDRESS)
    }

    fn peer_address(&self) -> SocketAddr {
        black_box(ADDRESS)
    }
}

/// The network and what listens on it.
struct AnyNetwork;

impl ErrorType for AnyNetwork {
    type Error = Failure;
}

impl StreamListener for AnyNetwork {
    type Stream = AnyStream;

    fn accept(&mut self) -> Result<Option<AnyStream>, Failure> {
        perhaps(black_box(true).then_some(AnyStream))
    }

    fn local_address(&self) -> SocketAddr {
        black_box(ADDRESS)
    }
}

impl Network for AnyNetwork {
    type Stream = AnyStream;
    type Listener = Self;

    fn listen(&mut self, at: SocketAddr, protection: Protection) -> Result<Self, Failure> {
        black_box((at, protection));
        perhaps(Self)
    }

    fn connect(&mut self, to: SocketAddr, trust: Trust) -> Result<AnyStream, Failure> {
        black_box((to, trust));
        perhaps(AnyStream)
    }

    fn addresses(&mut self) -> Result<Addresses, Failure> {
        perhaps(Addresses::new())
    }

    fn fingerprint(&self) -> Fingerprint {
        black_box(Fingerprint([0; 32]))
    }
}

pub(crate) fn exercise(now: Instant, token: Token, incoming: &'static [u8], bytes: &mut [u8]) {
    let text = core::str::from_utf8(incoming).unwrap_or_default();
    let Ok(trust) = judge(Fingerprint::parse(text), Some(AnyNetwork.fingerprint())) else { return };
    let addresses = DeviceAddresses::from_iter([ADDRESS]);
    let mut dialing = Dialing::new(addresses, trust, token);
    if let Ok(Some(stream)) = dialing.advance(now, &mut AnyNetwork, &mut Platform) {
        let ticket = Ticket::parse(text).unwrap_or(Ticket([0; 16]));
        talk(&mut Framed::connecting(stream, ticket, [0; 64], [0; 64]), text, bytes);
    }
    black_box(dialing.next_deadline());
    if let Ok(Some(stream)) = AnyNetwork.accept() {
        let admission = Admission { ticket: black_box(Ticket([0; 16])), fingerprint: None, address: None };
        talk(&mut Framed::accepting(stream, admission, [0; 64], [0; 64]), text, bytes);
    }
    talk(&mut Unframed::new(AnyStream, [0; 64], [0; 64]), text, bytes);
}

fn talk(transport: &mut impl Transport, text: &str, bytes: &[u8]) {
    black_box(transport.advance().is_ok());
    black_box(transport.send(Message::Text(text)).is_ok());
    black_box(transport.send(Message::Binary(bytes)).is_ok());
    black_box(transport.receive().is_ok());
    black_box((transport.interest(true), transport.has_pending(), transport.buffered_bytes()));
    transport.close(1);
}
