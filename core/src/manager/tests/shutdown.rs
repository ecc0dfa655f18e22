//! How the manager ends (SM-38).

use super::*;

fn ends(actions: &[Action]) -> bool {
    actions.contains(&Action::Exit)
}

/// SM-38
#[test]
fn without_apps_the_manager_ends_at_once() {
    let mut stage = Stage::new();
    assert!(ends(&stage.give(Input::Terminate)));
    assert!(!ends(&stage.give(Input::Tick)));
    assert_eq!(stage.manager.next_deadline(), None);
}

/// SM-38
#[test]
fn an_active_app_is_taken_to_inactive_then_to_its_end_and_then_the_manager_ends() {
    let mut stage = Stage::new();
    stage.run("app1", TargetState::Active);
    stage.run("app2", TargetState::Inactive);
    let app2 = stage.app("app2");
    let actions = stage.give(Input::Terminate);
    let wanted = Action::SetState { app: app2, sequence: 2, state: TargetState::NotRunning };
    assert!(asks_for(&actions, TargetState::Inactive) && actions.contains(&wanted));
    stage.replies("app1", Ok(()));
    let inactive = stage.says("app1", ServerState::Inactive, None);
    assert!(asks_for(&inactive, TargetState::NotRunning));
    stage.replies("app1", Ok(()));
    assert!(!ends(&stage.exits("app1", ExitStatus::Exited(0))));
    stage.replies("app2", Ok(()));
    assert!(ends(&stage.exits("app2", ExitStatus::Exited(0))));
    assert_eq!(stage.heard("app1").last(), Some(&(ServerState::NotRunning, Some(Reason::Asked))));
}

/// SM-38
#[test]
fn whatever_the_servers_do_the_manager_ends_within_a_bounded_time() {
    let mut stage = Stage::new();
    stage.run("app1", TargetState::Active);
    stage.initiate("app2", TargetState::Inactive);
    stage.spawned("app2");
    stage.give(Input::Terminate);
    let (started, mut steps) = (stage.now, 0);
    while !ends(&stage.time_out()) {
        steps += 1;
        assert!(steps < 20, "it ends");
    }
    assert!(stage.now.since(started) <= Duration::from_secs(9));
}

/// SM-30, SM-38
#[test]
fn who_waits_when_the_manager_ends_is_answered_and_new_apps_are_refused() {
    let mut stage = Stage::new();
    stage.run("app1", TargetState::Inactive);
    stage.run("app2", TargetState::Inactive);
    stage.change("app1", TargetState::Active);
    let waiting = stage.sequence;
    let actions = stage.ask(Command::Stop);
    assert_eq!(stage.reply_in(&actions), Some(Ok(Answer::Done)));
    assert_eq!(stage.reply_to(waiting, &actions), Some(Err(Refusal::ShuttingDown)));
    let initiate = Command::Initiate { app: "app3", state: TargetState::Inactive, socket: "" };
    assert_eq!(stage.answer(initiate), Err(Refusal::ShuttingDown));
    let change = Command::ChangeState { app: "app2", state: TargetState::Active };
    assert_eq!(stage.answer(change), Err(Refusal::ShuttingDown));
    let end = Command::ChangeState { app: "app2", state: TargetState::NotRunning };
    assert_eq!(stage.answer(end), Ok(Answer::Done));
}

/// SM-38: a second signal changes nothing.
#[test]
fn the_time_to_end_is_set_once() {
    let mut stage = Stage::new();
    stage.run("app1", TargetState::Active);
    stage.give(Input::Terminate);
    let by = stage.manager.exit_by;
    stage.now = stage.now.after(Duration::from_secs(1));
    stage.give(Input::Terminate);
    assert_eq!(stage.manager.exit_by, by);
}
