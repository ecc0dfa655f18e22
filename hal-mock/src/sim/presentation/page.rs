//! What pages do all day: they start presentations, talk, leave, come back, and end them.

use std::rc::Rc;
use std::time::Duration;

use greenroom_core::message::presentation::{
    Command, ConnectionState, LaunchToken, NoDevice, Payload, Piece, Refusal, SelectionId, TransportKind, Urls,
};
use greenroom_core::time::Instant;

use super::book::Book;
use super::lan::Around;
use super::presenter::{News, Presenter};
use super::witness::{Asked, Key, id};
use crate::party::Party;
use crate::presentation_home::PLATFORM_USER;
use crate::world::World;

/// What is shown.
pub(super) const URL: &str = "https://tv.example/watch";
/// Of whom pages are that are not the platform's.
const PAGE_USER: u32 = 1000;
/// What a page hears before it lets others have a turn.
const NEWS_MAX: usize = 16;
/// Connections that one page wants at a time.
const CONNECTIONS: usize = 3;
/// Presentations that a page remembers, to come back to.
const REMEMBERED: usize = 4;

/// What a page is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// It does whatever pages do, by chance.
    Busy,
    /// It keeps one connection, and sends something now and then.
    Steady,
    /// It chooses devices for the others.
    Chooser,
    /// It does what it is told, and answers what must be answered.
    Obedient,
}

/// One page, or program.
pub(super) struct Page {
    world: World,
    book: Rc<Book>,
    station: String,
    pub(super) presenter: Presenter,
    pub(super) manner: Manner,
    /// What it does next is due then; nothing more when it rests.
    next_at: Option<Instant>,
    /// What it may come back to.
    remembered: Vec<String>,
    /// Names of devices that it may ask for.
    devices: Vec<String>,
    /// It chooses no device for a while.
    pub(super) hesitates: bool,
}

impl Page {
    pub(super) fn new(
        around: &Around,
        (station, number): (u16, u16),
        (name, path): (&str, &str),
        manner: Manner,
    ) -> Self {
        let user = if manner == Manner::Chooser { PLATFORM_USER } else { PAGE_USER };
        let party = Party::Presenter { station, client: number };
        let mut presenter = Presenter::new(around, party, path, user);
        presenter.builder.is_spared = manner != Manner::Busy;
        Self {
            world: around.world.clone(),
            book: Rc::clone(&around.book),
            station: name.to_owned(),
            presenter,
            manner,
            next_at: Some(around.world.now()),
            remembered: Vec::new(),
            devices: Vec::new(),
            hesitates: false,
        }
    }

    /// It asks for these devices from now on.
    pub(super) fn knows(&mut self, devices: Vec<String>) {
        self.devices = devices;
    }

    pub(super) fn wakes_at(&self) -> Option<Instant> {
        [self.next_at, self.presenter.wakes_at()].into_iter().flatten().min()
    }

    pub(super) fn is_runnable(&self, now: Instant) -> bool {
        self.wakes_at().is_some_and(|at| at <= now) || self.presenter.has_ready()
    }

    /// It does nothing more by itself.
    pub(super) fn rest(&mut self) {
        self.next_at = None;
    }

    pub(super) fn turn(&mut self, now: Instant) {
        for _ in 0..NEWS_MAX {
            let Some(news) = self.presenter.hear() else { break };
            self.take(news);
        }
        self.presenter.look_after_channels(now);
        if self.next_at.is_some_and(|at| at <= now) {
            let pause = if self.manner == Manner::Steady { 1000 } else { 200 + self.world.random(3000) };
            self.next_at = Some(now.after(Duration::from_millis(pause)));
            self.act();
        }
    }

    fn take(&mut self, news: News) {
        match news {
            News::Choose(selection) if !self.hesitates => self.choose(selection),
            News::Answered(Asked::Reconnect { presentation_id }, Err(Refusal::NotFound)) => {
                self.remembered.retain(|it| *it != presentation_id);
            }
            _ => {}
        }
    }

    fn choose(&mut self, selection: SelectionId) {
        if self.manner != Manner::Chooser || self.world.random(4) == 0 {
            return;
        }
        let Some(device) = self.any_device() else { return };
        let command = match self.world.random(4) {
            0 => Command::Cancel { selection, because: NoDevice::Cancelled },
            _ => Command::Select { selection, device: &device },
        };
        self.presenter.ask(command, Asked::PlatformOnly);
    }

    pub(super) fn any_device(&self) -> Option<String> {
        let count = self.devices.len() as u64;
        (count > 0).then(|| self.devices[self.world.random(count) as usize].clone())
    }

    fn act(&mut self) {
        if !self.presenter.is_connected() {
            return self.connect();
        }
        match self.manner {
            Manner::Busy => self.do_something(),
            Manner::Steady => self.talk(1),
            Manner::Chooser => self.look_around(),
            Manner::Obedient => {}
        }
    }

    pub(super) fn connect(&mut self) {
        if !self.presenter.connect() {
            return;
        }
        self.presenter.ask(Command::Hello, Asked::Anything);
        if self.manner == Manner::Chooser {
            self.presenter.ask(Command::WatchSelections, Asked::PlatformOnly);
        }
        if self.manner == Manner::Busy && self.world.random(4) > 0 {
            self.presenter.ask(Command::RegisterBuilder, Asked::Anything);
        }
        let urls = Urls::from_iter([URL]);
        self.presenter.ask(Command::WatchAvailability { urls }, Asked::Anything);
    }

    fn look_around(&mut self) {
        self.hesitates = false;
        let command = match self.world.random(8) {
            0 => Command::List { from: self.world.random(8) as u16 },
            1 => Command::ListDevices { from: self.world.random(8) as u16 },
            _ => return,
        };
        self.presenter.ask(command, Asked::PlatformOnly);
    }

