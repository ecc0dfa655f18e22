//! Every phase of an app, in each of its situations, with every input: what comes of it is in `every_pair.txt`.
//!
//! After a change that is meant, write the table anew and read what has changed in it:
//! `GREENROOM_WRITE_TABLE=$PWD/core/src/manager/tests/every_pair.txt cargo test -p greenroom-core every_situation`

use std::fmt::Write;
use std::string::{String, ToString};

use super::*;
use crate::manager::phase::{Admission, Outcome};
use crate::manager::spare::Spares;
use crate::resources::Reservation;

const TABLE: &str = include_str!("every_pair.txt");

/// One app by itself.
struct Solo {
    app: App,
    ledger: Ledger,
    spares: Spares,
    settings: Settings,
    asked: u32,
}

impl Solo {
    fn new(first: TargetState) -> Self {
        let (id, socket) = (AppId::new("app1").unwrap(), SocketPath::try_from("/run/app1.sock").unwrap());
        let mut ledger = Ledger::new(1);
        let held = (first == TargetState::Active).then(|| ledger.reserve(1).unwrap());
        let mut app = App::new(id, socket, Resources::default(), first);
        let (settings, mut spares) = (Settings { spares: 1, ..Settings::default() }, Spares::new());
        let now = Instant::default();
        app.begin(ticket(1), held, &mut Scene { now, settings: &settings, ledger: &mut ledger, spares: &mut spares });
        let mut solo = Self { app, ledger, spares, settings, asked: 0 };
        solo.drain();
        solo
    }

    fn drain(&mut self) -> Vec<Deed> {
        let deeds: Vec<Deed> = std::iter::from_fn(|| self.app.poll()).collect();
        for deed in &deeds {
            match deed {
                Deed::Configure(sequence)
                | Deed::SetState(sequence, _)
                | Deed::Ping(sequence)
                | Deed::SetLogLevels(sequence) => self.asked = *sequence,
                _ => {}
            }
        }
        deeds
    }

    fn take(mut self, inputs: &[Given]) -> Self {
        for input in inputs {
            self.give(*input).expect("the way to a situation is open");
        }
        self
    }

    /// What comes of an input: what is to be done, or why it was not taken.
    fn give(&mut self, input: Given) -> Result<Vec<Deed>, String> {
        let now = Instant::from_millis(0);
        let mut scene = Scene { now, settings: &self.settings, ledger: &mut self.ledger, spares: &mut self.spares };
        match input {
            Given::Happens(event) => {
                self.app.handle(event, &mut scene).map_err(|_| "late".to_string())?;
            }
            Given::Sends(message) => {
                let event = self.app.read(message);
                self.app.handle(event, &mut scene).map_err(|_| "late".to_string())?;
            }
            Given::Replies(result) => {
                let event = self.app.read(link::Message::Reply { sequence: self.asked, result });
                self.app.handle(event, &mut scene).map_err(|_| "late".to_string())?;
            }
            Given::Asked(state) => match self.app.admit(state) {
                Err(refusal) => return Err(name_of(&refusal)),
                Ok(Admission::There) => return Err("there already".to_string()),
                Ok(Admission::Open) => {
                    let held: Option<Reservation> =
                        (state == TargetState::Active).then(|| scene.ledger.reserve(1).unwrap());
                    self.app.go(state, ticket(2), held, &scene);
                }
            },
            Given::ManagerEnds => self.app.retire(&scene),
            Given::LevelsChange => self.app.levels_changed(&scene),
            Given::SpareComesUp => bring_up(&mut self.spares, &self.settings),
        }
        Ok(self.drain())
    }
}

fn ticket(sequence: u32) -> Ticket {
    Ticket { controller: Handle::from_parts(0, 0), sequence }
}

fn name_of(refusal: &Refusal) -> String {
    let debug = format!("{refusal:?}");
    format!("refused {}", debug.split([' ', '{']).next().unwrap_or_default())
}

#[derive(Clone, Copy)]
enum Given {
    Happens(Event),
    Sends(link::Message),
    Replies(Result<(), link::Refusal>),
    Asked(TargetState),
    ManagerEnds,
    LevelsChange,
    SpareComesUp,
}

