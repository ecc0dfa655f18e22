//! Who may read what was recorded: the manager's trace, those of the session servers that there are, and of each app's
//! session server that crashed last.

use heapless::Vec;

use super::{ControlDescriptor, ManagerDriver, ManagerHost, Ticket};
use crate::hal::{Child, Descriptors, ExitStatus, Spawn};
use crate::message::AppId;
use crate::message::control::Answer;
use crate::trace::file::Origin;
use crate::trace::{MachineKind, Recorder};

/// How a session server ends that was asked to.
const IN_ORDER: ExitStatus = ExitStatus::Exited(0);

/// A session server that has ended otherwise than it was asked to, and its trace.
struct Crashed<D> {
    origin: Origin,
    trace: D,
}

/// The traces of session servers that have ended, at most one an app; a new one takes the place of the oldest.
pub(super) struct Crashes<H: ManagerHost, const N: usize> {
    kept: Vec<Crashed<ControlDescriptor<H>>, N>,
}

impl<H: ManagerHost, const N: usize> Crashes<H, N> {
    pub(super) const fn new() -> Self {
        Self { kept: Vec::new() }
    }

    fn keep(&mut self, origin: Origin, trace: ControlDescriptor<H>) {
        self.kept.retain(|earlier| earlier.origin.app != origin.app);
        if self.kept.is_full() {
            self.kept.remove(0);
        }
        // There is room now.
        let _ = self.kept.push(Crashed { origin, trace });
    }
}

impl<H: ManagerHost, R: Recorder, const APPS: usize> ManagerDriver<H, R, APPS> {
    /// Keeps the trace of a session server that has ended, if it tells why.
    pub(super) fn note_end(&mut self, app: Option<AppId>, child: &<H::Spawn as Spawn>::Child, status: ExitStatus) {
        if status == IN_ORDER {
            return;
        }
        if let Some(trace) = self.host.trace_of(child) {
            let origin = Origin { ended: Some(status), ..server(app, child.process_id()) };
            self.crashes.keep(origin, trace);
        }
    }

    /// Gives the next trace from a place on. The machine has no part in it: what it is told is what is read now.
    pub(super) fn give_trace(&mut self, to: Ticket, from: u16) {
        self.machine.settle_for_reader();
        let places = 1 + self.servers.capacity() + self.spares.capacity() + self.crashes.kept.len();
        for place in usize::from(from)..places {
            let Some((origin, trace)) = self.trace_at(place) else { continue };
            let next = u16::try_from(place).map_or(u16::MAX, |place| place.saturating_add(1));
            let descriptors: Descriptors<_> = [trace].into_iter().collect();
            return self.controllers.give(self.host.watch(), to, Answer::Trace { next, origin }, descriptors);
        }
        self.controllers.reply(self.host.watch(), to, Ok(Answer::Done));
    }

    /// The manager's, then those of the apps, of the spares, and of those that have crashed.
    fn trace_at(&mut self, place: usize) -> Option<(Origin, ControlDescriptor<H>)> {
        let Some(place) = place.checked_sub(1) else {
            let (process_id, trace) = self.host.own_trace()?;
            return Some((Origin { machine: MachineKind::Manager, ..server(None, process_id) }, trace));
        };
        if let Some((owner, child)) = self.servers.child_at(place) {
            return Some((server(self.machine.app_id(owner).cloned(), child.process_id()), self.host.trace_of(child)?));
        }
        let place = place.checked_sub(self.servers.capacity())?;
        if let Some((_, child)) = self.spares.child_at(place) {
            return Some((server(None, child.process_id()), self.host.trace_of(child)?));
        }
        let crashed = self.crashes.kept.get(place.checked_sub(self.spares.capacity())?)?;
        Some((crashed.origin.clone(), self.host.duplicate_trace(&crashed.trace)?))
    }
}

const fn server(app: Option<AppId>, process_id: u32) -> Origin {
    Origin { machine: MachineKind::Session, app, process_id, ended: None }
}
