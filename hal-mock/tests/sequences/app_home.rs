//! What an app's client library lives in.

use greenroom_core::client::{CallId, LostReason, Notification, Outcome};
use greenroom_core::driver::{AnswerDescriptors, ClientHost};
use greenroom_core::hal::{Connect, ErrorType, Interest, Peer, Token, Watch};
use greenroom_core::message::keys::Notice;
use greenroom_core::message::playback::{Answer, SessionId, Text};
use greenroom_hal_mock::memory::{OwnRegion, PeerRegion};
use greenroom_hal_mock::{EventLoop, SeqPacket, SimulatedError, World};

/// Where a client library lives: in an app.
pub(crate) struct AppHome {
    world: World,
    peer: Peer,
    pub(crate) events: EventLoop,
    /// The shared memory, while it is mapped.
    pub(crate) memory: Option<(OwnRegion, PeerRegion)>,
    /// How the last call ended.
    pub(crate) outcome: Option<Outcome>,
}

impl AppHome {
    pub(crate) fn new(world: &World, peer: Peer) -> Self {
        Self { world: world.clone(), peer, events: EventLoop::new(world), memory: None, outcome: None }
    }
}

impl ErrorType for AppHome {
    type Error = SimulatedError;
}

impl Connect for AppHome {
    type Socket = SeqPacket;

    fn connect(&mut self, path: &str) -> Result<SeqPacket, SimulatedError> {
        self.world.connect(path, self.peer)
    }
}

impl Watch<SeqPacket> for AppHome {
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

impl ClientHost for AppHome {
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
