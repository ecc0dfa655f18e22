//! What only Linux has: real certificates, and peers that keep no rules.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream as StdStream};

use greenroom_core::hal::{Distrust, Error, Token, Watch};

use super::*;
use crate::clock::Clock;
use crate::event_loop::EventLoop;

/// How long something may take that should happen at once.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);
const LOOPBACK: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

fn device() -> LinuxNetwork {
    let directory = tempfile::tempdir().unwrap();
    LinuxNetwork::new(&Identity::load_or_make(&directory.path().join("identity.pem")).unwrap()).unwrap()
}

/// Waits until one of the streams is ready for what it wants, or the other for what it wants.
fn wait(streams: &[&LinuxStream]) {
    let mut events = EventLoop::new().unwrap();
    for (index, stream) in (0..).zip(streams) {
        events.watch(*stream, Token { kind: 0, index, generation: 1 }, stream.interest(Interest::Read)).unwrap();
    }
    let ready = events.wait(Some(Clock.now().after(PATIENCE))).unwrap();
    assert!(!ready.is_empty(), "nothing became ready");
}

fn accept(listener: &mut LinuxListener) -> LinuxStream {
    let mut events = EventLoop::new().unwrap();
    events.watch(listener, Token { kind: 0, index: 0, generation: 1 }, Interest::Read).unwrap();
    events.wait(Some(Clock.now().after(PATIENCE))).unwrap();
    listener.accept().unwrap().expect("a connection")
}

/// Lets two ends get on until one fails or both are up.
fn meet(client: &mut LinuxStream, server: &mut LinuxStream) -> (Result<bool, LinuxError>, Result<bool, LinuxError>) {
    loop {
        let (one, other) = (client.advance(), server.advance());
        if one.is_err() || other.is_err() || (one == Ok(true) && other == Ok(true)) {
            return (one, other);
        }
        wait(&[client, server]);
    }
}

/// Advances until there is a result.
fn settle(stream: &mut LinuxStream) -> Result<(), LinuxError> {
    while !stream.advance()? {
        wait(&[stream]);
    }
    Ok(())
}

/// Receives until there is an end, or a failure.
fn end_of(stream: &mut LinuxStream) -> Result<Vec<u8>, LinuxError> {
    let (mut all, mut buffer) = (Vec::new(), [0; 100]);
    loop {
        match stream.receive(&mut buffer)? {
            Arrived::Bytes(bytes) => all.extend_from_slice(&buffer[..bytes]),
            Arrived::WouldBlock => wait(&[stream]),
            Arrived::End => return Ok(all),
        }
    }
}

/// Presentation defect 13
#[test]
fn a_device_with_another_certificate_is_refused_and_both_are_named() {
    let (mut tv, mut stranger, mut phone) = (device(), device(), device());
    let mut listener = stranger.listen(LOOPBACK.into(), Protection::Encrypted).unwrap();
    let (expected, shown) = (tv.fingerprint(), stranger.fingerprint());
    let mut client = phone.connect(listener.local_address(), Trust::Pinned(expected)).unwrap();
    let mut server = accept(&mut listener);
    let (client_end, server_end) = meet(&mut client, &mut server);
    let refused = client_end.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Untrusted);
    assert_eq!(refused.distrust(), Some(Distrust::OtherCertificate { expected, shown }));
    assert!(refused.to_string().contains(&shown.to_string()), "{refused}");
    let told = server_end.and_then(|_| settle(&mut server)).and_then(|()| end_of(&mut server)).unwrap_err();
    assert_eq!(told.kind(), ErrorKind::Denied, "{told}");
    assert!(tv.addresses().is_ok());
}

