//! Two boxes, each with the driver that ships, and their pages.

mod defects;
mod platform;
mod probes;

use core::net::SocketAddr;
use std::boxed::Box;
use std::rc::Rc;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use embedded_io::{Read, Write};

use self::platform::{Door, Events, Known, Net, Packets, Screen, Sight, Stream, World, memory};
use super::*;
use crate::codec::postcard;
use crate::hal::{ByteStream, Descriptors, Fingerprint, Protection, Received, Trust};
use crate::limits::{
    CHANNEL_GREETING_TIMEOUT, CLOSED_KEPT, ESTABLISH_TIMEOUT, GREETING_TIMEOUT, PRESENTER_MESSAGE_BYTES_MAX,
};
use crate::message::presentation::{Command, ConnectionId, NoDevice, Request, SelectionId, TransportKind};

struct Host {
    platform: PresentationPlatform<Net, Sight, Known, Screen, Events>,
    may_show: bool,
}

impl PresentationHost for Host {
    type Buffer = Box<[u8]>;
    type Socket = Packets;
    type Presenters = Door;
    type Network = Net;
    type Discovery = Sight;
    type Known = Known;
    type Receivers = Screen;
    type Events = Events;

    fn platform(&mut self) -> &mut PresentationPlatform<Net, Sight, Known, Screen, Events> {
        &mut self.platform
    }

    fn lend(&mut self, bytes: usize) -> Option<Box<[u8]>> {
        Some(memory(bytes))
    }

    fn access(&self, _: &Peer) -> Option<Access> {
        Some(Access::Platform)
    }

    fn may_show(&self, _: &Visitor<'_>, _: &str) -> bool {
        self.may_show
    }
}

/// One box.
struct Device {
    host: Host,
    driver: PresentationDriver<Host>,
    door: Door,
    /// What is watched when nothing happens.
    idle: usize,
}

impl Device {
    fn new(world: &Rc<World>, name: &str, number: u8, protection: Protection) -> Self {
        let address = [192, 0, 2, number].into();
        let mut network = Net { world: Rc::clone(world), address, own: Fingerprint([number; 32]), chance: number };
        let listener = network.listen(SocketAddr::new(address, CONTROL_PORT), protection).unwrap();
        let discovery = Sight { world: Rc::clone(world), address, told: 0, browses: 0 };
        let (known, receivers, events) = (Known::default(), Screen::default(), Events::default());
        let platform = PresentationPlatform { network, discovery, known, receivers, events };
        let (mut host, door) = (Host { platform, may_show: true }, Door::default());
        let settings = Settings { device_id: name.try_into().unwrap(), ..Settings::default() };
        let mut driver = PresentationDriver::new(&mut host, settings, listener, door.clone()).unwrap();
        driver.start(&mut host, name, protection == Protection::Encrypted).unwrap();
        let idle = host.platform.events.in_use();
        Self { host, driver, door, idle }
    }

    /// Whether there was something to do.
    fn turn(&mut self, now: Instant) -> bool {
        let mut ready = vec![Ready { token: PresentationDriver::<Host>::DISCOVERY, readable: true, writable: false }];
        ready.extend(self.host.platform.events.ready());
        let is_due = self.driver.next_deadline().is_some_and(|deadline| deadline <= now);
        self.driver.turn(&mut self.host, now, &ready);
        ready.len() > 1 || is_due
    }

    fn client(&self) -> Client {
        let (ours, theirs) = Packets::pair();
        self.door.waiting.borrow_mut().push_back(theirs);
        Client { socket: ours, sequence: 0 }
    }
}

struct Home {
    now: Instant,
    world: Rc<World>,
    boxes: Vec<Device>,
}

const CONTROL_PORT: u16 = 4000;
const PHONE: usize = 0;
const TV: usize = 1;

impl Home {
    fn new(protection: Protection) -> Self {
        let world = Rc::new(World::default());
        let boxes = vec![Device::new(&world, "phone", 1, protection), Device::new(&world, "TV", 2, protection)];
        let mut home = Self { now: Instant::from_millis(1000), world, boxes };
        home.settle();
        home
    }

    fn settle(&mut self) {
        for turn in 0.. {
            assert!(turn < 10_000, "it never comes to rest");
            let now = self.now;
            if self.boxes.iter_mut().filter_map(|it| it.turn(now).then_some(())).count() == 0 {
                return;
            }
        }
    }

    /// Lets time pass, so much at a time that nothing is taken for overslept.
    fn pass(&mut self, duration: Duration) {
        let end = self.now.after(duration);
        while self.now < end {
            self.now = self.now.after(Duration::from_millis(500));
            self.settle();
        }
    }

