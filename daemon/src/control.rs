//! Asking the manager, and hearing its events. Blocks; for programs that have nothing else to do meanwhile.

use std::collections::VecDeque;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use greenroom_core::codec::postcard::{self, CodecError};
use greenroom_core::limits::{DESCRIPTORS_MAX, MESSAGE_BYTES_MAX};
use greenroom_core::message::control::{Answer, AppStatus, BoxStatus, Command, Event, Message, Refusal, Request};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType, connect, recvmsg, send, socket_with,
};

/// The manager answers within this, or is taken for stuck: its own time limits all together are shorter.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// Why the manager could not be asked, or what it refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// Caller: no manager listens there.
    #[error("no manager listens at {path}: {cause}; start greenroomd, or give its socket with --control")]
    NoManager {
        /// The control socket's path.
        path: PathBuf,
        /// What the platform said.
        cause: Errno,
    },
    /// The manager answered that it does not do it; the refusal says who is to blame.
    #[error("{0}")]
    Refused(Refusal),
    /// Peer: the manager did not answer.
    #[error("the manager did not answer within {} seconds; see its log", ANSWER_TIMEOUT.as_secs())]
    Timeout,
    /// Peer: the manager has closed the connection.
    #[error("the manager closed the connection; it ended, has no place for another one, or did not take the request")]
    Closed,
    /// Peer: the manager sent what is no answer to what was asked.
    #[error("the manager sent what this program does not understand; use programs of the same release")]
    Protocol,
    /// Caller: a name or a path in the request is too long to be sent.
    #[error("the request does not fit one message; shorten its names")]
    TooLong,
    /// Platform: the socket failed.
    #[error("the control connection failed: {0}")]
    Socket(Errno),
}

impl From<CodecError> for ControlError {
    fn from(error: CodecError) -> Self {
        match error {
            CodecError::TooLong => Self::TooLong,
            _ => Self::Protocol,
        }
    }
}

/// A connection to the manager's control socket.
///
/// Events that come while an answer is awaited are kept for [`ControlClient::next_event`].
#[derive(Debug)]
pub struct ControlClient {
    socket: OwnedFd,
    sequence: u32,
    events: VecDeque<Event>,
}

impl ControlClient {
    /// Connects and agrees on the protocol's version.
    pub fn connect(path: &Path) -> Result<Self, ControlError> {
        let mut client = Self { socket: open(path, ANSWER_TIMEOUT)?, sequence: 0, events: VecDeque::new() };
        match client.request(Command::Hello)? {
            Answer::Welcome { .. } => Ok(client),
            _ => Err(ControlError::Protocol),
        }
    }

    /// Asks and waits for the answer.
    pub fn request(&mut self, command: Command<'_>) -> Result<Answer, ControlError> {
        self.request_with_descriptors(command).map(|(answer, _)| answer)
    }

    /// Asks and waits for the answer, and for the descriptors that come with it.
    pub fn request_with_descriptors(&mut self, command: Command<'_>) -> Result<(Answer, Vec<OwnedFd>), ControlError> {
        self.send(command)?;
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        loop {
            let (message, descriptors) = self.receive(deadline)?.ok_or(ControlError::Timeout)?;
            match message {
                Message::Event(event) => self.events.push_back(event),
                Message::Reply { sequence, result } if sequence == self.sequence => {
                    return result.map(|answer| (answer, descriptors)).map_err(ControlError::Refused);
                }
                Message::Reply { .. } => return Err(ControlError::Protocol),
            }
        }
    }

    /// Waits for an event until `deadline`; `None` when it has passed. Only after [`Command::Watch`] there are any.
    pub fn next_event(&mut self, deadline: Instant) -> Result<Option<Event>, ControlError> {
        if let Some(event) = self.events.pop_front() {
            return Ok(Some(event));
        }
        match self.receive(deadline)? {
            None => Ok(None),
            Some((Message::Event(event), _)) => Ok(Some(event)),
            Some((Message::Reply { .. }, _)) => Err(ControlError::Protocol),
        }
    }

    /// Every app and the box. Of apps that come and go meanwhile, those are in it that were seen.
    pub fn list(&mut self) -> Result<(Vec<AppStatus>, BoxStatus), ControlError> {
        let (mut apps, mut from) = (Vec::new(), 0);
        loop {
            match self.request(Command::List { from })? {
                Answer::App { next, status } if next > from => {
                    apps.push(status);
                    from = next;
                }
                Answer::Box(status) => return Ok((apps, status)),
                _ => return Err(ControlError::Protocol),
            }
        }
    }

    /// How one app is; `None` when it is not there, or not any more.
    pub fn status_of(&mut self, app: &str) -> Result<Option<AppStatus>, ControlError> {
        let (apps, _) = self.list()?;
        Ok(apps.into_iter().find(|status| status.app.as_str() == app))
    }

    fn send(&mut self, command: Command<'_>) -> Result<(), ControlError> {
        let is_first = self.sequence == 0;
        self.sequence = self.sequence.wrapping_add(1).max(1);
        let request = Request { sequence: self.sequence, command };
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        let bytes = if is_first {
            postcard::encode_first(&request, &mut buffer)?
        } else {
            postcard::encode(&request, &mut buffer)?
        };
        match send(&self.socket, bytes, SendFlags::NOSIGNAL) {
            Ok(_) => Ok(()),
            // What the manager said before it closed is still to be read.
            Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
            Err(Errno::AGAIN) => Err(ControlError::Timeout),
            Err(errno) => Err(ControlError::Socket(errno)),
        }
    }

