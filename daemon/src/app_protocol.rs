//! What an application manager and an app say to each other: lines of text on the app's standard input and output (SM-28).
//!
//! ```text
//! the manager starts:   app --managed --state inactive --socket /run/greenroom/app1.sock ...
//! the app writes:       state_changed inactive
//! the manager writes:   notify_new_state running
//! the app writes:       state_changed running        when it holds its shared memory (SM-23)
//! the manager writes:   set_paused true                 or false, at any time, without an answer
//! the manager writes:   notify_new_state not-running
//! the app writes:       state_changed not-running    when it holds nothing any more, and exits (SM-26)
//! ```
//!
//! Each `notify_new_state` is answered by one `state_changed`, which names the state that the app is in then: where it
//! could not follow, the old one. The end of the app's standard input means `not-running`. Whatever else an app has to
//! say it writes to standard error; lines that neither side knows are ignored, so that the protocol can grow.

use std::fmt;
use std::str::FromStr;

use greenroom_core::planted;

/// The state of an app as its manager sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ManagedState {
    /// Connected, without memory and decoders.
    Inactive,
    /// On stage.
    Running,
    /// About to exit.
    NotRunning,
}

impl fmt::Display for ManagedState {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Inactive => "inactive",
            Self::Running => "running",
            Self::NotRunning => "not-running",
        })
    }
}

/// A text that names no state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no state of an app; use inactive, running or not-running")]
pub struct UnknownState(String);

impl FromStr for ManagedState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        match text {
            "inactive" => Ok(Self::Inactive),
            "running" => Ok(Self::Running),
            "not-running" => Ok(Self::NotRunning),
            _ => Err(UnknownState(text.to_owned())),
        }
    }
}

/// A line of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Manager to app: be in this state.
    NotifyNewState(ManagedState),
    /// App to manager: it is in this state.
    StateChanged(ManagedState),
    /// Manager to app: stand still, or go on.
    SetPaused(bool),
}

impl Line {
    /// The line that this text is, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        let (verb, word) = text.trim().split_once(' ')?;
        let word = word.trim();
        match verb {
            "notify_new_state" if planted!("state_read_as_order") => word.parse().ok().map(Self::StateChanged),
            "notify_new_state" => word.parse().ok().map(Self::NotifyNewState),
            "state_changed" => word.parse().ok().map(Self::StateChanged),
            "set_paused" => word.parse().ok().map(Self::SetPaused),
            _ => None,
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotifyNewState(state) => write!(out, "notify_new_state {state}"),
            Self::StateChanged(state) => write!(out, "state_changed {state}"),
            Self::SetPaused(is_paused) => write!(out, "set_paused {is_paused}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SM-28
    #[test]
    fn every_line_survives_being_written_and_read() {
        for state in [ManagedState::Inactive, ManagedState::Running, ManagedState::NotRunning] {
            for line in [Line::NotifyNewState(state), Line::StateChanged(state)] {
                assert_eq!(Line::parse(&format!("{line}\n")), Some(line));
            }
        }
        for line in [Line::SetPaused(true), Line::SetPaused(false)] {
            assert_eq!(Line::parse(&format!("{line}\n")), Some(line));
        }
    }

    #[test]
    fn other_lines_are_none_of_the_protocol() {
        for text in
            ["", "state_changed", "state_changed asleep", "hello running", "notify_new_state", "set_paused running"]
        {
            assert_eq!(Line::parse(text), None, "{text}");
        }
    }
}
