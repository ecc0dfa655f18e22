//! What can go wrong with messages on their way.

use std::rc::Rc;

use crate::descriptor::Descriptor;
use crate::party::Party;
use crate::socket::{Message, QueueHandle};

/// What happens to the next message of a party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meddling {
    /// It arrives, and arrives again when the world lets go.
    Repeat,
    /// It and what follows does not go out before the world lets go.
    Clog,
    /// Its descriptors are lost. It waits for a message that has some.
    DropDescriptors,
    /// Its descriptors are of another kind. It waits for a message that has some.
    SwapDescriptors,
    /// It has one descriptor more.
    AddDescriptor,
    /// It is no message any more.
    Garble,
}

impl Meddling {
    const fn needs_descriptors(self) -> bool {
        matches!(self, Self::DropDescriptors | Self::SwapDescriptors)
    }

    /// Changes the message itself.
    pub(crate) fn change(self, message: &mut Message) {
        let other = || Descriptor::new(Rc::new("of another kind"));
        match self {
            Self::Repeat | Self::Clog => {}
            Self::DropDescriptors => message.descriptors.clear(),
            Self::SwapDescriptors => message.descriptors.iter_mut().for_each(|descriptor| *descriptor = other()),
            Self::AddDescriptor => message.descriptors.push(other()),
            Self::Garble => message.bytes.iter_mut().for_each(|byte| *byte = !*byte),
        }
    }
}

/// What is to happen, and what was held back.
#[derive(Debug, Default)]
pub(crate) struct Meddler {
    planned: Vec<(Party, Meddling)>,
    pub(crate) kept: Vec<(QueueHandle, Message)>,
    pub(crate) clogged: Vec<QueueHandle>,
}

impl Meddler {
    pub(crate) fn plan(&mut self, party: Party, meddling: Meddling) {
        self.planned.push((party, meddling));
    }

    pub(crate) fn take(&mut self, party: Party, descriptors: usize) -> Option<Meddling> {
        let suits =
            |planned: &(Party, Meddling)| planned.0 == party && (descriptors > 0 || !planned.1.needs_descriptors());
        let place = self.planned.iter().position(suits)?;
        Some(self.planned.remove(place).1)
    }

    pub(crate) fn forget(&mut self) {
        self.planned.clear();
    }
}