    fn receive(&mut self, deadline: Instant) -> Result<Option<(Message, Vec<OwnedFd>)>, ControlError> {
        if !self.wait_readable(deadline)? {
            return Ok(None);
        }
        let mut buffer = [0_u8; MESSAGE_BYTES_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut into = [IoSliceMut::new(&mut buffer)];
        let bytes = match recvmsg(&self.socket, &mut into, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Ok(received) => received.bytes,
            Err(Errno::CONNRESET | Errno::PIPE) => 0,
            Err(errno) => return Err(ControlError::Socket(errno)),
        };
        let descriptors = ancillary.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        });
        let descriptors = descriptors.flatten().collect();
        match buffer.get(..bytes) {
            None | Some([]) => Err(ControlError::Closed),
            Some(message) => Ok(Some((postcard::decode(message)?, descriptors))),
        }
    }

    fn wait_readable(&self, deadline: Instant) -> Result<bool, ControlError> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
            match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&timeout)) {
                Ok(ready) => return Ok(ready > 0),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(ControlError::Socket(errno)),
            }
        }
    }
}

/// Connects. A manager that is stuck takes neither connections nor messages: `timeout` holds for both.
fn open(path: &Path, timeout: Duration) -> Result<OwnedFd, ControlError> {
    let no_manager = |cause| ControlError::NoManager { path: path.to_owned(), cause };
    let address = SocketAddrUnix::new(path).map_err(no_manager)?;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(ControlError::Socket)?;
    set_socket_timeout(&socket, Timeout::Send, Some(timeout)).map_err(ControlError::Socket)?;
    match retry_on_intr(|| connect(&socket, &address)) {
        Ok(()) => Ok(socket),
        Err(Errno::AGAIN) => Err(ControlError::Timeout),
        Err(cause) => Err(no_manager(cause)),
    }
}

impl AsFd for ControlClient {
    /// To be watched for readability; then call [`ControlClient::next_event`].
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use greenroom_core::message::{AppId, ServerState};
    use rustix::net::{accept, bind, listen, recv};
    use std::thread;

    type Script = Vec<Message>;

    /// A manager that sends one script a request, then closes.
    fn manager_of(path: &Path, scripts: Vec<Script>) -> thread::JoinHandle<()> {
        let listener = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        bind(&listener, &SocketAddrUnix::new(path).unwrap()).unwrap();
        listen(&listener, 1).unwrap();
        thread::spawn(move || {
            let socket = accept(&listener).unwrap();
            for script in scripts {
                let mut buffer = [0_u8; MESSAGE_BYTES_MAX];
                recv(&socket, &mut buffer[..], RecvFlags::empty()).unwrap();
                for message in script {
                    send(&socket, postcard::encode(&message, &mut buffer).unwrap(), SendFlags::empty()).unwrap();
                }
            }
        })
    }

    fn reply(sequence: u32, result: Result<Answer, Refusal>) -> Message {
        Message::Reply { sequence, result }
    }

    fn inactive() -> Event {
        Event::StateChanged { app: AppId::new("app1").unwrap(), state: ServerState::Inactive, reason: None }
    }

    #[test]
    fn an_event_that_overtakes_an_answer_is_kept() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("control.sock");
        let manager = manager_of(
            &path,
            vec![
                vec![reply(1, Ok(Answer::Welcome { version: 1 }))],
                vec![Message::Event(inactive()), reply(2, Ok(Answer::Done))],
                vec![reply(3, Err(Refusal::UnknownApp))],
            ],
        );
        let mut client = ControlClient::connect(&path).unwrap();
        assert_eq!(client.request(Command::Watch).unwrap(), Answer::Done);
        let refused = client.request(Command::ConnectionInfo { app: "app2" });
        assert!(matches!(refused, Err(ControlError::Refused(Refusal::UnknownApp))));
        assert_eq!(client.next_event(Instant::now()).unwrap(), Some(inactive()));
        manager.join().unwrap();
        assert!(matches!(client.request(Command::Watch), Err(ControlError::Closed)));
    }

    #[test]
    fn without_a_manager_the_error_names_the_socket_and_says_what_to_do() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("control.sock");
        let error = ControlClient::connect(&path).unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()) && error.contains("start greenroomd"), "{error}");
    }

    #[test]
    fn a_manager_that_takes_no_connections_is_given_up() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("control.sock");
        let listener = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        listen(&listener, 0).unwrap();
        let _first = open(&path, Duration::from_secs(20)).unwrap();
        assert!(matches!(open(&path, Duration::from_millis(20)), Err(ControlError::Timeout)));
    }

    #[test]
    fn an_event_that_does_not_come_is_waited_for_until_the_deadline_only() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("control.sock");
        let greeting = vec![reply(1, Ok(Answer::Welcome { version: 1 }))];
        let manager = manager_of(&path, vec![greeting, vec![]]);
        let mut client = ControlClient::connect(&path).unwrap();
        assert_eq!(client.next_event(Instant::now()).unwrap(), None);
        client.send(Command::Watch).unwrap();
        manager.join().unwrap();
    }
}
