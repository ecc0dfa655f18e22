//! Which devices are in sight, and what of it was told.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use greenroom_core::hal::{Device, DeviceId, DeviceName, DiscoveryEvent, Doorbell};
use mdns_sd::ResolvedService;

use super::record;
use crate::error::LinuxError;
use crate::memory::EventFd;

/// Devices that are kept in sight: many times what a home has. It bounds what a hostile network can make us hold.
pub const DEVICES_SEEN_MAX: usize = 64;

/// Shared by the threads that see and the loop that asks.
#[derive(Debug)]
pub(super) struct Sight {
    seen: Mutex<Seen>,
    bell: EventFd,
}

#[derive(Debug, Default)]
struct Seen {
    present: BTreeMap<DeviceId, Device>,
    told: BTreeMap<DeviceId, Device>,
    /// This device's own name, which the network may have changed.
    own: Option<DeviceName>,
    renamed: Option<DeviceName>,
}

impl Sight {
    pub(super) fn new() -> Result<Self, LinuxError> {
        Ok(Self { seen: Mutex::default(), bell: EventFd::new()? })
    }

    /// What a thread that has panicked has left is as good as before: every change is one step.
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Seen)) {
        let mut seen = self.seen();
        change(&mut seen);
        if let Err(error) = self.bell.ring() {
            tracing::warn!("{error}");
        }
    }

    /// From now on this device has this full name; nobody has changed it yet.
    pub(super) fn call_own(&self, full_name: &str) {
        self.change(|seen| {
            seen.own = record::instance(full_name);
            seen.renamed = None;
            seen.forget_own();
        });
    }

    pub(super) fn rename(&self, full_name: &str) {
        let Some(name) = record::instance(full_name) else { return };
        self.change(|seen| {
            if seen.own.as_ref() != Some(&name) {
                seen.own = Some(name.clone());
                seen.renamed = Some(name);
                seen.forget_own();
            }
        });
    }

    pub(super) fn see(&self, service: &ResolvedService) {
        match record::device(service) {
            Some(device) => self.change(|seen| seen.see(device)),
            // It may have been a device before.
            None => self.lose(&service.fullname),
        }
    }

    pub(super) fn lose(&self, full_name: &str) {
        let Some(id) = record::instance(full_name).and_then(|name| name.as_str().try_into().ok()) else { return };
        self.change(|seen| drop(seen.present.remove::<DeviceId>(&id)));
    }

    /// What is there is told once more; what has gone still is told as gone.
    pub(super) fn tell_again(&self) {
        self.change(|seen| {
            let Seen { present, told, .. } = seen;
            told.retain(|id, _| !present.contains_key(id));
        });
    }

    /// The first difference between what is there and what was told. Without one the bell falls silent.
    pub(super) fn next_event(&self) -> Result<Option<DiscoveryEvent>, LinuxError> {
        let mut seen = self.seen();
        let event = seen.next_event();
        if event.is_none() {
            self.bell.clear()?;
        }
        Ok(event)
    }
}

impl AsFd for Sight {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

impl Seen {
    fn see(&mut self, device: Device) {
        let is_own = self.own.as_ref().is_some_and(|own| device.name.eq_ignore_ascii_case(own));
        let has_room = self.present.len() < DEVICES_SEEN_MAX || self.present.contains_key(&device.id);
        if is_own {
            return;
        }
        if !has_room {
            tracing::warn!("{DEVICES_SEEN_MAX} devices are in sight already; {} is not looked at", device.id);
            return;
        }
        self.present.insert(device.id.clone(), device);
    }

    fn forget_own(&mut self) {
        let Self { present, own, .. } = self;
        present.retain(|_, device| own.as_ref().is_none_or(|own| !device.name.eq_ignore_ascii_case(own)));
    }

