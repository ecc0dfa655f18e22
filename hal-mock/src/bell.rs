//! Bells.

use std::cell::Cell;
use std::rc::Rc;

use greenroom_core::hal::{Doorbell, ErrorKind, ErrorType};

use crate::descriptor::Descriptor;
use crate::error::{Call, SimulatedError};
use crate::event_loop::{Readiness, Source};
use crate::world::World;

/// A bell: readable once it was rung, until it is cleared. Clones of it are the same bell.
#[derive(Clone, Debug)]
pub struct Bell {
    world: World,
    rings: Rc<Rings>,
}

/// How often a bell was rung since it was cleared.
#[derive(Debug, Default)]
struct Rings(Cell<u32>);

impl Bell {
    /// A bell that was not rung.
    pub fn new(world: &World) -> Self {
        Self { world: world.clone(), rings: Rc::default() }
    }

    /// The bell of a descriptor, heard by somebody else.
    pub fn attach(world: &World, descriptor: &Descriptor) -> Result<Self, SimulatedError> {
        let rings = descriptor.object().ok_or(SimulatedError::new(Call::Attach, ErrorKind::Denied))?;
        Ok(Self { world: world.clone(), rings })
    }

    /// A descriptor of this bell.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.rings.clone())
    }

    /// How often it was rung since it was cleared.
    pub fn rings(&self) -> u32 {
        self.rings.0.get()
    }
}

impl ErrorType for Bell {
    type Error = SimulatedError;
}

impl Doorbell for Bell {
    fn ring(&self) -> Result<(), SimulatedError> {
        self.world.fault(Call::Ring)?;
        self.rings.0.set(self.rings().saturating_add(1));
        Ok(())
    }

    fn clear(&self) -> Result<(), SimulatedError> {
        self.rings.0.set(0);
        Ok(())
    }
}

impl Readiness for Rings {
    fn is_readable(&self) -> bool {
        self.0.get() > 0
    }

    fn has_ended(&self) -> bool {
        false
    }
}

impl Source for Bell {
    fn readiness(&self) -> Rc<dyn Readiness> {
        self.rings.clone()
    }
}