    /// PS-35: a page that was connected could be taken up again for a while.
    fn assert_ended_with_its_receiver(&mut self) {
        self.settle();
        self.pass(ESTABLISH_TIMEOUT);
        self.now = self.now.after(CLOSED_KEPT);
        self.assert_nothing_left();
    }

    /// PS-35
    fn assert_nothing_left(&mut self) {
        self.pass(ESTABLISH_TIMEOUT);
        for it in &self.boxes {
            assert_eq!(it.driver.machine().in_use(), (0, 0, 0));
            assert_eq!(it.host.platform.events.in_use(), it.idle);
        }
    }
}

struct Client {
    socket: Packets,
    sequence: u32,
}

/// A message of the service, as its bytes.
type Heard = Vec<u8>;

impl Client {
    fn say(&mut self, command: Command<'_>) {
        self.sequence += 1;
        let mut buffer = memory(PRESENTER_MESSAGE_BYTES_MAX);
        let request = Request { sequence: self.sequence, command };
        let bytes = match self.sequence {
            1 => postcard::encode_first(&request, &mut buffer).unwrap(),
            _ => postcard::encode(&request, &mut buffer).unwrap(),
        };
        assert_eq!(self.socket.send(bytes, &[]).unwrap(), crate::hal::Sent::Whole);
    }

    fn hear(&mut self) -> Option<Heard> {
        let mut buffer = memory(PRESENTER_MESSAGE_BYTES_MAX);
        match self.socket.receive(&mut buffer, &mut Descriptors::new()).unwrap() {
            Received::Message { bytes } => Some(buffer[..bytes].to_vec()),
            _ => None,
        }
    }

    /// Everything that it is told until nothing more happens, as text.
    fn news(&mut self, home: &mut Home) -> Vec<String> {
        let mut told = Vec::new();
        loop {
            home.settle();
            let before = told.len();
            let heard = core::iter::from_fn(|| self.hear());
            told.extend(heard.map(|bytes| short(&postcard::decode(&bytes).unwrap())));
            if told.len() == before {
                return told;
            }
        }
    }

    fn is_closed(&mut self) -> bool {
        self.socket.receive(&mut [0; 64], &mut Descriptors::new()).unwrap() == Received::Closed
    }
}

fn short(message: &crate::message::presentation::Message<'_>) -> String {
    use crate::message::presentation::{Answer, Event, Message};
    match message {
        Message::Reply { result: Ok(Answer::Welcome { .. }), .. } => "welcome".to_string(),
        Message::Reply { result: Ok(Answer::Done), .. } => "done".to_string(),
        Message::Reply { result: Ok(Answer::Connection { .. }), .. } => "connection".to_string(),
        Message::Reply { result: Ok(Answer::Receiver { url, .. }), .. } => std::format!("receiver of {url}"),
        Message::Reply { result: Err(refusal), .. } => std::format!("refused: {refusal:?}"),
        Message::Event(Event::State { state, reason, .. }) => match reason {
            None => std::format!("{state}"),
            Some(reason) => std::format!("{state}: {reason:?}"),
        },
        Message::Event(Event::Available { device_id, .. }) => std::format!("available for {device_id}"),
        Message::Event(Event::Message { payload: Payload::Text(text), .. }) if text.len() > 20 => {
            std::format!("{} and {} more", &text[..1], text.len() - 1)
        }
        Message::Event(Event::Message { payload, .. }) => std::format!("{payload:?}"),
        other => std::format!("{other:?}"),
    }
}

/// The first connection of a box: a test has no other.
fn first() -> ConnectionId {
    ConnectionId { index: 0, generation: 1 }
}

fn start(device: &str) -> Command<'_> {
    let urls = ["https://tv.example/"].into_iter().collect();
    Command::Start { presentation_id: "", urls, origin: "test", device: Some(device), transport: TransportKind::Tcp }
}

/// A page on the phone, and its receiver on the TV; both connected.
fn connected(home: &mut Home) -> (Client, Client) {
    let (mut page, mut receiver) = (home.boxes[PHONE].client(), home.boxes[TV].client());
    page.say(Command::Hello);
    home.settle();
    page.say(start("TV"));
    home.settle();
    let (url, token, _) = home.boxes[TV].host.platform.receivers.shown.last().expect("it is launched").clone();
    assert_eq!(url, "https://tv.example/");
    receiver.say(Command::ReceiverReady { token });
    receiver.say(Command::ListenForConnections);
    home.settle();
    assert_eq!(page.news(home), ["welcome", "connection", "connecting", "connected"]);
    assert_eq!(receiver.news(home), ["receiver of https://tv.example/", "done", "available for phone", "connected"]);
    (page, receiver)
}

