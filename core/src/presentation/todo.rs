//! What is still to be done, as one bit a deed.

use core::marker::PhantomData;

use serde::{Deserialize, Serialize};

/// Deeds of a kind that are still to be done. Each can be there once, and they are done in the order of their list:
/// nothing is queued, so nothing overflows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) struct Todo<D> {
    bits: u32,
    #[serde(skip)]
    kind: PhantomData<fn() -> D>,
}

impl<D> Default for Todo<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D> Todo<D> {
    /// Nothing.
    pub(crate) const fn new() -> Self {
        Self { bits: 0, kind: PhantomData }
    }
}

impl<D: Copy + PartialEq> Todo<D> {
    /// Adds a deed of the list.
    pub(crate) fn add(&mut self, list: &[D], deed: D) {
        self.bits |= bit_of(list, deed);
    }

    /// Takes a deed off; whether it was there.
    pub(crate) fn take(&mut self, list: &[D], deed: D) -> bool {
        let bit = bit_of(list, deed);
        let was_there = self.bits & bit != 0;
        self.bits &= !bit;
        was_there
    }

    /// Takes the first deed of the list that is to be done.
    pub(crate) fn next(&mut self, list: &[D]) -> Option<D> {
        list.iter().copied().find(|deed| self.take(list, *deed))
    }
}

/// A list has at most 32 deeds.
fn bit_of<D: PartialEq>(list: &[D], deed: D) -> u32 {
    let place = list.iter().position(|listed| *listed == deed);
    place.and_then(|place| 1_u32.checked_shl(place as u32)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deeds_come_once_and_in_the_order_of_their_list() {
        const LIST: &[char] = &['a', 'b', 'c'];
        let mut todo = Todo::default();
        todo.add(LIST, 'c');
        todo.add(LIST, 'a');
        todo.add(LIST, 'c');
        todo.add(LIST, 'b');
        assert!(todo.take(LIST, 'b') && !todo.take(LIST, 'b'));
        assert_eq!([todo.next(LIST), todo.next(LIST), todo.next(LIST)], [Some('a'), Some('c'), None]);
    }
}
