//! The control channels' connections.

use core::net::{IpAddr, SocketAddr};

use super::devices;
use super::touched::Touched;
use super::{Given, KIND_CHANNEL, Outcome, PresentationDriver, PresentationHost, StreamOf};
use crate::codec::papi::{self, Lines};
use crate::driver::{DialError, Dialing};
use crate::fmt::{Said, debug, info, warning};
use crate::hal::{
    Arrived, ByteStream, DeviceAddresses, ErrorKind, Fingerprint, Interest, KnownDevices, Ready, Token, Trust, Visitor,
    Watch, judge,
};
use crate::limits::{CHANNELS_MAX, CONTROL_LINE_BYTES_MAX};
use crate::message::papi::{Message, Reason};
use crate::message::presentation::{CloseReason, Piece};
use crate::presentation::control_channel::Word;
use crate::presentation::service::{ChannelHandle, ConnectionHandle, Input};
use crate::table::deadlines::Deadlines;
use crate::time::Instant;
use crate::transport::buffer::Buffer;

/// Bytes that are read from a channel at once.
const CHUNK_BYTES: usize = 2048;
/// Times that one channel is read before the next one has its turn: half of the longest line.
const CHUNKS_PER_TURN_MAX: usize = 32;
/// Bytes that wait for a device that does not read; with more it is given up. The longest line, and short ones.
const BACKLOG_BYTES_MAX: usize = CONTROL_LINE_BYTES_MAX + 16 * 1024;

/// How far the connection of a channel is.
enum Link<S> {
    Reaching(Dialing<S>),
    Open(S),
}

/// The connection of one channel.
pub(super) struct ChannelPort<H: PresentationHost> {
    channel: ChannelHandle,
    link: Link<StreamOf<H>>,
    /// Whether the other device opened it.
    is_accepted: bool,
    /// A part of a line; there only while the rest is waited for.
    lines: Option<Lines<H::Buffer>>,
    /// What the other device has not taken yet; there only while there is something.
    waiting: Option<Buffer<H::Buffer>>,
    /// What its stream is watched for.
    watched: Interest,
    /// Reading stopped before there was nothing.
    is_unread: bool,
}

impl<H: PresentationHost> ChannelPort<H> {
    fn stream(&mut self) -> Option<&mut StreamOf<H>> {
        match &mut self.link {
            Link::Reaching(_) => None,
            Link::Open(stream) => Some(stream),
        }
    }

    /// A device that does not take our answers has nothing more to ask.
    const fn wanted(&self) -> Interest {
        if self.waiting.is_some() { Interest::Write } else { Interest::Read }
    }

    /// Sends now, or keeps what the stream does not take. `false` when that is too much, or it has failed.
    fn send(&mut self, host: &mut H, bytes: &[u8]) -> bool {
        let Link::Open(stream) = &mut self.link else { return false };
        let mut rest = bytes;
        while self.waiting.is_none() && !rest.is_empty() {
            match stream.send(rest) {
                Ok(0) => break,
                Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
                Err(_) => return false,
            }
        }
        rest.is_empty() || self.keep(host, rest)
    }

    fn keep(&mut self, host: &mut H, bytes: &[u8]) -> bool {
        if self.waiting.is_none() {
            self.waiting = host.lend(BACKLOG_BYTES_MAX).map(Buffer::new);
        }
        let Some(waiting) = &mut self.waiting else { return false };
        let written = waiting.fill_with(0, |room| {
            room.get_mut(..bytes.len()).ok_or(())?.copy_from_slice(bytes);
            Ok::<_, ()>(bytes.len())
        });
        written.is_ok()
    }

    fn flush(&mut self) -> Result<(), <StreamOf<H> as embedded_io::ErrorType>::Error> {
        let Link::Open(stream) = &mut self.link else { return Ok(()) };
        if let Some(waiting) = &mut self.waiting
            && waiting.drain_to(stream)?
        {
            self.waiting = None;
        }
        Ok(())
    }
}

/// All of them.
pub(super) struct Channels<H: PresentationHost> {
    ports: [Option<ChannelPort<H>>; CHANNELS_MAX],
    /// When the next address is tried.
    pub(super) deadlines: Deadlines<CHANNELS_MAX>,
    pub(super) touched: Touched<CHANNELS_MAX>,
    /// Where a line is written. It is out while it is sent.
    line: Option<H::Buffer>,
}

impl<H: PresentationHost> Channels<H> {
    /// `None` when there is no memory.
    pub(super) fn new(host: &mut H) -> Option<Self> {
        Some(Self {
            ports: core::array::from_fn(|_| None),
            deadlines: Deadlines::new(),
            touched: Touched::new(),
            line: Some(host.lend(CONTROL_LINE_BYTES_MAX)?),
        })
    }

