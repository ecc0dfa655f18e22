//! The [`Diagram`] of a run, out of what its machines were told and did.
//!
//! ```text
//!  input ──> machine ──> actions        of the manager, of each session server, of each client
//!    └──────────┬───────────┘
//!           Sequence ──> Diagram
//! ```
//!
//! What one machine sends another one receives. Where both are seen the message is drawn once, when it was sent; where
//! only one is seen it is drawn by that one. So the inputs of the manager alone, of a session server alone, or of all of
//! them make a diagram, and so does what was recorded of them and replayed.

mod app;
mod client;
mod known;
mod manager;
mod session;
pub mod trace;
mod words;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

pub use app::AppStep;
use greenroom_core::time::Instant;

use crate::diagram::{Diagram, Kind, Lifeline};

/// How much is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// What changes something.
    #[default]
    Steps,
    /// Also what comes again and again: health checks, positions, statistics, lists.
    All,
}

/// Whether the one whose step it is said something, or heard it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Sent,
    Received,
}

/// Messages of one conversation that were drawn when they were sent and have not been seen to arrive: more than its queues
/// hold. Where the other end is not seen none ever does, and the oldest are forgotten.
const SENT_MAX: usize = 64;

type Conversation = (Lifeline, Lifeline);

/// Who waits for an answer: requests are numbered by who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Asker {
    Controller(u16, u16),
    /// The manager, of a session server.
    Manager(Lifeline),
    Client(Lifeline),
}

/// A process of a session server.
#[derive(Clone, Debug)]
struct Process {
    lifeline: Lifeline,
    has_ended: bool,
}

/// A diagram in the making. Steps are put in as they happen, each by the machine whose step it is.
#[derive(Debug)]
pub struct Sequence {
    diagram: Diagram,
    detail: Detail,
    origin: Option<Instant>,
    platform: Lifeline,
    manager: Lifeline,
    /// Session servers by the numbers of their processes.
    servers: BTreeMap<u32, Process>,
    /// Which process the session server of an app is, by the app's handle in the manager.
    apps: BTreeMap<(u16, u16), u32>,
    spares: BTreeMap<(u16, u16), u32>,
    /// The latest session server of an app.
    serving: BTreeMap<String, Lifeline>,
    /// Which app a session server is of, once it was told.
    names: BTreeMap<u32, String>,
    /// Clients by the numbers of their processes.
    clients: BTreeMap<u32, Lifeline>,
    /// Which client is at which connection of a session server.
    connections: BTreeMap<(u32, u16, u16), Lifeline>,
    /// Requests whose answers are not shown either.
    unshown: BTreeSet<(Asker, u32)>,
    ready_timers: BTreeSet<u32>,
    /// Apps whose listening sockets the manager keeps.
    kept_sockets: BTreeSet<String>,
    sent: BTreeMap<Conversation, VecDeque<String>>,
    /// What was seen to arrive, and not to be sent, at the moment that was drawn last.
    received: Vec<(Instant, Conversation, String)>,
    /// How many participants there are of each name.
    numbers: BTreeMap<String, u32>,
    /// Clients of each app that are not connected now.
    idle: BTreeMap<String, Vec<Lifeline>>,
    left_out: usize,
}

impl Sequence {
    /// A diagram with an application manager and a manager.
    pub fn new(title: &str, detail: Detail) -> Self {
        let mut diagram = Diagram::new(title);
        let platform = diagram.participant("ApplicationManager");
        let manager = diagram.participant("ServerManager");
        Self {
            diagram,
            detail,
            origin: None,
            platform,
            manager,
            servers: BTreeMap::new(),
            apps: BTreeMap::new(),
            spares: BTreeMap::new(),
            serving: BTreeMap::new(),
            names: BTreeMap::new(),
            clients: BTreeMap::new(),
            connections: BTreeMap::new(),
            unshown: BTreeSet::new(),
            ready_timers: BTreeSet::new(),
            kept_sockets: BTreeSet::new(),
            sent: BTreeMap::new(),
            received: Vec::new(),
            numbers: BTreeMap::new(),
            idle: BTreeMap::new(),
            left_out: 0,
        }
    }

    /// Times are told from this moment on; otherwise from the first step.
    pub fn starts_at(&mut self, origin: Instant) {
        self.origin = Some(origin);
    }

    /// The diagram so far, to add what no machine knows of.
    pub fn diagram(&mut self) -> &mut Diagram {
        &mut self.diagram
    }

    /// The application manager.
    pub const fn application_manager(&self) -> Lifeline {
        self.platform
    }

    /// The manager.
    pub const fn server_manager(&self) -> Lifeline {
        self.manager
    }

    /// The latest session server of an app, if there was one.
    pub fn session_server(&self, app: &str) -> Option<Lifeline> {
        self.serving.get(app).copied()
    }

    /// The app's own process.
    pub fn application(&mut self, app: &str) -> Lifeline {
        self.named(&format!("Application({app})"))
    }

    /// The client library in a process of an app that connects. It takes the place of one that has left.
    fn connecting(&mut self, process: u32, app: &str) -> Lifeline {
        let known = self.clients.get(&process).copied();
        let idle = self.idle.entry(app.to_owned()).or_default();
        if let Some(client) = known {
            idle.retain(|left| *left != client);
            return client;
        }
        let Some(client) = idle.pop() else { return self.client_of(process, app) };
        self.clients.retain(|_, left| *left != client);
        self.clients.insert(process, client);
        client
    }

    /// A client is connected no more.
    fn has_left(&mut self, app: &str, client: Lifeline) {
        self.idle.entry(app.to_owned()).or_default().push(client);
    }

