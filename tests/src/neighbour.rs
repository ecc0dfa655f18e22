//! Devices on a network: real presentation services with directories of their own, and pages that talk to them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use greenroom_core::message::presentation::{
    Answer, CloseReason, Command, ConnectionId, ConnectionState, Event, Payload, Refusal, Traffic, TransportKind,
};
use greenroom_hal_linux::content::ContentClient;
use greenroom_hal_linux::presenter::{PresenterClient, PresenterError};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::deadline::{PATIENCE, until};
use crate::{chromium, observe, programs};

/// A running presentation service. Dropping it kills what is left of it, and of what it has launched.
pub struct Neighbour {
    place: TempDir,
    name: String,
    service: Child,
}

/// How a presentation service is set up, before it is started.
pub struct Setup {
    place: TempDir,
    name: String,
    control: PathBuf,
    runs_within: Vec<String>,
    keys: String,
    more: String,
}

impl Setup {
    /// A device whose name begins like this, and which no other one of the network has.
    ///
    /// # Panics
    /// When no directory can be made.
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self {
            place: tempfile::tempdir().expect("a directory can be made"),
            name: format!("{name} {}-{number}", std::process::id()),
            control: PathBuf::from("/nowhere/control.sock"),
            runs_within: Vec::new(),
            keys: String::new(),
            more: String::new(),
        }
    }

    /// Its own directory.
    pub fn place(&self) -> &Path {
        self.place.path()
    }

    /// The control socket of the same box's manager.
    #[must_use]
    pub fn control(mut self, socket: &Path) -> Self {
        socket.clone_into(&mut self.control);
        self
    }

    /// It waits so long for a page that loads, and for a connection that is made.
    #[must_use]
    pub fn waits(mut self, load: Duration, establish: Duration) -> Self {
        let (load, establish) = (load.as_millis(), establish.as_millis());
        self.keys = format!("page_load_timeout_ms = {load}\nestablish_timeout_ms = {establish}\n");
        self
    }

    /// The program, with its arguments, that runs the service in its own process.
    #[must_use]
    pub fn runs_within(mut self, words: &[String]) -> Self {
        self.runs_within = words.to_vec();
        self
    }

    /// Pages that it shows, and the command for them.
    #[must_use]
    pub fn page(mut self, urls: &str, command: &[&str]) -> Self {
        self.more.push_str(&format!("[[presentation.page]]\nurls = [{urls:?}]\ncommand = {command:?}\n"));
        self
    }

    /// Pages that it shows with the receiver that plays.
    #[must_use]
    pub fn plays(self, urls: &str, app: &str, media: &Path) -> Self {
        let receiver = programs::path("greenroom-receiver");
        let media = media.to_string_lossy().into_owned();
        self.page(urls, &[&receiver.to_string_lossy(), "--app", app, "--media", &media, "{url}"])
    }

    /// Pages that it shows in a browser, in the place where these words run a program; `port` is where pages that are shown
    /// find what serves them.
    #[must_use]
    pub fn browses(self, urls: &str, port: u16, within: &[String]) -> Self {
        let (launcher, port) = (programs::path("greenroom-browser"), port.to_string());
        let (launcher, browser) = (launcher.to_string_lossy(), chromium::receiver_command(within));
        let mut command = vec![&*launcher, "--port", &port, "{url}", "--"];
        command.extend(browser.iter().map(String::as_str));
        self.page(urls, &command)
    }

    /// More lines of configuration: whole tables, as they stand in the file.
    #[must_use]
    pub fn more(mut self, lines: &str) -> Self {
        self.more.push_str(lines);
        self
    }

    /// Starts the service and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    pub fn start(self) -> Neighbour {
        let place = self.place.path();
        let configuration = place.join("presentation.toml");
        let text = format!(
            "[control]\nsocket = {:?}\n[presentation]\nenabled = true\nname = {:?}\nsocket = \"{directory}/presentation.sock\"\n\
             state_directory = \"{directory}/state\"\n{}{}",
            self.control,
            self.name,
            self.keys,
            self.more,
            directory = place.display(),
        );
        fs::write(&configuration, text).expect("the configuration can be written");
        let service = start_service(&self.runs_within, &configuration, place);
        let mut neighbour = Neighbour { place: self.place, name: self.name, service };
        until("the presentation service answers", || {
            let ended = neighbour.service.try_wait().expect("a child");
            assert!(ended.is_none(), "the presentation service ended: {}", neighbour.log());
            PresenterClient::connect(&neighbour.socket()).ok()
        });
        neighbour
    }
}

