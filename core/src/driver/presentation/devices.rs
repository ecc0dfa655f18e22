//! Which devices are on the network (PS-22).

use core::net::IpAddr;

use heapless::Vec;

use super::{PresentationDriver, PresentationHost};
use crate::fmt::{Said, info, warning};
use crate::hal::{Device, Discovery, DiscoveryEvent, Visitor};
use crate::limits::DEVICES_MAX;
use crate::presentation::service::{Input, Schemes};
use crate::time::Instant;

/// Events of one turn.
const EVENTS_PER_TURN_MAX: usize = 2 * DEVICES_MAX;

/// Where devices are reached.
pub(super) type Devices = Vec<Device, DEVICES_MAX>;

/// Whether a device is where the one whose name it has was discovered, or has its certificate.
pub(super) fn is_discovered(devices: &Devices, visitor: &Visitor<'_>) -> bool {
    let device = devices.iter().find(|device| device.id == visitor.device_id);
    device.is_some_and(|device| match device.fingerprint {
        // An address proves nothing where the device could have proved more.
        Some(fingerprint) => visitor.fingerprint == Some(fingerprint),
        None => has_address(device, visitor.address),
    })
}

/// Whether this is an address of the device that was discovered under this name.
pub(super) fn is_at(devices: &Devices, device_id: &str, address: IpAddr) -> bool {
    devices.iter().any(|device| device.id == device_id && has_address(device, address))
}

fn has_address(device: &Device, address: IpAddr) -> bool {
    device.addresses.iter().any(|known| known.ip() == address)
}

impl<H: PresentationHost> PresentationDriver<H> {
    pub(super) fn hear_of_devices(&mut self, host: &mut H, now: Instant) {
        for _ in 0..EVENTS_PER_TURN_MAX {
            match host.platform().discovery.next_event() {
                Ok(Some(event)) => self.take_discovery(host, now, event),
                Ok(None) => return,
                Err(error) => return warning!("devices cannot be looked for: {}", Said(&error)),
            }
        }
    }

    fn take_discovery(&mut self, host: &mut H, now: Instant, event: DiscoveryEvent) {
        match event {
            DiscoveryEvent::Found(device) | DiscoveryEvent::Changed(device) => self.find(host, now, device),
            DiscoveryEvent::Gone(id) => {
                self.devices.retain(|device| device.id != id);
                self.take(host, now, Input::DeviceLost { device_id: &id });
                self.look_for_missed(host);
            }
            DiscoveryEvent::Renamed(name) => {
                warning!("another device has this box's name; it is {} from now on", name.as_str());
                self.take(host, now, Input::Renamed { device_id: &name });
            }
        }
    }

    /// There is room again: who was not looked at may be there still.
    fn look_for_missed(&mut self, host: &mut H) {
        if !self.misses_devices || self.devices.is_full() || planted!("missed_device_forgotten") {
            return;
        }
        match host.platform().discovery.browse() {
            Ok(()) => self.misses_devices = false,
            Err(error) => warning!("devices for which there was no room are not looked for: {}", Said(&error)),
        }
    }

    fn find(&mut self, host: &mut H, now: Instant, device: Device) {
        let (id, name) = (device.id.clone(), device.name.clone());
        let known = self.devices.iter_mut().find(|known| known.id == id);
        let kept = match known {
            Some(known) => {
                *known = device;
                Ok(())
            }
            None => self.devices.push(device).map_err(|_| ()),
        };
        if kept.is_err() {
            self.misses_devices = true;
            return warning!("{} devices are known already; {} is not looked at", DEVICES_MAX, id.as_str());
        }
        info!("device {}", name.as_str());
        self.take(host, now, Input::DeviceFound { device_id: &id, name: &name, schemes: Schemes::ALL });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hal::Fingerprint;

    fn device(fingerprint: Option<Fingerprint>) -> Devices {
        let (id, name) = ("TV".try_into().unwrap(), "TV".try_into().unwrap());
        let addresses = ["192.0.2.7:1".parse().unwrap()].into_iter().collect();
        [Device { id, name, addresses, fingerprint, version: 1 }].into_iter().collect()
    }

    fn visits(devices: &Devices, address: &str, fingerprint: Option<Fingerprint>) -> bool {
        let address: IpAddr = address.parse().unwrap();
        is_discovered(devices, &Visitor { device_id: "TV", address, fingerprint })
    }

    /// PS-34
    ///
    /// Presentation defect 31
    #[test]
    fn a_device_is_known_by_its_certificate_and_by_its_address_only_where_it_has_none() {
        let (own, other) = (Some(Fingerprint([1; 32])), Some(Fingerprint([2; 32])));
        assert!(visits(&device(own), "192.0.2.9", own));
        assert!(!visits(&device(own), "192.0.2.7", None));
        assert!(!visits(&device(own), "192.0.2.7", other));
        assert!(visits(&device(None), "192.0.2.7", None));
        assert!(!visits(&device(None), "192.0.2.9", None));
        assert!(!visits(&Devices::new(), "192.0.2.7", own));
    }

    /// PS-34
    #[test]
    fn a_device_is_where_it_was_discovered() {
        let is_at = |name, address: &str| is_at(&device(Some(Fingerprint([1; 32]))), name, address.parse().unwrap());
        assert!(is_at("TV", "192.0.2.7"));
        assert!(!is_at("TV", "192.0.2.9"));
        assert!(!is_at("Radio", "192.0.2.7"));
    }
}
