//! Which places of a table belong together, without a walk through the table.

use heapless::Vec;
use serde::{Deserialize, Serialize};

/// Rings of places, each in the order in which they came together. A place that is alone is a ring of itself.
///
/// ```text
/// first ──> second ──> last ──┐
///   └<────────────────────────┘
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Rings<const N: usize> {
    /// What comes before and after each place.
    neighbours: Vec<(u16, u16), N>,
}

impl<const N: usize> Rings<N> {
    pub(crate) fn new() -> Self {
        // A table has fewer places than there are numbers.
        Self { neighbours: (0..N as u16).map(|place| (place, place)).collect() }
    }

    /// The places of a ring from this one on. It ends, because no ring is longer than the table.
    pub(crate) fn ring_of(&self, first: u16) -> impl Iterator<Item = u16> {
        core::iter::successors(Some(first), move |&place| self.next(place, first)).take(N)
    }

    /// What comes after a place on the way round from `first`.
    pub(crate) fn next(&self, place: u16, first: u16) -> Option<u16> {
        Some(self.after(place)).filter(|&after| after != first)
    }

    fn after(&self, place: u16) -> u16 {
        self.neighbours.get(usize::from(place)).map_or(place, |&(_, after)| after)
    }

    fn before(&self, place: u16) -> u16 {
        self.neighbours.get(usize::from(place)).map_or(place, |&(before, _)| before)
    }

    /// Puts a place that is alone into the ring of `first`, as the last one from there.
    pub(crate) fn join(&mut self, place: u16, first: u16) {
        self.link(self.before(first), place);
        self.link(place, first);
    }

    /// Takes a place out of its ring; gives the one that came after it, unless it was alone.
    pub(crate) fn leave(&mut self, place: u16) -> Option<u16> {
        let (before, after) = (self.before(place), self.after(place));
        self.link(before, after);
        self.link(place, place);
        (after != place).then_some(after)
    }

    fn link(&mut self, before: u16, after: u16) {
        if let Some(neighbours) = self.neighbours.get_mut(usize::from(before)) {
            neighbours.1 = after;
        }
        if let Some(neighbours) = self.neighbours.get_mut(usize::from(after)) {
            neighbours.0 = before;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(rings: &Rings<6>, first: u16) -> std::vec::Vec<u16> {
        rings.ring_of(first).collect()
    }

    #[test]
    fn places_are_found_in_the_order_in_which_they_came_together() {
        let mut rings = Rings::new();
        assert_eq!(ring(&rings, 4), [4], "alone");
        rings.join(1, 4);
        rings.join(5, 4);
        rings.join(3, 2);
        assert_eq!((ring(&rings, 4), ring(&rings, 2)), ([4, 1, 5].to_vec(), [2, 3].to_vec()));
        assert_eq!(ring(&rings, 1), [1, 5, 4], "from any of them");
    }

    #[test]
    fn a_place_that_leaves_is_alone_and_the_others_stay_together() {
        let mut rings = Rings::new();
        [1, 5, 3].into_iter().for_each(|place| rings.join(place, 4));
        assert_eq!(rings.leave(5), Some(3));
        assert_eq!((ring(&rings, 4), ring(&rings, 5)), ([4, 1, 3].to_vec(), [5].to_vec()));
        assert_eq!(rings.leave(4), Some(1));
        assert_eq!(ring(&rings, 1), [1, 3]);
        assert_eq!((rings.leave(3), rings.leave(1)), (Some(1), None));
        assert_eq!(ring(&rings, 1), [1]);
    }

    #[test]
    fn each_place_is_in_the_ring_it_joined_last_whatever_joined_and_left() {
        let (mut rings, mut model) = (Rings::<16>::new(), [const { std::vec::Vec::new() }; 3]);
        let mut seed = 12_345_u64;
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (place, which) = ((seed >> 33) as u16 % 16, (seed >> 40) as usize % 3);
            if let Some(left) = model.iter_mut().find(|ring| ring.contains(&place)) {
                let after = (left.iter().position(|it| *it == place).unwrap() + 1) % left.len();
                assert_eq!(rings.leave(place), (left.len() > 1).then_some(left[after]));
                left.retain(|it| *it != place);
            } else {
                model[which].first().into_iter().for_each(|&first| rings.join(place, first));
                model[which].push(place);
            }
            for known in model.iter().filter(|ring| !ring.is_empty()) {
                assert_eq!(rings.ring_of(known[0]).collect::<std::vec::Vec<_>>(), *known);
            }
        }
    }

    /// What was read from a trace may be anything.
    #[test]
    fn rings_that_make_no_sense_end_all_the_same() {
        let forged: Rings<3> = Rings { neighbours: [(0, 1), (7, 2), (0, 1)].into_iter().collect() };
        assert_eq!(forged.ring_of(0).count(), 3);
        assert_eq!(forged.ring_of(9).count(), 1);
        let mut short: Rings<3> = Rings { neighbours: Vec::new() };
        short.join(1, 2);
        assert_eq!((short.leave(1), short.ring_of(1).count()), (None, 1));
    }
}
