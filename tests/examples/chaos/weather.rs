//! The weather: signals that fall on managers, session servers and players.

use std::path::Path;
use std::time::{Duration, Instant};

use fastrand::Rng;
use rustix::process::Signal;

use crate::Failure;
use crate::census::Census;
use crate::players::Players;
use crate::quarry::Quarry;
use crate::stage::{APPS, LOOK_INTERVAL, MARATHON, Stage};
use crate::tally::Count;

/// Between two signals.
const PAUSE_MS: std::ops::Range<u64> = 300..2_400;
/// How long one is stopped.
const STOP_MS: std::ops::Range<u64> = 200..6_000;
/// How long a manager is stopped: shorter than any of its bounds.
const MANAGER_STOP_MS: std::ops::Range<u64> = 50..1_200;
/// Between two deaths of a manager.
const MANAGER_DEATH_S: std::ops::Range<u64> = 15..45;
/// More often than a manager starts one again in a window.
const LOOP_KILLS: u32 = 12;
/// A loop is over when nobody comes back for so long.
const LOOP_PATIENCE: Duration = Duration::from_secs(7);

/// What can fall, and how often of a hundred.
const FAULTS: [(u32, Fault); 9] = [
    (34, Fault::Server(Signal::KILL, Count::ServerKilled)),
    (3, Fault::Spare),
    (27, Fault::Player),
    (7, Fault::Server(Signal::ABORT, Count::ServerAborted)),
    (7, Fault::Server(Signal::TERM, Count::ServerTerminated)),
    (8, Fault::StopServer),
    (9, Fault::StopPlayer),
    (3, Fault::StopManager),
    (2, Fault::Loop),
];

#[derive(Clone, Copy, Debug)]
enum Fault {
    Server(Signal, Count),
    Spare,
    Player,
    StopServer,
    StopPlayer,
    StopManager,
    Loop,
}

/// Makes the weather.
pub(crate) struct Weather<'a> {
    stage: &'a Stage<'a>,
    players: &'a Players<'a>,
    rng: Rng,
    stopped: Vec<(Instant, Quarry)>,
}

impl<'a> Weather<'a> {
    /// Lets signals fall until `end`. `storms`: on managers, too.
    pub(crate) fn blow(
        stage: &'a Stage<'a>,
        players: &'a Players<'a>,
        rng: Rng,
        storms: bool,
        end: Instant,
    ) -> Result<(), Failure> {
        let mut weather = Self { stage, players, rng, stopped: Vec::new() };
        let mut next_death = Instant::now() + weather.until_death();
        while Instant::now() < end {
            let pause = weather.rng.u64(PAUSE_MS);
            weather.wait_until((Instant::now() + Duration::from_millis(pause)).min(end));
            if storms && Instant::now() > next_death {
                stage.replace_manager()?;
                next_death = Instant::now() + weather.until_death();
            } else {
                weather.strike(end);
            }
        }
        weather.clear_up();
        Ok(())
    }

    fn until_death(&mut self) -> Duration {
        Duration::from_secs(self.rng.u64(MANAGER_DEATH_S))
    }

    fn strike(&mut self, end: Instant) {
        match pick(&mut self.rng) {
            Fault::Server(signal, count) => self.hit_server(signal, count),
            Fault::Spare => self.hit_spare(),
            Fault::Player => self.hit_player(),
            Fault::StopServer => self.stop_server(),
            Fault::StopPlayer => self.stop_player(),
            Fault::StopManager => self.stop_manager(),
            Fault::Loop => self.kill_in_a_loop(end),
        }
    }

    fn hit_server(&mut self, signal: Signal, count: Count) {
        let app = APPS[self.rng.usize(..APPS.len())];
        if let Some(server) = self.server_of(app).filter(|server| server.signal(signal)) {
            // A stopped process takes the signal at once only if it is a KILL.
            server.signal(Signal::CONT);
            self.stage.tally.note(count, app);
        }
    }

    fn hit_spare(&mut self) {
        let manager = self.stage.life().process_id();
        let census = Census::take(Path::new("/proc"), manager);
        let spare = census.servers_of(manager).find(|server| server.is_spare());
        let spare = spare.and_then(|server| Quarry::hold(server.id));
        if spare.is_some_and(|spare| spare.signal(Signal::KILL)) {
            self.stage.tally.note(Count::SpareKilled, "none's");
        }
    }

