//! When which fault strikes whom.

mod content;
mod crowd;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use greenroom_core::hal::ErrorKind;
use greenroom_core::limits::PAGE_LOAD_TIMEOUT;
use greenroom_core::message::presentation::ConnectionState;
use greenroom_core::time::Instant;

use super::controller::{Controller, Oddity};
use super::fault::{Area, FAULTS, Fault};
use super::lan::{Lan, STEADY_STATION};
use super::page::Manner;
use super::screen::Plan;
use super::station::CONTROL_PORT;
use super::stranger::Stranger;
use crate::cable::Cable;
use crate::error::Call;
use crate::party::Party;

/// Boxes from this one on have nothing that must not notice anything.
const FIRST_STRUCK_STATION: usize = 2;
/// A connection takes nothing for so long.
const CLOG_MS_MAX: u64 = 30_000;
/// Ports from here on are those of transports.
const FIRST_OFFERED_PORT: u16 = 49_152;

/// What is to happen later, because of a fault.
#[derive(Clone, Debug)]
enum Later {
    /// What is sent arrives as fast as before, and whole.
    FineNetwork,
    Flow(Cable),
    Answer(IpAddr),
    Announce(usize),
    /// A crowd of clients, or announcements, goes.
    Disperse,
}

/// The faults of one run.
pub(super) struct Weather {
    weights: [u32; FAULTS],
    mean_ms: u64,
    next_at: Instant,
    next_visit: Instant,
    later: Vec<(Instant, Later)>,
    latency: Duration,
    /// Each is another device, so none has an address that one had before.
    strangers: u16,
    crowd: crowd::Crowd,
    /// Time that passed while the boxes were suspended.
    pub(super) suspended: Duration,
}

impl Weather {
    /// Of these classes a random half, or all, each with a random weight.
    pub(super) fn of_seed(lan: &Lan, allowed: &[Fault], is_swarm: bool) -> Self {
        let mut weights = [0; FAULTS];
        for fault in Fault::ALL {
            let is_on = !is_swarm || lan.world.random(2) == 0;
            let weight = 1 + lan.world.random(100) as u32;
            if is_on && allowed.contains(fault) {
                weights[*fault as usize] = weight.div_ceil(rarity(*fault));
            }
        }
        Self {
            weights,
            mean_ms: 250 << lan.world.random(5),
            next_at: lan.now(),
            next_visit: lan.now(),
            later: Vec::new(),
            latency: Duration::from_millis(1 + lan.world.random(20)),
            strangers: 0,
            crowd: crowd::Crowd::default(),
            suspended: Duration::ZERO,
        }
    }

    pub(super) fn due(&self) -> Instant {
        self.later.iter().map(|(at, _)| *at).fold(self.next_at.min(self.next_visit), Instant::min)
    }

    /// Everything that is due.
    pub(super) fn act(&mut self, lan: &mut Lan) {
        let now = lan.now();
        lan.world.act_as(Party::Nobody);
        while let Some(place) = self.later.iter().position(|(at, _)| *at <= now) {
            let (_, later) = self.later.swap_remove(place);
            self.catch_up(lan, later);
        }
        if self.next_visit <= now {
            self.next_visit = now.after(Duration::from_millis(1000 + lan.world.random(15_000)));
            self.visit(lan, Oddity::default());
        }
        if self.next_at <= now {
            self.next_at = now.after(Duration::from_millis(1 + lan.world.random(2 * self.mean_ms)));
            if let Some(fault) = self.choose(lan)
                && let Some(whom) = self.strike(lan, fault)
            {
                lan.book.fault(fault, &whom);
            }
        }
    }

    /// No more faults; what lasts, ends.
    pub(super) fn clear(&mut self, lan: &mut Lan) {
        for (_, later) in std::mem::take(&mut self.later) {
            self.catch_up(lan, later);
        }
        self.crowd.disperse(lan);
        lan.world.forgive();
        lan.world.mend_cables();
        lan.next_plan = None;
        lan.strangers.clear();
        let now = lan.now();
        lan.stations.iter_mut().for_each(|station| station.stalled_until = now);
        content::clear(lan);
        lan.pages.iter_mut().for_each(|page| page.presenter.hear_again());
    }

    fn choose(&self, lan: &Lan) -> Option<Fault> {
        let weight = |fault: &Fault| self.weights[*fault as usize];
        let total: u32 = Fault::ALL.iter().map(weight).sum();
        let mut place = lan.world.random(u64::from(total).max(1)) as u32;
        Fault::ALL.iter().copied().find(|fault| {
            let its = weight(fault);
            let is_it = place < its;
            place = place.saturating_sub(its);
            is_it
        })
    }