    fn port(&mut self, channel: ChannelHandle) -> Option<&mut ChannelPort<H>> {
        let place = self.ports.get_mut(usize::from(channel.index()))?;
        place.as_mut().filter(|port| port.channel == channel)
    }

    fn remove(&mut self, channel: ChannelHandle) -> Option<ChannelPort<H>> {
        self.deadlines.set(channel.index(), None);
        self.ports.get_mut(usize::from(channel.index()))?.take_if(|port| port.channel == channel)
    }

    fn put(&mut self, channel: ChannelHandle, link: Link<StreamOf<H>>, watched: Interest, is_accepted: bool) {
        let (lines, waiting, is_unread) = (None, None, true);
        let port = ChannelPort { channel, link, is_accepted, lines, waiting, watched, is_unread };
        if let Some(place) = self.ports.get_mut(usize::from(channel.index())) {
            *place = Some(port);
        }
    }

    /// How many channels came from this address.
    pub(super) fn accepted_from(&self, address: IpAddr) -> usize {
        let accepted = self.ports.iter().flatten().filter(|port| port.is_accepted);
        let is_from = |port: &&ChannelPort<H>| match &port.link {
            Link::Reaching(_) => false,
            Link::Open(stream) => stream.peer_address().ip() == address,
        };
        accepted.filter(is_from).count()
    }

    /// Who is at the other end of a channel, and where we are: (their address, their certificate, our address).
    pub(super) fn ends(&mut self, channel: ChannelHandle) -> Option<(SocketAddr, Option<Fingerprint>, IpAddr)> {
        let stream = self.port(channel)?.stream()?;
        Some((stream.peer_address(), stream.peer_fingerprint(), stream.local_address().ip()))
    }
}

const fn token(channel: ChannelHandle) -> Token {
    Token { kind: KIND_CHANNEL, index: channel.index(), generation: channel.generation() }
}

const fn reason_of(error: DialError) -> Reason {
    match error {
        DialError::NoAddress => Reason::NOT_FOUND,
        DialError::NoAnswer => Reason::NETWORK_TIMEOUT,
        DialError::Untrusted(_) => Reason::NOT_ALLOWED,
        DialError::Failed(ErrorKind::Gone) => Reason::CONNECTION_REFUSED,
        DialError::Failed(_) => Reason::OPERATION,
    }
}

impl<H: PresentationHost> PresentationDriver<H> {
    /// The stream that has arrived is this channel.
    pub(super) fn take_admitted(&mut self, host: &mut H, channel: ChannelHandle) {
        let Some(stream) = self.arrived.take() else { return };
        self.open(host, channel, stream, true);
    }

    fn open(&mut self, host: &mut H, channel: ChannelHandle, stream: StreamOf<H>, is_accepted: bool) {
        let (events, watched) = (&mut host.platform().events, stream.interest(Interest::Read));
        if events.rewatch(&stream, token(channel), watched).is_err() {
            events.unwatch(&stream);
            self.channels.remove(channel);
            return self.follow(Outcome::ChannelFailed { channel, reason: Reason::OPERATION });
        }
        self.channels.put(channel, Link::Open(stream), watched, is_accepted);
        // What came with the last of TLS lies in the stream.
        self.channels.touched.add(channel.index());
        self.follow(Outcome::ChannelOpened { channel });
    }

    /// Reaches for the device of a channel, as who it is known to be.
    pub(super) fn open_channel(&mut self, host: &mut H, now: Instant, channel: ChannelHandle) {
        let device_id = self.machine.device_of(channel).unwrap_or_default();
        let found = self.devices.iter().find(|device| device.id == device_id);
        let Some((addresses, offered)) = found.map(|device| (device.addresses.clone(), device.fingerprint)) else {
            return self.follow(Outcome::ChannelFailed { channel, reason: Reason::NOT_FOUND });
        };
        let known = host.platform().known.fingerprint(device_id);
        match judge(known, offered) {
            Ok(trust) => self.reach(host, now, channel, addresses, trust),
            Err(distrust) => {
                warning!("{} is not talked to: {}", device_id, Said(&distrust));
                self.follow(Outcome::ChannelFailed { channel, reason: Reason::NOT_ALLOWED });
            }
        }
    }

    fn reach(&mut self, host: &mut H, now: Instant, channel: ChannelHandle, to: DeviceAddresses, trust: Trust) {
        let dialing = Dialing::new(to, trust, token(channel));
        self.channels.put(channel, Link::Reaching(dialing), Interest::None, false);
        self.advance_reaching(host, now, channel);
    }

