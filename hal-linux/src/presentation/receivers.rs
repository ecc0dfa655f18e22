//! The processes that show pages for other devices (PS-11, PS-36).

use std::env;

use greenroom_core::hal::{Child, ErrorKind, ErrorType, Launch, Receivers};
use greenroom_core::message::presentation::LaunchToken;

use rustix::process::{Pid, getpgid};

use super::Policy;
use crate::error::LinuxError;
use crate::process::{self, PidChild};

/// The environment variable in which a receiver inherits its launch token, as 32 digits.
pub const LAUNCH_TOKEN_VARIABLE: &str = "GREENROOM_LAUNCH_TOKEN";

/// Processes that are remembered as receivers: more than there are places for presentations, as one may live on for a
/// moment.
const STARTED_MAX: usize = 256;

/// Runs what the policy says.
#[derive(Debug)]
pub(super) struct ReceiverPrograms<P> {
    policy: P,
    /// Numbers of the processes that were started last, and of their groups.
    started: Vec<u32>,
}

impl<P> ReceiverPrograms<P> {
    pub(super) fn new(policy: P) -> Self {
        Self { policy, started: Vec::new() }
    }

    /// Whether this process was started here, or by one that was: those are of one process group.
    pub(super) fn has_started(&self, process_id: u32) -> bool {
        let process = i32::try_from(process_id).ok().and_then(Pid::from_raw);
        let group = process.and_then(|process| getpgid(Some(process)).ok());
        group.is_some_and(|group| self.started.contains(&group.as_raw_nonzero().get().unsigned_abs()))
    }
}

impl<P> ErrorType for ReceiverPrograms<P> {
    type Error = LinuxError;
}

impl<P: Policy> Receivers for ReceiverPrograms<P> {
    type Receiver = PidChild;

    fn start(&mut self, launch: &Launch<'_>) -> Result<PidChild, LinuxError> {
        let mut program = self.policy.program(launch).ok_or_else(|| {
            LinuxError::other("show", ErrorKind::NotFound, "no command is configured for it").about(launch.url)
        })?;
        program.environment.push((LAUNCH_TOKEN_VARIABLE.to_owned(), text_of(launch.token)));
        let child = process::run(&program)?;
        if self.started.len() == STARTED_MAX {
            self.started.remove(0);
        }
        self.started.push(child.process_id());
        Ok(child)
    }
}

fn text_of(token: LaunchToken) -> String {
    token.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The token with which this process was launched, if it was launched to show a page.
pub fn inherited_token() -> Option<LaunchToken> {
    token_in(&env::var(LAUNCH_TOKEN_VARIABLE).ok()?)
}

fn token_in(text: &str) -> Option<LaunchToken> {
    let mut token = LaunchToken([0; 16]);
    if text.len() != 2 * token.0.len() || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (place, byte) in token.0.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_inherited_as_text() {
        let token = LaunchToken([0xA7; 16]);
        assert_eq!(token_in(&text_of(token)), Some(token));
        for text in ["", "a7", &"g7".repeat(16), &"é".repeat(16), &"a7".repeat(17)] {
            assert_eq!(token_in(text), None, "{text}");
        }
    }
}
