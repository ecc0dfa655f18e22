//! What travels with messages.

use std::any::Any;
use std::fmt;
use std::rc::Rc;

/// Owns a share of an object of the world: memory, a bell, a listening socket. Dropping it closes it.
///
/// Whoever keeps a [`std::rc::Weak`] of the object can tell when the last descriptor of it was closed.
pub struct Descriptor {
    object: Rc<dyn Any>,
}

impl Descriptor {
    /// A descriptor of this object.
    pub fn new(object: Rc<dyn Any>) -> Self {
        Self { object }
    }

    /// Another descriptor of the same object.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self { object: Rc::clone(&self.object) }
    }

    /// The object, if it is a `T`.
    pub fn object<T: 'static>(&self) -> Option<Rc<T>> {
        Rc::downcast(Rc::clone(&self.object)).ok()
    }
}

impl fmt::Debug for Descriptor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Descriptor")
    }
}
