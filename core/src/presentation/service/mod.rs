//! The presentation service's machine: clients, devices, control channels, presentations and their connections.
//!
//! ```text
//!   requests of clients  --+                                          +--> replies, events to clients
//!   control channels     --+   channels --> connections --> pages     +--> what is said on channels
//!   transports           --+       ^            |            |        +--> transports: build, close, send
//!   launcher, discovery  --+       +------------+------------+        +--> launcher: launch, stop, kill
//!   ticks                --+
//! ```
//!
//! Texts that are long stay with the driver: what an input brings along and is to be passed on is named by an action, and
//! the driver has it at hand still, because actions are drained before the next input.
//!
//! A driver does with the actions:
//!
//! | action | what is done | what follows |
//! |---|---|---|
//! | `OpenChannel` | connect to the device of [`Service::device_of`], with all its addresses | `ChannelOpened` or `ChannelFailed` |
//! | `Admit` | the accepted connection has this handle | `ChannelOpened` when TLS is done |
//! | `Say` | encode [`Service::message`], or the offer, answer or candidate at hand | |
//! | `KeepOffer`, `TakeAnswer`, `TakeCandidate` | what is in this input belongs to the transport of that connection | |
//! | `Build { offers: true }` | listen; or let the client build | `OfferReady`, then `TransportReady` |
//! | `Build { offers: false }` | reach for the kept offer; or let the client build | `AnswerReady`, then `TransportReady` |
//! | `CloseTransport` | close, stop listening, forget the offer | nothing |
//! | `Transmit`, `Deliver` | pass on the message of this input | |
//! | `Launch` | start the receiver with a fresh token | `Launched`, at last `ReceiverEnded` |
//! | `Stop`, `Kill` | ask, or force, its process to end | `ReceiverEnded` when it was seen to |
//!
//! What is reported as closed by an input is gone: no `CloseTransport` or `CloseChannel` for it need find anything.
//!
//! Work for one input does not grow with the number of connections, but where one input concerns them all: a client that
//! leaves, a page that is ready or has ended.

mod channels;
mod connections;
mod devices;
mod entries;
mod pages;
mod requests;
mod selections;
mod settings;
#[cfg(test)]
mod tests;

use heapless::{Deque, Vec};
use serde::{Deserialize, Serialize};

pub use self::devices::Schemes;
use self::entries::Client as ClientEntry;
pub use self::entries::{ChannelEntry, Connection, Device, Presentation, Selection};
pub use self::settings::Settings;
use super::control_channel::Word;
use crate::codec::papi::Garbage;
use crate::driver::Machine;
use crate::limits::{CHANNELS_MAX, CONNECTIONS_MAX, DEVICES_MAX, PRESENTATIONS_MAX, PRESENTERS_MAX, SELECTIONS_MAX};
use crate::message::papi::{Message, Reason};
use crate::message::presentation::{
    CloseReason, Command, ConnectionId, ConnectionState, DeviceId, LaunchToken, Refusal, SelectionId, TransportKind,
};
use crate::table::deadlines::Deadlines;
use crate::table::index::Index;
use crate::table::rings::Rings;
use crate::table::{Handle, Table};
use crate::time::{Instant, earliest};

/// Names a control channel.
pub type ChannelHandle = Handle<ChannelEntry>;
/// Names a connection.
pub type ConnectionHandle = Handle<Connection>;
/// Names a presentation, on either side.
pub type PresentationHandle = Handle<Presentation>;
/// Names a request that a device be chosen.
pub type SelectionHandle = Handle<Selection>;
/// Names a local client, in the driver's table.
pub type ClientHandle = Handle<Client>;

/// What [`ClientHandle`] names: a connection of a local client, in the driver's table.
#[derive(Debug)]
pub struct Client;

/// Where an answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Who asked.
    pub client: ClientHandle,
    /// The number of the request.
    pub sequence: u32,
}

/// What a local client may do beside what is its own (PS-36).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// Nothing.
    Page,
    /// Choose devices for others, see and end everything.
    Platform,
}

/// From where a device connected. Two channels are from one device when this is the same (PS-34).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Its IPv6 address, or its IPv4 address mapped into one.
    pub address: [u8; 16],
    /// The SHA-256 of the certificate with which it proved who it is, if it did; then its address does not matter.
    pub certificate: Option<[u8; 32]>,
}

impl Origin {
    /// Whether both are one device.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self.certificate, other.certificate) {
            (None, None) => self.address == other.address,
            (one, other) => one == other,
        }
    }
}

