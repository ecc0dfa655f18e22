//! What a controller may ask, and what it is answered.

use super::*;
use crate::limits::HOLDERS_MAX;
use crate::message::control::{Holding, TableName};
use crate::message::{AppState, Component, LogLevel};

fn initiate(name: &str, socket: &str) -> Command<'static> {
    let leak = |text: &str| &*String::from(text).leak();
    Command::Initiate { app: leak(name), state: TargetState::Inactive, socket: leak(socket) }
}

fn socket_of(stage: &Stage, name: &str) -> String {
    stage.manager.status(stage.now, stage.app(name)).unwrap().socket.as_str().into()
}

/// SM-01
#[test]
fn a_socket_is_named_by_the_manager_or_by_the_request() {
    let mut stage = Stage::new();
    for (app, socket, path) in [
        ("app1", "", "/run/greenroom/app1.sock"),
        ("app2", "two", "/run/greenroom/two"),
        ("app3", "/tmp/three", "/tmp/three"),
    ] {
        stage.ask(initiate(app, socket));
        assert_eq!(socket_of(&stage, app), path);
    }
}

/// SM-01
#[test]
fn a_name_of_the_managers_choice_is_one_that_nobody_has() {
    let mut stage = Stage::new();
    stage.ask(initiate("app1", "app2.sock"));
    stage.ask(initiate("app2", ""));
    assert_eq!(socket_of(&stage, "app2"), "/run/greenroom/app2.1.sock");
}

/// SM-01
#[test]
fn an_initiation_that_cannot_be_is_refused_and_leaves_nothing() {
    let mut stage = Stage::new();
    stage.ask(initiate("app1", "/tmp/one"));
    let owner = AppId::new("app1").unwrap();
    for (command, refusal) in [
        (initiate("../app", ""), Refusal::AppName),
        (initiate("", ""), Refusal::AppName),
        (initiate("app2", "../two"), Refusal::SocketPath),
        (initiate("app2", "/tmp/one"), Refusal::SocketInUse { app: owner }),
        (initiate("app1", ""), Refusal::AlreadyRunning { state: None }),
        (
            Command::Initiate { app: "app2", state: TargetState::NotRunning, socket: "" },
            Refusal::WrongState { state: None },
        ),
    ] {
        assert_eq!(stage.answer(command), Err(refusal));
    }
    assert_eq!(stage.manager.apps().count(), 1);
    assert_eq!(stage.manager.box_status().refusals, 6);
}

/// SM-04
#[test]
fn an_initiation_is_answered_when_the_process_has_started() {
    let mut stage = Stage::new();
    let started = stage.initiate("app1", TargetState::Inactive);
    assert_eq!(stage.reply_in(&started), None);
    let spawned = stage.spawned("app1");
    assert_eq!(stage.reply_in(&spawned), Some(Ok(Answer::Done)));
    assert_eq!(stage.manager.next_deadline(), Some(stage.now.after(READY_TIMEOUT)));
}

/// SM-04
#[test]
fn a_process_that_cannot_be_started_is_a_refusal_that_says_why() {
    for (kind, refusal) in [
        (ErrorKind::NotFound, Refusal::ProgramMissing),
        (ErrorKind::Denied, Refusal::ProgramDenied),
        (ErrorKind::Exhausted, Refusal::Spawn),
    ] {
        let mut stage = Stage::new();
        stage.initiate("app1", TargetState::Active);
        let app = stage.app("app1");
        let actions = stage.give(Input::Spawned { app, result: Err(kind) });
        assert_eq!(stage.reply_in(&actions), Some(Err(refusal)));
        assert!(stage.is_gone("app1") && stage.heard("app1").is_empty());
        assert_eq!((stage.free_decoders(), stage.manager.next_deadline()), (1, None));
    }
}

#[test]
fn a_full_table_of_apps_is_a_refusal_with_its_numbers() {
    let mut stage = Stage::new();
    for name in names(4) {
        stage.initiate(&name, TargetState::Inactive);
    }
    let refusal = Refusal::Full { table: TableName::Apps, capacity: 4, in_use: 4 };
    assert_eq!(stage.answer(initiate("app5", "")), Err(refusal));
}

/// SM-14
#[test]
fn an_app_that_is_unknown_or_not_up_cannot_change_its_state() {
    let mut stage = Stage::new();
    let change = |app| Command::ChangeState { app, state: TargetState::Active };
    assert_eq!(stage.answer(change("app1")), Err(Refusal::UnknownApp));
    assert_eq!(stage.answer(change("a/b")), Err(Refusal::AppName));
    stage.initiate("app1", TargetState::Inactive);
    stage.spawned("app1");
    assert_eq!(stage.answer(change("app1")), Err(Refusal::NotRunning));
}

/// SM-14
#[test]
fn a_request_about_an_unknown_app_reaches_no_other() {
    let mut stage = Stage::new();
    stage.run("app1", TargetState::Inactive);
    let refused = stage.change("app2", TargetState::Active);
    assert_eq!(stage.reply_in(&refused), Some(Err(Refusal::UnknownApp)));
    assert_eq!(refused.len(), 1, "nothing is sent");
}

