//! Session servers that hang, and those that only look as if they did (SM-36).

use super::*;
use crate::message::{Component, LogLevel};

const CHECK: HealthCheck = HealthCheck { interval_ms: 100, failures_max: 3 };

impl Stage {
    fn with_checks() -> Self {
        Self::with(Settings { health: CHECK, ..Settings::default() })
    }
}

fn pings(actions: &[Action]) -> usize {
    actions.iter().filter(|action| matches!(action, Action::Ping { .. })).count()
}

fn is_asked_to_end(actions: &[Action]) -> bool {
    asks_for(actions, TargetState::NotRunning)
}

/// Field failure 12
#[test]
fn a_server_that_hangs_is_asked_to_end_then_terminated_then_killed_and_restarted() {
    let mut stage = Stage::with_checks();
    stage.run("app1", TargetState::Active);
    assert_eq!(pings(&stage.time_out()), 1);
    for _ in 0..2 {
        assert_eq!(stage.time_out(), []);
    }
    assert!(is_asked_to_end(&stage.time_out()));
    assert_eq!(signals(&stage.time_out()), [Signal::Terminate]);
    assert_eq!(signals(&stage.time_out()), [Signal::Kill]);
    let actions = stage.exits("app1", ExitStatus::Killed(9));
    assert_eq!(heard("app1", &actions), [(ServerState::Error, Some(Reason::Unhealthy))]);
    assert!(actions.iter().any(|action| matches!(action, Action::Spawn { .. })));
}

/// Field failure 10: one ping is outstanding at a time, and its answer is never an answer to another one.
#[test]
fn an_answer_that_comes_after_the_next_look_is_an_answer() {
    let mut stage = Stage::with_checks();
    stage.run("app1", TargetState::Active);
    for _ in 0..20 {
        assert_eq!(pings(&stage.time_out()), 1);
        stage.time_out();
        stage.time_out();
        assert_eq!(stage.replies("app1", Ok(())), []);
    }
}

/// Field failure 11: only the answer to the ping shows that the workers get on.
#[test]
fn other_messages_of_a_server_are_no_proof_that_it_gets_on() {
    let mut stage = Stage::with_checks();
    stage.run("app1", TargetState::Active);
    stage.time_out();
    let app = stage.app("app1");
    for _ in 0..2 {
        stage.time_out();
        stage.give(Input::Link { app, message: link::Message::Clients { connected: 1, state: Default::default() } });
    }
    assert!(is_asked_to_end(&stage.time_out()));
}

/// SM-36
#[test]
fn an_answer_with_another_number_is_no_proof_that_a_server_gets_on() {
    let mut stage = Stage::with_checks();
    stage.run("app1", TargetState::Active);
    stage.time_out();
    let app = stage.app("app1");
    let sequence = stage.asked_last(app).unwrap() - 1;
    let reply = link::Message::Reply { sequence, result: Ok(()) };
    assert_eq!(signals(&stage.give(Input::Link { app, message: reply })), [Signal::Kill]);
}

#[test]
fn a_request_goes_to_a_healthy_server_as_soon_as_it_has_answered() {
    let mut stage = Stage::with_checks();
    stage.run("app1", TargetState::Active);
    stage.time_out();
    assert!(!asks_for(&stage.change("app1", TargetState::Inactive), TargetState::Inactive));
    assert!(asks_for(&stage.replies("app1", Ok(())), TargetState::Inactive));
}

/// SM-15: who waits for a hung server waits no longer than for any that does not answer.
#[test]
fn a_request_to_a_server_that_owes_an_answer_has_its_own_time_limit() {
    let mut stage = Stage::with_checks();
    stage.run("app1", TargetState::Inactive);
    stage.time_out();
    let asked = stage.now;
    stage.change("app1", TargetState::Active);
    let actions = stage.time_out();
    assert_eq!(stage.reply_in(&actions), Some(Err(Refusal::ServerTimeout)));
    assert_eq!(stage.now, asked.after(LINK_TIMEOUT));
}

