//! The manager of a box: the driver that ships, in its simulated process.

use std::rc::Rc;

use greenroom_core::driver::{ManagerDriver, ManagerHost, Turn};
use greenroom_core::hal::{Authority, ErrorType, Launcher, Listen, Peer, Profile, Right, SocketPlace, Spawn};
use greenroom_core::manager::{Manager, Settings};
use greenroom_core::message::{Allowed, AppId, LogLevels, Resources};
use greenroom_core::time::Instant;

use super::book::{Book, Tally};
use super::event::What;
use crate::authority::Grants;
use crate::error::SimulatedError;
use crate::event_loop::EventLoop;
use crate::listener::{ListeningSocket, SocketFiles};
use crate::party::Party;
use crate::process::{ChildProcess, Spawner};
use crate::socket::SeqPacket;
use crate::world::World;

/// Where the manager listens.
pub(super) const CONTROL: &str = "/run/greenroom/control.sock";
/// The user who may drive everything.
pub(super) const OPERATOR: Peer = Peer::new(2, 0, 0);

/// Starts session servers, and writes down that it did.
pub(super) struct NotedSpawner {
    spawner: Spawner,
    book: Rc<Book>,
}

impl ErrorType for NotedSpawner {
    type Error = SimulatedError;
}

impl Spawn for NotedSpawner {
    type Child = ChildProcess;
    type Socket = SeqPacket;

    fn spawn(&mut self) -> Result<(ChildProcess, SeqPacket), SimulatedError> {
        self.spawner.spawn().inspect_err(|error| {
            let kind = greenroom_core::hal::Error::kind(error);
            self.book.tell(Party::Manager, Party::Manager, || What::SpawnFailed(kind));
        })
    }
}

pub(super) struct ManagerHome {
    pub(super) events: EventLoop,
    spawner: NotedSpawner,
    files: SocketFiles,
    resources: Resources,
    grants: Grants,
}

impl Launcher for ManagerHome {
    fn profile(&self, _: &AppId) -> Profile<'_> {
        Profile {
            resources: self.resources,
            socket_directory: "/run/greenroom",
            socket_mode: 0o660,
            socket_owner: "root",
            socket_group: "root",
            video_sink: "fake",
            audio_sink: "fake",
            clients: Allowed::default(),
        }
    }
}

impl Authority for ManagerHome {
    fn may(&self, peer: &Peer, right: Right<'_>) -> bool {
        self.grants.may(peer, right)
    }
}

impl ManagerHost for ManagerHome {
    type Control = ListeningSocket;
    type Spawn = NotedSpawner;
    type Listen = SocketFiles;
    type Watch = EventLoop;

    fn watch(&mut self) -> &mut EventLoop {
        &mut self.events
    }

    fn spawn(&mut self) -> &mut NotedSpawner {
        &mut self.spawner
    }

    fn listen(&mut self) -> &mut SocketFiles {
        &mut self.files
    }

    fn apply_log_levels(&mut self, _: &LogLevels) {}
}

/// The manager's process.
pub(super) struct ManagerProcess {
    driver: Box<ManagerDriver<ManagerHome, Tally>>,
    pub(super) stalled_until: Instant,
    pub(super) has_exited: bool,
}

impl ManagerProcess {
    pub(super) fn start(world: &World, book: &Rc<Book>, settings: Settings, resources: Resources) -> Self {
        world.act_as(Party::Manager);
        let mut files = SocketFiles::new(world);
        let place = SocketPlace { path: CONTROL, mode: 0o600, owner: "", group: "" };
        let control = files.listen(&place).expect("the control socket is made before anything fails");
        let host = ManagerHome {
            events: EventLoop::new(world),
            spawner: NotedSpawner { spawner: Spawner::new(world), book: Rc::clone(book) },
            files,
            resources,
            grants: Grants::new().everything(OPERATOR.user_id),
        };
        let tally = Tally::new(book, Party::Manager);
        let mut driver = Box::new(ManagerDriver::new(Manager::new(settings), host, control, tally));
        driver.start().expect("the control socket is watched before anything fails");
        world.act_as(Party::Nobody);
        Self { driver, stalled_until: Instant::default(), has_exited: false }
    }

    pub(super) fn driver(&self) -> &ManagerDriver<ManagerHome, Tally> {
        &self.driver
    }

    /// What the manager watches.
    pub(super) fn watched(&mut self) -> usize {
        self.driver.host().events.watched()
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.driver.next_deadline().filter(|_| !self.has_exited)
    }

    pub(super) fn has_ready(&mut self) -> bool {
        !self.has_exited && self.driver.host().events.has_ready()
    }

    pub(super) fn turn(&mut self, now: Instant) {
        let ready = self.driver.host().events.ready();
        self.has_exited = self.driver.turn(now, &ready) == Turn::Exit;
    }

    pub(super) fn terminate(&mut self, now: Instant) {
        self.has_exited = self.driver.terminate(now) == Turn::Exit;
    }
}
