//! What is written down of a box: the hash of its log, counts, events, and what must hold and did not.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use greenroom_core::hal::ExitStatus;
use greenroom_core::trace::{Polled, Record, Recorder, Replayable};
use serde::Serialize;

use super::archive::{Archive, Kept};
use super::digest::Digest;
use super::event::{Event, What};
use super::fault::{FAULTS, Fault};
use super::referee::Referee;
use crate::party::{Observer, Party, Said};
use crate::world::World;

/// Something that must hold and did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When, in milliseconds since the box was made.
    pub at_ms: u64,
    /// Which requirement or invariant.
    pub rule: &'static str,
    /// What was seen.
    pub what: String,
}

/// Violations that are told in full; more are counted.
const VIOLATIONS_MAX: usize = 16;

/// The book of one box.
pub(super) struct Book {
    world: World,
    digest: Cell<Digest>,
    inputs: Cell<u64>,
    faults: RefCell<[u64; FAULTS]>,
    events: RefCell<Option<Vec<Event>>>,
    /// Where events are kept, what the machines were told is too.
    archive: RefCell<Option<Archive>>,
    /// The archive as it was at the first violation.
    trace: RefCell<Vec<u8>>,
    violations: RefCell<Vec<Violation>>,
    violation_count: Cell<u64>,
    /// Session servers that have an app whose memory was tampered with.
    tainted: RefCell<BTreeSet<u32>>,
    pub(super) referee: RefCell<Referee>,
}

impl Book {
    pub(super) fn new(world: &World, decoders: u8) -> Rc<Self> {
        let book = Rc::new(Self {
            world: world.clone(),
            digest: Cell::default(),
            inputs: Cell::default(),
            faults: RefCell::new([0; FAULTS]),
            events: RefCell::default(),
            archive: RefCell::default(),
            trace: RefCell::default(),
            violations: RefCell::default(),
            violation_count: Cell::default(),
            tainted: RefCell::default(),
            referee: RefCell::new(Referee::of_box(decoders)),
        });
        let observer: Rc<dyn Observer> = book.clone();
        world.observe(Rc::downgrade(&observer));
        book
    }

    pub(super) fn keep_events(&self) {
        self.events.borrow_mut().get_or_insert_default();
    }

