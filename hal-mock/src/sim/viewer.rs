//! What an app does: it connects, makes a session, feeds it, plays with it, and begins again when something fails.
//!
//! ```text
//! Away --wished--> connecting --Running--> Memory -> Session -> Load -> Video -> Audio -> All -> Play --> Watching
//!                                             ^                                                             |
//!                                             +---- the session has failed or ended, or was watched enough -+
//! ```

use std::rc::Rc;
use std::time::Duration;

use greenroom_core::client::{CallId, Notification, Outcome};
use greenroom_core::hal::Descriptors;
use greenroom_core::message::audio::{self, PcmFormat, PlayerId, SampleFormat};
use greenroom_core::message::keys::{self, InitDataKind, KeySessionId};
use greenroom_core::message::playback::{
    Answer, Codec, Command, Event, PlaybackState, RingPlace, SessionId, Shape, SourceDescription, SourceId, Window,
};
use greenroom_core::time::{Instant, earliest};

use super::book::Book;
use super::client::{AppClient, News, Stream};
use crate::descriptor::Descriptor;
use crate::memory::{OwnRegion, PeerRegion};
use crate::party::Party;
use crate::world::World;

/// How often an app does something.
const BEAT: Duration = Duration::from_millis(1000);
/// Frames that it puts into each ring at a time.
const FRAMES_PER_BEAT: u32 = 9;
/// A pause after something was refused.
const PATIENCE: Duration = Duration::from_millis(2000);
/// After so many beats without a picture that moves it begins again.
const DULL_BEATS_MAX: u32 = 15;
/// How long it tries to reach a session server that has gone.
const RECONNECT_FOR: Duration = Duration::from_secs(30);

type Regions = (OwnRegion, PeerRegion);

/// What an app is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Not to be there.
    Away,
    /// To be connected, and nothing more.
    Connected,
    /// To play.
    Watching,
}

/// How far a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Memory,
    Session,
    Load,
    Video,
    Audio,
    All,
    Play,
    Watching,
    Destroy,
}

/// One connection of an app, and what it does with it.
pub(super) struct Viewer {
    pub(super) client: AppClient,
    wish: Wish,
    /// Plays with what it has; else it only plays.
    is_playful: bool,
    step: Step,
    pending: Option<(CallId, Step)>,
    /// Calls whose end changes nothing but what is told of them here.
    extras: Vec<CallId>,
    leased: Option<Regions>,
    session: Option<SessionId>,
    regions: Option<Regions>,
    streams: Vec<(SourceId, Stream)>,
    epoch: u32,
    /// It has said that no more frames come, and has not sought back yet.
    is_at_end: bool,
    last_stream: u32,
    player: Option<(PlayerId, Stream)>,
    /// A session beside the one that it plays, of which it does nothing but have it.
    further: Option<SessionId>,
    key_session: Option<KeySessionId>,
    next_beat: Option<Instant>,
    watched_until: Option<Instant>,
    state: PlaybackState,
    /// Beats without a picture that moves.
    dull_beats: u32,
    /// When it wants to be woken, as of its last turn.
    pub(super) wakes_at: Option<Instant>,
    /// First frames that it has seen.
    pub(super) shown: u64,
    /// What failed for it last although it did not ask for it.
    pub(super) last_failure: Option<String>,
}

impl Viewer {
    pub(super) fn new(world: &World, book: &Rc<Book>, party: Party, path: &str, is_playful: bool) -> Self {
        Self {
            client: AppClient::new(world, book, party, path),
            wish: Wish::Away,
            is_playful,
            step: Step::Memory,
            pending: None,
            extras: Vec::new(),
            leased: None,
            session: None,
            regions: None,
            streams: Vec::new(),
            epoch: 0,
            is_at_end: false,
            last_stream: 0,
            player: None,
            further: None,
            key_session: None,
            next_beat: None,
            watched_until: None,
            state: PlaybackState::Idle,
            dull_beats: 0,
            wakes_at: None,
            shown: 0,
            last_failure: None,
        }
    }