    fn later(&mut self, lan: &Lan, at_least_ms: u64, at_most_ms: u64, what: Later) {
        let after = at_least_ms + lan.world.random(at_most_ms - at_least_ms + 1);
        self.later.push((lan.now().after(Duration::from_millis(after)), what));
    }

    fn catch_up(&mut self, lan: &mut Lan, later: Later) {
        match later {
            Later::FineNetwork => {
                lan.world.be_kind();
                lan.world.set_latency(Duration::from_millis(1), self.latency);
            }
            Later::Flow(cable) => cable.clog(false),
            Later::Answer(address) => lan.world.unsilence(address),
            Later::Announce(station) => lan.stations[station].announce(),
            Later::Disperse => self.crowd.disperse(lan),
        }
    }

    /// The fault happens to somebody, who is named, unless there is nobody whom it could happen to.
    fn strike(&mut self, lan: &mut Lan, fault: Fault) -> Option<String> {
        match fault.area() {
            Area::Network => self.strike_network(lan, fault),
            Area::Peer => self.strike_as_peer(lan, fault),
            Area::Devices => self.strike_devices(lan, fault),
            Area::Receiver if fault == Fault::LaunchFails => fail_call(lan, fault),
            Area::Receiver => {
                lan.next_plan = Some(plan(lan, fault));
                Some("the next page".to_owned())
            }
            Area::Content => content::strike(lan, fault),
            Area::Client if fault == Fault::ClientSilent => self.crowd.silent_client(lan),
            Area::Client => strike_client(lan, fault),
            Area::Time => self.strike_time(lan, fault),
            Area::Platform => fail_call(lan, fault),
            Area::Capacity => {
                let whom = self.crowd.gather(lan, fault);
                self.later(lan, 1000, 10_000, Later::Disperse);
                whom
            }
        }
    }

    fn strike_network(&mut self, lan: &mut Lan, fault: Fault) -> Option<String> {
        match fault {
            Fault::SlowNetwork => {
                lan.world.set_latency(Duration::from_millis(1), Duration::from_secs(1));
                self.later(lan, 1000, 20_000, Later::FineNetwork);
                Some("all".to_owned())
            }
            Fault::Pieces => {
                lan.world.be_unkind();
                self.later(lan, 1000, 30_000, Later::FineNetwork);
                Some("all".to_owned())
            }
            Fault::Unanswered => {
                let address = lan.stations[any_station(lan, 0)?].address;
                lan.world.silence(address);
                self.later(lan, 1000, 15_000, Later::Answer(address));
                Some(address.to_string())
            }
            Fault::BothClose | Fault::BothTerminate => both(lan, fault == Fault::BothTerminate),
            _ => self.strike_cable(lan, fault),
        }
    }

    fn strike_as_peer(&mut self, lan: &mut Lan, fault: Fault) -> Option<String> {
        match fault {
            Fault::HugeLine | Fault::Hijack | Fault::SilentPeer | Fault::OfferIntruder => self.stranger(lan, fault),
            _ => self.visit(lan, oddity(lan, fault)),
        }
    }

    fn strike_devices(&mut self, lan: &mut Lan, fault: Fault) -> Option<String> {
        match fault {
            Fault::Flap => {
                let station = any_station(lan, 0)?;
                lan.stations[station].withdraw();
                self.later(lan, 10, 10_000, Later::Announce(station));
                Some(lan.stations[station].name.clone())
            }
            Fault::Moved => moved(lan),
            _ => {
                self.later(lan, 1000, 10_000, Later::Disperse);
                self.crowd.imposter(lan)
            }
        }
    }

    fn strike_time(&mut self, lan: &mut Lan, fault: Fault) -> Option<String> {
        match fault {
            Fault::Suspend => self.suspend(lan),
            Fault::ServiceKilled => {
                let station = any_station(lan, FIRST_STRUCK_STATION)?;
                lan.kill_service(station);
                Some(lan.stations[station].name.clone())
            }
            _ => stop(lan, fault),
        }
    }

    fn strike_cable(&mut self, lan: &mut Lan, fault: Fault) -> Option<String> {
        let cables = lan.cables();
        let cable = cables.get(lan.world.random((cables.len() as u64).max(1)) as usize)?;
        match fault {
            Fault::CutAtByte => cable.cut_after(lan.world.random(2000) as usize),
            Fault::CutAll => {
                let is_same = |it: &&Cable| (it.from().ip(), it.to().ip()) == (cable.from().ip(), cable.to().ip());
                cables.iter().filter(is_same).for_each(Cable::cut);
            }
            Fault::WouldBlock => {
                cable.clog(true);
                self.later(lan, 1000, CLOG_MS_MAX, Later::Flow(cable.clone()));
                // Who is behind it cannot be told anything.
                lan.controllers.iter_mut().for_each(|it| it.excuse(Duration::from_millis(CLOG_MS_MAX)));
            }
            _ => cable.cut(),
        }
        Some(format!("{cable:?}"))
    }

