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
use greenroom_core::trace::{Record, Recorder};
use greenroom_hal_mock::Sequence;
use greenroom_hal_mock::sequence::Detail;

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

/// What was told to all machines, in its order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Rc<RefCell<Vec<Told>>>);

impl Log {
    /// What sees the inputs of this machine.
    pub(crate) fn of(&self, who: Who) -> Watcher {
        Watcher { who, log: self.clone() }
    }
}

pub(crate) struct Watcher {
    who: Who,
    log: Log,
}

impl Recorder for Watcher {
    fn record<Input: serde::Serialize>(&mut self, record: Record<&Input>) {
        let mut buffer = vec![0; 2 * MESSAGE_BYTES_MAX];
        let input = encode(record.input, &mut buffer).unwrap().to_vec();
        self.log.0.borrow_mut().push(Told { who: self.who, at: record.at, input });
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
        let log = std::mem::take(&mut *self.log.0.borrow_mut());
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
