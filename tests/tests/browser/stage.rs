//! Two boxes that serve browsers, a site whose pages use them, and somebody who chooses devices.

use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use greenroom_core::message::presentation::{Command as Order, Traffic};
use greenroom_daemon::web::PRESENTATION_SCRIPT;
use greenroom_hal_linux::presenter::PresenterClient;
use greenroom_tests::chooser::Chooser;
use greenroom_tests::chromium::Chromium;
use greenroom_tests::deadline::{PATIENCE, until};
use greenroom_tests::neighbour::{Neighbour, Page, Setup};
use greenroom_tests::web::{Web, free_port};
use greenroom_tests::{programs, site};
use rustix::process::Signal;
use serde_json::{Value, json};

/// A program on the TV that builds data channels, and answers.
pub(crate) const PROGRAM: &str = "app:answer";
/// One that is never there.
pub(crate) const WAITING_PROGRAM: &str = "app:wait";
pub(crate) const TOKEN: &str = "a-token-of-the-tests";

/// A site of somebody else, whose pages use the API. `http://127.0.0.1:PORT` is the origin that boxes let in;
/// `http://localhost:PORT` is another one, with the same pages.
pub(crate) struct Site {
    pub(crate) port: u16,
}

impl Site {
    /// It is there as long as the tests are.
    fn start() -> Self {
        let html =
            |text: &'static str| get(move || async move { ([(CONTENT_TYPE, "text/html; charset=utf-8")], text) });
        let script = get(async || ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], PRESENTATION_SCRIPT));
        let pages = Router::new()
            .route("/controller", html(include_str!("controller.html")))
            .route("/receiver", html(include_str!("receiver.html")))
            .route("/empty", html("<!doctype html><title>empty</title>"))
            .route("/presentation.js", script);
        let port = site::serve(pages);
        Self { port }
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A page that controls by way of this bridge.
    pub(crate) fn controller(&self, web: &Web) -> String {
        format!("{}/controller?bridge={}", self.origin(), web.port())
    }

    /// A page to be shown.
    pub(crate) fn receiver(&self) -> String {
        format!("{}/receiver", self.origin())
    }
}

/// All of it. The phone's pages are in `browser`; what is on the TV is shown by a browser of its own.
pub(crate) struct Stage {
    pub(crate) browser: Chromium,
    pub(crate) phone_web: Web,
    pub(crate) tv_web: Web,
    chooser: Option<Chooser>,
    /// It stays, so that its service has as many descriptors open for it in the end as in the beginning.
    _watcher: Page,
    pub(crate) phone: Neighbour,
    pub(crate) tv: Neighbour,
    pub(crate) site: Site,
}

impl Stage {
    pub(crate) fn start() -> Self {
        let site = Site::start();
        let (phone, phone_web) = serve(Setup::new("phone"), &site, free_port());
        let port = free_port();
        let answering = programs::path("answering-page").to_string_lossy().into_owned();
        let tv = Setup::new("tv").browses("http://*", port, &[]).page(PROGRAM, &[&answering, "--data-channel"]);
        let (tv, tv_web) = serve(tv.page(WAITING_PROGRAM, &["/bin/sleep", "1000"]), &site, port);
        let mut watcher = phone.page();
        until("the phone sees the TV", || watcher.sees(tv.name()).then_some(()));
        let chooser = Some(Chooser::start(&phone.socket(), tv.name()));
        Self { browser: Chromium::start(), phone_web, tv_web, chooser, _watcher: watcher, phone, tv, site }
    }

    /// From now on a person has to choose.
    pub(crate) fn send_chooser_away(&mut self) {
        self.chooser = None;
    }

    /// Opens the page that controls, in the present window.
    pub(crate) fn open_controller(&self) {
        self.browser.open(&self.site.controller(&self.phone_web));
    }

    /// Opens it, and has it show the page that is to be shown; both are connected then.
    #[track_caller]
    pub(crate) fn start_presentation(&self) -> String {
        self.open_controller();
        self.press("start", &json!(self.site.receiver()));
        self.expect("connect");
        self.browser.run("return connection.id", &[]).as_str().expect("it has a name").to_owned()
    }

    /// Has the page do something when its button is clicked, as it must be by a person.
    #[track_caller]
    pub(crate) fn press(&self, what: &str, argument: &Value) {
        self.browser.run("prepare(arguments[0], arguments[1])", &[json!(what), argument.clone()]);
        self.browser.click("#go");
    }

    /// Waits for the page's next event, which is of this kind; gives what came with it.
    #[track_caller]
    pub(crate) fn expect(&self, kind: &str) -> Value {
        let event = self.browser.wait("await nextEvent()", &[]);
        assert_eq!(event["kind"], kind, "{event}");
        event["detail"].clone()
    }

    /// Waits until the page has heard that the presentation has ended: the channel may be seen to end before the device's
    /// word comes.
    #[track_caller]
    pub(crate) fn expect_end(&self) {
        let event = self.browser.wait("await nextEvent()", &[]);
        if event["kind"] == "close" {
            self.expect("terminate");
        } else {
            assert_eq!(event["kind"], "terminate", "{event}");
        }
    }

    /// From now on a person could choose, and does not.
    pub(crate) fn watch_choices(&self) -> PresenterClient {
        let mut client = PresenterClient::connect(&self.phone.socket()).expect("the service takes a connection");
        client.request(Order::WatchSelections).expect("it may choose");
        client
    }

    /// Says something to the page on the TV, and gives what that says.
    #[track_caller]
    pub(crate) fn say(&self, text: &str) -> Value {
        self.browser.run("connection.send(arguments[0])", &[json!(text)]);
        self.expect("message")
    }

    /// Has the page show this one, and does not wait for what comes of it.
    pub(crate) fn start_and_wait_for_tv(&self, page: &str) {
        self.open_controller();
        self.press("start", &json!(format!("{}{page}", self.site.origin())));
        until("the TV has a browser", || (!self.tv.receivers().is_empty()).then_some(()));
    }

    /// Sends both services a signal.
    pub(crate) fn services(&self, signal: Signal) {
        self.phone.signal(signal);
        self.tv.signal(signal);
    }

    /// PS-07: no service has carried a byte of what pages have said.
    #[track_caller]
    pub(crate) fn expect_nothing_carried(&self) {
        for neighbour in [&self.phone, &self.tv] {
            assert_eq!(neighbour.page().traffic(), Traffic::default(), "{}", neighbour.name());
        }
    }

    /// Everything that there was of a presentation has gone.
    #[track_caller]
    pub(crate) fn expect_nothing_left(&self) {
        until("the browser on the TV has ended", || self.tv.receivers().is_empty().then_some(()));
        for neighbour in [&self.phone, &self.tv] {
            until("the presentation is forgotten", || neighbour.ctl(&["list"]).stdout.is_empty().then_some(()));
            until("what the browser kept has gone", || neighbour.kept_by_receivers().is_empty().then_some(()));
        }
    }
}

fn serve(setup: Setup, site: &Site, port: u16) -> (Neighbour, Web) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let section = format!(
        "[presentation.web]\nenabled = true\nlisten = \"{address}\"\ntoken = \"{TOKEN}\"\norigins = [\"{}\"]\n",
        site.origin()
    );
    let neighbour = setup.waits(PATIENCE / 2, PATIENCE).more(&section).start();
    let web = Web::start(&neighbour, address, &[]);
    (neighbour, web)
}
