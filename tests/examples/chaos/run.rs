//! One run: three acts, with a rest after each of them.
//!
//! ```text
//! | a quarter: managers die, too | half: the manager lives, what it holds is compared | a quarter: managers die, too |
//! ```

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use rustix::process::{Resource, Rlimit, getpid, set_child_subreaper, setrlimit};

use crate::census::Process;
use crate::clips::{self, Clips};
use crate::inspector::Inspector;
use crate::players::Players;
use crate::report::{self, Findings};
use crate::samples::{Growth, Sample, Samples, floor, median};
use crate::screen::Screen;
use crate::stage::{self, APPS, Stage};
use crate::tally::Tally;
use crate::weather::Weather;
use crate::{Failure, hostile};

const MIB: u64 = 1024 * 1024;
/// What is loaded once has been loaded by then: after so many samples, or after this part of all.
const WARM_UP_SAMPLES: usize = 20;
const WARM_UP_PART: usize = 10;
/// A run that lasts so long has enough samples to say whether something has grown.
const TELLING_LENGTH: Duration = Duration::from_secs(5 * 60);

/// Whether nothing was violated.
pub(crate) fn run(length: Duration, seed: u64) -> Result<bool, Failure> {
    let directory = directory()?;
    fs::create_dir_all(&directory)?;
    println!("seed {seed}, {:.1} minutes; results go to {}", length.as_secs_f64() / 60.0, directory.display());
    let clips = clips::prepare(&directory)?;
    // Servers whose manager has died become this process's children, so that each is seen to end.
    set_child_subreaper(Some(getpid()))?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    let tally = Tally::new();
    let setup = stage::setup();
    let stage = Stage::build(&setup, &directory.join("manager.log"), &tally)?;
    let screen = Screen::new(&tally, length);
    let mut run =
        Run { stage: &stage, clips: &clips, screen: &screen, samples: Samples::default(), rng: Rng::with_seed(seed) };
    let growths = run.play(length)?;
    screen.close();
    let findings = Findings { seed, length, tally: &tally, samples: &run.samples, growths };
    report::write(&directory, &findings)
}

/// `target/chaos`, wherever `target` is: this program is `target/PROFILE/examples/chaos`.
fn directory() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe()?;
    let target = own.ancestors().nth(3).ok_or("this program does not lie in target/PROFILE/examples")?;
    Ok(target.join("chaos"))
}

struct Run<'a> {
    stage: &'a Stage<'a>,
    clips: &'a Clips,
    screen: &'a Screen<'a>,
    samples: Samples,
    rng: Rng,
}

impl Run<'_> {
    fn play(&mut self, length: Duration) -> Result<Vec<Growth>, Failure> {
        let mut inspector = Inspector::new(self.stage);
        let at_start = self.stage.manager_at_rest();
        self.act(&mut inspector, length / 4, true)?;
        self.rest(&mut inspector, "after the first act", &at_start);
        self.stage.renew_manager()?;
        let before = self.stage.manager_at_rest();
        let from = self.samples.all().len();
        self.act(&mut inspector, length / 2, false)?;
        let growths = self.growths(from, length);
        self.rest(&mut inspector, "after the second act", &before);
        self.act(&mut inspector, length / 4, true)?;
        self.rest(&mut inspector, "after the last act", &before);
        self.stage.end_manager();
        inspector.check_end();
        Ok(growths)
    }

    /// Lets everybody do their worst.
    fn act(&mut self, inspector: &mut Inspector<'_>, length: Duration, storms: bool) -> Result<(), Failure> {
        let end = Instant::now() + length;
        let (stage, screen) = (self.stage, self.screen);
        let players = Players::new(stage, self.clips);
        let mut rng = || self.rng.fork();
        let rngs: [Rng; 6] = std::array::from_fn(|_| rng());
        let [weather, keeper, one, other, hostile, second_hostile] = rngs;
        let samples = &mut self.samples;
        thread::scope(|scope| {
            let players = &players;
            let weather = scope.spawn(move || Weather::blow(stage, players, weather, storms, end));
            let keeper = scope.spawn(move || players.keep(scope, keeper, end));
            scope.spawn(move || crate::remote::Remote::zap(stage, one, true, end));
            scope.spawn(move || crate::remote::Remote::zap(stage, other, false, end));
            scope.spawn(move || hostile::attack(stage, hostile, end));
            scope.spawn(move || hostile::attack(stage, second_hostile, end));
            let inspected = inspector.inspect(samples, end, || screen.show());
            let joined = |thread: thread::ScopedJoinHandle<'_, Result<(), Failure>>| {
                thread.join().unwrap_or_else(|_| Err("a thread panicked".into()))
            };
            inspected.and(joined(weather)).and(joined(keeper))
        })
    }

    /// Ends all apps; then nothing may be left of them.
    fn rest(&mut self, inspector: &mut Inspector<'_>, when: &str, at_start: &Process) {
        self.stage.end_apps();
        inspector.check_rest(when, at_start);
        self.screen.show();
    }

    /// Whether what was held since this sample has grown; a violation if it has.
    fn growths(&self, from: usize, length: Duration) -> Vec<Growth> {
        // All apps run, and have been running for a while.
        let all = self.samples.all().get(from..).unwrap_or_default();
        let samples = all.get(WARM_UP_SAMPLES.max(all.len() / WARM_UP_PART)..).unwrap_or_default().iter();
        let samples: Vec<&Sample> = samples.filter(|sample| sample.servers == APPS.len() + 1).collect();
        let of = |value: fn(&Sample) -> u64| -> Vec<u64> {
            samples.iter().map(|sample| value(sample)).filter(|value| *value > 0).collect()
        };
        // A twentieth, or so much as an allocator takes at once.
        let slightly = |first: u64| (first / 20).max(MIB);
        let growths: Vec<Option<Growth>> = [
            Growth::of(("manager: memory", "bytes"), &of(|sample| sample.manager_bytes), median, slightly),
            Growth::of(("manager: descriptors", ""), &of(|sample| sample.manager_descriptors as u64), floor, |_| 2),
            Growth::of(("marathon: memory", "bytes"), &of(|sample| sample.marathon_bytes), median, slightly),
            Growth::of(("marathon: descriptors", ""), &of(|sample| sample.marathon_descriptors as u64), floor, |_| 2),
        ]
        .to_vec();
        if length >= TELLING_LENGTH && growths.iter().any(Option::is_none) {
            self.stage.tally.violated(format!("what was held was seen too seldom to compare it: {growths:?}"));
        }
        let growths: Vec<Growth> = growths.into_iter().flatten().collect();
        for growth in growths.iter().filter(|growth| !growth.is_bounded()) {
            self.stage.tally.violated(format!("it has grown: {growth:?}"));
        }
        let runners: std::collections::BTreeSet<u32> =
            samples.iter().map(|sample| sample.marathon).filter(|process| *process > 0).collect();
        if runners.len() > 1 {
            self.stage
                .tally
                .violated(format!("the marathon's session server was not to be harmed; it was {runners:?}"));
        }
        growths
    }
}
