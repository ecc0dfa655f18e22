//! TLS 1.3 over TCP, between devices that know each other by their certificates.

use std::fmt;
use std::io::{self, ErrorKind as IoErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use embedded_io::{Read, ReadReady, Write, WriteReady};
use greenroom_core::hal::{Arrived, ByteStream, Distrust, ErrorKind, Fingerprint, Interest};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Connection, DigitallySignedStruct, DistinguishedName, OtherError,
    PeerIncompatible, ServerConfig, ServerConnection, SignatureScheme,
};

use super::identity::{Identity, fingerprint};
use super::tcp::{TcpStream, would_block};
use crate::error::LinuxError;

/// How often one call asks the socket for more: a peer that sends what means nothing does not keep us from others.
const PULLS_MAX: usize = 16;

const TALK: &str = "talk in TLS to";

/// What this device shows, and how it looks at what others show.
#[derive(Clone)]
pub(super) struct Credentials {
    provider: Arc<CryptoProvider>,
    own: Arc<SingleCertAndKey>,
    server: Arc<ServerConfig>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Credentials")
    }
}

impl Credentials {
    pub(super) fn new(identity: &Identity) -> Result<Self, LinuxError> {
        let because = |cause| LinuxError::other("use this device's certificate", ErrorKind::Unsupported, cause);
        let provider = Arc::new(ring::default_provider());
        let key = provider.key_provider.load_private_key(identity.key.clone_key()).map_err(because)?;
        let certified = CertifiedKey::new(vec![identity.certificate.clone()], key);
        certified.keys_match().map_err(because)?;
        let own = Arc::new(SingleCertAndKey::from(certified));
        let server = Arc::new(server_config(&provider, &own).map_err(because)?);
        Ok(Self { provider, own, server })
    }

    pub(super) fn accept(&self, tcp: TcpStream) -> Result<TlsStream, LinuxError> {
        let session = ServerConnection::new(Arc::clone(&self.server)).map_err(|cause| failure(&tcp, &cause))?;
        Ok(TlsStream::new(tcp, session.into()))
    }

    pub(super) fn connect(&self, tcp: TcpStream, expected: Fingerprint) -> Result<TlsStream, LinuxError> {
        let name = ServerName::IpAddress(tcp.peer_address().ip().into());
        let session = self
            .client_config(expected)
            .and_then(|config| ClientConnection::new(Arc::new(config), name))
            .map_err(|cause| failure(&tcp, &cause))?;
        Ok(TlsStream::new(tcp, session.into()))
    }

    /// Every connection proves anew who is there: nothing is resumed.
    fn client_config(&self, expected: Fingerprint) -> Result<ClientConfig, rustls::Error> {
        let pin = Pin { expected, algorithms: self.provider.signature_verification_algorithms };
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(pin))
            .with_client_cert_resolver(Arc::<SingleCertAndKey>::clone(&self.own));
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

fn server_config(provider: &Arc<CryptoProvider>, own: &Arc<SingleCertAndKey>) -> Result<ServerConfig, rustls::Error> {
    let anybody = Anybody { algorithms: provider.signature_verification_algorithms };
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(anybody))
        .with_cert_resolver(Arc::<SingleCertAndKey>::clone(own));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Takes the one certificate with this fingerprint, and whoever proves to have its key. Names, dates and issuers say
/// nothing about a certificate that its device made itself.
#[derive(Debug)]
struct Pin {
    expected: Fingerprint,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let (expected, shown) = (self.expected, fingerprint(certificate));
        if shown == expected {
            return Ok(ServerCertVerified::assertion());
        }
        let distrust = Distrust::OtherCertificate { expected, shown };
        Err(CertificateError::Other(OtherError(Arc::new(distrust))).into())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::ServerDoesNotSupportTls12Or13.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Takes any certificate of who connects, and none as well, but wants the proof that it has the key. Who that is, the
/// caller looks up by its fingerprint.
#[derive(Debug)]
struct Anybody {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for Anybody {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::SupportedVersionsExtensionRequired.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// One TLS connection. What it sends lies in it until the socket takes it, at most 64 KiB.
#[derive(Debug)]
pub struct TlsStream {
    tcp: TcpStream,
    session: Connection,
    /// Decrypted bytes that nobody has received yet.
    pending_bytes: usize,
    /// The peer sends nothing more; it has said so or not.
    has_ended: bool,
    /// Its end was received here, after everything that it has sent.
    end_told: bool,
    finished: bool,
}

/// What the socket had for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pulled {
    /// Something, or the end.
    More,
    /// Nothing now.
    Nothing,
}

impl TlsStream {
    fn new(tcp: TcpStream, session: Connection) -> Self {
        Self { tcp, session, pending_bytes: 0, has_ended: false, end_told: false, finished: false }
    }

