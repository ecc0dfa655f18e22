//! What stands in the service's tables.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use super::{Access, ChannelHandle, ClientHandle, Origin, PresentationHandle, Schemes, Ticket};
use crate::limits::URLS_MAX;
use crate::message::presentation::{
    ConnectionState, DeviceId, DeviceName, LaunchToken, PresentationId, TransportKind, Url,
};
use crate::presentation::control_channel::Channel;
use crate::presentation::session::{Controlling, Page, Presenting};
use crate::time::Instant;

/// A local client.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Client {
    pub(super) handle: ClientHandle,
    pub(super) access: Access,
    /// The schemes of the pages that it watches, and what it was told.
    pub(super) watch: Option<(Schemes, bool)>,
    /// It chooses devices.
    pub(super) chooses: bool,
    /// It builds data channels (PS-20).
    pub(super) builds: bool,
}

/// A device on the network that can show pages.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Device {
    pub(super) id: DeviceId,
    pub(super) name: DeviceName,
    pub(super) schemes: Schemes,
}

/// A request that waits for a device.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Selection {
    pub(super) from: Ticket,
    pub(super) id: PresentationId,
    pub(super) urls: Vec<Url, URLS_MAX>,
    /// Of the page that asks.
    pub(super) origin: Url,
    pub(super) transport: TransportKind,
    pub(super) deadline: Instant,
}

/// A control channel, and what it is for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChannelEntry {
    pub(super) channel: Channel,
    /// The other device: the one that was reached for, or what it says that it is.
    pub(super) device_id: DeviceId,
    /// From where it came; `None` for a channel that this box opened.
    pub(super) origin: Option<Origin>,
    pub(super) connection: Option<super::ConnectionHandle>,
    /// Of which presentation the names are that are said on it.
    pub(super) subject: Option<PresentationHandle>,
    pub(super) is_touched: bool,
}

/// One connection to a presentation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Connection {
    pub(super) session: Session,
    pub(super) presentation: PresentationHandle,
    pub(super) channel: Option<ChannelHandle>,
    /// How its data travels: as this box wanted to offer, or was offered.
    pub(super) kind: TransportKind,
    /// The client of a controlling connection; its receiver's is that of the presentation.
    pub(super) owner: Option<ClientHandle>,
    /// Who waits for the end of the presentation.
    pub(super) settle: Option<Ticket>,
    pub(super) is_touched: bool,
    /// The receiver knows of it.
    pub(super) is_announced: bool,
    /// The receiver has to be told of its state, because it learns of it late.
    pub(super) is_state_owed: bool,
}

/// Which end of a connection this box is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Session {
    Controlling(Controlling),
    Presenting(Presenting),
}

impl Session {
    pub(super) const fn state(&self) -> ConnectionState {
        match self {
            Self::Controlling(session) => session.state(),
            Self::Presenting(session) => session.state(),
        }
    }

    /// How the data of a connection travels that was offered like this.
    pub(super) const fn kind(&self, offered: TransportKind) -> TransportKind {
        match self {
            Self::Controlling(session) => session.kind(),
            Self::Presenting(_) => offered,
        }
    }

    /// Whether there is something to close, or to stop building.
    pub(super) const fn has_transport(&self) -> bool {
        match self {
            Self::Controlling(session) => session.has_transport(),
            Self::Presenting(session) => session.has_transport(),
        }
    }

    pub(super) const fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Controlling(session) => session.deadline(),
            Self::Presenting(session) => session.deadline(),
        }
    }
}

/// A presentation, on the device that asked for it or on the one that shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Presentation {
    pub(super) id: PresentationId,
    pub(super) url: Url,
    /// The other device.
    pub(super) device_id: DeviceId,
    /// The place of its first connection; the others are in one ring with it.
    pub(super) first_connection: Option<u16>,
    /// What there is of it where it is shown.
    pub(super) shown: Option<Shown>,
    pub(super) is_touched: bool,
}

/// A presentation that this box shows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Shown {
    pub(super) page: Page,
    /// Who started it (PS-34).
    pub(super) origin: Origin,
    /// What its process inherited (PS-36).
    pub(super) token: Option<LaunchToken>,
    pub(super) receiver: Option<ClientHandle>,
    /// Its receiver wants to know of connections (PS-17).
    pub(super) is_listening: bool,
    /// Who waits for its end.
    pub(super) settle: Option<Ticket>,
}
