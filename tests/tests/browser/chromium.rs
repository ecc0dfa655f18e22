//! A headless Chromium from Debian's packages, driven by its own driver.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use fantoccini::wd::{Capabilities, WindowHandle};
use fantoccini::{Client, ClientBuilder, Locator};
use greenroom_tests::deadline::PATIENCE;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const BROWSER: &str = "/usr/bin/chromium";
const DRIVER: &str = "/usr/bin/chromedriver";
/// A profile has to be written, and pages drawn, on a machine that does other things.
const SCRIPT_TIMEOUT_MS: u64 = 60_000;

/// Whether there is one; says loudly that the tests are skipped where there is none.
pub(crate) fn is_there() -> bool {
    let is_there = [BROWSER, DRIVER].into_iter().all(|path| Path::new(path).exists());
    if !is_there {
        eprintln!("SKIPPED: there is no browser; 'apt-get install chromium chromium-driver', or BROWSER=1 make test");
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
    runtime: Runtime,
    client: Option<Client>,
    driver: Child,
    _profile: TempDir,
}

impl Chromium {
    /// A browser with one empty page.
    pub(crate) fn start() -> Self {
        let profile = tempfile::tempdir().expect("a directory can be made");
        let mut arguments = arguments();
        arguments.push(format!("--user-data-dir={}", profile.path().join("profile").display()));
        Self::with(profile, json!({ "binary": BROWSER, "args": arguments }))
    }

    /// One that runs already and listens there for who looks at it.
    pub(crate) fn attached_to(port: u16) -> Self {
        let profile = tempfile::tempdir().expect("a directory can be made");
        Self::with(profile, json!({ "debuggerAddress": format!("127.0.0.1:{port}") }))
    }

    fn with(profile: TempDir, options: Value) -> Self {
        let log = fs::File::create(profile.path().join("driver.log")).expect("a log can be made");
        let mut driver = Command::new(DRIVER)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("chromedriver starts");
        let port = port_of(&mut driver);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut capabilities = Capabilities::new();
        capabilities.insert("goog:chromeOptions".into(), options);
        capabilities.insert("timeouts".into(), json!({ "script": SCRIPT_TIMEOUT_MS }));
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let address = format!("http://127.0.0.1:{port}");
        let connecting = builder.capabilities(capabilities).connect(&address);
        let client = runtime.block_on(connecting).expect("a browser starts");
        Self { runtime, client: Some(client), driver, _profile: profile }
    }

    fn client(&self) -> &Client {
        self.client.as_ref().expect("it runs")
    }

    /// Opens a page in the present window.
    #[track_caller]
    pub(crate) fn open(&self, url: &str) {
        self.runtime.block_on(self.client().goto(url)).expect("the page is opened");
    }

    /// Loads the page in the present window again.
    #[track_caller]
    pub(crate) fn reload(&self) {
        self.runtime.block_on(self.client().refresh()).expect("the page is loaded");
    }

    /// Runs a script in the page, which gives something.
    #[track_caller]
    pub(crate) fn run(&self, script: &str, arguments: &[Value]) -> Value {
        self.runtime.block_on(self.client().execute(script, arguments.to_vec())).expect("the script runs")
    }

    /// Runs an expression that gives a promise, and waits for what that becomes.
    #[track_caller]
    pub(crate) fn wait(&self, expression: &str, arguments: &[Value]) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1]; (async (...args) => ({expression}))(...[...arguments].slice(0, -1))\
             .then((value) => done({{ value }}), (error) => done({{ error: `${{error.name}}: ${{error.message}}` }}));"
        );
        let told = self.runtime.block_on(self.client().execute_async(&script, arguments.to_vec()));
        let told = told.expect("the script runs");
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

    /// Clicks what a selector finds, as a person does.
    #[track_caller]
    pub(crate) fn click(&self, selector: &str) {
        let clicked = self.runtime.block_on(async {
            let found = self.client().wait().for_element(Locator::Css(selector)).await?;
            found.click().await
        });
        clicked.expect("it can be clicked");
    }

    /// Types into what a selector finds.
    #[track_caller]
    pub(crate) fn type_into(&self, selector: &str, text: &str) {
        let typed = self.runtime.block_on(async {
            let found = self.client().wait().for_element(Locator::Css(selector)).await?;
            found.clear().await?;
            found.send_keys(text).await
        });
        typed.expect("it can be typed into");
    }

    /// Opens another window, which is the present one from then on; gives the one that was.
    #[track_caller]
    pub(crate) fn another_window(&self) -> WindowHandle {
        self.runtime
            .block_on(async {
                let before = self.client().window().await?;
                let made = self.client().new_window(true).await?;
                self.client().switch_to_window(made.handle).await?;
                Ok::<_, fantoccini::error::CmdError>(before)
            })
            .expect("a window is opened")
    }

    /// The present window.
    #[track_caller]
    pub(crate) fn window(&self) -> WindowHandle {
        self.runtime.block_on(self.client().window()).expect("there is one")
    }

    /// How many windows there are.
    #[track_caller]
    pub(crate) fn windows(&self) -> Vec<WindowHandle> {
        self.runtime.block_on(self.client().windows()).expect("they are counted")
    }

    /// Makes a window the present one.
    #[track_caller]
    pub(crate) fn look_at(&self, window: &WindowHandle) {
        self.runtime.block_on(self.client().switch_to_window(window.clone())).expect("it is there");
    }

    /// Closes the present window; another one has to be looked at then.
    #[track_caller]
    pub(crate) fn close_window(&self) {
        self.runtime.block_on(self.client().close_window()).expect("it closes");
    }

    /// Writes what the present window shows at this size into `target/demo`.
    #[track_caller]
    pub(crate) fn picture(&self, name: &str, (width, height): (u32, u32)) {
        let picture = self.runtime.block_on(async {
            self.client().set_window_size(width, height).await?;
            self.client().screenshot().await
        });
        let directory = demo_directory();
        fs::create_dir_all(&directory).expect("the directory can be made");
        fs::write(directory.join(name), picture.expect("a picture is taken")).expect("it can be written");
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            // One that has gone already is closed.
            let _ = self.runtime.block_on(client.close());
        }
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
