//! Session servers that were started before anybody asked.

use super::*;
use crate::limits::{RESTART_WINDOW, SPARES_MAX};
use crate::manager::spare::{Event, Fate, Phase};

impl Stage {
    fn with_spares(spares: u16) -> Self {
        let mut stage = Self::with(Settings { spares, decoders: 2, ..calm() });
        stage.give(Input::Tick);
        stage
    }

    fn spare(&mut self, spare: SpareHandle, event: SpareEvent) -> Vec<Action> {
        self.give(Input::Spare { spare, event })
    }

    fn spare_says(&mut self, spare: SpareHandle, state: ServerState) -> Vec<Action> {
        self.spare(spare, SpareEvent::Link(link::Message::StateChanged { state, reason: None }))
    }

    /// The spare that is to be started last.
    fn started(&self) -> SpareHandle {
        let mut started = self.actions.iter().rev().filter_map(spawns_spare);
        started.next().expect("a spare was started")
    }

    /// Brings the spare up that was started last.
    fn bring_spare_up(&mut self) -> SpareHandle {
        let spare = self.started();
        self.spare(spare, SpareEvent::Spawned(Ok(8)));
        self.spare_says(spare, ServerState::Uninitialized);
        spare
    }

    fn spares(&self) -> u16 {
        self.manager.box_status().spares
    }
}

fn spawns_spare(action: &Action) -> Option<SpareHandle> {
    match action {
        Action::Spare { spare, deed: SpareDeed::Spawn } => Some(*spare),
        _ => None,
    }
}

fn starts(actions: &[Action]) -> usize {
    actions.iter().filter_map(spawns_spare).count()
}

fn stops(actions: &[Action]) -> bool {
    actions.iter().any(|action| matches!(action, Action::Spare { deed: SpareDeed::Stop { .. }, .. }))
}

fn takes(actions: &[Action]) -> Option<SpareHandle> {
    actions.iter().find_map(|action| match action {
        Action::Take { spare, .. } => Some(*spare),
        _ => None,
    })
}

/// SM-31: they are no apps, and nobody hears of them.
#[test]
fn spares_are_started_one_after_the_other_and_are_no_apps() {
    let mut stage = Stage::with_spares(2);
    assert_eq!(starts(&stage.actions), 1);
    let first = stage.bring_spare_up();
    assert_eq!(starts(&stage.actions), 2);
    assert_ne!(stage.bring_spare_up(), first);
    assert_eq!((starts(&stage.actions), stage.spares()), (2, 2));
    assert_eq!((stage.manager.apps().count(), stage.manager.next_deadline()), (0, None));
    assert!(!stage.actions.iter().any(|action| matches!(action, Action::Notify { .. })));
}

#[test]
fn no_more_spares_are_kept_than_there_are_places() {
    let mut stage = Stage::with_spares(u16::MAX);
    for _ in 0..SPARES_MAX {
        stage.bring_spare_up();
    }
    assert_eq!((starts(&stage.actions), stage.spares()), (SPARES_MAX, SPARES_MAX as u16));
}

/// SM-05 to SM-07
#[test]
fn a_start_takes_a_spare_and_configures_it_at_once() {
    let mut stage = Stage::with_spares(1);
    let spare = stage.bring_spare_up();
    let actions = stage.initiate("app1", TargetState::Inactive);
    assert_eq!(stage.reply_in(&actions), Some(Ok(Answer::Done)));
    assert_eq!(takes(&actions), Some(spare));
    assert!(matches!(actions.last(), Some(Action::Configure { .. })));
    assert_eq!((heard("app1", &actions), stage.spares()), (vec![(ServerState::Uninitialized, None)], 0));
    assert_eq!(stage.manager.status(stage.now, stage.app("app1")).unwrap().process_id, 8);
}

#[test]
fn the_next_spare_is_started_when_the_app_is_where_it_was_to_go() {
    let mut stage = Stage::with_spares(1);
    stage.bring_spare_up();
    let mut actions = stage.initiate("app1", TargetState::Active);
    actions.extend(stage.replies("app1", Ok(())));
    assert_eq!(starts(&actions), 0);
    let actions = stage.says("app1", ServerState::Active, None);
    assert!(matches!(actions.first(), Some(Action::Notify { state: ServerState::Active, .. })));
    assert_eq!(starts(&actions), 1);
}

