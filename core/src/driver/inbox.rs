//! Where an interrupt or another thread leaves inputs for a machine.

use core::cell::RefCell;

use critical_section::Mutex;
use heapless::Deque;

use crate::table::Full;

/// At most `N` inputs that wait for their machine, in the order in which they were posted.
///
/// It stands in a `static`: interrupts [`post`](Self::post), the loop that owns the machine [`take`](Self::take)s. Each
/// holds the platform's critical section for the move of one `T` only, so a `T` is small: what is long stays where
/// it is and the input names it.
///
/// What does not fit is given back and not lost in silence: the poster keeps it and posts it again, or keeps
/// a flag that the loop reads.
#[derive(Debug)]
pub struct Inbox<T, const N: usize> {
    waiting: Mutex<RefCell<Deque<T, N>>>,
}

impl<T, const N: usize> Default for Inbox<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const N: usize> Inbox<T, N> {
    /// An empty inbox.
    pub const fn new() -> Self {
        Self { waiting: Mutex::new(RefCell::new(Deque::new())) }
    }

    /// Leaves an input; a full inbox gives it back.
    pub fn post(&self, input: T) -> Result<(), Full<T>> {
        critical_section::with(|section| self.waiting.borrow_ref_mut(section).push_back(input).map_err(Full))
    }

    /// Takes the input that was posted first.
    pub fn take(&self) -> Option<T> {
        critical_section::with(|section| self.waiting.borrow_ref_mut(section).pop_front())
    }

    /// How many inputs wait.
    pub fn in_use(&self) -> usize {
        critical_section::with(|section| self.waiting.borrow_ref(section).len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_come_out_in_the_order_in_which_they_were_posted() {
        let inbox = Inbox::<u8, 2>::new();
        inbox.post(1).unwrap();
        inbox.post(2).unwrap();
        assert_eq!((inbox.take(), inbox.take(), inbox.take()), (Some(1), Some(2), None));
    }

    #[test]
    fn a_full_inbox_gives_the_input_back_and_takes_it_once_there_is_room() {
        let inbox = Inbox::<u8, 1>::new();
        inbox.post(1).unwrap();
        assert_eq!(inbox.post(2), Err(Full(2)));
        assert_eq!((inbox.take(), inbox.in_use()), (Some(1), 0));
        assert_eq!(inbox.post(2), Ok(()));
    }

    /// Field failure 33
    #[test]
    fn nothing_is_lost_or_doubled_when_another_thread_posts() {
        static INBOX: Inbox<u32, 4> = Inbox::new();
        let poster = std::thread::spawn(|| {
            for number in 0..1000 {
                while INBOX.post(number).is_err() {
                    std::thread::yield_now();
                }
            }
        });
        for expected in 0..1000 {
            let taken = loop {
                match INBOX.take() {
                    Some(number) => break number,
                    None => std::thread::yield_now(),
                }
            };
            assert_eq!(taken, expected);
        }
        poster.join().unwrap();
    }
}
