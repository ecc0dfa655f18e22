//! The transports of connections: offered, reached, open (PS-03 to PS-08, PS-14 to PS-19).

use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::carrier::Carrier;
use super::offer::{Offer, OfferTexts, answer};
use super::touched::Touched;
use super::{Given, KIND_OFFER, KIND_TRANSPORT, ListenerOf, Outcome, PresentationDriver, PresentationHost, StreamOf};
use crate::codec::frame::Ticket;
use crate::codec::papi;
use crate::driver::Dialing;
use crate::fmt::{Said, debug, warning};
use crate::hal::{ByteStream, Fingerprint, Interest, Network, Protection, Random, Ready, StreamListener, Token, Watch};
use crate::limits::{CONNECTIONS_MAX, MESSAGES_PER_TURN_MAX, TRANSPORT_GREETING_TIMEOUT, TRANSPORT_MESSAGE_BYTES_MAX};
use crate::message::papi::{Description, Message as Spoken, Reason};
use crate::message::presentation::{CloseReason, Event, Message as Told, Payload, Piece, Refusal, TransportKind};
use crate::presentation::control_channel::Word;
use crate::presentation::service::{ChannelHandle, ClientHandle, ConnectionHandle, Input};
use crate::table::deadlines::Deadlines;
use crate::time::Instant;
use crate::transport::{Admission, Framed, Incoming, Message, SendError, TRANSPORT_BUFFER_BYTES, Transport, Unframed};

/// The reason on our own transport for one who went away; every number of the control protocol's is far higher.
const WENT_AWAY: u32 = 1;

type CarrierOf<H> = Carrier<StreamOf<H>, <H as PresentationHost>::Buffer>;

/// How far a transport is.
///
/// ```text
/// this box offers:    Offering --who may has connected--> Open
/// this box answers:   Kept --built--> Reaching --connected--> Greeting --let in--> Open
/// the client builds:  KeptText --built--> Remote
/// ```
enum Stage<H: PresentationHost> {
    /// An offer, of a transport that is not to be built yet.
    Kept(Offer),
    /// The same, of one that a client builds.
    KeptText { text: H::Buffer, bytes: usize },
    /// It listens.
    Offering(Offering<H>),
    /// It connects.
    Reaching { dialing: Dialing<StreamOf<H>>, ticket: Option<Ticket> },
    /// It is connected, and says that it may be.
    Greeting(CarrierOf<H>),
    /// Messages pass. The carrier is out while a message of it is looked at.
    Open(Option<CarrierOf<H>>),
    /// A client has built it.
    Remote(ClientHandle),
}

/// A transport to which the other device is to connect.
struct Offering<H: PresentationHost> {
    listener: ListenerOf<H>,
    /// What lets it in; without one it is let in for its address.
    ticket: Option<Ticket>,
    is_encrypted: bool,
    peer: IpAddr,
    peer_fingerprint: Option<Fingerprint>,
    /// Who has connected and has not proved yet that it may; the next one waits until then.
    candidate: Option<CarrierOf<H>>,
}

/// What a stream is watched for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Watched {
    No,
    /// For something.
    Somehow,
    For(Interest),
}

/// The transport of one connection.
pub(super) struct TransportPort<H: PresentationHost> {
    connection: ConnectionHandle,
    stage: Stage<H>,
    watched: Watched,
    /// Reading stopped before there was nothing.
    is_unread: bool,
    /// The other side has closed while nobody read.
    has_ended: bool,
}

/// All of them.
pub(super) struct Transports<H: PresentationHost> {
    ports: [Option<TransportPort<H>>; CONNECTIONS_MAX],
    /// When the next address, or the next candidate, is tried.
    pub(super) deadlines: Deadlines<CONNECTIONS_MAX>,
    pub(super) touched: Touched<CONNECTIONS_MAX>,
}

impl<H: PresentationHost> Transports<H> {
    pub(super) fn new() -> Self {
        Self { ports: core::array::from_fn(|_| None), deadlines: Deadlines::new(), touched: Touched::new() }
    }

    fn port(&mut self, connection: ConnectionHandle) -> Option<&mut TransportPort<H>> {
        let place = self.ports.get_mut(usize::from(connection.index()))?;
        place.as_mut().filter(|port| port.connection == connection)
    }

