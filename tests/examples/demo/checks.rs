//! What must hold for the demo to succeed.

use crate::journal::{Colour, Journal};

/// The checks that were made.
#[derive(Default)]
pub(crate) struct Checks {
    made: Vec<(bool, String)>,
}

impl Checks {
    /// Makes a check; `what` is a sentence that is true when it holds.
    pub(crate) fn check(&mut self, holds: bool, what: impl Into<String>) {
        self.made.push((holds, what.into()));
    }

    /// Prints all of them; true when every one holds.
    pub(crate) fn conclude(&self, journal: &Journal) -> bool {
        for (holds, what) in &self.made {
            let mark =
                if *holds { journal.paint(Colour::Good, "ok    ") } else { journal.paint(Colour::Bad, "FAILED") };
            journal.print(&format!("  {mark}  {what}"));
        }
        let failed = self.made.iter().filter(|(holds, _)| !holds).count();
        let (colour, verdict) = match failed {
            0 => (Colour::Good, format!("all {} checks hold", self.made.len())),
            failed => (Colour::Bad, format!("{failed} of {} checks FAILED", self.made.len())),
        };
        journal.print(&format!("\n{}", journal.paint(colour, &verdict)));
        failed == 0
    }
}