fn send<'a>(payload: Payload<'a>) -> Command<'a> {
    Command::Send { connection: first(), payload }
}

/// PS-01 to PS-05, PS-08, PS-10 to PS-19, PS-35
#[test]
fn a_page_is_started_talked_to_and_terminated_encrypted_or_not() {
    for protection in [Protection::None, Protection::Encrypted] {
        let mut home = Home::new(protection);
        let (mut page, mut receiver) = connected(&mut home);
        page.say(send(Payload::Text("hello")));
        page.say(send(Payload::Binary(&[1, 2])));
        home.settle();
        assert_eq!(page.news(&mut home), ["done", "done"]);
        assert_eq!(receiver.news(&mut home), ["Text(\"hello\")", "Binary([1, 2])"]);
        receiver.say(send(Payload::Text("hi")));
        home.settle();
        assert_eq!(receiver.news(&mut home), ["done"]);
        assert_eq!(page.news(&mut home), ["Text(\"hi\")"]);
        page.say(Command::Terminate { connection: first() });
        home.settle();
        let told = page.news(&mut home);
        assert!(told.contains(&"done".to_string()) && told.contains(&"terminated: Terminated".to_string()), "{told:?}");
        assert!(home.boxes[TV].host.platform.receivers.shown[0].2.get(), "its process was asked to end");
        drop((page, receiver));
        home.assert_nothing_left();
    }
}

/// PS-10, PS-35: from the side that shows it.
///
/// Presentation defects 3, 4
#[test]
fn a_receiver_terminates_and_the_page_learns_it() {
    let mut home = Home::new(Protection::Encrypted);
    let (mut page, mut receiver) = connected(&mut home);
    receiver.say(Command::Terminate { connection: first() });
    assert_eq!(page.news(&mut home), ["terminated: Terminated"]);
    assert_eq!(receiver.news(&mut home), ["done", "terminated: Terminated"]);
    drop((page, receiver));
    home.assert_nothing_left();
}

/// PS-09
///
/// Presentation defects 24, 34
#[test]
fn a_page_that_was_closed_reconnects() {
    let mut home = Home::new(Protection::Encrypted);
    let (mut page, mut receiver) = connected(&mut home);
    page.say(Command::Close { connection: first(), went_away: true });
    home.settle();
    assert!(page.news(&mut home).contains(&"closed: WentAway".to_string()));
    assert_eq!(receiver.news(&mut home), ["closed: WentAway"], "the reason travels");
    let id = home.boxes[PHONE].driver.machine().connection(first().into()).unwrap().0.to_string();
    page.say(Command::Reconnect { presentation_id: &id, urls: ["https://tv.example/"].into_iter().collect() });
    home.settle();
    assert_eq!(page.news(&mut home).last().map(String::as_str), Some("connected"));
    assert_eq!(receiver.news(&mut home), ["available for phone", "connected"]);
}

/// PS-18, PS-19: who does not read loses nothing, and who sends is told to wait.
///
/// Presentation defect 27
#[test]
fn what_is_not_read_waits_and_comes_whole_and_in_order() {
    let mut home = Home::new(Protection::None);
    let (mut page, mut receiver) = connected(&mut home);
    let texts: Vec<String> = ('a'..='p').map(|letter| letter.to_string().repeat(100_000)).collect();
    let mut sent = Vec::new();
    for text in &texts {
        page.say(send(Payload::Text(text)));
        home.settle();
        match page.news(&mut home).as_slice() {
            [done] if done == "done" => sent.push(std::format!("{} and 99999 more", &text[..1])),
            [refused] => assert_eq!(refused, "refused: Congested"),
            other => panic!("{other:?}"),
        }
    }
    assert!(sent.len() < texts.len(), "nobody read, and all of it was taken");
    assert_eq!(receiver.news(&mut home), sent);
}

/// PS-11, PS-34
#[test]
fn a_page_that_the_policy_does_not_know_is_not_launched() {
    let mut home = Home::new(Protection::None);
    home.boxes[TV].host.may_show = false;
    let mut page = home.boxes[PHONE].client();
    page.say(Command::Hello);
    page.say(start("TV"));
    home.settle();
    let told = page.news(&mut home);
    assert!(told.iter().any(|news| news.starts_with("terminated") || news.starts_with("closed")), "{told:?}");
    assert!(home.boxes[TV].host.platform.receivers.shown.is_empty());
    drop(page);
    home.assert_nothing_left();
}

