//! Apps: from Not Running to Active and back. What their session servers go through meanwhile is a reference.

use greenroom_core::message::TargetState;

use crate::scenario;
use crate::stage::Stage;

/// Starts session server and app; both are Inactive then, or Active and Running.
fn start(stage: &mut Stage, app: &'static str, target: TargetState) {
    stage.already(app, target);
    stage.before(|stage| {
        let socket = stage.connection_info(app);
        stage.start_app(app, "Inactive", &socket);
        if target == TargetState::Active {
            stage.set_running(app).unwrap();
        }
    });
}

/// SM-22
#[test]
fn app_not_running_to_inactive() {
    scenario("app-not-running-to-inactive", "App: Not Running to Inactive", |stage| {
        stage.see("Not Running to Inactive", "app1", |stage| stage.initiate("app1", TargetState::Inactive));
        let socket = stage.quietly(|stage| stage.connection_info("app1"));
        stage.start_app("app1", "Inactive", &socket);
        stage.status("app1", "connected");
        stage.report("app1", "Inactive");
    });
}

/// SM-22: nobody listens there any more.
#[test]
fn app_not_running_to_inactive_without_a_server() {
    let title = "App: Not Running to Inactive, the session server has gone";
    scenario("app-not-running-to-inactive-no-server", title, |stage| {
        stage.see("Not Running to Inactive", "app1", |stage| stage.initiate("app1", TargetState::Inactive));
        let socket = stage.quietly(|stage| stage.connection_info("app1"));
        stage.see("Inactive to Not Running", "app1", |stage| stage.change("app1", TargetState::NotRunning));
        stage.start_app("app1", "Inactive", &socket);
        stage.status("app1", "ERROR: not connected");
        stage.report("app1", "NotRunning");
    });
}

/// SM-22, SM-23, SM-24
#[test]
fn app_not_running_to_running() {
    scenario("app-not-running-to-active", "App: Not Running to Active", |stage| {
        stage.see("Not Running to Active", "app1", |stage| stage.initiate("app1", TargetState::Active));
        let socket = stage.quietly(|stage| stage.connection_info("app1"));
        stage.start_app("app1", "Running", &socket);
        stage.status("app1", "connected");
        stage.set_running("app1").unwrap();
        stage.status("app1", "OK");
        stage.report("app1", "Running");
    });
}

/// SM-23, SM-24
#[test]
fn app_inactive_to_running() {
    scenario("app-inactive-to-active", "App: Inactive to Active", |stage| {
        start(stage, "app1", TargetState::Inactive);
        stage.see("Inactive to Active", "app1", |stage| stage.change("app1", TargetState::Active));
        stage.notify_new_state("app1", "Running");
        stage.set_running("app1").unwrap();
        stage.status("app1", "OK");
        stage.report("app1", "Running");
    });
}

/// SM-24: memory is not given outside Active.
#[test]
fn app_inactive_to_running_too_early() {
    let title = "App: Inactive to Active, the session server is not Active";
    scenario("app-inactive-to-active-too-early", title, |stage| {
        start(stage, "app1", TargetState::Inactive);
        stage.notify_new_state("app1", "Running");
        stage.set_running("app1").unwrap_err();
        stage.status("app1", "ERROR");
        stage.report("app1", "Inactive");
    });
}

/// SM-25
#[test]
fn app_running_to_inactive() {
    scenario("app-active-to-inactive", "App: Active to Inactive", |stage| {
        start(stage, "app1", TargetState::Active);
        stage.notify_new_state("app1", "Inactive");
        stage.set_inactive("app1");
        stage.status("app1", "OK");
        stage.report("app1", "Inactive");
        stage.see("Active to Inactive", "app1", |stage| stage.change("app1", TargetState::Inactive));
    });
}

/// SM-26
#[test]
fn app_inactive_to_not_running() {
    scenario("app-inactive-to-not-running", "App: Inactive to Not Running", |stage| {
        start(stage, "app1", TargetState::Inactive);
        stage.notify_new_state("app1", "NotRunning");
        stage.report("app1", "NotRunning");
        stage.exit_app("app1");
        stage.see("Inactive to Not Running", "app1", |stage| stage.change("app1", TargetState::NotRunning));
        stage.nothing_is_left();
    });
}

/// SM-26
#[test]
fn app_running_to_not_running() {
    scenario("app-active-to-not-running", "App: Active to Not Running", |stage| {
        start(stage, "app1", TargetState::Active);
        stage.notify_new_state("app1", "NotRunning");
        stage.set_inactive("app1");
        stage.status("app1", "OK");
        stage.report("app1", "NotRunning");
        stage.exit_app("app1");
        stage.see("Active to Not Running", "app1", |stage| stage.change("app1", TargetState::NotRunning));
        stage.nothing_is_left();
    });
}
