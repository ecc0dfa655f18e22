//! Hostile clients of the session servers and of the manager (SM-35): what they do is never worth more than a closed
//! connection. Whether anybody else has suffered is found by everybody else.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fastrand::Rng;
use greenroom_core::driver::{Connection, Incoming};
use greenroom_core::hal::{Descriptors, Doorbell, RegionMut, Sent, Socket};
use greenroom_core::limits::{CLIENTS_MAX, CONTROLLERS_MAX, DESCRIPTORS_MAX, GREETING_TIMEOUT, MESSAGE_BYTES_MAX};
use greenroom_core::message::control;
use greenroom_core::message::playback::{
    Answer, Codec, Command as Call, Message, Request, RingPlace, SessionId, Shape, SourceDescription,
};
use greenroom_hal_linux::memory::{self, EventFd, OwnRegion};
use greenroom_hal_linux::socket::SeqPacket;

use crate::stage::{APPS, LOOK_INTERVAL, MARATHON, Stage};
use crate::tally::Count;

/// Between two attacks of one of them.
const PAUSE_MS: std::ops::Range<u64> = 200..1_500;
/// How long an answer or a place in the queue is waited for; a server that is stopped gives neither.
const PATIENCE: Duration = Duration::from_secs(1);
/// Calls of a flood.
const FLOOD_CALLS: u32 = 3_000;
/// How long a ring is written to.
const CORRUPTION: Duration = Duration::from_millis(300);

type Attack = fn(&mut Rng, &Path, bool) -> Option<()>;

const ATTACKS: [(Count, Attack); 9] = [
    (Count::Garbage, send_garbage),
    (Count::Truncated, send_truncated),
    (Count::Oversized, send_oversized),
    (Count::Descriptors, send_descriptors),
    (Count::Flood, flood),
    (Count::Hog, hog),
    (Count::HungUp, hang_up),
    (Count::Slowpoke, say_nothing),
    (Count::RingCorrupted, corrupt_ring),
];

/// Attacks one socket after the other until `end`.
pub(crate) fn attack(stage: &Stage<'_>, mut rng: Rng, end: Instant) {
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(rng.u64(PAUSE_MS)));
        let (count, attack) = ATTACKS[rng.usize(..ATTACKS.len())];
        // Where the attack is none, the attacked is not there, not Active, or has thrown the attacker out before its end.
        let hit = targets(stage, &mut rng)
            .into_iter()
            .find(|(path, is_control)| attack(&mut rng, path, *is_control).is_some());
        if let Some((path, _)) = hit {
            stage.tally.note(count, &path.display().to_string());
        }
    }
}

/// Every socket, and whether it is the manager's, in any order.
fn targets(stage: &Stage<'_>, rng: &mut Rng) -> Vec<(PathBuf, bool)> {
    let apps = APPS.into_iter().chain([MARATHON]).map(|app| (stage.socket_of(app), false));
    let mut targets: Vec<(PathBuf, bool)> = apps.chain([(stage.control(), true)]).collect();
    rng.shuffle(&mut targets);
    targets
}

fn connect(path: &Path) -> Option<SeqPacket> {
    SeqPacket::connect(path, PATIENCE).ok()
}

/// A message that opens a connection as it should be.
fn hello(is_control: bool, buffer: &mut [u8]) -> Option<&[u8]> {
    use greenroom_core::codec::postcard::encode_first;
    if is_control {
        encode_first(&control::Request { sequence: 1, command: control::Command::Hello }, buffer).ok()
    } else {
        encode_first(&Request { sequence: 1, command: Call::Hello }, buffer).ok()
    }
}

fn send_garbage(rng: &mut Rng, path: &Path, is_control: bool) -> Option<()> {
    let mut socket = connect(path)?;
    if rng.bool() {
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        socket.send(hello(is_control, &mut buffer)?, &[]).ok()?;
    }
    for _ in 0..rng.u32(1..20) {
        let mut garbage = vec![0; rng.usize(1..200)];
        rng.fill(&mut garbage);
        if socket.send(&garbage, &[]).is_err() {
            break;
        }
    }
    Some(())
}