    fn next_event(&mut self) -> Option<DiscoveryEvent> {
        if let Some(name) = self.renamed.take() {
            return Some(DiscoveryEvent::Renamed(name));
        }
        let gone = self.told.keys().find(|id| !self.present.contains_key(*id)).cloned();
        if let Some(id) = gone {
            self.told.remove(&id);
            return Some(DiscoveryEvent::Gone(id));
        }
        let device = self.present.values().find(|device| self.told.get(&device.id) != Some(*device))?.clone();
        match self.told.insert(device.id.clone(), device.clone()) {
            None => Some(DiscoveryEvent::Found(device)),
            Some(_) => Some(DiscoveryEvent::Changed(device)),
        }
    }
}

#[cfg(test)]
mod tests {
    use mdns_sd::ServiceInfo;

    use super::*;

    fn service(name: &str, port: u16) -> ResolvedService {
        ServiceInfo::new(record::SERVICE, name, "box.local.", "192.0.2.7", port, &[("version", "1")][..])
            .unwrap()
            .as_resolved_service()
    }

    fn full_name(name: &str) -> String {
        format!("{name}.{}", record::SERVICE)
    }

    fn news(sight: &Sight) -> Vec<String> {
        let events = std::iter::from_fn(|| sight.next_event().unwrap());
        events
            .map(|event| match event {
                DiscoveryEvent::Found(device) => format!("found {} at {}", device.id, device.addresses[0].port()),
                DiscoveryEvent::Changed(device) => format!("changed {} to {}", device.id, device.addresses[0].port()),
                DiscoveryEvent::Gone(id) => format!("gone {id}"),
                DiscoveryEvent::Renamed(name) => format!("renamed {name}"),
            })
            .collect()
    }

    /// PS-22
    #[test]
    fn each_change_is_told_once_and_what_came_to_nothing_not_at_all() {
        let sight = Sight::new().unwrap();
        sight.see(&service("TV", 1));
        sight.see(&service("TV", 1));
        sight.see(&service("phone", 2));
        assert_eq!(news(&sight), ["found TV at 1", "found phone at 2"]);
        sight.see(&service("TV", 3));
        sight.lose(&full_name("phone"));
        sight.see(&service("guest", 4));
        sight.lose(&full_name("guest"));
        assert_eq!(news(&sight), ["gone phone", "changed TV to 3"]);
        assert_eq!(news(&sight), [""; 0]);
    }

    /// PS-22
    #[test]
    fn this_device_is_not_among_those_that_are_found_whatever_it_is_called() {
        let sight = Sight::new().unwrap();
        sight.see(&service("TV", 1));
        sight.call_own(&full_name("TV"));
        assert_eq!(news(&sight), [""; 0]);
        sight.rename(&full_name("TV (2)"));
        sight.rename(&full_name("TV (2)"));
        sight.see(&service("TV", 7));
        sight.see(&service("tv (2)", 1));
        assert_eq!(news(&sight), ["renamed TV (2)", "found TV at 7"]);
    }

    /// PS-22
    #[test]
    fn who_asks_again_is_told_of_all_that_are_there_and_of_none_that_has_gone() {
        let sight = Sight::new().unwrap();
        for name in ["TV", "phone", "radio"] {
            sight.see(&service(name, 1));
        }
        assert_eq!(news(&sight).len(), 3);
        sight.lose(&full_name("phone"));
        sight.tell_again();
        assert_eq!(news(&sight), ["gone phone", "found TV at 1", "found radio at 1"]);
        assert_eq!(news(&sight), [""; 0]);
    }

    /// PS-32
    #[test]
    fn a_flood_of_devices_fills_nothing() {
        let sight = Sight::new().unwrap();
        for number in 0..3 * DEVICES_SEEN_MAX {
            sight.see(&service(&format!("TV {number}"), 1));
        }
        assert_eq!(news(&sight).len(), DEVICES_SEEN_MAX);
        sight.see(&service("TV 0", 2));
        assert_eq!(news(&sight), ["changed TV 0 to 2"]);
    }

    #[test]
    fn the_bell_rings_until_everything_is_told() {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let sight = Sight::new().unwrap();
        let rings = || {
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            poll(&mut [PollFd::new(&sight, PollFlags::IN)], Some(&now)).unwrap() > 0
        };
        assert!(!rings());
        sight.see(&service("TV", 1));
        assert!(rings());
        sight.next_event().unwrap().unwrap();
        assert!(rings());
        assert!(sight.next_event().unwrap().is_none() && !rings());
    }
}