    fn put(&mut self, connection: ConnectionHandle, stage: Stage<H>) {
        let port = TransportPort { connection, stage, watched: Watched::Somehow, is_unread: true, has_ended: false };
        if let Some(place) = self.ports.get_mut(usize::from(connection.index())) {
            *place = Some(port);
        }
    }

    fn remove(&mut self, connection: ConnectionHandle) -> Option<Stage<H>> {
        self.deadlines.set(connection.index(), None);
        let place = self.ports.get_mut(usize::from(connection.index()))?;
        place.take_if(|port| port.connection == connection).map(|port| port.stage)
    }

    fn open(&mut self, connection: ConnectionHandle) -> Option<&mut Option<CarrierOf<H>>> {
        match &mut self.port(connection)?.stage {
            Stage::Open(carrier) => Some(carrier),
            _ => None,
        }
    }

    fn at(&self, place: u16) -> Option<ConnectionHandle> {
        self.ports.get(usize::from(place))?.as_ref().map(|port| port.connection)
    }
}

const fn token(kind: u8, connection: ConnectionHandle) -> Token {
    Token { kind, index: connection.index(), generation: connection.generation() }
}

const fn number_of(reason: CloseReason) -> u32 {
    match reason {
        CloseReason::Closed | CloseReason::Terminated => 0,
        CloseReason::WentAway => WENT_AWAY,
        CloseReason::Error(reason) => reason.0,
    }
}

const fn reason_of(number: u32) -> CloseReason {
    match number {
        0 => CloseReason::Closed,
        WENT_AWAY => CloseReason::WentAway,
        number => CloseReason::Error(Reason(number)),
    }
}

/// What a carrier has for us.
enum Found {
    Message,
    Nothing,
    Closed(CloseReason),
}

impl<H: PresentationHost> PresentationDriver<H> {
    pub(super) fn keep_offer(&mut self, host: &mut H, connection: ConnectionHandle, given: Given<'_>) {
        let Given::Heard(Spoken::Offer(description)) = given else { return };
        let stage = match description {
            Description::DataChannel { sdp } => keep_text(host, sdp),
            Description::Tcp { .. } => {
                let from = self.machine.channel_of(connection).and_then(|channel| self.channels.ends(channel));
                from.and_then(|(address, _, _)| Offer::read(description, address)).map(Stage::Kept)
            }
        };
        // Without it there is nothing to be built, which is told then.
        if let Some(stage) = stage {
            self.transports.put(connection, stage);
        }
    }

    pub(super) fn build(
        &mut self,
        host: &mut H,
        now: Instant,
        connection: ConnectionHandle,
        (kind, offers): (TransportKind, bool),
        client: Option<ClientHandle>,
    ) {
        let begun = match (offers, kind) {
            (true, TransportKind::Tcp) => self.offer(host, connection),
            (true, TransportKind::DataChannel) => self.let_build(host, connection, client, None),
            (false, _) => match self.transports.remove(connection) {
                Some(Stage::Kept(offer)) => self.reach_offer(host, now, connection, offer),
                Some(Stage::KeptText { text, bytes }) => {
                    let text = text.as_ref().get(..bytes).and_then(|bytes| core::str::from_utf8(bytes).ok());
                    self.let_build(host, connection, client, text)
                }
                _ => None,
            },
        };
        if begun.is_none() {
            warning!("the transport of connection {} cannot be built", connection.index());
            self.follow(Outcome::TransportClosed { connection, reason: CloseReason::Error(Reason::OPERATION) });
        }
    }