/// SM-09
#[test]
fn connection_info_is_there_from_the_first_notification_until_the_end() {
    let mut stage = Stage::new();
    let ask = Command::ConnectionInfo { app: "app1" };
    assert_eq!(stage.answer(ask), Err(Refusal::UnknownApp));
    stage.initiate("app1", TargetState::Inactive);
    stage.spawned("app1");
    assert_eq!(stage.answer(ask), Err(Refusal::NotRunning));
    stage.says("app1", ServerState::Uninitialized, None);
    let socket = SocketPath::try_from("/run/greenroom/app1.sock").unwrap();
    assert_eq!(stage.answer(ask), Ok(Answer::ConnectionInfo { socket }));
    stage.exits("app1", ExitStatus::Exited(1));
    assert_eq!(stage.answer(ask), Err(Refusal::UnknownApp));
}

/// SM-37
#[test]
fn a_second_request_is_refused_while_one_is_in_progress_and_the_same_state_is_there_already() {
    let mut stage = Stage::new();
    stage.run("app1", TargetState::Inactive);
    let heard = stage.heard("app1").len();
    let to = |state| Command::ChangeState { app: "app1", state };
    assert_eq!(stage.answer(to(TargetState::Inactive)), Ok(Answer::Done));
    assert_eq!(stage.heard("app1").len(), heard);
    stage.ask(to(TargetState::Active));
    assert_eq!(stage.answer(to(TargetState::Inactive)), Err(Refusal::Busy));
    assert_eq!(stage.answer(to(TargetState::Active)), Err(Refusal::Busy));
}

/// SM-30, SM-37
///
/// Field failure 49
#[test]
fn a_request_to_end_takes_the_place_of_the_one_in_progress_and_both_are_answered() {
    let mut stage = Stage::new();
    stage.run("app1", TargetState::Inactive);
    stage.change("app1", TargetState::Active);
    let first = stage.sequence;
    let actions = stage.change("app1", TargetState::NotRunning);
    assert_eq!(stage.reply_to(first, &actions), Some(Err(Refusal::Superseded)));
    assert_eq!(stage.reply_in(&actions), None);
    let actions = stage.replies("app1", Ok(()));
    assert!(asks_for(&actions, TargetState::NotRunning));
    let actions = stage.replies("app1", Ok(()));
    assert_eq!(stage.reply_in(&actions), Some(Ok(Answer::Done)));
}

/// SM-37
#[test]
fn an_app_that_is_still_ending_cannot_be_initiated_until_it_is_reaped() {
    let mut stage = Stage::new();
    stage.run("app1", TargetState::Inactive);
    stage.change("app1", TargetState::NotRunning);
    stage.replies("app1", Ok(()));
    stage.says("app1", ServerState::NotRunning, None);
    assert_eq!(stage.answer(initiate("app1", "")), Err(Refusal::Busy));
    stage.exits("app1", ExitStatus::Exited(0));
    let started = stage.ask(initiate("app1", ""));
    assert!(matches!(started[..], [Action::Spawn { .. }]));
}

/// SM-40
#[test]
fn active_is_refused_with_the_holders_when_the_decoders_are_taken() {
    let mut stage = Stage::new();
    stage.run("app1", TargetState::Active);
    stage.run("app2", TargetState::Inactive);
    let holders = [Holding { app: AppId::new("app1").unwrap(), decoders: 1 }].into_iter().collect();
    let refusal = Refusal::Decoders { wanted: 1, free: 0, total: 1, holders };
    let change = stage.change("app2", TargetState::Active);
    assert_eq!(stage.reply_in(&change), Some(Err(refusal.clone())));
    let initiate = stage.initiate("app3", TargetState::Active);
    assert_eq!(stage.reply_in(&initiate), Some(Err(refusal)));
    assert!(stage.is_gone("app3"));
}

/// SM-40
#[test]
fn a_refusal_names_a_few_holders_only() {
    let mut stage = Stage::with(Settings { decoders: 4, ..calm() });
    for name in names(4) {
        stage.initiate(&name, TargetState::Active);
    }
    let refusal = stage.manager.reserve(1).unwrap_err();
    assert!(matches!(refusal, Refusal::Decoders { holders, .. } if holders.len() == HOLDERS_MAX.min(4)));
}

/// SM-27, SM-40
#[test]
fn decoders_are_free_only_when_inactive_was_notified() {
    let mut stage = Stage::new();
    stage.run("app1", TargetState::Active);
    stage.change("app1", TargetState::Inactive);
    assert_eq!(stage.free_decoders(), 0);
    stage.replies("app1", Ok(()));
    assert_eq!(stage.free_decoders(), 0);
    stage.says("app1", ServerState::Inactive, None);
    assert_eq!(stage.free_decoders(), 1);
}

