//! One connection of a client.

use heapless::Vec;

use crate::codec::postcard::encode;
use crate::driver::Connection;
use crate::hal::{Interest, Socket, Token, Watch};
use crate::limits::MESSAGE_BYTES_MAX;
use crate::message::playback::Request;
use crate::session::ClientId;

use super::KIND_CLIENT;

/// One connection of a client, and the one call of it that must wait for another.
pub(super) struct Port<S: Socket> {
    pub(super) client: ClientId,
    pub(super) connection: Connection<S>,
    /// What the platform reports of it.
    pub(super) watched: Interest,
    /// The version that it speaks, once it has said so.
    pub(super) version: Option<u8>,
    pub(super) is_broken: bool,
    held: Vec<u8, MESSAGE_BYTES_MAX>,
}

impl<S: Socket> Port<S> {
    pub(super) fn new(client: ClientId, socket: S) -> Self {
        Self {
            client,
            connection: Connection::answering(socket),
            watched: Interest::Read,
            version: None,
            is_broken: false,
            held: Vec::new(),
        }
    }

    pub(super) fn token(&self) -> Token {
        Token { kind: KIND_CLIENT, index: self.client.index(), generation: self.client.generation() }
    }

    /// Whether another call can be taken.
    pub(super) fn can_read(&self) -> bool {
        !self.is_broken && self.held.is_empty() && !self.connection.is_blocked()
    }

    /// Keeps a call for later. It came out of a message, so it fits into one.
    pub(super) fn hold(&mut self, request: &Request<'_>) {
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        match encode(request, &mut buffer).map(|bytes| self.held.extend_from_slice(bytes)) {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => self.is_broken = true,
        }
    }

    /// The call that waits, if it can be tried now.
    pub(super) fn take_held(&mut self) -> Option<Vec<u8, MESSAGE_BYTES_MAX>> {
        if self.held.is_empty() || self.is_broken || self.connection.is_blocked() {
            return None;
        }
        Some(core::mem::take(&mut self.held))
    }

    fn wanted(&self) -> Interest {
        if self.connection.is_blocked() {
            Interest::Write
        } else if self.held.is_empty() {
            Interest::Read
        } else {
            Interest::None
        }
    }

    pub(super) fn rewatch<E: Watch<S>>(&mut self, events: &mut E) -> Result<(), E::Error> {
        let wanted = self.wanted();
        if wanted != self.watched {
            events.rewatch(self.connection.socket(), self.token(), wanted)?;
            self.watched = wanted;
        }
        Ok(())
    }
}
