//! Finds the place of a text without a walk through a table.

use heapless::Vec;
use serde::{Deserialize, Serialize};

/// Which places may hold a text: as many chains as there are places, so that a chain is short.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Index<const N: usize> {
    /// The first place of each chain.
    heads: Vec<u16, N>,
    /// The place that follows each place in its chain.
    nexts: Vec<u16, N>,
}

/// No place. A table has fewer places than this.
const NONE: u16 = u16::MAX;

impl<const N: usize> Index<N> {
    pub(crate) fn new() -> Self {
        let mut index = Self { heads: Vec::new(), nexts: Vec::new() };
        // The capacity is the length.
        let _ = index.heads.resize(N, NONE);
        let _ = index.nexts.resize(N, NONE);
        index
    }

    /// The places of the chain in which this text would be. It ends, because no chain is longer than the table.
    pub(crate) fn places(&self, text: &str) -> impl Iterator<Item = u16> {
        let first = self.heads.get(chain_of::<N>(text)).copied().filter(|&place| place != NONE);
        let next = |place: &u16| self.nexts.get(usize::from(*place)).copied().filter(|&place| place != NONE);
        core::iter::successors(first, next).take(N)
    }

    pub(crate) fn insert(&mut self, text: &str, place: u16) {
        let Some(head) = self.heads.get_mut(chain_of::<N>(text)) else { return };
        if let Some(next) = self.nexts.get_mut(usize::from(place)) {
            *next = core::mem::replace(head, place);
        }
    }

    pub(crate) fn remove(&mut self, text: &str, place: u16) {
        let before = self.places(text).take_while(|&other| other != place).last();
        let after = self.nexts.get(usize::from(place)).copied().unwrap_or(NONE);
        let link = match before {
            Some(before) => self.nexts.get_mut(usize::from(before)),
            None => self.heads.get_mut(chain_of::<N>(text)),
        };
        if let Some(link) = link.filter(|link| **link == place) {
            *link = after;
        }
    }
}

/// FNV-1a: who is out for long chains finds one no longer than the table.
fn chain_of<const N: usize>(text: &str) -> usize {
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash as usize).checked_rem(N).unwrap_or(0)
}