#[test]
fn a_start_before_a_spare_is_up_starts_a_server_of_its_own() {
    let mut stage = Stage::with_spares(1);
    let actions = stage.initiate("app1", TargetState::Inactive);
    assert_eq!(takes(&actions), None);
    assert!(actions.iter().any(|action| matches!(action, Action::Spawn { .. })));
}

/// SM-36
#[test]
fn a_restart_takes_a_spare_and_the_app_is_told_of_both_servers() {
    let mut stage = Stage::with_spares(1);
    stage.bring_spare_up();
    stage.run_taken("app1", TargetState::Active);
    let spare = stage.bring_spare_up();
    let actions = stage.exits("app1", ExitStatus::Killed(9));
    let told = [(ServerState::Error, Some(Reason::Killed(9))), (ServerState::Uninitialized, None)];
    assert_eq!((heard("app1", &actions), takes(&actions)), (told.to_vec(), Some(spare)));
    let closes = actions.iter().position(|action| matches!(action, Action::CloseLink { .. }));
    let taken = actions.iter().position(|action| matches!(action, Action::Take { .. }));
    assert!(closes < taken, "the old link is closed before the app has the new one");
    stage.replies("app1", Ok(()));
    assert_eq!(heard("app1", &stage.says("app1", ServerState::Active, None)), [(ServerState::Active, None)]);
}

impl Stage {
    fn run_taken(&mut self, name: &str, state: TargetState) {
        assert!(takes(&self.initiate(name, state)).is_some());
        self.replies(name, Ok(()));
        self.says(name, state.into(), None);
    }
}

/// SM-36, Field failure A
#[test]
fn spares_that_end_are_replaced_after_longer_and_longer_pauses_and_then_not_before_the_window_has_closed() {
    let mut stage = Stage::with_spares(1);
    let began = stage.now;
    let mut pauses = Vec::new();
    for _ in 0..=RESTART_INTENSITY {
        let spare = stage.bring_spare_up();
        let ended = stage.now;
        if starts(&stage.spare(spare, SpareEvent::ChildExited(ExitStatus::Killed(11)))) == 0 {
            assert_eq!(starts(&stage.time_out()), 1);
        }
        pauses.push(stage.now.since(ended).as_millis());
    }
    assert_eq!(pauses[..5], [0, 100, 200, 400, 800]);
    assert_eq!(stage.now, began.after(RESTART_WINDOW));
}

/// Field failure A
#[test]
fn a_program_that_is_missing_is_tried_a_few_times_a_window() {
    let mut stage = Stage::with_spares(2);
    let until = stage.now.after(10 * RESTART_WINDOW);
    while stage.now < until {
        let spare = stage.started();
        let more = stage.spare(spare, SpareEvent::Spawned(Err(ErrorKind::NotFound)));
        if starts(&more) == 0 {
            stage.time_out();
        }
    }
    let tries = starts(&stage.actions);
    assert!(tries <= 10 * (RESTART_INTENSITY as usize + 1) + 1, "{tries} tries in ten windows");
    let actions = stage.initiate("app1", TargetState::Inactive);
    assert!(actions.iter().any(|action| matches!(action, Action::Spawn { .. })), "apps have nothing to do with it");
}

/// SM-12: a spare that hangs at its start is killed, and nobody hears of it.
#[test]
fn a_spare_that_is_not_up_in_time_is_killed() {
    let mut stage = Stage::with_spares(1);
    let spare = stage.started();
    stage.spare(spare, SpareEvent::Spawned(Ok(8)));
    let kill = Action::Spare { spare, deed: SpareDeed::Signal(Signal::Kill) };
    assert!(stage.time_out().contains(&kill));
    assert_eq!(starts(&stage.spare(spare, SpareEvent::ChildExited(ExitStatus::Killed(9)))), 1);
}

