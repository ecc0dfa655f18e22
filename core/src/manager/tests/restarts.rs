//! What follows the end of a session server that nobody asked for (SM-36).

use super::*;
use crate::limits::{RESTART_INTENSITY, RESTART_PAUSE, RESTART_WINDOW};

const CRASH: ExitStatus = ExitStatus::Killed(11);
const CRASHED: (ServerState, Option<Reason>) = (ServerState::Error, Some(Reason::Killed(11)));
const UP: (ServerState, Option<Reason>) = (ServerState::Uninitialized, None);
const INACTIVE: (ServerState, Option<Reason>) = (ServerState::Inactive, None);
const ACTIVE: (ServerState, Option<Reason>) = (ServerState::Active, None);

fn stage() -> Stage {
    Stage::with(calm())
}

fn spawns(actions: &[Action]) -> bool {
    actions.iter().any(|action| matches!(action, Action::Spawn { .. }))
}

fn first_state(stage: &Stage, name: &str) -> TargetState {
    stage.manager.configuration(stage.app(name)).unwrap().state
}

/// A server that was restarted gets to the state that it is configured for.
fn come_up(stage: &mut Stage, name: &str) {
    stage.spawned(name);
    stage.says(name, ServerState::Uninitialized, None);
    stage.replies(name, Ok(()));
    let state = first_state(stage, name).into();
    stage.says(name, state, None);
}

/// SM-36, SM-31
#[test]
fn a_server_that_dies_is_followed_at_once_by_one_in_the_state_that_the_app_was_meant_to_be_in() {
    for state in [TargetState::Inactive, TargetState::Active] {
        let mut stage = stage();
        stage.run("app1", state);
        let app = stage.app("app1");
        let crashed = stage.exits("app1", CRASH);
        assert_eq!(crashed.last(), Some(&Action::Spawn { app }), "after its end was told");
        assert!(!crashed.contains(&Action::RemoveSocket { app }));
        come_up(&mut stage, "app1");
        let there = (state.into(), None);
        assert_eq!(stage.heard("app1"), [UP, there, CRASHED, UP, there]);
        let status = stage.manager.status(stage.now, app).unwrap();
        assert_eq!((status.restarts, status.wanted, status.state), (1, state, Some(state.into())));
        assert_eq!((status.decoders, stage.manager.next_deadline()), (1 - stage.free_decoders(), None));
    }
}

/// SM-30, SM-36: what it was asked, and has accepted, is what it is meant to be in; what was refused is not.
#[test]
fn a_request_that_was_not_accepted_is_not_what_the_next_server_is_to_do() {
    for (accepts, wanted) in [(true, TargetState::Active), (false, TargetState::Inactive)] {
        let mut stage = stage();
        stage.run("app1", TargetState::Inactive);
        stage.change("app1", TargetState::Active);
        if accepts {
            stage.replies("app1", Ok(()));
        }
        let crashed = stage.exits("app1", CRASH);
        assert_eq!(stage.reply_in(&crashed), (!accepts).then_some(Err(Refusal::ServerGone)));
        assert_eq!((first_state(&stage, "app1"), stage.free_decoders()), (wanted, u8::from(!accepts)));
    }
}

/// SM-31, SM-36: a silent server, one that closes its link, and one that ends by itself.
#[test]
fn a_server_that_the_manager_ends_is_restarted_only_when_it_was_reaped() {
    let mut stage = stage();
    stage.run("app1", TargetState::Inactive);
    let app = stage.app("app1");
    assert!(!spawns(&stage.give(Input::LinkBroken { app })));
    assert!(spawns(&stage.exits("app1", ExitStatus::Killed(9))));
    come_up(&mut stage, "app1");
    assert!(!spawns(&stage.says("app1", ServerState::NotRunning, None)));
    let left = stage.exits("app1", ExitStatus::Exited(0));
    assert_eq!(heard("app1", &left), [(ServerState::Error, Some(Reason::Exited(0)))], "nothing follows NotRunning");
    assert!(spawns(&stage.time_out()));
}

