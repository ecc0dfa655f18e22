//! The little language in which a person or a script drives an application manager.
//!
//! ```text
//! start APP FILE [inactive|running]    inactive unless said otherwise
//! running APP
//! inactive APP
//! stop APP
//! switch FROM TO
//! wait SECONDS
//! wait APP inactive|running|not-running [SECONDS]
//! quit
//! ```
//!
//! Commands stand on lines of their own or between semicolons; `#` starts a comment. A name with blanks stands in double
//! quotes.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::{ApplicationManager, StageError};
use crate::app_protocol::ManagedState;

/// How long `wait` waits for an app that is given no time.
const WAIT_DEFAULT: Duration = Duration::from_secs(60);

/// A text that is no command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{command}': {cause}; the commands are: start APP FILE [STATE], running APP, inactive APP, stop APP, switch FROM TO, wait SECONDS, wait APP STATE [SECONDS], quit"
)]
pub struct ScriptError {
    command: String,
    cause: &'static str,
}

/// One command.
#[derive(Clone, Debug, PartialEq)]
pub enum ScriptCommand {
    /// Start an app.
    Start(String, PathBuf, ManagedState),
    /// Put it on stage.
    Running(String),
    /// Take it off.
    Inactive(String),
    /// End it.
    Stop(String),
    /// Take one off and put the other on.
    Switch(String, String),
    /// Do nothing for a while.
    Pause(Duration),
    /// Wait until an app says that it is in a state.
    Wait(String, ManagedState, Duration),
    /// Stop all apps and end.
    Quit,
}

/// Commands in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script(pub Vec<ScriptCommand>);

impl FromStr for Script {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        let commands = lines.flat_map(|line| line.split(';')).map(str::trim).filter(|command| !command.is_empty());
        commands.map(ScriptCommand::from_str).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for ScriptCommand {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let wrong = |cause| ScriptError { command: text.to_owned(), cause };
        let words = words(text).ok_or_else(|| wrong("a quote is left open"))?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let state = |text: &str| text.parse::<ManagedState>().map_err(|_| wrong("not a state"));
        let app = |app: &&str| (*app).to_owned();
        Ok(match &words[..] {
            ["start", name, file] => Self::Start(app(name), file.into(), ManagedState::Inactive),
            ["start", name, file, first] => Self::Start(app(name), file.into(), state(first)?),
            ["running", name] => Self::Running(app(name)),
            ["inactive", name] => Self::Inactive(app(name)),
            ["stop", name] => Self::Stop(app(name)),
            ["switch", from, to] => Self::Switch(app(from), app(to)),
            ["wait", time] => Self::Pause(seconds(time).ok_or_else(|| wrong("not a number of seconds"))?),
            ["wait", name, wanted] => Self::Wait(app(name), state(wanted)?, WAIT_DEFAULT),
            ["wait", name, wanted, time] => {
                let time = seconds(time).ok_or_else(|| wrong("not a number of seconds"))?;
                Self::Wait(app(name), state(wanted)?, time)
            }
            ["quit"] => Self::Quit,
            _ => return Err(wrong("not a command")),
        })
    }
}

impl ScriptCommand {
    /// Does it.
    pub fn run(&self, manager: &mut ApplicationManager<'_>) -> Result<(), StageError> {
        match self {
            Self::Start(app, file, state) => manager.start(app, file, *state),
            Self::Running(app) => manager.running(app),
            Self::Inactive(app) => manager.inactive(app),
            Self::Stop(app) => manager.stop(app),
            Self::Switch(from, to) => manager.switch(from, to),
            Self::Pause(time) => {
                std::thread::sleep(*time);
                Ok(())
            }
            Self::Wait(app, state, timeout) => manager.wait(app, *state, *timeout),
            Self::Quit => manager.stop_all(),
        }
    }
}

fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

/// Words between blanks; what stands in double quotes is one.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    for (number, part) in text.split('"').enumerate() {
        if number % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    text.matches('"').count().is_multiple_of(2).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_from_lines_and_between_semicolons() {
        let script: Script =
            "start a1 \"my clip.mp4\" # first\nrunning a1; wait 0.5;\n\nswitch a1 a2; quit".parse().unwrap();
        let expected = [
            ScriptCommand::Start("a1".into(), "my clip.mp4".into(), ManagedState::Inactive),
            ScriptCommand::Running("a1".into()),
            ScriptCommand::Pause(Duration::from_millis(500)),
            ScriptCommand::Switch("a1".into(), "a2".into()),
            ScriptCommand::Quit,
        ];
        assert_eq!(script.0, expected);
    }

    #[test]
    fn what_is_no_command_is_named_and_the_commands_are_listed() {
        for text in ["dance", "start a1", "start a1 f asleep", "wait soon", "wait -1", "start \"a1 f"] {
            let error = text.parse::<Script>().unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("switch FROM TO"), "{error}");
        }
    }
}
