//! Devices, and who wants to know whether there are any (PS-22).

use serde::{Deserialize, Serialize};

use super::entries::Client as ClientEntry;
use super::{Action, Device, NotTaken, Service};
use crate::message::presentation::{DeviceId, DeviceName, DeviceStatus};

/// Which schemes of URLs a device can show, or a page has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Schemes(u8);

impl Schemes {
    /// `http:` and `https:`.
    pub const WEB: Self = Self(1);
    /// `app:`, an app by its name.
    pub const APP: Self = Self(2);
    /// Both.
    pub const ALL: Self = Self(3);

    /// The scheme of a URL; none for what no device may show, such as `file:` and `javascript:`.
    pub fn of(url: &str) -> Self {
        let is = |scheme: &str| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
        if is("http://") || is("https://") {
            Self::WEB
        } else if is("app:") {
            Self::APP
        } else {
            Self(0)
        }
    }

    /// Those of both.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether both have one.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl<const C: usize, const K: usize, const P: usize> Service<C, K, P> {
    /// A device that is known already is changed.
    pub(super) fn device_found(&mut self, id: &str, name: &str, schemes: Schemes) -> Result<(), NotTaken> {
        let (Ok(id), Ok(name)) = (DeviceId::try_from(id), DeviceName::try_from(name)) else {
            return Err(NotTaken::Full);
        };
        let device = Device { id, name, schemes };
        let known = self.devices.iter_mut().find(|place| place.as_ref().is_some_and(|it| it.id == device.id));
        match known {
            Some(place) => *place = Some(device),
            None => match self.devices.iter_mut().find(|place| place.is_none()) {
                Some(place) => *place = Some(device),
                None => self.devices.push(Some(device)).map_err(|_| NotTaken::Full)?,
            },
        }
        self.is_availability_old = true;
        Ok(())
    }

    pub(super) fn device_lost(&mut self, id: &str) -> Result<(), NotTaken> {
        let mut places = self.devices.iter_mut();
        let place = places.find(|place| place.as_ref().is_some_and(|it| it.id == id)).ok_or(NotTaken::Late)?;
        *place = None;
        self.is_availability_old = !planted!("lost_device_kept_quiet");
        Ok(())
    }

    pub(super) fn device(&self, id: &str) -> Option<&Device> {
        self.devices.iter().flatten().find(|device| device.id == id)
    }

    /// The device at a place, or behind it; what is asked for next lies one further.
    pub(super) fn device_from(&self, from: u16) -> Option<u16> {
        let places = self.devices.iter().enumerate().skip(usize::from(from));
        places.filter(|(_, place)| place.is_some()).map(|(place, _)| place as u16).next()
    }

    pub(super) fn device_status(&self, place: u16) -> Option<DeviceStatus<'_>> {
        let device = self.devices.get(usize::from(place))?.as_ref()?;
        Some(DeviceStatus { next: place.saturating_add(1), device_id: &device.id, name: &device.name })
    }

    pub(super) fn is_available(&self, schemes: Schemes) -> bool {
        self.devices.iter().flatten().any(|device| device.schemes.meets(schemes))
    }

    /// The next watcher that does not know how things are.
    pub(super) fn next_availability(&mut self) -> Option<Action> {
        if !self.is_availability_old {
            return None;
        }
        let is_wrong =
            |client: &ClientEntry| client.watch.is_some_and(|(schemes, told)| self.is_available(schemes) != told);
        let wrong = self.clients.iter().flatten().find(|client| is_wrong(client)).map(|client| client.handle);
        let Some(client) = wrong.and_then(|handle| self.client_mut(handle)) else {
            self.is_availability_old = false;
            return None;
        };
        let (_, told) = client.watch.as_mut()?;
        *told = !*told;
        Some(Action::TellAvailability { client: client.handle, available: client.watch?.1 })
    }
}
