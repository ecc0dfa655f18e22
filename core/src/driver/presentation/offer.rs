//! How two devices tell each other where a transport is reached.

use core::fmt::Write;
use core::net::{IpAddr, SocketAddr};

use heapless::{String, Vec};

use crate::codec::frame::{Ticket, VERSION};
use crate::hal::{DeviceAddresses, FINGERPRINT_TEXT_BYTES, Fingerprint, Trust};
use crate::limits::TRANSPORT_ADDRESSES_MAX;
use crate::message::papi::{Description, Framed};

/// Bytes of an IPv6 address as text.
const ADDRESS_TEXT_BYTES: usize = 45;
/// Bytes of a ticket as text.
const TICKET_TEXT_BYTES: usize = 32;

/// Where a transport is reached that another device has offered.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) addresses: DeviceAddresses,
    pub(super) trust: Trust,
    /// What lets us in, for the framed transport.
    pub(super) ticket: Option<Ticket>,
}

impl Offer {
    /// Reads the offer of the device at this address. `None` for one that leads nowhere, or says a framed transport of
    /// which something is wrong: nothing worse is taken in its place.
    pub(super) fn read(description: &Description<&str>, from: SocketAddr, own: &[IpAddr]) -> Option<Self> {
        let Description::Tcp { addresses, port, framed } = description else { return None };
        let (port, trust, ticket) = match framed {
            Some(framed) => Way::read(framed).map(|way| (way.port, way.trust, Some(way.ticket)))?,
            None => (*port, Trust::Plain, None),
        };
        let addresses = reachable(addresses, port, from, own);
        (port > 0).then_some(Self { addresses, trust, ticket })
    }
}

struct Way {
    port: u16,
    trust: Trust,
    ticket: Ticket,
}

impl Way {
    fn read(framed: &Framed<&str>) -> Option<Self> {
        let trust = match framed.fingerprint {
            "" => Trust::Plain,
            text => Trust::Pinned(Fingerprint::parse(text)?),
        };
        let is_spoken = framed.version >= VERSION && framed.port > 0;
        is_spoken.then_some(Self { port: framed.port, trust, ticket: Ticket::parse(framed.token)? })
    }
}

/// The address from which the device is known to speak comes first, with the link that it is on. A device elsewhere cannot
/// send us to ourselves.
fn reachable(addresses: &[&str], port: u16, from: SocketAddr, own: &[IpAddr]) -> DeviceAddresses {
    let mut known = from;
    known.set_port(port);
    let mut all = DeviceAddresses::new();
    // The first one has room.
    let _ = all.push(known);
    let named = addresses.iter().filter_map(|text| text.parse::<IpAddr>().ok());
    let elsewhere = named.filter(|address| *address != from.ip() && is_elsewhere(*address, own));
    for address in elsewhere {
        // What is too many is not tried.
        let _ = all.push(SocketAddr::new(address, port));
    }
    all
}

fn is_elsewhere(address: IpAddr, own: &[IpAddr]) -> bool {
    let address = address.to_canonical();
    !address.is_unspecified() && !address.is_multicast() && !address.is_loopback() && !own.contains(&address)
}

/// What this box offers, as texts.
#[derive(Debug, Default)]
pub(super) struct OfferTexts {
    addresses: Vec<String<ADDRESS_TEXT_BYTES>, TRANSPORT_ADDRESSES_MAX>,
    port: u16,
    ticket: Option<String<TICKET_TEXT_BYTES>>,
    fingerprint: String<FINGERPRINT_TEXT_BYTES>,
}

impl OfferTexts {
    /// A listener on this port that takes who has the ticket, or whoever comes.
    pub(super) fn new(port: u16, ticket: Option<Ticket>, fingerprint: Option<Fingerprint>) -> Self {
        let ticket = ticket.map(|ticket| text(&ticket));
        let fingerprint = fingerprint.map(|it| text(&it)).unwrap_or_default();
        Self { addresses: Vec::new(), port, ticket, fingerprint }
    }

