//! Shared memory of any size that takes no more room than what was written to it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use greenroom_core::hal::{ErrorType, OutOfRegion, Region, RegionMut, SharedMemory};

use crate::{Bell, Call, Descriptor, SimulatedError, World};

/// Makes it, and knows how much of it is held by anybody.
#[derive(Clone, Debug)]
pub(super) struct SparseMemory {
    world: World,
    in_use: Rc<Cell<usize>>,
}

/// A region. Clones of it are the same region.
#[derive(Clone, Debug)]
pub(super) struct SparseRegion(Rc<Written>);

#[derive(Debug)]
struct Written {
    bytes: u32,
    written: RefCell<BTreeMap<u32, u8>>,
    in_use: Rc<Cell<usize>>,
}

impl Drop for Written {
    fn drop(&mut self) {
        self.in_use.set(self.in_use.get() - 1);
    }
}

impl SparseMemory {
    pub(super) fn new(world: &World) -> Self {
        Self { world: world.clone(), in_use: Rc::default() }
    }

    /// Regions that somebody still maps or has a descriptor of.
    pub(super) fn regions_in_use(&self) -> usize {
        self.in_use.get()
    }

    fn region(&self, bytes: u32) -> Result<(SparseRegion, Descriptor), SimulatedError> {
        self.world.fault(Call::CreateMemory)?;
        self.in_use.set(self.in_use.get() + 1);
        let region = Rc::new(Written { bytes, written: RefCell::default(), in_use: Rc::clone(&self.in_use) });
        Ok((SparseRegion(Rc::clone(&region)), Descriptor::new(region)))
    }
}

impl ErrorType for SparseMemory {
    type Error = SimulatedError;
}

impl SharedMemory for SparseMemory {
    type Descriptor = Descriptor;
    type PeerRegion = SparseRegion;
    type OwnRegion = SparseRegion;
    type Doorbell = Bell;

    fn create(
        &mut self,
        client_bytes: u32,
        server_bytes: u32,
    ) -> Result<((SparseRegion, Descriptor), (SparseRegion, Descriptor)), SimulatedError> {
        Ok((self.region(client_bytes)?, self.region(server_bytes)?))
    }

    fn doorbell(&mut self) -> Result<(Bell, Descriptor), SimulatedError> {
        self.world.fault(Call::CreateBell)?;
        let bell = Bell::new(&self.world);
        let descriptor = bell.descriptor();
        Ok((bell, descriptor))
    }

    fn duplicate(&mut self, region: &Descriptor) -> Result<Descriptor, SimulatedError> {
        self.world.fault(Call::DuplicateRegion)?;
        Ok(region.duplicate())
    }

    fn populate(&mut self, _: &Descriptor, _: u32, _: u32) -> Result<(), SimulatedError> {
        self.world.fault(Call::Populate)
    }

    fn give_back(&mut self, region: &Descriptor, bytes: u32) {
        if let Some(region) = region.object::<Written>() {
            region.written.borrow_mut().retain(|offset, _| *offset >= bytes);
        }
    }
}

impl Written {
    fn check(&self, offset: u32, bytes: usize) -> Result<(), OutOfRegion> {
        let end = u64::from(offset) + bytes as u64;
        if end <= self.bytes.into() { Ok(()) } else { Err(OutOfRegion) }
    }
}

impl Region for SparseRegion {
    fn bytes(&self) -> u32 {
        self.0.bytes
    }

    fn load(&self, offset: u32) -> Result<u32, OutOfRegion> {
        let mut word = [0; 4];
        self.read(offset, &mut word)?;
        Ok(u32::from_ne_bytes(word))
    }

    fn read(&self, offset: u32, into: &mut [u8]) -> Result<(), OutOfRegion> {
        self.0.check(offset, into.len())?;
        let written = self.0.written.borrow();
        into.iter_mut().zip(offset..).for_each(|(byte, place)| *byte = written.get(&place).copied().unwrap_or(0));
        Ok(())
    }

    fn fence(&self) {}
}

impl RegionMut for SparseRegion {
    fn store(&self, offset: u32, word: u32) -> Result<(), OutOfRegion> {
        self.write(offset, &word.to_ne_bytes())
    }

    fn write(&self, offset: u32, from: &[u8]) -> Result<(), OutOfRegion> {
        self.0.check(offset, from.len())?;
        self.0.written.borrow_mut().extend((offset..).zip(from.iter().copied()));
        Ok(())
    }
}
