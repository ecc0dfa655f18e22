//! When which fault strikes whom.

mod crowd;
mod messages;

use std::time::Duration;

use greenroom_core::hal::{ErrorKind, ExitStatus};
use greenroom_core::limits::APPS_MAX;
use greenroom_core::message::control::Command;
use greenroom_core::message::{ServerState, TargetState, link, playback};
use greenroom_core::time::Instant;

use self::messages::forge;
use super::fault::{FAULTS, Fault, FaultSet};
use super::guest::Guest;
use super::server::ServerProcess;
use super::tv_box::{Grain, Start, TvBox};
use crate::error::Call;
use crate::memory::Unrest;
use crate::party::Party;
use crate::world::Felt;

/// What is to happen later, because of a fault.
#[derive(Debug)]
enum Later {
    /// The session server of this app crashes again.
    Crash(String),
    /// Connections flow again, and late messages arrive.
    LetGo,
    /// The decoders of all servers are as they should be.
    CalmDecoders,
    /// The box has all its decoders again.
    AllDecoders,
    /// Time is seen as it is.
    FineClock,
    /// Memory rests, whoever has it by then.
    CalmMemory(Unrest),
    /// An app's connection ends.
    Leave(usize),
    /// In the name of the server with this number comes an answer to a request of long ago.
    StaleReply(u32),
    /// Apps that were started to fill the table are ended.
    EndCrowd(usize),
}

/// The controller that starts crowds of apps.
const CROWD_CONTROLLER: usize = 1;
/// Guests have numbers from here on.
const FIRST_GUEST: u16 = 1000;

/// The faults of one run.
pub(super) struct Weather {
    enabled: FaultSet,
    weights: [u32; FAULTS],
    mean_ms: u64,
    pub(super) next_at: Instant,
    later: Vec<(Instant, Later)>,
    guests: Vec<Guest>,
    last_guest: u16,
    last_dead: Option<u32>,
    /// What is planned and must happen until a fault has struck.
    planned: Vec<(Felt, Fault)>,
    /// Time that passed while the box was suspended.
    pub(super) suspended: Duration,
}

impl Weather {
    /// Of these classes a random half, each with a random weight.
    pub(super) fn of_seed(tv: &TvBox, allowed: FaultSet, swarm: bool) -> Self {
        let mut enabled = FaultSet::NONE;
        let mut weights = [0; FAULTS];
        for fault in Fault::ALL {
            let is_on = !swarm || tv.world.random(2) == 0;
            let weight = 1 + tv.world.random(100) as u32;
            // It ends all that the others would strike.
            weights[*fault as usize] = if *fault == Fault::ManagerKilled { weight.div_ceil(12) } else { weight };
            if is_on && allowed.contains(*fault) {
                enabled = enabled.with(*fault);
            }
        }
        let mean_ms = 1000 << tv.world.random(4);
        Self {
            enabled,
            weights,
            mean_ms,
            next_at: tv.now(),
            later: Vec::new(),
            guests: Vec::new(),
            last_guest: FIRST_GUEST,
            last_dead: None,
            planned: Vec::new(),
            suspended: Duration::ZERO,
        }
    }

    /// When something is to happen next.
    pub(super) fn due(&self) -> Instant {
        let guests = self.guests.iter().map(|guest| guest.leaves_at);
        self.later.iter().map(|(at, _)| *at).chain(guests).fold(self.next_at, Instant::min)
    }

    /// Everything that is due.
    pub(super) fn act(&mut self, tv: &mut TvBox) {
        let now = tv.now();
        self.count_felt(tv);
        self.guests.retain(|guest| guest.leaves_at > now);
        while let Some(place) = self.later.iter().position(|(at, _)| *at <= now) {
            let (_, later) = self.later.remove(place);
            self.catch_up(tv, later);
        }
        if self.next_at <= now {
            self.next_at = now.after(Duration::from_millis(1 + tv.world.random(2 * self.mean_ms)));
            if let Some(fault) = self.choose(tv)
                && let Some(whom) = self.strike(tv, fault)
            {
                tv.book.fault(fault, whom);
            }
        }
    }

    /// What was planned counts when it has happened.
    fn count_felt(&mut self, tv: &TvBox) {
        for felt in tv.world.take_felt() {
            if let Some(place) = self.planned.iter().position(|(planned, _)| *planned == felt) {
                tv.book.struck(self.planned.remove(place).1);
            }
        }
    }

