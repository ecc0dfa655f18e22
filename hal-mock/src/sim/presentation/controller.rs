//! A controller of another make: it speaks version 1 of the protocol as Mozilla's programs do, one session in its life.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use greenroom_core::hal::{Fingerprint, Network, Protection, StreamListener, Trust};
use greenroom_core::limits::ESTABLISH_TIMEOUT;
use greenroom_core::time::Instant;

use super::book::Book;
use super::page::URL;
use super::wire::Wire;
use crate::network::{Host, HostListener};
use crate::world::World;

/// How often it looks.
const LOOK: Duration = Duration::from_millis(25);
/// A service that missed a deadline gives everybody another second.
const SLACK: Duration = Duration::from_secs(5);

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It has connected, and says who it is.
    Greeting,
    /// It has asked for a page and offered a transport.
    Launching,
    /// Messages go to and fro.
    Talking,
    /// It ends the presentation, on another channel.
    Ending,
    /// There is nothing left to do.
    Over,
}

/// What is odd about one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Oddity {
    /// Every line twice.
    pub(super) says_twice: bool,
    /// Something that is no message between any two lines.
    pub(super) garbage: Option<&'static [u8]>,
    /// Messages that have no place there.
    pub(super) out_of_place: bool,
    /// It offers an address where nobody is.
    pub(super) offers_nothing: bool,
    /// Nothing it hears is read.
    pub(super) is_deaf: bool,
}

impl Oddity {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// One of them.
pub(super) struct Controller {
    world: World,
    book: Rc<Book>,
    name: String,
    host: Host,
    to: SocketAddr,
    trust: Trust,
    presentation_id: String,
    oddity: Oddity,
    control: Option<Wire>,
    heard: String,
    listener: Option<HostListener>,
    data: Option<Wire>,
    stage: Stage,
    since: Instant,
    next_at: Instant,
    messages: u64,
}

impl Controller {
    /// It reaches for a box at once.
    pub(super) fn new(
        world: &World,
        book: &Rc<Book>,
        (name, address): (&str, IpAddr),
        (to, fingerprint): (SocketAddr, Option<Fingerprint>),
        oddity: Oddity,
    ) -> Self {
        let mut host = Host::new(world, &[address], Fingerprint([200; 32]));
        let trust = fingerprint.map_or(Trust::Plain, Trust::Pinned);
        let presentation_id = book.referee.borrow_mut().new_name(name);
        book.referee.borrow_mut().starts(&presentation_id, name);
        // It exists although nothing flows: it is told from messages of ours by that.
        book.referee.borrow_mut().flows(&presentation_id, "");
        let mut control = Wire::reach(&mut host, to, trust);
        if let Some(control) = &mut control {
            control.is_deaf = oddity.is_deaf;
        }
        let mut controller = Self {
            world: world.clone(),
            book: Rc::clone(book),
            name: name.to_owned(),
            host,
            to,
            trust,
            presentation_id,
            oddity,
            control,
            heard: String::new(),
            listener: None,
            data: None,
            stage: Stage::Greeting,
            since: world.now(),
            next_at: world.now(),
            messages: 1 + world.random(8),
        };
        controller.greet();
        controller
    }

    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    pub(super) const fn wakes_at(&self) -> Instant {
        self.next_at
    }

    /// So long nobody could get on.
    pub(super) fn excuse(&mut self, duration: Duration) {
        self.since = self.since.after(duration);
    }

    fn say(&mut self, line: &str) {
        let Some(control) = &mut self.control else { return };
        if let Some(garbage) = self.oddity.garbage {
            control.say(garbage);
        }
        control.say_line(line);
        if self.oddity.says_twice {
            control.say_line(line);
        }
        if self.oddity.out_of_place {
            let all = [
                r#"{"type":"answer","answer":{"type":1,"tcpAddress":[],"tcpPort":0}}"#,
                r#"{"type":"connect-ack"}"#,
                r#"{"type":"launch-ack","presentationId":"x"}"#,
                r#"{"type":"reconnect-ack","presentationId":"x"}"#,
                r#"{"type":"terminate-ack","presentationId":"x"}"#,
                r#"{"type":"ice-candidate","candidate":"x"}"#,
                r#"{"type":"from-the-future","x":[1,{"y":null}]}"#,
            ];
            control.say_line(all[self.world.random(all.len() as u64) as usize]);
        }
    }

