//! A headless Chromium from Debian's packages, driven by its own driver, which speaks the W3C's WebDriver: JSON over HTTP.
//!
//! Whatever the browser or its driver does not do makes the caller panic with what they say, as in a test it should.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;

use crate::deadline::{PATIENCE, until};
use crate::passage::Passage;
use crate::{observe, programs};

const BROWSER: &str = "/usr/bin/chromium";
const DRIVER: &str = "/usr/bin/chromedriver";

/// Whether there is one; says loudly that the tests are skipped where there is none.
pub fn is_there() -> bool {
    let is_there = is_installed();
    if !is_there {
        // To be seen of a test that passes, too, whose macros print nothing.
        let _ = writeln!(io::stderr(), "SKIPPED: there is no browser; run 'apt-get install chromium chromium-driver'");
    }
    is_there
}

/// Whether there is one.
pub fn is_installed() -> bool {
    [BROWSER, DRIVER].into_iter().all(|path| Path::new(path).exists())
}

/// What every Chromium is told that runs in the place where these words run a program. Its addresses are not hidden: another
/// process on this machine, without a network, would have to find their names by multicast.
fn arguments(within: &[String]) -> Vec<String> {
    let mut arguments = vec![
        "--headless=new",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-default-browser-check",
        "--no-first-run",
        "--password-store=basic",
        "--autoplay-policy=no-user-gesture-required",
        "--disable-features=WebRtcHideLocalIpsWithMdns,LocalNetworkAccessChecks,MediaRouter",
    ];
    // Within a user namespace everybody is root, for whom it makes no sandbox.
    if rustix::process::geteuid().is_root() || !within.is_empty() || !is_sandbox_allowed() {
        arguments.push("--no-sandbox");
    }
    arguments.into_iter().map(String::from).collect()
}

/// A sandbox is made of namespaces, which a user may make in most places; not in a container, as a rule. What pages of tests do
/// is known, so that they do without.
fn is_sandbox_allowed() -> bool {
    let made = Command::new("unshare").args(["--user", "true"]).stderr(Stdio::null()).status();
    made.is_ok_and(|status| status.success())
}

/// The command with which a receiver shows a page, in the place where these words run a program.
pub fn receiver_command(within: &[String]) -> Vec<String> {
    let mut command = vec![BROWSER.to_owned()];
    command.extend(arguments(within));
    let own = ["--user-data-dir={profile}", "--remote-debugging-port=0", "--window-size=1280,720", "{page}"];
    command.extend(own.map(String::from));
    command
}

/// A browser and its driver. Dropping it ends both.
pub struct Chromium {
    agent: Agent,
    /// The address of the session.
    session: String,
    driver: Child,
    passage: Option<Passage>,
    _profile: TempDir,
}

/// What a page and a server have said over a `WebSocket`.
#[derive(Clone, Debug)]
pub struct Frame {
    /// When.
    pub at: SystemTime,
    /// Whether the page has said it.
    pub is_sent: bool,
    /// What was said, where it is a text.
    pub text: String,
}

/// The name of one of a browser's windows.
pub type Window = String;

impl Chromium {
    /// A browser with one empty page.
    pub fn start() -> Self {
        Self::launch(json!({}), &[])
    }

    /// The same in the place where these words run a program. It keeps what its pages say over `WebSocket`s.
    pub fn recording(within: &[String]) -> Self {
        Self::launch(json!({ "goog:loggingPrefs": { "performance": "ALL" } }), within)
    }

    fn launch(mut options: Value, within: &[String]) -> Self {
        let profile = tempfile::tempdir().expect("a directory can be made");
        let mut arguments = arguments(within);
        arguments.push(format!("--user-data-dir={}", profile.path().join("profile").display()));
        // Its own first page asks the Internet what to show, and is waited for.
        let preferences = json!({ "session": { "restore_on_startup": 4, "startup_urls": ["about:blank"] } });
        options["goog:chromeOptions"] = json!({ "binary": BROWSER, "args": arguments, "prefs": preferences });
        Self::with(profile, options, within)
    }

    /// One that runs already, in that place, and listens at this port for who looks at it.
    pub fn attached_to(port: u16, within: &[String]) -> Self {
        let profile = tempfile::tempdir().expect("a directory can be made");
        let options = json!({ "goog:chromeOptions": { "debuggerAddress": format!("127.0.0.1:{port}") } });
        Self::with(profile, options, within)
    }

    /// The one that this process, which shows a page of another device, has started in that place.
    pub fn shown_by(process: u32, within: &[String]) -> Self {
        let port = until("the browser has said where it listens", || {
            observe::children(process).into_iter().find_map(|browser| {
                let command = fs::read(format!("/proc/{browser}/cmdline")).ok()?;
                let words = String::from_utf8_lossy(&command).into_owned();
                let profile = words.split('\0').find_map(|word| word.strip_prefix("--user-data-dir="))?.to_owned();
                fs::read_to_string(format!("{profile}/DevToolsActivePort")).ok()?.lines().next()?.parse().ok()
            })
        });
        Self::attached_to(port, within)
    }

