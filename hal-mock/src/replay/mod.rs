//! A run that was recorded, once more: the machines that ship are told what they were told then, and must come to the same.
//!
//! ```
//! use greenroom_core::trace::file::File;
//! use greenroom_hal_mock::replay::replay;
//!
//! # let bytes = greenroom_hal_mock::replay::file_of([]);
//! let file = File::parse(&bytes).unwrap();
//! let outcomes = replay(&file, |step| println!("{step}")).unwrap();
//! for outcome in outcomes {
//!     println!("{outcome}");
//! }
//! ```

mod error;
mod show;

use greenroom_core::client::{self, Client};
use greenroom_core::codec::postcard;
use greenroom_core::driver::Machine;
use greenroom_core::manager::{self, Manager};
use greenroom_core::session::{self, Server};
use greenroom_core::time::Instant;
use greenroom_core::trace::file::{self, File, Origin, Part};
use greenroom_core::trace::{BUILD, Entry, MachineKind, Polled, Record, Replayable, Segment, checksum_of, segments};
use serde::Deserialize;

pub use self::error::{Difference, ReplayError};

/// One input of one machine, and what came of it.
#[derive(Debug)]
pub struct Step<'a> {
    /// Whose it is.
    pub origin: &'a Origin,
    /// Counts the inputs of this machine in the file, from 1 on.
    pub number: usize,
    /// When it was.
    pub at: Instant,
    /// What it was.
    pub told: Told<'a>,
}

/// What a machine was told, whether it took it, what it wanted done then, and how it is now.
///
/// An action that was carried out may have led to a next input before the others were; they stand there.
#[derive(Debug)]
pub enum Told<'a> {
    /// The manager.
    Manager {
        /// The input.
        input: manager::Input<'a>,
        /// Whether it came too late.
        taken: Result<(), manager::Stale>,
        /// What follows.
        actions: &'a [manager::Action],
        /// The machine, after that.
        machine: &'a Manager,
    },
    /// A session server.
    Session {
        /// The input.
        input: session::Input<'a>,
        /// Why it was not taken.
        taken: Result<(), session::NotTaken>,
        /// What follows.
        actions: &'a [session::Action],
        /// The machine, after that.
        machine: &'a Server,
    },
    /// A client.
    Client {
        /// The input.
        input: client::Input<'a>,
        /// Why it was not taken.
        taken: Result<(), client::NotTaken>,
        /// What follows.
        actions: &'a [client::Action],
        /// The machine, after that.
        machine: &'a Client,
    },
}

/// What the replay of one machine has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whose it is.
    pub origin: Origin,
    /// How many segments there were.
    pub segments: usize,
    /// How often something is missing between two segments.
    pub gaps: usize,
    /// How many inputs there were.
    pub inputs: usize,
    /// How often the state was compared with the recorded one.
    pub compared: usize,
    /// Inputs since then: none, unless the process was killed while it had something to do.
    pub inputs_since: usize,
    /// From when to when the inputs are.
    pub from: Instant,
    /// The latest.
    pub to: Instant,
    /// The checksum of the final state.
    pub checksum: u32,
    /// The final state for people.
    pub state: String,
}

/// Tells the machines of a file what they were told, one machine after the other; `observe` sees each step.
///
/// Whether it came to the same is checked at each input by the number of actions, and by the state as often as it was
/// recorded. To see several machines in the order of time, sort what was observed by [`Step::at`].
pub fn replay(file: &File<'_>, mut observe: impl FnMut(&Step<'_>)) -> Result<Vec<Outcome>, ReplayError> {
    file.parts().map(|part| replay_part(&part, &mut observe)).collect()
}

/// A file of these traces: whose each is, and its memory. One in which nothing is whole is left out.
pub fn file_of<'m>(traces: impl IntoIterator<Item = (&'m Origin, &'m [u8])>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut write = |written: &[u8]| bytes.extend_from_slice(written);
    file::opening(&mut write);
    for (origin, memory) in traces.into_iter().filter(|(_, memory)| segments(memory).next().is_some()) {
        file::part(origin, memory, &mut write);
    }
    file::end(&mut write);
    bytes
}

fn replay_part(part: &Part<'_>, observe: &mut dyn FnMut(&Step<'_>)) -> Result<Outcome, ReplayError> {
    match part.origin.machine {
        MachineKind::Manager => Run::<Manager>::of(part, observe),
        MachineKind::Session => Run::<Server>::of(part, observe),
        MachineKind::Client => Run::<Client>::of(part, observe),
    }
}

/// A machine that can be shown.
trait Shown: Replayable + for<'de> Deserialize<'de> {
    fn told<'a>(
        &'a self,
        input: &'a Self::Input<'_>,
        taken: Result<(), Self::Refusal>,
        actions: &'a [Self::Action],
    ) -> Told<'a>;

    /// How it is, for people.
    fn state(&self, now: Instant) -> String;
}

/// An input that was handled, and whose actions are being taken out.
struct Pending<'f, M: Machine> {
    at: Instant,
    input: M::Input<'f>,
    taken: Result<(), M::Refusal>,
    actions: Vec<M::Action>,
}

/// The replay of one machine.
struct Run<'f, 'o, M: Machine> {
    part: &'o Part<'f>,
    machine: Box<M>,
    pending: Option<Pending<'f, M>>,
    outcome: Outcome,
    observe: &'o mut dyn FnMut(&Step<'_>),
}