/// PS-30: nobody is connecting for ever.
///
/// Presentation defect 20
#[test]
fn a_receiver_that_never_says_a_word_is_ended_and_the_page_learns_why() {
    let mut home = Home::new(Protection::None);
    let mut page = home.boxes[PHONE].client();
    page.say(Command::Hello);
    page.say(start("TV"));
    home.settle();
    assert_eq!(page.news(&mut home), ["welcome", "connection", "connecting"]);
    home.pass(ESTABLISH_TIMEOUT);
    let told = page.news(&mut home);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("Error"), "{told:?}");
    assert!(home.boxes[TV].host.platform.receivers.shown[0].2.get());
}

/// PS-32: who connects and says nothing, or nothing that makes sense, is sent away.
///
/// Presentation defect 8
#[test]
fn silent_devices_and_silent_or_confused_clients_are_sent_away() {
    let mut home = Home::new(Protection::None);
    let address = SocketAddr::from(([192, 0, 2, 2], CONTROL_PORT));
    let mut stranger =
        Net { world: Rc::clone(&home.world), address: [192, 0, 2, 9].into(), own: Fingerprint([9; 32]), chance: 0 };
    let _silent = stranger.connect(address, Trust::Plain).unwrap();
    let mut client = home.boxes[TV].client();
    let mut confused = home.boxes[TV].client();
    confused.socket.send(b"what?", &[]).unwrap();
    home.settle();
    assert!(confused.is_closed());
    assert!(!client.is_closed());
    assert_eq!(home.boxes[TV].driver.machine().in_use().0, 1);
    home.pass(CHANNEL_GREETING_TIMEOUT.max(GREETING_TIMEOUT) + Duration::from_secs(1));
    assert!(client.is_closed());
    home.assert_nothing_left();
}

/// PS-34
///
/// Presentation defect 8
#[test]
fn one_device_cannot_take_all_places() {
    let mut home = Home::new(Protection::None);
    let mut greedy =
        Net { world: Rc::clone(&home.world), address: [192, 0, 2, 9].into(), own: Fingerprint([9; 32]), chance: 0 };
    let address = SocketAddr::from(([192, 0, 2, 2], CONTROL_PORT));
    let _streams: Vec<Stream> = (0..2 * CHANNELS_MAX).map(|_| greedy.connect(address, Trust::Plain).unwrap()).collect();
    home.settle();
    let (channels, _, _) = home.boxes[TV].driver.machine().in_use();
    assert_eq!(usize::from(channels), crate::limits::CHANNELS_PER_ADDRESS_MAX);
}

/// A device that is nobody's.
fn stranger(home: &Home, number: u8) -> Net {
    let address = [192, 0, 2, number].into();
    Net { world: Rc::clone(&home.world), address, own: Fingerprint([99; 32]), chance: 0 }
}

/// PS-34: neither from elsewhere nor without the ticket; and the right one still comes.
///
/// Presentation defect 15
#[test]
fn only_the_device_of_the_session_connects_to_what_was_offered_to_it() {
    for protection in [Protection::None, Protection::Encrypted] {
        let mut home = Home::new(protection);
        let (mut page, mut receiver) = (home.boxes[PHONE].client(), home.boxes[TV].client());
        page.say(Command::Hello);
        page.say(start("TV"));
        assert_eq!(page.news(&mut home), ["welcome", "connection", "connecting"]);
        let offered = home.world.offered([192, 0, 2, 1].into());
        let trust = match protection {
            Protection::None => Trust::Plain,
            Protection::Encrypted => Trust::Pinned(Fingerprint([1; 32])),
        };
        // From elsewhere; from the device's own address, as a program there might; and one that says nothing.
        let _elsewhere = stranger(&home, 9).connect(offered[0], trust).unwrap();
        let mut beside = stranger(&home, 2).connect(offered[0], trust).unwrap();
        let _ = beside.write_all(&[0, 0, 0, 17, 0, 1, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7]);
        let _silent = stranger(&home, 2).connect(offered[0], trust).unwrap();
        home.settle();
        let token = home.boxes[TV].host.platform.receivers.shown[0].1;
        receiver.say(Command::ReceiverReady { token });
        home.pass(Duration::from_secs(5));
        assert_eq!(page.news(&mut home), ["connected"]);
        assert!(home.world.offered([192, 0, 2, 1].into()).is_empty(), "nobody else is let in");
    }
}

