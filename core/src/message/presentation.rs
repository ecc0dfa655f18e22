//! What local clients say to the presentation service, and hear: pages, receivers, and the platform's own programs.
//!
//! A page starts and joins presentations and waits for devices; a receiver is a process that was launched for a
//! presentation and says so with its launch token; a platform's program may besides choose devices for others and end
//! everything. What a client may do with a connection depends on whose it is (PS-36).

use core::fmt;

use heapless::{String, Vec};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::papi::Reason;
use crate::limits::{DEVICE_ID_BYTES_MAX, DEVICE_NAME_BYTES_MAX, PRESENTATION_ID_BYTES_MAX, URL_BYTES_MAX, URLS_MAX};

/// What a presentation is called, on both devices: hard to guess, for who knows it may join (PS-34).
pub type PresentationId = String<PRESENTATION_ID_BYTES_MAX>;
/// Where a page or an app is.
pub type Url = String<URL_BYTES_MAX>;
/// What a device calls itself on the network, for machines. Nothing vouches for it.
pub type DeviceId = String<DEVICE_ID_BYTES_MAX>;
/// What a device calls itself, for people.
pub type DeviceName = String<DEVICE_NAME_BYTES_MAX>;
/// The pages that a presentation can be started with, the preferred one first.
pub type Urls<'a> = Vec<&'a str, URLS_MAX>;

/// One call of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request<'a> {
    /// Chosen by the client, repeated by the answer.
    pub sequence: u32,
    /// What is asked.
    #[serde(borrow)]
    pub command: Command<'a>,
}

/// One connection to a presentation, as the service numbered it. It means nothing to another client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ConnectionId {
    /// Its place in the service's table.
    pub index: u16,
    /// Which stay in that place.
    pub generation: u16,
}

/// A request that a device be chosen, as the service numbered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SelectionId {
    /// Its place in the service's table.
    pub index: u16,
    /// Which stay in that place.
    pub generation: u16,
}

/// What a launched process inherits, and says to prove that it is the one that was launched (PS-12, PS-36).
#[derive(Clone, Copy, Eq, Serialize, Deserialize)]
pub struct LaunchToken(pub [u8; 16]);

/// Takes as long whichever byte differs: a process that guesses learns nothing from it.
impl PartialEq for LaunchToken {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// It is a secret.
impl fmt::Debug for LaunchToken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("LaunchToken(..)")
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for LaunchToken {
    fn format(&self, out: defmt::Formatter<'_>) {
        defmt::write!(out, "LaunchToken(..)");
    }
}

/// How the data of a connection travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TransportKind {
    /// TCP, built by the service (PS-04, PS-15); framed where both devices can.
    #[default]
    Tcp,
    /// A data channel, built in the client's process (PS-06, PS-15).
    DataChannel,
}

