//! A box, seen from outside the manager: which processes run, who may decode, who waits for an answer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use greenroom_core::hal::{ExitStatus, Signal};
use greenroom_core::manager::{Action, AppHandle, Manager, Settings, SpareDeed, SpareHandle};
use greenroom_core::message::{AppId, Reason, ServerState, TargetState, link};
use greenroom_core::time::Instant;

/// Whose a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    App(AppHandle),
    Spare(SpareHandle),
}

/// A process that was started and not seen to end.
#[derive(Debug)]
struct Process {
    owner: Owner,
    process_id: u32,
    /// Our end and its end of the link.
    is_open_here: bool,
    is_open_there: bool,
    /// What it sends next, if it behaves.
    due: VecDeque<link::Message>,
    last_sequence: u32,
    is_asked: bool,
    /// It was told to become Active, and has not said that it is not.
    may_decode: bool,
    signals: Vec<Signal>,
}

/// An app that was initiated and of which not everything was told.
#[derive(Debug)]
struct Known {
    handle: AppHandle,
    name: AppId,
    told: Option<ServerState>,
    /// When its servers were started, as long as that counts.
    starts: VecDeque<Instant>,
    is_socket_removed: bool,
}

pub(super) struct Model {
    settings: Settings,
    processes: Vec<Process>,
    apps: Vec<Known>,
    gone: Vec<AppHandle>,
    /// What observers were told last, by name.
    told: BTreeMap<String, ServerState>,
    pub(super) waiting: BTreeSet<u32>,
    last_process_id: u32,
    is_ending: bool,
    exits: u32,
}