fn start_service(runs_within: &[String], configuration: &Path, place: &Path) -> Child {
    let log = fs::File::create(place.join("presentation.log")).expect("a log can be made");
    programs::command(runs_within, &programs::path("greenroom-presentation"))
        .arg("--config")
        .arg(configuration)
        .stdin(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("greenroom-presentation starts")
}

impl Neighbour {
    /// Its own directory.
    pub fn place(&self) -> &Path {
        self.place.path()
    }

    /// What other devices know it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where pages connect.
    pub fn socket(&self) -> PathBuf {
        self.place.path().join("presentation.sock")
    }

    /// The service's process.
    pub fn process_id(&self) -> u32 {
        self.service.id()
    }

    /// What it and its receivers have logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.place.path().join("presentation.log")).unwrap_or_default()
    }

    /// Connects a page.
    ///
    /// # Panics
    /// When the service does not let it in.
    pub fn page(&self) -> Page {
        Page { client: ContentClient::connect(&self.socket()).expect("the service takes a connection") }
    }

    /// Runs `greenroomctl present` with these arguments.
    ///
    /// # Panics
    /// When it cannot be run.
    pub fn ctl(&self, arguments: &[&str]) -> Output {
        self.ctl_command(arguments).output().expect("greenroomctl runs")
    }

    /// `greenroomctl present` with these arguments, to be run.
    pub fn ctl_command(&self, arguments: &[&str]) -> Process {
        let mut command = Process::new(programs::path("greenroomctl"));
        command.arg("present").args(arguments).env("GREENROOM_PRESENTATION", self.socket()).stdin(Stdio::null());
        command
    }

    /// The processes that show pages.
    pub fn receivers(&self) -> Vec<u32> {
        observe::children(self.service.id())
    }

    /// What there is of the directories in which those processes keep something.
    pub fn kept_by_receivers(&self) -> Vec<PathBuf> {
        let all = fs::read_dir(self.place.path().join("presentation.receivers"));
        all.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    }

    /// Sends the service a signal.
    ///
    /// # Panics
    /// When it is not there.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.service), signal).expect("the service is there");
    }

    /// Waits until the service has ended; gives its exit status.
    ///
    /// # Panics
    /// When it does not end.
    pub fn wait(&mut self) -> ExitStatus {
        until("the presentation service ends", || self.service.try_wait().expect("a child"))
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let receivers = self.receivers();
        let _ = self.service.kill();
        let _ = self.service.wait();
        for receiver in receivers.into_iter().filter_map(|receiver| Pid::from_raw(receiver.cast_signed())) {
            // Each leads a group.
            let _ = rustix::process::kill_process_group(receiver, Signal::KILL);
        }
        if std::thread::panicking() {
            eprintln!("--- log of the presentation service of {}\n{}", self.name, self.log());
        }
    }
}

/// A page's connection to the service of its own box.
pub struct Page {
    client: ContentClient,
}

