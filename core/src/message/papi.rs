//! What two devices say to each other on a control channel: version 1 of Mozilla's protocol, and a few fields of our own.
//!
//! The device that opens the connection is the controller, the one that accepts it is the receiver; neither can take the
//! other's part. A field that is ours is left out where the peer is not one of us, and every peer ignores what it does
//! not know, so both kinds of peers get on (PS-32).
//!
//! ```text
//! controller                         receiver
//!     | connect ----------------------> |
//!     | <------------------ connect-ack |
//!     | launch -----------------------> |   or reconnect, or terminate
//!     | <------------------- launch-ack |
//!     | offer ------------------------> |
//!     | <----------------------- answer |
//!     | disconnect{0} ----------------> |   the receiver closes the connection
//! ```

use core::fmt;

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::limits::TRANSPORT_ADDRESSES_MAX;

/// The version of our own additions that this build speaks.
pub const EXTENSION: u8 = 1;

/// One message. `T` is how a text is held: `&str` in what was received, which is borrowed from its line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Message<T> {
    /// Controller: who I am. The first message of a channel.
    Connect {
        /// What the controller calls itself. Nothing vouches for it (PS-34).
        device_id: T,
        /// Ours: the version of our additions that the controller speaks; 0 for one that is not one of us.
        extension: u8,
    },
    /// Receiver: go on.
    ConnectAck {
        /// Ours: the version of our additions that the receiver speaks; 0 for one that is not one of us.
        extension: u8,
    },
    /// Either side: I leave. The other side closes the connection; there is no acknowledgement.
    Disconnect {
        /// Why.
        reason: Reason,
    },
    /// Controller: show this page.
    Launch {
        /// What the presentation is called from now on; hard to guess.
        presentation_id: T,
        /// The page.
        url: T,
    },
    /// Receiver: I have taken the launch.
    LaunchAck {
        /// Which presentation.
        presentation_id: T,
    },
    /// Either side: end the presentation.
    Terminate {
        /// Which presentation.
        presentation_id: T,
    },
    /// Either side: it ends.
    TerminateAck {
        /// Which presentation.
        presentation_id: T,
    },
    /// Controller: I am back.
    Reconnect {
        /// Which presentation.
        presentation_id: T,
        /// Its page, which must be the one that was launched.
        url: T,
    },
    /// Receiver: I have taken you back.
    ReconnectAck {
        /// Which presentation.
        presentation_id: T,
    },
    /// Controller: how you can reach me for the data.
    Offer(Description<T>),
    /// Receiver: how I shall do so.
    Answer(Description<T>),
    /// Either side: one more way to reach me, for a data channel.
    IceCandidate {
        /// The JSON text of an `RTCIceCandidate`.
        candidate: T,
    },
    /// Ours: are you there? Sent only to one of us.
    Ping,
    /// Ours: yes.
    Pong,
    /// Something that this version does not know, or an empty line. It is ignored.
    Unknown,
}

/// How the data is to travel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Description<T> {
    /// By TCP: an offer says where the controller listens, an answer says which framing was chosen.
    Tcp {
        /// Addresses of one and the same listener, the best one first. Mozilla's peers look at the first one only.
        addresses: Vec<T, TRANSPORT_ADDRESSES_MAX>,
        /// The port of the unframed transport; 0 in an answer.
        port: u16,
        /// Ours: the framed transport, where it is offered, or was chosen.
        framed: Option<Framed<T>>,
    },
    /// By an `RTCDataChannel`.
    DataChannel {
        /// The JSON text of an `RTCSessionDescription`: it may have 70 kB.
        sdp: T,
    },
}

/// The framed TCP transport: text and binary messages that keep their bounds, over TLS (PS-19).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Framed<T> {
    /// The version of the framing.
    pub version: u8,
    /// Its port at the addresses of the offer; 0 in an answer.
    pub port: u16,
    /// The SHA-256 of the listener's certificate; empty in an answer, and where there is no TLS.
    pub fingerprint: T,
    /// What the connecting side has to say first, so that nobody else is let in (PS-34); empty in an answer.
    pub token: T,
}

