//! Drives the presentation [`Service`] on any platform: devices, control channels, transports, receivers and clients.
//!
//! ```text
//!   a device --> arrivals --> channels --- lines ---> machine <--- requests --- clients
//!                                             |          |                         |
//!                    departures <-------------+     transports ---- messages ------+
//! ```
//!
//! Long memory is lent by the host when it is needed: a channel without half a line and a client that reads have none.

mod arrivals;
mod building;
mod carrier;
mod carry_out;
mod channels;
mod clients;
mod departures;
mod devices;
mod kept_offer;
mod offer;
mod receivers;
#[cfg(test)]
mod tests;
mod touched;
mod transports;

use core::time::Duration;

use heapless::{Deque, Vec};

use self::arrivals::Arrivals;
use self::channels::Channels;
use self::clients::Clients;
use self::departures::Departures;
use self::devices::Devices;
use self::receivers::ReceiverPlaces;
use self::transports::Transports;
use super::Machine;
use super::overslept::Overslept;
use crate::fmt::{Said, warning};
use crate::hal::{
    Announcement, Discovery, Error, ErrorKind, Interest, KnownDevices, Listener, Network, Peer, Random, Ready,
    Receivers, Signal, Socket, StreamListener, Token, Visitor, Watch,
};
use crate::limits::{CHANNELS_MAX, CONNECTIONS_MAX, PRESENTATIONS_MAX};
use crate::message::papi;
use crate::message::presentation::{CloseReason, LaunchToken, Payload, Piece, PresentationId, Refusal, Traffic};
use crate::presentation::service::{
    Access, ChannelHandle, ConnectionHandle, Input, NotTaken, PresentationHandle, Service, Settings,
};
use crate::time::{Instant, earliest};

const KIND_DISCOVERY: u8 = 1;
const KIND_RECEIVER: u8 = 2;
const KIND_LISTENER: u8 = 3;
const KIND_ARRIVAL: u8 = 4;
const KIND_CHANNEL: u8 = 5;
const KIND_OFFER: u8 = 6;
const KIND_TRANSPORT: u8 = 7;
const KIND_DEPARTURE: u8 = 8;
const KIND_PRESENTERS: u8 = 9;
const KIND_CLIENT: u8 = 10;

/// A box without descriptors is not asked for another connection before this: it would say no at once, again and again.
const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// What can follow from the actions of one input: about a channel, a transport and a page each.
const OUTCOMES_MAX: usize = CHANNELS_MAX + 2 * CONNECTIONS_MAX + PRESENTATIONS_MAX;
/// The version of the control protocol that is announced.
const CONTROL_VERSION: u16 = 1;

type StreamOf<H> = <<H as PresentationHost>::Network as Network>::Stream;
type ListenerOf<H> = <<H as PresentationHost>::Network as Network>::Listener;
type ReceiverOf<H> = <<H as PresentationHost>::Receivers as Receivers>::Receiver;

/// The parts of a platform that a presentation service needs.
#[derive(Debug)]
pub struct PresentationPlatform<N, D, K, R, E> {
    /// Its network, and chance.
    pub network: N,
    /// Finds devices, and announces this one.
    pub discovery: D,
    /// The devices that are known by their certificates.
    pub known: K,
    /// Starts what shows pages.
    pub receivers: R,
    /// What is ready.
    pub events: E,
}

/// Where a presentation service lives.
pub trait PresentationHost {
    /// Memory that was lent; dropping it gives it back.
    type Buffer: AsRef<[u8]> + AsMut<[u8]>;
    /// A connection of a client.
    type Socket: Socket;
    /// Where clients come in.
    type Presenters: Listener<Socket = Self::Socket>;
    /// Its network, and chance.
    type Network: Network + Random;
    /// Finds devices.
    type Discovery: Discovery;
    /// The devices that are known.
    type Known: KnownDevices;
    /// Starts what shows pages.
    type Receivers: Receivers;
    /// Watches all that is watched.
    type Events: Watch<<Self::Network as Network>::Stream>
        + Watch<<Self::Network as Network>::Listener>
        + Watch<Self::Socket>
        + Watch<Self::Presenters>
        + Watch<<Self::Receivers as Receivers>::Receiver>;