/// PS-34
///
/// Presentation defect 13
#[test]
fn both_sides_know_who_the_other_is() {
    let (mut tv, mut phone) = (device(), device());
    let mut listener = tv.listen(LOOPBACK.into(), Protection::Encrypted).unwrap();
    let mut client = phone.connect(listener.local_address(), Trust::Pinned(tv.fingerprint())).unwrap();
    let mut server = accept(&mut listener);
    let up = meet(&mut client, &mut server);
    assert_eq!(up, (Ok(true), Ok(true)));
    assert_eq!(client.peer_fingerprint(), Some(tv.fingerprint()));
    assert_eq!(server.peer_fingerprint(), Some(phone.fingerprint()));
}

/// A known device that is suddenly without TLS.
///
/// Presentation defect 7
#[test]
fn a_device_that_does_not_encrypt_any_more_is_refused() {
    let (mut tv, mut phone) = (device(), device());
    let mut listener = tv.listen(LOOPBACK.into(), Protection::None).unwrap();
    let mut client = phone.connect(listener.local_address(), Trust::Pinned(tv.fingerprint())).unwrap();
    let mut server = accept(&mut listener);
    assert!(server.advance().unwrap());
    assert_eq!(server.send(b"{\"type\":\"connect-ack\"}\n").unwrap(), 23);
    assert_eq!(settle(&mut client).unwrap_err().kind(), ErrorKind::WrongKind);
}

/// PS-32
#[test]
fn a_peer_that_speaks_no_tls_is_told_so_and_left() {
    let mut tv = device();
    let mut listener = tv.listen(LOOPBACK.into(), Protection::Encrypted).unwrap();
    let mut stranger = StdStream::connect(listener.local_address()).unwrap();
    stranger.set_read_timeout(Some(PATIENCE)).unwrap();
    stranger.write_all(b"{\"type\":\"connect\",\"deviceId\":\"phone\"}\n").unwrap();
    let mut server = accept(&mut listener);
    assert_eq!(settle(&mut server).unwrap_err().kind(), ErrorKind::WrongKind);
    drop(server);
    // An alert, or a reset that has overtaken it: it ends in any case.
    let _ = stranger.read_to_end(&mut Vec::new()).map_err(|error| {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    });
}

/// PS-34: who encrypts is known by its certificate, who does not has none.
#[test]
fn a_listener_for_both_takes_who_encrypts_and_who_does_not() {
    let (mut tv, mut phone) = (device(), device());
    let mut listener = tv.listen_for_both(LOOPBACK.into()).unwrap();
    let pinned = Trust::Pinned(tv.fingerprint());
    let shown = phone.fingerprint();
    for (trust, fingerprint) in [(pinned, Some(shown)), (Trust::Plain, None)] {
        let mut client = phone.connect(listener.local_address(), trust).unwrap();
        let mut server = accept(&mut listener);
        if trust == Trust::Plain {
            assert_eq!(server.advance(), Ok(false), "it has not said a word");
            settle(&mut client).unwrap();
            assert_eq!(client.send(b"{\"type\"").unwrap(), 7);
            settle(&mut server).unwrap();
        } else {
            let up = meet(&mut client, &mut server);
            assert_eq!(up, (Ok(true), Ok(true)));
            assert_eq!(client.send(b"{\"type\"").unwrap(), 7);
        }
        assert!(client.finish().unwrap());
        assert_eq!(end_of(&mut server).unwrap(), b"{\"type\"");
        assert_eq!(server.peer_fingerprint(), fingerprint);
        assert_eq!(server.send(b"yes").unwrap(), 3);
        assert!(server.finish().unwrap());
        assert_eq!(end_of(&mut client).unwrap(), b"yes");
    }
}

/// PS-32
#[test]
fn a_listener_for_both_loses_who_leaves_without_a_word_or_only_seems_to_encrypt() {
    let mut tv = device();
    let mut listener = tv.listen_for_both(LOOPBACK.into()).unwrap();
    let stranger = StdStream::connect(listener.local_address()).unwrap();
    let mut server = accept(&mut listener);
    drop(stranger);
    assert_eq!(settle(&mut server).unwrap_err().kind(), ErrorKind::Gone);
    let mut stranger = StdStream::connect(listener.local_address()).unwrap();
    stranger.write_all(&[0x16; 100]).unwrap();
    assert_eq!(settle(&mut accept(&mut listener)).unwrap_err().kind(), ErrorKind::WrongKind);
}

