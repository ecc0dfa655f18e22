//! Failures, of a kind that a test chose or the world's rules say.

use std::fmt;

use greenroom_core::hal::{Distrust, Error, ErrorKind};

/// A call that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// [`greenroom_core::hal::Watch::watch`]
    Watch,
    /// [`greenroom_core::hal::Socket::send`]
    Send,
    /// [`greenroom_core::hal::Socket::receive`]
    Receive,
    /// [`greenroom_core::hal::Listener::accept`]
    Accept,
    /// [`greenroom_core::hal::Listen::listen`]
    Listen,
    /// [`greenroom_core::hal::Listen::adopt`]
    Adopt,
    /// [`greenroom_core::hal::Listen::duplicate`]
    Duplicate,
    /// [`crate::World::connect`]
    Connect,
    /// [`greenroom_core::hal::Spawn::spawn`]
    Spawn,
    /// [`greenroom_core::hal::Child::signal`]
    Signal,
    /// [`greenroom_core::hal::Child::try_wait`]
    TryWait,
    /// [`greenroom_core::hal::SharedMemory::create`], for each of its regions
    CreateMemory,
    /// [`greenroom_core::hal::SharedMemory::doorbell`]
    CreateBell,
    /// [`greenroom_core::hal::Doorbell::ring`]
    Ring,
    /// To use memory or a bell that came from a peer.
    Attach,
    /// [`greenroom_core::hal::SharedMemory::populate`]
    Populate,
    /// [`greenroom_core::hal::SharedMemory::duplicate`]
    DuplicateRegion,
    /// [`greenroom_core::hal::Decoder::open`]
    OpenDecoder,
    /// [`greenroom_core::hal::Decoder::command`]
    CommandDecoder,
    /// [`greenroom_core::hal::KeyProvider::open`]
    OpenKeys,
    /// [`greenroom_core::hal::KeyProvider::command`]
    CommandKeys,
    /// [`greenroom_core::hal::ByteStream::send`]
    SendBytes,
    /// [`greenroom_core::hal::ByteStream::receive`]
    ReceiveBytes,
    /// [`greenroom_core::hal::Network::connect`], and what comes of it
    ConnectStream,
    /// [`greenroom_core::hal::Network::listen`]
    ListenStream,
    /// [`greenroom_core::hal::StreamListener::accept`]
    AcceptStream,
    /// [`greenroom_core::hal::Discovery::announce`]
    Announce,
    /// [`greenroom_core::hal::Discovery::browse`]
    Browse,
    /// [`greenroom_core::hal::KnownDevices::remember`]
    Remember,
    /// [`greenroom_core::hal::Receivers::start`]
    StartReceiver,
    /// [`greenroom_core::driver::PresentationHost::lend`]
    Lend,
}

impl Call {
    /// How it fails where nobody chose how.
    pub const fn usual_failure(self) -> ErrorKind {
        match self {
            Self::Send | Self::Receive | Self::Connect | Self::SendBytes | Self::ReceiveBytes | Self::ConnectStream => {
                ErrorKind::Gone
            }
            Self::CommandDecoder | Self::CommandKeys | Self::Attach => ErrorKind::Other,
            Self::Watch
            | Self::Accept
            | Self::Listen
            | Self::Adopt
            | Self::Duplicate
            | Self::Spawn
            | Self::Signal
            | Self::TryWait
            | Self::CreateMemory
            | Self::CreateBell
            | Self::Ring
            | Self::Populate
            | Self::DuplicateRegion
            | Self::OpenDecoder
            | Self::OpenKeys
            | Self::ListenStream
            | Self::AcceptStream
            | Self::Announce
            | Self::Browse
            | Self::Remember
            | Self::StartReceiver
            | Self::Lend => ErrorKind::Exhausted,
        }
    }
}

/// A call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimulatedError {
    call: Call,
    kind: ErrorKind,
    distrust: Option<Distrust>,
}

impl SimulatedError {
    /// This call, for this reason.
    pub fn new(call: Call, kind: ErrorKind) -> Self {
        Self { call, kind, distrust: None }
    }

    /// The peer has another certificate than it should have.
    pub(crate) fn untrusted(distrust: Distrust) -> Self {
        Self { call: Call::ConnectStream, kind: ErrorKind::Untrusted, distrust: Some(distrust) }
    }
}

impl fmt::Display for SimulatedError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "simulated {:?} failed: {:?}", self.call, self.kind)
    }
}

impl std::error::Error for SimulatedError {}

impl Error for SimulatedError {
    fn kind(&self) -> ErrorKind {
        self.kind
    }

    fn distrust(&self) -> Option<Distrust> {
        self.distrust
    }
}

impl embedded_io::Error for SimulatedError {
    fn kind(&self) -> embedded_io::ErrorKind {
        embedded_io::ErrorKind::Other
    }
}
