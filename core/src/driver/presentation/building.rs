//! How transports come about: offered, listened for, reached, or built by a client (PS-03 to PS-06, PS-14, PS-15).

use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::carrier::Carrier;
use super::kept_offer::KeptOffer;
use super::offer::{Offer, OfferTexts, answer};
use super::transports::{CarrierOf, Stage, token};
use super::{Given, KIND_OFFER, KIND_TRANSPORT, ListenerOf, Outcome, PresentationDriver, PresentationHost, StreamOf};
use crate::codec::frame::Ticket;
use crate::codec::papi;
use crate::driver::Dialing;
use crate::fmt::{Said, debug, warning};
use crate::hal::{ByteStream, Fingerprint, Interest, Network, Protection, Random, Ready, StreamListener, Token, Watch};
use crate::limits::{TRANSPORT_GREETING_TIMEOUT, TRANSPORT_MESSAGE_BYTES_MAX};
use crate::message::papi::{Description, Message as Spoken, Reason};
use crate::message::presentation::{CloseReason, Event, Message as Told, Piece, TransportKind};
use crate::presentation::control_channel::Word;
use crate::presentation::service::{ChannelHandle, ClientHandle, ConnectionHandle};
use crate::time::Instant;
use crate::transport::{Admission, Framed, TRANSPORT_BUFFER_BYTES, Transport, Unframed};

/// A transport to which the other device is to connect.
pub(super) struct Offering<H: PresentationHost> {
    pub(super) listener: ListenerOf<H>,
    /// What lets it in; without one it is let in for its address.
    ticket: Option<Ticket>,
    is_encrypted: bool,
    peer: IpAddr,
    peer_fingerprint: Option<Fingerprint>,
    /// Who has connected and has not proved yet that it may; the next one waits until then.
    pub(super) candidate: Option<CarrierOf<H>>,
}

impl<H: PresentationHost> PresentationDriver<H> {
    pub(super) fn keep_offer(&mut self, host: &mut H, connection: ConnectionHandle, given: Given<'_>) {
        let Given::Heard(Spoken::Offer(description)) = given else { return };
        let stage = match description {
            Description::DataChannel { sdp } => KeptOffer::new(sdp, |bytes| host.lend(bytes)).map(Stage::KeptText),
            Description::Tcp { .. } => {
                let from = self.machine.channel_of(connection).and_then(|channel| self.channels.ends(channel));
                // Without knowing them no offer is believed.
                let own = host.platform().network.addresses().ok();
                let read = from.zip(own).and_then(|((from, _, _), own)| Offer::read(description, from, &own));
                read.map(Stage::Kept)
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
                Some(Stage::KeptText(kept)) => self.let_build(host, connection, client, Some(&kept)),
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
        kept: Option<&KeptOffer<H::Buffer>>,
    ) -> Option<()> {
        let client = client?;
        let event = Event::Build { connection: connection.into(), offers: kept.is_none() };
        self.clients.send(host, client, &Told::Event(event));
        if let Some(kept) = kept {
            self.give_piece(host, client, connection, Piece::Offer(kept.offer()));
            for candidate in kept.candidates() {
                self.give_piece(host, client, connection, Piece::Candidate(candidate));
            }
        }
        self.transports.put(connection, Stage::Remote(client));
        Some(())
    }

    pub(super) fn give_piece(
        &mut self,
        host: &mut H,
        client: ClientHandle,
        connection: ConnectionHandle,
        piece: Piece<'_>,
    ) {
        self.clients.send(host, client, &Told::Event(Event::Built { connection: connection.into(), piece }));
    }

    /// What another device has said belongs to the client that builds the transport.
    pub(super) fn take_piece(&mut self, host: &mut H, connection: ConnectionHandle, given: Given<'_>) {
        let client = match self.transports.port(connection).map(|port| &mut port.stage) {
            Some(Stage::Remote(client)) => *client,
            // The page loads still (PS-14).
            Some(Stage::KeptText(kept)) => return kept.keep_candidate(given),
            _ => return,
        };
        match given {
            Given::Heard(Spoken::Answer(_)) if planted!("answer_not_passed_on") => {}
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
    pub(super) fn advance_reaching_transport(
        &mut self,
        host: &mut H,
        now: Instant,
        connection: ConnectionHandle,
    ) -> Option<()> {
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
        // What was offered is none that the page can build.
        let is_declined = word == Word::Answer && self.machine.kind_of(connection) == TransportKind::DataChannel;
        if is_declined && self.transports.port(connection).is_none() {
            return say(answer(false), line);
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
}

/// What flows has no bounds, so less is enough for it.
fn lend_both<H: PresentationHost>(host: &mut H, is_framed: bool) -> Option<(H::Buffer, H::Buffer)> {
    let bytes = if is_framed { TRANSPORT_BUFFER_BYTES } else { TRANSPORT_MESSAGE_BYTES_MAX };
    Some((host.lend(bytes)?, host.lend(bytes)?))
}

impl<H: PresentationHost> Offering<H> {
    fn texts(&self, host: &mut H) -> OfferTexts {
        let fingerprint = self.is_encrypted.then(|| host.platform().network.fingerprint());
        OfferTexts::new(self.listener.local_address().port(), self.ticket, fingerprint)
    }

    /// Whether this is somebody who may be the right one; it is watched then, and the listener is not (PS-34).
    fn take_candidate(&mut self, host: &mut H, stream: StreamOf<H>, token: Token) -> bool {
        let has_to_be_there = self.ticket.is_none() || self.peer_fingerprint.is_none();
        if has_to_be_there && stream.peer_address().ip() != self.peer && !planted!("offered_to_everybody") {
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

    pub(super) fn drop_candidate(&mut self, host: &mut H, connection: ConnectionHandle) {
        let events = &mut host.platform().events;
        if let Some(carrier) = self.candidate.take() {
            events.unwatch(carrier.stream());
        }
        // One that cannot be watched ends with the time limit of its connection.
        let _ = events.rewatch(&self.listener, token(KIND_OFFER, connection), Interest::Read);
    }
}
