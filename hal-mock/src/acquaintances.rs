//! Which devices are known.

use std::collections::BTreeMap;

use greenroom_core::hal::{ErrorType, Fingerprint, KnownDevices};

use crate::error::{Call, SimulatedError};
use crate::world::World;

/// Devices and their certificates, in memory.
#[derive(Clone, Debug)]
pub struct Acquaintances {
    world: World,
    fingerprints: BTreeMap<String, Fingerprint>,
}

impl Acquaintances {
    /// Nobody is known yet.
    pub fn new(world: &World) -> Self {
        Self { world: world.clone(), fingerprints: BTreeMap::new() }
    }
}

impl ErrorType for Acquaintances {
    type Error = SimulatedError;
}

impl KnownDevices for Acquaintances {
    fn fingerprint(&self, device_id: &str) -> Option<Fingerprint> {
        self.fingerprints.get(device_id).copied()
    }

    fn remember(&mut self, device_id: &str, fingerprint: Fingerprint) -> Result<(), SimulatedError> {
        self.world.fault(Call::Remember)?;
        self.fingerprints.insert(device_id.to_owned(), fingerprint);
        Ok(())
    }

    fn forget(&mut self, device_id: &str) -> Result<(), SimulatedError> {
        self.fingerprints.remove(device_id);
        Ok(())
    }
}
