//! The presentation service on Linux: what its driver finds here, and its loop.
//!
//! | module | what is in it |
//! |---|---|
//! | `directories` | a directory for each process that shows a page |
//! | `door` | where local clients come in |
//! | `parent` | the manager of which it is the companion |
//! | `receivers` | the processes that show pages |

mod directories;
mod door;
mod parent;
mod receivers;

use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use greenroom_core::driver::{PresentationDriver, PresentationHost, PresentationPlatform};
use greenroom_core::hal::{
    ErrorKind, Fingerprint, Interest, Launch, Listen, Network, Peer, Protection, Signal, SocketPlace, StreamListener,
    Token, Visitor, Watch,
};
use greenroom_core::limits::{DEVICE_NAME_BYTES_MAX, TERMINATE_TIMEOUT};
use greenroom_core::message::presentation::DeviceId;
use greenroom_core::presentation::service::{Access, Settings};
use greenroom_core::time::earliest;

pub use crate::presenter::{LAUNCH_TOKEN_VARIABLE, PresenterClient, PresenterError, inherited_token};

use crate::clock::Clock;
use crate::discovery::{Interfaces, Mdns};
use crate::error::LinuxError;
use crate::event_loop::EventLoop;
use crate::listener::SocketFiles;
use crate::network::{Identity, KnownDeviceFile, LinuxListener, LinuxNetwork};
use crate::process::{self, Program};
use crate::signals::{Asked, Signals};
use crate::socket::SeqPacket;
use directories::Directories;
use door::Door;
use parent::Parent;
use receivers::ReceiverPrograms;

const IDENTITY_FILE: &str = "identity.pem";
const KNOWN_DEVICES_FILE: &str = "known-devices.toml";

/// Where a presentation service is found, by devices and by local clients.
#[derive(Clone, Debug)]
pub struct Place {
    /// What this box calls itself on the network; empty for its host name.
    pub name: String,
    /// Where devices connect; 0 for any port.
    pub port: u16,
    /// Whether they connect with TLS.
    pub is_encrypted: bool,
    /// Whether those that cannot may connect without, at the same port.
    pub accepts_plain: bool,
    /// On which interfaces this box is announced; none named for all.
    pub interfaces: Vec<String>,
    /// Where the certificate and the known devices are kept.
    pub state_directory: PathBuf,
    /// Where each process that shows a page has a directory of its own. It is the service's alone, and goes with it.
    pub receiver_directory: PathBuf,
    /// Where local clients connect.
    pub socket: String,
    /// The mode of that socket, its user and its group; empty for our own.
    pub socket_access: (u16, String, String),
    /// A page that is launched is there within this.
    pub page_load_timeout: Duration,
    /// A connection is made within this.
    pub establish_timeout: Duration,
}

/// What the integrator decides.
pub trait Policy {
    /// What a local process may do; `None` when it may not even connect.
    fn access(&self, peer: &Peer) -> Option<Access>;

