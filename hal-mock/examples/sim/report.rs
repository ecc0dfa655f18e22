//! What became of all runs.

use std::fs;
use std::path::Path;
use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use super::scene::{Figures, Scene};

/// One class of faults: its area, its name, how often it struck, and in how many seeds.
type Struck = (String, String, u64, usize);

/// The sums over all runs.
pub(super) struct Report {
    seeds: usize,
    box_ms: u64,
    inputs: u64,
    sessions: u64,
    least_inputs_an_hour: u64,
    faults: Vec<Struck>,
    /// Phases of data channels, and how many processes were killed in them.
    killed: Vec<(String, u64)>,
    pub(super) violations: u64,
    slowest_convergence_ms: u64,
    log_hash: u64,
    took: Duration,
}

impl Report {
    pub(super) fn new(scene: Scene, outcomes: &[Figures], took: Duration) -> Self {
        let struck = |(place, (area, name)): (usize, (String, String))| {
            let strikes = outcomes.iter().map(|outcome| outcome.faults[place]);
            (area, name, strikes.clone().sum(), strikes.filter(|strikes| *strikes > 0).count())
        };
        let killed = |(place, phase)| (phase, outcomes.iter().map(|outcome| outcome.killed[place]).sum());
        let an_hour = |outcome: &Figures| outcome.inputs * 3_600_000 / outcome.box_ms.max(1);
        let mix = |hash: u64, outcome: &Figures| (hash ^ outcome.log_hash).wrapping_mul(0xff51_afd7_ed55_8ccd);
        Self {
            seeds: outcomes.len(),
            box_ms: outcomes.iter().map(|outcome| outcome.box_ms).sum(),
            inputs: outcomes.iter().map(|outcome| outcome.inputs).sum(),
            sessions: outcomes.iter().map(|outcome| outcome.sessions).sum(),
            least_inputs_an_hour: outcomes.iter().map(an_hour).min().unwrap_or(0),
            faults: scene.faults().into_iter().enumerate().map(struck).collect(),
            killed: scene.phases().into_iter().enumerate().map(killed).collect(),
            violations: outcomes.iter().map(|outcome| outcome.violation_count).sum(),
            slowest_convergence_ms: outcomes.iter().map(|outcome| outcome.convergence_ms).max().unwrap_or(0),
            log_hash: outcomes.iter().fold(outcomes.len() as u64, mix),
            took,
        }
    }

    pub(super) fn print(&self) {
        let mut table = Table::new();
        table.load_style(NOTHING).set_header(["faults", "class", "times", "seeds"]);
        for (area, name, strikes, seeds) in &self.faults {
            table.add_row([area, name, &strikes.to_string(), &seeds.to_string()]);
        }
        table.column_iter_mut().skip(2).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        println!("{table}\n");
        self.print_killed();
        let seconds = self.took.as_secs_f64().max(f64::MIN_POSITIVE);
        let (hours, inputs) = (self.hours(), self.inputs as f64);
        println!(
            "took            {seconds:.1} s: {:.1} box-hours and {:.0} inputs a second",
            hours / seconds,
            inputs / seconds
        );
        println!("inputs          {}, at least {} in a box-hour", self.inputs, self.least_inputs_an_hour);
        if self.slowest_convergence_ms > 0 {
            println!("convergence     within {} ms of the last fault", self.slowest_convergence_ms);
        }
        if let Some((_, name, strikes, _)) = self.faults.iter().min_by_key(|(.., strikes, _)| *strikes) {
            println!("rarest fault    {name}, {strikes} times");
        }
    }

    fn print_killed(&self) {
        if self.killed.is_empty() {
            return;
        }
        let mut table = Table::new();
        table.load_style(NOTHING).set_header(["a page's process was killed in", "times"]);
        for (phase, times) in &self.killed {
            table.add_row([phase, &times.to_string()]);
        }
        table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        println!("{table}\n");
    }

    fn hours(&self) -> f64 {
        self.box_ms as f64 / 3_600_000.0
    }

    pub(super) fn last_line(&self) -> String {
        let faults: u64 = self.faults.iter().map(|(.., strikes, _)| strikes).sum();
        let Self { seeds, sessions, violations, log_hash, .. } = self;
        let sessions = if *sessions > 0 { format!("sessions {sessions}, ") } else { String::new() };
        format!(
            "seeds {seeds}, hours {:.0}, {sessions}faults {faults}, violations {violations}, log hash {log_hash:016x}",
            self.hours()
        )
    }
}

/// Tells what was violated, runs the seed again to write what happened and what the machines were told, and says how to see
/// it again.
pub(super) fn explain(directory: &Path, scene: Scene, failed: &Figures, storm: Duration) {
    for violation in &failed.violations {
        println!("seed {}, {} ms, {}: {}", failed.seed, violation.at_ms, violation.rule, violation.what);
    }
    let again = scene.run(failed.seed, storm, true);
    let file = |ending: &str| directory.join(format!("seed-{}.{ending}", failed.seed));
    println!("seed {}: what happened {}", failed.seed, written(&file("log"), again.lines.join("\n").as_bytes()));
    if !again.trace.is_empty() {
        let trace = written(&file("trace"), &again.trace);
        println!(
            "seed {}: what the machines were told {trace} (greenroomctl trace replay, trace diagram)",
            failed.seed
        );
    }
    println!("reproduce: {} SEED={}", scene.command(), failed.seed);
}

fn written(file: &Path, bytes: &[u8]) -> String {
    let directory = file.parent().unwrap_or(file);
    match fs::create_dir_all(directory).and_then(|()| fs::write(file, bytes)) {
        Ok(()) => format!("stands in {}", file.display()),
        Err(error) => format!("cannot be written to {}: {error}", file.display()),
    }
}