    fn fail_next(&mut self, tv: &TvBox, fault: Fault, party: Party, call: Call, kind: ErrorKind) {
        tv.world.fail_next_of(party, call, kind);
        self.planned.push((Felt::Call(party, call), fault));
    }

    /// No more faults; what lasts, ends.
    pub(super) fn clear(&mut self, tv: &mut TvBox) {
        self.count_felt(tv);
        self.guests.clear();
        for (_, later) in std::mem::take(&mut self.later) {
            if !matches!(later, Later::Crash(_)) {
                self.catch_up(tv, later);
            }
        }
        tv.world.forgive();
        tv.world.let_go();
        tv.next_start = Start::default();
        self.catch_up(tv, Later::CalmDecoders);
        self.catch_up(tv, Later::AllDecoders);
        self.catch_up(tv, Later::FineClock);
        let now = tv.now();
        tv.manager.stalled_until = now;
        tv.servers.iter_mut().for_each(|server| server.stalled_until = now);
        tv.controllers.iter_mut().for_each(|controller| controller.stalled_until = now);
        for viewer in &mut tv.viewers {
            viewer.client.stalled_until = now;
            viewer.calm_down();
        }
    }

    fn choose(&self, tv: &TvBox) -> Option<Fault> {
        let weight = |fault: &Fault| if self.enabled.contains(*fault) { self.weights[*fault as usize] } else { 0 };
        let total: u32 = Fault::ALL.iter().map(weight).sum();
        let mut place = tv.world.random(u64::from(total).max(1)) as u32;
        Fault::ALL.iter().copied().find(|fault| {
            let its = weight(fault);
            let is_it = place < its;
            place = place.saturating_sub(its);
            is_it
        })
    }

    fn later(&mut self, tv: &TvBox, at_least_ms: u64, at_most_ms: u64, what: Later) {
        let after = at_least_ms + tv.world.random(at_most_ms - at_least_ms + 1);
        self.later.push((tv.now().after(Duration::from_millis(after)), what));
    }

    fn catch_up(&mut self, tv: &mut TvBox, later: Later) {
        match later {
            Later::Crash(app) => {
                tv.end_server(&app, ExitStatus::Killed(11));
            }
            Later::LetGo => tv.world.let_go(),
            Later::CalmDecoders => tv.servers.iter().for_each(|server| server.decoder.set_mood(Default::default())),
            Later::AllDecoders => tv.hardware.limit(tv.hardware.total()),
            Later::FineClock => tv.grain = Grain(1),
            Later::CalmMemory(unrest) => drop(unrest),
            Later::Leave(viewer) => leave(tv, viewer),
            Later::StaleReply(process_id) => {
                let Some(place) = tv.servers.iter().position(|server| server.id() == process_id) else { return };
                let reply = link::Message::Reply { sequence: tv.world.random(3) as u32, result: Ok(()) };
                if let Some(party) = forge(tv, place, &reply) {
                    tv.book.fault(Fault::StaleMessage, party);
                }
            }
            Later::EndCrowd(next) => {
                for number in next..APPS_MAX + 2 {
                    let app = format!("crowd{number}");
                    let command = Command::ChangeState { app: &app, state: TargetState::NotRunning };
                    if tv.ask_as(CROWD_CONTROLLER, command).is_none() {
                        return self.later(tv, 50, 100, Later::EndCrowd(number));
                    }
                }
            }
        }
    }

    /// A session server that faults may strike: never that of the bystander.
    fn server(&self, tv: &TvBox) -> Option<usize> {
        self.server_that(tv, |_| true)
    }

    fn server_that(&self, tv: &TvBox, suits: impl Fn(&ServerProcess) -> bool) -> Option<usize> {
        let count = tv.servers.len();
        let start = tv.world.random(count.max(1) as u64) as usize;
        let referee = tv.book.referee.borrow();
        (0..count).map(|step| (start + step) % count).find(|place| {
            let server = &tv.servers[*place];
            !server.has_ended && referee.app_of(server.id()).is_some_and(|app| app != BYSTANDER) && suits(server)
        })
    }

