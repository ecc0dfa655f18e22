//! What is shown while it runs: one line that moves, or one line now and then where there is no terminal.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::tally::{Class, Count, Tally};

/// How often a line is printed where nothing can move.
const LINE_INTERVAL: Duration = Duration::from_secs(30);

/// The progress line.
#[derive(Debug)]
pub(crate) struct Screen<'a> {
    tally: &'a Tally,
    bar: ProgressBar,
    shown: Mutex<Shown>,
}

#[derive(Debug)]
struct Shown {
    violations: usize,
    line_due: Instant,
}

impl<'a> Screen<'a> {
    /// For a run of this length.
    pub(crate) fn new(tally: &'a Tally, length: Duration) -> Self {
        let bar = ProgressBar::new(length.as_secs());
        let style = ProgressStyle::with_template("{elapsed_precise} {bar:20} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { tally, bar, shown: Mutex::new(Shown { violations: 0, line_due: Instant::now() + LINE_INTERVAL }) }
    }

    /// Shows how things are, and violations that were not shown yet.
    pub(crate) fn show(&self) {
        let Ok(mut shown) = self.shown.lock() else { return };
        for violation in self.tally.violations_from(shown.violations) {
            shown.violations += 1;
            self.print(&format!("VIOLATION after {:.2} s: {}", violation.at.as_secs_f64(), violation.what));
        }
        self.bar.set_position(self.tally.elapsed().as_secs());
        self.bar.set_message(self.line(shown.violations));
        if self.bar.is_hidden() && Instant::now() >= shown.line_due {
            shown.line_due += LINE_INTERVAL;
            println!("{:7.0} s  {}", self.tally.elapsed().as_secs_f64(), self.line(shown.violations));
        }
    }

    /// The last line stays.
    pub(crate) fn close(&self) {
        self.show();
        self.bar.finish();
    }

    fn line(&self, violations: usize) -> String {
        let tally = self.tally;
        format!(
            "{} kills, {} stops, {} hostile, {} zaps, {} restarts, {} plays, {} refusals, {violations} violations",
            tally.sum(Class::Kill),
            tally.sum(Class::Stop),
            tally.sum(Class::Hostile),
            tally.sum(Class::Zap),
            tally.of(Count::Restarts),
            tally.of(Count::FirstFrames),
            tally.of(Count::Refusals),
        )
    }

    fn print(&self, text: &str) {
        if self.bar.is_hidden() { println!("{text}") } else { self.bar.println(text) }
    }
}