    /// One more address of the listener, unless it is named already.
    pub(super) fn add(&mut self, address: IpAddr) {
        let address = text(&address.to_canonical());
        if !self.addresses.contains(&address) {
            // What is too many is not offered.
            let _ = self.addresses.push(address);
        }
    }

    pub(super) fn description(&self) -> Description<&str> {
        let framed = self.ticket.as_ref().map(|ticket| Framed {
            version: VERSION,
            port: planted!("offer_without_port", 0, self.port),
            fingerprint: self.fingerprint.as_str(),
            token: ticket.as_str(),
        });
        let port = if framed.is_some() { 0 } else { self.port };
        Description::Tcp { addresses: self.addresses.iter().map(String::as_str).collect(), port, framed }
    }
}

/// Which of the offered transports was taken.
pub(super) fn answer(is_framed: bool) -> Description<&'static str> {
    let framed = is_framed.then_some(Framed { version: VERSION, port: 0, fingerprint: "", token: "" });
    Description::Tcp { addresses: Vec::new(), port: 0, framed }
}

/// The capacities are those of the longest texts.
fn text<const N: usize>(what: &impl core::fmt::Display) -> String<N> {
    let mut text = String::new();
    let _ = write!(text, "{what}");
    text
}

#[cfg(test)]
mod tests {
    use std::string::ToString;
    use std::vec::Vec as StdVec;

    use super::*;

    const PEER: &str = "192.0.2.7:1234";

    fn read(description: &Description<&str>) -> Option<Offer> {
        Offer::read(description, PEER.parse().unwrap(), &["192.0.2.1".parse().unwrap()])
    }

    fn addresses(offer: &Offer) -> StdVec<std::string::String> {
        offer.addresses.iter().map(ToString::to_string).collect()
    }

    fn plain(addresses: &[&'static str], port: u16) -> Description<&'static str> {
        Description::Tcp { addresses: addresses.iter().copied().collect(), port, framed: None }
    }

    /// PS-04
    #[test]
    fn what_is_offered_is_read_back() {
        let (ticket, fingerprint) = (Ticket([7; 16]), Fingerprint([0xAB; 32]));
        let mut texts = OfferTexts::new(4711, Some(ticket), Some(fingerprint));
        for address in ["192.0.2.7", "2001:db8::7", "192.0.2.7"] {
            texts.add(address.parse().unwrap());
        }
        let offer = read(&texts.description()).unwrap();
        assert_eq!((offer.trust, offer.ticket), (Trust::Pinned(fingerprint), Some(ticket)));
        assert_eq!(addresses(&offer), ["192.0.2.7:4711", "[2001:db8::7]:4711"]);
    }

    /// PS-34: a device elsewhere cannot send this box to its own services.
    #[test]
    fn the_box_is_not_sent_to_itself() {
        let offer =
            read(&plain(&["127.0.0.1", "::1", "::ffff:192.0.2.1", "0.0.0.0", "224.0.0.1", "192.0.2.1", "x"], 22))
                .unwrap();
        assert_eq!(addresses(&offer), ["192.0.2.7:22"]);
    }

    /// PS-32, PS-34
    #[test]
    fn a_framed_transport_that_is_wrong_is_not_replaced_by_a_worse_one() {
        let good = Framed { version: 1, port: 5, fingerprint: "", token: "00112233445566778899aabbccddeeff" };
        let offer = |framed| Description::Tcp { addresses: Vec::new(), port: 4711, framed: Some(framed) };
        assert!(read(&offer(good.clone())).unwrap().ticket.is_some());
        assert!(read(&offer(Framed { token: "", ..good.clone() })).is_none());
        assert!(read(&offer(Framed { port: 0, ..good.clone() })).is_none());
        assert!(read(&offer(Framed { version: 0, ..good.clone() })).is_none());
        assert!(read(&offer(Framed { fingerprint: "AB", ..good })).is_none());
        assert!(read(&plain(&["192.0.2.7"], 0)).is_none());
        assert!(read(&Description::DataChannel { sdp: "" }).is_none());
    }
}