    pub(super) fn wish(&self) -> Wish {
        self.wish
    }

    pub(super) fn set_wish(&mut self, wish: Wish) {
        self.wish = wish;
        self.next_beat = Some(self.client.world.now());
    }

    /// From now on it plays and nothing else.
    pub(super) fn calm_down(&mut self) {
        self.is_playful = false;
    }

    pub(super) fn is_playing(&self) -> bool {
        self.step == Step::Watching && self.state == PlaybackState::Playing
    }

    /// Where it is, for a report.
    pub(super) fn describe(&self) -> String {
        format!(
            "{}: wishes {:?}, connected {}, at {:?}, {:?}, {} calls wait, last failure {:?}",
            self.client.party,
            self.wish,
            self.client.is_connected(),
            self.step,
            self.state,
            self.client.calls_waiting(),
            self.last_failure,
        )
    }

    pub(super) fn session(&self) -> Option<SessionId> {
        self.session
    }

    pub(super) fn further(&self) -> Option<SessionId> {
        self.further
    }

    pub(super) fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.streams.iter().map(|(_, stream)| stream)
    }

    pub(super) fn refresh(&mut self) {
        self.wakes_at = earliest(self.client.due(), self.next_beat);
    }

    pub(super) fn has_ready(&self) -> bool {
        self.client.has_ready()
    }

    pub(super) fn turn(&mut self, now: Instant) {
        self.client.turn(now);
        self.hear();
        if self.next_beat.is_some_and(|at| at <= now) {
            self.next_beat = (self.wish != Wish::Away || !self.client.is_disconnected()).then(|| now.after(BEAT));
            self.beat(now);
            self.hear();
        }
        self.go_on(now);
    }

    fn hear(&mut self) {
        for news in self.client.take_news() {
            match news {
                News::Notice(notice) => self.notified(notice),
                News::MemoryGone => self.forget(),
                News::Completed(call, outcome, descriptors) => self.ended(call, outcome, &descriptors),
            }
        }
    }

    fn ended(&mut self, call: CallId, outcome: Outcome, descriptors: &Descriptors<Descriptor>) {
        if let Some((_, step)) = self.pending.take_if(|(pending, _)| *pending == call) {
            self.went_on(step, outcome, descriptors);
        } else if let Some(place) = self.extras.iter().position(|extra| *extra == call) {
            self.extras.swap_remove(place);
            self.extra_ended(outcome, descriptors);
        }
    }

    fn notified(&mut self, notice: Notification) {
        match notice {
            Notification::Event(Event::PlaybackState { session, state }) if self.session == Some(session) => {
                self.state = state;
            }
            Notification::Event(Event::FirstFrame { .. }) => self.shown += 1,
            Notification::Event(Event::Failed { session, error }) if self.session == Some(session) => {
                self.failed(format!("the session failed: {error:?}"));
                self.step = Step::Destroy;
            }
            Notification::Event(Event::SessionEnded { session }) if self.session == Some(session) => {
                self.end_session();
            }
            Notification::Event(Event::Audio(audio::Event::Ended { .. } | audio::Event::Failed { .. })) => {
                self.player = None;
            }
            Notification::ConnectionLost(reason) => {
                self.failed(format!("the connection was lost: {reason:?}"));
                self.forget();
            }
            Notification::GivenUp(reason) => {
                self.failed(format!("the server was given up: {reason:?}"));
                self.forget();
            }
            _ => {}
        }
    }

    fn failed(&mut self, what: String) {
        if self.wish != Wish::Away {
            self.last_failure = Some(what);
        }
    }

    /// The memory is gone, and all that lay in it.
    fn forget(&mut self) {
        self.leased = None;
        self.player = None;
        self.further = None;
        self.key_session = None;
        self.end_session();
        self.step = Step::Memory;
    }

    fn end_session(&mut self) {
        self.session = None;
        self.regions = None;
        self.streams.clear();
        self.is_at_end = false;
        self.state = PlaybackState::Idle;
        self.step = if self.leased.is_some() { Step::Session } else { Step::Memory };
    }

    /// The next call on the way to a picture.
    fn go_on(&mut self, now: Instant) {
        let may = self.wish == Wish::Watching && self.client.is_running() && self.pending.is_none();
        if !may || self.next_beat.is_some_and(|at| at > now.after(BEAT)) {
            return;
        }
        let Some(command) = self.next_command() else { return };
        match self.client.call(command) {
            Ok(call) => self.pending = Some((call, self.step)),
            Err(_) => self.next_beat = Some(now.after(PATIENCE)),
        }
        self.hear();
    }

    fn next_command(&self) -> Option<Command<'static>> {
        let source = |codec| SourceDescription { codec, shape: Shape::default(), codec_data: &[1, 2, 3] };
        match (self.step, self.session) {
            (Step::Watching, _) => None,
            (Step::Memory, _) => Some(Command::GetSharedMemory),
            (_, None) => Some(Command::CreateSession),
            (Step::Session | Step::Load, Some(session)) => Some(Command::Load { session, live: false }),
            (Step::Video, Some(session)) => Some(Command::AttachSource { session, source: source(Codec::H264) }),
            (Step::Audio, Some(session)) => Some(Command::AttachSource { session, source: source(Codec::Aac) }),
            (Step::All, Some(session)) => Some(Command::AllSourcesAttached { session }),
            (Step::Play, Some(session)) => Some(Command::Play { session }),
            (Step::Destroy, Some(session)) => Some(Command::DestroySession { session }),
        }
    }

    /// What was asked at this step has come to something.
    fn went_on(&mut self, step: Step, outcome: Outcome, descriptors: &Descriptors<Descriptor>) {
        let Outcome::Answered(answer) = outcome else {
            self.next_beat = Some(self.client.world.now().after(PATIENCE));
            // What cannot be set up is taken down, if it is there; without an answer nobody knows whether it is.
            match self.session {
                Some(_) if step != Step::Destroy || outcome == Outcome::TimedOut => self.step = Step::Destroy,
                _ => self.end_session(),
            }
            return;
        };
        if step != self.step && self.session.is_some() {
            // It has failed meanwhile.
            return;
        }
        let Some(next) = self.next_step(step, answer, descriptors) else {
            // Whoever sends descriptors of no use is not to be trusted with anything.
            return self.client.disconnect();
        };
        self.step = next;
        match next {
            Step::All | Step::Play => self.feed(FRAMES_PER_BEAT),
            Step::Watching => {
                let watched_ms = 20_000 + self.client.world.random(280_000);
                self.watched_until = Some(self.client.world.now().after(Duration::from_millis(watched_ms)));
            }
            Step::Memory | Step::Session | Step::Load | Step::Video | Step::Audio | Step::Destroy => {}
        }
    }

    /// `None` where what came with the answer cannot be used.
    fn next_step(&mut self, step: Step, answer: Answer, descriptors: &Descriptors<Descriptor>) -> Option<Step> {
        Some(match (step, answer) {
            (Step::Memory, Answer::SharedMemory { client_bytes, server_bytes }) => {
                self.leased = Some(regions(descriptors, client_bytes, server_bytes)?);
                Step::Session
            }
            (Step::Session, Answer::Session { session }) => {
                (self.session, self.regions) = (Some(session), self.leased.clone());
                Step::Load
            }
            (Step::Session, Answer::SessionWithMemory { session, client_bytes, server_bytes }) => {
                let regions = regions(descriptors, client_bytes, server_bytes)?;
                (self.session, self.regions) = (Some(session), Some(regions));
                Step::Load
            }
            (Step::Load, _) => Step::Video,
            (Step::Video, Answer::Source { source, ring }) => {
                self.attach(source, ring, descriptors)?;
                Step::Audio
            }
            (Step::Audio, Answer::Source { source, ring }) => {
                self.attach(source, ring, descriptors)?;
                Step::All
            }
            (Step::All, _) => Step::Play,
            (Step::Play, _) => Step::Watching,
            (Step::Destroy, _) => {
                self.end_session();
                self.step
            }
            (step, _) => step,
        })
    }

    fn attach(&mut self, source: SourceId, ring: RingPlace, descriptors: &Descriptors<Descriptor>) -> Option<()> {
        let (regions, bell) = (self.regions.as_ref()?, descriptors.first()?);
        self.last_stream = self.last_stream.wrapping_add(1);
        let number = stream_number(self.client.party, self.last_stream);
        self.epoch = 0;
        let stream = Stream::attach(&self.client.world, regions, ring, bell, number)?;
        self.streams.push((source, stream));
        Some(())
    }

    fn feed(&mut self, frames: u32) {
        let is_sound = self.streams.iter_mut().all(|(_, stream)| stream.feed(frames));
        if !is_sound {
            self.step = Step::Destroy;
        }
    }

    /// Once in a while it does something.
    fn beat(&mut self, now: Instant) {
        if self.wish == Wish::Away {
            return self.client.disconnect();
        }
        if self.client.is_disconnected() {
            return self.client.connect(RECONNECT_FOR);
        }
        if self.step != Step::Watching {
            return;
        }
        match (self.is_at_end, self.state) {
            (false, _) => self.feed(FRAMES_PER_BEAT),
            (true, PlaybackState::EndOfStream) => self.begin_again(),
            (true, _) => {}
        }
        self.dull_beats = if self.state == PlaybackState::Playing { 0 } else { self.dull_beats + 1 };
        if self.dull_beats > DULL_BEATS_MAX {
            (self.dull_beats, self.step) = (0, Step::Destroy);
            return;
        }
        if let Some((_, stream)) = &mut self.player {
            stream.feed(1);
        }
        if self.is_playful {
            self.play_around(now);
        }
    }

    fn play_around(&mut self, now: Instant) {
        if self.watched_until.is_some_and(|at| at <= now) {
            self.step = Step::Destroy;
            return;
        }
        self.license();
        if self.client.world.random(3) > 0 || self.extras.len() > 3 {
            return;
        }
        let Some(session) = self.session else { return };
        let source = SourceId(self.client.world.random(2) as u8);
        let chance = self.client.world.random(1000) as u32;
        let command = match self.client.world.random(20) {
            0 => {
                self.epoch = self.epoch.wrapping_add(1);
                Command::SetPosition { session, position_ns: u64::from(chance) * 1_000_000_000, epoch: self.epoch }
            }
            2 => {
                self.epoch = self.epoch.wrapping_add(1);
                Command::Flush { session, source, reset_time: chance.is_multiple_of(2), epoch: self.epoch }
            }
            3 => Command::Pause { session },
            4 | 5 => Command::Play { session },
            6 => Command::SetVolume { session, volume_permille: chance as u16 },
            7 => Command::SetMute { session, muted: chance.is_multiple_of(2) },
            8 => Command::GetDuration { session },
            9 => Command::SetDuration { session, duration_ns: u64::from(chance) },
            10 => Command::GetStatistics { session, source },
            11 => Command::SetPlaybackRate { session, rate_permille: 100 + chance as u16 },
            12 => Command::SetVideoWindow { session, window: Window { x: 0, y: 0, width: 1 + chance, height: 1 } },
            13 => Command::SetSourceMute { session, source, muted: chance.is_multiple_of(2) },
            14 => self.audio(),
            15 => self.keys(session),
            // Often: only who has ended can miss being told so.
            1 | 16..=18 => return self.end_streams(),
            _ => Command::GetPosition { session },
        };
        if !self.extra(command) {
            return;
        }
        match command {
            Command::SetPosition { epoch, .. } => {
                self.is_at_end = false;
                self.streams.iter_mut().for_each(|(_, stream)| stream.set_epoch(epoch));
                self.feed(FRAMES_PER_BEAT);
            }
            Command::Flush { source, epoch, .. } => {
                self.streams.iter_mut().filter(|(its, _)| *its == source).for_each(|(_, it)| it.set_epoch(epoch));
            }
            _ => {}
        }
    }

    /// The end of the media, if the rings have room to say so.
    fn end_streams(&mut self) {
        for (_, stream) in &mut self.streams {
            self.is_at_end |= stream.end();
        }
    }

    /// Behind the end it begins again with a seek.
    fn begin_again(&mut self) {
        let Some(session) = self.session else { return };
        self.epoch = self.epoch.wrapping_add(1);
        let epoch = self.epoch;
        if !self.extra(Command::SetPosition { session, position_ns: 0, epoch }) {
            return;
        }
        self.is_at_end = false;
        self.streams.iter_mut().for_each(|(_, stream)| stream.set_epoch(epoch));
    }

    /// A call beside the way to a picture.
    pub(super) fn extra(&mut self, command: Command<'_>) -> bool {
        let call = self.client.call(command);
        self.extras.extend(call);
        call.is_ok()
    }

    fn audio(&self) -> Command<'static> {
        let format = PcmFormat { rate_hz: 48_000, channels: 2, sample: SampleFormat::S16Le };
        Command::Audio(match &self.player {
            None => audio::Command::Create { format },
            Some((player, _)) => match self.client.world.random(5) {
                0 => audio::Command::Destroy { player: *player },
                1 => audio::Command::Pause { player: *player },
                2 => audio::Command::GetPlayed { player: *player },
                3 => audio::Command::SetVolume { player: *player, volume_permille: 500 },
                _ => audio::Command::Play { player: *player },
            },
        })
    }

    fn keys(&self, session: SessionId) -> Command<'static> {
        Command::Keys(match self.key_session {
            None => keys::Command::Create { key_system: "test" },
            Some(key_session) => match self.client.world.random(4) {
                0 => keys::Command::Close { key_session },
                1 => keys::Command::Bind { key_session, session },
                2 => keys::Command::Remove { key_session },
                _ => keys::Command::GenerateRequest { key_session, kind: InitDataKind::Cenc, init_data: &[7; 32] },
            },
        })
    }

    /// A licence request is answered by the licence server.
    fn license(&mut self) {
        if std::mem::take(&mut self.client.home.wants_license)
            && let Some(key_session) = self.key_session
        {
            self.extra(Command::Keys(keys::Command::Update { key_session, response: &[3; 32] }));
        }
    }

    fn extra_ended(&mut self, outcome: Outcome, descriptors: &Descriptors<Descriptor>) {
        match outcome {
            Outcome::Answered(Answer::Audio(audio::Answer::Player {
                player,
                client_bytes,
                server_bytes,
                ring,
                ..
            })) => {
                let regions = regions(descriptors, client_bytes, server_bytes);
                let number = stream_number(self.client.party, self.last_stream.wrapping_add(1));
                self.last_stream = self.last_stream.wrapping_add(1);
                let world = &self.client.world;
                let stream = regions.zip(descriptors.get(2));
                let stream = stream.and_then(|(regions, bell)| Stream::attach(world, &regions, ring, bell, number));
                self.player = stream.map(|stream| (player, stream));
            }
            Outcome::Answered(Answer::SessionWithMemory { session, .. }) => self.further = Some(session),
            Outcome::Answered(Answer::Keys(keys::Answer::KeySession { key_session })) => {
                self.key_session = Some(key_session);
            }
            _ => {}
        }
    }
}

fn stream_number(party: Party, number: u32) -> u32 {
    let Party::Client { app, client } = party else { return number };
    u32::from(app) << 24 | u32::from(client) << 16 | number & 0xffff
}

fn regions(descriptors: &Descriptors<Descriptor>, client_bytes: u32, server_bytes: u32) -> Option<Regions> {
    let own = OwnRegion::attach(descriptors.first()?, client_bytes).ok()?;
    let peer = PeerRegion::attach(descriptors.get(1)?, server_bytes).ok()?;
    Some((own, peer))
}
