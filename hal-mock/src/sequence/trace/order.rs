//! Which step comes before which. The clock of a trace counts milliseconds, in which much can happen; what cannot be the
//! other way round decides.

use std::collections::BTreeMap;

use super::run::{Part, Run, Seen};

/// The conversation between the manager and a session server's process, in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Channel {
    To(u32),
    From(u32),
}

/// Messages that were said and not heard yet.
#[derive(Debug, Default)]
pub(super) struct InFlight(BTreeMap<Channel, usize>);

impl InFlight {
    fn has(&self, channel: Channel) -> bool {
        self.0.get(&channel).is_some_and(|count| *count > 0)
    }

    pub(super) fn pass(&mut self, seen: &Seen) {
        if let Some(count) = seen.hears.and_then(|channel| self.0.get_mut(&channel)) {
            *count = count.saturating_sub(1);
        }
        for channel in &seen.tells {
            *self.0.entry(*channel).or_default() += 1;
        }
    }
}

/// Whose step is the next one: the earliest. Of several that the clock does not tell apart it is one that has not to wait for
/// another, and of those one that is a cause rather than an effect.
pub(super) fn next_of(runs: &[Run], in_flight: &InFlight) -> Option<usize> {
    let earliest = runs.iter().filter_map(|run| run.steps.front()).map(|seen| seen.at).min()?;
    let due = |place: &usize| runs[*place].steps.front().filter(|seen| seen.at == earliest);
    let places: Vec<usize> = (0..runs.len()).filter(|place| due(place).is_some()).collect();
    let now: Vec<(&Run, &Seen)> = places.iter().filter_map(|place| Some((&runs[*place], due(place)?))).collect();
    let ready = places.iter().zip(&now).filter(|(_, head)| !waits(head, &now, in_flight));
    ready.min_by_key(|(_, (_, seen))| seen.part).or(places.iter().zip(&now).next()).map(|(place, _)| *place)
}

fn waits((run, seen): &(&Run, &Seen), now: &[(&Run, &Seen)], in_flight: &InFlight) -> bool {
    let is_unsaid = seen
        .hears
        .is_some_and(|channel| !in_flight.has(channel) && now.iter().any(|(other, _)| other.speaks_on(channel)));
    let is_told_now = |(_, other): &(&Run, &Seen)| other.part == Part::TellsApp && other.app() == run.app();
    match seen.part {
        // An app does what it was told, and the application manager tells it what follows from what it has heard.
        Part::CallOfApp => now.iter().any(is_told_now),
        Part::TellsApp => now.iter().any(|(_, other)| other.part == Part::Manager),
        Part::WordOfApp | Part::Manager | Part::Other => is_unsaid,
    }
}