fn send_truncated(rng: &mut Rng, path: &Path, is_control: bool) -> Option<()> {
    let mut buffer = [0; MESSAGE_BYTES_MAX];
    let whole = hello(is_control, &mut buffer)?;
    connect(path)?.send(whole.get(..rng.usize(1..whole.len()))?, &[]).ok()?;
    Some(())
}

fn send_oversized(rng: &mut Rng, path: &Path, _: bool) -> Option<()> {
    let message = vec![rng.u8(..); rng.usize(MESSAGE_BYTES_MAX + 1..8 * MESSAGE_BYTES_MAX)];
    connect(path)?.send(&message, &[]).ok()?;
    Some(())
}

fn send_descriptors(rng: &mut Rng, path: &Path, is_control: bool) -> Option<()> {
    let mut socket = connect(path)?;
    let mut buffer = [0; MESSAGE_BYTES_MAX];
    let message = hello(is_control, &mut buffer)?;
    for _ in 0..rng.u32(1..30) {
        let open = || Some(OwnedFd::from(std::fs::File::open("/dev/null").ok()?));
        let descriptors: Vec<OwnedFd> = (0..rng.usize(1..=DESCRIPTORS_MAX)).filter_map(|_| open()).collect();
        if socket.send(message, &descriptors.iter().collect::<Vec<_>>()).is_err() {
            break;
        }
    }
    Some(())
}

fn flood(rng: &mut Rng, path: &Path, is_control: bool) -> Option<()> {
    let mut socket = connect(path)?;
    let mut buffer = [0; MESSAGE_BYTES_MAX];
    socket.send(hello(is_control, &mut buffer)?, &[]).ok()?;
    let mut call = [0; MESSAGE_BYTES_MAX];
    let call = if is_control {
        let request = control::Request { sequence: 2, command: control::Command::List { from: 0 } };
        greenroom_core::codec::postcard::encode(&request, &mut call).ok()?
    } else {
        let request = Request { sequence: 2, command: Call::CreateSession };
        greenroom_core::codec::postcard::encode(&request, &mut call).ok()?
    };
    for _ in 0..rng.u32(100..FLOOD_CALLS) {
        match socket.send(call, &[]) {
            Ok(Sent::Whole) => {}
            Ok(Sent::WouldBlock) => std::thread::sleep(Duration::from_micros(200)),
            Err(_) => break,
        }
    }
    Some(())
}

fn hog(rng: &mut Rng, path: &Path, is_control: bool) -> Option<()> {
    let places = if is_control { CONTROLLERS_MAX } else { CLIENTS_MAX };
    let mut hoard = Vec::new();
    for _ in 0..places + rng.usize(..8) {
        let mut socket = SeqPacket::connect(path, Duration::from_millis(50)).ok();
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        if let Some(socket) = socket.as_mut().filter(|_| rng.bool()) {
            // One that is thrown out is thrown out.
            let _ = socket.send(hello(is_control, &mut buffer)?, &[]);
        }
        hoard.extend(socket);
    }
    std::thread::sleep(Duration::from_millis(rng.u64(50..800)));
    (!hoard.is_empty()).then_some(())
}

fn say_nothing(rng: &mut Rng, path: &Path, _: bool) -> Option<()> {
    let _socket = connect(path)?;
    std::thread::sleep(GREETING_TIMEOUT.mul_f32(rng.f32() * 1.2));
    Some(())
}

fn hang_up(rng: &mut Rng, path: &Path, is_control: bool) -> Option<()> {
    if is_control {
        let mut connection = Connection::asking(connect(path)?);
        for command in [control::Command::Hello, control::Command::Watch, control::Command::List { from: 0 }] {
            connection.send(&control::Request { sequence: 1, command }, Descriptors::new()).ok()?;
        }
        return Some(());
    }
    let mut intruder = Intruder::enter(path)?;
    let session = intruder.session()?;
    let calls = [
        Call::Load { session, live: false },
        Call::AttachSource { session, source: SOURCE },
        Call::AllSourcesAttached { session },
        Call::Play { session },
        Call::SetPosition { session, position_ns: rng.u64(..), epoch: 1 },
        Call::Stop { session },
        Call::DestroySession { session },
    ];
    let until = rng.usize(1..=calls.len());
    for command in calls.into_iter().take(until) {
        intruder.send(command)?;
    }
    Some(())
}