impl<'f, 'o, M: Shown> Run<'f, 'o, M>
where
    M::Input<'f>: Deserialize<'f> + Copy + std::fmt::Debug,
    M::Refusal: Copy,
{
    fn of(part: &'o Part<'f>, observe: &'o mut dyn FnMut(&Step<'_>)) -> Result<Outcome, ReplayError> {
        let mut segments = part.segments();
        let first = segments.next().ok_or_else(|| ReplayError::Empty { origin: part.origin.clone() })?;
        let outcome = Outcome {
            origin: part.origin.clone(),
            segments: 1,
            gaps: 0,
            inputs: 0,
            compared: 0,
            inputs_since: 0,
            from: first.start.at,
            to: first.start.at,
            checksum: 0,
            state: String::new(),
        };
        let mut run = Self { part, machine: restore(&part.origin, &first)?, pending: None, outcome, observe };
        run.segment(&first)?;
        let mut number = first.start.number;
        for segment in segments {
            run.follow(&segment, number)?;
            run.segment(&segment)?;
            number = segment.start.number;
        }
        run.end()
    }

    fn segment(&mut self, segment: &Segment<'f>) -> Result<(), ReplayError> {
        for entry in segment.entries::<M::Input<'f>>() {
            match entry {
                Some(Entry::Input(record)) => self.input(record)?,
                Some(Entry::Settled { before, checksum }) => {
                    self.finish(Some(before))?;
                    if let Some(recorded) = checksum {
                        self.compare(recorded)?;
                    }
                }
                None => return Err(ReplayError::Unreadable { origin: self.part.origin.clone(), number: self.next() }),
            }
        }
        Ok(())
    }

    /// Goes on with another segment: its snapshot must be where this machine has come to, if nothing is missing.
    fn follow(&mut self, segment: &Segment<'f>, number: u32) -> Result<(), ReplayError> {
        let restored = restore(&self.part.origin, segment)?;
        if segment.start.number == number.wrapping_add(1) {
            self.finish(Some(segment.start.before))?;
            self.compare(checksum_of(&*restored).0)?;
        } else {
            self.finish(None)?;
            self.outcome.gaps += 1;
        }
        self.machine = restored;
        self.outcome.segments += 1;
        Ok(())
    }

    fn input(&mut self, record: Record<M::Input<'f>>) -> Result<(), ReplayError> {
        self.finish(Some(record.before))?;
        let Record { at, input, .. } = record;
        self.outcome.inputs += 1;
        self.outcome.inputs_since += 1;
        self.outcome.to = at;
        let taken = self.machine.handle(at, input);
        self.pending = Some(Pending { at, input, taken, actions: Vec::new() });
        Ok(())
    }

    /// Takes out the actions of the last input: as many as were, or all where that is not known. One more than there can
    /// have been is enough to know: a trace that somebody has made up is not to keep us for ever.
    fn finish(&mut self, polled: Option<Polled>) -> Result<(), ReplayError> {
        let Some(mut pending) = self.pending.take() else { return Ok(()) };
        let is_over = |taken: usize| match polled {
            Some(Polled { actions, drained: false }) => taken == usize::from(actions),
            Some(Polled { actions, drained: true }) => taken > usize::from(actions),
            None => taken > usize::from(u16::MAX),
        };
        while !is_over(pending.actions.len()) {
            match self.machine.poll_action() {
                Some(action) => pending.actions.push(action),
                None => break,
            }
        }
        let Pending { at, input, taken, actions } = pending;
        let told = self.machine.told(&input, taken, &actions);
        (self.observe)(&Step { origin: &self.part.origin, number: self.outcome.inputs, at, told });
        match polled {
            Some(polled) if usize::from(polled.actions) != actions.len() => {
                let (recorded, replayed) = (polled.actions.into(), actions.len());
                Err(self.diverged(format!("{input:?}"), Difference::Actions { recorded, replayed }))
            }
            _ => Ok(()),
        }
    }

    fn compare(&mut self, recorded: u32) -> Result<(), ReplayError> {
        let (replayed, _) = checksum_of(&*self.machine);
        if recorded != replayed {
            return Err(self.diverged(self.machine.state(self.outcome.to), Difference::State { recorded, replayed }));
        }
        self.outcome.compared += 1;
        self.outcome.inputs_since = 0;
        Ok(())
    }

    fn end(mut self) -> Result<Outcome, ReplayError> {
        self.finish(None)?;
        let state = self.machine.state(self.outcome.to);
        Ok(Outcome { checksum: checksum_of(&*self.machine).0, state, ..self.outcome })
    }

    fn next(&self) -> usize {
        self.outcome.inputs + 1
    }

    fn diverged(&self, what: String, difference: Difference) -> ReplayError {
        let (origin, number, at) = (self.part.origin.clone(), self.outcome.inputs, self.outcome.to);
        ReplayError::Diverged { origin, number, at, what, difference }
    }
}

fn restore<M: Shown>(origin: &Origin, segment: &Segment<'_>) -> Result<Box<M>, ReplayError> {
    let start = &segment.start;
    if start.build != BUILD {
        return Err(ReplayError::Build { recorded: start.build.to_owned() });
    }
    if let Some(differ) = start.capacities_differ() {
        return Err(ReplayError::Capacity(differ));
    }
    let unreadable = || ReplayError::Snapshot { origin: origin.clone(), segment: start.number };
    if start.machine != M::KIND {
        return Err(unreadable());
    }
    postcard::decode(segment.snapshot).map(Box::new).map_err(|_| unreadable())
}