    fn advance_reaching(&mut self, host: &mut H, now: Instant, channel: ChannelHandle) {
        let platform = host.platform();
        let Some(ChannelPort { link: Link::Reaching(dialing), .. }) = self.channels.port(channel) else { return };
        match dialing.advance(now, &mut platform.network, &mut platform.events) {
            Ok(Some(stream)) => {
                self.channels.deadlines.set(channel.index(), None);
                self.remember(host, channel, stream.peer_fingerprint());
                self.open(host, channel, stream, false);
            }
            Ok(None) => {
                let deadline = dialing.next_deadline();
                self.channels.deadlines.set(channel.index(), deadline);
            }
            Err(error) => {
                self.channels.remove(channel);
                info!("{} was not reached: {}", self.machine.device_of(channel).unwrap_or_default(), Said(&error));
                self.follow(Outcome::ChannelFailed { channel, reason: reason_of(error) });
            }
        }
    }

    /// It has proved that it has this certificate.
    fn remember(&mut self, host: &mut H, channel: ChannelHandle, fingerprint: Option<Fingerprint>) {
        let (Some(device_id), Some(fingerprint)) = (self.machine.device_of(channel), fingerprint) else { return };
        if let Err(error) = host.platform().known.remember(device_id, fingerprint) {
            warning!("the certificate of {} is not remembered: {}", device_id, Said(&error));
        }
    }

    pub(super) fn channel_ready(&mut self, host: &mut H, now: Instant, ready: Ready) {
        let channel = ChannelHandle::from_parts(ready.token.index, ready.token.generation);
        let Some(port) = self.channels.port(channel) else { return };
        let reads = matches!(port.watched, Interest::Read | Interest::ReadWrite);
        let Some(stream) = port.stream() else { return self.advance_reaching(host, now, channel) };
        let is_alive = stream.advance().is_ok() && port.flush().is_ok();
        // What is readable although it is not read has ended.
        if !is_alive || (!reads && ready.readable && !ready.writable) {
            return self.lose_channel(host, now, channel);
        }
        port.is_unread |= ready.readable;
        self.channels.touched.add(channel.index());
    }

    pub(super) fn reach_further(&mut self, host: &mut H, now: Instant) {
        while let Some(place) = self.channels.deadlines.take_due(now) {
            let port = self.channels.ports.get(usize::from(place)).and_then(Option::as_ref);
            if let Some(channel) = port.map(|port| port.channel) {
                self.advance_reaching(host, now, channel);
            }
        }
    }

    fn receive_lines(&mut self, host: &mut H, now: Instant, channel: ChannelHandle) {
        let mut chunk = [0; CHUNK_BYTES];
        for _ in 0..CHUNKS_PER_TURN_MAX {
            let Some(port) = self.channels.port(channel).filter(|port| port.waiting.is_none()) else { return };
            let Link::Open(stream) = &mut port.link else { return };
            match stream.receive(&mut chunk) {
                Ok(Arrived::Bytes(bytes)) => {
                    self.take_bytes(host, now, channel, chunk.get(..bytes).unwrap_or_default());
                }
                Ok(Arrived::WouldBlock) => {
                    port.is_unread = false;
                    return;
                }
                Ok(Arrived::End) => return self.lose_channel(host, now, channel),
                Err(error) => {
                    debug!("a channel has failed: {}", Said(&error));
                    return self.lose_channel(host, now, channel);
                }
            }
        }
    }

    fn take_bytes(&mut self, host: &mut H, now: Instant, channel: ChannelHandle, mut bytes: &[u8]) {
        let partial = self.channels.port(channel).and_then(|port| port.lines.take());
        let lent = partial.or_else(|| host.lend(CONTROL_LINE_BYTES_MAX).map(Lines::new));
        let Some(mut lines) = lent else {
            warning!("no memory for a line; the channel is closed");
            return self.lose_channel(host, now, channel);
        };
        while let Some(line) = lines.next(&mut bytes) {
            match line.and_then(papi::decode) {
                Ok(message) => self.hear(host, now, channel, &message),
                Err(garbage) => self.take(host, now, Input::Garbage { channel, garbage }),
            }
            if self.channels.port(channel).is_none() {
                return;
            }
        }
        if lines.is_partial()
            && let Some(port) = self.channels.port(channel)
        {
            port.lines = Some(lines);
        }
    }

    fn hear(&mut self, host: &mut H, now: Instant, channel: ChannelHandle, message: &Message<&str>) {
        let is_allowed = self.is_allowed(host, channel, message);
        let input = Input::Received { channel, message: message.clone(), is_allowed };
        let _ = self.take_with(host, now, input, Given::Heard(message));
    }

