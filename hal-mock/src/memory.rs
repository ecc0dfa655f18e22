//! Shared memory.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use greenroom_core::hal::{ErrorKind, ErrorType, OutOfRegion, Region, RegionMut, SharedMemory};

use crate::bell::Bell;
use crate::descriptor::Descriptor;
use crate::error::{Call, SimulatedError};
use crate::world::World;

/// Makes a session server's shared memory and bells, and knows how much of it is held by anybody.
#[derive(Clone, Debug)]
pub struct Memory {
    world: World,
    in_use: Rc<Cell<usize>>,
    held: Rc<Cell<usize>>,
}

impl Memory {
    /// Memory of this world, none of it made. Clones know of the same memory.
    pub fn new(world: &World) -> Self {
        Self { world: world.clone(), in_use: Rc::default(), held: Rc::default() }
    }

    /// Regions that somebody still maps or has a descriptor of.
    pub fn regions_in_use(&self) -> usize {
        self.in_use.get()
    }

    /// Slots that their maker has not given back, whoever still maps one.
    pub fn slots_held(&self) -> usize {
        self.held.get()
    }

    fn region(&self, bytes: u32, writer: Writer) -> Result<Rc<Cells>, SimulatedError> {
        self.world.fault(Call::CreateMemory)?;
        self.in_use.set(self.in_use.get() + 1);
        let in_world = self.world.region_count();
        in_world.set(in_world.get() + 1);
        let counts = [Rc::clone(&self.in_use), in_world];
        Ok(Rc::new(Cells { bytes, pages: RefCell::default(), writer, unrest: Rc::default(), counts }))
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
        self.held.set(self.held.get() + 1);
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
        self.held.set(self.held.get().saturating_sub(1));
        if let Some(cells) = region.object::<Cells>() {
            cells.give_back(bytes);
        }
    }
}

/// Who may write a region beside the side that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    Client,
    Server,
}

/// Bytes of a page. Only pages that were written are there, so that a box with many large regions costs little.
const PAGE_BYTES: usize = 4096;
/// Where control words and descriptors lie: what restless memory changes.
const CONTROL_BYTES: u32 = 13 * 1024;

type Pages = BTreeMap<u32, Box<[u8; PAGE_BYTES]>>;

struct Cells {
    bytes: u32,
    pages: RefCell<Pages>,
    writer: Writer,
    /// What decides how it changes between two reads; 0 where it does not.
    unrest: Rc<Cell<u64>>,
    /// Where it is counted as long as it is there.
    counts: [Rc<Cell<usize>>; 2],
}

impl Drop for Cells {
    fn drop(&mut self) {
        self.counts.iter().for_each(|count| count.set(count.get() - 1));
    }
}

impl fmt::Debug for Cells {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} bytes", self.bytes)
    }
}

impl Cells {
    fn of(descriptor: &Descriptor, bytes: u32) -> Result<Rc<Self>, SimulatedError> {
        let cells: Option<Rc<Self>> = descriptor.object();
        let cells = cells.filter(|cells| cells.bytes == bytes);
        cells.ok_or(SimulatedError::new(Call::Attach, ErrorKind::Denied))
    }

    fn check(&self, offset: u32, bytes: usize) -> Result<(), OutOfRegion> {
        let end = u64::from(offset) + bytes as u64;
        if end <= u64::from(self.bytes) { Ok(()) } else { Err(OutOfRegion) }
    }

    fn check_word(&self, offset: u32) -> Result<(), OutOfRegion> {
        if offset.is_multiple_of(4) { self.check(offset, 4) } else { Err(OutOfRegion) }
    }

    fn copy_out(&self, offset: u32, into: &mut [u8]) {
        let pages = self.pages.borrow();
        for (page, within, piece) in pieces(offset, into.len()) {
            let into = &mut into[piece.clone()];
            match pages.get(&page) {
                Some(page) => into.copy_from_slice(&page[within..within + piece.len()]),
                None => into.fill(0),
            }
        }
    }

