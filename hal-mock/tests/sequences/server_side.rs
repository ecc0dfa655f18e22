//! Session servers: from Not Running to Active and back.

use greenroom_core::hal::ErrorKind;
use greenroom_core::health::HealthCheck;
use greenroom_core::manager::Settings;
use greenroom_core::message::audio::{self, PcmFormat, SampleFormat};
use greenroom_core::message::control::{Command, Refusal};
use greenroom_core::message::{ServerState, TargetState, keys, link, playback};
use greenroom_hal_mock::Call;

use crate::stage::{Fate, Stage};
use crate::{assert_kept, on_stage, scenario};

/// SM-01 to SM-09
#[test]
fn not_running_to_inactive() {
    scenario("not-running-to-inactive", "Not Running to Inactive", |stage| {
        stage.initiate("app1", TargetState::Inactive).unwrap();
        assert_eq!(stage.told("app1"), [ServerState::Uninitialized, ServerState::Inactive]);
        assert_eq!(stage.connection_info("app1").as_str(), "/run/greenroom/app1.sock");
        stage.alt("session server started successfully", "set current_state = Uninitialized");
        stage.alt("state transition successful", "set current_state = Inactive");
    });
}

/// SM-01: a path that was chosen is used as it is.
#[test]
fn not_running_to_inactive_at_a_named_socket() {
    scenario("not-running-to-inactive-socket-named", "Not Running to Inactive: the socket is named", |stage| {
        let named = Command::Initiate { app: "app1", state: TargetState::Inactive, socket: "/run/greenroom/mine" };
        stage.ask(named).unwrap();
        assert_eq!(stage.connection_info("app1").as_str(), "/run/greenroom/mine");
        stage.alt("session server started successfully", "set current_state = Uninitialized");
        stage.alt("state transition successful", "set current_state = Inactive");
    });
}

/// SM-04: the error says why.
#[test]
fn not_running_to_inactive_when_nothing_can_be_spawned() {
    scenario("not-running-to-inactive-spawn-failed", "Not Running to Inactive: spawning failed", |stage| {
        stage.world.fail_next(Call::Spawn, ErrorKind::NotFound);
        assert_eq!(stage.initiate("app1", TargetState::Inactive), Err(Refusal::ProgramMissing));
        stage.nothing_is_left();
    });
}

/// SM-10
#[test]
fn not_running_to_inactive_when_the_transition_fails() {
    let title = "Not Running to Inactive: state transition failed";
    scenario("not-running-to-inactive-state-transition-failed", title, |stage| {
        stage.world.fail_next(Call::Listen, ErrorKind::Denied);
        stage.initiate("app1", TargetState::Inactive).unwrap();
        assert_eq!(stage.told("app1"), [ServerState::Uninitialized, ServerState::Error]);
        stage.nothing_is_left();
        stage.alt("session server started successfully", "set current_state = Uninitialized");
        stage.alt("state transition failed", "binding failed");
    });
}

/// SM-11
#[test]
fn not_running_to_inactive_when_the_initialization_fails() {
    let title = "Not Running to Inactive: session server initialization failed";
    scenario("not-running-to-inactive-initialization-failed", title, |stage| {
        stage.next_server(Fate::FailsToInitialize);
        stage.initiate("app1", TargetState::Inactive).unwrap();
        assert_eq!(stage.told("app1"), [ServerState::Error]);
        stage.nothing_is_left();
        stage.alt("session server initialization failed", "initialization failed");
    });
}

/// SM-12
#[test]
fn not_running_to_inactive_when_the_ready_timer_expires() {
    let title = "Not Running to Inactive: READY timer expired";
    scenario("not-running-to-inactive-ready-timer-expired", title, |stage| {
        stage.next_server(Fate::IsSilent);
        stage.initiate("app1", TargetState::Inactive).unwrap();
        assert_eq!(stage.told("app1"), []);
        stage.time_out();
        assert_eq!(stage.told("app1"), [ServerState::Error]);
        stage.nothing_is_left();
        stage.alt("READY timer expired", "READY timer has expired");
    });
}

/// SM-13
#[test]
fn not_running_to_active() {
    scenario("not-running-to-active", "Not Running to Active", |stage| {
        stage.initiate("app1", TargetState::Active).unwrap();
        assert_eq!(stage.told("app1"), [ServerState::Uninitialized, ServerState::Active]);
        stage.connection_info("app1");
        stage.alt("session server started successfully", "set current_state = Uninitialized");
        stage.alt("state transition successful", "set current_state = Active");
    });
}

