//! The presentation service that ships, on simulated devices with a network that takes its time.

mod network;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use greenroom_core::hal::{Addresses, Announcement, Discovery, Protection};
use greenroom_core::limits::{CLOSED_KEPT, DEVICES_MAX, UNREAD_KEPT};
use greenroom_core::message::presentation::{Command, ConnectionState, Payload, Piece, Refusal, TransportKind};

use greenroom_hal_mock::{Launched, MockDiscovery};
use network::{Client, Device, FIRST, Network, PORT, URL};

impl Device {
    fn launched(&self) -> Launched {
        self.home.platform.receivers.next_started().expect("something is shown")
    }
}

impl Client {
    fn start_on_late_device(&mut self) {
        let (urls, transport) = ([URL].into_iter().collect(), TransportKind::Tcp);
        self.say(Command::Start { presentation_id: "p", urls, origin: "test", device: Some("late"), transport });
    }
}

impl Network {
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

/// PS-22: a network that is too large for the table hides nobody for ever.
#[test]
fn a_device_for_which_there_was_no_room_is_found_when_another_one_has_gone() {
    let mut network = Network::new(Protection::None);
    let announced = |name: &str| {
        let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 100));
        let mut discovery = MockDiscovery::new(&network.world, name, Addresses::from_iter([address]));
        discovery.announce(&Announcement { name, port: PORT, fingerprint: None, version: 1 }).unwrap();
        discovery
    };
    // The phone knows the TV besides.
    let mut crowd: Vec<MockDiscovery> = (1..DEVICES_MAX).map(|number| announced(&format!("radio {number}"))).collect();
    let _late = announced("late");
    network.pass(Duration::from_secs(1));
    let mut page = network.phone.client(&network.world);
    page.start_on_late_device();
    network.pass(Duration::from_millis(10));
    assert_eq!(page.news(), ["refused: NoDevice"]);
    crowd.pop();
    network.pass(Duration::from_millis(10));
    page.start_on_late_device();
    network.pass(Duration::from_millis(10));
    assert_eq!(page.news()[0], "connection");
}

/// PS-06, PS-14, PS-35: what is offered waits for a page, and no longer than its connection.
#[test]
fn the_offer_of_a_data_channel_is_forgotten_with_a_connection_that_ends_before_its_page_is_there() {
    let mut network = Network::new(Protection::None);
    let mut page = network.phone.client(&network.world);
    page.start(TransportKind::DataChannel);
    network.pass(Duration::from_millis(300));
    let before = network.tv.home.memory.out();
    page.say(Command::Built { connection: FIRST, piece: Piece::Offer("v=0") });
    network.pass(Duration::from_millis(300));
    assert_eq!(page.news().last().map(String::as_str), Some("done"));
    assert_eq!(network.tv.home.memory.out(), before + 1, "the page may come yet");
    drop(page);
    network.pass(Duration::from_secs(10));
    network.assert_nothing_left();
}