    fn copy_in(&self, offset: u32, from: &[u8]) {
        let mut pages = self.pages.borrow_mut();
        for (page, within, piece) in pieces(offset, from.len()) {
            let page = pages.entry(page).or_insert_with(|| Box::new([0; PAGE_BYTES]));
            page[within..within + piece.len()].copy_from_slice(&from[piece]);
        }
    }

    fn give_back(&self, bytes: u32) {
        let mut pages = self.pages.borrow_mut();
        let first_kept = bytes / PAGE_BYTES as u32;
        let rest = pages.split_off(&first_kept);
        *pages = rest;
        if let Some(page) = pages.get_mut(&first_kept) {
            page[..bytes as usize % PAGE_BYTES].fill(0);
        }
    }

    /// The other side is about to read.
    fn change(&self) {
        let unrest = self.unrest.get();
        if unrest == 0 {
            return;
        }
        let mut next = unrest;
        next ^= next << 13;
        next ^= next >> 7;
        next ^= next << 17;
        self.unrest.set(next);
        if next.is_multiple_of(8) {
            let offset = ((next >> 8) as u32 % CONTROL_BYTES.min(self.bytes)) & !3;
            self.copy_in(offset, &((next >> 40) as u32).to_ne_bytes());
        }
    }
}

/// The pages of a stretch: number, where in it, and which part of the stretch.
fn pieces(offset: u32, bytes: usize) -> impl Iterator<Item = (u32, usize, std::ops::Range<usize>)> {
    let start = offset as usize;
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == bytes {
            return None;
        }
        let at = start + done;
        let within = at % PAGE_BYTES;
        let piece = done..bytes.min(done + PAGE_BYTES - within);
        done = piece.end;
        Some(((at / PAGE_BYTES) as u32, within, piece))
    })
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

impl OwnRegion {
    /// Its control words and descriptors change between any two reads of the other side, by this seed that is not 0, until
    /// the unrest is dropped: the region may be another client's by then.
    pub fn be_restless(&self, seed: u64) -> Unrest {
        self.0.unrest.set(seed);
        Unrest(Rc::clone(&self.0.unrest))
    }
}

/// Memory that changes under its reader, as long as this is there.
#[derive(Debug)]
#[must_use]
pub struct Unrest(Rc<Cell<u64>>);

impl Drop for Unrest {
    fn drop(&mut self) {
        self.0.set(0);
    }
}

impl Region for Cells {
    fn bytes(&self) -> u32 {
        self.bytes
    }

    fn load(&self, offset: u32) -> Result<u32, OutOfRegion> {
        self.check_word(offset)?;
        let mut word = [0; 4];
        self.copy_out(offset, &mut word);
        Ok(u32::from_ne_bytes(word))
    }

    fn read(&self, offset: u32, into: &mut [u8]) -> Result<(), OutOfRegion> {
        self.check(offset, into.len())?;
        self.copy_out(offset, into);
        Ok(())
    }

    /// One thread sees its own writes in their order.
    fn fence(&self) {}
}

macro_rules! region {
    ($region:ident, $before_read:expr) => {
        impl Region for $region {
            fn bytes(&self) -> u32 {
                self.0.bytes()
            }

            fn load(&self, offset: u32) -> Result<u32, OutOfRegion> {
                $before_read(&self.0);
                self.0.load(offset)
            }

            fn read(&self, offset: u32, into: &mut [u8]) -> Result<(), OutOfRegion> {
                $before_read(&self.0);
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

region!(PeerRegion, |cells: &Cells| cells.change());
region!(OwnRegion, |_: &Cells| ());

impl RegionMut for OwnRegion {
    fn store(&self, offset: u32, word: u32) -> Result<(), OutOfRegion> {
        self.0.check_word(offset)?;
        self.0.copy_in(offset, &word.to_ne_bytes());
        Ok(())
    }

    fn write(&self, offset: u32, from: &[u8]) -> Result<(), OutOfRegion> {
        self.0.check(offset, from.len())?;
        self.0.copy_in(offset, from);
        Ok(())
    }
}
