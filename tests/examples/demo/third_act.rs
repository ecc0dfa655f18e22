//! The third act: a page in the phone's browser has a page shown in a browser on the TV, and the two talk to each other.

use std::path::Path;

use greenroom_hal_mock::diagram::Kind;
use greenroom_tests::chromium::{self, Frame};
use greenroom_tests::neighbour::Neighbour;
use rustix::process::Signal;
use serde_json::Value;

use crate::Failure;
use crate::census::{self, Census};
use crate::checks::Checks;
use crate::clips::Clips;
use crate::journal::{Colour, Journal};
use crate::networks::Networks;
use crate::screen::Screen;
use crate::seen::{Scene, Seen, Who};
use crate::web_devices::WebDevices;

const PHONE_SIZE: (u32, u32) = (390, 844);
const TV_SIZE: (u32, u32) = (1280, 720);

const SCENE: Scene = Scene {
    act: "third act",
    title: "A page in a browser on the phone, and one in a browser on the TV",
    file: "pages",
    parts: &[(Who::Page, "phone's page"), (Who::Phone, "phone"), (Who::Tv, "TV"), (Who::Receiver, "TV's page")],
};

/// What a page asks of its bridge that others learn of.
const ORDERS: [&str; 8] = ["hello", "start", "reconnect", "offer", "answer", "candidate", "open", "terminate"];
/// What a bridge tells a page of others.
const EVENTS: [&str; 5] = ["build", "offer", "answer", "candidate", "state"];

/// Tells the act, or how it can be seen.
pub(crate) fn tell(journal: &Journal, clips: &Clips, checks: &mut Checks) -> Result<(), Failure> {
    journal.act("Third act: a page in the phone's browser, and one in the TV's");
    if !chromium::is_installed() {
        let loud = journal.paint(Colour::Bad, "SKIPPED: THERE IS NO BROWSER");
        journal.print(&format!(
            "{loud}; 'make demo BROWSER=1' installs one, as 'apt-get install chromium chromium-driver'"
        ));
        return Ok(());
    }
    census::adopt_orphans()?;
    let networks = Networks::make();
    networks.introduce(journal);
    let seen = Seen::start(journal, &SCENE);
    let devices = WebDevices::start(&networks, &clips.film)?;
    let mut act = Act { journal, seen: &seen, devices: &devices, checks, directory: &clips.directory };
    act.play(networks.how())?;
    let tv_log = devices.tv.log() + &devices.tv_web.log();
    seen.read_logs(&devices.phone.log(), &tv_log, devices.tv.name());
    let left = devices.close(checks);
    drop(networks);
    let left = Census::settled(|| census_of(&left), Census::NOTHING);
    checks.check(left == Census::NOTHING, "when the browsers and both devices are off, nothing at all is left");
    seen.draw(&clips.directory)
}

fn census_of(devices: &[Neighbour; 2]) -> Census {
    census::bury_orphans();
    Census::of(&devices.each_ref().map(Neighbour::place))
}

struct Act<'a> {
    journal: &'a Journal,
    seen: &'a Seen<'a>,
    devices: &'a WebDevices,
    checks: &'a mut Checks,
    directory: &'a Path,
}

