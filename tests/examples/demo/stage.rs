//! The box, its manager, the application manager, and the pictures that come out.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use greenroom_daemon::app_protocol::ManagedState;
use greenroom_daemon::appmanager::{ApplicationManager, Settings, StageError, StepKind};
use greenroom_tests::picture_fifo::{self, Pace, PictureFifo, Recording};
use greenroom_tests::programs;
use greenroom_tests::tv_box::{Setup, TvBox};
use rustix::process::Signal;

use crate::Failure;
use crate::app_record::AppRecord;
use crate::drawing::AppSteps;
use crate::journal::{Journal, Progress};

/// The apps, and how their sinks treat time.
const APPS: [(&str, Pace); 3] = [("app1", Pace::RealTime), ("app2", Pace::RealTime), ("app3", Pace::Unlimited)];
/// What an app has to say of a step comes with the step.
const WORD_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the bar moves, and how often a line is printed where there is none.
const LOOK_INTERVAL: Duration = Duration::from_millis(40);
const LINE_INTERVAL: Duration = Duration::from_secs(2);

/// When playing is watched no longer.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    /// At the end of the file; it takes at most so long.
    End(Duration),
    /// At its end, or when this is over.
    EndOr(Duration),
}

/// Everything that takes part. What is left of it when it is dropped is killed.
pub(crate) struct Stage<'a> {
    journal: &'a Journal,
    manager: ApplicationManager<'a>,
    words: Receiver<(String, String)>,
    records: BTreeMap<String, AppRecord>,
    fifos: BTreeMap<&'static str, PictureFifo>,
    told_running: &'a RefCell<BTreeMap<String, Instant>>,
    /// The box.
    pub(crate) tv_box: TvBox,
}

impl<'a> Stage<'a> {
    /// Starts the manager of a box with one decoder, and connects the application manager. `keep_every`: see
    /// [`PictureFifo::create`].
    pub(crate) fn build(
        journal: &'a Journal,
        told_running: &'a RefCell<BTreeMap<String, Instant>>,
        app_steps: &'a AppSteps,
        keep_every: usize,
    ) -> Result<Self, Failure> {
        let mut setup = Setup::new().decoders(1).more("[log]\ndefault = \"warning\"\n[trace]\nbytes = 4194304");
        let mut fifos = BTreeMap::new();
        for (app, pace) in APPS {
            let path = setup.place().join(format!("{app}.pictures"));
            fifos.insert(app, PictureFifo::create(&path, keep_every)?);
            setup = setup.more(&section(app, &path, pace));
        }
        let tv_box = setup.start();
        let (tell, words) = channel();
        let settings = Settings {
            program: programs::path("greenroom-play"),
            arguments: vec!["--json".into()],
            words: Some(tell),
            ..Settings::new(&tv_box.control())
        };
        let manager = ApplicationManager::connect(settings, move |step| {
            if step.what == StepKind::AppTold(ManagedState::Running) {
                told_running.borrow_mut().insert(step.app.clone(), Instant::now());
            }
            app_steps.take(step);
            journal.step(step);
        })?;
        Ok(Self { journal, manager, words, records: BTreeMap::new(), fifos, told_running, tv_box })
    }

    /// Starts an app off stage: server and app are Inactive.
    pub(crate) fn start(&mut self, app: &str, file: &Path) -> Result<(), Failure> {
        self.records.insert(app.into(), AppRecord::default());
        let started = self.manager.start(app, file, ManagedState::Inactive);
        self.done(app, started)?;
        self.hear_until(app, |record| record.is_introduced);
        if !self.record(app).has_video() {
            return Err(format!("{}: has no video that can be played; try another file", file.display()).into());
        }
        Ok(())
    }

    /// Puts an app on stage.
    pub(crate) fn running(&mut self, app: &str) -> Result<(), Failure> {
        let running = self.manager.running(app);
        self.done(app, running)
    }

    /// Puts an app on stage that cannot be; gives the manager's refusal.
    pub(crate) fn running_is_refused(&mut self, app: &str) -> Result<greenroom_daemon::control::ControlError, Failure> {
        match self.manager.running(app) {
            Err(StageError::Control { error, .. }) => Ok(error),
            Err(error) => Err(error.into()),
            Ok(()) => Err(format!("{app} became Active although no decoder was free").into()),
        }
    }

    /// Takes one app off the stage and puts another one on.
    pub(crate) fn switch(&mut self, from: &str, to: &str) -> Result<(), Failure> {
        let switched = self.manager.switch(from, to);
        self.done(to, switched)
    }

    /// Ends an app.
    pub(crate) fn stop(&mut self, app: &str) -> Result<(), Failure> {
        let stopped = self.manager.stop(app);
        self.done(app, stopped)
    }

