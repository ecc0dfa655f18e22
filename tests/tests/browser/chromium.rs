//! A headless Chromium from Debian's packages, driven by its own driver, which speaks the W3C's WebDriver: JSON over HTTP.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;

use super::{PATIENCE, until};

const BROWSER: &str = "/usr/bin/chromium";
const DRIVER: &str = "/usr/bin/chromedriver";

/// Whether there is one; says loudly that the tests are skipped where there is none.
pub(crate) fn is_there() -> bool {
    let is_there = [BROWSER, DRIVER].into_iter().all(|path| Path::new(path).exists());
    if !is_there {
        // To be seen of a test that passes, too, whose macros print nothing.
        let _ = writeln!(io::stderr(), "SKIPPED: there is no browser; run 'apt-get install chromium chromium-driver'");
    }
    is_there
}

/// What every Chromium of a test is told. Its addresses are not hidden: another process on this machine, without a network,
/// would have to find their names by multicast.
fn arguments() -> Vec<String> {
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
    if rustix::process::geteuid().is_root() {
        arguments.push("--no-sandbox");
    }
    arguments.into_iter().map(String::from).collect()
}

/// The command with which a receiver shows a page.
pub(crate) fn receiver_command() -> Vec<String> {
    let mut command = vec![BROWSER.to_owned()];
    command.extend(arguments());
    let own = ["--user-data-dir={profile}", "--remote-debugging-port=0", "--window-size=1280,720", "{page}"];
    command.extend(own.map(String::from));
    command
}

/// A browser and its driver. Dropping it ends both.
pub(crate) struct Chromium {
    agent: Agent,
    /// The address of the session.
    session: String,
    driver: Child,
    _profile: TempDir,
}

/// The name of one of a browser's windows.
pub(crate) type Window = String;

impl Chromium {
    /// A browser with one empty page.
    pub(crate) fn start() -> Self {
        let profile = tempfile::tempdir().expect("a directory can be made");
        let mut arguments = arguments();
        arguments.push(format!("--user-data-dir={}", profile.path().join("profile").display()));
        Self::with(profile, &json!({ "binary": BROWSER, "args": arguments }))
    }

    /// One that runs already and listens there for who looks at it.
    pub(crate) fn attached_to(port: u16) -> Self {
        let profile = tempfile::tempdir().expect("a directory can be made");
        Self::with(profile, &json!({ "debuggerAddress": format!("127.0.0.1:{port}") }))
    }

    fn with(profile: TempDir, options: &Value) -> Self {
        let log = fs::File::create(profile.path().join("driver.log")).expect("a log can be made");
        let driver = Command::new(DRIVER)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("chromedriver starts");
        let timeout = Some(2 * PATIENCE);
        let agent = Agent::config_builder().http_status_as_error(false).timeout_global(timeout).build().new_agent();
        let mut made = Self { agent, session: String::new(), driver, _profile: profile };
        let driver = format!("http://127.0.0.1:{}/session", port_of(&mut made.driver));
        made.session.clone_from(&driver);
        let wanted = json!({ "goog:chromeOptions": options, "timeouts": { "script": PATIENCE.as_millis() } });
        let told = made.post("", &json!({ "capabilities": { "alwaysMatch": wanted } }));
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

    /// Opens a page in the present window.
    #[track_caller]
    pub(crate) fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// Loads the page in the present window again.
    #[track_caller]
    pub(crate) fn reload(&self) {
        self.post("/refresh", &json!({}));
    }

    /// Runs a script in the page, which gives something.
    #[track_caller]
    pub(crate) fn run(&self, script: &str, arguments: &[Value]) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": arguments }))
    }

    /// Runs an expression that gives a promise, and waits for what that becomes.
    #[track_caller]
    pub(crate) fn wait(&self, expression: &str, arguments: &[Value]) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1];\
             (async (...args) => ({expression}))(...[...arguments].slice(0, -1))\
             .then((value) => done({{ value }}), (error) => done({{ error: `${{error.name}}: ${{error.message}}` }}));"
        );
        let told = self.post("/execute/async", &json!({ "script": script, "args": arguments }));
        assert!(told.get("error").is_none(), "{expression}: {told}");
        told["value"].clone()
    }

    /// Runs an expression until it is true.
    #[track_caller]
    pub(crate) fn until(&self, expression: &str) {
        let end = Instant::now() + PATIENCE;
        while self.run(&format!("return Boolean({expression})"), &[]) != true {
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
    pub(crate) fn click(&self, selector: &str) {
        until(selector, || self.try_post(&format!("{}/click", self.find(selector)), &json!({})).ok());
    }

    /// Types into what a selector finds.
    #[track_caller]
    pub(crate) fn type_into(&self, selector: &str, text: &str) {
        let found = self.find(selector);
        self.post(&format!("{found}/clear"), &json!({}));
        self.post(&format!("{found}/value"), &json!({ "text": text }));
    }

    /// Opens another window, which is the present one from then on; gives the one that was.
    #[track_caller]
    pub(crate) fn another_window(&self) -> Window {
        let before = self.window();
        let made = self.post("/window/new", &json!({ "type": "tab" }));
        self.look_at(made["handle"].as_str().expect("a window"));
        before
    }

    /// The present window.
    #[track_caller]
    pub(crate) fn window(&self) -> Window {
        self.get("/window").as_str().expect("a window").to_owned()
    }

    /// Makes a window the present one.
    #[track_caller]
    pub(crate) fn look_at(&self, window: &str) {
        self.post("/window", &json!({ "handle": window }));
    }

    /// Closes the present window; another one has to be looked at then.
    #[track_caller]
    pub(crate) fn close_window(&self) {
        let closed = value_of(self.agent.delete(format!("{}/window", self.session)).call());
        closed.expect("it closes");
    }

    /// Writes what the present window shows at this size into `target/demo`.
    #[track_caller]
    pub(crate) fn picture(&self, name: &str, (width, height): (u32, u32)) {
        self.post("/window/rect", &json!({ "width": width, "height": height }));
        self.keep_picture(name);
    }

    /// Writes what the present window shows into `target/demo`.
    #[track_caller]
    pub(crate) fn keep_picture(&self, name: &str) {
        let picture = self.get("/screenshot");
        let picture = STANDARD.decode(picture.as_str().expect("a text")).expect("it is base64");
        let directory = demo_directory();
        fs::create_dir_all(&directory).expect("the directory can be made");
        fs::write(directory.join(name), picture).expect("it can be written");
    }
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
