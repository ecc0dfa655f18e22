//! Runs boxes in virtual time under faults, in parallel, and tells what became of them: `make sim SEEDS=n [SEED=x]`.
//!
//! Exit status: 0 when nothing was violated, 1 when something was, 2 when it was called wrongly.

mod fleet;
mod report;
mod scene;
mod seeds;

use std::cell::Cell;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use clap::Parser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use self::report::Report;
use self::scene::{Figures, Scene};

/// Machines are large, and are made on the stack before they are moved.
const STACK_BYTES: usize = 16 * 1024 * 1024;

thread_local! {
    /// What this thread runs, for who panics in it.
    static SEED: Cell<Option<(Scene, u64)>> = const { Cell::new(None) };
}

/// Runs boxes in virtual time under faults.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Runs so many seeds: those of regressions, fixed ones, and the rest derived from the commit
    #[arg(long, default_value_t = 64)]
    seeds: usize,
    /// Runs this seed only, and writes what happened in it
    #[arg(long)]
    seed: Option<u64>,
    /// Boxes on a network that put pages on each other's screens, and not one whose apps play
    #[arg(long)]
    presentation: bool,
    /// How long each box is under faults, in minutes of its own time
    #[arg(long)]
    minutes: Option<u64>,
    /// The commit from which seeds are derived
    #[arg(long, default_value = "none")]
    commit: String,
    /// Where the seeds lie that have found something, if not where those of the same kind of run do
    #[arg(long)]
    regressions: Option<PathBuf>,
    /// Runs each seed twice: both runs must be the same
    #[arg(long)]
    twice: bool,
    /// How many run at a time; as many as there are processors unless it is said
    #[arg(long)]
    jobs: Option<usize>,
    /// Where the logs of failures are written
    #[arg(long, default_value = "target/sim")]
    logs: PathBuf,
    /// Keeps so many boxes in one process, and tells what one of them and one input cost
    #[arg(long)]
    fleet: Option<usize>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    name_the_seed_of_a_panic();
    if let Some(boxes) = arguments.fleet {
        fleet::measure(boxes);
        return ExitCode::SUCCESS;
    }
    let seeds = match seeds::choose(&arguments) {
        Ok(seeds) => seeds,
        Err(error) => {
            eprintln!("sim: {error}");
            return ExitCode::from(2);
        }
    };
    let start = Instant::now();
    let outcomes = run_all(&arguments, &seeds);
    let scene = arguments.scene();
    let report = Report::new(scene, &outcomes, start.elapsed());
    report.print();
    for failed in outcomes.iter().filter(|outcome| outcome.violation_count > 0) {
        report::explain(&arguments.logs, scene, failed, arguments.storm());
    }
    println!("{}", report.last_line());
    if report.violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What panics ends the program, and must be found again.
fn name_the_seed_of_a_panic() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        usual(panic);
        if let Some((scene, seed)) = SEED.get() {
            eprintln!("reproduce: {} SEED={seed}", scene.command());
        }
    }));
}

impl Arguments {
    fn scene(&self) -> Scene {
        if self.presentation { Scene::Presentation } else { Scene::TvBox }
    }

    fn regressions(&self) -> &Path {
        self.regressions.as_deref().unwrap_or(Path::new(self.scene().regressions()))
    }

    fn storm(&self) -> Duration {
        Duration::from_secs(60 * self.minutes.unwrap_or(self.scene().usual_minutes()))
    }
}

/// Gives the outcomes in the order of the seeds, whatever the order in which they came.
fn run_all(arguments: &Arguments, seeds: &[u64]) -> Vec<Figures> {
    let jobs = arguments.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, NonZero::get));
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    let mut outcomes: Vec<(usize, Figures)> = std::thread::scope(|scope| {
        for _ in 0..jobs.min(seeds.len()) {
            let (sender, next) = (sender.clone(), &next);
            let work = move || {
                while let Some((place, seed)) = take(next, seeds) {
                    let outcome = run_one(arguments, seed);
                    if sender.send((place, outcome)).is_err() {
                        return;
                    }
                }
            };
            std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work).expect("a thread is started");
        }
        drop(sender);
        let progress = progress_bar(seeds.len());
        let outcomes = receiver.iter().inspect(|(_, outcome)| tell(&progress, outcome)).collect();
        progress.finish_and_clear();
        outcomes
    });
    outcomes.sort_by_key(|(place, _)| *place);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

fn take(next: &AtomicUsize, seeds: &[u64]) -> Option<(usize, u64)> {
    let place = next.fetch_add(1, Ordering::Relaxed);
    seeds.get(place).map(|seed| (place, *seed))
}

fn run_one(arguments: &Arguments, seed: u64) -> Figures {
    SEED.set(Some((arguments.scene(), seed)));
    let run = || arguments.scene().run(seed, arguments.storm(), false);
    let mut outcome = run();
    if arguments.twice && run().log_hash != outcome.log_hash {
        outcome.differs();
    }
    SEED.set(None);
    outcome
}

fn progress_bar(seeds: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{elapsed} {wide_bar} {pos}/{len} seeds, {eta} left{msg}");
    let bar = ProgressBar::with_draw_target(Some(seeds as u64), ProgressDrawTarget::stderr());
    bar.with_style(style.expect("the template is right"))
}

fn tell(progress: &ProgressBar, outcome: &Figures) {
    if let Some(first) = outcome.violations.first() {
        progress.println(format!("seed {}: {}: {}", outcome.seed, first.rule, first.what));
        progress.set_message(", with violations");
    }
    progress.inc(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seeds_give_the_same_last_line_however_many_run_at_a_time() {
        let last_line = |jobs: &str, scene: &[&str]| {
            let given = ["sim", "--jobs", jobs, "--minutes", "1"];
            let arguments = Arguments::parse_from(given.iter().chain(scene));
            let outcomes = run_all(&arguments, &[1, 2, 3, 4]);
            Report::new(arguments.scene(), &outcomes, Duration::from_secs(1)).last_line()
        };
        for scene in [&[][..], &["--presentation"]] {
            assert_eq!(last_line("1", scene), last_line("3", scene));
        }
    }
}