    fn viewer(&self, tv: &TvBox, suits: impl Fn(&super::viewer::Viewer) -> bool) -> Option<usize> {
        let count = tv.viewers.len();
        let start = tv.world.random(count.max(1) as u64) as usize;
        (0..count).map(|step| (start + step) % count).find(|place| {
            let viewer = &tv.viewers[*place];
            app_number(viewer.client.party) != Some(0) && suits(viewer)
        })
    }

    fn controller(&self, tv: &TvBox) -> Option<usize> {
        let others = tv.controllers.len().checked_sub(1).filter(|others| *others > 0)?;
        let place = 1 + tv.world.random(others as u64) as usize;
        tv.controllers[place].is_connected().then_some(place)
    }

    fn crash(&mut self, tv: &mut TvBox) -> Option<Party> {
        let place = self.server(tv)?;
        let party = tv.servers[place].party();
        self.last_dead = Some(tv.servers[place].id());
        let signal = if tv.world.random(2) == 0 { 11 } else { 6 };
        tv.servers[place].end(ExitStatus::Killed(signal));
        Some(party)
    }

    /// The fault happens to somebody, unless there is nobody whom it could happen to.
    fn strike(&mut self, tv: &mut TvBox, fault: Fault) -> Option<Party> {
        match fault {
            Fault::SpawnFails
            | Fault::SlowStart
            | Fault::NeverReady
            | Fault::CrashAtStart
            | Fault::ReusedProcessId
            | Fault::ExhaustedRecovery => self.spoil_start(tv, fault),
            Fault::ReadyTwice
            | Fault::Crash
            | Fault::ExitUnasked
            | Fault::IgnoredTerminate
            | Fault::SlowExit
            | Fault::Stopped
            | Fault::CrashLoop => self.strike_process(tv, fault),
            Fault::WouldBlock
            | Fault::LateMessage
            | Fault::MissingDescriptors
            | Fault::WrongDescriptors
            | Fault::Garbage
            | Fault::StaleMessage => self.strike_message(tv, fault),
            Fault::ClientCloses
            | Fault::ControllerCloses
            | Fault::SlowReader
            | Fault::ReconnectStorm
            | Fault::AcceptFails
            | Fault::WatchFails => self.strike_connection(tv, fault),
            Fault::CursorJumps
            | Fault::LyingLength
            | Fault::ChangingWords
            | Fault::LostBell
            | Fault::BellStorm
            | Fault::NoMemory => self.strike_memory(tv, fault),
            Fault::NeverReleases
            | Fault::SlowPreroll
            | Fault::DecoderError
            | Fault::NoEndOfStream
            | Fault::BlockedFlush
            | Fault::StuckDecoder
            | Fault::FewerDecoders
            | Fault::FailsInPlay => self.strike_decoder(tv, fault),
            Fault::CoarseClock | Fault::Suspend | Fault::LateCallback | Fault::EqualDeadlines => {
                self.strike_time(tv, fault)
            }
            Fault::ManagerKilled => {
                tv.kill_manager(Duration::from_millis(50 + tv.world.random(3000)));
                Some(Party::Manager)
            }
            Fault::AppsFull | Fault::ControllersFull | Fault::ClientsFull | Fault::SessionsFull => self.fill(tv, fault),
        }
    }

    /// What befalls the process that follows one that crashes now.
    fn spoil_start(&mut self, tv: &mut TvBox, fault: Fault) -> Option<Party> {
        let dead = self.last_dead.filter(|dead| tv.servers.iter().all(|server| server.id() != *dead));
        let party = self.crash(tv)?;
        match fault {
            Fault::SlowStart => tv.next_start.delay_ms = Some(200 + tv.world.random(1200) as u32),
            Fault::NeverReady => tv.next_start.never = true,
            Fault::CrashAtStart => tv.next_start.dies_after_ms = Some(tv.world.random(40) as u32),
            Fault::ReusedProcessId => tv.world.reuse_process_id(dead?),
            Fault::ExhaustedRecovery => {
                self.fail_next(tv, fault, Party::Manager, Call::Spawn, ErrorKind::Exhausted);
                tv.world.fail_next_of(Party::Manager, Call::Spawn, ErrorKind::Exhausted);
                tv.world.fail_next_of(Party::Manager, Call::Watch, ErrorKind::Exhausted);
                return Some(party);
            }
            _ => {
                let kinds = [ErrorKind::Exhausted, ErrorKind::NotFound, ErrorKind::Denied, ErrorKind::Other];
                let kind = kinds[tv.world.random(4) as usize];
                self.fail_next(tv, fault, Party::Manager, Call::Spawn, kind);
                return Some(party);
            }
        }
        tv.next_start.faults = tv.next_start.faults.with(fault);
        Some(party)
    }