    /// Shows how an app plays.
    pub(crate) fn watch(&mut self, app: &'static str, until: Until) -> Result<(), Failure> {
        let (started, mut line_due) = (Instant::now(), LINE_INTERVAL);
        let (Until::End(limit) | Until::EndOr(limit)) = until;
        self.journal.show_bar(app);
        let result = loop {
            self.hear(LOOK_INTERVAL);
            let elapsed = started.elapsed();
            let progress = self.progress(app, limit);
            self.journal.progress(app, progress, elapsed >= line_due);
            if elapsed >= line_due {
                line_due += LINE_INTERVAL;
            }
            let record = self.record(app);
            match (&record.complaint, &record.end) {
                (Some(complaint), _) => break Err(complaint.clone().into()),
                (None, Some(_)) => break Ok(()),
                (None, None) if elapsed < limit => {}
                (None, None) => break self.time_is_over(app, until),
            }
        };
        self.journal.hide_bar();
        result
    }

    /// Where an app is in what is watched of it.
    fn progress(&mut self, app: &str, limit: Duration) -> Progress {
        let pictures = self.pictures(app);
        let record = self.record(app);
        Progress { position: record.position, length: record.duration.unwrap_or(limit).min(limit), pictures }
    }

    fn time_is_over(&self, app: &str, until: Until) -> Result<(), Failure> {
        match until {
            Until::EndOr(_) => Ok(()),
            Until::End(limit) => Err(format!("{app} did not come to its end within {} s", limit.as_secs()).into()),
        }
    }

    /// What is known of an app.
    pub(crate) fn record(&mut self, app: &str) -> &AppRecord {
        self.records.entry(app.into()).or_default()
    }

    /// When an app was told last to be Running.
    pub(crate) fn told_running(&self, app: &str) -> Option<Instant> {
        self.told_running.borrow().get(app).copied()
    }

    /// How many pictures have come out for an app so far.
    pub(crate) fn pictures(&self, app: &str) -> usize {
        self.fifos.get(app).map_or(0, PictureFifo::count)
    }

    /// What came out for an app, which must not play any more.
    pub(crate) fn recording(&mut self, app: &str) -> Result<Recording, Failure> {
        let fifo = self.fifos.remove(app).ok_or("each recording is taken once")?;
        Ok(fifo.finish()?)
    }

    /// Runs `greenroomctl`.
    pub(crate) fn ctl(&self, arguments: &[&str]) -> Output {
        self.tv_box.ctl(arguments)
    }

    /// How long each state change took.
    pub(crate) fn moves(&self) -> Vec<greenroom_daemon::appmanager::Move> {
        self.manager.moves().to_vec()
    }

    /// Disconnects the application manager and ends the manager; gives its exit status, and the box as it is left.
    pub(crate) fn close(self) -> (std::process::ExitStatus, TvBox) {
        let Self { manager, fifos, mut tv_box, .. } = self;
        drop((manager, fifos));
        tv_box.signal(Signal::TERM);
        (tv_box.wait(), tv_box)
    }

    /// Waits for what the app has to say of it, so that it is told in the right place.
    fn done(&mut self, app: &str, result: Result<(), StageError>) -> Result<(), Failure> {
        self.hear(Duration::ZERO);
        let Err(error) = result else { return Ok(()) };
        if matches!(error, StageError::App { .. }) {
            self.hear_until(app, |record| record.complaint.is_some());
        }
        match self.record(app).complaint.clone() {
            Some(complaint) => Err(complaint.into()),
            None => Err(error.into()),
        }
    }

    /// Hears what apps say until the app has said this, or clearly does not.
    pub(crate) fn hear_until(&mut self, app: &str, is_said: impl Fn(&AppRecord) -> bool) {
        let end = Instant::now() + WORD_TIMEOUT;
        while !is_said(self.record(app)) && Instant::now() < end {
            self.hear(LOOK_INTERVAL);
        }
    }

    /// Hears what apps say; waits so long for the first word.
    fn hear(&mut self, patience: Duration) {
        let mut patience = patience;
        loop {
            match self.words.recv_timeout(patience) {
                Ok((app, line)) => self.records.entry(app.clone()).or_default().hear(self.journal, &app, &line),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
            patience = Duration::ZERO;
        }
    }
}

/// The app's section of the manager's configuration. With a display the pictures are shown, too.
fn section(app: &str, pictures: &Path, pace: Pace) -> String {
    let sink = picture_fifo::sink(pictures, pace);
    let (video, audio) = match (pace, has_display()) {
        (Pace::RealTime, true) => (format!("tee name=t ! queue ! {sink} t. ! queue ! autovideosink"), "auto"),
        (Pace::RealTime, false) => (sink, "fake"),
        (Pace::Unlimited, _) => (sink, "fakesink sync=false"),
    };
    format!("[app.{app}]\nvideo_sink = {video:?}\naudio_sink = {audio:?}")
}

/// Whether there is something to show pictures on.
pub(crate) fn has_display() -> bool {
    ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}
