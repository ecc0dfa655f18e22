//! Two boxes that serve browsers, a site whose pages use them, and somebody who chooses devices.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use greenroom_core::message::presentation::{Command as Order, Event};
use greenroom_hal_linux::presentation::PresenterClient;
use greenroom_tests::neighbour::{Neighbour, Setup};
use greenroom_tests::programs;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::chromium::{self, Chromium};
use super::{PATIENCE, until};

pub(crate) const TOKEN: &str = "a-token-of-the-tests";

/// A port that nobody has, below those that the system gives to whoever connects.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 12_000 + u16::try_from(std::process::id() % 18_000).expect("it is small");
    loop {
        let port = first.saturating_add(NEXT.fetch_add(1, Ordering::Relaxed));
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return port;
        }
    }
}

/// A running `greenroom-web`.
pub(crate) struct Web {
    pub(crate) port: u16,
    process: Child,
    log: PathBuf,
}

impl Web {
    fn start(of: &Neighbour, port: u16) -> Self {
        let log = of.place().join("web.log");
        let process = Command::new(programs::path("greenroom-web"))
            .arg("--config")
            .arg(of.place().join("presentation.toml"))
            .stdin(Stdio::null())
            .stderr(fs::File::create(&log).expect("a log can be made"))
            .spawn()
            .expect("greenroom-web starts");
        let web = Self { port, process, log };
        until("browsers are served", || TcpStream::connect(web.address()).ok());
        web
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- log of greenroom-web\n{}", self.log());
        }
    }
}

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
        let script = get(async || {
            let text = include_str!("../../../daemon/web/presentation.js");
            ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], text)
        });
        let pages = Router::new()
            .route("/controller", html(include_str!("controller.html")))
            .route("/receiver", html(include_str!("receiver.html")))
            .route("/empty", html("<!doctype html><title>empty</title>"))
            .route("/presentation.js", script);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a port");
        listener.set_nonblocking(true).expect("it can be watched");
        let port = listener.local_addr().expect("it listens").port();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("it can be watched");
                axum::serve(listener, pages).await
            })
        });
        Self { port }
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A page that controls by way of this bridge.
    pub(crate) fn controller(&self, web: &Web) -> String {
        format!("{}/controller?bridge={}", self.origin(), web.port)
    }

    /// A page to be shown.
    pub(crate) fn receiver(&self) -> String {
        format!("{}/receiver", self.origin())
    }
}

/// Chooses one device for whoever asks. Dropping it ends that.
struct Chooser {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Chooser {
    fn start(socket: &Path, device: &str) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let (told, socket, device) = (ends.clone(), socket.to_owned(), device.to_owned());
        let mut client = PresenterClient::connect(&socket).expect("the service takes a connection");
        client.request(Order::WatchSelections).expect("it may choose");
        let choose = move || {
            while !told.load(Ordering::Relaxed) {
                let selection = match client.next_event(Instant::now() + Duration::from_millis(20)) {
                    Ok(Some(Event::SelectionAsked { selection, .. })) => selection,
                    Ok(_) => continue,
                    Err(_) => return,
                };
                // One that was withdrawn needs no device.
                let _ = client.request(Order::Select { selection, device: &device });
            }
        };
        Self { ends, thread: Some(std::thread::spawn(choose)) }
    }
}

impl Drop for Chooser {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// All of it. The phone's pages are in `browser`; what is on the TV is shown by a browser of its own.
pub(crate) struct Stage {
    pub(crate) browser: Chromium,
    pub(crate) phone_web: Web,
    pub(crate) tv_web: Web,
    chooser: Option<Chooser>,
    pub(crate) phone: Neighbour,
    pub(crate) tv: Neighbour,
    pub(crate) site: Site,
}

impl Stage {
    pub(crate) fn start() -> Self {
        let site = Site::start();
        let (phone, phone_web) = serve(Setup::new("phone"), &site, free_port());
        let port = free_port();
        let mut command = vec![programs::path("greenroom-browser").to_string_lossy().into_owned()];
        command.extend(["--port", &port.to_string(), "{url}", "--"].map(String::from));
        command.extend(chromium::receiver_command(&[]));
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        let (tv, tv_web) = serve(Setup::new("tv").page("http://*", &command), &site, port);
        let mut page = phone.page();
        until("the phone sees the TV", || page.sees(tv.name()).then_some(()));
        let chooser = Some(Chooser::start(&phone.socket(), tv.name()));
        Self { browser: Chromium::start(), phone_web, tv_web, chooser, phone, tv, site }
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

    /// Says something to the page on the TV, and gives what that says.
    #[track_caller]
    pub(crate) fn say(&self, text: &str) -> Value {
        self.browser.run("connection.send(arguments[0])", &[json!(text)]);
        self.expect("message")
    }

    /// Sends both services a signal.
    pub(crate) fn services(&self, signal: Signal) {
        self.phone.signal(signal);
        self.tv.signal(signal);
    }

    /// Everything that there was of a presentation has gone.
    #[track_caller]
    pub(crate) fn expect_nothing_left(&self) {
        until("the browser on the TV has ended", || self.tv.receivers().is_empty().then_some(()));
        for neighbour in [&self.phone, &self.tv] {
            until("the presentation is forgotten", || neighbour.ctl(&["list"]).stdout.is_empty().then_some(()));
        }
    }
}

fn serve(setup: Setup, site: &Site, port: u16) -> (Neighbour, Web) {
    let section = format!(
        "[presentation.web]\nenabled = true\nlisten = \"127.0.0.1:{port}\"\ntoken = \"{TOKEN}\"\norigins = [\"{}\"]\n",
        site.origin()
    );
    let neighbour = setup.waits(PATIENCE / 2, PATIENCE).more(&section).start();
    let web = Web::start(&neighbour, port);
    (neighbour, web)
}