impl Model {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            processes: Vec::new(),
            apps: Vec::new(),
            gone: Vec::new(),
            told: BTreeMap::new(),
            waiting: BTreeSet::new(),
            last_process_id: 1,
            is_ending: false,
            exits: 0,
        }
    }

    /// Whose the process with this number is, counted from the first.
    pub(super) fn owner(&self, number: u8) -> Option<Owner> {
        let number = usize::from(number).checked_rem(self.processes.len())?;
        Some(self.processes[number].owner)
    }

    fn process(&mut self, owner: Owner) -> &mut Process {
        let found = self.processes.iter_mut().find(|process| process.owner == owner);
        found.unwrap_or_else(|| panic!("{owner:?} has no process"))
    }

    fn has_process(&self, owner: Owner) -> bool {
        self.processes.iter().any(|process| process.owner == owner)
    }

    fn app(&mut self, app: AppHandle) -> &mut Known {
        self.apps.iter_mut().find(|known| known.handle == app).expect("an app that is known")
    }

    /// An app that is not there any more.
    pub(super) fn gone(&self, back: u8) -> Option<AppHandle> {
        let number = usize::from(back).checked_rem(self.gone.len())?;
        Some(self.gone[number])
    }

    pub(super) fn terminate(&mut self) {
        self.is_ending = true;
    }

    pub(super) const fn has_ended(&self) -> bool {
        self.exits > 0
    }

    pub(super) fn start(&mut self, owner: Owner) -> u32 {
        self.last_process_id += 1;
        let up = link::Message::StateChanged { state: ServerState::Uninitialized, reason: None };
        self.processes.push(Process {
            owner,
            process_id: self.last_process_id,
            is_open_here: true,
            is_open_there: true,
            due: VecDeque::from([up]),
            last_sequence: 0,
            is_asked: false,
            may_decode: false,
            signals: Vec::new(),
        });
        self.last_process_id
    }

    /// A process ends; how, if it was sent a signal meanwhile.
    pub(super) fn end(&mut self, owner: Owner, status: ExitStatus) -> ExitStatus {
        let is_killed = self.process(owner).signals.contains(&Signal::Kill);
        self.processes.retain(|process| process.owner != owner);
        if is_killed { ExitStatus::Killed(9) } else { status }
    }

    /// A process that was killed and has not been seen to end.
    pub(super) fn next_killed(&self) -> Option<(Owner, ExitStatus)> {
        let killed = self.processes.iter().find(|process| process.signals.contains(&Signal::Kill));
        killed.map(|process| (process.owner, ExitStatus::Killed(9)))
    }

    pub(super) fn can_say_anything(&self, owner: Owner) -> bool {
        self.processes.iter().any(|process| {
            process.owner == owner
                && process.is_open_here
                && process.is_open_there
                && !process.signals.contains(&Signal::Kill)
        })
    }

    /// Whether the manager can see that.
    pub(super) fn close_link_from_below(&mut self, owner: Owner) -> bool {
        let is_seen = self.can_say_anything(owner);
        let process = self.process(owner);
        process.is_open_there = false;
        process.due.clear();
        is_seen
    }

    pub(super) fn next_due(&mut self, owner: Owner) -> Option<link::Message> {
        self.process(owner).due.pop_front()
    }

    pub(super) fn last_sequence(&self, owner: Owner) -> u32 {
        self.processes.iter().find(|process| process.owner == owner).map_or(0, |process| process.last_sequence)
    }

    /// What it says of itself is true of its decoders.
    pub(super) fn says(&mut self, owner: Owner, message: &link::Message) {
        let process = self.process(owner);
        match message {
            link::Message::StateChanged { state: ServerState::Inactive | ServerState::Error, .. } => {
                process.may_decode = false;
            }
            link::Message::Reply { sequence, result } if *sequence == process.last_sequence => {
                process.is_asked = false;
                process.may_decode &= result.is_ok();
            }
            _ => {}
        }
    }

    /// Does what the manager wants done, if it may want that; gives whose process is to be started.
    pub(super) fn carry_out(
        &mut self,
        now: Instant,
        action: &Action,
        name: Option<AppId>,
        first: Option<TargetState>,
    ) -> Option<Owner> {
        match action {
            Action::Spawn { app } => {
                self.begins(now, *app, name);
                return Some(Owner::App(*app));
            }
            Action::Take { app, spare } => {
                self.begins(now, *app, name);
                let taken = self.process(Owner::Spare(*spare));
                let is_fit = taken.is_open_here && taken.signals.is_empty() && !taken.is_asked;
                assert!(is_fit, "{taken:?} is no server to begin with");
                // The app counts its own requests.
                (taken.owner, taken.last_sequence) = (Owner::App(*app), 0);
            }
            Action::Configure { app, sequence } => {
                let state = first.expect("what is configured is known");
                self.asks(Owner::App(*app), *sequence, Some(state));
            }
            Action::SetState { app, sequence, state } => self.asks(Owner::App(*app), *sequence, Some(*state)),
            Action::Ping { app, sequence } | Action::SetLogLevels { app, sequence, .. } => {
                self.asks(Owner::App(*app), *sequence, None);
            }
            Action::CloseLink { app } => self.close_link(Owner::App(*app)),
            Action::Signal { app, signal } => self.signal(Owner::App(*app), *signal),
            Action::Reply { to, .. } => {
                assert!(self.waiting.remove(&to.sequence), "a second answer to {}, or one to nobody", to.sequence);
            }
            Action::Notify { app, state, reason } => self.notify(app, *state, *reason),
            Action::RemoveSocket { app } => {
                assert!(!self.has_process(Owner::App(*app)), "its server has the socket still");
                // One that never started a server was not seen before.
                if let Some(known) = self.apps.iter_mut().find(|known| known.handle == *app) {
                    assert!(!known.is_socket_removed, "removed twice");
                    known.is_socket_removed = true;
                }
            }
            Action::ApplyLogLevels(_) => {}
            Action::Exit => {
                assert!(self.is_ending, "nobody told it to end");
                self.exits += 1;
                assert_eq!(self.exits, 1, "it ends once");
            }
            Action::Spare { spare, deed } => return self.spare(*spare, *deed),
        }
        None
    }

    fn spare(&mut self, spare: SpareHandle, deed: SpareDeed) -> Option<Owner> {
        let owner = Owner::Spare(spare);
        match deed {
            SpareDeed::Spawn => {
                assert!(!self.has_process(owner), "{spare:?} is started once");
                let spares = self.processes.iter().filter(|process| matches!(process.owner, Owner::Spare(_))).count();
                assert!(spares < usize::from(self.settings.spares), "more spares than are wanted");
                assert!(!self.is_ending, "nothing is started on the way out");
                return Some(owner);
            }
            SpareDeed::Stop { sequence } => self.asks(owner, sequence, Some(TargetState::NotRunning)),
            SpareDeed::Ping { sequence } => self.asks(owner, sequence, None),
            SpareDeed::CloseLink => self.process(owner).is_open_here = false,
            SpareDeed::Signal(signal) => self.signal(owner, signal),
        }
        None
    }

    /// SM-30, SM-36: a server of an app starts where the one before was seen to end, and not too often.
    fn begins(&mut self, now: Instant, app: AppHandle, name: Option<AppId>) {
        assert!(!self.has_process(Owner::App(app)), "the server before has not been seen to end");
        let name = name.expect("an app that is to have a server is in the table");
        if !self.apps.iter().any(|known| known.handle == app) {
            assert!(!self.gone.contains(&app), "{app:?} was another app's name");
            assert!(!self.is_ending, "nothing new is started on the way out");
            let starts = VecDeque::new();
            self.apps.push(Known { handle: app, name: name.clone(), told: None, starts, is_socket_removed: false });
        }
        let (window, intensity) = (self.settings.restart_window, self.settings.restart_intensity as usize);
        let is_restarted = self.settings.restart;
        let known = self.app(app);
        assert_eq!(known.name, name);
        assert!(!known.is_socket_removed, "its socket was removed: no other server follows");
        known.starts.push_back(now);
        known.starts.retain(|start| now.since(*start) < window);
        assert!(is_restarted || known.starts.len() == 1, "nothing is to be restarted");
        // A window of the manager's may have closed in the midst of this one.
        assert!(known.starts.len() <= 2 * intensity + 1, "{name} was started {} times", known.starts.len());
    }

    /// At most one request is outstanding, and no number is used twice.
    fn asks(&mut self, owner: Owner, sequence: u32, state: Option<TargetState>) {
        let is_spare = matches!(owner, Owner::Spare(_));
        let process = self.process(owner);
        assert!(process.is_open_here, "there is no link to ask on");
        assert!(sequence > process.last_sequence || is_spare, "number {sequence} was used");
        // What a spare is asked to do while it hangs, and what it is asked to end by, go one after the other.
        assert!(!process.is_asked || is_spare || state == Some(TargetState::NotRunning), "it was asked already");
        (process.last_sequence, process.is_asked) = (sequence, true);
        process.due.push_back(link::Message::Reply { sequence, result: Ok(()) });
        if let Some(target) = state {
            process.due.push_back(link::Message::StateChanged { state: target.into(), reason: None });
            process.may_decode |= target == TargetState::Active;
        }
    }

    fn close_link(&mut self, owner: Owner) {
        // A server that has ended has no process any more, and its link is closed behind it.
        if let Some(process) = self.processes.iter_mut().find(|process| process.owner == owner) {
            assert!(process.is_open_here, "its link was closed before");
            process.is_open_here = false;
        }
    }

    fn signal(&mut self, owner: Owner, signal: Signal) {
        let process = self.process(owner);
        assert!(!process.signals.contains(&signal), "{signal:?} was sent before");
        assert!(!process.signals.contains(&Signal::Kill), "nothing follows KILL");
        process.signals.push(signal);
    }

    /// SM-31: each notification follows the diagram, and Active is true.
    fn notify(&mut self, app: &AppId, state: ServerState, reason: Option<Reason>) {
        use ServerState::{Active, Error, Inactive, NotRunning, Uninitialized};
        let before = self.told.get(app.as_str()).copied();
        let follows = match (before, state) {
            (None, Uninitialized | NotRunning | Error)
            | (Some(Uninitialized), Inactive | Active | NotRunning | Error)
            | (Some(Inactive), Active | NotRunning | Error)
            | (Some(Active), Inactive | NotRunning | Error)
            | (Some(Error), NotRunning | Uninitialized | Error) => true,
            (None, Inactive | Active)
            | (Some(Uninitialized), Uninitialized)
            | (Some(Inactive), Uninitialized | Inactive)
            | (Some(Active), Uninitialized | Active)
            | (Some(Error), Inactive | Active)
            | (Some(NotRunning), _) => false,
        };
        assert!(follows, "{app}: {state:?} ({reason:?}) after {before:?}");
        let is_told_why = matches!(state, Error | NotRunning) || reason == Some(Reason::DecodersTaken);
        assert_eq!(reason.is_some(), is_told_why, "{state:?} {reason:?}");
        self.told.insert(app.as_str().to_owned(), state);
        if let Some(known) = self.apps.iter_mut().find(|known| known.name == *app) {
            known.told = Some(state);
        }
    }

    /// What must be between any two inputs.
    pub(super) fn check<const APPS: usize>(&mut self, now: Instant, manager: &Manager<APPS>) {
        self.bury(manager);
        let of_box = manager.box_status();
        let mut held = 0;
        for app in manager.apps() {
            let status = manager.status(now, app).expect("an app in the table");
            held += status.decoders;
            let process = self.processes.iter().find(|process| process.owner == Owner::App(app));
            assert_eq!(status.process_id, process.map_or(0, |process| process.process_id), "{status:?}");
            // SM-33, SM-40: what a server may use is reserved until it is seen to have let go.
            let used =
                process.filter(|process| process.may_decode).map_or(0, |_| status.resources.max_playback_sessions);
            assert!(used <= status.decoders, "{} uses {used} and holds {}", status.app, status.decoders);
            let told = self.told.get(status.app.as_str()).copied();
            assert!(status.state.is_none() || status.state == told, "{status:?}, and observers know {told:?}");
        }
        assert_eq!(held + of_box.decoders_free, of_box.decoders, "every decoder is free or held");
    }

    /// Apps that are in the table no more: the last that was told of them is an end, and nothing of them is left.
    fn bury<const APPS: usize>(&mut self, manager: &Manager<APPS>) {
        while let Some(place) = self.apps.iter().position(|known| manager.app_id(known.handle).is_none()) {
            let known = self.apps.remove(place);
            assert!(!self.has_process(Owner::App(known.handle)), "{} has gone and its process has not", known.name);
            assert!(known.is_socket_removed, "{} has left its socket", known.name);
            let told = self.told.remove(known.name.as_str());
            // Whose first process could not be started was never told of.
            assert!(matches!(told, None | Some(ServerState::Error | ServerState::NotRunning)), "{told:?} is no end");
            self.gone.push(known.handle);
        }
    }

    /// What must be when the manager has ended.
    pub(super) fn check_end<const APPS: usize>(&self, manager: &Manager<APPS>) {
        assert_eq!(self.exits, 1, "it has ended");
        assert!(self.processes.is_empty(), "left: {:?}", self.processes);
        assert!(self.waiting.is_empty(), "never answered: {:?}", self.waiting);
        assert_eq!(manager.apps().count(), 0);
        assert_eq!(manager.box_status().decoders_free, self.settings.decoders);
    }
}
