//! One connection whose data channel this process builds: Mozilla's `PresentationIPCSessionInfo`.
//!
//! The machine of the core says what is done and when; this holds the texts, the messages and the channel.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use greenroom_core::message::presentation::{CloseReason, ConnectionId, ConnectionState, Payload, Piece, Refusal};
use greenroom_core::presentation::content::{Content, Deed, Event, Phase, Route};

use super::UNREAD_BYTES_MAX;
use super::channel::{ChannelError, DataChannel, News, Received};
use crate::clock::Clock;

/// Candidates of the other side that wait for its description; of more the first. A device has a few.
const CANDIDATES_KEPT_MAX: usize = 32;

/// Something for the other device, which the service passes on, or for the service itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Offer(String),
    Answer(String),
    Candidate(String),
    Open,
    Over(CloseReason),
}

impl Said {
    pub(super) fn piece(&self) -> Piece<'_> {
        match self {
            Self::Offer(text) => Piece::Offer(text),
            Self::Answer(text) => Piece::Answer(text),
            Self::Candidate(text) => Piece::Candidate(text),
            Self::Open => Piece::Open,
            Self::Over(reason) => Piece::Over(*reason),
        }
    }
}

/// One connection.
pub(super) struct Session {
    connection: ConnectionId,
    machine: Content,
    channel: Option<DataChannel>,
    /// The description that was heard, until it is given to the channel.
    heard_description: String,
    /// Our own one, until it is said.
    description: Option<Said>,
    gathered: VecDeque<String>,
    heard_candidates: VecDeque<String>,
    /// What the page has sent before the channel took it.
    unsent: VecDeque<Received>,
    /// What came before the page knew that it is connected.
    unread: VecDeque<Received>,
    /// What the service is to be told.
    said: VecDeque<Said>,
    /// What the page is to be given.
    delivered: VecDeque<Received>,
    has_left: bool,
}

impl Session {
    pub(super) fn new(connection: ConnectionId) -> Self {
        Self {
            connection,
            machine: Content::new(),
            channel: None,
            heard_description: String::new(),
            description: None,
            gathered: VecDeque::new(),
            heard_candidates: VecDeque::new(),
            unsent: VecDeque::new(),
            unread: VecDeque::new(),
            said: VecDeque::new(),
            delivered: VecDeque::new(),
            has_left: false,
        }
    }

    pub(super) const fn connection(&self) -> ConnectionId {
        self.connection
    }

    pub(super) const fn phase(&self) -> Phase {
        self.machine.phase()
    }

    /// Messages go both ways.
    pub(super) const fn is_open(&self) -> bool {
        matches!(self.machine.phase(), Phase::Open { .. })
    }

    /// The page has left, and what it had sent has arrived or will not.
    pub(super) const fn has_left(&self) -> bool {
        self.has_left
    }

    /// Nothing of it is left.
    pub(super) fn has_ended(&self) -> bool {
        self.machine.phase() == Phase::Ended && self.said.is_empty() && self.delivered.is_empty()
    }

    pub(super) fn next_said(&mut self) -> Option<Said> {
        self.said.pop_front()
    }

    pub(super) fn next_delivered(&mut self) -> Option<Received> {
        self.delivered.pop_front()
    }