    fn strike_process(&mut self, tv: &mut TvBox, fault: Fault) -> Option<Party> {
        let now = tv.now();
        match fault {
            Fault::Crash => return self.crash(tv),
            Fault::ReadyTwice => {
                let up = link::Message::StateChanged { state: ServerState::Uninitialized, reason: None };
                return forge(tv, self.server(tv)?, &up);
            }
            _ => {}
        }
        let place = self.server(tv)?;
        let party = tv.servers[place].party();
        let chance = tv.world.random(5000) as u32;
        let server = &mut tv.servers[place];
        match fault {
            Fault::ExitUnasked => server.end(ExitStatus::Exited(0)),
            Fault::IgnoredTerminate => server.hangs = true,
            Fault::SlowExit => (server.hangs, server.lingers_ms) = (true, 1 + chance),
            Fault::Stopped => server.stalled_until = now.after(Duration::from_millis(u64::from(chance) * 6)),
            _ => {
                let app = tv.book.referee.borrow().app_of(server.id())?.to_owned();
                server.end(ExitStatus::Killed(11));
                for turn in 1..12 {
                    self.later(tv, turn * 900, turn * 1000, Later::Crash(app.clone()));
                }
            }
        }
        Some(party)
    }

    /// Somebody new at the control socket, or at the socket of some app.
    fn guest(&mut self, tv: &TvBox, at_manager: bool, leaves_at: Instant) -> Option<Guest> {
        self.last_guest = self.last_guest.wrapping_add(1).max(FIRST_GUEST);
        if at_manager {
            return Guest::at_manager(&tv.world, self.last_guest, leaves_at);
        }
        let viewer = self.viewer(tv, |_| true)?;
        let app = app_number(tv.viewers[viewer].client.party)?;
        Guest::at_app(&tv.world, app, self.last_guest, leaves_at)
    }

    fn strike_connection(&mut self, tv: &mut TvBox, fault: Fault) -> Option<Party> {
        let now = tv.now();
        match fault {
            Fault::ClientCloses => {
                let place = self.viewer(tv, |viewer| viewer.session().is_some())?;
                let session = tv.viewers[place].session()?;
                let party = tv.viewers[place].client.party;
                tv.world.act_as(party);
                tv.viewers[place].extra(playback::Command::GetPosition { session });
                leave(tv, place);
                Some(party)
            }
            Fault::ControllerCloses => {
                let place = self.controller(tv)?;
                tv.ask_as(place, Command::List { from: 0 });
                tv.controllers[place].close();
                Some(tv.controllers[place].party)
            }
            Fault::SlowReader => {
                let until = now.after(Duration::from_millis(1000 + tv.world.random(60_000)));
                if let Some(place) = self.controller(tv).filter(|_| tv.world.random(2) == 0) {
                    tv.controllers[place].stalled_until = until;
                    return Some(tv.controllers[place].party);
                }
                let place = self.viewer(tv, |viewer| viewer.client.is_connected())?;
                tv.viewers[place].client.stalled_until = until;
                Some(tv.viewers[place].client.party)
            }
            Fault::ReconnectStorm => {
                let before = self.guests.len();
                for _ in 0..20 {
                    let leaves_at = now.after(Duration::from_millis(tv.world.random(200)));
                    let Some(mut guest) = self.guest(tv, false, leaves_at) else { continue };
                    guest.greet();
                    self.guests.push(guest);
                }
                (self.guests.len() > before).then_some(Party::Nobody)
            }
            _ => {
                let call = if fault == Fault::AcceptFails { Call::Accept } else { Call::Watch };
                let at_manager = tv.world.random(2) == 0;
                let party = if at_manager { Party::Manager } else { tv.servers[self.server(tv)?].party() };
                self.fail_next(tv, fault, party, call, ErrorKind::Exhausted);
                let guest = self.guest(tv, at_manager, now.after(Duration::from_secs(1)));
                self.guests.extend(guest);
                Some(party)
            }
        }
    }

