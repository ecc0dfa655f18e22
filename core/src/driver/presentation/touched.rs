//! Places of a table that are to be looked at: each once, in the order in which they were touched.

use heapless::Deque;

/// At most `N` places, so that nothing overflows.
#[derive(Debug)]
pub(super) struct Touched<const N: usize> {
    queue: Deque<u16, N>,
    is_queued: [bool; N],
}

impl<const N: usize> Touched<N> {
    pub(super) const fn new() -> Self {
        Self { queue: Deque::new(), is_queued: [false; N] }
    }

    pub(super) fn add(&mut self, place: u16) {
        let Some(is_queued) = self.is_queued.get_mut(usize::from(place)) else { return };
        if !core::mem::replace(is_queued, true) {
            // There is room for each place.
            let _ = self.queue.push_back(place);
        }
    }

    pub(super) fn next(&mut self) -> Option<u16> {
        let place = self.queue.pop_front()?;
        if let Some(is_queued) = self.is_queued.get_mut(usize::from(place)) {
            *is_queued = false;
        }
        Some(place)
    }

    pub(super) fn in_use(&self) -> usize {
        self.queue.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_looked_at_once_however_often_it_was_touched_and_again_when_it_is_touched_again() {
        let mut touched = Touched::<3>::new();
        for place in [2, 0, 2, 7] {
            touched.add(place);
        }
        assert_eq!((touched.next(), touched.next(), touched.next()), (Some(2), Some(0), None));
        touched.add(2);
        assert_eq!((touched.in_use(), touched.next()), (1, Some(2)));
    }
}