/// PS-32
#[test]
fn a_peer_that_leaves_in_the_middle_of_the_handshake_is_gone() {
    let mut tv = device();
    let mut listener = tv.listen(LOOPBACK.into(), Protection::Encrypted).unwrap();
    let mut stranger = StdStream::connect(listener.local_address()).unwrap();
    // The beginning of a record of 200 bytes.
    stranger.write_all(&[0x16, 3, 1, 0, 200, 1]).unwrap();
    let mut server = accept(&mut listener);
    assert_eq!(server.advance(), Ok(false));
    drop(stranger);
    assert_eq!(settle(&mut server).unwrap_err().kind(), ErrorKind::Gone);
}

/// PS-32
#[test]
fn a_connection_that_was_cut_off_is_not_taken_for_one_that_ended() {
    let (mut tv, mut phone) = (device(), device());
    let mut listener = tv.listen(LOOPBACK.into(), Protection::Encrypted).unwrap();
    let mut client = phone.connect(listener.local_address(), Trust::Pinned(tv.fingerprint())).unwrap();
    let mut server = accept(&mut listener);
    let up = meet(&mut client, &mut server);
    assert_eq!(up, (Ok(true), Ok(true)));
    assert_eq!(client.send(b"and then").unwrap(), 8);
    let LinuxStream::Tls(tls) = client else { panic!("it is encrypted") };
    drop(tls);
    assert_eq!(end_of(&mut server).unwrap_err().kind(), ErrorKind::Gone);
}

/// PS-30
#[test]
fn a_connection_asks_whether_its_peer_still_is_there() {
    use rustix::net::sockopt;
    let mut tv = device();
    let mut listener = tv.listen(LOOPBACK.into(), Protection::None).unwrap();
    let client = device().connect(listener.local_address(), Trust::Plain).unwrap();
    let server = accept(&mut listener);
    for stream in [&client, &server] {
        assert!(sockopt::socket_keepalive(stream).unwrap() && sockopt::tcp_nodelay(stream).unwrap());
        assert_eq!(sockopt::tcp_keepidle(stream).unwrap(), greenroom_core::limits::STREAM_KEEP_ALIVE);
        assert!(sockopt::tcp_user_timeout(stream).unwrap() > 0);
    }
}

/// PS-04
#[test]
fn an_address_that_others_can_reach_comes_before_one_that_they_cannot() {
    let interface = |address: &str| {
        let ip: IpAddr = address.parse().unwrap();
        let addr = match ip {
            IpAddr::V4(ip) => if_addrs::IfAddr::V4(if_addrs::Ifv4Addr {
                ip,
                netmask: Ipv4Addr::new(255, 255, 255, 0),
                prefixlen: 24,
                broadcast: None,
            }),
            IpAddr::V6(ip) => if_addrs::IfAddr::V6(if_addrs::Ifv6Addr {
                ip,
                netmask: std::net::Ipv6Addr::UNSPECIFIED,
                prefixlen: 64,
                broadcast: None,
            }),
        };
        let oper_status = IfOperStatus::Up;
        Interface { name: "net0".into(), addr, index: Some(1), oper_status, is_p2p: false }
    };
    let all = ["::1", "127.0.0.1", "fe80::1", "2001:db8::1", "169.254.7.7", "192.0.2.1"].map(interface);
    let best: Vec<String> = best_first(&all).iter().map(ToString::to_string).collect();
    assert_eq!(best, ["192.0.2.1", "2001:db8::1", "169.254.7.7"]);
    let alone: Vec<String> = best_first(&all[..3]).iter().map(ToString::to_string).collect();
    assert_eq!(alone, ["::1", "127.0.0.1"]);
}
