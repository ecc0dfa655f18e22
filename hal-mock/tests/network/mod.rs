//! Two devices that run the presentation service that ships, and their clients, which a test plays.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use greenroom_core::codec::postcard::{decode, encode, encode_first};
use greenroom_core::driver::PresentationDriver;
use greenroom_core::hal::{Descriptors, Fingerprint, Peer, Protection, Received, Sent, Socket};
use greenroom_core::limits::PRESENTER_MESSAGE_BYTES_MAX;
use greenroom_core::message::presentation::{
    Answer, CloseReason, Command, ConnectionId, Event, Message, Payload, Request, TransportKind,
};
use greenroom_core::time::Instant;
use greenroom_hal_mock::{PresentationHome, SeqPacket, World};

pub(crate) const URL: &str = "https://tv.example/";
const PAGE: Peer = Peer::new(1, 1000, 1000);
pub(crate) const PORT: u16 = 4000;
/// Where the phone is.
pub(crate) const PHONE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const TV: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

pub(crate) struct Device {
    pub(crate) home: PresentationHome,
    pub(crate) driver: Box<PresentationDriver<PresentationHome>>,
    idle: (usize, usize),
}

impl Device {
    fn new(world: &World, name: &str, address: IpAddr, protection: Protection) -> Self {
        let fingerprint = Fingerprint([name.len() as u8; 32]);
        let mut home = PresentationHome::new(world, name, &[address], fingerprint);
        let driver = Box::new(home.start(PORT, protection).unwrap());
        let idle = (home.platform.events.watched(), home.memory.out());
        Self { home, driver, idle }
    }

    pub(crate) fn client(&self, world: &World) -> Client {
        Client { socket: world.connect(&self.home.path(), PAGE).unwrap(), sequence: 0 }
    }
}

pub(crate) struct Client {
    socket: SeqPacket,
    sequence: u32,
}

impl Client {
    pub(crate) fn say(&mut self, command: Command<'_>) {
        let mut buffer = vec![0; PRESENTER_MESSAGE_BYTES_MAX];
        let request = Request { sequence: self.sequence, command };
        let bytes = match self.sequence {
            0 => encode_first(&request, &mut buffer).unwrap(),
            _ => encode(&request, &mut buffer).unwrap(),
        };
        self.sequence += 1;
        assert_eq!(self.socket.send(bytes, &[]), Ok(Sent::Whole));
    }

    pub(crate) fn start(&mut self, transport: TransportKind) {
        let urls = [URL].into_iter().collect();
        self.say(Command::Start { presentation_id: "p", urls, origin: "test", device: Some("tv"), transport });
    }

    /// What it is told, as text.
    pub(crate) fn news(&mut self) -> Vec<String> {
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
        Message::Event(Event::State { state, reason: Some(CloseReason::Error(reason)), .. }) => {
            format!("{state}: {reason}")
        }
        Message::Event(Event::State { state, reason: Some(reason), .. }) => format!("{state}: {reason:?}"),
        Message::Event(Event::Message { payload: Payload::Text(text), .. }) => (*text).to_owned(),
        Message::Event(Event::Available { device_id, .. }) => format!("Available: {device_id}"),
        Message::Event(Event::Build { offers, .. }) => format!("Build{}", if *offers { ", offer first" } else { "" }),
        Message::Event(Event::Built { piece, .. }) => format!("Built: {piece:?}"),
        Message::Event(event) => format!("{event:?}"),
    }
}

/// The first connection of a box: a test has no other.
pub(crate) const FIRST: ConnectionId = ConnectionId { index: 0, generation: 1 };

/// A phone and a TV, and a network that takes 20 ms each way.
pub(crate) struct Network {
    pub(crate) world: World,
    pub(crate) phone: Device,
    pub(crate) tv: Device,
}

impl Network {
    pub(crate) fn new(protection: Protection) -> Self {
        let world = World::new(1);
        world.set_latency(Duration::from_millis(20), Duration::from_millis(20));
        let (phone, tv) = (Device::new(&world, "phone", PHONE, protection), Device::new(&world, "tv", TV, protection));
        let mut network = Self { world, phone, tv };
        network.pass(Duration::from_secs(1));
        network
    }

    /// Lets time pass. Nobody is woken for anything that has not happened.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let end = self.world.now().after(duration);
        while self.world.now() < end {
            self.settle();
            self.wait_until(end);
        }
    }

    /// Lets both devices do what there is to do now.
    pub(crate) fn settle(&mut self) {
        let mut turns = 0;
        while self.turn() {
            turns += 1;
            assert!(turns < 10_000, "they never come to rest");
        }
    }

    /// Until there is something to do again, but no longer.
    pub(crate) fn wait_until(&self, end: Instant) {
        let deadlines = [self.phone.driver.next_deadline(), self.tv.driver.next_deadline()];
        let next = deadlines.into_iter().chain([self.world.next_arrival()]).flatten().min();
        self.world.advance_to(next.unwrap_or(end).min(end));
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

    /// PS-35
    pub(crate) fn assert_nothing_left(&self) {
        for device in [&self.phone, &self.tv] {
            assert_eq!(device.driver.machine().in_use(), (0, 0, 0));
            assert_eq!((device.home.platform.events.watched(), device.home.memory.out()), device.idle);
        }
        assert_eq!(self.world.cables().len(), 0);
        assert!(self.world.listening().iter().all(|at| at.port() == PORT));
    }
}