/// SM-13, SM-17
#[test]
fn not_running_to_active_without_memory() {
    let title = "Not Running to Active: state transition failed";
    scenario("not-running-to-active-state-transition-failed", title, |stage| {
        stage.world.fail_next(Call::CreateMemory, ErrorKind::Exhausted);
        stage.initiate("app1", TargetState::Active).unwrap();
        assert_eq!(stage.told("app1").last(), Some(&ServerState::Error));
        stage.alt("session server started successfully", "set current_state = Uninitialized");
        stage.alt("state transition failed", "allocating failed");
    });
}

/// SM-40: before anything is started.
#[test]
fn not_running_to_active_without_a_decoder() {
    let title = "Not Running to Active: no decoder is free";
    scenario("not-running-to-active-refused", title, |stage| {
        stage.already("app1", TargetState::Active);
        let refused = stage.initiate("app2", TargetState::Active);
        assert!(matches!(refused, Err(Refusal::Decoders { free: 0, .. })), "{refused:?}");
    });
}

/// SM-14 to SM-16
#[test]
fn inactive_to_active() {
    scenario("inactive-to-active", "Inactive to Active", |stage| {
        stage.already("app1", TargetState::Inactive);
        stage.change("app1", TargetState::Active).unwrap();
        assert_eq!(stage.told("app1"), [ServerState::Active]);
        stage.opt("state transition successful", "set current_state = Active");
    });
}

/// SM-17: it stays, holds nothing, and accepts only the end.
#[test]
fn inactive_to_active_when_the_transition_fails() {
    let title = "Inactive to Active: state transition failed";
    scenario("inactive-to-active-state-transition-failed", title, |stage| {
        stage.already("app1", TargetState::Inactive);
        stage.world.fail_next(Call::CreateMemory, ErrorKind::Exhausted);
        stage.change("app1", TargetState::Active).unwrap();
        assert_eq!(stage.told("app1"), [ServerState::Error]);
        assert_eq!((stage.processes(), stage.held()), (1, (0, 0, 0)));
        let refused = stage.change("app1", TargetState::Active);
        assert!(matches!(refused, Err(Refusal::WrongState { .. })), "{refused:?}");
        stage.opt("state transition failed", "allocating failed");
    });
}

/// SM-14: nothing is sent.
#[test]
fn inactive_to_active_of_an_unknown_app() {
    scenario("inactive-to-active-unknown-app", "Inactive to Active: there is no such app", |stage| {
        assert_eq!(stage.change("app1", TargetState::Active), Err(Refusal::UnknownApp));
    });
}

/// SM-15: the server's error reaches who asked.
#[test]
fn inactive_to_active_when_the_server_refuses() {
    let title = "Inactive to Active: the session server refuses";
    scenario("inactive-to-active-server-refuses", title, |stage| {
        stage.already("app1", TargetState::Inactive);
        stage.freeze_servers();
        stage.request(Command::ChangeState { app: "app1", state: TargetState::Active });
        stage.refuse_request(link::Refusal::Busy);
        assert_eq!(stage.answer(), Some(Err(Refusal::ServerRefused)));
        assert_eq!(stage.told("app1"), []);
    });
}

/// SM-15, SM-21, SM-30: a server that hangs costs an answer, but not for ever.
#[test]
fn inactive_to_active_without_an_answer() {
    let title = "Inactive to Active: the session server does not answer";
    scenario("inactive-to-active-no-answer", title, |stage| {
        stage.already("app1", TargetState::Inactive);
        stage.freeze_servers();
        stage.request(Command::ChangeState { app: "app1", state: TargetState::Active });
        assert_eq!(stage.answer(), None);
        stage.time_out();
        assert_eq!(stage.answer(), Some(Err(Refusal::ServerTimeout)));
        stage.time_out_until_nothing_is_left();
        assert_eq!(stage.told("app1"), [ServerState::Error]);
    });
}

/// Plays with everything that an app can have, so that there is something to free.
fn play_with_all(stage: &mut Stage, app: &'static str) {
    let socket = stage.connection_info(app);
    stage.start_app(app, "Inactive", &socket);
    stage.set_running(app).unwrap();
    stage.call(app, playback::Command::CreateSession).unwrap();
    let format = PcmFormat { rate_hz: 48_000, channels: 2, sample: SampleFormat::S16Le };
    stage.call(app, playback::Command::Audio(audio::Command::Create { format })).unwrap();
    stage.call(app, playback::Command::Keys(keys::Command::Create { key_system: "test" })).unwrap();
}

