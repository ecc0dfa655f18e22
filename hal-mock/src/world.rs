//! Clock, chance, files and faults; children that were started.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;

use greenroom_core::hal::{ErrorKind, Peer};
use greenroom_core::time::Instant;

use crate::error::{Call, SimulatedError};
use crate::listener::Files;
use crate::meddling::{Meddler, Meddling};
use crate::network::Wires;
use crate::party::{Observer, Party, Said};
use crate::process::{Life, Process};
use crate::socket::SeqPacket;

/// The world. Clones of it are the same world.
#[derive(Clone, Debug)]
pub struct World {
    shared: Rc<Shared>,
}

/// What was planned for one party, and has happened to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Felt {
    /// Its call has failed.
    Call(Party, Call),
    /// This has happened to its message.
    Message(Party, Meddling),
}

#[derive(Debug)]
struct Shared {
    now: Cell<Instant>,
    chance: Cell<u64>,
    unkind: Cell<bool>,
    faults: RefCell<BTreeMap<Call, VecDeque<ErrorKind>>>,
    /// Failures of one party only.
    own_faults: RefCell<Vec<(Party, Call, ErrorKind)>>,
    has_faults: Cell<bool>,
    /// Failures of one party's calls, and meddling with its messages, that have happened.
    felt: RefCell<Vec<Felt>>,
    /// Calls so far, and which of them fails.
    calls: Cell<u64>,
    fails_at: Cell<Option<u64>>,
    failed: Cell<Option<(Party, Call)>>,
    acting: Cell<Party>,
    observer: RefCell<Option<Weak<dyn Observer>>>,
    meddler: RefCell<Meddler>,
    reusable_process_id: Cell<Option<u32>>,
    regions: Rc<Cell<usize>>,
    files: RefCell<Files>,
    wires: RefCell<Wires>,
    owners: RefCell<BTreeSet<String>>,
    // Not yet processes: a process holds the world.
    started: RefCell<VecDeque<Rc<Life>>>,
    last_process_id: Cell<u32>,
    last_connection: Cell<u64>,
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
            own_faults: RefCell::default(),
            has_faults: Cell::default(),
            felt: RefCell::default(),
            calls: Cell::default(),
            fails_at: Cell::default(),
            failed: Cell::default(),
            acting: Cell::default(),
            observer: RefCell::default(),
            meddler: RefCell::default(),
            reusable_process_id: Cell::default(),
            regions: Rc::default(),
            files: RefCell::default(),
            wires: RefCell::default(),
            owners: RefCell::new(BTreeSet::from(["root".to_owned()])),
            started: RefCell::default(),
            last_process_id: Cell::new(1),
            last_connection: Cell::new(0),
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

    /// No longer.
    pub fn be_kind(&self) {
        self.shared.unkind.set(false);
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
        self.shared.has_faults.set(true);
    }

    /// The next call of this kind that this party makes fails in this way.
    pub fn fail_next_of(&self, party: Party, call: Call, kind: ErrorKind) {
        self.shared.own_faults.borrow_mut().push((party, call, kind));
        self.shared.has_faults.set(true);
    }

    /// This happens to the next message of a party.
    pub fn meddle_next_of(&self, party: Party, meddling: Meddling) {
        self.meddler().plan(party, meddling);
        self.shared.has_faults.set(true);
    }

