//! A manager and one session server that share a processor: what is a process and a socket on Linux is a call here.

use greenroom_core::driver::Machine;
use greenroom_core::health::HealthCheck;
use greenroom_core::manager::{Action, AppHandle, Facts, Input, Manager, Settings, Ticket};
use greenroom_core::message::control::Command;
use greenroom_core::message::{Allowed, Resources, ServerState, TargetState, link};
use greenroom_core::session::{self, Server};
use greenroom_core::table::Handle;
use greenroom_core::time::Instant;

use crate::INBOX;

const SOCKET_DIRECTORY: &str = "/app";

/// The box has one decoder.
pub(crate) fn settings() -> Settings {
    Settings { decoders: 1, ..Settings::default() }
}

/// What the button asks when it is pressed for the first time, and later.
pub(crate) fn request(presses: u32) -> Input<'static> {
    let from = Ticket { controller: Handle::from_parts(0, 1), sequence: presses };
    let facts = Facts { resources: Resources::default(), socket_directory: SOCKET_DIRECTORY };
    match presses {
        0 => {
            let command = Command::Initiate { app: "app1", state: TargetState::Active, socket: "" };
            Input::Request { from, command, facts: Some(facts) }
        }
        _ => {
            let command = Command::ChangeState { app: "app1", state: TargetState::NotRunning };
            Input::Request { from, command, facts: None }
        }
    }
}

/// The two machines, and what was heard last.
pub(crate) struct Stage {
    manager: &'static mut Manager<4>,
    server: &'static mut Server,
    news: Option<ServerState>,
}

impl Stage {
    pub(crate) fn new(manager: &'static mut Manager<4>, server: &'static mut Server) -> Self {
        Self { manager, server, news: None }
    }

    /// The state that app1 has entered in the last turn, if it has entered one.
    pub(crate) fn news(&self) -> Option<ServerState> {
        self.news
    }

    /// Whether nobody holds a decoder.
    pub(crate) fn is_free(&self) -> bool {
        let status = self.manager.box_status();
        status.decoders_free == status.decoders
    }

    /// One input, and all that follows from it.
    pub(crate) fn handle(&mut self, now: Instant, input: Input<'static>) {
        self.news = None;
        if self.manager.handle(now, input).is_err() {
            defmt::warn!("too late: {}", input);
        }
        while let Some(action) = self.manager.poll_action() {
            self.perform(now, action);
        }
    }

    fn perform(&mut self, now: Instant, action: Action) {
        defmt::debug!("manager: {}", action);
        match action {
            Action::Spawn { app } => {
                *self.server = Server::new();
                post(Input::Spawned { app, result: Ok(1) });
                serve(self.server, app, now, session::Input::Started(Ok(())));
            }
            Action::Configure { app, sequence } => self.configure(app, now, sequence),
            Action::SetState { app, sequence, state } => {
                let command = link::Command::SetState(state);
                serve(self.server, app, now, session::Input::Link(link::Request { sequence, command }));
            }
            Action::CloseLink { app } => serve(self.server, app, now, session::Input::LinkClosed),
            Action::Notify { state, .. } => self.news = Some(state),
            Action::Reply { result, .. } => defmt::info!("the button's answer: {}", result),
            Action::SetLogLevels { .. } | Action::Signal { .. } | Action::RemoveSocket { .. } => {}
            Action::Ping { app, sequence } => {
                let command = link::Command::Ping;
                serve(self.server, app, now, session::Input::Link(link::Request { sequence, command }));
            }
            // There is one server and no process: nothing is kept ready.
            Action::Take { .. } | Action::Spare { .. } => {}
            Action::ApplyLogLevels(_) | Action::Exit => {}
        }
    }

    fn configure(&mut self, app: AppHandle, now: Instant, sequence: u32) {
        let Some(known) = self.manager.configuration(app) else { return };
        let command = link::Command::SetConfiguration(link::Configuration {
            app: known.app.as_str(),
            socket: known.socket,
            socket_mode: 0o600,
            socket_owner: "",
            socket_group: "",
            state: known.state,
            resources: known.resources,
            log_levels: known.log_levels,
            video_sink: "",
            audio_sink: "",
            clients: Allowed::default(),
            health: HealthCheck::OFF,
        });
        serve(self.server, app, now, session::Input::Link(link::Request { sequence, command }));
    }
}

/// Hands the session server an input, then the outcomes of what it wanted done. Everything goes well on this board.
fn serve(server: &mut Server, app: AppHandle, now: Instant, input: session::Input<'_>) {
    let mut next = Some(input);
    while let Some(input) = next.take() {
        if server.handle(now, input).is_err() {
            defmt::warn!("the session server does not take {}", input);
        }
        while let Some(action) = server.poll_action() {
            defmt::debug!("session server: {}", action);
            next = outcome(app, action).or(next);
        }
    }
}

fn outcome(app: AppHandle, action: session::Action) -> Option<session::Input<'static>> {
    match action {
        session::Action::Link(message) => post(Input::Link { app, message }),
        session::Action::Bind => return Some(session::Input::Bound(Ok(()))),
        session::Action::Allocate { .. } => return Some(session::Input::Allocated(Ok(()))),
        session::Action::Exit { status } => {
            post(Input::ChildExited { app, status: greenroom_core::hal::ExitStatus::Exited(status) });
        }
        // Without clients there is nothing else to do.
        _ => {}
    }
    None
}

/// The inbox holds all that one turn can bring; an input that does not fit ends the example at its deadline.
fn post(input: Input<'static>) {
    if INBOX.post(input).is_err() {
        defmt::error!("the inbox is full");
    }
}
