//! The remote control: somebody who zaps, through the control socket, and checks every answer and notification.

use std::time::{Duration, Instant};

use fastrand::Rng;
use greenroom_core::message::control::{Answer, AppStatus, Command, Event, Refusal};
use greenroom_core::message::{ServerState, TargetState};
use greenroom_daemon::control::{ControlClient, ControlError};

use crate::stage::{APPS, DECODERS, MARATHON, Stage, decoders_of};
use crate::states::States;
use crate::tally::Count;

/// Every request is answered within this: LINK 3 s, a manager that is stopped meanwhile, and a loaded machine.
const ANSWER_BOUND: Duration = Duration::from_secs(8);
/// How long somebody looks at what he has chosen.
const LOOK_MS: std::ops::Range<u64> = 300..2_200;
/// How often the list is taken.
const LIST_INTERVAL: Duration = Duration::from_secs(2);

/// One who zaps.
pub(crate) struct Remote<'a> {
    stage: &'a Stage<'a>,
    rng: Rng,
    client: ControlClient,
    /// The manager's life that the connection is to.
    life: u32,
    /// Only with these the notifications are heard and checked.
    states: Option<States>,
    apps: Vec<AppStatus>,
    listed_at: Instant,
}

/// Why a connection is to be made anew.
struct Lost(ControlError);

impl<'a> Remote<'a> {
    /// Zaps until `end`. With `watches` it checks all notifications, too.
    pub(crate) fn zap(stage: &'a Stage<'a>, rng: Rng, watches: bool, end: Instant) {
        let Some(mut remote) = Self::connect(stage, rng, watches) else { return };
        while Instant::now() < end {
            let Err(Lost(error)) = remote.act() else { continue };
            // While a manager is replaced this waits until the next one is there.
            if stage.life().number == remote.life {
                stage.tally.violated(format!("a control connection was lost though its manager lives: {error}"));
            }
            match Self::connect(stage, remote.rng.fork(), watches) {
                Some(next) => remote = next,
                None => return,
            }
        }
    }

    fn connect(stage: &'a Stage<'a>, rng: Rng, watches: bool) -> Option<Self> {
        for _ in 0..10 {
            let life = stage.life().number;
            let states = watches.then(|| States::new(DECODERS, decoders_of));
            let Ok(client) = stage.connect() else { continue };
            let mut remote = Self { stage, rng, client, life, states, apps: Vec::new(), listed_at: Instant::now() };
            if remote.begin().is_ok() {
                return Some(remote);
            }
            return Self::connect(stage, remote.rng, watches);
        }
        stage.tally.violated("no control connection can be had");
        None
    }

    fn begin(&mut self) -> Result<(), Lost> {
        if self.states.is_some() {
            self.ask(Command::Watch)?;
        }
        self.list()?;
        self.assume_listed();
        Ok(())
    }

    fn assume_listed(&mut self) {
        let Some(states) = &mut self.states else { return };
        states.forget();
        for status in &self.apps {
            states.assume(status.app.as_str(), status.state);
        }
    }

    /// One choice.
    fn act(&mut self) -> Result<(), Lost> {
        let look = Duration::from_millis(self.rng.u64(LOOK_MS));
        self.hear_until(Instant::now() + look)?;
        if self.listed_at.elapsed() > LIST_INTERVAL {
            self.list()?;
        }
        self.count_given_up();
        let app = self.choose();
        match self.listed(app) {
            None => self.initiate(app),
            Some(_) => match self.rng.u32(..100) {
                0..6 if app != MARATHON => self.end(app),
                0..40 => self.change(app, TargetState::Inactive),
                40..85 => self.switch_to(app),
                85..93 => self.change(app, TargetState::Active),
                _ => self.look_up(app),
            },
        }
    }

