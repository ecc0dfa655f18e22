//! Messages between a page and its controller, over a stream of bytes.
//!
//! | transport | messages | peers |
//! |---|---|---|
//! | [`Framed`] | text and binary, whole and in order; a reason at the end; only who has the ticket is let in | ours |
//! | [`Unframed`] | text that flows: what was one message may arrive as two, or two as one | Mozilla's |
//!
//! Neither reads ahead of its user, nor takes more to send than it has room for: a user that does not read makes the
//! peer's messages wait there (PS-19). The memory comes from the caller: any `B` that is a slice of bytes.

pub(crate) mod buffer;
mod framed;
mod unframed;

use core::fmt;

pub use framed::{Admission, Framed};
pub use unframed::Unframed;

use crate::codec::frame::{CLOSE_BYTES, FrameError, HEADER_BYTES};
use crate::hal::{ByteStream, Interest};
use crate::limits::TRANSPORT_MESSAGE_BYTES_MAX;

/// Bytes of each of the two buffers of a transport that carries messages of [`TRANSPORT_MESSAGE_BYTES_MAX`].
pub const TRANSPORT_BUFFER_BYTES: usize = TRANSPORT_MESSAGE_BYTES_MAX + HEADER_BYTES + CLOSE_BYTES;

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A text.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
}

/// What [`Transport::receive`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A message.
    Message(Message<'a>),
    /// Nothing is there now.
    Nothing,
    /// The peer has closed; everything that it has sent was received. The number is a reason of the control protocol, 0
    /// for none in particular.
    Closed(u32),
}

/// Why a message was not taken. The connection stays as it is, but for [`SendError::Stream`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SendError<E> {
    /// Caller: it is not open yet, or not any more.
    NotOpen,
    /// Caller: wait until what is buffered has become less.
    WouldBlock,
    /// Caller: a message may have `max` bytes.
    TooLong {
        /// What this one has.
        bytes: u32,
        /// What it may have.
        max: u32,
    },
    /// Caller: this transport carries no such message.
    Unsupported,
    /// Peer or platform: the connection has failed.
    Stream(E),
}

/// Why a connection has ended in disorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum TransportError<E> {
    /// Peer or platform: the connection has failed.
    Stream(E),
    /// Peer: it has sent something that is no frame.
    Frame(FrameError),
    /// Peer: it is not who may connect (PS-34).
    NotAdmitted,
    /// Peer: it speaks another version of the framing only.
    Version(u8),
    /// Peer: a frame that has no place here.
    OutOfPlace,
    /// Peer: it has left without a word.
    CutOff,
}

impl<E: fmt::Display> fmt::Display for SendError<E> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOpen => out.write_str("the connection is not open"),
            Self::WouldBlock => out.write_str("too much waits to be sent; try again later"),
            Self::TooLong { bytes, max } => write!(out, "the message has {bytes} bytes, and may have {max}"),
            Self::Unsupported => out.write_str("this transport carries texts only, and none that is empty"),
            Self::Stream(error) => error.fmt(out),
        }
    }
}

impl<E: fmt::Display> fmt::Display for TransportError<E> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(error) => error.fmt(out),
            Self::Frame(error) => error.fmt(out),
            Self::NotAdmitted => out.write_str("a device that does not belong to the session has connected"),
            Self::Version(version) => write!(out, "the peer speaks version {version} of the framing"),
            Self::OutOfPlace => out.write_str("the peer has sent a frame that has no place here"),
            Self::CutOff => out.write_str("the peer has left without a word"),
        }
    }
}

/// What carries the messages of one connection of a presentation.
///
/// Its driver watches [`Transport::stream`] for what [`Transport::interest`] says. When the loop reports it, it calls
/// [`Transport::advance`], and then, while its user takes them, [`Transport::receive`] until there is nothing.
pub trait Transport {
    /// What it runs on.
    type Stream: ByteStream;

    /// Goes on with connecting, greeting and sending. Gives `true` once messages can pass.
    fn advance(&mut self) -> Result<bool, TransportError<StreamError<Self>>>;

    /// Takes a message whole, or not at all.
    fn send(&mut self, message: Message<'_>) -> Result<(), SendError<StreamError<Self>>>;

    /// The next message. It is gone at the next call.
    fn receive(&mut self) -> Result<Incoming<'_>, TransportError<StreamError<Self>>>;

    /// Sends nothing more than what was taken and, where the transport can, the reason. What still comes in is dropped.
    ///
    /// It is over when [`Transport::receive`] gives [`Incoming::Closed`]; a peer that does not answer is dropped after a
    /// time limit of the driver's.
    fn close(&mut self, reason: u32);

    /// Bytes that were taken and that the stream has not taken yet.
    fn buffered_bytes(&self) -> usize;

    /// What the stream has to be watched for, where the user wants messages or, for back-pressure, does not.
    fn interest(&self, reads: bool) -> Interest;

    /// Whether [`Transport::receive`] may find something although the loop does not say so. To be looked at by who
    /// stopped before there was nothing.
    fn has_pending(&self) -> bool;

    /// What it runs on.
    fn stream(&self) -> &Self::Stream;
}

/// The errors of what a transport runs on.
pub type StreamError<T> = <<T as Transport>::Stream as embedded_io::ErrorType>::Error;

/// What to watch for.
fn interest(reads: bool, writes: bool) -> Interest {
    match (reads, writes) {
        (true, true) => Interest::ReadWrite,
        (true, false) => Interest::Read,
        (false, true) => Interest::Write,
        (false, false) => Interest::None,
    }
}
