//! A phone and a TV with the presentation service that ships; a scenario plays the page, and what shows it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;

use greenroom_core::codec::papi;
use greenroom_core::hal::Protection;
use greenroom_core::limits::CLOSED_KEPT;
use greenroom_core::message::papi::{Description, Message};
use greenroom_core::message::presentation::{Command, LaunchToken, Piece, TransportKind};
use greenroom_core::time::Instant;
use greenroom_hal_mock::diagram::{Diagram, Kind, Lifeline, Step};
use greenroom_hal_mock::party::{Observer, Said};
use greenroom_hal_mock::{Cable, Launched, World};

use crate::network::{Client, FIRST, Network, PHONE, PORT, URL};

/// Long enough for everything that does not wait for a limit.
const A_WHILE: Duration = Duration::from_millis(400);

/// Bytes on their way over the network.
struct Carried {
    at: Instant,
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

/// What goes over the network, as it is sent.
struct Tap {
    world: World,
    carried: RefCell<Vec<Carried>>,
}

impl Observer for Tap {
    fn sent(&self, _: &Said<'_>) {}

    fn received(&self, _: &Said<'_>) {}

    fn carried(&self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        self.carried.borrow_mut().push(Carried { at: self.world.now(), from, to, bytes: bytes.to_vec() });
    }
}

/// Who takes part, from the person to the picture.
#[derive(Clone, Copy)]
struct Cast {
    page: Lifeline,
    phone: Lifeline,
    tv: Lifeline,
    receiver: Lifeline,
}

/// What is played, and what is drawn of it.
pub(crate) struct TwoDevices {
    network: Network,
    tap: Rc<Tap>,
    /// The beginnings of lines whose ends were not sent yet.
    unfinished: BTreeMap<(SocketAddr, SocketAddr), Vec<u8>>,
    page: Option<Client>,
    launched: Option<Launched>,
    receiver: Option<Client>,
    diagram: Diagram,
    cast: Cast,
    begun: Instant,
}

impl TwoDevices {
    pub(crate) fn new(title: &str) -> Self {
        let network = Network::new(Protection::Encrypted);
        let tap = Rc::new(Tap { world: network.world.clone(), carried: RefCell::default() });
        let observer: Weak<Tap> = Rc::downgrade(&tap);
        network.world.observe(observer);
        let mut diagram = Diagram::new(title);
        let [page, phone, tv, receiver] = ["page", "phone", "TV", "receiver"].map(|name| diagram.participant(name));
        let client = network.phone.client(&network.world);
        let begun = network.world.now();
        let cast = Cast { page, phone, tv, receiver };
        Self {
            network,
            tap,
            unfinished: BTreeMap::new(),
            page: Some(client),
            launched: None,
            receiver: None,
            diagram,
            cast,
            begun,
        }
    }

    /// The page asks its service for this, which the diagram calls `what`; then both devices do what follows from it.
    pub(crate) fn page_asks(&mut self, what: &str, command: Command<'_>) {
        self.draw(self.now(), self.cast.page, self.cast.phone, what, Kind::Call);
        self.page.as_mut().expect("a page is there").say(command);
        self.pass(A_WHILE);
    }

    pub(crate) fn page_starts(&mut self, transport: TransportKind) {
        self.draw(self.now(), self.cast.page, self.cast.phone, &format!("Start {URL} on tv"), Kind::Call);
        self.page.as_mut().expect("a page is there").start(transport);
        self.pass(A_WHILE);
    }

    pub(crate) fn page_reconnects(&mut self) {
        let urls = [URL].into_iter().collect();
        self.page_asks("Reconnect p", Command::Reconnect { presentation_id: "p", urls });
    }

    /// What was started for the page says so, and listens.
    pub(crate) fn receiver_is_ready(&mut self) {
        self.receiver = Some(self.network.tv.client(&self.network.world));
        self.receiver_says_that_it_is_ready();
    }

    /// The same, of one that builds data channels.
    pub(crate) fn receiver_that_builds_is_ready(&mut self) {
        self.receiver = Some(self.network.tv.client(&self.network.world));
        self.receiver_says("RegisterBuilder", Command::RegisterBuilder);
        self.receiver_says_that_it_is_ready();
    }

    fn receiver_says_that_it_is_ready(&mut self) {
        let token = self.launched().token;
        self.receiver_says("ReceiverReady, by its token", Command::ReceiverReady { token });
        self.receiver_says("ListenForConnections", Command::ListenForConnections);
        self.pass(A_WHILE);
    }

    /// What was started for the page cannot show it.
    pub(crate) fn receiver_fails(&mut self) {
        let token: LaunchToken = self.launched().token;
        self.receiver = Some(self.network.tv.client(&self.network.world));
        self.receiver_says("ReceiverFailed, by its token", Command::ReceiverFailed { token });
        self.pass(A_WHILE);
    }

    pub(crate) fn receiver_asks(&mut self, what: &str, command: Command<'_>) {
        self.receiver_says(what, command);
        self.pass(A_WHILE);
    }

    /// A data channel's builder has something: first the page's, then the receiver's.
    pub(crate) fn page_built(&mut self, what: &str, piece: Piece<'_>) {
        self.page_asks(what, Command::Built { connection: FIRST, piece });
    }

    pub(crate) fn receiver_built(&mut self, what: &str, piece: Piece<'_>) {
        self.receiver_asks(what, Command::Built { connection: FIRST, piece });
    }

    /// The page's program ends.
    pub(crate) fn page_goes_away(&mut self) {
        self.draw(self.now(), self.cast.page, self.cast.page, "goes away", Kind::Call);
        self.page = None;
        self.pass(A_WHILE);
        self.page = Some(self.network.phone.client(&self.network.world));
    }

    /// The network forgets all connections.
    pub(crate) fn network_is_cut(&mut self) {
        self.diagram.note(self.cast.phone, self.cast.tv, "the network is cut");
        self.network.world.cables().iter().for_each(Cable::cut);
        self.pass(A_WHILE);
    }

    pub(crate) fn nothing_is_allowed(&mut self) {
        self.network.tv.home.pages.clear();
    }

    /// What was drawn. When page and receiver have left, nothing of them is anywhere (PS-35).
    pub(crate) fn finish(mut self) -> Diagram {
        let diagram = self.diagram.clone();
        (self.page, self.receiver) = (None, None);
        self.pass(CLOSED_KEPT + Duration::from_secs(30));
        self.network.assert_nothing_left();
        diagram
    }

    pub(crate) fn pass(&mut self, duration: Duration) {
        let end = self.now().after(duration);
        while self.now() < end {
            self.network.settle();
            self.look();
            self.network.wait_until(end);
        }
        self.network.settle();
        self.look();
    }

    fn receiver_says(&mut self, what: &str, command: Command<'_>) {
        self.draw(self.now(), self.cast.receiver, self.cast.tv, what, Kind::Call);
        self.receiver.as_mut().expect("a receiver is there").say(command);
        self.network.settle();
        self.look();
    }

    fn launched(&self) -> &Launched {
        self.launched.as_ref().expect("something is shown")
    }

    fn now(&self) -> Instant {
        self.network.world.now()
    }

    fn draw(&mut self, at: Instant, from: Lifeline, to: Lifeline, what: &str, kind: Kind) {
        self.diagram.step(Step { at: at.since(self.begun), from, to, what: what.to_owned(), kind });
    }

    /// Draws what has happened since this was last asked.
    fn look(&mut self) {
        self.tap.carried.take().iter().for_each(|carried| self.draw_carried(carried));
        self.look_at_receiver();
        let now = self.now();
        for what in self.page.iter_mut().flat_map(Client::news).collect::<Vec<_>>() {
            self.draw(now, self.cast.phone, self.cast.page, &what, kind_of(&what));
        }
        for what in self.receiver.iter_mut().flat_map(Client::news).collect::<Vec<_>>() {
            self.draw(now, self.cast.tv, self.cast.receiver, &what, kind_of(&what));
        }
    }

    fn look_at_receiver(&mut self) {
        let now = self.now();
        if let Some(launched) = self.network.tv.home.platform.receivers.next_started() {
            self.draw(now, self.cast.tv, self.cast.receiver, "start, with a token", Kind::Creation);
            self.launched = Some(launched);
        }
        if self.launched.as_ref().is_some_and(|launched| !launched.process.is_alive()) {
            self.draw(now, self.cast.tv, self.cast.receiver, "end", Kind::End);
            (self.launched, self.receiver) = (None, None);
        }
    }

    fn draw_carried(&mut self, &Carried { at, from, to, ref bytes }: &Carried) {
        let Cast { phone, tv, .. } = self.cast;
        let (sender, receiver) = if from.ip() == PHONE { (phone, tv) } else { (tv, phone) };
        if from.port() != PORT && to.port() != PORT {
            return self.draw(at, sender, receiver, &format!("data: {} bytes", bytes.len()), Kind::Notification);
        }
        for mut line in self.whole_lines((from, to), bytes) {
            let (what, kind) = spoken(&papi::decode(&mut line).expect("our own service speaks properly"));
            self.draw(at, sender, receiver, &what, kind);
        }
    }

    /// The lines that end with these bytes.
    fn whole_lines(&mut self, direction: (SocketAddr, SocketAddr), bytes: &[u8]) -> Vec<Vec<u8>> {
        let unfinished = self.unfinished.entry(direction).or_default();
        unfinished.extend(bytes);
        let mut lines: Vec<Vec<u8>> = unfinished.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        *unfinished = lines.pop().unwrap_or_default();
        lines
    }
}

/// A line of the control channel, for people.
fn spoken(message: &Message<&str>) -> (String, Kind) {
    let (what, kind) = match message {
        Message::Connect { .. } => ("connect".to_owned(), Kind::Call),
        Message::ConnectAck { .. } => ("connect-ack".to_owned(), Kind::Answer),
        Message::Disconnect { reason } => (format!("disconnect: {reason}"), Kind::Notification),
        Message::Launch { presentation_id, url } => (format!("launch {presentation_id}: {url}"), Kind::Call),
        Message::LaunchAck { presentation_id } => (format!("launch-ack {presentation_id}"), Kind::Answer),
        Message::Terminate { presentation_id } => (format!("terminate {presentation_id}"), Kind::Call),
        Message::TerminateAck { presentation_id } => (format!("terminate-ack {presentation_id}"), Kind::Answer),
        Message::Reconnect { presentation_id, .. } => (format!("reconnect {presentation_id}"), Kind::Call),
        Message::ReconnectAck { presentation_id } => (format!("reconnect-ack {presentation_id}"), Kind::Answer),
        Message::Offer(description) => (format!("offer: {}", described(description)), Kind::Call),
        Message::Answer(description) => (format!("answer: {}", described(description)), Kind::Answer),
        Message::IceCandidate { candidate } => (format!("ice-candidate: {candidate}"), Kind::Notification),
        Message::Ping => ("ping".to_owned(), Kind::Call),
        Message::Pong => ("pong".to_owned(), Kind::Answer),
        _ => unreachable!("our own service says nothing that it does not know"),
    };
    (what, kind)
}

fn described(description: &Description<&str>) -> String {
    match description {
        Description::Tcp { addresses, framed: Some(_), .. } if addresses.is_empty() => "framed TCP".to_owned(),
        Description::Tcp { addresses, framed, .. } => {
            let framed = if framed.is_some() { ", framed" } else { "" };
            format!("TCP at {}{framed}", addresses.join(", "))
        }
        Description::DataChannel { sdp } => format!("data channel, {sdp}"),
    }
}

fn kind_of(what: &str) -> Kind {
    let is_answer = what == "done" || what == "connection" || what.starts_with("refused");
    if is_answer { Kind::Answer } else { Kind::Notification }
}
