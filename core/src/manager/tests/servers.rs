//! What session servers do, in order and out of order, and what an observer hears of it.

use super::*;
use crate::message::{Component, LogLevel};

const UP: (ServerState, Option<Reason>) = (ServerState::Uninitialized, None);
const INACTIVE: (ServerState, Option<Reason>) = (ServerState::Inactive, None);
const ACTIVE: (ServerState, Option<Reason>) = (ServerState::Active, None);

fn error(reason: Reason) -> (ServerState, Option<Reason>) {
    (ServerState::Error, Some(reason))
}

fn ended(reason: Reason) -> (ServerState, Option<Reason>) {
    (ServerState::NotRunning, Some(reason))
}

/// SM-05 to SM-08, SM-15, SM-16, SM-18, SM-19
#[test]
fn an_app_goes_through_its_whole_life_and_leaves_nothing() {
    let mut stage = Stage::new();
    stage.run("app1", TargetState::Inactive);
    for state in [TargetState::Active, TargetState::Inactive] {
        let asked = stage.change("app1", state);
        assert!(asks_for(&asked, state));
        let answered = stage.replies("app1", Ok(()));
        assert_eq!(stage.reply_in(&answered), Some(Ok(Answer::Done)));
        stage.says("app1", state.into(), None);
    }
    stage.change("app1", TargetState::NotRunning);
    stage.replies("app1", Ok(()));
    stage.says("app1", ServerState::NotRunning, None);
    assert_eq!(stage.heard("app1"), [UP, INACTIVE, ACTIVE, INACTIVE]);
    stage.exits("app1", ExitStatus::Exited(0));
    assert_eq!(stage.heard("app1").last(), Some(&ended(Reason::Asked)));
    assert!(stage.is_gone("app1"));
    assert_eq!((stage.free_decoders(), stage.manager.next_deadline()), (1, None));
}

/// SM-13
#[test]
fn an_app_that_starts_active_is_notified_active_only() {
    let mut stage = Stage::new();
    stage.run("app1", TargetState::Active);
    assert_eq!(stage.heard("app1"), [UP, ACTIVE]);
    assert_eq!(stage.free_decoders(), 0);
}

/// SM-12
///
/// Field failure 14
#[test]
fn a_server_that_is_not_up_in_time_is_killed_and_told_of_when_it_is_reaped() {
    let mut stage = Stage::new();
    stage.initiate("app1", TargetState::Inactive);
    stage.spawned("app1");
    let late = stage.time_out();
    assert_eq!(signals(&late), [Signal::Kill]);
    stage.says("app1", ServerState::Uninitialized, None);
    assert_eq!((stage.heard("app1"), stage.manager.box_status().stale), (vec![], 1));
    stage.exits("app1", ExitStatus::Killed(9));
    assert_eq!(stage.heard("app1"), [error(Reason::ReadyTimeout)]);
    assert!(stage.is_gone("app1"));
}

/// SM-06
#[test]
fn a_server_that_is_up_is_told_of_and_its_ready_time_is_over() {
    let mut stage = Stage::new();
    stage.initiate("app1", TargetState::Inactive);
    stage.spawned("app1");
    stage.now = stage.now.after(Duration::from_millis(500));
    let up = stage.says("app1", ServerState::Uninitialized, None);
    assert_eq!(heard("app1", &up), [UP]);
    assert_eq!(stage.manager.next_deadline(), Some(stage.now.after(LINK_TIMEOUT)));
}

/// SM-04
///
/// Field failure 14
#[test]
fn without_a_ready_time_a_server_may_take_for_ever() {
    let mut stage = Stage::with(Settings { ready_timeout: None, ..calm() });
    stage.initiate("app1", TargetState::Inactive);
    stage.spawned("app1");
    assert_eq!(stage.manager.next_deadline(), None);
}

