//! By which the receiver tells the sender what to do. Between two turns both block on it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use greenroom_core::hal::{Descriptors, Received, Sent, Socket};
use greenroom_hal_linux::socket::SeqPacket;
use rustix::event::{PollFd, PollFlags, poll};

use crate::Failure;

/// More than the longest name of a service.
const MESSAGE_BYTES: usize = 256;

/// What came, and the descriptors with it.
type Message = (Vec<u8>, Descriptors<OwnedFd>);

pub(crate) struct Link(SeqPacket);

impl Link {
    /// This end, and the one for the sender's standard input.
    pub(crate) fn pair() -> Result<(Self, OwnedFd), Failure> {
        let (ours, theirs) = SeqPacket::pair()?;
        Ok((Self(ours), theirs.into_descriptor()))
    }

    /// The other end, in the sender.
    pub(crate) fn inherited() -> Result<Self, Failure> {
        Ok(Self(SeqPacket::from_descriptor(std::io::stdin().as_fd().try_clone_to_owned()?)?))
    }

    pub(crate) fn send(&mut self, message: &[u8], descriptors: &[&OwnedFd]) -> Result<(), Failure> {
        match self.0.send(message, descriptors)? {
            Sent::Whole => Ok(()),
            Sent::WouldBlock => Err("the other process reads nothing".into()),
        }
    }

    /// The next message, or none when the other process has closed.
    pub(crate) fn receive(&mut self) -> Result<Option<Message>, Failure> {
        let (mut buffer, mut descriptors) = ([0; MESSAGE_BYTES], Descriptors::new());
        loop {
            match self.0.receive(&mut buffer, &mut descriptors)? {
                Received::Message { bytes } => return Ok(Some((buffer[..bytes].to_vec(), descriptors))),
                Received::WouldBlock => drop(poll(&mut [PollFd::new(&self.0, PollFlags::IN)], None)?),
                Received::Closed => return Ok(None),
                Received::Unusable => return Err("a message that nobody sent".into()),
            }
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