    /// PS-04: one of us is offered the framed transport only, and others the unframed one only.
    fn offer(&mut self, host: &mut H, connection: ConnectionHandle) -> Option<()> {
        let channel = self.machine.channel_of(connection)?;
        let (peer, peer_fingerprint, _) = self.channels.ends(channel)?;
        let is_kin = self.machine.is_kin(channel);
        let is_encrypted = is_kin && peer_fingerprint.is_some();
        let platform = host.platform();
        let mut ticket = Ticket([0; 16]);
        platform.network.fill(&mut ticket.0).ok()?;
        let protection = if is_encrypted { Protection::Encrypted } else { Protection::None };
        let everywhere = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        let listener = platform.network.listen(everywhere, protection);
        let listener = listener.inspect_err(|error| warning!("{}", Said(error))).ok()?;
        platform.events.watch(&listener, token(KIND_OFFER, connection), Interest::Read).ok()?;
        let offering = Offering {
            listener,
            ticket: is_kin.then_some(ticket),
            is_encrypted,
            peer: peer.ip(),
            peer_fingerprint,
            candidate: None,
        };
        self.transports.put(connection, Stage::Offering(offering));
        self.follow(Outcome::OfferReady { connection });
        Some(())
    }

    /// PS-06, PS-15
    fn let_build(
        &mut self,
        host: &mut H,
        connection: ConnectionHandle,
        client: Option<ClientHandle>,
        offer: Option<&str>,
    ) -> Option<()> {
        let client = client?;
        let event = Event::Build { connection: connection.into(), offers: offer.is_none() };
        self.clients.send(host, client, &Told::Event(event));
        if let Some(offer) = offer {
            self.give_piece(host, client, connection, Piece::Offer(offer));
        }
        self.transports.put(connection, Stage::Remote(client));
        Some(())
    }

    fn give_piece(&mut self, host: &mut H, client: ClientHandle, connection: ConnectionHandle, piece: Piece<'_>) {
        self.clients.send(host, client, &Told::Event(Event::Built { connection: connection.into(), piece }));
    }

    /// What another device has said belongs to the client that builds the transport.
    pub(super) fn take_piece(&mut self, host: &mut H, connection: ConnectionHandle, given: Given<'_>) {
        let Some(&mut TransportPort { stage: Stage::Remote(client), .. }) = self.transports.port(connection) else {
            return;
        };
        match given {
            Given::Heard(Spoken::Answer(Description::DataChannel { sdp })) => {
                self.give_piece(host, client, connection, Piece::Answer(sdp));
            }
            Given::Heard(Spoken::IceCandidate { candidate }) => {
                self.give_piece(host, client, connection, Piece::Candidate(candidate));
            }
            _ => {}
        }
    }

    fn reach_offer(&mut self, host: &mut H, now: Instant, connection: ConnectionHandle, offer: Offer) -> Option<()> {
        let Offer { addresses, trust, ticket } = offer;
        let dialing = Dialing::new(addresses, trust, token(KIND_TRANSPORT, connection));
        self.transports.put(connection, Stage::Reaching { dialing, ticket });
        self.advance_reaching_transport(host, now, connection)
    }

    /// `None` when it has failed; nothing is left of it then.
    fn advance_reaching_transport(&mut self, host: &mut H, now: Instant, connection: ConnectionHandle) -> Option<()> {
        let platform = host.platform();
        let port = self.transports.port(connection)?;
        let Stage::Reaching { dialing, ticket } = &mut port.stage else { return Some(()) };
        match dialing.advance(now, &mut platform.network, &mut platform.events) {
            Ok(Some(stream)) => {
                let ticket = *ticket;
                self.transports.deadlines.set(connection.index(), None);
                self.greet(host, connection, stream, ticket)
            }
            Ok(None) => {
                let deadline = dialing.next_deadline();
                self.transports.deadlines.set(connection.index(), deadline);
                Some(())
            }
            Err(error) => {
                debug!("an offered transport was not reached: {}", Said(&error));
                self.transports.remove(connection);
                None
            }
        }
    }

    fn greet(
        &mut self,
        host: &mut H,
        connection: ConnectionHandle,
        stream: StreamOf<H>,
        ticket: Option<Ticket>,
    ) -> Option<()> {
        let Some((incoming, outgoing)) = lend_both(host, ticket.is_some()) else {
            host.platform().events.unwatch(&stream);
            self.transports.remove(connection);
            return None;
        };
        let carrier = match ticket {
            Some(ticket) => Carrier::Framed(Framed::connecting(stream, ticket, incoming, outgoing)),
            None => Carrier::Unframed(Unframed::new(stream, incoming, outgoing)),
        };
        self.transports.put(connection, Stage::Greeting(carrier));
        self.transports.touched.add(connection.index());
        self.follow(Outcome::AnswerReady { connection });
        Some(())
    }

