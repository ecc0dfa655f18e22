//! One seed: an hour of a box under faults, then none, then its end.
//!
//! ```text
//! warm-up ----> storm: faults, what must hold always ----> calm: all comes together ----> end: nothing is left
//! ```

use std::time::Duration;

use greenroom_core::hal::ExitStatus;
use greenroom_core::manager::Settings;
use greenroom_core::message::playback::Command;
use greenroom_core::message::{Resources, ServerState, TargetState};

use super::book::Violation;
use super::conductor::{App, Conductor};
use super::controller::Controller;
use super::event::Event;
use super::fault::{FAULTS, FaultSet};
use super::tv_box::{Plan, TvBox};
use super::viewer::Wish;
use super::weather::{BYSTANDER, Weather};
use crate::error::Call;
use crate::home::CONTROL;
use crate::party::Party;

/// All comes together within this once nothing goes wrong any more: a session server that hangs is given up after three
/// looks, an app that was given up is started again, and who had too little of something tries again.
const CONVERGENCE: Duration = Duration::from_secs(180);
/// So long it then stays so, and whoever asked for something before has an answer.
const QUIET: Duration = Duration::from_secs(60);
/// Who runs an hour is as busy as this.
const APPS_MIN: usize = 4;
const CLIENTS_MIN: usize = 8;
const INPUTS_AN_HOUR_MIN: u64 = 20_000;
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
    /// What happens is kept, and what the machines are told.
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
    /// What the machines were told last before the first violation, as [`greenroom_core::trace::file`] has it, if that was
    /// kept; empty where there was none.
    pub trace: Vec<u8>,
}

impl Outcome {
    /// A second run of the same seed was another one.
    pub fn differs(&mut self) {
        let what = "two runs of the same seed have different logs".to_owned();
        self.violations.push(Violation { at_ms: 0, rule: "determinism", what });
        self.violation_count += 1;
    }
}

impl Run {
    /// Runs it.
    pub fn run(&self) -> Outcome {
        let mut household = Household::new(self.seed);
        if self.keeps_events {
            household.tv.keep_events();
            household.tv.book.keep_traces();
        }
        household.warm_up();
        household.storm(self);
        let calm_at = household.tv.now();
        household.calm();
        let convergence_ms = household.tv.now().since(calm_at).as_millis() as u64;
        if household.tv.violation_count() == 0 {
            household.stay();
            household.exhaust_then_release();
            if self.seed % 4 == 3 { household.end_at_once(self.seed % 8 == 3) } else { household.end() }
        }
        let box_ms = household.awake_ms();
        self.check_size(&household);
        let tv = household.tv;
        Outcome {
            seed: self.seed,
            box_ms,
            inputs: tv.inputs(),
            faults: tv.faults(),
            convergence_ms,
            violations: tv.violations(),
            violation_count: tv.violation_count(),
            log_hash: tv.log_hash(),
            events: tv.take_events(),
            trace: tv.book.take_trace(),
        }
    }

    /// An hour in which little happens is not one.
    fn check_size(&self, household: &Household) {
        let (apps, clients) = (household.conductor.apps.len(), household.tv.viewers.len());
        let inputs = household.inputs() * 3_600_000 / household.awake_ms().max(1);
        let is_small = apps < APPS_MIN || clients < CLIENTS_MIN || inputs < INPUTS_AN_HOUR_MIN;
        if is_small && self.storm.as_secs() >= 3600 {
            let what = format!("{apps} apps, {clients} clients and {inputs} inputs are too few for an hour");
            household.tv.book.violation("box-hour", what);
        }
    }
}

/// What became of a story.
#[derive(Clone, Debug)]
pub struct Story {
    /// Calls of the platform that could have failed.
    pub calls: u64,
    /// Whose call failed, and which one.
    pub failed: Option<(Party, Call)>,
    /// What must hold and did not.
    pub violations: Vec<Violation>,
    /// What happened.
    pub events: Vec<Event>,
}