fn bring_up(spares: &mut Spares, settings: &Settings) {
    let now = Instant::default();
    spares.replenish(now, settings);
    let (spare, _) = spares.poll().expect("one is started");
    let up = link::Message::StateChanged { state: ServerState::Uninitialized, reason: None };
    for event in [SpareEvent::Spawned(Ok(8)), SpareEvent::Link(up)] {
        spares.on_event(now, spare, event, settings).expect("it comes up");
    }
}

const fn says(state: ServerState) -> Given {
    Given::Sends(link::Message::StateChanged { state, reason: None })
}

const FAILS: Given =
    Given::Sends(link::Message::StateChanged { state: ServerState::Error, reason: Some(Reason::SharedMemory) });
const SPAWNED: Given = Given::Happens(Event::Spawned(7));
const UP: Given = says(ServerState::Uninitialized);
const ACCEPTS: Given = Given::Replies(Ok(()));
const REFUSES: Given = Given::Replies(Err(link::Refusal::Busy));
const TO_ACTIVE: Given = Given::Asked(TargetState::Active);
const TO_INACTIVE: Given = Given::Asked(TargetState::Inactive);
const TO_NOT_RUNNING: Given = Given::Asked(TargetState::NotRunning);
const TIMED_OUT: Given = Given::Happens(Event::TimedOut);
const LOOK: Given = Given::Happens(Event::LookDue);
const EXITS: Given = Given::Happens(Event::Exited(ExitStatus::Exited(0)));

const INPUTS: &[(&str, Given)] = &[
    ("is spawned", SPAWNED),
    ("cannot be spawned", Given::Happens(Event::SpawnFailed(ErrorKind::NotFound))),
    ("says Uninitialized", UP),
    ("says Inactive", says(ServerState::Inactive)),
    ("says Active", says(ServerState::Active)),
    ("says NotRunning", says(ServerState::NotRunning)),
    ("says Error", FAILS),
    ("accepts", ACCEPTS),
    ("refuses", REFUSES),
    ("answers the unasked", Given::Sends(link::Message::Reply { sequence: 99, result: Ok(()) })),
    ("sends its listener", Given::Sends(link::Message::Listener)),
    ("closes its link", Given::Happens(Event::LinkClosed)),
    ("sends garbage", Given::Happens(Event::LinkBroken)),
    ("exits with 0", EXITS),
    ("is killed by 11", Given::Happens(Event::Exited(ExitStatus::Killed(11)))),
    ("passes its time limit", TIMED_OUT),
    ("is to be looked at", LOOK),
    ("asked to be Inactive", TO_INACTIVE),
    ("asked to be Active", TO_ACTIVE),
    ("asked to be NotRunning", TO_NOT_RUNNING),
    ("manager ends", Given::ManagerEnds),
    ("log levels change", Given::LevelsChange),
];

const INACTIVE: &[Given] = &[SPAWNED, UP, ACCEPTS, says(ServerState::Inactive)];
const ACTIVE: &[Given] = &[SPAWNED, UP, ACCEPTS, says(ServerState::Active)];

