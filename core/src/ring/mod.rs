//! Frames through shared memory, between processes that distrust each other.

mod frame;
mod source;

pub use frame::{FrameHeader, RecordKind};
pub use source::{FrameSource, RingError};