/// SM-10, SM-11
#[test]
fn a_server_that_fails_to_start_is_told_of_once_with_the_cause_that_it_gave() {
    for (up_first, reason) in [(false, Reason::Initialization), (true, Reason::SocketTaken)] {
        let mut stage = Stage::new();
        stage.initiate("app1", TargetState::Inactive);
        stage.spawned("app1");
        if up_first {
            stage.says("app1", ServerState::Uninitialized, None);
            stage.replies("app1", Ok(()));
        }
        stage.says("app1", ServerState::Error, Some(reason));
        assert!(!stage.heard("app1").contains(&error(reason)));
        stage.exits("app1", ExitStatus::Exited(1));
        assert_eq!(stage.heard("app1").iter().filter(|heard| heard.0 == ServerState::Error).count(), 1);
        assert_eq!(stage.heard("app1").last(), Some(&error(reason)));
    }
}

/// SM-10
#[test]
fn a_server_that_reports_its_end_and_stays_is_ended() {
    let mut stage = Stage::new();
    stage.initiate("app1", TargetState::Inactive);
    stage.spawned("app1");
    stage.says("app1", ServerState::Error, Some(Reason::Initialization));
    assert_eq!(signals(&stage.time_out()), [Signal::Terminate]);
    assert_eq!(signals(&stage.time_out()), [Signal::Kill]);
    assert_eq!(stage.manager.next_deadline(), None);
    stage.exits("app1", ExitStatus::Killed(9));
    assert_eq!(stage.heard("app1"), [error(Reason::Initialization)]);
}

/// SM-17
#[test]
fn a_server_that_cannot_become_active_lives_holds_nothing_and_takes_not_running_only() {
    let mut stage = Stage::new();
    stage.run("app1", TargetState::Inactive);
    stage.change("app1", TargetState::Active);
    stage.replies("app1", Ok(()));
    stage.says("app1", ServerState::Error, Some(Reason::SharedMemory));
    assert_eq!(stage.heard("app1").last(), Some(&error(Reason::SharedMemory)));
    assert_eq!(stage.free_decoders(), 1);
    for state in [TargetState::Active, TargetState::Inactive] {
        let refused = stage.answer(Command::ChangeState { app: "app1", state });
        assert_eq!(refused, Err(Refusal::WrongState { state: Some(ServerState::Error) }));
    }
    assert!(asks_for(&stage.change("app1", TargetState::NotRunning), TargetState::NotRunning));
    stage.replies("app1", Ok(()));
    stage.exits("app1", ExitStatus::Exited(0));
    assert_eq!(stage.heard("app1").last(), Some(&ended(Reason::Asked)));
}

/// SM-17: observers are told a reason with every Error, also where the server gave none.
#[test]
fn a_server_that_fails_without_a_word_is_passed_on_with_a_reason() {
    let mut stage = Stage::new();
    stage.run("app1", TargetState::Inactive);
    stage.change("app1", TargetState::Active);
    stage.replies("app1", Ok(()));
    stage.says("app1", ServerState::Error, None);
    assert_eq!(stage.heard("app1").last(), Some(&error(Reason::SharedMemory)));
}

/// SM-15, SM-40
#[test]
fn a_server_that_refuses_to_become_active_stays_inactive_and_gives_its_decoders_back() {
    let mut stage = Stage::new();
    stage.run("app1", TargetState::Inactive);
    stage.change("app1", TargetState::Active);
    let refused = stage.replies("app1", Err(link::Refusal::Busy));
    assert_eq!(stage.reply_in(&refused), Some(Err(Refusal::ServerRefused)));
    assert_eq!((stage.free_decoders(), stage.manager.next_deadline()), (1, None));
    assert!(asks_for(&stage.change("app1", TargetState::Active), TargetState::Active));
}

/// SM-21, SM-40: its decoder is free when it is dead, and not when its time is up.
///
/// Field failure 4
#[test]
fn a_server_that_does_not_end_is_sent_term_then_kill_and_is_gone_only_when_reaped() {
    let mut stage = Stage::new();
    stage.run("app1", TargetState::Active);
    stage.change("app1", TargetState::NotRunning);
    let asked = stage.sequence;
    let late = stage.time_out();
    assert_eq!(stage.now, Instant::from_millis(1_000).after(STOP_TIMEOUT));
    assert_eq!(signals(&late), [Signal::Terminate]);
    assert_eq!(stage.reply_to(asked, &late), Some(Ok(Answer::Done)));
    assert_eq!(signals(&stage.time_out()), [Signal::Kill]);
    assert_eq!((stage.free_decoders(), stage.is_gone("app1")), (0, false));
    stage.exits("app1", ExitStatus::Killed(9));
    assert_eq!(stage.heard("app1").last(), Some(&ended(Reason::Killed(9))));
    assert_eq!((stage.free_decoders(), stage.is_gone("app1")), (1, true));
}

