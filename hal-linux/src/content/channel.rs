//! One data channel: ICE, DTLS and SCTP by `str0m`, over the datagram sockets of this box.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use greenroom_core::limits::DATA_CHANNEL_BUFFERED_BYTES_MAX;
use greenroom_core::message::presentation::Payload;
use str0m::change::SdpPendingOffer;
use str0m::channel::{ChannelConfig, ChannelId};
use str0m::config::CryptoProvider;
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, IceConnectionState, Input, Output, Rtc, RtcError};

use super::description;
use super::sockets::Sockets;
use crate::error::LinuxError;

/// What Mozilla's builder calls its channel.
const LABEL: &str = "presentationAPI";
/// The longest datagram that is read: more than any path of a network carries.
const DATAGRAM_BYTES_MAX: usize = 2048;
/// So many datagrams are read before the service and the page have their turn.
const DATAGRAMS_PER_TURN_MAX: usize = 256;

/// Why there is no data channel.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChannelError {
    /// Platform: no socket.
    #[error(transparent)]
    Platform(#[from] LinuxError),
    /// Peer: what it said is no description, or one of something else.
    #[error("the other side's description cannot be used: {0}")]
    Description(String),
    /// Peer or network: the channel failed.
    #[error(transparent)]
    Rtc(#[from] RtcError),
}

/// A message of the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Received {
    Text(String),
    Binary(Vec<u8>),
}

impl Received {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    pub(super) fn payload(&self) -> Payload<'_> {
        match self {
            Self::Text(text) => Payload::Text(text),
            Self::Binary(bytes) => Payload::Binary(bytes),
        }
    }
}

/// What happens on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It can be sent on.
    Opened,
    /// The other side has sent something.
    Received(Received),
    /// The other side has closed it in order.
    Closed,
    /// It failed, or nobody is at the other end any more.
    Failed,
}

/// One end of a data channel.
pub(super) struct DataChannel {
    rtc: Rtc,
    sockets: Sockets,
    pending: Option<SdpPendingOffer>,
    channel: Option<ChannelId>,
    news: VecDeque<News>,
    /// When it is to be looked after, whatever comes.
    deadline: Instant,
}

impl DataChannel {
    /// A channel of which nothing is known yet, not even to the other side.
    pub(super) fn new() -> Result<Self, ChannelError> {
        let sockets = Sockets::open()?;
        let now = Instant::now();
        let rtc = Rtc::builder()
            .set_crypto_provider(Arc::clone(cryptography()))
            .set_sctp_max_buffered_amount(DATA_CHANNEL_BUFFERED_BYTES_MAX)
            .build(now);
        Ok(Self { rtc, sockets, pending: None, channel: None, news: VecDeque::new(), deadline: now })
    }

    /// Makes our offer, as the text that the other side is to be given.
    pub(super) fn offer(&mut self) -> Result<String, ChannelError> {
        let mut change = self.rtc.sdp_api();
        change.add_channel_with_config(ChannelConfig { label: LABEL.to_owned(), ..ChannelConfig::default() });
        let (offer, pending) = change.apply().ok_or_else(|| unusable("there is nothing to offer"))?;
        self.pending = Some(pending);
        self.pump()?;
        description::offer_text(&offer).ok_or_else(|| unusable("it cannot be written"))
    }

    /// Makes our answer to what the other side offers.
    pub(super) fn answer(&mut self, offer: &str) -> Result<String, ChannelError> {
        let offer = description::offer_in(offer).ok_or_else(|| unusable("it is no offer"))?;
        let answer = self.rtc.sdp_api().accept_offer(offer)?;
        self.pump()?;
        description::answer_text(&answer).ok_or_else(|| unusable("it cannot be written"))
    }

    /// Takes the other side's answer to our offer.
    pub(super) fn take_answer(&mut self, answer: &str) -> Result<(), ChannelError> {
        let answer = description::answer_in(answer).ok_or_else(|| unusable("it is no answer"))?;
        let pending = self.pending.take().ok_or_else(|| unusable("nothing was offered"))?;
        self.rtc.sdp_api().accept_answer(pending, answer)?;
        Ok(self.pump()?)
    }

    /// Finds out by which addresses this side can be reached; as the texts that the other side is to be given.
    pub(super) fn gather(&mut self) -> Vec<String> {
        let addresses: Vec<SocketAddr> = self.sockets.addresses().collect();
        addresses.into_iter().filter_map(|address| self.gather_one(address)).collect()
    }

    fn gather_one(&mut self, address: SocketAddr) -> Option<String> {
        let candidate = Candidate::host(address, "udp").ok()?;
        let text = self.rtc.add_local_candidate(candidate).and_then(description::candidate_text);
        self.settle();
        text
    }

