//! The transports of connections: offered, reached, open (PS-03 to PS-08, PS-14 to PS-19).

use super::building::Offering;
use super::carrier::Carrier;
use super::kept_offer::KeptOffer;
use super::offer::Offer;
use super::touched::Touched;
use super::{Given, KIND_TRANSPORT, Outcome, PresentationDriver, PresentationHost, StreamOf};
use crate::codec::frame::Ticket;
use crate::driver::Dialing;
use crate::fmt::{Said, debug};
use crate::hal::{Interest, Ready, Token, Watch};
use crate::limits::{CONNECTIONS_MAX, MESSAGES_PER_TURN_MAX, UNREAD_KEPT};
use crate::message::papi::Reason;
use crate::message::presentation::{CloseReason, Payload, Piece, Refusal};
use crate::presentation::service::{ClientHandle, ConnectionHandle, Input};
use crate::table::deadlines::Deadlines;
use crate::time::Instant;
use crate::transport::{Incoming, Message, SendError, Transport};

/// The reason on our own transport for one who went away; every number of the control protocol's is far higher.
const WENT_AWAY: u32 = 1;

pub(super) type CarrierOf<H> = Carrier<StreamOf<H>, <H as PresentationHost>::Buffer>;

/// How far a transport is.
///
/// ```text
/// this box offers:    Offering --who may has connected--> Open
/// this box answers:   Kept --built--> Reaching --connected--> Greeting --let in--> Open
/// the client builds:  KeptText --built--> Remote
/// ```
pub(super) enum Stage<H: PresentationHost> {
    /// An offer, of a transport that is not to be built yet.
    Kept(Offer),
    /// The same, of one that a client builds, with the candidates that came since.
    KeptText(KeptOffer<H::Buffer>),
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
    pub(super) stage: Stage<H>,
    watched: Watched,
    /// Reading stopped before there was nothing.
    is_unread: bool,
    /// The other side has closed while nobody read.
    has_ended: bool,
}

/// All of them.
pub(super) struct Transports<H: PresentationHost> {
    ports: [Option<TransportPort<H>>; CONNECTIONS_MAX],
    /// When the next address, or the next candidate, is tried; when nobody is waited for who takes what came last.
    pub(super) deadlines: Deadlines<CONNECTIONS_MAX>,
    pub(super) touched: Touched<CONNECTIONS_MAX>,
}

impl<H: PresentationHost> Transports<H> {
    pub(super) fn new() -> Self {
        Self { ports: core::array::from_fn(|_| None), deadlines: Deadlines::new(), touched: Touched::new() }
    }

    pub(super) fn port(&mut self, connection: ConnectionHandle) -> Option<&mut TransportPort<H>> {
        let place = self.ports.get_mut(usize::from(connection.index()))?;
        place.as_mut().filter(|port| port.connection == connection)
    }

    pub(super) fn put(&mut self, connection: ConnectionHandle, stage: Stage<H>) {
        let port = TransportPort { connection, stage, watched: Watched::Somehow, is_unread: true, has_ended: false };
        if let Some(place) = self.ports.get_mut(usize::from(connection.index())) {
            *place = Some(port);
        }
    }