    /// A controller of another make wants a page.
    fn visit(&mut self, lan: &mut Lan, oddity: Oddity) -> Option<String> {
        let station = any_station(lan, 0)?;
        let (name, address) = (format!("fox{}", lan.next_number()), self.stranger_address());
        let to = (lan.stations[station].control(), lan.stations[station].fingerprint());
        lan.controllers.push(Controller::new(&lan.world, &lan.book, (&name, address), to, oddity));
        Some(name)
    }

    fn stranger_address(&mut self) -> IpAddr {
        self.strangers += 1;
        let [high, low] = self.strangers.to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(198, 18, high, low))
    }

    fn stranger(&mut self, lan: &mut Lan, fault: Fault) -> Option<String> {
        let from = self.stranger_address();
        let station = any_station(lan, 0)?;
        let to = (lan.stations[station].control(), lan.stations[station].fingerprint());
        let connect = |to| Stranger::connect(&lan.world, &lan.book, from, to, Duration::from_secs(20));
        let stranger = match fault {
            Fault::HugeLine => connect(to)?.long_winded(),
            Fault::SilentPeer => connect(to)?,
            Fault::Hijack => {
                let count = lan.screens.len() as u64;
                let screen = lan.screens.get(lan.world.random(count.max(1)) as usize)?;
                let station = &lan.stations[usize::from(screen.station)];
                let name = lan.book.referee.borrow().starter(&screen.presentation_id)?.to_owned();
                let is_steady = lan.undisturbed.first() == Some(&screen.presentation_id);
                let stranger = connect((station.control(), station.fingerprint()))?;
                stranger.greeting(&name).hijacking(&screen.presentation_id, is_steady)
            }
            _ => {
                let offers = lan.world.listening();
                let offers: Vec<SocketAddr> = offers.into_iter().filter(|at| at.port() >= FIRST_OFFERED_PORT).collect();
                let at = *offers.get(lan.world.random((offers.len() as u64).max(1)) as usize)?;
                let owner = lan.stations.iter().find(|station| station.address == at.ip())?;
                connect((at, owner.fingerprint()))?.intruding()
            }
        };
        lan.strangers.push(stranger);
        Some(from.to_string())
    }

    fn suspend(&mut self, lan: &mut Lan) -> Option<String> {
        let duration = Duration::from_millis(2000 + lan.world.random(7_200_000));
        lan.world.advance(duration);
        lan.excuse(duration);
        self.suspended += duration;
        Some(format!("all, for {duration:?}"))
    }
}

/// What would leave nothing to strike for the others is rarer.
const fn rarity(fault: Fault) -> u32 {
    match fault {
        Fault::Suspend | Fault::ServiceKilled | Fault::CutAll => 8,
        Fault::Stopped | Fault::PresentationsFull | Fault::ChannelsFull | Fault::ClientsFull => 4,
        _ => 1,
    }
}

fn any_station(lan: &Lan, first: usize) -> Option<usize> {
    let count = lan.stations.len().checked_sub(first).filter(|count| *count > 0)?;
    Some(first + lan.world.random(count as u64) as usize)
}

fn any_page(lan: &Lan) -> Option<usize> {
    let pages = lan.pages.iter().enumerate().filter(|(_, page)| page.manner == Manner::Busy);
    let pages: Vec<usize> = pages.filter(|(_, page)| page.presenter.is_connected()).map(|(place, _)| place).collect();
    pages.get(lan.world.random((pages.len() as u64).max(1)) as usize).copied()
}

fn oddity(lan: &Lan, fault: Fault) -> Oddity {
    const GARBAGE: [&[u8]; 8] =
        [b"null\n", b"\n", b"17\n", b"{\n", b"\xff\xfe\n", b"[]\n", b"{\"type\":7}\n", b"\"\n\n\ntrue\n"];
    let garbage = GARBAGE[lan.world.random(GARBAGE.len() as u64) as usize];
    let none = Oddity::default();
    match fault {
        Fault::GarbageLines => Oddity { garbage: Some(garbage), ..none },
        Fault::DuplicateLines => Oddity { says_twice: true, ..none },
        Fault::OutOfPlace => Oddity { out_of_place: true, ..none },
        Fault::FalseOffer => Oddity { offers_nothing: true, ..none },
        _ => Oddity { is_deaf: true, ..none },
    }
}

