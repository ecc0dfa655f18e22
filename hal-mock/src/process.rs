//! Children, seen from their parent and from inside.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use greenroom_core::hal::{Child, ErrorType, ExitStatus, Signal, Spawn};

use crate::error::{Call, SimulatedError};
use crate::event_loop::{Readiness, Source};
use crate::party::Party;
use crate::socket::{End, SeqPacket};
use crate::world::World;

/// What both sides know of a child.
pub(crate) struct Life {
    id: u32,
    status: Cell<Option<ExitStatus>>,
    ignores_terminate: Cell<bool>,
    lingers: Cell<bool>,
    signals: RefCell<Vec<Signal>>,
    link: Rc<End>,
}

impl Life {
    /// What a process held is closed before its parent can see that it has ended.
    fn end(&self, status: ExitStatus) {
        if self.status.get().is_none() {
            self.link.close();
            self.status.set(Some(status));
        }
    }
}

impl Readiness for Life {
    fn is_readable(&self) -> bool {
        self.has_ended()
    }

    fn has_ended(&self) -> bool {
        self.status.get().is_some()
    }
}

impl fmt::Debug for Life {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "process {} ({:?})", self.id, self.status.get())
    }
}

/// Starts children. Whoever plays them gets them from [`World::next_started`].
#[derive(Debug)]
pub struct Spawner {
    world: World,
}

impl Spawner {
    /// Starts children in this world.
    pub fn new(world: &World) -> Self {
        Self { world: world.clone() }
    }
}

impl ErrorType for Spawner {
    type Error = SimulatedError;
}

impl Spawn for Spawner {
    type Child = ChildProcess;
    type Socket = SeqPacket;

    fn spawn(&mut self) -> Result<(ChildProcess, SeqPacket), SimulatedError> {
        self.world.fault(Call::Spawn)?;
        let (ours, theirs) = SeqPacket::pair(&self.world);
        ours.belongs_to(self.world.acting());
        let child = ChildProcess::begin(&self.world, &theirs);
        theirs.belongs_to(Party::Server(child.life.id));
        self.world.has_started(Rc::clone(&child.life));
        Ok((child, ours))
    }
}

/// A child, as its parent holds it.
#[derive(Debug)]
pub struct ChildProcess {
    world: World,
    life: Rc<Life>,
}

impl ChildProcess {
    /// A process with this end of a link.
    fn begin(world: &World, link: &SeqPacket) -> Self {
        let life = Rc::new(Life {
            id: world.next_process_id(),
            status: Cell::new(None),
            ignores_terminate: Cell::new(false),
            lingers: Cell::new(false),
            signals: RefCell::default(),
            link: link.end(),
        });
        Self { world: world.clone(), life }
    }

    /// A process to which its parent has no link, and the same from inside.
    pub(crate) fn begin_alone(world: &World) -> (Self, Process) {
        let (_, link) = SeqPacket::pair(world);
        let child = Self::begin(world, &link);
        let process = Process::new(world, Rc::clone(&child.life));
        (child, process)
    }
}

impl ErrorType for ChildProcess {
    type Error = SimulatedError;
}

impl Child for ChildProcess {
    fn process_id(&self) -> u32 {
        self.life.id
    }

    fn signal(&mut self, signal: Signal) -> Result<(), SimulatedError> {
        self.world.fault(Call::Signal)?;
        if self.life.has_ended() {
            return Ok(());
        }
        self.life.signals.borrow_mut().push(signal);
        match signal {
            Signal::Terminate if self.life.ignores_terminate.get() => {}
            Signal::Terminate => self.life.end(ExitStatus::Killed(15)),
            Signal::Kill if self.life.lingers.get() => {}
            Signal::Kill => self.life.end(ExitStatus::Killed(9)),
        }
        Ok(())
    }

    fn try_wait(&mut self) -> Result<Option<ExitStatus>, SimulatedError> {
        self.world.fault(Call::TryWait)?;
        Ok(self.life.status.get())
    }
}

impl Source for ChildProcess {
    fn readiness(&self) -> Rc<dyn Readiness> {
        Rc::<Life>::clone(&self.life)
    }
}

/// A child, as it is from inside: what a test plays.
///
/// Dropping it does not end it: then it lives on and says nothing.
#[derive(Debug)]
pub struct Process {
    world: World,
    life: Rc<Life>,
    link: SeqPacket,
}

impl Process {
    pub(crate) fn new(world: &World, life: Rc<Life>) -> Self {
        let link = SeqPacket::of_end(world, Rc::clone(&life.link));
        Self { world: world.clone(), life, link }
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.life.id
    }

    /// Its end of the link to its parent.
    pub fn link(&mut self) -> &mut SeqPacket {
        &mut self.link
    }

    /// Another handle of its end of the link, for a driver.
    pub fn open_link(&self) -> SeqPacket {
        SeqPacket::of_end(&self.world, Rc::clone(&self.life.link))
    }

    /// From now on [`Signal::Kill`] does not end it at once: it hangs in the kernel until [`Process::exit`].
    pub fn linger(&self) {
        self.life.lingers.set(true);
    }

    /// How many signals it was sent.
    pub fn signal_count(&self) -> usize {
        self.life.signals.borrow().len()
    }

    /// Ends it. Of several ends the first one counts.
    pub fn exit(&self, status: ExitStatus) {
        self.life.end(status);
    }

    /// From now on [`Signal::Terminate`] does nothing to it.
    pub fn ignore_terminate(&self) {
        self.life.ignores_terminate.set(true);
    }

    /// Whether it has not ended.
    pub fn is_alive(&self) -> bool {
        !self.life.has_ended()
    }

    /// The signals that it was sent, in their order.
    pub fn signals(&self) -> Vec<Signal> {
        self.life.signals.borrow().clone()
    }
}