    fn do_something(&mut self) {
        match self.world.random(20) {
            0..=4 => self.start_something(),
            5..=11 => {
                let messages = 1 + self.world.random(4);
                self.talk(messages);
            }
            12 | 13 => self.with_any(ConnectionState::Connected, |presenter, connection| {
                presenter.close(connection, false);
            }),
            14..=16 => self.come_back(),
            17 => self.with_any(ConnectionState::Connected, Presenter::terminate),
            18 => self.with_any_at_all(),
            _ => {
                self.presenter.ask(Command::List { from: 0 }, Asked::Anything);
            }
        }
    }

    fn start_something(&mut self) {
        let open = self
            .presenter
            .witness
            .views
            .values()
            .filter(|view| view.is_connecting() || view.state == Some(ConnectionState::Connected));
        if open.count() >= CONNECTIONS {
            return;
        }
        let device = if self.world.random(5) == 0 { None } else { self.any_device() };
        let kind = if self.world.random(2) == 0 { TransportKind::DataChannel } else { TransportKind::Tcp };
        self.start(device.as_deref(), kind);
    }

    /// Gives the name of the presentation, if it could be asked for.
    pub(super) fn start(&mut self, device: Option<&str>, transport: TransportKind) -> Option<String> {
        let presentation_id = self.book.referee.borrow_mut().new_name(&self.station);
        let urls = Urls::from_iter(["gopher://nowhere/", URL]);
        let asked = Asked::Start { presentation_id: presentation_id.clone(), is_device_known: device.is_some() };
        let command = Command::Start {
            presentation_id: &presentation_id,
            urls,
            origin: "https://page.example",
            device,
            transport,
        };
        self.book.referee.borrow_mut().starts(&presentation_id, &self.station);
        self.presenter.ask(command, asked)?;
        self.remembered.push(presentation_id.clone());
        if self.remembered.len() > REMEMBERED {
            self.remembered.remove(0);
        }
        Some(presentation_id)
    }

    /// Sends something on each connection.
    fn talk(&mut self, messages: u64) {
        if !self.presenter.is_up_to_date() {
            return;
        }
        let mut connections = self.presenter.witness.in_state(ConnectionState::Connected);
        if self.manner == Manner::Busy && self.world.random(8) == 0 {
            // Nobody takes anything then.
            connections.extend(self.presenter.witness.in_state(ConnectionState::Connecting));
        }
        for connection in connections {
            for _ in 0..messages {
                let padding = match self.world.random(20) {
                    0 => 100_000 + self.world.random(100_000),
                    1..=3 => self.world.random(8000),
                    _ => self.world.random(50),
                };
                let is_binary = self.world.random(3) == 0;
                self.presenter.send(connection, padding as usize, is_binary);
            }
        }
    }

    fn with_any(&mut self, state: ConnectionState, what: impl FnOnce(&mut Presenter, Key)) {
        let connections = self.presenter.witness.in_state(state);
        let count = connections.len() as u64;
        if count > 0 {
            let connection = connections[self.world.random(count) as usize];
            what(&mut self.presenter, connection);
        }
    }

    /// What is asked in a state in which it cannot be is refused, or does no harm.
    fn with_any_at_all(&mut self) {
        let connections: Vec<Key> = self.presenter.witness.views.keys().copied().collect();
        let count = connections.len() as u64;
        if count == 0 {
            return;
        }
        let connection = connections[self.world.random(count) as usize];
        match self.world.random(3) {
            0 => self.presenter.close(connection, true),
            1 => self.presenter.terminate(connection),
            _ => {
                let pieces = [Piece::Open, Piece::Closed, Piece::Offer("v=0"), Piece::Answer("v=0")];
                self.presenter.piece(connection, pieces[self.world.random(4) as usize]);
            }
        }
    }

    fn come_back(&mut self) {
        let count = self.remembered.len() as u64;
        if count == 0 {
            return;
        }
        let presentation_id = self.remembered[self.world.random(count) as usize].clone();
        self.reconnect(&presentation_id);
    }

    pub(super) fn reconnect(&mut self, presentation_id: &str) {
        let urls = Urls::from_iter([URL]);
        let asked = Asked::Reconnect { presentation_id: presentation_id.to_owned() };
        self.presenter.ask(Command::Reconnect { presentation_id, urls }, asked);
    }

    /// Tries what is not its own: others' connections, tokens, and what only the platform may do (PS-36).
    pub(super) fn intrude(&mut self, connection: Key) {
        // While an answer is on its way, one of which it has not heard may be its own.
        let witness = &self.presenter.witness;
        let is_others = witness.waiting() == 0 && !witness.views.contains_key(&connection);
        let presenter = &mut self.presenter;
        match self.world.random(7) {
            0 => presenter.close(connection, false),
            1 => presenter.terminate(connection),
            2 => presenter.send(connection, 3, false),
            3 => presenter.piece(connection, Piece::Closed),
            4 => {
                let mut token = [0; 16];
                token.iter_mut().for_each(|byte| *byte = self.world.random(256) as u8);
                presenter.claim(LaunchToken(token), false);
            }
            5 => {
                presenter.ask(Command::ListDevices { from: 0 }, Asked::PlatformOnly);
            }
            _ => {
                let selection = SelectionId { index: self.world.random(4) as u16, generation: 1 };
                presenter.ask(Command::Cancel { selection, because: NoDevice::NotFound }, Asked::PlatformOnly);
            }
        }
        let payload = Payload::Text("0:0:nobody:");
        let others = Command::Send { connection: id(connection), payload };
        if is_others {
            self.presenter.ask(others, Asked::On(connection));
        }
    }
}
