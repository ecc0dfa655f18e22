//! Both ends of the frame ring, over memory that is a static array.

use core::hint::black_box;

use greenroom_core::message::playback::MediaKind;
use greenroom_core::ring::{Consumer, FrameSource, Producer, Record, RingError, RingSource, SlotLayout};

use crate::platform::{Bell, CLIENT, SERVER};

pub(crate) fn exercise(bytes: &mut [u8]) {
    let _ = black_box(consume(bytes));
    let _ = black_box(produce(bytes));
}

fn consume(bytes: &mut [u8]) -> Result<(), RingError> {
    let place = black_box(SlotLayout::STANDARD).ring(MediaKind::Video);
    let consumer: Consumer<_, _> = Consumer::new(CLIENT, SERVER, &place)?;
    let mut frames = RingSource::new(consumer, Bell, Bell);
    frames.set_epoch(black_box(1));
    if let Some(header) = frames.next()? {
        black_box(header);
        frames.copy_payload(bytes)?;
        frames.release();
    }
    black_box((frames.prepare_to_sleep()?, frames.stale_records(), frames.bell()));
    Ok(())
}

fn produce(bytes: &[u8]) -> Result<(), RingError> {
    let place = black_box(SlotLayout::STANDARD).ring(MediaKind::Audio);
    let mut producer: Producer<_, _> = Producer::new(CLIENT, SERVER, &place)?;
    producer.set_epoch(black_box(1));
    let _ = black_box(producer.push(&Record::end_of_stream()));
    black_box((producer.prepare_to_wait(bytes.len() as u32)?, producer.is_drained()?));
    Ok(())
}
