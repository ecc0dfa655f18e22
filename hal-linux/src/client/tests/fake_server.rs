//! A session server that does as it is told: real socket, real memory, no decoder.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use greenroom_core::driver::{Connection, Incoming};
use greenroom_core::hal::{Descriptors, Doorbell, SharedMemory};
use greenroom_core::limits::MESSAGE_BYTES_MAX;
use greenroom_core::message::AppState;
use greenroom_core::message::playback::{
    Answer, Command, Event, Message, Refusal, Request, SessionId, SourceId, Statistics, Text,
};
use greenroom_core::ring::{Consumer, FrameHeader, FrameSource, RecordKind, RingSource, SlotLayout};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, socket_with};
use tempfile::TempDir;

use crate::memory::{EventFd, LinuxMemory, OwnRegion, PeerRegion};
use crate::socket::SeqPacket;

pub(super) const SESSION: SessionId = SessionId { index: 0, generation: 1 };
const PATIENCE: Duration = Duration::from_secs(10);

type Ring = RingSource<PeerRegion, OwnRegion, EventFd>;

/// The server's end of one source.
pub(super) struct FakeSource(Ring);

impl FakeSource {
    /// The next record that is there now, with its payload.
    pub(super) fn take(&mut self) -> Option<(FrameHeader, Vec<u8>)> {
        let header = self.0.next().expect("honest")?;
        let mut payload = vec![0; header.bytes as usize];
        self.0.copy_payload(&mut payload).expect("inside");
        self.0.release();
        Some((header, payload))
    }

    /// All kinds that are there now.
    pub(super) fn take_kinds(&mut self) -> Vec<RecordKind> {
        std::iter::from_fn(|| self.take()).map(|(header, _)| header.kind).collect()
    }

    pub(super) fn set_epoch(&mut self, epoch: u32) {
        self.0.set_epoch(epoch);
    }

    pub(super) fn stale_records(&mut self) -> u32 {
        assert!(self.take().is_none());
        self.0.stale_records()
    }
}

/// How the server answers from now on.
#[derive(Clone, Copy)]
pub(super) enum Manner {
    Honest,
    /// Reads, and never answers.
    Mute,
    /// Is honest, but does not answer before its manner changes.
    Slow,
    Refusing(Refusal),
    /// Answers everything with a position.
    Lying,
    /// Says that the memory is larger than it is.
    Overstating,
}

