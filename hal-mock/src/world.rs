//! Clock, chance, files and faults; children that were started.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use greenroom_core::hal::{ErrorKind, Peer};
use greenroom_core::time::Instant;

use crate::error::{Call, SimulatedError};
use crate::listener::Files;
use crate::process::{Life, Process};
use crate::socket::SeqPacket;

/// The world. Clones of it are the same world.
#[derive(Clone, Debug)]
pub struct World {
    shared: Rc<Shared>,
}

#[derive(Debug)]
struct Shared {
    now: Cell<Instant>,
    chance: Cell<u64>,
    unkind: Cell<bool>,
    faults: RefCell<BTreeMap<Call, VecDeque<ErrorKind>>>,
    files: RefCell<Files>,
    owners: RefCell<BTreeSet<String>>,
    // Not yet processes: a process holds the world.
    started: RefCell<VecDeque<Rc<Life>>>,
    last_process_id: Cell<u32>,
}

impl World {
    /// A world without sockets or children, at time 0. What is left to chance follows from the seed.
    ///
    /// It has the directory `/run/greenroom`, and the user and group `root`.
    pub fn new(seed: u64) -> Self {
        let shared = Shared {
            now: Cell::default(),
            chance: Cell::new(seed),
            unkind: Cell::new(false),
            faults: RefCell::default(),
            files: RefCell::default(),
            owners: RefCell::new(BTreeSet::from(["root".to_owned()])),
            started: RefCell::default(),
            last_process_id: Cell::new(1),
        };
        let world = Self { shared: Rc::new(shared) };
        world.make_directory("/run/greenroom");
        world
    }

    /// The present.
    pub fn now(&self) -> Instant {
        self.shared.now.get()
    }

    /// Lets time pass.
    pub fn advance(&self, duration: Duration) {
        self.shared.now.set(self.now().after(duration));
    }

    /// Lets time pass until then; a moment that has passed changes nothing.
    pub fn advance_to(&self, moment: Instant) {
        self.shared.now.set(self.now().max(moment));
    }

    /// From now on the world does the worst that is legal: what is ready is not all reported at once.
    pub fn be_unkind(&self) {
        self.shared.unkind.set(true);
    }

    pub(crate) fn is_unkind(&self) -> bool {
        self.shared.unkind.get()
    }

    /// A number below `bound`, which is not 0, by chance.
    pub fn random(&self, bound: u64) -> u64 {
        // SplitMix64.
        let state = self.shared.chance.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.shared.chance.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// The next call of this kind fails in this way; several of them one after the other.
    pub fn fail_next(&self, call: Call, kind: ErrorKind) {
        self.shared.faults.borrow_mut().entry(call).or_default().push_back(kind);
    }

    pub(crate) fn fault(&self, call: Call) -> Result<(), SimulatedError> {
        match self.shared.faults.borrow_mut().get_mut(&call).and_then(VecDeque::pop_front) {
            Some(kind) => Err(SimulatedError::new(call, kind)),
            None => Ok(()),
        }
    }

    /// Makes a directory for sockets.
    pub fn make_directory(&self, path: &str) {
        self.files(|files| files.make_directory(path));
    }

    /// Makes a file that is no socket, in place of what is there.
    pub fn write_file(&self, path: &str) {
        self.files(|files| files.write(path));
    }

    /// Removes any file.
    pub fn remove_file(&self, path: &str) {
        self.files(|files| files.remove(path));
    }

    /// Mode, owner and group of a file, if it is there.
    pub fn permissions(&self, path: &str) -> Option<(u16, String, String)> {
        self.files(|files| files.permissions(path))
    }

    pub(crate) fn files<R>(&self, work: impl FnOnce(&mut Files) -> R) -> R {
        work(&mut self.shared.files.borrow_mut())
    }

    /// Makes a user and a group of this name known.
    pub fn add_owner(&self, name: &str) {
        self.shared.owners.borrow_mut().insert(name.to_owned());
    }

    pub(crate) fn knows_owner(&self, name: &str) -> bool {
        name.is_empty() || self.shared.owners.borrow().contains(name)
    }

    /// Connects to a socket by its path, as this process and user.
    ///
    /// Fails with [`ErrorKind::NotFound`] when there is no such file, [`ErrorKind::Gone`] when nobody listens on it, and
    /// [`ErrorKind::Busy`] when too many connections wait already.
    pub fn connect(&self, path: &str, peer: Peer) -> Result<SeqPacket, SimulatedError> {
        self.fault(Call::Connect)?;
        let listening = self.files(|files| files.listening(path));
        let listening = listening.map_err(|kind| SimulatedError::new(Call::Connect, kind))?;
        let (ours, theirs) = SeqPacket::pair(self);
        listening.enqueue(theirs, peer).map_err(|kind| SimulatedError::new(Call::Connect, kind))?;
        Ok(ours)
    }

    pub(crate) fn next_process_id(&self) -> u32 {
        let id = self.shared.last_process_id.get().wrapping_add(1);
        self.shared.last_process_id.set(id);
        id
    }

    pub(crate) fn has_started(&self, life: Rc<Life>) {
        self.shared.started.borrow_mut().push_back(life);
    }

    /// The child that has been started first of those that nobody plays yet.
    pub fn next_started(&self) -> Option<Process> {
        let life = self.shared.started.borrow_mut().pop_front()?;
        Some(Process::new(self, life))
    }
}