/// PS-06, PS-07, PS-15, PS-20
///
/// Presentation defect 28
#[test]
fn a_data_channel_is_built_by_the_clients_and_its_descriptions_go_up_and_down() {
    let mut home = Home::new(Protection::None);
    let (mut page, mut receiver) = (home.boxes[PHONE].client(), home.boxes[TV].client());
    page.say(Command::Hello);
    let urls = ["https://tv.example/"].into_iter().collect();
    let (device, transport) = (Some("TV"), TransportKind::DataChannel);
    page.say(Command::Start { presentation_id: "p", urls, origin: "test", device, transport });
    let told = page.news(&mut home);
    assert!(told.last().is_some_and(|news| news.contains("Build") && news.contains("offers: true")), "{told:?}");
    let sdp = "\"v=0 ".repeat(14_000);
    let built = |piece| Command::Built { connection: first(), piece };
    page.say(built(Piece::Offer(&sdp)));
    page.say(built(Piece::Candidate("early")));
    assert_eq!(page.news(&mut home), ["done", "done"]);
    let token = home.boxes[TV].host.platform.receivers.shown[0].1;
    receiver.say(Command::RegisterBuilder);
    receiver.say(Command::ReceiverReady { token });
    receiver.say(Command::ListenForConnections);
    let told = receiver.news(&mut home).join(" ");
    assert!(told.contains("offers: false") && told.contains(&std::format!("{:?}", Piece::Offer(&sdp))));
    assert!(told.contains("Candidate(\"early\")"), "what came while the page was loading is kept, too");
    receiver.say(built(Piece::Answer("answer")));
    receiver.say(built(Piece::Candidate("candidate")));
    receiver.say(built(Piece::Open));
    assert_eq!(receiver.news(&mut home).last().map(String::as_str), Some("connected"));
    let told = page.news(&mut home).join(" ");
    assert!(told.contains("Answer(\"answer\")") && told.contains("Candidate(\"candidate\")"), "{told}");
    page.say(built(Piece::Open));
    assert_eq!(page.news(&mut home), ["done", "connected"]);
}

/// PS-21: the page builds no data channel, so it gets TCP, and the controller's page stops building.
#[test]
fn a_page_that_builds_no_data_channel_is_reached_by_tcp() {
    let mut home = Home::new(Protection::Encrypted);
    let (mut page, mut receiver) = (home.boxes[PHONE].client(), home.boxes[TV].client());
    offer_data_channel(&mut home, &mut page);
    let token = home.boxes[TV].host.platform.receivers.shown[0].1;
    receiver.say(Command::ReceiverReady { token });
    receiver.say(Command::ListenForConnections);
    home.settle();
    let told = page.news(&mut home).join(" ");
    assert!(told.contains("Closed") && told.ends_with("connected"), "{told}");
    page.say(send(Payload::Text("hello")));
    home.settle();
    assert_eq!(receiver.news(&mut home).last().map(String::as_str), Some("Text(\"hello\")"));
    page.say(Command::Terminate { connection: first() });
    home.settle();
    drop((page, receiver));
    home.assert_nothing_left();
}

/// The states among the news.
fn states(told: Vec<String>) -> Vec<String> {
    told.into_iter().filter(|news| !news.contains("Built")).collect()
}

/// The page has the TV asked for a data channel, and has made its offer.
fn offer_data_channel(home: &mut Home, page: &mut Client) {
    page.say(Command::Hello);
    let urls = ["https://tv.example/"].into_iter().collect();
    let (device, transport) = (Some("TV"), TransportKind::DataChannel);
    page.say(Command::Start { presentation_id: "p", urls, origin: "test", device, transport });
    page.news(home);
    page.say(Command::Built { connection: first(), piece: Piece::Offer("offer") });
    home.settle();
}

/// How far a data channel is built.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Built {
    Nothing,
    Offered,
    Ready,
    Answered,
    OpenHere,
    OpenThere,
    Connected,
}

/// A data channel that is built so far, by a page and its receiver.
fn built_so_far(home: &mut Home, so_far: Built) -> (Client, Client) {
    let (mut page, mut receiver) = (home.boxes[PHONE].client(), home.boxes[TV].client());
    let steps = [Built::Offered, Built::Ready, Built::Answered, Built::OpenHere, Built::OpenThere];
    let built = |piece| Command::Built { connection: first(), piece };
    page.say(Command::Hello);
    let urls = ["https://tv.example/"].into_iter().collect();
    let (device, transport) = (Some("TV"), TransportKind::DataChannel);
    page.say(Command::Start { presentation_id: "p", urls, origin: "test", device, transport });
    home.settle();
    let reached = steps.iter().take_while(|step| **step as u8 <= so_far as u8);
    for step in reached {
        match step {
            Built::Offered => page.say(built(Piece::Offer("offer"))),
            Built::Ready => {
                let token = home.boxes[TV].host.platform.receivers.shown[0].1;
                receiver.say(Command::RegisterBuilder);
                receiver.say(Command::ReceiverReady { token });
                receiver.say(Command::ListenForConnections);
            }
            Built::Answered => receiver.say(built(Piece::Answer("answer"))),
            Built::OpenHere if so_far == Built::OpenHere => page.say(built(Piece::Open)),
            Built::OpenHere => {}
            Built::OpenThere => receiver.say(built(Piece::Open)),
            Built::Nothing | Built::Connected => {}
        }
        home.settle();
    }
    if so_far == Built::Connected {
        page.say(built(Piece::Open));
    }
    page.news(home);
    receiver.news(home);
    (page, receiver)
}