impl Page {
    /// Asks; gives the answer, or what went wrong.
    pub fn ask(&mut self, command: Command<'_>) -> Result<Answer<'_>, PresenterError> {
        self.client.request(command)
    }

    /// Whether its box sees another device.
    ///
    /// # Panics
    /// When that is not answered.
    pub fn sees(&mut self, other: &str) -> bool {
        let mut from = 0;
        loop {
            match self.client.request(Command::ListDevices { from }) {
                Ok(Answer::Device(Some(device))) if device.device_id == other => return true,
                Ok(Answer::Device(Some(device))) => from = device.next,
                Ok(Answer::Device(None)) => return false,
                other => panic!("no list of devices: {other:?}"),
            }
        }
    }

    /// Starts a presentation; gives its connection, and what it is called.
    ///
    /// # Panics
    /// When it is refused.
    #[track_caller]
    pub fn start(&mut self, url: &str, device: &str) -> (ConnectionId, String) {
        self.start_over(TransportKind::Tcp, url, device)
    }

    /// The same, with the data to travel like this.
    ///
    /// # Panics
    /// When it is refused.
    #[track_caller]
    pub fn start_over(&mut self, transport: TransportKind, url: &str, device: &str) -> (ConnectionId, String) {
        let urls = [url].into_iter().collect();
        let start = Command::Start { presentation_id: "", urls, origin: "a test", device: Some(device), transport };
        self.connection(start)
    }

    /// Goes on with a presentation.
    ///
    /// # Panics
    /// When it is refused.
    #[track_caller]
    pub fn reconnect(&mut self, presentation_id: &str, url: &str) -> ConnectionId {
        let urls = [url].into_iter().collect();
        self.connection(Command::Reconnect { presentation_id, urls }).0
    }

    #[track_caller]
    fn connection(&mut self, command: Command<'_>) -> (ConnectionId, String) {
        match self.client.request(command) {
            Ok(Answer::Connection { connection, presentation_id, .. }) => (connection, presentation_id.to_owned()),
            other => panic!("no connection: {other:?}"),
        }
    }

    /// Waits until the connection is in this state; gives the reason. What is said meanwhile is not heard.
    ///
    /// # Panics
    /// When another final state comes, or none.
    #[track_caller]
    pub fn wait_for(&mut self, connection: ConnectionId, wanted: ConnectionState) -> Option<CloseReason> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.client.next_event(deadline).expect("the service lives") {
                Some(Event::State { connection: other, state, reason }) if other == connection => {
                    if state == wanted {
                        return reason;
                    }
                    assert_eq!(state, ConnectionState::Connecting, "{reason:?} instead of {wanted}");
                }
                Some(_) => {}
                None => panic!("the connection is not {wanted} in time"),
            }
        }
    }

    /// The next state that this connection is said to be in.
    ///
    /// # Panics
    /// When none is said.
    #[track_caller]
    pub fn next_state(&mut self, connection: ConnectionId) -> ConnectionState {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.client.next_event(deadline).expect("the service lives") {
                Some(Event::State { connection: other, state, .. }) if other == connection => return state,
                Some(_) => {}
                None => panic!("the connection is in no state in time"),
            }
        }
    }

    /// Sends a text.
    ///
    /// # Panics
    /// When it is not taken.
    #[track_caller]
    pub fn say(&mut self, connection: ConnectionId, text: &str) {
        let sent = self.client.request(Command::Send { connection, payload: Payload::Text(text) });
        assert!(matches!(sent, Ok(Answer::Done)), "{sent:?}");
    }

    /// What its service has carried itself.
    ///
    /// # Panics
    /// When that is not answered.
    #[track_caller]
    pub fn traffic(&mut self) -> Traffic {
        match self.client.request(Command::Traffic) {
            Ok(Answer::Traffic(traffic)) => traffic,
            other => panic!("no traffic: {other:?}"),
        }
    }

    /// Whether the messages of this connection are carried by this process, past the service.
    pub fn has_data_channel(&self, connection: ConnectionId) -> bool {
        self.client.has_data_channel(connection)
    }

    /// The next message, as its text or its bytes.
    ///
    /// # Panics
    /// When the connection ends, or none comes.
    #[track_caller]
    pub fn receive(&mut self, connection: ConnectionId) -> Result<String, Vec<u8>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.client.next_event(deadline).expect("the service lives") {
                Some(Event::Message { connection: other, payload }) if other == connection => {
                    return match payload {
                        Payload::Text(text) => Ok(text.to_owned()),
                        Payload::Binary(bytes) => Err(bytes.to_vec()),
                    };
                }
                Some(Event::State { connection: other, state, reason }) if other == connection => {
                    assert_eq!(state, ConnectionState::Connected, "{reason:?}");
                }
                Some(_) => {}
                None => panic!("nothing is said in time"),
            }
        }
    }

    /// Sends a message as soon as the connection takes it.
    ///
    /// # Panics
    /// When it is refused for another reason.
    #[track_caller]
    pub fn send(&mut self, connection: ConnectionId, payload: Payload<'_>) {
        until("the connection takes a message", || match self.client.request(Command::Send { connection, payload }) {
            Ok(_) => Some(()),
            Err(PresenterError::Refused(Refusal::Congested)) => None,
            Err(other) => panic!("it is not sent: {other}"),
        });
    }

    /// The next text, which is an object of JSON.
    ///
    /// # Panics
    /// When another one comes, or none.
    #[track_caller]
    pub fn hear(&mut self, connection: ConnectionId) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.client.next_event(deadline).expect("the service lives") {
                Some(Event::Message { connection: other, payload: Payload::Text(text) }) if other == connection => {
                    return serde_json::from_str(text).expect("an object");
                }
                Some(Event::State { connection: other, state, reason }) if other == connection => {
                    assert!(
                        matches!(state, ConnectionState::Connecting | ConnectionState::Connected),
                        "{state}: {reason:?}"
                    );
                }
                Some(_) => {}
                None => panic!("nothing is said in time"),
            }
        }
    }

    /// The next text that is like this.
    ///
    /// # Panics
    /// When none comes.
    #[track_caller]
    pub fn hear_until(&mut self, connection: ConnectionId, is_it: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let said = self.hear(connection);
            if is_it(&said) {
                return said;
            }
            assert!(Instant::now() < end, "it is not said; last: {said}");
        }
    }
}
