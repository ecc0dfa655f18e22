//! A program that runs beside the session servers as long as the manager does: the presentation service (PS-36).
//!
//! It says now and then that it makes progress. One that says nothing for too long hangs, and is killed; one that has ended,
//! however, is started again, after the pauses of session servers (SM-36). Unlike an app it is never given up: after too many
//! restarts the next one waits until their window is over.
//!
//! ```text
//!               due: Start                 silent: Kill
//!  Waiting ────────────────────> Running ─────────────────> Killing
//!     ^  ^                        │ │ ^ │ heard               │ │
//!     │  └──────── ended ─────────┘ │ └─┘                     │ │
//!     └─────────────────────────────┼─────────────── ended ───┘ │
//!     │ stop                        │ stop: Terminate           │ ended, when it was to stop
//!     v                 ended       v                           v
//!    Over <───────────────────── Ending ── too long: Kill ──> Killing ──> Over
//! ```

use core::time::Duration;

use super::Settings;
use super::restarts::Restarts;
use crate::limits::{COMPANION_READY_TIMEOUT, COMPANION_SILENCE_MAX, COMPANION_STOP_TIMEOUT};
use crate::time::Instant;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompanionInput {
    /// Time has passed.
    Tick,
    /// The program has made progress.
    Heard,
    /// It has ended, or could not be started.
    Ended,
    /// The manager ends.
    Stop,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompanionAction {
    /// Start it.
    Start,
    /// Ask it to end.
    Terminate,
    /// End it: it hangs, or does not end.
    Kill,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// There is none until then.
    Waiting(Instant),
    /// It is to be heard of until then.
    Running(Instant),
    /// It was asked to end, and is to have done it by then.
    Ending(Instant),
    /// Its end is to be seen.
    Killing { stops: bool },
    /// There is none, and will be none.
    Over,
}

/// When the companion is started and ended.
#[derive(Clone, Debug)]
pub struct Companion {
    phase: Phase,
    restarts: Restarts,
    settings: Settings,
}

impl Companion {
    /// It is to be started at once. Of the settings those of restarts hold for it.
    pub fn new(settings: Settings) -> Self {
        Self { phase: Phase::Waiting(Instant::default()), restarts: Restarts::default(), settings }
    }

    /// When a tick is due.
    pub const fn next_deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Waiting(until) | Phase::Running(until) | Phase::Ending(until) => Some(until),
            Phase::Killing { .. } | Phase::Over => None,
        }
    }

    /// Whether there is none any more, and none will be started.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Takes an input; what it gives is to be done before the next one.
    pub fn handle(&mut self, now: Instant, input: CompanionInput) -> Option<CompanionAction> {
        use CompanionAction as Do;
        use CompanionInput as Input;
        let (phase, action) = match (self.phase, input) {
            (Phase::Waiting(until), Input::Tick) if until <= now => {
                (Phase::Running(now.after(COMPANION_READY_TIMEOUT)), Some(Do::Start))
            }
            (Phase::Running(until), Input::Tick) if until <= now => (Phase::Killing { stops: false }, Some(Do::Kill)),
            (Phase::Ending(until), Input::Tick) if until <= now => (Phase::Killing { stops: true }, Some(Do::Kill)),
            (Phase::Running(_), Input::Heard) => (Phase::Running(now.after(COMPANION_SILENCE_MAX)), None),
            (Phase::Running(_), Input::Stop) => (Phase::Ending(now.after(COMPANION_STOP_TIMEOUT)), Some(Do::Terminate)),
            (Phase::Running(_) | Phase::Killing { stops: false }, Input::Ended) => (self.waiting(now), None),
            (Phase::Ending(_) | Phase::Killing { stops: true }, Input::Ended) => (Phase::Over, None),
            (Phase::Waiting(_), Input::Stop) => (Phase::Over, None),
            (Phase::Killing { .. }, Input::Stop) => (Phase::Killing { stops: true }, None),
            (
                phase
                @ (Phase::Waiting(_) | Phase::Running(_) | Phase::Ending(_) | Phase::Killing { .. } | Phase::Over),
                Input::Tick | Input::Heard | Input::Ended | Input::Stop,
            ) => (phase, None),
        };
        self.phase = phase;
        action
    }

    fn waiting(&mut self, now: Instant) -> Phase {
        let pause = self.restarts.next(now, &self.settings);
        let closes_at = || self.restarts.closes_at(&self.settings).unwrap_or(now);
        Phase::Waiting(pause.map_or_else(closes_at, |pause: Duration| now.after(pause)))
    }
}