/// What the service is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input<'a> {
    /// A local client has connected.
    ClientJoined {
        /// It.
        client: ClientHandle,
        /// What it may do.
        access: Access,
    },
    /// A local client has gone.
    ClientLeft {
        /// It.
        client: ClientHandle,
    },
    /// A local client asks. Exactly one [`Action::Reply`] with this ticket follows, now or later, unless it leaves.
    Request {
        /// Who.
        from: Ticket,
        /// What.
        #[serde(borrow)]
        command: Command<'a>,
    },
    /// A device has connected to this box. [`Action::Admit`] follows, or the input is refused.
    Accepted {
        /// The driver's number for the connection.
        number: u32,
        /// From where.
        origin: Origin,
    },
    /// A control channel can be used: TCP, and TLS where it is used, are done.
    ChannelOpened {
        /// Which.
        channel: ChannelHandle,
    },
    /// A control channel could not be opened.
    ChannelFailed {
        /// Which.
        channel: ChannelHandle,
        /// Why.
        reason: Reason,
    },
    /// A message came on a control channel.
    Received {
        /// On which.
        channel: ChannelHandle,
        /// It.
        #[serde(borrow)]
        message: Message<&'a str>,
        /// For `launch` and `reconnect`: whether the policy of this box lets this device show this page. For `terminate`:
        /// whether the channel comes from where the device that it says it is was discovered, or has shown that device's
        /// certificate. Not looked at for others.
        is_allowed: bool,
    },
    /// What is no message came on a control channel.
    Garbage {
        /// On which.
        channel: ChannelHandle,
        /// What is wrong with it.
        garbage: Garbage,
    },
    /// A control channel was closed by the other side, or has failed.
    ChannelClosed {
        /// Which.
        channel: ChannelHandle,
    },
    /// The transport of a controlling connection can be offered.
    OfferReady {
        /// Of which.
        connection: ConnectionHandle,
    },
    /// The transport of a presenting connection was made, and can be answered for.
    AnswerReady {
        /// Of which.
        connection: ConnectionHandle,
    },
    /// A transport can send and receive (PS-08).
    TransportReady {
        /// Of which.
        connection: ConnectionHandle,
    },
    /// A transport could not be built, or has closed.
    TransportClosed {
        /// Of which.
        connection: ConnectionHandle,
        /// Why.
        reason: CloseReason,
    },
    /// A message came on a transport.
    Data {
        /// On which.
        connection: ConnectionHandle,
    },
    /// What came of an [`Action::Launch`].
    Launched {
        /// Of which.
        presentation: PresentationHandle,
        /// What the process inherited, or why there is none.
        result: Result<LaunchToken, Reason>,
    },
    /// The process of a presentation was seen to end.
    ReceiverEnded {
        /// Of which.
        presentation: PresentationHandle,
    },
    /// A device was found, or is not as it was (PS-22).
    DeviceFound {
        /// What it calls itself.
        device_id: &'a str,
        /// What people call it.
        name: &'a str,
        /// What it can show.
        schemes: Schemes,
    },
    /// A device has gone.
    DeviceLost {
        /// What it calls itself.
        device_id: &'a str,
    },
    /// A deadline has come.
    Tick,
    /// The network knows this box by another name from now on, because another device had its own.
    Renamed {
        /// That name.
        device_id: &'a str,
    },
}

