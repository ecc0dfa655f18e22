//! Each phase, at each end: what the other side learns, and that nothing is left.

use greenroom_core::message::presentation::{CloseReason, ConnectionState as State, Traffic, TransportKind};

use super::*;
use crate::sim::presentation::lan::Lan;
use crate::sim::presentation::page::Manner;
use crate::sim::presentation::run::end;
use crate::sim::presentation::screen::Plan;

/// Which end is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Page,
    Screen,
}

/// What brings an end into a phase in which it is not by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Itself,
    /// The receiver builds no data channel.
    Declined,
    /// Somebody leaves while much is on its way.
    Leaves,
    /// Nothing passes between the two any more.
    Severed,
}

const OPEN: Phase = Phase::Open { told: true };
const OPEN_UNTOLD: Phase = Phase::Open { told: false };

/// Every phase that an end can be in.
const CELLS: [(Side, Phase, Way); 16] = [
    (Side::Page, Phase::Waiting, Way::Declined),
    (Side::Page, Phase::Relayed, Way::Declined),
    (Side::Page, Phase::Describing, Way::Itself),
    (Side::Page, Phase::Offering, Way::Itself),
    (Side::Page, Phase::Opening, Way::Itself),
    (Side::Page, OPEN_UNTOLD, Way::Itself),
    (Side::Page, OPEN, Way::Itself),
    (Side::Page, Phase::Draining, Way::Leaves),
    (Side::Page, Phase::Lost, Way::Severed),
    (Side::Screen, Phase::Listening, Way::Itself),
    (Side::Screen, Phase::Answering, Way::Itself),
    (Side::Screen, Phase::Opening, Way::Itself),
    (Side::Screen, OPEN_UNTOLD, Way::Itself),
    (Side::Screen, OPEN, Way::Itself),
    (Side::Screen, Phase::Draining, Way::Leaves),
    (Side::Screen, Phase::Lost, Way::Severed),
];

const MOMENT: Duration = Duration::from_millis(20);

/// A box whose page has something shown on another one.
struct Stage {
    lan: Lan,
    page: usize,
}

impl Stage {
    fn new(seed: u64, plan: Plan) -> Self {
        let mut lan = Lan::new(seed, 2, 0, false);
        lan.add_page(0, 2, Manner::Busy);
        let page = lan.pages.len() - 1;
        lan.pages[page].rest();
        lan.pages[page].connect();
        lan.run_for(Duration::from_secs(2));
        lan.next_plan = Some(plan);
        lan.pages[page].start(Some("box1"), TransportKind::DataChannel).expect("it is connected");
        Self { lan, page }
    }

    fn go_on(&mut self) {
        self.lan.run_for(MOMENT);
        self.lan.screens.iter_mut().for_each(|screen| screen.rests = true);
    }

    /// Whether that comes about within some seconds.
    fn until(&mut self, is_so: impl Fn(&Self) -> bool) -> bool {
        for _ in 0..1000 {
            if is_so(self) {
                return true;
            }
            self.go_on();
        }
        false
    }

    fn spare(&mut self, side: Side) {
        self.lan.pages[self.page].presenter.builder.is_spared = side != Side::Page;
        self.lan.screens.iter_mut().for_each(|screen| screen.presenter.builder.is_spared = side != Side::Screen);
    }

    /// How the page's connection is.
    fn of_page(&self) -> Option<(Option<State>, Option<CloseReason>)> {
        let views = &self.lan.pages[self.page].presenter.witness.views;
        views.values().next().map(|view| (view.state, view.reason))
    }

    /// How the screen's is, as far as it knows.
    fn of_screen(&self) -> Option<(Option<State>, Option<CloseReason>)> {
        let view = self.lan.screens.first()?.presenter.witness.views.values().next()?;
        Some((view.state, view.reason))
    }

    fn is_connected(&self) -> bool {
        let connected = Some((Some(State::Connected), None));
        self.of_page() == connected && self.of_screen() == connected
    }

    fn is_killed(&self) -> bool {
        self.lan.around.doom.killed().iter().sum::<u64>() == 1
    }

    /// Many messages, and then it goes.
    fn leave(&mut self, side: Side) {
        let presenter = match side {
            Side::Page => &mut self.lan.pages[self.page].presenter,
            Side::Screen => &mut self.lan.screens[0].presenter,
        };
        let connection = presenter.builder.any_open().expect("it is open");
        (0..4).for_each(|_| presenter.send(connection, 20_000, true));
        presenter.close(connection, false);
    }

    fn sever(&self) {
        let ends = self.lan.around.paths.open();
        self.lan.around.paths.sever(*ends.last().expect("there is a channel"));
    }
}

