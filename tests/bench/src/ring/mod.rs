//! Frames per second from one process to another: copied in on one side, copied out on the other.
//!
//! | contestant | what it is |
//! |---|---|
//! | `shipped` | the ring of the core over `hal-linux` memory, as client and decoder use it |
//! | `bare` | two cursors and slots of one size in the same memory with the same copies: what the ring's checks, descriptors and sleepers are measured by |
//! | `rtrb` | a ring of pages between two threads, on the heap: what shows that the bare ring is no straw man |
//! | `iceoryx2` | publish and subscribe between two processes, with a copy into the loaned sample and one out of it |
//!
//! All have as many bytes for as many frames in flight, and at each end a buffer of one frame. Buffers and slots begin at a
//! page: a copy to where no cache line begins costs up to a third more. Nobody sleeps: who finds nothing looks again, see
//! [`Patience`]. What a sleeper costs is measured by itself, see [`wake`].

mod bare;
mod iceoryx;
mod rtrb_threads;
mod sender;
mod shipped;
mod slot;
mod wake;

use std::hint::black_box;
use std::time::Instant;

use greenroom_core::limits::{RING_SLOTS, VIDEO_RING_BYTES};
use zerocopy::{FromBytes, Immutable, IntoBytes};

pub(crate) use sender::{Orders, run as send};

use crate::Failure;
use crate::figure::{Figure, Target};
use crate::patience::{PAUSES, Patience};
use crate::pinning::Pinning;
use crate::report::{Report, progress};
use crate::rounds::{Contestant, interleave};

/// What the bare ring must reach of rtrb to be a measure for the shipped one.
const BARE_RATIO_MIN: f64 = 0.9;
/// What the shipped ring is to reach of the bare one.
const RATIO_MIN: f64 = 0.9;
/// The same for frames so small that the copies do not hide the descriptor and the checks.
const SMALL_RATIO_MIN: f64 = 0.8;
const SMALL_BYTES_MAX: u32 = 64 << 10;

/// Bytes that one turn moves: some ten milliseconds.
const TURN_BYTES: u32 = 256 << 20;

const PAGE_BYTES: usize = 4096;

/// What a frame consists of.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes)]
#[repr(C, align(4096))]
struct Page([u8; PAGE_BYTES]);

/// A size of frames.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Load {
    /// Bytes of one frame.
    #[arg(long)]
    pub(crate) frame_bytes: u32,
    /// Frames that may be in flight.
    #[arg(long)]
    pub(crate) slots: u32,
}

impl Load {
    const fn of(frame_bytes: u32) -> Self {
        let fitting = VIDEO_RING_BYTES / frame_bytes;
        let slots = RING_SLOTS as u32;
        Self { frame_bytes, slots: if fitting < slots { fitting } else { slots } }
    }

    fn ring_bytes(self) -> u32 {
        self.frame_bytes * self.slots
    }

    fn buffer(self) -> Vec<Page> {
        vec![Page([0; PAGE_BYTES]); self.frame_bytes as usize / PAGE_BYTES]
    }
}

const LOADS: [(&str, Load); 3] =
    [("4KiB", Load::of(4 << 10)), ("64KiB", Load::of(64 << 10)), ("1MiB", Load::of(1 << 20))];

/// The end of a ring into which frames go.
trait Sender {
    /// Copies a frame in, if there is room.
    fn try_send(&mut self, frame: &[Page]) -> Result<bool, Failure>;
}

/// The end of a ring out of which frames come.
trait Receiver {
    /// Pauses between two looks.
    const PAUSES: u32 = PAUSES;

    /// Copies a frame out, if there is one.
    fn try_receive(&mut self, into: &mut [Page]) -> Result<bool, Failure>;
}

