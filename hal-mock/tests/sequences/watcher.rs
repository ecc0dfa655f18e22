//! Sees what every machine is told; what it does then a twin of it shows.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use greenroom_core::client::Client;
use greenroom_core::codec::postcard::{decode, encode};
use greenroom_core::driver::Machine;
use greenroom_core::limits::MESSAGE_BYTES_MAX;
use greenroom_core::manager::{Manager, Settings};
use greenroom_core::session::Server;
use greenroom_core::time::Instant;
use greenroom_core::trace::file::{self, Origin};
use greenroom_core::trace::{MachineKind, Polled, Record, Recorder, Replayable, TraceBuffer};
use greenroom_hal_mock::Sequence;
use greenroom_hal_mock::sequence::Detail;

/// More than a scenario needs.
const TRACE_BYTES: usize = 1 << 20;

/// Whose input it is: session servers and clients by their processes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Who {
    Manager,
    Server(u32),
    Client(u32, &'static str),
}

#[derive(Debug)]
struct Told {
    who: Who,
    at: Instant,
    input: Vec<u8>,
}

type Trace = Rc<RefCell<TraceBuffer<Vec<u8>>>>;

/// What was told to all machines, in its order, and the trace of each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    told: Rc<RefCell<Vec<Told>>>,
    traces: Rc<RefCell<Vec<(Who, Trace)>>>,
}

impl Log {
    /// What sees the inputs of this machine.
    pub(crate) fn of(&self, who: Who) -> Watcher {
        let trace = Rc::new(RefCell::new(TraceBuffer::new(vec![0; TRACE_BYTES])));
        self.traces.borrow_mut().push((who, Rc::clone(&trace)));
        Watcher { who, log: self.clone(), trace }
    }

    /// The file of the traces of all session servers and the manager, or only of this process.
    pub(crate) fn trace_file(&self, only: Option<u32>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut write = |written: &[u8]| bytes.extend_from_slice(written);
        file::opening(&mut write);
        for (who, trace) in self.traces.borrow().iter() {
            let (machine, process_id) = match who {
                Who::Manager => (MachineKind::Manager, 1),
                Who::Server(process) => (MachineKind::Session, *process),
                Who::Client(..) => continue,
            };
            if only.is_some_and(|only| only != process_id) {
                continue;
            }
            let origin = Origin { machine, app: None, process_id, ended: None };
            file::part(&origin, trace.borrow().memory(), &mut write);
        }
        file::end(&mut write);
        bytes
    }
}

pub(crate) struct Watcher {
    who: Who,
    log: Log,
    trace: Trace,
}

impl Recorder for Watcher {
    fn record<M: Replayable, Input: serde::Serialize>(&mut self, machine: &M, record: &Record<Input>) {
        self.trace.borrow_mut().record(machine, record);
        let mut buffer = vec![0; 2 * MESSAGE_BYTES_MAX];
        let input = encode(&record.input, &mut buffer).unwrap().to_vec();
        self.log.told.borrow_mut().push(Told { who: self.who, at: record.at, input });
    }

    fn settle<M: Replayable>(&mut self, machine: &M, before: Polled) {
        self.trace.borrow_mut().settle(machine, before);
    }
}

/// The twins of all machines, and what they make of the log.
pub(crate) struct Twins {
    log: Log,
    manager: Box<Manager>,
    servers: BTreeMap<u32, Box<Server>>,
    clients: BTreeMap<u32, Box<Client>>,
    pub(crate) sequence: Sequence,
}

impl Twins {
    pub(crate) fn new(log: Log, settings: Settings, title: &str) -> Self {
        Self {
            log,
            manager: Box::new(Manager::new(settings)),
            servers: BTreeMap::new(),
            clients: BTreeMap::new(),
            sequence: Sequence::new(title, Detail::Steps),
        }
    }

    /// Draws what was told since.
    pub(crate) fn draw(&mut self) {
        let log = std::mem::take(&mut *self.log.told.borrow_mut());
        log.iter().for_each(|told| self.draw_one(told));
    }

    fn draw_one(&mut self, told: &Told) {
        let at = told.at;
        match told.who {
            Who::Manager => {
                let input = decode(&told.input).unwrap();
                let actions = follow(&mut *self.manager, at, input);
                self.sequence.manager(at, &self.manager, &input, &actions);
            }
            Who::Server(process) => {
                let input = decode(&told.input).unwrap();
                let twin = self.servers.entry(process).or_insert_with(|| Box::new(Server::new()));
                let actions = follow(&mut **twin, at, input);
                self.sequence.session(process, at, &input, &actions);
            }
            Who::Client(process, app) => {
                let input = decode(&told.input).unwrap();
                let twin = self.clients.entry(process).or_insert_with(|| Box::new(Client::new()));
                let actions = follow(&mut **twin, at, input);
                self.sequence.client(process, app, at, &input, &actions);
            }
        }
    }
}

fn follow<M: Machine>(twin: &mut M, at: Instant, input: M::Input<'_>) -> Vec<M::Action> {
    // What is refused changes nothing.
    let _ = twin.handle(at, input);
    std::iter::from_fn(|| twin.poll_action()).collect()
}
