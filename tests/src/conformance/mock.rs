//! The simulated world, with the platform as the player of its children.

use std::rc::{Rc, Weak};

use greenroom_core::hal::{
    Descriptors, Error, ErrorKind, ExitStatus, Interest, Peer, Ready, Received, Socket, Token, Watch,
};
use greenroom_hal_mock::memory::{OwnRegion, PeerRegion};
use greenroom_hal_mock::{
    Bell, Call, ChildProcess, Descriptor, EventLoop, ListeningSocket, Memory, Process, SeqPacket, SocketFiles, Spawner,
    World,
};

use super::memory::MemoryPlatform;
use super::platform::{Platform, Script};

const PROCESS_ID: u32 = 1;

/// A platform in a world of its own.
#[derive(Debug)]
pub struct Mock {
    world: World,
    script: Script,
    processes: Vec<Process>,
}

impl Mock {
    /// A new one.
    pub fn new() -> Self {
        Self { world: World::new(1), script: Script::UntilLinkEnds, processes: Vec::new() }
    }

    /// Does what the children do by themselves elsewhere.
    fn play(&mut self) {
        while let Some(mut process) = self.world.next_started() {
            begin(&mut process, self.script);
            self.processes.push(process);
        }
        self.processes.iter_mut().for_each(end_with_link);
    }
}

fn begin(process: &mut Process, script: Script) {
    if script == Script::IgnoreTerminate {
        process.ignore_terminate();
    }
    match script {
        Script::Exit(status) => process.exit(ExitStatus::Exited(status)),
        // It may have been killed before it could say anything.
        Script::UntilLinkEnds | Script::IgnoreTerminate if !process.is_alive() => {}
        Script::UntilLinkEnds | Script::IgnoreTerminate => {
            process.link().send(b"up\n", &[]).unwrap();
        }
        Script::Missing | Script::NotExecutable => unreachable!("these are not started"),
    }
}

fn end_with_link(process: &mut Process) {
    if process.link().receive(&mut [0; 16], &mut Descriptors::new()).unwrap() == Received::Closed {
        process.exit(ExitStatus::Exited(5));
    }
}

impl Default for Mock {
    fn default() -> Self {
        Self::new()
    }
}

impl Platform for Mock {
    type Descriptor = Descriptor;
    type Socket = SeqPacket;
    type Listener = ListeningSocket;
    type Files = SocketFiles;
    type Child = ChildProcess;
    type Spawner = Spawner;
    type Events = EventLoop;
    type Witness = Weak<()>;

    fn pair(&mut self) -> (SeqPacket, SeqPacket) {
        SeqPacket::pair(&self.world)
    }

    fn descriptor(&mut self) -> (Descriptor, Weak<()>) {
        let object = Rc::new(());
        let witness = Rc::downgrade(&object);
        (Descriptor::new(object), witness)
    }

    fn is_open(&mut self, witness: &Weak<()>) -> bool {
        witness.strong_count() > 0
    }

    fn is_closed(&mut self, witness: &Weak<()>) -> bool {
        !self.is_open(witness)
    }

    fn send_anything(&mut self, socket: &mut SeqPacket, message: &[u8], descriptors: &[&Descriptor]) {
        socket.send_anything(message, descriptors);
    }

    fn events(&mut self) -> EventLoop {
        EventLoop::new(&self.world)
    }

    fn ready_now(&mut self, events: &mut EventLoop) -> Vec<Ready> {
        self.play();
        events.ready()
    }

    fn ready(&mut self, events: &mut EventLoop) -> Vec<Ready> {
        let ready = self.ready_now(events);
        assert!(!ready.is_empty(), "nothing became ready");
        ready
    }

    fn files(&mut self) -> SocketFiles {
        SocketFiles::new(&self.world)
    }

    fn directory(&mut self) -> String {
        "/run/greenroom".to_owned()
    }

    fn connect(&mut self, path: &str) -> Result<SeqPacket, ErrorKind> {
        let peer = Peer::new(PROCESS_ID, 0, 0);
        self.world.connect(path, peer).map_err(|error| error.kind())
    }

    fn own_process_id(&mut self) -> u32 {
        PROCESS_ID
    }

    fn write_file(&mut self, path: &str) {
        self.world.write_file(path);
    }

    fn remove_file(&mut self, path: &str) {
        self.world.remove_file(path);
    }

    fn mode(&mut self, path: &str) -> Option<u16> {
        self.world.permissions(path).map(|(mode, _, _)| mode)
    }

    fn spawner(&mut self, script: Script) -> Spawner {
        self.script = script;
        match script {
            Script::Missing => self.world.fail_next(Call::Spawn, ErrorKind::NotFound),
            Script::NotExecutable => self.world.fail_next(Call::Spawn, ErrorKind::Denied),
            Script::Exit(_) | Script::UntilLinkEnds | Script::IgnoreTerminate => {}
        }
        Spawner::new(&self.world)
    }
}

impl MemoryPlatform for Mock {
    type Descriptor = Descriptor;
    type PeerRegion = PeerRegion;
    type OwnRegion = OwnRegion;
    type Bell = Bell;
    type Memory = Memory;

    fn memory(&mut self) -> Memory {
        Memory::new(&self.world)
    }

    fn attach_own(&mut self, descriptor: &Descriptor, bytes: u32) -> Result<OwnRegion, ErrorKind> {
        OwnRegion::attach(descriptor, bytes).map_err(|error| error.kind())
    }

    fn attach_peer(&mut self, descriptor: &Descriptor, bytes: u32) -> Result<PeerRegion, ErrorKind> {
        PeerRegion::attach(descriptor, bytes).map_err(|error| error.kind())
    }

    fn attach_bell(&mut self, descriptor: Descriptor) -> Bell {
        Bell::attach(&self.world, &descriptor).unwrap()
    }

    fn is_rung(&mut self, bell: &Bell) -> bool {
        let mut events = EventLoop::new(&self.world);
        let token = Token { kind: 0, index: 0, generation: 0 };
        events.watch(bell, token, Interest::Read).unwrap();
        !events.ready().is_empty()
    }
}