/// What a client can ask of the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Command<'a> {
    /// First on every connection. Answered by [`Answer::Welcome`].
    Hello,
    /// Start a presentation (PS-01). Answered by [`Answer::Connection`] when its device is chosen.
    Start {
        /// What it is called from now on; where it is empty the service finds a name.
        presentation_id: &'a str,
        /// The pages; the first that the device can show is taken (PS-02).
        #[serde(borrow)]
        urls: Urls<'a>,
        /// Who asks, as people know it: the origin of the page, or the name of the program.
        origin: &'a str,
        /// The device; the platform is asked where there is none.
        device: Option<&'a str>,
        /// How the data is to travel.
        transport: TransportKind,
    },
    /// Go on with a presentation that was started from this box (PS-09). Answered by [`Answer::Connection`].
    Reconnect {
        /// Which.
        presentation_id: &'a str,
        /// Its page must be one of these.
        #[serde(borrow)]
        urls: Urls<'a>,
    },
    /// Leave a connection; the presentation goes on. Answered by [`Answer::Done`].
    Close {
        /// Which.
        connection: ConnectionId,
        /// Whether the page goes away, and not only the connection.
        went_away: bool,
    },
    /// End a presentation on both devices (PS-10). Answered by [`Answer::Done`] when the other device has said so; a
    /// receiver, whose own end it is, is answered at once.
    Terminate {
        /// By one of its connections, or as its receiver with any of them.
        connection: ConnectionId,
    },
    /// Platform only: end a presentation, whoever started it. Answered by [`Answer::Done`].
    End {
        /// Which.
        presentation_id: &'a str,
    },
    /// Send a message (PS-18). Answered by [`Answer::Done`] when it is on its way.
    Send {
        /// On which connection.
        connection: ConnectionId,
        /// What.
        #[serde(borrow)]
        payload: Payload<'a>,
    },
    /// Say whenever one of these pages can or can no longer be shown anywhere (PS-22). Answered by
    /// [`Answer::Availability`]; another watch of this client is replaced.
    WatchAvailability {
        /// The pages.
        #[serde(borrow)]
        urls: Urls<'a>,
    },
    /// No more of that. Answered by [`Answer::Done`].
    UnwatchAvailability,
    /// Platform only: the devices, from this place on. Answered by [`Answer::Device`].
    ListDevices {
        /// 0, then what the last answer gave.
        from: u16,
    },
    /// The connections that this client may see, from this place on. Answered by [`Answer::Listed`].
    List {
        /// 0, then what the last answer gave.
        from: u16,
    },
    /// Platform only: say whenever a device is to be chosen, what waits already included. Answered by [`Answer::Done`].
    WatchSelections,
    /// Platform only: choose a device (PS-01). Answered by [`Answer::Done`].
    Select {
        /// For which request.
        selection: SelectionId,
        /// The device.
        device: &'a str,
    },
    /// Platform only: choose none (PS-01). Answered by [`Answer::Done`].
    Cancel {
        /// For which request.
        selection: SelectionId,
        /// Why not.
        because: NoDevice,
    },
    /// Receiver only: its page is there (PS-12). Answered by [`Answer::Receiver`].
    ReceiverReady {
        /// What it inherited.
        token: LaunchToken,
    },
    /// Receiver only: its page cannot be shown (PS-13). Answered by [`Answer::Done`].
    ReceiverFailed {
        /// What it inherited.
        token: LaunchToken,
    },
    /// Receiver only: say which connections there are, and come (PS-17). Answered by [`Answer::Done`].
    ListenForConnections,
    /// The client's transport builder has something for the other device (PS-06). Answered by [`Answer::Done`].
    Built {
        /// For which connection.
        connection: ConnectionId,
        /// What.
        #[serde(borrow)]
        piece: Piece<'a>,
    },
    /// This client builds data channels (PS-20): said before it reconnects or is ready as a receiver; who starts with one
    /// has said so. Answered by [`Answer::Done`].
    RegisterBuilder,
    /// Platform only: how much the service itself has carried. Answered by [`Answer::Traffic`].
    Traffic,
}

/// The body of a message between the two ends of a presentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Payload<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
}

impl Payload<'_> {
    /// Its length in bytes.
    pub const fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }
}

/// What passes between a client's transport builder and the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Piece<'a> {
    /// The description that is offered.
    Offer(&'a str),
    /// The description that answers it.
    Answer(&'a str),
    /// One more candidate.
    Candidate(&'a str),
    /// The data channel is open (PS-07).
    Open,
    /// To the service: it could not be opened. From the service: it is not wanted any more.
    Closed,
    /// It was open, or was to be, and is not any more.
    Over(CloseReason),
}

/// Why no device was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum NoDevice {
    /// Whoever was asked does not want to.
    Cancelled,
    /// There is none that can show the page.
    NotFound,
}

/// The state of a connection (PS-30).
///
/// ```text
/// Connecting --> Connected --> Closed --reconnect--> Connecting
///     |              |            |
///     |              +------------+----> Terminated, which is final
///     +--> Closed, Terminated
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ConnectionState {
    /// It is being made, and will be in another state within a time limit.
    Connecting,
    /// Messages go both ways.
    Connected,
    /// It can be taken up again.
    Closed,
    /// The presentation has ended.
    Terminated,
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum CloseReason {
    /// One side closed it.
    Closed,
    /// One side went away: a page was left, or a program ended.
    WentAway,
    /// The presentation has ended.
    Terminated,
    /// Something failed.
    Error(Reason),
}

impl fmt::Display for CloseReason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => out.write_str("it was closed"),
            Self::WentAway => out.write_str("the other side went away"),
            Self::Terminated => out.write_str("the presentation has ended"),
            Self::Error(reason) => reason.fmt(out),
        }
    }
}

