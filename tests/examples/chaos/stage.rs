//! The box under test, and its manager, of which there are many: one after the other.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use greenroom_core::message::TargetState;
use greenroom_core::message::control::{AppStatus, Command as Ask};
use greenroom_daemon::control::{ControlClient, ControlError};
use greenroom_tests::programs;
use greenroom_tests::tv_box::Setup;
use rustix::process::{Pid, Signal, kill_process};

use crate::Failure;
use crate::census::{Census, Process};
use crate::tally::{Count, Tally};

/// Decoders of the box.
pub(crate) const DECODERS: u8 = 3;
/// The one app that needs two of them; the others need one.
pub(crate) const GREEDY: &str = "films";
/// The apps that everything may happen to.
pub(crate) const APPS: [&str; 4] = ["news", "films", "sports", "music"];
/// The app whose session server nobody harms: it is zapped and plays all the time.
pub(crate) const MARATHON: &str = "marathon";

/// Session servers that wait for an app.
pub(crate) const SPARES: usize = 1;

/// A new manager answers within this.
const UP_BOUND: Duration = Duration::from_secs(5);
/// An app that is asked to end has ended within this: LINK 3 s, STOP 1 s, TERM 0.5 s, and a loaded machine.
const DOWN_BOUND: Duration = Duration::from_secs(10);
/// A manager that is told to end has ended within this.
const END_BOUND: Duration = Duration::from_secs(15);
/// What does not change for so long is at rest.
const REST: Duration = Duration::from_millis(500);
/// How often is looked while something is waited for.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// One life of the manager.
#[derive(Debug)]
pub(crate) struct Life {
    child: Child,
    /// 1 for the first one.
    pub(crate) number: u32,
    /// When it started, and when it was stopped or continued last.
    pub(crate) disturbed_at: Instant,
}

impl Life {
    /// Its process.
    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }
}

/// The box.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    place: PathBuf,
    configuration: PathBuf,
    log: PathBuf,
    life: Mutex<Life>,
    /// What has happened.
    pub(crate) tally: &'a Tally,
}

impl<'a> Stage<'a> {
    /// Writes the configuration and starts the first manager. The directory and the log outlive this.
    pub(crate) fn build(setup: &Setup, log: &Path, tally: &'a Tally) -> Result<Self, Failure> {
        let (place, configuration) = (setup.place().to_owned(), setup.write_configuration());
        std::fs::File::create(log)?;
        let child = start(&configuration, log)?;
        let life = Mutex::new(Life { child, number: 1, disturbed_at: Instant::now() });
        let stage = Self { place, configuration, log: log.to_owned(), life, tally };
        tally.note(Count::ManagersStarted, "the first");
        stage.is_up();
        Ok(stage)
    }

    /// Where the manager listens.
    pub(crate) fn control(&self) -> PathBuf {
        self.place.join("control.sock")
    }

    /// Where an app's session server listens.
    pub(crate) fn socket_of(&self, app: &str) -> PathBuf {
        self.place.join(format!("{app}.sock"))
    }

    /// The manager that is there now; while this is held it is not replaced.
    pub(crate) fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a connection until the manager takes it: a hostile one may have all the places for a while.
    pub(crate) fn connect(&self) -> Result<ControlClient, ControlError> {
        let end = Instant::now() + UP_BOUND;
        loop {
            match ControlClient::connect(&self.control()) {
                Ok(client) => return Ok(client),
                Err(error) if Instant::now() > end => return Err(error),
                Err(_) => std::thread::sleep(LOOK_INTERVAL),
            }
        }
    }

    /// Whether the manager answers within its bound; a violation if not.
    fn is_up(&self) {
        if let Err(error) = self.connect() {
            self.tally.violated(format!("a new manager does not answer within {UP_BOUND:?}: {error}"));
        }
    }

    /// Kills the manager, and starts another one at once over what is left.
    pub(crate) fn replace_manager(&self) -> Result<(), Failure> {
        let mut life = self.life();
        self.tally.note(Count::ManagerKilled, &format!("life {}", life.number));
        life.child.kill()?;
        life.child.wait()?;
        self.start_next(&mut life)
    }

    /// Ends the manager in order, and starts another one.
    pub(crate) fn renew_manager(&self) -> Result<(), Failure> {
        let mut life = self.life();
        self.end(&mut life);
        self.start_next(&mut life)
    }

    /// Ends the manager in order.
    pub(crate) fn end_manager(&self) {
        self.end(&mut self.life());
    }

