//! What happens to data channels, and to the processes that build them.

use greenroom_core::message::presentation::TransportKind;

use super::{any_page, plan};
use crate::cable::Cable;
use crate::party::Party;
use crate::sim::presentation::builder::Mischief;
use crate::sim::presentation::doom::PHASES;
use crate::sim::presentation::fault::Fault;
use crate::sim::presentation::lan::Lan;
use crate::sim::presentation::screen::Plan;
use crate::sim::presentation::station::CONTROL_PORT;

/// Messages that are on their way when their page leaves, and how long each is.
const LAST_WORDS: u32 = 8;
const LAST_WORDS_BYTES: usize = 20_000;

/// The fault happens to somebody, who is named.
pub(super) fn strike(lan: &mut Lan, fault: Fault) -> Option<String> {
    match fault {
        Fault::ContentKilled => {
            let phase = PHASES[lan.world.random(PHASES.len() as u64) as usize];
            lan.around.doom.arm(phase);
            Some(format!("whoever is in {phase:?} next"))
        }
        Fault::PathLost => {
            let end = any(lan, &lan.around.paths.open())?;
            lan.around.paths.sever(end);
            Some(format!("{:?}", lan.around.paths.owner(end)))
        }
        Fault::ControlLost => lose_control(lan),
        Fault::ReturnsDraining => return_while_draining(lan),
        Fault::NoBuilder => next_screen(lan, |plan| plan.builds = false),
        Fault::AnswerNeverComes => next_screen(lan, |plan| plan.mischief = Some(Mischief::Hangs)),
        _ => go_wrong(lan, mischief(fault)),
    }
}

/// No more of it.
pub(super) fn clear(lan: &mut Lan) {
    lan.around.doom.disarm();
    lan.pages.iter_mut().for_each(|page| page.presenter.builder.mischief = None);
    lan.screens.iter_mut().for_each(|screen| screen.presenter.builder.mischief = None);
}

const fn mischief(fault: Fault) -> Mischief {
    match fault {
        Fault::BuilderFails => Mischief::Fails,
        Fault::LateCandidates => Mischief::Late,
        Fault::CandidatesTwice => Mischief::Twice,
        Fault::EarlyCandidate => Mischief::Early,
        Fault::GarbageCandidates => Mischief::Garbage,
        Fault::Nonsense => Mischief::Nonsense,
        _ => Mischief::Hangs,
    }
}

fn any(lan: &Lan, numbers: &[u64]) -> Option<u64> {
    numbers.get(lan.world.random((numbers.len() as u64).max(1)) as usize).copied()
}

/// With the next channel of some page, or of what is shown next.
fn go_wrong(lan: &mut Lan, mischief: Mischief) -> Option<String> {
    if lan.world.random(2) == 0 && mischief != Mischief::Hangs {
        return next_screen(lan, |plan| plan.mischief = Some(mischief));
    }
    let place = any_page(lan)?;
    let page = &mut lan.pages[place];
    page.presenter.builder.mischief = Some(mischief);
    let device = page.any_device()?;
    page.start(Some(&device), TransportKind::DataChannel);
    Some(page.presenter.party.to_string())
}

fn next_screen(lan: &mut Lan, change: impl FnOnce(&mut Plan)) -> Option<String> {
    let mut usual = plan(lan, Fault::SlowExit);
    (usual.ignores_terminate, usual.exits_late) = (false, None);
    change(&mut usual);
    lan.next_plan = Some(usual);
    Some("the next page".to_owned())
}

/// Two boxes that show each other's pages by a data channel can say nothing to each other.
fn lose_control(lan: &Lan) -> Option<String> {
    let end = any(lan, &lan.around.paths.open())?;
    let (one, other) = (lan.around.paths.owner(end)?.0, lan.around.paths.partner(end)?.0);
    let address = |party| match party {
        Party::Presenter { station, .. } => Some(lan.stations[usize::from(station)].address),
        _ => None,
    };
    let (one, other) = (address(one)?, address(other)?);
    let is_theirs = |cable: &&Cable| {
        let ends = (cable.from().ip(), cable.to().ip());
        [(one, other), (other, one)].contains(&ends) && cable.to().port() == CONTROL_PORT
    };
    lan.cables().iter().filter(is_theirs).for_each(Cable::cut);
    Some(format!("{one} and {other}"))
}

fn return_while_draining(lan: &mut Lan) -> Option<String> {
    let place = any_page(lan)?;
    let page = &mut lan.pages[place];
    let connection = page.presenter.builder.any_open()?;
    let presentation_id = page.presenter.witness.views.get(&connection)?.presentation_id.clone();
    for _ in 0..LAST_WORDS {
        page.presenter.send(connection, LAST_WORDS_BYTES, true);
    }
    page.presenter.close(connection, false);
    page.reconnect(&presentation_id);
    Some(presentation_id)
}