/// What the service says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message<'a> {
    /// The one answer to a request.
    Reply {
        /// The number of the request.
        sequence: u32,
        /// What came of it.
        #[serde(borrow)]
        result: Result<Answer<'a>, Refusal>,
    },
    /// Something happened.
    Event(#[serde(borrow)] Event<'a>),
}

/// What a request is answered by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Answer<'a> {
    /// It was done.
    Done,
    /// The protocol version that both sides speak.
    Welcome {
        /// It.
        version: u8,
    },
    /// There is a connection. The next event about it tells its state, unless the client has it already.
    Connection {
        /// It.
        connection: ConnectionId,
        /// The presentation, named by the service where the client gave no name.
        presentation_id: &'a str,
        /// The page that is shown.
        url: &'a str,
    },
    /// Whether one of the watched pages can be shown now.
    Availability {
        /// Whether.
        available: bool,
    },
    /// One device; `None` when there are no more.
    Device(#[serde(borrow)] Option<DeviceStatus<'a>>),
    /// One connection; `None` when there are no more.
    Listed(#[serde(borrow)] Option<ConnectionStatus<'a>>),
    /// What the receiver shows.
    Receiver {
        /// The presentation.
        presentation_id: &'a str,
        /// The page.
        url: &'a str,
    },
    /// What the service has carried since it was started.
    Traffic(Traffic),
}

/// The messages that the service itself has carried on transports between devices, and their bytes. Those on data channels
/// are none of them (PS-07).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Traffic {
    /// To other devices.
    pub sent_messages: u64,
    /// To other devices.
    pub sent_bytes: u64,
    /// From other devices.
    pub received_messages: u64,
    /// From other devices.
    pub received_bytes: u64,
}

/// A device that can show pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DeviceStatus<'a> {
    /// Where the next one is asked for.
    pub next: u16,
    /// What it calls itself.
    pub device_id: &'a str,
    /// What people call it.
    pub name: &'a str,
}

/// A connection, as it is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ConnectionStatus<'a> {
    /// Where the next one is asked for.
    pub next: u16,
    /// It.
    pub connection: ConnectionId,
    /// Of which presentation.
    pub presentation_id: &'a str,
    /// What is shown.
    pub url: &'a str,
    /// The other device.
    pub device_id: &'a str,
    /// How it is.
    pub state: ConnectionState,
    /// Whether this box shows the page.
    pub is_receiver: bool,
}

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A connection is in another state.
    State {
        /// Which.
        connection: ConnectionId,
        /// The state it is in.
        state: ConnectionState,
        /// Why, where it is closed or terminated.
        reason: Option<CloseReason>,
    },
    /// A message of the other side (PS-18).
    Message {
        /// On which connection.
        connection: ConnectionId,
        /// What.
        #[serde(borrow)]
        payload: Payload<'a>,
    },
    /// To a receiver: there is a connection (PS-17). Its state follows.
    Available {
        /// It.
        connection: ConnectionId,
        /// The controlling device.
        device_id: &'a str,
    },
    /// The watched pages can be shown somewhere, or no longer (PS-22).
    Availability {
        /// Whether.
        available: bool,
    },
    /// To the platform: a device is to be chosen (PS-01).
    SelectionAsked {
        /// The request.
        selection: SelectionId,
        /// Who asks.
        origin: &'a str,
        /// The pages.
        #[serde(borrow)]
        urls: Urls<'a>,
    },
    /// To the platform: no choice is needed any more.
    SelectionOver {
        /// Which request.
        selection: SelectionId,
    },
    /// The client is to build the transport of a connection (PS-20).
    Build {
        /// Of which.
        connection: ConnectionId,
        /// Whether it makes the offer; else one follows.
        offers: bool,
    },
    /// Something for the client's transport builder (PS-06).
    Built {
        /// Of which connection.
        connection: ConnectionId,
        /// What.
        #[serde(borrow)]
        piece: Piece<'a>,
    },
}

