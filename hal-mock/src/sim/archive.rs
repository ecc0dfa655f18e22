//! What the machines of a box were told, for who replays it: `greenroomctl trace replay` and `trace diagram` read it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use greenroom_core::hal::ExitStatus;
use greenroom_core::message::AppId;
use greenroom_core::trace::file::Origin;
use greenroom_core::trace::{MachineKind, Polled, Record, Recorder, Replayable, TraceBuffer};
use serde::Serialize;

use crate::party::Party;
use crate::replay::file_of;

/// Of a manager whose tables are full the last minutes, of a session server or an app more.
const BYTES: usize = 1 << 20;
/// So many that have ended are kept beside those that live.
const DEAD_MAX: usize = 8;

/// What one machine was told.
#[derive(Clone)]
pub(super) struct Kept(Rc<RefCell<TraceBuffer<Vec<u8>>>>);

impl Recorder for Kept {
    fn record<M: Replayable, Input: Serialize>(&mut self, machine: &M, record: &Record<Input>) {
        self.0.borrow_mut().record(machine, record);
    }

    fn settle<M: Replayable>(&mut self, machine: &M, before: Polled) {
        self.0.borrow_mut().settle(machine, before);
    }
}

/// The traces of a box: of all who live, and of those who died last.
#[derive(Default)]
pub(super) struct Archive {
    live: Vec<(Party, Origin, Kept)>,
    dead: VecDeque<(Origin, Kept)>,
}

impl Archive {
    /// From now on somebody's machine is recorded.
    pub(super) fn begin(&mut self, party: Party, process_id: u32) -> Option<Kept> {
        let (machine, app) = match party {
            Party::Manager => (MachineKind::Manager, None),
            Party::Server(_) => (MachineKind::Session, None),
            Party::Client { app, .. } => (MachineKind::Client, AppId::new(&format!("app{app}")).ok()),
            Party::Nobody
            | Party::Controller(_)
            | Party::Decoder(_)
            | Party::Presentation(_)
            | Party::Presenter { .. } => return None,
        };
        let kept = Kept(Rc::new(RefCell::new(TraceBuffer::new(vec![0; BYTES]))));
        self.live.push((party, Origin { machine, app, process_id, ended: None }, kept.clone()));
        Some(kept)
    }

    /// Somebody has ended in this way, who served this app.
    pub(super) fn ended(&mut self, party: Party, app: Option<&str>, status: ExitStatus) {
        let Some(place) = self.live.iter().position(|(its, ..)| *its == party) else { return };
        let (_, mut origin, kept) = self.live.remove(place);
        (origin.app, origin.ended) = (app.and_then(|app| AppId::new(app).ok()), Some(status));
        self.dead.push_back((origin, kept));
        if self.dead.len() > DEAD_MAX {
            self.dead.pop_front();
        }
    }

    /// All of it as one file; `app_of` tells which app a session server serves.
    pub(super) fn to_file<'a>(&self, app_of: impl Fn(u32) -> Option<&'a str>) -> Vec<u8> {
        let live = self.live.iter().map(|(_, origin, kept)| {
            let app = origin.app.clone().or_else(|| app_of(origin.process_id).and_then(|app| AppId::new(app).ok()));
            (Origin { app, ..origin.clone() }, kept)
        });
        let all = live.chain(self.dead.iter().map(|(origin, kept)| (origin.clone(), kept)));
        let all: Vec<_> = all.map(|(origin, kept)| (origin, kept.0.borrow().memory().clone())).collect();
        file_of(all.iter().map(|(origin, memory)| (origin, memory.as_slice())))
    }
}
