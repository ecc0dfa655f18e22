//! What a platform must offer.
//!
//! Small traits, control apart from data. Nothing here calls back into the core: what happens later comes as
//! readiness ([`Ready`]) from the platform's loop, and the driver then asks for it. No call blocks.
//!
//! A trait stands here only with two implementations (`hal-linux`, `hal-mock`) and one generic user.

mod decoder;
mod discovery;
mod keys;
mod memory;
mod network;
mod policy;
mod process;
mod readiness;
mod receivers;
mod socket;
mod stream;
mod trust;

use core::fmt::{self, Debug};

use serde::{Deserialize, Serialize};

pub use self::decoder::{Decoder, DecoderCommand, DecoderEvent, Stream};
pub use self::discovery::{
    Announcement, Device, DeviceAddresses, DeviceId, DeviceName, Discovery, DiscoveryEvent, socket_address,
};
pub use self::keys::{KEY_STATUSES_BYTES_MAX, KeyCommand, KeyEvent, KeyProvider};
pub use self::memory::{Doorbell, OutOfRegion, Region, RegionMut, SharedMemory};
pub use self::network::{Addresses, Network, Protection, Random, StreamListener};
pub use self::policy::{Authority, Launcher, Profile, Right};
pub use self::process::{Child, ExitStatus, Signal, Spawn};
pub use self::readiness::{Interest, Ready, Token, Watch};
pub use self::receivers::{Launch, Receivers, Visitor};
pub use self::socket::{Connect, Descriptors, Listen, Listener, Peer, Received, Sent, Socket, SocketPlace};
pub use self::stream::{Arrived, ByteStream};
pub use self::trust::{Distrust, FINGERPRINT_TEXT_BYTES, Fingerprint, KnownDevices, Trust, judge};

/// What kind of failure a platform's error is: what the core can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ErrorKind {
    /// Not now: too many of something, or too little of it, is there.
    Exhausted,
    /// Not permitted.
    Denied,
    /// The other side, or the thing itself, is not there any more.
    Gone,
    /// What is needed does not exist.
    NotFound,
    /// Somebody else has it.
    Busy,
    /// This platform cannot do it.
    Unsupported,
    /// A named user or group does not exist or may not be given.
    Owner,
    /// Anything else.
    Other,
    /// What is there is of another kind, e.g. a plain file where a socket is to be.
    WrongKind,
    /// The peer is not who it should be: [`Error::distrust`] says more.
    Untrusted,
}

/// A platform's error.
pub trait Error: Debug + fmt::Display {
    /// What the core can act on.
    fn kind(&self) -> ErrorKind;

    /// Why the peer is not trusted, where its certificate is the reason.
    fn distrust(&self) -> Option<Distrust> {
        None
    }
}

/// Every trait's errors are of one type a platform.
pub trait ErrorType {
    /// That type.
    type Error: Error;
}
