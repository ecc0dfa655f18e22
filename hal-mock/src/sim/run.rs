//! One seed: an hour of a box under faults, then none, then its end.
//!
//! ```text
//! warm-up ----> storm: faults, what must hold always ----> calm: all comes together ----> end: nothing is left
//! ```

use std::time::Duration;

use greenroom_core::manager::Settings;
use greenroom_core::message::{Resources, ServerState, TargetState};

use super::book::Violation;
use super::conductor::Conductor;
use super::event::Event;
use super::fault::{FAULTS, FaultSet};
use super::tv_box::{Plan, TvBox};
use super::viewer::Wish;
use super::weather::{BYSTANDER, Weather};

/// All comes together within this once nothing goes wrong any more: a session server that hangs is given up after three
/// looks, an app that was given up is started again, and who had too little of something tries again.
const CONVERGENCE: Duration = Duration::from_secs(180);
/// Every app ends within this, and the manager after it.
const ENDING: Duration = Duration::from_secs(30);

/// What is run.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// What chance follows from.
    pub seed: u64,
    /// How long the storm lasts.
    pub storm: Duration,
    /// The classes of faults that may strike.
    pub faults: FaultSet,
    /// A random half of them is off.
    pub is_swarm: bool,
    /// What happens is kept.
    pub keeps_events: bool,
}

impl Run {
    /// An hour with all faults, of which a random half is off.
    pub const fn hour(seed: u64) -> Self {
        Self { seed, storm: Duration::from_secs(3600), faults: FaultSet::ALL, is_swarm: true, keeps_events: false }
    }
}

/// What became of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was run.
    pub seed: u64,
    /// Time of the box in milliseconds, but for the time when it was suspended.
    pub box_ms: u64,
    /// Inputs of all machines.
    pub inputs: u64,
    /// How often each class of faults struck.
    pub faults: [u64; FAULTS],
    /// How long it took until all was well.
    pub convergence_ms: u64,
    /// What must hold and did not; the first of them.
    pub violations: Vec<Violation>,
    /// How many there were.
    pub violation_count: u64,
    /// The hash of all inputs with their times.
    pub log_hash: u64,
    /// What happened, if that was kept.
    pub events: Vec<Event>,
}

impl Run {
    /// Runs it.
    pub fn run(&self) -> Outcome {
        let mut tv = self.make_box();
        if self.keeps_events {
            tv.keep_events();
        }
        let apps = 4 + tv.world.random(3) as usize;
        let mut conductor = Conductor::new(&mut tv, apps, 2);
        (0..2).for_each(|_| {
            tv.add_controller();
        });
        let suspended = self.storm(&mut tv, &mut conductor);
        let calm_at = tv.now();
        calm(&mut tv, &conductor);
        let convergence_ms = tv.now().since(calm_at).as_millis() as u64;
        if tv.violation_count() == 0 {
            end(&mut tv, &conductor);
        }
        Outcome {
            seed: self.seed,
            box_ms: tv.now().as_millis().saturating_sub(suspended.as_millis() as u64),
            inputs: tv.inputs(),
            faults: tv.faults(),
            convergence_ms,
            violations: tv.violations(),
            violation_count: tv.violation_count(),
            log_hash: tv.log_hash(),
            events: tv.take_events(),
        }
    }

    fn make_box(&self) -> TvBox {
        // What the box is like follows from the seed, too.
        let choice = self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let settings = Settings {
            decoders: [2, 4, 6, 8][choice as usize % 4],
            spares: (choice >> 2) as u16 % 3,
            ..Settings::default()
        };
        let resources = Resources { max_playback_sessions: 2, max_web_audio_players: 2, max_key_sessions: 2 };
        TvBox::with(self.seed, Plan { settings, resources, takes_time: true })
    }

    /// Faults strike while the application manager goes on with its work. Gives the time of suspension.
    fn storm(&self, tv: &mut TvBox, conductor: &mut Conductor) -> Duration {
        warm_up(tv, conductor);
        let mut weather = Weather::of_seed(tv, self.faults, self.is_swarm);
        let start = tv.now();
        while !tv.is_stuck() && tv.now().since(start) < self.storm + weather.suspended {
            let next = weather.due().min(conductor.next_at);
            tv.run_to(next);
            if weather.due() <= tv.now() {
                weather.act(tv);
            }
            if conductor.next_at <= tv.now() {
                conductor.act(tv);
            }
        }
        weather.clear(tv);
        weather.suspended
    }
}

