//! What the manager knows of apps at a step: what is needed to draw the step, and no more.

use std::collections::BTreeMap;

use greenroom_core::manager::{Action, AppHandle, Input, Manager};
use greenroom_core::message::{AppId, LogLevels, Resources, SocketPath, TargetState};
use greenroom_core::time::Instant;

/// What the manager knows of one app.
#[derive(Clone, Debug)]
pub(super) struct KnownApp {
    pub(super) id: AppId,
    /// The process of its session server; 0 while there is none.
    pub(super) process_id: u32,
    pub(super) socket: SocketPath,
    /// The state that its session server's configuration names.
    pub(super) first: TargetState,
    pub(super) resources: Resources,
    pub(super) log_levels: LogLevels,
    /// When something becomes due for it.
    pub(super) deadline: Option<Instant>,
}

/// The apps that a step is about.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownApps(BTreeMap<(u16, u16), KnownApp>);

impl KnownApps {
    /// The apps of a step of this manager, which is as it was right after the step.
    pub(super) fn of<const APPS: usize>(
        at: Instant,
        manager: &Manager<APPS>,
        input: &Input<'_>,
        actions: &[Action],
    ) -> Self {
        let handles = actions.iter().filter_map(app_of_action).chain(app_of_input(input));
        let known = handles.filter_map(|handle| Some((key(handle), look_up(at, manager, handle)?)));
        Self(known.collect())
    }

    pub(super) fn get(&self, app: AppHandle) -> Option<&KnownApp> {
        self.0.get(&key(app))
    }

    /// The process of each app's session server, where there is one.
    pub(super) fn processes(&self) -> impl Iterator<Item = ((u16, u16), u32)> {
        self.0.iter().filter(|(_, known)| known.process_id != 0).map(|(app, known)| (*app, known.process_id))
    }
}

fn look_up<const APPS: usize>(at: Instant, manager: &Manager<APPS>, app: AppHandle) -> Option<KnownApp> {
    let configuration = manager.configuration(app)?;
    Some(KnownApp {
        id: configuration.app.clone(),
        process_id: manager.status(at, app)?.process_id,
        socket: configuration.socket.clone(),
        first: configuration.state,
        resources: configuration.resources,
        log_levels: configuration.log_levels,
        deadline: manager.deadline(app),
    })
}

const fn app_of_input(input: &Input<'_>) -> Option<AppHandle> {
    match *input {
        Input::Spawned { app, .. }
        | Input::Link { app, .. }
        | Input::LinkClosed { app }
        | Input::LinkBroken { app }
        | Input::ChildExited { app, .. } => Some(app),
        Input::Request { .. } | Input::Denied { .. } | Input::Terminate | Input::Tick | Input::Spare { .. } => None,
    }
}

const fn app_of_action(action: &Action) -> Option<AppHandle> {
    match *action {
        Action::Spawn { app }
        | Action::Configure { app, .. }
        | Action::SetState { app, .. }
        | Action::Ping { app, .. }
        | Action::SetLogLevels { app, .. }
        | Action::CloseLink { app }
        | Action::Signal { app, .. }
        | Action::RemoveSocket { app }
        | Action::Take { app, .. } => Some(app),
        Action::Reply { .. }
        | Action::Notify { .. }
        | Action::ApplyLogLevels(_)
        | Action::Exit
        | Action::Spare { .. } => None,
    }
}

pub(super) const fn key(app: AppHandle) -> (u16, u16) {
    (app.index(), app.generation())
}
