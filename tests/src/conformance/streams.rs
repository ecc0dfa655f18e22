//! Connections that carry bytes, and what they come from.

use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};

use greenroom_core::driver::{DialError, Dialing};
use greenroom_core::hal::{
    Arrived, ByteStream, DeviceAddresses, ErrorKind, Interest, Network, Protection, Ready, StreamListener, Token,
    Trust, Watch,
};
use greenroom_core::limits::CONNECT_TIMEOUT;
use greenroom_core::time::Instant;

use super::platform::kind;

const LISTENER: Token = Token { kind: 0, index: 0, generation: 1 };
const CLIENT: Token = Token { kind: 1, index: 0, generation: 1 };
const SERVER: Token = Token { kind: 1, index: 1, generation: 1 };

/// More than any stream holds while nobody reads, in one go.
const MUCH_BYTES: usize = 1024 * 1024;

/// A network, with what a test needs beside its traits.
pub trait StreamPlatform {
    /// A connection.
    type Stream: ByteStream<Error: Debug> + Debug;
    /// Where they come in.
    type Listener: StreamListener<Stream = Self::Stream, Error = <Self::Stream as embedded_io::ErrorType>::Error>
        + Debug;
    /// The network.
    type Network: Network<
            Stream = Self::Stream,
            Listener = Self::Listener,
            Error = <Self::Stream as embedded_io::ErrorType>::Error,
        >;
    /// What watches all of them.
    type Events: Watch<Self::Stream, Error: Debug> + Watch<Self::Listener>;

    /// The network, as one and the same device sees it.
    fn network(&mut self) -> Self::Network;
    /// Whether what it listens at is encrypted in these tests.
    fn protection(&self) -> Protection;
    /// Addresses of this device, of different families.
    fn own_addresses(&mut self) -> Vec<IpAddr>;
    /// A loop that watches nothing.
    fn events(&mut self) -> Self::Events;
    /// What is ready now.
    fn ready_now(&mut self, events: &mut Self::Events) -> Vec<Ready>;
    /// What is ready, once something is. Fails the test when that takes too long.
    fn ready(&mut self, events: &mut Self::Events) -> Vec<Ready>;
}

fn trust<P: StreamPlatform>(platform: &P, network: &P::Network) -> Trust {
    match platform.protection() {
        Protection::None => Trust::Plain,
        Protection::Encrypted => Trust::Pinned(network.fingerprint()),
    }
}

fn listen<P: StreamPlatform>(platform: &mut P, network: &mut P::Network) -> P::Listener {
    let address = platform.own_addresses()[0];
    network.listen(SocketAddr::new(address, 0), platform.protection()).unwrap()
}

/// Both ends of a connection that is there.
fn pair<P: StreamPlatform>(platform: &mut P) -> (P::Stream, P::Stream) {
    let mut network = platform.network();
    let mut listener = listen(platform, &mut network);
    let trust = trust(platform, &network);
    let client = network.connect(listener.local_address(), trust).unwrap();
    meet(platform, &mut listener, client)
}

/// Waits until `client` and what comes in at `listener` have found each other.
fn meet<P: StreamPlatform>(
    platform: &mut P,
    listener: &mut P::Listener,
    mut client: P::Stream,
) -> (P::Stream, P::Stream) {
    let mut events = platform.events();
    let (mut server, mut client_is_up, mut server_is_up) = (None::<P::Stream>, false, false);
    events.watch(listener, LISTENER, Interest::Read).unwrap();
    events.watch(&client, CLIENT, client.interest(Interest::Read)).unwrap();
    while !client_is_up || !server_is_up {
        for ready in platform.ready(&mut events) {
            match (ready.token, &mut server) {
                (LISTENER, None) => {
                    if let Some(accepted) = listener.accept().unwrap() {
                        events.watch(&accepted, SERVER, accepted.interest(Interest::ReadWrite)).unwrap();
                        server = Some(accepted);
                    }
                }
                (CLIENT, _) => client_is_up = client.advance().unwrap(),
                (_, Some(server)) => server_is_up = server.advance().unwrap(),
                (_, None) => {}
            }
        }
        events.rewatch(&client, CLIENT, client.interest(Interest::ReadWrite)).unwrap();
        if let Some(server) = &server {
            events.rewatch(server, SERVER, server.interest(Interest::ReadWrite)).unwrap();
        }
    }
    let server = server.unwrap();
    events.unwatch(listener);
    events.unwatch(&client);
    events.unwatch(&server);
    (client, server)
}

/// One end of an exchange: what it still has to send, and what it has received.
struct End<'a, S> {
    stream: &'a mut S,
    unsent: &'a [u8],
    received: Vec<u8>,
    ended: bool,
}

