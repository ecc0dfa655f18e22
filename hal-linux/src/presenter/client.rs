//! Asking the presentation service, and hearing its events. Blocks; for programs that have nothing else to do meanwhile.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Instant;

use greenroom_core::codec::postcard;
use greenroom_core::message::presentation::{Answer, Command, Event, Message};
use rustix::event::{PollFd, PollFlags};

use super::link::{Heard, Link};
use super::{ANSWER_TIMEOUT, PresenterError, wait};

/// A connection to the presentation service.
///
/// Events that come while an answer is awaited are kept for [`PresenterClient::next_event`].
#[derive(Debug)]
pub struct PresenterClient {
    link: Link,
    /// The message that was received last.
    message: Vec<u8>,
    events: VecDeque<Vec<u8>>,
}

impl PresenterClient {
    /// Connects and agrees on the protocol's version.
    pub fn connect(path: &Path) -> Result<Self, PresenterError> {
        let mut client = Self { link: Link::connect(path)?, message: Vec::new(), events: VecDeque::new() };
        match client.request(Command::Hello)? {
            Answer::Welcome { .. } => Ok(client),
            _ => Err(PresenterError::Protocol),
        }
    }

    /// Asks and waits for the answer.
    pub fn request(&mut self, command: Command<'_>) -> Result<Answer<'_>, PresenterError> {
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        let asked = self.send(&command, deadline)?;
        loop {
            match self.receive(deadline)?.ok_or(PresenterError::Timeout)? {
                Heard::Event(event) => self.events.push_back(event),
                Heard::Reply(sequence, message) if sequence == asked => {
                    self.message = message;
                    return self.answer();
                }
                Heard::Reply(..) => return Err(PresenterError::Protocol),
            }
        }
    }

    fn answer(&self) -> Result<Answer<'_>, PresenterError> {
        match postcard::decode::<Message<'_>>(&self.message)? {
            Message::Reply { result, .. } => result.map_err(PresenterError::Refused),
            Message::Event(_) => Err(PresenterError::Protocol),
        }
    }

    /// Waits for an event until `deadline`; `None` when it has passed.
    pub fn next_event(&mut self, deadline: Instant) -> Result<Option<Event<'_>>, PresenterError> {
        self.message = match self.events.pop_front() {
            Some(event) => event,
            None => match self.receive(deadline)? {
                Some(Heard::Event(event)) => event,
                Some(Heard::Reply(..)) => return Err(PresenterError::Protocol),
                None => return Ok(None),
            },
        };
        match postcard::decode::<Message<'_>>(&self.message)? {
            Message::Event(event) => Ok(Some(event)),
            Message::Reply { .. } => Err(PresenterError::Protocol),
        }
    }

    /// The service reads nothing while it waits that its events are read.
    fn send(&mut self, command: &Command<'_>, deadline: Instant) -> Result<u32, PresenterError> {
        loop {
            if let Some(sequence) = self.link.send(command.clone())? {
                return Ok(sequence);
            }
            if !wait(&mut [PollFd::new(&self.link, PollFlags::IN | PollFlags::OUT)], deadline)? {
                return Err(PresenterError::Timeout);
            }
            match self.link.receive()? {
                Some(Heard::Event(event)) => self.events.push_back(event),
                Some(Heard::Reply(..)) => return Err(PresenterError::Protocol),
                None => {}
            }
        }
    }

    /// `None` when the deadline has passed.
    fn receive(&mut self, deadline: Instant) -> Result<Option<Heard>, PresenterError> {
        loop {
            if let Some(heard) = self.link.receive()? {
                return Ok(Some(heard));
            }
            if !wait(&mut [PollFd::new(&self.link, PollFlags::IN)], deadline)? {
                return Ok(None);
            }
        }
    }
}