/// An end is killed in a phase; nobody who is killed by and by is there too early to be spared.
fn kill((side, phase, way): (Side, Phase, Way), seed: u64) -> Stage {
    let mut stage = Stage::new(seed, Plan { builds: way != Way::Declined, ..Plan::default() });
    let is_at_once = matches!(way, Way::Itself | Way::Declined);
    if is_at_once {
        stage.lan.around.doom.arm(phase);
        stage.spare(side);
    }
    match way {
        Way::Itself | Way::Declined => {}
        Way::Leaves | Way::Severed => {
            assert!(stage.until(Stage::is_connected), "{side:?} {phase:?}");
            stage.spare(side);
            stage.lan.around.doom.arm(phase);
            if way == Way::Leaves { stage.leave(side) } else { stage.sever() }
        }
    }
    for _ in 0..2000 {
        if stage.is_killed() {
            break;
        }
        if is_at_once {
            stage.spare(side);
        }
        stage.go_on();
    }
    stage
}

/// PS-30, PS-35: whoever is killed, in whatever phase, is missed at the other end, which learns that it went away if
/// it was connected; what shows a page takes its presentation with it. Nothing of it is left on either box.
#[test]
fn a_process_that_is_killed_in_any_phase_is_missed_and_leaves_nothing() {
    for (number, cell) in CELLS.into_iter().enumerate() {
        let mut stage = kill(cell, 7 + number as u64);
        let (side, phase, way) = cell;
        assert!(stage.is_killed(), "nobody is killed: {cell:?}");
        let is_closed = |state: Option<(Option<State>, _)>| {
            state.is_none_or(|(state, _)| matches!(state, Some(State::Closed | State::Terminated)))
        };
        let was_connected = matches!(phase, OPEN | Phase::Draining | Phase::Relayed) && way != Way::Severed;
        match side {
            Side::Page => {
                assert!(stage.until(|stage| is_closed(stage.of_screen())), "{cell:?}: {:?}", stage.of_screen());
                let told = stage.of_screen();
                let in_order = Some((Some(State::Closed), Some(CloseReason::Closed)));
                assert_ne!(told, in_order, "{cell:?}");
                if was_connected {
                    assert_eq!(told, Some((Some(State::Closed), Some(CloseReason::WentAway))), "{cell:?}");
                }
            }
            Side::Screen => {
                assert!(stage.until(|stage| is_closed(stage.of_page())), "{cell:?}: {:?}", stage.of_page());
                let told = stage.of_page();
                if was_connected {
                    assert_eq!(told, Some((Some(State::Terminated), Some(CloseReason::Terminated))), "{cell:?}");
                }
            }
        }
        assert_eq!(stage.lan.book.violations(), [], "{cell:?}");
        end(&mut stage.lan);
        assert_eq!(stage.lan.book.violations(), [], "{cell:?}");
    }
}

/// PS-35: each phase is one in which somebody was killed.
#[test]
fn no_phase_is_left_out() {
    for phase in PHASES {
        assert!(CELLS.iter().any(|(_, it, _)| *it == phase), "{phase:?}");
    }
}

/// PS-07, PS-18, PS-19, PS-33: messages go past the services, whose control channel is not needed for them.
#[test]
fn what_pages_say_on_a_data_channel_no_service_carries_and_no_control_channel_is_needed_for_it() {
    let mut stage = Stage::new(3, Plan { is_steady: true, ..Plan::default() });
    assert!(stage.until(Stage::is_connected));
    let control: Vec<_> = stage.lan.world.cables();
    control.iter().for_each(crate::cable::Cable::cut);
    stage.lan.run_for(Duration::from_secs(5));
    let page = &mut stage.lan.pages[stage.page].presenter;
    let connection = page.builder.any_open().expect("it is open");
    for number in 0..50 {
        stage.lan.pages[stage.page].presenter.send(connection, 100 * number, number % 2 == 0);
    }
    stage.lan.run_for(Duration::from_secs(5));
    assert!(stage.is_connected());
    let heard = stage.lan.pages[stage.page].presenter.witness.heard(connection);
    assert_eq!(heard, 50, "the receiver answers each message");
    for station in &stage.lan.stations {
        assert_eq!(station.driver().traffic(), Traffic::default(), "{}", station.name);
    }
    assert_eq!(stage.lan.book.violations(), []);
}

/// PS-30, PS-33: both learn that the other one is not there, by their own channels.
#[test]
fn whose_channel_is_lost_while_the_services_talk_learns_that_the_other_went_away() {
    let mut stage = Stage::new(4, Plan::default());
    assert!(stage.until(Stage::is_connected));
    stage.sever();
    let went_away = Some((Some(State::Closed), Some(CloseReason::WentAway)));
    assert!(stage.until(|stage| stage.of_page() == went_away), "{:?}", stage.of_page());
    assert!(stage.until(|stage| stage.of_screen() == went_away), "{:?}", stage.of_screen());
    end(&mut stage.lan);
    assert_eq!(stage.lan.book.violations(), []);
}
