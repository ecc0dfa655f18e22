//! Which devices are on the network.

use core::net::{IpAddr, SocketAddr, SocketAddrV6};

use heapless::Vec;

use super::{ErrorType, Fingerprint};
use crate::limits::DEVICE_ADDRESSES_MAX;
pub use crate::message::presentation::{DeviceId, DeviceName};

/// Where a device can be reached, the best address first. A link-local one says on which of our links.
pub type DeviceAddresses = Vec<SocketAddr, DEVICE_ADDRESSES_MAX>;

/// A device that announces itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Stays the same for as long as it announces itself.
    pub id: DeviceId,
    /// For people.
    pub name: DeviceName,
    /// Where it accepts control channels.
    pub addresses: DeviceAddresses,
    /// Its certificate; without one it does not encrypt.
    pub fingerprint: Option<Fingerprint>,
    /// The version of the control protocol that it speaks.
    pub version: u16,
}

/// How this device announces itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement<'a> {
    /// Its name, for people. Where another device has it, a number is added: [`DiscoveryEvent::Renamed`].
    pub name: &'a str,
    /// Where it accepts control channels, on all of its addresses.
    pub port: u16,
    /// Its certificate, if it encrypts.
    pub fingerprint: Option<Fingerprint>,
    /// The version of the control protocol that it speaks.
    pub version: u16,
}

/// What has changed on the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiscoveryEvent {
    /// A device is there that was not. Never our own.
    Found(Device),
    /// A device that was found is reached elsewhere, or calls itself something else.
    Changed(Device),
    /// A device that was found has said goodbye, or was not heard of for too long.
    Gone(DeviceId),
    /// Our own name was taken: we are announced by this one.
    Renamed(DeviceName),
}

/// Announces this device, and finds others. Readable when [`Discovery::next_event`] has something to tell.
///
/// What networks come and go, and what addresses this device has on them, is its own business. Dropping it takes the
/// announcement back.
pub trait Discovery: ErrorType {
    /// Announces this device until [`Discovery::withdraw`]; in place of what was announced before.
    fn announce(&mut self, announcement: &Announcement<'_>) -> Result<(), Self::Error>;

    /// Says goodbye.
    fn withdraw(&mut self) -> Result<(), Self::Error>;

    /// Looks for devices from now on. A second time it tells of all once more that are there, as found: who had no room
    /// for one asks again when there is some.
    fn browse(&mut self) -> Result<(), Self::Error>;

    /// What has changed since, oldest first. Each device is found before it changes or goes.
    fn next_event(&mut self) -> Result<Option<DiscoveryEvent>, Self::Error>;
}

/// An address with a port; `link` says on which of our links a link-local one is, and is 0 for others.
pub fn socket_address(address: IpAddr, port: u16, link: u32) -> SocketAddr {
    match address {
        IpAddr::V4(address) => SocketAddr::from((address, port)),
        IpAddr::V6(address) => SocketAddr::V6(SocketAddrV6::new(address, port, 0, link)),
    }
}
