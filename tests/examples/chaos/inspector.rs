//! The inspector: looks at everybody all the time, and says what must not be.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitOptions, waitpid};

use crate::Failure;
use crate::census::{Census, Lingering, Process};
use crate::samples::{Sample, Samples};
use crate::stage::{APPS, DECODERS, MARATHON, SPARES, Stage};
use crate::tally::Count;

/// Between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// Between two samples of what everybody holds.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);
/// A child that has ended is reaped within this.
const ZOMBIE_BOUND: Duration = Duration::from_secs(3);
/// A session server without a manager ends within this: it may have a decoder to close (2.5 s).
const ORPHAN_BOUND: Duration = Duration::from_secs(6);
/// Among all the apps somebody sees a first frame within this.
const SILENCE_BOUND: Duration = Duration::from_secs(60);
/// So many looks in a row see it before what lasts a moment only is told.
const CONFIRMATIONS: u32 = 3;

/// Looks.
pub(crate) struct Inspector<'a> {
    stage: &'a Stage<'a>,
    zombies: Lingering,
    orphans: Lingering,
    /// Those that two looks have found on stage.
    on_stage: BTreeSet<u32>,
    over_seen: u32,
    double_seen: u32,
    crowd_seen: u32,
    played: Progress,
}

impl<'a> Inspector<'a> {
    /// Has seen nothing.
    pub(crate) fn new(stage: &'a Stage<'a>) -> Self {
        let (zombies, orphans) = (Lingering::default(), Lingering::default());
        Self {
            stage,
            zombies,
            orphans,
            on_stage: BTreeSet::new(),
            over_seen: 0,
            double_seen: 0,
            crowd_seen: 0,
            played: Progress::default(),
        }
    }

    /// Looks and takes samples until `end`; calls `show` after each look.
    pub(crate) fn inspect(&mut self, samples: &mut Samples, end: Instant, show: impl Fn()) -> Result<(), Failure> {
        let mut sample_due = Instant::now();
        self.played = Progress::default();
        while Instant::now() < end {
            self.stage.look_after_manager()?;
            let (census, manager) = self.look();
            if Instant::now() >= sample_due {
                sample_due += SAMPLE_INTERVAL;
                samples.add(self.sample(&census, manager));
            }
            if self.played.has_stopped(self.stage.tally.of(Count::FirstFrames), Instant::now(), SILENCE_BOUND) {
                self.stage.tally.violated(format!("no app has shown a first frame for {SILENCE_BOUND:?}"));
            }
            show();
            std::thread::sleep(LOOK_INTERVAL);
        }
        Ok(())
    }

    /// One look at everybody; gives it, and the manager whose it is. Meanwhile the manager is not replaced.
    fn look(&mut self) -> (Census, u32) {
        let life = self.stage.life();
        let manager = life.process_id();
        let census = Census::take(Path::new("/proc"), std::process::id());
        let disturbed_at = life.disturbed_at;
        drop(life);
        self.stage.tally.count(Count::Censuses);
        if disturbed_at.elapsed() > ZOMBIE_BOUND {
            self.check_zombies(&census, manager);
        }
        self.check_orphans(&census);
        self.check_owners(&census, manager);
        (census, manager)
    }

    fn check_zombies(&mut self, census: &Census, manager: u32) {
        let of_manager = |process: &&Process| process.parent == manager && process.is_zombie();
        let zombies = census.processes.iter().filter(of_manager).map(|process| process.id).collect();
        for id in self.zombies.overdue(&zombies, Instant::now(), ZOMBIE_BOUND) {
            self.stage.tally.violated(format!("process {id} has been the manager's zombie for {ZOMBIE_BOUND:?}"));
        }
    }

    /// Whose manager has ended becomes this process's child: that is how this process asked to have it.
    fn check_orphans(&mut self, census: &Census) {
        let own = std::process::id();
        let mut orphans = BTreeSet::new();
        for orphan in census.processes.iter().filter(|process| process.parent == own && process.is_session_server()) {
            if orphan.is_zombie() {
                reap(orphan.id);
            } else if !orphan.is_stopped() {
                orphans.insert(orphan.id);
            }
        }
        for id in self.orphans.overdue(&orphans, Instant::now(), ORPHAN_BOUND) {
            self.stage.tally.violated(format!("session server {id} lives {ORPHAN_BOUND:?} after its manager"));
        }
    }

    fn check_owners(&mut self, census: &Census, manager: u32) {
        let doubles = census.double_owners(manager);
        if told_after(&mut self.double_seen, !doubles.is_empty()) {
            self.stage.tally.violated(format!("more than one session server of an app: {doubles:?}"));
        }
        let on_stage = census.on_stage(manager);
        let stayed = self.on_stage.intersection(&on_stage).count();
        self.on_stage = on_stage;
        if told_after(&mut self.over_seen, stayed > usize::from(DECODERS)) {
            self.stage.tally.violated(format!("{stayed} session servers hold memory, with {DECODERS} decoders"));
        }
        let (servers, apps) = (census.servers_of(manager).count(), APPS.len() + 1);
        if told_after(&mut self.crowd_seen, servers > apps + SPARES) {
            self.stage.tally.violated(format!("{servers} session servers for {apps} apps"));
        }
    }