/// A box with its apps, each with two connections, and an application manager that keeps them busy.
pub struct Household {
    tv: TvBox,
    conductor: Conductor,
    suspended: Duration,
}

impl Household {
    /// What the box is like follows from the seed, too. Nothing runs yet.
    pub fn new(seed: u64) -> Self {
        let choice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let settings = Settings {
            decoders: [2, 4, 6, 8][choice as usize % 4],
            spares: (choice >> 2) as u16 % 3,
            ..Settings::default()
        };
        let resources = Resources { max_playback_sessions: 2, max_web_audio_players: 2, max_key_sessions: 2 };
        let apps = 4 + (choice >> 4) as usize % 3;
        Self::of_apps(seed, apps, Plan { settings, resources, takes_time: true })
    }

    fn of_apps(seed: u64, apps: usize, plan: Plan) -> Self {
        let mut tv = TvBox::with(seed, plan);
        let conductor = Conductor::new(&mut tv, apps, 2);
        (0..2).for_each(|_| {
            tv.add_controller();
        });
        Self { tv, conductor, suspended: Duration::ZERO }
    }

    /// A box whose apps run already.
    pub fn up(seed: u64) -> Self {
        let mut household = Self::new(seed);
        household.warm_up();
        household.calm();
        household
    }

    /// Two apps start, play, change places and end. The call of the platform with this number fails.
    pub fn story(failing_call: Option<u64>) -> Story {
        let mut household = Self::of_apps(1, 2, Plan { takes_time: true, ..Plan::default() });
        household.tv.keep_events();
        household.warm_up();
        // It may be the first app that the failure strikes.
        household.tv.book.referee.borrow_mut().set_innocent(None);
        let calls_before = household.tv.world.calls();
        if let Some(number) = failing_call {
            household.tv.world.fail_call(number);
        }
        for state in [TargetState::Active, TargetState::Inactive, TargetState::NotRunning] {
            household.tv.initiate("app1", TargetState::Inactive);
            household.tv.run_for(Duration::from_millis(500));
            household.tv.change("app1", state);
            household.run_for(Duration::from_secs(3));
        }
        let calls = household.tv.world.calls() - calls_before;
        household.tv.world.forgive();
        household.forget_failures();
        household.calm();
        if household.tv.violation_count() == 0 {
            household.end();
        }
        let Self { tv, .. } = household;
        Story { calls, failed: tv.world.failed_call(), violations: tv.violations(), events: tv.take_events() }
    }

    /// Time of the box, but for the time when it was suspended.
    fn awake_ms(&self) -> u64 {
        self.tv.now().as_millis().saturating_sub(self.suspended.as_millis() as u64)
    }

    fn forget_failures(&mut self) {
        self.tv.viewers.iter_mut().for_each(|viewer| viewer.last_failure = None);
    }

    /// Inputs that its machines took so far.
    pub fn inputs(&self) -> u64 {
        self.tv.inputs()
    }

    /// What must hold and did not.
    pub fn violations(&self) -> Vec<Violation> {
        self.tv.violations()
    }

    /// Ends the session server of the app to which nothing may happen: the canary, which the referee must see. False: it
    /// has none.
    pub fn harm_bystander(&mut self) -> bool {
        self.tv.end_server(BYSTANDER, ExitStatus::Killed(11))
    }