enum Order {
    Say(Event),
    Show(SessionId, &'static str),
    Close,
    Restart(Manner),
}

pub(super) struct FakeServer {
    directory: TempDir,
    manner: Arc<Mutex<Manner>>,
    orders: Sender<Order>,
    wake: Arc<EventFd>,
    pub(super) sources: Receiver<FakeSource>,
    /// The inode of every memory that it leased.
    pub(super) memories: Receiver<u64>,
    /// Every command that arrived, as it is printed.
    pub(super) commands: Receiver<String>,
    thread: Option<JoinHandle<()>>,
}

impl FakeServer {
    pub(super) fn start(manner: Manner) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let listener =
            socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).expect("socket");
        let address = SocketAddrUnix::new(directory.path().join("app.sock")).expect("short enough");
        bind(&listener, &address).and_then(|()| listen(&listener, 1)).expect("bound");
        let (orders, taken_orders) = channel();
        let (sources_in, sources) = channel();
        let (memories_in, memories) = channel();
        let (commands_in, commands) = channel();
        let wake = Arc::new(EventFd::new().expect("a bell"));
        let manner = Arc::new(Mutex::new(manner));
        let (their_manner, their_wake) = (Arc::clone(&manner), Arc::clone(&wake));
        let thread = std::thread::spawn(move || {
            loop {
                let accepted = accept_with(&listener, SocketFlags::CLOEXEC).expect("a client");
                let serving = Serving {
                    connection: Connection::answering(SeqPacket::from_descriptor(accepted).expect("usable")),
                    manner: Arc::clone(&their_manner),
                    memory: Vec::new(),
                    sessions_made: 0,
                    sources_made: 0,
                    sources: sources_in.clone(),
                    memories: memories_in.clone(),
                    commands: commands_in.clone(),
                };
                if serving.run(&taken_orders, &their_wake) == End::ForGood {
                    return;
                }
            }
        });
        Self { directory, manner, orders, wake, sources, memories, commands, thread: Some(thread) }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directory.path().join("app.sock")
    }

    pub(super) fn set_manner(&self, manner: Manner) {
        *self.manner.lock().expect("unpoisoned") = manner;
    }

    pub(super) fn say(&self, event: Event) {
        self.order(Order::Say(event));
    }

    /// A text of a session is due.
    pub(super) fn show(&self, session: SessionId, body: &'static str) {
        self.order(Order::Show(session, body));
    }

    pub(super) fn close(&self) {
        self.order(Order::Close);
    }

    /// The server ends, and another of this manner listens at its socket: it knows nothing, and gives out the same
    /// numbers.
    pub(super) fn restart(&self, manner: Manner) {
        self.order(Order::Restart(manner));
    }

    /// The next command of this kind.
    pub(super) fn await_command(&self, name: &str) -> String {
        loop {
            let command = self.commands.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no {name} came"));
            if command.starts_with(name) {
                return command;
            }
        }
    }

    fn order(&self, order: Order) {
        // A server that has ended needs no more orders.
        let _ = self.orders.send(order);
        self.wake.ring().expect("rung");
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.close();
        if let Some(thread) = self.thread.take() {
            // It waits for a client; a test that makes none ends it so.
            let _ = SeqPacket::connect(&self.path(), PATIENCE);
            let _ = thread.join();
        }
    }
}

struct Serving {
    connection: Connection<SeqPacket>,
    manner: Arc<Mutex<Manner>>,
    /// Each session's, in the order of their making; the first one's is that of the connection.
    memory: Vec<(PeerRegion, OwnRegion)>,
    sessions_made: u16,
    sources_made: u8,
    sources: Sender<FakeSource>,
    memories: Sender<u64>,
    commands: Sender<String>,
}

#[derive(PartialEq, Eq)]
enum End {
    ForGood,
    AnotherComes,
}

impl Serving {
    fn run(mut self, orders: &Receiver<Order>, wake: &EventFd) -> End {
        loop {
            wait(self.connection.socket(), wake);
            wake.clear().expect("cleared");
            while let Ok(order) = orders.try_recv() {
                match order {
                    Order::Say(event) => self.send(&Message::Event(event), Descriptors::new()),
                    Order::Show(session, body) => {
                        let text = Text { source: SourceId(0), start_ns: 5, duration_ns: None, missed: 0, body };
                        self.send(&Message::Text { session, text }, Descriptors::new());
                    }
                    Order::Close => return End::ForGood,
                    Order::Restart(manner) => {
                        *self.manner.lock().expect("unpoisoned") = manner;
                        return End::AnotherComes;
                    }
                }
            }
            if !self.serve() {
                return End::ForGood;
            }
        }
    }

