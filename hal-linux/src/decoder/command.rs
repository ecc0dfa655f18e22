//! What a session's worker is told, in a form that can go to another thread.

use std::os::fd::{AsFd, BorrowedFd};

use greenroom_core::hal::{DecoderCommand, Doorbell, Stream};
use greenroom_core::message::playback::{Codec, Shape, SourceDescription};
use greenroom_core::ring::{FrameHeader, FrameSource, RingError};

use super::pcm::Pcm;

/// A [`FrameSource`] of any layout, as a source element uses it.
pub(super) trait Frames: Send {
    fn next(&mut self) -> Result<Option<FrameHeader>, RingError>;
    fn copy_payload(&mut self, into: &mut [u8]) -> Result<(), RingError>;
    fn release(&mut self);
    fn prepare_to_sleep(&mut self) -> Result<bool, RingError>;
    fn bell(&self) -> BorrowedFd<'_>;
    /// False: it cannot be cleared, and would wake us forever.
    fn clear_bell(&self) -> bool;
    fn set_epoch(&mut self, epoch: u32);
    fn stale_records(&self) -> u32;
    fn waiting_records(&self) -> u32;
}

impl<F> Frames for F
where
    F: FrameSource<Bell: AsFd + Doorbell> + Send,
{
    fn next(&mut self) -> Result<Option<FrameHeader>, RingError> {
        FrameSource::next(self)
    }

    fn copy_payload(&mut self, into: &mut [u8]) -> Result<(), RingError> {
        FrameSource::copy_payload(self, into)
    }

    fn release(&mut self) {
        FrameSource::release(self);
    }

    fn prepare_to_sleep(&mut self) -> Result<bool, RingError> {
        FrameSource::prepare_to_sleep(self)
    }

    fn bell(&self) -> BorrowedFd<'_> {
        FrameSource::bell(self).as_fd()
    }

    fn clear_bell(&self) -> bool {
        FrameSource::bell(self).clear().is_ok()
    }

    fn set_epoch(&mut self, epoch: u32) {
        FrameSource::set_epoch(self, epoch);
    }

    fn stale_records(&self) -> u32 {
        FrameSource::stale_records(self)
    }

    fn waiting_records(&self) -> u32 {
        FrameSource::waiting_records(self)
    }
}

/// A [`SourceDescription`] that owns what it says.
#[derive(Clone, Debug)]
pub(super) struct Description {
    pub(super) codec: Codec,
    pub(super) shape: Shape,
    pub(super) codec_data: Vec<u8>,
}

impl Description {
    /// The stream goes on with another configuration. The size and the form that were claimed for the first one are not
    /// those of this one; the stream itself says them. Raw sound has nothing that says anything.
    pub(super) fn change_codec_data(&mut self, codec_data: &[u8]) {
        if Pcm::of(self.codec).is_none() {
            let Shape { frame_rate_numerator, frame_rate_denominator, .. } = self.shape;
            self.shape = Shape { frame_rate_numerator, frame_rate_denominator, ..Shape::default() };
        }
        self.codec_data = codec_data.to_vec();
    }
}

impl From<SourceDescription<'_>> for Description {
    fn from(source: SourceDescription<'_>) -> Self {
        Self { codec: source.codec, shape: source.shape, codec_data: source.codec_data.to_vec() }
    }
}

/// A [`Stream`] that owns what it says.
pub(super) struct OwnedStream {
    pub(super) description: Description,
    pub(super) frames: Box<dyn Frames>,
}

impl<F> From<Stream<'_, F>> for OwnedStream
where
    F: FrameSource<Bell: AsFd + Doorbell> + Send + 'static,
{
    fn from(stream: Stream<'_, F>) -> Self {
        Self { description: stream.description.into(), frames: Box::new(stream.frames) }
    }
}

/// A [`DecoderCommand`] that can go to another thread.
pub(super) type Command = DecoderCommand<OwnedStream>;
