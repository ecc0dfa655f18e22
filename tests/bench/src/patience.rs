//! How a side waits for the other one.

use std::hint::spin_loop;
use std::thread::yield_now;
use std::time::{Duration, Instant};

use crate::Failure;

/// Pauses between two looks, about a microsecond or two together. Who looks at every pause takes the cursor's cache line from
/// the other side at nearly every frame, or does not, as chance has it: small frames then pass at one of two speeds.
pub(crate) const PAUSES: u32 = 128;
/// Pauses before the processor is offered to others: some microseconds, longer than a small copy takes.
const PAUSES_MAX: u32 = 640;
/// A peer that is silent for so long is gone.
const DEADLINE: Duration = Duration::from_secs(20);

/// One wait, from the first vain look on.
#[derive(Debug)]
pub(crate) struct Patience {
    between_looks: u32,
    pauses: u32,
    since: Option<Instant>,
}

impl Patience {
    /// With so many pauses between two looks.
    pub(crate) fn new(between_looks: u32) -> Self {
        Self { between_looks, pauses: 0, since: None }
    }

    /// To be called after each vain look. Fails when the other side has been silent for too long.
    pub(crate) fn wait(&mut self) -> Result<(), Failure> {
        if self.pauses < PAUSES_MAX {
            self.pauses += self.between_looks;
            (0..self.between_looks).for_each(|_| spin_loop());
            return Ok(());
        }
        yield_now();
        match self.since.get_or_insert_with(Instant::now).elapsed() {
            silent if silent < DEADLINE => Ok(()),
            _ => Err("the other side is silent".into()),
        }
    }
}