const SOURCE: SourceDescription<'static> = SourceDescription {
    codec: Codec::H264,
    shape: Shape {
        width: 320,
        height: 180,
        frame_rate_numerator: 10,
        frame_rate_denominator: 1,
        sample_rate: 0,
        channels: 0,
    },
    codec_data: &[],
};

/// Leases a ring as an app does, and writes to its words whatever comes.
fn corrupt_ring(rng: &mut Rng, path: &Path, is_control: bool) -> Option<()> {
    if is_control {
        return None;
    }
    let mut intruder = Intruder::enter(path)?;
    let session = intruder.session()?;
    let own = intruder.own.take()?;
    intruder.call(Call::Load { session, live: false })?;
    let Answer::Source { ring, .. } = intruder.call(Call::AttachSource { session, source: SOURCE })? else {
        return None;
    };
    let bell = (!intruder.descriptors.is_empty()).then(|| EventFd::attach(intruder.descriptors.swap_remove(0)))?;
    intruder.call(Call::AllSourcesAttached { session })?;
    intruder.call(Call::Play { session })?;
    let end = Instant::now() + CORRUPTION;
    while Instant::now() < end {
        scribble(rng, &own, &ring);
        let _ = bell.ring();
        std::thread::sleep(Duration::from_micros(rng.u64(..2_000)));
    }
    Some(())
}

/// Head, flags and descriptors; now and then a head that an honest client might have.
fn scribble(rng: &mut Rng, own: &OwnRegion, ring: &RingPlace) {
    let words = ring.payload_offset.saturating_sub(ring.client_offset).min(4096) / 4;
    for _ in 0..rng.u32(1..64) {
        let word = if rng.bool() { rng.u32(..8) } else { rng.u32(..) };
        // Outside of it nothing is mapped, which the region says.
        let _ = own.store(ring.client_offset + 4 * rng.u32(..words.max(1)), word);
    }
    let _ = own.store(ring.client_offset, rng.u32(..70));
}

/// One that knows how an app behaves.
struct Intruder {
    connection: Connection<SeqPacket>,
    descriptors: Descriptors<OwnedFd>,
    own: Option<OwnRegion>,
}

impl Intruder {
    fn enter(path: &Path) -> Option<Self> {
        let connection = Connection::asking(connect(path)?);
        let mut intruder = Self { connection, descriptors: Descriptors::new(), own: None };
        intruder.call(Call::Hello)?;
        Some(intruder)
    }

    /// Memory and a session, if the app is Active and has a place.
    fn session(&mut self) -> Option<SessionId> {
        let Answer::SharedMemory { client_bytes, .. } = self.call(Call::GetSharedMemory)? else { return None };
        self.own = memory::attach_own(self.descriptors.first()?, client_bytes).ok();
        let Answer::Session { session } = self.call(Call::CreateSession)? else { return None };
        Some(session)
    }

    fn send(&mut self, command: Call<'_>) -> Option<()> {
        self.connection.send(&Request { sequence: 9, command }, Descriptors::new()).ok().map(drop)
    }

    /// The answer, unless it is a refusal or does not come.
    fn call(&mut self, command: Call<'_>) -> Option<Answer> {
        self.send(command)?;
        let end = Instant::now() + PATIENCE;
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        loop {
            match self.connection.receive(&mut buffer, &mut self.descriptors) {
                Ok(Incoming::Message { message: Message::Reply { sequence: 9, result }, .. }) => return result.ok(),
                Ok(Incoming::Message { .. }) => {}
                Ok(Incoming::Nothing) if Instant::now() < end => std::thread::sleep(LOOK_INTERVAL / 10),
                Ok(Incoming::Nothing | Incoming::Closed) | Err(_) => return None,
            }
        }
    }
}
