//! Two boxes with a browser each, and pages in them.

use std::net::{Ipv4Addr, SocketAddr};

use greenroom_tests::chooser::Chooser;
use greenroom_tests::chromium::{Chromium, Window};
use greenroom_tests::deadline::{PATIENCE, until};
use greenroom_tests::neighbour::{Neighbour, Setup};
use greenroom_tests::web::{Web, free_port};
use serde_json::{Value, json};

use super::site::Site;
use crate::Failure;

/// All that takes part. What goes first ends first.
pub(super) struct Stage {
    /// On the phone.
    browser: Chromium,
    _chooser: Chooser,
    _webs: [Web; 2],
    _phone: Neighbour,
    tv: Neighbour,
    site: Site,
    /// Of the phone and of the TV.
    bridges: [String; 2],
    rooms: u32,
}

/// Two connected plain pages, and two of a presentation, in windows of the same two browsers.
pub(super) struct Windows {
    plain: Window,
    presentation: Window,
    _tv: Chromium,
}

impl Stage {
    pub(super) fn start() -> Self {
        let site = Site::start();
        let ports = [free_port(), free_port()];
        let (phone, phone_web) = serve(Setup::new("phone"), &site, ports[0]);
        let (tv, tv_web) = serve(Setup::new("TV").browses("http://*", ports[1], &[]), &site, ports[1]);
        let mut page = phone.page();
        until("the phone sees the TV", || page.sees(tv.name()).then_some(()));
        let chooser = Chooser::start(&phone.socket(), tv.name());
        let bridges = ports.map(|port| format!("http://127.0.0.1:{port}"));
        let browser = Chromium::start();
        Self { browser, _chooser: chooser, _webs: [phone_web, tv_web], _phone: phone, tv, site, bridges, rooms: 0 }
    }

    fn open_controller(&self) {
        let [phone, tv] = &self.bridges;
        let receiver = self.site.url(&format!("/receiver?bridge={tv}"));
        self.browser.open(&self.site.url(&format!("/controller?bridge={phone}&receiver={receiver}")));
    }

    fn open_plain(&mut self) {
        self.rooms += 1;
        self.browser.open(&self.plain(0));
        self.browser.wait("await isReady.then(() => null)", &[]);
    }

    fn plain(&self, side: u8) -> String {
        self.site.url(&format!("/plain?room={}&side={side}", self.rooms))
    }

    /// The button does the page's job; gives what came of it.
    fn click(&self) -> Result<f64, Failure> {
        self.browser.click("#go");
        number(&self.browser.wait("await outcome", &[]))
    }

    /// From `start()` to `connect`; the page is closed then.
    pub(super) fn start_presentation(&self) -> Result<f64, Failure> {
        self.open_controller();
        let elapsed_ms = self.click()?;
        self.end_presentation();
        Ok(elapsed_ms)
    }

    fn end_presentation(&self) {
        self.browser.wait("await end().then(() => null)", &[]);
        until("the TV's browser has ended", || self.tv.receivers().is_empty().then_some(()));
    }

    /// The same with two plain pages, of which a browser is started for the second.
    pub(super) fn start_plain(&mut self) -> Result<f64, Failure> {
        self.open_plain();
        let elapsed_ms = self.click()?;
        self.site.clear();
        Ok(elapsed_ms)
    }

    /// A presentation and two plain pages, all connected, in the same two browsers.
    pub(super) fn open_windows(&mut self) -> Result<Windows, Failure> {
        self.open_controller();
        self.click()?;
        let receiver = self.tv.receivers().first().copied().ok_or("the TV has launched nothing")?;
        let tv = Chromium::shown_by(receiver, &[]);
        let presentation = self.browser.another_window();
        self.open_plain();
        tv.another_window();
        tv.open(&self.plain(1));
        self.browser.wait("await connect(true)", &[]);
        Ok(Windows { plain: self.browser.window(), presentation, _tv: tv })
    }

    /// Ends what was opened last.
    pub(super) fn close_windows(&self, windows: Windows) {
        self.browser.look_at(&windows.presentation);
        drop(windows);
        self.end_presentation();
    }

    /// What an expression gives in the page of the presentation.
    pub(super) fn of_presentation(&self, windows: &Windows, expression: &str) -> Result<f64, Failure> {
        self.browser.look_at(&windows.presentation);
        number(&self.browser.wait(expression, &[]))
    }

    /// What it gives in the plain page.
    pub(super) fn of_plain(&self, windows: &Windows, expression: &str) -> Result<f64, Failure> {
        self.browser.look_at(&windows.plain);
        number(&self.browser.wait(expression, &[]))
    }
}

fn number(told: &Value) -> Result<f64, Failure> {
    told.as_f64().ok_or_else(|| format!("{told} is no number").into())
}

fn serve(setup: Setup, site: &Site, port: u16) -> (Neighbour, Web) {
    let origin = json!(site.url(""));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let section = format!("[presentation.web]\nenabled = true\nlisten = \"{address}\"\norigins = [{origin}]\n");
    let neighbour = setup.waits(PATIENCE / 2, PATIENCE).more(&section).start();
    let web = Web::start(&neighbour, address, &[]);
    (neighbour, web)
}