    /// Somebody connects to a transport that is offered.
    pub(super) fn offer_ready(&mut self, host: &mut H, now: Instant, ready: Ready) {
        let connection = ConnectionHandle::from_parts(ready.token.index, ready.token.generation);
        let Some(port) = self.transports.port(connection) else { return };
        let Stage::Offering(offering) = &mut port.stage else { return };
        if offering.candidate.is_some() {
            return;
        }
        match offering.listener.accept() {
            Ok(Some(stream)) => {
                if offering.take_candidate(host, stream, token(KIND_TRANSPORT, connection)) {
                    self.transports.deadlines.set(connection.index(), Some(now.after(TRANSPORT_GREETING_TIMEOUT)));
                    self.transports.touched.add(connection.index());
                }
            }
            Ok(None) => {}
            Err(error) => {
                warning!("a transport was not accepted: {}", Said(&error));
                self.fail_transport(host, now, connection, CloseReason::Error(Reason::OPERATION));
            }
        }
    }

    pub(super) fn transport_ready(&mut self, host: &mut H, now: Instant, ready: Ready) {
        let connection = ConnectionHandle::from_parts(ready.token.index, ready.token.generation);
        let Some(port) = self.transports.port(connection) else { return };
        let reads = matches!(port.watched, Watched::Somehow | Watched::For(Interest::Read | Interest::ReadWrite));
        port.is_unread |= ready.readable;
        port.has_ended |= ready.readable && !reads;
        let is_reaching = matches!(port.stage, Stage::Reaching { .. });
        self.transports.touched.add(connection.index());
        if is_reaching && self.advance_reaching_transport(host, now, connection).is_none() {
            self.take(host, now, closed(connection, Reason::OPERATION));
        }
    }

    pub(super) fn transports_due(&mut self, host: &mut H, now: Instant) {
        while let Some(place) = self.transports.deadlines.take_due(now) {
            let Some(connection) = self.transports.at(place) else { continue };
            match self.transports.port(connection).map(|port| &mut port.stage) {
                Some(Stage::Offering(offering)) => offering.drop_candidate(host, connection),
                Some(Stage::Reaching { .. }) => {
                    if self.advance_reaching_transport(host, now, connection).is_none() {
                        self.take(host, now, closed(connection, Reason::OPERATION));
                    }
                }
                _ => {}
            }
        }
    }

    /// Goes on with a transport: greets, reads, and watches it for what is wanted of it now.
    pub(super) fn settle_transport(&mut self, host: &mut H, now: Instant, place: u16) {
        let Some(connection) = self.transports.at(place) else { return };
        let Some(port) = self.transports.port(connection) else { return };
        let advanced = match &mut port.stage {
            Stage::Offering(Offering { candidate: Some(carrier), .. }) | Stage::Greeting(carrier) => {
                carrier.advance().inspect_err(|error| debug!("a transport is not let in: {}", Said(error)))
            }
            Stage::Open(Some(carrier)) => carrier.advance(),
            _ => return,
        };
        match (advanced, &mut port.stage) {
            (Ok(false), _) => self.watch_greeting(host, now, connection),
            (Ok(true), Stage::Open(_)) => self.pump(host, now, connection),
            (Ok(true), _) => self.open_transport(host, now, connection),
            // The right one may come still.
            (Err(_), Stage::Offering(offering)) => offering.drop_candidate(host, connection),
            (Err(_), _) => self.fail_transport(host, now, connection, CloseReason::Error(Reason::FAILURE)),
        }
    }

    fn watch_greeting(&mut self, host: &mut H, now: Instant, connection: ConnectionHandle) {
        let Some(port) = self.transports.port(connection) else { return };
        let (Stage::Offering(Offering { candidate: Some(carrier), .. }) | Stage::Greeting(carrier)) = &mut port.stage
        else {
            return;
        };
        let wanted = carrier.interest(true);
        if host.platform().events.rewatch(carrier.stream(), token(KIND_TRANSPORT, connection), wanted).is_err() {
            self.fail_transport(host, now, connection, CloseReason::Error(Reason::OPERATION));
        }
    }