/// SM-39
#[test]
fn a_log_level_reaches_the_servers_that_run_and_those_that_come_later() {
    let mut stage = Stage::new();
    stage.run("app1", TargetState::Inactive);
    let actions = stage.ask(Command::SetLogLevel { component: Component::Ipc, level: LogLevel::Debug });
    assert_eq!(stage.reply_in(&actions), Some(Ok(Answer::Done)));
    let has_debug = |levels: &LogLevels| levels.of(Component::Ipc) == LogLevel::Debug;
    assert!(actions.iter().any(|action| matches!(action, Action::SetLogLevels { levels, .. } if has_debug(levels))));
    assert!(actions.iter().any(|action| matches!(action, Action::ApplyLogLevels(levels) if has_debug(levels))));
    stage.initiate("app2", TargetState::Inactive);
    let later = stage.manager.configuration(stage.app("app2")).unwrap();
    assert!(has_debug(&later.log_levels));
}

/// SM-39: one request at a time on a link.
#[test]
fn a_log_level_that_changes_while_a_server_is_busy_goes_after_its_answer() {
    let mut stage = Stage::new();
    stage.run("app1", TargetState::Inactive);
    stage.change("app1", TargetState::Active);
    let change = Command::SetLogLevel { component: Component::Default, level: LogLevel::Debug };
    assert!(!stage.ask(change).iter().any(|action| matches!(action, Action::SetLogLevels { .. })));
    let actions = stage.replies("app1", Ok(()));
    assert!(actions.iter().any(|action| matches!(action, Action::SetLogLevels { .. })));
}

#[test]
fn a_list_walks_through_all_apps_and_ends_with_the_box() {
    let mut stage = Stage::new();
    for name in names(3) {
        stage.run(&name, TargetState::Inactive);
    }
    stage.exits("app2", ExitStatus::Exited(0));
    let (mut from, mut seen) = (0, Vec::new());
    while let Ok(Answer::App { next, status }) = stage.answer(Command::List { from }) {
        seen.push(String::from(status.app.as_str()));
        from = next;
    }
    assert_eq!(seen, ["app1", "app3"]);
    assert!(matches!(stage.answer(Command::List { from }), Ok(Answer::Box(status)) if status.apps_max == 4));
    assert!(matches!(stage.answer(Command::List { from: u16::MAX }), Ok(Answer::Box(_))));
}

fn denied(stage: &mut Stage, command: Command<'_>) -> Vec<Action> {
    let from = Ticket { controller: Handle::from_parts(3, 1), sequence: 7 };
    stage.give(Input::Denied { from, command, user_id: 1001 })
}

#[test]
fn what_a_controller_may_not_is_refused_once_and_changes_nothing() {
    let mut stage = Stage::new();
    stage.ask(initiate("app1", ""));
    let to = Ticket { controller: Handle::from_parts(3, 1), sequence: 7 };
    let app = AppId::new("app1").unwrap();
    for (command, refusal) in [
        (
            Command::ChangeState { app: "app1", state: TargetState::NotRunning },
            Refusal::AppDenied { user_id: 1001, app: app.clone() },
        ),
        (Command::ConnectionInfo { app: "app1" }, Refusal::AppDenied { user_id: 1001, app }),
        (Command::Stop, Refusal::BoxDenied { user_id: 1001 }),
        (
            Command::SetLogLevel { component: Component::Ipc, level: LogLevel::Debug },
            Refusal::BoxDenied { user_id: 1001 },
        ),
    ] {
        assert_eq!(denied(&mut stage, command), [Action::Reply { to, result: Err(refusal) }]);
    }
    assert!(!stage.manager.is_ending());
}

#[test]
fn refusals_are_counted_for_their_app_and_the_box_and_the_last_is_kept() {
    let mut stage = Stage::new();
    stage.ask(initiate("app1", ""));
    stage.ask(initiate("app1", ""));
    denied(&mut stage, Command::ChangeState { app: "app1", state: TargetState::Active });
    stage.ask(Command::ConnectionInfo { app: "nobody" });
    assert_eq!(stage.manager.status(stage.now, stage.app("app1")).unwrap().refusals, 2);
    let status = stage.manager.box_status();
    assert_eq!(status.refusals, 3);
    let last = LastRefusal { app: AppId::new("nobody").ok(), refusal: Refusal::UnknownApp };
    assert_eq!(status.last_refusal, Some(last));
}

#[test]
fn a_list_says_how_long_a_server_is_up_and_how_many_clients_it_has() {
    let mut stage = Stage::new();
    stage.initiate("app1", TargetState::Inactive);
    stage.spawned("app1");
    stage.says("app1", ServerState::Uninitialized, None);
    let app = stage.app("app1");
    stage.now = stage.now.after(Duration::from_secs(90));
    stage.give(Input::Link { app, message: link::Message::Clients { connected: 2, state: AppState::Inactive } });
    let status = stage.manager.status(stage.now, app).unwrap();
    assert_eq!((status.clients, status.uptime_s), (2, 90));
}
