//! A running `greenroom-web`, beside the presentation service of a device.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use crate::deadline::until;
use crate::neighbour::Neighbour;
use crate::programs;

/// A port that nobody has, below those that the system gives to whoever connects.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 12_000 + u16::try_from(std::process::id() % 18_000).expect("it is small");
    loop {
        let port = first.saturating_add(NEXT.fetch_add(1, Ordering::Relaxed));
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return port;
        }
    }
}

/// It serves browsers. Dropping it kills it.
pub struct Web {
    address: SocketAddr,
    process: Child,
    configuration: PathBuf,
    log: PathBuf,
}

impl Web {
    /// Starts it in the place where these words run a program, for a device whose `[presentation.web]` has this address; waits
    /// until it serves.
    ///
    /// # Panics
    /// When it does not.
    pub fn start(of: &Neighbour, address: SocketAddr, within: &[String]) -> Self {
        let (configuration, log) = (of.place().join("presentation.toml"), of.place().join("web.log"));
        let process = programs::command(within, &programs::path("greenroom-web"))
            .arg("--config")
            .arg(&configuration)
            .stdin(Stdio::null())
            .stderr(fs::File::create(&log).expect("a log can be made"))
            .spawn()
            .expect("greenroom-web starts");
        let mut web = Self { address, process, configuration, log };
        until("browsers are served", || {
            assert!(web.process.try_wait().expect("a child").is_none(), "greenroom-web ended: {}", web.log());
            web.log().contains("browsers are served").then_some(())
        });
        web
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its port there.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What it serves there.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The address that a person opens.
    ///
    /// # Panics
    /// When it prints none.
    pub fn link(&self) -> String {
        let mut command = Command::new(programs::path("greenroom-web"));
        let output = command.arg("--config").arg(&self.configuration).arg("--link").output().expect("it can be run");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        printed.lines().next().expect("it prints one").to_owned()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it is not there.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).expect("greenroom-web is there");
    }

    /// Waits until it has ended; gives its exit status.
    ///
    /// # Panics
    /// When it does not end.
    pub fn wait(&mut self) -> ExitStatus {
        until("greenroom-web ends", || self.process.try_wait().expect("a child"))
    }

    /// Kills it.
    pub fn kill(&mut self) {
        // One that has ended is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
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