    /// Lets time pass without faults; the application manager goes on with its work.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.tv.now().after(duration);
        while !self.tv.is_stuck() && self.tv.now() < end {
            self.tv.run_to(self.conductor.next_at.min(end));
            self.conduct();
        }
    }

    fn conduct(&mut self) {
        if self.conductor.next_at <= self.tv.now() {
            self.conductor.act(&mut self.tv);
        }
    }

    /// Faults strike while the application manager goes on with its work.
    fn storm(&mut self, run: &Run) {
        let mut weather = Weather::of_seed(&self.tv, run.faults, run.is_swarm);
        let start = self.tv.now();
        while !self.tv.is_stuck() && self.tv.now().since(start) < run.storm + weather.suspended {
            self.tv.run_to(weather.due().min(self.conductor.next_at));
            if weather.due() <= self.tv.now() {
                weather.act(&mut self.tv);
            }
            self.conduct();
        }
        weather.clear(&mut self.tv);
        self.suspended = weather.suspended;
    }

    /// The bystander plays before anything goes wrong.
    fn warm_up(&mut self) {
        let Self { tv, conductor, .. } = self;
        tv.initiate(BYSTANDER, TargetState::Active);
        tv.run_until(CONVERGENCE, |tv| tv.state(BYSTANDER) == Some(ServerState::Active));
        let viewers = &conductor.apps[0].viewers;
        viewers.iter().for_each(|viewer| tv.wish(*viewer, Wish::Watching));
        if !tv.run_until(CONVERGENCE, |tv| viewers.iter().all(|viewer| tv.is_playing(*viewer))) {
            tv.book.violation("convergence", "the first app does not play although nothing went wrong".to_owned());
        }
        tv.book.referee.borrow_mut().set_innocent(Some(BYSTANDER));
    }

    /// Nothing goes wrong any more: then all is well soon.
    fn calm(&mut self) {
        let limit = self.tv.now().after(CONVERGENCE);
        let mut is_well = false;
        while !is_well && !self.tv.is_stuck() && self.tv.now() < limit {
            self.tv.run_for(Duration::from_millis(500));
            is_well = self.conductor.bring_together(&mut self.tv);
        }
        if !is_well {
            self.tv.book.violation("convergence", self.describe());
        }
        self.conductor.restore_bystander(&mut self.tv);
        self.check_bystander();
    }

    /// All stays well, and nobody waits for an answer for ever (SM-30).
    fn stay(&mut self) {
        if !self.is_well_for_long() {
            // A server that hung when the faults ended may have been found out, and its app given up, only meanwhile.
            self.calm();
        }
        if !self.is_well_for_long() {
            self.tv.book.violation("convergence", format!("all was well, but not for long: {}", self.describe()));
        }
        let (tv, now) = (&self.tv, self.tv.now());
        let viewers = tv.viewers.iter().filter(|viewer| viewer.client.is_connected());
        let viewers = viewers.map(|viewer| viewer.client.party);
        let controllers = tv.controllers.iter().filter(|it| it.is_connected()).map(|controller| controller.party);
        for party in viewers.chain(controllers) {
            tv.book.judge(|referee| referee.left_waiting(now, party, QUIET));
        }
        tv.book.judge(|referee| referee.left_behind(now, QUIET));
        self.check_bystander();
    }

    fn is_well_for_long(&mut self) -> bool {
        self.tv.run_for(QUIET);
        self.conductor.bring_together(&mut self.tv)
    }

    /// Who is not where it is to be.
    fn describe(&self) -> String {
        let app = |app: &App| {
            let viewers: Vec<String> = app.viewers.iter().map(|viewer| self.tv.viewers[*viewer].describe()).collect();
            format!("{} is {:?} with [{}]", app.name, self.tv.state(&app.name), viewers.join(", "))
        };
        let apps: Vec<String> = self.conductor.apps.iter().map(app).collect();
        let controllers: Vec<String> = self.tv.controllers.iter().map(Controller::describe).collect();
        let manager = self.tv.manager.driver();
        format!(
            "after {CONVERGENCE:?} without faults: {}; {}; the manager has {} controllers, {} spares",
            apps.join("; "),
            controllers.join("; "),
            manager.controllers(),
            manager.machine().box_status().spares
        )
    }

    fn check_bystander(&self) {
        if self.tv.has_lost_apps {
            return;
        }
        for viewer in &self.conductor.apps[0].viewers {
            let viewer = &self.tv.viewers[*viewer];
            if let Some(failure) = &viewer.last_failure {
                let what = format!("{}: {failure}, although nothing happened to it", viewer.client.party);
                self.tv.book.violation("SM-35, SM-36 bystander", what);
            }
        }
    }

    /// One connection takes all that its app may have and gives it back: then the other one of the app plays again, with
    /// what was given back (SM-33, SM-35).
    fn exhaust_then_release(&mut self) {
        let Self { tv, conductor, .. } = self;
        let [first, second] = conductor.apps[0].viewers[..] else { return };
        tv.wish(second, Wish::Away);
        tv.run_for(QUIET / 6);
        tv.extra(first, Command::CreateSession);
        if !tv.run_until(QUIET, |tv| tv.viewers[first].further().is_some()) {
            tv.book.violation("SM-33 exhaustion", "what an app may have, it cannot have".to_owned());
            return;
        }
        if let Some(session) = tv.viewers[first].further() {
            tv.extra(first, Command::DestroySession { session });
        }
        tv.run_for(QUIET / 6);
        tv.wish(second, Wish::Watching);
        if !tv.run_until(QUIET, |tv| tv.is_playing(second)) {
            let what = format!("what was given back is not to be had: {}", tv.viewers[second].describe());
            tv.book.violation("SM-33 release", what);
        }
    }

    /// Every app ends, then the manager, and nothing is left (SM-34, SM-38).
    fn end(&mut self) {
        let Self { tv, conductor, .. } = self;
        tv.book.referee.borrow_mut().set_innocent(None);
        let limit = tv.now().after(ENDING);
        let mut have_ended = false;
        while !have_ended && tv.now() < limit {
            have_ended = conductor.end_all(tv);
            tv.run_for(Duration::from_millis(500));
        }
        if !have_ended {
            let states: Vec<_> = conductor.apps.iter().map(|app| (&app.name, tv.state(&app.name))).collect();
            tv.book.violation("SM-21", format!("not all have ended within {ENDING:?}: {states:?}"));
        }
        tv.run_for(Duration::from_secs(2));
        check_leaks(tv);
        end_manager(tv, 0);
    }

    /// The manager is told to end while every app is at its work: it takes them down itself, and restarts none, and does not
    /// wait for ever for one whose process the kernel does not get rid of (SM-38).
    fn end_at_once(&mut self, one_stays: bool) {
        self.tv.book.referee.borrow_mut().set_innocent(None);
        let stays = self.tv.server_of(BYSTANDER).filter(|_| one_stays);
        if let Some(stays) = stays {
            let server = &mut self.tv.servers[stays];
            (server.hangs, server.lingers_ms) = (true, 10 * ENDING.as_millis() as u32);
        }
        end_manager(&mut self.tv, usize::from(stays.is_some()));
        if stays.is_none() && self.tv.hardware.in_use() > 0 {
            self.tv.book.violation("SM-38", format!("{} decoders are in use", self.tv.hardware.in_use()));
        }
    }
}

