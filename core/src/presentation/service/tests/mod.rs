//! Two boxes that talk through the real codec, with everything between them in the hands of the test.

mod defects;
mod hostile;
mod invariants;
mod stories;

use std::collections::{BTreeMap, VecDeque};
use std::string::{String, ToString};
use std::vec::Vec;

use super::*;
use crate::codec::{papi, postcard};
use crate::message::papi::Description;
use crate::message::presentation::{Event, Message as Told, Payload, Request, Urls};

pub(super) const URL: &str = "http://tv.example/";
pub(super) const ID: &str = "7c1f5d0e-presentation";
/// The box that asks, and the one that shows.
pub(super) const PHONE: usize = 0;
pub(super) const TV: usize = 1;

pub(super) type Small = Service<8, 6, 4>;

/// Something on its way from one box to the other.
#[derive(Clone, Debug)]
pub(super) enum Wire {
    Line(usize, ChannelHandle, Vec<u8>),
    Closed(usize, ChannelHandle),
    Transport(usize, ConnectionHandle, CloseReason),
    Data(usize, ConnectionHandle),
}

/// What a box was told to do that is of interest to a test.
pub(super) struct Deeds {
    pub(super) states: Vec<(ConnectionHandle, ConnectionState, Option<CloseReason>)>,
    pub(super) replies: Vec<(Ticket, Result<Done, Refusal>)>,
    pub(super) others: Vec<Action>,
}

pub(super) struct TheBox {
    pub(super) service: Small,
    pub(super) told: Deeds,
    /// To which channel of which box each channel leads.
    pub(super) peers: BTreeMap<(u16, u16), (usize, ChannelHandle)>,
    /// To which connection of which box each transport leads; `None` while it is being built.
    pub(super) transports: BTreeMap<(u16, u16), Option<(usize, ConnectionHandle)>>,
    /// The place of the connection that each offer came from.
    offers: BTreeMap<(u16, u16), (u16, u16)>,
    pub(super) processes: BTreeMap<(u16, u16), (PresentationHandle, LaunchToken)>,
}

pub(super) struct Stage {
    pub(super) now: Instant,
    pub(super) boxes: [TheBox; 2],
    pub(super) wire: VecDeque<Wire>,
    pub(super) sequence: u32,
    tokens: u8,
    /// What is not carried out any more: a box of which nothing comes.
    pub(super) is_reachable: bool,
    /// Whether the two know each other's additions.
    pub(super) are_kin: bool,
    /// How the data travels.
    pub(super) kind: TransportKind,
    /// Whether pages are in another process than their service, so that everything between them is bytes.
    pub(super) is_split: bool,
}

fn as_of_another_make(message: Message<&str>) -> Message<&str> {
    match message {
        Message::Connect { device_id, .. } => Message::Connect { device_id, extension: 0 },
        Message::ConnectAck { .. } => Message::ConnectAck { extension: 0 },
        other => other,
    }
}

pub(super) fn key<T>(handle: Handle<T>) -> (u16, u16) {
    (handle.index(), handle.generation())
}

pub(super) const fn client(place: u16) -> ClientHandle {
    ClientHandle::from_parts(place, 1)
}