    /// PS-34: what the policy says of this device and page; whether this is where the device was discovered, and where it
    /// is one of us, whether it has proved that.
    fn is_allowed(&mut self, host: &mut H, channel: ChannelHandle, message: &Message<&str>) -> bool {
        let Some((address, fingerprint, _)) = self.channels.ends(channel) else { return false };
        let device_id = self.machine.device_of(channel).unwrap_or_default();
        let visitor = Visitor { device_id, address: address.ip(), fingerprint };
        match message {
            Message::Launch { url, .. } | Message::Reconnect { url, .. } => host.may_show(&visitor, url),
            Message::Terminate { presentation_id } => match self.machine.shower_of(presentation_id) {
                Some((shower, false)) => devices::is_at(&self.devices, shower, visitor.address),
                Some((_, true)) | None => devices::is_discovered(&self.devices, &visitor),
            },
            _ => false,
        }
    }

    fn lose_channel(&mut self, host: &mut H, now: Instant, channel: ChannelHandle) {
        self.drop_channel(host, channel);
        self.take(host, now, Input::ChannelClosed { channel });
    }

    fn drop_channel(&mut self, host: &mut H, channel: ChannelHandle) {
        let events = &mut host.platform().events;
        match self.channels.remove(channel).map(|port| port.link) {
            Some(Link::Reaching(dialing)) => dialing.cancel(events),
            Some(Link::Open(stream)) => events.unwatch(&stream),
            None => {}
        }
    }

    /// What was said before is sent first.
    pub(super) fn close_channel(&mut self, host: &mut H, now: Instant, channel: ChannelHandle) {
        let Some(port) = self.channels.remove(channel) else { return };
        match port.link {
            Link::Reaching(dialing) => dialing.cancel(&mut host.platform().events),
            Link::Open(stream) => self.depart_with(host, now, stream, port.waiting),
        }
    }

    pub(super) fn say(
        &mut self,
        host: &mut H,
        channel: ChannelHandle,
        word: Word,
        connection: Option<ConnectionHandle>,
        given: Given<'_>,
    ) {
        let Some(mut line) = self.channels.line.take() else { return };
        let is_said = self.say_by(host, channel, word, connection, given, line.as_mut());
        self.channels.line = Some(line);
        match (is_said, connection) {
            (Ok(()), _) => self.channels.touched.add(channel.index()),
            (Err(Unsaid::Lost), _) => {
                self.drop_channel(host, channel);
                self.follow(Outcome::ChannelClosed { channel });
            }
            // A transport of which the other side does not learn is none.
            (Err(Unsaid::Nothing), Some(connection)) => {
                let reason = CloseReason::Error(Reason::OPERATION);
                self.follow(Outcome::TransportClosed { connection, reason });
            }
            (Err(Unsaid::Nothing), None) => {}
        }
    }

    fn say_by(
        &mut self,
        host: &mut H,
        channel: ChannelHandle,
        word: Word,
        connection: Option<ConnectionHandle>,
        given: Given<'_>,
        line: &mut [u8],
    ) -> Result<(), Unsaid> {
        let encoded = match (word, given) {
            (Word::Offer | Word::Answer, given) => {
                let connection = connection.ok_or(Unsaid::Nothing)?;
                self.describe(host, channel, connection, word, given, line)
            }
            (Word::IceCandidate, Given::Piece(Piece::Candidate(candidate))) => {
                papi::encode(&Message::IceCandidate { candidate }, line).ok()
            }
            _ => self.machine.message(channel, word).and_then(|message| papi::encode(&message, line).ok()),
        };
        let line = encoded.ok_or(Unsaid::Nothing)?;
        // One that is not open any more is about to be reported.
        let Some(port) = self.channels.port(channel) else { return Ok(()) };
        if port.send(host, line) { Ok(()) } else { Err(Unsaid::Lost) }
    }

    /// Reads what is there, and watches a channel for what is wanted of it now.
    pub(super) fn settle_channel(&mut self, host: &mut H, now: Instant, place: u16) {
        let Some(port) = self.channels.ports.get_mut(usize::from(place)).and_then(Option::as_mut) else { return };
        let channel = port.channel;
        let Link::Open(stream) = &port.link else { return };
        port.is_unread |= stream.has_pending();
        if port.is_unread {
            self.receive_lines(host, now, channel);
        }
        let Some(port) = self.channels.port(channel) else { return };
        let (wanted, is_unread) = (port.wanted(), port.is_unread && port.waiting.is_none());
        let Link::Open(stream) = &port.link else { return };
        let interest = stream.interest(wanted);
        let is_same = port.watched == interest;
        if !is_same && host.platform().events.rewatch(stream, token(channel), interest).is_err() {
            return self.lose_channel(host, now, channel);
        }
        port.watched = interest;
        if is_unread {
            self.channels.touched.add(place);
        }
    }
}

/// Why something was not said.
enum Unsaid {
    /// The words are not there, or too long.
    Nothing,
    /// The connection has failed, or takes nothing.
    Lost,
}
