//! The least platform on which two boxes can meet: everything in memory, nothing happens by itself.

use core::fmt;
use core::net::SocketAddr;
use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::vec;
use std::vec::Vec;

use crate::hal::{
    Addresses, Announcement, ByteStream, Child, Descriptors, Device, Discovery, DiscoveryEvent, ErrorKind, ErrorType,
    ExitStatus, Fingerprint, Interest, KnownDevices, Launch, Listener, Network, Peer, Protection, Random, Ready,
    Received, Receivers, Sent, Signal, Socket, StreamListener, Token, Trust, Watch,
};
use crate::message::presentation::LaunchToken;

#[derive(Clone, Copy, Debug)]
pub(super) struct Failure(ErrorKind);

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", self.0)
    }
}

impl crate::hal::Error for Failure {
    fn kind(&self) -> ErrorKind {
        self.0
    }
}

impl core::error::Error for Failure {}

impl embedded_io::Error for Failure {
    fn kind(&self) -> embedded_io::ErrorKind {
        embedded_io::ErrorKind::Other
    }
}

/// (readable, writable, ended)
type Probe = Box<dyn Fn() -> (bool, bool, bool)>;

/// What can be watched.
pub(super) trait Source {
    fn key(&self) -> usize;
    fn probe(&self) -> Probe;
}

#[derive(Default)]
pub(super) struct Events {
    watched: Vec<(usize, Token, Interest, Probe)>,
}

impl Events {
    pub(super) fn ready(&self) -> Vec<Ready> {
        let mut ready: Vec<Ready> =
            self.watched.iter().filter_map(|(_, token, interest, probe)| look(*token, *interest, probe)).collect();
        ready.sort_by_key(|ready| ready.token);
        ready
    }

    pub(super) fn in_use(&self) -> usize {
        self.watched.len()
    }
}

fn look(token: Token, interest: Interest, probe: &Probe) -> Option<Ready> {
    let (readable, writable, ended) = probe();
    let reads = matches!(interest, Interest::Read | Interest::ReadWrite);
    let writes = matches!(interest, Interest::Write | Interest::ReadWrite);
    let ready = Ready { token, readable: (readable && reads) || ended, writable: writable && writes };
    (ready.readable || ready.writable).then_some(ready)
}

impl ErrorType for Events {
    type Error = Failure;
}

impl<S: Source> Watch<S> for Events {
    fn watch(&mut self, source: &S, token: Token, interest: Interest) -> Result<(), Failure> {
        assert!(self.watched.iter().all(|it| it.0 != source.key()), "watched twice: {token:?}");
        self.watched.push((source.key(), token, interest, source.probe()));
        Ok(())
    }

    fn rewatch(&mut self, source: &S, token: Token, interest: Interest) -> Result<(), Failure> {
        let place = self.watched.iter_mut().find(|it| it.0 == source.key()).expect("it is watched");
        (place.1, place.2) = (token, interest);
        Ok(())
    }

    fn unwatch(&mut self, source: &S) {
        let before = self.watched.len();
        self.watched.retain(|it| it.0 != source.key());
        assert_eq!(self.watched.len() + 1, before, "it was watched");
    }
}

/// One way between two ends, of bytes or of messages.
struct Way<T> {
    content: VecDeque<T>,
    capacity: usize,
    finished: bool,
    reader_gone: bool,
}

type Shared<T> = Rc<RefCell<Way<T>>>;

fn way<T>(capacity: usize) -> Shared<T> {
    Rc::new(RefCell::new(Way { content: VecDeque::new(), capacity, finished: false, reader_gone: false }))
}

fn probe_of<T: 'static>(input: &Shared<T>, output: &Shared<T>) -> Probe {
    let (input, output) = (Rc::clone(input), Rc::clone(output));
    Box::new(move || {
        let (incoming, outgoing) = (input.borrow(), output.borrow());
        let ended = incoming.finished || outgoing.reader_gone;
        let writable = outgoing.content.len() < outgoing.capacity || outgoing.reader_gone;
        (ended || !incoming.content.is_empty(), writable, ended)
    })
}

/// Bytes that a stream takes before it is read.
const STREAM_BYTES: usize = 5000;

pub(super) struct Stream {
    input: Shared<u8>,
    output: Shared<u8>,
    local: SocketAddr,
    peer: SocketAddr,
    shown: Option<Fingerprint>,
    /// Whether the other side has answered, which takes a moment.
    connected: bool,
    passes: Rc<Cell<Option<usize>>>,
}

