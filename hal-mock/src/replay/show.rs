//! Steps and states for people.

use std::fmt::{self, Write};

use greenroom_core::client::{self, Client};
use greenroom_core::manager::{self, Manager};
use greenroom_core::session::{self, Server};
use greenroom_core::time::Instant;
use greenroom_core::trace::MachineKind;
use greenroom_core::trace::file::Origin;

use super::{Outcome, Shown, Step, Told};

/// A time of the box, in seconds.
pub(super) struct Seconds(pub(super) Instant);

impl fmt::Display for Seconds {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.0.as_millis();
        write!(out, "{}.{:03} s", milliseconds / 1000, milliseconds % 1000)
    }
}

/// Whose a line is: there are many of them.
struct Brief<'a>(&'a Origin);

impl fmt::Display for Brief<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin { machine, app, process_id, .. } = self.0;
        match (machine, app) {
            (MachineKind::Manager, _) => write!(out, "manager [{process_id}]"),
            (MachineKind::Session, Some(app)) => write!(out, "server of {app} [{process_id}]"),
            (MachineKind::Session, None) => write!(out, "spare [{process_id}]"),
            (MachineKind::Client, _) => write!(out, "client [{process_id}]"),
        }
    }
}

impl Shown for Manager {
    fn told<'a>(
        &'a self,
        input: &'a manager::Input<'_>,
        taken: Result<(), manager::Stale>,
        actions: &'a [manager::Action],
    ) -> Told<'a> {
        Told::Manager { input: *input, taken, actions, machine: self }
    }

    fn state(&self, now: Instant) -> String {
        let status = self.box_status();
        let mut text = format!(
            "{} of {} decoder(s) free, {} spare(s), {} refusal(s)",
            status.decoders_free, status.decoders, status.spares, status.refusals
        );
        for status in self.apps().filter_map(|app| self.status(now, app)) {
            let is = status.state.map_or("starting".to_owned(), |state| format!("{state:?}"));
            // Writing to a string cannot fail.
            let _ = write!(text, "; {} {is}, {} decoder(s), {} client(s)", status.app, status.decoders, status.clients);
        }
        text
    }
}

impl Shown for Server {
    fn told<'a>(
        &'a self,
        input: &'a session::Input<'_>,
        taken: Result<(), session::NotTaken>,
        actions: &'a [session::Action],
    ) -> Told<'a> {
        Told::Session { input: *input, taken, actions, machine: self }
    }

    fn state(&self, _: Instant) -> String {
        let (state, sessions, stale) = (self.app_state(), self.sessions(), self.stale());
        format!("clients are told {state:?}; {sessions} playback session(s), {stale} stale input(s)")
    }
}

impl Shown for Client {
    fn told<'a>(
        &'a self,
        input: &'a client::Input<'_>,
        taken: Result<(), client::NotTaken>,
        actions: &'a [client::Action],
    ) -> Told<'a> {
        Told::Client { input: *input, taken, actions, machine: self }
    }

    fn state(&self, _: Instant) -> String {
        format!(
            "{:?}, application {:?}, {} call(s) waiting",
            self.connection(),
            self.application(),
            self.calls_waiting()
        )
    }
}

/// What was told on one line, and each action on one of its own.
impl fmt::Display for Step<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:>14}  {}  #{}  ", Seconds(self.at).to_string(), Brief(self.origin), self.number)?;
        match &self.told {
            Told::Manager { input, taken, actions, .. } => lines(out, input, taken, actions),
            Told::Session { input, taken, actions, .. } => lines(out, input, taken, actions),
            Told::Client { input, taken, actions, .. } => lines(out, input, taken, actions),
        }
    }
}

fn lines<I: fmt::Debug, R: fmt::Debug, A: fmt::Debug>(
    out: &mut fmt::Formatter<'_>,
    input: &I,
    taken: &Result<(), R>,
    actions: &[A],
) -> fmt::Result {
    write!(out, "{input:?}")?;
    if let Err(refusal) = taken {
        write!(out, "  not taken: {refusal:?}")?;
    }
    actions.iter().try_for_each(|action| write!(out, "\n{:>18} {action:?}", "->"))
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, segments, inputs, compared, from, to, checksum, state, .. } = self;
        write!(
            out,
            "{origin}: {inputs} input(s) in {segments} segment(s) from {} to {}",
            Seconds(*from),
            Seconds(*to)
        )?;
        write!(out, ", state compared {compared} time(s)")?;
        if self.gaps > 0 {
            write!(out, ", {} gap(s)", self.gaps)?;
        }
        match self.inputs_since {
            0 => write!(out, "; the final state is the recorded one, {checksum:08x}: {state}"),
            since => write!(
                out,
                "; the last {since} input(s) came after the last recorded state, now {checksum:08x}: {state}"
            ),
        }
    }
}