/// What the service wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Answer a request; [`Service::answer`] gives the words.
    Reply {
        /// Whose.
        to: Ticket,
        /// With what.
        result: Result<Done, Refusal>,
    },
    /// The connection of [`Input::Accepted`] is this channel.
    Admit {
        /// The driver's number.
        number: u32,
        /// From now on.
        channel: ChannelHandle,
    },
    /// Open a control channel to the device of [`Service::device_of`].
    OpenChannel {
        /// It.
        channel: ChannelHandle,
    },
    /// Say something on a control channel; [`Service::message`] gives the words, where the driver does not have them.
    Say {
        /// On which.
        channel: ChannelHandle,
        /// What.
        word: Word,
        /// About which connection, for an offer, an answer or a candidate.
        connection: Option<ConnectionHandle>,
    },
    /// Close a control channel when what was said is sent. Its handle is worth nothing from now on.
    CloseChannel {
        /// Which.
        channel: ChannelHandle,
    },
    /// Keep the offer that came with this input.
    KeepOffer {
        /// For which connection.
        connection: ConnectionHandle,
    },
    /// The answer that came with this input belongs to the transport that is being built.
    TakeAnswer {
        /// Of which connection.
        connection: ConnectionHandle,
    },
    /// The candidate that came with this input belongs to the transport that is being built.
    TakeCandidate {
        /// Of which connection.
        connection: ConnectionHandle,
    },
    /// Build a transport: listen and get an offer ready, or reach for what was offered (PS-03, PS-15).
    Build {
        /// Of which connection.
        connection: ConnectionHandle,
        /// Of which kind: this side's choice, or that of the offer.
        kind: TransportKind,
        /// Whether this side makes the offer.
        offers: bool,
        /// Whose process builds a data channel (PS-06).
        client: Option<ClientHandle>,
    },
    /// Close a transport, or stop building it, and forget the offer.
    CloseTransport {
        /// Of which connection.
        connection: ConnectionHandle,
        /// Why, for a transport on which reasons travel.
        reason: CloseReason,
    },
    /// Send the message that came with this input on the transport (PS-18).
    Transmit {
        /// Of which connection.
        connection: ConnectionHandle,
    },
    /// Give the message that came with this input to a client (PS-18).
    Deliver {
        /// To whom.
        client: ClientHandle,
        /// On which connection.
        connection: ConnectionHandle,
    },
    /// Tell a client of a connection's state.
    TellState {
        /// Whom.
        client: ClientHandle,
        /// Of which.
        connection: ConnectionHandle,
        /// The state.
        state: ConnectionState,
        /// Why, where it wants a reason.
        reason: Option<CloseReason>,
    },
    /// Tell a receiver that there is a connection (PS-17).
    TellAvailable {
        /// Whom.
        client: ClientHandle,
        /// It.
        connection: ConnectionHandle,
    },
    /// Tell a client whether its pages can be shown (PS-22).
    TellAvailability {
        /// Whom.
        client: ClientHandle,
        /// Whether.
        available: bool,
    },
    /// Tell everybody who chooses devices that one is to be chosen, or no longer.
    TellSelection {
        /// For which request.
        selection: SelectionHandle,
        /// No longer.
        is_over: bool,
    },
    /// Start the receiver of a presentation with a fresh token (PS-11). [`Input::Launched`] follows.
    Launch {
        /// Of which.
        presentation: PresentationHandle,
    },
    /// Ask the process of a presentation to end.
    Stop {
        /// Of which.
        presentation: PresentationHandle,
    },
    /// End the process of a presentation.
    Kill {
        /// Of which.
        presentation: PresentationHandle,
    },
}

/// What a request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It was done.
    Done,
    /// The protocol is spoken.
    Welcome,
    /// There is a connection.
    Connection(ConnectionHandle),
    /// Whether the watched pages can be shown.
    Availability(bool),
    /// The device at this place.
    Device(Option<u16>),
    /// The connection at this place.
    Listed(Option<u16>),
    /// The client is the receiver of this.
    Receiver(PresentationHandle),
    /// How much was carried, which the driver knows.
    Traffic,
}

/// The input was not taken; it changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// Platform: there is no place for it.
    Full,
    /// It is about something that is not there any more.
    Late,
}

/// The presentation service.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Service<
    const CHANNELS: usize = CHANNELS_MAX,
    const CONNECTIONS: usize = CONNECTIONS_MAX,
    const PRESENTATIONS: usize = PRESENTATIONS_MAX,
> {
    settings: Settings,
    clients: Vec<Option<ClientEntry>, PRESENTERS_MAX>,
    devices: Vec<Option<Device>, DEVICES_MAX>,
    selections: Table<Selection, SELECTIONS_MAX>,
    channels: Table<ChannelEntry, CHANNELS>,
    connections: Table<Connection, CONNECTIONS>,
    presentations: Table<Presentation, PRESENTATIONS>,
    by_name: Index<PRESENTATIONS>,
    /// The connections of each presentation.
    together: Rings<CONNECTIONS>,
    channel_deadlines: Deadlines<CHANNELS>,
    connection_deadlines: Deadlines<CONNECTIONS>,
    page_deadlines: Deadlines<PRESENTATIONS>,
    touched_channels: Deque<u16, CHANNELS>,
    touched_connections: Deque<u16, CONNECTIONS>,
    touched_pages: Deque<u16, PRESENTATIONS>,
    /// What an input has done at once: a reply or two, and what passes on what it brought along.
    #[serde(skip)]
    direct: Deque<Action, 4>,
    /// Devices have changed since the watchers were told.
    is_availability_old: bool,
    /// A tick is being worked off, as of then.
    ticking: Option<Instant>,
    now: Instant,
    stale: u32,
}