const ALL_BUILT: [Built; 7] = [
    Built::Nothing,
    Built::Offered,
    Built::Ready,
    Built::Answered,
    Built::OpenHere,
    Built::OpenThere,
    Built::Connected,
];

/// PS-30, PS-35: the process of the controlling page dies, however far it has come; the other side learns it at once where
/// it knows of the connection, and nothing is left.
#[test]
fn a_page_that_dies_while_it_builds_leaves_nothing_and_the_other_one_is_told() {
    for so_far in ALL_BUILT {
        let mut home = Home::new(Protection::Encrypted);
        let (page, mut receiver) = built_so_far(&mut home, so_far);
        drop(page);
        home.settle();
        let told = states(receiver.news(&mut home));
        match so_far {
            Built::Nothing | Built::Offered => {}
            Built::OpenThere | Built::Connected => assert_eq!(told, ["closed: WentAway"], "{so_far:?}"),
            Built::Ready | Built::Answered | Built::OpenHere => {
                assert!(told.iter().any(|news| news.starts_with("closed: ")), "{so_far:?}: {told:?}");
            }
        }
        assert!(home.boxes.iter().all(|it| it.driver.transports.in_use() == 0), "{so_far:?}");
        drop(receiver);
        home.assert_ended_with_its_receiver();
    }
}

/// PS-10, PS-30, PS-35: and so does the receiver, with which its presentation ends.
#[test]
fn a_receiver_that_dies_while_it_builds_leaves_nothing_and_the_other_one_is_told() {
    for so_far in [Built::Ready, Built::Answered, Built::OpenHere, Built::OpenThere, Built::Connected] {
        let mut home = Home::new(Protection::Encrypted);
        let (mut page, receiver) = built_so_far(&mut home, so_far);
        drop(receiver);
        home.settle();
        let told = page.news(&mut home);
        let is_over = |news: &String| news.starts_with("closed") || news.starts_with("terminated");
        assert!(told.iter().any(is_over), "{so_far:?}: {told:?}");
        assert!(home.boxes.iter().all(|it| it.driver.transports.in_use() == 0), "{so_far:?}");
        drop(page);
        home.assert_ended_with_its_receiver();
    }
}

/// PS-09: the control channel says that a page has left, in case that the data channel does not.
#[test]
fn who_leaves_a_data_channel_is_missed_by_the_other_side() {
    let mut home = Home::new(Protection::Encrypted);
    let (mut page, mut receiver) = built_so_far(&mut home, Built::Connected);
    page.say(Command::Close { connection: first(), went_away: false });
    home.settle();
    assert_eq!(states(receiver.news(&mut home)), ["closed: Closed"]);
    assert_eq!(states(page.news(&mut home)), ["done", "closed: Closed"]);
}

/// PS-07
#[test]
fn the_service_counts_what_it_carries() {
    let mut home = Home::new(Protection::None);
    let (mut page, _receiver) = connected(&mut home);
    page.say(send(Payload::Text("hello")));
    page.say(send(Payload::Binary(&[1, 2])));
    home.settle();
    page.news(&mut home);
    page.say(Command::Traffic);
    let told = page.news(&mut home).join(" ");
    assert!(told.contains("sent_messages: 2, sent_bytes: 7, received_messages: 0, received_bytes: 0"), "{told}");
}

/// A page for which somebody is to choose the device.
fn start_anywhere<'a>(name: &'a str, url: &'a str) -> Command<'a> {
    let (urls, transport) = ([url; 4].into_iter().collect(), TransportKind::Tcp);
    Command::Start { presentation_id: name, urls, origin: "test", device: None, transport }
}

/// PS-01
#[test]
fn a_device_is_chosen_by_who_chooses_also_by_one_who_comes_late() {
    let mut home = Home::new(Protection::None);
    let (mut page, mut early) = (home.boxes[PHONE].client(), home.boxes[PHONE].client());
    page.say(Command::Hello);
    early.say(Command::Hello);
    home.settle();
    page.say(start_anywhere("p", "https://tv.example/"));
    assert_eq!(page.news(&mut home), ["welcome", "refused: NobodyChooses"]);
    early.say(Command::WatchSelections);
    assert_eq!(early.news(&mut home), ["welcome", "done"]);
    page.say(start_anywhere("p", "https://tv.example/"));
    assert_eq!(page.news(&mut home), [""; 0]);
    let told = early.news(&mut home);
    assert!(told.len() == 1 && told[0].contains("SelectionAsked"), "{told:?}");

    let mut late = home.boxes[PHONE].client();
    late.say(Command::Hello);
    late.say(Command::WatchSelections);
    let told = late.news(&mut home);
    assert!(told.len() == 3 && told[2].contains("SelectionAsked"), "{told:?}");
    let selection = SelectionId { index: 0, generation: 1 };
    late.say(Command::Select { selection, device: "TV" });
    assert_eq!(page.news(&mut home), ["connection", "connecting"]);
    assert!(early.news(&mut home)[0].contains("SelectionOver"));
}

