//! The networks keep every claim: loopback, with and without TLS, and the simulated one, also where it is unkind.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use greenroom_core::hal::{Network, Protection, StreamListener};
use greenroom_tests::conformance::networks::{Loopback, MockNetwork};
use greenroom_tests::conformance::streams::{StreamPlatform, an_address_that_does_not_answer_is_given_up_in_time};

greenroom_tests::streams_conformance!(linux_plain, super::super::Loopback::new(super::super::Protection::None));
greenroom_tests::streams_conformance!(linux_tls, super::super::Loopback::new(super::super::Protection::Encrypted));
greenroom_tests::streams_conformance!(
    mock_plain,
    super::super::MockNetwork::new(super::super::Protection::None, false)
);
greenroom_tests::streams_conformance!(
    mock_tls,
    super::super::MockNetwork::new(super::super::Protection::Encrypted, false)
);
greenroom_tests::streams_conformance!(
    mock_unkind,
    super::super::MockNetwork::new(super::super::Protection::None, true)
);

/// PS-30
#[test]
fn a_silent_address_of_the_simulated_network_is_given_up_in_time() {
    let mut platform = MockNetwork::new(Protection::None, false);
    let mut network = platform.network();
    let silent = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 99));
    platform.world().silence(silent);
    let own = platform.own_addresses()[0];
    let listener = network.listen(SocketAddr::new(own, 0), Protection::None).unwrap();
    let next = listener.local_address();
    an_address_that_does_not_answer_is_given_up_in_time(&mut platform, &mut network, SocketAddr::new(silent, 1), next);
}

/// A listener whose queue is full answers nobody, and nobody on loopback is refused by a router.
///
/// PS-30
#[test]
fn a_silent_address_on_linux_is_given_up_in_time() {
    let mut platform = Loopback::new(Protection::None);
    let mut network = platform.network();
    let (silent, _held) = full_listener();
    let listener = network.listen((Ipv4Addr::LOCALHOST, 0).into(), Protection::None).unwrap();
    let next = listener.local_address();
    an_address_that_does_not_answer_is_given_up_in_time(&mut platform, &mut network, silent, next);
}

fn full_listener() -> (SocketAddr, Vec<std::os::fd::OwnedFd>) {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, getsockname, listen, socket_with};
    let socket =
        || socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None);
    let listener = socket().unwrap();
    bind(&listener, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    listen(&listener, 0).unwrap();
    let address = SocketAddr::try_from(getsockname(&listener).unwrap()).unwrap();
    let mut held = vec![listener];
    for _ in 0..4 {
        let client = socket().unwrap();
        let _ = connect(&client, &address);
        held.push(client);
    }
    (address, held)
}
