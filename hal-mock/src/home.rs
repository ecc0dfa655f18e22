//! Where drivers live in the simulated world.

use greenroom_core::driver::{Frames, ManagerHost, Platform, SessionDriver, SessionHost};
use greenroom_core::hal::{
    Authority, Decoder, Interest, Launcher, Listen, Peer, Profile, Right, SocketPlace, Spawn, Watch,
};
use greenroom_core::message::{Allowed, AppId, LogLevels, Resources, link};

use crate::authority::Grants;
use crate::descriptor::Descriptor;
use crate::error::SimulatedError;
use crate::event_loop::EventLoop;
use crate::keys::MockKeys;
use crate::listener::{ListeningSocket, SocketFiles};
use crate::memory::Memory;
use crate::process::{ChildProcess, Spawner};
use crate::socket::SeqPacket;
use crate::world::World;

/// Where a manager listens for who drives it.
pub const CONTROL: &str = "/run/greenroom/control.sock";

/// Where a manager lives.
#[derive(Debug)]
pub struct ManagerHome<S = Spawner> {
    /// What it watches.
    pub events: EventLoop,
    /// What starts session servers.
    pub spawner: S,
    /// What makes and takes over sockets.
    pub files: SocketFiles,
    /// Who may drive what.
    pub grants: Grants,
    /// What each app may have.
    pub resources: Resources,
    /// What it was told to log.
    pub levels: LogLevels,
}

impl<S> ManagerHome<S> {
    /// A home in this world, of which these users may drive something.
    pub fn new(world: &World, spawner: S, grants: Grants) -> Self {
        Self {
            events: EventLoop::new(world),
            spawner,
            files: SocketFiles::new(world),
            grants,
            resources: Resources::default(),
            levels: LogLevels::default(),
        }
    }

    /// Makes the socket at [`CONTROL`].
    ///
    /// # Errors
    /// Another one listens there, or the world says that it cannot be made.
    pub fn open_control(&mut self) -> Result<ListeningSocket, SimulatedError> {
        self.files.listen(&SocketPlace { path: CONTROL, mode: 0o600, owner: "", group: "" })
    }
}

impl<S> Launcher for ManagerHome<S> {
    fn profile(&self, _: &AppId) -> Profile<'_> {
        Profile {
            resources: self.resources,
            socket_directory: "/run/greenroom",
            socket_mode: 0o640,
            socket_owner: "root",
            socket_group: "root",
            video_sink: "fake",
            audio_sink: "fake",
            clients: Allowed::default(),
        }
    }
}

impl<S> Authority for ManagerHome<S> {
    fn may(&self, peer: &Peer, right: Right<'_>) -> bool {
        self.grants.may(peer, right)
    }
}

impl<S: Spawn<Child = ChildProcess, Socket = SeqPacket>> ManagerHost for ManagerHome<S> {
    type Control = ListeningSocket;
    type Spawn = S;
    type Listen = SocketFiles;
    type Watch = EventLoop;

    fn watch(&mut self) -> &mut EventLoop {
        &mut self.events
    }

    fn spawn(&mut self) -> &mut S {
        &mut self.spawner
    }

    fn listen(&mut self) -> &mut SocketFiles {
        &mut self.files
    }

    fn apply_log_levels(&mut self, levels: &LogLevels) {
        self.levels = *levels;
    }
}

/// Where a session server lives.
#[derive(Debug)]
pub struct ServerHome<D> {
    /// Its parts.
    pub platform: Platform<SocketFiles, Memory, D, EventLoop>,
    /// Its key systems.
    pub keys: MockKeys,
    /// What its app may have: nothing before it was told.
    pub resources: Resources,
    /// Where pictures go, once it was told.
    pub video_sink: String,
    /// What it was told to log.
    pub levels: Option<LogLevels>,
}

impl<D> ServerHome<D> {
    /// A home with these parts. Nothing is watched yet.
    pub fn new(world: &World, memory: Memory, decoder: D) -> Self {
        let platform = Platform { files: SocketFiles::new(world), memory, decoder, events: EventLoop::new(world) };
        let resources = Resources { max_playback_sessions: 0, max_web_audio_players: 0, max_key_sessions: 0 };
        Self { platform, keys: MockKeys::new(world), resources, video_sink: String::new(), levels: None }
    }
}

impl<D: Decoder<Frames = Frames<Memory>>> ServerHome<D>
where
    EventLoop: Watch<D>,
{
    /// Watches its decoders and its key systems, as a program does before it starts its driver.
    ///
    /// # Errors
    /// The world says that one of them cannot be watched.
    pub fn watch_parts(&mut self) -> Result<(), SimulatedError> {
        let Platform { decoder, events, .. } = &mut self.platform;
        events.watch(decoder, SessionDriver::<Self>::DECODER, Interest::Read)?;
        Watch::<MockKeys>::watch(events, &self.keys, SessionDriver::<Self>::KEYS, Interest::Read)
    }
}

impl<D: Decoder<Frames = Frames<Memory>>> SessionHost for ServerHome<D> {
    type Descriptor = Descriptor;
    type Socket = SeqPacket;
    type Listener = ListeningSocket;
    type Files = SocketFiles;
    type Memory = Memory;
    type Decoder = D;
    type Keys = MockKeys;
    type Events = EventLoop;

    fn platform(&mut self) -> &mut Platform<SocketFiles, Memory, D, EventLoop> {
        &mut self.platform
    }

    fn keys(&mut self) -> &mut MockKeys {
        &mut self.keys
    }

    fn configured(&mut self, configuration: &link::Configuration<'_>) {
        self.resources = configuration.resources;
        self.video_sink = configuration.video_sink.to_owned();
    }

    fn set_log_levels(&mut self, levels: &LogLevels) {
        self.levels = Some(*levels);
    }
}