/// PS-32: what waits for one that does not read is bounded, and nobody else notices.
#[test]
fn a_client_that_never_reads_is_given_up() {
    let mut home = Home::new(Protection::None);
    let (mut page, mut deaf) = (home.boxes[PHONE].client(), home.boxes[PHONE].client());
    let mut chooser = home.boxes[PHONE].client();
    page.say(Command::Hello);
    for client in [&mut deaf, &mut chooser] {
        client.say(Command::Hello);
        client.say(Command::WatchSelections);
    }
    home.settle();
    let url = std::format!("https://tv.example/{}", "x".repeat(900));
    let before = home.boxes[PHONE].host.platform.events.in_use();
    for number in 0..120 {
        page.say(start_anywhere("p", &url));
        home.settle();
        let selection = SelectionId { index: 0, generation: number + 1 };
        let because = NoDevice::Cancelled;
        chooser.news(&mut home);
        chooser.say(Command::Cancel { selection, because });
        assert_eq!(page.news(&mut home).last().map(String::as_str), Some("refused: Cancelled"));
    }
    assert_eq!(home.boxes[PHONE].host.platform.events.in_use(), before - 1);
    assert!(!chooser.is_closed());
}

/// PS-30, PS-32, PS-35: wherever the network is cut.
///
/// Presentation defect 17
#[test]
fn a_network_that_is_cut_at_any_byte_leaves_nobody_connecting_and_nothing_behind() {
    for bytes in (0..1400).step_by(3) {
        let mut home = Home::new(Protection::Encrypted);
        home.world.passes.set(Some(bytes));
        let (mut page, mut receiver) = (home.boxes[PHONE].client(), home.boxes[TV].client());
        page.say(Command::Hello);
        page.say(start("TV"));
        let mut told = page.news(&mut home);
        if let Some((_, token, _)) = home.boxes[TV].host.platform.receivers.shown.last().cloned() {
            receiver.say(Command::ReceiverReady { token });
            receiver.say(Command::ListenForConnections);
        }
        told.extend(page.news(&mut home));
        home.pass(ESTABLISH_TIMEOUT);
        told.extend(page.news(&mut home));
        assert!(told.last().is_some_and(|news| news != "connecting"), "cut after {bytes}: {told:?}");
        home.world.passes.set(None);
        drop((page, receiver));
        home.pass(crate::limits::CLOSED_KEPT);
        home.assert_nothing_left();
    }
}

/// PS-32, PS-35: whoever leaves without having read its answers keeps nobody busy.
#[test]
fn a_device_that_says_goodbye_and_takes_no_answers_is_not_waited_for() {
    let mut home = Home::new(Protection::None);
    let mut deaf = Mozilla::connect(&home);
    deaf.control.write_all(b"{\"type\":\"connect\",\"deviceId\":\"deaf\",\"greenroom\":1}\n").unwrap();
    let ping = "{\"type\":\"ping\"}\n";
    deaf.control.write_all(ping.repeat(250).as_bytes()).unwrap();
    home.settle();
    // More than the network takes, and the end of it in the same moment.
    let rest = std::format!("{}{{\"type\":\"disconnect\",\"reason\":0}}\n", ping.repeat(100));
    deaf.control.write_all(rest.as_bytes()).unwrap();
    deaf.control.finish().unwrap();
    home.settle();
    assert_eq!(home.boxes[TV].host.platform.events.in_use(), home.boxes[TV].idle);
    home.assert_nothing_left();
}

/// What Mozilla's programs say as a controller, and hear.
struct Mozilla {
    network: Net,
    control: Stream,
    heard: String,
}

impl Mozilla {
    fn connect(home: &Home) -> Self {
        let mut network =
            Net { world: Rc::clone(&home.world), address: [192, 0, 2, 9].into(), own: Fingerprint([9; 32]), chance: 0 };
        let address = SocketAddr::from(([192, 0, 2, 2], CONTROL_PORT));
        let control = network.connect(address, Trust::Plain).unwrap();
        Self { network, control, heard: String::new() }
    }