/// SM-30: no answer in time.
#[test]
fn a_server_that_does_not_answer_is_killed_and_the_asker_learns_it() {
    let mut stage = Stage::new();
    stage.run("app1", TargetState::Inactive);
    stage.change("app1", TargetState::Active);
    let late = stage.time_out();
    assert_eq!(stage.reply_in(&late), Some(Err(Refusal::ServerTimeout)));
    assert_eq!(signals(&late), [Signal::Kill]);
    assert_eq!(stage.free_decoders(), 0);
    stage.exits("app1", ExitStatus::Killed(9));
    assert_eq!(stage.heard("app1").last(), Some(&error(Reason::LinkTimeout)));
    assert_eq!(stage.free_decoders(), 1);
}

/// SM-21: an OK that nothing follows.
#[test]
fn a_server_that_accepts_and_does_not_do_it_is_killed() {
    let mut stage = Stage::new();
    stage.run("app1", TargetState::Inactive);
    stage.change("app1", TargetState::Active);
    stage.now = stage.now.after(Duration::from_secs(2));
    stage.replies("app1", Ok(()));
    assert_eq!(stage.manager.next_deadline(), Some(stage.now.after(LINK_TIMEOUT)));
    assert_eq!(signals(&stage.time_out()), [Signal::Kill]);
}

/// SM-21, SM-34: with limits of nothing a server passes more than one of them in one tick.
#[test]
fn servers_that_pass_all_their_time_limits_at_once_are_all_killed() {
    let settings = Settings { stop_timeout: Duration::ZERO, terminate_timeout: Duration::ZERO, ..calm() };
    let mut stage = Stage::with(settings);
    for name in names(4) {
        stage.run(&name, TargetState::Inactive);
        stage.change(&name, TargetState::NotRunning);
    }
    assert_eq!(signals(&stage.give(Input::Tick)), [Signal::Kill; 4]);
}

/// SM-36, SM-39
#[test]
fn log_levels_that_change_again_and_again_do_not_keep_a_silent_server_alive() {
    let mut stage = Stage::new();
    stage.run("app1", TargetState::Inactive);
    let by = stage.now.after(LINK_TIMEOUT);
    while stage.now.after(Duration::from_secs(1)) < by {
        stage.ask(Command::SetLogLevel { component: Component::Ipc, level: LogLevel::Debug });
        stage.now = stage.now.after(Duration::from_secs(1));
    }
    assert_eq!(stage.manager.next_deadline(), Some(by));
    assert_eq!(signals(&stage.time_out()), [Signal::Kill]);
}

/// SM-21, SM-39
#[test]
fn log_levels_that_are_answered_do_not_give_a_server_more_time_for_its_state() {
    let mut stage = Stage::new();
    stage.run("app1", TargetState::Inactive);
    stage.change("app1", TargetState::Active);
    stage.replies("app1", Ok(()));
    let by = stage.now.after(LINK_TIMEOUT);
    stage.now = stage.now.after(Duration::from_secs(2));
    stage.ask(Command::SetLogLevel { component: Component::Ipc, level: LogLevel::Debug });
    stage.replies("app1", Ok(()));
    assert_eq!(stage.manager.next_deadline(), Some(by));
}

/// SM-30, SM-36
#[test]
fn a_server_that_dies_answers_who_waits_and_is_told_of_with_how_it_died() {
    let mut stage = Stage::new();
    stage.run("app1", TargetState::Inactive);
    stage.change("app1", TargetState::Active);
    let app = stage.app("app1");
    let lost = stage.give(Input::LinkClosed { app });
    assert_eq!(stage.reply_in(&lost), Some(Err(Refusal::ServerGone)));
    assert!(lost.contains(&Action::CloseLink { app }));
    stage.exits("app1", ExitStatus::Killed(11));
    assert_eq!(stage.heard("app1").last(), Some(&error(Reason::Killed(11))));
    assert_eq!((stage.free_decoders(), stage.is_gone("app1")), (1, true));
}

