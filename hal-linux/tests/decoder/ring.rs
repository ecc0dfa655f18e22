//! The decoder at the end of a ring in shared memory, as in a session server.

use std::sync::mpsc;
use std::thread::JoinHandle;

use greenroom_core::hal::{Decoder, DecoderCommand, DecoderEvent, Doorbell, SharedMemory, Stream};
use greenroom_core::message::playback::{Codec, MediaKind, PlaybackState, RingPlace, SourceId};
use greenroom_core::ring::{Consumer, Producer, PushError, Pushed, Record, RingSource, SlotLayout};
use greenroom_hal_linux::decoder::GstDecoder;
use greenroom_hal_linux::memory::{EventFd, LinuxMemory, OwnRegion, PeerRegion, attach_own, attach_peer};
use rustix::event::{PollFd, PollFlags, poll};

use super::clip::{self, Clip};
use super::feed::Frame;
use super::playback::{assert_pictures, brightnesses, video_to};

/// So few that the app has to wait for space, over and over.
const PAYLOAD_BYTES: u32 = 1500;

type Source = RingSource<PeerRegion, OwnRegion, EventFd>;

struct App {
    producer: Producer<OwnRegion, PeerRegion>,
    data: EventFd,
    space: EventFd,
}

impl App {
    fn push(&mut self, record: &Record<'_>) {
        loop {
            match self.producer.push(record) {
                Ok(Pushed::Awake) => return,
                Ok(Pushed::Asleep) => return self.data.ring().unwrap(),
                Err(PushError::Full) => self.wait(u32::try_from(record.payload.len()).unwrap()),
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn wait(&mut self, bytes: u32) {
        if self.producer.prepare_to_wait(bytes).unwrap() {
            poll(&mut [PollFd::new(&self.space, PollFlags::IN)], None).unwrap();
            self.space.clear().unwrap();
        }
    }

    fn push_frame(&mut self, frame: &Frame) {
        let record = Record {
            presentation_ns: frame.presentation_ns,
            decode_ns: frame.decode_ns,
            duration_ns: frame.duration_ns,
            is_key: frame.is_key,
            ..Record::frame(&frame.payload)
        };
        self.push(&record);
    }
}

fn app_and_source() -> (App, Source) {
    let layout = SlotLayout::new(PAYLOAD_BYTES, PAYLOAD_BYTES, PAYLOAD_BYTES).unwrap();
    let place = RingPlace { payload_bytes: PAYLOAD_BYTES, ..layout.ring(MediaKind::Video) };
    let (client, server) = LinuxMemory.create(layout.client_bytes(), layout.server_bytes()).unwrap();
    let (data, data_descriptor) = LinuxMemory.doorbell().unwrap();
    let (space, space_descriptor) = LinuxMemory.doorbell().unwrap();
    let source = RingSource::new(Consumer::new(client.0, server.0, &place).unwrap(), data, space);
    let own = attach_own(&client.1, layout.client_bytes()).unwrap();
    let peer = attach_peer(&server.1, layout.server_bytes()).unwrap();
    let producer = Producer::new(own, peer, &place).unwrap();
    (App { producer, data: EventFd::attach(data_descriptor), space: EventFd::attach(space_descriptor) }, source)
}

/// Sends the clip from `first` on in each epoch that it is told.
fn send(mut app: App, clip: Clip, epochs: mpsc::Receiver<(u32, usize)>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for (epoch, first) in epochs {
            app.producer.set_epoch(epoch);
            clip.frames[first..].iter().for_each(|frame| app.push_frame(frame));
            app.push(&Record::end_of_stream());
        }
    })
}

fn until(decoder: &mut GstDecoder<Source>, wanted: impl Fn(&DecoderEvent) -> bool) {
    loop {
        match decoder.next_event() {
            Some(event) if wanted(&event) => return,
            Some(DecoderEvent::Failed { error, .. }) => panic!("{error}"),
            Some(_) => {}
            None => drop(poll(&mut [PollFd::new(decoder, PollFlags::IN)], None).unwrap()),
        }
    }
}

fn does(decoder: &mut GstDecoder<Source>, command: DecoderCommand<Stream<'_, Source>>) {
    decoder.command(0, 1, command).unwrap();
    until(decoder, |event| matches!(event, DecoderEvent::Completed { result: Ok(()), .. }));
}

#[test]
fn a_ring_feeds_the_decoder_while_both_sides_sleep_and_wake() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("raw");
    let clip = clip::video(Codec::H264, 40);
    let mut decoder = GstDecoder::new().unwrap();
    decoder.configure(video_to(&path));
    decoder.open(0).unwrap();
    let (app, frames) = app_and_source();
    does(&mut decoder, DecoderCommand::Load { live: false });
    let description = clip.description();
    does(&mut decoder, DecoderCommand::Attach { source: SourceId(0), stream: Stream { description, frames } });
    does(&mut decoder, DecoderCommand::AllAttached);
    does(&mut decoder, DecoderCommand::Play);
    let (epochs, told) = mpsc::channel();
    let sender = send(app, clip, told);

    let is_end = |event: &DecoderEvent| matches!(event, DecoderEvent::State { state: PlaybackState::EndOfStream, .. });
    epochs.send((0, 0)).unwrap();
    until(&mut decoder, is_end);
    epochs.send((1, 20)).unwrap();
    let position_ns = 20 * clip::PICTURE_NS;
    does(&mut decoder, DecoderCommand::SetPosition { position_ns, epoch: 1 });
    until(&mut decoder, is_end);

    assert_eq!(decoder.statistics(0, SourceId(0)).frames_taken, 60);
    decoder.close(0);
    until(&mut decoder, |event| matches!(event, DecoderEvent::Closed { .. }));
    drop(epochs);
    sender.join().unwrap();
    // A flush empties the file.
    assert_pictures(&brightnesses(&path), 20..40);
}