    /// The client library in an app's process.
    pub fn client_of(&mut self, process: u32, app: &str) -> Lifeline {
        if let Some(client) = self.clients.get(&process) {
            return *client;
        }
        let client = self.another(&format!("Client({app})"));
        self.clients.insert(process, client);
        client
    }

    /// When something happened, as the diagram tells it.
    pub fn time(&mut self, at: Instant) -> Duration {
        at.since(*self.origin.get_or_insert(at))
    }

    /// The diagram; who took no part in it is left out.
    pub fn finish(mut self) -> Diagram {
        self.diagram.leave_out_idle();
        self.diagram
    }

    /// How many messages of those that come again and again were left out ([`Detail::Steps`]).
    pub const fn left_out(&self) -> usize {
        self.left_out
    }

    fn named(&mut self, name: &str) -> Lifeline {
        self.diagram.find(name).unwrap_or_else(|| self.diagram.participant(name))
    }

    /// A participant of this name, with a number where there are others of that name.
    fn another(&mut self, name: &str) -> Lifeline {
        let name = self.free_name(name);
        self.diagram.participant(&name)
    }

    fn free_name(&mut self, name: &str) -> String {
        let number = self.numbers.entry(name.to_owned()).or_default();
        *number += 1;
        if *number == 1 { name.to_owned() } else { format!("{name} {number}") }
    }

    fn tell(&mut self, side: Side, at: Instant, kind: Kind, between: Conversation, what: String) {
        if self.was_drawn(side, at, between, &what) {
            return;
        }
        self.draw(at, kind, between, &what);
        match side {
            Side::Sent => {
                let sent = self.sent.entry(between).or_default();
                sent.push_back(what);
                if sent.len() > SENT_MAX {
                    sent.pop_front();
                }
            }
            Side::Received => self.received.push((at, between, what)),
        }
    }

    /// Clocks are too coarse to tell which of two came first, so a message can be seen to arrive before it is sent.
    fn was_drawn(&mut self, side: Side, at: Instant, between: Conversation, what: &str) -> bool {
        match side {
            Side::Received => {
                let Some(sent) = self.sent.get_mut(&between) else { return false };
                let place = sent.iter().position(|sent| sent == what);
                place.and_then(|place| sent.remove(place)).is_some()
            }
            Side::Sent => {
                self.received.retain(|(then, ..)| *then == at);
                let mut received = self.received.iter();
                let place = received.position(|(_, conversation, said)| *conversation == between && said == what);
                place.map(|place| self.received.swap_remove(place)).is_some()
            }
        }
    }

    /// Whether it was said, and not seen to arrive.
    fn is_on_its_way(&self, between: Conversation, what: &str) -> bool {
        self.sent.get(&between).is_some_and(|sent| sent.iter().any(|sent| sent == what))
    }

    fn draw(&mut self, at: Instant, kind: Kind, (from, to): (Lifeline, Lifeline), what: &str) {
        let at = self.time(at);
        self.diagram.step(crate::diagram::Step { at, from, to, what: what.to_owned(), kind });
    }

    fn work(&mut self, at: Instant, who: Lifeline, what: &str) {
        self.draw(at, Kind::Call, (who, who), what);
    }

    /// Whether the process of a session server has ended.
    fn has_ended(&self, server: Lifeline) -> bool {
        let mut processes = self.servers.values().filter(|known| known.lifeline == server).peekable();
        processes.peek().is_some() && processes.all(|known| known.has_ended)
    }

    /// A process that said that it exits is still there.
    fn has_not_ended(&mut self, process: u32) {
        let Some(known) = self.servers.get_mut(&process).filter(|known| known.has_ended) else { return };
        known.has_ended = false;
        self.diagram.revive(known.lifeline);
    }

    /// Whether something is shown that comes again and again.
    fn shows_all(&mut self) -> bool {
        let shows = self.detail == Detail::All;
        self.left_out += usize::from(!shows);
        shows
    }

    /// The lifeline of a session server's process. One whose start was not seen was there from the beginning.
    fn server(&mut self, process: u32) -> Lifeline {
        if let Some(known) = self.servers.get(&process) {
            return known.lifeline;
        }
        let lifeline = self.another("SessionServer");
        self.servers.insert(process, Process { lifeline, has_ended: false });
        lifeline
    }

    /// A session server is an app's. It takes the place of one that has ended.
    fn serves(&mut self, process: u32, app: &str) {
        let earlier = self.serving.get(app).copied().filter(|earlier| self.has_ended(*earlier));
        if let (Some(lifeline), false) = (earlier, self.servers.contains_key(&process)) {
            self.servers.insert(process, Process { lifeline, has_ended: false });
            self.names.insert(process, app.to_owned());
        }
        let lifeline = self.server(process);
        if self.names.get(&process).is_none_or(|known| known != app) {
            let name = self.free_name(&format!("SessionServer({app})"));
            self.diagram.rename(lifeline, &name);
            self.names.insert(process, app.to_owned());
        }
        self.serving.insert(app.to_owned(), lifeline);
    }

    /// A session server's process has ended, in the words of who ended it or saw it.
    fn ended(&mut self, at: Instant, process: u32, by: Lifeline, what: &str) {
        let lifeline = self.server(process);
        let Some(known) = self.servers.get_mut(&process) else { return };
        if !std::mem::replace(&mut known.has_ended, true) {
            self.draw(at, Kind::End, (by, lifeline), what);
        } else if by != lifeline {
            self.work(at, by, what);
        }
    }
}
