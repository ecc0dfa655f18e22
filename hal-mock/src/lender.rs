//! Memory that is lent and comes back.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use crate::error::Call;
use crate::world::World;

/// Lends memory, and knows how much of it is out. What comes back is lent again, with what was left in it.
#[derive(Clone, Debug)]
pub struct Lender {
    world: World,
    shelf: Rc<Shelf>,
}

#[derive(Default)]
struct Shelf {
    back: RefCell<Vec<Vec<u8>>>,
    out: Cell<usize>,
}

impl fmt::Debug for Shelf {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} out, {} back", self.out.get(), self.back.borrow().len())
    }
}

impl Lender {
    /// Lends as long as the world lets it.
    pub fn new(world: &World) -> Self {
        Self { world: world.clone(), shelf: Rc::default() }
    }

    /// How many pieces are out.
    pub fn out(&self) -> usize {
        self.shelf.out.get()
    }

    /// A piece of exactly so many bytes; `None` when the world says that there is none.
    pub fn lend(&self, bytes: usize) -> Option<Lent> {
        self.world.fault(Call::Lend).ok()?;
        let mut back = self.shelf.back.borrow_mut();
        let place = back.iter().position(|piece| piece.len() == bytes);
        let piece = place.map_or_else(|| vec![0; bytes], |place| back.swap_remove(place));
        self.shelf.out.set(self.shelf.out.get() + 1);
        Some(Lent { piece, shelf: Rc::clone(&self.shelf) })
    }
}

/// Memory that was lent. Dropping it gives it back.
pub struct Lent {
    piece: Vec<u8>,
    shelf: Rc<Shelf>,
}

impl fmt::Debug for Lent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} bytes", self.piece.len())
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.piece
    }
}

impl AsMut<[u8]> for Lent {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.piece
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.shelf.out.set(self.shelf.out.get() - 1);
        self.shelf.back.borrow_mut().push(std::mem::take(&mut self.piece));
    }
}