    pub(crate) fn meddler(&self) -> RefMut<'_, Meddler> {
        self.shared.meddler.borrow_mut()
    }

    pub(crate) fn meddling(&self, descriptors: usize) -> Option<Meddling> {
        if !self.shared.has_faults.get() {
            return None;
        }
        let meddling = self.meddler().take(self.acting(), descriptors);
        self.shared.felt.borrow_mut().extend(meddling.map(|meddling| Felt::Message(self.acting(), meddling)));
        meddling
    }

    /// What was planned for one party and has happened since this was last asked.
    #[cfg_attr(not(feature = "sim"), allow(dead_code, reason = "the box tells of them"))]
    pub(crate) fn take_felt(&self) -> Vec<Felt> {
        std::mem::take(&mut *self.shared.felt.borrow_mut())
    }

    /// What was held back arrives, and what was clogged flows.
    pub fn let_go(&self) {
        let (kept, clogged) = {
            let mut meddler = self.meddler();
            (std::mem::take(&mut meddler.kept), std::mem::take(&mut meddler.clogged))
        };
        clogged.iter().for_each(|queue| queue.unclog());
        kept.into_iter().for_each(|(queue, message)| queue.push(message));
    }

    /// Takes back every failure that has not happened yet.
    pub fn forgive(&self) {
        self.shared.faults.borrow_mut().clear();
        self.shared.own_faults.borrow_mut().clear();
        self.meddler().forget();
        self.shared.has_faults.set(false);
        self.shared.fails_at.set(None);
    }

    /// Of all calls that can fail, the one with this number from now on does; 1 is the next one.
    pub fn fail_call(&self, number: u64) {
        self.shared.fails_at.set(Some(self.calls().saturating_add(number)));
    }

    /// Whose call it was that [`World::fail_call`] let fail, and which one.
    pub fn failed_call(&self) -> Option<(Party, Call)> {
        self.shared.failed.get()
    }

    /// Calls so far that could have been made to fail.
    pub fn calls(&self) -> u64 {
        self.shared.calls.get()
    }

    pub(crate) fn fault(&self, call: Call) -> Result<(), SimulatedError> {
        let number = self.shared.calls.get().wrapping_add(1);
        self.shared.calls.set(number);
        if self.shared.fails_at.get() == Some(number) {
            self.shared.failed.set(Some((self.acting(), call)));
            return Err(SimulatedError::new(call, call.usual_failure()));
        }
        if !self.shared.has_faults.get() {
            return Ok(());
        }
        match self.take_fault(call) {
            Some(kind) => Err(SimulatedError::new(call, kind)),
            None => Ok(()),
        }
    }

    fn take_fault(&self, call: Call) -> Option<ErrorKind> {
        if let Some(kind) = self.shared.faults.borrow_mut().get_mut(&call).and_then(VecDeque::pop_front) {
            return Some(kind);
        }
        let mut own = self.shared.own_faults.borrow_mut();
        let place = own.iter().position(|(party, its, _)| (*party, *its) == (self.acting(), call))?;
        self.shared.felt.borrow_mut().push(Felt::Call(self.acting(), call));
        Some(own.remove(place).2)
    }

    /// From now on this party acts: what is sent, opened and accepted is its own.
    pub fn act_as(&self, party: Party) {
        self.shared.acting.set(party);
    }

    /// Who acts.
    pub fn acting(&self) -> Party {
        self.shared.acting.get()
    }

    /// From now on this one sees every message, as long as it is there.
    pub fn observe(&self, observer: Weak<dyn Observer>) {
        *self.shared.observer.borrow_mut() = Some(observer);
    }

    pub(crate) fn sent(&self, said: &Said<'_>) {
        if let Some(observer) = self.shared.observer.borrow().as_ref().and_then(Weak::upgrade) {
            observer.sent(said);
        }
    }

    pub(crate) fn received(&self, said: &Said<'_>) {
        if let Some(observer) = self.shared.observer.borrow().as_ref().and_then(Weak::upgrade) {
            observer.received(said);
        }
    }

    pub(crate) fn carried(&self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        if let Some(observer) = self.shared.observer.borrow().as_ref().and_then(Weak::upgrade) {
            observer.carried(from, to, bytes);
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

    /// The paths of all files.
    pub fn paths(&self) -> Vec<String> {
        self.files(|files| files.paths())
    }

    /// Regions of shared memory that anybody maps or has a descriptor of.
    pub fn regions(&self) -> usize {
        self.shared.regions.get()
    }

    pub(crate) fn region_count(&self) -> Rc<Cell<usize>> {
        Rc::clone(&self.shared.regions)
    }

    /// Mode, owner and group of a file, if it is there.
    pub fn permissions(&self, path: &str) -> Option<(u16, String, String)> {
        self.files(|files| files.permissions(path))
    }

    pub(crate) fn files<R>(&self, work: impl FnOnce(&mut Files) -> R) -> R {
        work(&mut self.shared.files.borrow_mut())
    }

    pub(crate) fn wires<R>(&self, work: impl FnOnce(&mut Wires) -> R) -> R {
        work(&mut self.shared.wires.borrow_mut())
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
        ours.belongs_to(self.acting());
        listening.enqueue(theirs, peer).map_err(|kind| SimulatedError::new(Call::Connect, kind))?;
        Ok(ours)
    }

    /// The next process has the number of one that has ended.
    pub fn reuse_process_id(&self, id: u32) {
        self.shared.reusable_process_id.set(Some(id));
    }

    pub(crate) fn next_connection(&self) -> u64 {
        let number = self.shared.last_connection.get() + 1;
        self.shared.last_connection.set(number);
        number
    }

    pub(crate) fn next_process_id(&self) -> u32 {
        if let Some(id) = self.shared.reusable_process_id.take() {
            return id;
        }
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
