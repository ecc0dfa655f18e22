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

/// How often a bell was rung since it was cleared, and whether it ever was in vain.
#[derive(Debug, Default)]
struct Rings {
    count: Cell<u32>,
    was_lost: Cell<bool>,
}

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
        self.rings.count.get()
    }

    /// Whether somebody wanted to ring it and could not.
    pub fn was_lost(&self) -> bool {
        self.rings.was_lost.get()
    }
}

impl ErrorType for Bell {
    type Error = SimulatedError;
}

impl Doorbell for Bell {
    fn ring(&self) -> Result<(), SimulatedError> {
        self.world.fault(Call::Ring).inspect_err(|_| self.rings.was_lost.set(true))?;
        self.rings.count.set(self.rings().saturating_add(1));
        Ok(())
    }

    fn clear(&self) -> Result<(), SimulatedError> {
        self.rings.count.set(0);
        Ok(())
    }
}

impl Readiness for Rings {
    fn is_readable(&self) -> bool {
        self.count.get() > 0
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
