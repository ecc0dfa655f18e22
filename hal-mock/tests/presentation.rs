//! The presentation service that ships, on simulated devices with a network that takes its time.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use greenroom_core::codec::postcard::{decode, encode, encode_first};
use greenroom_core::driver::PresentationDriver;
use greenroom_core::hal::{Descriptors, Fingerprint, Peer, Protection, Received, Sent, Socket};
use greenroom_core::limits::{CLOSED_KEPT, PRESENTER_MESSAGE_BYTES_MAX, UNREAD_KEPT};
use greenroom_core::message::presentation::{
    Answer, Command, ConnectionId, ConnectionState, Event, Message, Payload, Piece, Refusal, Request, TransportKind,
};
use greenroom_hal_mock::{Launched, PresentationHome, SeqPacket, World};

const URL: &str = "https://tv.example/";
const PAGE: Peer = Peer::new(1, 1000, 1000);
const PORT: u16 = 4000;

struct Device {
    home: PresentationHome,
    driver: Box<PresentationDriver<PresentationHome>>,
    idle: (usize, usize),
}

impl Device {
    fn new(world: &World, name: &str, number: u8, protection: Protection) -> Self {
        let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, number));
        let mut home = PresentationHome::new(world, name, &[address], Fingerprint([number; 32]));
        let driver = Box::new(home.start(PORT, protection).unwrap());
        let idle = (home.platform.events.watched(), home.memory.out());
        Self { home, driver, idle }
    }

    fn client(&self, world: &World) -> Client {
        Client { socket: world.connect(&self.home.path(), PAGE).unwrap(), sequence: 0 }
    }

    fn launched(&self) -> Launched {
        self.home.platform.receivers.next_started().expect("something is shown")
    }
}

struct Client {
    socket: SeqPacket,
    sequence: u32,
}

impl Client {
    fn say(&mut self, command: Command<'_>) {
        let mut buffer = vec![0; PRESENTER_MESSAGE_BYTES_MAX];
        let request = Request { sequence: self.sequence, command };
        let bytes = match self.sequence {
            0 => encode_first(&request, &mut buffer).unwrap(),
            _ => encode(&request, &mut buffer).unwrap(),
        };
        self.sequence += 1;
        assert_eq!(self.socket.send(bytes, &[]), Ok(Sent::Whole));
    }

    fn start(&mut self, transport: TransportKind) {
        let urls = [URL].into_iter().collect();
        self.say(Command::Start { presentation_id: "p", urls, origin: "test", device: Some("tv"), transport });
    }

    /// What it is told, as text.
    fn news(&mut self) -> Vec<String> {
        let mut buffer = vec![0; PRESENTER_MESSAGE_BYTES_MAX];
        let mut told = Vec::new();
        while let Ok(Received::Message { bytes }) = self.socket.receive(&mut buffer, &mut Descriptors::new()) {
            told.push(short(&decode(&buffer[..bytes]).unwrap()));
        }
        told
    }
}

fn short(message: &Message<'_>) -> String {
    match message {
        Message::Reply { result: Ok(Answer::Connection { .. }), .. } => "connection".to_owned(),
        Message::Reply { result: Ok(_), .. } => "done".to_owned(),
        Message::Reply { result: Err(refusal), .. } => format!("refused: {refusal:?}"),
        Message::Event(Event::State { state, reason: None, .. }) => state.to_string(),
        Message::Event(Event::State { state, reason: Some(reason), .. }) => format!("{state}: {reason:?}"),
        Message::Event(Event::Message { payload: Payload::Text(text), .. }) => (*text).to_owned(),
        Message::Event(event) => format!("{event:?}"),
    }
}

/// The first connection of a box: a test has no other.
const FIRST: ConnectionId = ConnectionId { index: 0, generation: 1 };

/// A phone and a TV, and a network that takes 20 ms each way.
struct Network {
    world: World,
    phone: Device,
    tv: Device,
}

impl Network {
    fn new(protection: Protection) -> Self {
        let world = World::new(1);
        world.set_latency(Duration::from_millis(20), Duration::from_millis(20));
        let (phone, tv) = (Device::new(&world, "phone", 1, protection), Device::new(&world, "tv", 2, protection));
        let mut network = Self { world, phone, tv };
        network.pass(Duration::from_secs(1));
        network
    }

    /// Lets time pass. Nobody is woken for anything that has not happened.
    fn pass(&mut self, duration: Duration) {
        let end = self.world.now().after(duration);
        while self.world.now() < end {
            let mut turns = 0;
            while self.turn() {
                turns += 1;
                assert!(turns < 10_000, "they never come to rest");
            }
            let deadlines = [self.phone.driver.next_deadline(), self.tv.driver.next_deadline()];
            let next = deadlines.into_iter().chain([self.world.next_arrival()]).flatten().min();
            self.world.advance_to(next.unwrap_or(end).min(end));
        }
    }