    /// Takes one more way to reach the other side. One that cannot be used is none: others will do.
    pub(super) fn take_candidate(&mut self, candidate: &str) {
        if let Some(candidate) = description::candidate_in(candidate) {
            self.rtc.add_remote_candidate(candidate);
            self.settle();
        }
    }

    /// When it is to be advanced, whatever comes.
    pub(super) const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// What is waited for.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sockets.descriptors()
    }

    /// The next thing that has happened.
    pub(super) fn news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    /// Reads what has come if somebody `reads`, and sends what is due. To be called when a descriptor can be read or the
    /// deadline has come.
    pub(super) fn advance(&mut self, reads: bool) {
        let read = if reads { self.read() } else { Ok(()) };
        let advanced = read.and_then(|()| self.rtc.handle_input(Input::Timeout(Instant::now())));
        self.end_on(advanced);
        self.settle();
    }

    fn read(&mut self) -> Result<(), RtcError> {
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        for _ in 0..DATAGRAMS_PER_TURN_MAX {
            let Some((source, destination, bytes)) = self.sockets.receive(&mut buffer) else { break };
            self.take_datagram(source, destination, buffer.get(..bytes).unwrap_or_default())?;
            self.pump()?;
        }
        Ok(())
    }

    fn settle(&mut self) {
        let pumped = self.pump();
        self.end_on(pumped);
    }

    fn end_on(&mut self, result: Result<(), RtcError>) {
        if let Err(cause) = result {
            tracing::debug!("a data channel has failed: {cause}");
            self.rtc.disconnect();
            self.news.push_back(News::Failed);
        }
    }

    /// What no peer of ours has sent is not looked at (PS-34).
    fn take_datagram(&mut self, source: SocketAddr, destination: SocketAddr, bytes: &[u8]) -> Result<(), RtcError> {
        let Ok(received) = Receive::new(Protocol::Udp, source, destination, bytes) else { return Ok(()) };
        let input = Input::Receive(Instant::now(), received);
        if self.rtc.accepts(&input) { self.rtc.handle_input(input) } else { Ok(()) }
    }

    /// Whatever was done, its outcome is taken before anything else is.
    fn pump(&mut self) -> Result<(), RtcError> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(deadline) => {
                    self.deadline = deadline;
                    return Ok(());
                }
                Output::Transmit(datagram) => {
                    self.sockets.send(datagram.source, datagram.destination, &datagram.contents);
                }
                Output::Event(event) => {
                    let news = self.news_of(event);
                    self.news.extend(news);
                }
            }
        }
    }

    fn news_of(&mut self, event: Event) -> Option<News> {
        match event {
            Event::ChannelOpen(id, label) if self.channel.is_none() && label == LABEL => {
                self.channel = Some(id);
                Some(News::Opened)
            }
            Event::ChannelData(data) if Some(data.id) == self.channel => {
                if data.binary {
                    return Some(News::Received(Received::Binary(data.data)));
                }
                // A text that is none breaks the protocol of data channels.
                Some(String::from_utf8(data.data).map_or(News::Failed, |text| News::Received(Received::Text(text))))
            }
            Event::ChannelClose(id) if Some(id) == self.channel => Some(News::Closed),
            Event::Closed => Some(News::Closed),
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => Some(News::Failed),
            // Another channel than ours, or media that nobody asked for.
            _ => None,
        }
    }

    /// Sends a message that is not empty; `false` when the channel takes no more now.
    pub(super) fn send(&mut self, payload: Payload<'_>) -> Result<bool, ChannelError> {
        let (is_binary, bytes) = match payload {
            Payload::Text(text) => (false, text.as_bytes()),
            Payload::Binary(bytes) => (true, bytes),
        };
        let channel = self.channel.and_then(|channel| self.rtc.channel(channel));
        let is_taken = channel.map_or(Ok(false), |mut channel| channel.write(is_binary, bytes))?;
        self.pump()?;
        Ok(is_taken)
    }

    /// Bytes that were sent and have not arrived yet.
    pub(super) fn buffered_bytes(&mut self) -> usize {
        let channel = self.channel.and_then(|channel| self.rtc.channel(channel));
        channel.map_or(0, |mut channel| channel.buffered_amount())
    }

    /// Tells the other side that this one closes, as far as it can be told in a few datagrams.
    pub(super) fn close(&mut self) {
        if let Some(channel) = self.channel {
            self.rtc.direct_api().close_data_channel(channel);
            self.advance(false);
        }
        let closed = self.rtc.close();
        self.end_on(closed);
        self.settle();
    }
}

fn unusable(why: &str) -> ChannelError {
    ChannelError::Description(why.to_owned())
}

fn cryptography() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(str0m::crypto::from_feature_flags()))
}

#[cfg(test)]
mod tests;