    /// What is waited for: nothing while no more is kept.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.channel.iter().filter(|_| !self.is_full()).flat_map(DataChannel::descriptors)
    }

    /// A page that does not learn that it is connected, as it listens to nobody, has no more kept for it (PS-19).
    fn is_full(&self) -> bool {
        self.unread_bytes() >= UNREAD_BYTES_MAX
    }

    fn unread_bytes(&self) -> usize {
        self.unread.iter().map(Received::bytes).sum()
    }

    /// When it is to be advanced, whatever comes.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let machine = self.machine.deadline().map(|deadline| Instant::now() + deadline.since(Clock.now()));
        machine.into_iter().chain(self.channel.as_ref().map(DataChannel::deadline)).min()
    }

    /// The service wants a channel, or has something for the one that is built.
    pub(super) fn build(&mut self, offers: bool) {
        self.handle(Event::Build { offers });
    }

    pub(super) fn hear(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Offer(text) => {
                text.clone_into(&mut self.heard_description);
                self.handle(Event::OfferHeard);
            }
            Piece::Answer(text) => {
                text.clone_into(&mut self.heard_description);
                self.handle(Event::AnswerHeard);
            }
            Piece::Candidate(text) if self.heard_candidates.len() < CANDIDATES_KEPT_MAX => {
                self.heard_candidates.push_back(text.to_owned());
                self.handle(Event::CandidateHeard);
            }
            Piece::Closed | Piece::Over(_) => self.handle(Event::Unwanted),
            // One too many; or nothing that the service says.
            Piece::Candidate(_) | Piece::Open => {}
        }
    }

    /// The service says how the connection is.
    pub(super) fn be(&mut self, state: ConnectionState) {
        match state {
            ConnectionState::Connecting => {}
            ConnectionState::Connected => self.handle(Event::Connected),
            ConnectionState::Closed | ConnectionState::Terminated => {
                // What has arrived already is given to the page before it learns that this was all.
                self.advance(true);
                self.handle(Event::Over);
            }
        }
    }

    /// The page leaves; [`Self::has_left`] says when the service is to be asked to close.
    pub(super) fn close(&mut self, went_away: bool) {
        self.has_left = false;
        self.handle(Event::Close { went_away });
    }

    /// Takes a message of the page; `false` when the service is to carry it.
    pub(super) fn send(&mut self, payload: Payload<'_>) -> Result<bool, Refusal> {
        let buffered = self.buffered_bytes();
        match self.machine.route(payload.bytes(), buffered)? {
            Route::Service => return Ok(false),
            // `str0m` sends nothing for it, and counts it all the same: everything behind it would wait for ever.
            Route::Channel if payload.bytes() == 0 => return Err(Refusal::TextLength),
            Route::Channel => {
                self.flush();
                let is_sent = self.unsent.is_empty() && self.send_now(payload)?;
                if !is_sent {
                    self.unsent.push_back(owned(payload));
                }
            }
        }
        Ok(true)
    }

    /// Bytes that the page has sent and that have not arrived yet.
    pub(super) fn buffered_bytes(&mut self) -> usize {
        let waiting: usize = self.unsent.iter().map(Received::bytes).sum();
        waiting + self.channel.as_mut().map_or(0, DataChannel::buffered_bytes)
    }

    /// What the other side does not take, because it is longer than it said, is refused.
    fn send_now(&mut self, payload: Payload<'_>) -> Result<bool, Refusal> {
        let Some(channel) = &mut self.channel else { return Ok(false) };
        channel.send(payload).map_err(|cause| {
            tracing::debug!("a message is not sent: {cause}");
            Refusal::TextLength
        })
    }

    fn flush(&mut self) {
        while let Some(message) = self.unsent.pop_front() {
            // One that is refused now cannot be refused to anybody any more.
            if self.send_now(message.payload()) == Ok(false) {
                self.unsent.push_front(message);
                return;
            }
        }
    }

    /// Reads what has come if the page `reads`, sends what is due, and keeps the time limits.
    pub(super) fn advance(&mut self, reads: bool) {
        let reads = reads && !self.is_full();
        if let Some(channel) = &mut self.channel {
            channel.advance(reads);
        }
        while let Some(news) = self.channel.as_mut().and_then(DataChannel::news) {
            self.take(news);
        }
        if matches!(self.machine.phase(), Phase::Open { .. } | Phase::Draining) {
            self.flush();
        }
        if self.machine.phase() == Phase::Draining && self.buffered_bytes() == 0 {
            self.handle(Event::Drained);
        }
        if self.machine.deadline().is_some_and(|deadline| deadline <= Clock.now()) {
            self.handle(Event::TimedOut);
        }
    }

    fn take(&mut self, news: News) {
        match news {
            News::Opened => self.handle(Event::Opened),
            News::Received(message) if self.machine.is_read() => self.delivered.push_back(message),
            News::Received(message) => self.unread.push_back(message),
            News::Closed => self.handle(Event::ChannelClosed),
            News::Failed => self.handle(Event::ChannelFailed),
        }
    }

    /// What follows from one event is done before the next one, which may be what came of it.
    fn handle(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            self.machine.handle(Clock.now(), event);
            while let Some(deed) = self.machine.poll() {
                events.extend(self.carry_out(deed));
            }
        }
    }

    fn carry_out(&mut self, deed: Deed) -> Vec<Event> {
        match deed {
            Deed::SayDescription => self.said.extend(self.description.take()),
            Deed::SayCandidates => self.said.extend(self.gathered.drain(..).map(Said::Candidate)),
            Deed::SayOpen => self.said.push_back(Said::Open),
            Deed::SayOver => self.said.push_back(Said::Over(self.machine.reason())),
            Deed::CloseChannel => self.channel.iter_mut().for_each(DataChannel::close),
            Deed::Leave => self.has_left = true,
            Deed::Drop => self.drop_channel(),
            Deed::Offer => return self.describe(|channel, _| channel.offer().map(Said::Offer)),
            Deed::Answer => return self.describe(|channel, offer| channel.answer(offer).map(Said::Answer)),
            Deed::TakeAnswer => return self.take_answer(),
            Deed::TakeCandidates => self.take_candidates(),
            Deed::Deliver => self.delivered.append(&mut self.unread),
        }
        Vec::new()
    }

    /// Makes a channel, its description, and the ways to reach it.
    fn describe(&mut self, describe: impl FnOnce(&mut DataChannel, &str) -> Result<Said, ChannelError>) -> Vec<Event> {
        let made = DataChannel::new().and_then(|mut channel| {
            let description = describe(&mut channel, &self.heard_description)?;
            Ok((channel, description))
        });
        match made {
            Ok((mut channel, description)) => {
                self.gathered = channel.gather().into();
                self.description = Some(description);
                self.channel = Some(channel);
                vec![Event::Described, Event::Gathered]
            }
            Err(cause) => failed(&cause),
        }
    }

    fn take_answer(&mut self) -> Vec<Event> {
        let Some(channel) = &mut self.channel else { return Vec::new() };
        match channel.take_answer(&self.heard_description) {
            Ok(()) => Vec::new(),
            Err(cause) => failed(&cause),
        }
    }

    fn take_candidates(&mut self) {
        if let Some(channel) = &mut self.channel {
            self.heard_candidates.drain(..).for_each(|candidate| channel.take_candidate(&candidate));
        }
    }

    /// What the page has not been given of what has arrived it is not given any more, but for what waits for it already.
    fn drop_channel(&mut self) {
        self.channel = None;
        self.description = None;
        self.gathered.clear();
        self.heard_candidates.clear();
        self.unsent.clear();
        self.unread.clear();
    }
}

fn failed(cause: &ChannelError) -> Vec<Event> {
    tracing::warn!("no data channel: {cause}");
    vec![Event::ChannelFailed]
}

fn owned(payload: Payload<'_>) -> Received {
    match payload {
        Payload::Text(text) => Received::Text(text.to_owned()),
        Payload::Binary(bytes) => Received::Binary(bytes.to_vec()),
    }
}

#[cfg(test)]
mod tests;
