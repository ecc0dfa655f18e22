//! What is written down of a network: the hash of its log, counts, events, and what must hold and did not.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use greenroom_core::time::Instant;

use super::fault::{FAULTS, Fault};
use super::referee::Referee;
use crate::party::{Observer, Said};
use crate::sim::book::Violation;
use crate::sim::digest::Digest;
use crate::sim::event::{Event, What};
use crate::world::World;

/// Violations that are told in full; more are counted.
const VIOLATIONS_MAX: usize = 16;
/// Bytes of a stream that are shown of what was sent at once.
const SHOWN_BYTES: usize = 200;

/// The book of one network.
pub(super) struct Book {
    world: World,
    digest: Cell<Digest>,
    inputs: Cell<u64>,
    faults: RefCell<[u64; FAULTS]>,
    lines: RefCell<Option<Vec<String>>>,
    violations: RefCell<Vec<Violation>>,
    violation_count: Cell<u64>,
    /// Until then somebody does not get on, through no fault of its own.
    patience: Cell<Instant>,
    pub(super) referee: RefCell<Referee>,
    /// Messages that the service of each box was asked to carry.
    sends: RefCell<BTreeMap<u16, u64>>,
}

impl Book {
    pub(super) fn new(world: &World, keeps_lines: bool) -> Rc<Self> {
        let book = Rc::new(Self {
            world: world.clone(),
            digest: Cell::default(),
            inputs: Cell::default(),
            faults: RefCell::new([0; FAULTS]),
            lines: RefCell::new(keeps_lines.then(Vec::new)),
            violations: RefCell::default(),
            violation_count: Cell::default(),
            patience: Cell::default(),
            referee: RefCell::default(),
            sends: RefCell::default(),
        });
        let observer: Rc<dyn Observer> = book.clone();
        world.observe(Rc::downgrade(&observer));
        book
    }

    pub(super) fn now(&self) -> Instant {
        self.world.now()
    }

    /// From when on it counts how long somebody waits who begins to wait now.
    pub(super) fn waits_from(&self) -> Instant {
        self.now().max(self.patience.get())
    }

    pub(super) fn be_patient(&self, duration: Duration) {
        self.patience.set(self.patience.get().max(self.now().after(duration)));
    }

    pub(super) fn take_lines(&self) -> Vec<String> {
        self.lines.borrow_mut().as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(super) fn inputs(&self) -> u64 {
        self.inputs.get()
    }

    pub(super) fn log_hash(&self) -> u64 {
        self.digest.get().finish()
    }

    pub(super) fn faults(&self) -> [u64; FAULTS] {
        *self.faults.borrow()
    }

    pub(super) fn violations(&self) -> Vec<Violation> {
        self.violations.borrow().clone()
    }

    pub(super) fn violation_count(&self) -> u64 {
        self.violation_count.get()
    }

    /// The service of this box is asked to carry a message.
    pub(super) fn asks_to_send(&self, station: u16) {
        *self.sends.borrow_mut().entry(station).or_default() += 1;
    }

    pub(super) fn sends(&self, station: u16) -> u64 {
        self.sends.borrow().get(&station).copied().unwrap_or(0)
    }

    /// It is another service from now on.
    pub(super) fn forget_sends(&self, station: u16) {
        self.sends.borrow_mut().remove(&station);
    }

    /// A number goes into the log.
    pub(super) fn note(&self, number: u64) {
        let mut digest = self.digest.get();
        digest.number(number);
        self.digest.set(digest);
    }

    fn note_bytes(&self, bytes: &[u8]) {
        let mut digest = self.digest.get();
        digest.number(self.world.now().as_millis());
        digest.value(&bytes);
        self.digest.set(digest);
        self.inputs.set(self.inputs.get() + 1);
    }

    /// A fault has struck.
    pub(super) fn fault(&self, fault: Fault, whom: &str) {
        self.note(u64::from(fault as u8));
        self.tell(|| format!("FAULT {fault}: {whom}"));
        self.faults.borrow_mut()[fault as usize] += 1;
    }

    /// Something happened. Its words are made only where they are kept.
    pub(super) fn tell(&self, what: impl FnOnce() -> String) {
        if let Some(lines) = self.lines.borrow_mut().as_mut() {
            lines.push(format!("{:>10} ms  {}", self.world.now().as_millis(), what()));
        }
    }

    pub(super) fn violation(&self, rule: &'static str, what: String) {
        self.violation_count.set(self.violation_count.get() + 1);
        self.tell(|| format!("VIOLATION {rule}: {what}"));
        let mut violations = self.violations.borrow_mut();
        if violations.len() < VIOLATIONS_MAX {
            violations.push(Violation { at_ms: self.world.now().as_millis(), rule, what });
        }
    }
}

impl Observer for Book {
    fn sent(&self, said: &Said<'_>) {
        self.note_bytes(said.bytes);
    }

    fn received(&self, said: &Said<'_>) {
        self.note(said.connection);
        self.tell(|| {
            let what = What::Said { sent_at: said.sent_at, bytes: said.bytes.to_vec(), descriptors: said.descriptors };
            let event = Event { at: self.world.now(), from: said.from, to: said.to, what };
            let message: String = event.message().unwrap_or_default().chars().take(SHOWN_BYTES).collect();
            format!("{} -> {}: {message}", said.from, said.to)
        });
    }

    fn carried(&self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        self.note_bytes(bytes);
        self.tell(|| format!("{from} -> {to}: {}", bytes[..bytes.len().min(SHOWN_BYTES)].escape_ascii()));
    }
}