    fn sample(&self, census: &Census, manager: u32) -> Sample {
        let marathon = self.stage.socket_of(MARATHON);
        let servers: Vec<&Process> = census.servers_of(manager).filter(|server| !server.is_spare()).collect();
        let runner = servers.iter().find(|server| server.listens_at.contains(&marathon));
        let of_manager = census.process(manager);
        Sample {
            at: self.stage.tally.elapsed(),
            life: self.stage.life().number,
            manager_bytes: of_manager.map_or(0, |manager| manager.resident_bytes),
            manager_descriptors: of_manager.map_or(0, |manager| manager.descriptors),
            servers: servers.len(),
            servers_bytes: servers.iter().map(|server| server.resident_bytes).sum(),
            servers_descriptors: servers.iter().map(|server| server.descriptors).sum(),
            marathon: runner.map_or(0, |runner| runner.id),
            marathon_bytes: runner.map_or(0, |runner| runner.resident_bytes),
            marathon_descriptors: runner.map_or(0, |runner| runner.descriptors),
        }
    }

    /// What is to be left when all apps have ended: the manager alone, with the descriptors that it started with.
    pub(crate) fn check_rest(&mut self, when: &str, at_start: &Process) -> Process {
        let settled = Instant::now() + ORPHAN_BOUND;
        let others = |census: &Census, manager: u32| -> Vec<String> {
            let (spares, others): (Vec<_>, Vec<_>) =
                census.processes.iter().filter(|process| process.id != manager).partition(|process| process.is_spare());
            let others = others.into_iter().chain(spares.into_iter().skip(SPARES));
            others.map(|process| format!("{} {} ({})", process.name, process.id, process.state)).collect()
        };
        let (mut census, mut manager) = self.look();
        while !others(&census, manager).is_empty() && Instant::now() < settled {
            std::thread::sleep(LOOK_INTERVAL);
            (census, manager) = self.look();
        }
        let tally = self.stage.tally;
        let left = others(&census, manager);
        if !left.is_empty() {
            tally.violated(format!("{when}: processes are left: {left:?}"));
        }
        let sockets = self.stage.socket_files();
        if sockets != ["control.sock"] {
            tally.violated(format!("{when}: these sockets are left: {sockets:?}"));
        }
        let mut process = self.stage.manager_at_rest();
        while process.descriptors != at_start.descriptors && Instant::now() < settled {
            process = self.stage.manager_at_rest();
        }
        if process.descriptors != at_start.descriptors || process.memfds + process.mappings > 0 {
            tally.violated(format!("{when}: the manager started with {at_start:?} and is left with {process:?}"));
        }
        process
    }

    /// What is to be left of everything when the manager has ended, too.
    pub(crate) fn check_end(&mut self) {
        let census = Census::take(Path::new("/proc"), std::process::id());
        let left: Vec<String> = census.processes.iter().map(|process| format!("{process:?}")).collect();
        if !left.is_empty() {
            self.stage.tally.violated(format!("at the end processes are left: {left:?}"));
        }
        let sockets = self.stage.socket_files();
        if !sockets.is_empty() {
            self.stage.tally.violated(format!("at the end sockets are left: {sockets:?}"));
        }
    }
}

/// A number that goes up as long as all is well.
#[derive(Debug, Default)]
struct Progress {
    last: Option<(u64, Instant)>,
}

impl Progress {
    /// Whether the number has stayed the same for longer than `bound`; told again only after as long.
    fn has_stopped(&mut self, number: u64, now: Instant, bound: Duration) -> bool {
        match self.last {
            Some((last, since)) if last == number && now.saturating_duration_since(since) <= bound => false,
            Some((last, _)) if last == number => {
                self.last = Some((number, now));
                true
            }
            _ => {
                self.last = Some((number, now));
                false
            }
        }
    }
}

/// Counts looks that see it; true at the one that is enough.
fn told_after(seen: &mut u32, sees: bool) -> bool {
    *seen = if sees { *seen + 1 } else { 0 };
    *seen == CONFIRMATIONS
}

/// It is this process's child, and nobody else's business.
fn reap(id: u32) {
    let _ = waitpid(Pid::from_raw(id.cast_signed()), WaitOptions::NOHANG);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn playing_that_has_stopped_everywhere_is_found() {
        let (mut played, start, bound) = (Progress::default(), Instant::now(), Duration::from_secs(60));
        let at = |seconds| start + Duration::from_secs(seconds);
        let looks = [(5, 0), (6, 50), (6, 110), (6, 111), (6, 112), (7, 200)];
        let told: Vec<bool> =
            looks.into_iter().map(|(frames, seconds)| played.has_stopped(frames, at(seconds), bound)).collect();
        assert_eq!(told, [false, false, false, true, false, false]);
    }

    #[test]
    fn what_is_seen_often_enough_in_a_row_is_told_once() {
        let mut seen = 0;
        let told: Vec<bool> =
            [true, true, false, true, true, true, true].map(|sees| told_after(&mut seen, sees)).to_vec();
        assert_eq!(told, [false, false, false, false, false, true, false]);
    }
}