    /// Whether this device may have this page shown.
    fn may_show(&self, visitor: &Visitor<'_>, url: &str) -> bool;

    /// What is run to show a page; `None` when nothing is configured for it.
    fn program(&self, launch: &Launch<'_>) -> Option<Program>;
}

/// Linux, and the integrator's policy.
struct Host<P> {
    platform: Platform<P>,
    policy: P,
}

type Platform<P> = PresentationPlatform<LinuxNetwork, Mdns, KnownDeviceFile, ReceiverPrograms<P>, EventLoop>;
type Driver<P> = PresentationDriver<Host<P>>;

impl<P: Policy + Clone> PresentationHost for Host<P> {
    type Buffer = Box<[u8]>;
    type Socket = SeqPacket;
    type Presenters = Door;
    type Network = LinuxNetwork;
    type Discovery = Mdns;
    type Known = KnownDeviceFile;
    type Receivers = ReceiverPrograms<P>;
    type Events = EventLoop;

    fn platform(&mut self) -> &mut Platform<P> {
        &mut self.platform
    }

    /// The kernel gives pages only where something is written.
    fn lend(&mut self, bytes: usize) -> Option<Box<[u8]>> {
        Some(vec![0; bytes].into_boxed_slice())
    }

    /// What was launched for other devices may do no more than its token allows, whatever user it runs as (PS-36).
    fn access(&self, peer: &Peer) -> Option<Access> {
        let access = self.policy.access(peer)?;
        let is_receiver = self.platform.receivers.has_started(peer.process_id);
        Some(if is_receiver { Access::Page } else { access })
    }

    fn may_show(&self, visitor: &Visitor<'_>, url: &str) -> bool {
        self.policy.may_show(visitor, url)
    }
}

/// Serves until a signal says that it is to end, or the manager at the other end of `link` has gone; to the manager it says
/// that it makes progress.
///
/// To be called before any other thread is started: each must block the signals. Everything has a fixed place in the
/// driver, so it runs in a thread with a stack for that.
pub fn serve<P: Policy + Clone + Send + 'static>(
    place: Place,
    policy: P,
    link: Option<SeqPacket>,
) -> Result<(), LinuxError> {
    process::keep_ended_children()?;
    let signals = Signals::new()?;
    let stack_bytes = 8 * size_of::<Driver<P>>() + 2 * 1024 * 1024;
    let service = thread::Builder::new().name("presentation".to_owned()).stack_size(stack_bytes);
    let running = service
        .spawn(move || run(&place, policy, signals, link))
        .map_err(|cause| LinuxError::other("start a thread", ErrorKind::Exhausted, cause))?;
    running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn run<P: Policy + Clone>(
    place: &Place,
    policy: P,
    mut signals: Signals,
    link: Option<SeqPacket>,
) -> Result<(), LinuxError> {
    let token = |index| Token { kind: Driver::<P>::FIRST_FREE_KIND, index, generation: 0 };
    let name = name_of(place)?;
    let mut files = SocketFiles::new();
    let door = open_door(&mut files, place)?;
    let (mut host, listener) = open(place, policy)?;
    let mut parent = link.map(|link| Parent::new(link, Clock.now()));
    host.platform.events.watch(&signals, token(0), Interest::Read)?;
    if let Some(parent) = &parent {
        host.platform.events.watch(parent.link(), token(1), Interest::Read)?;
    }
    host.platform.events.watch(&host.platform.discovery, Driver::<P>::DISCOVERY, Interest::Read)?;
    let settings = Settings {
        device_id: name.clone(),
        page_load_timeout: place.page_load_timeout,
        establish_timeout: place.establish_timeout,
        ..Settings::default()
    };
    let port = listener.local_address().port();
    let no_memory = || LinuxError::other("serve", ErrorKind::Exhausted, "there is no memory for messages");
    let mut driver = Driver::new(&mut host, settings, listener, door).ok_or_else(no_memory)?;
    driver
        .start(&mut host, &name, place.is_encrypted)
        .map_err(|kind| LinuxError::other("watch the sockets", kind, "the platform refused"))?;
    tracing::info!("{name} serves devices at port {port}, and local clients at {}", place.socket);
    let ended = pump(&mut driver, &mut host, &mut signals, &mut parent);
    driver.stop(&mut host);
    let ended = ended.and_then(|()| see_off_receivers(&mut driver, &mut host));
    files.remove(&place.socket);
    tracing::info!("the presentation service has ended");
    ended
}

fn pump<P: Policy + Clone>(
    driver: &mut Driver<P>,
    host: &mut Host<P>,
    signals: &mut Signals,
    parent: &mut Option<Parent>,
) -> Result<(), LinuxError> {
    loop {
        let deadline = earliest(driver.next_deadline(), parent.as_ref().map(Parent::next_deadline));
        let ready = host.platform.events.wait(deadline)?;
        if parent.as_mut().is_some_and(Parent::has_gone) {
            tracing::error!("the manager has gone, so the presentation service ends, too");
            return Ok(());
        }
        while let Some(asked) = signals.receive()? {
            match asked {
                Asked::End => return Ok(()),
                Asked::Reload => tracing::warn!("the configuration is read at the start only; restart this program"),
            }
        }
        driver.turn(host, Clock.now(), &ready);
        if let Some(parent) = parent {
            parent.progressed(Clock.now());
        }
    }
}

/// Waits until the receivers have ended, which were asked to, and kills those that have not. The other devices learn it.
fn see_off_receivers<P: Policy + Clone>(driver: &mut Driver<P>, host: &mut Host<P>) -> Result<(), LinuxError> {
    let asked_at = Clock.now();
    for patience in [TERMINATE_TIMEOUT, 2 * TERMINATE_TIMEOUT] {
        let until = asked_at.after(patience);
        while driver.has_receivers() && Clock.now() < until {
            let ready = host.platform.events.wait(earliest(driver.next_deadline(), Some(until)))?;
            driver.turn(host, Clock.now(), &ready);
        }
        driver.end_receivers(Signal::Kill);
    }
    Ok(())
}

fn open<P: Policy + Clone>(place: &Place, policy: P) -> Result<(Host<P>, LinuxListener), LinuxError> {
    let identity = Identity::load_or_make(&place.state_directory.join(IDENTITY_FILE))?;
    let known = KnownDeviceFile::open(&place.state_directory.join(KNOWN_DEVICES_FILE))?;
    let mut network = LinuxNetwork::new(&identity)?;
    let listener = listen(&mut network, place)?;
    let interfaces = match place.interfaces.as_slice() {
        [] => Interfaces::All,
        named => Interfaces::Named(named.to_vec()),
    };
    let discovery = Mdns::new(&host_name(identity.fingerprint()), &interfaces)?;
    let receivers = ReceiverPrograms::new(policy.clone(), Directories::open(&place.receiver_directory)?);
    let platform = PresentationPlatform { network, discovery, known, receivers, events: EventLoop::new()? };
    Ok((Host { platform, policy }, listener))
}

fn listen(network: &mut LinuxNetwork, place: &Place) -> Result<LinuxListener, LinuxError> {
    let at = SocketAddr::from((Ipv6Addr::UNSPECIFIED, place.port));
    match (place.is_encrypted, place.accepts_plain) {
        (false, _) => network.listen(at, Protection::None),
        (true, false) => network.listen(at, Protection::Encrypted),
        (true, true) => network.listen_for_both(at),
    }
}

fn open_door(files: &mut SocketFiles, place: &Place) -> Result<Door, LinuxError> {
    let (mode, owner, group) = &place.socket_access;
    let at = SocketPlace { path: &place.socket, mode: *mode, owner, group };
    files.listen(&at).map(Door::new)
}

/// A name of our own for mDNS, which no other device has.
fn host_name(fingerprint: Fingerprint) -> String {
    let [a, b, c, d, ..] = fingerprint.0;
    format!("greenroom-{a:02x}{b:02x}{c:02x}{d:02x}")
}

fn name_of(place: &Place) -> Result<DeviceId, LinuxError> {
    let system = rustix::system::uname();
    let name = if place.name.is_empty() { system.nodename().to_string_lossy() } else { place.name.as_str().into() };
    let fits = Some(&*name).filter(|name| !name.is_empty() && name.len() <= DEVICE_NAME_BYTES_MAX);
    fits.and_then(|name| DeviceId::try_from(name).ok()).ok_or_else(|| {
        let cause = format!("it has 1 to {DEVICE_NAME_BYTES_MAX} bytes; configure another one");
        LinuxError::other("use the name", ErrorKind::Unsupported, cause).about(&name)
    })
}
