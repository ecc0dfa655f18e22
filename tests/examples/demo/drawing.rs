//! The diagram of the run: who said what to whom, out of what the manager and the session servers have recorded.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Process;

use greenroom_core::time::Instant;
use greenroom_core::trace::file::File;
use greenroom_daemon::appmanager::{Step, StepKind};
use greenroom_hal_linux::clock::Clock;
use greenroom_hal_mock::sequence::trace::{Story, sequence_of};
use greenroom_hal_mock::sequence::{AppStep, Detail};
use greenroom_tests::programs;

use crate::Failure;
use crate::journal::Journal;
use crate::stage::Stage;

/// What apps and their manager did, as the application manager saw it. It is between them, so no trace has it.
#[derive(Default)]
pub(crate) struct AppSteps(RefCell<Vec<(Instant, String, AppStep)>>);

impl AppSteps {
    /// Takes a step, which happens now.
    pub(crate) fn take(&self, step: &Step) {
        let what = match step.what {
            StepKind::AppStarted(state) => AppStep::Started(format!("{state:?}")),
            StepKind::AppTold(state) => AppStep::Told(format!("{state:?}")),
            StepKind::App(state) => AppStep::Said(format!("{state:?}")),
            StepKind::AppExited(Some(status)) => AppStep::Ended(format!(", status {status}")),
            StepKind::AppExited(None) => AppStep::Ended(", by a signal".to_owned()),
            StepKind::ServerAsked(_) | StepKind::Server(..) => return,
        };
        self.0.borrow_mut().push((Clock.now(), step.app.clone(), what));
    }
}

/// The traces of a run. A session server's goes with its process, so it is saved before that ends.
pub(crate) struct Drawing<'a> {
    directory: &'a Path,
    traces: Vec<PathBuf>,
}

impl<'a> Drawing<'a> {
    pub(crate) const fn new(directory: &'a Path) -> Self {
        Self { directory, traces: Vec::new() }
    }

    /// Saves what was recorded so far.
    pub(crate) fn save(&mut self, stage: &Stage<'_>) -> Result<(), Failure> {
        let path = self.directory.join(format!("run-{}.trace", self.traces.len() + 1));
        let output = stage.ctl(&["trace", "save", &path.to_string_lossy()]);
        if !output.status.success() {
            return Err(format!("greenroomctl trace save: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
        }
        self.traces.push(path);
        Ok(())
    }

    /// Whether each of them, run again by `greenroomctl` without a manager, comes to the states that were recorded.
    pub(crate) fn replays(&self, journal: &Journal) -> Result<bool, Failure> {
        let mut all = true;
        for path in &self.traces {
            let replay = ["--control", "/nowhere", "trace", "replay", "--quiet"];
            let output = Process::new(programs::path("greenroomctl")).args(replay).arg(path).output()?;
            journal.note(&format!("greenroomctl trace replay {}: {}", path.display(), output.status));
            all &= output.status.success();
        }
        Ok(all)
    }

    /// Draws all of it.
    pub(crate) fn draw(&self, journal: &Journal, apps: &AppSteps) -> Result<(), Failure> {
        let traces = self.traces.iter().map(fs::read).collect::<Result<Vec<_>, _>>()?;
        let files = traces.iter().map(|bytes| File::parse(bytes)).collect::<Result<Vec<_>, _>>()?;
        let apps = apps.0.borrow();
        let story = Story { title: "A box with one decoder and apps that want it", detail: Detail::Steps, apps: &apps };
        let diagram = sequence_of(&files, &story)?.finish();
        fs::write(self.directory.join("run.svg"), diagram.to_svg())?;
        fs::write(self.directory.join("run.txt"), diagram.to_text())?;
        journal.print(&format!(
            "who said what to whom, {} steps of this run, is drawn in {} and run.txt",
            diagram.steps(),
            self.directory.join("run.svg").display()
        ));
        Ok(())
    }
}
