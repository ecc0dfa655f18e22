//! What can be run, and what every run comes to.

use std::time::Duration;

use greenroom_hal_mock::sim::{self, Fault, Run, Violation, presentation};

/// What is run from each seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scene {
    /// A TV box whose apps play.
    TvBox,
    /// Boxes on a network that put pages on each other's screens.
    Presentation,
}

/// What became of one seed.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    pub(super) seed: u64,
    /// Time of the box in milliseconds.
    pub(super) box_ms: u64,
    /// Inputs of all machines, or messages between all who take part.
    pub(super) inputs: u64,
    /// Connections of presentations.
    pub(super) sessions: u64,
    /// How often each class of faults struck, in the order of [`Scene::faults`].
    pub(super) faults: Vec<u64>,
    /// How many processes were killed in each phase of a data channel, in the order of [`Scene::phases`].
    pub(super) killed: Vec<u64>,
    pub(super) convergence_ms: u64,
    pub(super) violations: Vec<Violation>,
    pub(super) violation_count: u64,
    pub(super) log_hash: u64,
    /// What happened, if that was kept.
    pub(super) lines: Vec<String>,
    /// What the machines were told, if that was kept.
    pub(super) trace: Vec<u8>,
}

impl Figures {
    /// A second run of the same seed was another one.
    pub(super) fn differs(&mut self) {
        let what = "two runs of the same seed have different logs".to_owned();
        self.violations.push(Violation { at_ms: 0, rule: "determinism", what });
        self.violation_count += 1;
    }
}

impl Scene {
    /// Area and name of every class of faults.
    pub(super) fn faults(self) -> Vec<(String, String)> {
        match self {
            Self::TvBox => Fault::ALL.iter().map(|it| (format!("{:?}", it.area()), it.to_string())).collect(),
            Self::Presentation => {
                presentation::Fault::ALL.iter().map(|it| (format!("{:?}", it.area()), it.to_string())).collect()
            }
        }
    }

    /// The phases of a data channel in which the process of its page is killed.
    pub(super) fn phases(self) -> Vec<String> {
        match self {
            Self::TvBox => Vec::new(),
            Self::Presentation => presentation::doom::PHASES.iter().map(|phase| format!("{phase:?}")).collect(),
        }
    }

    /// What reproduces a seed.
    pub(super) const fn command(self) -> &'static str {
        match self {
            Self::TvBox => "make sim",
            Self::Presentation => "make sim-presentation",
        }
    }

    /// Where the seeds lie that have found something.
    pub(super) const fn regressions(self) -> &'static str {
        match self {
            Self::TvBox => "hal-mock/tests/seeds",
            Self::Presentation => "hal-mock/tests/presentation-seeds",
        }
    }

    /// How long the storm of one seed lasts unless it is said.
    pub(super) const fn usual_minutes(self) -> u64 {
        match self {
            Self::TvBox => 60,
            Self::Presentation => 10,
        }
    }

    /// Runs a seed.
    pub(super) fn run(self, seed: u64, storm: Duration, keeps_events: bool) -> Figures {
        match self {
            Self::TvBox => of_box(Run { storm, keeps_events, ..Run::hour(seed) }.run()),
            Self::Presentation => {
                let keeps_lines = keeps_events;
                of_presentation(presentation::Run { storm, keeps_lines, ..presentation::Run::usual(seed) }.run())
            }
        }
    }
}

fn of_box(outcome: sim::Outcome) -> Figures {
    Figures {
        seed: outcome.seed,
        box_ms: outcome.box_ms,
        inputs: outcome.inputs,
        sessions: 0,
        faults: outcome.faults.to_vec(),
        killed: Vec::new(),
        convergence_ms: outcome.convergence_ms,
        violations: outcome.violations,
        violation_count: outcome.violation_count,
        log_hash: outcome.log_hash,
        lines: outcome.events.iter().map(ToString::to_string).collect(),
        trace: outcome.trace,
    }
}

fn of_presentation(outcome: presentation::Outcome) -> Figures {
    Figures {
        seed: outcome.seed,
        box_ms: outcome.box_ms,
        inputs: outcome.inputs,
        sessions: outcome.sessions,
        faults: outcome.faults.to_vec(),
        killed: outcome.killed.to_vec(),
        convergence_ms: 0,
        violations: outcome.violations,
        violation_count: outcome.violation_count,
        log_hash: outcome.log_hash,
        lines: outcome.lines,
        trace: Vec::new(),
    }
}