    fn strike_memory(&mut self, tv: &mut TvBox, fault: Fault) -> Option<Party> {
        if fault == Fault::NoMemory {
            let calls = [Call::CreateMemory, Call::CreateBell, Call::Populate, Call::DuplicateRegion];
            let party = tv.servers[self.server(tv)?].party();
            let call = calls[tv.world.random(4) as usize];
            self.fail_next(tv, fault, party, call, ErrorKind::Exhausted);
            return Some(party);
        }
        let place = self.viewer(tv, |viewer| viewer.streams().next().is_some())?;
        let party = tv.viewers[place].client.party;
        let word = tv.world.random(1 << 32) as u32;
        tv.book.taint(tv.book.referee.borrow().serves(party)?);
        let viewer = &tv.viewers[place];
        let stream = viewer.streams().next()?;
        match fault {
            Fault::CursorJumps => stream.jump(word >> tv.world.random(32)),
            Fault::LyingLength => stream.lie(word),
            Fault::ChangingWords => {
                let unrest = stream.be_restless(u64::from(word) << 1 | 1);
                self.later(tv, 500, 20_000, Later::CalmMemory(unrest));
            }
            Fault::LostBell => self.fail_next(tv, fault, party, Call::Ring, ErrorKind::Exhausted),
            _ => stream.storm(),
        }
        Some(party)
    }

    fn strike_decoder(&mut self, tv: &mut TvBox, fault: Fault) -> Option<Party> {
        if fault == Fault::FewerDecoders {
            tv.hardware.limit(tv.world.random(u64::from(tv.hardware.total())) as u8);
            self.later(tv, 1000, 60_000, Later::AllDecoders);
            return Some(Party::Nobody);
        }
        let plays = |server: &ServerProcess| server.decoder.open_sessions() > 0;
        let place = self.server_that(tv, plays).or_else(|| self.server(tv))?;
        let chance = tv.world.random(4000) as u32;
        let decoder = &tv.servers[place].decoder;
        let mut mood = decoder.mood();
        match fault {
            Fault::NeverReleases => mood.keeps = true,
            Fault::SlowPreroll => mood.slow_ms = 300 + chance,
            Fault::DecoderError => mood.fails = true,
            Fault::NoEndOfStream => mood.hides_end = true,
            Fault::BlockedFlush => mood.blocked_flush_ms = 300 + chance,
            Fault::StuckDecoder => mood.is_stuck = true,
            _ => mood.fails_in_play = true,
        }
        decoder.set_mood(mood);
        self.later(tv, 5_000, 30_000, Later::CalmDecoders);
        Some(Party::Decoder(tv.servers[place].id()))
    }

    fn strike_time(&mut self, tv: &mut TvBox, fault: Fault) -> Option<Party> {
        let now = tv.now();
        match fault {
            Fault::CoarseClock | Fault::EqualDeadlines => {
                tv.grain = Grain(if fault == Fault::CoarseClock { 10 + tv.world.random(90) } else { 1000 });
                self.later(tv, 5_000, 30_000, Later::FineClock);
                Some(Party::Nobody)
            }
            Fault::Suspend => {
                let jump = Duration::from_millis(1 << (10 + tv.world.random(15)));
                self.suspended += jump;
                tv.world.advance(jump);
                Some(Party::Nobody)
            }
            _ => {
                let until = now.after(Duration::from_millis(1 + tv.world.random(500)));
                if tv.world.random(3) == 0 || tv.servers.is_empty() {
                    tv.manager.stalled_until = until;
                    return Some(Party::Manager);
                }
                // The bystander, too: half a second costs nobody anything.
                let place = tv.world.random(tv.servers.len() as u64) as usize;
                let server = &mut tv.servers[place];
                server.stalled_until = server.stalled_until.max(until);
                Some(server.party())
            }
        }
    }
}

/// The app that nothing happens to, so that it must see nothing of what happens to others (SM-35, SM-36).
pub(super) const BYSTANDER: &str = "app0";

fn leave(tv: &mut TvBox, place: usize) {
    let Some(viewer) = tv.viewers.get_mut(place) else { return };
    tv.world.act_as(viewer.client.party);
    viewer.client.disconnect();
    tv.world.act_as(Party::Nobody);
}

const fn app_number(party: Party) -> Option<u16> {
    match party {
        Party::Client { app, .. } => Some(app),
        _ => None,
    }
}
