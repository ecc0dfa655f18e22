//! Memory whose owner does its worst.

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;

use greenroom_core::hal::{OutOfRegion, Region, RegionMut};

use crate::memory::OwnRegion;
use crate::world::World;

/// A region whose owner changes its control words and descriptors between any two reads, by the chance of the world.
///
/// It also counts what the reader asks for beside the ring that it was given.
#[derive(Clone, Debug)]
pub struct HostileRegion {
    region: OwnRegion,
    world: World,
    control: Range<u32>,
    payload: Range<u32>,
    /// Of so many words one is changed at each read.
    restraint: u64,
    outside: Rc<Cell<u32>>,
}

impl HostileRegion {
    /// The region as its owner has it; the bytes of a ring's control words and descriptors, which change; and the bytes of
    /// its payload, which do not. Chance decides whether it changes everything at each read or, more subtle, a word now and
    /// then.
    pub fn new(world: &World, region: OwnRegion, control: Range<u32>, payload: Range<u32>) -> Self {
        let restraint = 1 << world.random(12);
        Self { region, world: world.clone(), control, payload, restraint, outside: Rc::default() }
    }

    /// How often something was read that is neither of the ring's control words and descriptors nor of its payload.
    pub fn reads_outside(&self) -> u32 {
        self.outside.get()
    }

    fn change(&self) -> Result<(), OutOfRegion> {
        for offset in self.control.clone().step_by(4) {
            if self.world.random(self.restraint) > 0 {
                continue;
            }
            let word = self.region.load(offset)?;
            self.region.store(offset, self.worse(word))?;
        }
        Ok(())
    }

    /// What is most likely to be taken amiss.
    fn worse(&self, word: u32) -> u32 {
        let few = self.world.random(6) as u32;
        let payload_bytes = self.payload.end - self.payload.start;
        match self.world.random(12) {
            0..4 => few,
            4..6 => word.wrapping_add(few),
            6 => word.wrapping_sub(few),
            7 => u32::MAX.wrapping_sub(few),
            8 => payload_bytes.wrapping_add(few).wrapping_sub(3),
            9 => (1_u32 << 31).wrapping_add(few),
            10 => self.world.random(u64::from(payload_bytes)) as u32,
            _ => self.world.random(1 << 32) as u32,
        }
    }

    fn note(&self, offset: u32, bytes: usize) {
        let end = u64::from(offset) + bytes as u64;
        let lies_in = |range: &Range<u32>| range.start <= offset && end <= u64::from(range.end);
        if !lies_in(&self.control) && !lies_in(&self.payload) {
            self.outside.set(self.outside.get() + 1);
        }
    }
}

impl Region for HostileRegion {
    fn bytes(&self) -> u32 {
        self.region.bytes()
    }

    fn load(&self, offset: u32) -> Result<u32, OutOfRegion> {
        self.note(offset, 4);
        self.change()?;
        self.region.load(offset)
    }

    fn read(&self, offset: u32, into: &mut [u8]) -> Result<(), OutOfRegion> {
        self.note(offset, into.len());
        self.change()?;
        self.region.read(offset, into)
    }

    fn fence(&self) {}
}