impl<'a, S: ByteStream<Error: Debug>> End<'a, S> {
    fn new(stream: &'a mut S, unsent: &'a [u8]) -> Self {
        Self { stream, unsent, received: Vec::new(), ended: false }
    }

    fn interest(&self) -> Interest {
        let wanted = if self.unsent.is_empty() { Interest::Read } else { Interest::ReadWrite };
        self.stream.interest(wanted)
    }

    /// Reads a little at a time, as one who has others to serve, and never until nothing is there.
    fn serve(&mut self, ready: Ready, buffer_bytes: usize) {
        assert!(self.stream.advance().unwrap());
        if ready.writable {
            let sent = self.stream.send(self.unsent).unwrap();
            self.unsent = &self.unsent[sent..];
        }
        if ready.readable || self.stream.has_pending() {
            self.receive(buffer_bytes);
        }
        while self.stream.has_pending() {
            self.receive(buffer_bytes);
        }
    }

    fn receive(&mut self, buffer_bytes: usize) {
        let mut buffer = vec![0; buffer_bytes];
        match self.stream.receive(&mut buffer).unwrap() {
            Arrived::Bytes(bytes) => self.received.extend_from_slice(&buffer[..bytes]),
            Arrived::WouldBlock => {}
            Arrived::End => self.ended = true,
        }
    }
}

/// Lets both ends send until each has received so many bytes.
fn exchange<P: StreamPlatform>(
    platform: &mut P,
    client: &mut End<'_, P::Stream>,
    server: &mut End<'_, P::Stream>,
    (client_receives, server_receives): (usize, usize),
) {
    let mut events = platform.events();
    events.watch(client.stream, CLIENT, client.interest()).unwrap();
    events.watch(server.stream, SERVER, server.interest()).unwrap();
    while client.received.len() < client_receives || server.received.len() < server_receives {
        for ready in platform.ready(&mut events) {
            if ready.token == CLIENT { client.serve(ready, 1000) } else { server.serve(ready, 7000) }
        }
        events.rewatch(client.stream, CLIENT, client.interest()).unwrap();
        events.rewatch(server.stream, SERVER, server.interest()).unwrap();
    }
    events.unwatch(client.stream);
    events.unwatch(server.stream);
}

