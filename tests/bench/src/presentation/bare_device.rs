//! A device without a presentation service: this program, started again. It does what none can do without, and no more.

use std::env;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use clap::ValueEnum;
use greenroom_core::hal::{Network, Protection, StreamListener, Trust};
use greenroom_hal_linux::network::{LinuxListener, LinuxStream};
use rustix::event::{PollFd, PollFlags, poll};

use super::far::network;
use super::visitor;
use crate::Failure;
use crate::link::Link;
use crate::pinning::{Pinning, pin};
use crate::programs::EmptyProgram;

/// What the device does with a visitor that has said something.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Part {
    /// Starts a page, and answers when it is there; ends it when the visitor goes.
    Launch,
    /// Answers, and keeps the connection.
    Hold,
}

/// What the process is told when it is started. Its standard input tells when it is to end.
#[derive(Debug, clap::Args)]
pub(crate) struct Orders {
    part: Part,
    /// Its certificate.
    #[arg(long)]
    identity: PathBuf,
    /// Where it runs.
    #[arg(long)]
    processor: usize,
}

/// Receives visitors until the link ends.
pub(crate) fn run(orders: &Orders) -> Result<(), Failure> {
    pin(orders.processor)?;
    let mut link = Link::inherited()?;
    let mut listener = network(&orders.identity)?.listen((Ipv4Addr::LOCALHOST, 0).into(), Protection::Encrypted)?;
    link.send(&listener.local_address().port().to_le_bytes(), &[])?;
    let mut held = Vec::new();
    while let Some(mut stream) = next_visitor(&mut listener, &link)? {
        visitor::open(&mut stream)?;
        if !visitor::hear(&mut stream)? {
            continue;
        }
        match orders.part {
            Part::Launch => launch(stream, orders.processor)?,
            Part::Hold => {
                visitor::say(&mut stream, b"\n")?;
                held.push(stream);
            }
        }
    }
    Ok(())
}

/// None when the link has ended.
fn next_visitor(listener: &mut LinuxListener, link: &Link) -> Result<Option<LinuxStream>, Failure> {
    loop {
        if let Some(stream) = listener.accept()? {
            return Ok(Some(stream));
        }
        let mut both = [PollFd::new(listener, PollFlags::IN), PollFd::new(link, PollFlags::IN)];
        poll(&mut both, None)?;
        if !both[1].revents().is_empty() {
            return Ok(None);
        }
    }
}

fn launch(mut stream: LinuxStream, processor: usize) -> Result<(), Failure> {
    let page = EmptyProgram::of("page", Pinning { app: processor, greenroom: processor })?;
    visitor::say(&mut stream, b"\n")?;
    // It says no more, and goes.
    let _ = visitor::hear(&mut stream);
    page.end().map(drop)
}

/// The same process, seen from this one. It ends with the link.
pub(super) struct BareDevice {
    link: Option<Link>,
    child: Child,
    pub(super) address: SocketAddr,
    pub(super) trust: Trust,
}

impl BareDevice {
    pub(super) fn start(part: Part, directory: &Path, pinning: Pinning) -> Result<Self, Failure> {
        let identity = directory.join("bare-identity.pem");
        let trust = Trust::Pinned(network(&identity)?.fingerprint());
        let (mut link, theirs) = Link::pair()?;
        let part = part.to_possible_value().ok_or("a part without a name")?;
        let child = Command::new(env::current_exe()?)
            .args(["bare-device", part.get_name(), "--processor", &pinning.greenroom.to_string()])
            .arg("--identity")
            .arg(identity)
            .stdin(theirs)
            .stdout(Stdio::null())
            .spawn()?;
        let (port, _) = link.receive()?.ok_or("the bare device has ended")?;
        let address = (Ipv4Addr::LOCALHOST, u16::from_le_bytes(port.as_slice().try_into()?)).into();
        Ok(Self { link: Some(link), child, address, trust })
    }

    pub(super) fn process_id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for BareDevice {
    fn drop(&mut self) {
        drop(self.link.take());
        // A failure of its own stands on its standard error.
        let _ = self.child.wait();
    }
}
