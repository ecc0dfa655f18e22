//! What a device says about itself.

use greenroom_core::hal::{Announcement, Device, DeviceAddresses, DeviceName, Fingerprint, socket_address};
use mdns_sd::{ResolvedService, ScopedIp, ServiceInfo, TxtProperties};

/// The service, in its domain.
pub(super) const SERVICE: &str = "_presentation-ctrl._tcp.local.";
const VERSION: &str = "version";
const FINGERPRINT: &str = "certFingerprint";

/// The record of this device. Its addresses are those that it has, and will have.
pub(super) fn service(announcement: &Announcement<'_>, host: &str) -> mdns_sd::Result<ServiceInfo> {
    let mut properties = vec![(VERSION.to_owned(), announcement.version.to_string())];
    let fingerprint = announcement.fingerprint.map(|fingerprint| (FINGERPRINT.to_owned(), fingerprint.to_string()));
    properties.extend(fingerprint);
    let service = ServiceInfo::new(SERVICE, announcement.name, host, "", announcement.port, &properties[..])?;
    Ok(service.enable_addr_auto())
}

/// The device of a record; none where the record says nothing that can be used.
pub(super) fn device(service: &ResolvedService) -> Option<Device> {
    let name = instance(&service.fullname)?;
    let addresses = addresses(service);
    if addresses.is_empty() {
        return None;
    }
    Some(Device {
        id: name.as_str().try_into().ok()?,
        name,
        addresses,
        fingerprint: fingerprint(&service.txt_properties)?,
        version: service.txt_properties.get_property_val_str(VERSION)?.parse().ok()?,
    })
}

/// The certificate that is announced, if any. A damaged one is not the same as none: that would be a way to take away a
/// device's encryption.
fn fingerprint(properties: &TxtProperties) -> Option<Option<Fingerprint>> {
    match properties.get_property_val_str(FINGERPRINT) {
        None | Some("") => Some(None),
        Some(text) => Fingerprint::parse(text).map(Some),
    }
}

/// The name for people in the name of an instance.
pub(super) fn instance(full_name: &str) -> Option<DeviceName> {
    let escaped = full_name.strip_suffix(SERVICE)?.strip_suffix('.')?;
    let mut name = DeviceName::new();
    let mut letters = escaped.chars();
    while let Some(letter) = letters.next() {
        let letter = if letter == '\\' { letters.next()? } else { letter };
        name.push(letter).ok()?;
    }
    (!name.is_empty()).then_some(name)
}

/// IPv4 first; always in the same order, so that a record that comes again is no change.
fn addresses(service: &ResolvedService) -> DeviceAddresses {
    let mut addresses: Vec<_> = service
        .addresses
        .iter()
        .map(|address| {
            let link = match address {
                ScopedIp::V6(scoped) if scoped.addr().is_unicast_link_local() => scoped.scope_id().index,
                _ => 0,
            };
            (link > 0, socket_address(address.to_ip_addr(), service.port, link))
        })
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses.into_iter().map(|(_, address)| address).take(DeviceAddresses::new().capacity()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(fingerprint: Option<Fingerprint>) -> ServiceInfo {
        let announcement = Announcement { name: "Living. room", port: 4711, fingerprint, version: 1 };
        service(&announcement, "box.local.").unwrap()
    }

    fn resolved(properties: &[(&str, &str)], addresses: &str) -> ResolvedService {
        ServiceInfo::new(SERVICE, "Living. room", "box.local.", addresses, 4711, properties)
            .unwrap()
            .as_resolved_service()
    }

    #[test]
    fn a_device_says_what_mozillas_devices_say() {
        let fingerprint = Fingerprint([0xAB; 32]);
        let record = announced(Some(fingerprint));
        assert_eq!(record.get_type(), "_presentation-ctrl._tcp.local.");
        assert_eq!(record.get_property_val_str("version"), Some("1"));
        assert_eq!(record.get_property_val_str("certFingerprint"), Some(fingerprint.to_string().as_str()));
        assert_eq!(announced(None).get_property_val_str("certFingerprint"), None);
        assert!(record.is_addr_auto());
    }

    /// Presentation defect 12
    #[test]
    fn a_record_becomes_a_device_with_its_best_address_first() {
        let text = Fingerprint([0xAB; 32]).to_string();
        let record = resolved(&[("version", "2"), ("certFingerprint", &text)], "2001:db8::7,192.0.2.9,192.0.2.7");
        let found = device(&record).unwrap();
        assert_eq!((found.id.as_str(), found.name.as_str()), ("Living. room", "Living. room"));
        assert_eq!((found.version, found.fingerprint), (2, Some(Fingerprint([0xAB; 32]))));
        let addresses: Vec<String> = found.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["192.0.2.7:4711", "192.0.2.9:4711", "[2001:db8::7]:4711"]);
    }

    /// A damaged fingerprint does not make a device one without encryption.
    ///
    /// Presentation defect 7
    #[test]
    fn what_cannot_be_used_is_no_device() {
        for (properties, addresses) in [
            (&[("version", "1"), ("certFingerprint", "AB:CD")][..], "192.0.2.7"),
            (&[("version", "one")], "192.0.2.7"),
            (&[], "192.0.2.7"),
            (&[("version", "1")], ""),
        ] {
            assert_eq!(device(&resolved(properties, addresses)), None, "{properties:?} {addresses}");
        }
        assert!(device(&resolved(&[("version", "1"), ("certFingerprint", "")], "192.0.2.7")).is_some());
    }

    #[test]
    fn what_is_no_instance_of_the_service_has_no_name() {
        assert_eq!(instance("TV._presentation-ctrl._tcp.local.").unwrap(), "TV");
        for name in ["", SERVICE, "TV._http._tcp.local.", "._presentation-ctrl._tcp.local.", "T\\._presentation-ctrl"] {
            assert_eq!(instance(name), None, "{name}");
        }
        assert_eq!(instance(&format!("{}.{SERVICE}", "x".repeat(64))), None);
    }
}
