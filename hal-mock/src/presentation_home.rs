//! Where the presentation service that ships lives in the simulated world.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use greenroom_core::driver::{PresentationDriver, PresentationHost, PresentationPlatform};
use greenroom_core::hal::{
    Addresses, ErrorKind, Fingerprint, Interest, Listen, Network, Peer, Protection, SocketPlace, Visitor, Watch,
};
use greenroom_core::presentation::service::{Access, Settings};

use crate::acquaintances::Acquaintances;
use crate::discovery::MockDiscovery;
use crate::error::{Call, SimulatedError};
use crate::event_loop::EventLoop;
use crate::lender::{Lender, Lent};
use crate::listener::{ListeningSocket, SocketFiles};
use crate::network::{Host, HostListener};
use crate::receivers::MockReceivers;
use crate::socket::SeqPacket;
use crate::world::World;

/// The user whose clients are programs of the platform; those of all others are pages.
pub const PLATFORM_USER: u32 = 0;
/// The user that may not even connect.
pub const FORBIDDEN_USER: u32 = 666;

/// Where a presentation service lives: one device on the network of its world.
#[derive(Debug)]
pub struct PresentationHome {
    /// Its parts.
    pub platform: PresentationPlatform<Host, MockDiscovery, Acquaintances, MockReceivers, EventLoop>,
    /// What lends it memory.
    pub memory: Lender,
    /// What makes its socket.
    pub files: SocketFiles,
    /// The beginnings of the pages that may be shown.
    pub pages: Vec<String>,
    name: String,
}

impl PresentationHome {
    /// A device with this name, these addresses and this certificate. It shows every page of the web.
    pub fn new(world: &World, name: &str, addresses: &[IpAddr], fingerprint: Fingerprint) -> Self {
        let all: Addresses = addresses.iter().take(Addresses::new().capacity()).copied().collect();
        Self {
            platform: PresentationPlatform {
                network: Host::new(world, addresses, fingerprint),
                discovery: MockDiscovery::new(world, name, all),
                known: Acquaintances::new(world),
                receivers: MockReceivers::new(world),
                events: EventLoop::new(world),
            },
            memory: Lender::new(world),
            files: SocketFiles::new(world),
            pages: vec!["https://".to_owned(), "http://".to_owned()],
            name: name.to_owned(),
        }
    }

    /// Where local clients connect.
    pub fn path(&self) -> String {
        format!("/run/greenroom/{}.sock", self.name)
    }

    /// Starts a service here, as a program does: devices connect to it at this port.
    ///
    /// # Errors
    /// Something listens there already, or the world says that it cannot be.
    pub fn start(&mut self, port: u16, protection: Protection) -> Result<PresentationDriver<Self>, SimulatedError> {
        let (listener, presenters) = self.open(port, protection)?;
        let Ok(device_id) = self.name.as_str().try_into() else { unreachable!("test code gives a short name") };
        let settings = Settings { device_id, ..Settings::default() };
        let platform = &mut self.platform;
        platform.events.watch(&platform.discovery, PresentationDriver::<Self>::DISCOVERY, Interest::Read)?;
        let driver = PresentationDriver::new(self, settings, listener, presenters);
        let mut driver = driver.ok_or(SimulatedError::new(Call::Lend, ErrorKind::Exhausted))?;
        let name = self.name.clone();
        let started = driver.start(self, &name, protection == Protection::Encrypted);
        started.map_err(|kind| SimulatedError::new(Call::Watch, kind)).map(|()| driver)
    }

    fn open(&mut self, port: u16, protection: Protection) -> Result<(HostListener, ListeningSocket), SimulatedError> {
        let everywhere = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        let listener = self.platform.network.listen(everywhere, protection)?;
        let path = self.path();
        self.files.remove_dead(&path);
        let place = SocketPlace { path: &path, mode: 0o666, owner: "", group: "" };
        Ok((listener, self.files.listen(&place)?))
    }
}

impl PresentationHost for PresentationHome {
    type Buffer = Lent;
    type Socket = SeqPacket;
    type Presenters = ListeningSocket;
    type Network = Host;
    type Discovery = MockDiscovery;
    type Known = Acquaintances;
    type Receivers = MockReceivers;
    type Events = EventLoop;

    fn platform(&mut self) -> &mut PresentationPlatform<Host, MockDiscovery, Acquaintances, MockReceivers, EventLoop> {
        &mut self.platform
    }

    fn lend(&mut self, bytes: usize) -> Option<Lent> {
        self.memory.lend(bytes)
    }

    fn access(&self, peer: &Peer) -> Option<Access> {
        match peer.user_id {
            PLATFORM_USER => Some(Access::Platform),
            FORBIDDEN_USER => None,
            _ => Some(Access::Page),
        }
    }

    fn may_show(&self, _: &Visitor<'_>, url: &str) -> bool {
        self.pages.iter().any(|beginning| url.starts_with(beginning))
    }
}
