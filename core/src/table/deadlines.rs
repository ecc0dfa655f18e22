//! When which entry of a table wants to be woken: at most one deadline a place, the earliest found at once.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::time::Instant;

/// A binary heap of deadlines in which the deadline of a place can be changed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Deadlines<const N: usize> {
    /// The earliest is at the root; a parent is never later than its children.
    heap: Vec<(Instant, u16), N>,
    /// Where in the heap each place is; `ABSENT` when it has no deadline.
    positions: Vec<u16, N>,
}

const ABSENT: u16 = u16::MAX;

impl<const N: usize> Deadlines<N> {
    pub(crate) fn new() -> Self {
        let mut positions = Vec::new();
        // The capacity is the length.
        let _ = positions.resize(N, ABSENT);
        Self { heap: Vec::new(), positions }
    }

    /// The earliest deadline.
    pub(crate) fn first(&self) -> Option<Instant> {
        self.heap.first().map(|&(at, _)| at)
    }

    /// A place whose deadline has come. It has none any more, whatever is noted of it: a machine may be one that was read.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<u16> {
        let &(at, place) = self.heap.first()?;
        if at > now {
            return None;
        }
        self.remove(0, place);
        Some(place)
    }

    /// Gives a place its deadline, or none.
    pub(crate) fn set(&mut self, place: u16, deadline: Option<Instant>) {
        let position = self.positions.get(usize::from(place)).copied().filter(|&position| position != ABSENT);
        match (position.map(usize::from), deadline) {
            (None, None) => {}
            (None, Some(at)) => self.push(at, place),
            (Some(position), None) => self.remove(position, place),
            (Some(position), Some(at)) if self.at(position) == at => {}
            (Some(position), Some(at)) => {
                if let Some(entry) = self.heap.get_mut(position) {
                    entry.0 = at;
                }
                self.restore(position);
            }
        }
    }

    fn push(&mut self, at: Instant, place: u16) {
        let position = self.heap.len();
        if usize::from(place) < N && self.heap.push((at, place)).is_ok() {
            self.note(position);
            self.restore(position);
        }
    }

    fn remove(&mut self, position: usize, place: u16) {
        if position < self.heap.len() {
            self.heap.swap_remove(position);
        }
        if let Some(absent) = self.positions.get_mut(usize::from(place)) {
            *absent = ABSENT;
        }
        if position < self.heap.len() {
            self.note(position);
            self.restore(position);
        }
    }

    fn restore(&mut self, position: usize) {
        let risen = self.rise(position);
        self.sink(risen);
    }

    fn rise(&mut self, mut position: usize) -> usize {
        while position > 0 {
            let parent = position.saturating_sub(1) / 2;
            if self.at(parent) <= self.at(position) {
                break;
            }
            self.exchange(parent, position);
            position = parent;
        }
        position
    }

    fn sink(&mut self, mut position: usize) {
        loop {
            let left = position.saturating_mul(2).saturating_add(1);
            let right = left.saturating_add(1);
            let child = if self.at(right) < self.at(left) { right } else { left };
            if self.at(position) <= self.at(child) {
                return;
            }
            self.exchange(position, child);
            position = child;
        }
    }

    /// What lies behind the end is later than everything.
    fn at(&self, position: usize) -> Instant {
        self.heap.get(position).map_or(Instant::from_millis(u64::MAX), |&(at, _)| at)
    }

    fn exchange(&mut self, one: usize, other: usize) {
        if one < self.heap.len() && other < self.heap.len() {
            self.heap.swap(one, other);
            self.note(one);
            self.note(other);
        }
    }

    fn note(&mut self, position: usize) {
        let Some(&(_, place)) = self.heap.get(position) else { return };
        if let Some(noted) = self.positions.get_mut(usize::from(place)) {
            // The heap has at most as many entries as there are places, which are numbered in 16 bits.
            *noted = position as u16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Field failure 60
    #[test]
    fn the_earliest_is_found_whatever_was_set_changed_and_removed() {
        let (mut deadlines, mut model) = (Deadlines::<32>::new(), BTreeMap::new());
        let mut seed = 12_345_u64;
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let place = (seed >> 33) as u16 % 32;
            let at = (!(seed >> 40).is_multiple_of(3)).then(|| Instant::from_millis(seed >> 50));
            deadlines.set(place, at);
            match at {
                Some(at) => model.insert(place, at),
                None => model.remove(&place),
            };
            assert_eq!(deadlines.first(), model.values().min().copied());
        }
    }

    /// Field failure 60
    #[test]
    fn what_is_due_comes_once_and_in_order() {
        let mut deadlines = Deadlines::<4>::new();
        for (place, at) in [(0, 30), (1, 10), (2, 20), (3, 40)] {
            deadlines.set(place, Some(Instant::from_millis(at)));
        }
        let now = Instant::from_millis(30);
        let due: std::vec::Vec<u16> = std::iter::from_fn(|| deadlines.take_due(now)).collect();
        assert_eq!(due, [1, 2, 0]);
        assert_eq!(deadlines.first(), Some(Instant::from_millis(40)));
    }

    #[test]
    fn one_that_was_made_up_is_taken_apart_as_far_as_it_goes() {
        let at = Instant::from_millis(1);
        let heap = Vec::from_slice(&[(at, 7), (at, 1), (at, 1)]).unwrap();
        let mut deadlines = Deadlines::<3> { heap, positions: Vec::from_slice(&[2, ABSENT, 9]).unwrap() };
        let due: std::vec::Vec<u16> = std::iter::from_fn(|| deadlines.take_due(at)).collect();
        assert_eq!(due, [7, 1, 1]);
    }

    #[test]
    fn a_place_that_is_not_there_gets_no_deadline() {
        let mut deadlines = Deadlines::<2>::new();
        deadlines.set(2, Some(Instant::from_millis(1)));
        assert_eq!(deadlines.first(), None);
    }
}