#[cfg(test)]
mod tests {
    use super::CompanionAction::{Kill, Start, Terminate};
    use super::CompanionInput::{Ended, Heard, Stop, Tick};
    use super::*;

    const NOW: Instant = Instant::from_millis(1_000_000);

    fn settings() -> Settings {
        Settings { restart_intensity: 3, ..Settings::default() }
    }

    fn in_phase(phase: Phase) -> Companion {
        Companion { phase, ..Companion::new(settings()) }
    }

    /// PS-36
    #[test]
    fn every_phase_takes_every_input() {
        let later = NOW.after(Duration::from_millis(1));
        let (killing, stopping) = (Phase::Killing { stops: false }, Phase::Killing { stops: true });
        let (ready, heard) = (NOW.after(COMPANION_READY_TIMEOUT), NOW.after(COMPANION_SILENCE_MAX));
        let ending = Phase::Ending(NOW.after(COMPANION_STOP_TIMEOUT));
        let table = [
            (Phase::Waiting(NOW), Tick, Phase::Running(ready), Some(Start)),
            (Phase::Waiting(later), Tick, Phase::Waiting(later), None),
            (Phase::Waiting(later), Heard, Phase::Waiting(later), None),
            (Phase::Waiting(later), Ended, Phase::Waiting(later), None),
            (Phase::Waiting(later), Stop, Phase::Over, None),
            (Phase::Running(NOW), Tick, killing, Some(Kill)),
            (Phase::Running(later), Tick, Phase::Running(later), None),
            (Phase::Running(later), Heard, Phase::Running(heard), None),
            (Phase::Running(later), Ended, Phase::Waiting(NOW), None),
            (Phase::Running(later), Stop, ending, Some(Terminate)),
            (Phase::Ending(NOW), Tick, stopping, Some(Kill)),
            (Phase::Ending(later), Tick, Phase::Ending(later), None),
            (Phase::Ending(later), Heard, Phase::Ending(later), None),
            (Phase::Ending(later), Ended, Phase::Over, None),
            (Phase::Ending(later), Stop, Phase::Ending(later), None),
            (killing, Tick, killing, None),
            (killing, Heard, killing, None),
            (killing, Ended, Phase::Waiting(NOW), None),
            (killing, Stop, stopping, None),
            (stopping, Tick, stopping, None),
            (stopping, Heard, stopping, None),
            (stopping, Ended, Phase::Over, None),
            (stopping, Stop, stopping, None),
            (Phase::Over, Tick, Phase::Over, None),
            (Phase::Over, Heard, Phase::Over, None),
            (Phase::Over, Ended, Phase::Over, None),
            (Phase::Over, Stop, Phase::Over, None),
        ];
        for (phase, input, expected, action) in table {
            let mut companion = in_phase(phase);
            assert_eq!(companion.handle(NOW, input), action, "{phase:?} {input:?}");
            assert_eq!(companion.phase, expected, "{phase:?} {input:?}");
        }
    }

    /// PS-36, SM-36
    #[test]
    fn one_that_crashes_again_and_again_waits_longer_but_is_never_given_up() {
        let mut companion = Companion::new(settings());
        let mut now = NOW;
        let mut pauses = [Duration::ZERO; 4];
        for pause in &mut pauses {
            assert_eq!(companion.handle(now, Tick), Some(Start));
            companion.handle(now, Ended);
            let due = companion.next_deadline().unwrap();
            *pause = due.since(now);
            now = due;
        }
        let first = settings().restart_pause;
        assert_eq!(pauses[..3], [Duration::ZERO, first, 2 * first]);
        assert_eq!(now, NOW.after(settings().restart_window));
        assert_eq!(companion.handle(now, Tick), Some(Start));
        assert_eq!(companion.restarts.total(), 3);
    }
}
