//! Which step comes before which. A clock counts milliseconds, in which much can happen, and a machine's own is as old as its
//! turn; what cannot be the other way round decides: nobody hears what was not said yet.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use greenroom_core::time::Instant;

use super::run::{Part, Run, Seen};

/// The conversation between the manager and a session server's process, in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Channel {
    To(u32),
    From(u32),
}

/// A message between them, and what tells it from others: its number, or all of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Word {
    pub(super) channel: Channel,
    pub(super) what: Vec<u8>,
}

/// How much later than it was heard a word can seem to have been said: a turn's clock is read when the turn begins. What was
/// said later than that is another word, which sounds the same.
const TURN_MAX: Duration = Duration::from_secs(1);

/// Which words were heard of those that were said: the others were said before the traces begin, or by somebody unseen.
#[derive(Debug, Default)]
pub(super) struct Conversations {
    said: BTreeMap<Word, VecDeque<Instant>>,
    in_flight: BTreeMap<Word, usize>,
}

impl Conversations {
    pub(super) fn of(runs: &[Run]) -> Self {
        let mut said: BTreeMap<Word, VecDeque<Instant>> = BTreeMap::new();
        for seen in runs.iter().flat_map(|run| &run.steps) {
            seen.tells.iter().for_each(|word| said.entry(word.clone()).or_default().push_back(seen.at));
        }
        Self { said, in_flight: BTreeMap::new() }
    }

    /// Whether what it hears is still to be said.
    fn is_unsaid(&self, seen: &Seen) -> bool {
        let Some(word) = &seen.hears else { return false };
        let is_in_flight = self.in_flight.get(word).is_some_and(|count| *count > 0);
        let next = self.said.get(word).and_then(VecDeque::front);
        !is_in_flight && next.is_some_and(|at| *at <= seen.at.after(TURN_MAX))
    }

    /// The step is the next one.
    pub(super) fn pass(&mut self, seen: &Seen) {
        if let Some(count) = seen.hears.as_ref().and_then(|word| self.in_flight.get_mut(word)) {
            *count = count.saturating_sub(1);
        }
        for word in &seen.tells {
            self.said.get_mut(word).and_then(VecDeque::pop_front);
            *self.in_flight.entry(word.clone()).or_default() += 1;
        }
    }
}

/// Whose step is the next one: the earliest of those that need not wait to be told. Of several that the clock does not tell
/// apart it is one that has not to wait for another, and of those one that is a cause rather than an effect.
pub(super) fn next_of(runs: &[Run], conversations: &Conversations) -> Option<usize> {
    let head = |place: &usize| runs[*place].steps.front();
    let (waiting, ready): (Vec<usize>, Vec<usize>) = (0..runs.len())
        .filter(|place| head(place).is_some())
        .partition(|place| head(place).is_some_and(|seen| conversations.is_unsaid(seen)));
    // Who waits for each other was recorded with a gap.
    let able = if ready.is_empty() { waiting } else { ready };
    let earliest = able.iter().filter_map(head).map(|seen| seen.at).min()?;
    let now = able.into_iter().filter_map(|place| Some((place, &runs[place], head(&place)?)));
    let now: Vec<(usize, &Run, &Seen)> = now.filter(|(.., seen)| seen.at == earliest).collect();
    let free = now.iter().filter(|head| !is_told_first(head, &now));
    free.min_by_key(|(.., seen)| seen.part).or(now.first()).map(|(place, ..)| *place)
}

/// Whether somebody else's step at the same time comes first.
fn is_told_first((_, run, seen): &(usize, &Run, &Seen), now: &[(usize, &Run, &Seen)]) -> bool {
    match seen.part {
        // An app does what it was told, and the application manager tells it what follows from what it has heard.
        Part::CallOfApp => now.iter().any(|(.., other)| other.part == Part::TellsApp && other.app() == run.app()),
        Part::TellsApp => now.iter().any(|(.., other)| other.part == Part::Manager),
        Part::WordOfApp | Part::Manager | Part::Other => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: u32 = 7;

    fn word(what: u8) -> Word {
        Word { channel: Channel::From(SERVER), what: vec![what] }
    }

    /// Steps of one machine: when, what it hears, what it tells.
    fn run(steps: &[(u64, Option<u8>, &[u8])]) -> Run {
        let steps = steps.iter().map(|(at, hears, tells)| {
            Seen::told(Instant::from_millis(*at), hears.map(word), tells.iter().copied().map(word).collect())
        });
        Run::of_steps(steps)
    }

    /// The order in which the steps are drawn, each as its machine.
    fn order(mut runs: Vec<Run>) -> Vec<usize> {
        let mut conversations = Conversations::of(&runs);
        let mut drawn = Vec::new();
        while let Some(place) = next_of(&runs, &conversations) {
            let seen = runs[place].steps.pop_front().unwrap();
            conversations.pass(&seen);
            drawn.push(place);
        }
        drawn
    }

    #[test]
    fn what_is_heard_by_an_older_clock_comes_after_it_was_said() {
        let manager = run(&[(4, Some(1), &[]), (4, Some(2), &[]), (12, None, &[])]);
        let server = run(&[(4, None, &[1]), (5, None, &[2])]);
        assert_eq!(order(vec![manager, server]), [1, 0, 1, 0, 0]);
    }

    #[test]
    fn what_sounds_like_a_word_of_long_ago_is_not_waited_for() {
        let manager = run(&[(4, Some(1), &[]), (5, None, &[]), (9000, Some(1), &[])]);
        let server = run(&[(6, None, &[]), (9000, None, &[1])]);
        assert_eq!(order(vec![manager, server]), [0, 0, 1, 1, 0]);
    }

    #[test]
    fn machines_that_wait_for_each_other_are_drawn_by_their_clocks() {
        let one = run(&[(5, Some(2), &[1])]);
        let other = run(&[(4, Some(1), &[2])]);
        assert_eq!(order(vec![one, other]), [1, 0]);
    }
}
