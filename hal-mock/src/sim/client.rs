//! One connection of an app: the client driver that ships, and the rings into which it puts frames.

use std::rc::Rc;
use std::time::Duration;

use greenroom_core::client::{CallId, NotTaken, Notification, Outcome};
use greenroom_core::driver::{AnswerDescriptors, ClientDriver, ClientHost};
use greenroom_core::hal::{Connect, Descriptors, Doorbell, ErrorType, Interest, Peer, RegionMut, Token, Watch};
use greenroom_core::message::AppState;
use greenroom_core::message::keys::Notice;
use greenroom_core::message::playback::{Command, RingPlace, SessionId, Text};
use greenroom_core::ring::{DESCRIPTOR_BYTES, LINE_BYTES, Producer, PushError, Pushed, Record};
use greenroom_core::time::Instant;

use super::book::{Book, Tally};
use super::payload::Payload;
use crate::bell::Bell;
use crate::descriptor::Descriptor;
use crate::error::SimulatedError;
use crate::event_loop::EventLoop;
use crate::memory::{OwnRegion, PeerRegion, Unrest};
use crate::party::Party;
use crate::socket::SeqPacket;
use crate::world::World;

const KIND: u8 = 0;
/// Where in a descriptor of a ring the length of its payload stands.
const LENGTH_IN_DESCRIPTOR: u32 = 16;

/// Where the client driver lives.
pub(super) struct ClientHome {
    world: World,
    events: EventLoop,
    peer: Peer,
    /// What the app heard, in its order.
    news: Vec<News>,
    /// A key session has something for the licence server.
    pub(super) wants_license: bool,
}

/// What an app hears of its connection.
pub(super) enum News {
    /// A call has ended.
    Completed(CallId, Outcome, Descriptors<Descriptor>),
    /// Something happened.
    Notice(Notification),
    /// The memory is not the app's any more.
    MemoryGone,
}

impl ErrorType for ClientHome {
    type Error = SimulatedError;
}

impl Connect for ClientHome {
    type Socket = SeqPacket;

    fn connect(&mut self, path: &str) -> Result<SeqPacket, SimulatedError> {
        self.world.connect(path, self.peer)
    }
}

impl Watch<SeqPacket> for ClientHome {
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

impl ClientHost for ClientHome {
    fn completed(&mut self, call: CallId, outcome: Outcome, descriptors: AnswerDescriptors<Self>) {
        self.news.push(News::Completed(call, outcome, descriptors));
    }

    fn notified(&mut self, notification: Notification) {
        self.news.push(News::Notice(notification));
    }

    fn text(&mut self, _: SessionId, _: Text<'_>) {}

    fn keys(&mut self, notice: Notice<'_>) {
        self.wants_license |= matches!(notice, Notice::License { .. });
    }

    fn drop_memory(&mut self, _: Option<greenroom_core::client::LostReason>) {
        self.news.push(News::MemoryGone);
    }
}

/// A source that an app feeds.
pub(super) struct Stream {
    producer: Producer<OwnRegion, PeerRegion>,
    data: Bell,
    place: RingPlace,
    payload: Payload,
    region: OwnRegion,
    /// Frames so far.
    pub(super) pushed: u32,
}

impl Stream {
    /// A source of which the server said where its ring lies.
    pub(super) fn attach(
        world: &World,
        regions: &(OwnRegion, PeerRegion),
        place: RingPlace,
        data: &Descriptor,
        number: u32,
    ) -> Option<Self> {
        let producer = Producer::new(regions.0.clone(), regions.1.clone(), &place).ok()?;
        let data = Bell::attach(world, data).ok()?;
        let payload = Payload::of_stream(number);
        Some(Self { producer, data, place, payload, region: regions.0.clone(), pushed: 0 })
    }

    /// Puts frames into the ring, as many as fit, at most so many. False: the ring is broken.
    pub(super) fn feed(&mut self, frames: u32) -> bool {
        for _ in 0..frames {
            let before = self.payload;
            let bytes = self.payload.next_frame();
            match self.push(&Record::frame(&bytes)) {
                Ok(()) => self.pushed += 1,
                Err(PushError::Full) => {
                    self.payload = before;
                    return self.producer.prepare_to_wait(bytes.len() as u32).is_ok();
                }
                Err(PushError::TooLarge { .. } | PushError::Corrupt(_)) => return false,
            }
        }
        true
    }

    /// Says that no more frames come.
    pub(super) fn end(&mut self) -> bool {
        self.push(&Record::end_of_stream()).is_ok()
    }

