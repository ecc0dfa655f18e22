//! The manager of a box: the driver that ships, in its simulated process.

use std::rc::Rc;

use greenroom_core::driver::{ManagerDriver, Turn};
use greenroom_core::hal::{Error, ErrorKind, ErrorType, ExitStatus, Peer, Spawn};
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

/// The number of the first one's process.
const FIRST_ID: u32 = 1;
/// A manager that cannot start is started again by what keeps it running; so often a failure is planned at most.
const STARTS_MAX: usize = 64;
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
            let kind = error.kind();
            self.book.tell(Party::Manager, Party::Manager, || What::SpawnFailed(kind));
        })
    }
}

type Home = ManagerHome<NotedSpawner>;

/// The manager's process.
pub(super) struct ManagerProcess {
    /// `None` only between one and the next.
    driver: Option<Box<ManagerDriver<Home, Tally>>>,
    pub(super) stalled_until: Instant,
    pub(super) has_exited: bool,
}

impl ManagerProcess {
    pub(super) fn start(world: &World, book: &Rc<Book>, settings: Settings, resources: Resources) -> Self {
        let driver = start(world, book, FIRST_ID, settings, resources);
        let driver = Some(driver.expect("it starts before anything fails"));
        Self { driver, stalled_until: Instant::default(), has_exited: false }
    }

    /// KILL, and the next one is there: the kernel has closed what this one held, and nobody was told anything.
    pub(super) fn replace(&mut self, world: &World, book: &Rc<Book>, settings: Settings, resources: Resources) {
        self.driver = None;
        book.ended(Party::Manager, ExitStatus::Killed(9));
        self.driver = (0..STARTS_MAX).find_map(|_| {
            let process_id = world.next_process_id();
            start(world, book, process_id, settings, resources).ok()
        });
        self.has_exited = self.driver.is_none();
    }

    pub(super) fn driver(&self) -> &ManagerDriver<Home, Tally> {
        self.driver.as_deref().expect("a manager runs")
    }

    fn driver_mut(&mut self) -> &mut ManagerDriver<Home, Tally> {
        self.driver.as_deref_mut().expect("a manager runs")
    }

    /// What the manager watches.
    pub(super) fn watched(&mut self) -> usize {
        self.driver_mut().host().events.watched()
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.driver().next_deadline().filter(|_| !self.has_exited)
    }

    pub(super) fn has_ready(&mut self) -> bool {
        !self.has_exited && self.driver_mut().host().events.has_ready()
    }

    pub(super) fn turn(&mut self, now: Instant) {
        let ready = self.driver_mut().host().events.ready();
        self.has_exited = self.driver_mut().turn(now, &ready) == Turn::Exit;
    }

    pub(super) fn terminate(&mut self, now: Instant) {
        self.has_exited = self.driver_mut().terminate(now) == Turn::Exit;
    }
}

fn start(
    world: &World,
    book: &Rc<Book>,
    process_id: u32,
    settings: Settings,
    resources: Resources,
) -> Result<Box<ManagerDriver<Home, Tally>>, ErrorKind> {
    world.act_as(Party::Manager);
    let spawner = NotedSpawner { spawner: Spawner::new(world), book: Rc::clone(book) };
    let mut home = ManagerHome::new(world, spawner, Grants::new().everything(OPERATOR.user_id));
    home.resources = resources;
    let control = home.open_control().map_err(|error| error.kind());
    let driver = control.and_then(|control| {
        let tally = Tally::new(book, Party::Manager, process_id);
        let mut driver = Box::new(ManagerDriver::new(Manager::new(settings), home, control, tally));
        driver.start().map(|()| driver)
    });
    world.act_as(Party::Nobody);
    driver
}