    fn open_transport(&mut self, host: &mut H, now: Instant, connection: ConnectionHandle) {
        let Some(port) = self.transports.port(connection) else { return };
        let carrier = match core::mem::replace(&mut port.stage, Stage::Open(None)) {
            Stage::Offering(Offering { listener, candidate, .. }) => {
                host.platform().events.unwatch(&listener);
                candidate
            }
            Stage::Greeting(carrier) => Some(carrier),
            _ => None,
        };
        (port.stage, port.watched, port.is_unread) = (Stage::Open(carrier), Watched::Somehow, true);
        self.transports.deadlines.set(connection.index(), None);
        self.transports.touched.add(connection.index());
        self.take(host, now, Input::TransportReady { connection });
    }

    /// Whether somebody takes what comes in now (PS-19).
    fn is_read(&self, connection: ConnectionHandle) -> bool {
        self.machine.reader_of(connection).is_some_and(|client| self.clients.is_free(client))
    }

    fn pump(&mut self, host: &mut H, now: Instant, connection: ConnectionHandle) {
        for _ in 0..MESSAGES_PER_TURN_MAX {
            let is_unread = self.transports.port(connection).is_some_and(|port| port.is_unread);
            if !is_unread || !self.is_read(connection) {
                break;
            }
            let Some(mut carrier) = self.transports.open(connection).and_then(Option::take) else { return };
            let found = self.receive_message(host, now, connection, &mut carrier);
            let is_there = self.put_back(host, now, connection, carrier);
            match found {
                Found::Closed(reason) if is_there => return self.leave_transport(host, now, connection, reason),
                Found::Message | Found::Nothing | Found::Closed(_) if !is_there => return,
                Found::Nothing => self.note_read(connection),
                Found::Message | Found::Closed(_) => {}
            }
        }
        self.watch_transport(host, now, connection);
    }

    fn receive_message(
        &mut self,
        host: &mut H,
        now: Instant,
        connection: ConnectionHandle,
        carrier: &mut CarrierOf<H>,
    ) -> Found {
        let payload = match carrier.receive() {
            Ok(Incoming::Message(Message::Text(text))) => Payload::Text(text),
            Ok(Incoming::Message(Message::Binary(bytes))) => Payload::Binary(bytes),
            Ok(Incoming::Nothing) => return Found::Nothing,
            Ok(Incoming::Closed(number)) => return Found::Closed(reason_of(number)),
            Err(error) => {
                debug!("a transport has failed: {}", Said(&error));
                return Found::Closed(CloseReason::Error(Reason::FAILURE));
            }
        };
        let _ = self.take_with(host, now, Input::Data { connection }, Given::Payload(payload));
        Found::Message
    }

    /// `false` when the connection has ended meanwhile; the carrier then is closed.
    fn put_back(&mut self, host: &mut H, now: Instant, connection: ConnectionHandle, carrier: CarrierOf<H>) -> bool {
        match self.transports.open(connection) {
            Some(place @ None) => {
                *place = Some(carrier);
                true
            }
            Some(Some(_)) | None => {
                self.depart_for(host, now, carrier, WENT_AWAY);
                false
            }
        }
    }

    fn note_read(&mut self, connection: ConnectionHandle) {
        if let Some(port) = self.transports.port(connection) {
            port.is_unread = false;
        }
    }

    /// The other side has closed it.
    fn leave_transport(&mut self, host: &mut H, now: Instant, connection: ConnectionHandle, reason: CloseReason) {
        if let Some(Stage::Open(Some(carrier))) = self.transports.remove(connection) {
            self.depart_for(host, now, carrier, 0);
        }
        self.take(host, now, Input::TransportClosed { connection, reason });
    }