/// The bystander plays before anything goes wrong.
fn warm_up(tv: &mut TvBox, conductor: &Conductor) {
    tv.initiate(BYSTANDER, TargetState::Active);
    tv.run_until(CONVERGENCE, |tv| tv.state(BYSTANDER) == Some(ServerState::Active));
    let bystander = &conductor.apps[0];
    bystander.viewers.iter().for_each(|viewer| tv.wish(*viewer, Wish::Watching));
    let is_up = tv.run_until(CONVERGENCE, |tv| bystander.viewers.iter().all(|viewer| tv.is_playing(*viewer)));
    if !is_up {
        tv.book.violation("convergence", "the first app does not play although nothing went wrong".to_owned());
    }
    tv.book.referee.borrow_mut().set_innocent(Some(BYSTANDER));
}

/// Nothing goes wrong any more: then all is well soon.
fn calm(tv: &mut TvBox, conductor: &Conductor) {
    let limit = tv.now().after(CONVERGENCE);
    let mut is_well = false;
    while !is_well && !tv.is_stuck() && tv.now() < limit {
        tv.run_for(Duration::from_millis(500));
        is_well = conductor.bring_together(tv);
    }
    if !is_well {
        tv.book.violation("convergence", describe(tv, conductor));
    }
    check_bystander(tv, conductor);
}

/// Who is not where it is to be.
fn describe(tv: &TvBox, conductor: &Conductor) -> String {
    let app = |app: &super::conductor::App| {
        let viewers: Vec<String> = app.viewers.iter().map(|viewer| tv.viewers[*viewer].describe()).collect();
        format!("{} is {:?} with [{}]", app.name, tv.state(&app.name), viewers.join(", "))
    };
    let apps: Vec<String> = conductor.apps.iter().map(app).collect();
    format!("after {CONVERGENCE:?} without faults: {}", apps.join("; "))
}

fn check_bystander(tv: &TvBox, conductor: &Conductor) {
    for viewer in &conductor.apps[0].viewers {
        let viewer = &tv.viewers[*viewer];
        if let Some(failure) = &viewer.last_failure {
            let what = format!("{}: {failure}, although nothing happened to it", viewer.client.party);
            tv.book.violation("SM-35, SM-36 bystander", what);
        }
    }
}

/// Every app ends, then the manager, and nothing is left (SM-34, SM-38).
fn end(tv: &mut TvBox, conductor: &Conductor) {
    tv.book.referee.borrow_mut().set_innocent(None);
    let limit = tv.now().after(ENDING);
    let mut have_ended = false;
    while !have_ended && tv.now() < limit {
        have_ended = conductor.end_all(tv);
        tv.run_for(Duration::from_millis(500));
    }
    let still: Vec<&str> = conductor.apps.iter().map(|app| app.name.as_str()).collect();
    let still: Vec<_> = still.into_iter().filter(|app| tv.state(app) != Some(ServerState::NotRunning)).collect();
    if !have_ended {
        tv.book.violation("SM-21", format!("{still:?} have not ended within {ENDING:?}"));
    }
    tv.run_for(Duration::from_secs(2));
    check_leaks(tv);
    tv.terminate();
    if !tv.run_until(ENDING, TvBox::has_exited) {
        tv.book.violation("SM-38", format!("the manager has not ended within {ENDING:?}"));
    }
    if tv.live_servers() > 0 {
        tv.book.violation("SM-38", format!("{} session servers live on", tv.live_servers()));
    }
}

fn check_leaks(tv: &mut TvBox) {
    let spares = usize::from(tv.plan.settings.spares);
    let watched = 1 + tv.controllers.iter().filter(|controller| controller.is_connected()).count() + 2 * spares;
    let expected = [
        ("processes", tv.live_servers(), spares),
        ("regions of memory", tv.world.regions(), 0),
        ("decoders", tv.hardware.in_use().into(), 0),
        ("files", tv.world.paths().len(), 1),
        ("apps in the manager's table", tv.manager.driver().machine().apps().count(), 0),
        ("things that the manager watches", tv.manager.watched(), watched),
    ];
    for (what, there, may) in expected {
        if there != may {
            tv.book.violation("SM-34 leaks", format!("{there} {what} are left, not {may}"));
        }
    }
}