impl<T> Message<T> {
    /// The same message with its texts held in another way.
    pub fn map<U>(self, mut with: impl FnMut(T) -> U) -> Message<U> {
        match self {
            Self::Connect { device_id, extension } => Message::Connect { device_id: with(device_id), extension },
            Self::ConnectAck { extension } => Message::ConnectAck { extension },
            Self::Disconnect { reason } => Message::Disconnect { reason },
            Self::Launch { presentation_id, url } => {
                Message::Launch { presentation_id: with(presentation_id), url: with(url) }
            }
            Self::LaunchAck { presentation_id } => Message::LaunchAck { presentation_id: with(presentation_id) },
            Self::Terminate { presentation_id } => Message::Terminate { presentation_id: with(presentation_id) },
            Self::TerminateAck { presentation_id } => Message::TerminateAck { presentation_id: with(presentation_id) },
            Self::Reconnect { presentation_id, url } => {
                Message::Reconnect { presentation_id: with(presentation_id), url: with(url) }
            }
            Self::ReconnectAck { presentation_id } => Message::ReconnectAck { presentation_id: with(presentation_id) },
            Self::Offer(description) => Message::Offer(description.map(with)),
            Self::Answer(description) => Message::Answer(description.map(with)),
            Self::IceCandidate { candidate } => Message::IceCandidate { candidate: with(candidate) },
            Self::Ping => Message::Ping,
            Self::Pong => Message::Pong,
            Self::Unknown => Message::Unknown,
        }
    }
}

impl<T> Description<T> {
    /// The same description with its texts held in another way.
    pub fn map<U>(self, mut with: impl FnMut(T) -> U) -> Description<U> {
        match self {
            Self::Tcp { addresses, port, framed } => Description::Tcp {
                addresses: addresses.into_iter().map(&mut with).collect(),
                port,
                framed: framed.map(|framed| Framed {
                    version: framed.version,
                    port: framed.port,
                    fingerprint: with(framed.fingerprint),
                    token: with(framed.token),
                }),
            },
            Self::DataChannel { sdp } => Description::DataChannel { sdp: with(sdp) },
        }
    }

    /// How the data is to travel.
    pub const fn kind(&self) -> DescriptionKind {
        match self {
            Self::Tcp { .. } => DescriptionKind::Tcp,
            Self::DataChannel { .. } => DescriptionKind::DataChannel,
        }
    }
}

/// The number by which a [`Description`] says how the data travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum DescriptionKind {
    /// `{"type":1, ...}`
    Tcp = 1,
    /// `{"type":2, ...}`
    DataChannel = 2,
}

/// Why a side leaves, as the number that Mozilla's programs know it by.
///
/// A number that is not named here is an error all the same; only [`Reason::NORMAL`] is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Reason(pub u32);

impl Reason {
    /// Nothing is wrong.
    pub const NORMAL: Self = Self(0);
    /// Ours: the page of a data channel went away. Said only to one of us.
    pub const WENT_AWAY: Self = Self(1);
    /// Something failed, and no more is known.
    pub const FAILURE: Self = Self(0x8000_4005);
    /// It was called off.
    pub const ABORTED: Self = Self(0x8053_0014);
    /// There is no such presentation, page or device.
    pub const NOT_FOUND: Self = Self(0x8053_0008);
    /// It may not be done by this device.
    pub const NOT_ALLOWED: Self = Self(0x8053_0021);
    /// It could not be done.
    pub const OPERATION: Self = Self(0x8053_0020);
    /// It took too long.
    pub const TIMEOUT: Self = Self(0x8053_0017);
    /// Nobody listens at the peer's address.
    pub const CONNECTION_REFUSED: Self = Self(0x804B_000D);
    /// The peer does not answer.
    pub const NETWORK_TIMEOUT: Self = Self(0x804B_000E);

    /// Whether it is no error.
    pub const fn is_normal(self) -> bool {
        self.0 == Self::NORMAL.0
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NORMAL => out.write_str("nothing is wrong"),
            Self::WENT_AWAY => out.write_str("its page went away"),
            Self::FAILURE => out.write_str("it failed on the other device; see the log there"),
            Self::ABORTED => out.write_str("it was called off"),
            Self::NOT_FOUND => out.write_str("there is no such presentation, page or device"),
            Self::NOT_ALLOWED => out.write_str("the other device does not allow it; see its permissions"),
            Self::OPERATION => out.write_str("the other device could not do it; see the log there"),
            Self::TIMEOUT => out.write_str("it took too long; try again"),
            Self::CONNECTION_REFUSED => out.write_str("nobody listens at the other device's address"),
            Self::NETWORK_TIMEOUT => out.write_str("the other device does not answer; see whether it is on"),
            Self(number) => write!(out, "error {number:#010x} of the other device"),
        }
    }
}