    fn with(profile: TempDir, mut options: Value, within: &[String]) -> Self {
        let log = fs::File::create(profile.path().join("driver.log")).expect("a log can be made");
        let driver = programs::command(within, Path::new(DRIVER))
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("chromedriver starts");
        let timeout = Some(2 * PATIENCE);
        let agent = Agent::config_builder().http_status_as_error(false).timeout_global(timeout).build().new_agent();
        let mut made = Self { agent, session: String::new(), driver, passage: None, _profile: profile };
        let port = port_of(&mut made.driver);
        made.passage = (!within.is_empty()).then(|| Passage::to(port, within));
        let driver = format!("http://127.0.0.1:{}/session", made.passage.as_ref().map_or(port, Passage::port));
        made.session.clone_from(&driver);
        options["timeouts"] = json!({ "script": PATIENCE.as_millis() });
        let told = made.post("", &json!({ "capabilities": { "alwaysMatch": options } }));
        made.session = format!("{driver}/{}", told["sessionId"].as_str().expect("a session"));
        made
    }

    /// What the driver answers, or why it does not do it.
    fn try_post(&self, path: &str, body: &Value) -> Result<Value, String> {
        let answer = self.agent.post(format!("{}{path}", self.session)).send_json(body);
        value_of(answer)
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Value {
        self.try_post(path, body).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    #[track_caller]
    fn get(&self, path: &str) -> Value {
        let told = value_of(self.agent.get(format!("{}{path}", self.session)).call());
        told.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Ends the browser as a crash would: it says nothing more to anybody.
    pub fn kill(&self) {
        observe::children(self.driver.id()).into_iter().for_each(kill);
    }

    /// Opens a page in the present window.
    #[track_caller]
    pub fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// Loads the page in the present window again.
    #[track_caller]
    pub fn reload(&self) {
        self.post("/refresh", &json!({}));
    }

    /// Runs a script in the page, which gives something.
    #[track_caller]
    pub fn run(&self, script: &str, arguments: &[Value]) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": arguments }))
    }

    /// Runs an expression that gives a promise, and waits for what that becomes.
    #[track_caller]
    pub fn wait(&self, expression: &str, arguments: &[Value]) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1];\
             (async (...args) => ({expression}))(...[...arguments].slice(0, -1))\
             .then((value) => done({{ value }}), (error) => done({{ error: `${{error.name}}: ${{error.message}}` }}));"
        );
        let told = self.post("/execute/async", &json!({ "script": script, "args": arguments }));
        assert!(told.get("error").is_none(), "{expression}: {told}");
        told["value"].clone()
    }

    /// Whether an expression is true; one that throws is not.
    pub fn is_true(&self, expression: &str) -> bool {
        let script = json!({ "script": format!("return Boolean({expression})"), "args": [] });
        self.try_post("/execute/sync", &script).is_ok_and(|told| told == true)
    }

    /// Runs an expression until it is true.
    #[track_caller]
    pub fn until(&self, expression: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.is_true(expression) {
            assert!(Instant::now() < end, "still not: {expression}");
        }
    }

    /// The address of what a selector finds, once there is something.
    #[track_caller]
    fn find(&self, selector: &str) -> String {
        let query = json!({ "using": "css selector", "value": selector });
        let found = until(selector, || self.try_post("/element", &query).ok());
        let name = found.as_object().and_then(|found| found.values().next()).and_then(Value::as_str);
        format!("/element/{}", name.expect("it has a name"))
    }

    /// Clicks what a selector finds, as a person does. What is drawn anew meanwhile is looked for again.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        until(selector, || self.try_post(&format!("{}/click", self.find(selector)), &json!({})).ok());
    }

    /// Types into what a selector finds.
    #[track_caller]
    pub fn type_into(&self, selector: &str, text: &str) {
        let found = self.find(selector);
        self.post(&format!("{found}/clear"), &json!({}));
        self.post(&format!("{found}/value"), &json!({ "text": text }));
    }

    /// Opens another window, which is the present one from then on; gives the one that was.
    #[track_caller]
    pub fn another_window(&self) -> Window {
        let before = self.window();
        let made = self.post("/window/new", &json!({ "type": "window" }));
        self.look_at(made["handle"].as_str().expect("a window"));
        before
    }

    /// The present window.
    #[track_caller]
    pub fn window(&self) -> Window {
        self.get("/window").as_str().expect("a window").to_owned()
    }

    /// Makes a window the present one.
    #[track_caller]
    pub fn look_at(&self, window: &str) {
        self.post("/window", &json!({ "handle": window }));
    }

    /// Closes the present window; another one has to be looked at then.
    #[track_caller]
    pub fn close_window(&self) {
        let closed = value_of(self.agent.delete(format!("{}/window", self.session)).call());
        closed.expect("it closes");
    }

    /// What the present window shows on a screen of this size: a PNG.
    #[track_caller]
    pub fn screenshot(&self, (width, height): (u32, u32)) -> Vec<u8> {
        // A window of a person has edges, and is not as narrow as a phone.
        let screen = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.command("Emulation.setDeviceMetricsOverride", &screen);
        let picture = self.get("/screenshot");
        STANDARD.decode(picture.as_str().expect("a text")).expect("it is base64")
    }

    /// Writes what the present window shows on a screen of this size into `target/demo`.
    #[track_caller]
    pub fn picture(&self, name: &str, size: (u32, u32)) {
        let directory = demo_directory();
        fs::create_dir_all(&directory).expect("the directory can be made");
        fs::write(directory.join(name), self.screenshot(size)).expect("it can be written");
    }

    /// The same for a person who wants dark colours.
    #[track_caller]
    pub fn picture_at_night(&self, name: &str, size: (u32, u32)) {
        let dark = json!({ "name": "prefers-color-scheme", "value": "dark" });
        self.command("Emulation.setEmulatedMedia", &json!({ "features": [dark] }));
        self.picture(name, size);
        self.command("Emulation.setEmulatedMedia", &json!({ "features": [] }));
    }

    /// What only this browser understands.
    #[track_caller]
    fn command(&self, name: &str, values: &Value) {
        self.post("/goog/cdp/execute", &json!({ "cmd": name, "params": values }));
    }

    /// Kills the processes that run its pages, and no other. Nothing can be asked of its pages from then on.
    pub fn kill_pages(&self) {
        kill_pages_of(self.driver.id());
    }

    /// What pages have said and heard over `WebSocket`s since this was asked last.
    #[track_caller]
    pub fn frames(&self) -> Vec<Frame> {
        let log = self.post("/se/log", &json!({ "type": "performance" }));
        log.as_array().into_iter().flatten().filter_map(frame).collect()
    }
}

