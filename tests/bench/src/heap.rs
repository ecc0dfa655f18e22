//! What is taken from the heap for each frame and for each input: nothing.

use greenroom_core::hal::SharedMemory;
use greenroom_core::message::playback::MediaKind;
use greenroom_core::ring::{Consumer, FrameSource, Producer, Pushed, Record, RingSource, SlotLayout};
use greenroom_hal_linux::memory::{EventFd, LinuxMemory, attach_own, attach_peer};
use greenroom_tests::heap::{Counting, ROUNDS, takings_of};
use rustix::thread::gettid;

use crate::Failure;
use crate::figure::{Figure, Target};
use crate::machine;
use crate::report::Report;
use crate::rounds::Spread;

#[global_allocator]
static HEAP: Counting = Counting;

const LAYOUT: SlotLayout = SlotLayout::STANDARD;

pub(crate) fn measure(report: &mut Report) -> Result<(), Failure> {
    let boxed = times(|| {
        drop(std::hint::black_box(Box::new(0)));
        Ok(())
    })?;
    for (name, value) in [("heap_per_frame", per_frame()?), ("heap_per_input", per_input()?)] {
        report.add(Figure::new(name, "allocations", value, "one box", boxed).target(Target::ValueMax(0.0)));
    }
    Ok(())
}

/// Both ends of a ring, the consumer asleep before each frame.
fn per_frame() -> Result<Spread, Failure> {
    let ((client, own), (server, peer)) = LinuxMemory.create(LAYOUT.client_bytes(), LAYOUT.server_bytes())?;
    let place = LAYOUT.ring(MediaKind::Video);
    let consumer: Consumer<_, _> = Consumer::new(client, server, &place)?;
    let (own, peer) = (attach_own(own, LAYOUT.client_bytes())?, attach_peer(peer, LAYOUT.server_bytes())?);
    let mut producer: Producer<_, _> = Producer::new(own, peer, &place)?;
    let mut source = RingSource::new(consumer, EventFd::new()?, EventFd::new()?);
    let (frame, mut buffer) = (vec![7_u8; 4096], vec![0_u8; 4096]);
    times(|| {
        source.prepare_to_sleep()?;
        if producer.push(&Record::frame(&frame))? != Pushed::Asleep {
            return Err("a sleeper was not to be woken".into());
        }
        source.next()?.ok_or("no frame")?;
        source.copy_payload(&mut buffer)?;
        source.release();
        Ok(())
    })
}

/// The manager's machine with eight apps.
fn per_input() -> Result<Spread, Failure> {
    let mut machine = machine::Bench::<8>::new()?;
    times(|| machine.cycle())
}

/// How often this thread takes something from the heap for each time.
#[allow(clippy::cast_precision_loss, reason = "nothing is done 2^52 times")]
fn times(mut what: impl FnMut() -> Result<(), Failure>) -> Result<Spread, Failure> {
    let mut failed = None;
    let takings = takings_of(gettid().as_raw_nonzero().get(), || failed = failed.take().or(what().err()));
    failed.map_or(Ok(Spread::exactly(takings as f64 / ROUNDS as f64)), Err)
}