    /// One whose end is known, and that nobody reads, is not watched: its end would be reported again and again.
    fn watch_transport(&mut self, host: &mut H, now: Instant, connection: ConnectionHandle) {
        let reads = self.is_read(connection);
        let Some(port) = self.transports.port(connection) else { return };
        let Stage::Open(Some(carrier)) = &port.stage else { return };
        let (wanted, token) = (carrier.interest(reads), token(KIND_TRANSPORT, connection));
        let events = &mut host.platform().events;
        let watched = match port.watched {
            Watched::No if port.has_ended && !reads => return,
            _ if port.has_ended && !reads => {
                events.unwatch(carrier.stream());
                port.watched = Watched::No;
                return;
            }
            Watched::For(interest) if interest == wanted => Ok(()),
            Watched::No => events.watch(carrier.stream(), token, wanted),
            Watched::Somehow | Watched::For(_) => events.rewatch(carrier.stream(), token, wanted),
        };
        port.watched = Watched::For(wanted);
        if port.is_unread && reads {
            self.transports.touched.add(connection.index());
        }
        if watched.is_err() {
            self.fail_transport(host, now, connection, CloseReason::Error(Reason::OPERATION));
        }
    }

    fn fail_transport(&mut self, host: &mut H, now: Instant, connection: ConnectionHandle, reason: CloseReason) {
        self.drop_transport(host, connection);
        self.take(host, now, Input::TransportClosed { connection, reason });
    }

    fn drop_transport(&mut self, host: &mut H, connection: ConnectionHandle) {
        let is_watched = self.transports.port(connection).is_some_and(|port| port.watched != Watched::No);
        if let Some(stage) = self.transports.remove(connection) {
            drop_stage(host, stage, is_watched);
        }
    }

    pub(super) fn close_transport(
        &mut self,
        host: &mut H,
        now: Instant,
        connection: ConnectionHandle,
        reason: CloseReason,
    ) {
        let is_watched = self.transports.port(connection).is_some_and(|port| port.watched != Watched::No);
        match self.transports.remove(connection) {
            Some(Stage::Open(Some(carrier))) if is_watched => {
                self.depart_for(host, now, carrier, number_of(reason));
            }
            Some(stage) => drop_stage(host, stage, is_watched),
            None => {}
        }
    }

    /// PS-18: what is not sent is refused.
    pub(super) fn transmit(&mut self, host: &mut H, connection: ConnectionHandle, given: Given<'_>) {
        let Given::Payload(payload) = given else { return };
        let message = match payload {
            Payload::Text(text) => Message::Text(text),
            Payload::Binary(bytes) => Message::Binary(bytes),
        };
        self.transports.touched.add(connection.index());
        let sent = match self.transports.open(connection) {
            Some(Some(carrier)) => carrier.send(message),
            Some(None) | None => Err(SendError::NotOpen),
        };
        self.unsent = match sent {
            Ok(()) => None,
            Err(SendError::NotOpen | SendError::WouldBlock) => Some(Refusal::Congested),
            Err(SendError::TooLong { .. }) => Some(Refusal::TextLength),
            Err(SendError::Unsupported) => Some(Refusal::TextOnly),
            Err(SendError::Stream(_)) => {
                self.drop_transport(host, connection);
                let reason = CloseReason::Error(Reason::FAILURE);
                self.follow(Outcome::TransportClosed { connection, reason });
                Some(Refusal::Congested)
            }
        };
    }

    /// Writes the line of an offer or an answer.
    pub(super) fn describe<'l>(
        &mut self,
        host: &mut H,
        channel: ChannelHandle,
        connection: ConnectionHandle,
        word: Word,
        given: Given<'_>,
        line: &'l mut [u8],
    ) -> Option<&'l [u8]> {
        let say = |description, line| {
            let message = if word == Word::Offer { Spoken::Offer(description) } else { Spoken::Answer(description) };
            papi::encode(&message, line).ok()
        };
        if let Given::Piece(Piece::Offer(sdp) | Piece::Answer(sdp)) = given {
            return say(Description::DataChannel { sdp }, line);
        }
        match &self.transports.port(connection)?.stage {
            Stage::Greeting(carrier) | Stage::Open(Some(carrier)) => say(answer(carrier.is_framed()), line),
            Stage::Offering(offering) => {
                let mut texts = offering.texts(host);
                let (_, _, own) = self.channels.ends(channel)?;
                texts.add(own);
                host.platform().network.addresses().ok()?.into_iter().for_each(|address| texts.add(address));
                say(texts.description(), line)
            }
            _ => None,
        }
    }

    /// A client takes messages again.
    pub(super) fn touch_transports_of(&mut self, client: ClientHandle) {
        for connection in self.transports.ports.iter().flatten().map(|port| port.connection) {
            if self.machine.reader_of(connection) == Some(client) {
                self.transports.touched.add(connection.index());
            }
        }
    }
}