fn plan(lan: &Lan, fault: Fault) -> Plan {
    let soon = |most_ms| Some(Duration::from_millis(lan.world.random(most_ms)));
    let usual = Plan { loads: soon(2000), ..Plan::default() };
    match fault {
        Fault::NeverLoads => Plan { loads: None, ..usual },
        Fault::LoadsLate => Plan { loads: Some(PAGE_LOAD_TIMEOUT + soon(3000).unwrap_or_default()), ..usual },
        Fault::PageFails => Plan { fails: true, ..usual },
        Fault::CrashLoading => Plan { crashes: soon(100), ..usual },
        Fault::CrashShown => Plan { crashes: soon(20_000), ..usual },
        Fault::HangsUp => Plan { hangs_up: soon(20_000), ..usual },
        Fault::NeverListens => Plan { listens: false, ..usual },
        Fault::IgnoredTerminate => Plan { ignores_terminate: true, ..usual },
        _ => Plan { ignores_terminate: true, exits_late: soon(10_000), ..usual },
    }
}

/// A page and what it has on a screen do the same in the same moment.
fn both(lan: &mut Lan, terminates: bool) -> Option<String> {
    let page = any_page(lan)?;
    let connection = *lan.in_state(page, ConnectionState::Connected).first()?;
    let presentation_id = lan.pages[page].presenter.witness.views.get(&connection)?.presentation_id.clone();
    let screen = lan.screens.iter().position(|screen| screen.presentation_id == presentation_id)?;
    let other = *lan.screens[screen].presenter.witness.in_state(ConnectionState::Connected).first()?;
    let (page, screen) = (&mut lan.pages[page].presenter, &mut lan.screens[screen].presenter);
    if terminates {
        page.terminate(connection);
        screen.terminate(other);
    } else {
        page.close(connection, false);
        screen.close(other, true);
    }
    Some(presentation_id)
}

fn moved(lan: &mut Lan) -> Option<String> {
    let station = any_station(lan, 0)?;
    let before = lan.stations[station].address;
    lan.stations[station].move_on();
    let is_of = |cable: &&Cable| cable.from().ip() == before || cable.to().ip() == before;
    lan.cables().iter().filter(is_of).for_each(Cable::cut);
    Some(format!("{} leaves {before}", lan.stations[station].name))
}

fn strike_client(lan: &mut Lan, fault: Fault) -> Option<String> {
    let place = any_page(lan)?;
    let duration = Duration::from_millis(1000 + lan.world.random(40_000));
    let page = &mut lan.pages[place];
    match fault {
        Fault::ClientVanishes => page.presenter.leave(),
        Fault::ClientDeaf => page.presenter.be_deaf(duration),
        Fault::ClientGarbage => page.presenter.say_anything(b"\xff\xff\xff\xff\xff\xff\xff\xff"),
        _ => {
            let connection = (lan.world.random(8) as u16, 1 + lan.world.random(4) as u16);
            page.intrude(connection);
        }
    }
    Some(lan.pages[place].presenter.party.to_string())
}

fn stop(lan: &mut Lan, fault: Fault) -> Option<String> {
    let station = any_station(lan, 0)?;
    let most_ms = if fault == Fault::Stopped { 60_000 } else { 500 };
    let duration = Duration::from_millis(1 + lan.world.random(most_ms));
    lan.stations[station].stall(duration);
    lan.be_patient(duration);
    Some(format!("{} for {duration:?}", lan.stations[station].name))
}

fn fail_call(lan: &mut Lan, fault: Fault) -> Option<String> {
    const REFUSALS: [ErrorKind; 3] = [ErrorKind::NotFound, ErrorKind::Denied, ErrorKind::Exhausted];
    let first = if fault == Fault::NoMemory { FIRST_STRUCK_STATION } else { 0 };
    let station = any_station(lan, first)?;
    let (call, kind) = match fault {
        Fault::LaunchFails => (Call::StartReceiver, REFUSALS[lan.world.random(3) as usize]),
        Fault::AcceptFails => (Call::AcceptStream, ErrorKind::Exhausted),
        Fault::WatchFails => (Call::Watch, ErrorKind::Exhausted),
        Fault::ListenFails => (Call::ListenStream, ErrorKind::Exhausted),
        Fault::ConnectFails => (Call::ConnectStream, ErrorKind::Exhausted),
        Fault::NoMemory => (Call::Lend, ErrorKind::Exhausted),
        _ => (Call::Remember, ErrorKind::Exhausted),
    };
    lan.world.fail_next_of(lan.stations[station].party(), call, kind);
    Some(lan.stations[station].name.clone())
}

/// Nothing strikes these directly.
pub(super) fn spare(lan: &mut Lan) {
    let ends = (lan.stations[0].address, lan.stations[STEADY_STATION].address);
    let is_data = |cable: &Cable| {
        let is_between = [(cable.from().ip(), cable.to().ip()), (cable.to().ip(), cable.from().ip())].contains(&ends);
        is_between && cable.to().port() != CONTROL_PORT
    };
    let spared = lan.world.cables().into_iter().filter(is_data);
    lan.spared = spared.map(|cable| (cable.from(), cable.to())).collect();
    lan.around.paths.spare();
}
