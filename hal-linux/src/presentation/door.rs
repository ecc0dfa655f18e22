//! Where local clients come in.

use std::os::fd::{AsFd, BorrowedFd};

use greenroom_core::hal::{ErrorType, Listener, Peer};
use greenroom_core::limits::PRESENTER_MESSAGE_BYTES_MAX;

use crate::error::LinuxError;
use crate::listener::ListeningSocket;
use crate::socket::SeqPacket;

/// A listening socket whose connections carry the longest message of a presentation.
#[derive(Debug)]
pub(super) struct Door {
    socket: ListeningSocket,
}

impl Door {
    pub(super) fn new(socket: ListeningSocket) -> Self {
        Self { socket }
    }
}

impl ErrorType for Door {
    type Error = LinuxError;
}

impl Listener for Door {
    type Socket = SeqPacket;

    fn accept(&mut self) -> Result<Option<(SeqPacket, Peer)>, LinuxError> {
        let Some((socket, peer)) = self.socket.accept()? else { return Ok(None) };
        socket.make_room_for(PRESENTER_MESSAGE_BYTES_MAX)?;
        Ok(Some((socket, peer)))
    }
}

impl AsFd for Door {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
