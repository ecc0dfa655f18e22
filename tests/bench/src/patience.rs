//! How a side waits for the other one, the same in every ring that leaves it to its user.

use std::hint::spin_loop;
use std::thread::yield_now;
use std::time::{Duration, Instant};

use crate::Failure;

/// Looks before the processor is offered to others: some microseconds, longer than a small copy takes.
const SPINS: u32 = 200;
/// A peer that is silent for so long is gone.
const DEADLINE: Duration = Duration::from_secs(20);

/// One wait, from the first vain look on.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    looks: u32,
    since: Option<Instant>,
}

impl Patience {
    /// To be called after each vain look. Fails when the other side has been silent for too long.
    pub(crate) fn wait(&mut self) -> Result<(), Failure> {
        self.looks = self.looks.saturating_add(1);
        if self.looks < SPINS {
            spin_loop();
            return Ok(());
        }
        yield_now();
        match self.since.get_or_insert_with(Instant::now).elapsed() {
            silent if silent < DEADLINE => Ok(()),
            _ => Err("the other side is silent".into()),
        }
    }
}
