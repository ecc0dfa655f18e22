//! What is said on a control channel, without the texts.

use serde::{Deserialize, Serialize};

use super::Side;
use crate::message::papi::{Message, Reason};

/// A message without its texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(missing_docs, reason = "each is the message of the same name")]
pub enum Word {
    Connect { extension: u8 },
    ConnectAck { extension: u8 },
    Disconnect(Reason),
    Launch,
    LaunchAck,
    Terminate,
    TerminateAck,
    Reconnect,
    ReconnectAck,
    Offer,
    Answer,
    IceCandidate,
    Ping,
    Pong,
    Unknown,
}

impl Word {
    /// The word of a message.
    pub const fn of<T>(message: &Message<T>) -> Self {
        match message {
            Message::Connect { extension, .. } => Self::Connect { extension: *extension },
            Message::ConnectAck { extension } => Self::ConnectAck { extension: *extension },
            Message::Disconnect { reason } => Self::Disconnect(*reason),
            Message::Launch { .. } => Self::Launch,
            Message::LaunchAck { .. } => Self::LaunchAck,
            Message::Terminate { .. } => Self::Terminate,
            Message::TerminateAck { .. } => Self::TerminateAck,
            Message::Reconnect { .. } => Self::Reconnect,
            Message::ReconnectAck { .. } => Self::ReconnectAck,
            Message::Offer(_) => Self::Offer,
            Message::Answer(_) => Self::Answer,
            Message::IceCandidate { .. } => Self::IceCandidate,
            Message::Ping => Self::Ping,
            Message::Pong => Self::Pong,
            Message::Unknown => Self::Unknown,
        }
    }

    /// Whether the owner of this side of a connected channel may say it.
    pub const fn is_sayable_by(self, side: Side) -> bool {
        match self {
            Self::Launch | Self::Reconnect | Self::Offer => matches!(side, Side::Controller),
            Self::LaunchAck | Self::ReconnectAck | Self::Answer => matches!(side, Side::Receiver),
            Self::Terminate | Self::TerminateAck | Self::IceCandidate => true,
            // The channel says these itself, or nobody does.
            Self::Connect { .. }
            | Self::ConnectAck { .. }
            | Self::Disconnect(_)
            | Self::Ping
            | Self::Pong
            | Self::Unknown => false,
        }
    }

    /// Whether it means something when this side hears it on a connected channel.
    pub const fn is_hearable_by(self, side: Side) -> bool {
        self.is_sayable_by(match side {
            Side::Controller => Side::Receiver,
            Side::Receiver => Side::Controller,
        })
    }
}