    pub(super) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    pub(super) fn tcp_mut(&mut self) -> &mut TcpStream {
        &mut self.tcp
    }

    /// Takes in what the socket has. What the peer is told of a failure is sent with the best of will.
    fn pull(&mut self) -> Result<Pulled, LinuxError> {
        if !self.session.wants_read() {
            return Ok(Pulled::Nothing);
        }
        match self.session.read_tls(&mut &self.tcp) {
            Ok(bytes) => self.has_ended |= bytes == 0,
            Err(error) if would_block(&error) => return Ok(Pulled::Nothing),
            Err(error) => return Err(self.broken(&error)),
        }
        match self.session.process_new_packets() {
            Ok(state) => {
                self.pending_bytes = state.plaintext_bytes_to_read();
                self.has_ended |= state.peer_has_closed();
            }
            Err(cause) => {
                let _ = self.push();
                return Err(failure(&self.tcp, &cause));
            }
        }
        Ok(Pulled::More)
    }

    /// Gives the socket what it takes.
    fn push(&mut self) -> Result<(), LinuxError> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut &self.tcp) {
                Ok(_) => {}
                Err(error) if would_block(&error) => return Ok(()),
                Err(error) => return Err(self.broken(&error)),
            }
        }
        Ok(())
    }

    fn broken(&self, error: &io::Error) -> LinuxError {
        let peer = self.tcp.peer_address();
        match rustix::io::Errno::from_io_error(error) {
            Some(errno) => LinuxError::new(TALK, errno).about(peer),
            None => LinuxError::other(TALK, ErrorKind::Other, error).about(peer),
        }
    }

    fn cut_off(&self) -> LinuxError {
        const CAUSE: &str = "the connection ended without a goodbye";
        LinuxError::other(TALK, ErrorKind::Gone, CAUSE).about(self.tcp.peer_address())
    }

    fn shake_hands(&mut self) -> Result<(), LinuxError> {
        for _ in 0..PULLS_MAX {
            self.push()?;
            if !self.session.is_handshaking() || self.pull()? == Pulled::Nothing {
                return Ok(());
            }
            if self.session.is_handshaking() && self.has_ended {
                return Err(self.cut_off());
            }
        }
        Ok(())
    }
}

/// What went wrong, and who is to blame.
fn failure(tcp: &TcpStream, cause: &rustls::Error) -> LinuxError {
    let kind = match cause {
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(reason))) => {
            if let Some(distrust) = reason.downcast_ref::<Distrust>() {
                return LinuxError::untrusted(TALK, *distrust).about(tcp.peer_address());
            }
            ErrorKind::Untrusted
        }
        rustls::Error::InvalidCertificate(_) => ErrorKind::Untrusted,
        rustls::Error::InvalidMessage(_) => {
            return LinuxError::other(TALK, ErrorKind::WrongKind, "what it speaks is not TLS")
                .about(tcp.peer_address());
        }
        rustls::Error::AlertReceived(_) => ErrorKind::Denied,
        rustls::Error::PeerIncompatible(_) => ErrorKind::Unsupported,
        _ => ErrorKind::Other,
    };
    LinuxError::other(TALK, kind, cause).about(tcp.peer_address())
}

