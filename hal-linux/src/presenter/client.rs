//! Asking the presentation service, and hearing its events. Blocks; for programs that have nothing else to do meanwhile.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use greenroom_core::codec::postcard::{self, CodecError};
use greenroom_core::hal::{Descriptors, Error, ErrorKind, Received, Sent, Socket};
use greenroom_core::limits::{ESTABLISH_TIMEOUT, PRESENTER_MESSAGE_BYTES_MAX, SELECTION_TIMEOUT};
use greenroom_core::message::presentation::{Answer, Command, Event, Message, Refusal, Request};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::error::LinuxError;
use crate::socket::SeqPacket;

/// A service that is there takes a connection within this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The service answers within this: a person may choose a device first.
const ANSWER_TIMEOUT: Duration = SELECTION_TIMEOUT.saturating_add(ESTABLISH_TIMEOUT);

/// Why the service could not be asked, or what it refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PresenterError {
    /// Caller: no service listens there.
    #[error("no presentation service: {cause} ({path}); start greenroom-presentation, or give its socket")]
    NoService {
        /// Its socket.
        path: PathBuf,
        /// What the platform said.
        cause: LinuxError,
    },
    /// The service does not do it; the refusal says who is to blame.
    #[error("{0}")]
    Refused(Refusal),
    /// Peer: the service did not answer.
    #[error("the presentation service did not answer in time; see its log")]
    Timeout,
    /// Peer: the service has closed the connection.
    #[error("the presentation service closed the connection; it ended, or lets nobody else in")]
    Closed,
    /// Peer: the service sent what is no answer to what was asked.
    #[error("the presentation service sent what this program does not understand; use programs of the same release")]
    Protocol,
    /// Caller: a text is too long.
    #[error("the request does not fit one message; shorten it")]
    TooLong,
    /// Platform: the socket failed.
    #[error("the connection to the presentation service failed: {0}")]
    Socket(LinuxError),
}

impl From<CodecError> for PresenterError {
    fn from(error: CodecError) -> Self {
        match error {
            CodecError::TooLong => Self::TooLong,
            _ => Self::Protocol,
        }
    }
}

impl From<LinuxError> for PresenterError {
    fn from(error: LinuxError) -> Self {
        if error.kind() == ErrorKind::Gone { Self::Closed } else { Self::Socket(error) }
    }
}

/// A connection to the presentation service.
///
/// Events that come while an answer is awaited are kept for [`PresenterClient::next_event`].
#[derive(Debug)]
pub struct PresenterClient {
    socket: SeqPacket,
    sequence: u32,
    /// The message that was received last.
    message: Vec<u8>,
    buffer: Box<[u8]>,
    events: VecDeque<Vec<u8>>,
}

impl PresenterClient {
    /// Connects and agrees on the protocol's version.
    pub fn connect(path: &Path) -> Result<Self, PresenterError> {
        let socket = SeqPacket::connect(path, CONNECT_TIMEOUT)
            .map_err(|cause| PresenterError::NoService { path: path.to_owned(), cause })?;
        socket.make_room_for(PRESENTER_MESSAGE_BYTES_MAX)?;
        let buffer = vec![0; PRESENTER_MESSAGE_BYTES_MAX].into_boxed_slice();
        let mut client = Self { socket, sequence: 0, message: Vec::new(), buffer, events: VecDeque::new() };
        match client.request(Command::Hello)? {
            Answer::Welcome { .. } => Ok(client),
            _ => Err(PresenterError::Protocol),
        }
    }

    /// Asks and waits for the answer.
    pub fn request(&mut self, command: Command<'_>) -> Result<Answer<'_>, PresenterError> {
        let is_first = self.sequence == 0;
        self.sequence = self.sequence.wrapping_add(1).max(1);
        let request = Request { sequence: self.sequence, command };
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        let bytes = if is_first {
            postcard::encode_first(&request, &mut self.buffer)?.len()
        } else {
            postcard::encode(&request, &mut self.buffer)?.len()
        };
        self.send(bytes, deadline)?;
        while self.receive(deadline)? {
            match self.answered()? {
                None => self.events.push_back(std::mem::take(&mut self.message)),
                Some(sequence) if sequence == self.sequence => return self.answer(),
                Some(_) => return Err(PresenterError::Protocol),
            }
        }
        Err(PresenterError::Timeout)
    }

    /// Which request the message answers, unless it is an event.
    fn answered(&self) -> Result<Option<u32>, PresenterError> {
        Ok(match postcard::decode::<Message<'_>>(&self.message)? {
            Message::Event(_) => None,
            Message::Reply { sequence, .. } => Some(sequence),
        })
    }

    fn answer(&self) -> Result<Answer<'_>, PresenterError> {
        match postcard::decode::<Message<'_>>(&self.message)? {
            Message::Reply { result, .. } => result.map_err(PresenterError::Refused),
            Message::Event(_) => Err(PresenterError::Protocol),
        }
    }

    /// Waits for an event until `deadline`; `None` when it has passed.
    pub fn next_event(&mut self, deadline: Instant) -> Result<Option<Event<'_>>, PresenterError> {
        match self.events.pop_front() {
            Some(event) => self.message = event,
            None if !self.receive(deadline)? => return Ok(None),
            None => {}
        }
        match postcard::decode::<Message<'_>>(&self.message)? {
            Message::Event(event) => Ok(Some(event)),
            Message::Reply { .. } => Err(PresenterError::Protocol),
        }
    }

    fn send(&mut self, bytes: usize, deadline: Instant) -> Result<(), PresenterError> {
        let message = self.buffer.get(..bytes).unwrap_or_default();
        while self.socket.send(message, &[])? == Sent::WouldBlock {
            if !wait(&self.socket, PollFlags::OUT, deadline)? {
                return Err(PresenterError::Timeout);
            }
        }
        Ok(())
    }

    /// `false` when the deadline has passed.
    fn receive(&mut self, deadline: Instant) -> Result<bool, PresenterError> {
        loop {
            match self.socket.receive(&mut self.buffer, &mut Descriptors::new())? {
                Received::Message { bytes } => {
                    self.message.clear();
                    self.message.extend_from_slice(self.buffer.get(..bytes).unwrap_or_default());
                    return Ok(true);
                }
                Received::Closed => return Err(PresenterError::Closed),
                Received::Unusable => return Err(PresenterError::Protocol),
                Received::WouldBlock if wait(&self.socket, PollFlags::IN, deadline)? => {}
                Received::WouldBlock => return Ok(false),
            }
        }
    }
}

fn wait(socket: &SeqPacket, flags: PollFlags, deadline: Instant) -> Result<bool, LinuxError> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
        match poll(&mut [PollFd::new(socket, flags)], Some(&timeout)) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(LinuxError::new("wait for the presentation service", errno)),
        }
    }
}
