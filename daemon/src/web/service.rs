//! A page's own connection to the presentation service: what a page may do is what one client of the service may do.

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::Path;
use std::time::Duration;

use greenroom_core::codec::postcard::{self, CodecError};
use greenroom_core::hal::{Descriptors, Received, Sent, Socket};
use greenroom_core::limits::PRESENTER_MESSAGE_BYTES_MAX;
use greenroom_core::message::presentation::{Command, Message, Request};
use greenroom_hal_linux::error::LinuxError;
use greenroom_hal_linux::socket::SeqPacket;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A service that is there takes a connection at once; the bridge serves nobody else meanwhile.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// Requests that the service has not taken yet. A page that has so many is not read.
const WAITING_MAX: usize = 16;

/// Why the service cannot be asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServiceError {
    /// Platform or peer: there is none, or its socket failed.
    #[error("the presentation service cannot be asked: {0}")]
    Socket(#[from] LinuxError),
    /// Platform: the socket cannot be watched.
    #[error("the presentation service's socket cannot be watched: {0}")]
    Watch(#[from] std::io::Error),
    /// Peer: it has gone, or sent this client away.
    #[error("the presentation service has closed the connection")]
    Closed,
    /// Caller: a request is too long, or an answer is none.
    #[error("a message of the presentation service, or to it, is none: {0}")]
    Codec(#[from] CodecError),
}

#[derive(Debug)]
struct Watched(SeqPacket);

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// One client of the service.
#[derive(Debug)]
pub(super) struct ServiceClient {
    socket: AsyncFd<Watched>,
    sequence: u32,
    waiting: VecDeque<Vec<u8>>,
    buffer: Box<[u8]>,
}

impl ServiceClient {
    /// Connects and greets. Its [`Message`] that answers request 1 is the service's greeting.
    pub(super) fn connect(path: &Path) -> Result<Self, ServiceError> {
        let socket = SeqPacket::connect(path, CONNECT_TIMEOUT)?;
        socket.make_room_for(PRESENTER_MESSAGE_BYTES_MAX)?;
        let buffer = vec![0; PRESENTER_MESSAGE_BYTES_MAX].into_boxed_slice();
        #[allow(
            deprecated,
            reason = "what replaces it is unsafe; a `Watched` owns its descriptor and never changes it"
        )]
        let socket = AsyncFd::new(Watched(socket))?;
        let mut client = Self { socket, sequence: 0, waiting: VecDeque::new(), buffer };
        client.ask(Command::Hello)?;
        // A browser builds data channels (PS-20). There is no other answer than that it is done.
        client.ask(Command::RegisterBuilder)?;
        Ok(client)
    }

    /// Asks for something, in order; gives the number that the answer will have.
    pub(super) fn ask(&mut self, command: Command<'_>) -> Result<u32, ServiceError> {
        let is_first = self.sequence == 0;
        self.sequence = self.sequence.wrapping_add(1).max(1);
        let request = Request { sequence: self.sequence, command };
        let bytes = match is_first {
            true => postcard::encode_first(&request, &mut self.buffer)?,
            false => postcard::encode(&request, &mut self.buffer)?,
        };
        self.waiting.push_back(bytes.to_vec());
        Ok(self.sequence)
    }

    /// Whether another request should be kept for later.
    pub(super) fn is_busy(&self) -> bool {
        self.waiting.len() >= WAITING_MAX
    }

    /// Sends what waits, and gives the next message; [`message`] reads it. Nothing is lost when this is called off.
    pub(super) async fn next(&mut self) -> Result<Vec<u8>, ServiceError> {
        loop {
            let wanted =
                if self.waiting.is_empty() { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
            let mut guard = self.socket.ready_mut(wanted).await?;
            let ready = guard.ready();
            let socket = &mut guard.get_inner_mut().0;
            if ready.is_writable() && !flush(socket, &mut self.waiting)? {
                guard.clear_ready_matching(tokio::io::Ready::WRITABLE);
            }
            if ready.is_readable() {
                match guard.get_inner_mut().0.receive(&mut self.buffer, &mut Descriptors::new())? {
                    Received::Message { bytes } => return Ok(self.buffer.get(..bytes).unwrap_or_default().to_vec()),
                    Received::WouldBlock => guard.clear_ready_matching(tokio::io::Ready::READABLE),
                    Received::Closed | Received::Unusable => return Err(ServiceError::Closed),
                }
            }
        }
    }
}

/// Whether all was sent.
fn flush(socket: &mut SeqPacket, waiting: &mut VecDeque<Vec<u8>>) -> Result<bool, LinuxError> {
    while let Some(message) = waiting.front() {
        match socket.send(message, &[])? {
            Sent::Whole => waiting.pop_front(),
            Sent::WouldBlock => return Ok(false),
        };
    }
    Ok(true)
}

/// What the service said.
pub(super) fn message(bytes: &[u8]) -> Result<Message<'_>, ServiceError> {
    Ok(postcard::decode(bytes)?)
}
