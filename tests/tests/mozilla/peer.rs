//! The program that runs Mozilla's scripts.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

use greenroom_core::hal::Fingerprint;
use greenroom_tests::deadline::PATIENCE;
use serde_json::{Value, json};

const PEER: &str = "GREENROOM_MOZILLA_PEER";
/// What the peer calls itself on its control channels: the name of its host, as Mozilla's devices do.
pub(crate) const PEER_ID: &str = "Mozilla-peer.local";

/// What each story is told with.
pub(crate) const WITHOUT_TLS_AND_WITH: [bool; 2] = [false, true];

/// The peer, which serves.
pub(crate) struct Peer {
    program: Child,
    orders: Option<ChildStdin>,
    events: Receiver<Value>,
    seen: Vec<Value>,
    pub(crate) port: u16,
    pub(crate) fingerprint: Option<Fingerprint>,
}

impl Peer {
    /// `None` without a peer, which is said loudly.
    pub(crate) fn start(test: &str, is_encrypted: bool) -> Option<Self> {
        let Ok(command) = std::env::var(PEER) else {
            eprintln!("SKIPPED: {test}: no peer that runs Mozilla's scripts; {PEER} says how it is started");
            return None;
        };
        let mut words = command.split_whitespace();
        let mut program = Command::new(words.next().unwrap_or_else(|| panic!("{PEER} names a program")));
        program.args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut program = program.spawn().unwrap_or_else(|error| panic!("{PEER}: {command}: {error}"));
        let (tell, events) = channel();
        let output = BufReader::new(program.stdout.take().unwrap());
        thread::spawn(move || {
            let lines = output.lines().map_while(Result::ok);
            lines.filter_map(|line| serde_json::from_str(&line).ok()).try_for_each(|event| tell.send(event))
        });
        let orders = program.stdin.take();
        let mut peer = Self { program, orders, events, seen: Vec::new(), port: 0, fingerprint: None };
        peer.order(&json!({"do": "serve", "id": PEER_ID, "encrypt": is_encrypted}));
        let serving = peer.until(&json!({"is": "serving"}));
        peer.port = serving["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap();
        peer.fingerprint = serving["fingerprint"].as_str().and_then(Fingerprint::parse);
        assert_eq!(peer.fingerprint.is_some(), is_encrypted);
        Some(peer)
    }

    pub(crate) fn order(&mut self, order: &Value) {
        let orders = self.orders.as_mut().unwrap();
        writeln!(orders, "{order}").unwrap();
        orders.flush().unwrap();
    }

    /// Orders something about a presentation.
    pub(crate) fn does(&mut self, what: &str, presentation: &str) {
        self.order(&json!({"do": what, "presentation": presentation}));
    }

    pub(crate) fn send(&mut self, presentation: &str, text: &str) {
        self.order(&json!({"do": "send", "presentation": presentation, "text": text}));
    }

    /// Waits for the first event that has all these fields. Those before it are passed over.
    #[track_caller]
    pub(crate) fn until(&mut self, fields: &Value) -> Value {
        let wanted = fields.as_object().unwrap();
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(event) = self.events.recv_timeout(left) else {
                panic!("the peer never said {fields}, but {:#?}", self.seen)
            };
            self.seen.push(event.clone());
            assert_ne!(event["is"], "error", "{event}");
            if wanted.iter().all(|(name, value)| event[name] == *value) {
                return event;
            }
        }
    }

    #[track_caller]
    pub(crate) fn until_state(&mut self, presentation: &str, state: &str) -> Value {
        self.until(&json!({"is": "state", "presentation": presentation, "state": state}))
    }

    /// Messages flow: what was sent may come in several.
    #[track_caller]
    pub(crate) fn until_text(&mut self, presentation: &str, text: &str) {
        let mut all = String::new();
        while all != text {
            let event = self.until(&json!({"is": "message", "presentation": presentation}));
            all.push_str(event["text"].as_str().unwrap());
            assert!(text.starts_with(&all), "{all} is not {text}");
        }
    }

    #[track_caller]
    pub(crate) fn until_gone(&mut self, presentation: &str) {
        self.until(&json!({"is": "gone", "presentation": presentation}));
    }
}

impl Peer {
    pub(crate) fn kill(&mut self) {
        self.program.kill().unwrap();
        self.program.wait().unwrap();
    }
}

impl Drop for Peer {
    /// It ends with its input.
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.program.wait();
    }
}
