//! rtrb: a ring of pages on the heap, between two threads of this process.

use std::sync::mpsc;
use std::thread;

use super::{Lane, Load, PAGE_BYTES, Page, Receiver, Sender, Start, send_all};
use crate::Failure;
use crate::pinning::{Pinning, pin};

struct RtrbSender(rtrb::Producer<Page>);

impl Sender for RtrbSender {
    fn try_send(&mut self, frame: &[Page]) -> Result<bool, Failure> {
        Ok(self.0.push_entire_slice(frame).is_ok())
    }
}

struct RtrbReceiver(rtrb::Consumer<Page>);

impl Receiver for RtrbReceiver {
    fn try_receive(&mut self, into: &mut [Page]) -> Result<bool, Failure> {
        Ok(self.0.pop_entire_slice(into).is_ok())
    }
}

/// The thread that sends; it ends with the channel.
struct SenderThread(mpsc::Sender<u32>);

impl Start for SenderThread {
    fn start(&mut self, frames: u32) -> Result<(), Failure> {
        self.0.send(frames).map_err(|_| "the thread that sends has ended".into())
    }
}

pub(super) fn lane(load: Load, pinning: Pinning) -> Result<Lane<impl Start, impl Receiver>, Failure> {
    let (producer, consumer) = rtrb::RingBuffer::new(load.ring_bytes() as usize / PAGE_BYTES);
    let (orders, turns) = mpsc::channel();
    thread::Builder::new().name("rtrb".into()).spawn(move || run(RtrbSender(producer), load, pinning, &turns))?;
    Ok(Lane { name: "rtrb", sender: SenderThread(orders), receiver: RtrbReceiver(consumer), buffer: load.buffer() })
}

/// A failure ends the channel, which the receiver's side notices.
fn run(mut sender: RtrbSender, load: Load, pinning: Pinning, turns: &mpsc::Receiver<u32>) -> Result<(), Failure> {
    pin(pinning.greenroom)?;
    let mut buffer = load.buffer();
    turns.iter().try_for_each(|frames| send_all(&mut sender, frames, &mut buffer))
}