    fn push(&mut self, record: &Record<'_>) -> Result<(), PushError> {
        if self.producer.push(record)? == Pushed::Asleep {
            // One that cannot be rung is one that is not heard.
            let _ = self.data.ring();
        }
        Ok(())
    }

    pub(super) fn set_epoch(&mut self, epoch: u32) {
        self.producer.set_epoch(epoch);
        self.payload.begin(epoch);
    }

    /// The cursor jumps, behind the producer's back.
    pub(super) fn jump(&self, by: u32) {
        let _ = self.region.store(self.place.client_offset, by);
    }

    /// All descriptors claim this many bytes.
    pub(super) fn lie(&self, bytes: u32) {
        let first = self.place.client_offset + 2 * LINE_BYTES;
        for slot in 0..64 {
            let _ = self.region.store(first + slot * DESCRIPTOR_BYTES + LENGTH_IN_DESCRIPTOR, bytes);
        }
    }

    pub(super) fn be_restless(&self, seed: u64) -> Unrest {
        self.region.be_restless(seed)
    }

    pub(super) fn storm(&self) {
        for _ in 0..100 {
            let _ = self.data.ring();
        }
    }
}

/// One connection of an app.
pub(super) struct AppClient {
    pub(super) world: World,
    pub(super) book: Rc<Book>,
    pub(super) party: Party,
    pub(super) home: ClientHome,
    driver: Box<ClientDriver<SeqPacket, Tally>>,
    /// Calls that were taken and have not ended.
    outstanding: Vec<CallId>,
    pub(super) stalled_until: Instant,
}

impl AppClient {
    pub(super) fn new(world: &World, book: &Rc<Book>, party: Party, path: &str) -> Self {
        let process_id = world.next_process_id();
        let home = ClientHome {
            world: world.clone(),
            events: EventLoop::new(world),
            peer: Peer::new(process_id, 1000, 1000),
            news: Vec::new(),
            wants_license: false,
        };
        let path = path.try_into().expect("a path of a box is short");
        let driver = Box::new(ClientDriver::new(path, KIND, Tally::new(book, party, process_id)));
        Self {
            world: world.clone(),
            book: Rc::clone(book),
            party,
            home,
            driver,
            outstanding: Vec::new(),
            stalled_until: Instant::default(),
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.driver.machine().connection() == greenroom_core::client::ConnectionState::Connected
    }

    pub(super) fn is_disconnected(&self) -> bool {
        self.driver.machine().connection() == greenroom_core::client::ConnectionState::Disconnected
    }

    pub(super) fn is_running(&self) -> bool {
        self.is_connected() && self.driver.machine().application() == AppState::Running
    }

    pub(super) fn calls_waiting(&self) -> usize {
        self.outstanding.len()
    }

    pub(super) fn connect(&mut self, reconnect_for: Duration) {
        let now = self.world.now();
        let _ = self.driver.connect(&mut self.home, now, reconnect_for);
    }

    pub(super) fn disconnect(&mut self) {
        let now = self.world.now();
        self.driver.disconnect(&mut self.home, now);
    }

    pub(super) fn call(&mut self, command: Command<'_>) -> Result<CallId, NotTaken> {
        let now = self.world.now();
        let call = self.driver.call(&mut self.home, now, command)?;
        if self.outstanding.contains(&call) {
            self.book.violation("SM-30", format!("{}: call {call:?} was given out twice", self.party));
        }
        self.outstanding.push(call);
        Ok(call)
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.driver.next_deadline()
    }

    pub(super) fn has_ready(&self) -> bool {
        self.home.events.has_ready()
    }

    /// Lets the driver work.
    pub(super) fn turn(&mut self, now: Instant) {
        for ready in self.home.events.ready() {
            self.driver.ready(&mut self.home, now, ready);
        }
        if self.driver.next_deadline().is_some_and(|at| at <= now) {
            self.driver.tick(&mut self.home, now);
        }
    }

    /// What the app heard since, in its order. Each call ends once (SM-30).
    pub(super) fn take_news(&mut self) -> Vec<News> {
        let news = std::mem::take(&mut self.home.news);
        for piece in &news {
            let News::Completed(call, outcome, _) = piece else { continue };
            match self.outstanding.iter().position(|known| known == call) {
                Some(place) => {
                    self.outstanding.swap_remove(place);
                }
                None => self.book.violation("SM-30", format!("{}: {call:?} ended again: {outcome:?}", self.party)),
            }
        }
        news
    }
}