fn noise(seed: u32, bytes: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

/// Calls until it gives something, looking at the loop in between.
fn until<P: StreamPlatform, T>(
    platform: &mut P,
    stream: &mut P::Stream,
    interest: Interest,
    mut look: impl FnMut(&mut P::Stream) -> Option<T>,
) -> T {
    let mut events = platform.events();
    events.watch(stream, CLIENT, stream.interest(interest)).unwrap();
    loop {
        if let Some(found) = look(stream) {
            events.unwatch(stream);
            return found;
        }
        events.rewatch(stream, CLIENT, stream.interest(interest)).unwrap();
        platform.ready(&mut events);
    }
}

/// PS-19, PS-32
pub fn everything_arrives_in_order_both_ways_however_little_goes_at_once(platform: &mut impl StreamPlatform) {
    let (mut client, mut server) = pair(platform);
    let (there, back) = (noise(1, MUCH_BYTES), noise(2, MUCH_BYTES / 3));
    let (mut one, mut other) = (End::new(&mut client, &there), End::new(&mut server, &back));
    exchange(platform, &mut one, &mut other, (back.len(), there.len()));
    assert!(one.received == back && other.received == there);
    assert!(!one.ended && !other.ended);
}

/// PS-19
pub fn a_full_stream_takes_nothing_until_its_peer_reads<P: StreamPlatform>(platform: &mut P) {
    let (mut client, mut server) = pair(platform);
    let bytes = noise(3, 64 * 1024);
    let mut sent = 0;
    loop {
        match client.send(&bytes).unwrap() {
            0 => break,
            taken => sent += taken,
        }
    }
    let mut events = platform.events();
    events.watch(&client, CLIENT, client.interest(Interest::Write)).unwrap();
    let mut received = 0;
    let mut buffer = [0; 4096];
    // What was taken arrives although it lies in several places on its way.
    while received < sent {
        client.advance().unwrap();
        match server.receive(&mut buffer).unwrap() {
            Arrived::Bytes(bytes) => received += bytes,
            Arrived::WouldBlock => {
                platform.ready_now(&mut events);
            }
            Arrived::End => panic!("it ended"),
        }
    }
    assert!(platform.ready(&mut events)[0].writable);
    assert!(client.send(&bytes).unwrap() > 0);
    events.unwatch(&client);
}

/// PS-32
pub fn where_nothing_is_there_nothing_waits<P: StreamPlatform>(platform: &mut P) {
    use embedded_io::{Read, ReadReady, WriteReady};
    let (mut client, _server) = pair(platform);
    assert_eq!(client.receive(&mut [0; 8]).unwrap(), Arrived::WouldBlock);
    assert!(!client.read_ready().unwrap() && client.write_ready().unwrap());
    assert_eq!(kind(Read::read(&mut client, &mut [0; 8])), ErrorKind::Exhausted);
    assert_eq!(client.send(&[]).unwrap(), 0);
    let mut events = platform.events();
    events.watch(&client, CLIENT, client.interest(Interest::Read)).unwrap();
    assert_eq!(platform.ready_now(&mut events), []);
    events.unwatch(&client);
}

/// PS-19
pub fn the_end_is_seen_after_everything_and_the_other_way_stays_open<P: StreamPlatform>(platform: &mut P) {
    let (mut client, mut server) = pair(platform);
    let last = noise(4, 10_000);
    let mut unsent = &last[..];
    until(platform, &mut client, Interest::Write, |client| {
        unsent = &unsent[client.send(unsent).unwrap()..];
        unsent.is_empty().then_some(())
    });
    until(platform, &mut client, Interest::Write, |client| client.finish().unwrap().then_some(()));
    let mut received = Vec::new();
    until(platform, &mut server, Interest::Read, |server| {
        let mut buffer = [0; 3000];
        match server.receive(&mut buffer).unwrap() {
            Arrived::Bytes(bytes) => received.extend_from_slice(&buffer[..bytes]),
            Arrived::WouldBlock => {}
            Arrived::End => return Some(()),
        }
        None
    });
    assert!(received == last);
    let mut unsent = &b"goodbye"[..];
    until(platform, &mut server, Interest::Write, |server| {
        unsent = &unsent[server.send(unsent).unwrap()..];
        unsent.is_empty().then_some(())
    });
    let mut answer = Vec::new();
    until(platform, &mut client, Interest::Read, |client| {
        let mut buffer = [0; 16];
        if let Arrived::Bytes(bytes) = client.receive(&mut buffer).unwrap() {
            answer.extend_from_slice(&buffer[..bytes]);
        }
        (answer == b"goodbye").then_some(())
    });
}

/// PS-32
pub fn a_peer_that_leaves_without_reading_is_gone<P: StreamPlatform>(platform: &mut P) {
    let (mut client, mut server) = pair(platform);
    assert!(client.send(b"unread").unwrap() > 0);
    until(platform, &mut server, Interest::Read, |server| {
        embedded_io::ReadReady::read_ready(server).unwrap().then_some(())
    });
    drop(server);
    let failure = until(platform, &mut client, Interest::Read, |client| match client.receive(&mut [0; 8]) {
        Ok(Arrived::WouldBlock) => None,
        Ok(other) => panic!("{other:?} of a peer that has read nothing"),
        Err(error) => Some(error),
    });
    assert_eq!(greenroom_core::hal::Error::kind(&failure), ErrorKind::Gone);
}

/// PS-19
pub fn what_is_sent_to_a_peer_that_has_gone_fails<P: StreamPlatform>(platform: &mut P) {
    let (mut client, server) = pair(platform);
    drop(server);
    let failure = until(platform, &mut client, Interest::ReadWrite, |client| client.send(b"anybody?").err());
    assert_eq!(greenroom_core::hal::Error::kind(&failure), ErrorKind::Gone);
}

/// PS-04
pub fn both_ends_know_each_others_addresses_and_who_must_be_known_has_shown_itself<P: StreamPlatform>(
    platform: &mut P,
) {
    let own = platform.network().fingerprint();
    let (client, server) = pair(platform);
    assert_eq!(client.peer_address(), server.local_address());
    assert_eq!(server.peer_address(), client.local_address());
    let shown = (platform.protection() == Protection::Encrypted).then_some(own);
    assert_eq!((client.peer_fingerprint(), server.peer_fingerprint()), (shown, shown));
}

/// PS-04
pub fn a_port_that_is_taken_is_busy<P: StreamPlatform>(platform: &mut P) {
    let mut network = platform.network();
    let listener = listen(platform, &mut network);
    assert_eq!(kind(network.listen(listener.local_address(), platform.protection())), ErrorKind::Busy);
}

/// Dials until that is over; somebody may listen.
fn dial<P: StreamPlatform>(
    platform: &mut P,
    network: &mut P::Network,
    addresses: &[SocketAddr],
    mut listener: Option<&mut P::Listener>,
) -> Result<P::Stream, DialError> {
    let mut events = platform.events();
    let mut dialing = Dialing::new(addresses.iter().copied().collect(), trust(platform, network), CLIENT);
    if let Some(listener) = &listener {
        events.watch(*listener, LISTENER, Interest::Read).unwrap();
    }
    let mut server: Option<P::Stream> = None;
    loop {
        if let Some(stream) = dialing.advance(Instant::default(), network, &mut events)? {
            events.unwatch(&stream);
            return Ok(stream);
        }
        platform.ready(&mut events);
        if let Some(accepted) = listener.as_mut().and_then(|listener| listener.accept().unwrap()) {
            events.watch(&accepted, SERVER, accepted.interest(Interest::Read)).unwrap();
            server = Some(accepted);
        }
        if let Some(server) = &mut server {
            server.advance().unwrap();
            events.rewatch(server, SERVER, server.interest(Interest::Read)).unwrap();
        }
    }
}

/// PS-04, PS-30
pub fn nobody_who_listens_is_told_as_such<P: StreamPlatform>(platform: &mut P) {
    let mut network = platform.network();
    let dead = listen(platform, &mut network).local_address();
    assert_eq!(dial(platform, &mut network, &[dead], None).unwrap_err(), DialError::Failed(ErrorKind::Gone));
    assert_eq!(dial(platform, &mut network, &[], None).unwrap_err(), DialError::NoAddress);
}

/// PS-04
pub fn the_next_address_is_tried_where_one_does_not_work<P: StreamPlatform>(platform: &mut P) {
    let mut network = platform.network();
    let dead = listen(platform, &mut network).local_address();
    let mut listener = listen(platform, &mut network);
    let addresses = [dead, dead, listener.local_address()];
    let client = dial(platform, &mut network, &addresses, Some(&mut listener)).unwrap();
    assert_eq!(client.peer_address(), listener.local_address());
}

/// PS-04
pub fn one_listener_is_reached_at_the_addresses_of_all_families<P: StreamPlatform>(platform: &mut P) {
    let mut network = platform.network();
    let mut listener = network.listen("[::]:0".parse().unwrap(), platform.protection()).unwrap();
    let port = listener.local_address().port();
    for address in platform.own_addresses() {
        let trust = trust(platform, &network);
        let client = network.connect(SocketAddr::new(address, port), trust).unwrap();
        let (client, server) = meet(platform, &mut listener, client);
        assert_eq!(server.local_address().ip(), address);
        assert_eq!(client.peer_address(), server.local_address());
    }
}

/// PS-30
pub fn an_address_that_does_not_answer_is_given_up_in_time<P: StreamPlatform>(
    platform: &mut P,
    network: &mut P::Network,
    silent: SocketAddr,
    next: SocketAddr,
) {
    let mut events = platform.events();
    let mut dialing = Dialing::new(DeviceAddresses::from_iter([silent, next]), Trust::Plain, CLIENT);
    let start = Instant::from_millis(1000);
    assert!(dialing.advance(start, network, &mut events).unwrap().is_none());
    assert_eq!(dialing.next_deadline(), Some(start.after(CONNECT_TIMEOUT)));
    assert!(dialing.advance(start.after(CONNECT_TIMEOUT / 2), network, &mut events).unwrap().is_none());
    let mut now = start.after(CONNECT_TIMEOUT);
    let stream = loop {
        if let Some(stream) = dialing.advance(now, network, &mut events).unwrap() {
            break stream;
        }
        assert_eq!(dialing.next_deadline(), Some(start.after(CONNECT_TIMEOUT * 2)), "it went on to the next one");
        platform.ready(&mut events);
        now = now.after(core::time::Duration::from_millis(1));
    };
    assert_eq!(stream.peer_address(), next);
    events.unwatch(&stream);
    let mut dialing = Dialing::new(DeviceAddresses::from_iter([silent]), Trust::Plain, CLIENT);
    assert!(dialing.advance(start, network, &mut events).unwrap().is_none());
    let given_up = dialing.advance(start.after(CONNECT_TIMEOUT), network, &mut events);
    assert_eq!(given_up.unwrap_err(), DialError::NoAnswer);
    assert_eq!(platform.ready_now(&mut events), []);
}

/// Makes a test of each claim about streams; `$platform` makes a new platform for each.
#[macro_export]
macro_rules! streams_conformance {
    ($module:ident, $platform:expr) => {
        mod $module {
            $crate::claims! { streams, $platform;
                everything_arrives_in_order_both_ways_however_little_goes_at_once
                a_full_stream_takes_nothing_until_its_peer_reads
                where_nothing_is_there_nothing_waits
                the_end_is_seen_after_everything_and_the_other_way_stays_open
                a_peer_that_leaves_without_reading_is_gone
                what_is_sent_to_a_peer_that_has_gone_fails
                both_ends_know_each_others_addresses_and_who_must_be_known_has_shown_itself
                a_port_that_is_taken_is_busy
                nobody_who_listens_is_told_as_such
                the_next_address_is_tried_where_one_does_not_work
                one_listener_is_reached_at_the_addresses_of_all_families
            }
        }
    };
}