const fn closed(connection: ConnectionHandle, reason: Reason) -> Input<'static> {
    Input::TransportClosed { connection, reason: CloseReason::Error(reason) }
}

fn keep_text<H: PresentationHost>(host: &mut H, sdp: &str) -> Option<Stage<H>> {
    let mut text = host.lend(sdp.len())?;
    text.as_mut().get_mut(..sdp.len())?.copy_from_slice(sdp.as_bytes());
    Some(Stage::KeptText { text, bytes: sdp.len() })
}

/// What flows has no bounds, so less is enough for it.
fn lend_both<H: PresentationHost>(host: &mut H, is_framed: bool) -> Option<(H::Buffer, H::Buffer)> {
    let bytes = if is_framed { TRANSPORT_BUFFER_BYTES } else { TRANSPORT_MESSAGE_BYTES_MAX };
    Some((host.lend(bytes)?, host.lend(bytes)?))
}

fn drop_stage<H: PresentationHost>(host: &mut H, stage: Stage<H>, is_watched: bool) {
    let events = &mut host.platform().events;
    match stage {
        Stage::Offering(Offering { listener, candidate, .. }) => {
            candidate.iter().for_each(|carrier| events.unwatch(carrier.stream()));
            events.unwatch(&listener);
        }
        Stage::Reaching { dialing, .. } => dialing.cancel(events),
        Stage::Greeting(carrier) | Stage::Open(Some(carrier)) if is_watched => events.unwatch(carrier.stream()),
        Stage::Kept(_) | Stage::KeptText { .. } | Stage::Greeting(_) | Stage::Open(_) | Stage::Remote(_) => {}
    }
}

impl<H: PresentationHost> Offering<H> {
    fn texts(&self, host: &mut H) -> OfferTexts {
        let fingerprint = self.is_encrypted.then(|| host.platform().network.fingerprint());
        OfferTexts::new(self.listener.local_address().port(), self.ticket, fingerprint)
    }

    /// Whether this is somebody who may be the right one; it is watched then, and the listener is not (PS-34).
    fn take_candidate(&mut self, host: &mut H, stream: StreamOf<H>, token: Token) -> bool {
        let has_to_be_there = self.ticket.is_none() || self.peer_fingerprint.is_none();
        if has_to_be_there && stream.peer_address().ip() != self.peer {
            warning!("{} connects to what was offered to {}", Said(&stream.peer_address().ip()), Said(&self.peer));
            return false;
        }
        let Some((incoming, outgoing)) = lend_both(host, self.ticket.is_some()) else { return false };
        let carrier = match self.ticket {
            Some(ticket) => {
                let address = has_to_be_there.then_some(self.peer);
                let admission = Admission { ticket, fingerprint: self.peer_fingerprint, address };
                Carrier::Framed(Framed::accepting(stream, admission, incoming, outgoing))
            }
            None => Carrier::Unframed(Unframed::new(stream, incoming, outgoing)),
        };
        let events = &mut host.platform().events;
        let offer = Token { kind: KIND_OFFER, ..token };
        let is_watched = events.watch(carrier.stream(), token, carrier.interest(true)).is_ok();
        // One that is watched still is not accepted from while there is a candidate.
        let _ = events.rewatch(&self.listener, offer, Interest::None);
        self.candidate = is_watched.then_some(carrier);
        is_watched
    }

    fn drop_candidate(&mut self, host: &mut H, connection: ConnectionHandle) {
        let events = &mut host.platform().events;
        if let Some(carrier) = self.candidate.take() {
            events.unwatch(carrier.stream());
        }
        // One that cannot be watched ends with the time limit of its connection.
        let _ = events.rewatch(&self.listener, token(KIND_OFFER, connection), Interest::Read);
    }
}
