//! Whether what the manager notifies can be (SM-31, SM-33): each app's states in order, and never more on stage than
//! the box has decoders for.

use std::collections::BTreeMap;

use greenroom_core::message::ServerState;

use ServerState::{Active, Error, Inactive, NotRunning, Uninitialized};

/// What an observer has heard of each app.
#[derive(Debug)]
pub(crate) struct States {
    decoders: usize,
    decoders_of: fn(&str) -> u8,
    heard: BTreeMap<String, ServerState>,
}

impl States {
    /// An observer of a box with so many decoders, of which an Active app holds `decoders_of` it.
    pub(crate) fn new(decoders: u8, decoders_of: fn(&str) -> u8) -> Self {
        Self { decoders: decoders.into(), decoders_of, heard: BTreeMap::new() }
    }

    /// How an app is, as a list says it.
    pub(crate) fn assume(&mut self, app: &str, state: Option<ServerState>) {
        match state {
            Some(state) => self.heard.insert(app.to_owned(), state),
            None => self.heard.remove(app),
        };
    }

    /// Forgets everything: another list follows.
    pub(crate) fn forget(&mut self) {
        self.heard.clear();
    }

    /// What is known of an app.
    pub(crate) fn of(&self, app: &str) -> Option<ServerState> {
        self.heard.get(app).copied()
    }

    /// Takes a notification; says what is wrong with it.
    pub(crate) fn hear(&mut self, app: &str, state: ServerState) -> Result<(), String> {
        let before = self.heard.insert(app.to_owned(), state);
        if !may_follow(before, state) {
            return Err(format!("{app} was notified {state:?} after {before:?}"));
        }
        let active: Vec<&str> = self.heard.iter().filter(|of| *of.1 == Active).map(|of| of.0.as_str()).collect();
        let held: usize = active.iter().map(|app| usize::from((self.decoders_of)(app))).sum();
        if held > self.decoders {
            return Err(format!("{active:?} are Active and hold {held} of {} decoders", self.decoders));
        }
        Ok(())
    }
}

/// An app whose server has ended may get another one, be it a restart or a new beginning; each begins with
/// Uninitialized, or with the Error that it did not get so far.
fn may_follow(before: Option<ServerState>, state: ServerState) -> bool {
    match (before, state) {
        (None | Some(NotRunning), Uninitialized | Error | NotRunning) => true,
        (Some(Uninitialized), Inactive | Active | NotRunning | Error) => true,
        (Some(Inactive), Active | NotRunning | Error) | (Some(Active), Inactive | NotRunning | Error) => true,
        (Some(Error), Uninitialized | NotRunning | Error) => true,
        (None | Some(NotRunning | Error), Inactive | Active)
        | (Some(Uninitialized | Inactive | Active), Uninitialized)
        | (Some(Inactive), Inactive)
        | (Some(Active), Active) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_and_a_restart_are_as_they_should_be() {
        let mut states = States::new(1, |_| 1);
        for state in [Uninitialized, Inactive, Active, Inactive, Error, Uninitialized, Active, NotRunning] {
            assert_eq!(states.hear("app1", state), Ok(()));
        }
    }

    /// SM-31
    #[test]
    fn a_step_that_the_diagram_has_not_is_found() {
        for (before, after) in
            [(Uninitialized, Uninitialized), (Inactive, Inactive), (Error, Active), (NotRunning, Inactive)]
        {
            let mut states = States::new(9, |_| 1);
            states.assume("app1", Some(before));
            assert!(states.hear("app1", after).is_err(), "{before:?} {after:?}");
        }
    }

    /// SM-33
    #[test]
    fn one_more_on_stage_than_there_are_decoders_is_found() {
        let mut states = States::new(1, |_| 1);
        states.assume("app1", Some(Active));
        states.assume("app2", Some(Inactive));
        assert!(states.hear("app2", Active).unwrap_err().contains("hold 2 of 1"));
        states.assume("app1", Some(Inactive));
        assert_eq!(states.hear("app1", Error), Ok(()));
    }
}
