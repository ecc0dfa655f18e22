//! What the drivers live in.

use greenroom_core::client::{CallId, LostReason, Notification, Outcome};
use greenroom_core::driver::{AnswerDescriptors, ClientHost, Frames, ManagerHost, Platform, SessionHost};
use greenroom_core::hal::{Authority, Connect, ErrorType, Interest, Launcher, Peer, Profile, Right, Token, Watch};
use greenroom_core::message::keys::Notice;
use greenroom_core::message::playback::{Answer, SessionId, Text};
use greenroom_core::message::{Allowed, AppId, LogLevels, Resources, link};
use greenroom_hal_mock::memory::{OwnRegion, PeerRegion};
use greenroom_hal_mock::{
    Descriptor, EventLoop, ListeningSocket, Memory, MockDecoder, MockKeys, SeqPacket, SimulatedError, SocketFiles,
    Spawner, World,
};

/// Decoders fed from the rings of this world.
pub(crate) type Decoders = MockDecoder<Frames<Memory>>;

/// Where the manager lives.
pub(crate) struct ManagerPlace {
    pub(crate) events: EventLoop,
    spawner: Spawner,
    files: SocketFiles,
}

impl ManagerPlace {
    pub(crate) fn new(world: &World) -> Self {
        Self { events: EventLoop::new(world), spawner: Spawner::new(world), files: SocketFiles::new(world) }
    }
}

impl Launcher for ManagerPlace {
    fn profile(&self, _: &AppId) -> Profile<'_> {
        Profile {
            resources: Resources { max_playback_sessions: 1, max_web_audio_players: 1, max_key_sessions: 1 },
            socket_directory: "/run/greenroom",
            socket_mode: 0o660,
            socket_owner: "",
            socket_group: "",
            video_sink: "fake",
            audio_sink: "fake",
            clients: Allowed::default(),
        }
    }
}

impl Authority for ManagerPlace {
    fn may(&self, _: &Peer, _: Right<'_>) -> bool {
        true
    }
}

impl ManagerHost for ManagerPlace {
    type Control = ListeningSocket;
    type Spawn = Spawner;
    type Listen = SocketFiles;
    type Watch = EventLoop;

    fn watch(&mut self) -> &mut EventLoop {
        &mut self.events
    }

    fn spawn(&mut self) -> &mut Spawner {
        &mut self.spawner
    }

    fn listen(&mut self) -> &mut SocketFiles {
        &mut self.files
    }

    fn apply_log_levels(&mut self, _: &LogLevels) {}
}

/// Where a session server lives.
pub(crate) struct ServerPlace {
    pub(crate) platform: Platform<SocketFiles, Memory, Decoders, EventLoop>,
    pub(crate) keys: MockKeys,
}

impl ServerPlace {
    pub(crate) fn new(world: &World) -> Self {
        let platform = Platform {
            files: SocketFiles::new(world),
            memory: Memory::new(world),
            decoder: MockDecoder::new(world),
            events: EventLoop::new(world),
        };
        Self { platform, keys: MockKeys::new(world) }
    }
}

impl SessionHost for ServerPlace {
    type Descriptor = Descriptor;
    type Socket = SeqPacket;
    type Listener = ListeningSocket;
    type Files = SocketFiles;
    type Memory = Memory;
    type Decoder = Decoders;
    type Keys = MockKeys;
    type Events = EventLoop;

    fn platform(&mut self) -> &mut Platform<SocketFiles, Memory, Decoders, EventLoop> {
        &mut self.platform
    }

    fn keys(&mut self) -> &mut MockKeys {
        &mut self.keys
    }

    fn configured(&mut self, _: &link::Configuration<'_>) {}

    fn set_log_levels(&mut self, _: &LogLevels) {}
}

/// Where a client library lives: in an app.
pub(crate) struct AppPlace {
    world: World,
    peer: Peer,
    pub(crate) events: EventLoop,
    /// The shared memory, while it is mapped.
    pub(crate) memory: Option<(OwnRegion, PeerRegion)>,
    /// How the last call ended.
    pub(crate) outcome: Option<Outcome>,
}

impl AppPlace {
    pub(crate) fn new(world: &World, peer: Peer) -> Self {
        Self { world: world.clone(), peer, events: EventLoop::new(world), memory: None, outcome: None }
    }
}

impl ErrorType for AppPlace {
    type Error = SimulatedError;
}

impl Connect for AppPlace {
    type Socket = SeqPacket;

    fn connect(&mut self, path: &str) -> Result<SeqPacket, SimulatedError> {
        self.world.connect(path, self.peer)
    }
}

impl Watch<SeqPacket> for AppPlace {
    fn watch(&mut self, source: &SeqPacket, token: Token, interest: Interest) -> Result<(), SimulatedError> {
        self.events.watch(source, token, interest)
    }

    fn rewatch(&mut self, source: &SeqPacket, token: Token, interest: Interest) -> Result<(), SimulatedError> {
        self.events.rewatch(source, token, interest)
    }

    fn unwatch(&mut self, source: &SeqPacket) {
        self.events.unwatch(source);
    }
}

impl ClientHost for AppPlace {
    fn completed(&mut self, _: CallId, outcome: Outcome, descriptors: AnswerDescriptors<Self>) {
        if let (Outcome::Answered(Answer::SharedMemory { client_bytes, server_bytes }), [ours, theirs]) =
            (&outcome, &descriptors[..])
        {
            let ours = OwnRegion::attach(ours, *client_bytes).unwrap();
            let theirs = PeerRegion::attach(theirs, *server_bytes).unwrap();
            self.memory = Some((ours, theirs));
        }
        self.outcome = Some(outcome);
    }

    fn notified(&mut self, _: Notification) {}

    fn text(&mut self, _: SessionId, _: Text<'_>) {}

    fn keys(&mut self, _: Notice<'_>) {}

    fn drop_memory(&mut self, _: Option<LostReason>) {
        self.memory = None;
    }
}