    /// Whether anybody had anything to do.
    fn turn(&mut self) -> bool {
        let (now, mut any) = (self.world.now(), false);
        for device in [&mut self.phone, &mut self.tv] {
            let ready = device.home.platform.events.ready();
            if !ready.is_empty() || device.driver.next_deadline().is_some_and(|deadline| deadline <= now) {
                device.driver.turn(&mut device.home, now, &ready);
                any = true;
            }
        }
        any
    }

    /// A page on the phone, and what shows it on the TV; both connected.
    fn connected(&mut self) -> (Client, Client) {
        let (mut page, mut receiver) = (self.phone.client(&self.world), self.tv.client(&self.world));
        page.start(TransportKind::Tcp);
        self.pass(Duration::from_millis(300));
        receiver.say(Command::ReceiverReady { token: self.tv.launched().token });
        receiver.say(Command::ListenForConnections);
        self.pass(Duration::from_millis(300));
        assert_eq!(page.news(), ["connection", "connecting", "connected"]);
        assert_eq!(receiver.news().last().map(String::as_str), Some("connected"));
        (page, receiver)
    }

    /// PS-35
    fn assert_nothing_left(&self) {
        for device in [&self.phone, &self.tv] {
            assert_eq!(device.driver.machine().in_use(), (0, 0, 0));
            assert_eq!((device.home.platform.events.watched(), device.home.memory.out()), device.idle);
        }
        assert_eq!(self.world.cables().len(), 0);
        assert!(self.world.listening().iter().all(|at| at.port() == PORT));
    }
}

/// PS-03, PS-05, PS-08, PS-30: a connection that is not made at once goes on when it is made, and not when something else
/// happens.
#[test]
fn on_a_network_that_takes_its_time_a_page_is_connected_as_soon_as_it_can_be() {
    for protection in [Protection::None, Protection::Encrypted] {
        let mut network = Network::new(protection);
        let (mut page, mut receiver) = network.connected();
        page.say(Command::Send { connection: FIRST, payload: Payload::Text("hello") });
        network.pass(Duration::from_millis(50));
        assert_eq!((page.news(), receiver.news()), (vec!["done".to_owned()], vec!["hello".to_owned()]));
        page.say(Command::Terminate { connection: FIRST });
        network.pass(Duration::from_millis(300));
        assert_eq!(page.news(), ["terminated: Terminated", "done"]);
        drop((page, receiver));
        network.pass(Duration::from_secs(10));
        network.assert_nothing_left();
    }
}

/// PS-20, PS-35, PS-36: what the service builds is not its client's business.
#[test]
fn a_client_has_no_say_in_a_transport_that_the_service_builds() {
    let mut network = Network::new(Protection::None);
    let (mut page, mut receiver) = network.connected();
    let (state, pieces) =
        (ConnectionState::Connected, [Piece::Closed, Piece::Open, Piece::Offer("x"), Piece::Answer("x")]);
    for piece in pieces {
        for client in [&mut page, &mut receiver] {
            client.say(Command::Built { connection: FIRST, piece });
            network.pass(Duration::from_millis(10));
            assert_eq!(client.news(), [format!("refused: {:?}", Refusal::WrongState { state })], "{piece:?}");
        }
    }
    page.say(Command::Send { connection: FIRST, payload: Payload::Text("still there") });
    network.pass(Duration::from_millis(50));
    assert_eq!(receiver.news(), ["still there"]);
    page.say(Command::Terminate { connection: FIRST });
    network.pass(Duration::from_secs(1));
    drop((page, receiver));
    network.pass(Duration::from_secs(10));
    network.assert_nothing_left();
}

/// PS-17, PS-35: what came last waits for a receiver that does not listen, and not for ever.
#[test]
fn a_connection_that_its_page_has_left_does_not_wait_for_ever_for_a_receiver_that_never_listens() {
    let mut network = Network::new(Protection::None);
    let (mut page, mut receiver) = (network.phone.client(&network.world), network.tv.client(&network.world));
    page.start(TransportKind::Tcp);
    network.pass(Duration::from_millis(300));
    let launched = network.tv.launched();
    receiver.say(Command::ReceiverReady { token: launched.token });
    network.pass(Duration::from_millis(300));
    assert_eq!(page.news().last().map(String::as_str), Some("connected"));
    drop(page);
    network.pass(UNREAD_KEPT - Duration::from_secs(5));
    assert_eq!(network.tv.driver.machine().in_use().1, 1, "the receiver may listen yet");
    network.pass(Duration::from_secs(10));
    assert_eq!(network.tv.driver.machine().in_use().1, 0);
    network.pass(CLOSED_KEPT + Duration::from_secs(10));
    assert!(!launched.process.is_alive());
    drop(receiver);
    network.pass(Duration::from_secs(10));
    network.assert_nothing_left();
}