/// SM-18: keys, players, memory, in this order.
#[test]
fn active_to_inactive() {
    scenario("active-to-inactive", "Active to Inactive", |stage| {
        stage.already("app1", TargetState::Active);
        stage.before(|stage| play_with_all(stage, "app1"));
        assert_ne!(stage.held(), (0, 0, 0));
        stage.change("app1", TargetState::Inactive).unwrap();
        assert_eq!(stage.told("app1"), [ServerState::Inactive]);
        assert_eq!(stage.held(), (0, 0, 0));
    });
}

/// SM-18, SM-21: what a decoder holds is free only when its process has ended.
#[test]
fn active_to_inactive_when_a_decoder_is_stuck() {
    let title = "Active to Inactive: a decoder does not let go";
    scenario("active-to-inactive-decoder-stuck", title, |stage| {
        stage.already("app1", TargetState::Active);
        stage.before(|stage| play_with_all(stage, "app1"));
        stage.decoders_hang();
        stage.change("app1", TargetState::Inactive).unwrap();
        assert_eq!(stage.told("app1"), []);
        stage.server_time_out();
        assert_eq!(stage.told("app1"), [ServerState::Error]);
        stage.nothing_is_left();
    });
}

/// SM-19
#[test]
fn inactive_to_not_running() {
    scenario("inactive-to-not-running", "Inactive to Not Running", |stage| {
        stage.already("app1", TargetState::Inactive);
        stage.before(|stage| {
            let socket = stage.connection_info("app1");
            stage.start_app("app1", "Inactive", &socket);
        });
        stage.change("app1", TargetState::NotRunning).unwrap();
        assert_eq!(stage.told("app1"), [ServerState::NotRunning]);
        stage.nothing_is_left();
    });
}

/// SM-21
#[test]
fn inactive_to_not_running_when_it_does_not_exit() {
    let title = "Inactive to Not Running: the session server does not exit";
    scenario("inactive-to-not-running-no-exit", title, |stage| {
        stage.next_server(Fate::StaysForEver);
        stage.already("app1", TargetState::Inactive);
        stage.change("app1", TargetState::NotRunning).unwrap();
        stage.time_out_until_nothing_is_left();
        assert_eq!(stage.told("app1"), [ServerState::NotRunning]);
    });
}

/// SM-20
#[test]
fn active_to_not_running() {
    scenario("active-to-not-running", "Active to Not Running", |stage| {
        stage.already("app1", TargetState::Active);
        stage.before(|stage| play_with_all(stage, "app1"));
        stage.change("app1", TargetState::NotRunning).unwrap();
        assert_eq!(stage.told("app1"), [ServerState::NotRunning]);
        stage.nothing_is_left();
    });
}

/// SM-27
#[test]
fn switching_apps() {
    scenario("switch-apps", "Switching from app1 to app2", |stage| {
        stage.already("app1", TargetState::Active);
        stage.already("app2", TargetState::Inactive);
        stage.note("first make app1 Inactive");
        stage.change("app1", TargetState::Inactive).unwrap();
        assert_eq!(stage.told("app1"), [ServerState::Inactive]);
        stage.note("only when that notification has arrived make app2 Active");
        stage.change("app2", TargetState::Active).unwrap();
        assert_eq!(stage.told("app2"), [ServerState::Active]);
    });
}

/// SM-27, SM-40
#[test]
fn switching_apps_too_early() {
    let diagram = scenario("switch-apps-too-early", "Switching from app1 to app2: too early", |stage| {
        stage.already("app1", TargetState::Active);
        stage.already("app2", TargetState::Inactive);
        let refused = stage.change("app2", TargetState::Active);
        assert!(matches!(refused, Err(Refusal::Decoders { free: 0, .. })), "{refused:?}");
        stage.change("app1", TargetState::Inactive).unwrap();
        stage.change("app2", TargetState::Active).unwrap();
        assert_eq!(stage.told("app2"), [ServerState::Active]);
    });
    // The README shows it.
    assert_kept("docs/switching-apps.svg", &diagram.to_svg());
}

/// SM-36: another one, in the state that was wanted, at the same socket.
#[test]
fn a_session_server_that_crashes_is_followed_by_another() {
    let settings = Settings { health: HealthCheck::OFF, ..Settings::default() };
    let stage = Stage::with("Active: the session server crashes", settings);
    on_stage("active-crash-and-restart", stage, |stage| {
        stage.already("app1", TargetState::Active);
        stage.crash_servers();
        let end = stage.told("app1").last().copied();
        assert_eq!((end, stage.processes()), (Some(ServerState::Active), 1));
    });
}
