//! A box with one app, on its processor.

use std::time::Duration;

use greenroom_core::message::{AppState, TargetState};
use greenroom_hal_linux::client::{Client, Session};
use greenroom_tests::tv_box::{Controller, Setup, TvBox};

use crate::Failure;
use crate::pinning::{Pinning, on};

/// The app.
pub(super) const APP: &str = "com.example.app";
/// What takes longer is stuck.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A box, and who drives it. Its app is started by the one that needs it.
pub(super) struct Stage {
    pub(super) tv_box: TvBox,
    pub(super) controller: Controller,
}

impl Stage {
    pub(super) fn set_up(setup: Setup, pinning: Pinning) -> Result<Self, Failure> {
        let tv_box = on(pinning.greenroom, pinning.app, || setup.start())?;
        let controller = tv_box.watch();
        Ok(Self { tv_box, controller })
    }

    /// The app with a playback session in which nothing plays.
    pub(super) fn act(&mut self) -> Result<(Client, Session), Failure> {
        self.controller.bring_up(APP, TargetState::Active);
        let client = Client::connect(self.controller.socket_of(APP))?;
        client.wait_for_application_state(AppState::Running, PATIENCE)?;
        client.set_application_state(AppState::Running)?;
        let session = client.create_session()?;
        Ok((client, session))
    }
}