    pub(super) fn take_events(&self) -> Vec<Event> {
        self.events.borrow_mut().as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(super) fn keep_traces(&self) {
        self.archive.borrow_mut().get_or_insert_default();
    }

    /// What the machines were told until the first violation, as a file; empty where there was none, or it was not kept.
    pub(super) fn take_trace(&self) -> Vec<u8> {
        self.trace.take()
    }

    /// Somebody's process has ended.
    pub(super) fn ended(&self, party: Party, status: ExitStatus) {
        if let Some(archive) = self.archive.borrow_mut().as_mut() {
            let referee = self.referee.borrow();
            let app = if let Party::Server(process_id) = party { referee.app_of(process_id) } else { None };
            archive.ended(party, app, status);
        }
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

    /// A fault strikes somebody, or will when there is an occasion.
    pub(super) fn fault(&self, fault: Fault, whom: Party) {
        self.note(u64::from(fault as u8));
        self.tell(Party::Nobody, whom, || What::Fault(fault));
        if !fault.is_planned() {
            self.struck(fault);
        }
    }

    /// A fault has struck.
    pub(super) fn struck(&self, fault: Fault) {
        self.faults.borrow_mut()[fault as usize] += 1;
    }

    pub(super) fn taint(&self, process_id: u32) {
        self.tainted.borrow_mut().insert(process_id);
    }

    pub(super) fn untaint(&self, process_id: u32) {
        self.tainted.borrow_mut().remove(&process_id);
    }

    pub(super) fn is_tainted(&self, process_id: u32) -> bool {
        self.tainted.borrow().contains(&process_id)
    }

    /// A number goes into the log.
    pub(super) fn note(&self, number: u64) {
        let mut digest = self.digest.get();
        digest.number(number);
        self.digest.set(digest);
    }

    /// Something happened. What it is made of is made only where events are kept.
    pub(super) fn tell(&self, from: Party, to: Party, what: impl FnOnce() -> What) {
        if let Some(events) = self.events.borrow_mut().as_mut() {
            events.push(Event { at: self.world.now(), from, to, what: what() });
        }
    }

    /// What led to it is in the archive now, and will be overwritten.
    fn save_trace(&self) {
        if let Some(archive) = self.archive.borrow().as_ref() {
            let referee = self.referee.borrow();
            self.trace.replace(archive.to_file(|process_id| referee.app_of(process_id)));
        }
    }

    pub(super) fn violation(&self, rule: &'static str, what: String) {
        if self.violation_count.get() == 0 {
            self.save_trace();
        }
        self.violation_count.set(self.violation_count.get() + 1);
        self.tell(Party::Nobody, Party::Nobody, || What::Violation(format!("{rule}: {what}")));
        let mut violations = self.violations.borrow_mut();
        if violations.len() < VIOLATIONS_MAX {
            violations.push(Violation { at_ms: self.world.now().as_millis(), rule, what });
        }
    }

    pub(super) fn violations(&self) -> Vec<Violation> {
        self.violations.borrow().clone()
    }

    pub(super) fn violation_count(&self) -> u64 {
        self.violation_count.get()
    }

    fn input(&self, party: Party, record: &Record<impl Serialize>) {
        let mut digest = self.digest.get();
        digest.number(record.at.as_millis());
        digest.number(number_of(party));
        digest.value(&record.input);
        self.digest.set(digest);
        self.inputs.set(self.inputs.get() + 1);
    }

    /// What the referee finds wrong is written down.
    pub(super) fn judge(&self, look: impl FnOnce(&mut Referee) -> Result<(), (&'static str, String)>) {
        let found = look(&mut self.referee.borrow_mut());
        if let Err((rule, what)) = found {
            self.violation(rule, what);
        }
    }
}

const fn number_of(party: Party) -> u64 {
    match party {
        Party::Nobody => 0,
        Party::Manager => 1,
        Party::Controller(number) => 2 << 32 | number as u64,
        Party::Server(process_id) => 3 << 32 | process_id as u64,
        Party::Decoder(process_id) => 4 << 32 | process_id as u64,
        Party::Client { app, client } => 5 << 32 | (app as u64) << 16 | client as u64,
        Party::Presentation(station) => 6 << 32 | station as u64,
        Party::Presenter { station, client } => 7 << 32 | (station as u64) << 16 | client as u64,
    }
}

impl Observer for Book {
    fn sent(&self, said: &Said<'_>) {
        let now = self.world.now();
        self.judge(|referee| referee.sent(now, said));
    }

    fn received(&self, said: &Said<'_>) {
        let now = self.world.now();
        self.referee.borrow_mut().received(now, said);
        if let Some(events) = self.events.borrow_mut().as_mut() {
            events.push(said.to_event(now));
        }
    }
}

/// Writes the inputs of one machine into the book.
pub(super) struct Tally {
    book: Rc<Book>,
    party: Party,
    process_id: u32,
    kept: Option<Kept>,
}

impl Tally {
    pub(super) fn new(book: &Rc<Book>, party: Party, process_id: u32) -> Self {
        Self { book: Rc::clone(book), party, process_id, kept: None }
    }

    /// A trace may begin with any input.
    fn begin(&self) -> Option<Kept> {
        self.book.archive.borrow_mut().as_mut().and_then(|archive| archive.begin(self.party, self.process_id))
    }
}

impl Recorder for Tally {
    fn record<M: Replayable, Input: Serialize>(&mut self, machine: &M, record: &Record<Input>) {
        self.book.input(self.party, record);
        if self.kept.is_none() {
            self.kept = self.begin();
        }
        self.kept.record(machine, record);
    }

    fn settle<M: Replayable>(&mut self, machine: &M, before: Polled) {
        self.kept.settle(machine, before);
    }
}
