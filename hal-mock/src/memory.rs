//! Shared memory.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};

use greenroom_core::hal::{ErrorKind, ErrorType, OutOfRegion, Region, RegionMut, SharedMemory};

use crate::bell::Bell;
use crate::descriptor::Descriptor;
use crate::error::{Call, SimulatedError};
use crate::world::World;

/// Makes a session server's shared memory and bells, and knows how much of it is held by anybody.
#[derive(Clone, Debug)]
pub struct Memory {
    world: World,
    made: Rc<RefCell<Vec<Weak<Cells>>>>,
}

impl Memory {
    /// Memory of this world, none of it made. Clones know of the same memory.
    pub fn new(world: &World) -> Self {
        Self { world: world.clone(), made: Rc::default() }
    }

    /// Regions that somebody still maps or has a descriptor of.
    pub fn regions_in_use(&self) -> usize {
        self.made.borrow().iter().filter(|made| made.strong_count() > 0).count()
    }

    fn region(&self, bytes: u32, writer: Writer) -> Result<Rc<Cells>, SimulatedError> {
        self.world.fault(Call::CreateMemory)?;
        let bytes = (0..bytes).map(|_| Cell::new(0)).collect();
        let region = Rc::new(Cells { bytes, writer });
        self.made.borrow_mut().push(Rc::downgrade(&region));
        Ok(region)
    }
}

impl ErrorType for Memory {
    type Error = SimulatedError;
}

impl SharedMemory for Memory {
    type Descriptor = Descriptor;
    type PeerRegion = PeerRegion;
    type OwnRegion = OwnRegion;
    type Doorbell = Bell;

    fn create(
        &mut self,
        client_bytes: u32,
        server_bytes: u32,
    ) -> Result<((PeerRegion, Descriptor), (OwnRegion, Descriptor)), SimulatedError> {
        let client = self.region(client_bytes, Writer::Client)?;
        let server = self.region(server_bytes, Writer::Server)?;
        let descriptors = (Descriptor::new(client.clone()), Descriptor::new(server.clone()));
        Ok(((PeerRegion(client), descriptors.0), (OwnRegion(server), descriptors.1)))
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
        let cells = region.object::<Cells>();
        let given_back = cells.iter().flat_map(|cells| cells.bytes.iter().take(bytes as usize));
        given_back.for_each(|cell| cell.set(0));
    }
}

/// Who may write a region beside the side that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    Client,
    Server,
}

struct Cells {
    bytes: Box<[Cell<u8>]>,
    writer: Writer,
}

impl fmt::Debug for Cells {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} bytes", self.bytes.len())
    }
}

impl Cells {
    fn of(descriptor: &Descriptor, bytes: u32) -> Result<Rc<Self>, SimulatedError> {
        let cells: Option<Rc<Self>> = descriptor.object();
        let cells = cells.filter(|cells| cells.bytes.len() == bytes as usize);
        cells.ok_or(SimulatedError::new(Call::Attach, ErrorKind::Denied))
    }

    fn at(&self, offset: u32, bytes: usize) -> Result<&[Cell<u8>], OutOfRegion> {
        self.bytes.get(offset as usize..).and_then(|rest| rest.get(..bytes)).ok_or(OutOfRegion)
    }

    fn word(&self, offset: u32) -> Result<&[Cell<u8>], OutOfRegion> {
        if offset.is_multiple_of(4) { self.at(offset, 4) } else { Err(OutOfRegion) }
    }
}

fn copy_out(cells: &[Cell<u8>], into: &mut [u8]) {
    for (byte, cell) in into.iter_mut().zip(cells) {
        *byte = cell.get();
    }
}

fn copy_in(cells: &[Cell<u8>], from: &[u8]) {
    for (cell, byte) in cells.iter().zip(from) {
        cell.set(*byte);
    }
}

/// A region that the peer writes and we only read. Clones of it are the same region.
#[derive(Clone)]
pub struct PeerRegion(Rc<Cells>);

impl PeerRegion {
    /// Maps, in a client, the region that the session server writes. `bytes` is what the session server said.
    pub fn attach(descriptor: &Descriptor, bytes: u32) -> Result<Self, SimulatedError> {
        Cells::of(descriptor, bytes).map(Self)
    }
}

/// A region that we write and the peer only reads. Clones of it are the same region.
#[derive(Clone)]
pub struct OwnRegion(Rc<Cells>);

impl OwnRegion {
    /// Maps, in a client, the region that the client writes. `bytes` is what the session server said.
    pub fn attach(descriptor: &Descriptor, bytes: u32) -> Result<Self, SimulatedError> {
        let cells = Cells::of(descriptor, bytes)?;
        match cells.writer {
            Writer::Client => Ok(Self(cells)),
            Writer::Server => Err(SimulatedError::new(Call::Attach, ErrorKind::Denied)),
        }
    }
}

impl Region for Cells {
    fn bytes(&self) -> u32 {
        self.bytes.len() as u32
    }

    fn load(&self, offset: u32) -> Result<u32, OutOfRegion> {
        let mut word = [0; 4];
        copy_out(self.word(offset)?, &mut word);
        Ok(u32::from_ne_bytes(word))
    }

    fn read(&self, offset: u32, into: &mut [u8]) -> Result<(), OutOfRegion> {
        copy_out(self.at(offset, into.len())?, into);
        Ok(())
    }

    /// One thread sees its own writes in their order.
    fn fence(&self) {}
}

macro_rules! region {
    ($region:ident) => {
        impl Region for $region {
            fn bytes(&self) -> u32 {
                self.0.bytes()
            }

            fn load(&self, offset: u32) -> Result<u32, OutOfRegion> {
                self.0.load(offset)
            }

            fn read(&self, offset: u32, into: &mut [u8]) -> Result<(), OutOfRegion> {
                self.0.read(offset, into)
            }

            fn fence(&self) {
                self.0.fence();
            }
        }

        impl fmt::Debug for $region {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.debug_struct(stringify!($region)).field("bytes", &self.bytes()).finish()
            }
        }
    };
}

region!(PeerRegion);
region!(OwnRegion);

impl RegionMut for OwnRegion {
    fn store(&self, offset: u32, word: u32) -> Result<(), OutOfRegion> {
        copy_in(self.0.word(offset)?, &word.to_ne_bytes());
        Ok(())
    }

    fn write(&self, offset: u32, from: &[u8]) -> Result<(), OutOfRegion> {
        copy_in(self.0.at(offset, from.len())?, from);
        Ok(())
    }
}