    /// Takes what is there; false at the end.
    fn serve(&mut self) -> bool {
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        let mut descriptors = Descriptors::new();
        loop {
            match self.connection.receive::<Request<'_>>(&mut buffer, &mut descriptors) {
                Ok(Incoming::Message { message, .. }) => self.answer(&message),
                Ok(Incoming::Nothing) => return true,
                Ok(Incoming::Closed) | Err(_) => return false,
            }
        }
    }

    fn answer(&mut self, request: &Request<'_>) {
        let _ = self.commands.send(format!("{:?}", request.command));
        let mut manner = self.manner();
        while matches!(manner, Manner::Slow) {
            std::thread::yield_now();
            manner = self.manner();
        }
        let (result, descriptors) = match manner {
            Manner::Mute => return,
            Manner::Refusing(refusal) => (Err(refusal), Descriptors::new()),
            Manner::Lying => (Ok(Answer::Position { position_ns: 0 }), Descriptors::new()),
            Manner::Honest | Manner::Slow | Manner::Overstating => {
                self.honest(&request.command, matches!(manner, Manner::Overstating))
            }
        };
        self.send(&Message::Reply { sequence: request.sequence, result }, descriptors);
    }

    fn manner(&self) -> Manner {
        *self.manner.lock().expect("unpoisoned")
    }

    fn honest(
        &mut self,
        command: &Command<'_>,
        overstates: bool,
    ) -> (Result<Answer, Refusal>, Descriptors<std::os::fd::OwnedFd>) {
        let mut descriptors = Descriptors::new();
        let answer = match command {
            Command::Hello => Answer::Welcome { version: 1, state: AppState::Running },
            Command::GetSharedMemory => {
                let (client_bytes, server_bytes) = self.lease(&mut descriptors);
                Answer::SharedMemory { client_bytes: client_bytes + u32::from(overstates) * 4096, server_bytes }
            }
            Command::CreateSession => {
                let session = SessionId { index: self.sessions_made, ..SESSION };
                self.sessions_made += 1;
                if session == SESSION {
                    Answer::Session { session }
                } else {
                    let (client_bytes, server_bytes) = self.lease(&mut descriptors);
                    let client_bytes = client_bytes + u32::from(overstates) * 4096;
                    Answer::SessionWithMemory { session, client_bytes, server_bytes }
                }
            }
            Command::AttachSource { session, source } => {
                let (client, server) = self.memory.get(usize::from(session.index)).cloned().expect("memory first");
                let ring = SlotLayout::STANDARD.ring(source.codec.kind());
                let (data, data_descriptor) = LinuxMemory.doorbell().expect("a bell");
                let (space, space_descriptor) = LinuxMemory.doorbell().expect("a bell");
                let consumer = Consumer::new(client, server, &ring).expect("inside");
                let _ = self.sources.send(FakeSource(RingSource::new(consumer, data, space)));
                let _ = descriptors.push(data_descriptor);
                let _ = descriptors.push(space_descriptor);
                self.sources_made += 1;
                Answer::Source { source: SourceId(self.sources_made - 1), ring }
            }
            Command::GetPosition { .. } => Answer::Position { position_ns: 1_500_000_000 },
            Command::GetDuration { .. } => Answer::Duration { duration_ns: None },
            Command::GetStatistics { .. } => {
                Answer::Statistics(Statistics { frames_taken: 3, ..Statistics::default() })
            }
            _ => Answer::Done,
        };
        (Ok(answer), descriptors)
    }

    fn lease(&mut self, descriptors: &mut Descriptors<std::os::fd::OwnedFd>) -> (u32, u32) {
        let layout = SlotLayout::STANDARD;
        let (client_bytes, server_bytes) = (layout.client_bytes(), layout.server_bytes());
        let (client, server) = LinuxMemory.create(client_bytes, server_bytes).expect("memory");
        let _ = self.memories.send(rustix::fs::fstat(&client.1).expect("a memfd").st_ino);
        self.memory.push((client.0, server.0));
        let _ = descriptors.push(client.1);
        let _ = descriptors.push(server.1);
        (client_bytes, server_bytes)
    }

    fn send(&mut self, message: &Message<'_>, descriptors: Descriptors<std::os::fd::OwnedFd>) {
        // A client that has gone is seen at the next receive.
        let _ = self.connection.send(message, descriptors);
    }
}

fn wait(socket: &SeqPacket, wake: &EventFd) {
    let mut both = [PollFd::new(socket, PollFlags::IN), PollFd::new(wake, PollFlags::IN)];
    let patience = Timespec::try_from(PATIENCE).ok();
    let _ = poll(&mut both, patience.as_ref());
}
