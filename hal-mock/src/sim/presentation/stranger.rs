//! A device that means no good, or does not know what it does.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use greenroom_core::hal::{Fingerprint, Trust};
use greenroom_core::limits::CONTROL_LINE_BYTES_MAX;
use greenroom_core::time::Instant;

use super::book::Book;
use super::page::URL;
use super::wire::Wire;
use crate::network::Host;
use crate::world::World;

/// How often it looks.
const LOOK: Duration = Duration::from_millis(100);

/// What it says, and when.
type Script = VecDeque<(Instant, Vec<u8>)>;

/// One of them.
pub(super) struct Stranger {
    world: World,
    book: Rc<Book>,
    wire: Wire,
    script: Script,
    leaves_at: Instant,
    next_at: Instant,
    /// Whatever it hears is too much.
    is_at_offer: bool,
    is_hijacker: bool,
}

impl Stranger {
    /// Connects from this address; `None` when it cannot.
    pub(super) fn connect(
        world: &World,
        book: &Rc<Book>,
        from: IpAddr,
        (to, fingerprint): (SocketAddr, Option<Fingerprint>),
        stays: Duration,
    ) -> Option<Self> {
        let mut host = Host::new(world, &[from], Fingerprint([201; 32]));
        let trust = fingerprint.map_or(Trust::Plain, Trust::Pinned);
        Some(Self {
            world: world.clone(),
            book: Rc::clone(book),
            wire: Wire::reach(&mut host, to, trust)?,
            script: Script::new(),
            leaves_at: world.now().after(stays),
            next_at: world.now(),
            is_at_offer: false,
            is_hijacker: false,
        })
    }

    pub(super) fn is_over(&self) -> bool {
        self.leaves_at <= self.world.now()
    }

    pub(super) const fn wakes_at(&self) -> Instant {
        self.next_at
    }

    fn then(&mut self, after: Duration, bytes: &[u8]) {
        let last = self.script.back().map_or(self.world.now(), |(at, _)| *at);
        self.script.push_back((last.after(after), bytes.to_vec()));
    }

    fn then_line(&mut self, line: &str) {
        let after = Duration::from_millis(self.world.random(300));
        self.then(after, format!("{line}\n").as_bytes());
    }

    /// It says who it is, and that it is `name`.
    pub(super) fn greeting(mut self, name: &str) -> Self {
        self.then_line(&format!(r#"{{"type":"connect","deviceId":"{name}"}}"#));
        self
    }

    /// Somebody else's presentation is to be its own (PS-34).
    ///
    /// One that may end meanwhile is not launched: that would be allowed.
    pub(super) fn hijacking(mut self, presentation_id: &str, is_there_for_long: bool) -> Self {
        self.is_hijacker = true;
        let message = match self.world.random(3) {
            0 if is_there_for_long => {
                format!(r#"{{"type":"launch","presentationId":"{presentation_id}","url":"{URL}"}}"#)
            }
            0 | 1 => format!(r#"{{"type":"reconnect","presentationId":"{presentation_id}","url":"{URL}"}}"#),
            _ => format!(r#"{{"type":"terminate","presentationId":"{presentation_id}"}}"#),
        };
        self.then_line(&message);
        self.then_line(r#"{"type":"offer","offer":{"type":1,"tcpAddress":["192.0.2.200"],"tcpPort":9}}"#);
        self
    }

    /// A line that is longer than any may be.
    pub(super) fn long_winded(mut self) -> Self {
        let bytes = CONTROL_LINE_BYTES_MAX + self.world.random(1_000_000) as usize;
        self.then(Duration::from_millis(10), &vec![b'{'; bytes]);
        self.then_line("");
        self.then_line(r#"{"type":"connect","deviceId":"x"}"#);
        self
    }

    /// What lets nobody into a transport (PS-34).
    pub(super) fn intruding(mut self) -> Self {
        self.is_at_offer = true;
        match self.world.random(3) {
            0 => {}
            1 => self.then(Duration::from_millis(1), b"GET / HTTP/1.1\r\n\r\n"),
            _ => self
                .then(Duration::from_millis(1), &[0, 0, 0, 17, 0, 1, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7]),
        }
        self
    }

    pub(super) fn turn(&mut self, now: Instant) {
        self.next_at = now.after(LOOK);
        while self.script.front().is_some_and(|(at, _)| *at <= now)
            && let Some((_, bytes)) = self.script.pop_front()
        {
            self.wire.say(&bytes);
        }
        self.wire.pump();
        self.check();
        if self.wire.has_ended {
            self.leaves_at = now;
        }
    }

    /// PS-34: what is not its own is not given to it.
    fn check(&mut self) {
        let heard = String::from_utf8_lossy(self.wire.heard()).into_owned();
        if self.is_at_offer && !heard.is_empty() {
            self.wire.take_heard();
            return self.book.violation("PS-34", format!("an intruder is let in: {}", heard.escape_debug()));
        }
        for word in ["launch-ack", "reconnect-ack", "terminate-ack"] {
            if self.is_hijacker && heard.contains(word) {
                self.wire.take_heard();
                self.book.violation("PS-34", format!("somebody else's presentation is given away: {heard}"));
            }
        }
    }
}