    /// Its parts.
    #[allow(clippy::type_complexity, reason = "five parts are what they are")]
    fn platform(
        &mut self,
    ) -> &mut PresentationPlatform<Self::Network, Self::Discovery, Self::Known, Self::Receivers, Self::Events>;

    /// Lends memory of at least so many bytes; what is in it does not matter. `None` when there is none.
    fn lend(&mut self, bytes: usize) -> Option<Self::Buffer>;

    /// What a local process may do; `None` when it may not even connect (PS-36).
    fn access(&self, peer: &Peer) -> Option<Access>;

    /// The launch policy: whether this device may have this page shown (PS-11, PS-34).
    fn may_show(&self, visitor: &Visitor<'_>, url: &str) -> bool;
}

/// What came with the input that is being handled; an action may refer to it.
#[derive(Clone, Copy)]
enum Given<'a> {
    Nothing,
    /// A message of another device.
    Heard(&'a papi::Message<&'a str>),
    /// A message of a page.
    Payload(Payload<'a>),
    /// Something of a client that builds a transport.
    Piece(Piece<'a>),
}

/// What came of an action, at once or after a while; handled as soon as the actions are drained.
#[derive(Clone, Copy)]
enum Outcome {
    ChannelOpened { channel: ChannelHandle },
    ChannelFailed { channel: ChannelHandle, reason: papi::Reason },
    ChannelClosed { channel: ChannelHandle },
    OfferReady { connection: ConnectionHandle },
    AnswerReady { connection: ConnectionHandle },
    TransportClosed { connection: ConnectionHandle, reason: CloseReason },
    Launched { presentation: PresentationHandle, result: Result<LaunchToken, papi::Reason> },
}

impl From<Outcome> for Input<'static> {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::ChannelOpened { channel } => Self::ChannelOpened { channel },
            Outcome::ChannelFailed { channel, reason } => Self::ChannelFailed { channel, reason },
            Outcome::ChannelClosed { channel } => Self::ChannelClosed { channel },
            Outcome::OfferReady { connection } => Self::OfferReady { connection },
            Outcome::AnswerReady { connection } => Self::AnswerReady { connection },
            Outcome::TransportClosed { connection, reason } => Self::TransportClosed { connection, reason },
            Outcome::Launched { presentation, result } => Self::Launched { presentation, result },
        }
    }
}

/// A presentation service with its connections.
///
/// The host watches its discovery as [`PresentationDriver::DISCOVERY`], calls [`Self::start`] once and [`Self::turn`]
/// whenever something is ready or [`Self::next_deadline`] has come.
pub struct PresentationDriver<H: PresentationHost> {
    machine: Service,
    listener: ListenerOf<H>,
    presenters: H::Presenters,
    /// Whether devices are let in now.
    listens: bool,
    /// Nobody is accepted before this.
    accept_again: Option<Instant>,
    arrivals: Arrivals<StreamOf<H>>,
    /// Who is about to be admitted by the machine.
    arrived: Option<StreamOf<H>>,
    channels: Channels<H>,
    transports: Transports<H>,
    departures: Departures<StreamOf<H>, H::Buffer>,
    receivers: ReceiverPlaces<ReceiverOf<H>>,
    clients: Clients<H>,
    devices: Devices,
    /// There was no room for one that is on the network.
    misses_devices: bool,
    outcomes: Deque<Outcome, OUTCOMES_MAX>,
    /// Why the message of the request that is being answered was not sent.
    unsent: Option<Refusal>,
    traffic: Traffic,
    overslept: Overslept,
}

impl<H: PresentationHost> PresentationDriver<H> {
    /// The token under which the host watches its discovery.
    pub const DISCOVERY: Token = Token { kind: KIND_DISCOVERY, index: 0, generation: 0 };
    /// Kinds from this one on are free for the host.
    pub const FIRST_FREE_KIND: u8 = KIND_CLIENT + 1;
    const LISTENER: Token = Token { kind: KIND_LISTENER, index: 0, generation: 0 };
    const PRESENTERS: Token = Token { kind: KIND_PRESENTERS, index: 0, generation: 0 };

