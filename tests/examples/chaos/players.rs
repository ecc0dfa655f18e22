//! The players: an app's own program, which plays a clip and is started again when it has ended.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::Scope;
use std::time::{Duration, Instant};

use fastrand::Rng;
use greenroom_tests::programs;
use rustix::process::Signal;

use crate::Failure;
use crate::clips::Clips;
use crate::disk;
use crate::quarry::Quarry;
use crate::stage::{APPS, LOOK_INTERVAL, MARATHON, Stage};
use crate::tally::{Count, Tally};

/// Before an app's next player.
const PAUSE_MS: std::ops::Range<u64> = 100..2_000;
/// One of so many players has its clip on a slow disk.
const SLOW_DISKS: u8 = 4;
/// A player that is told to end has ended within this.
const END_BOUND: Duration = Duration::from_secs(8);

/// The players that run, one for each app.
#[derive(Debug)]
pub(crate) struct Players<'a> {
    stage: &'a Stage<'a>,
    clips: &'a Clips,
    running: Mutex<BTreeMap<&'static str, Child>>,
}

impl<'a> Players<'a> {
    /// Nobody plays yet.
    pub(crate) fn new(stage: &'a Stage<'a>, clips: &'a Clips) -> Self {
        Self { stage, clips, running: Mutex::default() }
    }

    /// Keeps a player for each app until `end`, then ends them all.
    pub(crate) fn keep<'scope>(
        &self,
        scope: &'scope Scope<'scope, '_>,
        mut rng: Rng,
        end: Instant,
    ) -> Result<(), Failure>
    where
        'a: 'scope,
    {
        let mut due: BTreeMap<&'static str, Instant> = BTreeMap::new();
        while Instant::now() < end {
            std::thread::sleep(LOOK_INTERVAL * 2);
            for app in APPS.into_iter().chain([MARATHON]) {
                let is_running = self.is_running(app)?;
                let at = *due.entry(app).or_insert_with(|| Instant::now() + Duration::from_millis(rng.u64(PAUSE_MS)));
                if is_running {
                    due.remove(app);
                } else if Instant::now() >= at && self.stage.socket_of(app).exists() {
                    self.start(scope, rng.fork(), app)?;
                }
            }
        }
        self.end_all();
        Ok(())
    }

    /// One of them, whichever.
    pub(crate) fn any(&self, rng: &mut Rng) -> Option<(&'static str, Quarry)> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let choice = rng.usize(..running.len().max(1));
        let (app, child) = running.iter().nth(choice)?;
        Some((*app, Quarry::hold(child.id())?))
    }

    fn is_running(&self, app: &str) -> Result<bool, Failure> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(child) = running.get_mut(app) else { return Ok(false) };
        if child.try_wait()?.is_some() {
            running.remove(app);
            return Ok(false);
        }
        Ok(true)
    }

    fn start<'scope>(&self, scope: &'scope Scope<'scope, '_>, mut rng: Rng, app: &'static str) -> Result<(), Failure>
    where
        'a: 'scope,
    {
        let socket = self.stage.socket_of(app);
        let mut child = match rng.u8(..SLOW_DISKS) {
            0 => disk::player(&socket)?.spawn()?,
            _ => on_a_fast_disk(&socket, &self.clips.files[rng.usize(..2)])?.spawn()?,
        };
        let (tally, clips) = (self.stage.tally, self.clips);
        tally.count(Count::PlayersStarted);
        if let Some(said) = child.stdout.take() {
            scope.spawn(move || hear(tally, said));
        }
        if let Some(input) = child.stdin.take() {
            scope.spawn(move || disk::feed(tally, rng, &clips.pictures, input));
        }
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(app, child);
        Ok(())
    }

    fn end_all(&self) {
        let running = std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        let asked = Instant::now();
        for (app, mut child) in running {
            if let Some(player) = Quarry::hold(child.id()) {
                player.signal(Signal::CONT);
                player.signal(Signal::TERM);
            }
            while asked.elapsed() < END_BOUND && matches!(child.try_wait(), Ok(None)) {
                std::thread::sleep(LOOK_INTERVAL);
            }
            if matches!(child.try_wait(), Ok(None)) {
                self.stage.tally.violated(format!("the player of {app} has not ended within {END_BOUND:?} of SIGTERM"));
                let _ = child.kill();
            }
            let _ = child.wait();
        }
    }
}

fn on_a_fast_disk(socket: &Path, file: &Path) -> Result<Command, Failure> {
    let mut player = Command::new(programs::find("greenroom-play")?);
    player.arg("--json").arg("--socket").arg(socket).arg(file);
    player.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    Ok(player)
}

/// Counts what a player says, until it has ended.
fn hear(tally: &Tally, said: ChildStdout) {
    for line in BufReader::new(said).lines().map_while(Result::ok) {
        if line.contains("\"first_frame\"") {
            tally.count(Count::FirstFrames);
        } else if line.contains("\"reason\":\"end_of_stream\"") {
            tally.count(Count::PlayedToEnd);
        }
    }
}