type Situation = (&'static str, TargetState, &'static [&'static [Given]]);

const SITUATIONS: &[Situation] = &[
    ("Spawning", TargetState::Inactive, &[]),
    ("Spawning, asked to end", TargetState::Active, &[&[TO_NOT_RUNNING]]),
    ("Spawning, manager ends", TargetState::Active, &[&[Given::ManagerEnds]]),
    ("Starting", TargetState::Inactive, &[&[SPAWNED]]),
    ("Configuring, asked", TargetState::Inactive, &[&[SPAWNED, UP]]),
    ("Configuring, asked, to Active", TargetState::Active, &[&[SPAWNED, UP]]),
    ("Configuring, accepted, to Inactive", TargetState::Inactive, &[&[SPAWNED, UP, ACCEPTS]]),
    ("Configuring, accepted, to Active", TargetState::Active, &[&[SPAWNED, UP, ACCEPTS]]),
    ("Inactive", TargetState::Inactive, &[INACTIVE]),
    ("Inactive, log levels asked", TargetState::Inactive, &[INACTIVE, &[Given::LevelsChange]]),
    ("Activating, asked", TargetState::Inactive, &[INACTIVE, &[TO_ACTIVE]]),
    ("Activating, accepted", TargetState::Inactive, &[INACTIVE, &[TO_ACTIVE, ACCEPTS]]),
    ("Activating, after log levels", TargetState::Inactive, &[INACTIVE, &[Given::LevelsChange, TO_ACTIVE]]),
    ("Active", TargetState::Active, &[ACTIVE]),
    ("Active, log levels asked", TargetState::Active, &[ACTIVE, &[Given::LevelsChange]]),
    ("Deactivating, asked", TargetState::Active, &[ACTIVE, &[TO_INACTIVE]]),
    ("Deactivating, accepted", TargetState::Active, &[ACTIVE, &[TO_INACTIVE, ACCEPTS]]),
    ("Deactivating, to end", TargetState::Active, &[ACTIVE, &[Given::ManagerEnds]]),
    ("Deactivating, accepted, to end", TargetState::Active, &[ACTIVE, &[Given::ManagerEnds, ACCEPTS]]),
    ("Deactivating, after log levels", TargetState::Active, &[ACTIVE, &[Given::LevelsChange, TO_INACTIVE]]),
    ("Failed", TargetState::Inactive, &[INACTIVE, &[TO_ACTIVE, ACCEPTS, FAILS]]),
    ("Failed, log levels asked", TargetState::Inactive, &[INACTIVE, &[TO_ACTIVE, ACCEPTS, FAILS, Given::LevelsChange]]),
    ("Stopping, asked", TargetState::Inactive, &[INACTIVE, &[TO_NOT_RUNNING]]),
    ("Stopping, accepted", TargetState::Inactive, &[INACTIVE, &[TO_NOT_RUNNING, ACCEPTS]]),
    (
        "Stopping, announced",
        TargetState::Inactive,
        &[INACTIVE, &[TO_NOT_RUNNING, ACCEPTS, says(ServerState::NotRunning)]],
    ),
    ("Stopping, after log levels", TargetState::Inactive, &[INACTIVE, &[Given::LevelsChange, TO_NOT_RUNNING]]),
    ("Stopping, asked while Active", TargetState::Active, &[ACTIVE, &[TO_NOT_RUNNING]]),
    ("Stopping, asked while Activating", TargetState::Inactive, &[INACTIVE, &[TO_ACTIVE, TO_NOT_RUNNING]]),
    ("Stopping, by its own Error", TargetState::Inactive, &[&[SPAWNED, UP, FAILS]]),
    ("Stopping, by its own NotRunning", TargetState::Active, &[ACTIVE, &[says(ServerState::NotRunning)]]),
    ("Stopping, configuration refused", TargetState::Active, &[&[SPAWNED, UP, REFUSES]]),
    ("Stopping, link closed", TargetState::Inactive, &[INACTIVE, &[Given::Happens(Event::LinkClosed)]]),
    (
        "Stopping, asked, link closed",
        TargetState::Active,
        &[ACTIVE, &[TO_NOT_RUNNING, Given::Happens(Event::LinkClosed)]],
    ),
    ("Terminating", TargetState::Inactive, &[INACTIVE, &[TO_NOT_RUNNING, TIMED_OUT]]),
    ("Terminating, refused to end", TargetState::Active, &[ACTIVE, &[TO_NOT_RUNNING, REFUSES]]),
    ("Killing", TargetState::Inactive, &[&[SPAWNED, TIMED_OUT]]),
    ("Killing, asked to end", TargetState::Active, &[ACTIVE, &[TO_NOT_RUNNING, TIMED_OUT, TIMED_OUT]]),
    ("Reaped", TargetState::Inactive, &[INACTIVE, &[TO_NOT_RUNNING, EXITS]]),
    ("Spawning, restarted", TargetState::Active, &[ACTIVE, &[EXITS]]),
    ("Starting, restarted", TargetState::Inactive, &[INACTIVE, &[EXITS, SPAWNED]]),
    ("Configuring, restarted, asked", TargetState::Active, &[ACTIVE, &[EXITS, SPAWNED, UP]]),
    ("Configuring, restarted, accepted", TargetState::Active, &[ACTIVE, &[EXITS, SPAWNED, UP, ACCEPTS]]),
    ("Resting", TargetState::Inactive, &[INACTIVE, &[EXITS, SPAWNED, EXITS]]),
    ("Resting, to Active", TargetState::Active, &[ACTIVE, &[EXITS, SPAWNED, EXITS]]),
    ("Inactive, pinged", TargetState::Inactive, &[INACTIVE, &[LOOK]]),
    ("Active, pinged", TargetState::Active, &[ACTIVE, &[LOOK]]),
    ("Active, pinged, not there twice", TargetState::Active, &[ACTIVE, &[LOOK, LOOK, LOOK]]),
    (
        "Failed, pinged, not there twice",
        TargetState::Inactive,
        &[INACTIVE, &[TO_ACTIVE, ACCEPTS, FAILS, LOOK, LOOK, LOOK]],
    ),
    ("Activating, pinged", TargetState::Inactive, &[INACTIVE, &[LOOK, TO_ACTIVE]]),
    ("Stopping, does not get on", TargetState::Active, &[ACTIVE, &[LOOK, LOOK, LOOK, LOOK]]),
    ("Active, a spare is up", TargetState::Active, &[ACTIVE, &[Given::SpareComesUp]]),
    (
        "Stopping alone, a spare is up",
        TargetState::Inactive,
        &[INACTIVE, &[Given::SpareComesUp, Given::Happens(Event::LinkClosed)]],
    ),
    ("Killing, a spare is up", TargetState::Active, &[ACTIVE, &[Given::SpareComesUp, UP]]),
    ("Resting, a spare is up", TargetState::Inactive, &[INACTIVE, &[EXITS, SPAWNED, EXITS, Given::SpareComesUp]]),
    ("Configuring, a spare was taken", TargetState::Active, &[ACTIVE, &[Given::SpareComesUp, EXITS]]),
];

fn told(deed: &Deed) -> String {
    match deed {
        Deed::Spawn => "spawn".to_string(),
        Deed::Take(_) => "take a spare".to_string(),
        Deed::Reply(ticket, outcome) => {
            let who = if ticket.sequence == 1 { "initiate" } else { "request" };
            let what = if *outcome == Outcome::Done { "done".to_string() } else { format!("{outcome:?}") };
            format!("{who} answered {what}")
        }
        Deed::Notify(state, None) => format!("NOTIFY {state:?}"),
        Deed::Notify(state, Some(reason)) => format!("NOTIFY {state:?} {reason:?}"),
        Deed::Signal(signal) => format!("signal {signal:?}"),
        Deed::CloseLink => "close link".to_string(),
        Deed::RemoveSocket => "remove socket".to_string(),
        Deed::Configure(_) => "configure".to_string(),
        Deed::SetState(_, state) => format!("set {state:?}"),
        Deed::Ping(_) => "ping".to_string(),
        Deed::SetLogLevels(_) => "set log levels".to_string(),
    }
}

fn line(situation: &Situation, (name, input): &(&str, Given)) -> String {
    let (label, first, way) = situation;
    let mut solo = way.iter().fold(Solo::new(*first), |solo, inputs| solo.take(inputs));
    let (before, free) = (solo.app.phase(), solo.ledger.free());
    let mut text = format!("{label:<36}{name:<24}");
    match solo.give(*input) {
        Err(why) => text.push_str(&why),
        Ok(deeds) => {
            let after = solo.app.phase();
            let to = if after == before { "stays".to_string() } else { format!("-> {after:?}") };
            text.push_str(&to);
            deeds.iter().for_each(|deed| write!(text, ", {}", told(deed)).unwrap());
        }
    }
    match solo.ledger.free().cmp(&free) {
        std::cmp::Ordering::Greater => text.push_str(", decoder free"),
        std::cmp::Ordering::Less => text.push_str(", decoder taken"),
        std::cmp::Ordering::Equal => {}
    }
    text
}

/// SM-04 to SM-21, SM-30, SM-31, SM-37, SM-40
#[test]
fn every_situation_meets_every_input_as_the_table_says() {
    let lines = SITUATIONS.iter().flat_map(|situation| INPUTS.iter().map(move |input| line(situation, input)));
    let lines: Vec<String> = lines.collect();
    if let Some(path) = std::env::var_os("GREENROOM_WRITE_TABLE") {
        std::fs::write(path, lines.join("\n") + "\n").unwrap();
    }
    let expected: Vec<&str> = TABLE.lines().collect();
    for (line, expected) in lines.iter().zip(&expected) {
        assert_eq!(line, expected);
    }
    assert_eq!(lines.len(), expected.len());
}
