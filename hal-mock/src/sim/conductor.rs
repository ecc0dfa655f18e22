//! What an application manager does all day: it starts apps, moves them, asks about them and ends them.

use std::time::Duration;

use greenroom_core::message::control::Command;
use greenroom_core::message::{Component, LogLevel, ServerState, TargetState};
use greenroom_core::time::Instant;

use super::tv_box::TvBox;
use super::viewer::Wish;
use super::weather::BYSTANDER;

/// An app of the box, with its connections.
pub(super) struct App {
    pub(super) name: String,
    pub(super) viewers: Vec<usize>,
}

/// Drives a box by chance, and later to where it is to be.
pub(super) struct Conductor {
    pub(super) apps: Vec<App>,
    pub(super) next_at: Instant,
}

impl Conductor {
    /// So many apps with so many connections each. The first one is the bystander, and does not play around.
    pub(super) fn new(tv: &mut TvBox, apps: usize, clients: usize) -> Self {
        let mut app = |number: usize| {
            let name = format!("app{number}");
            let viewers = (0..clients).map(|_| tv.open_viewer(&name, name != BYSTANDER)).collect();
            App { name, viewers }
        };
        Self { apps: (0..apps).map(&mut app).collect(), next_at: tv.now() }
    }

    /// Does something.
    pub(super) fn act(&mut self, tv: &mut TvBox) {
        self.next_at = tv.now().after(Duration::from_millis(500 + tv.world.random(4000)));
        (0..tv.controllers.len()).for_each(|controller| tv.reconnect(controller));
        self.restore_bystander(tv);
        let place = 1 + tv.world.random(self.apps.len() as u64 - 1) as usize;
        let app = &self.apps[place];
        self.follow_states(tv, app);
        match tv.world.random(10) {
            0 => {
                tv.ask(Command::List { from: tv.world.random(4) as u16 });
            }
            1 => {
                tv.ask(Command::ConnectionInfo { app: &app.name });
            }
            2 => {
                let level = if tv.world.random(2) == 0 { LogLevel::Debug } else { LogLevel::Error };
                tv.ask(Command::SetLogLevel { component: Component::SessionServer, level });
            }
            3 => {
                tv.change("nobody", TargetState::Active);
            }
            4 => self.switch(tv),
            _ => self.move_app(tv, &app.name),
        }
    }

    /// A killed manager takes the bystander with it, too. Once it plays again nothing happens to it any more.
    pub(super) fn restore_bystander(&self, tv: &mut TvBox) {
        if !tv.has_lost_apps {
            return;
        }
        let app = &self.apps[0];
        if matches!(tv.state(BYSTANDER), None | Some(ServerState::NotRunning)) && !tv.is_asked(BYSTANDER) {
            // At once, before other apps have all the decoders.
            tv.initiate(BYSTANDER, TargetState::Active);
        } else if tv.server_of(BYSTANDER).is_some() && self.bring(tv, app, TargetState::Active) {
            tv.has_lost_apps = false;
            app.viewers.iter().for_each(|viewer| tv.viewers[*viewer].last_failure = None);
            tv.book.referee.borrow_mut().set_innocent(Some(BYSTANDER));
        }
    }

    /// One app is to make room for another, which does not wait until it has (SM-27): it may only come too late for room.
    fn switch(&self, tv: &mut TvBox) {
        let is = |app: &&App, state| tv.state(&app.name) == Some(state);
        let leaves = self.apps.iter().skip(1).find(|app| is(app, ServerState::Active));
        let comes = self.apps.iter().skip(1).find(|app| is(app, ServerState::Inactive));
        let (Some(leaves), Some(comes)) = (leaves, comes) else { return };
        tv.change(&leaves.name, TargetState::Inactive);
        for after_ms in [0, 5, 10] {
            tv.run_for(Duration::from_millis(after_ms));
            tv.change(&comes.name, TargetState::Active);
        }
    }

    fn move_app(&self, tv: &mut TvBox, app: &str) {
        let chance = tv.world.random(20);
        match tv.state(app) {
            None | Some(ServerState::NotRunning) => {
                let state = if chance < 10 { TargetState::Active } else { TargetState::Inactive };
                tv.initiate(app, state);
            }
            Some(ServerState::Error) => {
                tv.change(app, TargetState::NotRunning);
            }
            Some(ServerState::Active) => {
                let state = match chance {
                    0..2 => TargetState::NotRunning,
                    2..6 => TargetState::Inactive,
                    _ => return,
                };
                tv.change(app, state);
            }
            Some(ServerState::Inactive | ServerState::Uninitialized) => {
                let state = if chance == 0 { TargetState::NotRunning } else { TargetState::Active };
                tv.change(app, state);
            }
        }
    }