/// SM-36
#[test]
fn a_server_that_closes_its_link_and_lives_on_is_ended() {
    let mut stage = Stage::new();
    stage.run("app1", TargetState::Inactive);
    let app = stage.app("app1");
    stage.give(Input::LinkClosed { app });
    stage.time_out();
    stage.exits("app1", ExitStatus::Killed(15));
    assert_eq!(stage.heard("app1").last(), Some(&error(Reason::LinkBroken)));
}

/// SM-31, SM-36
#[test]
fn a_server_that_lies_is_killed_and_what_it_claimed_is_not_passed_on() {
    let mut stage = Stage::new();
    stage.initiate("app1", TargetState::Inactive);
    stage.spawned("app1");
    let lie = stage.says("app1", ServerState::Active, None);
    assert_eq!(signals(&lie), [Signal::Kill]);
    stage.exits("app1", ExitStatus::Killed(9));
    assert_eq!(stage.heard("app1"), [error(Reason::LinkBroken)]);
}

/// SM-31, SM-33: on its way out it may not claim what it was not granted.
#[test]
fn a_server_that_claims_active_while_it_ends_is_not_believed() {
    let mut stage = Stage::new();
    stage.run("app1", TargetState::Inactive);
    stage.change("app1", TargetState::NotRunning);
    stage.says("app1", ServerState::Active, None);
    assert_eq!(stage.heard("app1"), [UP, INACTIVE]);
}

/// SM-12
///
/// Field failure 7
#[test]
fn what_comes_from_an_earlier_life_of_an_app_is_counted_and_changes_nothing() {
    let mut stage = Stage::new();
    stage.run("app1", TargetState::Inactive);
    let earlier = stage.app("app1");
    stage.exits("app1", ExitStatus::Exited(0));
    stage.run("app1", TargetState::Inactive);
    let heard = stage.heard("app1").len();
    let message = link::Message::StateChanged { state: ServerState::Error, reason: None };
    for late in [
        Input::Link { app: earlier, message },
        Input::LinkClosed { app: earlier },
        Input::LinkBroken { app: earlier },
        Input::ChildExited { app: earlier, status: ExitStatus::Exited(0) },
        Input::Spawned { app: earlier, result: Ok(1) },
    ] {
        assert_eq!(stage.manager.handle(stage.now, late), Err(Stale));
        assert_eq!(stage.manager.poll_action(), None);
    }
    assert_eq!((stage.heard("app1").len(), stage.manager.box_status().stale), (heard, 5));
}

/// SM-36
#[test]
fn the_end_of_one_server_touches_no_other() {
    let mut stage = Stage::with(Settings { decoders: 2, restart: false, ..calm() });
    stage.run("app1", TargetState::Active);
    stage.run("app2", TargetState::Active);
    let app = stage.app("app1");
    stage.give(Input::LinkBroken { app });
    stage.exits("app1", ExitStatus::Killed(9));
    assert_eq!(stage.heard("app2"), [UP, ACTIVE]);
    assert_eq!(stage.free_decoders(), 1);
}

/// SM-37
///
/// Field failure 7
#[test]
fn an_app_can_be_ended_while_it_starts() {
    let mut stage = Stage::new();
    stage.initiate("app1", TargetState::Inactive);
    stage.spawned("app1");
    assert!(asks_for(&stage.change("app1", TargetState::NotRunning), TargetState::NotRunning));
    stage.says("app1", ServerState::Uninitialized, None);
    stage.replies("app1", Ok(()));
    stage.says("app1", ServerState::NotRunning, None);
    stage.exits("app1", ExitStatus::Exited(0));
    assert_eq!(stage.heard("app1"), [UP, ended(Reason::Asked)]);
}

#[test]
fn a_server_that_refuses_its_configuration_is_ended_with_that_cause() {
    let mut stage = Stage::new();
    stage.initiate("app1", TargetState::Inactive);
    stage.spawned("app1");
    stage.says("app1", ServerState::Uninitialized, None);
    let refused = stage.replies("app1", Err(link::Refusal::Configuration));
    assert!(asks_for(&refused, TargetState::NotRunning));
    stage.replies("app1", Ok(()));
    stage.exits("app1", ExitStatus::Exited(0));
    assert_eq!(stage.heard("app1"), [UP, error(Reason::ConfigurationRefused)]);
}