impl embedded_io::ErrorType for TlsStream {
    type Error = LinuxError;
}

impl Read for TlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LinuxError> {
        match self.receive(buffer)? {
            Arrived::Bytes(bytes) => Ok(bytes),
            Arrived::End => Ok(0),
            Arrived::WouldBlock => Err(LinuxError::new(TALK, rustix::io::Errno::AGAIN).about(self.tcp.peer_address())),
        }
    }
}

impl ReadReady for TlsStream {
    fn read_ready(&mut self) -> Result<bool, LinuxError> {
        for _ in 0..PULLS_MAX {
            if self.pending_bytes > 0 || self.has_ended || self.pull()? == Pulled::Nothing {
                break;
            }
        }
        Ok(self.pending_bytes > 0 || self.has_ended)
    }
}

impl Write for TlsStream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, LinuxError> {
        match self.send(bytes)? {
            0 if !bytes.is_empty() => {
                Err(LinuxError::new(TALK, rustix::io::Errno::AGAIN).about(self.tcp.peer_address()))
            }
            taken => Ok(taken),
        }
    }

    fn flush(&mut self) -> Result<(), LinuxError> {
        self.push()
    }
}

impl WriteReady for TlsStream {
    fn write_ready(&mut self) -> Result<bool, LinuxError> {
        self.push()?;
        Ok(!self.session.wants_write() && !self.session.is_handshaking())
    }
}

impl ByteStream for TlsStream {
    fn advance(&mut self) -> Result<bool, LinuxError> {
        if !self.tcp.advance()? {
            return Ok(false);
        }
        self.shake_hands()?;
        Ok(!self.session.is_handshaking())
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<Arrived, LinuxError> {
        for _ in 0..PULLS_MAX {
            match self.session.reader().read(buffer) {
                Ok(0) => {
                    self.end_told = true;
                    return Ok(Arrived::End);
                }
                Ok(bytes) => {
                    self.pending_bytes = self.pending_bytes.saturating_sub(bytes);
                    return Ok(Arrived::Bytes(bytes));
                }
                Err(error) if would_block(&error) => {}
                Err(error) if error.kind() == IoErrorKind::UnexpectedEof => return Err(self.cut_off()),
                Err(error) => return Err(self.broken(&error)),
            }
            if self.pull()? == Pulled::Nothing {
                break;
            }
        }
        Ok(Arrived::WouldBlock)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<usize, LinuxError> {
        if bytes.is_empty() || !self.write_ready()? {
            return Ok(0);
        }
        let taken = self.session.writer().write(bytes).map_err(|error| self.broken(&error))?;
        self.push()?;
        Ok(taken)
    }

    fn finish(&mut self) -> Result<bool, LinuxError> {
        if !std::mem::replace(&mut self.finished, true) {
            self.session.send_close_notify();
        }
        self.push()?;
        if self.session.wants_write() { Ok(false) } else { self.tcp.finish() }
    }

    fn interest(&self, wanted: Interest) -> Interest {
        let reads = self.session.is_handshaking() || matches!(wanted, Interest::Read | Interest::ReadWrite);
        let waits_to_write = matches!(wanted, Interest::Write | Interest::ReadWrite) && !self.session.is_handshaking();
        let own = match (reads, waits_to_write || self.session.wants_write()) {
            (true, true) => Interest::ReadWrite,
            (true, false) => Interest::Read,
            (false, true) => Interest::Write,
            (false, false) => Interest::None,
        };
        self.tcp.interest(own)
    }

    fn has_pending(&self) -> bool {
        self.pending_bytes > 0 || (self.has_ended && !self.end_told)
    }

    fn local_address(&self) -> SocketAddr {
        self.tcp.local_address()
    }

    fn peer_address(&self) -> SocketAddr {
        self.tcp.peer_address()
    }

    fn peer_fingerprint(&self) -> Option<Fingerprint> {
        self.session.peer_certificates()?.first().map(fingerprint)
    }
}

impl AsFd for TlsStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tcp.as_fd()
    }
}