    /// An app is told to play when its session server is Active.
    fn follow_states(&self, tv: &mut TvBox, app: &App) {
        let wish = match tv.state(&app.name) {
            Some(ServerState::Active) => Wish::Watching,
            Some(ServerState::Inactive | ServerState::Uninitialized) => Wish::Connected,
            Some(ServerState::NotRunning | ServerState::Error) | None if tv.world.random(4) == 0 => Wish::Away,
            Some(ServerState::NotRunning | ServerState::Error) | None => return,
        };
        for viewer in &app.viewers {
            if tv.viewers[*viewer].wish() != wish {
                tv.wish(*viewer, wish);
            }
        }
    }

    /// What an app is to be in when all is well: as many are Active as there are decoders for.
    fn goal(&self, tv: &TvBox, place: usize) -> TargetState {
        let needs = usize::from(tv.plan.resources.max_playback_sessions).max(1);
        let active = usize::from(tv.hardware.total()) / needs;
        if place < active { TargetState::Active } else { TargetState::Inactive }
    }

    /// Brings every app a step closer to where it is to be. Whether all are there, and play if they are Active.
    pub(super) fn bring_together(&self, tv: &mut TvBox) -> bool {
        (0..tv.controllers.len()).for_each(|controller| tv.reconnect(controller));
        let mut are_all = tv.controllers.iter().all(|controller| controller.unanswered() == 0);
        are_all &= self.end_others(tv);
        are_all &= tv.manager.driver().machine().box_status().spares == tv.plan.settings.spares;
        for (place, app) in self.apps.iter().enumerate() {
            let goal = self.goal(tv, place);
            are_all &= self.bring(tv, app, goal);
        }
        are_all
    }

    fn bring(&self, tv: &mut TvBox, app: &App, goal: TargetState) -> bool {
        self.follow_states(tv, app);
        let is_there = tv.state(&app.name) == Some(goal.into());
        if !is_there {
            if !tv.is_asked(&app.name) {
                self.send_on(tv, &app.name, goal);
            }
            return false;
        }
        match goal {
            TargetState::Active => app.viewers.iter().all(|viewer| tv.is_playing(*viewer)),
            TargetState::Inactive => app.viewers.iter().all(|viewer| tv.viewers[*viewer].client.is_connected()),
            TargetState::NotRunning => true,
        }
    }

    fn send_on(&self, tv: &mut TvBox, app: &str, goal: TargetState) {
        match (tv.state(app), goal) {
            (None | Some(ServerState::NotRunning), TargetState::NotRunning) => {}
            (None | Some(ServerState::NotRunning), TargetState::Active | TargetState::Inactive) => {
                tv.initiate(app, TargetState::Inactive);
            }
            (Some(ServerState::Error), _) => {
                tv.change(app, TargetState::NotRunning);
            }
            (Some(_), goal) => {
                tv.change(app, goal);
            }
        }
    }

    /// Ends what else runs. Whether nothing else does.
    fn end_others(&self, tv: &mut TvBox) -> bool {
        let machine = tv.manager.driver().machine();
        let names = machine.apps().filter_map(|app| machine.app_id(app)).map(|id| id.as_str().to_owned());
        let others: Vec<String> = names.filter(|name| self.apps.iter().all(|app| app.name != *name)).collect();
        for other in others.iter().filter(|other| !tv.is_asked(other)).collect::<Vec<_>>() {
            tv.change(other, TargetState::NotRunning);
        }
        others.is_empty()
    }

    /// Ends every app. Whether all have ended.
    pub(super) fn end_all(&self, tv: &mut TvBox) -> bool {
        let mut have_all = self.end_others(tv);
        for app in &self.apps {
            app.viewers.iter().for_each(|viewer| tv.wish(*viewer, Wish::Away));
            let has_ended = matches!(tv.state(&app.name), None | Some(ServerState::NotRunning));
            if !has_ended && !tv.is_asked(&app.name) {
                tv.change(&app.name, TargetState::NotRunning);
            }
            have_all &= has_ended;
        }
        have_all
    }
}
