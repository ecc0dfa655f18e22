//! Who announces what.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::rc::{Rc, Weak};

use greenroom_core::hal::{
    Addresses, Announcement, Device, DeviceId, DeviceName, Discovery, DiscoveryEvent, ErrorType, socket_address,
};

use crate::error::{Call, SimulatedError};
use crate::event_loop::{Readiness, Source};
use crate::world::World;

/// What hangs where everybody sees it.
#[derive(Default)]
pub(crate) struct Board {
    devices: BTreeMap<DeviceId, Device>,
    watchers: Vec<Weak<News>>,
}

impl fmt::Debug for Board {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.devices.keys()).finish()
    }
}

impl Board {
    fn tell(&mut self, but: &Rc<News>, event: &DiscoveryEvent) {
        self.watchers.retain(|watcher| watcher.strong_count() > 0);
        let others = self.watchers.iter().filter_map(Weak::upgrade).filter(|watcher| !Rc::ptr_eq(watcher, but));
        others.for_each(|watcher| watcher.events.borrow_mut().push_back(event.clone()));
    }

    /// The name, or the name with the first number that nobody else has.
    fn free_name(&self, own: &DeviceId, wanted: &str) -> DeviceName {
        let is_taken = |name: &str| self.devices.values().any(|device| device.id != *own && device.name == name);
        let numbered = (2..).map(|number| format!("{wanted} ({number})"));
        let name = std::iter::once(wanted.to_owned()).chain(numbered).find(|name| !is_taken(name));
        name.and_then(|name| DeviceName::try_from(name.as_str()).ok()).unwrap_or_default()
    }
}

#[derive(Debug, Default)]
struct News {
    events: RefCell<VecDeque<DiscoveryEvent>>,
}

impl Readiness for News {
    fn is_readable(&self) -> bool {
        !self.events.borrow().is_empty()
    }

    fn has_ended(&self) -> bool {
        false
    }
}

/// Announces one device in its world, and finds the others.
#[derive(Debug)]
pub struct MockDiscovery {
    world: World,
    id: DeviceId,
    addresses: Addresses,
    news: Rc<News>,
    browses: bool,
}

impl MockDiscovery {
    /// Of the device with this identifier and these addresses.
    pub fn new(world: &World, id: &str, addresses: Addresses) -> Self {
        let id = DeviceId::try_from(id).unwrap_or_default();
        Self { world: world.clone(), id, addresses, news: Rc::default(), browses: false }
    }

    /// From now on this device is announced at these addresses.
    pub fn move_to(&mut self, addresses: Addresses) {
        self.addresses = addresses;
    }

    fn device(&self, announcement: &Announcement<'_>, name: DeviceName) -> Device {
        let addresses = self.addresses.iter().map(|&address| socket_address(address, announcement.port, 0));
        Device {
            id: self.id.clone(),
            name,
            addresses: addresses.collect(),
            fingerprint: announcement.fingerprint,
            version: announcement.version,
        }
    }
}

impl ErrorType for MockDiscovery {
    type Error = SimulatedError;
}

impl Discovery for MockDiscovery {
    fn announce(&mut self, announcement: &Announcement<'_>) -> Result<(), SimulatedError> {
        self.world.fault(Call::Announce)?;
        let name = self.world.wires(|wires| wires.board.free_name(&self.id, announcement.name));
        if name != announcement.name {
            self.news.events.borrow_mut().push_back(DiscoveryEvent::Renamed(name.clone()));
        }
        let device = self.device(announcement, name);
        self.world.wires(|wires| {
            let before = wires.board.devices.insert(self.id.clone(), device.clone());
            match before {
                None => wires.board.tell(&self.news, &DiscoveryEvent::Found(device)),
                Some(before) if before != device => wires.board.tell(&self.news, &DiscoveryEvent::Changed(device)),
                Some(_) => {}
            }
        });
        Ok(())
    }

    fn withdraw(&mut self) -> Result<(), SimulatedError> {
        self.world.wires(|wires| {
            if wires.board.devices.remove(&self.id).is_some() {
                wires.board.tell(&self.news, &DiscoveryEvent::Gone(self.id.clone()));
            }
        });
        Ok(())
    }

    fn browse(&mut self) -> Result<(), SimulatedError> {
        self.world.fault(Call::Browse)?;
        let is_first = !std::mem::replace(&mut self.browses, true);
        let there: Vec<Device> = self.world.wires(|wires| {
            if is_first {
                wires.board.watchers.push(Rc::downgrade(&self.news));
            }
            wires.board.devices.values().filter(|device| device.id != self.id).cloned().collect()
        });
        self.news.events.borrow_mut().extend(there.into_iter().map(DiscoveryEvent::Found));
        Ok(())
    }

    fn next_event(&mut self) -> Result<Option<DiscoveryEvent>, SimulatedError> {
        Ok(self.news.events.borrow_mut().pop_front())
    }
}

impl Drop for MockDiscovery {
    fn drop(&mut self) {
        let _ = self.withdraw();
    }
}

impl Source for MockDiscovery {
    fn readiness(&self) -> Rc<dyn Readiness> {
        Rc::<News>::clone(&self.news)
    }
}
