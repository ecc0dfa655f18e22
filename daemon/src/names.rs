//! What people call states, levels and components: on command lines, in the configuration, in JSON.

use clap::ValueEnum;
use greenroom_core::message::{Component, LogLevel, ServerState, TargetState};
use serde::Deserialize;

/// The name of a state, as it is printed.
pub const fn state(state: ServerState) -> &'static str {
    match state {
        ServerState::Uninitialized => "uninitialized",
        ServerState::Inactive => "inactive",
        ServerState::Active => "active",
        ServerState::NotRunning => "not-running",
        ServerState::Error => "error",
    }
}

/// A state that an app can be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// It holds decoders and shared memory.
    Active,
    /// It holds its socket only.
    Inactive,
    /// It ends.
    NotRunning,
}

impl From<Target> for TargetState {
    fn from(target: Target) -> Self {
        match target {
            Target::Active => Self::Active,
            Target::Inactive => Self::Inactive,
            Target::NotRunning => Self::NotRunning,
        }
    }
}

/// A state that an app can be started in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum FirstState {
    /// It holds its socket only.
    #[default]
    Inactive,
    /// It holds decoders and shared memory.
    Active,
}

impl From<FirstState> for TargetState {
    fn from(first: FirstState) -> Self {
        match first {
            FirstState::Inactive => Self::Inactive,
            FirstState::Active => Self::Active,
        }
    }
}

/// A state that an app can be seen in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Seen {
    /// Its process is up.
    Uninitialized,
    /// It holds its socket only.
    Inactive,
    /// It holds decoders and shared memory.
    Active,
    /// It has ended.
    NotRunning,
    /// It failed.
    Error,
}

impl From<Seen> for ServerState {
    fn from(seen: Seen) -> Self {
        match seen {
            Seen::Uninitialized => Self::Uninitialized,
            Seen::Inactive => Self::Inactive,
            Seen::Active => Self::Active,
            Seen::NotRunning => Self::NotRunning,
            Seen::Error => Self::Error,
        }
    }
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nothing; a program that cannot go on says so anyway.
    Fatal,
    /// What was asked for and could not be done.
    Error,
    /// What is not as it should be, too.
    Warning,
    /// The few steps that tell the story, too.
    Milestone,
    /// What helps to understand a step, too.
    Info,
    /// Everything.
    Debug,
}

impl From<Level> for LogLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Fatal => Self::Fatal,
            Level::Error => Self::Error,
            Level::Warning => Self::Warning,
            Level::Milestone => Self::Milestone,
            Level::Info => Self::Info,
            Level::Debug => Self::Debug,
        }
    }
}

/// A part of the system whose log level can be set apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// All that have no level of their own.
    Default,
    /// The client library in the apps.
    Client,
    /// The session servers.
    SessionServer,
    /// Sockets and codecs, in every process.
    Ipc,
    /// The manager.
    Manager,
    /// What all processes share.
    Common,
}

impl From<Part> for Component {
    fn from(part: Part) -> Self {
        match part {
            Part::Default => Self::Default,
            Part::Client => Self::Client,
            Part::SessionServer => Self::SessionServer,
            Part::Ipc => Self::Ipc,
            Part::Manager => Self::Manager,
            Part::Common => Self::Common,
        }
    }
}
