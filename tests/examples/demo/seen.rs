//! What was seen of an act with a phone and a TV: printed while it happens, and drawn when it is over.
//!
//! What the phone's page says and hears has the time at which it did. What happens on the TV has the time that its
//! presentation service logged, or at which its manager's notification came.

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use greenroom_hal_mock::diagram::{Diagram, Kind, Step};

use crate::Failure;
use crate::journal::Journal;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Who may take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Page,
    Phone,
    Tv,
    Receiver,
    Manager,
}

/// What is drawn.
pub(crate) struct Scene {
    /// Which act it is.
    pub(crate) act: &'static str,
    /// What happens in it.
    pub(crate) title: &'static str,
    /// The drawing's name, without its end.
    pub(crate) file: &'static str,
    /// Who takes part, from left to right, and what each is called.
    pub(crate) parts: &'static [(Who, &'static str)],
}

impl Scene {
    fn place(&self, who: Who) -> Option<usize> {
        self.parts.iter().position(|(other, _)| *other == who)
    }

    fn name(&self, who: Who) -> &'static str {
        self.place(who).map_or("", |place| self.parts[place].1)
    }
}

struct Sight {
    at: Duration,
    from: Who,
    to: Who,
    kind: Kind,
    what: String,
}

/// All that was seen.
pub(crate) struct Seen<'a> {
    journal: &'a Journal,
    scene: &'static Scene,
    started: (Instant, SystemTime),
    all: RefCell<Vec<Sight>>,
}

impl<'a> Seen<'a> {
    pub(crate) fn start(journal: &'a Journal, scene: &'static Scene) -> Self {
        Self { journal, scene, started: (Instant::now(), SystemTime::now()), all: RefCell::default() }
    }

    /// It happens now.
    pub(crate) fn now(&self, kind: Kind, from: Who, to: Who, what: &str) {
        self.journal.said(self.scene.name(from), self.scene.name(to), what);
        self.keep(self.started.0.elapsed(), kind, (from, to), what);
    }

    /// It happened at this time.
    pub(crate) fn at(&self, at: Instant, kind: Kind, from: Who, to: Who, what: &str) {
        self.keep(at.saturating_duration_since(self.started.0), kind, (from, to), what);
    }

    /// It happened when this clock showed this.
    pub(crate) fn at_date(&self, at: SystemTime, kind: Kind, from: Who, to: Who, what: &str) {
        self.keep(at.duration_since(self.started.1).unwrap_or_default(), kind, (from, to), what);
    }

    fn keep(&self, at: Duration, kind: Kind, (from, to): (Who, Who), what: &str) {
        self.all.borrow_mut().push(Sight { at, from, to, kind, what: what.to_owned() });
    }

    /// What the services and the receiver have logged.
    pub(crate) fn read_logs(&self, phone: &str, tv: &str, tv_name: &str) {
        let found = format!("device {tv_name}");
        if let Some((at, _)) = self.lines(phone).find(|(_, line)| line.ends_with(&found)) {
            self.keep(at, Kind::Notification, (Who::Tv, Who::Phone), "mDNS: here I am, and this is my certificate");
        }
        for (at, line) in self.lines(tv) {
            if line.contains(" is shown by process ") {
                self.keep(at, Kind::Call, (Who::Phone, Who::Tv), "TLS: connect, launch");
                self.keep(at, Kind::Creation, (Who::Tv, Who::Receiver), "start");
            } else if line.contains("greenroom_daemon::receiver") {
                self.keep(at, Kind::Notification, (Who::Receiver, Who::Tv), "ReceiverReady");
            } else if line.contains(" is let in as Receiver") {
                self.keep(at, Kind::Call, (Who::Receiver, Who::Tv), "hello, with the launch token");
            } else if let Some((_, how)) = line.split_once(" has ended: ") {
                self.keep(at, Kind::End, (Who::Receiver, Who::Receiver), how);
            }
        }
    }

    /// The lines of a log, and when each was written.
    fn lines<'l>(&self, log: &'l str) -> impl Iterator<Item = (Duration, &'l str)> {
        let started = self.started.1.duration_since(UNIX_EPOCH).unwrap_or_default();
        log.lines().filter_map(move |line| {
            let (date, rest) = line.split_once('Z')?;
            let time = time_of_day(date.split_once('T')?.1)?;
            let since = (time.as_secs_f64() - started.as_secs_f64()).rem_euclid(DAY.as_secs_f64());
            // A little before the start is not a day after it.
            let since = if since > DAY.as_secs_f64() / 2.0 { 0.0 } else { since };
            Some((Duration::from_secs_f64(since), rest))
        })
    }

    /// Draws all of it, in the order in which it happened.
    pub(crate) fn draw(&self, directory: &Path) -> Result<(), Failure> {
        let Scene { act, title, file, parts } = self.scene;
        let mut diagram = Diagram::new(title);
        let lifelines: Vec<_> = parts.iter().map(|(_, name)| diagram.participant(name)).collect();
        let mut all = self.all.borrow_mut();
        all.sort_by_key(|sight| sight.at);
        for Sight { at, from, to, kind, what } in all.iter() {
            let ends = self.scene.place(*from).zip(self.scene.place(*to));
            let (from, to) = ends.map(|(from, to)| (lifelines[from], lifelines[to])).ok_or("nobody is left out")?;
            diagram.step(Step { at: *at, from, to, what: what.clone(), kind: *kind });
        }
        fs::write(directory.join(file).with_extension("svg"), diagram.to_svg())?;
        fs::write(directory.join(file).with_extension("txt"), diagram.to_text())?;
        self.journal.print(&format!(
            "who said what to whom, {} steps of the {act}, is drawn in {} and {file}.txt",
            diagram.steps(),
            directory.join(file).with_extension("svg").display()
        ));
        Ok(())
    }
}

/// Of a text like `18:38:21.321632`.
fn time_of_day(text: &str) -> Option<Duration> {
    let mut parts = text.split(':');
    let (hours, minutes) = (parts.next()?.parse::<u64>().ok()?, parts.next()?.parse::<u64>().ok()?);
    let seconds = parts.next()?.parse::<f64>().ok()?;
    Some(Duration::from_secs(hours * 3600 + minutes * 60) + Duration::try_from_secs_f64(seconds).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_log_is_placed_on_the_clock_of_the_act() {
        let journal = Journal::start();
        let noon = UNIX_EPOCH + 3 * DAY + DAY / 2;
        let scene = &Scene { act: "", title: "", file: "", parts: &[] };
        let seen = Seen { journal: &journal, scene, started: (Instant::now(), noon), all: RefCell::default() };
        let log = "2026-11-22T12:00:01.250000Z  INFO a: b\nno time\n2026-11-22T11:59:59.9Z  INFO c: d";
        let lines: Vec<_> = seen.lines(log).collect();
        assert_eq!(lines, [(Duration::from_millis(1250), "  INFO a: b"), (Duration::ZERO, "  INFO c: d")]);
    }
}