impl Stream {
    fn is_cut(&self) -> bool {
        self.passes.get() == Some(0)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.output.borrow_mut().finished = true;
        self.input.borrow_mut().reader_gone = true;
    }
}

impl Source for Stream {
    fn key(&self) -> usize {
        Rc::as_ptr(&self.input) as usize
    }

    fn probe(&self) -> Probe {
        let (alive, passes) = (probe_of(&self.input, &self.output), Rc::clone(&self.passes));
        Box::new(move || if passes.get() == Some(0) { (true, true, true) } else { alive() })
    }
}

impl embedded_io::ErrorType for Stream {
    type Error = Failure;
}

impl embedded_io::Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        if self.is_cut() {
            return Err(Failure(ErrorKind::Gone));
        }
        let mut input = self.input.borrow_mut();
        // Less than there is, so that everything comes in pieces.
        let bytes = input.content.len().min(buffer.len()).min(777);
        buffer.iter_mut().zip(input.content.drain(..bytes)).for_each(|(place, byte)| *place = byte);
        Ok(bytes)
    }
}

impl embedded_io::ReadReady for Stream {
    fn read_ready(&mut self) -> Result<bool, Failure> {
        let input = self.input.borrow();
        Ok(input.finished || !input.content.is_empty() || self.is_cut())
    }
}

impl embedded_io::Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        let mut output = self.output.borrow_mut();
        if output.reader_gone || self.is_cut() {
            return Err(Failure(ErrorKind::Gone));
        }
        let free = output.capacity.saturating_sub(output.content.len());
        let taken = bytes.len().min(free).min(self.passes.get().unwrap_or(usize::MAX));
        self.passes.set(self.passes.get().map(|left| left - taken));
        output.content.extend(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

impl embedded_io::WriteReady for Stream {
    fn write_ready(&mut self) -> Result<bool, Failure> {
        let output = self.output.borrow();
        Ok(output.reader_gone || output.content.len() < output.capacity || self.is_cut())
    }
}

impl ByteStream for Stream {
    fn advance(&mut self) -> Result<bool, Failure> {
        Ok(core::mem::replace(&mut self.connected, true))
    }

    fn finish(&mut self) -> Result<bool, Failure> {
        self.output.borrow_mut().finished = true;
        Ok(true)
    }

    fn local_address(&self) -> SocketAddr {
        self.local
    }

    fn peer_address(&self) -> SocketAddr {
        self.peer
    }

    fn peer_fingerprint(&self) -> Option<Fingerprint> {
        self.shown
    }
}

type Queue<T> = Rc<RefCell<VecDeque<T>>>;

fn probe_queue<T: 'static>(queue: &Queue<T>) -> Probe {
    let queue = Rc::clone(queue);
    Box::new(move || (!queue.borrow().is_empty(), false, false))
}

/// Who waits to be accepted, and the certificate that is shown there.
type Listening = (Queue<Stream>, Option<Fingerprint>);

/// What all boxes share.
#[derive(Default)]
pub(super) struct World {
    listening: RefCell<BTreeMap<SocketAddr, Listening>>,
    ports: Cell<u16>,
    /// Bytes that still pass, on all streams together; then every one of them is cut.
    pub(super) passes: Rc<Cell<Option<usize>>>,
    announced: RefCell<Vec<Device>>,
}

impl World {
    /// Where somebody listens at this address, beside the control port.
    pub(super) fn offered(&self, address: core::net::IpAddr) -> Vec<SocketAddr> {
        let listening = self.listening.borrow();
        listening.keys().copied().filter(|at| at.ip() == address && at.port() != super::CONTROL_PORT).collect()
    }
}

pub(super) struct StreamQueue {
    world: Rc<World>,
    at: SocketAddr,
    waiting: Queue<Stream>,
}

impl Drop for StreamQueue {
    fn drop(&mut self) {
        self.world.listening.borrow_mut().remove(&self.at);
    }
}

impl Source for StreamQueue {
    fn key(&self) -> usize {
        Rc::as_ptr(&self.waiting) as usize
    }

    fn probe(&self) -> Probe {
        probe_queue(&self.waiting)
    }
}

impl ErrorType for StreamQueue {
    type Error = Failure;
}

impl StreamListener for StreamQueue {
    type Stream = Stream;

