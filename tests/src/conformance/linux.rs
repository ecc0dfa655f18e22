//! Linux, with pipes as descriptors and a shell as the child.

use std::fs;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use greenroom_core::hal::{Error, ErrorKind, Ready};
use greenroom_hal_linux::clock::Clock;
use greenroom_hal_linux::event_loop::EventLoop;
use greenroom_hal_linux::listener::{ListeningSocket, SocketFiles};
use greenroom_hal_linux::memory::{EventFd, LinuxMemory, OwnRegion, PeerRegion, attach_own, attach_peer};
use greenroom_hal_linux::process::{PidChild, Program, Spawner};
use greenroom_hal_linux::socket::SeqPacket;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tempfile::TempDir;

use super::memory::MemoryPlatform;
use super::platform::{Platform, Script};

/// How long something may take that should happen at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// A platform on Linux with a directory of its own.
#[derive(Debug)]
pub struct Linux {
    directory: TempDir,
}

impl Linux {
    /// A new one.
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn program(&self, script: Script) -> Program {
        let shell = |text: &str| Program {
            path: PathBuf::from("/bin/sh"),
            arguments: vec!["-c".into(), text.into()],
            environment: Vec::new(),
        };
        match script {
            Script::Exit(status) => shell(&format!("exit {status}")),
            Script::UntilLinkEnds => shell("echo up >&3; read line <&3; exit 5"),
            Script::IgnoreTerminate => shell("trap '' TERM; echo up >&3; read line <&3; exit 5"),
            Script::Missing => Program { path: self.directory.path().join("missing"), ..Program::default() },
            Script::NotExecutable => {
                let path = self.directory.path().join("text");
                fs::write(&path, "no program").unwrap();
                Program { path, ..Program::default() }
            }
        }
    }
}

impl Default for Linux {
    fn default() -> Self {
        Self::new()
    }
}

impl Platform for Linux {
    type Descriptor = OwnedFd;
    type Socket = SeqPacket;
    type Listener = ListeningSocket;
    type Files = SocketFiles;
    type Child = PidChild;
    type Spawner = Spawner;
    type Events = EventLoop;
    /// The reading end of a pipe, which ends when the last writing end is closed.
    type Witness = OwnedFd;

    fn pair(&mut self) -> (SeqPacket, SeqPacket) {
        SeqPacket::pair().unwrap()
    }

    fn descriptor(&mut self) -> (OwnedFd, OwnedFd) {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        (write, read)
    }

    fn is_open(&mut self, witness: &OwnedFd) -> bool {
        !ends_within(witness, Duration::ZERO)
    }

    fn is_closed(&mut self, witness: &OwnedFd) -> bool {
        ends_within(witness, PATIENCE)
    }

    fn send_anything(&mut self, socket: &mut SeqPacket, message: &[u8], descriptors: &[&OwnedFd]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(|descriptor| descriptor.as_fd()).collect();
        if !borrowed.is_empty() {
            assert!(ancillary.push(SendAncillaryMessage::ScmRights(&borrowed)));
        }
        sendmsg(socket, &[IoSlice::new(message)], &mut ancillary, SendFlags::NOSIGNAL).unwrap();
    }

    fn events(&mut self) -> EventLoop {
        EventLoop::new().unwrap()
    }

    fn ready_now(&mut self, events: &mut EventLoop) -> Vec<Ready> {
        events.wait(Some(Clock.now())).unwrap().to_vec()
    }

    fn ready(&mut self, events: &mut EventLoop) -> Vec<Ready> {
        let ready = events.wait(Some(Clock.now().after(PATIENCE))).unwrap();
        assert!(!ready.is_empty(), "nothing became ready");
        ready.to_vec()
    }

    fn files(&mut self) -> SocketFiles {
        SocketFiles::new()
    }

    fn directory(&mut self) -> String {
        self.directory.path().to_str().unwrap().to_owned()
    }

    fn connect(&mut self, path: &str) -> Result<SeqPacket, ErrorKind> {
        SeqPacket::connect(path.as_ref(), PATIENCE).map_err(|error| error.kind())
    }

    fn own_process_id(&mut self) -> u32 {
        std::process::id()
    }

    fn write_file(&mut self, path: &str) {
        fs::write(path, "no socket").unwrap();
    }

    fn remove_file(&mut self, path: &str) {
        fs::remove_file(path).unwrap();
    }

    fn mode(&mut self, path: &str) -> Option<u16> {
        let metadata = fs::symlink_metadata(path).ok()?;
        u16::try_from(metadata.permissions().mode() & 0o7777).ok()
    }

    fn spawner(&mut self, script: Script) -> Spawner {
        Spawner::new(self.program(script))
    }
}

fn ends_within(pipe: &OwnedFd, patience: Duration) -> bool {
    let mut watched = [PollFd::new(pipe, PollFlags::IN)];
    let patience = Timespec::try_from(patience).unwrap();
    poll(&mut watched, Some(&patience)).unwrap();
    watched[0].revents().contains(PollFlags::HUP)
}

impl MemoryPlatform for Linux {
    type Descriptor = OwnedFd;
    type PeerRegion = PeerRegion;
    type OwnRegion = OwnRegion;
    type Bell = EventFd;
    type Memory = LinuxMemory;

    fn memory(&mut self) -> LinuxMemory {
        LinuxMemory
    }

    fn attach_own(&mut self, descriptor: &OwnedFd, bytes: u32) -> Result<OwnRegion, ErrorKind> {
        attach_own(descriptor, bytes).map_err(|error| error.kind())
    }

    fn attach_peer(&mut self, descriptor: &OwnedFd, bytes: u32) -> Result<PeerRegion, ErrorKind> {
        attach_peer(descriptor, bytes).map_err(|error| error.kind())
    }

    fn attach_bell(&mut self, descriptor: OwnedFd) -> EventFd {
        EventFd::attach(descriptor)
    }

    fn is_rung(&mut self, bell: &EventFd) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(bell, PollFlags::IN)], Some(&now)).unwrap() > 0
    }
}