fn end_manager(tv: &mut TvBox, stay: usize) {
    tv.terminate();
    if !tv.run_until(ENDING, TvBox::has_exited) {
        tv.book.violation("SM-38", format!("the manager has not ended within {ENDING:?}"));
    }
    if tv.live_servers() > stay {
        tv.book.violation("SM-38", format!("{} session servers live on", tv.live_servers()));
    }
}

fn check_leaks(tv: &mut TvBox) {
    let spares = usize::from(tv.manager.driver().machine().box_status().spares);
    let watched = 1 + tv.controllers.iter().filter(|controller| controller.is_connected()).count() + 2 * spares;
    let files = tv.world.paths();
    let files = files.iter().filter(|file| **file == CONTROL || !tv.book.referee.borrow().is_left_over(file)).count();
    let expected = [
        ("processes", tv.live_servers(), spares),
        ("regions of memory", tv.world.regions(), 0),
        ("decoders", tv.hardware.in_use().into(), 0),
        ("files", files, 1),
        ("apps in the manager's table", tv.manager.driver().machine().apps().count(), 0),
        ("things that the manager watches", tv.manager.watched(), watched),
    ];
    for (what, there, may) in expected {
        if there != may {
            tv.book.violation("SM-34 leaks", format!("{there} {what} are left, not {may}"));
        }
    }
}
