//! What an application manager sees of the machine, and what a session server is asked.

mod every_pair;
mod health;
mod invariants;
mod requests;
mod restarts;
mod servers;
mod shutdown;
mod spares;

use std::string::String;
use std::vec::Vec;
use std::{format, vec};

use super::*;
use crate::limits::{LINK_TIMEOUT, READY_TIMEOUT, RESTART_INTENSITY, STOP_TIMEOUT};
use crate::message::control::Event as ControlEvent;

/// A manager with room for a few apps, its clock, and all that it wanted done since last asked.
struct Stage {
    manager: Manager<4>,
    now: Instant,
    sequence: u32,
    actions: Vec<Action>,
}

const FACTS: Facts<'static> = Facts {
    resources: Resources { max_playback_sessions: 1, max_web_audio_players: 0, max_key_sessions: 0 },
    socket_directory: "/run/greenroom",
};

/// Nobody is asked whether they get on, so that time passes for what a test is about.
fn calm() -> Settings {
    Settings { health: HealthCheck::OFF, ..Settings::default() }
}

impl Stage {
    /// One that restarts nothing, so that an end is the end.
    fn new() -> Self {
        Self::with(Settings { restart: false, ..calm() })
    }

    fn with(settings: Settings) -> Self {
        let manager = Manager::new(settings);
        Self { manager, now: Instant::from_millis(1_000), sequence: 0, actions: Vec::new() }
    }

    /// Hands in an input and gives what the manager wants done for it.
    fn give(&mut self, input: Input<'_>) -> Vec<Action> {
        let _ = self.manager.handle(self.now, input);
        let actions: Vec<Action> = std::iter::from_fn(|| self.manager.poll_action()).collect();
        self.actions.extend(actions.iter().cloned());
        self.survive_a_snapshot();
        actions
    }

    /// The machine can be written down and read back between any two inputs.
    fn survive_a_snapshot(&mut self) {
        let mut bytes = vec![0; 64 * 1024];
        let written = postcard::to_slice(&self.manager, &mut bytes).unwrap();
        self.manager = postcard::from_bytes(written).unwrap();
    }

    fn ask(&mut self, command: Command<'_>) -> Vec<Action> {
        self.sequence += 1;
        let from = Ticket { controller: Handle::from_parts(0, 1), sequence: self.sequence };
        self.give(Input::Request { from, command, facts: Some(FACTS) })
    }

    /// Asks, and gives the answer that comes at once.
    fn answer(&mut self, command: Command<'_>) -> Result<Answer, Refusal> {
        let actions = self.ask(command);
        self.reply_in(&actions).expect("an answer at once")
    }

    /// The answer to the request that was asked last.
    fn reply_in(&self, actions: &[Action]) -> Option<Result<Answer, Refusal>> {
        self.reply_to(self.sequence, actions)
    }

    fn reply_to(&self, asked: u32, actions: &[Action]) -> Option<Result<Answer, Refusal>> {
        let mut replies = actions.iter().filter_map(|action| match action {
            Action::Reply { to, result } if to.sequence == asked => Some(result.clone()),
            _ => None,
        });
        let reply = replies.next();
        assert_eq!(replies.next(), None, "one answer a request");
        reply
    }

    fn app(&self, name: &str) -> AppHandle {
        self.manager.apps.find(name).expect("the app is in the table")
    }

    fn initiate(&mut self, name: &str, state: TargetState) -> Vec<Action> {
        self.ask(Command::Initiate { app: name, state, socket: "" })
    }

    fn change(&mut self, name: &str, state: TargetState) -> Vec<Action> {
        self.ask(Command::ChangeState { app: name, state })
    }

    fn spawned(&mut self, name: &str) -> Vec<Action> {
        let app = self.app(name);
        self.give(Input::Spawned { app, result: Ok(4_711) })
    }

    fn says(&mut self, name: &str, state: ServerState, reason: Option<Reason>) -> Vec<Action> {
        let app = self.app(name);
        self.give(Input::Link { app, message: link::Message::StateChanged { state, reason } })
    }

    /// The server answers the request that it was sent last.
    fn replies(&mut self, name: &str, result: Result<(), link::Refusal>) -> Vec<Action> {
        let app = self.app(name);
        let sequence = self.asked_last(app).expect("a request on the link");
        self.give(Input::Link { app, message: link::Message::Reply { sequence, result } })
    }

    fn asked_last(&self, of: AppHandle) -> Option<u32> {
        self.actions.iter().rev().find_map(|action| match action {
            Action::Configure { app, sequence }
            | Action::SetState { app, sequence, .. }
            | Action::Ping { app, sequence }
            | Action::SetLogLevels { app, sequence, .. }
                if *app == of =>
            {
                Some(*sequence)
            }
            _ => None,
        })
    }

    fn exits(&mut self, name: &str, status: ExitStatus) -> Vec<Action> {
        let app = self.app(name);
        self.give(Input::ChildExited { app, status })
    }

    /// Lets time pass up to the next deadline.
    fn time_out(&mut self) -> Vec<Action> {
        self.now = self.manager.next_deadline().expect("something has a time limit");
        self.give(Input::Tick)
    }

    /// A server that is up and in this state.
    fn run(&mut self, name: &str, state: TargetState) {
        self.initiate(name, state);
        self.spawned(name);
        self.says(name, ServerState::Uninitialized, None);
        self.replies(name, Ok(()));
        self.says(name, state.into(), None);
    }

    /// Every notification so far of an app, as an observer hears it.
    fn heard(&self, name: &str) -> Vec<(ServerState, Option<Reason>)> {
        heard(name, &self.actions)
    }

    fn free_decoders(&self) -> u8 {
        self.manager.box_status().decoders_free
    }

    fn is_gone(&self, name: &str) -> bool {
        self.manager.apps.find(name).is_none()
    }
}

fn heard(name: &str, actions: &[Action]) -> Vec<(ServerState, Option<Reason>)> {
    let events = actions.iter().filter_map(|action| match action {
        Action::Notify { app, state, reason } => {
            Some(ControlEvent::StateChanged { app: app.clone(), state: *state, reason: *reason })
        }
        _ => None,
    });
    events
        .filter_map(|event| match event {
            ControlEvent::StateChanged { app, state, reason } if app.as_str() == name => Some((state, reason)),
            _ => None,
        })
        .collect()
}

fn asks_for(actions: &[Action], wanted: TargetState) -> bool {
    actions.iter().any(|action| matches!(action, Action::SetState { state, .. } if *state == wanted))
}

fn signals(actions: &[Action]) -> Vec<Signal> {
    let signal = |action: &Action| match action {
        Action::Signal { signal, .. } => Some(*signal),
        _ => None,
    };
    actions.iter().filter_map(signal).collect()
}

fn names(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("app{number}")).collect()
}
