//! A box: the presentation service's program, on loopback.

use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use greenroom_core::hal::{Announcement, Device, Discovery, DiscoveryEvent};
use greenroom_core::message::presentation::{
    Answer, CloseReason, Command as Asked, ConnectionId, ConnectionState, Event, Payload, TransportKind,
};
use greenroom_hal_linux::discovery::{Interfaces, Mdns};
use greenroom_hal_linux::presentation::{PresenterClient, PresenterError};
use greenroom_tests::deadline::{PATIENCE, until};
use greenroom_tests::programs;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::peer::Peer;

/// A page that the box shows.
pub(crate) const PAGE: &str = "https://tv.example/show";
const MOMENT: Duration = Duration::from_millis(50);

/// No two devices of the machine's tests have the same name.
fn own_name(what: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("{what} {}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

fn loopback(what: &str) -> Mdns {
    let host = own_name(what).replace(' ', "-");
    Mdns::new(&host, &Interfaces::Named(vec!["lo".into()])).unwrap()
}

/// A running box.
pub(crate) struct TvBox {
    program: Child,
    directory: TempDir,
    name: String,
}

impl TvBox {
    /// `security` are the lines of the configuration that say who may connect how.
    pub(crate) fn start(security: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let name = own_name("Box");
        let path = directory.path().display();
        let page = programs::path("answering-page");
        let text = format!(
            "[presentation]\nenabled = true\nname = \"{name}\"\n{security}\ninterfaces = [\"lo\"]\n\
             state_directory = \"{path}/state\"\nsocket = \"{path}/presentation.sock\"\n\
             [[presentation.page]]\nurls = [\"https://tv.example/*\"]\ncommand = [\"{}\"]\n\
             [[presentation.page]]\nurls = [\"https://broken.example/\"]\ncommand = [\"/bin/false\"]\n",
            page.display()
        );
        let config = directory.path().join("greenroom.toml");
        std::fs::write(&config, text).unwrap();
        let mut program = Command::new(programs::path("greenroom-presentation"));
        let program = program.arg("--config").arg(config).spawn().unwrap();
        let running = Self { program, directory, name };
        until("the service is there", || PresenterClient::connect(&running.socket()).ok());
        running
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("presentation.sock")
    }

    pub(crate) fn client(&self) -> PresenterClient {
        PresenterClient::connect(&self.socket()).unwrap()
    }

    /// The box as others find it.
    pub(crate) fn found(&self) -> Device {
        let mut mdns = loopback("seeker");
        mdns.browse().unwrap();
        until("the box is found", || match mdns.next_event().unwrap() {
            Some(DiscoveryEvent::Found(device) | DiscoveryEvent::Changed(device)) if *device.name == *self.name => {
                Some(device)
            }
            _ => None,
        })
    }

    /// The box as the peer is told of it.
    pub(crate) fn as_device(&self) -> Value {
        let device = self.found();
        let address = device.addresses.iter().find(|address| address.is_ipv4()).expect("it has an IPv4 address");
        let fingerprint = device.fingerprint.map(|fingerprint| fingerprint.to_string()).unwrap_or_default();
        let id = device.id.as_str();
        json!({"id": id, "address": address.ip().to_string(), "port": address.port(), "fingerprint": fingerprint})
    }

    /// The box as a peer takes it that knows nothing of certificates.
    pub(crate) fn as_device_without_tls(&self) -> Value {
        let mut device = self.as_device();
        device["fingerprint"] = json!("");
        device
    }

    /// The pages of the connections to what it has on another device, or shows here.
    pub(crate) fn pages(&self) -> Vec<String> {
        let (mut client, mut pages, mut from) = (self.client(), Vec::new(), 0);
        while let Answer::Listed(Some(status)) = client.request(Asked::List { from }).unwrap() {
            pages.push(status.url.to_owned());
            from = status.next;
        }
        pages
    }

    #[track_caller]
    pub(crate) fn until_nothing_is_shown(&self) {
        until("nothing is left of the presentation", || self.pages().is_empty().then_some(()));
    }
}

impl Drop for TvBox {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.program), Signal::TERM);
        let _ = self.program.wait();
    }
}

/// The peer on the network; gone when it is dropped.
pub(crate) struct Announced {
    _mdns: Mdns,
    pub(crate) name: String,
}

impl Announced {
    pub(crate) fn new(peer: &Peer) -> Self {
        let name = own_name("Mozilla");
        let mut mdns = loopback("mozilla");
        let announcement = Announcement { name: &name, port: peer.port, fingerprint: peer.fingerprint, version: 1 };
        mdns.announce(&announcement).unwrap();
        Self { _mdns: mdns, name }
    }
}

/// A page of the box that is shown on the peer.
pub(crate) struct Shown {
    pub(crate) client: PresenterClient,
    pub(crate) connection: ConnectionId,
    pub(crate) presentation: String,
}

impl Shown {
    /// Starts it as soon as the box has found the device.
    pub(crate) fn start(tv_box: &TvBox, device: &str, url: &str) -> Self {
        let mut client = tv_box.client();
        let (connection, presentation) = until("the box knows the device", || {
            let start = Asked::Start {
                presentation_id: "",
                urls: [url].into_iter().collect(),
                origin: "test",
                device: Some(device),
                transport: TransportKind::Tcp,
            };
            match client.request(start) {
                Ok(Answer::Connection { connection, presentation_id, .. }) => {
                    Some((connection, presentation_id.to_owned()))
                }
                Ok(other) => panic!("{other:?}"),
                Err(PresenterError::Refused(_)) => None,
                Err(error) => panic!("{error}"),
            }
        });
        Self { client, connection, presentation }
    }

    pub(crate) fn reconnect(&mut self) {
        self.connection = reconnect(&mut self.client, &self.presentation).unwrap();
    }

    /// Waits for this state; gives why it is in it.
    #[track_caller]
    pub(crate) fn until(&mut self, wanted: ConnectionState) -> Option<CloseReason> {
        let (end, mut seen) = (Instant::now() + PATIENCE, Vec::new());
        while Instant::now() < end {
            match self.client.next_event(Instant::now() + MOMENT).unwrap() {
                Some(Event::State { connection, state, reason }) if connection == self.connection => {
                    if state == wanted {
                        return reason;
                    }
                    seen.push((state, reason));
                }
                Some(_) | None => {}
            }
        }
        panic!("never {wanted}, but {seen:?}");
    }

    pub(crate) fn send(&mut self, text: &str) {
        let send = Asked::Send { connection: self.connection, payload: Payload::Text(text) };
        self.client.request(send).unwrap();
    }

    /// Messages flow: what was sent may come in several.
    #[track_caller]
    pub(crate) fn until_text(&mut self, text: &str) {
        let (end, mut all) = (Instant::now() + PATIENCE, String::new());
        while all != text {
            assert!(Instant::now() < end && text.starts_with(&all), "{all} is not {text}");
            if let Some(Event::Message { connection, payload: Payload::Text(piece) }) =
                self.client.next_event(Instant::now() + MOMENT).unwrap()
                && connection == self.connection
            {
                all.push_str(piece);
            }
        }
    }
}

pub(crate) fn reconnect(client: &mut PresenterClient, presentation: &str) -> Result<ConnectionId, PresenterError> {
    let urls = [PAGE].into_iter().collect();
    match client.request(Asked::Reconnect { presentation_id: presentation, urls })? {
        Answer::Connection { connection, .. } => Ok(connection),
        other => panic!("{other:?}"),
    }
}
