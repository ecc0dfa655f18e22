//! One session server: the driver that ships, in its simulated process.

use std::rc::Rc;

use greenroom_core::driver::SessionDriver;
use greenroom_core::hal::{ExitStatus, Signal};
use greenroom_core::message::Resources;
use greenroom_core::time::{Instant, earliest};

use super::book::{Book, Tally};
use super::decoder::SimDecoder;
use super::event::What;
use super::fault::Fault;
use super::hardware::Hardware;
use crate::home::ServerHome;
use crate::memory::Memory;
use crate::party::Party;
use crate::process::Process;
use crate::world::World;

/// What runs in the process once it is up.
struct Running {
    home: ServerHome<SimDecoder>,
    driver: SessionDriver<ServerHome<SimDecoder>, Tally>,
}

/// A session server's process.
pub(super) struct ServerProcess {
    world: World,
    book: Rc<Book>,
    pub(super) process: Process,
    pub(super) memory: Memory,
    pub(super) decoder: SimDecoder,
    running: Option<Box<Running>>,
    /// When it is up; `None` when it was, or never will be.
    pub(super) starts_at: Option<Instant>,
    pub(super) stalled_until: Instant,
    /// It does nothing any more, and hears no TERM.
    pub(super) hangs: bool,
    /// When it ends, having been killed.
    pub(super) dies_at: Option<Instant>,
    /// How long it takes to end after it was killed.
    pub(super) lingers_ms: u32,
    signals_heard: usize,
    terminate: bool,
    pub(super) has_ended: bool,
    /// When it and its decoders want to be woken, as of their last turn.
    pub(super) wakes_at: Option<Instant>,
    pub(super) decoder_wakes_at: Option<Instant>,
}

impl ServerProcess {
    pub(super) fn new(
        world: &World,
        book: &Rc<Book>,
        hardware: &Rc<Hardware>,
        process: Process,
        is_slow: bool,
    ) -> Self {
        let process_id = process.id();
        let memory = Memory::new(world);
        let decoder = SimDecoder::new(world, book, hardware, process_id, is_slow);
        process.ignore_terminate();
        process.linger();
        book.untaint(process_id);
        book.referee.borrow_mut().spawned(process_id, memory.clone(), decoder.clone());
        book.tell(Party::Manager, Party::Server(process_id), || What::Spawned);
        Self {
            world: world.clone(),
            book: Rc::clone(book),
            process,
            memory,
            decoder,
            running: None,
            starts_at: None,
            stalled_until: Instant::default(),
            hangs: false,
            dies_at: None,
            lingers_ms: 0,
            signals_heard: 0,
            terminate: false,
            has_ended: false,
            wakes_at: None,
            decoder_wakes_at: None,
        }
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(super) fn party(&self) -> Party {
        Party::Server(self.id())
    }

    /// The keys, where it is up.
    pub(super) fn key_sessions(&self) -> usize {
        self.running.as_ref().map_or(0, |running| running.home.keys.open_sessions())
    }

    pub(super) fn resources(&self) -> Option<Resources> {
        self.running.as_ref().map(|running| running.home.resources)
    }

    /// Nobody could tell it to end but by a signal.
    pub(super) fn cannot_see_its_end(&self) -> bool {
        self.hangs || (self.running.is_none() && self.starts_at.is_none())
    }

    pub(super) fn refresh(&mut self) {
        self.wakes_at = self.due();
        self.decoder_wakes_at = self.decoder.due().filter(|_| !self.has_ended);
    }

    fn due(&self) -> Option<Instant> {
        if self.has_ended {
            return None;
        }
        let own = self.running.as_ref().filter(|_| !self.hangs).and_then(|running| running.driver.next_deadline());
        earliest(earliest(own, self.starts_at.filter(|_| !self.hangs)), self.dies_at)
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.has_ended
            && (self.process.signal_count() > self.signals_heard
                || (!self.hangs
                    && (self.terminate
                        || self.running.as_ref().is_some_and(|running| running.home.platform.events.has_ready()))))
    }

    /// What only the kernel can do, even for a process that stands still.
    pub(super) fn is_killed(&self, now: Instant) -> bool {
        !self.has_ended
            && (self.dies_at.is_some_and(|at| at <= now) || self.process.signal_count() > self.signals_heard)
    }

    pub(super) fn hear_signals(&mut self, now: Instant) {
        let signals = self.process.signals();
        for signal in signals.iter().skip(self.signals_heard) {
            self.book.tell(Party::Manager, self.party(), || What::Signalled(*signal));
            match signal {
                // Before it is up nothing catches it.
                Signal::Terminate if self.running.is_none() && !self.hangs => {
                    self.end(ExitStatus::Killed(15));
                    return;
                }
                Signal::Terminate => {
                    self.terminate = true;
                    if self.hangs && self.lingers_ms == 0 {
                        self.book.struck(Fault::IgnoredTerminate);
                    }
                }
                Signal::Kill if self.lingers_ms == 0 => {
                    self.end(ExitStatus::Killed(9));
                    return;
                }
                Signal::Kill => {
                    self.book.struck(Fault::SlowExit);
                    // It runs no more, but it holds what it held.
                    self.hangs = true;
                    let at = now.after(std::time::Duration::from_millis(self.lingers_ms.into()));
                    self.dies_at.get_or_insert(at);
                }
            }
        }
        self.signals_heard = signals.len();
        if self.dies_at.is_some_and(|at| at <= now) {
            self.end(ExitStatus::Killed(9));
        }
    }

    pub(super) fn turn(&mut self, now: Instant) {
        if self.starts_at.is_some_and(|at| at <= now) {
            self.starts_at = None;
            return self.start(now);
        }
        let Some(running) = &mut self.running else { return };
        let Running { home, driver } = &mut **running;
        if std::mem::take(&mut self.terminate) {
            driver.terminate(home, now);
        }
        let ready = home.platform.events.ready();
        driver.turn(home, now, &ready);
        self.end_if_it_wants();
    }

    fn end_if_it_wants(&mut self) {
        if let Some(status) = self.running.as_ref().and_then(|running| running.driver.exit_status()) {
            self.end(ExitStatus::Exited(status));
        }
    }

    fn start(&mut self, now: Instant) {
        let mut home = ServerHome::new(&self.world, self.memory.clone(), self.decoder.clone());
        let prepared = home.watch_parts().map_err(|error| greenroom_core::hal::Error::kind(&error));
        let tally = Tally::new(&self.book, self.party(), self.id());
        let mut driver = SessionDriver::new(self.process.open_link(), tally);
        driver.start(&mut home, now, prepared);
        self.running = Some(Box::new(Running { home, driver }));
        // Its manager may have gone before it was up.
        self.end_if_it_wants();
    }

    /// Ends it: what it held is closed first.
    pub(super) fn end(&mut self, status: ExitStatus) {
        if self.has_ended {
            return;
        }
        self.has_ended = true;
        self.running = None;
        self.decoder.vanish();
        self.process.exit(status);
        self.book.ended(self.party(), status);
        self.book.referee.borrow_mut().exited(self.id());
        self.book.tell(self.party(), Party::Manager, || What::Exited(status));
    }
}