pub(super) fn urls(list: &[&'static str]) -> Urls<'static> {
    list.iter().copied().collect()
}

pub(super) fn origin(last: u8) -> Origin {
    let mut address = [0; 16];
    address[15] = last;
    Origin { address, certificate: None }
}

impl TheBox {
    fn new(name: &str) -> Self {
        let device_id = DeviceId::try_from(name).unwrap();
        let told = Deeds { states: Vec::new(), replies: Vec::new(), others: Vec::new() };
        Self {
            service: Small::new(Settings { device_id, ..Settings::default() }),
            told,
            peers: BTreeMap::new(),
            transports: BTreeMap::new(),
            offers: BTreeMap::new(),
            processes: BTreeMap::new(),
        }
    }
}

impl Stage {
    /// The phone knows the TV; client 0 of each box is its platform, 1 and 2 are pages.
    pub(super) fn new() -> Self {
        let mut stage = Self {
            now: Instant::default(),
            boxes: [TheBox::new("phone"), TheBox::new("tv")],
            wire: VecDeque::new(),
            sequence: 0,
            tokens: 0,
            is_reachable: true,
            are_kin: true,
            kind: TransportKind::Tcp,
            is_split: false,
        };
        for which in [PHONE, TV] {
            for (place, access) in [(0, Access::Platform), (1, Access::Page), (2, Access::Page)] {
                stage.give(which, Input::ClientJoined { client: client(place), access }).unwrap();
            }
        }
        stage.give(PHONE, Input::DeviceFound { device_id: "tv", name: "TV", schemes: Schemes::ALL }).unwrap();
        stage
    }

    pub(super) fn give(&mut self, which: usize, input: Input<'_>) -> Result<(), NotTaken> {
        self.give_with(which, input, None)
    }

    /// Hands an input to a box and does what it wants done; `offered` is the place that an offer in it names.
    fn give_with(&mut self, which: usize, input: Input<'_>, offered: Option<(u16, u16)>) -> Result<(), NotTaken> {
        let taken = match input {
            Input::Request { from, command } if self.is_split => {
                let mut buffer = [0; 2048];
                let request = Request { sequence: from.sequence, command };
                let bytes = postcard::encode(&request, &mut buffer).unwrap();
                let Request { command, .. } = postcard::decode(bytes).unwrap();
                self.boxes[which].service.handle(self.now, Input::Request { from, command })
            }
            input => self.boxes[which].service.handle(self.now, input),
        };
        while let Some(action) = self.boxes[which].service.poll_action() {
            self.carry_out(which, action, offered);
        }
        taken
    }

    fn carry_out(&mut self, which: usize, action: Action, offered: Option<(u16, u16)>) {
        match action {
            Action::Reply { to, result } => {
                let answer = result.map(|done| self.boxes[which].service.answer(done));
                self.tell(&Told::Reply { sequence: to.sequence, result: answer });
                self.boxes[which].told.replies.push((to, result));
            }
            Action::TellState { connection, state, reason, .. } => {
                self.tell(&Told::Event(Event::State { connection: connection.into(), state, reason }));
                self.boxes[which].told.states.push((connection, state, reason));
            }
            Action::OpenChannel { channel } => self.open(which, channel),
            Action::Say { channel, word, connection } => self.say(which, channel, word, connection),
            Action::CloseChannel { channel } => {
                if let Some((other, peer)) = self.boxes[which].peers.remove(&key(channel)) {
                    self.wire.push_back(Wire::Closed(other, peer));
                }
            }
            Action::KeepOffer { connection } => {
                self.boxes[which].offers.insert(key(connection), offered.expect("an offer"));
            }
            Action::Build { connection, offers, .. } => {
                let before = self.boxes[which].transports.insert(key(connection), None);
                assert!(before.is_none(), "a transport is built once");
                if offers {
                    self.later(which, Input::OfferReady { connection });
                } else {
                    self.join(which, connection);
                }
            }
            Action::CloseTransport { connection, reason } => {
                let transport = self.boxes[which].transports.remove(&key(connection));
                let is_kept = self.boxes[which].offers.remove(&key(connection)).is_some();
                assert!(transport.is_some() != is_kept, "there is a transport, or an offer of one");
                if let Some(Some((other, peer))) = transport {
                    self.wire.push_back(Wire::Transport(other, peer, reason));
                }
            }
            Action::Transmit { connection } => {
                let transport = self.boxes[which].transports[&key(connection)];
                let (other, peer) = transport.expect("it is connected");
                self.wire.push_back(Wire::Data(other, peer));
            }
            Action::Launch { presentation } => {
                self.tokens += 1;
                let token = LaunchToken([self.tokens; 16]);
                self.boxes[which].processes.insert(key(presentation), (presentation, token));
                self.later(which, Input::Launched { presentation, result: Ok(token) });
            }
            Action::Stop { presentation } => {
                if self.boxes[which].processes.remove(&key(presentation)).is_some() {
                    self.later(which, Input::ReceiverEnded { presentation });
                }
            }
            action @ (Action::Admit { .. }
            | Action::TakeAnswer { .. }
            | Action::TakeCandidate { .. }
            | Action::Deliver { .. }
            | Action::TellAvailable { .. }
            | Action::TellAvailability { .. }
            | Action::TellSelection { .. }
            | Action::Kill { .. }) => self.boxes[which].told.others.push(action),
        }
    }

    /// What a page in another process is told arrives there as it was.
    fn tell(&self, message: &Told<'_>) {
        if self.is_split {
            let mut buffer = [0; 2048];
            let bytes = postcard::encode(message, &mut buffer).unwrap();
            assert_eq!(postcard::decode::<Told<'_>>(bytes).as_ref(), Ok(message));
        }
    }

    /// An input that follows from an action is handed over once the actions are drained.
    fn later(&mut self, which: usize, input: Input<'static>) {
        LATER.with_borrow_mut(|later| later.push_back((which, input)));
    }

    fn open(&mut self, which: usize, channel: ChannelHandle) {
        if !self.is_reachable {
            return;
        }
        let other = 1 - which;
        self.later(which, Input::ChannelOpened { channel });
        LATER.with_borrow_mut(|later| {
            let origin = origin(which as u8 + 1);
            later.push_back((other, Input::Accepted { number: u32::from(channel.index()), origin }));
        });
        OPENING.with_borrow_mut(|opening| opening.push((which, channel)));
    }

    fn say(&mut self, which: usize, channel: ChannelHandle, word: Word, connection: Option<ConnectionHandle>) {
        let address: &[&str] = &["192.168.1.5"];
        let message = self.boxes[which].service.message(channel, word).unwrap_or_else(|| {
            let connection = connection.expect("it is about a connection");
            let kind = self.boxes[which].service.kind_of(connection);
            let port = connection.index() + 1;
            let description = match kind {
                TransportKind::Tcp => {
                    Description::Tcp { addresses: address.iter().copied().collect(), port, framed: None }
                }
                // There is one at a time.
                TransportKind::DataChannel => Description::DataChannel { sdp: "v=0" },
            };
            if word == Word::Offer { Message::Offer(description) } else { Message::Answer(description) }
        });
        let mut buffer = [0; 2048];
        let line = papi::encode(&message, &mut buffer).unwrap().to_vec();
        if let Some((other, peer)) = self.boxes[which].peers.get(&key(channel)) {
            self.wire.push_back(Wire::Line(*other, *peer, line));
        }
    }

    /// The showing side has reached what was offered, or finds nobody there.
    fn join(&mut self, which: usize, connection: ConnectionHandle) {
        let (place, _) = self.boxes[which].offers.remove(&key(connection)).expect("an offer was kept");
        let other = 1 - which;
        let listening = self.boxes[other].service.connections.handle_at(place);
        let waits = listening.filter(|it| self.boxes[other].transports.get(&key(*it)) == Some(&None));
        let Some(peer) = waits else {
            let reason = CloseReason::Error(Reason::CONNECTION_REFUSED);
            return self.later(which, Input::TransportClosed { connection, reason });
        };
        self.boxes[which].transports.insert(key(connection), Some((other, peer)));
        self.boxes[other].transports.insert(key(peer), Some((which, connection)));
        self.later(which, Input::AnswerReady { connection });
        self.later(which, Input::TransportReady { connection });
        self.later(other, Input::TransportReady { connection: peer });
    }

    /// Hands over what follows from actions.
    pub(super) fn follow_up(&mut self) {
        while let Some((which, input)) = LATER.with_borrow_mut(VecDeque::pop_front) {
            // What was closed meanwhile is not reported any more.
            if let Input::TransportClosed { connection, .. } = &input
                && self.boxes[which].transports.remove(&key(*connection)).is_none()
            {
                continue;
            }
            let accepted = matches!(input, Input::Accepted { .. });
            let taken = self.give(which, input);
            if accepted {
                let (from, channel) = OPENING.with_borrow_mut(|opening| opening.remove(0));
                let admitted = self.boxes[which].told.others.iter().rev().find_map(|action| match action {
                    Action::Admit { channel, .. } => Some(*channel),
                    _ => None,
                });
                match admitted.filter(|_| taken.is_ok()) {
                    Some(peer) => {
                        self.boxes[from].peers.insert(key(channel), (which, peer));
                        self.boxes[which].peers.insert(key(peer), (from, channel));
                        self.later(which, Input::ChannelOpened { channel: peer });
                        // What was said before the connection was there waited in its socket.
                        self.greet(from, which, peer);
                    }
                    None => self.wire.push_back(Wire::Closed(from, channel)),
                }
            }
        }
    }

    fn greet(&mut self, from: usize, to: usize, peer: ChannelHandle) {
        let device_id: &str = if from == PHONE { "phone" } else { "tv" };
        let mut buffer = [0; 256];
        let hello = Message::Connect { device_id, extension: 1 };
        let line = papi::encode(&hello, &mut buffer).unwrap().to_vec();
        self.wire.push_back(Wire::Line(to, peer, line));
    }

    pub(super) fn deliver(&mut self) -> bool {
        self.follow_up();
        let Some(wire) = self.wire.pop_front() else { return false };
        let _ = match wire {
            Wire::Line(which, channel, mut line) => match papi::decode(&mut line) {
                Ok(message) => {
                    let message = if self.are_kin { message } else { as_of_another_make(message) };
                    let offered = match &message {
                        Message::Offer(Description::Tcp { port, .. }) => Some((port - 1, 0)),
                        Message::Offer(Description::DataChannel { .. }) => Some((0, 0)),
                        _ => None,
                    };
                    self.give_with(which, Input::Received { channel, message, is_allowed: true }, offered)
                }
                Err(garbage) => self.give(which, Input::Garbage { channel, garbage }),
            },
            Wire::Closed(which, channel) => {
                self.boxes[which].peers.remove(&key(channel));
                self.give(which, Input::ChannelClosed { channel })
            }
            Wire::Transport(which, connection, reason) => match self.boxes[which].transports.remove(&key(connection)) {
                Some(_) => self.give(which, Input::TransportClosed { connection, reason }),
                None => Ok(()),
            },
            Wire::Data(which, connection) => self.give(which, Input::Data { connection }),
        };
        self.follow_up();
        true
    }

    pub(super) fn settle(&mut self) {
        while self.deliver() {}
    }

    pub(super) fn ask(&mut self, which: usize, place: u16, command: Command<'_>) -> Option<Result<Done, Refusal>> {
        self.sequence += 1;
        let from = Ticket { client: client(place), sequence: self.sequence };
        let _ = self.give(which, Input::Request { from, command });
        self.answer_to(which, from)
    }

    pub(super) fn answer_to(&self, which: usize, ticket: Ticket) -> Option<Result<Done, Refusal>> {
        self.boxes[which].told.replies.iter().find(|(to, _)| *to == ticket).map(|(_, result)| *result)
    }

    pub(super) fn pass(&mut self, duration: core::time::Duration) {
        self.now = self.now.after(duration);
        for which in [PHONE, TV] {
            self.give(which, Input::Tick).unwrap();
        }
        self.settle();
    }

    pub(super) fn start(&mut self) -> ConnectionHandle {
        let command = Command::Start {
            presentation_id: ID,
            urls: urls(&[URL]),
            origin: "demo",
            device: Some("tv"),
            transport: self.kind,
        };
        let Some(Ok(Done::Connection(connection))) = self.ask(PHONE, 1, command) else { panic!("it starts") };
        self.settle();
        connection
    }

    /// The receiver of the only presentation says that its page is there, and listens.
    pub(super) fn page_is_ready(&mut self) {
        let token = self.boxes[TV].processes.values().next().expect("a process").1;
        if self.kind == TransportKind::DataChannel {
            assert_eq!(self.ask(TV, 1, Command::RegisterBuilder), Some(Ok(Done::Done)));
        }
        let ready = self.ask(TV, 1, Command::ReceiverReady { token });
        assert!(matches!(ready, Some(Ok(Done::Receiver(_)))), "{ready:?}");
        assert_eq!(self.ask(TV, 1, Command::ListenForConnections), Some(Ok(Done::Done)));
        self.settle();
    }

    pub(super) fn connected(&mut self) -> ConnectionHandle {
        let connection = self.start();
        self.page_is_ready();
        assert_eq!(self.state(PHONE, connection), Some(ConnectionState::Connected));
        connection
    }

    /// The state that a page was told last.
    pub(super) fn state(&self, which: usize, connection: ConnectionHandle) -> Option<ConnectionState> {
        let states = self.boxes[which].told.states.iter().rev();
        states.into_iter().find(|(it, ..)| *it == connection).map(|(_, state, _)| *state)
    }

    pub(super) fn reason(&self, which: usize, connection: ConnectionHandle) -> Option<CloseReason> {
        let states = self.boxes[which].told.states.iter().rev();
        states.into_iter().find(|(it, ..)| *it == connection).and_then(|(.., reason)| *reason)
    }

    /// The connection that a receiver was told of last.
    pub(super) fn available(&self) -> Option<ConnectionHandle> {
        self.boxes[TV].told.others.iter().rev().find_map(|action| match action {
            Action::TellAvailable { connection, .. } => Some(*connection),
            _ => None,
        })
    }
}

std::thread_local! {
    /// What follows from actions; each test has a thread of its own.
    static LATER: core::cell::RefCell<VecDeque<(usize, Input<'static>)>> = const { core::cell::RefCell::new(VecDeque::new()) };
    static OPENING: core::cell::RefCell<Vec<(usize, ChannelHandle)>> = const { core::cell::RefCell::new(Vec::new()) };
}

pub(super) fn said(wire: &Wire) -> Option<String> {
    match wire {
        Wire::Line(_, _, line) => Some(String::from_utf8_lossy(line).trim().to_string()),
        Wire::Closed(..) | Wire::Transport(..) | Wire::Data(..) => None,
    }
}

pub(super) const HELLO: Payload<'static> = Payload::Text("hello");
