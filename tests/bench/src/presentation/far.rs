//! The other end of a transport: this program, started again. It answers so many messages by one of the same size.

use std::env;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use clap::ValueEnum;
use greenroom_core::codec::frame::Ticket;
use greenroom_core::hal::{Interest, Network, Protection, StreamListener, Trust};
use greenroom_core::transport::{Admission, Framed, Unframed};
use greenroom_hal_linux::network::{Identity, LinuxNetwork, LinuxStream};

use super::end::{Bare, End, Shipped, buffer};
use super::wait_for;
use crate::Failure;
use crate::pinning::{Pinning, pin};

/// What carries the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    Framed,
    FramedTls,
    Unframed,
    Bare,
}

impl Kind {
    fn protection(self) -> Protection {
        if self == Self::FramedTls { Protection::Encrypted } else { Protection::None }
    }
}

/// What passes.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Load {
    /// Bytes of one message.
    #[arg(long)]
    pub(super) message_bytes: usize,
    /// Messages that are answered by one.
    #[arg(long)]
    pub(super) messages: usize,
}

impl Load {
    pub(super) fn message(self) -> String {
        "m".repeat(self.message_bytes)
    }
}

/// What the process is told when it is started.
#[derive(Debug, clap::Args)]
pub(crate) struct Orders {
    kind: Kind,
    #[command(flatten)]
    load: Load,
    /// Where the other one listens.
    #[arg(long)]
    port: u16,
    /// The certificate of both.
    #[arg(long)]
    identity: PathBuf,
    /// Where it runs.
    #[arg(long)]
    processor: usize,
}

const TICKET: Ticket = Ticket([7; 16]);

/// Answers until the connection ends.
pub(crate) fn run(orders: &Orders) -> Result<(), Failure> {
    pin(orders.processor)?;
    let mut end = connect(orders)?;
    let (message, whole) = (orders.load.message(), orders.load.message_bytes * orders.load.messages);
    while take(&mut *end, whole)? {
        end.send(&message)?;
    }
    Ok(())
}

/// Receives so many bytes of messages, and no more; `false` when the other side has ended before.
pub(super) fn take(end: &mut dyn End, bytes: usize) -> Result<bool, Failure> {
    let mut left = bytes;
    while left > 0 {
        let Some(received) = end.receive()? else { return Ok(false) };
        left = left.checked_sub(received).ok_or("more has come than was sent")?;
    }
    Ok(true)
}

fn connect(orders: &Orders) -> Result<Box<dyn End>, Failure> {
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, orders.port));
    if orders.kind == Kind::Bare {
        return Ok(Box::new(Bare::new(TcpStream::connect(to)?)?));
    }
    let mut network = network(&orders.identity)?;
    let trust = match orders.kind.protection() {
        Protection::None => Trust::Plain,
        Protection::Encrypted => Trust::Pinned(network.fingerprint()),
    };
    let stream = network.connect(to, trust)?;
    Ok(match orders.kind {
        Kind::Unframed => unframed(stream)?,
        _ => Box::new(Shipped::open(Framed::connecting(stream, TICKET, buffer(), buffer()))?),
    })
}

fn accept(stream: LinuxStream, kind: Kind) -> Result<Box<dyn End>, Failure> {
    let admission = Admission { ticket: TICKET, fingerprint: None, address: None };
    Ok(match kind {
        Kind::Unframed => unframed(stream)?,
        _ => Box::new(Shipped::open(Framed::accepting(stream, admission, buffer(), buffer()))?),
    })
}

fn unframed(stream: LinuxStream) -> Result<Box<dyn End>, Failure> {
    Ok(Box::new(Shipped::open(Unframed::new(stream, buffer(), buffer()))?))
}

pub(super) fn network(identity: &Path) -> Result<LinuxNetwork, Failure> {
    Ok(LinuxNetwork::new(&Identity::load_or_make(identity)?)?)
}

/// The same process, seen from this one. It is killed when it is dropped.
pub(super) struct Far(Child);

impl Far {
    /// Starts it; gives our end of the connection as well.
    pub(super) fn start(
        kind: Kind,
        load: Load,
        identity: &Path,
        pinning: Pinning,
    ) -> Result<(Self, Box<dyn End>), Failure> {
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        if kind == Kind::Bare {
            let listener = TcpListener::bind(at)?;
            let far = Self::spawn(kind, load, listener.local_addr()?.port(), identity, pinning)?;
            wait_for(&listener, Interest::Read)?;
            return Ok((far, Box::new(Bare::new(listener.accept()?.0)?)));
        }
        let mut listener = network(identity)?.listen(at, kind.protection())?;
        let far = Self::spawn(kind, load, listener.local_address().port(), identity, pinning)?;
        wait_for(&listener, Interest::Read)?;
        let stream = listener.accept()?.ok_or("a connection that is none")?;
        Ok((far, accept(stream, kind)?))
    }

    fn spawn(kind: Kind, load: Load, port: u16, identity: &Path, pinning: Pinning) -> Result<Self, Failure> {
        let name = kind.to_possible_value().ok_or("a transport without a name")?;
        let child = Command::new(env::current_exe()?)
            .args(["far", name.get_name()])
            .args(["--message-bytes", &load.message_bytes.to_string(), "--messages", &load.messages.to_string()])
            .args(["--port", &port.to_string(), "--processor", &pinning.greenroom.to_string()])
            .arg("--identity")
            .arg(identity)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self(child))
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        // One that has ended has said why.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