    /// A byte at a time.
    fn say(&mut self, home: &mut Home, line: &str) {
        for byte in line.bytes().chain([b'\n']) {
            self.control.write_all(&[byte]).unwrap();
            home.settle();
        }
    }

    fn hears(&mut self, what: &str) -> bool {
        let mut buffer = [0; 4096];
        while let Ok(bytes @ 1..) = self.control.read(&mut buffer) {
            self.heard.push_str(core::str::from_utf8(&buffer[..bytes]).unwrap());
        }
        self.heard.contains(what)
    }
}

/// PS-14, PS-19, PS-32, PS-33
///
/// Presentation defect 19
#[test]
fn mozillas_controller_is_served_with_its_own_transport() {
    let mut home = Home::new(Protection::None);
    let mut mozilla = Mozilla::connect(&home);
    mozilla.say(&mut home, r#"{"type":"connect","deviceId":"fox"}"#);
    assert!(mozilla.hears(r#""connect-ack""#));
    mozilla.say(&mut home, r#"null"#);
    mozilla.say(&mut home, r#"{"type":"launch","presentationId":"p","url":"https://tv.example/"}"#);
    assert!(mozilla.hears(r#""launch-ack""#));
    let mut data = mozilla.network.listen(SocketAddr::new([192, 0, 2, 9].into(), 0), Protection::None).unwrap();
    let port = data.local_address().port();
    let offer = std::format!(r#"{{"type":"offer","offer":{{"type":1,"tcpAddress":["192.0.2.9"],"tcpPort":{port}}}}}"#);
    mozilla.say(&mut home, &offer);
    let mut receiver = home.boxes[TV].client();
    let token = home.boxes[TV].host.platform.receivers.shown[0].1;
    receiver.say(Command::ReceiverReady { token });
    receiver.say(Command::ListenForConnections);
    home.settle();
    let mut stream = data.accept().unwrap().expect("it is reached");
    home.settle();
    assert!(mozilla.hears(r#""answer""#), "{}", mozilla.heard);
    let told = receiver.news(&mut home);
    assert_eq!(told.last().map(String::as_str), Some("connected"), "{told:?}");
    mozilla.say(&mut home, r#"{"type":"disconnect","reason":0}"#);
    stream.write_all(b"hello").unwrap();
    home.settle();
    assert_eq!(receiver.news(&mut home), ["Text(\"hello\")"], "it does not fall with its control channel");
    receiver.say(send(Payload::Binary(b"x")));
    receiver.say(send(Payload::Text("hi")));
    home.settle();
    assert_eq!(receiver.news(&mut home), ["refused: TextOnly", "done"]);
    let mut buffer = [0; 16];
    let bytes = stream.read(&mut buffer).unwrap();
    assert_eq!(&buffer[..bytes], b"hi");
    drop(stream);
    home.settle();
    assert_eq!(receiver.news(&mut home), ["closed: Closed"]);
}

/// PS-34: a device of another make knows no tickets, so it is let in for its address, and nobody else is.
#[test]
fn what_is_offered_to_a_device_of_another_make_is_taken_from_its_address_only() {
    let mut home = Home::new(Protection::None);
    let mut network = stranger(&home, 9);
    let control_address = SocketAddr::new(network.address, CONTROL_PORT);
    let mut listener = network.listen(control_address, Protection::None).unwrap();
    let mut sight = Sight { world: Rc::clone(&home.world), address: network.address, told: 0, browses: 0 };
    sight.announce(&Announcement { name: "fox", port: CONTROL_PORT, fingerprint: None, version: 1 }).unwrap();
    let mut page = home.boxes[PHONE].client();
    page.say(Command::Hello);
    home.settle();
    page.say(start("fox"));
    home.settle();
    let mut fox = Mozilla { control: listener.accept().unwrap().unwrap(), network, heard: String::new() };
    fox.say(&mut home, r#"{"type":"connect-ack"}"#);
    fox.say(&mut home, r#"{"type":"launch-ack","presentationId":"p"}"#);
    assert!(fox.hears(r#""offer""#), "{}", fox.heard);
    assert_eq!(page.news(&mut home), ["welcome", "connection", "connecting"]);
    let offered = home.world.offered([192, 0, 2, 1].into());
    let mut elsewhere = stranger(&home, 8).connect(offered[0], Trust::Plain).unwrap();
    let _ = elsewhere.write_all(b"not from the fox");
    home.settle();
    let mut data = fox.network.connect(offered[0], Trust::Plain).unwrap();
    fox.say(&mut home, r#"{"type":"answer","answer":{"type":1,"tcpAddress":["192.0.2.9"],"tcpPort":1}}"#);
    data.write_all(b"from the fox").unwrap();
    assert_eq!(page.news(&mut home), ["connected", "Text(\"from the fox\")"]);
}