    fn accept(&mut self) -> Result<Option<Stream>, Failure> {
        Ok(self.waiting.borrow_mut().pop_front())
    }

    fn local_address(&self) -> SocketAddr {
        self.at
    }
}

/// One device: its address, its certificate, and its chance, which is none.
pub(super) struct Net {
    pub(super) world: Rc<World>,
    pub(super) address: core::net::IpAddr,
    pub(super) own: Fingerprint,
    pub(super) chance: u8,
}

impl ErrorType for Net {
    type Error = Failure;
}

impl Network for Net {
    type Stream = Stream;
    type Listener = StreamQueue;

    fn listen(&mut self, at: SocketAddr, protection: Protection) -> Result<StreamQueue, Failure> {
        self.world.ports.set(self.world.ports.get() + 1);
        let port = if at.port() == 0 { 50_000 + self.world.ports.get() } else { at.port() };
        let at = SocketAddr::new(self.address, port);
        let waiting = Queue::default();
        let shows = (protection == Protection::Encrypted).then_some(self.own);
        self.world.listening.borrow_mut().insert(at, (Rc::clone(&waiting), shows));
        Ok(StreamQueue { world: Rc::clone(&self.world), at, waiting })
    }

    fn connect(&mut self, to: SocketAddr, trust: Trust) -> Result<Stream, Failure> {
        let listening = self.world.listening.borrow();
        let (waiting, shows) = listening.get(&to).ok_or(Failure(ErrorKind::Gone))?;
        let expected = match trust {
            Trust::Plain => None,
            Trust::Pinned(fingerprint) => Some(fingerprint),
        };
        if expected != *shows {
            return Err(Failure(ErrorKind::Untrusted));
        }
        let (there, back) = (way(STREAM_BYTES), way(STREAM_BYTES));
        let local = SocketAddr::new(self.address, 40_000);
        let (input, output) = (Rc::clone(&there), Rc::clone(&back));
        let shown = shows.map(|_| self.own);
        let passes = Rc::clone(&self.world.passes);
        let accepted = Stream { input, output, local: to, peer: local, shown, connected: true, passes };
        waiting.borrow_mut().push_back(accepted);
        let passes = Rc::clone(&self.world.passes);
        Ok(Stream { input: back, output: there, local, peer: to, shown: *shows, connected: false, passes })
    }

    fn addresses(&mut self) -> Result<Addresses, Failure> {
        Ok([self.address].into_iter().collect())
    }

    fn fingerprint(&self) -> Fingerprint {
        self.own
    }
}

impl Random for Net {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Failure> {
        self.chance = self.chance.wrapping_add(1);
        bytes.fill(self.chance);
        Ok(())
    }
}

/// Tells each device that is announced once.
pub(super) struct Sight {
    pub(super) world: Rc<World>,
    pub(super) address: core::net::IpAddr,
    pub(super) told: usize,
    /// How often it was asked to look for devices.
    pub(super) browses: usize,
}

impl ErrorType for Sight {
    type Error = Failure;
}

impl Discovery for Sight {
    fn announce(&mut self, announcement: &Announcement<'_>) -> Result<(), Failure> {
        let device = Device {
            id: announcement.name.try_into().unwrap(),
            name: announcement.name.try_into().unwrap(),
            addresses: [SocketAddr::new(self.address, announcement.port)].into_iter().collect(),
            fingerprint: announcement.fingerprint,
            version: announcement.version,
        };
        self.world.announced.borrow_mut().push(device);
        Ok(())
    }

    fn withdraw(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn browse(&mut self) -> Result<(), Failure> {
        self.browses += 1;
        Ok(())
    }

    fn next_event(&mut self) -> Result<Option<DiscoveryEvent>, Failure> {
        let announced = self.world.announced.borrow();
        while let Some(device) = announced.get(self.told) {
            self.told += 1;
            if device.addresses.iter().all(|address| address.ip() != self.address) {
                return Ok(Some(DiscoveryEvent::Found(device.clone())));
            }
        }
        Ok(None)
    }
}

#[derive(Default)]
pub(super) struct Known(BTreeMap<std::string::String, Fingerprint>);

impl ErrorType for Known {
    type Error = Failure;
}

impl KnownDevices for Known {
    fn fingerprint(&self, device_id: &str) -> Option<Fingerprint> {
        self.0.get(device_id).copied()
    }