    fn start_next(&self, life: &mut Life) -> Result<(), Failure> {
        life.child = start(&self.configuration, &self.log)?;
        life.number += 1;
        life.disturbed_at = Instant::now();
        self.tally.note(Count::ManagersStarted, &format!("life {}, process {}", life.number, life.process_id()));
        self.is_up();
        Ok(())
    }

    fn end(&self, life: &mut Life) {
        let asked = Instant::now();
        // One that has ended already is found by its exit status.
        let _ = kill_process(Pid::from_child(&life.child), Signal::TERM);
        while asked.elapsed() < END_BOUND {
            match life.child.try_wait() {
                Ok(Some(status)) if status.success() => return,
                Ok(Some(status)) => return self.tally.violated(format!("the manager ended with {status}")),
                Ok(None) => std::thread::sleep(LOOK_INTERVAL),
                Err(error) => return self.tally.violated(format!("the manager cannot be waited for: {error}")),
            }
        }
        self.tally.violated(format!("the manager has not ended within {END_BOUND:?} of SIGTERM"));
        let _ = life.child.kill();
        let _ = life.child.wait();
    }

    /// Says when the manager has ended and nobody has asked it to, and starts another one.
    pub(crate) fn look_after_manager(&self) -> Result<(), Failure> {
        let mut life = self.life();
        let Some(status) = life.child.try_wait()? else { return Ok(()) };
        self.tally.violated(format!("the manager ended by itself: {status}"));
        self.start_next(&mut life)
    }

    /// Ends every app in order.
    pub(crate) fn end_apps(&self) {
        let deadline = Instant::now() + DOWN_BOUND;
        let mut left = Vec::new();
        while Instant::now() < deadline {
            match self.end_apps_once() {
                Ok(apps) if apps.is_empty() => return,
                Ok(apps) => left = apps,
                Err(error) => self.tally.remember(format!("while apps are ended: {error}")),
            }
            std::thread::sleep(LOOK_INTERVAL * 5);
        }
        self.tally.violated(format!("after {DOWN_BOUND:?} apps have not ended: {left:?}"));
    }

    /// Asks all of them; gives those that were there.
    fn end_apps_once(&self) -> Result<Vec<AppStatus>, ControlError> {
        let mut client = self.connect()?;
        let (apps, _) = client.list()?;
        for status in &apps {
            match client.request(Ask::ChangeState { app: status.app.as_str(), state: TargetState::NotRunning }) {
                Ok(_) | Err(ControlError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(apps)
    }

    /// The manager as it is while there is no app and no other connection; waits until its spares are there and its
    /// descriptors do not change.
    pub(crate) fn manager_at_rest(&self) -> Process {
        let id = self.life().process_id();
        let look = || {
            let census = Census::take(Path::new("/proc"), std::process::id());
            let spares = census.processes.iter().filter(|process| process.is_spare()).count();
            (census.process(id).cloned().unwrap_or_default(), spares)
        };
        let give_up = Instant::now() + DOWN_BOUND;
        let ((mut process, _), mut same_since) = (look(), Instant::now());
        while same_since.elapsed() < REST && Instant::now() < give_up {
            std::thread::sleep(LOOK_INTERVAL);
            let (next, spares) = look();
            if next.descriptors != process.descriptors || spares < SPARES {
                same_since = Instant::now();
            }
            process = next;
        }
        process
    }

    /// Files in the box's directory that somebody could connect to.
    pub(crate) fn socket_files(&self) -> Vec<String> {
        use std::os::unix::fs::FileTypeExt;
        let entries = std::fs::read_dir(&self.place).into_iter().flatten().filter_map(Result::ok);
        let sockets = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_socket()));
        let mut names: Vec<String> = sockets.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

impl Drop for Stage<'_> {
    /// Only after a failure is anything left.
    fn drop(&mut self) {
        let life = self.life.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = life.child.kill();
        let _ = life.child.wait();
    }
}

/// How many decoders an app needs to be Active.
pub(crate) fn decoders_of(app: &str) -> u8 {
    if app == GREEDY { 2 } else { 1 }
}

/// A box whose apps come back quickly and often.
pub(crate) fn setup() -> Setup {
    Setup::new()
        .decoders(DECODERS)
        .session(&format!("restart_intensity = 6\nrestart_window_ms = 10000\nspares = {SPARES}"))
        .more("[log]\ndefault = \"warning\"")
        .more(&format!("[app.{GREEDY}]\nmax_playback_sessions = {}", decoders_of(GREEDY)))
}

fn start(configuration: &Path, log: &Path) -> Result<Child, Failure> {
    let log = std::fs::File::options().append(true).open(log)?;
    let mut manager = Command::new(programs::find("greenroomd")?);
    manager.arg("--config").arg(configuration).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    Ok(manager.spawn()?)
}