/// Sends so many frames, each with its number in front.
fn send_all(sender: &mut impl Sender, frames: u32, buffer: &mut [Page]) -> Result<(), Failure> {
    for number in 0..frames {
        *buffer.as_mut_bytes().first_chunk_mut().ok_or("a frame is too small for its number")? = number.to_le_bytes();
        let mut patience = Patience::new(PAUSES);
        while !sender.try_send(black_box(buffer))? {
            patience.wait()?;
        }
    }
    Ok(())
}

/// Takes so many frames, each of which must be the next one; frames per second after the first.
fn receive_all<R: Receiver>(receiver: &mut R, frames: u32, buffer: &mut [Page]) -> Result<f64, Failure> {
    let mut first = None;
    for number in 0..frames {
        let mut patience = Patience::new(R::PAUSES);
        while !receiver.try_receive(buffer)? {
            patience.wait()?;
        }
        // Nobody may know that the rest of the frame is not looked at, and leave out its copy.
        if black_box(&*buffer).as_bytes().first_chunk() != Some(&number.to_le_bytes()) {
            return Err(format!("frame {number} is not the next one").into());
        }
        first.get_or_insert_with(Instant::now);
    }
    let elapsed = first.ok_or("no frames")?.elapsed();
    Ok(f64::from(frames - 1) / elapsed.as_secs_f64())
}

/// Who lets the other side send.
trait Start {
    /// Lets it send so many frames.
    fn start(&mut self, frames: u32) -> Result<(), Failure>;
}

/// One ring with both of its ends.
struct Lane<S, R> {
    name: &'static str,
    /// Goes first, so that a sender that still waits for it notices.
    receiver: R,
    sender: S,
    buffer: Vec<Page>,
}

impl<S: Start, R: Receiver> Contestant for Lane<S, R> {
    fn turn(&mut self) -> Result<f64, Failure> {
        let frames = TURN_BYTES / self.buffer.as_bytes().len() as u32;
        self.sender.start(frames)?;
        let received = receive_all(&mut self.receiver, frames, &mut self.buffer);
        received.map_err(|failure| format!("{}: {failure}", self.name).into())
    }
}

/// Compares all of them at every size.
pub(crate) fn measure(report: &mut Report, pinning: Pinning, rounds: u32) -> Result<(), Failure> {
    LOADS.into_iter().try_for_each(|(size, load)| measure_load(report, pinning, rounds, size, load))?;
    wake::measure(report, pinning, rounds)
}

fn measure_load(report: &mut Report, pinning: Pinning, rounds: u32, size: &str, load: Load) -> Result<(), Failure> {
    let mut shipped = shipped::lane(load, pinning)?;
    let mut bare = bare::lane(load, pinning)?;
    let mut rtrb = rtrb_threads::lane(load, pinning)?;
    let mut iceoryx2 = iceoryx::lane(load, pinning)?;
    let bar = progress(&format!("rings, frames of {size}"), 4 * rounds);
    let spreads = interleave([&mut shipped, &mut bare, &mut rtrb, &mut iceoryx2], rounds, || bar.inc(1))?;
    bar.finish_and_clear();
    let [shipped, bare, rtrb, iceoryx2] = spreads;
    if bare.median < BARE_RATIO_MIN * rtrb.median {
        report.warn(format!(
            "frames of {size}: the bare ring reaches {:.2} of rtrb instead of {BARE_RATIO_MIN}; what stands beside it is flattered",
            bare.median / rtrb.median,
        ));
    }
    let (name, unit) = (format!("ring_{size}"), "frames/s");
    let target = Target::RatioMin(if load.frame_bytes < SMALL_BYTES_MAX { SMALL_RATIO_MIN } else { RATIO_MIN });
    report.add(Figure::new(&name, unit, shipped, "bare ring", bare).target(target));
    let beside = Figure::new(format!("{name}_vs_iceoryx2"), unit, shipped, "iceoryx2", iceoryx2);
    report.add(beside.target(Target::RatioMin(1.0)));
    let measure = Figure::new(format!("bare_{name}"), unit, bare, "rtrb", rtrb);
    report.add(measure.target(Target::RatioMin(BARE_RATIO_MIN)));
    Ok(())
}