    pub(super) fn remove(&mut self, connection: ConnectionHandle) -> Option<Stage<H>> {
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

    #[cfg(test)]
    pub(super) fn in_use(&self) -> usize {
        self.ports.iter().flatten().count()
    }

    fn at(&self, place: u16) -> Option<ConnectionHandle> {
        self.ports.get(usize::from(place))?.as_ref().map(|port| port.connection)
    }
}

pub(super) const fn token(kind: u8, connection: ConnectionHandle) -> Token {
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
    pub(super) fn transport_ready(&mut self, host: &mut H, now: Instant, ready: Ready) {
        let connection = ConnectionHandle::from_parts(ready.token.index, ready.token.generation);
        let Some(port) = self.transports.port(connection) else { return };
        let reads = matches!(port.watched, Watched::Somehow | Watched::For(Interest::Read | Interest::ReadWrite));
        port.is_unread |= ready.readable;
        port.has_ended |= ready.readable && !reads;
        let is_reaching = matches!(port.stage, Stage::Reaching { .. });
        self.transports.touched.add(connection.index());
        if is_reaching {
            self.reach_on(host, now, connection);
        }
    }

    /// What reaches nobody is closed.
    fn reach_on(&mut self, host: &mut H, now: Instant, connection: ConnectionHandle) {
        if self.advance_reaching_transport(host, now, connection).is_none() {
            self.take(host, now, closed(connection, Reason::OPERATION));
        }
    }

    pub(super) fn transports_due(&mut self, host: &mut H, now: Instant) {
        while let Some(place) = self.transports.deadlines.take_due(now) {
            let Some(connection) = self.transports.at(place) else { continue };
            match self.transports.port(connection).map(|port| &mut port.stage) {
                Some(Stage::Offering(offering)) => offering.drop_candidate(host, connection),
                Some(Stage::Reaching { .. }) => self.reach_on(host, now, connection),
                Some(Stage::Open(_)) => self.fail_transport(host, now, connection, CloseReason::WentAway),
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
            Stage::Open(Some(carrier)) => {
                let advanced = carrier.advance();
                port.is_unread |= carrier.has_pending();
                advanced
            }
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
        self.machine
            .reader_of(connection)
            .is_some_and(|client| planted!("read_for_nobody") || self.clients.is_free(client))
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
        self.note_received(payload);
        let _ = self.take_with(host, now, Input::Data { connection }, Given::Payload(payload));
        Found::Message
    }

    fn note_received(&mut self, payload: Payload<'_>) {
        let traffic = &mut self.traffic;
        traffic.received_messages = traffic.received_messages.saturating_add(1);
        traffic.received_bytes = traffic.received_bytes.saturating_add(payload.bytes() as u64);
    }

    fn note_sent(&mut self, payload: Payload<'_>) {
        let traffic = &mut self.traffic;
        traffic.sent_messages = traffic.sent_messages.saturating_add(1);
        traffic.sent_bytes = traffic.sent_bytes.saturating_add(payload.bytes() as u64);
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

    /// One whose end is known, and that nobody reads, is not watched: its end would be reported again and again. It does
    /// not wait for ever for somebody who does (PS-35).
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
                self.transports
                    .deadlines
                    .set(connection.index(), planted!("unread_for_ever", None, Some(now.after(UNREAD_KEPT))));
                return;
            }
            Watched::For(interest) if interest == wanted => Ok(()),
            Watched::No => events.watch(carrier.stream(), token, wanted),
            Watched::Somehow | Watched::For(_) => events.rewatch(carrier.stream(), token, wanted),
        };
        port.watched = Watched::For(wanted);
        let is_unread = port.is_unread;
        self.transports.deadlines.set(connection.index(), None);
        if is_unread && reads {
            self.transports.touched.add(connection.index());
        }
        if watched.is_err() {
            self.fail_transport(host, now, connection, CloseReason::Error(Reason::OPERATION));
        }
    }

    pub(super) fn fail_transport(
        &mut self,
        host: &mut H,
        now: Instant,
        connection: ConnectionHandle,
        reason: CloseReason,
    ) {
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
            Some(Stage::Remote(client)) => self.give_piece(host, client, connection, Piece::Closed),
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
            Ok(()) => {
                self.note_sent(payload);
                None
            }
            Err(SendError::WouldBlock) if planted!("unsent_taken_for_sent") => None,
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

fn drop_stage<H: PresentationHost>(host: &mut H, stage: Stage<H>, is_watched: bool) {
    let events = &mut host.platform().events;
    match stage {
        Stage::Offering(Offering { listener, candidate, .. }) => {
            candidate.iter().for_each(|carrier| events.unwatch(carrier.stream()));
            events.unwatch(&listener);
        }
        Stage::Reaching { dialing, .. } => dialing.cancel(events),
        Stage::Greeting(carrier) | Stage::Open(Some(carrier)) if is_watched => events.unwatch(carrier.stream()),
        Stage::Kept(_) | Stage::KeptText(_) | Stage::Greeting(_) | Stage::Open(_) | Stage::Remote(_) => {}
    }
}