impl Act<'_> {
    /// From the link that a person opens to the end for all.
    fn play(&mut self, how: &str) -> Result<(), Failure> {
        let phone = Screen::new(self.devices.phone_browser(), "the phone", PHONE_SIZE);
        self.find(&phone, how)?;
        self.start(&phone)?;
        let tv = Screen::new(self.devices.tv_browser()?, "the TV", TV_SIZE);
        self.watch(&tv)?;
        self.talk(&phone, &tv)?;
        phone.save(&self.directory.join("page-phone.png"))?;
        tv.save(&self.directory.join("page-tv.png"))?;
        self.leave(&phone, &tv)?;
        self.come_back(&phone, &tv)?;
        drop(tv);
        self.end(&phone)
    }

    fn find(&mut self, phone: &Screen, how: &str) -> Result<(), Failure> {
        let link = self.devices.phone_web.link();
        let without_token = link.split('#').next().unwrap_or_default();
        self.journal.said(
            "person",
            "phone's page",
            &format!("opens {without_token}#token=..., from greenroom-web --link"),
        );
        phone.browser.open(&link);
        phone.shows("the TV", &format!("document.querySelector(\"{}\")", self.choice()))?;
        self.checks.check(true, format!("in the phone's browser the page of its bridge finds the TV, {how}"));
        Ok(())
    }

    fn choice(&self) -> String {
        format!("#devices input[value='{}']", self.devices.tv.name())
    }

    fn start(&mut self, phone: &Screen) -> Result<(), Failure> {
        let url = &self.devices.url;
        phone.browser.type_into("#url", url);
        phone.browser.click(&self.choice());
        phone.browser.click("#begin");
        self.journal.said("person", "phone's page", &format!("show {url} on the TV"));
        shows_state(phone, "connected")?;
        self.journal.said("phone's page", "person", "connected");
        self.checks.check(true, "a person picks the TV, which launches a browser: the two pages are connected");
        Ok(())
    }

    fn watch(&mut self, tv: &Screen) -> Result<(), Failure> {
        // It stands in front of the picture's number.
        tv.browser.run("document.getElementById('who').style.visibility = 'hidden'", &[]);
        let one = tv.film_after(None)?;
        let other = tv.film_after(Some(one))?;
        tv.browser.run("document.getElementById('who').style.visibility = ''", &[]);
        self.journal.note(&format!("on the TV's screen are pictures {one} and {other} of the film"));
        self.checks.check(true, "the page on the TV plays the film: its pictures are read from the screen");
        Ok(())
    }

    fn talk(&mut self, phone: &Screen, tv: &Screen) -> Result<(), Failure> {
        self.say(phone, "Good evening")?;
        tv.shows(
            "what the phone says",
            "[...document.querySelectorAll('.said p')].at(-1).textContent === 'Good evening'",
        )?;
        self.checks.check(true, "messages go both ways: the TV shows what is said, and repeats it");
        self.say(phone, "pause")?;
        tv.shows("the film paused", "document.getElementById('video').paused")?;
        self.say(phone, "play")?;
        tv.shows("the film playing", "!document.getElementById('video').paused")?;
        self.checks.check(true, "the page on the TV pauses and plays when it is told to");
        self.devices.signal(Signal::STOP);
        let said = self.say(phone, "Nobody between us?");
        self.devices.signal(Signal::CONT);
        said?;
        self.checks
            .check(true, "with all four of Greenroom's programs stopped the pages talk on, from browser to browser");
        Ok(())
    }

    /// Says something and hears the answer, which is it again, or names it.
    fn say(&self, phone: &Screen, text: &str) -> Result<(), Failure> {
        let heard = "[...document.querySelectorAll('#messages p:not(.own)')]";
        let before = phone.browser.run(&format!("return {heard}.length"), &[]).as_u64().unwrap_or_default();
        phone.browser.type_into("#text", text);
        phone.browser.click("#send");
        self.seen.now(Kind::Call, Who::Page, Who::Receiver, text);
        phone
            .shows(&format!("an answer to '{text}'"), &format!("{heard}[{before}]?.textContent.includes({text:?})"))?;
        let answer = phone.browser.run(&format!("return {heard}[{before}].textContent"), &[]);
        self.seen.now(Kind::Answer, Who::Receiver, Who::Page, answer.as_str().unwrap_or_default());
        Ok(())
    }

    fn leave(&mut self, phone: &Screen, tv: &Screen) -> Result<(), Failure> {
        self.take(&phone.browser.frames());
        phone.browser.open("about:blank");
        self.journal.said("person", "phone's page", "closes it");
        tv.shows("that nobody is connected", &controllers("0 controllers"))?;
        let position = tv.browser.run("return document.getElementById('video').currentTime", &[]);
        tv.shows("its film going on", &format!("document.getElementById('video').currentTime !== {position}"))?;
        self.checks.check(true, "the page on the phone is closed: the TV's page knows it, and its film goes on");
        Ok(())
    }

    fn come_back(&mut self, phone: &Screen, tv: &Screen) -> Result<(), Failure> {
        let link = self.devices.phone_web.link();
        phone.browser.open(link.split('#').next().unwrap_or_default());
        self.journal.said("person", "phone's page", "opens it again, and takes up what is on");
        phone.browser.click("#presentations button:not([hidden])");
        shows_state(phone, "connected")?;
        tv.shows("that somebody is connected", &controllers("1 controller"))?;
        self.say(phone, "Here I am again")?;
        self.checks.check(true, "the page on the phone comes back, and is connected to the same page on the TV");
        Ok(())
    }

    fn end(&mut self, phone: &Screen) -> Result<(), Failure> {
        phone.browser.click("#end");
        self.journal.said("person", "phone's page", "end for all");
        shows_state(phone, "terminated")?;
        self.take(&phone.browser.frames());
        let is_empty = self.devices.is_tv_empty();
        self.checks.check(is_empty, "it is terminated: the TV's browser is gone, with every file of it");
        Ok(())
    }

    /// Keeps what the phone's page and its bridge have said to each other.
    fn take(&self, frames: &[Frame]) {
        for Frame { at, is_sent, text } in frames {
            let said: Value = serde_json::from_str(text).unwrap_or_default();
            let kind = said[if *is_sent { "do" } else { "event" }].as_str().unwrap_or_default();
            if *is_sent && ORDERS.contains(&kind) {
                self.seen.at_date(*at, Kind::Call, Who::Page, Who::Phone, kind);
            } else if EVENTS.contains(&kind) {
                let what = said["state"].as_str().unwrap_or(kind);
                self.seen.at_date(*at, Kind::Notification, Who::Phone, Who::Page, what);
            }
        }
    }
}

fn shows_state(phone: &Screen, state: &str) -> Result<(), Failure> {
    let expression = format!("document.getElementById('talk-state').textContent === '{state}'");
    phone.shows(&format!("that it is {state}"), &expression)
}

fn controllers(count: &str) -> String {
    format!("document.getElementById('who').textContent === '{count}'")
}