/// SM-09, SM-37
#[test]
fn during_a_restart_its_socket_is_known_and_what_is_asked_of_it_is_refused_busy() {
    let mut stage = stage();
    stage.run("app1", TargetState::Inactive);
    stage.exits("app1", CRASH);
    stage.spawned("app1");
    let check = |stage: &mut Stage| {
        let info = stage.answer(Command::ConnectionInfo { app: "app1" });
        assert!(matches!(info, Ok(Answer::ConnectionInfo { .. })));
        for state in [TargetState::Inactive, TargetState::Active] {
            assert_eq!(stage.answer(Command::ChangeState { app: "app1", state }), Err(Refusal::Busy));
            assert_eq!(stage.answer(Command::Initiate { app: "app1", state, socket: "" }), Err(Refusal::Busy));
        }
    };
    check(&mut stage);
    stage.says("app1", ServerState::Uninitialized, None);
    check(&mut stage);
    stage.exits("app1", CRASH);
    check(&mut stage);
    stage.time_out();
    check(&mut stage);
}

/// SM-36, SM-40: rule 6 of the design.
#[test]
fn when_its_decoders_were_taken_meanwhile_an_app_comes_back_inactive_and_observers_are_told_why() {
    let mut stage = stage();
    stage.run("app1", TargetState::Active);
    stage.run("app2", TargetState::Inactive);
    stage.exits("app1", CRASH);
    stage.spawned("app1");
    stage.exits("app1", CRASH);
    assert_eq!(stage.free_decoders(), 1, "while it waits it holds nothing");
    assert_eq!(stage.manager.status(stage.now, stage.app("app1")).unwrap().process_id, 0);
    stage.change("app2", TargetState::Active);
    stage.time_out();
    come_up(&mut stage, "app1");
    let demoted = (ServerState::Inactive, Some(Reason::DecodersTaken));
    assert_eq!(stage.heard("app1"), [UP, ACTIVE, CRASHED, CRASHED, UP, demoted]);
    assert_eq!(stage.manager.status(stage.now, stage.app("app1")).unwrap().wanted, TargetState::Inactive);
}

/// SM-36
#[test]
fn a_server_that_dies_again_and_again_is_given_up_and_leaves_nothing() {
    let mut stage = stage();
    stage.run("app1", TargetState::Active);
    let (app, started) = (stage.app("app1"), stage.now);
    let mut pauses = vec![];
    for _ in 0..RESTART_INTENSITY {
        let crashed_at = stage.now;
        if !spawns(&stage.exits("app1", CRASH)) {
            assert!(spawns(&stage.time_out()));
        }
        pauses.push(stage.now.since(crashed_at));
        come_up(&mut stage, "app1");
    }
    assert_eq!(pauses[..3], [Duration::ZERO, RESTART_PAUSE, 2 * RESTART_PAUSE]);
    assert!(stage.now.since(started) < RESTART_WINDOW);
    let last = stage.exits("app1", CRASH);
    assert_eq!(last[0], Action::RemoveSocket { app }, "before observers hear of the end");
    assert_eq!(heard("app1", &last), [CRASHED]);
    assert!(stage.is_gone("app1"));
    assert_eq!((stage.free_decoders(), stage.manager.next_deadline()), (1, None));
}

/// SM-36
#[test]
fn a_server_that_dies_now_and_then_is_restarted_at_once_each_time() {
    let mut stage = stage();
    stage.run("app1", TargetState::Inactive);
    for _ in 0..3 * RESTART_INTENSITY {
        stage.now = stage.now.after(RESTART_WINDOW);
        assert!(spawns(&stage.exits("app1", CRASH)));
        come_up(&mut stage, "app1");
    }
}

/// SM-36, SM-37
#[test]
fn an_app_that_is_asked_to_end_is_not_restarted_wherever_it_is() {
    let mut stage = stage();
    stage.run("app1", TargetState::Inactive);
    stage.exits("app1", CRASH);
    stage.spawned("app1");
    stage.exits("app1", CRASH);
    let app = stage.app("app1");
    let ended = stage.change("app1", TargetState::NotRunning);
    assert_eq!(stage.reply_in(&ended), Some(Ok(Answer::Done)));
    assert_eq!(ended[0], Action::RemoveSocket { app });
    assert_eq!(heard("app1", &ended), [(ServerState::NotRunning, Some(Reason::Asked))]);
    assert!(stage.is_gone("app1"));
    assert_eq!(stage.manager.next_deadline(), None);
}