    /// Somebody looks at the marathon as often as at all the others.
    fn choose(&mut self) -> &'static str {
        if self.rng.u8(..3) == 0 { MARATHON } else { APPS[self.rng.usize(..APPS.len())] }
    }

    fn listed(&self, app: &str) -> Option<&AppStatus> {
        self.apps.iter().find(|status| status.app.as_str() == app)
    }

    fn initiate(&mut self, app: &str) -> Result<(), Lost> {
        let state = if self.rng.u8(..4) == 0 { TargetState::Active } else { TargetState::Inactive };
        self.stage.tally.note(Count::Initiated, app);
        self.ask(Command::Initiate { app, state, socket: "" })?;
        self.list()
    }

    fn end(&mut self, app: &str) -> Result<(), Lost> {
        self.stage.tally.note(Count::Ended, app);
        self.ask(Command::ChangeState { app, state: TargetState::NotRunning })?;
        self.list()
    }

    fn change(&mut self, app: &str, state: TargetState) -> Result<(), Lost> {
        self.stage.tally.note(Count::Zapped, &format!("{app} {state:?}"));
        self.ask(Command::ChangeState { app, state }).map(drop)
    }

    /// As SM-27 has it, most of the time: first another one gives up its decoder.
    fn switch_to(&mut self, app: &str) -> Result<(), Lost> {
        self.list()?;
        let free =
            usize::from(DECODERS).saturating_sub(self.apps.iter().map(|status| usize::from(status.decoders)).sum());
        let holders: Vec<String> = self
            .apps
            .iter()
            .filter(|status| status.decoders > 0 && status.app.as_str() != app)
            .map(|status| status.app.as_str().to_owned())
            .collect();
        if free < usize::from(decoders_of(app)) && !holders.is_empty() {
            if self.rng.u8(..5) == 0 {
                self.stage.tally.note(Count::RuleBroken, app);
            } else {
                let holder = &holders[self.rng.usize(..holders.len())];
                self.change(holder, TargetState::Inactive)?;
            }
        }
        self.change(app, TargetState::Active)
    }

    fn look_up(&mut self, app: &str) -> Result<(), Lost> {
        self.ask(Command::ConnectionInfo { app }).map(drop)
    }

    /// Asks; checks that there is one answer in time, and that a refusal is one that can be.
    fn ask(&mut self, command: Command<'_>) -> Result<Option<Answer>, Lost> {
        let asked = Instant::now();
        let result = self.client.request(command);
        let tally = self.stage.tally;
        if asked.elapsed() > ANSWER_BOUND {
            tally.violated(format!("{command:?} was answered after {:?}: {result:?}", asked.elapsed()));
        }
        match result {
            Ok(answer) => {
                tally.count(Count::Answers);
                Ok(Some(answer))
            }
            Err(ControlError::Refused(refusal)) => {
                tally.count(Count::Answers);
                tally.count(Count::Refusals);
                tally.remember(format!("{command:?} was refused: {refusal:?}"));
                if is_absurd(&refusal) {
                    tally.violated(format!("{command:?} was refused: {refusal:?}"));
                }
                Ok(None)
            }
            Err(error @ (ControlError::Timeout | ControlError::Protocol)) => {
                tally.violated(format!("{command:?} had no proper answer: {error}"));
                Err(Lost(error))
            }
            Err(error) => Err(Lost(error)),
        }
    }

    fn list(&mut self) -> Result<(), Lost> {
        let (apps, of_box) = self.client.list().map_err(Lost)?;
        self.stage.tally.count(Count::Answers);
        if of_box.decoders_free > of_box.decoders || of_box.decoders != DECODERS {
            self.stage.tally.violated(format!("the box is said to be {of_box:?}"));
        }
        if self.states.is_some() {
            self.count_restarts(&apps);
        }
        (self.apps, self.listed_at) = (apps, Instant::now());
        Ok(())
    }

    fn count_restarts(&mut self, apps: &[AppStatus]) {
        for status in apps {
            let before = self.listed(status.app.as_str()).map_or(0, |before| before.restarts);
            (before..status.restarts).for_each(|_| self.stage.tally.count(Count::Restarts));
        }
    }

    /// An app that failed and is in the list no more is given up.
    fn count_given_up(&mut self) {
        let Some(states) = &mut self.states else { return };
        for app in APPS {
            if states.of(app) == Some(ServerState::Error) && !self.apps.iter().any(|status| status.app.as_str() == app)
            {
                states.assume(app, None);
                self.stage.tally.note(Count::GivenUp, app);
            }
        }
    }

    fn hear_until(&mut self, end: Instant) -> Result<(), Lost> {
        while Instant::now() < end {
            match self.client.next_event(end).map_err(Lost)? {
                Some(event) => self.hear(event)?,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    fn hear(&mut self, event: Event) -> Result<(), Lost> {
        let tally = self.stage.tally;
        match event {
            Event::StateChanged { app, state, reason } => {
                tally.count(Count::Events);
                tally.remember(format!("{app} is {state:?} {reason:?}"));
                let Some(states) = &mut self.states else { return Ok(()) };
                if let Err(wrong) = states.hear(app.as_str(), state) {
                    tally.violated(format!("{wrong} ({reason:?})"));
                }
            }
            Event::Missed(_) => {
                tally.count(Count::Missed);
                self.list()?;
                self.assume_listed();
            }
            _ => {}
        }
        Ok(())
    }
}

/// Nobody here asks what these refuse.
fn is_absurd(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::Malformed
            | Refusal::Version { .. }
            | Refusal::AppName
            | Refusal::SocketPath
            | Refusal::SocketInUse { .. }
            | Refusal::Denied
            | Refusal::Full { .. }
            | Refusal::ProgramMissing
            | Refusal::ProgramDenied
            | Refusal::Spawn
            | Refusal::ShuttingDown
    )
}