    fn hit_player(&mut self) {
        let player = self.players.any(&mut self.rng);
        if let Some((app, _)) = player.filter(|(_, player)| player.signal(Signal::KILL)) {
            self.stage.tally.note(Count::PlayerKilled, app);
        }
    }

    fn stop_server(&mut self) {
        let app = APPS[self.rng.usize(..APPS.len())];
        if let Some(server) = self.server_of(app) {
            self.stop(server, STOP_MS, Count::ServerStopped, app);
        }
    }

    fn stop_player(&mut self) {
        if let Some((app, player)) = self.players.any(&mut self.rng) {
            self.stop(player, STOP_MS, Count::PlayerStopped, app);
        }
    }

    fn stop(&mut self, quarry: Quarry, for_ms: std::ops::Range<u64>, count: Count, of_whom: &str) {
        if quarry.signal(Signal::STOP) {
            self.stage.tally.note(count, of_whom);
            let continues_at = Instant::now() + Duration::from_millis(self.rng.u64(for_ms));
            self.stopped.push((continues_at, quarry));
        }
    }

    /// The lock keeps everybody from taking it for hung meanwhile.
    fn stop_manager(&mut self) {
        let mut life = self.stage.life();
        let Some(manager) = Quarry::hold(life.process_id()).filter(|manager| manager.signal(Signal::STOP)) else {
            return;
        };
        self.stage.tally.note(Count::ManagerStopped, &format!("life {}", life.number));
        std::thread::sleep(Duration::from_millis(self.rng.u64(MANAGER_STOP_MS)));
        manager.signal(Signal::CONT);
        life.disturbed_at = Instant::now();
    }

    /// Kills the server of an app each time that there is one, until it is given up.
    fn kill_in_a_loop(&mut self, end: Instant) {
        let app = APPS[self.rng.usize(..APPS.len())];
        let (mut last, mut last_seen) = (0, Instant::now());
        for _ in 0..LOOP_KILLS {
            let server = loop {
                if last_seen.elapsed() > LOOP_PATIENCE || Instant::now() > end {
                    return;
                }
                match self.server_of(app) {
                    Some(server) if server.id != last => break server,
                    _ => self.wait_until(Instant::now() + LOOK_INTERVAL),
                }
            };
            (last, last_seen) = (server.id, Instant::now());
            if server.signal(Signal::KILL) {
                self.stage.tally.note(Count::ServerKilledInLoop, app);
            }
        }
    }

    /// The session server that listens for this app and is the manager's child.
    fn server_of(&self, app: &str) -> Option<Quarry> {
        debug_assert_ne!(app, MARATHON, "nobody harms it");
        let (manager, path) = (self.stage.life().process_id(), self.stage.socket_of(app));
        let census = Census::take(Path::new("/proc"), manager);
        let server = census.servers_of(manager).find(|server| server.listens_at.contains(&path))?;
        Quarry::hold(server.id)
    }

    /// Continues those whose time has come, meanwhile.
    fn wait_until(&mut self, until: Instant) {
        loop {
            let now = Instant::now();
            self.stopped.retain(|(continues_at, quarry)| {
                let is_over = *continues_at <= now;
                if is_over {
                    quarry.signal(Signal::CONT);
                }
                !is_over
            });
            if now >= until {
                return;
            }
            std::thread::sleep(LOOK_INTERVAL.min(until - now));
        }
    }

    fn clear_up(&mut self) {
        for (_, quarry) in self.stopped.drain(..) {
            quarry.signal(Signal::CONT);
        }
    }
}

fn pick(rng: &mut Rng) -> Fault {
    let mut chance = rng.u32(..FAULTS.iter().map(|(weight, _)| *weight).sum::<u32>());
    for (weight, fault) in FAULTS {
        if chance < weight {
            return fault;
        }
        chance -= weight;
    }
    Fault::Player
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_weather() {
        let weather = |seed| {
            let mut rng = Rng::with_seed(seed);
            (0..50).map(|_| format!("{:?}", pick(&mut rng))).collect::<Vec<_>>()
        };
        assert_eq!(weather(7), weather(7));
        assert_ne!(weather(7), weather(8));
    }
}