    fn remember(&mut self, device_id: &str, fingerprint: Fingerprint) -> Result<(), Failure> {
        self.0.insert(device_id.into(), fingerprint);
        Ok(())
    }

    fn forget(&mut self, device_id: &str) -> Result<(), Failure> {
        self.0.remove(device_id);
        Ok(())
    }
}

/// What was started: a page, and whether it was told to end, which it does at once.
#[derive(Default)]
pub(super) struct Screen {
    pub(super) shown: Vec<(std::string::String, LaunchToken, Rc<Cell<bool>>)>,
}

pub(super) struct Shown(Rc<Cell<bool>>);

impl Source for Shown {
    fn key(&self) -> usize {
        Rc::as_ptr(&self.0) as usize
    }

    fn probe(&self) -> Probe {
        let ended = Rc::clone(&self.0);
        Box::new(move || (ended.get(), false, false))
    }
}

impl ErrorType for Shown {
    type Error = Failure;
}

impl Child for Shown {
    fn process_id(&self) -> u32 {
        1
    }

    fn signal(&mut self, _: Signal) -> Result<(), Failure> {
        self.0.set(true);
        Ok(())
    }

    fn try_wait(&mut self) -> Result<Option<ExitStatus>, Failure> {
        Ok(self.0.get().then_some(ExitStatus::Exited(0)))
    }
}

impl ErrorType for Screen {
    type Error = Failure;
}

impl Receivers for Screen {
    type Receiver = Shown;

    fn start(&mut self, launch: &Launch<'_>) -> Result<Shown, Failure> {
        let ended = Rc::new(Cell::new(false));
        self.shown.push((launch.url.into(), launch.token, Rc::clone(&ended)));
        Ok(Shown(ended))
    }
}

/// Messages that a local socket takes before it is read.
const SOCKET_MESSAGES: usize = 3;

pub(super) struct Packets {
    input: Shared<Vec<u8>>,
    output: Shared<Vec<u8>>,
}

impl Packets {
    pub(super) fn pair() -> (Self, Self) {
        let (there, back) = (way(SOCKET_MESSAGES), way(SOCKET_MESSAGES));
        let other = Self { input: Rc::clone(&there), output: Rc::clone(&back) };
        (Self { input: back, output: there }, other)
    }
}

impl Drop for Packets {
    fn drop(&mut self) {
        self.output.borrow_mut().finished = true;
        self.input.borrow_mut().reader_gone = true;
    }
}

impl Source for Packets {
    fn key(&self) -> usize {
        Rc::as_ptr(&self.input) as usize
    }

    fn probe(&self) -> Probe {
        probe_of(&self.input, &self.output)
    }
}

impl ErrorType for Packets {
    type Error = Failure;
}

impl Socket for Packets {
    type Descriptor = ();

    fn send(&mut self, message: &[u8], _: &[&()]) -> Result<Sent, Failure> {
        let mut output = self.output.borrow_mut();
        if output.reader_gone {
            return Err(Failure(ErrorKind::Gone));
        }
        if output.content.len() >= output.capacity {
            return Ok(Sent::WouldBlock);
        }
        output.content.push_back(message.to_vec());
        Ok(Sent::Whole)
    }

    fn receive(&mut self, buffer: &mut [u8], _: &mut Descriptors<()>) -> Result<Received, Failure> {
        let mut input = self.input.borrow_mut();
        Ok(match input.content.pop_front() {
            Some(message) => {
                buffer[..message.len()].copy_from_slice(&message);
                Received::Message { bytes: message.len() }
            }
            None if input.finished => Received::Closed,
            None => Received::WouldBlock,
        })
    }
}

#[derive(Clone, Default)]
pub(super) struct Door {
    pub(super) waiting: Queue<Packets>,
}

impl Source for Door {
    fn key(&self) -> usize {
        Rc::as_ptr(&self.waiting) as usize
    }

    fn probe(&self) -> Probe {
        probe_queue(&self.waiting)
    }
}

impl ErrorType for Door {
    type Error = Failure;
}

impl Listener for Door {
    type Socket = Packets;

    fn accept(&mut self) -> Result<Option<(Packets, Peer)>, Failure> {
        Ok(self.waiting.borrow_mut().pop_front().map(|socket| (socket, Peer::new(1, 0, 0))))
    }
}

pub(super) fn memory(bytes: usize) -> Box<[u8]> {
    vec![0; bytes].into_boxed_slice()
}