/// SM-36, SM-37: it is being killed when it is asked.
#[test]
fn an_app_that_is_asked_to_end_while_its_server_dies_is_not_restarted() {
    let mut stage = stage();
    stage.run("app1", TargetState::Inactive);
    let app = stage.app("app1");
    stage.give(Input::LinkBroken { app });
    assert_eq!(stage.answer(Command::ChangeState { app: "app1", state: TargetState::NotRunning }), Ok(Answer::Done));
    assert!(!spawns(&stage.exits("app1", ExitStatus::Killed(9))));
    assert!(stage.is_gone("app1"));
}

/// SM-37
#[test]
fn an_app_that_is_asked_to_end_while_its_next_server_starts_ends_in_order() {
    let mut stage = stage();
    stage.run("app1", TargetState::Inactive);
    stage.exits("app1", CRASH);
    stage.spawned("app1");
    assert!(asks_for(&stage.change("app1", TargetState::NotRunning), TargetState::NotRunning));
    assert!(!spawns(&stage.exits("app1", ExitStatus::Exited(0))));
    assert_eq!(stage.heard("app1"), [UP, INACTIVE, CRASHED, (ServerState::NotRunning, Some(Reason::Asked))]);
}

/// SM-38
///
/// Field failure 9
#[test]
fn a_manager_that_ends_restarts_nothing() {
    let mut stage = stage();
    stage.run("app1", TargetState::Inactive);
    stage.run("app2", TargetState::Inactive);
    stage.exits("app2", CRASH);
    stage.spawned("app2");
    stage.exits("app2", CRASH);
    stage.give(Input::Terminate);
    assert!(stage.is_gone("app2"));
    assert!(!spawns(&stage.exits("app1", CRASH)));
    assert!(stage.is_gone("app1"));
}

/// SM-10 to SM-12: who asked is told; there was nothing yet to be kept up.
#[test]
fn a_server_that_has_never_been_where_it_was_to_go_is_not_restarted() {
    for steps in 0..3 {
        let mut stage = stage();
        stage.initiate("app1", TargetState::Inactive);
        stage.spawned("app1");
        if steps > 0 {
            stage.says("app1", ServerState::Uninitialized, None);
        }
        if steps > 1 {
            stage.replies("app1", Ok(()));
        }
        assert!(!spawns(&stage.exits("app1", CRASH)));
        assert!(stage.is_gone("app1"));
    }
}

/// SM-36
#[test]
fn a_restart_that_the_platform_refuses_is_told_tried_again_and_given_up_in_the_end() {
    for (kind, reason) in [
        (ErrorKind::NotFound, Reason::ProgramMissing),
        (ErrorKind::Denied, Reason::ProgramDenied),
        (ErrorKind::Exhausted, Reason::SpawnFailed),
    ] {
        let mut stage = stage();
        stage.run("app1", TargetState::Active);
        let app = stage.app("app1");
        stage.exits("app1", CRASH);
        let mut refused = 1;
        stage.give(Input::Spawned { app, result: Err(kind) });
        while !stage.is_gone("app1") {
            assert_eq!(stage.free_decoders(), 1);
            stage.time_out();
            stage.give(Input::Spawned { app, result: Err(kind) });
            refused += 1;
        }
        assert_eq!(refused, RESTART_INTENSITY);
        assert_eq!(stage.heard("app1").last(), Some(&(ServerState::Error, Some(reason))));
    }
}

/// SM-36, SM-39
#[test]
fn the_next_server_gets_the_log_levels_of_now_and_no_request_of_the_old_one() {
    let mut stage = stage();
    stage.run("app1", TargetState::Inactive);
    let levels = |level| Command::SetLogLevel { component: crate::message::Component::Ipc, level };
    stage.ask(levels(crate::message::LogLevel::Debug));
    stage.exits("app1", CRASH);
    stage.spawned("app1");
    stage.says("app1", ServerState::Uninitialized, None);
    let configured = stage.manager.configuration(stage.app("app1")).unwrap();
    assert_eq!(configured.log_levels.ipc, Some(crate::message::LogLevel::Debug));
    stage.replies("app1", Ok(()));
    stage.says("app1", ServerState::Inactive, None);
    assert_eq!(stage.manager.next_deadline(), None);
}
