//! What messages between processes cost by themselves: no codec, no machine, only `epoll_wait`, `recv` and `send`.

use std::env;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};

use clap::ValueEnum;
use greenroom_core::hal::SharedMemory;
use greenroom_core::ring::SlotLayout;
use greenroom_hal_linux::memory::LinuxMemory;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};

use crate::Failure;
use crate::pinning::{Pinning, pin};

/// About as long as a call of the client library.
const MESSAGE: [u8; 16] = [7; 16];
/// What takes longer is stuck.
const PATIENCE: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };

/// What a process does with a message.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Part {
    /// Sends it back.
    Echo,
    /// Hands it on to a process of its own, and the answer back: as the manager between controller and session server.
    Relay,
    /// Makes the shared memory of one playback slot, and sends it back.
    Memory,
}

/// What the process is told when it is started. Messages come over its standard input.
#[derive(Debug, clap::Args)]
pub(crate) struct Orders {
    part: Part,
    /// Where it runs.
    #[arg(long)]
    processor: usize,
}

/// Answers messages until the link ends.
pub(crate) fn run(orders: &Orders) -> Result<(), Failure> {
    pin(orders.processor)?;
    let mut link = Link::new(std::io::stdin().as_fd().try_clone_to_owned()?)?;
    match orders.part {
        Part::Echo => answer(&mut link, || Ok(())),
        Part::Relay => {
            let mut next = Process::start(Part::Memory, orders.processor)?;
            answer(&mut link, || next.ask())
        }
        Part::Memory => {
            let layout = SlotLayout::STANDARD;
            let mut slot = None;
            answer(&mut link, || {
                // Without this there would be two of them for a moment.
                drop(slot.take());
                slot = Some(LinuxMemory.create(layout.client_bytes(), layout.server_bytes())?);
                Ok(())
            })
        }
    }
}

fn answer(link: &mut Link, mut between: impl FnMut() -> Result<(), Failure>) -> Result<(), Failure> {
    while link.wait_and_receive()? {
        between()?;
        link.send()?;
    }
    Ok(())
}

/// An end of a connection, with an epoll of its own.
struct Link {
    socket: OwnedFd,
    epoll: OwnedFd,
}

impl Link {
    fn new(socket: OwnedFd) -> Result<Self, Failure> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &socket, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
        Ok(Self { socket, epoll })
    }

    fn send(&self) -> Result<(), Failure> {
        send(&self.socket, &MESSAGE, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// False at its end.
    fn wait_and_receive(&mut self) -> Result<bool, Failure> {
        let mut events = [const { std::mem::MaybeUninit::uninit() }; 1];
        epoll::wait(&self.epoll, &mut events, None)?;
        let mut buffer = [0_u8; 64];
        let (bytes, _) = recv(&self.socket, &mut buffer[..], RecvFlags::empty())?;
        Ok(bytes > 0)
    }
}

/// A process that plays a part; it ends with its link.
pub(super) struct Process {
    socket: Option<OwnedFd>,
    child: Child,
}

impl Process {
    pub(super) fn beside(part: Part, pinning: Pinning) -> Result<Self, Failure> {
        Self::start(part, pinning.greenroom)
    }

    fn start(part: Part, processor: usize) -> Result<Self, Failure> {
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let part = part.to_possible_value().ok_or("a part without a name")?;
        let child = Command::new(env::current_exe()?)
            .args(["bare", part.get_name(), "--processor", &processor.to_string()])
            .stdin(theirs)
            .stdout(Stdio::null())
            .spawn()?;
        let mut process = Self { socket: Some(ours), child };
        process.ask()?;
        Ok(process)
    }

    /// Sends a message and waits for the answer, as a blocking client does.
    pub(super) fn ask(&mut self) -> Result<(), Failure> {
        let socket = self.socket.as_ref().ok_or("the link has ended")?;
        send(socket, &MESSAGE, SendFlags::NOSIGNAL)?;
        if poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&PATIENCE))? == 0 {
            return Err("the other process is silent".into());
        }
        let mut buffer = [0_u8; 64];
        match recv(socket, &mut buffer[..], RecvFlags::empty())? {
            (0, _) => Err("the other process has ended".into()),
            _ => Ok(()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.socket.take());
        // A failure of its own stands on its standard error.
        let _ = self.child.wait();
    }
}