    /// A service to which devices connect at `listener` and local clients at `presenters`.
    ///
    /// `None` when the host has no memory for messages: three of the longest ones.
    pub fn new(host: &mut H, settings: Settings, listener: ListenerOf<H>, presenters: H::Presenters) -> Option<Self> {
        Some(Self {
            machine: Service::new(settings),
            listener,
            presenters,
            listens: true,
            accept_again: None,
            arrivals: Arrivals::new(),
            arrived: None,
            channels: Channels::new(host)?,
            transports: Transports::new(),
            departures: Departures::new(),
            receivers: core::array::from_fn(|_| None),
            clients: Clients::new(host)?,
            devices: Vec::new(),
            misses_devices: false,
            outcomes: Deque::new(),
            unsent: None,
            traffic: Traffic::default(),
            overslept: Overslept::new(),
        })
    }

    /// What it has carried itself (PS-07).
    pub const fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// The machine, to look at.
    pub fn machine(&self) -> &Service {
        &self.machine
    }

    /// Lets devices and clients in, announces this box by this name and looks for others. `is_encrypted` says whether the
    /// listener encrypts.
    ///
    /// Fails when the listeners cannot be watched. Without discovery the service goes on: those who know it still come.
    pub fn start(&mut self, host: &mut H, name: &str, is_encrypted: bool) -> Result<(), ErrorKind> {
        let platform = host.platform();
        platform.events.watch(&self.listener, Self::LISTENER, Interest::Read).map_err(|error| error.kind())?;
        platform.events.watch(&self.presenters, Self::PRESENTERS, Interest::Read).map_err(|error| error.kind())?;
        let announcement = Announcement {
            name,
            port: self.listener.local_address().port(),
            fingerprint: is_encrypted.then(|| platform.network.fingerprint()),
            version: CONTROL_VERSION,
        };
        let announced = platform.discovery.announce(&announcement).and_then(|()| platform.discovery.browse());
        if let Err(error) = announced {
            warning!("this box is not found by others, nor finds them: {}", Said(&error));
        }
        Ok(())
    }

    /// Says goodbye, and asks what was started to end: [`Self::has_receivers`] says when it has.
    pub fn stop(&mut self, host: &mut H) {
        if let Err(error) = host.platform().discovery.withdraw() {
            warning!("other devices are not told that this box goes: {}", Said(&error));
        }
        self.end_receivers(Signal::Terminate);
    }

    /// When [`Self::turn`] is due, if time matters now.
    pub fn next_deadline(&self) -> Option<Instant> {
        let unsettled =
            self.channels.touched.in_use() + self.transports.touched.in_use() + self.clients.touched.in_use();
        [
            (unsettled > 0).then(Instant::default),
            self.overslept.wakes_at(self.machine.next_deadline()),
            self.accept_again,
            self.next_arrival_deadline(),
            self.next_departure_deadline(),
            self.channels.deadlines.first(),
            self.transports.deadlines.first(),
            self.clients.deadlines.first(),
        ]
        .into_iter()
        .fold(None, earliest)
    }

    /// Takes what is ready, lowest token first, and what is due.
    pub fn turn(&mut self, host: &mut H, now: Instant, ready: &[Ready]) {
        for ready in ready {
            match ready.token.kind {
                KIND_DISCOVERY => self.hear_of_devices(host, now),
                KIND_RECEIVER => self.receiver_ready(host, now, *ready),
                KIND_LISTENER => self.accept_devices(host, now),
                KIND_ARRIVAL => self.arrival_ready(host, now, *ready),
                KIND_CHANNEL => self.channel_ready(host, now, *ready),
                KIND_OFFER => self.offer_ready(host, now, *ready),
                KIND_TRANSPORT => self.transport_ready(host, now, *ready),
                KIND_DEPARTURE => self.departure_ready(host, *ready),
                KIND_PRESENTERS => self.accept_clients(host, now),
                KIND_CLIENT => self.client_ready(host, now, *ready),
                // The host's own.
                _ => {}
            }
            self.follow_up(host, now);
        }
        self.pass_time(host, now);
        self.follow_up(host, now);
        self.settle(host, now);
        self.follow_up(host, now);
    }

