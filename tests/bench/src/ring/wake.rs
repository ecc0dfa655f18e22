//! How long a sleeper sleeps on: from the moment at which one process is about to push a frame until the other one, which
//! sleeps, has it. Beside it an eventfd that carries nothing but the time at which it was written.
//!
//! A processor that does nothing is slow to wake, and how slow is its own affair; both sides are awaited in the same way.

use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::Duration;

use greenroom_core::hal::{Descriptors, Doorbell};
use greenroom_core::ring::{Consumer, FrameSource, Producer, Pushed, Record, RingSource};
use greenroom_hal_linux::memory::{EventFd, OwnRegion, PeerRegion};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::time::{ClockId, clock_gettime};
use zerocopy::IntoBytes;

use super::sender::{Kind, SenderProcess};
use super::slot::{Slot, attach, place};
use super::{Load, Page, Start};
use crate::Failure;
use crate::figure::Figure;
use crate::pinning::Pinning;
use crate::report::{Report, progress};
use crate::rounds::{Contestant, Spread, interleave};

const LOAD: Load = Load::of(4 << 10);
/// Sleepers woken in one turn, whose median it gives.
const WAKES: u32 = 101;
/// Long enough for the other side to be asleep again.
const PAUSE: Duration = Duration::from_micros(200);
/// Who is not woken within this never will be.
const PATIENCE: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };

pub(super) fn measure(report: &mut Report, pinning: Pinning, rounds: u32) -> Result<(), Failure> {
    let (mut ring, mut bell) = (SleepingConsumer::start(pinning)?, SleepingReader::start(pinning)?);
    let bar = progress("a sleeper is woken", 2 * rounds);
    let [ring, bell] = interleave([&mut ring, &mut bell], rounds, || bar.inc(1))?;
    bar.finish_and_clear();
    report.add(Figure::new("ring_wake", "us", ring, "bare eventfd", bell));
    Ok(())
}

/// The same for all processes.
fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

fn sleep_until_rung(bell: &impl AsFd) -> Result<(), Failure> {
    match poll(&mut [PollFd::new(bell, PollFlags::IN)], Some(&PATIENCE))? {
        0 => Err("a sleeper was not woken".into()),
        _ => Ok(()),
    }
}

fn is_rung(bell: &impl AsFd) -> Result<bool, Failure> {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    Ok(poll(&mut [PollFd::new(bell, PollFlags::IN)], Some(&now))? > 0)
}

/// The median of one turn, in microseconds.
fn median_us(mut wake: impl FnMut() -> Result<u64, Failure>) -> Result<f64, Failure> {
    let delays = (0..WAKES).map(|_| {
        let told_ns = wake()?;
        Ok(now_ns().saturating_sub(told_ns) as f64 / 1_000.0)
    });
    Ok(Spread::of(delays.collect::<Result<_, Failure>>()?).median)
}

struct SleepingConsumer {
    source: RingSource<PeerRegion, OwnRegion, EventFd>,
    sender: SenderProcess,
    buffer: Vec<Page>,
}

impl SleepingConsumer {
    fn start(pinning: Pinning) -> Result<Self, Failure> {
        let slot = Slot::make(LOAD)?;
        let consumer = Consumer::new(slot.senders, slot.receivers, &place(LOAD))?;
        let data = EventFd::new()?;
        let [one, other] = slot.descriptors;
        let descriptors = [one, other, data.as_fd().try_clone_to_owned()?];
        let sender = SenderProcess::start(Kind::Waker, LOAD, pinning, "waker", &descriptors)?;
        Ok(Self { source: RingSource::new(consumer, data, EventFd::new()?), sender, buffer: LOAD.buffer() })
    }

    /// The next frame; sleeps until it is there.
    fn take(&mut self) -> Result<u64, Failure> {
        while self.source.next()?.is_none() {
            if self.source.prepare_to_sleep()? {
                sleep_until_rung(self.source.bell())?;
                self.source.bell().clear()?;
            }
        }
        self.source.copy_payload(self.buffer.as_mut_bytes())?;
        self.source.release();
        let told = self.buffer.as_bytes().first_chunk().ok_or("a frame without its time")?;
        Ok(u64::from_le_bytes(*told))
    }
}

impl Contestant for SleepingConsumer {
    fn turn(&mut self) -> Result<f64, Failure> {
        self.sender.start(WAKES)?;
        median_us(|| self.take())
    }
}

/// In the other process: pushes frames with a pause before each.
pub(super) fn waker(
    descriptors: Descriptors<OwnedFd>,
    load: Load,
) -> Result<impl FnMut(u32) -> Result<(), Failure>, Failure> {
    let [one, other, bell] = descriptors.into_array().map_err(|_| "two regions and a bell were expected")?;
    let (own, peer) = attach([one, other].into_iter().collect())?;
    let mut producer: Producer<_, _> = Producer::new(own, peer, &place(load))?;
    let (bell, mut buffer) = (EventFd::attach(bell), load.buffer());
    Ok(move |frames| {
        for _ in 0..frames {
            thread::sleep(PAUSE);
            // Behind another frame it would wait.
            while !producer.is_drained()? {
                thread::sleep(PAUSE);
            }
            *buffer.as_mut_bytes().first_chunk_mut().ok_or("a frame is too small")? = now_ns().to_le_bytes();
            if producer.push(&Record::frame(buffer.as_bytes()))? == Pushed::Asleep {
                bell.ring()?;
            }
        }
        Ok(())
    })
}

struct SleepingReader {
    bell: OwnedFd,
    sender: SenderProcess,
}

impl SleepingReader {
    fn start(pinning: Pinning) -> Result<Self, Failure> {
        let bell = EventFd::new()?.as_fd().try_clone_to_owned()?;
        let sender = SenderProcess::start(Kind::Bell, LOAD, pinning, "bell", &[bell.try_clone()?])?;
        Ok(Self { bell, sender })
    }

    fn take(&self) -> Result<u64, Failure> {
        sleep_until_rung(&self.bell)?;
        let mut told = [0; 8];
        rustix::io::read(&self.bell, &mut told)?;
        Ok(u64::from_ne_bytes(told))
    }
}

impl Contestant for SleepingReader {
    fn turn(&mut self) -> Result<f64, Failure> {
        self.sender.start(WAKES)?;
        median_us(|| self.take())
    }
}

/// In the other process: writes the time into an eventfd that was read since.
pub(super) fn bell(descriptors: Descriptors<OwnedFd>) -> Result<impl FnMut(u32) -> Result<(), Failure>, Failure> {
    let [bell] = descriptors.into_array().map_err(|_| "one bell was expected")?;
    Ok(move |wakes| {
        for _ in 0..wakes {
            thread::sleep(PAUSE);
            // Two times in one count would be none.
            while is_rung(&bell)? {
                thread::sleep(PAUSE);
            }
            rustix::io::write(&bell, &now_ns().to_ne_bytes())?;
        }
        Ok(())
    })
}