/// SM-38
#[test]
fn a_manager_that_ends_ends_its_spares_in_order_and_waits_for_them() {
    let mut stage = Stage::with_spares(2);
    let first = stage.bring_spare_up();
    let second = stage.started();
    let actions = stage.give(Input::Terminate);
    assert!(stops(&actions) && !actions.contains(&Action::Exit));
    let late = stage.spare(second, SpareEvent::Spawned(Ok(9)));
    assert!(stops(&late), "one that was being started is asked as soon as it is there");
    for spare in [first, second] {
        assert!(!stage.actions.contains(&Action::Exit));
        stage.spare_says(spare, ServerState::NotRunning);
        let last = stage.spare(spare, SpareEvent::ChildExited(ExitStatus::Exited(0)));
        assert_eq!(starts(&last), 0);
    }
    assert!(stage.actions.contains(&Action::Exit));
}

/// SM-21, SM-38
#[test]
fn a_spare_that_does_not_end_is_terminated_and_then_killed() {
    let mut stage = Stage::with_spares(1);
    let spare = stage.bring_spare_up();
    stage.give(Input::Terminate);
    let signals =
        |actions: Vec<Action>, signal| actions.contains(&Action::Spare { spare, deed: SpareDeed::Signal(signal) });
    assert!(signals(stage.time_out(), Signal::Terminate));
    assert!(signals(stage.time_out(), Signal::Kill));
}

/// Every phase with every event: where it leads, or that it is late.
#[test]
fn every_phase_of_a_spare_meets_every_event() {
    use Event as E;
    use Phase::{Killing, Spawning, Starting, Stopping, Terminating, Waiting};
    let events = [
        E::Spawned(8),
        E::SpawnFailed(ErrorKind::NotFound),
        E::Up,
        E::Ends,
        E::Lies,
        E::Answers,
        E::LinkClosed,
        E::LinkBroken,
        E::Exited(ExitStatus::Exited(0)),
        E::TimedOut,
        E::LookDue,
    ];
    let ways: [(Phase, &[Event], &str); 7] = [
        (Spawning, &[], "sg........."),
        (Starting, &[E::Spawned(8)], "..wekkekgk."),
        (Waiting, &[E::Spawned(8), E::Up], "..kek=ekg.="),
        (Waiting, &[E::Spawned(8), E::Up, E::LookDue, E::LookDue, E::LookDue], "..kek=ekg.e"),
        (Stopping, &[E::Spawned(8), E::Up, E::Ends], "..=====kgt."),
        (Terminating, &[E::Spawned(8), E::Up, E::Ends, E::TimedOut], "..=====kgk."),
        (Killing, &[E::Spawned(8), E::Up, E::Lies], "........g.."),
    ];
    for (phase, way, expected) in ways {
        let found = events.map(|event| {
            let (mut spare, settings) = (Spare::new(), Settings::default());
            let mut give = |event| (spare.handle(event, Instant::default(), &settings), spare.phase());
            way.iter().for_each(|step| assert!(give(*step).0.is_ok()));
            match give(event) {
                (Err(_), _) => '.',
                (Ok(Fate::Gone), _) => 'g',
                (Ok(Fate::Lives), after) if after == phase => '=',
                (Ok(Fate::Lives), Starting) => 's',
                (Ok(Fate::Lives), Waiting) => 'w',
                (Ok(Fate::Lives), Stopping) => 'e',
                (Ok(Fate::Lives), Terminating) => 't',
                (Ok(Fate::Lives), Killing) => 'k',
                (Ok(Fate::Lives), Spawning) => '?',
            }
        });
        assert_eq!(String::from_iter(found), expected, "{phase:?}");
    }
}

/// Of a spare that was taken nothing more is heard as of a spare.
#[test]
fn what_comes_late_from_a_spare_that_was_taken_is_counted_and_ignored() {
    let mut stage = Stage::with_spares(1);
    let spare = stage.bring_spare_up();
    stage.initiate("app1", TargetState::Inactive);
    let stale = stage.manager.box_status().stale;
    assert_eq!(stage.spare(spare, SpareEvent::LinkClosed), []);
    assert_eq!(stage.manager.box_status().stale, stale + 1);
}