    fn pass_time(&mut self, host: &mut H, now: Instant) {
        self.lose_silent_arrivals(host, now);
        self.cut_off_late(host, now);
        self.lose_silent_clients(host, now);
        self.reach_further(host, now);
        self.transports_due(host, now);
        if self.overslept.is_due(now, self.machine.next_deadline()) {
            self.take(host, now, Input::Tick);
        }
    }

    /// Looks at what was touched, each once: what is touched by that has its turn the next time.
    fn settle(&mut self, host: &mut H, now: Instant) {
        for _ in 0..self.transports.touched.in_use() {
            if let Some(place) = self.transports.touched.next() {
                self.settle_transport(host, now, place);
            }
        }
        for _ in 0..self.channels.touched.in_use() {
            if let Some(place) = self.channels.touched.next() {
                self.settle_channel(host, now, place);
            }
        }
        for _ in 0..self.clients.touched.in_use() {
            if let Some(place) = self.clients.touched.next() {
                self.settle_client(host, now, place);
            }
        }
        self.settle_listeners(host, now);
    }

    fn pause_accepting(&mut self, now: Instant) {
        self.accept_again = Some(now.after(ACCEPT_RETRY_INTERVAL));
    }

    /// Devices are let in while there is a place where they can prove who they are.
    fn settle_listeners(&mut self, host: &mut H, now: Instant) {
        let resumes = self.accept_again.take_if(|again| *again <= now).is_some();
        let is_paused = self.accept_again.is_some();
        let listens = !is_paused && self.arrivals.in_use() < self.arrivals.capacity();
        if listens == self.listens && !resumes && !is_paused {
            return;
        }
        let interest = |listens| if listens { Interest::Read } else { Interest::None };
        let events = &mut host.platform().events;
        let watched = events
            .rewatch(&self.listener, Self::LISTENER, interest(listens))
            .and_then(|()| events.rewatch(&self.presenters, Self::PRESENTERS, interest(!is_paused)));
        self.listens = listens;
        if watched.is_err() {
            self.pause_accepting(now);
        }
    }

    /// Handles an input that cannot be refused for a reason that anybody waits for.
    fn take(&mut self, host: &mut H, now: Instant, input: Input<'_>) {
        let _ = self.take_with(host, now, input, Given::Nothing);
    }

    /// Handles an input, carries out the actions, and then handles what came of them. What came of something before comes
    /// first: it may be what makes this input mean anything.
    fn take_with(&mut self, host: &mut H, now: Instant, input: Input<'_>, given: Given<'_>) -> Result<(), NotTaken> {
        self.follow_up(host, now);
        self.machine.handle(now, input)?;
        self.drain(host, now, given);
        self.follow_up(host, now);
        Ok(())
    }

    /// Handles what came of actions, and of connections that took a while.
    fn follow_up(&mut self, host: &mut H, now: Instant) {
        while let Some(outcome) = self.outcomes.pop_front() {
            if self.machine.handle(now, outcome.into()).is_ok() {
                self.drain(host, now, Given::Nothing);
            }
        }
    }

    fn drain(&mut self, host: &mut H, now: Instant, given: Given<'_>) {
        while let Some(action) = self.machine.poll_action() {
            self.carry_out(host, now, action, given);
        }
        self.unsent = None;
    }

    /// What is too much is settled by the time limit of what it is about.
    fn follow(&mut self, outcome: Outcome) {
        debug_assert!(!self.outcomes.is_full(), "more follows from one input than was thought of");
        let _ = self.outcomes.push_back(outcome);
    }

    /// A name that nobody guesses (PS-34). Without chance it is empty, which the machine refuses.
    fn new_name(&mut self, host: &mut H) -> PresentationId {
        let mut bytes = [0_u8; 16];
        let mut name = PresentationId::new();
        if host.platform().network.fill(&mut bytes).is_ok() {
            for byte in bytes {
                // There is room for twice as many.
                let _ = core::fmt::Write::write_fmt(&mut name, format_args!("{byte:02x}"));
            }
        }
        name
    }
}