/// A fixed table of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TableName {
    /// Control channels to other devices.
    Channels,
    /// Connections.
    Connections,
    /// Presentations.
    Presentations,
    /// Requests that a device be chosen.
    Selections,
    /// Watches of availability.
    Watches,
}

/// Why a request was refused. A refused request changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Refusal {
    /// Caller: no message that this version knows.
    Malformed,
    /// Caller: a text is empty or longer than its capacity.
    TextLength,
    /// Caller: no page is given, or none that any device may show.
    Urls,
    /// Caller: a presentation of this name exists.
    PresentationExists,
    /// Caller: there is no such presentation or connection, or it is not this client's (PS-36).
    NotFound,
    /// Caller: this connection is in a state in which that cannot be done.
    WrongState {
        /// The state it is in.
        state: ConnectionState,
    },
    /// Caller: this client asks for a device already.
    AlreadyAsking,
    /// Caller: only the platform's programs may do that.
    Denied,
    /// Caller: only a launched process with its token may do that (PS-36).
    NotReceiver,
    /// Platform: there is no such device, or none that can show one of the pages.
    NoDevice,
    /// Platform: whoever was asked for a device wants none.
    Cancelled,
    /// Platform: nobody is there who could be asked for a device.
    NobodyChooses,
    /// Platform: no device was chosen in time.
    SelectionTimeout,
    /// Platform: a table is full.
    Full {
        /// Which table.
        table: TableName,
        /// Its capacity.
        capacity: u16,
    },
    /// Peer: it did not acknowledge in time, or went; on this box it is done.
    NotAcknowledged,
    /// Peer: its transport takes no more now; try again.
    Congested,
    /// Peer: its transport carries texts only, and none that is empty.
    TextOnly,
    /// Peer: it keeps one connection to each presentation, and would lose the presentation over a second one.
    OneOnly,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => {
                out.write_str("the service does not know this request; use programs of the same release")
            }
            Self::TextLength => out.write_str("a text is empty or too long; shorten it"),
            Self::Urls => out.write_str("no page is given that a device may show; use http, https or app URLs"),
            Self::PresentationExists => {
                out.write_str("a presentation of this name exists; choose another, or reconnect")
            }
            Self::NotFound => out.write_str("there is no such presentation or connection of yours"),
            Self::WrongState { state } => write!(out, "the connection is {state}; reconnect first"),
            Self::AlreadyAsking => out.write_str("a device is being chosen for you already; wait for that"),
            Self::Denied => out.write_str("only the platform's own programs may do that; run as its user"),
            Self::NotReceiver => out.write_str("only a process that was launched for a presentation may do that"),
            Self::NoDevice => out.write_str("no such device can show one of the pages; see the list of devices"),
            Self::Cancelled => out.write_str("no device was chosen"),
            Self::NobodyChooses => out.write_str("nobody is there to choose a device; name one"),
            Self::SelectionTimeout => out.write_str("no device was chosen in time; try again"),
            Self::Full { table, capacity } => {
                write!(out, "the table of {table} is full ({capacity}); end one first")
            }
            Self::NotAcknowledged => out.write_str("it has ended here, but the other device did not say so"),
            Self::Congested => out.write_str("the connection takes no more now; try again"),
            Self::TextOnly => out.write_str("the other device takes texts only, and none that is empty"),
            Self::OneOnly => {
                out.write_str("the other device takes one connection to a presentation; close the other one first")
            }
        }
    }
}

impl core::error::Error for Refusal {}

impl fmt::Display for ConnectionState {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Closed => "closed",
            Self::Terminated => "terminated",
        })
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Channels => "control channels",
            Self::Connections => "connections",
            Self::Presentations => "presentations",
            Self::Selections => "requests for a device",
            Self::Watches => "watches of availability",
        })
    }
}