    fn greet(&mut self) {
        let line = format!(r#"{{"type":"connect","deviceId":"{}"}}"#, self.name);
        self.say(&line);
    }

    fn hears(&self, what: &str) -> bool {
        self.heard.contains(what)
    }

    pub(super) fn turn(&mut self, now: Instant) {
        self.next_at = now.after(LOOK);
        if let Some(control) = &mut self.control {
            control.pump();
            self.heard.push_str(&String::from_utf8_lossy(&control.take_heard()));
        }
        match self.stage {
            Stage::Greeting => self.launch_when_greeted(now),
            Stage::Launching => self.wait_for_page(now),
            Stage::Talking => self.talk(now),
            Stage::Ending => self.wait_for_end(now),
            Stage::Over => {}
        }
    }

    fn is_late(&self, now: Instant, limit: Duration) -> bool {
        now.since(self.since) > limit
    }

    fn has_lost_control(&self) -> bool {
        self.control.as_ref().is_none_or(|control| control.has_ended)
    }

    fn leave(&mut self) {
        self.stage = Stage::Over;
        (self.control, self.data, self.listener) = (None, None, None);
    }

    fn go_on(&mut self, stage: Stage, now: Instant) {
        (self.stage, self.since) = (stage, self.book.waits_from().max(now));
    }

    fn launch_when_greeted(&mut self, now: Instant) {
        if self.has_lost_control() || self.is_late(now, SLACK) {
            return self.leave();
        }
        if !self.hears(r#""connect-ack""#) && !self.oddity.is_deaf {
            return;
        }
        let anywhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let Ok(listener) = self.host.listen(anywhere, Protection::None) else { return self.leave() };
        let port = if self.oddity.offers_nothing { 9 } else { listener.local_address().port() };
        let Ok(addresses) = self.host.addresses() else { return self.leave() };
        let (id, address) = (self.presentation_id.clone(), addresses[0]);
        self.say(&format!(r#"{{"type":"launch","presentationId":"{id}","url":"{URL}"}}"#));
        let offer = format!(r#"{{"type":"offer","offer":{{"type":1,"tcpAddress":["{address}"],"tcpPort":{port}}}}}"#);
        self.say(&offer);
        self.listener = Some(listener);
        self.book.referee.borrow_mut().sessions += 1;
        self.go_on(Stage::Launching, now);
    }

    /// PS-30: a page that cannot be shown is told of, too.
    fn wait_for_page(&mut self, now: Instant) {
        if self.data.is_none()
            && let Some(listener) = &mut self.listener
            && let Ok(Some(stream)) = listener.accept()
        {
            self.data = Some(Wire::on(stream));
        }
        if self.data.is_some() && self.hears(r#""answer""#) {
            self.listener = None;
            self.say(r#"{"type":"disconnect","reason":0}"#);
            self.book.referee.borrow_mut().connected += 1;
            return self.go_on(Stage::Talking, now);
        }
        let is_ended = self.hears(r#""disconnect""#) || self.hears(r#""terminate""#);
        let is_refused = self.has_lost_control() || is_ended;
        if self.is_late(now, ESTABLISH_TIMEOUT + SLACK) && !is_refused && self.oddity.is_none() {
            let what = format!("{} waits for its page, and nobody tells it why: {}", self.name, self.heard);
            self.book.violation("PS-30", what);
        }
        if is_refused || self.is_late(now, ESTABLISH_TIMEOUT + SLACK) {
            self.leave();
        }
    }

    fn talk(&mut self, now: Instant) {
        let Some(data) = &mut self.data else { return self.leave() };
        data.pump();
        if data.has_ended || self.messages == 0 {
            return self.end(now);
        }
        if self.world.random(8) == 0 {
            self.messages -= 1;
            let text = format!("message {} of {};", self.messages, self.presentation_id);
            self.book.referee.borrow_mut().flows(&self.presentation_id, &text);
            data.say(text.as_bytes());
        }
    }

    /// Half of them just go.
    fn end(&mut self, now: Instant) {
        if self.world.random(2) == 0 {
            return self.leave();
        }
        self.heard.clear();
        self.control = Wire::reach(&mut self.host, self.to, self.trust);
        self.greet();
        self.say(&format!(r#"{{"type":"terminate","presentationId":"{}"}}"#, self.presentation_id));
        self.go_on(Stage::Ending, now);
    }

    fn wait_for_end(&mut self, now: Instant) {
        if let Some(data) = &mut self.data {
            data.pump();
        }
        let is_told = self.hears(r#""terminate-ack""#) || self.hears(r#""disconnect""#);
        if is_told || self.has_lost_control() || self.is_late(now, SLACK) {
            self.leave();
        }
    }
}
