//! The process that sends: this program, started again.

use std::env;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use clap::ValueEnum;

use super::bare::BareSender;
use super::iceoryx::IceoryxSender;
use super::shipped::ShippedSender;
use super::{Load, Sender, Start, send_all, wake};
use crate::Failure;
use crate::link::Link;
use crate::pinning::{Pinning, pin};

/// Which ring.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Kind {
    Shipped,
    Bare,
    Iceoryx2,
    /// Frames, each into a ring whose consumer sleeps.
    Waker,
    /// A bell alone.
    Bell,
}

/// What the process is told when it is started. The rest comes over its standard input.
#[derive(Debug, clap::Args)]
pub(crate) struct Orders {
    kind: Kind,
    #[command(flatten)]
    load: Load,
    /// Where it runs.
    #[arg(long)]
    processor: usize,
}

/// Sends frames whenever it is told to, until the link ends.
pub(crate) fn run(orders: &Orders) -> Result<(), Failure> {
    pin(orders.processor)?;
    let mut link = Link::inherited()?;
    let (name, descriptors) = link.receive()?.ok_or("nothing to attach to")?;
    let load = orders.load;
    match orders.kind {
        Kind::Shipped => push_frames(ShippedSender::attach(descriptors, load)?, &mut link, load),
        Kind::Bare => push_frames(BareSender::attach(descriptors, load)?, &mut link, load),
        Kind::Iceoryx2 => push_frames(IceoryxSender::attach(str::from_utf8(&name)?, load)?, &mut link, load),
        Kind::Waker => take_turns(&mut link, wake::waker(descriptors, load)?),
        Kind::Bell => take_turns(&mut link, wake::bell(descriptors)?),
    }
}

fn push_frames(mut sender: impl Sender, link: &mut Link, load: Load) -> Result<(), Failure> {
    let mut buffer = load.buffer();
    take_turns(link, |frames| send_all(&mut sender, frames, &mut buffer))
}

/// Says that it is attached, and then does each turn that it is told to.
fn take_turns(link: &mut Link, mut turn: impl FnMut(u32) -> Result<(), Failure>) -> Result<(), Failure> {
    link.send(READY, &[])?;
    while let Some((frames, _)) = link.receive()? {
        turn(u32::from_le_bytes(frames.as_slice().try_into()?))?;
    }
    Ok(())
}

/// What it says once it is attached.
const READY: &[u8] = b"ready";

/// The same process, seen from the receiver. It ends with the link.
pub(super) struct SenderProcess {
    link: Option<Link>,
    child: Child,
}

impl SenderProcess {
    /// Starts it and waits until it is attached.
    pub(super) fn start(
        kind: Kind,
        load: Load,
        pinning: Pinning,
        name: &str,
        descriptors: &[OwnedFd],
    ) -> Result<Self, Failure> {
        let (mut link, theirs) = Link::pair()?;
        let kind = kind.to_possible_value().ok_or("a ring without a name")?;
        let child = Command::new(env::current_exe()?)
            .args(["sender", kind.get_name()])
            .args(["--frame-bytes", &load.frame_bytes.to_string(), "--slots", &load.slots.to_string()])
            .args(["--processor", &pinning.greenroom.to_string()])
            .stdin(theirs)
            .stdout(Stdio::null())
            .spawn()?;
        link.send(name.as_bytes(), &descriptors.iter().collect::<Vec<_>>())?;
        link.receive()?.ok_or("the process that sends has ended")?;
        Ok(Self { link: Some(link), child })
    }
}

impl Start for SenderProcess {
    fn start(&mut self, frames: u32) -> Result<(), Failure> {
        self.link.as_mut().ok_or("the link has ended")?.send(&frames.to_le_bytes(), &[])
    }
}

impl Drop for SenderProcess {
    fn drop(&mut self) {
        drop(self.link.take());
        // A failure of its own stands on its standard error.
        let _ = self.child.wait();
    }
}
