//! The manager of a box: the driver that ships, in its simulated process.

use std::rc::Rc;

use greenroom_core::driver::{ManagerDriver, Turn};
use greenroom_core::hal::{ErrorType, Peer, Spawn};
use greenroom_core::manager::{Manager, Settings};
use greenroom_core::message::Resources;
use greenroom_core::time::Instant;

use super::book::{Book, Tally};
use super::event::What;
use crate::authority::Grants;
use crate::error::SimulatedError;
use crate::home::ManagerHome;
use crate::party::Party;
use crate::process::{ChildProcess, Spawner};
use crate::socket::SeqPacket;
use crate::world::World;

/// The number of its process.
const MANAGER: u32 = 1;
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

type Home = ManagerHome<NotedSpawner>;

/// The manager's process.
pub(super) struct ManagerProcess {
    driver: Box<ManagerDriver<Home, Tally>>,
    pub(super) stalled_until: Instant,
    pub(super) has_exited: bool,
}

impl ManagerProcess {
    pub(super) fn start(world: &World, book: &Rc<Book>, settings: Settings, resources: Resources) -> Self {
        world.act_as(Party::Manager);
        let spawner = NotedSpawner { spawner: Spawner::new(world), book: Rc::clone(book) };
        let mut home = ManagerHome::new(world, spawner, Grants::new().everything(OPERATOR.user_id));
        home.resources = resources;
        let control = home.open_control().expect("the control socket is made before anything fails");
        let tally = Tally::new(book, Party::Manager, MANAGER);
        let mut driver = Box::new(ManagerDriver::new(Manager::new(settings), home, control, tally));
        driver.start().expect("the control socket is watched before anything fails");
        world.act_as(Party::Nobody);
        Self { driver, stalled_until: Instant::default(), has_exited: false }
    }

    pub(super) fn driver(&self) -> &ManagerDriver<Home, Tally> {
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
