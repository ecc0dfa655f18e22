//! What a session's worker is told, in a form that can go to another thread.

use std::os::fd::{AsFd, BorrowedFd};

use greenroom_core::hal::{DecoderCommand, Doorbell};
use greenroom_core::message::playback::{Codec, Shape, SourceDescription, SourceId};
use greenroom_core::ring::{FrameHeader, FrameSource, RingError};

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
}

/// A [`SourceDescription`] that owns what it says.
#[derive(Clone, Debug)]
pub(super) struct Description {
    pub(super) codec: Codec,
    pub(super) shape: Shape,
    pub(super) codec_data: Vec<u8>,
}

impl From<SourceDescription<'_>> for Description {
    fn from(source: SourceDescription<'_>) -> Self {
        Self { codec: source.codec, shape: source.shape, codec_data: source.codec_data.to_vec() }
    }
}

/// A [`DecoderCommand`] that owns what it says.
pub(super) enum Command {
    Load { live: bool },
    Attach { source: SourceId, description: Description, frames: Box<dyn Frames> },
    AllAttached,
    Play,
    Pause,
    Stop,
    SetPosition { position_ns: u64, epoch: u32 },
    Flush { source: SourceId, reset_time: bool, epoch: u32 },
    SetVolume { permille: u16 },
    SetMute { muted: bool },
}

impl<F> From<DecoderCommand<'_, F>> for Command
where
    F: FrameSource<Bell: AsFd + Doorbell> + Send + 'static,
{
    fn from(command: DecoderCommand<'_, F>) -> Self {
        match command {
            DecoderCommand::Load { live } => Self::Load { live },
            DecoderCommand::Attach { source, description, frames } => {
                Self::Attach { source, description: description.into(), frames: Box::new(frames) }
            }
            DecoderCommand::AllAttached => Self::AllAttached,
            DecoderCommand::Play => Self::Play,
            DecoderCommand::Pause => Self::Pause,
            DecoderCommand::Stop => Self::Stop,
            DecoderCommand::SetPosition { position_ns, epoch } => Self::SetPosition { position_ns, epoch },
            DecoderCommand::Flush { source, reset_time, epoch } => Self::Flush { source, reset_time, epoch },
            DecoderCommand::SetVolume { permille } => Self::SetVolume { permille },
            DecoderCommand::SetMute { muted } => Self::SetMute { muted },
        }
    }
}