impl<const C: usize, const K: usize, const P: usize> Service<C, K, P> {
    /// A service without clients, devices or presentations.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            clients: Vec::new(),
            devices: Vec::new(),
            selections: Table::new(),
            channels: Table::new(),
            connections: Table::new(),
            presentations: Table::new(),
            by_name: Index::new(),
            together: Rings::new(),
            channel_deadlines: Deadlines::new(),
            connection_deadlines: Deadlines::new(),
            page_deadlines: Deadlines::new(),
            touched_channels: Deque::new(),
            touched_connections: Deque::new(),
            touched_pages: Deque::new(),
            direct: Deque::new(),
            is_availability_old: false,
            ticking: None,
            now: Instant::default(),
            stale: 0,
        }
    }

    /// Inputs that came too late to mean anything, since the start.
    pub const fn stale(&self) -> u32 {
        self.stale
    }

    /// How many channels, connections and presentations there are.
    pub const fn in_use(&self) -> (u16, u16, u16) {
        (self.channels.in_use(), self.connections.in_use(), self.presentations.in_use())
    }

    /// At most four a turn: the bound is that of the requests with two answers and something to pass on.
    fn emit(&mut self, action: Action) {
        debug_assert!(!self.direct.is_full(), "an input has more direct actions than were thought of");
        let _ = self.direct.push_back(action);
    }

    fn reply(&mut self, to: Ticket, result: Result<Done, Refusal>) {
        self.emit(Action::Reply { to, result });
    }

    fn work_off_tick(&mut self) -> bool {
        let Some(now) = self.ticking else { return false };
        if let Some(place) = self.channel_deadlines.take_due(now) {
            self.channel_due(now, place);
        } else if let Some(place) = self.connection_deadlines.take_due(now) {
            self.connection_due(now, place);
        } else if let Some(place) = self.page_deadlines.take_due(now) {
            self.page_due(now, place);
        } else if !self.selection_due(now) {
            self.ticking = None;
            return false;
        }
        true
    }
}

impl From<ConnectionHandle> for ConnectionId {
    fn from(handle: ConnectionHandle) -> Self {
        Self { index: handle.index(), generation: handle.generation() }
    }
}

impl From<ConnectionId> for ConnectionHandle {
    fn from(id: ConnectionId) -> Self {
        Self::from_parts(id.index, id.generation)
    }
}

impl From<SelectionHandle> for SelectionId {
    fn from(handle: SelectionHandle) -> Self {
        Self { index: handle.index(), generation: handle.generation() }
    }
}

impl From<SelectionId> for SelectionHandle {
    fn from(id: SelectionId) -> Self {
        Self::from_parts(id.index, id.generation)
    }
}

impl<const C: usize, const K: usize, const P: usize> Machine for Service<C, K, P> {
    type Input<'a> = Input<'a>;
    type Action = Action;
    type Refusal = NotTaken;

    fn handle(&mut self, now: Instant, input: Input<'_>) -> Result<(), NotTaken> {
        debug_assert!(self.direct.is_empty(), "drain poll_action before the next input");
        self.now = now;
        let taken = match input {
            Input::ClientJoined { client, access } => self.client_joined(client, access),
            Input::ClientLeft { client } => self.client_left(now, client),
            Input::Request { from, command } => self.request(now, from, command),
            Input::Accepted { number, origin } => self.accepted(now, number, origin),
            Input::ChannelOpened { channel } => self.channel_opened(now, channel),
            Input::ChannelFailed { channel, reason } => self.channel_failed(now, channel, reason),
            Input::Received { channel, message, is_allowed } => self.received(now, channel, &message, is_allowed),
            Input::Garbage { channel, garbage } => self.garbage(now, channel, garbage),
            Input::ChannelClosed { channel } => self.channel_closed(now, channel),
            Input::OfferReady { connection } => self.offer_ready(now, connection),
            Input::AnswerReady { connection } => self.answer_ready(now, connection),
            Input::TransportReady { connection } => self.transport_ready(now, connection),
            Input::TransportClosed { connection, reason } => self.transport_closed(now, connection, reason),
            Input::Data { connection } => self.data(connection),
            Input::Launched { presentation, result } => self.launched(now, presentation, result),
            Input::ReceiverEnded { presentation } => self.receiver_ended(now, presentation),
            Input::DeviceFound { device_id, name, schemes } => self.device_found(device_id, name, schemes),
            Input::DeviceLost { device_id } => self.device_lost(device_id),
            Input::Tick => {
                self.ticking = Some(now);
                Ok(())
            }
            Input::Renamed { device_id } => {
                self.settings.device_id = DeviceId::try_from(device_id).map_err(|_| NotTaken::Full)?;
                Ok(())
            }
        };
        if taken == Err(NotTaken::Late) {
            self.stale = self.stale.saturating_add(1);
        }
        taken
    }

    fn poll_action(&mut self) -> Option<Action> {
        loop {
            if let Some(action) = self.direct.pop_front() {
                return Some(action);
            }
            // What is to be said comes before the deeds that take away what it is about.
            if !self.touched_channels.is_empty() {
                match self.next_of_channels() {
                    Some(action) => return Some(action),
                    None => continue,
                }
            }
            if self.do_next_of_connections() || self.do_next_of_pages() {
                continue;
            }
            if let Some(action) = self.next_availability() {
                return Some(action);
            }
            if !self.work_off_tick() {
                return None;
            }
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let channels = earliest(self.channel_deadlines.first(), self.connection_deadlines.first());
        earliest(earliest(channels, self.page_deadlines.first()), self.next_selection_deadline())
    }
}
