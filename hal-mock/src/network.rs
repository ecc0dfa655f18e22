//! Devices with addresses, and who listens at them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::rc::{Rc, Weak};

use greenroom_core::hal::{
    Addresses, ErrorKind, ErrorType, Fingerprint, Network, Protection, Random, StreamListener, Trust,
};

use crate::cable::Cables;
use crate::discovery::Board;
use crate::error::{Call, SimulatedError};
use crate::event_loop::{Readiness, Source};
use crate::stream::{Attempt, MockStream, Side};
use crate::world::World;

/// Streams that may wait to be accepted.
const BACKLOG: usize = 128;
/// The first port that is given to who asks for any.
const FIRST_FREE_PORT: u16 = 49_152;

/// What connects the devices of a world.
#[derive(Debug, Default)]
pub(crate) struct Wires {
    listening: BTreeMap<SocketAddr, Weak<Waiting>>,
    silent: BTreeSet<IpAddr>,
    last_port: u16,
    pub(crate) board: Board,
    pub(crate) cables: Cables,
}

impl Wires {
    fn listener(&self, at: SocketAddr) -> Option<Rc<Waiting>> {
        self.listening.get(&at).and_then(Weak::upgrade)
    }

    fn free_port(&mut self) -> u16 {
        self.last_port = self.last_port.wrapping_add(1).max(FIRST_FREE_PORT);
        self.last_port
    }
}

impl World {
    /// From now on nobody at this address answers.
    pub fn silence(&self, address: IpAddr) {
        self.wires(|wires| wires.silent.insert(address));
    }

    /// From now on whoever is at this address answers again.
    pub fn unsilence(&self, address: IpAddr) {
        self.wires(|wires| wires.silent.remove(&address));
    }

    /// The addresses and ports where somebody listens.
    pub fn listening(&self) -> Vec<SocketAddr> {
        self.wires(|wires| {
            wires.listening.retain(|_, waiting| waiting.strong_count() > 0);
            wires.listening.keys().copied().collect()
        })
    }
}

#[derive(Debug)]
struct Waiting {
    streams: RefCell<VecDeque<MockStream>>,
    shows: Option<Fingerprint>,
}

impl Readiness for Waiting {
    fn is_readable(&self) -> bool {
        !self.streams.borrow().is_empty()
    }

    fn has_ended(&self) -> bool {
        false
    }
}

/// Where streams come in.
#[derive(Debug)]
pub struct HostListener {
    world: World,
    address: SocketAddr,
    waiting: Rc<Waiting>,
}

impl ErrorType for HostListener {
    type Error = SimulatedError;
}

impl StreamListener for HostListener {
    type Stream = MockStream;

    fn accept(&mut self) -> Result<Option<MockStream>, SimulatedError> {
        self.world.fault(Call::AcceptStream)?;
        Ok(self.waiting.streams.borrow_mut().pop_front())
    }

    fn local_address(&self) -> SocketAddr {
        self.address
    }
}

impl Source for HostListener {
    fn readiness(&self) -> Rc<dyn Readiness> {
        Rc::<Waiting>::clone(&self.waiting)
    }
}

/// One device on the network.
#[derive(Clone, Debug)]
pub struct Host {
    world: World,
    addresses: Addresses,
    fingerprint: Fingerprint,
}

impl Host {
    /// A device with these addresses, of which at most the first few are taken, and this certificate.
    pub fn new(world: &World, addresses: &[IpAddr], fingerprint: Fingerprint) -> Self {
        let taken = addresses.iter().take(Addresses::new().capacity()).copied().collect();
        Self { world: world.clone(), addresses: taken, fingerprint }
    }

    /// From now on this device has these addresses. What listens at one of those before listens at each of them, too.
    ///
    /// What is connected stays; whoever wants it cut off does so.
    pub fn move_to(&mut self, addresses: &[IpAddr]) {
        let before = std::mem::take(&mut self.addresses);
        self.addresses.extend(addresses.iter().take(before.capacity()).copied());
        self.world.wires(|wires| {
            let own = wires.listening.iter().filter(|(at, _)| before.contains(&at.ip()));
            let own: Vec<_> = own.map(|(at, waiting)| (at.port(), Weak::clone(waiting))).collect();
            for (port, waiting) in own {
                let places = addresses.iter().map(|address| SocketAddr::new(*address, port));
                wires.listening.extend(places.map(|place| (place, Weak::clone(&waiting))));
            }
        });
    }

    /// Where this device is when it talks to `to`: at the address of the same family.
    fn side(&self, to: SocketAddr, port: u16, trust: Trust) -> Side {
        let same_family = self.addresses.iter().find(|address| address.is_ipv4() == to.is_ipv4());
        let shows = matches!(trust, Trust::Pinned(_)).then_some(self.fingerprint);
        Side { address: SocketAddr::new(same_family.copied().unwrap_or(to.ip()), port), shows }
    }
}

impl ErrorType for Host {
    type Error = SimulatedError;
}

impl Network for Host {
    type Stream = MockStream;
    type Listener = HostListener;

    fn listen(&mut self, at: SocketAddr, protection: Protection) -> Result<HostListener, SimulatedError> {
        self.world.fault(Call::ListenStream)?;
        let port = if at.port() == 0 { self.world.wires(Wires::free_port) } else { at.port() };
        let shows = (protection == Protection::Encrypted).then_some(self.fingerprint);
        let waiting = Rc::new(Waiting { streams: RefCell::default(), shows });
        let all = at.ip().is_unspecified();
        let own: Vec<IpAddr> = if all { self.addresses.to_vec() } else { vec![at.ip()] };
        let places: Vec<SocketAddr> = own.into_iter().map(|address| SocketAddr::new(address, port)).collect();
        if places.iter().any(|&place| self.world.wires(|wires| wires.listener(place).is_some())) {
            return Err(SimulatedError::new(Call::ListenStream, ErrorKind::Busy));
        }
        self.world.wires(|wires| wires.listening.extend(places.iter().map(|&place| (place, Rc::downgrade(&waiting)))));
        Ok(HostListener { world: self.world.clone(), address: SocketAddr::new(at.ip(), port), waiting })
    }

    fn connect(&mut self, to: SocketAddr, trust: Trust) -> Result<MockStream, SimulatedError> {
        self.world.fault(Call::ConnectStream)?;
        let own_port = self.world.wires(Wires::free_port);
        let own = self.side(to, own_port, trust);
        if self.world.wires(|wires| wires.silent.contains(&to.ip())) {
            return Ok(MockStream::alone(&self.world, Attempt::Unanswered, own, Side { address: to, shows: None }));
        }
        let listening = self.world.wires(|wires| wires.listener(to));
        let Some(listening) = listening.filter(|waiting| waiting.streams.borrow().len() < BACKLOG) else {
            return Ok(MockStream::alone(&self.world, Attempt::Refused, own, Side { address: to, shows: None }));
        };
        let (ours, theirs) = MockStream::pair(&self.world, trust, own, Side { address: to, shows: listening.shows });
        listening.streams.borrow_mut().push_back(theirs);
        Ok(ours)
    }

    fn addresses(&mut self) -> Result<Addresses, SimulatedError> {
        Ok(self.addresses.clone())
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

impl Random for Host {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), SimulatedError> {
        bytes.iter_mut().for_each(|byte| *byte = self.world.random(256) as u8);
        Ok(())
    }
}