/// Kills the processes below this one in which pages run, and no other.
pub fn kill_pages_of(process_id: u32) {
    for process in descendants(process_id) {
        let command = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&command).contains("--type=renderer") {
            kill(process);
        }
    }
}

fn descendants(process_id: u32) -> Vec<u32> {
    let children = observe::children(process_id);
    children.into_iter().flat_map(|child| std::iter::once(child).chain(descendants(child))).collect()
}

/// Kills a process. One that has ended by itself needs no signal.
pub fn kill(process_id: u32) {
    if let Some(process) = Pid::from_raw(process_id.cast_signed()) {
        let _ = kill_process(process, Signal::KILL);
    }
}

/// Of an entry in the browser's log of its work.
fn frame(entry: &Value) -> Option<Frame> {
    let at = UNIX_EPOCH + Duration::from_millis(entry["timestamp"].as_u64()?);
    let event: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
    let event = &event["message"];
    let is_sent = match event["method"].as_str()? {
        "Network.webSocketFrameSent" => true,
        "Network.webSocketFrameReceived" => false,
        _ => return None,
    };
    let text = event["params"]["response"]["payloadData"].as_str()?.to_owned();
    Some(Frame { at, is_sent, text })
}

/// The value of an answer. The driver says in it what went wrong, too.
fn value_of(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Value, String> {
    let mut answer = answer.map_err(|error| error.to_string())?;
    let told: Value = answer.body_mut().read_json().map_err(|error| error.to_string())?;
    match told["value"].get("error") {
        Some(error) => Err(format!("{error}: {}", told["value"]["message"])),
        None => Ok(told["value"].clone()),
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // One that has gone already is closed.
        let _ = self.agent.delete(&self.session).call();
        // One that does not close is killed.
        observe::children(self.driver.id()).into_iter().for_each(kill);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Where `make demo` writes.
fn demo_directory() -> PathBuf {
    let own = std::env::current_exe().expect("a process has a path");
    let target = own.ancestors().nth(3).expect("it lies in target/PROFILE/deps");
    target.join("demo")
}

/// It writes the port that it has found, and then hears nobody any more.
fn port_of(driver: &mut Child) -> u16 {
    let output = driver.stdout.take().expect("it is piped");
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let port = lines.find_map(|line| {
        let (_, rest) = line.split_once("started successfully on port ")?;
        rest.trim_end_matches('.').parse().ok()
    });
    std::thread::spawn(move || lines.for_each(drop));
    port.expect("chromedriver says where it listens")
}