#[test]
fn a_server_that_answers_its_log_levels_slowly_is_not_looked_at_meanwhile() {
    let mut stage = Stage::with_checks();
    stage.run("app1", TargetState::Active);
    stage.ask(Command::SetLogLevel { component: Component::Ipc, level: LogLevel::Info });
    for _ in 0..10 {
        assert_eq!(pings(&stage.time_out()), 0);
    }
    stage.replies("app1", Ok(()));
    assert_eq!(pings(&stage.time_out()), 1);
}

#[test]
fn a_server_that_is_on_its_way_is_not_looked_at() {
    let mut stage = Stage::with_checks();
    stage.initiate("app1", TargetState::Active);
    stage.spawned("app1");
    stage.says("app1", ServerState::Uninitialized, None);
    stage.replies("app1", Ok(()));
    stage.time_out();
    assert_eq!(heard("app1", &stage.actions), [(ServerState::Uninitialized, None)]);
    assert_eq!((pings(&stage.actions), signals(&stage.actions)), (0, vec![Signal::Kill]));
}

/// SM-38, Field failure 9
#[test]
fn a_hung_server_is_not_restarted_when_the_manager_ends_meanwhile() {
    let mut stage = Stage::with_checks();
    stage.run("app1", TargetState::Active);
    for _ in 0..4 {
        stage.time_out();
    }
    stage.give(Input::Terminate);
    let actions = stage.exits("app1", ExitStatus::Killed(9));
    assert_eq!(heard("app1", &actions), [(ServerState::Error, Some(Reason::Unhealthy))]);
    assert!(actions.contains(&Action::Exit));
}

#[test]
fn an_interval_of_zero_asks_nobody() {
    let mut stage = Stage::with(calm());
    stage.run("app1", TargetState::Active);
    assert_eq!(stage.manager.next_deadline(), None);
}

/// A spare that hangs would fail the next start.
#[test]
fn a_spare_that_hangs_is_ended_and_not_taken_meanwhile() {
    let mut stage = Stage::with(Settings { spares: 1, health: CHECK, ..Settings::default() });
    let actions = stage.give(Input::Tick);
    let [Action::Spare { spare, deed: SpareDeed::Spawn }] = actions[..] else { panic!("{actions:?}") };
    stage.give(Input::Spare { spare, event: SpareEvent::Spawned(Ok(8)) });
    let up = link::Message::StateChanged { state: ServerState::Uninitialized, reason: None };
    stage.give(Input::Spare { spare, event: SpareEvent::Link(up) });
    assert_eq!(stage.time_out(), [Action::Spare { spare, deed: SpareDeed::Ping { sequence: 1 } }]);
    let started = stage.initiate("app1", TargetState::Inactive);
    assert!(started.iter().any(|action| matches!(action, Action::Spawn { .. })));
    for _ in 0..2 {
        assert_eq!(stage.time_out(), []);
    }
    assert_eq!(stage.time_out(), [Action::Spare { spare, deed: SpareDeed::Stop { sequence: 2 } }]);
}

#[test]
fn a_spare_that_answers_stays() {
    let mut stage = Stage::with(Settings { spares: 1, health: CHECK, ..Settings::default() });
    let actions = stage.give(Input::Tick);
    let [Action::Spare { spare, .. }] = actions[..] else { panic!("{actions:?}") };
    stage.give(Input::Spare { spare, event: SpareEvent::Spawned(Ok(8)) });
    let up = link::Message::StateChanged { state: ServerState::Uninitialized, reason: None };
    stage.give(Input::Spare { spare, event: SpareEvent::Link(up) });
    for sequence in 1..20 {
        assert_eq!(stage.time_out(), [Action::Spare { spare, deed: SpareDeed::Ping { sequence } }]);
        let answer = link::Message::Reply { sequence, result: Ok(()) };
        stage.give(Input::Spare { spare, event: SpareEvent::Link(answer) });
    }
    assert_eq!(stage.manager.box_status().spares, 1);
}
